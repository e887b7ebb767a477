//! A block as a node can answer it that does not serve all of its tables: what is not there has no
//! rows, and the columns of an optional one are NULL.
//!
//! ```text
//! asked      SELECT b.x, b.y, sum(b.z) FROM a LEFT JOIN b … GROUP BY b.x, b.y
//! NULL       SELECT NULL, NULL, sum(NULL) FROM a GROUP BY NULL, NULL
//! served     SELECT k0, NULL, NULL FROM (SELECT NULL AS k0 FROM a GROUP BY NULL)
//! ```
//! Columns of groups that come to be the same are asked for once, and those that come to be constants
//! not at all: as SQL text they could not be told apart.

use datafusion::arrow::datatypes::DataType;
use hedgerow_policies::{
    AggregateFunction, Block, Expr, Join, Literal, Measure, Output, Relation, Source, TypeName,
};

use super::federation::{Federation, KnownNode, canonical_block};
use crate::block::{output_names, wire_type};

/// A block over what a node serves.
struct Served {
    block: Block,
    /// What each column of the block as it was asked is, over the columns of this one; `None` where
    /// these are the same.
    columns: Option<Vec<Expr>>,
}

/// What became of one relation.
struct Place {
    relation: usize,
    /// Names of its columns that stand for others, as they were.
    names: Vec<(String, Expr)>,
}

impl Federation {
    /// The block as one node can answer it: what it does not serve has no rows there. `None` where
    /// the block has none either.
    pub(crate) fn over_served(&self, block: &Block, node: &KnownNode) -> Option<Block> {
        let Served { block, columns } = self.served(block, node)?;
        let Some(columns) = columns else { return Some(block) };
        Some(Block {
            from: vec![Relation::derived(block, Join::First)],
            filter: vec![],
            output: Output::Rows { columns, order: vec![], limit: None },
        })
    }

    fn served(&self, block: &Block, node: &KnownNode) -> Option<Served> {
        let mut places: Vec<Option<Place>> = vec![];
        let mut from = vec![];
        for relation in &block.from {
            let (source, names) = match &relation.source {
                Source::Table { name, .. } => {
                    ((!node.lacks(name)).then(|| relation.source.clone()), vec![])
                }
                Source::Derived(inner) => match self.served(inner, node) {
                    Some(served) => {
                        let names = output_names(&inner.output).into_iter();
                        let names = names.zip(served.columns.into_iter().flatten()).collect();
                        (Some(Source::Derived(Box::new(served.block))), names)
                    }
                    None => (None, vec![]),
                },
                Source::Values(_) => (Some(relation.source.clone()), vec![]),
            };
            match (source, &relation.join) {
                (Some(source), join) => {
                    places.push(Some(Place { relation: from.len(), names }));
                    from.push(Relation { source, join: join.clone() });
                }
                (None, Join::First | Join::Inner | Join::Semi(_)) => return None,
                (None, Join::Left(_) | Join::Anti(_) | Join::NotIn(_)) => places.push(None),
            }
        }
        let served = Block { from, ..block.clone() };
        if places.iter().all(|place| place.as_ref().is_some_and(|place| place.names.is_empty())) {
            return Some(Served { block: served, columns: None });
        }
        let served = served.map_own(&|expr| self.over_places(block, &places, expr));
        let Block { from, filter, output } = canonical_block(served);
        let (output, columns) = once(output, &|place| self.type_of_output(block, place));
        Some(Served { block: Block { from, filter, output }, columns })
    }

    /// The type of an output column of a block.
    fn type_of_output(&self, block: &Block, place: usize) -> TypeName {
        let known = self.prove(block).ok();
        let known =
            known.and_then(|schema| Some(wire_type(schema.fields().get(place)?.data_type())));
        TypeName(known.unwrap_or(DataType::Null))
    }

    /// What a column of the block is among the relations that are left.
    fn over_places(&self, block: &Block, places: &[Option<Place>], expr: Expr) -> Expr {
        let place = |relation: usize| places.get(relation).and_then(Option::as_ref);
        match expr {
            Expr::Column { relation, name } => match place(relation) {
                Some(place) => {
                    let other = place.names.iter().find(|(known, _)| *known == name);
                    let other =
                        other.map_or(Expr::Column { relation: 0, name }, |(_, e)| e.clone());
                    other.map(&|part| match part {
                        Expr::Column { name, .. } => {
                            Expr::Column { relation: place.relation, name }
                        }
                        constant => constant,
                    })
                }
                None => Expr::Literal(Literal {
                    data_type: self.type_of(block, relation, &name),
                    text: None,
                }),
            },
            Expr::Organisation { relation } => {
                Expr::Organisation { relation: place(relation).map_or(0, |place| place.relation) }
            }
            other => other,
        }
    }
}

/// The output with each column once and without constants, and what its columns were over those of
/// the new one; `None` where they are the same. One column stays, so that there are no groups where
/// there are no rows.
fn once(output: Output, type_of: &dyn Fn(usize) -> TypeName) -> (Output, Option<Vec<Expr>>) {
    let Output::Groups { keys, measures } = &output else { return (output, None) };
    let column =
        |letter: char, place: usize| Expr::Column { relation: 0, name: format!("{letter}{place}") };
    let constant = |key: &Expr| key.relations().is_empty();
    let all_constant = keys.iter().all(constant);
    let (mut own_keys, mut own_measures): (Vec<Expr>, Vec<Measure>) = (vec![], vec![]);
    let mut columns = vec![];
    for (index, key) in keys.iter().enumerate() {
        columns.push(match constant(key) && !(all_constant && index == 0) {
            true => key.clone(),
            false => column('k', place_in(&mut own_keys, key)),
        });
    }
    for (index, measure) in measures.iter().enumerate() {
        let first = own_keys.is_empty() && index == 0;
        let known = || nothing(measure, || type_of(keys.len() + index));
        columns.push(match known().filter(|_| !first) {
            Some(constant) => constant,
            None => column('m', place_in(&mut own_measures, measure)),
        });
    }
    if (own_keys.len(), own_measures.len()) == (keys.len(), measures.len()) {
        return (output, None);
    }
    (Output::Groups { keys: own_keys, measures: own_measures }, Some(columns))
}

/// What an aggregate of nothing but NULL yields, if it is one.
fn nothing(measure: &Measure, data_type: impl Fn() -> TypeName) -> Option<Expr> {
    measure.arguments.iter().any(is_null).then(|| {
        Expr::Literal(match measure.function {
            AggregateFunction::Count | AggregateFunction::RegrCount => Literal::int64(0),
            _ => Literal { data_type: data_type(), text: None },
        })
    })
}

fn is_null(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(literal) => literal.text.is_none(),
        Expr::Cast { operand, .. } => is_null(operand),
        _ => false,
    }
}

fn place_in<T: Clone + PartialEq>(list: &mut Vec<T>, one: &T) -> usize {
    list.iter().position(|known| known == one).unwrap_or_else(|| {
        list.push(one.clone());
        list.len() - 1
    })
}
