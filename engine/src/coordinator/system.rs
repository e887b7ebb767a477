//! Schema `system`: nodes, tables and columns, as the coordinator knows them now.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::Result;
use datafusion::datasource::{MemTable, TableProvider};
use hedgerow_catalog::{NodeDescription, TableDescription, shared_schema};

use super::federation::{Failure, Federation, KnownNode};
use crate::channel::below;

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

/// A line of `system.nodes`: a node, or an organisation below one that is a federation.
struct Line {
    organisation: String,
    name: Option<String>,
    up: bool,
    version: Option<String>,
    tables: Option<Vec<TableDescription>>,
    failure: Option<Failure>,
}

fn lines(node: &KnownNode) -> Vec<Line> {
    let known = node.description();
    let own = Line {
        organisation: node.organisation().to_owned(),
        name: known.as_ref().and_then(|known| known.name.clone()),
        up: known.is_some(),
        version: known.as_ref().map(|known| known.version.clone()),
        tables: known.map(|known| known.tables.clone()),
        failure: node.last_failure(),
    };
    let below = node.members().into_iter().map(|member| Line {
        organisation: below(Some(node.organisation()), &member.organisation),
        name: member.name,
        up: member.up,
        version: Some(member.version).filter(|version| !version.is_empty()),
        tables: member.up.then_some(member.tables),
        failure: None,
    });
    std::iter::once(own).chain(below).collect()
}

fn nodes(federation: &Federation) -> Result<RecordBatch> {
    let lines: Vec<Line> = federation.nodes.iter().flat_map(|node| lines(node)).collect();
    let of_tables = |what: fn(&[TableDescription]) -> Vec<String>, between: &str| {
        let texts = lines.iter().map(|line| {
            let texts = line.tables.as_deref().map(what).unwrap_or_default();
            (!texts.is_empty()).then(|| texts.join(between))
        });
        text(texts)
    };
    let conforming =
        |tables: &Vec<TableDescription>| tables.iter().filter(|t| t.conforming).count() as i64;
    let served = lines.iter().map(|line| line.tables.as_ref().map(conforming));
    let state = |up: bool| Some(if up { "up" } else { "unreachable" }.to_owned());
    let failures = || lines.iter().map(|line| line.failure.as_ref());
    let failed_at = failures().map(|failure| failure.map(|f| f.at.timestamp_micros()));
    let failed_at = TimestampMicrosecondArray::from_iter(failed_at).with_timezone("+00:00");
    batch(vec![
        ("organisation", text(lines.iter().map(|line| Some(line.organisation.clone())))),
        ("name", text(lines.iter().map(|line| line.name.clone()))),
        ("state", text(lines.iter().map(|line| state(line.up)))),
        ("version", text(lines.iter().map(|line| line.version.clone()))),
        ("tables", Arc::new(served.collect::<Int64Array>())),
        ("contracts", of_tables(contracts, ", ")),
        ("differences", of_tables(differences, " | ")),
        ("last_error", text(failures().map(|failure| failure.map(|f| f.error.message.clone())))),
        ("last_error_at", Arc::new(failed_at)),
    ])
}

fn serves(known: &NodeDescription, table: &str) -> bool {
    known.tables.iter().any(|one| one.name == table && one.conforming)
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
            .filter(|node| node.description().is_some_and(|known| serves(&known, &contract.name)))
            .map(|node| node.organisation().to_owned())
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
