//! The hot path: consume, batch, quote. Not here: holds (`hold`).

use crate::json::object::objects;
use crate::json::{
    Amount, ChargeText, DurabilityText, GivenAmount, GivenDurability, GivenFeature, GivenKey, GivenModel,
    GivenPriceVersion, GivenUsage, GivenUser, NodeText, PriceVersionText, Problem, QuotePart, Shadowed,
    SourceText,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Spend now: either a known `amount`, or `usage` that the rate card prices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Consume {
    pub user: GivenUser,
    pub feature: GivenFeature,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<GivenModel>,
    /// More than zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<GivenAmount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<GivenUsage>,
    /// Left out: as the workspace says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durability: Option<GivenDurability>,
}

/// What a consume would cost: its own body, and by which prices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AskQuote {
    pub user: GivenUser,
    pub feature: GivenFeature,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<GivenModel>,
    /// More than zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<GivenAmount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<GivenUsage>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durability: Option<GivenDurability>,
    /// Prices that are scheduled, or kept; a rate card's alone leaves out the workspace's own. Left out: those in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_version: Option<GivenPriceVersion>,
}

impl From<Consume> for AskQuote {
    /// By the prices in force.
    fn from(Consume { user, feature, model, amount, usage, durability }: Consume) -> Self {
        Self { user, feature, model, amount, usage, durability, price_version: None }
    }
}

impl AskQuote {
    pub fn split(self) -> (Option<GivenPriceVersion>, Consume) {
        let Self { user, feature, model, amount, usage, durability, price_version } = self;
        (price_version, Consume { user, feature, model, amount, usage, durability })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// At most 1,000.
    #[serde(deserialize_with = "objects")]
    pub items: Vec<BatchItem>,
}

/// A consume with an idempotency key of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchItem {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<GivenKey>,
    pub user: GivenUser,
    pub feature: GivenFeature,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<GivenModel>,
    /// More than zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<GivenAmount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<GivenUsage>,
    /// Left out: as the workspace says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durability: Option<GivenDurability>,
}

impl BatchItem {
    pub fn split(self) -> (Option<GivenKey>, Consume) {
        let Self { key, user, feature, model, amount, usage, durability } = self;
        (key, Consume { user, feature, model, amount, usage, durability })
    }
}

/// The record of a consume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Charge {
    pub id: ChargeText,
    pub charged: Amount,
    /// Which links of the chain paid, in spending order; empty where the price was 0.
    pub sources: Vec<Paid>,
    pub remaining: Remaining,
    pub durability: DurabilityText,
    pub node: NodeText,
    pub cycle: u32,
    /// By which prices. Left out where the amount was given, and under an idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_version: Option<PriceVersionText>,
    /// In shadow mode: this would have been refused, and nothing is charged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadowed>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Paid {
    pub from: SourceText,
    pub amount: Amount,
}

/// What the user has left over the whole chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Remaining {
    /// Held by the node that decided.
    pub at_least: Amount,
    /// That, and the ledger's last word on what else he could draw; overage is not counted.
    pub at_most: Amount,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchResult {
    /// In the order of the items asked.
    pub items: Vec<BatchAnswer>,
}

/// An item's charge with `"status":200`, or its problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum BatchAnswer {
    Charged(Charged),
    Refused(Problem),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Charged {
    /// Always 200.
    pub status: u16,
    #[serde(flatten)]
    pub charge: Charge,
}

/// The price of an action, without effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Quote {
    pub charge: Amount,
    /// The minimum charge, where it is what is charged and the usage alone would cost less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Amount>,
    /// By unit and tier; empty where the amount was given. Their sum is rounded up once, to a micro-credit.
    pub parts: Vec<QuotePart>,
    /// By which prices. Left out where the amount was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_version: Option<PriceVersionText>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Malformed, read, write};
    use proptest::prelude::*;

    #[test]
    fn a_request_there_and_back() {
        for body in [
            r#"{"user":"ann","feature":"chat","amount":"1.5"}"#,
            r#"{"user":"ann","feature":"chat","model":"m-1","usage":{"input_tokens":1200,"output_tokens":300}}"#,
            r#"{"user":"ann","feature":"chat","amount":"1.5","durability":"quorum"}"#,
        ] {
            let consume: Consume = read(body.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(write(&consume)).unwrap(), body);
        }
        let nulls = r#"{"user":"ann","feature":"chat","model":null,"amount":1.50,"usage":null}"#;
        let plain = r#" {"amount":"1.5","feature":"chat","user":"ann"} "#;
        assert_eq!(read::<Consume>(nulls.as_bytes()), read::<Consume>(plain.as_bytes()), "null is left out");
    }

    #[test]
    fn what_is_no_consume() {
        let deep = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
        for (body, why) in [
            ("", "EOF"),
            ("null", "expected an object"),
            (r#"["ann","chat",null,"1",null,null]"#, "expected an object"),
            (r#"{"user":"ann","feature":"chat","amount":"1"} x"#, "trailing characters"),
            (r#"{"user":"ann","feature":"chat","amount":"1""#, "EOF"),
            (r#"{"user":"ann","feature":"chat","amount":"1","colour":"red"}"#, "unknown field `colour`"),
            (r#"{"user":"ann","feature":"chat","amount":"1","key":"k"}"#, "unknown field `key`"),
            (r#"{"user":"ann","user":"ann","feature":"chat","amount":"1"}"#, "duplicate field `user`"),
            (r#"{"user":"ann","feature":"chat","amount":1,"amount":1}"#, "duplicate field `amount`"),
            (r#"{"user":"ann","feature":"chat","usage":{"a":1,"a":1}}"#, "duplicate field `a`"),
            (r#"{"feature":"chat","amount":"1"}"#, "missing field `user`"),
            (r#"{"user":7,"feature":"chat","amount":"1"}"#, "expected a string"),
            (r#"{"user":"ann","feature":"chat","amount":true}"#, "expected a string or a number"),
            (r#"{"user":"ann","feature":"chat","amount":[1]}"#, "expected a string or a number"),
            (r#"{"user":"ann","feature":"chat","usage":[1]}"#, "expected an object of units"),
            (r#"{"user":"ann","feature":"chat","usage":{"a":"1"}}"#, "expected an integer"),
            (&format!(r#"{{"user":{deep},"feature":"chat"}}"#), "expected a string"),
            (
                &format!(r#"{{"user":"ann","feature":"chat","amount":{deep}}}"#),
                "expected a string or a number",
            ),
            (&deep, "expected an object"),
        ] {
            let Malformed(text) = read::<Consume>(body.as_bytes()).expect_err(body);
            assert!(text.contains(why), "{body:.80}: {text}");
        }
        assert!(read::<Consume>(b"{\"user\":\"\xff\",\"feature\":\"chat\"}").is_err(), "not UTF-8");
    }

    #[test]
    fn items_of_a_batch_are_objects() {
        let batch: Batch = read(br#"{"items":[{"key":"k","user":"a","feature":"f","amount":1}]}"#).unwrap();
        assert_eq!(batch.items.len(), 1);
        for body in [
            r#"{"items":[["k","a","f",null,1,null,null]]}"#,
            r#"{"items":{}}"#,
            r#"{"items":[null]}"#,
            r#"{}"#,
            r#"{"items":[],"items":[]}"#,
        ] {
            assert!(read::<Batch>(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn the_golden_answer() {
        let golden = concat!(
            r#"{"id":"n1.42.7","charged":"1.5","sources":[{"from":"allocation","amount":"1.5"}],"#,
            r#""remaining":{"at_least":"98.5","at_most":"998.5"},"durability":"local","node":"n1","cycle":3}"#
        );
        let charge: Charge = read(golden.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(write(&charge)).unwrap(), golden);

        let charged = format!(r#"{{"status":200,{}"#, &golden[1..]);
        let problem =
            r#"{"type":"/docs/errors#exhausted","title":"t","status":402,"detail":"d","code":"exhausted"}"#;
        let both = format!(r#"{{"items":[{charged},{problem}]}}"#);
        let result: BatchResult = read(both.as_bytes()).unwrap();
        assert!(matches!(&result.items[..], [BatchAnswer::Charged(_), BatchAnswer::Refused(_)]));
        assert_eq!(String::from_utf8(write(&result)).unwrap(), both);
    }

    proptest! {
        /// Bytes that are nearly a consume: what is read is written and read again as the same.
        #[test]
        fn any_bytes_are_read_or_refused(cut in 0..90_usize, at in 0..90_usize, byte: u8) {
            let body = r#"{"user":"ann","feature":"chat","model":"m-1","usage":{"a":1200,"b":3},"amount":1.5}"#;
            let mut bytes = body.as_bytes().to_vec();
            bytes.truncate(body.len().saturating_sub(cut / 2));
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            if let Ok(consume) = read::<Consume>(&bytes)
                && let Ok(text) = serde_json::to_vec(&consume)
            {
                prop_assert_eq!(read::<Consume>(&text), Ok(consume));
            }
        }
    }
}
