//! Puts one server together from its configuration: node, coordinator, or both.
//!
//! Main entry: [`run_from_config`]. What a server does with a statement is not decided here.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hedgerow_catalog::{CatalogError, Contracts, FederationConfig, ServerConfig};
use hedgerow_engine::{
    Answering, Coordinator, EngineError, InProcessChannel, Middle, Node, NodeChannel,
};
use hedgerow_flight::{
    ClientTls, Credentials, FlightNodeChannel, RunningServer, ServerParts, TransportError, Users,
};

/// Why a server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another program listens there.
    #[error(
        "cannot listen on `{address}`: another program does; stop it, or set another port with \
         `listen` in the configuration"
    )]
    Occupied {
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be used.
    #[error("cannot listen on `{address}`; set another address with `listen` in the configuration")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Configuration or contracts are at fault.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The node's tables or rules are at fault.
    #[error("cannot open this organisation's tables")]
    Node(#[source] EngineError),
    /// The contracts do not make a catalog.
    #[error("cannot put the federation's tables together")]
    Coordinator(#[source] EngineError),
    /// Certificates or users are at fault.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The password for the nodes cannot be read.
    #[error("cannot read `{}`, named by `federation.password_file`", path.display())]
    Password {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The coordinator does not know whom to trust.
    #[error(
        "a coordinator needs `authority` under `[tls]`: the authority of its nodes' certificates"
    )]
    NoAuthority,
}

/// Listens where the configuration says and starts the server there.
///
/// # Errors
/// [`ServeError`] when the address is taken or a file of the configuration is at fault. A node of
/// the federation that is down is no error: its organisation is reported as unavailable.
pub async fn run_from_config(config: &ServerConfig) -> Result<RunningServer, ServeError> {
    let listener = bind(config.listen)?;
    run_on(listener, config).await
}

/// Listens on an address.
///
/// # Errors
/// [`ServeError::Occupied`] and [`ServeError::Listen`], naming the address.
pub fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::Occupied { address },
        _ => ServeError::Listen { address, source },
    })
}

/// Starts the server on a listener that is there already; `config.listen` is not looked at.
///
/// # Errors
/// As [`run_from_config`].
pub async fn run_on(
    listener: TcpListener,
    config: &ServerConfig,
) -> Result<RunningServer, ServeError> {
    let contracts = Contracts::load(&config.contracts)?;
    let users = Users::load(&config.users.file)?;
    let node = match config.is_node() {
        true => Some(Node::open(config, contracts.clone()).await.map_err(ServeError::Node)?),
        false => None,
    };
    let channels = channels(config, node.as_ref())?;
    let own = config.federation.as_ref().map(|federation| federation.tables.clone());
    let own = own.unwrap_or_default();
    let coordinator =
        Coordinator::connect_with(contracts, channels, &config.views, &own, config.limits)
            .await
            .map_err(ServeError::Coordinator)?;
    let rounding = config.federation.as_ref().map(|federation| federation.coordinators.as_slice());
    let answering = match config.federation_id() {
        Some(id) => {
            let name = config.name.clone();
            let rounding = rounding.unwrap_or_default();
            let middle = Middle::new(id, name, rounding, &coordinator, &config.limits);
            Some(Answering::Federation(middle))
        }
        None => node.map(Answering::Node),
    };
    let id = config.organisation.as_deref().or(config.federation_id()).map(str::to_owned);
    let name = id.or_else(|| config.name.clone());
    let parts = ServerParts {
        listener,
        tls: config.tls.clone(),
        users: Arc::new(users),
        coordinator,
        answering,
        limits: config.limits,
        name: name.unwrap_or_else(|| "hedgerow".to_owned()),
        metrics_user: config.metrics.as_ref().map(|metrics| metrics.user.clone()),
    };
    Ok(parts.start().await?)
}

/// The server's own node first, then those of its federation.
fn channels(
    config: &ServerConfig,
    node: Option<&Arc<Node>>,
) -> Result<Vec<Arc<dyn NodeChannel>>, ServeError> {
    let mut channels: Vec<Arc<dyn NodeChannel>> = vec![];
    if let Some(node) = node {
        channels.push(Arc::new(InProcessChannel::new(Arc::clone(node))));
    }
    if let Some(federation) = &config.federation {
        channels.extend(remote_channels(config, federation)?);
    }
    Ok(channels)
}

fn remote_channels(
    config: &ServerConfig,
    federation: &FederationConfig,
) -> Result<Vec<Arc<dyn NodeChannel>>, ServeError> {
    let authority = config.tls.authority.clone().ok_or(ServeError::NoAuthority)?;
    let tls = ClientTls { authority, domain: None };
    let password = password(&federation.password_file)?;
    let own = config.organisation.as_deref().filter(|_| config.is_node());
    let others = federation.nodes.iter().filter(|node| Some(node.organisation.as_str()) != own);
    let channel = |organisation: &str, url: &str| {
        let credentials = Credentials { user: federation.user.clone(), password: password.clone() };
        let patience = Duration::from_millis(federation.connect_timeout_ms);
        FlightNodeChannel::new(organisation, url, &tls, credentials, patience, &config.limits)
    };
    others
        .map(|node| {
            let channel = channel(&node.organisation, &node.url)?;
            Ok(Arc::new(channel) as Arc<dyn NodeChannel>)
        })
        .collect()
}

/// The first line of the password file.
fn password(path: &Path) -> Result<String, ServeError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ServeError::Password { path: path.to_owned(), source })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use super::*;

    #[test]
    fn an_occupied_port_is_named_with_what_to_do() {
        let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let error = bind(address).unwrap_err();
        assert!(matches!(error, ServeError::Occupied { .. }));
        let words = error.to_string();
        assert!(words.contains(&address.to_string()), "{words}");
        assert!(words.contains("`listen`"), "{words}");
    }
}
