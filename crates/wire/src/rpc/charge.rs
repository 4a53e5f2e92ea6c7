//! A charge that is looked up at the node that has it. Not here: what is refunded of it (`crate::ledger`).

use super::{KIB, Refusal};
use crate::envelope::Frozen;
use crate::ledger::{AnyCharge, ChargePart, HolderId};
use serde::{Deserialize, Serialize};

shapes! {
    pub struct FindCharge {
        pub workspace: String,
        pub charge: AnyCharge,
        /// Answer once the ledger has it.
        pub reported: bool,
    }

    pub struct FoundCharge(pub Result<ChargeFacts, Refusal>);

    pub struct ChargeFacts {
        pub holder: HolderId,
        pub charge: AnyCharge,
        pub user: String,
        pub feature: String,
        pub model: Option<String>,
        pub day: i32,
        pub cycle: u32,
        pub units: Vec<(String, u64)>,
        pub parts: Vec<ChargePart>,
    }
}

frozen! {
    FindCharge 95 version 1 at most KIB;
    // The parts of two lines of 128 backings, and 64 kinds of unit.
    FoundCharge 96 version 2 at most 64 * KIB;
}
