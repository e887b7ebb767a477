//! What can go wrong in the shell itself. Main type: [`ShellError`].
//!
//! A statement that fails is no error here: it is printed, and counts as [`Outcome::Failed`].
//!
//! [`Outcome::Failed`]: super::Outcome::Failed

use std::io;
use std::path::PathBuf;

use super::render::RenderError;

/// The shell cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The answer cannot be printed.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// The output does not take it.
    #[error("cannot write the output")]
    Write(#[from] io::Error),
    /// The terminal or standard input fails.
    #[error("cannot read the input")]
    Input(#[source] io::Error),
    /// A script file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Script {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ShellError {
    /// Whether the reader of our output went away, which ends the program quietly.
    pub fn is_broken_pipe(&self) -> bool {
        match self {
            Self::Write(error) | Self::Render(RenderError::Write(error)) => {
                error.kind() == io::ErrorKind::BrokenPipe
            }
            Self::Render(RenderError::Read(_)) | Self::Input(_) | Self::Script { .. } => false,
        }
    }
}
