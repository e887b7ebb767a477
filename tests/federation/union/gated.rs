//! Protected tables: every released cell is that of the union without what is under k.
//!
//! What should come out is computed apart from the engine, by SQL over the union: people and
//! contributors per organisation and group, then the aggregates over the rows of groups with k
//! people and cells with k contributors.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use hedgerow_engine::NodeOutcome;

use super::data::{Random, dice, plain_context, seed, worlds};
use super::open::{Share, over, same};
use super::statements::{Measure, Statement};
use crate::answers::{Row, Status, Value, companion, rows, values, values_of};
use crate::world::{Answer, World, in_time};

const WORLDS: u64 = 3;
const STATEMENTS: u64 = 10;

/// One cell as it should come out.
#[derive(Debug, Clone, PartialEq)]
struct Cell {
    value: Value,
    status: Status,
    lower: Value,
    upper: Value,
}

/// The SQL that says what should come out of one statement.
pub(super) struct Judge<'a> {
    statement: &'a Statement,
    k: u32,
    federation_wide: bool,
    /// Per set of cells that fall together: what its contributors must meet, each on its own.
    links: Vec<Vec<String>>,
    /// The number of the set of each measure.
    link_of: Vec<usize>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(statement: &'a Statement, random: &Random) -> Self {
        let mut link_of: Vec<usize> = (0..statement.measures.len()).collect();
        for (i, one) in statement.measures.iter().enumerate() {
            for (j, other) in statement.measures.iter().enumerate().take(i) {
                if fall_together(one, other) {
                    let (old, new) = (link_of[i], link_of[j]);
                    link_of.iter_mut().filter(|link| **link == old).for_each(|link| *link = new);
                }
            }
        }
        let mut known: Vec<usize> = link_of.clone();
        known.sort_unstable();
        known.dedup();
        for link in &mut link_of {
            *link = known.iter().position(|known| known == link).unwrap();
        }
        let links = (0..known.len()).map(|number| {
            let own = statement.measures.iter().zip(&link_of).filter(|(_, link)| **link == number);
            let mut needs: Vec<String> = own.flat_map(|(one, _)| contributes(one)).collect();
            needs.sort();
            needs.dedup();
            needs
        });
        Self {
            statement,
            k: random.k,
            federation_wide: random.federation_wide,
            links: links.collect(),
            link_of,
        }
    }

    /// How many links there are.
    pub(super) fn links(&self) -> usize {
        self.links.len()
    }

    /// The number of the link of a measure.
    pub(super) fn link(&self, measure: &Measure) -> usize {
        let place = self.statement.measures.iter().position(|one| std::ptr::eq(one, measure));
        self.link_of[place.unwrap()]
    }

    /// Whether the cells of a link have contributors of different kinds.
    fn is_mixed(&self, number: usize) -> bool {
        self.links[number].len() > 1
    }

    fn keys(&self, qualifier: &str) -> String {
        let keys = (0..self.statement.keys.len()).map(|i| format!("{qualifier}k{i}, "));
        keys.collect()
    }

    /// `base`, rows with what is asked of them, and `groups`, one row per organisation and group.
    pub(super) async fn tables(&self, union: &SessionContext) -> SessionContext {
        let context = plain_context();
        register(&context, "base", over(union, &self.base()).await);
        let groups = over(&context, &self.groups()).await;
        register(&context, "groups", groups);
        context
    }

    fn base(&self) -> String {
        let Statement { from_union, filter, measures, keys, .. } = self.statement;
        let mut base = "SELECT a.organisation AS o, a.person_number AS p".to_owned();
        if from_union.starts_with("visit") {
            base.push_str(", a.event_number AS event");
        }
        for (i, key) in keys.iter().enumerate() {
            let _ = write!(base, ", {key} AS k{i}");
        }
        for (i, measure) in measures.iter().enumerate() {
            for (j, argument) in measure.arguments.iter().enumerate() {
                let _ = write!(base, ", {argument} AS x{i}_{j}");
            }
            let condition = measure.condition.as_deref().unwrap_or("TRUE");
            let _ = write!(base, ", coalesce({condition}, FALSE) AS c{i}");
        }
        for (number, needs) in self.links.iter().enumerate() {
            for (i, need) in needs.iter().enumerate() {
                let _ = write!(base, ", coalesce({need}, FALSE) AS q{number}_{i}");
            }
        }
        let _ = write!(base, " FROM {from_union}");
        if let Some(filter) = filter {
            let _ = write!(base, " WHERE {filter}");
        }
        base
    }

    fn groups(&self) -> String {
        // Everybody without a number is one person.
        let people = |condition: &str| {
            format!(
                "count(DISTINCT p) FILTER (WHERE {condition}) + CASE WHEN \
                 count(*) FILTER (WHERE {condition} AND p IS NULL) > 0 THEN 1 ELSE 0 END"
            )
        };
        let keys = self.keys("");
        let mut groups = format!("SELECT {keys} o, {} AS people", people("TRUE"));
        for (number, needs) in self.links.iter().enumerate() {
            let counts: Vec<String> =
                (0..needs.len()).map(|i| people(&format!("q{number}_{i}"))).collect();
            let least = match counts.as_slice() {
                [one] => one.clone(),
                _ => format!("least({})", counts.join(", ")),
            };
            let _ = write!(groups, ", {least} AS r{number}");
        }
        for (i, _) in self.distinct() {
            let _ = write!(groups, ", count(DISTINCT p) FILTER (WHERE c{i}) AS d{i}");
        }
        format!("{groups} FROM base GROUP BY {keys} o")
    }

    fn distinct(&self) -> impl Iterator<Item = (usize, &Measure)> {
        self.statement.measures.iter().enumerate().filter(|(_, measure)| measure.distinct)
    }

    fn group_by(&self, qualifier: &str) -> String {
        match self.keys(qualifier).trim_end_matches(", ") {
            "" => String::new(),
            keys => format!("GROUP BY {keys}"),
        }
    }

    /// Values over the rows of what is released.
    fn released(&self) -> String {
        let k = self.k;
        let mut list: Vec<String> =
            (0..self.statement.keys.len()).map(|i| format!("b.k{i} AS k{i}")).collect();
        for (i, measure) in self.statement.measures.iter().enumerate() {
            let arguments: Vec<String> =
                (0..measure.arguments.len()).map(|j| format!("b.x{i}_{j}")).collect();
            let condition = Some(format!("g.r{} >= {k} AND b.c{i}", self.link(measure)));
            let own = Measure { arguments, condition, ..measure.clone() };
            list.push(format!("{} AS m{i}", own.sql()));
        }
        let mut on = "b.o = g.o".to_owned();
        for i in 0..self.statement.keys.len() {
            let _ = write!(on, " AND (b.k{i} IS NOT DISTINCT FROM g.k{i})");
        }
        format!(
            "SELECT {} FROM base b JOIN groups g ON {on} WHERE g.people >= {k} {}",
            list.join(", "),
            self.group_by("b.")
        )
    }

    /// Per group: organisations that release it, and per measure those that release the cell.
    fn parts(&self) -> String {
        let k = self.k;
        let mut list = format!("{} count(*) AS parts", self.keys(""));
        for (i, measure) in self.statement.measures.iter().enumerate() {
            let link = self.link(measure);
            let _ = write!(list, ", sum(CASE WHEN r{link} >= {k} THEN 1 ELSE 0 END) AS n{i}");
        }
        for (i, measure) in self.distinct() {
            let link = self.link(measure);
            let _ = write!(list, ", sum(CASE WHEN r{link} >= {k} THEN d{i} ELSE 0 END) AS s{i}");
            let _ = write!(list, ", max(CASE WHEN r{link} >= {k} THEN d{i} ELSE 0 END) AS t{i}");
        }
        format!("SELECT {list} FROM groups WHERE people >= {k} {}", self.group_by(""))
    }

    /// Per group: people counted at each organisation, added up.
    fn all_people(&self) -> String {
        let mut list: Vec<String> =
            (0..self.statement.keys.len()).map(|i| format!("k{i}")).collect();
        list.extend(self.distinct().map(|(i, _)| format!("sum(d{i}) AS s{i}")));
        format!("SELECT {} FROM groups {}", list.join(", "), self.group_by(""))
    }

    /// What should come out, by key.
    async fn expected(&self, tables: &SessionContext, asked: i64) -> BTreeMap<String, Vec<Cell>> {
        let keys = self.statement.keys.len();
        let released = by_key(keys, values(&over(tables, &self.released()).await));
        let parts = by_key(keys, values(&over(tables, &self.parts()).await));
        assert_eq!(released.keys().collect::<Vec<_>>(), parts.keys().collect::<Vec<_>>());
        let whole = self.statement.keys.iter().any(|key| key == "a.organisation");
        let asked = if whole { 1 } else { asked };
        let row = |key: String, values: Vec<Value>| {
            let parts: Vec<i64> = parts[&key].iter().map(number).collect();
            let cells = values.into_iter().enumerate();
            let cells = cells.map(|(i, value)| self.cell(i, value, asked, &parts, whole));
            (key, cells.collect())
        };
        released.into_iter().map(|(key, values)| row(key, values)).collect()
    }

    fn cell(&self, index: usize, value: Value, asked: i64, parts: &[i64], whole: bool) -> Cell {
        let measure = &self.statement.measures[index];
        let released = parts[1 + index];
        let hidden = (asked - released) * (i64::from(self.k) - 1);
        let place = self.distinct().position(|(i, _)| i == index);
        // People known to several organisations are at least the largest part.
        let shared = measure.distinct && self.federation_wide && !whole;
        let first = 1 + self.statement.measures.len();
        let (least, most) = match place {
            Some(place) => {
                let sum = parts[first + 2 * place];
                (if shared { parts[first + 2 * place + 1] } else { sum }, sum)
            }
            None if measure.counts() => (number(&value), number(&value)),
            None => (0, 0),
        };
        let status = match released {
            0 => Status::Withheld,
            _ if shared && parts[0] > 1 => Status::Partial,
            _ if released < asked => Status::Partial,
            _ => Status::Whole,
        };
        let value = match status {
            Status::Withheld => Value::Null,
            Status::Whole | Status::Partial if measure.distinct => exact(least),
            Status::Whole | Status::Partial => value,
        };
        let nobody_answers = parts[0] == 0;
        let people = measure.distinct || self.statement.one_row;
        let (lower, upper) = match status {
            Status::Whole => (value.clone(), value.clone()),
            _ if !measure.counts() || nobody_answers => (Value::Null, Value::Null),
            // A count that fell with a sum may be one of k people or more.
            _ if people && (released == parts[0] || !self.is_mixed(self.link(measure))) => {
                (exact(least), exact(most + hidden))
            }
            _ => (exact(least), Value::Null),
        };
        Cell { value, status, lower, upper }
    }
}

/// Cells of the same arguments and condition, and those that share a column with a computed argument.
fn fall_together(one: &Measure, other: &Measure) -> bool {
    let shared = one.columns.iter().any(|column| other.columns.contains(column));
    (one.arguments == other.arguments && one.condition == other.condition)
        || (one.is_computed() || other.is_computed()) && shared
}

/// What rows that contribute to a cell meet: the argument is there and, where it is summed, neither
/// it nor any addend of it is zero; of two arguments neither.
fn contributes(measure: &Measure) -> Vec<String> {
    let mut all: Vec<String> = measure.condition.iter().map(|c| format!("({c})")).collect();
    all.extend(measure.arguments.iter().map(|argument| format!("({argument}) IS NOT NULL")));
    if all.is_empty() {
        all.push("TRUE".to_owned());
    }
    let there = all.join(" AND ");
    if measure.counts() || measure.function == "regr_count" {
        return vec![there];
    }
    let pairs = (measure.arguments.len() != 1).then(|| there.clone());
    let parts = measure.arguments.iter().chain(&measure.addends);
    let differs = parts.map(|part| format!("{there} AND ({part}) <> 0"));
    pairs.into_iter().chain(differs).collect()
}

/// Registers rows under a name, every column nullable.
fn register(context: &SessionContext, name: &str, batches: Vec<RecordBatch>) {
    let own = batches[0].schema();
    let fields = own.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let batches = batches
        .into_iter()
        .map(|batch| RecordBatch::try_new(Arc::clone(&schema), batch.columns().to_vec()).unwrap());
    let table = MemTable::try_new(Arc::clone(&schema), vec![batches.collect()]).unwrap();
    context.register_table(name, Arc::new(table)).unwrap();
}

fn exact(number: i64) -> Value {
    Value::Exact(number.to_string())
}

fn number(value: &Value) -> i64 {
    match value {
        Value::Exact(text) => text.parse().unwrap(),
        Value::Null | Value::Float(_) => 0,
    }
}

fn by_key(keys: usize, rows: Vec<Vec<Value>>) -> BTreeMap<String, Vec<Value>> {
    let split = |mut row: Vec<Value>| {
        let rest = row.split_off(keys);
        (format!("{row:?}"), rest)
    };
    rows.into_iter().map(split).collect()
}

/// Rows of an answer, by key, with their bounds.
fn actual(statement: &Statement, answer: &Answer) -> BTreeMap<String, Vec<Cell>> {
    let keys = statement.keys.len();
    let mut all = BTreeMap::new();
    for batch in &answer.batches {
        let bounds = |what: &str| -> Vec<Vec<Value>> {
            (0..statement.measures.len())
                .map(|i| companion(batch, &format!("m{i}"), what).map(values_of).unwrap())
                .collect()
        };
        let (lower, upper) = (bounds("lower"), bounds("upper"));
        for (number, mut row) in rows(std::slice::from_ref(batch)).into_iter().enumerate() {
            let cells: Row = row.split_off(keys);
            let keys: Vec<Value> = row.into_iter().map(|(value, _)| value).collect();
            let cells = cells.into_iter().enumerate().map(|(i, (value, status))| {
                let bound = |bounds: &[Vec<Value>]| bounds[i][number].clone();
                Cell { value, status, lower: bound(&lower), upper: bound(&upper) }
            });
            let before = all.insert(format!("{keys:?}"), cells.collect());
            assert!(before.is_none(), "{keys:?} comes twice");
        }
    }
    all
}

fn same_cell(actual: &Cell, expected: &Cell, slack: f64) -> bool {
    actual.status == expected.status
        && same((&actual.value, &expected.value), slack)
        && same((&actual.lower, &expected.lower), slack)
        && same((&actual.upper, &expected.upper), slack)
}

/// Checks one answer against what should come out, and against the truth.
async fn check(
    what: &str,
    context: &SessionContext,
    random: &Random,
    statement: &Statement,
    answer: &Answer,
) -> usize {
    let judge = Judge::new(statement, random);
    let asked = answer.coverage.count(NodeOutcome::Answered) as i64;
    let others = answer.coverage.count(NodeOutcome::NotNeeded);
    assert_eq!(asked as usize + others, random.organisations.len(), "{what}");
    let tables = judge.tables(context).await;
    let mut expected = judge.expected(&tables, asked).await;
    if statement.keys.is_empty() && expected.is_empty() {
        panic!("{what}: the one group without keys is always there");
    }
    if let Some((index, least)) = statement.having {
        expected.retain(|_, cells| match &cells[index].value {
            Value::Null => false,
            value => number(value) > least,
        });
    }
    let actual = actual(statement, answer);
    let keys = |all: &BTreeMap<String, Vec<Cell>>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&actual), keys(&expected), "{what}: groups, with {asked} asked");
    for (key, cells) in &actual {
        for (i, (cell, expected)) in cells.iter().zip(&expected[key]).enumerate() {
            assert!(
                same_cell(cell, expected, statement.measures[i].slack),
                "{what}: m{i} of {key}\n{cell:?}\nis expected to be\n{expected:?}"
            );
        }
    }
    check_truth(what, context, &tables, &judge, &actual).await;
    actual.len()
}

/// Bounds hold what is true of the whole union; what is marked as whole is that.
async fn check_truth(
    what: &str,
    context: &SessionContext,
    tables: &SessionContext,
    judge: &Judge<'_>,
    actual: &BTreeMap<String, Vec<Cell>>,
) {
    let statement = judge.statement;
    let keys = statement.keys.len();
    let mut truth = by_key(keys, values(&over(context, &statement.groups_union()).await));
    if !judge.federation_wide && judge.distinct().next().is_some() {
        let people = by_key(keys, values(&over(tables, &judge.all_people()).await));
        for (key, counts) in people {
            for ((i, _), count) in judge.distinct().zip(counts) {
                truth.get_mut(&key).unwrap()[i] = exact(number(&count));
            }
        }
    }
    for (key, cells) in actual {
        for (i, (cell, truth)) in cells.iter().zip(&truth[key]).enumerate() {
            let slack = statement.measures[i].slack;
            let whole = cell.status != Status::Whole || same((&cell.value, truth), slack);
            let above = cell.lower == Value::Null
                || cell.status == Status::Whole
                || number(&cell.lower) <= number(truth);
            let below = cell.upper == Value::Null
                || cell.status == Status::Whole
                || number(truth) <= number(&cell.upper);
            assert!(whole && above && below, "{what}: m{i} of {key}\n{cell:?}\nis {truth:?}");
        }
    }
}

async fn compare(world_number: u64, share: &mut Share) {
    let mut dice = dice(2, world_number);
    let random = Random::draw(&mut dice, true);
    let context = random.union();
    let world = World::start(random.spec()).await;
    let mut client = world.client().await;
    for _ in 0..STATEMENTS {
        let statement = Statement::draw(&mut dice, &random);
        let sql = statement.sql();
        let k = random.k;
        let what = format!("seed {}, protected world {world_number}, k = {k}: {sql}", seed());
        let Some(answer) = share.count(&what, client.try_ask(&sql).await) else { continue };
        share.rows += check(&what, &context, &random, &statement, &answer).await;
    }
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn protected_every_released_cell_is_the_unions_without_what_is_under_k() {
    let mut share = Share::default();
    for world in 0..worlds(WORLDS) {
        in_time(compare(world, &mut share)).await;
    }
    share.assert_enough();
}
