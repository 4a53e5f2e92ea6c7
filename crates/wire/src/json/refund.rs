//! Refunds, and charges as they are looked up. Not here: charging (`consume`, `hold`).

use crate::json::object::not_null;
use crate::json::{
    Amount, AnyChargeText, Date, FeatureText, GivenAmount, GivenCharge, GivenRefundId, GrantText, Instant,
    ModelText, NodeText, RefundPlaceText, RefundText, Shadowed, SourceText, UnitCounts, UserText,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Gives back what was charged, to the very grants that paid, the one that burned last first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutRefund {
    /// A charge's id, or a hold's that was settled or has expired.
    pub of: GivenCharge,
    /// More than zero; left out: all that was not refunded yet.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub amount: Option<GivenAmount>,
    /// Permanent as long as the charge can be refunded; left out: the charge's with a number.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub id: Option<GivenRefundId>,
}

/// A refund, as it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refund {
    pub refund: RefundText,
    pub of: AnyChargeText,
    pub user: UserText,
    /// The charge's.
    pub cycle: u32,
    pub amount: Amount,
    pub charged: Amount,
    /// Of the charge, by this and by earlier refunds.
    pub refunded: Amount,
    /// The part of `amount` that nobody has: the time of its grant is over, or it was voided.
    pub expired: Amount,
    /// What burned last first.
    pub to: Vec<RefundPart>,
    pub at: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefundPart {
    /// Which link of the chain had paid.
    pub from: SourceText,
    pub grant: GrantText,
    pub amount: Amount,
    pub to: RefundPlaceText,
}

/// A charge, as the node has it that made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChargeRecord {
    pub id: AnyChargeText,
    pub user: UserText,
    pub feature: FeatureText,
    pub model: Option<ModelText>,
    /// The UTC day it is metered on.
    pub day: Date,
    pub cycle: u32,
    pub charged: Amount,
    pub refunded: Amount,
    /// As the usage was counted; empty where the amount was given.
    pub units: UnitCounts,
    /// In shadow mode: it would have been refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadowed>,
    /// In the order in which they burned; empty where the price was 0.
    pub paid_by: Vec<ChargePaid>,
    pub node: NodeText,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChargePaid {
    pub from: SourceText,
    pub grant: GrantText,
    pub amount: Amount,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{read, write};

    #[test]
    fn requests_there_and_back() {
        for body in [r#"{"of":"n1.42.7"}"#, r#"{"of":"n1.h42","amount":"1.5","id":"r-1"}"#] {
            assert_eq!(String::from_utf8(write(&read::<PutRefund>(body.as_bytes()).unwrap())).unwrap(), body);
        }
        for bad in [
            r#"{}"#,
            r#"{"of":"n1.42.7","amount":null}"#,
            r#"{"of":"n1.42.7","of":"n1.42.7"}"#,
            r#"{"of":7}"#,
            r#"{"of":"n1.42.7","why":"x"}"#,
        ] {
            assert!(read::<PutRefund>(bad.as_bytes()).is_err(), "{bad}");
        }
        let no_charge = read::<PutRefund>(br#"{"of":"42"}"#).unwrap();
        assert!(no_charge.of.value().unwrap_err().to_string().contains("n1.42.7"));
    }

    #[test]
    fn the_golden_answers() {
        let refund = concat!(
            r#"{"refund":"n1.42.7:1","of":"n1.42.7","user":"ann","cycle":3,"amount":"1.5","charged":"2","refunded":"1.5","#,
            r#""expired":"0.5","to":[{"from":"shared","grant":"pack","amount":"1","to":"shared"},"#,
            r#"{"from":"shared","grant":"plan","amount":"0.5","to":"expired"}],"at":"1970-01-01T00:01:00Z"}"#
        );
        assert_eq!(String::from_utf8(write(&read::<Refund>(refund.as_bytes()).unwrap())).unwrap(), refund);
        let charge = concat!(
            r#"{"id":"n1.h42","user":"ann","feature":"chat","model":null,"day":"1970-01-02","cycle":1,"charged":"2","#,
            r#""refunded":"0","units":{"input_token":7},"paid_by":[{"from":"overage","grant":"overage:1","amount":"2"}],"#,
            r#""node":"n1"}"#
        );
        assert_eq!(
            String::from_utf8(write(&read::<ChargeRecord>(charge.as_bytes()).unwrap())).unwrap(),
            charge
        );
    }
}
