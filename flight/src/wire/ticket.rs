//! The ticket of a bundle: [`BundleRequest`] to Flight ticket and back, within limits.

use arrow_flight::Ticket;
use arrow_flight::sql::Any;
use hedgerow_catalog::Limits;
use hedgerow_engine::{
    BUNDLE_VERSION, BundleRequest, EngineError, LEVELS_MAX, OnUnavailable, WireError, sqlstate,
};
use prost::Message;
use prost::encoding::{DecodeContext, decode_key, skip_field};

use crate::status::wire_error;

/// Type of a bundle inside its ticket.
const BUNDLE_TYPE_URL: &str = "type.googleapis.com/hedgerow.v1.Bundle";

/// What a federation does without one of its nodes, where it is not to fail.
const EXCLUDE: &str = "exclude";

/// Field number of the fragments.
const FRAGMENTS_TAG: u32 = 4;
/// Most fragments of one bundle.
const FRAGMENTS_MAX: usize = 64;
/// Longest fragment, in bytes: a fragment spells out what the statement leaves unsaid.
const FRAGMENT_BYTES_MAX: usize = 256 * 1_024;
/// Longest statement id, hash or user name, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// Longest purpose, in bytes.
const PURPOSE_BYTES_MAX: usize = 2_048;
/// Longest user token or signature, in bytes.
const CREDENTIAL_BYTES_MAX: usize = 16 * 1_024;

/// [`BundleRequest`] as protobuf. Field numbers are fixed for good.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct BundleTicket {
    #[prost(uint32, tag = "1")]
    pub(super) version: u32,
    #[prost(string, tag = "2")]
    pub(super) statement_id: String,
    #[prost(string, tag = "3")]
    pub(super) bundle_hash: String,
    #[prost(string, repeated, tag = "4")]
    pub(super) fragments: Vec<String>,
    #[prost(string, tag = "5")]
    pub(super) statement: String,
    #[prost(string, tag = "6")]
    pub(super) user: String,
    #[prost(string, optional, tag = "7")]
    pub(super) purpose: Option<String>,
    #[prost(string, optional, tag = "8")]
    pub(super) user_token: Option<String>,
    #[prost(bytes = "vec", optional, tag = "9")]
    pub(super) client_signature: Option<Vec<u8>>,
    /// `exclude`; left out for `fail`.
    #[prost(string, optional, tag = "10")]
    pub(super) on_unavailable: Option<String>,
    #[prost(string, optional, tag = "11")]
    pub(super) under: Option<String>,
}

impl BundleTicket {
    pub(super) fn new(request: &BundleRequest) -> Self {
        Self {
            version: request.version,
            statement_id: request.statement_id.clone(),
            bundle_hash: request.hash(),
            fragments: request.fragments.clone(),
            statement: request.statement.clone(),
            user: request.user.clone(),
            purpose: request.purpose.clone(),
            user_token: request.user_token.clone(),
            client_signature: request.client_signature.clone(),
            on_unavailable: match request.on_unavailable {
                OnUnavailable::Fail => None,
                OnUnavailable::Exclude => Some(EXCLUDE.to_owned()),
            },
            under: request.under.clone(),
        }
    }

    pub(super) fn pack(&self) -> Any {
        Any { type_url: BUNDLE_TYPE_URL.to_owned(), value: self.encode_to_vec().into() }
    }

    /// Sizes against their limits, checked before anything looks inside.
    fn check(&self, limits: &Limits) -> Result<(), WireError> {
        let longest = self.fragments.iter().map(String::len).max().unwrap_or(0);
        let names = [&self.statement_id, &self.bundle_hash, &self.user];
        let name = names.iter().map(|name| name.len()).max().unwrap_or(0);
        let token = self.user_token.as_ref().map_or(0, String::len);
        let signature = self.client_signature.as_ref().map_or(0, Vec::len);
        within("fragments_max", self.fragments.len(), FRAGMENTS_MAX)?;
        within("fragment_bytes_max", longest, FRAGMENT_BYTES_MAX)?;
        within("statement_bytes_max", self.statement.len(), limits.statement_bytes_max)?;
        within("name_bytes_max", name, NAME_BYTES_MAX)?;
        let purpose = self.purpose.as_ref().map_or(0, String::len);
        within("purpose_bytes_max", purpose, PURPOSE_BYTES_MAX)?;
        within("credential_bytes_max", token.max(signature), CREDENTIAL_BYTES_MAX)?;
        let under = self.under.as_deref().unwrap_or_default();
        within("name_bytes_max", under.len(), NAME_BYTES_MAX)?;
        within("levels_max", under.split('/').count(), LEVELS_MAX)
    }

    fn without_a_node(&self) -> Result<OnUnavailable, WireError> {
        match self.on_unavailable.as_deref() {
            None => Ok(OnUnavailable::Fail),
            Some(EXCLUDE) => Ok(OnUnavailable::Exclude),
            Some(_) => Err(malformed("what to do without a node is not known")),
        }
    }
}

/// Packs a request into a ticket.
pub fn bundle_ticket(request: &BundleRequest) -> Ticket {
    Ticket::new(BundleTicket::new(request).pack().encode_to_vec())
}

/// Tells whether a ticket holds a bundle.
pub(crate) fn is_bundle(any: &Any) -> bool {
    any.type_url == BUNDLE_TYPE_URL
}

/// Unpacks a request, checking its version, its sizes and its hash.
///
/// # Errors
/// What is wrong with it, as the caller's fault.
pub fn bundle_request(any: &Any, limits: &Limits) -> Result<BundleRequest, WireError> {
    within("fragments_max", fragments(&any.value)?, FRAGMENTS_MAX)?;
    let ticket = BundleTicket::decode(&*any.value).map_err(|_| malformed("it does not decode"))?;
    if ticket.version != BUNDLE_VERSION {
        return Err(wire_error(
            sqlstate::NOT_SUPPORTED,
            format!("bundle version {} is not version {BUNDLE_VERSION}", ticket.version),
            Some("run the same version of the program at both ends"),
        ));
    }
    if ticket.fragments.is_empty() {
        return Err(malformed("it has no fragments"));
    }
    ticket.check(limits)?;
    if ticket.under.as_deref().is_some_and(|path| !path.split('/').all(is_id)) {
        return Err(malformed("the path above is none"));
    }
    let on_unavailable = ticket.without_a_node()?;
    let hash = ticket.bundle_hash;
    let request = BundleRequest {
        version: ticket.version,
        statement_id: ticket.statement_id,
        fragments: ticket.fragments,
        statement: ticket.statement,
        user: ticket.user,
        purpose: ticket.purpose,
        user_token: ticket.user_token,
        client_signature: ticket.client_signature,
        on_unavailable,
        under: ticket.under,
    };
    if request.hash() != hash {
        return Err(malformed("its hash is not the hash of its fragments"));
    }
    Ok(request)
}

/// Counts fragments before they are decoded: of short ones a message may hold millions.
fn fragments(mut ticket: &[u8]) -> Result<usize, WireError> {
    let mut found = 0;
    while !ticket.is_empty() {
        let skipped = decode_key(&mut ticket).and_then(|(tag, kind)| {
            skip_field(kind, tag, &mut ticket, DecodeContext::default()).map(|()| tag)
        });
        let tag = skipped.map_err(|_| malformed("it does not decode"))?;
        found += usize::from(tag == FRAGMENTS_TAG);
    }
    Ok(found)
}

/// Tells whether a text can be the id of an organisation.
fn is_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    !text.is_empty() && text.bytes().all(plain)
}

fn within(limit: &'static str, value: usize, maximum: usize) -> Result<(), WireError> {
    if value <= maximum {
        return Ok(());
    }
    let error = EngineError::Limit { limit, value: value as u64, maximum: maximum as u64 };
    Err(error.external())
}

fn malformed(what: &str) -> WireError {
    wire_error(sqlstate::SYNTAX, format!("the bundle ticket is malformed: {what}"), None)
}
