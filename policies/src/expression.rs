//! What an expression may contain, by the place it stands in (rules S2, S3, S4, S9).
//!
//! Keys and conditions are total by construction: a node evaluates what could fail on some row through
//! a wrapper that writes NULL for that row, so no error can tell a row apart. What is allowed here is
//! therefore what is deterministic and has no effects. Inside a sum nothing may fail or wrap at all:
//! there is no arithmetic but the days between two dates and what `measure` allows.

use std::sync::Arc;

use arrow::datatypes::DataType;

use crate::contract::{Role, TableContract};
use crate::derived::DERIVED;
use crate::measure::{check_arithmetic, is_arithmetic};
use crate::refusal::{Refusal, Rule};
use crate::scalar::{BinaryOperator, Expr};

/// Where an expression stands in a protected question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// A group key (S2).
    Key,
    /// WHERE, ON, FILTER, WHEN.
    Condition,
    /// The argument of `count(x)`.
    Counted,
    /// The argument of `sum` or `avg` (S3).
    Measured,
    /// The argument of a moment: variance, correlation, regression (S3).
    Continuous,
}

/// Deterministic functions that may fail on a row, which then has NULL.
const WRAPPED_FUNCTIONS: &[&str] = &[
    "abs",
    "ascii",
    "ceil",
    "date_bin",
    "date_trunc",
    "exp",
    "floor",
    "initcap",
    "ln",
    "log10",
    "lpad",
    "power",
    "regexp_like",
    "regexp_replace",
    "repeat",
    "replace",
    "reverse",
    "round",
    "rpad",
    "signum",
    "split_part",
    "sqrt",
    "strpos",
    "to_char",
    "translate",
    "trunc",
];

/// Deterministic functions that cannot fail on any value of their first argument.
const TOTAL_FUNCTIONS: &[&str] = &[
    "btrim",
    "character_length",
    "coalesce",
    "concat",
    "date_part",
    "greatest",
    "least",
    "left",
    "lower",
    "ltrim",
    "nullif",
    "right",
    "rtrim",
    "starts_with",
    "substr",
    "trim",
    "upper",
];

/// Longest LIKE pattern: a longer one may not compile once there is a row to match.
const PATTERN_BYTES_MAX: usize = 256;

/// Most values that `least(n, cap)` may leave besides the first.
const CAP_MAX: f64 = 20.0;

/// Parts of a date that `date_part` gives for every value. `date_trunc` fails on far dates.
const DATE_PARTS: &[&str] = &["year", "quarter", "month", "week", "day", "dow", "doy"];

/// Parts of a time of day, which every timestamp has and no date.
const TIME_PARTS: &[&str] = &["hour", "minute"];

/// The contracts of a block's relations, by position.
#[derive(Clone, Copy)]
pub(crate) struct Places<'a> {
    pub(crate) contracts: &'a [Arc<TableContract>],
}

/// What a column is, seen from a protected question.
enum ColumnKind {
    /// Of an open relation.
    Open,
    Dimension,
    Measure {
        continuous: bool,
    },
    Identifier,
}

impl<'a> Places<'a> {
    /// Tells whether a relation holds rows about people; one that is not known does.
    pub(crate) fn is_protected(self, relation: usize) -> bool {
        self.contracts.get(relation).is_none_or(|contract| contract.is_protected())
    }

    /// Tells whether the contract lists the product of two columns.
    pub(crate) fn lists_product(self, relation: usize, x: &str, y: &str) -> bool {
        self.contracts.get(relation).is_some_and(|contract| contract.lists_product(x, y))
    }

    /// The sides of `date - date`: whole days, which every two dates have between them.
    pub(crate) fn date_difference(self, expr: &Expr) -> Option<(&Expr, &Expr)> {
        let Expr::Binary { left, operator: BinaryOperator::Minus, right } = expr else {
            return None;
        };
        let date = |side: &Expr| self.type_of(side) == Some(&DataType::Date32);
        (date(left) && date(right)).then_some((left.as_ref(), right.as_ref()))
    }

    /// The type of a column or constant.
    fn type_of<'t>(self, expr: &'t Expr) -> Option<&'t DataType>
    where
        'a: 't,
    {
        match expr {
            Expr::Column { relation, name } => {
                Some(&self.contracts.get(*relation)?.column(name)?.data_type)
            }
            Expr::Literal(literal) => Some(&literal.data_type.0),
            _ => None,
        }
    }

    fn kind(&self, relation: usize, name: &str) -> (ColumnKind, bool) {
        let Some(contract) = self.contracts.get(relation) else {
            return (ColumnKind::Identifier, false);
        };
        let Some(column) = contract.column(name) else {
            return (ColumnKind::Identifier, false);
        };
        if !contract.is_protected() {
            return (ColumnKind::Open, false);
        }
        if self.is_derived(relation) && column.roles == [Role::Open] {
            return (ColumnKind::Open, false);
        }
        let measure = column.has_role(Role::Measure);
        if column.has_role(Role::Identifier) {
            // Whatever other role it holds: one that names a person is never a group.
            return (ColumnKind::Identifier, false);
        }
        if column.has_role(Role::Dimension) || column.has_role(Role::Open) {
            (ColumnKind::Dimension, measure)
        } else if measure {
            (ColumnKind::Measure { continuous: column.continuous }, true)
        } else {
            (ColumnKind::Identifier, false)
        }
    }

    /// Checks an expression for a place.
    ///
    /// # Errors
    /// A [`Refusal`] that names the offending part.
    pub(crate) fn check(&self, expr: &Expr, place: Use) -> Result<(), Refusal> {
        match place {
            Use::Key => self.check_key(expr),
            Use::Condition => self.check_condition(expr),
            Use::Counted => self.check_counted(expr),
            Use::Measured | Use::Continuous => self.check_measured(expr, place),
        }
    }

    // --------------------------------------------------------------- S2

    fn check_key(&self, expr: &Expr) -> Result<(), Refusal> {
        match expr {
            Expr::Column { relation, name } => match self.kind(*relation, name).0 {
                ColumnKind::Open | ColumnKind::Dimension => Ok(()),
                ColumnKind::Measure { .. } if self.is_derived(*relation) => Err(Refusal::new(
                    Rule::S2Key,
                    "a number of single people cannot be a group key as it is",
                    "band it, such as CASE WHEN n = 1 THEN '1' ELSE '2 or more' END, or cap a count: \
                     least(n, 3)",
                )),
                ColumnKind::Measure { .. } => Err(Refusal::new(
                    Rule::S2Key,
                    format!("measure `{name}` cannot be a group key: its values are nearly unique"),
                    format!(
                        "band it: CASE WHEN {name} < 18 THEN 'under 18' ELSE '18 and over' END"
                    ),
                )),
                ColumnKind::Identifier => Err(identifier(name)),
            },
            Expr::Literal(_) | Expr::Organisation { .. } => Ok(()),
            Expr::Case { operand: None, branches, otherwise } => {
                for (when, then) in branches {
                    self.check_band(when)?;
                    self.check_key(then)?;
                }
                otherwise.as_deref().map_or(Ok(()), |e| self.check_key(e))
            }
            Expr::Binary { operator, .. } if operator.is_comparison() => self.check_band(expr),
            Expr::Between { .. } => self.check_band(expr),
            capped if self.is_capped(capped) => Ok(()),
            other => {
                if let Some((Expr::Column { .. }, Expr::Column { .. })) =
                    self.date_difference(other)
                {
                    return Err(Refusal::new(
                        Rule::S2Key,
                        "the days between two dates are a measure and cannot be a group key",
                        "band them: CASE WHEN a - b < 7 THEN 'under a week' ELSE 'longer' END",
                    ));
                }
                check_deterministic(other)?;
                other.children().into_iter().try_for_each(|child| self.check_key(child))
            }
        }
    }

    fn is_derived(&self, relation: usize) -> bool {
        self.contracts.get(relation).is_some_and(|contract| contract.name == DERIVED)
    }

    /// `least(n, 3)` of a whole number with a declared range: as many bands as a CASE would have.
    fn is_capped(&self, expr: &Expr) -> bool {
        let Expr::Function { name, arguments } = expr else { return false };
        let [Expr::Column { relation, name: column }, Expr::Literal(cap)] = arguments.as_slice()
        else {
            return false;
        };
        let kind = self.kind(*relation, column).0;
        let contract = self.contracts.get(*relation).and_then(|contract| contract.column(column));
        let least = contract.filter(|c| c.data_type.is_integer()).and_then(|c| c.range);
        let cap = cap.text.as_deref().and_then(|text| text.parse::<i32>().ok()).map(f64::from);
        name == "least"
            && matches!(kind, ColumnKind::Measure { .. })
            && matches!((least, cap), (Some((least, _)), Some(cap)) if cap - least <= CAP_MAX)
    }

    /// A condition inside a key: a measure may be compared there with constants only.
    fn check_band(&self, expr: &Expr) -> Result<(), Refusal> {
        let compares = match expr {
            Expr::Binary { operator, .. } => operator.is_comparison(),
            Expr::Between { .. } | Expr::InList { .. } => true,
            _ => false,
        };
        let children = expr.children();
        let constants = children.iter().filter(|e| matches!(e, Expr::Literal(_))).count();
        let banded = compares && constants + 1 == children.len();
        if banded || matches!(expr, Expr::Is { .. }) {
            return self.check_condition(expr);
        }
        match expr {
            Expr::And(_) | Expr::Or(_) | Expr::Not(_) => {
                children.into_iter().try_for_each(|child| self.check_band(child))
            }
            other => {
                check_deterministic(other)?;
                children.into_iter().try_for_each(|child| self.check_key(child))
            }
        }
    }

    // --------------------------------------------------------------- S4, S9

    fn check_condition(&self, expr: &Expr) -> Result<(), Refusal> {
        if let Expr::Column { relation, name } = expr {
            return match self.kind(*relation, name).0 {
                ColumnKind::Identifier => Err(identifier(name)),
                ColumnKind::Open | ColumnKind::Dimension | ColumnKind::Measure { .. } => Ok(()),
            };
        }
        if let Some(name) = self.identifier_beside_literal(expr) {
            return Err(Refusal::new(
                Rule::S4Literal,
                format!("identifier `{name}` is compared with a value"),
                "filter on dimensions and measures; nobody can be looked up",
            ));
        }
        check_deterministic(expr)?;
        expr.children().into_iter().try_for_each(|child| self.check_condition(child))
    }

    fn identifier_beside_literal(&self, expr: &Expr) -> Option<String> {
        let children = expr.children();
        let literal = children.iter().any(|e| matches!(e, Expr::Literal(_)));
        children.into_iter().filter(|_| literal).find_map(|child| match child {
            Expr::Column { relation, name }
                if matches!(self.kind(*relation, name).0, ColumnKind::Identifier) =>
            {
                Some(name.clone())
            }
            _ => None,
        })
    }

    // --------------------------------------------------------------- S3

    fn check_counted(&self, expr: &Expr) -> Result<(), Refusal> {
        match expr {
            Expr::Column { relation, name } => match self.kind(*relation, name).0 {
                ColumnKind::Dimension | ColumnKind::Measure { .. } => Ok(()),
                ColumnKind::Open => Err(open_in_aggregate(name)),
                ColumnKind::Identifier => Err(identifier(name)),
            },
            Expr::Literal(literal) if literal.text.is_some() => Ok(()),
            Expr::Case { .. } => self.check_conditional(expr, Use::Counted),
            _ if is_arithmetic(expr) => check_arithmetic(*self, expr),
            _ => Err(bare_measure()),
        }
    }

    fn check_measured(&self, expr: &Expr, place: Use) -> Result<(), Refusal> {
        match expr {
            Expr::Column { relation, name } => match self.kind(*relation, name) {
                (ColumnKind::Open, _) => Err(open_in_aggregate(name)),
                (ColumnKind::Identifier, _) => Err(identifier(name)),
                (ColumnKind::Measure { continuous: false }, _) if place == Use::Continuous => {
                    Err(not_continuous(name))
                }
                (ColumnKind::Dimension, _) if place == Use::Continuous => Err(not_continuous(name)),
                (ColumnKind::Measure { .. }, _) | (ColumnKind::Dimension, true) => Ok(()),
                (ColumnKind::Dimension, false) => Err(Refusal::new(
                    Rule::S3Measure,
                    format!("dimension `{name}` cannot be summed or averaged"),
                    "make it a group key, or count it",
                )),
            },
            Expr::Case { .. } if place == Use::Measured => {
                self.check_conditional(expr, Use::Measured)
            }
            _ if place == Use::Measured && is_arithmetic(expr) => check_arithmetic(*self, expr),
            _ => Err(bare_measure()),
        }
    }

    /// `CASE WHEN c THEN x [ELSE 0|NULL] END`: a measure under one condition.
    fn check_conditional(&self, expr: &Expr, place: Use) -> Result<(), Refusal> {
        let Expr::Case { operand: None, branches, otherwise } = expr else {
            return Err(bare_measure());
        };
        let [(when, then)] = branches.as_slice() else { return Err(bare_measure()) };
        self.check_condition(when)?;
        let nothing = |e: &Expr| matches!(e, Expr::Literal(l) if l.is_zero_or_null());
        if !otherwise.as_deref().is_none_or(nothing) {
            return Err(bare_measure());
        }
        match then {
            Expr::Literal(literal) if literal.is_one() => Ok(()),
            Expr::Column { .. } => self.check(then, place),
            _ => Err(bare_measure()),
        }
    }
}

/// S9: node kinds whose value follows from the row alone, if they have one.
fn check_deterministic(expr: &Expr) -> Result<(), Refusal> {
    match expr {
        Expr::Column { .. }
        | Expr::Organisation { .. }
        | Expr::Literal(_)
        | Expr::Parameter { .. }
        | Expr::And(_)
        | Expr::Or(_)
        | Expr::Not(_)
        | Expr::Is { .. }
        | Expr::Between { .. }
        | Expr::InList { .. }
        | Expr::Case { .. }
        | Expr::Cast { .. }
        | Expr::Like { .. }
        | Expr::Negative(_) => Ok(()),
        Expr::Binary { operator, .. } if operator.is_bitwise() => Err(Refusal::new(
            Rule::S9Function,
            "a bitwise operator over the columns of a protected table is not allowed below the \
             aggregate",
            "compare columns with constants, and calculate with the released results",
        )),
        Expr::Binary { .. } => Ok(()),
        Expr::Function { name, .. } if is_known(name) => Ok(()),
        Expr::Function { name, .. } => {
            let mut known: Vec<&str> =
                TOTAL_FUNCTIONS.iter().chain(WRAPPED_FUNCTIONS).copied().collect();
            known.sort_unstable();
            Err(Refusal::new(
                Rule::S9Function,
                format!("function `{name}` is not allowed over a protected table"),
                format!("allowed are: {}", known.join(", ")),
            ))
        }
        Expr::Window(window) => Err(Refusal::new(
            Rule::S7BelowGate,
            format!("the window of `{}` stands inside an expression", window.function.name()),
            "give it a name in a subquery, partitioned by the person column",
        )),
    }
}

fn is_known(name: &str) -> bool {
    TOTAL_FUNCTIONS.contains(&name) || WRAPPED_FUNCTIONS.contains(&name)
}

/// Tells whether a function with these arguments has a value for every row; `constants` has the
/// text of each argument that is a constant, and `moment` says that the last one has a time of day.
///
/// What it does not know may fail.
pub fn is_total_function(name: &str, constants: &[Option<&str>], moment: bool) -> bool {
    let constant = |place: usize| constants.get(place).copied().flatten();
    let positive = |text: Option<&str>| {
        text.is_some_and(|text| text.parse::<i64>().is_ok_and(|number| number > 0))
    };
    let part = constant(0).map(str::to_lowercase);
    let among = |parts: &[&str]| part.as_ref().is_some_and(|part| parts.contains(&part.as_str()));
    match name {
        "substr" | "left" | "right" => (1..constants.len()).all(|place| positive(constant(place))),
        "date_part" => among(DATE_PARTS) || moment && among(TIME_PARTS),
        other => TOTAL_FUNCTIONS.contains(&other),
    }
}

/// Tells whether a LIKE pattern compiles, whatever it is matched with.
pub fn is_total_pattern(pattern: &str) -> bool {
    pattern.len() <= PATTERN_BYTES_MAX
}

fn identifier(name: &str) -> Refusal {
    Refusal::new(
        Rule::S4Identifier,
        format!(
            "identifier `{name}` may only join tables or be counted with `count(DISTINCT {name})`"
        ),
        "group, filter and measure by dimensions and measures instead",
    )
}

fn open_in_aggregate(name: &str) -> Refusal {
    Refusal::new(
        Rule::S3Measure,
        format!("column `{name}` of an open table stands inside an aggregate over protected rows"),
        "use it as a group key, and calculate with it after the aggregate",
    )
}

fn not_continuous(name: &str) -> Refusal {
    Refusal::new(
        Rule::S3Measure,
        format!("`{name}` is not declared `continuous`, so its moments could tell single values"),
        "use count, sum or avg",
    )
}

fn bare_measure() -> Refusal {
    Refusal::new(
        Rule::S3Measure,
        "an aggregate over a protected table takes a measure column, or a sum of them",
        "write sum(x), sum(x + y), count(x) FILTER (WHERE …), and calculate with the results",
    )
}
