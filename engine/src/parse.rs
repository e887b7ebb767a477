//! From text to a resolved plan, with clear errors.

use std::ops::ControlFlow;

use datafusion::common::{DataFusionError, SchemaError};
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, FunctionArguments, GroupByExpr, Select, Statement as SqlStatement,
    TableFactor, Visit, Visitor,
};
use hedgerow_catalog::Limits;

use crate::error::EngineError;
use crate::limits::plan::check_plan;
use crate::limits::text::TextLimits;
use crate::limits::written::check_written;

/// How deep a statement may nest.
const NESTING_MAX: usize = 64;

/// Parses exactly one statement.
///
/// # Errors
/// [`EngineError::Syntax`] with line and column, or [`EngineError::Limit`] with the limit's name.
pub(crate) fn parse_statement(text: &str, limits: TextLimits) -> Result<Statement, EngineError> {
    limits.check(text)?;
    let syntax = |error: DataFusionError| EngineError::Syntax { message: parser_words(&error) };
    let mut statements = DFParserBuilder::new(text)
        .with_recursion_limit(NESTING_MAX)
        .build()
        .and_then(|mut parser| parser.parse_statements())
        .map_err(syntax)?;
    match (statements.pop_front(), statements.is_empty()) {
        (Some(statement), true) => {
            check_ignored(&statement)?;
            Ok(statement)
        }
        (None, _) => Err(EngineError::Syntax { message: "the statement is empty".to_owned() }),
        (Some(_), false) => {
            Err(EngineError::Syntax { message: "one statement at a time, please".to_owned() })
        }
    }
}

/// Refuses what the planner would silently leave out.
fn check_ignored(statement: &Statement) -> Result<(), EngineError> {
    let inner = match statement {
        Statement::Statement(inner) => inner,
        Statement::Explain(explained) => return check_ignored(&explained.statement),
        _ => return Ok(()),
    };
    match inner.visit(&mut Ignored) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(what) => Err(EngineError::NotSplit {
            what: format!("{what} is not supported"),
            hint: "ask without it".to_owned(),
        }),
    }
}

struct Ignored;

impl Visitor for Ignored {
    type Break = &'static str;

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<Self::Break> {
        match table {
            TableFactor::Table { sample: Some(_), .. }
            | TableFactor::Derived { sample: Some(_), .. } => ControlFlow::Break("TABLESAMPLE"),
            TableFactor::Table { partitions, .. } if !partitions.is_empty() => {
                ControlFlow::Break("PARTITION")
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &SqlExpr) -> ControlFlow<Self::Break> {
        match expr {
            SqlExpr::Function(call) if call.parameters != FunctionArguments::None => {
                ControlFlow::Break("a call with two lists of arguments")
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Self::Break> {
        let (GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers)) =
            &select.group_by;
        if select.prewhere.is_some() {
            ControlFlow::Break("PREWHERE")
        } else if !select.connect_by.is_empty() {
            ControlFlow::Break("CONNECT BY")
        } else if !modifiers.is_empty() {
            ControlFlow::Break("GROUP BY … WITH")
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// Parses exactly one query; everything else is refused as not read-only.
///
/// # Errors
/// As [`parse_statement`], and [`EngineError::ReadOnly`].
pub(crate) fn parse_query(text: &str, limits: TextLimits) -> Result<Statement, EngineError> {
    let statement = parse_statement(text, limits)?;
    match &statement {
        Statement::Statement(inner) if matches!(inner.as_ref(), SqlStatement::Query(_)) => {
            Ok(statement)
        }
        other => Err(EngineError::ReadOnly { what: statement_kind(other) }),
    }
}

/// Resolves a statement against the session's catalog, unoptimised.
///
/// # Errors
/// Unknown names with the nearest there is; [`EngineError::Invalid`] for what does not fit.
pub(crate) async fn resolve(
    state: &SessionState,
    statement: Statement,
) -> Result<LogicalPlan, EngineError> {
    state.statement_to_plan(statement).await.map_err(resolution_error)
}

/// Resolves a statement that others wrote, within the limits on its size.
///
/// # Errors
/// As [`resolve`], and [`EngineError::Limit`].
pub(crate) async fn resolve_within(
    state: &SessionState,
    statement: Statement,
    limits: &Limits,
) -> Result<LogicalPlan, EngineError> {
    check_written(&statement, limits)?;
    let plan = resolve(state, statement).await?;
    check_plan(&plan, limits)?;
    Ok(plan)
}

/// The kind of a statement, for an error: its first word.
pub(crate) fn statement_kind(statement: &Statement) -> String {
    let text = statement.to_string();
    text.split_whitespace().next().unwrap_or("the statement").to_uppercase()
}

fn parser_words(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::SQL(error, _) => {
            error.to_string().replacen("sql parser error: ", "syntax error: ", 1)
        }
        other => other.strip_backtrace(),
    }
}

/// Sorts an error of resolution. Everything in it was in the statement or in the catalog.
pub(crate) fn resolution_error(error: DataFusionError) -> EngineError {
    match error.find_root() {
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => EngineError::UnknownColumn {
                name: field.flat_name(),
                nearest: nearest(&field.name, valid_fields.iter().map(|c| c.name.as_str())),
            },
            other => EngineError::Invalid { message: other.to_string() },
        },
        DataFusionError::External(_) => EngineError::from_execution(error),
        DataFusionError::SQL(..) => EngineError::Syntax { message: parser_words(&error) },
        DataFusionError::NotImplemented(what) => EngineError::NotSplit {
            what: format!("not supported: {what}"),
            hint: "write it another way".to_owned(),
        },
        DataFusionError::Plan(what) => match unknown_table(what) {
            Some(name) => EngineError::UnknownTable { name, nearest: None },
            None => EngineError::Invalid { message: one_line(what) },
        },
        other => EngineError::Invalid { message: one_line(&other.strip_backtrace()) },
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn unknown_table(message: &str) -> Option<String> {
    let name = message.strip_prefix("table '")?.split('\'').next()?;
    message
        .contains("not found")
        .then(|| name.trim_start_matches("federation.").trim_start_matches("shared.").to_owned())
}

/// The nearest of `known` to `name`, if it is near enough to be meant.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(score, _)| *score > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}
