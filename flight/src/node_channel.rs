//! A coordinator's connection to one node over Arrow Flight. Main type: [`FlightNodeChannel`].

use std::sync::Arc;
use std::time::Duration;

use arrow_flight::Action;
use async_trait::async_trait;
use futures::StreamExt;
use hedgerow_catalog::{Limits, NodeDescription};
use hedgerow_engine::{BundleReply, BundleRequest, EngineError, NodeChannel, WireError, sqlstate};
use tonic::Status;

use crate::connect::{Credentials, Remote, explain};
use crate::error::TransportError;
use crate::service::DESCRIBE_ACTION;
use crate::status::wire_error;
use crate::tls::ClientTls;
use crate::wire::{bundle_ticket, receive};

/// Longest wait for a node to describe itself.
const DESCRIBE_MAX: Duration = Duration::from_secs(30);

/// A node behind a URL.
#[derive(Debug)]
pub struct FlightNodeChannel {
    organisation: Arc<str>,
    remote: Remote,
}

impl FlightNodeChannel {
    /// Prepares a channel to the node of `organisation` at `url` (`https://host:port`). Nothing is
    /// sent before the first question, so a node that is down does no harm here. Must be called
    /// within a Tokio runtime.
    ///
    /// # Errors
    /// [`TransportError`] when the URL or the authority's file cannot be used.
    pub fn new(
        organisation: &str,
        url: &str,
        tls: &ClientTls,
        credentials: Credentials,
        connect_timeout: Duration,
        limits: &Limits,
    ) -> Result<Self, TransportError> {
        let remote = Remote::new(url, tls, credentials, connect_timeout, limits.message_bytes_max)?;
        Ok(Self { organisation: organisation.into(), remote })
    }

    async fn description(&self) -> Result<NodeDescription, WireError> {
        let explain = |status: Status| explain_node(&status, &self.organisation);
        let action = Action::new(DESCRIBE_ACTION, vec![]);
        let call = self
            .remote
            .call(action, |mut client, request| async move { client.do_action(request).await });
        let mut results = call.await.map_err(explain)?.into_inner();
        let result = results.next().await.transpose().map_err(explain)?;
        let result = result.ok_or_else(|| self.bad_answer("it describes nothing"))?;
        serde_json::from_slice(&result.body)
            .map_err(|_| self.bad_answer("its description does not decode"))
    }

    fn bad_answer(&self, what: &str) -> WireError {
        let organisation = self.organisation.to_string();
        let error = EngineError::BadAnswer { organisation, what: what.to_owned() };
        WireError { organisation: Some(self.organisation.to_string()), ..error.external() }
    }
}

#[async_trait]
impl NodeChannel for FlightNodeChannel {
    fn organisation(&self) -> &str {
        &self.organisation
    }

    async fn describe(&self) -> Result<NodeDescription, WireError> {
        tokio::time::timeout(DESCRIBE_MAX, self.description()).await.unwrap_or_else(|_| {
            Err(explain_node(&Status::unavailable("no answer"), &self.organisation))
        })
    }

    async fn ask(&self, request: BundleRequest) -> Result<BundleReply, WireError> {
        let ticket = bundle_ticket(&request);
        let call = self
            .remote
            .call(ticket, |mut client, request| async move { client.do_get(request).await });
        let organisation = Arc::clone(&self.organisation);
        let explain = move |status: &Status| explain_node(status, &organisation);
        let messages = call.await.map_err(|status| explain(&status))?.into_inner();
        receive(messages, &self.organisation, request.fragments.len(), explain).await
    }
}

/// Puts a failed call to a node in words, naming the node.
fn explain_node(status: &Status, organisation: &str) -> WireError {
    let error = explain(status, &format!("the node of `{organisation}`"));
    let hint = match error.sqlstate.as_str() {
        sqlstate::UNAVAILABLE => {
            Some("SET hedgerow.on_unavailable = 'exclude' for an answer without it")
        }
        sqlstate::NOT_AUTHENTICATED => {
            let message = format!("the node of `{organisation}` does not know this coordinator");
            let hint = "check the coordinator's user and password at that node";
            let error = wire_error(sqlstate::NOT_AUTHENTICATED, message, Some(hint));
            return WireError { organisation: Some(organisation.to_owned()), ..error };
        }
        _ => None,
    };
    WireError {
        hint: hint.map(str::to_owned).or(error.hint),
        organisation: error.organisation.or_else(|| Some(organisation.to_owned())),
        ..error
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use super::*;

    #[test]
    fn a_dead_node_is_named_with_a_way_round_it() {
        let error = explain_node(&Status::unavailable("tcp connect error"), "northmoor");
        assert_eq!(error.sqlstate, "08006");
        assert_eq!(error.message, "the node of `northmoor` cannot be reached");
        assert!(error.hint.unwrap().contains("hedgerow.on_unavailable = 'exclude'"));
        assert_eq!(error.organisation.as_deref(), Some("northmoor"));
    }
}
