//! Rounding (rule G8): to the nearest multiple of a base, deterministic, so that asking again tells
//! nothing. Used by the gate, and by a coordinator on what it combined.
//!
//! | cell | becomes |
//! | --- | --- |
//! | counts, sums of whole numbers and of numbers of single people | the nearest multiple of the base; halves away from zero |
//! | means | rounded sum by rounded count |
//! | variances, correlations, regressions | three significant digits |
//! | sums of other numbers | what they are |
//!
//! An exact mean beside a rounded count would tell the count. Main type: [`CellRounding`].

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array};
use arrow::compute::{cast, kernels::numeric::div};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};
use arrow::error::ArrowError;

use crate::admit::peel;
use crate::block::{AggregateFunction as F, Measure};
use crate::contract::{ColumnContract, TableContract};
use crate::derived::DERIVED;
use crate::scalar::Expr;

/// How a cell is rounded, where its node's policy rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellRounding {
    /// To a multiple of the base.
    Whole,
    /// A mean: of two columns, known once they are planned.
    Mean {
        /// Whether it is of whole numbers, so that the sum is rounded, too.
        whole: bool,
        /// Output column of the sum.
        sum: usize,
        /// Output column of the count.
        count: usize,
    },
    /// To three significant digits.
    Digits,
    /// Not at all.
    Same,
}

/// How a cell of `measure` over relations of these contracts is rounded.
pub fn rounding(measure: &Measure, contracts: &[Arc<TableContract>]) -> CellRounding {
    let whole = || measure.arguments.iter().all(|argument| is_whole(peel(argument), contracts));
    match measure.function {
        F::Count | F::RegrCount => CellRounding::Whole,
        F::Sum if whole() => CellRounding::Whole,
        F::Sum => CellRounding::Same,
        F::Avg => CellRounding::Mean { whole: whole(), sum: 0, count: 0 },
        F::VarPop
        | F::VarSamp
        | F::StddevPop
        | F::StddevSamp
        | F::CovarPop
        | F::CovarSamp
        | F::Corr
        | F::RegrAvgx
        | F::RegrAvgy
        | F::RegrIntercept
        | F::RegrR2
        | F::RegrSlope
        | F::RegrSxx
        | F::RegrSxy
        | F::RegrSyy => CellRounding::Digits,
        F::Min
        | F::Max
        | F::BoolAnd
        | F::BoolOr
        | F::BitAnd
        | F::BitOr
        | F::BitXor
        | F::People
        | F::Profile => CellRounding::Same,
    }
}

/// Tells whether what is added up is to be rounded like a count: it is made of whole numbers, or it
/// is a number of single people, which may be a one of each of them whatever its type.
fn is_whole(argument: &Expr, contracts: &[Arc<TableContract>]) -> bool {
    match argument {
        // Columns of its condition are not added up.
        Expr::Case { branches, otherwise, .. } => branches
            .iter()
            .map(|(_, then)| then)
            .chain(otherwise.as_deref())
            .all(|value| is_whole(value, contracts)),
        Expr::Column { relation, name } => contracts.get(*relation).is_some_and(|contract| {
            contract.name == DERIVED || contract.column(name).is_some_and(has_whole_type)
        }),
        other => other.children().into_iter().all(|part| is_whole(part, contracts)),
    }
}

fn has_whole_type(column: &ColumnContract) -> bool {
    match column.data_type {
        DataType::Float64 => false,
        DataType::Decimal128(_, scale) => scale <= 0,
        _ => true,
    }
}

/// Half a base, as far as a rounded value may be from the exact one.
pub(crate) fn half(base: i64) -> i64 {
    base / 2
}

/// The nearest multiple of `base`, as far as it can be written.
pub fn round_to(value: i128, base: i128) -> i128 {
    if base < 2 {
        return value;
    }
    let size = value.unsigned_abs();
    let base = base.unsigned_abs();
    let nearest = (size + base / 2) / base * base;
    // Where the next multiple is no number any more, the one before it is.
    let nearest = i128::try_from(nearest).unwrap_or(i128::MAX - i128::MAX % 2);
    if value < 0 { -nearest } else { nearest }
}

/// Rounds counts and sums of whole numbers, row by row; a base below 2 leaves a value as it is.
///
/// # Errors
/// Where the values are no numbers.
pub fn round_values(values: &ArrayRef, bases: &Int64Array) -> Result<ArrayRef, ArrowError> {
    let bases = bases.iter().map(|base| base.unwrap_or(1));
    if bases.clone().all(|base| base < 2) {
        return Ok(Arc::clone(values));
    }
    Ok(match values.data_type() {
        DataType::Int64 => {
            let numbers = values.as_primitive::<Int64Type>().iter().zip(bases);
            let rounded = numbers.map(|(value, base)| {
                value.map(|v| {
                    let nearest = round_to(i128::from(v), i128::from(base));
                    // A multiple above the largest number: the one below it.
                    i64::try_from(nearest).unwrap_or_else(|_| v - v % base)
                })
            });
            Arc::new(rounded.collect::<Int64Array>())
        }
        DataType::Decimal128(precision, scale) => {
            let one = 10_i128.pow(u32::try_from(*scale).unwrap_or(0));
            let numbers = values.as_primitive::<Decimal128Type>().iter().zip(bases);
            let rounded = numbers.map(|(value, base)| {
                // A base below 2 rounds nothing, digits after the point neither.
                let scaled = if base < 2 { 1 } else { i128::from(base).saturating_mul(one) };
                value.map(|v| round_to(v, scaled))
            });
            let rounded = rounded.collect::<Decimal128Array>();
            Arc::new(rounded.with_precision_and_scale(*precision, *scale)?)
        }
        DataType::Float64 => {
            let numbers = values.as_primitive::<Float64Type>().iter().zip(bases);
            let rounded = numbers.map(|(value, base)| {
                let base = base as f64;
                value.map(|v| if base < 2.0 { v } else { (v / base).round() * base })
            });
            Arc::new(rounded.collect::<Float64Array>())
        }
        other => {
            let wide = match other {
                DataType::Decimal256(_, scale) => DataType::Decimal128(38, *scale),
                _ => DataType::Int64,
            };
            let bases = bases.map(Some).collect();
            cast(&round_values(&cast(values, &wide)?, &bases)?, other)?
        }
    })
}

/// The mean of parts that are rounded first, of the type that the mean had; NULL where the count is
/// none. `whole` says that it is of whole numbers, so that the sum is rounded as well as the count.
///
/// # Errors
/// Where the parts are no numbers.
pub fn mean_of(
    [sum, count]: [&ArrayRef; 2],
    bases: &Int64Array,
    whole: bool,
    mean: &DataType,
) -> Result<ArrayRef, ArrowError> {
    let sum = if whole { round_values(sum, bases)? } else { Arc::clone(sum) };
    let sum = cast(&sum, &DataType::Float64)?;
    let count = cast(&round_values(count, bases)?, &DataType::Float64)?;
    let counts: Float64Array =
        count.as_primitive::<Float64Type>().iter().map(|n| n.filter(|n| *n > 0.0)).collect();
    cast(&div(&sum, &counts)?, mean)
}

/// Three significant digits of each number.
///
/// # Errors
/// Where the values are no numbers.
pub fn three_digits(values: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let numbers = cast(values, &DataType::Float64)?;
    let short = numbers.as_primitive::<Float64Type>().iter().map(|value| value.map(short));
    cast(&(Arc::new(short.collect::<Float64Array>()) as ArrayRef), values.data_type())
}

fn short(value: f64) -> f64 {
    // Through its text, which is the nearest number of so many digits.
    format!("{value:.2e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_to_the_nearest_multiple() {
        for (value, base, expected) in
            [(12, 5, 10), (13, 5, 15), (-13, 5, -15), (15, 10, 20), (7, 1, 7), (2, 5, 0)]
        {
            assert_eq!(round_to(value, base), expected, "{value} to {base}");
        }
        assert_eq!(short(12_345.0), 12_300.0);
        assert_eq!(short(-0.000_123_456), -0.000_123);
    }

    #[test]
    fn the_largest_numbers_are_rounded_without_overflow() {
        let values: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX, i64::MIN]));
        let rounded = round_values(&values, &Int64Array::from(vec![5, 5])).ok();
        let rounded = rounded.map(|values| values.as_primitive::<Int64Type>().values().to_vec());
        assert_eq!(rounded, Some(vec![i64::MAX - 2, i64::MIN + 3]));
    }

    #[test]
    fn no_base_leaves_every_digit() -> Result<(), ArrowError> {
        let pounds = Decimal128Array::from(vec![1_234, 567]).with_precision_and_scale(12, 2)?;
        let pounds: ArrayRef = Arc::new(pounds);
        assert_eq!(&round_values(&pounds, &Int64Array::from(vec![1, 1]))?, &pounds);
        let rounded = round_values(&pounds, &Int64Array::from(vec![1, 5]))?;
        assert_eq!(rounded.as_primitive::<Decimal128Type>().values().to_vec(), [1_234, 500]);
        Ok(())
    }
}
