//! Answers in a form that can be compared. Main types: [`Value`], [`Status`].

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, UInt8Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use hedgerow_engine::{COMPANION, COMPANION_OF};

/// What becomes of floats when they are merged in another order.
const RELATIVE_ERROR_MAX: f64 = 1e-9;

/// One value. Floats are apart, as they are the only ones that may differ a little.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Float(f64),
    Exact(String),
}

/// What became of one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Whole,
    Partial,
    Withheld,
}

/// One row: the visible columns.
pub(crate) type Row = Vec<(Value, Status)>;

/// All rows, companions folded into the columns they accompany.
pub(crate) fn rows(batches: &[RecordBatch]) -> Vec<Row> {
    batches.iter().flat_map(rows_of).collect()
}

/// All rows without what became of them.
pub(crate) fn values(batches: &[RecordBatch]) -> Vec<Vec<Value>> {
    let plain = |row: Row| row.into_iter().map(|(value, _)| value).collect();
    rows(batches).into_iter().map(plain).collect()
}

fn rows_of(batch: &RecordBatch) -> Vec<Row> {
    let schema = batch.schema();
    let mut columns: Vec<Vec<(Value, Status)>> = vec![];
    for (index, field) in schema.fields().iter().enumerate() {
        if !field.metadata().contains_key(COMPANION_OF) {
            let statuses = companion_at(batch, columns.len(), "status");
            let values = values_of(batch.column(index)).into_iter().enumerate();
            let column = values.map(|(row, value)| {
                let code = statuses.map(|array| array.as_primitive::<UInt8Type>());
                let code = code.filter(|codes| codes.is_valid(row)).map(|codes| codes.value(row));
                let status = match code {
                    None | Some(0) => Status::Whole,
                    Some(1) => Status::Partial,
                    Some(_) => Status::Withheld,
                };
                (value, status)
            });
            columns.push(column.collect());
        }
    }
    (0..batch.num_rows())
        .map(|row| columns.iter().map(|column| column[row].clone()).collect())
        .collect()
}

/// The `lower`, `upper` or `status` column of a visible column.
pub(crate) fn companion<'a>(
    batch: &'a RecordBatch,
    name: &str,
    what: &str,
) -> Option<&'a dyn Array> {
    let schema = batch.schema();
    let visible = schema.fields().iter().filter(|f| !f.metadata().contains_key(COMPANION_OF));
    let position = visible.map(|field| field.name()).position(|known| known == name)?;
    companion_at(batch, position, what)
}

fn companion_at<'a>(batch: &'a RecordBatch, position: usize, what: &str) -> Option<&'a dyn Array> {
    let schema = batch.schema();
    let position = position.to_string();
    let index = schema.fields().iter().position(|field| {
        let metadata = field.metadata();
        metadata.get(COMPANION_OF).is_some_and(|of| *of == position)
            && metadata.get(COMPANION).is_some_and(|kind| kind == what)
    });
    index.map(|index| batch.column(index).as_ref())
}

pub(crate) fn values_of(array: &dyn Array) -> Vec<Value> {
    let floats = array.data_type().is_floating().then(|| cast(array, &DataType::Float64).unwrap());
    let options = FormatOptions::default();
    let texts = ArrayFormatter::try_new(array, &options).unwrap();
    let value = |row: usize| match &floats {
        _ if array.is_null(row) => Value::Null,
        Some(floats) => Value::Float(floats.as_primitive::<Float64Type>().value(row)),
        None => Value::Exact(texts.value(row).to_string()),
    };
    (0..array.len()).map(value).collect()
}

/// Tells whether two floats are the same but for the order of their sums.
pub(crate) fn close(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= RELATIVE_ERROR_MAX * a.abs().max(b.abs()) || a.is_nan() && b.is_nan()
}

/// Compares two answers row by row.
pub(crate) fn assert_same(question: &str, actual: &[Vec<Value>], expected: &[Vec<Value>]) {
    assert_eq!(actual.len(), expected.len(), "{question}: number of rows");
    for (number, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        let same = actual.len() == expected.len()
            && actual.iter().zip(expected).all(|pair| match pair {
                (Value::Float(a), Value::Float(b)) => close(*a, *b),
                (a, b) => a == b,
            });
        assert!(same, "{question}: row {number} is\n{actual:?}, expected\n{expected:?}");
    }
}
