//! A stream of messages that ends in time. Main type: [`Guarded`].
//!
//! Dropping it, its deadline, a cancellation and the end of the server all drop the work behind it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow_flight::FlightData;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt, ready};
use hedgerow_engine::{EngineError, sqlstate};
use tokio::sync::{OwnedSemaphorePermit, watch};
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
pub(super) struct Guarded {
    messages: Option<BoxStream<'static, Result<FlightData, Status>>>,
    closing: Option<Closing>,
    halted: BoxFuture<'static, Status>,
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
        let halted = halt.reason().boxed();
        Self { messages: Some(messages.fuse().boxed()), closing, halted, line, _place: place }
    }

    /// Drops the work and ends the stream with an error.
    fn fail(&mut self, status: Status) -> Poll<Option<Result<FlightData, Status>>> {
        self.messages = None;
        self.closing = None;
        self.line.set_outcome(&from_status(&status).sqlstate);
        Poll::Ready(Some(Err(status)))
    }
}

impl Stream for Guarded {
    type Item = Result<FlightData, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(messages) = &mut this.messages else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(status) = this.halted.poll_unpin(cx) {
            return this.fail(status);
        }
        match ready!(messages.poll_next_unpin(cx)) {
            Some(Ok(message)) => return Poll::Ready(Some(Ok(message))),
            Some(Err(status)) => return this.fail(status),
            None => {}
        }
        match this.closing.take().map_or(Ok(None), |closing| closing()) {
            Ok(Some(message)) => Poll::Ready(Some(Ok(message))),
            Err(status) => this.fail(status),
            Ok(None) => {
                this.messages = None;
                this.line.set_outcome("ok");
                Poll::Ready(None)
            }
        }
    }
}
