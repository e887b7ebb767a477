//! Whole-federation tests: servers on real sockets behind TLS, asked as a client asks them.
//!
//! ```text
//! world       a federation from a short description
//! answers     answers in a form that can be compared
//! logs        what the servers of this process wrote to the log
//! numerics    numbers against exact arithmetic: sums, overflow, moments
//! questions   the analysts' questions in `tests/questions`
//! slt         SQL with its answers, by topic, in `tests/slt`
//! sql         random SQL over the demo and TPC-H against one DataFusion
//! rules       random statements that are allowed, and changes that break one rule
//! attacks     the attacks in `tests/attacks`: what must not be learnt, and what must be answered
//! presets     every preset over groups of one to thirty people
//! public_groups  groups that nobody released, shown where their keys are public
//! threshold   nine people are nowhere, ten are; a node asked directly
//! tpch        TPC-H over four nodes against one DataFusion
//! tpch_data   the tables of TPC-H, split by customer
//! acro        a node's verdicts against those of the output checker acro
//! ons         the preset ons_10_5 against the package of its authors
//! oracles, oracle_tables  programs of others, and tables at the edges of rules
//! union       random federations against one DataFusion over the union
//! faults      what is down, wrong, slow or cancelled
//! absent      a node gone for one part of a statement and not for another
//! analyze     where the time of a statement goes
//! limits      every limit at its edge
//! levels      federations below federations: names, faults, a board gone bad
//! http        what an operator's tools see: alive, ready, figures
//!
//! bad_statements  too long, too deep, too wide, or no SQL
//! bad_bytes       malformed protobuf and text that is no UTF-8
//! fuzz            what fuzzers were given and have found, `tests/fuzz/`
//! bad_files       Parquet and CSV that are not what they should be
//! bad_nodes       another schema, too many rows, garbage, nothing
//! processes       Ctrl-C, killed programs, a client that stops reading
//! cancel          two hundred statements dropped at random moments
//! load            nodes killed and started again while many ask
//! raw             a client that sends any bytes
//! fake, misdeeds  a node that spoils its answers; how
//! policy          `hedgerow policy` on the folder of a demo
//! program         the program as a process
//! servers         a federation of programs, and what they show from outside
//! dice, panics    numbers from a seed; whether anything panicked
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod absent;
mod acro;
mod analyze;
mod answers;
mod attacks;
mod bad_bytes;
mod bad_files;
mod bad_nodes;
mod bad_statements;
mod cancel;
mod contracts;
mod dice;
mod fake;
mod faults;
mod fuzz;
mod http;
mod levels;
mod limits;
mod load;
mod logs;
mod misdeeds;
mod numerics;
mod ons;
mod oracle_tables;
mod oracles;
mod panics;
mod policy;
mod presets;
mod processes;
mod program;
mod public_groups;
mod questions;
mod raw;
mod rules;
mod servers;
mod slt;
mod sql;
mod threshold;
mod tpch;
mod tpch_data;
mod union;
mod world;
