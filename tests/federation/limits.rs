//! Every limit of a server, over the wire, at its edge: what just fits is answered, what does not is
//! 53400 with the limit's name, and the server goes on.

use std::time::{Duration, Instant};

use crate::answers::{Value, values};
use crate::contracts::NUMBER;
use crate::world::{Client, Data, Organisation, Spec, World, in_time};

/// Words stand for what is in the data: no error may show one.
const WORD: &str = "quillwort";

async fn world(rows: usize, limits: &str) -> World {
    let rows: String = (0..rows).map(|n| format!("{n},{WORD}{n}\n")).collect();
    let data = |rows: &str| Data::Csv(format!("n,word\n{rows}"));
    let spec = Spec::default()
        .contract(NUMBER)
        .organisation(Organisation::new("east").table("number", data(&rows)))
        .organisation(Organisation::new("west").table("number", data("7,west\n")));
    World::start(spec.limits(limits)).await
}

/// Asks what passes a limit, then something small.
async fn passes(client: &mut Client, sql: &str, limit: &str) {
    let started = Instant::now();
    let error = client.try_ask(sql).await.map(|_| ()).unwrap_err();
    assert_eq!(error.sqlstate, "53400", "{error:?}");
    assert!(error.message.contains(&format!("`limits.{limit}`")), "{limit}: {error:?}");
    assert!(!format!("{error:?}").contains(WORD), "{error:?}");
    assert!(error.hint.is_some(), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(10), "{limit}: {:?}", started.elapsed());
    fits(client, "SELECT 1").await;
}

async fn fits(client: &mut Client, sql: &str) {
    client.ask(sql).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn texts() {
    in_time(async {
        let limits = "statement_bytes_max = 400\nstatement_tokens_max = 60\noperators_max = 8";
        let world = world(3, limits).await;
        let mut client = world.client().await;
        let padded = |bytes: usize| format!("SELECT 1{}", " ".repeat(bytes - 8));
        fits(&mut client, &padded(400)).await;
        passes(&mut client, &padded(401), "statement_bytes_max").await;
        // Five tokens, one number, and a comma and a number for each more.
        let listed = |tokens: usize| format!("SELECT 1 IN (1{})", ",1".repeat((tokens - 6) / 2));
        fits(&mut client, &listed(60)).await;
        passes(&mut client, &listed(62), "statement_tokens_max").await;
        let chain = |operators: usize| {
            format!("SELECT sum(n{}), count(*) FROM number", " + n".repeat(operators))
        };
        fits(&mut client, &chain(8)).await;
        passes(&mut client, &chain(9), "operators_max").await;
        // Several short chains are no long one.
        fits(&mut client, "SELECT 1+1+1+1, 2+2+2+2, 3+3+3+3").await;
        let nested = "SELECT (1+(1+(1+(1+(1+(1+(1+(1+(1+1)))))))))";
        passes(&mut client, nested, "operators_max").await;
        world.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn plans() {
    in_time(async {
        let world = world(3, "scans_max = 8\nplan_nodes_max = 40").await;
        let mut client = world.client().await;
        let scans = |count: usize| vec!["SELECT n FROM number"; count].join(" UNION ALL ");
        fits(&mut client, &scans(8)).await;
        passes(&mut client, &scans(9), "scans_max").await;
        let within = |count: usize| {
            let subquery = format!("(SELECT max(n) FROM ({}) AS t)", scans(count));
            format!("SELECT n FROM number WHERE n < {subquery}")
        };
        fits(&mut client, &within(7)).await;
        passes(&mut client, &within(8), "scans_max").await;
        let nested = |depth: usize| {
            (0..depth).fold("SELECT 1 AS n".to_owned(), |inner, _| {
                format!("SELECT n FROM ({inner}) AS t")
            })
        };
        // Three nodes are inside; each level adds a projection and an alias.
        fits(&mut client, &nested(18)).await;
        passes(&mut client, &nested(22), "plan_nodes_max").await;
        // A table that is its own double forty times over: counting stops early.
        let mut doubled = "WITH t0 AS (SELECT n FROM number)".to_owned();
        for level in 1..=40 {
            let below = level - 1;
            doubled +=
                &format!(", t{level} AS (SELECT n FROM t{below} UNION ALL SELECT n FROM t{below})");
        }
        passes(&mut client, &format!("{doubled} SELECT count(*) FROM t40"), "scans_max").await;
        world.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn planning_time() {
    in_time(async {
        let world = world(3, "planning_timeout_ms = 1").await;
        let mut client = world.client().await;
        let many: Vec<String> =
            (0..200).map(|n| format!("n = {n} OR word LIKE '%{n}%'")).take(120).collect();
        let slow = format!("SELECT count(*) FROM number WHERE {}", many.join(" OR "));
        let error = client.try_ask(&slow).await.map(|_| ()).unwrap_err();
        assert_eq!(error.sqlstate, "53400", "{error:?}");
        assert!(error.message.contains("`limits.planning_timeout_ms` = 1"), "{error:?}");
        world.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn answers() {
    in_time(async {
        let world = world(999, "answer_rows_max = 1000\nanswer_bytes_max = 20000").await;
        let mut client = world.client().await;
        // 1,000 rows: 999 in the east and 1 in the west.
        assert_eq!(rows(&mut client, "SELECT n FROM number").await, 1_000);
        let more = "SELECT n FROM number UNION ALL SELECT n FROM number WHERE n = 7";
        passes(&mut client, more, "answer_rows_max").await;
        passes(&mut client, "SELECT n, n + 1, n + 2 FROM number", "answer_bytes_max").await;
        assert_eq!(rows(&mut client, "SELECT n, n + 1 FROM number").await, 1_000);
        world.shutdown().await;
    })
    .await;
}

async fn rows(client: &mut Client, sql: &str) -> usize {
    values(&client.ask(sql).await.batches).len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory() {
    in_time(async {
        let world = world(60_000, "memory_bytes_max_per_query = 3000000").await;
        let mut client = world.client().await;
        // At the node, where groups are made.
        let groups = "SELECT word, count(*) FROM number GROUP BY word";
        passes(&mut client, groups, "memory_bytes_max_per_query").await;
        // At the coordinator, where rows of both are sorted.
        let sorted = "SELECT n, word FROM number ORDER BY word";
        passes(&mut client, sorted, "memory_bytes_max_per_query").await;
        fits(&mut client, "SELECT n % 10, count(*) FROM number GROUP BY 1").await;
        // Nothing is left held by what failed.
        for _ in 0..5 {
            fits(&mut client, "SELECT n % 10, count(*) FROM number GROUP BY 1").await;
        }
        world.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn memory_of_all_statements() {
    in_time(async {
        let world = world(60_000, "memory_bytes_max = 3000000").await;
        let mut client = world.client().await;
        let groups = "SELECT word, count(*) FROM number GROUP BY word";
        passes(&mut client, groups, "memory_bytes_max").await;
        fits(&mut client, "SELECT n % 10, count(*) FROM number GROUP BY 1").await;
        world.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn queries_at_once() {
    in_time(async {
        // More rows than the buffers on the way hold, so that a client that waits keeps its place.
        let world = world(400_000, "queries_max = 2").await;
        let mut first = world.client().await;
        let mut second = world.client().await;
        let mut third = world.client().await;
        let all = "SELECT n, word FROM number";
        let mut one = first.0.query(all).await.unwrap();
        assert!(one.next().await.unwrap().unwrap().num_rows() > 0);
        let mut two = second.0.query(all).await.unwrap();
        assert!(two.next().await.unwrap().unwrap().num_rows() > 0);
        let error = third.try_ask("SELECT 1").await.map(|_| ()).unwrap_err();
        assert_eq!(error.sqlstate, "53400", "{error:?}");
        assert!(error.message.contains("`limits.queries_max` = 2"), "{error:?}");
        // A place is free as soon as its client has gone.
        drop(one);
        loop {
            match third.try_ask("SELECT 1").await {
                Ok(answer) => break assert_eq!(values(&answer.batches), one_row()),
                Err(error) => assert_eq!(error.sqlstate, "53400", "{error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        drop(two);
        world.shutdown().await;
    })
    .await;
}

fn one_row() -> Vec<Vec<Value>> {
    vec![vec![Value::Exact("1".to_owned())]]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_that_does_not_read_has_its_time_too() {
    in_time(async {
        let world = world(400_000, "queries_max = 1\nstatement_timeout_ms = 3000").await;
        let mut idle = world.client().await;
        let mut other = world.client().await;
        let mut stream = idle.0.query("SELECT n, word FROM number").await.unwrap();
        stream.next().await.unwrap().unwrap();
        // It holds the only place, reads nothing, and still loses it in time.
        let started = Instant::now();
        while other.try_ask("SELECT 1").await.is_err() {
            assert!(started.elapsed() < Duration::from_secs(10), "the place was never given back");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let ended = loop {
            match stream.next().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => break error,
                None => panic!("the answer seemed whole"),
            }
        };
        assert_eq!(ended.sqlstate, "57014", "{ended:?}");
        world.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn messages() {
    in_time(async {
        let world = world(3, "message_bytes_max = 65536\nstatement_bytes_max = 262144").await;
        let mut client = world.client().await;
        let padded = |bytes: usize| format!("SELECT 1{}", " ".repeat(bytes - 8));
        fits(&mut client, &padded(60_000)).await;
        let error = client.try_ask(&padded(70_000)).await.map(|_| ()).unwrap_err();
        assert_eq!(error.sqlstate, "53400", "{error:?}");
        assert!(error.message.contains("message"), "{error:?}");
        fits(&mut client, "SELECT count(*) FROM number").await;
        world.shutdown().await;
    })
    .await;
}
