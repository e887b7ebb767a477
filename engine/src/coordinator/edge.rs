//! The client's edge: wire types, visible columns, and status and bounds for clients that read them.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions,
};
use datafusion::arrow::compute::{cast, nullif};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt8Type};
use datafusion::common::DFSchema;

use super::carry::{Cells, is_companion};
use crate::block::wire_type;
use crate::error::EngineError;

/// Field metadata: position of the visible column a companion belongs to.
pub const COMPANION_OF: &str = "hedgerow.companion_of";
/// Field metadata that says which companion it is: `lower`, `upper` or `status`.
pub const COMPANION: &str = "hedgerow.companion";

/// How the columns of a plan become the columns a client sees.
#[derive(Debug, Clone)]
pub(crate) struct Edge {
    schema: SchemaRef,
    columns: Vec<EdgeColumn>,
}

#[derive(Debug, Clone)]
struct EdgeColumn {
    source: usize,
    /// Column with the status of a value: a withheld one is NULL, whatever was computed from it.
    status: Option<usize>,
}

impl Edge {
    /// `companions` adds `name_lower`, `name_upper`, `name_status` after the visible columns.
    pub(crate) fn new(plan: &DFSchema, cells: &Cells, companions: bool) -> Self {
        let mut fields = vec![];
        let mut columns = vec![];
        let mut extra = vec![];
        for (index, (qualifier, field)) in plan.iter().enumerate() {
            if is_companion(field.name()) {
                continue;
            }
            let column = datafusion::common::Column::new(qualifier.cloned(), field.name());
            let cell = cells.of(&column);
            let position = |column| plan.maybe_index_of_column(column);
            let status = cell.and_then(|cell| position(&cell.status));
            fields.push(Field::new(
                field.name(),
                client_type(field.data_type()),
                field.is_nullable(),
            ));
            columns.push(EdgeColumn { source: index, status });
            if let Some(cell) = cell.filter(|_| companions) {
                for (what, column) in
                    [("lower", &cell.lower), ("upper", &cell.upper), ("status", &cell.status)]
                {
                    if let Some(source) = position(column) {
                        extra.push((columns.len() - 1, field.name().clone(), what, source));
                    }
                }
            }
        }
        for (owner, name, what, source) in extra {
            let data_type = client_type(plan.field(source).data_type());
            let metadata = HashMap::from([
                (COMPANION_OF.to_owned(), owner.to_string()),
                (COMPANION.to_owned(), what.to_owned()),
            ]);
            fields.push(
                Field::new(format!("{name}_{what}"), data_type, true).with_metadata(metadata),
            );
            columns.push(EdgeColumn { source, status: None });
        }
        for (field, column) in fields.iter_mut().zip(&columns) {
            if column.status.is_some() {
                *field = field.clone().with_nullable(true);
            }
        }
        Self { schema: Arc::new(Schema::new(fields)), columns }
    }

    /// What the client is told and sent.
    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Turns a batch of the plan into a batch for the client.
    pub(crate) fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch, EngineError> {
        let internal = |e| EngineError::internal("preparing rows for the client", e);
        let mut out: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for (column, field) in self.columns.iter().zip(self.schema.fields()) {
            let Some(values) = batch.columns().get(column.source) else {
                return Err(EngineError::Internal { what: "a column is missing", source: None });
            };
            let mut values = cast(values, field.data_type()).map_err(internal)?;
            if let Some(status) = column.status.and_then(|status| batch.columns().get(status)) {
                values = nullif(&values, &withheld(status)).map_err(internal)?;
            }
            out.push(values);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(self.schema(), out, &options).map_err(internal)
    }
}

fn withheld(status: &ArrayRef) -> BooleanArray {
    let code = hedgerow_policies::CellStatus::Withheld.code();
    match status.as_primitive_opt::<UInt8Type>() {
        Some(codes) => codes.iter().map(|c| Some(c == Some(code))).collect(),
        None => BooleanArray::from(vec![true; status.len()]),
    }
}

/// An untyped NULL is sent as text: older clients know no other way.
fn client_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Null => DataType::Utf8,
        other => wire_type(other),
    }
}
