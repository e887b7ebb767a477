//! Spells a block as SQL in one of many ways, as people write it.
//!
//! Independent of the emitter on purpose: parentheses only where precedence asks for them (and at
//! random), derived tables and CTEs, conditions in any place that means the same.

use std::collections::BTreeSet;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use hedgerow_policies::{
    AggregateFunction, BinaryOperator as B, Block, Expr, InlineTable, Join, Literal, Measure,
    OrderKey, Output, Relation, UnaryTest,
};
use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;

/// A spelling of a block.
pub(super) struct Spelled {
    pub(super) text: String,
    /// It must lower to the very block; otherwise to one that gives the same answer.
    pub(super) exactly: bool,
}

/// Spells a block.
pub(super) fn spell(block: &Block, random: &mut ChaCha8Rng) -> Spelled {
    let exactly = random.random_bool(0.7);
    let mut speller = Speller { random, exactly, aliases: vec![], ctes: vec![] };
    let text = speller.block(block);
    Spelled { text, exactly }
}

struct Speller<'a> {
    random: &'a mut ChaCha8Rng,
    exactly: bool,
    /// How relations are named, by position.
    aliases: Vec<String>,
    ctes: Vec<String>,
}

/// How tightly a text holds together; what holds less than its place asks for is parenthesised.
const OR: u8 = 5;
const AND: u8 = 10;
const NOT: u8 = 15;
const IS: u8 = 17;
const COMPARISON: u8 = 20;
const SUM: u8 = 30;
const PRODUCT: u8 = 40;
const MINUS: u8 = 45;
const ATOM: u8 = 100;

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn string(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl Speller<'_> {
    fn chance(&mut self, probability: f64) -> bool {
        self.random.random_bool(probability)
    }

    fn pick<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of.choose(self.random).unwrap()
    }

    fn word(&mut self, word: &str) -> String {
        if self.chance(0.5) { word.to_lowercase() } else { word.to_owned() }
    }

    /// Whether to say it in a way that lowers to something else.
    fn otherwise(&mut self) -> bool {
        !self.exactly && self.chance(0.5)
    }

    // ------------------------------------------------------------------------- blocks

    fn block(&mut self, block: &Block) -> String {
        for index in 0..block.from.len() {
            let name = self.pick(&["x", "\"Y y\"", "\"r1\"", "tab", "\"select\""]);
            let suffixed = match name.strip_suffix('"') {
                Some(open) => format!("{open}{index}\""),
                None => format!("{name}{index}"),
            };
            self.aliases.push(suffixed);
        }
        let mut left = block.filter.clone();
        left.shuffle(self.random);
        let from = self.from(block, &mut left);
        let condition = self.conjunction(&left);
        let place = match left.is_empty() {
            true => format!("{} {from}", self.word("FROM")),
            false => format!("{} {from} {} {condition}", self.word("FROM"), self.word("WHERE")),
        };
        let body = match &block.output {
            Output::Rows { columns, order, limit } => self.rows(columns, order, *limit, &place),
            Output::Groups { keys, measures } => self.groups(keys, measures, &place),
        };
        match self.ctes.is_empty() {
            true => body,
            false => format!("WITH {} {body}", self.ctes.join(", ")),
        }
    }

    /// Spells the relations; takes out of `filter` what it said there.
    fn from(&mut self, block: &Block, filter: &mut Vec<Expr>) -> String {
        let commas = self.chance(0.4)
            && block.from.iter().all(|relation| matches!(relation.join, Join::First | Join::Inner));
        let mut text = String::new();
        for (index, relation) in block.from.iter().enumerate() {
            match &relation.join {
                Join::First => text = self.relation(index, relation, filter),
                Join::Inner if commas => {
                    let table = self.relation(index, relation, filter);
                    text = format!("{text}, {table}");
                }
                Join::Inner => {
                    let table = self.relation(index, relation, filter);
                    let on = taken(filter, |e| {
                        e.relations().contains(&index) && e.relations().iter().all(|r| *r <= index)
                    });
                    text = if on.is_empty() {
                        format!("{text} CROSS JOIN {table}")
                    } else {
                        let join = self.pick(&["JOIN", "INNER JOIN", "join"]);
                        format!("{text} {join} {table} ON {}", self.conjunction(&on))
                    };
                }
                Join::Semi(on) | Join::Anti(on) => {
                    let mut on = on.clone();
                    on.shuffle(self.random);
                    let table = self.relation(index, relation, &mut on);
                    let on = match on.is_empty() {
                        true => self.word("TRUE"),
                        false => self.conjunction(&on),
                    };
                    let semi = matches!(relation.join, Join::Semi(_));
                    let join = self.word(if semi { "LEFT SEMI JOIN" } else { "LEFT ANTI JOIN" });
                    text = format!("{text} {join} {table} ON {on}");
                }
                Join::NotIn(_) => unreachable!("not drawn"),
                Join::Left(on) => {
                    let mut on = on.clone();
                    on.shuffle(self.random);
                    let table = self.relation(index, relation, &mut on);
                    let on = match on.is_empty() {
                        true => self.word("TRUE"),
                        false => self.conjunction(&on),
                    };
                    text = if index == 1 && self.chance(0.5) && !shares_a_name(block) {
                        format!("{table} RIGHT JOIN {text} ON {on}")
                    } else {
                        let join = self.pick(&["LEFT JOIN", "LEFT OUTER JOIN", "left join"]);
                        format!("{text} {join} {table} ON {on}")
                    };
                }
            }
        }
        text
    }

    /// A table, perhaps as a derived table or CTE that says some of its conditions itself.
    fn relation(&mut self, index: usize, from: &Relation, conditions: &mut Vec<Expr>) -> String {
        let name = self.aliases[index].clone();
        let (table, alias) = match from.inline() {
            None => (quoted(from.name()), name.clone()),
            Some(inline) => {
                let columns: Vec<String> =
                    (0..inline.columns.len()).map(InlineTable::column_name).collect();
                (self.values(inline), format!("{name} ({})", columns.join(", ")))
            }
        };
        if self.chance(0.6) {
            let word = self.pick(&["AS ", "as ", ""]);
            return format!("{table} {word}{alias}");
        }
        let inside = taken(conditions, |e| e.relations().into_iter().eq([index]));
        let mut derived = format!("SELECT * FROM {table} AS {alias}");
        if !inside.is_empty() {
            derived = format!("{derived} WHERE {}", self.conjunction(&inside));
        }
        if self.chance(0.5) {
            return format!("({derived}) AS {name}");
        }
        self.ctes.push(format!("with{index} AS ({derived})"));
        format!("with{index} AS {name}")
    }

    fn values(&mut self, inline: &InlineTable) -> String {
        let rows: Vec<String> = inline
            .rows
            .iter()
            .map(|row| {
                let values: Vec<String> = row.iter().map(|value| self.literal(value).0).collect();
                format!("({})", values.join(", "))
            })
            .collect();
        format!("({} {})", self.word("VALUES"), rows.join(", "))
    }

    fn rows(
        &mut self,
        columns: &[Expr],
        order: &[OrderKey],
        limit: Option<u64>,
        place: &str,
    ) -> String {
        let list: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(index, column)| {
                let text = self.expr(column, OR);
                format!("{text} {}o{index}", self.pick(&["AS ", "as ", ""]))
            })
            .collect();
        let mut text = format!("{} {} {place}", self.word("SELECT"), list.join(", "));
        if self.chance(0.3) {
            let outside: Vec<String> = (0..columns.len()).map(|i| format!("o.o{i}")).collect();
            text = format!("SELECT {} FROM ({text}) AS o", outside.join(", "));
        }
        if !order.is_empty() {
            let keys: Vec<String> = order
                .iter()
                .map(|key| {
                    let direction = if key.descending { "DESC" } else { "ASC" };
                    let nulls = if key.nulls_first { "NULLS FIRST" } else { "NULLS LAST" };
                    format!("o{} {} {}", key.column, self.word(direction), self.word(nulls))
                })
                .collect();
            text = format!("{text} {} {}", self.word("ORDER BY"), keys.join(", "));
        }
        match limit {
            Some(limit) => format!("{text} LIMIT {limit}"),
            None => text,
        }
    }

    fn groups(&mut self, keys: &[Expr], measures: &[Measure], place: &str) -> String {
        let keys_text: Vec<String> = keys.iter().map(|key| self.expr(key, OR)).collect();
        let mut list: Vec<String> =
            keys_text.iter().enumerate().map(|(i, key)| format!("{key} AS g{i}")).collect();
        if measures.is_empty() && self.chance(0.5) {
            return format!("SELECT DISTINCT {} {place}", list.join(", "));
        }
        for (index, measure) in measures.iter().enumerate() {
            let text = self.measure(measure);
            list.push(format!("{text} AS a{index}"));
        }
        let mut text = format!("{} {} {place}", self.word("SELECT"), list.join(", "));
        let by: Vec<String> = keys
            .iter()
            .zip(keys_text)
            .enumerate()
            .map(|(index, (key, text))| match key {
                // A constant would be read as a position.
                Expr::Literal(_) => (index + 1).to_string(),
                _ if self.chance(0.3) => (index + 1).to_string(),
                _ if self.chance(0.3) => format!("g{index}"),
                _ => text,
            })
            .collect();
        if !by.is_empty() {
            text = format!("{text} {} {}", self.word("GROUP BY"), by.join(", "));
        }
        text
    }

    fn measure(&mut self, measure: &Measure) -> String {
        let name = match (measure.function, self.chance(0.5)) {
            (AggregateFunction::Avg, true) => "mean",
            (AggregateFunction::VarSamp, true) => "var_samp",
            (AggregateFunction::StddevSamp, true) => "stddev_samp",
            (function, _) => function.name(),
        };
        let arguments: Vec<String> =
            measure.arguments.iter().map(|argument| self.expr(argument, OR)).collect();
        let arguments = match arguments.is_empty() {
            true => self.pick(&["*", "1", "'x'", "true"]).to_owned(),
            false => arguments.join(", "),
        };
        let distinct = if measure.distinct { "DISTINCT " } else { "" };
        let call = format!("{}({distinct}{arguments})", self.word(name));
        match &measure.condition {
            Some(condition) => format!("{call} FILTER (WHERE {})", self.expr(condition, OR)),
            None => call,
        }
    }

    fn conjunction(&mut self, conjuncts: &[Expr]) -> String {
        let texts: Vec<String> = conjuncts.iter().map(|e| self.expr(e, AND + 1)).collect();
        texts.join(&format!(" {} ", self.word("AND")))
    }

    // -------------------------------------------------------------------- expressions

    fn expr(&mut self, expr: &Expr, floor: u8) -> String {
        let (text, strength) = self.spelling(expr);
        if strength < floor || self.chance(0.1) { format!("({text})") } else { text }
    }

    fn spelling(&mut self, expr: &Expr) -> (String, u8) {
        match expr {
            Expr::Column { relation, name } => {
                (format!("{}.{}", self.aliases[*relation], quoted(name)), ATOM)
            }
            Expr::Organisation { relation } => {
                (format!("{}.organisation", self.aliases[*relation]), ATOM)
            }
            Expr::Literal(literal) => self.literal(literal),
            Expr::Parameter { .. } => unreachable!("not drawn"),
            Expr::And(list) => (self.chain(list, "AND", AND), AND),
            Expr::Or(list) => (self.chain(list, "OR", OR), OR),
            Expr::Not(operand) => {
                (format!("{} {}", self.word("NOT"), self.expr(operand, NOT)), NOT)
            }
            // `-5` is a constant; `-(5)` is a minus before one.
            Expr::Negative(operand) => match operand.as_ref() {
                Expr::Literal(_) => (format!("-({})", self.expr(operand, OR)), MINUS),
                _ => (format!("- {}", self.expr(operand, ATOM)), MINUS),
            },
            Expr::Is { operand, test, negated } => self.is(operand, *test, *negated),
            Expr::Binary { left, operator, right } => self.binary(left, *operator, right),
            Expr::Between { operand, negated, low, high } => {
                self.between(operand, *negated, low, high)
            }
            Expr::InList { operand, list, negated } => self.in_list(operand, list, *negated),
            Expr::Like { operand, pattern, escape, negated, case_insensitive } => {
                let word = if *case_insensitive { "ILIKE" } else { "LIKE" };
                let mut text = self.expr(pattern, SUM);
                if let Some(escape) = escape {
                    text = format!("{text} ESCAPE {}", string(&escape.to_string()));
                }
                let rest = format!("{} {text}", self.word(word));
                self.negatable(operand, *negated, &rest)
            }
            Expr::Case { operand, branches, otherwise } => {
                (self.case(operand.as_deref(), branches, otherwise.as_deref()), ATOM)
            }
            Expr::Cast { operand, to, or_null } => self.cast(operand, &to.0, *or_null),
            Expr::Function { name, arguments } => (self.function(name, arguments), ATOM),
            Expr::Window(_) => unreachable!("drawn and spelled by `windows`"),
        }
    }

    /// A list, or a list within the list.
    fn chain(&mut self, list: &[Expr], word: &str, strength: u8) -> String {
        let mut texts: Vec<String> = list.iter().map(|e| self.expr(e, strength + 1)).collect();
        while texts.len() > 2 && self.chance(0.4) {
            let at = self.random.random_range(0..texts.len() - 1);
            let second = texts.remove(at + 1);
            texts[at] = format!("({} {word} {second})", texts[at]);
        }
        texts.join(&format!(" {} ", self.word(word)))
    }

    fn is(&mut self, operand: &Expr, test: UnaryTest, negated: bool) -> (String, u8) {
        let test = match test {
            UnaryTest::Null => "NULL",
            UnaryTest::True => "TRUE",
            UnaryTest::False => "FALSE",
            UnaryTest::Unknown => "UNKNOWN",
        };
        let text = self.expr(operand, IS + 1);
        if negated && self.otherwise() {
            return (format!("NOT {text} IS {test}"), NOT);
        }
        let is = if negated { "IS NOT" } else { "IS" };
        (format!("{text} {} {}", self.word(is), self.word(test)), IS)
    }

    fn binary(&mut self, left: &Expr, operator: B, right: &Expr) -> (String, u8) {
        let (word, strength, left_floor, right_floor) = match operator {
            B::Equal => (self.pick(&["=", "="]), COMPARISON, SUM, SUM),
            B::NotEqual => (self.pick(&["<>", "!="]), COMPARISON, SUM, SUM),
            B::Less => ("<", COMPARISON, SUM, SUM),
            B::LessOrEqual => ("<=", COMPARISON, SUM, SUM),
            B::Greater => (">", COMPARISON, SUM, SUM),
            B::GreaterOrEqual => (">=", COMPARISON, SUM, SUM),
            // The parser takes all that follows for its right side, AND and OR included.
            B::IsDistinctFrom => ("IS DISTINCT FROM", OR, SUM, SUM),
            B::IsNotDistinctFrom => ("IS NOT DISTINCT FROM", OR, SUM, SUM),
            B::Plus => ("+", SUM, SUM, SUM + 1),
            B::Minus => ("-", SUM, SUM, SUM + 1),
            B::Multiply => ("*", PRODUCT, PRODUCT, PRODUCT + 1),
            B::Divide => ("/", PRODUCT, PRODUCT, PRODUCT + 1),
            B::Modulo => ("%", PRODUCT, PRODUCT, PRODUCT + 1),
            B::Concat => ("||", COMPARISON + 1, ATOM, ATOM),
            B::RegexMatch => ("~", OR, ATOM, ATOM),
            B::RegexIMatch => ("~*", OR, ATOM, ATOM),
            B::RegexNotMatch => ("!~", OR, ATOM, ATOM),
            B::RegexNotIMatch => ("!~*", OR, ATOM, ATOM),
            B::BitwiseAnd => ("&", COMPARISON + 1, ATOM, ATOM),
            B::BitwiseOr => ("|", COMPARISON + 1, ATOM, ATOM),
            B::BitwiseXor => ("^", COMPARISON + 1, ATOM, ATOM),
            B::ShiftLeft => ("<<", COMPARISON + 1, ATOM, ATOM),
            B::ShiftRight => (">>", COMPARISON + 1, ATOM, ATOM),
        };
        if let Some(turned) = turned(operator)
            && self.otherwise()
        {
            let (a, b) = (self.expr(right, SUM), self.expr(left, SUM));
            return (format!("{a} {turned} {b}"), COMPARISON);
        }
        let (a, b) = (self.expr(left, left_floor), self.expr(right, right_floor));
        (format!("{a} {word} {b}"), strength)
    }

    /// `x LIKE …`, `x NOT LIKE …` or `NOT x LIKE …`.
    fn negatable(&mut self, operand: &Expr, negated: bool, rest: &str) -> (String, u8) {
        let text = self.expr(operand, SUM);
        match negated {
            false => (format!("{text} {rest}"), OR),
            true if self.otherwise() => (format!("NOT {text} {rest}"), OR),
            true => (format!("{text} {} {rest}", self.word("NOT")), OR),
        }
    }

    fn between(&mut self, operand: &Expr, negated: bool, low: &Expr, high: &Expr) -> (String, u8) {
        let (from, to) = (self.expr(low, SUM), self.expr(high, SUM));
        if !self.otherwise() {
            return self.negatable(operand, negated, &format!("BETWEEN {from} AND {to}"));
        }
        let text = self.expr(operand, SUM);
        match negated {
            false => (format!("{text} >= {from} AND {text} <= {to}"), AND),
            true => (format!("{text} < {from} OR {text} > {to}"), OR),
        }
    }

    fn in_list(&mut self, operand: &Expr, list: &[Expr], negated: bool) -> (String, u8) {
        if self.otherwise() {
            let text = self.expr(operand, SUM);
            let (operator, word, strength) =
                if negated { ("<>", " AND ", AND) } else { ("=", " OR ", OR) };
            let each: Vec<String> = list
                .iter()
                .map(|item| format!("{text} {operator} {}", self.expr(item, SUM)))
                .collect();
            return (each.join(word), strength);
        }
        let items: Vec<String> = list.iter().map(|item| self.expr(item, OR)).collect();
        self.negatable(operand, negated, &format!("IN ({})", items.join(", ")))
    }

    fn case(
        &mut self,
        operand: Option<&Expr>,
        branches: &[(Expr, Expr)],
        otherwise: Option<&Expr>,
    ) -> String {
        let mut text = self.word("CASE");
        if let Some(operand) = operand {
            text = format!("{text} {}", self.expr(operand, SUM));
        }
        for (when, then) in branches {
            text = format!("{text} WHEN {} THEN {}", self.expr(when, OR), self.expr(then, OR));
        }
        match otherwise {
            Some(expr) => format!("{text} ELSE {} END", self.expr(expr, OR)),
            None if self.otherwise() => format!("{text} ELSE NULL END"),
            None => format!("{text} {}", self.word("END")),
        }
    }

    fn cast(&mut self, operand: &Expr, to: &DataType, or_null: bool) -> (String, u8) {
        if let (Some(name), false) = (type_name(to), self.chance(0.2)) {
            if !or_null && self.chance(0.3) {
                return (format!("{}::{name}", self.expr(operand, ATOM)), MINUS);
            }
            let word = if or_null { "TRY_CAST" } else { "CAST" };
            return (format!("{}({} AS {name})", self.word(word), self.expr(operand, OR)), ATOM);
        }
        let word = if or_null { "arrow_try_cast" } else { "arrow_cast" };
        (format!("{word}({}, {})", self.expr(operand, OR), string(&to.to_string())), ATOM)
    }

    fn function(&mut self, name: &str, arguments: &[Expr]) -> String {
        let texts: Vec<String> = arguments.iter().map(|e| self.expr(e, OR)).collect();
        match (name, texts.as_slice()) {
            ("substr", [text, start, length]) if self.chance(0.3) => {
                format!("SUBSTRING({text} FROM {start} FOR {length})")
            }
            ("btrim", [text]) if self.chance(0.3) => format!("trim({text})"),
            ("character_length", [text]) if self.chance(0.5) => format!("length({text})"),
            _ => format!("{}({})", self.word(name), texts.join(", ")),
        }
    }

    fn literal(&mut self, literal: &Literal) -> (String, u8) {
        let data_type = &literal.data_type.0;
        let Some(text) = &literal.text else {
            return match type_name(data_type) {
                Some(name) => (format!("CAST(NULL AS {name})"), ATOM),
                None => (format!("arrow_cast(NULL, {})", string(&data_type.to_string())), ATOM),
            };
        };
        let signed = if text.starts_with('-') { MINUS } else { ATOM };
        let plain = match data_type {
            DataType::Int64 => Some((text.clone(), signed)),
            DataType::Float64 if text.parse::<f64>().is_ok_and(f64::is_finite) => {
                Some((text.clone(), signed))
            }
            DataType::Utf8 => Some((string(text), ATOM)),
            DataType::Boolean => Some((self.word(&text.to_uppercase()), ATOM)),
            DataType::Date32 => Some((format!("DATE {}", string(text)), ATOM)),
            DataType::Interval(_) => Some((format!("INTERVAL {}", string(text)), ATOM)),
            _ => None,
        };
        match (plain, type_name(data_type)) {
            (Some(plain), _) if self.chance(0.7) => plain,
            (_, Some(name)) if self.chance(0.7) => {
                (format!("CAST({} AS {name})", string(text)), ATOM)
            }
            _ => {
                (format!("arrow_cast({}, {})", string(text), string(&data_type.to_string())), ATOM)
            }
        }
    }
}

/// Whether the first two relations have columns of one name in the block. DataFusion confuses such
/// columns in conditions above a RIGHT JOIN.
fn shares_a_name(block: &Block) -> bool {
    let mut names = [BTreeSet::new(), BTreeSet::new()];
    for expr in block.expressions() {
        expr.walk(&mut |part| {
            if let Expr::Column { relation: relation @ (0 | 1), name } = part {
                names[*relation].insert(name.clone());
            }
        });
    }
    !names[0].is_disjoint(&names[1])
}

/// Takes those conjuncts that fit.
fn taken(conjuncts: &mut Vec<Expr>, fits: impl Fn(&Expr) -> bool) -> Vec<Expr> {
    conjuncts.extract_if(.., |conjunct| fits(conjunct)).collect()
}

/// The comparison that says the same with its sides exchanged.
fn turned(operator: B) -> Option<&'static str> {
    Some(match operator {
        B::Equal => "=",
        B::NotEqual => "<>",
        B::Less => ">",
        B::LessOrEqual => ">=",
        B::Greater => "<",
        B::GreaterOrEqual => "<=",
        _ => return None,
    })
}

fn type_name(data_type: &DataType) -> Option<String> {
    Some(match data_type {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int16 => "SMALLINT".to_owned(),
        DataType::Int32 => "INTEGER".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Float64 => "DOUBLE PRECISION".to_owned(),
        DataType::Utf8 => "TEXT".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Decimal128(precision, scale) => format!("NUMERIC({precision}, {scale})"),
        DataType::Timestamp(TimeUnit::Microsecond, None) => "TIMESTAMP(6)".to_owned(),
        _ => return None,
    })
}
