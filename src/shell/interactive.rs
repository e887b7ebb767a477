//! The loop behind the prompt.

use std::path::PathBuf;

use reedline::{FileBackedHistory, Reedline, Signal};

use super::editor::{ShellPrompt, editor, is_goodbye};
use super::error::ShellError;
use super::history;
use super::session::{Outcome, Session};
use super::splitter::Splitter;

/// Where typed statements are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum HistoryFile {
    /// In the user's state folder.
    #[default]
    Default,
    /// In this file.
    At(PathBuf),
    /// Nowhere.
    Off,
}

/// Reads statements from the terminal until the user leaves. Needs a runtime with more than one
/// thread.
///
/// # Errors
/// When the terminal fails or an answer cannot be printed. A statement that fails is printed and
/// the loop goes on.
pub async fn run(session: &mut Session, history: &HistoryFile) -> Result<(), ShellError> {
    let names = names(session).await;
    let history = open_history(session, history)?;
    let mut editor = editor(names, history);
    while let Some(text) = tokio::task::block_in_place(|| read(&mut editor))? {
        if is_goodbye(&text) || run_text(session, &text).await? == Outcome::Quit {
            break;
        }
    }
    Ok(())
}

/// What was typed, complete; `None` at Ctrl-D. Ctrl-C clears the line.
fn read(editor: &mut Reedline) -> Result<Option<String>, ShellError> {
    loop {
        match editor.read_line(&ShellPrompt).map_err(ShellError::Input)? {
            Signal::Success(text) => {
                // A history that cannot be written is no reason to lose the statement.
                let _ = editor.sync_history();
                return Ok(Some(text));
            }
            Signal::CtrlD => return Ok(None),
            _ => {}
        }
    }
}

async fn run_text(session: &mut Session, text: &str) -> Result<Outcome, ShellError> {
    for input in Splitter::default().push_text(text) {
        match session.run(&input).await? {
            Outcome::Done => {}
            other => return Ok(other),
        }
    }
    Ok(Outcome::Done)
}

/// Tables and columns for completion.
async fn names(session: &mut Session) -> Vec<String> {
    let mut names = session.words("SELECT table_name FROM system.tables").await;
    names.extend(session.words("SELECT column_name FROM system.columns").await);
    let system = ["system.nodes", "system.tables", "system.columns", "system.policies"];
    names.extend(system.map(str::to_owned));
    names.sort();
    names.dedup();
    names
}

fn open_history(
    session: &mut Session,
    history: &HistoryFile,
) -> Result<Option<FileBackedHistory>, ShellError> {
    let path = match history {
        HistoryFile::Default => history::default_path(),
        HistoryFile::At(path) => Some(path.clone()),
        HistoryFile::Off => None,
    };
    let Some(path) = path else { return Ok(None) };
    match history::open(&path) {
        Ok(history) => Ok(Some(history)),
        Err(error) => {
            session.tell(&format!("no history: cannot use `{}`: {error}", path.display()))?;
            Ok(None)
        }
    }
}
