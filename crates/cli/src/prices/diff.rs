//! What is different between two lists of prices, entry by entry and exactly. Not here: where the lists come from.

use crate::table::{Side, Table};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use types::{Credits, Feature, Model, OneOrAny, Unit};
use wire::json;

/// In place of a unit, where a minimum charge stands among prices.
pub(super) const MINIMUM: &str = "(minimum)";

/// What an entry is for. Each tier of a price is an entry of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct For {
    feature: OneOrAny<Feature>,
    model: Option<OneOrAny<Model>>,
    /// `None`: a minimum charge.
    unit: Option<Unit>,
    above: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rate {
    credits: Credits,
    per: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entries(BTreeMap<For, Rate>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Added,
    Removed,
    Dearer,
    Cheaper,
}

/// One entry that is different. Prices are texts, `1 per 1000`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Change {
    change: Kind,
    feature: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    unit: String,
    above: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    /// After ÷ before, reduced; left out where there was no price, or it was 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Changes {
    changes: Vec<Change>,
}

impl Entries {
    pub fn of(card: json::PutRateCard) -> Result<Self, String> {
        let mut entries = Self(BTreeMap::new());
        for (at, price) in card.prices.into_iter().enumerate() {
            entries.add(price).map_err(|why| format!("prices[{at}]: {why}"))?;
        }
        for (at, minimum) in card.minimums.into_iter().enumerate() {
            entries.add_minimum(minimum).map_err(|why| format!("minimums[{at}]: {why}"))?;
        }
        Ok(entries)
    }

    fn add(&mut self, price: json::PutPrice) -> Result<(), String> {
        let json::PutPrice { feature, model, unit, per, credits, tiers } = price;
        let what = For {
            feature: feature.value().map_err(text)?,
            model: model.map(json::Given::value).transpose().map_err(text)?,
            unit: Some(unit.value().map_err(text)?.singular()),
            above: 0,
        };
        let per = per.value().map_err(text)?;
        if per == 0 {
            return Err("`per` is at least 1".into());
        }
        for tier in tiers {
            let (above, credits) = (tier.above.value().map_err(text)?, tier.credits.value().map_err(text)?);
            self.put(For { above, ..what.clone() }, Rate { credits, per })?;
        }
        self.put(what, Rate { credits: credits.value().map_err(text)?, per })
    }

    fn add_minimum(&mut self, minimum: json::PutMinimum) -> Result<(), String> {
        let json::PutMinimum { feature, model, credits } = minimum;
        let what = For {
            feature: feature.value().map_err(text)?,
            model: model.map(json::Given::value).transpose().map_err(text)?,
            unit: None,
            above: 0,
        };
        self.put(what, Rate { credits: credits.value().map_err(text)?, per: 1 })
    }

    fn put(&mut self, what: For, rate: Rate) -> Result<(), String> {
        match self.0.insert(what, rate) {
            None => Ok(()),
            Some(_) => Err("what it is for has an entry before it; keep one of the two".into()),
        }
    }
}

fn text(bad: impl fmt::Display) -> String {
    bad.to_string()
}

/// From `old` to `new`, in order of features, models and units. The same price written otherwise is no change.
pub(super) fn changes(old: &Entries, new: &Entries) -> Changes {
    let all: std::collections::BTreeSet<&For> = old.0.keys().chain(new.0.keys()).collect();
    let change = |what: &For| {
        let (before, after) = (old.0.get(what).copied(), new.0.get(what).copied());
        let (change, ratio) = match (before, after) {
            (None, _) => (Kind::Added, None),
            (_, None) => (Kind::Removed, None),
            (Some(before), Some(after)) => match ratio(before, after) {
                None if after.credits.is_zero() => return None,
                None => (Kind::Dearer, None),
                Some((up, down)) if up == down => return None,
                Some((up, down)) => {
                    let kind = if up > down { Kind::Dearer } else { Kind::Cheaper };
                    (kind, Some(if down == 1 { up.to_string() } else { format!("{up}/{down}") }))
                }
            },
        };
        let For { feature, model, unit, above } = what;
        let rate = |Rate { credits, per }: Rate| match unit {
            Some(_) => format!("{credits} per {per}"),
            None => credits.to_string(),
        };
        Some(Change {
            change,
            feature: feature.to_string(),
            model: model.as_ref().map(ToString::to_string),
            unit: unit.as_ref().map_or_else(|| MINIMUM.to_owned(), ToString::to_string),
            above: *above,
            before: before.map(rate),
            after: after.map(rate),
            ratio,
        })
    };
    Changes { changes: all.into_iter().filter_map(change).collect() }
}

/// After ÷ before as a reduced fraction; `None`: before is 0.
fn ratio(before: Rate, after: Rate) -> Option<(u128, u128)> {
    let wide = |rate: Rate, other: Rate| u128::from(rate.credits.micros()) * u128::from(other.per);
    let (up, down) = (wide(after, before), wide(before, after));
    let (mut divisor, mut rest) = (up, down);
    while rest != 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    (down != 0).then(|| (up / divisor, down / divisor))
}

impl Changes {
    pub const fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("no difference\n");
        }
        let mut table = Table::new(&[
            ("change", Side::Left),
            ("feature", Side::Left),
            ("model", Side::Left),
            ("unit", Side::Left),
            ("above", Side::Right),
            ("before", Side::Right),
            ("after", Side::Right),
            ("ratio", Side::Right),
        ]);
        for Change { change, feature, model, unit, above, before, after, ratio } in &self.changes {
            let change = match change {
                Kind::Added => "added",
                Kind::Removed => "removed",
                Kind::Dearer => "dearer",
                Kind::Cheaper => "cheaper",
            };
            let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
            table.row([
                change.into(),
                feature.clone(),
                or_dash(model),
                unit.clone(),
                if *above == 0 { String::new() } else { above.to_string() },
                or_dash(before),
                or_dash(after),
                ratio.as_ref().map_or_else(String::new, |ratio| format!("×{ratio}")),
            ]);
        }
        table.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(body: &str) -> Result<Entries, String> {
        Entries::of(json::read(body.as_bytes()).unwrap_or_else(|why| panic!("{body}: {why}")))
    }

    fn said(old: &str, new: &str) -> Vec<String> {
        let text = changes(&entries(old).unwrap(), &entries(new).unwrap()).to_string();
        text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    const OLD: &str = r#"{"prices":[
        {"feature":"chat","model":"m-1","unit":"input_token","per":1000,"credits":"1","tiers":[{"above":9,"credits":"3"},{"above":99,"credits":"4"}]},
        {"feature":"chat","model":"m-1","unit":"output_token","per":1000,"credits":"4"},
        {"feature":"search","unit":"call","per":1,"credits":"0"},
        {"feature":"*","model":"*","unit":"call","per":1,"credits":"1"}],
        "minimums":[{"feature":"search","credits":"0"}]}"#;

    #[test]
    fn each_entry_that_is_different_says_how() {
        let new = r#"{"prices":[
            {"feature":"chat","model":"m-1","unit":"input_tokens","per":1500,"credits":"1","tiers":[{"above":9,"credits":"4.5"},{"above":100,"credits":"4"}]},
            {"feature":"chat","model":"m-1","unit":"output_token","per":1000,"credits":"6"},
            {"feature":"search","unit":"call","per":7,"credits":"0"},
            {"feature":"image","unit":"image","per":1,"credits":"2"}],
            "minimums":[{"feature":"search","credits":"0.5"}]}"#;
        assert_eq!(
            said(OLD, new),
            [
                "removed * * call 1 per 1 -",
                "cheaper chat m-1 input_token 1 per 1000 1 per 1500 ×2/3",
                "removed chat m-1 input_token 99 4 per 1000 -",
                "added chat m-1 input_token 100 - 4 per 1500",
                "dearer chat m-1 output_token 4 per 1000 6 per 1000 ×3/2",
                "added image - image - 2 per 1",
                "dearer search - (minimum) 0 0.5",
            ]
        );
        assert_eq!(said(new, OLD).len(), 7);
        assert!(said(new, OLD).contains(&"cheaper search - (minimum) 0.5 0 ×0".to_owned()));
    }

    #[test]
    fn the_same_prices_however_they_are_written() {
        let other = r#"{"minimums":[{"feature":"search","credits":0}],"prices":[
            {"feature":"*","model":"*","unit":"calls","per":2,"credits":"2"},
            {"feature":"search","unit":"call","per":1,"credits":"0.0"},
            {"feature":"chat","model":"m-1","unit":"output_token","per":1,"credits":"0.004"},
            {"feature":"chat","model":"m-1","unit":"input_token","per":1000,"credits":"1","tiers":[{"above":9,"credits":3},{"above":99,"credits":"4"}]}]}"#;
        let same = changes(&entries(OLD).unwrap(), &entries(other).unwrap());
        assert!(same.is_empty() && same.to_string() == "no difference\n", "{same}");
    }

    #[test]
    fn what_stands_twice_or_is_no_price() {
        for (body, why) in [
            (
                r#"{"prices":[{"feature":"f","unit":"u","per":1,"credits":1},{"feature":"f","unit":"us","per":1,"credits":1}]}"#,
                "prices[1]: what it is for has an entry before it",
            ),
            (
                r#"{"prices":[{"feature":"f","unit":"u","per":0,"credits":1}]}"#,
                "prices[0]: `per` is at least 1",
            ),
            (
                r#"{"prices":[],"minimums":[{"feature":"f","credits":"-1"}]}"#,
                "minimums[0]: an amount is not negative",
            ),
        ] {
            let refused = entries(body).expect_err(body);
            assert!(refused.starts_with(why), "{body}: {refused}");
        }
    }
}
