//! Federates a resolved plan: fragments for the nodes, and a merge plan over what they release.
//!
//! Works on the plan as resolved, before type coercion and optimisation. Every aggregate that is one
//! block goes down; what stands above it stays, over released values. What is not one block is
//! computed from rows where all its tables are open, and refused otherwise.

use std::sync::{Arc, Mutex};

use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchemaRef, ToDFSchema};
use datafusion::datasource::source_as_provider;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr as DfExpr, Extension, LogicalPlan, TableScan};
use hedgerow_policies::{Block, Expr, Join, Output};

use super::carry::{Cells, carry};
use super::dispatch::FragmentAsk;
use super::federation::{Federation, coerced, groups_are_whole};
use super::fragment::FederatedFragment;
use super::merge::Merge;
use super::place::{Misplaced, place};
use super::rows::FederatedTable;
use super::split::{Parts, contracts_of};
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
