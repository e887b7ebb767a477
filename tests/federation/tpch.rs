//! TPC-H, all 22 queries, over four nodes, split by customer, against one DataFusion over the whole
//! data.

use std::sync::LazyLock;

use arrow::array::RecordBatch;
use datafusion::prelude::SessionContext;

use crate::answers::{Value, assert_same, values};
use crate::tpch_data::{Homes, NODES, Numbers, contract, tables};
use crate::world::{Data, Organisation, Spec, World, in_time};

/// Small, yet every query has a row, and in it a value; at 0.01 query 17 has none.
const SCALE: f64 = 0.02;

/// Columns of which no two rows of a table have the same values.
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
static TABLES: LazyLock<Vec<(&'static str, RecordBatch)>> = LazyLock::new(|| tables(SCALE));

fn spec(tables: &[(&'static str, RecordBatch)]) -> Spec {
    let homes = Homes::new(tables);
    let mut spec = Spec::default();
    let mut organisations: Vec<Organisation> =
        (0..NODES).map(|node| Organisation::new(&format!("node_{node}"))).collect();
    for (name, rows) in tables {
        let (_, key) = KEYS.iter().find(|(table, _)| table == name).unwrap();
        let contract = contract(name, rows, Numbers::WithinOrganisation);
        spec = spec.contract(&format!("keys = [{key:?}]\n{contract}"));
        let own = homes.split(name, rows, rows).into_iter();
        let with_own = organisations.into_iter().zip(own);
        organisations = with_own.map(|(one, own)| one.table(name, Data::Rows(vec![own]))).collect();
    }
    organisations.into_iter().fold(spec, Spec::organisation)
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
