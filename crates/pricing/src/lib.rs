//! Rate cards, quotes, exact rounding. Not here: who pays, what is left, how a card is stored or sent.
//!
//! A [`RateCard`] gives prices by feature × model × unit. A [`Quote`] is the price of one call: the exact sum of
//! `units × credits ÷ per` over its units, rounded up **once**, to a whole micro-credit. A quote and a consume ask
//! the same function, so what was shown is what is charged.
//!
//! Nothing is free by accident: what has no price is refused, also for zero units, also for a call that names no
//! unit at all; and a call of one model is never priced as another, or as none. A price of 0 is a price.

#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic, clippy::wildcard_enum_match_arm)]
#![deny(clippy::disallowed_types)]

mod card;
mod exact;
mod quote;

pub use card::{BadCard, BadPrice, PER_MAX, PRICES_MAX, Price, RateCard, UNITS_MAX};
pub use exact::COMMON_MAX;
pub use quote::{NoQuote, Quote, QuoteLine};
