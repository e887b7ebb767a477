//! The text of a fragment as a node meets it: read, judged, written anew and read back, over the
//! demo's tables without rows. Main entry: [`judged`].

use std::fmt::Write;
use std::fs;
use std::sync::{Arc, LazyLock};

use hedgerow::demo::CONTRACTS;
use hedgerow_catalog::{Contracts, ServerConfig};
use hedgerow_engine::{EngineError, Node, sqlstate};
use tokio::runtime::{Builder, Runtime};

/// Most tokens of a text that cannot nest too deeply to be read back.
const SHALLOW_TOKENS_MAX: usize = 40;

/// With every rule that a node may add, so that everything a gate adds is written and read back.
/// Planning has time on any machine: a slow text is the fuzzer's own limit to find.
const CONFIGURATION: &str = r#"
organisation = "northmoor"
contracts = "contracts"
[tls]
certificate = "server.pem"
key = "server.key"
[users]
file = "users.toml"
[limits]
planning_timeout_ms = 600000
[policy]
preset = "primary_only"
k = 10
complement = true
p_percent = 0.1
dominance = { n = 2, share = 0.9 }
round_to = 5
"#;

static NODE: LazyLock<(Runtime, Arc<Node>)> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let node = runtime.block_on(node());
    (runtime, node)
});

async fn node() -> Arc<Node> {
    let folder = tempfile::tempdir().unwrap();
    let mut contracts = Contracts::default();
    let mut text = CONFIGURATION.to_owned();
    for (table, contract) in CONTRACTS {
        contracts.insert_toml(&format!("{table}.toml"), contract).unwrap();
        let columns = contracts.get(table).unwrap().columns.iter();
        let header: Vec<&str> = columns.map(|column| column.name.as_str()).collect();
        fs::write(folder.path().join(format!("{table}.csv")), header.join(",") + "\n").unwrap();
        writeln!(text, "[tables.{table}]\npath = \"{table}.csv\"").unwrap();
    }
    let config = ServerConfig::from_toml("serve.toml", &text, folder.path()).unwrap();
    let node = Node::open(&config, contracts).await.unwrap();
    for table in node.describe().tables {
        assert!(table.conforming, "{}: {:?}", table.name, table.differences);
    }
    // Judging reads no data, so the folder may go.
    node
}

/// Whether a node would run the text. Panics on what must never happen: an internal error, which a
/// panic of the planner is too, and a short fragment that is not read back as it was judged.
pub(crate) fn judged(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let (runtime, node) = &*NODE;
    let error = match runtime.block_on(node.explain(text)) {
        Ok(_) => return true,
        Err(error) => error,
    };
    assert_ne!(error.sqlstate(), sqlstate::INTERNAL, "{error:?}\n{text}");
    if let EngineError::NotSplit { what, .. } = &error
        && what.contains("does not read back")
    {
        assert!(tokens(text) > SHALLOW_TOKENS_MAX, "{what}\n{text}");
    }
    false
}

/// Words, and all other characters but spaces.
fn tokens(text: &str) -> usize {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let words = text.split(|c| !is_word(c)).filter(|word| !word.is_empty()).count();
    words + text.chars().filter(|c| !is_word(*c) && !c.is_whitespace()).count()
}
