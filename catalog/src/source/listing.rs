//! Scanning a fixed list of files with a given schema. Entry: [`listing_table`].

use std::io;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::config::TableParquetOptions;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::{DataFile, Source, SourceProblem};
use crate::config::SourceFormat;

/// Makes a table of the source's files with `schema`, which must be in the files' order for CSV
/// and may be any subset in any order for Parquet.
pub(crate) fn listing_table(
    source: &Source,
    schema: SchemaRef,
    state: &SessionState,
) -> std::result::Result<Arc<dyn TableProvider>, SourceProblem> {
    let table = try_listing_table(source, schema, state);
    let files = source.files.clone().into();
    table.map(|table| Arc::new(FixedFiles { table, files }) as Arc<dyn TableProvider>).map_err(
        |error| {
            tracing::warn!(%error, "data files cannot be scanned");
            SourceProblem::Scan
        },
    )
}

fn try_listing_table(
    source: &Source,
    schema: SchemaRef,
    state: &SessionState,
) -> Result<ListingTable> {
    let urls = source.files.iter().map(|file| url(&file.path)).collect::<Result<Vec<_>>>()?;
    // The files were chosen already, whatever their ending.
    let options = ListingOptions::new(format(source.format, state)).with_file_extension("");
    let config = ListingTableConfig::new_with_multi_paths(urls)
        .with_listing_options(options)
        .with_schema(schema);
    // Statistics of a file are read once, and again when its size or time changes.
    let statistics = state.runtime_env().cache_manager.get_file_statistic_cache();
    Ok(ListingTable::try_new(config)?.with_cache(statistics))
}

/// Files that are read only as long as they are those that were found: answers carry the epoch that
/// was taken of them, and a file that is gone or empty would otherwise be one without rows.
#[derive(Debug)]
struct FixedFiles {
    table: ListingTable,
    files: Arc<[DataFile]>,
}

#[async_trait]
impl TableProvider for FixedFiles {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        self.table.table_type()
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        self.table.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        check_unchanged(Arc::clone(&self.files)).await?;
        self.table.scan(state, projection, filters, limit).await
    }
}

/// Looks at every file, away from the async threads.
async fn check_unchanged(files: Arc<[DataFile]>) -> Result<()> {
    let changed = tokio::task::spawn_blocking(move || {
        let mut changed = files.iter().filter(|file| !file.is_unchanged());
        changed.next().map(|file| file.relative.clone())
    });
    match changed.await.map_err(|error| DataFusionError::External(Box::new(error)))? {
        None => Ok(()),
        Some(file) => Err(DataFusionError::IoError(io::Error::other(format!(
            "data file `{file}` is gone or was changed since the node started"
        )))),
    }
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
