//! Narrows an aggregate to the groups that are asked for.
//!
//! A correlated subquery becomes an aggregate over all its groups, joined to the rows that asked
//! (`decorrelate`). Where the rows that ask are chosen by reference tables, which every node has, the
//! choice is pushed below the aggregate, so that no other group is computed or sent:
//!
//! ```text
//! Join on part.key = sums.key          Join on part.key = sums.key
//!   Filter brand = …                     Filter brand = …
//!     part                                 part
//!   sums: Aggregate by key       ->      sums: Aggregate by key
//!     line                                 Semi join on line.key = part.key
//!                                            line
//!                                            Filter brand = …
//!                                              part
//! ```

use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Expr, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Operator,
    Projection, SubqueryAlias,
};

use super::carry::bare_column;

/// Narrows the aggregate on one side of a join to what the other side asks for. `is_reference` tells
/// whether a plan reads reference tables only.
///
/// `number` makes the names of what is added unique in the statement.
pub(crate) fn narrowed(
    join: &Join,
    number: usize,
    is_reference: &dyn Fn(&LogicalPlan) -> bool,
) -> DfResult<Option<LogicalPlan>> {
    let right_may = matches!(join.join_type, JoinType::Inner | JoinType::Left);
    let left_may = matches!(join.join_type, JoinType::Inner | JoinType::Right);
    let pairs = equated(join);
    let sides =
        [(right_may, &join.right, &join.left, false), (left_may, &join.left, &join.right, true)];
    for (may, groups, asking, swapped) in sides {
        if !may {
            continue;
        }
        let pairs: Vec<(Column, Column)> = pairs
            .iter()
            .map(|(left, right)| match swapped {
                false => (left.clone(), right.clone()),
                true => (right.clone(), left.clone()),
            })
            .collect();
        let Some(wanted) = wanted(asking, &pairs, is_reference) else { continue };
        let Some(groups) = over_wanted(groups, &wanted, number)? else { continue };
        let (left, right) = match swapped {
            false => (Arc::clone(&join.left), Arc::new(groups)),
            true => (Arc::new(groups), Arc::clone(&join.right)),
        };
        let join = Join { left, right, ..join.clone() };
        return Ok(Some(LogicalPlan::Join(join)));
    }
    Ok(None)
}

/// The columns that a join equates, left and right.
fn equated(join: &Join) -> Vec<(Column, Column)> {
    let mut pairs = vec![];
    let mut add = |a: &Expr, b: &Expr| {
        if let (Expr::Column(a), Expr::Column(b)) = (a, b) {
            let is_left = |column: &Column| join.left.schema().has_column(column);
            let is_right = |column: &Column| join.right.schema().has_column(column);
            if is_left(a) && is_right(b) {
                pairs.push((a.clone(), b.clone()));
            } else if is_left(b) && is_right(a) {
                pairs.push((b.clone(), a.clone()));
            }
        }
    };
    for (left, right) in &join.on {
        add(left, right);
    }
    for condition in join.filter.iter().flat_map(split_conjunction) {
        if let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition {
            add(left, right);
        }
    }
    pairs
}

/// The rows that ask, and which of their columns ask for which column of the groups.
struct Wanted {
    rows: LogicalPlan,
    pairs: Vec<(Column, Column)>,
}

/// The part of `plan` that chooses its rows by reference tables, and holds columns of `pairs`.
fn wanted(
    plan: &LogicalPlan,
    pairs: &[(Column, Column)],
    is_reference: &dyn Fn(&LogicalPlan) -> bool,
) -> Option<Wanted> {
    let here: Vec<(Column, Column)> =
        pairs.iter().filter(|(own, _)| plan.schema().has_column(own)).cloned().collect();
    if here.is_empty() {
        return None;
    }
    if is_reference(plan) {
        return chooses(plan).then(|| Wanted { rows: plan.clone(), pairs: here });
    }
    match plan {
        LogicalPlan::Filter(filter) => wanted(&filter.input, &here, is_reference),
        LogicalPlan::Projection(projection)
            if projection.expr.iter().all(|expr| matches!(expr, Expr::Column(_))) =>
        {
            wanted(&projection.input, &here, is_reference)
        }
        LogicalPlan::Join(join) => match join.join_type {
            JoinType::Inner => wanted(&join.left, &here, is_reference)
                .or_else(|| wanted(&join.right, &here, is_reference)),
            JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti => {
                wanted(&join.left, &here, is_reference)
            }
            _ => None,
        },
        _ => None,
    }
}

/// Tells whether a plan leaves rows out.
fn chooses(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let visited = plan.apply_with_subqueries(|node| {
        found |= matches!(node, LogicalPlan::Filter(_) | LogicalPlan::Join(_));
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found && visited.is_ok()
}

/// The aggregate at the bottom of `plan`, over those rows only that fall into a wanted group.
fn over_wanted(
    plan: &LogicalPlan,
    wanted: &Wanted,
    number: usize,
) -> DfResult<Option<LogicalPlan>> {
    let below =
        |input: &LogicalPlan, schema: &DFSchema, under: &dyn Fn(&Column) -> Option<Column>| {
            let pairs = wanted.pairs.iter().filter_map(|(own, group)| {
                schema.has_column(group).then(|| Some((own.clone(), under(group)?))).flatten()
            });
            let wanted = Wanted { rows: wanted.rows.clone(), pairs: pairs.collect() };
            over_wanted(input, &wanted, number)
        };
    match plan {
        LogicalPlan::SubqueryAlias(alias) => {
            let under = |column: &Column| {
                let index = alias.schema.maybe_index_of_column(column)?;
                let (qualifier, field) = alias.input.schema().iter().nth(index)?;
                Some(Column::new(qualifier.cloned(), field.name()))
            };
            let Some(input) = below(&alias.input, &alias.schema, &under)? else { return Ok(None) };
            let alias = SubqueryAlias::try_new(Arc::new(input), alias.alias.clone())?;
            Ok(Some(LogicalPlan::SubqueryAlias(alias)))
        }
        LogicalPlan::Projection(projection) => {
            let under = |column: &Column| {
                let index = projection.schema.maybe_index_of_column(column)?;
                bare_column(projection.expr.get(index)?).cloned()
            };
            let Some(input) = below(&projection.input, &projection.schema, &under)? else {
                return Ok(None);
            };
            let exprs = projection.expr.clone();
            Ok(Some(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?)))
        }
        LogicalPlan::Aggregate(aggregate) => narrow(aggregate, wanted, number),
        _ => Ok(None),
    }
}

fn narrow(aggregate: &Aggregate, wanted: &Wanted, number: usize) -> DfResult<Option<LogicalPlan>> {
    let keys: Vec<(Column, Column)> = wanted
        .pairs
        .iter()
        .filter(|(_, group)| aggregate.group_expr.iter().any(|key| bare_column(key) == Some(group)))
        .cloned()
        .collect();
    if keys.is_empty() {
        return Ok(None);
    }
    let alias = format!("wanted_{number}");
    let columns = keys.iter().enumerate();
    let columns = columns.map(|(n, (own, _))| Expr::Column(own.clone()).alias(format!("w{n}")));
    let rows = LogicalPlanBuilder::from(wanted.rows.clone())
        .project(columns.collect::<Vec<_>>())?
        .alias(alias.as_str())?
        .build()?;
    let equal = keys.iter().enumerate().map(|(n, (_, group))| {
        let own = Expr::Column(Column::new(Some(alias.as_str()), format!("w{n}")));
        Expr::Column(group.clone()).eq(own)
    });
    let input = LogicalPlanBuilder::from(aggregate.input.as_ref().clone())
        .join_on(rows, JoinType::LeftSemi, equal)?
        .build()?;
    let narrowed = Aggregate::try_new(
        Arc::new(input),
        aggregate.group_expr.clone(),
        aggregate.aggr_expr.clone(),
    )?;
    Ok(Some(LogicalPlan::Aggregate(narrowed)))
}
