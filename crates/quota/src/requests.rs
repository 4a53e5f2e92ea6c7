//! What can be asked, parsed: behind the edge there is no empty id and no zero amount.

use types::{Credits, Durability, Feature, HoldId, IdempotencyKey, Model, Unit, UserId, WorkspaceId};

/// Spend a known price now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consume {
    pub workspace: WorkspaceId,
    pub user: UserId,
    pub feature: Feature,
    pub model: Option<Model>,
    pub price: PriceBy,
    /// `None`: as the workspace says.
    pub durability: Option<Durability>,
    pub key: Option<IdempotencyKey>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PriceBy {
    /// Never zero.
    Amount(Credits),
    /// Priced by the rate card. Each unit once, at most 16, sorted by unit.
    Usage(Vec<(Unit, u64)>),
}

impl PriceBy {
    /// Its fields in a fixed order, for the hash of the command that it stands in.
    pub(crate) fn told(&self, field: &mut impl FnMut(&[u8])) {
        match self {
            Self::Amount(amount) => {
                field(b"amount");
                field(&amount.micros().to_le_bytes());
            }
            Self::Usage(usage) => {
                field(b"usage");
                for (unit, count) in usage {
                    field(unit.as_str().as_bytes());
                    field(&count.to_le_bytes());
                }
            }
        }
    }
}

/// Set credits aside for a call whose price is not known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenHold {
    /// For whom and what; the price is what is set aside.
    pub consume: Consume,
    pub ttl_ms: u32,
}

/// Hold so much in all, and say what of it is used for certain. Both only grow, so that asking again changes nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtendHold {
    pub workspace: WorkspaceId,
    pub hold: HoldId,
    /// Zero: no more than it has.
    pub amount: Credits,
    pub confirmed: Credits,
}

/// Say what a hold's call has cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettleHold {
    pub workspace: WorkspaceId,
    pub hold: HoldId,
    pub used: UsedBy,
    pub shortfall: Shortfall,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsedBy {
    /// May be zero.
    Amount(Credits),
    /// Priced by the rate card. Each unit once, at most 16, sorted by unit.
    Usage(Vec<(Unit, u64)>),
}

/// What happens where a call has cost more than its hold has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortfall {
    /// It is refused, and the hold stays open.
    Reject,
    /// What is held is charged, and no more.
    Cap,
}

/// What is asked of a hold that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldCommand {
    Extend(ExtendHold),
    Settle(SettleHold),
    Release { workspace: WorkspaceId, hold: HoldId },
}
