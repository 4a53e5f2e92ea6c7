//! A lease policy as a file: the table `[lease]` of a node's settings, by itself, so that what was tried can be copied
//! there. Not here: the fields and their bounds (`cluster`), what they do (`leasing`).

use super::text::{BadPlan, Text};
use cluster::LeaseSettings;
use leasing::LeasePolicy;
use serde::Deserialize;
use types::Credits;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    lease: LeaseSettings,
}

/// # Errors
/// A field is not understood, or out of its bounds.
pub fn parse(text: &Text) -> Result<LeasePolicy, BadPlan> {
    let file: File = text.parse()?;
    file.lease.check().map_err(|why| {
        let mut at = 0;
        for line in text.content.split_inclusive('\n') {
            if line.trim_start().starts_with(why.field) {
                return text.wrong(&(at..at), why.allowed);
            }
            at += line.len();
        }
        text.wrong_as_a_whole(why.to_string())
    })
}

/// Leases so many times as large: how far ahead they reach, the smallest and the largest. What a disk is promised at a time
/// stays.
#[must_use]
pub fn scaled(policy: LeasePolicy, times: u64, part: u64) -> LeasePolicy {
    let credits = |credits: Credits| {
        let micros = (credits.micros() * times / part).max(1);
        Credits::from_micros(micros).unwrap_or(Credits::MAX)
    };
    LeasePolicy {
        horizon_ms: (policy.horizon_ms * times / part).max(1),
        lease_min: credits(policy.lease_min),
        lease_max: credits(policy.lease_max),
        ..policy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(content: &str) -> Result<LeasePolicy, String> {
        let text = Text { name: "p.toml".into(), content: content.into() };
        parse(&text).map_err(|why| why.to_string())
    }

    #[test]
    fn what_is_not_said_is_standard_and_what_is_wrong_is_named() {
        assert_eq!(of("[lease]\n"), Ok(LeasePolicy::STANDARD));
        assert_eq!(of("[lease]\nlease_min = \"0.5\"\n").unwrap().lease_min, "0.5".parse().unwrap());
        let why = of("# Long leases.\n[lease]\nhorizon_ms = 60_001\n").unwrap_err();
        assert_eq!(why, "p.toml, line 3, horizon_ms: 1 to 60,000 ms");
        assert!(
            of("[lease]\nhorizon = 3\n").unwrap_err().starts_with("p.toml, line 2, horizon: unknown field")
        );
        assert!(of("horizon_ms = 3\n").unwrap_err().starts_with("p.toml, line 1, horizon_ms: unknown field"));
    }

    #[test]
    fn a_policy_can_be_scaled() {
        let half = scaled(LeasePolicy::STANDARD, 1, 2);
        assert_eq!((half.horizon_ms, half.lease_min), (1_000, Credits::whole(10).unwrap()));
        assert_eq!(scaled(half, 2, 1), LeasePolicy::STANDARD);
    }
}
