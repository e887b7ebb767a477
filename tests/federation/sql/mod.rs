//! Random SQL, as analysts write it, over open tables: a federation answers as one DataFusion over
//! the union, or says that it does not split the statement.
//!
//! ```text
//! schema       tables, columns by kind, the keys on which tables join
//! data         the demo's tables and those of TPC-H, with NULLs
//! expressions  conditions, values, aggregates
//! statements   joins, groups, subqueries, windows, sets
//! compare      two answers to one statement
//! ```
//! `HEDGEROW_RANDOM_SEED` chooses other statements, `HEDGEROW_RANDOM_STATEMENTS` how many over all
//! tests; a large number needs `HEDGEROW_LONG=1`, which gives each twenty their own time. A failure
//! names the seed and the number of the statement, and `HEDGEROW_RANDOM_STATEMENT` asks that one
//! alone. `HEDGEROW_RANDOM_SQL` names a file of statements, each ended by a semicolon, that are
//! asked instead. `known/` holds statements that were answered wrongly once.

mod compare;
mod data;
mod expressions;
mod schema;
mod statements;

use std::collections::BTreeMap;
use std::{env, fs};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use hedgerow_engine::WireError;

use self::compare::difference;
use self::data::Tables;
use self::expressions::Draw;
use self::schema::Schema;
use self::statements::{Order, Statement};
use crate::answers::{Value, values};
use crate::tpch_data::Numbers;
use crate::world::{Client, World, in_time};

/// The name of an answer while it is put in order.
const ANSWER: &str = "unordered_answer";
/// Rows of the longest answer that is looked at.
const ROWS_MAX: usize = 500_000;
/// Statements of all tests.
const STATEMENTS: u64 = 500;
/// Statements that have the time of one test.
const CHUNK: u64 = 20;
/// Statements after which a long run says how far it is.
const PROGRESS: usize = 1_000;

/// One statement as one DataFusion over the union answers it.
enum Plain {
    Rows(Vec<Vec<Value>>),
    /// A value did not fit.
    DataError(String),
    /// It was not planned, or not run to its end.
    Refused(String),
}

/// What became of all statements of one test.
#[derive(Default)]
struct Tally {
    tables: Vec<String>,
    asked: usize,
    with_rows: usize,
    agreed_errors: usize,
    /// Statements that were drawn but that DataFusion does not plan.
    redrawn: BTreeMap<String, usize>,
    /// Statements that the federation refused, by what it said.
    refused: BTreeMap<String, usize>,
    /// One of each kind.
    examples: BTreeMap<String, String>,
    /// Statements whose answers are different.
    different: usize,
}

fn number(variable: &str, default: u64) -> u64 {
    env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// What one DataFusion answers. It is asked for the rows first, and puts them in order afterwards: what
/// it knows of a column in the statement it may believe of NULLs as well, and then does not sort by it.
async fn plain(context: &SessionContext, statement: &Statement) -> Plain {
    let rows = match collected(context, &statement.sql).await {
        Ok(rows) => rows,
        Err(plain) => return plain,
    };
    let Some(order) = &statement.order else { return Plain::Rows(values(&rows)) };
    let Some(first) = rows.first() else { return Plain::Rows(vec![]) };
    let all = concat_batches(&first.schema(), &rows).unwrap();
    context.register_batch(ANSWER, all).unwrap();
    let ordered = format!("SELECT * FROM {ANSWER}{}", order.complete);
    let ordered = collected(context, &ordered).await;
    context.deregister_table(ANSWER).unwrap();
    ordered.map_or_else(|plain| plain, |rows| Plain::Rows(values(&rows)))
}

async fn collected(context: &SessionContext, sql: &str) -> Result<Vec<RecordBatch>, Plain> {
    let planned = async {
        let frame = context.sql(sql).await?;
        let task = frame.task_ctx();
        Ok::<_, DataFusionError>((frame.create_physical_plan().await?, task))
    };
    let (plan, task) = match planned.await {
        Ok(planned) => planned,
        Err(error) => return Err(Plain::Refused(error.to_string())),
    };
    let failed = |error: DataFusionError| match error.find_root() {
        DataFusionError::ArrowError(..) | DataFusionError::Execution(_) => {
            Plain::DataError(error.to_string())
        }
        _ => Plain::Refused(error.to_string()),
    };
    let mut stream = execute_stream(plan, task.into()).map_err(failed)?;
    let (mut batches, mut rows) = (vec![], 0);
    while let Some(batch) = stream.next().await {
        batches.push(batch.map_err(failed)?);
        rows += batches.last().map_or(0, RecordBatch::num_rows);
        if rows > ROWS_MAX {
            return Err(Plain::Refused("the answer has too many rows".to_owned()));
        }
    }
    Ok(batches)
}

/// What may be refused over open tables, as `docs/architecture.md` lists it: SQLSTATE, and the words of
/// the message with `…` for what differs.
fn documented_reasons() -> Vec<(&'static str, Vec<&'static str>)> {
    let text = include_str!("../../../docs/architecture.md");
    let (_, section) = text.split_once("## What is refused over open tables\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let row = |line: &'static str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, sqlstate, words, ..] = cells.as_slice() else { return None };
        sqlstate.chars().next()?.is_ascii_digit().then(|| (*sqlstate, words.split('…').collect()))
    };
    section.lines().filter_map(row).collect()
}

fn is_documented(error: &WireError) -> bool {
    let said = |parts: &[&str]| {
        let mut rest = Some(error.message.as_str());
        for part in parts {
            rest = rest.and_then(|rest| Some(rest.split_once(*part)?.1));
        }
        rest.is_some()
    };
    documented_reasons().iter().any(|(sqlstate, parts)| *sqlstate == error.sqlstate && said(parts))
}

/// Words of an error, without numbers, names in backticks and names of tables.
fn reason(message: &str, tables: &[String]) -> String {
    let outside = message.split('`').enumerate();
    let outside = outside.map(|(i, part)| if i % 2 == 0 { part } else { "`…`" });
    let text: String = outside.collect();
    let known = |word: &&str| tables.iter().any(|table| table == word);
    let text: Vec<&str> = text.split(' ').map(|w| if known(&w) { "…" } else { w }).collect();
    let text = text.join(" ");
    let text: String = text.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect();
    text.lines().next().unwrap_or_default().chars().take(160).collect()
}

impl Tally {
    /// Asks one statement of both; `false` where plain DataFusion does not know it.
    async fn ask(
        &mut self,
        what: &str,
        statement: &Statement,
        context: &SessionContext,
        client: &mut Client,
    ) -> bool {
        let sql = &statement.asked();
        let expected = plain(context, statement).await;
        if let Plain::Refused(error) = &expected {
            *self.redrawn.entry(reason(error, &self.tables)).or_default() += 1;
            return false;
        }
        self.asked += 1;
        let different = match (client.try_ask(sql).await, expected) {
            (Err(error), _) if is_documented(&error) => {
                let said = format!("{} {}", error.sqlstate, reason(&error.message, &self.tables));
                self.examples.entry(said.clone()).or_insert_with(|| sql.clone());
                *self.refused.entry(said).or_default() += 1;
                None
            }
            (Err(error), Plain::DataError(_)) if error.sqlstate.starts_with("22") => {
                self.agreed_errors += 1;
                None
            }
            (Ok(answer), Plain::Rows(rows)) => {
                self.with_rows += usize::from(!rows.is_empty());
                difference(&values(&answer.batches), &rows, statement.order.is_some())
            }
            (Ok(answer), Plain::DataError(error)) => {
                let count = values(&answer.batches).len();
                Some(format!("{count} rows, and over the union an error: {error}"))
            }
            (Err(error), Plain::Rows(rows)) => {
                self.with_rows += usize::from(!rows.is_empty());
                Some(format!("{} rows over the union, and {error:?}", rows.len()))
            }
            (Err(error), Plain::DataError(other)) => {
                Some(format!("{error:?}, and over the union another error: {other}"))
            }
            (_, Plain::Refused(_)) => None,
        };
        if let Some(different) = different {
            report(&format!("{what}\n{sql}\n{different}"));
            self.different += 1;
        }
        true
    }

    fn progress(&self, name: &str, all: u64) -> String {
        let refused: usize = self.refused.values().sum();
        let (asked, different) = (self.asked, self.different);
        format!("{name}: {asked} of {all}, {refused} refused, {different} different")
    }

    fn finish(&self, name: &str) {
        let refused: usize = self.refused.values().sum();
        let redrawn: usize = self.redrawn.values().sum();
        let (asked, errors) = (self.asked, self.agreed_errors);
        let mut text = format!(
            "{name}: {asked} statements, {refused} refused, {} with rows, {errors} errors on both \
             sides, {redrawn} drawn again, {} different\n",
            self.with_rows, self.different
        );
        for (title, counts) in [("refused", &self.refused), ("drawn again", &self.redrawn)] {
            for (reason, count) in counts {
                text.push_str(&format!("  {title} {count}: {reason}\n"));
                if let Some(example) = self.examples.get(reason) {
                    text.push_str(&format!("    such as {example}\n"));
                }
            }
        }
        report(&text);
        assert_eq!(self.different, 0, "{name}: answers that are different, see above");
        if asked >= 20 {
            assert!(redrawn * 5 <= asked + redrawn, "{text}");
            assert!(refused * 20 <= asked, "{text}");
            assert!(self.with_rows * 2 > asked, "{text}");
        }
    }
}

#[expect(clippy::print_stderr, reason = "what a run came to is worth reading when it passes, too")]
fn report(text: &str) {
    eprintln!("{text}");
}

/// Statements over one kind of data: their name in failures, their number among the dice, their
/// share of all statements, and over how many tests they are spread so that each is quick.
struct Run {
    name: &'static str,
    test: u64,
    percent: u64,
    parts: u64,
    /// Statements that were answered wrongly once, each ended by a semicolon.
    known: &'static str,
}

const DEMO: Run =
    Run { name: "demo", test: 4, percent: 40, parts: 8, known: include_str!("known/demo.sql") };
const TPCH: Run =
    Run { name: "tpch", test: 5, percent: 20, parts: 2, known: include_str!("known/tpch.sql") };
const NUMBERED: Run = Run {
    name: "tpch numbered by node",
    test: 6,
    percent: 20,
    parts: 2,
    known: include_str!("known/tpch.sql"),
};
const WITHIN: Run = Run {
    name: "tpch numbered for all nodes",
    test: 7,
    percent: 20,
    parts: 2,
    known: include_str!("known/tpch_within.sql"),
};

impl Run {
    /// One of the parts. What is asked instead of the usual is asked by the first.
    async fn part(&self, part: u64, tables: Tables) {
        let schema = tables.schema();
        let context = tables.union();
        let world = World::start(tables.spec()).await;
        let mut client = world.client().await;
        let tables = schema.tables.iter().map(|table| table.name.clone()).collect();
        let mut tally = Tally { tables, ..Tally::default() };
        let instead = ["HEDGEROW_RANDOM_SQL", "HEDGEROW_RANDOM_STATEMENT"];
        if part > 0 && instead.iter().any(|variable| env::var_os(variable).is_some()) {
            return;
        }
        if let Ok(path) = env::var("HEDGEROW_RANDOM_SQL") {
            let text = fs::read_to_string(path).unwrap();
            self.written(&text, &context, &mut client, &mut tally).await;
        } else if let Ok(number) = env::var("HEDGEROW_RANDOM_STATEMENT") {
            let number: u64 = number.parse().unwrap();
            self.chunk(number..number + 1, &schema, &context, &mut client, &mut tally).await;
        } else {
            let all = number("HEDGEROW_RANDOM_STATEMENTS", STATEMENTS) * self.percent / 100;
            let long = env::var_os("HEDGEROW_LONG").is_some();
            if part == 0 {
                in_time(self.written(self.known, &context, &mut client, &mut tally)).await;
            }
            let (first, end) = (all * part / self.parts, all * (part + 1) / self.parts);
            for start in (first..end).step_by(CHUNK as usize) {
                let numbers = start..end.min(start + CHUNK);
                in_time(self.chunk(numbers, &schema, &context, &mut client, &mut tally)).await;
                if long && tally.asked % PROGRESS < CHUNK as usize {
                    report(&tally.progress(self.name, end - first));
                }
            }
        }
        world.shutdown().await;
        tally.finish(self.name);
    }

    /// Asks statements as somebody wrote them; those of which the order counts end in ORDER BY.
    async fn written(
        &self,
        text: &str,
        context: &SessionContext,
        client: &mut Client,
        tally: &mut Tally,
    ) {
        let lines = text.lines().filter(|line| !line.starts_with("--"));
        let text = lines.collect::<Vec<_>>().join("\n");
        for sql in text.split_terminator(';').map(str::trim).filter(|sql| !sql.is_empty()) {
            let (sql, order) = match sql.rsplit_once("\nORDER BY") {
                Some((sql, order)) => (sql, Some(format!(" ORDER BY{order}"))),
                None => (sql, None),
            };
            let order = order.map(|order| Order { asked: order.clone(), complete: order });
            let statement = Statement { sql: sql.to_owned(), order };
            assert!(tally.ask(self.name, &statement, context, client).await, "{sql}");
        }
    }

    async fn chunk(
        &self,
        numbers: std::ops::Range<u64>,
        schema: &Schema,
        context: &SessionContext,
        client: &mut Client,
        tally: &mut Tally,
    ) {
        let seed = number("HEDGEROW_RANDOM_SEED", 1);
        for number in numbers {
            let what = format!("{}, seed {seed}, statement {number}:", self.name);
            let mut draw = Draw::new(schema, seed, self.test << 32 | number);
            loop {
                let statement = Statement::draw(&mut draw);
                if tally.ask(&what, &statement, context, client).await {
                    break;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_the_demo_the_first_part() {
    DEMO.part(0, Tables::demo().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_the_demo_the_second_part() {
    DEMO.part(1, Tables::demo().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_the_demo_the_third_part() {
    DEMO.part(2, Tables::demo().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_the_demo_the_fourth_part() {
    DEMO.part(3, Tables::demo().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_the_demo_the_fifth_part() {
    DEMO.part(4, Tables::demo().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_the_demo_the_sixth_part() {
    DEMO.part(5, Tables::demo().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_the_demo_the_seventh_part() {
    DEMO.part(6, Tables::demo().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_the_demo_the_eighth_part() {
    DEMO.part(7, Tables::demo().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tpch_the_first_part() {
    TPCH.part(0, Tables::tpch(Numbers::Plain)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tpch_the_second_part() {
    TPCH.part(1, Tables::tpch(Numbers::Plain)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tpch_numbered_by_node_the_first_part() {
    NUMBERED.part(0, Tables::tpch(Numbers::OfOrganisation)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tpch_numbered_by_node_the_second_part() {
    NUMBERED.part(1, Tables::tpch(Numbers::OfOrganisation)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tpch_numbered_for_all_nodes_the_first_part() {
    WITHIN.part(0, Tables::tpch(Numbers::WithinOrganisation)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tpch_numbered_for_all_nodes_the_second_part() {
    WITHIN.part(1, Tables::tpch(Numbers::WithinOrganisation)).await;
}
