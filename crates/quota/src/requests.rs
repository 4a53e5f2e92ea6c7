//! What can be asked, parsed: behind the edge there is no empty id and no zero amount.

use types::{Credits, Durability, Feature, IdempotencyKey, Model, Unit, UserId, WorkspaceId};

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
