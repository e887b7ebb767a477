//! Presets: named, sourced sets of disclosure rules, and a node's policy built on one.
//!
//! So far one preset exists, `primary_only`, to which a node may add the rules G3, G4 and G8. Main
//! type: [`Policy`], built from [`PolicySettings`].

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// The smallest threshold any node may be configured with, whatever its preset.
pub const K_FLOOR: u32 = 5;

/// The largest threshold a node may be configured with: the gate keeps up to k marks per group.
pub const K_MAX: u32 = 1000;

/// The largest base that numbers may be rounded to.
pub const ROUND_TO_MAX: u32 = 100;

/// Most people whose share a dominance rule may look at.
pub const DOMINANCE_N_MAX: u32 = 10;

/// A named set of disclosure rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// k = 10; rules G1 (people in the group), G2 (contributors to the measure) and G6 (a group
    /// withheld whole is dropped with its key), and nothing more: no secondary suppression, no
    /// rounding, no dominance rule.
    PrimaryOnly,
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 1] = [Self::PrimaryOnly];

    /// The name used in configuration and coverage.
    pub fn name(self) -> &'static str {
        match self {
            Self::PrimaryOnly => "primary_only",
        }
    }

    /// Its threshold when the node sets none: people.
    pub fn k(self) -> u32 {
        match self {
            Self::PrimaryOnly => 10,
        }
    }
}

/// A dominance rule: no n people may have more than this share of what a group adds up to (the
/// (n, k) rule of statistical disclosure control).
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dominance {
    /// How many people.
    pub n: u32,
    /// Their largest share, between 0 and 1.
    pub share: f64,
}

/// A node's disclosure rules as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicySettings {
    /// Name of the preset.
    pub preset: String,
    /// The node's own threshold in people; the preset's when `None`.
    pub k: Option<u32>,
    /// G3: whoever does not contribute to a cell is k people or more, too.
    pub complement: bool,
    /// G4, p%: what is left of a sum without its two largest people is at least this share of the
    /// largest.
    pub p_percent: Option<f64>,
    /// G4, (n, k).
    pub dominance: Option<Dominance>,
    /// G8: the base to whose nearest multiple counts and sums of whole numbers are rounded.
    pub round_to: Option<u32>,
    /// G8: users that get values unrounded, because they round what they combine.
    pub coordinators: Vec<String>,
    /// Thresholds per table in people; none below the node's.
    pub tables: BTreeMap<String, u32>,
}

impl PolicySettings {
    /// The threshold configured for one table, where there is one.
    pub fn k_for(&self, table: &str) -> Option<u32> {
        self.tables.get(table).copied().or(self.k)
    }
}

impl Default for PolicySettings {
    /// `primary_only`, and nothing more.
    fn default() -> Self {
        Self {
            preset: Preset::PrimaryOnly.name().to_owned(),
            k: None,
            complement: false,
            p_percent: None,
            dominance: None,
            round_to: None,
            coordinators: vec![],
            tables: BTreeMap::new(),
        }
    }
}

/// What is wrong with a node's policy.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PolicyError {
    /// No such preset.
    #[error("unknown preset `{name}`; the presets are: primary_only")]
    UnknownPreset {
        /// As written.
        name: String,
    },
    /// A threshold outside the limits.
    #[error("k = {k} is outside {K_FLOOR} to {K_MAX}, the limits compiled into this program")]
    Threshold {
        /// As written.
        k: u32,
    },
    /// A table's threshold that loosens the node's.
    #[error("k = {k} for table `{table}` is below the node's {node_k}; a table may only tighten")]
    Loosened {
        /// The table.
        table: String,
        /// As written.
        k: u32,
        /// The node's own.
        node_k: u32,
    },
    /// A share that is none.
    #[error("{key} = {share} is no share; write a number above 0 and at most 1, such as 0.10")]
    Share {
        /// `p_percent` or `dominance.share`.
        key: &'static str,
        /// As written.
        share: f64,
    },
    /// A dominance rule over nobody, or over so many that nothing is left.
    #[error(
        "dominance.n = {n} is outside 1 to {DOMINANCE_N_MAX}, the limits compiled into this program"
    )]
    DominanceOf {
        /// As written.
        n: u32,
    },
    /// A base that makes nothing of a count that may be released, or rounds nothing.
    #[error(
        "round_to = {base} is outside 2 to {most}: a released count must not be rounded to zero"
    )]
    Base {
        /// As written.
        base: u32,
        /// The largest one possible: the threshold, and no more than [`ROUND_TO_MAX`].
        most: u32,
    },
    /// Users who are to round what is not rounded.
    #[error(
        "`coordinators` are those who round what they combine; say `round_to`, or leave it out"
    )]
    NothingToRound,
}

/// A node's own disclosure policy: settings that hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    preset: Preset,
    k: u32,
    settings: PolicySettings,
}

impl Policy {
    /// Builds a policy from what is configured.
    ///
    /// # Errors
    /// [`PolicyError`] for an unknown preset, a number out of limits, or a loosened table.
    pub fn new(settings: &PolicySettings) -> Result<Self, PolicyError> {
        let preset = Preset::ALL
            .into_iter()
            .find(|known| known.name() == settings.preset)
            .ok_or_else(|| PolicyError::UnknownPreset { name: settings.preset.clone() })?;
        let k = settings.k.unwrap_or(preset.k());
        for threshold in std::iter::once(k).chain(settings.tables.values().copied()) {
            if !(K_FLOOR..=K_MAX).contains(&threshold) {
                return Err(PolicyError::Threshold { k: threshold });
            }
        }
        let looser = settings.tables.iter().find(|(_, threshold)| **threshold < k);
        if let Some((table, threshold)) = looser {
            return Err(PolicyError::Loosened { table: table.clone(), k: *threshold, node_k: k });
        }
        check_shares(settings)?;
        let most = k.min(ROUND_TO_MAX);
        match settings.round_to {
            Some(base) if !(2..=most).contains(&base) => {
                return Err(PolicyError::Base { base, most });
            }
            None if !settings.coordinators.is_empty() => return Err(PolicyError::NothingToRound),
            Some(_) | None => {}
        }
        Ok(Self { preset, k, settings: settings.clone() })
    }

    /// The preset.
    pub fn preset(&self) -> Preset {
        self.preset
    }

    /// G3: whether those who do not contribute are counted as well.
    pub fn complement(&self) -> bool {
        self.settings.complement
    }

    /// G4, p%: the smallest share of the largest person that must be left without the two largest.
    pub fn p_percent(&self) -> Option<f64> {
        self.settings.p_percent
    }

    /// G4, (n, k): the largest share of n people.
    pub fn dominance(&self) -> Option<Dominance> {
        self.settings.dominance
    }

    /// G8: the base that numbers are rounded to.
    pub fn round_to(&self) -> Option<u32> {
        self.settings.round_to
    }

    /// Tells whether `client` rounds what it combines, so that the node does not.
    pub fn rounds_itself(&self, client: &str) -> bool {
        self.settings.coordinators.iter().any(|user| user == client)
    }

    /// The threshold for a question over `tables`: the largest of theirs. People.
    pub fn k_for<'a>(&self, tables: impl IntoIterator<Item = &'a str>) -> u32 {
        tables
            .into_iter()
            .filter_map(|table| self.settings.tables.get(table).copied())
            .chain(std::iter::once(self.k))
            .max()
            .unwrap_or(self.k)
    }

    /// Name of the preset as labelled in coverage; a plus says the node is stricter than it.
    pub fn label(&self) -> String {
        let PolicySettings { complement, p_percent, dominance, round_to, tables, .. } =
            &self.settings;
        let stricter = self.k > self.preset.k()
            || !tables.is_empty()
            || *complement
            || p_percent.is_some()
            || dominance.is_some()
            || round_to.is_some();
        format!("{}{}", self.preset.name(), if stricter { "+" } else { "" })
    }

    /// First 16 hex digits of the SHA-256 over the policy, for ledger and coverage.
    pub fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(self.preset.name());
        hasher.update(self.k.to_le_bytes());
        let settings = &self.settings;
        for (table, k) in &settings.tables {
            hasher.update(table);
            hasher.update([0]);
            hasher.update(k.to_le_bytes());
        }
        let PolicySettings { complement, p_percent, dominance, round_to, .. } = settings;
        let coordinators: BTreeSet<&String> = settings.coordinators.iter().collect();
        let further =
            format!("{complement} {p_percent:?} {dominance:?} {round_to:?} {coordinators:?}");
        hasher.update(further);
        crate::cell::hex16(&hasher.finalize())
    }
}

fn check_shares(settings: &PolicySettings) -> Result<(), PolicyError> {
    let share = settings.dominance.map(|dominance| ("dominance.share", dominance.share));
    let shares = settings.p_percent.map(|share| ("p_percent", share)).into_iter().chain(share);
    for (key, share) in shares {
        if !(share > 0.0 && share <= 1.0) {
            return Err(PolicyError::Share { key, share });
        }
    }
    match settings.dominance {
        Some(Dominance { n, .. }) if !(1..=DOMINANCE_N_MAX).contains(&n) => {
            Err(PolicyError::DominanceOf { n })
        }
        Some(_) | None => Ok(()),
    }
}

impl Default for Policy {
    /// `primary_only` at its own threshold.
    fn default() -> Self {
        let preset = Preset::PrimaryOnly;
        Self { preset, k: preset.k(), settings: PolicySettings::default() }
    }
}
