//! What usage is counted by, and its counts. Not here: lines, on which it is counted (`line`).

use crate::{Credits, Day, Feature, GrantNo, Model, Unit};

/// What usage is counted by: feature × model × UTC day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Meter {
    pub feature: Feature,
    pub model: Option<Model>,
    pub day: Day,
}

/// Usage counted by one meter: credits, calls, and units by kind. Cumulative wherever it travels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metered {
    pub credits: Credits,
    pub calls: u64,
    /// Sorted by unit, no unit twice.
    pub units: Vec<(Unit, u64)>,
    /// What of the credits each grant paid: all of them, but for usage that was told of later and that nothing covered.
    pub by_grant: ByGrant,
}

impl Metered {
    /// Adds another count to this one.
    pub fn add(&mut self, other: &Self) {
        self.credits.grow(other.credits);
        self.calls = self.calls.saturating_add(other.calls);
        for (unit, count) in &other.units {
            let sum = self.unit_mut(unit);
            *sum = sum.saturating_add(*count);
        }
        for (grant, part) in other.by_grant.iter() {
            self.by_grant.add(grant, part);
        }
    }

    /// Merges a later or earlier reading of the same growing count.
    pub fn max(&mut self, other: &Self) {
        self.credits = self.credits.max(other.credits);
        self.calls = self.calls.max(other.calls);
        for (unit, count) in &other.units {
            let known = self.unit_mut(unit);
            *known = (*known).max(*count);
        }
        for (grant, part) in other.by_grant.iter() {
            self.by_grant.raise(grant, part);
        }
    }

    fn unit_mut(&mut self, unit: &Unit) -> &mut u64 {
        let i = match self.units.binary_search_by(|(known, _)| known.cmp(unit)) {
            Ok(i) => i,
            Err(i) => {
                self.units.insert(i, (unit.clone(), 0));
                i
            }
        };
        &mut self.units[i].1
    }
}

/// What grants paid of a sum, by grant; nothing of what paid nothing. Mostly there is one, and no place on the heap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByGrant(Parts);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::box_collection,
    reason = "with a vector in it each meter would be larger, and hardly any has several"
)]
enum Parts {
    #[default]
    None,
    One(GrantNo, Credits),
    /// Two or more, in the order of their numbers.
    Several(Box<Vec<(GrantNo, Credits)>>),
}

impl ByGrant {
    /// `None` where the grants are out of order, come twice or paid nothing.
    pub fn from_sorted(parts: Vec<(GrantNo, Credits)>) -> Option<Self> {
        let is_sound = parts.windows(2).all(|pair| pair[0].0 < pair[1].0)
            && parts.iter().all(|(_, part)| !part.is_zero());
        is_sound.then_some(Self(match parts[..] {
            [] => Parts::None,
            [(grant, part)] => Parts::One(grant, part),
            [_, _, ..] => Parts::Several(Box::new(parts)),
        }))
    }

    /// In the order of the grants' numbers.
    pub fn iter(&self) -> impl Iterator<Item = (GrantNo, Credits)> + '_ {
        let (one, several) = match &self.0 {
            Parts::None => (None, &[][..]),
            Parts::One(grant, part) => (Some((*grant, *part)), &[][..]),
            Parts::Several(all) => (None, &all[..]),
        };
        one.into_iter().chain(several.iter().copied())
    }

    pub fn is_empty(&self) -> bool {
        self.0 == Parts::None
    }

    /// `None` where it is more than there can be.
    pub fn sum(&self) -> Option<Credits> {
        Credits::checked_sum(self.iter().map(|(_, part)| part))
    }

    pub fn of(&self, grant: GrantNo) -> Credits {
        self.iter().find(|(known, _)| *known == grant).map_or(Credits::ZERO, |(_, part)| part)
    }

    /// It paid so much more.
    pub fn add(&mut self, grant: GrantNo, amount: Credits) {
        self.change(grant, |paid| paid.saturating_add(amount));
    }

    /// It paid so much, or more as it is known already.
    pub fn raise(&mut self, grant: GrantNo, to: Credits) {
        self.change(grant, |paid| paid.max(to));
    }

    fn change(&mut self, grant: GrantNo, change: impl FnOnce(Credits) -> Credits) {
        match &mut self.0 {
            Parts::One(known, part) if *known == grant => *part = change(*part),
            Parts::Several(all) => match all.binary_search_by_key(&grant, |(known, _)| *known) {
                Ok(i) => all[i].1 = change(all[i].1),
                Err(i) => {
                    let part = change(Credits::ZERO);
                    if !part.is_zero() {
                        all.insert(i, (grant, part));
                    }
                }
            },
            Parts::None | Parts::One(..) => {
                let part = change(Credits::ZERO);
                if !part.is_zero() {
                    self.0 = match self.0 {
                        Parts::One(other, paid) if other < grant => {
                            Parts::Several(Box::new(vec![(other, paid), (grant, part)]))
                        }
                        Parts::One(other, paid) => {
                            Parts::Several(Box::new(vec![(grant, part), (other, paid)]))
                        }
                        Parts::None | Parts::Several(_) => Parts::One(grant, part),
                    };
                }
            }
        }
    }
}

impl FromIterator<(GrantNo, Credits)> for ByGrant {
    fn from_iter<I: IntoIterator<Item = (GrantNo, Credits)>>(parts: I) -> Self {
        let mut all = Self::default();
        parts.into_iter().for_each(|(grant, part)| all.add(grant, part));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credits(whole: u64) -> Credits {
        Credits::whole(whole).expect("an amount")
    }

    fn parts(all: &[(u32, u64)]) -> ByGrant {
        all.iter().map(|(grant, part)| (GrantNo(*grant), credits(*part))).collect()
    }

    #[test]
    fn parts_are_one_sum_each_whatever_order_they_come_in() {
        assert_eq!(parts(&[(2, 1), (1, 5), (2, 3), (7, 0)]), parts(&[(1, 5), (2, 4)]));
        assert_eq!(parts(&[(3, 0)]), ByGrant::default());
        let several = parts(&[(9, 1), (4, 2), (6, 3)]);
        let all: Vec<_> = several.iter().collect();
        assert_eq!(all, [(GrantNo(4), credits(2)), (GrantNo(6), credits(3)), (GrantNo(9), credits(1))]);
        assert_eq!(
            (several.sum(), several.of(GrantNo(6)), several.of(GrantNo(5))),
            (Some(credits(6)), credits(3), Credits::ZERO)
        );
        assert!(!several.is_empty() && ByGrant::default().is_empty());
    }

    #[test]
    fn a_later_and_an_earlier_reading_are_the_later_one() {
        let mut read = parts(&[(1, 5)]);
        for (grant, part) in parts(&[(1, 4), (2, 2)]).iter() {
            read.raise(grant, part);
        }
        assert_eq!(read, parts(&[(1, 5), (2, 2)]));
    }

    #[test]
    fn what_is_out_of_order_is_nothing() {
        let sorted = |all: &[(u32, u64)]| {
            ByGrant::from_sorted(all.iter().map(|(grant, part)| (GrantNo(*grant), credits(*part))).collect())
        };
        for sound in [&[][..], &[(1, 5)], &[(1, 5), (2, 1), (3, 1)]] {
            assert_eq!(sorted(sound), Some(parts(sound)));
        }
        for unsound in [&[(1, 0)][..], &[(2, 1), (1, 1)], &[(1, 1), (1, 1)]] {
            assert_eq!(sorted(unsound), None);
        }
    }

    #[test]
    fn it_takes_little_room() {
        assert_eq!(size_of::<ByGrant>(), 16);
    }
}
