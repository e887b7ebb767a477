//! The `hedgerow` program: parses, dispatches, and maps errors to exit codes.

use std::process::ExitCode;

use clap::Parser;
use hedgerow::command::{Arguments, run};

fn main() -> ExitCode {
    run(Arguments::parse())
}
