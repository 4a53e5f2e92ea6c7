//! Which slot in which shard on which nodes, and which node is whose home. Not here: who agrees on it, who moves data.
//!
//! - A workspace's **slot** is a hash of its id, for ever: [`slot_of`].
//! - A [`Map`] says which shard each of the 1,024 slots is in and which nodes hold each shard. The map committed in
//!   the meta log decides; this crate only proposes one ([`propose`]), changes one with few moves ([`adapt`]) and
//!   tells two apart ([`moves`]).
//! - A user's **home** is a rendezvous hash over the [`Membership`]: every node that knows the same membership
//!   finds the same home without asking.
//!
//! Everything is a function of its arguments, in integers: the same on every node, in every build.

#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic, clippy::wildcard_enum_match_arm)]
#![deny(clippy::disallowed_types)]

mod hash;
mod map;
mod membership;
mod moves;
mod propose;
mod slot;

pub use map::{BadMap, Map, REPLICAS_MAX, SHARDS_MAX};
pub use membership::{
    BadMembership, Membership, MembershipEpoch, NODES_MAX, Node, WEIGHT_MAX, ZONE_BYTES_MAX,
};
pub use moves::{Moves, ShardMove, SlotMove, moves};
pub use propose::{BadShape, Shape, adapt, propose};
pub use slot::{SLOTS, Slot, slot_of};
