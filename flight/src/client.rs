//! A client of a server, for shells, reports and tests. Main types: [`SqlClient`], [`QueryStream`].

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::decode::{DecodedPayload, FlightDataDecoder};
use arrow_flight::error::FlightError;
use arrow_flight::sql::{Any, CommandGetTables, CommandStatementQuery, ProstMessageExt};
use arrow_flight::{FlightDescriptor, IpcMessage, Ticket};
use futures::{StreamExt, TryStreamExt};
use hedgerow_engine::{Coverage, WireError, sqlstate};
use prost::Message;
use prost::bytes::Bytes;
use tonic::metadata::MetadataValue;
use tonic::{Request, Status};

use crate::connect::{CONNECT_MAX, Credentials, Remote, explain};
use crate::service::COMPANIONS_HEADER;
use crate::status::wire_error;
use crate::tls::ClientTls;

/// Largest message a client takes, in bytes.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// A logged-in client of one server.
pub struct SqlClient {
    remote: Remote,
    url: String,
}

impl fmt::Debug for SqlClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlClient").field("url", &self.url).finish_non_exhaustive()
    }
}

/// One table a server offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableListing {
    /// Catalog; always `federation`.
    pub catalog_name: String,
    /// Schema.
    pub schema_name: String,
    /// Table.
    pub table_name: String,
    /// `TABLE` or `VIEW`.
    pub table_type: String,
    /// Its columns.
    pub schema: SchemaRef,
}

impl SqlClient {
    /// Connects to `https://host:port` and logs in.
    ///
    /// # Errors
    /// [`WireError`] with SQLSTATE 08006 when the server cannot be reached or its certificate is
    /// not trusted, 28000 when name or password are wrong.
    pub async fn connect(
        url: &str,
        tls: &ClientTls,
        credentials: Credentials,
    ) -> Result<Self, WireError> {
        let remote = Remote::new(url, tls, credentials, CONNECT_MAX, MESSAGE_BYTES_MAX)
            .map_err(|error| setup_error(&error))?;
        let client = Self { remote, url: url.to_owned() };
        client.remote.login().await.map_err(|status| client.explain(&status))?;
        Ok(client)
    }

    /// Sends a statement and waits for the head of its answer. Measures come with their companion
    /// columns (`_lower`, `_upper`, `_status`).
    ///
    /// # Errors
    /// The server's [`WireError`], or 08006.
    pub async fn query(&mut self, statement: &str) -> Result<QueryStream, WireError> {
        let command = CommandStatementQuery { query: statement.to_owned(), transaction_id: None };
        self.ask(&command.as_any()).await
    }

    /// Lists the tables the server offers, with their columns.
    ///
    /// # Errors
    /// As [`SqlClient::query`].
    pub async fn tables(&mut self) -> Result<Vec<TableListing>, WireError> {
        let command = CommandGetTables { include_schema: true, ..CommandGetTables::default() };
        let mut answer = self.ask(&command.as_any()).await?;
        let mut tables = vec![];
        while let Some(batch) = answer.next().await {
            tables.extend(listings(&batch?).ok_or_else(|| bad_answer("the list of tables"))?);
        }
        Ok(tables)
    }

    async fn ask(&self, command: &Any) -> Result<QueryStream, WireError> {
        let descriptor = FlightDescriptor::new_cmd(command.encode_to_vec());
        let info = self.remote.call(descriptor, |mut client, mut request| async move {
            ask_for_companions(&mut request);
            client.get_flight_info(request).await
        });
        let info = info.await.map_err(|status| self.explain(&status))?.into_inner();
        let ticket = info.endpoint.into_iter().next().and_then(|endpoint| endpoint.ticket);
        self.fetch(ticket.ok_or_else(|| bad_answer("the ticket"))?).await
    }

    async fn fetch(&self, ticket: Ticket) -> Result<QueryStream, WireError> {
        let messages = self
            .remote
            .call(ticket, |mut client, request| async move { client.do_get(request).await });
        let messages = messages.await.map_err(|status| self.explain(&status))?.into_inner();
        QueryStream::open(FlightDataDecoder::new(messages.map_err(FlightError::from))).await
    }

    fn explain(&self, status: &Status) -> WireError {
        explain(status, &format!("the server at {}", self.url))
    }
}

/// The answer to one statement. Dropping it cancels the statement at the server.
pub struct QueryStream {
    /// Columns, companions included.
    pub schema: SchemaRef,
    decoder: FlightDataDecoder,
    coverage: Option<Coverage>,
}

impl fmt::Debug for QueryStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryStream").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl QueryStream {
    async fn open(mut decoder: FlightDataDecoder) -> Result<Self, WireError> {
        let first = decoder.next().await.ok_or_else(|| bad_answer("the schema"))?;
        let first = first.map_err(stream_error)?;
        let coverage = coverage_of(&first.inner.app_metadata)?;
        match first.payload {
            DecodedPayload::Schema(schema) => Ok(Self { schema, decoder, coverage }),
            _ => Err(bad_answer("the schema")),
        }
    }

    /// The next batch, or `None` at the end.
    pub async fn next(&mut self) -> Option<Result<RecordBatch, WireError>> {
        loop {
            let message = match self.decoder.next().await? {
                Ok(message) => message,
                Err(error) => return Some(Err(stream_error(error))),
            };
            match coverage_of(&message.inner.app_metadata) {
                Ok(None) => {}
                Ok(coverage) => self.coverage = coverage,
                Err(error) => return Some(Err(error)),
            }
            if let DecodedPayload::RecordBatch(batch) = message.payload
                && batch.num_rows() > 0
            {
                return Some(Ok(batch));
            }
        }
    }

    /// What stands behind the answer: known from the start for aggregates, at the end for rows.
    pub fn coverage(&self) -> Option<&Coverage> {
        self.coverage.as_ref()
    }
}

fn ask_for_companions<T>(request: &mut Request<T>) {
    request.metadata_mut().insert(COMPANIONS_HEADER, MetadataValue::from_static("1"));
}

fn coverage_of(metadata: &Bytes) -> Result<Option<Coverage>, WireError> {
    if metadata.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(metadata).map(Some).map_err(|_| bad_answer("the coverage"))
}

fn stream_error(error: FlightError) -> WireError {
    match error {
        FlightError::Tonic(status) => explain(&status, "the server"),
        _ => bad_answer("the rows"),
    }
}

fn bad_answer(what: &str) -> WireError {
    wire_error(sqlstate::INTERNAL, format!("{what} of the server's answer cannot be read"), None)
}

/// Files and addresses that cannot be used, before anything is sent.
fn setup_error(error: &crate::error::TransportError) -> WireError {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    wire_error(
        sqlstate::UNAVAILABLE,
        format!("{error}{}", cause.unwrap_or_default()),
        Some("check the address and the authority file"),
    )
}

fn listings(batch: &RecordBatch) -> Option<Vec<TableListing>> {
    let text = |name: &str, row: usize| {
        let column = batch.column_by_name(name)?.as_string_opt::<i32>()?;
        Some(if column.is_null(row) { String::new() } else { column.value(row).to_owned() })
    };
    let schemas = batch.column_by_name("table_schema")?.as_binary_opt::<i32>()?;
    (0..batch.num_rows())
        .map(|row| {
            let message = IpcMessage(Bytes::copy_from_slice(schemas.value(row)));
            Some(TableListing {
                catalog_name: text("catalog_name", row)?,
                schema_name: text("db_schema_name", row)?,
                table_name: text("table_name", row)?,
                table_type: text("table_type", row)?,
                schema: Arc::new(Schema::try_from(message).ok()?),
            })
        })
        .collect()
}
