//! S5: protected tables meet on the person, and no join multiplies rows.

use std::collections::BTreeSet;

use crate::admit::Question;
use crate::admit_inline::inline_multiplies;
use crate::advice::reduced_to_people;
use crate::block::{Block, Join, Relation};
use crate::contract::{Role, TableContract};
use crate::refusal::{Refusal, Rule};
use crate::scalar::{BinaryOperator, Expr};

impl Question<'_> {
    /// S5: people are equated, rows are not multiplied, people stand on the preserved side.
    pub(crate) fn check_joins(&self) -> Result<(), Refusal> {
        let mut protected = self.protected().map(|(i, _)| i);
        let first = protected.next().unwrap_or(0);
        if let Some(relation) = self.block.from.get(first)
            && !matches!(relation.join, Join::First | Join::Inner)
        {
            return Err(Refusal::new(
                Rule::S5Join,
                format!(
                    "protected table `{}` stands on the optional side of an outer join, or below \
                     EXISTS or IN, of tables that are not about people",
                    relation.name()
                ),
                "name the protected table first, or use an inner join",
            ));
        }
        let mut linked = BTreeSet::from([first]);
        let mut many: BTreeSet<usize> = BTreeSet::new();
        let mut waiting: Vec<usize> = protected.collect();
        loop {
            let before = waiting.len();
            waiting.retain(|&relation| {
                let links = self.person_links(relation, &linked);
                if links.is_empty() {
                    return true;
                }
                // What only has to exist, or not, multiplies nothing.
                if !self.is_existence(relation) {
                    many.extend(several_rows(&links));
                }
                linked.insert(relation);
                false
            });
            if waiting.is_empty() || waiting.len() == before {
                break;
            }
        }
        if let Some(relation) = waiting.first().and_then(|&r| self.block.from.get(r)) {
            return Err(Refusal::new(
                Rule::S5Join,
                format!("protected table `{}` is not joined on the person column", relation.name()),
                "join protected tables with an equality of their person columns, \
                 such as `a.person_number = b.person_number`",
            ));
        }
        if many.len() > 1 {
            let last = many.last().and_then(|&place| {
                reduced_to_people(self.block.from.get(place)?, self.contracts.get(place)?)
            });
            return Err(Refusal::new(
                Rule::S5FanOut,
                "two protected tables with several rows per person are joined, which multiplies rows",
                last.unwrap_or_else(|| {
                    "join to a table with one row per person, or ask each table on its own"
                        .to_owned()
                }),
            ));
        }
        self.check_open_relations(linked)
    }

    /// Tells whether a relation only has to have a match, or none (EXISTS, IN, NOT EXISTS).
    fn is_existence(&self, relation: usize) -> bool {
        let join = self.block.from.get(relation).map(|relation| &relation.join);
        matches!(join, Some(Join::Semi(_) | Join::Anti(_)))
    }

    /// The equalities that link protected `relation` to those already linked.
    fn person_links(&self, relation: usize, linked: &BTreeSet<usize>) -> Vec<PersonLink> {
        self.conjuncts_of(relation)
            .filter_map(|conjunct| {
                let (a, b) = conjunct.column_equality()?;
                let (own, other) = if a.0 == relation { (a, b) } else { (b, a) };
                if own.0 != relation || !linked.contains(&other.0) {
                    return None;
                }
                let own_contract = self.contracts.get(own.0)?;
                let other_contract = self.contracts.get(other.0)?;
                links_people(own_contract, own.1, other_contract, other.1).then(|| PersonLink {
                    own: (own.0, is_unique(own_contract, own.1)),
                    other: (other.0, is_unique(other_contract, other.1)),
                })
            })
            .collect()
    }

    /// Conjuncts that decide how `relation` is joined.
    fn conjuncts_of(&self, relation: usize) -> Box<dyn Iterator<Item = &Expr> + '_> {
        match self.block.from.get(relation).map(|r| &r.join) {
            Some(Join::First | Join::Inner) | None => Box::new(self.block.filter.iter()),
            Some(join) => Box::new(join.on().iter()),
        }
    }

    /// Open relations must be unique on what they are joined by, so that rows are not multiplied.
    fn check_open_relations(&self, mut known: BTreeSet<usize>) -> Result<(), Refusal> {
        let mut waiting: Vec<usize> =
            (0..self.contracts.len()).filter(|i| !known.contains(i)).collect();
        loop {
            let before = waiting.len();
            waiting.retain(|&relation| {
                let unique = self.is_existence(relation) || self.open_is_unique(relation, &known);
                if unique {
                    known.insert(relation);
                }
                !unique
            });
            if waiting.is_empty() {
                return Ok(());
            }
            if waiting.len() == before {
                break;
            }
        }
        let relation = waiting.first().and_then(|&r| self.block.from.get(r));
        if relation.is_some_and(|relation| relation.inline().is_some()) {
            return Err(inline_multiplies());
        }
        let name = relation.map_or("", Relation::name);
        Err(Refusal::new(
            Rule::S5FanOut,
            format!(
                "table `{name}` is not joined on a whole key of its own, which would multiply rows"
            ),
            format!("equate every column of a key of `{name}` with a dimension"),
        ))
    }

    fn open_is_unique(&self, relation: usize, known: &BTreeSet<usize>) -> bool {
        let Some(contract) = self.contracts.get(relation) else { return false };
        if let Some(inline) = self.block.from.get(relation).and_then(Relation::inline) {
            return self.inline_is_unique(relation, inline, known);
        }
        // Its rows were written by whoever asks, and differ perhaps only until they are compared.
        let derived = self.block.from.get(relation).and_then(Relation::block);
        if derived.is_some_and(reads_inline) {
            return false;
        }
        let bound: BTreeSet<&str> =
            self.equated(relation, known).into_iter().map(|(name, _)| name).collect();
        contract.columns.iter().any(|c| c.unique && bound.contains(c.name.as_str()))
            || contract
                .keys
                .iter()
                .any(|key| !key.is_empty() && key.iter().all(|c| bound.contains(c.as_str())))
    }

    /// The columns of `relation` that are equated with what is known, and with what.
    pub(crate) fn equated(&self, relation: usize, known: &BTreeSet<usize>) -> Vec<(&str, &Expr)> {
        self.conjuncts_of(relation)
            .filter_map(|conjunct| {
                let Expr::Binary { left, operator: BinaryOperator::Equal, right } = conjunct else {
                    return None;
                };
                [(left, right), (right, left)].into_iter().find_map(|(own, other)| {
                    match own.as_ref() {
                        Expr::Column { relation: r, name }
                            if *r == relation && other.relations().is_subset(known) =>
                        {
                            Some((name.as_str(), other.as_ref()))
                        }
                        _ => None,
                    }
                })
            })
            .collect()
    }
}

/// Tells whether a block reads an inline table, however deep.
fn reads_inline(block: &Block) -> bool {
    block.blocks().into_iter().flat_map(|block| &block.from).any(|r| r.inline().is_some())
}

/// An equality of people between two relations: each with whether its column is unique there.
struct PersonLink {
    own: (usize, bool),
    other: (usize, bool),
}

/// The relations that may bring several rows to one row of the other side: none of the columns they
/// are linked by is unique in them.
fn several_rows(links: &[PersonLink]) -> BTreeSet<usize> {
    let sides = || links.iter().flat_map(|link| [link.own, link.other]);
    sides()
        .map(|(relation, _)| relation)
        .filter(|relation| !sides().any(|(own, unique)| own == *relation && unique))
        .collect()
}

/// S5: two columns whose equality says "the same person": both person columns of one scope, or one
/// identifier that both contracts declare to belong to one person.
pub(crate) fn links_people(a: &TableContract, x: &str, b: &TableContract, y: &str) -> bool {
    let type_of = |contract: &TableContract, name: &str| {
        contract.column(name).map(|column| column.data_type.clone())
    };
    if !a.is_protected() || !b.is_protected() || type_of(a, x) != type_of(b, y) {
        return false;
    }
    let person = |contract: &TableContract, name: &str| {
        contract.person().filter(|p| p.column == name).map(|p| p.scope)
    };
    if let (Some(left), Some(right)) = (person(a, x), person(b, y)) {
        return left == right;
    }
    let within = |contract: &TableContract, name: &str| {
        contract.column(name).is_some_and(|c| c.within_person && c.has_role(Role::Identifier))
    };
    x == y && within(a, x) && within(b, y)
}

fn is_unique(contract: &TableContract, name: &str) -> bool {
    contract.column(name).is_some_and(|c| c.unique)
        || contract.keys.iter().any(|key| key.len() == 1 && key.iter().all(|c| c == name))
}
