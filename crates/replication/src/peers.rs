//! The port through which a replica reaches the other nodes. Not here: connections; `transport` implements it.

use bytes::Bytes;
use std::fmt;
use std::time::Duration;
use types::NodeId;

pub use platform::BoxFuture;

/// Asks another node's [`crate::Replica::handle`].
pub trait Peers: Send + Sync + fmt::Debug {
    /// Sends `body` (at most 7 MiB and a few bytes) to `to` and answers what its `handle` answered (at most 64 KiB).
    /// Gives up after `deadline`.
    fn call(&self, to: NodeId, body: Bytes, deadline: Duration) -> BoxFuture<'_, Result<Bytes, PeerFault>>;
}

/// Why there is no answer. Whether the other node has acted on the request is unknown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerFault {
    #[error("{node} cannot be reached: {why}")]
    Unreachable { node: NodeId, why: String },
    #[error("{node} did not answer in time")]
    Timeout { node: NodeId },
    #[error("{node} refused: {why}")]
    Refused { node: NodeId, why: String },
}
