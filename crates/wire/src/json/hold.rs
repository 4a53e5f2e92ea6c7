//! Holds: credits set aside for a call whose price is not known yet. Not here: spending at once (`consume`).

use crate::json::{
    Amount, DurabilityText, GivenAmount, GivenCount, GivenDurability, GivenFeature, GivenModel,
    GivenShortfall, GivenUsage, GivenUser, HoldEndText, HoldText, Instant, Paid, Shadowed,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Set credits aside: a known `amount`, or what the rate card says of a `usage` that is expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenHold {
    pub user: GivenUser,
    pub feature: GivenFeature,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<GivenModel>,
    /// More than zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<GivenAmount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<GivenUsage>,
    /// How durable its end is; left out: as the workspace says, and `disk` at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durability: Option<GivenDurability>,
    /// 1,000 to 300,000: so long after it was opened or extended last it expires, and is charged what was confirmed.
    pub ttl_ms: GivenCount,
}

/// A hold that was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hold {
    pub hold: HoldText,
    pub held: Amount,
    pub expires_at: Instant,
    /// In shadow mode: it would have been refused, and nothing is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadowed>,
}

/// Hold so much in all, and say what of it is used for certain. Both only grow: asked again, nothing more changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtendHold {
    /// In all; left out: no more than it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<GivenAmount>,
    /// In all; at most what is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<GivenAmount>,
}

/// A hold that is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeldCredits {
    pub hold: HoldText,
    pub held: Amount,
    pub confirmed: Amount,
    pub expires_at: Instant,
    /// In shadow mode: it would have been refused, now or before; what the hold lacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadowed>,
}

/// What the call has cost: an `amount`, zero too, or the `usage` that the rate card prices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettleHold {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<GivenAmount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<GivenUsage>,
    /// Where it cost more than is held: `reject` (if left out) refuses, `cap` charges what is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortfall: Option<GivenShortfall>,
}

/// Nothing was used but what is confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseHold {}

/// A hold that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EndedHold {
    pub hold: HoldText,
    pub end: HoldEndText,
    pub charged: Amount,
    /// What it did not need.
    pub freed: Amount,
    /// Which links of the chain paid, in spending order; empty where nothing was charged.
    pub sources: Vec<Paid>,
    pub durability: DurabilityText,
    /// The cycle it was opened in; not there where nobody knows the hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cycle: Option<u32>,
    /// In shadow mode: it would have been refused, or a part of it; what it would have cost beyond what is charged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadowed>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Malformed, read, write};

    #[test]
    fn requests_there_and_back() {
        let open = r#"{"user":"ann","feature":"chat","amount":"2","ttl_ms":60000}"#;
        assert_eq!(String::from_utf8(write(&read::<OpenHold>(open.as_bytes()).unwrap())).unwrap(), open);
        let extend = r#"{"amount":"3","confirmed":"2"}"#;
        assert_eq!(
            String::from_utf8(write(&read::<ExtendHold>(extend.as_bytes()).unwrap())).unwrap(),
            extend
        );
        let settle = r#"{"usage":{"input_tokens":1200},"shortfall":"cap"}"#;
        assert_eq!(
            String::from_utf8(write(&read::<SettleHold>(settle.as_bytes()).unwrap())).unwrap(),
            settle
        );
        assert_eq!(read::<ReleaseHold>(b"{}"), Ok(ReleaseHold {}));
    }

    #[test]
    fn what_is_no_request() {
        let bad = |why: Result<(), Malformed>| why.unwrap_err().0;
        let open = |body: &str| bad(read::<OpenHold>(body.as_bytes()).map(|_| ()));
        assert!(open(r#"{"user":"ann","feature":"chat","amount":"2"}"#).contains("missing field `ttl_ms`"));
        assert!(
            open(r#"{"user":"a","feature":"f","amount":1,"ttl_ms":"x y"}"#).contains("expected an integer")
        );
        assert!(
            open(r#"{"user":"a","feature":"f","amount":1,"ttl_ms":1,"ttl":1}"#)
                .contains("unknown field `ttl`")
        );
        let settle = |body: &str| bad(read::<SettleHold>(body.as_bytes()).map(|_| ()));
        assert!(settle(r#"{"amount":1,"amount":1}"#).contains("duplicate field"));
        assert!(bad(read::<ReleaseHold>(br#"{"amount":1}"#).map(|_| ())).contains("unknown field `amount`"));
    }

    #[test]
    fn the_golden_answers() {
        let hold = r#"{"hold":"n1.h42","held":"2","expires_at":"1970-01-01T00:01:00Z"}"#;
        assert_eq!(String::from_utf8(write(&read::<Hold>(hold.as_bytes()).unwrap())).unwrap(), hold);
        let ended = concat!(
            r#"{"hold":"n1.h42","end":"settled","charged":"1.5","freed":"0.5","#,
            r#""sources":[{"from":"shared","amount":"1.5"}],"durability":"disk","cycle":3}"#
        );
        assert_eq!(String::from_utf8(write(&read::<EndedHold>(ended.as_bytes()).unwrap())).unwrap(), ended);
    }
}
