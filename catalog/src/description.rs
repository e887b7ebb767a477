//! What a node tells a coordinator about itself. Main type: [`NodeDescription`].
//!
//! It crosses the trust boundary: names, versions and types, never a data value or a count.

use serde::{Deserialize, Serialize};

/// A node and its tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Name of the node's preset.
    pub preset: String,
    /// The configured threshold in people; the preset's when `None`.
    pub k: Option<u32>,
    /// Data epoch; empty when the table cannot be asked.
    pub epoch: String,
}
