//! Plans of statements asked before, so that asking again plans nothing. Main type: [`PlanCache`].
//!
//! A plan depends on the statement, on whether companions are asked for, on the contracts, which do
//! not change while a coordinator runs, and on what the nodes say they serve: names resolve by it.
//! Plans of an older state of the nodes are forgotten. Who asks, for what, and what is to be done
//! about a node that is down decide about a run and not about a plan.
//!
//! Only what [`is_repeatable`] is kept: the time of day and the system tables are read at planning.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility, WindowFunctionDefinition};

use super::rows::FederatedTable;

/// What a node of a plan, a column of one, and an expression take, in bytes: an estimate for
/// `limits.plans_cached_bytes_max`, by the sizes of their structures and what hangs on them.
const NODE_BYTES: usize = 512;
const COLUMN_BYTES: usize = 128;
const EXPRESSION_BYTES: usize = 384;

/// Plans of one coordinator, by statement.
#[derive(Debug)]
pub(crate) struct PlanCache<P> {
    plans_max: usize,
    bytes_max: usize,
    known: Mutex<Known<P>>,
    reused: AtomicU64,
    made: AtomicU64,
}

#[derive(Debug)]
struct Known<P> {
    /// The state of the nodes that the plans were made in.
    nodes: u64,
    plans: HashMap<(String, bool), Entry<P>>,
    bytes: usize,
    /// Counts look-ups, to tell which plan was used last.
    turn: u64,
}

#[derive(Debug)]
struct Entry<P> {
    plan: Arc<P>,
    bytes: usize,
    used: u64,
}

/// How many statements were answered by a plan that was there, and how many had to be planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanCounts {
    /// The plan was there.
    pub reused: u64,
    /// It had to be made.
    pub made: u64,
}

impl<P> PlanCache<P> {
    /// A cache of so many plans, of so many bytes in all as estimated.
    pub(crate) fn new(plans_max: usize, bytes_max: usize) -> Self {
        let known = Known { nodes: 0, plans: HashMap::new(), bytes: 0, turn: 0 };
        Self {
            plans_max,
            bytes_max,
            known: Mutex::new(known),
            reused: AtomicU64::new(0),
            made: AtomicU64::new(0),
        }
    }

    /// The plan of a statement, if one was made in this state of the nodes.
    pub(crate) fn find(&self, statement: &str, companions: bool, nodes: u64) -> Option<Arc<P>> {
        if self.plans_max == 0 {
            return None;
        }
        let key = (statement.to_owned(), companions);
        let mut known = self.known(nodes)?;
        known.turn += 1;
        let turn = known.turn;
        let entry = known.plans.get_mut(&key)?;
        entry.used = turn;
        self.reused.fetch_add(1, Ordering::Relaxed);
        Some(Arc::clone(&entry.plan))
    }

    /// Notes that a plan was made.
    pub(crate) fn note_made(&self) {
        self.made.fetch_add(1, Ordering::Relaxed);
    }

    /// Keeps a plan that was made in a state of the nodes; the ones unused for longest give way.
    pub(crate) fn keep(&self, key: (String, bool), nodes: u64, plan: &Arc<P>, bytes: usize) {
        let bytes = bytes.saturating_add(key.0.len());
        if self.plans_max == 0 || bytes > self.bytes_max {
            return;
        }
        let Some(mut known) = self.known(nodes) else { return };
        known.forget(&key);
        while known.plans.len() >= self.plans_max || known.bytes + bytes > self.bytes_max {
            let oldest = known.plans.iter().min_by_key(|(_, entry)| entry.used);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else { break };
            known.forget(&oldest);
        }
        known.turn += 1;
        known.bytes += bytes;
        let entry = Entry { plan: Arc::clone(plan), bytes, used: known.turn };
        known.plans.insert(key, entry);
    }

    /// How many plans were reused and made.
    pub(crate) fn counts(&self) -> PlanCounts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PlanCounts { reused: count(&self.reused), made: count(&self.made) }
    }

    /// The plans of a state of the nodes; `None` where a later one is known.
    fn known(&self, nodes: u64) -> Option<MutexGuard<'_, Known<P>>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.nodes < nodes {
            known.nodes = nodes;
            known.plans.clear();
            known.bytes = 0;
        }
        (known.nodes == nodes).then_some(known)
    }
}

impl<P> Known<P> {
    fn forget(&mut self, key: &(String, bool)) {
        if let Some(entry) = self.plans.remove(key) {
            self.bytes = self.bytes.saturating_sub(entry.bytes);
        }
    }
}

/// Tells whether a resolved plan means the same whenever it is made: it reads contract tables only,
/// and calls no function that depends on more than its arguments. What is not known to be so is not.
pub(crate) fn is_repeatable(resolved: &LogicalPlan) -> bool {
    let mut repeatable = true;
    let visited = resolved.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let provider = source_as_provider(&scan.source);
            repeatable &= provider.is_ok_and(|p| p.downcast_ref::<FederatedTable>().is_some());
        }
        node.apply_expressions(|expr| {
            repeatable &= !expr.exists(|part| Ok(is_changing(part))).unwrap_or(true);
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(if repeatable { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    repeatable && visited.is_ok()
}

/// Tells whether a part of an expression may be another one the next time.
fn is_changing(part: &Expr) -> bool {
    let volatility = match part {
        Expr::ScalarFunction(call) => call.func.signature().volatility,
        Expr::AggregateFunction(call) => call.func.signature().volatility,
        Expr::WindowFunction(call) => match &call.fun {
            WindowFunctionDefinition::AggregateUDF(function) => function.signature().volatility,
            WindowFunctionDefinition::WindowUDF(function) => function.signature().volatility,
        },
        Expr::ScalarVariable(..) | Expr::Placeholder(_) | Expr::HigherOrderFunction(_) => {
            Volatility::Volatile
        }
        _ => Volatility::Immutable,
    };
    volatility != Volatility::Immutable
}

/// What plans take, in bytes, as an estimate.
pub(crate) fn plan_bytes<'a>(plans: impl Iterator<Item = &'a LogicalPlan>) -> usize {
    let mut bytes = 0;
    for plan in plans {
        let visited = plan.apply_with_subqueries(|node| {
            bytes += NODE_BYTES + node.schema().fields().len() * COLUMN_BYTES;
            node.apply_expressions(|expr| {
                expr.apply(|_| {
                    bytes += EXPRESSION_BYTES;
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        });
        debug_assert!(visited.is_ok(), "the visitors never fail");
    }
    bytes
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use datafusion::prelude::SessionContext;

    use super::*;

    fn keep(cache: &PlanCache<u32>, statement: &str, nodes: u64, plan: u32) {
        cache.keep((statement.to_owned(), false), nodes, &Arc::new(plan), 10);
    }

    fn find(cache: &PlanCache<u32>, statement: &str, nodes: u64) -> Option<u32> {
        cache.find(statement, false, nodes).map(|plan| *plan)
    }

    #[test]
    fn a_plan_is_of_one_statement_and_of_one_state_of_the_nodes() {
        let cache = PlanCache::new(2, 1_000);
        keep(&cache, "a", 1, 7);
        assert_eq!(find(&cache, "a", 1), Some(7));
        assert_eq!(find(&cache, "A", 1), None);
        assert_eq!(cache.find("a", true, 1), None);
        assert_eq!(find(&cache, "a", 2), None);
        // A plan that was begun before the nodes changed comes too late.
        keep(&cache, "a", 1, 8);
        assert_eq!((find(&cache, "a", 1), find(&cache, "a", 2)), (None, None));
        keep(&cache, "a", 2, 9);
        assert_eq!(find(&cache, "a", 2), Some(9));
        assert_eq!(cache.counts(), PlanCounts { reused: 2, made: 0 });
    }

    #[test]
    fn what_was_unused_for_longest_gives_way() {
        // An entry is its ten bytes and a letter.
        for cache in [PlanCache::new(2, 1_000), PlanCache::new(100, 32)] {
            keep(&cache, "a", 1, 1);
            keep(&cache, "b", 1, 2);
            assert_eq!(find(&cache, "a", 1), Some(1));
            keep(&cache, "c", 1, 3);
            assert_eq!(find(&cache, "b", 1), None);
            assert_eq!((find(&cache, "a", 1), find(&cache, "c", 1)), (Some(1), Some(3)));
            keep(&cache, "c", 1, 4);
            assert_eq!((find(&cache, "a", 1), find(&cache, "c", 1)), (Some(1), Some(4)));
        }
        let none = PlanCache::new(0, 1_000);
        keep(&none, "a", 1, 1);
        assert_eq!(find(&none, "a", 1), None);
        let small = PlanCache::new(10, 5);
        keep(&small, "a", 1, 1);
        assert_eq!(find(&small, "a", 1), None);
    }

    #[tokio::test]
    async fn what_changes_by_itself_is_not_repeatable() {
        let context = SessionContext::new();
        for (sql, repeatable) in [
            ("SELECT 1 + 2, sum(x) OVER () FROM (VALUES (1)) AS t (x)", true),
            ("SELECT x FROM (VALUES (1)) AS t (x) WHERE x IN (SELECT abs(-1))", true),
            ("SELECT now()", false),
            ("SELECT current_date", false),
            ("SELECT random()", false),
            ("SELECT x FROM (VALUES (1)) AS t (x) WHERE x IN (SELECT random())", false),
            ("SELECT x FROM (VALUES (1)) AS t (x) ORDER BY current_time, x", false),
        ] {
            let plan = context.state().create_logical_plan(sql).await.unwrap();
            assert_eq!(is_repeatable(&plan), repeatable, "{sql}");
        }
        let rows: datafusion::arrow::array::ArrayRef =
            Arc::new(datafusion::arrow::array::Int64Array::from(vec![1]));
        let batch = datafusion::arrow::array::RecordBatch::try_from_iter([("n", rows)]).unwrap();
        context.register_batch("kept", batch).unwrap();
        let plan = context.state().create_logical_plan("SELECT n FROM kept").await.unwrap();
        assert!(!is_repeatable(&plan), "a table that is no contract's");
    }

    #[tokio::test]
    async fn a_longer_plan_takes_more() {
        let context = SessionContext::new();
        let mut sizes = vec![];
        for sql in ["SELECT 1", "SELECT 1, 2 + 3, 4", "SELECT * FROM (SELECT 1, 2 + 3, 4)"] {
            let plan = context.state().create_logical_plan(sql).await.unwrap();
            sizes.push(plan_bytes([&plan].into_iter()));
        }
        assert!(sizes.is_sorted_by(|a, b| a < b), "{sizes:?}");
    }
}
