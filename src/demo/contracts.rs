//! The demo federation's contracts, and the schemas its files are written with.
//!
//! Main item: [`CONTRACTS`]. Reading contracts in full is the catalog's business; here only names
//! and types are taken from them, so that a file cannot depart from its contract.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use hedgerow_policies::TableContract;
use serde::Deserialize;

use super::error::DemoError;
use super::organisations::OrganisationKind;

/// Name and TOML text of every contract of the demo.
pub const CONTRACTS: &[(&str, &str)] = &[
    ("person", include_str!("contracts/person.toml")),
    ("referral_pathway", include_str!("contracts/referral_pathway.toml")),
    ("admitted_care", include_str!("contracts/admitted_care.toml")),
    ("outpatient_appointment", include_str!("contracts/outpatient_appointment.toml")),
    ("emergency_attendance", include_str!("contracts/emergency_attendance.toml")),
    ("vaccination", include_str!("contracts/vaccination.toml")),
    ("bed_occupancy", include_str!("contracts/bed_occupancy.toml")),
    ("stock", include_str!("contracts/stock.toml")),
    ("treatment_function", include_str!("contracts/treatment_function.toml")),
    ("icd10_chapter", include_str!("contracts/icd10_chapter.toml")),
    ("organisation_directory", include_str!("contracts/organisation_directory.toml")),
    ("calendar", include_str!("contracts/calendar.toml")),
];

/// Names of the tables an organisation of `kind` has, in the order of [`CONTRACTS`].
pub fn tables(kind: OrganisationKind) -> impl Iterator<Item = &'static str> {
    CONTRACTS.iter().map(|(name, _)| *name).filter(move |name| match kind {
        OrganisationKind::Acute => true,
        OrganisationKind::MentalHealth => *name != "emergency_attendance",
        OrganisationKind::Community => !matches!(*name, "admitted_care" | "emergency_attendance"),
    })
}

#[derive(Deserialize)]
struct Named {
    columns: Vec<NamedColumn>,
}

#[derive(Deserialize)]
struct NamedColumn {
    name: String,
    #[serde(rename = "type")]
    type_name: String,
    nullable: bool,
}

/// The Arrow schema that the contract of `table` prescribes.
pub(super) fn schema(table: &'static str) -> Result<SchemaRef, DemoError> {
    let fail = |reason: String| DemoError::Contract { table, reason };
    let (_, text) = CONTRACTS
        .iter()
        .find(|(name, _)| *name == table)
        .ok_or_else(|| fail("there is none".to_owned()))?;
    let contract: Named = toml::from_str(text).map_err(|error| fail(error.to_string()))?;
    let fields = contract.columns.into_iter().map(|column| {
        let data_type = TableContract::wire_type(&column.type_name)
            .ok_or_else(|| fail(format!("unknown type `{}`", column.type_name)))?;
        Ok(Field::new(column.name, data_type, column.nullable))
    });
    Ok(Arc::new(Schema::new(fields.collect::<Result<Vec<_>, DemoError>>()?)))
}
