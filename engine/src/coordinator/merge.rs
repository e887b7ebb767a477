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
use hedgerow_policies::{CellBounds, Output, TableContract, cell_bounds};

use super::carry::{Cells, PARTIAL, RELEASED, WITHHELD};
use super::cut::named;
use super::dispatch::{FragmentAsk, HIDDEN, HIDDEN_ALL, NODES};
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
        let keys: Vec<DfExpr> = (0..self.keys).map(|i| ident(format!("k{i}"))).collect();
        // Whole groups come once each; others, and the one group without keys, are aggregated.
        let (source, aggregated) = if self.whole && !keys.is_empty() {
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
                        None => keys.clone(),
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
        if matches!(merged.bounds, MergedBounds::AtLeast | MergedBounds::Estimate) {
            return;
        }
        add(aggregates, "asked".into(), expr_fn::max(ident(NODES)));
        add(aggregates, "hidden_here".into(), expr_fn::sum(ident(HIDDEN)));
        add(aggregates, "hidden_most".into(), expr_fn::max(ident(HIDDEN_ALL)));
        add(aggregates, format!("worst{part}"), expr_fn::max(status_column(part)));
        add(aggregates, format!("best{part}"), expr_fn::min(status_column(part)));
        add(aggregates, format!("low{part}"), expr_fn::sum(ident(format!("m{part}_lower"))));
        add(aggregates, format!("least{part}"), expr_fn::max(ident(format!("m{part}_lower"))));
        add(aggregates, format!("high{part}"), expr_fn::sum(ident(format!("m{part}_upper"))));
        add(aggregates, format!("bounded{part}"), expr_fn::count(ident(format!("m{part}_upper"))));
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
            let expr = match self.places.get(index).and_then(|place| keys.get(*place)) {
                Some(key) => key.clone(),
                None => self.value(index - self.places.len(), aggregated, keys.is_empty())?,
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
                    whole_companions(merged.part)?
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
        let bounds = match &self.ask.block.output {
            Output::Groups { measures, .. } => {
                measures.get(part).map_or(CellBounds::Unknown, |m| cell_bounds(m, self.tables))
            }
            Output::Rows { .. } => CellBounds::Unknown,
        };
        let hidden = ident("hidden_most") - ident("hidden_here");
        let (lower, upper) = match (merged.bounds, bounds) {
            (MergedBounds::Unknown | MergedBounds::AtLeast | MergedBounds::Estimate, _)
            | (_, CellBounds::Unknown) => (None, None),
            (_, CellBounds::Rows) => (Some(own("low")), None),
            (MergedBounds::Sum, CellBounds::People) => {
                (Some(own("low")), Some(when(all_bounded, own("high") + hidden).end()?))
            }
            (MergedBounds::SamePeople, CellBounds::People) => {
                (Some(own("least")), Some(when(all_bounded, own("high") + hidden).end()?))
            }
        };
        let bound = |open: Option<DfExpr>| match open {
            Some(open) => when(whole.clone(), value.clone()).otherwise(open),
            None => when(whole.clone(), value.clone()).end(),
        };
        Ok([bound(lower)?, bound(upper)?, status])
    }
}

fn whole_companions(part: usize) -> DfResult<[DfExpr; 3]> {
    Ok([ident(format!("m{part}_lower")), ident(format!("m{part}_upper")), status_column(part)])
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
