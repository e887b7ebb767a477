//! Two federations that differ in what is under k only: every byte of an answer is the same.
//!
//! For each statement the first federation has a copy of the visits, and the second one has that
//! copy changed: groups of fewer than k people at an organisation are emptied, filled with others,
//! or joined by new ones, and measures behind withheld cells have other values, NULL or zero.
//! People, keys and values under k are searched for in the bytes besides.

use std::collections::{BTreeMap, BTreeSet};

use arrow_flight::FlightData;
use datafusion::prelude::SessionContext;
use hedgerow_engine::Coverage;
use rand::Rng;
use rand::seq::IndexedRandom;

use super::data::{Column, Datum, Dice, MARKER, Part, Random, Table, dice, seed, worlds};
use super::gated::Judge;
use super::open::{Share, over};
use super::statements::Statement;
use crate::answers::{Value, values};
use crate::raw::Raw;
use crate::threshold::holds;
use crate::world::{Client, World, in_time};

const WORLDS: u64 = 1;
const STATEMENTS: usize = 6;
/// Numbers of rows and people that are only in the second federation.
const NEW_ROWS: i64 = 1_000_000;
const NEW_PEOPLE: i64 = 500_000;

/// A group at an organisation.
type Place = (usize, String);

/// What one statement makes of the visits: the group of every row, and how large the groups are.
struct Sizes {
    group_of: BTreeMap<(usize, i64), String>,
    /// People, then contributors per link.
    counts: BTreeMap<Place, Vec<i64>>,
    k: i64,
}

impl Sizes {
    async fn of(random: &Random, statement: &Statement) -> Self {
        let judge = Judge::new(statement, random);
        let tables = judge.tables(&random.union()).await;
        let keys: String = (0..statement.keys.len()).map(|i| format!(", k{i}")).collect();
        let place = |name: &Value| match name {
            Value::Exact(name) => random.organisations.iter().position(|own| own == name).unwrap(),
            other => panic!("{other:?} is no organisation"),
        };
        let mut sizes =
            Self { group_of: BTreeMap::new(), counts: BTreeMap::new(), k: i64::from(random.k) };
        for row in rows_of(&tables, &format!("SELECT o, event{keys} FROM base")).await {
            let event = number(&row[1]);
            sizes.group_of.insert((place(&row[0]), event), format!("{:?}", &row[2..]));
        }
        let links: String = (0..judge.links()).map(|i| format!(", r{i}")).collect();
        let width = statement.keys.len() + 1;
        let sql = format!("SELECT o{keys}, people{links} FROM groups");
        for row in rows_of(&tables, &sql).await {
            let group = (place(&row[0]), format!("{:?}", &row[1..width]));
            sizes.counts.insert(group, row[width..].iter().map(number).collect());
        }
        sizes
    }

    fn is_small(&self, place: &Place) -> bool {
        self.counts.get(place).is_none_or(|counts| counts[0] < self.k)
    }

    fn place(&self, own: usize, row: &[Datum]) -> Option<Place> {
        self.group_of.get(&(own, event(row))).map(|group| (own, group.clone()))
    }

    /// Groups that are released, their rows, and which of their cells are.
    fn released(&self) -> BTreeMap<&Place, (BTreeSet<i64>, Vec<bool>)> {
        let large = self.counts.iter().filter(|(place, _)| !self.is_small(place));
        let mut all: BTreeMap<_, _> = large
            .map(|(place, counts)| {
                (place, (BTreeSet::new(), counts.iter().map(|n| *n >= self.k).collect()))
            })
            .collect();
        for ((own, event), group) in &self.group_of {
            if let Some((rows, _)) = all.get_mut(&(*own, group.clone())) {
                rows.insert(*event);
            }
        }
        all
    }
}

async fn rows_of(context: &SessionContext, sql: &str) -> Vec<Vec<Value>> {
    values(&over(context, sql).await)
}

fn number(value: &Value) -> i64 {
    match value {
        Value::Exact(text) => text.parse().unwrap(),
        other => panic!("{other:?} is no number"),
    }
}

fn event(row: &[Datum]) -> i64 {
    match row[0] {
        Datum::Int(number) => number,
        ref other => panic!("{other:?} is no number of a row"),
    }
}

/// Makes the second federation for one statement.
struct Twin<'a> {
    random: &'a Random,
    statement: &'a Statement,
    sizes: Sizes,
    /// Measures that only aggregates read.
    free: Vec<usize>,
    next_row: i64,
    next_person: i64,
}

impl Twin<'_> {
    async fn make(dice: &mut Dice, random: &Random, statement: &Statement) -> Random {
        let sizes = Sizes::of(random, statement).await;
        let visits = &random.tables[0];
        let free = (0..visits.columns.len()).filter(|i| is_free(statement, &visits.columns[*i]));
        let mut twin = Twin {
            random,
            statement,
            free: free.collect(),
            sizes,
            next_row: NEW_ROWS,
            next_person: NEW_PEOPLE,
        };
        let mut other = random.clone();
        for own in 0..random.organisations.len() {
            other.tables[0].rows[own] = twin.rows(dice, own);
        }
        // New rows that fell into a released group, or made one, go again.
        let new = Sizes::of(&other, statement).await;
        for (own, rows) in other.tables[0].rows.iter_mut().enumerate() {
            rows.retain(|row| {
                let place = new.place(own, row);
                let lands = place.is_some_and(|p| !twin.sizes.is_small(&p) || !new.is_small(&p));
                event(row) < NEW_ROWS || !lands
            });
        }
        let new = Sizes::of(&other, statement).await;
        assert_eq!(twin.sizes.released(), new.released(), "the twin differs above k");
        other
    }

    fn rows(&mut self, dice: &mut Dice, own: usize) -> Vec<Vec<Datum>> {
        let before = &self.random.tables[0].rows[own];
        let mut small: BTreeMap<Place, Vec<&Vec<Datum>>> = BTreeMap::new();
        let mut large: BTreeMap<Place, Vec<usize>> = BTreeMap::new();
        let mut rows: Vec<Vec<Datum>> = vec![];
        for row in before {
            match self.sizes.place(own, row) {
                Some(place) if self.sizes.is_small(&place) => {
                    small.entry(place).or_default().push(row);
                }
                place => {
                    if let Some(place) = place {
                        large.entry(place).or_default().push(rows.len());
                    }
                    rows.push(row.clone());
                }
            }
        }
        for (place, group) in &large {
            self.change_hidden_cells(dice, place, &mut rows, group);
        }
        let mut new: Vec<Vec<Datum>> = vec![];
        for group in small.values() {
            new.extend(self.other_people(dice, group));
        }
        for _ in 0..dice.random_range(0..10) {
            new.push(self.stranger(dice));
        }
        // Some before and some behind what is released.
        let front = new.split_off(new.len() / 2);
        [front, rows, new].concat()
    }

    /// Rows of up to k − 1 people in place of those of a small group.
    fn other_people(&mut self, dice: &mut Dice, group: &[&Vec<Datum>]) -> Vec<Vec<Datum>> {
        let person = self.random.tables[0].column("person_number");
        let people = dice.random_range(0..self.sizes.k);
        let joined = self.statement.from.contains("person b");
        let mut rows = vec![];
        for _ in 0..people {
            let mut row = group.choose(dice).unwrap().to_vec();
            // What a join finds of a person may be a key, so there people stay who they are.
            if !joined {
                row[person] = self.new_person();
            }
            for _ in 0..dice.random_range(1..3) {
                for &index in &self.free {
                    row[index] = draw(dice, &self.random.tables[0].columns[index]);
                }
                row[0] = self.new_row();
                rows.push(row.clone());
            }
        }
        rows
    }

    /// A row of somebody new, with a key that was not there.
    fn stranger(&mut self, dice: &mut Dice) -> Vec<Datum> {
        let visits = &self.random.tables[0];
        let (person, number) = (self.new_person(), self.new_row());
        let mut row = visits.row(dice, person, 0);
        row[0] = number;
        row[visits.column("label")] = Datum::Text(format!("{MARKER}new_{}", self.next_row));
        row
    }

    fn new_person(&mut self) -> Datum {
        self.next_person += 1;
        self.random.person(self.next_person)
    }

    fn new_row(&mut self) -> Datum {
        self.next_row += 1;
        Datum::Int(self.next_row)
    }

    /// Other values, of up to k − 1 people, where every cell of a column is withheld.
    fn change_hidden_cells(
        &self,
        dice: &mut Dice,
        place: &Place,
        rows: &mut [Vec<Datum>],
        group: &[usize],
    ) {
        let visits = &self.random.tables[0];
        let person = visits.column("person_number");
        let judge = Judge::new(self.statement, self.random);
        let counts = &self.sizes.counts[place];
        for &index in &self.free {
            let column = &visits.columns[index];
            let cells: Vec<_> = self
                .statement
                .measures
                .iter()
                .filter(|measure| measure.columns.contains(&column.name))
                .map(|measure| counts[1 + judge.link(measure)] < self.sizes.k)
                .collect();
            if cells.is_empty() || cells.contains(&false) {
                continue;
            }
            let mut chosen: Vec<Datum> = vec![];
            for _ in 0..dice.random_range(0..self.sizes.k) {
                chosen.push(rows[*group.choose(dice).unwrap()][person].clone());
            }
            for &row in group {
                rows[row][index] = match chosen.contains(&rows[row][person]) {
                    true => column.draw(dice),
                    false => nothing(column),
                };
            }
        }
    }
}

fn draw(dice: &mut Dice, column: &Column) -> Datum {
    if column.nullable && dice.random_bool(0.3) { Datum::Null } else { column.draw(dice) }
}

/// The value that contributes nothing.
fn nothing(column: &Column) -> Datum {
    match column.data_type {
        _ if column.nullable => Datum::Null,
        arrow::datatypes::DataType::Float64 => Datum::Float(0.0),
        arrow::datatypes::DataType::Decimal128(..) => Datum::Decimal(0),
        _ => Datum::Int(0),
    }
}

/// Whether a column of the visits stands in arguments only, and once in each.
fn is_free(statement: &Statement, column: &Column) -> bool {
    let name = format!("a.{}", column.name);
    let conditions = statement.measures.iter().filter_map(|measure| measure.condition.as_ref());
    let mut others = statement.keys.iter().chain(&statement.filter).chain(conditions);
    let mut arguments = statement.measures.iter().flat_map(|measure| &measure.arguments);
    column.part == Part::Measure
        && !others.any(|text| text.contains(&name))
        && !arguments.any(|text| text.matches(&name).count() > 1 || is_when(text, &name))
}

/// Whether a CASE asks for the column rather than yielding it.
fn is_when(text: &str, name: &str) -> bool {
    text.contains(name) && text.starts_with("CASE") && !text.contains(&format!("THEN {name}"))
}

/// The statement over its own copy of the visits.
fn over_copy(statement: &Statement, copy: usize) -> String {
    statement.sql().replace("FROM visit a", &format!("FROM visit_{copy} a"))
}

/// A federation with one copy of the visits per statement.
fn copies(random: &Random, visits: impl Iterator<Item = Table>) -> Random {
    let copies = visits.enumerate().map(|(i, table)| Table { name: format!("visit_{i}"), ..table });
    let tables = copies.chain(random.tables[1..].iter().cloned()).collect();
    Random { tables, ..random.clone() }
}

/// What one statement brings: all bytes, and what may be compared of them.
struct Heard {
    answer: Vec<FlightData>,
    nodes: Vec<Vec<FlightData>>,
}

impl Heard {
    /// Bytes of the messages, without ids of statements and releases and prints of files.
    fn comparable(&self) -> (Coverage, Vec<Vec<u8>>) {
        let coverage = self.answer.iter().find(|message| !message.app_metadata.is_empty());
        let mut coverage: Coverage =
            serde_json::from_slice(&coverage.unwrap().app_metadata).unwrap();
        coverage.statement_id.clear();
        for node in &mut coverage.nodes {
            node.epochs.clear();
        }
        let all = self.nodes.iter().flatten().chain(&self.answer);
        let bytes = all.map(|message| [&message.data_header[..], &message.data_body[..]].concat());
        (coverage, bytes.collect())
    }

    fn bytes(&self) -> Vec<u8> {
        let all = self.nodes.iter().flatten().chain(&self.answer);
        let bytes = all.flat_map(|m| [&m.data_header[..], &m.data_body, &m.app_metadata].concat());
        bytes.collect()
    }
}

/// One federation with its doors.
struct Ears {
    world: World,
    client: Client,
    coordinator: Raw,
    nodes: BTreeMap<String, Raw>,
}

impl Ears {
    async fn open(random: &Random) -> Self {
        let world = World::start(random.spec()).await;
        let mut nodes = BTreeMap::new();
        for name in &random.organisations {
            nodes.insert(name.clone(), Raw::connect(&world, name).await);
        }
        let client = world.client().await;
        let coordinator = Raw::connect(&world, "coordinator").await;
        Self { world, client, coordinator, nodes }
    }

    /// Asks the coordinator, and then each node what the coordinator asks it.
    async fn hear(&mut self, sql: &str) -> Result<Heard, hedgerow_engine::WireError> {
        let answer = self.coordinator.statement(sql).await?;
        let mut nodes = vec![];
        for row in values(&self.client.ask(&format!("EXPLAIN {sql}")).await.batches) {
            let [Value::Exact(step), Value::Exact(names), Value::Exact(text)] = row.as_slice()
            else {
                panic!("{row:?} is no line of EXPLAIN");
            };
            if step.starts_with("fragment") && text.starts_with("SELECT") {
                for name in names.split(", ") {
                    nodes.push(self.nodes.get_mut(name).unwrap().ask(text).await?);
                }
            }
        }
        Ok(Heard { answer, nodes })
    }
}

/// Values of visits in groups under k, and their sums: no message may hold one.
fn secrets(random: &Random, sizes: &Sizes) -> BTreeMap<[u8; 8], String> {
    let visits = &random.tables[0];
    let columns = ["units", "minutes"].map(|name| visits.column(name));
    let mut secrets = BTreeMap::new();
    let mut sums: BTreeMap<(Place, usize), (i64, f64)> = BTreeMap::new();
    let mut keep = |value: Datum, place: &Place| {
        secrets.extend(bytes(&value).map(|bytes| (bytes, format!("{value:?} of {place:?}"))));
    };
    for (own, rows) in visits.rows.iter().enumerate() {
        for row in rows {
            let Some(place) = sizes.place(own, row).filter(|place| sizes.is_small(place)) else {
                continue;
            };
            for index in columns {
                let sum = sums.entry((place.clone(), index)).or_default();
                match row[index] {
                    Datum::Int(number) => sum.0 += number,
                    Datum::Float(number) => sum.1 += number,
                    _ => {}
                }
                keep(row[index].clone(), &place);
            }
        }
    }
    for ((place, _), (units, minutes)) in sums {
        keep(Datum::Int(units), &place);
        keep(Datum::Float(minutes), &place);
    }
    secrets
}

/// The bytes of a number, where they are unlike others.
fn bytes(value: &Datum) -> Option<[u8; 8]> {
    match value {
        Datum::Int(number) if number.abs() > 1 << 24 => Some(number.to_le_bytes()),
        Datum::Float(number) if number.fract() != 0.0 => Some(number.to_le_bytes()),
        _ => None,
    }
}

fn assert_nothing_secret(what: &str, bytes: &[u8], secrets: &BTreeMap<[u8; 8], String>) {
    for window in bytes.windows(8) {
        if let Some(secret) = secrets.get(window) {
            panic!("{what}\n{secret} is in the bytes");
        }
    }
    for marker in [MARKER.to_owned(), MARKER.to_uppercase()] {
        assert!(!holds(bytes, marker.as_bytes()), "{what}\na label of few people is in the bytes");
    }
}

async fn compare(world_number: u64, share: &mut Share) {
    let mut dice = dice(3, world_number);
    let contracts = dice.random_range(2..=3);
    let random = Random::with_contracts(&mut dice, true, contracts);
    let mut statements = vec![];
    while statements.len() < STATEMENTS {
        let mut statement = Statement::draw(&mut dice, &random);
        if !statement.from.starts_with("visit") {
            continue;
        }
        if dice.random_bool(0.5) && !statement.keys.iter().any(|key| key == "a.label") {
            statement.keys.push("a.label".to_owned());
        }
        if dice.random_bool(0.3) {
            statement.limit(&mut dice);
        }
        statements.push(statement);
    }
    let mut changed = vec![];
    for statement in &statements {
        changed.push(Twin::make(&mut dice, &random, statement).await.tables.swap_remove(0));
    }
    let same = statements.iter().map(|_| random.tables[0].clone());
    let mut first = Ears::open(&copies(&random, same)).await;
    let mut second = Ears::open(&copies(&random, changed.into_iter())).await;
    for (copy, statement) in statements.iter().enumerate() {
        let sql = over_copy(statement, copy);
        let what = format!("seed {}, twin world {world_number}, k = {}: {sql}", seed(), random.k);
        let Some(heard) = share.count(&what, first.hear(&sql).await) else { continue };
        let twin = second.hear(&sql).await.unwrap();
        let ((coverage, messages), (twin_coverage, twin_messages)) =
            (heard.comparable(), twin.comparable());
        assert_eq!(coverage, twin_coverage, "{what}");
        assert!(messages == twin_messages, "{what}\nthe bytes tell the twins apart");
        let bytes = heard.bytes();
        share.rows += messages.len();
        let sizes = Sizes::of(&random, statement).await;
        assert_nothing_secret(&what, &bytes, &secrets(&random, &sizes));
    }
    first.world.shutdown().await;
    second.world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_under_k_changes_no_byte() {
    let mut share = Share::default();
    for world in 0..worlds(WORLDS) {
        in_time(compare(world, &mut share)).await;
    }
    share.assert_enough();
}
