//! Mutations of joins, of subqueries, and of the number of questions (rules S5, S6, S7, G7, S10).

use hedgerow_policies::TableContract;

use super::columns::{Column, Draw, Kind, Place};
use super::mutations::{Changes, another};
use super::statements::Statement;

/// Equalities of dimensions of the first relation with those of another of the same type.
fn same_dimension(s: &Statement, other: &Place, draw: &mut Draw<'_>) -> Option<(String, String)> {
    let mut all: Vec<(Column, Column)> = vec![];
    for own in s.main().dimensions() {
        let alike = other
            .dimensions()
            .into_iter()
            .filter(|c| c.contract.data_type == own.contract.data_type);
        all.extend(alike.map(|c| (own.clone(), c)));
    }
    draw.one(&all).map(|(own, theirs)| (own.sql, theirs.sql))
}

fn table(contract: &TableContract) -> Place {
    Place::table(contract, "x")
}

pub(super) const JOINS: Changes = &[
    ("people joined by a dimension", |s, draw| {
        let contract = another(s, draw, |_| true)?;
        let (own, theirs) = same_dimension(s, &table(&contract), draw)?;
        let name = &contract.name;
        s.with_join(format!(
            "JOIN {}{name} AS x ON x.organisation = a.organisation AND {theirs} = {own}",
            s.prefix
        ))
    }),
    ("EXISTS by a dimension", |s, draw| {
        let contract = another(s, draw, |_| true)?;
        let (own, theirs) = same_dimension(s, &table(&contract), draw)?;
        let name = format!("{}{}", s.prefix, contract.name);
        let not = if draw.chance(50) { "NOT " } else { "" };
        s.with_filter(format!(
            "{not}EXISTS (SELECT 1 FROM {name} AS x WHERE x.organisation = a.organisation \
             AND {theirs} = {own})"
        ))
    }),
    ("IN by a dimension", |s, draw| {
        let contract = another(s, draw, |_| true)?;
        let (own, theirs) = same_dimension(s, &table(&contract), draw)?;
        let name = format!("{}{}", s.prefix, contract.name);
        s.with_filter(format!(
            "{own} IN (SELECT {theirs} FROM {name} AS x WHERE x.organisation = a.organisation)"
        ))
    }),
];

pub(super) const FAN_OUTS: Changes = &[
    ("two tables of several rows per person", |s, draw| {
        if !s.main().many || s.inner.is_some() {
            return None;
        }
        let contract = another(s, draw, |c| !c.one_row_per_person())?;
        let on = table(&contract).same_person(s.main());
        s.with_join(format!("JOIN {}{} AS x ON {on}", s.prefix, contract.name))
    }),
    ("an open table without its key", |s, draw| {
        let contract = draw.one(&draw.schema.open)?;
        let other = table(&contract);
        let keyed = |c: &Column| {
            c.contract.unique || contract.keys.iter().any(|k| *k == [c.contract.name.clone()])
        };
        let mut all: Vec<Column> = other.all().filter(|c| !keyed(c)).collect();
        all.retain(|c| s.main().dimensions().iter().any(|own| own.kind == c.kind));
        let theirs = draw.one(&all)?;
        let own = s.dimension(draw, theirs.kind)?;
        let whole = if contract.reference { "" } else { "x.organisation = a.organisation AND " };
        let name = &contract.name;
        s.with_join(format!("JOIN {name} AS x ON {whole}{} = {}", theirs.sql, own.sql))
    }),
    ("a value twice among rows of constants", |s, draw| {
        let own = s.dimension(draw, Kind::Text)?.sql;
        s.with_join(format!("JOIN (VALUES ('a', 1), ('a', 2)) AS x (c, n) ON x.c = {own}"))
    }),
    ("rows of constants that are not equated", |s, draw| {
        let own = s.dimension(draw, Kind::Text)?.sql;
        s.with_join(format!("JOIN (VALUES ('a'), ('b')) AS x (c) ON x.c > {own}"))
    }),
    ("a number of each person for every row", |s, draw| {
        s.inner.as_ref().filter(|inner| !inner.windows)?;
        let contract = another(s, draw, |c| !c.one_row_per_person())?;
        let on = table(&contract).same_person(s.main());
        let mut other = s.clone();
        other.joins.push(format!("JOIN {} AS x ON {on}", contract.name));
        // A key and its cast, above a join of what is derived, are turned down too early: 42703.
        let cast = s.keys.iter().any(|key| key.contains("CAST(a.d "));
        other.with_measures(vec!["sum(a.n)".to_owned()]).filter(|_| !s.main().many && !cast)
    }),
];

pub(super) const INNER: Changes = &[("groups that are not people, at a node", |s, draw| {
    let place = Place::table(&s.contract, "r0");
    let key = draw.one(&place.dimensions())?.sql;
    let function = draw.of(&["sum".to_owned(), "avg".to_owned()]);
    Some(format!(
        "SELECT {function}(d.m0) AS m0 FROM (SELECT {key} AS k0, count(*) AS m0 FROM {} r0 \
         GROUP BY {key}) AS d",
        s.contract.name
    ))
})];

/// The statement with another window in its subquery, of which the first rows are kept.
fn with_window(s: &Statement, window: &str) -> Option<String> {
    let mut other = s.clone();
    let inner = other.inner.as_mut().filter(|inner| inner.windows)?;
    inner.columns.push(format!("{window} AS other"));
    other.with_filter("a.other = 1".to_owned())
}

pub(super) const BELOW: Changes = &[
    ("a window over a dimension", |s, draw| {
        let table = &s.inner.as_ref()?.table;
        let key = draw.one(&table.dimensions())?.sql;
        let order = draw.one(&table.dimensions())?.sql;
        let rank = draw.of(&["rank".to_owned(), "row_number".to_owned()]);
        with_window(
            s,
            &format!("{rank}() OVER (PARTITION BY i.organisation, {key} ORDER BY {order})"),
        )
    }),
    ("a window over everybody", |s, draw| {
        let order = draw.one(&s.inner.as_ref()?.table.measures())?.sql;
        with_window(s, &format!("rank() OVER (PARTITION BY i.organisation ORDER BY {order})"))
    }),
    ("a sum of ranks", |s, draw| {
        s.inner.as_ref().filter(|inner| inner.windows)?;
        let mut other = s.clone();
        other.filter.retain(|condition| !condition.starts_with("a.place"));
        other.with_measures(vec![draw.of(&["sum(a.place)".to_owned(), "avg(a.place)".to_owned()])])
    }),
];

pub(super) const FAMILIES: Changes = &[
    ("the rest in a UNION", |s, draw| {
        let mut one = s.clone();
        one.tail.clear();
        let condition = draw.condition(s.main());
        // What is asked already makes no other question.
        let condition = Some(condition).filter(|condition| !s.filter.contains(condition))?;
        let other = one.with_filter(condition)?;
        Some(format!("{} UNION ALL {other}", one.sql()))
    }),
    ("other keys in a UNION", |s, draw| {
        let key = s.dimension(draw, Kind::Text)?;
        let mut one = s.clone();
        one.tail.clear();
        one.keys = vec![key.sql];
        let other = Statement { keys: vec!["'all'".to_owned()], ..one.clone() };
        Some(format!("{} UNION ALL {}", one.sql(), other.sql()))
    }),
    ("groups and their total", |s, draw| {
        let key = s.dimension(draw, Kind::Text)?;
        let (having, tail) = (None, String::new());
        let measures = vec!["count(*)".to_owned()];
        let one = Statement { keys: vec![key.sql], measures, having, tail, ..s.clone() };
        let total = Statement { keys: vec![], ..one.clone() };
        let (one, total) = (one.sql(), total.sql());
        Some(format!("SELECT max(t.m0) - sum(g.m0) FROM ({one}) AS g CROSS JOIN ({total}) AS t"))
    }),
    ("a percentile beside a count", |s, draw| {
        let column =
            s.measure(draw).filter(|c| !c.contract.bins.is_empty() && !s.main().derived)?;
        s.with_measures(vec![format!("median({})", column.sql), "count(*)".to_owned()])
    }),
    ("the number of values beside a count", |s, draw| {
        let key = s.dimension(draw, Kind::Text)?.sql;
        s.with_measures(vec![format!("count(DISTINCT {key})"), "count(*)".to_owned()])
    }),
    ("the numbers of values of two dimensions", |s, draw| {
        let mut all = s.main().dimensions();
        let (a, b) = (draw.take(&mut all)?.sql, draw.take(&mut all)?.sql);
        s.with_measures(vec![format!("count(DISTINCT {a})"), format!("count(DISTINCT {b})")])
    }),
];

pub(super) const NAMES: Changes = &[
    ("a column that no contract has", |s, draw| {
        let all = ["a.nhs_number IS NOT NULL", "a.postcode LIKE 'N%'"].map(str::to_owned);
        s.with_filter(draw.of(&all))
    }),
    ("a table that no contract has", |s, _| {
        s.with_filter(
            "EXISTS (SELECT 1 FROM ledger AS x WHERE x.organisation = a.organisation)".to_owned(),
        )
    }),
];
