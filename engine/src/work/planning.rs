//! Planning: on a large stack, within a deadline, and by few threads at once.
//!
//! A planner cannot be interrupted. One that overruns its deadline keeps its thread until it ends,
//! but the statement fails in time, and no more than [`PLANNERS_MAX`] such threads can come about.

use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Size, workers};
use crate::error::EngineError;

/// Most statements and fragments planned at once in a process; others wait, within their deadline.
const PLANNERS_MAX: usize = 16;

/// Does `work` on a thread of its own with a large stack.
///
/// # Errors
/// As `work`; [`EngineError::Planning`] when the deadline passes, waiting included.
pub(crate) async fn plan<T: Send + 'static>(
    timeout_ms: u64,
    work: impl Future<Output = Result<T, EngineError>> + Send + 'static,
) -> Result<T, EngineError> {
    static PLANNERS: Semaphore = Semaphore::const_new(PLANNERS_MAX);
    let handle = workers(Size::Small)?;
    let planned = async {
        let closed = |error| EngineError::internal("waiting for a planner", error);
        let place = PLANNERS.acquire().await.map_err(closed)?;
        let planner = handle.spawn_blocking(move || {
            let _place = place;
            handle.block_on(work)
        });
        planner.await.map_err(|error| EngineError::internal("planning", error))?
    };
    let late = |_| Err(EngineError::Planning { timeout_ms });
    timeout(Duration::from_millis(timeout_ms), planned).await.unwrap_or_else(late)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_endless_planner_ends_at_its_deadline() {
        let slow = async {
            std::thread::sleep(Duration::from_secs(2));
            Ok(())
        };
        let error = plan(50, slow).await.unwrap_err();
        assert!(matches!(error, EngineError::Planning { timeout_ms: 50 }), "{error}");
        assert_eq!(error.sqlstate(), "53400");
        assert_eq!(plan(10_000, async { Ok(7) }).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_deep_recursion_has_room() {
        fn depth(left: usize) -> usize {
            let padding = std::hint::black_box([left; 128]);
            if left == 0 { 0 } else { 1 + depth(left - 1) + padding[0] - left }
        }
        assert_eq!(plan(10_000, async { Ok(depth(20_000)) }).await.unwrap(), 20_000);
    }
}
