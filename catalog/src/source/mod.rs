//! Data files of an organisation: finding them, reading their columns, scanning them.
//!
//! ```text
//! SourceConfig ── files ──► list of files ── columns ──► each file's own schema ── listing ──► ListingTable
//! ```
//!
//! Main type: [`Source`].

mod columns;
mod files;
mod listing;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use sha2::{Digest, Sha256};

use crate::config::{SourceConfig, SourceFormat};
pub(crate) use files::DataFile;
pub(crate) use listing::listing_table;

/// Why data files cannot be used. Messages are shown across the federation: they name files as
/// below the configured path, and never a data value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SourceProblem {
    #[error("no data file is there")]
    Missing,
    #[error("more than {files_max} data files")]
    TooMany { files_max: usize },
    #[error("folders are nested more than {depth_max} deep")]
    TooDeep { depth_max: usize },
    #[error("data file `{file}` cannot be read")]
    Unreadable { file: String },
    #[error("data file `{file}` is not {format}")]
    Corrupt { file: String, format: &'static str },
    #[error("data file `{file}` has other columns than `{first}`")]
    Differs { file: String, first: String },
    #[error("data files cannot be scanned; the node's log says why")]
    Scan,
}

/// Data files that were found and opened.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) format: SourceFormat,
    pub(crate) files: Vec<DataFile>,
    /// Schema of each file, in the same order. CSV columns are all text.
    pub(crate) schemas: Vec<SchemaRef>,
}

impl Source {
    /// Finds the files and reads the columns of each. Blocks on file I/O.
    pub(crate) fn open(config: &SourceConfig) -> Result<Self, SourceProblem> {
        let files = files::list(config)?;
        let schemas = files
            .iter()
            .map(|file| columns::read(file, config.format))
            .collect::<Result<_, _>>()?;
        Ok(Self { format: config.format, files, schemas })
    }

    /// The one schema of all files, in plain Arrow types and nullable throughout.
    pub(crate) fn common_schema(&self) -> Result<SchemaRef, SourceProblem> {
        let mut all = self.files.iter().zip(self.schemas.iter().map(|schema| plain_schema(schema)));
        let (first_file, first) = all.next().ok_or(SourceProblem::Missing)?;
        for (file, schema) in all {
            if schema != first {
                return Err(SourceProblem::Differs {
                    file: file.relative.clone(),
                    first: first_file.relative.clone(),
                });
            }
        }
        Ok(Arc::new(first))
    }

    /// Adds names, sizes and modification times of the files to an epoch.
    pub(crate) fn digest(&self, hasher: &mut Sha256) {
        for file in &self.files {
            hasher.update(file.relative.as_bytes());
            hasher.update([0]);
            hasher.update(file.bytes.to_le_bytes());
            hasher.update(file.modified_ns.to_le_bytes());
        }
    }
}

/// The type that holds the same values without views, large offsets or dictionaries.
pub(crate) fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::Dictionary(_, values) => plain_type(values),
        other => other.clone(),
    }
}

fn plain_schema(schema: &Schema) -> Schema {
    let plain = |field: &Arc<Field>| Field::new(field.name(), plain_type(field.data_type()), true);
    Schema::new(schema.fields().iter().map(plain).collect::<Vec<_>>())
}
