//! Random statements over protected tables: those built to be allowed are answered, and every change
//! that breaks one rule is refused under that rule's id.
//!
//! ```text
//! columns     what the contracts say of columns: constants, conditions, keys
//! statements  statements that are allowed
//! mutations   changes of keys, measures and conditions
//! relations   changes of joins, subqueries and the number of questions
//! ```
//! `HEDGEROW_RANDOM_SEED` chooses other statements, `HEDGEROW_RANDOM_RULES` how many over all tests; a
//! large number needs `HEDGEROW_LONG=1`. A failure names the seed, the number, the statement and the
//! mutation.

mod columns;
mod mutations;
mod relations;
mod statements;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fmt::Write;
use std::ops::Range;

use hedgerow_engine::{Coverage, NodeOutcome, WireError};
use hedgerow_policies::Rule;

use self::columns::{Draw, Schema};
use self::mutations::{Expected, Mutation};
use self::statements::Statement;
use crate::answers::{Value, values};
use crate::raw::Raw;
use crate::world::{Client, World, in_time};

/// Statements of all tests.
const STATEMENTS: u64 = 200;
/// Tests over which they are spread, so that each is quick.
const PARTS: u64 = 8;
/// Statements that have the time of one test.
const CHUNK: u64 = 5;
/// Mutations of one statement, each of another rule.
const MUTATIONS: usize = 6;
/// The node that is asked directly.
const NODE: &str = "northmoor";

/// Rules that no single change reaches, and why.
const NOT_REACHED: &[(Rule, &str)] = &[(
    Rule::S10Closed,
    "names without a contract or a role are unknown to nodes and coordinators before a rule is asked",
)];

fn number(variable: &str, default: u64) -> u64 {
    env::var(variable).map_or(default, |text| text.parse().unwrap())
}

fn seed() -> u64 {
    number("HEDGEROW_RANDOM_SEED", 1)
}

fn statements() -> u64 {
    number("HEDGEROW_RANDOM_RULES", STATEMENTS)
}

/// A statement, and what was made of it, with the place of each mutation in the list.
struct Case {
    sql: String,
    mutated: Vec<(usize, String)>,
}

impl Case {
    fn draw(schema: &Schema, mutations: &[Mutation], number: u64) -> Self {
        let mut draw = Draw::new(schema, seed(), number);
        let statement = Statement::draw(&mut draw);
        let (mut left, mut order): (Vec<usize>, Vec<usize>) =
            ((0..mutations.len()).collect(), vec![]);
        while let Some(place) = draw.take(&mut left) {
            order.push(place);
        }
        order.sort_by_key(|place| !mutations[*place].rare);
        let (mut mutated, mut rules) = (vec![], vec![]);
        for place in order {
            let mutation = &mutations[place];
            if mutated.len() == MUTATIONS || rules.contains(&mutation.expected) {
                continue;
            }
            if let Some(sql) = (mutation.change)(&statement, &mut draw) {
                rules.push(mutation.expected);
                mutated.push((place, sql));
            }
        }
        Self { sql: statement.sql(), mutated }
    }
}

fn id(expected: Expected) -> String {
    match expected {
        Expected::Refused(rule) => rule.to_string(),
        Expected::Unknown => "no rule".to_owned(),
    }
}

/// What is wrong with what became of a mutation, if anything.
fn departs(expected: Expected, said: Result<(), WireError>) -> Option<String> {
    let Err(error) = said else { return Some("answered".to_owned()) };
    let as_expected = match expected {
        Expected::Refused(rule) => {
            error.sqlstate == "42501" && error.rule.as_deref() == Some(rule.id())
        }
        Expected::Unknown => {
            ["42703", "42P01"].contains(&error.sqlstate.as_str()) && error.rule.is_none()
        }
    };
    (!as_expected).then(|| told(&error))
}

fn is_anybody_asked(coverage: &Coverage) -> bool {
    coverage.nodes.iter().any(|node| node.outcome == NodeOutcome::Answered)
}

fn told(error: &WireError) -> String {
    let rule = error.rule.as_deref().unwrap_or("-");
    format!("{} {rule}: {}", error.sqlstate, error.message)
}

/// What became of the statements of one test.
#[derive(Default)]
struct Tally {
    statements: usize,
    with_rows: usize,
    mutations: BTreeMap<String, usize>,
    failed: Vec<String>,
}

impl Tally {
    async fn ask(
        &mut self,
        what: &str,
        case: &Case,
        all: &[Mutation],
        client: &mut Client,
        node: &mut Raw,
    ) {
        self.statements += 1;
        match client.try_ask(&case.sql).await {
            Ok(answer) => {
                let rows = values(&answer.batches);
                let told = rows.iter().flatten().any(|value| *value != Value::Null);
                self.with_rows += usize::from(told);
            }
            Err(error) => {
                self.failed.push(format!("{what} is not answered: {}\n{}", told(&error), case.sql));
            }
        }
        for (place, sql) in &case.mutated {
            let mutation = &all[*place];
            let said = match mutation.node {
                true => node.ask(sql).await.map(|_| ()),
                false => match client.try_ask(sql).await {
                    // No organisation that is asked for has the table, so nobody has judged.
                    Ok(answer) if !is_anybody_asked(&answer.coverage) => continue,
                    said => said.map(|_| ()),
                },
            };
            let rule = id(mutation.expected);
            if let Some(departed) = departs(mutation.expected, said) {
                self.failed.push(format!(
                    "{what}, mutation `{}` of {rule}: {departed}\n{}\n{sql}",
                    mutation.name, case.sql
                ));
            }
            *self.mutations.entry(rule).or_default() += 1;
        }
    }

    fn finish(&self, part: u64) {
        let mut text = format!(
            "rules, part {part}: {} statements answered of {}, {} with values",
            self.statements - self.failed.iter().filter(|f| f.contains("is not answered")).count(),
            self.statements,
            self.with_rows
        );
        for (rule, count) in &self.mutations {
            write!(text, "\n  {rule}: {count} mutations").unwrap();
        }
        report(&text);
        let failed = self.failed.join("\n\n");
        assert!(self.failed.is_empty(), "{} departed:\n\n{failed}", self.failed.len());
        assert!(self.statements < 20 || self.with_rows * 2 > self.statements, "{text}");
    }
}

#[expect(clippy::print_stderr, reason = "what a run came to is worth reading when it passes, too")]
fn report(text: &str) {
    eprintln!("{text}");
}

fn numbers(part: u64) -> Range<u64> {
    let all = statements();
    all * part / PARTS..all * (part + 1) / PARTS
}

/// One of the parts of all statements.
async fn part(part: u64) {
    let schema = Schema::demo();
    let all = mutations::all(&schema);
    let world = World::demo().await;
    let (mut client, mut node) = (world.client().await, Raw::connect(&world, NODE).await);
    let mut tally = Tally::default();
    let Range { start, end } = numbers(part);
    for first in (start..end).step_by(CHUNK as usize) {
        in_time(async {
            for number in first..end.min(first + CHUNK) {
                let case = Case::draw(&schema, &all, number);
                let what = format!("seed {}, statement {number}", seed());
                tally.ask(&what, &case, &all, &mut client, &mut node).await;
            }
        })
        .await;
    }
    world.shutdown().await;
    tally.finish(part);
}

macro_rules! parts {
    ($($name:ident $part:literal)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                part($part).await;
            }
        )*
    };
}

parts! {
    the_first_part 0
    the_second_part 1
    the_third_part 2
    the_fourth_part 3
    the_fifth_part 4
    the_sixth_part 5
    the_seventh_part 6
    the_eighth_part 7
}

/// What all parts ask together, without asking it: each test above sees to what becomes of it.
#[test]
fn every_rule_is_broken_in_every_way() {
    let schema = Schema::demo();
    let all = mutations::all(&schema);
    let mut asked: BTreeMap<usize, usize> = BTreeMap::new();
    for number in 0..statements() {
        for (place, _) in Case::draw(&schema, &all, number).mutated {
            *asked.entry(place).or_default() += 1;
        }
    }
    let mut text = format!("{} statements\n", statements());
    let mut rules: BTreeMap<String, usize> = BTreeMap::new();
    for (place, mutation) in all.iter().enumerate() {
        let count = asked.get(&place).copied().unwrap_or_default();
        *rules.entry(id(mutation.expected)).or_default() += count;
        writeln!(text, "  {} {count}: {}", id(mutation.expected), mutation.name).unwrap();
    }
    report(&format!("{text}{rules:#?}"));
    let never: Vec<&str> = (0..all.len())
        .filter(|place| !asked.contains_key(place))
        .map(|place| all[place].name)
        .collect();
    assert!(statements() < STATEMENTS || never.is_empty(), "never drawn: {never:?}");
}

#[test]
fn every_rule_has_a_mutation_or_a_reason_for_none() {
    let all = mutations::all(&Schema::demo());
    let broken: BTreeSet<Rule> = all
        .iter()
        .filter_map(|mutation| match mutation.expected {
            Expected::Refused(rule) => Some(rule),
            Expected::Unknown => None,
        })
        .collect();
    for rule in Rule::ALL {
        let reason = NOT_REACHED.iter().find(|(known, _)| *known == rule);
        assert_eq!(broken.contains(&rule), reason.is_none(), "{rule}");
    }
    let names: BTreeSet<&str> = all.iter().map(|mutation| mutation.name).collect();
    assert_eq!(names.len(), all.len(), "two mutations have one name");
}
