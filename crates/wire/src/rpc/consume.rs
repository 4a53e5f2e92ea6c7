//! A consume on its way to the user's home, and what the home decided. Not here: what clients send (`json`).

use super::KIB;
use crate::envelope::Frozen;
use crate::ledger::{Durability, LimitHit, Source};
use serde::{Deserialize, Serialize};

shapes! {
    pub struct Forward {
        /// Of the membership by which the home was chosen.
        pub epoch: u64,
        pub consume: Consume,
    }

    pub struct Consume {
        pub workspace: String,
        pub user: String,
        pub feature: String,
        pub model: Option<String>,
        pub price: PriceBy,
        pub durability: Option<Durability>,
        pub key: Option<String>,
    }

    pub enum PriceBy {
        Amount(u64),
        Usage(Vec<(String, u64)>),
    }

    pub struct Forwarded(pub Result<Charge, Refusal>);

    pub struct Charge {
        pub id: ChargeId,
        pub charged: u64,
        pub sources: Vec<(Source, u64)>,
        pub remaining: Remaining,
        pub durability: Durability,
        pub cycle: u32,
        /// Of the rate card, and of the workspace's own prices.
        pub price_version: Option<(u64, Option<u64>)>,
        pub shadow: Option<Shadowed>,
    }

    /// What would have been refused.
    pub struct Shadowed {
        pub code: WouldRefuse,
        pub would_have_cost: u64,
    }

    pub enum WouldRefuse {
        Exhausted, AllocationExhausted, LimitReached, OverageCapReached, HoldExceeded, AccessDisabled, FeatureNotInPlan,
        UnknownUser,
    }

    pub struct ChargeId {
        pub node: u16,
        pub line: u64,
        pub sequence: u64,
    }

    pub struct Remaining {
        pub at_least: u64,
        pub at_most: u64,
    }

    pub enum Refusal {
        Exhausted { user: String, available: u64 },
        AllocationExhausted { user: String, available: u64 },
        LimitReached { user: String, available: u64, limit: LimitHit },
        InsufficientShared { available: u64 },
        InsufficientAllocation { user: String, available: u64 },
        AccessDisabled(String),
        FeatureNotInPlan { feature: String, plan: String, features: Vec<String> },
        UnknownWorkspace,
        UnknownUser(String),
        NotFound(String),
        KeyConflict,
        KeyInFlight,
        IdConflict(String),
        Stale { now: u64 },
        Conflict(String),
        Invalid(String),
        Unpriced { feature: String, model: Option<String>, unit: String },
        Overloaded,
        KeyWindowFull,
        CreditsUnreachable { user: String, available: u64 },
        HomeUnreachable,
        NoLeader,
        OutcomeUnknown,
        StorageUnavailable(String),
        OverageCapReached { user: String, available: u64 },
        HoldExceeded { held: u64 },
        HoldOver(String),
        HoldEnding,
        TooManyHolds(String),
        HolderUnreachable,
        UnknownCharge(String),
        BeyondCharge { left: u64 },
    }
}

frozen! {
    // Five ids and 16 units, each of at most 128 bytes, have some 3 KiB.
    Forward 84 version 1 at most 4 * KIB;
    // A refusal may quote the operating system.
    Forwarded 85 version 6 at most 64 * KIB;
}
