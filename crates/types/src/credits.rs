//! Credits: integer micro-credits with checked arithmetic and exact decimal text. No float ever touches them.

use std::fmt;
use std::str::FromStr;

/// One credit in the unit that is counted.
pub const MICROS_PER_CREDIT: u64 = 1_000_000;

/// An amount of credits, never negative, counted in micro-credits.
///
/// At most [`Credits::MAX`] (just below 10^12 credits); sums of everything one pool ever holds stay below it
/// too, because a pool's grants are bounded by it. Text form: decimal digits with at most six decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Credits(u64);

/// Why a text is not an amount of credits; the message says what is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCredits {
    #[error(
        "an amount is decimal digits with at most one point, for example 12.5; no sign, space or exponent"
    )]
    NotDecimal,
    #[error("an amount has at most six decimals")]
    TooManyDecimals,
    #[error("an amount is below 1000000000000 credits")]
    TooLarge,
}

impl Credits {
    pub const ZERO: Self = Self(0);
    /// One micro-credit below 10^12 credits.
    pub const MAX: Self = Self(1_000_000_000_000 * MICROS_PER_CREDIT - 1);

    /// `None` past [`Credits::MAX`].
    pub const fn from_micros(micros: u64) -> Option<Self> {
        if micros <= Self::MAX.0 { Some(Self(micros)) } else { None }
    }

    /// Whole credits; `None` past [`Credits::MAX`].
    pub const fn whole(credits: u64) -> Option<Self> {
        match credits.checked_mul(MICROS_PER_CREDIT) {
            Some(micros) => Self::from_micros(micros),
            None => None,
        }
    }

    pub const fn micros(self) -> u64 {
        self.0
    }

    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Self::from_micros(sum),
            None => None,
        }
    }

    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(rest) => Some(Self(rest)),
            None => None,
        }
    }

    /// What is left above `other`; zero where nothing is.
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The sum, or [`Credits::MAX`] where it would be more. For targets and wishes, never for books.
    pub fn saturating_add(self, other: Self) -> Self {
        self.checked_add(other).unwrap_or(Self::MAX)
    }

    /// The sum of all; `None` past [`Credits::MAX`].
    pub fn checked_sum(amounts: impl IntoIterator<Item = Self>) -> Option<Self> {
        amounts.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }

    /// Adds into a book. Panics where the sum leaves the range: a book that would be wrong must stop.
    #[track_caller]
    pub fn grow(&mut self, by: Self) {
        *self = self.checked_add(by).unwrap_or_else(|| panic!("book overflow: {self} + {by}"));
    }

    /// Takes out of a book. Panics where more would be taken than there is: a book that would be wrong must stop.
    #[track_caller]
    pub fn shrink(&mut self, by: Self) {
        *self = self.checked_sub(by).unwrap_or_else(|| panic!("book underflow: {self} - {by}"));
    }
}

impl fmt::Display for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / MICROS_PER_CREDIT, self.0 % MICROS_PER_CREDIT);
        if part == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{part:06}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

impl FromStr for Credits {
    type Err = BadCredits;

    fn from_str(text: &str) -> Result<Self, BadCredits> {
        let (whole, part) = text.split_once('.').map_or((text, None), |(whole, part)| (whole, Some(part)));
        let all_digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        if !all_digits(whole) || part.is_some_and(|part| !all_digits(part)) {
            return Err(BadCredits::NotDecimal);
        }
        let part = part.unwrap_or("");
        if part.len() > 6 {
            return Err(BadCredits::TooManyDecimals);
        }
        let whole = whole.trim_start_matches('0');
        if whole.len() > 12 {
            return Err(BadCredits::TooLarge);
        }
        let number = |digits: &str| digits.bytes().fold(0_u64, |n, b| n * 10 + u64::from(b - b'0'));
        let micros = number(whole) * MICROS_PER_CREDIT + number(&format!("{part:0<6}"));
        Self::from_micros(micros).ok_or(BadCredits::TooLarge)
    }
}

/// A change of an amount, up or down. Text form as [`Credits`], with an optional leading `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CreditsDelta {
    Lower(Credits),
    Raise(Credits),
}

impl FromStr for CreditsDelta {
    type Err = BadCredits;

    fn from_str(text: &str) -> Result<Self, BadCredits> {
        match text.strip_prefix('-') {
            Some(rest) => rest.parse().map(Self::Lower),
            None => text.parse().map(Self::Raise),
        }
    }
}

impl fmt::Display for CreditsDelta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lower(by) => write!(f, "-{by}"),
            Self::Raise(by) => write!(f, "{by}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn exact_text() {
        for (text, micros) in [
            ("0", 0),
            ("0.0", 0),
            ("1", 1_000_000),
            ("12.5", 12_500_000),
            ("0.000001", 1),
            ("007", 7_000_000),
            ("999999999999.999999", 999_999_999_999_999_999),
        ] {
            assert_eq!(text.parse::<Credits>().unwrap().micros(), micros, "{text}");
        }
        assert_eq!(Credits::from_micros(12_500_000).unwrap().to_string(), "12.5");
    }

    #[test]
    fn what_is_no_amount() {
        use BadCredits::{NotDecimal, TooLarge, TooManyDecimals};
        for (text, why) in [
            ("", NotDecimal),
            (".5", NotDecimal),
            ("5.", NotDecimal),
            ("-1", NotDecimal),
            ("+1", NotDecimal),
            ("1e3", NotDecimal),
            ("NaN", NotDecimal),
            ("1 000", NotDecimal),
            ("1.2.3", NotDecimal),
            ("٣", NotDecimal),
            ("0.1234567", TooManyDecimals),
            ("1000000000000", TooLarge),
            ("99999999999999999999999999", TooLarge),
        ] {
            assert_eq!(text.parse::<Credits>(), Err(why), "{text}");
        }
    }

    #[test]
    #[should_panic(expected = "book underflow: 1 - 2")]
    fn a_book_stops_before_it_is_wrong() {
        Credits::whole(1).unwrap().shrink(Credits::whole(2).unwrap());
    }

    proptest! {
        #[test]
        fn text_and_back(micros in 0..=Credits::MAX.micros()) {
            let credits = Credits::from_micros(micros).unwrap();
            prop_assert_eq!(credits.to_string().parse::<Credits>().unwrap(), credits);
        }

        #[test]
        fn addition_is_exact_or_refused(a in 0..=Credits::MAX.micros(), b in 0..=Credits::MAX.micros()) {
            let sum = Credits(a).checked_add(Credits(b));
            prop_assert_eq!(sum.map(|s| u128::from(s.micros())),
                Some(u128::from(a) + u128::from(b)).filter(|s| *s <= u128::from(Credits::MAX.micros())));
        }
    }
}
