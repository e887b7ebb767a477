//! Arrow schemas of a contract.
//!
//! Every field is nullable, whatever the contract says: `nullable = false` is a promise that rules
//! use, not a fact about Arrow buffers, and so every organisation has one and the same schema. The
//! one exception is `organisation`, which the federation itself fills in.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use hedgerow_policies::{ColumnContract, TableContract};

/// All columns of a contract in its order, also those without a role.
pub fn arrow_schema(contract: &TableContract) -> SchemaRef {
    Arc::new(Schema::new(contract.columns.iter().map(field).collect::<Vec<_>>()))
}

/// The columns that hold a role, in the contract's order: what a node's table exposes.
pub fn visible_schema(contract: &TableContract) -> SchemaRef {
    Arc::new(Schema::new(visible(contract).map(field).collect::<Vec<_>>()))
}

/// `organisation`, then the columns that hold a role: what the federation's table exposes.
pub fn shared_schema(contract: &TableContract) -> SchemaRef {
    let organisation = Field::new(TableContract::ORGANISATION, DataType::Utf8, false);
    let fields = std::iter::once(organisation).chain(visible(contract).map(field));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn visible(contract: &TableContract) -> impl Iterator<Item = &ColumnContract> {
    contract.columns.iter().filter(|column| !column.roles.is_empty())
}

fn field(column: &ColumnContract) -> Field {
    Field::new(&column.name, column.data_type.clone(), true)
}
