//! DataFusion's rules over physical plans, with what they get wrong kept away from them.
//!
//! Entry: [`physical_rules`].

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, internal_err};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// The first rule that draws conclusions from what is known of columns.
const FIRST_TO_CONCLUDE: &str = "EnsureRequirements";
/// The rules that move filters.
const MOVES_FILTERS: [&str; 2] = ["FilterPushdown", "FilterPushdown(Post)"];

/// The rules that a plan is optimised by, in their order.
pub(crate) fn physical_rules() -> Vec<Rule> {
    let mut rules: Vec<Rule> = vec![];
    for rule in PhysicalOptimizer::new().rules {
        if rule.name() == FIRST_TO_CONCLUDE {
            rules.push(Arc::new(ForgetNulled));
            rules.push(Arc::new(LimitAbove));
        }
        rules.push(match MOVES_FILTERS.contains(&rule.name()) {
            true => Arc::new(UniqueNames { rule }),
            false => rule,
        });
    }
    rules
}

/// Applies a rule to those parts of a plan in which no two columns beside each other have one name.
#[derive(Debug)]
struct UniqueNames {
    rule: Rule,
}

impl PhysicalOptimizerRule for UniqueNames {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if !repeats_a_name(&plan) {
            return self.rule.optimize(plan, config);
        }
        let children = plan.children().into_iter().map(Arc::clone);
        let children = children.map(|child| self.optimize(child, config));
        let children = children.collect::<Result<Vec<_>>>()?;
        replace_children_if_necessary(plan, children)
    }

    fn name(&self) -> &str {
        self.rule.name()
    }

    fn schema_check(&self) -> bool {
        self.rule.schema_check()
    }
}

/// Tells whether some part of a plan has two columns of one name.
fn repeats_a_name(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let schema = plan.schema();
    let mut names = HashSet::new();
    !schema.fields().iter().all(|field| names.insert(field.name().as_str()))
        || plan.children().into_iter().any(repeats_a_name)
}

/// Puts [`ForgetExec`] over what makes columns NULL that are known to be something else, and over
/// the parts of unions.
#[derive(Debug)]
struct ForgetNulled;

impl PhysicalOptimizerRule for ForgetNulled {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let forgetful = plan.transform_up(|node| {
            if node.downcast_ref::<UnionExec>().is_some() {
                let parts = node.children().into_iter().map(|part| match is_known(part) {
                    true => Arc::new(ForgetExec::over(Arc::clone(part))) as Arc<dyn ExecutionPlan>,
                    false => Arc::clone(part),
                });
                let parts = parts.collect();
                return Ok(Transformed::yes(replace_children_if_necessary(node, parts)?));
            }
            if !makes_known_columns_null(node.as_ref()) {
                return Ok(Transformed::no(node));
            }
            Ok(Transformed::yes(Arc::new(ForgetExec::over(node)) as Arc<dyn ExecutionPlan>))
        })?;
        Ok(forgetful.data)
    }

    fn name(&self) -> &str {
        "ForgetNulled"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn makes_known_columns_null(node: &dyn ExecutionPlan) -> bool {
    if let Some(aggregate) = node.downcast_ref::<AggregateExec>() {
        return aggregate.group_expr().has_grouping_set();
    }
    let join_type = if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        *join.join_type()
    } else if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
        *join.join_type()
    } else if let Some(join) = node.downcast_ref::<SortMergeJoinExec>() {
        join.join_type()
    } else {
        return false;
    };
    let optional = match join_type {
        JoinType::Left => [false, true],
        JoinType::Right => [true, false],
        JoinType::Full => [true, true],
        JoinType::Inner
        | JoinType::LeftSemi
        | JoinType::RightSemi
        | JoinType::LeftAnti
        | JoinType::RightAnti
        | JoinType::LeftMark
        | JoinType::RightMark => [false, false],
    };
    let mut sides = node.children().into_iter().zip(optional);
    sides.any(|(side, optional)| optional && is_known(side))
}

/// Tells whether some columns are known to be equal, or to be constants.
fn is_known(node: &Arc<dyn ExecutionPlan>) -> bool {
    !node.properties().eq_properties.eq_group().is_empty()
}

/// Puts the limit of a sort above it where something below it is sorted as well.
#[derive(Debug)]
struct LimitAbove;

impl PhysicalOptimizerRule for LimitAbove {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let apart = plan.transform_up(|node| {
            let Some(sort) = node.downcast_ref::<SortExec>() else {
                return Ok(Transformed::no(node));
            };
            let limit = sort.fetch().filter(|_| is_sorted_within(sort.input()));
            let Some(limit) = limit.filter(|_| !sort.preserve_partitioning()) else {
                return Ok(Transformed::no(node));
            };
            let all = SortExec::new(sort.expr().clone(), Arc::clone(sort.input()));
            let limited = GlobalLimitExec::new(Arc::new(all), 0, Some(limit));
            Ok(Transformed::yes(Arc::new(limited) as Arc<dyn ExecutionPlan>))
        })?;
        Ok(apart.data)
    }

    fn name(&self) -> &str {
        "LimitAbove"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Tells whether a part of a plan sorts or has to be sorted.
fn is_sorted_within(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.downcast_ref::<SortExec>().is_some()
        || plan.required_input_ordering().iter().any(Option::is_some)
        || plan.children().into_iter().any(is_sorted_within)
}

/// Passes its input on; nothing is known of its columns.
#[derive(Debug)]
struct ForgetExec {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl ForgetExec {
    fn over(input: Arc<dyn ExecutionPlan>) -> Self {
        let unknown = EquivalenceProperties::new(input.schema());
        let properties = input.properties().as_ref().clone().with_eq_properties(unknown);
        Self { input, properties: Arc::new(properties) }
    }
}

impl DisplayAs for ForgetExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ForgetExec")
    }
}

impl ExecutionPlan for ForgetExec {
    fn name(&self) -> &str {
        "ForgetExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match <[_; 1]>::try_from(children) {
            Ok([input]) => Ok(Arc::new(Self::over(input))),
            Err(_) => internal_err!("what is forgotten has one input"),
        }
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }

    fn gather_filters_for_pushdown(
        &self,
        _phase: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _config: &ConfigOptions,
    ) -> Result<FilterDescription> {
        FilterDescription::from_children(parent_filters, &self.children())
    }

    fn handle_child_pushdown_result(
        &self,
        _phase: FilterPushdownPhase,
        result: ChildPushdownResult,
        _config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        Ok(FilterPushdownPropagation::if_all(result))
    }
}
