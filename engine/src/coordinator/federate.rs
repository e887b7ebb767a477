//! Federates a resolved plan: fragments for the nodes, and a merge plan over what they release.
//!
//! Works on the plan as resolved, before type coercion and optimisation. Every aggregate that is one
//! block goes down; what stands above it stays, over released values. What is not one block is
//! computed from rows where all its tables are open, and refused otherwise.

use std::sync::{Arc, Mutex};

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, DFSchemaRef, JoinType, TableReference, ToDFSchema};
use datafusion::datasource::source_as_provider;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::SessionState;
use datafusion::functions_aggregate::expr_fn;
use datafusion::logical_expr::{
    Aggregate, Expr as DfExpr, Extension, LogicalPlan, Projection, TableScan, cast, ident, lit,
    when,
};
use hedgerow_policies::{Block, CellBounds, Expr, Join, Output, TableContract, cell_bounds};

use super::carry::{Cells, carry};
use super::dispatch::{FragmentAsk, HIDDEN, HIDDEN_ALL, NODES};
use super::federation::{Federation, coerced, groups_are_whole};
use super::fragment::FederatedFragment;
use super::place::{Misplaced, place};
use super::rows::FederatedTable;
use super::split::{Merged, MergedBounds, Parts, column, contracts_of};
use crate::block::{Lowering, NotABlock, ScanTarget, wire_type};
use crate::error::EngineError;

/// A federated statement.
pub(crate) struct Federated {
    /// The merge plan, to be optimised and run by DataFusion.
    pub(crate) plan: LogicalPlan,
    /// Status and bounds of the plan's columns.
    pub(crate) cells: Cells,
    /// What nodes are asked.
    pub(crate) fragments: Vec<FragmentAsk>,
}

/// Federates a resolved plan with its constants folded.
///
/// # Errors
/// [`EngineError::Refused`] for rows of protected tables, [`EngineError::NotSplit`] for what is not
/// split over them.
pub(crate) fn federate(
    federation: &Arc<Federation>,
    state: &SessionState,
    plan: LogicalPlan,
) -> Result<Federated, EngineError> {
    let federate = Federate { federation, state, fragments: Mutex::default() };
    let (plan, cells) = federate.rewrite(plan, None)?;
    let fragments = federate.fragments.into_inner().unwrap_or_else(|p| p.into_inner());
    Ok(Federated { plan, cells, fragments })
}

struct Federate<'a> {
    federation: &'a Arc<Federation>,
    state: &'a SessionState,
    fragments: Mutex<Vec<FragmentAsk>>,
}

/// What a scan of the coordinator's plan stands for.
fn federated_table(scan: &TableScan) -> Option<Arc<dyn datafusion::datasource::TableProvider>> {
    source_as_provider(&scan.source).ok()
}

fn target(scan: &TableScan) -> Option<ScanTarget> {
    let provider = federated_table(scan)?;
    let table = provider.downcast_ref::<FederatedTable>()?;
    Some(ScanTarget { table: table.contract.name.clone(), only: table.only.clone() })
}

fn protected(scan: &TableScan) -> Option<String> {
    let provider = federated_table(scan)?;
    let table = provider.downcast_ref::<FederatedTable>()?;
    table.contract.is_protected().then(|| table.contract.name.clone())
}

impl Federate<'_> {
    /// Rewrites a plan bottom-up from its aggregates; `reason` says why an aggregate above is not
    /// pushed.
    fn rewrite(
        &self,
        plan: LogicalPlan,
        reason: Option<&NotABlock>,
    ) -> Result<(LogicalPlan, Cells), EngineError> {
        match &plan {
            LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_) => match self.push(&plan) {
                Ok(pushed) => Ok(pushed),
                Err(Misplaced::Never(error)) => Err(error),
                Err(Misplaced::FromRows(not)) => self.descend(plan, Some(&not)),
            },
            LogicalPlan::TableScan(scan) => match protected(scan) {
                Some(table) => Err(rows_of_protected(&table, reason)),
                None => Ok((plan, Cells::default())),
            },
            LogicalPlan::Join(_) => {
                self.check_row_join(&plan)?;
                self.descend(plan, reason)
            }
            _ => self.descend(plan, reason),
        }
    }

    fn descend(
        &self,
        plan: LogicalPlan,
        reason: Option<&NotABlock>,
    ) -> Result<(LogicalPlan, Cells), EngineError> {
        let internal = |e: DataFusionError| EngineError::from_execution(e);
        let plan =
            plan.map_subqueries(|subquery| self.subquery(subquery, reason)).map_err(internal)?.data;
        let inputs: Vec<LogicalPlan> = plan.inputs().into_iter().cloned().collect();
        let mut rewritten = Vec::with_capacity(inputs.len());
        let mut changed = false;
        for input in inputs {
            let (new, cells) = self.rewrite(input.clone(), reason)?;
            changed |= new != input;
            rewritten.push((new, cells));
        }
        if !changed {
            return Ok((plan, Cells::default()));
        }
        carry(plan, rewritten)
    }

    /// A subquery inside an expression: rows and open aggregates only.
    fn subquery(
        &self,
        plan: LogicalPlan,
        reason: Option<&NotABlock>,
    ) -> DfResult<Transformed<LogicalPlan>> {
        let here = NotABlock::new("a subquery in an expression");
        let (new, cells) = self.rewrite(plan.clone(), Some(reason.unwrap_or(&here)))?;
        if !cells.is_empty() {
            return Err(EngineError::NotSplit {
                what: "a subquery over a protected table inside an expression is not split"
                    .to_owned(),
                hint: "write the subquery as a CTE or derived table and join it".to_owned(),
            }
            .into());
        }
        Ok(if new == plan { Transformed::no(plan) } else { Transformed::yes(new) })
    }

    /// Rows of open tables that are joined on numbers each organisation gives on its own would link
    /// records across organisations.
    fn check_row_join(&self, plan: &LogicalPlan) -> Result<(), EngineError> {
        let target = |scan: &TableScan| target(scan);
        let Ok(scope) = Lowering::new(&target).scope(plan) else { return Ok(()) };
        let block = scope.into_block(Output::Rows { columns: vec![], limit: None });
        let conditions = block.from.iter().flat_map(|relation| match &relation.join {
            Join::Left(on) => on.as_slice(),
            Join::First | Join::Inner => &[],
        });
        let local = block.filter.iter().chain(conditions).any(|condition| {
            condition.column_equality().is_some_and(|((a, x), (b, y))| {
                self.is_local_identifier(&block, a, x) && self.is_local_identifier(&block, b, y)
            })
        });
        if !local {
            return Ok(());
        }
        let organisations_equated = block.filter.iter().any(|condition| {
            matches!(condition, hedgerow_policies::Expr::Binary { left, operator: hedgerow_policies::BinaryOperator::Equal, right }
                if matches!(left.as_ref(), hedgerow_policies::Expr::Organisation { .. })
                    && matches!(right.as_ref(), hedgerow_policies::Expr::Organisation { .. }))
        });
        if organisations_equated || block.from.iter().any(|r| r.only.is_some()) {
            return Ok(());
        }
        let names: Vec<&str> = block.from.iter().map(|r| r.table.as_str()).collect();
        Err(EngineError::NotSplit {
            what: format!(
                "joining rows of {} on an identifier that each organisation numbers on its own",
                names.join(" and ")
            ),
            hint: "add `AND a.organisation = b.organisation` to the join".to_owned(),
        })
    }

    fn is_local_identifier(&self, block: &Block, relation: usize, name: &str) -> bool {
        use hedgerow_policies::{Role, Scope};
        block
            .from
            .get(relation)
            .and_then(|relation| self.federation.contracts.get(&relation.table))
            .filter(|contract| !contract.reference)
            .and_then(|contract| contract.column(name))
            .is_some_and(|c| c.has_role(Role::Identifier) && c.scope == Some(Scope::Organisation))
    }

    // -------------------------------------------------------------- pushing one aggregate

    fn push(&self, plan: &LogicalPlan) -> Result<(LogicalPlan, Cells), Misplaced> {
        let target = |scan: &TableScan| target(scan);
        let block = Lowering::new(&target).groups(plan).map_err(Misplaced::FromRows)?;
        let placement = place(&block, &self.federation.contracts)?;
        let tables = contracts_of(&block, &self.federation.contracts);
        let Output::Groups { keys, measures } = &block.output else {
            return Err(Misplaced::FromRows(NotABlock::new("rows")));
        };
        let whole = groups_are_whole(&block);
        let mut parts = Parts::default();
        let mut merged = vec![];
        if let LogicalPlan::Aggregate(aggregate) = plan {
            for (expr, measure) in aggregate.aggr_expr.iter().zip(measures) {
                let call = aggregate_call(expr).ok_or_else(|| {
                    Misplaced::FromRows(NotABlock::new("an aggregate inside an expression"))
                })?;
                let one = parts
                    .split(call, measure, aggregate.input.schema(), &tables, whole)
                    .map_err(Misplaced::FromRows)?;
                merged.push(one);
            }
        }
        let protected = tables.iter().any(|table| table.is_protected());
        let (keys, mut places) = unique(keys);
        if plan.schema().fields().len() == keys.len() + measures.len() {
            // DataFusion itself lists a repeated key once.
            places = (0..keys.len()).collect();
        }
        let node_block = Block {
            output: Output::Groups { keys: keys.clone(), measures: parts.measures },
            ..block.clone()
        };
        let schema = self.federation.prove(&node_block).map_err(Misplaced::FromRows)?;
        let ask = FragmentAsk {
            block: node_block,
            placement,
            protected,
            keys: keys.len(),
            schema: plain_schema(&schema),
        };
        let coerced = coerced(self.state, plan).map_err(never)?;
        let types = coerced.schema().fields().iter().map(|f| f.data_type().clone()).collect();
        let merge = Merge { ask: &ask, merged: &merged, whole, tables: &tables, places, types };
        let source = self.source(&ask).map_err(never)?;
        merge.plan(source, plan.schema()).map_err(never)
    }

    /// The plan node of a fragment; equal fragments are asked once.
    fn source(&self, ask: &FragmentAsk) -> DfResult<LogicalPlan> {
        let mut fragments = self.fragments.lock().unwrap_or_else(|p| p.into_inner());
        let known = fragments.iter().position(|known| known.block == ask.block);
        let index = known.unwrap_or_else(|| {
            fragments.push(ask.clone());
            fragments.len() - 1
        });
        let schema: DFSchemaRef = ask.gathered_schema().to_dfschema_ref()?;
        Ok(LogicalPlan::Extension(Extension {
            node: Arc::new(FederatedFragment { index, schema }),
        }))
    }
}

fn never(error: DataFusionError) -> Misplaced {
    Misplaced::Never(EngineError::from_execution(error))
}

fn aggregate_call(expr: &DfExpr) -> Option<&datafusion::logical_expr::expr::AggregateFunction> {
    match expr {
        DfExpr::Alias(alias) => aggregate_call(&alias.expr),
        DfExpr::AggregateFunction(call) => Some(call),
        _ => None,
    }
}

/// Keys, each once, and for each of `keys` its place among them.
fn unique(keys: &[Expr]) -> (Vec<Expr>, Vec<usize>) {
    let mut once: Vec<Expr> = vec![];
    let places = keys
        .iter()
        .map(|key| {
            once.iter().position(|known| known == key).unwrap_or_else(|| {
                once.push(key.clone());
                once.len() - 1
            })
        })
        .collect();
    (once, places)
}

fn plain_schema(schema: &Schema) -> Arc<Schema> {
    let field =
        |field: &Arc<Field>| Arc::new(Field::new(field.name(), wire_type(field.data_type()), true));
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

fn rows_of_protected(table: &str, reason: Option<&NotABlock>) -> EngineError {
    match reason {
        Some(not) => EngineError::NotSplit {
            what: format!("{} is not split over protected table `{table}`", not.what),
            hint: "ask for one plain aggregate per statement: group keys, then count, sum, avg or \
                   stddev, with WHERE and joins on the person column"
                .to_owned(),
        },
        None => EngineError::Refused(hedgerow_policies::Refusal::new(
            hedgerow_policies::Rule::S1Shape,
            format!("rows of protected table `{table}` do not leave their organisation"),
            "ask for an aggregate, such as `SELECT dimension, count(*) … GROUP BY dimension`",
        )),
    }
}

// ------------------------------------------------------------------------ merging

/// Builds the merge plan of one fragment, in the shape of the aggregate it stands for.
struct Merge<'a> {
    ask: &'a FragmentAsk,
    merged: &'a [Merged],
    whole: bool,
    tables: &'a [Arc<TableContract>],
    /// For each key of the statement, its place among the keys asked: each is asked once.
    places: Vec<usize>,
    /// Types of the statement's keys and aggregates, after coercion.
    types: Vec<DataType>,
}

/// Status codes of `CellStatus`, as literals of the merge plan.
pub(crate) const RELEASED: u8 = 0;
pub(crate) const PARTIAL: u8 = 1;
pub(crate) const WITHHELD: u8 = 2;

impl Merge<'_> {
    fn plan(&self, source: LogicalPlan, output: &DFSchemaRef) -> DfResult<(LogicalPlan, Cells)> {
        let keys: Vec<DfExpr> = (0..self.ask.keys).map(|i| ident(format!("k{i}"))).collect();
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
                    keys.clone(),
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
        for (index, (qualifier, field)) in output.iter().enumerate() {
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
        if counts && ungrouped && !self.ask.protected {
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
            (MergedBounds::Unknown, _) | (_, CellBounds::Unknown) => (None, None),
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

/// Casts where the type differs and gives the name of the column that is replaced.
fn named(
    expr: DfExpr,
    data_type: &DataType,
    schema: &DFSchema,
    qualifier: Option<&TableReference>,
    name: &str,
) -> DfResult<DfExpr> {
    use datafusion::logical_expr::ExprSchemable;
    let own = expr.get_type(schema)?;
    let expr = if own == *data_type { expr } else { cast(expr, data_type.clone()) };
    Ok(expr.alias_qualified(qualifier.cloned(), name))
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

/// Joins that keep no column of their right side.
pub(crate) fn keeps_right(join_type: JoinType) -> bool {
    !matches!(join_type, JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark)
}
