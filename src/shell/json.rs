//! Answers as JSON. Main types: [`Json`], one object per statement, and [`Ndjson`], one per row.
//!
//! ```json
//! {"columns":[{"name":"people","type":"Int64"}],
//!  "rows":[{"people":{"value":1234,"status":"partial","lower":1234,"upper":1243}}],
//!  "coverage":{"statement_id":"…","nodes":[…],"notices":[]}}
//! ```
//!
//! A column that can be withheld has objects as cells, any other plain values. Integers are numbers
//! with all their digits, decimals are strings, NaN and infinities are null.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use serde_json::Value;

use super::columns::{Cell, Layout, VisibleColumn};
use super::legend::coverage_lines;
use super::render::{RenderError, Renderer, Summary};

/// Writes one answer as one object.
#[derive(Debug)]
pub(crate) struct Json {
    rows: Rows,
    any: bool,
}

/// Writes one answer as an object per line.
#[derive(Debug)]
pub(crate) struct Ndjson {
    rows: Rows,
}

impl Json {
    /// Writes the columns.
    pub(crate) fn begin(layout: Layout, out: &mut dyn Write) -> Result<Self, RenderError> {
        let rows = Rows::new(layout);
        let columns = rows.layout.columns.iter().zip(&rows.names).map(|(column, name)| {
            let kind = Value::from(column.data_type.to_string());
            format!("{{\"name\":{name},\"type\":{kind}}}")
        });
        write!(out, "{{\"columns\":[{}],\n \"rows\":[", columns.collect::<Vec<_>>().join(","))?;
        Ok(Self { rows, any: false })
    }
}

impl Renderer for Json {
    fn batch(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> Result<(), RenderError> {
        for row in self.rows.objects(batch)? {
            let separator = if std::mem::replace(&mut self.any, true) { "," } else { "" };
            write!(out, "{separator}\n  {row}")?;
        }
        Ok(())
    }

    fn finish(
        &mut self,
        summary: &Summary,
        out: &mut dyn Write,
        _notes: &mut dyn Write,
    ) -> Result<(), RenderError> {
        let coverage = serde_json::to_string(&summary.coverage).map_err(std::io::Error::from)?;
        writeln!(out, "],\n \"coverage\":{coverage}}}")?;
        Ok(())
    }
}

impl Ndjson {
    /// An answer with nothing written yet.
    pub(crate) fn new(layout: Layout) -> Self {
        Self { rows: Rows::new(layout) }
    }
}

impl Renderer for Ndjson {
    fn batch(&mut self, batch: &RecordBatch, out: &mut dyn Write) -> Result<(), RenderError> {
        for row in self.rows.objects(batch)? {
            writeln!(out, "{row}")?;
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

/// Turns rows into the text of JSON objects, members in the order of the columns.
#[derive(Debug)]
struct Rows {
    layout: Layout,
    /// Quoted member names, made unique.
    names: Vec<String>,
}

impl Rows {
    fn new(layout: Layout) -> Self {
        let mut taken: Vec<String> = vec![];
        for column in &layout.columns {
            let mut name = column.name.clone();
            let mut number = 2;
            while taken.contains(&name) {
                name = format!("{}_{number}", column.name);
                number += 1;
            }
            taken.push(name);
        }
        let names = taken.into_iter().map(|name| Value::from(name).to_string()).collect();
        Self { layout, names }
    }

    fn objects(&self, batch: &RecordBatch) -> Result<Vec<String>, RenderError> {
        Ok(self.layout.rows(batch)?.iter().map(|row| self.object(row)).collect())
    }

    fn object(&self, row: &[Cell]) -> String {
        let members = self.names.iter().zip(&self.layout.columns).zip(row);
        let members =
            members.map(|((name, column), cell)| format!("{name}:{}", member(column, cell)));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }
}

fn member(column: &VisibleColumn, cell: &Cell) -> String {
    let value = json(&cell.value, &column.data_type);
    if column.companions.is_none() {
        return value;
    }
    let status = cell.status.word().map_or(Value::Null, Value::from);
    let [lower, upper] = [&cell.lower, &cell.upper].map(|bound| json(bound, &column.data_type));
    format!("{{\"value\":{value},\"status\":{status},\"lower\":{lower},\"upper\":{upper}}}")
}

/// The exact text of a value as JSON.
fn json(text: &Option<String>, data_type: &DataType) -> String {
    let Some(text) = text else { return "null".to_owned() };
    if data_type.is_floating() {
        let number = text.parse().ok().and_then(serde_json::Number::from_f64);
        return number.map_or_else(|| "null".to_owned(), |number| number.to_string());
    }
    if data_type.is_integer() || *data_type == DataType::Boolean {
        return text.clone();
    }
    Value::from(text.as_str()).to_string()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test")]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Decimal128Array, Float64Array, Int64Array};
    use arrow::datatypes::Field;

    use super::super::Format;
    use super::super::render::TableOptions;
    use super::super::samples::{self, render};
    use super::*;

    #[test]
    fn cells_carry_status_and_bounds() {
        let summary = Summary { coverage: Some(samples::complete()), elapsed: None };
        let (out, notes) =
            render(Format::Json, TableOptions::default(), &samples::people(), &summary);
        let parsed: Value = serde_json::from_str(&out).unwrap();
        let cell = |value: Value, status, lower: Value, upper: Value| serde_json::json!({"value": value, "status": status, "lower": lower, "upper": upper});
        let rows = &parsed["rows"];
        assert_eq!(rows[1]["sex"], "male, \"or\" so");
        assert_eq!(rows[1]["people"], cell(1234.into(), "partial", 1234.into(), 1243.into()));
        assert_eq!(rows[2]["people"], cell(Value::Null, "withheld", 0.into(), 9.into()));
        assert_eq!(rows[3]["people"]["status"], Value::Null);
        assert_eq!(parsed["coverage"]["nodes"][0]["organisation"], "northmoor");
        assert_eq!(notes, "");
    }

    #[test]
    fn numbers_stay_exact() {
        let amounts = Decimal128Array::from(vec![12345]).with_precision_and_scale(10, 2).unwrap();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("n", Arc::new(Int64Array::from(vec![i64::MAX]))),
            ("amount", Arc::new(amounts)),
            ("x", Arc::new(Float64Array::from(vec![f64::NAN]))),
            ("n", Arc::new(Float64Array::from(vec![0.1]))),
        ];
        let fields = columns
            .into_iter()
            .map(|(name, array)| (Field::new(name, array.data_type().clone(), true), array));
        let batch = samples::batch(fields.collect());
        let (out, _) = render(Format::Ndjson, TableOptions::default(), &batch, &Summary::default());
        assert_eq!(
            out,
            "{\"n\":9223372036854775807,\"amount\":\"123.45\",\"x\":null,\"n_2\":0.1}\n"
        );
    }
}
