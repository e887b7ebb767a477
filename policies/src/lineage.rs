//! Where a column of a derived relation comes from, and what has happened to it on the way: under
//! which conditions it was counted (S3), and whether it is a number that rows repeat (S5, S6).

use std::sync::Arc;

use crate::block::{AggregateFunction as F, Block, Join, Measure, Output, Relation};
use crate::contract::TableContract;
use crate::refusal::{Refusal, Rule};
use crate::scalar::{Expr, UnaryTest};

/// A condition that a measure carries, by the way to the block it stands in.
pub(crate) type Carried = (Vec<usize>, Expr);

/// What a name of a derived relation stands for in its block.
enum Origin<'a> {
    Expression(&'a Expr),
    Measure(&'a Measure),
}

fn origin<'a>(block: &'a Block, name: &str) -> Option<Origin<'a>> {
    let (letter, number) = name.split_at_checked(1)?;
    let number: usize = number.parse().ok()?;
    match (&block.output, letter) {
        (Output::Rows { columns, .. }, "c") => columns.get(number).map(Origin::Expression),
        (Output::Groups { keys, .. }, "k") => keys.get(number).map(Origin::Expression),
        (Output::Groups { measures, .. }, "m") => measures.get(number).map(Origin::Measure),
        _ => None,
    }
}

/// Every condition a measure carries: its FILTER, the WHEN of a CASE, whether an optional relation
/// has a match, and those of what it is computed from, however deep.
///
/// That a row has a match in a whole table, equated on the person, is no condition somebody chose,
/// unless such matches are counted.
pub(crate) fn conditions(
    block: &Block,
    contracts: &[Arc<TableContract>],
    measure: &Measure,
) -> Vec<Carried> {
    let mut found = vec![];
    for argument in &measure.arguments {
        if let Expr::Column { relation, name } = argument
            && let Some(source) = block.from.get(*relation)
            && matches!(source.join, Join::Left(_))
            && contracts.get(*relation).and_then(|c| c.person()).is_some_and(|p| p.column == *name)
        {
            found.push((vec![], matched(*relation)));
        }
    }
    of_measure(block, measure, &[], &mut found);
    found
}

/// Stands for "there is a match in this relation".
fn matched(relation: usize) -> Expr {
    let operand = Box::new(Expr::Organisation { relation });
    Expr::Is { operand, test: UnaryTest::Null, negated: true }
}

fn is_chosen(relation: &Relation) -> bool {
    relation.block().is_some()
        || relation.join.on().iter().any(|condition| condition.column_equality().is_none())
}

fn of_measure(block: &Block, measure: &Measure, way: &[usize], found: &mut Vec<Carried>) {
    found.extend(measure.condition.iter().map(|condition| (way.to_vec(), condition.clone())));
    for argument in &measure.arguments {
        argument.walk(&mut |part| {
            if let Expr::Case { branches, .. } = part {
                found.extend(branches.iter().map(|(when, _)| (way.to_vec(), when.clone())));
            }
        });
        of_columns(block, argument, way, found);
    }
}

/// Conditions of what an expression reads from derived relations.
fn of_columns(block: &Block, expr: &Expr, way: &[usize], found: &mut Vec<Carried>) {
    let mut read = vec![];
    expr.walk(&mut |part| {
        if let Expr::Column { relation, name } = part {
            read.push((*relation, name.clone()));
        }
    });
    for (relation, name) in read {
        let Some(source) = block.from.get(relation) else { continue };
        if matches!(source.join, Join::Left(_)) && (!way.is_empty() || is_chosen(source)) {
            found.push((way.to_vec(), matched(relation)));
        }
        let Some(inner) = source.block() else { continue };
        let way = [way, &[relation]].concat();
        // What is computed may be NULL in some rows and not in others: that is a condition.
        let mut computed = |expr: &Expr| {
            if !matches!(expr, Expr::Column { .. } | Expr::Organisation { .. } | Expr::Literal(_)) {
                found.push((way.clone(), expr.clone()));
            }
        };
        match origin(inner, &name) {
            Some(Origin::Measure(measure)) => {
                if !matches!(measure.function, F::Count | F::Sum | F::Avg) {
                    measure.arguments.iter().for_each(computed);
                }
                of_measure(inner, measure, &way, found);
            }
            Some(Origin::Expression(expr)) => {
                computed(expr);
                of_columns(inner, expr, &way, found);
            }
            None => {}
        }
    }
}

/// Refuses a measure that adds up a number which rows may repeat: one of a window, or one of groups
/// that another table of people has several rows for. Its sum would be a sum of squares.
pub(crate) fn check_not_repeated(
    block: &Block,
    contracts: &[Arc<TableContract>],
    measure: &Measure,
) -> Result<(), Refusal> {
    // A count of rows is the same whatever they repeat.
    if measure.function == F::Count {
        return Ok(());
    }
    let mut refused = None;
    for argument in &measure.arguments {
        argument.walk(&mut |part| {
            let Expr::Column { relation, name } = part else { return };
            let Some(inner) = block.from.get(*relation).and_then(|r| r.block()) else { return };
            if contracts.get(*relation).is_some_and(|contract| !contract.is_protected()) {
                return;
            }
            let repeated = match origin(inner, name) {
                Some(Origin::Measure(_)) => has_others(block, contracts, *relation).then(groups),
                Some(Origin::Expression(expr)) => is_repeated(inner, expr).then(window),
                None => None,
            };
            if refused.is_none() {
                refused = repeated;
            }
        });
    }
    refused.map_or(Ok(()), Err)
}

/// Tells whether some other relation may have several rows for one of `relation`.
fn has_others(block: &Block, contracts: &[Arc<TableContract>], relation: usize) -> bool {
    block.from.iter().zip(contracts).enumerate().any(|(place, (other, contract))| {
        place != relation
            && contract.is_protected()
            && !is_existence(other)
            && !contract.one_row_per_person()
    })
}

fn is_existence(relation: &Relation) -> bool {
    matches!(relation.join, Join::Semi(_) | Join::Anti(_))
}

/// Tells whether rows may repeat a number: that of a window, or of groups that are joined.
fn is_repeated(block: &Block, expr: &Expr) -> bool {
    if expr.has_window() {
        return true;
    }
    let Expr::Column { relation, name } = expr else { return false };
    let Some(inner) = block.from.get(*relation).and_then(|r| r.block()) else { return false };
    match origin(inner, name) {
        Some(Origin::Expression(expr)) => is_repeated(inner, expr),
        Some(Origin::Measure(_)) => {
            block.from.iter().filter(|relation| !is_existence(relation)).count() > 1
        }
        None => false,
    }
}

fn groups() -> Refusal {
    Refusal::new(
        Rule::S5FanOut,
        "a number of each person is added up once for every row of another table",
        "use it as a banded key or in WHERE, or reduce the other table to one row per person first",
    )
}

fn window() -> Refusal {
    Refusal::new(
        Rule::S7BelowGate,
        "a number that a window or a join repeats is added up over rows, which would be a sum of \
         powers",
        "use it in WHERE or as a banded key, or take one number per person with GROUP BY",
    )
}
