//! The demo's data on disk: made once, whole or not at all, and used again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::LaunchError;
use crate::demo::write::{DataOptions, write_data};
use crate::files::{Claim, cache_folder, sweep};

/// Changes whenever the generator makes other data or other files.
const VERSION: u32 = 1;
/// Says which demo a folder holds, and that it is complete.
const MARKER: &str = "demo.toml";

/// Where data are cached.
pub(super) fn cache(options: &DataOptions) -> PathBuf {
    let DataOptions { people, organisations, seed } = options;
    cache_folder().join(format!("demo-{people}-{organisations}-{seed}-v{VERSION}"))
}

/// Makes sure that `folder` holds the data.
///
/// They are written beside it and moved there when complete, so that an interrupted start leaves
/// nothing that looks usable; what it leaves is removed by the next start.
pub(super) fn ensure(
    options: &DataOptions,
    folder: &Path,
    tell: fn(&str),
) -> Result<(), LaunchError> {
    if is_there(options, folder)? {
        return Ok(());
    }
    tell(&format!(
        "making data of {} people at {} organisations (once)",
        options.people, options.organisations
    ));
    let prefix = partial_prefix(folder);
    if let Some(parent) = folder.parent() {
        sweep(parent, &prefix);
    }
    let partial = folder.with_file_name(format!("{prefix}{}", std::process::id()));
    let made = make(options, &partial).and_then(|()| put(options, &partial, folder));
    if made.is_err() {
        // The first error is the one that tells what is wrong.
        let _ = fs::remove_dir_all(&partial);
    }
    made
}

/// Whether the folder holds these data; an error when it holds something else.
fn is_there(options: &DataOptions, folder: &Path) -> Result<bool, LaunchError> {
    match fs::read_to_string(folder.join(MARKER)) {
        Ok(found) if found == marker(options) => Ok(true),
        Ok(found) => Err(LaunchError::OtherDemo {
            path: folder.to_owned(),
            found: found.lines().collect::<Vec<_>>().join(", "),
        }),
        Err(_) if is_empty(folder)? => Ok(false),
        Err(_) => Err(LaunchError::NotADemo { path: folder.to_owned() }),
    }
}

fn is_empty(folder: &Path) -> Result<bool, LaunchError> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(source) => Err(LaunchError::File { path: folder.to_owned(), source }),
    }
}

fn make(options: &DataOptions, partial: &Path) -> Result<(), LaunchError> {
    let file_error = |source| LaunchError::File { path: partial.to_owned(), source };
    fs::create_dir_all(partial).map_err(file_error)?;
    let claim = Claim::new(partial).map_err(file_error)?;
    write_data(options, partial)?;
    fs::write(partial.join(MARKER), marker(options)).map_err(file_error)?;
    claim.release().map_err(file_error)
}

/// Moves the complete data to their place. Another process may have been quicker.
fn put(options: &DataOptions, partial: &Path, folder: &Path) -> Result<(), LaunchError> {
    match fs::rename(partial, folder) {
        Ok(()) => Ok(()),
        Err(_) if is_there(options, folder).unwrap_or(false) => fs::remove_dir_all(partial)
            .map_err(|source| LaunchError::File { path: partial.to_owned(), source }),
        Err(source) => Err(LaunchError::File { path: folder.to_owned(), source }),
    }
}

/// How the names of folders begin in which these data are being made.
fn partial_prefix(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    format!(".{name}.partial-")
}

fn marker(options: &DataOptions) -> String {
    let DataOptions { people, organisations, seed } = options;
    format!(
        "people = {people}\norganisations = {organisations}\nseed = {seed}\nversion = {VERSION}\n"
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use super::*;

    fn small() -> DataOptions {
        DataOptions { people: 20, organisations: 1, seed: 1 }
    }

    #[test]
    fn data_are_made_once() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("deep").join("demo");
        ensure(&small(), &folder, |_| {}).unwrap();
        ensure(&small(), &folder, |_| unreachable!("the data are there")).unwrap();
        assert_eq!(fs::read_dir(parent.path().join("deep")).unwrap().count(), 1);
        let other = DataOptions { seed: 2, ..small() };
        let error = ensure(&other, &folder, |_| {}).unwrap_err();
        assert!(error.to_string().contains("seed = 1"), "{error}");
    }

    #[test]
    fn other_peoples_folders_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.txt"), "").unwrap();
        let error = ensure(&small(), folder.path(), |_| {}).unwrap_err();
        assert!(matches!(error, LaunchError::NotADemo { .. }), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
