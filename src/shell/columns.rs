//! Tells visible columns from their companions. Main type: [`Layout`].
//!
//! An answer's schema carries, behind the visible columns, companion columns whose field metadata
//! names the column they accompany. Here they are joined up again, cell by cell.

use arrow::array::{Array, AsArray, RecordBatch, UInt8Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Schema, UInt8Type};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// Metadata key: `lower`, `upper` or `status`.
pub(crate) use hedgerow_engine::COMPANION;
/// Metadata key: position of the visible column a companion belongs to.
pub(crate) use hedgerow_engine::COMPANION_OF;

/// Visible columns in order, each with where its companions are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) columns: Vec<VisibleColumn>,
}

/// One visible column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VisibleColumn {
    pub(crate) name: String,
    pub(crate) data_type: DataType,
    pub(crate) companions: Option<Companions>,
    index: usize,
}

/// Places of a column's companions in the batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Companions {
    status: Option<usize>,
    lower: Option<usize>,
    upper: Option<usize>,
}

/// What became of one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// No companion, or not applicable: nothing is ever withheld here.
    NotApplicable,
    /// Whole.
    Released,
    /// Some organisation may have withheld its part.
    Partial,
    /// Nothing was released, so there is no value.
    Withheld,
}

impl Status {
    /// The word for it in CSV and JSON; nothing where it does not apply.
    pub(crate) fn word(self) -> Option<&'static str> {
        match self {
            Self::NotApplicable => None,
            Self::Released => Some("released"),
            Self::Partial => Some("partial"),
            Self::Withheld => Some("withheld"),
        }
    }
}

/// One cell as exact text; `None` is NULL (of a bound: not known).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) value: Option<String>,
    pub(crate) status: Status,
    pub(crate) lower: Option<String>,
    pub(crate) upper: Option<String>,
}

impl Layout {
    /// Reads the layout of an answer.
    pub(crate) fn of(schema: &Schema) -> Self {
        let mut columns: Vec<VisibleColumn> = vec![];
        for (index, field) in schema.fields().iter().enumerate() {
            if !field.metadata().contains_key(COMPANION_OF) {
                columns.push(VisibleColumn {
                    name: field.name().clone(),
                    data_type: field.data_type().clone(),
                    companions: None,
                    index,
                });
            }
        }
        for (index, field) in schema.fields().iter().enumerate() {
            attach(&mut columns, index, field);
        }
        Self { columns }
    }

    /// All cells of a batch, row by row.
    pub(crate) fn rows(&self, batch: &RecordBatch) -> Result<Vec<Vec<Cell>>, ArrowError> {
        let options = FormatOptions::default();
        let readers = self.columns.iter().map(|column| Reader::new(column, batch, &options));
        let readers = readers.collect::<Result<Vec<_>, _>>()?;
        (0..batch.num_rows())
            .map(|row| readers.iter().map(|reader| reader.cell(row)).collect())
            .collect()
    }
}

/// Notes a companion at the visible column it names by position.
fn attach(columns: &mut [VisibleColumn], index: usize, field: &Field) {
    let metadata = field.metadata();
    let (Some(owner), Some(kind)) = (metadata.get(COMPANION_OF), metadata.get(COMPANION)) else {
        return;
    };
    let Some(column) = owner.parse().ok().and_then(|owner: usize| columns.get_mut(owner)) else {
        return;
    };
    let companions = column.companions.get_or_insert_default();
    match kind.as_str() {
        "status" => companions.status = Some(index),
        "lower" => companions.lower = Some(index),
        "upper" => companions.upper = Some(index),
        _ => {}
    }
}

/// Reads the cells of one column of one batch.
struct Reader<'a> {
    value: Texts<'a>,
    statuses: Option<&'a UInt8Array>,
    lower: Option<Texts<'a>>,
    upper: Option<Texts<'a>>,
}

impl<'a> Reader<'a> {
    fn new(
        column: &VisibleColumn,
        batch: &'a RecordBatch,
        options: &'a FormatOptions<'a>,
    ) -> Result<Self, ArrowError> {
        let companions = column.companions.clone().unwrap_or_default();
        let texts = |index| Texts::new(array(batch, index)?, options);
        let statuses = companions.status.map(|index| array(batch, index)).transpose()?;
        Ok(Self {
            value: texts(column.index)?,
            statuses: statuses.and_then(|statuses| statuses.as_primitive_opt::<UInt8Type>()),
            lower: companions.lower.map(texts).transpose()?,
            upper: companions.upper.map(texts).transpose()?,
        })
    }

    fn cell(&self, row: usize) -> Result<Cell, ArrowError> {
        let bound = |texts: &Option<Texts<'_>>| match texts {
            Some(texts) => texts.at(row),
            None => Ok(None),
        };
        Ok(Cell {
            value: self.value.at(row)?,
            status: self.status(row),
            lower: bound(&self.lower)?,
            upper: bound(&self.upper)?,
        })
    }

    fn status(&self, row: usize) -> Status {
        match self.statuses {
            Some(statuses) if statuses.is_valid(row) => match statuses.value(row) {
                0 => Status::Released,
                1 => Status::Partial,
                _ => Status::Withheld,
            },
            _ => Status::NotApplicable,
        }
    }
}

/// The values of one array as exact text.
struct Texts<'a> {
    nulls: Option<NullBuffer>,
    formatter: ArrayFormatter<'a>,
}

impl<'a> Texts<'a> {
    fn new(array: &'a dyn Array, options: &FormatOptions<'a>) -> Result<Self, ArrowError> {
        let formatter = ArrayFormatter::try_new(array, options)?;
        Ok(Self { nulls: array.logical_nulls(), formatter })
    }

    fn at(&self, row: usize) -> Result<Option<String>, ArrowError> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return Ok(None);
        }
        self.formatter.value(row).try_to_string().map(Some)
    }
}

fn array(batch: &RecordBatch, index: usize) -> Result<&dyn Array, ArrowError> {
    batch.columns().get(index).map(AsRef::as_ref).ok_or_else(|| {
        ArrowError::SchemaError("a batch has fewer columns than its schema".to_owned())
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test")]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn companions_are_folded_into_cells() {
        let batch = samples::people();
        let layout = Layout::of(&batch.schema());
        let names: Vec<_> = layout.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["sex", "people"]);
        let rows = layout.rows(&batch).unwrap();
        let partial = &rows[1][1];
        assert_eq!(partial.status, Status::Partial);
        assert_eq!(
            (partial.value.as_deref(), partial.upper.as_deref()),
            (Some("1234"), Some("1243"))
        );
        assert_eq!(rows[2][1].status, Status::Withheld);
        assert_eq!(rows[3][1].status, Status::NotApplicable);
        assert_eq!((rows[2][0].value.as_deref(), rows[3][0].value.as_deref()), (Some(""), None));
    }
}
