//! A TOML text whose mistakes are reported by file, line and key. Main type: [`Document`].

use std::path::Path;

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};

use crate::error::{CatalogError, Nearest};

/// Largest contract or configuration file that is read.
const DOCUMENT_BYTES_MAX: u64 = 1024 * 1024;

/// The text of one TOML file and the name under which errors mention it.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    pub(crate) file: &'a str,
    pub(crate) text: &'a str,
}

impl Document<'_> {
    /// Parses the text; unknown and missing keys come back with their line.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, CatalogError> {
        toml::from_str(self.text).map_err(|error| self.explain(&error))
    }

    /// Line of the value at `path`, or of the deepest part of `path` that is there. A step into an
    /// array of tables is its index in digits.
    pub(crate) fn line_of(&self, path: &[&str]) -> usize {
        let Ok(root) = DeTable::parse(self.text) else {
            return 1;
        };
        let mut offset = 0;
        let mut steps = path.iter();
        let Some(first) = steps.next() else { return 1 };
        let Some((key, mut value)) = root.get_ref().get_key_value(*first) else {
            return 1;
        };
        offset = key.span().start.max(offset);
        for step in steps {
            match value.get_ref() {
                DeValue::Table(table) => {
                    let Some((key, next)) = table.get_key_value(*step) else {
                        break;
                    };
                    (offset, value) = (key.span().start, next);
                }
                DeValue::Array(array) => {
                    let next = step.parse().ok().and_then(|index: usize| array.get(index));
                    let Some(next) = next else { break };
                    (offset, value) = (next.span().start, next);
                }
                _ => break,
            }
        }
        self.line_at(offset)
    }

    fn line_at(&self, offset: usize) -> usize {
        let before = self.text.bytes().take(offset);
        before.filter(|byte| *byte == b'\n').count().saturating_add(1)
    }

    fn explain(&self, error: &toml::de::Error) -> CatalogError {
        let file = self.file.to_owned();
        let line = error.span().map_or(1, |span| self.line_at(span.start));
        let message = error.message();
        let mut quoted = message.split('`').skip(1).step_by(2).map(str::to_owned);
        let named = quoted.next().unwrap_or_default();
        let known: Vec<String> = quoted.collect();
        let nearest = Nearest::find(&named, known.iter().map(String::as_str));
        if message.starts_with("unknown field") {
            CatalogError::UnknownKey { file, line, key: named, nearest }
        } else if message.starts_with("unknown variant") {
            CatalogError::UnknownValue { file, line, value: named, nearest }
        } else if message.starts_with("missing field") {
            CatalogError::MissingKey { file, line, key: named }
        } else {
            CatalogError::Syntax { file, line, message: message.to_owned() }
        }
    }
}

/// Reads a file of the configuration, within the limit on its size.
pub(crate) fn read_text(path: &Path) -> Result<String, CatalogError> {
    let read_error = |source| CatalogError::Read { path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(read_error)?.len();
    if bytes > DOCUMENT_BYTES_MAX {
        return Err(CatalogError::TooLarge {
            path: path.to_owned(),
            bytes,
            bytes_max: DOCUMENT_BYTES_MAX,
        });
    }
    std::fs::read_to_string(path).map_err(read_error)
}

/// The last part of a path, for messages.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_by_path() {
        let document =
            Document { file: "x", text: "a = 1\n\n[b.c]\nd = 2\n[[e]]\nf = 1\n[[e]]\nf = 2\n" };
        assert_eq!(document.line_of(&["a"]), 1);
        assert_eq!(document.line_of(&["b", "c", "d"]), 4);
        assert_eq!(document.line_of(&["b", "c", "nothing"]), 3);
        assert_eq!(document.line_of(&["e", "1", "f"]), 8);
    }

    #[test]
    fn wrong_kinds_carry_their_line() {
        let document = Document { file: "x.toml", text: "\nport = \"a\"" };
        let error = document.parse::<std::collections::BTreeMap<String, u16>>().unwrap_err();
        assert!(error.to_string().starts_with("`x.toml` line 2: "), "{error}");
    }
}
