//! Amounts and counts, read from the very characters that were sent. Not here: bounds that belong to one command.

use crate::json::word::{Form, Word};
use std::fmt;
use types::{BadCredits, Credits, CreditsDelta};
use utoipa::openapi::schema::ObjectBuilder;

/// Why a value is no amount; one message for each mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAmount {
    #[error("an amount is not negative")]
    Negative,
    #[error("an amount has no exponent; write 1000, not 1e3")]
    Exponent,
    #[error("{0}")]
    Credits(BadCredits),
}

/// Names the mistake in a text that is no amount.
fn mistake(digits: &str, bad: BadCredits) -> BadAmount {
    let looks_like_a_number = digits.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
    if bad == BadCredits::NotDecimal && looks_like_a_number && digits.contains(['e', 'E']) {
        return BadAmount::Exponent;
    }
    BadAmount::Credits(bad)
}

impl Word for Credits {
    type Bad = BadAmount;
    const NAME: &'static str = "Amount";
    const FORM: Form = Form::Amount;

    fn read(text: &str) -> Result<Self, BadAmount> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        match digits.parse::<Self>() {
            Ok(_) if digits.len() < text.len() => Err(BadAmount::Negative),
            read => read.map_err(|bad| mistake(digits, bad)),
        }
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }

    fn describe(schema: ObjectBuilder) -> ObjectBuilder {
        schema
            .description(Some(
                "Credits: at most six decimals, no exponent, below 10^12. Exact, never a float.",
            ))
            .pattern(Some(r"^[0-9]+(\.[0-9]{1,6})?$"))
            .examples(["12.5"])
    }
}

impl Word for CreditsDelta {
    type Bad = BadAmount;
    const NAME: &'static str = "Delta";
    const FORM: Form = Form::Amount;

    fn read(text: &str) -> Result<Self, BadAmount> {
        text.parse().map_err(|bad| mistake(text.strip_prefix('-').unwrap_or(text), bad))
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }

    fn describe(schema: ObjectBuilder) -> ObjectBuilder {
        schema
            .description(Some("A change of an amount, up or down."))
            .pattern(Some(r"^-?[0-9]+(\.[0-9]{1,6})?$"))
            .examples(["2000", "-12.5"])
    }
}

/// Why a value is no count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCount {
    #[error("a count is not negative")]
    Negative,
    #[error("a count is a whole number without point or exponent")]
    NotWhole,
    #[error("a count is at most 18446744073709551615")]
    TooLarge,
}

impl Word for u64 {
    type Bad = BadCount;
    const NAME: &'static str = "Count";
    const FORM: Form = Form::Integer;

    fn read(text: &str) -> Result<Self, BadCount> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadCount::NotWhole);
        }
        if digits.len() < text.len() {
            return Err(BadCount::Negative);
        }
        digits.parse().map_err(|_| BadCount::TooLarge)
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }

    fn describe(schema: ObjectBuilder) -> ObjectBuilder {
        schema.minimum(Some(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{GivenAmount, GivenCount, GivenDelta};
    use proptest::prelude::*;

    fn amount(json: &str) -> Result<Credits, BadAmount> {
        serde_json::from_str::<GivenAmount>(json).unwrap_or_else(|why| panic!("{json}: {why}")).value()
    }

    #[test]
    fn amounts_are_taken_as_string_or_number_to_the_last_digit() {
        for (json, micros) in [
            ("1.5", 1_500_000),
            (r#""1.5""#, 1_500_000),
            (r#""1\u002e5""#, 1_500_000),
            ("0.000001", 1),
            ("0", 0),
            // A float would lose the last digits of these.
            ("999999999999.999999", 999_999_999_999_999_999),
            ("123456789012.345679", 123_456_789_012_345_679),
            ("0.1", 100_000),
        ] {
            assert_eq!(amount(json).map(Credits::micros), Ok(micros), "{json}");
        }
    }

    #[test]
    fn each_mistake_has_its_name() {
        use BadAmount::{Credits as Bad, Exponent, Negative};
        for (json, why) in [
            ("-1", Negative),
            ("-0", Negative),
            (r#""-1.5""#, Negative),
            ("1e3", Exponent),
            ("1E-7", Exponent),
            ("-1e3", Exponent),
            (r#""1e3""#, Exponent),
            ("0.1234567", Bad(BadCredits::TooManyDecimals)),
            ("1.0000000", Bad(BadCredits::TooManyDecimals)),
            ("1000000000000", Bad(BadCredits::TooLarge)),
            (r#""NaN""#, Bad(BadCredits::NotDecimal)),
            (r#""one""#, Bad(BadCredits::NotDecimal)),
            (r#""""#, Bad(BadCredits::NotDecimal)),
            (r#"" 1""#, Bad(BadCredits::NotDecimal)),
            (r#""+1""#, Bad(BadCredits::NotDecimal)),
            (r#""--1""#, Bad(BadCredits::NotDecimal)),
            (r#"".5""#, Bad(BadCredits::NotDecimal)),
        ] {
            assert_eq!(amount(json), Err(why), "{json}");
        }
    }

    #[test]
    fn what_is_not_even_a_number() {
        for json in ["true", "null", "{}", "[1]", "NaN", "01", "1.", "+1", "Infinity", r#""\x""#] {
            assert!(serde_json::from_str::<GivenAmount>(json).is_err(), "{json}");
        }
        for json in [r#""1""#, "true", "null", "[]"] {
            assert!(serde_json::from_str::<GivenCount>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn deltas_go_both_ways() {
        let delta = |json: &str| serde_json::from_str::<GivenDelta>(json).unwrap().value();
        let one_and_a_half = Credits::from_micros(1_500_000).unwrap();
        assert_eq!(delta("-1.5"), Ok(CreditsDelta::Lower(one_and_a_half)));
        assert_eq!(delta(r#""1.50""#), Ok(CreditsDelta::Raise(one_and_a_half)));
        assert_eq!(delta("-1e1"), Err(BadAmount::Exponent));
        assert_eq!(delta(r#""--1""#), Err(BadAmount::Credits(BadCredits::NotDecimal)));
    }

    #[test]
    fn counts_at_their_bounds() {
        let count = |json: &str| serde_json::from_str::<GivenCount>(json).unwrap().value();
        assert_eq!(count("0"), Ok(0));
        assert_eq!(count("18446744073709551615"), Ok(u64::MAX));
        assert_eq!(count("18446744073709551616"), Err(BadCount::TooLarge));
        assert_eq!(count("-1"), Err(BadCount::Negative));
        assert_eq!(count("1.0"), Err(BadCount::NotWhole));
        assert_eq!(count("1e3"), Err(BadCount::NotWhole));
        assert_eq!(serde_json::to_string(&GivenCount::from(u64::MAX)).unwrap(), "18446744073709551615");
    }

    proptest! {
        #[test]
        fn amounts_there_and_back(micros in 0..=Credits::MAX.micros()) {
            let credits = Credits::from_micros(micros).unwrap();
            let text = serde_json::to_string(&GivenAmount::from(credits)).unwrap();
            prop_assert_eq!(amount(&text), Ok(credits));
            prop_assert_eq!(amount(text.trim_matches('"')), Ok(credits), "as a number");
        }
    }
}
