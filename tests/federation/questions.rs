//! The analysts' questions in `tests/questions`, over the demo's data.
//!
//! Over all tables open, a federation answers as one DataFusion over the union, and one
//! organisation's tables as one DataFusion over its data. The answers of the federation are kept in
//! `NAME.open.csv`.
//!
//! Over the protected tables many questions have the answers of the union without what fewer
//! than ten people at an organisation are behind, kept in `NAME.csv`. Every other question is
//! answered, or refused with words that help, and answered in the form of `NAME.protected.sql`.
//!
//! ```text
//! warehouse   one DataFusion over the union; questions narrowed to one organisation
//! levels      the same below care boards
//! kept        kept answers; `HEDGEROW_BLESS=1` writes them anew
//! released    how much of a question nodes release, weighted by people
//! ```

mod kept;
mod levels;
mod released;
pub(crate) mod warehouse;

use std::fmt::Write;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use datafusion::prelude::SessionContext;
use hedgerow_engine::WireError;

use crate::answers::{assert_same, values};
use crate::world::{Answer, Client, World, in_time};
use kept::check_kept;
use released::{Nodes, Share};
use warehouse::{narrowed, over, union};

/// How many questions there are.
const QUESTIONS: usize = 36;
/// Those whose answers over the protected tables are kept.
const KEPT: [&str; 15] = [
    "01_backlog",
    "02_non_attendance",
    "03_emergency_admissions",
    "04_vaccinations",
    "05_length_of_stay",
    "06_share",
    "07_vaccine_uptake",
    "08_readmission",
    "09_first_admission",
    "10_first_diagnosis",
    "11_admissions_per_person",
    "12_cohort",
    "24_non_attendance_ratio",
    "32_stay_bands",
    "34_slow_hours",
];
/// At least so many are answered over the protected tables as they are written. It may only grow.
const ANSWERED_MIN: usize = 22;
/// At least so much of the questions, weighted by people, is released with k = 10. It may only grow.
const RELEASED_MIN: f64 = 0.9;
/// What the name of a question ends with in the form that protected tables answer.
const REWRITTEN: &str = ".protected";
/// Organisations with every table: one in the contracts' layout, one with its own.
const ALONE: [&str; 2] = ["northmoor", "westlea"];

/// Questions whose answer can be told by SQL over the union, each group key list with the rest.
const RESTRICTED: [(&str, &str); 13] = [
    (
        "01_backlog",
        "SELECT code, name, sum(n) AS n FROM (
           SELECT r.organisation, t.code, t.name, count(*) AS n, count(DISTINCT r.person_number) AS p
           FROM referral_pathway r JOIN treatment_function t ON t.code = r.treatment_function_code
           WHERE r.status = 'waiting' AND r.weeks_waited > 52 GROUP BY 1, 2, 3)
         WHERE p >= 10 GROUP BY code, name ORDER BY code, name",
    ),
    (
        "02_non_attendance",
        "SELECT d, sum(n) AS n, sum(m) AS m, round(100.0 * sum(m) / sum(n), 1) AS percent FROM (
           SELECT organisation, deprivation_decile AS d, count(*) AS n,
             count(DISTINCT person_number) AS p,
             CASE WHEN count(DISTINCT CASE WHEN NOT attended THEN person_number END) >= 10
                  THEN count(*) FILTER (WHERE NOT attended) END AS m
           FROM outpatient_appointment WHERE deprivation_decile IS NOT NULL GROUP BY 1, 2)
         WHERE p >= 10 GROUP BY d ORDER BY d",
    ),
    (
        "03_emergency_admissions",
        "SELECT organisation, admission_month, n FROM (
           SELECT organisation, admission_month, count(*) AS n, count(DISTINCT person_number) AS p
           FROM admitted_care WHERE admission_type = 'emergency' GROUP BY 1, 2)
         WHERE p >= 10 ORDER BY organisation, admission_month",
    ),
    (
        "04_vaccinations",
        "SELECT vaccination_month, age_band, sum(n) AS n FROM (
           SELECT organisation, vaccination_month, age_band, count(*) AS n,
             count(DISTINCT person_number) AS p
           FROM vaccination GROUP BY 1, 2, 3)
         WHERE p >= 10 GROUP BY 1, 2 ORDER BY 1, 2",
    ),
    (
        "06_share",
        "SELECT f, priority, sum(n) AS n, 100.0 * sum(n) / sum(sum(n)) OVER () AS percent FROM (
           SELECT organisation, treatment_function_code AS f, priority, count(*) AS n,
             count(DISTINCT person_number) AS p
           FROM referral_pathway GROUP BY 1, 2, 3)
         WHERE p >= 10 GROUP BY f, priority ORDER BY f, priority",
    ),
    (
        "07_vaccine_uptake",
        "SELECT age_band, sum(n) AS n, sum(m) AS m, round(100.0 * sum(m) / sum(n), 1) AS percent FROM (
           SELECT p.organisation, p.age_band, count(*) AS n,
             CASE WHEN count(v.person_number) >= 10 THEN count(v.person_number) END AS m
           FROM person p LEFT JOIN (
             SELECT DISTINCT organisation, person_number FROM vaccination
             WHERE vaccine = 'influenza' AND vaccination_date >= DATE '2025-04-01') AS v
           ON v.organisation = p.organisation AND v.person_number = p.person_number GROUP BY 1, 2)
         WHERE n >= 10 GROUP BY age_band ORDER BY age_band",
    ),
    (
        "09_first_admission",
        "SELECT first_month, sum(n) AS n, sum(CASE WHEN m >= 10 THEN m END) AS m FROM (
           SELECT organisation, first_month, count(*) AS n,
             count(*) FILTER (WHERE spells > 1) AS m
           FROM (SELECT organisation, person_number, min(admission_month) AS first_month,
               count(*) AS spells
             FROM admitted_care GROUP BY 1, 2) GROUP BY 1, 2)
         WHERE n >= 10 GROUP BY 1 ORDER BY 1",
    ),
    (
        "10_first_diagnosis",
        "SELECT name, sum(n) AS n, sum(CASE WHEN p >= 10 THEN cost END) AS cost FROM (
           SELECT d.organisation, c.name, count(*) AS n, sum(cost) AS cost,
             count(*) FILTER (WHERE cost <> 0) AS p
           FROM (SELECT organisation, icd10_chapter, cost, row_number() OVER (
               PARTITION BY organisation, person_number
               ORDER BY admission_date, spell_number) AS spell FROM admitted_care) AS d
           JOIN icd10_chapter c ON c.code = d.icd10_chapter WHERE spell = 1 GROUP BY 1, 2)
         WHERE n >= 10 GROUP BY name ORDER BY n DESC, name",
    ),
    (
        "11_admissions_per_person",
        "SELECT organisation, band, n, spells FROM (
           SELECT organisation,
             CASE WHEN spells = 1 THEN '1' WHEN spells = 2 THEN '2' ELSE '3 or more' END AS band,
             count(*) AS n, sum(spells) AS spells
           FROM (SELECT organisation, person_number, count(*) AS spells
             FROM admitted_care GROUP BY 1, 2) GROUP BY 1, 2)
         WHERE n >= 10 ORDER BY organisation, band",
    ),
    (
        "12_cohort",
        "SELECT sex, g, sum(n) AS n, CAST(sum(age) AS DOUBLE) / sum(n) AS mean FROM (
           SELECT organisation, sex,
             CASE WHEN age < 75 THEN '65-74' WHEN age < 85 THEN '75-84' ELSE '85+' END AS g,
             count(*) AS n, sum(age) AS age
           FROM person AS p WHERE age >= 65 AND EXISTS (
             SELECT 1 FROM emergency_attendance AS e
             WHERE e.organisation = p.organisation AND e.person_number = p.person_number
               AND e.arrival_month BETWEEN DATE '2025-12-01' AND DATE '2026-02-01')
           GROUP BY 1, 2, 3)
         WHERE n >= 10 GROUP BY sex, g ORDER BY sex, g",
    ),
    (
        "08_readmission",
        "SELECT organisation, admission_type, n, p FROM (
           SELECT a.organisation, a.admission_type, count(*) AS n,
             count(DISTINCT a.person_number) AS p
           FROM admitted_care AS a WHERE EXISTS (
             SELECT 1 FROM admitted_care AS b
             WHERE b.organisation = a.organisation AND b.person_number = a.person_number
               AND b.admission_type = 'emergency' AND b.admission_date > a.admission_date
               AND b.admission_date - a.admission_date <= 30)
           GROUP BY 1, 2)
         WHERE p >= 10 ORDER BY organisation, admission_type",
    ),
    (
        "32_stay_bands",
        "SELECT t, stay, sum(n) AS n,
           100.0 * sum(n) / sum(sum(n)) OVER (PARTITION BY t) AS percent FROM (
           SELECT organisation, admission_type AS t, CASE
               WHEN length_of_stay_hours < 24 THEN '1: under a day'
               WHEN length_of_stay_hours < 72 THEN '2: one to three days'
               WHEN length_of_stay_hours < 168 THEN '3: three to seven days'
               ELSE '4: a week or more' END AS stay,
             count(*) AS n, count(DISTINCT person_number) AS p
           FROM admitted_care GROUP BY 1, 2, 3)
         WHERE p >= 10 GROUP BY t, stay ORDER BY t, stay",
    ),
    (
        "34_slow_hours",
        "SELECT organisation, hour, n, 100.0 * b / n AS percent, mean FROM (
           SELECT organisation, date_part('hour', arrival_time) AS hour, count(*) AS n,
             count(DISTINCT person_number) AS p,
             CASE WHEN count(DISTINCT CASE WHEN four_hour_breach THEN person_number END) >= 10
                  THEN count(*) FILTER (WHERE four_hour_breach) END AS b,
             avg(minutes_in_department) AS mean
           FROM emergency_attendance WHERE acuity <= 3 GROUP BY 1, 2)
         WHERE p >= 10 AND 3 * b > n ORDER BY organisation, hour",
    ),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/questions")
}

/// Name and text of every question.
fn questions() -> Vec<(String, String)> {
    let mut found = vec![];
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if let Some(name) = name.strip_suffix(".sql").filter(|name| !name.ends_with(REWRITTEN)) {
            let name = name.to_owned();
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.starts_with("-- "), "{name} does not say what it asks");
            found.push((name, text.trim_end().trim_end_matches(';').to_owned()));
        }
    }
    found.sort();
    assert_eq!(found.len(), QUESTIONS);
    found
}

/// Asks a federation and compares with what a DataFusion says to the question as it was written.
async fn asked_both(
    client: &mut Client,
    sql: &str,
    context: &SessionContext,
    written: &str,
) -> Result<Answer, String> {
    let expected = over(context, written).await;
    let answer = client.try_ask(sql).await.map_err(|error| told(&error))?;
    checked(|| assert_same("compared", &values(&answer.batches), &expected))?;
    Ok(answer)
}

/// An error in one line.
fn told(error: &WireError) -> String {
    let rule = error.rule.as_deref().unwrap_or("-");
    let hint = error.hint.as_deref().unwrap_or("no hint");
    format!("{} {rule}: {error} | {hint}", error.sqlstate)
}

/// Runs a check, so that one that fails does not hide the others.
fn checked(check: impl FnOnce()) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(check)).map_err(|panic| match panic.downcast_ref::<String>() {
        Some(text) => text.clone(),
        None => "the check failed".to_owned(),
    })
}

/// Fails with everything that went wrong.
fn assert_none_failed(failed: &[String]) {
    let (count, list) = (failed.len(), failed.join("\n\n"));
    assert!(failed.is_empty(), "{count} failed:\n\n{list}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_open_a_federation_answers_as_the_union() {
    let world = in_time(World::demo_all_open()).await;
    let context = in_time(union(&world, &world.organisations())).await;
    let mut client = world.client().await;
    let mut failed = vec![];
    for (name, sql) in questions() {
        let answer = in_time(asked_both(&mut client, &sql, &context, &sql)).await;
        let kept = answer.and_then(|answer| {
            checked(|| {
                assert!(answer.batches.iter().any(|batch| batch.num_rows() > 0), "no answer");
                check_kept(&folder().join(format!("{name}.open.csv")), &answer);
            })
        });
        failed.extend(kept.err().map(|error| format!("{name}: {error}")));
    }
    in_time(world.shutdown()).await;
    assert_none_failed(&failed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_open_one_organisation_answers_as_its_data() {
    let world = in_time(World::demo_all_open()).await;
    let mut client = world.client().await;
    let mut failed = vec![];
    for organisation in ALONE {
        let context = in_time(union(&world, &[organisation.to_owned()])).await;
        for (name, sql) in questions() {
            let own = narrowed(&sql, organisation);
            let answer = in_time(asked_both(&mut client, &own, &context, &sql)).await;
            failed.extend(answer.err().map(|error| format!("{name} at {organisation}: {error}")));
        }
    }
    in_time(world.shutdown()).await;
    assert_none_failed(&failed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn protected_a_federation_answers_with_groups_of_ten() {
    in_time(async {
        let world = World::demo().await;
        let context = union(&world, &world.organisations()).await;
        let mut client = world.client().await;
        let kept = |(name, _): &(String, String)| KEPT.contains(&name.as_str());
        for (name, sql) in questions().into_iter().filter(kept) {
            let answer = client.ask(&sql).await;
            let actual = values(&answer.batches);
            assert!(!actual.is_empty(), "{name} has no answer");
            if let Some((_, restricted)) = RESTRICTED.iter().find(|(known, _)| *known == name) {
                assert_same(&name, &actual, &over(&context, restricted).await);
            }
            check_kept(&folder().join(format!("{name}.csv")), &answer);
        }
        world.shutdown().await;
    })
    .await;
}

/// Prints what became of each question, and how many of its people and cells nodes release;
/// `--nocapture` shows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[expect(clippy::print_stdout, reason = "the list is for people to read")]
async fn protected_every_question_is_answered_or_refused_with_a_form_that_is() {
    let world = in_time(World::demo()).await;
    let nodes = in_time(Nodes::open(&world)).await;
    let mut client = world.client().await;
    let (mut list, mut answered, mut failed) = (String::new(), 0, vec![]);
    let mut all = Share::default();
    for (name, sql) in questions() {
        let rewritten = folder().join(format!("{name}{REWRITTEN}.sql"));
        let outcome = match in_time(client.try_ask(&sql)).await {
            Ok(answer) => {
                answered += 1;
                if rewritten.exists() {
                    failed.push(format!("{name} needs no other form any more"));
                }
                let share = in_time(nodes.share(&mut client, &sql)).await;
                all += share;
                format!("{share}, {}", shown(&answer))
            }
            Err(error) => {
                let refused = ["42501", "0A000"].contains(&error.sqlstate.as_str());
                if !refused || error.hint.as_deref().is_none_or(str::is_empty) {
                    failed.push(format!("{name}: {}", told(&error)));
                }
                match in_time(in_other_form(&mut client, &rewritten)).await {
                    Ok((form, answer)) => {
                        let share = in_time(nodes.share(&mut client, &form)).await;
                        all += share;
                        format!("{share}, in another form: {} | {}", shown(&answer), told(&error))
                    }
                    Err(other) => {
                        failed.push(format!("{name}{REWRITTEN}: {other}"));
                        told(&error)
                    }
                }
            }
        };
        writeln!(list, "{name:26} {outcome}").unwrap();
    }
    in_time(world.shutdown()).await;
    println!("{list}{:26} {all}", "all");
    println!("{answered} of {QUESTIONS} are answered as they are written");
    assert_none_failed(&failed);
    let share = all.people_released / all.people;
    assert!((RELEASED_MIN..1.0).contains(&share), "{share} of people are released:\n{list}");
    assert!(answered >= ANSWERED_MIN, "only {answered} are answered:\n{list}");
}

/// Asks a question in the form that protected tables answer.
async fn in_other_form(client: &mut Client, file: &Path) -> Result<(String, Answer), String> {
    let sql = fs::read_to_string(file).map_err(|error| error.to_string())?;
    let sql = sql.trim_end().trim_end_matches(';');
    let answer = client.try_ask(sql).await.map_err(|error| told(&error))?;
    match answer.batches.iter().any(|batch| batch.num_rows() > 0) {
        true => Ok((sql.to_owned(), answer)),
        false => Err("no rows".to_owned()),
    }
}

/// How much of an answer is there.
fn shown(answer: &Answer) -> String {
    let rows: usize = answer.batches.iter().map(|batch| batch.num_rows()).sum();
    format!("{rows} rows")
}
