//! Who may log in: the users file and the check of a password. Main type: [`Users`].
//!
//! ```toml
//! [users]
//! analyst = "$argon2id$v=19$m=19456,t=2,p=1$…"
//! ```
//! What a user may ask is not decided here.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::error::TransportError;
use crate::random::{random_bytes, random_name};

/// Longest password that is looked at, in bytes.
const PASSWORD_BYTES_MAX: usize = 1_024;

/// Most passwords checked at once; each check holds tens of MiB and a core.
const CHECKS_MAX: usize = 4;

/// The users of one server, with their password hashes.
pub struct Users {
    hashes: BTreeMap<String, String>,
    /// Checked in place of an unknown user's hash, so that a guess costs the same.
    decoy: String,
    checks: Semaphore,
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").field("users", &self.hashes.len()).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsersFile {
    users: BTreeMap<String, String>,
}

impl Users {
    /// Reads a users file.
    ///
    /// # Errors
    /// [`TransportError`] when the file cannot be read, is not of the form above, or holds a hash
    /// that is not argon2id. No message quotes the file.
    pub fn load(path: &Path) -> Result<Self, TransportError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| TransportError::ReadFile { path: path.to_owned(), source })?;
        Self::from_toml(path, &text)
    }

    /// Parses a users file; `path` is for messages.
    ///
    /// # Errors
    /// As [`Users::load`].
    pub fn from_toml(path: &Path, text: &str) -> Result<Self, TransportError> {
        let file: UsersFile = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let line = text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1;
            TransportError::UsersFile {
                path: path.to_owned(),
                line,
                message: error.message().to_owned(),
            }
        })?;
        let mut params = Params::default();
        for (user, hash) in &file.users {
            params = argon2id_params(hash).ok_or_else(|| TransportError::PasswordHash {
                path: path.to_owned(),
                user: user.clone(),
            })?;
        }
        let decoy = hash_with(&random_name()?, params)?;
        Ok(Self { hashes: file.users, decoy, checks: Semaphore::new(CHECKS_MAX) })
    }

    /// Tells whether `password` is the password of user `name`. Costs the same when there is no
    /// such user.
    ///
    /// # Errors
    /// [`TransportError::Hashing`] when the check itself fails.
    pub async fn verify(&self, name: &str, password: &str) -> Result<bool, TransportError> {
        let known = self.hashes.get(name);
        let hash = known.unwrap_or(&self.decoy).clone();
        let fits = password.len() <= PASSWORD_BYTES_MAX;
        let password = if fits { password.to_owned() } else { String::new() };
        let _permit = self.checks.acquire().await.map_err(|_| TransportError::Hashing)?;
        let matches = tokio::task::spawn_blocking(move || matches(&hash, &password))
            .await
            .map_err(|_| TransportError::Hashing)?;
        Ok(matches && fits && known.is_some())
    }
}

/// Hashes a password for the users file.
///
/// # Errors
/// [`TransportError`] when there are no random bytes or the password is too long.
pub fn hash_password(password: &str) -> Result<String, TransportError> {
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(TransportError::Hashing);
    }
    hash_with(password, Params::default())
}

fn hash_with(password: &str, params: Params) -> Result<String, TransportError> {
    let bytes: [u8; 16] = random_bytes()?;
    let salt = SaltString::encode_b64(&bytes).map_err(|_| TransportError::Hashing)?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(password.as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(|_| TransportError::Hashing)
}

fn argon2id_params(hash: &str) -> Option<Params> {
    let hash = PasswordHash::new(hash).ok()?;
    let algorithm = Algorithm::try_from(hash.algorithm).ok()?;
    hash.hash?;
    if algorithm == Algorithm::Argon2id { Params::try_from(&hash).ok() } else { None }
}

fn matches(hash: &str, password: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

/// Users are shared by all connections of a server.
pub(crate) type SharedUsers = Arc<Users>;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use super::*;

    fn users(text: &str) -> Result<Users, TransportError> {
        Users::from_toml(Path::new("users.toml"), text)
    }

    #[tokio::test]
    async fn checks_passwords() {
        let hash = hash_password("correct horse").unwrap();
        let users = users(&format!("[users]\nanalyst = \"{hash}\"\n")).unwrap();
        assert!(users.verify("analyst", "correct horse").await.unwrap());
        assert!(!users.verify("analyst", "wrong").await.unwrap());
        assert!(!users.verify("analyst", "").await.unwrap());
        assert!(!users.verify("nobody", "correct horse").await.unwrap());
        assert!(!users.verify("analyst", &"x".repeat(2_000)).await.unwrap());
    }

    #[test]
    fn salts_differ() {
        assert_ne!(hash_password("a").unwrap(), hash_password("a").unwrap());
    }

    #[test]
    fn messages_never_quote_the_file() {
        let error = users("[users]\nanalyst = secret\n").unwrap_err();
        assert!(matches!(error, TransportError::UsersFile { line: 2, .. }), "{error}");
        assert!(!error.to_string().contains("secret"));
        let error = users("[users]\nanalyst = \"secret\"\n").unwrap_err();
        assert!(error.to_string().contains("`analyst`"));
        assert!(!error.to_string().contains("secret"));
        let error = users("[people]\n").unwrap_err();
        assert!(matches!(error, TransportError::UsersFile { .. }));
    }
}
