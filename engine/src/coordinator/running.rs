//! One run of one statement: its options, what nodes released for it, and its coverage.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::RecordBatch;
use datafusion::execution::memory_pool::{MemoryPool, MemoryReservation};
use hedgerow_policies::{Block, Expr, Literal};

use super::analyze::{Analysis, Watch};
use super::federation::{Federation, KnownNode};
use super::session::WithheldGroups;
use crate::channel::{OnUnavailable, ReplyHeader, is_below};
use crate::coverage::{Coverage, NodeCoverage, NodeOutcome};
use crate::error::{EngineError, WireError, sqlstate};
use crate::limits::memory::account;

/// One run of one statement, shared by the plan nodes that take part in it.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) statement_id: String,
    pub(crate) statement: String,
    pub(crate) user: String,
    pub(crate) purpose: Option<String>,
    pub(crate) on_unavailable: OnUnavailable,
    pub(crate) withheld_groups: WithheldGroups,
    pub(crate) federation: Arc<Federation>,
    pub(crate) coverage: Arc<CoverageLog>,
    /// The statement's working memory.
    pub(crate) memory: Arc<dyn MemoryPool>,
    /// What is held of it for what nodes released.
    pub(crate) held: MemoryReservation,
    /// What nodes released, per fragment, in node order.
    gathered: Mutex<BTreeMap<usize, Vec<RecordBatch>>>,
    /// What may be hidden in groups that were not released, per fragment.
    hidden: Mutex<BTreeMap<usize, Hidden>>,
    /// Values of the scalar subqueries that fragments ask with.
    parameters: Mutex<BTreeMap<usize, Literal>>,
    /// Whose part is in the answer, and whose is not: a node is in all of a statement or in none.
    parts: Mutex<BTreeMap<String, Part>>,
    /// What is seen of the run, where that is asked for.
    analysis: Option<Arc<Analysis>>,
    /// Whether the asker rounds what is released, so that it is passed on as it is.
    passed_on: bool,
}

/// What nodes may hide of a fragment in a group that none of them released.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Hidden {
    /// The largest threshold among them; `None` where nobody was asked.
    pub(crate) k: Option<u32>,
    /// Most people, over all of them.
    pub(crate) people: u32,
    /// The largest base that what they released is still to be rounded to.
    pub(crate) round_to: Option<u32>,
    /// The largest base that some of them rounded to.
    pub(crate) rounded_to: Option<u32>,
}

/// On whose behalf, and how, a statement is run.
#[derive(Debug, Clone)]
pub(crate) struct Behalf {
    pub(crate) statement_id: String,
    pub(crate) statement: String,
    pub(crate) user: String,
    pub(crate) purpose: Option<String>,
    pub(crate) on_unavailable: OnUnavailable,
    pub(crate) withheld_groups: WithheldGroups,
}

/// Whether what a node has is part of a statement's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Taken,
    LeftOut,
}

impl Running {
    /// A run of which nothing is known yet.
    pub(crate) fn new(
        behalf: Behalf,
        federation: &Arc<Federation>,
        coverage: &Arc<CoverageLog>,
        memory: Arc<dyn MemoryPool>,
    ) -> Self {
        let Behalf { statement_id, statement, user, purpose, on_unavailable, withheld_groups } =
            behalf;
        Self {
            held: account(&memory),
            memory,
            statement_id,
            statement,
            user,
            purpose,
            on_unavailable,
            withheld_groups,
            federation: Arc::clone(federation),
            coverage: Arc::clone(coverage),
            gathered: Mutex::default(),
            hidden: Mutex::default(),
            parameters: Mutex::default(),
            parts: Mutex::default(),
            analysis: None,
            passed_on: false,
        }
    }

    /// The same for an asker that rounds what it combines.
    pub(crate) fn passed_on(self) -> Self {
        Self { passed_on: true, ..self }
    }

    /// The base that released values are rounded to here.
    pub(crate) fn base_of(&self, hidden: &Hidden) -> u32 {
        hidden.round_to.filter(|_| !self.passed_on).unwrap_or(1)
    }

    /// The same, watched.
    pub(crate) fn analysed(self) -> Self {
        Self { analysis: Some(Arc::default()), ..self }
    }

    /// What is seen of the run, where that is asked for.
    pub(crate) fn analysis(&self) -> Option<&Arc<Analysis>> {
        self.analysis.as_ref()
    }

    /// Watches a bundle that a node is asked, with these fragments of the round.
    pub(crate) fn watch_bundle(&self, organisation: &str, places: &[usize]) -> Watch {
        self.analysis().map_or(Watch::NONE, |analysis| analysis.bundle(organisation, places))
    }

    /// Watches a stream of rows that a node is asked for.
    pub(crate) fn watch_rows(&self, organisation: &str, name: &str) -> Watch {
        self.analysis().map_or(Watch::NONE, |analysis| analysis.rows(organisation, name))
    }

    /// Keeps what nodes released for a fragment.
    pub(crate) fn keep(&self, fragment: usize, batches: Vec<RecordBatch>) {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner).insert(fragment, batches);
    }

    /// What nodes released for a fragment, once it was gathered.
    pub(crate) fn gathered(&self, fragment: usize) -> Option<Vec<RecordBatch>> {
        let gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        gathered.get(&fragment).cloned()
    }

    /// Keeps what may be hidden in groups that were not released for a fragment.
    pub(crate) fn keep_hidden(&self, fragment: usize, hidden: Hidden) {
        self.hidden.lock().unwrap_or_else(PoisonError::into_inner).insert(fragment, hidden);
    }

    /// What may be hidden in groups that were not released for a fragment.
    pub(crate) fn hidden(&self, fragment: usize) -> Hidden {
        let hidden = self.hidden.lock().unwrap_or_else(PoisonError::into_inner);
        hidden.get(&fragment).copied().unwrap_or_default()
    }

    /// Keeps the value of a scalar subquery.
    pub(crate) fn know(&self, parameter: usize, value: Literal) {
        self.parameters.lock().unwrap_or_else(PoisonError::into_inner).insert(parameter, value);
    }

    /// A block with the parameters that are known in their places.
    pub(crate) fn bound(&self, block: &Block) -> Block {
        let known = self.parameters.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_empty() {
            return block.clone();
        }
        block.clone().map(&|expr| match expr {
            Expr::Parameter { index, data_type } => match known.get(&index) {
                Some(value) => Expr::Literal(value.clone()),
                None => Expr::Parameter { index, data_type },
            },
            other => other,
        })
    }

    /// Sorts a node's error: its policy said no, or it is not there. Anything else (a limit, data
    /// that do not fit, a bug) fails the statement whatever the session asks for.
    pub(crate) fn outcome_of(
        &self,
        organisation: &str,
        error: &WireError,
    ) -> Result<NodeOutcome, EngineError> {
        match error.sqlstate.as_str() {
            sqlstate::REFUSED => Ok(NodeOutcome::Refused),
            sqlstate::UNAVAILABLE => Ok(NodeOutcome::Unavailable),
            _ => {
                let mut error = error.clone();
                error.organisation.get_or_insert_with(|| organisation.to_owned());
                Err(EngineError::Node(error))
            }
        }
    }

    /// Tells whether a node is left out of the statement, so that it is not asked again.
    pub(crate) fn is_left_out(&self, organisation: &str) -> bool {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.get(organisation) == Some(&Part::LeftOut)
    }

    /// Takes a node's reply into the answer; `own` says that it holds what only this node has.
    ///
    /// # Errors
    /// Where another part of the statement goes without this node.
    pub(crate) fn take(
        &self,
        node: &KnownNode,
        header: &ReplyHeader,
        own: bool,
    ) -> Result<(), EngineError> {
        if own {
            self.settle(node.organisation(), Part::Taken)?;
        }
        self.coverage.answered(node.organisation(), header);
        Ok(())
    }

    /// Takes what a federation said of the organisations below it: each of them, too, is in all of
    /// a statement or in none.
    ///
    /// # Errors
    /// Where it says nothing, or speaks of others; and as [`Running::take`].
    pub(crate) fn take_below(
        &self,
        node: &KnownNode,
        said: Option<Coverage>,
        own: bool,
    ) -> Result<(), EngineError> {
        let organisation = node.organisation();
        let bad = |what: &str| EngineError::bad_answer(organisation, what);
        let below = match (said, node.is_federation()) {
            (None, false) => return Ok(()),
            (Some(below), true) => below,
            (Some(_), false) => return Err(bad("it speaks for other organisations")),
            (None, true) => return Err(bad("it does not say which of its organisations answered")),
        };
        if !are_below(&below.nodes, organisation) {
            return Err(bad("it speaks for other organisations"));
        }
        for one in below.organisations() {
            match one.outcome {
                NodeOutcome::Answered if own => self.settle(&one.organisation, Part::Taken)?,
                NodeOutcome::Refused | NodeOutcome::Unavailable => {
                    self.settle(&one.organisation, Part::LeftOut)?;
                }
                NodeOutcome::Answered | NodeOutcome::NotNeeded | NodeOutcome::NotConforming => {}
            }
        }
        for notice in below.notices {
            self.coverage.notice(notice);
        }
        let nodes = below.nodes;
        self.coverage
            .note(NodeCoverage { nodes, ..NodeCoverage::new(organisation, NodeOutcome::Answered) });
        Ok(())
    }

    fn settle(&self, organisation: &str, part: Part) -> Result<(), EngineError> {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if *parts.entry(organisation.to_owned()).or_insert(part) == part {
            return Ok(());
        }
        Err(EngineError::Node(WireError {
            sqlstate: sqlstate::UNAVAILABLE.to_owned(),
            rule: None,
            message: format!("`{organisation}` answered one part of the statement and not another"),
            hint: Some("ask again".to_owned()),
            organisation: Some(organisation.to_owned()),
        }))
    }

    /// What a node that cannot take part means: an error, or a line in the coverage.
    pub(crate) fn left_out(
        &self,
        organisation: &str,
        outcome: NodeOutcome,
        error: &WireError,
    ) -> Result<(), EngineError> {
        self.coverage.note(NodeCoverage {
            detail: Some(reason(error).to_owned()),
            ..NodeCoverage::new(organisation, outcome)
        });
        match self.on_unavailable {
            OnUnavailable::Exclude => self.settle(organisation, Part::LeftOut),
            OnUnavailable::Fail => {
                let mut error = error.clone();
                error.organisation.get_or_insert_with(|| organisation.to_owned());
                if outcome == NodeOutcome::Unavailable {
                    error.hint.get_or_insert_with(|| {
                        "try again, or SET hedgerow.on_unavailable = 'exclude' for an answer \
                         without it"
                            .to_owned()
                    });
                }
                Err(EngineError::Node(error))
            }
        }
    }
}

/// Tells whether all these organisations lie below one, and so on.
fn are_below(nodes: &[NodeCoverage], organisation: &str) -> bool {
    nodes.iter().all(|node| {
        is_below(&node.organisation, organisation) && are_below(&node.nodes, &node.organisation)
    })
}

/// Why a node is left out: its rule, or what went wrong.
pub(crate) fn reason(error: &WireError) -> &str {
    error.rule.as_deref().unwrap_or(&error.message)
}

/// The coverage of a running statement, filled in as nodes answer.
#[derive(Debug, Default)]
pub struct CoverageLog {
    inner: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    coverage: Coverage,
    order: Vec<String>,
    /// Row streams that have not ended yet.
    open: usize,
}

impl CoverageLog {
    pub(crate) fn new(statement_id: &str, order: Vec<String>) -> Self {
        let coverage = Coverage { statement_id: statement_id.to_owned(), ..Coverage::default() };
        Self { inner: Mutex::new(Log { coverage, order, open: 0 }) }
    }

    /// The coverage as known now.
    pub fn snapshot(&self) -> Coverage {
        self.with(|log| log.coverage.clone())
    }

    /// Tells whether nothing more will be added: true before the first row for aggregates, and
    /// only at the end for streamed rows.
    pub fn is_complete(&self) -> bool {
        self.with(|log| log.open == 0)
    }

    pub(crate) fn opened(&self, streams: usize) {
        self.with(|log| log.open += streams);
    }

    pub(crate) fn closed(&self) {
        self.with(|log| log.open = log.open.saturating_sub(1));
    }

    pub(crate) fn notice(&self, notice: impl Into<String>) {
        let notice = notice.into();
        self.with(|log| {
            if !log.coverage.notices.contains(&notice) {
                log.coverage.notices.push(notice);
            }
        });
    }

    pub(crate) fn answered(&self, organisation: &str, header: &ReplyHeader) {
        let mut node = NodeCoverage::new(organisation, NodeOutcome::Answered);
        node.preset = Some(header.preset.clone()).filter(|preset| !preset.is_empty());
        node.k = header.fragments.iter().filter_map(|fragment| fragment.k).max();
        node.snapshot = Some(header.snapshot.clone());
        node.epochs = header.fragments.iter().flat_map(|f| f.epochs.clone()).collect();
        node.epochs.sort();
        node.epochs.dedup();
        self.note(node);
    }

    /// Adds a node's part, or merges it with what is known of the node.
    pub(crate) fn note(&self, node: NodeCoverage) {
        self.with(|log| {
            let nodes = &mut log.coverage.nodes;
            match nodes.iter_mut().find(|known| known.organisation == node.organisation) {
                None => nodes.push(node),
                Some(known) => merge(known, node),
            }
            let order = &log.order;
            let place =
                |node: &NodeCoverage| order.iter().position(|known| *known == node.organisation);
            log.coverage.nodes.sort_by_key(place);
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut Log) -> T) -> T {
        match self.inner.lock() {
            Ok(mut log) => act(&mut log),
            Err(poisoned) => act(&mut poisoned.into_inner()),
        }
    }
}

fn merge(known: &mut NodeCoverage, new: NodeCoverage) {
    let worse = |outcome: NodeOutcome| match outcome {
        NodeOutcome::NotNeeded => 0,
        NodeOutcome::Answered => 1,
        NodeOutcome::NotConforming => 2,
        NodeOutcome::Refused => 3,
        NodeOutcome::Unavailable => 4,
    };
    if worse(new.outcome) > worse(known.outcome) {
        known.outcome = new.outcome;
        known.detail = new.detail;
    }
    known.preset = known.preset.take().or(new.preset);
    known.k = known.k.max(new.k);
    known.snapshot = known.snapshot.take().or(new.snapshot);
    known.epochs.extend(new.epochs);
    known.epochs.sort();
    known.epochs.dedup();
    for below in new.nodes {
        match known.nodes.iter_mut().find(|one| one.organisation == below.organisation) {
            None => known.nodes.push(below),
            Some(one) => merge(one, below),
        }
    }
}
