//! DataFusion's rules over logical plans, with what they get wrong kept away from them.
//!
//! Entry: [`logical_rules`].

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, Projection,
};
use datafusion::optimizer::optimizer::{ApplyOrder, Optimizer};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::days::days_between;

type Rule = Arc<dyn OptimizerRule + Send + Sync>;

/// The first rule that makes filters of the conditions of joins.
const MOVES_CONDITIONS: &str = "eliminate_cross_join";
/// The rule that adds up sums.
const ADDS_SUMS_UP: &str = "single_distinct_aggregation_to_group_by";

/// The rules that a plan is optimised by, in their order.
pub(crate) fn logical_rules() -> Vec<Rule> {
    let mut rules: Vec<Rule> = vec![];
    for rule in Optimizer::new().rules {
        if rule.name() == MOVES_CONDITIONS {
            rules.push(Arc::new(Conditions));
        }
        rules.push(match rule.name() == ADDS_SUMS_UP {
            true => Arc::new(SameTypes { rule }),
            false => rule,
        });
    }
    rules
}

/// Writes conditions in a form that other rules read rightly: the constant of a comparison to the
/// right, where conditions of joins have it on either side, and differences of dates as a function.
#[derive(Debug)]
struct Conditions;

impl OptimizerRule for Conditions {
    fn name(&self) -> &str {
        "conditions"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Filter(mut filter) => {
                let schema = filter.input.schema();
                let days = filter.predicate.transform(|expr| Ok(days_as_function(expr, schema)))?;
                filter.predicate = days.data;
                Ok(Transformed::new_transformed(LogicalPlan::Filter(filter), days.transformed))
            }
            LogicalPlan::Join(mut join) => {
                let Some(condition) = join.filter.take() else {
                    return Ok(Transformed::no(LogicalPlan::Join(join)));
                };
                let sides = join.left.schema().join(join.right.schema())?;
                let written = condition.transform(|expr| {
                    days_as_function(expr, &sides).transform_data(|expr| Ok(constant_right(expr)))
                })?;
                join.filter = Some(written.data);
                Ok(Transformed::new_transformed(LogicalPlan::Join(join), written.transformed))
            }
            other => Ok(Transformed::no(other)),
        }
    }
}

fn constant_right(expr: Expr) -> Transformed<Expr> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else {
        return Transformed::no(expr);
    };
    match op.swap() {
        Some(swapped) if left.as_literal().is_some() && right.as_literal().is_none() => {
            Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(right, swapped, left)))
        }
        _ => Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })),
    }
}

fn days_as_function(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let is_date =
        |expr: &Expr| expr.get_type(schema).is_ok_and(|data_type| data_type == DataType::Date32);
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Minus, right })
            if is_date(&left) && is_date(&right) =>
        {
            Transformed::yes(days_between(*left, *right))
        }
        other => Transformed::no(other),
    }
}

/// Applies a rule, and gives columns the types back that they had before.
#[derive(Debug)]
struct SameTypes {
    rule: Rule,
}

impl OptimizerRule for SameTypes {
    fn name(&self) -> &str {
        self.rule.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.rule.apply_order()
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        let before = Arc::clone(plan.schema());
        let after = self.rule.rewrite(plan, config)?;
        if !after.transformed {
            return Ok(after);
        }
        let mut types = before.fields().iter().zip(after.data.schema().fields());
        if types.all(|(before, after)| before.data_type() == after.data_type()) {
            return Ok(after);
        }
        after.map_data(|plan| {
            let columns = plan.schema().columns().into_iter().zip(before.fields());
            let columns = columns.map(|(column, field)| {
                let (relation, name) = (column.relation.clone(), column.name.clone());
                let value = Expr::Column(column).cast_to(field.data_type(), plan.schema())?;
                Ok(value.alias_qualified(relation, name))
            });
            let columns = columns.collect::<Result<Vec<_>>>()?;
            Projection::try_new(columns, Arc::new(plan)).map(LogicalPlan::Projection)
        })
    }
}
