//! One warm, authenticated connection to a server. Main type: [`Remote`].
//!
//! The channel connects at the first call and again after a loss. A password is sent once, in
//! return for a bearer token that later calls carry; when the token has ended, once more.

use std::fmt;
use std::time::Duration;

use arrow_flight::HandshakeRequest;
use arrow_flight::flight_service_client::FlightServiceClient;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures::stream;
use hedgerow_engine::{WireError, sqlstate};
use tokio::sync::Mutex;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::error::TransportError;
use crate::status::{from_status, is_unreachable, wire_error};
use crate::tls::{ClientTls, client_tls, install_crypto_provider};

/// Longest wait for a connection.
pub(crate) const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Longest wait for a login.
const LOGIN_MAX: Duration = Duration::from_secs(30);
/// Time between signs of life on an open connection.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// Longest wait for a sign of life.
const KEEPALIVE_MAX: Duration = Duration::from_secs(10);
/// HTTP/2 window of one answer, in bytes.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
/// HTTP/2 window of all answers on a connection, in bytes.
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// A name and its password. Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User name; it may not contain a colon.
    pub user: String,
    /// Password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// The Flight client that calls are made with.
pub(crate) type Client = FlightServiceClient<Channel>;

/// A server, as its client sees it.
pub(crate) struct Remote {
    client: Client,
    credentials: Credentials,
    token: Mutex<Option<MetadataValue<Ascii>>>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("credentials", &self.credentials).finish_non_exhaustive()
    }
}

impl Remote {
    /// Prepares a connection; nothing is sent. Must be called within a Tokio runtime.
    pub(crate) fn new(
        url: &str,
        tls: &ClientTls,
        credentials: Credentials,
        connect_timeout: Duration,
        message_bytes_max: usize,
    ) -> Result<Self, TransportError> {
        install_crypto_provider();
        let bad_url = || TransportError::Url { url: url.to_owned() };
        if !url.starts_with("https://") {
            return Err(bad_url());
        }
        let channel = Endpoint::from_shared(url.to_owned())
            .map_err(|_| bad_url())?
            .tls_config(client_tls(tls)?)
            .map_err(TransportError::Tls)?
            .connect_timeout(connect_timeout)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_MAX)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .connect_lazy();
        let client = FlightServiceClient::new(channel)
            .max_decoding_message_size(message_bytes_max)
            .max_encoding_message_size(message_bytes_max);
        Ok(Self { client, credentials, token: Mutex::new(None) })
    }

    /// Makes a call with the token, logging in first where there is none, and once more when the
    /// server no longer knows it.
    pub(crate) async fn call<M, R, F, Fut>(&self, message: M, call: F) -> Result<R, Status>
    where
        M: Clone,
        F: Fn(Client, Request<M>) -> Fut,
        Fut: Future<Output = Result<R, Status>>,
    {
        let token = self.token(None).await?;
        let first = call(self.client.clone(), with_token(message.clone(), &token)).await;
        match first {
            Err(status) if status.code() == Code::Unauthenticated => {
                let token = self.token(Some(&token)).await?;
                call(self.client.clone(), with_token(message, &token)).await
            }
            other => other,
        }
    }

    /// Logs in when there is no token.
    pub(crate) async fn login(&self) -> Result<(), Status> {
        self.token(None).await.map(|_| ())
    }

    /// The token, made anew when there is none or the one there is equals `ended`.
    async fn token(
        &self,
        ended: Option<&MetadataValue<Ascii>>,
    ) -> Result<MetadataValue<Ascii>, Status> {
        let mut token = self.token.lock().await;
        if let Some(token) = token.as_ref().filter(|token| Some(*token) != ended) {
            return Ok(token.clone());
        }
        let fresh = tokio::time::timeout(LOGIN_MAX, self.handshake())
            .await
            .map_err(|_| Status::unavailable("the login took too long"))??;
        Ok(token.insert(fresh).clone())
    }

    async fn handshake(&self) -> Result<MetadataValue<Ascii>, Status> {
        let Credentials { user, password } = &self.credentials;
        let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
        let mut request = Request::new(stream::iter([HandshakeRequest::default()]));
        request.metadata_mut().insert("authorization", sensitive(&basic)?);
        let mut client = self.client.clone();
        let response = client.handshake(request).await?;
        let (metadata, mut answers, _) = response.into_parts();
        let answer = answers.message().await?;
        if let Some(bearer) = metadata.get("authorization") {
            return Ok(bearer.clone());
        }
        let payload = answer.map(|answer| answer.payload).unwrap_or_default();
        let token = std::str::from_utf8(&payload).unwrap_or_default();
        sensitive(&format!("Bearer {token}"))
    }
}

fn with_token<M>(message: M, token: &MetadataValue<Ascii>) -> Request<M> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", token.clone());
    request
}

/// A header that HTTP/2 neither logs nor compresses into its table.
fn sensitive(value: &str) -> Result<MetadataValue<Ascii>, Status> {
    let mut value: MetadataValue<Ascii> =
        value.parse().map_err(|_| Status::unauthenticated("the credentials cannot be sent"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Puts a failed call in words; `who` is what was called, such as "the server".
pub(crate) fn explain(status: &Status, who: &str) -> WireError {
    if !is_unreachable(status) {
        return from_status(status);
    }
    let (what, hint) = match reason(status) {
        Reason::Certificate => (
            "presents a certificate that is not trusted",
            "check the authority file and the name in the certificate",
        ),
        Reason::Network => {
            ("cannot be reached", "check the address, and that the server is running")
        }
    };
    wire_error(sqlstate::UNAVAILABLE, format!("{who} {what}"), Some(hint))
}

enum Reason {
    Certificate,
    Network,
}

fn reason(status: &Status) -> Reason {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(status);
    while let Some(error) = next {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let tls = tls.or_else(|| error.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::InvalidCertificate(_)) = tls {
            return Reason::Certificate;
        }
        next = error.source();
    }
    if status.message().contains("certificate") { Reason::Certificate } else { Reason::Network }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        let credentials = Credentials { user: "u".to_owned(), password: "hush".to_owned() };
        assert!(!format!("{credentials:?}").contains("hush"));
        assert!(!format!("{:?}", sensitive("Basic hush").unwrap()).contains("hush"));
    }

    #[test]
    fn unreachable_servers_are_explained() {
        let error = explain(&Status::unavailable("tcp connect error"), "the server");
        assert_eq!(
            (error.sqlstate.as_str(), error.message.as_str()),
            ("08006", "the server cannot be reached")
        );
        let error = explain(&Status::unavailable("invalid peer certificate"), "the server");
        assert!(error.message.contains("not trusted"), "{error}");
        let error = explain(&Status::unauthenticated("wrong"), "the server");
        assert_eq!(error.sqlstate, "28000");
    }
}
