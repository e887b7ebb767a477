//! A client's session: who it is, and the options it set.

use std::sync::{Arc, Mutex};

use crate::channel::OnUnavailable;
use crate::error::EngineError;

/// What becomes of groups that nobody released, where all their keys are public.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum WithheldGroups {
    /// They are not in the answer, as over one table they would not be if they were not there.
    #[default]
    Omit,
    /// They are in the answer, as withheld.
    Show,
}

#[derive(Debug, Clone, Default)]
struct Options {
    on_unavailable: OnUnavailable,
    withheld_groups: WithheldGroups,
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

    pub(crate) fn withheld_groups(&self) -> WithheldGroups {
        self.options.lock().map(|o| o.withheld_groups).unwrap_or_default()
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
            ("withheld_groups", "omit") => options.withheld_groups = WithheldGroups::Omit,
            ("withheld_groups", "show") => options.withheld_groups = WithheldGroups::Show,
            ("withheld_groups", other) => {
                return Err(EngineError::Invalid {
                    message: format!(
                        "`{other}` is no value of hedgerow.withheld_groups; use 'omit' or 'show'"
                    ),
                });
            }
            ("purpose", purpose) => options.purpose = Some(purpose.to_owned()),
            (other, _) => {
                return Err(EngineError::Invalid {
                    message: format!(
                        "there is no option hedgerow.{other}; there are hedgerow.on_unavailable, \
                         hedgerow.withheld_groups and hedgerow.purpose"
                    ),
                });
            }
        }
        Ok(())
    }
}
