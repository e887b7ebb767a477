//! Whole-federation tests: servers on real sockets behind TLS, asked as a client asks them.
//!
//! ```text
//! world       a federation from a short description
//! answers     answers in a form that can be compared
//! logs        what the servers of this process wrote to the log
//! questions   the analysts' questions in `tests/questions`
//! slt         SQL with its answers, by topic, in `tests/slt`
//! threshold   nine people are nowhere, ten are; a node asked directly
//! tpch        TPC-H over four nodes against one DataFusion
//! faults      what is down, wrong, slow or cancelled
//! limits      every limit at its edge
//! http        what an operator's tools see: alive, ready, figures
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
mod http;
mod limits;
mod logs;
mod questions;
mod slt;
mod threshold;
mod tpch;
mod world;
