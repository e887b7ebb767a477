//! Catalog `federation` as SQL sees it: schema `shared`, one schema per organisation, `system`.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider};
use datafusion::common::Result;
use datafusion::datasource::TableProvider;

use super::federation::Federation;
use super::rows::FederatedTable;
use super::system;

/// Name of the catalog.
pub(crate) const CATALOG: &str = "federation";
/// The schema searched first.
pub(crate) const SHARED: &str = "shared";
/// The schema about the federation itself.
pub(crate) const SYSTEM: &str = "system";

/// The catalog of a federation.
#[derive(Debug)]
pub(crate) struct FederationCatalog {
    federation: Weak<Federation>,
}

impl FederationCatalog {
    pub(crate) fn new(federation: &Arc<Federation>) -> Self {
        Self { federation: Arc::downgrade(federation) }
    }
}

impl CatalogProvider for FederationCatalog {
    fn schema_names(&self) -> Vec<String> {
        let mut names = vec![SHARED.to_owned(), SYSTEM.to_owned()];
        if let Some(federation) = self.federation.upgrade() {
            names.extend(federation.organisations());
        }
        names
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let federation = self.federation.upgrade()?;
        let only = match name {
            SYSTEM => return Some(Arc::new(SystemSchema { federation })),
            SHARED => None,
            organisation => {
                Some(federation.organisations().into_iter().find(|o| o == organisation)?)
            }
        };
        Some(Arc::new(ContractSchema { federation, only }))
    }
}

/// The contract tables, over all nodes or of one.
#[derive(Debug)]
struct ContractSchema {
    federation: Arc<Federation>,
    only: Option<String>,
}

impl ContractSchema {
    /// An organisation's schema lists what it serves; a node never reached lists everything.
    fn lists(&self, table: &str) -> bool {
        let Some(only) = &self.only else { return true };
        self.federation.lists(only, table)
    }
}

#[async_trait]
impl SchemaProvider for ContractSchema {
    fn table_names(&self) -> Vec<String> {
        let names = self.federation.contracts.iter().map(|contract| contract.name.clone());
        names.filter(|name| self.lists(name)).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if !self.table_exist(name) {
            return Ok(None);
        }
        let contract = self.federation.contracts.get(name).cloned();
        Ok(contract.map(|contract| {
            Arc::new(FederatedTable::new(contract, self.only.clone(), Arc::clone(&self.federation)))
                as _
        }))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.federation.contracts.get(name).is_some() && self.lists(name)
    }
}

/// Tables about the federation itself.
#[derive(Debug)]
struct SystemSchema {
    federation: Arc<Federation>,
}

#[async_trait]
impl SchemaProvider for SystemSchema {
    fn table_names(&self) -> Vec<String> {
        system::TABLES.iter().map(|name| (*name).to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        system::table(&self.federation, name)
    }

    fn table_exist(&self, name: &str) -> bool {
        system::TABLES.contains(&name)
    }
}
