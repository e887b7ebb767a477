//! What the contracts say, as far as statements are drawn from it: relations in scope, their columns
//! by use, constants for them, conditions and keys.

use std::sync::Arc;

use arrow::datatypes::DataType;
use hedgerow::demo::{CONTRACTS, DataOptions, organisations};
use hedgerow_catalog::Contracts;
use hedgerow_policies::{ColumnContract, Role, TableContract};

use crate::dice::Dice;

/// Codes for text without a `domain`.
const CODES: [&str; 5] = ["I50", "300", "J18", "A01", "502"];

/// The demo's contracts and organisations.
pub(super) struct Schema {
    pub(super) protected: Vec<Arc<TableContract>>,
    pub(super) open: Vec<Arc<TableContract>>,
    pub(super) organisations: Vec<String>,
}

impl Schema {
    pub(super) fn demo() -> Self {
        let mut contracts = Contracts::default();
        for (name, text) in CONTRACTS {
            contracts.insert_toml(name, text).unwrap();
        }
        let (protected, open) = contracts.iter().cloned().partition(|one| one.is_protected());
        let all = organisations(DataOptions::default().organisations);
        let organisations = all.into_iter().map(|organisation| organisation.id).collect();
        Self { protected, open, organisations }
    }
}

/// A column by what can be done with its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Whole,
    Number,
    Date,
    Moment,
    Flag,
}

/// A column of a relation in scope.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) sql: String,
    pub(super) kind: Kind,
    pub(super) contract: ColumnContract,
}

/// A relation in scope.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) alias: String,
    pub(super) columns: Vec<ColumnContract>,
    /// Its person column, where it is about people.
    pub(super) person: Option<String>,
    /// It may have several rows for one person.
    pub(super) many: bool,
    /// On the optional side of a join.
    pub(super) optional: bool,
    /// A subquery.
    pub(super) derived: bool,
    pub(super) products: Vec<(String, String)>,
}

impl Kind {
    pub(super) fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Utf8 => Self::Text,
            DataType::Date32 => Self::Date,
            DataType::Boolean => Self::Flag,
            DataType::Timestamp(..) => Self::Moment,
            whole if whole.is_integer() => Self::Whole,
            _ => Self::Number,
        }
    }

    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Whole | Self::Number)
    }
}

impl Column {
    pub(super) fn has(&self, role: Role) -> bool {
        self.contract.has_role(role)
    }

    fn text(&self, value: &str) -> String {
        match self.kind {
            Kind::Text => format!("'{}'", value.replace('\'', "''")),
            _ => value.to_owned(),
        }
    }
}

impl Place {
    /// A table of a contract.
    pub(super) fn table(contract: &TableContract, alias: &str) -> Self {
        Self {
            alias: alias.to_owned(),
            columns: contract.columns.clone(),
            person: contract.person().map(|person| person.column.clone()),
            many: !contract.one_row_per_person(),
            optional: false,
            derived: false,
            products: contract.products.clone(),
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = Column> + '_ {
        self.columns.iter().map(|column| Column {
            sql: format!("{}.{}", self.alias, column.name),
            kind: Kind::of(&column.data_type),
            contract: column.clone(),
        })
    }

    fn is_named(column: &Column) -> bool {
        column.has(Role::Identifier)
    }

    /// Group keys and filters.
    pub(super) fn dimensions(&self) -> Vec<Column> {
        let open = self.person.is_none();
        self.all().filter(|c| !Self::is_named(c) && (c.has(Role::Dimension) || open)).collect()
    }

    /// What is summed.
    pub(super) fn measures(&self) -> Vec<Column> {
        let people = self.person.is_some();
        let kept = |c: &Column| c.has(Role::Measure) && c.kind.is_number() && !Self::is_named(c);
        self.all().filter(|c| people && kept(c)).collect()
    }

    /// Measures that are no dimensions as well.
    pub(super) fn plain_measures(&self) -> Vec<Column> {
        self.measures().into_iter().filter(|c| !c.has(Role::Dimension)).collect()
    }

    pub(super) fn identifiers(&self) -> Vec<Column> {
        self.all().filter(Self::is_named).collect()
    }

    pub(super) fn person_sql(&self) -> String {
        format!("{}.{}", self.alias, self.person.as_deref().unwrap_or_default())
    }

    /// Equalities that say "the same person", with another relation.
    pub(super) fn same_person(&self, other: &Self) -> String {
        format!(
            "{}.organisation = {}.organisation AND {} = {}",
            self.alias,
            other.alias,
            self.person_sql(),
            other.person_sql()
        )
    }
}

/// What statements are drawn with.
pub(super) struct Draw<'a> {
    pub(super) schema: &'a Schema,
    dice: Dice,
}

impl<'a> Draw<'a> {
    pub(super) fn new(schema: &'a Schema, seed: u64, number: u64) -> Self {
        let mut dice = Dice::new(seed.wrapping_mul(1_000_003).wrapping_add(number));
        // The first numbers of seeds that are close are close.
        for _ in 0..8 {
            dice.draw(2);
        }
        Self { schema, dice }
    }

    pub(super) fn below(&mut self, below: usize) -> usize {
        self.dice.draw(below)
    }

    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(super) fn one<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        let place = self.below(all.len());
        all.get(place).cloned()
    }

    /// One of these texts.
    pub(super) fn of(&mut self, all: &[String]) -> String {
        self.one(all).unwrap()
    }

    /// A value that the column may have.
    pub(super) fn literal(&mut self, column: &Column) -> String {
        if let Some(value) = self.one(&column.contract.domain) {
            return column.text(&value);
        }
        let (month, day) = (self.below(12) + 1, self.below(28) + 1);
        match column.kind {
            Kind::Text => column.text(CODES[self.below(CODES.len())]),
            Kind::Date => format!("DATE '2025-{month:02}-{day:02}'"),
            Kind::Moment => format!("TIMESTAMP '2025-{month:02}-{day:02} 07:30:00'"),
            Kind::Flag => "true".to_owned(),
            Kind::Whole | Kind::Number => {
                let bins = &column.contract.bins;
                let edges = bins.get(1..bins.len().saturating_sub(1)).unwrap_or_default();
                self.one(edges).map_or_else(|| (self.below(3) + 1).to_string(), |e| e.to_string())
            }
        }
    }

    fn two_literals(&mut self, column: &Column) -> (String, String) {
        (self.literal(column), self.literal(column))
    }

    /// The first character of a value.
    fn start(&mut self, column: &Column) -> String {
        self.literal(column).trim_matches('\'').chars().take(1).collect()
    }

    /// A condition on one column that any row may meet or not: it never follows from the contract.
    pub(super) fn on(&mut self, column: &Column) -> String {
        let c = &column.sql;
        let ((l, m), s) = (self.two_literals(column), self.start(column));
        let mut all = match column.kind {
            Kind::Text => vec![
                format!("{c} = {l}"),
                format!("{c} <> {l}"),
                format!("{c} IN ({l}, {m})"),
                format!("{c} NOT IN ({l}, {m})"),
                format!("{c} LIKE '{s}%'"),
                format!("{c} NOT ILIKE '%{s}%'"),
                format!("{c} BETWEEN '0' AND {l}"),
                format!("upper({c}) <> {l}"),
                format!("left({c}, 1) = '{s}'"),
                format!("character_length({c}) > 2"),
                format!("CAST({c} AS INT) > 3"),
                format!("regexp_like({c}, '^[{s}x]')"),
                format!("coalesce({c}, '?') <> {l}"),
                format!("{c} || 'x' <> concat({l}, 'x')"),
            ],
            Kind::Whole => vec![
                format!("{c} = {l}"),
                format!("{c} < {l}"),
                format!("{c} >= {l}"),
                format!("{c} IN ({l}, {m})"),
                format!("{c} BETWEEN {l} AND {l} + 3"),
                format!("{c} % 2 = 1"),
                format!("100 / ({c} - {l}) > 5"),
                format!("abs({c}) + 1 > {l}"),
                format!("NOT {c} > {l}"),
            ],
            Kind::Number => vec![
                format!("{c} < {l}"),
                format!("{c} >= {l}"),
                format!("{c} BETWEEN {l} AND 2 * {l}"),
                format!("round({c}) > {l}"),
                format!("sqrt({c} - {l}) > 2"),
                format!("{c} / 2 > {l}"),
            ],
            Kind::Date => vec![
                format!("{c} >= {l}"),
                format!("{c} < {l}"),
                format!("{c} BETWEEN {l} AND DATE '2026-01-15'"),
                format!("date_part('month', {c}) IN (3, 4, 5)"),
                format!("date_trunc('month', {c}) >= {l}"),
                format!("{c} - {l} < 60"),
                format!("{c} + INTERVAL '7 days' > {l}"),
                format!("CAST({c} AS VARCHAR) LIKE '2025%'"),
            ],
            Kind::Moment => vec![
                format!("{c} >= {l}"),
                format!("date_part('hour', {c}) < 8"),
                format!("CAST({c} AS DATE) < DATE '2025-09-01'"),
                format!("date_trunc('month', {c}) > {l}"),
            ],
            Kind::Flag => {
                vec![c.clone(), format!("NOT {c}"), format!("{c} IS TRUE"), format!("{c} = false")]
            }
        };
        if column.contract.nullable && !column.has(Role::Measure) {
            all.push(format!("{c} IS NULL"));
            all.push(format!("{c} IS NOT NULL"));
        }
        self.of(&all)
    }

    /// A condition over different columns of a relation, joined with AND, OR and NOT.
    pub(super) fn condition(&mut self, place: &Place) -> String {
        let mut columns: Vec<Column> = place.dimensions();
        columns.extend(place.plain_measures());
        let first = self.take(&mut columns).map(|c| self.on(&c)).unwrap();
        if columns.is_empty() || !self.chance(35) {
            return first;
        }
        let second = self.take(&mut columns).map(|c| self.on(&c)).unwrap();
        let all = [
            format!("({first} AND {second})"),
            format!("({first} OR {second})"),
            format!("NOT ({first} OR {second})"),
            format!("({first} AND NOT ({second}))"),
            format!("CASE WHEN {first} THEN {second} ELSE false END"),
        ];
        self.of(&all)
    }

    pub(super) fn take<T>(&mut self, all: &mut Vec<T>) -> Option<T> {
        let place = self.below(all.len());
        (place < all.len()).then(|| all.remove(place))
    }

    /// A group key over a relation.
    pub(super) fn key(&mut self, place: &Place) -> String {
        if place.person.is_some()
            && self.chance(25)
            && let Some(column) = self.one(&place.plain_measures())
        {
            return self.band(&column);
        }
        match self.one(&place.dimensions()) {
            Some(column) => self.key_of(&column),
            None => format!("{}.organisation", place.alias),
        }
    }

    fn key_of(&mut self, column: &Column) -> String {
        let c = &column.sql;
        let (l, m) = self.two_literals(column);
        let mut all = vec![c.clone(), c.clone()];
        all.extend(match column.kind {
            Kind::Text => vec![
                format!("left({c}, 1)"),
                format!("upper({c})"),
                format!("concat({c}, '-')"),
                format!("coalesce({c}, 'none')"),
                format!("nullif({c}, {l})"),
                format!("{c} IN ({l}, {m})"),
                format!("CASE WHEN {c} = {l} THEN 'this' ELSE 'other' END"),
                format!("CASE {c} WHEN {l} THEN 'this' ELSE 'other' END"),
                format!("character_length({c})"),
            ],
            Kind::Whole | Kind::Number => vec![
                format!("least({c}, 5)"),
                format!("greatest({c}, 2)"),
                format!("{c} % 2"),
                format!("{c} + 1"),
                format!("{c} >= {l}"),
            ],
            Kind::Date => vec![
                format!("date_trunc('month', {c})"),
                format!("date_part('year', {c})"),
                format!("date_part('quarter', {c})"),
                format!("{c} < {l}"),
            ],
            Kind::Moment => vec![
                format!("date_trunc('day', {c})"),
                format!("date_part('hour', {c})"),
                format!("CAST({c} AS DATE)"),
            ],
            Kind::Flag => {
                vec![format!("NOT {c}"), format!("CASE WHEN {c} THEN 'yes' ELSE 'no' END")]
            }
        });
        self.of(&all)
    }

    /// A measure in bands.
    fn band(&mut self, column: &Column) -> String {
        let c = &column.sql;
        let (l, m) = self.two_literals(column);
        let mut all = vec![
            format!("CASE WHEN {c} < {l} THEN 'low' ELSE 'high' END"),
            format!("CASE WHEN {c} < {l} THEN 'low' WHEN {c} < {m} THEN 'mid' ELSE 'high' END"),
            format!("{c} >= {l}"),
            format!("{c} BETWEEN {l} AND 3 * {l}"),
            format!("CASE WHEN {c} < {l} AND NOT {c} = 2 THEN 1 ELSE 0 END"),
        ];
        if let (Kind::Whole, Some((least, _))) = (column.kind, column.contract.range) {
            all.push(format!("least({c}, {})", least + self.below(20) as f64 + 1.0));
        }
        self.of(&all)
    }
}
