//! How an answer becomes text, batch by batch. Main type: [`Renderer`].

use std::io::{self, Write};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use hedgerow_engine::Coverage;

use super::columns::Layout;
use super::csv::Csv;
use super::format::Format;
use super::json::{Json, Ndjson};
use super::table::Table;

/// What is known of an answer once it is complete.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Which organisations stand behind it.
    pub coverage: Option<Coverage>,
    /// How long it took, where that is to be shown.
    pub elapsed: Option<Duration>,
}

/// Prints one answer: each batch as it comes, then the rest.
///
/// `out` takes the answer itself; what must not mix with it, such as coverage beside CSV, goes to
/// `notes`.
pub trait Renderer: Send {
    /// Takes the next batch.
    ///
    /// # Errors
    /// When it cannot be read or written.
    fn batch(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> Result<(), RenderError>;

    /// Ends the answer.
    ///
    /// # Errors
    /// When it cannot be written.
    fn finish(
        &mut self,
        summary: &Summary,
        out: &mut dyn Write,
        notes: &mut dyn Write,
    ) -> Result<(), RenderError>;
}

/// What can go wrong while an answer is printed.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The output does not take it.
    #[error("cannot write the answer")]
    Write(#[from] io::Error),
    /// A value that has no text.
    #[error("cannot read the answer")]
    Read(#[from] ArrowError),
}

/// How tables are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableOptions {
    /// One line per value instead of one per row.
    pub expanded: bool,
    /// Rows that are drawn; the rest is only counted.
    pub rows_max: usize,
    /// Columns of the terminal that one value may take.
    pub width_max: usize,
}

impl Default for TableOptions {
    fn default() -> Self {
        Self { expanded: false, rows_max: 1000, width_max: 60 }
    }
}

/// Makes the renderer for one answer and writes what comes before its first batch.
///
/// # Errors
/// When that cannot be written.
pub fn renderer(
    format: Format,
    table: TableOptions,
    schema: &Schema,
    out: &mut dyn Write,
) -> Result<Box<dyn Renderer>, RenderError> {
    let layout = Layout::of(schema);
    Ok(match format {
        Format::Table => Box::new(Table::new(layout, table)),
        Format::Csv => Box::new(Csv::begin(layout, out)?),
        Format::Json => Box::new(Json::begin(layout, out)?),
        Format::Ndjson => Box::new(Ndjson::new(layout)),
    })
}
