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
//! federation   server processes, their configuration, and clients
//! reference    one DataFusion in a process of its own
//! answers      answers that can be compared
//! measure      runs in turns, medians
//! processes    what the system says of a process: memory, processor time
//! report       the table and the line of JSON
//! ```
//!
//! `HEDGEROW_BENCH_SCALE` sets the scale factor (1), `HEDGEROW_BENCH_ROUNDS` the measured rounds
//! (15), `HEDGEROW_BENCH_PROGRAM` another `hedgerow` to run. Arguments choose comparisons by name:
//! `-- q1 small`.

mod answers;
mod data;
mod federation;
mod measure;
mod processes;
mod questions;
mod reference;
mod report;
mod tables;

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

/// Anything that stops the benchmark.
type Failure = Box<dyn Error + Send + Sync>;

/// Scale factor and rounds, from the environment.
struct Settings {
    scale: f64,
    rounds: usize,
    /// Names of comparisons; empty for all.
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
        Ok(Self {
            scale: number("HEDGEROW_BENCH_SCALE", 1.0)?,
            rounds: (number("HEDGEROW_BENCH_ROUNDS", 15.0)? as usize).max(1),
            // Cargo adds `--bench`.
            only: arguments.iter().filter(|text| !text.starts_with("--")).cloned().collect(),
        })
    }

    fn wants(&self, comparison: &Comparison) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == comparison.key)
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((first, folders)) if first == reference::ARGUMENT => reference::serve(folders),
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
            done = compare_all(&settings, &data) => done,
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

async fn compare_all(settings: &Settings, data: &Path) -> Result<(), Failure> {
    let federation = Federation::start(data).await?;
    let mut reference = Reference::start(data, &federation.contracts())?;
    // Two connections, so that two questions of one comparison can hold one each.
    let mut first = federation.client().await?;
    let mut second = federation.client().await?;
    let mut report = Report::new(settings.scale, settings.rounds);
    report.started(&federation);
    report.memory("idle", &federation.memory());
    ask(&mut first, questions::Q1).await?;
    report.memory("after_q1", &federation.memory());
    let load = Load::start(federation.processes().chain([reference.process()]));
    for comparison in COMPARISONS.iter().filter(|comparison| settings.wants(comparison)) {
        let rounds = Rounds::of(comparison, settings.rounds);
        let sides = Sides { federation: &federation, first: &mut first, second: &mut second };
        let runs = compare(comparison, rounds, sides, &mut reference).await;
        report.compared(comparison, &runs.map_err(|e| format!("{}: {e}", comparison.key))?);
    }
    report.others(load.others());
    report.memory("at_end", &federation.memory());
    report.print(&mut std::io::stdout().lock())?;
    Ok(())
}

/// A federation with two connections to it.
struct Sides<'a> {
    federation: &'a Federation,
    first: &'a mut SqlClient,
    second: &'a mut SqlClient,
}

/// One answer's time, and the processor time of those who worked for it.
async fn timed(
    cpu_ms: &impl Fn() -> f64,
    answer: impl Future<Output = Result<Answer, Failure>>,
) -> Result<Run, Failure> {
    let before = cpu_ms();
    let ms = answer.await?.ms;
    Ok(Run { ms, cpu_ms: cpu_ms() - before })
}

/// Checks that both sides give one answer, then measures them in turns.
async fn compare(
    comparison: &Comparison,
    rounds: Rounds,
    sides: Sides<'_>,
    reference: &mut Reference,
) -> Result<Runs, Failure> {
    let Sides { federation, first, second } = sides;
    let one = ask(first, comparison.sql).await?;
    let servers_ms = || federation.processes().map(cpu_ms).sum::<f64>();
    let ours = async || timed(&servers_ms, ask(first, comparison.sql)).await;
    match comparison.against {
        Against::DataFusion => {
            assert_same(&one.rows, &reference.ask(comparison.sql)?.rows)?;
            let process = reference.process();
            let theirs =
                async || timed(&|| cpu_ms(process), async { reference.ask(comparison.sql) }).await;
            in_turns(rounds, ours, theirs).await
        }
        Against::Federation(other) => {
            assert_same(&one.rows, &ask(second, other).await?.rows)?;
            in_turns(rounds, ours, async || timed(&servers_ms, ask(second, other)).await).await
        }
    }
}
