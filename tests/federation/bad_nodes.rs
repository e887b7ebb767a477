//! A node that answers with another schema, too much, garbage or nothing; that says odd things of
//! itself; that has the wrong certificate or none. The coordinator names it, tells no value, and
//! goes on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt8Array, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow_flight::FlightData;
use hedgerow::demo::ensure_certificates;
use hedgerow_engine::{NodeOutcome, WireError};
use hedgerow_flight::to_status;
use tonic::{Code, Status};

use crate::answers::values;
use crate::contracts::WARD;
use crate::dice::Dice;
use crate::fake::{Answering, Describing, End, Fake, Line, Reply};
use crate::logs;
use crate::misdeeds::{MISDEEDS, changed, send};
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
[[columns]]
name = "units"
type = "int64"
roles = ["measure"]
"#;

/// What must not be in an error: values of the data, and words of whoever runs the node.
const SECRETS: [&str; 5] = ["umbrellabird", "741852963", "ocelot ward", "Mrs Ocelot", "555 0199"];
const WORDS: &str = "value Mrs Ocelot, 555 0199 is out of range";

/// The questions: released cells, and rows.
const CELLS: &str =
    "SELECT clinic, count(*) AS visits, sum(units) FROM visit GROUP BY clinic ORDER BY 1";
const ROWS: &str = "SELECT ward, beds FROM ward ORDER BY beds";

fn organisation(id: &str) -> Organisation {
    let mut visits = "person_number,clinic,units\n".to_owned();
    for (clinic, first) in [("umbrellabird", 0), ("quetzal", 100)] {
        for person in first..first + 20 {
            visits.push_str(&format!("{person},{clinic},741852963\n"));
        }
    }
    Organisation::new(id)
        .table("visit", Data::Csv(visits))
        .table("ward", Data::Csv("ward,beds\nocelot ward,741852963\nlynx ward,8\n".to_owned()))
}

fn spec() -> Spec {
    Spec::default()
        .contract(VISIT)
        .contract(WARD)
        .organisation(organisation("south"))
        .organisation(organisation("fake"))
        .limits("statement_timeout_ms = 4000\nanswer_rows_max = 100000")
}

async fn world() -> (World, Fake) {
    panics::watch();
    logs::capture();
    let fake = Fake::new();
    let world = World::start_behind(spec(), "fake", |front| fake.clone().stand_in(front)).await;
    (world, fake)
}

fn holds_no_value(text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "`{secret}` is in: {text}");
    }
}

/// Asks what must fail, quickly, for want of the fake.
async fn failure(client: &mut Client, what: &str, sql: &str) -> WireError {
    let started = Instant::now();
    let error = client.try_ask(sql).await.map(|answer| answer.batches);
    let error = error.expect_err(what);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}: {error:?}", started.elapsed());
    holds_no_value(&format!("{error:?}"));
    assert!(error.message.chars().count() < 600, "{error:?}");
    error
}

/// The federation answers as if nothing had been.
async fn check_well(client: &mut Client) {
    let cells = client.ask(CELLS).await;
    assert_eq!(values(&cells.batches).len(), 2);
    assert_eq!(cells.coverage.count(NodeOutcome::Answered), 2, "{:?}", cells.coverage);
    assert_eq!(values(&client.ask(ROWS).await.batches).len(), 4);
}

async fn end(world: World) {
    world.shutdown().await;
    panics::assert_none();
    for secret in &SECRETS {
        let lines = logs::lines_with(&[secret]);
        assert!(lines.is_empty(), "{secret} is in the log: {lines:#?}");
    }
}

/// A change to a description.
type Change = fn(&mut serde_json::Value);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn answers_of_another_form_are_refused() {
    in_time(async {
        let (world, fake) = world().await;
        let mut client = world.client().await;
        check_well(&mut client).await;
        for (what, misdeed) in MISDEEDS {
            fake.on_get(misdeed);
            for sql in [CELLS, ROWS] {
                let error = failure(&mut client, what, sql).await;
                assert_eq!(error.sqlstate, "XX000", "{what}: {error:?}");
                assert_eq!(error.organisation.as_deref(), Some("fake"), "{what}: {error:?}");
                assert!(
                    error.message.contains("`fake` answered in another form"),
                    "{what}: {error:?}"
                );
            }
            // It is no way to be left out quietly.
            client.ask("SET hedgerow.on_unavailable = 'exclude'").await;
            assert_eq!(failure(&mut client, what, CELLS).await.sqlstate, "XX000", "{what}");
            client.ask("SET hedgerow.on_unavailable = 'fail'").await;
        }
        fake.be_honest();
        check_well(&mut client).await;
        end(world).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn spoilt_answers_break_nothing() {
    let (world, fake) = world().await;
    let mut client = world.client().await;
    let rounds = if std::env::var_os("HEDGEROW_LONG").is_some() { 500 } else { 60 };
    for seed in 0..rounds {
        fake.on_get(move |mut messages| {
            let mut dice = Dice::new(seed);
            let message = &mut messages[dice.draw(2)];
            match dice.draw(3) {
                0 => message.data_header = dice.spoil(&message.data_header).into(),
                1 => message.data_body = dice.spoil(&message.data_body).into(),
                _ => message.app_metadata = dice.spoil(&message.app_metadata).into(),
            }
            send(messages)
        });
        for sql in [CELLS, ROWS] {
            if let Err(error) = in_time(client.try_ask(sql)).await.map(|_| ()) {
                holds_no_value(&format!("{error:?}"));
                // A spoilt number may be one that is too large to add.
                let known = ["XX000", "22000", "22003", "53400"];
                assert!(known.contains(&error.sqlstate.as_str()), "seed {seed}: {error:?}");
            }
        }
        panics::assert_none();
    }
    fake.be_honest();
    in_time(check_well(&mut client)).await;
    end(world).await;
}

/// Rows doubled, so that each group comes twice.
fn doubled(batch: &RecordBatch) -> RecordBatch {
    concat_batches(&batch.schema(), [batch, batch]).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_group_comes_once() {
    in_time(async {
        let (world, fake) = world().await;
        let mut client = world.client().await;
        fake.on_get(|messages| {
            let mut reply = Reply::read(&messages);
            reply.batch = doubled(&reply.batch);
            send(reply.write())
        });
        let error = failure(&mut client, "twice", CELLS).await;
        assert_eq!(error.sqlstate, "XX000", "{error:?}");
        assert!(error.message.contains("twice"), "{error:?}");
        // In two batches it is twice as well.
        fake.on_get(|messages| {
            let reply = Reply::read(&messages);
            let twice = vec![reply.batch.clone(), reply.batch.clone()];
            send(reply.write_as(&reply.batch.schema(), twice))
        });
        let error = failure(&mut client, "twice", CELLS).await;
        assert!(error.message.contains("twice"), "{error:?}");
        fake.be_honest();
        check_well(&mut client).await;
        end(world).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn marks_that_do_not_exist_are_not_believed() {
    in_time(async {
        let (world, fake) = world().await;
        let mut client = world.client().await;
        // The status of a cell is 0, 1 or 2, and there.
        for status in [Some(9_u8), None] {
            fake.on_get(move |messages| {
                let mut reply = Reply::read(&messages);
                let columns = reply.batch.columns().iter();
                let columns = columns.map(|column| match column.data_type() {
                    DataType::UInt8 => Arc::new(UInt8Array::from(vec![status; column.len()])) as _,
                    _ => column.clone(),
                });
                let columns: Vec<ArrayRef> = columns.collect();
                let fields = columns.iter().enumerate().map(|(n, column)| {
                    Field::new(format!("c{n}"), column.data_type().clone(), true)
                });
                let schema = Schema::new(fields.collect::<Vec<_>>());
                reply.batch = RecordBatch::try_new(Arc::new(schema), columns).unwrap();
                send(reply.write())
            });
            match client.try_ask(CELLS).await {
                Err(error) => {
                    assert_eq!(error.sqlstate, "XX000", "{error:?}");
                    holds_no_value(&format!("{error:?}"));
                }
                // Where the answer stands, no such cell is taken for a whole one.
                Ok(answer) => {
                    for row in crate::answers::rows(&answer.batches) {
                        let marks: Vec<_> = row.iter().skip(1).map(|(_, mark)| *mark).collect();
                        let whole = crate::answers::Status::Whole;
                        assert!(!marks.contains(&whole), "{status:?}: {row:?}");
                    }
                }
            }
        }
        end(world).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn more_rows_than_asked_are_too_many() {
    in_time(async {
        let (world, fake) = world().await;
        let mut client = world.client().await;
        // Past the LIMIT that it was asked with.
        let many = |count: usize| {
            move |messages: Vec<FlightData>| {
                let mut reply = Reply::read(&messages);
                let first = UInt64Array::from(vec![0; count]);
                reply.batch = take_record_batch(&reply.batch, &first).unwrap();
                send(reply.write())
            }
        };
        fake.on_get(many(5_000));
        match client.try_ask("SELECT ward, beds FROM ward LIMIT 3").await {
            Ok(answer) => assert_eq!(values(&answer.batches).len(), 3),
            Err(error) => assert_eq!(error.sqlstate, "XX000", "{error:?}"),
        }
        let counted = "SELECT count(*) FROM (SELECT ward FROM fake.ward LIMIT 3)";
        match client.try_ask(counted).await {
            Ok(answer) => {
                let count = answer.batches[0].column(0).as_primitive::<Int64Type>().value(0);
                assert_eq!(count, 3);
            }
            Err(error) => assert_eq!(error.sqlstate, "XX000", "{error:?}"),
        }
        // Past the longest answer, and without an end.
        fake.on_get(many(150_000));
        let error = failure(&mut client, "too many rows", "SELECT ward, beds FROM ward").await;
        assert_eq!(error.sqlstate, "53400", "{error:?}");
        assert!(error.message.contains("answer_rows_max"), "{error:?}");
        let endless = |messages: Vec<FlightData>| {
            let last = messages[1].clone();
            Answering::Send(messages, End::Repeat(last))
        };
        fake.on_get(endless);
        let error = failure(&mut client, "too many rows", "SELECT ward, beds FROM ward").await;
        assert!(["53400", "57014"].contains(&error.sqlstate.as_str()), "{error:?}");
        fake.be_honest();
        check_well(&mut client).await;
        end(world).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_answer_without_end_is_ended() {
    in_time(async {
        let (world, fake) = world().await;
        let mut client = world.client().await;
        // Empty batches, or groups, again and again.
        fake.on_get(|messages| {
            let mut reply = Reply::read(&messages);
            reply.batch = reply.batch.slice(0, 0);
            let messages = reply.write();
            let last = messages[1].clone();
            Answering::Send(messages, End::Repeat(last))
        });
        for sql in [CELLS, ROWS] {
            let error = failure(&mut client, sql, sql).await;
            assert_eq!(error.sqlstate, "57014", "{error:?}");
        }
        fake.on_get(|messages| {
            let last = messages[1].clone();
            Answering::Send(messages, End::Repeat(last))
        });
        let error = failure(&mut client, "groups without end", CELLS).await;
        assert!(["53400", "57014", "XX000"].contains(&error.sqlstate.as_str()), "{error:?}");
        // One message that is too large.
        fake.on_get(|messages| changed(messages, 1, |m| m.data_body = vec![0; 20 << 20].into()));
        for sql in [CELLS, ROWS] {
            let error = failure(&mut client, sql, sql).await;
            assert_eq!(error.sqlstate, "53400", "{error:?}");
            assert!(error.message.contains("message_bytes_max"), "{error:?}");
            assert_eq!(error.organisation.as_deref(), Some("fake"));
        }
        fake.be_honest();
        check_well(&mut client).await;
        end(world).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_that_falls_silent_is_not_waited_for() {
    in_time(async {
        let (world, fake) = world().await;
        let mut client = world.client().await;
        let silences: [fn(Vec<FlightData>) -> Answering; 3] = [
            |_| Answering::Never,
            |_| Answering::Send(vec![], End::Hang),
            |messages| Answering::Send(messages[..1].to_vec(), End::Hang),
        ];
        for silence in silences {
            fake.on_get(silence);
            let error = failure(&mut client, "silence", CELLS).await;
            assert_eq!(error.sqlstate, "57014", "{error:?}");
        }
        // A connection that breaks in mid-answer: the node is named, or left out on request.
        fake.on_get(|messages| Answering::Send(messages, End::Cut));
        for sql in [CELLS, ROWS] {
            let error = failure(&mut client, sql, sql).await;
            assert_eq!(error.sqlstate, "08006", "{error:?}");
            assert_eq!(error.organisation.as_deref(), Some("fake"), "{error:?}");
            assert!(error.hint.as_ref().unwrap().contains("on_unavailable"), "{error:?}");
        }
        client.ask("SET hedgerow.on_unavailable = 'exclude'").await;
        let answer = client.ask(CELLS).await;
        assert_eq!(answer.coverage.count(NodeOutcome::Unavailable), 1, "{:?}", answer.coverage);
        assert_eq!(values(&answer.batches).len(), 2);
        client.ask("SET hedgerow.on_unavailable = 'fail'").await;
        fake.be_honest();
        well_again(&mut client).await;
        end(world).await;
    })
    .await;
}

/// Waits until the node is known again, as it is some time after it failed.
async fn well_again(client: &mut Client) {
    let started = Instant::now();
    while client.try_ask(CELLS).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(10), "the node stays unknown");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    check_well(client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_bad_line_is_a_node_that_cannot_be_reached() {
    in_time(async {
        let (world, fake) = world().await;
        let mut client = world.client().await;
        for line in [Line::Shut, Line::Garbage, Line::Silent] {
            fake.set_line(line);
            tokio::time::sleep(Duration::from_millis(100)).await;
            let error = failure(&mut client, &format!("{line:?}"), CELLS).await;
            let expected: &[&str] =
                if line == Line::Silent { &["08006", "57014"] } else { &["08006"] };
            assert!(expected.contains(&error.sqlstate.as_str()), "{line:?}: {error:?}");
            if error.sqlstate == "08006" {
                assert_eq!(error.organisation.as_deref(), Some("fake"), "{line:?}: {error:?}");
            }
            // What does not need it goes on.
            let south = client.ask("SELECT count(*) FROM south.visit").await;
            assert_eq!(values(&south.batches).len(), 1);
            fake.be_honest();
            well_again(&mut client).await;
        }
        end(world).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_wrong_certificate_is_named() {
    panics::watch();
    in_time(async {
        let others = tempfile::tempdir().unwrap();
        std::fs::create_dir(others.path().join("fake")).unwrap();
        ensure_certificates(others.path(), &["fake".to_owned()]).unwrap();
        let certificates = others.path().join("fake");
        let fake = Fake::new();
        let stand_in = |front| async move { fake.stand_in_with(front, &certificates).await };
        let world = World::start_behind(spec(), "fake", stand_in).await;
        let mut client = world.client().await;
        let error = failure(&mut client, "a certificate", CELLS).await;
        assert_eq!(error.sqlstate, "08006", "{error:?}");
        assert_eq!(error.organisation.as_deref(), Some("fake"));
        assert!(error.message.contains("certificate"), "{error:?}");
        client.ask("SET hedgerow.on_unavailable = 'exclude'").await;
        let answer = client.ask(CELLS).await;
        assert_eq!(answer.coverage.count(NodeOutcome::Unavailable), 1, "{:?}", answer.coverage);
        let nodes = client.ask("SELECT organisation, state, last_error FROM system.nodes").await;
        assert!(format!("{:?}", nodes.batches).contains("certificate"), "{:?}", nodes.batches);
        world.shutdown().await;
        panics::assert_none();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn words_of_a_node_are_not_passed_on() {
    in_time(async {
        let (world, fake) = world().await;
        let mut client = world.client().await;
        for (code, expected) in [
            (Code::Unknown, "XX000"),
            (Code::Internal, "XX000"),
            (Code::InvalidArgument, "XX000"),
            (Code::NotFound, "XX000"),
            (Code::AlreadyExists, "XX000"),
            (Code::FailedPrecondition, "XX000"),
            (Code::DataLoss, "XX000"),
            (Code::Unimplemented, "XX000"),
            (Code::PermissionDenied, "XX000"),
            (Code::ResourceExhausted, "XX000"),
            (Code::OutOfRange, "53400"),
            (Code::Unauthenticated, "28000"),
            (Code::Unavailable, "08006"),
            (Code::DeadlineExceeded, "08006"),
            (Code::Cancelled, "08006"),
            (Code::Aborted, "08006"),
        ] {
            for late in [false, true] {
                fake.on_get(move |messages| match late {
                    false => Answering::Refuse(Status::new(code, WORDS)),
                    true => {
                        Answering::Send(messages[..1].to_vec(), End::Fail(Status::new(code, WORDS)))
                    }
                });
                let error = failure(&mut client, "an error", CELLS).await;
                assert_eq!(error.sqlstate, expected, "{code:?}: {error:?}");
                assert_eq!(error.organisation.as_deref(), Some("fake"), "{code:?}: {error:?}");
                if expected == "08006" {
                    fake.be_honest();
                    well_again(&mut client).await;
                }
            }
        }
        // Errors of our own form, filled in by somebody else.
        let said = |sqlstate: &str, organisation: &str, message: &str| WireError {
            sqlstate: sqlstate.to_owned(),
            rule: None,
            message: message.to_owned(),
            hint: None,
            organisation: Some(organisation.to_owned()),
        };
        for (error, expected) in [
            (said("22000", "south", "the statement failed on the data: overflow"), "22000"),
            (said("a word or two", "fake", WORDS), "XX000"),
            (said("22000", &"x".repeat(500), "overflow"), "XX000"),
        ] {
            fake.on_get(move |_| Answering::Refuse(to_status(&error)));
            let error = failure(&mut client, "an error", CELLS).await;
            assert_eq!(error.sqlstate, expected, "{error:?}");
            assert_eq!(error.organisation.as_deref(), Some("fake"), "{error:?}");
        }
        fake.be_honest();
        well_again(&mut client).await;
        end(world).await;
    })
    .await;
}

/// Makes the coordinator ask the node again what it serves.
async fn forget(fake: &Fake, client: &mut Client) {
    fake.on_get(|_| Answering::Refuse(Status::unavailable("gone")));
    let _ = client.try_ask(CELLS).await;
    fake.on_get(send);
}

type Claim = (&'static str, fn(Vec<u8>) -> Describing, &'static str);

fn describing(said: &[u8], change: fn(&mut serde_json::Value)) -> Describing {
    let mut description = serde_json::from_slice(said).unwrap();
    change(&mut description);
    Describing::Say(serde_json::to_vec(&description).unwrap())
}

const CLAIMS: &[Claim] = &[
    ("nothing", |_| Describing::Nothing, "XX000"),
    ("no bytes", |_| Describing::Say(vec![]), "XX000"),
    ("garbage", |_| Describing::Say(vec![0xff; 500]), "XX000"),
    ("half of it", |said| Describing::Say(said[..said.len() / 2].to_vec()), "XX000"),
    ("a very deep one", |_| Describing::Say(b"[".repeat(100_000)), "XX000"),
    (
        "one of 5 MB",
        |mut said| {
            said.extend(b" ".repeat(5 << 20));
            Describing::Say(said)
        },
        "XX000",
    ),
    (
        "one of 30 MB",
        |mut said| {
            said.extend(b" ".repeat(30 << 20));
            Describing::Say(said)
        },
        "53400",
    ),
    (
        "another organisation",
        |said| describing(&said, |d| d["organisation"] = "south".into()),
        "XX000",
    ),
    (
        "tables without names",
        |said| describing(&said, |d| drop(d["tables"][0].as_object_mut().unwrap().remove("name"))),
        "XX000",
    ),
    ("an error", |_| Describing::Refuse(Status::internal(WORDS)), "XX000"),
    ("nothing, ever", |_| Describing::Never, "08006"),
    ("that it is not there", |_| Describing::Refuse(Status::unavailable(WORDS)), "08006"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn odd_descriptions_are_not_believed() {
    in_time(async {
        let (world, fake) = world().await;
        let mut client = world.client().await;
        for (what, claim, expected) in CLAIMS {
            fake.on_describe(claim);
            forget(&fake, &mut client).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            let error = failure(&mut client, what, CELLS).await;
            assert_eq!(error.sqlstate, *expected, "{what}: {error:?}");
            assert_eq!(error.organisation.as_deref(), Some("fake"), "{what}: {error:?}");
            let nodes = client.ask("SELECT * FROM system.nodes ORDER BY organisation").await;
            holds_no_value(&format!("{:?}", nodes.batches));
            fake.be_honest();
            well_again(&mut client).await;
        }
        end(world).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn odd_tables_are_left_out() {
    in_time(async {
        panics::watch();
        logs::capture();
        let claims: [(&str, Change, NodeOutcome); 3] = [
            (
                "another contract",
                |d| {
                    for table in d["tables"].as_array_mut().unwrap() {
                        table["contract_fingerprint"] = "0".repeat(64).into();
                    }
                },
                NodeOutcome::NotConforming,
            ),
            (
                "a long difference",
                |d| {
                    for table in d["tables"].as_array_mut().unwrap() {
                        table["conforming"] = false.into();
                        table["differences"] = serde_json::json!(vec!["x".repeat(100_000); 20]);
                    }
                },
                NodeOutcome::NotConforming,
            ),
            // Tables of contracts that nobody else has, by the thousand: nobody asks for them.
            (
                "tables of other contracts",
                |d| {
                    let known = d["tables"].as_array().unwrap().clone();
                    let more = (0..5_000).map(|n| {
                        let mut table = known[0].clone();
                        table["name"] = format!("table_{n}").into();
                        table
                    });
                    let more = more.collect::<Vec<_>>();
                    d["tables"].as_array_mut().unwrap().extend(more);
                },
                NodeOutcome::Answered,
            ),
        ];
        for (what, change, outcome) in claims {
            let fake = Fake::new();
            fake.on_describe(move |said| describing(&said, change));
            let world = World::start_behind(spec(), "fake", |front| fake.stand_in(front)).await;
            let mut client = world.client().await;
            let answer = client.ask(CELLS).await;
            let node = answer.coverage.nodes.iter().find(|node| node.organisation == "fake");
            assert_eq!(node.unwrap().outcome, outcome, "{what}: {:?}", answer.coverage);
            let said = serde_json::to_string(&answer.coverage).unwrap();
            assert!(said.len() < 200_000, "{what}: coverage of {} bytes", said.len());
            let tables = client.ask("SELECT table_name FROM information_schema.tables").await;
            assert!(!format!("{:?}", tables.batches).contains("table_1"), "{what}");
            end(world).await;
        }
    })
    .await;
}
