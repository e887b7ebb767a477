//! A node's verdicts against those of acro, the output checker of the SACRO project: G1 against its
//! threshold, G4 against its nk and its p-ratio rule, cell by cell over generated tables.
//!
//! ```text
//! tables ─┬─ CSV ─ tests/oracles/acro_verdicts.py ─ which checks would have the cell withheld
//!         └─ four nodes, with more rules or fewer ─ which cells are withheld
//! ```
//! They may differ only where fewer than k people contribute to a sum, and there they must.
//!
//! `tests/federation/oracles.rs` says what it needs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

use crate::answers::{Status, Value, rows};
use crate::oracle_tables::{Row, Table, hundredths};
use crate::oracles::{ask, drawn, python, report, write};
use crate::world::{Client, Data, Organisation, Spec, World, in_time};

/// The threshold of the preset, and acro's.
const K: usize = 10;

/// A node that has one more rule than the threshold, or none, and acro's checks for the same.
struct Policy {
    organisation: &'static str,
    lines: &'static str,
    /// Its own check, beside the threshold's.
    check: Option<fn(&Checks) -> bool>,
}

const POLICIES: [Policy; 4] = [
    Policy { organisation: "threshold", lines: "", check: None },
    Policy {
        organisation: "dominance",
        lines: "dominance = { n = 2, share = 0.90 }",
        check: Some(|checks| checks.nk),
    },
    Policy {
        organisation: "p_percent",
        lines: "p_percent = 0.10",
        check: Some(|checks| checks.p_ratio),
    },
    Policy {
        organisation: "sacro",
        lines: "preset = \"sacro\"",
        check: Some(|checks| checks.nk || checks.p_ratio),
    },
];

/// What acro says of one cell: which of its checks would have it withheld.
#[derive(Debug, Clone, Copy)]
struct Checks {
    threshold: bool,
    nk: bool,
    p_ratio: bool,
}

/// The cells of one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cell {
    Count,
    Sum,
}

const CELLS: [Cell; 2] = [Cell::Count, Cell::Sum];

/// What people add to a cell.
struct Facts {
    people: usize,
    contributors: usize,
    value: String,
}

impl Facts {
    fn of(cell: Cell, rows: &[&Row]) -> Self {
        let mut people: BTreeMap<Option<i64>, i64> = BTreeMap::new();
        for row in rows {
            *people.entry(row.person).or_default() += match cell {
                Cell::Count => 1,
                Cell::Sum => row.amount.unwrap_or(0).abs(),
            };
        }
        Self {
            people: people.len(),
            contributors: people.values().filter(|part| **part > 0).count(),
            value: match cell {
                Cell::Count => rows.len().to_string(),
                Cell::Sum => hundredths(rows.iter().filter_map(|row| row.amount).sum()),
            },
        }
    }

    /// Whether a node must withhold what acro does not: fewer than k people have an amount that is
    /// not zero (G2). acro counts people, whatever they add.
    fn few_contribute(&self) -> bool {
        self.contributors < K
    }
}

/// What became of the cells under one policy.
#[derive(Default)]
struct Tally {
    both_release: usize,
    both_withhold: usize,
    /// Of these, not for the threshold's sake.
    by_own_check: usize,
    /// Withheld by Hedgerow alone, since few contribute.
    few_contribute: usize,
}

impl Tally {
    fn cells(&self) -> usize {
        self.both_release + self.both_withhold + self.few_contribute
    }
}

/// All tallies, by organisation and cell.
type Tallies = BTreeMap<(&'static str, Cell), Tally>;
/// acro's verdicts, by table, place and cell.
type Verdicts = BTreeMap<(String, String, String, Cell), Checks>;
/// What was released of one table, by organisation and place: count and sum.
type Released = BTreeMap<(String, String, String), [Option<String>; 2]>;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn verdicts_are_those_of_acro() {
    let Some(python) = python("acro") else { return };
    in_time(async {
        let (seed, tables) = drawn();
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &tables);
        let path = folder.path().to_owned();
        let acro = tokio::task::spawn_blocking(move || ask_acro(&python, &path));
        let world = World::start(spec(&tables)).await;
        let mut client = world.client().await;
        let mut answers = vec![];
        for table in &tables {
            answers.push(ask_nodes(&mut client, table).await);
        }
        world.shutdown().await;
        let mut verdicts = acro.await.unwrap();
        let mut tallies = Tallies::new();
        for (table, answer) in tables.iter().zip(answers) {
            let what = format!("seed {seed}, {}", table.name);
            compare(&what, table, answer, &mut verdicts, &mut tallies);
        }
        assert!(verdicts.is_empty(), "cells that only acro knows: {verdicts:?}");
        report(&format!("acro, seed {seed}: {} tables\n{}", tables.len(), summary(&tallies)));
        check_occurrence(&tallies);
    })
    .await;
}

fn spec(tables: &[Table]) -> Spec {
    let spec = tables.iter().fold(Spec::default(), |spec, table| spec.contract(&table.contract()));
    POLICIES.iter().fold(spec, |spec, policy| {
        let organisation = Organisation::new(policy.organisation).policy(policy.lines);
        spec.organisation(tables.iter().fold(organisation, |organisation, table| {
            organisation.table(&table.name, Data::Csv(table.csv()))
        }))
    })
}

fn ask_acro(python: &OsString, folder: &Path) -> Verdicts {
    let flag = |text: &str| match text {
        "0" => false,
        "1" => true,
        other => panic!("`{other}` is no verdict"),
    };
    let verdict = |line: Vec<String>| {
        let [table, site, unit, cell, threshold, nk, p_ratio] = line.as_slice() else {
            panic!("not a verdict: {line:?}")
        };
        let cell = match cell.as_str() {
            "count" => Cell::Count,
            "sum" => Cell::Sum,
            other => panic!("`{other}` is no cell"),
        };
        let checks = Checks { threshold: flag(threshold), nk: flag(nk), p_ratio: flag(p_ratio) };
        ((table.to_owned(), site.to_owned(), unit.to_owned(), cell), checks)
    };
    ask(python, "acro_verdicts.py", folder).into_iter().map(verdict).collect()
}

async fn ask_nodes(client: &mut Client, table: &Table) -> Released {
    let sql = format!(
        "SELECT organisation, site, unit, count(*) AS n, sum(amount) AS amount FROM {} \
         GROUP BY organisation, site, unit",
        table.name
    );
    let answer = client.ask(&sql).await;
    let key = |(value, status): &(Value, Status)| match (value, status) {
        (Value::Exact(text), Status::Whole) => text.clone(),
        other => panic!("{sql}: the key {other:?}"),
    };
    let cell = |cell: &(Value, Status)| match cell {
        (Value::Exact(text), Status::Whole) => Some(text.clone()),
        (Value::Null, Status::Withheld) => None,
        // Each organisation has its own rows, so a cell is there or it is not.
        other => panic!("{sql}: the cell {other:?}"),
    };
    let groups = rows(&answer.batches);
    let released: Released = groups
        .iter()
        .map(|row| ((key(&row[0]), key(&row[1]), key(&row[2])), [cell(&row[3]), cell(&row[4])]))
        .collect();
    assert_eq!(released.len(), groups.len(), "{sql}: groups come twice");
    released
}

/// Takes every cell of a table out of both answers and compares them.
fn compare(
    what: &str,
    table: &Table,
    mut answer: Released,
    verdicts: &mut Verdicts,
    tallies: &mut Tallies,
) {
    for ((site, unit), rows) in table.places() {
        let groups = POLICIES.map(|policy| {
            let key = (policy.organisation.to_owned(), site.to_owned(), unit.to_owned());
            // A group of too few is not there, like one of nobody.
            answer.remove(&key).unwrap_or_default()
        });
        for (place, cell) in CELLS.into_iter().enumerate() {
            let facts = Facts::of(cell, &rows);
            let key = (table.name.clone(), site.to_owned(), unit.to_owned(), cell);
            let checks = verdicts.remove(&key).unwrap_or_else(|| panic!("{key:?} is not acro's"));
            for (policy, group) in POLICIES.iter().zip(&groups) {
                let what = format!("{what}, {site}, {unit}, {cell:?}, {}", policy.organisation);
                let tally = tallies.entry((policy.organisation, cell)).or_default();
                judge(&what, policy, &facts, checks, group[place].as_ref(), tally);
            }
        }
    }
    assert!(answer.is_empty(), "{what}: groups that are not in the data: {answer:?}");
}

fn judge(
    what: &str,
    policy: &Policy,
    facts: &Facts,
    checks: Checks,
    released: Option<&String>,
    tally: &mut Tally,
) {
    let own_check = policy.check.is_some_and(|check| check(&checks));
    let acro_withholds = checks.threshold || own_check;
    if let Some(value) = released {
        assert_eq!(*value, facts.value, "{what}");
    }
    let alone = !acro_withholds && facts.few_contribute();
    let people = (facts.people, facts.contributors);
    assert_eq!(
        released.is_none(),
        acro_withholds || alone,
        "{what}: acro {checks:?}, Hedgerow {released:?}; people, contributors: {people:?}"
    );
    if alone {
        tally.few_contribute += 1;
    } else if acro_withholds {
        tally.both_withhold += 1;
        tally.by_own_check += usize::from(!checks.threshold);
    } else {
        tally.both_release += 1;
    }
}

fn summary(tallies: &Tallies) -> String {
    let mut text = String::new();
    for ((organisation, cell), tally) in tallies {
        let Tally { both_release, both_withhold, by_own_check, few_contribute } = tally;
        writeln!(
            text,
            "{organisation:10} {:6} {} cells: both release {both_release}, both withhold \
             {both_withhold} ({by_own_check} not for the threshold), few contribute to \
             {few_contribute}",
            format!("{cell:?}"),
            tally.cells()
        )
        .unwrap();
    }
    text
}

/// A comparison in which nothing is withheld, or nothing released, would show nothing; nor would a
/// difference that never occurs.
fn check_occurrence(tallies: &Tallies) {
    for ((organisation, cell), tally) in tallies {
        let often = tally.cells() / 8;
        let what = format!("{organisation}, {cell:?}");
        assert!(tally.both_release > often, "{what}: too few are released");
        assert!(tally.both_withhold > often, "{what}: too few are withheld");
        let own = *organisation == "threshold" || tally.by_own_check > tally.cells() / 80;
        assert!(own, "{what}: too few are dominated");
        // A count of rows has as many contributors as people.
        assert_eq!(tally.few_contribute > 0, *cell == Cell::Sum, "{what}: few contribute");
    }
}
