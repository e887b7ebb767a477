//! Lowers a resolved, unoptimised plan into a block.
//!
//! Relations, filters and joins are flattened; projections and aliases are substituted, so a block
//! names base columns only. Main type: [`Lowering`].

use datafusion::common::{JoinType, NullEquality};
use datafusion::logical_expr::expr::AggregateFunctionParams;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr as DfExpr, Join as DfJoin, LogicalPlan, Projection, TableScan,
};
use hedgerow_policies::{
    AggregateFunction, Block, Expr, Join, Measure, Output, Relation, TableContract,
};

use super::expression::Names;

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

/// Lowers plans, given what their table scans stand for.
pub struct Lowering<'a> {
    target: &'a dyn Fn(&TableScan) -> Option<ScanTarget>,
    /// The gate's own aggregate may occur: only in what a node re-reads of its own.
    own: bool,
}

impl<'a> Lowering<'a> {
    /// Makes a lowering for statements from outside.
    pub fn new(target: &'a dyn Fn(&TableScan) -> Option<ScanTarget>) -> Self {
        Self { target, own: false }
    }

    /// Makes a lowering for what the node itself emitted, gate columns included.
    pub(crate) fn own(target: &'a dyn Fn(&TableScan) -> Option<ScanTarget>) -> Self {
        Self { target, own: true }
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
            LogicalPlan::Limit(limit) => {
                let fetch = match limit.get_fetch_type() {
                    Ok(datafusion::logical_expr::FetchType::Literal(Some(n))) => n,
                    _ => return Err(NotABlock::new("a LIMIT that is not a constant")),
                };
                if limit.skip.is_some() {
                    return Err(NotABlock::new("OFFSET"));
                }
                if is_ordered(&limit.input) {
                    return Err(NotABlock::new("LIMIT of rows in an order"));
                }
                let mut block = self.fragment(&limit.input)?;
                match &mut block.output {
                    Output::Rows { limit: limit @ None, .. } => {
                        *limit = Some(fetch as u64);
                        Ok(block)
                    }
                    Output::Rows { .. } | Output::Groups { .. } => {
                        Err(NotABlock::new("LIMIT over groups"))
                    }
                }
            }
            LogicalPlan::Projection(projection) => match projection.input.as_ref() {
                LogicalPlan::Aggregate(aggregate) => self.projected_groups(projection, aggregate),
                _ => self.rows(plan),
            },
            other => Err(NotABlock::new(format!("{} at the top of a fragment", other.display()))),
        }
    }

    fn rows(&self, plan: &LogicalPlan) -> Result<Block, NotABlock> {
        let scope = self.scope(plan)?;
        let columns = scope.columns.clone();
        Ok(scope.into_block(Output::Rows { columns, limit: None }))
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
        let names = Names { schema: aggregate.input.schema(), columns: &scope.columns };
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
            .filter(|function| self.own || *function != AggregateFunction::People)
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

    /// Lowers everything below an output: scans, joins, filters, projections, aliases.
    ///
    /// # Errors
    /// [`NotABlock`] naming the part that does not fit.
    pub fn scope(&self, plan: &LogicalPlan) -> Result<Scope, NotABlock> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::SubqueryAlias(alias) => self.scope(&alias.input),
            LogicalPlan::Filter(filter) => {
                let mut scope = self.scope(&filter.input)?;
                let names = Names { schema: filter.input.schema(), columns: &scope.columns };
                let predicate = names.lower(&filter.predicate)?;
                scope.filter.extend(conjuncts(predicate));
                Ok(scope)
            }
            LogicalPlan::Projection(projection) => {
                let mut scope = self.scope(&projection.input)?;
                let names = Names { schema: projection.input.schema(), columns: &scope.columns };
                scope.columns = names.lower_all(&projection.expr)?;
                Ok(scope)
            }
            LogicalPlan::Join(join) => self.join(join),
            // Order without a limit says nothing below an aggregate.
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => self.scope(&sort.input),
            LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => {
                Err(NotABlock::new("LIMIT below an aggregate"))
            }
            LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_) => {
                Err(NotABlock::new("an aggregate below an aggregate"))
            }
            LogicalPlan::Window(_) => Err(NotABlock::new("a window below an aggregate")),
            LogicalPlan::Union(_) => Err(NotABlock::new("UNION below an aggregate")),
            LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) => {
                Err(NotABlock::new("an inline table"))
            }
            LogicalPlan::Unnest(_) => Err(NotABlock::new("unnest")),
            LogicalPlan::RecursiveQuery(_) => Err(NotABlock::new("a recursive query")),
            _ => Err(NotABlock::new("a plan of an unknown kind")),
        }
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
        let relation = Relation { table: target.table, only: target.only, join: Join::First };
        Ok(Scope { from: vec![relation], filter: vec![], columns })
    }

    fn join(&self, join: &DfJoin) -> Result<Scope, NotABlock> {
        if join.null_equality != NullEquality::NullEqualsNothing || join.null_aware {
            return Err(NotABlock::new("a join on NULL = NULL"));
        }
        let left = self.scope(&join.left)?;
        let right = self.scope(&join.right)?;
        match join.join_type {
            JoinType::Inner => self.inner(join, left, right),
            JoinType::Left => self.outer(join, left, right, false),
            JoinType::Right => self.outer(join, right, left, true),
            JoinType::Full => Err(NotABlock::new("FULL JOIN")),
            _ => Err(NotABlock::new("a semi- or anti-join")),
        }
    }

    fn inner(&self, join: &DfJoin, left: Scope, right: Scope) -> Result<Scope, NotABlock> {
        let (mut scope, right) = left.beside(right);
        scope.columns.extend(right.columns);
        let on = join_conjuncts(join, &scope.columns)?;
        scope.filter.extend(right.filter);
        scope.filter.extend(on);
        scope.from.extend(right.from.into_iter().map(|relation| match relation.join {
            Join::First => Relation { join: Join::Inner, ..relation },
            Join::Inner | Join::Left(_) => relation,
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
        if optional.from.len() != 1 {
            return Err(NotABlock::new("an outer join whose optional side is itself a join"));
        }
        let plain = |c: &Expr| matches!(c, Expr::Column { .. } | Expr::Organisation { .. });
        if !optional.columns.iter().all(plain) {
            return Err(NotABlock::new("an expression on the optional side of an outer join"));
        }
        let (mut scope, optional) = kept.beside(optional);
        let columns = if swapped {
            [optional.columns.clone(), scope.columns.clone()].concat()
        } else {
            [scope.columns.clone(), optional.columns.clone()].concat()
        };
        let mut on = join_conjuncts(join, &columns)?;
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
        let from = other
            .from
            .into_iter()
            .map(|relation| Relation {
                join: match relation.join {
                    Join::Left(on) => Join::Left(many(on)),
                    same @ (Join::First | Join::Inner) => same,
                },
                ..relation
            })
            .collect();
        let shifted = Scope { from, filter: many(other.filter), columns: many(other.columns) };
        (self, shifted)
    }

    pub(crate) fn into_block(self, output: Output) -> Block {
        Block { from: self.from, filter: canonical(self.filter), output }
    }
}

/// The ON clause of a join as conjuncts, given what the joined columns stand for.
fn join_conjuncts(join: &DfJoin, columns: &[Expr]) -> Result<Vec<Expr>, NotABlock> {
    let names = Names { schema: &join.schema, columns };
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
