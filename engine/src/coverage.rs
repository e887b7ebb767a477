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
    /// The organisations below, where a federation answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeCoverage>,
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
            nodes: vec![],
        }
    }
}

impl NodeCoverage {
    fn organisations(&self) -> Vec<&NodeCoverage> {
        let went_on = matches!(self.outcome, NodeOutcome::Answered | NodeOutcome::NotNeeded);
        match self.nodes.as_slice() {
            below @ [_, ..] if went_on => below.iter().flat_map(Self::organisations).collect(),
            _ => vec![self],
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
    /// Organisations with a given outcome.
    pub fn count(&self, outcome: NodeOutcome) -> usize {
        self.organisations().iter().filter(|node| node.outcome == outcome).count()
    }

    /// The organisations themselves: of a federation that answered those below it, in order.
    pub fn organisations(&self) -> Vec<&NodeCoverage> {
        self.nodes.iter().flat_map(NodeCoverage::organisations).collect()
    }
}
