//! Schema `system`: nodes, tables and columns, as the coordinator knows them now.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::Result;
use datafusion::datasource::{MemTable, TableProvider};
use hedgerow_catalog::{TableDescription, shared_schema};

use super::federation::Federation;

/// The tables of the schema.
pub(crate) const TABLES: [&str; 3] = ["nodes", "tables", "columns"];

/// Builds one of [`TABLES`].
pub(crate) fn table(federation: &Federation, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
    let batch = match name {
        "nodes" => nodes(federation)?,
        "tables" => tables(federation)?,
        "columns" => columns(federation)?,
        _ => return Ok(None),
    };
    Ok(Some(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?)))
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch> {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, values)| Field::new(*name, values.data_type().clone(), true))
        .collect();
    let values = columns.into_iter().map(|(_, values)| values).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), values)?)
}

fn text(values: impl Iterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

fn nodes(federation: &Federation) -> Result<RecordBatch> {
    let nodes = &federation.nodes;
    let described: Vec<_> = nodes.iter().map(|node| node.description()).collect();
    let failures: Vec<_> = nodes.iter().map(|node| node.last_failure()).collect();
    let of_tables = |what: fn(&[TableDescription]) -> Vec<String>, between: &str| {
        let texts = described.iter().map(|description| {
            let texts = description.as_ref().map(|d| what(&d.tables)).unwrap_or_default();
            (!texts.is_empty()).then(|| texts.join(between))
        });
        text(texts)
    };
    let served = described
        .iter()
        .map(|d| d.as_ref().map(|d| d.tables.iter().filter(|t| t.conforming).count() as i64));
    let state = |up: bool| Some(if up { "up" } else { "unreachable" }.to_owned());
    let failed_at = failures.iter().map(|f| f.as_ref().map(|f| f.at.timestamp_micros()));
    let failed_at = TimestampMicrosecondArray::from_iter(failed_at).with_timezone("+00:00");
    batch(vec![
        ("organisation", text(nodes.iter().map(|n| Some(n.organisation().to_owned())))),
        ("name", text(described.iter().map(|d| d.as_ref().and_then(|d| d.name.clone())))),
        ("state", text(described.iter().map(|d| state(d.is_some())))),
        ("version", text(described.iter().map(|d| d.as_ref().map(|d| d.version.clone())))),
        ("tables", Arc::new(served.collect::<Int64Array>())),
        ("contracts", of_tables(contracts, ", ")),
        ("differences", of_tables(differences, " | ")),
        ("last_error", text(failures.iter().map(|f| f.as_ref().map(|f| f.error.message.clone())))),
        ("last_error_at", Arc::new(failed_at)),
    ])
}

/// The contracts that a node serves, with their versions.
fn contracts(tables: &[TableDescription]) -> Vec<String> {
    let served = tables.iter().filter(|table| table.conforming);
    served.map(|table| format!("{} v{}", table.name, table.contract_version)).collect()
}

/// How a node's tables depart from their contracts.
fn differences(tables: &[TableDescription]) -> Vec<String> {
    let departing = tables.iter().filter(|table| !table.conforming);
    departing.map(|table| format!("{}: {}", table.name, table.differences.join("; "))).collect()
}

fn tables(federation: &Federation) -> Result<RecordBatch> {
    let contracts: Vec<_> = federation.contracts.iter().collect();
    let serving = contracts.iter().map(|contract| {
        let names: Vec<String> = federation
            .nodes
            .iter()
            .filter_map(|node| node.description())
            .filter(|d| d.tables.iter().any(|t| t.name == contract.name && t.conforming))
            .map(|d| d.organisation.clone())
            .collect();
        Some(names.join(", "))
    });
    batch(vec![
        ("table_name", text(contracts.iter().map(|c| Some(c.name.clone())))),
        (
            "protection",
            text(
                contracts
                    .iter()
                    .map(|c| Some(if c.is_protected() { "protected" } else { "open" }.to_owned())),
            ),
        ),
        (
            "reference",
            Arc::new(contracts.iter().map(|c| Some(c.reference)).collect::<BooleanArray>()),
        ),
        (
            "version",
            Arc::new(contracts.iter().map(|c| Some(i64::from(c.version))).collect::<Int64Array>()),
        ),
        (
            "person_column",
            text(contracts.iter().map(|c| c.person().map(|person| person.column.clone()))),
        ),
        ("organisations", text(serving)),
        ("description", text(contracts.iter().map(|c| Some(c.description.clone())))),
    ])
}

fn columns(federation: &Federation) -> Result<RecordBatch> {
    let mut rows: Vec<[Option<String>; 5]> = vec![];
    for contract in federation.contracts.iter() {
        for field in shared_schema(contract).fields() {
            let column = contract.column(field.name());
            let roles = column.map_or_else(
                || "dimension".to_owned(),
                |c| {
                    let roles: Vec<String> =
                        c.roles.iter().map(|role| format!("{role:?}").to_lowercase()).collect();
                    roles.join(", ")
                },
            );
            let description = column.map_or_else(
                || "the organisation that holds the row".to_owned(),
                |c| c.description.clone(),
            );
            rows.push([
                Some(contract.name.clone()),
                Some(field.name().clone()),
                Some(sql_name(field.data_type())),
                Some(roles),
                Some(description),
            ]);
        }
    }
    let column = |index: usize| text(rows.iter().map(|row| row.get(index).cloned().flatten()));
    batch(vec![
        ("table_name", column(0)),
        ("column_name", column(1)),
        ("data_type", column(2)),
        ("roles", column(3)),
        ("description", column(4)),
    ])
}

fn sql_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 => "varchar".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int16 => "smallint".to_owned(),
        DataType::Int32 => "integer".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Timestamp(_, None) => "timestamp".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamp with time zone".to_owned(),
        other => other.to_string(),
    }
}
