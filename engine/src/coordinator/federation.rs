//! [`Federation`]: the coordinator's view of its nodes and of what each of them serves.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider,
};
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{LogicalPlan, TableScan};
use futures::FutureExt;
use hedgerow_catalog::{Contracts, Limits, Member, NodeDescription, shared_schema, visible_schema};
use hedgerow_policies::{
    BinaryOperator, Block, Expr, Join, Literal, Output, Relation, Source, TableContract, TypeName,
};

use super::place::own_organisations_equated;
use crate::block::{Lowering, NotABlock, ScanTarget, canonical, emit, output_names, wire_type};
use crate::channel::{NodeChannel, below, is_below, is_within};
use crate::dialect::{session_config, state_builder};
use crate::error::{EngineError, WireError};
use crate::limits::text::TextLimits;
use crate::parse::{parse_query, resolve};

/// How long a node that could not be reached is left alone before it is described again.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// How long a description is believed before it is asked for again.
const STALE_AFTER: Duration = Duration::from_secs(30);
/// How long a statement waits for nodes that are described anew.
const PATIENCE: Duration = Duration::from_millis(300);
/// How many nodes are asked at once.
pub(crate) const FAN_OUT_MAX: usize = 64;

const CATALOG: &str = "node";
const SCHEMA: &str = "tables";

/// One node as the coordinator knows it.
#[derive(Debug)]
pub(crate) struct KnownNode {
    pub(crate) channel: Arc<dyn NodeChannel>,
    /// The id of its organisation, below the path that the federation has in a wider one.
    name: String,
    /// What is known of it, however it is named.
    state: Arc<RwLock<NodeState>>,
    /// How often what it says of itself has changed.
    changes: Arc<AtomicU64>,
    /// Whether it is being described in the background.
    asking: Arc<AtomicBool>,
}

#[derive(Debug, Clone)]
struct NodeState {
    description: Option<Arc<NodeDescription>>,
    /// The last failure, kept while the node is well again.
    failure: Option<Failure>,
    asked_at: Option<Instant>,
}

/// How a node failed, and when.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) error: WireError,
    pub(crate) at: DateTime<Utc>,
}

/// How a node stands to the tables of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It serves them all, by our contracts.
    Serves,
    /// It serves one of them, but not by our contract: the difference.
    Drifted(String),
    /// It does not serve them.
    Absent,
    /// It has not been reached, so what it serves is not known.
    Unknown(WireError),
}

/// The coordinator's view of its nodes.
#[derive(Debug)]
pub(crate) struct Federation {
    pub(crate) contracts: Contracts,
    pub(crate) nodes: Vec<Arc<KnownNode>>,
    /// The path of this federation in a wider one, where it is asked by that.
    pub(crate) path: Option<String>,
    /// Reads fragments as a node would: contract tables without `organisation`.
    fragment_state: SessionState,
    /// Reads fragments as a federation would: contract tables with it.
    shared_state: SessionState,
    /// Blocks that were proved, by their text, and what they yield.
    proved: Mutex<HashMap<String, (Block, SchemaRef)>>,
    /// The same, with `organisation` as a column.
    proved_shared: Mutex<HashMap<String, Block>>,
}

impl KnownNode {
    fn new(channel: Arc<dyn NodeChannel>) -> Self {
        let state = NodeState { description: None, failure: None, asked_at: None };
        let name = channel.organisation().to_owned();
        Self {
            channel,
            name,
            state: Arc::new(RwLock::new(state)),
            changes: Arc::default(),
            asking: Arc::default(),
        }
    }

    /// The same node, named below a path.
    fn below(&self, path: &str) -> Self {
        Self {
            channel: Arc::clone(&self.channel),
            name: below(Some(path), self.channel.organisation()),
            state: Arc::clone(&self.state),
            changes: Arc::clone(&self.changes),
            asking: Arc::clone(&self.asking),
        }
    }

    pub(crate) fn organisation(&self) -> &str {
        &self.name
    }

    /// Tells whether a coordinator answers there for a federation of its own, by what is known.
    pub(crate) fn is_federation(&self) -> bool {
        self.description().is_some_and(|known| known.federation.is_some())
    }

    /// The organisations below it, by what is known.
    pub(crate) fn members(&self) -> Vec<Member> {
        let members = self.description().and_then(|known| known.federation.clone());
        members.unwrap_or_default()
    }

    /// Tells whether a name is that of the node's organisation, or of one below it.
    pub(crate) fn answers_for(&self, name: &str) -> bool {
        is_within(name, &self.name)
    }

    fn state(&self) -> NodeState {
        match self.state.read() {
            Ok(state) => state.clone(),
            Err(poisoned) => poisoned.into_inner().clone(),
        }
    }

    pub(crate) fn description(&self) -> Option<Arc<NodeDescription>> {
        self.state().description
    }

    pub(crate) fn last_failure(&self) -> Option<Failure> {
        self.state().failure
    }

    fn set(&self, state: NodeState) {
        let mut known = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let changed = known.description != state.description;
        *known = state;
        // After the change: whoever sees the new number sees the new description.
        if changed {
            self.changes.fetch_add(1, Ordering::Release);
        }
    }

    fn is_new(&self) -> bool {
        let state = self.state();
        state.description.is_none() && state.failure.is_none()
    }

    /// Asks what it serves without waiting, unless that is being asked already: two federations
    /// that name each other would else ask for ever.
    fn refresh_apart(self: &Arc<Self>) {
        if !self.is_due() || self.asking.swap(true, Ordering::Relaxed) {
            return;
        }
        let node = Arc::clone(self);
        tokio::spawn(async move {
            node.refresh().await;
            node.asking.store(false, Ordering::Relaxed);
        });
    }

    fn is_due(&self) -> bool {
        let state = self.state();
        let wait = if state.description.is_some() { STALE_AFTER } else { RETRY_AFTER };
        state.asked_at.is_none_or(|at| at.elapsed() >= wait)
    }

    async fn refresh(&self) {
        let asked_at = Some(Instant::now());
        let described = self.channel.describe().await;
        let mut state = self.state();
        state.asked_at = asked_at;
        state.description = match described {
            Ok(description) => Some(Arc::new(description)),
            Err(error) => {
                state.failure = Some(Failure { error, at: Utc::now() });
                None
            }
        };
        self.set(state);
    }

    /// Notes that the node failed, so that it is described anew before it is believed again. The
    /// failure of an organisation below it is not its own.
    pub(crate) fn note_failure(&self, error: &WireError) {
        if error.organisation.as_ref().is_some_and(|name| is_below(name, &self.name)) {
            return;
        }
        let failure = Some(Failure { error: error.clone(), at: Utc::now() });
        self.set(NodeState { description: None, failure, asked_at: None });
    }

    /// Tells whether the node said what it serves, and this table is not among it.
    pub(crate) fn lacks(&self, table: &str) -> bool {
        let lists = |known: Arc<NodeDescription>| known.tables.iter().any(|t| t.name == table);
        self.description().is_some_and(|known| !lists(known))
    }

    pub(crate) fn standing(&self, tables: &BTreeSet<&str>, contracts: &Contracts) -> Standing {
        let state = self.state();
        let Some(description) = state.description else {
            let error = state.failure.map(|failure| failure.error).unwrap_or_else(|| WireError {
                sqlstate: crate::error::sqlstate::UNAVAILABLE.to_owned(),
                rule: None,
                message: format!("node `{}` has not been reached", self.organisation()),
                hint: None,
                organisation: None,
            });
            let organisation = Some(self.organisation().to_owned());
            return Standing::Unknown(WireError { organisation, ..error });
        };
        for name in tables {
            let Some(table) = description.tables.iter().find(|table| table.name == *name) else {
                return Standing::Absent;
            };
            if !table.conforming {
                return Standing::Drifted(format!("`{name}`: {}", table.differences.join("; ")));
            }
            if contracts.fingerprint(name) != Some(table.contract_fingerprint.as_str()) {
                let ours = contracts.get(name).map_or(0, |contract| contract.version);
                return Standing::Drifted(format!(
                    "`{name}`: the node holds another contract (version {}, ours is {ours})",
                    table.contract_version
                ));
            }
        }
        Standing::Serves
    }
}

impl Federation {
    pub(crate) fn new(
        contracts: Contracts,
        channels: Vec<Arc<dyn NodeChannel>>,
        limits: &Limits,
    ) -> Result<Self, EngineError> {
        let internal = |e: DataFusionError| EngineError::internal("registering contract tables", e);
        let state = |schema_of: fn(&TableContract) -> SchemaRef| {
            let config = session_config(1).with_default_catalog_and_schema(CATALOG, SCHEMA);
            let state = state_builder(config, limits).build();
            let schema = MemorySchemaProvider::new();
            for contract in contracts.iter() {
                let table = Arc::new(EmptyTable::new(schema_of(contract)));
                schema.register_table(contract.name.clone(), table)?;
            }
            let catalog = MemoryCatalogProvider::new();
            catalog.register_schema(SCHEMA, Arc::new(schema))?;
            state.catalog_list().register_catalog(CATALOG.to_owned(), Arc::new(catalog));
            Ok(state)
        };
        let fragment_state = state(visible_schema).map_err(internal)?;
        let shared_state = state(shared_schema).map_err(internal)?;
        let nodes = channels.into_iter().map(|channel| Arc::new(KnownNode::new(channel))).collect();
        Ok(Self {
            contracts,
            nodes,
            path: None,
            fragment_state,
            shared_state,
            proved: Mutex::default(),
            proved_shared: Mutex::default(),
        })
    }

    /// The same federation as a wider one sees it: its nodes are named below `path`.
    pub(crate) fn below(&self, path: &str) -> Self {
        Self {
            contracts: self.contracts.clone(),
            nodes: self.nodes.iter().map(|node| Arc::new(node.below(path))).collect(),
            path: Some(path.to_owned()),
            fragment_state: self.fragment_state.clone(),
            shared_state: self.shared_state.clone(),
            proved: Mutex::default(),
            proved_shared: Mutex::default(),
        }
    }

    /// The organisations that can be asked on their own: the nodes, and those below a node that is
    /// a federation.
    pub(crate) fn organisations(&self) -> Vec<String> {
        let of_node = |node: &Arc<KnownNode>| {
            let name = node.organisation().to_owned();
            let members = node.members().into_iter().map(|member| member.organisation);
            let members: Vec<String> = members.map(|one| below(Some(&name), &one)).collect();
            std::iter::once(name).chain(members)
        };
        self.nodes.iter().flat_map(of_node).collect()
    }

    /// Tells whether an organisation lists a table; one that was never reached lists everything.
    pub(crate) fn lists(&self, organisation: &str, table: &str) -> bool {
        let Some(node) = self.nodes.iter().find(|node| node.answers_for(organisation)) else {
            return true;
        };
        if node.organisation() == organisation {
            return !node.lacks(table);
        }
        let member = node
            .members()
            .into_iter()
            .find(|member| below(Some(node.organisation()), &member.organisation) == organisation);
        member.is_none_or(|member| !member.up || member.tables.iter().any(|t| t.name == table))
    }

    /// Has nodes whose description is missing or stale described anew, without waiting for it.
    pub(crate) fn refresh_apart(&self) {
        self.nodes.iter().for_each(KnownNode::refresh_apart);
    }

    /// Grows with every change of what a node says it serves, and when one is lost or back.
    pub(crate) fn changes(&self) -> u64 {
        self.nodes.iter().map(|node| node.changes.load(Ordering::Acquire)).sum()
    }

    /// Asks nodes whose description is missing or stale what they serve.
    ///
    /// Waits for nodes never asked before; for others only [`PATIENCE`], so that one host that does
    /// not answer delays nobody. What they say later is there for the next statement.
    pub(crate) async fn refresh(&self) {
        let due: Vec<&Arc<KnownNode>> = self.nodes.iter().filter(|node| node.is_due()).collect();
        let new = due.iter().any(|node| node.is_new());
        let asked = due.into_iter().map(|node| {
            let node = Arc::clone(node);
            tokio::spawn(async move { node.refresh().await })
        });
        let all = futures::future::join_all(asked.collect::<Vec<_>>());
        if new {
            all.await;
        } else if tokio::time::timeout(PATIENCE, all).await.is_err() {
            tracing::debug!("a node has not said yet what it serves");
        }
    }

    /// Proves that a block's text reads back as the same block, as a node would read it.
    ///
    /// Returns the schema of the block's output. Each text is proved once.
    pub(crate) fn prove(&self, block: &Block) -> Result<SchemaRef, NotABlock> {
        let sample = for_organisation(block, "organisation");
        let text = emit(&sample);
        if let Ok(proved) = self.proved.lock()
            && let Some((known, schema)) = proved.get(&text)
            && *known == sample
        {
            return Ok(Arc::clone(schema));
        }
        let doubtful = || NotABlock::new("an expression whose text does not read back the same");
        let plan = reread(&text, &self.fragment_state).ok_or_else(doubtful)?;
        let coerced = coerced(&self.fragment_state, &plan).map_err(|_| doubtful())?;
        let schema = Arc::clone(coerced.schema().inner());
        let unnamed = without_organisation(sample.clone());
        if Lowering::new(&plain_target).fragment(&plan).as_ref() != Ok(&unnamed) {
            return Err(doubtful());
        }
        if let Ok(mut proved) = self.proved.lock() {
            if proved.len() >= PROVED_MAX {
                proved.clear();
            }
            proved.insert(text, (sample, Arc::clone(&schema)));
        }
        Ok(schema)
    }

    /// The block as a federation is asked it: `organisation` stays a column, which is proved to read
    /// back as the same block over tables that have it.
    pub(crate) fn for_federation(&self, block: &Block, id: &str) -> Result<Block, NotABlock> {
        let below = |block: Block| canonical_block(only_as_condition(block, id));
        let block = block.clone().map(&known_later).map_blocks(&below);
        let block = without_organisation(block);
        let asked = organisation_as_column(&block);
        let text = emit(&asked);
        if let Ok(proved) = self.proved_shared.lock()
            && proved.get(&text) == Some(&block)
        {
            return Ok(asked);
        }
        let doubtful = || NotABlock::new("an expression whose text does not read back the same");
        let plan = reread(&text, &self.shared_state).ok_or_else(doubtful)?;
        let same = |lowering: Lowering<'_>| lowering.fragment(&plan).as_ref() == Ok(&block);
        // Whether `organisation` of an optional table is one of its columns, the text does not say.
        if !same(Lowering::new(&plain_target))
            && !same(Lowering::new(&plain_target).with_optional_organisations())
        {
            return Err(doubtful());
        }
        if let Ok(mut proved) = self.proved_shared.lock() {
            if proved.len() >= PROVED_MAX {
                proved.clear();
            }
            proved.insert(text, block);
        }
        Ok(asked)
    }

    /// The type of a column of a relation.
    pub(crate) fn type_of(&self, block: &Block, relation: usize, name: &str) -> TypeName {
        let known = block.from.get(relation).and_then(|relation| match &relation.source {
            Source::Table { name: table, .. } => {
                Some(self.contracts.get(table)?.column(name)?.data_type.clone())
            }
            Source::Derived(inner) => {
                let schema = self.prove(inner).or_else(|_| self.prove(&rows_of(inner))).ok()?;
                Some(wire_type(schema.field_with_name(name).ok()?.data_type()))
            }
            Source::Values(inline) => inline.data_type(name).map(|known| known.0.clone()),
        });
        TypeName(known.unwrap_or(DataType::Null))
    }

    /// Evaluates a constant condition; `None` where it is not constant.
    pub(crate) fn constant_truth(&self, condition: &Expr) -> Option<bool> {
        if !condition.relations().is_empty() {
            return None;
        }
        let text = crate::block::emit_expr(condition);
        let expr = self
            .fragment_state
            .create_logical_expr(&text, &datafusion::common::DFSchema::empty())
            .ok()?;
        let folded = crate::block::fold_expr(expr, &self.fragment_state)?;
        match folded {
            datafusion::common::ScalarValue::Boolean(truth) => Some(truth == Some(true)),
            value if value.is_null() => Some(false),
            _ => None,
        }
    }
}

/// A plan with its types as they will be when it runs.
pub(crate) fn coerced(
    state: &SessionState,
    plan: &LogicalPlan,
) -> datafusion::error::Result<LogicalPlan> {
    state.analyzer().execute_and_check(plan.clone(), state.config_options(), |_, _| {})
}

/// The rows of a block, one level up: a block with windows stands below another.
fn rows_of(inner: &Block) -> Block {
    let names = output_names(&inner.output).into_iter();
    let columns = names.map(|name| Expr::Column { relation: 0, name }).collect();
    let output = Output::Rows { columns, order: vec![], limit: None };
    let from = vec![Relation::derived(inner.clone(), Join::First)];
    Block { from, filter: vec![], output }
}

/// How many proved texts are remembered.
const PROVED_MAX: usize = 1_000;

/// Reads a text as the other end would.
fn reread(text: &str, state: &SessionState) -> Option<LogicalPlan> {
    let plan = async {
        let statement = parse_query(text, TextLimits::OWN)?;
        resolve(state, statement).await
    };
    // Every table is at hand, so resolution never waits.
    plan.now_or_never()?.ok()
}

fn plain_target(scan: &TableScan) -> Option<ScanTarget> {
    Some(ScanTarget { table: scan.table_name.table().to_owned(), only: None })
}

/// What is not known yet stands as a NULL of its type.
fn known_later(expr: Expr) -> Expr {
    match expr {
        Expr::Parameter { data_type, .. } => Expr::Literal(Literal { data_type, text: None }),
        other => other,
    }
}

/// The block with the one organisation that a table was named in as a condition on it, where that
/// is one below the federation that is asked.
fn only_as_condition(mut block: Block, id: &str) -> Block {
    for index in 0..block.from.len() {
        let Some(relation) = block.from.get_mut(index) else { continue };
        let Some(only) = relation.only().filter(|only| *only != id) else { continue };
        let condition = Expr::Binary {
            left: Box::new(Expr::Organisation { relation: index }),
            operator: BinaryOperator::Equal,
            right: Box::new(Expr::Literal(Literal::utf8(only))),
        };
        match &mut relation.join {
            Join::Left(on) | Join::Semi(on) | Join::Anti(on) => on.push(condition),
            Join::First | Join::Inner | Join::NotIn(_) => block.filter.push(condition),
        }
    }
    block
}

/// The block with `organisation` of derived relations under the names their columns have.
fn organisation_as_column(block: &Block) -> Block {
    let names: Vec<Option<String>> = block
        .from
        .iter()
        .map(|relation| relation.block().and_then(|inner| organisation_column(&inner.output)))
        .collect();
    let mut named = block.clone().map_own(&|expr| match expr {
        Expr::Organisation { relation } => match names.get(relation).cloned().flatten() {
            Some(name) => Expr::Column { relation, name },
            None => Expr::Organisation { relation },
        },
        other => other,
    });
    for relation in &mut named.from {
        if let Source::Derived(inner) = &mut relation.source {
            **inner = organisation_as_column(inner);
        }
    }
    named
}

/// The first output column that is `organisation`.
fn organisation_column(output: &Output) -> Option<String> {
    let columns = match output {
        Output::Rows { columns, .. } => columns,
        Output::Groups { keys, .. } => keys,
    };
    let place = columns.iter().position(|c| matches!(c, Expr::Organisation { .. }))?;
    output_names(output).into_iter().nth(place)
}

/// The block as one node is asked it: `organisation` is the node's own id, a constant. What is not
/// known yet stands as a NULL of its type.
pub(crate) fn for_organisation(block: &Block, organisation: &str) -> Block {
    let constant = Expr::Literal(Literal::utf8(organisation));
    let block = block.clone().map_blocks(&without_own_organisation).map(&|expr| match expr {
        Expr::Organisation { .. } => constant.clone(),
        other => known_later(other),
    });
    without_organisation(block.map_blocks(&canonical_block))
}

/// The block without what is true of any two rows of one node: that their organisation is the same.
/// (DataFusion 55 loses the rows of an outer join on a constant of its optional side, where a
/// condition on that constant follows.)
fn without_own_organisation(mut block: Block) -> Block {
    let whole = block.clone();
    let optional = |place: usize| {
        whole.from.get(place).is_none_or(|relation| matches!(relation.join, Join::Left(_)))
    };
    for (index, relation) in block.from.iter_mut().enumerate() {
        if let Join::Left(on) | Join::Semi(on) | Join::Anti(on) = &mut relation.join {
            on.retain(|condition| match own_organisations_equated(&whole, condition) {
                Some((a, b)) if a == index => optional(b),
                Some((a, b)) if b == index => optional(a),
                _ => true,
            });
        }
    }
    block
}

/// The block with its conjuncts in canonical order again.
pub(super) fn canonical_block(mut block: Block) -> Block {
    block.filter = canonical(block.filter);
    for relation in &mut block.from {
        if let Join::Left(on) | Join::Semi(on) | Join::Anti(on) = &mut relation.join {
            *on = canonical(std::mem::take(on));
        }
    }
    block
}

/// The block without the organisations its tables were named in: a node has one schema.
fn without_organisation(block: Block) -> Block {
    block.map_blocks(&|mut block| {
        for relation in &mut block.from {
            if let Source::Table { only, .. } = &mut relation.source {
                *only = None;
            }
        }
        block
    })
}
