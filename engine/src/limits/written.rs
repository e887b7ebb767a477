//! Limits on a parsed statement, before it is resolved.
//!
//! Thirty CTEs, each used twice by the next, stand for a billion scans, and the planner would walk
//! them all. Here each is counted once and multiplied.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Ident, ObjectName, ObjectNamePart, Query, Visit, Visitor};
use hedgerow_catalog::Limits;

use super::passed;
use crate::error::EngineError;

/// Checks how many tables a statement reads, and how many queries and tables it is made of, with
/// every CTE as often as it is used.
///
/// # Errors
/// [`EngineError::Limit`] on `scans_max` or `plan_nodes_max`.
pub(crate) fn check_written(statement: &Statement, limits: &Limits) -> Result<(), EngineError> {
    let statement = match statement {
        Statement::Statement(inner) => inner,
        Statement::Explain(explained) => return check_written(&explained.statement, limits),
        _ => return Ok(()),
    };
    let mut counting = Counting::default();
    // Counting never breaks off.
    let _ = statement.visit(&mut counting);
    let Size { scans, nodes } = counting.whole;
    if scans > limits.scans_max {
        return Err(passed("scans_max", scans, limits.scans_max));
    }
    if nodes > limits.plan_nodes_max {
        return Err(passed("plan_nodes_max", nodes, limits.plan_nodes_max));
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, Default)]
struct Size {
    scans: usize,
    /// Queries and tables; the plan has more nodes.
    nodes: usize,
}

impl Size {
    fn add(&mut self, other: Self) {
        self.scans = self.scans.saturating_add(other.scans);
        self.nodes = self.nodes.saturating_add(other.nodes);
    }
}

/// One query that is being walked.
struct Open {
    size: Size,
    /// Its CTEs in the order of the text; those walked already have a size.
    ctes: Vec<String>,
    /// The CTEs, by where their queries are.
    queries: Vec<*const Query>,
    known: HashMap<String, Size>,
}

#[derive(Default)]
struct Counting {
    open: Vec<Open>,
    whole: Size,
}

fn name(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}

impl Visitor for Counting {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let ctes = query.with.as_ref().map(|with| with.cte_tables.as_slice()).unwrap_or_default();
        self.open.push(Open {
            size: Size { scans: 0, nodes: 1 },
            ctes: ctes.iter().map(|cte| name(&cte.alias.name)).collect(),
            queries: ctes.iter().map(|cte| std::ptr::from_ref(cte.query.as_ref())).collect(),
            known: HashMap::new(),
        });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let Some(Open { size, .. }) = self.open.pop() else { return ControlFlow::Continue(()) };
        let Some(outer) = self.open.last_mut() else {
            self.whole.add(size);
            return ControlFlow::Continue(());
        };
        let place = outer.queries.iter().position(|cte| std::ptr::eq(*cte, query));
        match place.and_then(|place| outer.ctes.get(place)) {
            Some(cte) => {
                outer.known.insert(cte.clone(), size);
            }
            None => outer.size.add(size),
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let table = Size { scans: 1, nodes: 1 };
        let size = match relation.0.as_slice() {
            [ObjectNamePart::Identifier(ident)] => {
                let cte = name(ident);
                let known = self.open.iter().rev().find_map(|open| open.known.get(&cte));
                known.copied().unwrap_or(table)
            }
            _ => table,
        };
        if let Some(open) = self.open.last_mut() {
            open.size.add(size);
        }
        ControlFlow::Continue(())
    }
}
