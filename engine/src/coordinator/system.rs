//! Schema `system`: nodes, tables and columns, as the coordinator knows them now.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::datasource::{MemTable, TableProvider};
use hedgerow_catalog::{TableDescription, shared_schema, visible_schema};
use hedgerow_policies::TableContract;

use super::federation::Federation;
use super::own_tables::OwnTables;
use super::views::Views;

/// The tables of the schema.
pub(crate) const TABLES: [&str; 3] = ["nodes", "tables", "columns"];

/// Builds one of [`TABLES`].
pub(crate) fn table(
    federation: &Federation,
    views: &Views,
    own: &OwnTables,
    name: &str,
) -> Result<Option<Arc<dyn TableProvider>>> {
    let batch = match name {
        "nodes" => nodes(federation)?,
        "tables" => tables(federation, views, own)?,
        "columns" => columns(federation, views, own)?,
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

/// What one row of `system.tables` says.
struct TableRow {
    name: String,
    kind: &'static str,
    protection: Option<&'static str>,
    reference: Option<bool>,
    version: Option<i64>,
    person: Option<String>,
    organisations: Option<String>,
    description: String,
}

fn tables(federation: &Federation, views: &Views, own: &OwnTables) -> Result<RecordBatch> {
    let of_contract = |contract: &Arc<TableContract>| {
        let names: Vec<String> = federation
            .nodes
            .iter()
            .filter_map(|node| node.description())
            .filter(|d| d.tables.iter().any(|t| t.name == contract.name && t.conforming))
            .map(|d| d.organisation.clone())
            .collect();
        TableRow {
            name: contract.name.clone(),
            kind: "table",
            protection: Some(if contract.is_protected() { "protected" } else { "open" }),
            reference: Some(contract.reference),
            version: Some(i64::from(contract.version)),
            person: contract.person().map(|person| person.column.clone()),
            organisations: own.get(&contract.name).is_none().then(|| names.join(", ")),
            description: contract.description.clone(),
        }
    };
    let of_view = |(name, description, _): (&str, &str, &SchemaRef)| TableRow {
        name: name.to_owned(),
        kind: "view",
        protection: None,
        reference: None,
        version: None,
        person: None,
        organisations: None,
        description: description.to_owned(),
    };
    let contracts = federation.contracts.iter().map(of_contract);
    let rows: Vec<TableRow> = contracts.chain(views.resolved().map(of_view)).collect();
    let rows = || rows.iter();
    batch(vec![
        ("table_name", text(rows().map(|row| Some(row.name.clone())))),
        ("kind", text(rows().map(|row| Some(row.kind.to_owned())))),
        ("protection", text(rows().map(|row| row.protection.map(str::to_owned)))),
        ("reference", Arc::new(rows().map(|row| row.reference).collect::<BooleanArray>())),
        ("version", Arc::new(rows().map(|row| row.version).collect::<Int64Array>())),
        ("person_column", text(rows().map(|row| row.person.clone()))),
        ("organisations", text(rows().map(|row| row.organisations.clone()))),
        ("description", text(rows().map(|row| Some(row.description.clone())))),
    ])
}

fn columns(federation: &Federation, views: &Views, own: &OwnTables) -> Result<RecordBatch> {
    let mut rows: Vec<[Option<String>; 5]> = vec![];
    for contract in federation.contracts.iter() {
        let fields = match own.get(&contract.name) {
            Some(_) => visible_schema(contract),
            None => shared_schema(contract),
        };
        for field in fields.fields() {
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
    for (name, _, schema) in views.resolved() {
        rows.extend(schema.fields().iter().map(|field| {
            let data_type = sql_name(field.data_type());
            [Some(name.to_owned()), Some(field.name().clone()), Some(data_type), None, None]
        }));
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
