//! Statements that are dropped at random moments: at the coordinator and at every node their work
//! ends, and what they held is given back.

#![cfg(unix)]

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hedgerow_engine::WireError;

use crate::answers::{Value, values};
use crate::contracts::{NUMBER, VISIT};
use crate::dice::Dice;
use crate::program::Program;
use crate::servers::{figures, is_long, processor_time, seed, start, total};
use crate::world::{Client, Data, Layout, Organisation, Spec, USER, in_time};

const ORGANISATIONS: [&str; 4] = ["east", "north", "south", "west"];
/// Rows of each table at each organisation.
const ROWS: usize = 10_000;
const CLIENTS: usize = 8;
/// Statements of each client.
const STATEMENTS_EACH: usize = 25;
/// A statement is dropped before this.
const MOMENT_MAX_MS: usize = 500;
/// Longest wait for work to end once nobody wants it, in an unoptimised build.
const SOON: Duration = Duration::from_secs(25);

/// What is asked; the last four take long.
const STATEMENTS: [&str; 9] = [
    "SELECT n, word FROM number",
    "SELECT n, word FROM number ORDER BY word DESC",
    "SELECT n % 100 AS part, count(*), avg(n) FROM number GROUP BY 1",
    "SELECT site, count(*), sum(units) FROM visit GROUP BY site",
    "SELECT count(DISTINCT person_number), avg(units) FROM visit",
    // Rows of pairs, more than any connection holds.
    "SELECT a.n AS x, b.n AS y FROM number a, number b WHERE a.n < 5000",
    // Every pair: at the coordinator, at each node, and at the nodes of a few.
    "SELECT count(*) FROM number a, number b WHERE a.n + b.n < 0",
    "SELECT count(*) FROM number a JOIN number b ON a.organisation = b.organisation \
     WHERE a.n + b.n < 0",
    "SELECT a.organisation, count(*) FROM number a JOIN number b ON a.organisation = b.organisation \
     WHERE a.n + b.n < -1 AND a.organisation < 'south' GROUP BY 1",
];

fn spec() -> Spec {
    let mut spec = Spec::default().contract(NUMBER).contract(VISIT).metrics(USER);
    for (index, id) in ORGANISATIONS.into_iter().enumerate() {
        let numbers: String =
            (index * ROWS..(index + 1) * ROWS).map(|n| format!("{n},{}\n", word(n))).collect();
        let visits: String =
            (0..ROWS).map(|n| format!("{},site {},{}\n", n / 2, n % 7, n % 11)).collect();
        spec = spec.organisation(
            Organisation::new(id)
                .table("number", Data::Csv(format!("n,word\n{numbers}")))
                .table("visit", Data::Csv(format!("person_number,site,units\n{visits}"))),
        );
    }
    spec.limits("memory_bytes_max = 20000000")
}

/// Nine letters, of every number others.
fn word(n: usize) -> String {
    format!("w{:08}", n * 7_919 % 100_000_000)
}

/// What became of the statements.
#[derive(Debug, Default)]
struct Tally {
    dropped: usize,
    /// Those that were done before their moment.
    answered: usize,
    errors: BTreeMap<String, usize>,
}

/// Asks, and drops what was asked after a random time; sometimes with the connection.
async fn drop_some(layout: Arc<Layout>, mut dice: Dice) -> Tally {
    let mut tally = Tally::default();
    let mut client = layout.client().await;
    for _ in 0..STATEMENTS_EACH {
        let sql = STATEMENTS[dice.draw(STATEMENTS.len())];
        let moment = Duration::from_millis(dice.draw(MOMENT_MAX_MS) as u64);
        let to_the_end = dice.draw(2) == 0;
        match tokio::time::timeout(moment, ask(&mut client, sql, to_the_end)).await {
            Err(_) => tally.dropped += 1,
            Ok(Ok(())) => tally.answered += 1,
            Ok(Err(error)) => {
                // Together they may need more memory than there is.
                assert_eq!(error.sqlstate, "53400", "{sql}: {error:?}");
                *tally.errors.entry(error.message).or_default() += 1;
            }
        }
        if dice.draw(4) == 0 {
            client = layout.client().await;
        }
    }
    tally
}

/// Reads the answer to its end, or its first rows and then no more.
async fn ask(client: &mut Client, sql: &str, to_the_end: bool) -> Result<(), WireError> {
    if to_the_end {
        return client.try_ask(sql).await.map(|_| ());
    }
    let mut stream = client.0.query(sql).await?;
    stream.next().await.transpose()?;
    pending().await
}

async fn drop_all(layout: &Arc<Layout>, seed: u64) -> Tally {
    let clients = (0..CLIENTS as u64).map(|client| {
        tokio::spawn(drop_some(Arc::clone(layout), Dice::new(seed * 1_000 + client)))
    });
    let mut all = Tally::default();
    for client in clients.collect::<Vec<_>>() {
        let tally = client.await.unwrap();
        all.dropped += tally.dropped;
        all.answered += tally.answered;
        for (message, count) in tally.errors {
            *all.errors.entry(message).or_default() += count;
        }
    }
    all
}

/// Waits until no server has a statement at work, and then until none computes anything.
async fn at_rest(layout: &Layout, programs: &[Program]) {
    let started = Instant::now();
    for (server, _) in &layout.servers {
        loop {
            let figures = figures(layout, server).await;
            if total(&figures, "hedgerow_statements_running{", "") == 0 {
                break;
            }
            assert!(started.elapsed() < SOON, "{server} has not ended its work:\n{figures}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    for ((server, _), program) in layout.servers.iter().zip(programs) {
        while let Some(before) = processor_time(program) {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let used = processor_time(program).unwrap() - before;
            if used < Duration::from_millis(60) {
                break;
            }
            assert!(started.elapsed() < SOON, "{server} still computes: {used:?} of 300 ms");
        }
    }
}

/// As many groups as there are rows, of words as long as wanted, held by the coordinator.
fn held_by_coordinator(repeats: usize) -> String {
    format!(
        "SELECT count(*) FROM (SELECT repeat(word, {repeats}) AS text, count(*) AS c FROM number \
         GROUP BY 1) AS t"
    )
}

/// The same, held by each node.
fn held_by_nodes(repeats: usize) -> String {
    format!(
        "SELECT organisation, count(DISTINCT repeat(word, {repeats})) FROM number GROUP BY 1 \
         ORDER BY 1"
    )
}

/// How long words may be: the last but one of steps by a quarter that fit in the memory. So that
/// statement needs more than six tenths of it.
async fn longest(client: &mut Client, sql: fn(usize) -> String, first: usize) -> usize {
    let mut fits = vec![];
    let mut repeats = first;
    let error = loop {
        match client.try_ask(&sql(repeats)).await {
            Ok(_) => fits.push(repeats),
            Err(error) => break error,
        }
        repeats += repeats / 4;
        assert!(repeats < 10_000, "there is memory without end");
    };
    assert_eq!(error.sqlstate, "53400", "{error:?}");
    assert!(error.message.contains("memory_bytes_max"), "{error:?}");
    assert!(fits.len() >= 2, "{repeats} repeats are too many");
    fits[fits.len() - 2]
}

/// Asks what needs most of the memory there is.
async fn check_memory(client: &mut Client, [coordinator, nodes]: [usize; 2]) {
    let exact = |number: usize| Value::Exact(number.to_string());
    let answer = client.ask(&held_by_coordinator(coordinator)).await;
    assert_eq!(values(&answer.batches), [[exact(ORGANISATIONS.len() * ROWS)]]);
    let answer = client.ask(&held_by_nodes(nodes)).await;
    let expected = ORGANISATIONS.map(|id| vec![Value::Exact(id.to_owned()), exact(ROWS)]);
    assert_eq!(values(&answer.batches), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dropped_statements_end_everywhere() {
    let layout = Arc::new(Layout::new(&spec()));
    let mut programs = in_time(start(&layout)).await;
    let mut client = layout.client().await;
    let repeats = in_time(async {
        let coordinator = longest(&mut client, held_by_coordinator, 10).await;
        [coordinator, longest(&mut client, held_by_nodes, 20).await]
    })
    .await;
    let rounds = if is_long() { 20 } else { 1 };
    for seed in (seed()..).take(rounds) {
        let tally = in_time(drop_all(&layout, seed)).await;
        let started = Instant::now();
        in_time(at_rest(&layout, &programs)).await;
        report(seed, &tally, started.elapsed());
        assert!(tally.dropped >= CLIENTS * STATEMENTS_EACH / 2, "{tally:?}");
        in_time(check_memory(&mut client, repeats)).await;
    }
    for (server, _) in &layout.servers {
        let figures = in_time(figures(&layout, server)).await;
        let cancelled = total(&figures, "hedgerow_statements_total{", "outcome=\"cancelled\"");
        assert!(cancelled > 0, "{server} had nothing to cancel:\n{figures}");
    }
    drop(client);
    for program in programs.iter_mut().rev() {
        program.signal("TERM");
        assert!(program.end(SOON).await.success(), "{}", program.err());
    }
}

#[expect(clippy::print_stderr, reason = "a summary for whoever reads the run")]
fn report(seed: u64, tally: &Tally, rest: Duration) {
    eprintln!(
        "seed {seed}: {} dropped, {} answered before, errors {:?}; all at rest after {rest:?}",
        tally.dropped, tally.answered, tally.errors
    );
}
