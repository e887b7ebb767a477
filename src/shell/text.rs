//! Cell texts for the eye: shortened numbers, visible control characters, display width.

use arrow::datatypes::DataType;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Decimals of a floating-point number in a table.
const DECIMALS_MAX: usize = 6;

/// How NULL looks in a table.
pub(crate) const NULL: &str = "NULL";

/// Whether values of this type are numbers, and so stand at the right.
pub(crate) fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

/// A value as a table shows it. `exact` is the value's exact text.
pub(crate) fn for_table(exact: &str, data_type: &DataType) -> String {
    if data_type.is_floating() {
        return exact.parse().map_or_else(|_| exact.to_owned(), short_float);
    }
    visible(exact)
}

/// A float with at most six decimals; very small and very large ones in powers of ten.
fn short_float(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return value.to_string();
    }
    if size != 0.0 && !(0.001..1e15).contains(&size) {
        return format!("{value:.5e}");
    }
    let text = format!("{value:.DECIMALS_MAX$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Makes control characters visible: a cell is one line and cannot steer the terminal.
pub(crate) fn visible(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    let escape = |letter: char| match letter.is_control() {
        true => letter.escape_default().to_string(),
        false => letter.to_string(),
    };
    text.chars().map(escape).collect()
}

/// Columns of the terminal that a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The text, cut with `…` to at most `width_max` columns.
pub(crate) fn cut(text: String, width_max: usize) -> (String, bool) {
    if width(&text) <= width_max {
        return (text, false);
    }
    let mut used = 1;
    let fits = |letter: &char| {
        used += letter.width().unwrap_or(0);
        used <= width_max
    };
    let mut short: String = text.chars().take_while(fits).collect();
    short.push('…');
    (short, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_short() {
        let shown = |value: f64| for_table(&value.to_string(), &DataType::Float64);
        assert_eq!(shown(1.0), "1");
        assert_eq!(shown(0.1 + 0.2), "0.3");
        assert_eq!(shown(-12.3456789), "-12.345679");
        assert_eq!(shown(0.0), "0");
        assert_eq!(shown(0.000012345678), "1.23457e-5");
        assert_eq!(shown(100.0), "100");
        assert_eq!(shown(f64::NAN), "NaN");
    }

    #[test]
    fn control_characters_are_visible() {
        assert_eq!(visible("a\nb\u{1b}[2J"), "a\\nb\\u{1b}[2J");
    }

    #[test]
    fn cutting_counts_columns() {
        assert_eq!(cut("abcdef".to_owned(), 4), ("abc…".to_owned(), true));
        assert_eq!(cut("日本語".to_owned(), 4), ("日…".to_owned(), true));
        assert_eq!(cut("abcd".to_owned(), 4), ("abcd".to_owned(), false));
    }
}
