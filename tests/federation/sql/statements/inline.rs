//! Inline tables that join what is there: `VALUES` with some values of a text column.

use super::*;

impl Draw<'_> {
    /// Rows of constants and the column they join, where some column has values to compare with.
    pub(super) fn inline(&mut self, relations: &[Relation]) -> Option<(Relation, Pairs)> {
        let scope: Vec<Item> = relations.iter().flat_map(Relation::scope).collect();
        let column =
            self.pick(&scope, |item| item.kind == Kind::Text && !item.literals.is_empty())?;
        let values: BTreeSet<&String> = column.literals.iter().collect();
        let mut rows = vec![];
        for value in values {
            if rows.is_empty() || self.chance(60) {
                rows.push(format!("({value}, {})", self.below(3)));
            }
        }
        let code =
            Item { literals: column.literals.clone(), ..Item::new("code".to_owned(), Kind::Text) };
        let items = vec![code, Item::new("label".to_owned(), Kind::Int)];
        let text = format!("(SELECT * FROM (VALUES {}) AS v (code, label))", rows.join(", "));
        let alias = self.alias();
        let unique = vec!["code".to_owned()];
        let relation = Relation { text, alias, items, unique };
        let pairs = vec![(column.sql, relation.qualified("code"))];
        Some((relation, pairs))
    }
}
