//! What came out: a table for people, and a last line of JSON for programs. Main type: [`Report`].

use std::io::{self, Write};

use serde_json::{Map, Value};

use crate::federation::Federation;
use crate::measure::{Runs, median, quantile};
use crate::questions::{Against, Comparison, Target};
use crate::tpch::{self, Outcome};

/// Cores that others may use without spoiling the figures.
const OTHERS_MAX: f64 = 0.1;

/// What a figure is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Aim {
    AtMost(f64),
    AtLeast(f64),
}

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
        let unit = match comparison.target {
            Target::Ratio(_) => "times",
            Target::MoreMs(_) => "ms more",
        };
        let verdict = self.verdict(key, value, Aim::AtMost(target));
        self.lines.push(format!(
            "{:<38} {} / {}  {value:.2} {unit}, {verdict}",
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

    /// Notes what came of the questions of TPC-H: each, and those that were answered together.
    pub(crate) fn tpch(&mut self, outcomes: &[(&str, Outcome)], rounds: usize) {
        self.lines.push(format!("TPC-H, federation / DataFusion, medians of {rounds} rounds"));
        let (mut first_sum, mut second_sum, mut answered) = (0.0, 0.0, 0);
        for (name, outcome) in outcomes {
            match outcome {
                Outcome::Refused(reason) => {
                    self.lines.push(format!("{name:<38} refused: {reason}"))
                }
                Outcome::Answered(runs) => {
                    let (first, second) = (median(&runs.first.ms), median(&runs.second.ms));
                    let target = tpch::target(name, second);
                    self.against_datafusion(&format!("tpch_{name}"), name, first, second, target);
                    first_sum += first;
                    second_sum += second;
                    answered += 1;
                }
            }
        }
        let refused = outcomes.len() - answered;
        self.figure("tpch_answered", answered as f64);
        self.figure("tpch_refused", refused as f64);
        if answered > 0 {
            let title = format!("sum of {answered}, {refused} refused");
            let target = Some(tpch::TOTAL_TARGET);
            self.against_datafusion("tpch_total", &title, first_sum, second_sum, target);
        }
    }

    fn against_datafusion(
        &mut self,
        key: &str,
        title: &str,
        first: f64,
        second: f64,
        target: Option<f64>,
    ) {
        let ratio = first / second;
        self.figure(&format!("{key}_federation_ms"), first);
        self.figure(&format!("{key}_datafusion_ms"), second);
        self.figure(&format!("{key}_ratio"), ratio);
        let verdict = target.map(|target| self.verdict(key, ratio, Aim::AtMost(target)));
        let verdict = verdict.unwrap_or_else(|| "no target".to_owned());
        self.lines.push(format!(
            "{title:<38} {first:>9.1} ms / {second:>9.1} ms  {ratio:.2} times, {verdict}"
        ));
    }

    /// Notes two sides without a target.
    pub(crate) fn ratio(&mut self, key: &str, title: &str, first: f64, second: f64) {
        if first.is_nan() || second.is_nan() {
            return;
        }
        let ratio = first / second;
        self.figure(&format!("{key}_first_ms"), first);
        self.figure(&format!("{key}_second_ms"), second);
        self.figure(&format!("{key}_ratio"), ratio);
        self.lines
            .push(format!("{title:<38} {first:>9.1} ms / {second:>9.1} ms  {ratio:.2} times"));
    }

    /// Notes a figure without a target; what the system does not tell is left out.
    pub(crate) fn noted(&mut self, key: &str, title: &str, value: f64, unit: &str) {
        if !value.is_nan() {
            self.figure(key, value);
            self.lines.push(format!("{title:<38} {value:.1} {unit}"));
        }
    }

    /// Notes a figure with its target; what the system does not tell is left out.
    pub(crate) fn aimed(&mut self, key: &str, title: &str, value: f64, unit: &str, aim: Aim) {
        if !value.is_nan() {
            self.figure(key, value);
            let verdict = self.verdict(key, value, aim);
            self.lines.push(format!("{title:<38} {value:.2} {unit}, {verdict}"));
        }
    }

    /// Says whether a value is as aimed at, and notes by how much it is not.
    fn verdict(&mut self, key: &str, value: f64, aim: Aim) -> String {
        let (words, target, missed_by) = match aim {
            Aim::AtMost(most) => ("target", most, value - most),
            Aim::AtLeast(least) => ("target at least", least, least - value),
        };
        self.figure(&format!("{key}_target"), target);
        self.figure(&format!("{key}_missed_by"), missed_by.max(0.0));
        if missed_by <= 0.0 {
            return format!("{words} {target:.2}: met");
        }
        self.missed.push(key.to_owned());
        format!("{words} {target:.2}: MISSED by {missed_by:.2}")
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
