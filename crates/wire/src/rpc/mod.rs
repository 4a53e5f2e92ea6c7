//! What nodes ask of each other beside Raft, as frozen shapes: leaders, holders, homes, and who knows whom. Parts that
//! the log has too are the shapes of [`crate::ledger`]. Not here: frames (`frame`), Raft's own messages (`raft`), the
//! conversions from and to the rooms' types; those are `transport`'s.
//!
//! A changed shape, also one of `ledger` that is part of one here, is a new version of every message it is in.

use crate::envelope::{BadBytes, Frozen};
use serde::{Deserialize, Serialize};

macro_rules! shapes {
    ($($shape:item)*) => {$(
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        $shape
    )*};
}

macro_rules! frozen {
    ($($shape:ident $type_id:literal at most $bytes:expr;)*) => {$(
        impl Frozen for $shape {
            const TYPE_ID: u8 = $type_id;
            const VERSION: u8 = 1;
            const BYTES_MAX: usize = $bytes;
        }
    )*};
}

mod consume;
mod leader;
mod query;

pub use consume::*;
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
}

frozen! {
    Introduce 86 at most 64;
    Known 87 at most 64;
}

/// Most that the numbers, texts and lists of one message may say they take, in bytes as they are in memory.
const CLAIMS_BYTES_MAX: usize = 64 * MIB;

/// The value in `bytes`, all of them. Unlike [`crate::envelope::decode`] it believes no length before it is checked:
/// a text that says it has 2^60 bytes is an error, not an allocation.
pub fn decode<T: Frozen>(bytes: &[u8]) -> Result<T, BadBytes> {
    let [found, version, body @ ..] = bytes else { return Err(BadBytes::Short) };
    if *found != T::TYPE_ID {
        return Err(BadBytes::Type { expected: T::TYPE_ID, found: *found });
    }
    if body.len() > T::BYTES_MAX {
        return Err(BadBytes::TooLarge { type_id: T::TYPE_ID, bytes: body.len(), max: T::BYTES_MAX });
    }
    if *version != T::VERSION {
        return T::upcast(*version, body);
    }
    let damaged = |why: String| BadBytes::Damaged { type_id: T::TYPE_ID, why };
    let layout = bincode::config::standard().with_limit::<CLAIMS_BYTES_MAX>();
    let (value, read) =
        bincode::serde::decode_from_slice(body, layout).map_err(|error| damaged(error.to_string()))?;
    if read == body.len() { Ok(value) } else { Err(damaged(format!("{} bytes too many", body.len() - read))) }
}

#[cfg(test)]
mod golden;
