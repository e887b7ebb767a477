//! The arguments that every command with a shell takes. Main type: [`ShellArguments`].

use std::io::{self, BufWriter, IsTerminal};
use std::path::PathBuf;

use clap::{ArgAction, Args};
use hedgerow_flight::{ClientTls, Credentials, SqlClient};

use super::error::CommandError;
use crate::shell::interactive::{self, HistoryFile};
use crate::shell::{Format, Session, Settings, ShellError, TableOptions, script};

#[derive(Debug, Args)]
pub(super) struct ShellArguments {
    /// Run these statements and exit; may be given several times.
    #[arg(short, long = "command", value_name = "SQL")]
    commands: Vec<String>,

    /// Run the statements of a file and exit, after any `-c`; `-` is standard input.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// How answers are printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// Rows of a table that are drawn; the rest is only counted. CSV and JSON have all rows.
    #[arg(long, value_name = "N", default_value_t = TableOptions::default().rows_max)]
    rows: usize,

    /// Whether a statement that fails ends the script; the exit code is 1 either way.
    #[arg(long, value_name = "true|false", default_value_t = true, action = ArgAction::Set)]
    on_error_stop: bool,

    /// File that keeps what is typed; `$XDG_STATE_HOME/hedgerow/history` by default.
    #[arg(long, value_name = "FILE", env = "HEDGEROW_HISTORY", conflicts_with = "no_history")]
    history: Option<PathBuf>,

    /// Keep nothing of what is typed.
    #[arg(long)]
    no_history: bool,
}

/// A server and who asks it.
pub(super) struct Target {
    pub(super) url: String,
    pub(super) authority: PathBuf,
    pub(super) credentials: Credentials,
}

impl ShellArguments {
    /// Whether statements are typed by somebody at a terminal.
    pub(super) fn is_interactive(&self) -> bool {
        self.commands.is_empty() && self.file.is_none() && io::stdin().is_terminal()
    }

    /// Connects and runs everything; `Ok(false)` when a statement failed.
    pub(super) async fn run(self, target: Target) -> Result<bool, CommandError> {
        let client = connect(target).await?;
        let interactive = self.is_interactive();
        let settings = Settings {
            format: self.format,
            table: TableOptions { rows_max: self.rows, ..TableOptions::default() },
            timing: interactive,
        };
        let out = Box::new(BufWriter::new(io::stdout()));
        let mut session = Session::new(client, settings, out, Box::new(io::stderr()));
        if interactive {
            session.tell("SQL ends with `;`. `\\?` for help, `\\d` for tables, `\\q` to leave.")?;
            interactive::run(&mut session, &self.history_file()).await?;
            return Ok(true);
        }
        Ok(self.run_scripts(&mut session).await?)
    }

    async fn run_scripts(&self, session: &mut Session) -> Result<bool, ShellError> {
        let stop = self.on_error_stop;
        if self.commands.is_empty() && self.file.is_none() {
            return script::run_stdin(session, stop).await;
        }
        let mut succeeded = true;
        for text in &self.commands {
            succeeded &= script::run_text(session, text, stop).await?;
            if stop && !succeeded {
                return Ok(false);
            }
        }
        if let Some(path) = &self.file {
            succeeded &= script::run_file(session, path, stop).await?;
        }
        Ok(succeeded)
    }

    fn history_file(&self) -> HistoryFile {
        match (&self.history, self.no_history) {
            (_, true) => HistoryFile::Off,
            (Some(path), false) => HistoryFile::At(path.clone()),
            (None, false) => HistoryFile::Default,
        }
    }
}

async fn connect(target: Target) -> Result<SqlClient, CommandError> {
    let Target { url, authority, credentials } = target;
    let tls = ClientTls { authority, domain: None };
    let connected = SqlClient::connect(&url, &tls, credentials).await;
    connected.map_err(|source| CommandError::Connect { url, source: Box::new(source) })
}
