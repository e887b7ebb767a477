//! What analysts ask about a released value in SQL: `withheld(x)`, and its bounds `lower(x)` and
//! `upper(x)`.
//!
//! ```text
//! SELECT priority, count(*) AS n, withheld(count(*)), lower(count(*)), upper(count(*)) …
//! ```
//! Over released cells they are replaced by the companions of the cell; over anything else a value is
//! not withheld, and is its own bounds. Of texts, `lower` and `upper` are the SQL functions.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DFSchemaRef, ScalarValue, plan_err};
use datafusion::error::Result as DfResult;
use datafusion::functions::string;
use datafusion::logical_expr::{
    ColumnarValue, Expr as DfExpr, ExprSchemable, LogicalPlan, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};

use super::carry::{Cells, StatusCode, WITHHELD, companions_of};

/// The three functions, for the sessions in which statements are read.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    let signature = || Signature::any(1, Volatility::Immutable);
    let marks = [
        Mark { what: What::Withheld, signature: signature() },
        Mark { what: What::Bound { of_text: string::lower() }, signature: signature() },
        Mark { what: What::Bound { of_text: string::upper() }, signature: signature() },
    ];
    marks.into_iter().map(|mark| Arc::new(ScalarUDF::from(mark))).collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Mark {
    what: What,
    signature: Signature,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum What {
    Withheld,
    /// `lower` or `upper`; of text it is the function of that name.
    Bound {
        of_text: Arc<ScalarUDF>,
    },
}

impl ScalarUDFImpl for Mark {
    fn name(&self) -> &str {
        match &self.what {
            What::Withheld => "withheld",
            What::Bound { of_text } => of_text.name(),
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> DfResult<DataType> {
        let of = arguments.first().unwrap_or(&DataType::Null);
        match &self.what {
            What::Withheld => Ok(DataType::Boolean),
            What::Bound { .. } if of.is_numeric() => Ok(of.clone()),
            What::Bound { .. } if matches!(of, DataType::Null) => Ok(DataType::Utf8),
            What::Bound { of_text } if is_text(of) => of_text.return_type(arguments),
            What::Bound { of_text } => plan_err!(
                "`{}` is of texts, or of numbers released by a protected table, and not of {of}",
                of_text.name()
            ),
        }
    }

    /// Over what is not released by a protected table.
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let Some(value) = args.args.first() else { return plan_err!("one argument is wanted") };
        match &self.what {
            What::Withheld => Ok(ColumnarValue::Scalar(ScalarValue::Boolean(Some(false)))),
            What::Bound { .. } if value.data_type().is_numeric() => Ok(value.clone()),
            What::Bound { .. } if value.data_type() == DataType::Null => {
                Ok(ColumnarValue::Scalar(ScalarValue::Utf8(None)))
            }
            What::Bound { of_text } => of_text.invoke_with_args(args),
        }
    }
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}

/// Replaces the functions over cells in the expressions of a plan node. Names stay what they were.
pub(crate) fn with_marks(
    plan: LogicalPlan,
    inputs: &[(LogicalPlan, Cells)],
) -> DfResult<LogicalPlan> {
    let [(input, cells)] = inputs else {
        return match plan.expressions().iter().any(has_marks) && any_cells(inputs) {
            true => plan_err!(
                "`withheld`, `lower` and `upper` of released values stand in SELECT, WHERE or ORDER \
                 BY, not in the condition of a join"
            ),
            false => Ok(plan),
        };
    };
    if cells.is_empty() || !plan.expressions().iter().any(has_marks) {
        return Ok(plan);
    }
    let named = matches!(
        plan,
        LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_) | LogicalPlan::Window(_)
    );
    let schema = Arc::clone(input.schema());
    let plan = plan.map_expressions(|expr| {
        if !has_marks(&expr) {
            return Ok(Transformed::no(expr));
        }
        let name = expr.schema_name().to_string();
        let replaced = expr.transform_up(|part| replaced(part, cells, &schema))?.data;
        Ok(Transformed::yes(if named { replaced.alias(name) } else { replaced }))
    })?;
    Ok(plan.data)
}

fn any_cells(inputs: &[(LogicalPlan, Cells)]) -> bool {
    inputs.iter().any(|(_, cells)| !cells.is_empty())
}

fn has_marks(expr: &DfExpr) -> bool {
    let mut found = false;
    let visited = expr.apply(|part| {
        found |= mark(part).is_some();
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    debug_assert!(visited.is_ok(), "the visitor never fails");
    found
}

/// The mark that a call is, and its argument.
fn mark(expr: &DfExpr) -> Option<(&Mark, &DfExpr)> {
    let DfExpr::ScalarFunction(call) = expr else { return None };
    Some((call.func.inner().downcast_ref::<Mark>()?, call.args.first()?))
}

fn replaced(part: DfExpr, cells: &Cells, schema: &DFSchemaRef) -> DfResult<Transformed<DfExpr>> {
    let Some((mark, argument)) = mark(&part) else { return Ok(Transformed::no(part)) };
    let schema: &DFSchema = schema;
    let Some([lower, upper, status]) = companions_of(argument, cells, schema)? else {
        return Ok(Transformed::no(part));
    };
    let bound = match &mark.what {
        What::Withheld => return Ok(Transformed::yes(status.has_code(WITHHELD))),
        What::Bound { .. } if !argument.get_type(schema)?.is_numeric() => {
            return Ok(Transformed::no(part));
        }
        What::Bound { of_text } if of_text.name() == "lower" => lower,
        What::Bound { .. } => upper,
    };
    Ok(Transformed::yes(bound))
}
