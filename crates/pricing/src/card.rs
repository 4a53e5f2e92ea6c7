//! The rate card: prices checked once, then only read. No arithmetic on amounts; that is `exact`.

use crate::bad::{BadCard, BadMinimum, BadPrice};
use crate::exact::common_multiple;
use crate::list::{
    ENTRIES_MAX, Minimum, OWN_ENTRIES_MAX, PER_MAX, Price, PriceList, Set, TIERS_MAX, UNITS_MAX,
};
use types::{Credits, Feature, Model, OneOrAny, Unit};

/// Prices by feature × model × unit. An empty card is valid: everything is unpriced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateCard {
    version: u64,
    /// In order of feature, model, unit, so that a lookup is a binary search and a listing has one order.
    list: PriceList,
}

impl RateCard {
    /// Checks all of `list`. `version` is given by whoever stores cards and comes back in quotes.
    pub fn new(version: u64, list: impl Into<PriceList>) -> Result<Self, BadCard> {
        let PriceList { prices, minimums } = within(ENTRIES_MAX, list.into())?;
        let prices = checked_prices(prices)?;
        let minimums = checked_minimums(minimums)?;
        for (entry, minimum) in &minimums {
            if prices_of(&prices, minimum.set()).is_empty() {
                return Err(minimum.refused(*entry, BadMinimum::OfNothing));
            }
        }
        Ok(Self::of(version, prices, minimums))
    }

    /// The same for one workspace's own prices: fewer of them, none of them for `*`, and minimum charges also for what the
    /// card alone has prices of.
    pub fn own(version: u64, list: impl Into<PriceList>) -> Result<Self, BadCard> {
        let PriceList { prices, minimums } = within(OWN_ENTRIES_MAX, list.into())?;
        for (entry, price) in prices.iter().enumerate() {
            if !is_exact(price.set()) {
                return Err(price.refused(entry, BadPrice::NotExact));
            }
        }
        for (entry, minimum) in minimums.iter().enumerate() {
            if !is_exact(minimum.set()) {
                return Err(minimum.refused(entry, BadMinimum::NotExact));
            }
        }
        Ok(Self::of(version, checked_prices(prices)?, checked_minimums(minimums)?))
    }

    fn of(version: u64, prices: Vec<Price>, minimums: Vec<(usize, Minimum)>) -> Self {
        let minimums = minimums.into_iter().map(|(_, minimum)| minimum).collect();
        Self { version, list: PriceList { prices, minimums } }
    }

    /// No prices at all, version 0: what a cluster starts with.
    pub const fn empty() -> Self {
        Self { version: 0, list: PriceList { prices: Vec::new(), minimums: Vec::new() } }
    }

    /// What `tranche dev` starts with, version 1: `chat` with `m-1` at 1 credit per 1,000 `input_token` and 4 per
    /// 1,000 `output_token`.
    pub fn dev() -> Self {
        let price = |unit: &str, credits: u64| Price {
            feature: Feature::parse("chat").expect("a valid id").into(),
            model: Some(Model::parse("m-1").expect("a valid id").into()),
            unit: Unit::parse(unit).expect("a valid id"),
            per: 1_000,
            credits: Credits::whole(credits).expect("a few credits are in range"),
            tiers: Vec::new(),
        };
        Self::new(1, vec![price("input_token", 1), price("output_token", 4)]).expect("two lawful prices")
    }

    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Everything on it, ordered by feature, model, unit.
    pub const fn list(&self) -> &PriceList {
        &self.list
    }

    pub fn prices(&self) -> &[Price] {
        &self.list.prices
    }

    pub fn minimums(&self) -> &[Minimum] {
        &self.list.minimums
    }

    /// The prices by which a call is priced, all of one set: those of its own feature and model where there is any; then
    /// those of its feature for any model; then those of any feature for its model; then those for anything. Calls that
    /// name no model have prices for no model, of their feature or of any.
    pub(crate) fn prices_for(&self, feature: &Feature, model: Option<&Model>) -> &[Price] {
        let (of_it, of_any) = (OneOrAny::One(feature), OneOrAny::Any);
        let prices = |feature, model| prices_of(&self.list.prices, (feature, model));
        let there = |found: &&[Price]| !found.is_empty();
        match model.map(OneOrAny::One) {
            None => [of_it, of_any].into_iter().map(|feature| prices(feature, None)).find(there),
            model @ Some(_) => {
                let any = Some(OneOrAny::Any);
                let sets = [(of_it, model), (of_it, any), (of_any, model), (of_any, any)];
                sets.into_iter().map(|(feature, model)| prices(feature, model)).find(there)
            }
        }
        .unwrap_or_default()
    }

    /// The prices of exactly this feature and model.
    pub(crate) fn prices_of(&self, feature: &Feature, model: Option<&Model>) -> &[Price] {
        prices_of(&self.list.prices, (OneOrAny::One(feature), model.map(OneOrAny::One)))
    }

    pub(crate) fn minimum_of(&self, set: Set<'_>) -> Option<Credits> {
        let at = self.list.minimums.binary_search_by(|minimum| minimum.set().cmp(&set)).ok()?;
        self.list.minimums.get(at).map(|minimum| minimum.credits)
    }
}

/// Those of one set, out of sorted ones.
fn prices_of<'a>(prices: &'a [Price], set: Set<'_>) -> &'a [Price] {
    let from = prices.partition_point(|price| price.set() < set);
    let rest = prices.get(from..).unwrap_or_default();
    rest.get(..rest.partition_point(|price| price.set() == set)).unwrap_or_default()
}

/// The price of one unit, out of those of one set.
pub(crate) fn price_of<'a>(set: &'a [Price], unit: &Unit) -> Option<&'a Price> {
    set.get(set.binary_search_by(|price| price.unit.cmp(unit)).ok()?)
}

fn is_exact((feature, model): Set<'_>) -> bool {
    feature != OneOrAny::Any && model != Some(OneOrAny::Any)
}

fn within(max: usize, list: PriceList) -> Result<PriceList, BadCard> {
    let found = list.entries();
    if found > max { Err(BadCard::TooManyEntries { found, max }) } else { Ok(list) }
}

/// Sorted, and each in order by itself and with those it may meet.
fn checked_prices(prices: Vec<Price>) -> Result<Vec<Price>, BadCard> {
    let mut entries: Vec<(usize, Price)> = prices.into_iter().enumerate().collect();
    for (entry, price) in &entries {
        check_alone(price).map_err(|why| price.refused(*entry, why))?;
    }
    // A stable sort: of two equal ones, the one written later stands later and is the one refused.
    entries.sort_by(|(_, a), (_, b)| (a.set(), &a.unit).cmp(&(b.set(), &b.unit)));
    for pair in entries.windows(2) {
        let [(earlier, a), (entry, b)] = pair else { continue };
        if a.set() == b.set() && a.unit == b.unit {
            return Err(b.refused(*entry, BadPrice::Duplicate { earlier: *earlier }));
        }
    }
    for met in entries.chunk_by(|(_, a), (_, b)| a.set() == b.set()) {
        check_together(met)?;
    }
    Ok(entries.into_iter().map(|(_, price)| price).collect())
}

fn check_alone(price: &Price) -> Result<(), BadPrice> {
    if !(1..=PER_MAX).contains(&price.per) {
        return Err(BadPrice::PerOutOfRange(price.per));
    }
    if price.tiers.len() > TIERS_MAX {
        return Err(BadPrice::TooManyTiers(price.tiers.len()));
    }
    let mut before = 0;
    for (at, tier) in price.tiers.iter().enumerate() {
        if tier.above <= before {
            return Err(BadPrice::TiersNotAscending(at));
        }
        before = tier.above;
    }
    Ok(())
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

/// Sorted, with where each stood.
fn checked_minimums(minimums: Vec<Minimum>) -> Result<Vec<(usize, Minimum)>, BadCard> {
    let mut entries: Vec<(usize, Minimum)> = minimums.into_iter().enumerate().collect();
    entries.sort_by(|(_, a), (_, b)| a.set().cmp(&b.set()));
    for pair in entries.windows(2) {
        let [(earlier, a), (entry, b)] = pair else { continue };
        if a.set() == b.set() {
            return Err(b.refused(*entry, BadMinimum::Duplicate { earlier: *earlier }));
        }
    }
    Ok(entries)
}
