//! Seeded random rows for the emitter's tests: every type a contract can have, NULLs and extremes.
//!
//! Values come from small sets, so that equalities hold and joins meet.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int16Array, Int32Array,
    Int64Array, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::{
    CatalogProvider, MemTable, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider,
};
use datafusion::execution::SessionState;
use hedgerow_catalog::Limits;
use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::dialect::{session_config, state_builder};

const DAY_MICROSECONDS: i64 = 86_400_000_000;

const TEXTS: [&str; 20] = [
    "",
    " pad ",
    "a",
    "ab",
    "alpha",
    "ALPHA",
    "beta",
    "a%b",
    "a_b",
    "it's",
    "back\\slash",
    "two\nlines",
    "-- no",
    "/* no */",
    "\"quoted\"",
    "ünï😀",
    "10",
    "-5",
    "2024-02-29",
    "true",
];
const FLOATS: [f64; 14] =
    [0.0, -0.0, 0.1, 0.5, 1.0, 1.5, -2.25, 3.0, 10.0, 1e15, 1e308, -1e308, 5e-324, f64::NAN];

/// A session with the test tables, filled from `random`.
pub(super) fn session(random: &mut ChaCha8Rng) -> SessionState {
    let config = session_config(1).with_default_catalog_and_schema("node", "tables");
    let state = state_builder(config, &Limits::default()).build();
    let schema = MemorySchemaProvider::new();
    let tables = [
        ("things", things(random)),
        ("visits", visits(random)),
        ("places", places(random)),
        ("Odd \"Names\"", odd(random)),
        ("nobody", places(random).slice(0, 0)),
    ];
    for (name, rows) in tables {
        let table = MemTable::try_new(rows.schema(), vec![vec![rows]]).unwrap();
        schema.register_table(name.to_owned(), Arc::new(table)).unwrap();
    }
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema("tables", Arc::new(schema)).unwrap();
    state.catalog_list().register_catalog("node".to_owned(), Arc::new(catalog));
    state
}

fn things(random: &mut ChaCha8Rng) -> RecordBatch {
    let n = 40;
    table(vec![
        ("id", Arc::new(Int64Array::from_iter_values(0..n as i64))),
        ("place", some(random, n, |r| r.random_range(0..6)).collect_as::<Int32Array>()),
        ("b", some(random, n, |r| r.random_bool(0.5)).collect_as::<BooleanArray>()),
        ("c", some(random, n, |r| r.random_bool(0.5)).collect_as::<BooleanArray>()),
        (
            "i16",
            some(random, n, |r| pick(r, &[i16::MIN, -7, -1, 0, 1, 2, 3, 9, i16::MAX]))
                .collect_as::<Int16Array>(),
        ),
        (
            "i32",
            some(random, n, |r| pick(r, &[i32::MIN, -40, -1, 0, 1, 2, 3, 70, i32::MAX]))
                .collect_as::<Int32Array>(),
        ),
        (
            "i64",
            some(random, n, |r| pick(r, &[i64::MIN, -5, -1, 0, 1, 2, 3, 8, i64::MAX]))
                .collect_as::<Int64Array>(),
        ),
        ("n", some(random, n, |r| r.random_range(-9..10)).collect_as::<Int64Array>()),
        ("f", some(random, n, |r| pick(r, &FLOATS)).collect_as::<Float64Array>()),
        (
            "g",
            some(random, n, |r| f64::from(r.random_range(-40..40)) / 8.0)
                .collect_as::<Float64Array>(),
        ),
        ("d", decimals(random, n, 12, 2)),
        ("e", decimals(random, n, 20, 6)),
        ("s", some(random, n, |r| pick(r, &TEXTS)).collect_as::<StringArray>()),
        ("t", some(random, n, |r| pick(r, &TEXTS)).collect_as::<StringArray>()),
        ("day", some(random, n, day).collect_as::<Date32Array>()),
        ("at", some(random, n, instant).collect_as::<TimestampMicrosecondArray>()),
        (
            "utc",
            Arc::new(
                some(random, n, instant)
                    .collect::<TimestampMicrosecondArray>()
                    .with_timezone("UTC"),
            ),
        ),
        ("organisation", Arc::new(StringArray::from_iter_values(["north"; 40]))),
    ])
}

fn visits(random: &mut ChaCha8Rng) -> RecordBatch {
    let n = 30;
    table(vec![
        ("id", Arc::new(Int64Array::from_iter_values(0..n as i64))),
        ("thing", some(random, n, |r| r.random_range(0..45)).collect_as::<Int64Array>()),
        ("kind", some(random, n, |r| pick(r, &TEXTS)).collect_as::<StringArray>()),
        ("cost", decimals(random, n, 9, 2)),
        ("minutes", some(random, n, |r| r.random_range(-5..90)).collect_as::<Int32Array>()),
        (
            "score",
            some(random, n, |r| f64::from(r.random_range(-8..8)) / 4.0)
                .collect_as::<Float64Array>(),
        ),
        ("day", some(random, n, day).collect_as::<Date32Array>()),
        ("at", some(random, n, instant).collect_as::<TimestampMicrosecondArray>()),
        ("organisation", Arc::new(StringArray::from_iter_values(["north"; 30]))),
    ])
}

fn places(random: &mut ChaCha8Rng) -> RecordBatch {
    let n = 6;
    table(vec![
        ("code", Arc::new(Int32Array::from_iter_values(0..n as i32))),
        ("label", some(random, n, |r| pick(r, &TEXTS)).collect_as::<StringArray>()),
        ("beds", some(random, n, |r| pick(r, &[i16::MIN, 0, 5, 12])).collect_as::<Int16Array>()),
        ("open", some(random, n, |r| r.random_bool(0.7)).collect_as::<BooleanArray>()),
    ])
}

/// Names that need quotes, among them those the emitter gives to outputs and relations.
fn odd(random: &mut ChaCha8Rng) -> RecordBatch {
    let n = 16;
    let integers = |random: &mut ChaCha8Rng| {
        some(random, n, |r| r.random_range(-3..4)).collect_as::<Int64Array>()
    };
    table(vec![
        ("select", integers(random)),
        ("Mixed Case", some(random, n, |r| pick(r, &TEXTS)).collect_as::<StringArray>()),
        ("a\"b", some(random, n, |r| pick(r, &FLOATS)).collect_as::<Float64Array>()),
        ("with.dot", integers(random)),
        ("it's", integers(random)),
        ("ünï", integers(random)),
        ("-- no", integers(random)),
        ("count(*)", integers(random)),
        ("r0", integers(random)),
        ("c0", integers(random)),
        ("k0", integers(random)),
        ("m0", integers(random)),
        ("true", some(random, n, |r| r.random_bool(0.5)).collect_as::<BooleanArray>()),
    ])
}

fn table(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
        .unwrap()
}

/// `n` values of `one`, about one in seven of them NULL.
fn some<T>(
    random: &mut ChaCha8Rng,
    n: usize,
    one: impl Fn(&mut ChaCha8Rng) -> T,
) -> std::vec::IntoIter<Option<T>> {
    let values: Vec<Option<T>> =
        (0..n).map(|_| (!random.random_bool(0.15)).then(|| one(random))).collect();
    values.into_iter()
}

trait CollectAs: Iterator + Sized {
    fn collect_as<A>(self) -> ArrayRef
    where
        A: FromIterator<Self::Item> + datafusion::arrow::array::Array + 'static,
    {
        Arc::new(self.collect::<A>())
    }
}

impl<I: Iterator> CollectAs for I {}

fn pick<T: Copy>(random: &mut ChaCha8Rng, of: &[T]) -> T {
    *of.choose(random).unwrap()
}

fn decimals(random: &mut ChaCha8Rng, n: usize, precision: u8, scale: i8) -> ArrayRef {
    let most = 10_i128.pow(u32::from(precision)) - 1;
    let values = some(random, n, |r| pick(r, &[-most, -150, -1, 0, 1, 99, 100, 150, 12_345, most]));
    let values = values.collect::<Decimal128Array>();
    Arc::new(values.with_precision_and_scale(precision, scale).unwrap())
}

/// Between 1700 and 2250, where nanoseconds reach.
fn day(random: &mut ChaCha8Rng) -> i32 {
    pick(random, &[-98_000, -1, 0, 59, 19_782, 19_783, 19_790, 20_000, 102_000])
}

fn instant(random: &mut ChaCha8Rng) -> i64 {
    let start = i64::from(day(random)) * DAY_MICROSECONDS;
    start + pick(random, &[0, 1, 3_600_000_000, DAY_MICROSECONDS - 1])
}
