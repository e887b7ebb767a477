//! Limits on what is asked of a server, checked before the work. Main type: [`Limits`].

use serde::Deserialize;

use super::keys;

/// Named limits, each of 1 or more, but for `plans_cached_max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Longest statement, in bytes.
    pub statement_bytes_max: usize,
    /// Most tokens of a statement.
    pub statement_tokens_max: usize,
    /// Longest chain of operators.
    pub operators_max: usize,
    /// Largest resolved plan, in nodes.
    pub plan_nodes_max: usize,
    /// Most scans of a resolved plan.
    pub scans_max: usize,
    /// Most rows of one inline table.
    pub inline_rows_max: usize,
    /// Largest own table that is shipped as an inline table, in bytes of its values.
    pub inline_bytes_max: usize,
    /// Longest time to plan a statement, in milliseconds.
    pub planning_timeout_ms: u64,
    /// Most statements whose plans are remembered; 0 for none.
    pub plans_cached_max: usize,
    /// Most memory for remembered plans, as estimated, in bytes.
    pub plans_cached_bytes_max: usize,
    /// Longest run of a statement, in milliseconds.
    pub statement_timeout_ms: u64,
    /// Largest message on the wire, in bytes.
    pub message_bytes_max: usize,
    /// Longest answer, in rows.
    pub answer_rows_max: usize,
    /// Largest answer, in bytes.
    pub answer_bytes_max: usize,
    /// Most statements running at once.
    pub queries_max: usize,
    /// Most that one call of a function such as `repeat` may make, in bytes.
    pub function_bytes_max: usize,
    /// Most memory one statement may hold, in bytes.
    pub memory_bytes_max_per_query: usize,
    /// Most memory all statements may hold, in bytes.
    pub memory_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            statement_bytes_max: keys::STATEMENT_BYTES_MAX,
            statement_tokens_max: keys::STATEMENT_TOKENS_MAX,
            operators_max: keys::OPERATORS_MAX,
            plan_nodes_max: keys::PLAN_NODES_MAX,
            scans_max: keys::SCANS_MAX,
            inline_rows_max: keys::INLINE_ROWS_MAX,
            inline_bytes_max: keys::INLINE_BYTES_MAX,
            planning_timeout_ms: keys::PLANNING_TIMEOUT_MS,
            plans_cached_max: keys::PLANS_CACHED_MAX,
            plans_cached_bytes_max: keys::PLANS_CACHED_BYTES_MAX,
            statement_timeout_ms: keys::STATEMENT_TIMEOUT_MS,
            message_bytes_max: keys::MESSAGE_BYTES_MAX,
            answer_rows_max: keys::ANSWER_ROWS_MAX,
            answer_bytes_max: keys::ANSWER_BYTES_MAX,
            queries_max: keys::QUERIES_MAX,
            function_bytes_max: keys::FUNCTION_BYTES_MAX,
            memory_bytes_max_per_query: keys::MEMORY_BYTES_MAX_PER_QUERY,
            memory_bytes_max: keys::MEMORY_BYTES_MAX,
        }
    }
}

impl Limits {
    /// The first limit that is zero and must not be, by key.
    pub(super) fn zero(&self) -> Option<&'static str> {
        let limits = [
            ("statement_bytes_max", self.statement_bytes_max == 0),
            ("statement_tokens_max", self.statement_tokens_max == 0),
            ("operators_max", self.operators_max == 0),
            ("plan_nodes_max", self.plan_nodes_max == 0),
            ("scans_max", self.scans_max == 0),
            ("inline_rows_max", self.inline_rows_max == 0),
            ("inline_bytes_max", self.inline_bytes_max == 0),
            ("planning_timeout_ms", self.planning_timeout_ms == 0),
            ("plans_cached_bytes_max", self.plans_cached_bytes_max == 0),
            ("statement_timeout_ms", self.statement_timeout_ms == 0),
            ("message_bytes_max", self.message_bytes_max == 0),
            ("answer_rows_max", self.answer_rows_max == 0),
            ("answer_bytes_max", self.answer_bytes_max == 0),
            ("queries_max", self.queries_max == 0),
            ("function_bytes_max", self.function_bytes_max == 0),
            ("memory_bytes_max_per_query", self.memory_bytes_max_per_query == 0),
            ("memory_bytes_max", self.memory_bytes_max == 0),
        ];
        limits.iter().find(|(_, zero)| *zero).map(|(key, _)| *key)
    }
}
