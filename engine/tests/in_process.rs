//! A small federation in one process: every statement goes through split, node, gate and merge.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "test")]

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use futures::TryStreamExt;
use hedgerow_catalog::{Contracts, Limits, ServerConfig};
use hedgerow_engine::{Coordinator, EngineError, InProcessChannel, Node, NodeChannel, Session};

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
        let prepared = self.coordinator.prepare(&self.session, sql, companions).await?;
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

#[tokio::test]
async fn look() {
    let world = world().await;
    for sql in [
        "SELECT 1",
        "SELECT organisation, count(*) FROM spell GROUP BY 1 ORDER BY 1",
        "SELECT chapter, count(*) AS n, count(DISTINCT person_number) AS people FROM spell GROUP BY chapter ORDER BY 1",
        "SELECT count(*) AS n FROM spell",
        "SELECT c.title, avg(s.hours) AS mean, stddev(s.hours) AS sd, count(*) FROM spell s JOIN chapter c ON c.code = s.chapter GROUP BY c.title ORDER BY 1",
        "SELECT p.sex, count(*) AS n FROM spell s JOIN person p ON p.person_number = s.person_number GROUP BY 1 ORDER BY 1",
        "SELECT organisation, count(*) AS n FROM spell WHERE organisation <> 'north' GROUP BY 1 ORDER BY 1",
        "SELECT chapter, count(*) AS n, 100.0 * count(*) / sum(count(*)) OVER () AS share FROM spell GROUP BY chapter ORDER BY 1",
        "SELECT chapter, 1.0 * count(*) FILTER (WHERE hours > 100) / count(*) AS rate FROM spell GROUP BY chapter HAVING count(*) > 1 ORDER BY rate DESC LIMIT 1",
        "SELECT date_trunc('month', admitted) AS m, count(*) FROM spell WHERE admitted >= date '2025-04-01' - interval '90' day GROUP BY 1 ORDER BY 1",
        "SELECT * FROM bed ORDER BY organisation, ward",
        "SELECT ward, sum(beds) AS b, avg(cost) AS c, min(beds), max(cost), count(DISTINCT beds) FROM bed GROUP BY ward ORDER BY 1",
        "SELECT ward, median(beds) FROM bed WHERE organisation IN ('east','west') GROUP BY ward ORDER BY 1",
        "SELECT count(*) FROM bed WHERE ward = 'nowhere'",
        "SELECT corr(beds, beds*2.0), regr_slope(beds, beds+1), covar_samp(beds, cost), var_pop(beds) FROM bed",
        "SELECT DISTINCT chapter FROM spell ORDER BY 1",
        "SELECT * FROM system.nodes",
        "SELECT * FROM spell",
        "SELECT chapter, max(hours) FROM spell GROUP BY 1",
        "SELECT chapter, count(*) FROM spell WHERE person_number = 3 GROUP BY 1",
        "SELECT person_number, count(*) FROM spell GROUP BY 1",
        "SELECT a.chapter, count(*) FROM spell a JOIN spell b ON a.chapter = b.chapter GROUP BY 1",
        "SELECT chaptr, count(*) FROM spell GROUP BY 1",
        "SELECT count(*) FROM spel",
        "SELECT count(*) FRM spell",
        "DROP TABLE spell",
        "EXPLAIN SELECT chapter, count(*) FROM spell WHERE organisation = 'east' GROUP BY 1",
        "SELECT count(*) FROM east.spell",
        "SHOW TABLES",
        "SELECT organisation, chapter, avg(hours) FROM spell GROUP BY 1, 2 ORDER BY 1, 2",
        "WITH t AS (SELECT chapter, count(*) AS n FROM spell GROUP BY 1) SELECT a.chapter, a.n, b.n FROM t a JOIN t b ON a.chapter = b.chapter ORDER BY 1",
        "SELECT chapter, count(*) FROM spell WHERE 1/(hours-1) > 0 GROUP BY 1",
        "SELECT b.ward, count(*) FROM spell s CROSS JOIN bed b GROUP BY 1",
        "SELECT chapter, count(*) FROM spell s WHERE EXISTS (SELECT 1 FROM person p WHERE p.person_number = s.person_number) GROUP BY 1",
    ] {
        println!("{sql}\n{}\n", world.ask(sql).await);
    }
}
