//! A node's messages, checked before Arrow decodes them: Arrow takes types, offsets and lengths for
//! granted and allocates what a compressed buffer claims to hold. Entry point: [`check`].

use arrow::datatypes::{DataType, Field, Schema};
use arrow::ipc::{MessageHeader, MetadataVersion, RecordBatch, root_as_message};
use arrow_flight::FlightData;
use hedgerow_catalog::check_ipc_schema;

/// Most rows of a batch whose columns take no bytes.
const BARE_ROWS_MAX: usize = 1 << 20;

type Sound = Result<(), &'static str>;

/// Checks one message: a schema, or a batch of `schema`.
pub(super) fn check(message: &FlightData, schema: Option<&Schema>) -> Sound {
    let head = root_as_message(&message.data_header).map_err(|_| "a message does not decode")?;
    if head.version() != MetadataVersion::V5 {
        return Err("a message is of another version of Arrow's format");
    }
    match head.header_type() {
        MessageHeader::Schema => {
            let schema = head.header_as_schema().ok_or("a schema does not decode")?;
            if schema.fields().into_iter().flatten().any(|field| field.dictionary().is_some()) {
                return Err("a column is a dictionary");
            }
            check_ipc_schema(schema)
        }
        MessageHeader::RecordBatch => {
            let schema = schema.ok_or("batches come before schemas")?;
            let batch = head.header_as_record_batch().ok_or("a batch does not decode")?;
            check_batch(batch, message.data_body.len(), schema)
        }
        _ => Err("a message is neither a schema nor a batch"),
    }
}

fn check_batch(batch: RecordBatch<'_>, body_bytes: usize, schema: &Schema) -> Sound {
    if batch.compression().is_some() {
        return Err("a batch is compressed");
    }
    let rows_max = body_bytes.saturating_mul(8).max(BARE_ROWS_MAX);
    let rows = count(batch.length(), rows_max).ok_or("a batch has an impossible number of rows")?;
    let nodes = batch.nodes().into_iter().flatten();
    let nodes = nodes.map(|node| {
        let length = count(node.length(), rows_max)?;
        count(node.null_count(), length).map(|nulls| (length, nulls))
    });
    let buffers = batch.buffers().into_iter().flatten();
    let buffers = buffers.map(|buffer| {
        let bytes = count(buffer.length(), body_bytes)?;
        count(buffer.offset(), body_bytes - bytes).map(|_| bytes)
    });
    let mut parts = Parts {
        nodes: nodes
            .collect::<Option<Vec<_>>>()
            .ok_or("a column has an impossible length")?
            .into_iter(),
        buffers: buffers
            .collect::<Option<Vec<_>>>()
            .ok_or("a buffer is outside its message")?
            .into_iter(),
        views: batch.variadicBufferCounts().into_iter().flatten().collect::<Vec<_>>().into_iter(),
    };
    for field in schema.fields() {
        if parts.column(field).ok_or("a batch does not fit its schema")? != rows {
            return Err("a column has another length than its batch");
        }
    }
    if parts.views.next().is_some() {
        return Err("a batch does not fit its schema");
    }
    Ok(())
}

/// A number on the wire that may not be negative, nor more than `maximum`.
fn count(number: i64, maximum: usize) -> Option<usize> {
    usize::try_from(number).ok().filter(|number| *number <= maximum)
}

/// What a batch says of its columns, taken one by one.
struct Parts {
    /// Rows and NULLs of each column, nested ones included.
    nodes: std::vec::IntoIter<(usize, usize)>,
    /// Bytes of each buffer.
    buffers: std::vec::IntoIter<usize>,
    /// Number of data buffers of each column of views.
    views: std::vec::IntoIter<i64>,
}

impl Parts {
    /// Takes one column, as Arrow does, and returns its length.
    fn column(&mut self, field: &Field) -> Option<usize> {
        let (length, nulls) = self.nodes.next()?;
        if field.data_type().is_null() {
            return Some(length);
        }
        let validity = self.buffers.next()?;
        if nulls > 0 && validity < length.div_ceil(8) {
            return None;
        }
        match field.data_type() {
            DataType::Utf8 | DataType::Binary => self.whole(4).and_then(|()| self.whole(1))?,
            DataType::LargeUtf8 | DataType::LargeBinary => {
                self.whole(8).and_then(|()| self.whole(1))?;
            }
            DataType::Utf8View | DataType::BinaryView => {
                let data = usize::try_from(self.views.next()?).ok()?;
                self.whole(16)?;
                (0..data).try_for_each(|_| self.whole(1))?;
            }
            DataType::List(values) | DataType::Map(values, _) => {
                self.whole(4)?;
                self.column(values)?;
            }
            DataType::LargeList(values) => {
                self.whole(8)?;
                self.column(values)?;
            }
            DataType::FixedSizeList(values, _) => {
                self.column(values)?;
            }
            DataType::Struct(fields) => {
                for field in fields {
                    self.column(field)?;
                }
            }
            other => self.whole(other.primitive_width().unwrap_or(1))?,
        }
        Some(length)
    }

    /// Takes one buffer, which holds whole elements of `width` bytes.
    fn whole(&mut self, width: usize) -> Option<()> {
        self.buffers.next().filter(|bytes| bytes.is_multiple_of(width)).map(|_| ())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test")]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BooleanArray, Decimal128Array, Int64Array, ListArray, NullArray, RecordBatch,
        StringArray, StringViewArray, StructArray, TimestampMicrosecondArray,
    };
    use arrow::datatypes::{Int32Type, SchemaRef};
    use arrow_flight::decode::FlightDataDecoder;
    use arrow_flight::utils::batches_to_flight_data;
    use futures::{FutureExt, StreamExt, stream};

    use super::*;

    fn batch() -> RecordBatch {
        let decimals = Decimal128Array::from(vec![Some(1), None, Some(3)]);
        let lists = vec![Some(vec![Some(1), None]), None, Some(vec![])];
        let inner: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])),
            Arc::new(StringArray::from(vec![Some("a"), None, Some("ccc")])),
            Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
            Arc::new(decimals.with_precision_and_scale(12, 2).unwrap()),
            Arc::new(TimestampMicrosecondArray::from(vec![1, 2, 3]).with_timezone("UTC")),
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists)),
            Arc::new(StructArray::try_from(vec![("x", inner)]).unwrap()),
            Arc::new(StringViewArray::from(vec![Some("a"), None, Some("longer than twelve")])),
            Arc::new(NullArray::new(3)),
        ];
        let fields = columns.iter().enumerate();
        let fields = fields.map(|(n, c)| Field::new(format!("c{n}"), c.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        RecordBatch::try_new(schema, columns).unwrap()
    }

    fn messages() -> (SchemaRef, Vec<FlightData>) {
        let batch = batch();
        let messages = batches_to_flight_data(&batch.schema(), vec![batch.clone()]).unwrap();
        (batch.schema(), messages)
    }

    #[test]
    fn what_nodes_send_is_sound() {
        let (schema, messages) = messages();
        assert_eq!(check(&messages[0], None), Ok(()));
        assert_eq!(check(&messages[1], Some(&schema)), Ok(()));
        assert!(check(&messages[1], None).is_err());
        let empty = RecordBatch::new_empty(Arc::clone(&schema));
        let messages = batches_to_flight_data(&schema, vec![empty]).unwrap();
        assert_eq!(check(&messages[1], Some(&schema)), Ok(()));
    }

    /// Whatever is let through decodes, or is an error; Arrow does not panic over it.
    #[test]
    fn what_is_let_through_does_not_panic() {
        let (_, messages) = messages();
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut draw = |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed as usize % below
        };
        let mut passed = 0;
        for round in 0..20_000 {
            let mut sent = messages.clone();
            let changed = &mut sent[round % 2];
            let mut bytes = changed.data_header.to_vec();
            for _ in 0..=draw(3) {
                let at = draw(bytes.len());
                bytes[at] = [0, 1, 0x7f, 0x80, 0xff, draw(256) as u8][draw(6)];
            }
            changed.data_header = bytes.into();
            if draw(8) == 0 {
                let kept = draw(sent[1].data_body.len());
                sent[1].data_body.truncate(kept);
            }
            if check(&sent[0], None).is_err() {
                continue;
            }
            let Ok(schema) = Schema::try_from(&sent[0]) else { continue };
            if check(&sent[1], Some(&schema)).is_err() {
                continue;
            }
            passed += 1;
            let mut decoder = FlightDataDecoder::new(stream::iter(sent.into_iter().map(Ok)));
            while let Some(Some(Ok(_))) = decoder.next().now_or_never() {}
        }
        assert!(passed > 100, "{passed}");
    }
}
