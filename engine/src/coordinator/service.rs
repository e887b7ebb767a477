//! [`Coordinator`]: from a statement to its answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::CatalogProvider;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, ScalarValue};
use datafusion::execution::{SendableRecordBatchStream, SessionState, SessionStateBuilder};
use datafusion::logical_expr::{Expr as DfExpr, LogicalPlan, Sort, SortExpr};
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, Set, Statement as SqlStatement, Value};
use futures::{StreamExt, TryStreamExt};
use hedgerow_catalog::{
    Contracts, Limits, SourceConfig, ViewConfig, shared_schema, visible_schema,
};

use super::analyze::{self, Times, Volume};
use super::carry::{check_names, is_companion};
use super::catalog::{CATALOG, FederationCatalog, SHARED, SYSTEM};
use super::decorrelate::decorrelated;
use super::dispatch::{FragmentAsk, gather};
use super::edge::Edge;
use super::exact_sum::exact_sums;
use super::explain::explain;
use super::federate::federate;
use super::federation::Federation;
use super::fragment::FederatedPlanner;
use super::marks;
use super::own_tables::OwnTables;
use super::plan_cache::{PlanCache, PlanCounts, is_repeatable, plan_bytes};
use super::rounds::{Round, rounds};
use super::running::{Behalf, CoverageLog, Running};
use super::session::Session;
use super::ship::shipped;
use super::system;
use super::views::Views;
use crate::block::{NotABlock, fold_constants, literal};
use crate::channel::{NodeChannel, random_start};
use crate::dialect::{session_config, state_builder};
use crate::error::EngineError;
use crate::limits::answer::AnswerCount;
use crate::limits::memory::{Memory, task_context};
use crate::limits::text::TextLimits;
use crate::parse::{nearest, parse_statement, resolution_error, resolve_within, statement_kind};
use crate::work::{Size, physical, planning, run};

/// Longest time to resolve all views when a server starts, in milliseconds.
const VIEWS_TIMEOUT_MS: u64 = 60_000;

/// Plans statements across a federation and merges what its nodes release.
#[derive(Debug)]
pub struct Coordinator {
    pub(super) federation: Arc<Federation>,
    views: Arc<Views>,
    own: Arc<OwnTables>,
    pub(super) state: SessionState,
    /// The same for merge plans: one partition, so that node order is kept and floats repeat, and no
    /// functions by name, of which each run would have a copy.
    merging: SessionState,
    plans: PlanCache<PlannedQuery>,
    pub(super) limits: Limits,
    memory: Arc<Memory>,
    started: u64,
    statements: AtomicU64,
}

/// A planned statement: its schema is known, no node has been asked for data.
#[derive(Debug, Clone)]
pub struct Prepared {
    statement: String,
    statement_id: String,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// Known at the coordinator: EXPLAIN.
    Ready(RecordBatch),
    /// `SET hedgerow.option = 'value'`.
    Set {
        option: String,
        value: String,
    },
    Query(Arc<PlannedQuery>),
    /// EXPLAIN ANALYZE: the query, and how long it took to plan.
    Analyze(Arc<PlannedQuery>, Duration),
}

/// A statement to be planned.
struct Asked<'a> {
    statement: &'a str,
    companions: bool,
    /// The state of the nodes: [`Federation::changes`].
    nodes: u64,
    since: Instant,
}

#[derive(Debug)]
struct PlannedQuery {
    plan: LogicalPlan,
    fragments: Vec<FragmentAsk>,
    /// Scalar subqueries whose values fragments are asked with.
    parameters: BTreeMap<usize, LogicalPlan>,
    rounds: Vec<Round>,
    edge: Edge,
}

/// An answer: rows, and what stands behind them.
pub struct Answer {
    /// The schema that [`Prepared::schema`] announced.
    pub schema: SchemaRef,
    /// Rows. Dropping the stream stops the work everywhere.
    pub stream: SendableRecordBatchStream,
    /// Which nodes answered, and on which data.
    pub coverage: Arc<CoverageLog>,
    /// The statement's id, the same in every log.
    pub statement_id: String,
}

/// A table as metadata calls list it. The catalog is always `federation`.
#[derive(Debug, Clone)]
pub struct TableEntry {
    /// `shared`, `system`, or an organisation.
    pub schema_name: String,
    /// The table.
    pub table_name: String,
    /// `TABLE` or `VIEW`.
    pub table_type: &'static str,
    /// Its columns.
    pub schema: SchemaRef,
}

impl Prepared {
    /// What the answer's batches will have.
    pub fn schema(&self) -> SchemaRef {
        match &self.kind {
            Kind::Ready(batch) => batch.schema(),
            Kind::Set { .. } => Arc::new(Schema::empty()),
            Kind::Query(query) => query.edge.schema(),
            Kind::Analyze(..) => analyze::schema(),
        }
    }

    /// The statement as written.
    pub fn statement(&self) -> &str {
        &self.statement
    }

    /// Its id, the same in every log and at every node.
    pub fn statement_id(&self) -> &str {
        &self.statement_id
    }
}

impl Coordinator {
    /// Makes a coordinator over `channels`, in federation order, and asks each node what it serves.
    ///
    /// Nodes that cannot be reached are asked again when a statement needs them.
    pub async fn connect(
        contracts: Contracts,
        channels: Vec<Arc<dyn NodeChannel>>,
        limits: Limits,
    ) -> Result<Arc<Self>, EngineError> {
        let (views, tables) = (BTreeMap::new(), BTreeMap::new());
        Self::connect_with(contracts, channels, &views, &tables, limits).await
    }

    /// The same, with views, and with open tables of the coordinator itself.
    ///
    /// # Errors
    /// Names the view that is not one query, has the name of a table, or uses itself; and the table
    /// that has no contract, or one that is not open.
    pub async fn connect_with(
        contracts: Contracts,
        channels: Vec<Arc<dyn NodeChannel>>,
        views: &BTreeMap<String, ViewConfig>,
        tables: &BTreeMap<String, SourceConfig>,
        limits: Limits,
    ) -> Result<Arc<Self>, EngineError> {
        let views = Arc::new(Views::new(views, &contracts, &limits)?);
        let plain = state_builder(session_config(1), &limits).build();
        let own = Arc::new(OwnTables::open(tables, &contracts, &plain).await?);
        let federation = Arc::new(Federation::new(contracts, channels, &limits)?);
        federation.refresh().await;
        let coordinator =
            Self::over(federation, views, own, limits, Arc::new(Memory::new(&limits)));
        let (opened, resolver) = (Arc::clone(&coordinator.views), coordinator.state.clone());
        planning::plan(VIEWS_TIMEOUT_MS, async move {
            opened.open(resolver).await;
            Ok(())
        })
        .await?;
        Ok(coordinator)
    }

    /// Makes a coordinator over the same nodes as a wider federation sees them, below `path`, which
    /// has views and tables of its own.
    pub(super) fn below(&self, path: &str, memory: &Arc<Memory>) -> Arc<Self> {
        let federation = Arc::new(self.federation.below(path));
        let (views, own) = (Arc::default(), Arc::default());
        Self::over(federation, views, own, self.limits, Arc::clone(memory))
    }

    fn over(
        federation: Arc<Federation>,
        views: Arc<Views>,
        own: Arc<OwnTables>,
        limits: Limits,
        memory: Arc<Memory>,
    ) -> Arc<Self> {
        let partitions = std::thread::available_parallelism().map_or(1, usize::from);
        let mut config =
            session_config(partitions).with_default_catalog_and_schema(CATALOG, SHARED);
        config = config.with_information_schema(true);
        let marks = marks::functions();
        let mut builder =
            state_builder(config, &limits).with_query_planner(Arc::new(FederatedPlanner));
        if let Some(scalar) = builder.scalar_functions() {
            scalar.retain(|function| marks.iter().all(|mark| mark.name() != function.name()));
            scalar.extend(marks);
        }
        let state = builder.build();
        let catalog = Arc::new(FederationCatalog::new(&federation, &views, &own));
        state.catalog_list().register_catalog(CATALOG.to_owned(), catalog);
        let one = state.config().clone().with_target_partitions(1);
        let merging = SessionStateBuilder::new_from_existing(state.clone())
            .with_config(one)
            .with_scalar_functions(vec![])
            .with_aggregate_functions(vec![])
            .with_window_functions(vec![])
            .build();
        Arc::new(Self {
            federation,
            views,
            own,
            state,
            merging,
            plans: PlanCache::new(limits.plans_cached_max, limits.plans_cached_bytes_max),
            limits,
            memory,
            started: random_start(),
            statements: AtomicU64::new(0),
        })
    }

    /// Plans a statement. With `companions`, uncertain columns bring their status and bounds.
    ///
    /// # Errors
    /// Syntax, unknown names, refusals, and what is not split; see [`EngineError`].
    pub async fn prepare(
        self: &Arc<Self>,
        statement: &str,
        companions: bool,
    ) -> Result<Prepared, EngineError> {
        let since = Instant::now();
        self.federation.refresh().await;
        // Before planning: a plan that is made while nodes change is taken for an old one.
        let nodes = self.federation.changes();
        let (coordinator, statement) = (Arc::clone(self), statement.to_owned());
        if let Some(query) = self.plans.find(&statement, companions, nodes) {
            let kind = Kind::Query(query);
            return Ok(Prepared { statement, statement_id: self.next_id(), kind });
        }
        planning::plan(self.limits.planning_timeout_ms, async move {
            let asked = Asked { statement: &statement, companions, nodes, since };
            let kind = coordinator.kind(&asked).await?;
            Ok(Prepared { statement, statement_id: coordinator.next_id(), kind })
        })
        .await
    }

    async fn kind(&self, asked: &Asked<'_>) -> Result<Kind, EngineError> {
        match parse_statement(asked.statement, TextLimits::of_statements(&self.limits))? {
            Statement::Statement(inner) => match *inner {
                SqlStatement::Set(set) => set_option(&set),
                other => self.plan(Statement::Statement(Box::new(other)), asked).await,
            },
            explain @ Statement::Explain(_) => self.plan(explain, asked).await,
            other => Err(EngineError::ReadOnly { what: statement_kind(&other) }),
        }
    }

    fn next_id(&self) -> String {
        let number = self.statements.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}-{number}", self.started)
    }

    async fn plan(&self, statement: Statement, asked: &Asked<'_>) -> Result<Kind, EngineError> {
        read_only(&statement)?;
        let plan = resolve_within(&self.state, statement, &self.limits)
            .await
            .map_err(|error| self.with_nearest_table(error))?;
        check_names(&plan)?;
        match plan {
            LogicalPlan::Explain(explained) => {
                let query =
                    self.federated(explained.plan.as_ref().clone(), asked.companions).await?;
                let PlannedQuery { plan, fragments, parameters, .. } = &query;
                Ok(Kind::Ready(explain(&self.federation, fragments, parameters, plan)?))
            }
            LogicalPlan::Analyze(analysed) => {
                let input = analysed.input.as_ref().clone();
                let query = self.federated(input, asked.companions).await?;
                Ok(Kind::Analyze(Arc::new(query), asked.since.elapsed()))
            }
            plan => Ok(Kind::Query(self.query(plan, asked).await?)),
        }
    }

    /// Plans a query, and keeps the plan where it would be the same again.
    async fn query(
        &self,
        plan: LogicalPlan,
        asked: &Asked<'_>,
    ) -> Result<Arc<PlannedQuery>, EngineError> {
        let repeatable = is_repeatable(&plan);
        // What nodes are asked is about as large as the plan it is made from.
        let resolved_bytes = plan_bytes(std::iter::once(&plan));
        let query = Arc::new(self.federated(plan, asked.companions).await?);
        self.plans.note_made();
        if repeatable {
            let made = query.parameters.values().chain(std::iter::once(&query.plan));
            let bytes = resolved_bytes + plan_bytes(made);
            let key = (asked.statement.to_owned(), asked.companions);
            self.plans.keep(key, asked.nodes, &query, bytes);
        }
        Ok(query)
    }

    async fn federated(
        &self,
        plan: LogicalPlan,
        companions: bool,
    ) -> Result<PlannedQuery, EngineError> {
        let plan = self.rewritten(plan).await?;
        let federated = federate(&self.federation, &self.state, plan)?;
        let optimized = |plan: &LogicalPlan| self.state.optimize(plan).map_err(resolution_error);
        let plan = optimized(&federated.plan)?;
        let parameters = federated
            .parameters
            .iter()
            .map(|(number, plan)| Ok((*number, optimized(plan)?)))
            .collect::<Result<BTreeMap<_, _>, EngineError>>()?;
        let fragments = federated.fragments;
        let rounds = rounds(std::slice::from_ref(&plan), &fragments, &parameters)?;
        let edge = Edge::new(plan.schema(), &federated.cells, companions);
        Ok(PlannedQuery { plan, fragments, parameters, rounds, edge })
    }

    /// A resolved plan in the form in which it is federated.
    pub(super) async fn rewritten(&self, plan: LogicalPlan) -> Result<LogicalPlan, EngineError> {
        let folded = fold_constants(plan, &self.state).map_err(resolution_error)?;
        let joined = decorrelated(folded, &self.state);
        let joined = shipped(joined, &self.state, &self.memory.statement(), &self.limits).await?;
        let exact = exact_sums(joined).map_err(resolution_error)?;
        with_total_order(exact).map_err(EngineError::from_execution)
    }

    fn with_nearest_table(&self, error: EngineError) -> EngineError {
        match error {
            EngineError::UnknownTable { name, nearest: None } => {
                if let Some(fault) = self.views.fault(&name) {
                    return fault;
                }
                let shared = self.federation.contracts.iter().map(|c| c.name.clone());
                let views = self.views.resolved().map(|(name, ..)| name.to_owned());
                let system = system::TABLES.iter().map(|name| format!("{SYSTEM}.{name}"));
                let known: Vec<String> = shared.chain(views).chain(system).collect();
                let bare = name.rsplit('.').next().unwrap_or(&name);
                let nearest = nearest(bare, known.iter().map(String::as_str))
                    .or_else(|| nearest(&name, known.iter().map(String::as_str)));
                EngineError::UnknownTable { name, nearest }
            }
            other => other,
        }
    }

    /// Runs a planned statement. Aggregates are gathered from the nodes before this returns.
    ///
    /// # Errors
    /// A node's refusal or failure, naming the node; see [`EngineError`].
    pub async fn run(&self, session: &Session, prepared: Prepared) -> Result<Answer, EngineError> {
        let schema = prepared.schema();
        let statement_id = prepared.statement_id.clone();
        let coverage = Arc::new(self.coverage_log(&statement_id));
        let session_behalf = || Behalf {
            statement_id: statement_id.clone(),
            statement: prepared.statement.clone(),
            user: session.user().to_owned(),
            purpose: session.purpose(),
            on_unavailable: session.on_unavailable(),
            withheld_groups: session.withheld_groups(),
        };
        let stream = match prepared.kind {
            Kind::Ready(batch) => memory(vec![batch], &schema)?,
            Kind::Set { option, value } => {
                session.set(&option, &value)?;
                memory(vec![], &schema)?
            }
            Kind::Query(query) => {
                let running = self.running(session_behalf(), &coverage);
                self.run_query(&query, Arc::new(running)).await?
            }
            Kind::Analyze(query, planning) => {
                let running = self.running(session_behalf(), &coverage);
                let batch = self.analyze(&query, planning, running.analysed()).await?;
                memory(vec![batch], &schema)?
            }
        };
        Ok(Answer { schema, stream, coverage, statement_id })
    }

    pub(super) fn coverage_log(&self, statement_id: &str) -> CoverageLog {
        let order = self.federation.nodes.iter().map(|n| n.organisation().to_owned()).collect();
        CoverageLog::new(statement_id, order)
    }

    pub(super) fn running(&self, behalf: Behalf, coverage: &Arc<CoverageLog>) -> Running {
        let memory = self.memory.statement();
        Running::new(behalf, &self.federation, coverage, memory)
    }

    /// Runs a query to its end, and tells where the time went. The answer itself is not kept.
    async fn analyze(
        &self,
        query: &Arc<PlannedQuery>,
        planning: Duration,
        running: Running,
    ) -> Result<RecordBatch, EngineError> {
        let running = Arc::new(running);
        let Some(analysis) = running.analysis().map(Arc::clone) else {
            return Err(EngineError::Internal { what: "a run that is not watched", source: None });
        };
        let started = Instant::now();
        self.run_rounds(query, &running).await?;
        let gathered = started.elapsed();
        let mut rows = self.merged(query, &running).await?;
        let mut answer = Volume::default();
        while let Some(batch) = rows.next().await {
            answer.add(&batch.map_err(EngineError::from_execution)?);
        }
        let run = started.elapsed();
        let times = Times { planning, run, merge: run - gathered };
        analysis.report(times, answer, &running.coverage.snapshot())
    }

    async fn run_query(
        &self,
        query: &Arc<PlannedQuery>,
        running: Arc<Running>,
    ) -> Result<SendableRecordBatchStream, EngineError> {
        self.run_rounds(query, &running).await?;
        self.merged(query, &running).await
    }

    async fn run_rounds(
        &self,
        query: &PlannedQuery,
        running: &Arc<Running>,
    ) -> Result<(), EngineError> {
        for round in &query.rounds {
            if let Some(analysis) = running.analysis() {
                analysis.begin_round(&round.fragments);
            }
            self.run_round(&query.fragments, &query.parameters, round, running).await?;
            if let Some(analysis) = running.analysis() {
                analysis.end_round();
            }
        }
        Ok(())
    }

    /// The answer, merged from what was gathered.
    async fn merged(
        &self,
        query: &Arc<PlannedQuery>,
        running: &Arc<Running>,
    ) -> Result<SendableRecordBatchStream, EngineError> {
        let rows = self.run_plan(&query.plan, running).await?;
        let schema = query.edge.schema();
        let query = Arc::clone(query);
        let mut count = AnswerCount::new(&self.limits);
        let rows = rows.map(move |batch| {
            let batch = query.edge.apply(&batch.map_err(EngineError::from_execution)?)?;
            count.add(&batch)?;
            Ok(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    /// Asks the nodes what a round asks, and computes the subqueries that wait for it.
    pub(super) async fn run_round(
        &self,
        fragments: &[FragmentAsk],
        parameters: &BTreeMap<usize, LogicalPlan>,
        round: &Round,
        running: &Arc<Running>,
    ) -> Result<(), EngineError> {
        let mut asks = vec![];
        for number in &round.fragments {
            if let Some(ask) = fragments.get(*number) {
                let ask = FragmentAsk { block: running.bound(&ask.block), ..ask.clone() };
                self.federation.prove(&ask.block).map_err(unusual_value)?;
                asks.push((*number, ask));
            }
        }
        let gathered = gather(running, &asks).await?;
        for ((number, _), batches) in asks.iter().zip(gathered) {
            running.keep(*number, batches);
        }
        for number in &round.parameters {
            let Some(plan) = parameters.get(number) else { continue };
            let rows = self.run_plan(plan, running).await?;
            let value = scalar(rows).await?;
            running.know(*number, literal(&value).map_err(unusual_value)?);
        }
        Ok(())
    }

    pub(super) async fn run_plan(
        &self,
        plan: &LogicalPlan,
        running: &Arc<Running>,
    ) -> Result<SendableRecordBatchStream, EngineError> {
        let mut state = if reads_rows(plan) { &self.state } else { &self.merging }.clone();
        state.config_mut().set_extension(Arc::clone(running));
        let context = task_context(&state, &running.memory).map_err(EngineError::from_execution)?;
        let timeout_ms = self.limits.planning_timeout_ms;
        let physical = physical(plan.clone(), Arc::new(state), timeout_ms).await?;
        run(physical, context, Size::Large)
    }

    /// Whether the node of each organisation answered when it was last asked.
    pub async fn nodes_up(&self) -> Vec<(String, bool)> {
        self.federation.refresh().await;
        let nodes = self.federation.nodes.iter();
        nodes.map(|n| (n.organisation().to_owned(), n.description().is_some())).collect()
    }

    /// How many plans were reused and how many were made.
    pub fn plan_counts(&self) -> PlanCounts {
        self.plans.counts()
    }

    /// Lists every table, for metadata calls. Nodes that are down break nothing here.
    pub async fn table_entries(&self) -> Vec<TableEntry> {
        self.federation.refresh().await;
        let catalog = FederationCatalog::new(&self.federation, &self.views, &self.own);
        let views: BTreeMap<&str, &SchemaRef> =
            self.views.resolved().map(|(name, _, columns)| (name, columns)).collect();
        let mut entries = vec![];
        for schema_name in catalog.schema_names() {
            let Some(schema) = catalog.schema(&schema_name) else { continue };
            for table_name in schema.table_names() {
                let view = views.get(table_name.as_str()).filter(|_| schema_name == SHARED);
                let columns = match (self.federation.contracts.get(&table_name), view) {
                    (_, Some(columns)) => Arc::clone(columns),
                    (Some(contract), None)
                        if schema_name == SHARED && self.own.get(&table_name).is_some() =>
                    {
                        visible_schema(contract)
                    }
                    (Some(contract), None) if schema_name != SYSTEM => shared_schema(contract),
                    _ => match system::table(&self.federation, &self.views, &self.own, &table_name)
                    {
                        Ok(Some(table)) => table.schema(),
                        _ => continue,
                    },
                };
                entries.push(TableEntry {
                    schema_name: schema_name.clone(),
                    table_name,
                    table_type: if view.is_some() { "VIEW" } else { "TABLE" },
                    schema: columns,
                });
            }
        }
        entries
    }
}

fn memory(
    batches: Vec<RecordBatch>,
    schema: &SchemaRef,
) -> Result<SendableRecordBatchStream, EngineError> {
    MemoryStream::try_new(batches, Arc::clone(schema), None)
        .map(|stream| Box::pin(stream) as SendableRecordBatchStream)
        .map_err(|e| EngineError::internal("a ready answer", e))
}

/// The value of a scalar subquery: NULL where it has no row.
async fn scalar(rows: SendableRecordBatchStream) -> Result<ScalarValue, EngineError> {
    let schema = rows.schema();
    let batches: Vec<RecordBatch> =
        rows.try_collect().await.map_err(EngineError::from_execution)?;
    let all = concat_batches(&schema, &batches)
        .map_err(|error| EngineError::internal("a subquery's value", error))?;
    match (all.num_rows(), all.columns()) {
        (0, [column]) => ScalarValue::try_new_null(column.data_type()),
        (1, [column]) => ScalarValue::try_from_array(column, 0),
        _ => return Err(EngineError::Data { what: "a scalar subquery has more than one row" }),
    }
    .map_err(|error| EngineError::internal("a subquery's value", error))
}

fn unusual_value(not: NotABlock) -> EngineError {
    EngineError::NotSplit {
        what: format!("a subquery's value is not asked with: {}", not.what),
        hint: "ask the subquery on its own, and write its value as a constant".to_owned(),
    }
}

/// Tells whether a plan streams rows from nodes.
fn reads_rows(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let visited = plan.apply_with_subqueries(|node| {
        found |= matches!(node, LogicalPlan::TableScan(_));
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found || visited.is_err()
}

/// Breaks ties of every ORDER BY on the remaining columns, so that the same data gives the same
/// answer, LIMIT included.
fn with_total_order(plan: LogicalPlan) -> datafusion::error::Result<LogicalPlan> {
    let sorted = plan.transform_up(|node| {
        let LogicalPlan::Sort(sort) = node else { return Ok(Transformed::no(node)) };
        let mut expr = sort.expr;
        for (qualifier, field) in sort.input.schema().iter() {
            let column = DfExpr::Column(Column::new(qualifier.cloned(), field.name()));
            let orderable = !field.data_type().is_nested() && !is_companion(field.name());
            if orderable && !expr.iter().any(|known| known.expr == column) {
                expr.push(SortExpr::new(column, true, false));
            }
        }
        Ok(Transformed::yes(LogicalPlan::Sort(Sort { expr, ..sort })))
    })?;
    Ok(sorted.data)
}

/// Only questions: SELECT, VALUES, EXPLAIN, SHOW and DESCRIBE.
fn read_only(statement: &Statement) -> Result<(), EngineError> {
    let allowed = match statement {
        Statement::Statement(inner) => matches!(
            inner.as_ref(),
            SqlStatement::Query(_)
                | SqlStatement::Explain { .. }
                | SqlStatement::ExplainTable { .. }
                | SqlStatement::ShowTables { .. }
                | SqlStatement::ShowColumns { .. }
        ),
        Statement::Explain(explained) => match explained.statement.as_ref() {
            Statement::Explain(_) => {
                let message = "one EXPLAIN at a time, please".to_owned();
                return Err(EngineError::Invalid { message });
            }
            statement => return read_only(statement),
        },
        _ => false,
    };
    if allowed { Ok(()) } else { Err(EngineError::ReadOnly { what: statement_kind(statement) }) }
}

fn set_option(set: &Set) -> Result<Kind, EngineError> {
    let unknown = || EngineError::Invalid {
        message: "write SET hedgerow.on_unavailable = 'exclude' (or 'fail'), SET \
                  hedgerow.withheld_groups = 'show' (or 'omit'), or SET hedgerow.purpose = '…'; no \
                  other settings can be changed"
            .to_owned(),
    };
    let Set::SingleAssignment { variable, values, .. } = set else { return Err(unknown()) };
    let name = variable.to_string().to_lowercase();
    let option = name.strip_prefix("hedgerow.").ok_or_else(unknown)?;
    let value = match values.as_slice() {
        [SqlExpr::Value(value)] => match &value.value {
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => text.clone(),
            other => other.to_string(),
        },
        [SqlExpr::Identifier(name)] => name.value.clone(),
        _ => return Err(unknown()),
    };
    Ok(Kind::Set { option: option.to_owned(), value })
}
