//! Planned statements under handles that cannot be guessed. Main type: [`Statements`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use hedgerow_engine::{Prepared, WireError, sqlstate};
use prost::bytes::Bytes;
use tokio::sync::watch;

use crate::error::TransportError;
use crate::random::random_name;
use crate::status::wire_error;
use crate::tokens::IDLE_MAX;

/// How long the ticket of a statement waits to be used (again).
const TICKET_IDLE_MAX: Duration = Duration::from_secs(10 * 60);

/// Most handles of one user; the one unused for longest gives way.
const HANDLES_MAX_PER_USER: usize = 256;

/// A statement that was planned once and may run many times.
pub(super) struct Statement {
    /// Whose it is.
    pub(super) user: String,
    /// Its text; it never reaches a log.
    pub(super) text: String,
    /// Whether companion columns were asked for.
    pub(super) companions: bool,
    /// The schema that was advertised.
    pub(super) schema: SchemaRef,
    /// How long planning took; it counts against the first run's time.
    pub(super) planning: Duration,
    /// The plan, until the first run takes it; later runs plan anew.
    planned: Mutex<Option<Prepared>>,
    /// Grows when running statements are to stop.
    cancelled: watch::Sender<u64>,
}

/// Whose a statement is and how it was asked.
pub(super) struct Asked {
    pub(super) user: String,
    pub(super) companions: bool,
}

impl Statement {
    pub(super) fn new(asked: Asked, prepared: Prepared, planning: Duration) -> Self {
        Self {
            user: asked.user,
            text: prepared.statement().to_owned(),
            companions: asked.companions,
            schema: prepared.schema(),
            planning,
            planned: Mutex::new(Some(prepared)),
            cancelled: watch::Sender::new(0),
        }
    }

    /// The plan, the first time.
    pub(super) fn take_plan(&self) -> Option<Prepared> {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Tells runs of this statement to stop; `false` when none is running.
    pub(super) fn cancel(&self) -> bool {
        self.cancelled.send_modify(|count| *count += 1);
        self.cancelled.receiver_count() > 0
    }

    /// Changes when runs of this statement are to stop.
    pub(super) fn cancellation(&self) -> watch::Receiver<u64> {
        self.cancelled.subscribe()
    }
}

/// How long a handle lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The ticket of one statement.
    Ticket,
    /// A prepared statement, which the client closes.
    Prepared,
}

impl Kind {
    fn idle_max(self) -> Duration {
        match self {
            Self::Ticket => TICKET_IDLE_MAX,
            Self::Prepared => IDLE_MAX,
        }
    }
}

/// The statements of one server, by handle.
#[derive(Default)]
pub(crate) struct Statements {
    entries: Mutex<HashMap<String, Entry>>,
}

struct Entry {
    statement: Arc<Statement>,
    kind: Kind,
    used: Instant,
}

impl Entry {
    fn expired(&self) -> bool {
        self.used.elapsed() > self.kind.idle_max()
    }
}

impl Statements {
    /// Keeps a statement and returns its handle.
    pub(super) fn insert(&self, statement: Statement, kind: Kind) -> Result<Bytes, TransportError> {
        let handle = random_name()?;
        let mut entries = self.lock();
        entries.retain(|_, entry| !entry.expired());
        make_room(&mut entries, &statement.user);
        let entry = Entry { statement: Arc::new(statement), kind, used: Instant::now() };
        entries.insert(handle.clone(), entry);
        Ok(handle.into())
    }

    /// The user's statement behind a handle.
    pub(super) fn find(&self, handle: &[u8], user: &str) -> Result<Arc<Statement>, WireError> {
        let mut entries = self.lock();
        let entry = std::str::from_utf8(handle)
            .ok()
            .and_then(|handle| entries.get_mut(handle))
            .filter(|entry| entry.statement.user == user && !entry.expired())
            .ok_or_else(unknown)?;
        entry.used = Instant::now();
        Ok(Arc::clone(&entry.statement))
    }

    /// Forgets the user's statement behind a handle.
    pub(super) fn remove(&self, handle: &[u8], user: &str) -> Option<Arc<Statement>> {
        self.find(handle, user).ok()?;
        let handle = std::str::from_utf8(handle).ok()?;
        self.lock().remove(handle).map(|entry| entry.statement)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_room(entries: &mut HashMap<String, Entry>, user: &str) {
    let own = || entries.iter().filter(|(_, entry)| entry.statement.user == user);
    if own().count() < HANDLES_MAX_PER_USER {
        return;
    }
    let oldest = own().min_by_key(|(_, entry)| entry.used).map(|(handle, _)| handle.clone());
    if let Some(oldest) = oldest {
        entries.remove(&oldest);
    }
}

fn unknown() -> WireError {
    wire_error(
        sqlstate::UNKNOWN_HANDLE,
        "the statement is not known here, or its handle has expired",
        Some("send the statement again"),
    )
}
