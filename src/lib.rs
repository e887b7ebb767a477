//! The Hedgerow program: the parts of its one binary, as a library so that tests can use them.
//!
//! ```text
//! command   what was typed after `hedgerow`: demo, policy, serve, sql
//! server    a server put together from its configuration
//! demo      a federation of fictional organisations on one machine
//! shell     statements in, printed answers out
//! ```
//!
//! What this crate does not do: plan, judge, or speak the wire; see `hedgerow-engine`,
//! `hedgerow-policies` and `hedgerow-flight`.

pub mod command;
pub mod demo;
pub mod files;
pub mod log;
pub mod server;
pub mod shell;
