//! The rate card: prices checked once, then only read. No arithmetic on amounts; that is `exact`.

use crate::exact::{COMMON_MAX, common_multiple};
use std::cmp::Ordering;
use types::{Credits, Feature, Model, Unit};

/// Most prices on one card.
pub const PRICES_MAX: usize = 4_096;
/// Most units priced for one feature and model.
pub const UNITS_MAX: usize = 16;
/// Largest `per` of a price.
pub const PER_MAX: u64 = 1_000_000_000;

/// `credits` per `per` units: 1 credit per 1,000 input tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    pub feature: Feature,
    /// `None` is the price of calls that name no model. It is not a price for any model.
    pub model: Option<Model>,
    pub unit: Unit,
    /// 1 to [`PER_MAX`].
    pub per: u64,
    /// 0 is a price.
    pub credits: Credits,
}

/// Why prices are not a card; the message says which entry, why, and what would help. Entries count from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCard {
    #[error("a rate card has at most {PRICES_MAX} prices, this one has {0}; drop those no feature asks for")]
    TooManyPrices(usize),
    #[error("prices[{entry}] ({feature}, {}, {unit}): {why}", model_text(model))]
    Entry { entry: usize, feature: Feature, model: Option<Model>, unit: Unit, why: BadPrice },
}

/// What is wrong with one price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPrice {
    #[error("`per` is 1 to {PER_MAX}, this is {0}; write 1 for a price by the single unit")]
    PerOutOfRange(u64),
    #[error("prices[{earlier}] is a price for the same feature, model and unit; keep one of the two")]
    Duplicate { earlier: usize },
    #[error("one feature and model has at most {UNITS_MAX} priced units; merge units, or split the feature")]
    TooManyUnits,
    #[error(
        "its `per`, {0}, has with those of the other units of this feature and model no common multiple up to \
         {COMMON_MAX}; powers of ten always fit"
    )]
    PerUnlikeOthers(u64),
}

/// Prices by feature × model × unit. An empty card is valid: everything is unpriced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateCard {
    version: u64,
    /// In order of feature, model, unit, so that a lookup is a binary search and a listing has one order.
    prices: Vec<Price>,
}

impl RateCard {
    /// Checks all of `prices`, in any order. `version` is given by whoever stores cards and comes back in quotes.
    pub fn new(version: u64, prices: Vec<Price>) -> Result<Self, BadCard> {
        if prices.len() > PRICES_MAX {
            return Err(BadCard::TooManyPrices(prices.len()));
        }
        let mut entries: Vec<(usize, Price)> = prices.into_iter().enumerate().collect();
        for (entry, price) in &entries {
            if !(1..=PER_MAX).contains(&price.per) {
                return Err(price.refused(*entry, BadPrice::PerOutOfRange(price.per)));
            }
        }
        // A stable sort: of two equal ones, the one written later stands later and is the one refused.
        entries.sort_by(|(_, a), (_, b)| a.place(&b.feature, b.model.as_ref(), &b.unit));
        for pair in entries.windows(2) {
            let [(earlier, a), (entry, b)] = pair else { continue };
            if a.place(&b.feature, b.model.as_ref(), &b.unit).is_eq() {
                return Err(b.refused(*entry, BadPrice::Duplicate { earlier: *earlier }));
            }
        }
        for met in entries.chunk_by(|(_, a), (_, b)| a.feature == b.feature && a.model == b.model) {
            check_together(met)?;
        }
        Ok(Self { version, prices: entries.into_iter().map(|(_, price)| price).collect() })
    }

    /// No prices at all, version 0: what a cluster starts with.
    pub const fn empty() -> Self {
        Self { version: 0, prices: Vec::new() }
    }

    /// What `tranche dev` starts with, version 1: `chat` with `m-1` at 1 credit per 1,000 `input_token` and 4 per
    /// 1,000 `output_token`.
    pub fn dev() -> Self {
        let price = |unit: &str, credits: u64| Price {
            feature: Feature::parse("chat").expect("a valid id"),
            model: Some(Model::parse("m-1").expect("a valid id")),
            unit: Unit::parse(unit).expect("a valid id"),
            per: 1_000,
            credits: Credits::whole(credits).expect("a few credits are in range"),
        };
        Self::new(1, vec![price("input_token", 1), price("output_token", 4)]).expect("two lawful prices")
    }

    pub const fn version(&self) -> u64 {
        self.version
    }

    /// All prices, ordered by feature, model, unit.
    pub fn prices(&self) -> &[Price] {
        &self.prices
    }

    /// The price of exactly this feature, model and unit. There is no falling back from a model to none.
    pub fn price(&self, feature: &Feature, model: Option<&Model>, unit: &Unit) -> Option<&Price> {
        let at = self.prices.binary_search_by(|price| price.place(feature, model, unit)).ok()?;
        self.prices.get(at)
    }
}

impl Price {
    /// Where this price stands on a card, seen from (feature, model, unit).
    fn place(&self, feature: &Feature, model: Option<&Model>, unit: &Unit) -> Ordering {
        (&self.feature, self.model.as_ref(), &self.unit).cmp(&(feature, model, unit))
    }

    fn refused(&self, entry: usize, why: BadPrice) -> BadCard {
        let Self { feature, model, unit, per: _, credits: _ } = self.clone();
        BadCard::Entry { entry, feature, model, unit, why }
    }
}

/// The prices of one feature and model: those that may meet in one quote.
fn check_together(met: &[(usize, Price)]) -> Result<(), BadCard> {
    if let Some((entry, price)) = met.get(UNITS_MAX) {
        return Err(price.refused(*entry, BadPrice::TooManyUnits));
    }
    let mut common = 1;
    for (entry, price) in met {
        common = common_multiple([common, price.per])
            .ok_or_else(|| price.refused(*entry, BadPrice::PerUnlikeOthers(price.per)))?;
    }
    Ok(())
}

/// A model's name in a message.
pub(crate) fn model_text(model: &Option<Model>) -> &str {
    model.as_ref().map_or("no model", Model::as_str)
}
