//! Random federations against one DataFusion over the union of their data.
//!
//! ```text
//! data         random contracts, organisations and rows
//! statements   random aggregates over them
//! open         open tables: the answers are the union's
//! gated        protected tables: the answers are those of the union without what is under k
//! twin         what is under k is changed, and no byte of the answer is
//! ```
//! `HEDGEROW_RANDOM_SEED` and `HEDGEROW_RANDOM_WORLDS` choose others, and more. A failure names
//! the seed and the world.

mod data;
mod gated;
mod open;
mod statements;
mod twin;
