//! Short steps: work that is no longer wanted can only be dropped between two of them.
//!
//! Scans give way to others of themselves. Joins multiply what they read, so one batch of a scan may
//! stand for hours of work: their output gives way as well, and a join without keys is fed slice by
//! slice.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::RecordBatch;
use datafusion::common::internal_err;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::stream::{self, StreamExt};

/// Rows of the first slice; each is compared with every row of the other side in one step.
const SLICE_ROWS: usize = 128;
/// Rows of the largest slice.
const SLICE_ROWS_MAX: usize = 8_192;
/// How long a step may take before the next slice is made smaller, and how short it must be for a
/// larger one.
const STEP_LONG: Duration = Duration::from_millis(50);
const STEP_SHORT: Duration = Duration::from_millis(5);

/// The same plan, with its long steps cut.
pub(crate) fn short_steps(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let cut = plan.transform_up(|node| {
        let node = match node.downcast_ref::<NestedLoopJoinExec>() {
            Some(join) => {
                let sliced = Arc::new(SlicesExec { input: Arc::clone(join.right()) });
                let left = Arc::clone(join.left());
                replace_children_if_necessary(Arc::clone(&node), vec![left, sliced])?
            }
            None => node,
        };
        if joins(node.as_ref()) {
            return Ok(Transformed::yes(Arc::new(CooperativeExec::new(node)) as _));
        }
        Ok(Transformed::no(node))
    })?;
    Ok(cut.data)
}

fn joins(node: &dyn ExecutionPlan) -> bool {
    node.downcast_ref::<NestedLoopJoinExec>().is_some()
        || node.downcast_ref::<CrossJoinExec>().is_some()
        || node.downcast_ref::<HashJoinExec>().is_some()
        || node.downcast_ref::<SortMergeJoinExec>().is_some()
}

/// Passes its input on in slices, and lets others work after each.
#[derive(Debug)]
struct SlicesExec {
    input: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for SlicesExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlicesExec")
    }
}

impl ExecutionPlan for SlicesExec {
    fn name(&self) -> &str {
        "SlicesExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match <[_; 1]>::try_from(children) {
            Ok([input]) => Ok(Arc::new(Self { input })),
            Err(_) => internal_err!("slices have one input"),
        }
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let schema = input.schema();
        let slices = Slices { input, left: None, rows: SLICE_ROWS, handed: None };
        let in_turn = stream::try_unfold(slices, |mut slices| async {
            // The next slice is asked for when the join is done with the last one.
            tokio::task::yield_now().await;
            let slice = slices.next().await?;
            Ok(slice.map(|slice| (slice, slices)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, in_turn)))
    }
}

/// What is left of the batch at hand, and how much of it to give next.
struct Slices {
    input: SendableRecordBatchStream,
    left: Option<RecordBatch>,
    rows: usize,
    /// When the last slice was given.
    handed: Option<Instant>,
}

impl Slices {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.pace();
        let batch = match self.left.take() {
            Some(batch) => batch,
            None => match self.input.next().await {
                Some(batch) => batch?,
                None => return Ok(None),
            },
        };
        let given = self.rows.min(batch.num_rows());
        if given < batch.num_rows() {
            self.left = Some(batch.slice(given, batch.num_rows() - given));
        }
        self.handed = Some(Instant::now());
        Ok(Some(batch.slice(0, given)))
    }

    /// Sizes the next slice by how long the last one took.
    fn pace(&mut self) {
        let Some(took) = self.handed.take().map(|handed| handed.elapsed()) else { return };
        if took > STEP_LONG {
            self.rows = (self.rows / 2).max(1);
        } else if took < STEP_SHORT {
            self.rows = (self.rows * 2).min(SLICE_ROWS_MAX);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "test")]
mod tests {
    use datafusion::arrow::array::{ArrayRef, Int64Array};
    use datafusion::prelude::SessionContext;

    use super::*;
    use crate::work::{Size, run, workers};

    /// 900 million pairs from one batch on each side: minutes of work in one step, uncut.
    #[tokio::test]
    async fn a_join_without_keys_ends_when_it_is_dropped() {
        let context = SessionContext::new();
        for name in ["a", "b"] {
            let rows: ArrayRef = Arc::new(Int64Array::from_iter_values(0..30_000));
            let batch = RecordBatch::try_from_iter([("n", rows)]).unwrap();
            context.register_batch(name, batch).unwrap();
        }
        let sql = "SELECT count(*) FROM a JOIN b ON (a.n * b.n) % 1000003 = a.n + b.n";
        let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        let mut rows = run(short_steps(plan).unwrap(), context.task_ctx(), Size::Large).unwrap();
        let waited = tokio::time::timeout(Duration::from_millis(500), rows.next()).await;
        assert!(waited.is_err(), "the join is quick");
        assert!(workers(Size::Large).unwrap().metrics().num_alive_tasks() > 0);
        drop(rows);
        for _ in 0..100 {
            if workers(Size::Large).unwrap().metrics().num_alive_tasks() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the join goes on");
    }
}
