//! Limits on a resolved plan.
//!
//! The count follows every use of a CTE, as each later step does, subqueries included, and stops
//! where a limit is passed.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, LogicalPlan};
use hedgerow_catalog::Limits;

use super::passed;
use crate::error::EngineError;

/// Checks the size of a plan, subqueries included.
///
/// # Errors
/// [`EngineError::Limit`] on `plan_nodes_max`, `scans_max` or `inline_rows_max`.
pub(crate) fn check_plan(plan: &LogicalPlan, limits: &Limits) -> Result<(), EngineError> {
    let mut count = Count { nodes: 0, scans: 0, limits };
    count.plan(plan).map_err(EngineError::from_execution)
}

struct Count<'a> {
    nodes: usize,
    scans: usize,
    limits: &'a Limits,
}

impl Count<'_> {
    fn plan(&mut self, plan: &LogicalPlan) -> Result<()> {
        plan.apply(|node| {
            self.node(node)?;
            Ok(TreeNodeRecursion::Continue)
        })
        .map(|_| ())
    }

    fn node(&mut self, node: &LogicalPlan) -> Result<()> {
        self.nodes += 1;
        self.scans += usize::from(matches!(node, LogicalPlan::TableScan(_)));
        let Limits { plan_nodes_max, scans_max, inline_rows_max, .. } = *self.limits;
        if let LogicalPlan::Values(inline) = node
            && inline.values.len() > inline_rows_max
        {
            let rows = inline.values.len();
            return Err(DataFusionError::from(passed("inline_rows_max", rows, inline_rows_max)));
        }
        if self.nodes > plan_nodes_max {
            return Err(DataFusionError::from(passed(
                "plan_nodes_max",
                self.nodes,
                plan_nodes_max,
            )));
        }
        if self.scans > scans_max {
            return Err(DataFusionError::from(passed("scans_max", self.scans, scans_max)));
        }
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                match expr {
                    Expr::Exists(exists) => self.plan(&exists.subquery.subquery)?,
                    Expr::InSubquery(within) => self.plan(&within.subquery.subquery)?,
                    Expr::ScalarSubquery(scalar) => self.plan(&scalar.subquery)?,
                    Expr::SetComparison(compared) => self.plan(&compared.subquery.subquery)?,
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
        .map(|_| ())
    }
}
