//! Scanning a fixed list of files with a given schema. Entry: [`listing_table`].

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::config::TableParquetOptions;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::error::Result;
use datafusion::execution::SessionState;

use super::{Source, SourceProblem};
use crate::config::SourceFormat;

/// Makes a table of the source's files with `schema`, which must be in the files' order for CSV
/// and may be any subset in any order for Parquet.
pub(crate) fn listing_table(
    source: &Source,
    schema: SchemaRef,
    state: &SessionState,
) -> std::result::Result<Arc<ListingTable>, SourceProblem> {
    try_listing_table(source, schema, state).map_err(|error| {
        tracing::warn!(%error, "data files cannot be scanned");
        SourceProblem::Scan
    })
}

fn try_listing_table(
    source: &Source,
    schema: SchemaRef,
    state: &SessionState,
) -> Result<Arc<ListingTable>> {
    let urls = source.files.iter().map(|file| url(&file.path)).collect::<Result<Vec<_>>>()?;
    // The files were chosen already, whatever their ending.
    let options = ListingOptions::new(format(source.format, state)).with_file_extension("");
    let config = ListingTableConfig::new_with_multi_paths(urls)
        .with_listing_options(options)
        .with_schema(schema);
    // Statistics of a file are read once, and again when its size or time changes.
    let statistics = state.runtime_env().cache_manager.get_file_statistic_cache();
    Ok(Arc::new(ListingTable::try_new(config)?.with_cache(statistics)))
}

fn format(format: SourceFormat, state: &SessionState) -> Arc<dyn FileFormat> {
    match format {
        SourceFormat::Parquet => {
            let mut options = TableParquetOptions {
                global: state.config_options().execution.parquet.clone(),
                ..TableParquetOptions::default()
            };
            // Contract types are plain: see `TableContract::wire_type`.
            options.global.schema_force_view_types = false;
            options.global.skip_metadata = true;
            Arc::new(ParquetFormat::default().with_options(options))
        }
        SourceFormat::Csv { header, delimiter } => Arc::new(
            CsvFormat::default()
                .with_options(state.default_table_options().csv)
                .with_has_header(header)
                .with_delimiter(delimiter)
                // Quoted line breaks are common in free text; splitting a file at them would
                // tear rows apart.
                .with_newlines_in_values(true),
        ),
    }
}

/// URL of exactly one file: every byte that could mean something else is encoded, so that names
/// with `*`, `[` or `%` are names.
fn url(path: &Path) -> Result<ListingTableUrl> {
    let mut url = String::from("file://");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => url.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => url.push(char::from(*byte)),
            byte => url.push_str(&format!("%{byte:02X}")),
        }
    }
    ListingTableUrl::parse(url)
}
