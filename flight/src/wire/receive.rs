//! The coordinator's side: Flight messages of a node, sorted by fragment. Entry point: [`receive`].

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::FlightData;
use arrow_flight::decode::{DecodedPayload, FlightDataDecoder};
use arrow_flight::error::FlightError;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use futures::stream::{self, BoxStream};
use futures::{FutureExt, Stream, StreamExt};
use hedgerow_engine::{BundleReply, EngineError, ReplyHeader, WireError};
use prost::Message;
use tonic::Status;

use super::frame::Frame;
use super::sound;

/// Longest header of a reply, in bytes.
const HEADER_BYTES_MAX: usize = 256 * 1_024;

/// Reads a reply up to its last schema and leaves the batches as a stream.
///
/// `fragments` were asked of `organisation`; `explain` puts a failed call in words.
///
/// # Errors
/// What `explain` says, or XX000 when the answer is not of the form that was asked.
pub(crate) async fn receive<S, E>(
    messages: S,
    organisation: &str,
    fragments: usize,
    explain: E,
) -> Result<BundleReply, WireError>
where
    S: Stream<Item = Result<FlightData, Status>> + Send + 'static,
    E: Fn(&Status) -> WireError + Send + 'static,
{
    let mut reader = Reader {
        organisation: organisation.to_owned(),
        messages: messages.boxed(),
        explain: Box::new(explain),
        lanes: (0..fragments).map(|_| Lane::new()).collect(),
        header: None,
        headed: false,
        early: VecDeque::new(),
        done: false,
    };
    let opened = reader.open().await;
    let (header, schemas) = opened.map_err(|error| reader.wire(&error))?;
    let batches = stream::unfold(reader, |mut reader| async move {
        let item = reader.next_batch().await?;
        Some((item, reader))
    });
    Ok(BundleReply { header, schemas, batches: batches.boxed() })
}

type Explain = Box<dyn Fn(&Status) -> WireError + Send>;

/// Reads messages and hands each to the decoder of its fragment.
struct Reader {
    organisation: String,
    messages: BoxStream<'static, Result<FlightData, Status>>,
    explain: Explain,
    lanes: Vec<Lane>,
    header: Option<ReplyHeader>,
    /// Whether a header has come; there is one.
    headed: bool,
    /// Batches that came before the last schema.
    early: VecDeque<(usize, RecordBatch)>,
    done: bool,
}

impl Reader {
    /// Reads the header and all schemas.
    async fn open(&mut self) -> Result<(ReplyHeader, Vec<SchemaRef>), EngineError> {
        while self.lanes.iter().any(|lane| lane.schema.is_none()) {
            match self.next_message().await? {
                // Schemas come first, so this does not happen; were it to, it is bounded.
                Some(_) if self.early.len() >= self.lanes.len() => {
                    return Err(self.bad("batches come before schemas"));
                }
                Some(batch) => self.early.push_back(batch),
                None if self.done => return Err(self.bad("it ended before all schemas came")),
                None => {}
            }
        }
        let schemas = self.lanes.iter().filter_map(|lane| lane.schema.clone()).collect();
        let header = self.header.take().ok_or_else(|| self.bad("it has no header"))?;
        if header.fragments.len() != self.lanes.len() {
            return Err(self.bad("it has another number of fragments"));
        }
        Ok((header, schemas))
    }

    async fn next_batch(&mut self) -> Option<Result<(usize, RecordBatch), EngineError>> {
        if let Some(batch) = self.early.pop_front() {
            return Some(Ok(batch));
        }
        while !self.done {
            match self.next_message().await {
                // An empty batch says nothing, and many of them would only be kept.
                Ok(Some((_, batch))) if batch.num_rows() == 0 => {}
                Ok(Some(batch)) => return Some(Ok(batch)),
                Ok(None) => {}
                Err(error) => {
                    self.done = true;
                    return Some(Err(EngineError::Node(self.wire(&error))));
                }
            }
        }
        None
    }

    /// Reads one message; `None` when it was no batch.
    async fn next_message(&mut self) -> Result<Option<(usize, RecordBatch)>, EngineError> {
        // A node that never stops sending must not keep the deadline from being looked at.
        tokio::task::coop::consume_budget().await;
        let Some(message) = self.messages.next().await else {
            self.done = true;
            return Ok(None);
        };
        let message = message.map_err(|status| EngineError::Node((self.explain)(&status)))?;
        let frame = Frame::decode(message.app_metadata.as_ref())
            .map_err(|_| self.bad("a message has no frame"))?;
        if let Some(header) = &frame.header {
            if header.len() > HEADER_BYTES_MAX {
                return Err(self.bad("its header is too long"));
            }
            if std::mem::replace(&mut self.headed, true) {
                return Err(self.bad("it has two headers"));
            }
            let header = serde_json::from_slice(header)
                .map_err(|_| self.bad("its header does not decode"))?;
            self.header = Some(header);
        }
        let index = frame.fragment as usize;
        let Some(lane) = self.lanes.get_mut(index) else {
            return Err(self.bad("a message of a fragment that was not asked"));
        };
        let batch = lane.decode(message).map_err(|what| self.bad(what))?;
        Ok(batch.map(|batch| (index, batch)))
    }

    fn bad(&self, what: &str) -> EngineError {
        EngineError::bad_answer(&self.organisation, what)
    }

    fn wire(&self, error: &EngineError) -> WireError {
        WireError { organisation: Some(self.organisation.clone()), ..error.external() }
    }
}

/// The decoder of one fragment; Arrow Flight refuses a second schema in one decoder.
struct Lane {
    messages: UnboundedSender<Result<FlightData, FlightError>>,
    decoder: FlightDataDecoder,
    schema: Option<SchemaRef>,
}

impl Lane {
    fn new() -> Self {
        let (messages, source) = unbounded();
        Self { messages, decoder: FlightDataDecoder::new(source), schema: None }
    }

    fn decode(&mut self, message: FlightData) -> Result<Option<RecordBatch>, &'static str> {
        sound::check(&message, self.schema.as_deref())?;
        // The receiver lives as long as the decoder, which lives as long as the lane.
        let _ = self.messages.unbounded_send(Ok(message));
        // Arrow asserts what it takes for granted; what the check above let through must not take
        // the coordinator down.
        let decoded = catch_unwind(AssertUnwindSafe(|| self.decoder.next().now_or_never()));
        let Some(Some(decoded)) = decoded.map_err(|_| "a message does not decode")? else {
            return Ok(None);
        };
        match decoded.map_err(|_| "a message does not decode")?.payload {
            DecodedPayload::Schema(schema) => match self.schema.replace(schema) {
                None => Ok(None),
                Some(_) => Err("a fragment has two schemas"),
            },
            DecodedPayload::RecordBatch(batch) => Ok(Some(batch)),
            DecodedPayload::None => Ok(None),
        }
    }
}
