//! Grouping sets: nodes group by all keys, the coordinator makes the sets of those groups.
//! Main type: [`Sets`].

use std::sync::Arc;

use datafusion::error::Result as DfResult;
use datafusion::logical_expr::expr::{AggregateFunction as AggregateCall, GroupingSet};
use datafusion::logical_expr::{Aggregate, Expr as DfExpr, LogicalPlan, ident};

use super::split::{Merged, MergedBounds};
use crate::block::NotABlock;

/// An aggregate over grouping sets: the sets, and the same aggregate over all their keys.
pub(crate) struct Sets<'a> {
    sets: &'a GroupingSet,
    keys: Vec<&'a DfExpr>,
    /// The aggregate over all keys.
    pub(crate) plain: LogicalPlan,
}

impl<'a> Sets<'a> {
    /// The sets of an aggregate that has some.
    pub(crate) fn of(plan: &'a LogicalPlan) -> DfResult<Option<Self>> {
        let LogicalPlan::Aggregate(aggregate) = plan else { return Ok(None) };
        let [DfExpr::GroupingSet(sets)] = aggregate.group_expr.as_slice() else { return Ok(None) };
        let keys = sets.distinct_expr();
        let measures = aggregate.aggr_expr.iter();
        let measures = measures.filter(|expr| !aggregate_call(expr).is_some_and(is_grouping));
        let plain = Aggregate::try_new(
            Arc::clone(&aggregate.input),
            keys.iter().copied().cloned().collect(),
            measures.cloned().collect(),
        )?;
        Ok(Some(Self { sets, keys, plain: LogicalPlan::Aggregate(plain) }))
    }

    /// The column that holds a key at the coordinator.
    fn key(&self, expr: &DfExpr) -> DfExpr {
        key_of_sets(self.keys.iter().position(|key| *key == expr).unwrap_or(usize::MAX))
    }

    /// The sets over the columns that hold the keys at the coordinator.
    pub(crate) fn over_keys(&self) -> GroupingSet {
        let all = |list: &Vec<DfExpr>| list.iter().map(|e| self.key(e)).collect();
        match self.sets {
            GroupingSet::Rollup(list) => GroupingSet::Rollup(all(list)),
            GroupingSet::Cube(list) => GroupingSet::Cube(all(list)),
            GroupingSet::GroupingSets(lists) => {
                GroupingSet::GroupingSets(lists.iter().map(all).collect())
            }
        }
    }

    /// `grouping(key, …)`: told at the coordinator, where the sets are made.
    pub(crate) fn grouping(&self, call: &AggregateCall) -> Result<Merged, NotABlock> {
        if !call.params.args.iter().all(|argument| self.keys.contains(&argument)) {
            return Err(NotABlock::new("grouping() of what is no group key"));
        }
        let mut value = call.clone();
        value.params.args = call.params.args.iter().map(|a| self.key(a)).collect();
        let value = DfExpr::AggregateFunction(value);
        Ok(Merged::of(value, 0, MergedBounds::Unknown))
    }
}

/// The column that holds a key of the statement while its sets are made. Keys that are asked for once
/// are told apart here: a set may have one of them and not the other.
pub(crate) fn key_of_sets(index: usize) -> DfExpr {
    ident(format!("s{index}"))
}

/// Tells whether an aggregate is `grouping()`.
pub(crate) fn is_grouping(call: &AggregateCall) -> bool {
    call.func.name() == "grouping"
}

/// The call of an aggregate, which may have a name.
pub(crate) fn aggregate_call(expr: &DfExpr) -> Option<&AggregateCall> {
    match expr {
        DfExpr::Alias(alias) => aggregate_call(&alias.expr),
        DfExpr::AggregateFunction(call) => Some(call),
        _ => None,
    }
}
