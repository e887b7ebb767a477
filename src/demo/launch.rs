//! Starts the demo federation in this process: every organisation and the coordinator as a real
//! server on its own loopback port, with its own certificate and configuration.
//!
//! ```text
//! DIR/demo.toml                     which demo this is
//! DIR/authority.pem                 whom clients trust
//! DIR/contracts/*.toml
//! DIR/ORGANISATION/serve.toml       for `hedgerow serve --config`
//!                 /*.parquet, server.pem, server.key, users.toml, ledger.ndjson
//! DIR/BOARD/serve.toml, …           with `--boards`: coordinates some of the organisations
//! DIR/coordinator/serve.toml, server.pem, server.key, users.toml
//!                /node.password     how it introduces itself to the nodes
//!                /analyst.password  how an analyst logs in
//! ```
//!
//! Main type: [`Demo`].

mod data;
mod settings;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use futures::future::{join_all, try_join_all};
use hedgerow_catalog::{CatalogError, ServerConfig};
use hedgerow_flight::{RunningServer, TransportError};

use super::certificates::{CertificateError, ensure_certificates};
use super::error::DemoError;
use super::organisations::{boards, organisations};
use super::write::DataOptions;
use crate::files::TemporaryFolder;
use crate::server::{ServeError, bind, run_on};
use settings::{Settings, policy_toml};

/// The coordinator's folder, and its user at the nodes.
const COORDINATOR: &str = "coordinator";
/// The user of the demo's shell.
pub const ANALYST: &str = "analyst";

/// What to start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DemoOptions {
    /// The data.
    pub data: DataOptions,
    /// Care boards between the organisations and the coordinator; none by default.
    pub boards: usize,
    /// Disclosure rules of every organisation, as the keys of `[policy]`; none for the preset alone.
    pub policy: Option<toml::Table>,
    /// Where data and configuration are kept; without it data are cached and the rest is temporary.
    pub directory: Option<PathBuf>,
}

/// Why the demo could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The data could not be made.
    #[error(transparent)]
    Data(#[from] DemoError),
    /// A file or folder could not be used.
    #[error("failed to use `{}`", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder is somebody else's.
    #[error("`{}` is not empty and holds no demo; choose another `--directory`", path.display())]
    NotADemo {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds a demo with other options.
    #[error("`{}` holds another demo ({found}); ask for that one or choose another `--directory`", path.display())]
    OtherDemo {
        /// The folder.
        path: PathBuf,
        /// The options of the demo there.
        found: String,
    },
    /// The certificates could not be made.
    #[error(transparent)]
    Certificates(#[from] CertificateError),
    /// A password could not be hashed.
    #[error(transparent)]
    Password(#[from] TransportError),
    /// A configuration cannot be read.
    #[error(transparent)]
    Config(#[from] CatalogError),
    /// A server could not be started.
    #[error("failed to start `{server}`")]
    Start {
        /// Its folder.
        server: String,
        /// Why.
        source: Box<ServeError>,
    },
    /// A bug or a cancelled task.
    #[error("internal error: writing the demo was interrupted")]
    Interrupted,
}

/// A federation that runs in this process.
#[derive(Debug)]
pub struct Demo {
    servers: Vec<(String, RunningServer)>,
    address: SocketAddr,
    folder: PathBuf,
    password: String,
    /// Removed with the demo.
    _temporary: Option<TemporaryFolder>,
}

impl Demo {
    /// Makes what is missing, starts all servers and waits until the coordinator answers. `tell`
    /// is told what takes time.
    ///
    /// # Errors
    /// [`LaunchError`] naming the file or server that is at fault.
    pub async fn start(options: DemoOptions, tell: fn(&str)) -> Result<Self, LaunchError> {
        let organisations = organisations(options.data.organisations);
        let data = options.directory.clone().unwrap_or_else(|| data::cache(&options.data));
        let data =
            blocking(move || data::ensure(&options.data, &data, tell).map(|()| data)).await?;
        let (folder, temporary) = match options.directory {
            Some(_) => (data.clone(), None),
            None => {
                let temporary = TemporaryFolder::new()
                    .map_err(|source| LaunchError::File { path: std::env::temp_dir(), source })?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        tell("starting servers");
        let boards = boards(options.boards, &organisations);
        let policy = options.policy.as_ref().map(policy_toml).unwrap_or_default();
        let settings = Settings { organisations, boards, data, folder: folder.clone(), policy };
        settings.check_kept()?;
        let listeners = listen(&folder, &settings.servers())?;
        let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>();
        let addresses: Vec<SocketAddr> =
            addresses.map_err(|source| LaunchError::File { path: folder.clone(), source })?;
        let (names, nodes) = (settings.servers(), settings.organisations.len());
        let password = blocking(move || prepare(&settings, &addresses)).await?;
        Self::start_servers(folder, temporary, (names, nodes), listeners, password).await
    }

    async fn start_servers(
        folder: PathBuf,
        temporary: Option<TemporaryFolder>,
        (names, nodes): (Vec<String>, usize),
        mut listeners: Vec<TcpListener>,
        password: String,
    ) -> Result<Self, LaunchError> {
        let coordinator = listeners.pop().ok_or(LaunchError::Interrupted)?;
        let above = listeners.split_off(nodes.min(listeners.len()));
        let organisations =
            names.iter().zip(listeners).map(|(name, listener)| start(&folder, name, listener));
        let mut servers = try_join_all(organisations).await?;
        let boards = names.iter().skip(nodes).zip(above);
        let boards = boards.map(|(name, listener)| start(&folder, name, listener));
        servers.extend(try_join_all(boards).await?);
        let coordinator = start(&folder, COORDINATOR, coordinator).await?;
        let address = coordinator.1.local_addr();
        servers.push(coordinator);
        Ok(Self { servers, address, folder, password, _temporary: temporary })
    }

    /// The coordinator's address.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Every server by name, the coordinator last.
    pub fn addresses(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        self.servers.iter().map(|(name, server)| (name.as_str(), server.local_addr()))
    }

    /// Certificate of the authority that clients trust.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    /// Password of [`ANALYST`] at the coordinator and at every node.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// File that holds [`Demo::password`].
    pub fn password_file(&self) -> PathBuf {
        settings::analyst_password_file(&self.folder)
    }

    /// Folder of configuration and certificates.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Stops every server, the coordinator first.
    pub async fn shutdown(mut self) {
        if let Some((_, coordinator)) = self.servers.pop() {
            stop(coordinator).await;
        }
        join_all(self.servers.drain(..).map(|(_, server)| stop(server))).await;
    }
}

async fn stop(server: RunningServer) {
    if let Err(error) = server.shutdown().await {
        tracing::warn!(%error, "a server did not stop cleanly");
    }
}

/// One listener per server: at the port of its configuration, else at any free one.
fn listen(folder: &Path, names: &[String]) -> Result<Vec<TcpListener>, LaunchError> {
    let mut listeners = vec![];
    for name in names {
        let config = folder.join(name).join("serve.toml");
        let address = match config.exists() {
            true => ServerConfig::load(&config)?.listen,
            false => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        };
        let listener = bind(address).map_err(|source| start_error(name, source))?;
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Writes what is missing beside the data; returns the analyst's password.
fn prepare(settings: &Settings, addresses: &[SocketAddr]) -> Result<String, LaunchError> {
    let password = settings.write(addresses)?;
    ensure_certificates(&settings.folder, &settings.servers())?;
    Ok(password)
}

async fn start(
    folder: &Path,
    name: &str,
    listener: TcpListener,
) -> Result<(String, RunningServer), LaunchError> {
    let config = ServerConfig::load(&folder.join(name).join("serve.toml"))?;
    let server = run_on(listener, &config).await.map_err(|source| start_error(name, source))?;
    Ok((name.to_owned(), server))
}

fn start_error(server: &str, source: ServeError) -> LaunchError {
    LaunchError::Start { server: server.to_owned(), source: Box::new(source) }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LaunchError> + Send + 'static,
) -> Result<T, LaunchError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| LaunchError::Interrupted)?
}
