//! A node's verdicts against those of acro, the output checker of the SACRO project: G1 against its
//! threshold, G4 against its nk and its p-ratio rule, cell by cell over generated tables.
//!
//! ```text
//! tables ─┬─ CSV ─ tests/oracles/acro/verdicts.py ─ which checks would have the cell withheld
//!         └─ three nodes, each with one more rule ─ which cells are withheld
//! ```
//! Where the two differ, one of the [`Explanation`]s must hold; where one holds, they must differ.
//!
//! `HEDGEROW_ACRO_PYTHON` names a Python with what is in `tests/oracles/acro/requirements.txt`;
//! without it the test is skipped, and with `HEDGEROW_NOTHING_SKIPPED` it then fails.
//! `HEDGEROW_ACRO_TABLES` is how many tables, `HEDGEROW_RANDOM_SEED` which.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;

use crate::acro_tables::{Row, Table, hundredths, tables};
use crate::answers::{Status, Value, rows};
use crate::world::{Client, Data, Organisation, Spec, World, in_time};

/// Tables, unless more are asked for; with fewer some explanation might not occur.
const TABLES: usize = 20;
/// The threshold of the preset, and acro's.
const K: usize = 10;
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracles/acro/verdicts.py");
const PYTHON: &str = "HEDGEROW_ACRO_PYTHON";
const SKIPPED: &str = "acro: skipped, since HEDGEROW_ACRO_PYTHON is not set. It names a Python that \
                       has the output checker acro: `.ci/acro FOLDER` makes one, and then \
                       HEDGEROW_ACRO_PYTHON=FOLDER/bin/python";

/// A node that has one more rule than the threshold, or none, and acro's checks for the same.
struct Policy {
    organisation: &'static str,
    lines: &'static str,
    /// Its own check, beside the threshold's.
    check: Option<fn(&Checks) -> bool>,
}

const POLICIES: [Policy; 3] = [
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

/// Why the two may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Explanation {
    /// Hedgerow alone withholds: fewer than k people have an amount that is not zero (G2). acro
    /// counts people, whatever they add.
    FewContributors,
    /// acro alone withholds: two people have exactly nine tenths of the sum. acro wants less than
    /// that, Hedgerow no more.
    ExactShare,
}

/// What people add to a cell.
struct Facts {
    people: usize,
    contributors: usize,
    /// Whether two people have exactly nine tenths.
    exact_share: bool,
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
        let mut parts: Vec<i64> = people.values().copied().collect();
        parts.sort_unstable_by_key(|part| -part);
        let sum: i64 = parts.iter().sum();
        Self {
            people: parts.len(),
            contributors: parts.iter().filter(|part| **part > 0).count(),
            exact_share: 10 * parts.iter().take(2).sum::<i64>() == 9 * sum,
            value: match cell {
                Cell::Count => rows.len().to_string(),
                Cell::Sum => hundredths(rows.iter().filter_map(|row| row.amount).sum()),
            },
        }
    }

    /// Why a node with this policy must say something else than acro does.
    fn explanation(&self, policy: &Policy, acro_withholds: bool) -> Option<Explanation> {
        let enough = self.people >= K && self.contributors >= K;
        if !acro_withholds && self.contributors < K {
            Some(Explanation::FewContributors)
        } else if acro_withholds && enough && policy.organisation == "dominance" && self.exact_share
        {
            Some(Explanation::ExactShare)
        } else {
            None
        }
    }
}

/// What became of the cells under one policy.
#[derive(Default)]
struct Tally {
    both_release: usize,
    both_withhold: usize,
    /// Of these, not for the threshold's sake.
    by_own_check: usize,
    explained: BTreeMap<Explanation, usize>,
}

impl Tally {
    fn cells(&self) -> usize {
        self.both_release + self.both_withhold + self.explained.values().sum::<usize>()
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
    let Some(python) = python() else { return };
    in_time(async {
        let (seed, number) = (number("HEDGEROW_RANDOM_SEED", 1), number("HEDGEROW_ACRO_TABLES", 0));
        let tables = tables(seed, TABLES.max(number as usize));
        let folder = tempfile::tempdir().unwrap();
        for table in &tables {
            fs::write(folder.path().join(format!("{}.csv", table.name)), table.csv()).unwrap();
        }
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

/// The Python to be used, if there is one.
fn python() -> Option<OsString> {
    let python = env::var_os(PYTHON).filter(|path| !path.is_empty());
    if python.is_none() {
        assert!(env::var_os("HEDGEROW_NOTHING_SKIPPED").is_none(), "{SKIPPED}");
        // Past the harness, which shows nothing of tests that pass.
        io::stderr().write_all(format!("{SKIPPED}\n").as_bytes()).unwrap();
    }
    python
}

fn number(variable: &str, default: u64) -> u64 {
    env::var(variable).map_or(default, |text| text.parse().unwrap())
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
    let output = Command::new(python).arg(SCRIPT).arg(folder).output();
    let output = output.unwrap_or_else(|error| panic!("{PYTHON}={}: {error}", python.display()));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let flag = |text: &str| match text {
        "0" => false,
        "1" => true,
        other => panic!("`{other}` is no verdict"),
    };
    let verdict = |line: &str| {
        let values: Vec<&str> = line.split(',').collect();
        let [table, site, unit, cell, threshold, nk, p_ratio] = values[..] else {
            panic!("not a verdict: {line}")
        };
        let cell = match cell {
            "count" => Cell::Count,
            "sum" => Cell::Sum,
            other => panic!("`{other}` is no cell"),
        };
        let checks = Checks { threshold: flag(threshold), nk: flag(nk), p_ratio: flag(p_ratio) };
        ((table.to_owned(), site.to_owned(), unit.to_owned(), cell), checks)
    };
    text.lines().skip(1).map(verdict).collect()
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
    let explanation = facts.explanation(policy, acro_withholds);
    let people = (facts.people, facts.contributors);
    let differ = released.is_none() != acro_withholds;
    assert_eq!(
        differ,
        explanation.is_some(),
        "{what}: acro {checks:?}, Hedgerow {released:?}, {explanation:?}; people, contributors: \
         {people:?}"
    );
    match explanation {
        Some(explanation) => *tally.explained.entry(explanation).or_default() += 1,
        None if acro_withholds => {
            tally.both_withhold += 1;
            tally.by_own_check += usize::from(!checks.threshold);
        }
        None => tally.both_release += 1,
    }
}

fn summary(tallies: &Tallies) -> String {
    let mut text = String::new();
    for ((organisation, cell), tally) in tallies {
        let Tally { both_release, both_withhold, by_own_check, explained } = tally;
        writeln!(
            text,
            "{organisation:10} {:6} {} cells: both release {both_release}, both withhold \
             {both_withhold} ({by_own_check} not for the threshold), explained {explained:?}",
            format!("{cell:?}"),
            tally.cells()
        )
        .unwrap();
    }
    text
}

/// A comparison in which nothing is withheld, or nothing released, would show nothing; nor would an
/// explanation that never holds.
fn check_occurrence(tallies: &Tallies) {
    for ((organisation, cell), tally) in tallies {
        let often = tally.cells() / 8;
        let what = format!("{organisation}, {cell:?}");
        assert!(tally.both_release > often, "{what}: too few are released");
        assert!(tally.both_withhold > often, "{what}: too few are withheld");
        let own = *organisation == "threshold" || tally.by_own_check > tally.cells() / 80;
        assert!(own, "{what}: too few are dominated");
    }
    let few = |organisation| (organisation, Cell::Sum, Explanation::FewContributors);
    let exact = |cell| ("dominance", cell, Explanation::ExactShare);
    let expected = [
        few("threshold"),
        few("dominance"),
        few("p_percent"),
        exact(Cell::Count),
        exact(Cell::Sum),
    ];
    let mut found: Vec<_> = tallies
        .iter()
        .flat_map(|((organisation, cell), tally)| {
            tally.explained.keys().map(|explanation| (*organisation, *cell, *explanation))
        })
        .collect();
    found.sort_unstable();
    let mut expected = Vec::from(expected);
    expected.sort_unstable();
    assert_eq!(found, expected, "where explanations hold");
}

#[expect(clippy::print_stderr, reason = "a summary for whoever reads the run")]
fn report(text: &str) {
    eprint!("{text}");
}
