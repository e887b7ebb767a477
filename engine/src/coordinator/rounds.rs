//! In which order a statement's fragments are asked: those that need no value of a subquery first,
//! all in one bundle; then the subqueries whose fragments are there; then the next round.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::LogicalPlan;

use super::dispatch::FragmentAsk;
use super::fragment::FederatedFragment;
use super::parameters::parameters_of;
use super::rows::FederatedTable;
use crate::error::EngineError;

/// One round: fragments by number, asked in one bundle, and then the subqueries that can be run.
#[derive(Debug, Default)]
pub(crate) struct Round {
    pub(crate) fragments: Vec<usize>,
    pub(crate) parameters: Vec<usize>,
}

/// What a plan reads: fragments, and the parameters that its scans of rows are asked with.
#[derive(Debug, Default)]
struct Reads {
    fragments: BTreeSet<usize>,
    parameters: BTreeSet<usize>,
}

/// The fragments that a plan reads.
pub(crate) fn fragments_of(plan: &LogicalPlan) -> BTreeSet<usize> {
    reads(plan).fragments
}

/// Orders fragments and subqueries of plans that are run together into rounds. What none of them
/// reads is left out.
///
/// # Errors
/// [`EngineError::NotSplit`] where a protected table would be asked a second time, with what the
/// first answer told.
pub(crate) fn rounds(
    plans: &[LogicalPlan],
    fragments: &[FragmentAsk],
    parameters: &BTreeMap<usize, LogicalPlan>,
) -> Result<Vec<Round>, EngineError> {
    let needs: Vec<BTreeSet<usize>> =
        fragments.iter().map(|ask| parameters_of(&ask.block)).collect();
    let of_parameter: BTreeMap<usize, Reads> =
        parameters.iter().map(|(number, plan)| (*number, reads(plan))).collect();
    let (mut wanted, mut values) = (BTreeSet::new(), BTreeSet::new());
    let tops: Vec<Reads> = plans.iter().map(reads).collect();
    let mut open: Vec<&Reads> = tops.iter().collect();
    while let Some(one) = open.pop() {
        wanted.extend(&one.fragments);
        let below = one.fragments.iter().filter_map(|number| needs.get(*number)).flatten();
        for number in one.parameters.iter().chain(below) {
            if values.insert(*number) {
                open.extend(of_parameter.get(number));
            }
        }
    }
    let mut known: BTreeSet<usize> = BTreeSet::new();
    let mut gathered: BTreeSet<usize> = BTreeSet::new();
    let mut rounds = vec![];
    while gathered != wanted || known != values {
        let is_ready = |number: &&usize| {
            !gathered.contains(*number)
                && needs.get(**number).is_some_and(|needs| needs.is_subset(&known))
        };
        let ready: Vec<usize> = wanted.iter().filter(is_ready).copied().collect();
        gathered.extend(&ready);
        let mut round = Round { fragments: ready, parameters: vec![] };
        loop {
            let next = values.iter().find(|number| {
                !known.contains(*number)
                    && of_parameter.get(*number).is_some_and(|reads| {
                        reads.fragments.is_subset(&gathered) && reads.parameters.is_subset(&known)
                    })
            });
            let Some(next) = next.copied() else { break };
            known.insert(next);
            round.parameters.push(next);
        }
        if round.fragments.is_empty() && round.parameters.is_empty() {
            return Err(EngineError::Internal { what: "subqueries in a circle", source: None });
        }
        rounds.push(round);
    }
    let protected = wanted.iter().filter_map(|number| fragments.get(*number)).any(|a| a.protected);
    if protected && rounds.iter().filter(|round| !round.fragments.is_empty()).count() > 1 {
        return Err(EngineError::NotSplit {
            what: "a question about a protected table that depends on another answer is not asked"
                .to_owned(),
            hint: "ask the inner question first, and write its answer as a constant".to_owned(),
        });
    }
    Ok(rounds)
}

fn reads(plan: &LogicalPlan) -> Reads {
    let mut found = Reads::default();
    let visited = plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::Extension(extension) => {
                if let Some(fragment) = extension.node.as_any().downcast_ref::<FederatedFragment>()
                {
                    found.fragments.insert(fragment.index);
                }
            }
            LogicalPlan::TableScan(scan) => {
                let provider = source_as_provider(&scan.source).ok();
                if let Some(table) =
                    provider.as_ref().and_then(|p| p.downcast_ref::<FederatedTable>())
                {
                    found.parameters.extend(parameters_of(table.base()));
                }
            }
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(visited.is_ok(), "the visitor never fails");
    found
}
