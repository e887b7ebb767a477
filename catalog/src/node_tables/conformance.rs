//! A contract against the columns that are there. Entry: [`differences`].

use arrow::datatypes::{DataType, Schema, TimeUnit};
use hedgerow_policies::{ColumnContract, TableContract};

use crate::error::closest;
use crate::source::plain_type;

/// Where the columns come from, which decides what may differ and what to write instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A file read directly: only views, large offsets and dictionaries may differ.
    File,
    /// A mapping: types that hold all of the other's values are cast.
    Mapping,
}

/// How a column's type relates to the contract's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// The same values in the same or another layout.
    Same,
    /// Every value can be represented.
    Widens,
    /// Some values may not.
    Differs,
}

/// Lists what keeps `schema` from being the contract's table; empty when nothing does. All of the
/// contract's columns must be there, also those without a role; further columns are left out.
pub(super) fn differences(
    contract: &TableContract,
    schema: &Schema,
    origin: Origin,
) -> Vec<String> {
    contract.columns.iter().filter_map(|column| difference(column, schema, origin)).collect()
}

fn difference(column: &ColumnContract, schema: &Schema, origin: Origin) -> Option<String> {
    let name = &column.name;
    let says = type_name(&column.data_type);
    let mut there = schema.fields().iter().filter(|field| field.name() == name);
    let Some(field) = there.next() else {
        let names = schema.fields().iter().map(|field| field.name().as_str());
        let nearest = closest(name, names);
        let nearest = nearest.map(|n| format!("; nearest is `{n}`")).unwrap_or_default();
        return Some(format!("column `{name}`: contract says {says}, table has none{nearest}"));
    };
    if there.next().is_some() {
        return Some(format!("column `{name}`: occurs more than once"));
    }
    let has = type_name(&plain_type(field.data_type()));
    let cast = cast_text(name, &column.data_type);
    match (fit(field.data_type(), &column.data_type), origin) {
        (Fit::Same, Origin::File | Origin::Mapping) | (Fit::Widens, Origin::Mapping) => None,
        (Fit::Differs, Origin::Mapping) => Some(format!(
            "column `{name}`: contract says {says}, table has {has} (write {cast} in the mapping)"
        )),
        (Fit::Widens | Fit::Differs, Origin::File) => Some(format!(
            "column `{name}`: contract says {says}, file has {has} (read it through a mapping with {cast})"
        )),
    }
}

fn fit(has: &DataType, says: &DataType) -> Fit {
    let has = plain_type(has);
    if has == *says {
        Fit::Same
    } else if widens(&has, says) {
        Fit::Widens
    } else {
        Fit::Differs
    }
}

fn widens(has: &DataType, says: &DataType) -> bool {
    use DataType::{
        Decimal32, Decimal64, Decimal128, Float32, Float64, Int8, Int16, Int32, Int64, Timestamp,
        UInt8, UInt16, UInt32,
    };
    match (has, says) {
        (Int8 | UInt8, Int16 | Int32 | Int64)
        | (Int16 | UInt16, Int32 | Int64)
        | (Int32 | UInt32, Int64)
        | (Float32, Float64) => true,
        (Decimal32(p, s) | Decimal64(p, s) | Decimal128(p, s), Decimal128(to_p, to_s)) => {
            let whole = |p: u8, s: i8| i16::from(p) - i16::from(s);
            to_s >= s && whole(*to_p, *to_s) >= whole(*p, *s)
        }
        // A zone tells how an instant is shown; instants with one are the same in UTC.
        (Timestamp(_, has), Timestamp(_, says)) => has.is_some() == says.is_some(),
        _ => false,
    }
}

/// A type in the words of contracts, or in Arrow's where contracts have no word.
fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "bool".to_owned(),
        DataType::Utf8 => "utf8".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, None) => "timestamp".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if zone.as_ref() == "UTC" => {
            "timestamp_utc".to_owned()
        }
        DataType::Decimal128(precision, scale) => format!("decimal128({precision},{scale})"),
        other => other.to_string().to_lowercase(),
    }
}

fn cast_text(column: &str, data_type: &DataType) -> String {
    let sql = match data_type {
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int16 => "SMALLINT".to_owned(),
        DataType::Int32 => "INT".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision}, {scale})"),
        DataType::Date32 => "DATE".to_owned(),
        DataType::Timestamp(_, None) => "TIMESTAMP".to_owned(),
        DataType::Timestamp(_, Some(_)) => {
            return format!("arrow_cast({column}, 'Timestamp(Microsecond, Some(\"UTC\"))')");
        }
        _ => "VARCHAR".to_owned(),
    };
    format!("CAST({column} AS {sql})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timestamp(unit: TimeUnit, zone: Option<&str>) -> DataType {
        DataType::Timestamp(unit, zone.map(Into::into))
    }

    #[test]
    fn layouts_fit() {
        let dictionary =
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::LargeUtf8));
        for has in [DataType::Utf8, DataType::Utf8View, DataType::LargeUtf8, dictionary] {
            assert_eq!(fit(&has, &DataType::Utf8), Fit::Same, "{has}");
        }
    }

    #[test]
    fn only_lossless_types_widen() {
        let micros = timestamp(TimeUnit::Microsecond, None);
        let utc = timestamp(TimeUnit::Microsecond, Some("UTC"));
        let widen = [
            (DataType::Int16, DataType::Int32),
            (DataType::UInt32, DataType::Int64),
            (DataType::Float32, DataType::Float64),
            (DataType::Decimal128(10, 2), DataType::Decimal128(12, 3)),
            (timestamp(TimeUnit::Nanosecond, None), micros.clone()),
            (timestamp(TimeUnit::Second, Some("+01:00")), utc.clone()),
        ];
        for (has, says) in widen {
            assert_eq!(fit(&has, &says), Fit::Widens, "{has} {says}");
        }
        let differ = [
            (DataType::Int64, DataType::Int32),
            (DataType::UInt16, DataType::Int16),
            (DataType::Int64, DataType::Float64),
            (DataType::Decimal128(10, 2), DataType::Decimal128(10, 3)),
            (micros, utc),
            (DataType::Utf8, DataType::Date32),
            (DataType::Date32, timestamp(TimeUnit::Microsecond, None)),
        ];
        for (has, says) in differ {
            assert_eq!(fit(&has, &says), Fit::Differs, "{has} {says}");
        }
    }
}
