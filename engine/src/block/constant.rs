//! Folds constants of a resolved plan: `now()` once for all nodes, and arithmetic on constants.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::execution::SessionState;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

/// Replaces every subexpression that reads no column by its value, subqueries included.
///
/// Stable functions are evaluated here, once; what fails to evaluate is left as it stands. Output
/// names are kept.
///
/// # Errors
/// Only where the plan cannot be rebuilt.
pub(crate) fn fold_constants(plan: LogicalPlan, state: &SessionState) -> Result<LogicalPlan> {
    let simplifier = simplifier(state);
    let folded = plan.transform_up_with_subqueries(|node| {
        let name_preserver = datafusion::logical_expr::expr_rewriter::NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = name_preserver.save(&expr);
            let folded = fold(expr, &simplifier)?;
            Ok(folded.update_data(|expr| name.restore(expr)))
        })
    })?;
    Ok(folded.data)
}

fn fold(expr: Expr, simplifier: &ExprSimplifier) -> Result<Transformed<Expr>> {
    expr.transform_down(|expr| {
        if !worth_folding(&expr) || !is_constant(&expr) {
            return Ok(Transformed::no(expr));
        }
        let value = simplified(expr.clone(), simplifier).filter(|e| matches!(e, Expr::Literal(..)));
        Ok(value.map_or_else(|| Transformed::no(expr), Transformed::yes))
    })
}

fn simplifier(state: &SessionState) -> ExprSimplifier {
    let context = SimplifyContext::builder()
        .with_config_options(state.config_options().clone())
        .with_current_time()
        .build();
    ExprSimplifier::new(context)
}

fn simplified(expr: Expr, simplifier: &ExprSimplifier) -> Option<Expr> {
    let coerced = simplifier.coerce(expr, &DFSchema::empty()).ok()?;
    simplifier.simplify(coerced).ok()
}

fn worth_folding(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::BinaryExpr(_) | Expr::ScalarFunction(_) | Expr::Cast(_) | Expr::Negative(_)
    )
}

fn is_constant(expr: &Expr) -> bool {
    let varies = expr.exists(|node| {
        Ok(match node {
            Expr::ScalarFunction(function) => {
                function.func.signature().volatility == Volatility::Volatile
            }
            Expr::Literal(..)
            | Expr::BinaryExpr(_)
            | Expr::Cast(_)
            | Expr::TryCast(_)
            | Expr::Negative(_)
            | Expr::Not(_)
            | Expr::Case(_)
            | Expr::Alias(_) => false,
            _ => true,
        })
    });
    !varies.unwrap_or(true)
}

/// The value of one expression that reads no column.
pub(crate) fn fold_expr(
    expr: Expr,
    state: &SessionState,
) -> Option<datafusion::common::ScalarValue> {
    match simplified(expr, &simplifier(state))? {
        Expr::Literal(value, _) => Some(value),
        _ => None,
    }
}
