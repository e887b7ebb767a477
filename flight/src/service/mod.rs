//! The Flight SQL service of a server, in both its roles.
//!
//! ```text
//! call ─► door        bearer token -> Caller, once for every method
//!           ▼
//!         sql         one Flight SQL command each
//!           ├─► statements  handles of planned statements
//!           ├─► query       plan, run, stream with coverage        (coordinator)
//!           ├─► metadata    catalogs, tables, types, SqlInfo       (coordinator)
//!           └─► bundle      what a coordinator asks                (node, federation)
//!                  ▼
//!         guarded     deadline, cancellation, the one log line
//! ```
//! Main type: [`Shared`].

mod actions;
mod bundle;
mod door;
mod guarded;
mod log;
mod login;
mod metadata;
mod query;
mod sql;
mod statements;
mod types;
mod updates;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::FlightData;
use arrow_flight::sql::metadata::{SqlInfoData, XdbcTypeInfoData};
use futures::Stream;
use hedgerow_catalog::Limits;
use hedgerow_engine::{Answering, Coordinator, EngineError, Node, Session, sqlstate};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tonic::{Request, Status};

use crate::error::TransportError;
use crate::metrics::Metrics;
use crate::status::{engine_status, to_status, wire_error};
use crate::tokens::Tokens;
use crate::users::SharedUsers;

pub(crate) use door::Door;
pub(crate) use login::basic_credentials;

use statements::Statements;

/// Name of the action that asks a node what it serves.
pub(crate) const DESCRIBE_ACTION: &str = "hedgerow.describe";

/// Header that asks for the companion columns of each measure.
pub(crate) const COMPANIONS_HEADER: &str = "hedgerow-companions";

/// Header that says what the answer is for.
pub(crate) const PURPOSE_HEADER: &str = "hedgerow-purpose";

/// Messages of one answer.
pub(crate) type Answers = Pin<Box<dyn Stream<Item = Result<FlightData, Status>> + Send>>;

/// What all calls to one server share.
pub(crate) struct Shared {
    /// Name of the server, in its log: its organisation.
    pub(crate) name: String,
    /// Who may log in.
    pub(crate) users: SharedUsers,
    /// Who is logged in.
    pub(crate) tokens: Tokens,
    /// Plans and runs statements.
    pub(crate) coordinator: Arc<Coordinator>,
    /// Answers bundles, where this server is a node or answers for its federation.
    pub(crate) answering: Option<Answering>,
    /// Named limits.
    pub(crate) limits: Limits,
    /// Handles of planned statements.
    pub(crate) statements: Statements,
    /// Statements planned or running.
    pub(crate) queries: Arc<Semaphore>,
    /// Bundles being answered; apart, so that a server may ask itself.
    pub(crate) bundles: Arc<Semaphore>,
    /// Turns true when the server takes no new work.
    pub(crate) draining: watch::Receiver<bool>,
    /// Turns true when the server stops for good.
    pub(crate) stopping: watch::Receiver<bool>,
    /// What the server counts.
    pub(crate) metrics: Arc<Metrics>,
    /// What the server says of itself.
    pub(crate) sql_info: SqlInfoData,
    /// What it says of its types.
    pub(crate) xdbc_types: XdbcTypeInfoData,
}

/// What a server is made of.
pub(crate) struct Roles {
    pub(crate) name: String,
    pub(crate) users: SharedUsers,
    pub(crate) coordinator: Arc<Coordinator>,
    pub(crate) answering: Option<Answering>,
    pub(crate) limits: Limits,
}

impl Shared {
    pub(crate) fn new(
        roles: Roles,
        draining: watch::Receiver<bool>,
        stopping: watch::Receiver<bool>,
    ) -> Result<Self, TransportError> {
        let queries_max = roles.limits.queries_max.min(Semaphore::MAX_PERMITS);
        Ok(Self {
            name: roles.name,
            users: roles.users,
            tokens: Tokens::default(),
            coordinator: roles.coordinator,
            answering: roles.answering,
            statements: Statements::default(),
            queries: Arc::new(Semaphore::new(queries_max)),
            bundles: Arc::new(Semaphore::new(queries_max)),
            draining,
            stopping,
            metrics: Arc::new(Metrics::new()),
            sql_info: types::sql_info(&roles.limits).map_err(TransportError::Metadata)?,
            xdbc_types: types::xdbc_types().map_err(TransportError::Metadata)?,
            limits: roles.limits,
        })
    }

    /// Why no statement can be answered now, if so.
    pub(crate) async fn not_ready(&self) -> Option<&'static str> {
        if *self.draining.borrow() {
            return Some("the server is stopping");
        }
        let nodes = self.coordinator.nodes_up().await;
        if !nodes.is_empty() && !nodes.iter().any(|(_, up)| *up) {
            return Some("no node can be reached");
        }
        let serves = |node: &Node| node.describe().tables.iter().any(|table| table.conforming);
        match &self.answering {
            Some(Answering::Node(node)) if !serves(node) => {
                Some("no table conforms to its contract")
            }
            _ => None,
        }
    }

    /// Longest run of a statement.
    fn timeout(&self) -> Duration {
        Duration::from_millis(self.limits.statement_timeout_ms)
    }

    /// One of `queries_max` places, held as long as the work lasts.
    fn place(&self, places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Status> {
        Arc::clone(places).try_acquire_owned().map_err(|_| {
            to_status(&wire_error(
                sqlstate::LIMIT,
                format!("`limits.queries_max` = {} are running", self.limits.queries_max),
                Some("try again when another has ended"),
            ))
        })
    }

    fn check_length(&self, statement: &str) -> Result<(), Status> {
        if statement.len() <= self.limits.statement_bytes_max {
            return Ok(());
        }
        Err(engine_status(&EngineError::Limit {
            limit: "statement_bytes_max",
            value: statement.len() as u64,
            maximum: self.limits.statement_bytes_max as u64,
        }))
    }
}

/// Who makes a call. Only the door puts one into a request.
#[derive(Clone)]
pub(crate) struct Caller {
    /// The session of the caller's token.
    pub(crate) session: Session,
    /// The token; never logged.
    token: String,
}

impl Caller {
    /// The caller of a request that came through the door.
    fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        request.extensions().get::<Self>().cloned().ok_or_else(not_authenticated)
    }

    fn user(&self) -> &str {
        self.session.user()
    }
}

/// The token is missing, unknown or has expired.
fn not_authenticated() -> Status {
    to_status(&wire_error(
        sqlstate::NOT_AUTHENTICATED,
        "the call carries no bearer token that is known here",
        Some("log in with name and password"),
    ))
}

fn not_supported(what: &str) -> Status {
    to_status(&wire_error(
        sqlstate::NOT_SUPPORTED,
        format!("{what} is not supported: the federation is read-only"),
        Some("write a SELECT"),
    ))
}

fn internal(
    what: &'static str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Status {
    engine_status(&EngineError::internal(what, source))
}
