//! Inline tables: no way to look somebody up, to weigh or repeat rows, or to pack several numbers
//! into one.

use std::fmt::Write;

use super::{BENIGN, assert_none, refused, world};

const TWIN: &str = "SELECT v.c1 AS k0, count(*) AS m0 FROM spell s CROSS JOIN (VALUES ('A', 'x'), ('B', 'x'), ('Z', 'y')) AS v (c0, c1) WHERE v.c0 = s.chapter GROUP BY v.c1";

/// S4: an identifier meets no constant, however the constants are brought along.
#[tokio::test]
async fn nobody_is_looked_up_by_an_inline_table() {
    let world = world().await;
    let attacks = [
        "S4: SELECT count(*) AS m0 FROM spell s CROSS JOIN (VALUES (90)) AS v (n) WHERE v.n = s.person_number",
        "S4: SELECT count(*) AS m0 FROM (VALUES (90), (91)) AS v (n) CROSS JOIN spell s WHERE s.person_number = v.n",
        "S4: SELECT count(*) AS m0 FROM spell s LEFT SEMI JOIN (VALUES (90)) AS v (n) ON v.n = s.person_number",
        "S4: SELECT count(*) AS m0 FROM spell s LEFT ANTI JOIN (VALUES (90)) AS v (n) ON v.n = s.person_number",
        "S4: SELECT v.n AS k0, count(*) AS m0 FROM spell s LEFT JOIN (VALUES (90)) AS v (n) ON v.n = s.person_number GROUP BY v.n",
        "S4: SELECT count(*) AS m0 FROM spell s CROSS JOIN (VALUES ('A', 90)) AS v (c, n) WHERE v.c = s.chapter AND s.person_number >= v.n",
        "S4: SELECT count(*) AS m0 FROM spell s CROSS JOIN (VALUES ('A', 90)) AS v (c, n) WHERE v.c = s.chapter AND (s.person_number = v.n OR s.chapter = 'Z')",
        "S4: SELECT count(*) FILTER (WHERE s.person_number = v.n) AS m0 FROM spell s CROSS JOIN (VALUES ('A', 90)) AS v (c, n) WHERE v.c = s.chapter",
        "S4: SELECT CASE WHEN s.person_number = v.n THEN 'it' ELSE 'no' END AS k0, count(*) AS m0 FROM spell s CROSS JOIN (VALUES ('A', 90)) AS v (c, n) WHERE v.c = s.chapter GROUP BY CASE WHEN s.person_number = v.n THEN 'it' ELSE 'no' END",
        "S4: SELECT count(*) AS m0 FROM spell s CROSS JOIN (VALUES (1)) AS v (n) WHERE v.n = s.consultant",
        "S4: SELECT count(*) AS m0 FROM register r CROSS JOIN (VALUES ('card3')) AS v (c) WHERE v.c = r.card",
        "S4: SELECT count(*) AS m0 FROM spell s CROSS JOIN person p CROSS JOIN (VALUES (90)) AS v (n) WHERE p.person_number = s.person_number AND p.person_number = v.n",
        "S5: SELECT count(*) AS m0 FROM spell WHERE person_number NOT IN (SELECT n FROM (VALUES (90)) AS v (n))",
        "S4: SELECT count(*) AS m0 FROM spell s CROSS JOIN (SELECT v.n AS c0 FROM (VALUES (90)) AS v (n)) AS d WHERE d.c0 + 0 = s.person_number",
    ];
    let twins = [
        TWIN,
        BENIGN,
        "SELECT count(*) AS m0 FROM spell s LEFT SEMI JOIN (VALUES ('A'), ('B'), ('B')) AS v (c) ON v.c = s.chapter",
        "SELECT count(*) AS m0 FROM spell s LEFT ANTI JOIN (VALUES ('A'), (NULL)) AS v (c) ON v.c = s.chapter",
    ];
    assert_none(&refused(&world, &attacks, &twins).await);
}

/// S5: no row is counted twice, whatever the rows given are.
#[tokio::test]
async fn rows_are_not_weighed_by_an_inline_table() {
    let world = world().await;
    let mut heavy = String::from("(VALUES ('A', 0)");
    for repeat in 1..200 {
        write!(heavy, ", ('A', {repeat})").unwrap();
    }
    let heavy = format!(
        "S5: SELECT count(*) AS m0 FROM spell s CROSS JOIN {heavy}) AS v (c, n) WHERE v.c = s.chapter"
    );
    let attacks = [
        heavy.as_str(),
        "S5: SELECT count(*) AS m0 FROM spell s CROSS JOIN (VALUES (1), (2)) AS v (n)",
        "S5: SELECT count(*) AS m0 FROM spell s CROSS JOIN (VALUES ('A'), ('A')) AS v (c) WHERE v.c = s.chapter",
        "S5: SELECT sum(s.hours) AS m0 FROM spell s LEFT JOIN (VALUES ('A', 1), ('A', 2)) AS v (c, n) ON v.c = s.chapter",
        "S5: SELECT count(*) AS m0 FROM (VALUES ('A'), ('A')) AS v (c) CROSS JOIN spell s WHERE v.c = s.chapter",
        // What differs as text is equal as a number or a date.
        "S5|S9: SELECT count(*) AS m0 FROM spell s CROSS JOIN (VALUES ('1'), ('01')) AS v (c) WHERE v.c = date_part('month', s.admitted)",
        "S5|S9: SELECT count(*) AS m0 FROM spell s CROSS JOIN (VALUES ('2025-01-01'), ('2025-1-1')) AS v (d) WHERE v.d = s.admitted",
        "S5: SELECT count(*) AS m0 FROM spell s CROSS JOIN (VALUES (0.0), (-0.0)) AS v (h) WHERE v.h = s.hours",
        // Not by a part of the key, by something else than equality, or on one branch only.
        "S5: SELECT count(*) AS m0 FROM spell s CROSS JOIN (VALUES ('A', 1), ('A', 2)) AS v (c, n) WHERE v.c = s.chapter AND v.n > 0",
        "S5: SELECT count(*) AS m0 FROM spell s CROSS JOIN (VALUES ('A'), ('B')) AS v (c) WHERE v.c <= s.chapter",
        "S5: SELECT count(*) AS m0 FROM spell s CROSS JOIN (VALUES ('A'), ('B')) AS v (c) WHERE v.c = s.chapter OR s.chapter = 'A'",
        "S5: SELECT count(*) AS m0 FROM spell s CROSS JOIN (VALUES ('A'), ('a')) AS v (c) WHERE upper(v.c) = s.chapter",
        "S5: SELECT count(*) AS m0 FROM spell s CROSS JOIN (VALUES ('A'), (NULL)) AS v (c) WHERE v.c IS NOT DISTINCT FROM s.chapter",
        "S5: SELECT count(*) AS m0 FROM spell s CROSS JOIN (VALUES (7501.0), (5000.0)) AS v (h) WHERE v.h = s.hours",
        // The table of people is kept whole, or nothing is.
        "S5: SELECT count(*) AS m0 FROM (VALUES ('A'), ('Z')) AS v (c) LEFT JOIN spell s ON v.c = s.chapter",
        "S5: SELECT count(*) AS m0 FROM (VALUES ('A'), ('Z')) AS v (c) LEFT SEMI JOIN spell s ON v.c = s.chapter",
        "S5: SELECT count(*) AS m0 FROM (VALUES ('A'), ('Z')) AS v (c) LEFT ANTI JOIN spell s ON v.c = s.chapter",
        "S1: SELECT v.c AS c0 FROM spell s CROSS JOIN (VALUES ('A')) AS v (c) WHERE v.c = s.chapter",
    ];
    let twins = [
        TWIN,
        "SELECT v.c1 AS k0, sum(s.hours) AS m0 FROM spell s LEFT JOIN (VALUES ('A', 'x'), (NULL, 'y'), (NULL, 'z')) AS v (c0, c1) ON v.c0 = s.chapter GROUP BY v.c1",
        "SELECT count(*) AS m0 FROM spell s CROSS JOIN (VALUES (1), (2)) AS v (m) WHERE v.m = date_part('month', s.admitted)",
        "SELECT count(*) AS m0 FROM spell s CROSS JOIN person p CROSS JOIN (VALUES ('A', 'F'), ('A', 'M')) AS v (c, x) WHERE p.person_number = s.person_number AND v.c = s.chapter AND v.x = p.sex",
        "SELECT count(*) AS m0 FROM spell s CROSS JOIN chapter c CROSS JOIN (VALUES ('Alpha'), ('Beta')) AS v (t) WHERE c.code = s.chapter AND v.t = c.title",
    ];
    assert_none(&refused(&world, &attacks, &twins).await);
}

/// S3: what is given is never counted or summed, so that nothing can be packed into a sum.
#[tokio::test]
async fn an_inline_column_stays_out_of_aggregates() {
    let world = world().await;
    let from = "FROM spell s CROSS JOIN (VALUES ('A', 1), ('B', 1000), ('Z', 1000000)) AS v (c, w) WHERE v.c = s.chapter";
    let attacks: Vec<String> = [
        "S3: SELECT sum(v.w) AS m0",
        "S3: SELECT avg(v.w) AS m0",
        "S3: SELECT count(v.w) AS m0",
        "S3: SELECT count(DISTINCT v.w) AS m0",
        "S3: SELECT sum(s.hours * v.w) AS m0",
        "S3: SELECT sum(CASE WHEN v.w > 1 THEN v.w ELSE 0 END) AS m0",
        "S3: SELECT stddev(v.w) AS m0",
        "S3: SELECT regr_slope(s.hours, v.w) AS m0",
        "S8: SELECT max(v.w) AS m0",
        "S3: SELECT count(*) FILTER (WHERE v.w = 1) AS m0, count(*) FILTER (WHERE v.w = 1000) AS m1",
    ]
    .into_iter()
    .map(|select| format!("{select} {from}"))
    .collect();
    let attacks: Vec<&str> = attacks.iter().map(String::as_str).collect();
    let filtered = format!("SELECT count(*) FILTER (WHERE v.w = 1) AS m0 {from}");
    let grouped = format!("SELECT v.w AS k0, sum(s.hours) AS m0 {from} GROUP BY v.w");
    assert_none(&refused(&world, &attacks, &[TWIN, &filtered, &grouped]).await);
    // One person is in chapter Z: that label comes with no group.
    let answer = world.send(&grouped).await;
    assert!(answer.contains("| 1000 ") && !answer.contains("1000000"), "{answer}");
}

/// Evaluation must not fail on a row: what is given is compared in its own type.
#[tokio::test]
async fn an_inline_column_tells_nobody_apart_by_an_error() {
    let world = world().await;
    let attacks = [
        "0A000|S9: SELECT count(*) AS m0 FROM spell s CROSS JOIN (VALUES ('A', CAST('x' AS INT))) AS v (c, n) WHERE v.c = s.chapter",
    ];
    assert_none(&refused(&world, &attacks, &[TWIN]).await);
}

/// A limit stands before all work.
#[tokio::test]
async fn an_inline_table_has_a_limit() {
    let world = world().await;
    let table = |rows: usize| {
        let mut text = String::from("(VALUES ('A0', 'x')");
        for row in 1..rows {
            write!(text, ", ('A{row}', 'x')").unwrap();
        }
        format!(
            "SELECT count(*) AS m0 FROM spell s LEFT JOIN {text}) AS v (c, n) ON v.c = s.chapter"
        )
    };
    for sent in [world.send(&table(1_001)).await, world.ask(&table(1_001)).await] {
        assert!(sent.starts_with("error 53400") && sent.contains("inline_rows_max"), "{sent:.300}");
    }
    for answered in [world.send(&table(1_000)).await, world.ask(&table(1_000)).await] {
        assert!(!answered.starts_with("error"), "{answered:.300}");
    }
}
