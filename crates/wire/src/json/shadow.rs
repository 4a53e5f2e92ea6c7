//! Shadow mode: what would have been refused, in an answer and summed up. Not here: the mode itself (`administration`).

use crate::json::{Amount, AsOf, Date, FeatureText, ModelText, TeamText, UserText};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Why this would have been refused, was enforcement on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Shadowed {
    /// Of the error table.
    pub code: String,
    pub title: String,
    /// None of it is charged.
    pub would_have_cost: Amount,
}

/// What was allowed, and what would have been refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShadowReport {
    pub rows: Vec<ShadowGroup>,
    /// Where the next page begins; left out on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    pub as_of: AsOf,
}

/// One row. Left out is what was not grouped by, and what the usage has none of (a team, a model).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShadowGroup {
    /// First day of the interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<Date>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserText>,
    /// Of what services used their owner, of what users used themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<UserText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature: Option<FeatureText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelText>,
    /// Calls that were charged, as with enforcement on.
    pub allowed: u64,
    /// Charged for them.
    pub credits: Amount,
    /// Calls that would have been refused.
    pub would_refuse: u64,
    /// The same by the code of the error table.
    pub by_code: BTreeMap<String, u64>,
    /// What these would have cost.
    pub would_have_cost: Amount,
    /// The part of all calls that would have been refused: four decimals, rounded down.
    pub share: String,
}
