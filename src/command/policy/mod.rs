//! `hedgerow policy`: what a node's disclosure rules come to, without serving it.

mod check;
mod explain;
mod page;
mod presets;
mod table;

use std::path::Path;

use clap::{Args, Subcommand};
use hedgerow_catalog::{Contracts, ServerConfig};

use super::error::{CommandError, UsageError};

/// Read a node's disclosure rules in plain words, judge one statement by them, or see which presets
/// there are.
///
/// None of these needs a running server, and nothing is sent anywhere.
#[derive(Debug, Args)]
pub(super) struct Policy {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Check(check::Check),
    Explain(explain::Explain),
    Presets(presets::Presets),
}

impl Policy {
    /// `Ok(false)` when the statement was refused.
    pub(super) async fn run(self) -> Result<bool, CommandError> {
        match self.what {
            What::Check(check) => check.run().map(|()| true),
            What::Explain(explain) => explain.run().await,
            What::Presets(presets) => presets.run().map(|()| true),
        }
    }
}

/// A node's configuration and contracts, checked.
fn load(file: &Path) -> Result<(ServerConfig, Contracts), CommandError> {
    let (config, contracts) = ServerConfig::load_with_contracts(file)?;
    match config.is_node() {
        true => Ok((config, contracts)),
        false => Err(UsageError::NotANode { path: file.to_owned() }.into()),
    }
}
