//! Whole-federation tests: servers on real sockets behind TLS, asked as a client asks them.
//!
//! ```text
//! world       a federation from a short description
//! answers     answers in a form that can be compared
//! logs        what the servers of this process wrote to the log
//! numerics    numbers against exact arithmetic: sums, overflow, moments
//! questions   the analysts' questions in `tests/questions`
//! slt         SQL with its answers, by topic, in `tests/slt`
//! threshold   nine people are nowhere, ten are; a node asked directly
//! tpch        TPC-H over four nodes against one DataFusion
//! union       random federations against one DataFusion over the union
//! faults      what is down, wrong, slow or cancelled
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod answers;
mod faults;
mod logs;
mod numerics;
mod questions;
mod slt;
mod threshold;
mod tpch;
mod union;
mod world;
