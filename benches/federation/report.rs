//! What came out: a table for people, and a last line of JSON for programs. Main type: [`Report`].

use std::io::{self, Write};

use serde_json::{Map, Value};

use crate::federation::Federation;
use crate::measure::{Runs, median, quantile};
use crate::questions::{Against, Comparison, Target};

/// Cores that others may use without spoiling the figures.
const OTHERS_MAX: f64 = 0.1;

/// All figures of one run of the benchmark.
pub(crate) struct Report {
    lines: Vec<String>,
    figures: Map<String, Value>,
    missed: Vec<String>,
}

impl Report {
    pub(crate) fn new(scale: f64, rounds: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut report = Self { lines: vec![], figures: Map::new(), missed: vec![] };
        report.lines.push(format!("TPC-H at scale {scale}, {rounds} rounds, {cores} cores"));
        report.figures.insert("cores".to_owned(), cores.into());
        report.figure("scale", scale);
        report.figure("rounds", rounds as f64);
        report
    }

    /// Notes how long the servers took to start.
    pub(crate) fn started(&mut self, federation: &Federation) {
        let nodes = federation.node_starts();
        let (node, coordinator) = (median(&nodes), federation.coordinator_start());
        self.figure("node_start_ms", node);
        self.figure("coordinator_start_ms", coordinator);
        self.lines.push(format!(
            "start to first login      node {node:.0} ms (slowest {:.0}), coordinator \
             {coordinator:.0} ms",
            quantile(&nodes, 1.0)
        ));
    }

    /// Notes the memory of the nodes.
    pub(crate) fn memory(&mut self, when: &str, nodes: &[f64]) {
        self.figure(&format!("node_memory_{when}_mib"), median(nodes));
        self.lines.push(format!(
            "{:<25} node {:.0} MiB (largest {:.0})",
            format!("memory, {}", when.replace('_', " ")),
            median(nodes),
            quantile(nodes, 1.0)
        ));
    }

    /// Notes how many cores others used while figures were taken.
    pub(crate) fn others(&mut self, cores: f64) {
        self.figure("cores_used_by_others", cores);
        let loud = if cores > OTHERS_MAX { ": DO NOT RELY on these figures" } else { "" };
        self.lines.push(format!("used by other programs    {cores:.2} cores{loud}"));
    }

    /// Notes a comparison, and by how much its target was missed.
    pub(crate) fn compared(&mut self, comparison: &Comparison, runs: &Runs) {
        let (first, second) = (median(&runs.first.ms), median(&runs.second.ms));
        let (first_cpu, second_cpu) = (runs.first.mean_cpu_ms(), runs.second.mean_cpu_ms());
        let (ratio, more) = (first / second, first - second);
        let key = comparison.key;
        let [ours, theirs] = match comparison.against {
            Against::DataFusion => ["federation", "datafusion"],
            Against::Federation(_) => ["on", "off"],
        };
        self.figure(&format!("{key}_{ours}_ms"), first);
        self.figure(&format!("{key}_{theirs}_ms"), second);
        self.figure(&format!("{key}_{ours}_cpu_ms"), first_cpu);
        self.figure(&format!("{key}_{theirs}_cpu_ms"), second_cpu);
        self.figure(&format!("{key}_ratio"), ratio);
        self.figure(&format!("{key}_cpu_ratio"), first_cpu / second_cpu);
        self.figure(&format!("{key}_more_ms"), more);
        let (value, target) = match comparison.target {
            Target::Ratio(most) => (ratio, most),
            Target::MoreMs(most) => (more, most),
        };
        self.figure(&format!("{key}_target"), target);
        self.figure(&format!("{key}_missed_by"), (value - target).max(0.0));
        let met = value <= target;
        if !met {
            self.missed.push(key.to_owned());
        }
        let unit = match comparison.target {
            Target::Ratio(_) => "times",
            Target::MoreMs(_) => "ms more",
        };
        let verdict = match met {
            true => "met".to_owned(),
            false => format!("MISSED by {:.2}", value - target),
        };
        self.lines.push(format!(
            "{:<38} {} / {}  {value:.2} {unit}, target {target:.2}: {verdict}",
            comparison.title,
            spread(&runs.first.ms),
            spread(&runs.second.ms),
        ));
        self.lines.push(format!(
            "{:<38} {first_cpu:.1} ms / {second_cpu:.1} ms  {:.2} times",
            "    processor time, mean",
            first_cpu / second_cpu
        ));
    }

    /// Writes the table, then the line of JSON.
    pub(crate) fn print(mut self, out: &mut impl Write) -> io::Result<()> {
        let missed = self.missed.into_iter().map(Value::from).collect();
        self.figures.insert("missed".to_owned(), Value::Array(missed));
        for line in &self.lines {
            writeln!(out, "{line}")?;
        }
        writeln!(out, "{}", Value::Object(self.figures))
    }

    /// Adds a figure, rounded to what it can tell.
    fn figure(&mut self, key: &str, value: f64) {
        let rounded = (value * 1_000.0).round() / 1_000.0;
        self.figures.insert(key.to_owned(), Value::from(rounded));
    }
}

/// The median and the middle half of all runs.
fn spread(ms: &[f64]) -> String {
    format!("{:.1} ms ({:.1}–{:.1})", median(ms), quantile(ms, 0.25), quantile(ms, 0.75))
}
