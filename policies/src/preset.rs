//! Presets: named, sourced sets of disclosure rules, and a node's policy built on one.
//!
//! So far one preset exists, `primary_only`. Main type: [`Policy`].

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

/// The smallest threshold any node may be configured with, whatever its preset.
pub const K_FLOOR: u32 = 5;

/// The largest threshold a node may be configured with: the gate keeps up to k marks per group.
pub const K_MAX: u32 = 1000;

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

/// What is wrong with a node's policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
}

/// A node's own disclosure policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    preset: Preset,
    k: u32,
    tables: BTreeMap<String, u32>,
}

impl Policy {
    /// Builds a policy: preset by name, the node's threshold (the preset's when `None`), and
    /// tighter thresholds per table.
    ///
    /// # Errors
    /// [`PolicyError`] for an unknown preset, a threshold out of limits, or a loosened table.
    pub fn new(
        preset: &str,
        k: Option<u32>,
        tables: BTreeMap<String, u32>,
    ) -> Result<Self, PolicyError> {
        let preset = Preset::ALL
            .into_iter()
            .find(|known| known.name() == preset)
            .ok_or_else(|| PolicyError::UnknownPreset { name: preset.to_owned() })?;
        let k = k.unwrap_or(preset.k());
        for threshold in std::iter::once(k).chain(tables.values().copied()) {
            if !(K_FLOOR..=K_MAX).contains(&threshold) {
                return Err(PolicyError::Threshold { k: threshold });
            }
        }
        if let Some((table, threshold)) = tables.iter().find(|(_, threshold)| **threshold < k) {
            return Err(PolicyError::Loosened { table: table.clone(), k: *threshold, node_k: k });
        }
        Ok(Self { preset, k, tables })
    }

    /// The preset.
    pub fn preset(&self) -> Preset {
        self.preset
    }

    /// The threshold for a question over `tables`: the largest of theirs. People.
    pub fn k_for<'a>(&self, tables: impl IntoIterator<Item = &'a str>) -> u32 {
        tables
            .into_iter()
            .filter_map(|table| self.tables.get(table).copied())
            .chain(std::iter::once(self.k))
            .max()
            .unwrap_or(self.k)
    }

    /// Name of the preset as labelled in coverage; a plus says the node is stricter than it.
    pub fn label(&self) -> String {
        let stricter = self.k > self.preset.k() || !self.tables.is_empty();
        format!("{}{}", self.preset.name(), if stricter { "+" } else { "" })
    }

    /// First 16 hex digits of the SHA-256 over the policy, for ledger and coverage.
    pub fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(self.preset.name());
        hasher.update(self.k.to_le_bytes());
        for (table, k) in &self.tables {
            hasher.update(table);
            hasher.update([0]);
            hasher.update(k.to_le_bytes());
        }
        crate::cell::hex16(&hasher.finalize())
    }
}

impl Default for Policy {
    /// `primary_only` at its own threshold.
    fn default() -> Self {
        let preset = Preset::PrimaryOnly;
        Self { preset, k: preset.k(), tables: BTreeMap::new() }
    }
}
