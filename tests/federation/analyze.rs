//! EXPLAIN ANALYZE over the wire: what is told of a run, and that nothing else is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::answers::{Value, values};
use crate::fake::{Answering, Fake};
use crate::faults::{SLOW, SLOW_ROWS, logged, numbers};
use crate::logs;
use crate::misdeeds::send;
use crate::slt::spec;
use crate::world::{Answer, Client, World, in_time};

const COLUMNS: [&str; 8] =
    ["step", "organisation", "outcome", "round", "ms", "rows", "bytes", "note"];
const SPELLS: &str = "SELECT chapter, count(*) AS n FROM spell GROUP BY chapter";

/// One row of an analysis.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    step: String,
    organisation: String,
    outcome: String,
    round: Option<i64>,
    ms: Option<f64>,
    rows: Option<i64>,
    bytes: Option<i64>,
    note: String,
}

async fn analysed(client: &mut Client, sql: &str) -> (Vec<Line>, Answer) {
    let answer = client.ask(&format!("EXPLAIN ANALYZE {sql}")).await;
    let schema = answer.batches[0].schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, COLUMNS);
    let text = |value: &Value| match value {
        Value::Exact(text) => text.clone(),
        other => panic!("{other:?} is no text"),
    };
    let number = |value: &Value| match value {
        Value::Null => None,
        Value::Exact(text) => Some(text.parse().unwrap()),
        Value::Float(_) => panic!("{value:?} is not whole"),
    };
    let lines = values(&answer.batches).into_iter().map(|row| Line {
        step: text(&row[0]),
        organisation: text(&row[1]),
        outcome: text(&row[2]),
        round: number(&row[3]),
        ms: match row[4] {
            Value::Float(ms) => Some(ms),
            _ => None,
        },
        rows: number(&row[5]),
        bytes: number(&row[6]),
        note: text(&row[7]),
    });
    (lines.collect(), answer)
}

fn steps<'a>(lines: &'a [Line], step: &str) -> Vec<&'a Line> {
    lines.iter().filter(|line| line.step == step).collect()
}

fn of<'a>(lines: &'a [Line], organisation: &str) -> &'a Line {
    lines.iter().find(|line| line.organisation == organisation).unwrap()
}

/// The slowest comes first and is marked, and no part takes longer than the whole.
fn check_times(lines: &[Line], nodes: &[&Line]) {
    let ms = |line: &Line| line.ms.unwrap();
    assert!(nodes.is_sorted_by(|a, b| ms(a) >= ms(b)), "{nodes:#?}");
    let marked: Vec<bool> = nodes.iter().map(|line| line.note.contains("slowest")).collect();
    assert_eq!(marked, (0..nodes.len()).map(|place| place == 0).collect::<Vec<_>>(), "{nodes:#?}");
    let whole = ms(steps(lines, "total")[0]);
    assert!(lines.iter().filter_map(|line| line.ms).all(|ms| 0.0 < ms && ms <= whole + 0.001));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_node_is_there_with_what_it_released() {
    in_time(async {
        let world = World::start(spec()).await;
        let mut client = world.client().await;
        let (lines, answer) = analysed(&mut client, SPELLS).await;
        // East has nine people in chapter B, and nothing tells of them.
        for (organisation, rows) in [("east", 2), ("north", 3), ("west", 3)] {
            let line = of(&lines, organisation);
            assert_eq!((line.step.as_str(), line.outcome.as_str()), ("fragment 0", "answered"));
            assert_eq!((line.rows, line.round), (Some(rows), Some(1)), "{line:?}");
            assert!(line.bytes > Some(0), "{line:?}");
        }
        check_times(&lines, &steps(&lines, "fragment 0"));
        assert_eq!(steps(&lines, "round")[0].rows, Some(8));
        for step in ["total", "merge"] {
            assert_eq!(steps(&lines, step)[0].rows, Some(4), "{lines:#?}");
        }
        assert_eq!(steps(&lines, "planning").len(), 1);
        assert_eq!(lines.len(), 7, "{lines:#?}");
        assert_eq!(answer.coverage.nodes.len(), 3);
        // Nine people more or less are the same to whoever reads it.
        let (again, _) = analysed(&mut client, SPELLS).await;
        assert_eq!(of(&lines, "east").bytes, of(&again, "east").bytes);

        let (lines, _) = analysed(&mut client, &format!("{SPELLS} HAVING count(*) < 0")).await;
        assert_eq!(steps(&lines, "total")[0].rows, Some(0), "{lines:#?}");
        let east = "SELECT count(*) FROM spell WHERE organisation = 'east'";
        let (lines, _) = analysed(&mut client, east).await;
        assert_eq!(of(&lines, "east").note, "", "one alone is not the slowest: {lines:#?}");
        for other in ["north", "west"] {
            let line = of(&lines, other);
            assert_eq!((line.step.as_str(), line.outcome.as_str()), ("not asked", "not needed"));
            assert_eq!((line.ms, line.rows), (None, None));
        }
        world.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rows_of_open_tables_and_subqueries() {
    in_time(async {
        let world = World::start(spec()).await;
        let mut client = world.client().await;
        let (lines, answer) = analysed(&mut client, "SELECT ward, beds FROM bed").await;
        let nodes = steps(&lines, "rows of bed");
        assert_eq!(nodes.iter().map(|line| line.rows).collect::<Vec<_>>(), [Some(2); 3]);
        check_times(&lines, &nodes);
        assert_eq!(steps(&lines, "total")[0].rows, Some(6));
        assert!(steps(&lines, "round").is_empty(), "{lines:#?}");
        assert_eq!(answer.coverage.nodes.len(), 3);
        let (lines, _) = analysed(&mut client, "SELECT ward FROM bed LIMIT 1").await;
        assert_eq!(steps(&lines, "total")[0].rows, Some(1), "{lines:#?}");
        // The mean is asked for first, and then what lies above it.
        let above = "SELECT count(*) FROM bed WHERE beds > (SELECT avg(beds) FROM bed)";
        let (lines, _) = analysed(&mut client, above).await;
        let rounds: Vec<Option<i64>> =
            steps(&lines, "round").into_iter().map(|line| line.round).collect();
        assert_eq!(rounds, [Some(1), Some(2)], "{lines:#?}");
        for round in [1, 2] {
            let nodes =
                lines.iter().filter(|line| line.round == Some(round) && line.step != "round");
            assert_eq!(nodes.count(), 3, "{lines:#?}");
        }
        world.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_that_fails_is_named() {
    in_time(async {
        let mut world = World::start(spec()).await;
        let mut client = world.client().await;
        client.ask(SPELLS).await;
        world.stop("west").await;
        let failed = client.try_ask(&format!("EXPLAIN ANALYZE {SPELLS}")).await;
        let error = failed.map(|_| ()).unwrap_err();
        assert_eq!(
            (error.sqlstate.as_str(), error.organisation.as_deref()),
            ("08006", Some("west"))
        );
        client.ask("SET hedgerow.on_unavailable = 'exclude'").await;
        let (lines, answer) = analysed(&mut client, SPELLS).await;
        let west = of(&lines, "west");
        assert_eq!((west.outcome.as_str(), west.rows.unwrap_or(0)), ("unavailable", 0), "{west:?}");
        assert!(west.note.contains("west"), "{west:?}");
        for other in ["east", "north"] {
            assert_eq!(of(&lines, other).outcome, "answered");
        }
        assert_eq!(answer.coverage.nodes.len(), 3);
        world.shutdown().await;
    })
    .await;
}

/// EXPLAIN asks nobody; EXPLAIN ANALYZE asks once, in the analyst's own words, and only what may be
/// asked at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_is_asked() {
    in_time(async {
        let fake = Fake::new();
        let stand_in = fake.clone();
        let world = World::start_behind(spec(), "north", |front| stand_in.stand_in(front)).await;
        let mut client = world.client().await;
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        fake.on_get(move |messages| -> Answering {
            counted.fetch_add(1, Ordering::Relaxed);
            send(messages)
        });
        client.ask(&format!("EXPLAIN {SPELLS}")).await;
        assert_eq!(calls.load(Ordering::Relaxed), 0);
        for (sql, sqlstate) in [
            ("EXPLAIN ANALYZE SELECT * FROM spell", "42501"),
            ("EXPLAIN ANALYZE SELECT * FROM spel", "42P01"),
            ("EXPLAIN ANALYZE EXPLAIN ANALYZE SELECT 1", "42601"),
            ("EXPLAIN EXPLAIN ANALYZE SELECT 1", "42601"),
            ("EXPLAIN ANALYZE DROP TABLE spell", "0A000"),
        ] {
            let error = client.try_ask(sql).await.map(|_| ()).unwrap_err();
            assert_eq!(error.sqlstate, sqlstate, "{sql}: {error:?}");
        }
        assert_eq!(calls.load(Ordering::Relaxed), 0);
        analysed(&mut client, SPELLS).await;
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        world.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dropping_it_ends_the_work_at_the_node() {
    logs::capture();
    in_time(async {
        let world = World::start(numbers("analford", SLOW_ROWS)).await;
        let mut client = world.client().await;
        let sql = format!("EXPLAIN ANALYZE {SLOW}");
        let waited = tokio::time::timeout(Duration::from_secs(2), client.try_ask(&sql)).await;
        assert!(waited.is_err(), "the slow statement is quick");
        let words = ["organisation=analford", "role=\"node\"", "outcome=\"cancelled\""];
        let ended = tokio::time::timeout(Duration::from_secs(5), logged(&words)).await;
        assert!(ended.is_ok(), "{:#?}", logs::lines_with(&["analford"]));
        world.shutdown().await;
    })
    .await;
}

/// The answer is not sent, but its limits hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn limits_are_those_of_the_statement() {
    in_time(async {
        let world = World::start(numbers("east", 50).limits("answer_rows_max = 40")).await;
        let mut client = world.client().await;
        let rows = "EXPLAIN ANALYZE SELECT n FROM number WHERE n <";
        let error = client.try_ask(&format!("{rows} 41")).await.map(|_| ()).unwrap_err();
        assert_eq!(error.sqlstate, "53400", "{error:?}");
        client.ask(&format!("{rows} 40")).await;
        world.shutdown().await;
    })
    .await;
}
