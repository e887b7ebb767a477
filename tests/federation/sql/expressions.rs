//! Random expressions over the columns in scope: conditions, values and aggregates. Main type:
//! [`Draw`].

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::schema::{Kind, Schema};
use super::statements::Relation;

/// Something with a value in each row.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) sql: String,
    pub(super) kind: Kind,
    /// Numbers something, and so is not added up.
    pub(super) key: bool,
    /// Table and column whose values these are.
    pub(super) origin: Option<(String, String)>,
    /// Values to compare with, as SQL.
    pub(super) literals: Vec<String>,
}

impl Item {
    pub(super) fn new(sql: String, kind: Kind) -> Self {
        Self { sql, kind, key: false, origin: None, literals: vec![] }
    }

    /// Tells whether it is a table's `organisation`.
    pub(super) fn is_organisation(&self) -> bool {
        self.origin.as_ref().is_some_and(|(_, column)| column == "organisation")
    }

    fn with(self, literals: &[&str]) -> Self {
        Self { literals: literals.iter().map(|text| (*text).to_owned()).collect(), ..self }
    }
}

/// Draws the parts of one statement, repeatably.
pub(super) struct Draw<'a> {
    dice: ChaCha8Rng,
    pub(super) schema: &'a Schema,
    /// How many aliases are given.
    pub(super) aliases: usize,
    /// How many columns are named.
    pub(super) names: usize,
    /// What WITH defines.
    pub(super) named: Vec<Relation>,
}

impl<'a> Draw<'a> {
    pub(super) fn new(schema: &'a Schema, seed: u64, number: u64) -> Self {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        dice.set_stream(number);
        Self { dice, schema, aliases: 0, names: 0, named: vec![] }
    }

    pub(super) fn below(&mut self, below: usize) -> usize {
        self.dice.random_range(0..below)
    }

    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(super) fn one<T: Clone>(&mut self, list: &[T]) -> T {
        list.choose(&mut self.dice).unwrap().clone()
    }

    /// One of those that fit, if there are any.
    pub(super) fn pick(&mut self, items: &[Item], fits: impl Fn(&Item) -> bool) -> Option<Item> {
        let fitting: Vec<&Item> = items.iter().filter(|item| fits(item)).collect();
        fitting.choose(&mut self.dice).map(|item| (*item).clone())
    }

    fn literal(&mut self, item: &Item) -> String {
        if item.literals.is_empty() {
            let defaults: &[&str] = match item.kind {
                Kind::Int => &["0", "1", "3", "12", "40"],
                Kind::Decimal => &["0", "0.05", "12.50", "900"],
                Kind::Float => &["0.5", "7.25", "100.0"],
                Kind::Noisy => &["0.137", "17.291", "443.719"],
                Kind::Text => &["'a'", "'none'", "'Z9'"],
                Kind::Date => &["DATE '2025-09-01'", "DATE '1995-06-17'"],
                Kind::Moment => &["TIMESTAMP '2025-09-01T00:00:00'"],
                Kind::Bool => &["TRUE", "FALSE"],
            };
            return self.one(defaults).to_owned();
        }
        self.one(&item.literals)
    }

    /// One or more conditions, joined by AND, OR and NOT.
    pub(super) fn condition(&mut self, items: &[Item], depth: usize) -> String {
        match self.below(if depth == 0 { 4 } else { 10 }) {
            4 | 5 => {
                let (a, b) = (self.condition(items, depth - 1), self.condition(items, depth - 1));
                format!("({a} AND {b})")
            }
            6 | 7 => {
                let (a, b) = (self.condition(items, depth - 1), self.condition(items, depth - 1));
                format!("({a} OR {b})")
            }
            8 => format!("NOT ({})", self.condition(items, depth - 1)),
            9 => {
                let [a, b, c] = [0; 3].map(|_| self.condition(items, 0));
                format!("CASE WHEN {a} THEN {b} ELSE {c} END")
            }
            _ => self.comparison(items),
        }
    }

    /// One condition on one column, or on two.
    fn comparison(&mut self, items: &[Item]) -> String {
        let item = self.one(items);
        let x = item.sql.clone();
        if self.chance(12) {
            return format!("{x} IS {}NULL", self.one(&["", "NOT ", "NOT "]));
        }
        let same =
            |other: &Item| other.kind == item.kind && other.sql != x && (other.key == item.key);
        let other = self.pick(items, same).filter(|_| item.kind != Kind::Bool && self.chance(10));
        if let Some(other) = other.filter(|_| item.kind.is_exact()) {
            let operator = self.one(&["=", "<>", "<", "<=", ">", ">="]);
            return format!("{x} {operator} {}", other.sql);
        }
        let (a, b) = (self.literal(&item), self.literal(&item));
        let operator = self.one(&["=", "<>", "<", "<=", ">", ">=", ">", "<"]);
        match (item.kind, self.below(10)) {
            (Kind::Noisy, 0..=5) => format!("{x} > {a}"),
            (Kind::Noisy, _) => format!("{x} < {a}"),
            (Kind::Bool, 0 | 1) => x,
            (Kind::Bool, 2 | 3) => format!("NOT {x}"),
            (Kind::Bool, 4) => format!("{x} IS NOT TRUE"),
            (Kind::Bool, 5) => format!("{x} IS FALSE"),
            (Kind::Bool, 6) => format!("coalesce({x}, FALSE)"),
            (Kind::Bool, _) => format!("{x} = {a}"),
            (_, 0) => format!("({x} IS DISTINCT FROM {a})"),
            (_, 1) => format!("({x} IS NOT DISTINCT FROM {a})"),
            (_, 2) => format!("{x} {}IN ({a}, {b})", self.one(&["", "", "NOT "])),
            (Kind::Text, 3) => format!("{x} LIKE '{}%'", start(&a)),
            (Kind::Text, 4) => format!("{x} NOT LIKE '%{}%'", start(&b)),
            (Kind::Text, 5) => format!("upper({x}) = upper({a})"),
            (Kind::Text, 6) => format!("coalesce({x}, 'none') {operator} {a}"),
            (Kind::Text, 7) => format!("character_length({x}) {operator} 6"),
            (Kind::Text, _) => format!("{x} = {a}"),
            (Kind::Date | Kind::Moment, 3) => format!("extract(month FROM {x}) {operator} 6"),
            (Kind::Date | Kind::Moment, 4) => {
                format!("date_trunc('month', {x}) {operator} date_trunc('month', {a})")
            }
            (Kind::Date | Kind::Moment, 5) => format!("{x} {operator} {a} + INTERVAL '30 days'"),
            (Kind::Int, 3) => format!("{x} % 3 = 1"),
            (_, 6) => format!("coalesce({x}, {a}) {operator} {b}"),
            (_, 7) => format!("{x} BETWEEN {a} AND {b}"),
            (_, 8) => format!("{x} NOT BETWEEN {a} AND {b}"),
            _ => format!("{x} {operator} {a}"),
        }
    }

    /// A column, or something made of it.
    pub(super) fn value(&mut self, items: &[Item]) -> Item {
        let item = self.one(items);
        if self.chance(60) { item } else { self.made_of(&item, items) }
    }

    fn made_of(&mut self, item: &Item, items: &[Item]) -> Item {
        let x = &item.sql;
        let (a, b) = (self.literal(item), self.literal(item));
        let same = Item { key: false, origin: None, ..item.clone() };
        let same = |sql: String| Item { sql, ..same.clone() };
        if self.chance(25) {
            let when = self.condition(items, 1);
            return match self.below(5) {
                0 => Item::new(format!("CASE WHEN {when} THEN 'yes' ELSE 'no' END"), Kind::Text)
                    .with(&["'yes'", "'no'"]),
                1 => Item::new(format!("CASE WHEN {when} THEN 1 ELSE 0 END"), Kind::Int)
                    .with(&["0", "1"]),
                2 => same(format!("CASE WHEN {when} THEN {x} ELSE {a} END")),
                3 => same(format!("CASE WHEN {when} THEN {x} END")),
                _ => {
                    let cases = format!("WHEN {a} THEN 'first' WHEN {b} THEN 'second'");
                    Item::new(format!("CASE {x} {cases} ELSE 'other' END"), Kind::Text)
                        .with(&["'first'", "'second'", "'other'"])
                }
            };
        }
        match (item.kind, self.below(6)) {
            (_, 0) => same(format!("coalesce({x}, {a})")),
            (Kind::Bool, _) => same(format!("NOT {x}")),
            (Kind::Noisy, _) => same(format!("{x} * 100")),
            (_, 1) => same(format!("nullif({x}, {a})")),
            (Kind::Text, 2) => same(format!("upper({x})")),
            (Kind::Text, 3) => same(format!("left({x}, 2)")),
            (Kind::Text, 4) => same(format!("{x} || '/' || {a}")),
            (Kind::Text, _) => Item::new(format!("character_length({x})"), Kind::Int),
            (Kind::Int, 2) => same(format!("{x} + 1")),
            (Kind::Int, 3) => same(format!("{x} % 7")),
            (Kind::Int, 4) => Item::new(format!("CAST({x} AS DOUBLE) / 4"), Kind::Float),
            (Kind::Int, _) => Item::new(format!("CAST({x} AS VARCHAR)"), Kind::Text),
            (Kind::Decimal, 2) => same(format!("{x} * 2")),
            (Kind::Decimal, 3) => Item::new(format!("CAST({x} AS DOUBLE)"), Kind::Float),
            (Kind::Decimal, 4) => same(format!("abs({x})")),
            (Kind::Decimal, _) => Item::new(format!("CAST({x} AS BIGINT)"), Kind::Int),
            (Kind::Float, 2) => same(format!("{x} / 24")),
            (Kind::Float, 3) => same(format!("floor({x})")),
            (Kind::Float, _) => Item::new(format!("CAST({x} AS BIGINT)"), Kind::Int),
            (Kind::Date | Kind::Moment, 2) => {
                let unit = self.one(&["month", "quarter", "year", "week"]);
                Item::new(format!("date_trunc('{unit}', {x})"), Kind::Moment)
            }
            (Kind::Date | Kind::Moment, 3) => {
                let unit = self.one(&["year", "month", "day", "quarter", "dow"]);
                Item::new(format!("extract({unit} FROM {x})"), Kind::Int)
            }
            (Kind::Date | Kind::Moment, 4) => {
                Item::new(format!("to_char({x}, '%Y-%m')"), Kind::Text)
            }
            (Kind::Date | Kind::Moment, _) => Item::new(format!("CAST({x} AS DATE)"), Kind::Date),
        }
    }

    /// An aggregate.
    pub(super) fn measure(&mut self, items: &[Item]) -> Item {
        let filter = match self.chance(20) {
            true => format!(" FILTER (WHERE {})", self.condition(items, 1)),
            false => String::new(),
        };
        let counted = |sql: String| Item::new(format!("{sql}{filter}"), Kind::Int);
        let number = |item: &Item| item.kind.is_number() && !item.key;
        let exact = |item: &Item| item.kind.is_exact() && item.kind != Kind::Bool;
        match self.below(15) {
            0 | 1 => return counted("count(*)".to_owned()),
            2 => {
                let item = self.one(items);
                return counted(format!("count({})", item.sql));
            }
            3 => {
                if let Some(item) = self.pick(items, exact) {
                    return counted(format!("count(DISTINCT {})", item.sql));
                }
            }
            4 => {
                let when = self.condition(items, 1);
                return Item::new(format!("sum(CASE WHEN {when} THEN 1 ELSE 0 END)"), Kind::Int);
            }
            5 => {
                let when = self.condition(items, 1);
                let share = format!("100.0 * count(*) FILTER (WHERE {when}) / count(*)");
                return Item::new(share, Kind::Float);
            }
            6 | 7 => {
                if let Some(item) = self.pick(items, exact) {
                    let function = self.one(&["min", "max"]);
                    let sql = format!("{function}({}){filter}", item.sql);
                    return Item { sql, origin: None, ..item };
                }
            }
            8 => {
                if let Some(item) = self.pick(items, number) {
                    let function = self.one(&["stddev", "var_pop", "stddev_pop", "var"]);
                    return Item::new(format!("{function}({}){filter}", item.sql), Kind::Noisy);
                }
            }
            9 => {
                if let Some(item) = self.pick(items, |item| item.kind == Kind::Bool) {
                    let function = self.one(&["bool_and", "bool_or"]);
                    return Item::new(format!("{function}({}){filter}", item.sql), Kind::Bool);
                }
            }
            10 | 11 => {
                if let Some(item) = self.pick(items, number) {
                    let kind = match item.kind {
                        Kind::Int => Kind::Float,
                        Kind::Decimal => Kind::Decimal,
                        _ => Kind::Noisy,
                    };
                    return Item::new(format!("avg({}){filter}", item.sql), kind);
                }
            }
            12 => {
                if let Some(item) = self.pick(items, number) {
                    let x = item.sql;
                    let sql = match self.one(&["0.5", "0.9", "median"]) {
                        "median" => format!("median({x}){filter}"),
                        share => format!("percentile_cont({share}) WITHIN GROUP (ORDER BY {x})"),
                    };
                    return Item::new(sql, Kind::Noisy);
                }
            }
            _ => {}
        }
        let Some(item) = self.pick(items, number) else { return counted("count(*)".to_owned()) };
        let kind = if item.kind == Kind::Float { Kind::Noisy } else { item.kind };
        let distinct = if kind == Kind::Int && self.chance(10) { "DISTINCT " } else { "" };
        let x = match self.chance(15) {
            true => {
                let when = self.condition(items, 1);
                format!("CASE WHEN {when} THEN {} ELSE 0 END", item.sql)
            }
            false => item.sql,
        };
        Item::new(format!("sum({distinct}{x}){filter}"), kind)
    }
}

/// The first letters of a literal, for LIKE.
fn start(literal: &str) -> String {
    literal.chars().filter(|letter| letter.is_alphanumeric()).take(2).collect()
}
