//! The one line per query or bundle. Main type: [`Line`].
//!
//! It never holds the statement, a literal, a value, or a count from before the gate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::metrics::Metrics;

/// As what a server worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It planned and ran an analyst's statement.
    Coordinator,
    /// It answered a bundle over its own tables.
    Node,
    /// It answered a bundle for its federation.
    Federation,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Coordinator => "coordinator",
            Self::Node => "node",
            Self::Federation => "federation",
        }
    }
}

/// Written, and counted, when it is dropped; the outcome is `cancelled` unless another was set.
pub(super) struct Line {
    metrics: Arc<Metrics>,
    role: Role,
    organisation: String,
    user: String,
    statement_id: String,
    rows: Arc<AtomicU64>,
    started: Instant,
    outcome: Option<String>,
    kept_back: bool,
}

impl Line {
    pub(super) fn new(metrics: &Arc<Metrics>, role: Role, organisation: &str, user: &str) -> Self {
        metrics.began(role.name());
        Self {
            metrics: Arc::clone(metrics),
            role,
            organisation: organisation.to_owned(),
            user: user.to_owned(),
            statement_id: String::new(),
            rows: Arc::default(),
            started: Instant::now(),
            outcome: None,
            kept_back: false,
        }
    }

    pub(super) fn set_statement_id(&mut self, statement_id: &str) {
        statement_id.clone_into(&mut self.statement_id);
    }

    /// Counts rows sent; written by the coordinator only.
    pub(super) fn rows(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.rows)
    }

    /// Sets the outcome: `ok` or an SQLSTATE. The first one counts.
    pub(super) fn set_outcome(&mut self, outcome: &str) {
        if self.outcome.is_none() {
            self.outcome = Some(outcome.to_owned());
        }
    }

    /// Writes nothing: the statement is planned, and its run will write its own line.
    pub(super) fn keep_back(mut self) {
        self.kept_back = true;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let outcome = self.outcome.as_deref().unwrap_or("cancelled");
        let counted = (!self.kept_back).then_some(outcome);
        let duration = self.started.elapsed();
        self.metrics.ended(self.role.name(), counted, duration);
        if self.kept_back {
            return;
        }
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let rows = match self.role {
            Role::Coordinator => Some(self.rows.load(Ordering::Relaxed)),
            Role::Node | Role::Federation => None,
        };
        tracing::info!(
            statement_id = %self.statement_id,
            organisation = %self.organisation,
            user = %self.user,
            role = self.role.name(),
            duration_ms,
            outcome,
            rows,
            "statement"
        );
    }
}
