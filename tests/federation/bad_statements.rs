//! Statements that are too long, too deep, too wide or no statements at all. Each is turned down at
//! once, with the limit it is over, and the server goes on.

use std::time::{Duration, Instant};

use hedgerow_engine::WireError;

use crate::answers::{Value, values};
use crate::contracts::WARD;
use crate::logs;
use crate::panics;
use crate::world::{Client, Data, Organisation, Spec, World, in_time};

/// Values of the data, which no error may hold.
const SECRETS: [&str; 2] = ["wombat annexe", "8529637410"];

async fn world() -> World {
    panics::watch();
    logs::capture();
    let wards =
        |annexe: &str| Data::Csv(format!("ward,beds\n{annexe},8529637410\nnumbat ward,3\n"));
    let spec = Spec::default()
        .contract(WARD)
        .organisation(Organisation::new("east").table("ward", wards("wombat annexe")))
        .organisation(Organisation::new("west").table("ward", wards("wombat annexe")))
        .limits("statement_timeout_ms = 10000");
    World::start(spec).await
}

async fn end(world: World, mut client: Client) {
    let count = client.ask("SELECT count(*) FROM ward").await;
    assert_eq!(values(&count.batches), vec![vec![Value::Exact("4".to_owned())]]);
    world.shutdown().await;
    panics::assert_none();
    for secret in &SECRETS {
        assert!(logs::lines_with(&[secret]).is_empty(), "{secret} is in the log");
    }
}

/// What a statement is turned down with, quickly.
async fn refusal(client: &mut Client, what: &str, sql: &str) -> WireError {
    let started = Instant::now();
    let error = client.try_ask(sql).await.map(|_| ()).expect_err(what);
    assert!(started.elapsed() < Duration::from_secs(5), "{what}: {:?}", started.elapsed());
    for secret in SECRETS {
        assert!(!format!("{error:?}").contains(secret), "{what}: {error:?}");
    }
    assert!(error.message.chars().count() <= 1_500, "{what}: {error:?}");
    error
}

/// Turned down for a limit, which is named, with what to do.
async fn check_limit(client: &mut Client, what: &str, sql: &str, limit: &str) {
    let error = refusal(client, what, sql).await;
    assert_eq!(error.sqlstate, "53400", "{what}: {error:?}");
    assert!(error.message.contains(limit), "{what}: {error:?}");
    assert!(error.hint.is_some(), "{what}: {error:?}");
}

/// `part` so many times, joined.
fn chain(part: &str, operator: &str, times: usize) -> String {
    vec![part; times].join(operator)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn long_statements_are_over_a_limit() {
    in_time(async {
        let world = world().await;
        let mut client = world.client().await;
        let text = "x".repeat(10 << 20);
        let bytes = "statement_bytes_max";
        check_limit(&mut client, "10 MB", &format!("SELECT '{text}'"), bytes).await;
        check_limit(&mut client, "10 MB of spaces", &" ".repeat(10 << 20), bytes).await;
        check_limit(&mut client, "10 MB of brackets", &"(".repeat(10 << 20), bytes).await;
        check_limit(&mut client, "10 MB of comment", &format!("/*{text}*/ SELECT 1"), bytes).await;
        // Larger than a message may be: turned down below the service, in our words all the same.
        let error = refusal(&mut client, "20 MB", &"x".repeat(20 << 20)).await;
        assert_eq!(error.sqlstate, "53400", "{error:?}");
        assert!(error.message.contains("message_bytes_max"), "{error:?}");
        end(world, client).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn chains_are_over_a_limit() {
    in_time(async {
        let world = world().await;
        let mut client = world.client().await;
        let condition = |chain: String| format!("SELECT count(*) FROM ward WHERE {chain}");
        for (what, sql) in [
            ("10,000 +", format!("SELECT {}", chain("1", "+", 10_001))),
            (
                "10,000 + over a column",
                format!("SELECT sum({}) FROM ward", chain("beds", "+", 10_001)),
            ),
            ("10,000 OR", condition(chain("beds = 3", " OR ", 10_001))),
            ("10,000 AND", condition(chain("beds > 3", " AND ", 10_001))),
            ("10,000 ||", format!("SELECT {}", chain("'a'", "||", 10_001))),
            ("10,000 NOT", condition(format!("{} beds = 3", "NOT ".repeat(10_000)))),
            ("10,000 minus signs", format!("SELECT {} 1", "- ".repeat(10_000))),
            ("10,000 casts", format!("SELECT 1{}", "::int".repeat(10_000))),
            ("10,000 UNION ALL", chain("SELECT 1", " UNION ALL ", 10_001)),
            (
                "2,000 CASE branches",
                format!("SELECT CASE {} END", chain("WHEN 1 = 2 THEN 3", " ", 2_000)),
            ),
            ("600 joins", format!("SELECT 1 FROM ward{}", " JOIN ward USING (beds)".repeat(600))),
        ] {
            check_limit(&mut client, what, &sql, "`limits.").await;
        }
        let sum = chain("beds", "+", 1_001);
        let sum = format!("SELECT sum({sum}) FROM ward");
        check_limit(&mut client, "1,000 +", &sum, "operators_max").await;
        let any = condition(chain("beds = 3", " OR ", 1_001));
        check_limit(&mut client, "1,000 OR", &any, "operators_max").await;
        for (what, sql) in [
            ("30,000 values", format!("SELECT 1 WHERE 1 IN ({})", chain("2", ",", 30_000))),
            ("30,000 columns", format!("SELECT {}", chain("1", ",", 30_000))),
            ("30,000 rows", format!("VALUES {}", chain("(1)", ",", 30_000))),
            ("30,000 keys", format!("SELECT 1 FROM ward GROUP BY {}", chain("beds", ",", 30_000))),
        ] {
            check_limit(&mut client, what, &sql, "statement_tokens_max").await;
        }
        end(world, client).await;
    })
    .await;
}

/// A chain of CTEs, each of which reads the one before twice.
fn doublings(first: &str, times: usize) -> String {
    let mut sql = format!("WITH c0 AS ({first})");
    for n in 1..=times {
        let before = n - 1;
        sql.push_str(&format!(
            ", c{n} AS (SELECT * FROM c{before} UNION ALL SELECT * FROM c{before})"
        ));
    }
    format!("{sql} SELECT count(*) FROM c{times}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn short_statements_with_large_plans_are_over_a_limit() {
    in_time(async {
        let world = world().await;
        let mut client = world.client().await;
        let scans = doublings("SELECT beds FROM ward", 12);
        check_limit(&mut client, "4,096 scans", &scans, "scans_max").await;
        let scans = doublings("SELECT beds FROM ward", 7);
        check_limit(&mut client, "128 scans", &scans, "scans_max").await;
        let nodes = doublings("SELECT 1 AS one", 12);
        check_limit(&mut client, "4,096 constants", &nodes, "plan_nodes_max").await;
        // Far more than could ever be counted one by one.
        for first in ["SELECT beds FROM ward", "SELECT 1 AS one"] {
            let error = refusal(&mut client, "2^60", &doublings(first, 60)).await;
            assert_eq!(error.sqlstate, "53400", "{error:?}");
        }
        let joins = |times: usize| {
            let mut sql = "WITH c0 AS (SELECT beds FROM ward)".to_owned();
            for n in 1..=times {
                let b = n - 1;
                sql.push_str(&format!(", c{n} AS (SELECT x.beds FROM c{b} x, c{b} y)"));
            }
            format!("{sql} SELECT count(*) FROM c{times}")
        };
        check_limit(&mut client, "4,096 joined scans", &joins(12), "scans_max").await;
        // A few are nothing out of the way.
        let few = client.ask(&doublings("SELECT beds FROM ward", 3)).await;
        assert_eq!(values(&few.batches), vec![vec![Value::Exact("32".to_owned())]]);
        end(world, client).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn deep_statements_are_turned_down() {
    in_time(async {
        let world = world().await;
        let mut client = world.client().await;
        let deep = |open: &str, inner: &str, close: &str| {
            format!("{}{inner}{}", open.repeat(2_000), close.repeat(2_000))
        };
        for (what, sql) in [
            ("brackets", deep("(", "SELECT 1", ")")),
            ("brackets in an expression", format!("SELECT {}", deep("(", "1", ")"))),
            ("functions", format!("SELECT {}", deep("abs(", "1", ")"))),
            ("subqueries", deep("SELECT * FROM (", "SELECT 1", ") x")),
            ("CASE", format!("SELECT {}", deep("CASE WHEN true THEN ", "1", " END"))),
            ("EXISTS", deep("SELECT 1 WHERE EXISTS (", "SELECT 1", ")")),
            ("arrays", format!("SELECT {}", deep("[", "1", "]"))),
            ("open brackets", format!("SELECT {}", "(".repeat(2_000))),
            ("nested comments", format!("{} SELECT 1", "/*".repeat(2_000))),
        ] {
            let error = refusal(&mut client, what, &sql).await;
            let known = ["42601", "53400"].contains(&error.sqlstate.as_str());
            assert!(known, "{what}: {error:?}");
        }
        end(world, client).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nonsense_is_no_sql() {
    in_time(async {
        let world = world().await;
        let mut client = world.client().await;
        for sql in [
            "",
            ";",
            "\0",
            "SELECT \0",
            "\u{feff}",
            "--",
            "/*",
            "'",
            "\"",
            "$$",
            "SELECT 'unfinished",
            "SELECT \"unfinished",
            "SELECT /* unfinished",
            "SELECT 1; SELECT 2",
            "SELECT 😀",
            "SELECT \u{202e}1",
            "SELEKT 1",
            "SELECT FROM WHERE",
            "WITH",
            "WITH RECURSIVE",
            "EXPLAIN",
            "EXPLAIN EXPLAIN SELECT 1",
            "SELECT 1e",
            "SELECT x'0g'",
            "SELECT U&'\\zzzz'",
            "SELECT * FROM ward LIMIT 'x'",
            "SELECT * FROM ward LIMIT -1",
            "SELECT * FROM ward LIMIT 99999999999999999999999999",
            "SELECT 9999999999999999999999999999999999999999999999999999999999999999999999999999999",
            "SELECT CAST('1' AS DECIMAL(200, 100))",
            "SELECT CAST(1 AS VARCHAR(99999999999999999999))",
            "SELECT INTERVAL '99999999999999 years'",
            "SELECT DATE '99999999-99-99'",
            "SELECT TIMESTAMP '2024-13-45 99:99:99'",
            "SELECT 'a' ~ '('",
            "SELECT regexp_replace('a', '(((((', 'x')",
            "SELECT 'a' ~ 'a{1000}{1000}{1000}'",
            "SELECT arrow_cast(1, 'Nonsense(((')",
            "SELECT $1",
            "SELECT ?",
            "SELECT @@version",
            "SELECT count(*) OVER (ROWS BETWEEN 99999999999999999999 PRECEDING AND CURRENT ROW)",
            "SET hedgerow.on_unavailable =",
            "SET hedgerow.on_unavailable = 'perhaps'",
            "SET x = 1",
            "COPY ward TO 'file'",
            "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'file'",
            "DROP TABLE ward",
            "SELECT * FROM 'file.csv'",
        ] {
            let started = Instant::now();
            match client.try_ask(sql).await {
                // Some are SQL after all; what counts is that they are answered.
                Ok(_) => {}
                Err(error) => {
                    let known = ["42601", "42703", "42P01", "0A000", "22000", "53400"];
                    assert!(known.contains(&error.sqlstate.as_str()), "{sql:?}: {error:?}");
                    assert!(!error.message.is_empty(), "{sql:?}: {error:?}");
                    assert!(!error.message.contains("DataFusion"), "{sql:?}: {error:?}");
                }
            }
            assert!(started.elapsed() < Duration::from_secs(5), "{sql:?}");
        }
        end(world, client).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn errors_on_the_data_hold_no_value() {
    in_time(async {
        let world = world().await;
        let mut client = world.client().await;
        for (sql, expected) in [
            ("SELECT CAST(ward AS BIGINT) FROM ward", "22000"),
            ("SELECT CAST(ward AS DATE) FROM ward", "22000"),
            ("SELECT CAST(ward AS DECIMAL(5, 2)) FROM ward", "22000"),
            ("SELECT CAST(beds AS SMALLINT) FROM ward", "22000"),
            ("SELECT beds / (beds - beds) FROM ward", "22000"),
            ("SELECT sum(CAST(ward AS BIGINT)) FROM ward", "22000"),
            ("SELECT count(*) FROM ward WHERE CAST(ward AS BIGINT) > 1", "22000"),
            ("SELECT arrow_cast(beds, 'Int8') FROM ward", "22000"),
            ("SELECT to_timestamp(ward) FROM ward", "22000"),
            ("SELECT to_date(ward) FROM ward", "22000"),
            ("SELECT decode(ward, 'hex') FROM ward", "22000"),
            ("SELECT regexp_like('a', ward || '(') FROM ward", "22000"),
            ("SELECT beds * 9000000000000000000 * 9000000000000000000 FROM ward", ""),
            ("SELECT chr(beds) FROM ward", ""),
            ("SELECT date_trunc(ward, TIMESTAMP '2024-01-01') FROM ward", ""),
            ("SELECT make_date(beds, beds, beds) FROM ward", ""),
            ("SELECT repeat(ward, beds) FROM ward", ""),
        ] {
            match client.try_ask(sql).await {
                Ok(_) => assert!(expected.is_empty(), "{sql} is answered"),
                Err(error) => {
                    for secret in SECRETS {
                        assert!(!format!("{error:?}").contains(secret), "{sql}: {error:?}");
                    }
                    let known = ["22000", "42601", "0A000", "53400"];
                    assert!(known.contains(&error.sqlstate.as_str()), "{sql}: {error:?}");
                }
            }
        }
        end(world, client).await;
    })
    .await;
}
