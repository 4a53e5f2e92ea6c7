//! The nodes there are, and the home of each user among them. Not here: who is alive; a home is not an opinion.
//!
//! **Weighted rendezvous without a logarithm.** A node of weight `w` takes part with `w` tickets, each a hash of
//! (key, node, ticket); its score is its best ticket, and the node with the best score wins. The best of `n` equal
//! tickets is equally often any of them, so a node wins `w` times out of the sum of weights, exactly, in integers,
//! for at most 16 hashes a node. A node that joins, or gets heavier, takes keys only to itself; one that leaves
//! gives up only its own.

use crate::hash::{avalanche, fnv_1a};
use std::cmp::Reverse;
use types::{NodeId, UserId, WorkspaceId};

/// Most nodes of one cluster.
pub const NODES_MAX: usize = 256;
/// Largest weight of a node.
pub const WEIGHT_MAX: u8 = 16;
/// Longest name of a zone, in bytes.
pub const ZONE_BYTES_MAX: usize = 128;

/// A node as placement sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub id: NodeId,
    /// What fails together: a rack, a building. Nodes with the same text, also the empty one, share a zone.
    pub zone: String,
    /// Its share of the load relative to others, 1 to [`WEIGHT_MAX`]. A node to be drained is left out of the list.
    pub weight: u8,
}

/// Counts changes of the membership. A forward carries it, and whoever has seen a later one refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MembershipEpoch(pub u64);

/// At least one node, no node twice, in order of their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    epoch: MembershipEpoch,
    nodes: Vec<Node>,
}

/// Why nodes are not a membership.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMembership {
    #[error("a cluster has at least one node; list this one")]
    NoNodes,
    #[error("a cluster has at most {NODES_MAX} nodes, this list has {0}; run a second cluster")]
    TooManyNodes(usize),
    #[error("{0} is listed twice; give each machine an id of its own")]
    Twice(NodeId),
    #[error("{node} has weight {weight}; a weight is 1 to {WEIGHT_MAX}. To drain a node, leave it out")]
    BadWeight { node: NodeId, weight: u8 },
    #[error("the zone of {node} has {bytes} bytes; its name has at most {ZONE_BYTES_MAX}")]
    ZoneTooLong { node: NodeId, bytes: usize },
}

impl Membership {
    /// Checks `nodes`, given in any order.
    pub fn new(epoch: MembershipEpoch, mut nodes: Vec<Node>) -> Result<Self, BadMembership> {
        if nodes.is_empty() {
            return Err(BadMembership::NoNodes);
        }
        if nodes.len() > NODES_MAX {
            return Err(BadMembership::TooManyNodes(nodes.len()));
        }
        for Node { id, zone, weight } in &nodes {
            if !(1..=WEIGHT_MAX).contains(weight) {
                return Err(BadMembership::BadWeight { node: *id, weight: *weight });
            }
            if zone.len() > ZONE_BYTES_MAX {
                return Err(BadMembership::ZoneTooLong { node: *id, bytes: zone.len() });
            }
        }
        nodes.sort_by_key(|node| node.id);
        match nodes.windows(2).find(|pair| pair[0].id == pair[1].id) {
            Some(pair) => Err(BadMembership::Twice(pair[0].id)),
            None => Ok(Self { epoch, nodes }),
        }
    }

    pub const fn epoch(&self) -> MembershipEpoch {
        self.epoch
    }

    /// In order of ids, never empty.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub fn contains(&self, node: NodeId) -> bool {
        self.nodes.binary_search_by_key(&node, |member| member.id).is_ok()
    }

    /// The node that decides this user's keyed consumes, as long as this membership stands.
    pub fn home(&self, workspace: &WorkspaceId, user: &UserId) -> NodeId {
        let key = user_key(workspace, user);
        let best = self.nodes.iter().max_by_key(|node| preference(key, node));
        best.expect("a membership has a node").id
    }

    /// All nodes in the order in which they would be this user's home: each is the home if those before it leave.
    pub fn homes(&self, workspace: &WorkspaceId, user: &UserId) -> Vec<NodeId> {
        let key = user_key(workspace, user);
        let mut nodes: Vec<&Node> = self.nodes.iter().collect();
        nodes.sort_by_cached_key(|node| Reverse(preference(key, node)));
        nodes.into_iter().map(|node| node.id).collect()
    }
}

/// What larger wins. Two nodes can only tie by a collision of hashes; then the lower id wins, everywhere alike.
pub(crate) fn preference(key: u64, node: &Node) -> (u64, Reverse<NodeId>) {
    let ticket = |ticket: u8| avalanche(key ^ avalanche((u64::from(node.id.0) << 8) | u64::from(ticket)));
    let score = (1..=node.weight).map(ticket).max().unwrap_or(0);
    (score, Reverse(node.id))
}

fn user_key(workspace: &WorkspaceId, user: &UserId) -> u64 {
    // No id has a zero byte, so no two pairs of ids meet in the same bytes.
    avalanche(fnv_1a(&[workspace.as_str().as_bytes(), &[0], user.as_str().as_bytes()]))
}
