//! openraft's type parameters for our groups. Not here: what implements its traits.

use ledger::Applied;
use openraft::type_config::alias;
use openraft_rt::deterministic_rng::DeterministicRng;
use openraft_rt_tokio::TokioRuntime;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use types::Timestamp;
use wire::blob::Blob;

openraft::declare_raft_types!(
    pub(crate) Types:
        D = Proposals,
        R = Answers,
        Node = openraft::EmptyNode,
        AsyncRuntime = Runtime,
);

/// Draws openraft's randomness (election timeouts) from a seed, so that a simulation repeats. Every task that
/// starts a group must be inside its `scope`; what the group spawns inherits it.
pub(crate) type Runtime = DeterministicRng<TokioRuntime>;
pub(crate) type Raft = openraft::Raft<Types, crate::machine::Machine>;
pub(crate) type Vote = alias::VoteOf<Types>;
pub(crate) type LogId = alias::LogIdOf<Types>;
pub(crate) type LeaderId = alias::CommittedLeaderIdOf<Types>;
pub(crate) type Entry = alias::EntryOf<Types>;
pub(crate) type Membership = openraft::Membership<u64, openraft::EmptyNode>;
pub(crate) type StoredMembership = alias::StoredMembershipOf<Types>;
pub(crate) type SnapshotMeta = alias::SnapshotMetaOf<Types>;
pub(crate) type Snapshot = alias::SnapshotOf<Types, crate::snapshot::SnapshotFile>;

/// The commands of one entry: an encoded `wire::ledger::Batch`, made once where it is proposed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proposals(pub Blob);

/// What the ledger answered to the commands of one entry, in their order.
#[derive(Debug)]
pub(crate) struct Answers {
    pub at: Timestamp,
    pub applied: Vec<Applied>,
}

impl fmt::Debug for Proposals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "commands in {:?}", self.0)
    }
}

impl fmt::Display for Proposals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answers", self.applied.len())
    }
}

/// openraft asks that these can be serialised; its own serde types are never used, and this keeps it so.
macro_rules! never_serialised {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("bytes are made in `wire` alone"))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
                Err(serde::de::Error::custom("bytes are made in `wire` alone"))
            }
        }
    )*};
}

never_serialised!(Proposals, Answers);
