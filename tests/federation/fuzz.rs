//! The fuzzers' corpus, `tests/fuzz/corpus/`, as an ordinary test: every input that a fuzzer was
//! given or has found, through the same targets, and the tickets over the wire as well.

use std::fs;
use std::path::Path;

use futures::{StreamExt, stream};

use crate::bad_bytes::{end, everywhere, world};
use crate::panics;
use crate::raw::Raw;
use crate::world::in_time;

#[path = "../fuzz/targets/fragment.rs"]
mod fragment;
#[path = "../fuzz/targets/ticket.rs"]
mod ticket;

/// Name and bytes of every input, in order.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, fs::read(path).unwrap())
    };
    let mut inputs: Vec<_> = fs::read_dir(folder).unwrap().map(read).collect();
    inputs.sort();
    inputs
}

/// Fails unless inputs called `good_` are taken, and of the others some are and some are not.
fn check_verdicts(inputs: &[(String, Vec<u8>)], taken: impl Fn(&[u8]) -> bool) {
    let mut refused = 0;
    for (name, bytes) in inputs {
        let taken = taken(bytes);
        assert!(taken || !name.starts_with("good_"), "{name} is refused");
        refused += usize::from(!taken);
    }
    let good = inputs.iter().filter(|(name, _)| name.starts_with("good_")).count();
    assert!(good >= 10 && refused >= 10, "{good} good, {refused} refused");
}

#[test]
fn every_fragment_of_the_corpus_is_judged() {
    panics::watch();
    check_verdicts(&corpus("fragment"), fragment::judged);
    panics::assert_none();
}

#[test]
fn every_ticket_of_the_corpus_is_read() {
    panics::watch();
    check_verdicts(&corpus("ticket"), ticket::read);
    panics::assert_none();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_ticket_of_the_corpus_may_be_sent() {
    in_time(async {
        let world = world().await;
        let raw = Raw::connect(&world, "coordinator").await;
        let node = Raw::connect(&world, "east").await;
        let sent = stream::iter(corpus("ticket")).map(|(name, bytes)| {
            let (raw, node) = (raw.clone(), node.clone());
            async move {
                everywhere(raw, name.clone(), bytes.clone()).await;
                everywhere(node, format!("{name} at a node"), bytes).await;
            }
        });
        sent.buffer_unordered(8).collect::<Vec<()>>().await;
        end(world).await;
    })
    .await;
}
