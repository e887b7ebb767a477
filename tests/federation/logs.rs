//! What the servers of this process wrote to the log, at the most talkative level.
//! Main entry: [`capture`].

use std::io::{self, Write};
use std::sync::{LazyLock, Mutex};

use tracing_subscriber::EnvFilter;

static WRITTEN: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static STARTED: LazyLock<()> = LazyLock::new(|| {
    let filter = "info,hedgerow=trace,hedgerow_catalog=trace,hedgerow_engine=trace,\
                  hedgerow_flight=trace,hedgerow_policies=trace";
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_ansi(false)
        .with_writer(|| Sink);
    log.init();
});

struct Sink;

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        WRITTEN.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Starts to keep the log of all servers of this process; later calls change nothing.
pub(crate) fn capture() {
    LazyLock::force(&STARTED);
}

/// Everything written so far, by all tests of this process.
pub(crate) fn text() -> String {
    String::from_utf8_lossy(&WRITTEN.lock().unwrap()).into_owned()
}

/// Lines that hold all of `words`.
pub(crate) fn lines_with(words: &[&str]) -> Vec<String> {
    let text = text();
    let holds = |line: &&str| words.iter().all(|word| line.contains(word));
    text.lines().filter(holds).map(str::to_owned).collect()
}
