//! What a node may do wrong in the form of its answer. Main entry: [`MISDEEDS`].

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::ipc::writer::IpcWriteOptions;
use arrow::ipc::{CompressionType, MetadataVersion};
use arrow_flight::{FlightData, SchemaAsIpc};
use prost::Message;

use crate::fake::{Answering, End, Frame, Reply};

pub(crate) type Misdeed = (&'static str, fn(Vec<FlightData>) -> Answering);

/// An answer that ends as it should.
pub(crate) fn send(messages: Vec<FlightData>) -> Answering {
    Answering::Send(messages, End::Close)
}

/// The honest answer, with another header.
fn with_header(messages: &[FlightData], change: impl FnOnce(&mut serde_json::Value)) -> Answering {
    let mut reply = Reply::read(messages);
    change(&mut reply.header);
    send(reply.write())
}

/// The honest answer with other columns.
fn with_columns(messages: &[FlightData], change: fn(Vec<ArrayRef>) -> Vec<ArrayRef>) -> Answering {
    let mut reply = Reply::read(messages);
    let columns = change(reply.batch.columns().to_vec());
    let field = |(n, column): (usize, &ArrayRef)| {
        Field::new(format!("c{n}"), column.data_type().clone(), true)
    };
    let schema = Schema::new(columns.iter().enumerate().map(field).collect::<Vec<_>>());
    reply.batch = RecordBatch::try_new(Arc::new(schema), columns).unwrap();
    send(reply.write())
}

/// The honest answer, one message of it changed.
pub(crate) fn changed(
    mut messages: Vec<FlightData>,
    index: usize,
    change: impl FnOnce(&mut FlightData),
) -> Answering {
    change(&mut messages[index]);
    send(messages)
}

fn framed(message: FlightData, fragment: u32, header: Option<&[u8]>) -> FlightData {
    let header = header.map(|header| header.to_vec().into());
    message.with_app_metadata(Frame { fragment, header, coverage: None }.encode_to_vec())
}

/// A schema message as the node sends it, of a schema it never would send.
fn schema_message(schema: &Schema, messages: &[FlightData]) -> FlightData {
    let options = IpcWriteOptions::default();
    let message = FlightData::from(SchemaAsIpc::new(schema, &options));
    message.with_app_metadata(messages[0].app_metadata.clone())
}

/// The honest batch as a writer with other options writes it.
fn written_with(messages: &[FlightData], options: &IpcWriteOptions) -> Answering {
    let batch = Reply::read(messages).batch;
    let generator = arrow::ipc::writer::IpcDataGenerator::default();
    let mut tracker = arrow::ipc::writer::DictionaryTracker::new(false);
    let mut context = arrow::ipc::writer::IpcWriteContext::default();
    let (_, encoded) = generator.encode(&batch, &mut tracker, options, &mut context).unwrap();
    let schema = FlightData::from(SchemaAsIpc::new(&batch.schema(), options));
    let schema = schema.with_app_metadata(messages[0].app_metadata.clone());
    send(vec![schema, framed(encoded.into(), 0, None)])
}

/// What a node may do wrong in the form of its answer; each is an answer of another form (XX000).
pub(crate) const MISDEEDS: &[Misdeed] = &[
    ("nothing at all", |_| send(vec![])),
    ("no batch's schema", |messages| send(messages[1..].to_vec())),
    ("no header", |messages| changed(messages, 0, |m| *m = framed(m.clone(), 0, None))),
    ("a header of garbage", |messages| {
        changed(messages, 0, |m| *m = framed(m.clone(), 0, Some(b"{\"organisation\": 741852963")))
    }),
    ("a header of 300 kB", |messages| {
        let long = format!("\"{}\"", "x".repeat(300_000));
        changed(messages, 0, |m| *m = framed(m.clone(), 0, Some(long.as_bytes())))
    }),
    ("two headers", |messages| {
        let header = Frame::decode(&*messages[0].app_metadata).unwrap().header.unwrap();
        changed(messages, 1, |m| *m = framed(m.clone(), 0, Some(&header)))
    }),
    ("two schemas", |mut messages| {
        let again = framed(messages[0].clone(), 0, None);
        messages.insert(1, again);
        send(messages)
    }),
    ("a batch before the schema", |mut messages| {
        messages.swap(0, 1);
        send(messages)
    }),
    ("another fragment", |messages| changed(messages, 1, |m| *m = framed(m.clone(), 7, None))),
    ("a frame of garbage", |messages| {
        changed(messages, 1, |m| m.app_metadata = vec![0xff; 40].into())
    }),
    ("a message without a header", |messages| {
        changed(messages, 1, |m| m.data_header = vec![].into())
    }),
    ("a message header of garbage", |messages| {
        changed(messages, 1, |m| m.data_header = vec![0xa5; 200].into())
    }),
    ("a schema of garbage", |messages| {
        changed(messages, 0, |m| m.data_header = vec![0xa5; 200].into())
    }),
    ("a body that is cut short", |messages| {
        changed(messages, 1, |m| m.data_body.truncate(m.data_body.len() / 2))
    }),
    ("no body", |messages| changed(messages, 1, |m| m.data_body = vec![].into())),
    ("text that is no UTF-8", |messages| {
        changed(messages, 1, |m| {
            let bytes = m.data_body.iter();
            let other = bytes.map(|byte| if byte.is_ascii_lowercase() { 0xff } else { *byte });
            m.data_body = other.collect::<Vec<_>>().into();
        })
    }),
    ("another organisation", |messages| {
        with_header(&messages, |h| h["organisation"] = "south".into())
    }),
    ("another bundle", |messages| with_header(&messages, |h| h["bundle_hash"] = "00".into())),
    ("two fragments", |messages| {
        with_header(&messages, |h| {
            let fragment = h["fragments"][0].clone();
            h["fragments"].as_array_mut().unwrap().push(fragment);
        })
    }),
    ("no fragments", |messages| with_header(&messages, |h| h["fragments"] = serde_json::json!([]))),
    ("the other protection", |messages| {
        with_header(&messages, |h| {
            let k = &mut h["fragments"][0]["k"];
            *k = if k.is_null() { 10.into() } else { serde_json::Value::Null };
        })
    }),
    ("fewer columns", |messages| {
        with_columns(&messages, |mut columns| {
            columns.pop();
            columns
        })
    }),
    ("no columns", |messages| {
        let schema = Schema::empty();
        let batch = RecordBatch::new_empty(Arc::new(schema.clone()));
        send(Reply::read(&messages).write_as(&schema, vec![batch]))
    }),
    ("more columns", |messages| {
        with_columns(&messages, |mut columns| {
            columns.push(columns[0].clone());
            columns
        })
    }),
    ("columns the other way round", |messages| {
        with_columns(&messages, |mut columns| {
            columns.swap(0, 1);
            columns
        })
    }),
    ("another type", |messages| {
        with_columns(&messages, |mut columns| {
            columns[0] = new_null_array(&DataType::Float64, columns[0].len());
            columns
        })
    }),
    ("a type that cannot be", |messages| {
        let union = DataType::FixedSizeBinary(-5);
        let schema = Schema::new(vec![Field::new("u", union, true)]);
        let first = schema_message(&schema, &messages);
        changed(messages, 0, |m| *m = first)
    }),
    ("a decimal of no size", |messages| {
        let schema = Schema::new(vec![Field::new("d", DataType::Decimal128(200, 100), true)]);
        let first = schema_message(&schema, &messages);
        changed(messages, 0, |m| *m = first)
    }),
    ("a dictionary", |messages| {
        let dictionary = DataType::Dictionary(DataType::Int8.into(), DataType::Utf8.into());
        let schema = Schema::new(vec![Field::new("d", dictionary, true)]);
        let first = schema_message(&schema, &messages);
        changed(messages, 0, |m| *m = first)
    }),
    ("a compressed batch", |messages| {
        let options = IpcWriteOptions::default();
        let options = options.try_with_compression(Some(CompressionType::LZ4_FRAME)).unwrap();
        written_with(&messages, &options)
    }),
    ("an old version of the format", |messages| {
        let options = IpcWriteOptions::try_new(64, false, MetadataVersion::V4).unwrap();
        written_with(&messages, &options)
    }),
];
