//! The benchmark of a federation: `cargo bench --workspace --bench federation`.
//!
//! Four node processes and a coordinator process over TLS answer TPC-H questions; one DataFusion
//! process answers the same questions over the same files, in turn. What is measured, and what
//! came out, stands in `docs/benchmarks.md`. Every ratio is between runs of one process list on one
//! machine, taken in turns; figures of different runs are not to be compared.
//!
//! ```text
//! data         TPC-H files, made once, split by customer
//! tables       which table is where, and its contract
//! questions    what is asked
//! tpch         the 22 questions of TPC-H
//! federation   server processes, their configuration, and clients
//! reference    one DataFusion in a process of its own
//! answers      answers that can be compared
//! measure      runs in turns, medians
//! figures      many clients, clients that leave, many groups
//! crowd        very many nodes in one process
//! fleet        very many nodes, each a process
//! gates        what the gate costs, over six questions about people
//! stream       very many rows of an open table
//! plain        a Flight server without a federation
//! processes    what the system says of a process: memory, processor time
//! report       the table and the line of JSON
//! ```
//!
//! `HEDGEROW_BENCH_SCALE` sets the scale factor (1), `HEDGEROW_BENCH_ROUNDS` the measured rounds
//! (15, and 5 of the 22), `HEDGEROW_BENCH_PROCESSES` the most node processes of `processes` (240),
//! `HEDGEROW_BENCH_PROGRAM` another `hedgerow` to run. Arguments choose what
//! is measured by name, `-- q1 small tpch`, as does `HEDGEROW_BENCH_ONLY`, `q17,q20`. Only by its name
//! is measured what takes very long: `processes`.

mod answers;
mod crowd;
mod data;
mod federation;
mod figures;
mod fleet;
mod gates;
mod measure;
mod plain;
mod processes;
mod questions;
mod reference;
mod report;
mod stream;
mod tables;
mod tpch;

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use hedgerow_flight::SqlClient;

use crate::answers::{Answer, assert_same};
use crate::federation::{Federation, ask};
use crate::measure::{Load, Rounds, Run, Runs, in_turns};
use crate::processes::cpu_ms;
use crate::questions::{Against, COMPARISONS, Comparison};
use crate::reference::Reference;
use crate::report::Report;
use crate::tpch::{Outcome, QUERIES, Query};

/// Anything that stops the benchmark.
type Failure = Box<dyn Error + Send + Sync>;

/// Scale factor and rounds, from the environment.
struct Settings {
    scale: f64,
    rounds: usize,
    tpch_rounds: usize,
    /// Most node processes at once.
    processes_max: usize,
    /// Names of comparisons, questions and figures; empty for all.
    only: Vec<String>,
}

impl Settings {
    fn read(arguments: &[String]) -> Result<Self, Failure> {
        let number = |name: &str, default: f64| match std::env::var(name) {
            Ok(text) => {
                let number = text.parse().ok().filter(|n: &f64| n.is_finite() && *n > 0.0);
                number.ok_or_else(|| format!("{name} is `{text}`, which is no positive number"))
            }
            Err(_) => Ok(default),
        };
        let rounds =
            |default| Ok::<_, String>((number("HEDGEROW_BENCH_ROUNDS", default)? as usize).max(1));
        let only = std::env::var("HEDGEROW_BENCH_ONLY").unwrap_or_default();
        let only = only.split(',').map(str::trim).filter(|name| !name.is_empty());
        // Cargo adds `--bench`.
        let arguments = arguments.iter().filter(|text| !text.starts_with("--"));
        Ok(Self {
            scale: number("HEDGEROW_BENCH_SCALE", 1.0)?,
            rounds: rounds(15.0)?,
            tpch_rounds: rounds(5.0)?,
            processes_max: (number("HEDGEROW_BENCH_PROCESSES", 240.0)? as usize).max(1),
            only: arguments.cloned().chain(only.map(str::to_owned)).collect(),
        })
    }

    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == name)
    }

    /// Tells whether something is asked for by its name; it is not part of everything.
    fn names(&self, name: &str) -> bool {
        self.only.iter().any(|wanted| wanted == name)
    }

    fn wants_query(&self, query: &Query) -> bool {
        self.wants(query.name) || self.wants("tpch")
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((first, folders)) if first == reference::ARGUMENT => reference::serve(folders),
        Some((first, folders)) if first == crowd::ARGUMENT => crowd::serve(folders),
        Some((first, folders)) if first == plain::ARGUMENT => plain::serve(folders),
        _ => run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "the benchmark failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Failure> {
    let settings = Settings::read(arguments)?;
    let data = data::ensure(settings.scale)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        // An interrupt drops the processes with the future that owns them.
        tokio::select! {
            done = measure_and_report(&settings, &data) => done,
            () = interrupted() => Err("interrupted".into()),
        }
    })
}

#[cfg(unix)]
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

#[cfg(not(unix))]
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

/// What was measured is printed even if the rest of it fails.
async fn measure_and_report(settings: &Settings, data: &Path) -> Result<(), Failure> {
    let mut report = Report::new(settings.scale, settings.rounds);
    let done = measure_all(settings, data, &mut report).await;
    report.print(&mut std::io::stdout().lock())?;
    done
}

async fn measure_all(settings: &Settings, data: &Path, report: &mut Report) -> Result<(), Failure> {
    let federation = Federation::start(data).await?;
    let mut reference = Reference::start(data, &federation.contracts())?;
    // Two connections, so that two questions of one comparison can hold one each.
    let mut first = federation.client().await?;
    let mut second = federation.client().await?;
    report.started(&federation);
    report.memory("idle", &federation.memory());
    ask(&mut first, questions::Q1).await?;
    report.memory("after_q1", &federation.memory());
    let load = Load::start(federation.processes().chain([reference.process()]));
    for comparison in COMPARISONS.iter().filter(|comparison| settings.wants(comparison.key)) {
        let rounds = Rounds::of(comparison, settings.rounds);
        let sides = Sides { federation: &federation, first: &mut first, second: &mut second };
        let Comparison { key, sql, against, .. } = comparison;
        let runs = compare(sql, *against, rounds, sides, &mut reference).await;
        report.compared(comparison, &runs.map_err(|e| format!("{key}: {e}"))?);
    }
    let mut outcomes = vec![];
    for query in QUERIES.iter().filter(|query| settings.wants_query(query)) {
        let sides = Sides { federation: &federation, first: &mut first, second: &mut second };
        let outcome = try_query(query, settings.tpch_rounds, sides, &mut reference).await;
        outcomes.push((query.name, outcome.map_err(|e| format!("{}: {e}", query.name))?));
    }
    if !outcomes.is_empty() {
        report.tpch(&outcomes, settings.tpch_rounds);
    }
    report.others(load.others());
    report.memory("at_end", &federation.memory());
    if settings.wants("clients") {
        figures::clients(&federation, report).await?;
    }
    if settings.wants("cancel") {
        figures::cancel(&federation, report).await?;
    }
    if settings.wants("merge") {
        figures::merge(data, &mut reference, report).await?;
    }
    if settings.wants("repeat") {
        figures::repeat(&federation, report).await?;
    }
    drop(federation);
    if settings.wants("gates") {
        gates::measure(data, settings.tpch_rounds, report).await?;
    }
    if settings.wants("stream") {
        stream::measure(data, settings.scale, report).await?;
    }
    if settings.wants("nodes") {
        crowd::measure(data, report).await?;
    }
    if settings.names("processes") {
        fleet::measure(data, settings.processes_max, report).await?;
    }
    Ok(())
}

/// A federation with two connections to it.
struct Sides<'a> {
    federation: &'a Federation,
    first: &'a mut SqlClient,
    second: &'a mut SqlClient,
}

/// One answer's time, and the processor time of those who worked for it.
pub(crate) async fn timed(
    cpu_ms: &impl Fn() -> f64,
    answer: impl Future<Output = Result<Answer, Failure>>,
) -> Result<Run, Failure> {
    let before = cpu_ms();
    let ms = answer.await?.ms;
    Ok(Run { ms, cpu_ms: cpu_ms() - before })
}

/// Measures a question of TPC-H, unless the federation does not answer it.
async fn try_query(
    query: &Query,
    rounds: usize,
    sides: Sides<'_>,
    reference: &mut Reference,
) -> Result<Outcome, Failure> {
    if let Err(error) = ask(sides.first, query.sql).await {
        let reason = error.to_string();
        return Ok(Outcome::Refused(reason.lines().next().unwrap_or_default().to_owned()));
    }
    let against = Against::DataFusion;
    let runs = compare(query.sql, against, Rounds::few(rounds), sides, reference).await?;
    Ok(Outcome::Answered(runs))
}

/// Checks that both sides give one answer, then measures them in turns.
async fn compare(
    sql: &str,
    against: Against,
    rounds: Rounds,
    sides: Sides<'_>,
    reference: &mut Reference,
) -> Result<Runs, Failure> {
    let Sides { federation, first, second } = sides;
    let one = ask(first, sql).await?;
    let servers_ms = || federation.processes().map(cpu_ms).sum::<f64>();
    let ours = async || timed(&servers_ms, ask(first, sql)).await;
    match against {
        Against::DataFusion => {
            assert_same(&one.rows, &reference.ask(sql)?.rows)?;
            let process = reference.process();
            let theirs = async || timed(&|| cpu_ms(process), async { reference.ask(sql) }).await;
            in_turns(rounds, ours, theirs).await
        }
        Against::Federation(other) => {
            assert_same(&one.rows, &ask(second, other).await?.rows)?;
            in_turns(rounds, ours, async || timed(&servers_ms, ask(second, other)).await).await
        }
    }
}
