//! A stream of messages that ends in time. Main type: [`Guarded`].
//!
//! Dropping it, its deadline, a cancellation and the end of the server all drop the work behind it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use arrow_flight::FlightData;
use futures::stream::BoxStream;
use futures::task::AtomicWaker;
use futures::{Stream, StreamExt, ready};
use hedgerow_engine::{EngineError, sqlstate};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tonic::Status;

use super::log::Line;
use crate::status::{engine_status, from_status, to_status, wire_error};

/// What ends work before it is done.
#[derive(Clone)]
pub(super) struct Halt {
    deadline: Instant,
    timeout: Duration,
    cancelled: Option<watch::Receiver<u64>>,
    stopping: watch::Receiver<bool>,
}

impl Halt {
    /// Halts `left` from now, of `timeout` in all; when `cancelled` changes; when the server stops.
    pub(super) fn new(
        timeout: Duration,
        left: Duration,
        cancelled: Option<watch::Receiver<u64>>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        Self { deadline: Instant::now() + left, timeout, cancelled, stopping }
    }

    /// Waits for the first reason to halt.
    pub(super) async fn reason(mut self) -> Status {
        let cancelled = async {
            let changed = match &mut self.cancelled {
                Some(cancelled) => cancelled.changed().await.is_ok(),
                None => false,
            };
            if !changed {
                std::future::pending::<()>().await;
            }
        };
        let stopping = async {
            if self.stopping.wait_for(|stopping| *stopping).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = tokio::time::sleep_until(self.deadline) => {
                let timeout_ms = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
                engine_status(&EngineError::Timeout { timeout_ms })
            }
            () = cancelled => halted("the statement was cancelled"),
            () = stopping => halted("the server is stopping"),
        }
    }

    /// Does `work` unless halted first.
    pub(super) async fn race<T>(
        &self,
        work: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        tokio::select! {
            biased;
            done = work => done,
            status = self.clone().reason() => Err(status),
        }
    }
}

fn halted(message: &str) -> Status {
    to_status(&wire_error(sqlstate::CANCELLED, message, None))
}

/// Makes the last message, once the others are sent; `None` when there is nothing more to say.
pub(super) type Closing = Box<dyn FnOnce() -> Result<Option<FlightData>, Status> + Send>;

/// Messages, their guard, their place among the running and their line in the log.
///
/// A client that stops reading polls no more, so the guard has a task of its own: what halts the
/// work drops it there and then, read or not.
pub(super) struct Guarded {
    shared: Arc<Shared>,
    watch: JoinHandle<()>,
}

/// What the stream and its watch share.
struct Shared {
    state: Mutex<State>,
    /// Who waits for the next message.
    reader: AtomicWaker,
}

/// One of three, changed under one lock: an answer that was halted must never look whole.
enum State {
    Running(Box<Work>),
    /// Halted, and the reader has not been told yet.
    Halted(Box<Status>),
    Ended,
}

struct Work {
    messages: BoxStream<'static, Result<FlightData, Status>>,
    closing: Option<Closing>,
    line: Line,
    _place: OwnedSemaphorePermit,
}

impl Guarded {
    pub(super) fn new(
        messages: BoxStream<'static, Result<FlightData, Status>>,
        closing: Option<Closing>,
        halt: Halt,
        line: Line,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let messages = messages.fuse().boxed();
        let work = Box::new(Work { messages, closing, line, _place: place });
        let shared = Arc::new(Shared {
            state: Mutex::new(State::Running(work)),
            reader: AtomicWaker::new(),
        });
        let watched = Arc::clone(&shared);
        let watch = tokio::spawn(async move {
            let status = halt.reason().await;
            watched.halt(status);
        });
        Self { shared, watch }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops the work, unless it has ended, and leaves word for the reader.
    fn halt(&self, status: Status) {
        let outcome = from_status(&status).sqlstate;
        let mut state = self.lock();
        if !matches!(*state, State::Running(_)) {
            return;
        }
        let before = std::mem::replace(&mut *state, State::Halted(Box::new(status)));
        drop(state);
        if let State::Running(work) = before {
            work.end(&outcome);
        }
        self.reader.wake();
    }
}

impl Work {
    fn end(mut self, outcome: &str) {
        self.line.set_outcome(outcome);
    }

    /// The next message; `None` at the end.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<FlightData, Status>>> {
        if let Some(message) = ready!(self.messages.poll_next_unpin(cx)) {
            return Poll::Ready(Some(message));
        }
        Poll::Ready(self.closing.take().and_then(|closing| closing().transpose()))
    }
}

impl Stream for Guarded {
    type Item = Result<FlightData, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.shared.reader.register(cx.waker());
        let mut state = self.shared.lock();
        let State::Running(work) = &mut *state else {
            return Poll::Ready(match std::mem::replace(&mut *state, State::Ended) {
                State::Halted(status) => Some(Err(*status)),
                State::Running(_) | State::Ended => None,
            });
        };
        let item = ready!(work.poll(cx));
        let outcome = match &item {
            Some(Ok(_)) => return Poll::Ready(item),
            Some(Err(status)) => from_status(status).sqlstate,
            None => "ok".to_owned(),
        };
        if let State::Running(work) = std::mem::replace(&mut *state, State::Ended) {
            work.end(&outcome);
        }
        Poll::Ready(item)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.watch.abort();
        *self.shared.lock() = State::Ended;
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use futures::stream;
    use tokio::sync::Semaphore;

    use super::super::log::Role;
    use super::*;
    use crate::metrics::Metrics;

    /// The deadline may fall between any two messages.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn what_is_halted_never_looks_whole() {
        for round in 0..200 {
            let (_cancel, cancelled) = watch::channel(0);
            let (_stop, stopping) = watch::channel(false);
            let left = Duration::from_micros(500 + 10 * round);
            let halt = Halt::new(left, left, Some(cancelled), stopping);
            let messages = stream::repeat_with(|| Ok(FlightData::default())).boxed();
            let place = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
            let line = Line::new(&Arc::new(Metrics::new()), Role::Node, "east", "analyst");
            let mut answer = Guarded::new(messages, None, halt, line, place);
            let ended = loop {
                match answer.next().await {
                    Some(Ok(_)) => {}
                    other => break other,
                }
            };
            let status = ended.unwrap().unwrap_err();
            assert_eq!(from_status(&status).sqlstate, sqlstate::CANCELLED);
            assert!(answer.next().await.is_none());
        }
    }
}
