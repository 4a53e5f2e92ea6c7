//! Rate cards, quotes, exact rounding. Not here: who pays, what is left, which card is in force, how it is stored or sent.
//!
//! A [`RateCard`] gives prices by feature × model × unit. A [`Quote`] is the price of one call: the exact sum of
//! `units × credits ÷ per` over its units, rounded up **once**, to a whole micro-credit, and never less than the minimum
//! charge of its feature and model. A quote and a consume ask the same function, so what was shown is what is charged.
//!
//! Tiers go by the units of *one call*: who prices decides locally, and nobody counts what all calls of a month had.
//!
//! Nothing is free by accident: what has no price is refused, also for zero units, also for a call that names no
//! unit at all; and a call of one model is never priced as another, or as none, unless the card says so: prices for `*`
//! are what features and models cost that have none of their own. A price of 0 is a price.
//!
//! A workspace may have prices of its own ([`RateCard::own`]): entry by entry they stand before those of the card.

#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic, clippy::wildcard_enum_match_arm)]
#![deny(clippy::disallowed_types)]

mod bad;
mod card;
mod exact;
mod list;
mod quote;

pub use bad::{BadCard, BadMinimum, BadPrice};
pub use card::RateCard;
pub use exact::COMMON_MAX;
pub use list::{
    ENTRIES_MAX, Minimum, OWN_ENTRIES_MAX, PER_MAX, Price, PriceList, TIERS_MAX, Tier, UNITS_MAX,
};
pub use quote::{NoQuote, Quote, QuoteLine};
