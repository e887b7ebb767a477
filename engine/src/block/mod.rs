//! Blocks and SQL: from a resolved plan into a block, and from a block back into SQL text.
//!
//! ```text
//! resolved plan --lower--> Block --emit--> SQL text --resolve, lower--> Block   (must be equal)
//! ```
//! The same code runs at the coordinator, which asks, and at the node, which judges.

mod constant;
mod emit;
mod expression;
mod inline;
mod lower;
#[cfg(test)]
mod tests;
mod window;

pub(crate) use constant::fold_constants;
pub(crate) use constant::fold_expr;
pub use emit::emit;
pub(crate) use emit::{emit_expr, emit_measure, output_names};
pub(crate) use expression::{EXACT_SUM, Names, literal, wire_type};
pub use lower::{Lowering, NotABlock, ScanTarget, Scope};
pub(crate) use lower::{canonical, order};
