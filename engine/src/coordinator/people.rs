//! Prepares a block over protected tables: subqueries at person level, as a node will judge them.
//!
//! NOT IN becomes NOT EXISTS where neither side can be NULL, sums of sums keep their wider type, and
//! the policy's own rules say what each derived relation is worth. A node believes none of it.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use hedgerow_catalog::Contracts;
use hedgerow_policies::{
    AggregateFunction, BinaryOperator, Block, Expr, Join, Output, Relation, Rule, Source,
    TableContract, TypeName, with_derived,
};

use super::federation::Federation;
use super::place::{Misplaced, output};
use crate::block::{NotABlock, canonical};
use crate::error::EngineError;

/// A protected block as nodes are asked it, and the contract of each of its relations.
pub(crate) fn at_person_level(
    block: Block,
    federation: &Federation,
) -> Result<(Block, Vec<Arc<TableContract>>), Misplaced> {
    let contracts = &federation.contracts;
    let block = block.map_blocks(&|block| without_not_in(block, contracts));
    let block = block.map_blocks(&|block| with_wide_sums(block, federation));
    match with_derived(&block, &|name| contracts.get(name).cloned()) {
        Ok((_, tables)) => Ok((block, tables)),
        // Its result is released, and what stands above is computed from that.
        Err(refusal) if refusal.rule == Rule::S6Inner => {
            Err(Misplaced::FromRows(NotABlock::new("an aggregate below an aggregate")))
        }
        Err(refusal) => Err(Misplaced::Never(EngineError::Refused(refusal))),
    }
}

/// `a NOT IN (SELECT b …)` as NOT EXISTS, where neither `a` nor `b` can be NULL.
fn without_not_in(mut block: Block, contracts: &Contracts) -> Block {
    let whole = block.clone();
    for (index, relation) in block.from.iter_mut().enumerate() {
        let Join::NotIn(value) = &relation.join else { continue };
        let Some(inner) = relation.block() else { continue };
        let Output::Rows { columns, limit: None, .. } = &inner.output else { continue };
        let [column] = columns.as_slice() else { continue };
        if may_be_null(&whole, value, contracts) || may_be_null(inner, column, contracts) {
            continue;
        }
        let equal = |column: Expr| Expr::Binary {
            left: Box::new(value.clone()),
            operator: BinaryOperator::Equal,
            right: Box::new(column),
        };
        let replaced = match inner.from.as_slice() {
            [only] => {
                let here = |expr: Expr| match expr {
                    Expr::Column { name, .. } => Expr::Column { relation: index, name },
                    Expr::Organisation { .. } => Expr::Organisation { relation: index },
                    other => other,
                };
                let mut on = vec![equal(column.clone().map(&here))];
                on.extend(inner.filter.iter().map(|condition| condition.clone().map(&here)));
                Relation { source: only.source.clone(), join: Join::Anti(canonical(on)) }
            }
            _ => {
                let column = Expr::Column { relation: index, name: "c0".to_owned() };
                let join = Join::Anti(vec![equal(column)]);
                Relation { source: Source::Derived(Box::new(inner.clone())), join }
            }
        };
        *relation = replaced;
    }
    block
}

fn may_be_null(block: &Block, expr: &Expr, contracts: &Contracts) -> bool {
    let Expr::Column { relation, name } = expr else {
        return !matches!(expr, Expr::Literal(literal) if literal.text.is_some());
    };
    let Some(source) = block.from.get(*relation) else { return true };
    if !matches!(source.join, Join::First | Join::Inner) {
        return true;
    }
    match &source.source {
        Source::Table { name: table, .. } => {
            contracts.get(table).and_then(|t| t.column(name)).is_none_or(|c| c.nullable)
        }
        Source::Derived(inner) => {
            output(inner, name).is_none_or(|expr| may_be_null(inner, expr, contracts))
        }
        Source::Values(_) => true,
    }
}

/// What an inner query added up in a wider type is added up again without a cast, which could fail.
fn with_wide_sums(mut block: Block, federation: &Federation) -> Block {
    let whole = block.clone();
    let Output::Groups { measures, .. } = &mut block.output else { return block };
    for measure in measures.iter_mut().filter(|m| m.function == AggregateFunction::Sum) {
        for argument in &mut measure.arguments {
            let Expr::Cast { operand, to, or_null: false } = argument else { continue };
            let (Expr::Column { relation, name }, DataType::Decimal128(to, 0)) =
                (operand.as_ref(), &to.0)
            else {
                continue;
            };
            let derived = whole.from.get(*relation).is_some_and(|r| r.block().is_some());
            if derived
                && let TypeName(DataType::Decimal128(own, 0)) =
                    federation.type_of(&whole, *relation, name)
                && own > *to
            {
                *argument = operand.as_ref().clone();
            }
        }
    }
    block
}
