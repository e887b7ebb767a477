//! The tables of TPC-H as a federation has them: split by customer over [`NODES`] nodes, with what
//! is not about customers at each of them. Main entries: [`tables`], [`Homes`], [`contract`].

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator,
    PartSuppGenerator, RegionGenerator, SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RegionArrow,
    SupplierArrow,
};

pub(crate) const NODES: usize = 4;
const REFERENCE: [&str; 5] = ["part", "supplier", "partsupp", "nation", "region"];
/// Numbers of customers and orders: rows that have one in common are at one node.
const IDENTIFIERS: [&str; 4] = ["c_custkey", "o_custkey", "o_orderkey", "l_orderkey"];

/// What contracts say of the numbers of customers and orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// They are values like any other.
    Plain,
    /// Each organisation gives its own.
    OfOrganisation,
    /// The same, and no two organisations give the same one.
    WithinOrganisation,
}

/// All tables, whole.
pub(crate) fn tables(scale: f64) -> Vec<(&'static str, RecordBatch)> {
    vec![
        ("customer", whole(CustomerArrow::new(CustomerGenerator::new(scale, 1, 1)))),
        ("orders", whole(OrderArrow::new(OrderGenerator::new(scale, 1, 1)))),
        ("lineitem", whole(LineItemArrow::new(LineItemGenerator::new(scale, 1, 1)))),
        ("part", whole(PartArrow::new(PartGenerator::new(scale, 1, 1)))),
        ("supplier", whole(SupplierArrow::new(SupplierGenerator::new(scale, 1, 1)))),
        ("partsupp", whole(PartSuppArrow::new(PartSuppGenerator::new(scale, 1, 1)))),
        ("nation", whole(NationArrow::new(NationGenerator::new(scale, 1, 1)))),
        ("region", whole(RegionArrow::new(RegionGenerator::new(scale, 1, 1)))),
    ]
}

pub(crate) fn is_reference(table: &str) -> bool {
    REFERENCE.contains(&table)
}

/// One batch of a table, texts in the type of contracts, every column nullable.
pub(crate) fn whole(batches: impl Iterator<Item = RecordBatch>) -> RecordBatch {
    let batches: Vec<RecordBatch> = batches.collect();
    let all = concat_batches(&batches[0].schema(), &batches).unwrap();
    let plain = |data_type: &DataType| match data_type {
        DataType::Utf8View => DataType::Utf8,
        other => other.clone(),
    };
    let schema = all.schema();
    let fields = schema.fields().iter();
    let fields: Vec<Field> =
        fields.map(|f| Field::new(f.name(), plain(f.data_type()), true)).collect();
    let columns = all.columns().iter().map(|c| cast(c, &plain(c.data_type())).unwrap()).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// The contract of a table with these rows. A number that is never NULL is said to be so.
pub(crate) fn contract(name: &str, rows: &RecordBatch, numbers: Numbers) -> String {
    let reference = is_reference(name);
    let mut text =
        format!("name = \"{name}\"\nversion = 1\nprotection = \"open\"\nreference = {reference}\n");
    for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
        let type_name = match field.data_type() {
            DataType::Int32 => "int32".to_owned(),
            DataType::Int64 => "int64".to_owned(),
            DataType::Utf8 => "utf8".to_owned(),
            DataType::Date32 => "date32".to_owned(),
            DataType::Decimal128(precision, scale) => format!("decimal128({precision},{scale})"),
            other => panic!("{other} has no contract type"),
        };
        let name = field.name();
        text.push_str(&format!("[[columns]]\nname = \"{name}\"\ntype = \"{type_name}\"\n"));
        let numbered = IDENTIFIERS.contains(&name.as_str()) && numbers != Numbers::Plain;
        if !numbered {
            text.push_str("roles = [\"open\"]\n");
            continue;
        }
        text.push_str("roles = [\"open\", \"identifier\"]\nscope = \"organisation\"\n");
        if numbers == Numbers::WithinOrganisation {
            let nullable = column.null_count() > 0;
            text.push_str(&format!("within_organisation = true\nnullable = {nullable}\n"));
        }
    }
    text
}

fn longs<'a>(rows: &'a RecordBatch, name: &str) -> &'a [i64] {
    rows.column_by_name(name).unwrap().as_primitive::<Int64Type>().values()
}

fn home(customer: &i64) -> usize {
    *customer as usize % NODES
}

/// At which node the rows of customers are.
pub(crate) struct Homes {
    orders: HashMap<i64, usize>,
}

impl Homes {
    pub(crate) fn new(tables: &[(&'static str, RecordBatch)]) -> Self {
        let (_, orders) = tables.iter().find(|(name, _)| *name == "orders").unwrap();
        let homes = longs(orders, "o_custkey").iter().map(home);
        Self { orders: longs(orders, "o_orderkey").iter().copied().zip(homes).collect() }
    }

    /// The rows of a table at each node; `rows` may have NULLs where `whole` has none.
    pub(crate) fn split(
        &self,
        name: &str,
        whole: &RecordBatch,
        rows: &RecordBatch,
    ) -> Vec<RecordBatch> {
        let homes: Vec<usize> = match name {
            "customer" => longs(whole, "c_custkey").iter().map(home).collect(),
            "orders" => longs(whole, "o_custkey").iter().map(home).collect(),
            "lineitem" => longs(whole, "l_orderkey").iter().map(|key| self.orders[key]).collect(),
            _ => return vec![rows.clone(); NODES],
        };
        let own = |node: usize| {
            let here: BooleanArray = homes.iter().map(|home| Some(*home == node)).collect();
            assert!(here.true_count() > 0 && here.true_count() < here.len());
            filter_record_batch(rows, &here).unwrap()
        };
        (0..NODES).map(own).collect()
    }
}
