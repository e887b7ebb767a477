//! A plain Flight server that sends batches out of its memory, over TLS, and its client: what a
//! stream takes without a federation. Main type: [`Plain`].
//!
//! The process is this executable with [`ARGUMENT`].

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightClient, FlightData, FlightDescriptor, FlightInfo,
    HandshakeRequest, HandshakeResponse, PollInfo, PutResult, Result as ActionResult, SchemaResult,
    Ticket,
};
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use hedgerow::demo::ensure_certificates;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

use crate::Failure;
use crate::data::part;
use crate::processes::Process;
use crate::tables::NODES;

/// Makes this executable the server. Folders of the rows and of the certificates follow.
pub(crate) const ARGUMENT: &str = "--plain";

const NAME: &str = "plain";
/// As a node's session reads them.
const BATCH_ROWS: usize = 8_192;
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// The process, killed when dropped.
pub(crate) struct Plain {
    _process: Process,
    address: String,
    folder: TempDir,
}

impl Plain {
    /// Starts the server and waits until it has read the rows.
    pub(crate) fn start(rows: &Path) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join(NAME))?;
        ensure_certificates(folder.path(), &[NAME.to_owned()])?;
        let mut child = Command::new(std::env::current_exe()?)
            .arg(ARGUMENT)
            .args([rows, folder.path()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take();
        let process = Process(child);
        let mut lines = BufReader::new(out.ok_or("a server without its output")?).lines();
        let address = lines.next().ok_or("the plain server has ended")??;
        Ok(Self { _process: process, address, folder })
    }

    /// Streams all rows: how many, and in how many seconds.
    pub(crate) async fn stream(&self) -> Result<(usize, f64), Failure> {
        let authority = std::fs::read(self.folder.path().join("authority.pem"))?;
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority));
        let address = format!("https://{}", self.address);
        let channel = Channel::from_shared(address)?.tls_config(tls)?.connect().await?;
        let client = FlightServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let mut client = FlightClient::new_from_inner(client);
        let begin = Instant::now();
        let mut batches = client.do_get(Ticket::new("all")).await?;
        let mut rows = 0;
        while let Some(batch) = batches.try_next().await? {
            rows += batch.num_rows();
        }
        Ok((rows, begin.elapsed().as_secs_f64()))
    }
}

/// The process itself.
pub(crate) fn serve(folders: &[String]) -> Result<(), Failure> {
    let [rows, certificates] = folders else {
        return Err("the plain server needs two folders".into());
    };
    let home = PathBuf::from(certificates).join(NAME);
    let identity = Identity::from_pem(
        std::fs::read(home.join("server.pem"))?,
        std::fs::read(home.join("server.key"))?,
    );
    let mut batches = vec![];
    for node in 0..NODES {
        let file = File::open(part(Path::new(rows), node))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)?;
        let reader = reader.with_batch_size(BATCH_ROWS).build()?;
        batches.extend(reader.collect::<Result<Vec<_>, _>>()?);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
        let service = FlightServiceServer::new(PlainService { batches })
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        Server::builder()
            .tls_config(ServerTlsConfig::new().identity(identity))?
            .add_service(service)
            .serve_with_incoming(TcpIncoming::from(listener))
            .await?;
        Ok(())
    })
}

struct PlainService {
    batches: Vec<RecordBatch>,
}

type Answer<T> = Result<Response<T>, Status>;
type Messages<T> = BoxStream<'static, Result<T, Status>>;

fn nothing<T>() -> Answer<T> {
    Err(Status::unimplemented("only DoGet"))
}

#[tonic::async_trait]
impl FlightService for PlainService {
    type HandshakeStream = Messages<HandshakeResponse>;
    type ListFlightsStream = Messages<FlightInfo>;
    type DoGetStream = Messages<FlightData>;
    type DoPutStream = Messages<PutResult>;
    type DoExchangeStream = Messages<FlightData>;
    type DoActionStream = Messages<ActionResult>;
    type ListActionsStream = Messages<ActionType>;

    async fn do_get(&self, _: Request<Ticket>) -> Answer<Self::DoGetStream> {
        let batches = stream::iter(self.batches.clone()).map(Ok);
        let messages = FlightDataEncoderBuilder::new().build(batches).map_err(Status::from);
        Ok(Response::new(messages.boxed()))
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Answer<Self::HandshakeStream> {
        nothing()
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Answer<Self::ListFlightsStream> {
        nothing()
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Answer<FlightInfo> {
        nothing()
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Answer<PollInfo> {
        nothing()
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Answer<SchemaResult> {
        nothing()
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Answer<Self::DoPutStream> {
        nothing()
    }

    async fn do_exchange(
        &self,
        _: Request<Streaming<FlightData>>,
    ) -> Answer<Self::DoExchangeStream> {
        nothing()
    }

    async fn do_action(&self, _: Request<Action>) -> Answer<Self::DoActionStream> {
        nothing()
    }

    async fn list_actions(&self, _: Request<Empty>) -> Answer<Self::ListActionsStream> {
        nothing()
    }
}
