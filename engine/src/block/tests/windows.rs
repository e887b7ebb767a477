//! Random windows, each as a block and as SQL that was put together without the emitter.
//!
//! Every order ends in a column without ties, so that answers are certain.

use datafusion::common::ScalarValue;
use hedgerow_policies::{
    Block, Expr, Frame, FrameBound, FrameUnits, Join, Output, Relation, Window,
    WindowFunction as F, WindowOrder,
};
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Bench, in_parts};
use crate::block::expression::literal;

const CASES: u64 = 200;

const INTEGERS: [&str; 3] = ["i16", "i32", "n"];
const PARTITIONS: [&str; 4] = ["b", "c", "place", "s"];

fn column(name: &str) -> Expr {
    Expr::Column { relation: 0, name: name.to_owned() }
}

/// A window, and how somebody would write it.
fn window(random: &mut ChaCha8Rng) -> (Expr, String) {
    let (function, _) = *F::NAMES.choose(random).unwrap();
    let value = *INTEGERS.choose(random).unwrap();
    let (arguments, written) = match function {
        F::RowNumber | F::Rank | F::DenseRank => (vec![], String::new()),
        F::Count if random.random_bool(0.5) => (vec![], "*".to_owned()),
        F::Lag | F::Lead if random.random_bool(0.5) => {
            let rows = random.random_range(1..4_i64);
            let constant = Expr::Literal(literal(&ScalarValue::from(rows)).unwrap());
            (vec![column(value), constant], format!("{value}, {rows}"))
        }
        // Sums of small numbers, which do not wrap one way here and another there.
        F::Sum | F::Avg => (vec![column("i16")], "i16".to_owned()),
        _ => (vec![column(value)], value.to_owned()),
    };
    let names: Vec<&str> = PARTITIONS.iter().copied().filter(|_| random.random_bool(0.4)).collect();
    let mut over = vec![];
    if !names.is_empty() {
        over.push(format!("PARTITION BY {}", names.join(", ")));
    }
    let (order, written_order) = order(random);
    if !order.is_empty() {
        over.push(format!("ORDER BY {written_order}"));
    }
    let (frame, written_frame) = frame(random, !order.is_empty());
    over.extend(written_frame);
    let name = function.name();
    let text = format!("{name}({written}) OVER ({})", over.join(" "));
    let partition = names.into_iter().map(column).collect();
    let window = Window { function, arguments, partition, order, frame };
    (Expr::Window(Box::new(window)), text)
}

fn order(random: &mut ChaCha8Rng) -> (Vec<WindowOrder>, String) {
    if random.random_bool(0.2) {
        return (vec![], String::new());
    }
    let mut names: Vec<&str> =
        INTEGERS.iter().copied().filter(|_| random.random_bool(0.3)).collect();
    names.push("id");
    let (mut keys, mut written) = (vec![], vec![]);
    for name in names {
        let descending = random.random_bool(0.4);
        let spoken = random.random_bool(0.5).then(|| random.random_bool(0.5));
        // Nulls come last in ascending order, unless somebody says so.
        let nulls_first = spoken.unwrap_or(descending);
        keys.push(WindowOrder { expr: column(name), descending, nulls_first });
        let direction = if descending { " DESC" } else { "" };
        let nulls = match spoken {
            None => "",
            Some(true) => " NULLS FIRST",
            Some(false) => " NULLS LAST",
        };
        written.push(format!("{name}{direction}{nulls}"));
    }
    (keys, written.join(", "))
}

/// A frame; `None` is what SQL takes where nothing is written.
fn frame(random: &mut ChaCha8Rng, ordered: bool) -> (Frame, Option<String>) {
    use FrameBound as B;
    use FrameUnits as U;
    if random.random_bool(0.4) {
        let (units, end) = match ordered {
            true => (U::Range, B::CurrentRow),
            false => (U::Rows, B::UnboundedFollowing),
        };
        return (Frame { units, start: B::UnboundedPreceding, end }, None);
    }
    let units = match ordered {
        true => *[U::Rows, U::Range, U::Groups].choose(random).unwrap(),
        false => U::Rows,
    };
    let rows = random.random_range(0..3);
    let counted = units != U::Range;
    let start = match random.random_range(0..3) {
        0 if counted => B::Preceding(rows),
        1 => B::CurrentRow,
        _ => B::UnboundedPreceding,
    };
    let end = match random.random_range(0..3) {
        0 if counted => B::Following(rows),
        1 => B::CurrentRow,
        _ => B::UnboundedFollowing,
    };
    let bound = |bound| match bound {
        B::UnboundedPreceding => "UNBOUNDED PRECEDING".to_owned(),
        B::Preceding(rows) => format!("{rows} PRECEDING"),
        B::CurrentRow => "CURRENT ROW".to_owned(),
        B::Following(rows) => format!("{rows} FOLLOWING"),
        B::UnboundedFollowing => "UNBOUNDED FOLLOWING".to_owned(),
    };
    let word = match units {
        U::Rows => "ROWS",
        U::Range => "RANGE",
        U::Groups => "GROUPS",
    };
    let text = format!("{word} BETWEEN {} AND {}", bound(start), bound(end));
    (Frame { units, start, end }, Some(text))
}

/// Rows with windows, read from outside: as a block, and as a statement.
fn case(random: &mut ChaCha8Rng) -> (Block, String) {
    let (mut columns, mut written) = (vec![column("id")], vec!["id".to_owned()]);
    for _ in 0..random.random_range(1..4) {
        let (window, text) = window(random);
        if !columns.contains(&window) {
            columns.push(window);
            written.push(text);
        }
    }
    let named = written.iter().enumerate().map(|(place, text)| format!("{text} AS x{place}"));
    let text = format!("SELECT {} FROM things", named.collect::<Vec<_>>().join(", "));
    let rows = |columns| Output::Rows { columns, order: vec![], limit: None };
    let outer =
        (0..columns.len()).map(|place| Expr::Column { relation: 0, name: format!("c{place}") });
    let outer = rows(outer.collect());
    let from = vec![Relation::table("things", Join::First)];
    let inner = Block { from, filter: vec![], output: rows(columns) };
    let from = vec![Relation::derived(inner, Join::First)];
    (Block { from, filter: vec![], output: outer }, text)
}

#[test]
fn random_windows_read_back_and_mean_what_they_say() {
    let seeds: Vec<u64> = (0..CASES).collect();
    let failures = in_parts(&seeds, |part| {
        let bench = Bench::new(1);
        part.iter().filter_map(|seed| check(&bench, *seed).err()).collect::<Vec<_>>()
    })
    .concat();
    assert!(failures.is_empty(), "{} failed\n{}", failures.len(), failures.join("\n\n"));
}

fn check(bench: &Bench, seed: u64) -> Result<(), String> {
    let (block, written) = case(&mut ChaCha8Rng::seed_from_u64(seed));
    let told = |what: String| format!("seed {seed}: {written}\n{what}");
    let text = bench.proved(&block).map_err(told)?;
    match bench.block(&written) {
        Ok(read) if read == block => {}
        Ok(read) => return Err(told(format!("block: {block:?}\nread:  {read:?}"))),
        Err(error) => return Err(told(error)),
    }
    let expected = bench.answer_text(&written);
    match bench.difference(&block, &text, &expected) {
        None => Ok(()),
        Some(difference) => Err(told(format!("{text}\n{difference}"))),
    }
}
