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
use hedgerow_engine::{
    BundleReply, Coverage, EngineError, NodeCoverage, ReplyHeader, ReplyPart, WireError, is_within,
};
use prost::Message;
use tonic::Status;

use super::frame::Frame;
use super::sound;
use crate::status::cut;

/// Longest header of a reply, in bytes.
const HEADER_BYTES_MAX: usize = 256 * 1_024;
/// Longest coverage of a federation, in bytes.
const COVERAGE_BYTES_MAX: usize = 4 << 20;
/// Longest text of a coverage that is kept, in bytes: it is shown to analysts.
const TEXT_BYTES_MAX: usize = 512;
/// Most notices of a federation that are kept.
const NOTICES_MAX: usize = 64;

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
        coverage: None,
        done: false,
    };
    let opened = reader.open().await;
    let (header, schemas) = opened.map_err(|error| reader.wire(&error))?;
    let parts = stream::unfold(reader, |mut reader| async move {
        let part = reader.next_part().await?;
        Some((part, reader))
    });
    Ok(BundleReply { header, schemas, parts: parts.boxed() })
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
    /// What a federation said at the end of its answer.
    coverage: Option<Coverage>,
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

    async fn next_part(&mut self) -> Option<Result<ReplyPart, EngineError>> {
        if let Some((fragment, batch)) = self.early.pop_front() {
            return Some(Ok(ReplyPart::Rows(fragment, batch)));
        }
        while !self.done {
            match self.next_message().await {
                // An empty batch says nothing, and many of them would only be kept.
                Ok(Some((_, batch))) if batch.num_rows() == 0 => {}
                Ok(Some((fragment, batch))) => return Some(Ok(ReplyPart::Rows(fragment, batch))),
                Ok(None) => {}
                Err(error) => {
                    self.done = true;
                    return Some(Err(EngineError::Node(self.wire(&error))));
                }
            }
        }
        self.coverage.take().map(|coverage| Ok(ReplyPart::Coverage(coverage)))
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
        if self.coverage.is_some() {
            return Err(self.bad("it goes on after its end"));
        }
        if let Some(coverage) = &frame.coverage {
            self.coverage = Some(self.read_coverage(coverage)?);
        }
        let index = frame.fragment as usize;
        let Some(lane) = self.lanes.get_mut(index) else {
            return Err(self.bad("a message of a fragment that was not asked"));
        };
        let batch = lane.decode(message).map_err(|what| self.bad(what))?;
        Ok(batch.map(|batch| (index, batch)))
    }

    fn read_coverage(&self, json: &[u8]) -> Result<Coverage, EngineError> {
        if json.len() > COVERAGE_BYTES_MAX {
            return Err(self.bad("its coverage is too long"));
        }
        let coverage = serde_json::from_slice(json);
        coverage.map(shortened).map_err(|_| self.bad("its coverage does not decode"))
    }

    fn bad(&self, what: &str) -> EngineError {
        EngineError::bad_answer(&self.organisation, what)
    }

    fn wire(&self, error: &EngineError) -> WireError {
        let error = error.external();
        let said = error.organisation.clone().filter(|said| is_within(said, &self.organisation));
        let organisation = said.or_else(|| Some(self.organisation.clone()));
        WireError { organisation, ..error }
    }
}

/// Coverage whose texts are of a length that can be shown.
fn shortened(coverage: Coverage) -> Coverage {
    let short = |text: String| cut(&text, TEXT_BYTES_MAX);
    let notices = coverage.notices.into_iter().take(NOTICES_MAX).map(short).collect();
    Coverage {
        notices,
        nodes: coverage.nodes.into_iter().map(shortened_node).collect(),
        ..coverage
    }
}

fn shortened_node(node: NodeCoverage) -> NodeCoverage {
    let short = |text: String| cut(&text, TEXT_BYTES_MAX);
    NodeCoverage {
        detail: node.detail.map(short),
        preset: node.preset.map(short),
        nodes: node.nodes.into_iter().map(shortened_node).collect(),
        ..node
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
