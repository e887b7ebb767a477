//! Lowers `VALUES` into an inline table.

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr as DfExpr, Values};
use hedgerow_policies::{Expr, InlineTable, Join, Literal, Relation, Source, TypeName};

use super::expression::{Names, wire_type};
use super::lower::{NotABlock, Scope};

/// The rows of a VALUES as the one relation of a scope.
///
/// # Errors
/// [`NotABlock`] where a value is no constant of its column's type.
pub(super) fn scope(values: &Values) -> Result<Scope, NotABlock> {
    let types = values.schema.fields().iter().map(|field| TypeName(wire_type(field.data_type())));
    let columns: Vec<TypeName> = types.collect();
    let nothing = DFSchema::empty();
    let names = Names::plain(&nothing, &[]);
    let mut rows = Vec::with_capacity(values.values.len());
    for row in &values.values {
        let row = row.iter().zip(&columns).map(|(value, column)| constant(&names, value, column));
        rows.push(row.collect::<Result<Vec<_>, _>>()?);
    }
    let named = |place| Expr::Column { relation: 0, name: InlineTable::column_name(place) };
    let named = (0..columns.len()).map(named).collect();
    let source = Source::Values(Arc::new(InlineTable { columns, rows }));
    Ok(Scope { from: vec![Relation { source, join: Join::First }], filter: vec![], columns: named })
}

fn constant(names: &Names<'_>, value: &DfExpr, column: &TypeName) -> Result<Literal, NotABlock> {
    match names.lower(value)? {
        Expr::Literal(literal) if literal.data_type == *column => Ok(literal),
        _ => Err(NotABlock::new("an inline table whose values are not all constants")),
    }
}
