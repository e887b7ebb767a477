//! Why a command ended early, and the exit code for it. Main type: [`CommandError`].

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use hedgerow_catalog::CatalogError;
use hedgerow_engine::WireError;

use crate::demo::LaunchError;
use crate::log::LogError;
use crate::server::ServeError;
use crate::shell::{ShellError, write_problem};

/// A command could not do what it should. A statement that failed is not among these: it is
/// printed where it fails.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The system gives no threads.
    #[error("cannot start")]
    Runtime(#[source] io::Error),
    /// The configuration is at fault.
    #[error(transparent)]
    Config(#[from] CatalogError),
    /// The log cannot be started.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The server cannot be started.
    #[error(transparent)]
    Serve(Box<ServeError>),
    /// The demo cannot be started.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The shell cannot go on.
    #[error(transparent)]
    Shell(#[from] ShellError),
    /// A required argument is missing or wrong.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// There is no connection to the server.
    #[error("cannot connect to `{url}`")]
    Connect {
        /// The server.
        url: String,
        /// Why.
        source: Box<WireError>,
    },
    /// The system's signals cannot be received.
    #[error("cannot wait for signals")]
    Signal(#[source] io::Error),
    /// Ctrl-C before there was anything to cancel.
    #[error("interrupted")]
    Interrupted,
}

/// What is wrong with the arguments, beyond what the command line's own parser sees.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// Not an address of a server.
    #[error("`{url}` is no address: write `https://HOST:PORT`; there is no plain text")]
    Address {
        /// As written.
        url: String,
    },
    /// Nobody asks.
    #[error("who asks? give `--user NAME`")]
    NoUser,
    /// No password.
    #[error("no password: give `--password-file FILE` or set HEDGEROW_PASSWORD")]
    NoPassword,
    /// The file of a policy cannot be read, or is no TOML.
    #[error("cannot read the policy `{}`: {why}", path.display())]
    Policy {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A coordinator's configuration where a node's is needed.
    #[error("`{}` makes no node: it has no `[tables.NAME]`; name a node's configuration", path.display())]
    NotANode {
        /// The configuration.
        path: PathBuf,
    },
    /// The file of a password cannot be read.
    #[error("cannot read `{}`", path.display())]
    PasswordFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl From<ServeError> for CommandError {
    fn from(error: ServeError) -> Self {
        Self::Serve(Box::new(error))
    }
}

impl CommandError {
    /// What to print on standard error; nothing when our reader just went away.
    pub fn words(&self) -> Option<String> {
        if self.is_broken_pipe() {
            return None;
        }
        let mut words = format!("error: {self}");
        if let Self::Connect { source, .. } = self {
            let mut problem = vec![];
            // Writing to memory does not fail.
            let _ = write_problem(source, "", &mut problem);
            words.push_str(&format!("\n{}", String::from_utf8_lossy(&problem).trim_end()));
            return Some(words);
        }
        let mut source = self.source();
        while let Some(cause) = source {
            let cause_words = cause.to_string();
            if !words.ends_with(&cause_words) {
                words.push_str(&format!(": {cause_words}"));
            }
            source = cause.source();
        }
        Some(words)
    }

    /// 0 to 3, as the command line documents.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            _ if self.is_broken_pipe() => ExitCode::SUCCESS,
            Self::Shell(ShellError::Script { .. })
            | Self::Config(_)
            | Self::Log(_)
            | Self::Serve(_)
            | Self::Launch(_)
            | Self::Usage(_) => ExitCode::from(2),
            Self::Connect { .. } => ExitCode::from(3),
            Self::Runtime(_) | Self::Shell(_) | Self::Signal(_) | Self::Interrupted => {
                ExitCode::from(1)
            }
        }
    }

    fn is_broken_pipe(&self) -> bool {
        match self {
            Self::Shell(error) => error.is_broken_pipe(),
            _ => false,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told() {
        let error = CommandError::from(UsageError::PasswordFile {
            path: PathBuf::from("p"),
            source: io::Error::from(io::ErrorKind::NotFound),
        });
        assert_eq!(error.words().unwrap(), "error: cannot read `p`: entity not found");
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let error = io::Error::from(io::ErrorKind::BrokenPipe);
        let error = CommandError::from(ShellError::Write(error));
        assert_eq!(error.words(), None);
        assert_eq!(error.exit_code(), ExitCode::SUCCESS);
    }
}
