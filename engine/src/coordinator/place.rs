//! Where a block can run: whole at each node, at any one node, or nowhere.
//!
//! A join goes down when its tables meet within one organisation: on an organisation-scoped
//! identifier, on `organisation` itself, or with a reference table that every node has.

use std::collections::BTreeSet;
use std::sync::Arc;

use hedgerow_catalog::Contracts;
use hedgerow_policies::{BinaryOperator, Block, Expr, Join, Role, Scope, TableContract};

use crate::block::NotABlock;
use crate::error::EngineError;

/// Where a block runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// At every node that serves its tables, each over its own part.
    EachNode,
    /// At one node: the block reads reference tables only.
    AnyNode,
}

/// Why a block cannot be placed.
#[derive(Debug)]
pub(crate) enum Misplaced {
    /// It may be computed from rows where the tables are open.
    FromRows(NotABlock),
    /// It must not be computed at all.
    Never(EngineError),
}

/// Places a block.
pub(crate) fn place(block: &Block, contracts: &Contracts) -> Result<Placement, Misplaced> {
    let tables: Vec<Arc<TableContract>> = block
        .from
        .iter()
        .map(|relation| contracts.get(&relation.table).cloned())
        .collect::<Option<_>>()
        .ok_or_else(|| Misplaced::FromRows(NotABlock::new("a table without a contract")))?;
    let own: BTreeSet<&str> = block.from.iter().filter_map(|r| r.only.as_deref()).collect();
    if own.len() > 1 {
        return Err(Misplaced::Never(across(&own)));
    }
    let split: Vec<usize> = (0..tables.len()).filter(|i| is_split(&tables, *i)).collect();
    let Some(first) = split.first().copied() else {
        return Ok(if own.is_empty() { Placement::AnyNode } else { Placement::EachNode });
    };
    for (index, relation) in block.from.iter().enumerate() {
        let preserved_reference = matches!(relation.join, Join::Left(_))
            && is_split(&tables, index)
            && !split.iter().any(|s| *s < index);
        if preserved_reference {
            return Err(Misplaced::FromRows(NotABlock::new(
                "an outer join that keeps the rows of a reference table",
            )));
        }
    }
    let met = meet(block, &tables, first, &split);
    match split.iter().find(|index| !met.contains(index)) {
        None => Ok(Placement::EachNode),
        Some(apart) => Err(apart_error(block, &tables, *apart)),
    }
}

fn is_split(tables: &[Arc<TableContract>], index: usize) -> bool {
    tables.get(index).is_some_and(|table| !table.reference)
}

/// The split relations that meet `first` within one organisation.
fn meet(
    block: &Block,
    tables: &[Arc<TableContract>],
    first: usize,
    split: &[usize],
) -> BTreeSet<usize> {
    let mut met = BTreeSet::from([first]);
    loop {
        let before = met.len();
        for &index in split {
            let joined = conditions(block, index)
                .any(|condition| meets_within(condition, index, &met, tables));
            if joined {
                met.insert(index);
            }
        }
        if met.len() == before {
            return met;
        }
    }
}

fn conditions(block: &Block, index: usize) -> impl Iterator<Item = &Expr> {
    match block.from.get(index).map(|relation| &relation.join) {
        Some(Join::Left(on)) => on.iter(),
        _ => block.filter.iter(),
    }
}

fn meets_within(
    condition: &Expr,
    index: usize,
    met: &BTreeSet<usize>,
    tables: &[Arc<TableContract>],
) -> bool {
    let Some((a, b)) = sides(condition) else { return false };
    let (own, other) = if a == index { (a, b) } else { (b, a) };
    own == index
        && met.contains(&other)
        && match condition.column_equality() {
            None => true, // organisation = organisation
            Some(((r, x), (s, y))) => {
                scope_of(tables, r, x) == Some(Scope::Organisation)
                    && scope_of(tables, s, y) == Some(Scope::Organisation)
            }
        }
}

/// The two relations an equality of columns, or of `organisation`, speaks of.
fn sides(condition: &Expr) -> Option<(usize, usize)> {
    if let Some(((a, _), (b, _))) = condition.column_equality() {
        return (a != b).then_some((a, b));
    }
    let Expr::Binary { left, operator: BinaryOperator::Equal, right } = condition else {
        return None;
    };
    match (left.as_ref(), right.as_ref()) {
        (Expr::Organisation { relation: a }, Expr::Organisation { relation: b }) if a != b => {
            Some((*a, *b))
        }
        _ => None,
    }
}

fn scope_of(tables: &[Arc<TableContract>], relation: usize, name: &str) -> Option<Scope> {
    let column = tables.get(relation)?.column(name)?;
    if column.has_role(Role::Identifier) { column.scope } else { None }
}

fn across(own: &BTreeSet<&str>) -> EngineError {
    let names: Vec<&str> = own.iter().copied().collect();
    EngineError::NotSplit {
        what: format!("a join across organisations ({}) is not done", names.join(", ")),
        hint: "ask each organisation on its own, or use the shared tables with `organisation` as \
               a group key"
            .to_owned(),
    }
}

fn apart_error(block: &Block, tables: &[Arc<TableContract>], apart: usize) -> Misplaced {
    let name = block.from.get(apart).map_or("", |r| r.table.as_str());
    let protected = tables.iter().any(|table| table.is_protected());
    let links_people = block.filter.iter().chain(conditions(block, apart)).any(|condition| {
        condition.column_equality().is_some_and(|((a, x), (b, y))| {
            (a == apart || b == apart)
                && scope_of(tables, a, x) == Some(Scope::Federation)
                && scope_of(tables, b, y) == Some(Scope::Federation)
        })
    });
    let hint = format!(
        "join within each organisation: equate an identifier numbered there, or add \
         `AND {}.organisation = {name}.organisation`",
        block.from.first().map_or("", |r| r.table.as_str())
    );
    if links_people {
        return Misplaced::Never(EngineError::NotSplit {
            what: format!(
                "joining `{name}` on a federation-wide identifier would link records across organisations"
            ),
            hint,
        });
    }
    if protected {
        return Misplaced::Never(EngineError::NotSplit {
            what: format!("`{name}` is not joined within one organisation"),
            hint,
        });
    }
    Misplaced::FromRows(NotABlock::new("a join across organisations"))
}
