//! A node that is gone for one part of a statement and not for another, and tables that any node
//! could answer for: who is left out is left out of everything, and named.

use std::sync::atomic::{AtomicUsize, Ordering};

use hedgerow_engine::NodeOutcome;
use tonic::Status;

use crate::answers::{Value, values};
use crate::contracts::WARD;
use crate::fake::{Answering, Fake};
use crate::misdeeds::send;
use crate::world::{Data, Organisation, Spec, World, in_time};

const CODE: &str = r#"
name = "code"
version = 1
protection = "open"
reference = true
keys = [["ward"]]
[[columns]]
name = "ward"
type = "utf8"
roles = ["open"]
[[columns]]
name = "code"
type = "int64"
roles = ["open"]
"#;

fn organisation(id: &str, beds: i64) -> Organisation {
    Organisation::new(id)
        .table("ward", Data::Csv(format!("ward,beds\nsurgery,{beds}\n")))
        .table("code", Data::Csv("ward,code\nsurgery,7\nmedicine,8\n".to_owned()))
}

fn spec() -> Spec {
    Spec::default()
        .contract(WARD)
        .contract(CODE)
        .organisation(organisation("east", 1))
        .organisation(organisation("north", 20))
        .organisation(organisation("west", 300))
}

fn row<const N: usize>(numbers: [i64; N]) -> Vec<Value> {
    numbers.into_iter().map(|number| Value::Exact(number.to_string())).collect()
}

const COUNT: &str = "SELECT count(*) FROM code";
const CODED: &str =
    "SELECT w.beds, c.code FROM ward w JOIN code c ON w.ward = c.ward ORDER BY w.beds";

/// The coordinator still believes in the first node, which it asks for the codes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn another_node_answers_for_a_reference_table() {
    in_time(async {
        for sql in [COUNT, CODED] {
            let mut world = World::start(spec()).await;
            let mut client = world.client().await;
            client.ask(sql).await;
            client.ask("SET hedgerow.on_unavailable = 'exclude'").await;
            world.stop("east").await;
            match client.try_ask(sql).await {
                Ok(answer) => {
                    let coverage = &answer.coverage;
                    let rows = match sql {
                        COUNT => vec![row([2])],
                        _ => vec![row([20, 7]), row([300, 7])],
                    };
                    assert_eq!(values(&answer.batches), rows, "{sql}: {coverage:?}");
                }
                Err(error) => {
                    assert_eq!(error.sqlstate, "08006", "{error:?}");
                    assert_eq!(error.organisation.as_deref(), Some("east"), "{error:?}");
                }
            }
            // Now it knows.
            let answer = client.ask(COUNT).await;
            assert_eq!(values(&answer.batches), [row([2])], "{:?}", answer.coverage);
            world.shutdown().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reference_table_that_nobody_answers_for_is_not_empty() {
    in_time(async {
        let mut world = World::start(spec()).await;
        let mut client = world.client().await;
        client.ask(COUNT).await;
        for id in ["east", "north", "west"] {
            world.stop(id).await;
        }
        for _ in 0..5 {
            for sql in [COUNT, "SELECT code FROM code"] {
                let answer = client.try_ask(sql).await;
                let answer = answer.map(|answer| (values(&answer.batches), answer.coverage));
                let error = answer.expect_err(sql);
                assert_eq!(error.sqlstate, "08006", "{error:?}");
            }
        }
        client.ask("SET hedgerow.on_unavailable = 'exclude'").await;
        for sql in [COUNT, "SELECT code FROM code"] {
            if let Ok(answer) = client.try_ask(sql).await {
                let missing = answer.coverage.count(NodeOutcome::Unavailable);
                assert!(missing > 0, "{sql}: {:?}", answer.coverage);
            }
        }
        world.shutdown().await;
    })
    .await;
}

/// Each scan of a statement is a call of its own. A node that answers one and not the other is out of
/// both, or the statement fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_is_in_all_scans_or_in_none() {
    in_time(async {
        let fake = Fake::new();
        let stand_in = fake.clone();
        let world = World::start_behind(spec(), "north", |front| stand_in.stand_in(front)).await;
        let mut client = world.client().await;
        let pairs = "SELECT count(*), sum(a.beds), sum(b.beds) FROM ward a JOIN ward b \
                     ON a.ward = b.ward";
        let union = "SELECT beds FROM ward WHERE beds < 1000 \
                     UNION ALL SELECT sum(beds) FROM ward ORDER BY 1";
        let answers = [
            (pairs, vec![row([9, 963, 963])], vec![row([4, 602, 602])]),
            (
                union,
                vec![row([1]), row([20]), row([300]), row([321])],
                vec![row([1]), row([300]), row([301])],
            ),
        ];
        for (sql, whole, without) in answers {
            client.ask("SET hedgerow.on_unavailable = 'fail'").await;
            assert_eq!(values(&client.ask(sql).await.batches), whole, "{sql}");
            client.ask("SET hedgerow.on_unavailable = 'exclude'").await;
            for answered in [0, 1] {
                let calls = AtomicUsize::new(0);
                fake.on_get(move |messages| match calls.fetch_add(1, Ordering::Relaxed) {
                    call if call == answered => send(messages),
                    _ => Answering::Refuse(Status::unavailable("gone")),
                });
                match client.try_ask(sql).await {
                    Ok(answer) => {
                        let coverage = &answer.coverage;
                        assert_eq!(values(&answer.batches), without, "{sql}: {coverage:?}");
                        assert_eq!(coverage.count(NodeOutcome::Unavailable), 1, "{coverage:?}");
                    }
                    Err(error) => {
                        assert_eq!(error.sqlstate, "08006", "{error:?}");
                        assert_eq!(error.organisation.as_deref(), Some("north"), "{error:?}");
                    }
                }
                fake.be_honest();
                while client.ask(sql).await.coverage.count(NodeOutcome::Unavailable) > 0 {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
        world.shutdown().await;
    })
    .await;
}
