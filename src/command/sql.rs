//! `hedgerow sql`: the shell on a server that runs elsewhere.

use std::path::PathBuf;

use clap::Args;
use hedgerow_catalog::LogFormat;
use hedgerow_flight::Credentials;

use super::error::{CommandError, UsageError};
use super::shell::{ShellArguments, Target};
use crate::log;

/// Ask a server in SQL: at a prompt, or from `-c`, `-f` or a pipe.
///
/// Tables print withheld values as `[c]`, parts with their bounds, and below them a legend and
/// which organisations answered. The password comes from `--password-file` or the environment
/// variable HEDGEROW_PASSWORD, never from the command line, where others could see it.
#[derive(Debug, Args)]
pub(super) struct Sql {
    /// The server; `https://HOST:PORT` or `grpc+tls://HOST:PORT`.
    #[arg(default_value = "https://127.0.0.1:50051", env = "HEDGEROW_URL")]
    url: String,

    /// Who asks; the system's user name by default.
    #[arg(long, value_name = "NAME", env = "HEDGEROW_USER")]
    user: Option<String>,

    /// File whose first line is the password; without it, HEDGEROW_PASSWORD is used.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,

    /// Certificate of the authority that signed the server's, a PEM file.
    #[arg(long, value_name = "PEM", env = "HEDGEROW_AUTHORITY")]
    authority: PathBuf,

    #[command(flatten)]
    shell: ShellArguments,
}

impl Sql {
    /// Runs the shell; `Ok(false)` when a statement failed.
    pub(super) async fn run(self) -> Result<bool, CommandError> {
        log::init(LogFormat::Human, "error")?;
        let user = self.user.or_else(|| std::env::var("USER").ok()).ok_or(UsageError::NoUser)?;
        let target = Target {
            url: https(&self.url)?,
            authority: self.authority,
            credentials: Credentials { user, password: password(self.password_file)? },
        };
        self.shell.run(target).await
    }
}

/// The address as the client takes it.
fn https(url: &str) -> Result<String, UsageError> {
    let rest = ["https://", "grpc+tls://"].iter().find_map(|scheme| url.strip_prefix(scheme));
    match rest {
        Some(rest) if !rest.is_empty() => Ok(format!("https://{}", rest.trim_end_matches('/'))),
        _ => Err(UsageError::Address { url: url.to_owned() }),
    }
}

fn password(file: Option<PathBuf>) -> Result<String, UsageError> {
    match file {
        Some(path) => {
            let text = std::fs::read_to_string(&path)
                .map_err(|source| UsageError::PasswordFile { path, source })?;
            Ok(text.lines().next().unwrap_or_default().to_owned())
        }
        None => std::env::var("HEDGEROW_PASSWORD").map_err(|_| UsageError::NoPassword),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_always_encrypted() {
        assert_eq!(https("grpc+tls://h:1/").unwrap(), "https://h:1");
        assert_eq!(https("https://h:1").unwrap(), "https://h:1");
        for wrong in ["http://h:1", "grpc://h:1", "h:1", "https://"] {
            assert!(https(wrong).is_err(), "{wrong}");
        }
    }
}
