//! Casts that type coercion adds, and arithmetic, must not be able to fail on some row (rule S9).
//!
//! `sex = 5` reads as a cast of a text column to a number once types are coerced; whether that
//! fails would depend on the rows. A protected fragment whose coerced plan holds such a cast is
//! refused, and one with arithmetic that could fail, or wrap, which would tell of rows as well:
//!
//! | arithmetic | of |
//! | --- | --- |
//! | `-` | two dates: 32-bit days, subtracted in 64 bits |
//! | `+ - *` | two floats: infinity is a value |
//! | `+ - *` | two decimals whose every result has at most 38 digits |

use datafusion::arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};
use hedgerow_policies::{BinaryOperator, Refusal, Rule, decimal_result};

use crate::error::EngineError;

/// Refuses a protected plan in which a cast or arithmetic could fail on a row.
pub(crate) fn check_total(plan: &LogicalPlan, state: &SessionState) -> Result<(), EngineError> {
    let coerced = state
        .analyzer()
        .execute_and_check(plan.clone(), state.config_options(), |_, _| {})
        .map_err(crate::parse::resolution_error)?;
    let mut fallible = None;
    let mut too_long = false;
    let mut computed = None;
    let walked = coerced.apply(|node| {
        let mut schema = DFSchema::empty();
        for input in node.inputs() {
            schema.merge(input.schema());
        }
        if let LogicalPlan::TableScan(scan) = node {
            schema.merge(&scan.projected_schema);
        }
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if let Some((operand, to)) = cast_of(part)
                    && !matches!(operand, Expr::Literal(..))
                    && !operand.get_type(&schema).is_ok_and(|from| is_total(&from, &to))
                {
                    fallible.get_or_insert(to);
                }
                too_long |= is_long_mean(part, &schema);
                if let Expr::BinaryExpr(binary) = part
                    && is_arithmetic(binary.op)
                    && !is_total_arithmetic(binary, &schema)
                {
                    computed.get_or_insert(binary.op);
                }
                if matches!(part, Expr::Negative(_)) {
                    computed.get_or_insert(Operator::Minus);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    if let Some(operator) = computed {
        return Err(Refusal::new(
            Rule::S9Function,
            format!("`{operator}` over columns of these types may fail or wrap on a row"),
            "sum each column on its own, and calculate with the released results",
        )
        .into());
    }
    match (walked, fallible) {
        (Ok(_), None) if too_long => Err(Refusal::new(
            Rule::S9Function,
            "the mean of a decimal of so many digits may fail",
            "ask for sum and count, and divide",
        )
        .into()),
        (Ok(_), None) => Ok(()),
        (Err(error), _) => Err(EngineError::internal("checking casts", error)),
        (Ok(_), Some(to)) => Err(Refusal::new(
            Rule::S9Function,
            format!("a column of a protected table would have to be read as {to}, which may fail"),
            "compare a column with constants of its own type; see `system.columns`",
        )
        .into()),
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
fn is_total(from: &DataType, to: &DataType) -> bool {
    use DataType as T;
    if from == to {
        return true;
    }
    match (from, to) {
        (T::Null, _) | (_, T::Utf8 | T::LargeUtf8 | T::Utf8View) => true,
        (T::Dictionary(_, value), to) => is_total(value, to),
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
