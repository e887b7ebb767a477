//! What a federation does with many clients, with clients that leave, and with many groups. Main
//! entries: [`clients`], [`cancel`], [`merge`], [`repeat`].

use std::path::Path;
use std::time::{Duration, Instant};

use hedgerow_flight::SqlClient;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::Failure;
use crate::answers::assert_same;
use crate::federation::{Federation, ask};
use crate::measure::{median, quantile};
use crate::processes::{cpu_ms, peak_mib, resident_mib};
use crate::questions::{Q1, SMALL};
use crate::reference::Reference;
use crate::report::{Aim, Report};

/// Clients at once, the crowd last.
const CLIENTS: [usize; 5] = [1, 2, 4, 8, 16];
const CROWD: usize = 32;
const CROWD_SHARE: Aim = Aim::AtLeast(0.9);
/// How long each number of clients asks.
const ASKING: Duration = Duration::from_secs(4);

/// Clients with small questions beside clients with large ones.
const SMALL_CLIENTS: usize = 4;
const LARGE_CLIENTS: usize = 2;
const MIXED: Duration = Duration::from_secs(12);
const MIXED_RATIO: Aim = Aim::AtMost(10.0);

/// So many pairs of rows that no machine comes to an end of them.
const ENDLESS: &str = "select count(*) from lineitem, part where l_extendedprice * l_tax < p_retailprice * l_discount";
const LEAVERS: usize = 20;
/// How long a client waits before it leaves.
const PATIENCE: Duration = Duration::from_millis(300);
/// The step by which work is watched. A core counts in steps of 10 ms.
const WATCH: Duration = Duration::from_millis(20);
/// Nodes that use less than this in a step do not work.
const WORKING_MS: f64 = 10.0;
/// Nodes that do not work for so long have ended.
const QUIET: Duration = Duration::from_millis(200);
const WATCH_MAX: Duration = Duration::from_secs(10);
const CANCEL_MS: Aim = Aim::AtMost(500.0);

/// How often a statement is asked again.
const REPEATS: usize = 100;
const REPEATS_UNMEASURED: usize = 10;

/// At scale 1 a million groups at each of four nodes, the same at all: every part with each of five
/// numbers.
const GROUPS: &str = "
select
    count(*) as groups,
    sum(pairs) as pairs
from
    (
        select
            p_partkey,
            n_nationkey / 5 as fifth,
            count(*) as pairs
        from
            nation_part,
            part
        group by
            p_partkey,
            n_nationkey / 5
    ) as grouped";
const MERGE_MIB: Aim = Aim::AtMost(400.0);

/// Answers a second by the number of clients, and small questions beside large ones.
pub(crate) async fn clients(federation: &Federation, report: &mut Report) -> Result<(), Failure> {
    let mut best: f64 = 0.0;
    for number in CLIENTS {
        best = best.max(throughput(federation, number, report).await?);
    }
    let crowd = throughput(federation, CROWD, report).await?;
    let title = format!("{CROWD} clients, share of the best");
    report.aimed(&format!("clients_{CROWD}_share"), &title, crowd / best, "", CROWD_SHARE);

    let alone = asked(federation, SMALL_CLIENTS, SMALL, MIXED).await?;
    let (beside, _) = tokio::try_join!(
        asked(federation, SMALL_CLIENTS, SMALL, MIXED),
        asked(federation, LARGE_CLIENTS, Q1, MIXED)
    )?;
    let (alone, beside) = (quantile(&alone, 0.99), quantile(&beside, 0.99));
    report.noted("mixed_alone_p99_ms", "small questions alone, p99", alone, "ms");
    report.noted("mixed_beside_p99_ms", "beside large ones, p99", beside, "ms");
    report.aimed(
        "mixed_p99_ratio",
        "beside large ones / alone",
        beside / alone,
        "times",
        MIXED_RATIO,
    );
    Ok(())
}

/// Small answers a second.
async fn throughput(
    federation: &Federation,
    clients: usize,
    report: &mut Report,
) -> Result<f64, Failure> {
    let answers = asked(federation, clients, SMALL, ASKING).await?;
    let per_s = answers.len() as f64 / ASKING.as_secs_f64();
    report.noted(
        &format!("clients_{clients}_per_s"),
        &format!("small questions, {clients} clients"),
        per_s,
        "a second",
    );
    Ok(per_s)
}

/// Milliseconds of each answer, of clients that ask again as soon as they are answered.
async fn asked(
    federation: &Federation,
    clients: usize,
    sql: &'static str,
    span: Duration,
) -> Result<Vec<f64>, Failure> {
    let mut ready: Vec<SqlClient> = vec![];
    for _ in 0..clients {
        let mut client = federation.client().await?;
        ask(&mut client, sql).await?;
        ready.push(client);
    }
    let end = Instant::now() + span;
    let mut asking = JoinSet::new();
    for mut client in ready {
        asking.spawn(async move {
            let mut ms = vec![];
            while Instant::now() < end {
                ms.push(ask(&mut client, sql).await?.ms);
            }
            Ok::<_, Failure>(ms)
        });
    }
    let mut all = vec![];
    while let Some(done) = asking.join_next().await {
        all.extend(done??);
    }
    Ok(all)
}

/// What it saves that the plan of a statement is remembered: the same text again and again, and in
/// turns with it texts that differ in a remark only.
pub(crate) async fn repeat(federation: &Federation, report: &mut Report) -> Result<(), Failure> {
    let mut client = federation.client().await?;
    let (mut again, mut anew) = (vec![], vec![]);
    for turn in 0..REPEATS + REPEATS_UNMEASURED {
        let known = ask(&mut client, SMALL).await?.ms;
        let unknown = ask(&mut client, &format!("{SMALL} -- {turn}")).await?.ms;
        if turn >= REPEATS_UNMEASURED {
            again.push(known);
            anew.push(unknown);
        }
    }
    let (again, anew) = (median(&again), median(&anew));
    report.noted("repeat_again_ms", "small question, its plan remembered", again, "ms");
    report.noted("repeat_anew_ms", "planned anew", anew, "ms");
    report.noted("repeat_saved_ms", "saved by remembering", anew - again, "ms");
    Ok(())
}

/// How soon nodes stop to work for a client that has left, seen from the processor time they use.
pub(crate) async fn cancel(federation: &Federation, report: &mut Report) -> Result<(), Failure> {
    let mut client = federation.client().await?;
    let mut ms = vec![];
    for _ in 0..LEAVERS {
        // What is not awaited any more is dropped: the client has left.
        if let Ok(ended) = timeout(PATIENCE, ask(&mut client, ENDLESS)).await {
            ended?;
            return Err("the question to be left has an answer: the scale is too small".into());
        }
        ms.push(work_after(federation).await);
    }
    report.noted("cancel_median_ms", "client gone to nodes idle, median", median(&ms), "ms");
    let title = "client gone to nodes idle, p95";
    report.aimed("cancel_p95_ms", title, quantile(&ms, 0.95), "ms", CANCEL_MS);
    Ok(())
}

/// Milliseconds from now to the end of the last step in which the nodes worked.
async fn work_after(federation: &Federation) -> f64 {
    let begin = Instant::now();
    let used_ms = || federation.nodes().map(cpu_ms).sum::<f64>();
    let (mut worked, mut before) = (Duration::ZERO, used_ms());
    while begin.elapsed() < (worked + QUIET).min(WATCH_MAX) {
        sleep(WATCH).await;
        let now = used_ms();
        if now - before >= WORKING_MS {
            worked = begin.elapsed();
        }
        before = now;
    }
    worked.as_secs_f64() * 1e3
}

/// Memory of a coordinator, which has done nothing before, that merges many groups.
pub(crate) async fn merge(
    data: &Path,
    reference: &mut Reference,
    report: &mut Report,
) -> Result<(), Failure> {
    let federation = Federation::start(data).await?;
    let mut client = federation.client().await?;
    ask(&mut client, SMALL).await?;
    let before = resident_mib(federation.coordinator());
    let answer = ask(&mut client, GROUPS).await?;
    let more = peak_mib(federation.coordinator()) - before;
    assert_same(&answer.rows, &reference.ask(GROUPS)?.rows)?;
    report.noted("merge_ms", "merge of a million groups of 4 nodes", answer.ms, "ms");
    report.aimed("merge_mib", "memory it takes at the coordinator", more, "MiB", MERGE_MIB);
    Ok(())
}
