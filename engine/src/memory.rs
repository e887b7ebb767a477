//! One memory pool per query, so that a large one fails alone.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SessionState, TaskContext};

/// The context one query runs in: the session's, with at most `bytes_max` of working memory.
pub(crate) fn task_context(state: &SessionState, bytes_max: usize) -> Result<Arc<TaskContext>> {
    let runtime = RuntimeEnvBuilder::from_runtime_env(state.runtime_env())
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(bytes_max)))
        .build_arc()?;
    Ok(Arc::new(TaskContext::from(state).with_runtime(runtime)))
}
