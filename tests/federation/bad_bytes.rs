//! Bytes that are no message: malformed protobuf and text that is no UTF-8, in every field of every
//! command, action and ticket. Each is turned down as the caller's fault, and the server goes on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, Any, CommandGetTables, CommandStatementQuery,
    ProstMessageExt,
};
use arrow_flight::{FlightData, FlightDescriptor};
use futures::{StreamExt, stream};
use hedgerow_engine::{BUNDLE_VERSION, WireError};
use prost::Message;

use crate::answers::{Value, values};
use crate::dice::Dice;
use crate::logs;
use crate::panics;
use crate::raw::{BUNDLE, Raw, any, bundle, field, varint};
use crate::world::{Data, Organisation, Spec, World, in_time};

const WARD: &str = r#"
name = "ward"
version = 1
protection = "open"
[[columns]]
name = "ward"
type = "utf8"
roles = ["open"]
"#;

/// A value of the data, which no error may hold.
const SECRET: &str = "capybara suite";

pub(crate) async fn world() -> World {
    panics::watch();
    logs::capture();
    let wards = Data::Csv(format!("ward\n{SECRET}\n"));
    let east = Organisation::new("east").table("ward", wards);
    let limits = "statement_timeout_ms = 5000";
    World::start(Spec::default().contract(WARD).organisation(east).limits(limits)).await
}

pub(crate) async fn end(world: World) {
    let answer = world.client().await.ask("SELECT count(*) FROM ward").await;
    assert_eq!(values(&answer.batches), vec![vec![Value::Exact("1".to_owned())]]);
    world.shutdown().await;
    panics::assert_none();
    assert!(logs::lines_with(&[SECRET]).is_empty(), "a value is in the log");
}

const SQL: &str = "type.googleapis.com/arrow.flight.protocol.sql.";

/// Every command and its highest field number.
const COMMANDS: [(&str, u8); 20] = [
    ("CommandStatementQuery", 2),
    ("CommandStatementSubstraitPlan", 2),
    ("CommandPreparedStatementQuery", 1),
    ("CommandGetCatalogs", 0),
    ("CommandGetDbSchemas", 2),
    ("CommandGetTables", 5),
    ("CommandGetTableTypes", 0),
    ("CommandGetSqlInfo", 1),
    ("CommandGetXdbcTypeInfo", 1),
    ("CommandGetPrimaryKeys", 3),
    ("CommandGetExportedKeys", 3),
    ("CommandGetImportedKeys", 3),
    ("CommandGetCrossReference", 6),
    ("TicketStatementQuery", 1),
    ("CommandStatementUpdate", 2),
    ("CommandPreparedStatementUpdate", 1),
    ("CommandStatementIngest", 7),
    ("DoPutUpdateResult", 1),
    ("ActionCancelQueryResult", 1),
    ("Nonsense", 1),
];

/// Every action and its highest field number; `""` is an action that there is not.
const ACTIONS: [(&str, u8); 13] = [
    ("CreatePreparedStatement", 2),
    ("ClosePreparedStatement", 1),
    ("CreatePreparedSubstraitPlan", 2),
    ("BeginTransaction", 0),
    ("EndTransaction", 2),
    ("BeginSavepoint", 2),
    ("EndSavepoint", 2),
    ("CancelQuery", 1),
    ("CancelFlightInfo", 1),
    ("hedgerow.describe", 1),
    ("SetSessionOptions", 1),
    ("Nonsense", 1),
    ("", 1),
];

/// One field, malformed in every way there is.
fn malformed(tag: u8) -> Vec<(&'static str, Vec<u8>)> {
    let key = |kind: u8| vec![tag << 3 | kind];
    let with = |kind: u8, bytes: &[u8]| [key(kind), bytes.to_vec()].concat();
    vec![
        ("a number", with(0, &[1])),
        ("an endless number", with(0, &[0xff; 20])),
        ("eight bytes", with(1, &[0xff; 8])),
        ("four bytes", with(5, &[0xff; 4])),
        ("half of eight bytes", with(1, &[0xff; 3])),
        ("a group", with(3, &[])),
        ("a group's end", with(4, &[])),
        ("a kind that is not there", with(6, &[1])),
        ("no UTF-8", field(tag, &[0xff, 0xfe, 0xc0, 0x80])),
        ("half a letter", field(tag, &"é".as_bytes()[..1])),
        ("a NUL", field(tag, b"\0")),
        ("garbage", field(tag, &[0x9d; 300])),
        ("nothing", field(tag, &[])),
        ("its key only", key(2)),
        ("less than it says", with(2, &[100, b'x'])),
        ("a length of 2^63", with(2, &varint(1 << 63))),
        ("a length of 2^32", with(2, &varint(1 << 32))),
        ("a length that does not end", with(2, &[0xff; 12])),
    ]
}

/// Malformed in other ways than in one field.
fn shapeless() -> Vec<(&'static str, Vec<u8>)> {
    let mut groups = vec![0x0b; 10_000];
    groups.extend([0x0c; 10_000]);
    vec![
        ("no bytes", vec![]),
        ("zeros", vec![0; 50]),
        ("ones", vec![0xff; 50]),
        ("text", b"SELECT 1".to_vec()),
        ("10,000 groups", groups),
        ("field 0", vec![2, 1, b'x']),
    ]
}

/// Whatever is sent, it is an answer or the caller's fault, said in words of ours.
fn check<T>(what: &str, answered: Result<T, WireError>) {
    let Err(error) = answered else { return };
    let known = ["42601", "0A000", "26000", "53400", "42P01", "42703"];
    assert!(known.contains(&error.sqlstate.as_str()), "{what}: {error:?}");
    let words = format!("{error:?}");
    for inside in ["ParseError", "DecodeError", "prost", "arrow", "Arrow", "::", SECRET] {
        assert!(!words.contains(inside), "{what}: {error:?}");
    }
    assert!(!error.message.is_empty() && error.message.len() < 500, "{what}: {error:?}");
}

/// Sends bytes to every call that takes a command.
pub(crate) async fn everywhere(mut raw: Raw, what: String, bytes: Vec<u8>) {
    check(&format!("GetFlightInfo, {what}"), raw.info(bytes.clone()).await);
    check(&format!("DoGet, {what}"), raw.get(bytes.clone()).await);
    let descriptor = FlightDescriptor::new_cmd(bytes);
    let upload = FlightData::new().with_descriptor(descriptor);
    check(&format!("DoPut, {what}"), raw.put(vec![upload]).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn malformed_commands_are_the_callers_fault() {
    in_time(async {
        let world = world().await;
        let raw = Raw::connect(&world, "coordinator").await;
        let mut sent = vec![];
        for (name, tags) in COMMANDS {
            let url = format!("{SQL}{name}");
            let fields = (1..=tags).flat_map(|tag| {
                malformed(tag)
                    .into_iter()
                    .map(move |(how, bytes)| (format!("field {tag}: {how}"), bytes))
            });
            let whole = shapeless().into_iter().map(|(how, bytes)| (how.to_owned(), bytes));
            for (how, bytes) in fields.chain(whole) {
                sent.push((format!("{name}, {how}"), any(&url, &bytes)));
            }
        }
        // The envelope itself.
        for tag in 1..=3 {
            for (how, bytes) in malformed(tag) {
                sent.push((format!("the envelope, field {tag}: {how}"), bytes));
            }
        }
        sent.extend(shapeless().into_iter().map(|(how, bytes)| (how.to_owned(), bytes)));
        let sent = stream::iter(sent);
        let sent = sent.map(|(what, bytes)| everywhere(raw.clone(), what, bytes));
        sent.buffer_unordered(8).collect::<Vec<()>>().await;
        end(world).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn malformed_actions_are_the_callers_fault() {
    in_time(async {
        let world = world().await;
        let mut raw = Raw::connect(&world, "coordinator").await;
        let mut node = Raw::connect(&world, "east").await;
        for (name, tags) in ACTIONS {
            let url = match name.starts_with(|letter: char| letter.is_ascii_uppercase()) {
                true => format!("{SQL}Action{name}Request"),
                false => format!("{SQL}{name}"),
            };
            let fields = (1..=tags.max(1)).flat_map(malformed);
            for (how, bytes) in fields.chain(shapeless()) {
                for body in [any(&url, &bytes), any(&format!("{SQL}Nonsense"), &bytes), bytes] {
                    check(&format!("{name}: {how}"), raw.act(name, body.clone()).await);
                    if name.starts_with("hedgerow") {
                        check(&format!("{name} at a node: {how}"), node.act(name, body).await);
                    }
                }
            }
        }
        // Uploads without a command, and of what is no Arrow.
        check("an empty upload", raw.put(vec![]).await);
        check("no command", raw.put(vec![FlightData::new()]).await);
        let garbage = FlightData { data_header: vec![0xff; 99].into(), ..FlightData::new() };
        check("garbage", raw.put(vec![garbage]).await);
        let request = raw.request(stream::iter([FlightData::new()]));
        let exchanged = raw.client.do_exchange(request).await;
        check("DoExchange", exchanged.map_err(|status| hedgerow_flight::from_status(&status)));
        // The end of a session, whatever is said with it.
        check("CloseSession", raw.act("CloseSession", vec![0xff; 30]).await);
        let error = raw.info(vec![]).await.unwrap_err();
        assert_eq!(error.sqlstate, "28000", "{error:?}");
        end(world).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn malformed_bundles_are_the_coordinators_fault() {
    in_time(async {
        let world = world().await;
        let mut node = Raw::connect(&world, "east").await;
        let good = bundle(BUNDLE_VERSION, &["SELECT count(*) AS m0 FROM ward".to_owned()], None);
        node.get(any(BUNDLE, &good)).await.unwrap();
        for tag in 1..=10 {
            for (how, bytes) in malformed(tag) {
                // In place of the rest, behind it, and before it.
                for bytes in [bytes.clone(), [&*good, &*bytes].concat(), [&*bytes, &*good].concat()]
                {
                    check(&format!("field {tag}: {how}"), node.get(any(BUNDLE, &bytes)).await);
                }
            }
        }
        for (how, bytes) in shapeless() {
            check(how, node.get(any(BUNDLE, &bytes)).await);
        }
        // Millions of fragments of no length are never made room for.
        let many = [bundle(BUNDLE_VERSION, &[], None), [0x22, 0].repeat(4 << 20)].concat();
        let error = node.get(any(BUNDLE, &many)).await.unwrap_err();
        assert_eq!(error.sqlstate, "53400", "{error:?}");
        assert!(error.message.contains("fragments_max"), "{error:?}");
        for text in ["\0", "\u{feff}SELECT 1", "SELECT '\u{202e}'", "SELECT \"\0\" FROM ward"] {
            check(text, node.ask(text).await);
        }
        end(world).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn spoilt_messages_break_nothing() {
    in_time(async {
        let world = world().await;
        let raw = Raw::connect(&world, "coordinator").await;
        let node = Raw::connect(&world, "east").await;
        let query = CommandStatementQuery {
            query: "SELECT ward, count(*) FROM ward GROUP BY ward".to_owned(),
            transaction_id: None,
        };
        let tables = CommandGetTables {
            catalog: Some("federation".to_owned()),
            db_schema_filter_pattern: Some("sh%".to_owned()),
            table_name_filter_pattern: Some("w_rd".to_owned()),
            table_types: vec!["TABLE".to_owned()],
            include_schema: true,
        };
        let prepare = ActionCreatePreparedStatementRequest {
            query: "SELECT 1".to_owned(),
            transaction_id: None,
        };
        let encoded = |any: Any| any.encode_to_vec();
        let question =
            bundle(BUNDLE_VERSION, &["SELECT count(*) AS m0 FROM ward".to_owned()], None);
        let long = std::env::var_os("HEDGEROW_LONG").is_some();
        let rounds = stream::iter(0..if long { 5_000 } else { 250 });
        let rounds = rounds.map(|seed| {
            let (mut raw, mut node) = (raw.clone(), node.clone());
            let (query, tables) = (encoded(query.as_any()), encoded(tables.as_any()));
            let (prepare, question) = (encoded(prepare.as_any()), any(BUNDLE, &question));
            async move {
                let mut dice = Dice::new(seed);
                let what = format!("seed {seed}");
                everywhere(raw.clone(), what.clone(), dice.spoil(&query)).await;
                everywhere(raw.clone(), what.clone(), dice.spoil(&tables)).await;
                check(&what, raw.act("CreatePreparedStatement", dice.spoil(&prepare)).await);
                check(&what, node.get(dice.spoil(&question)).await);
                check(&what, raw.info(dice.bytes(40)).await);
            }
        });
        rounds.buffer_unordered(8).collect::<Vec<()>>().await;
        end(world).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn patterns_of_names_may_be_anything() {
    in_time(async {
        let world = world().await;
        let raw = Raw::connect(&world, "coordinator").await;
        for pattern in ["%", "_", "\\", "%\\", "(((", "[", "%%%%%%%%a", "", "\0", "é%", "w%d"] {
            let tables = CommandGetTables {
                db_schema_filter_pattern: Some(pattern.to_owned()),
                table_name_filter_pattern: Some(pattern.to_owned()),
                ..CommandGetTables::default()
            };
            everywhere(raw.clone(), format!("{pattern:?}"), tables.as_any().encode_to_vec()).await;
        }
        let long = "%a_".repeat(3_000);
        let tables = CommandGetTables {
            table_name_filter_pattern: Some(long.clone()),
            table_types: vec![long; 3],
            ..CommandGetTables::default()
        };
        everywhere(raw, "a long pattern".to_owned(), tables.as_any().encode_to_vec()).await;
        end(world).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn malformed_logins_are_turned_away() {
    in_time(async {
        let world = world().await;
        let mut raw = Raw::connect(&world, "coordinator").await;
        let payloads = malformed(2).into_iter().chain(malformed(3)).chain(shapeless());
        for (how, payload) in payloads.take(30) {
            let error = raw.handshake(payload).await.expect_err(how);
            assert_eq!(error.sqlstate, "28000", "{how}: {error:?}");
        }
        for header in ["Basic", "Basic !!!!", "Basic /////w==", "Basic Og==", "Bearer", "x y z", ""]
        {
            let mut request = tonic::Request::new(stream::iter([Default::default()]));
            request.metadata_mut().insert("authorization", header.parse().unwrap());
            let status = raw.client.handshake(request).await.map(|_| ()).expect_err(header);
            assert_eq!(hedgerow_flight::from_status(&status).sqlstate, "28000", "{header}");
            let mut request = tonic::Request::new(FlightDescriptor::new_cmd(vec![]));
            request.metadata_mut().insert("authorization", header.parse().unwrap());
            let status = raw.client.get_flight_info(request).await.map(|_| ()).expect_err(header);
            assert_eq!(hedgerow_flight::from_status(&status).sqlstate, "28000", "{header}");
        }
        end(world).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connections_that_are_no_tls_harm_nobody() {
    in_time(async {
        let world = world().await;
        let address = world.url().trim_start_matches("https://").to_owned();
        let mut silent = vec![];
        for seed in 0..40 {
            let mut connection = TcpStream::connect(&address).unwrap();
            connection.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            let mut dice = Dice::new(seed);
            match seed % 4 {
                0 => {}
                1 => drop(connection.write_all(&dice.bytes(50_000))),
                2 => drop(connection.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")),
                // The beginning of a TLS greeting, and no more.
                _ => drop(connection.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1])),
            }
            let _ = connection.read(&mut [0; 64]);
            silent.push(connection);
        }
        // They are all still open, and nobody has to wait for them.
        let answer = world.client().await.ask("SELECT ward FROM ward").await;
        assert_eq!(values(&answer.batches).len(), 1);
        drop(silent);
        end(world).await;
    })
    .await;
}
