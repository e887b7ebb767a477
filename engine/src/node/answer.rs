//! [`Node`]: one organisation's tables behind its own policy.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider,
};
use datafusion::execution::memory_pool::{MemoryPool, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, SessionState, SessionStateBuilder};
use datafusion::logical_expr::{LogicalPlan, TableScan};
use futures::{StreamExt, TryStreamExt};
use hedgerow_catalog::{Contracts, Limits, NodeDescription, NodeTables, ServerConfig, TableState};
use hedgerow_policies::{
    Admission, Block, Executed, LedgerContext, LedgerRecord, Policy, Released, ReleasedFragment,
    Rounds, TableContract, admit, admit_bundle, gate, ledger_records,
};

use super::executor::{EmbeddedExecutor, FragmentExecutor};
use super::ledger::Ledger;
use super::totality::total;
use super::wire_types::in_wire_types;
use crate::block::{Lowering, ScanTarget, emit};
use crate::channel::{BundleRequest, FragmentHeader, ReplyHeader, random_start};
use crate::coordinator::CoverageLog;
use crate::dialect::{session_config, state_builder};
use crate::error::EngineError;
use crate::limits::answer::{AnswerCount, counted};
use crate::limits::memory::{Memory, account};
use crate::limits::text::TextLimits;
use crate::parse::{parse_query, resolve, resolve_within};
use crate::work::planning::plan;

const CATALOG: &str = "node";
const SCHEMA: &str = "tables";
/// Fewest bytes of data files that a fragment is run in several partitions for.
const DIVIDED_BYTES_MIN: u64 = 1 << 20;
/// How many judged fragments are remembered.
const JUDGED_MAX: usize = 128;

/// A gated answer with what the node says of it: the only thing a node service can send.
pub struct ReleasedBundle {
    /// What the node says of its answer.
    pub header: ReplyHeader,
    /// What the gate let through, one per fragment.
    pub fragments: Released<Vec<ReleasedFragment<SendableRecordBatchStream>>>,
    /// Who answered below, where a federation answers; complete once all rows have been read.
    pub(crate) below: Option<Arc<CoverageLog>>,
}

/// One organisation's tables behind its own policy.
#[derive(Debug)]
pub struct Node {
    organisation: String,
    description: NodeDescription,
    tables: BTreeMap<String, Served>,
    policy: Policy,
    state: Arc<SessionState>,
    /// The same with one partition, for fragments over little data.
    small_state: Arc<SessionState>,
    executor: Arc<dyn FragmentExecutor>,
    /// Fragments judged before, by their text. Tables and policy are those the node started with, so
    /// a judgement holds as long as it runs.
    judged: Mutex<HashMap<String, Arc<Judged>>>,
    ledger: Ledger,
    limits: Limits,
    memory: Memory,
    started: String,
    releases: AtomicU64,
}

/// A table as the node serves it.
#[derive(Debug)]
struct Served {
    contract: Arc<TableContract>,
    epoch: String,
    bytes: u64,
}

/// A fragment that may be run, and how.
#[derive(Debug)]
pub(super) struct Judged {
    block: Block,
    pub(super) admission: Admission,
    /// Optimised.
    plan: LogicalPlan,
}

impl Node {
    /// Opens a node's tables and policy.
    ///
    /// # Errors
    /// When the configuration names no organisation or the policy is not valid. Tables that depart
    /// from their contract do not stop the node: it says so in its description.
    pub async fn open(
        config: &ServerConfig,
        contracts: Contracts,
    ) -> Result<Arc<Self>, EngineError> {
        let organisation = config.organisation.clone().ok_or_else(|| EngineError::Invalid {
            message: "a node needs `organisation = \"…\"` in its configuration".to_owned(),
        })?;
        let policy = Policy::new(&config.policy)
            .map_err(|error| EngineError::Invalid { message: error.to_string() })?;
        let partitions = std::thread::available_parallelism().map_or(1, usize::from);
        let state = state_builder(
            session_config(partitions).with_default_catalog_and_schema(CATALOG, SCHEMA),
            &config.limits,
        )
        .build();
        let opened = NodeTables::open(config, &contracts, &state)
            .await
            .map_err(|error| EngineError::Invalid { message: error.to_string() })?;
        let schema = MemorySchemaProvider::new();
        let mut tables = BTreeMap::new();
        for (_, state) in opened.iter() {
            let TableState::Conforming(table) = state else { continue };
            let name = table.contract.name.clone();
            schema
                .register_table(name.clone(), Arc::clone(&table.provider))
                .map_err(|e| EngineError::internal("registering a table", e))?;
            let contract = Arc::clone(&table.contract);
            let served = Served { contract, epoch: table.epoch.clone(), bytes: table.bytes };
            tables.insert(name, served);
        }
        let catalog = MemoryCatalogProvider::new();
        catalog
            .register_schema(SCHEMA, Arc::new(schema))
            .map_err(|e| EngineError::internal("registering the tables", e))?;
        state.catalog_list().register_catalog(CATALOG.to_owned(), Arc::new(catalog));
        let small_state = SessionStateBuilder::new_from_existing(state.clone())
            .with_config(state.config().clone().with_target_partitions(1))
            .build();
        Ok(Arc::new(Self {
            description: opened.describe(config),
            organisation,
            tables,
            policy,
            state: Arc::new(state),
            small_state: Arc::new(small_state),
            executor: Arc::new(EmbeddedExecutor {
                planning_timeout_ms: config.limits.planning_timeout_ms,
            }),
            judged: Mutex::default(),
            ledger: Ledger::new(config.ledger.as_ref().map(|l| l.file.as_path())),
            limits: config.limits,
            memory: Memory::new(&config.limits),
            started: format!("{:016x}", random_start()),
            releases: AtomicU64::new(0),
        }))
    }

    /// Id of the organisation.
    pub fn organisation(&self) -> &str {
        &self.organisation
    }

    /// What the node says of itself.
    pub fn describe(&self) -> NodeDescription {
        self.description.clone()
    }

    /// Answers one bundle: reads every fragment, judges them together, executes, gates once.
    ///
    /// `client` is the authenticated asker. Dropping the future or a released stream stops the work.
    ///
    /// # Errors
    /// [`EngineError::Refused`] with the rule; or what failed, without data values.
    pub async fn answer(
        self: &Arc<Self>,
        client: &str,
        request: BundleRequest,
    ) -> Result<ReleasedBundle, EngineError> {
        let judged = self.judge(&request).await?;
        let release = self.releases.fetch_add(1, Ordering::Relaxed);
        let rounds = match self.policy.rounds_itself(client) {
            true => Rounds::Asker,
            false => Rounds::Here,
        };
        let header = self.header(&request, &judged, format!("{}-{release}", self.started), rounds);
        let memory = self.memory.statement();
        let held = account(&memory);
        let mut executed = Vec::with_capacity(judged.len());
        for one in &judged {
            let answer = self.execute(one, &memory, &held).await?;
            executed.push((one.admission.clone(), answer));
        }
        let fragments = gate(executed, rounds)?;
        self.check_released(fragments.get())?;
        let records = self.records(&header, client, &request, &judged, fragments.get());
        self.ledger.append(&records).await?;
        Ok(ReleasedBundle { header, fragments, below: None })
    }

    async fn judge(
        self: &Arc<Self>,
        request: &BundleRequest,
    ) -> Result<Vec<Arc<Judged>>, EngineError> {
        request.check_version()?;
        self.judge_texts(&request.fragments).await
    }

    /// Judges fragments one by one, and then together.
    pub(super) async fn judge_texts(
        self: &Arc<Self>,
        texts: &[String],
    ) -> Result<Vec<Arc<Judged>>, EngineError> {
        let mut judged = Vec::with_capacity(texts.len());
        for text in texts {
            judged.push(match self.judged_before(text) {
                Some(known) => known,
                None => self.judge_anew(text).await?,
            });
        }
        let both: Vec<_> = judged.iter().map(|j| (&j.block, &j.admission)).collect();
        admit_bundle(&both, &|name| self.contract(name))?;
        Ok(judged)
    }

    fn judged_before(&self, text: &str) -> Option<Arc<Judged>> {
        let judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        judged.get(text).map(Arc::clone)
    }

    pub(super) async fn judge_anew(
        self: &Arc<Self>,
        text: &str,
    ) -> Result<Arc<Judged>, EngineError> {
        let (node, own) = (Arc::clone(self), text.to_owned());
        let fragment = plan(self.limits.planning_timeout_ms, async move {
            node.judge_fragment(&own).await.map(Arc::new)
        })
        .await?;
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        if judged.len() >= JUDGED_MAX {
            judged.clear();
        }
        judged.insert(text.to_owned(), Arc::clone(&fragment));
        Ok(fragment)
    }

    async fn judge_fragment(&self, text: &str) -> Result<Judged, EngineError> {
        let limits = TextLimits::of_fragments(&self.limits);
        let plan = resolve_within(&self.state, parse_query(text, limits)?, &self.limits).await?;
        let target = |scan: &TableScan| self.target(scan);
        let block =
            Lowering::new(&target).fragment(&plan).map_err(|not| EngineError::NotSplit {
                what: format!("a node does not take {}", not.what),
                hint:
                    "a fragment is `SELECT keys, aggregates FROM table r0 JOIN … WHERE … GROUP BY \
                       keys`, or rows of open tables; send any other statement to a coordinator"
                        .to_owned(),
            })?;
        let admission = admit(&block, &|name| self.contract(name), &self.policy)?;
        // What runs is what was judged: the node writes the text anew and reads it back.
        let judged = match &admission {
            Admission::Open => &block,
            Admission::Protected { gated, .. } => gated,
        };
        let own = emit(judged);
        let plan = resolve(&self.state, parse_query(&own, TextLimits::OWN)?).await?;
        let again = Lowering::own(&target).fragment(&plan);
        if again.as_ref() != Ok(judged) {
            return Err(EngineError::NotSplit {
                what: "the fragment does not read back as it was judged".to_owned(),
                hint:
                    "use fewer brackets in one expression: ask for its parts as columns of their \
                       own, and combine them in a query over the answer"
                        .to_owned(),
            });
        }
        let plan = match admission {
            Admission::Open => plan,
            Admission::Protected { .. } => total(&plan, &self.state)?,
        };
        let plan = self.state.optimize(&plan).map_err(EngineError::from_execution)?;
        Ok(Judged { block, admission, plan })
    }

    fn target(&self, scan: &TableScan) -> Option<ScanTarget> {
        let table = scan.table_name.table();
        self.tables.contains_key(table).then(|| ScanTarget { table: table.to_owned(), only: None })
    }

    fn contract(&self, name: &str) -> Option<Arc<TableContract>> {
        self.tables.get(name).map(|table| Arc::clone(&table.contract))
    }

    /// Over little data, dividing the work costs more than it saves.
    fn state_for(&self, block: &Block) -> Arc<SessionState> {
        let tables = block.tables().filter_map(|name| self.tables.get(name));
        let small = tables.map(|table| table.bytes).sum::<u64>() < DIVIDED_BYTES_MIN;
        Arc::clone(if small { &self.small_state } else { &self.state })
    }

    async fn execute(
        &self,
        judged: &Judged,
        memory: &Arc<dyn MemoryPool>,
        held: &MemoryReservation,
    ) -> Result<Executed<SendableRecordBatchStream>, EngineError> {
        let (plan, state) = (judged.plan.clone(), self.state_for(&judged.block));
        let stream = self.executor.execute(plan, state, Arc::clone(memory)).await?;
        let stream = in_wire_types(stream);
        match &judged.admission {
            Admission::Open => {
                Ok(Executed::Stream(counted(stream, AnswerCount::new(&self.limits))))
            }
            Admission::Protected { .. } => {
                let schema = stream.schema();
                let groups = stream.map(|batch| {
                    let batch = batch?;
                    held.try_grow(batch.get_array_memory_size())?;
                    Ok(batch)
                });
                let groups = groups.try_collect::<Vec<_>>().await;
                let groups = groups.map_err(EngineError::from_execution)?;
                Ok(Executed::Groups(schema, groups))
            }
        }
    }

    /// Checks cells against the limits of an answer. What the gate dropped does not count: it would
    /// be told by the error.
    fn check_released(
        &self,
        fragments: &[ReleasedFragment<SendableRecordBatchStream>],
    ) -> Result<(), EngineError> {
        let mut count = AnswerCount::new(&self.limits);
        fragments.iter().try_for_each(|fragment| match fragment {
            ReleasedFragment::Cells(table) => count.add(&table.batch),
            ReleasedFragment::Open(_) => Ok(()),
        })
    }

    fn header(
        &self,
        request: &BundleRequest,
        judged: &[Arc<Judged>],
        release_id: String,
        rounds: Rounds,
    ) -> ReplyHeader {
        let fragments = judged
            .iter()
            .map(|j| {
                let columns = match &j.admission {
                    Admission::Open => None,
                    Admission::Protected { columns, .. } => Some(columns),
                };
                let k = columns.map(|columns| columns.k);
                let base = columns.and_then(|columns| columns.round_to);
                FragmentHeader {
                    k,
                    hidden: k.map(|k| k.saturating_sub(1)),
                    round_to: base.filter(|_| rounds == Rounds::Asker),
                    rounded_to: base.filter(|_| rounds == Rounds::Here),
                    epochs: self.epochs(&j.block),
                }
            })
            .collect();
        ReplyHeader {
            organisation: self.organisation.clone(),
            release_id,
            bundle_hash: request.hash(),
            preset: self.policy.label(),
            policy_hash: self.policy.hash(),
            snapshot: "none".to_owned(),
            fragments,
            signature: None,
        }
    }

    fn epochs(&self, block: &Block) -> Vec<(String, String)> {
        let epoch = |name: &str| Some((name.to_owned(), self.tables.get(name)?.epoch.clone()));
        block.tables().filter_map(epoch).collect()
    }

    fn records(
        &self,
        header: &ReplyHeader,
        client: &str,
        request: &BundleRequest,
        judged: &[Arc<Judged>],
        fragments: &[ReleasedFragment<SendableRecordBatchStream>],
    ) -> Vec<LedgerRecord> {
        let at = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        let mut records = vec![];
        for (Judged { block, .. }, fragment) in judged.iter().map(AsRef::as_ref).zip(fragments) {
            let ReleasedFragment::Cells(table) = fragment else { continue };
            let versions: Vec<u32> = block
                .tables()
                .map(|name| self.tables.get(name).map_or(0, |table| table.contract.version))
                .collect();
            let epochs: Vec<String> =
                self.epochs(block).into_iter().map(|(_, epoch)| epoch).collect();
            records.extend(ledger_records(
                block,
                table,
                &LedgerContext {
                    at: &at,
                    release_id: &header.release_id,
                    statement_id: &request.statement_id,
                    versions: &versions,
                    epochs: &epochs,
                    policy_hash: &header.policy_hash,
                    client,
                    user: &request.user,
                    purpose: request.purpose.as_deref(),
                },
            ));
        }
        records
    }
}
