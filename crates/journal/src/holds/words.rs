//! What is asked of holds and answered, as plain data. Not here: how it is kept.

use crate::keys::KeyGuard;
use crate::words::HandleNo;
use types::{
    Credits, CycleNumber, Day, Durability, Feature, HoldNumber, LineNumber, Model, PriceVersion, Shadowed,
    Source, Timestamp, Unit, UserId, WorkspaceId, WouldRefuse,
};

/// Holds that have ended and are still known, by holder; past it the oldest is forgotten. Nothing is charged to a hold that
/// is not known, so what is forgotten costs an answer and no credit.
pub const HOLDS_REMEMBERED_MAX: usize = 16_384;

/// Credits that were won on the escrow's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spend {
    pub handle: HandleNo,
    pub epoch: u16,
    pub amount: Credits,
}

/// A spend that is to be set aside.
#[derive(Debug)]
pub struct OpenHold {
    pub spend: Spend,
    pub feature: Feature,
    pub model: Option<Model>,
    /// The version of the rate card.
    pub prices: PriceVersion,
    /// How durable its end is to be; its beginning is synced in any case.
    pub durability: Durability,
    pub ttl_ms: u32,
    pub at: Timestamp,
    pub key: Option<KeyGuard>,
    /// It would have been refused: nothing is set aside, and what it lacks is remembered.
    pub shadow: Option<Shadowed>,
}

/// A hold that was opened; under a key this is what is answered again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub number: HoldNumber,
    pub line: LineNumber,
    pub cycle: CycleNumber,
    pub amount: Credits,
    pub expires_at: Timestamp,
    pub shadow: Option<Shadowed>,
}

/// Lets a hold have `to` in all, and says what of it is used for certain. Both only grow: asked again it is the same.
#[derive(Clone, Debug)]
pub struct ExtendHold {
    pub hold: HoldNumber,
    /// What it takes, spent on the word for it. What is not needed after all is free again.
    pub spend: Option<Spend>,
    pub to: Credits,
    pub confirmed: Credits,
    /// Whether it lasts anew from `at`. Never where its line draws no more.
    pub refresh: bool,
    pub at: Timestamp,
    /// It would have been refused: the hold keeps what it has, and lacks the rest.
    pub shadow: Option<WouldRefuse>,
}

/// How a hold ends by its client's word.
#[derive(Clone, Debug)]
pub enum Ending {
    Settle(Settle),
    /// Nothing was used but what is confirmed.
    Release {
        day: Day,
    },
}

#[derive(Clone, Debug)]
pub struct Settle {
    pub amount: Credits,
    /// More than is held is charged as what is held; else it is refused.
    pub cap: bool,
    /// Where more would have been refused: what is held is charged, and the rest is counted.
    pub shadow: Option<WouldRefuse>,
    pub units: Vec<(Unit, u64)>,
    pub day: Day,
}

/// Settles a hold that has expired: what its expiry did not charge is spent like any other charge.
#[derive(Clone, Debug)]
pub struct SettleLate {
    pub hold: HoldNumber,
    pub spend: Spend,
    pub units: Vec<(Unit, u64)>,
    pub day: Day,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndOfHold {
    Settled,
    Released,
    /// Its time was up: what was confirmed is charged. It may still be settled, late.
    Expired,
    SettledLate,
}

/// What every hold has, open or over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldFacts {
    pub number: HoldNumber,
    pub workspace: WorkspaceId,
    pub user: UserId,
    /// The line that it was opened on.
    pub line: LineNumber,
    pub cycle: CycleNumber,
    pub feature: Feature,
    pub model: Option<Model>,
    pub prices: PriceVersion,
    pub durability: Durability,
    pub held: Credits,
    /// It would have been refused, or a part of it: what it lacks; at its end what the call would have cost beyond what it was
    /// charged.
    pub shadow: Option<Shadowed>,
}

/// An open hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldView {
    pub facts: HoldFacts,
    pub confirmed: Credits,
    pub expires_at: Timestamp,
    /// Its line draws no more: it can be settled, and neither grow nor last longer.
    pub is_ending: bool,
    /// What its extension had won and did not need.
    pub freed: Credits,
}

/// A hold that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldOver {
    pub facts: HoldFacts,
    pub end: EndOfHold,
    pub charged: Credits,
    /// The line that was charged last: another one than its own, if it was settled late.
    pub charged_on: LineNumber,
    /// In spending order, no source twice.
    pub sources: Vec<(Source, Credits)>,
}

/// A hold that has just ended, or had ended before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub over: HoldOver,
    /// Free again and above the watermark of its line, or given back with it.
    pub freed: Credits,
    /// It was the last one of a line that waited for it.
    pub closed: bool,
}
