//! Sums of whole numbers and decimals that are exact or fail, and never wrap.
//!
//! DataFusion adds integers and decimals modulo their width. Here every such `sum(x)` of a
//! statement becomes a sum of wider decimals, which no table is long enough to overflow, and what
//! comes out is read back as the type the statement announced. Whether it fits is asked at the
//! coordinator, of released values: a node never fails on its data, and a failure tells nothing
//! that the answer would not. Entry: [`exact_sums`].

use std::sync::{Arc, LazyLock};

use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, DFSchemaRef, Result, internal_err, plan_err};
use datafusion::logical_expr::{
    Aggregate, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Projection, ReturnFieldArgs,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, Window,
    WindowFunctionDefinition, cast, lit,
};

use crate::block::EXACT_SUM;
use crate::error::EngineError;

/// Holds every 64-bit integer; a sum of it has ten digits more, and 128 bits to add in.
const INTEGER: DataType = DataType::Decimal128(20, 0);
/// Decimals of more digits are added in 256 bits: 128 would be enough for few rows only.
const PRECISION_MAX: u8 = 28;

/// Rewrites the sums of a resolved plan, subqueries included. Names and types stay.
///
/// # Errors
/// Only where the plan cannot be rebuilt.
pub(crate) fn exact_sums(plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(plan.transform_up_with_subqueries(rewrite)?.data)
}

/// The type in which values of `data_type` are added; `None` where their own will do.
pub(crate) fn addend(data_type: &DataType) -> Option<DataType> {
    match data_type {
        integer if integer.is_integer() => Some(INTEGER),
        DataType::Decimal128(precision, scale) if *precision > PRECISION_MAX => {
            Some(DataType::Decimal256(*precision, *scale))
        }
        _ => None,
    }
}

fn rewrite(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    match &plan {
        LogicalPlan::Aggregate(aggregate) => {
            let Some(sums) = widen_all(&aggregate.aggr_expr, aggregate.input.schema())? else {
                return Ok(Transformed::no(plan));
            };
            let keys = aggregate.group_expr.clone();
            let wide = Aggregate::try_new(Arc::clone(&aggregate.input), keys, sums)?;
            narrowed(LogicalPlan::Aggregate(wide), &aggregate.schema)
        }
        LogicalPlan::Window(window) => {
            let Some(sums) = widen_all(&window.window_expr, window.input.schema())? else {
                return Ok(Transformed::no(plan));
            };
            let wide = Window::try_new(sums, Arc::clone(&window.input))?;
            narrowed(LogicalPlan::Window(wide), &window.schema)
        }
        _ => Ok(Transformed::no(plan)),
    }
}

/// Widens the sums among `exprs`; `None` where there are none.
fn widen_all(exprs: &[Expr], input: &DFSchema) -> Result<Option<Vec<Expr>>> {
    let mut any = false;
    let widened = exprs
        .iter()
        .map(|expr| {
            let wide = widen(expr.clone(), input)?;
            any |= wide.transformed;
            Ok(wide.data)
        })
        .collect::<Result<_>>()?;
    Ok(any.then_some(widened))
}

fn widen(expr: Expr, input: &DFSchema) -> Result<Transformed<Expr>> {
    let name = expr.schema_name().to_string();
    let wide = match expr {
        Expr::Alias(alias) => {
            let inner = widen(*alias.expr, input)?;
            let relation = alias.relation;
            return Ok(inner.update_data(|expr| expr.alias_qualified(relation, alias.name)));
        }
        Expr::AggregateFunction(mut call) if call.func.name() == "sum" => {
            let changed = widen_argument(&mut call.params.args, input)?;
            Transformed::new_transformed(Expr::AggregateFunction(call), changed)
        }
        Expr::WindowFunction(mut call) if matches!(&call.fun, WindowFunctionDefinition::AggregateUDF(f) if f.name() == "sum") =>
        {
            let changed = widen_argument(&mut call.params.args, input)?;
            Transformed::new_transformed(Expr::WindowFunction(call), changed)
        }
        other => Transformed::no(other),
    };
    // A cast is left out of a column's name, but the wider sum may stand beside a narrow one.
    Ok(if wide.transformed { wide.update_data(|expr| expr.alias(name)) } else { wide })
}

fn widen_argument(arguments: &mut [Expr], input: &DFSchema) -> Result<bool> {
    let [argument] = arguments else { return Ok(false) };
    let Some(wide) = addend(&argument.get_type(input)?) else { return Ok(false) };
    *argument = cast(argument.clone(), wide);
    Ok(true)
}

/// Gives the columns of a widened plan the names and types they had.
fn narrowed(plan: LogicalPlan, before: &DFSchemaRef) -> Result<Transformed<LogicalPlan>> {
    let exprs = plan
        .schema()
        .iter()
        .zip(before.iter())
        // It comes and goes with the grouping sets it tells apart, and nobody may name it.
        .filter(|((_, field), _)| field.name() != Aggregate::INTERNAL_GROUPING_ID)
        .map(|((qualifier, field), (own_qualifier, own))| {
            let column = Expr::Column(Column::new(qualifier.cloned(), field.name()));
            if field.data_type() == own.data_type() {
                return column;
            }
            let narrow = exact_sum_udf().call(vec![column, lit(own.data_type().to_string())]);
            narrow.alias_qualified(own_qualifier.cloned(), own.name())
        })
        .collect();
    let plan = Projection::try_new(exprs, Arc::new(plan))?;
    Ok(Transformed::yes(LogicalPlan::Projection(plan)))
}

/// `exact_sum(sum, type)`: a sum in the type that is named, or [`EngineError::OutOfRange`].
pub(crate) fn exact_sum_udf() -> Arc<ScalarUDF> {
    static UDF: LazyLock<Arc<ScalarUDF>> =
        LazyLock::new(|| Arc::new(ScalarUDF::from(Narrow::default())));
    Arc::clone(&UDF)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Narrow {
    signature: Signature,
}

impl Default for Narrow {
    fn default() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Narrow {
    fn name(&self) -> &str {
        EXACT_SUM
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        internal_err!("the type of a sum is told by its second argument")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let named = args.scalar_arguments.get(1).copied().flatten();
        let to = named.and_then(|name| name.try_as_str().flatten()?.parse::<DataType>().ok());
        match to {
            Some(to) => Ok(Arc::new(Field::new(self.name(), to, true))),
            None => plan_err!("`exact_sum` takes a sum and the name of its type"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [sum, _] = args.args.as_slice() else { return internal_err!("a sum is one column") };
        let sums = sum.to_array(args.number_rows)?;
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let narrow = cast_with_options(&sums, args.return_field.data_type(), &options)
            .map_err(|_| EngineError::OutOfRange { what: "a sum" })?;
        Ok(ColumnarValue::Array(narrow))
    }
}
