//! [`Middle`]: a coordinator that answers a wider federation as one node of it.
//!
//! ```text
//! nation ──► bundle ──► Middle: each fragment is a statement over the federation's shared tables
//!                         resolve, lower ─► federate all of them together ─► one bundle per node
//!                         merge ─► pass: cells as the nodes released them, added
//! ```
//! It adds and passes cells and never gates: every value it has was released by a node. Organisations
//! below it are named by their whole path, `midshire/northmoor`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Column;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{LogicalPlan, TableScan};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt};
use hedgerow_catalog::{Limits, Member, NodeDescription, TableDescription};
use hedgerow_policies::{Block, K_FLOOR, Output, Passed, ReleasedFragment, pass, released_schema};

use super::carry::{Cells, check_names, is_companion};
use super::dispatch::FragmentAsk;
use super::federate::{federate_all, plain_schema, target};
use super::federation::{KnownNode, coerced};
use super::rounds::{Round, fragments_of, rounds};
use super::running::{Behalf, CoverageLog, Hidden, Running};
use super::service::Coordinator;
use super::session::WithheldGroups;
use super::split::contracts_of;
use crate::block::Lowering;
use crate::channel::{BundleRequest, FragmentHeader, ReplyHeader, below, random_start};
use crate::coverage::NodeOutcome;
use crate::error::{EngineError, WireError, sqlstate};
use crate::limits::answer::{AnswerCount, counted};
use crate::limits::memory::Memory;
use crate::limits::text::TextLimits;
use crate::node::{Node, ReleasedBundle};
use crate::parse::{parse_query, resolution_error, resolve_within};
use crate::work::planning;

/// Most federations above one another.
pub const LEVELS_MAX: usize = 6;
/// Most paths by which a federation is known at the same time.
const PATHS_MAX: usize = 16;
/// Most organisations below that a federation tells of.
const MEMBERS_MAX: usize = 4_096;

/// What answers the bundles that a server is asked.
#[derive(Debug, Clone)]
pub enum Answering {
    /// One organisation, over its own tables.
    Node(Arc<Node>),
    /// A whole federation.
    Federation(Arc<Middle>),
}

impl Answering {
    /// Id of the organisation, or of the federation.
    pub fn organisation(&self) -> &str {
        match self {
            Self::Node(node) => node.organisation(),
            Self::Federation(middle) => &middle.organisation,
        }
    }

    /// What it says of itself. Must be called within a Tokio runtime.
    pub fn describe(&self) -> NodeDescription {
        match self {
            Self::Node(node) => node.describe(),
            Self::Federation(middle) => middle.describe(),
        }
    }

    /// Answers one bundle. Dropping the future or a released stream stops the work.
    ///
    /// # Errors
    /// As [`Node::answer`] and [`Middle::answer`].
    pub async fn answer(
        &self,
        client: &str,
        request: BundleRequest,
    ) -> Result<ReleasedBundle, EngineError> {
        match self {
            Self::Node(node) => node.answer(client, request).await,
            Self::Federation(middle) => middle.answer(client, request).await,
        }
    }
}

/// A coordinator that answers a wider federation as one node of it.
#[derive(Debug)]
pub struct Middle {
    organisation: String,
    name: Option<String>,
    /// Users that round what they combine, so that it is not rounded here.
    coordinators: Vec<String>,
    coordinator: Arc<Coordinator>,
    /// The same coordinator with its nodes named below each path it was asked by.
    paths: Mutex<HashMap<String, Arc<Coordinator>>>,
    /// Apart from that of the coordinator's own statements, which so leave room for bundles.
    memory: Arc<Memory>,
    started: u64,
    releases: AtomicU64,
}

/// A planned bundle.
struct Plans {
    outputs: Vec<Planned>,
    fragments: Vec<FragmentAsk>,
    rounds: Vec<Round>,
}

/// One fragment of a bundle as it is answered.
struct Planned {
    plan: LogicalPlan,
    shape: Shape,
    /// Columns of the plan, in the order in which they are sent.
    places: Vec<usize>,
}

/// What a fragment's answer has to look like.
struct Shape {
    /// As it is sent.
    schema: SchemaRef,
    /// Number of group keys, where the fragment reads a protected table.
    keys: Option<usize>,
}

impl Middle {
    /// Makes the answering side of a coordinator whose federation has the id `organisation`.
    pub fn new(
        organisation: &str,
        name: Option<String>,
        coordinators: &[String],
        coordinator: &Arc<Coordinator>,
        limits: &Limits,
    ) -> Arc<Self> {
        Arc::new(Self {
            organisation: organisation.to_owned(),
            name,
            coordinators: coordinators.to_vec(),
            coordinator: Arc::clone(coordinator),
            paths: Mutex::default(),
            memory: Arc::new(Memory::new(limits)),
            started: random_start(),
            releases: AtomicU64::new(0),
        })
    }

    /// What the federation says of itself: the tables that its nodes list, and its organisations.
    fn describe(&self) -> NodeDescription {
        let federation = &self.coordinator.federation;
        federation.refresh_apart();
        let tables = federation.contracts.iter().filter_map(|contract| self.table(&contract.name));
        let members = federation.nodes.iter().flat_map(|node| self.members(node));
        NodeDescription {
            organisation: self.organisation.clone(),
            name: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            tables: tables.collect(),
            federation: Some(members.take(MEMBERS_MAX).collect()),
        }
    }

    /// A table is there as long as no node is known to lack it: what drifted or cannot be reached
    /// is said when it is asked for.
    fn table(&self, name: &str) -> Option<TableDescription> {
        let federation = &self.coordinator.federation;
        if federation.nodes.iter().all(|node| node.lacks(name)) {
            return None;
        }
        let known = federation.nodes.iter().filter_map(|node| node.description());
        let presets: BTreeSet<String> = known
            .flat_map(|known| known.tables.clone())
            .filter(|table| table.name == name)
            .map(|table| table.preset)
            .collect();
        Some(TableDescription {
            name: name.to_owned(),
            contract_version: federation.contracts.get(name)?.version,
            contract_fingerprint: federation.contracts.fingerprint(name)?.to_owned(),
            conforming: true,
            differences: vec![],
            preset: presets.into_iter().collect::<Vec<_>>().join(" and "),
            k: None,
            rules: None,
            epoch: String::new(),
        })
    }

    /// A node of the federation and, where it is a federation itself, those below it.
    fn members(&self, node: &KnownNode) -> Vec<Member> {
        let id = node.channel.organisation();
        let known = node.description();
        let own = Member {
            organisation: id.to_owned(),
            up: known.is_some(),
            name: known.as_ref().and_then(|known| known.name.clone()),
            version: known.as_ref().map(|known| known.version.clone()).unwrap_or_default(),
            tables: known.map(|known| known.tables.clone()).unwrap_or_default(),
        };
        // In a circle of federations the list would grow with each turn.
        let turns = |path: &str| {
            path.split('/').count() >= LEVELS_MAX
                || path.split('/').any(|one| one == id || one == self.organisation)
        };
        let members = node.members().into_iter();
        let below = members
            .filter(|member| !turns(&member.organisation))
            .map(|member| Member { organisation: below(Some(id), &member.organisation), ..member });
        std::iter::once(own).chain(below).collect()
    }

    /// Answers one bundle for all organisations of the federation.
    ///
    /// # Errors
    /// What a node refuses or fails with, under its whole name; [`EngineError::NotSplit`] for what
    /// is no fragment.
    pub async fn answer(
        self: &Arc<Self>,
        client: &str,
        request: BundleRequest,
    ) -> Result<ReleasedBundle, EngineError> {
        request.check_version()?;
        let coordinator = self.named_below(self.path(&request)?);
        coordinator.federation.refresh().await;
        let plans = planned(&coordinator, &request).await?;
        let coverage = Arc::new(coordinator.coverage_log(&request.statement_id));
        let bundle_hash = request.hash();
        let behalf = Behalf {
            statement_id: request.statement_id,
            statement: request.statement,
            user: request.user,
            purpose: request.purpose,
            on_unavailable: request.on_unavailable,
            withheld_groups: WithheldGroups::Omit,
        };
        let running = coordinator.running(behalf, &coverage);
        let rounds_itself = self.coordinators.iter().any(|user| user == client);
        let running = Arc::new(if rounds_itself { running.passed_on() } else { running });
        for round in &plans.rounds {
            let none = BTreeMap::new();
            coordinator.run_round(&plans.fragments, &none, round, &running).await?;
        }
        let mut passed = Vec::with_capacity(plans.outputs.len());
        let mut headers = Vec::with_capacity(plans.outputs.len());
        for output in plans.outputs {
            headers.push(header_of(&output, &running));
            passed.push(answered(&coordinator, output, &running).await?);
        }
        let fragments = pass(passed)?;
        check_size(fragments.get(), &coordinator.limits)?;
        let header = self.header(bundle_hash, headers, &coverage);
        Ok(ReleasedBundle { header, fragments, below: Some(coverage) })
    }

    /// The federation's path in whatever asks it.
    fn path(&self, request: &BundleRequest) -> Result<String, EngineError> {
        let above: Vec<&str> = request.under.iter().flat_map(|path| path.split('/')).collect();
        if above.len() < LEVELS_MAX && !above.contains(&self.organisation.as_str()) {
            return Ok(request.full_name(&self.organisation));
        }
        Err(EngineError::Node(WireError {
            sqlstate: sqlstate::LIMIT.to_owned(),
            rule: None,
            message: format!(
                "`{}` is asked by way of itself, or by more than levels_max = {LEVELS_MAX} \
                 federations above one another",
                self.organisation
            ),
            hint: Some("take the circle out of `[[federation.nodes]]`".to_owned()),
            organisation: None,
        }))
    }

    fn named_below(&self, path: String) -> Arc<Coordinator> {
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        if paths.len() >= PATHS_MAX && !paths.contains_key(&path) {
            paths.clear();
        }
        let made = paths.entry(path);
        let path = made.key().clone();
        Arc::clone(made.or_insert_with(|| self.coordinator.below(&path, &self.memory)))
    }

    fn header(
        &self,
        bundle_hash: String,
        fragments: Vec<FragmentHeader>,
        coverage: &CoverageLog,
    ) -> ReplyHeader {
        let coverage = coverage.snapshot();
        let answered = coverage.organisations().into_iter();
        let answered = answered.filter(|node| node.outcome == NodeOutcome::Answered);
        let presets: BTreeSet<String> = answered.filter_map(|node| node.preset.clone()).collect();
        let release = self.releases.fetch_add(1, Ordering::Relaxed);
        ReplyHeader {
            organisation: self.organisation.clone(),
            release_id: format!("{:016x}-{release}", self.started),
            bundle_hash,
            preset: presets.into_iter().collect::<Vec<_>>().join(" and "),
            // It has no rules of its own.
            policy_hash: String::new(),
            snapshot: "none".to_owned(),
            fragments,
            signature: None,
        }
    }
}

/// Plans the fragments of a bundle together.
async fn planned(
    coordinator: &Arc<Coordinator>,
    request: &BundleRequest,
) -> Result<Plans, EngineError> {
    let (coordinator, texts) = (Arc::clone(coordinator), request.fragments.clone());
    planning::plan(coordinator.limits.planning_timeout_ms, async move {
        let (mut shapes, mut plans) = (vec![], vec![]);
        for text in &texts {
            let statement = parse_query(text, TextLimits::of_fragments(&coordinator.limits))?;
            let plan = resolve_within(&coordinator.state, statement, &coordinator.limits).await?;
            check_names(&plan)?;
            shapes.push(shape(&coordinator, &plan)?);
            plans.push(coordinator.rewritten(plan).await?);
        }
        let together = federate_all(&coordinator.federation, &coordinator.state, plans)?;
        let mut outputs = vec![];
        for ((plan, cells), shape) in together.plans.into_iter().zip(shapes) {
            let plan = coordinator.state.optimize(&plan).map_err(resolution_error)?;
            let places = places(&plan, &cells, shape.keys);
            let places = places.filter(|places| places.len() == shape.schema.fields().len());
            let lost = || EngineError::Internal { what: "a column of a fragment", source: None };
            outputs.push(Planned { plan, shape, places: places.ok_or_else(lost)? });
        }
        let plans: Vec<LogicalPlan> = outputs.iter().map(|one| one.plan.clone()).collect();
        let rounds = rounds(&plans, &together.fragments, &together.parameters)?;
        Ok(Plans { outputs, fragments: together.fragments, rounds })
    })
    .await
}

/// A fragment is one block, as at a node; what its answer has to look like follows from that.
fn shape(coordinator: &Coordinator, plan: &LogicalPlan) -> Result<Shape, EngineError> {
    let block = lowered(plan)?;
    let tables = contracts_of(&block, &coordinator.federation.contracts);
    let coerced = coerced(&coordinator.state, plan).map_err(resolution_error)?;
    let schema = plain_schema(coerced.schema().as_arrow());
    let keys = match &block.output {
        Output::Groups { keys, .. } if tables.iter().any(|t| t.is_protected()) => Some(keys.len()),
        Output::Groups { .. } | Output::Rows { .. } => None,
    };
    let schema = match keys {
        Some(keys) => released_schema(schema.fields(), keys),
        None => schema,
    };
    Ok(Shape { schema, keys })
}

fn lowered(plan: &LogicalPlan) -> Result<Block, EngineError> {
    let target = |scan: &TableScan| target(scan);
    // Whether `organisation` of an optional table is one of its columns, the text does not say.
    let lowered = Lowering::new(&target)
        .fragment(plan)
        .or_else(|_| Lowering::new(&target).with_optional_organisations().fragment(plan));
    lowered.map_err(|not| EngineError::NotSplit {
        what: format!("a federation does not take {}", not.what),
        hint: "send fragments as a coordinator writes them".to_owned(),
    })
}

/// Columns of a merge plan in the order in which a fragment's answer has them; `None` where a
/// measure of a protected table has no companions.
fn places(plan: &LogicalPlan, cells: &Cells, keys: Option<usize>) -> Option<Vec<usize>> {
    let schema = plan.schema();
    let visible = schema.iter().enumerate().filter(|(_, (_, field))| !is_companion(field.name()));
    let mut places = vec![];
    for (number, (place, (qualifier, field))) in visible.enumerate() {
        places.push(place);
        if keys.is_none_or(|keys| number < keys) {
            continue;
        }
        let cell = cells.of(&Column::new(qualifier.cloned(), field.name()))?;
        for companion in [&cell.lower, &cell.upper, &cell.status] {
            places.push(schema.maybe_index_of_column(companion)?);
        }
    }
    Some(places)
}

fn header_of(output: &Planned, running: &Running) -> FragmentHeader {
    let said = fragments_of(&output.plan).into_iter().map(|number| running.hidden(number));
    let hidden = said.fold(Hidden::default(), |all, one| Hidden {
        k: all.k.max(one.k),
        people: all.people.saturating_add(one.people),
        round_to: all.round_to.max(one.round_to),
        rounded_to: all.rounded_to.max(one.rounded_to),
    });
    let base = running.base_of(&hidden);
    let here = Some(base).filter(|base| *base > 1);
    FragmentHeader {
        k: output.shape.keys.map(|_| hidden.k.unwrap_or(K_FLOOR)),
        hidden: output.shape.keys.map(|_| hidden.people),
        round_to: hidden.round_to.filter(|_| here.is_none()),
        rounded_to: hidden.rounded_to.max(here),
        epochs: vec![],
    }
}

/// Runs the merge plan of one fragment. Cells are gathered, open rows are streamed.
async fn answered(
    coordinator: &Coordinator,
    output: Planned,
    running: &Arc<Running>,
) -> Result<Passed<SendableRecordBatchStream>, EngineError> {
    let Planned { plan, shape: Shape { schema, keys }, places } = output;
    let gathered = fragments_of(&plan).into_iter().filter_map(|number| running.gathered(number));
    let none = gathered.flatten().all(|batch| batch.num_rows() == 0);
    if let Some(keys) = keys.filter(|_| none) {
        // A node has no row of the one group without keys, either, where it released none.
        return Ok(Passed::Cells { schema, batches: vec![], keys });
    }
    let rows = coordinator.run_plan(&plan, running).await?;
    let sent = Arc::clone(&schema);
    let rows = rows.map(move |batch| arranged(&batch?, &places, &sent));
    let rows = Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&schema), rows));
    let Some(keys) = keys else {
        return Ok(Passed::Open(counted(rows, AnswerCount::new(&coordinator.limits))));
    };
    let held = rows.map(|batch| {
        let batch = batch?;
        running.held.try_grow(batch.get_array_memory_size())?;
        Ok::<_, DataFusionError>(batch)
    });
    let batches = held.try_collect().await.map_err(EngineError::from_execution)?;
    Ok(Passed::Cells { schema, batches, keys })
}

/// The columns of a merge plan as they are sent.
fn arranged(batch: &RecordBatch, places: &[usize], schema: &SchemaRef) -> DfResult<RecordBatch> {
    let columns = places.iter().zip(schema.fields()).map(|(place, field)| {
        let column = batch.columns().get(*place).ok_or_else(|| {
            DataFusionError::from(EngineError::Internal { what: "a column", source: None })
        })?;
        Ok(cast(column, field.data_type())?)
    });
    let columns = columns.collect::<DfResult<Vec<ArrayRef>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// Checks cells against the limits of an answer; rows are counted as they stream.
fn check_size(
    fragments: &[ReleasedFragment<SendableRecordBatchStream>],
    limits: &Limits,
) -> Result<(), EngineError> {
    let mut count = AnswerCount::new(limits);
    fragments.iter().try_for_each(|fragment| match fragment {
        ReleasedFragment::Cells(table) => count.add(&table.batch),
        ReleasedFragment::Open(_) => Ok(()),
    })
}
