//! The price of one call, without effect. Not here: whether anybody can pay it.

use crate::card::{RateCard, model_text};
use crate::exact::sum_rounded_up;
use types::{Credits, Feature, Model, Unit};

/// The price of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// The sum of all lines, rounded up once to a micro-credit.
    pub charge: Credits,
    /// One line per unit of the usage, in its order.
    pub lines: Vec<QuoteLine>,
    /// The version of the card that gave the prices.
    pub version: u64,
}

/// One unit's exact part of a quote: `units × credits ÷ per`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuoteLine {
    pub unit: Unit,
    pub units: u64,
    pub credits: Credits,
    pub per: u64,
}

/// Why a usage has no price.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoQuote {
    #[error("the usage names no unit, so it has no price; name what was used, or give an amount of credits")]
    NoUsage,
    #[error(
        "no price for {feature}, {}, {unit}; add one to the rate card (0 credits is a price), or give an amount",
        model_text(model)
    )]
    Unpriced { feature: Feature, model: Option<Model>, unit: Unit },
    #[error("the usage costs more than {} credits; check its numbers, or send it in parts", Credits::MAX)]
    TooLarge,
}

impl RateCard {
    /// The price of `usage`, in micro-credits exact and rounded up once on the total.
    ///
    /// The caller has refused a unit that stands in `usage` twice; here each entry would simply count.
    /// [`NoQuote::Unpriced`] names the first unit without a price, also where its count is 0.
    pub fn quote(
        &self,
        feature: &Feature,
        model: Option<&Model>,
        usage: &[(Unit, u64)],
    ) -> Result<Quote, NoQuote> {
        if usage.is_empty() {
            return Err(NoQuote::NoUsage);
        }
        let line = |(unit, units): &(Unit, u64)| match self.price(feature, model, unit) {
            Some(price) => {
                Ok(QuoteLine { unit: unit.clone(), units: *units, credits: price.credits, per: price.per })
            }
            None => {
                Err(NoQuote::Unpriced { feature: feature.clone(), model: model.cloned(), unit: unit.clone() })
            }
        };
        let lines = usage.iter().map(line).collect::<Result<Vec<_>, _>>()?;
        let charge = sum_rounded_up(lines.iter().map(QuoteLine::exact_micros))
            .and_then(|micros| u64::try_from(micros).ok())
            .and_then(Credits::from_micros)
            .ok_or(NoQuote::TooLarge)?;
        Ok(Quote { charge, lines, version: self.version() })
    }
}

impl QuoteLine {
    /// This line in micro-credits as numerator and denominator, exact and not reduced.
    pub fn exact_micros(&self) -> (u128, u64) {
        // 64 bits times 60 bits: the product always fits.
        (u128::from(self.units).saturating_mul(u128::from(self.credits.micros())), self.per)
    }
}
