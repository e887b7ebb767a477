//! Runs in turns, and what is said of them. Main types: [`Rounds`], [`Runs`].

use crate::Failure;
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
}

/// Milliseconds of both sides, in the order they ran.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    pub(crate) first: Vec<f64>,
    pub(crate) second: Vec<f64>,
}

/// Runs one side, then the other, and so on, so that both see the same machine.
pub(crate) async fn in_turns(
    rounds: Rounds,
    mut first: impl AsyncFnMut() -> Result<f64, Failure>,
    mut second: impl AsyncFnMut() -> Result<f64, Failure>,
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
