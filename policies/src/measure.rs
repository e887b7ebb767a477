//! What `sum` and `avg` may be taken of, beside one measure column (rule S3): linear sums of measures,
//! products that the contract lists, and the days between two dates of one table.
//!
//! All of it is total **and exact**: a sum that wrapped would tell how often it did. Whole numbers
//! are therefore added and multiplied as decimals wide enough for every value ([`widened`], which a
//! coordinator applies and a node insists on), decimals only where no result leaves 38 digits, and
//! floats, which never fail. Days between dates are 64-bit differences of 32-bit dates.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType};

use crate::admit::peel;
use crate::block::Measure;
use crate::contract::TableContract;
use crate::expression::{Places, Use};
use crate::refusal::{Refusal, Rule};
use crate::scalar::{BinaryOperator, ColumnPlace, Expr, Literal, TypeName};

/// One addend of a measured argument: a column, a product, or the days between two dates.
pub(crate) struct Addend<'e> {
    /// The addend as written.
    pub(crate) expr: &'e Expr,
    columns: Vec<ColumnPlace<'e>>,
}

/// A number as arithmetic sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    /// Whole: arithmetic on it wraps.
    Whole {
        digits: u8,
    },
    Decimal {
        precision: u8,
        scale: i8,
    },
    Float,
}

/// Tells whether an argument is computed from columns, rather than one.
pub(crate) fn is_arithmetic(expr: &Expr) -> bool {
    use BinaryOperator as B;
    matches!(expr, Expr::Binary { operator: B::Plus | B::Minus | B::Multiply, .. })
}

/// Takes off a cast between numbers. That it cannot fail is seen to by [`check_arithmetic`] and, on
/// the coerced plan, by the node.
fn column_of(expr: &Expr) -> Option<ColumnPlace<'_>> {
    match expr {
        Expr::Column { relation, name } => Some((*relation, name)),
        Expr::Cast { operand, or_null: false, .. } => match operand.as_ref() {
            Expr::Column { relation, name } => Some((*relation, name)),
            _ => None,
        },
        _ => None,
    }
}

/// The addends of an argument as far as they can be told apart; what is none of them is left out.
pub(crate) fn addends<'e>(expr: &'e Expr, contracts: &[Arc<TableContract>]) -> Vec<Addend<'e>> {
    let mut found = vec![];
    collect(expr, Places { contracts }, &mut found);
    found
}

fn collect<'e>(expr: &'e Expr, places: Places<'_>, found: &mut Vec<Addend<'e>>) {
    use BinaryOperator as B;
    match expr {
        Expr::Binary { left, operator: B::Plus | B::Minus, right }
            if places.date_difference(expr).is_none() =>
        {
            collect(left, places, found);
            collect(right, places, found);
        }
        Expr::Binary { left, operator: B::Minus | B::Multiply, right } => {
            let columns = [left, right].into_iter().filter_map(|side| column_of(side)).collect();
            found.push(Addend { expr, columns });
        }
        other => found.push(Addend { expr, columns: column_of(other).into_iter().collect() }),
    }
}

/// The columns an argument measures.
fn measured_columns(measure: &Measure) -> BTreeSet<ColumnPlace<'_>> {
    let mut found = BTreeSet::new();
    for argument in &measure.arguments {
        match peel(argument) {
            Expr::Case { branches, .. } => {
                branches.iter().for_each(|(_, then)| columns(then, &mut found));
            }
            other => columns(other, &mut found),
        }
    }
    found
}

fn columns<'e>(expr: &'e Expr, found: &mut BTreeSet<ColumnPlace<'e>>) {
    if let Expr::Column { relation, name } = expr {
        found.insert((*relation, name));
    }
    expr.children().into_iter().for_each(|child| columns(child, found));
}

/// For each measure, the number of the cells it falls together with: those of the same argument and
/// condition, and, because sums add up, those that share a column with a computed argument.
pub(crate) fn links(measures: &[Measure]) -> Vec<usize> {
    let arguments = |m: &Measure| m.arguments.iter().map(|a| peel(a).clone()).collect::<Vec<_>>();
    let computed = |m: &Measure| m.arguments.iter().map(peel).any(is_arithmetic);
    let together = |a: &Measure, b: &Measure| {
        let same = a.condition == b.condition && arguments(a) == arguments(b);
        let shared = || !measured_columns(a).is_disjoint(&measured_columns(b));
        same || (computed(a) || computed(b)) && shared()
    };
    let mut links: Vec<usize> = (0..measures.len()).collect();
    for (index, measure) in measures.iter().enumerate() {
        for (before, other) in measures.iter().enumerate().take(index) {
            if together(measure, other) {
                let number = |place: usize| links.get(place).copied().unwrap_or(place);
                let (old, new) = (number(index), number(before));
                for link in links.iter_mut().filter(|link| **link == old) {
                    *link = new;
                }
            }
        }
    }
    links
}

/// S3: checks a computed argument.
///
/// # Errors
/// A [`Refusal`] that names the offending part.
pub(crate) fn check_arithmetic(places: Places<'_>, argument: &Expr) -> Result<(), Refusal> {
    if let Some((left, right)) = places.date_difference(argument) {
        return check_days(places, left, right);
    }
    let addends = addends(argument, places.contracts);
    let mut seen: BTreeSet<ColumnPlace<'_>> = BTreeSet::new();
    for addend in &addends {
        check_addend(places, addend.expr)?;
        for column in &addend.columns {
            if !seen.insert(*column) {
                return Err(refused(
                    format!("column `{}` occurs twice in one argument", column.1),
                    "sum each column on its own, and calculate with the results",
                ));
            }
        }
    }
    number(argument, places.contracts).map(|_| ())
}

/// The days between two dates of one table.
fn check_days(places: Places<'_>, left: &Expr, right: &Expr) -> Result<(), Refusal> {
    match (left, right) {
        (Expr::Column { relation: a, name: x }, Expr::Column { relation: b, name: y })
            if a == b && x != y =>
        {
            places.check(left, Use::Condition)?;
            places.check(right, Use::Condition)?;
            match places.is_protected(*a) {
                true => Ok(()),
                false => Err(refused(
                    format!("dates `{x}` and `{y}` of an open table stand inside an aggregate"),
                    "use them as group keys or filters",
                )),
            }
        }
        _ => Err(refused(
            "days between a date and a constant, or between dates of two tables, are no measure",
            "take the difference of two different date columns of one table",
        )),
    }
}

fn check_addend(places: Places<'_>, addend: &Expr) -> Result<(), Refusal> {
    match addend {
        Expr::Literal(_) => Err(refused(
            "an argument has a constant term",
            "sum the column, and add the constant to the result",
        )),
        Expr::Binary { left, operator: BinaryOperator::Multiply, right } => {
            check_product(places, left, right)
        }
        other if places.date_difference(other).is_some() => Err(refused(
            "days between dates are not added to other measures",
            "sum the days on their own, and calculate with the results",
        )),
        other => check_column(places, other),
    }
}

fn check_column(places: Places<'_>, expr: &Expr) -> Result<(), Refusal> {
    match expr {
        Expr::Cast { operand, or_null: false, .. } if column_of(expr).is_some() => {
            places.check(operand, Use::Measured)
        }
        Expr::Column { .. } => places.check(expr, Use::Measured),
        _ => Err(refused(
            "an argument is more than a sum of measure columns and of products the contract lists",
            "write sum(a), sum(a + b) or sum(a - b), and calculate with the results",
        )),
    }
}

fn check_product(places: Places<'_>, left: &Expr, right: &Expr) -> Result<(), Refusal> {
    if matches!(left, Expr::Literal(_)) || matches!(right, Expr::Literal(_)) {
        return Err(refused(
            "an argument has a constant factor",
            "write 2 * sum(a): factors are applied to the released result",
        ));
    }
    check_column(places, left)?;
    check_column(places, right)?;
    match (column_of(left), column_of(right)) {
        (Some((a, x)), Some((b, y))) if a == b && places.lists_product(a, x, y) => Ok(()),
        _ => Err(refused(
            "the product of two columns is not listed in `products` of the table's contract",
            "sum each column on its own, or ask for the product to be listed in the contract",
        )),
    }
}

// ------------------------------------------------------------------- exact arithmetic

/// The same argument with its columns in types in which no result can wrap or fail: whole numbers
/// as decimals, everything as floats where one of them is. `None` where it computes nothing.
pub fn widened(argument: &Expr, contracts: &[Arc<TableContract>]) -> Option<(Expr, DataType)> {
    let places = Places { contracts };
    if !is_arithmetic(argument) || places.date_difference(argument).is_some() {
        return None;
    }
    let mut float = false;
    argument.walk(&mut |part| float |= number_of_leaf(part, contracts) == Some(Number::Float));
    let wide = widen(argument, contracts, float);
    let data_type = match number(&wide, contracts).ok()? {
        Number::Float => DataType::Float64,
        Number::Decimal { precision, scale } => DataType::Decimal128(precision, scale),
        Number::Whole { .. } => return None,
    };
    Some((wide, data_type))
}

fn widen(expr: &Expr, contracts: &[Arc<TableContract>], float: bool) -> Expr {
    if let Expr::Binary { left, operator, right } = expr {
        return Expr::Binary {
            left: Box::new(widen(left, contracts, float)),
            operator: *operator,
            right: Box::new(widen(right, contracts, float)),
        };
    }
    // A cast between whole numbers says which number it is.
    let leaf = match expr {
        Expr::Cast { operand, to, or_null: false } if to.0.is_integer() => {
            match (number_of_leaf(operand, contracts), number_of_type(&to.0)) {
                (Some(Number::Whole { digits: from }), Some(Number::Whole { digits }))
                    if from <= digits =>
                {
                    operand
                }
                _ => expr,
            }
        }
        other => other,
    };
    let to = match number_of_leaf(expr, contracts) {
        Some(Number::Whole { .. } | Number::Decimal { .. }) if float => DataType::Float64,
        Some(Number::Whole { digits }) => DataType::Decimal128(digits, 0),
        Some(Number::Decimal { .. } | Number::Float) | None => return expr.clone(),
    };
    Expr::Cast { operand: Box::new(leaf.clone()), to: TypeName(to), or_null: false }
}

/// A column, or a cast of one, as a number; `None` where it is neither or no number.
fn number_of_leaf(expr: &Expr, contracts: &[Arc<TableContract>]) -> Option<Number> {
    match expr {
        Expr::Column { relation, name } => {
            number_of_type(&contracts.get(*relation)?.column(name)?.data_type)
        }
        Expr::Cast { operand, to, or_null: false } => {
            column_of(operand)?;
            number_of_type(&to.0)
        }
        _ => None,
    }
}

fn number_of_type(data_type: &DataType) -> Option<Number> {
    match data_type {
        DataType::Int16 => Some(Number::Whole { digits: 5 }),
        DataType::Int32 => Some(Number::Whole { digits: 10 }),
        DataType::Int64 => Some(Number::Whole { digits: 19 }),
        DataType::Float64 => Some(Number::Float),
        DataType::Decimal128(precision, scale) => {
            Some(Number::Decimal { precision: *precision, scale: *scale })
        }
        _ => None,
    }
}

/// The number that arithmetic yields, where it can neither wrap nor fail.
fn number(expr: &Expr, contracts: &[Arc<TableContract>]) -> Result<Number, Refusal> {
    let Expr::Binary { left, operator, right } = expr else {
        return number_of_leaf(expr, contracts).ok_or_else(not_exact);
    };
    match (number(left, contracts)?, number(right, contracts)?) {
        (Number::Float, Number::Float) => Ok(Number::Float),
        (
            Number::Decimal { precision: p, scale: s },
            Number::Decimal { precision: q, scale: t },
        ) => decimal_result(*operator, (p, s), (q, t))
            .map(|(precision, scale)| Number::Decimal { precision, scale })
            .ok_or_else(not_exact),
        _ => Err(not_exact()),
    }
}

/// Type of the sum, difference or product of two decimals, where every result fits into it.
pub fn decimal_result(
    operator: BinaryOperator,
    (p, s): (u8, i8),
    (q, t): (u8, i8),
) -> Option<(u8, i8)> {
    let most = i16::from(DECIMAL128_MAX_PRECISION);
    let (p, s, q, t) = (i16::from(p), i16::from(s), i16::from(q), i16::from(t));
    let (precision, scale) = match operator {
        BinaryOperator::Plus | BinaryOperator::Minus => {
            let scale = s.max(t);
            let precision = (p - s).max(q - t) + scale + 1;
            (Some(precision).filter(|precision| *precision <= most)?, scale)
        }
        // DataFusion writes one digit more than a product can have.
        BinaryOperator::Multiply if p + q <= most => ((p + q + 1).min(most), s + t),
        _ => return None,
    };
    Some((u8::try_from(precision).ok()?, i8::try_from(scale).ok()?))
}

// ------------------------------------------------------------------- contributors

/// What the addends of an argument must be so that somebody contributes to each of them: sums of
/// several columns could otherwise be set against one another.
pub(crate) fn addends_that_contribute<'e>(
    argument: &'e Expr,
    contracts: &[Arc<TableContract>],
) -> Vec<&'e Expr> {
    let addends = addends(argument, contracts);
    match addends.len() {
        0 | 1 => vec![],
        _ => addends.into_iter().map(|addend| addend.expr).collect(),
    }
}

/// `argument <> zero`.
pub(crate) fn differs_from(argument: &Expr, zero: Literal) -> Expr {
    Expr::Binary {
        left: Box::new(argument.clone()),
        operator: BinaryOperator::NotEqual,
        right: Box::new(Expr::Literal(zero)),
    }
}

fn not_exact() -> Refusal {
    Refusal::new(
        Rule::S9Function,
        "the argument is computed in numbers that could wrap or overflow on a row",
        "sum each column on its own; whole numbers are added as decimals, decimals in 38 digits",
    )
}

fn refused(what: impl Into<String>, hint: &str) -> Refusal {
    Refusal::new(Rule::S3Measure, what, hint)
}
