//! Admission: judges one block by the rules S1 to S10, and plans what the gate must count.
//!
//! A node calls [`admit`] on blocks it lowered itself from its own resolved plan, so nothing a
//! coordinator claims is believed. Anything not known to be allowed is refused.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::advice::key_instead_of;
use crate::block::{AggregateFunction, Block, Join, Measure, Output};
use crate::contract::{Role, Scope, TableContract};
use crate::derived::with_derived;
use crate::expression::{Places, Use};
use crate::gate_columns::GatedColumns;
use crate::joins::links_people;
use crate::lineage::{Carried, check_not_repeated, conditions};
use crate::preset::Policy;
use crate::refusal::{Refusal, Rule};
use crate::scalar::Expr;

/// What a node does with an admitted block.
#[derive(Debug, Clone)]
pub enum Admission {
    /// Reads open tables only: the answer may leave as it is.
    Open,
    /// Reads protected tables: run `gated` instead of the block, then gate by `columns`.
    Protected {
        /// The block with the gate's columns appended to its measures.
        gated: Block,
        /// Which output column of `gated` is what.
        columns: GatedColumns,
    },
}

/// Judges one block against the contracts of its tables and the node's policy.
///
/// # Errors
/// A [`Refusal`] with the rule, the offending part, and what to write instead.
pub fn admit(
    block: &Block,
    contract: &dyn Fn(&str) -> Option<Arc<TableContract>>,
    policy: &Policy,
) -> Result<Admission, Refusal> {
    if let Some(name) = block.tables().find(|name| contract(name).is_none()) {
        return Err(Refusal::new(
            Rule::S10Closed,
            format!("table `{name}` has no contract here"),
            "ask for a table listed in `system.tables`",
        ));
    }
    for part in block.blocks() {
        check_visible(part, contract)?;
    }
    let is_protected = |name: &str| contract(name).is_none_or(|table| table.is_protected());
    if !block.tables().any(is_protected) {
        return Ok(Admission::Open);
    }
    if let Output::Rows { .. } = block.output {
        let name = block.tables().find(|name| is_protected(name));
        return Err(rows_of_protected(name.unwrap_or_default()));
    }
    let (block, contracts) = with_derived(block, contract)?;
    Question { block: &block, contracts: &contracts }.admit_protected(policy)
}

fn rows_of_protected(table: &str) -> Refusal {
    Refusal::new(
        Rule::S1Shape,
        format!("rows of protected table `{table}` do not leave their organisation"),
        "ask for an aggregate, such as `SELECT dimension, count(*) … GROUP BY dimension`",
    )
}

/// S10: every column named must be in its contract with a role.
fn check_visible(
    block: &Block,
    contract: &dyn Fn(&str) -> Option<Arc<TableContract>>,
) -> Result<(), Refusal> {
    let contracts: Vec<_> =
        block.from.iter().map(|relation| relation.table_name().and_then(contract)).collect();
    let mut hidden = None;
    for expr in block.expressions() {
        expr.walk(&mut |e| {
            if let Expr::Column { relation, name } = e
                && !is_visible(block, &contracts, *relation, name)
            {
                hidden.get_or_insert_with(|| name.clone());
            }
        });
    }
    match hidden {
        None => Ok(()),
        Some(name) => Err(Refusal::new(
            Rule::S10Closed,
            format!("column `{name}` has no role and is not visible across the federation"),
            "ask for a column listed in `system.columns`",
        )),
    }
}

/// Columns of a derived relation were judged in its own block.
fn is_visible(
    block: &Block,
    contracts: &[Option<Arc<TableContract>>],
    relation: usize,
    name: &str,
) -> bool {
    match contracts.get(relation) {
        Some(Some(contract)) => {
            contract.column(name).is_some_and(|column| !column.roles.is_empty())
        }
        _ => block.from.get(relation).is_some_and(|relation| match relation.inline() {
            Some(inline) => inline.place(name).is_some(),
            None => relation.block().is_some(),
        }),
    }
}

/// Judges the blocks of one bundle together: at most one protected question per family of people.
///
/// # Errors
/// A [`Refusal`] of rule `G7.family` when two protected blocks read the same protected table.
pub fn admit_bundle(
    blocks: &[(&Block, &Admission)],
    contract: &dyn Fn(&str) -> Option<Arc<TableContract>>,
) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for (block, admission) in blocks {
        if matches!(admission, Admission::Open) {
            continue;
        }
        let own: BTreeSet<&str> = block
            .tables()
            .filter(|table| contract(table).is_none_or(|c| c.is_protected()))
            .collect();
        for table in own {
            if !seen.insert(table.to_owned()) {
                return Err(Refusal::new(
                    Rule::G7Family,
                    format!("one statement asks protected table `{table}` two different questions"),
                    "ask one question per statement: one set of group keys and one WHERE clause",
                ));
            }
        }
    }
    Ok(())
}

pub(crate) struct Question<'a> {
    pub(crate) block: &'a Block,
    pub(crate) contracts: &'a [Arc<TableContract>],
}

impl Question<'_> {
    pub(crate) fn places(&self) -> Places<'_> {
        Places { contracts: self.contracts }
    }

    fn admit_protected(&self, policy: &Policy) -> Result<Admission, Refusal> {
        let Output::Groups { keys, measures } = &self.block.output else {
            return Err(rows_of_protected(self.protected_name()));
        };
        self.check_inline()?;
        self.check_joins()?;
        self.check_conditions()?;
        for key in keys {
            self.places().check(key, Use::Key)?;
        }
        let mut condition: Option<Carried> = None;
        for measure in measures {
            self.check_measure(measure)?;
            for own in conditions(self.block, self.contracts, measure) {
                if let Some(known) = condition.as_ref().filter(|known| **known != own) {
                    return Err(Refusal::new(
                        Rule::S3Condition,
                        "the question has more than one condition: FILTER, CASE or an optional table, \
                         those of inner queries among them",
                        key_instead_of(self.block, self.contracts, [known, &own]),
                    ));
                }
                condition = Some(own);
            }
        }
        self.with_gate_columns(keys, measures, policy)
    }

    fn protected_name(&self) -> &str {
        self.protected().next().map_or("", |(_, contract)| contract.name.as_str())
    }

    pub(crate) fn protected(&self) -> impl Iterator<Item = (usize, &TableContract)> {
        self.contracts
            .iter()
            .enumerate()
            .filter(|(_, c)| c.is_protected())
            .map(|(i, c)| (i, c.as_ref()))
    }

    // ------------------------------------------------------- conditions, measures

    pub(crate) fn check_conditions(&self) -> Result<(), Refusal> {
        let on = self.block.from.iter().flat_map(|relation| relation.join.expressions());
        for conjunct in self.block.filter.iter().chain(on) {
            if !self.equates_identifiers(conjunct) {
                self.places().check(conjunct, Use::Condition)?;
            }
        }
        Ok(())
    }

    /// S4 and S5: the one place of an identifier in a condition is a join on people.
    fn equates_identifiers(&self, conjunct: &Expr) -> bool {
        conjunct.column_equality().is_some_and(|(a, b)| {
            match (self.contracts.get(a.0), self.contracts.get(b.0)) {
                (Some(x), Some(y)) => a.0 != b.0 && links_people(x, a.1, y, b.1),
                _ => false,
            }
        })
    }

    /// S3 and S8.
    pub(crate) fn check_measure(&self, measure: &Measure) -> Result<(), Refusal> {
        use AggregateFunction as F;
        if let Some(condition) = &measure.condition {
            self.places().check(condition, Use::Condition)?;
        }
        check_not_repeated(self.block, self.contracts, measure)?;
        let name = measure.function.name();
        if measure.function.is_extreme() {
            return Err(Refusal::new(
                Rule::S8Extreme,
                format!("`{name}` yields some person's own value"),
                "ask for a mean, or count people in bands",
            ));
        }
        if measure.function.is_gates_own() {
            return Err(Refusal::new(
                Rule::S9Function,
                format!("`{name}` is the gate's own and cannot be asked"),
                "use `count(DISTINCT …)` of the person column",
            ));
        }
        if measure.distinct {
            return self.check_count_distinct(measure);
        }
        if measure.function == F::Count {
            return match measure.arguments.as_slice() {
                [] => Ok(()),
                [person] if self.is_optional_person(person) => Ok(()),
                [argument] => self.places().check(peel(argument), Use::Counted),
                _ => Err(unsupported_measure(name)),
            };
        }
        let need = if measure.function.is_moment() { Use::Continuous } else { Use::Measured };
        if measure.arguments.is_empty() {
            return Err(unsupported_measure(name));
        }
        measure.arguments.iter().try_for_each(|a| self.places().check(peel(a), need))
    }

    fn check_count_distinct(&self, measure: &Measure) -> Result<(), Refusal> {
        let counted = match (measure.function, measure.arguments.as_slice()) {
            (AggregateFunction::Count, [Expr::Column { relation, name }]) => {
                self.contracts.get(*relation).is_some_and(|c| self.is_person(c, name))
            }
            _ => false,
        };
        if counted {
            return Ok(());
        }
        Err(Refusal::new(
            Rule::S3Measure,
            "DISTINCT is allowed only in `count(DISTINCT person)`, over the person column",
            "count people, or make the column a group key",
        ))
    }

    /// `count(person)` of an optional relation counts rows that have a match there.
    fn is_optional_person(&self, expr: &Expr) -> bool {
        let Expr::Column { relation, name } = expr else { return false };
        let join = self.block.from.get(*relation).map(|relation| &relation.join);
        matches!(join, Some(Join::Left(_)))
            && self.contracts.get(*relation).is_some_and(|contract| {
                contract.person().is_some_and(|person| person.column == *name)
            })
    }

    fn is_person(&self, contract: &TableContract, name: &str) -> bool {
        contract.person().is_some_and(|person| person.column == name)
            || contract.is_protected()
                && contract.one_row_per_person()
                && contract.column(name).is_some_and(|c| {
                    c.has_role(Role::Identifier) && c.scope == Some(Scope::Federation) && c.unique
                })
    }

    /// The person column of the first protected relation, which is always on the preserved side.
    pub(crate) fn person_expr(&self) -> Result<Expr, Refusal> {
        self.protected()
            .next()
            .and_then(|(relation, contract)| {
                let name = contract.person()?.column.clone();
                Some(Expr::Column { relation, name })
            })
            .ok_or_else(|| {
                Refusal::new(
                    Rule::S10Closed,
                    "the table has no person column",
                    "tell the organisation to complete the contract",
                )
            })
    }
}

fn unsupported_measure(name: &str) -> Refusal {
    Refusal::new(
        Rule::S3Measure,
        format!("`{name}` with these arguments is not allowed over a protected table"),
        "use count(*), count(x), sum(x), avg(x), or stddev(x) of one measure column",
    )
}

/// Takes off a cast that changes no value: the split writes `sum(CAST(x AS DOUBLE))` for a mean, and
/// sums of whole numbers are sums of decimals. That it cannot fail on `x` is seen to at the node,
/// which knows the type of `x`.
pub(crate) fn peel(expr: &Expr) -> &Expr {
    use arrow::datatypes::DataType as T;
    match expr {
        Expr::Cast { operand, to, or_null: false }
            if matches!(to.0, T::Float64 | T::Decimal128(..) | T::Decimal256(..)) =>
        {
            operand
        }
        other => other,
    }
}
