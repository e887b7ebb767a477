//! Total semantics (rule S9): nothing over rows of people can fail, because an error that depends on
//! one row would tell something about that row.
//!
//! ```text
//! coerced plan ──► aggregates, windows   what could fail or wrap in an argument is refused
//!              └─► keys, conditions      what could fail on a row is wrapped ([`Wrapped`])
//! ```
//! `sex = 5` reads as a cast of a text column to a number once types are coerced: such a conjunct is
//! evaluated by the wrapper, and rows on which the cast fails do not meet it. In the argument of a sum
//! these are exact, and everything else is refused:
//!
//! | arithmetic | of |
//! | --- | --- |
//! | `-` | two dates: 32-bit days, subtracted in 64 bits |
//! | `+ - *` | two floats: infinity is a value |
//! | `+ - *` | two decimals whose every result has at most 38 digits |

use datafusion::arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::error::Result as DfResult;
use datafusion::execution::SessionState;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};
use hedgerow_policies::{
    BinaryOperator, Refusal, Rule, decimal_result, is_total_function, is_total_pattern,
};

use super::wrapper::wrapped;
use crate::error::EngineError;

/// The plan with its types coerced, and with everything wrapped that could fail on a row.
///
/// # Errors
/// A refusal where an argument of an aggregate or window could fail or wrap.
pub(crate) fn total(plan: &LogicalPlan, state: &SessionState) -> Result<LogicalPlan, EngineError> {
    let coerced = state
        .analyzer()
        .execute_and_check(plan.clone(), state.config_options(), |_, _| {})
        .map_err(crate::parse::resolution_error)?;
    check_arguments(&coerced)?;
    let total = coerced.transform_up(|node| wrap_node(node, state));
    Ok(total.map_err(|error| EngineError::internal("wrapping expressions", error))?.data)
}

// ------------------------------------------------------------------- keys, conditions

fn wrap_node(node: LogicalPlan, state: &SessionState) -> DfResult<Transformed<LogicalPlan>> {
    let schema = input_schema(&node);
    match node {
        LogicalPlan::Filter(mut filter) => {
            let conjuncts = split_conjunction_owned(filter.predicate.clone());
            let kept = conjuncts.into_iter().map(|one| wrap(one, &schema, state));
            let kept = kept.collect::<DfResult<Vec<_>>>()?;
            filter.predicate = conjunction(kept).unwrap_or(filter.predicate);
            Ok(Transformed::yes(LogicalPlan::Filter(filter)))
        }
        LogicalPlan::Projection(_) => {
            node.map_expressions(|expr| named(expr, &schema, state).map(Transformed::yes))
        }
        LogicalPlan::Aggregate(_) => node.map_expressions(|expr| match expr {
            aggregate @ (Expr::AggregateFunction(_) | Expr::Alias(_)) => {
                let name = aggregate.schema_name().to_string();
                let inner = aggregate.unalias().map_children(|argument| {
                    wrap(argument, &schema, state).map(Transformed::yes)
                })?;
                Ok(Transformed::yes(renamed(inner.data, &name)))
            }
            key => named(key, &schema, state).map(Transformed::yes),
        }),
        LogicalPlan::Join(_) => {
            node.map_expressions(|expr| wrap(expr, &schema, state).map(Transformed::yes))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// Wraps an expression whose name is that of a column.
fn named(expr: Expr, schema: &DFSchemaRef, state: &SessionState) -> DfResult<Expr> {
    let name = expr.schema_name().to_string();
    let (qualifier, inner) = match expr {
        Expr::Alias(alias) => (alias.relation, *alias.expr),
        other => (None, other),
    };
    if is_total(&inner, schema) {
        return Ok(match qualifier {
            Some(_) => inner.alias_qualified(qualifier, name),
            None => renamed(inner, &name),
        });
    }
    Ok(wrap(inner, schema, state)?.alias_qualified(qualifier, name))
}

fn renamed(expr: Expr, name: &str) -> Expr {
    if expr.schema_name().to_string() == name { expr } else { expr.alias(name) }
}

fn wrap(expr: Expr, schema: &DFSchemaRef, state: &SessionState) -> DfResult<Expr> {
    if is_total(&expr, schema) { Ok(expr) } else { wrapped(expr, schema, state) }
}

/// Tells whether an expression has a value, or NULL, for every row. What is not known may fail.
fn is_total(expr: &Expr, schema: &DFSchema) -> bool {
    let own = match expr {
        Expr::Column(_)
        | Expr::Literal(..)
        | Expr::Alias(_)
        | Expr::Not(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotUnknown(_)
        | Expr::Between(_)
        | Expr::InList(_)
        | Expr::Case(_)
        | Expr::TryCast(_)
        | Expr::OuterReferenceColumn(..) => true,
        Expr::Like(like) => matches!(like.pattern.as_ref(), Expr::Literal(pattern, _)
            if pattern.try_as_str().flatten().is_none_or(is_total_pattern)),
        Expr::BinaryExpr(binary) => {
            !is_arithmetic(binary.op) || is_total_arithmetic(binary, schema)
        }
        Expr::Cast(_) => has_total_cast(expr, schema),
        Expr::ScalarFunction(call) if call.func.name() == "arrow_cast" => {
            has_total_cast(expr, schema)
        }
        Expr::ScalarFunction(call) => {
            let constants: Vec<Option<String>> = call.args.iter().map(constant).collect();
            let constants: Vec<Option<&str>> = constants.iter().map(Option::as_deref).collect();
            let moment = call.args.last().is_some_and(|moment| {
                matches!(moment.get_type(schema), Ok(DataType::Timestamp(..)))
            });
            is_total_function(call.func.name(), &constants, moment)
        }
        _ => false,
    };
    let mut children = true;
    let visited = expr.apply_children(|child| {
        children &= is_total(child, schema);
        Ok(if children { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    own && children && visited.is_ok()
}

/// The text of a constant that is a text or a whole number.
fn constant(expr: &Expr) -> Option<String> {
    let Expr::Literal(value, _) = expr else { return None };
    match value.try_as_str() {
        Some(text) => text.map(str::to_owned),
        None => (value.data_type().is_integer() && !value.is_null()).then(|| value.to_string()),
    }
}

fn has_total_cast(expr: &Expr, schema: &DFSchema) -> bool {
    cast_of(expr).is_some_and(|(operand, to)| {
        matches!(operand, Expr::Literal(..))
            || operand.get_type(schema).is_ok_and(|from| casts_totally(&from, &to))
    })
}

fn input_schema(node: &LogicalPlan) -> DFSchemaRef {
    let mut schema = DFSchema::empty();
    for input in node.inputs() {
        schema.merge(input.schema());
    }
    if let LogicalPlan::TableScan(scan) = node {
        schema.merge(&scan.projected_schema);
    }
    schema.into()
}

// ------------------------------------------------------------------------- arguments

/// What is wrong with the arguments of aggregates and windows.
#[derive(Default)]
struct Faults {
    cast: Option<DataType>,
    operator: Option<Operator>,
    long_mean: bool,
}

/// Refuses a plan in which an argument of an aggregate or window could fail or wrap.
fn check_arguments(plan: &LogicalPlan) -> Result<(), EngineError> {
    let mut faults = Faults::default();
    let walked = plan.apply(|node| {
        let schema = input_schema(node);
        let windows = matches!(node, LogicalPlan::Window(_));
        node.apply_expressions(|expr| {
            expr.apply(|part| match part {
                // The condition of a CASE, and so the CASE as a whole, is wrapped.
                Expr::Case(_) => Ok(TreeNodeRecursion::Jump),
                Expr::AggregateFunction(call) => {
                    faults.long_mean |= is_long_mean(part, &schema);
                    // Of its own function the gate asks conditions, too, which are wrapped.
                    if call.func.name().starts_with("hedgerow_") {
                        return Ok(TreeNodeRecursion::Jump);
                    }
                    call.params.args.iter().for_each(|a| faults.find(a, &schema));
                    Ok(TreeNodeRecursion::Jump)
                }
                Expr::WindowFunction(_) => {
                    faults.long_mean |= is_long_mean(part, &schema);
                    Ok(TreeNodeRecursion::Continue)
                }
                _ => {
                    if windows {
                        faults.find(part, &schema);
                    }
                    Ok(TreeNodeRecursion::Continue)
                }
            })
        })
    });
    match walked {
        Ok(_) => faults.refusal().map_or(Ok(()), |refusal| Err(refusal.into())),
        Err(error) => Err(EngineError::internal("checking arguments", error)),
    }
}

impl Faults {
    /// Looks for what could fail in an argument. A CASE is wrapped as a whole.
    fn find(&mut self, argument: &Expr, schema: &DFSchema) {
        let visited = argument.apply(|part| {
            if matches!(part, Expr::Case(_)) {
                return Ok(TreeNodeRecursion::Jump);
            }
            if let Some((_, to)) = cast_of(part).filter(|_| !has_total_cast(part, schema)) {
                self.cast.get_or_insert(to);
            }
            if let Expr::BinaryExpr(binary) = part
                && is_arithmetic(binary.op)
                && !is_total_arithmetic(binary, schema)
            {
                self.operator.get_or_insert(binary.op);
            }
            if matches!(part, Expr::Negative(_)) {
                self.operator.get_or_insert(Operator::Minus);
            }
            Ok(TreeNodeRecursion::Continue)
        });
        debug_assert!(visited.is_ok(), "the visitor never fails");
    }

    fn refusal(self) -> Option<Refusal> {
        if let Some(operator) = self.operator {
            return Some(Refusal::new(
                Rule::S9Function,
                format!("`{operator}` over columns of these types may fail or wrap on a row"),
                "sum each column on its own, and calculate with the released results",
            ));
        }
        if let Some(to) = self.cast {
            return Some(Refusal::new(
                Rule::S9Function,
                format!(
                    "a column inside an aggregate would have to be read as {to}, which may fail"
                ),
                "aggregate a column as the type that it has; see `system.columns`",
            ));
        }
        self.long_mean.then(|| {
            Refusal::new(
                Rule::S9Function,
                "the mean of a decimal of so many digits may fail",
                "ask for sum and count, and divide",
            )
        })
    }
}

/// Every operator that computes; one that is not known is one.
fn is_arithmetic(operator: Operator) -> bool {
    use Operator as O;
    !matches!(
        operator,
        O::And
            | O::Or
            | O::StringConcat
            | O::Eq
            | O::NotEq
            | O::Lt
            | O::LtEq
            | O::Gt
            | O::GtEq
            | O::IsDistinctFrom
            | O::IsNotDistinctFrom
    )
}

fn is_total_arithmetic(binary: &BinaryExpr, schema: &DFSchema) -> bool {
    use DataType as T;
    let operator = match binary.op {
        Operator::Plus => BinaryOperator::Plus,
        Operator::Minus => BinaryOperator::Minus,
        Operator::Multiply => BinaryOperator::Multiply,
        _ => return false,
    };
    match (binary.left.get_type(schema), binary.right.get_type(schema)) {
        (Ok(T::Date32), Ok(T::Date32)) => operator == BinaryOperator::Minus,
        (Ok(T::Float64), Ok(T::Float64)) => true,
        (Ok(T::Decimal128(p, s)), Ok(T::Decimal128(q, t))) => {
            decimal_result(operator, (p, s), (q, t)).is_some()
        }
        _ => false,
    }
}

/// A mean has four decimals more than its argument, and fails where the digits are used up.
fn is_long_mean(expr: &Expr, schema: &DFSchema) -> bool {
    let arguments = match expr {
        Expr::AggregateFunction(call) if call.func.name() == "avg" => &call.params.args,
        Expr::WindowFunction(call) if call.fun.name() == "avg" => &call.params.args,
        _ => return false,
    };
    arguments.iter().any(|argument| {
        matches!(argument.get_type(schema), Ok(DataType::Decimal128(precision, _))
            if precision + 4 > DECIMAL128_MAX_PRECISION)
    })
}

/// Operand and target of a cast, whichever way it is written. A target that cannot be read is one
/// to which nothing casts safely.
fn cast_of(expr: &Expr) -> Option<(&Expr, DataType)> {
    match expr {
        Expr::Cast(cast) => Some((&cast.expr, cast.field.data_type().clone())),
        Expr::ScalarFunction(call) if call.func.name() == "arrow_cast" => {
            let to = call.args.get(1).and_then(|to| match to {
                Expr::Literal(text, _) => text.try_as_str().flatten()?.parse().ok(),
                _ => None,
            });
            Some((call.args.first()?, to.unwrap_or(DataType::Binary)))
        }
        _ => None,
    }
}

/// Casts that succeed on every value. A date is not read as a timestamp: far dates overflow.
fn casts_totally(from: &DataType, to: &DataType) -> bool {
    use DataType as T;
    if from == to {
        return true;
    }
    match (from, to) {
        (T::Null, _) | (_, T::Utf8 | T::LargeUtf8 | T::Utf8View) => true,
        (T::Dictionary(_, value), to) => casts_totally(value, to),
        (T::Boolean, to) => to.is_integer(),
        (T::Int16, T::Int32 | T::Int64) | (T::Int32, T::Int64) => true,
        (T::Float32, T::Float64) => true,
        (from, T::Float64) => from.is_integer() || matches!(from, T::Decimal128(..)),
        (T::Decimal128(p, s), T::Decimal128(q, t)) => {
            t >= s && whole_digits(*q, *t) >= whole_digits(*p, *s)
        }
        (T::Decimal128(p, s), T::Decimal256(q, t)) => {
            t >= s && whole_digits(*q, *t) >= whole_digits(*p, *s)
        }
        (T::Int16, T::Decimal128(p, s)) => whole_digits(*p, *s) >= 5,
        (T::Int32, T::Decimal128(p, s)) => whole_digits(*p, *s) >= 10,
        (T::Int64, T::Decimal128(p, s)) => whole_digits(*p, *s) >= 19,
        (T::UInt64, T::Decimal128(p, s)) => whole_digits(*p, *s) >= 20,
        (T::Timestamp(a, x), T::Timestamp(b, y)) => a == b && x == y,
        (T::Timestamp(..), T::Date32) => true,
        _ => false,
    }
}

fn whole_digits(precision: u8, scale: i8) -> i16 {
    i16::from(precision) - i16::from(scale)
}
