//! Two answers to one statement, in order or as multisets.

use std::collections::BTreeMap;

use crate::answers::{Value, close};

/// Rows that are shown of a wrong answer.
const SHOWN: usize = 10;
/// What rounding may leave where the true value is zero, as of a deviation of equal numbers.
const NEAR_ZERO: f64 = 1e-9;

type Row = Vec<Value>;

/// What is different, if anything is.
pub(super) fn difference(actual: &[Row], expected: &[Row], ordered: bool) -> Option<String> {
    let why = if actual.len() != expected.len() {
        format!("{} rows, and {} over the union", actual.len(), expected.len())
    } else if ordered {
        let row = actual.iter().zip(expected).position(|(a, b)| !same(a, b))?;
        format!("row {row} is\n  {:?}\nand over the union\n  {:?}", actual[row], expected[row])
    } else {
        unmatched(actual, expected)?
    };
    Some(format!("{why}\nfederation:\n{}union:\n{}", shown(actual), shown(expected)))
}

/// Rows of equal texts, then each with one whose floats are close.
fn unmatched(actual: &[Row], expected: &[Row]) -> Option<String> {
    let mut by_texts: BTreeMap<String, [Vec<&Row>; 2]> = BTreeMap::new();
    for (side, rows) in [actual, expected].into_iter().enumerate() {
        for row in rows {
            by_texts.entry(texts(row)).or_default()[side].push(row);
        }
    }
    for (_, [mut actual, mut expected]) in by_texts {
        actual.sort_by(|a, b| floats(a).total_cmp(&floats(b)));
        expected.sort_by(|a, b| floats(a).total_cmp(&floats(b)));
        for row in actual {
            match expected.iter().position(|other| same(row, other)) {
                Some(found) => drop(expected.remove(found)),
                None => return Some(format!("only the federation has\n  {row:?}")),
            }
        }
        if let Some(row) = expected.first() {
            return Some(format!("only the union has\n  {row:?}"));
        }
    }
    None
}

fn texts(row: &Row) -> String {
    let text = |value: &Value| match value {
        Value::Null => "NULL".to_owned(),
        Value::Float(_) => "float".to_owned(),
        Value::Exact(text) => format!("{text:?}"),
    };
    row.iter().map(text).collect::<Vec<_>>().join(",")
}

fn floats(row: &Row) -> f64 {
    let floats = row.iter().filter_map(|value| match value {
        Value::Float(number) => Some(*number),
        _ => None,
    });
    floats.sum()
}

fn same(a: &Row, b: &Row) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|pair| match pair {
            (Value::Float(a), Value::Float(b)) => close(*a, *b) || (a - b).abs() <= NEAR_ZERO,
            (a, b) => a == b,
        })
}

fn shown(rows: &[Row]) -> String {
    let line = |row: &Row| format!("  {}\n", row.iter().map(cell).collect::<Vec<_>>().join(" | "));
    rows.iter().take(SHOWN).map(line).collect()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Float(number) => number.to_string(),
        Value::Exact(text) => text.clone(),
    }
}
