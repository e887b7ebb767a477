//! What a node tells a coordinator about itself. Main type: [`NodeDescription`].
//!
//! It crosses the trust boundary: names, versions and types, never a data value or a count.

use hedgerow_policies::Policy;
use serde::{Deserialize, Serialize};

/// A node and its tables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeDescription {
    /// Its organisation's id.
    pub organisation: String,
    /// Its display name.
    pub name: Option<String>,
    /// Version of the program it runs.
    pub version: String,
    /// Its configured tables, by name. Of a federation, those that at least one of its nodes serves.
    pub tables: Vec<TableDescription>,
    /// The organisations below, where a coordinator answers for all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub federation: Option<Vec<Member>>,
}

/// One organisation of a federation that answers a wider one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Its path below the federation's id: `northmoor`, or `midshire/northmoor` where a federation
    /// lies between.
    pub organisation: String,
    /// Whether it answered when it was last asked what it serves.
    pub up: bool,
    /// Its display name.
    pub name: Option<String>,
    /// Version of the program it runs; empty when it has not been reached.
    pub version: String,
    /// Its tables.
    pub tables: Vec<TableDescription>,
}

/// One table of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableDescription {
    /// The contract's name.
    pub name: String,
    /// Version of the contract the node holds.
    pub contract_version: u32,
    /// Fingerprint of the contract the node holds: see
    /// [`Contracts::fingerprint`](crate::Contracts::fingerprint).
    pub contract_fingerprint: String,
    /// Whether the table can be asked.
    pub conforming: bool,
    /// Why not.
    pub differences: Vec<String>,
    /// Name of the node's preset, with a plus where the node is stricter.
    pub preset: String,
    /// The configured threshold in people; the preset's when `None`.
    pub k: Option<u32>,
    /// What else is public of the node's rules; `None` where it is not said: by a node of an earlier
    /// version, and by a federation, which has no rules of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<PublicRules>,
    /// Data epoch; empty when the table cannot be asked.
    pub epoch: String,
}

/// A node's rules beside its threshold, its preset's among them, as far as analysts may know them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct PublicRules {
    /// G3: whether those who do not contribute to a cell are counted as well.
    #[serde(default)]
    pub complement: bool,
    /// G4, p%.
    #[serde(default)]
    pub p_percent: Option<f64>,
    /// G4, (n, k): how many people.
    #[serde(default)]
    pub dominance_n: Option<u32>,
    /// G4, (n, k): their largest share.
    #[serde(default)]
    pub dominance_share: Option<f64>,
    /// G8: the base that numbers are rounded to.
    #[serde(default)]
    pub round_to: Option<u32>,
}

impl PublicRules {
    /// What analysts may know of a node's rules beside preset and threshold.
    pub fn of(policy: &Policy) -> Self {
        let dominance = policy.dominance();
        Self {
            complement: policy.complement(),
            p_percent: policy.p_percent(),
            dominance_n: dominance.map(|dominance| dominance.n),
            dominance_share: dominance.map(|dominance| dominance.share),
            round_to: policy.round_to(),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use super::*;

    #[test]
    fn nodes_of_an_earlier_version_say_nothing_of_their_rules() {
        let earlier = r#"{"name": "pathway", "contract_version": 1, "contract_fingerprint": "0",
            "conforming": true, "differences": [], "preset": "primary_only", "k": null, "epoch": ""}"#;
        let table: TableDescription = serde_json::from_str(earlier).unwrap();
        assert_eq!(table.rules, None);
        let later = earlier.replace("\"k\"", r#""rules": {"complement": true, "new": 1}, "k""#);
        let table: TableDescription = serde_json::from_str(&later).unwrap();
        assert_eq!(table.rules, Some(PublicRules { complement: true, ..PublicRules::default() }));
    }
}
