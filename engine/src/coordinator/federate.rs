//! Federates a resolved plan: fragments for the nodes, and a merge plan over what they release.
//!
//! Works on the plan as resolved, before type coercion and optimisation. Every aggregate that is one
//! block goes down; what stands above it stays, over released values. What is not one block is
//! computed from rows where all its tables are open, and refused otherwise.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{DFSchemaRef, JoinType, ToDFSchema};
use datafusion::datasource::source_as_provider;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::SessionState;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::expr::GroupingSet;
use datafusion::logical_expr::logical_plan::Subquery;
use datafusion::logical_expr::{
    Aggregate, Expr as DfExpr, ExprFunctionExt, Extension, Join as DfJoin, Limit, LogicalPlan,
    Sort, TableScan, lit,
};
use hedgerow_policies::{Block, Expr, Measure, OrderKey, Output, Relation, Scope, TableContract};

use super::carry::{Cells, carry};
use super::cut::{is_product, is_worth_cutting, rows_needed, scan_of, sink};
use super::dispatch::FragmentAsk;
use super::federation::{Federation, coerced};
use super::fragment::FederatedFragment;
use super::merge::Merge;
use super::narrow::narrowed;
use super::parameters::{Parameters, parameters_of};
use super::people::at_person_level;
use super::percentile::{Asked, Bins, Percentiles};
use super::place::{
    Misplaced, Placement, groups_are_whole, identifier_scope, organisations_equated, place,
};
use super::public_groups::{PublicGroups, shown_groups};
use super::rows::FederatedTable;
use super::sets::{Sets, aggregate_call, is_grouping};
use super::split::{Merged, Parts, contracts_of, is_count_of_values};
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
    let shown = shown_groups(&plan).cloned();
    let Together { mut plans, fragments, parameters } =
        federate_plans(federation, state, vec![plan], shown)?;
    let none = || EngineError::Internal { what: "a plan was lost", source: None };
    let (plan, cells) = plans.pop().ok_or_else(none)?;
    Ok(Federated { plan, cells, fragments, parameters })
}

/// Federated plans that are run together: what nodes are asked for all of them.
pub(crate) struct Together {
    /// Each merge plan, with status and bounds of its columns.
    pub(crate) plans: Vec<(LogicalPlan, Cells)>,
    pub(crate) fragments: Vec<FragmentAsk>,
    pub(crate) parameters: BTreeMap<usize, LogicalPlan>,
}

/// Federates several plans as one statement, so that each node is asked one bundle.
///
/// # Errors
/// As [`federate`].
pub(crate) fn federate_all(
    federation: &Arc<Federation>,
    state: &SessionState,
    plans: Vec<LogicalPlan>,
) -> Result<Together, EngineError> {
    federate_plans(federation, state, plans, None)
}

fn federate_plans(
    federation: &Arc<Federation>,
    state: &SessionState,
    plans: Vec<LogicalPlan>,
    shown: Option<LogicalPlan>,
) -> Result<Together, EngineError> {
    let federate = Federate {
        federation,
        state,
        shown,
        fragments: Mutex::default(),
        parameters: Parameters::default(),
        cuts: AtomicUsize::new(0),
    };
    let plans = plans.into_iter().map(|plan| federate.rewrite(plan, None));
    let plans = plans.collect::<Result<_, _>>()?;
    let fragments = federate.fragments.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Together { plans, fragments, parameters: federate.parameters.into_plans() })
}

struct Federate<'a> {
    federation: &'a Arc<Federation>,
    state: &'a SessionState,
    /// The aggregate whose groups are the rows of the answer.
    shown: Option<LogicalPlan>,
    fragments: Mutex<Vec<FragmentAsk>>,
    parameters: Parameters,
    /// Cuts made so far, for their names.
    cuts: AtomicUsize,
}

/// What a scan of the coordinator's plan stands for.
fn federated_table(scan: &TableScan) -> Option<Arc<dyn datafusion::datasource::TableProvider>> {
    source_as_provider(&scan.source).ok()
}

pub(crate) fn target(scan: &TableScan) -> Option<ScanTarget> {
    federated_table(scan)?.downcast_ref::<FederatedTable>()?.target()
}

pub(crate) fn protected(scan: &TableScan) -> Option<String> {
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
        reads_only(plan, &|scan| {
            target(scan).is_some_and(|target| {
                let contract = self.federation.contracts.get(&target.table);
                target.only.is_none() && contract.is_some_and(|contract| contract.reference)
            })
        })
    }

    /// The parameter that an uncorrelated scalar subquery over open tables becomes.
    fn parameter(&self, subquery: &Subquery) -> Result<Expr, NotABlock> {
        if reads_protected(&subquery.subquery) {
            return Err(NotABlock::new("a subquery in an expression"));
        }
        self.parameters.of(self.state, &subquery.subquery)
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

    /// Federates the subqueries whose values a block is asked with.
    fn use_parameters(&self, block: &Block) -> Result<(), EngineError> {
        for index in parameters_of(block) {
            let Some(subquery) = self.parameters.unused(index) else { continue };
            let (plan, _) = self.rewrite(subquery.as_ref().clone(), None)?;
            self.parameters.used(index, plan);
        }
        Ok(())
    }

    // -------------------------------------------------------------- pushing one aggregate

    fn push(&self, plan: &LogicalPlan) -> Result<(LogicalPlan, Cells), Misplaced> {
        if let LogicalPlan::Aggregate(aggregate) = plan
            && let Some(pushed) = self.push_percentiles(plan, aggregate)?
        {
            return Ok(pushed);
        }
        let sets = Sets::of(plan).map_err(never)?;
        let plain = sets.as_ref().map_or(plan, |sets| &sets.plain);
        let protected = reads_protected(plain);
        let block = self.lowered(plain)?;
        let (block, tables) = if protected {
            check_asked_at_once(&block, sets.is_some())?;
            at_person_level(block, self.federation)?
        } else {
            let tables = contracts_of(&block, &self.federation.contracts);
            (block, tables)
        };
        let placement = place(&block, &self.federation.contracts)?;
        let Output::Groups { keys, measures } = &block.output else {
            return Err(Misplaced::FromRows(NotABlock::new("rows")));
        };
        let values = protected && counts_values(measures, &tables).map_err(Misplaced::Never)?;
        let whole =
            sets.is_none() && !values && groups_are_whole(&block, &self.federation.contracts);
        let (keys, mut places) = unique(keys);
        if plain.schema().fields().len() == keys.len() + measures.len() {
            // DataFusion itself lists a repeated key once.
            places = (0..keys.len()).collect();
        }
        let own_keys = keys.len();
        let mut parts = Parts::over(keys);
        let merged = match plan {
            LogicalPlan::Aggregate(aggregate) => {
                merged(aggregate, measures, &mut parts, sets.as_ref(), &tables, whole)
                    .map_err(Misplaced::FromRows)?
            }
            _ => vec![],
        };
        let output = Output::Groups { keys: parts.keys.clone(), measures: parts.measures };
        let pushed = Pushed {
            block: Block { output, ..block.clone() },
            placement,
            tables,
            merged,
            whole,
            own_keys,
            sets: sets.as_ref().map(Sets::over_keys),
            places,
        };
        self.merged(plan, pushed)
    }

    /// Percentiles over a protected table: nodes count per bin. `None` where none is asked, and where
    /// rows will do.
    fn push_percentiles(
        &self,
        plan: &LogicalPlan,
        aggregate: &Aggregate,
    ) -> Result<Option<(LogicalPlan, Cells)>, Misplaced> {
        let Some(asked) = Asked::first(aggregate).filter(|_| reads_protected(plan)) else {
            return Ok(None);
        };
        let count = count(lit(1_i64));
        let count = match asked.filter {
            Some(filter) => count.filter(filter.clone()).build().map_err(never)?,
            None => count,
        };
        let keys = aggregate.group_expr.iter().cloned().chain([asked.of.clone()]).collect();
        let counted = Aggregate::try_new(Arc::clone(&aggregate.input), keys, vec![count]);
        let block = self.lowered(&LogicalPlan::Aggregate(counted.map_err(never)?))?;
        check_asked_at_once(&block, false)?;
        let (mut block, tables) = at_person_level(block, self.federation)?;
        let percentiles = Percentiles::of(aggregate, &asked).map_err(Misplaced::Never)?;
        let placement = place(&block, &self.federation.contracts)?;
        let Output::Groups { keys, .. } = &mut block.output else { return Ok(None) };
        let Some(of) = keys.pop() else { return Ok(None) };
        let bins = Bins::of(&of, &tables).map_err(Misplaced::Never)?;
        let (mut once, mut places) = unique(keys);
        let own_keys = once.len();
        if plan.schema().fields().len() == own_keys + aggregate.aggr_expr.len() {
            places = (0..own_keys).collect();
        }
        once.push(bins.key.clone());
        *keys = once;
        let merged =
            percentiles.values(own_keys, &bins).into_iter().map(Merged::estimate).collect();
        let pushed =
            Pushed { block, placement, tables, merged, whole: false, own_keys, sets: None, places };
        self.merged(plan, pushed).map(Some)
    }

    fn lowered(&self, plan: &LogicalPlan) -> Result<Block, Misplaced> {
        let target = |scan: &TableScan| target(scan);
        let subquery = |subquery: &Subquery| self.parameter(subquery);
        let lowering = Lowering::new(&target).with_subqueries(&subquery);
        let lowering = if reads_protected(plan) { lowering.with_wide_sums() } else { lowering };
        lowering.groups(plan).map_err(Misplaced::FromRows)
    }

    /// Proves what nodes are asked, and puts the merge plan in the place of `plan`.
    fn merged(
        &self,
        plan: &LogicalPlan,
        pushed: Pushed,
    ) -> Result<(LogicalPlan, Cells), Misplaced> {
        let Pushed { block, placement, tables, merged, whole, own_keys, sets, places } = pushed;
        let schema = self.federation.prove(&block).map_err(Misplaced::FromRows)?;
        self.use_parameters(&block).map_err(Misplaced::Never)?;
        let asked = match &block.output {
            Output::Groups { keys, .. } => keys.len(),
            Output::Rows { .. } => 0,
        };
        let protected = tables.iter().any(|table| table.is_protected());
        let shown = protected && own_keys == asked && self.shown.as_ref() == Some(plan);
        let public = if shown { PublicGroups::of(&block, &tables) } else { None };
        let schema = plain_schema(&schema);
        let ask = FragmentAsk { block, placement, protected, keys: asked, schema, public };
        let coerced = coerced(self.state, plan).map_err(never)?;
        let shown = coerced.schema().fields().iter();
        let shown = shown.filter(|f| f.name() != Aggregate::INTERNAL_GROUPING_ID);
        let merge = Merge {
            ask: &ask,
            merged: &merged,
            whole,
            tables: &tables,
            keys: own_keys,
            sets,
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
        // What is asked for two purposes is asked for the one that reckons with what was released.
        if let Some(known) = fragments.get_mut(index)
            && known.public != ask.public
        {
            known.public = None;
        }
        let schema: DFSchemaRef = ask.gathered_schema().to_dfschema_ref()?;
        Ok(LogicalPlan::Extension(Extension {
            node: Arc::new(FederatedFragment { index, schema }),
        }))
    }
}

/// Splits the aggregates of a plan into `parts` for the nodes, and says how each is merged.
fn merged(
    aggregate: &Aggregate,
    measures: &[Measure],
    parts: &mut Parts,
    sets: Option<&Sets<'_>>,
    tables: &[Arc<TableContract>],
    whole: bool,
) -> Result<Vec<Merged>, NotABlock> {
    let mut measures = measures.iter();
    let one = |expr: &DfExpr| {
        let call = aggregate_call(expr)
            .ok_or_else(|| NotABlock::new("an aggregate inside an expression"))?;
        match sets {
            Some(sets) if is_grouping(call) => sets.grouping(call),
            _ => {
                let measure = measures.next().ok_or_else(|| NotABlock::new("grouping()"))?;
                parts.split(call, measure, aggregate.input.schema(), tables, whole)
            }
        }
    };
    aggregate.aggr_expr.iter().map(one).collect()
}

/// An aggregate as it goes down: what nodes are asked, and what is made of their answers.
struct Pushed {
    block: Block,
    placement: Placement,
    tables: Vec<Arc<TableContract>>,
    merged: Vec<Merged>,
    whole: bool,
    /// How many of the keys asked are the statement's.
    own_keys: usize,
    sets: Option<GroupingSet>,
    /// For each key of the statement, its place among the keys asked.
    places: Vec<usize>,
}

/// Tells whether an aggregate over protected tables counts the different values of a dimension, for
/// which nodes are asked for the values. Then it asks for nothing else.
fn counts_values(measures: &[Measure], tables: &[Arc<TableContract>]) -> Result<bool, EngineError> {
    let Some(first) = measures.iter().find(|measure| is_count_of_values(measure, tables)) else {
        return Ok(false);
    };
    if measures.iter().all(|measure| measure == first) {
        return Ok(true);
    }
    Err(hedgerow_policies::Refusal::new(
        hedgerow_policies::Rule::G7Family,
        "`count(DISTINCT …)` of a dimension stands beside another aggregate over a protected table",
        "ask for the number of values of one dimension in a statement of its own, and for the rest \
         in another",
    )
    .into())
}

/// Over protected tables a block is asked at once, with nothing that another question told.
fn check_asked_at_once(block: &Block, has_sets: bool) -> Result<(), Misplaced> {
    let not = |what: &str| Err(Misplaced::FromRows(NotABlock::new(what)));
    match parameters_of(block).is_empty() {
        true if has_sets => not("ROLLUP, CUBE or GROUPING SETS"),
        true => Ok(()),
        false => not("a subquery in an expression"),
    }
}

/// Tells whether a plan reads a protected table, or cannot be looked through.
fn reads_protected(plan: &LogicalPlan) -> bool {
    tables_that(plan, &|scan| protected(scan).is_none()).is_none()
}

/// Tells whether a plan reads tables, and open ones only.
fn reads_open_tables(plan: &LogicalPlan) -> bool {
    reads_only(plan, &|scan| target(scan).is_some() && protected(scan).is_none())
}

/// Tells whether a plan reads tables, and only such as `are` tells.
fn reads_only(plan: &LogicalPlan, are: &dyn Fn(&TableScan) -> bool) -> bool {
    tables_that(plan, are).is_some_and(|count| count > 0)
}

/// How often a plan reads a table, in subqueries too; `None` where one is not as `are` tells.
fn tables_that(plan: &LogicalPlan, are: &dyn Fn(&TableScan) -> bool) -> Option<usize> {
    let mut count = Some(0_usize);
    let visited = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            count = count.filter(|_| are(scan)).map(|count| count + 1);
        }
        Ok(if count.is_some() { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    count.filter(|_| visited.is_ok())
}

fn never(error: DataFusionError) -> Misplaced {
    Misplaced::Never(EngineError::from_execution(error))
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

pub(crate) fn plain_schema(schema: &Schema) -> Arc<Schema> {
    let field =
        |field: &Arc<Field>| Arc::new(Field::new(field.name(), wire_type(field.data_type()), true));
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

fn rows_of_protected(table: &str, reason: Option<&NotABlock>) -> EngineError {
    match reason {
        Some(not) => EngineError::NotSplit {
            what: format!("{} is not split over protected table `{table}`", not.what),
            hint: match not.what.as_str() {
                "FULL JOIN" => {
                    "write a LEFT JOIN that keeps the people who are counted, or ask each table on \
                     its own"
                }
                "ROLLUP, CUBE or GROUPING SETS" => {
                    "write GROUP BY with all these columns alone, and add up what is released for \
                     the totals: `SELECT …, sum(n) FROM (SELECT …, count(*) AS n … GROUP BY …) AS t \
                     GROUP BY ROLLUP (…)`"
                }
                "UNION below an aggregate" => {
                    "aggregate each part on its own, and unite what is released: `SELECT …, count(*) \
                     … GROUP BY … UNION ALL SELECT …, count(*) … GROUP BY …`"
                }
                "an aggregate below an aggregate" => {
                    "give the inner query the person column as a key, so that it has one row per \
                     person: `SELECT organisation, person_number, … GROUP BY organisation, \
                     person_number`; or ask for its groups as they are"
                }
                _ => {
                    "ask for one plain aggregate per statement: group keys, then count, sum, avg \
                     or stddev, with WHERE and joins on the person column"
                }
            }
            .to_owned(),
        },
        None => EngineError::Refused(hedgerow_policies::Refusal::new(
            hedgerow_policies::Rule::S1Shape,
            format!("rows of protected table `{table}` do not leave their organisation"),
            "ask for an aggregate, such as `SELECT dimension, count(*) … GROUP BY dimension`",
        )),
    }
}
