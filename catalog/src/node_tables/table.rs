//! A table whose rows come from a plan but which looks like its contract. Main type:
//! [`ContractTable`].

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Column;
use datafusion::datasource::ViewTable;
use datafusion::error::Result;
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, TableProviderFilterPushDown, TableType,
};
use datafusion::physical_plan::ExecutionPlan;

/// Rows of a plan, cast strictly to a contract's types, in the contract's order.
///
/// Unlike a view it stays one table in the plans that use it: a question is judged by the contract
/// and never sees how the organisation makes the table.
#[derive(Debug)]
pub(super) struct ContractTable {
    rows: ViewTable,
    schema: SchemaRef,
}

impl ContractTable {
    /// Wraps `plan`, which must have one column for each field of `schema`.
    pub(super) fn try_new(plan: LogicalPlan, schema: SchemaRef) -> Result<Self> {
        let columns: Vec<Expr> = schema
            .fields()
            .iter()
            .map(|field| {
                let (qualifier, found) =
                    plan.schema().qualified_field_with_unqualified_name(field.name())?;
                let column = Expr::Column(Column::from((qualifier, found)));
                let column = if found.data_type() == field.data_type() {
                    column
                } else {
                    Expr::Cast(Cast::new(Box::new(column), field.data_type().clone()))
                };
                Ok(column.alias(field.name()))
            })
            .collect::<Result<_>>()?;
        let plan = LogicalPlanBuilder::from(plan).project(columns)?.build()?;
        Ok(Self { rows: ViewTable::new(plan, None), schema })
    }
}

#[async_trait]
impl TableProvider for ContractTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
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
