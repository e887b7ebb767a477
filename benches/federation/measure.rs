//! Runs in turns, and what is said of them. Main types: [`Rounds`], [`Runs`], [`Load`].

use std::time::Instant;

use crate::Failure;
use crate::processes::{busy_ms, cpu_ms};
use crate::questions::Comparison;

/// Turns before anything is measured.
const WARM_UPS: usize = 3;

/// How often both sides run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rounds {
    warm_ups: usize,
    measured: usize,
}

impl Rounds {
    /// Rounds of a comparison.
    pub(crate) fn of(comparison: &Comparison, rounds: usize) -> Self {
        Self { warm_ups: WARM_UPS * comparison.times, measured: rounds * comparison.times }
    }

    /// Rounds of a question that is one of many, and was asked before.
    pub(crate) fn few(rounds: usize) -> Self {
        Self { warm_ups: 1, measured: rounds }
    }
}

/// One run of one side, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// From question to answer.
    pub(crate) ms: f64,
    /// Processor time of all that worked for it.
    pub(crate) cpu_ms: f64,
}

/// Runs of one side, in order.
#[derive(Debug, Default)]
pub(crate) struct Side {
    /// From question to answer, each.
    pub(crate) ms: Vec<f64>,
    cpu_ms: Vec<f64>,
}

impl Side {
    fn push(&mut self, run: Run) {
        self.ms.push(run.ms);
        self.cpu_ms.push(run.cpu_ms);
    }

    /// Mean processor time. The system counts in steps of 10 ms, so a single run tells little.
    pub(crate) fn mean_cpu_ms(&self) -> f64 {
        self.cpu_ms.iter().sum::<f64>() / self.cpu_ms.len().max(1) as f64
    }
}

/// Runs of both sides.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    pub(crate) first: Side,
    pub(crate) second: Side,
}

/// Runs one side, then the other, and so on, so that both see the same machine.
pub(crate) async fn in_turns(
    rounds: Rounds,
    mut first: impl AsyncFnMut() -> Result<Run, Failure>,
    mut second: impl AsyncFnMut() -> Result<Run, Failure>,
) -> Result<Runs, Failure> {
    for _ in 0..rounds.warm_ups {
        first().await?;
        second().await?;
    }
    let mut runs = Runs::default();
    for _ in 0..rounds.measured {
        runs.first.push(first().await?);
        runs.second.push(second().await?);
    }
    Ok(runs)
}

/// How much others used the machine meanwhile.
pub(crate) struct Load {
    own: Vec<u32>,
    begin: (f64, f64),
    from: Instant,
}

impl Load {
    /// Begins to watch; `processes` are our own.
    pub(crate) fn start(processes: impl Iterator<Item = u32>) -> Self {
        let own: Vec<u32> = processes.chain([std::process::id()]).collect();
        let begin = used_ms(&own);
        Self { own, begin, from: Instant::now() }
    }

    /// Cores that others used since then, on average; not a number where the system does not tell.
    pub(crate) fn others(&self) -> f64 {
        let (all, own) = used_ms(&self.own);
        let others = (all - self.begin.0) - (own - self.begin.1);
        (others / (self.from.elapsed().as_secs_f64() * 1e3)).max(0.0)
    }
}

fn used_ms(own: &[u32]) -> (f64, f64) {
    (busy_ms(), own.iter().copied().map(cpu_ms).sum())
}

/// The value below which a share of all values lies; 0.5 for the median.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let position = share * sorted.len().saturating_sub(1) as f64;
    let at = |position: f64| sorted.get(position as usize).copied().unwrap_or(f64::NAN);
    let (low, high) = (at(position.floor()), at(position.ceil()));
    low + (high - low) * position.fract()
}

/// The median.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}
