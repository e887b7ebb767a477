//! Inline tables: rows that a statement brings along, `VALUES (…), (…)`. Main type: [`InlineTable`].

use std::collections::BTreeSet;

use crate::contract::{ColumnContract, Protection, Role, TableContract};
use crate::scalar::{Literal, TypeName};

/// Rows of constants; its columns are named `c0…`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InlineTable {
    /// The type of each column; that of all its constants.
    pub columns: Vec<TypeName>,
    /// The rows as written, each as wide as there are columns.
    pub rows: Vec<Vec<Literal>>,
}

impl InlineTable {
    /// What it is called in a message.
    pub(crate) const NAME: &'static str = "an inline table";

    /// The name of a column.
    pub fn column_name(place: usize) -> String {
        format!("c{place}")
    }

    /// The place of a column.
    pub fn place(&self, name: &str) -> Option<usize> {
        (0..self.columns.len()).find(|place| Self::column_name(*place) == name)
    }

    /// The type of a column.
    pub fn data_type(&self, name: &str) -> Option<&TypeName> {
        self.columns.get(self.place(name)?)
    }

    /// Tells whether no two rows are equal in all these columns. A row with NULL in one of them
    /// equals none.
    pub fn is_unique_on(&self, columns: &BTreeSet<usize>) -> bool {
        let mut seen = BTreeSet::new();
        self.rows.iter().all(|row| {
            let values: Vec<Option<&str>> = columns
                .iter()
                .map(|column| row.get(*column).and_then(|value| value.text.as_deref()))
                .collect();
            values.contains(&None) || seen.insert(values)
        })
    }

    /// It as rules see it: an open table, since whoever asks knows its rows.
    pub fn contract(&self) -> TableContract {
        let column = |(place, data_type): (usize, &TypeName)| ColumnContract {
            name: Self::column_name(place),
            data_type: data_type.0.clone(),
            nullable: true,
            roles: vec![Role::Open],
            scope: None,
            within_person: false,
            within_organisation: false,
            unique: false,
            continuous: false,
            range: None,
            bins: vec![],
            domain: vec![],
            description: String::new(),
        };
        TableContract {
            name: Self::NAME.to_owned(),
            version: 0,
            description: String::new(),
            protection: Protection::Open,
            reference: true,
            products: vec![],
            keys: vec![],
            columns: self.columns.iter().enumerate().map(column).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[[Option<&str>; 2]]) -> InlineTable {
        let text = TypeName(arrow::datatypes::DataType::Utf8);
        let literal = |value: &Option<&str>| Literal {
            data_type: text.clone(),
            text: value.map(str::to_owned),
        };
        InlineTable {
            columns: vec![text.clone(); 2],
            rows: rows.iter().map(|row| row.iter().map(literal).collect()).collect(),
        }
    }

    #[test]
    fn rows_are_unique_on_the_columns_asked_about() {
        let rows = table(&[[Some("a"), Some("x")], [Some("a"), Some("y")], [Some("b"), Some("x")]]);
        assert!(!rows.is_unique_on(&BTreeSet::from([0])));
        assert!(!rows.is_unique_on(&BTreeSet::from([1])));
        assert!(rows.is_unique_on(&BTreeSet::from([0, 1])));
        assert!(!rows.is_unique_on(&BTreeSet::new()));
    }

    #[test]
    fn null_equals_nothing() {
        let rows = table(&[[None, Some("x")], [None, Some("y")], [Some("b"), Some("z")]]);
        assert!(rows.is_unique_on(&BTreeSet::from([0])));
    }
}
