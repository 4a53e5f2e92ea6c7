//! The price of one call, without effect. Not here: whether anybody can pay it.

use crate::bad::model_text;
use crate::card::{RateCard, price_of};
use crate::exact::sum_rounded_up;
use crate::list::Price;
use types::{Credits, Feature, Model, OneOrAny, PriceVersion, Unit};

/// The price of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// The sum of all lines, rounded up once to a micro-credit; or the minimum, if that is more.
    pub charge: Credits,
    /// The minimum charge, where it is what is charged and the usage alone would cost less.
    pub minimum: Option<Credits>,
    /// For each unit of the usage, in its order, one line per tier that it reaches.
    pub lines: Vec<QuoteLine>,
    /// Of the prices by which this is the price.
    pub version: PriceVersion,
}

/// An exact part of a quote: `units × credits ÷ per`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuoteLine {
    pub unit: Unit,
    pub units: u64,
    pub credits: Credits,
    pub per: u64,
    /// By the workspace's own price, not by the card's.
    pub is_own: bool,
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
    /// The price of `usage` for a workspace that has no prices of its own.
    pub fn quote(
        &self,
        feature: &Feature,
        model: Option<&Model>,
        usage: &[(Unit, u64)],
    ) -> Result<Quote, NoQuote> {
        self.quote_with(None, feature, model, usage)
    }

    /// The price of `usage`, in micro-credits exact and rounded up once on the total; unit by unit by `own`, the
    /// workspace's own prices, and else by this card. Then the minimum: the workspace's own, and else that of the card's
    /// prices for this feature and model; once, whatever was used, also where that is zero units.
    ///
    /// The caller has refused a unit that stands in `usage` twice; here each entry would simply count.
    /// [`NoQuote::Unpriced`] names the first unit without a price, also where its count is 0.
    pub fn quote_with(
        &self,
        own: Option<&RateCard>,
        feature: &Feature,
        model: Option<&Model>,
        usage: &[(Unit, u64)],
    ) -> Result<Quote, NoQuote> {
        if usage.is_empty() {
            return Err(NoQuote::NoUsage);
        }
        let of_card = self.prices_for(feature, model);
        let of_own = own.map_or(&[][..], |own| own.prices_of(feature, model));
        let mut lines = Vec::with_capacity(usage.len());
        for (unit, units) in usage {
            if let Some(price) = price_of(of_own, unit) {
                lines.extend(price.lines(*units, true));
            } else if let Some(price) = price_of(of_card, unit) {
                lines.extend(price.lines(*units, false));
            } else {
                let (feature, model) = (feature.clone(), model.cloned());
                return Err(NoQuote::Unpriced { feature, model, unit: unit.clone() });
            }
        }
        let exact = |is_own: bool| {
            lines.iter().filter(move |line| line.is_own == is_own).map(QuoteLine::exact_micros)
        };
        let of_usage = sum_rounded_up(exact(false), exact(true))
            .and_then(|micros| u64::try_from(micros).ok())
            .and_then(Credits::from_micros)
            .ok_or(NoQuote::TooLarge)?;
        let exact_set = (OneOrAny::One(feature), model.map(OneOrAny::One));
        let minimum = own
            .and_then(|own| own.minimum_of(exact_set))
            .or_else(|| of_card.first().and_then(|price| self.minimum_of(price.set())))
            .filter(|minimum| *minimum > of_usage);
        let version = PriceVersion { card: self.version(), own: own.map(Self::version) };
        Ok(Quote { charge: minimum.unwrap_or(of_usage), minimum, lines, version })
    }
}

impl Price {
    /// What so many units of one call cost, tier by tier. Also no unit at all has a line.
    fn lines(&self, units: u64, is_own: bool) -> impl Iterator<Item = QuoteLine> {
        let begins = std::iter::once((0, self.credits));
        let begins = begins.chain(self.tiers.iter().map(|tier| (tier.above, tier.credits)));
        let ends = self.tiers.iter().map(|tier| tier.above).chain([u64::MAX]);
        let tiers = begins.zip(ends).take_while(move |((above, _), _)| *above == 0 || units > *above);
        tiers.map(move |((above, credits), end)| QuoteLine {
            unit: self.unit.clone(),
            units: units.min(end).saturating_sub(above),
            credits,
            per: self.per,
            is_own,
        })
    }
}

impl QuoteLine {
    /// This line in micro-credits as numerator and denominator, exact and not reduced.
    pub fn exact_micros(&self) -> (u128, u64) {
        // 64 bits times 60 bits: the product always fits.
        (u128::from(self.units).saturating_mul(u128::from(self.credits.micros())), self.per)
    }
}
