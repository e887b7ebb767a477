//! Configuration: defaults, checks, messages, and the generated reference.
#![expect(clippy::unwrap_used, reason = "test")]

use hedgerow_policies::Policy;

use super::*;

const MINIMAL: &str = "organisation = \"northmoor\"
[tls]
certificate = \"node.pem\"
key = \"node.key\"
[users]
file = \"users.toml\"
[tables.referral_pathway]
path = \"data/*.parquet\"
";

fn parse(text: &str) -> Result<ServerConfig, CatalogError> {
    ServerConfig::from_toml("serve.toml", text, Path::new("/etc/hedgerow"))
}

fn message(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn defaults_fill_a_minimal_file() {
    let config = parse(MINIMAL).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:50051");
    assert_eq!(config.contracts, Path::new("/etc/hedgerow/contracts"));
    assert_eq!(config.tls.key, Path::new("/etc/hedgerow/node.key"));
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.limits.memory_bytes_max_per_query, 4 << 30);
    assert_eq!(config.policy.preset, "primary_only");
    assert_eq!(config.log.format, LogFormat::Human);
    assert!(config.is_node() && !config.is_coordinator());
    let files = SourceConfig {
        path: PathBuf::from("/etc/hedgerow/data/*.parquet"),
        format: SourceFormat::Parquet,
    };
    assert_eq!(config.tables.get("referral_pathway"), Some(&TableConfig::Files(files)));
}

#[test]
fn unknown_keys_come_with_line_and_nearest() {
    assert_eq!(
        message(&MINIMAL.replace("key = ", "kye = \"a\"\nkey = ")),
        "unknown key `kye` in `serve.toml` line 4; did you mean `key`?"
    );
    assert_eq!(
        message(&format!("lissten = \"a\"\n{MINIMAL}")),
        "unknown key `lissten` in `serve.toml` line 1; did you mean `listen`?"
    );
    assert_eq!(
        message(&format!("{MINIMAL}fromat = \"csv\"\n")),
        "unknown key `fromat` in `serve.toml` line 9; did you mean `format`?"
    );
    assert_eq!(
        message(&format!("{MINIMAL}[limits]\nqueries = 3\n")),
        "unknown key `queries` in `serve.toml` line 10; did you mean `queries_max`?"
    );
    assert_eq!(
        message(&format!("{MINIMAL}[log]\nformat = \"jsno\"\n")),
        "unknown value `jsno` in `serve.toml` line 10; did you mean `json`?"
    );
}

#[test]
fn missing_keys_are_named() {
    assert_eq!(
        message(&MINIMAL.replace("key = \"node.key\"\n", "")),
        "key `key` is missing in `serve.toml` line 2"
    );
}

#[test]
fn a_server_has_a_role() {
    let (head, _) = MINIMAL.split_once("[tables").unwrap();
    assert!(message(head).contains("neither node nor coordinator"));
    assert!(
        message(&MINIMAL.replace("organisation = \"northmoor\"\n", ""))
            .contains("needs `organisation`")
    );
    let coordinator = format!(
        "{head}[federation]\nuser = \"c\"\npassword_file = \"p\"\n[[federation.nodes]]\norganisation = \"a\"\nurl = \"https://a:1\"\n"
    );
    assert!(parse(&coordinator).unwrap().is_coordinator());
    assert_eq!(
        message(&coordinator.replace("https://a:1", "ftp://a")),
        "`federation.nodes.0.url` in `serve.toml` line 12: must begin with `https://` and name a host"
    );
}

#[test]
fn contradictions_are_named_with_their_line() {
    let cases = [
        (
            MINIMAL.replace("northmoor", "North Moor"),
            "`organisation` in `serve.toml` line 1: `North Moor` must be",
        ),
        (
            format!("{MINIMAL}sql = \"SELECT 1\"\n"),
            "`tables.referral_pathway` in `serve.toml` line 7: needs either",
        ),
        (
            format!("{MINIMAL}header = true\n"),
            "`tables.referral_pathway.header` in `serve.toml` line 9: only CSV",
        ),
        (
            MINIMAL.replace("*.parquet", "a.xlsx"),
            "`tables.referral_pathway.path` in `serve.toml` line 8: cannot tell",
        ),
        (
            MINIMAL.replace("*.parquet\"", "a.csv\"\ndelimiter = \"||\""),
            "`tables.referral_pathway.delimiter` in `serve.toml` line 9: must be one",
        ),
        (
            format!("{MINIMAL}[limits]\nqueries_max = 0\n"),
            "`limits.queries_max` in `serve.toml` line 10: must be 1",
        ),
        (
            format!("{MINIMAL}[limits]\nplans_cached_max = 0\nplans_cached_bytes_max = 0\n"),
            "`limits.plans_cached_bytes_max` in `serve.toml` line 11: must be 1",
        ),
        (
            format!("{MINIMAL}[policy.tables.referal]\nk = 20\n"),
            "`policy.tables.referal` in `serve.toml` line 9: there is no `[tables.referal]`; did you mean `referral_pathway`?",
        ),
        (
            format!("{MINIMAL}[policy]\nk = 3\n"),
            "`policy.k` in `serve.toml` line 10: k = 3 is outside 5 to 1000",
        ),
        (
            format!("{MINIMAL}[policy]\n\n[policy.tables.referral_pathway]\nk = 7\n"),
            "`policy.tables.referral_pathway.k` in `serve.toml` line 12: k = 7 for table",
        ),
        (
            format!("{MINIMAL}[policy]\ndominance = {{ n = 2, share = 80.0 }}\n"),
            "`policy.dominance.share` in `serve.toml` line 10: dominance.share = 80 is no share",
        ),
        (
            format!("{MINIMAL}[policy]\npreset = \"primary\"\n"),
            "`policy.preset` in `serve.toml` line 10: unknown preset `primary`",
        ),
        (
            format!("{MINIMAL}[sources.a]\nsql = \"SELECT 1\"\n"),
            "unknown key `sql` in `serve.toml` line 10",
        ),
        (
            format!("{MINIMAL}[views.a]\ndescription = \"nothing\"\n"),
            "`views.a` in `serve.toml` line 9: needs either `sql` or `file`",
        ),
        (
            format!("{MINIMAL}[views.a]\nsql = \"SELECT 1\"\nfile = \"a.sql\"\n"),
            "`views.a` in `serve.toml` line 9: needs either `sql` or `file`",
        ),
        (
            format!("{MINIMAL}[views.\"A-b\"]\nsql = \"SELECT 1\"\n"),
            "`views.A-b` in `serve.toml` line",
        ),
    ];
    for (text, expected) in cases {
        let found = message(&text);
        assert!(found.starts_with(expected), "{found}");
    }
}

#[test]
fn example_parses_and_its_comments_are_the_defaults() {
    let plain = parse(&reference::example(false)).unwrap();
    assert_eq!(plain, parse(&reference::example(true)).unwrap());
    assert!(plain.is_node() && plain.is_coordinator());
    let policy = Policy::new(&plain.policy).unwrap();
    assert_eq!(policy.k_for(["referral_pathway"]), 15);
    assert_eq!(policy.k_for(["other"]), 10);
}

#[test]
fn no_plans_need_be_remembered() {
    let config = parse(&format!("{MINIMAL}[limits]\nplans_cached_max = 0\n")).unwrap();
    assert_eq!(config.limits.plans_cached_max, 0);
    assert!(parse(MINIMAL).unwrap().limits.plans_cached_max > 0);
}

#[test]
#[expect(clippy::panic, reason = "test")]
fn reference_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    if std::env::var_os("HEDGEROW_BLESS").is_some() {
        std::fs::write(&path, configuration_reference()).unwrap();
    }
    if std::fs::read_to_string(&path).unwrap_or_default() != configuration_reference() {
        panic!(
            "docs/configuration.md is out of date: run HEDGEROW_BLESS=1 cargo test -p hedgerow-catalog reference"
        );
    }
}

#[test]
fn a_federation_has_an_id_of_its_own() {
    let federation = |id: &str| {
        format!(
            "{MINIMAL}[federation]\norganisation = \"{id}\"\nuser = \"c\"\npassword_file = \"p\"\n\
             [[federation.nodes]]\norganisation = \"westlea\"\nurl = \"https://a:1\"\n"
        )
    };
    assert_eq!(parse(&federation("midshire")).unwrap().federation_id(), Some("midshire"));
    assert_eq!(parse(MINIMAL).unwrap().federation_id(), None);
    for taken in ["westlea", "northmoor"] {
        let words = message(&federation(taken));
        assert!(words.contains("give the federation an id of its own"), "{words}");
    }
    assert!(message(&federation("Mid-shire")).contains("lower-case"));
}

#[test]
fn a_table_without_a_contract_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("serve.toml");
    std::fs::write(&file, MINIMAL).unwrap();
    std::fs::create_dir(folder.path().join("contracts")).unwrap();
    let contract = "name = \"referral_pathways\"\nversion = 1\nprotection = \"open\"\n\
                    [[columns]]\nname = \"a\"\ntype = \"int64\"\nroles = [\"open\"]\n";
    std::fs::write(folder.path().join("contracts/referral.toml"), contract).unwrap();
    let error = ServerConfig::load_with_contracts(&file).unwrap_err().to_string();
    assert_eq!(
        error,
        "`tables.referral_pathway` in `serve.toml` line 7: there is no contract of that name in the \
         folder `contracts`; did you mean `referral_pathways`?"
    );
}
