//! What could fail on a row, over rows of people: it is NULL there, and nobody is told apart by an
//! error.

use super::{NONE, ONE, alike, assert_none, world};

/// Each of these fails, wraps or leaves the calendar on some row, as plain SQL.
const FALLIBLE: &[&str] = &[
    "SELECT count(*) AS m0 FROM spell WHERE 1 / (hours - 1) > 0",
    "SELECT count(*) AS m0 FROM spell WHERE admitted + INTERVAL '1 month' < ended",
    "SELECT count(*) AS m0 FROM spell WHERE admitted + INTERVAL '1' DAY IS DISTINCT FROM ended",
    "SELECT count(*) AS m0 FROM spell WHERE arrow_cast(ended - admitted, 'Int16') = 1",
    "SELECT count(*) AS m0 FROM spell WHERE chapter ~ 'x'",
    "SELECT count(*) AS m0 FROM spell WHERE date_part('hour', admitted) = 1",
    "SELECT count(*) AS m0 FROM spell WHERE date_part('month', admitted + INTERVAL '1' DAY) = 2",
    "SELECT count(*) AS m0 FROM spell WHERE discharged - discharged IS NULL",
    "SELECT count(*) AS m0 FROM spell WHERE hours - 1.0 > 3.0",
    "SELECT count(*) AS m0 FROM spell WHERE visits + 1 = 2",
    "SELECT count(*) AS m0 FROM spell s CROSS JOIN (VALUES ('A', 1)) AS v (c, n) WHERE v.c = s.chapter AND 1 / (s.hours - v.n) > 0",
    "SELECT count(*) AS m0 FROM spell s LEFT SEMI JOIN person p ON p.person_number = s.person_number AND 1 / (s.hours - 1) > 0",
    "SELECT count(*) AS m0 FROM spell s CROSS JOIN (VALUES ('A', 5)) AS v (c, n) WHERE v.c = s.chapter AND s.chapter > v.n",
];

#[tokio::test]
async fn what_fails_on_a_row_is_null_there() {
    let world = world().await;
    let mut failures = vec![];
    for sql in FALLIBLE {
        let answer = world.send(sql).await;
        if !answer.starts_with('+') {
            failures.push(format!("{sql}\n{answer}"));
        }
    }
    assert_none(&failures);
}

#[tokio::test]
async fn an_error_tells_nobody_apart() {
    let world = world().await;
    // Rows on which the expression fails meet no condition and have no key, whoever they are of.
    let attacks = [
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND 1 / (visits - visits) > 0",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND CAST(chapter AS INT) = 1",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND chapter ~ '('",
        "SELECT count(*) FILTER (WHERE {P} AND 1 / (visits - visits) > 0) AS m0 FROM spell",
        "SELECT count(*) FILTER (WHERE {P} AND repeat(chapter, 900000000) = 'x') AS m0 FROM spell",
        "SELECT sum(CASE WHEN {P} AND 1 / (visits - visits) > 0 THEN cost END) AS m0 FROM spell",
        "SELECT date_trunc('month', admitted) AS k0, count(*) AS m0 FROM spell WHERE {P} GROUP BY \
         date_trunc('month', admitted)",
    ];
    assert_none(&alike(&world, &attacks, ONE, NONE).await);
}
