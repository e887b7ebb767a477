//! Percentiles of protected measures: interpolated over the released counts of the contract's bins.
//!
//! ```text
//! approx_percentile_cont(weeks, 0.92) GROUP BY f
//!   node          f, CASE WHEN weeks < 0 THEN 0 WHEN weeks < 6 THEN 1 … END, count(*)   gated
//!   coordinator   counts per bin, added over nodes ─► linear within the bin
//! ```
//! No value of a row travels, and no sketch. A bin that was withheld is not there, so the answer is
//! an estimate in any case. Where nodes leave rounding to the coordinator, the counts are rounded first. Below the first edge and from the last one on nothing is known of how
//! values lie, so nothing is interpolated there. Main types: [`Percentiles`], [`BinnedPercentile`].

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array};
use datafusion::arrow::compute::{cast, max};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::expr::AggregateFunction as AggregateCall;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, Aggregate, AggregateUDF, AggregateUDFImpl, Expr as DfExpr, Signature, Volatility,
    ident,
};
use hedgerow_policies::{
    BinaryOperator, ColumnContract, Expr, Literal, Refusal, Role, Rule, TableContract, TypeName,
    round_to,
};

use super::dispatch::BASE;
use super::split::column;
use crate::error::EngineError;

/// The percentiles that may be asked.
const RANGE: std::ops::RangeInclusive<f64> = 0.05..=0.95;

/// What percentiles are asked of, and of which rows.
pub(crate) struct Asked<'a> {
    pub(crate) of: &'a DfExpr,
    pub(crate) filter: Option<&'a DfExpr>,
}

/// Percentiles over a protected table: for each aggregate of the statement its p.
pub(crate) struct Percentiles {
    percents: Vec<f64>,
}

/// The bins of a measure: the key that nodes group by, and the edges.
pub(crate) struct Bins {
    /// Number of the bin: 0 below the first edge, then one more for each edge.
    pub(crate) key: Expr,
    edges: Vec<f64>,
}

impl<'a> Asked<'a> {
    /// The first percentile that an aggregate asks for, if any.
    pub(crate) fn first(aggregate: &'a Aggregate) -> Option<Self> {
        aggregate.aggr_expr.iter().filter_map(percentile_call).find_map(Self::of)
    }

    fn of(call: &'a AggregateCall) -> Option<Self> {
        Some(Self { of: call.params.args.first()?, filter: call.params.filter.as_deref() })
    }
}

impl Percentiles {
    /// Reads an aggregate that asks for percentiles.
    ///
    /// # Errors
    /// A refusal where it asks for something else beside them, or for what is not interpolated.
    pub(crate) fn of(aggregate: &Aggregate, asked: &Asked<'_>) -> Result<Self, EngineError> {
        let same = |call: &&AggregateCall| {
            Asked::of(call).is_some_and(|own| own.of == asked.of && own.filter == asked.filter)
        };
        let one =
            |expr: &DfExpr| percent(percentile_call(expr).filter(same).ok_or_else(asks_apart)?);
        Ok(Self { percents: aggregate.aggr_expr.iter().map(one).collect::<Result<_, _>>()? })
    }

    /// For each aggregate of the statement, what it is at the coordinator. Nodes are asked for the
    /// bin as key `key`, and for the count of rows as their first measure.
    pub(crate) fn values(&self, key: usize, bins: &Bins) -> Vec<DfExpr> {
        let value = |p: &f64| {
            let bin = ident(format!("k{key}"));
            BinnedPercentile::udaf(*p, &bins.edges).call(vec![bin, column(0), ident(BASE)])
        };
        self.percents.iter().map(value).collect()
    }
}

fn percentile_call(expr: &DfExpr) -> Option<&AggregateCall> {
    match expr {
        DfExpr::Alias(alias) => percentile_call(&alias.expr),
        DfExpr::AggregateFunction(call) => {
            let known = ["median", "approx_median", "approx_percentile_cont", "percentile_cont"];
            known.contains(&call.func.name()).then_some(call)
        }
        _ => None,
    }
}

/// The p of a call.
fn percent(call: &AggregateCall) -> Result<f64, EngineError> {
    let params = &call.params;
    let p = match params.args.as_slice() {
        [_] => Some(0.5),
        [_, DfExpr::Literal(p, _)] => match p.cast_to(&DataType::Float64) {
            Ok(ScalarValue::Float64(p)) => p,
            _ => None,
        },
        _ => None,
    };
    let (true, false, None) = (p.is_some(), params.distinct, params.null_treatment) else {
        return Err(EngineError::NotSplit {
            what: format!("`{}` with these arguments", call.func.name()),
            hint: "write median(x) or approx_percentile_cont(x, p) with a constant p".to_owned(),
        });
    };
    let p = p.unwrap_or_default();
    let descending = params.order_by.first().is_some_and(|sort| !sort.asc);
    let p = if descending { 1.0 - p } else { p };
    if !RANGE.contains(&p) {
        return Err(Refusal::new(
            Rule::S8Extreme,
            "a percentile below 0.05 or above 0.95 may be some person's own value",
            "ask for percentiles from 0.05 to 0.95, or count people in bands",
        )
        .into());
    }
    Ok(p)
}

fn asks_apart() -> EngineError {
    Refusal::new(
        Rule::G7Family,
        "percentiles of a protected table stand beside another aggregate over it",
        "ask for percentiles of one column in a statement of their own, and for the rest in another",
    )
    .into()
}

impl Bins {
    /// The bins of what percentiles are asked of.
    ///
    /// # Errors
    /// A refusal where it is no measure column, or one without bins.
    pub(crate) fn of(of: &Expr, tables: &[Arc<TableContract>]) -> Result<Self, EngineError> {
        let bare = match of {
            Expr::Cast { operand, to, or_null: false } if to.0 == DataType::Float64 => operand,
            other => other,
        };
        let known = match bare {
            Expr::Column { relation, name } => tables
                .get(*relation)
                .filter(|table| table.is_protected())
                .and_then(|table| table.column(name))
                .filter(|c| c.has_role(Role::Measure) && !c.has_role(Role::Identifier)),
            _ => None,
        };
        let Some(contract) = known else {
            return Err(Refusal::new(
                Rule::S3Measure,
                "percentiles over a protected table are of one measure column",
                "ask for the percentiles of a bare measure column",
            )
            .into());
        };
        if contract.bins.is_empty() {
            return Err(Refusal::new(
                Rule::S8Extreme,
                format!("the contract gives measure `{}` no `bins`", contract.name),
                "count people in bands, or ask for `bins` in the contract",
            )
            .into());
        }
        Ok(Self::over(bare, contract))
    }

    fn over(measure: &Expr, contract: &ColumnContract) -> Self {
        let constants: Vec<(Literal, f64)> =
            contract.bins.iter().map(|edge| edge_of(*edge, &contract.data_type)).collect();
        let compared = |operator, edge: &Literal| Expr::Binary {
            left: Box::new(measure.clone()),
            operator,
            right: Box::new(Expr::Literal(edge.clone())),
        };
        let number =
            |index: usize| Expr::Literal(Literal::int64(i64::try_from(index).unwrap_or(i64::MAX)));
        let mut branches: Vec<(Expr, Expr)> = constants
            .iter()
            .enumerate()
            .map(|(index, (edge, _))| (compared(BinaryOperator::Less, edge), number(index)))
            .collect();
        if let Some((last, _)) = constants.last() {
            let open = compared(BinaryOperator::GreaterOrEqual, last);
            branches.push((open, number(constants.len())));
        }
        let key = Expr::Case { operand: None, branches, otherwise: None };
        Self { key, edges: constants.into_iter().map(|(_, edge)| edge).collect() }
    }
}

/// An edge as a constant that compares with a column of this type without a cast that could fail,
/// and its value.
fn edge_of(edge: f64, data_type: &DataType) -> (Literal, f64) {
    let literal =
        |data_type, text: String| Literal { data_type: TypeName(data_type), text: Some(text) };
    match data_type {
        DataType::Decimal128(precision, scale) => {
            let places = usize::try_from(*scale).unwrap_or(0);
            let text = format!("{edge:.places$}");
            let whole = text.split('.').next().unwrap_or_default().trim_start_matches('-').len();
            let needed = u8::try_from(whole + places).unwrap_or(u8::MAX);
            let value = text.parse().unwrap_or(edge);
            (literal(DataType::Decimal128(needed.clamp(*precision, 38), *scale), text), value)
        }
        integer if integer.is_integer() && edge.fract() == 0.0 && edge.abs() < 1e15 => {
            (literal(DataType::Int64, format!("{edge:.0}")), edge)
        }
        _ => (literal(DataType::Float64, format!("{edge:?}")), edge),
    }
}

/// A percentile of values of which only their numbers per bin are known.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct BinnedPercentile {
    name: String,
    /// Bits of p and of the edges: floats have no equality that is an equivalence.
    p: u64,
    edges: Vec<u64>,
    signature: Signature,
}

impl BinnedPercentile {
    fn udaf(p: f64, edges: &[f64]) -> Arc<AggregateUDF> {
        Arc::new(AggregateUDF::from(Self {
            name: format!("percentile_of_bins_{p}"),
            p: p.to_bits(),
            edges: edges.iter().map(|edge| edge.to_bits()).collect(),
            signature: Signature::any(3, Volatility::Immutable),
        }))
    }
}

impl AggregateUDFImpl for BinnedPercentile {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let counts = Field::new_list_field(DataType::Int64, true);
        let name = |what: &str| format_state_name(args.name, what);
        Ok(vec![
            Arc::new(Field::new_list(name("counts"), counts, true)),
            Arc::new(Field::new(name("base"), DataType::Int64, true)),
        ])
    }

    fn accumulator(&self, _args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Histogram {
            p: f64::from_bits(self.p),
            edges: self.edges.iter().map(|bits| f64::from_bits(*bits)).collect(),
            counts: vec![0; self.edges.len() + 1],
            base: 1,
        }))
    }
}

/// Numbers of rows per bin.
#[derive(Debug)]
struct Histogram {
    p: f64,
    edges: Vec<f64>,
    counts: Vec<i64>,
    /// What counts are rounded to (G8).
    base: i64,
}

impl Histogram {
    fn add(&mut self, bin: usize, count: i64) {
        // A negative count is no count.
        if let Some(known) = self.counts.get_mut(bin) {
            *known = known.saturating_add(count.max(0));
        }
    }

    /// The percentile, linear within its bin; `None` where nothing is known, or in an open-ended bin.
    fn percentile(&self) -> Option<f64> {
        let base = i128::from(self.base);
        let counts: Vec<f64> =
            self.counts.iter().map(|count| round_to(i128::from(*count), base) as f64).collect();
        let rank = self.p * counts.iter().sum::<f64>();
        let mut below = 0.0;
        for (bin, count) in counts.into_iter().enumerate() {
            if count > 0.0 && below + count >= rank {
                let (low, high) = (self.edges.get(bin.checked_sub(1)?)?, self.edges.get(bin)?);
                return Some(low + (high - low) * ((rank - below) / count).clamp(0.0, 1.0));
            }
            below += count;
        }
        None
    }
}

impl Accumulator for Histogram {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [bins, counts, bases] = values else {
            return internal_err!("a bin, a count and a base are wanted");
        };
        let bases = cast(bases, &DataType::Int64)?;
        self.base = max(bases.as_primitive::<Int64Type>()).unwrap_or(1).max(self.base);
        let (bins, counts) = (cast(bins, &DataType::Int64)?, cast(counts, &DataType::Int64)?);
        let both = bins.as_primitive::<Int64Type>().iter().zip(counts.as_primitive::<Int64Type>());
        for (bin, count) in both {
            // Rows without a value are in no bin; a withheld count is none.
            if let (Some(bin), Some(count)) = (bin.and_then(|b| usize::try_from(b).ok()), count) {
                self.add(bin, count);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.percentile()))
    }

    fn size(&self) -> usize {
        size_of_val(self) + size_of_val(self.edges.as_slice()) + size_of_val(self.counts.as_slice())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let counts: ArrayRef = Arc::new(Int64Array::from(self.counts.clone()));
        let counts = SingleRowListArrayBuilder::new(counts).build_list_scalar();
        Ok(vec![counts, ScalarValue::Int64(Some(self.base))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [lists, bases] = states else {
            return internal_err!("a list of counts and a base are wanted");
        };
        self.base = max(bases.as_primitive::<Int64Type>()).unwrap_or(1).max(self.base);
        for counts in lists.as_list::<i32>().iter().flatten() {
            for (bin, count) in counts.as_primitive::<Int64Type>().iter().enumerate() {
                self.add(bin, count.unwrap_or(0));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
