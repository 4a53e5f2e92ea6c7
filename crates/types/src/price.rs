//! What prices are named by: an id or any, and the version a call was priced under. Not here: prices (`pricing`).

use std::fmt;
use std::str::FromStr;

/// An id, or `*`: any that has no price of its own. No id can be written `*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OneOrAny<T> {
    Any,
    One(T),
}

impl<T> OneOrAny<T> {
    pub const ANY: &'static str = "*";

    pub const fn as_ref(&self) -> OneOrAny<&T> {
        match self {
            Self::Any => OneOrAny::Any,
            Self::One(one) => OneOrAny::One(one),
        }
    }
}

impl<T> From<T> for OneOrAny<T> {
    fn from(one: T) -> Self {
        Self::One(one)
    }
}

impl<T: FromStr> FromStr for OneOrAny<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        if text == Self::ANY { Ok(Self::Any) } else { text.parse().map(Self::One) }
    }
}

impl<T: fmt::Display> fmt::Display for OneOrAny<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str(Self::ANY),
            Self::One(one) => one.fmt(f),
        }
    }
}

/// Which prices a call was priced by: a rate card, and the workspace's own prices where there were any. Both numbers are
/// taken from one count and never again. Text: `7`, or `7.9`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PriceVersion {
    pub card: u64,
    pub own: Option<u64>,
}

impl fmt::Display for PriceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { card, own: None } => write!(f, "{card}"),
            Self { card, own: Some(own) } => write!(f, "{card}.{own}"),
        }
    }
}

/// Why a text is no version of prices.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a price version is that of a rate card, such as 7, or with that of a workspace's own prices, such as 7.9"
)]
pub struct BadPriceVersion;

impl FromStr for PriceVersion {
    type Err = BadPriceVersion;

    fn from_str(text: &str) -> Result<Self, BadPriceVersion> {
        let number = |digits: &str| {
            let plain = digits == "0" || !digits.starts_with(['0', '+']);
            digits.parse().ok().filter(|_| plain).ok_or(BadPriceVersion)
        };
        match text.split_once('.') {
            None => Ok(Self { card: number(text)?, own: None }),
            Some((card, own)) => Ok(Self { card: number(card)?, own: Some(number(own)?) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Model;

    #[test]
    fn any_is_a_star_and_no_id() {
        let read = |text: &str| text.parse::<OneOrAny<Model>>();
        assert_eq!(read("*"), Ok(OneOrAny::Any));
        assert_eq!(read("m-1").unwrap().to_string(), "m-1");
        assert!(Model::parse("*").is_err() && read("**").is_err() && read("").is_err());
    }

    #[test]
    fn versions_there_and_back_in_one_way_only() {
        for text in ["0", "7", "7.9", "18446744073709551615.1"] {
            assert_eq!(text.parse::<PriceVersion>().unwrap().to_string(), text);
        }
        for text in
            ["", ".", "7.", ".9", "07", "+7", "-7", "7.09", "7.9.1", "18446744073709551616", "v7", "7 "]
        {
            assert_eq!(text.parse::<PriceVersion>(), Err(BadPriceVersion), "{text}");
        }
    }
}
