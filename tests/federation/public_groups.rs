//! Groups that nobody released, shown as withheld where all their keys are public (G6).

use crate::answers::{Row, Status, Value, rows, values};
use crate::world::{Client, World, in_time};

const BY_SEX: &str =
    "SELECT organisation, sex, count(*) AS n FROM person GROUP BY 1, 2 ORDER BY 1, 2";
const SEXES: [&str; 3] = ["female", "male", "not_stated"];

async fn show(client: &mut Client, value: &str) {
    client.ask(&format!("SET hedgerow.withheld_groups = '{value}'")).await;
}

/// The rows of an answer without a value in the last column; all of these must be withheld.
fn withheld(rows: &[Row]) -> Vec<&Row> {
    let missing: Vec<_> = rows.iter().filter(|row| row.last().unwrap().0 == Value::Null).collect();
    assert!(missing.iter().all(|row| row.last().unwrap().1 == Status::Withheld), "{missing:?}");
    missing
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_group_of_public_keys_is_shown_on_demand() {
    in_time(async {
        // With so high a threshold hardly any organisation has enough people of no stated sex.
        let world = World::demo_with_policy("k = 40\n").await;
        let mut client = world.client().await;
        let omitted = client.ask(BY_SEX).await;
        show(&mut client, "show").await;
        let shown = client.ask(BY_SEX).await;
        let notice = |answer: &crate::world::Answer| answer.coverage.notices.join(" ");
        assert!(notice(&omitted).contains("are left out"), "{}", notice(&omitted));
        assert!(notice(&shown).contains("are shown as withheld"), "{}", notice(&shown));

        let organisations = world.organisations();
        let all = rows(&shown.batches);
        assert_eq!(all.len(), organisations.len() * SEXES.len());
        let missing = withheld(&all);
        assert!(!missing.is_empty(), "nothing is withheld");
        assert_eq!(all.len() - missing.len(), rows(&omitted.batches).len());
        // What was released is released as before, and its rows stand where they stood.
        let released = |row: &&Row| row.last().unwrap().0 != Value::Null;
        let left: Vec<Row> = all.iter().filter(released).cloned().collect();
        assert_eq!(left, rows(&omitted.batches));

        // Bounds are those of any withheld cell.
        let bounds = "SELECT sex, lower(count(*)) AS low, upper(count(*)) AS high, count(*) AS n \
                      FROM northmoor.person GROUP BY 1";
        let bounds = values(&client.ask(bounds).await.batches);
        let of_nobody = bounds.iter().filter(|row| row[3] == Value::Null);
        for row in of_nobody {
            assert_eq!(row[1..3], [Value::Exact("0".into()), Value::Exact("39".into())]);
        }
        world.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn only_groups_that_the_conditions_allow_are_shown() {
    in_time(async {
        let world = World::demo().await;
        let mut client = world.client().await;
        show(&mut client, "show").await;
        let women = "SELECT sex, age_band, count(*) AS n FROM person \
                     WHERE sex = 'female' AND organisation <> 'hartwell' GROUP BY 1, 2";
        for row in rows(&client.ask(women).await.batches) {
            assert_eq!(row[0].0, Value::Exact("female".into()));
        }
        // Bands are public as they are written, also those that nobody is in.
        let bands = "SELECT CASE WHEN weeks_waited < 5000 THEN 'less' ELSE 'more' END AS band, \
                     count(*) AS n, avg(weeks_waited) AS mean FROM referral_pathway GROUP BY 1";
        let bands = rows(&client.ask(bands).await.batches);
        assert_eq!(bands.len(), 2, "{bands:?}");
        let missing = withheld(&bands);
        assert_eq!(missing.len(), 1, "{bands:?}");
        assert_eq!(missing[0][0].0, Value::Exact("more".into()));
        assert_eq!(missing[0][1], (Value::Null, Status::Withheld));
        world.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_reckoned_with_groups_that_are_only_shown() {
    in_time(async {
        let world = World::demo_with_policy("k = 40\n").await;
        let mut client = world.client().await;
        for sql in [
            "SELECT count(*) AS groups, sum(n) AS n FROM (SELECT organisation, sex, count(*) AS n \
             FROM person GROUP BY 1, 2) AS t",
            "SELECT organisation, sex, count(*) AS n FROM person GROUP BY 1, 2 \
             ORDER BY n DESC, organisation LIMIT 40",
            "SELECT organisation, sex, count(*) AS n FROM person GROUP BY 1, 2 \
             HAVING count(*) > 0 ORDER BY 1, 2",
            "SELECT organisation, sex, count(*) AS n, count(*) OVER () AS groups FROM person \
             GROUP BY 1, 2 ORDER BY 1, 2",
            "SELECT DISTINCT organisation, sex FROM person ORDER BY 1, 2",
            "SELECT count(DISTINCT sex) AS n FROM person",
            "SELECT deprivation_decile, sex, age_band, ethnic_category, organisation, count(*) AS n \
             FROM person GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5",
            "SELECT treatment_function_code, count(*) AS n FROM referral_pathway GROUP BY 1 ORDER BY 1",
        ] {
            show(&mut client, "omit").await;
            let omitted = rows(&client.ask(sql).await.batches);
            show(&mut client, "show").await;
            assert_eq!(rows(&client.ask(sql).await.batches), omitted, "{sql}");
        }
        let error = client.try_ask("SET hedgerow.withheld_groups = 'perhaps'").await;
        let error = error.map(|_| ()).unwrap_err();
        assert!(error.message.contains("use 'omit' or 'show'"), "{error:?}");
        world.shutdown().await;
    })
    .await;
}
