//! What stands under an answer: the meaning of its marks, and who answered.

use hedgerow_engine::{Coverage, NodeCoverage, NodeOutcome};

/// The mark of a withheld value (the Government Analysis Function's symbol for "confidential").
pub(crate) const WITHHELD: &str = "[c]";

/// Which marks occur in a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// A value is withheld.
    pub(crate) withheld: bool,
    /// A value is a part, and no more than the true value.
    pub(crate) at_least: bool,
    /// A value is a part, and the true value may be smaller or larger.
    pub(crate) either_way: bool,
    /// The mark stands at the head of a column.
    pub(crate) at_head: bool,
    /// The mark stands behind a value.
    pub(crate) behind: bool,
}

/// One line for each mark that occurs.
pub(crate) fn legend_lines(marks: Marks, coverage: Option<&Coverage>) -> Vec<String> {
    let mut lines = vec![];
    if marks.withheld {
        lines.push(format!("{WITHHELD}  withheld: {} at an organisation", too_few(coverage)));
    }
    let truth = match (marks.at_least, marks.either_way) {
        (true, false) => "the true value is at least this",
        (true, true) => "a true count is at least this, other values may differ",
        _ => "the true value may differ",
    };
    if marks.behind {
        lines.push(format!("{WITHHELD} behind a number: a part may be withheld; {truth}"));
    }
    if marks.at_head {
        let whole_column = "in every row a part may be withheld";
        lines.push(format!("{WITHHELD} at the head of a column: {whole_column}; {truth}"));
    }
    lines
}

/// The coverage of an answer in lines: who answered, under which policy, and the notices. Empty
/// when no organisation was involved.
pub fn coverage_lines(coverage: &Coverage) -> Vec<String> {
    let mut lines = vec![];
    if !coverage.nodes.is_empty() {
        lines.push(answered(coverage));
    }
    lines.extend(coverage.notices.iter().map(|notice| format!("note: {notice}")));
    lines
}

fn answered(coverage: &Coverage) -> String {
    let organisations = coverage.organisations();
    let not_needed = coverage.count(NodeOutcome::NotNeeded);
    let asked = organisations.len() - not_needed;
    let noun = if asked == 1 { "organisation" } else { "organisations" };
    let mut line = format!("{} of {asked} {noun} answered", coverage.count(NodeOutcome::Answered));
    if not_needed > 0 {
        line.push_str(&format!(" ({not_needed} not needed)"));
    }
    for node in organisations {
        if let Some(missing) = missing(node) {
            line.push_str(&format!("; {missing}"));
        }
    }
    if let Some(policy) = policy(coverage) {
        line.push_str(&format!(" · {policy}"));
    }
    line
}

fn missing(node: &NodeCoverage) -> Option<String> {
    let word = match node.outcome {
        NodeOutcome::Answered | NodeOutcome::NotNeeded => return None,
        NodeOutcome::Refused => "refused",
        NodeOutcome::Unavailable => "unavailable",
        NodeOutcome::NotConforming => "not conforming",
    };
    let detail = node.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
    Some(format!("{}: {word}{detail}", node.organisation))
}

/// `policy primary_only, k = 10`; several of either where organisations differ.
fn policy(coverage: &Coverage) -> Option<String> {
    let mut presets: Vec<&str> = vec![];
    for preset in coverage.organisations().into_iter().filter_map(|node| node.preset.as_deref()) {
        if !presets.contains(&preset) {
            presets.push(preset);
        }
    }
    let thresholds = thresholds(coverage);
    if presets.is_empty() || thresholds.is_empty() {
        return None;
    }
    Some(format!("policy {}, k = {}", presets.join(" and "), thresholds.join(" and ")))
}

fn thresholds(coverage: &Coverage) -> Vec<String> {
    let organisations = coverage.organisations().into_iter();
    let mut thresholds: Vec<u32> = organisations.filter_map(|node| node.k).collect();
    thresholds.sort_unstable();
    thresholds.dedup();
    thresholds.iter().map(u32::to_string).collect()
}

/// Why a value may be withheld: where a node has rules beyond its preset, not for its number of
/// people alone.
fn too_few(coverage: Option<&Coverage>) -> String {
    let organisations = coverage.map(Coverage::organisations).unwrap_or_default();
    let added = |preset: &String| preset.ends_with('+');
    let stricter = organisations.iter().any(|node| node.preset.as_ref().is_some_and(added));
    let other = if stricter { ", or another of its rules," } else { "" };
    match coverage.map(thresholds).filter(|thresholds| !thresholds.is_empty()) {
        Some(thresholds) => format!("fewer than {} people{other}", thresholds.join(" or ")),
        None => format!("too few people{other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn complete_coverage_names_the_policy() {
        assert_eq!(
            coverage_lines(&samples::complete()),
            ["2 of 2 organisations answered · policy primary_only, k = 10"]
        );
        assert!(coverage_lines(&Coverage::default()).is_empty());
    }

    #[test]
    fn missing_organisations_are_named_with_the_reason() {
        let mut coverage = samples::complete();
        let mut fenmarsh = NodeCoverage::new("fenmarsh", NodeOutcome::NotConforming);
        fenmarsh.detail = Some("column `cost` is missing".to_owned());
        coverage.nodes.push(fenmarsh);
        coverage.nodes.push(NodeCoverage::new("hartwell", NodeOutcome::NotNeeded));
        coverage.notices.push("fenmarsh is left out".to_owned());
        assert_eq!(
            coverage_lines(&coverage),
            [
                "2 of 3 organisations answered (1 not needed); \
                 fenmarsh: not conforming (column `cost` is missing) · policy primary_only, k = 10",
                "note: fenmarsh is left out",
            ]
        );
    }

    #[test]
    fn organisations_below_a_federation_are_counted_and_named() {
        let mut coverage = samples::complete();
        let mut board = NodeCoverage::new("midshire", NodeOutcome::Answered);
        let answered = NodeCoverage::new("midshire/fenmarsh", NodeOutcome::Answered);
        let dead = NodeCoverage::new("midshire/hartwell", NodeOutcome::Unavailable);
        board.nodes = vec![answered, dead];
        coverage.nodes.push(board);
        coverage.nodes.push(NodeCoverage::new("eastshire", NodeOutcome::Unavailable));
        assert_eq!(
            coverage_lines(&coverage),
            ["3 of 5 organisations answered; midshire/hartwell: unavailable; \
              eastshire: unavailable · policy primary_only, k = 10"]
        );
    }

    #[test]
    fn legend_has_only_what_occurs() {
        let coverage = samples::complete();
        assert!(legend_lines(Marks::default(), Some(&coverage)).is_empty());
        let marks = Marks { withheld: true, at_least: true, behind: true, ..Marks::default() };
        assert_eq!(
            legend_lines(marks, Some(&coverage)),
            [
                "[c]  withheld: fewer than 10 people at an organisation",
                "[c] behind a number: a part may be withheld; the true value is at least this",
            ]
        );
    }

    #[test]
    fn rules_beyond_the_preset_are_not_passed_over() {
        let mut coverage = samples::complete();
        for node in &mut coverage.nodes {
            node.preset = Some("primary_only+".to_owned());
        }
        let marks = Marks { withheld: true, ..Marks::default() };
        assert_eq!(
            legend_lines(marks, Some(&coverage)),
            ["[c]  withheld: fewer than 10 people, or another of its rules, at an organisation"]
        );
    }
}
