//! The difference of two maps, as work to be done. Not here: in which order, how fast, or whether it is safe now.

use crate::map::Map;
use crate::slot::Slot;
use types::{NodeId, ShardId};

/// What must happen for the new map to be true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moves {
    /// In order of slots.
    pub slots: Vec<SlotMove>,
    /// In order of shards; only those with something to do.
    pub shards: Vec<ShardMove>,
}

/// A slot that changes its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotMove {
    pub slot: Slot,
    pub from: ShardId,
    pub to: ShardId,
}

/// A shard whose replicas change, or only who should lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardMove {
    pub shard: ShardId,
    /// Nodes that begin to hold it, in order of ids. A shard that is new joins everywhere.
    pub join: Vec<NodeId>,
    /// Nodes that cease to hold it, in order of ids. A shard that is gone leaves everywhere.
    pub leave: Vec<NodeId>,
    /// Who should lead now, where that has changed.
    pub lead: Option<NodeId>,
}

impl Moves {
    pub const fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.shards.is_empty()
    }

    /// How many copies of shards have to be made.
    pub fn copies(&self) -> usize {
        self.shards.iter().map(|shard| shard.join.len()).sum()
    }
}

/// What turns `old` into `new`.
pub fn moves(old: &Map, new: &Map) -> Moves {
    let slots = Slot::all().filter_map(|slot| {
        let (from, to) = (old.shard_at(slot), new.shard_at(slot));
        (from != to).then_some(SlotMove { slot, from, to })
    });
    let shards = if old.shards().count() > new.shards().count() { old.shards() } else { new.shards() };
    let shards = shards.filter_map(|shard| {
        let (before, after) = (old.replicas(shard), new.replicas(shard));
        let lead = after.first().copied().filter(|lead| before.first() != Some(lead));
        let (join, leave) = (only_in(after, before), only_in(before, after));
        let idle = join.is_empty() && leave.is_empty() && lead.is_none();
        (!idle).then_some(ShardMove { shard, join, leave, lead })
    });
    Moves { slots: slots.collect(), shards: shards.collect() }
}

fn only_in(these: &[NodeId], those: &[NodeId]) -> Vec<NodeId> {
    let mut only: Vec<NodeId> = these.iter().copied().filter(|node| !those.contains(node)).collect();
    only.sort_unstable();
    only
}
