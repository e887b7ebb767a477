//! SQL with its answers over the real wire, one file by topic in `tests/slt`.
//!
//! How values print: NULL as `NULL`, a withheld value as `[c]`, a value of which a part may be
//! withheld as `value[c]`, floats with at most six decimals. An error reads `SQLSTATE rule: message
//! | hint`, with `-` where no rule decided. The line `coverage` asks what stands behind the answer
//! before it.
//!
//! The data, counted in people and, behind the stroke, in spells:
//!
//! ```text
//! chapter   east (1..29)   north (1..40)   west (1..44)
//! A         10 / 15        10 / 15         12 / 18
//! B          9 / 13        20 / 30         20 / 30
//! C         10 / 15        10 / 15          0
//! NULL       0              0              12 / 18
//! all       29 / 43        40 / 60         44 / 66
//! ```
//! Everybody has one spell (January, 10 hours, one visit, 100.50), people of even number a second
//! one (February, 20 hours, two visits, 200.25). Spells of chapter C have no cost. Every third
//! person is urgent. Sex is F for odd numbers, M for 2 in 4, else NULL; every fifth person is a
//! child. Persons 1 to 5 are the same at every organisation.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array,
    RecordBatch, StringArray,
};
use arrow::datatypes::DataType;
use async_trait::async_trait;
use hedgerow::shell::coverage_lines;
use hedgerow_engine::{Coverage, WireError};
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};

use crate::answers::{Status, Value, companion, rows, values_of};
use crate::world::{Client, Data, Organisation, Spec, World, in_time};

const PERSON: &str = r#"
name = "person"
version = 1
description = "People known to an organisation"
person = { column = "person_number", scope = "organisation" }
[[columns]]
name = "person_number"
type = "int64"
roles = ["identifier"]
unique = true
[[columns]]
name = "pseudonym"
type = "utf8"
roles = ["identifier"]
scope = "federation"
unique = true
[[columns]]
name = "sex"
type = "utf8"
roles = ["dimension"]
[[columns]]
name = "age_band"
type = "utf8"
roles = ["dimension"]
[[columns]]
name = "surname"
type = "utf8"
"#;

const SPELL: &str = r#"
name = "spell"
version = 1
person = { column = "person_number", scope = "organisation" }
keys = [["spell_number"]]
products = [["visits", "cost"]]
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
name = "urgent"
type = "bool"
roles = ["dimension"]
[[columns]]
name = "admitted"
type = "date32"
roles = ["dimension"]
[[columns]]
name = "hours"
type = "float64"
roles = ["measure"]
bins = [0, 5, 15, 25]
[[columns]]
name = "cost"
type = "decimal128(10,2)"
roles = ["measure"]
[[columns]]
name = "visits"
type = "int32"
roles = ["measure"]
bins = [2, 3]
[[columns]]
name = "score"
type = "float64"
roles = ["measure"]
continuous = true
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
name = "occupied"
type = "int32"
roles = ["open"]
[[columns]]
name = "cost"
type = "decimal128(10,2)"
roles = ["open"]
[[columns]]
name = "opened"
type = "date32"
roles = ["open"]
[[columns]]
name = "staffed"
type = "bool"
roles = ["open"]
[[columns]]
name = "load"
type = "float64"
roles = ["open"]
[[columns]]
name = "note"
type = "utf8"
"#;

const STOCK: &str = r#"
name = "stock"
version = 1
protection = "open"
[[columns]]
name = "item"
type = "utf8"
roles = ["open"]
[[columns]]
name = "quantity"
type = "int64"
roles = ["open"]
"#;

const MAPPED_SPELL: &str = "\
SELECT CAST(id AS BIGINT) AS spell_number, CAST(patient AS BIGINT) AS person_number,
       NULLIF(dx, '-') AS chapter, urg = 'Y' AS urgent, CAST(adm AS DATE) AS admitted,
       CAST(minutes AS DOUBLE) / 60 AS hours,
       CAST(CAST(pence AS DECIMAL(12, 0)) / 100 AS DECIMAL(10, 2)) AS cost,
       CAST(contacts AS INT) AS visits, CAST(score AS DOUBLE) AS score
FROM pas_episodes
";

/// Tables of the coordinator itself.
const BAND: &str = r#"
name = "band"
version = 1
protection = "open"
columns = [
  { name = "chapter", type = "utf8", roles = ["open"] },
  { name = "band", type = "utf8", roles = ["open"] },
  { name = "weight", type = "float64", roles = ["open"] },
]
"#;

const LONG_LIST: &str = r#"
name = "long_list"
version = 1
protection = "open"
columns = [{ name = "code", type = "utf8", roles = ["open"] }]
"#;

const BANDS: &str = "chapter,band,weight\nA,low,0.5\nB,low,1.5\nC,high,2.5\nD,high,3.5\n";

/// More codes than an inline table may have rows.
fn long_list() -> String {
    let more = (0..1_000).map(|number| format!("X{number}\n"));
    ["code\n", "A\n", "B\n"].into_iter().map(str::to_owned).chain(more).collect()
}

const COORDINATOR: &str = r#"
[federation.tables.band]
path = "band.csv"
[federation.tables.long_list]
path = "long_list.csv"
[views.stays]
description = "Spells and people by chapter"
sql = """
SELECT organisation, chapter, count(*) AS spells, count(DISTINCT person_number) AS people
FROM spell GROUP BY organisation, chapter;
"""
[views.all_stays]
sql = "SELECT chapter, sum(spells) AS spells FROM shared.stays GROUP BY chapter"
[views.people]
sql = "SELECT * FROM person"
[views.big_wards]
description = "Wards of more than 10 beds"
sql = "SELECT DISTINCT ward FROM bed WHERE beds > 10"
[views.broken]
sql = "SELECT no_such FROM person"
[views.on_broken]
sql = "SELECT * FROM broken"
"#;

const BED_HEAD: &str = "ward,beds,occupied,cost,opened,staffed,load,note\n";
const CHAPTERS: &str = "code,title\nA,Alpha\nB,Beta\nC,Gamma\nD,Delta\n";

/// 2025-01-15 and 2025-02-20.
const DAYS: [i32; 2] = [20_103, 20_139];

struct Spell {
    number: i64,
    person: i64,
    chapter: Option<&'static str>,
    second: bool,
}

impl Spell {
    fn cost_pence(&self) -> Option<i128> {
        let pence = if self.second { 20_025 } else { 10_050 };
        (self.chapter != Some("C")).then_some(pence)
    }

    /// Another one for each spell of an organisation.
    fn score(&self) -> f64 {
        self.number as f64 / 4.0
    }

    fn urgent(&self) -> bool {
        self.person % 3 == 0
    }
}

/// The spells of people whose chapter `chapter` tells.
fn spells(people: i64, chapter: fn(i64) -> Option<&'static str>) -> Vec<Spell> {
    let of = |person: i64| {
        let chapter = chapter(person);
        let seconds: &[bool] = if person % 2 == 0 { &[false, true] } else { &[false] };
        seconds.iter().map(move |&second| {
            let number = person * 10 + i64::from(second);
            Spell { number, person, chapter, second }
        })
    };
    (1..=people).flat_map(of).collect()
}

fn east() -> Vec<Spell> {
    spells(29, |person| match person {
        1..=10 => Some("A"),
        11..=19 => Some("B"),
        _ => Some("C"),
    })
}

fn north() -> Vec<Spell> {
    spells(40, |person| match person {
        1..=10 => Some("A"),
        11..=30 => Some("B"),
        _ => Some("C"),
    })
}

fn west() -> Vec<Spell> {
    spells(44, |person| match person {
        1..=12 => Some("A"),
        13..=32 => Some("B"),
        _ => None,
    })
}

fn csv(spells: &[Spell]) -> Data {
    let mut text =
        "spell_number,person_number,chapter,urgent,admitted,hours,cost,visits,score\n".to_owned();
    for spell in spells {
        let cost = match spell.cost_pence() {
            Some(pence) => format!("{}.{:02}", pence / 100, pence % 100),
            None => String::new(),
        };
        let (day, hours, visits) =
            if spell.second { ("2025-02-20", 20, 2) } else { ("2025-01-15", 10, 1) };
        text.push_str(&format!(
            "{},{},{},{},{day},{hours}.0,{cost},{visits},{}\n",
            spell.number,
            spell.person,
            spell.chapter.unwrap_or_default(),
            spell.urgent(),
            spell.score(),
        ));
    }
    Data::Csv(text)
}

fn parquet(spells: &[Spell]) -> Data {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("spell_number", Arc::new(spells.iter().map(|s| Some(s.number)).collect::<Int64Array>())),
        ("person_number", Arc::new(spells.iter().map(|s| Some(s.person)).collect::<Int64Array>())),
        ("chapter", Arc::new(spells.iter().map(|s| s.chapter).collect::<StringArray>())),
        ("urgent", Arc::new(spells.iter().map(|s| Some(s.urgent())).collect::<BooleanArray>())),
        (
            "admitted",
            Arc::new(
                spells.iter().map(|s| Some(DAYS[usize::from(s.second)])).collect::<Date32Array>(),
            ),
        ),
        (
            "hours",
            Arc::new(
                spells
                    .iter()
                    .map(|s| Some(if s.second { 20.0 } else { 10.0 }))
                    .collect::<Float64Array>(),
            ),
        ),
        (
            "cost",
            Arc::new(
                spells
                    .iter()
                    .map(Spell::cost_pence)
                    .collect::<Decimal128Array>()
                    .with_precision_and_scale(10, 2)
                    .unwrap(),
            ),
        ),
        (
            "visits",
            Arc::new(spells.iter().map(|s| Some(1 + i32::from(s.second))).collect::<Int32Array>()),
        ),
        ("score", Arc::new(spells.iter().map(|s| Some(s.score())).collect::<Float64Array>())),
    ];
    Data::Rows(vec![
        RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, array)| (name, array, true)),
        )
        .unwrap(),
    ])
}

/// The layout of west's own system: other names, codes and units.
fn episodes(spells: &[Spell]) -> Data {
    let mut text = "id,patient,dx,urg,adm,minutes,pence,contacts,score\n".to_owned();
    for spell in spells {
        let (day, minutes, contacts) =
            if spell.second { ("2025-02-20", 1_200, 2) } else { ("2025-01-15", 600, 1) };
        text.push_str(&format!(
            "{},{},{},{},{day},{minutes},{},{contacts},{}\n",
            spell.number,
            spell.person,
            spell.chapter.unwrap_or("-"),
            if spell.urgent() { "Y" } else { "N" },
            spell.cost_pence().unwrap(),
            spell.score(),
        ));
    }
    Data::Csv(text)
}

fn people(organisation: &str, count: i64) -> Data {
    let mut text = "person_number,pseudonym,sex,age_band,surname\n".to_owned();
    for person in 1..=count {
        let at = if person <= 5 { "shared" } else { organisation };
        let sex = match person % 4 {
            1 | 3 => "F",
            2 => "M",
            _ => "",
        };
        let band = if person % 5 == 0 { "child" } else { "adult" };
        text.push_str(&format!("{person},{at}-{person},{sex},{band},secret\n"));
    }
    Data::Csv(text)
}

fn beds(rows: &str) -> Data {
    Data::Csv(format!("{BED_HEAD}{rows}"))
}

/// Three organisations: west maps its spells, and north's stock departs from its contract.
pub(crate) fn spec() -> Spec {
    let east_beds =
        "surgery,10,8,1.10,2020-01-01,true,0.5,x\nmedicine,20,,2.25,2021-06-30,false,1.5,x\n";
    let north_beds = "surgery,30,25,3.30,,true,2.5,x\nmaternity,5,5,0.05,2022-02-28,,0.25,x\n";
    let west_beds = "medicine,40,40,4.40,2019-12-31,true,4.0,x\n,7,0,,2023-03-03,false,,x\n";
    let stock = |rows: &str| Data::Csv(format!("item,quantity\n{rows}"));
    let common = |id: &str, count: i64, rows: &str| {
        Organisation::new(id)
            .table("person", people(id, count))
            .table("chapter", Data::Csv(CHAPTERS.to_owned()))
            .table("bed", beds(rows))
    };
    Spec::default()
        .contract(PERSON)
        .contract(SPELL)
        .contract(CHAPTER)
        .contract(BED)
        .contract(STOCK)
        .contract(BAND)
        .contract(LONG_LIST)
        .coordinator(COORDINATOR)
        .coordinator_file("band.csv", BANDS)
        .coordinator_file("long_list.csv", &long_list())
        .k(10)
        .organisation(
            common("east", 29, east_beds)
                .table("spell", csv(&east()))
                .table("stock", stock("gloves,100\nmasks,50\n")),
        )
        .organisation(
            common("north", 40, north_beds)
                .table("spell", parquet(&north()))
                .table("stock", Data::Csv("item,amount\ngloves,1000\n".to_owned())),
        )
        .organisation(
            common("west", 44, west_beds)
                .source("pas_episodes", episodes(&west()))
                .mapping("spell", MAPPED_SPELL)
                .table("stock", stock("gloves,7\n")),
        )
}

/// An error as the files expect it.
#[derive(Debug)]
struct Problem(WireError);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WireError { sqlstate, rule, message, hint, .. } = &self.0;
        write!(f, "{sqlstate} {}: {message}", rule.as_deref().unwrap_or("-"))?;
        hint.as_ref().map_or(Ok(()), |hint| write!(f, " | {hint}"))
    }
}

impl std::error::Error for Problem {}

/// A connection of the runner.
struct Connection {
    client: Client,
    coverage: Coverage,
}

#[async_trait]
impl AsyncDB for Connection {
    type Error = Problem;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Problem> {
        if sql.trim() == "coverage" {
            let rows = coverage_lines(&self.coverage).into_iter().map(|line| vec![line]).collect();
            return Ok(DBOutput::Rows { types: vec![DefaultColumnType::Text], rows });
        }
        let answer = self.client.try_ask(sql).await.map_err(Problem)?;
        self.coverage = answer.coverage;
        let schema = answer.batches[0].schema();
        if schema.fields().is_empty() {
            return Ok(DBOutput::StatementComplete(0));
        }
        let visible = schema
            .fields()
            .iter()
            .filter(|field| !field.metadata().contains_key(hedgerow_engine::COMPANION_OF));
        let types = visible.map(|field| column_type(field.data_type())).collect();
        let printed = rows(&answer.batches).into_iter();
        let printed = printed.map(|row| row.into_iter().map(print).collect()).collect();
        Ok(DBOutput::Rows { types, rows: printed })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "hedgerow"
    }

    fn error_sql_state(error: &Problem) -> Option<String> {
        Some(error.0.sqlstate.clone())
    }
}

fn column_type(data_type: &DataType) -> DefaultColumnType {
    match data_type {
        integer if integer.is_integer() => DefaultColumnType::Integer,
        number if number.is_numeric() => DefaultColumnType::FloatingPoint,
        DataType::Utf8 => DefaultColumnType::Text,
        _ => DefaultColumnType::Any,
    }
}

fn print((value, status): (Value, Status)) -> String {
    let text = match value {
        Value::Null => "NULL".to_owned(),
        Value::Exact(text) if text.is_empty() => "(empty)".to_owned(),
        Value::Exact(text) => text,
        Value::Float(value) => {
            let text = format!("{value:.6}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    };
    match status {
        Status::Whole => text,
        Status::Partial => format!("{text}[c]"),
        Status::Withheld => "[c]".to_owned(),
    }
}

/// Runs the files of some topics, and tells all that fails.
async fn check(topics: &[&str]) {
    in_time(async {
        let world = World::start(spec()).await;
        let mut failures = vec![];
        for topic in topics {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/slt/{topic}.slt"));
            let records = sqllogictest::parse_file(&file).unwrap();
            let mut runner = Runner::new(|| async {
                Ok(Connection { client: world.client().await, coverage: Coverage::default() })
            });
            runner.with_column_validator(sqllogictest::strict_column_validator);
            for record in records {
                if let Err(error) = runner.run_async(record).await {
                    failures.push(error.display(false).to_string());
                }
            }
        }
        world.shutdown().await;
        assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n\n"));
    })
    .await;
}

macro_rules! topics {
    ($($topic:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $topic() {
                check(&[stringify!($topic)]).await;
            }
        )*

        #[test]
        fn no_file_is_forgotten() {
            let known = [$(stringify!($topic)),*];
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let topic = path.file_stem().unwrap().to_str().unwrap();
                assert!(known.contains(&topic), "no test runs {topic}.slt");
            }
        }
    };
}

topics! {
    aggregates filters grouping joins windows_and_ctes open_rows organisation refusals errors
    metadata explain withheld person_level measures values views own_tables
}

/// The bounds beside partial and withheld cells: what may be hidden, and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bounds_stand_beside_partial_values() {
    in_time(async {
        let world = World::start(spec()).await;
        let mut client = world.client().await;
        let sql = "SELECT sex, count(*) AS people FROM person WHERE sex = 'M' GROUP BY sex";
        let answer = client.ask(sql).await;
        let batch = &answer.batches[0];
        let bound = |what| values_of(companion(batch, "people", what).unwrap());
        // North has 10 and west 11; east hides at most nine.
        assert_eq!(bound("lower"), [Value::Exact("21".to_owned())]);
        assert_eq!(bound("upper"), [Value::Exact("30".to_owned())]);
        // Rows are not people: nothing is known upwards.
        let sql = "SELECT chapter, count(*) AS spells FROM spell WHERE chapter = 'B' GROUP BY 1";
        let answer = client.ask(sql).await;
        let batch = &answer.batches[0];
        let bound = |what| values_of(companion(batch, "spells", what).unwrap());
        assert_eq!(bound("lower"), [Value::Exact("60".to_owned())]);
        assert_eq!(bound("upper"), [Value::Null]);
        // At least the largest part, at most the sum of all: 29 + 40 + 44.
        let answer = client.ask("SELECT count(DISTINCT pseudonym) AS people FROM person").await;
        let batch = &answer.batches[0];
        let bound = |what| values_of(companion(batch, "people", what).unwrap());
        assert_eq!(bound("lower"), [Value::Exact("44".to_owned())]);
        assert_eq!(bound("upper"), [Value::Exact("113".to_owned())]);
        // Three chapters were released; there may be any number of others.
        let answer = client.ask("SELECT count(DISTINCT chapter) AS chapters FROM spell").await;
        let batch = &answer.batches[0];
        let bound = |what| values_of(companion(batch, "chapters", what).unwrap());
        assert_eq!(bound("lower"), [Value::Exact("3".to_owned())]);
        assert_eq!(bound("upper"), [Value::Null]);
        // An estimate has no bounds.
        let answer = client.ask("SELECT median(hours) AS hours FROM spell").await;
        let batch = &answer.batches[0];
        for what in ["lower", "upper"] {
            assert_eq!(values_of(companion(batch, "hours", what).unwrap()), [Value::Null]);
        }
        world.shutdown().await;
    })
    .await;
}
