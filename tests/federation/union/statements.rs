//! Random aggregates over one block of a random federation. Main type: [`Statement`].

use arrow::datatypes::DataType;
use chrono::{DateTime, Days, NaiveDate};
use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};

use super::data::{Column, Datum, Dice, PRODUCTS, Part, Random};

/// One statement in parts, so that what should come out can be computed apart.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    /// FROM as the federation is asked.
    pub(super) from: String,
    /// FROM over the union, where records meet within one organisation.
    pub(super) from_union: String,
    pub(super) keys: Vec<String>,
    pub(super) filter: Option<String>,
    pub(super) measures: Vec<Measure>,
    /// HAVING: the number of a count, and what it must exceed.
    pub(super) having: Option<(usize, i64)>,
    /// ORDER BY and LIMIT.
    pub(super) order: Option<String>,
    /// Each row of the first table is one person's only one.
    pub(super) one_row: bool,
}

/// One aggregate.
#[derive(Debug, Clone)]
pub(super) struct Measure {
    pub(super) function: &'static str,
    pub(super) distinct: bool,
    pub(super) arguments: Vec<String>,
    pub(super) condition: Option<String>,
    /// What rounding may leave where the true value is zero.
    pub(super) slack: f64,
    /// Columns measured, conditions aside.
    pub(super) columns: Vec<&'static str>,
    /// What a sum of several columns is the sum of.
    pub(super) addends: Vec<String>,
}

/// The columns a statement may name, each with the alias of its table.
type Scope = Vec<(&'static str, Column)>;

const ALIASES: [&str; 3] = ["a", "b", "c"];

impl Measure {
    pub(super) fn sql(&self) -> String {
        let distinct = if self.distinct { "DISTINCT " } else { "" };
        let arguments = if self.arguments.is_empty() && self.function == "count" {
            "*".to_owned()
        } else {
            self.arguments.join(", ")
        };
        let condition = self.condition.as_deref();
        let filter = condition.map(|c| format!(" FILTER (WHERE {c})")).unwrap_or_default();
        format!("{}({distinct}{arguments}){filter}", self.function)
    }

    pub(super) fn counts(&self) -> bool {
        self.function == "count"
    }

    /// Whether the argument is computed from columns.
    pub(super) fn is_computed(&self) -> bool {
        !self.addends.is_empty()
    }
}

impl Statement {
    /// The statement as the federation is asked.
    pub(super) fn sql(&self) -> String {
        self.over(&self.from, true)
    }

    /// The statement as one DataFusion over the union is asked.
    pub(super) fn sql_union(&self) -> String {
        self.over(&self.from_union, true)
    }

    /// All groups of the union, whatever HAVING and LIMIT leave.
    pub(super) fn groups_union(&self) -> String {
        self.over(&self.from_union, false)
    }

    fn over(&self, from: &str, above: bool) -> String {
        let keys = self.keys.iter().enumerate().map(|(i, key)| format!("{key} AS k{i}"));
        let measures =
            self.measures.iter().enumerate().map(|(i, one)| format!("{} AS m{i}", one.sql()));
        let list: Vec<String> = keys.chain(measures).collect();
        let mut sql = format!("SELECT {} FROM {from}", list.join(", "));
        if let Some(filter) = &self.filter {
            sql.push_str(&format!(" WHERE {filter}"));
        }
        if !self.keys.is_empty() {
            sql.push_str(&format!(" GROUP BY {}", self.keys.join(", ")));
        }
        if let Some((index, least)) = self.having.filter(|_| above) {
            sql.push_str(&format!(" HAVING {} > {least}", self.measures[index].sql()));
        }
        if let Some(order) = self.order.as_ref().filter(|_| above) {
            sql.push_str(&format!(" ORDER BY {order}"));
        }
        sql
    }

    /// Draws a statement.
    pub(super) fn draw(dice: &mut Dice, random: &Random) -> Self {
        let protected = random.tables[0].protected;
        let (from, from_union, scope, one_row) = from(dice, random);
        let filter = dice.random_bool(0.5).then(|| condition(dice, random, &scope));
        let mut keys: Vec<String> =
            (0..dice.random_range(0..=3)).map(|_| key(dice, random, &scope)).collect();
        keys.sort();
        keys.dedup();
        keys.shuffle(dice);
        let shared = dice.random_bool(0.6).then(|| condition(dice, random, &scope));
        let number = dice.random_range(if keys.is_empty() { 1..=5 } else { 0..=5 });
        let mut measures: Vec<Measure> = vec![];
        while measures.len() < number {
            let own = match (protected, &shared) {
                (false, Some(_)) if dice.random_bool(0.3) => Some(condition(dice, random, &scope)),
                _ => shared.clone(),
            };
            measures.extend(measure(dice, &scope, own, protected));
        }
        let mut statement =
            Self { from, from_union, keys, filter, measures, having: None, order: None, one_row };
        statement.finish(dice, protected);
        statement
    }

    /// HAVING, and over open tables ORDER BY and LIMIT in a complete order.
    fn finish(&mut self, dice: &mut Dice, protected: bool) {
        let counted = self.counted();
        if let Some(index) = counted.filter(|_| !self.keys.is_empty() && dice.random_bool(0.3)) {
            self.having = Some((index, dice.random_range(0..20)));
        }
        if !protected && dice.random_bool(0.4) {
            self.limit(dice);
        }
    }

    fn counted(&self) -> Option<usize> {
        self.measures.iter().position(|one| one.counts())
    }

    /// Adds ORDER BY and LIMIT where there are keys: they complete the order.
    pub(super) fn limit(&mut self, dice: &mut Dice) {
        let mut order: Vec<String> = (0..self.keys.len()).map(|i| format!("k{i}")).collect();
        if order.is_empty() {
            return;
        }
        if let Some(index) = self.counted() {
            order.insert(0, format!("m{index} DESC"));
        }
        let limit = dice.random_range(1..8);
        self.order = Some(format!("{} LIMIT {limit}", order.join(", ")));
    }
}

/// One table, or tables joined within an organisation.
fn from(dice: &mut Dice, random: &Random) -> (String, String, Scope, bool) {
    let names: Vec<&str> = random.tables.iter().map(|table| table.name.as_str()).collect();
    let first = if names.len() > 1 && dice.random_bool(0.15) { 1 } else { 0 };
    let mut scope = columns(random, first, ALIASES[0]);
    let mut federation = format!("{} {}", names[first], ALIASES[0]);
    let mut union = federation.clone();
    let mut one_row = first == 1;
    let word = |dice: &mut Dice| if dice.random_bool(0.5) { "JOIN" } else { "LEFT JOIN" };
    if first == 0 && names.len() > 1 && dice.random_bool(0.4) {
        let word = word(dice);
        let people = format!(" {word} person b ON b.person_number = a.person_number");
        let within = " AND a.organisation = b.organisation";
        let say = random.federation_wide || dice.random_bool(0.5);
        federation.push_str(&people);
        federation.push_str(if say { within } else { "" });
        union.push_str(&people);
        union.push_str(within);
        scope.extend(columns(random, 1, ALIASES[1]));
        one_row = false;
    }
    if first == 0 && names.len() > 2 && dice.random_bool(0.4) {
        let kinds = format!(" {} kind c ON c.code = a.kind", word(dice));
        federation.push_str(&kinds);
        union.push_str(&kinds);
        scope.extend(columns(random, 2, ALIASES[2]));
    }
    (federation, union, scope, one_row)
}

fn columns(random: &Random, table: usize, alias: &'static str) -> Scope {
    random.tables[table].columns.iter().map(|column| (alias, column.clone())).collect()
}

fn pick<'a>(
    dice: &mut Dice,
    scope: &'a Scope,
    fits: impl Fn(&Column) -> bool,
) -> Option<(String, &'a Column)> {
    let fitting: Vec<_> = scope.iter().filter(|(_, column)| fits(column)).collect();
    let (alias, column) = fitting.choose(dice)?;
    Some((format!("{alias}.{}", column.name), column))
}

fn is_value(column: &Column) -> bool {
    matches!(column.part, Part::Dimension | Part::Measure)
}

/// A group key: a dimension, something made of it, a band of a measure, or the organisation.
fn key(dice: &mut Dice, random: &Random, scope: &Scope) -> String {
    if dice.random_bool(0.2) {
        return "a.organisation".to_owned();
    }
    if dice.random_bool(0.15) {
        let (name, column) = pick(dice, scope, |c| c.part == Part::Measure).unwrap();
        let value = literal(column, &column.draw(dice));
        return format!(
            "CASE WHEN {name} < {value} THEN 'below' WHEN {name} >= {value} THEN 'above' END"
        );
    }
    let (name, column) = pick(dice, scope, |c| c.part == Part::Dimension).unwrap();
    if dice.random_bool(0.6) {
        return name;
    }
    let value = literal(column, &column.draw(dice));
    let part = ["year", "month", "day", "dow"].choose(dice).unwrap();
    match (&column.data_type, dice.random_range(0..4)) {
        (DataType::Utf8, 0) => format!("upper({name})"),
        (DataType::Utf8, 1) => format!("left({name}, 2)"),
        (DataType::Utf8, 2) => format!("coalesce({name}, 'none')"),
        (DataType::Boolean, 0..=2) => format!("{name} IS NOT FALSE"),
        (DataType::Date32 | DataType::Timestamp(..), 0..=2) => {
            format!("date_part('{part}', {name})")
        }
        (_, 0) => format!("{name} IS NULL"),
        (_, 1) => format!("{name} = {value}"),
        _ => condition(dice, random, &vec![("a", column.clone())])
            .replace(&format!("a.{}", column.name), &name),
    }
}

/// One to three conditions, joined.
fn condition(dice: &mut Dice, random: &Random, scope: &Scope) -> String {
    // In parentheses: `x IS DISTINCT FROM y OR z` is read as `x IS DISTINCT FROM (y OR z)`.
    let mut text = format!("({})", atom(dice, random, scope));
    for _ in 0..dice.random_range(0..3) {
        let other = format!("({})", atom(dice, random, scope));
        text = match dice.random_range(0..3) {
            0 => format!("({text} AND {other})"),
            1 => format!("({text} OR {other})"),
            _ => format!("(NOT {text} OR {other})"),
        };
    }
    text
}

fn atom(dice: &mut Dice, random: &Random, scope: &Scope) -> String {
    if scope.len() > 1 && dice.random_bool(0.12) {
        let names = &random.organisations;
        let (one, other) = (names.choose(dice).unwrap(), names.choose(dice).unwrap());
        return match dice.random_range(0..3) {
            0 => format!("a.organisation <> '{one}'"),
            1 => format!("a.organisation IN ('{one}', '{other}')"),
            _ => format!("(a.organisation = '{one}' OR a.organisation > '{other}')"),
        };
    }
    let (name, column) = pick(dice, scope, is_value).unwrap();
    if dice.random_bool(0.12) {
        return format!("{name} IS {}NULL", if dice.random_bool(0.7) { "NOT " } else { "" });
    }
    let (one, other) = (column.draw(dice), column.draw(dice));
    let (one, other) = (literal(column, &one), literal(column, &other));
    let compare = ["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM"].choose(dice).unwrap();
    match (&column.data_type, dice.random_range(0..6)) {
        (DataType::Boolean, 0) => name,
        (DataType::Boolean, 1) => format!("NOT {name}"),
        (DataType::Boolean, 2) => format!("{name} IS NOT TRUE"),
        (DataType::Boolean, _) => format!("{name} = {one}"),
        (DataType::Utf8, 0) => format!("{name} LIKE '%o%'"),
        (DataType::Utf8, 1) => format!("lower({name}) = lower({one})"),
        (DataType::Utf8, 2) => format!("starts_with({name}, 'n')"),
        (DataType::Utf8, 3) => format!("character_length(coalesce({name}, '')) > 3"),
        (DataType::Date32 | DataType::Timestamp(..), 0) => {
            format!("date_part('month', {name}) <= 2")
        }
        (_, 4) => format!("{name} IN ({one}, {other})"),
        (DataType::Utf8, _) => format!("{name} {compare} {one}"),
        (_, 3) => format!("{name} NOT BETWEEN {one} AND {other}"),
        _ => format!("{name} {compare} {one}"),
    }
}

/// A value as SQL spells it.
pub(super) fn literal(column: &Column, value: &Datum) -> String {
    match (value, &column.data_type) {
        (Datum::Null, _) => "NULL".to_owned(),
        (Datum::Bool(truth), _) => truth.to_string().to_uppercase(),
        (Datum::Text(text), _) => format!("'{}'", text.replace('\'', "''")),
        (Datum::Float(number), _) => format!("{number:?}"),
        (Datum::Decimal(number), DataType::Decimal128(precision, scale)) => {
            let scale = *scale as usize;
            let digits = format!("{:0>width$}", number.abs(), width = scale + 1);
            let (whole, rest) = digits.split_at(digits.len() - scale);
            let sign = if *number < 0 { "-" } else { "" };
            format!("CAST('{sign}{whole}.{rest}' AS DECIMAL({precision},{scale}))")
        }
        (Datum::Int(days), DataType::Date32) => {
            let first = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
            format!("DATE '{}'", first.checked_add_days(Days::new(*days as u64)).unwrap())
        }
        (Datum::Int(micros), DataType::Timestamp(..)) => {
            let moment = DateTime::from_timestamp_micros(*micros).unwrap();
            format!("TIMESTAMP '{}'", moment.format("%Y-%m-%dT%H:%M:%S"))
        }
        (Datum::Int(number), _) => format!("CAST('{number}' AS BIGINT)"),
        (Datum::Decimal(_), other) => panic!("a decimal of type {other}"),
    }
}

const MOMENTS: [&str; 4] = ["var", "var_pop", "stddev", "stddev_pop"];
const PAIRS: [&str; 12] = [
    "covar_pop",
    "covar_samp",
    "corr",
    "regr_slope",
    "regr_intercept",
    "regr_count",
    "regr_r2",
    "regr_avgx",
    "regr_avgy",
    "regr_sxx",
    "regr_syy",
    "regr_sxy",
];
const EXTREMES: [&str; 2] = ["min", "max"];

/// Draws one aggregate; `None` where the tables have no column for it.
fn measure(
    dice: &mut Dice,
    scope: &Scope,
    condition: Option<String>,
    protected: bool,
) -> Option<Measure> {
    let filter = condition.clone().filter(|_| dice.random_bool(0.5));
    let plain = |function, arguments, columns, slack| {
        let condition = filter.clone();
        let addends = vec![];
        Some(Measure { function, distinct: false, arguments, condition, slack, columns, addends })
    };
    let summed = |c: &Column| c.part == Part::Measure && !c.extreme;
    if dice.random_bool(0.15) {
        return computed(dice, scope, filter);
    }
    match dice.random_range(if protected { 0..9 } else { 0..14 }) {
        0 => plain("count", vec![], vec![], 0.0),
        1 => {
            let (name, column) = pick(dice, scope, |c| is_value(c) && c.name != "title")?;
            plain("count", vec![name], vec![column.name], 0.0)
        }
        2 => Some(Measure {
            distinct: true,
            ..plain("count", vec!["a.person_number".to_owned()], vec![], 0.0)?
        }),
        3 | 4 => {
            let (name, column) = pick(dice, scope, summed)?;
            plain("sum", vec![name], vec![column.name], 1e-9)
        }
        5 => {
            let (name, column) = pick(dice, scope, summed)?;
            plain("avg", vec![name], vec![column.name], 1e-9)
        }
        6 => {
            let (name, column) = pick(dice, scope, |c| c.continuous)?;
            let function = MOMENTS.choose(dice).unwrap();
            let size = column.magnitude();
            let slack = if function.starts_with("var") { size * size } else { size };
            plain(function, vec![name], vec![column.name], slack * 1e-12)
        }
        7 => {
            // Of whole numbers, all may be the same, and what divides by their spread is noise.
            let float = |c: &Column| c.continuous && c.data_type == DataType::Float64;
            let ((one, x), (two, y)) = (pick(dice, scope, float)?, pick(dice, scope, float)?);
            plain(PAIRS.choose(dice).unwrap(), vec![one, two], vec![x.name, y.name], 1e-9)
        }
        8 => {
            let (name, column) = pick(dice, scope, summed)?;
            let when = condition?;
            let columns = vec![column.name];
            let (function, argument, columns) = match dice.random_range(0..4) {
                0 => ("sum", format!("CASE WHEN {when} THEN 1 ELSE 0 END"), vec![]),
                1 => ("count", format!("CASE WHEN {when} THEN {name} END"), columns),
                2 => ("avg", format!("CASE WHEN {when} THEN {name} END"), columns),
                _ => ("sum", format!("CASE WHEN {when} THEN {name} ELSE 0 END"), columns),
            };
            let arguments = vec![argument];
            Some(Measure {
                function,
                distinct: false,
                arguments,
                condition: None,
                slack: 1e-9,
                columns,
                addends: vec![],
            })
        }
        9 | 10 => {
            let (name, column) =
                pick(dice, scope, |c| is_value(c) && c.data_type != DataType::Boolean)?;
            plain(EXTREMES.choose(dice).unwrap(), vec![name], vec![column.name], 0.0)
        }
        11 => {
            let (name, column) = pick(dice, scope, |c| c.data_type == DataType::Boolean)?;
            plain(["bool_and", "bool_or"].choose(dice).unwrap(), vec![name], vec![column.name], 0.0)
        }
        12 => {
            let (name, column) =
                pick(dice, scope, |c| c.data_type.is_integer() && c.part == Part::Measure)?;
            let function = ["bit_and", "bit_or", "bit_xor"].choose(dice).unwrap();
            plain(function, vec![name], vec![column.name], 0.0)
        }
        _ => {
            let (name, column) = pick(dice, scope, |c| c.part == Part::Dimension)?;
            Some(Measure { distinct: true, ..plain("count", vec![name], vec![column.name], 0.0)? })
        }
    }
}

/// A sum or mean of two measures added or, where the contract lists them, multiplied.
fn computed(dice: &mut Dice, scope: &Scope, condition: Option<String>) -> Option<Measure> {
    // Sums of more digits than a decimal has fail over the union, and those of whole numbers wrap.
    let fits = |c: &Column| c.part == Part::Measure && !c.extreme && c.name != "fund";
    let (one, x) = pick(dice, scope, fits)?;
    let (other, y) = pick(dice, scope, |c| fits(c) && c.name != x.name)?;
    let multiplied = PRODUCTS.iter().any(|pair| pair.contains(&x.name) && pair.contains(&y.name));
    let (argument, addends) = if multiplied && dice.random_bool(0.5) {
        let product = format!("{one} * {other}");
        (product.clone(), vec![product])
    } else {
        let operator = if dice.random_bool(0.5) { "+" } else { "-" };
        // A narrow type would wrap.
        let wide = if x.data_type.is_integer() && y.data_type.is_integer() {
            format!("CAST({one} AS BIGINT) {operator} {other}")
        } else {
            format!("{one} {operator} {other}")
        };
        (wide, vec![one, other])
    };
    Some(Measure {
        function: if dice.random_bool(0.7) { "sum" } else { "avg" },
        distinct: false,
        arguments: vec![argument],
        condition,
        slack: 1e-6,
        columns: vec![x.name, y.name],
        addends,
    })
}
