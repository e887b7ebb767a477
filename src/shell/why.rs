//! What `\why` says: the rule behind a refusal, or what the marks of an answer mean. Main type:
//! [`Last`].
//!
//! Nothing here speaks of one cell: why a cell is withheld is told to nobody.

use std::io::{self, Write};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::UInt8Type;
use hedgerow_engine::WireError;
use hedgerow_policies::Rule;

use super::columns::{COMPANION, COMPANION_OF};
use super::legend::WITHHELD;
use super::text::visible;

/// What became of the last statement, as far as there is something to explain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Last {
    /// It was answered in full, failed for another reason, or there was none.
    #[default]
    Nothing,
    /// A disclosure rule turned it down.
    Refused(WireError),
    /// Some of its cells carry a mark.
    Marked(Seen),
}

/// Which marks are in an answer, whether they were drawn or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    partial: bool,
    withheld: bool,
}

impl Seen {
    /// Takes the marks of one more batch.
    pub(crate) fn batch(&mut self, batch: &RecordBatch) {
        let schema = batch.schema();
        for (field, column) in schema.fields().iter().zip(batch.columns()) {
            let metadata = field.metadata();
            let kind = metadata.get(COMPANION).filter(|_| metadata.contains_key(COMPANION_OF));
            if kind.is_some_and(|kind| kind == "status")
                && let Some(statuses) = column.as_primitive_opt::<UInt8Type>()
            {
                self.statuses(statuses.iter().flatten());
            }
        }
    }

    fn statuses(&mut self, statuses: impl Iterator<Item = u8>) {
        for status in statuses {
            self.partial |= status == 1;
            self.withheld |= status > 1;
        }
    }
}

impl From<Seen> for Last {
    fn from(seen: Seen) -> Self {
        if seen == Seen::default() { Self::Nothing } else { Self::Marked(seen) }
    }
}

impl From<&WireError> for Last {
    fn from(error: &WireError) -> Self {
        if error.rule.is_some() { Self::Refused(error.clone()) } else { Self::Nothing }
    }
}

impl Last {
    /// Prints the explanation.
    ///
    /// # Errors
    /// When `out` does not take it.
    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Nothing => writeln!(
                out,
                "nothing to explain: no rule turned the last statement down, and no cell of its \
                 answer is withheld or partial"
            ),
            Self::Refused(error) => write_refusal(error, out),
            Self::Marked(seen) => write_marks(*seen, out),
        }
    }
}

fn write_refusal(error: &WireError, out: &mut dyn Write) -> io::Result<()> {
    let id = error.rule.as_deref().unwrap_or_default();
    let rule = Rule::from_id(id).map_or(
        "This program does not know the rule; the server may be of a later version.",
        Rule::explanation,
    );
    writeln!(out, "refused by rule {}", visible(id))?;
    writeln!(out, "  the rule: {rule}")?;
    writeln!(out, "  here: {}", visible(&error.message))?;
    if let Some(organisation) = &error.organisation {
        writeln!(out, "  at: {}", visible(organisation))?;
    }
    if let Some(hint) = &error.hint {
        writeln!(out, "  write instead: {}", visible(hint))?;
    }
    Ok(())
}

fn write_marks(seen: Seen, out: &mut dyn Write) -> io::Result<()> {
    if seen.withheld {
        writeln!(
            out,
            "{WITHHELD} in place of a value: no organisation released its part of this cell."
        )?;
    }
    if seen.partial {
        writeln!(
            out,
            "{WITHHELD} behind a value, or at the head of its column: the value has in it what was \
             released; some organisation may have withheld its part. Bounds are given where they \
             are known."
        )?;
    }
    writeln!(
        out,
        "An organisation withholds a cell that its own rules do not let go: of too few people, and, \
         where its policy says so, one that leaves too few people out or is made up nearly \
         whole by a few of them. Cells of which one would tell the other go together, and a group \
         of too few people is left out with its key."
    )?;
    writeln!(
        out,
        "Which rule withheld a cell, and at which organisation, is told to nobody. Ask for fewer or \
         wider groups to have fewer marks; `\\policy` shows each organisation's rules."
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use super::super::samples;
    use super::*;

    fn told(last: &Last) -> String {
        let mut out = vec![];
        last.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn refusal(rule: Option<&str>) -> WireError {
        WireError {
            sqlstate: "42501".to_owned(),
            rule: rule.map(str::to_owned),
            message: "`number` may not be compared with a value".to_owned(),
            hint: Some("filter on a dimension".to_owned()),
            organisation: Some("northmoor".to_owned()),
        }
    }

    #[test]
    fn refusals_are_explained_by_their_rule() {
        let words = told(&Last::from(&refusal(Some("S4.literal"))));
        assert!(words.starts_with("refused by rule S4.literal\n"), "{words}");
        for part in [Rule::S4Literal.explanation(), "here: `number`", "northmoor", "a dimension"] {
            assert!(words.contains(part), "{words}");
        }
        assert!(told(&Last::from(&refusal(Some("S99.new")))).contains("later version"));
    }

    #[test]
    fn other_errors_leave_nothing_to_explain() {
        let last = Last::from(&refusal(None));
        assert_eq!(last, Last::Nothing);
        assert!(told(&last).starts_with("nothing to explain"));
    }

    #[test]
    fn marks_are_explained_and_no_cell_is() {
        let mut seen = Seen::default();
        assert_eq!(Last::from(seen), Last::Nothing);
        seen.batch(&samples::all_partial());
        assert_eq!(seen, Seen { partial: true, withheld: false });
        assert!(!told(&Last::from(seen)).contains("in place of a value"));
        seen.batch(&samples::people());
        assert_eq!(seen, Seen { partial: true, withheld: true });
        let words = told(&Last::from(seen));
        assert!(words.contains("in place of a value"), "{words}");
        assert!(words.contains("told to nobody"), "{words}");
    }
}
