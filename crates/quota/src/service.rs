//! One node's door to everything Tranche can do; the verbs are in files of their own.

use crate::counts::Counts;
use crate::hold::HOLD_TTL_MS_MAX;
use crate::ports::Peers;
use crate::route::Strays;
use actors::{Holder, Shards};
use placement::Membership;
use platform::CoarseClock;
use replication::GroupId;
use std::sync::Arc;
use types::{NodeId, WorkspaceId};

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Quota(Arc<Inner>);

/// Every time and bound of this room, whole.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long a consume may take at another node; 6,000. More than it may wait there.
    pub forward_ms: u64,
    /// How long `quorum` waits for its report to be committed; 2,000.
    pub confirm_ms: u64,
    /// How long an administrator's write or a read looks for a leader; 5,000.
    pub admin_ms: u64,
    /// A user seen this often within two generations is decided here; 3 times in 2,000 ms each.
    pub regular_from: u32,
    pub generation_ms: u64,
}

/// A node of the static membership, with its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedNode {
    pub id: NodeId,
    pub api: String,
    pub peer: String,
}

#[derive(Debug)]
struct Inner {
    options: Options,
    holder: Holder,
    membership: Membership,
    listed: Vec<ListedNode>,
    peers: Arc<dyn Peers>,
    clock: Arc<CoarseClock>,
    strays: Strays,
    counts: Counts,
}

impl Quota {
    pub fn new(
        options: Options,
        holder: Holder,
        membership: Membership,
        listed: Vec<ListedNode>,
        peers: Arc<dyn Peers>,
        clock: Arc<CoarseClock>,
    ) -> Self {
        let strays = Strays::new(options.generation_ms, options.regular_from);
        Self(Arc::new(Inner {
            options,
            holder,
            membership,
            listed,
            peers,
            clock,
            strays,
            counts: Counts::default(),
        }))
    }

    pub fn node(&self) -> NodeId {
        self.holder().id().node
    }

    /// When what is pending is settled at the latest: a session lasts so long, and the longest hold (ms).
    pub fn pending_ms_max(&self) -> i64 {
        let session = i64::try_from(self.holder().options().session_ttl_ms).unwrap_or(i64::MAX);
        session.saturating_add(i64::from(HOLD_TTL_MS_MAX))
    }

    pub fn holder(&self) -> &Holder {
        &self.0.holder
    }

    pub fn counts(&self) -> &Counts {
        &self.0.counts
    }

    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    pub(crate) fn shards(&self) -> &Shards {
        self.holder().shards()
    }

    pub(crate) fn membership(&self) -> &Membership {
        &self.0.membership
    }

    pub(crate) fn listed(&self) -> &[ListedNode] {
        &self.0.listed
    }

    pub(crate) fn peers(&self) -> &dyn Peers {
        &*self.0.peers
    }

    pub(crate) fn clock(&self) -> &CoarseClock {
        &self.0.clock
    }

    pub(crate) fn strays(&self) -> &Strays {
        &self.0.strays
    }

    pub(crate) fn group_of(&self, workspace: &WorkspaceId) -> GroupId {
        GroupId::Shard(self.shards().map().shard_of(workspace))
    }
}
