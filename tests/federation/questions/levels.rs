//! The analysts' questions over two levels: trusts below care boards, and a nation above them.
//!
//! An organisation `northmoor` is `beta/northmoor` there; everything else is as over one level, marks
//! and bounds too.

use std::fmt::Write;

use arrow::array::RecordBatch;
use hedgerow_engine::{COMPANION, WireError};

use super::kept::check_kept_as;
use super::{KEPT, assert_none_failed, checked, folder, questions, told};
use crate::answers::{Value, assert_same, values_of};
use crate::world::{Answer, World, in_time};

/// In such an order that the names of organisations sort as they do without their boards.
const BOARDS: [(&str, &[&str]); 2] =
    [("alpha", &["castlebridge", "fenmarsh"]), ("beta", &["hartwell", "northmoor", "westlea"])];

/// A value as it reads below the boards.
fn renamed(value: &str) -> String {
    match BOARDS.iter().find(|(_, below)| below.contains(&value)) {
        Some((board, _)) => format!("{board}/{value}"),
        None => value.to_owned(),
    }
}

/// The directory of organisations knows their own ids.
fn below_boards(sql: &str) -> String {
    sql.replace(
        "organisation_code = r.organisation",
        "organisation_code = split_part(r.organisation, '/', 2)",
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_open_two_levels_answer_as_one() {
    let world = in_time(World::demo_all_open_below(&BOARDS)).await;
    let mut client = world.client().await;
    let mut failed = vec![];
    for (name, sql) in questions() {
        let answer = in_time(client.try_ask(&below_boards(&sql))).await;
        let checked = answer.map_err(|error| told(&error)).and_then(|answer| {
            let path = folder().join(format!("{name}.open.csv"));
            checked(|| check_kept_as(&path, &answer, &renamed))
        });
        failed.extend(checked.err().map(|error| format!("{name}: {error}")));
    }
    in_time(world.shutdown()).await;
    assert_none_failed(&failed);
}

/// Every column of an answer, companions among them, with names as they read below the boards.
fn whole(answer: &Answer) -> Vec<Vec<Value>> {
    let rename = |value: Value| match value {
        Value::Exact(text) => Value::Exact(renamed(&text)),
        other => other,
    };
    let rows = |batch: &RecordBatch| {
        let columns: Vec<Vec<Value>> = batch.columns().iter().map(|c| values_of(c)).collect();
        (0..batch.num_rows())
            .map(|row| columns.iter().map(|column| rename(column[row].clone())).collect())
            .collect::<Vec<Vec<Value>>>()
    };
    answer.batches.iter().flat_map(rows).collect()
}

fn has_companions(answer: &Answer) -> bool {
    let schema = answer.batches[0].schema();
    schema.fields().iter().any(|field| field.metadata().contains_key(COMPANION))
}

/// What became of a question: refused is refused in the same way.
fn refusal(error: &WireError) -> (String, Option<String>) {
    (error.sqlstate.clone(), error.rule.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn protected_values_bounds_and_marks_are_those_of_one_level() {
    let one = in_time(World::demo()).await;
    let two = in_time(World::demo_below(&BOARDS)).await;
    let (mut flat, mut high) = (one.client().await, two.client().await);
    let (mut failed, mut marked, mut list) = (vec![], 0, String::new());
    for (name, sql) in questions() {
        let below = in_time(high.try_ask(&below_boards(&sql))).await;
        let outcome = match (in_time(flat.try_ask(&sql)).await, below) {
            (Ok(flat), Ok(high)) => checked(|| {
                marked += usize::from(has_companions(&high));
                assert_same(&name, &whole(&high), &whole(&flat));
                let of_both = (flat.coverage.organisations(), high.coverage.organisations());
                assert_eq!(of_both.0.len(), of_both.1.len());
                if KEPT.contains(&name.as_str()) {
                    check_kept_as(&folder().join(format!("{name}.csv")), &high, &renamed);
                }
            }),
            (Err(flat), Err(high)) if refusal(&flat) == refusal(&high) => Ok(()),
            (Err(flat), Err(high)) => Err(format!("{} above {}", told(&high), told(&flat))),
            (Ok(_), Err(high)) => Err(told(&high)),
            (Err(flat), Ok(_)) => Err(format!("answered above, below {}", told(&flat))),
        };
        writeln!(list, "{name:26} {outcome:?}").unwrap();
        failed.extend(outcome.err().map(|error| format!("{name}: {error}")));
    }
    in_time(one.shutdown()).await;
    in_time(two.shutdown()).await;
    assert_none_failed(&failed);
    assert!(marked >= KEPT.len(), "only {marked} have marks:\n{list}");
}
