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
    /// The user's own token, once identity lands.
    pub user_token: Option<String>,
    /// Signature of the client over [`BundleRequest::hash`], once identity lands.
    pub client_signature: Option<Vec<u8>>,
}

impl BundleRequest {
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
    /// Data epoch per table read.
    pub epochs: Vec<(String, String)>,
}

/// A node's answer: header, one schema per fragment, and batches in order of fragments.
pub struct BundleReply {
    /// What the node says of its answer.
    pub header: ReplyHeader,
    /// One per fragment.
    pub schemas: Vec<SchemaRef>,
    /// Batches, each with the number of its fragment.
    pub batches: BoxStream<'static, Result<(usize, RecordBatch), EngineError>>,
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
        let released = self.node.answer(&client, request).await;
        released.map(reply).map_err(|error| WireError {
            organisation: Some(self.node.organisation().to_owned()),
            ..error.external()
        })
    }
}

/// Turns what was released into a reply, fragment after fragment.
pub fn reply(released: ReleasedBundle) -> BundleReply {
    let ReleasedBundle { header, fragments } = released;
    let mut schemas = vec![];
    let mut streams = vec![];
    for (index, fragment) in fragments.into_inner().into_iter().enumerate() {
        let batches: BoxStream<'static, Result<(usize, RecordBatch), EngineError>> = match fragment
        {
            ReleasedFragment::Cells(table) => {
                schemas.push(table.schema);
                stream::once(async move { Ok((index, table.batch)) }).boxed()
            }
            ReleasedFragment::Open(rows) => {
                schemas.push(rows.schema());
                rows.map(move |batch| {
                    batch.map(|batch| (index, batch)).map_err(EngineError::from_execution)
                })
                .boxed()
            }
        };
        streams.push(batches);
    }
    BundleReply { header, schemas, batches: stream::iter(streams).flatten().boxed() }
}
