//! Tables whose files already have the contract's columns. Entry: [`open`].

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::datasource::provider_as_source;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlanBuilder;
use hedgerow_policies::TableContract;

use super::conformance::{Origin, differences};
use super::table::ContractTable;
use super::{Opened, files};
use crate::config::SourceFormat;
use crate::contracts::{arrow_schema, visible_schema};
use crate::source::{Source, SourceProblem, listing_table};

/// Checks every file against the contract and makes one table of them.
pub(super) fn open(
    contract: &TableContract,
    source: Result<Source, SourceProblem>,
    state: &SessionState,
) -> Opened {
    let one = |problem: SourceProblem| vec![problem.to_string()];
    let source = source.map_err(one)?;
    let provider = match source.format {
        SourceFormat::Parquet => parquet(contract, &source, state)?,
        SourceFormat::Csv { header, .. } => csv(contract, &source, header, state)?,
    };
    Ok((provider, files([(contract.name.as_str(), &source)])))
}

/// The files' columns are matched by name, and each file must have them all.
fn parquet(
    contract: &TableContract,
    source: &Source,
    state: &SessionState,
) -> Result<Arc<dyn TableProvider>, Vec<String>> {
    let mut found: Vec<String> = Vec::new();
    for schema in &source.schemas {
        for difference in differences(contract, schema, Origin::File) {
            if !found.contains(&difference) {
                found.push(difference);
            }
        }
    }
    if !found.is_empty() {
        return Err(found);
    }
    let table = listing_table(source, visible_schema(contract), state);
    table.map_err(|problem| vec![problem.to_string()])
}

/// The files' columns are read in their own order and as the contract's types, then put into the
/// contract's order.
fn csv(
    contract: &TableContract,
    source: &Source,
    header: bool,
    state: &SessionState,
) -> Result<Arc<dyn TableProvider>, Vec<String>> {
    let one = |problem: SourceProblem| vec![problem.to_string()];
    let common = source.common_schema().map_err(one)?;
    let declared = if header { typed(contract, &common) } else { by_position(contract, &common)? };
    let found = differences(contract, &declared, Origin::File);
    if !found.is_empty() {
        return Err(found);
    }
    let table = listing_table(source, Arc::clone(&declared), state).map_err(one)?;
    if declared == visible_schema(contract) {
        return Ok(table);
    }
    let plan = LogicalPlanBuilder::scan(contract.name.as_str(), provider_as_source(table), None)
        .and_then(LogicalPlanBuilder::build)
        .and_then(|plan| ContractTable::try_new(plan, visible_schema(contract)));
    match plan {
        Ok(table) => Ok(Arc::new(table)),
        Err(error) => {
            tracing::warn!(table = contract.name, %error, "CSV files cannot be planned");
            Err(one(SourceProblem::Scan))
        }
    }
}

fn typed(contract: &TableContract, header: &Schema) -> SchemaRef {
    let typed = |field: &Arc<Field>| match contract.column(field.name()) {
        Some(column) => Field::new(field.name(), column.data_type.clone(), true),
        None => field.as_ref().clone(),
    };
    Arc::new(Schema::new(header.fields().iter().map(typed).collect::<Vec<_>>()))
}

fn by_position(contract: &TableContract, found: &Schema) -> Result<SchemaRef, Vec<String>> {
    let (has, says) = (found.fields().len(), contract.columns.len());
    if has == says {
        Ok(arrow_schema(contract))
    } else {
        Err(vec![format!("contract has {says} columns, file without header has {has}")])
    }
}
