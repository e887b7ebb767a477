//! Figures for Prometheus. Main type: [`Metrics`].
//!
//! They count statements and bundles, whole: how many, how long, how they ended. Nothing here is per
//! table, group or cell, and nothing is counted that the gate has not let out.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hedgerow_engine::{PlanCounts, sqlstate};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// Upper ends of the classes of duration, in seconds.
const DURATIONS: [f64; 12] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0];

/// The media type of [`Metrics::text`].
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Role {
    role: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    role: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Source {
    source: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Organisation {
    organisation: String,
}

/// The figures of one server.
pub(crate) struct Metrics {
    registry: Registry,
    ended: Family<Outcome, Counter<u64, AtomicU64>>,
    running: Family<Role, Gauge>,
    duration: Family<Role, Histogram>,
    plans: Family<Source, Counter<u64, AtomicU64>>,
    node_up: Family<Organisation, Gauge>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("hedgerow");
        let ended = Family::default();
        let running = Family::default();
        let duration =
            Family::<Role, Histogram>::new_with_constructor(|| Histogram::new(DURATIONS));
        let plans = Family::default();
        let node_up = Family::default();
        registry.register(
            "statements",
            "Statements (role coordinator) and bundles (roles node and federation) that ended, by \
             outcome: ok, cancelled, or an SQLSTATE",
            ended.clone(),
        );
        registry.register("statements_running", "Statements and bundles at work", running.clone());
        registry.register_with_unit(
            "statement_duration",
            "Time from the call to the last message",
            Unit::Seconds,
            duration.clone(),
        );
        registry.register(
            "plans",
            "Queries by where their plan came from: remembered, or made",
            plans.clone(),
        );
        registry.register(
            "node_up",
            "Whether the node of an organisation answered when it was last asked (1) or not (0)",
            node_up.clone(),
        );
        let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The program", version);
        Self { registry, ended, running, duration, plans, node_up }
    }

    /// Notes the begin of a statement or bundle.
    pub(crate) fn began(&self, role: &'static str) {
        self.running.get_or_create(&Role { role }).inc();
    }

    /// Notes its end; `outcome` is `None` where the line is kept back.
    pub(crate) fn ended(&self, role: &'static str, outcome: Option<&str>, duration: Duration) {
        self.running.get_or_create(&Role { role }).dec();
        let Some(outcome) = outcome else { return };
        let outcome = Outcome { role, outcome: known(outcome) };
        self.ended.get_or_create(&outcome).inc();
        self.duration.get_or_create(&Role { role }).observe(duration.as_secs_f64());
    }

    /// All figures, with the nodes and the counts of plans as they are now.
    pub(crate) fn text(
        &self,
        nodes: Vec<(String, bool)>,
        plans: PlanCounts,
    ) -> Result<String, fmt::Error> {
        for (source, count) in [("remembered", plans.reused), ("made", plans.made)] {
            self.plans.get_or_create(&Source { source }).inner().store(count, Ordering::Relaxed);
        }
        for (organisation, up) in nodes {
            self.node_up.get_or_create(&Organisation { organisation }).set(i64::from(up));
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Outcomes are labels, which must be few: a node could make up any number of them.
fn known(outcome: &str) -> &'static str {
    let ours = ["ok", "cancelled"].into_iter().chain(sqlstate::ALL);
    ours.into_iter().find(|known| *known == outcome).unwrap_or("other")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use super::*;

    #[test]
    fn figures_are_counted_by_role_and_outcome() {
        let metrics = Metrics::new();
        metrics.began("coordinator");
        metrics.began("node");
        metrics.ended("node", Some("ok"), Duration::from_millis(7));
        metrics.began("node");
        metrics.ended("node", Some("4711 \"people\""), Duration::from_millis(7));
        let plans = PlanCounts { reused: 3, made: 2 };
        let text = metrics.text(vec![("northmoor".to_owned(), false)], plans).unwrap();
        for line in [
            "hedgerow_statements_total{role=\"node\",outcome=\"ok\"} 1",
            "hedgerow_statements_total{role=\"node\",outcome=\"other\"} 1",
            "hedgerow_statements_running{role=\"coordinator\"} 1",
            "hedgerow_statement_duration_seconds_bucket{le=\"0.01\",role=\"node\"} 2",
            "hedgerow_plans_total{source=\"remembered\"} 3",
            "hedgerow_plans_total{source=\"made\"} 2",
            "hedgerow_node_up{organisation=\"northmoor\"} 0",
        ] {
            assert!(text.contains(line), "no {line} in\n{text}");
        }
        assert!(!text.contains("4711"), "{text}");
    }
}
