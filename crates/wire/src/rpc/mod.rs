//! What nodes ask of each other beside Raft, as frozen shapes: leaders, holders, homes, and who knows whom. Parts that
//! the log has too are the shapes of [`crate::ledger`]. Not here: frames (`frame`), Raft's own messages (`raft`), the
//! conversions from and to the rooms' types; those are `transport`'s.
//!
//! A changed shape, also one of `ledger` that is part of one here, is a new version of every message it is in.

use crate::envelope::Frozen;
use serde::{Deserialize, Serialize};

macro_rules! shapes {
    ($($shape:item)*) => {$(
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        $shape
    )*};
}

macro_rules! frozen {
    ($($shape:ident $type_id:literal version $version:literal at most $bytes:expr;)*) => {$(
        impl Frozen for $shape {
            const TYPE_ID: u8 = $type_id;
            const VERSION: u8 = $version;
            const BYTES_MAX: usize = $bytes;
        }
    )*};
}

mod charge;
mod consume;
mod hold;
mod leader;
mod query;

pub use charge::*;
pub use consume::*;
pub use hold::*;
pub use leader::*;
pub use query::*;

/// The number of each request, as its frame has it.
pub mod kind {
    /// A [`crate::raft::Request`], answered with a [`crate::raft::Answer`].
    pub const REPLICATE: u8 = 1;
    /// An [`super::Ask`], answered with a [`super::Led`].
    pub const ASK_LEADER: u8 = 2;
    /// A [`super::Recall`], answered with a [`super::RecallAnswer`].
    pub const RECALL: u8 = 3;
    /// A [`super::Forward`], answered with a [`super::Forwarded`].
    pub const CONSUME: u8 = 4;
    /// An [`super::Introduce`], answered with a [`super::Known`].
    pub const INTRODUCE: u8 = 5;
    /// An [`super::AskTime`], answered with a [`super::Time`].
    pub const ASK_TIME: u8 = 6;
    /// An [`super::Introduce`] of a node that is not new, answered with a [`super::Heard`]. Programs before it refuse the
    /// kind.
    pub const ASK_HEARD: u8 = 7;
    /// A [`super::ForwardHold`], answered with a [`super::ForwardedHold`].
    pub const OPEN_HOLD: u8 = 8;
    /// A [`super::HoldCommand`], answered with a [`super::HoldAnswered`].
    pub const HOLD: u8 = 9;
    /// A [`super::FindCharge`], answered with a [`super::FoundCharge`].
    pub const FIND_CHARGE: u8 = 10;
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

shapes! {
    /// A node that starts says who it is and on which disk.
    pub struct Introduce {
        pub node: u16,
        pub disk: u64,
    }

    /// The disk the asked node knows that node by, if it knows it.
    pub struct Known(pub Option<u64>);

    /// How far the asked node has seen the journal on that disk get.
    pub enum Heard {
        /// Its groups are not open: it has seen nothing yet.
        Starting,
        /// The highest sequence its groups know of; 0 where none. `is_current`: nothing they should know is missing.
        UpTo { sequence: u64, is_current: bool },
    }

    /// What does your clock say?
    pub struct AskTime;

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub struct Time(pub i64);
}

frozen! {
    Introduce 86 version 1 at most 64;
    Known 87 version 1 at most 64;
    AskTime 88 version 1 at most 64;
    Time 89 version 1 at most 64;
    Heard 90 version 1 at most 64;
}

#[cfg(test)]
mod golden;
