//! Proposing a map: weighted, zone-aware rendezvous, then a correction of what chance left uneven. Proposes only.
//!
//! 1. **Keep** what the current map has on nodes that are still members (nothing, for a first map).
//! 2. **Fill**: each shard takes the nodes it prefers by rendezvous, one after the other, each from a zone that has
//!    fewest of its replicas so far, so that little is left to correct.
//! 3. **Correct**, one replica at a time, the most useful step first: while a step spreads a shard over more zones,
//!    or takes from a fuller node to an emptier one without undoing that, take it. What was not there before moves
//!    first, because moving it costs nothing.
//! 4. **Leaders**: the same correction for the first replica of each shard.
//!
//! Zones come before evenness. How full a node is, is its load divided by its weight, in parts of 720,720: the least
//! number all weights divide, so that no fraction is ever rounded. Each step lowers either the crowding of zones or
//! the fuller one of two nodes, so it ends.

use crate::hash::{avalanche, fnv_1a};
use crate::map::{Map, REPLICAS_MAX, SHARDS_MAX};
use crate::membership::{Membership, Node, WEIGHT_MAX, preference};
use crate::slot::Slot;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use types::{NodeId, ShardId};

/// How many shards there are, and how many nodes hold each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// 1 to [`SHARDS_MAX`].
    pub shards: u16,
    /// 1 to [`REPLICAS_MAX`]; where there are fewer nodes, each holds every shard.
    pub replicas: u8,
}

impl Shape {
    /// Eight shards of three replicas.
    pub const USUAL: Self = Self { shards: 8, replicas: 3 };
}

/// Why a shape is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadShape {
    #[error("a cluster has 1 to {SHARDS_MAX} shards, not {0}; 8 is usual")]
    Shards(u16),
    #[error("a shard has 1 to {REPLICAS_MAX} replicas, not {0}; 3 is usual and survives one lost node")]
    Replicas(u8),
}

/// A first map: slot `n` in shard `n mod shards`, so that doubling the shards would move half of each and rename
/// none. Knows no history: for a cluster that runs, [`adapt`] moves less.
pub fn propose(members: &Membership, shape: Shape) -> Result<Map, BadShape> {
    let Shape { shards, replicas } = shape;
    if !(1..=SHARDS_MAX).contains(&shards) {
        return Err(BadShape::Shards(shards));
    }
    check_replicas(replicas)?;
    let shard_of = |slot: Slot| ShardId(slot.number().checked_rem(shards).expect("at least one shard"));
    let none = vec![Vec::new(); usize::from(shards)];
    Ok(place(Slot::all().map(shard_of).collect(), &none, members, replicas))
}

/// The current map changed as little as the new membership asks for. Slots stay in their shards.
pub fn adapt(current: &Map, members: &Membership, replicas: u8) -> Result<Map, BadShape> {
    check_replicas(replicas)?;
    Ok(place(current.slot_table().to_vec(), current.replica_table(), members, replicas))
}

fn check_replicas(replicas: u8) -> Result<(), BadShape> {
    if (1..=REPLICAS_MAX).contains(&replicas) { Ok(()) } else { Err(BadShape::Replicas(replicas)) }
}

fn place(slots: Vec<ShardId>, current: &[Vec<NodeId>], members: &Membership, replicas: u8) -> Map {
    let mut draft = Draft { members: members.nodes(), current, placed: Vec::new() };
    let wanted = usize::from(replicas).min(draft.members.len());
    for (shard, held) in current.iter().enumerate() {
        let mut placed: Vec<&Node> = draft.members.iter().filter(|node| held.contains(&node.id)).collect();
        while placed.len() > wanted {
            placed = draft.without_worst(shard, placed);
        }
        while placed.len() < wanted {
            placed.push(draft.best_addition(shard, &placed));
        }
        draft.placed.push(placed);
    }
    while let Some(Step { shard, from, to }) = draft.best_step() {
        draft.placed[shard].retain(|node| node.id != from);
        draft.placed[shard].push(to);
    }
    draft.order_by_preference();
    while let Some(Step { shard, from: _, to }) = draft.best_change_of_leader() {
        draft.lead(shard, Some(to.id));
    }
    let replicas = draft.placed.iter().map(|nodes| nodes.iter().map(|node| node.id).collect());
    Map::new(slots, replicas.collect()).expect("a proposal within its bounds is a map")
}

/// Replicas while they are being placed; shards and what is placed in them are by shard number.
struct Draft<'a> {
    members: &'a [Node],
    current: &'a [Vec<NodeId>],
    placed: Vec<Vec<&'a Node>>,
}

/// One replica of `shard`, or its leadership, goes from one node to another.
struct Step<'a> {
    shard: usize,
    from: NodeId,
    to: &'a Node,
}

impl<'a> Draft<'a> {
    fn best_addition(&self, shard: usize, placed: &[&Node]) -> &'a Node {
        let free = self.members.iter().filter(|node| !holds(placed, node.id));
        let best = free.max_by_key(|node| (Reverse(crowd(placed, node)), preference(shard_key(shard), node)));
        best.expect("fewer replicas than nodes")
    }

    fn without_worst(&self, shard: usize, mut placed: Vec<&'a Node>) -> Vec<&'a Node> {
        let worst = placed
            .iter()
            .max_by_key(|node| (crowd(&placed, node), Reverse(preference(shard_key(shard), node))))
            .expect("more replicas than wanted")
            .id;
        placed.retain(|node| node.id != worst);
        placed
    }

    /// The replica whose move helps most, or `None` where no move helps.
    fn best_step(&self) -> Option<Step<'a>> {
        let loads = loads(self.placed.iter().flatten());
        let mut best = None;
        for (shard, placed) in self.placed.iter().enumerate() {
            for from in placed {
                let others: Vec<&Node> = placed.iter().copied().filter(|node| node.id != from.id).collect();
                let crowded = crowd(&others, from);
                let costless = !self.current[shard].contains(&from.id);
                for to in self.members.iter().filter(|node| !holds(placed, node.id)) {
                    let less_crowded = crowded.cmp(&crowd(&others, to));
                    let emptier = gain(&loads, from, to);
                    if less_crowded.is_gt() || less_crowded.is_eq() && emptier > 0 {
                        let key = (less_crowded, costless, emptier);
                        keep_best(&mut best, key, Step { shard, from: from.id, to });
                    }
                }
            }
        }
        best.map(|(_, step)| step)
    }

    /// First whoever leads by the current map, if it still holds the shard; then by preference.
    fn order_by_preference(&mut self) {
        for shard in 0..self.placed.len() {
            self.lead(shard, self.current[shard].first().copied());
        }
    }

    /// Puts a replica first, if it is there, and the others behind it in the order the shard prefers them.
    fn lead(&mut self, shard: usize, leader: Option<NodeId>) {
        let key = shard_key(shard);
        self.placed[shard]
            .sort_by_cached_key(|node| Reverse((Some(node.id) == leader, preference(key, node))));
    }

    fn best_change_of_leader(&self) -> Option<Step<'a>> {
        let loads = loads(self.placed.iter().filter_map(|placed| placed.first()));
        let mut best = None;
        for (shard, placed) in self.placed.iter().enumerate() {
            let Some((from, followers)) = placed.split_first() else { continue };
            let costless = self.current[shard].first() != Some(&from.id);
            for to in followers {
                let emptier = gain(&loads, from, to);
                if emptier > 0 {
                    keep_best(&mut best, (costless, emptier), Step { shard, from: from.id, to });
                }
            }
        }
        best.map(|(_, step)| step)
    }
}

/// Of steps with equal keys, the one its shard prefers; of those still equal, the first one found.
fn keep_best<'a, K: Ord>(best: &mut Option<(K, Step<'a>)>, key: K, step: Step<'a>) {
    let preferred = |step: &Step| preference(shard_key(step.shard), step.to);
    let better = best.as_ref().is_none_or(|(known, kept)| {
        key.cmp(known).then_with(|| preferred(&step).cmp(&preferred(kept))).is_gt()
    });
    if better {
        *best = Some((key, step));
    }
}

fn shard_key(shard: usize) -> u64 {
    let shard = u16::try_from(shard).expect("at most 64 shards");
    avalanche(fnv_1a(&[b"shard", &shard.to_be_bytes()]))
}

fn holds(placed: &[&Node], node: NodeId) -> bool {
    placed.iter().any(|holder| holder.id == node)
}

/// How many of `placed` share `node`'s zone.
fn crowd(placed: &[&Node], node: &Node) -> usize {
    placed.iter().filter(|other| other.zone == node.zone).count()
}

/// How often each node occurs.
fn loads<'n>(nodes: impl Iterator<Item = &'n &'n Node>) -> BTreeMap<NodeId, i64> {
    let mut loads = BTreeMap::new();
    for node in nodes {
        let load = loads.entry(node.id).or_insert(0_i64);
        *load = load.saturating_add(1);
    }
    loads
}

/// How much fuller `from` is than `to` would be with one more; positive where moving one evens them out.
fn gain(loads: &BTreeMap<NodeId, i64>, from: &Node, to: &Node) -> i64 {
    let load = |node: &Node| loads.get(&node.id).copied().unwrap_or(0);
    fullness(load(from), from).saturating_sub(fullness(load(to).saturating_add(1), to))
}

/// The least common multiple of 1 to 16.
const FULL: i64 = 720_720;
const _: () = assert!(WEIGHT_MAX == 16, "FULL must be divisible by every weight");

fn fullness(load: i64, node: &Node) -> i64 {
    let share = FULL.checked_div(i64::from(node.weight)).expect("a member has a weight");
    load.saturating_mul(share)
}
