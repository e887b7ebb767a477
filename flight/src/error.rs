//! What can go wrong while a server or a client is set up. Main type: [`TransportError`].
//!
//! Errors of single calls are not here: they travel as `WireError`.

use std::io;
use std::path::PathBuf;

/// A server or client could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// A file named in the configuration cannot be read.
    #[error("failed to read `{path}`")]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The users file is not what it should be. The message never quotes the file.
    #[error("failed to parse `{path}`, line {line}: {message}")]
    UsersFile {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The parser's words.
        message: String,
    },
    /// A user's password hash is not an argon2 hash.
    #[error("the password hash of user `{user}` in `{path}` is not an argon2id hash")]
    PasswordHash {
        /// The file.
        path: PathBuf,
        /// The user.
        user: String,
    },
    /// A password could not be hashed or checked.
    #[error("failed to hash a password")]
    Hashing,
    /// The operating system gives no random bytes.
    #[error("failed to draw random bytes")]
    Random,
    /// A URL is not `https://host:port`.
    #[error("`{url}` is not an address of the form `https://host:port`")]
    Url {
        /// As written.
        url: String,
    },
    /// A certificate or key cannot be used.
    #[error("failed to set up TLS")]
    Tls(#[source] tonic::transport::Error),
    /// The listener cannot be used.
    #[error("failed to listen")]
    Listen(#[source] io::Error),
    /// The server stopped with an error.
    #[error("the server failed")]
    Serve(#[source] tonic::transport::Error),
    /// The server's tables of facts about itself could not be built.
    #[error("failed to build the server's description of itself")]
    Metadata(#[source] arrow_flight::error::FlightError),
}
