//! Ships the coordinator's own tables: where one is joined to rows of the organisations, its rows
//! take its place as an inline table, so that the join can go down to the nodes.
//!
//! Only the columns that the statement names are shipped, and no more rows and bytes than the limits
//! on inline tables allow. What is longer is joined at the coordinator where the other rows are open,
//! and fails the statement where they are protected.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, JoinType, ScalarValue};
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::logical_expr::{Expr, Join, LogicalPlan, LogicalPlanBuilder, Projection};
use datafusion::physical_plan::collect;
use hedgerow_catalog::Limits;

use super::cut::named;
use super::federate::{protected, target};
use super::own_tables::is_own;
use crate::error::EngineError;
use crate::limits::memory::task_context;
use crate::limits::passed;

/// Ships every own table that is joined to rows of the organisations.
///
/// # Errors
/// [`EngineError::Limit`] where a table is too long and can be joined nowhere else.
pub(crate) async fn shipped(
    plan: LogicalPlan,
    state: &SessionState,
    memory: &Arc<dyn MemoryPool>,
    limits: &Limits,
) -> std::result::Result<LogicalPlan, EngineError> {
    let wanted = wanted(&plan).map_err(EngineError::from_execution)?;
    if wanted.is_empty() {
        return Ok(plan);
    }
    let names = names(&plan).map_err(EngineError::from_execution)?;
    let mut rows: Vec<(LogicalPlan, LogicalPlan)> = vec![];
    for Wanted { plan: own, distinct, needed } in wanted {
        if rows.iter().any(|(known, _)| *known == own) {
            continue;
        }
        let narrow = narrow(&own, &names, distinct).map_err(EngineError::from_execution)?;
        match evaluated(&narrow, state, memory, limits).await {
            Ok(Some(inline)) => rows.push((own, inline)),
            Ok(None) => {}
            Err(limit @ EngineError::Limit { .. }) if needed => return Err(limit),
            Err(EngineError::Limit { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    replaced(plan, &rows).map_err(EngineError::from_execution)
}

/// A part of a plan to be shipped.
struct Wanted {
    plan: LogicalPlan,
    /// Its rows are asked for existence only: each once is enough.
    distinct: bool,
    /// It is joined to protected rows, which come to no coordinator.
    needed: bool,
}

/// The sides of joins that read own tables alone, where the other side reads rows of organisations.
fn wanted(plan: &LogicalPlan) -> Result<Vec<Wanted>> {
    let mut found = vec![];
    plan.apply_with_subqueries(|node| {
        let LogicalPlan::Join(join) = node else { return Ok(TreeNodeRecursion::Continue) };
        for (own, other, semi) in sides(join) {
            let reads = reads(own)?;
            if reads.own && !reads.federated {
                let (any, needed) = (reads_rows(other, false), reads_rows(other, true));
                if any {
                    let distinct = semi && !join.null_aware;
                    found.push(Wanted { plan: own.clone(), distinct, needed });
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// Each side of a join, the other side, and whether it is only asked for existence.
fn sides(join: &Join) -> [(&LogicalPlan, &LogicalPlan, bool); 2] {
    let of_right = matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti);
    let of_left = matches!(join.join_type, JoinType::RightSemi | JoinType::RightAnti);
    [(&join.left, &join.right, of_left), (&join.right, &join.left, of_right)]
}

#[derive(Default)]
struct Reads {
    own: bool,
    federated: bool,
}

fn reads(plan: &LogicalPlan) -> Result<Reads> {
    let mut reads = Reads::default();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            match is_own(scan) {
                true => reads.own = true,
                false => reads.federated = true,
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(reads)
}

/// Tells whether a plan yields rows of organisations, and not groups: any, or protected ones.
fn reads_rows(plan: &LogicalPlan, only_protected: bool) -> bool {
    match plan {
        LogicalPlan::TableScan(scan) if only_protected => protected(scan).is_some(),
        LogicalPlan::TableScan(scan) => target(scan).is_some(),
        LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_) => false,
        other => other.inputs().into_iter().any(|input| reads_rows(input, only_protected)),
    }
}

/// The names of all columns that a statement names anywhere.
fn names(plan: &LogicalPlan) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if let Expr::Column(column) | Expr::OuterReferenceColumn(_, column) = part {
                    names.insert(column.name.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(names)
}

/// Only the columns that are named.
fn narrow(own: &LogicalPlan, names: &BTreeSet<String>, distinct: bool) -> Result<LogicalPlan> {
    let all = || own.schema().iter();
    let mut kept: Vec<Expr> =
        all().filter(|(_, field)| names.contains(field.name())).map(Expr::from).collect();
    if kept.is_empty() {
        kept.extend(all().take(1).map(Expr::from));
    }
    let narrow = LogicalPlanBuilder::from(own.clone()).project(kept)?;
    if distinct { narrow.distinct()?.build() } else { narrow.build() }
}

/// The rows of a plan over own tables as a plan of constants; `None` where there are none.
async fn evaluated(
    plan: &LogicalPlan,
    state: &SessionState,
    memory: &Arc<dyn MemoryPool>,
    limits: &Limits,
) -> std::result::Result<Option<LogicalPlan>, EngineError> {
    // In one partition: the same rows in the same order give the same text.
    let mut state = state.clone();
    state.config_mut().options_mut().execution.target_partitions = 1;
    let most = limits.inline_rows_max;
    let batches = async {
        let first =
            LogicalPlanBuilder::from(plan.clone()).limit(0, Some(most.saturating_add(1)))?;
        let physical = state.create_physical_plan(&first.build()?).await?;
        collect(physical, task_context(&state, memory)?).await
    };
    let batches = batches.await.map_err(EngineError::from_execution)?;
    let count: usize = batches.iter().map(RecordBatch::num_rows).sum();
    if count > most {
        return Err(passed("inline_rows_max", count, most));
    }
    let (rows, bytes) = constants(&batches).map_err(EngineError::from_execution)?;
    if bytes > limits.inline_bytes_max {
        return Err(passed("inline_bytes_max", bytes, limits.inline_bytes_max));
    }
    if rows.is_empty() {
        return Ok(None);
    }
    inline(rows, plan).map(Some).map_err(EngineError::from_execution)
}

/// Rows as constants, and how many bytes their texts have.
fn constants(batches: &[RecordBatch]) -> Result<(Vec<Vec<Expr>>, usize)> {
    let (mut rows, mut bytes) = (vec![], 0);
    for batch in batches {
        for row in 0..batch.num_rows() {
            let values = batch.columns().iter().map(|column| {
                let value = ScalarValue::try_from_array(column, row)?;
                bytes += value.to_string().len();
                Ok(Expr::Literal(value, None))
            });
            rows.push(values.collect::<Result<Vec<_>>>()?);
        }
    }
    Ok((rows, bytes))
}

/// Constants under the names and types of `plan`.
fn inline(rows: Vec<Vec<Expr>>, plan: &LogicalPlan) -> Result<LogicalPlan> {
    let values = LogicalPlanBuilder::values(rows)?.build()?;
    let own: Vec<Column> = values.schema().columns();
    let columns = plan.schema().iter().zip(own).map(|((qualifier, field), own)| {
        named(Expr::Column(own), field.data_type(), values.schema(), qualifier, field.name())
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(values))?))
}

/// The plan with each part in `rows` replaced, and its schemas as they are then.
fn replaced(plan: LogicalPlan, rows: &[(LogicalPlan, LogicalPlan)]) -> Result<LogicalPlan> {
    if rows.is_empty() {
        return Ok(plan);
    }
    let changed = plan.transform_down_up_with_subqueries(
        |node| match rows.iter().find(|(own, _)| *own == node) {
            Some((_, inline)) => {
                Ok(Transformed::new(inline.clone(), true, TreeNodeRecursion::Jump))
            }
            None => Ok(Transformed::no(node)),
        },
        |node| match node {
            LogicalPlan::Values(_) | LogicalPlan::TableScan(_) => Ok(Transformed::no(node)),
            other => Ok(Transformed::yes(other.recompute_schema()?)),
        },
    );
    changed.map(|changed| changed.data)
}
