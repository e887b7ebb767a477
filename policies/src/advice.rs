//! What to write instead of what is refused, written out where it can be: parts of SQL that name the
//! tables and columns of the question. Nothing here decides anything.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::block::{Block, Output, Relation};
use crate::contract::{Role, Scope, TableContract};
use crate::lineage::Carried;
use crate::scalar::Expr;

/// Several conditions over one dimension are the groups of that dimension.
pub(crate) fn key_instead_of(
    block: &Block,
    contracts: &[Arc<TableContract>],
    conditions: [&Carried; 2],
) -> String {
    let general = "ask for one condition per statement, or make it a group key";
    let [Some(first), Some(second)] = conditions
        .map(|(way, condition)| if way.is_empty() { only_column(condition) } else { None })
    else {
        return general.to_owned();
    };
    let column = contracts.get(first.0).and_then(|contract| contract.column(&first.1));
    if first != second || !column.is_some_and(|column| column.has_role(Role::Dimension)) {
        return general.to_owned();
    }
    let keys = match &block.output {
        Output::Groups { keys, .. } => keys.as_slice(),
        Output::Rows { .. } => &[],
    };
    let mut names: Vec<&str> = keys.iter().map(|key| name_of(key).unwrap_or("…")).collect();
    names.push(&first.1);
    let names = names.join(", ");
    format!(
        "`{}` as a group key gives every condition a row of its own: `SELECT {names}, … GROUP BY \
         {names}`",
        first.1
    )
}

/// The only column an expression reads.
fn only_column(expr: &Expr) -> Option<(usize, String)> {
    let mut read = BTreeSet::new();
    expr.walk(&mut |part| {
        if let Expr::Column { relation, name } = part {
            read.insert((*relation, name.clone()));
        }
    });
    let first = read.pop_first();
    first.filter(|_| read.is_empty())
}

fn name_of(key: &Expr) -> Option<&str> {
    match key {
        Expr::Column { name, .. } => Some(name),
        Expr::Organisation { .. } => Some(TableContract::ORGANISATION),
        _ => None,
    }
}

/// A table with several rows per person, as one with one row per person.
pub(crate) fn reduced_to_people(relation: &Relation, contract: &TableContract) -> Option<String> {
    let (name, person) = (relation.table_name()?, contract.person()?);
    let key = match person.scope {
        Scope::Organisation => format!("{}, {}", TableContract::ORGANISATION, person.column),
        Scope::Federation => person.column.clone(),
    };
    Some(format!(
        "reduce `{name}` to one row per person, with its own conditions inside: `JOIN (SELECT {key}, \
         count(*) AS n FROM {name} GROUP BY {key}) AS x` on {key}; then `sum(x.n)` counts its rows"
    ))
}
