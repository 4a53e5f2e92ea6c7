//! Shadow mode: a workspace whose enforcement is not switched on yet. What would have been refused is charged nothing, and
//! counted in *reserved* units, which nobody's own usage can name.
//!
//! Not here: when a decision would have been a refusal (`quota`), who may be counted so (`ledger`).

use crate::{BadId, Credits, Metered, Unit};
use std::fmt;

/// Whether what is decided is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    #[default]
    On,
    /// Decisions are made and counted, and nothing is refused.
    Shadow,
}

/// Why something would have been refused; named as the API names the refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WouldRefuse {
    Exhausted,
    AllocationExhausted,
    LimitReached,
    OverageCapReached,
    HoldExceeded,
    AccessDisabled,
    FeatureNotInPlan,
    UnknownUser,
}

impl WouldRefuse {
    pub const ALL: [Self; 8] = [
        Self::Exhausted,
        Self::AllocationExhausted,
        Self::LimitReached,
        Self::OverageCapReached,
        Self::HoldExceeded,
        Self::AccessDisabled,
        Self::FeatureNotInPlan,
        Self::UnknownUser,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::AllocationExhausted => "allocation_exhausted",
            Self::LimitReached => "limit_reached",
            Self::OverageCapReached => "overage_cap_reached",
            Self::HoldExceeded => "hold_exceeded",
            Self::AccessDisabled => "access_disabled",
            Self::FeatureNotInPlan => "feature_not_in_plan",
            Self::UnknownUser => "unknown_user",
        }
    }

    pub fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }

    /// The unit that counts it.
    pub fn unit(self) -> Unit {
        reserved(self.as_str())
    }
}

impl fmt::Display for WouldRefuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

const PREFIX: &str = "shadow:";
/// Micro-credits that it would have cost.
const COST: &str = "cost";

/// Reserved units, all there are. A meter has room for them beside its own.
pub const RESERVED_UNITS: usize = WouldRefuse::ALL.len() + 1;

fn reserved(name: &str) -> Unit {
    let parsed: Result<Unit, BadId> = Unit::parse(&format!("{PREFIX}{name}"));
    parsed.expect("the reserved names are valid")
}

impl Unit {
    /// Whether usage that is told of by others may not be counted in it.
    pub fn is_reserved(&self) -> bool {
        self.as_str().starts_with(PREFIX)
    }

    fn of_code(&self) -> Option<WouldRefuse> {
        WouldRefuse::read(self.as_str().strip_prefix(PREFIX)?)
    }

    fn is_cost(&self) -> bool {
        self.as_str().strip_prefix(PREFIX) == Some(COST)
    }
}

/// What would have been refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shadowed {
    pub code: WouldRefuse,
    pub would_have_cost: Credits,
}

impl Shadowed {
    /// What its charge of nothing is counted in; sorted.
    pub fn units(&self) -> Vec<(Unit, u64)> {
        let mut units = vec![(reserved(COST), self.would_have_cost.micros()), (self.code.unit(), 1)];
        units.sort_unstable();
        units
    }

    /// From the units of one charge; `None`: it was one as any other.
    pub fn of<'a>(units: impl IntoIterator<Item = (&'a Unit, u64)>) -> Option<Self> {
        let (mut code, mut cost) = (None, Credits::ZERO);
        for (unit, count) in units {
            if unit.is_cost() {
                cost = Credits::from_micros(count).unwrap_or(Credits::MAX);
            } else {
                code = unit.of_code().or(code);
            }
        }
        Some(Self { code: code?, would_have_cost: cost })
    }
}

/// What a meter counts of what would have been refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShadowCounts {
    /// Times, by why; none is zero.
    pub by_code: Vec<(WouldRefuse, u64)>,
    pub would_have_cost: Credits,
}

impl ShadowCounts {
    pub fn calls(&self) -> u64 {
        self.by_code.iter().fold(0, |sum, (_, calls)| sum.saturating_add(*calls))
    }
}

impl Metered {
    /// What was used, and what would have been refused.
    pub fn split(self) -> (Self, ShadowCounts) {
        let (reserved, units): (Vec<_>, Vec<_>) =
            self.units.into_iter().partition(|(unit, _)| unit.is_reserved());
        let mut counts = ShadowCounts::default();
        for (unit, count) in reserved {
            if unit.is_cost() {
                counts.would_have_cost = Credits::from_micros(count).unwrap_or(Credits::MAX);
            }
            counts.by_code.extend(unit.of_code().filter(|_| count > 0).map(|code| (code, count)));
        }
        counts.by_code.sort_unstable();
        let calls = self.calls.saturating_sub(counts.calls());
        (Self { credits: self.credits, calls, units, by_grant: self.by_grant }, counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ByGrant;

    #[test]
    fn what_would_have_been_refused_is_read_back_from_its_units() {
        for code in WouldRefuse::ALL {
            let shadowed = Shadowed { code, would_have_cost: Credits::from_micros(1_500_000).unwrap() };
            let units = shadowed.units();
            assert!(units.iter().all(|(unit, _)| unit.is_reserved()));
            assert_eq!(Shadowed::of(units.iter().map(|(unit, count)| (unit, *count))), Some(shadowed));
        }
        let own = Unit::parse("input_token").unwrap();
        assert!(!own.is_reserved());
        assert_eq!(Shadowed::of([(&own, 7)]), None);
    }

    #[test]
    fn what_was_used_is_told_apart_from_what_would_have_been_refused() {
        let mut metered = Metered {
            credits: Credits::whole(3).unwrap(),
            calls: 2,
            units: vec![(Unit::parse("token").unwrap(), 40)],
            by_grant: ByGrant::default(),
        };
        for (code, cost) in
            [(WouldRefuse::Exhausted, 5), (WouldRefuse::LimitReached, 7), (WouldRefuse::Exhausted, 1)]
        {
            let mut units = Shadowed { code, would_have_cost: Credits::whole(cost).unwrap() }.units();
            units.sort();
            metered.add(&Metered { calls: 1, units, ..Metered::default() });
        }
        assert_eq!(metered.calls, 5);
        let (used, shadow) = metered.split();
        assert_eq!((used.calls, used.units.len(), used.credits), (2, 1, Credits::whole(3).unwrap()));
        assert_eq!(shadow.by_code, [(WouldRefuse::Exhausted, 2), (WouldRefuse::LimitReached, 1)]);
        assert_eq!((shadow.calls(), shadow.would_have_cost), (3, Credits::whole(13).unwrap()));
    }
}
