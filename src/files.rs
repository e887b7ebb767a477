//! Files of the user's own: private ones, the cache folder, and folders that vanish.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rand::TryRngCore;
use rand::rngs::OsRng;

/// Writes a file that only its owner can read, in place of any that is there. It is there whole or
/// not at all, whenever the program ends.
///
/// # Errors
/// When the file cannot be written.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    write_whole(path, text, true)
}

/// Writes a file that anybody can read, as [`write_private`] does.
///
/// # Errors
/// When the file cannot be written.
pub fn write_public(path: &Path, text: &str) -> io::Result<()> {
    write_whole(path, text, false)
}

/// Writes beside the file and moves what is complete to its place.
fn write_whole(path: &Path, text: &str, private: bool) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.partial"));
    // One that a killed program left.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if private {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let written = options
        .open(&beside)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // The first error is the one that tells what is wrong.
        let _ = fs::remove_file(&beside);
    }
    written
}

/// The program's cache folder: `$XDG_CACHE_HOME/hedgerow`, or under `~/.cache`, or under the
/// system's folder for temporary files.
pub fn cache_folder() -> PathBuf {
    let folder = |variable: &str| {
        std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
    };
    folder("XDG_CACHE_HOME")
        .or_else(|| Some(folder("HOME")?.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("hedgerow")
}

/// 128 random bits from the system, in hexadecimal.
///
/// # Errors
/// When the system gives none.
pub fn random_name() -> io::Result<String> {
    let mut bytes = [0; 16];
    OsRng.try_fill_bytes(&mut bytes).map_err(io::Error::other)?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}

/// A folder that is known to be in use, by this process or another, until the claim is dropped or
/// its process ends in whatever way.
#[derive(Debug)]
pub struct Claim {
    lock: PathBuf,
    _held: File,
}

impl Claim {
    /// Claims a folder, which must be there.
    ///
    /// # Errors
    /// When it cannot be written to, or is claimed already.
    pub fn new(folder: &Path) -> io::Result<Self> {
        let lock = folder.join(LOCK);
        let held = File::create(&lock)?;
        held.try_lock()?;
        Ok(Self { lock, _held: held })
    }

    /// Gives the folder up for good: it is finished, and nobody removes it.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn release(self) -> io::Result<()> {
        fs::remove_file(&self.lock)
    }
}

/// The file that is locked in a claimed folder.
const LOCK: &str = ".claimed";

/// Removes the folders that programs which were killed left in `parent`: those whose name begins
/// with `prefix` and that were claimed, but are no longer.
pub fn sweep(parent: &Path, prefix: &str) {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix)) {
        let abandoned =
            File::open(entry.path().join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        if abandoned {
            // What cannot be removed is no harm to this start.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// How the names of temporary folders begin.
const TEMPORARY_PREFIX: &str = "hedgerow-";

/// A folder of this process alone, removed with everything in it when dropped, or by the next
/// process that makes one.
#[derive(Debug)]
pub struct TemporaryFolder {
    path: PathBuf,
    _claim: Claim,
}

impl TemporaryFolder {
    /// Makes a folder that only its owner can enter.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new() -> io::Result<Self> {
        sweep(&std::env::temp_dir(), TEMPORARY_PREFIX);
        let path = std::env::temp_dir().join(format!("{TEMPORARY_PREFIX}{}", random_name()?));
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path)?;
        let claim = Claim::new(&path)?;
        Ok(Self { path, _claim: claim })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What cannot be removed stays for the system's own cleaning.
        let _ = fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use super::*;

    #[test]
    fn temporary_folders_vanish() {
        let folder = TemporaryFolder::new().unwrap();
        let path = folder.path().to_owned();
        write_private(&path.join("a"), "b").unwrap();
        write_private(&path.join("a"), "c").unwrap();
        assert_eq!(fs::read_to_string(path.join("a")).unwrap(), "c");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(path.join("a")).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        }
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn only_what_was_left_behind_is_swept() {
        let parent = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let path = parent.path().join(name);
            fs::create_dir(&path).unwrap();
            path
        };
        let (used, left, done) = (folder("a-used"), folder("a-left"), folder("a-done"));
        let (other, bare) = (folder("b-left"), folder("a-bare"));
        let _claim = Claim::new(&used).unwrap();
        drop(Claim::new(&left).unwrap());
        drop(Claim::new(&other).unwrap());
        Claim::new(&done).unwrap().release().unwrap();
        assert!(Claim::new(&used).is_err());
        sweep(parent.path(), "a-");
        assert!(!left.exists());
        assert!([used, done, other, bare].iter().all(|path| path.exists()));
        sweep(&parent.path().join("nowhere"), "a-");
    }
}
