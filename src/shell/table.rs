//! Answers as tables for people. Main type: [`Table`].
//!
//! A cell is a value and a mark behind it, aligned apart, so that numbers stay in line:
//!
//! ```text
//!  sex    | people
//! --------+-------------------
//!  female |  51234
//!  male   |   1234 [c] ≤ 1243
//! ```

use std::io::Write;

use arrow::array::RecordBatch;

use super::columns::{Cell, Layout, Status};
use super::legend::{Marks, WITHHELD, coverage_lines, legend_lines};
use super::render::{RenderError, Renderer, Summary, TableOptions};
use super::text::{NULL, cut, for_table, is_number, visible, width};

/// Collects rows up to a limit, counts the rest, and draws at the end.
#[derive(Debug)]
pub(crate) struct Table {
    layout: Layout,
    options: TableOptions,
    rows: Vec<Vec<Cell>>,
    rows_all: usize,
}

/// A cell as it is drawn.
#[derive(Debug, Clone, Default)]
struct Drawn {
    value: String,
    mark: String,
}

/// A column as it is drawn.
#[derive(Debug, Default)]
struct Column {
    head: String,
    right: bool,
    value_width: usize,
    mark_width: usize,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(layout: Layout, options: TableOptions) -> Self {
        Self { layout, options, rows: vec![], rows_all: 0 }
    }
}

impl Renderer for Table {
    fn batch(&mut self, batch: &RecordBatch, _out: &mut dyn Write) -> Result<(), RenderError> {
        self.rows_all += batch.num_rows();
        let room = self.options.rows_max.saturating_sub(self.rows.len());
        if room > 0 {
            let taken = batch.slice(0, batch.num_rows().min(room));
            self.rows.extend(self.layout.rows(&taken)?);
        }
        Ok(())
    }

    fn finish(
        &mut self,
        summary: &Summary,
        out: &mut dyn Write,
        _notes: &mut dyn Write,
    ) -> Result<(), RenderError> {
        let mut drawing = Drawing::new(&self.layout, &self.rows, self.options.width_max);
        drawing.measure();
        if self.options.expanded {
            drawing.write_expanded(out)?
        } else {
            drawing.write(out)?
        }
        for line in self.foot(&drawing, summary) {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }
}

impl Table {
    fn foot(&self, drawing: &Drawing, summary: &Summary) -> Vec<String> {
        let rows = if self.rows_all == 1 { "row" } else { "rows" };
        let mut count = format!("({} {rows}", self.rows_all);
        if let Some(elapsed) = summary.elapsed {
            count.push_str(&format!(", {:.3} s", elapsed.as_secs_f64()));
        }
        let mut lines = vec![format!("{count})")];
        if self.rows_all > self.rows.len() {
            lines.push(format!("note: only the first {} rows are shown", self.rows.len()));
        }
        if drawing.any_cut {
            lines
                .push("note: long values are cut at `…`; `--format csv` has them whole".to_owned());
        }
        lines.extend(legend_lines(drawing.marks, summary.coverage.as_ref()));
        lines.extend(summary.coverage.iter().flat_map(coverage_lines));
        lines
    }
}

/// Everything that is drawn, as text.
struct Drawing {
    columns: Vec<Column>,
    rows: Vec<Vec<Drawn>>,
    marks: Marks,
    any_cut: bool,
}

impl Drawing {
    fn new(layout: &Layout, rows: &[Vec<Cell>], width_max: usize) -> Self {
        let mut drawing = Self {
            columns: vec![],
            rows: vec![vec![]; rows.len()],
            marks: Marks::default(),
            any_cut: false,
        };
        for (index, column) in layout.columns.iter().enumerate() {
            let cells: Vec<&Cell> = rows.iter().filter_map(|row| row.get(index)).collect();
            let at_head = marked_at_head(&cells);
            let mut head = visible(&column.name);
            if at_head {
                head.push_str(&format!(" {WITHHELD}"));
                drawing.marks.at_head = true;
            }
            drawing.columns.push(Column {
                head,
                right: is_number(&column.data_type),
                ..Column::default()
            });
            for (cell, row) in cells.into_iter().zip(&mut drawing.rows) {
                let shown = |text: &String| for_table(text, &column.data_type);
                let mut drawn = draw(cell, at_head, &mut drawing.marks, shown);
                let (value, was_cut) = cut(std::mem::take(&mut drawn.value), width_max);
                drawing.any_cut |= was_cut;
                row.push(Drawn { value, ..drawn });
            }
        }
        drawing
    }

    fn measure(&mut self) {
        for (index, column) in self.columns.iter_mut().enumerate() {
            for cell in self.rows.iter().filter_map(|row| row.get(index)) {
                column.value_width = column.value_width.max(width(&cell.value));
                column.mark_width = column.mark_width.max(width(&cell.mark));
            }
            let body = column.value_width + column.mark_width;
            column.value_width += width(&column.head).saturating_sub(body);
        }
    }

    fn write(&self, out: &mut dyn Write) -> Result<(), RenderError> {
        let heads = self.columns.iter().map(|column| {
            pad(
                &column.head,
                column.value_width + column.mark_width,
                column.right && column.mark_width == 0,
            )
        });
        write_line(heads, "|", out)?;
        let rules =
            self.columns.iter().map(|column| "-".repeat(column.value_width + column.mark_width));
        writeln!(out, "-{}-", rules.collect::<Vec<_>>().join("-+-"))?;
        for row in &self.rows {
            let cells = row.iter().zip(&self.columns).map(|(cell, column)| {
                let value = pad(&cell.value, column.value_width, column.right);
                format!("{value}{}", pad(&cell.mark, column.mark_width, false))
            });
            write_line(cells, "|", out)?;
        }
        Ok(())
    }

    fn write_expanded(&self, out: &mut dyn Write) -> Result<(), RenderError> {
        let head_width = self.columns.iter().map(|column| width(&column.head)).max().unwrap_or(0);
        for (number, row) in self.rows.iter().enumerate() {
            writeln!(out, "-[ row {} ]-", number + 1)?;
            for (cell, column) in row.iter().zip(&self.columns) {
                let head = pad(&column.head, head_width, false);
                writeln!(out, "{head} | {}{}", cell.value, cell.mark)?;
            }
        }
        Ok(())
    }
}

/// Whether every value of a column is a part with no known upper bound: one mark says it all.
fn marked_at_head(cells: &[&Cell]) -> bool {
    let mut judged = cells.iter().filter(|cell| cell.status != Status::NotApplicable).peekable();
    judged.peek().is_some()
        && judged.all(|cell| {
            cell.status == Status::Partial && cell.value.is_some() && cell.upper.is_none()
        })
}

fn draw(cell: &Cell, at_head: bool, marks: &mut Marks, shown: impl Fn(&String) -> String) -> Drawn {
    let value = cell.value.as_ref().map_or_else(|| NULL.to_owned(), &shown);
    match cell.status {
        Status::NotApplicable | Status::Released => Drawn { value, mark: String::new() },
        Status::Withheld => {
            marks.withheld = true;
            Drawn { value: WITHHELD.to_owned(), mark: String::new() }
        }
        Status::Partial => {
            let at_least = cell.lower.is_some() && cell.lower == cell.value;
            marks.at_least |= at_least;
            marks.either_way |= !at_least;
            marks.behind |= !at_head;
            let mark = if at_head { String::new() } else { partial_mark(cell, &shown) };
            Drawn { value, mark }
        }
    }
}

/// ` [c]`, with the bounds that are known and say more than the value.
fn partial_mark(cell: &Cell, shown: impl Fn(&String) -> String) -> String {
    let bound = |bound: &Option<String>, sign: &str| match bound {
        Some(bound) if Some(bound) != cell.value.as_ref() => format!(" {sign} {}", shown(bound)),
        _ => String::new(),
    };
    format!(" {WITHHELD}{}{}", bound(&cell.lower, "≥"), bound(&cell.upper, "≤"))
}

fn pad(text: &str, to: usize, right: bool) -> String {
    let fill = " ".repeat(to.saturating_sub(width(text)));
    if right { format!("{fill}{text}") } else { format!("{text}{fill}") }
}

fn write_line(
    cells: impl Iterator<Item = String>,
    separator: &str,
    out: &mut dyn Write,
) -> Result<(), RenderError> {
    let line = cells.collect::<Vec<_>>().join(&format!(" {separator} "));
    writeln!(out, " {}", line.trim_end())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use arrow::array::{ArrayRef, Float64Array, StringArray};
    use arrow::datatypes::{DataType, Field};

    use super::super::Format;
    use super::super::samples::{self, render};
    use super::*;

    fn table(batch: &RecordBatch, options: TableOptions, summary: &Summary) -> String {
        render(Format::Table, options, batch, summary).0
    }

    #[test]
    fn marks_stand_behind_aligned_numbers() {
        let summary = Summary {
            coverage: Some(samples::complete()),
            elapsed: Some(Duration::from_millis(12)),
        };
        let out = table(&samples::people(), TableOptions::default(), &summary);
        let expected = "
 sex           | people
---------------+------------------
 female        | 51234
 male, \"or\" so |  1234 [c] ≤ 1243
               |   [c]
 NULL          |  NULL
(4 rows, 0.012 s)
[c]  withheld: fewer than 10 people at an organisation
[c] behind a number: a part may be withheld; the true value is at least this
2 of 2 organisations answered · policy primary_only, k = 10
";
        assert_eq!(out, expected.trim_start_matches('\n'));
    }

    #[test]
    fn a_wholly_partial_column_is_marked_once() {
        let out = table(&samples::all_partial(), TableOptions::default(), &Summary::default());
        let expected = "
 people [c]
------------
      51234
          7
(2 rows)
[c] at the head of a column: in every row a part may be withheld; the true value is at least this
";
        assert_eq!(out, expected.trim_start_matches('\n'));
    }

    #[test]
    fn long_tables_and_values_are_cut_with_a_note() {
        let words: ArrayRef = Arc::new(StringArray::from(vec!["abcdefgh", "b", "c"]));
        let ratios: ArrayRef = Arc::new(Float64Array::from(vec![0.5, 1.0 / 3.0, 2.0]));
        let batch = samples::batch(vec![
            (Field::new("word", DataType::Utf8, true), words),
            (Field::new("ratio", DataType::Float64, true), ratios),
        ]);
        let options = TableOptions { rows_max: 2, width_max: 5, expanded: false };
        let out = table(&batch, options, &Summary::default());
        assert!(out.contains(" abcd… |   0.5\n b     | 0.33…\n(3 rows)\n"), "{out}");
        assert!(out.contains("only the first 2 rows"), "{out}");
    }

    #[test]
    fn expanded_rows_have_a_line_per_value() {
        let options = TableOptions { expanded: true, ..TableOptions::default() };
        let out = table(&samples::people(), options, &Summary::default());
        assert!(
            out.starts_with("-[ row 1 ]-\nsex    | female\npeople | 51234\n-[ row 2 ]-\n"),
            "{out}"
        );
        assert!(out.contains("people | 1234 [c] ≤ 1243\n"), "{out}");
    }
}
