//! Prices as they are given and stored: plain data, unchecked. Not here: what makes a list a card (`card`).

use types::{Credits, Feature, Model, OneOrAny, Unit};

/// Most entries of one rate card: its prices, their tiers, its minimum charges.
pub const ENTRIES_MAX: usize = 4_096;
/// Most entries of one workspace's own prices.
pub const OWN_ENTRIES_MAX: usize = 256;
/// Most units priced for one feature and model.
pub const UNITS_MAX: usize = 16;
/// Most tiers of one price, beside its first units.
pub const TIERS_MAX: usize = 8;
/// Largest `per` of a price.
pub const PER_MAX: u64 = 1_000_000_000;

/// All that a card says, in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceList {
    pub prices: Vec<Price>,
    pub minimums: Vec<Minimum>,
}

/// `credits` per `per` units: 1 credit per 1,000 input tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    pub feature: OneOrAny<Feature>,
    /// `None` is the price of calls that name no model. It is not a price for any model.
    pub model: Option<OneOrAny<Model>>,
    pub unit: Unit,
    /// 1 to [`PER_MAX`].
    pub per: u64,
    /// 0 is a price.
    pub credits: Credits,
    /// What more units of the same call cost; ascending, at most [`TIERS_MAX`].
    pub tiers: Vec<Tier>,
}

/// What the units of a call cost that are beyond `above`, up to where the next tier begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    /// At least 1: what comes before it has a price.
    pub above: u64,
    /// Per as many units as the price says.
    pub credits: Credits,
}

/// The least that a call of this feature and model costs, whatever its usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minimum {
    pub feature: OneOrAny<Feature>,
    pub model: Option<OneOrAny<Model>>,
    pub credits: Credits,
}

/// What prices are found by. Prices of one set may meet in one quote.
pub(crate) type Set<'a> = (OneOrAny<&'a Feature>, Option<OneOrAny<&'a Model>>);

impl PriceList {
    /// Prices, tiers and minimum charges together.
    pub fn entries(&self) -> usize {
        let tiers = self.prices.iter().map(|price| price.tiers.len());
        tiers.fold(self.prices.len().saturating_add(self.minimums.len()), usize::saturating_add)
    }
}

impl From<Vec<Price>> for PriceList {
    fn from(prices: Vec<Price>) -> Self {
        Self { prices, minimums: Vec::new() }
    }
}

impl Price {
    pub(crate) fn set(&self) -> Set<'_> {
        (self.feature.as_ref(), self.model.as_ref().map(OneOrAny::as_ref))
    }
}

impl Minimum {
    pub(crate) fn set(&self) -> Set<'_> {
        (self.feature.as_ref(), self.model.as_ref().map(OneOrAny::as_ref))
    }
}
