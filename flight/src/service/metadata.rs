//! What tools ask about a server before they ask for data: catalogs, schemas, tables and keys.

use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::sql::{
    Any, CommandGetCatalogs, CommandGetDbSchemas, CommandGetTableTypes, CommandGetTables,
};
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, Ticket};
use futures::{TryStreamExt, stream};
use prost::Message;
use tonic::{Request, Response, Status};

use super::{Answers, Shared, internal};
use crate::status::flight_status;

/// The one catalog.
const CATALOG: &str = "federation";

/// Kinds of tables there are.
const TABLE_TYPES: [&str; 2] = ["TABLE", "VIEW"];

/// Primary keys of a table, as Flight SQL lays them out.
pub(super) static PRIMARY_KEYS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("catalog_name", DataType::Utf8, true),
        Field::new("db_schema_name", DataType::Utf8, true),
        Field::new("table_name", DataType::Utf8, false),
        Field::new("column_name", DataType::Utf8, false),
        Field::new("key_name", DataType::Utf8, true),
        Field::new("key_sequence", DataType::Int32, false),
    ]))
});

/// Foreign keys (exported, imported or between two tables), as Flight SQL lays them out.
pub(super) static FOREIGN_KEYS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("pk_catalog_name", DataType::Utf8, true),
        Field::new("pk_db_schema_name", DataType::Utf8, true),
        Field::new("pk_table_name", DataType::Utf8, false),
        Field::new("pk_column_name", DataType::Utf8, false),
        Field::new("fk_catalog_name", DataType::Utf8, true),
        Field::new("fk_db_schema_name", DataType::Utf8, true),
        Field::new("fk_table_name", DataType::Utf8, false),
        Field::new("fk_column_name", DataType::Utf8, false),
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("fk_key_name", DataType::Utf8, true),
        Field::new("pk_key_name", DataType::Utf8, true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
});

impl Shared {
    pub(super) fn catalogs(&self, command: CommandGetCatalogs) -> Result<RecordBatch, Status> {
        let mut rows = command.into_builder();
        rows.append(CATALOG);
        rows.build().map_err(flight_status)
    }

    pub(super) async fn schemas(
        &self,
        command: CommandGetDbSchemas,
    ) -> Result<RecordBatch, Status> {
        let tables = self.coordinator.table_entries().await;
        let mut names: Vec<String> = tables.into_iter().map(|table| table.schema_name).collect();
        names.sort();
        names.dedup();
        let mut rows = command.into_builder();
        for name in names {
            rows.append(CATALOG, name);
        }
        rows.build().map_err(flight_status)
    }

    pub(super) async fn tables(&self, command: CommandGetTables) -> Result<RecordBatch, Status> {
        let mut rows = command.into_builder();
        for table in self.coordinator.table_entries().await {
            let (schema, name) = (&table.schema_name, &table.table_name);
            rows.append(CATALOG, schema, name, table.table_type, &table.schema)
                .map_err(flight_status)?;
        }
        rows.build().map_err(flight_status)
    }

    pub(super) fn table_types(&self, command: CommandGetTableTypes) -> Result<RecordBatch, Status> {
        let mut rows = command.into_builder();
        for table_type in TABLE_TYPES {
            rows.append(table_type);
        }
        rows.build().map_err(flight_status)
    }
}

/// The answer to a request for information: the schema, and the command again as the ticket.
pub(super) fn flight_info(
    ticket: &Any,
    schema: &Schema,
    request: Request<FlightDescriptor>,
) -> Result<Response<FlightInfo>, Status> {
    let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(ticket.encode_to_vec()));
    let info = FlightInfo::new()
        .try_with_schema(schema)
        .map_err(|error| internal("encoding a schema", error))?
        .with_endpoint(endpoint)
        .with_descriptor(request.into_inner());
    Ok(Response::new(info))
}

/// One batch as an answer.
pub(super) fn one_batch(batch: RecordBatch) -> Response<Answers> {
    let messages = FlightDataEncoderBuilder::new()
        .with_schema(batch.schema())
        .build(stream::iter([Ok(batch)]))
        .map_err(flight_status);
    Response::new(Box::pin(messages))
}

/// No rows, of a given schema.
pub(super) fn no_rows(schema: &SchemaRef) -> Response<Answers> {
    one_batch(RecordBatch::new_empty(Arc::clone(schema)))
}
