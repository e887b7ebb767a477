//! The demo federation: fictional organisations and synthetic data to try Hedgerow with.
//!
//! Everything here is made up, and the same seed makes the same bytes. The data's journey:
//!
//! ```text
//! organisations   who takes part, how large, in which board and region
//! people          who lives, and who is known to which organisation
//! referrals, admissions, outpatients, emergency, vaccinations
//!                 what happened to them, in contract layout
//! open_tables, reference
//!                 rows about nobody
//! extracts        the same rows as one organisation's own systems hold them, and the mapping back
//! write           Parquet files, one folder per organisation
//! node_tables     the part of a node's configuration that serves them
//! launch          the rest of the configuration, certificates, and the servers themselves
//! ```
//!
//! Main entries: [`write_data`] and [`Demo`]. No statistics about real people went into it.

mod admissions;
mod certificates;
mod codes;
mod contracts;
mod dates;
mod emergency;
mod error;
mod extracts;
mod launch;
mod node_tables;
mod open_tables;
mod organisations;
mod outpatients;
mod people;
mod random;
mod reference;
mod referrals;
mod rows;
#[cfg(test)]
mod tests;
mod vaccinations;
mod write;

pub use certificates::{CertificateError, ensure_certificates};
pub use contracts::{CONTRACTS, tables};
pub use error::DemoError;
pub use launch::{ANALYST, Demo, DemoOptions, LaunchError};
pub use node_tables::node_tables_toml;
pub use organisations::{DemoOrganisation, ORGANISATIONS_MAX, OrganisationKind, organisations};
pub use write::{DataOptions, write_data};
