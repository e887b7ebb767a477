//! A running server: TLS, health, limits and a graceful end. Main types: [`ServerParts`],
//! [`RunningServer`].

use std::fmt;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use hedgerow_catalog::{Limits, TlsConfig};
use hedgerow_engine::{Answering, Coordinator};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::server::HealthReporter;

use crate::error::TransportError;
use crate::http::{Http, routes};
use crate::service::{Door, Roles, Shared};
use crate::tls::{install_crypto_provider, server_tls};
use crate::users::Users;
use crate::worded::Worded;

/// Most calls at once on one connection.
const CALLS_MAX_PER_CONNECTION: u32 = 256;
/// Time between signs of life on an open connection.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// Longest wait for a sign of life.
const KEEPALIVE_MAX: Duration = Duration::from_secs(10);
/// Largest headers of a call, in bytes.
const HEADER_BYTES_MAX: u32 = 32 * 1_024;
/// Longest time running work has to end when the server is asked to stop.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// Longest time its end may take after that.
const HALT_MAX: Duration = Duration::from_secs(2);

/// What a server is made of.
pub struct ServerParts {
    /// Where to listen; bound already.
    pub listener: StdListener,
    /// Certificate and key.
    pub tls: TlsConfig,
    /// Who may log in.
    pub users: Arc<Users>,
    /// Plans and runs statements.
    pub coordinator: Arc<Coordinator>,
    /// Answers bundles, where this server has tables of its own or answers for its federation.
    pub answering: Option<Answering>,
    /// Named limits.
    pub limits: Limits,
    /// Name of the server in its log: its organisation.
    pub name: String,
    /// Who may read the server's figures.
    pub metrics_user: Option<String>,
}

impl fmt::Debug for ServerParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerParts").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A server that answers calls until it is shut down or dropped.
pub struct RunningServer {
    address: SocketAddr,
    /// Turns true: take no new work.
    draining: watch::Sender<bool>,
    /// Turns true: end running work.
    stopping: watch::Sender<bool>,
    health: HealthReporter,
    task: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl fmt::Debug for RunningServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl ServerParts {
    /// Starts the server on the current Tokio runtime.
    ///
    /// # Errors
    /// [`TransportError`] when certificate, key or listener cannot be used.
    pub async fn start(self) -> Result<RunningServer, TransportError> {
        install_crypto_provider();
        let tls = server_tls(&self.tls)?;
        self.listener.set_nonblocking(true).map_err(TransportError::Listen)?;
        let listener = TcpListener::from_std(self.listener).map_err(TransportError::Listen)?;
        let address = listener.local_addr().map_err(TransportError::Listen)?;
        let (draining, drained) = watch::channel(false);
        let (stopping, stopped) = watch::channel(false);
        let message_bytes_max = self.limits.message_bytes_max;
        let roles = Roles {
            name: self.name,
            users: self.users,
            coordinator: self.coordinator,
            answering: self.answering,
            limits: self.limits,
        };
        let shared = Arc::new(Shared::new(roles, drained.clone(), stopped)?);
        let http = Http { shared: Arc::clone(&shared), metrics_user: self.metrics_user };
        let flight = FlightServiceServer::new(Door::new(shared))
            .max_decoding_message_size(message_bytes_max)
            .max_encoding_message_size(message_bytes_max);
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_serving::<FlightServiceServer<Door>>().await;
        let router = Server::builder()
            .tls_config(tls)
            .map_err(TransportError::Tls)?
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_MAX))
            .http2_adaptive_window(Some(true))
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .max_concurrent_streams(CALLS_MAX_PER_CONNECTION)
            .accept_http1(true)
            .add_routes(Routes::from(routes(http)))
            .add_service(health_service)
            .add_service(Worded(flight));
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let serve = router.serve_with_incoming_shutdown(incoming, turned(drained));
        Ok(RunningServer { address, draining, stopping, health, task: tokio::spawn(serve) })
    }
}

impl RunningServer {
    /// Where the server listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new work, lets running work end for up to ten seconds, then ends it (SQLSTATE
    /// 57014).
    ///
    /// # Errors
    /// [`TransportError::Serve`] when the server had failed before.
    pub async fn shutdown(mut self) -> Result<(), TransportError> {
        self.health.set_not_serving::<FlightServiceServer<Door>>().await;
        self.draining.send_replace(true);
        if let Ok(ended) = tokio::time::timeout(DRAIN_MAX, &mut self.task).await {
            return outcome(ended);
        }
        self.stopping.send_replace(true);
        if let Ok(ended) = tokio::time::timeout(HALT_MAX, &mut self.task).await {
            return outcome(ended);
        }
        self.task.abort();
        Ok(())
    }

    /// Waits until the server fails; it does not end of itself.
    ///
    /// # Errors
    /// [`TransportError::Serve`] with what made it fail.
    pub async fn failed(&mut self) -> Result<(), TransportError> {
        outcome((&mut self.task).await)
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.draining.send_replace(true);
        self.stopping.send_replace(true);
    }
}

fn outcome(
    ended: Result<Result<(), tonic::transport::Error>, tokio::task::JoinError>,
) -> Result<(), TransportError> {
    match ended {
        Ok(Err(error)) => Err(TransportError::Serve(error)),
        // A join error is a panic or an abort of the task; there is nothing left to stop.
        Ok(Ok(())) | Err(_) => Ok(()),
    }
}

/// Waits for `true`, or for the end of the sender.
async fn turned(mut receiver: watch::Receiver<bool>) {
    let _ = receiver.wait_for(|value| *value).await;
}
