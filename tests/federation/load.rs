//! Nodes that are killed, started again and held up at random while eight clients ask: every answer
//! is right for the organisations that its coverage says answered, or is an error that names a node.
//! Afterwards all is as it was before.

#![cfg(unix)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use hedgerow_engine::{NodeOutcome, WireError};

use crate::answers::{Value, assert_same, values};
use crate::contracts::{VISIT, WARD};
use crate::dice::Dice;
use crate::program::Program;
use crate::servers::{is_long, open_files, seed, start};
use crate::world::{Answer, Client, Data, Layout, Organisation, Spec, in_time};

const NUMBER: &str = r#"
name = "number"
version = 1
protection = "open"
[[columns]]
name = "n"
type = "int64"
roles = ["open"]
[[columns]]
name = "m"
type = "int64"
roles = ["open"]
[[columns]]
name = "note"
type = "utf8"
roles = ["open"]
"#;

const CODE: &str = r#"
name = "code"
version = 1
protection = "open"
reference = true
keys = [["m"]]
[[columns]]
name = "m"
type = "int64"
roles = ["open"]
[[columns]]
name = "name"
type = "utf8"
roles = ["open"]
"#;

/// In their order, which is that of the alphabet too.
const ORGANISATIONS: [&str; 4] = ["east", "north", "south", "west"];
/// Rows of `number` at each organisation.
const ROWS: i64 = 4_000;
/// Rows of `code`.
const CODES: i64 = 10;
/// What sites have at each organisation; the threshold hides the last.
const SITES: [(&str, i64); 3] = [("harbour", 40), ("island", 12), ("quay", 3)];

const CLIENTS: u64 = 8;
/// How long nodes are disturbed before all is looked at.
const ROUND: Duration = Duration::from_secs(20);
/// Rounds of a long run: five minutes.
const LONG_ROUNDS: usize = 15;
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait until the federation is whole again.
const SOON: Duration = Duration::from_secs(10);
/// How many more open files the coordinator may have afterwards.
const OPEN_FILES_MORE_MAX: usize = 4;
/// How much more memory it may hold afterwards, since an allocator does not give everything back.
const MEMORY_MORE_MAX: u64 = 100 << 20;

/// A question and its answer.
struct Question {
    sql: &'static str,
    /// Whether it needs an organisation.
    needs: fn(usize) -> bool,
    /// The answer of these organisations.
    expected: fn(&[usize]) -> Vec<Vec<Value>>,
}

/// A question that needs everybody.
const fn of_all(sql: &'static str, expected: fn(&[usize]) -> Vec<Vec<Value>>) -> Question {
    Question { sql, needs: |_| true, expected }
}

fn exact(number: i64) -> Value {
    Value::Exact(number.to_string())
}

fn text(text: &str) -> Value {
    Value::Exact(text.to_owned())
}

/// What a sum, a least or a largest of nothing is.
fn or_null(number: Option<i64>) -> Value {
    number.map_or(Value::Null, exact)
}

/// Beds of the surgery of an organisation; twice as many in medicine, thrice in its own ward. Each
/// organisation has a digit of its own in every sum.
fn beds(organisation: usize) -> i64 {
    10_i64.pow(organisation as u32)
}

fn sum_of_beds(answered: &[usize]) -> Option<i64> {
    let all = answered.iter().map(|one| 6 * beds(*one));
    (!answered.is_empty()).then(|| all.sum())
}

/// The numbers of an organisation.
fn numbers(organisation: usize) -> impl Iterator<Item = i64> {
    let first = organisation as i64 * ROWS;
    first..first + ROWS
}

fn note(n: i64) -> String {
    format!("{n:x>300}")
}

static QUESTIONS: [Question; 13] = [
    of_all("SELECT count(*), sum(beds), min(beds), max(beds) FROM ward", |answered| {
        let least = answered.first().map(|one| beds(*one));
        let largest = answered.last().map(|one| 3 * beds(*one));
        let count = exact(3 * answered.len() as i64);
        vec![vec![count, or_null(sum_of_beds(answered)), or_null(least), or_null(largest)]]
    }),
    of_all("SELECT ward, sum(beds) FROM ward GROUP BY ward ORDER BY ward", |answered| {
        if answered.is_empty() {
            return vec![];
        }
        let all = |times: i64| exact(answered.iter().map(|one| times * beds(*one)).sum());
        let own = answered
            .iter()
            .map(|one| vec![text(&format!("own {}", ORGANISATIONS[*one])), exact(3 * beds(*one))]);
        let medicine = vec![text("medicine"), all(2)];
        [medicine].into_iter().chain(own).chain([vec![text("surgery"), all(1)]]).collect()
    }),
    of_all(
        "SELECT organisation, count(*), avg(n) FROM number GROUP BY organisation ORDER BY 1",
        |answered| {
            let of_one = |one: &usize| {
                let mean = numbers(*one).sum::<i64>() as f64 / ROWS as f64;
                vec![text(ORGANISATIONS[*one]), exact(ROWS), Value::Float(mean)]
            };
            answered.iter().map(of_one).collect()
        },
    ),
    of_all("SELECT avg(n), count(DISTINCT m) FROM number", |answered| {
        let rows = answered.len() as f64 * ROWS as f64;
        let sum: i64 = answered.iter().flat_map(|one| numbers(*one)).sum();
        match answered.is_empty() {
            true => vec![vec![Value::Null, exact(0)]],
            false => vec![vec![Value::Float(sum as f64 / rows), exact(ROWS)]],
        }
    }),
    of_all(
        "SELECT site, count(*), sum(units) FROM visit GROUP BY site ORDER BY site",
        |answered| {
            let of_site = |(site, people): &(&str, i64)| {
                let units: i64 = answered.iter().map(|one| people * beds(*one)).sum();
                vec![text(site), exact(people * answered.len() as i64), exact(units)]
            };
            let shown = if answered.is_empty() { 0 } else { 2 };
            SITES[..shown].iter().map(of_site).collect()
        },
    ),
    of_all("SELECT n, note FROM number", |answered| {
        let all = answered.iter().flat_map(|one| numbers(*one));
        all.map(|n| vec![exact(n), text(&note(n))]).collect()
    }),
    // Two scans, each a call of its own: every pair of organisations is in it or is not.
    of_all(
        "SELECT count(*), sum(a.n) FROM number a JOIN number b ON a.m = b.m WHERE a.m < 200",
        |answered| {
            let few = answered.iter().flat_map(|one| numbers(*one).take(200));
            let sum = few.sum::<i64>() * answered.len() as i64;
            let count = 200 * (answered.len() * answered.len()) as i64;
            vec![vec![exact(count), or_null((!answered.is_empty()).then_some(sum))]]
        },
    ),
    // A scan and an aggregate.
    of_all(
        "SELECT 'one' AS what, n FROM number WHERE m < 3 \
         UNION ALL SELECT 'all', count(*) FROM number ORDER BY what, n",
        |answered| {
            let all = vec![text("all"), exact(ROWS * answered.len() as i64)];
            let few = answered.iter().flat_map(|one| numbers(*one).take(3));
            [all].into_iter().chain(few.map(|n| vec![text("one"), exact(n)])).collect()
        },
    ),
    // Two fragments in one call.
    of_all(
        "SELECT a.c, b.s FROM (SELECT count(*) AS c FROM number) AS a \
         CROSS JOIN (SELECT sum(beds) AS s FROM ward) AS b",
        |answered| vec![vec![exact(ROWS * answered.len() as i64), or_null(sum_of_beds(answered))]],
    ),
    // Any one node is asked for the codes.
    of_all("SELECT a.n, c.name FROM number a JOIN code c ON a.m = c.m ORDER BY a.n", |answered| {
        let coded = answered.iter().flat_map(|one| numbers(*one).take(CODES as usize));
        coded.map(|n| vec![exact(n), text(&format!("code {}", n % ROWS))]).collect()
    }),
    Question {
        sql: "SELECT count(*), max(m) FROM code",
        needs: |_| false,
        expected: |answered| match answered.is_empty() {
            true => vec![vec![exact(0), Value::Null]],
            false => vec![vec![exact(CODES), exact(CODES - 1)]],
        },
    },
    Question {
        sql: "SELECT count(*) FROM federation.north.ward",
        needs: |organisation| organisation == 1,
        expected: |answered| vec![vec![exact(if answered.contains(&1) { 3 } else { 0 })]],
    },
    Question {
        sql: "SELECT sum(beds) FROM ward WHERE organisation <> 'west'",
        needs: |organisation| organisation != 3,
        expected: |answered| vec![vec![or_null(sum_of_beds(answered))]],
    },
];

fn spec() -> Spec {
    let mut spec = Spec::default()
        .contract(WARD)
        .contract(NUMBER)
        .contract(CODE)
        .contract(VISIT)
        .limits(&format!("statement_timeout_ms = {}", STATEMENT_TIMEOUT.as_millis()));
    let codes: String = (0..CODES).map(|m| format!("{m},code {m}\n")).collect();
    for (index, id) in ORGANISATIONS.into_iter().enumerate() {
        let beds = beds(index);
        let wards = format!("surgery,{beds}\nmedicine,{}\nown {id},{}\n", 2 * beds, 3 * beds);
        let rows = numbers(index).map(|n| format!("{n},{},{}\n", n % ROWS, note(n)));
        let people = SITES.into_iter().flat_map(|(site, people)| (0..people).map(move |_| site));
        let visits = people.enumerate().map(|(person, site)| format!("{person},{site},{beds}\n"));
        spec = spec.organisation(
            Organisation::new(id)
                .table("ward", Data::Csv(format!("ward,beds\n{wards}")))
                .table("number", Data::Csv(format!("n,m,note\n{}", rows.collect::<String>())))
                .table("code", Data::Csv(format!("m,name\n{codes}")))
                .table(
                    "visit",
                    Data::Csv(format!("person_number,site,units\n{}", visits.collect::<String>())),
                ),
        );
    }
    spec
}

/// What became of the questions.
#[derive(Debug, Default)]
struct Tally {
    whole: usize,
    /// Answers without somebody, as their coverage says.
    partial: usize,
    /// By SQLSTATE and organisation.
    errors: BTreeMap<String, usize>,
    slowest: Duration,
    kills: usize,
    pauses: usize,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.whole += other.whole;
        self.partial += other.partial;
        self.slowest = self.slowest.max(other.slowest);
        self.kills += other.kills;
        self.pauses += other.pauses;
        for (error, count) in other.errors {
            *self.errors.entry(error).or_default() += count;
        }
    }
}

/// Somebody who asks, and whether answers without a node will do.
struct Asker {
    client: Client,
    exclude: bool,
}

impl Asker {
    async fn new(layout: &Layout, exclude: bool) -> Self {
        let mut client = layout.client().await;
        if exclude {
            client.ask("SET hedgerow.on_unavailable = 'exclude'").await;
        }
        Self { client, exclude }
    }

    /// Asks one question. Tells whether everybody needed has answered.
    async fn ask(&mut self, question: &Question) -> Result<bool, WireError> {
        let started = Instant::now();
        match self.client.try_ask(question.sql).await {
            Ok(answer) => Ok(check(question, &answer, self.exclude)),
            Err(error) => {
                check_error(question, &error, started.elapsed());
                Err(error)
            }
        }
    }

    /// Asks at random until `end`.
    async fn ask_on(mut self, mut dice: Dice, end: Instant) -> (Self, Tally) {
        let mut tally = Tally::default();
        while Instant::now() < end {
            let question = &QUESTIONS[dice.draw(QUESTIONS.len())];
            let started = Instant::now();
            match self.ask(question).await {
                Ok(true) => tally.whole += 1,
                Ok(false) => tally.partial += 1,
                Err(error) => {
                    let organisation = error.organisation.unwrap_or_default();
                    let error = format!("{} {organisation}", error.sqlstate);
                    *tally.errors.entry(error).or_default() += 1;
                }
            }
            tally.slowest = tally.slowest.max(started.elapsed());
            tokio::time::sleep(Duration::from_millis(dice.draw(50) as u64)).await;
        }
        (self, tally)
    }

    /// Asks every question; tells whether all answers are whole.
    async fn is_whole(&mut self) -> bool {
        for question in &QUESTIONS {
            if self.ask(question).await != Ok(true) {
                return false;
            }
        }
        true
    }
}

/// Fails unless an answer is right for exactly the organisations that answered, and says who of those
/// needed did not. Tells whether all did.
fn check(question: &Question, answer: &Answer, exclude: bool) -> bool {
    let coverage = &answer.coverage;
    let outcome = |organisation: usize| {
        let id = ORGANISATIONS[organisation];
        let node = coverage.nodes.iter().find(|node| node.organisation == id);
        node.map(|node| node.outcome)
    };
    let mut whole = true;
    for needed in (0..ORGANISATIONS.len()).filter(|one| (question.needs)(*one)) {
        match outcome(needed) {
            Some(NodeOutcome::Answered) => {}
            Some(NodeOutcome::Unavailable) if exclude => whole = false,
            _ => {
                panic!("{}: silently without {}: {coverage:?}", question.sql, ORGANISATIONS[needed])
            }
        }
    }
    let answered: Vec<usize> = (0..ORGANISATIONS.len())
        .filter(|one| outcome(*one) == Some(NodeOutcome::Answered))
        .collect();
    if answered.is_empty() {
        assert!(exclude, "{}: nobody answered: {coverage:?}", question.sql);
        whole = false;
    }
    let mut actual = values(&answer.batches);
    let mut expected = (question.expected)(&answered);
    if !question.sql.contains("ORDER BY") {
        for rows in [&mut actual, &mut expected] {
            rows.sort_by_cached_key(|row| format!("{row:?}"));
        }
    }
    assert_same(&format!("{}\n{coverage:?}", question.sql), &actual, &expected);
    whole
}

/// Fails unless an error names a node that is not there, or the time that was up.
fn check_error(question: &Question, error: &WireError, took: Duration) {
    let sql = question.sql;
    match error.sqlstate.as_str() {
        "08006" => {
            let organisation = error.organisation.as_deref().unwrap_or_default();
            let named = ORGANISATIONS.contains(&organisation);
            assert!(named && error.message.contains(organisation), "{sql}: {error:?}");
        }
        "57014" => assert!(took >= STATEMENT_TIMEOUT / 2, "{sql}: {error:?} after {took:?}"),
        _ => panic!("{sql}: {error:?} after {took:?}"),
    }
}

/// Some nodes, of which one at a time is disturbed.
struct Disturbed {
    layout: Arc<Layout>,
    nodes: Vec<(&'static str, Program)>,
}

impl Disturbed {
    /// Kills nodes and starts them again, or holds them up for a while, until `end`. All are there
    /// when this returns.
    async fn disturb(mut self, mut dice: Dice, end: Instant) -> (Self, Tally) {
        let mut tally = Tally::default();
        loop {
            let undisturbed = Duration::from_millis(100 + dice.draw(1_000) as u64);
            tokio::time::sleep(undisturbed).await;
            if Instant::now() >= end {
                return (self, tally);
            }
            let one = dice.draw(self.nodes.len());
            let (name, program) = &mut self.nodes[one];
            let disturbed = Duration::from_millis(dice.draw(1_000) as u64);
            if dice.draw(4) == 0 {
                program.signal("STOP");
                tokio::time::sleep(disturbed).await;
                program.signal("CONT");
                tally.pauses += 1;
            } else {
                program.kill().await;
                tokio::time::sleep(disturbed).await;
                *program = Program::serve(&self.layout, name).await;
                tally.kills += 1;
            }
        }
    }
}

/// What the coordinator holds when nobody asks.
#[derive(Debug, Clone, Copy)]
struct Held {
    open_files: Option<usize>,
    memory_bytes: Option<u64>,
}

impl Held {
    fn by(program: &Program) -> Self {
        Self { open_files: open_files(program), memory_bytes: program.memory_bytes() }
    }

    /// Whether it is about as much as `before`.
    fn is_about(&self, before: &Self) -> bool {
        let files = self.open_files.zip(before.open_files);
        let memory = self.memory_bytes.zip(before.memory_bytes);
        files.is_none_or(|(now, before)| now <= before + OPEN_FILES_MORE_MAX)
            && memory.is_none_or(|(now, before)| now <= before + MEMORY_MORE_MAX)
    }
}

/// Waits until these have whole answers, and tells how long that took.
async fn whole_again(askers: &mut [Asker]) -> Duration {
    let started = Instant::now();
    for asker in askers {
        while !asker.is_whole().await {
            assert!(started.elapsed() < SOON, "the federation is not whole again");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    started.elapsed()
}

/// Disturbs nodes while all ask; all nodes are there when this returns.
async fn disturb_all(askers: &mut Vec<Asker>, disturbed: &mut Vec<Disturbed>, seed: u64) -> Tally {
    let end = Instant::now() + ROUND;
    let dice = |number: usize| Dice::new(seed * 1_000 + number as u64);
    let disturbing = disturbed.drain(..).enumerate();
    let disturbing: Vec<_> =
        disturbing.map(|(n, pair)| tokio::spawn(pair.disturb(dice(100 + n), end))).collect();
    let asking = askers.drain(..).enumerate();
    let asking: Vec<_> =
        asking.map(|(n, asker)| tokio::spawn(asker.ask_on(dice(n), end))).collect();
    let mut tally = Tally::default();
    for asked in asking {
        let (asker, own) = asked.await.unwrap();
        askers.push(asker);
        tally.add(own);
    }
    for done in disturbing {
        let (pair, own) = done.await.unwrap();
        disturbed.push(pair);
        tally.add(own);
    }
    tally
}

/// Waits until the coordinator holds about as much as `before`; what it holds at last.
async fn given_back(coordinator: &Program, before: &Held) -> Held {
    let started = Instant::now();
    loop {
        let now = Held::by(coordinator);
        if now.is_about(before) || started.elapsed() > SOON {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn answers_are_right_while_nodes_are_killed() {
    let layout = Arc::new(Layout::new(&spec()));
    let mut programs = in_time(start(&layout)).await;
    let mut coordinator = programs.pop().unwrap();
    let mut askers: Vec<Asker> = vec![];
    for number in 0..CLIENTS {
        askers.push(Asker::new(&layout, number % 2 == 1).await);
    }
    // All of them ask at once for a while, before it is noted what the coordinator holds.
    let before = in_time(async {
        whole_again(&mut askers[..2]).await;
        join_all(askers.iter_mut().map(Asker::is_whole)).await;
        Held::by(&coordinator)
    })
    .await;
    // Never more than two nodes are down.
    let mut nodes = ORGANISATIONS.into_iter().zip(programs);
    let mut disturbed = vec![];
    for _ in 0..2 {
        let nodes: Vec<_> = nodes.by_ref().take(2).collect();
        disturbed.push(Disturbed { layout: Arc::clone(&layout), nodes });
    }
    let rounds = if is_long() { LONG_ROUNDS } else { 1 };
    for seed in (seed()..).take(rounds) {
        let tally = in_time(disturb_all(&mut askers, &mut disturbed, seed)).await;
        in_time(async {
            let whole_after = whole_again(&mut askers[..2]).await;
            let after = given_back(&coordinator, &before).await;
            report(seed, &tally, whole_after, &before, &after);
            assert!(after.is_about(&before), "the coordinator holds {after:?}, held {before:?}");
        })
        .await;
        // Otherwise nothing has been tried.
        assert!(tally.kills > 0 && tally.whole > 0, "{tally:?}");
        assert!(tally.partial > 0 && !tally.errors.is_empty(), "{tally:?}");
    }
    drop(askers);
    let nodes = disturbed.iter_mut().flat_map(|pair| &mut pair.nodes).map(|(_, program)| program);
    for program in [&mut coordinator].into_iter().chain(nodes) {
        program.signal("TERM");
        assert!(program.end(SOON).await.success(), "{}", program.err());
    }
}

#[expect(clippy::print_stderr, reason = "a summary for whoever reads the run")]
fn report(seed: u64, tally: &Tally, whole_after: Duration, before: &Held, after: &Held) {
    eprintln!(
        "seed {seed}: {} whole answers, {} without somebody, errors {:?}, {} kills, {} pauses, \
         slowest {:?}, whole again after {whole_after:?}; the coordinator held {before:?}, then \
         {after:?}",
        tally.whole, tally.partial, tally.errors, tally.kills, tally.pauses, tally.slowest
    );
}
