//! What becomes of a grant's credits when its cycle ends. Arithmetic alone. Not here: when that is (`cycle`).

use types::{Credits, CycleNumber};

/// What ends a grant, beside the end of its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Term {
    /// Nothing: it is kept over every rollover. Packs, trials.
    Lasting,
    /// The end of the cycle in which it begins; what is left then goes by the rule.
    Cycle(Rollover),
}

/// What is kept of a grant that ends with its cycle, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rollover {
    pub keep: Keep,
    /// For so many cycles more, at least one; `None`: until it is used.
    pub cycles: Option<u32>,
}

/// How much of what is left is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    None,
    All,
    UpTo(Credits),
    /// 0 to 100, rounded down to a micro-credit.
    Percent(u8),
}

/// A grant whose cycle has ended and that lives on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rolled {
    /// The cycle it began in. What lines of it, or of earlier ones, give back goes by the rule.
    pub cycle: CycleNumber,
    /// The last cycle in which what was kept can be drawn; `None`: every one.
    pub last: Option<CycleNumber>,
    /// Left when its cycle ended, and come back since from lines of that cycle.
    pub left: Credits,
    /// How much of it was kept. Always what the rule keeps of `left`, in whatever parts it came back.
    pub kept: Credits,
}

impl Rollover {
    pub const NONE: Self = Self { keep: Keep::None, cycles: None };

    /// The rule makes sense: a percentage is none, and what is kept is kept for a cycle at least.
    pub fn is_valid(self) -> bool {
        !matches!(self.keep, Keep::Percent(101..)) && self.cycles != Some(0)
    }
}

impl Keep {
    /// Never more than `left`; and what more is left keeps at most as much more.
    pub fn of(self, left: Credits) -> Credits {
        match self {
            Self::None => Credits::ZERO,
            Self::All => left,
            Self::UpTo(most) => left.min(most),
            Self::Percent(percent) => {
                let share = u128::from(left.micros()).saturating_mul(u128::from(percent)).wrapping_div(100);
                let share = u64::try_from(share).ok().and_then(Credits::from_micros);
                share.map_or(left, |share| share.min(left))
            }
        }
    }
}

impl Keep {
    /// The least that had to be left for `kept` of it to be kept, of what this rule keeps at all.
    pub(crate) fn least_left(self, kept: Credits) -> Credits {
        match self {
            Self::None => Credits::ZERO,
            Self::All | Self::UpTo(_) => kept,
            Self::Percent(percent) => {
                let share = u128::from(kept.micros()).saturating_mul(100);
                // Nothing is kept of 0 %: whatever was left.
                let left = share.checked_div(u128::from(percent)).unwrap_or(0);
                let is_whole = left.saturating_mul(u128::from(percent)) == share || percent == 0;
                let left = left.saturating_add(u128::from(!is_whole));
                u64::try_from(left).ok().and_then(Credits::from_micros).unwrap_or(Credits::MAX)
            }
        }
    }
}

impl Rolled {
    pub(crate) fn at_end_of(cycle: CycleNumber, rule: Rollover, left: Credits) -> Self {
        let last = rule.cycles.map(|cycles| cycle.after(cycles));
        Self { cycle, last, left, kept: rule.keep.of(left) }
    }

    /// Whether what a line of that cycle gives back was left when the grant's own cycle ended.
    pub(crate) fn was_left_by(&self, cycle: CycleNumber) -> bool {
        cycle <= self.cycle
    }

    /// As it is with `amount` less left; and how much less of that is kept.
    pub(crate) fn with_less_left(self, keep: Keep, amount: Credits) -> (Self, Credits) {
        let left = self.left.checked_sub(amount).expect("decided to be a part of what was left");
        let kept = keep.of(left);
        (Self { left, kept, ..self }, self.kept.saturating_sub(kept))
    }

    /// As it is with `amount` more left; and how much of that is kept.
    pub(crate) fn with_more_left(self, keep: Keep, amount: Credits) -> (Self, Credits) {
        let left = self.left.checked_add(amount).expect("parts of one pool sum within its bound");
        let kept = keep.of(left);
        (Self { left, kept, ..self }, kept.saturating_sub(self.kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credits(micros: u64) -> Credits {
        Credits::from_micros(micros).unwrap()
    }

    #[test]
    fn what_is_kept() {
        let left = credits(1_000_001);
        assert_eq!(Keep::None.of(left), Credits::ZERO);
        assert_eq!(Keep::All.of(left), left);
        assert_eq!(Keep::UpTo(credits(7)).of(left), credits(7));
        assert_eq!(Keep::UpTo(Credits::MAX).of(left), left);
        assert_eq!(Keep::Percent(0).of(left), Credits::ZERO);
        assert_eq!(Keep::Percent(50).of(left), credits(500_000));
        assert_eq!(Keep::Percent(100).of(Credits::MAX), Credits::MAX);
    }

    #[test]
    fn rules_are_valid_to_their_bounds() {
        let rule = |keep, cycles| Rollover { keep, cycles }.is_valid();
        assert!(rule(Keep::Percent(100), Some(1)) && rule(Keep::None, None));
        assert!(!rule(Keep::Percent(101), None) && !rule(Keep::All, Some(0)));
    }

    #[test]
    fn the_least_that_had_to_be_left() {
        let mut rules = vec![Keep::None, Keep::All, Keep::UpTo(credits(7)), Keep::UpTo(credits(0))];
        rules.extend([0, 1, 33, 50, 99, 100].map(Keep::Percent));
        for keep in rules {
            for micros in 0..=keep.of(credits(250)).micros() {
                let least = keep.least_left(credits(micros)).micros();
                assert!(keep.of(credits(least)).micros() >= micros, "{keep:?} keeps {micros} of {least}");
                let less = least.checked_sub(1).map(|less| keep.of(credits(less)).micros());
                assert!(
                    less.is_none_or(|kept| kept < micros),
                    "{keep:?} keeps {micros} of less than {least}"
                );
            }
        }
        assert_eq!(Keep::Percent(1).least_left(Credits::MAX), Credits::MAX);
    }

    #[test]
    fn in_whatever_parts_it_comes_back_the_same_is_kept() {
        for keep in [Keep::None, Keep::All, Keep::UpTo(credits(50)), Keep::Percent(33)] {
            let rule = Rollover { keep, cycles: Some(2) };
            let whole = Rolled::at_end_of(CycleNumber(3), rule, credits(101));
            assert_eq!((whole.last, whole.kept), (Some(CycleNumber(5)), keep.of(credits(101))));
            for parts in [[101, 0, 0], [1, 1, 99], [0, 50, 51], [33, 33, 35]] {
                let mut rolled = Rolled::at_end_of(CycleNumber(3), rule, Credits::ZERO);
                let mut kept = Credits::ZERO;
                for part in parts {
                    let (next, more) = rolled.with_more_left(keep, credits(part));
                    assert!(more <= credits(part), "{keep:?} keeps more than came back");
                    (rolled, kept) = (next, kept.saturating_add(more));
                }
                assert_eq!((rolled, kept), (whole, whole.kept), "{keep:?} of {parts:?}");
            }
        }
    }
}
