//! What can be asked, parsed: behind the edge there is no empty id and no zero amount.

use types::{Credits, Day, Durability, Feature, IdempotencyKey, Model, Unit, UserId, WorkspaceId};

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

/// A part of a long list: at most `limit` rows (1 to 1,000) behind the id `after`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub after: Option<String>,
    pub limit: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageQuery {
    pub group_by: Vec<GroupBy>,
    /// `None`: one row over all days.
    pub interval: Option<Interval>,
    /// Whole UTC days: from this one, before that one.
    pub from: Option<Day>,
    pub to: Option<Day>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupBy {
    User,
    Team,
    Feature,
    Model,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    Day,
    Month,
}

impl UsageQuery {
    pub fn covers(&self, day: Day) -> bool {
        self.from.is_none_or(|from| from <= day) && self.to.is_none_or(|to| day < to)
    }
}
