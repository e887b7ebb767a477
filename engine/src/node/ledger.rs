//! The node's ledger: an append-only file of what left, one JSON line per released cell.
//!
//! It holds released values and stays at the node. A bundle whose records cannot be written is not
//! sent.

use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};

use hedgerow_policies::LedgerRecord;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
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
            options.create(true).append(true).read(true);
            #[cfg(unix)]
            options.mode(0o600);
            let mut file = options.open(path).await?;
            if !ends_a_line(&mut file).await? {
                file.write_all(b"\n").await?;
            }
            file.write_all(&lines).await?;
            file.flush().await
        };
        written.await.map_err(|e| EngineError::internal("writing the ledger", e))
    }
}

/// Whether a file is empty or its last line is whole. A program killed while it wrote, or a full
/// disk, leaves part of a line; that answer was not sent, and the next record stands apart from it.
async fn ends_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata().await?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1)).await?;
    Ok(file.read_u8().await? == b'\n')
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn part_of_a_line_is_kept_apart() {
        let folder = tempfile::tempdir().unwrap();
        for (there, whole) in [("", true), ("{}\n", true), ("{}\n{\"cell", false)] {
            let path = folder.path().join("ledger");
            std::fs::write(&path, there).unwrap();
            let mut file = OpenOptions::new().append(true).read(true).open(&path).await.unwrap();
            assert_eq!(ends_a_line(&mut file).await.unwrap(), whole, "{there}");
            file.write_all(b"x").await.unwrap();
            file.flush().await.unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{there}x"));
        }
    }
}
