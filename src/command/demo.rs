//! `hedgerow demo`: a federation of fictional organisations on this machine.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use hedgerow_catalog::LogFormat;
use hedgerow_flight::Credentials;

use super::error::{CommandError, UsageError};
use super::serve::stop_signal;
use super::shell::{ShellArguments, Target};
use crate::demo::{ANALYST, DataOptions, Demo as Federation, DemoOptions};
use crate::log;
use crate::shell::ShellError;

/// Start a federation of fictional organisations here, and a shell on it.
///
/// Five organisations and a coordinator, each a real server on a port of its own, answer over
/// encrypted connections. The data are made up, the same for the same seed, and kept in the
/// user's cache folder. Nothing leaves this machine.
#[derive(Debug, Args)]
pub(super) struct Demo {
    #[command(flatten)]
    shell: ShellArguments,

    /// People in all, over all organisations.
    #[arg(long, value_name = "N", default_value_t = DataOptions::default().people)]
    people: usize,

    /// Organisations.
    #[arg(long, value_name = "N", default_value_t = DataOptions::default().organisations)]
    organisations: usize,

    /// Care boards between the organisations and the coordinator, at most 6: each coordinates some
    /// of the organisations and answers for them. The shell is then the one above the boards.
    #[arg(long, value_name = "N", default_value_t = 0,
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(0..=6))]
    boards: usize,

    /// Disclosure rules of every organisation: a TOML file with the keys of `[policy]`, such as
    /// `complement = true`. The coordinator's user is `coordinator`.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// Another seed makes other data.
    #[arg(long, value_name = "N", default_value_t = DataOptions::default().seed)]
    seed: u64,

    /// No shell: print addresses, certificate and password, and stay up until Ctrl-C.
    #[arg(long, conflicts_with_all = ["commands", "file"])]
    serve: bool,

    /// Keep data and configuration in this folder, to read them or to use them again with
    /// `hedgerow serve --config DIR/ORGANISATION/serve.toml`.
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl Demo {
    /// Starts everything and runs the shell; `Ok(false)` when a statement failed.
    pub(super) async fn run(self) -> Result<bool, CommandError> {
        let filter = std::env::var("HEDGEROW_LOG").ok();
        let default = if self.serve { "info" } else { "error" };
        log::init(LogFormat::Human, filter.as_deref().unwrap_or(default))?;
        let data =
            DataOptions { people: self.people, organisations: self.organisations, seed: self.seed };
        let policy = self.policy.as_deref().map(read_policy).transpose()?;
        let options = DemoOptions { data, boards: self.boards, policy, directory: self.directory };
        let federation = tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => return Err(CommandError::Interrupted),
            started = Federation::start(options, tell) => started?,
        };
        let done = match self.serve {
            true => serve(&federation).await.map(|()| true),
            false => self.shell.run(target(&federation)).await,
        };
        federation.shutdown().await;
        done
    }
}

/// The keys of a policy; whether they are right is checked as part of a node's configuration.
fn read_policy(path: &Path) -> Result<toml::Table, UsageError> {
    let wrong = |why: String| UsageError::Policy { path: path.to_owned(), why };
    let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    text.parse().map_err(|error: toml::de::Error| wrong(error.to_string()))
}

/// A note on progress, for somebody who watches.
fn tell(note: &str) {
    let mut notes = io::stderr().lock();
    if notes.is_terminal() {
        // A note that cannot be written is not worth an error.
        let _ = writeln!(notes, "{note} …");
    }
}

fn target(federation: &Federation) -> Target {
    Target {
        url: federation.url(),
        authority: federation.authority(),
        credentials: Credentials {
            user: ANALYST.to_owned(),
            password: federation.password().to_owned(),
        },
    }
}

async fn serve(federation: &Federation) -> Result<(), CommandError> {
    write_directions(federation, &mut io::stdout().lock()).map_err(ShellError::Write)?;
    stop_signal().await.map(|_| ()).map_err(CommandError::Signal)
}

fn write_directions(federation: &Federation, out: &mut dyn Write) -> io::Result<()> {
    let url = federation.url();
    let [authority, password_file] =
        [federation.authority(), federation.password_file()].map(|path| path.display().to_string());
    for (name, address) in federation.addresses() {
        writeln!(out, "{name:<24} https://{address}")?;
    }
    writeln!(out)?;
    writeln!(out, "authority     {authority}")?;
    writeln!(out, "user          {ANALYST}")?;
    writeln!(out, "password      {}", federation.password())?;
    writeln!(out, "configuration {}", federation.folder().display())?;
    writeln!(out)?;
    writeln!(
        out,
        "Connect with the shell, or with any Flight SQL client at {}:",
        url.replace("https", "grpc+tls")
    )?;
    writeln!(
        out,
        "  hedgerow sql {url} --user {ANALYST} --authority {authority} --password-file {password_file}"
    )?;
    writeln!(out, "Ctrl-C stops all servers.")?;
    out.flush()
}
