//! Reading a file's own columns, without its rows. Entry: [`read`].

use std::fs::File;
use std::sync::Arc;

use arrow::csv::reader::Format;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::parquet::arrow::ARROW_SCHEMA_META_KEY;
use datafusion::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::{DataFile, SourceProblem};
use crate::config::SourceFormat;
use crate::ipc::check_stored_schema;

/// Reads the schema of one file; a CSV file's columns are text.
pub(super) fn read(file: &DataFile, format: SourceFormat) -> Result<SchemaRef, SourceProblem> {
    let opened = File::open(&file.path)
        .map_err(|_| SourceProblem::Unreadable { file: file.relative.clone() })?;
    match format {
        SourceFormat::Parquet => parquet(&opened, &file.relative),
        SourceFormat::Csv { header, delimiter } => csv(opened, &file.relative, header, delimiter),
    }
}

fn parquet(opened: &File, relative: &str) -> Result<SchemaRef, SourceProblem> {
    parquet_schema(opened).map_err(|error| {
        tracing::warn!(file = relative, %error, "parquet file cannot be read");
        SourceProblem::Corrupt { file: relative.to_owned(), format: "Parquet" }
    })
}

fn parquet_schema(opened: &File) -> Result<SchemaRef, ParquetError> {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(opened)?;
    check_places(&metadata, opened.metadata()?.len())?;
    let stored = metadata.file_metadata().key_value_metadata().into_iter().flatten();
    let stored = stored.filter(|pair| pair.key == ARROW_SCHEMA_META_KEY);
    for schema in stored.filter_map(|pair| pair.value.as_deref()) {
        check_stored_schema(schema).map_err(|what| ParquetError::General(what.to_owned()))?;
    }
    let arrow = ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new())?;
    Ok(Arc::clone(arrow.schema()))
}

/// Refuses columns that are said to lie outside the file: the reader asserts that they do not.
fn check_places(metadata: &ParquetMetaData, length: u64) -> Result<(), ParquetError> {
    for column in metadata.row_groups().iter().flat_map(|group| group.columns()) {
        let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
        let end = u64::try_from(start).ok().zip(u64::try_from(column.compressed_size()).ok());
        let end = end.and_then(|(start, size)| start.checked_add(size));
        if column.data_page_offset() < 0 || end.is_none_or(|end| end > length) {
            return Err(ParquetError::General("a column lies outside the file".to_owned()));
        }
    }
    Ok(())
}

fn csv(
    opened: File,
    relative: &str,
    header: bool,
    delimiter: u8,
) -> Result<SchemaRef, SourceProblem> {
    let corrupt = || SourceProblem::Corrupt { file: relative.to_owned(), format: "CSV" };
    let format = Format::default().with_header(header).with_delimiter(delimiter);
    // No record is read: the types would be guesses about the data.
    let (schema, _) = format.infer_schema(opened, Some(0)).map_err(|_| corrupt())?;
    if schema.fields().is_empty() {
        return Err(corrupt());
    }
    // A byte order mark would otherwise be part of the first column's name.
    let name = |field: &Arc<Field>| field.name().trim_start_matches('\u{feff}').trim().to_owned();
    let text = |field: &Arc<Field>| Field::new(name(field), DataType::Utf8, true);
    Ok(Arc::new(Schema::new(schema.fields().iter().map(text).collect::<Vec<_>>())))
}
