//! TPC-H, all 22 queries, over four nodes, split by customer, against one DataFusion over the whole
//! data.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use datafusion::prelude::SessionContext;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator,
    PartSuppGenerator, RegionGenerator, SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RegionArrow,
    SupplierArrow,
};

use crate::answers::{Value, assert_same, values};
use crate::world::{Data, Organisation, Spec, World, in_time};

/// Small, yet every query has a row, and in it a value; at 0.01 query 17 has none.
const SCALE: f64 = 0.02;
const NODES: i64 = 4;
const REFERENCE: [&str; 5] = ["part", "supplier", "partsupp", "nation", "region"];

/// Numbers that each organisation gives on its own: rows that have one in common are at one node.
const KEYS: [(&str, &[&str]); 8] = [
    ("customer", &["c_custkey"]),
    ("orders", &["o_orderkey"]),
    ("lineitem", &["l_orderkey", "l_linenumber"]),
    ("part", &["p_partkey"]),
    ("supplier", &["s_suppkey"]),
    ("partsupp", &["ps_partkey", "ps_suppkey"]),
    ("nation", &["n_nationkey"]),
    ("region", &["r_regionkey"]),
];
const IDENTIFIERS: [&str; 4] = ["c_custkey", "o_custkey", "o_orderkey", "l_orderkey"];

/// A query, and how many rows it has at [`SCALE`].
struct Query {
    name: &'static str,
    sql: &'static str,
    rows: usize,
}

macro_rules! queries {
    ($($name:literal: $rows:literal,)*) => {
        [$(Query {
            name: $name,
            sql: include_str!(concat!("../tpch/", $name, ".sql")),
            rows: $rows,
        }),*]
    };
}

const QUERIES: [Query; 22] = queries! {
    "q01": 4,
    "q02": 6,
    "q03": 10,
    "q04": 5,
    "q05": 5,
    "q06": 1,
    "q07": 4,
    "q08": 2,
    "q09": 175,
    "q10": 20,
    "q11": 728,
    "q12": 2,
    "q13": 37,
    "q14": 1,
    "q15": 1,
    "q16": 582,
    "q17": 1,
    "q18": 2,
    "q19": 1,
    "q20": 1,
    "q21": 5,
    "q22": 7,
};

/// Made once for all tests of this file.
static TABLES: LazyLock<Vec<(&'static str, RecordBatch)>> = LazyLock::new(tables);

/// All tables, whole.
fn tables() -> Vec<(&'static str, RecordBatch)> {
    vec![
        ("customer", whole(CustomerArrow::new(CustomerGenerator::new(SCALE, 1, 1)))),
        ("orders", whole(OrderArrow::new(OrderGenerator::new(SCALE, 1, 1)))),
        ("lineitem", whole(LineItemArrow::new(LineItemGenerator::new(SCALE, 1, 1)))),
        ("part", whole(PartArrow::new(PartGenerator::new(SCALE, 1, 1)))),
        ("supplier", whole(SupplierArrow::new(SupplierGenerator::new(SCALE, 1, 1)))),
        ("partsupp", whole(PartSuppArrow::new(PartSuppGenerator::new(SCALE, 1, 1)))),
        ("nation", whole(NationArrow::new(NationGenerator::new(SCALE, 1, 1)))),
        ("region", whole(RegionArrow::new(RegionGenerator::new(SCALE, 1, 1)))),
    ]
}

/// One batch of a table, texts in the type of contracts.
fn whole(batches: impl Iterator<Item = RecordBatch>) -> RecordBatch {
    let batches: Vec<RecordBatch> = batches.collect();
    let all = concat_batches(&batches[0].schema(), &batches).unwrap();
    let plain = |data_type: &DataType| match data_type {
        DataType::Utf8View => DataType::Utf8,
        other => other.clone(),
    };
    let schema = all.schema();
    let fields = schema.fields().iter();
    let fields: Vec<Field> =
        fields.map(|f| Field::new(f.name(), plain(f.data_type()), f.is_nullable())).collect();
    let columns = all.columns().iter().map(|c| cast(c, &plain(c.data_type())).unwrap()).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn contract(name: &str, batch: &RecordBatch) -> String {
    let reference = REFERENCE.contains(&name);
    let (_, key) = KEYS.iter().find(|(table, _)| *table == name).unwrap();
    let mut text = format!(
        "name = \"{name}\"\nversion = 1\nprotection = \"open\"\nreference = {reference}\n\
         keys = [{key:?}]\n"
    );
    for field in batch.schema().fields() {
        let type_name = match field.data_type() {
            DataType::Int32 => "int32".to_owned(),
            DataType::Int64 => "int64".to_owned(),
            DataType::Utf8 => "utf8".to_owned(),
            DataType::Date32 => "date32".to_owned(),
            DataType::Decimal128(precision, scale) => format!("decimal128({precision},{scale})"),
            other => panic!("{other} has no contract type"),
        };
        let name = field.name();
        let roles = match IDENTIFIERS.contains(&name.as_str()) {
            true => {
                "roles = [\"identifier\"]\nscope = \"organisation\"\n\
                     within_organisation = true\nnullable = false\n"
            }
            false => "roles = [\"open\"]\n",
        };
        text.push_str(&format!("[[columns]]\nname = \"{name}\"\ntype = \"{type_name}\"\n{roles}"));
    }
    text
}

fn longs<'a>(batch: &'a RecordBatch, name: &str) -> &'a [i64] {
    batch.column_by_name(name).unwrap().as_primitive::<Int64Type>().values()
}

/// The node of every row: that of its customer.
fn homes(name: &str, batch: &RecordBatch, orders: &HashMap<i64, i64>) -> Option<Vec<i64>> {
    match name {
        "customer" => Some(longs(batch, "c_custkey").iter().map(|key| key % NODES).collect()),
        "orders" => Some(longs(batch, "o_custkey").iter().map(|key| key % NODES).collect()),
        "lineitem" => Some(longs(batch, "l_orderkey").iter().map(|key| orders[key]).collect()),
        _ => None,
    }
}

fn spec(tables: &[(&'static str, RecordBatch)]) -> Spec {
    let (_, orders) = tables.iter().find(|(name, _)| *name == "orders").unwrap();
    let keys = longs(orders, "o_orderkey").iter().copied();
    let orders: HashMap<i64, i64> =
        keys.zip(longs(orders, "o_custkey").iter().map(|key| key % NODES)).collect();
    let mut spec = Spec::default();
    for (name, batch) in tables {
        spec = spec.contract(&contract(name, batch));
    }
    for node in 0..NODES {
        let mut organisation = Organisation::new(&format!("node_{node}"));
        for (name, batch) in tables {
            let own = match homes(name, batch, &orders) {
                None => batch.clone(),
                Some(homes) => {
                    let here: BooleanArray = homes.iter().map(|home| Some(*home == node)).collect();
                    assert!(here.true_count() > 0 && here.true_count() < here.len());
                    filter_record_batch(batch, &here).unwrap()
                }
            };
            organisation = organisation.table(name, Data::Rows(vec![own]));
        }
        spec = spec.organisation(organisation);
    }
    spec
}

/// Asks a federation and one DataFusion; what is refused is said at the end, all of it.
async fn assert_as_one_datafusion(queries: &[Query]) {
    assert_as_one_datafusion_over(spec(&TABLES), queries.iter()).await;
}

async fn assert_as_one_datafusion_over(spec: Spec, queries: impl Iterator<Item = &Query>) {
    in_time(async {
        let world = World::start(spec).await;
        let context = SessionContext::new();
        for (name, batch) in TABLES.iter() {
            context.register_batch(*name, batch.clone()).unwrap();
        }
        let mut client = world.client().await;
        let mut refused = vec![];
        for Query { name, sql, rows } in queries {
            let expected = context.sql(sql).await.unwrap().collect().await.unwrap();
            let expected = values(&expected);
            assert_eq!(expected.len(), *rows, "{name}");
            let known = expected.iter().flatten().any(|value| *value != Value::Null);
            assert!(known, "{name} has no value");
            match client.try_ask(sql).await {
                Ok(answer) => assert_same(name, &values(&answer.batches), &expected),
                Err(error) => refused.push(format!("{name}: {} {}", error.sqlstate, error.message)),
            }
        }
        assert!(refused.is_empty(), "{} refused:\n{}", refused.len(), refused.join("\n"));
        world.shutdown().await;
    })
    .await;
}

#[test]
fn all_queries_have_rows() {
    assert_eq!(QUERIES.iter().filter(|query| query.rows > 0).count(), 22);
}

/// Sums and means, joins, a scalar subquery, groups whole at a node, NOT EXISTS, outer join, top ten.
const BELOW_BOARDS: [&str; 9] = ["q01", "q03", "q04", "q06", "q10", "q11", "q13", "q17", "q22"];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn below_boards_queries_are_those_of_one_datafusion() {
    let boards = spec(&TABLES).board("left", &["node_0", "node_1"]).board("right", &["node_2"]);
    let queries = QUERIES.iter().filter(|query| BELOW_BOARDS.contains(&query.name));
    assert_as_one_datafusion_over(boards, queries).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn queries_1_to_6_are_those_of_one_datafusion() {
    assert_as_one_datafusion(&QUERIES[..6]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn queries_7_to_11_are_those_of_one_datafusion() {
    assert_as_one_datafusion(&QUERIES[6..11]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn queries_12_to_17_are_those_of_one_datafusion() {
    assert_as_one_datafusion(&QUERIES[11..17]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn queries_18_to_22_are_those_of_one_datafusion() {
    assert_as_one_datafusion(&QUERIES[17..]).await;
}
