//! Why something did not work, with what would help. Not here: the ledger's rejections, which are answers.

use crate::GroupId;
use types::NodeId;

/// Why a replica does not open.
#[derive(Debug, thiserror::Error)]
pub enum ReplicationFault {
    #[error("the options of the replica are wrong: {0}")]
    BadOptions(String),
    #[error("the data directory cannot be used: {0}")]
    Directory(#[from] std::io::Error),
    #[error("the log database cannot be used: {0}")]
    Database(String),
    #[error(
        "this data directory belongs to {found}, not to {expected}; start the node with its own directory"
    )]
    OtherNode { expected: NodeId, found: NodeId },
    #[error(
        "the groups in the settings are not those this data directory was made for ({0}); membership is fixed: \
         go back to the former settings, or start a new cluster in empty directories"
    )]
    OtherGroups(String),
    #[error(
        "the stored {what} of group {group} is damaged ({why}); put the directory back as it was, or run `tranche node forget` for this node"
    )]
    Damaged { group: GroupId, what: &'static str, why: String },
    #[error("group {group} does not start: {why}")]
    Start { group: GroupId, why: String },
}

/// Why a proposal was not committed, or is not known to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Not proposed; nothing will come of it.
    #[error("this node does not lead the group; the leader is {leader:?}")]
    NotLeader { leader: Option<NodeId> },
    #[error("it is not known whether the command was or will be committed; ask again unchanged")]
    Unknown,
    /// Not proposed.
    #[error("{max} commands wait for this group already; try again later")]
    Overloaded { max: usize },
    /// Not proposed.
    #[error("the command has {bytes} bytes; at most {max} are possible")]
    TooLarge { bytes: usize, max: usize },
    #[error("the group has stopped on this node: {why}")]
    Stopped { why: String },
}

/// Why a linearizable read has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("this node does not lead the group; the leader is {leader:?}")]
    NotLeader { leader: Option<NodeId> },
    #[error("no quorum of the group confirmed in time that this node still leads it")]
    NoQuorum,
    #[error("the group has stopped on this node: {why}")]
    Stopped { why: String },
}

/// Why a request of another node was not handled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandleFault {
    #[error("the request is not readable: {0}")]
    BadBytes(String),
    #[error("{from} sent a request in the name of {named}")]
    OtherNode { from: NodeId, named: NodeId },
    #[error("the answer is not writable: {0}")]
    Answer(String),
}
