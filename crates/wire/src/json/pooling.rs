//! Pooling: whose the credits are that a plan brings for seats. Not here: plans (`plan`), allocations (`administration`).

use crate::json::{Amount, GivenPooling, NodeText, PoolingText};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Switches the mode, in mid-cycle too. Nothing is given and nothing is taken away by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutPooling {
    pub mode: GivenPooling,
}

/// Whose the credits are, and what came of it. ETag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolingState {
    pub mode: PoolingText,
    /// Members with AI access.
    pub seats: u64,
    /// Of what the plan owes for seats in this cycle, each seat's equal part. What a member used counts against his.
    pub share: Amount,
    /// Members who have a part of their own: what is left of their share.
    pub parts: u64,
    /// In all those parts.
    pub set_aside: Amount,
    /// Missing from them, because the pool had too little; whatever is free makes up for it.
    pub short: Amount,
    /// Members with AI access whose allocation was set by hand; it stands instead of their part.
    pub by_hand: u64,
    /// Set aside for nobody. Where the mode is `per_seat` nobody draws on it.
    pub shared: Amount,
    /// Out on leases that were called back, and where.
    pub pending: Amount,
    pub pending_on: Vec<PendingOn>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PendingOn {
    pub node: NodeText,
    pub amount: Amount,
}
