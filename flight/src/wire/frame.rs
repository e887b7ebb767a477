//! What rides in `app_metadata` of each message of a reply. Main type: [`Frame`].

use prost::bytes::Bytes;

/// Tells to which fragment a message belongs. Field numbers are fixed for good.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Frame {
    /// Number of the fragment, from 0.
    #[prost(uint32, tag = "1")]
    pub(super) fragment: u32,
    /// `ReplyHeader` as JSON, on the very first message only.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub(super) header: Option<Bytes>,
    /// `Coverage` as JSON, on the very last message of a federation's reply.
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub(super) coverage: Option<Bytes>,
}
