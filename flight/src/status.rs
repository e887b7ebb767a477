//! [`WireError`] to gRPC status and back.
//!
//! The status details hold a `google.rpc.Status` with the error as JSON inside, so it comes back
//! exactly; the status message holds the same in words, for clients that show only text.

use std::error::Error as _;

use arrow_flight::error::FlightError;
use arrow_flight::sql::Any;
use hedgerow_engine::{EngineError, WireError, sqlstate};
use prost::Message;
use tonic::{Code, Status};

/// Type of the JSON inside the status details.
const ERROR_TYPE_URL: &str = "type.googleapis.com/hedgerow.v1.Error";

/// Longest text field of an error on the wire, in bytes: headers are small.
const TEXT_BYTES_MAX: usize = 1_500;
/// Longest rule or organisation of an error, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// `google.rpc.Status`, which is what gRPC expects in the details.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// Writes an error as a gRPC status.
pub fn to_status(error: &WireError) -> Status {
    status_with_code(error, code_of(&error.sqlstate))
}

/// Writes an engine's error as a gRPC status.
pub(crate) fn engine_status(error: &EngineError) -> Status {
    let code = match error {
        EngineError::Timeout { .. } => Code::DeadlineExceeded,
        _ => code_of(error.sqlstate()),
    };
    status_with_code(&error.external(), code)
}

/// Reads an error from a gRPC status: exactly, where this crate wrote it, else by its code.
pub fn from_status(status: &Status) -> WireError {
    from_details(status.details()).unwrap_or_else(|| foreign(status))
}

/// The error in a status that this crate wrote; `None` for any other status.
pub(crate) fn own_error(status: &Status) -> Option<WireError> {
    from_details(status.details())
}

/// Tells whether the call failed on its way, rather than at the other end.
pub(crate) fn is_unreachable(status: &Status) -> bool {
    if from_details(status.details()).is_some() {
        return false;
    }
    match status.code() {
        Code::Unavailable => true,
        // Made here, by the transport; a status that came over the wire has no source.
        Code::Unknown | Code::Internal | Code::Cancelled => {
            status.source().is_some() || status.message().starts_with("Service was not ready")
        }
        _ => false,
    }
}

/// Reads the status inside an Arrow Flight error.
pub(crate) fn flight_status(error: FlightError) -> Status {
    match error {
        FlightError::Tonic(status) => *status,
        other => engine_status(&EngineError::internal("encoding", other)),
    }
}

/// A plain error of this crate.
pub(crate) fn wire_error(
    sqlstate: &str,
    message: impl Into<String>,
    hint: Option<&str>,
) -> WireError {
    WireError {
        sqlstate: sqlstate.to_owned(),
        rule: None,
        message: message.into(),
        hint: hint.map(str::to_owned),
        organisation: None,
    }
}

fn status_with_code(error: &WireError, code: Code) -> Status {
    let error = shortened(error);
    let text = words(&error);
    let details = RpcStatus {
        code: code.into(),
        message: text.clone(),
        details: vec![Any {
            type_url: ERROR_TYPE_URL.to_owned(),
            value: serde_json::to_vec(&error).unwrap_or_default().into(),
        }],
    };
    Status::with_details(code, text, details.encode_to_vec().into())
}

fn words(error: &WireError) -> String {
    let rule = error.rule.as_ref().map(|rule| format!(" {rule}")).unwrap_or_default();
    let hint = error.hint.as_ref().map(|hint| format!("; hint: {hint}")).unwrap_or_default();
    format!("{error} [{}{rule}]{hint}", error.sqlstate)
}

fn shortened(error: &WireError) -> WireError {
    WireError {
        sqlstate: error.sqlstate.clone(),
        rule: error.rule.clone(),
        message: shorten(&error.message),
        hint: error.hint.as_deref().map(shorten),
        organisation: error.organisation.clone(),
    }
}

fn shorten(text: &str) -> String {
    cut(text, TEXT_BYTES_MAX)
}

/// The text, cut with `…` to at most `bytes_max`.
pub(crate) fn cut(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let room = bytes_max.saturating_sub('…'.len_utf8());
    let mut short: String = text
        .char_indices()
        .take_while(|(at, c)| at + c.len_utf8() <= room)
        .map(|(_, c)| c)
        .collect();
    short.push('…');
    short
}

fn from_details(details: &[u8]) -> Option<WireError> {
    let status = RpcStatus::decode(details).ok()?;
    let detail = status.details.iter().find(|any| any.type_url == ERROR_TYPE_URL)?;
    serde_json::from_slice(&detail.value).ok().filter(is_well_formed)
}

/// Whether an error is as [`to_status`] writes it: another end may write anything.
fn is_well_formed(error: &WireError) -> bool {
    let name = |name: &Option<String>| {
        name.as_ref().is_none_or(|name| {
            name.len() <= NAME_BYTES_MAX && name.chars().all(|letter| letter.is_ascii_graphic())
        })
    };
    let state = error.sqlstate.as_bytes();
    state.len() == 5
        && state.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
        && name(&error.rule)
        && name(&error.organisation)
        && error.message.len() <= TEXT_BYTES_MAX
        && error.hint.as_ref().is_none_or(|hint| hint.len() <= TEXT_BYTES_MAX)
}

fn code_of(state: &str) -> Code {
    match state {
        sqlstate::REFUSED => Code::PermissionDenied,
        sqlstate::NOT_AUTHENTICATED => Code::Unauthenticated,
        sqlstate::CANCELLED => Code::Cancelled,
        sqlstate::UNAVAILABLE => Code::Unavailable,
        sqlstate::LIMIT => Code::ResourceExhausted,
        sqlstate::NOT_SUPPORTED => Code::Unimplemented,
        sqlstate::INTERNAL | sqlstate::FILES => Code::Internal,
        _ => Code::InvalidArgument,
    }
}

fn foreign(status: &Status) -> WireError {
    let state = match status.code() {
        Code::PermissionDenied => sqlstate::REFUSED,
        Code::Unauthenticated => sqlstate::NOT_AUTHENTICATED,
        Code::Cancelled | Code::DeadlineExceeded | Code::Aborted => sqlstate::CANCELLED,
        Code::Unavailable => sqlstate::UNAVAILABLE,
        Code::ResourceExhausted | Code::OutOfRange => sqlstate::LIMIT,
        Code::Unimplemented => sqlstate::NOT_SUPPORTED,
        Code::InvalidArgument => sqlstate::SYNTAX,
        _ => sqlstate::INTERNAL,
    };
    wire_error(state, status.message(), None)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use super::*;

    fn refused() -> WireError {
        WireError {
            sqlstate: "42501".to_owned(),
            rule: Some("S4.literal".to_owned()),
            message: "`nhs_number` may not be compared with a literal".to_owned(),
            hint: Some("group by `sex` — or `age_band`".to_owned()),
            organisation: Some("northmoor".to_owned()),
        }
    }

    #[test]
    fn errors_come_back_exactly() {
        for state in ["42501", "28000", "57014", "08006", "53400", "0A000", "XX000", "42P01"] {
            let error = WireError { sqlstate: state.to_owned(), ..refused() };
            let mut headers = to_status(&error).into_http::<String>().into_parts().0.headers;
            headers.remove("content-type");
            let status = Status::from_header_map(&headers).unwrap();
            assert_eq!(from_status(&status), error);
            assert!(!is_unreachable(&status));
        }
    }

    #[test]
    fn the_message_says_it_in_words() {
        let status = to_status(&refused());
        assert_eq!(status.code(), Code::PermissionDenied);
        assert_eq!(
            status.message(),
            "`nhs_number` may not be compared with a literal (at northmoor) [42501 S4.literal]; \
             hint: group by `sex` — or `age_band`"
        );
    }

    #[test]
    fn long_texts_are_cut() {
        let error = WireError { message: "é".repeat(5_000), ..refused() };
        let back = from_status(&to_status(&error));
        assert!(back.message.len() <= TEXT_BYTES_MAX && back.message.ends_with('…'));
    }

    #[test]
    fn errors_of_another_form_are_not_believed() {
        for wrong in [
            WireError { sqlstate: "oh dear".to_owned(), ..refused() },
            WireError { rule: Some("a b\n".to_owned()), ..refused() },
            WireError { organisation: Some("x".repeat(1_000)), ..refused() },
        ] {
            let status = to_status(&wrong);
            assert_eq!(own_error(&status), None, "{wrong:?}");
        }
        assert_eq!(own_error(&to_status(&refused())), Some(refused()));
    }

    #[test]
    fn foreign_statuses_are_read_by_their_code() {
        let error = from_status(&Status::unauthenticated("no"));
        assert_eq!((error.sqlstate.as_str(), error.message.as_str()), ("28000", "no"));
        assert!(is_unreachable(&Status::unavailable("down")));
        assert!(!is_unreachable(&Status::internal("sent by the other end")));
    }

    #[test]
    fn timeouts_have_their_own_code() {
        let status = engine_status(&EngineError::Timeout { timeout_ms: 5 });
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(from_status(&status).sqlstate, sqlstate::CANCELLED);
    }
}
