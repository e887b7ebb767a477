//! A group of nine people is nowhere; a group of ten is. And a node that is asked directly, as by a
//! coordinator gone bad, refuses what the federation refuses.

use hedgerow_engine::BUNDLE_VERSION;

use crate::answers::{Status, Value, rows};
use crate::logs;
use crate::raw::{Raw, any, ticket};
use crate::world::{Data, Organisation, Spec, World, in_time};

const VISIT: &str = r#"
name = "visit"
version = 1
person = { column = "person_number", scope = "organisation" }
keys = [["visit_number"]]
[[columns]]
name = "visit_number"
type = "int64"
roles = ["identifier"]
within_person = true
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
[[columns]]
name = "minutes"
type = "float64"
roles = ["measure"]
[[columns]]
name = "diary"
type = "utf8"
"#;

/// Nine people at east, and nobody elsewhere.
const NINE: &str = "quarrelsome-heron";
/// Ten people at east, and nobody elsewhere.
const TEN: &str = "companionable-stork";
/// Nine people at east, twenty at west.
const SOME: &str = "solitary-bittern";

/// What nine people's units sum to; and what ten people's do.
const NINE_UNITS: i64 = 987_654_321;
const TEN_UNITS: i64 = 1_234_567_890;
const SOME_UNITS: i64 = 876_543_213;

/// Minutes of one visit: dyadic, so that sums are exact in any order, and with many digits, so that
/// eight bytes tell them from anything else.
const MINUTES: f64 = 73.140_625 + 1.0 / 1_073_741_824.0;

/// Three visits of each of `people` persons from `first` on; units sum to `units`.
fn visits(first: i64, people: i64, clinic: &str, units: i64) -> String {
    let mut text = String::new();
    for person in first..first + people {
        let own = units / people + if person == first { units % people } else { 0 };
        for (visit, units) in [own - 2_000_000, 1_000_000, 1_000_000].into_iter().enumerate() {
            let number = person * 10 + visit as i64;
            text.push_str(&format!("{number},{person},{clinic},{units},{MINUTES},secret\n"));
        }
    }
    text
}

fn spec() -> Spec {
    let head = "visit_number,person_number,clinic,units,minutes,diary\n";
    let east = [
        visits(100, 9, NINE, NINE_UNITS),
        visits(200, 10, TEN, TEN_UNITS),
        visits(300, 9, SOME, SOME_UNITS),
    ];
    let west = visits(100, 20, SOME, 60_000_000);
    Spec::default()
        .contract(VISIT)
        .organisation(
            Organisation::new("east").table("visit", Data::Csv(format!("{head}{}", east.concat()))),
        )
        .organisation(Organisation::new("west").table("visit", Data::Csv(format!("{head}{west}"))))
}

pub(crate) fn holds(bytes: &[u8], pattern: &[u8]) -> bool {
    bytes.windows(pattern.len()).any(|window| window == pattern)
}

/// Everything of a group that could be in bytes: key, sums, and a single value.
fn patterns(key: &str, people: i64, units: i64) -> Vec<(&'static str, Vec<u8>)> {
    let sum = MINUTES * (people * 3) as f64;
    let biggest = units / people - 2_000_000;
    vec![
        ("key", key.as_bytes().to_vec()),
        ("sum of units", units.to_le_bytes().to_vec()),
        ("sum of minutes", sum.to_le_bytes().to_vec()),
        ("units of one visit", biggest.to_le_bytes().to_vec()),
    ]
}

const QUESTION: &str = "SELECT clinic, count(*) AS visits, count(DISTINCT person_number) AS people, \
                        sum(units) AS units, sum(minutes) AS minutes, avg(minutes) AS mean \
                        FROM visit GROUP BY clinic ORDER BY clinic";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nine_are_nowhere_and_ten_are() {
    logs::capture();
    in_time(async {
        let world = World::start(spec()).await;
        let mut client = world.client().await;
        let answer = client.ask(QUESTION).await;
        let shown = rows(&answer.batches);
        let text = |row: usize, column: usize| shown[row][column].clone();
        assert_eq!(shown.len(), 2, "{shown:?}");
        assert_eq!(text(0, 0), (Value::Exact(TEN.to_owned()), Status::Whole));
        assert_eq!(text(0, 1).0, Value::Exact("30".to_owned()));
        assert_eq!(text(0, 3).0, Value::Exact(TEN_UNITS.to_string()));
        assert_eq!(text(0, 4).0, Value::Float(MINUTES * 30.0));
        // East's nine are not in the sum, and the sum says that it is a part.
        assert_eq!(text(1, 0), (Value::Exact(SOME.to_owned()), Status::Whole));
        assert_eq!(text(1, 1), (Value::Exact("60".to_owned()), Status::Partial));
        assert_eq!(text(1, 3), (Value::Exact("60000000".to_owned()), Status::Partial));
        assert_eq!(text(1, 4), (Value::Float(MINUTES * 60.0), Status::Partial));
        let coverage = serde_json::to_string(&answer.coverage).unwrap();
        let whole = format!("{:?} {coverage}", answer.batches);
        for hidden in [NINE, &NINE_UNITS.to_string(), &SOME_UNITS.to_string()] {
            assert!(!whole.contains(hidden), "{hidden} is in the answer");
        }
        assert!(!coverage.contains(TEN) && !coverage.contains(SOME), "{coverage}");
        world.shutdown().await;
        let log = logs::text();
        assert!(log.contains("organisation=east"), "the log is not captured:\n{log}");
        let units = [NINE_UNITS, TEN_UNITS, SOME_UNITS].map(|units| units.to_string());
        for value in [NINE, TEN, SOME, "heron", "stork", "bittern"] {
            assert!(!log.contains(value), "{value} is in the log");
        }
        assert!(units.iter().all(|units| !log.contains(units)), "units are in the log");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nine_are_not_in_the_bytes_a_node_sends() {
    logs::capture();
    in_time(async {
        let world = World::start(spec()).await;
        let mut hostile = Raw::connect(&world, "east").await;
        let fragment = "SELECT clinic AS k0, count(*) AS m0, sum(units) AS m1, sum(minutes) AS m2, \
                        avg(minutes) AS m3 FROM visit GROUP BY clinic";
        let mut bytes = vec![];
        for message in hostile.ask(fragment).await.unwrap() {
            bytes.extend_from_slice(&message.data_header);
            bytes.extend_from_slice(&message.data_body);
            bytes.extend_from_slice(&message.app_metadata);
        }
        for (what, pattern) in patterns(TEN, 10, TEN_UNITS).into_iter().take(3) {
            assert!(holds(&bytes, &pattern), "{what} of ten people is missing");
        }
        for (key, units) in [(NINE, NINE_UNITS), (SOME, SOME_UNITS)] {
            for (what, pattern) in patterns(key, 9, units) {
                assert!(!holds(&bytes, &pattern), "{what} of {key} is in the bytes");
            }
        }
        world.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_withheld_measure_leaves_no_bytes() {
    in_time(async {
        let world = World::start(spec()).await;
        let mut hostile = Raw::connect(&world, "east").await;
        // 28 people are in the group, and nine behind the measure.
        let fragment = format!(
            "SELECT count(*) AS m0, sum(units) FILTER (WHERE clinic = '{NINE}') AS m1, \
             sum(minutes) FILTER (WHERE clinic = '{NINE}') AS m2 FROM visit"
        );
        let mut bytes = vec![];
        for message in hostile.ask(&fragment).await.unwrap() {
            bytes.extend_from_slice(&message.data_header);
            bytes.extend_from_slice(&message.data_body);
            bytes.extend_from_slice(&message.app_metadata);
        }
        assert!(holds(&bytes, &84_i64.to_le_bytes()), "28 people have 84 visits");
        for (what, pattern) in patterns(NINE, 9, NINE_UNITS) {
            assert!(!holds(&bytes, &pattern), "{what} is in the bytes");
        }
        world.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_asked_directly_refuses() {
    in_time(async {
        let world = World::start(spec()).await;
        let mut hostile = Raw::connect(&world, "east").await;
        for (fragment, expected) in [
            ("SELECT clinic FROM visit", "42501 S1.shape"),
            ("SELECT * FROM visit LIMIT 1", "42501 S1.shape"),
            ("SELECT clinic, max(units) FROM visit GROUP BY clinic", "42501 S8.extreme"),
            ("SELECT min(minutes) FROM visit", "42501 S8.extreme"),
            ("SELECT person_number, count(*) FROM visit GROUP BY 1", "42501 S4.identifier"),
            ("SELECT count(*) FROM visit WHERE person_number = 100", "42501 S4.literal"),
            ("SELECT units, count(*) FROM visit GROUP BY units", "42501 S2.key"),
            ("SELECT diary, count(*) FROM visit GROUP BY diary", "42703 "),
            ("SELECT count(*) FROM visit WHERE diary = 'secret'", "42703 "),
            ("SELECT count(*) FROM visits", "42P01 "),
            ("SELECT clinic, count(*) FROM visit GROUP BY clinic LIMIT 1", "42501 S1.shape"),
            (
                "SELECT clinic, count(*) FROM visit GROUP BY clinic HAVING count(*) < 10",
                "42501 S1.shape",
            ),
            ("SELECT clinic, count(*) FROM visit GROUP BY clinic ORDER BY 2", "0A000 "),
            ("SELECT clinic, count(*) + 0 FROM visit GROUP BY clinic", "0A000 "),
            ("SELECT clinic, sum(units) OVER () FROM visit", "42501 S1.shape"),
            ("SELECT median(units) FROM visit", "0A000 "),
            ("DROP TABLE visit", "0A000 "),
            ("SELECT FROM", "42601 "),
            ("", "42601 "),
        ] {
            assert_eq!(hostile.refusal(fragment).await, expected, "{fragment}");
        }
        for people in [
            "SELECT clinic, hedgerow_people(person_number, 10) FROM visit GROUP BY clinic",
            "SELECT clinic, hedgerow_people(person_number, 1000) AS m0 FROM visit GROUP BY clinic",
        ] {
            let refusal = hostile.refusal(people).await;
            assert!(
                ["42501 S9.function", "0A000 ", "42601 "].contains(&refusal.as_str()),
                "{refusal}"
            );
        }
        // Two questions over the same people in one bundle.
        let two = ["SELECT count(*) FROM visit", "SELECT clinic, count(*) FROM visit GROUP BY 1"];
        let two = two.map(str::to_owned);
        let error = hostile.get(ticket(BUNDLE_VERSION, &two, None)).await.unwrap_err();
        assert_eq!(error.rule.as_deref(), Some("G7.family"), "{error:?}");
        // The node still answers.
        hostile.ask("SELECT count(*) FROM visit").await.unwrap();
        world.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_refuses_malformed_tickets() {
    in_time(async {
        let world = World::start(spec()).await;
        let mut hostile = Raw::connect(&world, "east").await;
        let one = ["SELECT count(*) FROM visit".to_owned()];
        let bundle = "type.googleapis.com/hedgerow.v1.Bundle";
        let long = ["x".repeat(300_000)];
        let many: Vec<String> = (0..65).map(|n| format!("SELECT {n}")).collect();
        for (what, bytes, expected) in [
            ("nothing", vec![], &["42601", "0A000"][..]),
            ("garbage", vec![0xff; 64], &["42601"]),
            ("another kind", any("type.googleapis.com/other", b"x"), &["0A000"]),
            ("a bundle of garbage", any(bundle, &[0xff; 64]), &["42601"]),
            ("an empty bundle", any(bundle, &[]), &["0A000", "42601"]),
            ("another version", ticket(BUNDLE_VERSION + 1, &one, None), &["0A000"]),
            ("another hash", ticket(BUNDLE_VERSION, &one, Some("0123")), &["42601"]),
            ("no fragments", ticket(BUNDLE_VERSION, &[], None), &["42601"]),
            ("65 fragments", ticket(BUNDLE_VERSION, &many, None), &["53400"]),
            ("a long fragment", ticket(BUNDLE_VERSION, &long, None), &["53400"]),
        ] {
            let error = hostile.get(bytes).await.expect_err(what);
            assert!(expected.contains(&error.sqlstate.as_str()), "{what}: {error:?}");
        }
        // Larger than any message may be: turned down, whatever the words, and nothing breaks.
        let huge = ticket(BUNDLE_VERSION, &["x".repeat(20 << 20)], None);
        hostile.get(huge).await.unwrap_err();
        // A token that nobody issued.
        let token = std::mem::replace(&mut hostile.token, "guessed".to_owned());
        let error = hostile.ask("SELECT count(*) FROM visit").await.unwrap_err();
        assert_eq!(error.sqlstate, "28000");
        hostile.token = token;
        hostile.ask("SELECT count(*) FROM visit").await.unwrap();
        world.shutdown().await;
    })
    .await;
}
