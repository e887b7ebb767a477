//! Statements that a client sends as updates. A federation is read-only; only `SET` has an effect,
//! and drivers that see a statement without columns send it this way.

use futures::TryStreamExt;
use tonic::Status;

use super::{Caller, Shared, not_supported};

impl Shared {
    /// Runs `SET …`; refuses everything else.
    pub(super) async fn update(&self, caller: &Caller, text: &str) -> Result<i64, Status> {
        if !is_set(text) {
            return Err(not_supported("changing data"));
        }
        let statement = self.plan(caller, text, false).await?;
        let messages = self.execute(caller, &statement).await?;
        messages.try_for_each(|_| async { Ok(()) }).await?;
        Ok(0)
    }
}

fn is_set(text: &str) -> bool {
    let word = text.split_whitespace().next().unwrap_or_default();
    word.eq_ignore_ascii_case("set") || word.eq_ignore_ascii_case("reset")
}

#[cfg(test)]
mod tests {
    use super::is_set;

    #[test]
    fn only_set_is_an_update() {
        assert!(is_set(" SET hedgerow.on_unavailable = 'exclude'"));
        for text in ["INSERT INTO t VALUES (1)", "", "settle", "DELETE FROM t"] {
            assert!(!is_set(text), "{text}");
        }
    }
}
