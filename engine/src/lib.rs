//! The journey of a statement: resolve, federate, dispatch; judge, execute, gate; merge, release.
//!
//! ```text
//! coordinator   resolve -> federate (split into a bundle per node + a merge plan) -> dispatch
//! channel       one bundle, one round trip: over Flight, or in process
//! node          read -> judge -> execute -> gate -> Released
//! coordinator   merge partial states -> carry status and bounds -> answer with its coverage
//! ```
//! `block` is what both sides share: the normal form, and its way to and from SQL text.

mod block;
mod channel;
mod coordinator;
mod coverage;
mod dialect;
mod error;
mod limits;
mod node;
mod optimizer;
mod parse;
mod work;

pub use block::{Lowering, NotABlock, ScanTarget, Scope, emit};
pub use channel::{
    BUNDLE_VERSION, BundleReply, BundleRequest, FragmentHeader, InProcessChannel, NodeChannel,
    OnUnavailable, ReplyHeader, ReplyPart, is_within, reply,
};
pub use coordinator::{
    Answer, Answering, COMPANION, COMPANION_OF, Coordinator, CoverageLog, LEVELS_MAX, Middle,
    PlanCounts, Prepared, Session, TableEntry,
};
pub use coverage::{Coverage, NodeCoverage, NodeOutcome};
pub use error::{EngineError, WireError, sqlstate};
pub use node::{
    AddedColumn, EmbeddedExecutor, FragmentExecutor, FragmentExplanation, Node, ReleasedBundle,
};
