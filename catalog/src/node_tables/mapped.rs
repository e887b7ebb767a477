//! Tables that a query makes from other files. Entry: [`open`].

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SQLOptions, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;
use hedgerow_policies::TableContract;

use super::conformance::{Origin, differences};
use super::table::ContractTable;
use super::{Files, Opened, files, open_source};
use crate::config::SourceConfig;
use crate::contracts::visible_schema;
use crate::error::{CatalogError, Nearest};
use crate::source::{Source, SourceProblem, listing_table};

/// Why a mapping yields no table. Shown across the federation, so DataFusion's own messages, which
/// may quote the mapping or the data, go to the node's log instead.
#[derive(Debug, thiserror::Error)]
enum MappingProblem {
    #[error("mapping cannot be parsed; the node's log says why")]
    Parse(#[source] DataFusionError),
    #[error("mapping is not a query")]
    NotAQuery,
    #[error("mapping reads `{name}`, for which there is no `[sources.{name}]`{nearest}")]
    NoSource { name: String, nearest: Nearest },
    #[error("source `{name}`: {problem}")]
    Source { name: String, problem: SourceProblem },
    #[error("mapping cannot be planned; the node's log says why")]
    Plan(#[from] DataFusionError),
    #[error("{}", .0.join("; "))]
    Differences(Vec<String>),
}

impl MappingProblem {
    fn into_differences(self, table: &str) -> Vec<String> {
        match self {
            Self::Differences(differences) => differences,
            Self::Parse(ref error) | Self::Plan(ref error) => {
                tracing::warn!(table, %error, "mapping fails");
                vec![self.to_string()]
            }
            Self::NotAQuery | Self::NoSource { .. } | Self::Source { .. } => vec![self.to_string()],
        }
    }
}

/// Plans the mapping over the sources it names, checks its columns, and casts them.
pub(super) async fn open(
    contract: &TableContract,
    sql: &str,
    sources: &BTreeMap<String, SourceConfig>,
    state: &SessionState,
) -> Result<Opened, CatalogError> {
    let context = private_context(state);
    let names = match source_names(&context, sql, sources) {
        Ok(names) => names,
        Err(problem) => return Ok(Err(problem.into_differences(&contract.name))),
    };
    let mut opened = BTreeMap::new();
    for (name, config) in names {
        opened.insert(name, open_source(config).await?);
    }
    let table = plan_table(contract, sql, &context, opened).await;
    Ok(table.map_err(|problem| problem.into_differences(&contract.name)))
}

/// A session with the given one's settings and memory, but none of its tables.
fn private_context(state: &SessionState) -> SessionContext {
    let config = state
        .config()
        .clone()
        .with_create_default_catalog_and_schema(true)
        .with_default_catalog_and_schema("node", "sources")
        .with_information_schema(false);
    SessionContext::new_with_config_rt(config, Arc::clone(state.runtime_env()))
}

fn source_names<'a>(
    context: &SessionContext,
    sql: &str,
    sources: &'a BTreeMap<String, SourceConfig>,
) -> Result<Vec<(&'a str, &'a SourceConfig)>, MappingProblem> {
    let state = context.state();
    let dialect = state.config_options().sql_parser.dialect;
    let statement = state.sql_to_statement(sql, &dialect).map_err(MappingProblem::Parse)?;
    if !is_query(&statement) {
        return Err(MappingProblem::NotAQuery);
    }
    let references = state.resolve_table_references(&statement).map_err(MappingProblem::Parse)?;
    let find = |name: String| match sources.get_key_value(&name) {
        Some((name, config)) => Ok((name.as_str(), config)),
        None => {
            let nearest = Nearest::find(&name, sources.keys().map(String::as_str));
            Err(MappingProblem::NoSource { name, nearest })
        }
    };
    references.iter().map(|reference| find(reference.to_string())).collect()
}

fn is_query(statement: &Statement) -> bool {
    matches!(statement, Statement::Statement(inner) if matches!(**inner, ast::Statement::Query(_)))
}

async fn plan_table(
    contract: &TableContract,
    sql: &str,
    context: &SessionContext,
    sources: BTreeMap<&str, Result<Source, SourceProblem>>,
) -> Result<(Arc<dyn TableProvider>, Files), MappingProblem> {
    let mut opened = BTreeMap::new();
    for (name, source) in sources {
        let in_source = |problem| MappingProblem::Source { name: name.to_owned(), problem };
        let source = source.map_err(in_source)?;
        let schema = source.common_schema().map_err(in_source)?;
        let table = listing_table(&source, schema, &context.state()).map_err(in_source)?;
        context.register_table(name, table)?;
        opened.insert(name, source);
    }
    let plan = analysed(context, sql).await?;
    let found = differences(contract, plan.schema().as_arrow(), Origin::Mapping);
    if !found.is_empty() {
        return Err(MappingProblem::Differences(found));
    }
    let table = Arc::new(ContractTable::try_new(plan, visible_schema(contract))?);
    table.scan(&context.state(), None, &[], None).await?;
    Ok((table, files(opened.iter().map(|(name, source)| (*name, source)))))
}

/// The query's plan with its final types, before any optimisation.
async fn analysed(context: &SessionContext, sql: &str) -> Result<LogicalPlan, DataFusionError> {
    let state = context.state();
    let plan = state.create_logical_plan(sql).await?;
    let queries_only =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    queries_only.verify_plan(&plan)?;
    state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {})
}
