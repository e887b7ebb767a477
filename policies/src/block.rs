//! A query block in normal form: the one thing that is emitted, proved, judged and executed.
//!
//! A [`Block`] is closed: whatever SQL can say that has no place here is not a block, and is not
//! split across organisations. Lowering into it and emitting from it are `hedgerow-engine`'s.
//!
//! ```text
//! from    r0  JOIN r1  LEFT JOIN r2 ON …     relations by position, inner conditions in `filter`
//! filter  c1 AND c2 AND …                    conjuncts in canonical order
//! output  Rows: columns, limit               or
//!         Groups: keys, measures             a cell is one measure of one group
//! ```

use std::sync::Arc;

use crate::derived::DERIVED;
use crate::inline::InlineTable;
use crate::scalar::Expr;

/// One query block: relations, conjuncts, and either rows or groups.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Block {
    /// Relations in the order of the text; the first one has [`Join::First`].
    pub from: Vec<Relation>,
    /// Conjuncts that every row meets, conditions of inner joins among them, in canonical order.
    pub filter: Vec<Expr>,
    /// What comes out.
    pub output: Output,
}

/// One thing that rows come from: a contract table, another block, or rows of constants.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Relation {
    /// Where its rows come from.
    pub source: Source,
    /// How it joins what stands before it.
    pub join: Join,
}

/// Where the rows of a relation come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// A contract table.
    Table {
        /// Contract name.
        name: String,
        /// The one organisation it was named in (`northmoor.admitted_care`), if any.
        only: Option<String>,
    },
    /// Another block; its output columns are named `c0…`, or `k0…` and `m0…`.
    Derived(Box<Block>),
    /// Rows of constants, `VALUES`; its columns are named `c0…`.
    Values(Arc<InlineTable>),
}

/// How a relation joins those before it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Join {
    /// The first relation.
    First,
    /// Inner; its conditions stand in [`Block::filter`].
    Inner,
    /// Left outer, with the conjuncts of its ON clause.
    Left(Vec<Expr>),
    /// Rows before it that have a match (EXISTS, IN); it gives no columns.
    Semi(Vec<Expr>),
    /// Rows before it that have no match (NOT EXISTS); it gives no columns.
    Anti(Vec<Expr>),
    /// `value NOT IN (relation)`, with SQL's NULLs; the relation is derived, of one column. Stands
    /// after all relations of other kinds.
    NotIn(Expr),
}

impl Relation {
    /// A contract table.
    pub fn table(name: impl Into<String>, join: Join) -> Self {
        Self { source: Source::Table { name: name.into(), only: None }, join }
    }

    /// Another block.
    pub fn derived(block: Block, join: Join) -> Self {
        Self { source: Source::Derived(Box::new(block)), join }
    }

    /// The contract's name, if it is a table.
    pub fn table_name(&self) -> Option<&str> {
        match &self.source {
            Source::Table { name, .. } => Some(name),
            Source::Derived(_) | Source::Values(_) => None,
        }
    }

    /// The one organisation a table was named in.
    pub fn only(&self) -> Option<&str> {
        match &self.source {
            Source::Table { only, .. } => only.as_deref(),
            Source::Derived(_) | Source::Values(_) => None,
        }
    }

    /// The block it is derived from, if it is.
    pub fn block(&self) -> Option<&Block> {
        match &self.source {
            Source::Table { .. } | Source::Values(_) => None,
            Source::Derived(block) => Some(block),
        }
    }

    /// The rows of constants it is, if it is.
    pub fn inline(&self) -> Option<&InlineTable> {
        match &self.source {
            Source::Table { .. } | Source::Derived(_) => None,
            Source::Values(inline) => Some(inline),
        }
    }

    /// The words it is named by in a message.
    pub fn name(&self) -> &str {
        match &self.source {
            Source::Table { name, .. } => name,
            Source::Derived(_) => DERIVED,
            Source::Values(_) => InlineTable::NAME,
        }
    }
}

impl Join {
    /// The conjuncts of its ON clause; none where its conditions stand in the filter.
    pub fn on(&self) -> &[Expr] {
        match self {
            Self::Left(on) | Self::Semi(on) | Self::Anti(on) => on,
            Self::First | Self::Inner | Self::NotIn(_) => &[],
        }
    }

    /// Its own expressions.
    pub fn expressions(&self) -> &[Expr] {
        match self {
            Self::NotIn(value) => std::slice::from_ref(value),
            other => other.on(),
        }
    }

    /// The same join over other expressions.
    #[must_use]
    pub fn map(self, change: &dyn Fn(Expr) -> Expr) -> Self {
        let many = |l: Vec<Expr>| l.into_iter().map(|e| e.map(change)).collect::<Vec<_>>();
        match self {
            Self::Left(on) => Self::Left(many(on)),
            Self::Semi(on) => Self::Semi(many(on)),
            Self::Anti(on) => Self::Anti(many(on)),
            Self::NotIn(value) => Self::NotIn(value.map(change)),
            same @ (Self::First | Self::Inner) => same,
        }
    }
}

/// What a block yields.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Output {
    /// Plain rows; allowed over open tables only.
    Rows {
        /// One expression per output column.
        columns: Vec<Expr>,
        /// In which order, by output columns; only with a limit.
        order: Vec<OrderKey>,
        /// At most so many rows.
        limit: Option<u64>,
    },
    /// One row per distinct key tuple; no keys is one group.
    Groups {
        /// Group keys.
        keys: Vec<Expr>,
        /// Measures; each gives one cell per group.
        measures: Vec<Measure>,
    },
}

/// One key of an ORDER BY over output columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OrderKey {
    /// Position of the output column.
    pub column: usize,
    /// `DESC`.
    pub descending: bool,
    /// `NULLS FIRST`.
    pub nulls_first: bool,
}

/// An aggregate call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Measure {
    /// Which aggregate.
    pub function: AggregateFunction,
    /// Its arguments; none for `count(*)`.
    pub arguments: Vec<Expr>,
    /// `DISTINCT`.
    pub distinct: bool,
    /// `FILTER (WHERE …)`.
    pub condition: Option<Expr>,
}

/// Aggregates a node computes: standard SQL, and the gate's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the SQL names")]
pub enum AggregateFunction {
    Count,
    Sum,
    Avg,
    Min,
    Max,
    BoolAnd,
    BoolOr,
    BitAnd,
    BitOr,
    BitXor,
    VarPop,
    VarSamp,
    StddevPop,
    StddevSamp,
    CovarPop,
    CovarSamp,
    Corr,
    RegrAvgx,
    RegrAvgy,
    RegrCount,
    RegrIntercept,
    RegrR2,
    RegrSlope,
    RegrSxx,
    RegrSxy,
    RegrSyy,
    /// The gate's own: distinct people, counted no further than k. Never accepted from outside.
    People,
    /// The gate's own: of every person's part in the group, one bit per proof. Never accepted from
    /// outside.
    Profile,
}

impl AggregateFunction {
    const NAMES: [(Self, &'static str); 28] = [
        (Self::Count, "count"),
        (Self::Sum, "sum"),
        (Self::Avg, "avg"),
        (Self::Min, "min"),
        (Self::Max, "max"),
        (Self::BoolAnd, "bool_and"),
        (Self::BoolOr, "bool_or"),
        (Self::BitAnd, "bit_and"),
        (Self::BitOr, "bit_or"),
        (Self::BitXor, "bit_xor"),
        (Self::VarPop, "var_pop"),
        (Self::VarSamp, "var"),
        (Self::StddevPop, "stddev_pop"),
        (Self::StddevSamp, "stddev"),
        (Self::CovarPop, "covar_pop"),
        (Self::CovarSamp, "covar_samp"),
        (Self::Corr, "corr"),
        (Self::RegrAvgx, "regr_avgx"),
        (Self::RegrAvgy, "regr_avgy"),
        (Self::RegrCount, "regr_count"),
        (Self::RegrIntercept, "regr_intercept"),
        (Self::RegrR2, "regr_r2"),
        (Self::RegrSlope, "regr_slope"),
        (Self::RegrSxx, "regr_sxx"),
        (Self::RegrSxy, "regr_sxy"),
        (Self::RegrSyy, "regr_syy"),
        (Self::People, "hedgerow_people"),
        (Self::Profile, "hedgerow_profile"),
    ];

    /// The name DataFusion resolves it by.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(function, _)| *function == self).map_or("", |(_, name)| name)
    }

    /// The aggregate of a name, if it is one that nodes compute.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, known)| *known == name).map(|(function, _)| *function)
    }

    /// Tells whether the answer is some person's own value.
    pub fn is_extreme(self) -> bool {
        matches!(
            self,
            Self::Min
                | Self::Max
                | Self::BoolAnd
                | Self::BoolOr
                | Self::BitAnd
                | Self::BitOr
                | Self::BitXor
        )
    }

    /// Tells whether it is the gate's own, and so accepted from nobody.
    pub fn is_gates_own(self) -> bool {
        matches!(self, Self::People | Self::Profile)
    }

    /// Tells whether it is built from second moments (variance, correlation, regression).
    pub fn is_moment(self) -> bool {
        !self.is_extreme()
            && !self.is_gates_own()
            && !matches!(self, Self::Count | Self::Sum | Self::Avg)
    }
}

impl Block {
    /// Every expression of the block itself with its place, for whoever must look at all of them.
    /// Those of derived relations are not among them.
    pub fn expressions(&self) -> Vec<&Expr> {
        let joins = self.from.iter().flat_map(|relation| relation.join.expressions());
        let output: Vec<&Expr> = match &self.output {
            Output::Rows { columns, .. } => columns.iter().collect(),
            Output::Groups { keys, measures } => keys
                .iter()
                .chain(measures.iter().flat_map(|m| m.arguments.iter().chain(&m.condition)))
                .collect(),
        };
        joins.chain(&self.filter).chain(output).collect()
    }

    /// This block and every block it is derived from.
    pub fn blocks(&self) -> Vec<&Block> {
        let below = self.from.iter().filter_map(Relation::block);
        std::iter::once(self).chain(below.flat_map(Block::blocks)).collect()
    }

    /// Every relation that is a table, those of derived relations among them.
    pub fn table_relations(&self) -> impl Iterator<Item = &Relation> {
        let all = self.blocks().into_iter().flat_map(|block| &block.from);
        all.filter(|relation| relation.table_name().is_some())
    }

    /// The names of all tables it reads, in order, each as often as it occurs.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.table_relations().filter_map(Relation::table_name)
    }

    /// Rebuilds the block with `change` applied to every expression node, children first, and to
    /// those of derived relations.
    #[must_use]
    pub fn map(self, change: &dyn Fn(Expr) -> Expr) -> Block {
        self.map_blocks(&|block| block.map_own(change))
    }

    /// Rebuilds the block with `change` applied to every expression node of its own, children first.
    #[must_use]
    pub fn map_own(self, change: &dyn Fn(Expr) -> Expr) -> Block {
        let many = |l: Vec<Expr>| l.into_iter().map(|e| e.map(change)).collect::<Vec<_>>();
        let joined = |r: Relation| Relation { join: r.join.map(change), ..r };
        Block {
            from: self.from.into_iter().map(joined).collect(),
            filter: many(self.filter),
            output: match self.output {
                Output::Rows { columns, order, limit } => {
                    Output::Rows { columns: many(columns), order, limit }
                }
                Output::Groups { keys, measures } => Output::Groups {
                    keys: many(keys),
                    measures: measures
                        .into_iter()
                        .map(|m| Measure {
                            arguments: many(m.arguments),
                            condition: m.condition.map(|c| c.map(change)),
                            ..m
                        })
                        .collect(),
                },
            },
        }
    }

    /// Rebuilds the block with `change` applied to every block it is derived from, innermost first,
    /// and then to itself.
    #[must_use]
    pub fn map_blocks(mut self, change: &dyn Fn(Block) -> Block) -> Block {
        for relation in &mut self.from {
            if let Source::Derived(block) = &mut relation.source {
                let empty = Output::Rows { columns: vec![], order: vec![], limit: None };
                let hole = Block { from: vec![], filter: vec![], output: empty };
                **block = std::mem::replace(block.as_mut(), hole).map_blocks(change);
            }
        }
        change(self)
    }
}
