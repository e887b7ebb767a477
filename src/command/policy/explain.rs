//! `hedgerow policy explain`: one statement, judged as a node would judge it, and not run.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use clap::Args;
use futures::TryStreamExt;
use hedgerow_catalog::{Contracts, LogFormat, ServerConfig};
use hedgerow_engine::{
    Coordinator, EngineError, FragmentExplanation, InProcessChannel, Node, NodeChannel, Session,
    WireError,
};
use hedgerow_policies::Rule;

use super::load;
use super::page::Page;
use crate::command::error::CommandError;
use crate::log;
use crate::server::ServeError;
use crate::shell::{ShellError, write_problem};

/// Who asks, as far as anybody is told.
const USER: &str = "explain";
/// The columns of an EXPLAIN.
const COLUMNS: [&str; 3] = ["step", "organisation", "text"];

/// Judge one statement as this node would, without running it.
///
/// Prints each question that the node would be asked, whether it is allowed or refused and by which
/// rule, what the gate would count beside it, and which cells fall together. The data files are
/// opened, since their columns are checked against the contracts; no row is read for an answer and
/// nothing goes into the ledger. The exit code is 1 when the statement is refused.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The node's configuration, as `hedgerow serve --config` takes it.
    #[arg(long, value_name = "FILE", env = "HEDGEROW_CONFIG")]
    config: PathBuf,

    /// The statement.
    #[arg(value_name = "SQL")]
    statement: String,
}

/// A question to the node.
struct Question {
    step: String,
    text: String,
}

/// What the node says of one: nothing where it would not be asked.
type Judgement = Option<Result<FragmentExplanation, WireError>>;

impl Explain {
    /// Prints the judgement; `Ok(false)` when the statement was refused or failed.
    pub(super) async fn run(self) -> Result<bool, CommandError> {
        log::init(LogFormat::Human, "error")?;
        let (config, contracts) = load(&self.config)?;
        // Nothing leaves, so there is nothing to record.
        let config = ServerConfig { ledger: None, ..config };
        let node = Node::open(&config, contracts.clone()).await.map_err(ServeError::Node)?;
        let coordinator = coordinator(&config, contracts, &node).await?;
        match questions(&coordinator, &self.statement).await {
            Ok(questions) => {
                let judged = judge(&node, questions).await;
                let together = judge_together(&node, &judged).await;
                let allowed = judged.iter().all(|(_, judged)| !matches!(judged, Some(Err(_))));
                write(&judged, together.as_ref(), &mut io::stdout().lock())
                    .map_err(ShellError::Write)?;
                Ok(allowed && together.is_none())
            }
            Err(error) => {
                write_failure(&error.external(), &self.statement).map_err(ShellError::Write)?;
                Ok(false)
            }
        }
    }
}

/// A coordinator over this one node, without tables of its own: their rows would stand in the
/// questions.
async fn coordinator(
    config: &ServerConfig,
    contracts: Contracts,
    node: &Arc<Node>,
) -> Result<Arc<Coordinator>, ServeError> {
    let channel: Arc<dyn NodeChannel> = Arc::new(InProcessChannel::new(Arc::clone(node)));
    let own = BTreeMap::new();
    Coordinator::connect_with(contracts, vec![channel], &config.views, &own, config.limits)
        .await
        .map_err(ServeError::Coordinator)
}

/// What the node would be asked for a statement, as its EXPLAIN says.
async fn questions(
    coordinator: &Arc<Coordinator>,
    statement: &str,
) -> Result<Vec<Question>, EngineError> {
    let text = format!("EXPLAIN {}", statement.trim_end_matches([';', ' ', '\n']));
    let prepared = match coordinator.prepare(&text, false).await {
        Ok(prepared) => prepared,
        // Places in the text are to be those of the statement alone.
        Err(error) => {
            return Err(coordinator.prepare(statement, false).await.err().unwrap_or(error));
        }
    };
    let schema = prepared.schema();
    if !schema.fields().iter().map(|field| field.name().as_str()).eq(COLUMNS) {
        // EXPLAIN ANALYZE runs its statement.
        let message = "write the statement without ANALYZE: it is not run here".to_owned();
        return Err(EngineError::Invalid { message });
    }
    let answer = coordinator.run(&Session::new(USER), prepared).await?;
    let batches: Vec<RecordBatch> =
        answer.stream.try_collect().await.map_err(EngineError::from_execution)?;
    Ok(batches.iter().flat_map(rows).collect())
}

/// The rows of an EXPLAIN that say what a node is asked; the others are about the merge.
fn rows(batch: &RecordBatch) -> Vec<Question> {
    let [steps, organisations, texts] = COLUMNS.map(|name| {
        let column = batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
        column.map(|column| column.iter().map(Option::unwrap_or_default).collect::<Vec<_>>())
    });
    let steps = steps.unwrap_or_default().into_iter();
    let rest = organisations.unwrap_or_default().into_iter().zip(texts.unwrap_or_default());
    let asked = steps.zip(rest).filter(|(_, (organisation, _))| !organisation.is_empty());
    let question =
        |step: &str, text: &str| Question { step: step.to_owned(), text: text.to_owned() };
    asked.map(|(step, (_, text))| question(step, text)).collect()
}

async fn judge(node: &Arc<Node>, questions: Vec<Question>) -> Vec<(Question, Judgement)> {
    let mut judged = Vec::with_capacity(questions.len());
    for question in questions {
        let judgement = match question.text.starts_with("not asked") {
            true => None,
            false => Some(node.explain(&question.text).await.map_err(|error| error.external())),
        };
        judged.push((question, judgement));
    }
    judged
}

/// What the node says of the allowed questions together, where it turns that down.
async fn judge_together(node: &Arc<Node>, judged: &[(Question, Judgement)]) -> Option<WireError> {
    let allowed = judged.iter().filter(|(_, judgement)| matches!(judgement, Some(Ok(_))));
    let texts: Vec<String> = allowed.map(|(question, _)| question.text.clone()).collect();
    node.check_together(&texts).await.err().map(|error| error.external())
}

fn write(
    judged: &[(Question, Judgement)],
    together: Option<&WireError>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let page = &mut Page::new(&mut *out);
    if judged.is_empty() {
        page.line("The statement asks nothing of the node.")?;
    }
    for (Question { step, text }, judgement) in judged {
        page.line(step)?;
        page.line(&format!("  {text}"))?;
        match judgement {
            None => {}
            Some(Ok(explanation)) => write_allowed(page, explanation)?,
            Some(Err(error)) => write_refused(page, error)?,
        }
    }
    if let Some(error) = together {
        page.line("the statement as a whole")?;
        write_refused(page, error)?;
    }
    page.heading("Nothing was run and nothing was recorded.")?;
    out.flush()
}

fn write_allowed(page: &mut Page<'_>, explanation: &FragmentExplanation) -> io::Result<()> {
    let FragmentExplanation { k, round_to, text, added, together } = explanation;
    let Some(k) = k else {
        return page.entry("allowed", "open tables only: the gate has nothing to count");
    };
    page.entry("allowed", &format!("the gate releases what {k} people or more stand behind"))?;
    if let Some(base) = round_to {
        let words = format!("to multiples of {base}, but for `policy.coordinators`");
        page.entry("rounded", &words)?;
    }
    page.entry("runs as", "the fragment, written anew, with the columns that are added")?;
    page.line(&format!("    {text}"))?;
    for column in added {
        page.entry(&format!("added {}", column.name), &column.role)?;
        page.line(&format!("    {}", column.text))?;
    }
    for cells in together {
        page.names("fall together", cells)?;
    }
    Ok(())
}

fn write_refused(page: &mut Page<'_>, error: &WireError) -> io::Result<()> {
    match &error.rule {
        Some(id) => {
            page.entry("refused", &format!("by rule {id}"))?;
            if let Some(rule) = Rule::from_id(id) {
                page.entry("the rule", rule.explanation())?;
            }
        }
        None => page.entry("fails", &format!("SQLSTATE {}", error.sqlstate))?,
    }
    page.entry("reason", &error.message)?;
    match &error.hint {
        Some(hint) => page.entry("write instead", hint),
        None => Ok(()),
    }
}

/// A statement that comes to no question: refused as a whole, or not understood.
fn write_failure(error: &WireError, text: &str) -> io::Result<()> {
    if error.rule.is_none() {
        return write_problem(error, text, &mut io::stderr().lock());
    }
    let mut out = io::stdout().lock();
    let page = &mut Page::new(&mut out);
    page.line("the statement as a whole")?;
    write_refused(page, error)?;
    out.flush()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use hedgerow_engine::AddedColumn;

    use super::*;

    fn written(judgement: Judgement) -> String {
        let question = Question { step: "fragment 0".to_owned(), text: "SELECT 1".to_owned() };
        let mut out = vec![];
        write(&[(question, judgement)], None, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_the_gate_adds_is_told_with_its_role() {
        let added = AddedColumn {
            name: "m2".to_owned(),
            text: "\"hedgerow_people\"(1)".to_owned(),
            role: "people: those of the group (G1)".to_owned(),
        };
        let together = vec![vec!["m0".to_owned(), "m1".to_owned()]];
        let explanation = FragmentExplanation {
            k: Some(10),
            round_to: Some(5),
            text: "SELECT 1".to_owned(),
            added: vec![added],
            together,
        };
        let text = written(Some(Ok(explanation)));
        for part in ["10 people", "multiples of 5", "added m2", "(G1)", "m0, m1", "SELECT 1"] {
            assert!(text.contains(part), "no {part} in:\n{text}");
        }
    }

    #[test]
    fn refusals_are_told_with_rule_reason_and_hint() {
        let error = WireError {
            sqlstate: "42501".to_owned(),
            rule: Some("S8.extreme".to_owned()),
            message: "`max` yields some person's own value".to_owned(),
            hint: Some("ask for a mean".to_owned()),
            organisation: None,
        };
        let text = written(Some(Err(error)));
        for part in ["by rule S8.extreme", "`max` yields", "ask for a mean", "Nothing was run"] {
            assert!(text.contains(part), "no {part} in:\n{text}");
        }
    }

    #[test]
    fn open_tables_need_no_gate() {
        let text = written(Some(Ok(FragmentExplanation::default())));
        assert!(text.contains("open tables only"), "{text}");
    }
}
