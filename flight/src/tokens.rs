//! Bearer tokens, each with the session that belongs to it. Main type: [`Tokens`].
//!
//! A token is 256 random bits, lives in memory only, and ends when it has not been used for
//! [`IDLE_MAX`]. Tokens are never logged.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hedgerow_engine::Session;

use crate::error::TransportError;
use crate::random::random_name;

/// How long a token lives without use.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(12 * 60 * 60);

/// Most tokens of one user; the one unused for longest gives way.
const TOKENS_MAX_PER_USER: usize = 256;

/// The tokens of one server.
#[derive(Default)]
pub(crate) struct Tokens {
    entries: Mutex<HashMap<String, Entry>>,
}

struct Entry {
    session: Session,
    used: Instant,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

impl Tokens {
    /// Makes a token with a fresh session for `user`.
    pub(crate) fn issue(&self, user: &str) -> Result<String, TransportError> {
        let token = random_name()?;
        let mut entries = self.lock();
        entries.retain(|_, entry| entry.used.elapsed() <= IDLE_MAX);
        make_room(&mut entries, user);
        let entry = Entry { session: Session::new(user), used: Instant::now() };
        entries.insert(token.clone(), entry);
        Ok(token)
    }

    /// The session of a living token; using it keeps it alive.
    pub(crate) fn session(&self, token: &str) -> Option<Session> {
        let mut entries = self.lock();
        let entry = entries.get_mut(token)?;
        if entry.used.elapsed() > IDLE_MAX {
            return None;
        }
        entry.used = Instant::now();
        Some(entry.session.clone())
    }

    /// Ends a token and its session.
    pub(crate) fn revoke(&self, token: &str) {
        self.lock().remove(token);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the user's oldest token when the user has as many as allowed.
fn make_room(entries: &mut HashMap<String, Entry>, user: &str) {
    let own = || entries.iter().filter(|(_, entry)| entry.session.user() == user);
    if own().count() < TOKENS_MAX_PER_USER {
        return;
    }
    let oldest = own().min_by_key(|(_, entry)| entry.used).map(|(token, _)| token.clone());
    if let Some(oldest) = oldest {
        entries.remove(&oldest);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use super::*;

    #[test]
    fn tokens_find_their_session_until_revoked() {
        let tokens = Tokens::default();
        let token = tokens.issue("analyst").unwrap();
        assert_eq!(token.len(), 64);
        assert_eq!(tokens.session(&token).unwrap().user(), "analyst");
        assert!(tokens.session("other").is_none());
        tokens.revoke(&token);
        assert!(tokens.session(&token).is_none());
    }

    #[test]
    fn a_user_has_a_bounded_number_of_tokens() {
        let tokens = Tokens::default();
        let other = tokens.issue("other").unwrap();
        let first = tokens.issue("analyst").unwrap();
        for _ in 1..TOKENS_MAX_PER_USER {
            tokens.issue("analyst").unwrap();
        }
        assert_eq!(tokens.lock().len(), TOKENS_MAX_PER_USER + 1);
        let newest = tokens.issue("analyst").unwrap();
        assert_eq!(tokens.lock().len(), TOKENS_MAX_PER_USER + 1);
        assert!(tokens.session(&first).is_none());
        assert!(tokens.session(&newest).is_some());
        assert!(tokens.session(&other).is_some());
    }
}
