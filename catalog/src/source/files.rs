//! Finding the files behind a path: a file, a folder, or a pattern. Entry: [`list`].

use std::fs::{self, Metadata};
use std::path::{Component, Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::SourceProblem;
use crate::config::{SourceConfig, SourceFormat};

/// Most files behind one table or source.
const FILES_MAX: usize = 100_000;
/// Deepest nesting of folders below a source's folder.
const DEPTH_MAX: usize = 16;

/// One data file.
#[derive(Debug, Clone)]
pub(crate) struct DataFile {
    /// Absolute path. Never shown to others.
    pub(crate) path: PathBuf,
    /// Path below the configured folder, or below the fixed part of the pattern.
    pub(crate) relative: String,
    pub(crate) bytes: u64,
    /// Since 1970, in nanoseconds.
    pub(crate) modified_ns: u128,
}

impl DataFile {
    /// Whether the file is still there as it was when it was found.
    pub(crate) fn is_unchanged(&self) -> bool {
        let modified_ns = |metadata: &Metadata| Some(modified_ns(metadata.modified().ok()?));
        fs::metadata(&self.path).is_ok_and(|metadata| {
            metadata.is_file()
                && metadata.len() == self.bytes
                && modified_ns(&metadata) == Some(self.modified_ns)
        })
    }
}

/// Lists the files behind a source, sorted by relative path.
pub(crate) fn list(config: &SourceConfig) -> Result<Vec<DataFile>, SourceProblem> {
    let mut found = Vec::new();
    let base = if has_pattern(&config.path) {
        let (base, parts) = split_pattern(&config.path);
        matching(&base, &parts, &mut found)?;
        base
    } else if config.path.is_dir() {
        below(&config.path, ending(config.format), DEPTH_MAX, &mut found)?;
        config.path.clone()
    } else {
        found.push(config.path.clone());
        config.path.parent().unwrap_or(Path::new("")).to_owned()
    };
    let mut files =
        found.iter().map(|path| describe(path, &base)).collect::<Result<Vec<_>, _>>()?;
    files.sort_by(|a, b| a.relative.cmp(&b.relative));
    if files.is_empty() { Err(SourceProblem::Missing) } else { Ok(files) }
}

fn ending(format: SourceFormat) -> &'static str {
    match format {
        SourceFormat::Parquet => "parquet",
        SourceFormat::Csv { .. } => "csv",
    }
}

fn describe(path: &Path, base: &Path) -> Result<DataFile, SourceProblem> {
    let relative = path.strip_prefix(base).unwrap_or(Path::new(""));
    let relative = relative.to_string_lossy().into_owned();
    let unreadable = || SourceProblem::Unreadable { file: relative.clone() };
    let absolute = match fs::canonicalize(path) {
        Ok(absolute) => absolute,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(SourceProblem::Missing);
        }
        Err(_) => return Err(unreadable()),
    };
    let metadata = fs::metadata(&absolute).map_err(|_| unreadable())?;
    let modified = metadata.modified().map_err(|_| unreadable())?;
    let modified_ns = modified_ns(modified);
    Ok(DataFile { path: absolute, relative, bytes: metadata.len(), modified_ns })
}

fn modified_ns(modified: SystemTime) -> u128 {
    modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}

fn push(path: PathBuf, found: &mut Vec<PathBuf>) -> Result<(), SourceProblem> {
    if found.len() == FILES_MAX {
        return Err(SourceProblem::TooMany { files_max: FILES_MAX });
    }
    found.push(path);
    Ok(())
}

/// Entries of a folder, without those whose names begin with `.` or `_`.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, SourceProblem> {
    let shown = || folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let unreadable = |_| SourceProblem::Unreadable { file: shown() };
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with(['.', '_']) {
            entries.push((name, entry.path()));
        }
    }
    Ok(entries)
}

fn below(
    folder: &Path,
    ending: &str,
    depth: usize,
    found: &mut Vec<PathBuf>,
) -> Result<(), SourceProblem> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(SourceProblem::TooDeep { depth_max: DEPTH_MAX });
    };
    for (_, path) in entries(folder)? {
        if path.is_dir() {
            below(&path, ending, depth, found)?;
        } else if path.extension().is_some_and(|extension| extension == ending) {
            push(path, found)?;
        }
    }
    Ok(())
}

fn is_pattern(part: &str) -> bool {
    part.contains(['*', '?'])
}

/// A path that exists is itself, whatever characters are in it.
fn has_pattern(path: &Path) -> bool {
    is_pattern(&path.to_string_lossy()) && !path.exists()
}

/// Splits a path into the fixed folder and the parts from the first pattern on.
fn split_pattern(path: &Path) -> (PathBuf, Vec<String>) {
    let mut base = PathBuf::new();
    let mut parts = Vec::new();
    for component in path.components() {
        let text = component.as_os_str().to_string_lossy();
        if parts.is_empty() && !(matches!(component, Component::Normal(_)) && is_pattern(&text)) {
            base.push(component);
        } else {
            parts.push(text.into_owned());
        }
    }
    (base, parts)
}

fn matching(
    folder: &Path,
    parts: &[String],
    found: &mut Vec<PathBuf>,
) -> Result<(), SourceProblem> {
    let Some((part, rest)) = parts.split_first() else {
        return Ok(());
    };
    if !folder.is_dir() {
        return Ok(());
    }
    for (name, path) in entries(folder)? {
        if !name_matches(part.as_bytes(), name.as_bytes()) {
            continue;
        }
        if rest.is_empty() {
            if path.is_file() {
                push(path, found)?;
            }
        } else {
            matching(&path, rest, found)?;
        }
    }
    Ok(())
}

/// Matches `*` (any characters) and `?` (one byte); on a mismatch the last `*` takes one more.
fn name_matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(byte) if *byte == b'?' || Some(byte) == name.get(n) => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((star_p, star_n)) = star else {
                    return false;
                };
                star = Some((star_p, star_n + 1));
                (p, n) = (star_p + 1, star_n + 1);
            }
        }
    }
    pattern.iter().skip(p).all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let matches = |pattern: &str, name: &str| name_matches(pattern.as_bytes(), name.as_bytes());
        assert!(matches("*.parquet", "a.parquet"));
        assert!(matches("p*-?.csv", "pathways-1.csv"));
        assert!(matches("*a*b*", "xxaxxabx"));
        assert!(!matches("*.csv", "a.csv.bak"));
        assert!(!matches("?.csv", ".csv"));
    }

    #[test]
    fn a_pattern_splits_at_its_first_part() {
        let (base, parts) = split_pattern(Path::new("/data/20*/a.csv"));
        assert_eq!(base, Path::new("/data"));
        assert_eq!(parts, ["20*", "a.csv"]);
    }
}
