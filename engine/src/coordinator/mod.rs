//! The coordinator's side of a statement: resolve, federate, dispatch, merge, answer.
//!
//! ```text
//! session ──► service ── catalog    what tables there are, from contracts and nodes
//!               │
//!               ├─ exact_sum                            sums that do not wrap
//!               ├─ federate ─ place ─ split ─ merge ─ carry   resolved plan -> bundle + merge plan
//!               ├─ running ─ dispatch                   one bundle per node, one round trip
//!               ├─ fragment ─ rows ─ merge_state        plan nodes that read what nodes released
//!               └─ edge                                 wire types, marks, the client's columns
//! ```

mod carry;
mod catalog;
mod dispatch;
mod edge;
mod exact_sum;
mod explain;
mod federate;
mod federation;
mod fragment;
mod merge;
mod merge_state;
mod place;
mod rows;
mod running;
mod service;
mod session;
mod split;
mod system;

pub use edge::{COMPANION, COMPANION_OF};
pub use running::CoverageLog;
pub use service::{Answer, Coordinator, Prepared, TableEntry};
pub use session::Session;
