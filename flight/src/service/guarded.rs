//! A stream of messages that ends in time. Main type: [`Guarded`].
//!
//! Dropping it, its deadline, a cancellation and the end of the server all drop the work behind it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use arrow_flight::FlightData;
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt, ready};
use hedgerow_engine::{EngineError, sqlstate};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};
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
    work: SharedWork,
    halted: Option<oneshot::Receiver<Status>>,
    watch: JoinHandle<()>,
}

type SharedWork = Arc<Mutex<Option<Work>>>;

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
        let work = Arc::new(Mutex::new(Some(Work { messages, closing, line, _place: place })));
        let (tell, halted) = oneshot::channel();
        let watched = Arc::clone(&work);
        let watch = tokio::spawn(async move {
            let status = halt.reason().await;
            if let Some(work) = lock(&watched).take() {
                work.end(&from_status(&status).sqlstate);
                // Nobody listens where the client has gone.
                let _ = tell.send(status);
            }
        });
        Self { work, halted: Some(halted), watch }
    }
}

fn lock(work: &SharedWork) -> MutexGuard<'_, Option<Work>> {
    work.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(halted) = &mut this.halted
            && let Poll::Ready(told) = halted.poll_unpin(cx)
        {
            this.halted = None;
            if let Ok(status) = told {
                return Poll::Ready(Some(Err(status)));
            }
        }
        let mut shared = lock(&this.work);
        let Some(work) = shared.as_mut() else { return Poll::Ready(None) };
        let item = ready!(work.poll(cx));
        let ended = match &item {
            Some(Ok(_)) => None,
            Some(Err(status)) => Some(from_status(status).sqlstate),
            None => Some("ok".to_owned()),
        };
        if let Some(outcome) = ended
            && let Some(work) = shared.take()
        {
            work.end(&outcome);
        }
        Poll::Ready(item)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.watch.abort();
        lock(&self.work).take();
    }
}
