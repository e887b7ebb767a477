//! The wrapper that makes an expression total (rule S9): it owns the compiled expression and writes
//! NULL for the rows on which that fails.
//!
//! ```text
//! hedgerow_total(columns…)   batch ─► the expression ─► ok
//!                                         └─ fails ─► halves ─► … ─► one row: NULL
//! ```
//! So an error never leaves, and never says which row it was of. Nothing is pushed through the
//! wrapper, into sources either.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{Column, DFSchema, ExprSchema, Result, ToDFSchema};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr_rewriter::replace_col;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::optimizer::simplify_expressions::{ExprSimplifier, SimplifyContext};
use datafusion::physical_expr::PhysicalExpr;

/// The same expression, with NULL for rows on which it fails.
pub(crate) fn wrapped(expr: Expr, schema: &DFSchema, state: &SessionState) -> Result<Expr> {
    let mut columns: Vec<Column> = expr.column_refs().into_iter().cloned().collect();
    columns.sort();
    let mut fields = vec![];
    for (place, column) in columns.iter().enumerate() {
        let field = schema.field_from_column(column)?;
        fields.push(Field::new(format!("a{place}"), field.data_type().clone(), true));
    }
    let returns = expr.get_type(schema)?;
    let text = expr.to_string();
    let own: Vec<Column> =
        (0..columns.len()).map(|place| Column::new_unqualified(format!("a{place}"))).collect();
    let compiled = replace_col(expr, &columns.iter().zip(&own).collect())?;
    let fields: SchemaRef = Arc::new(Schema::new(fields));
    let input = Arc::new(Arc::clone(&fields).to_dfschema()?);
    // Some functions, casts of an Arrow type among them, are there only until they are simplified.
    let context = SimplifyContext::builder().with_schema(Arc::clone(&input)).build();
    let simplified = ExprSimplifier::new(context).simplify(compiled.clone());
    let compiled = state.create_physical_expr(simplified.unwrap_or(compiled), &input)?;
    let total = Total {
        text,
        returns,
        fields,
        compiled,
        signature: Signature::variadic_any(Volatility::Immutable),
    };
    Ok(ScalarUDF::from(total).call(columns.into_iter().map(Expr::Column).collect()))
}

/// One expression as a function of the columns it reads.
#[derive(Debug)]
struct Total {
    /// As it was written: two functions of one text over columns of the same types are one.
    text: String,
    returns: DataType,
    fields: SchemaRef,
    compiled: Arc<dyn PhysicalExpr>,
    signature: Signature,
}

impl PartialEq for Total {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.returns == other.returns && self.fields == other.fields
    }
}

impl Eq for Total {}

impl Hash for Total {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl ScalarUDFImpl for Total {
    fn name(&self) -> &str {
        "hedgerow_total"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let columns =
            args.args.iter().map(|value| value.to_array(rows)).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.fields), columns, &options)?;
        Ok(ColumnarValue::Array(self.evaluate(&batch)?))
    }
}

impl Total {
    fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        let rows = batch.num_rows();
        let value = self.compiled.evaluate(batch).and_then(|value| value.into_array(rows));
        match value {
            Ok(values) => Ok(values),
            Err(_) if rows < 2 => Ok(new_null_array(&self.returns, rows)),
            Err(_) => {
                let half = rows / 2;
                let first = self.evaluate(&batch.slice(0, half))?;
                let rest = self.evaluate(&batch.slice(half, rows - half))?;
                Ok(concat(&[&first, &rest])?)
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use datafusion::arrow::array::{AsArray, Int64Array, StringArray};
    use datafusion::arrow::datatypes::Int64Type;
    use datafusion::functions::core::arrow_cast;
    use datafusion::logical_expr::{col, lit};

    use super::*;
    use crate::dialect::{session_config, state_builder};
    use hedgerow_catalog::Limits;

    #[test]
    fn what_is_there_only_until_it_is_simplified_is_evaluated() {
        let state = state_builder(session_config(1), &Limits::default()).build();
        let schema = Arc::new(Schema::new(vec![Field::new("x", DataType::Utf8, true)]));
        let input = Arc::clone(&schema).to_dfschema().unwrap();
        let cast = arrow_cast().call(vec![col("x"), lit("Int64")]);
        let total = wrapped(cast, &input, &state).unwrap();
        let physical = state.create_physical_expr(total, &input).unwrap();
        let texts = StringArray::from(vec![Some("7"), Some("x"), None, Some("9")]);
        let batch = RecordBatch::try_new(schema, vec![Arc::new(texts)]).unwrap();
        let values = physical.evaluate(&batch).unwrap().into_array(4).unwrap();
        let values: Vec<Option<i64>> = values.as_primitive::<Int64Type>().iter().collect();
        assert_eq!(values, [Some(7), None, None, Some(9)]);
    }

    #[test]
    fn rows_that_fail_are_null_and_no_others() {
        let state = state_builder(session_config(1), &Limits::default()).build();
        let schema = Arc::new(Schema::new(vec![Field::new("x", DataType::Int64, true)]));
        let input = Arc::clone(&schema).to_dfschema().unwrap();
        let expr = lit(100_i64) / (col("x") - lit(7_i64));
        let total = wrapped(expr, &input, &state).unwrap();
        let physical = state.create_physical_expr(total, &input).unwrap();
        let numbers: Int64Array = (0..1000).map(|n| (n % 10 != 3).then_some(n % 50)).collect();
        let batch = RecordBatch::try_new(schema, vec![Arc::new(numbers.clone())]).unwrap();
        let values = physical.evaluate(&batch).unwrap().into_array(1000).unwrap();
        let values = values.as_primitive::<Int64Type>();
        for (x, value) in numbers.iter().zip(values) {
            assert_eq!(value, x.filter(|x| *x != 7).map(|x| 100 / (x - 7)), "{x:?}");
        }
    }
}
