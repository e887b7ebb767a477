//! Limits on an answer, counted batch by batch as it is sent.

use datafusion::arrow::array::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use hedgerow_catalog::Limits;

use super::passed;
use crate::error::EngineError;

/// Counts what has been sent of one answer.
#[derive(Debug)]
pub(crate) struct AnswerCount {
    rows: usize,
    bytes: usize,
    rows_max: usize,
    bytes_max: usize,
}

impl AnswerCount {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            rows: 0,
            bytes: 0,
            rows_max: limits.answer_rows_max,
            bytes_max: limits.answer_bytes_max,
        }
    }

    /// Counts one more batch.
    ///
    /// # Errors
    /// [`EngineError::Limit`] on `answer_rows_max` or `answer_bytes_max`; the batch is not to be sent.
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<(), EngineError> {
        self.rows = self.rows.saturating_add(batch.num_rows());
        if self.rows > self.rows_max {
            return Err(passed("answer_rows_max", self.rows, self.rows_max));
        }
        self.bytes = self.bytes.saturating_add(bytes(batch));
        if self.bytes > self.bytes_max {
            return Err(passed("answer_bytes_max", self.bytes, self.bytes_max));
        }
        Ok(())
    }
}

/// The same stream, which ends with an error where it passes a limit.
pub(crate) fn counted(
    stream: SendableRecordBatchStream,
    mut count: AnswerCount,
) -> SendableRecordBatchStream {
    let schema = stream.schema();
    let batches = stream.map(move |batch| {
        let batch = batch?;
        count.add(&batch)?;
        Ok(batch)
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}

/// Bytes of a batch's own rows; a slice counts as what it shows, not as what it stands on.
fn bytes(batch: &RecordBatch) -> usize {
    let sizes = batch.columns().iter().map(|column| {
        // Kinds of arrays without a measured size are counted with their buffers.
        let whole = |_| column.get_array_memory_size();
        column.to_data().get_slice_memory_size().unwrap_or_else(whole)
    });
    sizes.sum()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Int64Array};

    use super::*;

    #[test]
    fn rows_and_bytes_hold_at_their_edges() {
        let rows: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1_000));
        let all = RecordBatch::try_from_iter([("n", rows)]).unwrap();
        let limits = Limits { answer_rows_max: 10, answer_bytes_max: 64, ..Limits::default() };
        let limit = |slices: &[usize], limits: &Limits| {
            let mut count = AnswerCount::new(limits);
            let sent = slices.iter().try_for_each(|rows| count.add(&all.slice(0, *rows)));
            sent.err().map(|error| error.to_string())
        };
        assert_eq!(limit(&[4, 4], &limits), None);
        let words = limit(&[4, 4, 1], &limits).unwrap();
        assert!(words.contains("`limits.answer_bytes_max` = 64"), "{words}");
        let wide = Limits { answer_bytes_max: 1_000, ..limits };
        assert_eq!(limit(&[5, 5], &wide), None);
        let words = limit(&[5, 6], &wide).unwrap();
        assert!(words.contains("`limits.answer_rows_max` = 10"), "{words}");
    }
}
