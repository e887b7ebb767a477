//! What can go wrong while demo data is written.
//!
//! Main type: [`DemoError`].

use std::path::PathBuf;

use datafusion::parquet::errors::ParquetError;

/// Why demo data could not be written.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// More organisations than there are names for, or none.
    #[error("`{asked}` organisations asked for; use 1 to {organisations_max}")]
    Organisations {
        /// How many were asked for.
        asked: usize,
        /// The most there can be.
        organisations_max: usize,
    },
    /// More people than numbers are made for.
    #[error("`{asked}` people asked for; use at most {people_max}")]
    People {
        /// How many were asked for.
        asked: usize,
        /// The most there can be.
        people_max: usize,
    },
    /// A folder or file could not be made.
    #[error("failed to write `{}`: {source}", path.display())]
    File {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A Parquet file could not be encoded.
    #[error("failed to encode `{}`: {source}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the encoder said.
        source: ParquetError,
    },
    /// Generated columns do not fit the table's schema: a bug.
    #[error("failed to build rows of `{table}`: {source}")]
    Rows {
        /// The table.
        table: &'static str,
        /// What the columns lacked.
        source: arrow::error::ArrowError,
    },
    /// An embedded contract cannot be read: a bug.
    #[error("failed to read the contract of `{table}`: {reason}")]
    Contract {
        /// The table.
        table: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A writing thread ended early: a bug.
    #[error("failed to finish writing: a writing thread ended early")]
    Thread,
}
