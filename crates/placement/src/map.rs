//! The table that decides: slot → shard → replicas. Not here: how one is proposed, or what may be changed when.

use crate::slot::{SLOTS, Slot, slot_of};
use types::{NodeId, ShardId, WorkspaceId};

/// Most shards of one cluster.
pub const SHARDS_MAX: u16 = 64;
/// Most replicas of one shard.
pub const REPLICAS_MAX: u8 = 7;

/// Which shard each slot is in, and which nodes hold each shard. Checked when it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    /// By slot number.
    slots: Vec<ShardId>,
    /// By shard number; the first of each should lead.
    replicas: Vec<Vec<NodeId>>,
}

/// Why two tables are not a map. A committed map was checked before: one that is not a map now is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMap {
    #[error("a map has {SLOTS} slots, this one has {0}")]
    WrongSlots(usize),
    #[error("a map has 1 to {SHARDS_MAX} shards, this one has {0}")]
    WrongShards(usize),
    #[error("slot {} is in {shard}, which the map does not have", slot.number())]
    UnknownShard { slot: Slot, shard: ShardId },
    #[error("{shard} has {replicas} replicas; 1 to {REPLICAS_MAX} are possible")]
    WrongReplicas { shard: ShardId, replicas: usize },
    #[error("{node} is listed twice for {shard}")]
    Twice { shard: ShardId, node: NodeId },
}

impl Map {
    /// From the two tables as they are stored: the shard of each slot, and the replicas of each shard with the
    /// one that should lead first.
    pub fn new(slots: Vec<ShardId>, replicas: Vec<Vec<NodeId>>) -> Result<Self, BadMap> {
        if slots.len() != usize::from(SLOTS) {
            return Err(BadMap::WrongSlots(slots.len()));
        }
        if !(1..=usize::from(SHARDS_MAX)).contains(&replicas.len()) {
            return Err(BadMap::WrongShards(replicas.len()));
        }
        for (slot, shard) in Slot::all().zip(&slots) {
            if usize::from(shard.0) >= replicas.len() {
                return Err(BadMap::UnknownShard { slot, shard: *shard });
            }
        }
        for (shard, nodes) in (0..SHARDS_MAX).map(ShardId).zip(&replicas) {
            if !(1..=usize::from(REPLICAS_MAX)).contains(&nodes.len()) {
                return Err(BadMap::WrongReplicas { shard, replicas: nodes.len() });
            }
            let mut sorted = nodes.clone();
            sorted.sort_unstable();
            if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(BadMap::Twice { shard, node: pair[0] });
            }
        }
        Ok(Self { slots, replicas })
    }

    /// The shard that is home of a workspace's pool.
    pub fn shard_of(&self, workspace: &WorkspaceId) -> ShardId {
        self.shard_at(slot_of(workspace))
    }

    pub fn shard_at(&self, slot: Slot) -> ShardId {
        self.slots[usize::from(slot.number())]
    }

    /// All shards in order.
    pub fn shards(&self) -> impl Iterator<Item = ShardId> {
        (0..SHARDS_MAX).map(ShardId).take(self.replicas.len())
    }

    /// The nodes that hold a shard, the one that should lead first; none for a shard the map does not have.
    pub fn replicas(&self, shard: ShardId) -> &[NodeId] {
        self.replicas.get(usize::from(shard.0)).map_or(&[], Vec::as_slice)
    }

    /// The shards a node holds, in order.
    pub fn shards_on(&self, node: NodeId) -> impl Iterator<Item = ShardId> {
        self.shards().filter(move |shard| self.replicas(*shard).contains(&node))
    }

    /// The shard of each slot, by slot number: the first table of [`Map::new`].
    pub fn slot_table(&self) -> &[ShardId] {
        &self.slots
    }

    /// The replicas of each shard, by shard number: the second table of [`Map::new`].
    pub fn replica_table(&self) -> &[Vec<NodeId>] {
        &self.replicas
    }
}
