//! Name and password in return for a bearer token.

use std::sync::Arc;

use arrow_flight::{BasicAuth, HandshakeRequest, HandshakeResponse};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use hedgerow_engine::sqlstate;
use prost::Message;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::{Request, Response, Status, Streaming};

use super::{Shared, internal};
use crate::connect::Credentials;
use crate::status::{to_status, wire_error};

type Answer = BoxStream<'static, Result<HandshakeResponse, Status>>;

/// Checks name and password, from the `authorization` header or from the first message, and
/// answers with a token in both places.
pub(super) async fn login(
    shared: &Arc<Shared>,
    request: Request<Streaming<HandshakeRequest>>,
) -> Result<Response<Answer>, Status> {
    let (metadata, _, mut messages) = request.into_parts();
    let credentials = match basic_header(&metadata) {
        Some(credentials) => Some(credentials),
        None => messages.message().await?.and_then(|first| basic_message(&first)),
    };
    let credentials = credentials.ok_or_else(wrong)?;
    let known = shared.users.verify(&credentials.user, &credentials.password).await;
    if !known.map_err(|error| internal("checking a password", error))? {
        tracing::warn!(organisation = %shared.name, "a login failed");
        return Err(wrong());
    }
    let token = shared.tokens.issue(&credentials.user);
    let token = token.map_err(|error| internal("making a token", error))?;
    let bearer = format!("Bearer {token}");
    let mut bearer: MetadataValue<Ascii> =
        bearer.parse().map_err(|error| internal("writing a token", error))?;
    bearer.set_sensitive(true);
    let answer = HandshakeResponse { protocol_version: 0, payload: token.into() };
    let mut response = Response::new(stream::iter([Ok(answer)]).boxed());
    response.metadata_mut().insert("authorization", bearer);
    Ok(response)
}

fn basic_header(metadata: &MetadataMap) -> Option<Credentials> {
    basic_credentials(metadata.get("authorization")?.to_str().ok()?)
}

/// Name and password of an `authorization` header, `Basic …`.
pub(crate) fn basic_credentials(value: &str) -> Option<Credentials> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = BASE64_STANDARD.decode(encoded.trim()).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some(Credentials { user: user.to_owned(), password: password.to_owned() })
}

fn basic_message(message: &HandshakeRequest) -> Option<Credentials> {
    let basic = BasicAuth::decode(&*message.payload).ok()?;
    let named = !basic.username.is_empty();
    named.then_some(Credentials { user: basic.username, password: basic.password })
}

fn wrong() -> Status {
    to_status(&wire_error(
        sqlstate::NOT_AUTHENTICATED,
        "the user name or the password is wrong",
        Some("check both; the server's administrator keeps the list of users"),
    ))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use super::*;

    fn header(value: &str) -> Option<(String, String)> {
        let mut metadata = MetadataMap::new();
        metadata.insert("authorization", value.parse().unwrap());
        basic_header(&metadata).map(|found| (found.user, found.password))
    }

    #[test]
    fn passwords_may_hold_colons() {
        let value = format!("Basic {}", BASE64_STANDARD.encode("analyst:a:b"));
        assert_eq!(header(&value), Some(("analyst".to_owned(), "a:b".to_owned())));
    }

    #[test]
    fn anything_else_is_no_login() {
        for value in ["Basic", "Basic !", "Basic Zm9v", "Bearer Zm9vOmJhcg=="] {
            assert_eq!(header(value), None, "{value}");
        }
        assert!(basic_message(&HandshakeRequest::default()).is_none());
    }
}
