//! Why a list of prices is no card; each message says which entry, why, and what would help. Entries count from 0.

use crate::exact::COMMON_MAX;
use crate::list::{Minimum, PER_MAX, Price, TIERS_MAX, UNITS_MAX};
use std::fmt;
use types::{Feature, Model, OneOrAny, Unit};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCard {
    #[error(
        "it has at most {max} prices, tiers and minimum charges, this one has {found}; drop those no feature asks for"
    )]
    TooManyEntries { found: usize, max: usize },
    #[error("prices[{entry}] ({feature}, {}, {unit}): {why}", model_text(model))]
    Price {
        entry: usize,
        feature: OneOrAny<Feature>,
        model: Option<OneOrAny<Model>>,
        unit: Unit,
        why: BadPrice,
    },
    #[error("minimums[{entry}] ({feature}, {}): {why}", model_text(model))]
    Minimum { entry: usize, feature: OneOrAny<Feature>, model: Option<OneOrAny<Model>>, why: BadMinimum },
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
    #[error("a price has at most {TIERS_MAX} tiers, this one has {0}")]
    TooManyTiers(usize),
    #[error("tiers[{0}]: `above` is more than 0 and more than that of the tier before it")]
    TiersNotAscending(usize),
    #[error(
        "a workspace's own prices are for a named feature, and for a named model or none; `*` stands on rate cards"
    )]
    NotExact,
}

/// What is wrong with one minimum charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMinimum {
    #[error("minimums[{earlier}] is one for the same feature and model; keep one of the two")]
    Duplicate { earlier: usize },
    #[error("there is no price for this feature and model, so that it would hold for no call; add one")]
    OfNothing,
    #[error(
        "a workspace's own minimum is for a named feature, and for a named model or none; `*` stands on rate cards"
    )]
    NotExact,
}

impl Price {
    pub(crate) fn refused(&self, entry: usize, why: BadPrice) -> BadCard {
        let Self { feature, model, unit, per: _, credits: _, tiers: _ } = self.clone();
        BadCard::Price { entry, feature, model, unit, why }
    }
}

impl Minimum {
    pub(crate) fn refused(&self, entry: usize, why: BadMinimum) -> BadCard {
        let Self { feature, model, credits: _ } = self.clone();
        BadCard::Minimum { entry, feature, model, why }
    }
}

/// A model's name in a message.
pub(crate) fn model_text(model: &Option<impl fmt::Display>) -> String {
    model.as_ref().map_or_else(|| "no model".to_owned(), ToString::to_string)
}
