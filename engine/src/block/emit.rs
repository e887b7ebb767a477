//! Emits a block as SQL text in the pinned fragment dialect.
//!
//! Exhaustive over the closed block types, so nothing can be dropped. Every identifier is quoted,
//! every compound is parenthesised (a chain of one operator once), every constant carries its type.
//! The text is proved by lowering it again (`block(resolve(emit(b))) == b`), both before it is sent
//! and before it is run, so there is no second tree between block and text that would have to be
//! trusted too.

use std::fmt::Write;

use datafusion::arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use hedgerow_policies::{
    AggregateFunction, BinaryOperator, Block, Expr, Frame, FrameBound, FrameUnits, InlineTable,
    Join, Literal, Measure, Output, Source, UnaryTest, Window, WindowFunction,
};

/// Emits a block. Output columns are named `c0…` for rows, `k0…` and `m0…` for groups.
pub fn emit(block: &Block) -> String {
    let mut sql = String::from("SELECT ");
    match &block.output {
        Output::Rows { columns, .. } => list(&mut sql, columns, |sql, index, column| {
            expr(sql, column);
            let _ = write!(sql, " AS \"c{index}\"");
        }),
        Output::Groups { keys, measures } => {
            list(&mut sql, keys, |sql, index, column| {
                never_bare(sql, column);
                let _ = write!(sql, " AS \"k{index}\"");
            });
            if !keys.is_empty() && !measures.is_empty() {
                sql.push_str(", ");
            }
            list(&mut sql, measures, |sql, index, one| {
                measure(sql, one);
                let _ = write!(sql, " AS \"m{index}\"");
            });
        }
    }
    from_and_where(&mut sql, block);
    match &block.output {
        Output::Groups { keys, .. } if !keys.is_empty() => {
            sql.push_str(" GROUP BY ");
            list(&mut sql, keys, |sql, _, column| never_bare(sql, column));
        }
        Output::Rows { order, limit: Some(limit), .. } => {
            if !order.is_empty() {
                sql.push_str(" ORDER BY ");
            }
            list(&mut sql, order, |sql, _, key| {
                let direction = if key.descending { "DESC" } else { "ASC" };
                let nulls = if key.nulls_first { "FIRST" } else { "LAST" };
                let _ = write!(sql, "\"c{}\" {direction} NULLS {nulls}", key.column);
            });
            let _ = write!(sql, " LIMIT {limit}");
        }
        Output::Groups { .. } | Output::Rows { limit: None, .. } => {}
    }
    sql
}

/// The names of a block's output columns, as [`emit`] gives them.
pub(crate) fn output_names(output: &Output) -> Vec<String> {
    let named = |letter: char, count: usize| (0..count).map(move |n| format!("{letter}{n}"));
    match output {
        Output::Rows { columns, .. } => named('c', columns.len()).collect(),
        Output::Groups { keys, measures } => {
            named('k', keys.len()).chain(named('m', measures.len())).collect()
        }
    }
}

/// Emits one expression.
pub(crate) fn emit_expr(one: &Expr) -> String {
    let mut sql = String::new();
    expr(&mut sql, one);
    sql
}

/// Emits one aggregate.
pub(crate) fn emit_measure(one: &Measure) -> String {
    let mut sql = String::new();
    measure(&mut sql, one);
    sql
}

fn from_and_where(sql: &mut String, block: &Block) {
    sql.push_str(" FROM ");
    for (index, relation) in block.from.iter().enumerate() {
        match &relation.join {
            Join::First => {}
            Join::Inner => sql.push_str(" CROSS JOIN "),
            Join::Left(_) => sql.push_str(" LEFT JOIN "),
            Join::Semi(_) => sql.push_str(" LEFT SEMI JOIN "),
            Join::Anti(_) => sql.push_str(" LEFT ANTI JOIN "),
            Join::NotIn(_) => continue,
        }
        source(sql, &relation.source);
        let _ = write!(sql, " AS \"r{index}\"");
        if let Source::Values(inline) = &relation.source {
            sql.push('(');
            list(sql, &inline.columns, |sql, place, _| {
                identifier(sql, &InlineTable::column_name(place));
            });
            sql.push(')');
        }
        if let Join::Left(on) | Join::Semi(on) | Join::Anti(on) = &relation.join {
            sql.push_str(" ON ");
            conjuncts(sql, on);
        }
    }
    let excluded: Vec<(&Expr, &Source)> = block
        .from
        .iter()
        .filter_map(|relation| match &relation.join {
            Join::NotIn(value) => Some((value, &relation.source)),
            _ => None,
        })
        .collect();
    if block.filter.is_empty() && excluded.is_empty() {
        return;
    }
    sql.push_str(" WHERE ");
    if !block.filter.is_empty() {
        conjuncts(sql, &block.filter);
    }
    for (index, (value, from)) in excluded.into_iter().enumerate() {
        if index > 0 || !block.filter.is_empty() {
            sql.push_str(" AND ");
        }
        wrapped(sql, "(", value, " NOT IN ");
        source(sql, from);
        sql.push(')');
    }
}

fn source(sql: &mut String, source: &Source) {
    match source {
        Source::Table { name, .. } => identifier(sql, name),
        Source::Derived(block) => {
            sql.push('(');
            sql.push_str(&emit(block));
            sql.push(')');
        }
        Source::Values(inline) => values(sql, inline),
    }
}

fn values(sql: &mut String, inline: &InlineTable) {
    sql.push_str("(VALUES ");
    list(sql, &inline.rows, |sql, _, row| {
        sql.push('(');
        list(sql, row, |sql, _, value| literal(sql, value));
        sql.push(')');
    });
    sql.push(')');
}

fn conjuncts(sql: &mut String, all: &[Expr]) {
    if all.is_empty() {
        sql.push_str("TRUE");
    }
    for (index, one) in all.iter().enumerate() {
        if index > 0 {
            sql.push_str(" AND ");
        }
        expr(sql, one);
    }
}

fn list<T>(sql: &mut String, items: &[T], mut each: impl FnMut(&mut String, usize, &T)) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            sql.push_str(", ");
        }
        each(sql, index, item);
    }
}

/// A constant as a cast, where a bare one would be read as more than itself: `5` is a position as a
/// key, and `- 5` is the constant.
fn never_bare(sql: &mut String, one: &Expr) {
    match one {
        Expr::Literal(literal) if literal.text.is_some() => cast_literal(sql, literal),
        other => expr(sql, other),
    }
}

fn measure(sql: &mut String, measure: &Measure) {
    identifier(sql, measure.function.name());
    sql.push('(');
    if measure.distinct {
        sql.push_str("DISTINCT ");
    }
    if measure.arguments.is_empty() && measure.function == AggregateFunction::Count {
        sql.push('*');
    }
    list(sql, &measure.arguments, |sql, _, argument| expr(sql, argument));
    sql.push(')');
    if let Some(condition) = &measure.condition {
        sql.push_str(" FILTER (WHERE ");
        expr(sql, condition);
        sql.push(')');
    }
}

fn expr(sql: &mut String, one: &Expr) {
    match one {
        Expr::Column { relation, name } => {
            let _ = write!(sql, "\"r{relation}\".");
            identifier(sql, name);
        }
        // Substituted by a constant before a fragment is emitted; no node has such a column.
        Expr::Organisation { relation } => {
            let _ = write!(sql, "\"r{relation}\".\"organisation\"");
        }
        Expr::Literal(constant) => literal(sql, constant),
        // Substituted by its value; this is a name that no table has.
        Expr::Parameter { index, .. } => {
            let _ = write!(sql, "\"parameter\".\"{index}\"");
        }
        Expr::And(operands) => joined(sql, operands, " AND "),
        Expr::Or(operands) => joined(sql, operands, " OR "),
        Expr::Not(operand) => wrapped(sql, "(NOT ", operand, ")"),
        Expr::Negative(operand) => {
            sql.push_str("(- ");
            never_bare(sql, operand);
            sql.push(')');
        }
        Expr::Is { operand, test, negated } => {
            let test = match test {
                UnaryTest::Null => "NULL",
                UnaryTest::True => "TRUE",
                UnaryTest::False => "FALSE",
                UnaryTest::Unknown => "UNKNOWN",
            };
            wrapped(sql, "(", operand, if *negated { " IS NOT " } else { " IS " });
            sql.push_str(test);
            sql.push(')');
        }
        Expr::Binary { left, operator, right } => {
            sql.push('(');
            chain(sql, left, *operator, right);
            sql.push(')');
        }
        Expr::Between { operand, negated, low, high } => {
            wrapped(sql, "(", operand, if *negated { " NOT BETWEEN " } else { " BETWEEN " });
            wrapped(sql, "", low, " AND ");
            wrapped(sql, "", high, ")");
        }
        Expr::InList { operand, list: items, negated } => {
            wrapped(sql, "(", operand, if *negated { " NOT IN (" } else { " IN (" });
            list(sql, items, |sql, _, item| expr(sql, item));
            sql.push_str("))");
        }
        Expr::Like { operand, pattern, escape, negated, case_insensitive } => {
            let word = if *case_insensitive { "ILIKE " } else { "LIKE " };
            wrapped(sql, "(", operand, if *negated { " NOT " } else { " " });
            wrapped(sql, word, pattern, "");
            if let Some(escape) = escape {
                sql.push_str(" ESCAPE ");
                string(sql, &escape.to_string());
            }
            sql.push(')');
        }
        Expr::Case { operand, branches, otherwise } => {
            case(sql, operand.as_deref(), branches, otherwise.as_deref());
        }
        Expr::Cast { operand, to, or_null } => cast(sql, operand, &to.0, *or_null),
        Expr::Function { name, arguments } => {
            identifier(sql, name);
            sql.push('(');
            list(sql, arguments, |sql, _, argument| expr(sql, argument));
            sql.push(')');
        }
        Expr::Window(one) => window(sql, one),
    }
}

fn window(sql: &mut String, window: &Window) {
    identifier(sql, window.function.name());
    sql.push('(');
    if window.arguments.is_empty() && window.function == WindowFunction::Count {
        sql.push('*');
    }
    list(sql, &window.arguments, |sql, _, argument| expr(sql, argument));
    sql.push_str(") OVER (");
    if !window.partition.is_empty() {
        sql.push_str("PARTITION BY ");
        list(sql, &window.partition, |sql, _, key| expr(sql, key));
        sql.push(' ');
    }
    if !window.order.is_empty() {
        sql.push_str("ORDER BY ");
        list(sql, &window.order, |sql, _, key| {
            expr(sql, &key.expr);
            sql.push_str(if key.descending { " DESC" } else { " ASC" });
            sql.push_str(if key.nulls_first { " NULLS FIRST" } else { " NULLS LAST" });
        });
        sql.push(' ');
    }
    frame(sql, window.frame);
    sql.push(')');
}

fn frame(sql: &mut String, frame: Frame) {
    sql.push_str(match frame.units {
        FrameUnits::Rows => "ROWS",
        FrameUnits::Range => "RANGE",
        FrameUnits::Groups => "GROUPS",
    });
    for (word, bound) in [(" BETWEEN ", frame.start), (" AND ", frame.end)] {
        sql.push_str(word);
        match bound {
            FrameBound::UnboundedPreceding => sql.push_str("UNBOUNDED PRECEDING"),
            FrameBound::Preceding(rows) => {
                let _ = write!(sql, "{rows} PRECEDING");
            }
            FrameBound::CurrentRow => sql.push_str("CURRENT ROW"),
            FrameBound::Following(rows) => {
                let _ = write!(sql, "{rows} FOLLOWING");
            }
            FrameBound::UnboundedFollowing => sql.push_str("UNBOUNDED FOLLOWING"),
        }
    }
}

fn wrapped(sql: &mut String, before: &str, one: &Expr, after: &str) {
    sql.push_str(before);
    expr(sql, one);
    sql.push_str(after);
}

/// `a + b + c`, which is read from the left. Brackets around each sum would nest too deep to be read.
fn chain(sql: &mut String, left: &Expr, operator: BinaryOperator, right: &Expr) {
    match left {
        Expr::Binary { left: first, operator: before, right: second }
            if *before == operator && is_chained(operator) =>
        {
            chain(sql, first, operator, second);
        }
        other => expr(sql, other),
    }
    sql.push_str(operator_text(operator));
    expr(sql, right);
}

/// Tells whether `a . b . c` is written without brackets.
fn is_chained(operator: BinaryOperator) -> bool {
    use BinaryOperator as B;
    match operator {
        B::Plus | B::Minus | B::Multiply | B::Concat => true,
        B::Equal
        | B::NotEqual
        | B::Less
        | B::LessOrEqual
        | B::Greater
        | B::GreaterOrEqual
        | B::IsDistinctFrom
        | B::IsNotDistinctFrom
        | B::Divide
        | B::Modulo
        | B::RegexMatch
        | B::RegexIMatch
        | B::RegexNotMatch
        | B::RegexNotIMatch
        | B::BitwiseAnd
        | B::BitwiseOr
        | B::BitwiseXor
        | B::ShiftLeft
        | B::ShiftRight => false,
    }
}

fn joined(sql: &mut String, operands: &[Expr], separator: &str) {
    sql.push('(');
    for (index, operand) in operands.iter().enumerate() {
        if index > 0 {
            sql.push_str(separator);
        }
        expr(sql, operand);
    }
    sql.push(')');
}

fn case(
    sql: &mut String,
    operand: Option<&Expr>,
    branches: &[(Expr, Expr)],
    otherwise: Option<&Expr>,
) {
    sql.push_str("CASE");
    if let Some(operand) = operand {
        wrapped(sql, " ", operand, "");
    }
    for (when, then) in branches {
        wrapped(sql, " WHEN ", when, " THEN ");
        expr(sql, then);
    }
    if let Some(otherwise) = otherwise {
        wrapped(sql, " ELSE ", otherwise, "");
    }
    sql.push_str(" END");
}

/// `arrow_cast`, because DataFusion leaves a CAST out of a column's name: `count(x)` beside
/// `count(CAST(x AS DOUBLE))` would be two columns of one name. It can spell every type, too.
fn cast(sql: &mut String, operand: &Expr, to: &DataType, or_null: bool) {
    wrapped(sql, if or_null { "arrow_try_cast(" } else { "arrow_cast(" }, operand, ", ");
    string(sql, &to.to_string());
    sql.push(')');
}

fn literal(sql: &mut String, constant: &Literal) {
    match (&constant.data_type.0, &constant.text) {
        (DataType::Null, _) => sql.push_str("NULL"),
        (DataType::Utf8, Some(text)) => string(sql, text),
        (DataType::Boolean, Some(text)) => {
            sql.push_str(if text == "true" { "TRUE" } else { "FALSE" })
        }
        (DataType::Int64, Some(text)) if !text.starts_with('-') => sql.push_str(text),
        (_, Some(_)) => cast_literal(sql, constant),
        (other, None) => match sql_type(other) {
            Some(name) => {
                let _ = write!(sql, "CAST(NULL AS {name})");
            }
            None => {
                sql.push_str("arrow_cast(NULL, ");
                string(sql, &other.to_string());
                sql.push(')');
            }
        },
    }
}

fn cast_literal(sql: &mut String, constant: &Literal) {
    let text = constant.text.as_deref().unwrap_or_default();
    match sql_type(&constant.data_type.0) {
        Some(name) => {
            sql.push_str("CAST(");
            string(sql, text);
            let _ = write!(sql, " AS {name})");
        }
        None => {
            sql.push_str("arrow_cast(");
            string(sql, text);
            sql.push_str(", ");
            string(sql, &constant.data_type.0.to_string());
            sql.push(')');
        }
    }
}

/// How the dialect spells a type; `None` where only `arrow_cast` can.
fn sql_type(data_type: &DataType) -> Option<String> {
    Some(match data_type {
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int8 => "TINYINT".to_owned(),
        DataType::Int16 => "SMALLINT".to_owned(),
        DataType::Int32 => "INT".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Float32 => "REAL".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Utf8 => "VARCHAR".to_owned(),
        DataType::Date32 => "DATE".to_owned(),
        DataType::Decimal128(precision, scale) if *scale >= 0 => {
            format!("DECIMAL({precision},{scale})")
        }
        DataType::Timestamp(TimeUnit::Nanosecond, None) => "TIMESTAMP".to_owned(),
        DataType::Interval(IntervalUnit::MonthDayNano) => "INTERVAL".to_owned(),
        _ => return None,
    })
}

fn operator_text(operator: BinaryOperator) -> &'static str {
    use BinaryOperator as B;
    match operator {
        B::Equal => " = ",
        B::NotEqual => " <> ",
        B::Less => " < ",
        B::LessOrEqual => " <= ",
        B::Greater => " > ",
        B::GreaterOrEqual => " >= ",
        B::IsDistinctFrom => " IS DISTINCT FROM ",
        B::IsNotDistinctFrom => " IS NOT DISTINCT FROM ",
        B::Plus => " + ",
        B::Minus => " - ",
        B::Multiply => " * ",
        B::Divide => " / ",
        B::Modulo => " % ",
        B::Concat => " || ",
        B::RegexMatch => " ~ ",
        B::RegexIMatch => " ~* ",
        B::RegexNotMatch => " !~ ",
        B::RegexNotIMatch => " !~* ",
        B::BitwiseAnd => " & ",
        B::BitwiseOr => " | ",
        B::BitwiseXor => " ^ ",
        B::ShiftLeft => " << ",
        B::ShiftRight => " >> ",
    }
}

fn identifier(sql: &mut String, name: &str) {
    sql.push('"');
    sql.push_str(&name.replace('"', "\"\""));
    sql.push('"');
}

fn string(sql: &mut String, text: &str) {
    sql.push('\'');
    sql.push_str(&text.replace('\'', "''"));
    sql.push('\'');
}
