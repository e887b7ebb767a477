//! Limits on what is asked of a server, checked before the work. Main type: [`Limits`].

use serde::Deserialize;

use super::keys;

/// Named limits, each of 1 or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Longest statement, in bytes.
    pub statement_bytes_max: usize,
    /// Longest run of a statement, in milliseconds.
    pub statement_timeout_ms: u64,
    /// Largest message on the wire, in bytes.
    pub message_bytes_max: usize,
    /// Longest answer, in rows.
    pub answer_rows_max: usize,
    /// Most statements running at once.
    pub queries_max: usize,
    /// Most memory one statement may hold, in bytes.
    pub memory_bytes_max_per_query: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            statement_bytes_max: keys::STATEMENT_BYTES_MAX,
            statement_timeout_ms: keys::STATEMENT_TIMEOUT_MS,
            message_bytes_max: keys::MESSAGE_BYTES_MAX,
            answer_rows_max: keys::ANSWER_ROWS_MAX,
            queries_max: keys::QUERIES_MAX,
            memory_bytes_max_per_query: keys::MEMORY_BYTES_MAX_PER_QUERY,
        }
    }
}

impl Limits {
    /// The first limit that is zero, by key.
    pub(super) fn zero(&self) -> Option<&'static str> {
        let limits = [
            ("statement_bytes_max", self.statement_bytes_max == 0),
            ("statement_timeout_ms", self.statement_timeout_ms == 0),
            ("message_bytes_max", self.message_bytes_max == 0),
            ("answer_rows_max", self.answer_rows_max == 0),
            ("queries_max", self.queries_max == 0),
            ("memory_bytes_max_per_query", self.memory_bytes_max_per_query == 0),
        ];
        limits.iter().find(|(_, zero)| *zero).map(|(key, _)| *key)
    }
}
