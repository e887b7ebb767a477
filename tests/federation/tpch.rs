//! TPC-H over four nodes, split by customer, against one DataFusion over the whole data.

use std::collections::HashMap;
use std::sync::Arc;

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

use crate::answers::{assert_same, values};
use crate::world::{Data, Organisation, Spec, World, in_time};

const SCALE: f64 = 0.01;
const NODES: i64 = 4;
const REFERENCE: [&str; 5] = ["part", "supplier", "partsupp", "nation", "region"];

const Q1: &str = include_str!("../tpch/q01.sql");

const Q6: &str = include_str!("../tpch/q06.sql");

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
    let mut text =
        format!("name = \"{name}\"\nversion = 1\nprotection = \"open\"\nreference = {reference}\n");
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
        text.push_str(&format!(
            "[[columns]]\nname = \"{name}\"\ntype = \"{type_name}\"\nroles = [\"open\"]\n"
        ));
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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn queries_1_and_6_are_those_of_one_datafusion() {
    in_time(async {
        let tables = tables();
        let world = World::start(spec(&tables)).await;
        let context = SessionContext::new();
        for (name, batch) in tables {
            context.register_batch(name, batch).unwrap();
        }
        let mut client = world.client().await;
        for (name, sql, rows) in [("Q1", Q1, 4), ("Q6", Q6, 1)] {
            let expected = context.sql(sql).await.unwrap().collect().await.unwrap();
            let expected = values(&expected);
            assert_eq!(expected.len(), rows, "{name}");
            assert_same(name, &values(&client.ask(sql).await.batches), &expected);
        }
        world.shutdown().await;
    })
    .await;
}
