//! Cuts out of a plan what every node can make of open tables alone, whole: joins within an
//! organisation, groups that one organisation has to itself, rows in an order up to a limit.
//!
//! What is cut stands in the plan as a table of rows ([`FederatedTable`]), so the optimiser pushes
//! filters, columns and limits into it as into any other.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Column, DFSchema, DFSchemaRef, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    Expr as DfExpr, ExprSchemable, FetchType, Filter, Join, JoinType, Limit, LogicalPlan,
    LogicalPlanBuilder, Projection, SkipType, cast,
};
use hedgerow_policies::{Block, Expr, Join as BlockJoin, Output};

use super::rows::FederatedTable;

/// Tells whether cutting a plan as a whole is worth the trial: it joins, groups or has windows. Filters and
/// columns of one table are pushed by the optimiser. Rows that are in an order stay so.
pub(crate) fn is_worth_cutting(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Join(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Window(_) => true,
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Filter(_) => {
            plan.inputs().into_iter().all(is_worth_cutting)
        }
        _ => false,
    }
}

/// How many rows a LIMIT needs in all; `None` where that is not a constant.
pub(crate) fn rows_needed(limit: &Limit) -> Option<u64> {
    match (limit.get_fetch_type().ok()?, limit.get_skip_type().ok()?) {
        (FetchType::Literal(Some(fetch)), SkipType::Literal(skip)) => {
            u64::try_from(fetch.checked_add(skip)?).ok()
        }
        _ => None,
    }
}

/// Tells whether a block pairs every row of one relation with every row of another: the pairs are
/// made where they are needed, not sent.
pub(crate) fn is_product(block: &Block) -> bool {
    if matches!(block.output, Output::Rows { limit: Some(_), .. }) {
        return false;
    }
    let mut met = vec![0];
    loop {
        let before = met.len();
        for (index, relation) in block.from.iter().enumerate() {
            let conditions = match relation.join {
                BlockJoin::First | BlockJoin::Inner => block.filter.as_slice(),
                BlockJoin::NotIn(_) | BlockJoin::Semi(_) | BlockJoin::Anti(_) => {
                    if !met.contains(&index) {
                        met.push(index);
                    }
                    continue;
                }
                BlockJoin::Left(ref on) => on.as_slice(),
            };
            let links = |condition: &Expr| {
                let read = condition.relations();
                matches!(condition, Expr::Binary { operator, .. }
                    if *operator == hedgerow_policies::BinaryOperator::Equal)
                    && read.contains(&index)
                    && read.iter().any(|other| *other != index && met.contains(other))
            };
            if !met.contains(&index) && conditions.iter().any(links) {
                met.push(index);
            }
        }
        if met.len() == before {
            return met.len() < block.from.len();
        }
    }
}

/// The plan node of a cut: a scan of what the nodes make, under the names and types of `output`.
pub(crate) fn scan_of(
    table: FederatedTable,
    name: &str,
    output: &DFSchemaRef,
    types: &[DataType],
) -> DfResult<LogicalPlan> {
    let source = provider_as_source(Arc::new(table));
    let scan = LogicalPlanBuilder::scan(name, source, None)?.build()?;
    let exprs = output
        .iter()
        .enumerate()
        .map(|(index, (qualifier, field))| {
            let column = DfExpr::Column(Column::new(Some(name), format!("c{index}")));
            let data_type = types.get(index).unwrap_or(field.data_type());
            named(column, data_type, scan.schema(), qualifier, field.name())
        })
        .collect::<DfResult<Vec<_>>>()?;
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(scan))?))
}

/// Casts where the type differs and gives the name of the column that is replaced.
pub(crate) fn named(
    expr: DfExpr,
    data_type: &DataType,
    schema: &DFSchema,
    qualifier: Option<&TableReference>,
    name: &str,
) -> DfResult<DfExpr> {
    let own = expr.get_type(schema)?;
    let expr = if own == *data_type { expr } else { cast(expr, data_type.clone()) };
    Ok(expr.alias_qualified(qualifier.cloned(), name))
}

/// Moves the conditions of a filter towards the tables they speak of, as far as they keep their
/// meaning, so that joins below have them as their own.
pub(crate) fn sink(filter: Filter) -> DfResult<LogicalPlan> {
    let conditions = split_conjunction_owned(filter.predicate);
    sink_all(conditions, Arc::unwrap_or_clone(filter.input))
}

fn sink_all(mut conditions: Vec<DfExpr>, plan: LogicalPlan) -> DfResult<LogicalPlan> {
    match plan {
        LogicalPlan::Filter(filter) => {
            conditions.extend(split_conjunction_owned(filter.predicate));
            sink_all(conditions, Arc::unwrap_or_clone(filter.input))
        }
        LogicalPlan::Projection(projection)
            if projection.expr.iter().all(|expr| matches!(expr, DfExpr::Column(_))) =>
        {
            let input = sink_all(conditions, Arc::unwrap_or_clone(projection.input))?;
            Ok(LogicalPlan::Projection(Projection::try_new(projection.expr, Arc::new(input))?))
        }
        LogicalPlan::Join(join) if !join.null_aware => sink_into_join(conditions, join),
        other => above(conditions, other),
    }
}

fn sink_into_join(conditions: Vec<DfExpr>, join: Join) -> DfResult<LogicalPlan> {
    let inner = join.join_type == JoinType::Inner;
    let keeps_left = matches!(
        join.join_type,
        JoinType::Inner
            | JoinType::Left
            | JoinType::LeftSemi
            | JoinType::LeftAnti
            | JoinType::LeftMark
    );
    let (mut left, mut right, mut both, mut rest) = (vec![], vec![], vec![], vec![]);
    for condition in conditions {
        let reads = |schema: &DFSchema| {
            let columns = condition.column_refs();
            !columns.is_empty() && columns.into_iter().all(|c| schema.has_column(c))
        };
        if keeps_left && reads(join.left.schema()) {
            left.push(condition);
        } else if inner && reads(join.right.schema()) {
            right.push(condition);
        } else if inner && !reads_subquery(&condition) {
            both.push(condition);
        } else {
            rest.push(condition);
        }
    }
    let left = sink_all(left, Arc::unwrap_or_clone(join.left))?;
    let right = sink_all(right, Arc::unwrap_or_clone(join.right))?;
    let condition = conjunction(join.filter.into_iter().chain(both));
    let join = Join::try_new(
        Arc::new(left),
        Arc::new(right),
        join.on,
        condition,
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    above(rest, LogicalPlan::Join(join))
}

fn reads_subquery(condition: &DfExpr) -> bool {
    let found = condition.exists(|part| {
        Ok(matches!(part, DfExpr::ScalarSubquery(_) | DfExpr::Exists(_) | DfExpr::InSubquery(_)))
    });
    found.unwrap_or(true)
}

fn above(conditions: Vec<DfExpr>, plan: LogicalPlan) -> DfResult<LogicalPlan> {
    match conjunction(conditions) {
        None => Ok(plan),
        Some(predicate) => Ok(LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(plan))?)),
    }
}
