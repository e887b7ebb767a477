//! The node's side: what the gate released, as Flight messages. Entry point: [`send`].

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::FlightData;
use arrow_flight::encode::{
    FlightDataEncoder, FlightDataEncoderBuilder, GRPC_TARGET_MAX_FLIGHT_SIZE_BYTES,
};
use arrow_flight::error::FlightError;
use arrow_flight::utils::batches_to_flight_data;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use hedgerow_engine::{
    BundleReply, Coverage, EngineError, ReleasedBundle, ReplyPart, WireError, reply,
};
use prost::Message;
use tonic::Status;

use super::frame::Frame;
use crate::status::{flight_status, to_status};

/// Messages of a reply, in order.
pub(crate) type Messages = BoxStream<'static, Result<FlightData, Status>>;

/// Encodes a released bundle. Messages stay below `message_bytes_max` where rows allow.
pub(crate) fn send(released: ReleasedBundle, message_bytes_max: usize) -> Result<Messages, Status> {
    encode(reply(released), message_bytes_max)
}

pub(super) fn encode(reply: BundleReply, message_bytes_max: usize) -> Result<Messages, Status> {
    let BundleReply { header, schemas, parts } = reply;
    let first = schemas.first().cloned();
    let organisation = header.organisation.clone();
    let header = serde_json::to_vec(&header).map_err(|error| {
        let error = EngineError::internal("encoding a reply header", error);
        to_status(&at(&organisation, &error))
    })?;
    let size = GRPC_TARGET_MAX_FLIGHT_SIZE_BYTES.min(message_bytes_max / 2).max(1);
    let mut lanes = Vec::with_capacity(schemas.len());
    let mut opening = Vec::with_capacity(schemas.len());
    let mut header = Some(header.into());
    for (fragment, schema) in (0_u32..).zip(schemas) {
        let mut lane = Lane::new(fragment, schema, size);
        opening.extend(lane.drain(header.take())?);
        lanes.push(lane);
    }
    let batches = parts.flat_map(move |part| {
        let failed = |error: EngineError| to_status(&at(&organisation, &error));
        let messages = part.map_err(failed).and_then(|part| match part {
            ReplyPart::Rows(fragment, batch) => match lanes.get_mut(fragment) {
                Some(lane) => lane.push(batch),
                None => Err(failed(no_such_fragment())),
            },
            ReplyPart::Coverage(coverage) => closing(first.as_ref(), &coverage).map_err(failed),
        });
        match messages {
            Ok(messages) => stream::iter(messages.into_iter().map(Ok).collect::<Vec<_>>()),
            Err(status) => stream::iter(vec![Err(status)]),
        }
    });
    Ok(stream::iter(opening).map(Ok).chain(batches).boxed())
}

/// An error under the node's own name, or, of a federation, under one below it.
fn at(organisation: &str, error: &EngineError) -> WireError {
    let error = error.external();
    let organisation = error.organisation.or_else(|| Some(organisation.to_owned()));
    WireError { organisation, ..error }
}

/// An empty batch of the first fragment that carries the coverage: a message needs a header.
fn closing(
    schema: Option<&SchemaRef>,
    coverage: &Coverage,
) -> Result<Vec<FlightData>, EngineError> {
    let schema = schema.ok_or_else(no_such_fragment)?;
    let empty = RecordBatch::new_empty(Arc::clone(schema));
    let messages = batches_to_flight_data(schema, vec![empty])
        .map_err(|error| EngineError::internal("encoding coverage", error))?;
    let json = serde_json::to_vec(coverage)
        .map_err(|error| EngineError::internal("encoding coverage", error))?;
    let frame = Frame { fragment: 0, header: None, coverage: Some(json.into()) };
    let last = messages.into_iter().next_back();
    let last = last.map(|message| message.with_app_metadata(frame.encode_to_vec()));
    Ok(last.into_iter().collect())
}

fn no_such_fragment() -> EngineError {
    EngineError::Internal { what: "a batch of a fragment that was not announced", source: None }
}

/// The encoder of one fragment: batches in, tagged messages out.
struct Lane {
    fragment: u32,
    batches: UnboundedSender<Result<RecordBatch, FlightError>>,
    encoder: FlightDataEncoder,
}

impl Lane {
    fn new(fragment: u32, schema: SchemaRef, size: usize) -> Self {
        let (batches, source) = unbounded();
        let encoder = FlightDataEncoderBuilder::new()
            .with_schema(schema)
            .with_max_flight_data_size(size)
            .build(source);
        Self { fragment, batches, encoder }
    }

    fn push(&mut self, batch: RecordBatch) -> Result<Vec<FlightData>, Status> {
        // The receiver lives as long as the encoder, which lives as long as the lane.
        let _ = self.batches.unbounded_send(Ok(batch));
        self.drain(None)
    }

    /// Takes all messages the encoder has ready; it is pending when it wants another batch.
    fn drain(
        &mut self,
        mut header: Option<prost::bytes::Bytes>,
    ) -> Result<Vec<FlightData>, Status> {
        let mut messages = vec![];
        while let Some(Some(message)) = self.encoder.next().now_or_never() {
            let frame = Frame { fragment: self.fragment, header: header.take(), coverage: None };
            let message = message.map_err(flight_status)?;
            messages.push(message.with_app_metadata(frame.encode_to_vec()));
        }
        Ok(messages)
    }
}
