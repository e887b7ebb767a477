//! Random contracts, organisations and rows. Main type: [`Random`], which becomes a [`Spec`] for a
//! federation, and tables for one DataFusion over the union.

use std::env;
use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int16Array, Int32Array,
    Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::prelude::{SessionConfig, SessionContext};
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::world::{Data, Organisation, Spec};

/// Chance, repeatable.
pub(super) type Dice = ChaCha8Rng;

/// What every text key that only few people have begins with.
pub(super) const MARKER: &str = "zq_marker_";

const ORGANISATIONS: [&str; 7] = ["alder", "birch", "cedar", "damson", "elder", "fig", "gorse"];
const WARDS: [&str; 9] =
    ["", "Ärztehaus", "北病棟", "north wing", "O'Neill", "🏥", "a\"b", " lower ", "10%_x"];
const KINDS: [&str; 4] = ["day", "night", "été", "other"];
/// Products of visits that may be summed, where both columns are there.
pub(super) const PRODUCTS: [[&str; 2]; 3] =
    [["cost", "steps"], ["minutes", "score"], ["minutes", "cost"]];
/// 2024-01-01.
const FIRST_DAY: i64 = 19_723;

/// One value; dates and timestamps as their numbers, decimals without their point.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Datum {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Decimal(i128),
    Text(String),
}

/// What a column is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The number of the row.
    Event,
    Person,
    Dimension,
    Measure,
}

/// One column of a random contract.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) data_type: DataType,
    pub(super) part: Part,
    pub(super) nullable: bool,
    /// Moments may be asked of it.
    pub(super) continuous: bool,
    /// Holds the extremes of its type: sums of it would overflow or cancel.
    pub(super) extreme: bool,
}

/// One random table.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) protected: bool,
    pub(super) reference: bool,
    pub(super) columns: Vec<Column>,
    /// Rows of every organisation.
    pub(super) rows: Vec<Vec<Vec<Datum>>>,
}

/// One random federation.
#[derive(Debug, Clone)]
pub(super) struct Random {
    pub(super) organisations: Vec<String>,
    pub(super) k: u32,
    /// People are known across organisations by one number.
    pub(super) federation_wide: bool,
    pub(super) tables: Vec<Table>,
}

/// The seed of all random tests.
pub(super) fn seed() -> u64 {
    number("HEDGEROW_RANDOM_SEED", 1)
}

/// How many random worlds a test goes through.
pub(super) fn worlds(default: u64) -> u64 {
    number("HEDGEROW_RANDOM_WORLDS", default)
}

fn number(variable: &str, default: u64) -> u64 {
    env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// The dice of one world of one test.
pub(super) fn dice(test: u64, world: u64) -> Dice {
    let mut dice = Dice::seed_from_u64(seed());
    dice.set_stream(test << 32 | world);
    dice
}

impl Column {
    fn new(name: &'static str, data_type: DataType, part: Part) -> Self {
        Self { name, data_type, part, nullable: true, continuous: false, extreme: false }
    }

    fn continuous(self) -> Self {
        Self { continuous: true, ..self }
    }

    fn extreme(self) -> Self {
        Self { extreme: true, ..self }
    }

    fn never_null(self) -> Self {
        Self { nullable: false, ..self }
    }

    /// The largest absolute value rows hold, where sums of squares are asked.
    pub(super) fn magnitude(&self) -> f64 {
        if self.name == "cost" { 1e8 } else { 1e5 }
    }
}

impl Table {
    pub(super) fn column(&self, name: &str) -> usize {
        self.columns.iter().position(|column| column.name == name).unwrap()
    }

    fn contract(&self, federation_wide: bool) -> String {
        let scope = if federation_wide { "federation" } else { "organisation" };
        let mut text = format!("name = \"{}\"\nversion = 1\n", self.name);
        if self.reference {
            text.push_str("reference = true\n");
        }
        if self.protected {
            let _ =
                writeln!(text, "person = {{ column = \"person_number\", scope = \"{scope}\" }}");
        } else {
            text.push_str("protection = \"open\"\n");
        }
        let key = self.columns[0].name;
        let _ = writeln!(text, "keys = [[\"{key}\"]]");
        let there = |name: &&str| self.columns.iter().any(|column| column.name == *name);
        let products: Vec<_> = PRODUCTS.iter().filter(|pair| pair.iter().all(there)).collect();
        let _ = writeln!(text, "products = {products:?}");
        for column in &self.columns {
            let (role, more) = match column.part {
                Part::Event if self.reference => ("open", String::new()),
                Part::Event => ("identifier", "within_person = true\n".to_owned()),
                Part::Person if self.protected => ("identifier", String::new()),
                Part::Person => ("identifier", format!("scope = \"{scope}\"\n")),
                Part::Dimension if self.reference => ("open", String::new()),
                Part::Dimension => ("dimension", String::new()),
                Part::Measure => ("measure", format!("continuous = {}\n", column.continuous)),
            };
            let _ = write!(
                text,
                "[[columns]]\nname = \"{}\"\ntype = \"{}\"\nroles = [\"{role}\"]\nnullable = {}\n{more}",
                column.name,
                type_word(&column.data_type),
                column.nullable,
            );
        }
        text
    }

    /// Rows as one batch; with `organisations`, each row behind its organisation.
    pub(super) fn batch(
        &self,
        organisations: Option<&[String]>,
        rows: &[(usize, &[Datum])],
    ) -> RecordBatch {
        let mut fields = vec![];
        let mut arrays: Vec<ArrayRef> = vec![];
        if let Some(names) = organisations {
            fields.push(Field::new("organisation", DataType::Utf8, true));
            let names = rows.iter().map(|(organisation, _)| names[*organisation].as_str());
            arrays.push(Arc::new(StringArray::from_iter_values(names)));
        }
        for (index, column) in self.columns.iter().enumerate() {
            fields.push(Field::new(column.name, column.data_type.clone(), true));
            let values: Vec<&Datum> = rows.iter().map(|(_, row)| &row[index]).collect();
            arrays.push(array(&column.data_type, &values));
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
    }

    fn own(&self, organisation: usize) -> RecordBatch {
        let rows: Vec<(usize, &[Datum])> =
            self.rows[organisation].iter().map(|row| (organisation, row.as_slice())).collect();
        self.batch(None, &rows)
    }

    fn union(&self, organisations: &[String]) -> RecordBatch {
        let count = if self.reference { 1 } else { self.rows.len() };
        let rows: Vec<(usize, &[Datum])> = self.rows[..count]
            .iter()
            .enumerate()
            .flat_map(|(own, rows)| rows.iter().map(move |row| (own, row.as_slice())))
            .collect();
        self.batch(Some(organisations), &rows)
    }
}

fn type_word(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 => "utf8".to_owned(),
        DataType::Boolean => "bool".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal128({precision},{scale})"),
        other => other.to_string().to_lowercase(),
    }
}

fn array(data_type: &DataType, values: &[&Datum]) -> ArrayRef {
    let int = |value: &&Datum| match value {
        Datum::Int(number) => Some(*number),
        _ => None,
    };
    let ints = || values.iter().map(int);
    match data_type {
        DataType::Utf8 => {
            Arc::new(StringArray::from_iter(values.iter().map(|value| match value {
                Datum::Text(text) => Some(text.as_str()),
                _ => None,
            })))
        }
        DataType::Boolean => Arc::new(BooleanArray::from_iter(values.iter().map(|v| match v {
            Datum::Bool(truth) => Some(*truth),
            _ => None,
        }))),
        DataType::Float64 => Arc::new(Float64Array::from_iter(values.iter().map(|v| match v {
            Datum::Float(number) => Some(*number),
            _ => None,
        }))),
        DataType::Decimal128(precision, scale) => {
            let decimals = values.iter().map(|value| match value {
                Datum::Decimal(number) => Some(*number),
                _ => None,
            });
            let decimals = Decimal128Array::from_iter(decimals);
            Arc::new(decimals.with_precision_and_scale(*precision, *scale).unwrap())
        }
        DataType::Int16 => Arc::new(Int16Array::from_iter(ints().map(|i| i.map(|i| i as i16)))),
        DataType::Int32 => Arc::new(Int32Array::from_iter(ints().map(|i| i.map(|i| i as i32)))),
        DataType::Int64 => Arc::new(Int64Array::from_iter(ints())),
        DataType::Date32 => Arc::new(Date32Array::from_iter(ints().map(|i| i.map(|i| i as i32)))),
        DataType::Timestamp(..) => Arc::new(TimestampMicrosecondArray::from_iter(ints())),
        other => panic!("no random columns of {other}"),
    }
}

impl Random {
    /// Draws a federation, its tables all open or all protected but for a reference table.
    pub(super) fn draw(dice: &mut Dice, protected: bool) -> Self {
        let contracts = dice.random_range(1..=3);
        Self::with_contracts(dice, protected, contracts)
    }

    /// Draws a federation with one to three tables: visits, persons, kinds of visits.
    pub(super) fn with_contracts(dice: &mut Dice, protected: bool, contracts: usize) -> Self {
        let mut organisations: Vec<String> =
            ORGANISATIONS.iter().map(|&name| name.to_owned()).collect();
        organisations.shuffle(dice);
        organisations.truncate(dice.random_range(1..=7));
        let mut random = Self {
            organisations,
            k: if dice.random_bool(0.7) { 5 } else { dice.random_range(6..=9) },
            federation_wide: dice.random_bool(0.3),
            tables: vec![],
        };
        let people = random.people(dice);
        let text_numbers = dice.random_bool(0.4);
        random.tables.push(visits(dice, protected, contracts == 3));
        if contracts >= 2 {
            random.tables.push(persons(dice, protected));
        }
        if contracts == 3 {
            random.tables.push(kinds());
        }
        for table in &mut random.tables {
            for column in table.columns.iter_mut().filter(|c| c.part == Part::Person) {
                column.data_type = if text_numbers { DataType::Utf8 } else { DataType::Int64 };
            }
        }
        for (own, people) in people.into_iter().enumerate() {
            let first = if random.federation_wide { own as i64 * 40 } else { 0 };
            let numbers: Vec<Datum> = (first..first + people).map(|n| random.person(n)).collect();
            random.fill(dice, own, &numbers);
        }
        random
    }

    /// How many people every organisation has: even, skewed, or none.
    fn people(&self, dice: &mut Dice) -> Vec<i64> {
        let skewed = dice.random_bool(0.4);
        let giant = dice.random_range(0..self.organisations.len());
        (0..self.organisations.len())
            .map(|own| match (skewed, own == giant) {
                (true, true) => 400,
                (true, false) => dice.random_range(0..8),
                (false, _) if dice.random_bool(0.15) => 0,
                (false, _) => dice.random_range(20..120),
            })
            .collect()
    }

    /// The number of a person, as its column has it.
    pub(super) fn person(&self, number: i64) -> Datum {
        let visits = &self.tables[0];
        match visits.columns[visits.column("person_number")].data_type {
            DataType::Utf8 => Datum::Text(format!("p{number}")),
            _ => Datum::Int(number),
        }
    }

    fn fill(&mut self, dice: &mut Dice, own: usize, people: &[Datum]) {
        let one_group_has_all = dice.random_bool(0.2);
        for table in &mut self.tables {
            let rows = match table.name.as_str() {
                "kind" => kind_rows(),
                "person" => {
                    let known = people.iter().filter(|_| dice.random_bool(0.9)).cloned();
                    known.collect::<Vec<_>>().into_iter().map(|p| table.row(dice, p, 0)).collect()
                }
                _ => visit_rows(table, dice, own, people, self.k),
            };
            let mut rows: Vec<Vec<Datum>> = rows;
            if one_group_has_all && table.name == "visit" {
                skew(table, &mut rows, dice);
            }
            table.rows.push(rows);
        }
    }

    /// The federation's contracts, organisations and files.
    pub(super) fn spec(&self) -> Spec {
        let mut spec = Spec::default().k(self.k);
        for table in &self.tables {
            spec = spec.contract(&table.contract(self.federation_wide));
        }
        for (own, name) in self.organisations.iter().enumerate() {
            let mut organisation = Organisation::new(name);
            for table in &self.tables {
                organisation = organisation.table(&table.name, Data::Rows(vec![table.own(own)]));
            }
            spec = spec.organisation(organisation);
        }
        spec
    }

    /// One DataFusion over the union of all organisations' rows.
    pub(super) fn union(&self) -> SessionContext {
        let context = plain_context();
        for table in &self.tables {
            context.register_batch(&table.name, table.union(&self.organisations)).unwrap();
        }
        context
    }
}

/// One DataFusion, without a check of its own that rejects `x IS NOT TRUE` in some places.
pub(super) fn plain_context() -> SessionContext {
    let mut config = SessionConfig::new();
    config.options_mut().execution.skip_physical_aggregate_schema_check = true;
    SessionContext::new_with_config(config)
}

fn visits(dice: &mut Dice, protected: bool, kinds: bool) -> Table {
    let timestamp = DataType::Timestamp(TimeUnit::Microsecond, None);
    let mut columns = vec![
        Column::new("event_number", DataType::Int64, Part::Event).never_null(),
        Column::new("person_number", DataType::Int64, Part::Person),
        Column::new("label", DataType::Utf8, Part::Dimension),
    ];
    if kinds {
        columns.push(Column::new("kind", DataType::Utf8, Part::Dimension));
    }
    let mut dimensions = vec![
        Column::new("ward", DataType::Utf8, Part::Dimension),
        Column::new("urgent", DataType::Boolean, Part::Dimension),
        Column::new("band", DataType::Int16, Part::Dimension),
        Column::new("level", DataType::Int32, Part::Dimension),
        Column::new("grade", DataType::Int64, Part::Dimension),
        Column::new("tariff", DataType::Decimal128(5, 2), Part::Dimension),
        Column::new("day", DataType::Date32, Part::Dimension),
        Column::new("moment", timestamp, Part::Dimension),
    ];
    let mut measures = vec![
        Column::new("steps", DataType::Int16, Part::Measure).continuous(),
        Column::new("metres", DataType::Int32, Part::Measure).continuous(),
        Column::new("edge", DataType::Int64, Part::Measure).extreme(),
        Column::new("wide", DataType::Float64, Part::Measure).extreme(),
        Column::new("cost", DataType::Decimal128(12, 2), Part::Measure).continuous(),
        Column::new("fund", DataType::Decimal128(28, 6), Part::Measure),
    ];
    dimensions.shuffle(dice);
    dimensions.truncate(dice.random_range(2..=6));
    measures.shuffle(dice);
    measures.truncate(dice.random_range(2..=5));
    columns.extend(dimensions);
    columns.extend(measures);
    columns.push(Column::new("units", DataType::Int64, Part::Measure));
    columns.push(Column::new("minutes", DataType::Float64, Part::Measure).continuous());
    columns.push(Column::new("score", DataType::Float64, Part::Measure).continuous());
    for column in columns.iter_mut().skip(2) {
        column.nullable = dice.random_bool(0.6);
    }
    Table { name: "visit".to_owned(), protected, reference: false, columns, rows: vec![] }
}

fn persons(dice: &mut Dice, protected: bool) -> Table {
    let mut columns = vec![
        Column::new("person_number", DataType::Int64, Part::Person).never_null(),
        Column::new("sex", DataType::Utf8, Part::Dimension),
        Column::new("region", DataType::Int16, Part::Dimension),
        Column::new("age", DataType::Int32, Part::Measure).continuous(),
    ];
    for column in columns.iter_mut().skip(1) {
        column.nullable = dice.random_bool(0.6);
    }
    Table { name: "person".to_owned(), protected, reference: false, columns, rows: vec![] }
}

/// A table that every organisation has.
fn kinds() -> Table {
    let columns = vec![
        Column::new("code", DataType::Utf8, Part::Event).never_null(),
        Column::new("title", DataType::Utf8, Part::Dimension),
    ];
    Table { name: "kind".to_owned(), protected: false, reference: true, columns, rows: vec![] }
}

/// Two codes share a title, one has none, and one is missing.
fn kind_rows() -> Vec<Vec<Datum>> {
    let text = |text: &str| Datum::Text(text.to_owned());
    vec![
        vec![text(KINDS[0]), text("by day")],
        vec![text(KINDS[1]), Datum::Null],
        vec![text(KINDS[2]), text("by day")],
    ]
}

/// One to four rows a person, some of nobody known; some labels only few people have.
fn visit_rows(
    table: &Table,
    dice: &mut Dice,
    own: usize,
    people: &[Datum],
    k: u32,
) -> Vec<Vec<Datum>> {
    let mut rows = vec![];
    let nobody = dice.random_bool(0.5);
    for person in people {
        for _ in 0..dice.random_range(1..=4) {
            let person = if nobody && dice.random_bool(0.05) { &Datum::Null } else { person };
            rows.push(table.row(dice, person.clone(), rows.len() as i64));
        }
    }
    let label = table.column("label");
    let units = table.column("units");
    let minutes = table.column("minutes");
    for marker in 0..(people.len() / 12) {
        let few = dice.random_range(1..k) as usize;
        let few: Vec<&Datum> = people.choose_multiple(dice, few).collect();
        for person in few {
            let mut row = table.row(dice, person.clone(), rows.len() as i64);
            row[label] = Datum::Text(format!("{MARKER}{own}_{marker}"));
            row[units] = Datum::Int(7_100_000_000_000 + dice.random_range(0..99_999_999_999));
            // Dyadic, with many digits: exact in any sum, and unlike any other eight bytes.
            row[minutes] =
                Datum::Float(73.140_625 + f64::from(dice.random::<u32>()) / 4_294_967_296.0);
            rows.push(row);
        }
    }
    rows
}

/// Gives nearly all rows the dimensions of the first.
fn skew(table: &Table, rows: &mut [Vec<Datum>], dice: &mut Dice) {
    let Some(first) = rows.first().cloned() else { return };
    for row in rows.iter_mut().filter(|_| dice.random_bool(0.95)) {
        for (index, column) in table.columns.iter().enumerate() {
            if column.part == Part::Dimension
                && !is_marker(&row[index])
                && !is_marker(&first[index])
            {
                row[index] = first[index].clone();
            }
        }
    }
}

pub(super) fn is_marker(value: &Datum) -> bool {
    matches!(value, Datum::Text(text) if text.starts_with(MARKER))
}

impl Table {
    /// Draws one row.
    pub(super) fn row(&self, dice: &mut Dice, person: Datum, number: i64) -> Vec<Datum> {
        let value = |column: &Column, dice: &mut Dice| match column.part {
            Part::Event => Datum::Int(number),
            Part::Person => person.clone(),
            Part::Dimension | Part::Measure if column.nullable && dice.random_bool(0.15) => {
                Datum::Null
            }
            Part::Dimension | Part::Measure => column.draw(dice),
        };
        self.columns.iter().map(|column| value(column, dice)).collect()
    }
}

impl Column {
    /// Draws a value that is not NULL.
    pub(super) fn draw(&self, dice: &mut Dice) -> Datum {
        let text = |text: &str| Datum::Text(text.to_owned());
        let zero = dice.random_bool(0.1);
        match self.name {
            "label" => text(if dice.random_bool(0.8) { "common" } else { "usual" }),
            "kind" | "code" => text(KINDS.choose(dice).unwrap()),
            "title" => text("by day"),
            "sex" => text(["F", "M", "M", "X"].choose(dice).unwrap()),
            "ward" => text(WARDS[dice.random_range(0..WARDS.len() * 2) % WARDS.len()]),
            "urgent" => Datum::Bool(dice.random_bool(0.3)),
            "band" => Datum::Int(*[0, 1, 1, 1, 2, i64::from(i16::MIN)].choose(dice).unwrap()),
            "region" => Datum::Int(dice.random_range(0..3)),
            "level" => Datum::Int(*[3, 3, 4, i64::from(i32::MAX)].choose(dice).unwrap()),
            "grade" => Datum::Int(*[7, 7, 7, 8, i64::MIN, i64::MAX].choose(dice).unwrap()),
            "tariff" => Datum::Decimal(*[0, 1_250, 1_250, -99_999].choose(dice).unwrap()),
            "day" => Datum::Int(FIRST_DAY + 29 * dice.random_range(0..4)),
            "moment" => Datum::Int((FIRST_DAY * 24 + 7 * dice.random_range(0..4)) * 3_600_000_000),
            "edge" => Datum::Int(*[i64::MIN, i64::MAX, 0, -1, 1 << 53].choose(dice).unwrap()),
            "wide" => Datum::Float(
                *[1e-300, 5e-324, 1e300, 2.5e-8, 0.0, f64::MIN_POSITIVE].choose(dice).unwrap(),
            ),
            _ if zero => match self.data_type {
                DataType::Float64 => Datum::Float(0.0),
                DataType::Decimal128(..) => Datum::Decimal(0),
                _ => Datum::Int(0),
            },
            "steps" => Datum::Int(dice.random_range(-32_768..32_768)),
            "metres" => Datum::Int(dice.random_range(-50_000..50_000)),
            // In days.
            "age" => Datum::Int(dice.random_range(0..36_500)),
            "units" => Datum::Int(dice.random_range(-1_000_000_000_000..1_000_000_000_000)),
            "cost" => Datum::Decimal(dice.random_range(-1_000_000_000..9_999_999_999)),
            // Up to all 28 digits.
            "fund" => Datum::Decimal(10_i128.pow(28) - 1 - dice.random_range(0..1_000_000_i128)),
            _ => Datum::Float(f64::from(dice.random::<u32>()) / 4_194_304.0),
        }
    }
}
