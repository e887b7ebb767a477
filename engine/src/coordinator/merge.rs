//! Builds the merge plan of one fragment: partial states into final values, and their companions.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchemaRef, ScalarValue};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::functions_aggregate::expr_fn;
use datafusion::logical_expr::expr::GroupingSet;
use datafusion::logical_expr::{
    Aggregate, Expr as DfExpr, LogicalPlan, Projection, ident, lit, when,
};
use hedgerow_policies::{CellBounds, CellRounding, Output, TableContract, cell_bounds};

use super::carry::{Cells, PARTIAL, RELEASED, WITHHELD};
use super::cut::named;
use super::dispatch::{BASE, BASE_MOST, FragmentAsk, HIDDEN, HIDDEN_ALL, NODES};
use super::rounded::{rounded, rounded_mean, rounded_moment, rounded_sum, short};
use super::sets::key_of_sets;
use super::split::{Merged, MergedBounds, column};

/// Builds the merge plan of one fragment, in the shape of the aggregate it stands for.
pub(crate) struct Merge<'a> {
    pub(crate) ask: &'a FragmentAsk,
    pub(crate) merged: &'a [Merged],
    pub(crate) whole: bool,
    pub(crate) tables: &'a [Arc<TableContract>],
    /// How many of the keys asked are the statement's.
    pub(crate) keys: usize,
    /// The statement's grouping sets, over the keys asked.
    pub(crate) sets: Option<GroupingSet>,
    /// For each key of the statement, its place among the keys asked: each is asked once.
    pub(crate) places: Vec<usize>,
    /// Types of the statement's keys and aggregates, after coercion.
    pub(crate) types: Vec<DataType>,
}

impl Merge<'_> {
    /// The merge plan over a fragment, with the names of `output`.
    pub(crate) fn plan(
        &self,
        source: LogicalPlan,
        output: &DFSchemaRef,
    ) -> DfResult<(LogicalPlan, Cells)> {
        let asked: Vec<DfExpr> = (0..self.keys).map(key).collect();
        let (source, keys) = match self.sets {
            Some(_) => self.with_keys_of_sets(source)?,
            None => (source, self.places.iter().copied().map(key).collect()),
        };
        // Whole groups come once each; others, and the one group without keys, are aggregated.
        let (source, aggregated) = if self.whole && !asked.is_empty() {
            (source, false)
        } else {
            let mut aggregates = Unique::default();
            for (index, merged) in self.merged.iter().enumerate() {
                aggregates.add(format!("v{index}"), merged.value.clone());
                if self.ask.protected {
                    self.add_cell_aggregates(&mut aggregates, merged);
                }
            }
            (
                LogicalPlan::Aggregate(Aggregate::try_new(
                    Arc::new(source),
                    match &self.sets {
                        Some(sets) => vec![DfExpr::GroupingSet(sets.clone())],
                        None => asked,
                    },
                    aggregates.exprs,
                )?),
                true,
            )
        };
        self.project(source, keys, output, aggregated)
    }

    fn add_cell_aggregates(&self, aggregates: &mut Unique, merged: &Merged) {
        let part = merged.part;
        let add = |aggregates: &mut Unique, name: String, expr| aggregates.add(name, expr);
        add(aggregates, "parts".into(), expr_fn::count(lit(1_i64)));
        add(aggregates, BASE.into(), expr_fn::max(ident(BASE)));
        add(aggregates, BASE_MOST.into(), expr_fn::max(ident(BASE_MOST)));
        for part in merged.rounding.parts() {
            add(aggregates, format!("sum{part}"), expr_fn::sum(column(part)));
        }
        if matches!(merged.bounds, MergedBounds::AtLeast | MergedBounds::Estimate) {
            return;
        }
        add(aggregates, "asked".into(), expr_fn::max(ident(NODES)));
        add(aggregates, "hidden_here".into(), expr_fn::sum(ident(HIDDEN)));
        add(aggregates, "hidden_most".into(), expr_fn::max(ident(HIDDEN_ALL)));
        add(aggregates, format!("worst{part}"), expr_fn::max(status_column(part)));
        add(aggregates, format!("best{part}"), expr_fn::min(status_column(part)));
        if merged.bounds == MergedBounds::Unknown || self.bounds_of(part) == CellBounds::Unknown {
            return;
        }
        add(aggregates, format!("low{part}"), expr_fn::sum(ident(format!("m{part}_lower"))));
        add(aggregates, format!("least{part}"), expr_fn::max(ident(format!("m{part}_lower"))));
        add(aggregates, format!("high{part}"), expr_fn::sum(ident(format!("m{part}_upper"))));
        add(aggregates, format!("bounded{part}"), expr_fn::count(ident(format!("m{part}_upper"))));
    }

    /// The source with a column for each of the statement's keys, and these.
    fn with_keys_of_sets(&self, source: LogicalPlan) -> DfResult<(LogicalPlan, Vec<DfExpr>)> {
        let keys: Vec<DfExpr> = (0..self.places.len()).map(key_of_sets).collect();
        let named = self.places.iter().zip(&keys);
        let named = named.map(|(place, own)| key(*place).alias(own.schema_name().to_string()));
        let columns = source.schema().columns().into_iter().map(DfExpr::Column);
        let columns = columns.chain(named).collect();
        let source = Projection::try_new(columns, Arc::new(source))?;
        Ok((LogicalPlan::Projection(source), keys))
    }

    /// Restores the names and types of the aggregate that was pushed, and adds the cells' companions.
    fn project(
        &self,
        source: LogicalPlan,
        keys: Vec<DfExpr>,
        output: &DFSchemaRef,
        aggregated: bool,
    ) -> DfResult<(LogicalPlan, Cells)> {
        let mut exprs = vec![];
        let mut cells =
            Cells { sparse: self.ask.protected && !keys.is_empty(), ..Cells::default() };
        let shown =
            output.iter().filter(|(_, field)| field.name() != Aggregate::INTERNAL_GROUPING_ID);
        for (index, (qualifier, field)) in shown.enumerate() {
            let expr = match keys.get(index) {
                Some(key) => key.clone(),
                None => {
                    let aggregate = index - self.places.len();
                    self.rounded(aggregate, self.value(aggregate, aggregated, keys.is_empty())?)
                }
            };
            let data_type = self.types.get(index).unwrap_or(field.data_type());
            exprs.push(named(expr, data_type, source.schema(), qualifier, field.name())?);
        }
        if self.ask.protected {
            for (index, merged) in self.merged.iter().enumerate() {
                let place = self.places.len() + index;
                let Some((qualifier, field)) = output.iter().nth(place) else { continue };
                let data_type = self.types.get(place).unwrap_or(field.data_type());
                let value = Column::new(qualifier.cloned(), field.name());
                let [lower, upper, status] = if aggregated {
                    self.companions(index, merged)?
                } else {
                    self.whole_companions(merged)?
                };
                let names = cells.add(value);
                for (name, expr, data_type) in [
                    (names.lower.name, lower, data_type),
                    (names.upper.name, upper, data_type),
                    (names.status.name, status, &DataType::UInt8),
                ] {
                    exprs.push(named(expr, data_type, source.schema(), None, &name)?);
                }
            }
        }
        let plan = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(source))?);
        Ok((plan, cells))
    }

    fn value(&self, index: usize, aggregated: bool, ungrouped: bool) -> DfResult<DfExpr> {
        let Some(merged) = self.merged.get(index) else {
            return Err(DataFusionError::Internal("an aggregate without parts".into()));
        };
        if !aggregated {
            return Ok(column(merged.part));
        }
        let value = ident(format!("v{index}"));
        let counts = matches!(&self.ask.block.output, Output::Groups { measures, .. }
            if measures.get(merged.part).is_some_and(|m| m.function == hedgerow_policies::AggregateFunction::Count)
                && matches!(merged.bounds, MergedBounds::Sum));
        // The group of everything is there even where nothing is.
        if counts && (ungrouped || self.sets.is_some()) && !self.ask.protected {
            return when(value.clone().is_null(), lit(0_i64)).otherwise(value);
        }
        Ok(value)
    }

    /// Lower, upper, status of one merged cell, from what nodes said of their parts.
    ///
    /// A node that released nothing for a group has withheld it or has none of it: the group's
    /// people there are between 0 and k − 1.
    fn companions(&self, index: usize, merged: &Merged) -> DfResult<[DfExpr; 3]> {
        let part = merged.part;
        let value = ident(format!("v{index}"));
        let unknown = lit(ScalarValue::Null);
        // What nodes left out cannot be told from what is not there.
        match merged.bounds {
            MergedBounds::AtLeast => {
                let none = ident("parts").eq(lit(0_i64));
                let status = when(none, lit(WITHHELD)).otherwise(lit(PARTIAL))?;
                return Ok([value, unknown, status]);
            }
            MergedBounds::Estimate => {
                let status = when(value.is_null(), lit(WITHHELD)).otherwise(lit(PARTIAL))?;
                return Ok([unknown.clone(), unknown, status]);
            }
            MergedBounds::Sum | MergedBounds::SamePeople | MergedBounds::Unknown => {}
        }
        let own = |name: &str| ident(format!("{name}{part}"));
        let missing = ident("asked") - ident("parts");
        let withheld = lit(WITHHELD);
        let mut status = when(ident("parts").eq(lit(0_i64)), withheld.clone())
            .when(own("best").eq(withheld.clone()), withheld)
            .when(missing.gt(lit(0_i64)), lit(PARTIAL))
            .when(own("worst").gt(lit(RELEASED)), lit(PARTIAL))
            .otherwise(lit(RELEASED))?;
        let shared = merged.bounds == MergedBounds::SamePeople;
        if shared {
            status = when(
                ident("parts").gt(lit(1_i64)).and(own("best").lt(lit(WITHHELD))),
                lit(PARTIAL),
            )
            .otherwise(status)?;
        }
        let whole = status.clone().eq(lit(RELEASED));
        let all_bounded = own("bounded").eq(ident("parts"));
        let bounds = self.bounds_of(part);
        if merged.bounds == MergedBounds::Unknown || bounds == CellBounds::Unknown {
            let exact = match merged.rounding {
                CellRounding::Same => whole,
                _ => whole.and(ident(BASE_MOST).lt(lit(2_i64))),
            };
            let bound = when(exact, value).end()?;
            return Ok([bound.clone(), bound, status]);
        }
        // Bounds come from published numbers alone: what was released, rounded, and what nodes may
        // hide at most.
        let half = ident(BASE) / lit(2_i64);
        let low = |sum: &str| not_negative(rounded(own(sum), ident(BASE)) - half.clone());
        let hidden = ident("hidden_most") - ident("hidden_here");
        let released = rounded(own("low"), ident(BASE)) + half.clone() + (own("high") - own("low"));
        let lower = low(if shared { "least" } else { "low" })?;
        let upper = match bounds {
            CellBounds::People => {
                when(whole, released.clone()).when(all_bounded, released + hidden).end()?
            }
            CellBounds::Rows | CellBounds::Unknown => when(whole, released).end()?,
        };
        Ok([lower, upper, status])
    }

    fn bounds_of(&self, part: usize) -> CellBounds {
        match &self.ask.block.output {
            Output::Groups { measures, .. } => {
                measures.get(part).map_or(CellBounds::Unknown, |m| cell_bounds(m, self.tables))
            }
            Output::Rows { .. } => CellBounds::Unknown,
        }
    }

    /// What may be seen of a merged value.
    fn rounded(&self, index: usize, value: DfExpr) -> DfExpr {
        let Some(merged) = self.merged.get(index).filter(|_| self.ask.protected) else {
            return value;
        };
        let base = ident(BASE);
        let part = |part: usize| match self.whole && self.keys > 0 {
            true => column(part),
            false => ident(format!("sum{part}")),
        };
        match merged.rounding {
            CellRounding::Whole(addends) => rounded_sum(value, base, addends),
            CellRounding::Mean { addends, sum, count } => {
                rounded_mean([value, part(sum), part(count)], base, addends)
            }
            CellRounding::Moment { factor, count } => {
                rounded_moment([value, part(count)], base, factor)
            }
            CellRounding::Digits => short(value, base),
            CellRounding::Same => value,
        }
    }

    /// Of a group that lives at one node: what that node said, rounded where it left that open.
    fn whole_companions(&self, merged: &Merged) -> DfResult<[DfExpr; 3]> {
        let part = merged.part;
        let (lower, upper) = (ident(format!("m{part}_lower")), ident(format!("m{part}_upper")));
        let open = ident(BASE).gt(lit(1_i64)).and(status_column(part).eq(lit(RELEASED)));
        let half = ident(BASE) / lit(2_i64);
        let near = |bound: DfExpr, away: DfExpr| when(open.clone(), away).otherwise(bound);
        let [lower, upper] = match (merged.rounding, self.bounds_of(part)) {
            (CellRounding::Same, _) => [lower, upper],
            (_, CellBounds::Unknown) => {
                let unknown = lit(ScalarValue::Null);
                [near(lower, unknown.clone())?, near(upper, unknown)?]
            }
            (_, CellBounds::People | CellBounds::Rows) => {
                let value = rounded(column(part), ident(BASE));
                let below = value.clone() - half.clone();
                let below = not_negative(below)?;
                [near(lower, below)?, near(upper, value + half)?]
            }
        };
        Ok([lower, upper, status_column(part)])
    }
}

/// A column that nodes grouped by.
fn key(place: usize) -> DfExpr {
    ident(format!("k{place}"))
}

/// Nobody counts less than nothing.
fn not_negative(bound: DfExpr) -> DfResult<DfExpr> {
    when(bound.clone().lt(lit(0_i64)), lit(0_i64)).otherwise(bound)
}

fn status_column(part: usize) -> DfExpr {
    ident(format!("m{part}_status"))
}

/// Aggregate expressions under names, each once.
#[derive(Default)]
struct Unique {
    exprs: Vec<DfExpr>,
    names: Vec<String>,
}

impl Unique {
    fn add(&mut self, name: String, expr: DfExpr) {
        if !self.names.contains(&name) {
            self.exprs.push(expr.alias(&name));
            self.names.push(name);
        }
    }
}
