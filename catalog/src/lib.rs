//! Contracts, server configuration, and the tables an organisation serves under those contracts.
//!
//! What this crate does not do: judge questions (`hedgerow-policies`), plan or run them
//! (`hedgerow-engine`), or open sockets. The journey from files to tables:
//!
//! ```text
//! contracts/*.toml ── contracts ──► Contracts      what the federation calls a table
//! serve.toml ──────── config ─────► ServerConfig   what this server serves, to whom, within which limits
//! data files ──────── source ─────► files and their own columns
//!                                      │
//!            node_tables  conformance: contract against columns ──► Conforming │ Drifted
//!                                      │
//!            description  what a node tells a coordinator about itself
//! ```

mod config;
mod contracts;
mod description;
mod document;
mod error;
mod ipc;
mod node_tables;
mod source;

pub use config::{
    FederationConfig, FederationNode, LedgerConfig, Limits, LogConfig, LogFormat, MetricsConfig,
    ServerConfig, SourceConfig, SourceFormat, TableConfig, TlsConfig, UsersConfig, ViewConfig,
    configuration_reference,
};
pub use contracts::{Contracts, arrow_schema, shared_schema, visible_schema};
pub use description::{Member, NodeDescription, PublicRules, TableDescription};
pub use error::{CatalogError, ConfigProblem, ContractProblem, Nearest};
pub use ipc::check_ipc_schema;
pub use node_tables::{NodeTable, NodeTables, TableState};
