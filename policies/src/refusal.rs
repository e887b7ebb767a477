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
    /// All rules.
    pub const ALL: [Self; 14] = [
        Self::S1Shape,
        Self::S2Key,
        Self::S3Measure,
        Self::S3Condition,
        Self::S4Identifier,
        Self::S4Literal,
        Self::S5Join,
        Self::S5FanOut,
        Self::S6Inner,
        Self::S7BelowGate,
        Self::S8Extreme,
        Self::S9Function,
        Self::S10Closed,
        Self::G7Family,
    ];

    /// The rule of an id, if there is one.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.id() == id)
    }

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

    /// The rule and its ground in plain words, for analysts.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::S1Shape => {
                "Rows of a protected table are about single people and do not leave their \
                 organisation. Ask for group keys and aggregates."
            }
            Self::S2Key => {
                "Group keys over a protected table are dimensions. A measure has so many values that \
                 each group could be one person, so band it with constants first."
            }
            Self::S3Measure => {
                "Over a protected table only certain aggregates of measures are allowed, because \
                 other arguments can carry one person's value or several numbers in one. Ask for the \
                 plain sum or mean and calculate with the result."
            }
            Self::S3Condition => {
                "One question has at most one condition inside its aggregates. Answers under two \
                 overlapping conditions could be subtracted from one another."
            }
            Self::S4Identifier => {
                "A column that names a person, an event or a thing is for joins and for counting \
                 different people, and for nothing else."
            }
            Self::S4Literal => {
                "An identifier is never compared with a value, so that nobody can be looked up. \
                 Filter on dimensions and measures."
            }
            Self::S5Join => {
                "Protected tables are joined on the person. Any other join would put people together \
                 who have nothing to do with each other."
            }
            Self::S5FanOut => {
                "A join must not repeat rows, since repeated rows weigh one person more than others. \
                 Join open tables on a whole key, and tables of people with one row per person."
            }
            Self::S6Inner => {
                "A query below an aggregate gives rows of single people: the person column is among \
                 its group keys. Anything else would be calculated before it has been judged."
            }
            Self::S7BelowGate => {
                "Nothing that picks or numbers rows stands below an aggregate, except within one \
                 person's rows. ORDER BY, LIMIT and windows over released aggregates are fine."
            }
            Self::S8Extreme => {
                "Smallest and largest values, lists and exact percentiles are some person's own \
                 value. Ask for a mean, or count people in bands."
            }
            Self::S9Function => {
                "Below an aggregate only functions that cannot fail are allowed, because an error \
                 that depends on one row tells something about that row."
            }
            Self::S10Closed => {
                "What has no contract or no role is not visible across the federation. Ask for what \
                 `system.tables` and `system.columns` list."
            }
            Self::G7Family => {
                "One statement asks each protected table one question: one set of group keys and one \
                 WHERE. The difference of two questions could be one person."
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_explained_here_and_in_the_documents() {
        let documents = include_str!("../../docs/disclosure.md");
        for rule in Rule::ALL {
            let sentences = rule.explanation().matches(". ").count() + 1;
            assert!((1..=2).contains(&sentences), "{rule}: {sentences} sentences");
            assert!(rule.explanation().ends_with('.'), "{rule}");
            assert!(documents.contains(&format!("`{}`", rule.id())), "{rule}");
            assert_eq!(Rule::from_id(rule.id()), Some(rule));
        }
        assert_eq!(Rule::from_id("nothing"), None);
    }
}
