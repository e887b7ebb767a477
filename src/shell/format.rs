//! The forms an answer can be printed in. Main type: [`Format`].

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns for people, with marks, legend and coverage.
    #[default]
    Table,
    /// RFC 4180 with a header line; `NAME_status`, `NAME_lower` and `NAME_upper` columns at the end
    /// for every column that can be withheld; coverage on standard error.
    Csv,
    /// One object per statement: `columns`, `rows`, `coverage`; decimals are strings, to stay exact.
    Json,
    /// One JSON object per row and line; coverage on standard error.
    Ndjson,
}
