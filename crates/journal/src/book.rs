//! The book: every line of this holder, as its records fold to it. The same fold runs live and at replay. No I/O.
//!
//! Decide, apply: `decide_*` looks and writes nothing, its answer is a change or a refusal; [`Book::apply`] is the only
//! way anything changes, and it checks the changed line before it returns. Not here: files, keys, waiting.

use crate::change::{Change, ChargeChange, KeyedChange, OpenedLine, Slot};
use crate::holds::{HoldChange, Holds};
use crate::line::Line;
use crate::refused::{Refused, Unsound};
use crate::tally::{Tally, add};
use crate::words::{Charge, Charged, HandleNo, LineKey, OpenLine};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use types::planted::{Mistake, is_planted};
use types::{BACKINGS_PER_LINE_MAX, Backing, Credits, LineNumber, WorkspaceId};

#[derive(Debug, Default)]
pub(crate) struct Book {
    lines: BTreeMap<Slot, Line>,
    by_key: BTreeMap<LineKey, Slot>,
    /// The highest line number ever used, by workspace.
    counters: BTreeMap<WorkspaceId, u64>,
    next_slot: u32,
    /// Which line takes the charges of a handle's epoch. In memory only, never walked through.
    attached: HashMap<(HandleNo, u16), Slot>,
    /// Lines whose tally changed since the last [`Book::capture`].
    unsynced: BTreeSet<Slot>,
    pub holds: Holds,
}

/// Tallies as they were when a sync began; they become what reports may say when it has ended.
pub(crate) type Capture = Vec<(Slot, Arc<Tally>)>;

impl Book {
    /// An empty book whose next line gets this number.
    pub fn starting_at(next_slot: u32) -> Self {
        Self { next_slot, ..Self::default() }
    }

    pub fn next_slot(&self) -> u32 {
        self.next_slot
    }

    pub fn lines(&self) -> impl Iterator<Item = (Slot, &Line)> {
        self.lines.iter().map(|(slot, line)| (*slot, line))
    }

    pub fn counters(&self) -> impl Iterator<Item = (&WorkspaceId, u64)> {
        self.counters.iter().map(|(workspace, highest)| (workspace, *highest))
    }

    pub fn line(&self, slot: Slot) -> Option<&Line> {
        self.lines.get(&slot)
    }

    /// Takes a counter out of a snapshot.
    pub fn restore_counter(&mut self, workspace: WorkspaceId, highest: u64) {
        let highest =
            if is_planted(Mistake::LineNumbersStartAnew) && !self.knows(&workspace) { 0 } else { highest };
        let counter = self.counters.entry(workspace).or_default();
        *counter = highest.max(*counter);
    }

    /// Whether it has lines of it. For a planted mistake.
    fn knows(&self, workspace: &WorkspaceId) -> bool {
        self.lines.values().any(|line| line.opened.workspace == *workspace)
    }

    /// Takes a line out of a snapshot.
    pub fn restore_line(&mut self, slot: Slot, line: Line) -> Result<(), Unsound> {
        line.check()?;
        line.check_meters()?;
        self.restore_counter(line.opened.workspace.clone(), line.opened.number.0);
        self.insert(slot, line)
    }

    fn insert(&mut self, slot: Slot, line: Line) -> Result<(), Unsound> {
        let key = line.key();
        if self.by_key.insert(key, slot).is_some() || self.lines.insert(slot, line).is_some() {
            return Err(Unsound(format!("line {slot:?} is there twice")));
        }
        self.next_slot = self.next_slot.max(slot.0 + 1);
        Ok(())
    }

    // Who is meant.

    pub fn find(&self, key: &LineKey) -> Result<Slot, Refused> {
        self.by_key.get(key).copied().ok_or(Refused::NoLine)
    }

    fn open_line(&self, key: &LineKey) -> Result<(Slot, &Line), Refused> {
        let slot = self.find(key)?;
        let line = &self.lines[&slot];
        // One that waits for its holds closes with the last of them; where that close was not written, now.
        if line.tally.closed || line.is_ending && line.is_held() {
            Err(Refused::LineClosed(key.clone()))
        } else {
            Ok((slot, line))
        }
    }

    /// Also one that waits for its holds: what it draws no more it may have drawn before, and gives back at once.
    fn line_to_install(&self, key: &LineKey) -> Result<(Slot, &Line), Refused> {
        let slot = self.find(key)?;
        let line = &self.lines[&slot];
        if line.tally.closed { Err(Refused::LineClosed(key.clone())) } else { Ok((slot, line)) }
    }

    pub fn attached(&self, handle: HandleNo, epoch: u16) -> Option<Slot> {
        self.attached.get(&(handle, epoch)).copied()
    }

    /// From now on charges of this handle and epoch go to the line.
    pub fn attach(&mut self, key: &LineKey, handle: HandleNo, epoch: u16) -> Result<Slot, Refused> {
        let (slot, _) = self.open_line(key)?;
        self.free(handle, epoch, slot)?;
        let is_first = self.attached.insert((handle, epoch), slot).is_none();
        if let Some(line) = self.lines.get_mut(&slot) {
            line.attached.extend(is_first.then_some((handle, epoch)));
            line.closing = None;
        }
        Ok(slot)
    }

    fn free(&self, handle: HandleNo, epoch: u16, for_slot: Slot) -> Result<(), Refused> {
        match self.attached(handle, epoch) {
            Some(there) if there != for_slot => Err(Refused::Occupied),
            _ => Ok(()),
        }
    }

    // Decisions.

    pub fn decide_open(&self, wish: &OpenLine, lines_max: usize) -> Result<Change, Refused> {
        let slot = Slot(self.next_slot);
        self.free(wish.handle, wish.epoch, slot)?;
        if self.lines.len() >= lines_max || slot.0 == u32::MAX {
            return Err(Refused::TooManyLines);
        }
        let highest = self.counters.get(&wish.workspace).copied().unwrap_or(0);
        let line = OpenedLine {
            workspace: wish.workspace.clone(),
            number: LineNumber(highest + 1),
            user: wish.user.clone(),
            cycle: wish.cycle,
            scope: wish.scope.clone(),
        };
        Ok(Change::Opened { slot, line })
    }

    /// `None` where the line knows all of it already.
    pub fn decide_install(
        &self,
        key: &LineKey,
        drawn: &[(Backing, Credits)],
    ) -> Result<Option<Change>, Refused> {
        let (slot, line) = self.line_to_install(key)?;
        let known = |backing: &Backing| {
            let mut all = line.tally.backings.iter().map(|there| there.numbers);
            all.find(|numbers| numbers.backing == *backing).map(|numbers| numbers.drawn)
        };
        let more = drawn.iter().filter(|(backing, drawn)| known(backing).is_none_or(|there| there < *drawn));
        let mut newest: BTreeMap<Backing, Credits> = BTreeMap::new();
        let mut order = Vec::new();
        for (backing, drawn) in more {
            if !newest.contains_key(backing) {
                order.push(*backing);
            }
            let entry = newest.entry(*backing).or_default();
            *entry = (*entry).max(*drawn);
        }
        let fresh = order.iter().filter(|backing| known(backing).is_none()).count();
        if line.tally.backings.len() + fresh > BACKINGS_PER_LINE_MAX {
            return Err(Refused::TooManyBackings);
        }
        let drawn: Vec<_> = order.into_iter().map(|backing| (backing, newest[&backing])).collect();
        Ok((!drawn.is_empty()).then_some(Change::Installed { slot, drawn }))
    }

    /// `None` where the watermark is as high already.
    pub fn decide_raise(&self, key: &LineKey, to: Credits) -> Result<Option<Change>, Refused> {
        let (slot, line) = self.open_line(key)?;
        let possible = line.watermark_max();
        if to > possible {
            return Err(Refused::BeyondDrawn { wanted: to, possible });
        }
        Ok((to > line.watermark).then_some(Change::Raised { slot, watermark: to }))
    }

    pub fn decide_charge(
        &self,
        slot: Slot,
        charge: &Charge,
    ) -> Result<Result<ChargeChange, Refused>, Unsound> {
        let Some(line) = self.lines.get(&slot) else { return Ok(Err(Refused::NoLine)) };
        if let Some(key) = &charge.key
            && (key.workspace() != &line.opened.workspace || key.user() != &line.opened.user)
        {
            return Ok(Err(Refused::OtherScope));
        }
        let parts =
            line.spend(charge.amount).filter(|_| charge.amount <= line.unspent()).ok_or_else(|| {
                let why =
                    format!("a charge of {} arrived where {} may be spent", charge.amount, line.unspent());
                Unsound(format!("line {} of {}: {why}", line.opened.number.0, line.opened.workspace))
            })?;
        let journalled = charge.key.as_ref().filter(|_| !is_planted(Mistake::KeyNotJournalled));
        let key = journalled.map(|key| KeyedChange {
            key: key.key().clone(),
            command_hash: key.command_hash(),
            at: charge.at,
            durability: charge.durability,
            remaining_at_least: charge.remaining_at_least,
            remaining_at_most: charge.remaining_at_most,
        });
        let meter = line.meter_ref(&charge.meter);
        let units = line.unit_refs(&meter, &charge.units);
        Ok(Ok(ChargeChange { slot, parts, meter, units, key }))
    }

    /// What a charge is answered, once it is applied as record `position`.
    pub fn charged(
        &self,
        change: &ChargeChange,
        about: &Answering,
        position: u64,
    ) -> Result<Charged, Unsound> {
        let line = self.lines.get(&change.slot).ok_or_else(|| Unsound("a charge without a line".into()))?;
        let amount = change.parts.iter().try_fold(Credits::ZERO, |sum, (_, part)| add(sum, *part))?;
        Ok(Charged {
            line: line.opened.number,
            sequence: line.tally.sequence,
            amount,
            sources: line.sources(&change.parts),
            remaining_at_least: about.remaining_at_least,
            remaining_at_most: about.remaining_at_most,
            durability: about.durability,
            cycle: line.opened.cycle,
            shadow: line.shadowed(&change.units),
            position,
        })
    }

    /// `from_balance` was taken off the escrow's word; `above_watermark` was never on it.
    pub fn decide_give_back(
        &self,
        key: &LineKey,
        from_balance: Credits,
        above_watermark: Credits,
    ) -> Result<Result<Change, Unsound>, Refused> {
        let (slot, line) = self.open_line(key)?;
        let unsound = || {
            let above = line.watermark_max().saturating_sub(line.watermark);
            let why = format!(
                "{from_balance} of {} unspent and {above_watermark} of {above} above the watermark cannot be returned",
                line.unspent()
            );
            Unsound(format!("line {} of {}: {why}", key.number.0, key.workspace))
        };
        let above = line.watermark_max().saturating_sub(line.watermark);
        if from_balance > line.unspent() || above_watermark > above {
            return Ok(Err(unsound()));
        }
        let lower = if is_planted(Mistake::ReturnKeepsWatermark) { Credits::ZERO } else { from_balance };
        let watermark = line.watermark.saturating_sub(lower);
        let parts = from_balance.checked_add(above_watermark).and_then(|amount| line.unspend(amount));
        Ok(parts.map(|parts| Change::GaveBack { slot, watermark, parts }).ok_or_else(unsound))
    }

    /// Remembers that the line closes as soon as charges of `spent_total` have arrived; `false` where it is closed.
    pub fn begin_close(&mut self, key: &LineKey, spent_total: Credits) -> Result<(Slot, bool), Refused> {
        let slot = self.find(key)?;
        let line = self.lines.get_mut(&slot).ok_or(Refused::NoLine)?;
        if line.tally.closed || line.is_ending {
            return Ok((slot, false));
        }
        line.closing = Some(line.closing.map_or(spent_total, |before| before.max(spent_total)));
        Ok((slot, true))
    }

    /// The close of a line that waits for nothing more, or for its holds alone.
    pub fn decide_close(&self, slot: Slot) -> Option<Change> {
        let line = self.lines.get(&slot).filter(|line| !line.tally.closed && line.all_arrived())?;
        if line.is_held() {
            return self.decide_line_ends(slot);
        }
        Some(Change::Closed { slot, parts: line.rest() })
    }

    pub fn decide_forget(&self, key: &LineKey) -> Result<Change, Refused> {
        let slot = self.find(key)?;
        if self.lines[&slot].tally.closed {
            Ok(Change::Forgotten { slot })
        } else {
            Err(Refused::LineOpen(key.clone()))
        }
    }

    /// After a power failure: all that may have been spent counts as spent (R4), and the lines are closed. Charges
    /// after the last sync are not in the journal, but clients were told their numbers: on the same line these would be
    /// given to other charges.
    pub fn decide_rounding(&self) -> Result<Vec<Change>, Unsound> {
        let mut changes = Vec::new();
        for (slot, line) in self.lines().filter(|(_, line)| !line.tally.closed) {
            let mut line = line.clone();
            if !line.unspent().is_zero() {
                let parts = line.spend(line.unspent());
                let parts =
                    parts.ok_or_else(|| Unsound(format!("line {slot:?} has less left than unspent")))?;
                line.round_up(&parts)?;
                if !is_planted(Mistake::NothingRounded) {
                    changes.push(Change::Rounded { slot, parts });
                }
            }
            if is_planted(Mistake::NothingRounded) {
                line = self.lines[&slot].clone();
            }
            if line.is_held() {
                // What is held was synced with its hold, and is not rounded up.
                let watermark = line.watermark.saturating_sub(line.unspent());
                let ends = HoldChange::LineEnds { slot, watermark, parts: line.rest() };
                changes.extend((!line.is_ending).then_some(Change::Hold(ends)));
            } else if !is_planted(Mistake::RoundedLineGoesOn) {
                changes.push(Change::Closed { slot, parts: line.rest() });
            }
        }
        Ok(changes)
    }

    // The one way anything changes.

    /// Applies a change that is record number `position`, and checks the line it changed.
    pub fn apply(&mut self, change: &Change, position: u64) -> Result<(), Unsound> {
        let slot = change.slot();
        match change {
            Change::Opened { line, .. } => {
                self.restore_counter(line.workspace.clone(), line.number.0);
                self.insert(slot, Line::new(line.clone()))?;
            }
            Change::Installed { drawn, .. } => self.open_for(slot)?.install(drawn),
            Change::Raised { watermark, .. } => self.open_for(slot)?.watermark = *watermark,
            Change::Charged(charge) => {
                self.open_for(slot)?.charge(&charge.parts, &charge.meter, &charge.units)?;
            }
            Change::GaveBack { watermark, parts, .. } => self.open_for(slot)?.give_back(*watermark, parts)?,
            Change::Rounded { parts, .. } => self.open_for(slot)?.round_up(parts)?,
            Change::Hold(change) => {
                self.apply_hold(change, position)?;
                if matches!(change, HoldChange::LineEnds { .. }) {
                    self.detach(slot)?;
                }
            }
            Change::Closed { parts, .. } => {
                let line = self.open_for(slot)?;
                if line.is_held() {
                    return Err(Unsound(format!("{slot:?} is closed over a hold")));
                }
                line.close(parts)?;
                line.check_meters()?;
                self.detach(slot)?;
            }
            Change::Forgotten { .. } => {
                let line = self.lines.remove(&slot).filter(|line| line.tally.closed);
                let line = line.ok_or_else(|| Unsound(format!("{slot:?} is forgotten and not closed")))?;
                self.by_key.remove(&line.key());
                self.unsynced.remove(&slot);
                return Ok(());
            }
        }
        let line = self.open_or_closed(slot)?;
        line.changed_at = position;
        line.check()?;
        self.unsynced.insert(slot);
        Ok(())
    }

    /// Charges of no handle come to it any more.
    fn detach(&mut self, slot: Slot) -> Result<(), Unsound> {
        let line = self.open_or_closed(slot)?;
        for there in std::mem::take(&mut line.attached) {
            self.attached.remove(&there);
        }
        Ok(())
    }

    /// A line that is not closed.
    pub fn line_mut(&mut self, slot: Slot) -> Result<&mut Line, Unsound> {
        self.open_for(slot)
    }

    fn open_or_closed(&mut self, slot: Slot) -> Result<&mut Line, Unsound> {
        self.lines.get_mut(&slot).ok_or_else(|| Unsound(format!("there is no {slot:?}")))
    }

    fn open_for(&mut self, slot: Slot) -> Result<&mut Line, Unsound> {
        let line = self.open_or_closed(slot)?;
        if line.tally.closed { Err(Unsound(format!("{slot:?} changes after its close"))) } else { Ok(line) }
    }

    /// A charge that was spent on the word was refused: a close does not wait for it.
    pub fn abandon(&mut self, slot: Slot, amount: Credits) {
        if let Some(line) = self.lines.get_mut(&slot) {
            line.abandoned = line.abandoned.saturating_add(amount);
        }
    }

    /// What a sync that begins now will have made durable.
    pub fn capture(&mut self) -> Capture {
        let slots = std::mem::take(&mut self.unsynced);
        slots.into_iter().filter_map(|slot| Some((slot, self.lines.get(&slot)?.tally.clone()))).collect()
    }

    /// A snapshot of the book is durable.
    pub fn all_synced(&mut self) {
        self.unsynced.clear();
        for line in self.lines.values_mut() {
            line.synced = line.tally.clone();
        }
    }

    /// The sync has ended well.
    pub fn synced(&mut self, captured: Capture) {
        for (slot, tally) in captured {
            if let Some(line) = self.lines.get_mut(&slot) {
                line.synced = tally;
            }
        }
    }
}

/// The part of a charge's answer that the book does not know.
pub(crate) struct Answering {
    pub durability: types::Durability,
    pub remaining_at_least: Credits,
    pub remaining_at_most: Credits,
}

impl Change {
    pub fn slot(&self) -> Slot {
        match self {
            Self::Charged(charge) => charge.slot,
            Self::Hold(change) => change.slot(),
            Self::Opened { slot, .. }
            | Self::Installed { slot, .. }
            | Self::Raised { slot, .. }
            | Self::GaveBack { slot, .. }
            | Self::Closed { slot, .. }
            | Self::Forgotten { slot }
            | Self::Rounded { slot, .. } => *slot,
        }
    }
}
