//! Splits text into statements at `;`, minding quotes, comments and dollar quotes.
//!
//! Main type: [`Splitter`]. It knows nothing else of SQL: what a statement means is the server's.

/// One thing to do, cut out of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A statement without its `;`.
    Statement(String),
    /// A line that begins with `\` where a statement could begin.
    Command(String),
}

/// Collects lines and gives out what is complete.
#[derive(Debug, Default)]
pub struct Splitter {
    pending: String,
}

impl Splitter {
    /// Adds one line and returns what became complete with it.
    pub fn push_line(&mut self, line: &str) -> Vec<Input> {
        if self.is_blank() && line.trim_start().starts_with('\\') {
            self.pending.clear();
            return vec![Input::Command(line.trim().to_owned())];
        }
        if !self.pending.is_empty() {
            self.pending.push('\n');
        }
        self.pending.push_str(line);
        self.take_complete()
    }

    /// Adds a text of several lines and returns what became complete with it.
    pub fn push_text(&mut self, text: &str) -> Vec<Input> {
        text.lines().flat_map(|line| self.push_line(line)).collect()
    }

    /// Ends the text: a last statement needs no `;`.
    pub fn finish(&mut self) -> Option<Input> {
        let rest = std::mem::take(&mut self.pending);
        statement(&rest)
    }

    /// Whether nothing but white space and comments waits for its `;`.
    pub fn is_blank(&self) -> bool {
        statement(&self.pending).is_none()
    }

    fn take_complete(&mut self) -> Vec<Input> {
        let mut complete = vec![];
        while let Some(end) = statement_end(&self.pending) {
            let rest = self.pending.split_off(end);
            let text = std::mem::replace(&mut self.pending, rest);
            complete.extend(statement(text.strip_suffix(';').unwrap_or(&text)));
        }
        complete
    }
}

/// The text as a statement, unless there is nothing but white space and comments in it.
fn statement(text: &str) -> Option<Input> {
    let mut scan = Scan { rest: text };
    while let Some(piece) = scan.next_piece() {
        match piece {
            Piece::Comment => {}
            Piece::Other(letter) if letter.is_whitespace() => {}
            Piece::Quoted | Piece::End | Piece::Other(_) => {
                return Some(Input::Statement(text.trim().to_owned()));
            }
        }
    }
    None
}

/// The byte after the first `;` that ends a statement.
fn statement_end(text: &str) -> Option<usize> {
    let mut scan = Scan { rest: text };
    while let Some(piece) = scan.next_piece() {
        if piece == Piece::End {
            return Some(text.len() - scan.rest.len());
        }
    }
    None
}

/// What the scanner steps over at once.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Comment,
    Quoted,
    End,
    Other(char),
}

struct Scan<'a> {
    rest: &'a str,
}

impl Scan<'_> {
    fn next_piece(&mut self) -> Option<Piece> {
        let first = self.rest.chars().next()?;
        let (length, piece) = match first {
            ';' => (1, Piece::End),
            '\'' => (quoted(self.rest, '\'', false), Piece::Quoted),
            '"' => (quoted(self.rest, '"', false), Piece::Quoted),
            '-' if self.rest.starts_with("--") => {
                (self.rest.find('\n').unwrap_or(self.rest.len()), Piece::Comment)
            }
            '/' if self.rest.starts_with("/*") => (block_comment(self.rest), Piece::Comment),
            '$' => match dollar_quoted(self.rest) {
                Some(length) => (length, Piece::Quoted),
                None => (1, Piece::Other('$')),
            },
            _ if is_word(first) => (self.word(), Piece::Other(first)),
            _ => (first.len_utf8(), Piece::Other(first)),
        };
        self.rest = self.rest.get(length..).unwrap_or_default();
        Some(piece)
    }

    /// A word is stepped over whole, so that a `$` inside it starts no quote; `E'…'` takes
    /// backslashes.
    fn word(&self) -> usize {
        let length = self.rest.find(|letter| !is_word(letter) && letter != '$');
        let length = length.unwrap_or(self.rest.len());
        let (word, after) = self.rest.split_at(length);
        if word.eq_ignore_ascii_case("e") && after.starts_with('\'') {
            return length + quoted(after, '\'', true);
        }
        length
    }
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Length of a quoted text; a doubled quote stands for itself.
fn quoted(text: &str, quote: char, backslashes: bool) -> usize {
    let mut letters = text.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        if letter == quote && letters.next_if(|(_, next)| *next == quote).is_none() {
            return at + 1;
        }
        if backslashes && letter == '\\' {
            letters.next();
        }
    }
    text.len()
}

/// Length of a block comment; they nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0usize;
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match (letter, letters.peek()) {
            ('/', Some((_, '*'))) => {
                depth += 1;
                letters.next();
            }
            ('*', Some((_, '/'))) => {
                depth = depth.saturating_sub(1);
                letters.next();
                if depth == 0 {
                    return at + 2;
                }
            }
            _ => {}
        }
    }
    text.len()
}

/// Length of `$tag$ … $tag$`, if that is what begins here.
fn dollar_quoted(text: &str) -> Option<usize> {
    let tag = text.get(1..)?.find('$').and_then(|end| text.get(..end + 2))?;
    let name = tag.trim_matches('$');
    if !name.chars().all(is_word) || name.starts_with(|letter: char| letter.is_numeric()) {
        return None;
    }
    let body = text.get(tag.len()..)?;
    Some(body.find(tag).map_or(text.len(), |at| tag.len() + at + tag.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<Input> {
        let mut splitter = Splitter::default();
        let mut inputs = splitter.push_text(text);
        inputs.extend(splitter.finish());
        inputs
    }

    fn statements(texts: &[&str]) -> Vec<Input> {
        texts.iter().map(|text| Input::Statement((*text).to_owned())).collect()
    }

    #[test]
    fn semicolons_end_statements() {
        assert_eq!(
            all("SELECT 1; SELECT\n 2;SELECT 3"),
            statements(&["SELECT 1", "SELECT\n 2", "SELECT 3"])
        );
        assert_eq!(all(" ;; -- nothing\n/* at all */ ;\n"), vec![]);
    }

    #[test]
    fn quotes_hide_semicolons() {
        assert_eq!(
            all("SELECT 'a;''b;', \"c;\"\"d\"; x"),
            statements(&["SELECT 'a;''b;', \"c;\"\"d\"", "x"])
        );
        assert_eq!(all("SELECT E'a\\';b'; x"), statements(&["SELECT E'a\\';b'", "x"]));
        assert_eq!(all("SELECT E'a''\\';b'; x"), statements(&["SELECT E'a''\\';b'", "x"]));
        assert_eq!(all("SELECT 'a\\'; x"), statements(&["SELECT 'a\\'", "x"]));
        assert_eq!(all("SELECT 'né;é'; x"), statements(&["SELECT 'né;é'", "x"]));
    }

    #[test]
    fn comments_hide_semicolons_and_quotes() {
        assert_eq!(
            all("SELECT 1 -- it's; here\n+ 2; x"),
            statements(&["SELECT 1 -- it's; here\n+ 2", "x"])
        );
        assert_eq!(
            all("SELECT /* a /* b; */ ' */ 1; x"),
            statements(&["SELECT /* a /* b; */ ' */ 1", "x"])
        );
    }

    #[test]
    fn dollar_quotes_hide_semicolons() {
        assert_eq!(all("SELECT $$a;'b$$; x"), statements(&["SELECT $$a;'b$$", "x"]));
        assert_eq!(all("SELECT $t$a;$$;$t$; x"), statements(&["SELECT $t$a;$$;$t$", "x"]));
        assert_eq!(all("SELECT $1, $2; x"), statements(&["SELECT $1, $2", "x"]));
        assert_eq!(all("SELECT a$b; x$y"), statements(&["SELECT a$b", "x$y"]));
    }

    #[test]
    fn statements_span_lines() {
        let mut splitter = Splitter::default();
        assert_eq!(splitter.push_line("SELECT 'a"), vec![]);
        assert!(!splitter.is_blank());
        assert_eq!(splitter.push_line("\\b'"), vec![]);
        assert_eq!(splitter.push_line(";"), statements(&["SELECT 'a\n\\b'"]));
        assert!(splitter.is_blank());
    }

    #[test]
    fn commands_stand_where_statements_begin() {
        let mut splitter = Splitter::default();
        assert_eq!(
            splitter.push_line(" \\d person "),
            vec![Input::Command("\\d person".to_owned())]
        );
        assert_eq!(splitter.push_line("-- a comment"), vec![]);
        assert_eq!(splitter.push_line("\\q"), vec![Input::Command("\\q".to_owned())]);
    }
}
