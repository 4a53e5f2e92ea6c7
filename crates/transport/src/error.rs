//! Every way to fail here, in words for an operator. Not here: what travels as a failure (`wire::frame::Failure`).

use std::io;
use std::net::SocketAddr;

use types::NodeId;

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Nothing was sent, or the peer did not begin.
    #[error("{peer} cannot be reached: {why}")]
    Unreachable { peer: NodeId, why: String },
    /// The request may have been executed; a late answer is dropped.
    #[error("no answer within the deadline; the request may have been executed")]
    Deadline,
    /// Nothing was executed.
    #[error("too much at once: {0}")]
    Overloaded(Overload),
    /// Nothing was executed.
    #[error("a body of {bytes} bytes is more than the limit of {max}")]
    TooLarge { bytes: u64, max: u64 },
    /// The request was executed, but its answer is too large for one of the two nodes.
    #[error("the request was executed, but its answer of {bytes} bytes is more than the limit of {max}")]
    AnswerTooLarge { bytes: u64, max: u64 },
    /// The handler of the peer said no.
    #[error("refused by the peer: {text}")]
    Refused { text: String },
    /// The connection ended between request and answer; the request may have been executed.
    #[error("the connection was lost before the answer ({why}); the request may have been executed")]
    Closed { why: String },
}

impl CallError {
    /// Whether the request may have been executed although there is no answer. `false`: it surely was not, or the
    /// peer's handler said no itself.
    pub fn is_unknown_outcome(&self) -> bool {
        match self {
            Self::Deadline | Self::Closed { .. } | Self::AnswerTooLarge { .. } => true,
            Self::Unreachable { .. } | Self::Overloaded(_) | Self::TooLarge { .. } | Self::Refused { .. } => {
                false
            }
        }
    }
}

/// Which bound was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Overload {
    #[error("as many calls to this peer are in flight as may be")]
    CallsInFlight,
    #[error("the peer reads slowly, and the write queue stayed full until the deadline")]
    WriteQueue,
    #[error("the peer handles as many requests as it may")]
    Peer,
}

/// What a handler says no with. The text travels; at most 1,024 bytes of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct HandlerError {
    pub text: String,
}

/// Why a node does not start, or does not take a peer.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "peer address {0} is not a loopback address; traffic between nodes is not encrypted yet and stays on one machine"
    )]
    NotLoopback(SocketAddr),
    #[error("cannot listen on {addr}: {source}")]
    Listen { addr: SocketAddr, source: io::Error },
    #[error("the option {0} is outside its bounds")]
    Option(&'static str),
    #[error("{0} is listed twice, or as a peer of itself")]
    Peer(NodeId),
    #[error("this node is shutting down")]
    Leaving,
}

pub(crate) const LEAVING: &str = "this node is shutting down";
