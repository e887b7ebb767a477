//! Lowers windows: rows with windows are a derived relation of their own.
//!
//! What stands above a window reads its number and is never computed below it, so nothing may be
//! substituted through: the rows, with their windows as bare columns, become one relation.

use std::collections::BTreeSet;

use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::{WindowFunction as WindowCall, WindowFunctionParams};
use datafusion::logical_expr::{
    Expr as DfExpr, LogicalPlan, Projection, Window as WindowPlan, WindowFrame, WindowFrameBound,
    WindowFrameUnits,
};
use hedgerow_policies::{Expr, Frame, FrameBound, FrameUnits, Window, WindowFunction, WindowOrder};

use super::expression::Names;
use super::lower::{Lowering, NotABlock, Scope};

impl Lowering<'_> {
    /// Rows with windows, all of them.
    pub(super) fn windows(&self, plan: &WindowPlan) -> Result<Scope, NotABlock> {
        Ok(Scope::derived(self.scope_of_windows(plan)?.into_rows(), false))
    }

    /// A projection of rows with windows. Where all of its columns are bare windows or hold none,
    /// they are the columns of the relation; else the relation has what they read.
    pub(super) fn projected_windows(
        &self,
        projection: &Projection,
        plan: &WindowPlan,
    ) -> Result<Scope, NotABlock> {
        let mut scope = self.scope_of_windows(plan)?;
        let names = self.names(&plan.schema, &scope.columns);
        let columns = names.lower_all(&projection.expr)?;
        if !columns.iter().any(Expr::has_window) {
            // Windows that nobody reads change no row.
            scope.columns = columns;
            return Ok(scope);
        }
        let bare = |column: &Expr| matches!(column, Expr::Window(_)) || !column.has_window();
        if columns.iter().all(bare) {
            scope.columns = columns;
            return Ok(Scope::derived(scope.into_rows(), false));
        }
        let mut read: BTreeSet<usize> = BTreeSet::new();
        for column in projection.expr.iter().flat_map(DfExpr::column_refs) {
            read.extend(plan.schema.maybe_index_of_column(column));
        }
        let kept = read.iter().filter_map(|index| scope.columns.get(*index).cloned()).collect();
        scope.columns = kept;
        let mut derived = Scope::derived(scope.into_rows(), false);
        let fields = read
            .iter()
            .map(|index| plan.schema.qualified_field(*index))
            .map(|(qualifier, field)| (qualifier.cloned(), field.clone()));
        let schema = DFSchema::new_with_metadata(fields.collect(), Default::default())
            .map_err(|_| NotABlock::new("windows with the same name"))?;
        let columns = self.names(&schema, &derived.columns).lower_all(&projection.expr)?;
        derived.columns = columns;
        Ok(derived)
    }

    /// The rows below windows, with a column for each of theirs and for each window.
    fn scope_of_windows(&self, plan: &WindowPlan) -> Result<Scope, NotABlock> {
        let mut scope = match plan.input.as_ref() {
            // Windows of different orders stand one above the other, over the same rows.
            LogicalPlan::Window(below) => self.scope_of_windows(below)?,
            other => self.scope(other)?,
        };
        let names = self.names(plan.input.schema(), &scope.columns);
        let windows = plan
            .window_expr
            .iter()
            .map(|expr| window(&names, expr))
            .collect::<Result<Vec<_>, _>>()?;
        scope.columns.extend(windows);
        Ok(scope)
    }
}

fn window(names: &Names<'_>, expr: &DfExpr) -> Result<Expr, NotABlock> {
    let call = match expr {
        DfExpr::Alias(alias) => return window(names, &alias.expr),
        DfExpr::WindowFunction(call) => call.as_ref(),
        _ => return Err(NotABlock::new("a window inside an expression")),
    };
    let WindowCall { fun, params } = call;
    let name = fun.name();
    let function = WindowFunction::from_name(name)
        .ok_or_else(|| NotABlock::new(format!("`{name}` as a window")))?;
    let WindowFunctionParams {
        args,
        partition_by,
        order_by,
        window_frame,
        filter,
        null_treatment,
        distinct,
    } = params;
    if filter.is_some() || null_treatment.is_some() || *distinct {
        return Err(NotABlock::new(format!("`{name}` as a window with FILTER, DISTINCT or NULLS")));
    }
    let mut arguments = names.lower_all(args)?;
    if function == WindowFunction::Count
        && matches!(arguments.as_slice(), [Expr::Literal(l)] if l.text.is_some())
    {
        arguments.clear();
    }
    let order = order_by
        .iter()
        .map(|key| {
            Ok(WindowOrder {
                expr: names.lower(&key.expr)?,
                descending: !key.asc,
                nulls_first: key.nulls_first,
            })
        })
        .collect::<Result<_, NotABlock>>()?;
    let window = Window {
        function,
        arguments,
        partition: names.lower_all(partition_by)?,
        order,
        frame: frame(window_frame)?,
    }
    .canonical();
    if window.operands().any(Expr::has_window) {
        return Err(NotABlock::new("a window over a window"));
    }
    if window.frame.units == FrameUnits::Groups && window.order.is_empty() {
        return Err(NotABlock::new("GROUPS without an order"));
    }
    Ok(Expr::Window(Box::new(window)))
}

fn frame(frame: &WindowFrame) -> Result<Frame, NotABlock> {
    let units = match frame.units {
        WindowFrameUnits::Rows => FrameUnits::Rows,
        WindowFrameUnits::Range => FrameUnits::Range,
        WindowFrameUnits::Groups => FrameUnits::Groups,
    };
    let counted = |value: &ScalarValue| match value {
        ScalarValue::UInt64(Some(rows)) if units != FrameUnits::Range => Ok(*rows),
        _ => Err(NotABlock::new("a frame whose bounds are not numbers of rows")),
    };
    let bound = |bound: &WindowFrameBound| -> Result<FrameBound, NotABlock> {
        Ok(match bound {
            WindowFrameBound::Preceding(value) if value.is_null() => FrameBound::UnboundedPreceding,
            WindowFrameBound::Preceding(value) => FrameBound::Preceding(counted(value)?),
            WindowFrameBound::CurrentRow => FrameBound::CurrentRow,
            WindowFrameBound::Following(value) if value.is_null() => FrameBound::UnboundedFollowing,
            WindowFrameBound::Following(value) => FrameBound::Following(counted(value)?),
        })
    };
    Ok(Frame { units, start: bound(&frame.start_bound)?, end: bound(&frame.end_bound)? })
}
