//! A client's session: who it is, and the options it set.

use std::sync::{Arc, Mutex};

use crate::channel::OnUnavailable;
use crate::error::EngineError;

#[derive(Debug, Clone, Default)]
struct Options {
    on_unavailable: OnUnavailable,
    purpose: Option<String>,
}

/// A client's session. Clones share its options.
#[derive(Debug, Clone)]
pub struct Session {
    user: Arc<str>,
    options: Arc<Mutex<Options>>,
}

impl Session {
    /// Opens a session for an authenticated user.
    pub fn new(user: &str) -> Self {
        Self { user: user.into(), options: Arc::default() }
    }

    /// The authenticated user.
    pub fn user(&self) -> &str {
        &self.user
    }

    pub(crate) fn on_unavailable(&self) -> OnUnavailable {
        self.options.lock().map(|o| o.on_unavailable).unwrap_or_default()
    }

    pub(crate) fn purpose(&self) -> Option<String> {
        self.options.lock().ok().and_then(|o| o.purpose.clone())
    }

    /// Sets an option by its name without `hedgerow.`.
    ///
    /// # Errors
    /// Names the option or value and what to write instead.
    pub(crate) fn set(&self, option: &str, value: &str) -> Result<(), EngineError> {
        let mut options = self
            .options
            .lock()
            .map_err(|_| EngineError::Internal { what: "session options", source: None })?;
        match (option, value) {
            ("on_unavailable", "fail") => options.on_unavailable = OnUnavailable::Fail,
            ("on_unavailable", "exclude") => options.on_unavailable = OnUnavailable::Exclude,
            ("on_unavailable", other) => {
                return Err(EngineError::Invalid {
                    message: format!(
                        "`{other}` is no value of hedgerow.on_unavailable; use 'fail' or 'exclude'"
                    ),
                });
            }
            ("purpose", purpose) => options.purpose = Some(purpose.to_owned()),
            (other, _) => {
                return Err(EngineError::Invalid {
                    message: format!(
                        "there is no option hedgerow.{other}; there are hedgerow.on_unavailable \
                         and hedgerow.purpose"
                    ),
                });
            }
        }
        Ok(())
    }
}
