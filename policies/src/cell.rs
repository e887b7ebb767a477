//! The identity of a released cell, and the record a node keeps of releasing it.
//!
//! The ledger is node-local and holds data values; nothing of it crosses the node's boundary.

use arrow::util::display::array_value_to_string;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::block::{Block, Output};
use crate::gate::ReleasedTable;

/// What became of a cell. The order is the order of doubt: combining takes the larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CellStatus {
    /// The value is whole.
    Released,
    /// The value is a part: some organisation may have withheld its own.
    Partial,
    /// No value: withheld, or there was none to withhold.
    Withheld,
}

impl CellStatus {
    /// The code on the wire.
    pub fn code(self) -> u8 {
        match self {
            Self::Released => 0,
            Self::Partial => 1,
            Self::Withheld => 2,
        }
    }

    /// The status of a code; anything unknown counts as withheld.
    pub fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Released,
            1 => Self::Partial,
            _ => Self::Withheld,
        }
    }

    /// The word shown in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Partial => "partial",
            Self::Withheld => "withheld",
        }
    }
}

/// One line of a node's ledger: one cell that left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerRecord {
    /// When it left, as RFC 3339 in UTC.
    pub at: String,
    /// One per bundle.
    pub release_id: String,
    /// The statement it answered, as the client names it.
    pub statement_id: String,
    /// Canonical identity of the cell, the same from every coordinator.
    pub cell_id: String,
    /// Data epochs of the tables read, in order, those of derived relations among them.
    pub epochs: Vec<String>,
    /// Hash of the policy in force.
    pub policy_hash: String,
    /// What became of it.
    pub status: CellStatus,
    /// The released value as text.
    pub value: Option<String>,
    /// The authenticated client.
    pub client: String,
    /// On whose behalf, as the client says.
    pub user: String,
    /// Purpose, as the client says.
    pub purpose: Option<String>,
}

/// Identity of one cell: contract versions, tables, normalised predicate, sorted keys, measure.
///
/// `keys` are (key expression, value) pairs. First 32 hex digits of a SHA-256.
pub fn cell_id(
    block: &Block,
    versions: &[u32],
    keys: &[(String, String)],
    measure: &str,
) -> String {
    let mut keys = keys.to_vec();
    keys.sort();
    let mut hasher = Sha256::new();
    for (table, version) in block.tables().zip(versions) {
        hasher.update(format!("{table}@{version}\n"));
    }
    for relation in &block.from {
        match relation.block() {
            Some(inner) => hasher.update(format!("{inner:?} {:?}\n", relation.join)),
            None => match relation.inline() {
                Some(inline) => hasher.update(format!("{inline:?} {:?}\n", relation.join)),
                None => hasher.update(format!("{} {:?}\n", relation.name(), relation.join)),
            },
        }
    }
    for conjunct in &block.filter {
        hasher.update(format!("{conjunct:?}\n"));
    }
    for (key, value) in keys {
        hasher.update(format!("{key}={value:?}\n"));
    }
    hasher.update(measure);
    hex(&hasher.finalize(), 16)
}

/// What the records of one fragment have in common.
#[derive(Debug, Clone)]
pub struct LedgerContext<'a> {
    /// When, as RFC 3339 in UTC.
    pub at: &'a str,
    /// One per bundle.
    pub release_id: &'a str,
    /// The statement answered.
    pub statement_id: &'a str,
    /// Contract versions, by table in the order of the block.
    pub versions: &'a [u32],
    /// Data epochs, by table in the order of the block.
    pub epochs: &'a [String],
    /// Hash of the policy in force.
    pub policy_hash: &'a str,
    /// The authenticated client.
    pub client: &'a str,
    /// On whose behalf.
    pub user: &'a str,
    /// Purpose.
    pub purpose: Option<&'a str>,
}

/// The ledger records of one released fragment, in order of rows and measures.
pub fn ledger_records(
    block: &Block,
    table: &ReleasedTable,
    context: &LedgerContext<'_>,
) -> Vec<LedgerRecord> {
    let Output::Groups { keys, measures } = &block.output else { return vec![] };
    let text = |column: usize, row: usize| {
        let values = table.batch.columns().get(column)?;
        if values.is_null(row) { None } else { array_value_to_string(values, row).ok() }
    };
    let mut records = Vec::with_capacity(table.batch.num_rows() * measures.len());
    for row in 0..table.batch.num_rows() {
        let key_values: Vec<(String, String)> = keys
            .iter()
            .enumerate()
            .map(|(column, key)| (format!("{key:?}"), format!("{:?}", text(column, row))))
            .collect();
        for (index, measure) in measures.iter().enumerate() {
            let first = table.keys + 4 * index;
            let status = text(first + 3, row).and_then(|code| code.parse().ok()).unwrap_or(2);
            records.push(LedgerRecord {
                at: context.at.to_owned(),
                release_id: context.release_id.to_owned(),
                statement_id: context.statement_id.to_owned(),
                cell_id: cell_id(block, context.versions, &key_values, &format!("{measure:?}")),
                epochs: context.epochs.to_vec(),
                policy_hash: context.policy_hash.to_owned(),
                status: CellStatus::from_code(status),
                value: text(first, row),
                client: context.client.to_owned(),
                user: context.user.to_owned(),
                purpose: context.purpose.map(str::to_owned),
            });
        }
    }
    records
}

/// First 16 hex digits of a hash.
pub(crate) fn hex16(bytes: &[u8]) -> String {
    hex(bytes, 8)
}

fn hex(bytes: &[u8], count: usize) -> String {
    bytes.iter().take(count).map(|byte| format!("{byte:02x}")).collect()
}
