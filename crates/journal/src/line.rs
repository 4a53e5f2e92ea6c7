//! One line in the book: what is drawn, used, returned and unattributed by backing, and what was used for what.
//! Not here: which record is written when.
//!
//! With D, U, R, Z and H (held) by backing, and one watermark W for the whole line, always:
//!
//! - by backing: U + Z + R + H ≤ D
//! - ΣU + ΣZ + ΣH ≤ W: the watermark counts all that may have been spent, also what lost its detail
//! - W + ΣR ≤ ΣD: what is returned was never below the watermark
//!
//! So what is left by backing always covers what may still be spent (W − ΣU − ΣZ) and what may still be returned.
//! Charges eat backings in spending order (by source, then by arrival), returns from the other end.

use crate::change::{MeterRef, OpenedLine, Part, UnitRef};
use crate::holds::change::Use;
use crate::refused::Unsound;
use crate::tally::{BackingTally, OTHER, Tally, UNITS_MAX, add, less, total};
use crate::words::{BackingNumbers, HandleNo, LineKey, LineNumbers, LineView};
use std::sync::Arc;
use types::planted::{Mistake, is_planted};
use types::{
    Backing, ByGrant, Credits, Feature, METERS_PER_LINE_MAX, Meter, NAMED_METERS_PER_LINE_MAX, Shadowed,
    Source, UNITS_PER_METER_MAX, Unit,
};

#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub opened: OpenedLine,
    pub watermark: Credits,
    pub tally: Arc<Tally>,
    /// As it stands on disk; what reports may say.
    pub synced: Arc<Tally>,
    /// Positions of the backings in spending order.
    order: Vec<u8>,
    /// The record that changed it last.
    pub changed_at: u64,
    /// Total that must have arrived before it closes. In memory only.
    pub closing: Option<Credits>,
    /// Nothing is spent on it any more; it closes with its last hold.
    pub is_ending: bool,
    /// Open holds on it, also those of nothing.
    pub holds: usize,
    /// Spent on the word and then refused. In memory only; comes back when the line closes.
    pub abandoned: Credits,
    /// Spent on the word for holds, and free again: above the watermark since. In memory only.
    pub freed: Credits,
    /// Handles and epochs whose charges come here. In memory only.
    pub attached: Vec<(HandleNo, u16)>,
}

impl Line {
    pub fn new(opened: OpenedLine) -> Self {
        Self::restored(opened, Credits::ZERO, Tally::default())
    }

    /// A line as a snapshot has it; check it.
    pub fn restored(opened: OpenedLine, watermark: Credits, tally: Tally) -> Self {
        let tally = Arc::new(tally);
        let mut line = Self {
            opened,
            watermark,
            synced: tally.clone(),
            tally,
            order: Vec::new(),
            changed_at: 0,
            closing: None,
            is_ending: false,
            holds: 0,
            abandoned: Credits::ZERO,
            freed: Credits::ZERO,
            attached: Vec::new(),
        };
        line.sort();
        line
    }

    fn sort(&mut self) {
        let backings = &self.tally.backings;
        self.order = (0..=u8::MAX).take(backings.len()).collect();
        self.order.sort_by_key(|at| (backings[usize::from(*at)].numbers.backing.source, *at));
    }

    fn sum(&self, number: impl Fn(&BackingNumbers) -> Credits) -> Credits {
        Credits::checked_sum(self.tally.backings.iter().map(|backing| number(&backing.numbers)))
            .expect("each is at most drawn, whose sum is checked")
    }

    pub fn drawn(&self) -> Credits {
        self.sum(|numbers| numbers.drawn)
    }

    pub fn used(&self) -> Credits {
        self.sum(|numbers| numbers.used)
    }

    pub fn unattributed(&self) -> Credits {
        self.sum(|numbers| numbers.unattributed)
    }

    pub fn returned(&self) -> Credits {
        self.sum(|numbers| numbers.returned)
    }

    /// How far the watermark may rise.
    pub fn watermark_max(&self) -> Credits {
        self.drawn().saturating_sub(self.returned())
    }

    /// Below the watermark and not yet charged.
    pub fn unspent(&self) -> Credits {
        let spoken_for = [self.used(), self.unattributed(), self.held()];
        spoken_for.into_iter().fold(self.watermark, Credits::saturating_sub)
    }

    pub fn is_held(&self) -> bool {
        self.holds > 0
    }

    pub fn held(&self) -> Credits {
        total(self.tally.backings.iter().map(|backing| backing.held)).unwrap_or(Credits::MAX)
    }

    /// All that was spent on the word and has arrived here, whatever became of it.
    pub fn arrived(&self) -> Credits {
        let parts = [self.held(), self.abandoned, self.freed];
        parts.into_iter().fold(self.used(), Credits::saturating_add)
    }

    /// Whether a close that waits may go on.
    pub fn all_arrived(&self) -> bool {
        self.is_ending || self.closing.is_some_and(|total| self.arrived() >= total)
    }

    /// Which backings pay `amount`, in spending order; `None` where they have not so much left.
    pub fn spend(&self, amount: Credits) -> Option<Vec<Part>> {
        self.take(amount, self.order.iter())
    }

    /// Which backings give `amount` back: the last in spending order first.
    pub fn unspend(&self, amount: Credits) -> Option<Vec<Part>> {
        self.take(amount, self.order.iter().rev())
    }

    /// All that is left.
    pub fn rest(&self) -> Vec<Part> {
        let backings = (0..=u8::MAX).zip(&self.tally.backings);
        backings.map(|(at, backing)| (at, backing.left())).filter(|(_, left)| !left.is_zero()).collect()
    }

    fn take<'a>(&self, amount: Credits, order: impl Iterator<Item = &'a u8>) -> Option<Vec<Part>> {
        let (mut open, mut parts) = (amount, Vec::new());
        for at in order {
            if open.is_zero() {
                break;
            }
            let part = open.min(self.tally.backings[usize::from(*at)].left());
            if !part.is_zero() {
                parts.push((*at, part));
                open = open.saturating_sub(part);
            }
        }
        open.is_zero().then_some(parts)
    }

    /// By which meter usage is counted: the one asked for, or `other` where there are too many.
    pub fn meter_ref(&self, meter: &Meter) -> MeterRef {
        let meters = &self.tally.meters;
        let known =
            |meter: &Meter| (0..=u8::MAX).zip(meters).find(|(_, m)| m.meter == *meter).map(|(at, _)| at);
        if let Some(at) = known(meter) {
            return MeterRef::Known(at);
        }
        if meters.len() < NAMED_METERS_PER_LINE_MAX {
            return MeterRef::New(meter.clone());
        }
        let other =
            Meter { feature: Feature::parse(OTHER).expect("a valid name"), model: None, day: meter.day };
        match known(&other) {
            Some(at) => MeterRef::Known(at),
            None if meters.len() < METERS_PER_LINE_MAX => MeterRef::New(other),
            None => MeterRef::Known((METERS_PER_LINE_MAX - 1) as u8),
        }
    }

    /// How units of that meter are named in a record, each kind once; the kinds beyond the last that fit on the meter
    /// or on the line are `other`, for which a place is kept on both.
    pub fn unit_refs(&self, meter: &MeterRef, units: &[(Unit, u64)]) -> Vec<(UnitRef, u64)> {
        let known = &self.tally.units;
        let find = |unit: &Unit| (0..=u8::MAX).zip(known).find(|(_, u)| *u == unit).map(|(at, _)| at);
        let counted = match meter {
            MeterRef::Known(at) => self.tally.meters.get(usize::from(*at)).map_or(&[][..], |m| &m.units),
            MeterRef::New(_) => &[],
        };
        // Reserved ones have places of their own.
        let own_on_line = known.iter().filter(|unit| !unit.is_reserved()).count();
        let is_own = |at: &u8| known.get(usize::from(*at)).is_some_and(|unit| !unit.is_reserved());
        let own_on_meter = counted.iter().filter(|(at, _)| is_own(at)).count();
        let mut free_on_line = UNITS_MAX.saturating_sub(own_on_line);
        let mut free_on_meter = (UNITS_PER_METER_MAX - 1).saturating_sub(own_on_meter);
        let mut refs: Vec<(UnitRef, u64)> = Vec::with_capacity(units.len());
        for (unit, count) in units {
            let at = find(unit);
            let is_counted = at.is_some_and(|at| counted.iter().any(|(there, _)| *there == at));
            let mut name = at.map_or_else(|| UnitRef::New(unit.clone()), UnitRef::Known);
            if !is_counted && !unit.is_reserved() && !refs.iter().any(|(there, _)| *there == name) {
                let is_new = at.is_none();
                if free_on_meter > 0 && (free_on_line > 0 || !is_new) {
                    free_on_meter -= 1;
                    free_on_line -= usize::from(is_new);
                } else {
                    let other = Unit::parse(OTHER).expect("a valid name");
                    name = find(&other).map_or(UnitRef::New(other), UnitRef::Known);
                }
            }
            match refs.iter_mut().find(|(there, _)| *there == name) {
                Some((_, sum)) => *sum = sum.saturating_add(*count),
                None => refs.push((name, *count)),
            }
        }
        refs
    }

    /// Whether a charge with these units would have been refused.
    pub fn shadowed(&self, units: &[(UnitRef, u64)]) -> Option<Shadowed> {
        let named = units.iter().filter_map(|(unit, count)| match unit {
            UnitRef::Known(at) => Some((self.tally.units.get(usize::from(*at))?, *count)),
            UnitRef::New(unit) => Some((unit, *count)),
        });
        Shadowed::of(named)
    }

    /// What each source pays of a charge, in spending order.
    pub fn sources(&self, parts: &[Part]) -> Vec<(Source, Credits)> {
        let mut sources: Vec<(Source, Credits)> = Vec::with_capacity(1);
        for (at, part) in parts {
            let source = self.tally.backings[usize::from(*at)].numbers.backing.source;
            // An extension may have added to one that paid before.
            match sources.iter_mut().find(|(there, _)| *there == source) {
                Some((_, sum)) => sum.grow(*part),
                None => sources.push((source, *part)),
            }
        }
        sources
    }

    pub fn install(&mut self, drawn: &[(Backing, Credits)]) {
        let tally = Arc::make_mut(&mut self.tally);
        for (backing, drawn) in drawn {
            match tally.backings.iter_mut().find(|there| there.numbers.backing == *backing) {
                Some(there) if is_planted(Mistake::InstallAdds) => {
                    there.numbers.drawn = there.numbers.drawn.saturating_add(*drawn);
                }
                Some(there) => there.numbers.drawn = there.numbers.drawn.max(*drawn),
                None => tally.backings.push(BackingTally::new(*backing, *drawn)),
            }
        }
        self.sort();
    }

    pub fn charge(
        &mut self,
        parts: &[Part],
        meter: &MeterRef,
        units: &[(UnitRef, u64)],
    ) -> Result<(), Unsound> {
        Arc::make_mut(&mut self.tally).sequence += 1;
        self.book_use(parts, meter, units)
    }

    /// What was used, and for what; without a number of its own.
    fn book_use(
        &mut self,
        parts: &[Part],
        meter: &MeterRef,
        units: &[(UnitRef, u64)],
    ) -> Result<(), Unsound> {
        let amount = total(parts.iter().map(|(_, part)| *part))?;
        let tally = Arc::make_mut(&mut self.tally);
        for (at, part) in parts {
            let used = &mut tally.backing(*at)?.numbers.used;
            *used = add(*used, *part)?;
        }
        let at = tally.meter(meter)?;
        tally.meters[at].credits = add(tally.meters[at].credits, amount)?;
        tally.meters[at].calls += 1;
        for (backing, part) in parts {
            let grant = tally.backing(*backing)?.numbers.backing.grant;
            tally.meters[at].by_grant.add(grant, *part);
        }
        for (unit, count) in units {
            let unit = tally.unit(unit)?;
            let counted = &mut tally.meters[at].units;
            match counted.iter_mut().find(|(there, _)| *there == unit) {
                Some((_, sum)) => *sum = sum.saturating_add(*count),
                None => counted.push((unit, *count)),
            }
        }
        Ok(())
    }

    pub fn give_back(&mut self, watermark: Credits, parts: &[Part]) -> Result<(), Unsound> {
        self.watermark = watermark;
        let tally = Arc::make_mut(&mut self.tally);
        for (at, part) in parts {
            let returned = &mut tally.backing(*at)?.numbers.returned;
            *returned = add(*returned, *part)?;
        }
        Ok(())
    }

    pub fn close(&mut self, parts: &[Part]) -> Result<(), Unsound> {
        let watermark = add(self.used(), self.unattributed())?;
        self.give_back(watermark, parts)?;
        Arc::make_mut(&mut self.tally).closed = true;
        (self.closing, self.abandoned, self.freed) = (None, Credits::ZERO, Credits::ZERO);
        Ok(())
    }

    // Holds.

    pub fn hold(&mut self, parts: &[Part]) -> Result<(), Unsound> {
        let tally = Arc::make_mut(&mut self.tally);
        for (at, part) in parts {
            let held = &mut tally.backing(*at)?.held;
            *held = add(*held, *part)?;
        }
        Ok(())
    }

    /// Of what is held `after` is confirmed where `before` was.
    pub fn confirm(&mut self, before: &[Part], after: &[Part]) -> Result<(), Unsound> {
        let tally = Arc::make_mut(&mut self.tally);
        for (at, part) in before {
            let confirmed = &mut tally.backing(*at)?.confirmed;
            *confirmed = less(*confirmed, *part)?;
        }
        for (at, part) in after {
            let confirmed = &mut tally.backing(*at)?.confirmed;
            *confirmed = add(*confirmed, *part)?;
        }
        Ok(())
    }

    /// Not held any more.
    pub fn free(&mut self, parts: &[Part]) -> Result<(), Unsound> {
        let tally = Arc::make_mut(&mut self.tally);
        for (at, part) in parts {
            let held = &mut tally.backing(*at)?.held;
            *held = less(*held, *part)?;
        }
        Ok(())
    }

    /// What a hold is charged.
    pub fn use_held(&mut self, used: &Use) -> Result<(), Unsound> {
        match &used.meter {
            Some(meter) => self.book_use(&used.parts, meter, &used.units),
            None if used.parts.is_empty() => Ok(()),
            None => Err(Unsound("a hold is charged for nothing".into())),
        }
    }

    /// From now on it waits for its holds alone.
    pub fn end(&mut self, watermark: Credits, parts: &[Part]) -> Result<(), Unsound> {
        self.give_back(watermark, parts)?;
        self.is_ending = true;
        (self.closing, self.abandoned, self.freed) = (None, Credits::ZERO, Credits::ZERO);
        Ok(())
    }

    pub fn round_up(&mut self, parts: &[Part]) -> Result<(), Unsound> {
        let tally = Arc::make_mut(&mut self.tally);
        for (at, part) in parts {
            let unattributed = &mut tally.backing(*at)?.numbers.unattributed;
            *unattributed = add(*unattributed, *part)?;
        }
        Ok(())
    }

    /// The sentences at the head of this file. Runs after every change, in production too.
    pub fn check(&self) -> Result<(), Unsound> {
        let (mut spoken_for, mut returned, mut drawn) = (Credits::ZERO, Credits::ZERO, Credits::ZERO);
        for backing in &self.tally.backings {
            let (numbers, committed) = (&backing.numbers, backing.committed()?);
            if committed > numbers.drawn {
                return Err(
                    self.unsound(&format!("{committed} of {} drawn are gone: {numbers:?}", numbers.drawn))
                );
            }
            spoken_for = add(spoken_for, committed.saturating_sub(numbers.returned))?;
            returned = add(returned, numbers.returned)?;
            drawn = add(drawn, numbers.drawn)?;
        }
        if spoken_for > self.watermark {
            return Err(self.unsound(&format!("{spoken_for} used is above the watermark {}", self.watermark)));
        }
        if add(self.watermark, returned)? > drawn {
            return Err(
                self.unsound(&format!("watermark {} + returned {returned} > drawn {drawn}", self.watermark))
            );
        }
        Ok(())
    }

    /// That usage by meter sums to used, of each grant; too slow for every charge.
    pub fn check_meters(&self) -> Result<(), Unsound> {
        let metered = total(self.tally.meters.iter().map(|meter| meter.credits))?;
        let by_meter: ByGrant = self.tally.meters.iter().flat_map(|meter| meter.by_grant.iter()).collect();
        let numbers = self.tally.backings.iter().map(|backing| &backing.numbers);
        let by_backing: ByGrant = numbers.map(|numbers| (numbers.backing.grant, numbers.used)).collect();
        if metered == self.used() && by_meter == by_backing {
            return Ok(());
        }
        let used = self.used();
        Err(self.unsound(&format!("meters sum to {metered}, {by_meter:?}; used is {used}, {by_backing:?}")))
    }

    fn unsound(&self, why: &str) -> Unsound {
        Unsound(format!("line {} of {}: {why}", self.opened.number.0, self.opened.workspace))
    }

    pub fn key(&self) -> LineKey {
        LineKey { workspace: self.opened.workspace.clone(), number: self.opened.number }
    }

    pub fn view(&self) -> LineView {
        LineView {
            line: self.key(),
            user: self.opened.user.clone(),
            cycle: self.opened.cycle,
            scope: self.opened.scope.clone(),
            drawn: self.drawn(),
            used: self.used(),
            unattributed: self.unattributed(),
            returned: self.returned(),
            held: self.held(),
            holds: self.holds,
            arrived: self.arrived(),
            freed: self.freed,
            watermark: self.watermark,
            closed: self.tally.closed,
            is_ending: self.is_ending,
            attached: self.attached.clone(),
        }
    }

    /// What is on the disk, not what is in memory.
    pub fn numbers(&self) -> LineNumbers {
        let tally = if is_planted(Mistake::ReportAheadOfDisk) { &self.tally } else { &self.synced };
        LineNumbers {
            line: self.key(),
            user: self.opened.user.clone(),
            cycle: self.opened.cycle,
            scope: self.opened.scope.clone(),
            backings: tally.backings.iter().map(|backing| backing.numbers).collect(),
            meters: tally.meters.iter().map(|meter| (meter.meter.clone(), tally.metered(meter))).collect(),
            held: total(tally.backings.iter().map(|backing| backing.held)).unwrap_or(Credits::MAX),
            confirmed: total(tally.backings.iter().map(|b| b.confirmed)).unwrap_or(Credits::MAX),
            closed: tally.closed,
        }
    }
}
