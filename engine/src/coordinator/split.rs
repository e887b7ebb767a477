//! Splits the aggregates of a block: what each node computes, and how the parts are merged.
//!
//! | aggregate | node | coordinator |
//! | --- | --- | --- |
//! | count | count | sum |
//! | sum, min, max, bool_*, bit_* | same | same |
//! | avg | count, sum | ratio, as DataFusion's own avg merges |
//! | var*, stddev* | count, mean, var_pop | merged moments |
//! | covar*, corr, regr_* | count, means, sxx, syy, sxy | merged moments |
//! | count(DISTINCT person), protected | same | sum; bounds where people are known federation-wide |
//! | any other DISTINCT, open | grouped by the argument too | the same over those groups |
//! | count(DISTINCT dimension), protected | grouped by it too | the number of released values |
//! | percentiles, protected | counts per bin (`percentile`) | interpolated |
//!
//! Sums are widened before they come here (`exact_sum`). Node-side parts are standard SQL; raw
//! values and sketches never travel.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::functions_aggregate::expr_fn;
use datafusion::logical_expr::expr::AggregateFunction as DfAggregate;
use datafusion::logical_expr::{Expr as DfExpr, ExprSchemable, cast, ident};
use hedgerow_policies::{
    AggregateFunction as F, Block, CellRounding, Expr, Measure, Protection, Role, Scope,
    TableContract, TypeName, rounding, widened,
};

use super::exact_sum::addend;
use super::merge_state::MergeState;
use crate::block::NotABlock;

/// How one aggregate of the statement is put together from node columns.
pub(crate) struct Merged {
    /// An aggregate expression over node columns, or a bare node column where groups are whole.
    pub(crate) value: DfExpr,
    /// The first node-side part: its status and bounds speak for the aggregate.
    pub(crate) part: usize,
    /// What bounds of the parts say of the whole.
    pub(crate) bounds: MergedBounds,
    /// How it is rounded where nodes leave that to the coordinator; a mean's places are of parts.
    pub(crate) rounding: CellRounding,
}

/// What the bounds of node-side parts say of the merged value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MergedBounds {
    /// They add up.
    Sum,
    /// People known to several organisations: at least the largest, at most the sum.
    SamePeople,
    /// Nothing of parts: it counts what was released, and there may be more.
    AtLeast,
    /// Nothing of parts: it is estimated from what was released, where enough is.
    Estimate,
    /// Nothing, unless every part was released.
    Unknown,
}

impl Merged {
    /// A value that is not rounded.
    pub(crate) fn of(value: DfExpr, part: usize, bounds: MergedBounds) -> Self {
        Self { value, part, bounds, rounding: CellRounding::Same }
    }

    /// An estimate over released groups; it has no part of its own.
    pub(crate) fn estimate(value: DfExpr) -> Self {
        Self { value, part: 0, bounds: MergedBounds::Estimate, rounding: CellRounding::Same }
    }
}

/// Node-side measures, each once, and the keys that groups are told apart by there.
pub(crate) struct Parts {
    pub(crate) measures: Vec<Measure>,
    /// The statement's keys, each once, and after them what DISTINCT aggregates are computed over.
    pub(crate) keys: Vec<Expr>,
    /// How many keys the statement has.
    own_keys: usize,
}

/// Most columns that nodes group by for the sake of DISTINCT.
const DISTINCT_KEYS_MAX: usize = 2;

impl Parts {
    /// No measures yet, over the statement's keys.
    pub(crate) fn over(keys: Vec<Expr>) -> Self {
        Self { measures: vec![], own_keys: keys.len(), keys }
    }

    fn add(&mut self, measure: Measure) -> usize {
        match self.measures.iter().position(|known| *known == measure) {
            Some(known) => known,
            None => {
                self.measures.push(measure);
                self.measures.len() - 1
            }
        }
    }

    /// Splits one aggregate, and says how it is rounded.
    ///
    /// `call` is the aggregate as resolved over `input`, `measure` its lowered form; `whole` says
    /// that every group lives at one node, so that nothing needs merging.
    pub(crate) fn split(
        &mut self,
        call: &DfAggregate,
        measure: &Measure,
        input: &DFSchema,
        tables: &[Arc<TableContract>],
        whole: bool,
    ) -> Result<Merged, NotABlock> {
        let protected = tables.iter().any(|table| table.is_protected());
        let exact = if protected { exact(call, measure, input, tables)? } else { None };
        let measure = exact.as_ref().unwrap_or(measure);
        let merged = self.split_exact(call, measure, input, tables, whole)?;
        let rounding = match (protected, rounding(measure, tables), merged.bounds) {
            (false, ..) | (true, _, MergedBounds::AtLeast) => CellRounding::Same,
            (true, CellRounding::Mean { addends, .. }, _) => {
                let (sum, count) = self.parts_of_mean(call, measure, input)?;
                CellRounding::Mean { addends, sum, count }
            }
            (true, CellRounding::Moment { factor, .. }, _) => {
                CellRounding::Moment { factor, count: self.count_of_moment(call, measure, input)? }
            }
            (true, other, _) => other,
        };
        Ok(Merged { rounding, ..merged })
    }

    fn split_exact(
        &mut self,
        call: &DfAggregate,
        measure: &Measure,
        input: &DFSchema,
        tables: &[Arc<TableContract>],
        whole: bool,
    ) -> Result<Merged, NotABlock> {
        let protected = tables.iter().any(|table| table.is_protected());
        if whole {
            let part = self.add(measure.clone());
            return Ok(Merged::of(column(part), part, MergedBounds::Sum));
        }
        if measure.distinct {
            return match (protected, is_count_of_values(measure, tables)) {
                (true, false) => self.distinct_people(measure, tables),
                (true, true) => {
                    let counted = self.distinct(call, measure)?;
                    Ok(Merged { bounds: MergedBounds::AtLeast, ..counted })
                }
                (false, _) => self.distinct(call, measure),
            };
        }
        let direct = |parts: &mut Self, merge: fn(DfExpr) -> DfExpr, bounds| {
            let part = parts.add(measure.clone());
            Ok(Merged::of(merge(column(part)), part, bounds))
        };
        match measure.function {
            F::Count | F::RegrCount => direct(self, expr_fn::sum, MergedBounds::Sum),
            F::Sum => direct(self, expr_fn::sum, MergedBounds::Unknown),
            F::Min => direct(self, expr_fn::min, MergedBounds::Unknown),
            F::Max => direct(self, expr_fn::max, MergedBounds::Unknown),
            F::BoolAnd => direct(self, expr_fn::bool_and, MergedBounds::Unknown),
            F::BoolOr => direct(self, expr_fn::bool_or, MergedBounds::Unknown),
            F::BitAnd => direct(self, expr_fn::bit_and, MergedBounds::Unknown),
            F::BitOr => direct(self, expr_fn::bit_or, MergedBounds::Unknown),
            F::BitXor => direct(self, expr_fn::bit_xor, MergedBounds::Unknown),
            F::Avg => self.average(call, measure, input),
            F::VarPop | F::VarSamp | F::StddevPop | F::StddevSamp => {
                self.moments_of_one(call, measure, input)
            }
            F::CovarPop | F::CovarSamp | F::Corr => self.moments_of_two(call, measure, input),
            F::RegrAvgx
            | F::RegrAvgy
            | F::RegrIntercept
            | F::RegrR2
            | F::RegrSlope
            | F::RegrSxx
            | F::RegrSxy
            | F::RegrSyy => self.moments_of_two(call, measure, input),
            F::People | F::Profile => Err(NotABlock::new("the gate's own aggregate")),
        }
    }

    /// Any DISTINCT aggregate over open tables, and the number of values of a dimension: nodes group by
    /// its argument as well, and the coordinator computes it over what they found.
    fn distinct(&mut self, call: &DfAggregate, measure: &Measure) -> Result<Merged, NotABlock> {
        let [argument] = measure.arguments.as_slice() else {
            return Err(NotABlock::new("DISTINCT over several arguments"));
        };
        let over = match &measure.condition {
            None => argument.clone(),
            Some(condition) => Expr::Case {
                operand: None,
                branches: vec![(condition.clone(), argument.clone())],
                otherwise: None,
            },
        };
        let hidden = self.keys.iter().skip(self.own_keys);
        let place = match hidden.clone().position(|known| *known == over) {
            Some(place) => self.own_keys + place,
            None if hidden.count() == DISTINCT_KEYS_MAX => {
                return Err(NotABlock::new("DISTINCT over so many columns"));
            }
            None => {
                self.keys.push(over);
                self.keys.len() - 1
            }
        };
        let mut value = call.clone();
        value.params.args = vec![ident(format!("k{place}"))];
        value.params.filter = None;
        Ok(Merged::of(DfExpr::AggregateFunction(value), 0, MergedBounds::Unknown))
    }

    /// `count(DISTINCT person)` over a protected table.
    fn distinct_people(
        &mut self,
        measure: &Measure,
        tables: &[Arc<TableContract>],
    ) -> Result<Merged, NotABlock> {
        let not = || NotABlock::new(format!("{}(DISTINCT …)", measure.function.name()));
        let (F::Count, [Expr::Column { relation, name }]) =
            (measure.function, measure.arguments.as_slice())
        else {
            return Err(not());
        };
        let table = tables.get(*relation).ok_or_else(not)?;
        let column_scope = table.column(name).and_then(|c| c.scope);
        let scope = match &table.protection {
            Protection::Protected(person) if person.column == *name => person.scope,
            Protection::Protected(_) => column_scope.ok_or_else(not)?,
            Protection::Open => return Err(not()),
        };
        let part = self.add(measure.clone());
        Ok(match scope {
            Scope::Organisation => Merged::of(expr_fn::sum(column(part)), part, MergedBounds::Sum),
            Scope::Federation => {
                Merged::of(expr_fn::max(column(part)), part, MergedBounds::SamePeople)
            }
        })
    }

    fn average(
        &mut self,
        call: &DfAggregate,
        measure: &Measure,
        input: &DFSchema,
    ) -> Result<Merged, NotABlock> {
        let (_, returns) = types(call, input)?;
        let (_, data_type) = mean_argument(call, measure, input)?;
        let (sum, count) = self.parts_of_mean(call, measure, input)?;
        let merge = MergeState::udaf(Arc::clone(&call.func), vec![data_type], returns);
        Ok(merged(&merge, vec![column(count), column(sum)], count))
    }

    /// Sum and count of a mean.
    fn parts_of_mean(
        &mut self,
        call: &DfAggregate,
        measure: &Measure,
        input: &DFSchema,
    ) -> Result<(usize, usize), NotABlock> {
        let (argument, data_type) = mean_argument(call, measure, input)?;
        let count = self.add(part(measure, F::Count, [argument.clone()]));
        let addend = match addend(&data_type) {
            Some(wide) => as_type(&argument, wide),
            None => argument,
        };
        Ok((self.add(part(measure, F::Sum, [addend])), count))
    }

    /// The number of values, or pairs of values, that a moment is of.
    fn count_of_moment(
        &mut self,
        call: &DfAggregate,
        measure: &Measure,
        input: &DFSchema,
    ) -> Result<usize, NotABlock> {
        let (data_types, _) = types(call, input)?;
        Ok(match (measure.arguments.as_slice(), data_types.as_slice()) {
            ([x], [data_type]) => self.add(part(measure, F::Count, [double(x, data_type)])),
            ([x, y], [t1, t2]) => {
                self.add(part(measure, F::RegrCount, [double(x, t1), double(y, t2)]))
            }
            _ => return Err(NotABlock::new("a moment of other than one or two arguments")),
        })
    }

    fn moments_of_one(
        &mut self,
        call: &DfAggregate,
        measure: &Measure,
        input: &DFSchema,
    ) -> Result<Merged, NotABlock> {
        let (data_types, returns) = types(call, input)?;
        let ([argument], [data_type]) = (measure.arguments.as_slice(), data_types.as_slice())
        else {
            return Err(NotABlock::new("a variance of several arguments"));
        };
        let x = double(argument, data_type);
        let count = self.add(part(measure, F::Count, [x.clone()]));
        let mean = self.add(part(measure, F::Avg, [x.clone()]));
        let variance = self.add(part(measure, F::VarPop, [x]));
        let squares = column(variance) * cast(column(count), DataType::Float64);
        let merge = MergeState::udaf(Arc::clone(&call.func), vec![DataType::Float64], returns);
        Ok(merged(&merge, vec![column(count), column(mean), squares], count))
    }

    /// Covariance, correlation and regression over pairs in which neither side is NULL.
    fn moments_of_two(
        &mut self,
        call: &DfAggregate,
        measure: &Measure,
        input: &DFSchema,
    ) -> Result<Merged, NotABlock> {
        let (data_types, returns) = types(call, input)?;
        let ([first, second], [t1, t2]) = (measure.arguments.as_slice(), data_types.as_slice())
        else {
            return Err(NotABlock::new("a covariance that is not of two arguments"));
        };
        let pair = [double(first, t1), double(second, t2)];
        let mut add = |function| self.add(part(measure, function, pair.clone()));
        let count = add(F::RegrCount);
        let first_mean = column(add(F::RegrAvgy));
        let second_mean = column(add(F::RegrAvgx));
        let first_squares = column(add(F::RegrSyy));
        let second_squares = column(add(F::RegrSxx));
        let products = column(add(F::RegrSxy));
        let n = column(count);
        let state = match measure.function {
            F::CovarPop | F::CovarSamp => vec![n, first_mean, second_mean, products],
            F::Corr => vec![n, first_mean, first_squares, second_mean, second_squares, products],
            _ => vec![n, second_mean, first_mean, second_squares, first_squares, products],
        };
        let inputs = vec![DataType::Float64, DataType::Float64];
        let merge = MergeState::udaf(Arc::clone(&call.func), inputs, returns);
        Ok(merged(&merge, state, count))
    }
}

/// `count(DISTINCT …)` of what is no identifier.
pub(crate) fn is_count_of_values(measure: &Measure, tables: &[Arc<TableContract>]) -> bool {
    let identifier = |expr: &Expr| match expr {
        Expr::Column { relation, name } => tables
            .get(*relation)
            .and_then(|table| table.column(name))
            .is_some_and(|column| column.has_role(Role::Identifier)),
        _ => false,
    };
    measure.distinct
        && measure.function == F::Count
        && matches!(measure.arguments.as_slice(), [argument] if !identifier(argument))
}

/// A sum or mean over a protected table whose argument is computed, in types in which it is exact;
/// `None` where it is already. A node takes no other.
fn exact(
    call: &DfAggregate,
    measure: &Measure,
    input: &DFSchema,
    tables: &[Arc<TableContract>],
) -> Result<Option<Measure>, NotABlock> {
    let ([argument], false) = (measure.arguments.as_slice(), measure.distinct) else {
        return Ok(None);
    };
    let (inner, cast_to) = match argument {
        Expr::Cast { operand, to, or_null: false } => (operand.as_ref(), Some(&to.0)),
        bare => (bare, None),
    };
    let Some((wide, own)) = widened(inner, tables) else { return Ok(None) };
    let doubled = match (cast_to, &own) {
        (None, _) => false,
        (Some(DataType::Float64), _) => true,
        (
            Some(DataType::Decimal128(_, to) | DataType::Decimal256(_, to)),
            DataType::Decimal128(_, scale),
        ) if scale <= to => false,
        // Another cast changes values.
        (Some(_), _) => return Ok(None),
    };
    let argument = match (measure.function, doubled) {
        (_, true) => double(&wide, &own),
        (F::Sum, false) => match addend(&own) {
            Some(wider) => as_type(&wide, wider),
            None => wide,
        },
        // The mean of whole numbers is one of floats.
        (F::Avg, false) => match types(call, input)?.0.as_slice() {
            [DataType::Decimal128(..)] => wide,
            _ => double(&wide, &own),
        },
        (_, false) => wide,
    };
    Ok(Some(Measure { arguments: vec![argument], ..measure.clone() }))
}

/// What a mean is of, in the type in which it is added up.
fn mean_argument(
    call: &DfAggregate,
    measure: &Measure,
    input: &DFSchema,
) -> Result<(Expr, DataType), NotABlock> {
    let [argument] = measure.arguments.as_slice() else {
        return Err(NotABlock::new("avg of several arguments"));
    };
    match types(call, input)?.0.first() {
        Some(decimal @ DataType::Decimal128(..)) => Ok((argument.clone(), decimal.clone())),
        Some(number) if number.is_numeric() => Ok((as_double(argument, number), DataType::Float64)),
        _ => Err(NotABlock::new("avg of something that is no number")),
    }
}

fn merged(
    merge: &Arc<datafusion::logical_expr::AggregateUDF>,
    state: Vec<DfExpr>,
    part: usize,
) -> Merged {
    Merged::of(merge.call(state), part, MergedBounds::Unknown)
}

/// The node column of a part.
pub(crate) fn column(part: usize) -> DfExpr {
    ident(format!("m{part}"))
}

fn part<const N: usize>(measure: &Measure, function: F, arguments: [Expr; N]) -> Measure {
    Measure {
        function,
        arguments: arguments.to_vec(),
        distinct: false,
        condition: measure.condition.clone(),
    }
}

fn double(argument: &Expr, data_type: &DataType) -> Expr {
    if *data_type == DataType::Float64 {
        return argument.clone();
    }
    as_type(argument, DataType::Float64)
}

/// The same, where it may have been made a double before.
fn as_double(argument: &Expr, data_type: &DataType) -> Expr {
    match argument {
        Expr::Cast { to, or_null: false, .. } if to.0 == DataType::Float64 => argument.clone(),
        _ => double(argument, data_type),
    }
}

fn as_type(argument: &Expr, to: DataType) -> Expr {
    Expr::Cast { operand: Box::new(argument.clone()), to: TypeName(to), or_null: false }
}

/// Argument types as written, and the type of the result.
fn types(call: &DfAggregate, input: &DFSchema) -> Result<(Vec<DataType>, DataType), NotABlock> {
    let unknown = |_| NotABlock::new("an aggregate of unknown type");
    let arguments = call
        .params
        .args
        .iter()
        .map(|argument| argument.get_type(input))
        .collect::<Result<Vec<_>, _>>()
        .map_err(unknown)?;
    let returns = DfExpr::AggregateFunction(call.clone()).get_type(input).map_err(unknown)?;
    Ok((arguments, returns))
}

/// The contracts of a block's relations.
pub(crate) fn contracts_of(
    block: &Block,
    contracts: &hedgerow_catalog::Contracts,
) -> Vec<Arc<TableContract>> {
    let own = block.from.iter().filter_map(|relation| match relation.inline() {
        Some(inline) => Some(Arc::new(inline.contract())),
        None => relation.table_name().and_then(|name| contracts.get(name).cloned()),
    });
    let derived = block.from.iter().filter_map(|relation| relation.block());
    own.chain(derived.flat_map(|inner| contracts_of(inner, contracts))).collect()
}
