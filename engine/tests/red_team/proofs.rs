//! What G3, G4 and G8 must stop, at nodes whose policy has these rules, each beside the same question
//! where nothing has to be hidden.

use super::{World, world_with};

/// k = 5, so that groups of this small world differ; everything else as strict as it gets.
const STRICT: &str = "preset = \"primary_only\"\nk = 5\ncomplement = true\np_percent = 0.10\n\
                      dominance = { n = 2, share = 0.90 }\n";
const ROUNDED: &str =
    "preset = \"primary_only\"\nk = 10\nround_to = 5\ncoordinators = [\"analyst\"]\n";

/// The value of the one row and column of an answer that the coordinator gives.
async fn value(world: &World, sql: &str) -> String {
    let answer = world.ask(sql).await;
    let row = answer.lines().nth(3).unwrap_or(&answer).to_owned();
    row.split('|').nth(1).unwrap_or(&row).trim().to_owned()
}

#[tokio::test]
async fn whoever_does_not_contribute_is_protected_too() {
    let world = world_with(STRICT).await;
    // Everybody of chapter A has a first visit; two thirds have a second one.
    for (withheld, released) in [
        (
            "SELECT count(*) FILTER (WHERE visits = 1) FROM spell WHERE chapter = 'A'",
            "SELECT count(*) FILTER (WHERE visits = 2) FROM spell WHERE chapter = 'A'",
        ),
        (
            "SELECT count(*) FILTER (WHERE hours > 0) FROM spell WHERE chapter = 'A'",
            "SELECT count(*) FROM spell WHERE chapter = 'A'",
        ),
        (
            "SELECT sum(CASE WHEN visits < 3 THEN cost ELSE 0 END) FROM spell",
            "SELECT sum(CASE WHEN visits = 2 THEN cost ELSE 0 END) FROM spell",
        ),
        (
            "SELECT avg(CASE WHEN hours < 4000 THEN hours END) FROM spell WHERE chapter <> 'Z'",
            "SELECT avg(hours) FROM spell WHERE chapter = 'B'",
        ),
    ] {
        assert_eq!(value(&world, withheld).await, "", "{withheld}");
        assert_ne!(value(&world, released).await, "", "{released}");
    }
}

#[tokio::test]
async fn nobody_is_nearly_all_of_a_sum() {
    let world = world_with(STRICT).await;
    // Person 91 has 7777 hours, in chapter A.
    for (withheld, released) in [
        (
            "SELECT sum(hours) FROM spell WHERE chapter = 'A' AND (hours < 70 OR hours > 7000)",
            "SELECT sum(hours) FROM spell WHERE chapter = 'A' AND hours < 100",
        ),
        (
            "SELECT avg(hours) FROM spell WHERE chapter = 'A' AND (hours < 70 OR hours > 7000)",
            "SELECT avg(hours) FROM spell WHERE chapter = 'B'",
        ),
        (
            "SELECT stddev(hours) FROM spell WHERE chapter = 'A' AND (hours < 70 OR hours > 7000)",
            "SELECT stddev(hours) FROM spell WHERE chapter = 'B'",
        ),
    ] {
        assert_eq!(value(&world, withheld).await, "", "{withheld}");
        assert_ne!(value(&world, released).await, "", "{released}");
    }
    // Their number is no sum that one of them dominates.
    let people = "SELECT count(DISTINCT person_number) FROM spell WHERE chapter = 'A'";
    assert_eq!(value(&world, people).await, "63");
}

#[tokio::test]
async fn a_coordinator_rounds_once_what_it_combined() {
    let world = world_with(ROUNDED).await;
    let exact = super::world().await;
    let rows: i64 = value(&exact, "SELECT count(*) FROM spell").await.parse().unwrap();
    let rounded: i64 = value(&world, "SELECT count(*) FROM spell").await.parse().unwrap();
    assert_eq!((rows, rounded), (243, 245));
    let bounds =
        world.ask("SELECT lower(count(*)), upper(count(*)), withheld(count(*)) FROM spell").await;
    assert!(bounds.contains("| 243 ") && bounds.contains("| 247 "), "{bounds}");
    assert!(bounds.contains("false"), "{bounds}");
    // The mean comes from the rounded sum and count, so it does not tell the count.
    let sum: f64 = value(&world, "SELECT sum(visits) FROM spell").await.parse().unwrap();
    let mean: f64 = value(&world, "SELECT avg(visits) FROM spell").await.parse().unwrap();
    assert_eq!(sum % 5.0, 0.0);
    assert!((mean - sum / 245.0).abs() < 1e-9, "{mean} is not {sum} / 245");
    // What is grouped by organisation is whole at one, and rounded all the same.
    let each = world
        .ask("SELECT organisation, count(*), avg(visits) FROM spell GROUP BY 1 ORDER BY 1")
        .await;
    assert_eq!(each.matches("| 80 ").count(), 3, "{each}");
    let bins = "SELECT approx_percentile_cont(hours, 0.5) FROM spell";
    assert_ne!(value(&world, bins).await, "");
}

#[tokio::test]
async fn who_is_no_coordinator_gets_rounded_numbers() {
    let world = world_with(ROUNDED).await;
    let sent = world
        .send(
            "SELECT count(*) AS m0, sum(visits) AS m1, avg(visits) AS m2, stddev(hours) AS m3 \
             FROM spell",
        )
        .await;
    let row = sent.lines().nth(3).unwrap_or(&sent);
    let cells: Vec<&str> = row.split('|').map(str::trim).collect();
    let cell = |place: usize| *cells.get(place).unwrap();
    assert_eq!([1, 2, 3, 4].map(cell), ["80", "78", "82", "0"], "{sent}");
    let (sum, mean): (f64, f64) = (cell(5).parse().unwrap(), cell(9).parse().unwrap());
    assert_eq!(sum % 5.0, 0.0, "{sent}");
    assert!((mean - sum / 80.0).abs() < 1e-9, "{sent}");
    assert!(cell(13).trim_matches(['0', '.']).len() <= 4, "{sent}");
}
