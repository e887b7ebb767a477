//! The line editor: prompt, completion, colours, and when a statement is complete.
//!
//! Main entry: [`editor`].

use std::borrow::Cow;

use reedline::{
    Color, ColumnarMenu, Completer, CompletionResult, Emacs, FileBackedHistory, Highlighter,
    KeyCode, KeyModifiers, MenuBuilder, Prompt, PromptEditMode, PromptHistorySearch,
    PromptHistorySearchStatus, Reedline, ReedlineEvent, ReedlineMenu, Span, StyledText, Suggestion,
    ValidationResult, Validator, default_emacs_keybindings,
};

use super::meta;
use super::splitter::Splitter;

const MENU: &str = "completion";

const KEYWORDS: [&str; 63] = [
    "ALL",
    "AND",
    "AS",
    "ASC",
    "AVG",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "COUNT",
    "CROSS",
    "CUBE",
    "CURRENT_DATE",
    "DATE",
    "DATE_TRUNC",
    "DESC",
    "DISTINCT",
    "ELSE",
    "END",
    "EXISTS",
    "EXPLAIN",
    "EXTRACT",
    "FALSE",
    "FILTER",
    "FROM",
    "FULL",
    "GROUP",
    "GROUPING SETS",
    "HAVING",
    "IN",
    "INNER",
    "INTERVAL",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "MAX",
    "MIN",
    "NOT",
    "NULL",
    "NULLS",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OVER",
    "PARTITION",
    "RIGHT",
    "ROLLUP",
    "SELECT",
    "SET",
    "SHOW",
    "STDDEV",
    "SUM",
    "THEN",
    "TRUE",
    "UNION",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WITH",
];

/// Makes the editor; `names` are the tables and columns to complete.
pub(crate) fn editor(names: Vec<String>, history: Option<FileBackedHistory>) -> Reedline {
    let mut keys = default_emacs_keybindings();
    let open_menu = ReedlineEvent::Menu(MENU.to_owned());
    keys.add_binding(
        KeyModifiers::NONE,
        KeyCode::Tab,
        ReedlineEvent::UntilFound(vec![open_menu, ReedlineEvent::MenuNext]),
    );
    let menu = ReedlineMenu::EngineCompleter(Box::new(ColumnarMenu::default().with_name(MENU)));
    let editor = Reedline::create()
        .with_edit_mode(Box::new(Emacs::new(keys)))
        .with_completer(Box::new(Names { names }))
        .with_menu(menu)
        .with_partial_completions(true)
        .with_highlighter(Box::new(Colours))
        .with_validator(Box::new(WholeStatements))
        .use_bracketed_paste(true)
        .with_history_exclusion_prefix(Some(" ".to_owned()));
    match history {
        Some(history) => editor.with_history(Box::new(history)),
        None => editor,
    }
}

/// Enter ends the input only when every statement in it is complete.
struct WholeStatements;

impl Validator for WholeStatements {
    fn validate(&self, line: &str) -> ValidationResult {
        if is_complete(line) { ValidationResult::Complete } else { ValidationResult::Incomplete }
    }
}

fn is_complete(text: &str) -> bool {
    let mut splitter = Splitter::default();
    splitter.push_text(text);
    splitter.is_blank() || is_goodbye(text)
}

/// Whether the text is `quit` or `exit`, as people type it in other shells.
pub(crate) fn is_goodbye(text: &str) -> bool {
    matches!(text.trim().trim_end_matches(';').to_ascii_lowercase().as_str(), "quit" | "exit")
}

/// Completes backslash commands, keywords, tables and columns.
struct Names {
    names: Vec<String>,
}

impl Completer for Names {
    fn complete(&mut self, line: &str, pos: usize) -> CompletionResult {
        let before = line.get(..pos).unwrap_or(line);
        let start = before
            .rfind(|letter: char| !letter.is_alphanumeric() && !matches!(letter, '_' | '.' | '\\'))
            .map_or(0, |at| {
                at + before.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
            });
        let word = before.get(start..).unwrap_or_default();
        let suggestions: Vec<Suggestion> = self
            .matching(word)
            .into_iter()
            .map(|value| Suggestion {
                value,
                span: Span { start, end: before.len() },
                append_whitespace: true,
                ..Suggestion::default()
            })
            .collect();
        CompletionResult::fresh(suggestions)
    }
}

impl Names {
    fn matching(&self, word: &str) -> Vec<String> {
        if word.starts_with('\\') {
            let commands = meta::NAMES.iter().filter(|name| name.starts_with(word));
            return commands.map(|name| (*name).to_owned()).collect();
        }
        if word.is_empty() {
            return vec![];
        }
        let folded = word.to_lowercase();
        let names = self.names.iter().filter(|name| name.to_lowercase().starts_with(&folded));
        let keywords =
            KEYWORDS.iter().filter(|keyword| keyword.to_lowercase().starts_with(&folded));
        let lower = word.starts_with(char::is_lowercase);
        let keywords = keywords
            .map(|keyword| if lower { keyword.to_lowercase() } else { (*keyword).to_owned() });
        names.cloned().chain(keywords).collect()
    }
}

/// Keywords bold, texts green.
struct Colours;

impl Highlighter for Colours {
    fn highlight(&self, line: &str, _cursor: usize) -> StyledText {
        let mut styled = StyledText::new();
        let mut rest = line;
        while let Some(first) = rest.chars().next() {
            let length = piece_length(rest, first);
            let (piece, after) = rest.split_at(length);
            let style = match first {
                '\'' => Color::Green.normal(),
                _ if KEYWORDS.contains(&piece.to_uppercase().as_str()) => Color::Default.bold(),
                _ => Color::Default.normal(),
            };
            styled.push((style, piece.to_owned()));
            rest = after;
        }
        styled
    }
}

/// Length of the word, the quoted text or the single letter that begins here.
fn piece_length(text: &str, first: char) -> usize {
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    if first == '\'' {
        return text.get(1..).and_then(|rest| rest.find('\'')).map_or(text.len(), |at| at + 2);
    }
    if is_word(first) {
        return text.find(|letter| !is_word(letter)).unwrap_or(text.len());
    }
    first.len_utf8()
}

/// `hedgerow> `, and `      ... ` for further lines.
pub(crate) struct ShellPrompt;

impl Prompt for ShellPrompt {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Borrowed("hedgerow")
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_indicator(&self, _mode: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed("> ")
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed("     ... ")
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        let failing = match search.status {
            PromptHistorySearchStatus::Passing => "",
            PromptHistorySearchStatus::Failing => "failing ",
        };
        Cow::Owned(format!("({failing}search: {}) ", search.term))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_complete_at_its_semicolon() {
        for complete in ["", "SELECT 1;", "\\d person", "-- only a comment", "quit", "EXIT;"] {
            assert!(is_complete(complete), "{complete}");
        }
        for open in ["SELECT 1", "SELECT ';", "SELECT 1; SELECT"] {
            assert!(!is_complete(open), "{open}");
        }
    }

    #[test]
    fn completion_knows_names_keywords_and_commands() {
        let mut names = Names { names: vec!["referral_pathway".to_owned()] };
        let mut complete = |line: &str| -> Vec<(String, usize)> {
            let result = names.complete(line, line.len());
            result.suggestions().iter().map(|one| (one.value.clone(), one.span.start)).collect()
        };
        assert_eq!(complete("SELECT é, ref"), [("referral_pathway".to_owned(), 11)]);
        assert_eq!(complete("sel"), [("select".to_owned(), 0)]);
        assert_eq!(complete("\\no"), [("\\nodes".to_owned(), 0)]);
        assert_eq!(complete("SELECT "), []);
    }

    #[test]
    fn colours_keep_the_text() {
        let line = "SELECT 'it''s', \"é\" FROM t;";
        let styled = Colours.highlight(line, 0);
        let text: String = styled.buffer.iter().map(|(_, piece)| piece.as_str()).collect();
        assert_eq!(text, line);
    }
}
