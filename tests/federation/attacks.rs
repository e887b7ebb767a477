//! Attacks on the disclosure control, over the wire: what must not be learnt, and beside each a close
//! question that must be answered.
//!
//! They are in `tests/attacks/`, a file for each theme, over the demo's data. What must become of one:
//!
//! ```text
//! refused    42501 with one of its rules, in the same words where nodes hold other people
//! not_split  0A000, likewise
//! error      another SQLSTATE, likewise
//! same       what becomes of a question about something nobody has, byte for byte
//! hidden     an answer without the rows that `secret` finds in the union, and NULL in `withheld`
//! ```
//! `docs/attacks.md` is written from them: `HEDGEROW_BLESS=1 cargo test --test federation attacks`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow_flight::FlightData;
use datafusion::prelude::SessionContext;
use hedgerow_engine::{COMPANION_OF, Coverage, WireError};
use serde::Deserialize;

use crate::answers::{Value, close, values, values_of};
use crate::fake::Reply;
use crate::questions::warehouse::{over, union};
use crate::raw::Raw;
use crate::world::{Answer, Client, World, in_time};

/// At least so many attacks there are.
const ATTACKS_MIN: usize = 80;
/// Rules that some attack must be on.
const RULES: [&str; 17] = [
    "S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10", "G1", "G2", "G3", "G4", "G5",
    "G6", "G8",
];
/// The node that is asked directly.
const NODE: &str = "northmoor";
/// Columns of one measure in what a node sends: the value, its bounds and what became of it.
const MEASURE_COLUMNS: usize = 4;
/// The policy of nodes that have G3, G4 and G8.
const STRICT: &str = "complement = true\np_percent = 0.10\n\
                      dominance = { n = 2, share = 0.90 }\nround_to = 5\n\
                      coordinators = [\"analyst\"]\n";

/// What opens `docs/attacks.md`.
const HEAD: &str = "# Attacks

What somebody could try in order to learn about a few people, and what becomes of it. Rules are explained in [disclosure.md](disclosure.md).

This page is written from `tests/attacks/`, where every attack has its statements and a close question that must be answered; `tests/federation/attacks.rs` sends all of them. After a change: `HEDGEROW_BLESS=1 cargo test --test federation attacks`.

| outcome | means |
| --- | --- |
| refused | turned down under one of the rules, in words that do not depend on the data |
| not split, error | turned down before any rule, likewise |
| as if nobody | what becomes of it is what becomes of the same question about something nobody has, to the byte |
| without it | answered, and what is looked for is not in the answer |
";

macro_rules! themes {
    ($($theme:ident)*) => {
        /// The files of attacks.
        const THEMES: &[&str] = &[$(stringify!($theme)),*];

        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $theme() {
                in_time(withstood(stringify!($theme))).await;
            }
        )*
    };
}

themes! {
    identifiers
    joins
    conditions
    packing
    extremes
    functions
    below_the_gate
    small_groups
    metadata
    coordinator
    inline
    one_statement
    complement
    dominance
    rounding
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Theme {
    #[serde(rename = "attack")]
    attacks: Vec<Attack>,
}

/// One attack.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Attack {
    name: String,
    /// What the attacker wants, and how.
    idea: String,
    /// Rules that stand against it.
    rules: Vec<String>,
    sql: String,
    outcome: Outcome,
    /// A question close by, which must be answered.
    twin: String,
    /// Sent to a node as a fragment, by a coordinator gone bad.
    #[serde(default)]
    node: bool,
    /// Sent to nodes that have G3, G4 and G8.
    #[serde(default)]
    strict: bool,
    sqlstate: Option<String>,
    /// The question about something that nobody has.
    other: Option<String>,
    /// What the statement says, and what the other one says in its place.
    constants: Option<[String; 2]>,
    /// Over the union: rows that must not be in the answer, nor parts of longer ones.
    secret: Option<String>,
    /// Columns that must be NULL, by name; of a node, by place.
    #[serde(default)]
    withheld: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Refused,
    NotSplit,
    Error,
    Same,
    Hidden,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks")
}

fn attacks_of(theme: &str) -> Vec<Attack> {
    let text = fs::read_to_string(folder().join(format!("{theme}.toml"))).unwrap();
    let read: Theme = toml::from_str(&text).unwrap_or_else(|error| panic!("{theme}: {error}"));
    read.attacks
}

/// A federation, one of whose nodes is also asked directly.
struct Target {
    world: World,
    client: Client,
    node: Raw,
}

impl Target {
    async fn of(world: World) -> Self {
        let (client, node) = (world.client().await, Raw::connect(&world, NODE).await);
        Self { world, client, node }
    }

    async fn ask(&mut self, sql: &str, node: bool) -> Result<Said, WireError> {
        match node {
            true => Ok(Said::by_node(&self.node.ask(sql).await?)),
            false => Ok(Said::by_coordinator(&self.client.try_ask(sql).await?)),
        }
    }
}

/// An answer as an attacker reads it.
struct Said {
    /// Names of the columns; of a node their places.
    names: Vec<String>,
    rows: Vec<Vec<Value>>,
    /// Which column has the last value.
    last: usize,
    /// Everything, with bounds, marks and who answered.
    whole: String,
}

impl Said {
    fn by_coordinator(answer: &Answer) -> Self {
        let schema = answer.batches[0].schema();
        let visible = schema.fields().iter().filter(|f| !f.metadata().contains_key(COMPANION_OF));
        let names: Vec<String> = visible.map(|field| field.name().clone()).collect();
        let coverage = Coverage { statement_id: String::new(), ..answer.coverage.clone() };
        let all: Vec<_> = answer.batches.iter().map(columns).collect();
        Self {
            last: names.len() - 1,
            names,
            rows: values(&answer.batches),
            whole: unnumbered(&format!("{all:?} {coverage:?}")),
        }
    }

    fn by_node(messages: &[FlightData]) -> Self {
        let batch = Reply::read(messages).batch;
        let bodies: Vec<_> = messages.iter().map(|message| &message.data_body).collect();
        let whole = format!("{:?} {bodies:?}", columns(&batch));
        let names: Vec<String> = (0..batch.num_columns()).map(|place| place.to_string()).collect();
        let last = names.len().saturating_sub(MEASURE_COLUMNS);
        Self { names, rows: values(&[batch]), last, whole }
    }
}

fn columns(batch: &RecordBatch) -> Vec<Vec<Value>> {
    batch.columns().iter().map(|column| values_of(column)).collect()
}

/// The text without the numbers of names that a plan makes up.
fn unnumbered(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_inclusive(|c: char| !c.is_alphanumeric() && c != '_') {
        match word.starts_with("__") {
            true => out.extend(word.chars().filter(|c| !c.is_ascii_digit())),
            false => out.push_str(word),
        }
    }
    out
}

/// An error as an attacker reads it, whichever node was first to say it.
fn told(error: &WireError) -> String {
    let rule = error.rule.as_deref().unwrap_or("-");
    let hint = error.hint.as_deref().unwrap_or("-");
    format!("{} {rule}: {} | {hint}", error.sqlstate, error.message)
}

fn told_all(said: &Result<Said, WireError>) -> String {
    match said {
        Ok(said) => said.whole.clone(),
        Err(error) => told(error),
    }
}

/// All attacks of a theme, and their twins.
async fn withstood(theme: &str) {
    let attacks = attacks_of(theme);
    let strict = attacks[0].strict;
    assert!(attacks.iter().all(|attack| attack.strict == strict), "{theme} is of two policies");
    let world = match strict {
        true => World::demo_with_policy(STRICT).await,
        false => World::demo().await,
    };
    let data = union(&world, &world.organisations()).await;
    let mut target = Target::of(world).await;
    let mut others = Target::of(World::demo_of_others().await).await;
    let mut failed = String::new();
    for attack in &attacks {
        let done = withstands(attack, &mut target, &mut others, &data).await;
        let answered = is_answered(attack, &mut target).await;
        for error in [done, answered].into_iter().filter_map(Result::err) {
            writeln!(failed, "{theme}: {}: {error}\n", attack.name).unwrap();
        }
    }
    target.world.shutdown().await;
    others.world.shutdown().await;
    assert!(failed.is_empty(), "\n{failed}");
}

async fn withstands(
    attack: &Attack,
    target: &mut Target,
    others: &mut Target,
    data: &SessionContext,
) -> Result<(), String> {
    let secret = secret_of(attack, data).await?;
    let said = target.ask(&attack.sql, attack.node).await;
    hides(attack, &said, &secret)?;
    match attack.outcome {
        Outcome::Refused | Outcome::NotSplit | Outcome::Error => {
            let error = expected_error(attack, said)?;
            // The words depend on the statement only.
            let elsewhere = told_all(&others.ask(&attack.sql, attack.node).await);
            equal(&told(&error), &elsewhere, "over other people")
        }
        Outcome::Same => {
            let other = attack.other.as_deref().unwrap();
            let [one, none] = attack.constants.as_ref().unwrap();
            let nobody = told_all(&target.ask(other, attack.node).await);
            equal(&told_all(&said), &nobody.replace(none, one), "of nobody")
        }
        Outcome::Hidden => said.map(|_| ()).map_err(|error| told(&error)),
    }
}

fn equal(one: &str, other: &str, what: &str) -> Result<(), String> {
    match one == other {
        true => Ok(()),
        false => Err(format!("{one:.900}\n  {what}:\n{other:.900}")),
    }
}

/// What is to be found, which must be something.
async fn secret_of(attack: &Attack, data: &SessionContext) -> Result<Vec<Vec<Value>>, String> {
    let Some(sql) = &attack.secret else { return Ok(vec![]) };
    let secret = over(data, sql).await;
    let nothing = secret.is_empty() || secret.iter().flatten().all(|value| *value == Value::Null);
    if nothing { Err("there is no secret".to_owned()) } else { Ok(secret) }
}

/// Nothing of the secret is in the answer or the error, and what must be NULL is.
fn hides(
    attack: &Attack,
    said: &Result<Said, WireError>,
    secret: &[Vec<Value>],
) -> Result<(), String> {
    let said = match said {
        Ok(said) => said,
        Err(error) => return hides_in_words(attack, &told(error), secret),
    };
    for row in &said.rows {
        if let Some(found) = secret.iter().find(|secret| holds(row, secret)) {
            return Err(format!("{found:?} is in the row {row:?}"));
        }
    }
    for name in &attack.withheld {
        let place = said.names.iter().position(|known| known == name);
        let place = place.ok_or_else(|| format!("there is no column {name}"))?;
        if said.rows.is_empty() || said.rows.iter().any(|row| row[place] != Value::Null) {
            return Err(format!("{name} is not NULL in every row: {:?}", said.rows));
        }
    }
    Ok(())
}

/// No value of the secret is in the words, but for what the statement says itself.
fn hides_in_words(attack: &Attack, words: &str, secret: &[Vec<Value>]) -> Result<(), String> {
    for value in secret.iter().flatten() {
        let Value::Exact(text) = value else { continue };
        if text.len() > 2 && words.contains(text) && !attack.sql.contains(text) {
            return Err(format!("{text} is in the words: {words}"));
        }
    }
    Ok(())
}

/// Tells whether all of the secret row stands in the row, anywhere.
fn holds(row: &[Value], secret: &[Value]) -> bool {
    let mut known = secret.iter().filter(|value| **value != Value::Null).peekable();
    known.peek().is_some() && known.all(|value| row.iter().any(|cell| alike(cell, value)))
}

fn alike(one: &Value, other: &Value) -> bool {
    match (number(one), number(other)) {
        (Some(a), Some(b)) => close(a, b),
        _ => one == other,
    }
}

/// The value as a number, whatever its type.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Null => None,
        Value::Float(number) => Some(*number),
        Value::Exact(text) => text.parse().ok(),
    }
}

fn expected_error(attack: &Attack, said: Result<Said, WireError>) -> Result<WireError, String> {
    let error = match said {
        Ok(said) => return Err(format!("answered: {:?}", said.rows)),
        Err(error) => error,
    };
    let rule = error.rule.as_deref();
    let as_expected = match attack.outcome {
        Outcome::Refused => {
            error.sqlstate == "42501" && attack.rules.iter().any(|known| Some(&**known) == rule)
        }
        Outcome::NotSplit => error.sqlstate == "0A000",
        _ => Some(error.sqlstate.as_str()) == attack.sqlstate.as_deref(),
    };
    if as_expected { Ok(error) } else { Err(format!("turned down otherwise: {}", told(&error))) }
}

/// The twin has rows, and the last column has values.
async fn is_answered(attack: &Attack, target: &mut Target) -> Result<(), String> {
    let said = target.ask(&attack.twin, attack.node).await;
    let said = said.map_err(|error| format!("the twin is not answered: {}", told(&error)))?;
    let empty = said.rows.is_empty() || said.rows.iter().any(|row| row[said.last] == Value::Null);
    if empty { Err(format!("the twin says nothing: {:?}", said.rows)) } else { Ok(()) }
}

/// Tells whether `rule` is of the family, such as `S4.literal` of `S4`.
fn is_of(rule: &str, family: &str) -> bool {
    rule.split('.').next() == Some(family)
}

#[test]
fn there_are_many_attacks_on_every_rule() {
    let files: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let themes: BTreeSet<String> = THEMES.iter().map(|theme| (*theme).to_owned()).collect();
    assert_eq!(files, themes, "files without a test, or tests without a file");
    let attacks: Vec<Attack> = THEMES.iter().flat_map(|theme| attacks_of(theme)).collect();
    assert!(attacks.len() >= ATTACKS_MIN, "{} are too few", attacks.len());
    for family in RULES {
        let mut named = attacks.iter().flat_map(|attack| &attack.rules);
        assert!(named.any(|rule| is_of(rule, family)), "no attack is on {family}");
    }
    let names: BTreeSet<&str> = attacks.iter().map(|attack| attack.name.as_str()).collect();
    assert_eq!(names.len(), attacks.len(), "two attacks have one name");
}

#[test]
fn attacks_say_what_they_must() {
    for attack in THEMES.iter().flat_map(|theme| attacks_of(theme)) {
        let name = &attack.name;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(name.chars().all(plain), "{name}");
        assert!(attack.idea.ends_with('.') && !attack.rules.is_empty(), "{name}");
        assert_eq!(attack.outcome == Outcome::Error, attack.sqlstate.is_some(), "{name}");
        assert_eq!(attack.outcome == Outcome::Same, attack.other.is_some(), "{name}");
        if let (Some(other), Some([one, none])) = (&attack.other, &attack.constants) {
            assert_eq!(attack.sql.replace(one, none), *other, "{name}");
        }
        let secret = attack.secret.is_some();
        let kept = matches!(attack.outcome, Outcome::Same | Outcome::Hidden);
        assert!(secret || !kept, "{name} has nothing to hide");
        let only_strict = attack.rules.iter().all(|rule| ["G3", "G4", "G8"].contains(&&**rule));
        assert!(attack.strict || !only_strict, "{name} needs nodes that have the rule");
    }
}

/// The text of `docs/attacks.md`.
fn page() -> String {
    let mut text = HEAD.to_owned();
    for theme in THEMES {
        let title = theme.replace('_', " ");
        writeln!(text, "\n## {title}\n").unwrap();
        writeln!(text, "| attack | idea | rules | outcome |\n| --- | --- | --- | --- |").unwrap();
        for attack in attacks_of(theme) {
            let rules: Vec<String> = attack.rules.iter().map(|rule| format!("`{rule}`")).collect();
            let (rules, outcome) = (rules.join(", "), outcome_words(&attack));
            writeln!(text, "| `{}` | {} | {rules} | {outcome} |", attack.name, attack.idea)
                .unwrap();
        }
    }
    text
}

fn outcome_words(attack: &Attack) -> String {
    let what = match attack.outcome {
        Outcome::Refused => "refused".to_owned(),
        Outcome::NotSplit => "not split (0A000)".to_owned(),
        Outcome::Error => format!("error {}", attack.sqlstate.as_deref().unwrap_or_default()),
        Outcome::Same => "as if nobody".to_owned(),
        Outcome::Hidden => "without it".to_owned(),
    };
    if attack.node { format!("{what}, by a node") } else { what }
}

#[test]
fn attacks_table_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/attacks.md");
    if std::env::var_os("HEDGEROW_BLESS").is_some() {
        fs::write(&path, page()).unwrap();
    }
    let current = fs::read_to_string(&path).unwrap_or_default() == page();
    assert!(
        current,
        "docs/attacks.md is out of date: run HEDGEROW_BLESS=1 cargo test --test federation attacks"
    );
}
