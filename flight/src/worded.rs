//! Statuses made below our own service, in our own form. Main type: [`Worded`].
//!
//! The layers that take a call apart (HTTP/2, gRPC, Arrow's Flight SQL) turn it away themselves when
//! it does not decode, with a code that blames the server and words for programmers.

use std::convert::Infallible;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use hedgerow_engine::{WireError, sqlstate};
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tonic::server::NamedService;
use tonic::{Code, Status};

use crate::status::{own_error, to_status, wire_error};

/// A service whose early errors all have an SQLSTATE.
#[derive(Debug, Clone)]
pub(crate) struct Worded<S>(pub(crate) S);

impl<S: NamedService> NamedService for Worded<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Worded<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answered = self.0.call(request);
        async move {
            let response = answered.await?;
            match foreign(response.headers()) {
                Some(error) => Ok(to_status(&error).into_http()),
                None => Ok(response),
            }
        }
        .boxed()
    }
}

/// The error to answer with in place of a status that is not ours.
fn foreign(headers: &HeaderMap) -> Option<WireError> {
    let status = Status::from_header_map(headers)?;
    if own_error(&status).is_some() {
        return None;
    }
    match status.code() {
        // All errors of our own have details, so these are about the request.
        Code::InvalidArgument | Code::Internal | Code::Unknown | Code::DataLoss => {
            Some(wire_error(
                sqlstate::SYNTAX,
                "the request is malformed: it does not decode as a call of Flight SQL",
                Some("use a Flight SQL client, such as ADBC or JDBC"),
            ))
        }
        Code::OutOfRange | Code::ResourceExhausted => Some(wire_error(
            sqlstate::LIMIT,
            "the request is longer than `limits.message_bytes_max`",
            Some("ask for less, or raise `limits.message_bytes_max` in the server's configuration"),
        )),
        Code::Unimplemented => {
            Some(wire_error(sqlstate::NOT_SUPPORTED, "the call is not supported", None))
        }
        _ => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use super::*;
    use crate::status::from_status;

    fn worded(status: Status) -> Option<WireError> {
        foreign(status.into_http::<Body>().headers())
    }

    #[test]
    fn foreign_words_are_replaced() {
        let error = worded(Status::internal("ParseError(\"…\")")).unwrap();
        assert_eq!(error.sqlstate, "42601");
        assert!(!error.message.contains("ParseError"));
        assert_eq!(worded(Status::out_of_range("too large")).unwrap().sqlstate, "53400");
        assert_eq!(worded(Status::unimplemented("")).unwrap().sqlstate, "0A000");
    }

    #[test]
    fn our_own_are_kept() {
        let own = to_status(&wire_error("XX000", "internal error: a cast", None));
        assert_eq!(from_status(&own).sqlstate, "XX000");
        assert_eq!(worded(own), None);
        assert_eq!(worded(Status::ok("")), None);
        assert_eq!(foreign(&HeaderMap::new()), None);
    }
}
