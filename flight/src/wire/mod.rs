//! A bundle on the wire: the ticket a coordinator sends and the stream a node answers with.
//!
//! ```text
//! DoGet ticket  Any "hedgerow.v1.Bundle" { version, statement id, hash, fragments, … }
//! DoGet stream  schema 0 + Frame{0, header}   the header rides on the very first message
//!               schema 1 + Frame{1}           all schemas first, so that they are known
//!               batch    + Frame{0}           then batches, fragment after fragment
//!               batch    + Frame{1}
//!               nothing  + Frame{0, coverage}  last, where a federation answers
//! ```
//! What a node sends is checked by [`sound`] before it is decoded. Only what the gate released can be encoded: [`send`] takes a `ReleasedBundle` and nothing else.

mod frame;
mod receive;
mod send;
mod sound;
#[cfg(test)]
mod tests;
mod ticket;

pub(crate) use receive::receive;
pub(crate) use send::{Messages, send};
pub(crate) use ticket::is_bundle;
pub use ticket::{bundle_request, bundle_ticket};
