//! Arrow schemas that come from outside, checked before Arrow reads them: it asserts that types, sizes
//! and units are such as there are. Entry points: [`check_ipc_schema`], [`check_stored_schema`].

use arrow::ipc::{Endianness, Field as IpcField, Schema as IpcSchema, Type, root_as_message};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// Deepest nesting of a column's type.
const DEPTH_MAX: usize = 16;

/// Checks the schema that a Parquet file carries for Arrow, in base64.
pub(crate) fn check_stored_schema(encoded: &str) -> Result<(), &'static str> {
    let bytes = BASE64_STANDARD.decode(encoded).map_err(|_| "a schema does not decode")?;
    // As Parquet's reader does: a mark and a length may stand before it.
    let message = match bytes.get(..4) {
        Some([0xff, 0xff, 0xff, 0xff]) if bytes.len() > 8 => bytes.get(8..),
        _ => bytes.get(..),
    };
    let message = root_as_message(message.unwrap_or_default());
    let message = message.map_err(|_| "a schema does not decode")?;
    check_ipc_schema(message.header_as_schema().ok_or("a schema does not decode")?)
}

/// Checks a schema in Arrow's own encoding.
///
/// # Errors
/// What is wrong with it.
pub fn check_ipc_schema(schema: IpcSchema<'_>) -> Result<(), &'static str> {
    if schema.endianness() != Endianness::Little {
        return Err("its numbers have another byte order");
    }
    let fields = schema.fields().ok_or("a schema has no columns")?;
    fields.iter().try_for_each(|field| check_type(field, DEPTH_MAX))
}

/// Only types that contracts and questions have, in sizes and units that there are.
fn check_type(field: IpcField<'_>, depth: usize) -> Result<(), &'static str> {
    let known = match field.type_type() {
        _ if !has_known_index(field) => false,
        Type::Null
        | Type::Bool
        | Type::Binary
        | Type::LargeBinary
        | Type::BinaryView
        | Type::Utf8
        | Type::LargeUtf8
        | Type::Utf8View => true,
        Type::Int => {
            field.type_as_int().is_some_and(|int| matches!(int.bitWidth(), 8 | 16 | 32 | 64))
        }
        Type::FloatingPoint => field
            .type_as_floating_point()
            .is_some_and(|float| named(float.precision().variant_name())),
        Type::Decimal => field.type_as_decimal().is_some_and(|decimal| {
            let digits_max = match decimal.bitWidth() {
                32 => 9,
                64 => 18,
                128 => 38,
                256 => 76,
                _ => 0,
            };
            (1..=digits_max).contains(&decimal.precision())
                && (-digits_max..=digits_max).contains(&decimal.scale())
        }),
        Type::Date => field.type_as_date().is_some_and(|date| named(date.unit().variant_name())),
        Type::Time => field.type_as_time().is_some_and(|time| {
            let unit = time.unit().variant_name();
            matches!(
                (time.bitWidth(), unit),
                (32, Some("SECOND" | "MILLISECOND")) | (64, Some("MICROSECOND" | "NANOSECOND"))
            )
        }),
        Type::Timestamp => {
            field.type_as_timestamp().is_some_and(|time| named(time.unit().variant_name()))
        }
        Type::Interval => {
            field.type_as_interval().is_some_and(|interval| named(interval.unit().variant_name()))
        }
        Type::Duration => {
            field.type_as_duration().is_some_and(|duration| named(duration.unit().variant_name()))
        }
        Type::FixedSizeBinary => {
            field.type_as_fixed_size_binary().is_some_and(|binary| binary.byteWidth() >= 0)
        }
        Type::FixedSizeList => {
            field.type_as_fixed_size_list().is_some_and(|list| list.listSize() >= 0)
                && children(field) == 1
        }
        Type::List | Type::LargeList | Type::Map => children(field) == 1,
        Type::Struct_ => true,
        _ => false,
    };
    if !known {
        return Err("a column is of a type that is not known here");
    }
    let depth = depth.checked_sub(1).ok_or("a column is nested too deep")?;
    field.children().into_iter().flatten().try_for_each(|child| check_type(child, depth))
}

/// Whether the field is no dictionary, or one whose values are numbered in a way that there is.
fn has_known_index(field: IpcField<'_>) -> bool {
    field.dictionary().is_none_or(|dictionary| {
        dictionary.indexType().is_some_and(|index| matches!(index.bitWidth(), 8 | 16 | 32 | 64))
    })
}

fn named(unit: Option<&str>) -> bool {
    unit.is_some()
}

fn children(field: IpcField<'_>) -> usize {
    field.children().map_or(0, |children| children.len())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};
    use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions};

    use super::*;

    fn stored(data_type: DataType) -> String {
        let schema = Schema::new(vec![Field::new("c", data_type, true)]);
        let mut tracker = DictionaryTracker::new(false);
        let message = IpcDataGenerator::default()
            .schema_to_bytes_with_dictionary_tracker(
                &schema,
                &mut tracker,
                &IpcWriteOptions::default(),
            )
            .ipc_message;
        let length = u32::try_from(message.len()).unwrap().to_le_bytes();
        BASE64_STANDARD.encode([&[0xff; 4], &length[..], &message].concat())
    }

    #[test]
    fn types_that_there_are_pass() {
        let dictionary = DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into());
        let list = DataType::new_list(DataType::Int16, true);
        let decimal = DataType::Decimal128(38, 10);
        for data_type in [DataType::Utf8, DataType::Date32, decimal, dictionary, list] {
            assert_eq!(check_stored_schema(&stored(data_type.clone())), Ok(()), "{data_type}");
        }
    }

    #[test]
    fn others_do_not() {
        for data_type in [DataType::Decimal128(77, 10), DataType::FixedSizeBinary(-1)] {
            assert!(check_stored_schema(&stored(data_type.clone())).is_err(), "{data_type}");
        }
        for text in ["", "AAAA", "/////w==", "not base64!"] {
            assert!(check_stored_schema(text).is_err(), "{text}");
        }
    }
}
