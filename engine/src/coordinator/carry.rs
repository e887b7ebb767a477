//! Carries status and bounds of cells through whatever stands above the gate.
//!
//! Each uncertain column has three companions: lower, upper, status. Projections pass them on, joins
//! and unions keep them, windows and further aggregates mark their results as partial. A plan kind
//! that is not known here is refused, so a mark is never lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, ExprSchema, JoinType, ScalarValue};
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::{
    Distinct, Expr as DfExpr, ExprSchemable, Join, LogicalPlan, Projection, Union, cast, lit, when,
};

use super::marks::with_marks;
use crate::error::EngineError;

/// Status codes of `CellStatus`, as literals of the merge plan.
pub(crate) const RELEASED: u8 = 0;
pub(crate) const PARTIAL: u8 = 1;
pub(crate) const WITHHELD: u8 = 2;

/// A column of a plan with the columns that say how far it can be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) value: Column,
    pub(crate) lower: Column,
    pub(crate) upper: Column,
    pub(crate) status: Column,
}

/// The uncertain columns of a plan.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cells {
    pub(crate) list: Vec<Cell>,
    /// Rows may be missing: groups that were withheld whole.
    pub(crate) sparse: bool,
}

/// Companion names are unique in the process: a CTE may stand in a plan twice.
static NEXT: AtomicU64 = AtomicU64::new(0);

const PREFIX: &str = "__hedgerow_";

impl Cells {
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty() && !self.sparse
    }

    /// Names companions for a column.
    pub(crate) fn add(&mut self, value: Column) -> Cell {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = |what: &str| Column::new_unqualified(format!("{PREFIX}{what}_{number}"));
        let cell =
            Cell { value, lower: name("lower"), upper: name("upper"), status: name("status") };
        self.list.push(cell.clone());
        cell
    }

    pub(crate) fn of(&self, column: &Column) -> Option<&Cell> {
        self.list.iter().find(|cell| cell.value == *column)
    }

    /// The cells an expression reads.
    fn read_by(&self, expr: &DfExpr) -> Vec<&Cell> {
        let mut found: Vec<&Cell> = vec![];
        let visited = expr.apply(|node| {
            if let DfExpr::Column(column) = node
                && let Some(cell) = self.of(column)
                && !found.contains(&cell)
            {
                found.push(cell);
            }
            Ok(TreeNodeRecursion::Continue)
        });
        debug_assert!(visited.is_ok(), "the visitor never fails");
        found
    }
}

/// Tells whether a column is a companion.
pub(crate) fn is_companion(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// Refuses a statement that names a column as companions are named: it would vanish from the answer,
/// or pass for a mark.
pub(crate) fn check_names(plan: &LogicalPlan) -> Result<(), EngineError> {
    let mut taken = None;
    let visited = plan.apply_with_subqueries(|node| {
        taken = node.schema().fields().iter().find(|f| is_companion(f.name())).cloned();
        Ok(if taken.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    debug_assert!(visited.is_ok(), "the visitor never fails");
    match taken {
        None => Ok(()),
        Some(field) => Err(EngineError::Invalid {
            message: format!(
                "`{}`: names that begin with `{PREFIX}` are kept for the engine; choose another",
                field.name()
            ),
        }),
    }
}

/// Puts a plan node over its rewritten inputs, and says which of its columns are uncertain.
pub(crate) fn carry(
    plan: LogicalPlan,
    inputs: Vec<(LogicalPlan, Cells)>,
) -> Result<(LogicalPlan, Cells), EngineError> {
    let certain = inputs.iter().all(|(_, cells)| cells.is_empty());
    let plan = with_marks(plan, &inputs).map_err(EngineError::from_execution)?;
    let over = if certain { over_certain(plan, inputs) } else { over_cells(plan, inputs) };
    over.map_err(EngineError::from_execution)
}

fn over_certain(
    plan: LogicalPlan,
    inputs: Vec<(LogicalPlan, Cells)>,
) -> DfResult<(LogicalPlan, Cells)> {
    let inputs = inputs.into_iter().map(|(input, _)| input).collect();
    let plan = plan.with_new_exprs(plan.expressions(), inputs)?;
    Ok((plan, Cells::default()))
}

fn over_cells(
    plan: LogicalPlan,
    mut inputs: Vec<(LogicalPlan, Cells)>,
) -> DfResult<(LogicalPlan, Cells)> {
    match plan {
        LogicalPlan::Join(join) => over_join(join, inputs),
        LogicalPlan::Union(union) => over_union(&union, inputs),
        other => {
            let Some((input, cells)) = inputs.pop().filter(|_| inputs.is_empty()) else {
                return Err(not_carried(&other));
            };
            over_one(other, input, cells)
        }
    }
}

fn over_one(plan: LogicalPlan, input: LogicalPlan, cells: Cells) -> DfResult<(LogicalPlan, Cells)> {
    let sparse = Cells { sparse: cells.sparse, ..Cells::default() };
    match plan {
        LogicalPlan::Projection(projection) => over_projection(&projection, input, &cells),
        LogicalPlan::Filter(_) | LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => {
            let plan = plan.with_new_exprs(plan.expressions(), vec![input])?;
            Ok((plan, cells))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let requalified =
                |column: &Column| Column::new(Some(alias.alias.clone()), &column.name);
            let list = cells
                .list
                .iter()
                .map(|cell| Cell {
                    value: requalified(&cell.value),
                    lower: requalified(&cell.lower),
                    upper: requalified(&cell.upper),
                    status: requalified(&cell.status),
                })
                .collect();
            let aliased = datafusion::logical_expr::SubqueryAlias::try_new(
                Arc::new(input),
                alias.alias.clone(),
            )?;
            Ok((LogicalPlan::SubqueryAlias(aliased), Cells { list, ..cells }))
        }
        LogicalPlan::Window(window) => {
            let made: Vec<Column> = window
                .schema
                .iter()
                .skip(window.input.schema().fields().len())
                .map(|(qualifier, field)| Column::new(qualifier.cloned(), field.name()))
                .collect();
            let window =
                datafusion::logical_expr::Window::try_new(window.window_expr, Arc::new(input))?;
            marked_partial(LogicalPlan::Window(window), cells, made)
        }
        LogicalPlan::Aggregate(aggregate) => {
            if aggregate.group_expr.iter().any(|key| !cells.read_by(key).is_empty()) {
                return Err(refused(
                    "grouping by a value that may be withheld",
                    "group by the keys of the released groups, and keep the value in an aggregate, \
                     such as `max(value)` or `sum(value)`",
                ));
            }
            let made: Vec<Column> = aggregate
                .schema
                .iter()
                .skip(aggregate.group_expr.len())
                .map(|(qualifier, field)| Column::new(qualifier.cloned(), field.name()))
                .collect();
            let aggregate = datafusion::logical_expr::Aggregate::try_new(
                Arc::new(input),
                aggregate.group_expr,
                aggregate.aggr_expr,
            )?;
            marked_partial(LogicalPlan::Aggregate(aggregate), sparse, made)
        }
        LogicalPlan::Distinct(Distinct::All(_)) => {
            let uncertain = cells.list.iter().map(|cell| cell.value.clone()).collect();
            let visible = Projection::try_new(visible_columns(&input), Arc::new(input))?;
            let distinct = Distinct::All(Arc::new(LogicalPlan::Projection(visible)));
            marked_partial(LogicalPlan::Distinct(distinct), sparse, uncertain)
        }
        other => Err(not_carried(&other)),
    }
}

fn not_carried(plan: &LogicalPlan) -> datafusion::error::DataFusionError {
    let full = plan.display().to_string();
    let kind = full.split([':', ' ']).next().unwrap_or("this");
    refused(
        &format!("{kind} over released results of a protected table"),
        "over an aggregate write SELECT, WHERE, JOIN, UNION ALL, GROUP BY, windows, ORDER BY or LIMIT",
    )
}

fn refused(what: &str, hint: &str) -> datafusion::error::DataFusionError {
    EngineError::NotSplit { what: format!("{what} is not done"), hint: hint.to_owned() }.into()
}

fn visible_columns(plan: &LogicalPlan) -> Vec<DfExpr> {
    plan.schema()
        .columns()
        .into_iter()
        .filter(|c| !is_companion(&c.name))
        .map(DfExpr::Column)
        .collect()
}

/// Adds companions that say "computed from what was released; groups may be missing".
fn marked_partial(
    plan: LogicalPlan,
    mut cells: Cells,
    columns: Vec<Column>,
) -> DfResult<(LogicalPlan, Cells)> {
    let mut exprs: Vec<DfExpr> = plan.schema().columns().into_iter().map(DfExpr::Column).collect();
    for column in columns {
        let data_type = plan.schema().field_from_column(&column)?.data_type().clone();
        let cell = cells.add(column);
        let unknown = lit(ScalarValue::try_new_null(&data_type)?);
        exprs.push(unknown.clone().alias(&cell.lower.name));
        exprs.push(unknown.alias(&cell.upper.name));
        exprs.push(lit(PARTIAL).alias(&cell.status.name));
    }
    let plan = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?);
    Ok((plan, cells))
}

fn over_projection(
    projection: &Projection,
    input: LogicalPlan,
    cells: &Cells,
) -> DfResult<(LogicalPlan, Cells)> {
    let mut exprs = projection.expr.clone();
    let mut out = Cells { sparse: cells.sparse, ..Cells::default() };
    for (expr, (qualifier, field)) in projection.expr.iter().zip(projection.schema.iter()) {
        let Some([lower, upper, status]) = companions_of(expr, cells, input.schema())? else {
            continue;
        };
        let cell = out.add(Column::new(qualifier.cloned(), field.name()));
        exprs.push(lower.alias(&cell.lower.name));
        exprs.push(upper.alias(&cell.upper.name));
        exprs.push(status.alias(&cell.status.name));
    }
    let plan = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?);
    Ok((plan, out))
}

/// Lower, upper and status of an expression; `None` where it reads no cell.
pub(crate) fn companions_of(
    expr: &DfExpr,
    cells: &Cells,
    schema: &datafusion::common::DFSchema,
) -> DfResult<Option<[DfExpr; 3]>> {
    let read = cells.read_by(expr);
    if read.is_empty() {
        return Ok(None);
    }
    Ok(Some(match bare_column(expr).and_then(|column| cells.of(column)) {
        Some(same) => [&same.lower, &same.upper, &same.status].map(|c| DfExpr::Column(c.clone())),
        None => computed(expr, &read, schema)?,
    }))
}

/// The column that an expression is, under another name or not.
pub(crate) fn bare_column(expr: &DfExpr) -> Option<&Column> {
    match expr {
        DfExpr::Alias(alias) => bare_column(&alias.expr),
        DfExpr::Column(column) => Some(column),
        _ => None,
    }
}

/// Companions of a computed value: as doubtful as the most doubtful cell it reads.
fn computed(
    expr: &DfExpr,
    read: &[&Cell],
    schema: &datafusion::common::DFSchema,
) -> DfResult<[DfExpr; 3]> {
    let value = match expr {
        DfExpr::Alias(alias) => alias.expr.as_ref().clone(),
        other => other.clone(),
    };
    let status = |code: u8, cell: &Cell| DfExpr::Column(cell.status.clone()).has_code(code);
    let any = |code: u8| {
        read.iter().map(|cell| status(code, cell)).reduce(|a, b| a.or(b)).unwrap_or(lit(false))
    };
    let worst = when(any(WITHHELD), lit(WITHHELD))
        .when(any(PARTIAL), lit(PARTIAL))
        .otherwise(lit(RELEASED))?;
    let data_type = value.get_type(schema)?;
    let bound = when(worst.clone().eq(lit(RELEASED)), value).end()?;
    let bound = cast(bound, data_type);
    Ok([bound.clone(), bound, worst])
}

/// Comparison of a status that is FALSE where there is no status (an unmatched outer join).
pub(crate) trait StatusCode {
    fn has_code(self, code: u8) -> DfExpr;
}

impl StatusCode for DfExpr {
    fn has_code(self, code: u8) -> DfExpr {
        datafusion::logical_expr::binary_expr(
            self,
            datafusion::logical_expr::Operator::IsNotDistinctFrom,
            lit(code),
        )
    }
}

fn over_join(join: Join, inputs: Vec<(LogicalPlan, Cells)>) -> DfResult<(LogicalPlan, Cells)> {
    let mut inputs = inputs.into_iter();
    let (Some((left, left_cells)), Some((right, right_cells))) = (inputs.next(), inputs.next())
    else {
        return Err(not_carried(&LogicalPlan::Join(join)));
    };
    let existence = matches!(
        join.join_type,
        JoinType::LeftAnti | JoinType::LeftMark | JoinType::RightAnti | JoinType::RightMark
    );
    if existence && (left_cells.sparse || right_cells.sparse) {
        return Err(refused(
            "asking what is not among released groups",
            "LEFT JOIN the released groups and read their mark: what is missing there may have been \
             withheld",
        ));
    }
    let optional_left = matches!(join.join_type, JoinType::Right | JoinType::Full);
    let optional_right = matches!(join.join_type, JoinType::Left | JoinType::Full);
    let sparse = left_cells.sparse || right_cells.sparse;
    let keep_right = keeps_right(join.join_type);
    let plan = LogicalPlan::Join(Join::try_new(
        Arc::new(left),
        Arc::new(right),
        join.on,
        join.filter,
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?);
    let mut exprs: Vec<DfExpr> = plan.schema().columns().into_iter().map(DfExpr::Column).collect();
    let mut out = Cells { sparse, ..Cells::default() };
    let right = if keep_right { right_cells.list } else { vec![] };
    let sides = [(left_cells.list, optional_left), (right, optional_right)];
    for (cell, optional) in
        sides.into_iter().flat_map(|(list, optional)| list.into_iter().map(move |c| (c, optional)))
    {
        if optional {
            // Where nothing matches, the group may have been withheld: absence is no zero.
            let status = DfExpr::Column(cell.status);
            let status = when(status.clone().is_null(), lit(WITHHELD)).otherwise(status)?;
            let marked = out.add(cell.value);
            exprs.push(DfExpr::Column(cell.lower).alias(&marked.lower.name));
            exprs.push(DfExpr::Column(cell.upper).alias(&marked.upper.name));
            exprs.push(status.alias(&marked.status.name));
        } else {
            out.list.push(cell);
        }
    }
    let plan = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?);
    Ok((plan, out))
}

/// Gives every branch of a union the same companions, by position.
fn over_union(union: &Union, inputs: Vec<(LogicalPlan, Cells)>) -> DfResult<(LogicalPlan, Cells)> {
    let width = union.schema.fields().len();
    let mut uncertain = vec![false; width];
    for (input, cells) in &inputs {
        let visible = input.schema().columns().into_iter().filter(|c| !is_companion(&c.name));
        for (flag, column) in uncertain.iter_mut().zip(visible) {
            *flag |= cells.of(&column).is_some();
        }
    }
    let sparse = inputs.iter().any(|(_, cells)| cells.sparse);
    let mut out = Cells { sparse, ..Cells::default() };
    let mut names = vec![];
    for (index, (qualifier, field)) in union.schema.iter().enumerate() {
        if uncertain.get(index).copied().unwrap_or(false) {
            names.push((index, out.add(Column::new(qualifier.cloned(), field.name()))));
        }
    }
    let mut branches = vec![];
    for (input, cells) in inputs {
        let visible: Vec<Column> =
            input.schema().columns().into_iter().filter(|c| !is_companion(&c.name)).collect();
        let mut exprs: Vec<DfExpr> = visible.iter().cloned().map(DfExpr::Column).collect();
        for (index, cell) in &names {
            let Some(column) = visible.get(*index) else { continue };
            let (lower, upper, status) = match cells.of(column) {
                Some(own) => (
                    DfExpr::Column(own.lower.clone()),
                    DfExpr::Column(own.upper.clone()),
                    DfExpr::Column(own.status.clone()),
                ),
                None => {
                    let value = DfExpr::Column(column.clone());
                    (value.clone(), value, lit(RELEASED))
                }
            };
            exprs.push(lower.alias(&cell.lower.name));
            exprs.push(upper.alias(&cell.upper.name));
            exprs.push(cast(status, DataType::UInt8).alias(&cell.status.name));
        }
        let branch = Projection::try_new(exprs, Arc::new(input))?;
        branches.push(Arc::new(LogicalPlan::Projection(branch)));
    }
    let plan = LogicalPlan::Union(Union::try_new_with_loose_types(branches)?);
    Ok((plan, out))
}

/// Joins that keep no column of their right side.
fn keeps_right(join_type: JoinType) -> bool {
    !matches!(join_type, JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark)
}
