//! Where work is done: threads of our own, apart from those that serve the network, so that however
//! much is computed, logins, deadlines and cancellations are attended to.
//!
//! | part | does |
//! | --- | --- |
//! | [`planning`] | plans on a large stack, within a deadline |
//! | [`steps`] | cuts long steps of joins, so that dropping a statement ends it |
//!
//! Two pools of threads serve all nodes and coordinators of a process: [`Size`] says which is whose.

pub(crate) mod planning;
pub(crate) mod steps;

use std::sync::{Arc, OnceLock};

use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::EngineError;

/// Stack of a thread. It is reserved, not used: expressions are walked recursively, and the deepest
/// that the limits allow takes a few MiB.
const STACK_BYTES: usize = 64 << 20;
/// Batches that wait to be taken; the work behind them rests meanwhile.
const BATCHES_WAITING_MAX: usize = 2;

/// How much work is expected. A step of a large scan takes many times as long as a whole small
/// question, which has threads of its own so that it does not wait for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    Small,
    Large,
}

/// The threads that work is done on.
pub(crate) fn workers(size: Size) -> Result<&'static Handle, EngineError> {
    static SMALL: OnceLock<std::io::Result<Runtime>> = OnceLock::new();
    static LARGE: OnceLock<std::io::Result<Runtime>> = OnceLock::new();
    let (pool, name) = match size {
        Size::Small => (&SMALL, "hedgerow-small"),
        Size::Large => (&LARGE, "hedgerow-work"),
    };
    let runtime = pool.get_or_init(|| {
        Builder::new_multi_thread()
            .enable_all()
            .thread_name(name)
            .thread_stack_size(STACK_BYTES)
            .build()
    });
    let failed = |_| EngineError::Internal { what: "starting the worker threads", source: None };
    runtime.as_ref().map(Runtime::handle).map_err(failed)
}

/// Plans `plan`, which is optimised, into operators whose steps are short.
///
/// # Errors
/// As planning; [`EngineError::Planning`] when the deadline passes.
pub(crate) async fn physical(
    plan: LogicalPlan,
    state: Arc<SessionState>,
    timeout_ms: u64,
) -> Result<Arc<dyn ExecutionPlan>, EngineError> {
    planning::plan(timeout_ms, async move {
        let physical = state.query_planner().create_physical_plan(&plan, state.as_ref()).await;
        physical.and_then(steps::short_steps).map_err(EngineError::from_execution)
    })
    .await
}

/// Runs a plan on the worker threads, a little ahead of whoever takes its rows. Dropping the stream
/// ends the work.
///
/// # Errors
/// Where the worker threads could not be started.
pub(crate) fn run(
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    size: Size,
) -> Result<SendableRecordBatchStream, EngineError> {
    let mut builder = RecordBatchReceiverStreamBuilder::new(plan.schema(), BATCHES_WAITING_MAX);
    let taken = builder.tx();
    // Started here too: operators spawn their own tasks wherever they are started.
    let work = async move {
        let mut rows = execute_stream(plan, context)?;
        while let Some(batch) = rows.next().await {
            let failed = batch.is_err();
            if taken.send(batch).await.is_err() || failed {
                break;
            }
        }
        Ok(())
    };
    builder.spawn_on(work, workers(size)?);
    Ok(builder.build())
}
