//! Catalog `federation` as SQL sees it: schema `shared`, one schema per organisation, `system`.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider};
use datafusion::common::Result;
use datafusion::datasource::TableProvider;

use super::federation::Federation;
use super::own_tables::OwnTables;
use super::rows::FederatedTable;
use super::system;
use super::views::Views;

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
    views: Weak<Views>,
    own: Arc<OwnTables>,
}

impl FederationCatalog {
    pub(crate) fn new(
        federation: &Arc<Federation>,
        views: &Arc<Views>,
        own: &Arc<OwnTables>,
    ) -> Self {
        let (federation, views) = (Arc::downgrade(federation), Arc::downgrade(views));
        Self { federation, views, own: Arc::clone(own) }
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
        let (federation, views) = (self.federation.upgrade()?, self.views.upgrade()?);
        let own = Arc::clone(&self.own);
        let only = match name {
            SYSTEM => return Some(Arc::new(SystemSchema { federation, views, own })),
            SHARED => None,
            organisation => {
                Some(federation.organisations().into_iter().find(|o| o == organisation)?)
            }
        };
        Some(Arc::new(ContractSchema { federation, views, own, only }))
    }
}

/// The contract tables, over all nodes or of one; over all there are the coordinator's own tables
/// and views, too.
#[derive(Debug)]
struct ContractSchema {
    federation: Arc<Federation>,
    views: Arc<Views>,
    own: Arc<OwnTables>,
    only: Option<String>,
}

impl ContractSchema {
    /// An organisation's schema lists what it serves; a node never reached lists everything.
    fn lists(&self, table: &str) -> bool {
        let Some(only) = &self.only else { return true };
        self.federation.lists(only, table)
    }

    fn is_view(&self, name: &str) -> bool {
        self.only.is_none() && self.views.contains(name)
    }
}

#[async_trait]
impl SchemaProvider for ContractSchema {
    fn table_names(&self) -> Vec<String> {
        let names = self.federation.contracts.iter().map(|contract| contract.name.clone());
        let views = self.views.resolved().map(|(name, ..)| name.to_owned());
        let views = views.filter(|_| self.only.is_none());
        names.filter(|name| self.lists(name)).chain(views).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if !self.table_exist(name) {
            return Ok(None);
        }
        if self.is_view(name) {
            return Ok(self.views.table(name).await);
        }
        if self.only.is_none()
            && let Some(own) = self.own.get(name)
        {
            return Ok(Some(own));
        }
        let contract = self.federation.contracts.get(name).cloned();
        Ok(contract.map(|contract| {
            Arc::new(FederatedTable::new(contract, self.only.clone(), Arc::clone(&self.federation)))
                as _
        }))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.is_view(name) || self.federation.contracts.get(name).is_some() && self.lists(name)
    }
}

/// Tables about the federation itself.
#[derive(Debug)]
struct SystemSchema {
    federation: Arc<Federation>,
    views: Arc<Views>,
    own: Arc<OwnTables>,
}

#[async_trait]
impl SchemaProvider for SystemSchema {
    fn table_names(&self) -> Vec<String> {
        system::TABLES.iter().map(|name| (*name).to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        system::table(&self.federation, &self.views, &self.own, name)
    }

    fn table_exist(&self, name: &str) -> bool {
        system::TABLES.contains(&name)
    }
}
