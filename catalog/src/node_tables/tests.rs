//! Tables end to end: files in a folder, a configuration, a contract, and SQL over the result.
#![expect(clippy::unwrap_used, clippy::panic, reason = "test")]

use std::fs;
use std::path::Path;

use arrow::array::{ArrayRef, Int32Array, Int64Array, LargeStringArray, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use arrow::util::pretty::pretty_format_batches;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::*;
use crate::contracts::visible_schema;

const CONTRACT: &str = r#"
name = "pathway"
version = 3
person = { column = "person", scope = "organisation" }
[[columns]]
name = "person"
type = "utf8"
roles = ["identifier"]
[[columns]]
name = "secret"
type = "utf8"
[[columns]]
name = "weeks"
type = "int32"
roles = ["measure"]
nullable = false
"#;

const SOURCE_CSV: &str = "Weeks,nhs,note\n3,007,\"a\nb\"\n18,008,x\n";

/// A folder of data with the configuration `tables` over it.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(self, name: &str, content: &str) -> Self {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    fn parquet(self, name: &str, columns: Vec<(&str, ArrayRef)>) -> Self {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut writer =
            ArrowWriter::try_new(fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        self
    }

    async fn open(&self, tables: &str) -> NodeTables {
        let config = config(tables, self.folder.path());
        let contracts = Contracts::from_toml("pathway.toml", CONTRACT).unwrap();
        let state = context().state();
        NodeTables::open(&config, &contracts, &state).await.unwrap()
    }

    async fn query(&self, tables: &str, sql: &str) -> String {
        let tables = self.open(tables).await;
        let table = match tables.get("pathway").unwrap() {
            TableState::Conforming(table) => table.clone(),
            TableState::Drifted { differences } => panic!("{differences:?}"),
        };
        assert_eq!(table.provider.schema(), visible_schema(&table.contract));
        let context = context();
        context.register_table("pathway", table.provider).unwrap();
        let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
        for batch in &batches {
            assert!(!batch.schema().fields().iter().any(|f| f.data_type() == &DataType::Utf8View));
        }
        pretty_format_batches(&batches).unwrap().to_string()
    }

    async fn drift(&self, tables: &str) -> String {
        match self.open(tables).await.get("pathway").unwrap() {
            TableState::Conforming(_) => panic!("conforms"),
            TableState::Drifted { differences } => differences.join("\n"),
        }
    }
}

fn context() -> SessionContext {
    SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2))
}

fn config(tables: &str, folder: &Path) -> ServerConfig {
    let text = format!(
        "organisation = \"northmoor\"\n[tls]\ncertificate = \"c\"\nkey = \"k\"\n[users]\nfile = \"u\"\n[policy]\nk = 12\n{tables}"
    );
    ServerConfig::from_toml("serve.toml", &text, folder).unwrap()
}

fn text(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn weeks(values: &[i32]) -> ArrayRef {
    Arc::new(Int32Array::from(values.to_vec()))
}

fn good(person: &str, value: i32) -> Vec<(&'static str, ArrayRef)> {
    vec![
        ("weeks", weeks(&[value])),
        ("extra", weeks(&[0])),
        ("person", text(&[person])),
        ("secret", text(&["s"])),
    ]
}

const SUM: &str =
    "SELECT count(DISTINCT person) AS people, sum(weeks) AS weeks FROM pathway WHERE weeks > 1";
const SUM_21: &str = "\
+--------+-------+
| people | weeks |
+--------+-------+
| 2      | 21    |
+--------+-------+";

#[tokio::test]
async fn parquet_by_file_glob_and_folder() {
    let mut large = good("b", 18);
    large.get_mut(2).unwrap().1 = Arc::new(LargeStringArray::from(vec!["b"]));
    let world = World::new()
        .parquet("data/a.parquet", good("a", 3))
        .parquet("data/sub/b.parquet", large)
        .file("data/_SUCCESS", "");
    for path in ["data", "data/"] {
        assert_eq!(world.query(&format!("[tables.pathway]\npath = \"{path}\""), SUM).await, SUM_21);
    }
    let glob = "[tables.pathway]\npath = \"data/*.parquet\"";
    assert!(world.query(glob, "SELECT weeks FROM pathway").await.contains("| 3     |"));
    let file = "[tables.pathway]\npath = \"data/sub/b.parquet\"";
    let all = world.query(file, "SELECT * FROM pathway WHERE person = 'b'").await;
    assert_eq!(
        all,
        "+--------+-------+\n| person | weeks |\n+--------+-------+\n| b      | 18    |\n+--------+-------+"
    );
}

#[tokio::test]
async fn file_names_are_taken_literally() {
    let world = World::new().parquet("da ta/[a]%41?.parquet", good("a", 3));
    let table = "[tables.pathway]\npath = \"da ta/[a]%41?.parquet\"";
    assert!(world.query(table, "SELECT person FROM pathway").await.contains("| a      |"));
}

#[tokio::test]
async fn filters_reach_the_parquet_scan() {
    let world = World::new().parquet("a.parquet", good("a", 3));
    let direct = "[tables.pathway]\npath = \"a.parquet\"";
    let mapped = "[sources.a]\npath = \"a.parquet\"\n[tables.pathway]\nsql = \"SELECT * FROM a\"";
    for tables in [direct, mapped] {
        let plan = world.query(tables, "EXPLAIN SELECT person FROM pathway WHERE weeks = 3").await;
        assert!(plan.contains("predicate=weeks@"), "{plan}");
        assert!(!plan.contains("secret") && !plan.contains("extra"), "{plan}");
    }
}

#[tokio::test]
async fn csv_in_any_column_order() {
    let world = World::new()
        .file("a.csv", "weeks,other,secret,person\n3,x,s,007\n18,\"y\nz\",s,\n")
        .file("b.csv", "007;s;3\n008;s;18\n");
    let header = world.query("[tables.pathway]\npath = \"a.csv\"", "SELECT * FROM pathway").await;
    assert!(
        header.contains("| 007    | 3     |") && header.contains("|        | 18    |"),
        "{header}"
    );
    let bare = "[tables.pathway]\npath = \"b.csv\"\nheader = false\ndelimiter = \";\"";
    assert_eq!(world.query(bare, SUM).await, SUM_21);
}

#[tokio::test]
async fn mapping_casts_and_renames() {
    let world = World::new().file("x/a.csv", SOURCE_CSV).parquet("p.parquet", good("008", 1));
    let tables = "[sources.x]\npath = \"x/*.csv\"\n[sources.p]\npath = \"p.parquet\"\n[tables.pathway]\nsql = '''
        SELECT CAST(x.\"Weeks\" AS SMALLINT) AS weeks, nhs AS person, 'none' AS secret, note
        FROM x LEFT JOIN p ON p.person = x.nhs'''";
    assert_eq!(world.query(tables, SUM).await, SUM_21);
    let person = "SELECT person FROM pathway WHERE weeks < 10 ORDER BY person LIMIT 1";
    assert!(world.query(tables, person).await.contains("| 007    |"));
}

#[tokio::test]
async fn literal_columns_keep_the_contracts_nullability() {
    let world = World::new().file("a.csv", SOURCE_CSV);
    let tables = "[sources.a]\npath = \"a.csv\"\n[tables.pathway]\nsql = \"SELECT nhs AS person, '' AS secret, 7 AS w, CAST(2 AS INT) AS weeks FROM a\"";
    let sql = "SELECT weeks, count(*) AS n FROM pathway GROUP BY weeks";
    assert!(world.query(tables, sql).await.contains("| 2     | 2 |"));
}

#[tokio::test]
async fn drift_is_named_by_column() {
    let world = World::new().file("a.csv", SOURCE_CSV).parquet(
        "long.parquet",
        vec![
            ("weeks", Arc::new(Int64Array::from(vec![1])) as ArrayRef),
            ("Person", text(&["a"])),
            ("secret", text(&["s"])),
        ],
    );
    let mapped =
        |sql: &str| format!("[sources.a]\npath = \"a.csv\"\n[tables.pathway]\nsql = '{sql}'");
    assert_eq!(
        world
            .drift(&mapped("SELECT \"Weeks\" AS weeks, nhs AS person, nhs AS secret FROM a"))
            .await,
        "column `weeks`: contract says int32, table has utf8 (write CAST(weeks AS INT) in the mapping)"
    );
    assert_eq!(
        world.drift("[tables.pathway]\npath = \"long.parquet\"").await,
        "column `person`: contract says utf8, table has none; nearest is `Person`\n\
         column `weeks`: contract says int32, file has int64 (read it through a mapping with CAST(weeks AS INT))"
    );
    let narrow = World::new().file("a.csv", "1,2\n");
    assert_eq!(
        narrow.drift("[tables.pathway]\npath = \"a.csv\"\nheader = false").await,
        "contract has 3 columns, file without header has 2"
    );
}

#[tokio::test]
async fn broken_files_and_mappings_drift_without_paths() {
    let world = World::new()
        .file("bad.parquet", "not parquet")
        .file("a.csv", SOURCE_CSV)
        .file("empty.csv", "");
    let mapped = |sql: &str| {
        format!(
            "[sources.a]\npath = \"a.csv\"\n[sources.gone]\npath = \"gone.csv\"\n[tables.pathway]\nsql = \"{sql}\""
        )
    };
    let cases = [
        ("[tables.pathway]\npath = \"gone.parquet\"".to_owned(), "no data file is there"),
        ("[tables.pathway]\npath = \"no/*.parquet\"".to_owned(), "no data file is there"),
        (
            "[tables.pathway]\npath = \"bad.parquet\"".to_owned(),
            "data file `bad.parquet` is not Parquet",
        ),
        ("[tables.pathway]\npath = \"empty.csv\"".to_owned(), "data file `empty.csv` is not CSV"),
        (mapped("SELECT * FROM gone"), "source `gone`: no data file is there"),
        (
            mapped("SELECT * FROM b"),
            "mapping reads `b`, for which there is no `[sources.b]`; there are: `a`, `gone`",
        ),
        (mapped("SELEC 1"), "mapping cannot be parsed; the node's log says why"),
        (mapped("SELECT nothing FROM a"), "mapping cannot be planned; the node's log says why"),
        (mapped("CREATE TABLE x AS SELECT * FROM a"), "mapping is not a query"),
        (mapped("SELECT * INTO x FROM a"), "mapping cannot be planned; the node's log says why"),
    ];
    for (tables, expected) in cases {
        assert_eq!(world.drift(&tables).await, expected);
    }
}

#[tokio::test]
async fn strict_casts_fail_rather_than_yield_null() {
    let world = World::new().file("a.csv", "weeks,person,secret\nmany,1,s\n");
    let tables = "[sources.a]\npath = \"a.csv\"\n[tables.pathway]\nsql = \"SELECT CAST(weeks AS INT) AS weeks, person, secret FROM a\"";
    let said = world.drift(tables).await;
    assert!(said.contains("a value does not fit its type"), "{said}");
    assert!(!said.contains("many"), "{said}");
}

#[tokio::test]
async fn rows_are_compared_with_the_contract() {
    let mut empty = good("a", 3);
    empty.get_mut(0).unwrap().1 = Arc::new(Int32Array::from(vec![None]));
    let world = World::new().parquet("a.parquet", good("a", 3)).parquet("b.parquet", empty);
    assert_eq!(
        world.drift("[tables.pathway]\npath = \"*.parquet\"").await,
        "column `weeks`: contract says nullable = false, table has NULL"
    );
}

#[tokio::test]
async fn epochs_change_with_the_files() {
    let world = World::new().parquet("data/a.parquet", good("a", 3));
    let table = "[tables.pathway]\npath = \"data\"";
    let epoch = |tables: NodeTables| match tables.get("pathway") {
        Some(TableState::Conforming(table)) => table.epoch.clone(),
        other => panic!("{other:?}"),
    };
    let first = epoch(world.open(table).await);
    assert_eq!(first.len(), 16);
    assert_eq!(first, epoch(world.open(table).await));
    let world = world.parquet("data/b.parquet", good("b", 4));
    assert_ne!(first, epoch(world.open(table).await));
}

#[tokio::test]
async fn a_node_describes_itself() {
    let world = World::new();
    let text = "round_to = 5\n[tables.pathway]\npath = \"gone.parquet\"\n\
                [policy.tables.pathway]\nk = 15";
    let tables = world.open(text).await;
    let description = tables.describe(&config(text, world.folder.path()));
    assert_eq!(description.organisation, "northmoor");
    let table = description.tables.first().unwrap();
    assert_eq!((table.contract_version, table.k, table.conforming), (3, Some(15), false));
    assert_eq!(table.rules.and_then(|rules| rules.round_to), Some(5));
    assert_eq!(table.differences, ["no data file is there"]);
    let json = serde_json::to_string(&description).unwrap();
    assert_eq!(serde_json::from_str::<NodeDescription>(&json).unwrap(), description);
}

#[tokio::test]
async fn a_table_needs_a_contract() {
    let config = config("[tables.pathways]\npath = \"a.parquet\"", Path::new(""));
    let contracts = Contracts::from_toml("pathway.toml", CONTRACT).unwrap();
    let error = NodeTables::open(&config, &contracts, &context().state()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`[tables.pathways]` has no contract of that name; did you mean `pathway`?"
    );
}
