//! Answers as CSV (RFC 4180). Main type: [`Csv`].
//!
//! NULL is an empty field, an empty text is `""`, a withheld value is `[c]`. For every column that
//! can be withheld, `NAME_status`, `NAME_lower` and `NAME_upper` follow behind all visible columns,
//! whatever happens to be in the rows.

use std::io::{self, Write};

use arrow::array::RecordBatch;

use super::columns::{Cell, Layout, Status};
use super::legend::{WITHHELD, coverage_lines};
use super::render::{RenderError, Renderer, Summary};

/// Writes one answer as CSV.
#[derive(Debug)]
pub(crate) struct Csv {
    layout: Layout,
}

impl Csv {
    /// Writes the header.
    pub(crate) fn begin(layout: Layout, out: &mut dyn Write) -> Result<Self, RenderError> {
        let mut fields: Vec<String> = vec![];
        fields.extend(layout.columns.iter().map(|column| quoted(&column.name)));
        for column in layout.columns.iter().filter(|column| column.companions.is_some()) {
            let suffixes = ["status", "lower", "upper"];
            fields.extend(suffixes.map(|suffix| quoted(&format!("{}_{suffix}", column.name))));
        }
        line(&fields, out)?;
        Ok(Self { layout })
    }
}

impl Renderer for Csv {
    fn batch(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> Result<(), RenderError> {
        for row in self.layout.rows(batch)? {
            let mut fields: Vec<String> = row.iter().map(value).collect();
            for (column, cell) in self.layout.columns.iter().zip(&row) {
                if column.companions.is_some() {
                    fields.push(cell.status.word().unwrap_or_default().to_owned());
                    fields.extend([&cell.lower, &cell.upper].map(field));
                }
            }
            line(&fields, out)?;
        }
        Ok(())
    }

    fn finish(
        &mut self,
        summary: &Summary,
        _out: &mut dyn Write,
        notes: &mut dyn Write,
    ) -> Result<(), RenderError> {
        for line in summary.coverage.iter().flat_map(coverage_lines) {
            writeln!(notes, "{line}")?;
        }
        Ok(())
    }
}

fn line(fields: &[String], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", fields.join(","))
}

fn value(cell: &Cell) -> String {
    match cell.status {
        Status::Withheld => WITHHELD.to_owned(),
        Status::NotApplicable | Status::Released | Status::Partial => field(&cell.value),
    }
}

fn field(text: &Option<String>) -> String {
    text.as_deref().map(quoted).unwrap_or_default()
}

/// Quotes a text where it must be; an empty text always, to tell it from NULL.
fn quoted(text: &str) -> String {
    let plain = !text.is_empty() && !text.contains(['"', ',', '\n', '\r']);
    if plain { text.to_owned() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::render::{Summary, TableOptions};
    use super::super::samples::{self, render};

    #[test]
    fn companions_follow_the_visible_columns() {
        let summary = Summary { coverage: Some(samples::complete()), elapsed: None };
        let (out, notes) =
            render(Format::Csv, TableOptions::default(), &samples::people(), &summary);
        assert_eq!(
            out,
            "sex,people,people_status,people_lower,people_upper\n\
             female,51234,released,51234,51234\n\
             \"male, \"\"or\"\" so\",1234,partial,1234,1243\n\
             \"\",[c],withheld,0,9\n\
             ,,,,\n"
        );
        assert_eq!(notes, "2 of 2 organisations answered · policy primary_only, k = 10\n");
    }
}
