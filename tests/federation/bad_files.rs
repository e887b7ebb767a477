//! Data files that are not what they should be, before a node starts and while it runs: corrupt and
//! truncated Parquet, CSV that breaks its declared types. The node starts, says what is wrong, and
//! never shows a value.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_writer::ArrowWriterOptions;
use datafusion::parquet::file::properties::WriterProperties;
use hedgerow_engine::{NodeOutcome, WireError};

use crate::answers::{Value, values};
use crate::contracts::WARD;
use crate::dice::Dice;
use crate::logs;
use crate::panics;
use crate::world::{Client, Data, Organisation, Spec, World, in_time};

const VISIT: &str = r#"
name = "visit"
version = 1
person = { column = "person_number", scope = "organisation" }
[[columns]]
name = "person_number"
type = "int64"
roles = ["identifier"]
[[columns]]
name = "clinic"
type = "utf8"
roles = ["dimension"]
"#;

/// Values of the data, which no error and no log may hold.
const SECRETS: [&str; 3] = ["pangolin", "6283185307", "aardvark wing"];

const CELLS: &str = "SELECT clinic, count(*) FROM visit GROUP BY clinic ORDER BY 1";

/// 2,000 visits of 1,000 people in several row groups and pages, at a clinic per hundred people.
fn parquet() -> Vec<u8> {
    parquet_with(true)
}

/// With or without the schema that Arrow adds to Parquet's own.
fn parquet_with(arrow_schema: bool) -> Vec<u8> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("person_number", DataType::Int64, true),
        Field::new("clinic", DataType::Utf8, true),
    ]));
    let people = (0..2_000).map(|visit| 6_283_185_307 + visit / 2);
    let clinics = (0..2_000).map(|visit| format!("pangolin {}", visit / 200));
    let batch = RecordBatch::try_new(
        Arc::clone(&schema),
        vec![
            Arc::new(Int64Array::from_iter_values(people)),
            Arc::new(StringArray::from_iter_values(clinics)),
        ],
    );
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(700))
        .set_data_page_row_count_limit(200)
        .set_write_batch_size(100)
        .build();
    let mut bytes = vec![];
    let options = ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(!arrow_schema);
    let mut writer = ArrowWriter::try_new_with_options(&mut bytes, schema, options).unwrap();
    writer.write(&batch.unwrap()).unwrap();
    writer.close().unwrap();
    bytes
}

fn visits(id: &str, bytes: Vec<u8>) -> Organisation {
    Organisation::new(id).table("visit", Data::Bytes("parquet", bytes))
}

fn holds_no_value(text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "`{secret}` is in: {text}");
    }
}

async fn start(spec: Spec) -> (World, Client) {
    panics::watch();
    logs::capture();
    let world = World::start(spec).await;
    let client = world.client().await;
    (world, client)
}

async fn end(world: World) {
    world.shutdown().await;
    panics::assert_none();
    for secret in &SECRETS {
        let lines = logs::lines_with(&[secret]);
        assert!(lines.is_empty(), "{secret} is in the log: {lines:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn broken_parquet_is_left_out_from_the_start() {
    in_time(async {
        let good = parquet();
        let length = good.len();
        let cut = |kept: usize| good[..kept].to_vec();
        let with = |at: usize, bytes: &[u8]| {
            let mut spoilt = good.clone();
            spoilt[at..at + bytes.len()].copy_from_slice(bytes);
            spoilt
        };
        let broken: Vec<Vec<u8>> = vec![
            vec![],
            b"PAR1".to_vec(),
            b"PAR1PAR1".to_vec(),
            b"PAR1\0\0\0\0PAR1".to_vec(),
            cut(3),
            cut(12),
            cut(length / 2),
            cut(length - 1),
            cut(length - 4),
            cut(length - 8),
            cut(length - 100),
            with(length - 4, b"NOPE"),
            with(length - 4, b"PARE"),
            with(length - 8, &[0xff; 4]),
            with(length - 8, &[0; 4]),
            with(length - 8, &[0xff, 0xff, 0xff, 0x7f]),
            with(length - 300, &[0xff; 200]),
            [&good[..], b"and more"].concat(),
            Dice::new(1).bytes(5_000),
            "clinic,person_number\npangolin,6283185307\n".into(),
        ];
        let mut spec = Spec::default().contract(VISIT).organisation(visits("good", good.clone()));
        let ids: Vec<String> = (0..broken.len()).map(|n| format!("bad_{n}")).collect();
        for (id, bytes) in ids.iter().zip(broken) {
            spec = spec.organisation(visits(id, bytes));
        }
        let (world, mut client) = start(spec).await;
        let answer = client.ask(CELLS).await;
        assert_eq!(values(&answer.batches).len(), 10);
        for id in &ids {
            let node = answer.coverage.nodes.iter().find(|node| node.organisation == *id).unwrap();
            assert_eq!(node.outcome, NodeOutcome::NotConforming, "{node:?}");
            let detail = node.detail.as_ref().unwrap();
            assert!(detail.contains("`visit.parquet` is not Parquet"), "{detail}");
        }
        holds_no_value(&serde_json::to_string(&answer.coverage).unwrap());
        let nodes = client.ask("SELECT * FROM system.nodes").await;
        holds_no_value(&format!("{:?}", nodes.batches));
        end(world).await;
    })
    .await;
}

/// Puts a file in another's place at once, as a careful copy does.
fn replace(path: &Path, bytes: &[u8]) {
    let beside = path.with_extension("new");
    fs::write(&beside, bytes).unwrap();
    fs::rename(&beside, path).unwrap();
}

/// Puts a file in another's place with the other's time, as if its disk had failed.
fn rot(path: &Path, bytes: &[u8], time: SystemTime) {
    replace(path, bytes);
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

fn time_of(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

/// What a question over a bad file fails with: the file, never what is in it.
fn check_file_error(what: &str, error: &WireError, organisation: &str) {
    holds_no_value(&format!("{error:?}"));
    let known = ["58030", "22000"].contains(&error.sqlstate.as_str());
    assert!(known, "{what}: {error:?}");
    assert_eq!(error.organisation.as_deref(), Some(organisation), "{what}: {error:?}");
    if error.sqlstate == "58030" {
        assert!(error.message.contains("data file"), "{what}: {error:?}");
        assert!(error.hint.is_some(), "{what}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parquet_that_changes_under_a_node_fails_the_question() {
    in_time(async {
        let good = parquet();
        let spec = Spec::default().contract(VISIT);
        let spec = spec.organisation(visits("here", good.clone()));
        let (world, mut client) = start(spec).await;
        assert_eq!(values(&client.ask(CELLS).await.batches).len(), 10);
        let path = world.home("here").join("visit.parquet");
        let time = time_of(&path);
        let length = good.len();
        let mut other = parquet();
        other[5..length - 2_000].fill(0xa7);
        for (what, bytes) in [
            ("nothing in it", vec![]),
            ("a beginning", good[..100].to_vec()),
            ("half of it", good[..length / 2].to_vec()),
            ("no end", good[..length - 1].to_vec()),
            ("garbage", Dice::new(2).bytes(length)),
            ("garbage in its pages", other),
            ("a CSV file", b"person_number,clinic\n1,pangolin\n".to_vec()),
            ("the same, but written anew", good.clone()),
        ] {
            replace(&path, &bytes);
            let error = client.try_ask(CELLS).await.map(|_| ()).expect_err(what);
            check_file_error(what, &error, "here");
        }
        fs::remove_file(&path).unwrap();
        let error = client.try_ask(CELLS).await.map(|_| ()).unwrap_err();
        check_file_error("no file", &error, "here");
        assert!(
            !format!("{error:?}").contains(&*world.home("here").to_string_lossy()),
            "{error:?}"
        );
        fs::create_dir(&path).unwrap();
        let error = client.try_ask(CELLS).await.map(|_| ()).unwrap_err();
        check_file_error("a folder", &error, "here");
        fs::remove_dir(&path).unwrap();
        rot(&path, &good, time);
        assert_eq!(values(&client.ask(CELLS).await.batches).len(), 10);
        end(world).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn spoilt_parquet_breaks_nothing() {
    in_time(async {
        let good = parquet_with(false);
        let spec = Spec::default().contract(VISIT);
        let spec = spec.organisation(visits("here", good.clone()));
        let (world, mut client) = start(spec).await;
        let path = world.home("here").join("visit.parquet");
        let time = time_of(&path);
        let rounds = if std::env::var_os("HEDGEROW_LONG").is_some() { 300 } else { 90 };
        let mut failed = 0;
        for seed in 0..rounds {
            let mut dice = Dice::new(seed);
            let mut bytes = good.clone();
            // A run of bytes somewhere: page headers and pages, or the file's own description.
            let from = if seed % 3 == 0 { bytes.len() - 1_500 } else { 4 };
            for _ in 0..=dice.draw(3) {
                let at = from + dice.draw(bytes.len() - from);
                let run = dice.draw(6);
                for byte in bytes.iter_mut().skip(at).take(1 + run) {
                    *byte = dice.draw(256) as u8;
                }
            }
            rot(&path, &bytes, time);
            if let Err(error) = client.try_ask(CELLS).await.map(|_| ()) {
                check_file_error(&format!("seed {seed}"), &error, "here");
                failed += 1;
            }
        }
        assert!(failed * 10 > rounds, "only {failed} of {rounds} were noticed");
        rot(&path, &good, time);
        assert_eq!(values(&client.ask(CELLS).await.batches).len(), 10);
        end(world).await;
    })
    .await;
}

/// What becomes of a CSV file.
enum Csv {
    /// It is left out, and this says why.
    Drifts(&'static str),
    /// A question about it fails.
    Fails,
    /// It has so many rows.
    Rows(usize),
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn spoilt_parquet_lets_a_node_start() {
    in_time(async {
        let good = parquet();
        let count = if std::env::var_os("HEDGEROW_LONG").is_some() { 150 } else { 60 };
        let mut spec = Spec::default().contract(VISIT).organisation(visits("good", good.clone()));
        for seed in 0..count {
            let mut dice = Dice::new(100 + seed);
            let mut bytes = good.clone();
            for _ in 0..=dice.draw(3) {
                // The description of the file, which is at its end.
                let at = bytes.len() - 1 - dice.draw(1_800);
                bytes[at] = if dice.draw(2) == 0 { b'A' } else { dice.draw(256) as u8 };
            }
            spec = spec.organisation(visits(&format!("o{seed}"), bytes));
        }
        let (world, mut client) = start(spec).await;
        for seed in 0..count {
            let id = format!("o{seed}");
            let asked = format!("SELECT clinic, count(*) FROM {id}.visit GROUP BY clinic");
            if let Err(error) = client.try_ask(&asked).await.map(|_| ()) {
                check_file_error(&id, &error, &id);
            }
        }
        let answer = client.ask("SELECT count(*) FROM good.visit").await;
        assert_eq!(values(&answer.batches), vec![vec![Value::Exact("2000".to_owned())]]);
        end(world).await;
    })
    .await;
}

/// CSV files that should have the columns `ward` and `beds`.
fn csv_files() -> Vec<(&'static str, Vec<u8>, Csv)> {
    let rows = |rows: &str| format!("ward,beds\naardvark wing,4\n{rows}").into_bytes();
    let long = format!("aardvark wing,6283185307\n{},1\n", "w".repeat(5 << 20));
    vec![
        ("words for numbers", rows("aardvark wing,pangolin\n"), Csv::Fails),
        ("a fraction", rows("aardvark wing,6283185307.5\n"), Csv::Fails),
        ("a number too large", rows("aardvark wing,62831853076283185307\n"), Csv::Fails),
        ("a date", rows("aardvark wing,2024-01-01\n"), Csv::Fails),
        ("too few values", rows("aardvark wing\n"), Csv::Fails),
        ("too many values", rows("aardvark wing,6283185307,pangolin\n"), Csv::Fails),
        ("a quote without end", rows("\"aardvark wing,6283185307\n"), Csv::Fails),
        ("no UTF-8", [&rows("")[..], b"aardvark \xff\xfe wing,3\n"].concat(), Csv::Fails),
        ("binary", [&rows("")[..], &Dice::new(3).bytes(3_000)[..]].concat(), Csv::Fails),
        ("a missing column", b"ward,bed\naardvark wing,3\n".to_vec(), Csv::Drifts("`beds`")),
        ("another delimiter", b"ward;beds\naardvark wing;3\n".to_vec(), Csv::Drifts("`beds`")),
        ("no header", b"aardvark wing,6283185307\n".to_vec(), Csv::Drifts("`beds`")),
        ("nothing", vec![], Csv::Drifts("is not CSV")),
        ("a header of no UTF-8", b"w\xffrd,beds\nx,1\n".to_vec(), Csv::Drifts("is not CSV")),
        ("a binary header", Dice::new(4).bytes(2_000), Csv::Drifts("")),
        ("a column twice", b"ward,beds,beds\na,1,2\n".to_vec(), Csv::Drifts("more than once")),
        ("a header only", b"ward,beds\n".to_vec(), Csv::Rows(0)),
        ("a further column", b"x,ward,beds\n1,aardvark wing,3\n".to_vec(), Csv::Rows(1)),
        ("columns the other way round", b"beds,ward\n3,aardvark wing\n".to_vec(), Csv::Rows(1)),
        ("a byte order mark", b"\xef\xbb\xbfward,beds\naardvark wing,3\n".to_vec(), Csv::Rows(1)),
        ("an empty number", rows("aardvark wing,\n"), Csv::Rows(2)),
        ("a line break in a value", rows("\"aardvark\nwing\",5\n"), Csv::Rows(2)),
        ("a line of 5 MB", rows(&long), Csv::Rows(3)),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn csv_that_breaks_its_types_never_shows_a_value() {
    in_time(async {
        let files = csv_files();
        let mut spec = Spec::default().contract(WARD);
        for (n, (_, bytes, _)) in files.iter().enumerate() {
            let data = Data::Bytes("csv", bytes.clone());
            spec = spec.organisation(Organisation::new(&format!("o{n}")).table("ward", data));
        }
        let (world, mut client) = start(spec).await;
        for (n, (what, _, expected)) in files.iter().enumerate() {
            let id = format!("o{n}");
            let answered = client.try_ask(&format!("SELECT beds FROM {id}.ward")).await;
            match expected {
                Csv::Fails => {
                    let error = answered.map(|_| ()).expect_err(what);
                    assert_eq!(error.sqlstate, "22000", "{what}: {error:?}");
                    check_file_error(what, &error, &id);
                    let sum = client.try_ask(&format!("SELECT sum(beds) FROM {id}.ward")).await;
                    check_file_error(what, &sum.map(|_| ()).expect_err(what), &id);
                }
                Csv::Drifts(why) => {
                    let answer = answered.unwrap_or_else(|error| panic!("{what}: {error:?}"));
                    let node = answer.coverage.nodes.iter().find(|node| node.organisation == id);
                    let node = node.unwrap_or_else(|| panic!("{what}: {:?}", answer.coverage));
                    assert_eq!(node.outcome, NodeOutcome::NotConforming, "{what}: {node:?}");
                    let detail = node.detail.clone().unwrap();
                    assert!(detail.contains(why), "{what}: {detail}");
                    holds_no_value(&detail.replace("nearest is", ""));
                }
                Csv::Rows(rows) => {
                    let answer = answered.unwrap_or_else(|error| panic!("{what}: {error:?}"));
                    assert_eq!(values(&answer.batches).len(), *rows, "{what}");
                }
            }
        }
        end(world).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn csv_that_changes_under_a_node_fails_the_question() {
    in_time(async {
        let good = b"ward,beds\naardvark wing,6283185307\n";
        let spec = Spec::default().contract(WARD).organisation(
            Organisation::new("here").table("ward", Data::Bytes("csv", good.to_vec())),
        );
        let (world, mut client) = start(spec).await;
        let path = world.home("here").join("ward.csv");
        let time = time_of(&path);
        for (what, bytes) in [
            ("words for numbers", &b"ward,beds\naardvark wing,pangolin99\n"[..]),
            ("fewer columns", b"ward\naardvark wing,6283185307,     \n"),
            ("more columns", b"ward,beds,x\naardvark wing,62831853,7\n"),
            ("the other way round", b"beds,ward\n6283185307,aardvark wing\n"),
            ("no UTF-8", b"ward,beds\naardvark\xff\xfe\xfd\xfc\xff,6283185307\n"),
            ("nothing", b""),
        ] {
            for rotten in [false, true] {
                replace(&path, bytes);
                if rotten {
                    rot(&path, bytes, time);
                }
                let error = client.try_ask("SELECT ward, beds FROM ward").await.map(|_| ());
                check_file_error(what, &error.expect_err(what), "here");
            }
        }
        fs::remove_file(&path).unwrap();
        let error = client.try_ask("SELECT sum(beds) FROM ward").await.map(|_| ()).unwrap_err();
        check_file_error("no file", &error, "here");
        rot(&path, good, time);
        let sum = client.ask("SELECT sum(beds) FROM ward").await;
        assert_eq!(values(&sum.batches), vec![vec![Value::Exact("6283185307".to_owned())]]);
        end(world).await;
    })
    .await;
}
