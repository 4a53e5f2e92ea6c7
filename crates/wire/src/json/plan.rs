//! Plans: what a workspace has subscribed to, and what came of it. Not here: grants (`administration`).

use crate::json::object::not_null;
use crate::json::{
    Amount, FeatureText, GivenAmount, GivenFeature, GivenMidCycle, GivenPlan, GivenPlanTerm, GivenWhen,
    Instant, MidCycleText, OverageRule, PlanTermText, PlanText, PutOverage, PutRollover, Rollover, Text,
};
use serde::{Deserialize, Serialize};
use types::Credits;
use utoipa::ToSchema;

/// Subscribes a workspace to a plan, or changes to another one. It gives credits with each cycle: the grants `plan:N` and
/// `seats:N` of cycle N.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutPlan {
    pub id: GivenPlan,
    /// What people are shown; 1 to 200 bytes.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub name: Option<String>,
    /// For each cycle; left out: 0.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub allowance: Option<GivenAmount>,
    /// For each cycle and each member with AI access; left out: 0.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub per_seat: Option<GivenAmount>,
    /// Left out: yes.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub paid: Option<bool>,
    /// What is kept of what a cycle leaves; left out: nothing.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub rollover: Option<PutRollover>,
    /// What a change or a new seat within a cycle brings for the rest of it; left out: `whole`.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub mid_cycle: Option<GivenMidCycle>,
    /// Whether more may be used than is included, while the plan runs and unless the workspace has a rule of its own; left out:
    /// the plan says nothing of it.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub overage: Option<PutOverage>,
    /// What may be spent on while the plan runs, at most 256; left out: anything.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub features: Option<Vec<GivenFeature>>,
    /// For each cycle; left out: none. All prices of a plan are in one currency; they are shown and previewed, never collected.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub price: Option<PutMoney>,
    /// For each cycle and each seat; left out: none.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub seat_price: Option<PutMoney>,
    /// For each credit of overage; left out: none.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub overage_price: Option<PutMoney>,
    /// What it is bought for; left out: `cycle`. A `year` has twelve cycles that are months; cancelling ends it with its last one.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub term: Option<GivenPlanTerm>,
    /// Left out: `now`.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub when: Option<GivenWhen>,
}

/// What a workspace has subscribed to, and what came of it in this cycle. ETag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// `null`: the first one comes with the next cycle, or there is none any more.
    pub plan: Option<PlanTerms>,
    /// What the next cycle brings in its stead; `null`: the same.
    pub next: Option<NextPlan>,
    pub seats: Seats,
    pub allowance: PlanCredits,
    pub for_seats: PlanCredits,
    /// What this cycle costs, by the same rule as its credits; `null`: there is no price.
    pub cost: Option<Money>,
    /// `null`: it has no term, or no cycles.
    pub term_ends_at: Option<Instant>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanTerms {
    pub id: PlanText,
    pub name: Option<String>,
    pub allowance: Amount,
    pub per_seat: Amount,
    pub paid: bool,
    pub rollover: Rollover,
    pub mid_cycle: MidCycleText,
    /// `null`: the plan says nothing of it.
    pub overage: Option<OverageRule>,
    /// `null`: anything may be spent on.
    pub features: Option<Vec<FeatureText>>,
    /// For each cycle.
    pub price: Option<Money>,
    /// For each cycle and each seat.
    pub seat_price: Option<Money>,
    /// For each credit of overage.
    pub overage_price: Option<Money>,
    pub term: PlanTermText,
}

/// An amount of money: up to six decimals, and a currency of three capital letters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutMoney {
    pub amount: GivenAmount,
    pub currency: String,
}

/// An amount of money. Nobody collects it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Money {
    pub amount: Amount,
    pub currency: String,
}

impl From<types::Money> for PutMoney {
    fn from(money: types::Money) -> Self {
        let Money { amount, currency } = money.into();
        Self { amount: amount.0.into(), currency }
    }
}

impl From<types::Money> for Money {
    fn from(money: types::Money) -> Self {
        let amount = Credits::from_micros(money.micros()).expect("the bounds are the same");
        Self { amount: Text(amount), currency: money.currency().as_str().to_owned() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NextPlan {
    /// `null`: the plan ends.
    pub plan: Option<PlanTerms>,
    /// When it does: what ends, with its term. `null`: not known, or never.
    pub starts_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Seats {
    /// Members with AI access.
    pub enabled: u64,
    /// The most of them in this cycle: so many seats have their credits. Who takes a free one brings none.
    pub paid: u64,
}

/// What a plan owes a cycle, and what it gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanCredits {
    pub owed: Amount,
    /// Net of what was taken back: more than is owed where it was in use when the plan became smaller, less where the pool
    /// cannot have more.
    pub given: Amount,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{read, write};

    #[test]
    fn there_and_back() {
        let body = r#"{"id":"pro","name":"Pro","allowance":"1000","per_seat":"50","paid":true,"rollover":{"keep":"percent","percent":50},"mid_cycle":"prorated","overage":{"mode":"capped","cap":"5"},"features":["chat"],"price":{"amount":"49","currency":"EUR"},"term":"year","when":"next_cycle"}"#;
        let asked: PutPlan = read(body.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(write(&asked)).unwrap(), body);
        let short: PutPlan = read(br#"{"id":"free"}"#).unwrap();
        assert_eq!(String::from_utf8(write(&short)).unwrap(), r#"{"id":"free"}"#);
        assert!(read::<PutPlan>(br#"{"id":"free","when":null}"#).is_err());
        assert!(read::<PutPlan>(br#"{"id":"free","seats":3}"#).is_err());
    }
}
