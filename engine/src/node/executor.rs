//! How a node runs an admitted fragment: the trait, and DataFusion inside this process.

use async_trait::async_trait;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;

use crate::memory::task_context;

/// Runs a resolved, judged plan over the organisation's own tables.
#[async_trait]
pub trait FragmentExecutor: Send + Sync + std::fmt::Debug {
    /// Starts the plan. Dropping the stream stops the work.
    ///
    /// # Errors
    /// Whatever planning or starting fails with; the caller keeps its text from clients.
    async fn execute(
        &self,
        plan: &LogicalPlan,
        state: &SessionState,
    ) -> Result<SendableRecordBatchStream>;
}

/// DataFusion in the node's own process.
#[derive(Debug)]
pub struct EmbeddedExecutor {
    /// Working memory one fragment may use.
    pub memory_bytes_max: usize,
}

#[async_trait]
impl FragmentExecutor for EmbeddedExecutor {
    async fn execute(
        &self,
        plan: &LogicalPlan,
        state: &SessionState,
    ) -> Result<SendableRecordBatchStream> {
        let physical = state.create_physical_plan(plan).await?;
        execute_stream(physical, task_context(state, self.memory_bytes_max)?)
    }
}
