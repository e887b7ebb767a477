//! A node that is not what it seems: it passes every call on to a real node and spoils the answers.
//! Main type: [`Fake`].
//!
//! ```text
//! coordinator ──► Line (TCP: open, silent, garbage, shut, cut) ──► FakeService (TLS) ──► real node
//! ```

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::utils::{batches_to_flight_data, flight_data_to_batches};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo,
    HandshakeRequest, HandshakeResponse, PollInfo, PutResult, Result as ActionResult, SchemaResult,
    Ticket,
};
use futures::stream::{self, BoxStream, StreamExt};
use prost::Message;
use prost::bytes::Bytes;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

use crate::raw::Raw;
use crate::world::Front;

/// Longest message that the fake sends; a coordinator takes less.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// What the fake answers a call for data with.
pub(crate) enum Answering {
    /// These messages, and then this.
    Send(Vec<FlightData>, End),
    /// An error in place of an answer.
    Refuse(Status),
    /// Nothing, ever.
    Never,
}

/// How an answer ends.
pub(crate) enum End {
    /// As it should.
    Close,
    /// With an error.
    Fail(Status),
    /// Not at all: nothing more comes.
    Hang,
    /// Not at all: this comes again and again.
    Repeat(FlightData),
    /// The connection breaks.
    Cut,
}

/// What the fake says of itself.
pub(crate) enum Describing {
    Say(Vec<u8>),
    Nothing,
    Refuse(Status),
    Never,
}

/// What the network does to a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    Open,
    /// Takes it and never says a word.
    Silent,
    /// Says something that is not TLS.
    Garbage,
    /// Closes it at once.
    Shut,
}

type OnGet = Arc<dyn Fn(Vec<FlightData>) -> Answering + Send + Sync>;
type OnDescribe = Arc<dyn Fn(Vec<u8>) -> Describing + Send + Sync>;

struct Behaviour {
    get: OnGet,
    describe: OnDescribe,
    line: Line,
}

/// The handle on a fake node, to change what it does.
#[derive(Clone)]
pub(crate) struct Fake {
    behaviour: Arc<Mutex<Behaviour>>,
    cut: watch::Sender<u64>,
}

impl Fake {
    /// A fake that is honest at first.
    pub(crate) fn new() -> Self {
        let behaviour = Behaviour {
            get: Arc::new(honest),
            describe: Arc::new(Describing::Say),
            line: Line::Open,
        };
        Self { behaviour: Arc::new(Mutex::new(behaviour)), cut: watch::Sender::new(0) }
    }

    /// Takes a node's place, with the node's own certificate.
    pub(crate) async fn stand_in(self, front: Front) {
        let home = front.home.clone();
        self.stand_in_with(front, &home).await;
    }

    /// Takes a node's place, with the certificate in `certificates`.
    pub(crate) async fn stand_in_with(self, front: Front, certificates: &Path) {
        let pem = |file: &str| std::fs::read(certificates.join(file)).unwrap();
        let identity = Identity::from_pem(pem("server.pem"), pem("server.key"));
        let real = Raw::connect_to(&front.url, &front.tls.authority).await;
        let service = FakeService { fake: self.clone(), real };
        let service = FlightServiceServer::new(service)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = inner.local_addr().unwrap();
        let router = Server::builder()
            .tls_config(ServerTlsConfig::new().identity(identity))
            .unwrap()
            .add_service(service);
        tokio::spawn(router.serve_with_incoming(TcpIncoming::from(inner)));
        front.listener.set_nonblocking(true).unwrap();
        let outer = TcpListener::from_std(front.listener).unwrap();
        tokio::spawn(async move {
            while let Ok((connection, _)) = outer.accept().await {
                tokio::spawn(self.clone().carry(connection, address));
            }
        });
    }

    /// Carries one connection.
    async fn carry(self, mut outside: TcpStream, inner: std::net::SocketAddr) {
        let mut cut = self.cut.subscribe();
        let line = self.behaviour.lock().unwrap().line;
        match line {
            Line::Shut => {}
            Line::Silent => drop(cut.changed().await),
            Line::Garbage => {
                let _ = outside.write_all(&b"HTTP/1.1 200 OK\r\n\r\nhello\r\n".repeat(50)).await;
                drop(cut.changed().await);
            }
            Line::Open => {
                let mut inside = TcpStream::connect(inner).await.unwrap();
                tokio::select! {
                    _ = copy_bidirectional(&mut outside, &mut inside) => {}
                    _ = cut.changed() => {}
                }
            }
        }
    }

    /// Breaks all connections.
    pub(crate) fn cut(&self) {
        self.cut.send_modify(|count| *count += 1);
    }

    /// Changes what becomes of connections, and breaks those there are.
    pub(crate) fn set_line(&self, line: Line) {
        self.behaviour.lock().unwrap().line = line;
        self.cut();
    }

    /// Changes what is answered, given the real node's answer.
    pub(crate) fn on_get(
        &self,
        get: impl Fn(Vec<FlightData>) -> Answering + Send + Sync + 'static,
    ) {
        self.behaviour.lock().unwrap().get = Arc::new(get);
    }

    /// Changes what the fake says of itself, given what the real node says.
    pub(crate) fn on_describe(
        &self,
        describe: impl Fn(Vec<u8>) -> Describing + Send + Sync + 'static,
    ) {
        self.behaviour.lock().unwrap().describe = Arc::new(describe);
    }

    /// Passes everything on as it is.
    pub(crate) fn be_honest(&self) {
        self.on_get(honest);
        self.on_describe(Describing::Say);
        if self.behaviour.lock().unwrap().line != Line::Open {
            self.set_line(Line::Open);
        }
    }
}

fn honest(messages: Vec<FlightData>) -> Answering {
    Answering::Send(messages, End::Close)
}

struct FakeService {
    fake: Fake,
    real: Raw,
}

type Streamed<T> = BoxStream<'static, Result<T, Status>>;

fn no<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("a fake does not do this"))
}

#[tonic::async_trait]
impl FlightService for FakeService {
    type HandshakeStream = Streamed<HandshakeResponse>;
    type ListFlightsStream = Streamed<FlightInfo>;
    type DoGetStream = Streamed<FlightData>;
    type DoPutStream = Streamed<PutResult>;
    type DoActionStream = Streamed<ActionResult>;
    type ListActionsStream = Streamed<ActionType>;
    type DoExchangeStream = Streamed<FlightData>;

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        let answer = HandshakeResponse { protocol_version: 0, payload: "fake".into() };
        Ok(Response::new(stream::iter([Ok(answer)]).boxed()))
    }

    async fn do_action(
        &self,
        request: Request<Action>,
    ) -> Result<Response<Self::DoActionStream>, Status> {
        let action = request.into_inner();
        let bodies = self.real.clone().act(&action.r#type, action.body.to_vec()).await.unwrap();
        let describe = self.fake.behaviour.lock().unwrap().describe.clone();
        let body = match describe(bodies.concat()) {
            Describing::Say(body) => body,
            Describing::Nothing => return Ok(Response::new(stream::empty().boxed())),
            Describing::Refuse(status) => return Err(status),
            Describing::Never => std::future::pending().await,
        };
        Ok(Response::new(stream::iter([Ok(ActionResult::new(body))]).boxed()))
    }

    async fn do_get(
        &self,
        request: Request<Ticket>,
    ) -> Result<Response<Self::DoGetStream>, Status> {
        let messages = self.real.clone().get(request.into_inner().ticket.to_vec()).await;
        let messages = messages.map_err(|error| hedgerow_flight::to_status(&error))?;
        let get = self.fake.behaviour.lock().unwrap().get.clone();
        let (messages, end) = match get(messages) {
            Answering::Send(messages, end) => (messages, end),
            Answering::Refuse(status) => return Err(status),
            Answering::Never => std::future::pending().await,
        };
        let fake = self.fake.clone();
        let end = match end {
            End::Close => stream::empty().boxed(),
            End::Fail(status) => stream::iter([Err(status)]).boxed(),
            End::Hang => stream::pending().boxed(),
            End::Repeat(message) => stream::repeat_with(move || Ok(message.clone())).boxed(),
            End::Cut => stream::once(async move {
                tokio::time::sleep(Duration::from_millis(200)).await;
                fake.cut();
                std::future::pending().await
            })
            .boxed(),
        };
        let messages: Vec<_> = messages.into_iter().map(Ok).collect();
        Ok(Response::new(stream::iter(messages).chain(end).boxed()))
    }

    async fn list_flights(
        &self,
        _: Request<Criteria>,
    ) -> Result<Response<Self::ListFlightsStream>, Status> {
        no()
    }

    async fn get_flight_info(
        &self,
        _: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        no()
    }

    async fn poll_flight_info(
        &self,
        _: Request<FlightDescriptor>,
    ) -> Result<Response<PollInfo>, Status> {
        no()
    }

    async fn get_schema(
        &self,
        _: Request<FlightDescriptor>,
    ) -> Result<Response<SchemaResult>, Status> {
        no()
    }

    async fn do_put(
        &self,
        _: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoPutStream>, Status> {
        no()
    }

    async fn list_actions(
        &self,
        _: Request<Empty>,
    ) -> Result<Response<Self::ListActionsStream>, Status> {
        no()
    }

    async fn do_exchange(
        &self,
        _: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        no()
    }
}

/// What rides on each message of a node's answer.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Frame {
    #[prost(uint32, tag = "1")]
    pub(crate) fragment: u32,
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub(crate) header: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub(crate) coverage: Option<Bytes>,
}

/// The answer to one fragment, taken apart.
pub(crate) struct Reply {
    pub(crate) header: serde_json::Value,
    pub(crate) batch: RecordBatch,
}

impl Reply {
    /// Takes an honest answer apart.
    pub(crate) fn read(messages: &[FlightData]) -> Self {
        let frame = Frame::decode(&*messages[0].app_metadata).unwrap();
        let bare: Vec<FlightData> = messages.to_vec();
        let batches = flight_data_to_batches(&bare).unwrap();
        let schema = arrow::datatypes::Schema::try_from(&bare[0]).unwrap();
        let batch = arrow::compute::concat_batches(&schema.into(), &batches).unwrap();
        Self { header: serde_json::from_slice(&frame.header.unwrap()).unwrap(), batch }
    }

    /// Puts an answer together.
    pub(crate) fn write(&self) -> Vec<FlightData> {
        self.write_as(&self.batch.schema(), vec![self.batch.clone()])
    }

    /// Puts an answer together with other batches.
    pub(crate) fn write_as(&self, schema: &Schema, batches: Vec<RecordBatch>) -> Vec<FlightData> {
        let messages = batches_to_flight_data(schema, batches).unwrap();
        let header = serde_json::to_vec(&self.header).unwrap();
        let frames = messages.into_iter().enumerate();
        let frames = frames.map(|(n, message)| {
            let header = (n == 0).then(|| Bytes::from(header.clone()));
            let frame = Frame { header, ..Frame::default() };
            message.with_app_metadata(frame.encode_to_vec())
        });
        frames.collect()
    }
}
