//! The coordinator's side of a statement: resolve, federate, dispatch, merge, answer.
//!
//! ```text
//! session ──► service ── catalog    what tables there are, from contracts and nodes
//!               │
//!               ├─ decorrelate, exact_sum               subqueries as joins, sums that do not wrap
//!               ├─ federate ─ cut ─ people ─ place ─ split ─ merge ─ carry   plan -> bundle + merge plan
//!               ├─ parameters, sets, narrow             scalar subqueries, grouping sets, fewer groups
//!               ├─ rounds ─ running ─ dispatch          one bundle per node and round
//!               ├─ public_groups                        groups that nobody released, as withheld
//!               ├─ fragment ─ rows ─ merge_state        plan nodes that read what nodes released
//!               ├─ plan_cache, analyze                  plans made before; where the time goes
//!               └─ edge                                 wire types, marks, the client's columns
//! middle ──► service   a whole federation as one node of a wider one
//! ```

mod analyze;
mod carry;
mod catalog;
mod cut;
mod decorrelate;
mod dispatch;
mod edge;
mod exact_sum;
mod explain;
mod federate;
mod federation;
mod fragment;
mod marks;
mod merge;
mod merge_state;
mod middle;
mod narrow;
mod own_tables;
mod parameters;
mod people;
mod percentile;
mod place;
mod plan_cache;
mod public_groups;
mod rounded;
mod rounds;
mod rows;
mod running;
mod served;
mod service;
mod session;
mod sets;
mod ship;
mod split;
mod system;
mod views;

pub(crate) use exact_sum::exact_sum_udf;

pub use edge::{COMPANION, COMPANION_OF};
pub use middle::{Answering, LEVELS_MAX, Middle};
pub use plan_cache::PlanCounts;
pub use running::CoverageLog;
pub use service::{Answer, Coordinator, Prepared, TableEntry};
pub use session::Session;
