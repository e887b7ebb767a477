//! Configuration of the one server program. Main type: [`ServerConfig`].
//!
//! `[tables.NAME]` makes a server a node, `[[federation.nodes]]` a coordinator. What keys there
//! are, with unit, default and meaning, is listed once in `keys`; `docs/configuration.md` is
//! generated from there.

mod check;
mod file;
mod keys;
mod limits;
mod reference;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use hedgerow_policies::PolicySettings;
use serde::Deserialize;

use crate::contracts::Contracts;
use crate::document::{Document, file_name, read_text};
use crate::error::CatalogError;
pub use limits::Limits;
pub use reference::configuration_reference;

/// Everything one server is told. All paths are resolved against the configuration file's folder.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerConfig {
    /// The organisation whose tables these are; always there on a node.
    pub organisation: Option<String>,
    /// Display name.
    pub name: Option<String>,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Folder of contracts.
    pub contracts: PathBuf,
    /// Certificate and key.
    pub tls: TlsConfig,
    /// Who may log in.
    pub users: UsersConfig,
    /// Log of this program.
    pub log: LogConfig,
    /// Who may read the server's figures; nobody when `None`.
    pub metrics: Option<MetricsConfig>,
    /// Limits on what is asked.
    pub limits: Limits,
    /// Disclosure rules of this node.
    pub policy: PolicySettings,
    /// Record of what this node released.
    pub ledger: Option<LedgerConfig>,
    /// Files that mappings read, by the name they have in SQL.
    pub sources: BTreeMap<String, SourceConfig>,
    /// Tables this node serves, by contract name.
    pub tables: BTreeMap<String, TableConfig>,
    /// Views this coordinator offers, by name.
    pub views: BTreeMap<String, ViewConfig>,
    /// The nodes this coordinator asks.
    pub federation: Option<FederationConfig>,
}

/// Paths to PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// This server's certificate chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authority that signed the nodes' certificates.
    pub authority: Option<PathBuf>,
}

/// Who may log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsersConfig {
    /// File of users and password hashes.
    pub file: PathBuf,
}

/// Log of this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// How lines are written.
    pub format: LogFormat,
    /// What is written: a `tracing` filter.
    pub filter: String,
}

/// Who may read the server's figures.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsConfig {
    /// The one user, who is in the users file.
    pub user: String,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One readable line per event.
    #[default]
    Human,
    /// One JSON object per event.
    Json,
}

/// Record of what this node released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerConfig {
    /// File to append to.
    pub file: PathBuf,
}

/// Data files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceConfig {
    /// A file, a folder, or a pattern whose parts may contain `*` and `?`.
    pub path: PathBuf,
    /// How to read them.
    pub format: SourceFormat,
}

/// Format of data files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceFormat {
    /// Apache Parquet.
    Parquet,
    /// Comma-separated values, or separated by another character.
    Csv {
        /// Whether the first line names the columns.
        header: bool,
        /// The separating character.
        delimiter: u8,
    },
}

/// Where one served table comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableConfig {
    /// Files that already have the contract's columns.
    Files(SourceConfig),
    /// A query over `[sources.NAME]` that yields the contract's columns.
    Mapping {
        /// The query.
        sql: String,
    },
}

/// A view: a name for the text of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewConfig {
    /// One SELECT.
    pub sql: String,
    /// One line for `\d` and `system.tables`.
    pub description: String,
}

/// The nodes a coordinator asks, and how it introduces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FederationConfig {
    /// The id under which the whole federation answers a wider one; without it it answers none.
    pub organisation: Option<String>,
    /// The coordinator's user name at the nodes.
    pub user: String,
    /// File that holds its password, alone on the first line.
    pub password_file: PathBuf,
    /// Users that are coordinators of a wider federation and round what they combine.
    pub coordinators: Vec<String>,
    /// Time to wait for a connection, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Open tables of the coordinator itself, by contract name.
    pub tables: BTreeMap<String, SourceConfig>,
    /// The nodes, in the order in which answers are merged.
    pub nodes: Vec<FederationNode>,
}

/// One node of a federation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FederationNode {
    /// Its organisation.
    pub organisation: String,
    /// Its address, `https://host:port`.
    pub url: String,
}

impl ServerConfig {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`CatalogError`] with file, line and key, and the nearest key for one that does not exist.
    pub fn load(path: &Path) -> Result<Self, CatalogError> {
        let text = read_text(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::from_toml(&file_name(path), &text, folder)
    }

    /// Reads a configuration file and the contracts in the folder that it names.
    ///
    /// # Errors
    /// As [`ServerConfig::load`] and [`Contracts::load`]; also for a table without a contract.
    pub fn load_with_contracts(path: &Path) -> Result<(Self, Contracts), CatalogError> {
        let (file, text) = (file_name(path), read_text(path)?);
        let folder = path.parent().unwrap_or(Path::new(""));
        let config = Self::from_toml(&file, &text, folder)?;
        let contracts = Contracts::load(&config.contracts)?;
        check::contracts(&config, &contracts, &Document { file: &file, text: &text })?;
        Ok((config, contracts))
    }

    /// Parses a configuration. `file_name` is for messages, `folder` resolves relative paths.
    ///
    /// # Errors
    /// As [`ServerConfig::load`].
    pub fn from_toml(file_name: &str, text: &str, folder: &Path) -> Result<Self, CatalogError> {
        let document = Document { file: file_name, text };
        let file: file::ServerFile = document.parse()?;
        check::server(file, &document, folder)
    }

    /// Tells whether this server serves tables of its own.
    pub fn is_node(&self) -> bool {
        !self.tables.is_empty()
    }

    /// The id under which this server answers bundles for its whole federation.
    pub fn federation_id(&self) -> Option<&str> {
        self.federation.as_ref()?.organisation.as_deref()
    }

    /// Tells whether this server asks other nodes.
    pub fn is_coordinator(&self) -> bool {
        self.federation.as_ref().is_some_and(|federation| !federation.nodes.is_empty())
    }
}

#[cfg(test)]
mod tests;
