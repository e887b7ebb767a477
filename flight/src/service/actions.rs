//! Actions: prepared statements, cancellation, the end of a session, a node's description.

use arrow::datatypes::Schema;
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, Any, Command,
};
use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo,
    IpcMessage, SchemaAsIpc,
};
use prost::Message;
use prost::bytes::Bytes;
use tonic::Status;

use super::statements::Kind;
use super::{Caller, DESCRIBE_ACTION, Shared, internal, not_supported};

const CANCEL_ACTION: &str = "CancelFlightInfo";
const CLOSE_SESSION_ACTION: &str = "CloseSession";

/// Answer to the end of a session.
#[derive(Clone, PartialEq, prost::Message)]
struct CloseSessionResult {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// `CLOSED` of a [`CloseSessionResult`].
const SESSION_CLOSED: i32 = 1;

/// Actions beside those of Flight SQL.
pub(super) fn own_actions() -> Vec<ActionType> {
    let action = |name: &str, description: &str| ActionType {
        r#type: name.to_owned(),
        description: description.to_owned(),
    };
    vec![
        action(DESCRIBE_ACTION, "Tells what a node serves, as JSON."),
        action(CANCEL_ACTION, "Cancels a statement.\nCancelFlightInfoRequest"),
        action(CLOSE_SESSION_ACTION, "Ends the session and its token.\nCloseSessionRequest"),
    ]
}

impl Shared {
    /// Runs an action that Flight SQL's own layer does not know; one result body.
    pub(super) async fn act(&self, caller: &Caller, action: &Action) -> Result<Bytes, Status> {
        match action.r#type.as_str() {
            DESCRIBE_ACTION => self.description().map(Into::into),
            CANCEL_ACTION => {
                let request = CancelFlightInfoRequest::decode(&*action.body);
                let info = request.ok().and_then(|request| request.info).unwrap_or_default();
                let status = self.cancel(caller, &info).into();
                Ok(CancelFlightInfoResult { status }.encode_to_vec().into())
            }
            CLOSE_SESSION_ACTION => {
                self.tokens.revoke(&caller.token);
                Ok(CloseSessionResult { status: SESSION_CLOSED }.encode_to_vec().into())
            }
            _ => Err(not_supported("this action")),
        }
    }

    /// Cancels the caller's statement behind a flight: its runs stop, its ticket is forgotten.
    pub(super) fn cancel(&self, caller: &Caller, info: &FlightInfo) -> CancelStatus {
        let mut status = CancelStatus::NotCancellable;
        for ticket in info.endpoint.iter().filter_map(|endpoint| endpoint.ticket.as_ref()) {
            let command = Any::decode(&*ticket.ticket).ok();
            let statement = match command.and_then(|any| Command::try_from(any).ok()) {
                Some(Command::TicketStatementQuery(ticket)) => {
                    self.statements.remove(&ticket.statement_handle, caller.user())
                }
                Some(Command::CommandPreparedStatementQuery(query)) => {
                    let handle = &query.prepared_statement_handle;
                    self.statements.find(handle, caller.user()).ok()
                }
                _ => None,
            };
            if let Some(statement) = statement {
                statement.cancel();
                status = CancelStatus::Cancelled;
            }
        }
        status
    }

    /// Plans a statement and keeps it until it is closed.
    pub(super) async fn create_prepared(
        &self,
        caller: &Caller,
        request: ActionCreatePreparedStatementRequest,
        companions: bool,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let statement = self.plan(caller, &request.query, companions).await?;
        let dataset_schema = schema_bytes(&statement.schema)?;
        let handle = self.statements.insert(statement, Kind::Prepared);
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: handle.map_err(|error| internal("a handle", error))?,
            dataset_schema,
            parameter_schema: schema_bytes(&Schema::empty())?,
        })
    }

    /// Forgets a prepared statement; closing one twice is no error.
    pub(super) fn close_prepared(
        &self,
        caller: &Caller,
        request: &ActionClosePreparedStatementRequest,
    ) {
        self.statements.remove(&request.prepared_statement_handle, caller.user());
    }
}

fn schema_bytes(schema: &Schema) -> Result<Bytes, Status> {
    let options = IpcWriteOptions::default();
    let message = IpcMessage::try_from(SchemaAsIpc::new(schema, &options));
    message.map(|message| message.0).map_err(|error| internal("encoding a schema", error))
}
