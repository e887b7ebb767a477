//! The contract of a shared table: its columns, their roles, and whom its rows are about.
//!
//! A contract is federation-wide and versioned; `hedgerow-catalog` reads it from TOML, nodes judge
//! questions by it. Main type: [`TableContract`].

use std::collections::HashSet;

use arrow::datatypes::{DataType, TimeUnit};
use serde::{Deserialize, Serialize};

/// What a column may be used for across the federation. A column may hold several roles; a column
/// without any is not visible outside its organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Names a person, an event or a thing: join key and `count(DISTINCT …)` only (rule S4).
    Identifier,
    /// Classifies: group key and filter.
    Dimension,
    /// Is measured: argument of sums and means, banded by constants as a key.
    Measure,
    /// Carries nothing personal: any use.
    Open,
}

/// Within what an identifier's values are unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Each organisation numbers on its own; the true key is (organisation, identifier).
    Organisation,
    /// One number for one person or thing across the whole federation.
    Federation,
}

/// The identifier whose distinct values are the people a row is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonColumn {
    /// Name of the column, which must be in the table with role `identifier`.
    pub column: String,
    /// Scope of its values.
    pub scope: Scope,
}

/// Whether disclosure rules apply to a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protection {
    /// Rows are about people: only gated aggregates leave the node.
    Protected(PersonColumn),
    /// Rows are about nobody: rows may leave.
    Open,
}

/// One column of a contract.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnContract {
    /// Name, `[a-z_][a-z0-9_]*`.
    pub name: String,
    /// Arrow type on the wire, from the closed list of [`TableContract::wire_type`].
    pub data_type: DataType,
    /// Whether NULL may occur.
    pub nullable: bool,
    /// Roles; empty means not visible across the federation.
    pub roles: Vec<Role>,
    /// Scope of an identifier.
    pub scope: Option<Scope>,
    /// Each value belongs to one person (spell, pathway, order).
    pub within_person: bool,
    /// Each value occurs at one organisation only, so that groups by it are whole there. It is
    /// believed: where it is not so, such groups come once per organisation.
    pub within_organisation: bool,
    /// Each value occurs at most once per organisation.
    pub unique: bool,
    /// A measure with so many distinct values that moments of it are safe to ask.
    pub continuous: bool,
    /// Smallest and largest value a measure can take, where public.
    pub range: Option<(f64, f64)>,
    /// Ascending bin edges for percentiles.
    pub bins: Vec<f64>,
    /// Public list of values of a dimension, as text.
    pub domain: Vec<String>,
    /// One line for `\d` and `system.columns`.
    pub description: String,
}

impl ColumnContract {
    /// Tells whether the column holds `role`.
    pub fn has_role(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

/// The federation-wide, versioned definition of one shared table.
#[derive(Debug, Clone, PartialEq)]
pub struct TableContract {
    /// Name, `[a-z_][a-z0-9_]*`.
    pub name: String,
    /// Counts up with every change.
    pub version: u32,
    /// One line for `\d` and `system.tables`.
    pub description: String,
    /// Protected (the default) or open.
    pub protection: Protection,
    /// Every node holds the same rows.
    pub reference: bool,
    /// Declared keys, each a set of column names unique together within one organisation.
    pub keys: Vec<Vec<String>>,
    /// Pairs of measures whose product may be summed and averaged.
    pub products: Vec<(String, String)>,
    /// Columns in order.
    pub columns: Vec<ColumnContract>,
}

/// What is wrong with a contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContractViolation {
    /// A name outside `[a-z_][a-z0-9_]*`, or reserved.
    #[error(
        "`{name}` is not a contract name: use lower-case letters, digits and `_`, not starting with a digit, and not `organisation`"
    )]
    Name {
        /// The name as written.
        name: String,
    },
    /// Two columns of one name.
    #[error("column `{column}` occurs twice")]
    DuplicateColumn {
        /// The column's name.
        column: String,
    },
    /// A protected table that does not say whom its rows are about.
    #[error(
        "a protected table needs `person = {{ column = \"…\", scope = \"organisation\" }}`; if its rows are about nobody, say `protection = \"open\"`"
    )]
    NoPerson,
    /// An open table with a person column.
    #[error(
        "an open table has no person column; remove `person` or set `protection = \"protected\"`"
    )]
    OpenWithPerson,
    /// The person column or a key column is missing or no identifier.
    #[error(
        "`{column}` is named as {used_as} but the table has no such column with role `identifier`"
    )]
    NotAnIdentifier {
        /// The column named.
        column: String,
        /// `person` or `within_person`.
        used_as: &'static str,
    },
    /// A key names a column that is not there.
    #[error("key column `{column}` is not a column of the table")]
    UnknownKeyColumn {
        /// The column named.
        column: String,
    },
    /// A product of what is not two different measures.
    #[error(
        "`products` names `{column}`: each product is of two different columns with role `measure` that are numbers"
    )]
    NotAProduct {
        /// The column at fault.
        column: String,
    },
    /// A reference table must be open.
    #[error(
        "a reference table is the same at every organisation and so must be `protection = \"open\"`"
    )]
    ProtectedReference,
    /// A property on a column whose roles do not allow it.
    #[error("column `{column}`: `{property}` needs role `{role}`")]
    PropertyWithoutRole {
        /// The column.
        column: String,
        /// The property set.
        property: &'static str,
        /// The role it needs.
        role: &'static str,
    },
    /// A type outside the closed list.
    #[error(
        "column `{column}`: unknown type `{type_name}`; use bool, int16, int32, int64, float64, decimal128(p,s), utf8, date32, timestamp or timestamp_utc"
    )]
    Type {
        /// The column.
        column: String,
        /// The type as written.
        type_name: String,
    },
}

impl TableContract {
    /// Name of the virtual column that tells which organisation a row comes from.
    pub const ORGANISATION: &'static str = "organisation";

    /// Finds a column by name.
    pub fn column(&self, name: &str) -> Option<&ColumnContract> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Tells whether disclosure rules apply.
    pub fn is_protected(&self) -> bool {
        matches!(self.protection, Protection::Protected(_))
    }

    /// The person column of a protected table.
    pub fn person(&self) -> Option<&PersonColumn> {
        match &self.protection {
            Protection::Protected(person) => Some(person),
            Protection::Open => None,
        }
    }

    /// Tells whether each person has at most one row at one organisation.
    pub fn one_row_per_person(&self) -> bool {
        self.person().is_some_and(|person| {
            self.column(&person.column).is_some_and(|column| column.unique)
                || self.keys.iter().any(|key| key.as_slice() == [person.column.clone()])
        })
    }

    /// Tells whether the product of two columns may be summed.
    pub fn lists_product(&self, x: &str, y: &str) -> bool {
        self.products.iter().any(|(a, b)| (a == x && b == y) || (a == y && b == x))
    }

    /// Parses a contract type name into its one Arrow wire type.
    ///
    /// `bool int16 int32 int64 float64 decimal128(p,s) utf8 date32 timestamp timestamp_utc`, the
    /// timestamps in microseconds. Anything else is `None`.
    pub fn wire_type(type_name: &str) -> Option<DataType> {
        Some(match type_name {
            "bool" => DataType::Boolean,
            "int16" => DataType::Int16,
            "int32" => DataType::Int32,
            "int64" => DataType::Int64,
            "float64" => DataType::Float64,
            "utf8" => DataType::Utf8,
            "date32" => DataType::Date32,
            "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, None),
            "timestamp_utc" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            other => {
                let (precision, scale) =
                    other.strip_prefix("decimal128(")?.strip_suffix(')')?.split_once(',')?;
                let precision: u8 = precision.trim().parse().ok()?;
                let scale: i8 = scale.trim().parse().ok()?;
                let fits = (1..=38).contains(&precision)
                    && scale >= 0
                    && u8::try_from(scale).is_ok_and(|scale| scale <= precision);
                fits.then_some(DataType::Decimal128(precision, scale))?
            }
        })
    }

    /// Checks the contract against itself; the first thing wrong is returned.
    ///
    /// # Errors
    /// [`ContractViolation`], naming the column and what to write instead.
    pub fn validate(&self) -> Result<(), ContractViolation> {
        valid_name(&self.name)?;
        let mut seen = HashSet::new();
        for column in &self.columns {
            valid_name(&column.name)?;
            if !seen.insert(column.name.as_str()) {
                return Err(ContractViolation::DuplicateColumn { column: column.name.clone() });
            }
            self.validate_properties(column)?;
        }
        match &self.protection {
            Protection::Protected(_) if self.reference => {
                return Err(ContractViolation::ProtectedReference);
            }
            Protection::Protected(person) => {
                if !self.column(&person.column).is_some_and(|c| c.has_role(Role::Identifier)) {
                    return Err(ContractViolation::NotAnIdentifier {
                        column: person.column.clone(),
                        used_as: "person",
                    });
                }
            }
            Protection::Open => {}
        }
        for column in self.keys.iter().flatten() {
            if self.column(column).is_none() {
                return Err(ContractViolation::UnknownKeyColumn { column: column.clone() });
            }
        }
        self.validate_products()
    }

    fn validate_products(&self) -> Result<(), ContractViolation> {
        let factor = |name: &str| {
            self.column(name).is_some_and(|c| c.has_role(Role::Measure) && c.data_type.is_numeric())
        };
        for (a, b) in &self.products {
            let wrong = [a, b].into_iter().find(|name| !factor(name));
            if let Some(column) = wrong.or((a == b).then_some(a)) {
                return Err(ContractViolation::NotAProduct { column: column.clone() });
            }
        }
        Ok(())
    }

    fn validate_properties(&self, column: &ColumnContract) -> Result<(), ContractViolation> {
        let needs = [
            ("scope", column.scope.is_some(), Role::Identifier, "identifier"),
            ("within_person", column.within_person, Role::Identifier, "identifier"),
            ("within_organisation", column.within_organisation, Role::Identifier, "identifier"),
            ("continuous", column.continuous, Role::Measure, "measure"),
            ("range", column.range.is_some(), Role::Measure, "measure"),
            ("bins", !column.bins.is_empty(), Role::Measure, "measure"),
            ("domain", !column.domain.is_empty(), Role::Dimension, "dimension"),
        ];
        for (property, set, role, role_name) in needs {
            if set && !column.has_role(role) {
                return Err(ContractViolation::PropertyWithoutRole {
                    column: column.name.clone(),
                    property,
                    role: role_name,
                });
            }
        }
        Ok(())
    }
}

fn valid_name(name: &str) -> Result<(), ContractViolation> {
    let mut bytes = name.bytes();
    let starts = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
    let continues = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if starts && continues && name != TableContract::ORGANISATION {
        Ok(())
    } else {
        Err(ContractViolation::Name { name: name.to_owned() })
    }
}
