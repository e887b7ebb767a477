//! Claims that hold, and each claim broken alone.
#![expect(clippy::unwrap_used, reason = "test")]

use datafusion::prelude::SessionConfig;

use super::*;
use crate::contracts::Contracts;

const VISIT: &str = r#"
name = "visit"
version = 1
person = { column = "person", scope = "organisation" }
keys = [["visit"], ["person", "day"]]
[[columns]]
name = "visit"
type = "int64"
roles = ["identifier"]
[[columns]]
name = "person"
type = "int64"
roles = ["identifier"]
nullable = false
[[columns]]
name = "order"
type = "utf8"
roles = ["identifier"]
within_person = true
[[columns]]
name = "day"
type = "int64"
roles = ["dimension"]
domain = ["0", "1", "2"]
[[columns]]
name = "sex"
type = "utf8"
roles = ["dimension"]
domain = ["F", "M", "it's said"]
[[columns]]
name = "hours"
type = "float64"
roles = ["measure"]
continuous = true
range = [0, 1000]
[[columns]]
name = "note"
type = "utf8"
nullable = false
"#;

/// Three visits of each of a hundred people, two of them by one order.
const VISITS: &str = "
SELECT value AS visit, value / 3 AS person,
  CAST(value / 3 AS VARCHAR) || CASE WHEN value % 3 = 2 THEN 'b' ELSE 'a' END AS \"order\",
  value % 3 AS day, CASE value % 2 WHEN 0 THEN 'F' ELSE 'it''s said' END AS sex,
  CAST(value AS DOUBLE) AS hours
FROM generate_series(0, 299)";

/// The same with one column computed anew.
fn with(column: &str, expr: &str) -> String {
    let columns = ["visit", "person", "\"order\"", "day", "sex", "hours"];
    let columns = columns.map(|own| match own == column {
        true => format!("{expr} AS {own}"),
        false => own.to_owned(),
    });
    format!("SELECT {} FROM ({VISITS}) AS t", columns.join(", "))
}

async fn look_at(contract: &str, rows: &str, limits: &Limits) -> String {
    let contracts = Contracts::from_toml("visit.toml", contract).unwrap();
    let contract = contracts.iter().next().unwrap();
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
    let rows = context.sql(rows).await.unwrap().into_view();
    departures(contract, &rows, &context.state(), limits).await.join("\n")
}

async fn found(contract: &str, rows: &str) -> String {
    look_at(contract, rows, &Limits::default()).await
}

#[tokio::test]
async fn what_is_as_claimed_departs_in_nothing() {
    assert_eq!(found(VISIT, VISITS).await, "");
    assert_eq!(found(VISIT, &format!("SELECT * FROM ({VISITS}) AS t WHERE visit < 0")).await, "");
}

#[tokio::test]
async fn each_broken_claim_is_named() {
    let cases = [
        (
            "visit",
            "CASE visit WHEN 299 THEN 0 ELSE visit END",
            "column `visit`: contract says keys, table has a value twice",
        ),
        (
            "person",
            "CASE visit WHEN 299 THEN NULL ELSE person END",
            "column `person`: contract says nullable = false, table has NULL",
        ),
        (
            "day",
            "CASE visit WHEN 299 THEN 0 ELSE day END",
            "columns `person`, `day`: contract says keys, table has rows that are equal in all of them",
        ),
        (
            "\"order\"",
            "CASE visit WHEN 299 THEN '0a' ELSE \"order\" END",
            "column `order`: contract says within_person, table has a value of several people",
        ),
        (
            "sex",
            "CASE visit WHEN 299 THEN 'pangolin' ELSE sex END",
            "column `sex`: contract says domain, table has values that are not in it",
        ),
        (
            "day",
            "CASE visit WHEN 299 THEN 7 ELSE day END",
            "column `day`: contract says domain, table has values that are not in it",
        ),
        (
            "hours",
            "CASE visit WHEN 299 THEN 1000.5 ELSE hours END",
            "column `hours`: contract says range 0 to 1000, table has values outside of it",
        ),
        (
            "hours",
            "CASE visit WHEN 299 THEN CAST('NaN' AS DOUBLE) ELSE hours END",
            "column `hours`: contract says range 0 to 1000, table has values outside of it",
        ),
        (
            "hours",
            "CAST(visit % 99 AS DOUBLE)",
            "column `hours`: contract says continuous, table has too few different values: 100, or \
             as many as half of its values where these are fewer than 200",
        ),
    ];
    for (column, expr, expected) in cases {
        assert_eq!(found(VISIT, &with(column, expr)).await, expected, "{column}: {expr}");
    }
}

#[tokio::test]
async fn null_repeats_nothing_and_lies_outside_of_nothing() {
    for column in ["visit", "\"order\"", "day", "sex", "hours"] {
        let rows = with(column, &format!("CASE WHEN visit > 250 THEN NULL ELSE {column} END"));
        assert_eq!(found(VISIT, &rows).await, "", "{column}");
    }
    // An order of a person who is not known in some rows is still of one person.
    let nullable = VISIT.replace("nullable = false", "nullable = true");
    let rows = with("person", "CASE WHEN visit % 3 = 0 THEN NULL ELSE person END");
    assert_eq!(found(&nullable, &rows).await, "");
}

#[tokio::test]
async fn several_departures_are_all_named() {
    let rows = format!("{} UNION ALL {VISITS}", with("sex", "'X'"));
    let said = found(VISIT, &rows).await;
    let claims = ["`sex`", "`visit`", "`person`, `day`"];
    assert_eq!(said.lines().count(), claims.len(), "{said}");
    assert!(claims.iter().all(|claim| said.contains(claim)), "{said}");
}

#[tokio::test]
async fn small_tables_are_continuous_where_half_of_their_values_differ() {
    let contract = VISIT.replace("keys = [[\"visit\"], [\"person\", \"day\"]]", "");
    let of = |values: usize, different: usize| {
        let hours = format!("CAST(visit % {different} AS DOUBLE)");
        format!("{} WHERE visit < {values}", with("hours", &hours))
    };
    for (values, different, continuous) in [
        (300, 100, true),
        (300, 99, false),
        (150, 75, true),
        (150, 74, false),
        (20, 10, true),
        (20, 9, false),
        // So few that no moment of them is released.
        (4, 1, true),
        (5, 2, false),
    ] {
        let said = found(&contract, &of(values, different)).await;
        assert_eq!(said.is_empty(), continuous, "{different} of {values}: {said}");
    }
}

#[tokio::test]
async fn of_open_tables_only_keys_are_looked_at() {
    let open = VISIT.replace(
        "person = { column = \"person\", scope = \"organisation\" }",
        "protection = \"open\"",
    );
    let rows = with("hours", "-1.0");
    assert_eq!(found(&open, &rows).await, "");
    let rows = with("visit", "0");
    assert_eq!(
        found(&open, &rows).await,
        "column `visit`: contract says keys, table has a value twice"
    );
}

#[tokio::test]
async fn a_range_is_of_numbers() {
    let contract = VISIT.replace(
        "type = \"float64\"\nroles = [\"measure\"]\ncontinuous = true",
        "type = \"utf8\"\nroles = [\"measure\"]",
    );
    assert_eq!(
        found(&contract, &with("hours", "'many'")).await,
        "column `hours`: contract says range, which only numbers have"
    );
}

#[tokio::test]
async fn what_does_not_fit_into_memory_is_said() {
    let limits = Limits { memory_bytes_max_per_query: 100_000, ..Limits::default() };
    let rows = VISITS.replace("299", "99999");
    let wide = VISIT.replace("1000]", "100000]");
    assert_eq!(found(&wide, &rows).await, "");
    let said = look_at(&wide, &rows, &limits).await;
    assert!(said.contains("raise `limits.memory_bytes_max_per_query`"), "{said}");
}

#[tokio::test]
async fn values_that_cannot_be_read_are_not_shown() {
    let rows = with("hours", "CAST(CASE visit WHEN 299 THEN 'pangolin' ELSE '1' END AS DOUBLE)");
    let said = found(VISIT, &rows).await;
    assert_eq!(said, UNREADABLE);
}
