//! Federates a resolved plan: fragments for the nodes, and a merge plan over what they release.
//!
//! Works on the plan as resolved, before type coercion and optimisation. Every aggregate that is one
//! block goes down; what stands above it stays, over released values. What is not one block is
//! computed from rows where all its tables are open, and refused otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{DFSchemaRef, JoinType, ToDFSchema};
use datafusion::datasource::source_as_provider;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::{AggregateFunction as AggregateCall, GroupingSet};
use datafusion::logical_expr::logical_plan::Subquery;
use datafusion::logical_expr::{
    Aggregate, Expr as DfExpr, Extension, Join as DfJoin, Limit, LogicalPlan, Sort, TableScan,
    ident,
};
use hedgerow_policies::{Block, Expr, Join, OrderKey, Output, Relation, Scope, Source, TypeName};

use super::carry::{Cells, carry};
use super::cut::{is_product, is_worth_cutting, rows_needed, scan_of, sink};
use super::dispatch::FragmentAsk;
use super::federation::{Federation, coerced};
use super::fragment::FederatedFragment;
use super::merge::Merge;
use super::narrow::narrowed;
use super::place::{Misplaced, groups_are_whole, identifier_scope, organisations_equated, place};
use super::rows::FederatedTable;
use super::split::{Merged, MergedBounds, Parts, contracts_of};
use crate::block::{Lowering, NotABlock, ScanTarget, order, wire_type};
use crate::error::EngineError;

/// A federated statement.
pub(crate) struct Federated {
    /// The merge plan, to be optimised and run by DataFusion.
    pub(crate) plan: LogicalPlan,
    /// Status and bounds of the plan's columns.
    pub(crate) cells: Cells,
    /// What nodes are asked.
    pub(crate) fragments: Vec<FragmentAsk>,
    /// Scalar subqueries whose values fragments are asked with, by number.
    pub(crate) parameters: BTreeMap<usize, LogicalPlan>,
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
    let federate = Federate {
        federation,
        state,
        fragments: Mutex::default(),
        parameters: Mutex::default(),
        cuts: AtomicUsize::new(0),
    };
    let (plan, cells) = federate.rewrite(plan, None)?;
    let fragments = federate.fragments.into_inner().unwrap_or_else(PoisonError::into_inner);
    let parameters = federate.parameters.into_inner().unwrap_or_else(PoisonError::into_inner);
    let parameters = parameters.into_iter().filter_map(|(number, p)| Some((number, p.plan?)));
    Ok(Federated { plan, cells, fragments, parameters: parameters.collect() })
}

struct Federate<'a> {
    federation: &'a Arc<Federation>,
    state: &'a SessionState,
    fragments: Mutex<Vec<FragmentAsk>>,
    parameters: Mutex<BTreeMap<usize, Parameter>>,
    /// Cuts made so far, for their names.
    cuts: AtomicUsize,
}

/// A scalar subquery that a fragment may be asked with.
struct Parameter {
    subquery: Arc<LogicalPlan>,
    /// Federated, once a fragment is asked with it.
    plan: Option<LogicalPlan>,
}

/// What a scan of the coordinator's plan stands for.
fn federated_table(scan: &TableScan) -> Option<Arc<dyn datafusion::datasource::TableProvider>> {
    source_as_provider(&scan.source).ok()
}

fn target(scan: &TableScan) -> Option<ScanTarget> {
    federated_table(scan)?.downcast_ref::<FederatedTable>()?.target()
}

fn protected(scan: &TableScan) -> Option<String> {
    let provider = federated_table(scan)?;
    let contract = provider.downcast_ref::<FederatedTable>()?.contract.as_ref()?;
    contract.is_protected().then(|| contract.name.clone())
}

impl Federate<'_> {
    /// Rewrites a plan bottom-up from its aggregates; `reason` says why an aggregate above is not
    /// pushed.
    fn rewrite(
        &self,
        plan: LogicalPlan,
        reason: Option<&NotABlock>,
    ) -> Result<(LogicalPlan, Cells), EngineError> {
        if let Some(cut) = self.cut(&plan)? {
            return Ok((cut, Cells::default()));
        }
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
            LogicalPlan::Join(join) => {
                self.check_row_join(&plan)?;
                match self.narrowed(join)? {
                    Some(narrowed) => self.descend(narrowed, reason),
                    None => self.descend(plan, reason),
                }
            }
            LogicalPlan::Filter(filter) if reads_open_tables(&plan) => {
                let sunk = sink(filter.clone()).map_err(EngineError::from_execution)?;
                match sunk {
                    LogicalPlan::Filter(_) => self.descend(sunk, reason),
                    sunk => self.rewrite(sunk, reason),
                }
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
        let LogicalPlan::Join(join) = plan else { return Ok(()) };
        let kept = match join.join_type {
            JoinType::Right | JoinType::RightSemi | JoinType::RightAnti => &join.right,
            _ => &join.left,
        };
        let lowering = Lowering::new(&target);
        let (Ok(scope), Ok(kept)) = (lowering.scope(plan), lowering.scope(kept)) else {
            return Ok(());
        };
        let block = scope.into_block(Output::Rows { columns: vec![], order: vec![], limit: None });
        // Joins below this one are judged, or cut, on their own.
        let first = kept.from.len();
        let across = |a: usize, b: usize| (a < first) != (b < first);
        let conditions =
            || block.filter.iter().chain(block.from.iter().flat_map(|relation| relation.join.on()));
        let scope_of =
            |place, name| identifier_scope(&block, place, name, &self.federation.contracts);
        let local = conditions().any(|condition| {
            condition.column_equality().is_some_and(|((a, x), (b, y))| {
                across(a, b)
                    && scope_of(a, x) == Some(Scope::Organisation)
                    && scope_of(b, y) == Some(Scope::Organisation)
            })
        });
        let together = conditions().any(|condition| {
            organisations_equated(&block, condition).is_some_and(|(a, b)| across(a, b))
        });
        if !local || together || block.table_relations().any(|r| r.only().is_some()) {
            return Ok(());
        }
        let names: Vec<&str> = block.from.iter().map(Relation::name).collect();
        Err(EngineError::NotSplit {
            what: format!(
                "joining rows of {} on an identifier that each organisation numbers on its own",
                names.join(" and ")
            ),
            hint: "add `AND a.organisation = b.organisation` to the join".to_owned(),
        })
    }

    // ------------------------------------------------- cutting what each node makes whole

    /// Cuts out a plan over open tables that each node can answer for itself.
    fn cut(&self, plan: &LogicalPlan) -> Result<Option<LogicalPlan>, EngineError> {
        match plan {
            LogicalPlan::Limit(limit) => match limit.input.as_ref() {
                LogicalPlan::Sort(sort) => self.cut_first(limit, sort),
                _ => Ok(None),
            },
            _ if is_worth_cutting(plan) => self.cut_rows(plan, None),
            _ => Ok(None),
        }
    }

    /// The first rows in an order: those of each node, and of them the first.
    fn cut_first(&self, limit: &Limit, sort: &Sort) -> Result<Option<LogicalPlan>, EngineError> {
        let Some(most) = rows_needed(limit) else { return Ok(None) };
        let Ok(order) = order(sort) else { return Ok(None) };
        let Some(cut) = self.cut_rows(&sort.input, Some((order, most)))? else { return Ok(None) };
        let sort = Sort { input: Arc::new(cut), ..sort.clone() };
        let input = Arc::new(LogicalPlan::Sort(sort));
        Ok(Some(LogicalPlan::Limit(Limit { input, ..limit.clone() })))
    }

    /// The join with its groups narrowed to those that are asked for, over open tables.
    fn narrowed(&self, join: &DfJoin) -> Result<Option<LogicalPlan>, EngineError> {
        if !reads_open_tables(&LogicalPlan::Join(join.clone())) {
            return Ok(None);
        }
        let number = self.cuts.fetch_add(1, Ordering::Relaxed);
        narrowed(join, number, &|plan| self.is_reference(plan)).map_err(EngineError::from_execution)
    }

    /// Tells whether a plan reads reference tables, and nothing else.
    fn is_reference(&self, plan: &LogicalPlan) -> bool {
        let (mut any, mut only) = (false, true);
        let visited = plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                any = true;
                only &= target(scan).is_some_and(|target| {
                    let contract = self.federation.contracts.get(&target.table);
                    target.only.is_none() && contract.is_some_and(|contract| contract.reference)
                });
            }
            Ok(if only { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
        });
        any && only && visited.is_ok()
    }

    fn cut_rows(
        &self,
        plan: &LogicalPlan,
        first: Option<(Vec<OrderKey>, u64)>,
    ) -> Result<Option<LogicalPlan>, EngineError> {
        if !reads_open_tables(plan) {
            return Ok(None);
        }
        let target = |scan: &TableScan| target(scan);
        let subquery = |subquery: &Subquery| self.parameter(subquery);
        let lowering =
            Lowering::new(&target).with_subqueries(&subquery).with_optional_organisations();
        let Ok(mut block) = lowering.rows(plan) else { return Ok(None) };
        if let (Output::Rows { order, limit, .. }, Some((keys, most))) = (&mut block.output, first)
        {
            *order = keys;
            *limit = Some(most);
        }
        let Ok(placement) = place(&block, &self.federation.contracts) else { return Ok(None) };
        if is_product(&block) {
            return Ok(None);
        }
        let Ok(schema) = self.federation.prove(&block) else { return Ok(None) };
        let Ok(coerced) = coerced(self.state, plan) else { return Ok(None) };
        self.use_parameters(&block)?;
        let types: Vec<DataType> =
            coerced.schema().fields().iter().map(|f| f.data_type().clone()).collect();
        let federation = Arc::clone(self.federation);
        let name = format!("rows_{}", self.cuts.fetch_add(1, Ordering::Relaxed));
        let schema = plain_schema(&schema);
        let table = FederatedTable::of_block(&name, block, placement, schema, federation);
        let scan = scan_of(table, &name, plan.schema(), &types);
        scan.map(Some).map_err(EngineError::from_execution)
    }

    // ------------------------------------------------------------------ scalar subqueries

    /// The parameter that an uncorrelated scalar subquery becomes.
    fn parameter(&self, subquery: &Subquery) -> Result<Expr, NotABlock> {
        let not = || NotABlock::new("a subquery in an expression");
        let mut reads_protected = false;
        let visited = subquery.subquery.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                reads_protected |= protected(scan).is_some();
            }
            Ok(TreeNodeRecursion::Continue)
        });
        if reads_protected || visited.is_err() {
            return Err(not());
        }
        let coerced = coerced(self.state, &subquery.subquery).map_err(|_| not())?;
        let [field] = coerced.schema().fields().as_ref() else { return Err(not()) };
        let data_type = TypeName(wire_type(field.data_type()));
        let mut parameters = self.parameters.lock().unwrap_or_else(PoisonError::into_inner);
        let known = parameters.iter().find(|(_, known)| known.subquery == subquery.subquery);
        let index = match known {
            Some((index, _)) => *index,
            None => {
                let index = parameters.len();
                let subquery = Arc::clone(&subquery.subquery);
                parameters.insert(index, Parameter { subquery, plan: None });
                index
            }
        };
        Ok(Expr::Parameter { index, data_type })
    }

    /// Federates the subqueries whose values a block is asked with.
    fn use_parameters(&self, block: &Block) -> Result<(), EngineError> {
        for index in parameters_of(block) {
            let unused = {
                let parameters = self.parameters.lock().unwrap_or_else(PoisonError::into_inner);
                parameters.get(&index).filter(|p| p.plan.is_none()).map(|p| p.subquery.clone())
            };
            let Some(subquery) = unused else { continue };
            let (plan, _) = self.rewrite(subquery.as_ref().clone(), None)?;
            let mut parameters = self.parameters.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(parameter) = parameters.get_mut(&index) {
                parameter.plan = Some(plan);
            }
        }
        Ok(())
    }

    // -------------------------------------------------------------- pushing one aggregate

    fn push(&self, plan: &LogicalPlan) -> Result<(LogicalPlan, Cells), Misplaced> {
        let target = |scan: &TableScan| target(scan);
        let subquery = |subquery: &Subquery| self.parameter(subquery);
        let lowering = Lowering::new(&target).with_subqueries(&subquery);
        let sets = Sets::of(plan).map_err(never)?;
        let plain = sets.as_ref().map_or(plan, |sets| &sets.plain);
        let block = lowering.groups(plain).map_err(Misplaced::FromRows)?;
        let tables = contracts_of(&block, &self.federation.contracts);
        let protected = tables.iter().any(|table| table.is_protected());
        if protected {
            check_flat(&block)?;
            if sets.is_some() {
                let what = "ROLLUP, CUBE or GROUPING SETS";
                return Err(Misplaced::FromRows(NotABlock::new(what)));
            }
        }
        let placement = place(&block, &self.federation.contracts)?;
        let Output::Groups { keys, measures } = &block.output else {
            return Err(Misplaced::FromRows(NotABlock::new("rows")));
        };
        let whole = sets.is_none() && groups_are_whole(&block, &self.federation.contracts);
        let (keys, mut places) = unique(keys);
        if plain.schema().fields().len() == keys.len() + measures.len() {
            // DataFusion itself lists a repeated key once.
            places = (0..keys.len()).collect();
        }
        let own_keys = keys.len();
        let mut parts = Parts::over(keys);
        let mut merged = vec![];
        if let LogicalPlan::Aggregate(aggregate) = plan {
            let mut measures = measures.iter();
            for expr in &aggregate.aggr_expr {
                let call = aggregate_call(expr).ok_or_else(|| {
                    Misplaced::FromRows(NotABlock::new("an aggregate inside an expression"))
                })?;
                let one = match (&sets, is_grouping(call)) {
                    (Some(sets), true) => sets.grouping(call, &places),
                    _ => {
                        let measure = measures.next().ok_or_else(|| NotABlock::new("grouping()"));
                        measure.and_then(|measure| {
                            let schema = aggregate.input.schema();
                            parts.split(call, measure, schema, &tables, whole)
                        })
                    }
                };
                merged.push(one.map_err(Misplaced::FromRows)?);
            }
        }
        let node_block = Block {
            output: Output::Groups { keys: parts.keys.clone(), measures: parts.measures },
            ..block.clone()
        };
        let schema = self.federation.prove(&node_block).map_err(Misplaced::FromRows)?;
        self.use_parameters(&node_block).map_err(Misplaced::Never)?;
        let ask = FragmentAsk {
            block: node_block,
            placement,
            protected,
            keys: parts.keys.len(),
            schema: plain_schema(&schema),
        };
        let coerced = coerced(self.state, plan).map_err(never)?;
        let shown = coerced.schema().fields().iter();
        let shown = shown.filter(|f| f.name() != Aggregate::INTERNAL_GROUPING_ID);
        let merge = Merge {
            ask: &ask,
            merged: &merged,
            whole,
            tables: &tables,
            keys: own_keys,
            sets: sets.as_ref().map(|sets| sets.over_keys(&places)),
            places,
            types: shown.map(|f| f.data_type().clone()).collect(),
        };
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

/// Over protected tables a block is flat: what is derived is asked on its own, and released.
fn check_flat(block: &Block) -> Result<(), Misplaced> {
    let not = |what: &str| Err(Misplaced::FromRows(NotABlock::new(what)));
    for relation in &block.from {
        match (&relation.source, &relation.join) {
            (_, Join::NotIn(_)) => return not("`NOT IN` with a subquery, unlike `NOT EXISTS`,"),
            (Source::Derived(_), _) => return not("an aggregate below an aggregate"),
            _ => {}
        }
    }
    match parameters_of(block).is_empty() {
        true => Ok(()),
        false => not("a subquery in an expression"),
    }
}

/// The parameters a block is asked with, in derived relations too.
pub(crate) fn parameters_of(block: &Block) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    for expr in block.blocks().into_iter().flat_map(Block::expressions) {
        expr.walk(&mut |part| {
            if let Expr::Parameter { index, .. } = part {
                found.insert(*index);
            }
        });
    }
    found
}

/// Tells whether a plan reads tables, and open ones only.
fn reads_open_tables(plan: &LogicalPlan) -> bool {
    let (mut any, mut open) = (false, true);
    let visited = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            any = true;
            open &= target(scan).is_some() && protected(scan).is_none();
        }
        Ok(if open { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    any && open && visited.is_ok()
}

fn never(error: DataFusionError) -> Misplaced {
    Misplaced::Never(EngineError::from_execution(error))
}

/// An aggregate over grouping sets: the sets, and the same aggregate over all their keys.
struct Sets<'a> {
    sets: &'a GroupingSet,
    keys: Vec<&'a DfExpr>,
    plain: LogicalPlan,
}

impl<'a> Sets<'a> {
    fn of(plan: &'a LogicalPlan) -> DfResult<Option<Self>> {
        let LogicalPlan::Aggregate(aggregate) = plan else { return Ok(None) };
        let [DfExpr::GroupingSet(sets)] = aggregate.group_expr.as_slice() else { return Ok(None) };
        let keys = sets.distinct_expr();
        let measures = aggregate.aggr_expr.iter();
        let measures = measures.filter(|expr| !aggregate_call(expr).is_some_and(is_grouping));
        let plain = Aggregate::try_new(
            Arc::clone(&aggregate.input),
            keys.iter().copied().cloned().collect(),
            measures.cloned().collect(),
        )?;
        Ok(Some(Self { sets, keys, plain: LogicalPlan::Aggregate(plain) }))
    }

    /// The column that holds a key at the coordinator.
    fn key(&self, expr: &DfExpr, places: &[usize]) -> DfExpr {
        let index = self.keys.iter().position(|key| *key == expr);
        let place = index.and_then(|index| places.get(index));
        ident(place.map_or_else(String::new, |place| format!("k{place}")))
    }

    fn over_keys(&self, places: &[usize]) -> GroupingSet {
        let all = |list: &Vec<DfExpr>| list.iter().map(|e| self.key(e, places)).collect();
        match self.sets {
            GroupingSet::Rollup(list) => GroupingSet::Rollup(all(list)),
            GroupingSet::Cube(list) => GroupingSet::Cube(all(list)),
            GroupingSet::GroupingSets(lists) => {
                GroupingSet::GroupingSets(lists.iter().map(all).collect())
            }
        }
    }

    /// `grouping(key, …)`: told at the coordinator, where the sets are made.
    fn grouping(&self, call: &AggregateCall, places: &[usize]) -> Result<Merged, NotABlock> {
        if !call.params.args.iter().all(|argument| self.keys.contains(&argument)) {
            return Err(NotABlock::new("grouping() of what is no group key"));
        }
        let mut value = call.clone();
        value.params.args = call.params.args.iter().map(|a| self.key(a, places)).collect();
        let value = DfExpr::AggregateFunction(value);
        Ok(Merged { value, part: 0, bounds: MergedBounds::Unknown })
    }
}

fn is_grouping(call: &AggregateCall) -> bool {
    call.func.name() == "grouping"
}

fn aggregate_call(expr: &DfExpr) -> Option<&AggregateCall> {
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
