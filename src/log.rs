//! The program's log: `tracing` events as lines on standard error. Main entry: [`init`].
//!
//! Events hold no data value and no literal of a statement; that is for the crates that emit them.

use std::io;

use hedgerow_catalog::LogFormat;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// The filter of the configuration is not one.
#[derive(Debug, thiserror::Error)]
#[error("`{filter}` is not a log filter; write for example `info,hedgerow_engine=debug`")]
pub struct LogError {
    filter: String,
    source: ParseError,
}

/// Starts the log. A second call in one process changes nothing.
///
/// # Errors
/// [`LogError`] when `filter` cannot be parsed.
pub fn init(format: LogFormat, filter: &str) -> Result<(), LogError> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|source| LogError { filter: filter.to_owned(), source })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // The only error is that a log was started before.
    let _ = match format {
        LogFormat::Human => {
            let colours = io::IsTerminal::is_terminal(&io::stderr());
            builder.with_ansi(colours).try_init()
        }
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use super::*;

    #[test]
    fn wrong_filters_are_named() {
        let error = init(LogFormat::Human, "info,=").unwrap_err();
        assert!(error.to_string().starts_with("`info,=` is not a log filter"));
    }
}
