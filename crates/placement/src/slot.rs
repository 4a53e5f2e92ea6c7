//! The slot of a workspace. Not here: the shard of a slot, which the committed map says.

use crate::hash::{avalanche, fnv_1a};
use types::WorkspaceId;

/// How many slots there are. Fixed for the life of a cluster: a slot is on disk.
pub const SLOTS: u16 = 1_024;

/// One of the 1,024 parts all workspaces fall into; what moves between shards, if anything ever does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u16);

impl Slot {
    /// `None` from [`SLOTS`] on.
    pub const fn new(number: u16) -> Option<Self> {
        if number < SLOTS { Some(Self(number)) } else { None }
    }

    /// 0 to 1,023.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// All slots in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..SLOTS).map(Self)
    }
}

/// The slot of a workspace: the low ten bits of the hash of its id's bytes. Never to change.
pub fn slot_of(workspace: &WorkspaceId) -> Slot {
    let low = avalanche(fnv_1a(&[workspace.as_str().as_bytes()])) & 0x3ff;
    Slot(u16::try_from(low).expect("ten bits fit sixteen"))
}
