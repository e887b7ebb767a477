//! The analysts' questions in `tests/questions`, over the demo's data.
//!
//! Over all tables open, a federation answers as one DataFusion over the union. Over the protected
//! tables the answers are those of the union without what fewer than ten people at an organisation
//! are behind, and they are kept beside the questions: `HEDGEROW_BLESS=1` writes them anew.

use std::fs;
use std::path::{Path, PathBuf};

use datafusion::prelude::SessionContext;
use hedgerow::shell::{Format, Summary, TableOptions, renderer};
use hedgerow_catalog::{Contracts, NodeTables, TableState};

use crate::answers::{Value, assert_same, close, values};
use crate::world::{Answer, World, in_time};

/// Questions whose answer can be told by SQL over the union, each group key list with the rest.
const RESTRICTED: [(&str, &str); 5] = [
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
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/questions")
}

/// Name and text of every question.
fn questions() -> Vec<(String, String)> {
    let mut found = vec![];
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let text = fs::read_to_string(&path).unwrap();
            found.push((name, text.trim_end().trim_end_matches(';').to_owned()));
        }
    }
    found.sort();
    assert_eq!(found.len(), 6);
    found
}

/// One DataFusion over the union of what all nodes serve.
async fn union(world: &World) -> SessionContext {
    let context = SessionContext::new();
    let organisations = world.organisations();
    let contracts = Contracts::load(&world.config(&organisations[0]).contracts).unwrap();
    for contract in contracts.iter() {
        let name = &contract.name;
        let mut parts = vec![];
        for organisation in &organisations {
            let config = world.config(organisation);
            let tables = NodeTables::open(&config, &contracts, &context.state()).await.unwrap();
            let Some(state) = tables.get(name) else { continue };
            let TableState::Conforming(table) = state else {
                panic!("{name} of {organisation} does not conform: {state:?}");
            };
            let own = format!("{organisation}__{name}");
            context.register_table(&own, table.provider.clone()).unwrap();
            parts.push(format!("SELECT '{organisation}' AS organisation, * FROM {own}"));
            if contract.reference {
                break;
            }
        }
        let view = format!("CREATE VIEW {name} AS {}", parts.join(" UNION ALL "));
        context.sql(&view).await.unwrap().collect().await.unwrap();
    }
    context
}

async fn over(context: &SessionContext, sql: &str) -> Vec<Vec<Value>> {
    values(&context.sql(sql).await.unwrap().collect().await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_open_a_federation_answers_as_the_union() {
    in_time(async {
        let world = World::demo_all_open().await;
        let context = union(&world).await;
        let mut client = world.client().await;
        for (name, sql) in questions() {
            let answer = client.ask(&sql).await;
            let expected = over(&context, &sql).await;
            assert!(!expected.is_empty(), "{name} has no answer");
            assert_same(&name, &values(&answer.batches), &expected);
        }
        world.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn protected_a_federation_answers_with_groups_of_ten() {
    in_time(async {
        let world = World::demo().await;
        let context = union(&world).await;
        let mut client = world.client().await;
        for (name, sql) in questions() {
            let answer = client.ask(&sql).await;
            let actual = values(&answer.batches);
            assert!(!actual.is_empty(), "{name} has no answer");
            if let Some((_, restricted)) = RESTRICTED.iter().find(|(known, _)| *known == name) {
                assert_same(&name, &actual, &over(&context, restricted).await);
            }
            check_kept(&name, &printed(&answer));
        }
        world.shutdown().await;
    })
    .await;
}

/// An answer as the shell prints it.
fn printed(answer: &Answer) -> String {
    let mut out = vec![];
    let schema = answer.batches[0].schema();
    let mut printer = renderer(Format::Csv, TableOptions::default(), &schema, &mut out).unwrap();
    for batch in &answer.batches {
        printer.batch(batch, &mut out).unwrap();
    }
    printer.finish(&Summary::default(), &mut out, &mut vec![]).unwrap();
    String::from_utf8(out).unwrap()
}

/// Compares an answer with the one that is kept; floats as if summed in another order.
fn check_kept(name: &str, answer: &str) {
    let path = folder().join(format!("{name}.csv"));
    if std::env::var_os("HEDGEROW_BLESS").is_some() {
        fs::write(&path, answer).unwrap();
    }
    let kept = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{name}.csv: {error}; HEDGEROW_BLESS=1 writes it"));
    assert_eq!(answer.lines().count(), kept.lines().count(), "{name}: number of lines");
    for (answer, kept) in answer.lines().zip(kept.lines()) {
        let same = answer.split(',').count() == kept.split(',').count()
            && answer.split(',').zip(kept.split(',')).all(|(a, b)| {
                a == b
                    || matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(a), Ok(b))
                        if a.fract() != 0.0 && close(a, b))
            });
        assert!(same, "{name}:\n{answer}\nis kept as\n{kept}");
    }
}
