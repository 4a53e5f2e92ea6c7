//! Cycles: their days, their zone, and what is kept of a grant when one ends. Not here: when they begin (`calendar`).

use crate::json::object::not_null;
use crate::json::word::Word;
use crate::json::{
    Amount, CivilDateText, EveryText, GivenAmount, GivenCivilDate, GivenCount, GivenEvery, GivenKeep,
    Instant, KeepText,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use types::{BadCycle, CivilDate, ZoneName};
use utoipa::ToSchema;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat};

/// Cycles begin every month or year on the day of the anchor, in the workspace's time zone; where a month has no such day,
/// on its last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutCycle {
    pub every: GivenEvery,
    /// Only the day counts, and of years the month.
    pub anchor: GivenCivilDate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cycle {
    pub number: u32,
    pub starts_at: Instant,
    /// `null`: not set.
    pub ends_at: Option<Instant>,
    /// Left out with the anchor where there is one cycle without an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<EveryText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<CivilDateText>,
}

/// The grant ends with the cycle it begins in, and this much of what is left then is kept; what is still out on leases goes
/// by the same rule as it comes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutRollover {
    pub keep: GivenKeep,
    /// With `up_to`, and only there: at most so many credits.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub amount: Option<GivenAmount>,
    /// With `percent`, and only there: 1 to 100, rounded down to a micro-credit.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub percent: Option<GivenCount>,
    /// For so many cycles more, 1 to 1,200; left out: until it is used.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub cycles: Option<GivenCount>,
}

/// What is kept of a grant that ends with its cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rollover {
    pub keep: KeepText,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// `null`: until it is used.
    pub cycles: Option<u32>,
    /// Left when its cycle ended, with what has come back since; left out before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Amount>,
    /// How much of that was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Amount>,
}

impl Word for CivilDate {
    type Bad = BadCycle;
    const NAME: &'static str = "CivilDate";

    fn read(text: &str) -> Result<Self, BadCycle> {
        text.parse()
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }

    fn describe(schema: ObjectBuilder) -> ObjectBuilder {
        schema
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Date)))
            .description(Some("A day in the workspace's time zone."))
            .examples(["2026-01-31"])
    }
}

impl Word for ZoneName {
    type Bad = BadCycle;
    const NAME: &'static str = "TimeZone";

    fn read(text: &str) -> Result<Self, BadCycle> {
        Self::parse(text)
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }

    fn describe(schema: ObjectBuilder) -> ObjectBuilder {
        schema.description(Some("The name of an IANA time zone.")).examples(["Europe/Berlin"])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{PutGrant, PutWorkspace, read, write};

    #[test]
    fn there_and_back() {
        fn same<T: Serialize + for<'de> Deserialize<'de>>(body: &str) {
            let value: T = read(body.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(write(&value)).unwrap(), body);
        }
        same::<PutWorkspace>(
            r#"{"timezone":"Europe/Berlin","cycle":{"every":"month","anchor":"2026-01-31"}}"#,
        );
        same::<PutGrant>(r#"{"id":"p","kind":"plan","amount":"100","rollover":{"keep":"none"}}"#);
        same::<PutRollover>(r#"{"keep":"up_to","amount":"12.5","cycles":3}"#);
        same::<PutRollover>(r#"{"keep":"percent","percent":50}"#);
    }

    #[test]
    fn half_a_cycle_or_rollover_is_none() {
        for body in [
            r#"{"cycle":{}}"#,
            r#"{"cycle":{"every":"month"}}"#,
            r#"{"cycle":{"every":"month","anchor":"2026-01-31","zone":"UTC"}}"#,
            r#"{"cycle":null}"#,
            r#"{"timezone":null}"#,
        ] {
            assert!(read::<PutWorkspace>(body.as_bytes()).is_err(), "{body}");
        }
        for body in [r#"{}"#, r#"{"keep":"all","cycles":null}"#, r#"{"keep":"all","kept":"1"}"#] {
            assert!(read::<PutRollover>(body.as_bytes()).is_err(), "{body}");
        }
    }
}
