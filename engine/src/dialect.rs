//! The pinned dialect: session settings that decide what a text means, whatever a user SETs.

use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::SessionConfig;

use hedgerow_catalog::Limits;

use crate::coordinator::exact_sum_udf;
use crate::limits::functions::bounded;
use crate::node::{people_udaf, profile_udaf};
use crate::optimizer::{logical_rules, physical_rules};

/// Settings for reading statements and fragments: the same at every coordinator and node.
///
/// UTC; plain strings (no view types); decimals only by CAST; identifiers fold to lower case.
pub(crate) fn session_config(target_partitions: usize) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(target_partitions)
        .with_information_schema(false)
        .with_create_default_catalog_and_schema(false);
    let options = config.options_mut();
    options.execution.time_zone = Some("+00:00".to_owned());
    options.execution.parquet.schema_force_view_types = false;
    // Rows are filtered after they are read. Picking them while reading is slower by half and more
    // where a filter keeps scattered rows, and hardly faster elsewhere: see `docs/benchmarks.md`.
    options.execution.parquet.pushdown_filters = false;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.sql_parser.parse_float_as_decimal = false;
    options.sql_parser.enable_ident_normalization = true;
    options.sql_parser.collect_spans = false;
    options.optimizer.expand_views_at_output = false;
    // It leaves windows without rows they look at.
    options.optimizer.enable_window_limits = false;
    // The planner and the executor disagree on whether `x IS NOT TRUE` may be NULL. That harms
    // nothing, but the check turns it into an error.
    options.execution.skip_physical_aggregate_schema_check = true;
    config
}

/// A session with the engine's functions and no catalog.
pub(crate) fn state_builder(config: SessionConfig, limits: &Limits) -> SessionStateBuilder {
    let mut builder = SessionStateBuilder::new()
        .with_config(config)
        .with_default_features()
        .with_optimizer_rules(logical_rules())
        .with_physical_optimizer_rules(physical_rules());
    if let Some(functions) = builder.aggregate_functions() {
        functions.push(people_udaf());
        functions.push(profile_udaf());
    }
    if let Some(functions) = builder.scalar_functions() {
        for function in functions.iter_mut() {
            if let Some(bounded) = bounded(function, limits.function_bytes_max) {
                *function = Arc::new(bounded);
            }
        }
        functions.push(exact_sum_udf());
    }
    builder
}
