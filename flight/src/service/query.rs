//! A statement at the coordinator: planned once, run, and streamed with its coverage.
//!
//! ```text
//! plan ─► Statement ─► run ─► first batch ─► coverage complete?
//!                                              yes: on the schema message
//!                                              no:  on an empty batch at the end
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow_flight::FlightData;
use arrow_flight::encode::{FlightDataEncoderBuilder, GRPC_TARGET_MAX_FLIGHT_SIZE_BYTES};
use arrow_flight::utils::batches_to_flight_data;
use datafusion::error::DataFusionError;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt, TryFutureExt, TryStreamExt, stream};
use hedgerow_engine::{Answer, Coverage, CoverageLog, EngineError, Prepared, sqlstate};
use prost::bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;

use super::guarded::{Closing, Guarded, Halt};
use super::log::{Line, Role};
use super::statements::{Asked, Statement};
use super::{Answers, Caller, Shared, internal};
use crate::status::{engine_status, flight_status, from_status, to_status, wire_error};

/// A run whose first batch has come.
struct Opened {
    answer: Answer,
    first: Option<RecordBatch>,
    halt: Halt,
    place: OwnedSemaphorePermit,
}

impl Shared {
    /// Plans a statement. No node is asked for data. Writes a line when planning fails.
    pub(super) async fn plan(
        &self,
        caller: &Caller,
        text: &str,
        companions: bool,
    ) -> Result<Statement, Status> {
        let mut line = Line::new(&self.metrics, Role::Coordinator, &self.name, caller.user());
        let started = Instant::now();
        let timeout = self.timeout();
        let halt = Halt::new(timeout, timeout, None, self.stopping.clone());
        let planned = async {
            self.check_length(text)?;
            let _place = self.place(&self.queries)?;
            halt.race(self.prepare(text, companions)).await
        };
        match planned.await {
            Ok(prepared) => {
                line.keep_back();
                let asked = Asked { user: caller.user().to_owned(), companions };
                Ok(Statement::new(asked, prepared, started.elapsed()))
            }
            Err(status) => {
                line.set_outcome(&from_status(&status).sqlstate);
                Err(status)
            }
        }
    }

    /// Notes what the caller's session asks for from now on, as `SET hedgerow.purpose` does.
    pub(super) async fn set_purpose(&self, caller: &Caller, purpose: &str) -> Result<(), Status> {
        let text = format!("SET hedgerow.purpose = '{}'", purpose.replace('\'', "''"));
        self.check_length(&text)?;
        let prepared = self.prepare(&text, false).await?;
        let answer = self.run(caller, prepared).await?;
        answer.stream.try_for_each(|_| async { Ok(()) }).await.map_err(execution_status)
    }

    /// Runs a statement and streams its answer. Writes one line, whatever becomes of it.
    pub(super) async fn execute(
        &self,
        caller: &Caller,
        statement: &Statement,
    ) -> Result<Answers, Status> {
        let mut line = Line::new(&self.metrics, Role::Coordinator, &self.name, caller.user());
        match self.open(caller, statement, &mut line).await {
            Ok(opened) => self.stream(statement, opened, line),
            Err(status) => {
                line.set_outcome(&from_status(&status).sqlstate);
                Err(status)
            }
        }
    }

    /// Runs a statement up to its first batch, so that most errors come before the answer begins
    /// and the coverage of an aggregate is known.
    async fn open(
        &self,
        caller: &Caller,
        statement: &Statement,
        line: &mut Line,
    ) -> Result<Opened, Status> {
        let place = self.place(&self.queries)?;
        let plan = statement.take_plan();
        let timeout = self.timeout();
        let spent = if plan.is_some() { statement.planning } else { Default::default() };
        let left = timeout.saturating_sub(spent);
        let cancelled = Some(statement.cancellation());
        let halt = Halt::new(timeout, left, cancelled, self.stopping.clone());
        let (answer, first) = halt.race(self.begin(caller, statement, plan, line)).await?;
        Ok(Opened { answer, first, halt, place })
    }

    /// Runs a plan, made anew where a run before has taken it, up to its first batch.
    async fn begin(
        &self,
        caller: &Caller,
        statement: &Statement,
        plan: Option<Prepared>,
        line: &mut Line,
    ) -> Result<(Answer, Option<RecordBatch>), Status> {
        let prepared = match plan {
            Some(prepared) => prepared,
            None => self.prepare(&statement.text, statement.companions).await?,
        };
        line.set_statement_id(prepared.statement_id());
        if prepared.schema() != statement.schema {
            return Err(changed());
        }
        let mut answer = self.run(caller, prepared).await?;
        line.set_statement_id(&answer.statement_id);
        let first = answer.stream.next().await.transpose().map_err(execution_status)?;
        Ok((answer, first))
    }

    fn stream(&self, statement: &Statement, opened: Opened, line: Line) -> Result<Answers, Status> {
        let Opened { answer, first, halt, place } = opened;
        let schema = Arc::clone(&statement.schema);
        let early = answer.coverage.is_complete().then(|| answer.coverage.snapshot());
        let metadata = early.as_ref().map(coverage_json).transpose()?.unwrap_or_default();
        let closing = closing(Arc::clone(&schema), Arc::clone(&answer.coverage), early);
        let batches = stream::iter(first.map(Ok)).chain(answer.stream);
        let messages = FlightDataEncoderBuilder::new()
            .with_schema(Arc::clone(&schema))
            .with_metadata(metadata)
            .with_max_flight_data_size(self.message_bytes())
            .build(counted(batches, schema, line.rows()).map_err(Into::into))
            .map_err(flight_status);
        Ok(Box::pin(Guarded::new(messages.boxed(), Some(closing), halt, line, place)))
    }

    // Boxed: the engine's futures are too deep for the compiler to see that they are `Send`.
    fn prepare<'a>(
        &'a self,
        text: &'a str,
        companions: bool,
    ) -> BoxFuture<'a, Result<Prepared, Status>> {
        let prepared = self.coordinator.prepare(text, companions);
        prepared.map_err(|error| engine_status(&error)).boxed()
    }

    fn run<'a>(
        &'a self,
        caller: &'a Caller,
        prepared: Prepared,
    ) -> BoxFuture<'a, Result<Answer, Status>> {
        let answer = self.coordinator.run(&caller.session, prepared);
        answer.map_err(|error| engine_status(&error)).boxed()
    }

    /// Size that messages aim at: half the limit, since the aim is not exact.
    pub(super) fn message_bytes(&self) -> usize {
        GRPC_TARGET_MAX_FLIGHT_SIZE_BYTES.min(self.limits.message_bytes_max / 2).max(1)
    }
}

/// Batches as advertised, their rows counted.
fn counted(
    batches: impl Stream<Item = Result<RecordBatch, DataFusionError>>,
    schema: SchemaRef,
    rows: Arc<AtomicU64>,
) -> impl Stream<Item = Result<RecordBatch, Status>> {
    batches.map(move |batch| {
        let batch = batch.map_err(execution_status)?;
        rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        conform(batch, &schema).map_err(|error| internal("conforming a batch", error))
    })
}

/// Casts a batch to the advertised schema, where it differs.
fn conform(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    if batch.schema_ref() == schema {
        return Ok(batch);
    }
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type()));
    let columns = columns.collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

fn execution_status(error: DataFusionError) -> Status {
    engine_status(&EngineError::from_execution(error))
}

fn coverage_json(coverage: &Coverage) -> Result<Bytes, Status> {
    let json = serde_json::to_vec(coverage);
    json.map(Into::into).map_err(|error| internal("encoding coverage", error))
}

/// Sends the coverage at the end, unless `early` went out with the schema and still holds.
fn closing(schema: SchemaRef, coverage: Arc<CoverageLog>, early: Option<Coverage>) -> Closing {
    Box::new(move || {
        let coverage = coverage.snapshot();
        if early.as_ref() == Some(&coverage) {
            return Ok(None);
        }
        coverage_message(&schema, &coverage).map(Some)
    })
}

/// An empty batch that carries the coverage. A message without a batch would have an empty header,
/// which breaks clients.
fn coverage_message(schema: &SchemaRef, coverage: &Coverage) -> Result<FlightData, Status> {
    let empty = RecordBatch::new_empty(Arc::clone(schema));
    let messages = batches_to_flight_data(schema, vec![empty])
        .map_err(|error| internal("encoding coverage", error))?;
    let message = messages.into_iter().next_back();
    let message = message.ok_or_else(|| internal("encoding coverage", "no message"))?;
    Ok(message.with_app_metadata(coverage_json(coverage)?))
}

fn changed() -> Status {
    to_status(&wire_error(
        sqlstate::NOT_SUPPORTED,
        "the tables have changed since the statement was planned",
        Some("prepare the statement again"),
    ))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use arrow::array::{Int32Array, Int64Array};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn schema(kind: DataType, nullable: bool) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("n", kind, nullable)]))
    }

    #[test]
    fn batches_are_cast_to_what_was_advertised() {
        let column = Arc::new(Int32Array::from(vec![1, 2]));
        let batch = RecordBatch::try_new(schema(DataType::Int32, false), vec![column]).unwrap();
        let advertised = schema(DataType::Int64, true);
        let batch = conform(batch, &advertised).unwrap();
        assert_eq!(batch.schema(), advertised);
        assert_eq!(batch.column(0).as_ref(), &Int64Array::from(vec![1, 2]));
    }

    #[test]
    fn coverage_rides_on_an_empty_batch_with_a_header() {
        for schema in [schema(DataType::Int32, false), Arc::new(Schema::empty())] {
            let message = coverage_message(&schema, &Coverage::default()).unwrap();
            assert!(!message.data_header.is_empty());
            let coverage: Coverage = serde_json::from_slice(&message.app_metadata).unwrap();
            assert_eq!(coverage, Coverage::default());
        }
    }
}
