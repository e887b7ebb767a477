//! Lowers DataFusion expressions into the closed expressions of a block.
//!
//! Exhaustive by refusal: an expression kind without a place in a block is [`NotABlock`].

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::{Between, Case, InList, Like, ScalarFunction};
use datafusion::logical_expr::{Expr as DfExpr, ExprSchemable, Operator, Volatility};
use hedgerow_policies::{BinaryOperator, Expr, Literal, TypeName, UnaryTest};

use super::lower::{NotABlock, OPTIONAL_ORGANISATION, OfSubquery, no_subquery};

/// The columns an expression may name: a schema, and what each of its fields stands for.
pub(crate) struct Names<'a> {
    pub(crate) schema: &'a DFSchema,
    pub(crate) columns: &'a [Expr],
    /// What an uncorrelated scalar subquery stands for.
    pub(crate) subquery: OfSubquery<'a>,
    /// Exact sums stay in the type they are added in.
    pub(crate) wide_sums: bool,
}

/// Stack that must be left before another level, and how much is added when it is not.
const STACK_LEFT_BYTES: usize = 256 << 10;
const STACK_GROWTH_BYTES: usize = 4 << 20;

/// The function that reads an exact sum back as the type that was announced.
pub(crate) const EXACT_SUM: &str = "exact_sum";

type Lowered = Result<Expr, NotABlock>;

impl<'a> Names<'a> {
    /// Names of an expression without subqueries.
    pub(crate) fn plain(schema: &'a DFSchema, columns: &'a [Expr]) -> Self {
        Self { schema, columns, subquery: &no_subquery, wide_sums: false }
    }

    /// Lowers one expression, however deep.
    pub(crate) fn lower(&self, expr: &DfExpr) -> Lowered {
        stacker::maybe_grow(STACK_LEFT_BYTES, STACK_GROWTH_BYTES, || self.lower_one(expr))
    }

    fn lower_one(&self, expr: &DfExpr) -> Lowered {
        match expr {
            DfExpr::Alias(alias) => self.lower(&alias.expr),
            DfExpr::Column(column) => self
                .schema
                .maybe_index_of_column(column)
                .and_then(|index| self.columns.get(index))
                .cloned()
                .ok_or_else(|| NotABlock::new("a column from outside the query block"))
                .and_then(|expr| match &expr {
                    Expr::Function { name, .. } if name == OPTIONAL_ORGANISATION => {
                        Err(NotABlock::new("`organisation` of the optional side of an outer join"))
                    }
                    _ => Ok(expr),
                }),
            DfExpr::Literal(value, _) => literal(value).map(Expr::Literal),
            DfExpr::BinaryExpr(binary) => self.binary(&binary.left, binary.op, &binary.right),
            DfExpr::Like(like) => self.like(like),
            DfExpr::Not(operand) => Ok(Expr::Not(self.boxed(operand)?)),
            DfExpr::Negative(operand) => Ok(Expr::Negative(self.boxed(operand)?)),
            DfExpr::IsNull(e) => self.is(e, UnaryTest::Null, false),
            DfExpr::IsNotNull(e) => self.is(e, UnaryTest::Null, true),
            DfExpr::IsTrue(e) => self.is(e, UnaryTest::True, false),
            DfExpr::IsNotTrue(e) => self.is(e, UnaryTest::True, true),
            DfExpr::IsFalse(e) => self.is(e, UnaryTest::False, false),
            DfExpr::IsNotFalse(e) => self.is(e, UnaryTest::False, true),
            DfExpr::IsUnknown(e) => self.is(e, UnaryTest::Unknown, false),
            DfExpr::IsNotUnknown(e) => self.is(e, UnaryTest::Unknown, true),
            DfExpr::Between(between) => self.between(between),
            DfExpr::InList(list) => self.in_list(list),
            DfExpr::Case(case) => self.case(case),
            DfExpr::Cast(cast) => self.cast(&cast.expr, cast.field.data_type(), false),
            DfExpr::TryCast(cast) => self.cast(&cast.expr, cast.field.data_type(), true),
            DfExpr::ScalarFunction(function) => self.function(function),
            DfExpr::ScalarSubquery(subquery) if subquery.outer_ref_columns.is_empty() => {
                (self.subquery)(subquery)
            }
            DfExpr::Exists(_) | DfExpr::InSubquery(_) | DfExpr::ScalarSubquery(_) => {
                Err(NotABlock::new("a subquery in an expression"))
            }
            DfExpr::SimilarTo(_) => Err(NotABlock::new("SIMILAR TO")),
            DfExpr::WindowFunction(_) => Err(NotABlock::new("a window inside an expression")),
            DfExpr::GroupingSet(_) => Err(NotABlock::new("ROLLUP, CUBE or GROUPING SETS")),
            DfExpr::Placeholder(_) => Err(NotABlock::new("a parameter without a value")),
            _ => Err(NotABlock::new("an expression of an unknown kind")),
        }
    }

    pub(crate) fn lower_all(&self, exprs: &[DfExpr]) -> Result<Vec<Expr>, NotABlock> {
        exprs.iter().map(|expr| self.lower(expr)).collect()
    }

    fn boxed(&self, expr: &DfExpr) -> Result<Box<Expr>, NotABlock> {
        self.lower(expr).map(Box::new)
    }

    fn optional(&self, expr: Option<&DfExpr>) -> Result<Option<Box<Expr>>, NotABlock> {
        expr.map(|e| self.boxed(e)).transpose()
    }

    fn is(&self, operand: &DfExpr, test: UnaryTest, negated: bool) -> Lowered {
        Ok(Expr::Is { operand: self.boxed(operand)?, test, negated })
    }

    fn binary(&self, left: &DfExpr, op: Operator, right: &DfExpr) -> Lowered {
        if let Some(days) = self.days_apart(left, op, right) {
            return days;
        }
        let (left, right) = match operator(op).is_ok_and(BinaryOperator::is_comparison) {
            true => (self.beside(right, left)?, self.beside(left, right)?),
            false => (self.lower(left)?, self.lower(right)?),
        };
        Ok(match op {
            Operator::And => Expr::And(flat(left, right, |e| match e {
                Expr::And(list) => Ok(list),
                other => Err(other),
            })),
            Operator::Or => Expr::Or(flat(left, right, |e| match e {
                Expr::Or(list) => Ok(list),
                other => Err(other),
            })),
            other => Expr::Binary {
                left: Box::new(left),
                operator: operator(other)?,
                right: Box::new(right),
            },
        })
    }

    /// `date + INTERVAL 'n' DAY < other` as `date - other < -n`: the days between two dates can be
    /// told of every two dates, while a date moved by days may leave the calendar.
    fn days_apart(&self, left: &DfExpr, op: Operator, right: &DfExpr) -> Option<Lowered> {
        let compare = operator(op).ok().filter(|op| {
            use BinaryOperator as B;
            op.is_comparison() && !matches!(op, B::IsDistinctFrom | B::IsNotDistinctFrom)
        })?;
        let (moved, left) = self.date_moved(left);
        let (other, right) = self.date_moved(right);
        if moved.is_none() && other.is_none() || !self.is_date(left) || !self.is_date(right) {
            return None;
        }
        let days = other.unwrap_or(0).checked_sub(moved.unwrap_or(0))?;
        let between = |left, right| Expr::Binary {
            left: Box::new(Expr::Binary { left, operator: BinaryOperator::Minus, right }),
            operator: compare,
            right: Box::new(Expr::Literal(Literal::int64(days))),
        };
        Some(self.boxed(left).and_then(|left| Ok(between(left, self.boxed(right)?))))
    }

    fn is_date(&self, expr: &DfExpr) -> bool {
        expr.get_type(self.schema).is_ok_and(|data_type| data_type == DataType::Date32)
    }

    /// A date that is moved by whole days: by how many, and the date.
    fn date_moved<'e>(&self, expr: &'e DfExpr) -> (Option<i64>, &'e DfExpr) {
        let DfExpr::BinaryExpr(moved) = expr else { return (None, expr) };
        let days = |by: &DfExpr| match by {
            DfExpr::Literal(ScalarValue::IntervalMonthDayNano(Some(by)), _)
                if by.months == 0 && by.nanoseconds == 0 =>
            {
                Some(i64::from(by.days))
            }
            _ => None,
        };
        let (date, days) = match moved.op {
            Operator::Plus => match days(&moved.right) {
                Some(by) => (&moved.left, Some(by)),
                None => (&moved.right, days(&moved.left)),
            },
            Operator::Minus => (&moved.left, days(&moved.right).map(|by| -by)),
            _ => return (None, expr),
        };
        match days {
            Some(by) if self.is_date(date) => (Some(by), date),
            _ => (None, expr),
        }
    }

    /// Lowers `expr`, which is compared with `column`. A point in time takes the column's own type
    /// where it is exact in it, so that the constant is converted and not every row.
    fn beside(&self, column: &DfExpr, expr: &DfExpr) -> Lowered {
        if let DfExpr::Literal(value, _) = expr
            && value.data_type().is_temporal()
            && let Ok(own) = column.get_type(self.schema)
            && own.is_temporal()
            && let Ok(converted) = value.cast_to(&own)
            && converted.cast_to(&value.data_type()).is_ok_and(|back| back == *value)
            && let Ok(converted) = literal(&converted)
        {
            return Ok(Expr::Literal(converted));
        }
        self.lower(expr)
    }

    fn like(&self, like: &Like) -> Lowered {
        Ok(Expr::Like {
            operand: self.boxed(&like.expr)?,
            pattern: self.boxed(&like.pattern)?,
            escape: like.escape_char,
            negated: like.negated,
            case_insensitive: like.case_insensitive,
        })
    }

    fn between(&self, between: &Between) -> Lowered {
        let moved = |expr: &DfExpr| self.date_moved(expr).0.is_some();
        if moved(&between.expr) || moved(&between.low) || moved(&between.high) {
            let value = between.expr.as_ref().clone();
            let within = value.clone().gt_eq(between.low.as_ref().clone());
            let within = within.and(value.lt_eq(between.high.as_ref().clone()));
            return self.lower(&if between.negated { !within } else { within });
        }
        Ok(Expr::Between {
            operand: self.boxed(&between.expr)?,
            negated: between.negated,
            low: Box::new(self.beside(&between.expr, &between.low)?),
            high: Box::new(self.beside(&between.expr, &between.high)?),
        })
    }

    fn in_list(&self, list: &InList) -> Lowered {
        Ok(Expr::InList {
            operand: self.boxed(&list.expr)?,
            list: list
                .list
                .iter()
                .map(|item| self.beside(&list.expr, item))
                .collect::<Result<_, _>>()?,
            negated: list.negated,
        })
    }

    fn case(&self, case: &Case) -> Lowered {
        let branches = case
            .when_then_expr
            .iter()
            .map(|(when, then)| Ok((self.lower(when)?, self.lower(then)?)))
            .collect::<Result<_, NotABlock>>()?;
        Ok(Expr::Case {
            operand: self.optional(case.expr.as_deref())?,
            branches,
            otherwise: self.optional(case.else_expr.as_deref())?,
        })
    }

    fn cast(&self, operand: &DfExpr, to: &DataType, or_null: bool) -> Lowered {
        let operand = self.lower(operand)?;
        if let (Expr::Literal(constant), false) = (&operand, or_null)
            && let Some(folded) = cast_literal(constant, to)
        {
            return Ok(Expr::Literal(folded));
        }
        Ok(Expr::Cast { operand: Box::new(operand), to: TypeName(wire_type(to)), or_null })
    }

    fn function(&self, function: &ScalarFunction) -> Lowered {
        let name = function.func.name();
        match function.func.signature().volatility {
            Volatility::Immutable => {}
            Volatility::Stable | Volatility::Volatile => {
                return Err(NotABlock::new(format!(
                    "`{name}`, which does not give the same answer everywhere"
                )));
            }
        }
        if ["arrow_cast", "arrow_try_cast"].contains(&name)
            && let [operand, DfExpr::Literal(type_name, _)] = function.args.as_slice()
        {
            let to: DataType = type_name
                .try_as_str()
                .flatten()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| NotABlock::new("a cast to an unknown type"))?;
            return self.cast(operand, &to, name == "arrow_try_cast");
        }
        if self.wide_sums
            && name == EXACT_SUM
            && let [sum, _] = function.args.as_slice()
        {
            return self.lower(sum);
        }
        Ok(Expr::Function { name: name.to_owned(), arguments: self.lower_all(&function.args)? })
    }
}

/// Joins two operands of AND or OR into one flat list.
fn flat(left: Expr, right: Expr, same: fn(Expr) -> Result<Vec<Expr>, Expr>) -> Vec<Expr> {
    let mut list = same(left).unwrap_or_else(|other| vec![other]);
    list.extend(same(right).unwrap_or_else(|other| vec![other]));
    list
}

fn operator(op: Operator) -> Result<BinaryOperator, NotABlock> {
    use BinaryOperator as B;
    Ok(match op {
        Operator::Eq => B::Equal,
        Operator::NotEq => B::NotEqual,
        Operator::Lt => B::Less,
        Operator::LtEq => B::LessOrEqual,
        Operator::Gt => B::Greater,
        Operator::GtEq => B::GreaterOrEqual,
        Operator::IsDistinctFrom => B::IsDistinctFrom,
        Operator::IsNotDistinctFrom => B::IsNotDistinctFrom,
        Operator::Plus => B::Plus,
        Operator::Minus => B::Minus,
        Operator::Multiply => B::Multiply,
        Operator::Divide => B::Divide,
        Operator::Modulo => B::Modulo,
        Operator::StringConcat => B::Concat,
        Operator::RegexMatch => B::RegexMatch,
        Operator::RegexIMatch => B::RegexIMatch,
        Operator::RegexNotMatch => B::RegexNotMatch,
        Operator::RegexNotIMatch => B::RegexNotIMatch,
        Operator::BitwiseAnd => B::BitwiseAnd,
        Operator::BitwiseOr => B::BitwiseOr,
        Operator::BitwiseXor => B::BitwiseXor,
        Operator::BitwiseShiftLeft => B::ShiftLeft,
        Operator::BitwiseShiftRight => B::ShiftRight,
        other => return Err(NotABlock::new(format!("operator `{other}`"))),
    })
}

/// The one type a value has on the wire: views, large strings and dictionaries never cross it.
pub(crate) fn wire_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Dictionary(_, value) => wire_type(value),
        other => other.clone(),
    }
}

/// The canonical form of a constant: text that casts back to the very same value.
pub(crate) fn literal(value: &ScalarValue) -> Result<Literal, NotABlock> {
    let data_type = TypeName(wire_type(&value.data_type()));
    if value.is_null() {
        return Ok(Literal { data_type, text: None });
    }
    let unusual = || NotABlock::new("a constant that has no exact text form");
    let text = match value {
        ScalarValue::Utf8(Some(text))
        | ScalarValue::Utf8View(Some(text))
        | ScalarValue::LargeUtf8(Some(text)) => text.clone(),
        ScalarValue::Float64(Some(number)) => format!("{number:?}"),
        ScalarValue::IntervalMonthDayNano(Some(interval)) => interval_text(*interval),
        other => other
            .cast_to(&DataType::Utf8)
            .ok()
            .and_then(|text| text.try_as_str().flatten().map(str::to_owned))
            .ok_or_else(unusual)?,
    };
    let back =
        ScalarValue::Utf8(Some(text.clone())).cast_to(&data_type.0).map_err(|_| unusual())?;
    let same = back == *value || data_type.0 == DataType::Utf8;
    if same { Ok(Literal { data_type, text: Some(text) }) } else { Err(unusual()) }
}

/// The value of a canonical constant.
pub(crate) fn literal_value(literal: &Literal) -> Option<ScalarValue> {
    match &literal.text {
        None => ScalarValue::try_new_null(&literal.data_type.0).ok(),
        Some(text) => ScalarValue::Utf8(Some(text.clone())).cast_to(&literal.data_type.0).ok(),
    }
}

fn cast_literal(constant: &Literal, to: &DataType) -> Option<Literal> {
    literal(&literal_value(constant)?.cast_to(to).ok()?).ok()
}

fn interval_text(interval: datafusion::arrow::datatypes::IntervalMonthDayNano) -> String {
    let (months, days, nanoseconds) = (interval.months, interval.days, interval.nanoseconds);
    format!("{months} months {days} days {nanoseconds} nanoseconds")
}
