//! Where a block can run: whole at each node, at any one node, or nowhere.
//!
//! A join goes down when its tables meet within one organisation: on an organisation-scoped
//! identifier, on `organisation` itself, or with a reference table that every node has.

use std::collections::BTreeSet;

use hedgerow_catalog::Contracts;
use hedgerow_policies::{
    BinaryOperator, Block, ColumnContract, Expr, Join, Output, Relation, Role, Scope, Source,
    TableContract,
};

use crate::block::{NotABlock, output_names};
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
    let own: BTreeSet<&str> = block.table_relations().filter_map(Relation::only).collect();
    if own.len() > 1 {
        return Err(Misplaced::Never(across(&own)));
    }
    if block.tables().next().is_none() {
        return from_rows("inline tables alone");
    }
    match (Places { contracts }).spread(block)? {
        Spread::Reference => Ok(Placement::AnyNode),
        Spread::One | Spread::Split => Ok(Placement::EachNode),
    }
}

/// Tells whether each group of a block lives at one node, so that nothing needs merging.
pub(crate) fn groups_are_whole(block: &Block, contracts: &Contracts) -> bool {
    match (Places { contracts }).spread(block) {
        Ok(Spread::Split) => (Places { contracts }).are_complete(block),
        Ok(Spread::One) => matches!(&block.output, Output::Groups { keys, .. } if !keys.is_empty()),
        Ok(Spread::Reference) | Err(_) => false,
    }
}

/// The scope of an identifier of a block, followed through derived relations.
pub(crate) fn identifier_scope(
    block: &Block,
    relation: usize,
    name: &str,
    contracts: &Contracts,
) -> Option<Scope> {
    (Places { contracts }).scope_of(block, relation, name)
}

/// Where the rows of a block or of a relation are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spread {
    /// The same at every node.
    Reference,
    /// At the one node that the statement named.
    One,
    /// Each node has its own part.
    Split,
}

struct Places<'a> {
    contracts: &'a Contracts,
}

impl Places<'_> {
    fn spread(&self, block: &Block) -> Result<Spread, Misplaced> {
        let spreads =
            block.from.iter().map(|r| self.spread_of(r)).collect::<Result<Vec<_>, _>>()?;
        self.check_kept(block, &spreads)?;
        let split: Vec<usize> = (0..spreads.len())
            .filter(|index| spreads.get(*index).is_some_and(|s| *s != Spread::Reference))
            .collect();
        let Some(first) = split.first().copied() else { return Ok(Spread::Reference) };
        if !spreads.contains(&Spread::Split) {
            return Ok(Spread::One);
        }
        let met = self.meet(block, first, &split);
        if let Some(apart) = split.iter().find(|index| !met.contains(index)) {
            return Err(self.apart_error(block, *apart));
        }
        Ok(if spreads.contains(&Spread::One) { Spread::One } else { Spread::Split })
    }

    fn spread_of(&self, relation: &Relation) -> Result<Spread, Misplaced> {
        match &relation.source {
            Source::Table { only: Some(_), .. } => Ok(Spread::One),
            Source::Table { name, only: None } => match self.contracts.get(name) {
                Some(contract) if contract.reference => Ok(Spread::Reference),
                Some(_) => Ok(Spread::Split),
                None => from_rows("a table without a contract"),
            },
            Source::Derived(inner) => {
                let spread = self.spread(inner)?;
                if spread == Spread::Split && !self.are_complete(inner) {
                    self.check_people(inner)?;
                    return from_rows("an aggregate below an aggregate");
                }
                // Its one row is there even where the organisation is left out.
                if spread == Spread::One
                    && matches!(&inner.output, Output::Groups { keys, .. } if keys.is_empty())
                {
                    return from_rows("an aggregate over all rows of one organisation");
                }
                Ok(spread)
            }
            Source::Values(_) => Ok(Spread::Reference),
        }
    }

    /// Rows of one person at two organisations are not put together, nor those of two people whom
    /// each organisation gave the same number.
    fn check_people(&self, block: &Block) -> Result<(), Misplaced> {
        let protected = |name: &str| self.contracts.get(name).is_some_and(|c| c.is_protected());
        let identifier = |column: &ColumnContract, _: &TableContract| {
            column.has_role(Role::Identifier).then(|| column.name.clone())
        };
        let number = parting(block).into_iter().flatten().find_map(|key| match key {
            Expr::Column { relation, name } => self.traced(block, *relation, name, &identifier),
            _ => None,
        });
        match number {
            Some(name) if block.tables().any(protected) => {
                Err(Misplaced::Never(EngineError::NotSplit {
                    what: format!(
                        "grouping by `{name}` alone would put rows of several organisations together"
                    ),
                    hint: format!(
                        "add `organisation` to GROUP BY or PARTITION BY, beside `{name}`, and \
                         equate it in joins"
                    ),
                }))
            }
            _ => Ok(()),
        }
    }

    /// Rows that are kept whether or not something matches must be at the node that looks for it.
    fn check_kept(&self, block: &Block, spreads: &[Spread]) -> Result<(), Misplaced> {
        for (index, (relation, spread)) in block.from.iter().zip(spreads).enumerate() {
            let before = spreads.get(..index).unwrap_or_default();
            let split = before.contains(&Spread::Split);
            let here = before.contains(&Spread::One);
            match (&relation.join, spread) {
                (Join::First | Join::Inner, _) | (_, Spread::Reference) => {}
                (Join::Left(_) | Join::Semi(_) | Join::Anti(_), Spread::Split)
                    if !split && !here =>
                {
                    return from_rows("an outer join that keeps the rows of a reference table");
                }
                (Join::Left(_) | Join::Anti(_), Spread::One) if split && !here => {
                    return from_rows("an outer join with the table of one organisation");
                }
                (Join::NotIn(_), Spread::Split) => {
                    return from_rows("NOT IN a table that is split over organisations");
                }
                (Join::NotIn(_), Spread::One) if split => {
                    return from_rows("NOT IN the table of one organisation");
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The split relations that meet `first` within one organisation.
    fn meet(&self, block: &Block, first: usize, split: &[usize]) -> BTreeSet<usize> {
        let mut met = BTreeSet::from([first]);
        loop {
            let before = met.len();
            for &index in split {
                let joined = conditions(block, index)
                    .iter()
                    .any(|condition| self.meets_within(block, condition, index, &met));
                if joined {
                    met.insert(index);
                }
            }
            if met.len() == before {
                return met;
            }
        }
    }

    fn meets_within(
        &self,
        block: &Block,
        condition: &Expr,
        index: usize,
        met: &BTreeSet<usize>,
    ) -> bool {
        let Some((a, b)) = sides(condition) else { return false };
        let (own, other) = if a == index { (a, b) } else { (b, a) };
        own == index
            && met.contains(&other)
            && (organisations_equated(block, condition).is_some()
                || condition.column_equality().is_some_and(|((r, x), (s, y))| {
                    self.scope_of(block, r, x) == Some(Scope::Organisation)
                        && self.scope_of(block, s, y) == Some(Scope::Organisation)
                }))
    }

    /// The scope of an identifier, followed through derived relations.
    fn scope_of(&self, block: &Block, relation: usize, name: &str) -> Option<Scope> {
        self.traced(block, relation, name, &|column, _| {
            if column.has_role(Role::Identifier) { column.scope } else { None }
        })
    }

    /// What a contract says of a column, followed through derived relations.
    fn traced<T>(
        &self,
        block: &Block,
        relation: usize,
        name: &str,
        of: &dyn Fn(&ColumnContract, &TableContract) -> Option<T>,
    ) -> Option<T> {
        match &block.from.get(relation)?.source {
            Source::Table { name: table, .. } => {
                let contract = self.contracts.get(table)?;
                of(contract.column(name)?, contract)
            }
            Source::Derived(inner) => match output(inner, name)? {
                Expr::Column { relation, name } => self.traced(inner, *relation, name, of),
                _ => None,
            },
            Source::Values(_) => None,
        }
    }

    /// Tells whether each group of a split block is whole at one node, and each partition of its
    /// windows: the keys hold the organisation, or a number that occurs at one organisation only and
    /// is never NULL.
    fn are_complete(&self, block: &Block) -> bool {
        parting(block).into_iter().all(|keys| self.have_one_home(block, keys))
    }

    fn have_one_home(&self, block: &Block, keys: &[Expr]) -> bool {
        keys.iter().any(|key| match key {
            Expr::Organisation { relation } => !is_optional(block, *relation),
            Expr::Column { relation, name } => {
                let one_home = |column: &ColumnContract, table: &TableContract| {
                    let own = column.within_organisation && !table.reference;
                    (own && !column.nullable).then_some(())
                };
                !may_be_absent(block, *relation, name)
                    && self.traced(block, *relation, name, &one_home).is_some()
            }
            _ => false,
        })
    }

    fn apart_error(&self, block: &Block, apart: usize) -> Misplaced {
        let name = block.from.get(apart).map_or("", Relation::name);
        let protected = block
            .tables()
            .filter_map(|table| self.contracts.get(table))
            .any(|contract| contract.is_protected());
        let links_people = block.filter.iter().chain(conditions(block, apart)).any(|condition| {
            condition.column_equality().is_some_and(|((a, x), (b, y))| {
                (a == apart || b == apart)
                    && self.scope_of(block, a, x) == Some(Scope::Federation)
                    && self.scope_of(block, b, y) == Some(Scope::Federation)
            })
        });
        let hint = format!(
            "join within each organisation: equate an identifier numbered there, or add \
             `AND {}.organisation = {name}.organisation`",
            block.from.first().map_or("", Relation::name)
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
}

fn from_rows<T>(what: &str) -> Result<T, Misplaced> {
    Err(Misplaced::FromRows(NotABlock::new(what)))
}

/// What rows of a block are put together by: the keys of its groups, and each window's partitions.
fn parting(block: &Block) -> Vec<&[Expr]> {
    match &block.output {
        Output::Groups { keys, .. } => vec![keys],
        Output::Rows { columns, .. } => columns
            .iter()
            .filter_map(|column| match column {
                Expr::Window(window) => Some(window.partition.as_slice()),
                _ => None,
            })
            .collect(),
    }
}

/// The output column of a block by its name.
pub(crate) fn output<'b>(block: &'b Block, name: &str) -> Option<&'b Expr> {
    let place = output_names(&block.output).iter().position(|known| known == name)?;
    match &block.output {
        Output::Rows { columns, .. } => columns.get(place),
        Output::Groups { keys, .. } => keys.get(place),
    }
}

/// Tells whether a relation is the optional side of an outer join.
fn is_optional(block: &Block, relation: usize) -> bool {
    block.from.get(relation).is_some_and(|r| matches!(r.join, Join::Left(_)))
}

/// Tells whether a column comes through the optional side of an outer join, here or in a derived
/// relation, and so is NULL where nothing matches.
fn may_be_absent(block: &Block, relation: usize, name: &str) -> bool {
    is_optional(block, relation) || may_be_absent_inside(block, relation, name)
}

/// The same of an outer join in the derived relation that the column is of.
fn may_be_absent_inside(block: &Block, relation: usize, name: &str) -> bool {
    let inner = block.from.get(relation).and_then(Relation::block);
    inner.is_some_and(|inner| match output(inner, name) {
        Some(Expr::Column { relation, name }) => may_be_absent(inner, *relation, name),
        Some(Expr::Organisation { relation }) => is_optional(inner, *relation),
        _ => false,
    })
}

/// The conditions that a relation is joined by.
fn conditions(block: &Block, index: usize) -> &[Expr] {
    match block.from.get(index).map(|relation| &relation.join) {
        Some(join @ (Join::Left(_) | Join::Semi(_) | Join::Anti(_))) => join.on(),
        _ => &block.filter,
    }
}

/// The two relations an equality of columns speaks of.
fn sides(condition: &Expr) -> Option<(usize, usize)> {
    let Expr::Binary { left, operator: BinaryOperator::Equal, right } = condition else {
        return None;
    };
    let relation = |side: &Expr| match side {
        Expr::Column { relation, .. } | Expr::Organisation { relation } => Some(*relation),
        _ => None,
    };
    let (a, b) = (relation(left)?, relation(right)?);
    (a != b).then_some((a, b))
}

/// The two relations whose organisations a condition equates.
pub(crate) fn organisations_equated(block: &Block, condition: &Expr) -> Option<(usize, usize)> {
    let Expr::Binary { left, operator: BinaryOperator::Equal, right } = condition else {
        return None;
    };
    let both = is_organisation(block, left) && is_organisation(block, right);
    sides(condition).filter(|_| both)
}

/// The same of a condition that is true of any two rows of one organisation: before these relations
/// are joined, neither side is NULL.
pub(crate) fn own_organisations_equated(block: &Block, condition: &Expr) -> Option<(usize, usize)> {
    let Expr::Binary { left, right, .. } = condition else { return None };
    let present = |side: &Expr| match side {
        Expr::Column { relation, name } => !may_be_absent_inside(block, *relation, name),
        _ => true,
    };
    organisations_equated(block, condition).filter(|_| present(left) && present(right))
}

/// Tells whether an expression is `organisation`, followed through derived relations: of an optional
/// one it is a column.
fn is_organisation(block: &Block, expr: &Expr) -> bool {
    match expr {
        Expr::Organisation { .. } => true,
        Expr::Column { relation, name } => {
            let inner = block.from.get(*relation).and_then(Relation::block);
            inner.is_some_and(|inner| {
                output(inner, name).is_some_and(|expr| is_organisation(inner, expr))
            })
        }
        _ => false,
    }
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
