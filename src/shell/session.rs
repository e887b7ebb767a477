//! One connection and how its answers are printed. Main type: [`Session`].

use std::io::Write;
use std::time::Instant;

use arrow::util::display::array_value_to_string;
use hedgerow_engine::WireError;
use hedgerow_flight::{QueryStream, SqlClient};

use super::error::ShellError;
use super::format::Format;
use super::meta::{HELP, Meta};
use super::problem::write_problem;
use super::render::{Summary, TableOptions, renderer};
use super::splitter::Input;
use super::why::{Last, Seen};

/// Columns of the terminal that one value about tables and organisations may take.
const CATALOG_WIDTH_MAX: usize = 200;

/// What became of one input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it should.
    Done,
    /// It failed, and the error is printed.
    Failed,
    /// Ctrl-C.
    Cancelled,
    /// The user wants to leave.
    Quit,
}

/// How answers are printed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    /// Their form.
    pub format: Format,
    /// How tables are drawn.
    pub table: TableOptions,
    /// Whether to tell how long a statement took.
    pub timing: bool,
}

/// A connection with its output.
pub struct Session {
    client: SqlClient,
    settings: Settings,
    out: Box<dyn Write + Send>,
    notes: Box<dyn Write + Send>,
    last: Last,
}

impl Session {
    /// A session that prints answers to `out` and everything else to `notes`.
    pub fn new(
        client: SqlClient,
        settings: Settings,
        out: Box<dyn Write + Send>,
        notes: Box<dyn Write + Send>,
    ) -> Self {
        Self { client, settings, out, notes, last: Last::default() }
    }

    /// Runs one input.
    ///
    /// # Errors
    /// When its answer cannot be printed.
    pub async fn run(&mut self, input: &Input) -> Result<Outcome, ShellError> {
        let outcome = match input {
            Input::Statement(statement) => self.statement(statement).await,
            Input::Command(line) => self.command(line).await,
        };
        self.out.flush()?;
        outcome
    }

    /// Asks a statement until it is answered or the user presses Ctrl-C, which drops the question
    /// and with it all work for it at the organisations.
    async fn statement(&mut self, statement: &str) -> Result<Outcome, ShellError> {
        self.last = Last::Nothing;
        let answered = tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => None,
            answered = self.ask(statement) => Some(answered?),
        };
        match answered {
            Some(Ok(seen)) => {
                self.last = Last::from(seen);
                Ok(Outcome::Done)
            }
            Some(Err(error)) => {
                self.last = Last::from(&error);
                self.out.flush()?;
                write_problem(&error, statement, &mut self.notes)?;
                Ok(Outcome::Failed)
            }
            None => {
                self.out.flush()?;
                writeln!(self.notes, "cancelled")?;
                Ok(Outcome::Cancelled)
            }
        }
    }

    /// The marks that its answer has.
    async fn ask(&mut self, statement: &str) -> Result<Result<Seen, WireError>, ShellError> {
        let start = Instant::now();
        let mut stream = match self.client.query(statement).await {
            Ok(stream) => stream,
            Err(error) => return Ok(Err(error)),
        };
        if stream.schema.fields().is_empty() {
            return Ok(drain(stream).await.map(|()| Seen::default()));
        }
        let Settings { format, table, timing } = self.settings;
        let mut seen = Seen::default();
        let mut renderer = renderer(format, table, &stream.schema, &mut self.out)?;
        while let Some(batch) = stream.next().await {
            match batch {
                Ok(batch) => {
                    seen.batch(&batch);
                    renderer.batch(&batch, &mut self.out)?;
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        let elapsed = timing.then(|| start.elapsed());
        let summary = Summary { coverage: stream.coverage().cloned(), elapsed };
        renderer.finish(&summary, &mut self.out, &mut self.notes)?;
        Ok(Ok(seen))
    }

    async fn command(&mut self, line: &str) -> Result<Outcome, ShellError> {
        match Meta::parse(line) {
            Meta::Quit => return Ok(Outcome::Quit),
            Meta::Help => writeln!(self.out, "{HELP}")?,
            Meta::Ask(statement) => return self.catalog(&statement).await,
            Meta::Why => self.last.write(&mut self.out)?,
            Meta::Timing(to) => {
                self.settings.timing = to.unwrap_or(!self.settings.timing);
                self.tell_switch("timing", self.settings.timing)?;
            }
            Meta::Expanded(to) => {
                let expanded = &mut self.settings.table.expanded;
                *expanded = to.unwrap_or(!*expanded);
                self.tell_switch("expanded display", self.settings.table.expanded)?;
            }
            Meta::Unknown(line) => {
                writeln!(self.notes, "unknown command `{line}`; `\\?` lists them")?;
                return Ok(Outcome::Failed);
            }
        }
        Ok(Outcome::Done)
    }

    /// Asks about tables and organisations, whose descriptions are long. What `\why` explains stays
    /// what it was.
    async fn catalog(&mut self, statement: &str) -> Result<Outcome, ShellError> {
        let width_max = std::mem::replace(&mut self.settings.table.width_max, CATALOG_WIDTH_MAX);
        let last = std::mem::take(&mut self.last);
        let outcome = self.statement(statement).await;
        self.last = last;
        self.settings.table.width_max = width_max;
        outcome
    }

    fn tell_switch(&mut self, what: &str, on: bool) -> Result<(), ShellError> {
        writeln!(self.notes, "{what} is {}", if on { "on" } else { "off" })?;
        Ok(())
    }

    /// Prints a line beside the answers.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn tell(&mut self, line: &str) -> Result<(), ShellError> {
        writeln!(self.notes, "{line}")?;
        Ok(())
    }

    /// The first column of an answer as words, for completion; empty when the question fails.
    pub(crate) async fn words(&mut self, statement: &str) -> Vec<String> {
        match self.client.query(statement).await {
            Ok(stream) => first_column(stream).await,
            Err(_) => vec![],
        }
    }
}

/// Waits for the end of a statement that has no answer, such as SET.
async fn drain(mut stream: QueryStream) -> Result<(), WireError> {
    while let Some(batch) = stream.next().await {
        batch?;
    }
    Ok(())
}

async fn first_column(mut stream: QueryStream) -> Vec<String> {
    let mut words = vec![];
    while let Some(Ok(batch)) = stream.next().await {
        let Some(column) = batch.columns().first() else { break };
        words.extend(
            (0..batch.num_rows()).filter_map(|row| array_value_to_string(column, row).ok()),
        );
    }
    words
}
