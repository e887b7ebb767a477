//! What a node computes, in the types that cross the wire: no view types, no dictionaries; and a
//! panic below, as over a damaged page of a Parquet file, is an error of the one question.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;

use crate::block::wire_type;

/// Casts columns of other types to their wire types; most streams pass as they are.
pub(crate) fn in_wire_types(stream: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let stream = contained(stream);
    let own = stream.schema();
    if own.fields().iter().all(|field| wire_type(field.data_type()) == *field.data_type()) {
        return stream;
    }
    let schema = wire_schema(&own);
    let to = Arc::clone(&schema);
    let batches = stream.map(move |batch| in_schema(&batch?, &to));
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}

/// The stream, with a panic in it as its last error.
fn contained(stream: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let schema = stream.schema();
    let batches = AssertUnwindSafe(stream).catch_unwind().map(|batch| {
        batch.unwrap_or_else(|_| Err(DataFusionError::Execution("a panic".to_owned())))
    });
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

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::Int64Array;
    use datafusion::arrow::datatypes::DataType;
    use futures::stream;

    use super::*;

    #[tokio::test]
    #[expect(clippy::panic, reason = "it is caught")]
    async fn a_panic_is_an_error() {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        let column = Arc::new(Int64Array::from(vec![1]));
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column]);
        let batches = stream::iter(0..3).map(move |n| match n {
            0 => Ok(batch.as_ref().map_or_else(|_| panic!("no batch"), Clone::clone)),
            _ => panic!("a damaged page"),
        });
        let mut rows = in_wire_types(Box::pin(RecordBatchStreamAdapter::new(schema, batches)));
        assert!(matches!(rows.next().await, Some(Ok(_))));
        assert!(matches!(rows.next().await, Some(Err(_))));
        assert!(rows.next().await.is_none());
    }
}
