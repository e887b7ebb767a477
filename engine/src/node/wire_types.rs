//! What a node computes, in the types that cross the wire: no view types, no dictionaries.

use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;

use crate::block::wire_type;

/// Casts columns of other types to their wire types; most streams pass as they are.
pub(crate) fn in_wire_types(stream: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let own = stream.schema();
    if own.fields().iter().all(|field| wire_type(field.data_type()) == *field.data_type()) {
        return stream;
    }
    let schema = wire_schema(&own);
    let to = Arc::clone(&schema);
    let batches = stream.map(move |batch| in_schema(&batch?, &to));
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}

fn wire_schema(schema: &Schema) -> SchemaRef {
    let field = |field: &Arc<Field>| {
        Arc::new(field.as_ref().clone().with_data_type(wire_type(field.data_type())))
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

fn in_schema(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(values, field)| cast(values, field.data_type()))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}
