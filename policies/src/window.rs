//! Windows of a block: a closed list of functions over partitions, orders and frames.
//!
//! A window stands only as an output column of derived rows; what it may be over protected tables is
//! `derived.rs`'s to say. Main type: [`Window`].

use crate::scalar::Expr;

/// `function(arguments) OVER (PARTITION BY … ORDER BY … frame)`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Window {
    /// Which function.
    pub function: WindowFunction,
    /// Its arguments; none for `count(*)`.
    pub arguments: Vec<Expr>,
    /// Rows that agree in these are one partition; constants are left out.
    pub partition: Vec<Expr>,
    /// In which order; constants are left out.
    pub order: Vec<WindowOrder>,
    /// Which rows of the partition a frame holds.
    pub frame: Frame,
}

/// One key of the order of a window.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WindowOrder {
    /// By what.
    pub expr: Expr,
    /// `DESC`.
    pub descending: bool,
    /// `NULLS FIRST`.
    pub nulls_first: bool,
}

/// A frame with its bounds written out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Frame {
    /// What the bounds count.
    pub units: FrameUnits,
    /// First row.
    pub start: FrameBound,
    /// Last row.
    pub end: FrameBound,
}

/// What the bounds of a frame count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FrameUnits {
    /// Single rows.
    Rows,
    /// Values of the order; its bounds are never counted.
    Range,
    /// Groups of rows that are equal in the order.
    Groups,
}

/// One end of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the SQL names")]
pub enum FrameBound {
    UnboundedPreceding,
    Preceding(u64),
    CurrentRow,
    Following(u64),
    UnboundedFollowing,
}

/// Window functions of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the SQL names")]
pub enum WindowFunction {
    RowNumber,
    Rank,
    DenseRank,
    Lag,
    Lead,
    FirstValue,
    LastValue,
    Count,
    Sum,
    Avg,
    Min,
    Max,
}

impl WindowFunction {
    /// All of them, with the names DataFusion resolves them by.
    pub const NAMES: [(Self, &'static str); 12] = [
        (Self::RowNumber, "row_number"),
        (Self::Rank, "rank"),
        (Self::DenseRank, "dense_rank"),
        (Self::Lag, "lag"),
        (Self::Lead, "lead"),
        (Self::FirstValue, "first_value"),
        (Self::LastValue, "last_value"),
        (Self::Count, "count"),
        (Self::Sum, "sum"),
        (Self::Avg, "avg"),
        (Self::Min, "min"),
        (Self::Max, "max"),
    ];

    /// The name DataFusion resolves it by.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(function, _)| *function == self).map_or("", |(_, name)| name)
    }

    /// The function of a name, if it has a place in a block.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, known)| *known == name).map(|(function, _)| *function)
    }
}

impl Window {
    /// Its operands, in order.
    pub fn operands(&self) -> impl Iterator<Item = &Expr> {
        let order = self.order.iter().map(|key| &key.expr);
        self.arguments.iter().chain(&self.partition).chain(order)
    }

    /// The same window over other operands.
    #[must_use]
    pub fn map(self, change: &dyn Fn(Expr) -> Expr) -> Self {
        let many = |l: Vec<Expr>| l.into_iter().map(|e| e.map(change)).collect::<Vec<_>>();
        let ordered = |key: WindowOrder| WindowOrder { expr: key.expr.map(change), ..key };
        Self {
            arguments: many(self.arguments),
            partition: many(self.partition),
            order: self.order.into_iter().map(ordered).collect(),
            ..self
        }
    }

    /// The window in normal form: a constant parts nothing and orders nothing.
    #[must_use]
    pub fn canonical(mut self) -> Self {
        let says = |expr: &Expr| !matches!(expr, Expr::Literal(_));
        self.partition.retain(says);
        self.order.retain(|key| says(&key.expr));
        self
    }
}
