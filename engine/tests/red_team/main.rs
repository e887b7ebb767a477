//! Attacks on the disclosure control: each has its statement, what must not happen, and a benign
//! twin that must be answered.
//!
//! The world is small and known: at every organisation chapters `A` and `B` are large, `Z` is one
//! person, nobody has `Q`. A statement whose outcome tells `Z` from `Q` is an oracle for any person.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "test")]

mod inline;
mod joins;
mod measures;
mod people;
mod proofs;
mod total;

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use datafusion::prelude::{CsvReadOptions, SessionContext};
use futures::TryStreamExt;
use hedgerow_catalog::{Contracts, Limits, ServerConfig};
use hedgerow_engine::{
    BUNDLE_VERSION, BundleRequest, Coordinator, EngineError, InProcessChannel, Node, NodeChannel,
    OnUnavailable, ReplyPart, Session, reply,
};

const CONTRACTS: &[(&str, &str)] = &[
    (
        "person",
        r#"
name = "person"
version = 1
person = { column = "person_number", scope = "organisation" }
columns = [
  { name = "person_number", type = "int64", roles = ["identifier"], unique = true },
  { name = "sex", type = "utf8", roles = ["dimension"] },
  { name = "age", type = "int32", roles = ["measure"] },
]
"#,
    ),
    (
        "spell",
        r#"
name = "spell"
version = 1
person = { column = "person_number", scope = "organisation" }
keys = [["spell_number"]]
products = [["visits", "cost"]]
columns = [
  { name = "spell_number", type = "int64", roles = ["identifier"], within_person = true },
  { name = "person_number", type = "int64", roles = ["identifier"] },
  { name = "consultant", type = "int64", roles = ["identifier"] },
  { name = "chapter", type = "utf8", roles = ["dimension"] },
  { name = "hours", type = "float64", nullable = false, roles = ["measure"], continuous = true, bins = [0, 200, 400, 700] },
  { name = "admitted", type = "date32", roles = ["dimension"] },
  { name = "discharged", type = "timestamp", roles = ["dimension"] },
  { name = "ended", type = "date32", roles = ["dimension"] },
  { name = "visits", type = "int32", nullable = false, roles = ["measure"] },
  { name = "cost", type = "decimal128(12,2)", nullable = false, roles = ["measure"] },
  { name = "extra", type = "int32", nullable = false, roles = ["measure"] },
]
"#,
    ),
    (
        "register",
        r#"
name = "register"
version = 1
person = { column = "person_number", scope = "organisation" }
columns = [
  { name = "person_number", type = "int64", roles = ["identifier"], unique = true },
  { name = "card", type = "utf8", roles = ["identifier", "dimension"] },
  { name = "practice", type = "utf8", roles = ["dimension"] },
]
"#,
    ),
    (
        "ward_book",
        r#"
name = "ward_book"
version = 1
person = { column = "label", scope = "organisation" }
columns = [
  { name = "label", type = "utf8", roles = ["identifier"], unique = true },
  { name = "ward", type = "utf8", roles = ["dimension"] },
]
"#,
    ),
    (
        "chapter",
        r#"
name = "chapter"
version = 1
protection = "open"
reference = true
keys = [["code"]]
columns = [
  { name = "code", type = "utf8", roles = ["open"] },
  { name = "title", type = "utf8", roles = ["open"] },
]
"#,
    ),
    (
        "obs",
        r#"
name = "obs"
version = 1
protection = "open"
columns = [
  { name = "id", type = "int64", roles = ["identifier"], scope = "organisation" },
  { name = "code", type = "utf8", roles = ["open"] },
  { name = "x", type = "float64", roles = ["open"] },
  { name = "y", type = "float64", roles = ["open"] },
  { name = "n", type = "int64", roles = ["open"] },
  { name = "d", type = "date32", roles = ["open"] },
]
"#,
    ),
];

struct World {
    coordinator: Arc<Coordinator>,
    session: Session,
    east: Arc<Node>,
    /// Plain DataFusion over the union of the open tables.
    oracle: SessionContext,
    _folder: tempfile::TempDir,
}

fn spells(number: usize) -> String {
    let mut text = String::from(
        "spell_number,person_number,consultant,chapter,hours,admitted,discharged,ended,visits,cost,extra\n",
    );
    for person in 0..40 {
        let chapter = if person < 20 { "A" } else { "B" };
        for repeat in 0..=(person % 3) {
            let spell = person * 10 + repeat;
            let hours = f64::from(spell) * 1.5 + 1.0 + number as f64;
            let n = 1 + repeat;
            writeln!(
                text,
                "{spell},{person},{},{chapter},{hours},2025-0{n}-01,2025-0{n}-02T10:00:00,2025-0{n}-0{},{n},{}.50,{}",
                person % 4,
                1 + n,
                100 * n,
                // One person has a surcharge.
                if person == 3 { 7 } else { 0 },
            )
            .unwrap();
        }
    }
    // One person in Z; one person, in A, whose dates are far away.
    text += "900,90,1,Z,5000,2025-01-01,2025-01-02T10:00:00,2025-01-02,1,1.00,0\n";
    text += "910,91,1,A,7777,9999-12-31,9999-12-31T00:00:00,9999-12-31,1,1.00,0\n";
    text
}

fn observations(number: usize) -> String {
    let mut text = String::new();
    for id in 0..30 {
        let code = ["A", "B", "C", "D", ""].get((id + number) % 5).unwrap();
        let x = if id % 7 == 3 { String::new() } else { format!("{}.25", id * (number + 1)) };
        let y = if id % 11 == 5 { String::new() } else { format!("{}.5", (id * id + number) % 17) };
        writeln!(text, "{id},{code},{x},{y},{},2025-01-{:02}", id % 4, 1 + id % 28).unwrap();
    }
    text
}

async fn world() -> World {
    world_with("preset = \"primary_only\"\nk = 10\n").await
}

/// The same with another policy at every node.
async fn world_with(policy: &str) -> World {
    let folder = tempfile::tempdir().unwrap();
    let mut contracts = Contracts::default();
    for (file, text) in CONTRACTS {
        contracts.insert_toml(file, text).unwrap();
    }
    let mut channels: Vec<Arc<dyn NodeChannel>> = vec![];
    let mut east = None;
    let mut union = String::from("organisation,id,code,x,y,n,d\n");
    let chapters = "code,title\nA,Alpha\nB,Beta\nC,Gamma\nZ,Zeta\nQ,Quiet\n";
    for (number, organisation) in ["east", "north", "west"].into_iter().enumerate() {
        let home = folder.path().join(organisation);
        std::fs::create_dir(&home).unwrap();
        let mut people = String::from("person_number,sex,age\n");
        let mut register = String::from("person_number,card,practice\n");
        let mut book = String::from("label,ward\n");
        for person in (0..40).chain([90, 91]) {
            writeln!(
                people,
                "{person},{},{}",
                if person % 2 == 0 { "F" } else { "M" },
                20 + person
            )
            .unwrap();
            writeln!(register, "{person},card{person},P{}", person % 2).unwrap();
            writeln!(book, "{person},W{}", person % 2).unwrap();
        }
        book += "none,W0\n";
        let observed = observations(number);
        for line in observed.lines() {
            writeln!(union, "{organisation},{line}").unwrap();
        }
        std::fs::write(home.join("person.csv"), people).unwrap();
        std::fs::write(home.join("register.csv"), register).unwrap();
        std::fs::write(home.join("ward_book.csv"), book).unwrap();
        std::fs::write(home.join("spell.csv"), spells(number)).unwrap();
        std::fs::write(home.join("chapter.csv"), chapters).unwrap();
        std::fs::write(home.join("obs.csv"), format!("id,code,x,y,n,d\n{observed}")).unwrap();
        let mut text = format!(
            "organisation = \"{organisation}\"\ncontracts = \"contracts\"\n\
             [tls]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\n[users]\nfile = \"u.toml\"\n\
             [policy]\n{policy}[ledger]\nfile = \"ledger.ndjson\"\n"
        );
        for (table, _) in CONTRACTS {
            writeln!(text, "[tables.{table}]\npath = \"{table}.csv\"").unwrap();
        }
        let config = ServerConfig::from_toml("serve.toml", &text, &home).unwrap();
        let node = Node::open(&config, contracts.clone()).await.unwrap();
        for table in node.describe().tables {
            assert!(table.conforming, "{}: {:?}", table.name, table.differences);
        }
        if organisation == "east" {
            east = Some(Arc::clone(&node));
        }
        channels.push(Arc::new(InProcessChannel::new(node)));
    }
    let oracle = SessionContext::new();
    for (name, text) in [("obs", union.as_str()), ("chapter", chapters)] {
        let path = folder.path().join(format!("{name}.csv"));
        std::fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap().to_owned();
        oracle.register_csv(name, path, CsvReadOptions::new()).await.unwrap();
    }
    let coordinator = Coordinator::connect(contracts, channels, Limits::default()).await.unwrap();
    let session = Session::new("analyst");
    World { coordinator, session, east: east.unwrap(), oracle, _folder: folder }
}

fn said(error: &EngineError) -> String {
    let error = error.external();
    format!("error {} {} {}", error.sqlstate, error.rule.unwrap_or_default(), error.message)
}

fn printed(batches: &[RecordBatch]) -> String {
    pretty_format_batches(batches).expect("printable").to_string()
}

impl World {
    /// A statement through the coordinator.
    async fn ask(&self, sql: &str) -> String {
        let answer = async {
            let prepared = self.coordinator.prepare(sql, true).await?;
            let answer = self.coordinator.run(&self.session, prepared).await?;
            answer.stream.try_collect::<Vec<_>>().await.map_err(EngineError::from_execution)
        };
        match answer.await {
            Ok(batches) => printed(&batches),
            Err(error) => said(&error),
        }
    }

    /// A fragment straight to a node, as a hostile coordinator sends it.
    async fn send(&self, sql: &str) -> String {
        let request = BundleRequest {
            version: BUNDLE_VERSION,
            statement_id: "1".to_owned(),
            fragments: vec![sql.to_owned()],
            statement: sql.to_owned(),
            user: "mallory".to_owned(),
            purpose: None,
            user_token: None,
            client_signature: None,
            on_unavailable: OnUnavailable::Fail,
            under: None,
        };
        match self.east.answer("mallory", request).await {
            Ok(released) => match reply(released).parts.try_collect::<Vec<_>>().await {
                Ok(parts) => {
                    let rows = |part| match part {
                        ReplyPart::Rows(_, batch) => Some(batch),
                        ReplyPart::Coverage(_) => None,
                    };
                    printed(&parts.into_iter().filter_map(rows).collect::<Vec<_>>())
                }
                Err(error) => said(&error),
            },
            Err(error) => said(&error),
        }
    }

    /// What plain DataFusion answers over the union of the open tables.
    async fn direct(&self, sql: &str) -> String {
        match self.oracle.sql(sql).await {
            Ok(frame) => match frame.collect().await {
                Ok(batches) => printed(&batches),
                Err(error) => format!("error {error}"),
            },
            Err(error) => format!("error {error}"),
        }
    }
}

fn assert_none(failures: &[String]) {
    assert!(failures.is_empty(), "{} holes:\n{}", failures.len(), failures.join("\n"));
}

/// `{P}` is a condition met by one person, then by nobody: the outcomes must be alike.
async fn alike(world: &World, attacks: &[&str], somebody: &str, nobody: &str) -> Vec<String> {
    let mut failures = vec![];
    for attack in attacks {
        let one = world.send(&attack.replace("{P}", somebody)).await;
        let none = world.send(&attack.replace("{P}", nobody)).await;
        let ok = one == none;
        if !ok {
            failures.push(format!("{attack:.200}\n   one:  {one:.200}\n   none: {none:.200}"));
        }
    }
    failures
}

const ONE: &str = "chapter = 'Z'";
const NONE: &str = "chapter = 'Q'";

#[tokio::test]
async fn casts_that_are_written_tell_nobody_apart() {
    let world = world().await;
    let attacks = [
        "SELECT count(CAST(chapter AS DOUBLE)) AS m0 FROM spell WHERE {P}",
        "SELECT count(CAST(chapter AS DOUBLE)) FILTER (WHERE {P}) AS m0 FROM spell",
        "SELECT count(CAST(CASE WHEN {P} THEN chapter END AS DOUBLE)) AS m0 FROM spell",
        "SELECT count(CAST(admitted AS DOUBLE)) AS m0 FROM spell WHERE {P}",
        "SELECT count(arrow_cast(chapter, 'Float64')) AS m0 FROM spell WHERE {P}",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND CAST(chapter AS DATE) = date '2025-01-01'",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND TRY_CAST(chapter AS DATE) IS NULL",
    ];
    let failures = alike(&world, &attacks, ONE, NONE).await;
    let twin = world.ask("SELECT chapter, avg(age) FROM spell s JOIN person p ON p.person_number = s.person_number GROUP BY 1 ORDER BY 1").await;
    assert!(twin.contains("| A "), "{twin}");
    let twin = world.send("SELECT count(chapter) AS m0 FROM spell").await;
    assert!(twin.contains("81 "), "{twin}");
    assert_none(&failures);
}

#[tokio::test]
async fn casts_that_are_not_written_tell_nobody_apart() {
    let world = world().await;
    let attacks = [
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND chapter = 5",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND chapter > 3",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND chapter IN (1, 2)",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND chapter BETWEEN 1 AND 5",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND CASE chapter WHEN 5 THEN true END",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND coalesce(chapter, 5) = 5",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND nullif(chapter, 5) = 'x'",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND admitted = chapter",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND discharged = chapter",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND hours = chapter",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND coalesce(admitted, chapter) IS NULL",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND chapter IS TRUE",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND chapter = true",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND NOT chapter",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND (chapter OR true)",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND CASE WHEN chapter THEN true END",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND hours IN ('x', '5')",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND hours = 'x'",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND admitted = 'x'",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND admitted = 5",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND hours LIKE '1%'",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND hours < 18446744073709551615",
        "SELECT count(*) FILTER (WHERE {P} AND chapter = 5) AS m0 FROM spell",
        "SELECT CASE WHEN {P} THEN chapter = 5 END AS k0, count(*) AS m0 FROM spell GROUP BY CASE WHEN {P} THEN chapter = 5 END",
        "SELECT count(*) AS m0 FROM spell AS r0 CROSS JOIN chapter AS r1 WHERE r0.{P} AND r1.code = r0.hours",
        "SELECT count(*) AS m0 FROM spell AS r0 CROSS JOIN ward_book AS r1 WHERE r0.{P} AND r1.label = r0.person_number",
    ];
    let failures = alike(&world, &attacks, ONE, NONE).await;
    for twin in [
        "SELECT count(*) AS m0 FROM spell WHERE chapter = 'A' AND hours > 3",
        "SELECT count(*) AS m0 FROM spell WHERE hours BETWEEN 1 AND 500",
        "SELECT count(*) AS m0 FROM spell WHERE admitted >= date '2025-01-01'",
        "SELECT count(*) AS m0 FROM spell WHERE admitted >= '2025-01-01'",
        "SELECT count(*) AS m0 FROM spell WHERE coalesce(chapter, '?') IN ('A', 'B')",
    ] {
        let answer = world.send(twin).await;
        assert!(answer.contains("| 0 "), "{twin}\n{answer}");
    }
    assert_none(&failures);
}

#[tokio::test]
async fn functions_that_can_fail_tell_nobody_apart() {
    let world = world().await;
    let blanks = "_".repeat(60_000);
    let long =
        format!("SELECT count(*) AS m0 FROM spell WHERE {{P}} AND chapter LIKE 'x{blanks}y%'");
    let insensitive =
        format!("SELECT count(*) AS m0 FROM spell WHERE {{P}} AND chapter ILIKE 'x{blanks}y%'");
    let attacks = [
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND date_trunc('nonsense', discharged) IS NULL",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND date_trunc(NULL, discharged) IS NULL",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND date_part('nonsense', admitted) = 1",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND date_part('timezone', discharged) = 1",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND date_part('century', discharged) = 1",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND date_part('hour', admitted) = 1",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND date_part('second', admitted) = 1",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND date_part('epoch', admitted) = 1",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND date_part('year', hours) = 1",
        "SELECT CASE WHEN {P} THEN date_trunc('nonsense', discharged) END AS k0, count(*) AS m0 FROM spell GROUP BY CASE WHEN {P} THEN date_trunc('nonsense', discharged) END",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND date_trunc('month', chapter) IS NULL",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND date_part('year', chapter) = 1",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND date_part('nanosecond', discharged) = 1",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND substr(chapter, 9223372036854775807, 9223372036854775807) = 'x'",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND left(chapter, 9223372036854775807) = 'x'",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND right(chapter, 9223372036854775807) = 'x'",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND left(chapter, '3') = 'x'",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND starts_with(chapter, 5)",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND chapter LIKE 'x' ESCAPE '!'",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND chapter LIKE 'x\\'",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND character_length(hours) = 1",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND upper(admitted) = 'X'",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND concat(hours, admitted, chapter) = 'X'",
        long.as_str(),
        insensitive.as_str(),
    ];
    let failures = alike(&world, &attacks, ONE, NONE).await;
    for twin in [
        "SELECT count(*) AS m0 FROM spell WHERE chapter LIKE 'A%'",
        "SELECT count(*) AS m0 FROM spell WHERE date_part('year', admitted) = 2025",
        "SELECT count(*) AS m0 FROM spell WHERE date_part('YEAR', discharged) = 2025 AND left(chapter, 1) = 'A'",
    ] {
        let answer = world.send(twin).await;
        assert!(answer.contains("| 0 "), "{twin}\n{answer}");
    }
    assert_none(&failures);
}

#[tokio::test]
async fn far_dates_tell_nobody_apart() {
    let world = world().await;
    // The person with 7777 hours has an open end: 9999-12-31, as many systems write it.
    let attacks = [
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND date_trunc('month', admitted) IS NULL",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND date_trunc('month', discharged) IS NULL",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND admitted < timestamp '2025-01-01 00:00:00'",
        "SELECT count(*) AS m0 FROM spell WHERE CASE WHEN {P} THEN admitted < timestamp '2025-01-01 00:00:00' END",
        "SELECT count(*) AS m0 FROM spell WHERE CASE WHEN {P} THEN discharged > admitted END",
        "SELECT count(*) AS m0 FROM spell WHERE CASE WHEN {P} THEN date_trunc('month', discharged) IS NULL END",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND discharged < timestamp '2025-01-01 00:00:00'",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND discharged < timestamp '2025-01-01 00:00:00.000000001'",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND discharged BETWEEN timestamp '2025-01-01 00:00:00' AND timestamp '2026-01-01 00:00:00'",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND discharged > admitted",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND discharged > date '2025-01-01'",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND coalesce(discharged, timestamp '2025-01-01 00:00:00') IS NULL",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND date_part('epoch', discharged) = 1",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND CAST(discharged AS VARCHAR) = 'x'",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND date_part('nanosecond', discharged) = 1",
    ];
    let failures = alike(&world, &attacks, "hours = 7777", "hours = 7778").await;
    assert_none(&failures);
}

#[tokio::test]
async fn far_dates_do_not_break_benign_questions() {
    let world = world().await;
    let mut failures = vec![];
    for benign in [
        "SELECT date_part('year', admitted) AS y, count(*) FROM spell GROUP BY 1 ORDER BY 1",
        "SELECT count(*) FROM spell WHERE discharged < timestamp '2026-01-01 00:00:00'",
        "SELECT count(*) FROM spell WHERE admitted < timestamp '2026-01-01 00:00:00'",
    ] {
        let answer = world.ask(benign).await;
        if answer.starts_with("error") {
            failures.push(format!("{benign}\n{answer}"));
        }
    }
    assert_none(&failures);
}

/// Attacks as `rules: statement`, refused under one of the rules straight at the node; and benign
/// twins, which must be answered there.
async fn refused(world: &World, attacks: &[&str], twins: &[&str]) -> Vec<String> {
    let mut failures = vec![];
    for attack in attacks {
        let (rules, sql) = attack.split_once(": ").unwrap();
        let answer = world.send(sql).await;
        let named = rules.split('|').any(|rule| answer.contains(rule));
        if !named || !answer.starts_with("error") {
            failures.push(format!("not refused by {attack}\n{answer}"));
        }
    }
    for twin in twins {
        let answer = world.send(twin).await;
        if answer.starts_with("error") {
            failures.push(format!("benign, but refused: {twin}\n{answer}"));
        }
    }
    failures
}

const BENIGN: &str = "SELECT chapter AS k0, count(*) AS m0 FROM spell GROUP BY chapter";

#[tokio::test]
async fn identifiers_stay_identifiers() {
    let world = world().await;
    let twin = "SELECT r.practice AS k0, count(*) AS m0 FROM register r GROUP BY r.practice";
    let attacks = [
        "S4: SELECT count(*) AS m0 FROM register WHERE card <> 'card3'",
        "S4: SELECT left(card, 4) AS k0, count(*) AS m0 FROM register GROUP BY left(card, 4)",
        "S4: SELECT count(*) AS m0 FROM register WHERE card LIKE 'card3%'",
        "S4: SELECT count(*) AS m0 FROM spell WHERE person_number <> 3",
        "S4: SELECT count(*) AS m0 FROM spell WHERE consultant = 3",
        "S4: SELECT count(*) AS m0 FROM spell WHERE person_number IN (1, 2)",
        "S4: SELECT count(*) AS m0 FROM spell WHERE coalesce(person_number, 1) = 3",
        "S4: SELECT count(*) AS m0 FROM spell WHERE CAST(person_number AS VARCHAR) LIKE '1%'",
        "S4: SELECT count(*) AS m0 FROM spell WHERE CASE WHEN person_number = 3 THEN true END",
        "S4: SELECT count(*) AS m0 FROM spell WHERE CASE person_number WHEN 3 THEN true END",
        "S4: SELECT count(*) AS m0 FROM spell WHERE person_number > spell_number",
        "S4: SELECT count(*) AS m0 FROM spell WHERE person_number IS NULL",
        "S4: SELECT count(*) FILTER (WHERE person_number = 3) AS m0 FROM spell",
        "S4: SELECT count(CASE WHEN person_number = 3 THEN 1 END) AS m0 FROM spell",
        "S4: SELECT sum(person_number) AS m0 FROM spell",
        "S4: SELECT count(spell_number) AS m0 FROM spell",
        "S4: SELECT person_number AS k0, count(*) AS m0 FROM spell GROUP BY person_number",
        "S3: SELECT count(DISTINCT spell_number) AS m0 FROM spell",
        "S4: WITH t AS (SELECT person_number AS chapter FROM spell) SELECT count(*) AS m0 FROM t WHERE chapter = 3",
        "S4: SELECT count(*) AS m0 FROM (SELECT CASE WHEN person_number = 3 THEN 'x' END AS c FROM spell) AS t WHERE c = 'x'",
        "S4: SELECT count(*) AS m0 FROM spell CROSS JOIN (VALUES (3)) AS v (n) WHERE n = person_number",
        "0A000: SELECT count(*) AS m0 FROM spell WHERE person_number IN (SELECT 3)",
        "S4|S5: SELECT count(*) AS m0 FROM spell AS s CROSS JOIN obs AS o WHERE o.id = s.person_number",
    ];
    let twins = [twin, BENIGN];
    assert_none(&refused(&world, &attacks, &twins).await);
}

#[tokio::test]
async fn measures_and_shapes() {
    let world = world().await;
    let attacks = [
        "S2: SELECT hours AS k0, count(*) AS m0 FROM spell GROUP BY hours",
        "S2: SELECT CASE WHEN hours > 3 THEN hours END AS k0, count(*) AS m0 FROM spell GROUP BY CASE WHEN hours > 3 THEN hours END",
        "S2: SELECT CAST(hours AS VARCHAR) AS k0, count(*) AS m0 FROM spell GROUP BY CAST(hours AS VARCHAR)",
        "S3: SELECT sum(hours + 100) AS m0 FROM spell",
        "S3: SELECT sum(hours * hours) AS m0 FROM spell",
        "S3: SELECT sum(CASE WHEN chapter = 'A' THEN 1 ELSE 1000 END) AS m0 FROM spell",
        "S3: SELECT sum(CASE WHEN chapter = 'A' THEN 1 WHEN chapter = 'B' THEN 1000 END) AS m0 FROM spell",
        "S3: SELECT count(*) FILTER (WHERE hours > 1) AS m0, count(*) FILTER (WHERE hours > 2) AS m1 FROM spell",
        "S3: SELECT sum(CASE WHEN hours > 2 THEN 1 END) FILTER (WHERE hours > 1) AS m0 FROM spell",
        "S3: SELECT regr_slope(age, hours) AS m0 FROM spell AS s CROSS JOIN person AS p WHERE s.person_number = p.person_number",
        "S8: SELECT max(hours) AS m0 FROM spell",
        "S8: SELECT bool_or(hours > 3) AS m0 FROM spell",
        "0A000: SELECT median(hours) AS m0 FROM spell",
        "0A000: SELECT approx_percentile_cont(hours, 0.5) AS m0 FROM spell",
        "0A000: SELECT array_agg(hours) AS m0 FROM spell",
        "0A000: SELECT hedgerow_people(person_number, 1) AS m0 FROM spell",
        "0A000: SELECT count(*) AS m0 FROM (SELECT * FROM spell LIMIT 1) AS t",
        "S7: SELECT count(*) AS m0 FROM (SELECT *, row_number() OVER () AS n FROM spell) AS t WHERE n = 1",
        "0A000: SELECT count(*) AS m0 FROM spell WHERE EXISTS (SELECT 1 FROM person)",
        "S1.shape: SELECT chapter AS k0, count(*) AS m0 FROM spell GROUP BY chapter HAVING count(*) > 1",
        "S1.shape: SELECT chapter AS k0, count(*) AS m0 FROM spell GROUP BY chapter ORDER BY sum(hours)",
        "0A000: SELECT chapter AS k0, count(*) AS m0 FROM spell GROUP BY ROLLUP (chapter)",
        "S1: SELECT chapter AS c0 FROM spell",
        "S9: SELECT count(*) AS m0 FROM spell WHERE md5(chapter) = 'x'",
        "0A000: SELECT count(*) AS m0 FROM spell WHERE random() < 0.5",
        "error: SELECT count(*) AS m0 FROM spell TABLESAMPLE BERNOULLI (10)",
        "error: SELECT count(*) AS m0 FROM spell AS s NATURAL FULL JOIN person AS p",
    ];
    let twins = [
        BENIGN,
        "SELECT CASE WHEN hours > 100 THEN 'long' ELSE 'short' END AS k0, count(*) AS m0 FROM spell GROUP BY CASE WHEN hours > 100 THEN 'long' ELSE 'short' END",
        "SELECT sum(hours) AS m0 FROM spell",
        "SELECT sum(CASE WHEN chapter = 'A' THEN 1 ELSE 0 END) AS m0 FROM spell",
        "SELECT count(*) FILTER (WHERE hours > 1) AS m0, sum(hours) FILTER (WHERE hours > 1) AS m1 FROM spell",
        "SELECT stddev(hours) AS m0 FROM spell",
    ];
    assert_none(&refused(&world, &attacks, &twins).await);
}

#[tokio::test]
async fn small_groups_leave_nothing() {
    let world = world().await;
    let mut failures = vec![];
    for (sql, secrets) in [
        ("SELECT chapter, count(*) FROM spell GROUP BY 1", vec!["Z"]),
        ("SELECT DISTINCT chapter FROM spell", vec!["Z"]),
        ("SELECT chapter, sum(hours), avg(hours) FROM spell GROUP BY 1", vec!["Z", "5000"]),
        (
            "SELECT organisation, chapter, avg(hours), stddev(hours), count(DISTINCT person_number) FROM spell GROUP BY 1, 2",
            vec!["Z", "5000"],
        ),
        ("SELECT concat(chapter, '-', chapter) AS c, count(*) FROM spell GROUP BY 1", vec!["Z-Z"]),
        (
            "SELECT count(*) FILTER (WHERE chapter = 'Z') AS n, sum(hours) FILTER (WHERE chapter = 'Z') AS h, avg(CASE WHEN chapter = 'Z' THEN 1 ELSE 0 END) AS r FROM spell",
            vec!["5000", "15000", "0.0", "| 3 ", "| 1 "],
        ),
        (
            "SELECT p.sex, count(s.hours) AS n, sum(s.hours) AS h FROM person p LEFT JOIN spell s ON s.person_number = p.person_number AND s.chapter = 'Z' GROUP BY 1",
            vec!["5000", "15000", "| 3 ", "| 1 "],
        ),
        (
            "SELECT s.chapter, p.sex, count(*) FROM spell s LEFT JOIN person p ON p.person_number = s.person_number GROUP BY 1, 2",
            vec!["Z"],
        ),
        ("SELECT chapter, count(*) FROM spell GROUP BY 1 ORDER BY 2 LIMIT 1", vec!["Z"]),
    ] {
        let answer = world.ask(sql).await;
        if answer.starts_with("error") || secrets.iter().any(|secret| answer.contains(secret)) {
            failures.push(format!("{sql}\n{answer}"));
        }
    }
    assert_none(&failures);
}

#[tokio::test]
async fn marks_are_not_lost() {
    let world = world().await;
    let mut failures = vec![];
    // Z is withheld everywhere, nobody is in Q: both are "none or withheld", never an exact zero.
    for (sql, forbidden) in [
        (
            "SELECT c.code, coalesce(t.n, 0) AS n FROM chapter c LEFT JOIN (SELECT chapter, count(*) AS n FROM spell GROUP BY 1) t ON t.chapter = c.code WHERE c.code = 'Z'",
            vec!["| 0 "],
        ),
        (
            "SELECT c.code, t.n FROM chapter c LEFT JOIN (SELECT chapter, count(*) AS n FROM spell GROUP BY 1) t ON t.chapter = c.code WHERE c.code = 'Z'",
            vec!["|          |"],
        ),
        (
            "SELECT c.code, CASE WHEN t.n IS NULL THEN 'nobody' ELSE 'some' END AS n FROM chapter c LEFT JOIN (SELECT chapter, count(*) AS n FROM spell GROUP BY 1) t ON t.chapter = c.code WHERE c.code = 'Z'",
            vec!["nobody"],
        ),
        (
            "SELECT c.code, t.n FROM (SELECT chapter, count(*) AS n FROM spell GROUP BY 1) t RIGHT JOIN chapter c ON t.chapter = c.code WHERE c.code = 'Z'",
            vec!["|          |"],
        ),
    ] {
        let answer = world.ask(sql).await;
        if answer.starts_with("error") || forbidden.iter().any(|text| answer.contains(text)) {
            failures.push(format!("{sql}\n{answer}"));
        }
    }
    for sql in [
        "SELECT count(*) AS n FROM (SELECT DISTINCT chapter FROM spell)",
        "SELECT count(*) AS n FROM (SELECT chapter FROM spell GROUP BY chapter)",
        "SELECT count(*) AS n FROM chapter c WHERE c.code NOT IN (SELECT chapter FROM spell GROUP BY chapter)",
    ] {
        let answer = world.ask(sql).await;
        if !answer.contains("n_status") && !answer.starts_with("error") {
            failures.push(format!(
                "counts released groups, but is not marked partial: {sql}\n{answer}"
            ));
        }
    }
    assert_none(&failures);
}

#[tokio::test]
async fn keys_of_mixed_types_are_answered() {
    let world = world().await;
    let mut failures = vec![];
    for sql in [
        "SELECT CASE WHEN chapter = 'A' THEN 1 ELSE 2.5 END AS g, count(*) FROM spell GROUP BY 1",
        "SELECT CASE WHEN chapter = 'A' THEN NULL ELSE 'b' END AS g, count(*) FROM spell GROUP BY 1",
        "SELECT coalesce(NULL, chapter) AS g, count(*) FROM spell GROUP BY 1",
        "SELECT nullif(chapter, 'A') AS g, count(*) FROM spell GROUP BY 1",
        "SELECT substr(chapter, 1, 1) AS g, left(chapter, 1), trim(chapter), upper(chapter), concat(chapter, 'x'), chapter || 'y', count(*) FROM spell GROUP BY 1, 2, 3, 4, 5, 6",
        "SELECT date_part('year', admitted) AS g, count(*) FROM spell GROUP BY 1",
        "SELECT 'all' AS g, count(*) FROM spell GROUP BY 1",
        "SELECT 1 AS g, NULL AS h, count(*) FROM spell GROUP BY 1, 2",
        "SELECT count(*) AS n, chapter FROM spell GROUP BY chapter, chapter",
        "SELECT organisation, code, count(*) FROM chapter GROUP BY 1, 2",
    ] {
        let answer = world.ask(sql).await;
        if answer.starts_with("error") {
            failures.push(format!("{sql}\n{answer}"));
        }
    }
    assert_none(&failures);
}

#[tokio::test]
async fn open_tables_answer_as_one_database() {
    let world = world().await;
    let mut failures = vec![];
    for sql in [
        "SELECT code, count(*) AS n, count(x) AS c, round(sum(x), 6) AS s, round(avg(x), 6) AS a, min(x) AS lo, max(y) AS hi FROM obs GROUP BY code ORDER BY code",
        "SELECT code, round(var_pop(x), 6) AS a, round(var_samp(x), 6) AS b, round(stddev(y), 6) AS c, round(stddev_pop(y), 6) AS d FROM obs GROUP BY code ORDER BY code",
        "SELECT code, round(covar_pop(x, y), 6) AS a, round(covar_samp(x, y), 6) AS b, round(corr(x, y), 6) AS c FROM obs GROUP BY code ORDER BY code",
        "SELECT code, round(regr_slope(y, x), 6) AS a, round(regr_intercept(y, x), 6) AS b, round(regr_r2(y, x), 6) AS c, regr_count(y, x) AS d, round(regr_avgx(y, x), 6) AS e, round(regr_avgy(y, x), 6) AS f, round(regr_sxx(y, x), 4) AS g, round(regr_syy(y, x), 4) AS h, round(regr_sxy(y, x), 4) AS i FROM obs GROUP BY code ORDER BY code",
        "SELECT round(avg(x), 6) AS a, round(avg(x) FILTER (WHERE n = 1), 6) AS b, count(*) FILTER (WHERE n > 9) AS c, sum(n) FILTER (WHERE n > 9) AS d FROM obs",
        "SELECT count(*) AS a, sum(n) AS b, avg(n) AS c FROM obs WHERE code = 'nowhere'",
        "SELECT n, count(*) AS c, round(avg(n), 6) AS a FROM obs GROUP BY n HAVING count(*) > 1 ORDER BY n",
        "SELECT c.title, count(*) AS n, count(o.x) AS x FROM obs o LEFT JOIN chapter c ON c.code = o.code AND o.n > 1 GROUP BY c.title ORDER BY c.title",
        "SELECT c.title, count(*) AS n FROM obs o LEFT JOIN chapter c ON c.code = o.code WHERE c.code IS NULL OR o.n > 1 GROUP BY c.title ORDER BY c.title",
        "SELECT c.title, count(*) AS n FROM obs o LEFT JOIN (SELECT * FROM chapter WHERE title <> 'Alpha') c ON c.code = o.code GROUP BY c.title ORDER BY c.title",
        "SELECT c.title, count(o.id) AS n FROM chapter c LEFT JOIN obs o ON c.code = o.code AND o.n = 2 GROUP BY c.title ORDER BY c.title",
        "SELECT c.title, count(o.id) AS n FROM obs o RIGHT JOIN chapter c ON c.code = o.code AND o.n = 2 GROUP BY c.title ORDER BY c.title",
        "SELECT c.title, count(*) AS n FROM obs o FULL JOIN chapter c ON c.code = o.code GROUP BY c.title ORDER BY c.title",
        "SELECT code, title, count(*) AS n FROM obs JOIN chapter USING (code) GROUP BY code, title ORDER BY code",
        "SELECT code, count(*) AS n FROM obs LEFT JOIN chapter USING (code) GROUP BY code ORDER BY code",
        "SELECT a.n, count(*) AS c FROM obs a JOIN obs b ON a.organisation = b.organisation AND a.id = b.id GROUP BY a.n ORDER BY a.n",
        "SELECT a.n, count(b.id) AS c FROM obs a LEFT JOIN obs b ON a.organisation = b.organisation AND a.id = b.id AND b.n = 1 GROUP BY a.n ORDER BY a.n",
        "SELECT a.n, count(b.id) AS c FROM obs a LEFT JOIN (SELECT * FROM obs WHERE n = 1) b ON a.organisation = b.organisation AND a.id = b.id LEFT JOIN chapter c ON c.code = b.code WHERE a.n < 3 GROUP BY a.n ORDER BY a.n",
        "SELECT count(*) AS c FROM obs WHERE code IS DISTINCT FROM 'A'",
        "SELECT count(*) AS c FROM obs WHERE NOT (x > 10)",
        "SELECT count(*) AS c FROM obs WHERE code NOT IN ('A', 'B')",
        "SELECT count(*) AS c FROM obs WHERE code NOT IN ('A', NULL)",
        "SELECT count(*) AS c FROM obs WHERE code IN ('it''s', 'B\\', 'é☃', 'A')",
        "SELECT count(*) AS c FROM obs WHERE x > -1.5 AND x < 1e3 AND n > -9223372036854775808",
        "SELECT count(*) AS c FROM obs WHERE x = 0.1 + 0.2 OR n < 18446744073709551615",
        "SELECT count(*) AS c FROM obs WHERE d >= date '2025-01-10' - interval '5' day AND d < date '2025-01-10' + interval '1 month'",
        "SELECT CASE n WHEN 1 THEN 'one' WHEN 2 THEN 'two' END AS k, count(*) AS c FROM obs GROUP BY 1 ORDER BY 1",
        "SELECT code LIKE '\\_' AS k, count(*) AS c FROM obs GROUP BY 1 ORDER BY 1",
        "SELECT n, x > 5 AS k, count(*) AS c FROM obs GROUP BY n, x > 5 ORDER BY n, k",
        "SELECT count(DISTINCT code) AS c, sum(DISTINCT n) AS s FROM obs",
        "SELECT DISTINCT n, code FROM obs ORDER BY n, code",
        "SELECT date_trunc('month', d) AS k, count(*) AS c FROM obs GROUP BY 1 ORDER BY 1",
        "SELECT sum(c) AS s FROM (SELECT code, count(*) AS c FROM obs GROUP BY code) t",
        "SELECT code, count(*) AS c, rank() OVER (ORDER BY count(*) DESC, code) AS r FROM obs GROUP BY code ORDER BY code",
        "SELECT code, n FROM obs WHERE x > 10 AND n = 3 ORDER BY organisation, id LIMIT 7",
        "SELECT organisation, max(id) AS i, count(*) AS c FROM obs WHERE organisation <> 'north' GROUP BY 1 ORDER BY 1",
        "SELECT count(*) AS c FROM obs WHERE organisation = 'east' OR n = 1",
        "SELECT CASE WHEN organisation = 'east' THEN 'e' ELSE 'o' END AS k, round(avg(x), 6) AS a FROM obs GROUP BY 1 ORDER BY 1",
    ] {
        let (federated, direct) = (world.ask(sql).await, world.direct(sql).await);
        // Column widths follow names, which agree; values must too.
        if federated != direct {
            failures.push(format!("{sql}\nfederated\n{federated}\ndirect\n{direct}"));
        }
    }
    assert_none(&failures);
}

/// A statement of allowed length must not end the node's process: tried in a process of its own.
#[test]
fn deep_statements_do_not_end_the_process() {
    let program = std::env::current_exe().unwrap();
    let mut failures = vec![];
    for kind in ["and", "or", "concat", "plus", "joins"] {
        let mut child = std::process::Command::new(&program)
            .args(["--exact", "deep_statement_child"])
            .env("RED_TEAM_DEEP", kind)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let started = std::time::Instant::now();
        let ended = loop {
            match child.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if started.elapsed().as_secs() > 20 => break None,
                None => std::thread::sleep(std::time::Duration::from_millis(50)),
            }
        };
        match ended {
            Some(status) if status.success() => {}
            Some(status) => failures.push(format!("{kind}: {status}")),
            None => {
                child.kill().unwrap();
                child.wait().unwrap();
                failures.push(format!("{kind}: still at work after 20 seconds"));
            }
        }
    }
    assert_none(&failures);
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_statement_child() {
    let Ok(kind) = std::env::var("RED_TEAM_DEEP") else { return };
    let world = Arc::new(world().await);
    let repeat = |start: &str, part: &str| format!("{start}{}", part.repeat(200_000 / part.len()));
    let sql = match kind.as_str() {
        "and" => repeat("SELECT count(*) AS m0 FROM spell WHERE hours > 1", " AND hours > 1"),
        "or" => repeat("SELECT count(*) AS m0 FROM spell WHERE hours > 1", " OR hours > 1"),
        "concat" => repeat("SELECT count(*) AS m0 FROM spell WHERE chapter = 'x'", " || 'x'"),
        "plus" => repeat("SELECT count(*) AS m0 FROM spell WHERE hours > 1", " + 1"),
        _ => repeat("SELECT count(*) AS m0 FROM spell", " CROSS JOIN person"),
    };
    let asked = Arc::clone(&world);
    let node = sql.clone();
    let direct = tokio::spawn(async move { asked.send(&node).await }).await;
    let federated = tokio::spawn(async move { world.ask(&sql).await }).await;
    // Any answer or refusal will do, as long as there is one.
    assert!(!direct.unwrap().is_empty() && !federated.unwrap().is_empty());
}
