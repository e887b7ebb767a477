//! The preset `ons_10_5` against cell-key-perturbation, the package of the Office for National
//! Statistics, with its own table for a threshold of 10 and base 5: every place of generated tables.
//!
//! The package counts records where the preset counts people, so each person is at a place once.

use std::collections::{BTreeMap, BTreeSet};

use crate::answers::{Status, Value, rows};
use crate::oracle_tables::Table;
use crate::oracles::{ask, drawn, python, report, write};
use crate::world::{Client, Data, Organisation, Spec, World, in_time};

/// Numbers of people by table, site and unit.
type Shown = BTreeMap<(String, String, String), i64>;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn counts_are_those_of_ons() {
    let Some(python) = python("cell-key-perturbation") else { return };
    in_time(async {
        let (seed, tables) = drawn();
        let tables: Vec<Table> = tables.into_iter().map(each_once).collect();
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &tables);
        let path = folder.path().to_owned();
        let ons = tokio::task::spawn_blocking(move || ask(&python, "ons_10_5.py", &path));
        let world = World::start(spec(&tables)).await;
        let mut client = world.client().await;
        let mut shown = Shown::new();
        for table in &tables {
            shown.extend(asked(&mut client, table).await);
        }
        world.shutdown().await;
        let places = ons.await.unwrap();
        let (mut both, mut withheld) = (0, 0);
        for place in &places {
            let [table, site, unit, count] = place.as_slice() else { panic!("{place:?}") };
            let what = format!("seed {seed}: {place:?}");
            let own = shown.remove(&(table.clone(), site.clone(), unit.clone()));
            assert_eq!(own, (!count.is_empty()).then(|| count.parse().unwrap()), "{what}");
            both += usize::from(own.is_some());
            withheld += usize::from(own.is_none());
        }
        assert!(shown.is_empty(), "places that only Hedgerow shows: {shown:?}");
        report(&format!(
            "cell-key-perturbation, seed {seed}: {} tables, {both} places shown alike, {withheld} \
             withheld by both\n",
            tables.len()
        ));
        let often = places.len() / 8;
        assert!(both > often && withheld > often, "{both} shown, {withheld} withheld");
    })
    .await;
}

/// The table with every known person once at each place.
fn each_once(mut table: Table) -> Table {
    let mut seen = BTreeSet::new();
    table.rows.retain(|row| row.person.is_some() && seen.insert((row.person, row.place)));
    table
}

fn spec(tables: &[Table]) -> Spec {
    let spec = tables.iter().fold(Spec::default(), |spec, table| spec.contract(&table.contract()));
    let organisation = Organisation::new("ons").policy("preset = \"ons_10_5\"");
    spec.organisation(tables.iter().fold(organisation, |organisation, table| {
        organisation.table(&table.name, Data::Csv(table.csv()))
    }))
}

async fn asked(client: &mut Client, table: &Table) -> Shown {
    let name = &table.name;
    let sql = format!("SELECT site, unit, count(*) AS n FROM {name} GROUP BY site, unit");
    let answer = client.ask(&sql).await;
    let text = |(value, status): &(Value, Status)| match (value, status) {
        (Value::Exact(text), Status::Whole) => text.clone(),
        other => panic!("{sql}: {other:?}"),
    };
    let groups = rows(&answer.batches);
    let place = |row: &Vec<(Value, Status)>| {
        ((name.clone(), text(&row[0]), text(&row[1])), text(&row[2]).parse().unwrap())
    };
    groups.iter().map(place).collect()
}
