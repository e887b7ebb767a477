//! How a coordinator reaches a node: the trait, what is asked, and what comes back.
//!
//! `hedgerow-flight` implements [`NodeChannel`] over Arrow Flight; [`InProcessChannel`] is its twin
//! for a node that lives in the same process.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use hedgerow_catalog::NodeDescription;
use hedgerow_policies::ReleasedFragment;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::coordinator::CoverageLog;
use crate::coverage::Coverage;
use crate::error::{EngineError, WireError};
use crate::node::{Node, ReleasedBundle};

/// Version of the bundle format and of the fragment dialect.
pub const BUNDLE_VERSION: u32 = 1;

/// Everything one statement asks of one node: one call, one snapshot, one gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleRequest {
    /// [`BUNDLE_VERSION`] of the asker.
    pub version: u32,
    /// Statement id, for logs and cancellation.
    pub statement_id: String,
    /// Fragments as SQL text in the pinned dialect.
    pub fragments: Vec<String>,
    /// The analyst's own statement, as written, for the data controller to read.
    pub statement: String,
    /// On whose behalf, as the coordinator says.
    pub user: String,
    /// Purpose, as the analyst says.
    pub purpose: Option<String>,
    /// What a federation that is asked does without one of its own nodes.
    pub on_unavailable: OnUnavailable,
    /// The path that the asker itself has in a wider federation: whoever is asked is named below it.
    pub under: Option<String>,
    /// The user's own token, once identity lands.
    pub user_token: Option<String>,
    /// Signature of the client over [`BundleRequest::hash`], once identity lands.
    pub client_signature: Option<Vec<u8>>,
}

/// What to do when a node cannot be reached or refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnavailable {
    /// Fail the statement, naming the node.
    #[default]
    Fail,
    /// Answer without the node, and say so.
    Exclude,
}

impl BundleRequest {
    /// Refuses a version that is not spoken here.
    pub(crate) fn check_version(&self) -> Result<(), EngineError> {
        if self.version == BUNDLE_VERSION {
            return Ok(());
        }
        Err(EngineError::Invalid {
            message: format!(
                "bundle version {} is not understood here; this node speaks version {BUNDLE_VERSION}",
                self.version
            ),
        })
    }

    /// The name that `organisation` has for the asker's analysts.
    pub fn full_name(&self, organisation: &str) -> String {
        below(self.under.as_deref(), organisation)
    }

    /// Hash over version and fragments: the same question has the same hash from anyone.
    pub fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(self.version.to_le_bytes());
        for fragment in &self.fragments {
            hasher.update((fragment.len() as u64).to_le_bytes());
            hasher.update(fragment);
        }
        hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The path of an organisation below another path.
pub(crate) fn below(path: Option<&str>, organisation: &str) -> String {
    match path {
        Some(path) => format!("{path}/{organisation}"),
        None => organisation.to_owned(),
    }
}

/// Tells whether a name is that of an organisation, or of one below it.
pub fn is_within(name: &str, organisation: &str) -> bool {
    name == organisation || is_below(name, organisation)
}

/// Tells whether a name is that of an organisation below another.
pub(crate) fn is_below(name: &str, organisation: &str) -> bool {
    let rest = name.strip_prefix(organisation).and_then(|rest| rest.strip_prefix('/'));
    rest.is_some_and(|rest| !rest.is_empty())
}

/// What a node says of its answer before the cells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyHeader {
    /// Who answers.
    pub organisation: String,
    /// The release, as named in the node's ledger.
    pub release_id: String,
    /// Hash of the bundle that was answered.
    pub bundle_hash: String,
    /// Preset in force, with a plus where the node is stricter.
    pub preset: String,
    /// Hash of the policy in force.
    pub policy_hash: String,
    /// What the snapshot guarantees; `none` where the source cannot give one.
    pub snapshot: String,
    /// One per fragment.
    pub fragments: Vec<FragmentHeader>,
    /// Signature of the node, once identity lands.
    pub signature: Option<Vec<u8>>,
}

/// What a node says of one fragment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FragmentHeader {
    /// The threshold it was gated with (people); `None` for open tables.
    pub k: Option<u32>,
    /// Most people that the answer may hide in a group it does not have; k - 1 where it is not said.
    /// Of a federation, the sum over the nodes that it asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<u32>,
    /// Base that the asker rounds to what it combines; the values are exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_to: Option<u32>,
    /// Base that the values are rounded to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounded_to: Option<u32>,
    /// Data epoch per table read.
    pub epochs: Vec<(String, String)>,
}

/// A node's answer: header, one schema per fragment, and batches in order of fragments.
pub struct BundleReply {
    /// What the node says of its answer.
    pub header: ReplyHeader,
    /// One per fragment.
    pub schemas: Vec<SchemaRef>,
    /// Batches, each with the number of its fragment, and what a federation says at its end.
    pub parts: BoxStream<'static, Result<ReplyPart, EngineError>>,
}

/// One part of a reply after its header.
#[derive(Debug, Clone, PartialEq)]
pub enum ReplyPart {
    /// Rows of a fragment, by its number.
    Rows(usize, RecordBatch),
    /// Which organisations of a federation answered: the last part of its reply.
    Coverage(Coverage),
}

/// Tells one run of a server from the next, in the ids it gives.
pub(crate) fn random_start() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

/// One node, as a coordinator sees it.
#[async_trait]
pub trait NodeChannel: Send + Sync + std::fmt::Debug {
    /// Id of the organisation behind it.
    fn organisation(&self) -> &str;

    /// Asks the node what it serves.
    ///
    /// # Errors
    /// [`WireError`] with SQLSTATE 08006 when it cannot be reached.
    async fn describe(&self) -> Result<NodeDescription, WireError>;

    /// Asks the node one bundle, in one round trip. Dropping the reply stops the node's work.
    ///
    /// # Errors
    /// The node's own [`WireError`], or 08006 when it cannot be reached.
    async fn ask(&self, request: BundleRequest) -> Result<BundleReply, WireError>;
}

/// A node in the same process; the same gate, no wire.
#[derive(Debug)]
pub struct InProcessChannel {
    node: Arc<Node>,
}

impl InProcessChannel {
    /// Makes a channel to `node`.
    pub fn new(node: Arc<Node>) -> Self {
        Self { node }
    }
}

#[async_trait]
impl NodeChannel for InProcessChannel {
    fn organisation(&self) -> &str {
        self.node.organisation()
    }

    async fn describe(&self) -> Result<NodeDescription, WireError> {
        Ok(self.node.describe())
    }

    async fn ask(&self, request: BundleRequest) -> Result<BundleReply, WireError> {
        let client = request.user.clone();
        let organisation = request.full_name(self.node.organisation());
        let released = self.node.answer(&client, request).await;
        released
            .map(reply)
            .map_err(|error| WireError { organisation: Some(organisation), ..error.external() })
    }
}

/// Turns what was released into a reply, fragment after fragment.
pub fn reply(released: ReleasedBundle) -> BundleReply {
    let ReleasedBundle { header, fragments, below } = released;
    let mut schemas = vec![];
    let mut streams = vec![];
    for (index, fragment) in fragments.into_inner().into_iter().enumerate() {
        let batches: BoxStream<'static, Result<ReplyPart, EngineError>> = match fragment {
            ReleasedFragment::Cells(table) => {
                schemas.push(table.schema);
                stream::once(async move { Ok(ReplyPart::Rows(index, table.batch)) }).boxed()
            }
            ReleasedFragment::Open(rows) => {
                schemas.push(rows.schema());
                let part = move |batch| ReplyPart::Rows(index, batch);
                rows.map(move |batch| batch.map(part).map_err(EngineError::from_execution)).boxed()
            }
        };
        streams.push(batches);
    }
    if let Some(log) = below {
        // Who answered is known once the rows have been read.
        streams.push(closing(log));
    }
    BundleReply { header, schemas, parts: stream::iter(streams).flatten().boxed() }
}

fn closing(log: Arc<CoverageLog>) -> BoxStream<'static, Result<ReplyPart, EngineError>> {
    stream::once(async move { Ok(ReplyPart::Coverage(log.snapshot())) }).boxed()
}
