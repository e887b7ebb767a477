//! Every preset over groups of one to thirty people: what is seen of each is what its source says.

use std::fmt::Write;

use hedgerow_policies::Preset;

use crate::answers::{Status, Value, rows};
use crate::world::{Data, Organisation, Spec, World, in_time};

const PEOPLE_MAX: i64 = 30;

const VISIT: &str = r#"
name = "visit"
version = 1
person = { column = "person_number", scope = "organisation" }
description = "Visits."

[[columns]]
name = "person_number"
type = "int64"
roles = ["identifier"]
scope = "organisation"
unique = true
nullable = false
description = "Person."

[[columns]]
name = "clinic"
type = "int64"
roles = ["dimension"]
nullable = false
description = "As many people have been there."

[[columns]]
name = "attended"
type = "bool"
roles = ["dimension"]
nullable = false
description = "All but one of each clinic have."

[[columns]]
name = "minutes"
type = "int64"
roles = ["measure"]
nullable = false
description = "Minutes there: nearly all of one person in clinic 30."
"#;

fn visits() -> String {
    let mut text = "person_number,clinic,attended,minutes\n".to_owned();
    for clinic in 1..=PEOPLE_MAX {
        for person in 0..clinic {
            let number = clinic * 100 + person;
            let minutes = if clinic == PEOPLE_MAX && person == 0 { 100_000 } else { 10 };
            writeln!(text, "{number},{clinic},{},{minutes}", person > 0).unwrap();
        }
    }
    text
}

/// What the preset's source lets be seen of a number of people.
fn published(preset: &str, people: i64) -> Option<i64> {
    let nearest_five = (people + 2) / 5 * 5;
    match preset {
        "hes" | "opensafely" => (people > 7).then_some(nearest_five),
        "ons_10_5" => (people >= 10).then_some(nearest_five),
        "sacro" | "primary_only" => (people >= 10).then_some(people),
        other => panic!("no source of {other}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_shows_what_its_source_says() {
    in_time(async {
        for preset in Preset::ALL {
            let name = preset.name;
            let spec = Spec::default()
                .contract(VISIT)
                .policy(&format!("preset = \"{name}\"\n"))
                .organisation(Organisation::new("east").table("visit", Data::Csv(visits())));
            let world = World::start(spec).await;
            let mut client = world.client().await;
            let sql = "SELECT clinic, count(*) AS people, \
                       count(*) FILTER (WHERE attended) AS attended, sum(minutes) AS minutes \
                       FROM visit GROUP BY clinic ORDER BY clinic";
            let answer = client.ask(sql).await;
            assert_eq!(answer.coverage.nodes[0].preset.as_deref(), Some(name));
            assert_eq!(answer.coverage.nodes[0].k, Some(preset.k));
            let shown = rows(&answer.batches);
            let expected: Vec<(i64, i64)> = (1..=PEOPLE_MAX)
                .filter_map(|people| Some((people, published(name, people)?)))
                .collect();
            assert_eq!(shown.len(), expected.len(), "{name}: {shown:?}");
            for (row, (clinic, people)) in shown.iter().zip(&expected) {
                let exact = |number: i64| Value::Exact(number.to_string());
                assert_eq!(row[0].0, exact(*clinic), "{name}");
                assert_eq!(row[1], (exact(*people), Status::Whole), "{name}");
                // One person did not attend: to count the others would count that person.
                let others = published(name, clinic - 1).filter(|_| !preset.complement);
                assert_eq!(row[2].0, others.map_or(Value::Null, exact), "{name}: {row:?}");
                let dominated = preset.dominance.is_some() && *clinic == PEOPLE_MAX;
                assert_eq!(row[3].0 == Value::Null, dominated, "{name}: {row:?}");
            }
            world.shutdown().await;
        }
    })
    .await;
}
