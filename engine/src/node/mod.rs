//! The node's side of a statement: read, judge, execute, gate.
//!
//! ```text
//! fragment text -> resolve -> block -> admit (policies) -> gated block -> execute -> gate -> Released
//! ```
//! A node trusts nothing a coordinator says of a fragment: it reads the text itself.

mod answer;
mod executor;
mod explain;
mod ledger;
mod people;
mod profile;
mod totality;
mod wire_types;
mod wrapper;

pub use answer::{Node, ReleasedBundle};
pub use executor::{EmbeddedExecutor, FragmentExecutor};
pub use explain::{AddedColumn, FragmentExplanation};
pub(crate) use people::people_udaf;
pub(crate) use profile::profile_udaf;
