//! A coordinator's connection to one node over Arrow Flight. Main type: [`FlightNodeChannel`].

use std::sync::Arc;
use std::time::Duration;

use arrow_flight::Action;
use async_trait::async_trait;
use futures::StreamExt;
use hedgerow_catalog::{Limits, Member, NodeDescription, TableDescription};
use hedgerow_engine::{
    BundleReply, BundleRequest, EngineError, NodeChannel, WireError, is_within, sqlstate,
};
use tonic::{Code, Status};

use crate::connect::{Credentials, Remote, explain};
use crate::error::TransportError;
use crate::service::DESCRIBE_ACTION;
use crate::status::{cut, is_unreachable, own_error, wire_error};
use crate::tls::ClientTls;
use crate::wire::{bundle_ticket, receive};

/// Longest wait for a node to describe itself.
const DESCRIBE_MAX: Duration = Duration::from_secs(10);
/// Longest description of a node, in bytes.
const DESCRIPTION_BYTES_MAX: usize = 4 << 20;
/// Most differences of one table that are kept.
const DIFFERENCES_MAX: usize = 64;
/// Longest text of a description that is kept, in bytes: it is shown to analysts.
const TEXT_BYTES_MAX: usize = 512;

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
        if result.body.len() > DESCRIPTION_BYTES_MAX {
            return Err(self.bad_answer("its description is too long"));
        }
        let description: NodeDescription = serde_json::from_slice(&result.body)
            .map_err(|_| self.bad_answer("its description does not decode"))?;
        if *description.organisation != *self.organisation {
            return Err(self.bad_answer("it describes another organisation"));
        }
        Ok(shortened(description))
    }

    fn bad_answer(&self, what: &str) -> WireError {
        let error = EngineError::bad_answer(&self.organisation, what);
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
            let message = format!("the node of `{}` does not answer", self.organisation);
            let error = wire_error(sqlstate::UNAVAILABLE, message, Some(WITHOUT_IT));
            Err(WireError { organisation: Some(self.organisation.to_string()), ..error })
        })
    }

    async fn ask(&self, request: BundleRequest) -> Result<BundleReply, WireError> {
        let ticket = bundle_ticket(&request);
        let call = self
            .remote
            .call(ticket, |mut client, request| async move { client.do_get(request).await });
        let organisation = request.full_name(&self.organisation);
        let named = organisation.clone();
        let explain = move |status: &Status| explain_node(status, &named);
        let messages = call.await.map_err(|status| explain(&status))?.into_inner();
        receive(messages, &organisation, request.fragments.len(), explain).await
    }
}

/// What to do without a node.
const WITHOUT_IT: &str = "SET hedgerow.on_unavailable = 'exclude' for an answer without it";

/// Puts a failed call to a node in words, naming the node. Of what the other end says only an error
/// of our own form is passed on: that of a federation under the name of one below it, too.
fn explain_node(status: &Status, organisation: &str) -> WireError {
    let error = match own_error(status) {
        Some(error) if names_one_below(&error, organisation) => return error,
        Some(error) => error,
        None if is_unreachable(status) => {
            let error = explain(status, &format!("the node of `{organisation}`"));
            WireError { hint: Some(WITHOUT_IT.to_owned()), ..error }
        }
        None => unexplained(status.code(), organisation),
    };
    let error = match error.sqlstate.as_str() {
        sqlstate::NOT_AUTHENTICATED => {
            let message = format!("the node of `{organisation}` does not know this coordinator");
            let hint = "check the coordinator's user and password at that node";
            wire_error(sqlstate::NOT_AUTHENTICATED, message, Some(hint))
        }
        sqlstate::UNAVAILABLE => {
            WireError { hint: Some(error.hint.unwrap_or_else(|| WITHOUT_IT.to_owned())), ..error }
        }
        _ => error,
    };
    WireError { organisation: Some(organisation.to_owned()), ..error }
}

fn names_one_below(error: &WireError, organisation: &str) -> bool {
    let said = error.organisation.as_deref();
    said.is_some_and(|said| said != organisation && is_within(said, organisation))
}

/// A failure of which no more than its code can be told: its words may be anybody's, and anything.
fn unexplained(code: Code, organisation: &str) -> WireError {
    match code {
        Code::Unauthenticated => wire_error(sqlstate::NOT_AUTHENTICATED, "", None),
        Code::OutOfRange => wire_error(
            sqlstate::LIMIT,
            format!("a message of the node of `{organisation}` is over `limits.message_bytes_max`"),
            Some("ask for less, or raise `limits.message_bytes_max` in the server's configuration"),
        ),
        Code::DeadlineExceeded | Code::Aborted | Code::Cancelled => wire_error(
            sqlstate::UNAVAILABLE,
            format!("the node of `{organisation}` gave up (gRPC status `{code:?}`)"),
            Some(WITHOUT_IT),
        ),
        _ => {
            let what = format!("gRPC status `{code:?}` without an error of its own");
            EngineError::bad_answer(organisation, what).external()
        }
    }
}

/// A description whose texts are of a length that can be shown.
fn shortened(description: NodeDescription) -> NodeDescription {
    let short = |text: String| cut(&text, TEXT_BYTES_MAX);
    let table = |table: TableDescription| TableDescription {
        name: short(table.name),
        differences: table.differences.into_iter().take(DIFFERENCES_MAX).map(short).collect(),
        preset: short(table.preset),
        epoch: short(table.epoch),
        ..table
    };
    let tables = |tables: Vec<TableDescription>| tables.into_iter().map(table).collect();
    let member = |member: Member| Member {
        organisation: short(member.organisation),
        name: member.name.map(short),
        version: short(member.version),
        tables: tables(member.tables),
        up: member.up,
    };
    NodeDescription {
        tables: tables(description.tables),
        federation: description.federation.map(|all| all.into_iter().map(member).collect()),
        name: description.name.map(short),
        version: short(description.version),
        organisation: description.organisation,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use super::*;
    use crate::status::to_status;

    #[test]
    fn a_dead_node_is_named_with_a_way_round_it() {
        let error = explain_node(&Status::unavailable("tcp connect error"), "northmoor");
        assert_eq!(error.sqlstate, "08006");
        assert_eq!(error.message, "the node of `northmoor` cannot be reached");
        assert!(error.hint.unwrap().contains("hedgerow.on_unavailable = 'exclude'"));
        assert_eq!(error.organisation.as_deref(), Some("northmoor"));
    }
    #[test]
    fn only_errors_of_our_own_form_are_passed_on() {
        for code in [Code::Unknown, Code::Internal, Code::InvalidArgument, Code::PermissionDenied] {
            let error = explain_node(&Status::new(code, "Mrs Jones, 7 Mill Lane"), "northmoor");
            assert_eq!(error.sqlstate, "XX000");
            assert!(error.message.contains("northmoor") && !error.message.contains("Jones"));
        }
        let own = wire_error("42501", "`age` may not be compared", Some("compare `age_band`"));
        let said = WireError { organisation: Some("westlea".to_owned()), ..own.clone() };
        let error = explain_node(&to_status(&said), "northmoor");
        assert_eq!(error, WireError { organisation: Some("northmoor".to_owned()), ..own.clone() });
        let said = WireError { organisation: Some("midshire/northmoor".to_owned()), ..own };
        assert_eq!(explain_node(&to_status(&said), "midshire"), said);
        let error = explain_node(&to_status(&said), "mid");
        assert_eq!(error.organisation.as_deref(), Some("mid"));
    }
}
