//! Counts by unit: `usage` of a request, `units` of an answer. Not here: prices.

use crate::json::word::Given;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::fmt;
use types::Unit;
use utoipa::openapi::{RefOr, schema};

/// Most units one usage names.
pub const USAGE_UNITS_MAX: usize = 16;

/// Unit → count. A unit named twice is a repeated field: no such object is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenUsage {
    /// In the order they were sent; at most [`USAGE_UNITS_MAX`].
    pub units: Vec<(Given<Unit>, Given<u64>)>,
    /// More were sent than are kept.
    pub too_many: bool,
}

impl From<Vec<(Unit, u64)>> for GivenUsage {
    fn from(units: Vec<(Unit, u64)>) -> Self {
        let too_many = units.len() > USAGE_UNITS_MAX;
        Self { units: units.into_iter().map(|(unit, count)| (unit.into(), count.into())).collect(), too_many }
    }
}

impl Serialize for GivenUsage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.units.len()))?;
        for (unit, count) in &self.units {
            map.serialize_entry(unit, count)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for GivenUsage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Units)
    }
}

struct Units;

impl<'de> Visitor<'de> for Units {
    type Value = GivenUsage;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of units and counts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<GivenUsage, A::Error> {
        let mut usage = GivenUsage { units: Vec::new(), too_many: false };
        while let Some(unit) = map.next_key::<Given<Unit>>()? {
            // Only good names can be told to repeat; a bad one is refused for itself.
            let repeats =
                |(known, _): &(Given<Unit>, Given<u64>)| *known == unit && unit.clone().value().is_ok();
            if usage.units.iter().any(repeats) {
                let name = unit.value().map_or_else(|_| String::new(), |unit| unit.to_string());
                return Err(A::Error::custom(format_args!("duplicate field `{name}`")));
            }
            if usage.units.len() == USAGE_UNITS_MAX {
                usage.too_many = true;
                map.next_value::<IgnoredAny>()?;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                break;
            }
            usage.units.push((unit, map.next_value()?));
        }
        Ok(usage)
    }
}

fn schema_of_counts(description: &str) -> RefOr<schema::Schema> {
    let count = schema::Object::builder().schema_type(schema::Type::Integer).minimum(Some(0));
    let units = schema::Object::builder()
        .schema_type(schema::Type::Object)
        .description(Some(description))
        .property_names(Some(<Given<Unit> as utoipa::PartialSchema>::schema()))
        .additional_properties(Some(schema::Schema::Object(count.build())))
        .examples([serde_json::json!({ "input_token": 1200, "output_token": 300 })]);
    RefOr::T(schema::Schema::Object(units.build()))
}

impl utoipa::PartialSchema for GivenUsage {
    fn schema() -> RefOr<schema::Schema> {
        schema_of_counts("Unit → count, 1 to 16 units, each as the rate card names it.")
    }
}

impl utoipa::ToSchema for GivenUsage {
    fn name() -> std::borrow::Cow<'static, str> {
        "Usage".into()
    }
}

/// Unit → count, in the order it was made with, so that the same answer has the same bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitCounts(pub Vec<(String, u64)>);

impl Serialize for UnitCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (unit, count) in &self.0 {
            map.serialize_entry(unit, count)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for UnitCounts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Counts)
    }
}

struct Counts;

impl<'de> Visitor<'de> for Counts {
    type Value = UnitCounts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of units and counts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UnitCounts, A::Error> {
        let mut counts = Vec::new();
        while let Some(entry) = map.next_entry()? {
            counts.push(entry);
        }
        Ok(UnitCounts(counts))
    }
}

impl utoipa::PartialSchema for UnitCounts {
    fn schema() -> RefOr<schema::Schema> {
        schema_of_counts("Unit → count.")
    }
}

impl utoipa::ToSchema for UnitCounts {}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(units: usize) -> String {
        let fields: Vec<String> = (0..units).map(|i| format!(r#""u{i}":{i}"#)).collect();
        format!("{{{}}}", fields.join(","))
    }

    #[test]
    fn units_at_their_bound() {
        let at_bound: GivenUsage = serde_json::from_str(&usage(16)).unwrap();
        assert_eq!((at_bound.units.len(), at_bound.too_many), (16, false));
        for past in [17, 18, 5_000] {
            let past: GivenUsage = serde_json::from_str(&usage(past)).unwrap();
            assert_eq!((past.units.len(), past.too_many), (16, true));
        }
    }

    #[test]
    fn a_unit_twice_is_a_repeated_field() {
        let why = serde_json::from_str::<GivenUsage>(r#"{"a":1,"b":2,"a":1}"#).unwrap_err();
        assert!(why.to_string().starts_with("duplicate field `a`"), "{why}");
    }

    #[test]
    fn what_is_no_usage() {
        for json in ["[]", "1", r#"{"a":"1"}"#, r#"{"a":null}"#, r#"{"a":{}}"#] {
            assert!(serde_json::from_str::<GivenUsage>(json).is_err(), "{json}");
        }
    }
}
