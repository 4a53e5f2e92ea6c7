//! What plans are written in: TOML whose errors name file, line and field; durations, amounts and ranges of them.
//! Not here: what the fields mean.

use crate::chance::Stream;
use rand::Rng;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error, Visitor};
use std::fmt;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use types::Credits;

/// What is wrong with a plan, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPlan {
    pub file: String,
    /// From 1; 0: the file as a whole.
    pub line: usize,
    /// Empty where no single field is wrong.
    pub field: String,
    pub why: String,
}

impl fmt::Display for BadPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ", line {}", self.line)?;
        }
        if !self.field.is_empty() {
            write!(f, ", {}", self.field)?;
        }
        write!(f, ": {}", self.why)
    }
}

impl std::error::Error for BadPlan {}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// As it was given: for messages.
    pub name: String,
    pub content: String,
}

/// Larger files are no plans; recorded traffic may be.
pub const BYTES_MAX: u64 = 256 * 1024 * 1024;

impl Text {
    /// # Errors
    /// It cannot be read, or is larger than [`BYTES_MAX`].
    pub fn read(path: &Path) -> Result<Self, BadPlan> {
        let name = path.display().to_string();
        let whole = |why: String| BadPlan { file: name.clone(), line: 0, field: String::new(), why };
        let mut content = String::new();
        let file = std::fs::File::open(path).map_err(|why| whole(why.to_string()))?;
        let read = file.take(BYTES_MAX + 1).read_to_string(&mut content);
        read.map_err(|why| whole(format!("{why}; is it a text file?")))?;
        if content.len() as u64 > BYTES_MAX {
            return Err(whole(format!("more than {BYTES_MAX} bytes")));
        }
        Ok(Self { name, content })
    }

    /// What the file says of itself: its first comment.
    #[must_use]
    pub fn about(&self) -> String {
        let comments = self.content.lines().take_while(|line| line.starts_with('#'));
        let words: Vec<&str> = comments.map(|line| line.trim_start_matches('#').trim()).collect();
        words.join(" ")
    }

    /// A file beside this one.
    #[must_use]
    pub fn beside(&self, name: &str) -> PathBuf {
        Path::new(&self.name).parent().unwrap_or(Path::new(".")).join(name)
    }

    /// # Errors
    /// It is no TOML of that form.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, BadPlan> {
        toml::from_str(&self.content).map_err(|why| {
            let message = why.message().to_owned();
            match why.span() {
                Some(span) => self.wrong(&span, message),
                None => self.wrong_as_a_whole(message),
            }
        })
    }

    /// The field at these bytes is wrong.
    #[must_use]
    pub fn wrong(&self, at: &Range<usize>, why: impl Into<String>) -> BadPlan {
        let before = self.content.get(..at.start).unwrap_or(&self.content);
        let line = before.matches('\n').count() + 1;
        let lines: Vec<&str> = self.content.lines().collect();
        let up = lines.iter().take(line).rev().map(|line| line.trim());
        let mut named = up.filter_map(|line| match line.split_once('=') {
            Some((key, _)) if !line.starts_with('#') => Some(key.trim().to_owned()),
            _ if line.starts_with('[') && line.ends_with(']') => Some(line.to_owned()),
            _ => None,
        });
        let field = named.next().unwrap_or_default();
        BadPlan { file: self.name.clone(), line, field, why: why.into() }
    }

    #[must_use]
    pub fn wrong_as_a_whole(&self, why: impl Into<String>) -> BadPlan {
        BadPlan { file: self.name.clone(), line: 0, field: String::new(), why: why.into() }
    }
}

/// A duration, or two that it lies between: `"250ms"`, `"1m 30s"`, `"5s..20s"`. Microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Times {
    pub least_us: u64,
    pub most_us: u64,
}

/// A week.
const LONGEST_US: u64 = 7 * 86_400 * 1_000_000;

impl Times {
    pub const fn exactly(us: u64) -> Self {
        Self { least_us: us, most_us: us }
    }

    pub fn draw_us(&self, chance: &mut Stream) -> u64 {
        chance.random_range(self.least_us..=self.most_us)
    }

    pub fn draw_ms(&self, chance: &mut Stream) -> u64 {
        self.draw_us(chance) / 1_000
    }
}

fn duration_us(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no duration such as \"250ms\", \"1.5s\" or \"1m 30s\"");
    let parsed: jiff::SignedDuration = text.trim().parse().map_err(|_| wrong())?;
    let us = u64::try_from(parsed.as_micros()).map_err(|_| wrong())?;
    if us > LONGEST_US { Err(format!("{text:?} is longer than a week")) } else { Ok(us) }
}

impl TryFrom<String> for Times {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (least, most) = text.split_once("..").unwrap_or((&text, &text));
        let times = Self { least_us: duration_us(least)?, most_us: duration_us(most)? };
        if times.least_us > times.most_us {
            return Err(format!("{text:?}: the first is longer than the second"));
        }
        Ok(times)
    }
}

/// One duration: `"250ms"`. Microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Exactly(pub u64);

impl TryFrom<String> for Exactly {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        duration_us(&text).map(Self)
    }
}

/// Credits: a whole number, or text such as `"0.5"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount(pub Credits);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        cluster::lease::credits(deserializer).map(Self)
    }
}

/// What a pool is granted: credits, or a part of all that is asked of it, as `"95%"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granted {
    Credits(Credits),
    Percent(u32),
}

impl<'de> Deserialize<'de> for Granted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl Visitor<'_> for Either {
            type Value = Granted;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("credits, or a part of what is asked, as \"95%\"")
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Granted, E> {
                let whole = u64::try_from(value).ok().and_then(Credits::whole);
                let wrong = || E::custom(format!("{value} is no amount of credits"));
                whole.map(Granted::Credits).ok_or_else(wrong)
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Granted, E> {
                let Some(percent) = value.strip_suffix('%') else {
                    let credits = value.parse().map_err(|why| E::custom(format!("{value:?}: {why}")));
                    return credits.map(Granted::Credits);
                };
                match percent.trim().parse() {
                    Ok(percent @ 1..=1_000) => Ok(Granted::Percent(percent)),
                    _ => Err(E::custom(format!("{value:?}: 1% to 1000%"))),
                }
            }
        }

        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[expect(dead_code, reason = "only whether it is understood matters")]
        wait: Times,
        #[expect(dead_code, reason = "only whether it is understood matters")]
        price: Option<Amount>,
    }

    fn text(content: &str) -> Text {
        Text { name: "sample.toml".into(), content: content.into() }
    }

    fn complaint(content: &str) -> String {
        text(content).parse::<Sample>().unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_is_named_by_line_and_field() {
        assert_eq!(
            complaint("# a\n\nwait = \"fast\"\n"),
            "sample.toml, line 3, wait: \"fast\" is no duration such as \"250ms\", \"1.5s\" or \"1m 30s\""
        );
        assert_eq!(
            complaint("wait = \"2s..1s\""),
            "sample.toml, line 1, wait: \"2s..1s\": the first is longer than the second"
        );
        let unknown = complaint("wait = \"1s\"\nwaits = 3\n");
        assert!(unknown.starts_with("sample.toml, line 2, waits: unknown field `waits`"), "{unknown}");
        let missing = complaint("price = 1\n");
        assert!(missing.ends_with("missing field `wait`"), "{missing}");
        let float = complaint("wait = \"1s\"\nprice = 0.5");
        assert!(float.contains("line 2, price") && float.contains("as text such as \"0.5\""), "{float}");
    }

    #[test]
    fn durations_have_units_and_a_bound() {
        let times = |text: &str| Times::try_from(text.to_owned());
        assert_eq!(times("0.2ms..1m 30s").unwrap(), Times { least_us: 200, most_us: 90_000_000 });
        assert_eq!(times("168h").unwrap(), Times::exactly(LONGEST_US));
        assert!(times("169h").unwrap_err().contains("a week"));
        assert!(times("-1s").is_err() && times("5").is_err() && times("").is_err());
    }

    #[test]
    fn a_file_says_what_it_is() {
        assert_eq!(text("# Three zones,\n# one node each.\n\nx = 1").about(), "Three zones, one node each.");
        assert_eq!(text("x = 1").about(), "");
    }
}
