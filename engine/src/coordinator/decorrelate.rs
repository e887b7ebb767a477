//! Subqueries in conditions and columns as joins, by DataFusion's own rules.
//!
//! EXISTS and IN become semi- and anti-joins, a correlated scalar subquery becomes an outer join with
//! an aggregate. What the rules leave (an uncorrelated scalar subquery, for one) stays where it is.

use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::Optimizer;
use datafusion::optimizer::decorrelate_predicate_subquery::DecorrelatePredicateSubquery;
use datafusion::optimizer::scalar_subquery_to_join::ScalarSubqueryToJoin;

/// Rewrites the subqueries of a resolved plan; a plan that the rules cannot rewrite stays as it is.
pub(crate) fn decorrelated(plan: LogicalPlan, state: &SessionState) -> LogicalPlan {
    if !has_subquery(&plan) {
        return plan;
    }
    let optimizer = Optimizer::with_rules(vec![
        Arc::new(DecorrelatePredicateSubquery::new()),
        Arc::new(ScalarSubqueryToJoin::new()),
    ]);
    optimizer.optimize(plan.clone(), state, |_, _| {}).unwrap_or(plan)
}

fn has_subquery(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let visited = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            found |= expr.exists(|part| {
                Ok(matches!(part, Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_)))
            })?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found || visited.is_err()
}
