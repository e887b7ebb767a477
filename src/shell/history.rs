//! Where the interactive shell keeps what was typed.
//!
//! Statements can hold sensitive text: the file is readable by its owner only, and a line that
//! begins with a space never reaches it.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use reedline::FileBackedHistory;

/// Statements that are kept.
const ENTRIES_MAX: usize = 10_000;

/// The history file: `$XDG_STATE_HOME/hedgerow/history`, or under `~/.local/state`.
pub(crate) fn default_path() -> Option<PathBuf> {
    let folder = |variable: &str| {
        std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
    };
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")))?;
    Some(state.join("hedgerow").join("history"))
}

/// Opens the history, made private first.
pub(crate) fn open(path: &Path) -> io::Result<FileBackedHistory> {
    make_private(path)?;
    FileBackedHistory::with_file(ENTRIES_MAX, path.to_owned())
        .map_err(|error| io::Error::other(error.to_string()))
}

fn make_private(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    drop(file);
    Ok(())
}

#[cfg(all(test, unix))]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_file_is_private_even_if_it_was_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep").join("history");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "SELECT 1\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
