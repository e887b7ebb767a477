//! Panics in the servers of this process. They run in the same process as the tests, where a panic
//! in one of their tasks would pass unnoticed. Main entries: [`watch`], [`assert_none`].

use std::backtrace::Backtrace;
use std::panic::{self, PanicHookInfo};
use std::sync::{LazyLock, Mutex};

static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
static WATCHING: LazyLock<()> = LazyLock::new(|| {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !is_assertion(info) && !is_contained() {
            SEEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(info.to_string());
        }
        before(info);
    }));
});

/// A test that fails panics too, and where it is written.
fn is_assertion(info: &PanicHookInfo<'_>) -> bool {
    info.location().is_some_and(|location| location.file().starts_with("tests/"))
}

/// Parquet's reader asserts over damaged pages, deep inside and whatever its caller does. The node
/// makes an error of it.
fn is_contained() -> bool {
    Backtrace::force_capture().to_string().contains("parquet::arrow::record_reader")
}

/// Starts to take note of panics; later calls change nothing.
pub(crate) fn watch() {
    LazyLock::force(&WATCHING);
}

/// Fails when anything but a test has panicked since the first [`watch`].
pub(crate) fn assert_none() {
    let seen = SEEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
    assert!(seen.is_empty(), "there were panics:\n{}", seen.join("\n\n"));
}
