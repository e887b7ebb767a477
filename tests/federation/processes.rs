//! Programs that are interrupted, killed, or stop reading: the rest notices, ends its work, and the
//! next start finds nothing half-written.

#![cfg(unix)]

use std::path::Path;
use std::time::{Duration, Instant};

use arrow_flight::Ticket;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use hedgerow_engine::NodeOutcome;
use prost::Message;

use crate::answers::{Value, values};
use crate::dice::Dice;
use crate::faults::{SLOW, SLOW_ROWS, logged, numbers};
use crate::logs;
use crate::program::{Program, running_with, tree};
use crate::raw::Raw;
use crate::world::{Client, Data, Layout, Organisation, Spec, World, in_time};

const NOTE: &str = r#"
name = "note"
version = 1
protection = "open"
[[columns]]
name = "note"
type = "utf8"
roles = ["open"]
"#;

/// Rows that no connection can hold on its way: some 45 MB.
fn notes(organisation: &str) -> Organisation {
    let line = format!("{}\n", "chinchilla ".repeat(18));
    let text = format!("note\n{}", line.repeat(230_000));
    Organisation::new(organisation).table("note", Data::Csv(text))
}

const SOON: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ctrl_c_cancels_a_statement() {
    logs::capture();
    in_time(async {
        let world = World::start(numbers("ctrlford", SLOW_ROWS)).await;
        let home = tempfile::tempdir().unwrap();
        let authority = world.tls().authority;
        let shell = |more: &[&str]| Program::shell(world.url(), &authority, home.path(), more);
        // From the command line, and from a pipe that stays open.
        let mut line = shell(&["-c", SLOW, "-c", "SELECT 'never asked'"]);
        let mut pipe = shell(&[]);
        pipe.type_in(&format!("{SLOW};\nSELECT 'never asked';\n"));
        tokio::time::sleep(Duration::from_secs(3)).await;
        for program in [&mut line, &mut pipe] {
            program.signal("INT");
            let status = program.end(SOON).await;
            assert_eq!(status.code(), Some(1), "{}", program.err());
            assert!(program.err().contains("cancelled"), "{}", program.err());
            assert!(!program.out().contains("never asked"), "{}", program.out());
        }
        // And the work at the node has ended.
        let words = ["organisation=ctrlford", "role=\"node\"", "outcome=\"cancelled\""];
        let ended = tokio::time::timeout(SOON, async {
            while logs::lines_with(&words).len() < 2 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        assert!(ended.await.is_ok(), "{:#?}", logs::lines_with(&["ctrlford"]));
        // Between statements there is nothing to cancel but the wait for input.
        let mut pipe = shell(&[]);
        pipe.type_in("SELECT 'answered';\n");
        let started = Instant::now();
        while !pipe.out().contains("answered") {
            assert!(started.elapsed() < SOON, "{}", pipe.err());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        pipe.signal("INT");
        assert_eq!(pipe.end(SOON).await.code(), Some(1), "{}", pipe.err());
        world.shutdown().await;
    })
    .await;
}

/// Minutes of work over the demo's open tables.
const SLOW_DEMO: &str = "SELECT count(*) FROM bed_occupancy a, bed_occupancy b, bed_occupancy c \
     WHERE md5(concat(a.organisation, b.organisation, c.organisation)) LIKE 'zz%'";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ctrl_c_ends_a_demo_with_all_that_is_its() {
    in_time(async {
        let home = tempfile::tempdir().unwrap();
        let begin = "SELECT 'it runs'";
        let arguments = ["demo", "--people", "500", "-c", begin, "-c", SLOW_DEMO];
        let mut demo = Program::start(&arguments, home.path());
        let started = Instant::now();
        while !demo.out().contains("it runs") {
            assert!(started.elapsed() < Duration::from_secs(15), "{}", demo.err());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        demo.signal("INT");
        let status = demo.end(Duration::from_secs(15)).await;
        assert_eq!(status.code(), Some(1), "{}", demo.err());
        assert!(demo.err().contains("cancelled"), "{}", demo.err());
        assert!(running_with(&home.path().to_string_lossy()).is_empty());
        // The temporary folder has gone with it.
        let left = std::fs::read_dir(home.path()).unwrap().flatten().map(|entry| entry.file_name());
        let left: Vec<_> = left.filter(|name| name != "cache" && name != "state").collect();
        assert!(left.is_empty(), "{left:?}");
    })
    .await;
}

const QUESTION: &str =
    "SELECT organisation, count(*) AS n FROM referral_pathway GROUP BY 1 ORDER BY 1";

/// The demo's answer, started as often as its ports are taken.
pub(crate) async fn demo_answer(home: &Path, more: &[&str]) -> String {
    for _ in 0..5 {
        let arguments =
            [&["demo", "--people", "600", "--format", "csv", "-c", QUESTION], more].concat();
        let mut demo = Program::start(&arguments, home);
        let status = demo.end(Duration::from_secs(30)).await;
        if demo.err().contains("another program does") {
            tokio::time::sleep(Duration::from_millis(500)).await;
            continue;
        }
        assert_eq!(status.code(), Some(0), "{}", demo.err());
        return demo.out();
    }
    panic!("the ports of the demo are taken");
}

/// Starts a demo and kills it, at many moments of its first start; then starts it for good. Each start
/// has the time of a test.
async fn check_killed_starts(more: impl Fn(&Path) -> Vec<String>, seed: u64) {
    let undisturbed = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let expected = in_time(demo_answer(undisturbed.path(), &[])).await;
    let longest = started.elapsed();
    assert!(expected.lines().count() > 3, "{expected}");

    let home = tempfile::tempdir().unwrap();
    let more = more(home.path());
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let mut dice = Dice::new(seed);
    let kills = if std::env::var_os("HEDGEROW_LONG").is_some() { 60 } else { 4 };
    for kill in 1..=kills {
        let arguments = [&["demo", "--people", "600", "-c", QUESTION], &more[..]].concat();
        let mut demo = Program::start(&arguments, home.path());
        let part = (kill * 100 / kills) as u32 + dice.draw(20) as u32;
        tokio::time::sleep(longest * part / 120).await;
        demo.signal("KILL");
        demo.end(Duration::from_secs(5)).await;
    }
    assert_eq!(in_time(demo_answer(home.path(), &more)).await, expected);
    let rest = tree(home.path());
    let partial = rest.iter().filter(|path| path.to_string_lossy().contains("partial"));
    assert_eq!(partial.collect::<Vec<_>>(), Vec::<&std::path::PathBuf>::new());
    let temporary = rest.iter().filter(|path| {
        path.parent() == Some(home.path()) && path.to_string_lossy().contains("hedgerow-")
    });
    assert_eq!(temporary.collect::<Vec<_>>(), Vec::<&std::path::PathBuf>::new());
    assert!(running_with(&home.path().to_string_lossy()).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_demo_killed_at_its_first_start_starts_again() {
    check_killed_starts(|_| vec![], 11).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_demo_in_a_folder_killed_at_its_first_start_starts_again() {
    let folder = |home: &Path| {
        vec!["--directory".to_owned(), home.join("demo").to_string_lossy().into_owned()]
    };
    check_killed_starts(folder, 12).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_coordinator_ends_the_work_at_its_nodes() {
    in_time(async {
        let layout = Layout::new(&numbers("killford", SLOW_ROWS));
        let mut node = Program::serve(&layout, "killford").await;
        let mut coordinator = Program::serve(&layout, "coordinator").await;
        let mut client = layout.client().await;
        let asked = tokio::spawn(async move { client.try_ask(SLOW).await.map(|_| ()) });
        tokio::time::sleep(Duration::from_secs(2)).await;
        coordinator.kill().await;
        let error = tokio::time::timeout(SOON, asked).await.unwrap().unwrap().unwrap_err();
        assert_eq!(error.sqlstate, "08006", "{error:?}");
        assert!(error.hint.is_some(), "{error:?}");
        node.wait_for("\"outcome\":\"cancelled\"").await;
        // It can be asked again by the coordinator that takes over.
        let _coordinator = Program::serve(&layout, "coordinator").await;
        let count = layout.client().await.ask("SELECT count(*) FROM number").await;
        assert_eq!(values(&count.batches), vec![vec![Value::Exact(SLOW_ROWS.to_string())]]);
        node.signal("TERM");
        assert!(node.end(SOON).await.success(), "{}", node.err());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_killed_in_mid_stream_is_named() {
    in_time(async {
        let few = Data::Csv("note\nno more\n".to_owned());
        let few = Organisation::new("fewford").table("note", few);
        let layout = Layout::new(
            &Spec::default().contract(NOTE).organisation(few).organisation(notes("noteford")),
        );
        let _few = Program::serve(&layout, "fewford").await;
        let mut node = Program::serve(&layout, "noteford").await;
        let mut coordinator = Program::serve(&layout, "coordinator").await;
        let Client(mut client) = layout.client().await;
        let mut stream = client.query("SELECT note FROM note").await.unwrap();
        let mut rows = stream.next().await.unwrap().unwrap().num_rows();
        node.kill().await;
        let error = loop {
            match stream.next().await {
                Some(Ok(batch)) => rows += batch.num_rows(),
                Some(Err(error)) => break error,
                None => panic!("all {rows} rows came"),
            }
        };
        assert_eq!(error.sqlstate, "08006", "{error:?}");
        assert_eq!(error.organisation.as_deref(), Some("noteford"), "{error:?}");
        assert!(!format!("{error:?}").contains("chinchilla"), "{error:?}");
        // Without it there is an answer, which says so.
        let mut client = layout.client().await;
        client.ask("SET hedgerow.on_unavailable = 'exclude'").await;
        let answer = client.ask("SELECT count(*) FROM note").await;
        assert_eq!(values(&answer.batches), vec![vec![Value::Exact("1".to_owned())]]);
        assert_eq!(answer.coverage.count(NodeOutcome::Unavailable), 1, "{:?}", answer.coverage);
        coordinator.signal("INT");
        assert!(coordinator.end(SOON).await.success(), "{}", coordinator.err());
        assert!(!coordinator.err().contains("chinchilla"), "{}", coordinator.err());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_that_stops_reading_holds_up_nobody() {
    in_time(async {
        let spec = Spec::default().contract(NOTE).organisation(notes("idleford"));
        let spec = spec.limits("statement_timeout_ms = 4000\nqueries_max = 1");
        let layout = Layout::new(&spec);
        let mut node = Program::serve(&layout, "idleford").await;
        let mut coordinator = Program::serve(&layout, "coordinator").await;
        let mut raw = Raw::connect_to(&layout.url_of("coordinator"), &layout.tls().authority).await;
        let before = [coordinator.memory_bytes(), node.memory_bytes()];
        let query = "SELECT note FROM note".to_owned();
        let command = CommandStatementQuery { query, transaction_id: None };
        let info = raw.info(command.as_any().encode_to_vec()).await.unwrap();
        let ticket: Ticket = info.endpoint[0].ticket.clone().unwrap();
        let request = raw.request(ticket);
        let mut unread = raw.client.do_get(request).await.unwrap().into_inner();
        unread.message().await.unwrap().unwrap();
        // The one place is taken.
        let mut client = layout.client().await;
        let error = client.try_ask("SELECT 1").await.map(|_| ()).unwrap_err();
        assert_eq!(error.sqlstate, "53400", "{error:?}");
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        for (program, before) in [&coordinator, &node].into_iter().zip(before) {
            if let (Some(before), Some(now)) = (before, program.memory_bytes()) {
                let grown = now.saturating_sub(before);
                assert!(grown < 150 << 20, "{} MB more", grown >> 20);
            }
        }
        // The statement's time ends whether anybody reads or not, and the place is free.
        coordinator.wait_for("\"outcome\":\"57014\"").await;
        client.ask("SELECT 1").await;
        node.wait_for("\"outcome\":").await;
        let started = Instant::now();
        let ended = loop {
            match unread.message().await {
                Ok(Some(_)) => assert!(started.elapsed() < SOON, "it goes on"),
                other => break other,
            }
        };
        let error = hedgerow_flight::from_status(&ended.unwrap_err());
        assert_eq!(error.sqlstate, "57014", "{error:?}");
        for program in [&mut coordinator, &mut node] {
            program.signal("TERM");
            assert!(program.end(SOON).await.success(), "{}", program.err());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_that_goes_away_ends_its_statement() {
    logs::capture();
    in_time(async {
        let world = World::start(numbers("goneford", SLOW_ROWS)).await;
        let home = tempfile::tempdir().unwrap();
        let authority = world.tls().authority;
        let mut shell = Program::shell(world.url(), &authority, home.path(), &["-c", SLOW]);
        tokio::time::sleep(Duration::from_secs(2)).await;
        shell.kill().await;
        let words = ["organisation=goneford", "role=\"node\"", "outcome=\"cancelled\""];
        let ended = tokio::time::timeout(SOON, logged(&words)).await;
        assert!(ended.is_ok(), "{:#?}", logs::lines_with(&["goneford"]));
        world.shutdown().await;
    })
    .await;
}
