//! `hedgerow serve`: one server, until it is told to stop.

use std::io;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hedgerow_catalog::{LogFormat, ServerConfig};

use super::error::CommandError;
use crate::log;
use crate::server::{ServeError, run_from_config};

/// Run one server: a node, a coordinator, or both.
///
/// `[tables.NAME]` in the configuration makes it a node, `[[federation.nodes]]` a coordinator.
/// It runs until SIGINT or SIGTERM, then lets running statements end. `docs/configuration.md`
/// lists every key.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The configuration, a TOML file; paths in it are relative to its folder.
    #[arg(long, value_name = "FILE", env = "HEDGEROW_CONFIG")]
    config: PathBuf,

    /// How log lines are written, whatever the configuration says.
    #[arg(long, value_enum)]
    log_format: Option<LogFormatArgument>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormatArgument {
    /// One readable line per event.
    Human,
    /// One JSON object per event and line.
    Json,
}

impl From<LogFormatArgument> for LogFormat {
    fn from(argument: LogFormatArgument) -> Self {
        match argument {
            LogFormatArgument::Human => Self::Human,
            LogFormatArgument::Json => Self::Json,
        }
    }
}

impl Serve {
    /// Serves until a signal.
    pub(super) async fn run(self) -> Result<(), CommandError> {
        let config = ServerConfig::load(&self.config)?;
        let format = self.log_format.map_or(config.log.format, LogFormat::from);
        log::init(format, &config.log.filter)?;
        let mut server = run_from_config(&config).await?;
        let role = match (config.is_node(), config.is_coordinator()) {
            (true, true) => "node and coordinator",
            (true, false) => "node",
            (false, _) => "coordinator",
        };
        tracing::info!(
            address = %server.local_addr(),
            role,
            organisation = config.organisation.as_deref().unwrap_or_default(),
            "serving"
        );
        let signal = tokio::select! {
            signal = stop_signal() => signal.map_err(CommandError::Signal)?,
            failed = server.failed() => return Ok(failed.map_err(ServeError::from)?),
        };
        tracing::info!(signal, "stopping");
        server.shutdown().await.map_err(ServeError::from)?;
        tracing::info!("stopped");
        Ok(())
    }
}

/// Waits for SIGINT or SIGTERM; returns its name.
pub(super) async fn stop_signal() -> io::Result<&'static str> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        Ok(tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        })
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.map(|()| "SIGINT")
}
