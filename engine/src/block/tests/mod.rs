//! The emitter's proof, tested: `block(resolve(emit(b))) == b`, and equal answers on random data.
//!
//! `corpus` reads statements written by hand, `nesting` puts every operator inside every other,
//! `random` makes blocks and spells them in many ways, `windows` does so with windows, `mutation` shows that the comparison can fail.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod answer;
mod corpus;
mod data;
mod mutation;
mod nesting;
mod random;
mod spell;
mod windows;

use datafusion::execution::SessionState;
use datafusion::logical_expr::{LogicalPlan, TableScan};
use datafusion::physical_plan::collect;
use hedgerow_policies::{
    AggregateFunction, BinaryOperator, Block, Expr, Join, Literal, Measure, Output, Relation,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use self::answer::Answer;
use super::{Lowering, NotABlock, ScanTarget, emit};
use crate::error::EngineError;
use crate::limits::text::TextLimits;
use crate::parse::{parse_query, resolve};

/// Reads, proves and runs statements over the test tables.
struct Bench {
    state: SessionState,
    runtime: tokio::runtime::Runtime,
}

fn target(scan: &TableScan) -> Option<ScanTarget> {
    Some(ScanTarget { table: scan.table_name.table().to_owned(), only: None })
}

impl Bench {
    fn new(seed: u64) -> Self {
        let state = data::session(&mut ChaCha8Rng::seed_from_u64(seed));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { state, runtime }
    }

    fn plan(&self, text: &str) -> Result<LogicalPlan, EngineError> {
        let statement = parse_query(text, TextLimits::OWN)?;
        self.runtime.block_on(resolve(&self.state, statement))
    }

    /// The block of a text that must be one.
    fn block(&self, text: &str) -> Result<Block, String> {
        let plan = self.plan(text).map_err(|error| error.to_string())?;
        lower(&plan).map_err(|not| not.what)
    }

    /// The block's text, if it reads back as the block.
    fn proved(&self, block: &Block) -> Result<String, String> {
        let text = emit(block);
        match self.block(&text) {
            Ok(again) if again == *block => Ok(text),
            Ok(again) => Err(format!("text:  {text}\nblock: {block:?}\nagain: {again:?}")),
            Err(error) => Err(format!("text:  {text}\nblock: {block:?}\nerror: {error}")),
        }
    }

    fn answer(&self, plan: &LogicalPlan) -> Answer {
        let rows = self.runtime.block_on(async {
            let physical = self.state.create_physical_plan(plan).await?;
            let schema = physical.schema();
            let batches = collect(physical, self.state.task_ctx()).await?;
            Ok((schema, batches))
        });
        Answer::new(rows)
    }

    fn answer_text(&self, text: &str) -> Answer {
        self.answer(&self.plan(text).unwrap())
    }

    /// Tells where the answer to `text` departs from `expected`, which a plan of `block` gave.
    fn difference(&self, block: &Block, text: &str, expected: &Answer) -> Option<String> {
        let found = self.answer_text(text);
        match &block.output {
            // Which rows a LIMIT leaves is not said: as many, and all of them rows of the block.
            Output::Rows { columns, order, limit: Some(_) } if order.is_empty() => {
                let output = Output::Rows { columns: columns.clone(), order: vec![], limit: None };
                let whole = self.answer_text(&emit(&Block { output, ..block.clone() }));
                found
                    .some_of(&whole)
                    .or_else(|| expected.some_of(&whole))
                    .or_else(|| found.as_many(expected))
            }
            // Rows that are equal in the order change places, but not what they hold there.
            Output::Rows { .. } | Output::Groups { .. } => found.difference(expected),
        }
    }
}

/// Works on equal parts of a list at once, as many as there are cores.
fn in_parts<T: Sync, R: Send>(items: &[T], work: impl Fn(&[T]) -> R + Sync) -> Vec<R> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let size = items.len().div_ceil(cores).max(1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = items.chunks(size).map(|part| scope.spawn(|| work(part))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Lowers what a node takes (a whole fragment) or a coordinator pushes (an aggregate).
fn lower(plan: &LogicalPlan) -> Result<Block, NotABlock> {
    let lowering = Lowering::new(&target);
    match plan {
        LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_) => lowering.groups(plan),
        _ => lowering.fragment(plan),
    }
}

/// The gate's own aggregate: the node reads its own text back, nobody else may write it.
#[test]
fn the_gates_aggregate_is_the_nodes_alone() {
    let bench = Bench::new(1);
    let column = |name: &str| Expr::Column { relation: 0, name: name.to_owned() };
    let people = |condition| Measure {
        function: AggregateFunction::People,
        arguments: vec![column("id"), Expr::Literal(Literal::int64(10))],
        distinct: false,
        condition,
    };
    let positive = Expr::Binary {
        left: Box::new(column("n")),
        operator: BinaryOperator::Greater,
        right: Box::new(Expr::Literal(Literal::int64(0))),
    };
    for keys in [vec![], vec![column("b")], vec![column("b"), column("place")]] {
        let block = Block {
            from: vec![Relation::table("things", Join::First)],
            filter: vec![positive.clone()],
            output: Output::Groups {
                keys,
                measures: vec![people(None), people(Some(positive.clone()))],
            },
        };
        let text = emit(&block);
        let plan = bench.plan(&text).unwrap();
        assert_eq!(Lowering::own(&target).fragment(&plan).as_ref(), Ok(&block), "{text}");
        let refused = Lowering::new(&target).fragment(&plan).unwrap_err();
        assert_eq!(refused.what, "aggregate `hedgerow_people`", "{text}");
    }
}
