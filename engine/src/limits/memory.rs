//! Working memory: a pool for each statement, a child of its server's, so that a large one fails
//! alone. Main type: [`Memory`].

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{
    GreedyMemoryPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SessionState, TaskContext};
use hedgerow_catalog::Limits;

/// The memory of all statements of one server.
#[derive(Debug)]
pub(crate) struct Memory {
    all: Arc<dyn MemoryPool>,
    bytes_max_per_query: usize,
}

impl Memory {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            all: Arc::new(GreedyMemoryPool::new(limits.memory_bytes_max)),
            bytes_max_per_query: limits.memory_bytes_max_per_query,
        }
    }

    /// The memory of one more statement, given back when it is dropped.
    pub(crate) fn statement(&self) -> Arc<dyn MemoryPool> {
        let (all, maximum) = (Arc::clone(&self.all), self.bytes_max_per_query);
        Arc::new(StatementPool { all, used: AtomicUsize::new(0), maximum })
    }
}

/// The context one statement runs in: the session's, with working memory from `pool`.
///
/// Nothing is spilled to disk: temporary files would hold rows outside the organisation's own
/// storage.
pub(crate) fn task_context(
    state: &SessionState,
    pool: &Arc<dyn MemoryPool>,
) -> Result<Arc<TaskContext>> {
    let runtime = runtime(state, pool)?;
    Ok(Arc::new(TaskContext::from(state).with_runtime(runtime)))
}

/// The same for a plan that calls nothing by name: plans hold the functions they call, and only the
/// tables about functions look for others. Each context would have a copy of all their names.
pub(crate) fn plan_context(
    state: &SessionState,
    pool: &Arc<dyn MemoryPool>,
) -> Result<Arc<TaskContext>> {
    let runtime = runtime(state, pool)?;
    let (id, config) = (state.session_id().to_owned(), state.config().clone());
    let (scalar, higher, aggregate, window) = Default::default();
    Ok(Arc::new(TaskContext::new(None, id, config, scalar, higher, aggregate, window, runtime)))
}

fn runtime(state: &SessionState, pool: &Arc<dyn MemoryPool>) -> Result<Arc<RuntimeEnv>> {
    let no_files = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    RuntimeEnvBuilder::from_runtime_env(state.runtime_env())
        .with_disk_manager_builder(no_files)
        .with_memory_pool(Arc::clone(pool))
        .build_arc()
}

/// An account for what is held outside DataFusion's operators.
pub(crate) fn account(pool: &Arc<dyn MemoryPool>) -> MemoryReservation {
    MemoryConsumer::new("gathered").register(pool)
}

/// At most `maximum` bytes, and no more than there are in `all`.
#[derive(Debug)]
struct StatementPool {
    all: Arc<dyn MemoryPool>,
    used: AtomicUsize,
    maximum: usize,
}

fn exhausted(limit: &str) -> DataFusionError {
    DataFusionError::ResourcesExhausted(limit.to_owned())
}

impl fmt::Display for StatementPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name())
    }
}

impl MemoryPool for StatementPool {
    fn name(&self) -> &str {
        "statement"
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.used.fetch_add(additional, Ordering::Relaxed);
        self.all.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.used.fetch_sub(shrink, Ordering::Relaxed);
        self.all.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let within =
            |used: usize| used.checked_add(additional).filter(|more| *more <= self.maximum);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, within)
            .map_err(|_| exhausted("memory_bytes_max_per_query"))?;
        self.all.try_grow(reservation, additional).map_err(|_| {
            self.used.fetch_sub(additional, Ordering::Relaxed);
            exhausted("memory_bytes_max")
        })
    }

    fn reserved(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.maximum)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use super::*;

    #[test]
    fn a_statement_has_its_own_limit_and_that_of_all() {
        let memory = Memory::new(&Limits {
            memory_bytes_max_per_query: 100,
            memory_bytes_max: 150,
            ..Limits::default()
        });
        let (first, second) = (memory.statement(), memory.statement());
        let (one, two) = (account(&first), account(&second));
        one.try_grow(100).unwrap();
        let error = one.try_grow(1).unwrap_err().to_string();
        assert!(error.contains("memory_bytes_max_per_query"), "{error}");
        two.try_grow(50).unwrap();
        let error = two.try_grow(1).unwrap_err().to_string();
        assert!(error.contains("memory_bytes_max") && !error.contains("per_query"), "{error}");
        assert_eq!((first.reserved(), second.reserved(), memory.all.reserved()), (100, 50, 150));
        drop(one);
        assert_eq!((first.reserved(), memory.all.reserved()), (0, 50));
        two.try_grow(50).unwrap();
    }
}
