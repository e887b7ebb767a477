//! Lowers a resolved, unoptimised plan into a block.
//!
//! Relations, filters and joins are flattened; projections and aliases are substituted, so a block
//! names base columns only. Main type: [`Lowering`].

use std::sync::Arc;

use datafusion::common::{DFSchema, JoinType, NullEquality};
use datafusion::logical_expr::expr::AggregateFunctionParams;
use datafusion::logical_expr::logical_plan::Subquery;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr as DfExpr, Filter, Join as DfJoin, Limit, LogicalPlan, Operator,
    Projection, Sort, SortExpr, TableScan,
};
use hedgerow_policies::{
    AggregateFunction, Block, Expr, Join, Measure, OrderKey, Output, Relation, Source,
    TableContract,
};

use super::emit::output_names;
use super::expression::Names;
use super::inline;

/// Why a plan is not one block. Speaks of the statement only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct NotABlock {
    /// The part that has no place in a block.
    pub what: String,
}

impl NotABlock {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }
}

/// What a table scan of a resolved plan stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanTarget {
    /// Contract name.
    pub table: String,
    /// The one organisation it was named in.
    pub only: Option<String>,
}

/// Relations, joins and conjuncts of a plan below its output, and what its columns stand for.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Relations in order.
    pub from: Vec<Relation>,
    /// Conjuncts.
    pub filter: Vec<Expr>,
    /// One expression per field of the plan's schema.
    pub columns: Vec<Expr>,
}

/// Stands for `organisation` of an optional relation; whoever names it leaves the block.
pub(crate) const OPTIONAL_ORGANISATION: &str = "organisation of an optional table";

/// What an uncorrelated scalar subquery stands for.
pub(crate) type OfSubquery<'a> = &'a dyn Fn(&Subquery) -> Result<Expr, NotABlock>;

/// Lowers plans, given what their table scans stand for.
pub struct Lowering<'a> {
    target: &'a dyn Fn(&TableScan) -> Option<ScanTarget>,
    /// The gate's own aggregate may occur: only in what a node re-reads of its own.
    own: bool,
    /// `organisation` of an optional table may be asked for: it becomes a derived relation.
    wrap_optional: bool,
    /// Sums of inner queries stay in the wider type they are added in (`exact_sum`).
    wide_sums: bool,
    subquery: OfSubquery<'a>,
}

impl<'a> Lowering<'a> {
    /// Makes a lowering for statements from outside.
    pub fn new(target: &'a dyn Fn(&TableScan) -> Option<ScanTarget>) -> Self {
        Self { target, own: false, wrap_optional: false, wide_sums: false, subquery: &no_subquery }
    }

    /// The same, where a scalar subquery can be known before the block is asked.
    pub(crate) fn with_subqueries(self, subquery: OfSubquery<'a>) -> Self {
        Self { subquery, ..self }
    }

    /// The same, where what an inner query adds up is not read back as the narrower type that the
    /// statement announced: what is computed of it does not depend on the type.
    pub(crate) fn with_wide_sums(self) -> Self {
        Self { wide_sums: true, ..self }
    }

    /// The same, with `organisation` of an optional table as a column that may be NULL.
    pub(crate) fn with_optional_organisations(self) -> Self {
        Self { wrap_optional: true, ..self }
    }

    /// Makes a lowering for what the node itself emitted, gate columns included.
    pub(crate) fn own(target: &'a dyn Fn(&TableScan) -> Option<ScanTarget>) -> Self {
        Self { own: true, ..Self::new(target) }
    }

    /// Lowers an aggregate or DISTINCT node with what is below it.
    ///
    /// # Errors
    /// [`NotABlock`] naming the part that does not fit.
    pub fn groups(&self, plan: &LogicalPlan) -> Result<Block, NotABlock> {
        match plan {
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let scope = self.scope(input)?;
                let keys = scope.columns.clone();
                Ok(scope.into_block(Output::Groups { keys, measures: vec![] }))
            }
            other => Err(NotABlock::new(format!("{} at the top of a block", other.display()))),
        }
    }

    /// Lowers a whole fragment as the emitter writes it.
    ///
    /// # Errors
    /// [`NotABlock`] naming the part that does not fit.
    pub fn fragment(&self, plan: &LogicalPlan) -> Result<Block, NotABlock> {
        match plan {
            LogicalPlan::Limit(limit) => self.limited(limit),
            LogicalPlan::Projection(projection) => match projection.input.as_ref() {
                LogicalPlan::Aggregate(aggregate) => self.projected_groups(projection, aggregate),
                _ => self.rows(plan),
            },
            other => Err(NotABlock::new(format!("{} at the top of a fragment", other.display()))),
        }
    }

    /// Lowers a plan of rows, whatever stands below, to a block with its columns.
    ///
    /// # Errors
    /// [`NotABlock`] naming the part that does not fit.
    pub(crate) fn rows(&self, plan: &LogicalPlan) -> Result<Block, NotABlock> {
        Ok(self.scope(plan)?.into_rows())
    }

    /// `ORDER BY … LIMIT n` over rows, or LIMIT alone.
    fn limited(&self, limit: &Limit) -> Result<Block, NotABlock> {
        let fetch = match limit.get_fetch_type() {
            Ok(datafusion::logical_expr::FetchType::Literal(Some(n))) => n,
            _ => return Err(NotABlock::new("a LIMIT that is not a constant")),
        };
        if limit.skip.is_some() {
            return Err(NotABlock::new("OFFSET"));
        }
        let (keys, below) = match limit.input.as_ref() {
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => (order(sort)?, &sort.input),
            _ => (vec![], &limit.input),
        };
        if is_ordered(below) {
            return Err(NotABlock::new("LIMIT of rows in an order"));
        }
        let mut block = self.rows(below)?;
        if let Output::Rows { order, limit, .. } = &mut block.output {
            *order = keys;
            *limit = Some(fetch as u64);
        }
        Ok(block)
    }

    /// A projection over an aggregate must list keys, then measures, each once and bare.
    fn projected_groups(
        &self,
        projection: &Projection,
        aggregate: &Aggregate,
    ) -> Result<Block, NotABlock> {
        let block = self.aggregate(aggregate)?;
        let Output::Groups { keys, .. } = &block.output else { return Ok(block) };
        let width = aggregate.schema.fields().len();
        let in_order = projection.expr.len() == width
            && projection.expr.iter().enumerate().all(|(index, expr)| match bare(expr) {
                DfExpr::Column(column) => {
                    aggregate.schema.maybe_index_of_column(column) == Some(index)
                }
                DfExpr::Literal(value, _) => super::expression::literal(value)
                    .is_ok_and(|literal| keys.get(index) == Some(&Expr::Literal(literal))),
                _ => false,
            });
        if in_order {
            Ok(block)
        } else {
            Err(NotABlock::new("an output that is not the group keys followed by the aggregates"))
        }
    }

    fn aggregate(&self, aggregate: &Aggregate) -> Result<Block, NotABlock> {
        let scope = self.scope(&aggregate.input)?;
        let names = self.names(aggregate.input.schema(), &scope.columns);
        let keys = names.lower_all(&aggregate.group_expr)?;
        let measures = aggregate
            .aggr_expr
            .iter()
            .map(|expr| self.measure(&names, expr))
            .collect::<Result<_, _>>()?;
        Ok(scope.into_block(Output::Groups { keys, measures }))
    }

    fn measure(&self, names: &Names<'_>, expr: &DfExpr) -> Result<Measure, NotABlock> {
        let DfExpr::AggregateFunction(call) = bare(expr) else {
            return Err(NotABlock::new("an aggregate inside an expression"));
        };
        let name = call.func.name();
        let function = AggregateFunction::from_name(name)
            .filter(|function| self.own || !function.is_gates_own())
            .ok_or_else(|| NotABlock::new(format!("aggregate `{name}`")))?;
        let AggregateFunctionParams { args, distinct, filter, order_by, null_treatment } =
            &call.params;
        if !order_by.is_empty() || null_treatment.is_some() {
            return Err(NotABlock::new(format!("`{name}` with an order or NULL treatment")));
        }
        let mut arguments = names.lower_all(args)?;
        if function == AggregateFunction::Count
            && !distinct
            && matches!(arguments.as_slice(), [Expr::Literal(l)] if l.text.is_some())
        {
            arguments.clear();
        }
        let condition = filter.as_deref().map(|filter| names.lower(filter)).transpose()?;
        Ok(Measure { function, arguments, distinct: *distinct, condition })
    }

    // ------------------------------------------------------ relations, joins, filters

    pub(super) fn names<'n>(&'n self, schema: &'n DFSchema, columns: &'n [Expr]) -> Names<'n> {
        Names { schema, columns, subquery: self.subquery, wide_sums: self.wide_sums }
    }

    /// Lowers everything below an output: scans, joins, filters, projections, aliases, and
    /// aggregates as derived relations.
    ///
    /// # Errors
    /// [`NotABlock`] naming the part that does not fit.
    pub fn scope(&self, plan: &LogicalPlan) -> Result<Scope, NotABlock> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::SubqueryAlias(alias) => self.scope(&alias.input),
            LogicalPlan::Filter(filter) => self.filter(filter),
            LogicalPlan::Projection(projection) => {
                if let LogicalPlan::Window(window) = projection.input.as_ref() {
                    return self.projected_windows(projection, window);
                }
                let mut scope = self.scope(&projection.input)?;
                let names = self.names(projection.input.schema(), &scope.columns);
                scope.columns = names.lower_all(&projection.expr)?;
                Ok(scope)
            }
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(Distinct::All(_)) => {
                let scope = Scope::derived(self.groups(plan)?, false);
                if scope.columns.len() != plan.schema().fields().len() {
                    return Err(NotABlock::new("a group key written twice"));
                }
                Ok(scope)
            }
            // Order without a limit says nothing below an aggregate.
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => self.scope(&sort.input),
            LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => {
                Err(NotABlock::new("LIMIT below an aggregate"))
            }
            LogicalPlan::Distinct(_) => Err(NotABlock::new("DISTINCT ON")),
            LogicalPlan::Window(window) => self.windows(window),
            LogicalPlan::Union(_) => Err(NotABlock::new("UNION below an aggregate")),
            LogicalPlan::Values(values) => inline::scope(values),
            LogicalPlan::EmptyRelation(_) => Err(NotABlock::new("a query without FROM")),
            LogicalPlan::Unnest(_) => Err(NotABlock::new("unnest")),
            LogicalPlan::RecursiveQuery(_) => Err(NotABlock::new("a recursive query")),
            _ => Err(NotABlock::new("a plan of an unknown kind")),
        }
    }

    fn filter(&self, filter: &Filter) -> Result<Scope, NotABlock> {
        let mut scope = self.scope(&filter.input)?;
        let mut excluded = vec![];
        for conjunct in split_conjunction(&filter.predicate) {
            let names = self.names(filter.input.schema(), &scope.columns);
            match conjunct {
                DfExpr::InSubquery(within)
                    if within.negated && within.subquery.outer_ref_columns.is_empty() =>
                {
                    let block = self.rows(&within.subquery.subquery)?;
                    excluded
                        .push(Relation::derived(block, Join::NotIn(names.lower(&within.expr)?)));
                }
                other => {
                    let lowered = names.lower(other)?;
                    scope.filter.extend(conjuncts(lowered));
                }
            }
        }
        scope.from.extend(excluded);
        Ok(scope)
    }

    fn scan(&self, scan: &TableScan) -> Result<Scope, NotABlock> {
        let target = (self.target)(scan).ok_or_else(|| {
            NotABlock::new(format!("table `{}`, which is not federated", scan.table_name))
        })?;
        if !scan.filters.is_empty() || scan.fetch.is_some() {
            return Err(NotABlock::new("a scan that was already optimised"));
        }
        let columns = scan
            .projected_schema
            .fields()
            .iter()
            .map(|field| match field.name().as_str() {
                TableContract::ORGANISATION => Expr::Organisation { relation: 0 },
                name => Expr::Column { relation: 0, name: name.to_owned() },
            })
            .collect();
        let source = Source::Table { name: target.table, only: target.only };
        let relation = Relation { source, join: Join::First };
        Ok(Scope { from: vec![relation], filter: vec![], columns })
    }

    fn join(&self, join: &DfJoin) -> Result<Scope, NotABlock> {
        if join.null_equality != NullEquality::NullEqualsNothing {
            return Err(NotABlock::new("a join on NULL = NULL"));
        }
        let left = self.scope(&join.left)?.without_not_in();
        let right = self.scope(&join.right)?.without_not_in();
        if join.null_aware {
            return match join.join_type {
                JoinType::LeftAnti => self.not_in(join, left, right),
                _ => Err(NotABlock::new("a join that looks for NULL")),
            };
        }
        match join.join_type {
            JoinType::Inner => self.inner(join, left, right),
            JoinType::Left => self.outer(join, left, right, false),
            JoinType::Right => self.outer(join, right, left, true),
            JoinType::LeftSemi => self.exists(join, left, right, Join::Semi, false),
            JoinType::LeftAnti => self.exists(join, left, right, Join::Anti, false),
            JoinType::RightSemi => self.exists(join, right, left, Join::Semi, true),
            JoinType::RightAnti => self.exists(join, right, left, Join::Anti, true),
            JoinType::Full => Err(NotABlock::new("FULL JOIN")),
            JoinType::LeftMark | JoinType::RightMark => {
                Err(NotABlock::new("EXISTS or IN inside an expression"))
            }
        }
    }

    fn inner(&self, join: &DfJoin, left: Scope, right: Scope) -> Result<Scope, NotABlock> {
        let (mut scope, right) = left.beside(right);
        scope.columns.extend(right.columns);
        let on = self.join_conjuncts(join, &scope.columns)?;
        scope.filter.extend(right.filter);
        scope.filter.extend(on);
        scope.from.extend(right.from.into_iter().map(|relation| match relation.join {
            Join::First => Relation { join: Join::Inner, ..relation },
            _ => relation,
        }));
        Ok(scope)
    }

    /// `optional` LEFT-joins to `kept`; `swapped` says that the text wrote it as a RIGHT JOIN.
    fn outer(
        &self,
        join: &DfJoin,
        kept: Scope,
        optional: Scope,
        swapped: bool,
    ) -> Result<Scope, NotABlock> {
        // What is computed there is NULL where nothing matches, not computed from NULLs.
        let plain = |c: &Expr| {
            matches!(c, Expr::Column { .. }) || is_organisation(c) && !self.wrap_optional
        };
        let optional = if optional.from.len() == 1 && optional.columns.iter().all(plain) {
            optional
        } else {
            Scope::derived(optional.into_rows(), true)
        };
        let (mut scope, optional) = kept.beside(optional);
        let columns = if swapped {
            [optional.columns.clone(), scope.columns.clone()].concat()
        } else {
            [scope.columns.clone(), optional.columns.clone()].concat()
        };
        let mut on = self.join_conjuncts(join, &columns)?;
        on.extend(optional.filter);
        scope.from.extend(
            optional
                .from
                .into_iter()
                .map(|relation| Relation { join: Join::Left(canonical(on.clone())), ..relation }),
        );
        // Where nothing matches, `organisation` of the optional side is NULL: no constant.
        let optional_relation = scope.from.len() - 1;
        scope.columns = columns
            .into_iter()
            .map(|column| match column {
                Expr::Organisation { relation } if relation == optional_relation => {
                    Expr::Function { name: OPTIONAL_ORGANISATION.to_owned(), arguments: vec![] }
                }
                other => other,
            })
            .collect();
        Ok(scope)
    }
    /// Rows of `kept` that have a match in `other`, or none.
    fn exists(
        &self,
        join: &DfJoin,
        kept: Scope,
        other: Scope,
        kind: fn(Vec<Expr>) -> Join,
        swapped: bool,
    ) -> Result<Scope, NotABlock> {
        let other =
            if other.from.len() == 1 { other } else { Scope::derived(other.into_rows(), false) };
        let (mut scope, other) = kept.beside(other);
        let columns = if swapped {
            [other.columns, scope.columns.clone()].concat()
        } else {
            [scope.columns.clone(), other.columns].concat()
        };
        let schema = Arc::new(join.left.schema().join(join.right.schema()).map_err(unusual_join)?);
        let mut on = self.conjuncts_over(join, &schema, &columns)?;
        on.extend(other.filter);
        let on = kind(canonical(on));
        scope.from.extend(other.from.into_iter().map(|r| Relation { join: on.clone(), ..r }));
        Ok(scope)
    }

    /// `value NOT IN (SELECT column …)`.
    fn not_in(&self, join: &DfJoin, mut kept: Scope, other: Scope) -> Result<Scope, NotABlock> {
        let unusual = || NotABlock::new("NOT IN a correlated subquery");
        let (value, column) = match (join.on.as_slice(), &join.filter) {
            ([(value, column)], None) => (value, column),
            ([], Some(DfExpr::BinaryExpr(equal))) if equal.op == Operator::Eq => {
                (equal.left.as_ref(), equal.right.as_ref())
            }
            _ => return Err(unusual()),
        };
        let value = self.names(join.left.schema(), &kept.columns).lower(value)?;
        let column = self.names(join.right.schema(), &other.columns).lower(column)?;
        let other = Scope { columns: vec![column], ..other };
        kept.from.push(Relation::derived(other.into_rows(), Join::NotIn(value)));
        Ok(kept)
    }

    /// The ON clause of a join as conjuncts, given what the joined columns stand for.
    fn join_conjuncts(&self, join: &DfJoin, columns: &[Expr]) -> Result<Vec<Expr>, NotABlock> {
        self.conjuncts_over(join, &join.schema, columns)
    }

    fn conjuncts_over(
        &self,
        join: &DfJoin,
        schema: &DFSchema,
        columns: &[Expr],
    ) -> Result<Vec<Expr>, NotABlock> {
        let names = self.names(schema, columns);
        let mut all = vec![];
        for (left, right) in &join.on {
            all.push(Expr::Binary {
                left: Box::new(names.lower(left)?),
                operator: hedgerow_policies::BinaryOperator::Equal,
                right: Box::new(names.lower(right)?),
            });
        }
        if let Some(filter) = &join.filter {
            all.extend(conjuncts(names.lower(filter)?));
        }
        Ok(all)
    }
}

pub(crate) fn no_subquery(_: &Subquery) -> Result<Expr, NotABlock> {
    Err(NotABlock::new("a subquery in an expression"))
}

fn unusual_join(_: datafusion::error::DataFusionError) -> NotABlock {
    NotABlock::new("a join of columns with the same name")
}

impl Scope {
    /// Renumbers `other`'s relations so that it can stand to the right of `self`.
    fn beside(self, other: Scope) -> (Scope, Scope) {
        let offset = self.from.len();
        let shift = |expr: Expr| match expr {
            Expr::Column { relation, name } => Expr::Column { relation: relation + offset, name },
            Expr::Organisation { relation } => Expr::Organisation { relation: relation + offset },
            other => other,
        };
        let many = |list: Vec<Expr>| list.into_iter().map(|e| e.map(&shift)).collect::<Vec<_>>();
        let shifted = |relation: Relation| Relation { join: relation.join.map(&shift), ..relation };
        let from = other.from.into_iter().map(shifted).collect();
        let shifted = Scope { from, filter: many(other.filter), columns: many(other.columns) };
        (self, shifted)
    }

    pub(crate) fn into_block(self, output: Output) -> Block {
        Block { from: self.from, filter: canonical(self.filter), output }
    }

    /// The block of its rows.
    pub(super) fn into_rows(self) -> Block {
        let columns = self.columns.clone();
        self.into_block(Output::Rows { columns, order: vec![], limit: None })
    }

    /// A block as the one relation of a scope. Where it is `optional`, its organisation is a column
    /// like any other: NULL where nothing matches.
    pub(super) fn derived(block: Block, optional: bool) -> Scope {
        let outputs: Vec<bool> = match &block.output {
            Output::Rows { columns, .. } => columns.iter().map(is_organisation).collect(),
            Output::Groups { keys, measures } => {
                let keys = keys.iter().map(is_organisation);
                keys.chain(measures.iter().map(|_| false)).collect()
            }
        };
        let columns = output_names(&block.output).into_iter().zip(outputs);
        let columns = columns.map(|(name, organisation)| {
            if organisation && !optional {
                Expr::Organisation { relation: 0 }
            } else {
                Expr::Column { relation: 0, name }
            }
        });
        let columns = columns.collect();
        Scope { from: vec![Relation::derived(block, Join::First)], filter: vec![], columns }
    }

    /// NOT IN stands last in a block: what is joined to such rows makes them a relation of their own.
    fn without_not_in(self) -> Scope {
        if self.from.iter().any(|relation| matches!(relation.join, Join::NotIn(_))) {
            Scope::derived(self.into_rows(), false)
        } else {
            self
        }
    }
}

fn is_organisation(expr: &Expr) -> bool {
    matches!(expr, Expr::Organisation { .. })
}

/// The keys of an ORDER BY over output columns.
pub(crate) fn order(sort: &Sort) -> Result<Vec<OrderKey>, NotABlock> {
    let schema = sort.input.schema();
    let key = |key: &SortExpr| match &key.expr {
        DfExpr::Column(column) => schema.maybe_index_of_column(column).map(|column| OrderKey {
            column,
            descending: !key.asc,
            nulls_first: key.nulls_first,
        }),
        _ => None,
    };
    let keys: Option<Vec<OrderKey>> = sort.expr.iter().map(key).collect();
    keys.ok_or_else(|| NotABlock::new("LIMIT of rows in the order of an expression"))
}

/// Whether some ORDER BY below says which rows a LIMIT leaves.
fn is_ordered(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::Sort(_)) || plan.inputs().into_iter().any(is_ordered)
}

fn conjuncts(expr: Expr) -> Vec<Expr> {
    match expr {
        Expr::And(list) => list,
        other => vec![other],
    }
}

/// Canonical order of conjuncts, each once; TRUE says nothing.
pub(crate) fn canonical(mut conjuncts: Vec<Expr>) -> Vec<Expr> {
    let truth = Expr::Literal(hedgerow_policies::Literal::boolean(true));
    conjuncts.retain(|conjunct| *conjunct != truth);
    conjuncts.sort();
    conjuncts.dedup();
    conjuncts
}

fn bare(expr: &DfExpr) -> &DfExpr {
    match expr {
        DfExpr::Alias(alias) => bare(&alias.expr),
        other => other,
    }
}
