//! Small open tables of the coordinator itself, such as a code list or a standard population. Main
//! type: [`OwnTables`].

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::datasource::{TableProvider, TableType, source_as_provider};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableScan};
use datafusion::physical_plan::ExecutionPlan;
use hedgerow_catalog::{Contracts, NodeTables, SourceConfig, TableState};

use crate::error::EngineError;

/// The coordinator's own tables by contract name.
#[derive(Debug, Default)]
pub(crate) struct OwnTables {
    tables: BTreeMap<String, Arc<OwnTable>>,
}

impl OwnTables {
    /// Opens the tables that were configured. One that departs from its contract is left out, with
    /// the difference in the log.
    ///
    /// # Errors
    /// Names the table that has no contract, or one that is not open.
    pub(crate) async fn open(
        configured: &BTreeMap<String, SourceConfig>,
        contracts: &Contracts,
        state: &SessionState,
    ) -> std::result::Result<Self, EngineError> {
        if let Some(name) =
            configured.keys().find(|name| contracts.get(name).is_some_and(|c| c.is_protected()))
        {
            return Err(EngineError::Invalid {
                message: format!(
                    "a coordinator has open tables only, and the contract of `{name}` is \
                     protected; let a node serve it"
                ),
            });
        }
        let opened = NodeTables::open_files(configured, contracts, state)
            .await
            .map_err(|error| EngineError::Invalid { message: error.to_string() })?;
        let table = |(name, state): (&str, &TableState)| match state {
            TableState::Conforming(table) => {
                let rows = Arc::clone(&table.provider);
                Some((name.to_owned(), Arc::new(OwnTable { rows })))
            }
            TableState::Drifted { .. } => None,
        };
        Ok(Self { tables: opened.iter().filter_map(table).collect() })
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<OwnTable>> {
        self.tables.get(name).cloned()
    }
}

/// A table whose rows the coordinator has itself.
#[derive(Debug)]
pub(crate) struct OwnTable {
    rows: Arc<dyn TableProvider>,
}

/// Tells whether a scan is of the coordinator's own table.
pub(crate) fn is_own(scan: &TableScan) -> bool {
    let provider = source_as_provider(&scan.source).ok();
    provider.is_some_and(|provider| provider.downcast_ref::<OwnTable>().is_some())
}

#[async_trait]
impl TableProvider for OwnTable {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        self.rows.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.rows.scan(state, projection, filters, limit).await
    }
}
