//! Rate cards and workspaces' own prices. What is exported is what is put. Not here: what a call costs (`consume`).

use crate::json::object::objects;
use crate::json::{
    Amount, CardStateText, FeatureOrAnyText, GivenAmount, GivenCount, GivenFeatureOrAny, GivenInstant,
    GivenModelOrAny, GivenUnit, Instant, ModelOrAnyText, UnitText, WorkspaceText,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A rate card for all workspaces, from now on or from later. Of prices, tiers and minimums together at most 4,096.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutRateCard {
    #[serde(deserialize_with = "objects")]
    pub prices: Vec<PutPrice>,
    #[serde(default, deserialize_with = "objects", skip_serializing_if = "Vec::is_empty")]
    pub minimums: Vec<PutMinimum>,
    /// When it comes into force. Left out: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_at: Option<GivenInstant>,
}

/// One workspace's own prices, all of them. They stand before those of the rate card, entry by entry. At most 256, tiers and
/// minimums included, none of them for `*`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutPrices {
    #[serde(deserialize_with = "objects")]
    pub prices: Vec<PutPrice>,
    #[serde(default, deserialize_with = "objects", skip_serializing_if = "Vec::is_empty")]
    pub minimums: Vec<PutMinimum>,
}

/// `credits` for every `per` units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutPrice {
    /// `*`: any feature that has no prices of its own.
    pub feature: GivenFeatureOrAny,
    /// `*`: any model that has no prices of its own. Left out: the price of calls that name no model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<GivenModelOrAny>,
    pub unit: GivenUnit,
    /// 1 to 1,000,000,000.
    pub per: GivenCount,
    /// Zero is a price.
    pub credits: GivenAmount,
    /// What the units of one call cost that are beyond the first ones; at most 8, ascending.
    #[serde(default, deserialize_with = "objects", skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<PutTier>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutTier {
    /// Units of one call that come before this tier.
    pub above: GivenCount,
    /// Per as many units as the price says.
    pub credits: GivenAmount,
}

/// The least that a call costs, whatever it used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutMinimum {
    pub feature: GivenFeatureOrAny,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<GivenModelOrAny>,
    pub credits: GivenAmount,
}

/// A rate card. ETag (its version).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RateCard {
    /// Never that of another one. 0, without prices: none was ever put.
    pub version: u64,
    /// Left out: none was ever put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_at: Option<Instant>,
    pub state: CardStateText,
    pub prices: Vec<Price>,
    pub minimums: Vec<Minimum>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Price {
    pub feature: FeatureOrAnyText,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelOrAnyText>,
    pub unit: UnitText,
    pub per: u64,
    pub credits: Amount,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<Tier>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tier {
    pub above: u64,
    pub credits: Amount,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Minimum {
    pub feature: FeatureOrAnyText,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelOrAnyText>,
    pub credits: Amount,
}

/// Every rate card that is kept, by when it comes into force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RateCards {
    pub versions: Vec<RateCardVersion>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RateCardVersion {
    pub version: u64,
    pub effective_at: Instant,
    pub state: CardStateText,
    /// How many it has.
    pub prices: u64,
}

/// What was put, or taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PricesSet {
    pub version: u64,
    pub effective_at: Instant,
}

/// A workspace's own prices. ETag (their version).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkspacePrices {
    pub workspace: WorkspaceText,
    pub version: u64,
    pub effective_at: Instant,
    pub prices: Vec<Price>,
    pub minimums: Vec<Minimum>,
}

impl From<Price> for PutPrice {
    fn from(Price { feature, model, unit, per, credits, tiers }: Price) -> Self {
        let tier = |Tier { above, credits }| PutTier { above: above.into(), credits: credits.0.into() };
        Self {
            feature: feature.0.into(),
            model: model.map(|model| model.0.into()),
            unit: unit.0.into(),
            per: per.into(),
            credits: credits.0.into(),
            tiers: tiers.into_iter().map(tier).collect(),
        }
    }
}

impl From<Minimum> for PutMinimum {
    fn from(Minimum { feature, model, credits }: Minimum) -> Self {
        let model = model.map(|model| model.0.into());
        Self { feature: feature.0.into(), model, credits: credits.0.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{read, write};

    #[test]
    fn what_is_put_and_shown_there_and_back() {
        let entries = concat!(
            r#""prices":[{"feature":"chat","model":"m-1","unit":"input_token","per":1000,"credits":"1","#,
            r#""tiers":[{"above":128000,"credits":"2"}]},{"feature":"*","model":"*","unit":"call","per":1,"credits":"0"},"#,
            r#"{"feature":"search","unit":"call","per":1,"credits":"3"}],"#,
            r#""minimums":[{"feature":"chat","model":"m-1","credits":"0.5"}]"#
        );
        let put = format!(r#"{{{entries},"effective_at":"2027-01-01T00:00:00Z"}}"#);
        let asked: PutRateCard = read(put.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(write(&asked)).unwrap(), put);
        let shown =
            format!(r#"{{"version":7,"effective_at":"2027-01-01T00:00:00Z","state":"scheduled",{entries}}}"#);
        let card: RateCard = read(shown.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(write(&card)).unwrap(), shown);
        assert_eq!(card.prices.into_iter().map(PutPrice::from).collect::<Vec<_>>(), asked.prices);
        assert_eq!(card.minimums.into_iter().map(PutMinimum::from).collect::<Vec<_>>(), asked.minimums);
    }

    #[test]
    fn what_has_another_shape_is_refused() {
        for (body, why) in [
            (r#"{}"#, "missing field `prices`"),
            (r#"{"prices":[],"minimum":[]}"#, "unknown field `minimum`"),
            (r#"{"prices":[["f",null,"u",1,1]]}"#, "expected an object"),
            (
                r#"{"prices":[{"feature":"f","unit":"u","per":1,"credits":1,"tiers":[[1,2]]}]}"#,
                "expected an object",
            ),
            (r#"{"prices":[{"feature":"f","unit":"u","per":1,"credits":1,"tiers":null}]}"#, "null"),
            (
                r#"{"prices":[{"feature":"f","unit":"u","per":1,"credits":1,"tiers":[{"up_to":1}]}]}"#,
                "unknown field `up_to`",
            ),
            (r#"{"prices":[],"minimums":[{"feature":"f"}]}"#, "missing field `credits`"),
        ] {
            let refused = read::<PutRateCard>(body.as_bytes()).expect_err(body).to_string();
            assert!(refused.contains(why), "{body}: {refused}");
        }
        assert!(read::<PutPrices>(br#"{"prices":[],"effective_at":"2027-01-01T00:00:00Z"}"#).is_err());
    }
}
