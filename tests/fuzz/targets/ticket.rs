//! The bytes of a ticket as a server meets them: a command of Flight SQL, a handle, or a bundle.
//! Main entry: [`read`].

use arrow_flight::sql::{Any, Command};
use hedgerow_catalog::Limits;
use hedgerow_engine::{BUNDLE_VERSION, BundleRequest, OnUnavailable, sqlstate};
use hedgerow_flight::{bundle_request, bundle_ticket};
use prost::Message;

/// Longest message of an error, in bytes.
const WORDS_BYTES_MAX: usize = 500;

/// What a hash is made of, and where it is, in a bundle of any form.
#[derive(Clone, PartialEq, Message)]
struct Hashed {
    #[prost(string, tag = "3")]
    hash: String,
    #[prost(string, repeated, tag = "4")]
    fragments: Vec<String>,
}

/// Whether the bytes are a command or a bundle, with the right hash or once it is mended. Panics on
/// what must never happen: an error that is not the caller's, and a bundle that does not survive
/// being written and read again.
pub(crate) fn read(bytes: &[u8]) -> bool {
    let Ok(any) = Any::decode(bytes) else { return false };
    let command = Command::try_from(any.clone()).is_ok_and(|c| !matches!(c, Command::Unknown(_)));
    let bundle = request(&any);
    // No fuzzer guesses a hash, and behind it there is more to be read.
    command || bundle || mended(any).is_some_and(|any| request(&any))
}

/// Reads a bundle.
fn request(any: &Any) -> bool {
    let limits = Limits::default();
    let request = match bundle_request(any, &limits) {
        Ok(request) => request,
        Err(error) => {
            let callers = [sqlstate::SYNTAX, sqlstate::NOT_SUPPORTED, sqlstate::LIMIT];
            assert!(callers.contains(&error.sqlstate.as_str()), "{error:?}");
            assert!(error.message.len() <= WORDS_BYTES_MAX, "{error:?}");
            return false;
        }
    };
    let again = Any::decode(&*bundle_ticket(&request).ticket).expect("a ticket of ours");
    assert_eq!(bundle_request(&again, &limits).as_ref(), Ok(&request));
    true
}

/// The same with the hash of its fragments: the last of a field is the one that counts.
fn mended(any: Any) -> Option<Any> {
    let fragments = Hashed::decode(&*any.value).ok()?.fragments;
    let asked = BundleRequest {
        version: BUNDLE_VERSION,
        statement_id: String::new(),
        fragments,
        statement: String::new(),
        user: String::new(),
        purpose: None,
        user_token: None,
        client_signature: None,
        on_unavailable: OnUnavailable::Fail,
        under: None,
    };
    let hash = Hashed { hash: asked.hash(), fragments: vec![] };
    let value = [&*any.value, &*hash.encode_to_vec()].concat();
    Some(Any { value: value.into(), ..any })
}
