//! Rows of open tables as ordinary table providers, with filter, projection and limit pushed down:
//! those of one table, or what each node makes of several.
//!
//! A scan of a protected table is an error, whatever plan it stands in.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, ToDFSchema, internal_err};
use datafusion::datasource::{TableProvider, TableType};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr as DfExpr, TableProviderFilterPushDown};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use hedgerow_catalog::shared_schema;
use hedgerow_policies::{Block, Expr, Join, Literal, Output, Relation, Source, TableContract};

use super::analyze::Watch;
use super::dispatch::{
    FragmentAsk, block_for, check_organisations, check_reachable, check_reply, request, stands,
};
use super::federation::{Federation, KnownNode};
use super::place::Placement;
use super::running::{Running, reason};
use crate::block::{Names, NotABlock, ScanTarget, canonical, emit};
use crate::channel::ReplyPart;
use crate::coverage::{Coverage, NodeCoverage, NodeOutcome};
use crate::error::EngineError;

/// Rows over all nodes that have them: a contract table, or what each node makes of open tables.
#[derive(Debug)]
pub(crate) struct FederatedTable {
    /// The contract, where the rows are those of a table.
    pub(crate) contract: Option<Arc<TableContract>>,
    /// As EXPLAIN calls it.
    name: String,
    /// The block of all its rows and columns.
    base: Block,
    placement: Placement,
    federation: Arc<Federation>,
    schema: SchemaRef,
}

impl FederatedTable {
    /// A contract table over all nodes that serve it, or at one organisation.
    pub(crate) fn new(
        contract: Arc<TableContract>,
        only: Option<String>,
        federation: Arc<Federation>,
    ) -> Self {
        let schema = shared_schema(&contract);
        let columns = schema.fields().iter().map(|field| match field.name().as_str() {
            TableContract::ORGANISATION => Expr::Organisation { relation: 0 },
            name => Expr::Column { relation: 0, name: name.to_owned() },
        });
        let source = Source::Table { name: contract.name.clone(), only };
        let base = Block {
            from: vec![Relation { source, join: Join::First }],
            filter: vec![],
            output: rows(columns.collect(), None),
        };
        let placement = if contract.reference { Placement::AnyNode } else { Placement::EachNode };
        let name = contract.name.clone();
        Self { contract: Some(contract), name, base, placement, federation, schema }
    }

    /// What each node makes of open tables by `base`, a proved block of rows with this schema.
    pub(crate) fn of_block(
        name: &str,
        base: Block,
        placement: Placement,
        schema: SchemaRef,
        federation: Arc<Federation>,
    ) -> Self {
        Self { contract: None, name: name.to_owned(), base, placement, federation, schema }
    }

    /// The contract table it is, and the one organisation it was named in.
    pub(crate) fn target(&self) -> Option<ScanTarget> {
        let contract = self.contract.as_ref()?;
        let only = self.base.from.first().and_then(Relation::only).map(str::to_owned);
        Some(ScanTarget { table: contract.name.clone(), only })
    }

    /// The parameters it is asked with.
    pub(crate) fn base(&self) -> &Block {
        &self.base
    }

    fn columns(&self) -> &[Expr] {
        match &self.base.output {
            Output::Rows { columns, .. } => columns,
            Output::Groups { .. } => &[],
        }
    }

    /// So many rows in some order are what they are: nothing can be pushed below that.
    fn is_limited(&self) -> bool {
        matches!(self.base.output, Output::Rows { limit: Some(_), .. })
    }

    /// The block of a scan, proved.
    fn block(
        &self,
        columns: Vec<Expr>,
        filters: &[DfExpr],
        limit: Option<u64>,
    ) -> Result<(Block, SchemaRef), NotABlock> {
        let schema = Arc::clone(&self.schema)
            .to_dfschema()
            .map_err(|_| NotABlock::new("a scan of an unusual schema"))?;
        let names = Names::plain(&schema, self.columns());
        let mut filter = self.base.filter.clone();
        for conjunct in filters {
            match names.lower(&unqualified(conjunct))? {
                Expr::And(list) => filter.extend(list),
                other => filter.push(other),
            }
        }
        let block = Block {
            from: self.base.from.clone(),
            filter: canonical(filter),
            output: rows(columns, limit),
        };
        let output = self.federation.prove(&block)?;
        Ok((block, output))
    }

    /// What a scan asks of the nodes, and which of the columns it yields are wanted.
    pub(crate) fn ask(
        &self,
        projection: Option<&Vec<usize>>,
        filters: &[DfExpr],
        limit: Option<usize>,
        bind: &dyn Fn(&Block) -> Block,
    ) -> Result<(FragmentAsk, Option<Vec<usize>>), EngineError> {
        let not_split = |not: NotABlock| EngineError::NotSplit {
            what: not.what,
            hint: "compare columns with constants in WHERE; compute anything else in a subquery, \
                   `SELECT … FROM (SELECT f(x) AS y FROM t) q WHERE y …`"
                .to_owned(),
        };
        let all = self.columns();
        let columns: Vec<Expr> = match projection {
            None => all.to_vec(),
            Some(indices) if indices.is_empty() => vec![Expr::Literal(Literal::int64(1))],
            Some(indices) => indices.iter().filter_map(|i| all.get(*i).cloned()).collect(),
        };
        let (block, picked) = if self.is_limited() {
            (self.base.clone(), projection.cloned())
        } else {
            (self.block(columns, filters, limit.map(|n| n as u64)).map_err(not_split)?.0, None)
        };
        let block = bind(&block);
        let schema = self.federation.prove(&block).map_err(not_split)?;
        let (placement, public) = (self.placement, None);
        let ask = FragmentAsk { block, placement, protected: false, keys: 0, schema, public };
        Ok((ask, picked))
    }
}

fn rows(columns: Vec<Expr>, limit: Option<u64>) -> Output {
    Output::Rows { columns, order: vec![], limit }
}

/// Scan filters name columns by whatever alias the statement gave the table.
fn unqualified(expr: &DfExpr) -> DfExpr {
    use datafusion::common::tree_node::{Transformed, TreeNode};
    let stripped = expr.clone().transform(|e| {
        Ok(match e {
            DfExpr::Column(column) => Transformed::yes(DfExpr::Column(
                datafusion::common::Column::new_unqualified(column.name),
            )),
            other => Transformed::no(other),
        })
    });
    stripped.map_or_else(|_| expr.clone(), |t| t.data)
}

#[async_trait]
impl TableProvider for FederatedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&DfExpr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let one = |filter: &&DfExpr| {
            let sample = vec![Expr::Literal(Literal::int64(1))];
            let pushed = self.block(sample, std::slice::from_ref(*filter), None);
            if pushed.is_ok() && !self.is_limited() {
                TableProviderFilterPushDown::Exact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
        };
        Ok(filters.iter().map(one).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[DfExpr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if self.contract.as_ref().is_some_and(|contract| contract.is_protected()) {
            return internal_err!("a protected table was planned as a scan of rows");
        }
        let Some(running) = state.config().get_extension::<Running>() else {
            return internal_err!("a scan outside a running statement");
        };
        let schema = match projection {
            None => Arc::clone(&self.schema),
            Some(indices) => Arc::new(self.schema.project(indices)?),
        };
        let (ask, picked) = self.ask(projection, filters, limit, &|block| running.bound(block))?;
        let limit = match ask.block.output {
            Output::Rows { limit, .. } => limit.and_then(|n| usize::try_from(n).ok()),
            Output::Groups { .. } => None,
        };
        let parts = participants(&running, &ask)?;
        running.coverage.opened(parts.len());
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(parts.len().max(1)),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let ask = Arc::new(ask);
        let properties = Arc::new(properties);
        let name = self.name.clone();
        Ok(Arc::new(RowsExec { name, parts, ask, picked, schema, limit, properties }))
    }
}

/// Nodes to ask, with their texts, one list for each stream of rows: whoever can answer it, in order.
/// Those left out are noted.
fn participants(running: &Running, ask: &FragmentAsk) -> Result<Vec<Vec<(usize, String)>>> {
    let mut parts = vec![];
    for (index, node) in running.federation.nodes.iter().enumerate() {
        let block = block_for(&running.federation, ask, node)?;
        if let Some(block) = &block
            && !stands(running, node, ask, block)?
        {
            continue;
        }
        // Asked or not: until its rows are read, it is not known to be needed.
        running.coverage.note(NodeCoverage::new(node.organisation(), NodeOutcome::NotNeeded));
        parts.extend(block.map(|block| (index, emit(&block))));
    }
    match ask.placement {
        Placement::EachNode => Ok(parts.into_iter().map(|part| vec![part]).collect()),
        Placement::AnyNode if parts.is_empty() => {
            check_reachable(running, ask)?;
            Ok(vec![])
        }
        Placement::AnyNode => Ok(vec![parts]),
    }
}

/// Streams rows of an open table, one partition per node.
#[derive(Debug)]
struct RowsExec {
    name: String,
    /// For each partition the nodes that can answer it, with the text they are asked.
    parts: Vec<Vec<(usize, String)>>,
    ask: Arc<FragmentAsk>,
    /// Which columns of what a node sends are wanted; `None` for the first ones.
    picked: Option<Vec<usize>>,
    schema: SchemaRef,
    /// Most rows that one node was asked for.
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl DisplayAs for RowsExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.parts.first().and_then(|nodes| nodes.first());
        let text = first.map_or("", |(_, text)| text.as_str());
        write!(f, "RowsExec: nodes={}, text={text}", self.parts.len())
    }
}

impl ExecutionPlan for RowsExec {
    fn name(&self) -> &str {
        "RowsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let Some(running) = context.session_config().get_extension::<Running>() else {
            return internal_err!("rows outside a running statement");
        };
        let schema = Arc::clone(&self.schema);
        let Some(nodes) = self.parts.get(partition).cloned() else {
            let nothing = futures::stream::empty();
            return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, nothing)));
        };
        let ask = Arc::clone(&self.ask);
        let picked = self.picked.clone();
        let own = Arc::clone(&schema);
        let (name, limit) = (self.name.clone(), self.limit);
        let asked = RowsAsk { name, nodes, ask, picked, schema: own, limit };
        let rows = futures::stream::once(async move { asked.rows(running).await })
            .try_flatten()
            .map_err(|error: EngineError| error.into());
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}

type Rows = BoxStream<'static, Result<RecordBatch, EngineError>>;

/// What one node is asked for: the first of these that can be reached.
struct RowsAsk {
    name: String,
    nodes: Vec<(usize, String)>,
    ask: Arc<FragmentAsk>,
    picked: Option<Vec<usize>>,
    /// What the scan yields.
    schema: SchemaRef,
    limit: Option<usize>,
}

impl RowsAsk {
    async fn rows(self, running: Arc<Running>) -> Result<Rows, EngineError> {
        let guard = Closing(Arc::clone(&running));
        let mut failed = None;
        for (number, text) in &self.nodes {
            let Some(node) = running.federation.nodes.get(*number) else { continue };
            let organisation = node.organisation().to_owned();
            let each = self.ask.placement == Placement::EachNode;
            if each && running.is_left_out(&organisation) {
                return Ok(futures::stream::empty().boxed());
            }
            let request = request(&running, vec![text.clone()]);
            let hash = request.hash();
            let watch = running.watch_rows(&organisation, &self.name);
            let error = match node.channel.ask(request).await {
                Ok(reply) => {
                    check_reply(node, &hash, &[&self.ask], &reply)?;
                    running.take(node, &reply.header, each)?;
                    let node = Arc::clone(node);
                    return Ok(self.named(node, reply.parts, guard, watch));
                }
                Err(error) => error,
            };
            let outcome = running.outcome_of(&organisation, &error)?;
            watch.ended(outcome, reason(&error));
            if outcome == NodeOutcome::Unavailable {
                node.note_failure(&error);
            }
            if each || outcome != NodeOutcome::Unavailable {
                running.left_out(&organisation, outcome, &error)?;
                return Ok(futures::stream::empty().boxed());
            }
            failed = Some(error);
        }
        match failed {
            Some(error) => Err(EngineError::Node(error)),
            None => Ok(futures::stream::empty().boxed()),
        }
    }

    /// A node's rows under the names of the scan. What a federation says at the end of them is
    /// looked at there.
    fn named(
        self,
        node: Arc<KnownNode>,
        parts: BoxStream<'static, Result<ReplyPart, EngineError>>,
        guard: Closing,
        watch: Watch,
    ) -> Rows {
        let open = Open { asked: self, node, parts, guard, watch, rows: 0, below: None };
        stream::try_unfold(open, |mut open| async move {
            Ok(open.next().await?.map(|batch| (batch, open)))
        })
        .boxed()
    }
}

/// A stream of rows that is being read.
struct Open {
    asked: RowsAsk,
    node: Arc<KnownNode>,
    parts: BoxStream<'static, Result<ReplyPart, EngineError>>,
    guard: Closing,
    watch: Watch,
    rows: usize,
    below: Option<Coverage>,
}

impl Open {
    async fn next(&mut self) -> Result<Option<RecordBatch>, EngineError> {
        let bad = |what: &str| EngineError::bad_answer(self.node.organisation(), what);
        loop {
            let batch = match self.parts.try_next().await? {
                Some(ReplyPart::Rows(_, batch)) => batch,
                Some(ReplyPart::Coverage(coverage)) => {
                    self.below = Some(coverage);
                    continue;
                }
                None => {
                    let own = self.asked.ask.placement == Placement::EachNode;
                    self.guard.0.take_below(&self.node, self.below.take(), own)?;
                    self.watch.ended(NodeOutcome::Answered, "");
                    return Ok(None);
                }
            };
            self.watch.received(0, &batch);
            self.rows += batch.num_rows();
            if self.rows > self.asked.limit.unwrap_or(usize::MAX) {
                return Err(bad("it sends more rows than it was asked"));
            }
            check_organisations(&self.node, &self.asked.ask.block, &batch).map_err(bad)?;
            let RowsAsk { schema, picked, .. } = &self.asked;
            return renamed(&batch, schema, picked.as_deref(), self.node.organisation()).map(Some);
        }
    }
}

/// Marks one row stream as ended when it is dropped.
struct Closing(Arc<Running>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.coverage.closed();
    }
}

/// Gives a node's columns the names and order of the scan; counts rows where none were asked for.
fn renamed(
    batch: &RecordBatch,
    schema: &SchemaRef,
    picked: Option<&[usize]>,
    organisation: &str,
) -> Result<RecordBatch, EngineError> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns: Option<Vec<ArrayRef>> = match picked {
        None => batch.columns().get(..schema.fields().len()).map(<[_]>::to_vec),
        Some(places) => places.iter().map(|place| batch.columns().get(*place).cloned()).collect(),
    };
    columns
        .and_then(|columns| {
            RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).ok()
        })
        .ok_or_else(|| {
            EngineError::bad_answer(organisation, "its rows do not have the contract's columns")
        })
}
