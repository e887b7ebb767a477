//! The 22 questions of TPC-H, and what is aimed at. Main item: [`QUERIES`].

use crate::measure::Runs;

/// What the medians of all questions together are aimed at, in times of DataFusion's.
pub(crate) const TOTAL_TARGET: f64 = 1.10;
/// The same for one question that takes DataFusion at least [`LONG_MS`].
const TARGET: f64 = 1.5;
const LONG_MS: f64 = 50.0;
/// The same for [`TWO_ROUNDS`], however long they take.
const TWO_ROUNDS_TARGET: f64 = 2.0;
/// Each line is compared with a mean or a sum over all nodes, so that nodes are asked twice.
const TWO_ROUNDS: [&str; 2] = ["q17", "q20"];

/// One question.
pub(crate) struct Query {
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
}

/// What came of one question.
pub(crate) enum Outcome {
    Answered(Runs),
    /// The federation does not answer it, for this reason.
    Refused(String),
}

macro_rules! queries {
    ($($name:literal)*) => {
        [$(Query { name: $name, sql: include_str!(concat!("../../tests/tpch/", $name, ".sql")) }),*]
    };
}

/// All questions in the order of the standard.
pub(crate) const QUERIES: [Query; 22] = queries![
    "q01" "q02" "q03" "q04" "q05" "q06" "q07" "q08" "q09" "q10" "q11"
    "q12" "q13" "q14" "q15" "q16" "q17" "q18" "q19" "q20" "q21" "q22"
];

/// The most times as long as DataFusion that a question may take; short ones may take any.
pub(crate) fn target(name: &str, datafusion_ms: f64) -> Option<f64> {
    if TWO_ROUNDS.contains(&name) {
        return Some(TWO_ROUNDS_TARGET);
    }
    (datafusion_ms > LONG_MS).then_some(TARGET)
}
