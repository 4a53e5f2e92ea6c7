//! What is asked of a shard's leader, and what a leader asks of holders. Not here: what can be read.

use super::{BadShape, Travels, travels};
use actors::{BatchAnswer, LeaderAnswer, LeaderRefusal, LeaderRequest, Recall, RecallAnswer};
use leasing::RecallLine;
use replication::GroupId;
use types::ShardId;
use wire::rpc;

/// A request and the group whose leader it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) group: GroupId,
    pub(crate) request: LeaderRequest,
}

travels! {
    struct Ask as Ask { group, request }
    struct BatchAnswer as BatchAnswer { lines, elsewhere, durability, enforcement, cut_off, limited }
    struct Recall as Recall { workspace, lines }
    struct RecallLine as RecallLine { line, user, scope, drawn, frozen, keep }
    struct RecallAnswer as RecallAnswer { holder, journal_sequence, lines }
}

travels! {
    enum LeaderRequest as LeaderRequest {
        Batch(batch), Command(command), Renew { holder }, Read { query, fresh },
    }
    enum LeaderAnswer as LeaderAnswer {
        Batch(answer), Applied { index, applied }, Renewed, Read { index, answer, silent },
    }
    enum LeaderRefusal as LeaderRefusal {
        NotLeader { leader }, Overloaded, Unknown, Stopped(why), Rejected(rejection),
    }
}

impl Travels for GroupId {
    type Shape = rpc::Group;

    fn shape(&self) -> rpc::Group {
        match self {
            Self::Meta => rpc::Group::Meta,
            Self::Shard(ShardId(shard)) => rpc::Group::Shard(*shard),
        }
    }

    fn from_shape(shape: rpc::Group) -> Result<Self, BadShape> {
        Ok(match shape {
            rpc::Group::Meta => Self::Meta,
            rpc::Group::Shard(shard) => Self::Shard(ShardId(shard)),
        })
    }
}
