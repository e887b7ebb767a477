//! Open tables: a federation answers as one DataFusion over the union.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use datafusion::prelude::SessionContext;
use hedgerow_engine::WireError;

use super::data::{Random, dice, seed, worlds};
use super::statements::Statement;
use crate::answers::{Value, close, values};
use crate::world::{World, in_time};

const WORLDS: u64 = 3;
const STATEMENTS: u64 = 12;

/// Compares two answers, row by row where they are ordered and else by their keys.
pub(super) fn assert_equal(
    what: &str,
    statement: &Statement,
    mut actual: Vec<Vec<Value>>,
    mut expected: Vec<Vec<Value>>,
) {
    if statement.order.is_none() {
        let keys = statement.keys.len();
        let by_key = |row: &Vec<Value>| format!("{:?}", &row[..keys]);
        actual.sort_by_key(by_key);
        expected.sort_by_key(by_key);
    }
    assert_eq!(actual.len(), expected.len(), "{what}: number of rows\n{actual:?}\n{expected:?}");
    for (actual, expected) in actual.iter().zip(&expected) {
        for (index, pair) in actual.iter().zip(expected).enumerate() {
            let slack =
                index.checked_sub(statement.keys.len()).map(|i| statement.measures[i].slack);
            assert!(
                same(pair, slack.unwrap_or(0.0)),
                "{what}: column {index}\n{actual:?}\nis expected to be\n{expected:?}"
            );
        }
    }
}

/// How many statements are answered, and how many refused or not split.
#[derive(Default)]
pub(super) struct Share {
    pub(super) answered: usize,
    pub(super) refused: usize,
    pub(super) rows: usize,
}

impl Share {
    /// Counts one answer; any error but a refusal is a failure.
    pub(super) fn count<T>(&mut self, what: &str, answer: Result<T, WireError>) -> Option<T> {
        match answer {
            Ok(answer) => {
                self.answered += 1;
                Some(answer)
            }
            Err(error) if ["42501", "0A000"].contains(&error.sqlstate.as_str()) => {
                self.refused += 1;
                None
            }
            Err(error) => panic!("{what}\n{error:?}"),
        }
    }

    /// A generator that is mostly refused would test little.
    pub(super) fn assert_enough(&self) {
        let Self { answered, refused, rows } = self;
        assert!(
            answered * 10 >= (answered + refused) * 6,
            "{answered} answered, {refused} refused"
        );
        assert!(rows >= answered, "{answered} answers have {rows} rows");
    }
}

/// Equal, or floats that differ by the order of their sums only.
pub(super) fn same(pair: (&Value, &Value), slack: f64) -> bool {
    match pair {
        (Value::Float(a), Value::Float(b)) => close(*a, *b) || (a - b).abs() <= slack,
        (a, b) => a == b,
    }
}

pub(super) async fn over(context: &SessionContext, sql: &str) -> Vec<RecordBatch> {
    let frame = context.sql(sql).await.unwrap_or_else(|error| panic!("{sql}\n{error}"));
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let batches = frame.collect().await.unwrap_or_else(|error| panic!("{sql}\n{error}"));
    if batches.is_empty() { vec![RecordBatch::new_empty(schema)] } else { batches }
}

fn assert_types(what: &str, actual: &RecordBatch, expected: &RecordBatch) {
    let plain = |data_type: &DataType| match data_type {
        DataType::Utf8View => DataType::Utf8,
        other => other.clone(),
    };
    for (a, b) in actual.schema().fields().iter().zip(expected.schema().fields()) {
        assert_eq!(*a.data_type(), plain(b.data_type()), "{what}: type of {}", a.name());
    }
}

async fn compare(world_number: u64, share: &mut Share) {
    let mut dice = dice(1, world_number);
    let random = Random::draw(&mut dice, false);
    let context = random.union();
    let world = World::start(random.spec()).await;
    let mut client = world.client().await;
    for _ in 0..STATEMENTS {
        let statement = Statement::draw(&mut dice, &random);
        let sql = statement.sql();
        let what = format!("seed {}, open world {world_number}: {sql}", seed());
        let Some(answer) = share.count(&what, client.try_ask(&sql).await) else { continue };
        let expected = over(&context, &statement.sql_union()).await;
        assert_types(&what, &answer.batches[0], &expected[0]);
        let actual = values(&answer.batches);
        share.rows += actual.len();
        assert_equal(&what, &statement, actual, values(&expected));
    }
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn open_a_federation_answers_as_the_union() {
    let mut share = Share::default();
    for world in 0..worlds(WORLDS) {
        in_time(compare(world, &mut share)).await;
    }
    share.assert_enough();
}
