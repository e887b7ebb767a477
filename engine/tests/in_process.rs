//! A small federation in one process: every statement goes through split, node, gate and merge.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "test")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use async_trait::async_trait;
use futures::TryStreamExt;
use hedgerow_catalog::{
    Contracts, Limits, NodeDescription, ServerConfig, SourceConfig, SourceFormat, ViewConfig,
};
use hedgerow_engine::{
    BundleReply, BundleRequest, Coordinator, EngineError, InProcessChannel, Node, NodeChannel,
    PlanCounts, Session, WireError,
};
use tokio::sync::Notify;

const PERSON: &str = r#"
name = "person"
version = 1
person = { column = "person_number", scope = "organisation" }
[[columns]]
name = "person_number"
type = "int64"
roles = ["identifier"]
unique = true
[[columns]]
name = "sex"
type = "utf8"
roles = ["dimension"]
"#;

const SPELL: &str = r#"
name = "spell"
version = 1
person = { column = "person_number", scope = "organisation" }
keys = [["spell_number"]]
[[columns]]
name = "spell_number"
type = "int64"
roles = ["identifier"]
within_person = true
[[columns]]
name = "person_number"
type = "int64"
roles = ["identifier"]
[[columns]]
name = "chapter"
type = "utf8"
roles = ["dimension"]
[[columns]]
name = "hours"
type = "float64"
roles = ["measure"]
continuous = true
[[columns]]
name = "admitted"
type = "date32"
roles = ["dimension"]
"#;

const CHAPTER: &str = r#"
name = "chapter"
version = 1
protection = "open"
reference = true
keys = [["code"]]
[[columns]]
name = "code"
type = "utf8"
roles = ["open"]
[[columns]]
name = "title"
type = "utf8"
roles = ["open"]
"#;

const BED: &str = r#"
name = "bed"
version = 1
protection = "open"
[[columns]]
name = "ward"
type = "utf8"
roles = ["open"]
[[columns]]
name = "beds"
type = "int32"
roles = ["open"]
[[columns]]
name = "cost"
type = "decimal128(10,2)"
roles = ["open"]
"#;

struct World {
    coordinator: Arc<Coordinator>,
    session: Session,
    _folder: tempfile::TempDir,
}

/// Three organisations; chapter A has ten people everywhere, B nine at `east` and twenty elsewhere.
async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let mut contracts = Contracts::default();
    for (file, text) in [("person", PERSON), ("spell", SPELL), ("chapter", CHAPTER), ("bed", BED)] {
        contracts.insert_toml(file, text).unwrap();
    }
    let mut channels: Vec<Arc<dyn NodeChannel>> = vec![];
    for (number, organisation) in ["east", "north", "west"].into_iter().enumerate() {
        let home = folder.path().join(organisation);
        std::fs::create_dir(&home).unwrap();
        let mut people = String::from("person_number,sex\n");
        let mut spells = String::from("spell_number,person_number,chapter,hours,admitted\n");
        let b = if organisation == "east" { 9 } else { 20 };
        for person in 0..(10 + b) {
            people += &format!("{person},{}\n", if person % 2 == 0 { "F" } else { "M" });
            let chapter = if person < 10 { "A" } else { "B" };
            for repeat in 0..=(person % 3) {
                let spell = person * 10 + repeat;
                let hours = f64::from(spell) * 1.5 + 1.0 + number as f64;
                spells += &format!("{spell},{person},{chapter},{hours},2025-0{}-01\n", 1 + repeat);
            }
        }
        std::fs::write(home.join("person.csv"), people).unwrap();
        std::fs::write(home.join("spell.csv"), spells).unwrap();
        std::fs::write(home.join("chapter.csv"), "code,title\nA,Alpha\nB,Beta\nC,Gamma\n").unwrap();
        std::fs::write(
            home.join("bed.csv"),
            format!("ward,beds,cost\nsurgery,{number},1.10\nmedicine,5,2.25\n"),
        )
        .unwrap();
        let text = format!(
            "organisation = \"{organisation}\"\ncontracts = \"contracts\"\n\
             [tls]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\n[users]\nfile = \"u.toml\"\n\
             [policy]\npreset = \"primary_only\"\nk = 10\n[ledger]\nfile = \"ledger.ndjson\"\n\
             [tables.person]\npath = \"person.csv\"\n[tables.spell]\npath = \"spell.csv\"\n\
             [tables.chapter]\npath = \"chapter.csv\"\n[tables.bed]\npath = \"bed.csv\"\n"
        );
        let config = ServerConfig::from_toml("serve.toml", &text, &home).unwrap();
        let node = Node::open(&config, contracts.clone()).await.unwrap();
        for table in node.describe().tables {
            assert!(table.conforming, "{}: {:?}", table.name, table.differences);
        }
        channels.push(Arc::new(InProcessChannel::new(node)));
    }
    let coordinator = Coordinator::connect(contracts, channels, Limits::default()).await.unwrap();
    World { coordinator, session: Session::new("analyst"), _folder: folder }
}

impl World {
    async fn try_ask(&self, sql: &str, companions: bool) -> Result<String, EngineError> {
        let prepared = self.coordinator.prepare(sql, companions).await?;
        let answer = self.coordinator.run(&self.session, prepared).await?;
        let batches: Vec<RecordBatch> =
            answer.stream.try_collect().await.map_err(EngineError::from_execution)?;
        Ok(pretty_format_batches(&batches).expect("printable").to_string())
    }

    async fn ask(&self, sql: &str) -> String {
        match self.try_ask(sql, true).await {
            Ok(table) => table,
            Err(error) => {
                let external = error.external();
                format!("{} {:?} {}", external.sqlstate, external.rule, external.message)
            }
        }
    }
}

/// Statements with what their printed answer, companions included, must contain.
#[tokio::test]
async fn statements_are_answered() {
    let world = world().await;
    for (sql, expected) in [
        ("SELECT organisation, count(*) FROM spell GROUP BY 1 ORDER BY 1", "| east         | 37 "),
        // Nine at `east` are withheld: forty of the others, at most nine more.
        (
            "SELECT chapter, count(DISTINCT person_number) AS people FROM spell GROUP BY 1 ORDER BY 1",
            "| B       | 40     | 40           | 49           | 1 ",
        ),
        ("SELECT count(*) AS n FROM spell", "| 157 | 157     | 157     | 0 "),
        (
            "SELECT c.title, avg(s.hours) AS mean FROM spell s JOIN chapter c ON c.code = s.chapter \
             GROUP BY 1 ORDER BY 1",
            "| Alpha | 71.63157894736842 | 71.63157894736842 | 71.63157894736842 | 0 ",
        ),
        (
            "SELECT chapter, 100.0 * count(*) / sum(count(*)) OVER () AS share FROM spell GROUP BY 1 \
             ORDER BY 1",
            "| A       | 41.007194244604314 |             |             | 1 ",
        ),
        ("SELECT avg(cost), stddev(cost), corr(beds, cost), count(beds) FROM bed", "1.675000"),
        ("SELECT ward, median(beds) FROM bed GROUP BY ward ORDER BY 1", "| medicine | 5.0 "),
        ("SELECT count(*) FROM bed WHERE ward = 'nowhere'", "| 0 "),
        (
            "EXPLAIN SELECT chapter, count(*) FROM spell WHERE organisation = 'east' GROUP BY 1",
            "not asked",
        ),
    ] {
        let answer = world.ask(sql).await;
        assert!(answer.contains(expected), "{sql}\n{answer}");
    }
}

/// Statements with the SQLSTATE and rule they are turned down with.
#[tokio::test]
async fn statements_are_refused() {
    let world = world().await;
    for (sql, expected) in [
        ("SELECT * FROM spell", "42501 Some(\"S1.shape\")"),
        ("SELECT chapter, max(hours) FROM spell GROUP BY 1", "42501 Some(\"S8.extreme\")"),
        (
            "SELECT chapter, count(*) FROM spell WHERE person_number = 3 GROUP BY 1",
            "42501 Some(\"S4.literal\")",
        ),
        ("SELECT person_number, count(*) FROM spell GROUP BY 1", "42501 Some(\"S4.identifier\")"),
        (
            "SELECT a.chapter, count(*) FROM spell a JOIN spell b ON a.chapter = b.chapter GROUP BY 1",
            "0A000",
        ),
        (
            "SELECT chapter, count(*) FROM spell s WHERE s.person_number NOT IN \
             (SELECT person_number FROM person) GROUP BY 1",
            "42501 Some(\"S5.join\")",
        ),
        ("SELECT chaptr FROM spell", "42703"),
        ("SELECT count(*) FROM spel", "42P01"),
        ("SELECT count(*) FRM spell", "42601"),
        ("DROP TABLE spell", "0A000"),
    ] {
        let answer = world.ask(sql).await;
        assert!(answer.starts_with(expected), "{sql}\n{answer}");
    }
}

/// Views by name and text, names of tables, and what is said of them.
type Definitions = (&'static [(&'static str, &'static str)], &'static [&'static str], &'static str);

/// Views and tables of a coordinator that stop it from starting, each with what is said.
#[tokio::test]
async fn definitions_that_cannot_be_used_are_named() {
    let mut contracts = Contracts::default();
    contracts.insert_toml("person.toml", PERSON).unwrap();
    let connect = async |views: &[(&str, &str)], tables: &[&str]| {
        let view = |(name, sql): &(&str, &str)| {
            let (sql, description) = ((*sql).to_owned(), String::new());
            ((*name).to_owned(), ViewConfig { sql, description })
        };
        let views: BTreeMap<_, _> = views.iter().map(view).collect();
        let files = || SourceConfig { path: "no.parquet".into(), format: SourceFormat::Parquet };
        let tables = tables.iter().map(|name| ((*name).to_owned(), files())).collect();
        let limits = Limits::default();
        Coordinator::connect_with(contracts.clone(), vec![], &views, &tables, limits).await
    };
    let cases: [Definitions; 8] = [
        (&[("person", "SELECT 1 AS x")], &[], "view `person` cannot be used: a contract"),
        (&[("a", "DROP TABLE person")], &[], "view `a` cannot be used: "),
        (&[("a", "SELECT 1; SELECT 2")], &[], "view `a` cannot be used: "),
        (&[("a", "SELEC 1")], &[], "view `a` cannot be used: "),
        (&[("a", "SELECT * FROM a")], &[], "view `a` cannot be used: it uses itself"),
        (
            &[("a", "SELECT * FROM b"), ("b", "SELECT * FROM federation.shared.a")],
            &[],
            "it uses itself, by way of a, b",
        ),
        (&[], &["person"], "a coordinator has open tables only, and the contract of `person`"),
        (&[], &["persn"], "persn"),
    ];
    for (views, tables, expected) in cases {
        let error = connect(views, tables).await.expect_err(expected).external();
        assert!(error.message.contains(expected), "{}", error.message);
    }
    let fine =
        [("a", "SELECT * FROM b"), ("b", "SELECT sex, count(*) AS n FROM person GROUP BY 1;")];
    assert!(connect(&fine, &[]).await.is_ok());
}

/// A node that can be taken away, and another put in its place.
#[derive(Debug)]
struct Switch {
    organisation: &'static str,
    node: Mutex<Option<Arc<Node>>>,
}

impl Switch {
    fn put(&self, node: Option<Arc<Node>>) {
        *self.node.lock().unwrap() = node;
    }

    fn channel(&self) -> Result<InProcessChannel, WireError> {
        let node = self.node.lock().unwrap().clone();
        node.map(InProcessChannel::new).ok_or_else(|| WireError {
            sqlstate: "08006".to_owned(),
            rule: None,
            message: "gone".to_owned(),
            hint: None,
            organisation: Some(self.organisation.to_owned()),
        })
    }
}

#[async_trait]
impl NodeChannel for Switch {
    fn organisation(&self) -> &str {
        self.organisation
    }

    async fn describe(&self) -> Result<NodeDescription, WireError> {
        self.channel()?.describe().await
    }

    async fn ask(&self, request: BundleRequest) -> Result<BundleReply, WireError> {
        self.channel()?.ask(request).await
    }
}

/// A node with these tables, each a file of its own.
async fn open_node(
    organisation: &str,
    folder: &std::path::Path,
    contracts: &Contracts,
    tables: &[(&str, &str)],
) -> Arc<Node> {
    let mut text = format!(
        "organisation = \"{organisation}\"\ncontracts = \"contracts\"\n\
         [tls]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\n[users]\nfile = \"u.toml\"\n"
    );
    let home = folder.join(organisation);
    std::fs::create_dir(&home).unwrap();
    for (name, rows) in tables {
        std::fs::write(home.join(format!("{name}.csv")), rows).unwrap();
        text += &format!("[tables.{name}]\npath = \"{name}.csv\"\n");
    }
    let config = ServerConfig::from_toml("serve.toml", &text, &home).unwrap();
    Node::open(&config, contracts.clone()).await.unwrap()
}

/// A coordinator over one node that can be exchanged.
async fn exchangeable(limits: Limits) -> (World, Arc<Switch>, Contracts) {
    let folder = tempfile::tempdir().unwrap();
    let mut contracts = Contracts::default();
    for (file, text) in [("chapter", CHAPTER), ("bed", BED)] {
        contracts.insert_toml(file, text).unwrap();
    }
    let beds = [("bed", "ward,beds,cost\nsurgery,1,1.10\n")];
    let node = open_node("east", folder.path(), &contracts, &beds).await;
    let switch = Arc::new(Switch { organisation: "east", node: Mutex::new(Some(node)) });
    let channels: Vec<Arc<dyn NodeChannel>> = vec![Arc::clone(&switch) as _];
    let coordinator = Coordinator::connect(contracts.clone(), channels, limits).await.unwrap();
    let world = World { coordinator, session: Session::new("analyst"), _folder: folder };
    (world, switch, contracts)
}

#[tokio::test]
async fn a_statement_asked_again_is_not_planned_again() {
    let (world, ..) = exchangeable(Limits::default()).await;
    let counts = |made, reused| PlanCounts { made, reused };
    let sum = "SELECT ward, sum(beds) AS beds FROM bed GROUP BY ward ORDER BY ward";
    let first = world.ask(sum).await;
    assert!(first.contains("| surgery | 1 "), "{first}");
    for reused in 1..=3 {
        assert_eq!(world.ask(sum).await, first);
        assert_eq!(world.coordinator.plan_counts(), counts(1, reused));
    }
    // Without companions it is another plan.
    for _ in 0..2 {
        world.try_ask(sum, false).await.unwrap();
    }
    assert_eq!(world.coordinator.plan_counts(), counts(2, 4));
    // What is read at planning, or is another the next time, is planned anew.
    for sql in [
        "SELECT count(*) FROM bed WHERE now() IS NOT NULL",
        "SELECT ward, current_date FROM bed",
        "SELECT beds + random() FROM bed",
        "SELECT organisation, state FROM system.nodes",
        "SELECT table_name FROM information_schema.tables",
    ] {
        let before = world.coordinator.plan_counts();
        for _ in 0..2 {
            world.try_ask(sql, true).await.unwrap();
        }
        assert_eq!(
            world.coordinator.plan_counts(),
            counts(before.made + 2, before.reused),
            "{sql}"
        );
    }
    // These are no queries of their own.
    let before = world.coordinator.plan_counts();
    for sql in ["EXPLAIN", "EXPLAIN ANALYZE"] {
        world.try_ask(&format!("{sql} {sum}"), true).await.unwrap();
    }
    assert_eq!(world.coordinator.plan_counts(), before);
}

#[tokio::test]
async fn without_places_every_statement_is_planned() {
    let limits = Limits { plans_cached_max: 0, ..Limits::default() };
    let (world, ..) = exchangeable(limits).await;
    for made in 1..=3 {
        world.ask("SELECT count(*) FROM bed").await;
        assert_eq!(world.coordinator.plan_counts(), PlanCounts { made, reused: 0 });
    }
}

/// What a node serves decides which names there are: a plan lasts no longer than that.
#[tokio::test]
async fn plans_do_not_outlive_what_nodes_serve() {
    let (world, switch, contracts) = exchangeable(Limits::default()).await;
    let named = "SELECT sum(beds) AS beds FROM east.bed";
    let shared = "SELECT sum(beds) AS beds FROM bed";
    for _ in 0..2 {
        assert!(world.ask(named).await.contains("| 1 "));
        assert!(world.ask(shared).await.contains("| 1 "));
    }
    let known = world.coordinator.plan_counts();
    assert_eq!(known, PlanCounts { made: 2, reused: 2 });
    switch.put(None);
    for sql in [named, shared] {
        assert!(world.ask(sql).await.starts_with("08006"), "{sql}");
    }
    // It comes back with another table, and then with other beds.
    let folder = tempfile::tempdir().unwrap();
    let chapters = [("chapter", "code,title\nA,Alpha\n")];
    switch.put(Some(open_node("east", folder.path(), &contracts, &chapters).await));
    let gone = world.ask_until(named, "42P01").await;
    assert!(gone.contains("bed"), "{gone}");
    let nothing = world.ask(shared).await;
    assert!(nothing.contains("| beds") && !nothing.contains("| 1 "), "{nothing}");
    switch.put(None);
    world.ask("SELECT title FROM chapter").await;
    let beds = [("bed", "ward,beds,cost\nsurgery,7,1.10\n")];
    let folder = tempfile::tempdir().unwrap();
    switch.put(Some(open_node("east", folder.path(), &contracts, &beds).await));
    let back = world.ask_until(named, "+").await;
    assert!(back.contains("| 7 "), "{back}");
    let before = world.coordinator.plan_counts();
    assert_eq!(world.ask(named).await, back);
    let after = world.coordinator.plan_counts();
    assert_eq!((after.made, after.reused), (before.made, before.reused + 1));
}

impl World {
    /// Asks until the answer starts as told: a node that failed is left alone for a while.
    async fn ask_until(&self, sql: &str, start: &str) -> String {
        for _ in 0..100 {
            let answer = self.ask(sql).await;
            if answer.starts_with(start) {
                return answer;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        self.ask(sql).await
    }
}

/// A node that answers once another has been asked.
#[derive(Debug)]
struct Turn {
    node: InProcessChannel,
    waits_for: Option<Arc<Notify>>,
    tells: Option<Arc<Notify>>,
}

#[async_trait]
impl NodeChannel for Turn {
    fn organisation(&self) -> &str {
        self.node.organisation()
    }

    async fn describe(&self) -> Result<NodeDescription, WireError> {
        self.node.describe().await
    }

    async fn ask(&self, request: BundleRequest) -> Result<BundleReply, WireError> {
        if let Some(told) = &self.tells {
            told.notify_one();
        }
        if let Some(told) = &self.waits_for {
            told.notified().await;
        }
        self.node.ask(request).await
    }
}

/// More nodes than are asked at once, the first of which answers when the last one is asked.
#[tokio::test]
async fn a_slow_node_does_not_keep_others_from_being_asked() {
    const NODES: usize = 70;
    let folder = tempfile::tempdir().unwrap();
    let mut contracts = Contracts::default();
    contracts.insert_toml("bed", BED).unwrap();
    let told = Arc::new(Notify::new());
    let mut channels: Vec<Arc<dyn NodeChannel>> = vec![];
    for number in 0..NODES {
        let beds = [("bed", "ward,beds,cost\nsurgery,1,1.10\n")];
        let name = format!("n{number}");
        let node = open_node(&name, folder.path(), &contracts, &beds).await;
        channels.push(Arc::new(Turn {
            node: InProcessChannel::new(node),
            waits_for: (number == 0).then(|| Arc::clone(&told)),
            tells: (number == NODES - 1).then(|| Arc::clone(&told)),
        }));
    }
    let coordinator = Coordinator::connect(contracts, channels, Limits::default()).await.unwrap();
    let world = World { coordinator, session: Session::new("analyst"), _folder: folder };
    let asked = world.ask("SELECT count(*) AS n FROM bed");
    let answer = tokio::time::timeout(std::time::Duration::from_secs(20), asked).await;
    let answer = answer.expect("the last node is not asked");
    assert!(answer.contains("| 70 "), "{answer}");
}
