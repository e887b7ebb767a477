//! Views of the coordinator: names that stand for the text of a statement. Main type: [`Views`].
//!
//! A view is resolved wherever it is named and stands in the plan as if it had been written out, so
//! what may be asked through it is what may be asked without it. One that does not resolve breaks
//! only what names it.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::datasource::ViewTable;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement;
use datafusion::sql::resolve::resolve_table_references;
use futures::FutureExt;
use hedgerow_catalog::{Contracts, Limits, ViewConfig};

use super::catalog::{CATALOG, SHARED};
use crate::error::EngineError;
use crate::limits::text::TextLimits;
use crate::parse::{parse_query, resolve_within};

/// The views of a coordinator.
#[derive(Debug, Default)]
pub(crate) struct Views {
    views: BTreeMap<String, View>,
    limits: Limits,
    /// Where they are resolved; set once the catalogue is there.
    state: OnceLock<SessionState>,
    /// The columns of those that resolved when the server started.
    columns: OnceLock<BTreeMap<String, SchemaRef>>,
}

#[derive(Debug)]
struct View {
    statement: Statement,
    sql: String,
    description: String,
}

impl Views {
    /// Reads the views that were configured.
    ///
    /// # Errors
    /// Names the view that is not one query, has the name of a table, or uses itself.
    pub(crate) fn new(
        configured: &BTreeMap<String, ViewConfig>,
        contracts: &Contracts,
        limits: &Limits,
    ) -> Result<Self, EngineError> {
        let mut views = BTreeMap::new();
        for (name, ViewConfig { sql, description }) in configured {
            if contracts.get(name).is_some() {
                return Err(at_fault(name, "a contract has this name; give the view another"));
            }
            let sql = sql.trim().trim_end_matches(';').to_owned();
            let statement =
                parse_query(&sql, TextLimits::of_statements(limits)).map_err(|error| {
                    let said = error.external();
                    let hint = said.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
                    at_fault(name, &format!("{}{hint}; write one SELECT", said.message))
                })?;
            views.insert(name.clone(), View { statement, sql, description: description.clone() });
        }
        check_circles(&views)?;
        let (state, columns) = (OnceLock::new(), OnceLock::new());
        Ok(Self { views, limits: *limits, state, columns })
    }

    /// Tells where names are resolved, and resolves every view once: those that do not resolve are
    /// named in the log.
    pub(crate) async fn open(&self, state: SessionState) {
        if self.state.set(state).is_err() {
            return;
        }
        let mut columns = BTreeMap::new();
        for name in self.views.keys() {
            match self.plan(name).await {
                Ok(Some(plan)) => {
                    columns.insert(name.clone(), Arc::clone(plan.schema().inner()));
                }
                Ok(None) => {}
                Err(error) => tracing::warn!("{}", error.external().message),
            }
        }
        // It is set here alone.
        let _ = self.columns.set(columns);
    }

    /// The name, description and columns of each view that resolved when the server started.
    pub(crate) fn resolved(&self) -> impl Iterator<Item = (&str, &str, &SchemaRef)> {
        let columns = self.columns.get().into_iter().flatten();
        columns.filter_map(|(name, schema)| {
            let view = self.views.get(name)?;
            Some((name.as_str(), view.description.as_str(), schema))
        })
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.views.contains_key(name)
    }

    /// The view as a table that is replaced by its plan; `None` where it does not resolve, so that
    /// listings go on without it.
    pub(crate) async fn table(&self, name: &str) -> Option<Arc<dyn TableProvider>> {
        let plan = self.plan(name).await.ok()??;
        let definition = self.views.get(name).map(|view| view.sql.clone());
        Some(Arc::new(ViewTable::new(plan, definition)))
    }

    /// Why a view does not resolve.
    pub(crate) fn fault(&self, name: &str) -> Option<EngineError> {
        // Every table is at hand, so resolution never waits.
        self.plan(name).now_or_never()?.err()
    }

    async fn plan(&self, name: &str) -> Result<Option<LogicalPlan>, EngineError> {
        let (Some(view), Some(state)) = (self.views.get(name), self.state.get()) else {
            return Ok(None);
        };
        match resolve_within(state, view.statement.clone(), &self.limits).await {
            Ok(plan) => Ok(Some(plan)),
            Err(limit @ EngineError::Limit { .. }) => Err(limit),
            Err(EngineError::UnknownTable { name: below, .. }) if self.contains(&below) => {
                let fault = self.fault(&below).map(|fault| fault.external().message);
                Err(broken(name, &fault.unwrap_or_default()))
            }
            Err(error) => Err(broken(name, &error.external().message)),
        }
    }
}

/// The view that a reference names.
fn view_of(reference: &TableReference) -> Option<&str> {
    let shared = reference.schema().is_none_or(|schema| schema == SHARED);
    let here = reference.catalog().is_none_or(|catalog| catalog == CATALOG);
    (shared && here).then(|| reference.table())
}

/// Views that use one another in a circle have no meaning.
fn check_circles(views: &BTreeMap<String, View>) -> Result<(), EngineError> {
    let mut uses: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, view) in views {
        let (references, _) = resolve_table_references(&view.statement, true)
            .map_err(|error| at_fault(name, &error.strip_backtrace()))?;
        let used = references.iter().filter_map(view_of).filter(|used| views.contains_key(*used));
        uses.insert(name, used.map(str::to_owned).collect());
    }
    // What uses only views that are known to end is known to end.
    let mut ends: Vec<&str> = vec![];
    loop {
        let ending = |(name, used): &(&&str, &Vec<String>)| {
            !ends.contains(*name) && used.iter().all(|used| ends.contains(&used.as_str()))
        };
        let more: Vec<&str> = uses.iter().filter(ending).map(|(name, _)| *name).collect();
        if more.is_empty() {
            break;
        }
        ends.extend(more);
    }
    let circle: Vec<&str> = uses.keys().filter(|name| !ends.contains(*name)).copied().collect();
    match circle.first() {
        None => Ok(()),
        Some(first) => {
            let what = format!(
                "it uses itself, by way of {}; let it name tables instead",
                circle.join(", ")
            );
            Err(at_fault(first, &what))
        }
    }
}

fn at_fault(name: &str, what: &str) -> EngineError {
    EngineError::Invalid { message: format!("view `{name}` cannot be used: {what}") }
}

fn broken(name: &str, what: &str) -> EngineError {
    EngineError::Invalid { message: format!("view `{name}` does not resolve: {what}") }
}
