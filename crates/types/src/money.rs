//! Money: an amount in a currency, counted in millionths of it, exact. Not here: what has which price (`ledger`); nobody
//! collects any.

use crate::Credits;
use std::fmt;
use std::str::FromStr;

/// Three capital letters, as ISO 4217 has them. Which ones there are is not looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// Why a text is not a currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a currency is three capital letters, for example EUR")]
pub struct BadCurrency;

/// Why a text is not an amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "money is an amount with at most six decimals, below 1000000000000, and three capital letters, for example 49.00EUR"
)]
pub struct BadMoney;

/// Never negative; below 10^12 of its currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money {
    micros: u64,
    currency: Currency,
}

impl Currency {
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("letters")
    }
}

impl FromStr for Currency {
    type Err = BadCurrency;

    fn from_str(text: &str) -> Result<Self, BadCurrency> {
        let letters: [u8; 3] = text.as_bytes().try_into().map_err(|_| BadCurrency)?;
        if letters.iter().all(u8::is_ascii_uppercase) { Ok(Self(letters)) } else { Err(BadCurrency) }
    }
}

impl Money {
    pub const MICROS_MAX: u64 = Credits::MAX.micros();

    /// `None` past [`Money::MICROS_MAX`].
    pub fn from_micros(micros: u64, currency: Currency) -> Option<Self> {
        (micros <= Self::MICROS_MAX).then_some(Self { micros, currency })
    }

    /// That much, or the most there is.
    pub fn up_to_most(micros: u64, currency: Currency) -> Self {
        Self { micros: micros.min(Self::MICROS_MAX), currency }
    }

    pub const fn micros(self) -> u64 {
        self.micros
    }

    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// Of so many credits, where this is the price of one; rounded down to a millionth.
    pub fn for_credits(self, credits: Credits) -> Self {
        let product = u128::from(self.micros) * u128::from(credits.micros());
        let micros = u64::try_from(product / u128::from(crate::MICROS_PER_CREDIT)).unwrap_or(u64::MAX);
        Self::up_to_most(micros, self.currency)
    }

    /// Without its currency, as amounts are written.
    pub fn amount(self) -> String {
        Credits::from_micros(self.micros).expect("the bounds are the same").to_string()
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount(), self.currency.as_str())
    }
}

impl FromStr for Money {
    type Err = BadMoney;

    fn from_str(text: &str) -> Result<Self, BadMoney> {
        let at = text.len().checked_sub(3).filter(|at| text.is_char_boundary(*at)).ok_or(BadMoney)?;
        let (amount, currency) = text.split_at(at);
        let amount: Credits = amount.trim_end().parse().map_err(|_| BadMoney)?;
        let currency = currency.parse().map_err(|_| BadMoney)?;
        Ok(Self { micros: amount.micros(), currency })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(text: &str) -> Money {
        text.parse().unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn what_is_money() {
        assert_eq!(money("49.00EUR"), money("49 EUR"));
        assert_eq!(money("0.000001 USD").micros(), 1);
        assert_eq!(money("49.50 EUR").to_string(), "49.5 EUR");
        assert_eq!(money("999999999999.999999JPY").micros(), Money::MICROS_MAX);
        let bad =
            ["", "49", "EUR", "49 eur", "49 EURO", "-1 EUR", "0.0000001 EUR", "1000000000000 EUR", "1€"];
        bad.iter().for_each(|text| assert_eq!(text.parse::<Money>(), Err(BadMoney), "{text}"));
    }

    #[test]
    fn so_many_credits_cost_so_much() {
        assert_eq!(money("0.01 EUR").for_credits("12.5".parse().unwrap()), money("0.125 EUR"));
        assert_eq!(money("0.000003 EUR").for_credits("0.5".parse().unwrap()), money("0.000001 EUR"));
        assert_eq!(money("999999999999 EUR").for_credits(Credits::MAX).micros(), Money::MICROS_MAX);
    }
}
