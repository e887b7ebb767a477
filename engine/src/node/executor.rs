//! How a node runs an admitted fragment: the trait, and DataFusion inside this process.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::logical_expr::LogicalPlan;

use crate::error::EngineError;
use crate::limits::memory::plan_context;
use crate::work::{Size, physical, run};

/// Runs a judged, optimised plan over the organisation's own tables.
#[async_trait]
pub trait FragmentExecutor: Send + Sync + std::fmt::Debug {
    /// Starts the plan, with working memory from `memory`. Dropping the stream stops the work.
    ///
    /// # Errors
    /// Whatever planning or starting fails with; the caller keeps its text from clients.
    async fn execute(
        &self,
        plan: LogicalPlan,
        state: Arc<SessionState>,
        memory: Arc<dyn MemoryPool>,
    ) -> Result<SendableRecordBatchStream, EngineError>;
}

/// DataFusion in the node's own process.
#[derive(Debug)]
pub struct EmbeddedExecutor {
    /// Longest time to plan one fragment, in milliseconds.
    pub planning_timeout_ms: u64,
}

#[async_trait]
impl FragmentExecutor for EmbeddedExecutor {
    async fn execute(
        &self,
        plan: LogicalPlan,
        state: Arc<SessionState>,
        memory: Arc<dyn MemoryPool>,
    ) -> Result<SendableRecordBatchStream, EngineError> {
        // Whatever is not worth dividing is small.
        let size = match state.config().target_partitions() {
            1 => Size::Small,
            _ => Size::Large,
        };
        let context = plan_context(&state, &memory).map_err(EngineError::from_execution)?;
        let physical = physical(plan, state, self.planning_timeout_ms).await?;
        run(physical, context, size)
    }
}
