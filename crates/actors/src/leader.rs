//! What holders and administrators ask of a shard's leader, and what a leader asks of holders: plain data that may
//! cross nodes. Not here: how the leader is found (`shards`), what it does (`desk`).

use leasing::RecallLine;
use ledger::{Answer, Applied, Command, HolderBatch, LineAnswer, LineMessage, Query, Rejection};
use types::{Credits, Durability, Enforcement, HolderId, Limited, NodeId, WorkspaceId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaderRequest {
    /// Draws, reports, returns and closes of one workspace's lines on one node.
    Batch(HolderBatch),
    /// Anything else that changes the ledger.
    Command(Box<Command>),
    /// Renews the session of a holder; nothing else does.
    Renew { holder: HolderId },
    /// Linearizable. `fresh`: the holders of the workspace's leases are asked first.
    Read { query: Query, fresh: bool },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaderAnswer {
    Batch(BatchAnswer),
    Applied { index: u64, applied: Applied },
    Renewed,
    Read { index: u64, answer: Answer, silent: Vec<NodeId> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchAnswer {
    pub lines: Vec<LineAnswer>,
    /// By line, in the same order: what its user could spend over the whole chain beyond what is out on this line.
    pub elsewhere: Vec<Credits>,
    /// What the workspace declares for consumes that declare nothing.
    pub durability: Durability,
    /// Whether a denial is a refusal.
    pub enforcement: Enforcement,
    /// A draw was denied while credits are out on holders that could not be asked for them.
    pub cut_off: bool,
    /// What is limited, where a line of the batch is of another list.
    pub limited: Option<Limited>,
}

/// Why a leader did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaderRefusal {
    /// Surely not done here.
    NotLeader {
        leader: Option<NodeId>,
    },
    Overloaded,
    /// Done or not: ask again unchanged.
    Unknown,
    /// The group has stopped on this node.
    Stopped(String),
    /// The ledger's answer to a whole batch.
    Rejected(Rejection),
}

/// Leader to holder: give back what these lines do not need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recall {
    pub workspace: WorkspaceId,
    pub lines: Vec<RecallLine>,
}

/// The numbers of the recalled lines, durable at the holder; the leader books them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecallAnswer {
    pub holder: HolderId,
    pub journal_sequence: u64,
    pub lines: Vec<LineMessage>,
}
