//! The days between two dates, as a function: what a filter does to the range of values is worked
//! out from the operators in it, and for the difference of dates by a wrong type.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array};
use datafusion::arrow::datatypes::{DataType, Date32Type};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// `date - other`, of two dates.
pub(super) fn days_between(date: Expr, other: Expr) -> Expr {
    let types = vec![DataType::Date32, DataType::Date32];
    let signature = Signature::exact(types, Volatility::Immutable);
    ScalarUDF::from(DaysBetween { signature }).call(vec![date, other])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DaysBetween {
    signature: Signature,
}

impl ScalarUDFImpl for DaysBetween {
    fn name(&self) -> &str {
        "days_between"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let dates: Vec<_> =
            arrays.iter().filter_map(|array| array.as_primitive_opt::<Date32Type>()).collect();
        let [dates, others] = dates.as_slice() else {
            return internal_err!("days are between two dates");
        };
        let rows = dates.iter().zip(others.iter());
        let days = rows.map(|(date, other)| Some(i64::from(date?) - i64::from(other?)));
        Ok(ColumnarValue::Array(Arc::new(days.collect::<Int64Array>()) as ArrayRef))
    }
}
