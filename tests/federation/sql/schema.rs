//! What random statements can be about: tables, columns by kind, and the keys on which tables
//! join. Main type: [`Schema`].

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field};

use crate::answers::{Value, values_of};

/// Literals kept of each column.
const LITERALS: usize = 8;

/// What may be done with an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Decimal,
    Float,
    /// A float that depends on the order of a sum: shown and compared roughly, never a key.
    Noisy,
    Text,
    Date,
    Moment,
    Bool,
}

impl Kind {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Utf8 => Self::Text,
            DataType::Boolean => Self::Bool,
            DataType::Float64 => Self::Float,
            DataType::Date32 => Self::Date,
            DataType::Timestamp(..) => Self::Moment,
            DataType::Decimal128(..) => Self::Decimal,
            other if other.is_integer() => Self::Int,
            other => panic!("no statements about {other}"),
        }
    }

    pub(super) fn is_exact(self) -> bool {
        self != Self::Noisy
    }

    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Decimal | Self::Float)
    }

    /// A value as SQL spells it.
    fn literal(self, value: &Value) -> Option<String> {
        let Value::Exact(text) = value else {
            return match value {
                Value::Float(number) => Some(format!("{number:?}")),
                _ => None,
            };
        };
        Some(match self {
            Self::Text => format!("'{}'", text.replace('\'', "''")),
            Self::Date => format!("DATE '{text}'"),
            Self::Moment => format!("TIMESTAMP '{text}'"),
            _ => text.to_uppercase(),
        })
    }
}

/// One column.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Numbers something, and so is not added up.
    pub(super) key: bool,
    /// Some of its values, as SQL.
    pub(super) literals: Vec<String>,
}

/// One table.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    /// Columns of which no two rows have the same values.
    pub(super) unique: Vec<&'static str>,
}

/// Columns on which two tables join.
#[derive(Debug, Clone)]
pub(super) struct Edge {
    pub(super) left: &'static str,
    pub(super) right: &'static str,
    pub(super) on: &'static [(&'static str, &'static str)],
}

/// All tables.
#[derive(Debug, Clone)]
pub(super) struct Schema {
    pub(super) tables: Vec<Table>,
    pub(super) edges: Vec<Edge>,
}

impl Table {
    pub(super) fn new(name: &str, unique: &[&'static str], rows: &RecordBatch) -> Self {
        let schema = rows.schema();
        let columns = schema.fields().iter().zip(rows.columns());
        let column = |(field, array): (&Arc<Field>, &ArrayRef)| {
            let kind = Kind::of(field.data_type());
            let name = field.name().clone();
            let key = name == "person_number" || name.ends_with("key");
            Column { literals: literals(kind, array), name, kind, key }
        };
        let columns: Vec<Column> = columns.map(column).collect();
        let keys = unique.iter().map(|name| values_of(rows.column_by_name(name).unwrap()));
        let keys: Vec<Vec<Value>> = keys.collect();
        let key =
            |row: usize| format!("{:?}", keys.iter().map(|key| &key[row]).collect::<Vec<_>>());
        let different: BTreeSet<String> = (0..rows.num_rows()).map(key).collect();
        assert_eq!(different.len(), rows.num_rows(), "{name}: {unique:?} is no key");
        Self { name: name.to_owned(), columns, unique: unique.to_vec() }
    }
}

/// Values from all over the column.
fn literals(kind: Kind, array: &ArrayRef) -> Vec<String> {
    let step = (array.len() / 50).max(1);
    let mut found: Vec<String> = vec![];
    for row in (0..array.len()).step_by(step) {
        let value = values_of(&array.slice(row, 1)).remove(0);
        let literal = kind.literal(&value).filter(|literal| !found.contains(literal));
        found.extend(literal.filter(|_| found.len() < LITERALS));
    }
    found
}

const PERSON: &[(&str, &str)] =
    &[("person_number", "person_number"), ("organisation", "organisation")];
const PEOPLE: [&str; 6] = [
    "person",
    "referral_pathway",
    "admitted_care",
    "outpatient_appointment",
    "emergency_attendance",
    "vaccination",
];

/// Keys of the demo's tables.
pub(super) fn demo_unique(table: &str) -> &'static [&'static str] {
    match table {
        "person" => &["organisation", "person_number"],
        "referral_pathway" => &["organisation", "pathway_number"],
        "admitted_care" => &["organisation", "spell_number"],
        "outpatient_appointment" => &["organisation", "appointment_number"],
        "emergency_attendance" => &["organisation", "attendance_number"],
        "vaccination" => &["organisation", "vaccination_number"],
        "bed_occupancy" => &["organisation", "bed_date", "ward_type"],
        "stock" => &["organisation", "item", "stock_date"],
        "organisation_directory" => &["organisation_code"],
        "calendar" => &["calendar_date"],
        _ => &["code"],
    }
}

/// The demo's joins: records of people within an organisation, and codes with their names.
pub(super) fn demo_edges() -> Vec<Edge> {
    let mut edges = vec![];
    for (index, &left) in PEOPLE.iter().enumerate() {
        for &right in &PEOPLE[index..] {
            edges.push(Edge { left, right, on: PERSON });
        }
    }
    for left in PEOPLE.into_iter().chain(["bed_occupancy", "stock"]) {
        let on = &[("organisation", "organisation_code")];
        edges.push(Edge { left, right: "organisation_directory", on });
    }
    let others: [(_, _, &[(&str, &str)]); 10] = [
        ("referral_pathway", "treatment_function", &[("treatment_function_code", "code")]),
        ("outpatient_appointment", "treatment_function", &[("treatment_function_code", "code")]),
        ("admitted_care", "icd10_chapter", &[("icd10_chapter", "code")]),
        ("referral_pathway", "calendar", &[("referral_date", "calendar_date")]),
        ("admitted_care", "calendar", &[("admission_date", "calendar_date")]),
        ("outpatient_appointment", "calendar", &[("appointment_date", "calendar_date")]),
        ("vaccination", "calendar", &[("vaccination_date", "calendar_date")]),
        ("bed_occupancy", "calendar", &[("bed_date", "calendar_date")]),
        ("stock", "calendar", &[("stock_date", "calendar_date")]),
        ("bed_occupancy", "stock", &[("organisation", "organisation"), ("bed_date", "stock_date")]),
    ];
    edges.extend(others.map(|(left, right, on)| Edge { left, right, on }));
    edges
}

/// Keys of the TPC-H tables.
pub(super) fn tpch_unique(table: &str) -> &'static [&'static str] {
    match table {
        "customer" => &["c_custkey"],
        "orders" => &["o_orderkey"],
        "lineitem" => &["l_orderkey", "l_linenumber"],
        "part" => &["p_partkey"],
        "supplier" => &["s_suppkey"],
        // At this scale a part may have a supplier twice.
        "partsupp" => &["ps_partkey", "ps_suppkey", "ps_comment"],
        "nation" => &["n_nationkey"],
        _ => &["r_regionkey"],
    }
}

/// The joins of TPC-H.
pub(super) fn tpch_edges() -> Vec<Edge> {
    let edges: [(_, _, &[(&str, &str)]); 11] = [
        ("customer", "orders", &[("c_custkey", "o_custkey")]),
        ("orders", "lineitem", &[("o_orderkey", "l_orderkey")]),
        ("lineitem", "lineitem", &[("l_orderkey", "l_orderkey")]),
        ("lineitem", "part", &[("l_partkey", "p_partkey")]),
        ("lineitem", "supplier", &[("l_suppkey", "s_suppkey")]),
        ("lineitem", "partsupp", &[("l_partkey", "ps_partkey"), ("l_suppkey", "ps_suppkey")]),
        ("part", "partsupp", &[("p_partkey", "ps_partkey")]),
        ("supplier", "partsupp", &[("s_suppkey", "ps_suppkey")]),
        ("customer", "nation", &[("c_nationkey", "n_nationkey")]),
        ("supplier", "nation", &[("s_nationkey", "n_nationkey")]),
        ("nation", "region", &[("n_regionkey", "r_regionkey")]),
    ];
    edges.map(|(left, right, on)| Edge { left, right, on }).to_vec()
}
