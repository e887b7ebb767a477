//! The part of a demo node's configuration that serves its tables.
//!
//! Main entry: [`node_tables_toml`].

use super::contracts::tables;
use super::extracts::extract;
use super::organisations::DemoOrganisation;

/// The `[sources.*]` and `[tables.*]` sections of an organisation's server configuration.
///
/// Paths are relative to the configuration file, which is to lie in the organisation's folder.
pub fn node_tables_toml(organisation: &DemoOrganisation) -> String {
    let mut text = String::new();
    for table in tables(organisation.kind) {
        if !text.is_empty() {
            text.push('\n');
        }
        let section = match extract(&organisation.id, table) {
            None => format!("[tables.{table}]\npath = \"{table}.parquet\"\n"),
            Some(extract) => format!(
                "[sources.{source}]\npath = \"{source}.parquet\"\n\n[tables.{table}]\nsql = \"\"\"\n{sql}\"\"\"\n",
                source = extract.source,
                sql = extract.sql,
            ),
        };
        text.push_str(&section);
    }
    text
}
