//! Asks every node its bundle, all at once, and gathers what they release in node order.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt8Type};
use datafusion::arrow::row::{RowConverter, SortField};
use futures::FutureExt;
use futures::stream::{self, StreamExt, TryStreamExt};
use hedgerow_policies::{
    Block, CellStatus, Expr, Join, Output, ROUND_TO_MAX, Relation, released_schema,
};
use tokio::sync::Semaphore;

use super::analyze::Watch;
use super::federation::{FAN_OUT_MAX, Federation, KnownNode, Standing, for_organisation};
use super::place::Placement;
use super::public_groups::PublicGroups;
use super::running::{Hidden, Running, reason};
use super::session::WithheldGroups;
use crate::block::{NotABlock, emit};
use crate::channel::{
    BUNDLE_VERSION, BundleReply, BundleRequest, FragmentHeader, ReplyPart, is_below,
};
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
    /// The groups there may be, where they are the rows of the answer and all keys are public.
    pub(crate) public: Option<PublicGroups>,
}

/// Columns the coordinator adds to protected fragments: nodes asked and answered, the largest
/// number of people this node may hide in a group, the sum of that over all nodes, the base that
/// what they released is rounded to here, and the largest base that it is rounded to anywhere.
pub(crate) const NODES: &str = "nodes";
pub(crate) const HIDDEN: &str = "hidden";
pub(crate) const HIDDEN_ALL: &str = "hidden_all";
pub(crate) const BASE: &str = "base";
pub(crate) const BASE_MOST: &str = "base_most";

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
        let added = [NODES, HIDDEN, HIDDEN_ALL, BASE, BASE_MOST]
            .into_iter()
            .map(|name| Arc::new(Field::new(name, DataType::Int64, true)));
        Arc::new(Schema::new(wire.fields().iter().cloned().chain(added).collect::<Vec<_>>()))
    }
}

/// A fragment as one node is asked it; `None` where the node need not be asked.
///
/// # Errors
/// [`EngineError::NotSplit`] where a federation cannot be asked it.
pub(crate) fn block_for(
    federation: &Federation,
    ask: &FragmentAsk,
    node: &KnownNode,
) -> Result<Option<Block>, EngineError> {
    let organisation = node.organisation();
    if ask.block.table_relations().filter_map(Relation::only).any(|only| !node.answers_for(only)) {
        return Ok(None);
    }
    // What is judged by a policy is asked as it was written.
    let block = match ask.protected {
        true => Some(ask.block.clone()),
        false => federation.over_served(&ask.block, node),
    };
    // An inline table alone says nothing of what other nodes serve.
    let Some(block) = block.filter(|block| block.tables().next().is_some()) else {
        return Ok(None);
    };
    let mut block = match node.is_federation() {
        true => federation.for_federation(&block, organisation).map_err(not_asked)?,
        false => for_organisation(&block, organisation),
    };
    let mut possible = true;
    block.filter.retain(|conjunct| match federation.constant_truth(conjunct) {
        Some(true) => false,
        Some(false) => {
            possible = false;
            true
        }
        None => true,
    });
    Ok(possible.then_some(block))
}

fn not_asked(not: NotABlock) -> EngineError {
    EngineError::NotSplit {
        what: format!("{} is not asked of a federation", not.what),
        hint: "write the statement in a simpler way".to_owned(),
    }
}

/// What one node is asked: fragment numbers of the statement, and their texts.
struct NodeBundle<'a> {
    node: &'a KnownNode,
    fragments: Vec<(usize, String)>,
}

/// What one node released for one fragment.
struct Part {
    /// The fragment's number.
    number: usize,
    /// The threshold it was gated with.
    k: Option<u32>,
    /// Most people that the node may hide in a group it did not send.
    hidden: u32,
    /// Base that it is still to be rounded to.
    round_to: Option<u32>,
    /// Base that the node rounded to.
    rounded_to: Option<u32>,
    batches: Vec<RecordBatch>,
}

impl Part {
    fn new(number: usize, said: &FragmentHeader) -> Self {
        let hidden = said.hidden.or(said.k.map(|k| k.saturating_sub(1)));
        // Not every number is a base: one that is too large would leave nothing of the others.
        let base = |said: Option<u32>| said.filter(|base| (2..=ROUND_TO_MAX).contains(base));
        Self {
            number,
            k: said.k,
            hidden: hidden.unwrap_or(0),
            round_to: base(said.round_to),
            rounded_to: base(said.rounded_to),
            batches: vec![],
        }
    }

    /// Whether anybody was asked there: a federation may have had nobody to ask.
    fn counts(&self) -> bool {
        self.hidden > 0 || self.batches.iter().any(|batch| batch.num_rows() > 0)
    }
}

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
    let numbers: Vec<usize> = asks.iter().map(|(number, _)| *number).collect();
    let asks: Vec<&FragmentAsk> = asks.iter().map(|(_, ask)| ask).collect();
    let mut gathered: Vec<Vec<Part>> = asks.iter().map(|_| vec![]).collect();
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
            for part in answer.parts {
                if let Some(parts) = gathered.get_mut(part.number) {
                    parts.push(part);
                }
            }
        }
    }
    let mut all = vec![];
    for ((number, ask), parts) in numbers.iter().zip(&asks).zip(gathered) {
        let hidden = hidden_of(&parts);
        running.keep_hidden(*number, hidden);
        tell_of_rules(running, ask, &hidden);
        all.push(with_node_columns(ask, parts, running.base_of(&hidden), &hidden)?);
    }
    Ok(all)
}

fn hidden_of(parts: &[Part]) -> Hidden {
    let counted = || parts.iter().filter(|part| part.counts());
    Hidden {
        k: counted().filter_map(|part| part.k).max(),
        people: counted().map(|part| part.hidden).fold(0, u32::saturating_add),
        round_to: counted().filter_map(|part| part.round_to).max(),
        rounded_to: counted().filter_map(|part| part.rounded_to).max(),
    }
}

/// Says in the coverage what the nodes' rules mean for the answer.
fn tell_of_rules(running: &Running, ask: &FragmentAsk, hidden: &Hidden) {
    if let Some(k) = hidden.k.filter(|_| ask.keys > 0) {
        let shown = ask.public.is_some() && running.withheld_groups == WithheldGroups::Show;
        running.coverage.notice(match shown {
            true => format!(
                "groups of fewer than {k} people at an organisation are shown as withheld, and so \
                 are groups that are not there"
            ),
            false => format!(
                "groups of fewer than {k} people at an organisation are left out, there and in \
                 everything computed over the groups"
            ),
        });
    }
    for (base, place) in [(hidden.round_to, ""), (hidden.rounded_to, " at each organisation")] {
        if let Some(base) = base {
            running.coverage.notice(format!(
                "counts and sums of whole numbers are rounded to the nearest {base}{place}; means \
                 are computed from rounded numbers"
            ));
        }
    }
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
            let Some(block) = block_for(federation, ask, node)? else {
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
    // What is asked by a wider federation may be for others.
    if bundles.is_empty() && federation.path.is_none() {
        running.coverage.notice("no organisation was asked: none meets the conditions");
    }
    Ok(bundles)
}

/// Fails where a fragment that any node could answer has none because one cannot be reached.
pub(crate) fn check_reachable(running: &Running, ask: &FragmentAsk) -> Result<(), EngineError> {
    let federation = &running.federation;
    for node in &federation.nodes {
        if block_for(federation, ask, node)?.is_some()
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
        Ok(reply) => collect((bundle.node, &hash), asks, &numbers, running, reply, &watch).await,
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
        on_unavailable: running.on_unavailable,
        under: running.federation.path.clone(),
        user_token: None,
        client_signature: None,
    }
}

async fn collect(
    (node, hash): (&KnownNode, &str),
    asks: &[&FragmentAsk],
    numbers: &[usize],
    running: &Running,
    reply: BundleReply,
    watch: &Watch,
) -> Result<Vec<Part>, EngineError> {
    let bad = |what: &str| EngineError::bad_answer(node.organisation(), what);
    let asked: Vec<&FragmentAsk> = numbers.iter().filter_map(|n| asks.get(*n).copied()).collect();
    check_reply(node, hash, &asked, &reply)?;
    let BundleReply { header, mut parts, .. } = reply;
    let answered = numbers.iter().zip(&header.fragments);
    let mut answer: Vec<Part> = answered.map(|(number, said)| Part::new(*number, said)).collect();
    let mut below = None;
    while let Some(part) = parts.try_next().await? {
        let (index, batch) = match part {
            ReplyPart::Rows(index, batch) => (index, batch),
            ReplyPart::Coverage(coverage) => {
                below = Some(coverage);
                continue;
            }
        };
        let part = answer.get_mut(index).ok_or_else(|| bad("it answers an unknown fragment"))?;
        let ask = asks.get(part.number).ok_or_else(|| bad("it answers an unknown fragment"))?;
        let columns = batch.columns().to_vec();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let named = RecordBatch::try_new_with_options(ask.wire_schema(), columns, &options)
            .map_err(|_| bad("its batches do not fit their schema"))?;
        check_organisations(node, &ask.block, &named).map_err(bad)?;
        check_statuses(ask, &named).map_err(bad)?;
        let size = named.get_array_memory_size();
        running.held.try_grow(size).map_err(EngineError::from_execution)?;
        watch.received(index, &named);
        part.batches.push(named);
    }
    for part in &answer {
        let Some(ask) = asks.get(part.number) else { continue };
        check_groups(ask, &part.batches).map_err(bad)?;
    }
    if running.withheld_groups == WithheldGroups::Show {
        show_withheld(running, node, asks, &mut answer)?;
    }
    let own = asked.iter().any(|ask| ask.placement == Placement::EachNode);
    running.take(node, &header, own)?;
    running.take_below(node, below, own)?;
    Ok(answer)
}

/// Adds the groups that a node did not release, where they are public.
fn show_withheld(
    running: &Running,
    node: &KnownNode,
    asks: &[&FragmentAsk],
    answer: &mut [Part],
) -> Result<(), EngineError> {
    for part in answer.iter_mut().filter(|part| part.counts()) {
        let Some(ask) = asks.get(part.number) else { continue };
        let Some(public) = &ask.public else { continue };
        let asked = (running.federation.as_ref(), node);
        part.batches.extend(public.withheld(ask, asked, part.hidden, &part.batches)?);
    }
    Ok(())
}

/// Checks that a reply is one to the bundle that was sent, by the node that was asked, before any
/// row of it is read.
pub(crate) fn check_reply(
    node: &KnownNode,
    hash: &str,
    asked: &[&FragmentAsk],
    reply: &BundleReply,
) -> Result<(), EngineError> {
    let header = &reply.header;
    let fits = |((ask, schema), said): ((&&FragmentAsk, &SchemaRef), &FragmentHeader)| {
        same_types(&ask.wire_schema(), schema) && said.k.is_some() == ask.protected
    };
    let wrong = if header.organisation != node.channel.organisation() {
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
    Err(EngineError::bad_answer(node.organisation(), wrong))
}

/// Columns that are `organisation` hold the node's own name, or of a federation names below it.
pub(crate) fn check_organisations(
    node: &KnownNode,
    block: &Block,
    batch: &RecordBatch,
) -> Result<(), &'static str> {
    let columns = match &block.output {
        Output::Groups { keys, .. } => keys,
        Output::Rows { columns, .. } => columns,
    };
    let (name, wide) = (node.organisation(), node.is_federation());
    let own = |said: &str| if wide { is_below(said, name) } else { said == name };
    for (column, values) in columns.iter().zip(batch.columns()) {
        if !matches!(column, Expr::Organisation { .. }) {
            continue;
        }
        let values = values.as_string_opt::<i32>();
        if !values.is_some_and(|values| values.iter().all(|said| said.is_some_and(own))) {
            return Err("it speaks for another organisation");
        }
    }
    Ok(())
}

/// The statuses of cells are those there are.
fn check_statuses(ask: &FragmentAsk, batch: &RecordBatch) -> Result<(), &'static str> {
    if !ask.protected {
        return Ok(());
    }
    let worst = CellStatus::Withheld.code();
    for cell in batch.columns().get(ask.keys..).unwrap_or_default().chunks(4) {
        let codes = cell.get(3).and_then(|status| status.as_primitive_opt::<UInt8Type>());
        if !codes.is_some_and(|codes| codes.values().iter().all(|code| *code <= worst)) {
            return Err("its cells have a status that there is not");
        }
    }
    Ok(())
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

/// Adds [`NODES`] and the others to the batches of a protected fragment.
fn with_node_columns(
    ask: &FragmentAsk,
    parts: Vec<Part>,
    base: u32,
    hidden: &Hidden,
) -> Result<Vec<RecordBatch>, EngineError> {
    if !ask.protected {
        return Ok(parts.into_iter().flat_map(|part| part.batches).collect());
    }
    let counted = parts.iter().filter(|part| part.counts());
    let nodes = i64::try_from(counted.count()).unwrap_or(i64::MAX);
    let most = hidden.round_to.max(hidden.rounded_to).unwrap_or(1);
    let schema = ask.gathered_schema();
    let mut all = vec![];
    for part in parts {
        let numbers = [part.hidden, hidden.people, base, most].map(i64::from);
        for batch in part.batches {
            let constant = |value: i64| -> ArrayRef {
                Arc::new(Int64Array::from_value(value, batch.num_rows()))
            };
            let mut columns = batch.columns().to_vec();
            columns.push(constant(nodes));
            columns.extend(numbers.map(constant));
            let batch = RecordBatch::try_new(Arc::clone(&schema), columns)
                .map_err(|e| EngineError::internal("adding node columns", e))?;
            all.push(batch);
        }
    }
    Ok(all)
}
