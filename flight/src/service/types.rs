//! What a server says of itself (`GetSqlInfo`) and of its types (`GetXdbcTypeInfo`).
//!
//! Drivers crash on the wrong layout, so arrow-flight's builders make it, and on missing codes, so
//! the list is long.

use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{
    SqlInfoData, SqlInfoDataBuilder, XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder,
};
use arrow_flight::sql::{Nullable, Searchable, SqlInfo, XdbcDataType, XdbcDatetimeSubcode};
use hedgerow_catalog::Limits;

/// Version of the Arrow columnar format.
const ARROW_FORMAT: &str = "1.5";

/// Case of identifiers: unquoted ones are folded to lower case (3), quoted ones kept (1).
const CASE_LOWER: i64 = 3;
const CASE_SENSITIVE: i64 = 1;

/// NULLs sort as if greater than all values.
const NULLS_HIGH: i64 = 0;

/// Only the default isolation level: none.
const NO_TRANSACTIONS: i64 = 0;

/// Most characters in a name.
const NAME_CHARACTERS_MAX: i64 = 128;

/// Tells read-only, no transactions, and what the dialect takes.
pub(super) fn sql_info(limits: &Limits) -> Result<SqlInfoData, FlightError> {
    let mut info = SqlInfoDataBuilder::new();
    server_facts(&mut info, limits);
    dialect_texts(&mut info);
    dialect_flags(&mut info);
    dialect_numbers(&mut info, limits);
    info.build()
}

fn server_facts(info: &mut SqlInfoDataBuilder, limits: &Limits) {
    info.append(SqlInfo::FlightSqlServerName, "Hedgerow");
    info.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    info.append(SqlInfo::FlightSqlServerArrowVersion, ARROW_FORMAT);
    info.append(SqlInfo::FlightSqlServerReadOnly, true);
    info.append(SqlInfo::FlightSqlServerSql, true);
    info.append(SqlInfo::FlightSqlServerSubstrait, false);
    info.append(SqlInfo::FlightSqlServerTransaction, 0_i32);
    info.append(SqlInfo::FlightSqlServerCancel, true);
    info.append(SqlInfo::FlightSqlServerBulkIngestion, false);
    info.append(SqlInfo::FlightSqlServerIngestTransactionsSupported, false);
    let timeout = i32::try_from(limits.statement_timeout_ms).unwrap_or(i32::MAX);
    info.append(SqlInfo::FlightSqlServerStatementTimeout, timeout);
    info.append(SqlInfo::FlightSqlServerTransactionTimeout, 0_i32);
}

fn dialect_texts(info: &mut SqlInfoDataBuilder) {
    info.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    info.append(SqlInfo::SqlSearchStringEscape, "\\");
    info.append(SqlInfo::SqlExtraNameCharacters, "");
    info.append(SqlInfo::SqlSchemaTerm, "schema");
    info.append(SqlInfo::SqlCatalogTerm, "catalog");
    info.append(SqlInfo::SqlProcedureTerm, "procedure");
    let none: &[&str] = &[];
    info.append(SqlInfo::SqlKeywords, none);
    info.append(SqlInfo::SqlSystemFunctions, none);
    let numeric: &[&str] = &["abs", "ceil", "floor", "round", "sqrt", "ln", "power", "trunc"];
    info.append(SqlInfo::SqlNumericFunctions, numeric);
    let text: &[&str] = &["lower", "upper", "trim", "substr", "concat", "replace", "left", "right"];
    info.append(SqlInfo::SqlStringFunctions, text);
    let time: &[&str] = &["now", "current_date", "date_trunc", "date_part", "extract"];
    info.append(SqlInfo::SqlDatetimeFunctions, time);
}

fn dialect_flags(info: &mut SqlInfoDataBuilder) {
    for no in [
        SqlInfo::SqlDdlCatalog,
        SqlInfo::SqlDdlSchema,
        SqlInfo::SqlDdlTable,
        SqlInfo::SqlSupportsIntegrityEnhancementFacility,
        SqlInfo::SqlSelectForUpdateSupported,
        SqlInfo::SqlTransactionsSupported,
        SqlInfo::SqlDataDefinitionCausesTransactionCommit,
        SqlInfo::SqlDataDefinitionsInTransactionsIgnored,
        SqlInfo::SqlBatchUpdatesSupported,
        SqlInfo::SqlSavepointsSupported,
        SqlInfo::SqlNamedParametersSupported,
        SqlInfo::SqlLocatorsUpdateCopy,
        SqlInfo::SqlStoredFunctionsUsingCallSyntaxSupported,
        SqlInfo::SqlSupportsDifferentTableCorrelationNames,
        SqlInfo::SqlMaxRowSizeIncludesBlobs,
    ] {
        info.append(no, false);
    }
    for yes in [
        SqlInfo::SqlAllTablesAreSelectable,
        SqlInfo::SqlSupportsColumnAliasing,
        SqlInfo::SqlNullPlusNullIsNull,
        SqlInfo::SqlSupportsTableCorrelationNames,
        SqlInfo::SqlSupportsExpressionsInOrderBy,
        SqlInfo::SqlSupportsOrderByUnrelated,
        SqlInfo::SqlSupportsLikeEscapeClause,
        SqlInfo::SqlSupportsNonNullableColumns,
        SqlInfo::SqlCatalogAtStart,
        SqlInfo::SqlCorrelatedSubqueriesSupported,
    ] {
        info.append(yes, true);
    }
}

fn dialect_numbers(info: &mut SqlInfoDataBuilder, limits: &Limits) {
    info.append(SqlInfo::SqlIdentifierCase, CASE_LOWER);
    info.append(SqlInfo::SqlQuotedIdentifierCase, CASE_SENSITIVE);
    info.append(SqlInfo::SqlNullOrdering, NULLS_HIGH);
    info.append(SqlInfo::SqlDefaultTransactionIsolation, NO_TRANSACTIONS);
    let statement = i64::try_from(limits.statement_bytes_max).unwrap_or(i64::MAX);
    info.append(SqlInfo::SqlMaxStatementLength, statement);
    for name in [
        SqlInfo::SqlMaxColumnNameLength,
        SqlInfo::SqlDbSchemaNameLength,
        SqlInfo::SqlMaxCatalogNameLength,
        SqlInfo::SqlMaxTableNameLength,
        SqlInfo::SqlMaxUsernameLength,
    ] {
        info.append(name, NAME_CHARACTERS_MAX);
    }
    // Zero: no limit of its own, or not known.
    for unlimited in [
        SqlInfo::SqlMaxBinaryLiteralLength,
        SqlInfo::SqlMaxCharLiteralLength,
        SqlInfo::SqlMaxColumnsInGroupBy,
        SqlInfo::SqlMaxColumnsInIndex,
        SqlInfo::SqlMaxColumnsInOrderBy,
        SqlInfo::SqlMaxColumnsInSelect,
        SqlInfo::SqlMaxColumnsInTable,
        SqlInfo::SqlMaxConnections,
        SqlInfo::SqlMaxCursorNameLength,
        SqlInfo::SqlMaxIndexLength,
        SqlInfo::SqlMaxProcedureNameLength,
        SqlInfo::SqlMaxRowSize,
        SqlInfo::SqlMaxStatements,
        SqlInfo::SqlMaxTablesInSelect,
    ] {
        info.append(unlimited, 0_i64);
    }
    // Bit masks: group by unrelated columns; core grammar; entry level of SQL-92; full outer joins;
    // schemas and catalogs in queries; subqueries everywhere; UNION and UNION ALL.
    for (mask, bits) in [
        (SqlInfo::SqlSupportedGroupBy, 0b01_i32),
        (SqlInfo::SqlSupportedGrammar, 0b11),
        (SqlInfo::SqlAnsi92SupportedLevel, 0b001),
        (SqlInfo::SqlOuterJoinsSupportLevel, 0b110),
        (SqlInfo::SqlSchemasSupportedActions, 0),
        (SqlInfo::SqlCatalogsSupportedActions, 0),
        (SqlInfo::SqlSupportedPositionedCommands, 0),
        (SqlInfo::SqlStoredProceduresSupported, 0),
        (SqlInfo::SqlSupportedSubqueries, 0b1111),
        (SqlInfo::SqlSupportedUnions, 0b11),
        (SqlInfo::SqlSupportedTransactionsIsolationLevels, 0),
        (SqlInfo::SqlSupportedResultSetTypes, 0b010),
        (SqlInfo::SqlSupportedConcurrenciesForResultSetForwardOnly, 0b010),
        (SqlInfo::SqlSupportedConcurrenciesForResultSetUnspecified, 0),
        (SqlInfo::SqlSupportedConcurrenciesForResultSetScrollSensitive, 0),
        (SqlInfo::SqlSupportedConcurrenciesForResultSetScrollInsensitive, 0),
    ] {
        info.append(mask, bits);
    }
}

/// The types of contracts, as ODBC names them.
pub(super) fn xdbc_types() -> Result<XdbcTypeInfoData, FlightError> {
    use XdbcDataType as T;
    let mut types = XdbcTypeInfoDataBuilder::new();
    types.append(plain("BOOLEAN", T::XdbcBit, 1));
    types.append(number("SMALLINT", T::XdbcSmallint, 5));
    types.append(number("INTEGER", T::XdbcInteger, 10));
    types.append(number("BIGINT", T::XdbcBigint, 19));
    types.append(number("DOUBLE", T::XdbcDouble, 15));
    let decimal = number("DECIMAL", T::XdbcDecimal, 38);
    let params = Some(vec!["precision".to_owned(), "scale".to_owned()]);
    types.append(XdbcTypeInfo { create_params: params, minimum_scale: Some(0), ..decimal });
    types
        .append(XdbcTypeInfo { case_sensitive: true, ..quoted("VARCHAR", T::XdbcVarchar, 65_535) });
    // Flight SQL numbers the subcodes of a date and of a year alike, and Rust keeps one name.
    types.append(time("DATE", T::XdbcDate, 10, XdbcDatetimeSubcode::XdbcSubcodeYear));
    types.append(time(
        "TIMESTAMP",
        T::XdbcTimestamp,
        26,
        XdbcDatetimeSubcode::XdbcSubcodeTimestamp,
    ));
    types.build()
}

fn plain(name: &str, data_type: XdbcDataType, size: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        type_name: name.to_owned(),
        data_type,
        column_size: Some(size),
        nullable: Nullable::NullabilityNullable,
        searchable: Searchable::Full,
        local_type_name: Some(name.to_owned()),
        sql_data_type: data_type,
        ..XdbcTypeInfo::default()
    }
}

fn number(name: &str, data_type: XdbcDataType, size: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        unsigned_attribute: Some(false),
        auto_increment: Some(false),
        num_prec_radix: Some(10),
        ..plain(name, data_type, size)
    }
}

fn quoted(name: &str, data_type: XdbcDataType, size: i32) -> XdbcTypeInfo {
    let quote = Some("'".to_owned());
    XdbcTypeInfo {
        literal_prefix: quote.clone(),
        literal_suffix: quote,
        ..plain(name, data_type, size)
    }
}

fn time(
    name: &str,
    data_type: XdbcDataType,
    size: i32,
    subcode: XdbcDatetimeSubcode,
) -> XdbcTypeInfo {
    XdbcTypeInfo { datetime_subcode: Some(subcode), ..quoted(name, data_type, size) }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_means_all() {
        let info = sql_info(&Limits::default()).unwrap();
        let all = info.record_batch([]).unwrap();
        assert!(all.num_rows() > 80);
        assert_eq!(all.schema().field(1).data_type(), info.schema().field(1).data_type());
        assert_eq!(info.record_batch([0, 3]).unwrap().num_rows(), 2);
        assert_eq!(info.record_batch([60_000]).unwrap().num_rows(), 0);
    }

    #[test]
    fn types_are_listed() {
        let types = xdbc_types().unwrap();
        assert_eq!(types.record_batch(None).unwrap().num_rows(), 9);
        let integer = Some(XdbcDataType::XdbcInteger as i32);
        assert_eq!(types.record_batch(integer).unwrap().num_rows(), 1);
    }
}
