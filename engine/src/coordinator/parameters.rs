//! Scalar subqueries that fragments are asked with: each is computed first, and its value is written
//! into the text of the fragment as a constant. Main type: [`Parameters`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use hedgerow_policies::{Block, Expr, TypeName};

use super::federation::coerced;
use crate::block::{NotABlock, wire_type};

/// The scalar subqueries of one statement, by number.
#[derive(Default)]
pub(crate) struct Parameters {
    known: Mutex<Vec<Parameter>>,
}

struct Parameter {
    subquery: Arc<LogicalPlan>,
    /// Federated, once a fragment is asked with it.
    plan: Option<LogicalPlan>,
}

impl Parameters {
    /// The parameter that an uncorrelated scalar subquery becomes; equal ones are one.
    pub(crate) fn of(
        &self,
        state: &SessionState,
        subquery: &Arc<LogicalPlan>,
    ) -> Result<Expr, NotABlock> {
        let not = || NotABlock::new("a subquery in an expression");
        let coerced = coerced(state, subquery).map_err(|_| not())?;
        let [field] = coerced.schema().fields().as_ref() else { return Err(not()) };
        let data_type = TypeName(wire_type(field.data_type()));
        let mut known = self.known();
        let index = known.iter().position(|known| known.subquery == *subquery);
        let index = index.unwrap_or_else(|| {
            known.push(Parameter { subquery: Arc::clone(subquery), plan: None });
            known.len() - 1
        });
        Ok(Expr::Parameter { index, data_type })
    }

    /// The subquery of a parameter that no fragment is asked with yet.
    pub(crate) fn unused(&self, index: usize) -> Option<Arc<LogicalPlan>> {
        self.known().get(index).filter(|p| p.plan.is_none()).map(|p| Arc::clone(&p.subquery))
    }

    /// Keeps the federated plan of a parameter that a fragment is asked with.
    pub(crate) fn used(&self, index: usize, plan: LogicalPlan) {
        if let Some(parameter) = self.known().get_mut(index) {
            parameter.plan = Some(plan);
        }
    }

    /// The plans of those that fragments are asked with.
    pub(crate) fn into_plans(self) -> BTreeMap<usize, LogicalPlan> {
        let known = self.known.into_inner().unwrap_or_else(PoisonError::into_inner);
        let plans = known.into_iter().enumerate();
        plans.filter_map(|(number, parameter)| Some((number, parameter.plan?))).collect()
    }

    fn known(&self) -> MutexGuard<'_, Vec<Parameter>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The parameters a block is asked with, in derived relations too.
pub(crate) fn parameters_of(block: &Block) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    for expr in block.blocks().into_iter().flat_map(Block::expressions) {
        expr.walk(&mut |part| {
            if let Expr::Parameter { index, .. } = part {
                found.insert(*index);
            }
        });
    }
    found
}
