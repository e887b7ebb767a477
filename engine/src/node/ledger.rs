//! The node's ledger: an append-only file of what left, one JSON line per released cell.
//!
//! It holds released values and stays at the node. A bundle whose records cannot be written is not
//! sent.

use std::path::{Path, PathBuf};

use hedgerow_policies::LedgerRecord;
use tokio::fs::OpenOptions;
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;

use crate::error::EngineError;

/// An append-only file.
#[derive(Debug)]
pub(crate) struct Ledger {
    path: Option<PathBuf>,
    writing: Mutex<()>,
}

impl Ledger {
    /// A ledger in `path`; none keeps no ledger.
    pub(crate) fn new(path: Option<&Path>) -> Self {
        Self { path: path.map(Path::to_owned), writing: Mutex::new(()) }
    }

    /// Appends the records of one bundle in one write.
    pub(crate) async fn append(&self, records: &[LedgerRecord]) -> Result<(), EngineError> {
        let Some(path) = &self.path else { return Ok(()) };
        if records.is_empty() {
            return Ok(());
        }
        let mut lines = Vec::new();
        for record in records {
            serde_json::to_writer(&mut lines, record)
                .map_err(|e| EngineError::internal("writing the ledger", e))?;
            lines.push(b'\n');
        }
        let _one_at_a_time = self.writing.lock().await;
        let written = async {
            let mut options = OpenOptions::new();
            options.create(true).append(true);
            #[cfg(unix)]
            options.mode(0o600);
            let mut file = options.open(path).await?;
            file.write_all(&lines).await?;
            file.flush().await
        };
        written.await.map_err(|e| EngineError::internal("writing the ledger", e))
    }
}
