//! A bundle at a node or a federation: ticket in, what the gate released out.

use arrow_flight::sql::Any;
use futures::FutureExt;
use hedgerow_engine::{Answering, WireError, sqlstate};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;

use super::guarded::{Guarded, Halt};
use super::log::{Line, Role};
use super::{Answers, Caller, Shared, internal};
use crate::status::{engine_status, from_status, to_status, wire_error};
use crate::wire::{Messages, bundle_request, is_bundle, send};

impl Shared {
    /// Answers a ticket that is no Flight SQL command: a bundle, or nothing we know.
    pub(super) async fn bundle(&self, caller: &Caller, any: &Any) -> Result<Answers, Status> {
        if !is_bundle(any) {
            return Err(to_status(&wire_error(
                sqlstate::NOT_SUPPORTED,
                "the ticket is of a kind that is not known here",
                None,
            )));
        }
        let answering = self.answering.as_ref().ok_or_else(no_node)?;
        let role = match answering {
            Answering::Node(_) => Role::Node,
            Answering::Federation(_) => Role::Federation,
        };
        let mut line = Line::new(&self.metrics, role, answering.organisation(), caller.user());
        match self.answer(answering, caller, any, &mut line).await {
            Ok((messages, halt, place)) => {
                Ok(Box::pin(Guarded::new(messages, None, halt, line, place)))
            }
            Err(status) => {
                line.set_outcome(&from_status(&status).sqlstate);
                Err(status)
            }
        }
    }

    async fn answer(
        &self,
        answering: &Answering,
        caller: &Caller,
        any: &Any,
        line: &mut Line,
    ) -> Result<(Messages, Halt, OwnedSemaphorePermit), Status> {
        let at = |error: WireError| {
            let own = || Some(answering.organisation().to_owned());
            let organisation = error.organisation.or_else(own);
            to_status(&WireError { organisation, ..error })
        };
        let request = bundle_request(any, &self.limits).map_err(at)?;
        line.set_statement_id(&request.statement_id);
        let place = self.place(&self.bundles)?;
        let timeout = self.timeout();
        let halt = Halt::new(timeout, timeout, None, self.stopping.clone());
        let work = async {
            // Boxed: the engine's futures are too deep for the compiler to see that they are `Send`.
            let released = answering.answer(caller.user(), request).boxed().await;
            released.map_err(|error| at(from_status(&engine_status(&error))))
        };
        let released = halt.race(work).await?;
        Ok((send(released, self.limits.message_bytes_max)?, halt, place))
    }

    /// What is served here, as JSON.
    pub(super) fn description(&self) -> Result<Vec<u8>, Status> {
        let answering = self.answering.as_ref().ok_or_else(no_node)?;
        serde_json::to_vec(&answering.describe())
            .map_err(|error| internal("encoding a description", error))
    }
}

fn no_node() -> Status {
    to_status(&wire_error(
        sqlstate::NOT_SUPPORTED,
        "this server serves no tables of its own and answers for no federation, so it answers no \
         bundles",
        Some("send the statement itself"),
    ))
}
