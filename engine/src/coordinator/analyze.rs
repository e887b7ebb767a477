//! `EXPLAIN ANALYZE`: runs a statement and says where its time went. Main type: [`Analysis`].
//!
//! What is told of a node is what the coordinator sees of it anyway: how long a whole call took, and
//! what was released. Nothing that the node measured itself, and nothing from before its gate.
//!
//! | step | time | rows and bytes |
//! | --- | --- | --- |
//! | `total` | planning and run | of the answer |
//! | `planning` | until the statement is split | |
//! | `round` | until all nodes have answered it, and the subqueries that waited for it are computed | released by all nodes |
//! | `fragment N`, `rows of NAME` | from the bundle being sent to its last message | released by the node |
//! | `merge` | the merge plan, with the rows that it streams from nodes | of the answer |
//! | `not asked` | | |

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use datafusion::arrow::array::{
    Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::coverage::{Coverage, NodeOutcome};
use crate::error::EngineError;

/// What is seen of one run.
#[derive(Debug, Default)]
pub(crate) struct Analysis {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    rounds: Vec<Round>,
    calls: Vec<Call>,
}

#[derive(Debug)]
struct Round {
    /// The statement's numbers of the fragments that are asked.
    fragments: Vec<usize>,
    started: Instant,
    took: Duration,
}

/// One bundle of one node, or one stream of rows.
#[derive(Debug)]
struct Call {
    /// Place of the round in the statement; rows are streamed after all of them.
    round: Option<usize>,
    organisation: String,
    parts: Vec<Part>,
    started: Instant,
    /// Until the last message that came.
    took: Duration,
    /// `None` where no more rows were needed.
    ended: Option<(NodeOutcome, String)>,
}

#[derive(Debug, Clone)]
struct Part {
    step: String,
    volume: Volume,
}

/// What was released: rows, and the bytes of their values.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Volume {
    rows: usize,
    bytes: usize,
}

impl Volume {
    /// Adds a batch. Bytes are those of its values, whatever buffers they share.
    pub(crate) fn add(&mut self, batch: &RecordBatch) {
        self.rows += batch.num_rows();
        let bytes = |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or(0);
        self.bytes += batch.columns().iter().map(bytes).sum::<usize>();
    }

    fn and(self, other: Self) -> Self {
        Self { rows: self.rows + other.rows, bytes: self.bytes + other.bytes }
    }
}

/// Watches one call, where the run is analysed.
#[derive(Debug)]
pub(crate) struct Watch {
    call: Option<(Arc<Analysis>, usize)>,
}

impl Watch {
    /// Watches nothing.
    pub(crate) const NONE: Self = Self { call: None };

    /// A batch of a part of the call came.
    pub(crate) fn received(&self, part: usize, batch: &RecordBatch) {
        self.with(|call| {
            call.took = call.started.elapsed();
            if let Some(part) = call.parts.get_mut(part) {
                part.volume.add(batch);
            }
        });
    }

    /// Nothing more comes.
    pub(crate) fn ended(&self, outcome: NodeOutcome, note: &str) {
        self.with(|call| {
            call.took = call.started.elapsed();
            call.ended = Some((outcome, note.to_owned()));
        });
    }

    fn with(&self, act: impl FnOnce(&mut Call)) {
        let Some((analysis, call)) = &self.call else { return };
        if let Some(call) = analysis.seen().calls.get_mut(*call) {
            act(call);
        }
    }
}

impl Analysis {
    /// A round begins that asks these fragments.
    pub(crate) fn begin_round(&self, fragments: &[usize]) {
        let started = Instant::now();
        let round = Round { fragments: fragments.to_vec(), started, took: Duration::ZERO };
        self.seen().rounds.push(round);
    }

    /// The round is over.
    pub(crate) fn end_round(&self) {
        if let Some(round) = self.seen().rounds.last_mut() {
            round.took = round.started.elapsed();
        }
    }

    /// A node is asked a bundle, with these fragments of the round.
    pub(crate) fn bundle(self: &Arc<Self>, organisation: &str, places: &[usize]) -> Watch {
        let mut seen = self.seen();
        let round = seen.rounds.len().checked_sub(1);
        let asked = seen.rounds.last().map(|round| round.fragments.as_slice()).unwrap_or_default();
        let steps = places.iter().filter_map(|place| asked.get(*place));
        let steps = steps.map(|number| format!("fragment {number}")).collect();
        self.call(&mut seen, round, organisation, steps)
    }

    /// A node is asked for rows.
    pub(crate) fn rows(self: &Arc<Self>, organisation: &str, name: &str) -> Watch {
        self.call(&mut self.seen(), None, organisation, vec![format!("rows of {name}")])
    }

    fn call(
        self: &Arc<Self>,
        seen: &mut Seen,
        round: Option<usize>,
        organisation: &str,
        steps: Vec<String>,
    ) -> Watch {
        let part = |step| Part { step, volume: Volume::default() };
        seen.calls.push(Call {
            round,
            organisation: organisation.to_owned(),
            parts: steps.into_iter().map(part).collect(),
            started: Instant::now(),
            took: Duration::ZERO,
            ended: None,
        });
        Watch { call: Some((Arc::clone(self), seen.calls.len() - 1)) }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows of the answer: of each round the slowest node first.
    pub(crate) fn report(
        &self,
        times: Times,
        answer: Volume,
        coverage: &Coverage,
    ) -> Result<RecordBatch, EngineError> {
        let seen = self.seen();
        let mut lines = vec![
            Line { volume: Some(answer), ..Line::new("total", times.planning + times.run) },
            Line::new("planning", times.planning),
        ];
        for (place, round) in seen.rounds.iter().enumerate() {
            let asked = seen.lines_of(Some(place));
            let volume =
                asked.iter().filter_map(|line| line.volume).fold(Volume::default(), Volume::and);
            let line = Line { volume: Some(volume), ..Line::new("round", round.took) };
            lines.push(Line { round: Some(place + 1), ..line });
            lines.extend(asked);
        }
        lines.push(Line { volume: Some(answer), ..Line::new("merge", times.merge) });
        lines.extend(seen.lines_of(None));
        let asked = |name: &str| seen.calls.iter().any(|call| call.organisation == name);
        for node in coverage.nodes.iter().filter(|node| !asked(&node.organisation)) {
            lines.push(Line {
                step: "not asked".to_owned(),
                organisation: node.organisation.clone(),
                outcome: outcome_word(node.outcome),
                note: node.detail.clone().unwrap_or_default(),
                ..Line::default()
            });
        }
        batch(&lines)
    }
}

impl Seen {
    /// The calls of a round, or those for rows, the slowest first.
    fn lines_of(&self, round: Option<usize>) -> Vec<Line> {
        let mut calls: Vec<&Call> = self.calls.iter().filter(|call| call.round == round).collect();
        calls.sort_by_key(|call| std::cmp::Reverse(call.took));
        let several = calls.len() > 1;
        let mut lines = vec![];
        for (place, call) in calls.into_iter().enumerate() {
            let (outcome, detail) = match &call.ended {
                Some((outcome, detail)) => (*outcome, detail.as_str()),
                None => (NodeOutcome::Answered, "no more rows were needed"),
            };
            let slowest = if several && place == 0 { "slowest" } else { "" };
            let notes = [slowest, detail].into_iter().filter(|note| !note.is_empty());
            let note = notes.collect::<Vec<_>>().join("; ");
            lines.extend(call.parts.iter().map(|part| Line {
                organisation: call.organisation.clone(),
                outcome: outcome_word(outcome),
                round: round.map(|place| place + 1),
                volume: Some(part.volume),
                note: note.clone(),
                ..Line::new(&part.step, call.took)
            }));
        }
        lines
    }
}

/// How long the parts of a run took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) planning: Duration,
    /// All that followed planning.
    pub(crate) run: Duration,
    pub(crate) merge: Duration,
}

#[derive(Debug, Default)]
struct Line {
    step: String,
    organisation: String,
    outcome: &'static str,
    round: Option<usize>,
    took: Option<Duration>,
    volume: Option<Volume>,
    note: String,
}

impl Line {
    fn new(step: &str, took: Duration) -> Self {
        Self { step: step.to_owned(), took: Some(took), ..Self::default() }
    }
}

fn outcome_word(outcome: NodeOutcome) -> &'static str {
    match outcome {
        NodeOutcome::Answered => "answered",
        NodeOutcome::NotNeeded => "not needed",
        NodeOutcome::Refused => "refused",
        NodeOutcome::Unavailable => "unavailable",
        NodeOutcome::NotConforming => "not conforming",
    }
}

/// The columns of an analysis. Programs read them: they stay as they are.
pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("step", DataType::Utf8, false),
        Field::new("organisation", DataType::Utf8, false),
        Field::new("outcome", DataType::Utf8, false),
        Field::new("round", DataType::Int64, true),
        Field::new("ms", DataType::Float64, true),
        Field::new("rows", DataType::Int64, true),
        Field::new("bytes", DataType::Int64, true),
        Field::new("note", DataType::Utf8, false),
    ]))
}

fn batch(lines: &[Line]) -> Result<RecordBatch, EngineError> {
    let text = |pick: fn(&Line) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(lines.iter().map(pick)))
    };
    let number = |pick: fn(&Line) -> Option<usize>| -> ArrayRef {
        let whole = |line: &Line| pick(line).and_then(|n| i64::try_from(n).ok());
        Arc::new(lines.iter().map(whole).collect::<Int64Array>())
    };
    // Thousandths tell all that a clock on a network can.
    let ms = |took: Duration| (took.as_secs_f64() * 1e6).round() / 1e3;
    let columns = vec![
        text(|line| &line.step),
        text(|line| &line.organisation),
        text(|line| line.outcome),
        number(|line| line.round),
        Arc::new(lines.iter().map(|line| line.took.map(ms)).collect::<Float64Array>()),
        number(|line| line.volume.map(|volume| volume.rows)),
        number(|line| line.volume.map(|volume| volume.bytes)),
        text(|line| &line.note),
    ];
    RecordBatch::try_new(schema(), columns).map_err(|e| EngineError::internal("analysing", e))
}
