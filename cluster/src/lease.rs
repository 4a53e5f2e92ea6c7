//! `[lease]` in `node.toml`: how a node sizes its leases, as an operator writes it. A simulation reads the same table
//! from a file of its own. Not here: what is decided by it (`leasing`).

use leasing::LeasePolicy;
use serde::de::{Deserializer, Error, Unexpected, Visitor};
use std::fmt;
use std::ops::RangeInclusive;
use types::Credits;

/// All of it may be left out; what is, is [`LeasePolicy::STANDARD`]. Amounts are credits: an integer, or an exact
/// decimal as text, `"0.5"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LeaseSettings {
    /// A lease covers this much time at the recent rate, 1 to 60,000: without a leader nothing is spent for longer.
    pub horizon_ms: u64,
    /// The smallest lease while credits are plenty, "0.000001" to 100,000,000.
    #[serde(deserialize_with = "credits")]
    pub lease_min: Credits,
    /// The largest, `lease_min` to 100,000,000; a request that costs more still gets what it costs.
    #[serde(deserialize_with = "credits")]
    pub lease_max: Credits,
    /// The watermark on the disk runs ahead of use by this much time at the recent rate, 1 to 60,000.
    pub chunk_ms: u64,
    /// By at least so much, "0.000001" to 100,000,000.
    #[serde(deserialize_with = "credits")]
    pub chunk_min: Credits,
    /// By at most so much, `chunk_min` to 100,000,000: what one line may be charged unattributed when power fails.
    #[serde(deserialize_with = "credits")]
    pub chunk_max: Credits,
    /// A line nobody spends from for so long is closed and its credits given back, 1 to 86,400,000 (a day); looked at
    /// once a second.
    pub idle_ms: u64,
    /// Draws younger than this are left alone by the first wave of a recall, 0 to 200; all waves of a round fit into
    /// the two seconds that one attempt at a leader may take.
    pub young_ms: u64,
    /// How long the first wave of a recall waits for holders, 1 to 500, for the same reason.
    pub round_ms: u64,
}

/// A field of [`LeaseSettings`] that is out of its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {allowed}")]
pub struct BadField {
    pub field: &'static str,
    pub allowed: &'static str,
}

/// As long as a session lives without its leader.
const SPAN_MS: RangeInclusive<u64> = 1..=crate::defaults::SESSION_TTL_MS;
/// A balance is one word of 281,474,976.710655 credits; this leaves room for what is put back on it.
const AMOUNT_MAX: Credits = match Credits::whole(100_000_000) {
    Some(credits) => credits,
    None => panic!("below the bound of credits"),
};

impl Default for LeaseSettings {
    fn default() -> Self {
        let LeasePolicy {
            horizon_ms,
            lease_min,
            lease_max,
            chunk_ms,
            chunk_min,
            chunk_max,
            idle_ms,
            young_ms,
            round_ms,
        } = LeasePolicy::STANDARD;
        let young_ms = young_ms.unsigned_abs();
        Self { horizon_ms, lease_min, lease_max, chunk_ms, chunk_min, chunk_max, idle_ms, young_ms, round_ms }
    }
}

impl LeaseSettings {
    /// The policy, if every field is within its bounds.
    pub fn check(self) -> Result<LeasePolicy, BadField> {
        let Self {
            horizon_ms,
            lease_min,
            lease_max,
            chunk_ms,
            chunk_min,
            chunk_max,
            idle_ms,
            young_ms,
            round_ms,
        } = self;
        let is_amount = |credits: Credits| !credits.is_zero() && credits <= AMOUNT_MAX;
        let checks = [
            ("horizon_ms", SPAN_MS.contains(&horizon_ms), "1 to 60,000 ms"),
            ("lease_min", is_amount(lease_min), "\"0.000001\" to 100,000,000 credits"),
            ("lease_max", is_amount(lease_max), "lease_min to 100,000,000 credits"),
            ("lease_max", lease_min <= lease_max, "at least lease_min; raise it, or lower lease_min"),
            ("chunk_ms", SPAN_MS.contains(&chunk_ms), "1 to 60,000 ms"),
            ("chunk_min", is_amount(chunk_min), "\"0.000001\" to 100,000,000 credits"),
            ("chunk_max", is_amount(chunk_max), "chunk_min to 100,000,000 credits"),
            ("chunk_max", chunk_min <= chunk_max, "at least chunk_min; raise it, or lower chunk_min"),
            ("idle_ms", (1..=86_400_000).contains(&idle_ms), "1 to 86,400,000 ms"),
            ("young_ms", young_ms <= 200, "0 to 200 ms"),
            ("round_ms", (1..=500).contains(&round_ms), "1 to 500 ms"),
        ];
        if let Some((field, _, allowed)) = checks.into_iter().find(|(_, is_right, _)| !is_right) {
            return Err(BadField { field, allowed });
        }
        let young_ms = young_ms.cast_signed();
        Ok(LeasePolicy {
            horizon_ms,
            lease_min,
            lease_max,
            chunk_ms,
            chunk_min,
            chunk_max,
            idle_ms,
            young_ms,
            round_ms,
        })
    }
}

/// An integer, or an exact decimal as text. A float is no amount: it would not be exact.
pub fn credits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Credits, D::Error> {
    deserializer.deserialize_any(Amount)
}

struct Amount;

impl Visitor<'_> for Amount {
    type Value = Credits;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("credits below 1000000000000, an integer, or an exact decimal as text such as \"0.5\"")
    }

    fn visit_u64<E: Error>(self, whole: u64) -> Result<Credits, E> {
        Credits::whole(whole).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(whole), &self))
    }

    fn visit_i64<E: Error>(self, whole: i64) -> Result<Credits, E> {
        match u64::try_from(whole) {
            Ok(whole) => self.visit_u64(whole),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(whole), &self)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Credits, E> {
        text.parse().map_err(|why: types::BadCredits| E::custom(format!("{text:?}: {why}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<LeasePolicy, String> {
        let settings: LeaseSettings = toml::from_str(line).map_err(|why| why.to_string())?;
        settings.check().map_err(|why| why.to_string())
    }

    #[test]
    fn nothing_said_is_the_standard() {
        assert_eq!(read(""), Ok(LeasePolicy::STANDARD));
    }

    #[test]
    fn amounts_are_whole_or_exact_text() {
        let credits = |text: &str| text.parse::<Credits>().unwrap();
        assert_eq!(read("lease_min = 7").unwrap().lease_min, credits("7"));
        assert_eq!(read("chunk_min = \"0.5\"").unwrap().chunk_min, credits("0.5"));
        for (line, says) in [
            ("lease_min = 0.5", "invalid type: floating point `0.5`"),
            ("lease_min = -1", "integer `-1`"),
            ("lease_max = 1000000000000", "credits below 1000000000000"),
            ("lease_min = \"0.1234567\"", "at most six decimals"),
            ("lease_min = \"5e1\"", "no sign, space or exponent"),
            ("lease_min = true", "an integer, or an exact decimal as text such as \"0.5\""),
            ("lease = 1", "unknown field `lease`"),
            ("horizon_ms = \"5\"", "invalid type: string"),
        ] {
            let why = read(line).unwrap_err();
            assert!(why.contains(says), "{line}: {why}");
        }
    }

    /// What a field may be at most and at least, and one past either.
    #[test]
    fn each_field_at_its_bounds_and_one_past() {
        for (field, within, past) in [
            ("horizon_ms", ["1", "60000"], ["0", "60001"]),
            ("chunk_ms", ["1", "60000"], ["0", "60001"]),
            ("idle_ms", ["1", "86400000"], ["0", "86400001"]),
            ("round_ms", ["1", "500"], ["0", "501"]),
            ("young_ms", ["0", "200"], ["201", "18446744073709551615"]),
            ("lease_min", ["\"0.000001\"", "100000"], ["0", "\"100000.000001\""]),
            ("lease_max", ["20", "100000000"], ["\"19.999999\"", "\"100000000.000001\""]),
            ("chunk_min", ["\"0.000001\"", "25000"], ["0", "\"25000.000001\""]),
            ("chunk_max", ["10", "100000000"], ["\"9.999999\"", "\"100000000.000001\""]),
        ] {
            for value in within {
                assert!(read(&format!("{field} = {value}")).is_ok(), "{field} = {value}");
            }
            for value in past {
                let why = read(&format!("{field} = {value}")).unwrap_err();
                let group = field.split('_').next().unwrap();
                assert!(why.contains(group), "{field} = {value}: {why}");
            }
        }
        let both =
            "lease_min = 100000000\nlease_max = 100000000\nchunk_min = 100000000\nchunk_max = 100000000";
        assert!(read(both).is_ok());
        let past = "lease_min = \"100000000.000001\"\nlease_max = \"100000000.000001\"";
        assert_eq!(read(past).unwrap_err(), "lease_min: \"0.000001\" to 100,000,000 credits");
        let turned = "lease_min = 2\nlease_max = 1";
        assert_eq!(read(turned).unwrap_err(), "lease_max: at least lease_min; raise it, or lower lease_min");
    }
}
