//! Overage: whether more may be used than is included, and what came of it. Not here: prices in money.

use crate::json::object::not_null;
use crate::json::{Amount, GivenAmount, GivenOverageMode, Money, OverageModeText, UserText};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The rule of a workspace, or of one user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutOverage {
    pub mode: GivenOverageMode,
    /// With `capped`, and only there: so much in each cycle.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub cap: Option<GivenAmount>,
}

/// A rule as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OverageRule {
    pub mode: OverageModeText,
    /// `null` where the mode is another than `capped`.
    pub cap: Option<Amount>,
}

/// What may be used beyond what is included, and was in the last cycles. ETag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Overage {
    pub mode: OverageModeText,
    /// `null` where the mode is another than `capped`.
    pub cap: Option<Amount>,
    /// What the workspace's plan says; it holds where the workspace has no rule of its own. `null`: nothing.
    pub plan: Option<OverageRule>,
    /// Whether the mode is the workspace's own; else it is the plan's, or off where that says nothing.
    pub own: bool,
    /// At most 24 cycles that had any, or had usage that nothing covered, the latest first.
    pub cycles: Vec<CycleOverage>,
}

/// One cycle's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CycleOverage {
    pub cycle: u32,
    /// Used beyond what was included, unattributed and written off counted in.
    pub charged: Amount,
    /// Of what was charged; it is not billed.
    pub refunded: Amount,
    /// Out on leases.
    pub leased: Amount,
    /// Paid for by included credits that came back from leases later.
    pub paid: Amount,
    /// For the bill: final when the cycle is over and nothing is leased, but for refunds in the next one.
    pub billed: Amount,
    /// Usage of the cycle that was told of later and that nothing paid for: for the bill too, and in none of the amounts above.
    /// Final when the next cycle is over.
    pub uncovered: Amount,
    /// Of each credit, as the plan had it when the cycle's first overage was drawn.
    pub price: Option<Money>,
    /// Of what is billed and uncovered, rounded down to a millionth.
    pub cost: Option<Money>,
}

/// What one user may. ETag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserOverage {
    pub user: UserText,
    /// `null`: as his workspace, unless his allocation keeps him to itself.
    pub mode: Option<OverageModeText>,
    pub cap: Option<Amount>,
    /// In this cycle, what is out on leases counted in, whoever paid for it since.
    pub drawn: Amount,
}
