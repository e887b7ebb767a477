//! [`Answer`]: what a plan gave, so that two plans can be compared.

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::ScalarValue;

use crate::block::wire_type;

/// How far two computed numbers may be apart, relative to their size.
const TOLERANCE: f64 = 1e-12;

/// Types and rows in an order of their own; or that it failed, whatever with.
pub(super) enum Answer {
    Rows { types: Vec<DataType>, rows: Vec<Vec<ScalarValue>> },
    Failed(String),
}

impl Answer {
    pub(super) fn new(result: datafusion::error::Result<(SchemaRef, Vec<RecordBatch>)>) -> Self {
        let (schema, batches) = match result {
            Ok(answer) => answer,
            Err(error) => return Self::Failed(error.strip_backtrace()),
        };
        let mut rows: Vec<Vec<ScalarValue>> = batches.iter().flat_map(rows_of).collect();
        rows.sort_by_cached_key(|row| sort_key(row));
        let types = schema.fields().iter().map(|field| wire_type(field.data_type())).collect();
        Self::Rows { types, rows }
    }

    pub(super) fn failed(&self) -> Option<&str> {
        match self {
            Self::Rows { .. } => None,
            Self::Failed(error) => Some(error),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Rows { rows, .. } if rows.is_empty())
    }

    /// How this answer departs from `expected`, as multisets of rows.
    pub(super) fn difference(&self, expected: &Self) -> Option<String> {
        if let Some(difference) = self.as_many(expected) {
            return Some(difference);
        }
        let (Self::Rows { rows, .. }, Self::Rows { rows: others, .. }) = (self, expected) else {
            return None;
        };
        let (found, wanted) = rows.iter().zip(others).find(|(a, b)| !equal_rows(a, b))?;
        Some(format!("a row is {found:?}, not {wanted:?}"))
    }

    /// Compares everything but the values.
    pub(super) fn as_many(&self, expected: &Self) -> Option<String> {
        match (self, expected) {
            (Self::Failed(_), Self::Failed(_)) => None,
            (Self::Failed(error), Self::Rows { .. }) => Some(format!("it failed: {error}")),
            (Self::Rows { .. }, Self::Failed(error)) => Some(format!("it did not fail: {error}")),
            (Self::Rows { types, rows }, Self::Rows { types: wanted, rows: others }) => {
                if types != wanted {
                    return Some(format!("its types are {types:?}, not {wanted:?}"));
                }
                let (n, m) = (rows.len(), others.len());
                (n != m).then(|| format!("it has {n} rows, not {m}"))
            }
        }
    }

    /// Tells which row is not one of `whole`.
    pub(super) fn some_of(&self, whole: &Self) -> Option<String> {
        let (Self::Rows { rows, .. }, Self::Rows { rows: all, .. }) = (self, whole) else {
            return None;
        };
        let alien = rows.iter().find(|row| !all.iter().any(|other| equal_rows(row, other)))?;
        Some(format!("a row is {alien:?}, which is none of the rows without LIMIT"))
    }
}

fn rows_of(batch: &RecordBatch) -> Vec<Vec<ScalarValue>> {
    let cell = |column: &ArrayRef, row| plain(ScalarValue::try_from_array(column, row).unwrap());
    let row = |row| batch.columns().iter().map(|column| cell(column, row)).collect();
    (0..batch.num_rows()).map(row).collect()
}

/// A value in its wire type, as a node releases it.
fn plain(value: ScalarValue) -> ScalarValue {
    let wire = wire_type(&value.data_type());
    if wire == value.data_type() { value } else { value.cast_to(&wire).unwrap() }
}

/// Computed numbers last and rounded, so that what differs by a hair stands in the same place.
fn sort_key(row: &[ScalarValue]) -> (Vec<String>, Vec<String>) {
    let (floats, others): (Vec<_>, Vec<_>) =
        row.iter().partition(|value| matches!(value, ScalarValue::Float64(_)));
    let rounded = |value: &ScalarValue| match value {
        ScalarValue::Float64(Some(number)) => format!("{number:.6e}"),
        other => other.to_string(),
    };
    (
        others.into_iter().map(|v| format!("{v:?}")).collect(),
        floats.into_iter().map(rounded).collect(),
    )
}

fn equal_rows(row: &[ScalarValue], other: &[ScalarValue]) -> bool {
    row.len() == other.len() && row.iter().zip(other).all(|(a, b)| equal(a, b))
}

fn equal(value: &ScalarValue, other: &ScalarValue) -> bool {
    match (value, other) {
        (ScalarValue::Float64(Some(a)), ScalarValue::Float64(Some(b))) => {
            a.to_bits() == b.to_bits()
                || (a.is_nan() && b.is_nan())
                || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())
        }
        _ => value == other,
    }
}
