//! Schema `system`: nodes, tables, columns and policies, as the coordinator knows them now.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::datasource::{MemTable, TableProvider};
use hedgerow_catalog::{NodeDescription, TableDescription, shared_schema, visible_schema};
use hedgerow_policies::{Preset, TableContract};

use super::federation::{Failure, Federation, KnownNode};
use super::own_tables::OwnTables;
use super::views::Views;
use crate::channel::below;

/// The tables of the schema.
pub(crate) const TABLES: [&str; 4] = ["nodes", "tables", "columns", "policies"];

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
        "policies" => policies(federation)?,
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
            .filter(|node| node.description().is_some_and(|known| serves(&known, &contract.name)))
            .map(|node| node.organisation().to_owned())
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

/// The rules of every node for each protected table that it serves. A federation has none of its
/// own: its organisations are listed.
fn policies(federation: &Federation) -> Result<RecordBatch> {
    let of_node = |node: &KnownNode| {
        let lines = lines(node);
        let own = usize::from(lines.len() > 1);
        lines.into_iter().skip(own)
    };
    let is_protected = |table: &TableDescription| {
        let contract = federation.contracts.get(&table.name);
        table.conforming && contract.is_some_and(|contract| contract.is_protected())
    };
    let tables = |line: Line| {
        let tables = line.tables.unwrap_or_default().into_iter().filter(is_protected);
        tables.map(|table| (line.organisation.clone(), table)).collect::<Vec<_>>()
    };
    let nodes = federation.nodes.iter();
    let rows: Vec<_> = nodes.flat_map(|node| of_node(node)).flat_map(tables).collect();
    let named = || rows.iter().map(|(organisation, table)| (organisation, table));
    let rules = || rows.iter().map(|(_, table)| table.rules);
    let whole = |value: Option<u32>| value.map(i64::from);
    let k = named().map(|(_, table)| whole(table.k.or_else(|| preset_k(&table.preset))));
    let n = rules().map(|rules| whole(rules.and_then(|rules| rules.dominance_n)));
    let share = rules().map(|rules| rules.and_then(|rules| rules.dominance_share));
    let base = rules().map(|rules| whole(rules.and_then(|rules| rules.round_to)));
    let p_percent = rules().map(|rules| rules.and_then(|rules| rules.p_percent));
    let complement = rules().map(|rules| rules.map(|rules| rules.complement));
    batch(vec![
        ("organisation", text(named().map(|(organisation, _)| Some(organisation.clone())))),
        ("table_name", text(named().map(|(_, table)| Some(table.name.clone())))),
        ("preset", text(named().map(|(_, table)| Some(table.preset.clone())))),
        ("k", Arc::new(k.collect::<Int64Array>())),
        ("complement", Arc::new(complement.collect::<BooleanArray>())),
        ("p_percent", Arc::new(p_percent.collect::<Float64Array>())),
        ("dominance_n", Arc::new(n.collect::<Int64Array>())),
        ("dominance_share", Arc::new(share.collect::<Float64Array>())),
        ("round_to", Arc::new(base.collect::<Int64Array>())),
    ])
}

/// The threshold of a preset, where a node sets none.
fn preset_k(name: &str) -> Option<u32> {
    Preset::of(name).map(|preset| preset.k)
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
