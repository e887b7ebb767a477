//! Federations below federations: whose names they have, what is down, wrong, in a circle, or no
//! longer wanted; and that nine people stay hidden.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, ArrayRef, AsArray, StringArray, UInt8Array};
use arrow::datatypes::DataType;
use arrow_flight::FlightData;
use hedgerow_engine::{BUNDLE_VERSION, NodeOutcome, WireError};
use hedgerow_flight::to_status;
use prost::Message;
use prost::bytes::Bytes;

use crate::answers::{Value, values};
use crate::contracts::WARD;
use crate::fake::{Answering, Fake, Frame, Reply};
use crate::logs;
use crate::misdeeds::send;
use crate::raw::{Raw, ticket};
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

/// Nine people at east; ten people at east; nine people at east and twenty at west.
const NINE: &str = "quarrelsome-heron";
const TEN: &str = "companionable-stork";
const SOME: &str = "solitary-bittern";

const BEDS: &str = "SELECT organisation, sum(beds) AS beds FROM ward GROUP BY 1 ORDER BY 1";
const ROWS: &str = "SELECT organisation, beds FROM ward ORDER BY 1";
const CLINICS: &str = "SELECT clinic, count(DISTINCT person_number) AS n FROM visit GROUP BY 1";

fn organisation(id: &str, beds: i64, clinics: &[(&str, i64)]) -> Organisation {
    let mut visits = "person_number,clinic\n".to_owned();
    let mut person = 0;
    for (clinic, people) in clinics {
        for _ in 0..*people {
            person += 1;
            visits.push_str(&format!("{person},{clinic}\n"));
        }
    }
    Organisation::new(id)
        .table("visit", Data::Csv(visits))
        .table("ward", Data::Csv(format!("ward,beds\nsurgery,{beds}\n")))
}

/// East and north below a board, west beside it.
fn spec() -> Spec {
    Spec::default()
        .contract(VISIT)
        .contract(WARD)
        .organisation(organisation("east", 1, &[(NINE, 9), (TEN, 10), (SOME, 9)]))
        .organisation(organisation("north", 20, &[("other", 30)]))
        .organisation(organisation("west", 300, &[(SOME, 20), ("other", 30)]))
        .board("left", &["east", "north"])
        .limits("statement_timeout_ms = 20000")
}

fn pairs(expected: &[(&str, i64)]) -> Vec<Vec<Value>> {
    let exact = |text: String| Value::Exact(text);
    expected.iter().map(|(name, n)| vec![exact((*name).to_owned()), exact(n.to_string())]).collect()
}

async fn failure(client: &mut Client, what: &str, sql: &str) -> WireError {
    client.try_ask(sql).await.map(|answer| answer.batches).expect_err(what)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn organisations_have_the_name_of_their_board_before_their_own() {
    in_time(async {
        let world = World::start(spec()).await;
        let mut client = world.client().await;
        let all = pairs(&[("left/east", 1), ("left/north", 20), ("west", 300)]);
        for sql in [BEDS, ROWS] {
            let answer = client.ask(sql).await;
            assert_eq!(values(&answer.batches), all, "{sql}");
            let nodes: Vec<_> = answer.coverage.nodes.iter().map(|n| &*n.organisation).collect();
            assert_eq!(nodes, ["west", "left"]);
            let organisations = answer.coverage.organisations();
            let names: Vec<_> = organisations.iter().map(|one| &*one.organisation).collect();
            assert_eq!(names, ["west", "left/east", "left/north"]);
            assert!(organisations.iter().all(|one| one.outcome == NodeOutcome::Answered));
        }
        // Conditions on the name leave organisations out, at either level.
        let one = "SELECT organisation, beds FROM ward WHERE organisation = 'left/north'";
        let answer = client.ask(one).await;
        assert_eq!(values(&answer.batches), pairs(&[("left/north", 20)]));
        assert_eq!(answer.coverage.count(NodeOutcome::Answered), 1, "{:?}", answer.coverage);
        assert_eq!(answer.coverage.count(NodeOutcome::NotNeeded), 2, "{:?}", answer.coverage);
        let board = "SELECT organisation, beds FROM \"left\".ward ORDER BY 1";
        assert_eq!(values(&client.ask(board).await.batches), all[..2]);
        let own = "SELECT organisation, beds FROM \"left/east\".ward";
        assert_eq!(values(&client.ask(own).await.batches), all[..1]);
        let listed = "SELECT organisation FROM system.nodes WHERE state = 'up' ORDER BY 1";
        let listed = values(&client.ask(listed).await.batches);
        let names = ["left", "left/east", "left/north", "west"];
        assert_eq!(listed.concat(), names.map(|name| Value::Exact(name.to_owned())));
        // The board's own analysts know nothing of it.
        let mut own = world.client_of("left").await;
        let own = own.ask(BEDS).await;
        assert_eq!(values(&own.batches), pairs(&[("east", 1), ("north", 20)]));
        assert!(own.coverage.nodes.iter().all(|node| node.nodes.is_empty()));
        world.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_down_below_a_board_is_named() {
    in_time(async {
        let mut world = World::start(spec()).await;
        let mut client = world.client().await;
        world.stop("east").await;
        for sql in [BEDS, ROWS] {
            let error = failure(&mut client, sql, sql).await;
            assert_eq!(error.sqlstate, "08006", "{error:?}");
            assert_eq!(error.organisation.as_deref(), Some("left/east"), "{error:?}");
            assert!(error.message.contains("east"), "{error:?}");
            assert!(error.hint.unwrap().contains("hedgerow.on_unavailable"));
        }
        let others = "SELECT sum(beds) FROM ward WHERE organisation <> 'left/east'";
        assert_eq!(values(&client.ask(others).await.batches), [[Value::Exact("320".to_owned())]]);
        client.ask("SET hedgerow.on_unavailable = 'exclude'").await;
        for sql in [BEDS, ROWS] {
            let answer = client.ask(sql).await;
            assert_eq!(values(&answer.batches), pairs(&[("left/north", 20), ("west", 300)]));
            let organisations = answer.coverage.organisations();
            let east = organisations.iter().find(|one| one.organisation == "left/east").unwrap();
            assert_eq!(east.outcome, NodeOutcome::Unavailable, "{:?}", answer.coverage);
            assert_eq!(answer.coverage.count(NodeOutcome::Answered), 2);
        }
        world.stop("left").await;
        let answer = client.ask(BEDS).await;
        assert_eq!(values(&answer.batches), pairs(&[("west", 300)]));
        client.ask("SET hedgerow.on_unavailable = 'fail'").await;
        let error = failure(&mut client, BEDS, BEDS).await;
        assert_eq!((&*error.sqlstate, error.organisation.as_deref()), ("08006", Some("left")));
        world.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nine_people_stay_hidden() {
    in_time(async {
        logs::capture();
        let world = World::start(spec()).await;
        let mut client = world.client().await;
        let answer = client.ask(CLINICS).await;
        let text = format!("{:?} {:?}", answer.batches, answer.coverage);
        assert!(!text.contains(NINE) && text.contains(TEN), "{text}");
        let counted = values(&answer.batches);
        let of = |clinic: &str| {
            let row = counted.iter().find(|row| row[0] == Value::Exact(clinic.to_owned()));
            row.unwrap()[1].clone()
        };
        assert_eq!(of(TEN), Value::Exact("10".to_owned()));
        assert_eq!(of(SOME), Value::Exact("20".to_owned()));
        // Nobody else may be hidden where nobody else was asked.
        let alone = CLINICS.replace("GROUP", "WHERE organisation = 'west' GROUP");
        let answer = client.ask(&alone).await;
        let marks = crate::answers::rows(&answer.batches);
        assert!(marks.iter().flatten().all(|(_, mark)| *mark == crate::answers::Status::Whole));

        // A board that is asked directly passes on what its nodes released, and no more.
        let raw = Raw::connect_to(&world.url_of("left"), &world.tls().authority).await;
        let asked = |sql: &str| {
            let (mut raw, ticket) = (raw.clone(), ticket(BUNDLE_VERSION, &[sql.to_owned()], None));
            async move { raw.get(ticket).await }
        };
        let groups = "SELECT r0.clinic AS k0, count(*) AS m0 FROM visit AS r0 GROUP BY r0.clinic";
        let bytes: Vec<u8> = asked(groups).await.unwrap().iter().flat_map(all_bytes).collect();
        let holds = |word: &str| bytes.windows(word.len()).any(|part| part == word.as_bytes());
        assert!(holds(TEN) && !holds(NINE) && !holds(SOME));
        for (sql, sqlstate) in [
            ("SELECT r0.clinic AS c0 FROM visit AS r0", "42501"),
            ("SELECT r0.organisation AS c0 FROM system.nodes AS r0", "0A000"),
            ("SELECT table_name FROM information_schema.tables", "0A000"),
        ] {
            assert_eq!(asked(sql).await.map(|_| ()).unwrap_err().sqlstate, sqlstate, "{sql}");
        }
        world.shutdown().await;
        assert!(logs::lines_with(&[NINE]).is_empty());
    })
    .await;
}

fn all_bytes(message: &FlightData) -> Vec<u8> {
    [&message.data_header[..], &message.data_body, &message.app_metadata].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_third_level_has_a_longer_name_and_a_circle_an_error() {
    in_time(async {
        let three = spec().board("nation", &["left"]);
        let world = World::start(three).await;
        let mut client = world.client().await;
        let names = [("nation/left/east", 1), ("nation/left/north", 20), ("west", 300)];
        for sql in [BEDS, ROWS] {
            assert_eq!(values(&client.ask(sql).await.batches), pairs(&names), "{sql}");
        }
        let one = "SELECT organisation, beds FROM \"nation/left/east\".ward";
        assert_eq!(values(&client.ask(one).await.batches), pairs(&names[..1]));
        world.shutdown().await;

        let circle = Spec::default()
            .contract(WARD)
            .organisation(
                Organisation::new("east").table("ward", Data::Csv("ward,beds\na,1\n".to_owned())),
            )
            .board("right", &["left"])
            .board("left", &["right", "east"])
            .board("nation", &["left"]);
        let world = World::start(circle).await;
        let mut client = world.client().await;
        for sql in [BEDS, ROWS] {
            let started = Instant::now();
            let mut error = failure(&mut client, sql, sql).await;
            // The boards start one after the other, and each has looked for the other in vain.
            while error.sqlstate == "08006" && started.elapsed() < Duration::from_secs(5) {
                tokio::time::sleep(Duration::from_millis(200)).await;
                error = failure(&mut client, sql, sql).await;
            }
            assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
            assert_eq!(error.sqlstate, "53400", "{error:?}");
            assert!(error.message.contains("by way of itself"), "{error:?}");
        }
        client.ask("SELECT count(*) FROM system.nodes").await;
        world.shutdown().await;
    })
    .await;
}

/// The board's last message, which says who answered, with other words.
fn closing(messages: &[FlightData], change: impl Fn(String) -> String) -> FlightData {
    let last = messages.last().unwrap().clone();
    let mut frame = Frame::decode(&*last.app_metadata).unwrap();
    let said = String::from_utf8(frame.coverage.unwrap().to_vec()).unwrap();
    frame.coverage = Some(Bytes::from(change(said)));
    last.with_app_metadata(frame.encode_to_vec())
}

/// The board's answer with other columns.
fn with_columns(messages: &[FlightData], change: fn(&ArrayRef) -> ArrayRef) -> Answering {
    let mut reply = Reply::read(messages);
    let columns = reply.batch.columns().iter().map(change).collect();
    reply.batch = arrow::array::RecordBatch::try_new(reply.batch.schema(), columns).unwrap();
    let closing = closing(messages, |said| said);
    send(reply.write().into_iter().chain([closing]).collect())
}

fn of_another(column: &ArrayRef) -> ArrayRef {
    match column.as_string_opt::<i32>() {
        Some(texts) => Arc::new(StringArray::from(vec!["west"; texts.len()])),
        None => Arc::clone(column),
    }
}

fn of_no_status(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::UInt8 => Arc::new(UInt8Array::from(vec![7; column.len()])),
        _ => Arc::clone(column),
    }
}

type Spoil = fn(Vec<FlightData>) -> Answering;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_board_gone_bad_is_named() {
    in_time(async {
        let fake = Fake::new();
        let world = World::start_behind(spec(), "left", |front| fake.clone().stand_in(front)).await;
        let mut client = world.client().await;
        let cells = "SELECT organisation, count(*) FROM visit GROUP BY organisation";
        let spoils: [(&str, &str, Spoil); 7] = [
            (ROWS, "speaks for another", |m| with_columns(&m, of_another)),
            (cells, "speaks for another", |m| with_columns(&m, of_another)),
            (cells, "status that there is not", |m| with_columns(&m, of_no_status)),
            (cells, "other types", |m| {
                let mut reply = Reply::read(&m);
                reply.batch = reply.batch.project(&[0]).unwrap();
                send(reply.write())
            }),
            (ROWS, "does not say which", |mut m| {
                m.pop();
                send(m)
            }),
            (BEDS, "speaks for other", |mut m| {
                let last = closing(&m, |said| said.replace("left/east", "west"));
                m.pop();
                send(m.into_iter().chain([last]).collect())
            }),
            (cells, "does not decode", |mut m| {
                let last = closing(&m, |said| said.replace("nodes", "trusts"));
                m.pop();
                send(m.into_iter().chain([last]).collect())
            }),
        ];
        for (sql, words, spoil) in spoils {
            client.ask(sql).await;
            fake.on_get(spoil);
            let error = failure(&mut client, words, sql).await;
            assert_eq!(error.sqlstate, "XX000", "{words}: {error:?}");
            assert_eq!(error.organisation.as_deref(), Some("left"), "{words}: {error:?}");
            assert!(error.message.contains(words), "{words}: {error:?}");
            fake.be_honest();
        }
        // Whom an error is about, a board says of its own organisations only.
        for (said, heard) in [("left/east", "left/east"), ("west", "left"), ("leftover/a", "left")]
        {
            let error = WireError {
                sqlstate: "42501".to_owned(),
                rule: Some("S1.shape".to_owned()),
                message: "no".to_owned(),
                hint: None,
                organisation: Some(said.to_owned()),
            };
            fake.on_get(move |_| Answering::Refuse(to_status(&error)));
            let error = failure(&mut client, said, cells).await;
            assert_eq!(error.organisation.as_deref(), Some(heard), "{error:?}");
        }
        fake.be_honest();
        client.ask(cells).await;
        world.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dropping_a_statement_reaches_the_organisations() {
    in_time(async {
        logs::capture();
        let numbers: String = (0..20_000).map(|n| format!("w,{n}\n")).collect();
        let numbers = || Data::Csv(format!("ward,beds\n{numbers}"));
        let ids = ["dropped_east", "dropped_west"];
        let mut spec = Spec::default().contract(WARD);
        for id in ids {
            spec = spec.organisation(Organisation::new(id).table("ward", numbers()));
        }
        let world = World::start(spec.board("dropped_left", &ids)).await;
        let mut client = world.client().await;
        let endless = "SELECT a.organisation, count(*) FROM ward a JOIN ward b \
                       ON a.organisation = b.organisation WHERE a.beds + b.beds < 0 GROUP BY 1";
        let asked = tokio::time::timeout(Duration::from_secs(2), client.try_ask(endless)).await;
        assert!(asked.is_err(), "the statement ended before it was dropped");
        let started = Instant::now();
        let ended = |id: &str| !logs::lines_with(&[id, "cancelled"]).is_empty();
        while !["dropped_left", "dropped_east", "dropped_west"].into_iter().all(ended) {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "{}",
                logs::lines_with(&["dropped_"]).join("\n")
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        world.shutdown().await;
    })
    .await;
}
