//! The contracts of a federation, read from a folder of TOML files, one table each.
//! Main type: [`Contracts`].

mod file;
mod schema;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hedgerow_policies::TableContract;

use crate::document::{Document, file_name, read_text};
use crate::error::{CatalogError, closest};
use file::ContractFile;
pub(crate) use file::short_hex;
pub use schema::{arrow_schema, shared_schema, visible_schema};

/// All contracts by name, in the order of their names.
#[derive(Debug, Clone, Default)]
pub struct Contracts {
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    contract: Arc<TableContract>,
    fingerprint: String,
    file: String,
}

impl Contracts {
    /// Reads every `*.toml` file in `folder`.
    ///
    /// # Errors
    /// [`CatalogError`] when the folder or a file cannot be read, a contract is malformed or
    /// contradicts itself, or two files define one name.
    pub fn load(folder: &Path) -> Result<Self, CatalogError> {
        let mut contracts = Self::default();
        for path in toml_files(folder)? {
            contracts.insert_toml(&file_name(&path), &read_text(&path)?)?;
        }
        Ok(contracts)
    }

    /// Parses one contract file. `file_name` is only for messages.
    ///
    /// # Errors
    /// [`CatalogError`] when the contract is malformed or contradicts itself.
    pub fn from_toml(file_name: &str, text: &str) -> Result<Self, CatalogError> {
        let mut contracts = Self::default();
        contracts.insert_toml(file_name, text)?;
        Ok(contracts)
    }

    /// Parses one more contract file.
    ///
    /// # Errors
    /// As [`Contracts::from_toml`]; also when a contract of that name is there already.
    pub fn insert_toml(&mut self, file_name: &str, text: &str) -> Result<(), CatalogError> {
        let document = Document { file: file_name, text };
        let file: ContractFile = document.parse()?;
        let fingerprint = file.fingerprint();
        let contract = file.into_contract(&document)?;
        if let Some(first) = self.entries.get(&contract.name) {
            return Err(CatalogError::DuplicateContract {
                name: contract.name,
                first: first.file.clone(),
                second: file_name.to_owned(),
            });
        }
        let name = contract.name.clone();
        let contract = Arc::new(contract);
        self.entries.insert(name, Entry { contract, fingerprint, file: file_name.to_owned() });
        Ok(())
    }

    /// Finds a contract.
    pub fn get(&self, name: &str) -> Option<&Arc<TableContract>> {
        self.entries.get(name).map(|entry| &entry.contract)
    }

    /// All contracts, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<TableContract>> {
        self.entries.values().map(|entry| &entry.contract)
    }

    /// First 16 hexadecimal digits of the SHA-256 of a contract file's content, whatever its
    /// layout and comments: two organisations with equal fingerprints hold equal contracts.
    pub fn fingerprint(&self, name: &str) -> Option<&str> {
        self.entries.get(name).map(|entry| entry.fingerprint.as_str())
    }

    /// The name closest to one that is not there.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        closest(name, self.entries.keys().map(String::as_str))
    }

    /// Number of contracts.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn toml_files(folder: &Path) -> Result<Vec<PathBuf>, CatalogError> {
    let read_error = |source| CatalogError::Read { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(read_error)? {
        let path = entry.map_err(read_error)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests;
