//! Errors of the engine, and their form at a trust boundary.
//!
//! Inside, [`EngineError`] keeps its cause; across a boundary only [`WireError`] travels: an
//! SQLSTATE, a rule id, words about the question and a hint, and never a data value.

use std::error::Error;
use std::fmt;

use datafusion::error::DataFusionError;
use hedgerow_policies::{GateError, Refusal};
use serde::{Deserialize, Serialize};

/// SQLSTATE codes that clients see.
pub mod sqlstate {
    /// Refused by policy, or not permitted.
    pub const REFUSED: &str = "42501";
    /// No such table.
    pub const UNKNOWN_TABLE: &str = "42P01";
    /// No such column.
    pub const UNKNOWN_COLUMN: &str = "42703";
    /// The text is not SQL, or does not fit together.
    pub const SYNTAX: &str = "42601";
    /// Valid, but not something this federation can do (yet).
    pub const NOT_SUPPORTED: &str = "0A000";
    /// Wrong name, password or token.
    pub const NOT_AUTHENTICATED: &str = "28000";
    /// Cancelled or timed out.
    pub const CANCELLED: &str = "57014";
    /// A named limit was reached.
    pub const LIMIT: &str = "53400";
    /// A node cannot be reached.
    pub const UNAVAILABLE: &str = "08006";
    /// A value does not fit: division by zero, a failed cast.
    pub const DATA_EXCEPTION: &str = "22000";
    /// The handle of a prepared statement is not known.
    pub const UNKNOWN_HANDLE: &str = "26000";
    /// A data file cannot be read.
    pub const FILES: &str = "58030";
    /// A number does not fit its type.
    pub const OUT_OF_RANGE: &str = "22003";
    /// Our fault.
    pub const INTERNAL: &str = "XX000";
    /// All of them.
    pub const ALL: [&str; 14] = [
        REFUSED,
        UNKNOWN_TABLE,
        UNKNOWN_COLUMN,
        SYNTAX,
        NOT_SUPPORTED,
        NOT_AUTHENTICATED,
        CANCELLED,
        LIMIT,
        UNAVAILABLE,
        DATA_EXCEPTION,
        OUT_OF_RANGE,
        UNKNOWN_HANDLE,
        FILES,
        INTERNAL,
    ];
}

/// An error as it crosses a trust boundary: no data value, no cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireError {
    /// One of [`sqlstate`].
    pub sqlstate: String,
    /// The rule that decided, such as `S4.literal`.
    pub rule: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
    /// The organisation whose node said so.
    pub organisation: Option<String>,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        if let Some(organisation) = &self.organisation {
            write!(f, " (at {organisation})")?;
        }
        Ok(())
    }
}

impl Error for WireError {}

/// What can go wrong between a statement and its answer.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The text is not SQL. The message has the position.
    #[error("{message}")]
    Syntax {
        /// The parser's words.
        message: String,
    },
    /// No such table.
    #[error("table `{name}` does not exist")]
    UnknownTable {
        /// As written.
        name: String,
        /// The nearest name there is.
        nearest: Option<String>,
    },
    /// No such column.
    #[error("column `{name}` does not exist")]
    UnknownColumn {
        /// As written.
        name: String,
        /// The nearest name there is.
        nearest: Option<String>,
    },
    /// The statement does not fit together (types, grouping, ambiguous names).
    #[error("{message}")]
    Invalid {
        /// What does not fit.
        message: String,
    },
    /// A statement kind that a read-only federation does not take.
    #[error("{what} is not allowed: the federation is read-only")]
    ReadOnly {
        /// The kind of statement.
        what: String,
    },
    /// A disclosure rule says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Valid SQL that is not split over protected tables (yet).
    #[error("{what}")]
    NotSplit {
        /// The part that is not split.
        what: String,
        /// What to write instead.
        hint: String,
    },
    /// A named limit was reached.
    #[error("the statement passes `limits.{limit}` = {maximum}: it comes to {value} or more")]
    Limit {
        /// Configuration key of the limit.
        limit: &'static str,
        /// What was asked.
        value: u64,
        /// What is allowed.
        maximum: u64,
    },
    /// The statement needs more memory than it may have.
    #[error(
        "the statement needs more memory than `limits.memory_bytes_max_per_query` allows, or all \
         statements together more than `limits.memory_bytes_max`"
    )]
    Memory,
    /// The statement took too long to plan.
    #[error("planning the statement took longer than `limits.planning_timeout_ms` = {timeout_ms}")]
    Planning {
        /// The limit.
        timeout_ms: u64,
    },
    /// The statement took too long.
    #[error("the statement ran longer than `limits.statement_timeout_ms` = {timeout_ms}")]
    Timeout {
        /// The limit.
        timeout_ms: u64,
    },
    /// A node said no, failed, or cannot be reached.
    #[error(transparent)]
    Node(#[from] WireError),
    /// A node's answer is not what was asked.
    #[error("node `{organisation}` answered in another form than it was asked: {what}")]
    BadAnswer {
        /// The node.
        organisation: String,
        /// What differs; never values.
        what: String,
    },
    /// Evaluation failed on some row.
    #[error("the statement failed on the data: {what}")]
    Data {
        /// The kind of failure, without values.
        what: &'static str,
    },
    /// A data file of the organisation cannot be read.
    #[error("a data file cannot be read: it is missing, damaged, or was changed")]
    Files,
    /// A number does not fit its type.
    #[error("the statement failed on the data: {what} is out of range of its type")]
    OutOfRange {
        /// The kind of number, without values.
        what: &'static str,
    },
    /// The gate could not judge; nothing left.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// A bug of ours.
    #[error("internal error: {what}")]
    Internal {
        /// Where, without values.
        what: &'static str,
        /// The cause, for the local log only.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}

impl EngineError {
    /// An internal error with its cause.
    pub fn internal(what: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Internal { what, source: Some(source.into()) }
    }

    /// An answer of the node of `organisation` that is not what was asked; `what` holds no values.
    pub fn bad_answer(organisation: &str, what: impl Into<String>) -> Self {
        Self::BadAnswer { organisation: organisation.to_owned(), what: what.into() }
    }

    /// The SQLSTATE a client sees.
    pub fn sqlstate(&self) -> &str {
        match self {
            Self::Syntax { .. } | Self::Invalid { .. } => sqlstate::SYNTAX,
            Self::UnknownTable { .. } => sqlstate::UNKNOWN_TABLE,
            Self::UnknownColumn { .. } => sqlstate::UNKNOWN_COLUMN,
            Self::ReadOnly { .. } | Self::NotSplit { .. } => sqlstate::NOT_SUPPORTED,
            Self::Refused(_) => sqlstate::REFUSED,
            Self::Limit { .. } | Self::Memory | Self::Planning { .. } => sqlstate::LIMIT,
            Self::Timeout { .. } => sqlstate::CANCELLED,
            Self::Node(error) => &error.sqlstate,
            Self::Data { .. } => sqlstate::DATA_EXCEPTION,
            Self::Files => sqlstate::FILES,
            Self::OutOfRange { .. } => sqlstate::OUT_OF_RANGE,
            Self::BadAnswer { .. } | Self::Gate(_) | Self::Internal { .. } => sqlstate::INTERNAL,
        }
    }

    /// The form that crosses a trust boundary.
    pub fn external(&self) -> WireError {
        if let Self::Node(error) = self {
            return error.clone();
        }
        let (rule, hint) = match self {
            Self::Refused(refusal) => {
                (Some(refusal.rule.id().to_owned()), Some(refusal.hint.clone()))
            }
            Self::UnknownTable { nearest, .. } | Self::UnknownColumn { nearest, .. } => {
                (None, nearest.as_ref().map(|name| format!("did you mean `{name}`?")))
            }
            Self::NotSplit { hint, .. } => (None, Some(hint.clone())),
            Self::Limit { limit, .. } => (
                None,
                Some(format!(
                    "{}, or raise `limits.{limit}` in the server's configuration",
                    match limit.starts_with("inline_") {
                        true => "filter or aggregate the table before it is joined",
                        false => "ask for less",
                    }
                )),
            ),
            Self::Planning { .. } => {
                let hint = "ask in several statements, each with fewer joins, CTEs and operators";
                (None, Some(hint.to_owned()))
            }
            Self::ReadOnly { .. } => (None, Some("write a SELECT".to_owned())),
            Self::Files => (
                None,
                Some(
                    "tell the organisation; its node's log names the file, and a node that is \
                     restarted leaves out what it cannot read"
                        .to_owned(),
                ),
            ),
            Self::OutOfRange { .. } => {
                (None, Some("cast first: `sum(CAST(x AS DECIMAL(38,0)))`".to_owned()))
            }
            Self::Memory => (None, Some("group by fewer values, or ask for fewer rows".to_owned())),
            _ => (None, None),
        };
        WireError {
            sqlstate: self.sqlstate().to_owned(),
            rule,
            message: self.to_string(),
            hint,
            organisation: match self {
                Self::BadAnswer { organisation, .. } => Some(organisation.clone()),
                _ => None,
            },
        }
    }

    /// Sorts an error that arose inside DataFusion, keeping its text from the client where it may
    /// hold data values.
    pub fn from_execution(error: DataFusionError) -> Self {
        match find_engine_error(error) {
            Ok(own) => own,
            Err(error) => match error.find_root() {
                DataFusionError::ArrowError(arrow, _) => Self::from_arrow(arrow),
                DataFusionError::ResourcesExhausted(_) => Self::Memory,
                DataFusionError::ParquetError(_)
                | DataFusionError::ObjectStore(_)
                | DataFusionError::IoError(_) => {
                    // These words are about the file, not about what is in it.
                    tracing::warn!(%error, "a data file cannot be read");
                    Self::Files
                }
                // A function's own error, which may quote what it was given.
                DataFusionError::Execution(_) | DataFusionError::External(_) => {
                    Self::Data { what: "evaluation failed" }
                }
                // What was resolved and yet has no plan: NOT IN with further conditions, for one.
                DataFusionError::NotImplemented(_) | DataFusionError::Plan(_) => Self::NotSplit {
                    what: "the statement uses something that is not implemented".to_owned(),
                    hint:
                        "write correlated subqueries as joins, one aggregate per query, and sets \
                           of plain columns"
                            .to_owned(),
                },
                _ => Self::internal("execution", error),
            },
        }
    }

    fn from_arrow(error: &datafusion::arrow::error::ArrowError) -> Self {
        use datafusion::arrow::error::ArrowError as A;
        match error {
            A::DivideByZero => Self::Data { what: "division by zero" },
            A::CastError(_) | A::ParseError(_) => Self::Data { what: "a cast failed" },
            A::ArithmeticOverflow(_) => Self::OutOfRange { what: "a result" },
            A::ComputeError(_) => Self::Data { what: "overflow" },
            _ => Self::Data { what: "evaluation failed" },
        }
    }
}

/// Carries our own errors through DataFusion and back.
impl From<EngineError> for DataFusionError {
    fn from(error: EngineError) -> Self {
        DataFusionError::External(Box::new(error))
    }
}

/// Finds our own error inside DataFusion's wrapping.
fn find_engine_error(error: DataFusionError) -> Result<EngineError, DataFusionError> {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<EngineError>() {
            Ok(own) => Ok(*own),
            Err(other) => match other.downcast::<DataFusionError>() {
                Ok(nested) => find_engine_error(*nested),
                Err(other) => Err(DataFusionError::External(other)),
            },
        },
        DataFusionError::Context(context, inner) => find_engine_error(*inner)
            .map_err(|inner| DataFusionError::Context(context, Box::new(inner))),
        DataFusionError::Diagnostic(diagnostic, inner) => find_engine_error(*inner)
            .map_err(|inner| DataFusionError::Diagnostic(diagnostic, Box::new(inner))),
        DataFusionError::ArrowError(arrow, trace) => match *arrow {
            datafusion::arrow::error::ArrowError::ExternalError(inner) => {
                find_engine_error(DataFusionError::External(inner))
            }
            other => Err(DataFusionError::ArrowError(Box::new(other), trace)),
        },
        DataFusionError::Shared(shared) => match shared.find_root() {
            DataFusionError::External(inner) => match inner.downcast_ref::<EngineError>() {
                Some(own) => Ok(EngineError::Node(own.external())),
                None => Err(DataFusionError::Shared(shared)),
            },
            _ => Err(DataFusionError::Shared(shared)),
        },
        other => Err(other),
    }
}
