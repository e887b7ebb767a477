//! A limit on functions whose result can be much larger than what they are given: `repeat('x', n)`
//! asks the operating system for `n` bytes, past every account of memory. Entry: [`bounded`].

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::compute::kernels::length::length;
use datafusion::arrow::datatypes::{
    DataType, Float64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
};
use datafusion::common::DataFusionError;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use super::passed;

/// What a function makes more of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Made {
    /// Its first argument, as often as the second says.
    Copies,
    /// Characters, as many as its second argument says.
    Characters,
    /// Elements like the third argument, as many as the second says.
    Elements,
    /// The values from one to another, in steps.
    Steps,
}

/// The functions that are bounded.
const FUNCTIONS: &[(&str, Made)] = &[
    ("repeat", Made::Copies),
    ("array_repeat", Made::Copies),
    ("lpad", Made::Characters),
    ("rpad", Made::Characters),
    ("array_resize", Made::Elements),
    ("range", Made::Steps),
    ("generate_series", Made::Steps),
];

/// Most bytes of a character.
const CHARACTER_BYTES: f64 = 4.0;
/// Bytes of an element whose size is not known, and of a step.
const ELEMENT_BYTES: f64 = 8.0;
const NANOSECONDS_A_DAY: f64 = 86_400e9;
/// Days of the shortest month.
const DAYS_A_MONTH: f64 = 28.0;

/// The function with a limit on what one call of it, over one batch of rows, may make; `None` where
/// what it makes is as large as what it is given.
pub(crate) fn bounded(function: &ScalarUDF, bytes_max: usize) -> Option<ScalarUDF> {
    let (_, made) = FUNCTIONS.iter().find(|(name, _)| *name == function.name())?;
    let inner = function.clone();
    Some(ScalarUDF::new_from_impl(Bounded { inner, made: *made, bytes_max }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: ScalarUDF,
    made: Made,
    bytes_max: usize,
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arguments)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    /// # Errors
    /// [`EngineError::Limit`](crate::error::EngineError::Limit) on `function_bytes_max`. How much it
    /// would come to is not said: that may depend on the data.
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let bytes = self.made.bytes(&arrays)?;
        if bytes > self.bytes_max as f64 {
            let past = self.bytes_max.saturating_add(1);
            return Err(DataFusionError::from(passed("function_bytes_max", past, self.bytes_max)));
        }
        self.inner.invoke_with_args(args)
    }
}

impl Made {
    /// What a call with these arguments makes, or a little more.
    fn bytes(self, arguments: &[ArrayRef]) -> Result<f64> {
        let sizes = match (self, arguments) {
            (Self::Copies, [value, count, ..]) => products(numbers(count)?, sizes(value)?),
            (Self::Characters, [_, count, ..]) => {
                numbers(count)?.into_iter().map(|n| n * CHARACTER_BYTES).collect()
            }
            (Self::Elements, [_, count, value, ..]) => products(numbers(count)?, sizes(value)?),
            (Self::Elements, [_, count]) => {
                numbers(count)?.into_iter().map(|n| n * ELEMENT_BYTES).collect()
            }
            (Self::Steps, [stop]) => steps(None, stop, None)?,
            (Self::Steps, [start, stop]) => steps(Some(start), stop, None)?,
            (Self::Steps, [start, stop, step, ..]) => steps(Some(start), stop, Some(step))?,
            // Too few arguments: the function says so.
            (Self::Copies | Self::Characters | Self::Elements, [] | [_]) | (Self::Steps, []) => {
                vec![]
            }
        };
        Ok(sizes.into_iter().filter(|bytes| bytes.is_finite() && *bytes > 0.0).sum())
    }
}

fn products(counts: Vec<f64>, sizes: Vec<f64>) -> Vec<f64> {
    counts.into_iter().zip(sizes).map(|(count, size)| count * size).collect()
}

/// Bytes of each value; of what is neither text nor number the mean.
fn sizes(values: &ArrayRef) -> Result<Vec<f64>> {
    match values.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => numbers(&length(values)?),
        _ => {
            let rows = values.len().max(1);
            let bytes = values.to_data().get_slice_memory_size()? as f64 / rows as f64;
            Ok(vec![bytes.max(1.0); values.len()])
        }
    }
}

/// Whole numbers and moments as floats; NULL is no number.
fn numbers(values: &ArrayRef) -> Result<Vec<f64>> {
    let floats = cast(&cast(values, &DataType::Int64)?, &DataType::Float64)?;
    let floats = floats.as_primitive::<Float64Type>();
    Ok(floats.iter().map(|number| number.unwrap_or(f64::NAN)).collect())
}

/// Bytes of the values from `start`, or 0, to `stop`.
fn steps(start: Option<&ArrayRef>, stop: &ArrayRef, step: Option<&ArrayRef>) -> Result<Vec<f64>> {
    let rows = stop.len();
    let start = start.map_or_else(|| Ok(vec![0.0; rows]), moments)?;
    let spans = moments(stop)?.into_iter().zip(start).map(|(stop, start)| stop - start);
    let bytes = |steps: f64| (steps + 1.0) * ELEMENT_BYTES;
    Ok(match step {
        None => spans.map(bytes).collect(),
        Some(step) if *step.data_type() == DataType::Interval(IntervalUnit::MonthDayNano) => {
            spans.zip(intervals(step)).map(|(span, step)| bytes(span.abs() / step)).collect()
        }
        // A step of 0 is for the function to refuse: that is no number of values.
        Some(step) => spans.zip(numbers(step)?).map(|(span, step)| bytes(span / step)).collect(),
    })
}

/// Whole numbers as they are, moments in nanoseconds.
fn moments(values: &ArrayRef) -> Result<Vec<f64>> {
    let unit = match values.data_type() {
        DataType::Date32 => NANOSECONDS_A_DAY,
        DataType::Date64 | DataType::Timestamp(TimeUnit::Millisecond, _) => 1e6,
        DataType::Timestamp(TimeUnit::Second, _) => 1e9,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1e3,
        _ => 1.0,
    };
    Ok(numbers(values)?.into_iter().map(|number| number * unit).collect())
}

/// The least nanoseconds of intervals. Parts of both signs may cancel out: then it is one.
fn intervals(steps: &ArrayRef) -> Vec<f64> {
    let least = |step: Option<IntervalMonthDayNano>| {
        let Some(step) = step else { return f64::NAN };
        let days = f64::from(step.months) * DAYS_A_MONTH + f64::from(step.days);
        (days * NANOSECONDS_A_DAY + step.nanoseconds as f64).abs().max(1.0)
    };
    steps.as_primitive::<IntervalMonthDayNanoType>().iter().map(least).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use datafusion::prelude::SessionContext;
    use hedgerow_catalog::Limits;

    use crate::dialect::{session_config, state_builder};
    use crate::error::EngineError;

    const BYTES_MAX: usize = 1_000;

    /// Whether an expression over two rows is answered; else the limit that stopped it.
    async fn limit(expr: &str) -> Option<(&'static str, u64)> {
        let limits = Limits { function_bytes_max: BYTES_MAX, ..Limits::default() };
        let config = session_config(1).with_create_default_catalog_and_schema(true);
        let state = state_builder(config, &limits).build();
        let context = SessionContext::new_with_state(state);
        let rows = "(VALUES ('abc', 2), ('ü', 3), (NULL, NULL)) t(x, n)";
        let frame = context.sql(&format!("SELECT {expr} FROM {rows}")).await.unwrap();
        match frame.collect().await.map_err(EngineError::from_execution) {
            Ok(_) => None,
            Err(EngineError::Limit { limit, maximum, .. }) => Some((limit, maximum)),
            Err(other) => Some((Box::leak(other.to_string().into_boxed_str()), 0)),
        }
    }

    #[tokio::test]
    async fn what_makes_little_is_answered() {
        for expr in [
            "repeat('abc', 333)",
            "repeat(x, n)",
            "repeat(x, 100)",
            "repeat(x, -1000000)",
            "lpad(x, 83)",
            "rpad(x, n, 'ab')",
            "array_repeat(x, 20)",
            "array_repeat(1, 100)",
            "array_resize([1, 2], 90, 0)",
            "range(124)",
            "range(1000000, 0)",
            "generate_series(0, 1000000, 10000)",
            "generate_series(DATE '2025-01-01', DATE '2025-12-31', INTERVAL '1 month')",
            "generate_series(TIMESTAMP '2025-01-01', TIMESTAMP '2025-01-02', INTERVAL '1 hour')",
            "range(n)",
        ] {
            assert_eq!(limit(expr).await, None, "{expr}");
        }
    }

    #[tokio::test]
    async fn what_makes_much_is_not_begun() {
        for expr in [
            "repeat('abc', 334)",
            "repeat(x, 100000000000)",
            "repeat(x, n * 100)",
            "lpad('x', 251)",
            "rpad(x, n * 1000000000, 'ab')",
            "array_repeat(1, 1000000000000)",
            "array_repeat(x, n * 1000000)",
            "list_repeat('abc', 1000)",
            "array_resize([1, 2], 1000000000)",
            "range(1000000000000)",
            "range(0, n * 1000000000)",
            "generate_series(1000000000, 0, -1)",
            "generate_series(DATE '0001-01-01', DATE '2025-12-31', INTERVAL '1 day')",
            "generate_series(DATE '2025-01-01', DATE '2025-12-31', INTERVAL '1 month -28 days')",
            "range(TIMESTAMP '2025-01-01', TIMESTAMP '2025-01-02', INTERVAL '1 microsecond')",
        ] {
            assert_eq!(limit(expr).await, Some(("function_bytes_max", BYTES_MAX as u64)), "{expr}");
        }
    }
}
