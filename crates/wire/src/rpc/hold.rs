//! Holds on their way to the node that has them, and what it says. Not here: what clients send (`json`).

use super::{Consume, KIB, Refusal, Shadowed};
use crate::envelope::Frozen;
use crate::ledger::{Durability, Source};
use serde::{Deserialize, Serialize};

shapes! {
    pub struct ForwardHold {
        /// Of the membership by which the home was chosen.
        pub epoch: u64,
        pub open: OpenHold,
    }

    pub struct OpenHold {
        pub consume: Consume,
        pub ttl_ms: u32,
    }

    pub struct ForwardedHold(pub Result<HoldOpened, Refusal>);

    pub struct HoldId {
        pub node: u16,
        pub number: u64,
    }

    pub struct HoldOpened {
        pub hold: HoldId,
        pub held: u64,
        pub expires_at: i64,
        pub cycle: u32,
        pub shadow: Option<Shadowed>,
    }

    pub enum HoldCommand {
        Extend(ExtendHold),
        Settle(SettleHold),
        Release { workspace: String, hold: HoldId },
    }

    pub struct ExtendHold {
        pub workspace: String,
        pub hold: HoldId,
        pub amount: u64,
        pub confirmed: u64,
    }

    pub struct SettleHold {
        pub workspace: String,
        pub hold: HoldId,
        pub used: UsedBy,
        pub shortfall: Shortfall,
    }

    pub enum UsedBy {
        Amount(u64),
        Usage(Vec<(String, u64)>),
    }

    pub enum Shortfall {
        Reject,
        Cap,
    }

    pub struct HoldAnswered(pub Result<HoldAnswer, Refusal>);

    pub enum HoldAnswer {
        Extended(HoldState),
        Ended(HoldEnd),
    }

    pub struct HoldState {
        pub hold: HoldId,
        pub held: u64,
        pub confirmed: u64,
        pub expires_at: i64,
        pub shadow: Option<Shadowed>,
    }

    pub struct HoldEnd {
        pub hold: HoldId,
        pub end: EndOfHold,
        pub charged: u64,
        pub freed: u64,
        pub sources: Vec<(Source, u64)>,
        pub durability: Durability,
        pub cycle: Option<u32>,
        pub shadow: Option<Shadowed>,
    }

    pub enum EndOfHold {
        Settled,
        Released,
        Expired,
        SettledLate,
        Unknown,
    }
}

frozen! {
    ForwardHold 91 version 1 at most 4 * KIB;
    ForwardedHold 92 version 5 at most 64 * KIB;
    // Two ids and 16 units.
    HoldCommand 93 version 1 at most 4 * KIB;
    HoldAnswered 94 version 5 at most 64 * KIB;
}
