//! The wire: Flight SQL servers and clients, TLS, users and tokens.
//!
//! What this crate does not do: plan, judge or compute. It carries statements to a
//! [`Coordinator`](hedgerow_engine::Coordinator), bundles to a [`Node`](hedgerow_engine::Node), and
//! brings back what they release.
//!
//! ```text
//! analyst                      coordinator                           node
//! SqlClient, ADBC, JDBC ─────► server ► service (Flight SQL) ─┐
//!    Basic ► bearer token        door: one bearer check       │
//!                                                             ▼
//!                              FlightNodeChannel ───────────► server ► service (bundles)
//!                                 Any(Bundle) ticket             wire: only what the gate released
//! ```
//!
//! Errors cross the wire as [`WireError`](hedgerow_engine::WireError) in the status details, and as
//! plain words for clients that show only text; see [`to_status`] and [`from_status`].

mod client;
mod connect;
mod error;
mod http;
mod metrics;
mod node_channel;
mod random;
mod server;
mod service;
mod status;
mod tls;
mod tokens;
mod users;
mod wire;
mod worded;

pub use client::{QueryStream, SqlClient, TableListing};
pub use connect::Credentials;
pub use error::TransportError;
pub use node_channel::FlightNodeChannel;
pub use server::{RunningServer, ServerParts};
pub use status::{from_status, to_status};
pub use tls::{ClientTls, install_crypto_provider};
pub use users::{Users, hash_password};
/// For `tests/fuzz` alone.
#[doc(hidden)]
pub use wire::{bundle_request, bundle_ticket};
