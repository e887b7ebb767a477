//! `EXPLAIN`: what each node is asked, and how the answers are merged. No node is asked for data.

use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::logical_expr::LogicalPlan;

use super::dispatch::{FragmentAsk, text_for};
use super::federation::Federation;
use super::place::Placement;
use crate::error::EngineError;

/// Builds the rows of an EXPLAIN: `step`, `organisation`, `text`.
pub(crate) fn explain(
    federation: &Federation,
    fragments: &[FragmentAsk],
    plan: &LogicalPlan,
) -> Result<RecordBatch, EngineError> {
    let mut rows: Vec<(String, String, String)> = vec![];
    for (index, ask) in fragments.iter().enumerate() {
        let step = format!("fragment {index}");
        let mut same: Vec<(String, Vec<&str>)> = vec![];
        for node in &federation.nodes {
            let organisation = node.organisation();
            let text = text_for(federation, &ask.block, organisation)
                .unwrap_or_else(|| "not asked: the conditions leave it out".to_owned());
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
            rows.push((step.clone(), format!("{which}{}", names.join(", ")), text));
        }
    }
    for line in plan.display_indent().to_string().lines() {
        rows.push(("merge".to_owned(), String::new(), line.to_owned()));
    }
    let schema = Arc::new(Schema::new(vec![
        Field::new("step", DataType::Utf8, false),
        Field::new("organisation", DataType::Utf8, false),
        Field::new("text", DataType::Utf8, false),
    ]));
    let column = |pick: fn(&(String, String, String)) -> &String| {
        Arc::new(StringArray::from_iter_values(rows.iter().map(pick)))
    };
    RecordBatch::try_new(schema, vec![column(|r| &r.0), column(|r| &r.1), column(|r| &r.2)])
        .map_err(|e| EngineError::internal("explaining", e))
}
