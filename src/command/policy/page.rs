//! Headings and labelled entries of a page of text. Main type: [`Page`].

use std::io::{self, Write};

/// Width of a line.
const WIDTH: usize = 96;
/// Width of the label of an entry with the space behind it.
const LABEL: usize = 24;

/// Writes a page, line by line.
pub(super) struct Page<'a> {
    out: &'a mut dyn Write,
}

impl<'a> Page<'a> {
    /// Begins a page.
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Self { out }
    }

    /// A line of its own, with an empty one before it.
    pub(super) fn heading(&mut self, words: &str) -> io::Result<()> {
        writeln!(self.out, "\n{words}")
    }

    /// A line as it is.
    pub(super) fn line(&mut self, words: &str) -> io::Result<()> {
        writeln!(self.out, "{words}")
    }

    /// A label and what is said of it, over as many lines as that takes.
    pub(super) fn entry(&mut self, label: &str, words: &str) -> io::Result<()> {
        let mut line = format!("  {label:<width$}", width = LABEL - 2);
        let mut used = LABEL;
        for (index, word) in words.split_whitespace().enumerate() {
            let letters = word.chars().count();
            if index > 0 && used + 1 + letters > WIDTH {
                writeln!(self.out, "{}", line.trim_end())?;
                line = " ".repeat(LABEL);
                used = LABEL;
            } else if index > 0 {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += letters;
        }
        writeln!(self.out, "{}", line.trim_end())
    }

    /// A label and a list of names; `none` where it is empty.
    pub(super) fn names(&mut self, label: &str, names: &[String]) -> io::Result<()> {
        match names {
            [] => self.entry(label, "none"),
            names => self.entry(label, &names.join(", ")),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use super::*;

    #[test]
    fn long_entries_are_broken_between_words() {
        let mut out = vec![];
        let mut page = Page::new(&mut out);
        page.entry("label", &"word ".repeat(40)).unwrap();
        page.names("empty", &[]).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.lines().all(|line| line.len() <= WIDTH && line == line.trim_end()), "{text}");
        assert_eq!(text.matches("word").count(), 40);
        assert!(text.ends_with("  empty                 none\n"), "{text}");
    }
}
