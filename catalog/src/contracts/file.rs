//! The format of a contract file. Main type: [`ContractFile`], which becomes a [`TableContract`].

use arrow::datatypes::DataType;
use hedgerow_policies::{
    ColumnContract, ContractViolation, PersonColumn, Protection, Role, Scope, TableContract,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::document::Document;
use crate::error::{CatalogError, ContractProblem};

/// One contract as written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ContractFile {
    name: String,
    version: u32,
    #[serde(default)]
    description: String,
    #[serde(default)]
    protection: ProtectionWord,
    #[serde(default)]
    reference: bool,
    person: Option<PersonColumn>,
    #[serde(default)]
    keys: Vec<Vec<String>>,
    // Left out of the fingerprint where there are none, so that contracts without keep theirs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    products: Vec<(String, String)>,
    #[serde(default)]
    columns: Vec<ColumnFile>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ProtectionWord {
    #[default]
    Protected,
    Open,
}

/// One column as written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnFile {
    name: String,
    #[serde(rename = "type")]
    type_name: String,
    #[serde(default)]
    roles: Vec<Role>,
    scope: Option<Scope>,
    #[serde(default)]
    within_person: bool,
    #[serde(default)]
    within_organisation: bool,
    #[serde(default)]
    unique: bool,
    #[serde(default = "yes")]
    nullable: bool,
    #[serde(default)]
    description: String,
    #[serde(default)]
    continuous: bool,
    range: Option<(f64, f64)>,
    #[serde(default)]
    bins: Vec<f64>,
    #[serde(default)]
    domain: Vec<String>,
}

fn yes() -> bool {
    true
}

impl ContractFile {
    /// 16 hexadecimal digits over the content, with defaults filled in.
    pub(super) fn fingerprint(&self) -> String {
        // Neither maps nor non-string keys occur in this type, so it always serialises.
        let canonical = serde_json::to_vec(self).unwrap_or_default();
        short_hex(&Sha256::digest(&canonical))
    }

    /// Checks the content and turns it into a contract.
    pub(super) fn into_contract(
        self,
        document: &Document<'_>,
    ) -> Result<TableContract, CatalogError> {
        let names: Vec<String> = self.columns.iter().map(|column| column.name.clone()).collect();
        let contract = self.build().and_then(|contract| {
            contract.validate()?;
            Ok(contract)
        });
        contract.map_err(|problem| CatalogError::Contract {
            file: document.file.to_owned(),
            line: line_of(document, &names, &problem),
            problem,
        })
    }

    fn build(self) -> Result<TableContract, ContractProblem> {
        if self.columns.is_empty() {
            return Err(ContractProblem::NoColumns);
        }
        let protection = match (self.protection, self.person) {
            (ProtectionWord::Protected, Some(person)) => Protection::Protected(person),
            (ProtectionWord::Open, None) => Protection::Open,
            (ProtectionWord::Protected, None) if self.reference => {
                return Err(ContractViolation::ProtectedReference.into());
            }
            (ProtectionWord::Protected, None) => return Err(ContractViolation::NoPerson.into()),
            (ProtectionWord::Open, Some(_)) => return Err(ContractViolation::OpenWithPerson.into()),
        };
        let columns = self.columns.into_iter().map(ColumnFile::build).collect::<Result<_, _>>()?;
        let mut contract = TableContract {
            name: self.name,
            version: self.version,
            description: self.description,
            protection,
            reference: self.reference,
            keys: self.keys,
            products: self.products,
            columns,
        };
        give_person_its_scope(&mut contract)?;
        Ok(contract)
    }
}

impl ColumnFile {
    fn build(self) -> Result<ColumnContract, ContractProblem> {
        let data_type = self.data_type()?;
        if let Some((low, high)) = self.range
            && !(low.is_finite() && high.is_finite() && low <= high)
        {
            return Err(ContractProblem::Range { column: self.name });
        }
        let ascending = self.bins.is_sorted_by(|a, b| a < b);
        if !ascending || !self.bins.iter().all(|edge| edge.is_finite()) {
            return Err(ContractProblem::Bins { column: self.name });
        }
        Ok(ColumnContract {
            name: self.name,
            data_type,
            nullable: self.nullable,
            roles: self.roles,
            scope: self.scope,
            within_person: self.within_person,
            within_organisation: self.within_organisation,
            unique: self.unique,
            continuous: self.continuous,
            range: self.range,
            bins: self.bins,
            domain: self.domain,
            description: self.description,
        })
    }

    fn data_type(&self) -> Result<DataType, ContractViolation> {
        TableContract::wire_type(&self.type_name).ok_or_else(|| ContractViolation::Type {
            column: self.name.clone(),
            type_name: self.type_name.clone(),
        })
    }
}

/// The person column's scope is written once, in `person`; the column itself may repeat it.
fn give_person_its_scope(contract: &mut TableContract) -> Result<(), ContractProblem> {
    let Some(person) = contract.person().cloned() else {
        return Ok(());
    };
    let column = contract.columns.iter_mut().find(|column| column.name == person.column);
    let Some(column) = column.filter(|column| column.has_role(Role::Identifier)) else {
        return Ok(());
    };
    match column.scope {
        Some(scope) if scope != person.scope => {
            Err(ContractProblem::PersonScope { column: person.column })
        }
        Some(_) | None => {
            column.scope = Some(person.scope);
            Ok(())
        }
    }
}

fn line_of(document: &Document<'_>, columns: &[String], problem: &ContractProblem) -> usize {
    let in_column = |name: &str, property: &str| {
        // The last of two columns of one name is the one too many.
        let index = columns.iter().rposition(|column| column == name).unwrap_or_default();
        document.line_of(&["columns", &index.to_string(), property])
    };
    match problem {
        ContractProblem::NoColumns => document.line_of(&["columns"]),
        ContractProblem::Range { column } => in_column(column, "range"),
        ContractProblem::Bins { column } => in_column(column, "bins"),
        ContractProblem::PersonScope { column } => in_column(column, "scope"),
        ContractProblem::Violation(violation) => match violation {
            ContractViolation::Name { name } if columns.contains(name) => in_column(name, "name"),
            ContractViolation::DuplicateColumn { column } => in_column(column, "name"),
            ContractViolation::Type { column, .. } => in_column(column, "type"),
            ContractViolation::PropertyWithoutRole { column, property, .. } => {
                in_column(column, property)
            }
            ContractViolation::UnknownKeyColumn { .. } => document.line_of(&["keys"]),
            ContractViolation::NotAProduct { .. } => document.line_of(&["products"]),
            ContractViolation::NotAnIdentifier { .. } | ContractViolation::OpenWithPerson => {
                document.line_of(&["person"])
            }
            ContractViolation::ProtectedReference => document.line_of(&["reference"]),
            _ => document.line_of(&["name"]),
        },
    }
}

/// The first 16 hexadecimal digits of a digest.
pub(crate) fn short_hex(digest: &[u8]) -> String {
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
