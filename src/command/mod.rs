//! The command line. Main type: [`Arguments`]; one file per subcommand.
//!
//! Exit codes: 0 when all went well, 1 when a statement failed, 2 when arguments or configuration
//! are at fault, 3 when there is no connection.

mod demo;
mod error;
mod policy;
mod serve;
mod shell;
mod sql;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tokio::runtime;

pub use error::{CommandError, UsageError};

/// Stack of each worker thread: statements nest.
const STACK_BYTES: usize = 8 * 1024 * 1024;
/// Longest wait for work in the background when the program ends.
const SHUTDOWN_MAX: Duration = Duration::from_secs(2);

/// Federated SQL over organisations that each keep their own data.
///
/// Each organisation runs a node over its own tables; a coordinator splits one SQL statement into
/// a question per node and combines what the nodes release. Every node applies its own disclosure
/// rules before anything leaves it.
#[derive(Debug, Parser)]
#[command(name = "hedgerow", version, propagate_version = true)]
#[command(
    after_help = "Exit codes: 0 success, 1 a statement failed, 2 arguments or configuration, \
                        3 no connection.\n\nTry it: hedgerow demo -c \"SELECT organisation, count(*) \
                        FROM referral_pathway GROUP BY 1 ORDER BY 1\""
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Policy(policy::Policy),
    Serve(serve::Serve),
    Sql(sql::Sql),
}

/// Runs the program; errors are printed and become exit codes.
pub fn run(arguments: Arguments) -> ExitCode {
    hedgerow_flight::install_crypto_provider();
    let built =
        runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK_BYTES).build();
    let runtime = match built {
        Ok(runtime) => runtime,
        Err(source) => return report(&CommandError::Runtime(source)),
    };
    let code = match runtime.block_on(dispatch(arguments.command)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => report(&error),
    };
    runtime.shutdown_timeout(SHUTDOWN_MAX);
    code
}

/// `Ok(false)` when a statement failed.
async fn dispatch(command: Command) -> Result<bool, CommandError> {
    match command {
        Command::Demo(demo) => demo.run().await,
        Command::Policy(policy) => policy.run().await,
        Command::Serve(serve) => serve.run().await.map(|()| true),
        Command::Sql(sql) => sql.run().await,
    }
}

fn report(error: &CommandError) -> ExitCode {
    if let Some(words) = error.words() {
        // With standard error gone, the exit code is all that is left to tell.
        let _ = writeln!(io::stderr().lock(), "{words}");
    }
    error.exit_code()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_argument_is_documented() {
        let top = Arguments::command();
        let nested = top.get_subcommands().flat_map(|command| command.get_subcommands());
        for command in top.get_subcommands().chain(nested) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                let name = argument.get_id();
                assert!(argument.get_help().is_some(), "{} {name}", command.get_name());
            }
        }
    }
}
