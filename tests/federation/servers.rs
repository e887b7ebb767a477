//! A federation of programs, and what each of them shows of itself from outside: its figures, its
//! time on the processors, its open files. Main entries: [`start`], [`figures`].

use std::fs;
use std::time::Duration;

use futures::future::join_all;

use crate::http::request;
use crate::program::Program;
use crate::world::{Layout, PASSWORD};

/// The seed of what is drawn at random.
pub(crate) fn seed() -> u64 {
    std::env::var("HEDGEROW_RANDOM_SEED").map_or(1, |text| text.parse().unwrap())
}

/// Whether the tests may take long.
pub(crate) fn is_long() -> bool {
    std::env::var_os("HEDGEROW_LONG").is_some()
}

/// Starts every server of a federation as a program: the nodes in their order, the coordinator last.
pub(crate) async fn start(layout: &Layout) -> Vec<Program> {
    let ((coordinator, _), nodes) = layout.servers.split_last().unwrap();
    let mut programs = join_all(nodes.iter().map(|(name, _)| Program::serve(layout, name))).await;
    programs.push(Program::serve(layout, coordinator).await);
    programs
}

/// The figures of a server, which must have a `[metrics]` section.
pub(crate) async fn figures(layout: &Layout, server: &str) -> String {
    let (url, authority) = (layout.url_of(server), layout.tls().authority);
    let (status, figures) = request(&url, authority, "/metrics", Some(PASSWORD)).await;
    assert_eq!(status, 200, "{figures}");
    figures
}

/// The sum of a figure over those of its labels that hold `label`.
pub(crate) fn total(figures: &str, name: &str, label: &str) -> u64 {
    let lines = figures.lines().filter(|line| line.starts_with(name) && line.contains(label));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// Time that a program has spent on the processors, where the system tells.
pub(crate) fn processor_time(program: &Program) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", program.id())).ok()?;
    // The name, in brackets, may hold anything; time in the program and in the system are the 12th
    // and 13th field behind it, in hundredths of a second.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

/// Number of a program's open files and sockets, where the system tells.
pub(crate) fn open_files(program: &Program) -> Option<usize> {
    fs::read_dir(format!("/proc/{}/fd", program.id())).ok().map(Iterator::count)
}
