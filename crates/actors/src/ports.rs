//! The port through which this room reaches other nodes; `transport` implements it.

use crate::leader::{LeaderAnswer, LeaderRefusal, LeaderRequest, Recall, RecallAnswer};
pub use replication::BoxFuture;
use replication::GroupId;
use std::fmt;
use std::time::Duration;
use types::NodeId;

pub trait Peers: Send + Sync + fmt::Debug {
    /// Asks `to` to do it as the group's leader. Gives up after `deadline`.
    fn ask_leader(
        &self,
        to: NodeId,
        group: GroupId,
        request: LeaderRequest,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Result<LeaderAnswer, LeaderRefusal>, PeerFault>>;

    fn recall(
        &self,
        to: NodeId,
        recall: Recall,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<RecallAnswer, PeerFault>>;
}

/// Why another node gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerFault {
    /// Surely not done.
    #[error("{0} cannot be reached")]
    Unreachable(NodeId),
    /// Done or not.
    #[error("it is not known whether {0} did it")]
    Unknown(NodeId),
}
