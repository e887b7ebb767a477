//! Admission: judges one block by the rules S1 to S10, and plans what the gate must count.
//!
//! A node calls [`admit`] on blocks it lowered itself from its own resolved plan, so nothing a
//! coordinator claims is believed. Anything not known to be allowed is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::admit_inline::inline_multiplies;
use crate::block::{
    AggregateFunction, Block, Expr, Join, Literal, Measure, Output, Relation, UnaryTest,
};
use crate::contract::{Role, Scope, TableContract};
use crate::expression::{Places, Use};
use crate::gate::GatedColumns;
use crate::preset::Policy;
use crate::refusal::{Refusal, Rule};

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

/// What the gate needs to know about one measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellRule {
    /// Output column (of the gated block) that counts the cell's contributors, capped at k.
    pub contributors: usize,
    /// Cells with the same number are withheld together.
    pub linked: usize,
    /// What the hidden value may be when the cell is withheld.
    pub bounds: CellBounds,
}

/// What may be said of a withheld cell, from public knowledge alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellBounds {
    /// It counts people: 0 to k−1.
    People,
    /// It counts rows: 0 or more.
    Rows,
    /// Nothing.
    Unknown,
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
    let contracts = flat_contracts(block, contract)?;
    Question { block, contracts: &contracts }.admit_protected(policy)
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

/// The contracts of a protected block's relations, by position. What is derived, and NOT IN with its
/// NULLs, are not judged over protected tables yet.
fn flat_contracts(
    block: &Block,
    contract: &dyn Fn(&str) -> Option<Arc<TableContract>>,
) -> Result<Vec<Arc<TableContract>>, Refusal> {
    let one = |relation: &Relation| {
        let plain = match relation.join {
            Join::First | Join::Inner | Join::Left(_) | Join::Semi(_) | Join::Anti(_) => {
                let inline = || relation.inline().map(|inline| Arc::new(inline.contract()));
                relation.table_name().and_then(contract).or_else(inline)
            }
            Join::NotIn(_) => None,
        };
        plain.ok_or_else(|| {
            Refusal::new(
                Rule::S6Inner,
                "a subquery stands below an aggregate over a protected table",
                "join the tables directly, and ask for one aggregate",
            )
        })
    };
    block.from.iter().map(one).collect()
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
        let mut condition: Option<&Expr> = None;
        for measure in measures {
            self.check_measure(measure)?;
            for own in self.conditions_of(measure) {
                if condition.is_some_and(|known| known != own) {
                    return Err(Refusal::new(
                        Rule::S3Condition,
                        "the question has more than one FILTER or CASE condition",
                        "ask for one condition per statement, or make it a group key",
                    ));
                }
                condition = Some(own);
            }
        }
        let k = policy.k_for(self.block.tables());
        self.append_gate_columns(keys, measures, k)
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

    // ------------------------------------------------------------------ joins

    /// S5: people are equated, rows are not multiplied, people stand on the preserved side.
    fn check_joins(&self) -> Result<(), Refusal> {
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
            return Err(Refusal::new(
                Rule::S5FanOut,
                "two protected tables with several rows per person are joined, which multiplies rows",
                "join to a table with one row per person, or ask each table on its own",
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
                let Expr::Binary { left, operator: crate::BinaryOperator::Equal, right } = conjunct
                else {
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

    // ------------------------------------------------------- conditions, measures

    fn check_conditions(&self) -> Result<(), Refusal> {
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
    fn check_measure(&self, measure: &Measure) -> Result<(), Refusal> {
        use AggregateFunction as F;
        if let Some(condition) = &measure.condition {
            self.places().check(condition, Use::Condition)?;
        }
        let name = measure.function.name();
        if measure.function.is_extreme() {
            return Err(Refusal::new(
                Rule::S8Extreme,
                format!("`{name}` yields some person's own value"),
                "ask for a mean, or count people in bands",
            ));
        }
        if measure.function == F::People {
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

    fn is_person(&self, contract: &TableContract, name: &str) -> bool {
        contract.person().is_some_and(|person| person.column == name)
            || contract.is_protected()
                && contract.one_row_per_person()
                && contract.column(name).is_some_and(|c| {
                    c.has_role(Role::Identifier) && c.scope == Some(Scope::Federation) && c.unique
                })
    }

    /// The conditions a measure carries: its FILTER and the WHEN of a CASE argument.
    fn conditions_of<'m>(&self, measure: &'m Measure) -> Vec<&'m Expr> {
        let case = measure.arguments.iter().filter_map(|argument| match peel(argument) {
            Expr::Case { branches, .. } => branches.first().map(|(when, _)| when),
            _ => None,
        });
        measure.condition.iter().chain(case).collect()
    }

    // ------------------------------------------------------------ gate columns

    fn append_gate_columns(
        &self,
        keys: &[Expr],
        measures: &[Measure],
        k: u32,
    ) -> Result<Admission, Refusal> {
        let person = self.person_expr()?;
        let mut columns =
            Appended { person, k, first: keys.len() + measures.len(), conditions: vec![None] };
        let mut linked: BTreeMap<(Vec<&Expr>, Option<&Expr>), usize> = BTreeMap::new();
        let mut cells: Vec<CellRule> = Vec::with_capacity(measures.len());
        for measure in measures {
            let key = (measure.arguments.iter().map(peel).collect(), measure.condition.as_ref());
            let next = linked.len();
            let link = *linked.entry(key).or_insert(next);
            cells.push(CellRule {
                contributors: columns.column_for(contributing(measure, self.contracts)),
                linked: link,
                bounds: cell_bounds(measure, self.contracts),
            });
        }
        loosen_linked(&mut cells);
        let appended = columns.measures();
        let gated = Block {
            output: Output::Groups {
                keys: keys.to_vec(),
                measures: measures.iter().cloned().chain(appended).collect(),
            },
            ..self.block.clone()
        };
        let columns =
            GatedColumns { keys: keys.len(), people: keys.len() + measures.len(), k, cells };
        Ok(Admission::Protected { gated, columns })
    }

    /// The person column of the first protected relation, which is always on the preserved side.
    fn person_expr(&self) -> Result<Expr, Refusal> {
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

/// A count that may be withheld for the sake of another cell may be k or more.
fn loosen_linked(cells: &mut [CellRule]) {
    let alone = |cell: &CellRule, all: &[CellRule]| {
        all.iter().all(|c| c.linked != cell.linked || c.contributors == cell.contributors)
    };
    let loosened: Vec<bool> = cells.iter().map(|cell| !alone(cell, cells)).collect();
    for (cell, loosened) in cells.iter_mut().zip(loosened) {
        if loosened && cell.bounds == CellBounds::People {
            cell.bounds = CellBounds::Rows;
        }
    }
}

/// What may be said of a withheld cell of `measure` over relations of these contracts.
pub fn cell_bounds(measure: &Measure, contracts: &[Arc<TableContract>]) -> CellBounds {
    if measure.function != AggregateFunction::Count {
        return CellBounds::Unknown;
    }
    let mut protected = contracts.iter().filter(|contract| contract.is_protected());
    let one_row = matches!((protected.next(), protected.next()), (Some(only), None)
        if only.one_row_per_person());
    if measure.distinct || one_row { CellBounds::People } else { CellBounds::Rows }
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

/// The gate's people counts, one per different condition.
struct Appended {
    person: Expr,
    k: u32,
    first: usize,
    conditions: Vec<Option<Expr>>,
}

impl Appended {
    fn column_for(&mut self, condition: Option<Expr>) -> usize {
        let place = self.conditions.iter().position(|known| *known == condition);
        self.first
            + place.unwrap_or_else(|| {
                self.conditions.push(condition);
                self.conditions.len() - 1
            })
    }

    fn measures(self) -> Vec<Measure> {
        let Self { person, k, conditions, .. } = self;
        conditions
            .into_iter()
            .map(|condition| Measure {
                function: AggregateFunction::People,
                arguments: vec![person.clone(), Expr::Literal(Literal::int64(i64::from(k)))],
                distinct: false,
                condition,
            })
            .collect()
    }
}

/// G2: who contributes to a cell. Rows under the condition whose arguments are not NULL and, where
/// they are summed, not zero.
fn contributing(measure: &Measure, contracts: &[Arc<TableContract>]) -> Option<Expr> {
    let mut conjuncts: Vec<Expr> = measure.condition.iter().cloned().collect();
    for argument in measure.arguments.iter().map(peel) {
        conjuncts.push(Expr::Is {
            operand: Box::new(argument.clone()),
            test: UnaryTest::Null,
            negated: true,
        });
        if measure.function != AggregateFunction::Count && measure.arguments.len() == 1 {
            let differs = |zero: Literal| Expr::Binary {
                left: Box::new(argument.clone()),
                operator: crate::BinaryOperator::NotEqual,
                right: Box::new(Expr::Literal(zero)),
            };
            conjuncts.push(differs(Literal::int64(0)));
            // Floats have a second zero, which no comparison takes for the first.
            if reads_float(argument, contracts) {
                conjuncts.push(differs(Literal::negative_zero()));
            }
        }
    }
    // A condition alone may be an AND: keep it flat, as the normal form wants it.
    let flat: Vec<Expr> = conjuncts
        .into_iter()
        .flat_map(|c| match c {
            Expr::And(list) => list,
            other => vec![other],
        })
        .collect();
    (!flat.is_empty()).then(|| Expr::conjunction(flat))
}

fn reads_float(expr: &Expr, contracts: &[Arc<TableContract>]) -> bool {
    let mut found = false;
    expr.walk(&mut |part| {
        if let Expr::Column { relation, name } = part {
            let column = contracts.get(*relation).and_then(|contract| contract.column(name));
            found |= column.is_some_and(|column| column.data_type.is_floating());
        }
    });
    found
}

/// S5: two columns whose equality says "the same person": both person columns of one scope, or one
/// identifier that both contracts declare to belong to one person.
fn links_people(a: &TableContract, x: &str, b: &TableContract, y: &str) -> bool {
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
