//! What was used of a line and for what: the numbers a report says. Not here: the watermark, and who spends what (`line`).

use crate::change::{MeterRef, UnitRef};
use crate::refused::Unsound;
use crate::words::BackingNumbers;
use types::{Backing, ByGrant, Credits, METERS_PER_LINE_MAX, Meter, Metered, RESERVED_UNITS, Unit};

/// Kinds of unit of one line, beside the reserved ones; what comes further is counted as `other`.
pub(crate) const UNITS_MAX: usize = 64;

pub(crate) const OTHER: &str = "other";

/// What a report says of a line. Shared between memory and the copy that is known to be on disk until one changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// The last charge's; zero before the first.
    pub sequence: u64,
    pub closed: bool,
    /// In the order in which they came; records name them by position.
    pub backings: Vec<BackingTally>,
    pub units: Vec<Unit>,
    pub meters: Vec<MeterTally>,
}

#[derive(Clone, Debug)]
pub(crate) struct BackingTally {
    pub numbers: BackingNumbers,
    pub held: Credits,
    pub confirmed: Credits,
}

#[derive(Clone, Debug)]
pub(crate) struct MeterTally {
    pub meter: Meter,
    pub credits: Credits,
    pub calls: u64,
    /// By the position of the unit.
    pub units: Vec<(u8, u64)>,
    pub by_grant: ByGrant,
}

impl MeterTally {
    fn new(meter: Meter) -> Self {
        Self { meter, credits: Credits::ZERO, calls: 0, units: Vec::new(), by_grant: ByGrant::default() }
    }
}

pub(crate) fn add(a: Credits, b: Credits) -> Result<Credits, Unsound> {
    a.checked_add(b).ok_or_else(|| Unsound(format!("{a} + {b} is out of range")))
}

pub(crate) fn less(a: Credits, b: Credits) -> Result<Credits, Unsound> {
    if b > a { Err(Unsound(format!("{a} - {b} is below zero"))) } else { Ok(a.saturating_sub(b)) }
}

pub(crate) fn total(amounts: impl IntoIterator<Item = Credits>) -> Result<Credits, Unsound> {
    amounts.into_iter().try_fold(Credits::ZERO, add)
}

impl BackingTally {
    pub fn committed(&self) -> Result<Credits, Unsound> {
        let BackingNumbers { used, returned, unattributed, .. } = self.numbers;
        total([used, returned, unattributed, self.held])
    }

    pub fn left(&self) -> Credits {
        self.committed().map_or(Credits::ZERO, |committed| self.numbers.drawn.saturating_sub(committed))
    }
}

impl BackingTally {
    pub fn new(backing: Backing, drawn: Credits) -> Self {
        let numbers = BackingNumbers {
            backing,
            drawn,
            used: Credits::ZERO,
            returned: Credits::ZERO,
            unattributed: Credits::ZERO,
        };
        Self { numbers, held: Credits::ZERO, confirmed: Credits::ZERO }
    }
}

impl Tally {
    pub fn backing(&mut self, at: u8) -> Result<&mut BackingTally, Unsound> {
        self.backings.get_mut(usize::from(at)).ok_or_else(|| Unsound(format!("there is no backing {at}")))
    }

    pub fn meter(&mut self, meter: &MeterRef) -> Result<usize, Unsound> {
        match meter {
            MeterRef::Known(at) if usize::from(*at) < self.meters.len() => Ok(usize::from(*at)),
            MeterRef::New(meter) if self.meters.len() < METERS_PER_LINE_MAX => {
                self.meters.push(MeterTally::new(meter.clone()));
                Ok(self.meters.len() - 1)
            }
            MeterRef::Known(_) | MeterRef::New(_) => {
                Err(Unsound("a charge names a meter that cannot be".into()))
            }
        }
    }

    pub fn unit(&mut self, unit: &UnitRef) -> Result<u8, Unsound> {
        let wrong = || Unsound("a charge names a unit that cannot be".into());
        match unit {
            UnitRef::Known(at) if usize::from(*at) < self.units.len() => Ok(*at),
            UnitRef::New(unit) if self.units.len() <= UNITS_MAX + RESERVED_UNITS => {
                self.units.push(unit.clone());
                u8::try_from(self.units.len() - 1).map_err(|_| wrong())
            }
            UnitRef::Known(_) | UnitRef::New(_) => Err(wrong()),
        }
    }

    pub fn metered(&self, meter: &MeterTally) -> Metered {
        let named = |(at, count): &(u8, u64)| Some((self.units.get(usize::from(*at))?.clone(), *count));
        let mut units: Vec<_> = meter.units.iter().filter_map(named).collect();
        units.sort();
        Metered { credits: meter.credits, calls: meter.calls, units, by_grant: meter.by_grant.clone() }
    }
}
