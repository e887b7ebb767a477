//! Runs statements that nobody types: from the command line, a file or a pipe.

use std::io::{self, BufRead};
use std::path::Path;

use super::error::ShellError;
use super::session::{Outcome, Session};
use super::splitter::{Input, Splitter};

/// Runs the statements of a text; `Ok(false)` when one failed. With `stop` the first failure ends
/// it; a cancelled statement always does.
///
/// # Errors
/// When an answer cannot be printed.
pub async fn run_text(session: &mut Session, text: &str, stop: bool) -> Result<bool, ShellError> {
    let mut splitter = Splitter::default();
    let mut inputs = splitter.push_text(text);
    inputs.extend(splitter.finish());
    let mut progress = Progress { stop, ..Progress::default() };
    progress.run(session, inputs).await?;
    Ok(!progress.failed)
}

/// Runs the statements of a file; `-` is standard input.
///
/// # Errors
/// When the file cannot be read or an answer cannot be printed.
pub async fn run_file(session: &mut Session, path: &Path, stop: bool) -> Result<bool, ShellError> {
    if path == Path::new("-") {
        return run_stdin(session, stop).await;
    }
    let text = std::fs::read_to_string(path)
        .map_err(|source| ShellError::Script { path: path.to_owned(), source })?;
    run_text(session, &text, stop).await
}

/// Runs statements from standard input, each as soon as it is complete. Ctrl-C ends it, also while
/// it waits for input.
///
/// # Errors
/// When the input cannot be read or an answer cannot be printed.
pub async fn run_stdin(session: &mut Session, stop: bool) -> Result<bool, ShellError> {
    let mut splitter = Splitter::default();
    let mut progress = Progress { stop, ..Progress::default() };
    while !progress.ended {
        let line = tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => {
                progress.failed = true;
                break;
            }
            line = tokio::task::spawn_blocking(read_line) => line,
        };
        match line.map_err(io::Error::other).and_then(|line| line).map_err(ShellError::Input)? {
            Some(line) => progress.run(session, splitter.push_line(&line)).await?,
            None => {
                progress.run(session, splitter.finish()).await?;
                break;
            }
        }
    }
    Ok(!progress.failed)
}

/// The next line of standard input without its end; `None` at the end of the input.
fn read_line() -> io::Result<Option<String>> {
    let mut line = String::new();
    let bytes = io::stdin().lock().read_line(&mut line)?;
    let text = line.trim_end_matches(['\r', '\n']);
    Ok((bytes > 0).then(|| text.to_owned()))
}

#[derive(Debug, Default)]
struct Progress {
    stop: bool,
    failed: bool,
    ended: bool,
}

impl Progress {
    async fn run(
        &mut self,
        session: &mut Session,
        inputs: impl IntoIterator<Item = Input>,
    ) -> Result<(), ShellError> {
        for input in inputs {
            if self.ended {
                break;
            }
            match session.run(&input).await? {
                Outcome::Done => {}
                Outcome::Quit => self.ended = true,
                Outcome::Failed => (self.failed, self.ended) = (true, self.stop),
                Outcome::Cancelled => (self.failed, self.ended) = (true, true),
            }
        }
        Ok(())
    }
}
