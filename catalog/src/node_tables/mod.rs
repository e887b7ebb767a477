//! An organisation's own tables, each under its contract. Main type: [`NodeTables`].
//!
//! A table whose data cannot be read or do not fit the contract, in columns or in values, is
//! [`TableState::Drifted`]: it is shown with its differences and left out of answers, and the server
//! still starts. The list of files behind each table is made once, when it is opened.

mod claims;
mod conformance;
mod direct;
mod mapped;
mod table;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::execution::SessionState;
use hedgerow_policies::{Policy, TableContract};
use sha2::{Digest, Sha256};

use crate::config::{Limits, ServerConfig, SourceConfig, TableConfig};
use crate::contracts::{Contracts, short_hex};
use crate::description::{NodeDescription, PublicRules, TableDescription};
use crate::error::{CatalogError, Nearest};
use crate::source::{Source, SourceProblem};

/// A table that fits its contract.
#[derive(Debug, Clone)]
pub struct NodeTable {
    /// The contract.
    pub contract: Arc<TableContract>,
    /// The rows, with exactly [`visible_schema`](crate::visible_schema).
    pub provider: Arc<dyn TableProvider>,
    /// Changes with the data: 16 hexadecimal digits over names, sizes and modification times of
    /// the files, taken when they were opened.
    pub epoch: String,
    /// Bytes of the files behind it, a measure of how much work a scan is.
    pub bytes: u64,
}

/// Whether a configured table can be asked.
#[derive(Debug, Clone)]
pub enum TableState {
    /// It can.
    Conforming(NodeTable),
    /// Its data are missing, unreadable or not as the contract says.
    Drifted {
        /// What is different; no data values and no absolute paths.
        differences: Vec<String>,
    },
}

/// All configured tables by contract name.
#[derive(Debug, Clone, Default)]
pub struct NodeTables {
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    state: TableState,
    contract_version: u32,
    contract_fingerprint: String,
}

/// What opening one table yields before its state is known: the provider and what is known of its
/// files, or what differs from the contract.
type Opened = Result<(Arc<dyn TableProvider>, Files), Vec<String>>;

/// What is known of the files behind a table.
struct Files {
    epoch: String,
    bytes: u64,
}

impl NodeTables {
    /// Opens every table of the configuration under its contract, and compares its rows with what
    /// the contract claims of them.
    ///
    /// # Errors
    /// [`CatalogError::NoContract`] for a table without one. Problems with data are no errors.
    pub async fn open(
        config: &ServerConfig,
        contracts: &Contracts,
        state: &SessionState,
    ) -> Result<Self, CatalogError> {
        let mut tables = Self::default();
        for (name, table) in &config.tables {
            let contract = contract_of(name, contracts)?;
            let opened = match table {
                TableConfig::Files(files) => {
                    direct::open(contract, open_source(files).await?, state)
                }
                TableConfig::Mapping { sql } => {
                    mapped::open(contract, sql, &config.sources, state).await?
                }
            };
            let opened = compared(contract, opened, state, &config.limits).await;
            tables.insert(contracts, contract, table_state(contract, opened));
        }
        Ok(tables)
    }

    /// Opens tables whose files have the contract's columns: those of a coordinator. Their rows go
    /// along with questions, where each node looks at them itself.
    ///
    /// # Errors
    /// As [`NodeTables::open`].
    pub async fn open_files(
        configured: &BTreeMap<String, SourceConfig>,
        contracts: &Contracts,
        state: &SessionState,
    ) -> Result<Self, CatalogError> {
        let mut tables = Self::default();
        for (name, files) in configured {
            let contract = contract_of(name, contracts)?;
            let opened = direct::open(contract, open_source(files).await?, state);
            tables.insert(contracts, contract, table_state(contract, opened));
        }
        Ok(tables)
    }

    /// Takes tables that are already there, for in-process nodes.
    pub fn from_tables(contracts: &Contracts, given: impl IntoIterator<Item = NodeTable>) -> Self {
        let mut tables = Self::default();
        for table in given {
            let contract = Arc::clone(&table.contract);
            tables.insert(contracts, &contract, TableState::Conforming(table));
        }
        tables
    }

    /// Finds a configured table; `None` when this node does not have it.
    pub fn get(&self, name: &str) -> Option<&TableState> {
        self.entries.get(name).map(|entry| &entry.state)
    }

    /// All configured tables, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &TableState)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), &entry.state))
    }

    /// What this node tells a coordinator about itself.
    pub fn describe(&self, config: &ServerConfig) -> NodeDescription {
        let tables = self.entries.iter().map(|(name, entry)| entry.describe(name, config));
        NodeDescription {
            organisation: config.organisation.clone().unwrap_or_default(),
            name: config.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            tables: tables.collect(),
            federation: None,
        }
    }

    fn insert(&mut self, contracts: &Contracts, contract: &TableContract, state: TableState) {
        let entry = Entry {
            state,
            contract_version: contract.version,
            contract_fingerprint: contracts.fingerprint(&contract.name).unwrap_or_default().into(),
        };
        self.entries.insert(contract.name.clone(), entry);
    }
}

impl Entry {
    fn describe(&self, name: &str, config: &ServerConfig) -> TableDescription {
        let (conforming, differences, epoch) = match &self.state {
            TableState::Conforming(table) => (true, Vec::new(), table.epoch.clone()),
            TableState::Drifted { differences } => (false, differences.clone(), String::new()),
        };
        // A configuration that was loaded has a policy that holds.
        let policy = Policy::new(&config.policy).unwrap_or_default();
        TableDescription {
            name: name.to_owned(),
            contract_version: self.contract_version,
            contract_fingerprint: self.contract_fingerprint.clone(),
            conforming,
            differences,
            preset: policy.label(),
            k: Some(policy.k_for([name])),
            rules: Some(PublicRules::of(&policy)),
            epoch,
        }
    }
}

fn contract_of<'c>(
    name: &str,
    contracts: &'c Contracts,
) -> Result<&'c Arc<TableContract>, CatalogError> {
    contracts.get(name).ok_or_else(|| {
        let known = contracts.iter().map(|contract| contract.name.as_str());
        CatalogError::NoContract { name: name.to_owned(), nearest: Nearest::find(name, known) }
    })
}

/// Looks at the rows of a table whose columns fit.
async fn compared(
    contract: &TableContract,
    opened: Opened,
    state: &SessionState,
    limits: &Limits,
) -> Opened {
    let (rows, files) = opened?;
    let found = claims::departures(contract, &rows, state, limits).await;
    if found.is_empty() { Ok((rows, files)) } else { Err(found) }
}

fn table_state(contract: &Arc<TableContract>, opened: Opened) -> TableState {
    match opened {
        Ok((provider, Files { epoch, bytes })) => {
            let contract = Arc::clone(contract);
            TableState::Conforming(NodeTable { contract, provider, epoch, bytes })
        }
        Err(differences) => {
            tracing::warn!(table = contract.name, ?differences, "table departs from its contract");
            TableState::Drifted { differences }
        }
    }
}

/// Opens files away from the async threads.
async fn open_source(config: &SourceConfig) -> Result<Result<Source, SourceProblem>, CatalogError> {
    let config = config.clone();
    let opened = tokio::task::spawn_blocking(move || Source::open(&config)).await;
    opened.map_err(CatalogError::Internal)
}

/// Size of the files of all sources, and a digest over them, each under its name.
fn files<'a>(sources: impl IntoIterator<Item = (&'a str, &'a Source)>) -> Files {
    let mut hasher = Sha256::new();
    let mut bytes = 0;
    for (name, source) in sources {
        hasher.update(name.as_bytes());
        hasher.update([0]);
        source.digest(&mut hasher);
        bytes += source.files.iter().map(|file| file.bytes).sum::<u64>();
    }
    Files { epoch: short_hex(&hasher.finalize()), bytes }
}

#[cfg(test)]
mod tests;
