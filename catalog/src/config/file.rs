//! The configuration as written: only shapes and defaults, no checks. Main type: [`ServerFile`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use hedgerow_policies::Dominance;
use serde::Deserialize;

use super::{FederationNode, Limits, LogFormat, MetricsConfig, keys};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerFile {
    pub(super) organisation: Option<String>,
    pub(super) name: Option<String>,
    #[serde(default = "keys::listen")]
    pub(super) listen: SocketAddr,
    #[serde(default = "keys::contracts")]
    pub(super) contracts: PathBuf,
    pub(super) tls: TlsFile,
    pub(super) users: UsersFile,
    #[serde(default)]
    pub(super) log: LogFile,
    pub(super) metrics: Option<MetricsConfig>,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) policy: PolicyFile,
    pub(super) ledger: Option<LedgerFile>,
    #[serde(default)]
    pub(super) sources: BTreeMap<String, FilesFile>,
    #[serde(default)]
    pub(super) tables: BTreeMap<String, FilesFile>,
    #[serde(default)]
    pub(super) views: BTreeMap<String, ViewFile>,
    pub(super) federation: Option<FederationFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsFile {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    pub(super) authority: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UsersFile {
    pub(super) file: PathBuf,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogFile {
    #[serde(default)]
    pub(super) format: LogFormat,
    pub(super) filter: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyFile {
    pub(super) preset: Option<String>,
    pub(super) k: Option<u32>,
    pub(super) complement: Option<bool>,
    pub(super) p_percent: Option<f64>,
    pub(super) dominance: Option<Dominance>,
    pub(super) round_to: Option<u32>,
    #[serde(default)]
    pub(super) coordinators: Vec<String>,
    #[serde(default)]
    pub(super) tables: BTreeMap<String, TablePolicyFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TablePolicyFile {
    pub(super) k: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LedgerFile {
    pub(super) file: PathBuf,
}

/// A source or a table. `sql` is for tables only, which the check enforces.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FilesFile {
    pub(super) path: Option<PathBuf>,
    pub(super) format: Option<FormatWord>,
    pub(super) header: Option<bool>,
    pub(super) delimiter: Option<String>,
    pub(super) sql: Option<String>,
}

/// A view: `sql` or `file`, which the check enforces.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ViewFile {
    pub(super) sql: Option<String>,
    pub(super) file: Option<PathBuf>,
    pub(super) description: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FormatWord {
    Parquet,
    Csv,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FederationFile {
    pub(super) organisation: Option<String>,
    pub(super) user: String,
    pub(super) password_file: PathBuf,
    #[serde(default)]
    pub(super) coordinators: Vec<String>,
    #[serde(default = "keys::connect_timeout_ms")]
    pub(super) connect_timeout_ms: u64,
    #[serde(default)]
    pub(super) tables: BTreeMap<String, FilesFile>,
    #[serde(default)]
    pub(super) nodes: Vec<FederationNode>,
}
