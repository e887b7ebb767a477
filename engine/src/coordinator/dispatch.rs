//! Asks every node its bundle, all at once, and gathers what they release in node order.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::row::{RowConverter, SortField};
use futures::FutureExt;
use futures::stream::{self, StreamExt, TryStreamExt};
use hedgerow_policies::{Block, Join, Relation, released_schema};
use tokio::sync::Semaphore;

use super::analyze::Watch;
use super::federation::{FAN_OUT_MAX, Federation, KnownNode, Standing, for_organisation};
use super::place::Placement;
use super::running::{Running, reason};
use crate::block::emit;
use crate::channel::{BUNDLE_VERSION, BundleReply, BundleRequest, FragmentHeader};
use crate::coverage::{NodeCoverage, NodeOutcome};
use crate::error::EngineError;

/// One fragment of a statement, as the coordinator wants it asked.
#[derive(Debug, Clone)]
pub(crate) struct FragmentAsk {
    /// `organisation` not yet substituted.
    pub(crate) block: Block,
    pub(crate) placement: Placement,
    pub(crate) protected: bool,
    /// Number of key columns.
    pub(crate) keys: usize,
    /// Keys and measures as a node's plan yields them.
    pub(crate) schema: SchemaRef,
}

/// Columns the coordinator adds to protected fragments: nodes asked and answered, the largest
/// number of people this node may hide in a group, and the sum of that over all nodes.
pub(crate) const NODES: &str = "nodes";
pub(crate) const HIDDEN: &str = "hidden";
pub(crate) const HIDDEN_ALL: &str = "hidden_all";

impl FragmentAsk {
    /// What a node sends.
    pub(crate) fn wire_schema(&self) -> SchemaRef {
        if self.protected {
            released_schema(self.schema.fields(), self.keys)
        } else {
            Arc::clone(&self.schema)
        }
    }

    /// What the merge plan reads.
    pub(crate) fn gathered_schema(&self) -> SchemaRef {
        let wire = self.wire_schema();
        if !self.protected {
            return wire;
        }
        let added = [NODES, HIDDEN, HIDDEN_ALL]
            .into_iter()
            .map(|name| Arc::new(Field::new(name, DataType::Int64, true)));
        Arc::new(Schema::new(wire.fields().iter().cloned().chain(added).collect::<Vec<_>>()))
    }
}

/// A fragment as one node is asked it; `None` where the node need not be asked.
pub(crate) fn block_for(
    federation: &Federation,
    ask: &FragmentAsk,
    node: &KnownNode,
) -> Option<Block> {
    let organisation = node.organisation();
    if ask.block.table_relations().filter_map(Relation::only).any(|only| only != organisation) {
        return None;
    }
    // What is judged by a policy is asked as it was written.
    let block = match ask.protected {
        true => ask.block.clone(),
        false => federation.over_served(&ask.block, node)?,
    };
    // An inline table alone says nothing of what other nodes serve.
    block.tables().next()?;
    let mut block = for_organisation(&block, organisation);
    let mut possible = true;
    block.filter.retain(|conjunct| match federation.constant_truth(conjunct) {
        Some(true) => false,
        Some(false) => {
            possible = false;
            true
        }
        None => true,
    });
    possible.then_some(block)
}

/// What one node is asked: fragment numbers of the statement, and their texts.
struct NodeBundle<'a> {
    node: &'a KnownNode,
    fragments: Vec<(usize, String)>,
}

/// What one node released for one fragment: its number, threshold, batches.
type Part = (usize, Option<u32>, Vec<RecordBatch>);

/// What came of asking one node.
#[derive(Default)]
struct NodeAnswer {
    parts: Vec<Part>,
    /// Fragments that another node can answer.
    elsewhere: Vec<usize>,
}

/// Gathers fragments of a running statement, given with their numbers: one call per node. A fragment
/// that any node can answer is asked of another where the one it was asked of is not there.
pub(crate) async fn gather(
    running: &Running,
    asks: &[(usize, FragmentAsk)],
) -> Result<Vec<Vec<RecordBatch>>, EngineError> {
    let asks: Vec<&FragmentAsk> = asks.iter().map(|(_, ask)| ask).collect();
    let mut gathered: Vec<Vec<(Option<u32>, Vec<RecordBatch>)>> = vec![vec![]; asks.len()];
    let mut open: BTreeSet<usize> = (0..asks.len()).collect();
    while !open.is_empty() {
        let bundles = bundles(running, &asks, &open)?;
        open.clear();
        // Places, and not a bounded buffer: answers are taken in the order of the nodes, and a slow
        // one must not keep those behind it from being asked.
        let places = Semaphore::new(FAN_OUT_MAX);
        // Boxed: the compiler cannot prove the unboxed future Send for every lifetime.
        let asked: Vec<_> = bundles
            .into_iter()
            .map(|bundle| ask_in_turn(&places, running, &asks, bundle).boxed())
            .collect();
        let answers: Vec<NodeAnswer> =
            stream::iter(asked).buffered(usize::MAX).try_collect().await?;
        for answer in answers {
            open.extend(answer.elsewhere);
            for (fragment, k, batches) in answer.parts {
                if let Some(parts) = gathered.get_mut(fragment) {
                    parts.push((k, batches));
                }
            }
        }
    }
    for (ask, parts) in asks.iter().zip(&gathered) {
        let k = parts.iter().filter_map(|(k, _)| *k).max();
        if let Some(k) = k.filter(|_| ask.keys > 0) {
            running.coverage.notice(format!(
                "groups of fewer than {k} people at an organisation are left out, there and in \
                 everything computed over the groups"
            ));
        }
    }
    asks.iter().zip(gathered).map(|(ask, parts)| with_node_columns(ask, parts)).collect()
}

/// Decides which node is asked which of the `open` fragments, and notes those that are left out.
fn bundles<'a>(
    running: &'a Running,
    asks: &[&FragmentAsk],
    open: &BTreeSet<usize>,
) -> Result<Vec<NodeBundle<'a>>, EngineError> {
    let federation = &running.federation;
    let mut settled: BTreeSet<usize> = BTreeSet::new();
    let mut bundles = vec![];
    for node in &federation.nodes {
        let mut fragments = vec![];
        for index in open {
            let Some(ask) = asks.get(*index).filter(|_| !settled.contains(index)) else { continue };
            let Some(block) = block_for(federation, ask, node) else {
                running
                    .coverage
                    .note(NodeCoverage::new(node.organisation(), NodeOutcome::NotNeeded));
                continue;
            };
            if stands(running, node, ask, &block)? {
                fragments.push((*index, emit(&block)));
                if ask.placement == Placement::AnyNode {
                    settled.insert(*index);
                }
            }
        }
        if !fragments.is_empty() {
            bundles.push(NodeBundle { node, fragments });
        }
    }
    for index in open.difference(&settled) {
        if let Some(ask) = asks.get(*index).filter(|ask| ask.placement == Placement::AnyNode) {
            check_reachable(running, ask)?;
        }
    }
    if bundles.is_empty() {
        running.coverage.notice("no organisation was asked: none meets the conditions");
    }
    Ok(bundles)
}

/// Fails where a fragment that any node could answer has none because one cannot be reached.
pub(crate) fn check_reachable(running: &Running, ask: &FragmentAsk) -> Result<(), EngineError> {
    let federation = &running.federation;
    for node in &federation.nodes {
        if block_for(federation, ask, node).is_some()
            && let Standing::Unknown(error) =
                node.standing(&ask.block.tables().collect(), &federation.contracts)
        {
            return Err(EngineError::Node(error));
        }
    }
    Ok(())
}

/// Tells whether a node can be asked a fragment; notes it where not.
pub(crate) fn stands(
    running: &Running,
    node: &KnownNode,
    ask: &FragmentAsk,
    block: &Block,
) -> Result<bool, EngineError> {
    if ask.placement == Placement::EachNode && running.is_left_out(node.organisation()) {
        return Ok(false);
    }
    match node.standing(&block.tables().collect(), &running.federation.contracts) {
        Standing::Serves => Ok(true),
        Standing::Absent => {
            let keeps = |join: &Join| matches!(join, Join::Left(_) | Join::Anti(_));
            if block.from.iter().any(|relation| keeps(&relation.join)) {
                running.coverage.notice(format!(
                    "{} is left out: it does not serve every table of the question",
                    node.organisation()
                ));
            }
            Ok(false)
        }
        Standing::Drifted(difference) => {
            let mut coverage = NodeCoverage::new(node.organisation(), NodeOutcome::NotConforming);
            running.coverage.notice(format!(
                "{} is left out: its table departs from the contract ({difference})",
                node.organisation()
            ));
            coverage.detail = Some(difference);
            running.coverage.note(coverage);
            Ok(false)
        }
        Standing::Unknown(_) if ask.placement == Placement::AnyNode => Ok(false),
        Standing::Unknown(error) => {
            running.left_out(node.organisation(), NodeOutcome::Unavailable, &error)?;
            Ok(false)
        }
    }
}

/// Asks a node once there is a place for one more call.
async fn ask_in_turn(
    places: &Semaphore,
    running: &Running,
    asks: &[&FragmentAsk],
    bundle: NodeBundle<'_>,
) -> Result<NodeAnswer, EngineError> {
    let closed = |error| EngineError::internal("waiting to ask a node", error);
    let _place = places.acquire().await.map_err(closed)?;
    ask_node(running, asks, bundle).await
}

async fn ask_node(
    running: &Running,
    asks: &[&FragmentAsk],
    bundle: NodeBundle<'_>,
) -> Result<NodeAnswer, EngineError> {
    let organisation = bundle.node.organisation();
    let (numbers, texts): (Vec<usize>, Vec<String>) = bundle.fragments.into_iter().unzip();
    let request = request(running, texts);
    let hash = request.hash();
    let watch = running.watch_bundle(organisation, &numbers);
    let gathered = match bundle.node.channel.ask(request).await {
        Ok(reply) => collect((organisation, &hash), asks, &numbers, running, reply, &watch).await,
        Err(error) => Err(EngineError::Node(error)),
    };
    match gathered {
        Ok(parts) => {
            watch.ended(NodeOutcome::Answered, "");
            Ok(NodeAnswer { parts, elsewhere: vec![] })
        }
        Err(error) => {
            let wire = error.external();
            let outcome = running.outcome_of(organisation, &wire)?;
            watch.ended(outcome, reason(&wire));
            let anywhere = |number: &usize| {
                asks.get(*number).is_some_and(|ask| ask.placement == Placement::AnyNode)
            };
            let mut elsewhere = vec![];
            if outcome == NodeOutcome::Unavailable {
                bundle.node.note_failure(&wire);
                elsewhere.extend(numbers.iter().copied().filter(anywhere));
            }
            if elsewhere.len() < numbers.len() {
                running.left_out(organisation, outcome, &wire)?;
            }
            Ok(NodeAnswer { parts: vec![], elsewhere })
        }
    }
}

/// One bundle of a running statement.
pub(crate) fn request(running: &Running, fragments: Vec<String>) -> BundleRequest {
    BundleRequest {
        version: BUNDLE_VERSION,
        statement_id: running.statement_id.clone(),
        fragments,
        statement: running.statement.clone(),
        user: running.user.clone(),
        purpose: running.purpose.clone(),
        user_token: None,
        client_signature: None,
    }
}

async fn collect(
    (organisation, hash): (&str, &str),
    asks: &[&FragmentAsk],
    numbers: &[usize],
    running: &Running,
    reply: BundleReply,
    watch: &Watch,
) -> Result<Vec<Part>, EngineError> {
    let bad = |what: &str| EngineError::bad_answer(organisation, what);
    let asked: Vec<&FragmentAsk> = numbers.iter().filter_map(|n| asks.get(*n).copied()).collect();
    check_reply(organisation, hash, &asked, &reply)?;
    let BundleReply { header, mut batches, .. } = reply;
    let answered = numbers.iter().zip(&header.fragments);
    let mut answer: Vec<Part> = answered.map(|(number, said)| (*number, said.k, vec![])).collect();
    while let Some((index, batch)) = batches.try_next().await? {
        let (number, _, parts) =
            answer.get_mut(index).ok_or_else(|| bad("it answers an unknown fragment"))?;
        let expected = asks.get(*number).map(|ask| ask.wire_schema());
        let columns = batch.columns().to_vec();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let named = expected
            .and_then(|schema| RecordBatch::try_new_with_options(schema, columns, &options).ok())
            .ok_or_else(|| bad("its batches do not fit their schema"))?;
        let size = named.get_array_memory_size();
        running.held.try_grow(size).map_err(EngineError::from_execution)?;
        watch.received(index, &named);
        parts.push(named);
    }
    for (number, _, parts) in &answer {
        let Some(ask) = asks.get(*number) else { continue };
        check_groups(ask, parts).map_err(bad)?;
    }
    let own = asked.iter().any(|ask| ask.placement == Placement::EachNode);
    running.take(&header, own)?;
    Ok(answer)
}

/// Checks that a reply is one to the bundle that was sent, by the node that was asked, before any
/// row of it is read.
pub(crate) fn check_reply(
    organisation: &str,
    hash: &str,
    asked: &[&FragmentAsk],
    reply: &BundleReply,
) -> Result<(), EngineError> {
    let header = &reply.header;
    let fits = |((ask, schema), said): ((&&FragmentAsk, &SchemaRef), &FragmentHeader)| {
        same_types(&ask.wire_schema(), schema) && said.k.is_some() == ask.protected
    };
    let wrong = if header.organisation != organisation {
        "it signs as another organisation"
    } else if header.bundle_hash != hash
        || header.fragments.len() != asked.len()
        || reply.schemas.len() != asked.len()
    {
        "it answers another bundle"
    } else if !asked.iter().zip(&reply.schemas).zip(&header.fragments).all(fits) {
        "its columns have other types"
    } else {
        return Ok(());
    };
    Err(EngineError::bad_answer(organisation, wrong))
}

/// A group comes once, and without keys there is one group. A second one could stand for the part of
/// another node and hide that this is missing.
fn check_groups(ask: &FragmentAsk, parts: &[RecordBatch]) -> Result<(), &'static str> {
    let rows: usize = parts.iter().map(RecordBatch::num_rows).sum();
    if ask.keys == 0 {
        return if rows > 1 { Err("it sends more than one group") } else { Ok(()) };
    }
    if !ask.protected || rows < 2 {
        return Ok(());
    }
    let unreadable = |_| "its keys cannot be compared";
    let fields = ask.schema.fields().iter().take(ask.keys);
    let fields = fields.map(|field| SortField::new(field.data_type().clone())).collect();
    let converter = RowConverter::new(fields).map_err(unreadable)?;
    let mut seen = HashSet::with_capacity(rows);
    for part in parts {
        let keys: Vec<ArrayRef> = part.columns().iter().take(ask.keys).cloned().collect();
        for key in &converter.convert_columns(&keys).map_err(unreadable)? {
            if !seen.insert(key.owned()) {
                return Err("it sends one group twice");
            }
        }
    }
    Ok(())
}

fn same_types(expected: &Schema, given: &Schema) -> bool {
    expected.fields().len() == given.fields().len()
        && expected.fields().iter().zip(given.fields()).all(|(a, b)| a.data_type() == b.data_type())
}

/// Adds [`NODES`], [`HIDDEN`] and [`HIDDEN_ALL`] to the batches of a protected fragment.
fn with_node_columns(
    ask: &FragmentAsk,
    parts: Vec<(Option<u32>, Vec<RecordBatch>)>,
) -> Result<Vec<RecordBatch>, EngineError> {
    if !ask.protected {
        return Ok(parts.into_iter().flat_map(|(_, batches)| batches).collect());
    }
    let hidden = |k: Option<u32>| i64::from(k.unwrap_or(1)) - 1;
    let nodes = i64::try_from(parts.len()).unwrap_or(i64::MAX);
    let hidden_all: i64 = parts.iter().map(|(k, _)| hidden(*k)).sum();
    let schema = ask.gathered_schema();
    let mut all = vec![];
    for (k, batches) in parts {
        for batch in batches {
            let constant = |value: i64| -> ArrayRef {
                Arc::new(Int64Array::from_value(value, batch.num_rows()))
            };
            let mut columns = batch.columns().to_vec();
            columns.extend([constant(nodes), constant(hidden(k)), constant(hidden_all)]);
            let batch = RecordBatch::try_new(Arc::clone(&schema), columns)
                .map_err(|e| EngineError::internal("adding node columns", e))?;
            all.push(batch);
        }
    }
    Ok(all)
}
