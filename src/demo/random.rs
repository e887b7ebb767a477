//! Chance, repeatable: one independent stream per organisation and table.
//!
//! Main type: [`Chance`]. Drawing more or fewer numbers for one table changes no other table.

use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

/// A stream of random numbers with the distributions the demo needs.
pub(super) struct Chance {
    random: ChaCha8Rng,
}

impl Chance {
    /// The stream of `seed` for one `organisation` and `table`.
    pub(super) fn of(seed: u64, organisation: &str, table: &str) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(fnv1a(organisation, table));
        Self { random }
    }

    /// A number from 0 up to but not including 1.
    pub(super) fn unit(&mut self) -> f64 {
        self.random.random()
    }

    /// A whole 64-bit number.
    pub(super) fn word(&mut self) -> u64 {
        self.random.random()
    }

    /// True with probability `share`.
    pub(super) fn happens(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// A whole number from 0 up to but not including `below`; 0 when `below` is 0.
    pub(super) fn below(&mut self, below: u32) -> u32 {
        if below == 0 { 0 } else { self.random.random_range(0..below) }
    }

    /// A count with mean `mean` (Poisson), at most 50.
    pub(super) fn count(&mut self, mean: f64) -> u32 {
        let limit = (-mean).exp();
        let mut product = self.unit();
        let mut count = 0;
        while product > limit && count < 50 {
            product *= self.unit();
            count += 1;
        }
        count
    }

    /// A waiting time with mean `mean` (exponential).
    pub(super) fn wait(&mut self, mean: f64) -> f64 {
        -(1.0 - self.unit()).ln() * mean
    }

    /// A skewed positive number with median `median`; `spread` is that of its logarithm.
    pub(super) fn log_normal(&mut self, median: f64, spread: f64) -> f64 {
        median * (spread * self.normal()).exp()
    }

    /// A standard normal number (Box and Muller).
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// One of `choices`, as likely as its weight; the last one when weights are all zero.
    ///
    /// `None` only when there are no choices.
    pub(super) fn pick<'a, T>(
        &mut self,
        choices: &'a [T],
        weight: impl Fn(&T) -> f64,
    ) -> Option<&'a T> {
        let whole: f64 = choices.iter().map(&weight).sum();
        let mut left = self.unit() * whole;
        for choice in choices {
            left -= weight(choice);
            if left < 0.0 {
                return Some(choice);
            }
        }
        choices.last()
    }

    /// Brings `items` into random order.
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        items.shuffle(&mut self.random);
    }
}

/// FNV-1a over both names: small, and the same on every machine.
fn fnv1a(organisation: &str, table: &str) -> u64 {
    organisation
        .bytes()
        .chain([b'/'])
        .chain(table.bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, b| {
            (hash ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}
