//! What the gate must count, and as which columns of the block: planned at admission, so that what
//! runs is the question and its proof in one.
//!
//! ```text
//! asked    k0 k1 | m0 m1
//! gated    k0 k1 | m0 m1 | people, contributors…   G1, G2: capped at k, so cheap
//!                        | profile                 G3, G4: one bit per proof, of every person's part
//!                        | sum, count…             G8: what a mean or a moment is rounded from
//! ```
//! Main type: [`GatedColumns`].

use std::sync::Arc;

use crate::admit::{Admission, Question, peel};
use crate::block::{AggregateFunction as F, Block, Measure, Output};
use crate::contract::TableContract;
use crate::lineage::conditions;
use crate::measure::{addends_that_contribute, differs_from, links};
use crate::preset::{Dominance, Policy};
use crate::refusal::{Refusal, Rule};
use crate::rounding::{CellRounding, rounding};
use crate::scalar::{Expr, Literal, UnaryTest};

/// First bit of a profile that speaks of a condition (G3); those before it speak of amounts (G4).
pub const PROFILE_CONDITION_BIT: usize = 31;
/// Most conditions, and most amounts, of one profile: its answer is a 64-bit number with a sign.
const PROOFS_MAX: usize = 31;
/// Most values of a measure that are looked at one by one (G3).
const VALUES_MAX: f64 = 3.0;
const MILLION: f64 = 1_000_000.0;

/// Which output column of a gated block is what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatedColumns {
    /// Number of key columns, which come first.
    pub keys: usize,
    /// Column that counts the people of the group, capped at k.
    pub people: usize,
    /// Column whose bits are the proofs of G3 and G4, where the policy has these rules.
    pub profile: Option<usize>,
    /// The threshold.
    pub k: u32,
    /// Base of rounding (G8), where the policy rounds.
    pub round_to: Option<u32>,
    /// One rule per measure, in order; the measures follow the keys.
    pub cells: Vec<CellRule>,
}

/// What the gate needs to know about one measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellRule {
    /// Output columns (of the gated block) that count the cell's contributors, and those to each
    /// addend of its argument, capped at k: each must be enough (G2).
    pub contributors: Vec<usize>,
    /// Bits of the profile that must all be set (G3, G4).
    pub proofs: u64,
    /// Cells with the same number are withheld together (G5).
    pub linked: usize,
    /// What the hidden value may be when the cell is withheld.
    pub bounds: CellBounds,
    /// How it is rounded (G8).
    pub rounding: CellRounding,
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

impl Question<'_> {
    /// The block with what the gate must count beside its measures.
    pub(crate) fn with_gate_columns(
        &self,
        keys: &[Expr],
        measures: &[Measure],
        policy: &Policy,
    ) -> Result<Admission, Refusal> {
        let k = policy.k_for(self.block.tables());
        let mut columns = Appended::new(self.person_expr()?, k, keys.len() + measures.len());
        let mut profile = Profile::new(policy);
        let mut cells: Vec<CellRule> = Vec::with_capacity(measures.len());
        for (measure, linked) in measures.iter().zip(links(measures)) {
            if policy.round_to().is_some() && tells_the_count(measure, self.contracts) {
                return Err(product_of_moment());
            }
            let mut contributing = contributing(measure, self.contracts);
            contributing.extend(self.values_of(measure, policy));
            cells.push(CellRule {
                proofs: self.prove(measure, contributing.first(), &mut profile),
                contributors: contributing.into_iter().map(|c| columns.column_for(c)).collect(),
                linked,
                bounds: cell_bounds(measure, self.contracts),
                rounding: rounding(measure, self.contracts),
            });
        }
        loosen_linked(&mut cells);
        if profile.amounts.len().max(profile.conditions.len()) > PROOFS_MAX {
            return Err(too_many_aggregates());
        }
        let person = columns.person.clone();
        let people = keys.len() + measures.len();
        let mut all: Vec<Measure> = measures.iter().cloned().chain(columns.measures()).collect();
        let place = keys.len() + all.len();
        let profile = profile.measure(person, k);
        let columns = GatedColumns {
            keys: keys.len(),
            people,
            profile: profile.is_some().then_some(place),
            k,
            round_to: policy.round_to(),
            cells,
        };
        all.extend(profile);
        let columns = with_parts(columns, measures, &mut all);
        let output = Output::Groups { keys: keys.to_vec(), measures: all };
        Ok(Admission::Protected { gated: Block { output, ..self.block.clone() }, columns })
    }

    /// What must be shown of a cell by every person's part in it; `contributes` says who has one.
    fn prove(
        &self,
        measure: &Measure,
        contributes: Option<&Option<Expr>>,
        profile: &mut Profile,
    ) -> u64 {
        let contributes = contributes.cloned().flatten();
        let mut proofs = 0;
        if let Some(condition) = contributes.clone().filter(|_| self.has_complement(measure)) {
            proofs |= profile.complement(condition);
        }
        for amount in self.amounts(measure) {
            proofs |= profile.spread(match &contributes {
                None => amount,
                Some(condition) => Expr::Case {
                    operand: None,
                    branches: vec![(condition.clone(), amount)],
                    otherwise: None,
                },
            });
        }
        proofs
    }

    /// G3: whether the cell leaves out some of its group's rows: by a condition, or because an
    /// argument may be NULL. What is left out of a plain sum is not seen in it.
    fn has_complement(&self, measure: &Measure) -> bool {
        let nullable = |argument: &Expr| argument.any(&|part| self.may_be_null(part));
        let by_case = |argument: &Expr| argument.any(&|part| matches!(part, Expr::Case { .. }));
        !measure.distinct && measure.function != F::Sum && measure.arguments.iter().any(nullable)
            || measure.arguments.iter().any(by_case)
            || !conditions(self.block, self.contracts, measure).is_empty()
    }

    fn may_be_null(&self, expr: &Expr) -> bool {
        use crate::block::Join;
        let Expr::Column { relation, name } = expr else { return false };
        let optional = self
            .block
            .from
            .get(*relation)
            .is_some_and(|relation| matches!(relation.join, Join::Left(_)));
        let contract = self.contracts.get(*relation);
        optional || contract.and_then(|c| c.column(name)).is_none_or(|column| column.nullable)
    }

    /// G3: a whole number of at most three values is as good as a condition for each of them.
    fn values_of(&self, measure: &Measure, policy: &Policy) -> Vec<Option<Expr>> {
        let [argument] = measure.arguments.as_slice() else { return vec![] };
        let argument = peel(argument);
        let Expr::Column { relation, name } = argument else { return vec![] };
        let column = self.contracts.get(*relation).and_then(|contract| contract.column(name));
        let range = column.filter(|c| c.data_type.is_integer()).and_then(|c| c.range);
        let Some((low, high)) = range.filter(|(low, high)| high - low < VALUES_MAX) else {
            return vec![];
        };
        if !policy.complement() || measure.function == F::Count {
            return vec![];
        }
        let mut values = vec![];
        let mut value = low.ceil();
        while value <= high {
            let equal = Expr::Binary {
                left: Box::new(argument.clone()),
                operator: crate::scalar::BinaryOperator::Equal,
                right: Box::new(Expr::Literal(Literal::int64(value as i64))),
            };
            values.push(flat(measure.condition.iter().cloned().chain([equal]).collect()));
            value += 1.0;
        }
        values
    }

    /// G4: what each row adds to a cell. Nothing where each person adds one.
    fn amounts(&self, measure: &Measure) -> Vec<Expr> {
        if measure.function == F::Count {
            let even =
                measure.distinct || cell_bounds(measure, self.contracts) == CellBounds::People;
            return if even { vec![] } else { vec![Expr::Literal(Literal::int64(1))] };
        }
        let arguments = measure.arguments.iter().map(peel);
        arguments
            .flat_map(|argument| {
                let parts = addends_that_contribute(argument, self.contracts);
                std::iter::once(argument).chain(parts).cloned()
            })
            .collect()
    }
}

/// G8: whether the exact sum of products of its arguments may be asked for, so that a covariance
/// tells the count.
fn tells_the_count(measure: &Measure, contracts: &[Arc<TableContract>]) -> bool {
    let [first, second] = measure.arguments.as_slice() else { return false };
    let of_products = match measure.function {
        F::CovarPop
        | F::CovarSamp
        | F::Corr
        | F::RegrIntercept
        | F::RegrR2
        | F::RegrSlope
        | F::RegrSxy => true,
        F::RegrCount
        | F::RegrAvgx
        | F::RegrAvgy
        | F::RegrSxx
        | F::RegrSyy
        | F::Count
        | F::Sum
        | F::Avg
        | F::Min
        | F::Max
        | F::VarPop
        | F::VarSamp
        | F::StddevPop
        | F::StddevSamp
        | F::BoolAnd
        | F::BoolOr
        | F::BitAnd
        | F::BitOr
        | F::BitXor
        | F::People
        | F::Profile => false,
    };
    of_products
        && contracts.iter().enumerate().any(|(place, contract)| {
            let reads = |argument: &Expr, column: &str| {
                argument.any(&|part| {
                    matches!(part, Expr::Column { relation, name } if *relation == place && name == column)
                })
            };
            contract.products.iter().any(|(x, y)| {
                reads(first, x) && reads(second, y) || reads(first, y) && reads(second, x)
            })
        })
}

fn product_of_moment() -> Refusal {
    Refusal::new(
        Rule::S3Measure,
        "a covariance, correlation or regression is of two columns whose product the contract \
         lists, and the organisation rounds counts (G8), which it would tell",
        "sum the product, or ask for the spread of each column on its own",
    )
}

fn too_many_aggregates() -> Refusal {
    Refusal::new(
        Rule::S3Measure,
        format!(
            "the question has so many aggregates that more than {PROOFS_MAX} proofs are needed"
        ),
        "ask for fewer aggregates in a statement",
    )
}

/// A count that may be withheld for the sake of another cell may be k or more, and so may one that
/// is withheld because of those who are not in it, or of a few who are nearly all of it.
fn loosen_linked(cells: &mut [CellRule]) {
    let alone = |cell: &CellRule, all: &[CellRule]| {
        cell.proofs == 0
            && all.iter().all(|c| {
                c.linked != cell.linked || c.contributors == cell.contributors && c.proofs == 0
            })
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
    if measure.function != F::Count {
        return CellBounds::Unknown;
    }
    let protected = contracts.iter().filter(|contract| contract.is_protected());
    let one_row =
        protected.clone().count() > 0 && protected.into_iter().all(|c| c.one_row_per_person());
    if measure.distinct || one_row { CellBounds::People } else { CellBounds::Rows }
}

/// The gate's people counts, one per different condition.
struct Appended {
    person: Expr,
    k: u32,
    first: usize,
    conditions: Vec<Option<Expr>>,
}

impl Appended {
    fn new(person: Expr, k: u32, first: usize) -> Self {
        Self { person, k, first, conditions: vec![None] }
    }

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
                function: F::People,
                arguments: vec![person.clone(), whole(k)],
                distinct: false,
                condition,
            })
            .collect()
    }
}

/// What is to be shown of every person's part in a group, each once.
struct Profile {
    asks_complement: bool,
    p_percent: Option<f64>,
    dominance: Option<Dominance>,
    conditions: Vec<Expr>,
    amounts: Vec<Expr>,
}

impl Profile {
    fn new(policy: &Policy) -> Self {
        Self {
            asks_complement: policy.complement(),
            p_percent: policy.p_percent(),
            dominance: policy.dominance(),
            conditions: vec![],
            amounts: vec![],
        }
    }

    /// The bit of "k people of the group or more do not meet it".
    fn complement(&mut self, condition: Expr) -> u64 {
        if !self.asks_complement {
            return 0;
        }
        bit(PROFILE_CONDITION_BIT + place_of(&mut self.conditions, condition))
    }

    /// The bit of "nobody's part is too large".
    fn spread(&mut self, amount: Expr) -> u64 {
        if self.p_percent.is_none() && self.dominance.is_none() {
            return 0;
        }
        bit(place_of(&mut self.amounts, amount))
    }

    /// `hedgerow_profile(person, k, p, n, share, conditions, c…, x…)`, with shares in millionths.
    fn measure(self, person: Expr, k: u32) -> Option<Measure> {
        if self.conditions.is_empty() && self.amounts.is_empty() {
            return None;
        }
        let millionths = |share: f64| (share * MILLION).round() as u32;
        let (n, share) = self.dominance.map_or((1, 1.0), |d| (d.n, d.share));
        let conditions = u32::try_from(self.conditions.len()).unwrap_or(u32::MAX);
        let p = self.p_percent.unwrap_or(0.0);
        let rules = [k, millionths(p), n, millionths(share), conditions].map(whole);
        let arguments = std::iter::once(person)
            .chain(rules)
            .chain(self.conditions)
            .chain(self.amounts)
            .collect();
        Some(Measure { function: F::Profile, arguments, distinct: false, condition: None })
    }
}

/// All bits where there is none of that number: they are never all set.
fn bit(place: usize) -> u64 {
    u32::try_from(place).ok().and_then(|place| 1_u64.checked_shl(place)).unwrap_or(u64::MAX)
}

fn place_of(list: &mut Vec<Expr>, expr: Expr) -> usize {
    match list.iter().position(|known| *known == expr) {
        Some(place) => place,
        None => {
            list.push(expr);
            list.len() - 1
        }
    }
}

/// Appends what is to be rounded in the place of a mean or a moment: sums and counts.
fn with_parts(
    mut columns: GatedColumns,
    measures: &[Measure],
    all: &mut Vec<Measure>,
) -> GatedColumns {
    if columns.round_to.is_none() {
        return columns;
    }
    for (measure, cell) in measures.iter().zip(&mut columns.cells) {
        let mut place = |function| {
            let part = Measure { function, ..measure.clone() };
            columns.keys
                + all.iter().position(|known| *known == part).unwrap_or_else(|| {
                    all.push(part);
                    all.len() - 1
                })
        };
        cell.rounding = match cell.rounding {
            CellRounding::Mean { addends, .. } => {
                CellRounding::Mean { addends, sum: place(F::Sum), count: place(F::Count) }
            }
            CellRounding::Moment { factor, .. } => CellRounding::Moment {
                factor,
                count: place(if measure.arguments.len() == 1 { F::Count } else { F::RegrCount }),
            },
            rounding @ (CellRounding::Whole(_) | CellRounding::Digits | CellRounding::Same) => {
                rounding
            }
        };
    }
    columns
}

fn whole(number: u32) -> Expr {
    Expr::Literal(Literal::int64(i64::from(number)))
}

/// G2: who contributes to a cell. Rows under the condition whose arguments are not NULL and, where
/// they are summed, not zero; and the same of each addend of a sum of several columns, and of each of
/// two arguments.
fn contributing(measure: &Measure, contracts: &[Arc<TableContract>]) -> Vec<Option<Expr>> {
    let mut conjuncts: Vec<Expr> = measure.condition.iter().cloned().collect();
    for argument in measure.arguments.iter().map(peel) {
        conjuncts.push(Expr::Is {
            operand: Box::new(argument.clone()),
            test: UnaryTest::Null,
            negated: true,
        });
    }
    let there = || flat(conjuncts.clone());
    if matches!(measure.function, F::Count | F::RegrCount) {
        return vec![there()];
    }
    // With two arguments a row has both, and either may be nearly all zero.
    let pairs = (measure.arguments.len() != 1).then(there);
    let summed = measure.arguments.iter().map(peel).flat_map(|argument| {
        std::iter::once(argument).chain(addends_that_contribute(argument, contracts))
    });
    let differs = summed.map(|part| {
        let own = conjuncts.iter().cloned();
        flat(own.chain(differs_from_zero(part, contracts)).collect())
    });
    pairs.into_iter().chain(differs).collect()
}

fn differs_from_zero(argument: &Expr, contracts: &[Arc<TableContract>]) -> Vec<Expr> {
    let mut conjuncts = vec![differs_from(argument, Literal::int64(0))];
    // Floats have a second zero, which no comparison takes for the first.
    if reads_float(argument, contracts) {
        conjuncts.push(differs_from(argument, Literal::negative_zero()));
    }
    conjuncts
}

/// A condition alone may be an AND: keep it flat, as the normal form wants it.
fn flat(conjuncts: Vec<Expr>) -> Option<Expr> {
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
    expr.any(&|part| match part {
        Expr::Column { relation, name } => {
            let column = contracts.get(*relation).and_then(|contract| contract.column(name));
            column.is_some_and(|column| column.data_type.is_floating())
        }
        _ => false,
    })
}
