//! Rounding (rule G8): to the nearest multiple of a base, deterministic, so that asking again tells
//! nothing. Used by the gate, and by a coordinator on what it combined.
//!
//! | cell | becomes |
//! | --- | --- |
//! | counts, sums of whole numbers and of numbers of single people | the nearest multiple of the base, times the number of columns added up; halves away from zero |
//! | means | rounded sum by rounded count |
//! | moments in which the number of people is a factor | the same with the rounded count in its place, to three significant digits |
//! | other moments | three significant digits |
//! | sums of other numbers | what they are |
//!
//! An exact mean beside a rounded count would tell the count, and so would an exact sum of squares
//! beside a variance. Main type: [`CellRounding`].

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
    /// To a multiple of the base, times this number: so many columns are added up, and five that are
    /// equal would be a multiple of five whatever they are.
    Whole(u32),
    /// A mean: of two columns, known once they are planned.
    Mean {
        /// How many whole numbers are added up in its argument, so that the sum is rounded, too; 0
        /// where these are other numbers.
        addends: u32,
        /// Output column of the sum.
        sum: usize,
        /// Output column of the count.
        count: usize,
    },
    /// A moment that has the number of people as a factor.
    Moment {
        /// Which factor that is.
        factor: Factor,
        /// Output column of the count, known once it is planned.
        count: usize,
    },
    /// To three significant digits.
    Digits,
    /// Not at all.
    Same,
}

impl CellRounding {
    /// The output columns that a cell is rounded from: count, and sum.
    pub fn parts(self) -> Vec<usize> {
        match self {
            Self::Mean { sum, count, .. } => vec![count, sum],
            Self::Moment { count, .. } => vec![count],
            Self::Whole(_) | Self::Digits | Self::Same => vec![],
        }
    }
}

/// How a moment of n people has n as a factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Factor {
    /// A mean: 1/n. With how many whole numbers are added up, as in [`CellRounding::Mean`].
    Mean(u32),
    /// An intercept: 1/n.
    Intercept,
    /// A sum of squares or products: n.
    Total,
    /// A variance of a sample: n / (n − 1).
    Sample,
    /// The root of that.
    SampleRoot,
}

/// How a cell of `measure` over relations of these contracts is rounded.
pub fn rounding(measure: &Measure, contracts: &[Arc<TableContract>]) -> CellRounding {
    let addends = |place: usize| {
        measure.arguments.get(place).map_or(0, |argument| addends(peel(argument), contracts))
    };
    let moment = |factor| CellRounding::Moment { factor, count: 0 };
    match measure.function {
        F::Count | F::RegrCount => CellRounding::Whole(1),
        F::Sum => match addends(0) {
            0 => CellRounding::Same,
            addends => CellRounding::Whole(addends),
        },
        F::Avg => CellRounding::Mean { addends: addends(0), sum: 0, count: 0 },
        F::RegrAvgy => moment(Factor::Mean(addends(0))),
        F::RegrAvgx => moment(Factor::Mean(addends(1))),
        F::RegrIntercept => moment(Factor::Intercept),
        F::RegrSxx | F::RegrSxy | F::RegrSyy => moment(Factor::Total),
        F::VarSamp | F::CovarSamp => moment(Factor::Sample),
        F::StddevSamp => moment(Factor::SampleRoot),
        F::VarPop | F::StddevPop | F::CovarPop | F::Corr | F::RegrR2 | F::RegrSlope => {
            CellRounding::Digits
        }
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

/// How many columns are added up where what is added up is to be rounded like a count: it is made of
/// whole numbers, or it is a number of single people, which may be a one of each of them whatever its
/// type. 0 where it is not.
fn addends(argument: &Expr, contracts: &[Arc<TableContract>]) -> u32 {
    whole_columns(argument, contracts).map_or(0, |columns| columns.max(1))
}

/// The number of columns, if all are whole numbers; the two dates of a difference are none.
fn whole_columns(argument: &Expr, contracts: &[Arc<TableContract>]) -> Option<u32> {
    match argument {
        // Columns of its condition are not added up, and of its values each row has one.
        Expr::Case { branches, otherwise, .. } => {
            let values = branches.iter().map(|(_, then)| then).chain(otherwise.as_deref());
            values
                .map(|value| whole_columns(value, contracts))
                .try_fold(0, |most, n| Some(n?.max(most)))
        }
        Expr::Column { relation, name } => {
            let contract = contracts.get(*relation)?;
            if contract.name == DERIVED {
                return Some(1);
            }
            let column = contract.column(name).filter(|column| has_whole_type(column))?;
            Some(u32::from(column.data_type != DataType::Date32))
        }
        other => {
            let mut parts = other.children().into_iter().map(|part| whole_columns(part, contracts));
            parts.try_fold(0_u32, |all, n| Some(all.saturating_add(n?)))
        }
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

/// The bases of what adds up so many columns.
pub fn bases_of(bases: &Int64Array, addends: u32) -> Int64Array {
    // A base that rounds nothing stays one.
    bases.unary(|base| if base < 2 { base } else { base.saturating_mul(i64::from(addends)) })
}

/// The mean of parts that are rounded first, of the type that the mean had; NULL where the count is
/// none. `addends` is that of [`CellRounding::Mean`].
///
/// # Errors
/// Where the parts are no numbers.
pub fn mean_of(
    [sum, count]: [&ArrayRef; 2],
    bases: &Int64Array,
    addends: u32,
    mean: &DataType,
) -> Result<ArrayRef, ArrowError> {
    let sum = match addends {
        0 => Arc::clone(sum),
        addends => round_values(sum, &bases_of(bases, addends))?,
    };
    let sum = cast(&sum, &DataType::Float64)?;
    let count = cast(&round_values(count, bases)?, &DataType::Float64)?;
    let counts: Float64Array =
        count.as_primitive::<Float64Type>().iter().map(|n| n.filter(|n| *n > 0.0)).collect();
    cast(&div(&sum, &counts)?, mean)
}

/// A moment with the rounded count in the place of the count; NULL where no moment has such a count.
///
/// # Errors
/// Where the values are no numbers.
pub fn moment_of(
    [values, counts]: [&ArrayRef; 2],
    bases: &Int64Array,
    factor: Factor,
) -> Result<ArrayRef, ArrowError> {
    let numbers = cast(values, &DataType::Float64)?;
    let rounded = cast(&round_values(counts, bases)?, &DataType::Float64)?;
    let counts = cast(counts, &DataType::Float64)?;
    let rows = numbers
        .as_primitive::<Float64Type>()
        .iter()
        .zip(counts.as_primitive::<Float64Type>().iter().zip(rounded.as_primitive::<Float64Type>()))
        .zip(bases);
    let moments = rows.map(|((value, (n, rounded)), base)| {
        with_count(value?, n?, rounded?, base.unwrap_or(1), factor)
    });
    cast(&(Arc::new(moments.collect::<Float64Array>()) as ArrayRef), values.data_type())
}

fn with_count(value: f64, n: f64, rounded: f64, base: i64, factor: Factor) -> Option<f64> {
    if n < 1.0 || rounded < 1.0 {
        return None;
    }
    let of_sample = |n: f64| n / (n - 1.0);
    let is_sample = n >= 2.0 && rounded >= 2.0;
    match factor {
        Factor::Mean(0) => Some(value * n / rounded),
        #[expect(clippy::cast_precision_loss, reason = "a base is small")]
        Factor::Mean(addends) => {
            let base = base.max(1) as f64 * f64::from(addends);
            Some(((value * n).round() / base).round() * base / rounded)
        }
        Factor::Intercept => Some(short(value * n / rounded)),
        Factor::Total => Some(short(value / n * rounded)),
        Factor::Sample => is_sample.then(|| short(value / of_sample(n) * of_sample(rounded))),
        Factor::SampleRoot => {
            let root = (of_sample(rounded) / of_sample(n)).sqrt();
            is_sample.then(|| short(value * root))
        }
    }
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
    fn moments_do_not_tell_the_count() {
        // 12 people, of whom a base of 5 says 10.
        for (factor, value, expected) in [
            (Factor::Mean(0), 2.5, 3.0),
            (Factor::Mean(1), 2.0, 2.5),
            (Factor::Mean(2), 2.0, 2.0),
            (Factor::Intercept, 1.0, 1.2),
            (Factor::Total, 12.0, 10.0),
            (Factor::Sample, 11.0, 11.2),
            (Factor::SampleRoot, 1.0, 1.01),
        ] {
            let moment = with_count(value, 12.0, 10.0, 5, factor);
            assert_eq!(moment, Some(expected), "{factor:?}");
        }
        assert_eq!(with_count(1.0, 1.0, 0.0, 5, Factor::Total), None);
        assert_eq!(with_count(1.0, 2.0, 1.0, 5, Factor::Sample), None);
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
