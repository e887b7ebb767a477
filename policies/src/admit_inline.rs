//! Inline tables in protected questions: nobody is looked up by them, and no row is multiplied
//! (rules S4 and S5). What else they may do is what any open table may.

use std::collections::BTreeSet;

use arrow::datatypes::DataType;

use crate::admit::Question;
use crate::contract::Role;
use crate::expression::Use;
use crate::inline::InlineTable;
use crate::refusal::{Refusal, Rule};
use crate::scalar::{BinaryOperator, Expr};

/// Functions that yield text, whatever they are given.
const TEXT_FUNCTIONS: &[&str] =
    &["btrim", "concat", "left", "lower", "ltrim", "right", "rtrim", "substr", "trim", "upper"];

impl Question<'_> {
    /// S4: an identifier meets no constant, and so no row of constants either.
    pub(crate) fn check_inline(&self) -> Result<(), Refusal> {
        let inline: BTreeSet<usize> = (0..self.block.from.len())
            .filter(|place| self.block.from.get(*place).is_some_and(|r| r.inline().is_some()))
            .collect();
        if inline.is_empty() {
            return Ok(());
        }
        let met = self.block.expressions().into_iter().find_map(|expr| {
            (!expr.relations().is_disjoint(&inline)).then(|| self.identifier_in(expr)).flatten()
        });
        match met {
            None => Ok(()),
            Some(name) => Err(Refusal::new(
                Rule::S4Literal,
                format!("identifier `{name}` is compared with the values of {}", InlineTable::NAME),
                "join an inline table on dimensions; nobody can be looked up",
            )),
        }
    }

    fn identifier_in(&self, expr: &Expr) -> Option<String> {
        let mut found = None;
        expr.walk(&mut |part| {
            if let Expr::Column { relation, name } = part
                && let Some(contract) = self.contracts.get(*relation)
                && contract.is_protected()
                && contract.column(name).is_none_or(|c| c.has_role(Role::Identifier))
            {
                found.get_or_insert_with(|| name.clone());
            }
        });
        found
    }

    /// S5: the rows given have each value of what they are joined by once, and the join tells those
    /// values apart.
    pub(crate) fn inline_is_unique(
        &self,
        relation: usize,
        inline: &InlineTable,
        known: &BTreeSet<usize>,
    ) -> bool {
        let bound: BTreeSet<usize> = self
            .equated(relation, known)
            .into_iter()
            .filter(|(_, other)| self.places().check(other, Use::Key).is_ok())
            .filter_map(|(name, other)| {
                let own = &inline.data_type(name)?.0;
                let theirs = self.plain_type(other)?;
                keeps_apart(own, &theirs).then(|| inline.place(name)).flatten()
            })
            .collect();
        inline.is_unique_on(&bound)
    }

    /// The type of an expression, where it is plain.
    fn plain_type(&self, expr: &Expr) -> Option<DataType> {
        match expr {
            Expr::Column { relation, name } => {
                Some(self.contracts.get(*relation)?.column(name)?.data_type.clone())
            }
            Expr::Organisation { .. } => Some(DataType::Utf8),
            Expr::Literal(literal) => Some(literal.data_type.0.clone()),
            Expr::Cast { to, .. } => Some(to.0.clone()),
            Expr::Binary { operator: BinaryOperator::Concat, .. } => Some(DataType::Utf8),
            Expr::Function { name, .. } if TEXT_FUNCTIONS.contains(&name.as_str()) => {
                Some(DataType::Utf8)
            }
            Expr::Function { name, .. } if name == "date_part" => Some(DataType::Int32),
            Expr::Case { branches, otherwise, .. } => {
                let mut results = branches.iter().map(|(_, then)| then).chain(otherwise.as_deref());
                let first = self.plain_type(results.next()?)?;
                results
                    .all(|other| self.plain_type(other).as_ref() == Some(&first))
                    .then_some(first)
            }
            Expr::Parameter { .. }
            | Expr::And(_)
            | Expr::Or(_)
            | Expr::Not(_)
            | Expr::Negative(_)
            | Expr::Is { .. }
            | Expr::Binary { .. }
            | Expr::Between { .. }
            | Expr::InList { .. }
            | Expr::Like { .. }
            | Expr::Function { .. }
            | Expr::Window(_) => None,
        }
    }
}

/// Tells whether values that differ also differ where they are compared with values of `theirs`:
/// text read as a number would not (`1` and `01`), and zero is two floats.
fn keeps_apart(own: &DataType, theirs: &DataType) -> bool {
    own == theirs && !own.is_floating() || own.is_integer() && theirs.is_integer()
}

/// The relation of an inline table that would bring several rows to one.
pub(crate) fn inline_multiplies() -> Refusal {
    Refusal::new(
        Rule::S5FanOut,
        format!(
            "{} may have several rows for one row it is joined to, which would multiply rows",
            InlineTable::NAME
        ),
        "list each value once, and equate it with a dimension of its own type",
    )
}
