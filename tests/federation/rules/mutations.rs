//! Changes to an allowed statement that break one rule, by rule. Main item: [`all`].

use std::sync::Arc;

use hedgerow_policies::{Role, Rule, TableContract};

use super::columns::{Column, Draw, Kind, Place, Schema};
use super::statements::Statement;

/// Statements by which it is found how many a mutation fits.
const SAMPLE: u64 = 100;
/// A mutation that fits fewer of them is rare.
const SAMPLE_RARE: usize = 15;

/// What must become of a statement that was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// 42501 and this rule.
    Refused(Rule),
    /// No rule is reached: there is no such name.
    Unknown,
}

/// A change; none where the statement has nothing to change in this way.
pub(super) type Change = fn(&Statement, &mut Draw<'_>) -> Option<String>;

/// One way to break a rule.
pub(super) struct Mutation {
    pub(super) name: &'static str,
    pub(super) expected: Expected,
    pub(super) change: Change,
    /// Sent to a node, as by a coordinator gone bad.
    pub(super) node: bool,
    /// Few statements can be changed like this.
    pub(super) rare: bool,
}

/// Changes by their names.
pub(super) type Changes = &'static [(&'static str, Change)];

/// All mutations.
pub(super) fn all(schema: &Schema) -> Vec<Mutation> {
    let mut all = vec![];
    for (rule, changes) in of_rules() {
        let expected = rule.map_or(Expected::Unknown, Expected::Refused);
        all.extend(changes.iter().map(|&(name, change)| {
            let node = name.ends_with("at a node");
            Mutation { name, expected, change, node, rare: false }
        }));
    }
    for mutation in &mut all {
        let fits = |number| {
            let mut draw = Draw::new(schema, 1, number);
            (mutation.change)(&Statement::draw(&mut draw), &mut draw).is_some()
        };
        mutation.rare = (0..SAMPLE).filter(|number| fits(*number)).count() < SAMPLE_RARE;
    }
    all
}

fn of_rules() -> Vec<(Option<Rule>, Changes)> {
    vec![
        (Some(Rule::S1Shape), SHAPES),
        (Some(Rule::S2Key), KEYS),
        (Some(Rule::S3Measure), MEASURES),
        (Some(Rule::S3Condition), CONDITIONS),
        (Some(Rule::S4Identifier), IDENTIFIERS),
        (Some(Rule::S4Literal), LITERALS),
        (Some(Rule::S5Join), super::relations::JOINS),
        (Some(Rule::S5FanOut), super::relations::FAN_OUTS),
        (Some(Rule::S6Inner), super::relations::INNER),
        (Some(Rule::S7BelowGate), super::relations::BELOW),
        (Some(Rule::S8Extreme), EXTREMES),
        (Some(Rule::S9Function), FUNCTIONS),
        (Some(Rule::G7Family), super::relations::FAMILIES),
        (None, super::relations::NAMES),
    ]
}

impl Statement {
    pub(super) fn with_key(&self, key: String) -> Option<String> {
        let mut other = self.clone();
        other.keys.push(key);
        other.tail.clear();
        Some(other.sql())
    }

    pub(super) fn with_measures(&self, measures: Vec<String>) -> Option<String> {
        let (having, tail) = (None, String::new());
        Some(Self { measures, having, tail, ..self.clone() }.sql())
    }

    pub(super) fn with_filter(&self, condition: String) -> Option<String> {
        let mut other = self.clone();
        other.filter.push(condition);
        Some(other.sql())
    }

    pub(super) fn with_join(&self, join: String) -> Option<String> {
        let mut other = self.clone();
        other.joins.push(join);
        Some(other.sql())
    }

    /// The statement with one more column `name` in its subquery of groups, and with measures over it.
    fn with_inner(&self, column: &str, measures: &[&str]) -> Option<String> {
        let mut other = self.clone();
        let inner = other.inner.as_mut().filter(|inner| !inner.windows)?;
        inner.columns.push(column.to_owned());
        other.with_measures(measures.iter().map(|&measure| measure.to_owned()).collect())
    }

    pub(super) fn main(&self) -> &Place {
        &self.places[0]
    }

    /// A measure that counts as nothing else, of the first relation.
    pub(super) fn measure(&self, draw: &mut Draw<'_>) -> Option<Column> {
        draw.one(&self.main().plain_measures())
    }

    fn identifier(&self, draw: &mut Draw<'_>) -> Option<Column> {
        draw.one(&self.main().identifiers())
    }

    pub(super) fn dimension(&self, draw: &mut Draw<'_>, kind: Kind) -> Option<Column> {
        let mut all = self.main().dimensions();
        all.retain(|c| c.kind == kind);
        draw.one(&all)
    }

    /// Measures that are said with the column of a measure.
    fn of_measure(&self, draw: &mut Draw<'_>, write: impl Fn(&str) -> String) -> Option<String> {
        let column = self.measure(draw)?;
        self.with_measures(vec![write(&column.sql)])
    }
}

const SHAPES: &[(&str, Change)] = &[
    ("rows", |s, draw| {
        if s.inner.is_some() {
            return None;
        }
        let all = s.main().dimensions();
        let list = format!("{} AS c0, {} AS c1", draw.one(&all)?.sql, draw.one(&all)?.sql);
        let limit = if draw.chance(50) { " LIMIT 5" } else { "" };
        Some(format!("SELECT {list}{}{limit}", s.body()))
    }),
    ("a window over rows", |s, draw| {
        let column = s.measure(draw).filter(|_| s.inner.is_none())?;
        Some(format!(
            "SELECT a.organisation, avg({}) OVER (PARTITION BY a.organisation){}",
            column.sql,
            s.body()
        ))
    }),
];

const KEYS: &[(&str, Change)] = &[
    ("a measure as a key", |s, draw| s.with_key(s.measure(draw)?.sql)),
    ("a function of a measure as a key", |s, draw| {
        let c = s.measure(draw)?.sql;
        let all = [format!("round({c})"), format!("{c} + 1"), format!("floor({c} / 10)")];
        s.with_key(draw.of(&all))
    }),
    ("a measure capped too high", |s, draw| {
        let column = s.measure(draw).filter(|c| c.kind == Kind::Whole)?;
        s.with_key(format!("least({}, 1000)", column.sql))
    }),
    ("the days between two dates as a key", |s, _| s.with_key(s.main().days()?)),
    ("a measure in a CASE as a key", |s, draw| {
        let c = s.measure(draw)?.sql;
        s.with_key(format!("CASE WHEN {c} < 40 THEN {c} ELSE 0 END"))
    }),
    ("a measure compared with a measure as a key", |s, draw| {
        let mut all = s.main().plain_measures();
        let (a, b) = (draw.take(&mut all)?, draw.take(&mut all)?);
        s.with_key(format!("{} < {}", a.sql, b.sql))
    }),
    ("the number of values of a measure", |s, draw| {
        s.of_measure(draw, |c| format!("count(DISTINCT {c})"))
    }),
];

const MEASURES: &[(&str, Change)] = &[
    ("a sum of a dimension", |s, draw| {
        let mut all = s.main().dimensions();
        all.retain(|c| c.kind.is_number() && !c.has(Role::Measure));
        let c = draw.one(&all)?.sql;
        s.with_measures(vec![draw.of(&[format!("sum({c})"), format!("avg({c})")])])
    }),
    ("a constant term", |s, draw| s.of_measure(draw, |c| format!("avg({c} + 100)"))),
    ("a constant factor", |s, draw| s.of_measure(draw, |c| format!("avg(2 * {c})"))),
    ("a column twice", |s, draw| s.of_measure(draw, |c| format!("sum({c} + {c})"))),
    ("a square", |s, draw| s.of_measure(draw, |c| format!("sum({c} * {c})"))),
    ("a product that is not listed", |s, _| {
        let all = s.main().plain_measures();
        let [a, b, ..] = all.as_slice() else { return None };
        let listed = |(x, y): &(String, String)| {
            [x, y].iter().all(|n| **n == a.contract.name || **n == b.contract.name)
        };
        if s.main().products.iter().any(listed) {
            return None;
        }
        s.with_measures(vec![format!("sum({} * {})", a.sql, b.sql)])
    }),
    ("a function of a measure", |s, draw| {
        let function = draw.of(&["abs", "sqrt", "floor"].map(str::to_owned));
        s.of_measure(draw, |c| format!("sum({function}({c}))"))
    }),
    ("two branches", |s, draw| {
        let condition = draw.condition(s.main());
        s.of_measure(draw, |c| format!("sum(CASE WHEN {condition} THEN {c} ELSE 7 END)"))
    }),
    ("a moment of what is not continuous", |s, draw| {
        let mut all = s.main().measures();
        all.retain(|c| !c.contract.continuous);
        let c = draw.one(&all)?.sql;
        s.with_measures(vec![format!("stddev({c})")])
    }),
    ("the days from a date to a constant", |s, draw| {
        let c = s.dimension(draw, Kind::Date)?.sql;
        s.with_measures(vec![format!("avg({c} - DATE '2025-01-01')")])
    }),
    ("a column of an open table", |s, draw| {
        let mut other = s.clone();
        other.add_open(draw, "y", "LEFT JOIN");
        let open = other.places.last().filter(|place| place.alias == "y")?;
        let column = draw.one(&open.all().collect::<Vec<_>>())?;
        let function = if column.kind.is_number() { "sum" } else { "count" };
        other.with_measures(vec![format!("{function}({})", column.sql)])
    }),
    ("weights in rows of constants", |s, draw| {
        let c = s.dimension(draw, Kind::Text)?.sql;
        let join = format!("JOIN (VALUES ('a', 1), ('b', 1000)) AS w (c, weight) ON w.c = {c}");
        let mut other = s.clone();
        other.joins.push(join);
        other.with_measures(vec!["sum(w.weight)".to_owned()])
    }),
    ("a percentile of an expression", |s, draw| {
        let c = s.measure(draw)?.sql;
        let condition = draw.condition(s.main());
        let all =
            [format!("median({c} + 1)"), format!("median(CASE WHEN {condition} THEN {c} END)")];
        s.with_measures(vec![draw.of(&all)])
    }),
];

/// Two conditions on different columns.
fn two_conditions(place: &Place, draw: &mut Draw<'_>) -> Option<(String, String)> {
    let mut all = place.dimensions();
    all.extend(place.plain_measures());
    let (a, b) = (draw.take(&mut all)?, draw.take(&mut all)?);
    Some((draw.on(&a), draw.on(&b)))
}

const CONDITIONS: &[(&str, Change)] = &[
    ("two filters", |s, draw| {
        let (a, b) = two_conditions(s.main(), draw)?;
        let count = |c: String| format!("count(*) FILTER (WHERE {c})");
        s.with_measures(vec![count(a), count(b)])
    }),
    ("a filter and a CASE", |s, draw| {
        let (a, b) = two_conditions(s.main(), draw).filter(|_| s.inner.is_none())?;
        s.of_measure(draw, |c| format!("sum(CASE WHEN {a} THEN {c} END) FILTER (WHERE {b})"))
    }),
    ("two conditions in a subquery", |s, draw| {
        let (a, b) = two_conditions(&s.inner.as_ref()?.table, draw)?;
        let count = |c: String, name| format!("count(*) FILTER (WHERE {c}) AS {name}");
        let both = format!("{}, {}", count(a, "y"), count(b, "z"));
        s.with_inner(&both, &["sum(a.y)", "sum(a.z)"])
    }),
    ("a condition outside and another in a subquery", |s, draw| {
        let (inner, _) = two_conditions(&s.inner.as_ref()?.table, draw)?;
        let outer = draw.condition(s.main());
        let column = format!("count(*) FILTER (WHERE {inner}) AS y");
        s.with_inner(&column, &[&format!("sum(a.y) FILTER (WHERE {outer})")])
    }),
    ("a match and a condition", |s, draw| {
        let count = s.measures.iter().find(|measure| measure.starts_with("count(u."))?;
        let condition = draw.condition(s.main());
        s.with_measures(vec![count.clone(), format!("count(*) FILTER (WHERE {condition})")])
    }),
];

const IDENTIFIERS: &[(&str, Change)] = &[
    ("an identifier as a key", |s, draw| s.with_key(s.identifier(draw)?.sql)),
    ("a function of an identifier as a key", |s, draw| {
        let c = s.identifier(draw)?.sql;
        s.with_key(draw.of(&[format!("concat('p', {c})"), format!("coalesce({c}, {c})")]))
    }),
    ("a sum of an identifier", |s, draw| {
        let mut all = s.main().identifiers();
        all.retain(|c| c.kind == Kind::Whole);
        let c = draw.one(&all)?.sql;
        s.with_measures(vec![draw.of(&[format!("sum({c})"), format!("avg({c})")])])
    }),
    ("a function of an identifier in a condition", |s, draw| {
        let column = s.identifier(draw)?;
        let c = &column.sql;
        s.with_filter(match column.kind {
            Kind::Text => format!("character_length({c}) > 7"),
            _ => format!("abs({c}) > 4000"),
        })
    }),
    ("an identifier in FILTER", |s, draw| {
        let column = s.identifier(draw)?;
        let c = match column.kind {
            Kind::Text => format!("upper({}) > 'N'", column.sql),
            _ => format!("abs({}) > 4000", column.sql),
        };
        s.with_measures(vec![format!("count(*) FILTER (WHERE {c})")])
    }),
    ("the number of values with an identifier in them", |s, draw| {
        let c = s.identifier(draw)?.sql;
        s.with_measures(vec![format!("count(DISTINCT concat('p', {c}))")])
    }),
    ("an extreme identifier in a subquery", |s, draw| {
        let all = s.inner.as_ref()?.table.identifiers();
        let c = draw.one(&all)?.sql;
        s.with_inner(&format!("min({c}) AS y"), &["count(a.y)"])
    }),
    ("identifiers in order", |s, draw| {
        let mut all = s.main().identifiers();
        all.retain(|c| c.kind == Kind::Whole);
        let c = draw.one(&all)?.sql;
        let of = s.dimension(draw, Kind::Whole)?.sql;
        s.with_filter(format!("{c} > {of}"))
    }),
];

const LITERALS: &[(&str, Change)] = &[
    ("an identifier and a value", |s, draw| {
        let column = s.identifier(draw)?;
        let c = &column.sql;
        let all = match column.kind {
            Kind::Text => vec![
                format!("{c} = 'N000123'"),
                format!("{c} IN ('N000123', 'N000124')"),
                format!("{c} LIKE 'N0001%'"),
                format!("{c} <> 'N000123'"),
                format!("{c} BETWEEN 'A' AND 'N'"),
                format!("left({c}, 4) = 'N000'"),
            ],
            _ => vec![
                format!("{c} = 4711"),
                format!("{c} IN (4711, 4712)"),
                format!("{c} < 4711"),
                format!("NOT {c} = 4711"),
                format!("{c} BETWEEN 4000 AND 5000"),
                format!("{c} % 7 = 3"),
            ],
        };
        s.with_filter(draw.of(&all))
    }),
    ("an identifier and a value in FILTER", |s, draw| {
        let column = s.identifier(draw)?;
        let value = if column.kind == Kind::Text { "'N000123'" } else { "4711" };
        s.with_measures(vec![format!("count(*) FILTER (WHERE {} = {value})", column.sql)])
    }),
    ("an identifier and a value, or something else", |s, draw| {
        let column = s.identifier(draw)?;
        let value = if column.kind == Kind::Text { "'N000123'" } else { "4711" };
        let condition = draw.condition(s.main());
        s.with_filter(format!("({} = {value} OR {condition})", column.sql))
    }),
    ("a join with values", |s, draw| {
        let column = s.identifier(draw)?;
        let value = if column.kind == Kind::Text { "'N000123'" } else { "4711" };
        s.with_join(format!("JOIN (VALUES ({value})) AS w (n) ON w.n = {}", column.sql))
    }),
    ("IN values", |s, draw| {
        let column = s.identifier(draw)?;
        let value = if column.kind == Kind::Text { "'N000123'" } else { "4711" };
        let list = format!("SELECT w.n FROM (VALUES ({value})) AS w (n)");
        s.with_filter(format!("{} IN ({list})", column.sql))
    }),
    ("EXISTS among values", |s, draw| {
        let column = s.identifier(draw)?;
        let value = if column.kind == Kind::Text { "'N000123'" } else { "4711" };
        let list = format!("(VALUES ({value}), ({value})) AS w (n)");
        let not = if draw.chance(50) { "NOT " } else { "" };
        s.with_filter(format!("{not}EXISTS (SELECT 1 FROM {list} WHERE w.n = {})", column.sql))
    }),
];

const EXTREMES: &[(&str, Change)] = &[
    ("the largest or smallest value", |s, draw| {
        let mut all = s.main().dimensions();
        all.retain(|c| c.kind != Kind::Flag);
        all.extend(s.main().measures());
        // What a window repeats is refused for that.
        all.retain(|c| c.contract.name != "beside");
        let c = draw.one(&all)?.sql;
        s.with_measures(vec![draw.of(&[format!("max({c})"), format!("min({c})")])])
    }),
    ("bits of all", |s, draw| {
        let column = s.measure(draw).filter(|c| c.kind == Kind::Whole)?;
        // Of subqueries only counts are surely whole numbers.
        let name = column.contract.name == "n" || !s.main().derived;
        let function = draw.of(&["bit_and", "bit_or", "bit_xor"].map(str::to_owned));
        s.with_measures(vec![format!("{function}({})", column.sql)]).filter(|_| name)
    }),
    ("whether all or any", |s, draw| {
        let condition = draw.condition(s.main());
        let function = draw.of(&["bool_and", "bool_or"].map(str::to_owned));
        s.with_measures(vec![format!("{function}({condition})")])
    }),
    ("a percentile at the end", |s, draw| {
        let column =
            s.measure(draw).filter(|c| !c.contract.bins.is_empty() && !s.main().derived)?;
        let p = draw.of(&["0.99", "0.01", "1"].map(str::to_owned));
        s.with_measures(vec![format!("approx_percentile_cont({}, {p})", column.sql)])
    }),
    ("a moment of one person", |s, draw| {
        let all = s.inner.as_ref()?.table.measures();
        let c = draw.one(&all)?.sql;
        s.with_inner(&format!("stddev({c}) AS y"), &["avg(a.y)"])
    }),
    ("bits of one person", |s, draw| {
        let mut all = s.inner.as_ref()?.table.measures();
        all.retain(|c| c.kind == Kind::Whole);
        let c = draw.one(&all)?.sql;
        s.with_inner(&format!("bit_xor({c}) AS y"), &["sum(a.y)"])
    }),
];

const FUNCTIONS: &[(&str, Change)] = &[
    ("a function that is not listed, in a condition", |s, draw| {
        let text = s.dimension(draw, Kind::Text)?.sql;
        let all = [
            format!("md5({text}) <> 'x'"),
            format!("levenshtein({text}, 'x') < 3"),
            format!("octet_length({text}) < 3"),
            format!("find_in_set({text}, 'a,b') = 1"),
        ];
        s.with_filter(draw.of(&all))
    }),
    ("a function that is not listed, of a measure", |s, draw| {
        let c = s.measure(draw)?.sql;
        s.with_filter(draw.of(&[format!("cbrt({c}) > 2"), format!("sin({c}) > 0")]))
    }),
    ("a function that is not listed, as a key", |s, draw| {
        let text = s.dimension(draw, Kind::Text)?.sql;
        s.with_key(format!("md5({text})"))
    }),
    ("a function that is not listed, in FILTER", |s, draw| {
        let text = s.dimension(draw, Kind::Text)?.sql;
        s.with_measures(vec![format!("count(*) FILTER (WHERE md5({text}) < '8')")])
    }),
    ("bits in a condition", |s, draw| {
        let c = s.dimension(draw, Kind::Whole)?.sql;
        s.with_filter(draw.of(&[format!("{c} & 1 = 1"), format!("({c} | 1) > 2")]))
    }),
    ("bits as a key", |s, draw| {
        let c = s.dimension(draw, Kind::Whole)?.sql;
        s.with_key(draw.of(&[format!("{c} & 1"), format!("{c} << 2")]))
    }),
    ("a cast that may fail, inside a count", |s, draw| {
        let text = s.dimension(draw, Kind::Text).filter(|_| !s.main().derived)?.sql;
        s.with_measures(vec![format!("count(CAST({text} AS DOUBLE))")])
    }),
    ("a window with a default", |s, _| {
        let mut other = s.clone();
        let inner = other.inner.as_mut().filter(|inner| inner.windows)?;
        let beside = inner.columns.pop()?;
        let (call, over) = beside.split_once(") OVER ")?;
        let (_, column) = call.split_once('(')?;
        inner.columns.push(format!("lag({column}, 1, {column}) OVER {over}"));
        other.filter.push("a.beside IS NOT NULL".to_owned());
        Some(other.sql())
    }),
];

/// The contract of another table about people than the first.
pub(super) fn another(
    s: &Statement,
    draw: &mut Draw<'_>,
    kept: impl Fn(&TableContract) -> bool,
) -> Option<Arc<TableContract>> {
    let mut all = draw.schema.protected.to_vec();
    all.retain(|other| other.name != s.contract.name && kept(other));
    draw.one(&all)
}
