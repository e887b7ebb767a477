//! Answers and coverage for the tests of the renderers.
#![expect(clippy::unwrap_used, reason = "test")]

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, UInt8Array};
use arrow::datatypes::{DataType, Field, Schema};
use hedgerow_engine::{Coverage, NodeCoverage, NodeOutcome};

use super::Format;
use super::columns::{COMPANION, COMPANION_OF};
use super::render::{Summary, TableOptions, renderer};

/// Adds the three companions of `name` to a list of columns.
pub(crate) fn companions(
    columns: &mut Vec<(Field, ArrayRef)>,
    name: &str,
    lower: Vec<Option<i64>>,
    upper: Vec<Option<i64>>,
    status: Vec<Option<u8>>,
) {
    let arrays: [(&str, ArrayRef); 3] = [
        ("lower", Arc::new(Int64Array::from(lower))),
        ("upper", Arc::new(Int64Array::from(upper))),
        ("status", Arc::new(UInt8Array::from(status))),
    ];
    let owner = columns.iter().position(|(field, _)| field.name() == name).unwrap().to_string();
    for (kind, array) in arrays {
        let metadata = [(COMPANION_OF, owner.as_str()), (COMPANION, kind)];
        let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let field = Field::new(format!("__{name}_{kind}"), array.data_type().clone(), true);
        columns.push((field.with_metadata(metadata), array));
    }
}

/// A batch of the columns.
pub(crate) fn batch(columns: Vec<(Field, ArrayRef)>) -> RecordBatch {
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

/// Sex and number of people: whole, partial with a bound, withheld, NULL without a mark.
pub(crate) fn people() -> RecordBatch {
    let sex: ArrayRef =
        Arc::new(StringArray::from(vec![Some("female"), Some("male, \"or\" so"), Some(""), None]));
    let people: ArrayRef = Arc::new(Int64Array::from(vec![Some(51234), Some(1234), None, None]));
    let mut columns = vec![
        (Field::new("sex", DataType::Utf8, true), sex),
        (Field::new("people", DataType::Int64, true), people),
    ];
    companions(
        &mut columns,
        "people",
        vec![Some(51234), Some(1234), Some(0), None],
        vec![Some(51234), Some(1243), Some(9), None],
        vec![Some(0), Some(1), Some(2), None],
    );
    batch(columns)
}

/// One number, partial everywhere and with no upper bound.
pub(crate) fn all_partial() -> RecordBatch {
    let people: ArrayRef = Arc::new(Int64Array::from(vec![Some(51234), Some(7)]));
    let mut columns = vec![(Field::new("people", DataType::Int64, true), people)];
    companions(
        &mut columns,
        "people",
        vec![Some(51234), Some(7)],
        vec![None, None],
        vec![Some(1), Some(1)],
    );
    batch(columns)
}

/// Two organisations, both answered.
pub(crate) fn complete() -> Coverage {
    let node = |organisation| NodeCoverage {
        preset: Some("primary_only".to_owned()),
        k: Some(10),
        ..NodeCoverage::new(organisation, NodeOutcome::Answered)
    };
    let nodes = vec![node("northmoor"), node("westlea")];
    Coverage { statement_id: "s1".to_owned(), nodes, notices: vec![] }
}

/// Prints a batch as one whole answer, for tests.
pub(crate) fn render(
    format: Format,
    options: TableOptions,
    batch: &RecordBatch,
    summary: &Summary,
) -> (String, String) {
    let (mut out, mut notes) = (vec![], vec![]);
    let mut renderer = renderer(format, options, &batch.schema(), &mut out).unwrap();
    renderer.batch(batch, &mut out).unwrap();
    renderer.finish(summary, &mut out, &mut notes).unwrap();
    (String::from_utf8(out).unwrap(), String::from_utf8(notes).unwrap())
}
