//! `EXPLAIN`: what each node is asked, and how the answers are merged. No node is asked for data.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::LogicalPlan;
use hedgerow_policies::Block;

use super::dispatch::{FragmentAsk, block_for};
use super::federation::Federation;
use super::place::Placement;
use super::rows::FederatedTable;
use crate::block::emit;
use crate::error::EngineError;

/// Builds the rows of an EXPLAIN: `step`, `organisation`, `text`.
pub(crate) fn explain(
    federation: &Federation,
    fragments: &[FragmentAsk],
    parameters: &BTreeMap<usize, LogicalPlan>,
    plan: &LogicalPlan,
) -> Result<RecordBatch, EngineError> {
    let mut steps = Steps { federation, rows: vec![] };
    for (index, ask) in fragments.iter().enumerate() {
        steps.asked(&format!("fragment {index}"), ask)?;
    }
    for (number, plan) in parameters {
        steps.scans(plan)?;
        steps.plan(&format!("subquery {number}"), plan);
    }
    steps.scans(plan)?;
    steps.plan("merge", plan);
    steps.batch()
}

struct Steps<'a> {
    federation: &'a Federation,
    rows: Vec<(String, String, String)>,
}

impl Steps<'_> {
    /// What each node is asked; nodes that are asked the same stand together.
    fn asked(&mut self, step: &str, ask: &FragmentAsk) -> Result<(), EngineError> {
        let mut same: Vec<(String, Vec<&str>)> = vec![];
        for node in &self.federation.nodes {
            let organisation = node.organisation();
            let text = block_for(self.federation, ask, node)?.map_or_else(
                || "not asked: the conditions leave it out".to_owned(),
                |block| emit(&block),
            );
            match same.iter_mut().find(|(known, _)| *known == text) {
                Some((_, names)) => names.push(organisation),
                None => same.push((text, vec![organisation])),
            }
        }
        let which = match ask.placement {
            Placement::EachNode => "",
            Placement::AnyNode => "one of: ",
        };
        for (text, names) in same {
            self.rows.push((step.to_owned(), format!("{which}{}", names.join(", ")), text));
        }
        Ok(())
    }

    /// The scans of rows in a plan.
    fn scans(&mut self, plan: &LogicalPlan) -> Result<(), EngineError> {
        let visited = plan.apply_with_subqueries(|node| {
            let LogicalPlan::TableScan(scan) = node else {
                return Ok(TreeNodeRecursion::Continue);
            };
            let provider = source_as_provider(&scan.source)?;
            if let Some(table) = provider.downcast_ref::<FederatedTable>() {
                let projection = scan.projection.as_ref();
                let asked = table.ask(projection, &scan.filters, scan.fetch, &Block::clone)?;
                self.asked(&format!("rows of {}", scan.table_name.table()), &asked.0)?;
            }
            Ok(TreeNodeRecursion::Continue)
        });
        visited.map(|_| ()).map_err(EngineError::from_execution)
    }

    fn plan(&mut self, step: &str, plan: &LogicalPlan) {
        for line in plan.display_indent().to_string().lines() {
            self.rows.push((step.to_owned(), String::new(), line.to_owned()));
        }
    }

    fn batch(self) -> Result<RecordBatch, EngineError> {
        let schema = Arc::new(Schema::new(vec![
            Field::new("step", DataType::Utf8, false),
            Field::new("organisation", DataType::Utf8, false),
            Field::new("text", DataType::Utf8, false),
        ]));
        let column = |pick: fn(&(String, String, String)) -> &String| {
            Arc::new(StringArray::from_iter_values(self.rows.iter().map(pick)))
        };
        RecordBatch::try_new(schema, vec![column(|r| &r.0), column(|r| &r.1), column(|r| &r.2)])
            .map_err(|e| EngineError::internal("explaining", e))
    }
}
