//! What a node would count and withhold for a fragment, without running it. Main type:
//! [`FragmentExplanation`].
//!
//! It is made from the same judgement that an answer is made from, so it cannot say anything else.

use std::sync::Arc;

use hedgerow_policies::{Admission, Block, CellRule, GatedColumns, Output, PROFILE_CONDITION_BIT};

use super::answer::Node;
use crate::block::{emit, emit_measure};
use crate::error::EngineError;

/// A fragment that is allowed, and what the gate would do with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FragmentExplanation {
    /// The threshold in people; `None` where only open tables are read, whose rows may leave.
    pub k: Option<u32>,
    /// The base that numbers are rounded to.
    pub round_to: Option<u32>,
    /// The fragment as the node runs it, with what it adds; empty where it adds nothing.
    pub text: String,
    /// What the node adds to the fragment for its gate.
    pub added: Vec<AddedColumn>,
    /// Cells of which one is not released without the others, by their names in the fragment.
    pub together: Vec<Vec<String>>,
}

/// A column that a node adds for its gate. It never leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedColumn {
    /// Its name, as those asked for are named.
    pub name: String,
    /// What it counts, as SQL.
    pub text: String,
    /// What it is for, with the rule.
    pub role: String,
}

impl Node {
    /// Judges a fragment as an answer would, and says what the gate would look at.
    ///
    /// # Errors
    /// As [`Node::answer`]: [`EngineError::Refused`] with the rule.
    pub async fn explain(self: &Arc<Self>, text: &str) -> Result<FragmentExplanation, EngineError> {
        let judged = self.judge_anew(text).await?;
        Ok(match &judged.admission {
            Admission::Open => FragmentExplanation::default(),
            Admission::Protected { gated, columns } => explanation(gated, columns),
        })
    }

    /// Judges the fragments of one statement together, as those of a bundle are judged.
    ///
    /// # Errors
    /// As [`Node::answer`]: [`EngineError::Refused`] with the rule.
    pub async fn check_together(self: &Arc<Self>, texts: &[String]) -> Result<(), EngineError> {
        self.judge_texts(texts).await.map(|_| ())
    }
}

fn explanation(gated: &Block, columns: &GatedColumns) -> FragmentExplanation {
    let measures = match &gated.output {
        Output::Groups { measures, .. } => measures.as_slice(),
        Output::Rows { .. } => &[],
    };
    let added = measures.iter().enumerate().skip(columns.cells.len());
    FragmentExplanation {
        k: Some(columns.k),
        round_to: columns.round_to,
        text: emit(gated),
        added: added
            .map(|(index, measure)| AddedColumn {
                name: cell_name(index),
                text: emit_measure(measure),
                role: role(columns, columns.keys + index),
            })
            .collect(),
        together: together(&columns.cells),
    }
}

/// As [`emit`](crate::emit) names measures.
fn cell_name(index: usize) -> String {
    format!("m{index}")
}

/// What the column in a place is for; it may be for several things.
fn role(columns: &GatedColumns, place: usize) -> String {
    let mut roles = vec![];
    if place == columns.people {
        roles.push("people: those of the group (G1)".to_owned());
    }
    let contributors = cells(columns, |cell| cell.contributors.contains(&place));
    if !contributors.is_empty() {
        roles.push(format!("contributors: those of {contributors} (G2)"));
    }
    if columns.profile == Some(place) {
        roles.push(profile(columns));
    }
    for (part, what) in [(0, "count"), (1, "sum")] {
        let rounded = cells(columns, |cell| cell.rounding.parts().get(part) == Some(&place));
        if columns.round_to.is_some() && !rounded.is_empty() {
            roles.push(format!("{what}: {rounded} is rounded from it (G8)"));
        }
    }
    roles.join("; ")
}

/// A profile has bits for conditions, and bits for amounts.
fn profile(columns: &GatedColumns) -> String {
    let condition = |cell: &CellRule| cell.proofs >> PROFILE_CONDITION_BIT != 0;
    let amounts = (1_u64 << PROFILE_CONDITION_BIT) - 1;
    let parts = [
        (cells(columns, condition), "complement", "G3"),
        (cells(columns, |cell| cell.proofs & amounts != 0), "dominance", "G4"),
    ];
    let parts = parts.iter().filter(|(cells, ..)| !cells.is_empty());
    let parts: Vec<String> =
        parts.map(|(cells, what, rule)| format!("{what} of {cells} ({rule})")).collect();
    format!("profile: {}", parts.join(" and "))
}

/// The names of the cells that `which` holds of.
fn cells(columns: &GatedColumns, which: impl Fn(&CellRule) -> bool) -> String {
    let cells = columns.cells.iter().enumerate().filter(|(_, cell)| which(cell));
    cells.map(|(index, _)| cell_name(index)).collect::<Vec<_>>().join(", ")
}

fn together(cells: &[CellRule]) -> Vec<Vec<String>> {
    let mut groups: Vec<(usize, Vec<String>)> = vec![];
    for (index, cell) in cells.iter().enumerate() {
        match groups.iter_mut().find(|(linked, _)| *linked == cell.linked) {
            Some((_, names)) => names.push(cell_name(index)),
            None => groups.push((cell.linked, vec![cell_name(index)])),
        }
    }
    groups.into_iter().map(|(_, names)| names).filter(|names| names.len() > 1).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "test")]
mod tests {
    use hedgerow_catalog::Contracts;
    use hedgerow_policies::{
        AggregateFunction, BinaryOperator, Expr, Join, Literal, Measure, Policy, PolicySettings,
        Relation, admit,
    };

    use super::*;

    const CONTRACT: &str = r#"
name = "spell"
version = 1
person = { column = "person_number", scope = "organisation" }

[[columns]]
name = "person_number"
type = "int64"
roles = ["identifier"]

[[columns]]
name = "days"
type = "int32"
roles = ["measure"]
"#;

    fn days() -> Expr {
        Expr::Column { relation: 0, name: "days".to_owned() }
    }

    fn measure(
        function: AggregateFunction,
        arguments: Vec<Expr>,
        condition: Option<Expr>,
    ) -> Measure {
        Measure { function, arguments, distinct: false, condition }
    }

    /// Count, mean and sum of days, and a count under a condition.
    fn block() -> Block {
        let long = Expr::Binary {
            left: Box::new(days()),
            operator: BinaryOperator::Greater,
            right: Box::new(Expr::Literal(Literal::int64(7))),
        };
        let measures = vec![
            measure(AggregateFunction::Count, vec![], None),
            measure(AggregateFunction::Avg, vec![days()], None),
            measure(AggregateFunction::Sum, vec![days()], None),
            measure(AggregateFunction::Count, vec![], Some(long)),
        ];
        let output = Output::Groups { keys: vec![], measures };
        Block { from: vec![Relation::table("spell", Join::First)], filter: vec![], output }
    }

    fn explained(settings: &PolicySettings) -> FragmentExplanation {
        let contracts = Contracts::from_toml("spell.toml", CONTRACT).unwrap();
        let policy = Policy::new(settings).unwrap();
        match admit(&block(), &|name| contracts.get(name).cloned(), &policy).unwrap() {
            Admission::Protected { gated, columns } => explanation(&gated, &columns),
            Admission::Open => panic!("the table is protected"),
        }
    }

    #[test]
    fn people_and_contributors_are_counted_by_every_policy() {
        let explained = explained(&PolicySettings::default());
        assert_eq!((explained.k, explained.round_to), (Some(10), None));
        let first = explained.added.first().unwrap();
        assert_eq!(first.name, "m4");
        assert!(first.text.contains("hedgerow_people"), "{first:?}");
        assert!(first.role.starts_with("people: "), "{first:?}");
        assert!(first.role.contains("those of m0 (G2)"), "{first:?}");
        assert_eq!(explained.together, [["m1".to_owned(), "m2".to_owned()]]);
        assert!(explained.added.iter().all(|column| !column.role.contains("profile")));
    }

    #[test]
    fn further_rules_add_columns_with_their_role() {
        let settings = PolicySettings {
            complement: true,
            p_percent: Some(0.1),
            round_to: Some(5),
            ..PolicySettings::default()
        };
        let explained = explained(&settings);
        assert_eq!(explained.round_to, Some(5));
        let role = |words: &str| explained.added.iter().any(|column| column.role.contains(words));
        for words in ["profile: complement of ", "(G3)", "dominance of ", "(G4)", "(G8)"] {
            assert!(role(words), "no {words} in {explained:?}");
        }
        assert!(explained.added.iter().all(|column| !column.role.is_empty()), "{explained:?}");
    }
}
