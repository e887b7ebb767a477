//! How a failed statement is shown: code, rule, hint, organisation, place.

use std::io::{self, Write};

use hedgerow_engine::WireError;

use super::text::{visible, width};

/// Prints an error, and the line it points at where the message has a position.
///
/// ```text
/// ERROR 42501 (S4.literal): column `age` may not be compared with a literal
///   hint: compare a column that has the role `dimension`
///   organisation: northmoor
/// ```
///
/// # Errors
/// When `out` does not take it.
pub fn write_problem(error: &WireError, statement: &str, out: &mut dyn Write) -> io::Result<()> {
    let rule = error.rule.as_ref().map(|rule| format!(" ({rule})")).unwrap_or_default();
    writeln!(out, "ERROR {}{rule}: {}", error.sqlstate, visible(&error.message))?;
    if let Some((line, column)) = position(&error.message) {
        write_place(statement, line, column, out)?;
    }
    if let Some(hint) = &error.hint {
        writeln!(out, "  hint: {}", visible(hint))?;
    }
    if let Some(organisation) = &error.organisation {
        writeln!(out, "  organisation: {}", visible(organisation))?;
    }
    Ok(())
}

/// Line and column, both from 1, out of `at Line: X, Column: Y`.
fn position(message: &str) -> Option<(usize, usize)> {
    let (_, after) = message.split_once("at Line: ")?;
    let (line, after) = after.split_once(", Column: ")?;
    let digits = after.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(after.len());
    Some((line.parse().ok()?, after.get(..digits)?.parse().ok()?))
}

fn write_place(statement: &str, line: usize, column: usize, out: &mut dyn Write) -> io::Result<()> {
    let Some(text) = line.checked_sub(1).and_then(|index| statement.lines().nth(index)) else {
        return Ok(());
    };
    let text = text.replace('\t', " ");
    let before: String = text.chars().take(column.saturating_sub(1)).collect();
    let label = format!("LINE {line}: ");
    writeln!(out, "{label}{}", visible(&text))?;
    writeln!(out, "{}^", " ".repeat(label.len() + width(&before)))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use super::*;

    fn shown(error: &WireError, statement: &str) -> String {
        let mut out = vec![];
        write_problem(error, statement, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn refusals_name_rule_hint_and_organisation() {
        let error = WireError {
            sqlstate: "42501".to_owned(),
            rule: Some("S4.literal".to_owned()),
            message: "no".to_owned(),
            hint: Some("write something else".to_owned()),
            organisation: Some("northmoor".to_owned()),
        };
        assert_eq!(
            shown(&error, ""),
            "ERROR 42501 (S4.literal): no\n  hint: write something else\n  organisation: northmoor\n"
        );
    }

    #[test]
    fn syntax_errors_point_at_their_place() {
        let error = WireError {
            sqlstate: "42601".to_owned(),
            rule: None,
            message: "expected an expression, found: FORM at Line: 2, Column: 5".to_owned(),
            hint: None,
            organisation: None,
        };
        assert_eq!(
            shown(&error, "SELECT 1,\nwéx FORM t"),
            "ERROR 42601: expected an expression, found: FORM at Line: 2, Column: 5\n\
             LINE 2: wéx FORM t\n            ^\n"
        );
        assert!(!shown(&error, "SELECT").contains("LINE"));
    }
}
