//! Refusals: the rule that was broken, the offending part, and what to write instead.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A disclosure rule, by the id analysts see. The text of each rule is in `docs/disclosure.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Rule {
    /// Output of a protected question is group keys and aggregates.
    S1Shape,
    /// A group key that is no dimension.
    S2Key,
    /// An aggregate that is not allowed.
    S3Measure,
    /// More than one condition in one question.
    S3Condition,
    /// An identifier projected, grouped by or passed to a function.
    S4Identifier,
    /// An identifier compared with a value.
    S4Literal,
    /// A join of protected tables that does not equate people.
    S5Join,
    /// An open table that is not unique on its join key would multiply rows.
    S5FanOut,
    /// An inner aggregate that is not at person level.
    S6Inner,
    /// Something that must run after the gate stands below it.
    S7BelowGate,
    /// An extreme, a list or an exact percentile.
    S8Extreme,
    /// A function that is not on the allow-list.
    S9Function,
    /// A column without a role, or a table without a contract.
    S10Closed,
    /// Two questions over the same people in one statement.
    G7Family,
}

impl Rule {
    /// The id as shown to analysts, such as `S4.literal`.
    pub fn id(self) -> &'static str {
        match self {
            Self::S1Shape => "S1.shape",
            Self::S2Key => "S2.key",
            Self::S3Measure => "S3.measure",
            Self::S3Condition => "S3.condition",
            Self::S4Identifier => "S4.identifier",
            Self::S4Literal => "S4.literal",
            Self::S5Join => "S5.join",
            Self::S5FanOut => "S5.fan_out",
            Self::S6Inner => "S6.inner",
            Self::S7BelowGate => "S7.below_gate",
            Self::S8Extreme => "S8.extreme",
            Self::S9Function => "S9.function",
            Self::S10Closed => "S10.closed",
            Self::G7Family => "G7.family",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// A question turned down by policy. Speaks of the question only, never of data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("refused by rule {rule}: {reason}")]
pub struct Refusal {
    /// The rule broken.
    pub rule: Rule,
    /// What part of the question breaks it, and how.
    pub reason: String,
    /// What to write instead.
    pub hint: String,
}

impl Refusal {
    /// Makes a refusal.
    pub fn new(rule: Rule, reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { rule, reason: reason.into(), hint: hint.into() }
    }
}
