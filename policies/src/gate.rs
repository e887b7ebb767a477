//! The gate: the one place where an executed bundle becomes something that may be sent.
//!
//! ```text
//! executed fragment:  k0 k1 | m0 m1 | people contributors… profile …   at the node, before the gate
//!    people < k          -> the group is dropped with its key (G1, G6)
//!    contributors < k    -> the cell and those linked to it are withheld (G2, G5)
//!    a proof is missing  -> the same (G3: the others are too few; G4: a few are nearly all)
//!    values              -> to multiples of the base, but for who rounds what it combines (G8)
//! released fragment:  k0 k1 | m0 m0_lower m0_upper m0_status | m1 …
//! ```
//! Released columns are copied value by value into fresh buffers, with zeros under NULL: a filtered
//! or masked Arrow array would still carry the withheld bytes. Main type: [`Released`].

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, MutableArrayData, RecordBatch, RecordBatchOptions,
    UInt8Array, make_array, new_null_array,
};
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, UInt8Type};
use arrow::error::ArrowError;

use crate::admit::Admission;
use crate::cell::CellStatus;
use crate::gate_columns::{CellBounds, CellRule, GatedColumns};
use crate::rounding::{
    CellRounding, bases_of, half, mean_of, moment_of, round_values, three_digits,
};

/// What the node computed for one fragment, before the gate.
pub enum Executed<S> {
    /// All groups of a protected fragment.
    Groups(SchemaRef, Vec<RecordBatch>),
    /// The answer of an open fragment, as a stream.
    Stream(S),
}

/// One fragment as it may leave.
pub enum ReleasedFragment<S> {
    /// Cells of a protected fragment.
    Cells(ReleasedTable),
    /// The answer of an open fragment.
    Open(S),
}

/// Released cells of one protected fragment.
#[derive(Debug, Clone)]
pub struct ReleasedTable {
    /// Keys, then value, lower, upper and status per measure.
    pub schema: SchemaRef,
    /// One row per released group, ordered by key.
    pub batch: RecordBatch,
    /// Number of key columns.
    pub keys: usize,
}

/// What a coordinator that answers a wider federation has of one fragment: nothing in it was ever
/// before a gate of its own.
pub enum Passed<S> {
    /// Cells that nodes released to it, merged: keys, then value, lower, upper and status per
    /// measure, as [`released_schema`] has them.
    Cells {
        /// Their schema.
        schema: SchemaRef,
        /// Their rows.
        batches: Vec<RecordBatch>,
        /// Number of key columns.
        keys: usize,
    },
    /// Rows of open tables, or of groups over them.
    Open(S),
}

/// Something the gate let through. It cannot be made anywhere else.
pub struct Released<T>(T);

impl<T> Released<T> {
    /// Looks at what was released.
    pub fn get(&self) -> &T {
        &self.0
    }

    /// Takes what was released, to send it.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// The gate could not judge what was computed; nothing leaves.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The executed block does not have the columns its admission announced.
    #[error("the executed fragment does not have the shape the gate expects")]
    Shape,
    /// A fragment was executed in a form its admission does not allow.
    #[error("a protected fragment was executed as a stream")]
    NotGathered,
    /// Arrow failed.
    #[error("the gate could not rebuild the released columns")]
    Arrow(#[from] ArrowError),
}

/// Whether the node rounds what it releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounds {
    /// By the node, as its policy says.
    Here,
    /// By the asker, on what it combines: one that the policy names.
    Asker,
}

/// Gates everything one bundle computed, once.
///
/// # Errors
/// [`GateError`]; then nothing is released.
pub fn gate<S>(
    fragments: Vec<(Admission, Executed<S>)>,
    rounds: Rounds,
) -> Result<Released<Vec<ReleasedFragment<S>>>, GateError> {
    let mut released = Vec::with_capacity(fragments.len());
    for (admission, executed) in fragments {
        released.push(match (admission, executed) {
            (Admission::Open, Executed::Stream(stream)) => ReleasedFragment::Open(stream),
            (Admission::Protected { columns, .. }, Executed::Groups(schema, batches)) => {
                ReleasedFragment::Cells(gate_groups(&columns, &schema, &batches, rounds)?)
            }
            (Admission::Open | Admission::Protected { .. }, _) => {
                return Err(GateError::NotGathered);
            }
        });
    }
    Ok(Released(released))
}

/// Passes on what was released before: cells merged from those that nodes released to a coordinator.
///
/// What is computed from released values alone discloses nothing more than they did, so there is
/// nothing to judge. The columns are rebuilt all the same, a withheld value is NULL over zeros, and a
/// status that is not known counts as withheld.
///
/// # Errors
/// [`GateError`] where the cells do not have the form of released cells; then nothing is passed.
pub fn pass<S>(fragments: Vec<Passed<S>>) -> Result<Released<Vec<ReleasedFragment<S>>>, GateError> {
    let mut released = Vec::with_capacity(fragments.len());
    for fragment in fragments {
        released.push(match fragment {
            Passed::Open(stream) => ReleasedFragment::Open(stream),
            Passed::Cells { schema, batches, keys } => {
                ReleasedFragment::Cells(pass_cells(&schema, &batches, keys)?)
            }
        });
    }
    Ok(Released(released))
}

fn pass_cells(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    keys: usize,
) -> Result<ReleasedTable, GateError> {
    let all = concat_batches(schema, batches)?;
    let rows = ordered_rows(&all, keys)?;
    let (own, cells) = all.columns().split_at_checked(keys).ok_or(GateError::Shape)?;
    let kept = own.iter().map(|key| rebuild(key, &rows, |_| true));
    let mut out: Vec<ArrayRef> = kept.collect::<Result<_, ArrowError>>()?;
    for cell in cells.chunks(4) {
        let [value, lower, upper, status] = cell else { return Err(GateError::Shape) };
        pass_cell([value, lower, upper], status, &rows, &mut out)?;
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let batch = RecordBatch::try_new_with_options(Arc::clone(schema), out, &options)?;
    Ok(ReleasedTable { schema: Arc::clone(schema), batch, keys })
}

fn pass_cell(
    [value, lower, upper]: [&ArrayRef; 3],
    status: &ArrayRef,
    rows: &[usize],
    out: &mut Vec<ArrayRef>,
) -> Result<(), GateError> {
    let codes = status.as_primitive_opt::<UInt8Type>().ok_or(GateError::Shape)?;
    let status_of = |row: usize| match codes.is_valid(row) {
        true => CellStatus::from_code(codes.value(row)),
        false => CellStatus::Withheld,
    };
    let shown = |row: usize| status_of(row) != CellStatus::Withheld;
    let said: UInt8Array = rows.iter().map(|row| Some(status_of(*row).code())).collect();
    out.push(rebuild(value, rows, shown)?);
    out.push(rebuild(lower, rows, |_| true)?);
    out.push(rebuild(upper, rows, |_| true)?);
    out.push(Arc::new(said));
    Ok(())
}

/// All rows, ordered by key so that order tells nothing.
fn ordered_rows(all: &RecordBatch, keys: usize) -> Result<Vec<usize>, GateError> {
    let keys: Vec<SortColumn> = all
        .columns()
        .iter()
        .take(keys)
        .map(|values| SortColumn { values: Arc::clone(values), options: None })
        .collect();
    if keys.is_empty() {
        return Ok((0..all.num_rows()).collect());
    }
    let order = lexsort_to_indices(&keys, None)?;
    Ok(order.values().iter().map(|row| *row as usize).collect())
}

/// The schema that [`gate`] gives to a protected fragment whose keys and measures are `fields`.
pub fn released_schema(fields: &[Arc<Field>], keys: usize) -> SchemaRef {
    let mut out: Vec<Field> = Vec::with_capacity(keys + 4 * fields.len().saturating_sub(keys));
    for (position, field) in fields.iter().enumerate() {
        let value = Field::new(field.name(), field.data_type().clone(), true);
        out.push(value);
        if position >= keys {
            let name = field.name();
            out.push(Field::new(format!("{name}_lower"), field.data_type().clone(), true));
            out.push(Field::new(format!("{name}_upper"), field.data_type().clone(), true));
            out.push(Field::new(format!("{name}_status"), DataType::UInt8, false));
        }
    }
    Arc::new(Schema::new(out))
}

fn gate_groups(
    columns: &GatedColumns,
    schema: &SchemaRef,
    batches: &[RecordBatch],
    rounds: Rounds,
) -> Result<ReleasedTable, GateError> {
    let all = concat_batches(schema, batches)?;
    let measures = columns.cells.len();
    let fields = schema.fields().get(..columns.keys + measures).ok_or(GateError::Shape)?;
    let rows = released_rows(columns, &all)?;
    let verdicts = Verdicts::new(columns, &all)?;
    let base = columns.round_to.filter(|_| rounds == Rounds::Here).map_or(1, i64::from);
    let mut out: Vec<ArrayRef> = Vec::new();
    for key in 0..columns.keys {
        out.push(rebuild(all.columns().get(key).ok_or(GateError::Shape)?, &rows, |_| true)?);
    }
    for (index, rule) in columns.cells.iter().enumerate() {
        let exact = all.columns().get(columns.keys + index).ok_or(GateError::Shape)?;
        let values = rounded(exact, rule.rounding, base, &all)?;
        let kept = |row: usize| verdicts.released(rule.linked, row);
        let value = rebuild(&values, &rows, kept)?;
        let status = rows
            .iter()
            .map(|&row| if kept(row) { CellStatus::Released } else { CellStatus::Withheld }.code());
        let status: UInt8Array = status.collect();
        let (lower, upper) = bounds(rule, columns.k, base, &value, &status)?;
        out.extend([value, lower, upper, Arc::new(status)]);
    }
    let schema = released_schema(fields, columns.keys);
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), out, &options)?;
    Ok(ReleasedTable { schema, batch, keys: columns.keys })
}

/// A column as it may be seen: G8.
fn rounded(
    values: &ArrayRef,
    how: CellRounding,
    base: i64,
    all: &RecordBatch,
) -> Result<ArrayRef, GateError> {
    if base < 2 {
        return Ok(Arc::clone(values));
    }
    let bases = Int64Array::from_value(base, all.num_rows());
    let column = |place: usize| all.columns().get(place).ok_or(GateError::Shape);
    Ok(match how {
        CellRounding::Same => Arc::clone(values),
        CellRounding::Whole(addends) => round_values(values, &bases_of(&bases, addends))?,
        CellRounding::Digits => three_digits(values)?,
        CellRounding::Mean { addends, sum, count } => {
            mean_of([column(sum)?, column(count)?], &bases, addends, values.data_type())?
        }
        CellRounding::Moment { factor, count } => {
            moment_of([values, column(count)?], &bases, factor)?
        }
    })
}

/// Rows of groups with k people or more, ordered by key so that order tells nothing.
fn released_rows(columns: &GatedColumns, all: &RecordBatch) -> Result<Vec<usize>, GateError> {
    let people = counts(all, columns.people)?;
    let enough = |row: usize| people.get(row).is_some_and(|n| *n >= i64::from(columns.k));
    Ok(ordered_rows(all, columns.keys)?.into_iter().filter(|row| enough(*row)).collect())
}

fn counts(all: &RecordBatch, column: usize) -> Result<Vec<i64>, GateError> {
    let values = all.columns().get(column).ok_or(GateError::Shape)?;
    let values = values.as_primitive_opt::<Int64Type>().ok_or(GateError::Shape)?;
    Ok(values.iter().map(|value| value.unwrap_or(0)).collect())
}

/// For each set of linked cells and each row: whether all of them have contributors enough.
struct Verdicts(Vec<Vec<bool>>);

impl Verdicts {
    fn new(columns: &GatedColumns, all: &RecordBatch) -> Result<Self, GateError> {
        let links = columns.cells.iter().map(|cell| cell.linked + 1).max().unwrap_or(0);
        let mut verdicts = vec![vec![true; all.num_rows()]; links];
        for cell in &columns.cells {
            let verdict = verdicts.get_mut(cell.linked).ok_or(GateError::Shape)?;
            for column in &cell.contributors {
                for (released, n) in verdict.iter_mut().zip(counts(all, *column)?) {
                    *released &= n >= i64::from(columns.k);
                }
            }
            if cell.proofs != 0 {
                let profile = counts(all, columns.profile.ok_or(GateError::Shape)?)?;
                for (released, shown) in verdict.iter_mut().zip(profile) {
                    *released &= cell.proofs & shown.cast_unsigned() == cell.proofs;
                }
            }
        }
        Ok(Self(verdicts))
    }

    fn released(&self, linked: usize, row: usize) -> bool {
        self.0.get(linked).and_then(|rows| rows.get(row)).copied().unwrap_or(false)
    }
}

/// Copies the chosen rows into fresh buffers; rows not kept become NULL over zeros.
fn rebuild(
    values: &ArrayRef,
    rows: &[usize],
    kept: impl Fn(usize) -> bool,
) -> Result<ArrayRef, ArrowError> {
    let data = values.to_data();
    let mut fresh = MutableArrayData::new(vec![&data], true, rows.len());
    for &row in rows {
        if kept(row) && values.is_valid(row) {
            fresh.try_extend(0, row, row + 1)?;
        } else {
            fresh.try_extend_nulls(1)?;
        }
    }
    Ok(make_array(fresh.freeze()))
}

/// What may be said of each cell: the value where released, as far as it is not rounded, and public
/// bounds where withheld.
fn bounds(
    rule: &CellRule,
    k: u32,
    base: i64,
    value: &ArrayRef,
    status: &UInt8Array,
) -> Result<(ArrayRef, ArrayRef), GateError> {
    let (low, high) = match rule.bounds {
        CellBounds::People => (Some(0), Some(i64::from(k) - 1)),
        CellBounds::Rows => (Some(0), None),
        CellBounds::Unknown => (None, None),
    };
    let rounded = base > 1 && rule.rounding != CellRounding::Same;
    match value.as_primitive_opt::<Int64Type>() {
        Some(counts) => {
            let floor = if rule.bounds == CellBounds::Unknown { i64::MIN } else { 0 };
            let bounded = |away: i64, bound: Option<i64>| -> ArrayRef {
                let cells = counts.iter().zip(status.iter()).map(|(count, status)| {
                    match status == Some(CellStatus::Released.code()) {
                        true => count.map(|n| n.saturating_add(away).max(floor)),
                        false => bound,
                    }
                });
                Arc::new(cells.collect::<Int64Array>())
            };
            let away = match rule.rounding {
                CellRounding::Whole(addends) => half(base.saturating_mul(i64::from(addends))),
                _ => half(base),
            };
            Ok((bounded(-away, low), bounded(away, high)))
        }
        // How far the sum of a rounded number may be from it is not written in its own type.
        None if rounded => {
            let unknown = new_null_array(value.data_type(), value.len());
            Ok((Arc::clone(&unknown), unknown))
        }
        None => Ok((Arc::clone(value), Arc::clone(value))),
    }
}
