//! Limits: ceilings on what a user, all members of a team, or whoever uses a feature or a model may use in a window. They fund
//! nothing. Not here: what counts in a window (`ledger`).

use crate::json::object::{not_null, there};
use crate::json::{
    Amount, FeatureText, GivenAmount, GivenWindow, Instant, ModelText, TeamText, Text, UserText, WindowText,
};
use serde::{Deserialize, Serialize};
use types::{Feature, Model, TeamId, UserId};
use utoipa::ToSchema;

/// A ceiling on what a user or a team may use in a window, or may be used of a feature or a model. Funds nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutLimit {
    /// `null` lifts the limit; must be there.
    #[serde(deserialize_with = "there")]
    #[schema(required)]
    pub amount: Option<GivenAmount>,
    /// Left out: `cycle`.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub window: Option<GivenWindow>,
}

/// All limits of a user, of a team, of a feature or of a model, the shortest windows first. ETag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Limits {
    pub of: LimitOf,
    pub limits: Vec<Limit>,
    /// Out on leases for the user or for members of the team, or on leases that may be spent on the feature or model: it counts
    /// in each window.
    pub leased: Amount,
}

/// Whose limits they are: `{"user":"ann"}`, `{"team":"design"}` with all that are nested in it, `{"feature":"chat"}` or
/// `{"model":"opus"}`, whoever uses them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitOf {
    User(UserText),
    Team(TeamText),
    Feature(FeatureText),
    Model(ModelText),
}

/// One of them. What may still be drawn is `limit - used - leased`, or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Limit {
    pub window: WindowText,
    pub limit: Amount,
    /// Known to have been charged in this window.
    pub used: Amount,
    pub remaining: Amount,
    pub starts_at: Instant,
    /// When the next window begins; `null`: the cycle has no end, or none that is known yet.
    pub resets_at: Option<Instant>,
}

/// The limit that stands in a request's way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReachedLimit {
    pub window: WindowText,
    pub limit: Amount,
    pub of: LimitOf,
}

impl From<&UserId> for LimitOf {
    fn from(user: &UserId) -> Self {
        Self::User(Text(user.clone()))
    }
}

impl From<&Feature> for LimitOf {
    fn from(feature: &Feature) -> Self {
        Self::Feature(Text(feature.clone()))
    }
}

impl From<&Model> for LimitOf {
    fn from(model: &Model) -> Self {
        Self::Model(Text(model.clone()))
    }
}

impl From<&TeamId> for LimitOf {
    fn from(team: &TeamId) -> Self {
        Self::Team(Text(team.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{read, write};

    #[test]
    fn a_limit_says_what_it_wants() {
        let limit = |body: &str| read::<PutLimit>(body.as_bytes()).map(|limit| limit.amount.is_some());
        assert_eq!(limit(r#"{"amount":null}"#), Ok(false));
        assert_eq!(limit(r#"{"amount":"0","window":"cycle"}"#), Ok(true));
        assert!(limit("{}").is_err(), "a limit is not lifted by forgetting the amount");
        assert!(limit(r#"{"window":"cycle"}"#).is_err());
        let body = r#"{"amount":null}"#;
        assert_eq!(write(&read::<PutLimit>(body.as_bytes()).unwrap()), body.as_bytes());
    }
}
