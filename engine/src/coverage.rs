//! Coverage: which nodes answered, refused or failed, for one result, on which data.

use serde::{Deserialize, Serialize};

/// What stands behind one result.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Statement id, the same in every log.
    pub statement_id: String,
    /// One per node of the tables asked, in federation order.
    pub nodes: Vec<NodeCoverage>,
    /// What an analyst must know about the result, one sentence each.
    pub notices: Vec<String>,
}

/// One node's part in a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeCoverage {
    /// Organisation id.
    pub organisation: String,
    /// What became of the question there.
    pub outcome: NodeOutcome,
    /// The rule id of a refusal, the reason of a failure, the difference of a drifted table.
    pub detail: Option<String>,
    /// Preset in force.
    pub preset: Option<String>,
    /// Threshold in people, where a protected table was asked.
    pub k: Option<u32>,
    /// Data epoch per table.
    pub epochs: Vec<(String, String)>,
    /// What the snapshot guarantees.
    pub snapshot: Option<String>,
}

impl NodeCoverage {
    /// A node of which nothing but the outcome is known.
    pub fn new(organisation: &str, outcome: NodeOutcome) -> Self {
        Self {
            organisation: organisation.to_owned(),
            outcome,
            detail: None,
            preset: None,
            k: None,
            epochs: vec![],
            snapshot: None,
        }
    }
}

/// What became of a question at a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeOutcome {
    /// It answered.
    Answered,
    /// It need not be asked: the statement's own conditions leave it out.
    NotNeeded,
    /// Its policy said no.
    Refused,
    /// It could not be reached or failed.
    Unavailable,
    /// Its table departs from the contract.
    NotConforming,
}

impl Coverage {
    /// Nodes with a given outcome.
    pub fn count(&self, outcome: NodeOutcome) -> usize {
        self.nodes.iter().filter(|node| node.outcome == outcome).count()
    }
}
