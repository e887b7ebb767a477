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

/// A new token and what had to give way for it.
pub(crate) struct Issued {
    /// The token.
    pub(crate) token: String,
    /// Sessions of tokens that expired or gave way.
    pub(crate) ended: Vec<Session>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

impl Tokens {
    /// Makes a token with a fresh session for `user`.
    pub(crate) fn issue(&self, user: &str) -> Result<Issued, TransportError> {
        let token = random_name()?;
        let mut entries = self.lock();
        let mut ended = expire(&mut entries);
        ended.extend(make_room(&mut entries, user));
        let entry = Entry {
            session: Session::new(user),
            used: Instant::now(),
        };
        entries.insert(token.clone(), entry);
        Ok(Issued { token, ended })
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

    /// Ends a token.
    pub(crate) fn revoke(&self, token: &str) -> Option<Session> {
        self.lock().remove(token).map(|entry| entry.session)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn expire(entries: &mut HashMap<String, Entry>) -> Vec<Session> {
    entries
        .extract_if(|_, entry| entry.used.elapsed() > IDLE_MAX)
        .map(|(_, entry)| entry.session)
        .collect()
}

/// Ends the user's oldest token when the user has as many as allowed.
fn make_room(entries: &mut HashMap<String, Entry>, user: &str) -> Option<Session> {
    let own = || {
        entries
            .iter()
            .filter(|(_, entry)| entry.session.user() == user)
    };
    if own().count() < TOKENS_MAX_PER_USER {
        return None;
    }
    let oldest = own()
        .min_by_key(|(_, entry)| entry.used)
        .map(|(token, _)| token.clone())?;
    entries.remove(&oldest).map(|entry| entry.session)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use super::*;

    #[test]
    fn tokens_find_their_session_until_revoked() {
        let tokens = Tokens::default();
        let issued = tokens.issue("analyst").unwrap();
        assert_eq!(issued.token.len(), 64);
        assert_eq!(tokens.session(&issued.token).unwrap().user(), "analyst");
        assert!(tokens.session("other").is_none());
        assert!(tokens.revoke(&issued.token).is_some());
        assert!(tokens.session(&issued.token).is_none());
    }

    #[test]
    fn a_user_has_a_bounded_number_of_tokens() {
        let tokens = Tokens::default();
        let other = tokens.issue("other").unwrap().token;
        let first = tokens.issue("analyst").unwrap().token;
        for _ in 1..TOKENS_MAX_PER_USER {
            assert!(tokens.issue("analyst").unwrap().ended.is_empty());
        }
        assert_eq!(tokens.issue("analyst").unwrap().ended.len(), 1);
        assert!(tokens.session(&first).is_none());
        assert!(tokens.session(&other).is_some());
    }
}
