//! Limits on a statement, each checked before or while work is done, never after it.
//!
//! | part | bounds | when |
//! | --- | --- | --- |
//! | [`text`] | bytes, tokens, chains of operators | before parsing |
//! | [`written`] | tables and queries, CTEs counted per use | before names are resolved |
//! | [`plan`] | plan nodes and scans, in the same way, and rows of inline tables | before anything else walks the plan |
//! | [`functions`] | bytes that one call of a function makes | before the call |
//! | [`memory`] | working memory of a statement and of all | while it runs |
//! | [`answer`] | rows and bytes of an answer | while it is sent |
//!
//! The numbers are a server's configuration, `hedgerow_catalog::Limits`.

pub(crate) mod answer;
pub(crate) mod functions;
pub(crate) mod memory;
pub(crate) mod plan;
pub(crate) mod text;
pub(crate) mod written;

use crate::error::EngineError;

/// The error of a limit that is passed.
pub(crate) fn passed(limit: &'static str, value: usize, maximum: usize) -> EngineError {
    EngineError::Limit { limit, value: value as u64, maximum: maximum as u64 }
}
