//! Attacks on what is summed, averaged, counted and interpolated (S2, S3, S8): numbers that carry
//! several numbers, or one person's.

use hedgerow_catalog::Contracts;

use super::{BENIGN, NONE, ONE, World, alike, assert_none, refused, world};

/// Outcomes through the coordinator: `what the outcome must hold: statement`.
async fn outcomes(world: &World, expected: &[&str]) -> Vec<String> {
    let mut failures = vec![];
    for one in expected {
        let (wanted, sql) = one.split_once(": ").unwrap();
        let answer = world.ask(sql).await;
        if !wanted.split(" & ").all(|part| answer.contains(part)) {
            failures.push(format!("not {one}\n{answer}"));
        }
    }
    failures
}

#[tokio::test]
async fn sums_carry_one_number() {
    let world = world().await;
    let attacks = [
        "S3: SELECT sum(hours + 100.0) AS m0 FROM spell",
        "S3: SELECT sum(hours - hours + 1.0) AS m0 FROM spell",
        "S3: SELECT sum(hours - hours) AS m0 FROM spell",
        "S3: SELECT avg(hours + hours) AS m0 FROM spell",
        "S3: SELECT sum(hours * CAST(chapter = 'Z' AS INT)) AS m0 FROM spell",
        "S3: SELECT sum(hours + CASE WHEN chapter = 'Z' THEN 1000000.0 ELSE 0.0 END) AS m0 FROM spell",
        "S3: SELECT sum(CASE WHEN chapter = 'A' THEN hours + arrow_cast(visits, 'Float64') END) AS m0 FROM spell",
        "S3: SELECT sum(power(hours, 2)) AS m0 FROM spell",
        "S3: SELECT sum(hours * hours) AS m0 FROM spell",
        "S3: SELECT sum(hours * arrow_cast(visits, 'Float64')) AS m0 FROM spell",
        "S3: SELECT sum(2.0 * hours) AS m0 FROM spell",
        "S3: SELECT sum(hours + 1000.0 * arrow_cast(visits, 'Float64')) AS m0 FROM spell",
        "S3: SELECT sum(hours / 2.0) AS m0 FROM spell",
        "S3: SELECT sum(- hours) AS m0 FROM spell",
        "S3: SELECT sum(hours % 10.0) AS m0 FROM spell",
        "S3|S4: SELECT sum(hours + arrow_cast(spell_number, 'Float64')) AS m0 FROM spell",
        "S3: SELECT sum(arrow_cast(visits, 'Decimal128(10, 0)') * cost + cost) AS m0 FROM spell",
        "S3: SELECT sum(arrow_cast(visits, 'Decimal128(10, 0)') * cost * cost) AS m0 FROM spell",
        "S3: SELECT stddev(hours + arrow_cast(visits, 'Float64')) AS m0 FROM spell",
        "S3|S5: SELECT sum(o.x + s.hours) AS m0 FROM spell s CROSS JOIN obs o WHERE o.code = s.chapter",
        "S3|S5: SELECT sum(a.hours * arrow_cast(b.visits, 'Float64')) AS m0 FROM spell a CROSS JOIN spell b WHERE a.spell_number = b.spell_number",
    ];
    let twins = [
        "SELECT sum(hours) AS m0 FROM spell",
        "SELECT sum(hours + arrow_cast(visits, 'Float64')) AS m0 FROM spell",
        "SELECT avg(hours - arrow_cast(visits, 'Float64')) AS m0 FROM spell",
        "SELECT sum(arrow_cast(visits, 'Decimal128(10, 0)') + cost) AS m0 FROM spell",
        "SELECT sum(arrow_cast(visits, 'Decimal128(10, 0)') * cost) AS m0 FROM spell",
        "SELECT avg(cost * arrow_cast(visits, 'Decimal128(10, 0)')) AS m0 FROM spell",
        "SELECT sum(hours + arrow_cast(visits, 'Float64')) FILTER (WHERE chapter = 'A') AS m0 FROM spell",
    ];
    assert_none(&refused(&world, &attacks, &twins).await);
}

/// A sum that wraps tells how often it did; one that fails tells that it did.
#[tokio::test]
async fn arithmetic_neither_wraps_nor_fails() {
    let world = world().await;
    let attacks = [
        "S9: SELECT sum(visits + extra) AS m0 FROM spell",
        "S9: SELECT sum(arrow_cast(visits, 'Int64') + arrow_cast(extra, 'Int64')) AS m0 FROM spell",
        "S9: SELECT sum(arrow_cast(visits, 'Int16') + extra) AS m0 FROM spell",
        "S9: SELECT sum(visits * cost) AS m0 FROM spell",
        "S9: SELECT sum(arrow_cast(visits, 'Float64') + cost) AS m0 FROM spell",
        "S9: SELECT sum(arrow_cast(visits, 'Decimal128(38, 0)') + cost) AS m0 FROM spell",
        "S9: SELECT sum(arrow_cast(visits, 'Decimal128(27, 0)') * cost) AS m0 FROM spell",
        "S9: SELECT sum(arrow_cast(visits, 'Decimal128(3, 0)') + cost) AS m0 FROM spell",
        "S9: SELECT sum(arrow_cast(hours, 'Decimal128(12, 2)') + cost) AS m0 FROM spell",
    ];
    let twins = [
        "SELECT sum(arrow_cast(visits, 'Decimal128(10, 0)') + arrow_cast(extra, 'Decimal128(10, 0)')) AS m0 FROM spell",
        "SELECT count(*) AS m0 FROM spell WHERE ended <= admitted + INTERVAL '30' DAY",
        "SELECT date_part('hour', discharged) AS k0, count(*) AS m0 FROM spell GROUP BY date_part('hour', discharged)",
    ];
    let mut failures = refused(&world, &attacks, &twins).await;
    let far = [
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND ended - admitted < 5",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND ended < admitted + INTERVAL '2000000000' DAY",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND admitted - INTERVAL '2000000000' DAY < ended",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND ended BETWEEN admitted AND admitted + INTERVAL '2000000000' DAY",
        "SELECT sum(ended - admitted) FILTER (WHERE {P}) AS m0 FROM spell",
        "SELECT count(*) AS m0 FROM spell WHERE {P} AND date_part('hour', discharged) = 0",
    ];
    failures.extend(alike(&world, &far, "hours = 7777", "hours = 7778").await);
    failures.extend(alike(&world, &far, ONE, NONE).await);
    assert_none(&failures);
}

#[tokio::test]
async fn days_between_dates_are_a_measure() {
    let world = world().await;
    let attacks = [
        "S2: SELECT ended - admitted AS k0, count(*) AS m0 FROM spell GROUP BY ended - admitted",
        "S2: SELECT CASE WHEN ended - admitted > 1 THEN ended - admitted END AS k0, count(*) AS m0 FROM spell GROUP BY CASE WHEN ended - admitted > 1 THEN ended - admitted END",
        "S3: SELECT sum(admitted - DATE '2025-01-01') AS m0 FROM spell",
        "S3: SELECT sum(DATE '9999-12-31' - admitted) AS m0 FROM spell",
        "S3: SELECT sum(ended - ended) AS m0 FROM spell",
        "S3: SELECT sum((ended - admitted) + (ended - admitted)) AS m0 FROM spell",
        "S3|S5: SELECT sum(o.d - s.admitted) AS m0 FROM spell s CROSS JOIN obs o WHERE o.code = s.chapter",
        "S3: SELECT count(admitted - DATE '2025-01-01') AS m0 FROM spell",
        "S3: SELECT stddev(ended - admitted) AS m0 FROM spell",
    ];
    let twins = [
        "SELECT sum(ended - admitted) AS m0 FROM spell",
        "SELECT avg(ended - admitted) AS m0 FROM spell",
        "SELECT chapter AS k0, count(*) FILTER (WHERE ended - admitted <= 2) AS m0 FROM spell GROUP BY chapter",
        "SELECT CASE WHEN ended - admitted < 2 THEN 'short' ELSE 'long' END AS k0, count(*) AS m0 FROM spell GROUP BY CASE WHEN ended - admitted < 2 THEN 'short' ELSE 'long' END",
        "SELECT count(*) AS m0 FROM spell a LEFT SEMI JOIN spell b ON a.person_number = b.person_number AND b.admitted - a.ended <= 30 AND b.admitted > a.ended",
    ];
    assert_none(&refused(&world, &attacks, &twins).await);
}

/// `extra` is one person's: no sum may be set against another to tell it.
#[tokio::test]
async fn sums_of_several_columns_are_not_set_against_one_another() {
    let world = world().await;
    let expected = [
        "| 2        |: SELECT sum(visits + extra) AS m FROM spell",
        "| 2        |: SELECT avg(visits - extra) AS m FROM spell",
        "| 2        | & |   |: SELECT sum(visits) AS n, sum(visits + extra) AS m FROM spell",
        "| 2        |: SELECT sum(visits * cost) AS n, sum(cost + extra) AS m FROM spell",
        "| 0        |: SELECT sum(visits + cost) AS m FROM spell",
        "| 0        |: SELECT sum(visits * cost) AS m FROM spell",
        "| 0        |: SELECT sum(visits) AS n, sum(hours) AS m FROM spell",
    ];
    assert_none(&outcomes(&world, &expected).await);
    // One and the same number, whichever way it is summed.
    let apart = world.ask("SELECT sum(visits) + sum(cost) AS m FROM spell").await;
    let whole = world.ask("SELECT sum(visits + cost) AS m FROM spell").await;
    let number = |answer: &str| {
        let digits = answer.lines().nth(3).unwrap().split('|').nth(1).unwrap();
        digits.trim().parse::<f64>().unwrap()
    };
    assert_eq!(number(&apart), number(&whole), "{apart}\n{whole}");
}

#[tokio::test]
async fn values_of_a_dimension_are_counted_alone() {
    let world = world().await;
    let expected = [
        // `Z` is one person; it is in no organisation's answer.
        "| 2 & | 1 : SELECT count(DISTINCT chapter) AS n FROM spell",
        "| 2 & | 1 : SELECT organisation, count(DISTINCT chapter) AS n FROM spell GROUP BY organisation",
        "| 1 : SELECT count(DISTINCT chapter) FILTER (WHERE chapter = 'A') AS n FROM spell",
        "0A000: SELECT count(DISTINCT spell_number) FROM spell",
        "S4: SELECT count(DISTINCT CAST(spell_number AS VARCHAR)) FROM spell",
        "S4: SELECT count(DISTINCT concat(chapter, spell_number)) FROM spell",
        "S4: SELECT count(DISTINCT CASE WHEN person_number = 3 THEN 'x' ELSE chapter END) FROM spell",
        "S4: SELECT count(DISTINCT left(card, 4)) FROM register",
        "S2: SELECT count(DISTINCT hours) FROM spell",
        "S2: SELECT count(DISTINCT ended - admitted) FROM spell",
        "G7: SELECT count(DISTINCT chapter), count(*) FROM spell",
        "G7: SELECT count(DISTINCT chapter), count(DISTINCT admitted) FROM spell",
        "G7: SELECT count(DISTINCT chapter), count(DISTINCT chapter) FILTER (WHERE hours > 5) FROM spell",
        "0A000: SELECT sum(DISTINCT hours) FROM spell",
    ];
    let mut failures = outcomes(&world, &expected).await;
    let one = world.ask("SELECT count(DISTINCT chapter) FROM spell WHERE chapter = 'Z'").await;
    let none = world.ask("SELECT count(DISTINCT chapter) FROM spell WHERE chapter = 'Q'").await;
    if one != none {
        failures.push(format!("{one}\n{none}"));
    }
    assert_none(&failures);
}

#[tokio::test]
async fn percentiles_come_from_bins() {
    let world = world().await;
    let expected = [
        "| 1 : SELECT median(hours) AS m FROM spell",
        "| 1 : SELECT approx_percentile_cont(hours, 0.05) AS m FROM spell",
        "| 1 : SELECT approx_percentile_cont(0.95) WITHIN GROUP (ORDER BY hours) AS m FROM spell",
        "| A & | B : SELECT chapter, median(hours), approx_percentile_cont(hours, 0.3) FROM spell GROUP BY chapter ORDER BY 1",
        "S8.extreme: SELECT approx_percentile_cont(hours, 0.01) FROM spell",
        "S8.extreme: SELECT approx_percentile_cont(hours, 0.999) FROM spell",
        "S8.extreme: SELECT approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY hours DESC) FROM spell",
        "S8.extreme: SELECT approx_percentile_cont(hours, -1) FROM spell",
        "S8.extreme & bins: SELECT median(cost) FROM spell",
        "S3: SELECT median(person_number) FROM spell",
        "S3: SELECT median(hours * hours) FROM spell",
        "S3: SELECT median(CASE WHEN chapter = 'Z' THEN hours END) FROM spell",
        "G7: SELECT median(hours), count(*) FROM spell",
        "G7: SELECT median(hours), median(hours) FILTER (WHERE chapter = 'A') FROM spell",
        "G7: SELECT median(hours), max(hours) FROM spell",
        "0A000: SELECT median(DISTINCT hours) FROM spell",
        "S8.extreme: SELECT max(hours) FROM spell",
    ];
    let mut failures = outcomes(&world, &expected).await;
    for sql in [
        "SELECT median(hours) FROM spell WHERE {P}",
        "SELECT approx_percentile_cont(hours, 0.95) FROM spell WHERE {P}",
        "SELECT chapter, median(hours) FROM spell WHERE {P} GROUP BY chapter",
        "SELECT median(hours) FILTER (WHERE {P}) AS m FROM spell",
    ] {
        let one = world.ask(&sql.replace("{P}", ONE)).await;
        let none = world.ask(&sql.replace("{P}", NONE)).await;
        if one != none {
            failures.push(format!("{sql}\n{one}\n{none}"));
        }
    }
    // A node itself knows no percentiles: it counts in bins.
    let attacks = [
        "0A000: SELECT median(hours) AS m0 FROM spell",
        "0A000: SELECT approx_percentile_cont(hours, 0.5) AS m0 FROM spell",
    ];
    failures.extend(refused(&world, &attacks, &[BENIGN]).await);
    assert_none(&failures);
}

#[test]
fn bins_and_products_that_make_no_sense_are_no_contract() {
    let contract = |products: &str, bins: &str| {
        let text = format!(
            r#"
name = "spell"
version = 1
person = {{ column = "person", scope = "organisation" }}
products = {products}
columns = [
  {{ name = "person", type = "int64", roles = ["identifier"] }},
  {{ name = "ward", type = "utf8", roles = ["dimension"] }},
  {{ name = "label", type = "utf8", roles = ["measure"] }},
  {{ name = "price", type = "float64", roles = ["measure"], bins = {bins} }},
  {{ name = "quantity", type = "int64", roles = ["measure"] }},
]
"#
        );
        Contracts::default().insert_toml("spell.toml", &text).map_err(|error| error.to_string())
    };
    contract(r#"[["price", "quantity"]]"#, "[0, 5, 10]").unwrap();
    contract("[]", "[]").unwrap();
    for (products, bins) in [
        (r#"[["price", "price"]]"#, "[]"),
        (r#"[["price", "nothing"]]"#, "[]"),
        (r#"[["price", "ward"]]"#, "[]"),
        (r#"[["person", "price"]]"#, "[]"),
        (r#"[["price", "label"]]"#, "[]"),
        (r#"[["price"]]"#, "[]"),
        ("[]", "[0, 10, 5]"),
        ("[]", "[0, 0]"),
        ("[]", "[0, nan]"),
    ] {
        let error = contract(products, bins).unwrap_err();
        assert!(error.contains("spell.toml"), "{error}");
    }
}
