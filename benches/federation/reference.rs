//! One DataFusion in a process of its own, over the files of all nodes. Main type: [`Reference`].
//!
//! The process is this executable with [`ARGUMENT`]. Questions and answers are lines of JSON on its
//! standard input and output; the time is taken inside, so that the pipe does not count.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use datafusion::common::config::{ParquetOptions, TableParquetOptions};
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::ListingOptions;
use datafusion::prelude::{SessionConfig, SessionContext};
use hedgerow_catalog::{Contracts, visible_schema};
use serde_json::{Value, json};

use crate::Failure;
use crate::answers::{Answer, Row, rows};
use crate::processes::Process;
use crate::tables::TABLES;

/// Makes this executable the reference. Folders of the data and of the contracts follow.
pub(crate) const ARGUMENT: &str = "--reference";

/// The process.
pub(crate) struct Reference {
    process: Process,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Reference {
    /// Starts the process.
    pub(crate) fn start(data: &Path, contracts: &Path) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(ARGUMENT)
            .args([data, contracts])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (questions, answers) = (child.stdin.take(), child.stdout.take());
        let process = Process(child);
        let pipes = questions.zip(answers);
        let (questions, answers) = pipes.ok_or("the reference has no pipes")?;
        Ok(Self { process, questions, answers: BufReader::new(answers).lines() })
    }

    /// Its process.
    pub(crate) fn process(&self) -> u32 {
        self.process.0.id()
    }

    /// Asks one question.
    pub(crate) fn ask(&mut self, sql: &str) -> Result<Answer, Failure> {
        writeln!(self.questions, "{}", json!({ "sql": sql }))?;
        let line = self.answers.next().ok_or("the reference has ended")??;
        let answer: Value = serde_json::from_str(&line)?;
        if let Some(error) = answer.get("error") {
            return Err(format!("the reference says {error}").into());
        }
        let ms = answer.get("ms").and_then(Value::as_f64).ok_or("the reference took no time")?;
        let rows = answer.get("rows").cloned().unwrap_or_default();
        Ok(Answer { rows: serde_json::from_value::<Vec<Row>>(rows)?, ms })
    }
}

/// The process itself: answers questions until its input ends.
pub(crate) fn serve(folders: &[String]) -> Result<(), Failure> {
    let [data, contracts] = folders else {
        return Err("the reference needs two folders".into());
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let context = runtime.block_on(context(Path::new(data), Path::new(contracts)))?;
    for line in std::io::stdin().lines() {
        let question: Value = serde_json::from_str(&line?)?;
        let sql = question.get("sql").and_then(Value::as_str).ok_or("a question without SQL")?;
        let answer = match runtime.block_on(answer(&context, sql)) {
            Ok(answer) => json!({ "ms": answer.ms, "rows": answer.rows }),
            Err(error) => json!({ "error": error.to_string() }),
        };
        writeln!(std::io::stdout(), "{answer}")?;
    }
    Ok(())
}

async fn answer(context: &SessionContext, sql: &str) -> Result<Answer, Failure> {
    let start = Instant::now();
    let batches = context.sql(sql).await?.collect().await?;
    let ms = start.elapsed().as_secs_f64() * 1e3;
    Ok(Answer { rows: rows(&batches)?, ms })
}

/// All tables, with the types of their contracts. As many partitions as cores, by default.
async fn context(data: &Path, contracts: &Path) -> Result<SessionContext, Failure> {
    let contracts = Contracts::load(contracts)?;
    let mut config = SessionConfig::new();
    // As a node's session has them.
    let options = config.options_mut();
    options.execution.parquet.schema_force_view_types = false;
    options.execution.parquet.pushdown_filters = false;
    options.sql_parser.map_string_types_to_utf8view = false;
    let parquet = config.options().execution.parquet.clone();
    let context = SessionContext::new_with_config(config);
    for table in &TABLES {
        let contract = contracts.get(table.name).ok_or("a table without its contract")?;
        let global = ParquetOptions { skip_metadata: true, ..parquet.clone() };
        let options = TableParquetOptions { global, ..Default::default() };
        let format = ParquetFormat::default().with_options(options);
        let folder = data.join(table.name);
        let listing = ListingOptions::new(Arc::new(format));
        let schema = Some(visible_schema(contract));
        let url = format!("{}/", folder.display());
        context.register_listing_table(table.name, url, listing, schema, None).await?;
    }
    Ok(context)
}
