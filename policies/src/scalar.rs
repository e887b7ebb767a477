//! Scalar expressions of a block: closed, typed, and in a canonical order.
//!
//! Main type: [`Expr`]. Which of them may stand where is `expression.rs`'s to say.

use arrow::datatypes::DataType;

use crate::window::Window;

/// A column by the position of its relation and its name.
pub type ColumnPlace<'a> = (usize, &'a str);

/// A scalar expression over the relations of a block.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Expr {
    /// A column of a relation, by position.
    Column {
        /// Index into [`Block::from`].
        relation: usize,
        /// Contract column name.
        name: String,
    },
    /// The virtual column `organisation` of a relation; a literal by the time a node sees it.
    Organisation {
        /// Index into [`Block::from`].
        relation: usize,
    },
    /// A typed constant.
    Literal(Literal),
    /// The value of a subquery that is known before the block is asked; a literal by the time a node
    /// sees it.
    Parameter {
        /// Number in the statement.
        index: usize,
        /// Its type.
        data_type: TypeName,
    },
    /// Flat conjunction of two or more.
    And(Vec<Expr>),
    /// Flat disjunction of two or more.
    Or(Vec<Expr>),
    /// Negation.
    Not(Box<Expr>),
    /// Unary minus.
    Negative(Box<Expr>),
    /// `IS [NOT] NULL | TRUE | FALSE | UNKNOWN`.
    Is {
        /// What is tested.
        operand: Box<Expr>,
        /// For what.
        test: UnaryTest,
        /// `IS NOT`.
        negated: bool,
    },
    /// A binary operator other than AND and OR.
    Binary {
        /// Left operand.
        left: Box<Expr>,
        /// Operator.
        operator: BinaryOperator,
        /// Right operand.
        right: Box<Expr>,
    },
    /// `[NOT] BETWEEN`.
    Between {
        /// What is tested.
        operand: Box<Expr>,
        /// NOT BETWEEN.
        negated: bool,
        /// Lower end, inclusive.
        low: Box<Expr>,
        /// Upper end, inclusive.
        high: Box<Expr>,
    },
    /// `[NOT] IN (list)`.
    InList {
        /// What is tested.
        operand: Box<Expr>,
        /// The list.
        list: Vec<Expr>,
        /// NOT IN.
        negated: bool,
    },
    /// `[NOT] LIKE | ILIKE`.
    Like {
        /// What is matched.
        operand: Box<Expr>,
        /// The pattern.
        pattern: Box<Expr>,
        /// Escape character.
        escape: Option<char>,
        /// NOT LIKE.
        negated: bool,
        /// ILIKE.
        case_insensitive: bool,
    },
    /// `CASE`.
    Case {
        /// Operand of a simple CASE.
        operand: Option<Box<Expr>>,
        /// WHEN and THEN.
        branches: Vec<(Expr, Expr)>,
        /// ELSE.
        otherwise: Option<Box<Expr>>,
    },
    /// `CAST` or `TRY_CAST`.
    Cast {
        /// What is cast.
        operand: Box<Expr>,
        /// To which type.
        to: TypeName,
        /// TRY_CAST: NULL instead of an error.
        or_null: bool,
    },
    /// A deterministic scalar function.
    Function {
        /// Name DataFusion resolves it by.
        name: String,
        /// Arguments.
        arguments: Vec<Expr>,
    },
    /// A window: only as an output column of derived rows.
    Window(Box<Window>),
}

/// What IS tests for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the SQL names")]
pub enum UnaryTest {
    Null,
    True,
    False,
    Unknown,
}

/// Binary operators other than AND and OR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say which")]
pub enum BinaryOperator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    IsDistinctFrom,
    IsNotDistinctFrom,
    Plus,
    Minus,
    Multiply,
    Divide,
    Modulo,
    Concat,
    RegexMatch,
    RegexIMatch,
    RegexNotMatch,
    RegexNotIMatch,
    BitwiseAnd,
    BitwiseOr,
    BitwiseXor,
    ShiftLeft,
    ShiftRight,
}

impl BinaryOperator {
    /// Tells whether it compares and yields a Boolean.
    pub fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::Equal
                | Self::NotEqual
                | Self::Less
                | Self::LessOrEqual
                | Self::Greater
                | Self::GreaterOrEqual
                | Self::IsDistinctFrom
                | Self::IsNotDistinctFrom
        )
    }

    /// Tells whether it works on bits (used to pack several values into one).
    pub fn is_bitwise(self) -> bool {
        matches!(
            self,
            Self::BitwiseAnd
                | Self::BitwiseOr
                | Self::BitwiseXor
                | Self::ShiftLeft
                | Self::ShiftRight
        )
    }
}

/// An Arrow type with the order that canonical expressions need.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TypeName(pub DataType);

impl PartialOrd for TypeName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TypeName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.to_string().cmp(&other.0.to_string())
    }
}

/// A typed constant as its canonical text; `None` is a typed NULL.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Literal {
    /// Its type.
    pub data_type: TypeName,
    /// Text that casts back to the very same value; `None` for NULL.
    pub text: Option<String>,
}

impl Literal {
    /// A string constant.
    pub fn utf8(text: impl Into<String>) -> Self {
        Self { data_type: TypeName(DataType::Utf8), text: Some(text.into()) }
    }

    /// An Int64 constant.
    pub fn int64(value: i64) -> Self {
        Self { data_type: TypeName(DataType::Int64), text: Some(value.to_string()) }
    }

    /// A Boolean constant.
    pub fn boolean(value: bool) -> Self {
        Self { data_type: TypeName(DataType::Boolean), text: Some(value.to_string()) }
    }

    /// The Float64 constant -0.0.
    pub fn negative_zero() -> Self {
        Self { data_type: TypeName(DataType::Float64), text: Some("-0.0".to_owned()) }
    }

    /// Tells whether it is a number equal to zero, or NULL.
    pub fn is_zero_or_null(&self) -> bool {
        match &self.text {
            None => true,
            Some(text) => {
                self.data_type.0.is_numeric() && text.parse::<f64>().is_ok_and(|v| v == 0.0)
            }
        }
    }

    /// Tells whether it is a number equal to one.
    pub fn is_one(&self) -> bool {
        self.data_type.0.is_numeric()
            && self.text.as_deref().is_some_and(|t| t.parse::<f64>().is_ok_and(|v| v == 1.0))
    }
}

impl Expr {
    /// Calls `visit` on this expression and everything below it, parents first.
    pub fn walk(&self, visit: &mut dyn FnMut(&Expr)) {
        visit(self);
        for child in self.children() {
            child.walk(visit);
        }
    }

    /// Tells whether a part of it, itself among them, meets a condition.
    pub fn any(&self, meets: &dyn Fn(&Expr) -> bool) -> bool {
        meets(self) || self.children().into_iter().any(|child| child.any(meets))
    }

    /// The direct operands, in order.
    pub fn children(&self) -> Vec<&Expr> {
        match self {
            Self::Column { .. }
            | Self::Organisation { .. }
            | Self::Literal(_)
            | Self::Parameter { .. } => vec![],
            Self::And(list) | Self::Or(list) => list.iter().collect(),
            Self::Not(operand)
            | Self::Negative(operand)
            | Self::Is { operand, .. }
            | Self::Cast { operand, .. } => vec![operand],
            Self::Binary { left, right, .. } => vec![left, right],
            Self::Between { operand, low, high, .. } => vec![operand, low, high],
            Self::InList { operand, list, .. } => {
                std::iter::once(operand.as_ref()).chain(list).collect()
            }
            Self::Like { operand, pattern, .. } => vec![operand, pattern],
            Self::Case { operand, branches, otherwise } => operand
                .iter()
                .map(AsRef::as_ref)
                .chain(branches.iter().flat_map(|(when, then)| [when, then]))
                .chain(otherwise.iter().map(AsRef::as_ref))
                .collect(),
            Self::Function { arguments, .. } => arguments.iter().collect(),
            Self::Window(window) => window.operands().collect(),
        }
    }

    /// Rebuilds the expression with `change` applied to every node, children first.
    #[must_use]
    pub fn map(self, change: &dyn Fn(Expr) -> Expr) -> Expr {
        let one = |e: Box<Expr>| Box::new(e.map(change));
        let many = |l: Vec<Expr>| l.into_iter().map(|e| e.map(change)).collect::<Vec<_>>();
        let rebuilt = match self {
            leaf @ (Self::Column { .. }
            | Self::Organisation { .. }
            | Self::Literal(_)
            | Self::Parameter { .. }) => leaf,
            Self::And(list) => Self::And(many(list)),
            Self::Or(list) => Self::Or(many(list)),
            Self::Not(operand) => Self::Not(one(operand)),
            Self::Negative(operand) => Self::Negative(one(operand)),
            Self::Is { operand, test, negated } => {
                Self::Is { operand: one(operand), test, negated }
            }
            Self::Binary { left, operator, right } => {
                Self::Binary { left: one(left), operator, right: one(right) }
            }
            Self::Between { operand, negated, low, high } => {
                Self::Between { operand: one(operand), negated, low: one(low), high: one(high) }
            }
            Self::InList { operand, list, negated } => {
                Self::InList { operand: one(operand), list: many(list), negated }
            }
            Self::Like { operand, pattern, escape, negated, case_insensitive } => Self::Like {
                operand: one(operand),
                pattern: one(pattern),
                escape,
                negated,
                case_insensitive,
            },
            Self::Case { operand, branches, otherwise } => Self::Case {
                operand: operand.map(one),
                branches: branches
                    .into_iter()
                    .map(|(when, then)| (when.map(change), then.map(change)))
                    .collect(),
                otherwise: otherwise.map(one),
            },
            Self::Cast { operand, to, or_null } => {
                Self::Cast { operand: one(operand), to, or_null }
            }
            Self::Function { name, arguments } => {
                Self::Function { name, arguments: many(arguments) }
            }
            Self::Window(window) => Self::Window(Box::new(window.map(change).canonical())),
        };
        change(rebuilt)
    }

    /// Tells whether it is, or holds, a window.
    pub fn has_window(&self) -> bool {
        let mut found = false;
        self.walk(&mut |part| found |= matches!(part, Self::Window(_)));
        found
    }

    /// Joins conjuncts into one expression; none is TRUE.
    pub fn conjunction(mut conjuncts: Vec<Expr>) -> Expr {
        match conjuncts.len() {
            0 => Self::Literal(Literal::boolean(true)),
            1 => conjuncts.remove(0),
            _ => Self::And(conjuncts),
        }
    }

    /// The relations it reads columns of (the organisation column included).
    pub fn relations(&self) -> std::collections::BTreeSet<usize> {
        let mut found = std::collections::BTreeSet::new();
        self.walk(&mut |e| {
            if let Expr::Column { relation, .. } | Expr::Organisation { relation } = e {
                found.insert(*relation);
            }
        });
        found
    }

    /// The two sides of an equality between columns, if it is one.
    pub fn column_equality(&self) -> Option<(ColumnPlace<'_>, ColumnPlace<'_>)> {
        let Self::Binary { left, operator: BinaryOperator::Equal, right } = self else {
            return None;
        };
        match (left.as_ref(), right.as_ref()) {
            (Self::Column { relation: a, name: x }, Self::Column { relation: b, name: y }) => {
                Some(((*a, x), (*b, y)))
            }
            _ => None,
        }
    }
}
