//! Person-level rows below an aggregate, and windows within one person's rows: nobody is named,
//! looked up, singled out or counted twice by way of them.

use super::{BENIGN, alike, assert_none, refused, world};

/// Spells of each person, as a node is asked for them.
const SPELLS: &str =
    "(SELECT person_number AS k0, count(*) AS m0 FROM spell GROUP BY person_number) AS d";

#[tokio::test]
async fn people_are_not_named_through_an_inner_query() {
    let world = world().await;
    let attacks = [
        "S4: SELECT d.k0 AS k0, count(*) AS m0 FROM (SELECT person_number AS k0 FROM spell GROUP BY person_number) AS d GROUP BY d.k0",
        "S4: SELECT d.m0 AS k0, count(*) AS m0 FROM (SELECT person_number AS k0, min(person_number) AS m0 FROM spell GROUP BY person_number) AS d GROUP BY d.m0",
        "S4: SELECT d.m0 AS k0, count(*) AS m0 FROM (SELECT person_number AS k0, max(spell_number) AS m0 FROM spell GROUP BY person_number) AS d GROUP BY d.m0",
        "S4: SELECT d.m0 AS k0, count(*) AS m0 FROM (SELECT person_number AS k0, min(consultant) AS m0 FROM spell GROUP BY person_number) AS d GROUP BY d.m0",
        "S4|S9: SELECT d.m0 AS k0, count(*) AS m0 FROM (SELECT person_number AS k0, min(concat(chapter, person_number)) AS m0 FROM spell GROUP BY person_number) AS d GROUP BY d.m0",
        "S4: SELECT sum(d.m0) AS m0 FROM (SELECT person_number AS k0, max(person_number) AS m0 FROM spell GROUP BY person_number) AS d",
        "S4: SELECT count(*) AS m0 FROM (SELECT person_number AS k0, spell_number AS k1 FROM spell GROUP BY person_number, spell_number) AS d",
        "S4: SELECT count(*) AS m0 FROM (SELECT person_number AS k0, consultant AS k1 FROM spell GROUP BY person_number, consultant) AS d",
        "S4: SELECT d.k1 AS k0, count(*) AS m0 FROM (SELECT person_number AS k0, CASE WHEN person_number = 3 THEN 'x' ELSE 'y' END AS k1 FROM spell GROUP BY person_number, CASE WHEN person_number = 3 THEN 'x' ELSE 'y' END) AS d GROUP BY d.k1",
        "S4: SELECT count(*) AS m0 FROM (SELECT person_number AS k0, bool_or(person_number = 3) AS m0 FROM spell GROUP BY person_number) AS d WHERE d.m0",
        "S4: SELECT count(*) AS m0 FROM (SELECT person_number AS k0, count(*) AS m0 FROM spell WHERE spell_number IN (3, 4) GROUP BY person_number) AS d",
        "S4: SELECT count(*) AS m0 FROM (SELECT person_number AS k0, count(*) AS m0 FROM spell GROUP BY person_number) AS d WHERE d.k0 = 3",
        "S4: SELECT count(*) AS m0 FROM (SELECT person_number AS k0, count(*) FILTER (WHERE consultant = 3) AS m0 FROM spell GROUP BY person_number) AS d",
        "S4: SELECT count(*) AS m0 FROM (SELECT person_number AS c0, row_number() OVER (PARTITION BY person_number ORDER BY person_number) AS c1 FROM spell) AS d WHERE d.c1 = 1",
        "S4: SELECT count(*) AS m0 FROM (SELECT person_number AS c0, row_number() OVER (PARTITION BY person_number ORDER BY consultant) AS c1 FROM spell) AS d WHERE d.c1 = 1",
        "S4: SELECT d.c1 AS k0, count(*) AS m0 FROM (SELECT person_number AS c0, lag(spell_number) OVER (PARTITION BY person_number ORDER BY admitted) AS c1 FROM spell) AS d GROUP BY d.c1",
        "S4: SELECT d.c1 AS k0, count(*) AS m0 FROM (SELECT person_number AS c0, first_value(person_number) OVER (PARTITION BY person_number ORDER BY admitted) AS c1 FROM spell) AS d GROUP BY d.c1",
        "S4: SELECT count(*) AS m0 FROM (SELECT person_number AS c0, row_number() OVER (PARTITION BY person_number, consultant ORDER BY admitted) AS c1 FROM spell) AS d WHERE d.c1 = 1",
        "S4: SELECT d.c0 AS k0, count(*) AS m0 FROM (SELECT person_number AS c0, row_number() OVER (PARTITION BY person_number ORDER BY admitted) AS c1 FROM spell) AS d GROUP BY d.c0",
    ];
    let twins = [
        "SELECT d.m0 AS k0, count(*) AS m0 FROM (SELECT person_number AS k0, min(chapter) AS m0 FROM spell GROUP BY person_number) AS d GROUP BY d.m0",
        "SELECT count(DISTINCT d.k0) AS m0 FROM (SELECT person_number AS k0 FROM spell GROUP BY person_number) AS d",
        "SELECT d.k1 AS k0, count(*) AS m0 FROM (SELECT person_number AS k0, chapter AS k1 FROM spell GROUP BY person_number, chapter) AS d GROUP BY d.k1",
        "SELECT d.m0 AS k0, count(*) AS m0 FROM (SELECT person_number AS k0, bool_or(chapter = 'A') AS m0 FROM spell GROUP BY person_number) AS d GROUP BY d.m0",
        "SELECT d.c1 AS k0, count(*) AS m0 FROM (SELECT person_number AS c0, lag(chapter) OVER (PARTITION BY person_number ORDER BY admitted, spell_number) AS c1 FROM spell) AS d GROUP BY d.c1",
    ];
    assert_none(&refused(&world, &attacks, &twins).await);
}

#[tokio::test]
async fn numbers_of_single_people_are_no_keys_and_no_packs() {
    let world = world().await;
    let attacks = [
        format!("S2: SELECT d.m0 AS k0, count(*) AS m0 FROM {SPELLS} GROUP BY d.m0"),
        format!("S2|S9: SELECT least(d.m0, 1000) AS k0, count(*) AS m0 FROM {SPELLS} GROUP BY least(d.m0, 1000)"),
        format!("S2|S9: SELECT least(d.m0, 1000 + 2) AS k0, count(*) AS m0 FROM {SPELLS} GROUP BY least(d.m0, 1000 + 2)"),
        format!("S2|S9: SELECT d.m0 % 7 AS k0, count(*) AS m0 FROM {SPELLS} GROUP BY d.m0 % 7"),
        format!("S3: SELECT stddev(d.m0) AS m0 FROM {SPELLS}"),
        format!("S8: SELECT max(d.m0) AS m0 FROM {SPELLS}"),
        "S2: SELECT d.m0 AS k0, count(*) AS m0 FROM (SELECT person_number AS k0, sum(hours) AS m0 FROM spell GROUP BY person_number) AS d GROUP BY d.m0".to_owned(),
        "S2|S9: SELECT least(d.m0, 3) AS k0, count(*) AS m0 FROM (SELECT person_number AS k0, sum(hours) AS m0 FROM spell GROUP BY person_number) AS d GROUP BY least(d.m0, 3)".to_owned(),
        "S2: SELECT d.m0 AS k0, count(*) AS m0 FROM (SELECT person_number AS k0, max(hours) AS m0 FROM spell GROUP BY person_number) AS d GROUP BY d.m0".to_owned(),
        "S2: SELECT d.m0 AS k0, count(*) AS m0 FROM (SELECT person_number AS k0, max(CASE WHEN chapter = 'A' THEN hours END) AS m0 FROM spell GROUP BY person_number) AS d GROUP BY d.m0".to_owned(),
        "S2: SELECT d.c1 AS k0, count(*) AS m0 FROM (SELECT person_number AS c0, first_value(hours) OVER (PARTITION BY person_number ORDER BY admitted) AS c1 FROM spell) AS d GROUP BY d.c1".to_owned(),
        "S2: SELECT d.c1 AS k0, count(*) AS m0 FROM (SELECT person_number AS c0, row_number() OVER (PARTITION BY person_number ORDER BY admitted) AS c1 FROM spell) AS d GROUP BY d.c1".to_owned(),
        "S3: SELECT sum(d.m0) AS m0 FROM (SELECT person_number AS k0, min(date_part('month', admitted)) AS m0 FROM spell GROUP BY person_number) AS d".to_owned(),
        "S3|S2: SELECT sum(d.k1) AS m0 FROM (SELECT person_number AS k0, CASE WHEN chapter = 'A' THEN 1 WHEN chapter = 'B' THEN 1000 END AS k1 FROM spell GROUP BY person_number, CASE WHEN chapter = 'A' THEN 1 WHEN chapter = 'B' THEN 1000 END) AS d".to_owned(),
        "S3: SELECT sum(d.m0) AS m0 FROM (SELECT person_number AS k0, sum(hours * hours) AS m0 FROM spell GROUP BY person_number) AS d".to_owned(),
        "S8: SELECT sum(d.m0) AS m0 FROM (SELECT person_number AS k0, var_pop(hours) AS m0 FROM spell GROUP BY person_number) AS d".to_owned(),
    ];
    let attacks: Vec<&str> = attacks.iter().map(String::as_str).collect();
    let twins = [
        format!("SELECT CASE WHEN d.m0 = 1 THEN '1' WHEN d.m0 = 2 THEN '2' ELSE 'more' END AS k0, count(*) AS m0, sum(d.m0) AS m1 FROM {SPELLS} GROUP BY CASE WHEN d.m0 = 1 THEN '1' WHEN d.m0 = 2 THEN '2' ELSE 'more' END"),
        format!("SELECT least(d.m0, 3) AS k0, count(*) AS m0 FROM {SPELLS} GROUP BY least(d.m0, 3)"),
        format!("SELECT avg(d.m0) AS m0, count(*) FILTER (WHERE d.m0 > 1) AS m1 FROM {SPELLS}"),
        "SELECT stddev(d.m0) AS m0 FROM (SELECT person_number AS k0, sum(hours) AS m0 FROM spell GROUP BY person_number) AS d".to_owned(),
        "SELECT d.c1 < 3 AS k0, count(*) AS m0 FROM (SELECT person_number AS c0, row_number() OVER (PARTITION BY person_number ORDER BY admitted) AS c1 FROM spell) AS d GROUP BY d.c1 < 3".to_owned(),
        "SELECT sum(d.m0) AS m0 FROM (SELECT person_number AS k0, max(hours) AS m0 FROM spell GROUP BY person_number) AS d".to_owned(),
    ];
    let twins: Vec<&str> = twins.iter().map(String::as_str).collect();
    assert_none(&refused(&world, &attacks, &twins).await);
}

/// "At most one condition" holds over what inner queries counted, too.
#[tokio::test]
async fn conditions_do_not_hide_in_inner_queries() {
    let world = world().await;
    let attacks = [
        "S3.condition: SELECT sum(d.m0) AS m0, sum(d.m1) AS m1 FROM (SELECT person_number AS k0, count(*) FILTER (WHERE chapter = 'A') AS m0, count(*) FILTER (WHERE hours > 5) AS m1 FROM spell GROUP BY person_number) AS d",
        "S3.condition: SELECT sum(d.m0) AS m0, sum(d.m1) AS m1 FROM (SELECT person_number AS k0, sum(CASE WHEN chapter = 'A' THEN hours END) AS m0, sum(hours) FILTER (WHERE hours > 5) AS m1 FROM spell GROUP BY person_number) AS d",
        "S3.condition: SELECT sum(d.m0) FILTER (WHERE d.m0 > 1) AS m0 FROM (SELECT person_number AS k0, count(*) FILTER (WHERE chapter = 'A') AS m0 FROM spell GROUP BY person_number) AS d",
        "S3.condition: SELECT count(d.m0) AS m0, count(d.m1) AS m1 FROM (SELECT person_number AS k0, min(chapter) FILTER (WHERE hours > 5) AS m0, min(chapter) FILTER (WHERE hours > 6) AS m1 FROM spell GROUP BY person_number) AS d",
        "S3.condition: SELECT sum(e.m0) AS m0, sum(e.m1) AS m1 FROM (SELECT d.k0 AS k0, sum(d.m0) AS m0, sum(d.m1) AS m1 FROM (SELECT person_number AS k0, chapter AS k1, count(*) FILTER (WHERE hours > 5) AS m0, count(*) FILTER (WHERE hours > 6) AS m1 FROM spell GROUP BY person_number, chapter) AS d GROUP BY d.k0) AS e",
        "S3.condition: SELECT count(d.m0) AS m0, count(d.m1) AS m1 FROM (SELECT person_number AS k0, min(nullif(chapter, 'A')) AS m0, min(nullif(chapter, 'B')) AS m1 FROM spell GROUP BY person_number) AS d",
        "S3.condition: SELECT count(d.k1) AS m0, count(d.k2) AS m1 FROM (SELECT person_number AS k0, nullif(chapter, 'A') AS k1, nullif(chapter, 'B') AS k2 FROM spell GROUP BY person_number, nullif(chapter, 'A'), nullif(chapter, 'B')) AS d",
        "S3.condition: SELECT count(d.c1) AS m0, count(d.c2) AS m1 FROM (SELECT person_number AS c0, lag(chapter) OVER (PARTITION BY person_number ORDER BY admitted) AS c1, lag(chapter, 2) OVER (PARTITION BY person_number ORDER BY admitted) AS c2 FROM spell) AS d",
        "S3.condition: SELECT count(a.k0) AS m0, count(b.k0) AS m1 FROM person AS p LEFT JOIN (SELECT person_number AS k0 FROM spell WHERE chapter = 'A' GROUP BY person_number) AS a ON a.k0 = p.person_number LEFT JOIN (SELECT person_number AS k0 FROM spell WHERE hours > 5 GROUP BY person_number) AS b ON b.k0 = p.person_number",
        "S3.condition: SELECT count(a.k0) AS m0, count(*) FILTER (WHERE p.sex = 'F') AS m1 FROM person AS p LEFT JOIN (SELECT person_number AS k0 FROM spell WHERE chapter = 'A' GROUP BY person_number) AS a ON a.k0 = p.person_number",
        "S3.condition: SELECT count(DISTINCT a.k0) AS m0, count(*) FILTER (WHERE p.sex = 'F') AS m1 FROM person AS p LEFT JOIN (SELECT person_number AS k0 FROM spell WHERE chapter = 'A' GROUP BY person_number) AS a ON a.k0 = p.person_number",
    ];
    let twins = [
        "SELECT sum(d.m0) AS m0, avg(d.m0) AS m1, count(*) AS m2 FROM (SELECT person_number AS k0, count(*) FILTER (WHERE chapter = 'A') AS m0 FROM spell GROUP BY person_number) AS d",
        "SELECT p.sex AS k0, count(*) AS m0, count(a.k0) AS m1 FROM person AS p LEFT JOIN (SELECT person_number AS k0 FROM spell WHERE chapter = 'A' GROUP BY person_number) AS a ON a.k0 = p.person_number GROUP BY p.sex",
    ];
    assert_none(&refused(&world, &attacks, &twins).await);
}

#[tokio::test]
async fn numbers_of_people_are_not_repeated() {
    let world = world().await;
    let attacks = [
        // Rows of another table would repeat them: a sum of squares, and then of cubes.
        format!("S5: SELECT sum(d.m0) AS m0 FROM spell AS s CROSS JOIN {SPELLS} WHERE d.k0 = s.person_number"),
        format!("S5: SELECT avg(d.m0) AS m0 FROM {SPELLS} CROSS JOIN spell AS s WHERE d.k0 = s.person_number"),
        format!("S5: SELECT sum(e.m0) AS m0 FROM (SELECT s.person_number AS k0, sum(d.m0) AS m0 FROM spell AS s CROSS JOIN {SPELLS} WHERE d.k0 = s.person_number GROUP BY s.person_number) AS e"),
        "S7: SELECT sum(d.c1) AS m0 FROM (SELECT person_number AS c0, count(*) OVER (PARTITION BY person_number) AS c1 FROM spell) AS d".to_owned(),
        "S7: SELECT sum(d.c1) AS m0 FROM (SELECT person_number AS c0, row_number() OVER (PARTITION BY person_number ORDER BY admitted) AS c1 FROM spell) AS d".to_owned(),
        "S7: SELECT sum(e.m0) AS m0 FROM (SELECT d.c0 AS k0, sum(d.c1) AS m0 FROM (SELECT person_number AS c0, rank() OVER (PARTITION BY person_number ORDER BY admitted) AS c1 FROM spell) AS d GROUP BY d.c0) AS e".to_owned(),
        format!("S7: SELECT sum(e.c1) AS m0 FROM (SELECT s.person_number AS c0, d.m0 AS c1, row_number() OVER (PARTITION BY s.person_number ORDER BY s.admitted) AS c2 FROM spell AS s CROSS JOIN {SPELLS} WHERE d.k0 = s.person_number) AS e"),
        // Several rows per person on both sides.
        "S5: SELECT count(*) AS m0 FROM spell AS s CROSS JOIN (SELECT person_number AS k0, admitted AS k1 FROM spell GROUP BY person_number, admitted) AS d WHERE d.k0 = s.person_number".to_owned(),
        "S5: SELECT count(*) AS m0 FROM spell AS s CROSS JOIN (SELECT person_number AS c0, row_number() OVER (PARTITION BY person_number ORDER BY admitted) AS c1 FROM spell) AS d WHERE d.c0 = s.person_number".to_owned(),
        format!("S5: SELECT count(*) AS m0 FROM spell AS s CROSS JOIN {SPELLS}"),
        format!("S5: SELECT count(*) AS m0 FROM spell AS s CROSS JOIN {SPELLS} WHERE d.k0 > s.person_number"),
        format!("S5: SELECT count(*) AS m0 FROM spell AS s LEFT SEMI JOIN {SPELLS} ON d.m0 > 2"),
        "S5: SELECT count(*) AS m0 FROM spell AS s CROSS JOIN (SELECT code AS k0, d AS k1 FROM obs GROUP BY code, d) AS o WHERE o.k0 = s.chapter".to_owned(),
        "S3: SELECT sum(o.m0) AS m0 FROM spell AS s CROSS JOIN (SELECT code AS k0, max(n) AS m0 FROM obs GROUP BY code) AS o WHERE o.k0 = s.chapter".to_owned(),
    ];
    let attacks: Vec<&str> = attacks.iter().map(String::as_str).collect();
    let twins = [
        format!("SELECT d.m0 > 1 AS k0, count(*) AS m0, sum(s.hours) AS m1 FROM spell AS s CROSS JOIN {SPELLS} WHERE d.k0 = s.person_number GROUP BY d.m0 > 1"),
        format!("SELECT p.sex AS k0, sum(d.m0) AS m0 FROM person AS p CROSS JOIN {SPELLS} WHERE d.k0 = p.person_number GROUP BY p.sex"),
        format!("SELECT count(*) AS m0 FROM spell AS s LEFT SEMI JOIN {SPELLS} ON (d.k0 = s.person_number AND d.m0 > 2)"),
        "SELECT d.c1 AS k0, count(*) AS m0, sum(d.c3) AS m1 FROM (SELECT person_number AS c0, chapter AS c1, row_number() OVER (PARTITION BY person_number ORDER BY admitted, spell_number) AS c2, hours AS c3 FROM spell) AS d WHERE d.c2 = 1 GROUP BY d.c1".to_owned(),
        "SELECT o.m0 AS k0, count(*) AS m0 FROM spell AS s CROSS JOIN (SELECT code AS k0, max(n) AS m0 FROM obs GROUP BY code) AS o WHERE o.k0 = s.chapter GROUP BY o.m0".to_owned(),
    ];
    let twins: Vec<&str> = twins.iter().map(String::as_str).collect();
    assert_none(&refused(&world, &attacks, &twins).await);
}

#[tokio::test]
async fn inner_queries_are_at_person_level() {
    let world = world().await;
    let attacks = [
        "S6: SELECT count(*) AS m0 FROM (SELECT chapter AS k0, count(*) AS m0 FROM spell GROUP BY chapter) AS d",
        "S6: SELECT sum(d.m0) AS m0 FROM (SELECT chapter AS k0, count(*) AS m0 FROM spell GROUP BY chapter) AS d WHERE d.m0 > 1",
        "S6: SELECT count(*) AS m0 FROM (SELECT consultant AS k0, count(*) AS m0 FROM spell GROUP BY consultant) AS d WHERE d.m0 = 1",
        "S6: SELECT count(*) AS m0 FROM spell AS s CROSS JOIN (SELECT count(*) AS m0 FROM spell) AS d WHERE d.m0 = 83",
        "S6: SELECT count(*) AS m0 FROM (SELECT p.person_number AS k0 FROM spell AS s LEFT JOIN person AS p ON (p.person_number = s.person_number) GROUP BY p.person_number) AS d",
        "S7: SELECT count(*) AS m0 FROM (SELECT person_number AS c0, row_number() OVER (PARTITION BY consultant ORDER BY admitted) AS c1 FROM spell) AS d WHERE d.c1 = 1",
        "S7: SELECT count(*) AS m0 FROM (SELECT person_number AS c0, row_number() OVER (PARTITION BY chapter ORDER BY hours) AS c1 FROM spell) AS d WHERE d.c1 = 1",
        "S7: SELECT count(*) AS m0 FROM (SELECT person_number AS c0, row_number() OVER (ORDER BY hours) AS c1 FROM spell) AS d WHERE d.c1 < 4",
        "S7: SELECT count(*) AS m0 FROM (SELECT person_number AS c0, max(hours) OVER (PARTITION BY chapter) AS c1 FROM spell) AS d WHERE d.c1 > 7000",
        "0A000: SELECT count(*) AS m0 FROM (SELECT person_number AS k0, count(*) AS m0 FROM spell GROUP BY person_number LIMIT 3) AS d",
        "0A000: SELECT count(*) AS m0 FROM (SELECT person_number AS k0, count(*) AS m0 FROM spell GROUP BY person_number ORDER BY count(*) LIMIT 1) AS d",
        "S5: SELECT count(*) AS m0 FROM person WHERE person_number NOT IN (SELECT person_number FROM spell)",
        "S1: SELECT d.m0 AS c0 FROM (SELECT person_number AS k0, count(*) AS m0 FROM spell GROUP BY person_number) AS d",
        "S1: SELECT d.c1 AS c0 FROM (SELECT person_number AS c0, row_number() OVER (PARTITION BY person_number ORDER BY admitted) AS c1 FROM spell) AS d",
    ];
    let twins = [
        BENIGN,
        "SELECT count(*) AS m0 FROM (SELECT person_number AS k0, count(*) AS m0 FROM spell GROUP BY person_number) AS d WHERE d.m0 > 1",
        "SELECT count(*) AS m0 FROM (SELECT chapter AS c0, row_number() OVER (PARTITION BY person_number ORDER BY admitted) AS c1 FROM spell) AS d WHERE d.c1 = 1",
        "SELECT count(*) AS m0 FROM person AS p LEFT ANTI JOIN spell AS s ON s.person_number = p.person_number",
    ];
    assert_none(&refused(&world, &attacks, &twins).await);
}

#[tokio::test]
async fn inner_queries_cannot_fail_on_a_row() {
    let world = world().await;
    let attacks = [
        "SELECT count(*) AS m0 FROM (SELECT person_number AS k0, min(CAST(chapter AS INT)) AS m0 FROM spell WHERE {P} GROUP BY person_number) AS d",
        "SELECT count(*) AS m0 FROM (SELECT person_number AS k0, count(*) FILTER (WHERE {P} AND 1 / (hours - 5000) > 0) AS m0 FROM spell GROUP BY person_number) AS d",
        "SELECT count(*) AS m0 FROM (SELECT person_number AS k0, max(chapter) AS m0 FROM spell WHERE {P} GROUP BY person_number) AS d WHERE d.m0 = 5",
        "SELECT sum(d.m0) AS m0 FROM (SELECT person_number AS k0, sum(hours) AS m0 FROM spell WHERE {P} GROUP BY person_number) AS d",
        "SELECT d.m0 AS k0, count(*) AS m0 FROM (SELECT person_number AS k0, max(chapter) AS m0 FROM spell WHERE {P} GROUP BY person_number) AS d GROUP BY d.m0",
        "SELECT count(*) AS m0 FROM (SELECT person_number AS c0, lag(chapter, 1, 'x') OVER (PARTITION BY person_number ORDER BY admitted) AS c1 FROM spell WHERE {P}) AS d",
        "SELECT count(*) AS m0 FROM (SELECT person_number AS c0, row_number() OVER (PARTITION BY person_number ORDER BY CAST(chapter AS INT)) AS c1 FROM spell WHERE {P}) AS d",
        "SELECT count(*) AS m0 FROM (SELECT person_number AS c0, row_number() OVER (PARTITION BY person_number ORDER BY date_trunc('month', admitted)) AS c1 FROM spell WHERE {P}) AS d",
        "SELECT count(*) AS m0 FROM spell AS s CROSS JOIN (SELECT code AS k0, count(*) AS m0 FROM obs WHERE 1 / (n - 2) > 0 GROUP BY code) AS o WHERE s.{P} AND o.k0 = s.chapter",
    ];
    let failures = alike(&world, &attacks, super::ONE, super::NONE).await;
    let twin = world.send("SELECT d.m0 AS k0, count(*) AS m0 FROM (SELECT person_number AS k0, max(chapter) AS m0 FROM spell WHERE hours > 1 GROUP BY person_number) AS d GROUP BY d.m0").await;
    assert!(twin.contains("| A "), "{twin}");
    assert_none(&failures);
}

/// What is answered, over all organisations: 14 people with one spell, 13 with two and 13 with three
/// at each of three, and two people who stand alone.
#[tokio::test]
async fn person_level_questions_are_answered() {
    let world = world().await;
    let mut failures = vec![];
    for (sql, shown, hidden) in [
        (
            "SELECT CASE WHEN n = 1 THEN 'one' WHEN n = 2 THEN 'two' ELSE 'more' END AS band, count(*) AS people, sum(n) AS spells FROM (SELECT organisation, person_number, count(*) AS n FROM spell GROUP BY organisation, person_number) AS d GROUP BY 1 ORDER BY 1",
            vec!["| more | 39 ", "| one  | 48 ", "| two  | 39 ", " 117 ", " 78 "],
            vec!["Z"],
        ),
        (
            "SELECT first, count(*) AS people FROM (SELECT organisation, person_number, min(chapter) AS first FROM spell GROUP BY organisation, person_number) AS d GROUP BY first ORDER BY first",
            vec!["| A     | 63 ", "| B     | 60 "],
            vec!["Z"],
        ),
        (
            "SELECT chapter, count(*) AS people, sum(hours) AS h FROM (SELECT organisation, chapter, hours, row_number() OVER (PARTITION BY organisation, person_number ORDER BY admitted, spell_number) AS n FROM spell) AS d WHERE n = 1 GROUP BY chapter ORDER BY chapter",
            vec!["| A       | 63 ", "| B       | 60 "],
            vec!["Z", "5000"],
        ),
        (
            "SELECT p.sex, count(*) AS people, count(s.person_number) AS seen FROM person p LEFT JOIN (SELECT DISTINCT organisation, person_number FROM spell WHERE chapter = 'A') AS s ON s.organisation = p.organisation AND s.person_number = p.person_number GROUP BY p.sex ORDER BY p.sex",
            vec!["| F   | 63 ", "| 30 ", "| M   | 63 ", "| 33 "],
            vec!["Z"],
        ),
        (
            "SELECT p.sex, count(*) AS n FROM person p WHERE person_number NOT IN (SELECT person_number FROM register WHERE practice = 'P1') GROUP BY p.sex",
            vec!["S5.join"],
            vec![],
        ),
        (
            "SELECT count(*) FROM (SELECT person_number, count(*) AS n FROM spell GROUP BY person_number) AS d WHERE n > 1",
            vec!["0A000", "organisation"],
            vec![],
        ),
        (
            "SELECT count(*) FROM (SELECT hours, row_number() OVER (PARTITION BY person_number ORDER BY admitted) AS n FROM spell) AS d WHERE n = 1",
            vec!["0A000", "organisation"],
            vec![],
        ),
        (
            "SELECT avg(n) FROM (SELECT chapter, count(*) AS n FROM spell GROUP BY chapter) AS d",
            vec!["| 1"],
            vec!["error"],
        ),
    ] {
        let answer = world.ask(sql).await;
        let lost = shown.iter().any(|text| !answer.contains(text));
        if lost || hidden.iter().any(|text| answer.contains(text)) {
            failures.push(format!("{sql}\n{answer}"));
        }
    }
    assert_none(&failures);
}

/// What is computed in an inner query is one number to the gate, which asks about its parts.
#[tokio::test]
async fn numbers_are_not_added_up_out_of_sight() {
    let world = world().await;
    let attacks = [
        "S3: SELECT sum(d.m0) AS m0, sum(d.m1) AS m1 FROM (SELECT person_number AS k0, sum(hours + arrow_cast(visits, 'Float64')) AS m0, sum(hours) AS m1 FROM spell GROUP BY person_number) AS d",
        "S3: SELECT avg(d.m0) AS m0 FROM (SELECT person_number AS k0, avg(hours - arrow_cast(visits, 'Float64')) AS m0 FROM spell GROUP BY person_number) AS d",
        "S3: SELECT sum(d.m0) AS m0 FROM (SELECT person_number AS k0, count(hours + arrow_cast(visits, 'Float64')) AS m0 FROM spell GROUP BY person_number) AS d",
        "S3|S9: SELECT sum(d.m0) AS m0 FROM (SELECT person_number AS k0, max(hours + arrow_cast(visits, 'Float64')) AS m0 FROM spell GROUP BY person_number) AS d",
        "S3|S9: SELECT count(*) FILTER (WHERE d.c1 > 5) AS m0 FROM (SELECT person_number AS c0, sum(hours + arrow_cast(visits, 'Float64')) OVER (PARTITION BY person_number) AS c1 FROM spell) AS d",
    ];
    let twins = [
        "SELECT sum(d.m0) AS m0, sum(d.m1) AS m1 FROM (SELECT person_number AS k0, sum(cost) AS m0, sum(hours) AS m1 FROM spell GROUP BY person_number) AS d",
        "SELECT count(*) FILTER (WHERE d.c1 > 5) AS m0 FROM (SELECT person_number AS c0, sum(hours) OVER (PARTITION BY person_number) AS c1 FROM spell) AS d",
    ];
    assert_none(&refused(&world, &attacks, &twins).await);
}

/// A column of an open table that passes through an inner query is not counted: whoever asks may
/// have written in which rows it is NULL, and so as many conditions as there are columns.
#[tokio::test]
async fn columns_of_open_tables_stay_open() {
    let world = world().await;
    const MARKED: &str = "(SELECT s.person_number AS c0, v.c1 AS c1, v.c2 AS c2 FROM spell s CROSS JOIN \
                          (VALUES ('A', 'y', NULL), ('B', 'y', 'y')) AS v (c0, c1, c2) WHERE v.c0 = s.chapter) AS d";
    let attacks = [
        format!("S3: SELECT count(d.c1) AS m0, count(d.c2) AS m1 FROM {MARKED}"),
        "S3: SELECT count(d.m0) AS m0 FROM (SELECT s.person_number AS k0, min(v.c1) AS m0 FROM spell s CROSS JOIN (VALUES ('A', 'y'), ('B', NULL)) AS v (c0, c1) WHERE v.c0 = s.chapter GROUP BY s.person_number) AS d".to_owned(),
        "S5: SELECT sum(s.hours) AS m0 FROM spell s CROSS JOIN (SELECT v.c AS k0 FROM (VALUES (1.0), (2.0)) AS v (c) GROUP BY v.c) AS d WHERE d.k0 = s.hours".to_owned(),
    ];
    let attacks: Vec<&str> = attacks.iter().map(String::as_str).collect();
    let twins = [
        format!("SELECT d.c1 AS k0, count(*) AS m0 FROM {MARKED} GROUP BY d.c1"),
        format!("SELECT count(*) AS m0 FROM {MARKED} WHERE d.c1 = 'y'"),
    ];
    let twins: Vec<&str> = twins.iter().map(String::as_str).collect();
    assert_none(&refused(&world, &attacks, &twins).await);
}
