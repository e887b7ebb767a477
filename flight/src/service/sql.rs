//! Flight SQL, command by command. Main type: [`SqlService`].
//!
//! Each method finds its caller, which only the door can have put there, and hands over.

use std::pin::Pin;
use std::sync::Arc;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::server::{FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionBeginSavepointRequest, ActionBeginSavepointResult, ActionBeginTransactionRequest,
    ActionBeginTransactionResult, ActionCancelQueryRequest, ActionCancelQueryResult,
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, ActionCreatePreparedSubstraitPlanRequest,
    ActionEndSavepointRequest, ActionEndTransactionRequest, Any, Command, CommandGetCatalogs,
    CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables,
    CommandGetXdbcTypeInfo, CommandPreparedStatementQuery, CommandPreparedStatementUpdate,
    CommandStatementIngest, CommandStatementQuery, CommandStatementSubstraitPlan,
    CommandStatementUpdate, DoPutPreparedStatementResult, ProstMessageExt, SqlInfo,
    TicketStatementQuery,
};
use arrow_flight::{
    Action, ActionType, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    Result as ActionResult, Ticket,
};
use futures::{Stream, StreamExt, stream};
use prost::Message;
use tonic::{Request, Response, Status, Streaming};

use super::metadata::{FOREIGN_KEYS, PRIMARY_KEYS, flight_info, no_rows, one_batch};
use super::statements::Kind;
use super::{
    Answers, COMPANIONS_HEADER, Caller, PURPOSE_HEADER, Shared, actions, internal, login,
    not_supported,
};
use crate::status::{flight_status, to_status};

type Put = Request<PeekableFlightDataStream>;
type Info = Result<Response<FlightInfo>, Status>;
type Got = Result<Response<Answers>, Status>;

/// Most codes looked up in one `GetSqlInfo`.
const SQL_INFO_CODES_MAX: usize = 1_024;

/// The Flight SQL commands of a server. Reached through the door only.
pub(super) struct SqlService {
    shared: Arc<Shared>,
}

impl SqlService {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Hands on the purpose in the headers, if there is one.
    async fn note_purpose<T: Sync>(
        &self,
        caller: &Caller,
        request: &Request<T>,
    ) -> Result<(), Status> {
        let purpose = request.metadata().get(PURPOSE_HEADER);
        match purpose.and_then(|value| value.to_str().ok()) {
            Some(purpose) => self.shared.set_purpose(caller, purpose).await,
            None => Ok(()),
        }
    }
}

/// Whether companion columns are asked for.
fn companions<T>(request: &Request<T>) -> bool {
    request.metadata().get(COMPANIONS_HEADER).is_some_and(|value| value == "1")
}

#[tonic::async_trait]
impl FlightSqlService for SqlService {
    type FlightService = Self;

    async fn do_handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<
        Response<Pin<Box<dyn Stream<Item = Result<HandshakeResponse, Status>> + Send>>>,
        Status,
    > {
        login::login(&self.shared, request).await
    }

    // Statements.

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let caller = Caller::of(&request)?;
        if query.transaction_id.is_some() {
            return Err(not_supported("a transaction"));
        }
        self.note_purpose(&caller, &request).await?;
        let statement = self.shared.plan(&caller, &query.query, companions(&request)).await?;
        let schema = Arc::clone(&statement.schema);
        let handle = self.shared.statements.insert(statement, Kind::Ticket);
        let statement_handle = handle.map_err(|error| internal("a handle", error))?;
        flight_info(&TicketStatementQuery { statement_handle }.as_any(), &schema, request)
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        request: Request<Ticket>,
    ) -> Got {
        let caller = Caller::of(&request)?;
        let statement = self.shared.statements.find(&ticket.statement_handle, caller.user());
        let statement = statement.map_err(|error| to_status(&error))?;
        self.shared.execute(&caller, &statement).await.map(Response::new)
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let caller = Caller::of(&request)?;
        let handle = &query.prepared_statement_handle;
        let statement = self.shared.statements.find(handle, caller.user());
        let statement = statement.map_err(|error| to_status(&error))?;
        flight_info(&query.as_any(), &statement.schema, request)
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<Ticket>,
    ) -> Got {
        let caller = Caller::of(&request)?;
        let handle = &query.prepared_statement_handle;
        let statement = self.shared.statements.find(handle, caller.user());
        let statement = statement.map_err(|error| to_status(&error))?;
        self.shared.execute(&caller, &statement).await.map(Response::new)
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let caller = Caller::of(&request)?;
        if query.transaction_id.is_some() {
            return Err(not_supported("a transaction"));
        }
        self.note_purpose(&caller, &request).await?;
        self.shared.create_prepared(&caller, query, companions(&request)).await
    }

    async fn do_action_close_prepared_statement(
        &self,
        query: ActionClosePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        self.shared.close_prepared(&Caller::of(&request)?, &query);
        Ok(())
    }

    async fn do_action_cancel_query(
        &self,
        query: ActionCancelQueryRequest,
        request: Request<Action>,
    ) -> Result<ActionCancelQueryResult, Status> {
        let caller = Caller::of(&request)?;
        let info = FlightInfo::decode(&*query.info).unwrap_or_default();
        // Both enumerations number their results alike.
        Ok(ActionCancelQueryResult { result: self.shared.cancel(&caller, &info).into() })
    }

    // Bundles and other tickets and actions of our own.

    async fn do_get_fallback(&self, request: Request<Ticket>, message: Any) -> Got {
        let caller = Caller::of(&request)?;
        self.shared.bundle(&caller, &message).await.map(Response::new)
    }

    async fn do_action_fallback(
        &self,
        request: Request<Action>,
    ) -> Result<Response<<Self as FlightService>::DoActionStream>, Status> {
        let caller = Caller::of(&request)?;
        let body = self.shared.act(&caller, request.get_ref()).await?;
        Ok(Response::new(stream::iter([Ok(ActionResult::new(body))]).boxed()))
    }

    async fn list_custom_actions(&self) -> Option<Vec<Result<ActionType, Status>>> {
        Some(actions::own_actions().into_iter().map(Ok).collect())
    }

    async fn get_flight_info_fallback(
        &self,
        _command: Command,
        _request: Request<FlightDescriptor>,
    ) -> Info {
        Err(not_supported("this command"))
    }

    // Catalogs, schemas and tables.

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Info {
        flight_info(&query.as_any(), &query.into_builder().schema(), request)
    }

    async fn do_get_catalogs(&self, query: CommandGetCatalogs, _: Request<Ticket>) -> Got {
        self.shared.catalogs(query).map(one_batch)
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Info {
        flight_info(&query.as_any(), &query.into_builder().schema(), request)
    }

    async fn do_get_schemas(&self, query: CommandGetDbSchemas, _: Request<Ticket>) -> Got {
        self.shared.schemas(query).await.map(one_batch)
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Info {
        flight_info(&query.as_any(), &query.into_builder().schema(), request)
    }

    async fn do_get_tables(&self, query: CommandGetTables, _: Request<Ticket>) -> Got {
        self.shared.tables(query).await.map(one_batch)
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Info {
        flight_info(&query.as_any(), &query.into_builder().schema(), request)
    }

    async fn do_get_table_types(&self, query: CommandGetTableTypes, _: Request<Ticket>) -> Got {
        self.shared.table_types(query).map(one_batch)
    }

    // The server itself and its types.

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Info {
        flight_info(&query.as_any(), &self.shared.sql_info.schema(), request)
    }

    async fn do_get_sql_info(&self, query: CommandGetSqlInfo, _: Request<Ticket>) -> Got {
        let codes = query.info.into_iter().take(SQL_INFO_CODES_MAX);
        self.shared.sql_info.record_batch(codes).map(one_batch).map_err(flight_status)
    }

    async fn get_flight_info_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<FlightDescriptor>,
    ) -> Info {
        flight_info(&query.as_any(), &self.shared.xdbc_types.schema(), request)
    }

    async fn do_get_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        _: Request<Ticket>,
    ) -> Got {
        let types = self.shared.xdbc_types.record_batch(query.data_type);
        types.map(one_batch).map_err(flight_status)
    }

    // Keys: contracts declare none to clients, so these are empty tables.

    async fn get_flight_info_primary_keys(
        &self,
        query: CommandGetPrimaryKeys,
        request: Request<FlightDescriptor>,
    ) -> Info {
        flight_info(&query.as_any(), &PRIMARY_KEYS, request)
    }

    async fn do_get_primary_keys(&self, _: CommandGetPrimaryKeys, _: Request<Ticket>) -> Got {
        Ok(no_rows(&PRIMARY_KEYS))
    }

    async fn get_flight_info_exported_keys(
        &self,
        query: CommandGetExportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Info {
        flight_info(&query.as_any(), &FOREIGN_KEYS, request)
    }

    async fn do_get_exported_keys(&self, _: CommandGetExportedKeys, _: Request<Ticket>) -> Got {
        Ok(no_rows(&FOREIGN_KEYS))
    }

    async fn get_flight_info_imported_keys(
        &self,
        query: CommandGetImportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Info {
        flight_info(&query.as_any(), &FOREIGN_KEYS, request)
    }

    async fn do_get_imported_keys(&self, _: CommandGetImportedKeys, _: Request<Ticket>) -> Got {
        Ok(no_rows(&FOREIGN_KEYS))
    }

    async fn get_flight_info_cross_reference(
        &self,
        query: CommandGetCrossReference,
        request: Request<FlightDescriptor>,
    ) -> Info {
        flight_info(&query.as_any(), &FOREIGN_KEYS, request)
    }

    async fn do_get_cross_reference(&self, _: CommandGetCrossReference, _: Request<Ticket>) -> Got {
        Ok(no_rows(&FOREIGN_KEYS))
    }

    // What a read-only federation does not do.

    async fn do_put_statement_update(
        &self,
        query: CommandStatementUpdate,
        request: Put,
    ) -> Result<i64, Status> {
        self.shared.update(&Caller::of(&request)?, &query.query).await
    }

    async fn do_put_prepared_statement_update(
        &self,
        query: CommandPreparedStatementUpdate,
        request: Put,
    ) -> Result<i64, Status> {
        let caller = Caller::of(&request)?;
        let handle = &query.prepared_statement_handle;
        let statement = self.shared.statements.find(handle, caller.user());
        let statement = statement.map_err(|error| to_status(&error))?;
        self.shared.update(&caller, &statement.text).await
    }

    async fn do_put_prepared_statement_query(
        &self,
        _query: CommandPreparedStatementQuery,
        _request: Put,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        Err(not_supported("a statement with parameters"))
    }

    async fn do_put_statement_ingest(
        &self,
        _query: CommandStatementIngest,
        _request: Put,
    ) -> Result<i64, Status> {
        Err(not_supported("loading data"))
    }

    async fn do_put_substrait_plan(
        &self,
        _query: CommandStatementSubstraitPlan,
        _request: Put,
    ) -> Result<i64, Status> {
        Err(not_supported("a Substrait plan"))
    }

    async fn do_put_fallback(
        &self,
        _request: Put,
        _message: Any,
    ) -> Result<Response<<Self as FlightService>::DoPutStream>, Status> {
        Err(not_supported("this upload"))
    }

    async fn get_flight_info_substrait_plan(
        &self,
        _query: CommandStatementSubstraitPlan,
        _request: Request<FlightDescriptor>,
    ) -> Info {
        Err(not_supported("a Substrait plan"))
    }

    async fn do_action_create_prepared_substrait_plan(
        &self,
        _query: ActionCreatePreparedSubstraitPlanRequest,
        _request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        Err(not_supported("a Substrait plan"))
    }

    async fn do_action_begin_transaction(
        &self,
        _query: ActionBeginTransactionRequest,
        _request: Request<Action>,
    ) -> Result<ActionBeginTransactionResult, Status> {
        Err(not_supported("a transaction"))
    }

    async fn do_action_end_transaction(
        &self,
        _query: ActionEndTransactionRequest,
        _request: Request<Action>,
    ) -> Result<(), Status> {
        Err(not_supported("a transaction"))
    }

    async fn do_action_begin_savepoint(
        &self,
        _query: ActionBeginSavepointRequest,
        _request: Request<Action>,
    ) -> Result<ActionBeginSavepointResult, Status> {
        Err(not_supported("a savepoint"))
    }

    async fn do_action_end_savepoint(
        &self,
        _query: ActionEndSavepointRequest,
        _request: Request<Action>,
    ) -> Result<(), Status> {
        Err(not_supported("a savepoint"))
    }

    async fn register_sql_info(&self, _id: i32, _result: &SqlInfo) {}
}
