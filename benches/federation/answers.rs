//! Answers in a form that crosses a pipe and can be compared. Main entry: [`assert_same`].

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use hedgerow_engine::COMPANION_OF;
use serde_json::Value;

use crate::Failure;

/// What becomes of floats when they are merged in another order.
const RELATIVE_ERROR_MAX: f64 = 1e-9;

/// One row: numbers for floats, texts for the rest.
pub(crate) type Row = Vec<Value>;

/// An answer with how long it took.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) rows: Vec<Row>,
    pub(crate) ms: f64,
}

/// The visible columns of all rows.
pub(crate) fn rows(batches: &[RecordBatch]) -> Result<Vec<Row>, Failure> {
    let mut rows = vec![];
    for batch in batches {
        let schema = batch.schema();
        let visible = schema.fields().iter().zip(batch.columns());
        let visible = visible.filter(|(field, _)| !field.metadata().contains_key(COMPANION_OF));
        let columns: Vec<Vec<Value>> =
            visible.map(|(_, column)| values(column)).collect::<Result<_, _>>()?;
        let mut columns: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
        for _ in 0..batch.num_rows() {
            rows.push(columns.iter_mut().filter_map(Iterator::next).collect());
        }
    }
    Ok(rows)
}

fn values(array: &dyn Array) -> Result<Vec<Value>, Failure> {
    let floats = match array.data_type().is_floating() {
        true => Some(cast(array, &DataType::Float64)?),
        false => None,
    };
    let options = FormatOptions::default();
    let texts = ArrayFormatter::try_new(array, &options)?;
    let value = |row: usize| match &floats {
        _ if array.is_null(row) => Value::Null,
        Some(floats) => Value::from(floats.as_primitive::<Float64Type>().value(row)),
        None => Value::from(texts.value(row).to_string()),
    };
    Ok((0..array.len()).map(value).collect())
}

/// Compares two answers row by row.
///
/// # Errors
/// When they differ, with the first row that does.
pub(crate) fn assert_same(actual: &[Row], expected: &[Row]) -> Result<(), Failure> {
    if actual.is_empty() || actual.len() != expected.len() {
        let (actual, expected) = (actual.len(), expected.len());
        return Err(format!("the answer has {actual} rows, expected {expected}").into());
    }
    for (actual, expected) in actual.iter().zip(expected) {
        let same = actual.len() == expected.len()
            && actual.iter().zip(expected).all(|(a, b)| match (a.as_f64(), b.as_f64()) {
                (Some(a), Some(b)) => (a - b).abs() <= RELATIVE_ERROR_MAX * a.abs().max(b.abs()),
                _ => a == b,
            });
        if !same {
            return Err(format!("the answer has the row {actual:?}, expected {expected:?}").into());
        }
    }
    Ok(())
}
