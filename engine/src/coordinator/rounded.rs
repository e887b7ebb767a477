//! Rounding of what was combined (rule G8), as functions of the merge plan.
//!
//! | function | of | yields |
//! | --- | --- | --- |
//! | `rounded(value, base)` | a count, or a sum of whole numbers | the nearest multiple |
//! | `rounded_mean(mean, sum, count, base)` | a mean and its parts | rounded sum by rounded count |
//! | `rounded_mean_of_sum(…)` | the same of other numbers | sum by rounded count |
//! | `rounded_moment(value, count, base)` | a moment that has the count as a factor | the same of the rounded count |
//! | `short(value, base)` | another moment | three significant digits |
//!
//! The base stands in a column, since only the nodes' replies say it; one below 2 rounds nothing.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array};
use datafusion::arrow::compute::kernels::cmp::gt;
use datafusion::arrow::compute::kernels::zip::zip;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr as DfExpr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use hedgerow_policies::{Factor, bases_of, mean_of, moment_of, round_values, three_digits};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum How {
    Whole(u32),
    Mean { addends: u32 },
    Moment(Factor),
    Digits,
}

/// `rounded(value, base)` of one number.
pub(crate) fn rounded(value: DfExpr, base: DfExpr) -> DfExpr {
    rounded_sum(value, base, 1)
}

/// `rounded(value, base)` of what adds up so many columns.
pub(crate) fn rounded_sum(value: DfExpr, base: DfExpr, addends: u32) -> DfExpr {
    call(How::Whole(addends), vec![value, base])
}

/// `rounded_mean(mean, sum, count, base)`, with the `addends` of [`CellRounding::Mean`].
///
/// [`CellRounding::Mean`]: hedgerow_policies::CellRounding::Mean
pub(crate) fn rounded_mean(parts: [DfExpr; 3], base: DfExpr, addends: u32) -> DfExpr {
    call(How::Mean { addends }, parts.into_iter().chain([base]).collect())
}

/// `rounded_moment(value, count, base)`.
pub(crate) fn rounded_moment(parts: [DfExpr; 2], base: DfExpr, factor: Factor) -> DfExpr {
    call(How::Moment(factor), parts.into_iter().chain([base]).collect())
}

/// `short(value, base)`.
pub(crate) fn short(value: DfExpr, base: DfExpr) -> DfExpr {
    call(How::Digits, vec![value, base])
}

fn call(how: How, arguments: Vec<DfExpr>) -> DfExpr {
    let signature = Signature::variadic_any(Volatility::Immutable);
    ScalarUDF::from(Rounding { how, signature }).call(arguments)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Rounding {
    how: How,
    signature: Signature,
}

impl ScalarUDFImpl for Rounding {
    fn name(&self) -> &str {
        match self.how {
            How::Whole(_) => "rounded",
            How::Mean { addends: 0 } => "rounded_mean_of_sum",
            How::Mean { .. } => "rounded_mean",
            How::Moment(_) => "rounded_moment",
            How::Digits => "short",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments.first() {
            Some(value) => Ok(value.clone()),
            None => internal_err!("nothing to round"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let rounded = match (self.how, arrays.as_slice()) {
            (How::Whole(addends), [value, base]) => {
                round_values(value, &bases_of(bases(base)?, addends))?
            }
            (How::Mean { addends }, [mean, sum, count, base]) => {
                let base = bases(base)?;
                let rounded = mean_of([sum, count], base, addends, mean.data_type())?;
                where_rounded(base, &rounded, mean)?
            }
            (How::Moment(factor), [value, count, base]) => {
                let base = bases(base)?;
                where_rounded(base, &moment_of([value, count], base, factor)?, value)?
            }
            (How::Digits, [value, base]) => {
                where_rounded(bases(base)?, &three_digits(value)?, value)?
            }
            _ => return internal_err!("rounding takes a value and a base"),
        };
        Ok(ColumnarValue::Array(rounded))
    }
}

fn bases(base: &ArrayRef) -> Result<&Int64Array> {
    match base.as_primitive_opt::<Int64Type>() {
        Some(bases) => Ok(bases),
        None => internal_err!("a base is a whole number"),
    }
}

fn where_rounded(bases: &Int64Array, rounded: &ArrayRef, exact: &ArrayRef) -> Result<ArrayRef> {
    let one = Int64Array::new_scalar(1);
    let chosen: BooleanArray = gt(bases, &one)?;
    if chosen.true_count() == 0 {
        return Ok(Arc::clone(exact));
    }
    Ok(zip(&chosen, rounded, exact)?)
}
