//! Limits on a text, counted over its tokens before anything recurses over it.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use hedgerow_catalog::Limits;

use super::passed;
use crate::error::EngineError;

/// How many times more tokens a fragment may have than a statement: it repeats a condition for each
/// part of an aggregate.
const FRAGMENT_TOKENS_FACTOR: usize = 8;
/// How many times longer a chain in a fragment may be: casts and conditions are added to it.
const FRAGMENT_OPERATORS_FACTOR: usize = 2;

/// How large a text may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TextLimits {
    bytes_max: usize,
    tokens_max: usize,
    operators_max: usize,
}

impl TextLimits {
    /// Texts of our own making, which are as long as what they were made from allows.
    pub(crate) const OWN: Self =
        Self { bytes_max: usize::MAX, tokens_max: usize::MAX, operators_max: usize::MAX };

    /// What an analyst writes.
    pub(crate) fn of_statements(limits: &Limits) -> Self {
        Self {
            bytes_max: limits.statement_bytes_max,
            tokens_max: limits.statement_tokens_max,
            operators_max: limits.operators_max,
        }
    }

    /// What a coordinator writes.
    pub(crate) fn of_fragments(limits: &Limits) -> Self {
        Self {
            bytes_max: limits.statement_bytes_max,
            tokens_max: limits.statement_tokens_max.saturating_mul(FRAGMENT_TOKENS_FACTOR),
            operators_max: limits.operators_max.saturating_mul(FRAGMENT_OPERATORS_FACTOR),
        }
    }

    /// Checks a text.
    ///
    /// # Errors
    /// [`EngineError::Limit`] with the name of the limit that is passed.
    pub(crate) fn check(&self, text: &str) -> Result<(), EngineError> {
        if text.len() > self.bytes_max {
            return Err(passed("statement_bytes_max", text.len(), self.bytes_max));
        }
        if self.tokens_max == usize::MAX && self.operators_max == usize::MAX {
            return Ok(());
        }
        // What does not tokenize is left to the parser, which says where.
        let Ok(tokens) = Tokenizer::new(&GenericDialect {}, text).tokenize() else { return Ok(()) };
        let counted = tokens.iter().filter(|t| !matches!(t, Token::Whitespace(_))).count();
        if counted > self.tokens_max {
            return Err(passed("statement_tokens_max", counted, self.tokens_max));
        }
        let operators = longest_chain(&tokens);
        if operators > self.operators_max {
            return Err(passed("operators_max", operators, self.operators_max));
        }
        Ok(())
    }
}

/// What is counted of one pair of brackets.
#[derive(Default)]
struct Level {
    /// Operators since the last comma or clause.
    chain: usize,
    /// The deepest brackets since then.
    inner: usize,
    /// The longest chain before that, its brackets included.
    longest: usize,
    /// Set operations and joins: they chain across clauses.
    links: usize,
}

impl Level {
    fn end_chain(&mut self) {
        self.longest = self.longest.max(self.chain + self.inner);
        (self.chain, self.inner) = (0, 0);
    }

    fn depth(mut self) -> usize {
        self.end_chain();
        self.longest + self.links
    }
}

/// The most operators on one path of the syntax tree, or a few more: each adds a level to the tree
/// that every later step walks.
fn longest_chain(tokens: &[Token]) -> usize {
    let mut outer: Vec<Level> = vec![];
    let mut level = Level::default();
    for token in tokens {
        match token {
            Token::LParen | Token::LBracket => {
                if matches!(token, Token::LBracket) {
                    level.chain += 1;
                }
                outer.push(std::mem::take(&mut level));
            }
            Token::RParen | Token::RBracket => {
                if let Some(before) = outer.pop() {
                    let depth = std::mem::replace(&mut level, before).depth();
                    level.inner = level.inner.max(depth);
                }
            }
            token if links(token) => level.links += 1,
            token if is_operator(token) => level.chain += 1,
            token if ends_chain(token) => level.end_chain(),
            _ => {}
        }
    }
    // Brackets left open are the parser's to refuse; until then they count.
    outer.into_iter().map(Level::depth).sum::<usize>() + level.depth()
}

fn links(token: &Token) -> bool {
    let Token::Word(word) = token else { return false };
    matches!(word.keyword, Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT | Keyword::JOIN)
}

fn ends_chain(token: &Token) -> bool {
    match token {
        Token::Comma | Token::SemiColon => true,
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::SELECT
                | Keyword::FROM
                | Keyword::WHERE
                | Keyword::GROUP
                | Keyword::HAVING
                | Keyword::ORDER
                | Keyword::LIMIT
                | Keyword::VALUES
        ),
        _ => false,
    }
}

fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::IS
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::BETWEEN
                | Keyword::WHEN
        ),
        Token::Plus
        | Token::Minus
        | Token::Mul
        | Token::Div
        | Token::Mod
        | Token::StringConcat
        | Token::Eq
        | Token::DoubleEq
        | Token::Neq
        | Token::Lt
        | Token::LtEq
        | Token::Gt
        | Token::GtEq
        | Token::Pipe
        | Token::Ampersand
        | Token::Caret
        | Token::Sharp
        | Token::ShiftLeft
        | Token::ShiftRight
        | Token::Tilde
        | Token::DoubleColon
        | Token::Colon
        | Token::Arrow
        | Token::LongArrow => true,
        _ => false,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "test")]
mod tests {
    use super::*;

    fn chain(text: &str) -> usize {
        longest_chain(&Tokenizer::new(&GenericDialect {}, text).tokenize().unwrap())
    }

    fn limits() -> TextLimits {
        TextLimits { bytes_max: 40, tokens_max: 8, operators_max: 3 }
    }

    fn limit(text: &str) -> Option<(&'static str, u64, u64)> {
        match limits().check(text) {
            Err(EngineError::Limit { limit, value, maximum }) => Some((limit, value, maximum)),
            Ok(()) => None,
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn chains_are_counted_along_one_path() {
        assert_eq!(chain("SELECT 1"), 0);
        assert_eq!(chain("SELECT a + b + c, d + e"), 2);
        assert_eq!(chain("SELECT (a + b) + (c * d * e)"), 3);
        assert_eq!(chain("SELECT ((((a + b) + c) + d) + e)"), 4);
        assert_eq!(chain("SELECT a FROM t WHERE b = 1 AND c = 2"), 3);
        assert_eq!(chain("SELECT f(a + b, c + d + e)"), 2);
        assert_eq!(chain("SELECT 1 UNION SELECT 2 UNION SELECT 3"), 2);
        assert_eq!(chain("SELECT ((a + b"), 1);
        assert_eq!(chain("SELECT NOT NOT NOT a"), 3);
        assert_eq!(chain("SELECT a::INT::TEXT"), 2);
    }

    #[test]
    fn each_limit_holds_at_its_edge() {
        let padded = |bytes: usize| format!("SELECT 1{}", " ".repeat(bytes - 8));
        assert_eq!(limit(&padded(40)), None);
        assert_eq!(limit(&padded(41)), Some(("statement_bytes_max", 41, 40)));
        assert_eq!(limit("SELECT 1,1,1,1 x"), Some(("statement_tokens_max", 9, 8)));
        assert_eq!(limit("SELECT 1,1,1,1"), None);
        assert_eq!(limit("SELECT 1+1+1+1"), None);
        assert_eq!(limit("SELECT NOT(1+1)"), None);
        assert_eq!(limit("SELECT- - - -1"), Some(("operators_max", 4, 3)));
    }
}
