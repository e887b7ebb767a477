//! What happens when something is down, wrong, slow, or no longer wanted.

use std::time::{Duration, Instant};

use hedgerow::server::{ServeError, run_from_config};
use hedgerow_engine::NodeOutcome;
use hedgerow_flight::SqlClient;

use crate::answers::{Value, values};
use crate::contracts::WARD;
use crate::logs;
use crate::world::{Data, Organisation, PASSWORD, Spec, World, credentials, in_time};

const NUMBER: &str = r#"
name = "number"
version = 1
protection = "open"
[[columns]]
name = "n"
type = "int64"
roles = ["open"]
"#;

fn wards(beds: i64) -> Data {
    Data::Csv(format!("ward,beds\nsurgery,{beds}\n"))
}

fn spec() -> Spec {
    Spec::default()
        .contract(WARD)
        .organisation(Organisation::new("east").table("ward", wards(1)))
        .organisation(Organisation::new("north").table("ward", wards(20)))
        .organisation(Organisation::new("west").table("ward", wards(300)))
}

fn one(number: i64) -> Vec<Vec<Value>> {
    vec![vec![Value::Exact(number.to_string())]]
}

const BEDS: &str = "SELECT sum(beds) FROM ward";

/// What both a node that goes down and one that was never there are met with.
async fn check_without_north(world: &World) {
    let mut client = world.client().await;
    for sql in [BEDS, "SELECT beds FROM ward"] {
        let error = client.try_ask(sql).await.map(|_| ()).unwrap_err();
        assert_eq!(error.sqlstate, "08006", "{error:?}");
        assert_eq!(error.organisation.as_deref(), Some("north"));
        assert!(error.message.contains("north"), "{error:?}");
        assert!(error.hint.unwrap().contains("hedgerow.on_unavailable"));
    }
    // What does not need north goes on.
    let beds = "SELECT sum(beds) FROM ward WHERE organisation <> 'north'";
    assert_eq!(values(&client.ask(beds).await.batches), one(301));
    assert_eq!(values(&client.ask("SELECT 1").await.batches), one(1));
    let state = "SELECT count(*) FROM system.nodes WHERE state = 'up'";
    client.ask(state).await;
    client.0.tables().await.unwrap();

    client.ask("SET hedgerow.on_unavailable = 'exclude'").await;
    let answer = client.ask(BEDS).await;
    assert_eq!(values(&answer.batches), one(301));
    let north = answer.coverage.nodes.iter().find(|node| node.organisation == "north").unwrap();
    assert_eq!(north.outcome, NodeOutcome::Unavailable);
    assert!(north.detail.is_some());
    assert_eq!(answer.coverage.count(NodeOutcome::Answered), 2);
    let rows = client.ask("SELECT beds FROM ward ORDER BY beds").await;
    assert_eq!(values(&rows.batches), [one(1), one(300)].concat());
    assert_eq!(rows.coverage.count(NodeOutcome::Unavailable), 1);

    // Options belong to one session.
    let mut other = world.client().await;
    assert_eq!(other.try_ask(BEDS).await.map(|_| ()).unwrap_err().sqlstate, "08006");
    client.ask("SET hedgerow.on_unavailable = 'fail'").await;
    assert_eq!(client.try_ask(BEDS).await.map(|_| ()).unwrap_err().sqlstate, "08006");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_that_goes_down_is_named() {
    in_time(async {
        let mut world = World::start(spec()).await;
        let mut client = world.client().await;
        assert_eq!(values(&client.ask(BEDS).await.batches), one(321));
        world.stop("north").await;
        check_without_north(&world).await;
        world.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_that_was_never_there_is_named() {
    in_time(async {
        let world = World::start_without(spec(), &["north"]).await;
        check_without_north(&world).await;
        world.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn strangers_are_turned_away() {
    in_time(async {
        let world = World::start(spec()).await;
        let error = world.try_client("wrong horse").await.unwrap_err();
        assert_eq!(error.sqlstate, "28000", "{error:?}");
        assert!(!format!("{error:?}").contains("horse"), "{error:?}");

        // A server whose certificate another authority signed.
        let other = World::start(spec()).await;
        let error = SqlClient::connect(world.url(), &other.tls(), credentials(PASSWORD)).await;
        let error = error.unwrap_err();
        assert_eq!(error.sqlstate, "08006", "{error:?}");
        assert!(error.message.contains("certificate"), "{error:?}");

        // Nobody there at all.
        let url = other.url().to_owned();
        let tls = other.tls();
        let mut other = other;
        other.stop("coordinator").await;
        let error = SqlClient::connect(&url, &tls, credentials(PASSWORD)).await.unwrap_err();
        assert_eq!(error.sqlstate, "08006", "{error:?}");
        assert!(error.message.contains(&url), "{error:?}");
        other.shutdown().await;
        world.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_occupied_port_is_named() {
    in_time(async {
        let world = World::start(spec()).await;
        let config = world.config("east");
        let error = run_from_config(&config).await.map(|_| ()).unwrap_err();
        assert!(matches!(error, ServeError::Occupied { .. }), "{error:?}");
        assert!(error.to_string().contains(&config.listen.to_string()), "{error}");
        world.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_drifted_table_is_left_out_with_a_notice() {
    in_time(async {
        let drifted = Data::Csv("ward,bed_count\nsurgery,20\n".to_owned());
        let spec = Spec::default()
            .contract(WARD)
            .organisation(Organisation::new("east").table("ward", wards(1)))
            .organisation(Organisation::new("north").table("ward", drifted));
        let world = World::start(spec).await;
        let answer = world.client().await.ask(BEDS).await;
        assert_eq!(values(&answer.batches), one(1));
        let north = &answer.coverage.nodes[1];
        assert_eq!(north.outcome, NodeOutcome::NotConforming);
        assert!(north.detail.as_ref().unwrap().contains("`beds`"), "{north:?}");
        assert!(answer.coverage.notices[0].starts_with("north is left out"));
        world.shutdown().await;
    })
    .await;
}

/// A long text of every number, digested: minutes of work, in many small steps.
pub(crate) const SLOW: &str =
    "SELECT count(*) FROM number WHERE md5(repeat(CAST(n AS VARCHAR), 1000)) LIKE 'zz%'";
pub(crate) const SLOW_ROWS: usize = 600_000;

pub(crate) fn numbers(organisation: &str, count: usize) -> Spec {
    let rows: String = (0..count).map(|n| format!("{n}\n")).collect();
    Spec::default().contract(NUMBER).organisation(
        Organisation::new(organisation).table("number", Data::Csv(format!("n\n{rows}"))),
    )
}

/// Waits until the log has a line with all of `words`.
pub(crate) async fn logged(words: &[&str]) -> String {
    loop {
        if let Some(line) = logs::lines_with(words).pop() {
            return line;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dropping_a_statement_ends_the_work_at_the_node() {
    logs::capture();
    in_time(async {
        let world = World::start(numbers("slowford", SLOW_ROWS)).await;
        let mut client = world.client().await;
        let waited = tokio::time::timeout(Duration::from_secs(2), client.try_ask(SLOW)).await;
        assert!(waited.is_err(), "the slow statement is quick");
        let words = ["organisation=slowford", "role=\"node\"", "outcome=\"cancelled\""];
        let ended = tokio::time::timeout(Duration::from_secs(5), logged(&words)).await;
        assert!(ended.is_ok(), "{:#?}", logs::lines_with(&["slowford"]));
        // And so there is nothing to wait for.
        let started = Instant::now();
        world.shutdown().await;
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_statement_has_its_time() {
    in_time(async {
        let spec = numbers("timeford", SLOW_ROWS).limits("statement_timeout_ms = 1000");
        let world = World::start(spec).await;
        let mut client = world.client().await;
        let started = Instant::now();
        let error = client.try_ask(SLOW).await.map(|_| ()).unwrap_err();
        assert_eq!(error.sqlstate, "57014", "{error:?}");
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        world.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_stops_finishes_what_runs() {
    in_time(async {
        let rows = 400_000;
        let mut world = World::start(numbers("stopford", rows)).await;
        let mut client = world.client().await;
        let mut stream = client.0.query("SELECT n FROM number").await.unwrap();
        let mut count = stream.next().await.unwrap().unwrap().num_rows();
        assert!(count < rows, "everything came at once");
        let coordinator = world.take("coordinator");
        let stopping = tokio::spawn(coordinator.shutdown());
        tokio::time::sleep(Duration::from_millis(200)).await;
        while let Some(batch) = stream.next().await {
            count += batch.unwrap().num_rows();
        }
        assert_eq!(count, rows);
        drop(stream);
        stopping.await.unwrap().unwrap();
        let error = world.try_client(PASSWORD).await.unwrap_err();
        assert_eq!(error.sqlstate, "08006", "{error:?}");
        world.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_stops_ends_what_does_not_finish() {
    in_time(async {
        let mut world = World::start(numbers("haltford", SLOW_ROWS)).await;
        let mut client = world.client().await;
        let asked = tokio::spawn(async move { client.try_ask(SLOW).await.map(|_| ()) });
        tokio::time::sleep(Duration::from_secs(1)).await;
        let started = Instant::now();
        world.stop("coordinator").await;
        assert!(started.elapsed() < Duration::from_secs(14), "{:?}", started.elapsed());
        let error = asked.await.unwrap().unwrap_err();
        assert_eq!(error.sqlstate, "57014", "{error:?}");
        world.shutdown().await;
    })
    .await;
}
