//! TLS from PEM files, for servers and for clients. Plaintext is not offered.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hedgerow_catalog::TlsConfig;
use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};

use crate::error::TransportError;

/// Longest TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// How a client knows that a server is who it says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTls {
    /// PEM file of the authority that signed the server's certificate; no other is trusted.
    pub authority: PathBuf,
    /// The name the certificate must carry, where it is not the host of the URL.
    pub domain: Option<String>,
}

/// Chooses the process's cryptography, once; later calls do nothing. Call it first in `main`: with
/// two providers linked and none chosen, the first TLS connection panics.
pub fn install_crypto_provider() {
    // The error says that a provider is installed already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Reads a server's certificate and key.
pub(crate) fn server_tls(config: &TlsConfig) -> Result<ServerTlsConfig, TransportError> {
    let identity = Identity::from_pem(read(&config.certificate)?, read(&config.key)?);
    Ok(ServerTlsConfig::new().identity(identity).timeout(HANDSHAKE_MAX))
}

/// Reads the authority a client trusts.
pub(crate) fn client_tls(tls: &ClientTls) -> Result<ClientTlsConfig, TransportError> {
    let config = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(read(&tls.authority)?))
        .timeout(HANDSHAKE_MAX);
    Ok(match &tls.domain {
        Some(domain) => config.domain_name(domain),
        None => config,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TransportError> {
    std::fs::read(path).map_err(|source| TransportError::ReadFile { path: path.to_owned(), source })
}
