//! The SQL shell: from typed text to printed answers.
//!
//! ```text
//! text ── splitter ──► statements and backslash commands (meta)
//!            │
//!         session      one connection: asks, cancels on Ctrl-C, prints
//!            │
//!         render       table │ csv │ json │ ndjson, companions folded into marks
//!         legend       what the marks mean, which organisations answered
//!         problem      errors with rule, hint and position
//!         why          the rule behind a refusal, the meaning of marks
//! ```
//!
//! [`interactive`] reads from a terminal, [`script`] from a file, a pipe or the command line. What
//! this module does not do: judge or plan; it only ever sees what was released.

mod columns;
mod csv;
mod editor;
mod error;
mod format;
mod history;
pub mod interactive;
mod json;
mod legend;
mod meta;
mod problem;
mod render;
#[cfg(test)]
mod samples;
pub mod script;
mod session;
mod splitter;
mod table;
mod text;
mod why;

pub use error::ShellError;
pub use format::Format;
pub use legend::coverage_lines;
pub use problem::write_problem;
pub use render::{RenderError, Renderer, Summary, TableOptions, renderer};
pub use session::{Outcome, Session, Settings};
pub use splitter::{Input, Splitter};
