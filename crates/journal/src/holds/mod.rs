//! Holds: credits set aside for one client until it says how many it has used. The part of the book that knows them, as
//! their records fold to it. No I/O.
//!
//! A hold belongs to a line. What is held is won on the escrow's word like a charge, and counted like what is used: below
//! the watermark, never given back. At its end a part is charged; by the rest the watermark falls in the same record, so
//! that it is above the watermark, where the line's owner finds it: **nothing is ever put back on a word.** Each of its
//! records is synced before it is answered.
//!
//! A line with open holds does not close. It *ends*: all but what is held is given back, nothing more is spent, and that is
//! on the disk; with its last hold it closes. Its holds neither grow nor last longer, so it ends within the longest time to
//! live.
//!
//! A hold's number is the sequence of the record that opened it: never used twice, though a power failure takes it. After
//! one open holds stand, for they were synced: what is held is not rounded up.
//!
//! Reading order: `words` goes in and out, `change` is how it is written, `perform` the way of one operation.
//! Not here: when its time is up by which clock (`perform`), prices, who asks.

pub(crate) mod change;
mod perform;
mod shadow;
pub(crate) mod words;

use crate::book::Book;
use crate::change::{Change, Part, Slot};
use crate::refused::{Refused, Unsound};
use crate::tally::{add, total};
use change::{HoldKey, Use};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use types::planted::{Mistake, is_planted};
use types::{
    Credits, Day, Durability, Feature, HoldNumber, Meter, Model, PriceVersion, Shadowed, Source, Timestamp,
    Unit, UserId, WorkspaceId,
};
use words::{
    EndOfHold, Ended, ExtendHold, HOLDS_REMEMBERED_MAX, Held, HoldFacts, HoldOver, HoldView, OpenHold,
    Settle, SettleLate,
};

/// An open hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hold {
    pub slot: Slot,
    /// In the order in which they are charged.
    pub parts: Vec<Part>,
    pub confirmed: Credits,
    pub feature: Feature,
    pub model: Option<Model>,
    pub prices: PriceVersion,
    pub durability: Durability,
    pub ttl_ms: u32,
    pub expires_at: Timestamp,
    /// What it lacks, where it would have been refused. It is counted when the hold ends, once.
    pub shadow: Option<Shadowed>,
}

impl Hold {
    pub fn held(&self) -> Credits {
        sum(&self.parts)
    }

    fn meter(&self, day: Day) -> Meter {
        Meter { feature: self.feature.clone(), model: self.model.clone(), day }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HoldChange {
    /// `number` is 0, but for one that a snapshot has.
    Opened {
        number: u64,
        hold: Hold,
        key: Option<HoldKey>,
    },
    Extended {
        hold: HoldNumber,
        slot: Slot,
        parts: Vec<Part>,
        confirmed: Credits,
        expires_at: Timestamp,
        shadow: Option<Shadowed>,
    },
    Ended {
        hold: HoldNumber,
        slot: Slot,
        end: EndOfHold,
        watermark: Credits,
        used: Use,
    },
    SettledLate {
        hold: HoldNumber,
        slot: Slot,
        used: Use,
    },
    /// What was won for a hold and is not needed is above the watermark again.
    Unneeded {
        slot: Slot,
        watermark: Credits,
    },
    LineEnds {
        slot: Slot,
        watermark: Credits,
        parts: Vec<Part>,
    },
}

impl HoldChange {
    pub fn slot(&self) -> Slot {
        match self {
            Self::Opened { hold, .. } => hold.slot,
            Self::Extended { slot, .. }
            | Self::Ended { slot, .. }
            | Self::SettledLate { slot, .. }
            | Self::Unneeded { slot, .. }
            | Self::LineEnds { slot, .. } => *slot,
        }
    }
}

/// All holds of this holder.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    open: BTreeMap<HoldNumber, Hold>,
    of_user: BTreeMap<(WorkspaceId, UserId), usize>,
    over: BTreeMap<HoldNumber, HoldOver>,
    /// The oldest end first.
    over_order: VecDeque<HoldNumber>,
    /// When each open one expires, by the time since boot. In memory only.
    due_ms: BTreeMap<HoldNumber, u64>,
    by_due: BTreeSet<(u64, HoldNumber)>,
}

impl Holds {
    pub fn open(&self) -> impl Iterator<Item = (HoldNumber, &Hold)> {
        self.open.iter().map(|(number, hold)| (*number, hold))
    }

    /// Those that have ended and are known, the oldest end first.
    pub fn over(&self) -> impl Iterator<Item = &HoldOver> {
        self.over_order.iter().filter_map(|number| self.over.get(number))
    }

    pub fn count(&self) -> usize {
        self.open.len()
    }

    pub fn get(&self, hold: HoldNumber) -> Option<&Hold> {
        self.open.get(&hold)
    }

    pub fn set_due(&mut self, hold: HoldNumber, at_ms: u64) {
        if let Some(before) = self.due_ms.insert(hold, at_ms) {
            self.by_due.remove(&(before, hold));
        }
        self.by_due.insert((at_ms, hold));
    }

    pub fn is_due(&self, hold: HoldNumber, now_ms: u64) -> bool {
        self.due_ms.get(&hold).is_some_and(|due| *due <= now_ms)
    }

    fn insert(&mut self, number: HoldNumber, hold: Hold, user: (WorkspaceId, UserId)) -> Result<(), Unsound> {
        *self.of_user.entry(user).or_default() += 1;
        match self.open.insert(number, hold) {
            None => Ok(()),
            Some(_) => Err(Unsound(format!("hold {} is there twice", number.0))),
        }
    }

    fn remove(&mut self, number: HoldNumber, user: &(WorkspaceId, UserId)) -> Result<Hold, Unsound> {
        let hold = self.open.remove(&number).ok_or_else(|| unknown(number))?;
        if let Some(count) = self.of_user.get_mut(user) {
            *count -= 1;
            if *count == 0 {
                self.of_user.remove(user);
            }
        }
        if let Some(due) = self.due_ms.remove(&number) {
            self.by_due.remove(&(due, number));
        }
        Ok(hold)
    }

    pub fn remember(&mut self, over: HoldOver) {
        let number = over.facts.number;
        if self.over.insert(number, over).is_none() {
            self.over_order.push_back(number);
        }
        while self.over_order.len() > HOLDS_REMEMBERED_MAX {
            if let Some(oldest) = self.over_order.pop_front() {
                self.over.remove(&oldest);
            }
        }
    }
}

fn unknown(number: HoldNumber) -> Unsound {
    Unsound(format!("there is no open hold {}", number.0))
}

pub(crate) fn sum(parts: &[Part]) -> Credits {
    parts.iter().fold(Credits::ZERO, |sum, (_, part)| sum.saturating_add(*part))
}

/// The first `amount` of these parts.
pub(crate) fn first(parts: &[Part], amount: Credits) -> Vec<Part> {
    let mut open = amount;
    let mut taken = Vec::new();
    for (at, part) in parts {
        let part = open.min(*part);
        open = open.saturating_sub(part);
        taken.extend((!part.is_zero()).then_some((*at, part)));
    }
    taken
}

fn merged(parts: &[Part], more: &[Part]) -> Vec<Part> {
    let mut all = parts.to_vec();
    for (at, part) in more {
        match all.iter_mut().find(|(there, _)| there == at) {
            Some((_, sum)) => *sum = sum.saturating_add(*part),
            None => all.push((*at, *part)),
        }
    }
    all
}

/// The decisions. Like those of the book: they look and write nothing.
impl Book {
    pub fn facts(&self, number: HoldNumber, hold: &Hold) -> Result<HoldFacts, Unsound> {
        let line = self.line(hold.slot).ok_or_else(|| unknown(number))?;
        Ok(HoldFacts {
            number,
            workspace: line.opened.workspace.clone(),
            user: line.opened.user.clone(),
            line: line.opened.number,
            cycle: line.opened.cycle,
            feature: hold.feature.clone(),
            model: hold.model.clone(),
            prices: hold.prices,
            durability: hold.durability,
            held: hold.held(),
            shadow: hold.shadow,
        })
    }

    /// Those whose time is up, the oldest first, but those of some workspaces.
    pub fn due_holds(&self, now_ms: u64, but: &BTreeSet<WorkspaceId>) -> Vec<HoldNumber> {
        let due = self.holds.by_due.range(..=(now_ms, HoldNumber(u64::MAX))).map(|(_, hold)| *hold);
        let of = |hold: HoldNumber| Some(&self.line(self.holds.get(hold)?.slot)?.opened.workspace);
        due.filter(|hold| of(*hold).is_some_and(|workspace| !but.contains(workspace))).collect()
    }

    /// An open hold; one that is over is in the refusal.
    pub fn hold_view(&self, number: HoldNumber) -> Result<HoldView, Refused> {
        let hold = self.open_hold(number)?;
        let facts = self.facts(number, hold).map_err(|_| Refused::NoHold)?;
        let is_ending = self.line(hold.slot).is_none_or(|line| line.is_ending);
        let (confirmed, expires_at, freed) = (hold.confirmed, hold.expires_at, Credits::ZERO);
        Ok(HoldView { facts, confirmed, expires_at, is_ending, freed })
    }

    fn open_hold(&self, number: HoldNumber) -> Result<&Hold, Refused> {
        match (self.holds.get(number), self.holds.over.get(&number)) {
            (Some(hold), _) => Ok(hold),
            (None, Some(over)) => Err(Refused::HoldOver(Box::new(over.clone()))),
            (None, None) => Err(Refused::NoHold),
        }
    }

    /// `Err(Unsound)`: the word gave out what the line has not.
    fn spend_for_hold(&self, slot: Slot, amount: Credits) -> Result<Vec<Part>, Unsound> {
        let line = self.line(slot).ok_or_else(|| Unsound(format!("there is no {slot:?}")))?;
        let parts = line.spend(amount).filter(|_| amount <= line.unspent());
        parts.ok_or_else(|| {
            Unsound(format!("{amount} are to be held of {slot:?}, where {} may be", line.unspent()))
        })
    }

    /// Whether one more may be opened.
    pub fn room_for_hold(
        &self,
        workspace: &WorkspaceId,
        user: &UserId,
        (holds_max, of_user_max): (usize, usize),
    ) -> Result<(), Refused> {
        if self.holds.count() >= holds_max {
            return Err(Refused::TooManyHolds { most: holds_max });
        }
        let of_user = self.holds.of_user.get(&(workspace.clone(), user.clone())).copied().unwrap_or(0);
        if of_user >= of_user_max { Err(Refused::TooManyHoldsOfUser { most: of_user_max }) } else { Ok(()) }
    }

    pub fn decide_hold(
        &self,
        slot: Slot,
        wish: &OpenHold,
        keyed_at: Timestamp,
        (holds_max, of_user_max): (usize, usize),
    ) -> Result<Result<Change, Refused>, Unsound> {
        let Some(line) = self.line(slot) else { return Ok(Err(Refused::NoLine)) };
        let (workspace, user) = (&line.opened.workspace, &line.opened.user);
        if wish.key.as_ref().is_some_and(|key| key.workspace() != workspace || key.user() != user) {
            return Ok(Err(Refused::OtherScope));
        }
        if let Err(full) = self.room_for_hold(workspace, user, (holds_max, of_user_max)) {
            return Ok(Err(full));
        }
        let hold = Hold {
            slot,
            parts: self.spend_for_hold(slot, wish.spend.amount)?,
            confirmed: Credits::ZERO,
            feature: wish.feature.clone(),
            model: wish.model.clone(),
            prices: wish.prices,
            durability: wish.durability,
            ttl_ms: wish.ttl_ms,
            expires_at: wish.at.plus_ms(i64::from(wish.ttl_ms)),
            shadow: wish.shadow,
        };
        let key = wish.key.as_ref().map(|key| HoldKey {
            key: key.key().clone(),
            command_hash: key.command_hash(),
            at: keyed_at,
        });
        Ok(Ok(Change::Hold(HoldChange::Opened { number: 0, hold, key })))
    }

    /// What a hold that was opened as this record is answered.
    pub fn held(&self, number: HoldNumber) -> Result<Held, Unsound> {
        let hold = self.holds.get(number).ok_or_else(|| unknown(number))?;
        let facts = self.facts(number, hold)?;
        let HoldFacts { line, cycle, held, shadow, .. } = facts;
        Ok(Held { number, line, cycle, amount: held, expires_at: hold.expires_at, shadow })
    }

    /// Of the spend only what the hold lacks is taken.
    pub fn decide_extend(&self, wish: &ExtendHold) -> Result<Result<Change, Refused>, Unsound> {
        let hold = match self.open_hold(wish.hold) {
            Ok(hold) => hold,
            Err(why) => return Ok(Err(why)),
        };
        let is_ending = self.line(hold.slot).is_none_or(|line| line.is_ending);
        let refreshed = wish.at.plus_ms(i64::from(hold.ttl_ms));
        let expires_at = if wish.refresh && !is_ending { refreshed } else { hold.expires_at };
        if let Some(code) = hold.shadow.map(|shadow| shadow.code).or(wish.shadow) {
            return Ok(hold.extended_in_shadow(wish, code, expires_at));
        }
        let lacking = wish.to.saturating_sub(hold.held());
        let spent = wish.spend.map_or(Credits::ZERO, |spend| spend.amount);
        let is_elsewhere =
            wish.spend.is_some_and(|spend| self.attached(spend.handle, spend.epoch) != Some(hold.slot));
        if !lacking.is_zero() && (is_ending || is_elsewhere || spent < lacking) {
            return Ok(Err(Refused::HoldEnding));
        }
        let held = hold.held().max(wish.to);
        if wish.confirmed > held {
            return Ok(Err(Refused::BeyondHold { held }));
        }
        let parts = self.spend_for_hold(hold.slot, lacking)?;
        Ok(Ok(Change::Hold(HoldChange::Extended {
            hold: wish.hold,
            slot: hold.slot,
            parts,
            confirmed: hold.confirmed.max(wish.confirmed),
            expires_at,
            shadow: None,
        })))
    }

    pub fn decide_settle(&self, number: HoldNumber, wish: &Settle) -> Result<Change, Refused> {
        let hold = self.open_hold(number)?;
        let held = hold.held();
        let is_beyond = wish.amount > held;
        let code = hold.shadow.map(|shadow| shadow.code).or(wish.shadow.filter(|_| is_beyond));
        if is_beyond && !wish.cap && code.is_none() {
            return Err(Refused::BeyondHold { held });
        }
        if wish.amount < hold.confirmed {
            return Err(Refused::BelowConfirmed { confirmed: hold.confirmed });
        }
        let amount = wish.amount.min(held);
        let rest = wish.amount.saturating_sub(amount);
        let counted = code.map(|code| Shadowed { code, would_have_cost: rest }.units());
        let units = counted.as_ref().unwrap_or(&wish.units);
        self.decide_end(number, EndOfHold::Settled, amount, units, wish.day)
    }

    /// A release, and the end of its time: what is confirmed is charged.
    pub fn decide_drop(&self, number: HoldNumber, end: EndOfHold, day: Day) -> Result<Change, Refused> {
        let hold = self.open_hold(number)?;
        let is_mistaken = end == EndOfHold::Expired && is_planted(Mistake::ExpiryChargesAll);
        let charged = if is_mistaken { hold.held() } else { hold.confirmed };
        let units = hold.counted_at(end);
        self.decide_end(number, end, charged, &units, day)
    }

    fn decide_end(
        &self,
        number: HoldNumber,
        end: EndOfHold,
        amount: Credits,
        units: &[(Unit, u64)],
        day: Day,
    ) -> Result<Change, Refused> {
        let hold = self.open_hold(number)?;
        let line = self.line(hold.slot).ok_or(Refused::NoLine)?;
        let is_use = end == EndOfHold::Settled || !amount.is_zero() || !units.is_empty();
        let meter = is_use.then(|| line.meter_ref(&hold.meter(day)));
        let units = meter.as_ref().map(|meter| line.unit_refs(meter, units)).unwrap_or_default();
        let freed = hold.held().saturating_sub(amount);
        Ok(Change::Hold(HoldChange::Ended {
            hold: number,
            slot: hold.slot,
            end,
            watermark: line.watermark.saturating_sub(freed),
            used: Use { parts: first(&hold.parts, amount), meter, units },
        }))
    }

    /// An ordinary charge, on whatever line its user has now.
    pub fn decide_settle_late(
        &self,
        slot: Slot,
        wish: &SettleLate,
    ) -> Result<Result<Change, Refused>, Unsound> {
        let over = match self.holds.over.get(&wish.hold) {
            Some(over) if over.end == EndOfHold::Expired => over,
            Some(over) => return Ok(Err(Refused::HoldOver(Box::new(over.clone())))),
            None => return Ok(Err(Refused::NoHold)),
        };
        if wish.spend.amount > over.facts.held.saturating_sub(over.charged) {
            return Ok(Err(Refused::BeyondHold { held: over.facts.held }));
        }
        let line = match self.line(slot) {
            Some(line) if line.opened.user == over.facts.user => line,
            _ => return Ok(Err(Refused::NoLine)),
        };
        let parts = self.spend_for_hold(slot, wish.spend.amount)?;
        let (feature, model) = (over.facts.feature.clone(), over.facts.model.clone());
        let meter = line.meter_ref(&Meter { feature, model, day: wish.day });
        let units = line.unit_refs(&meter, &wish.units);
        let used = Use { parts, meter: Some(meter), units };
        Ok(Ok(Change::Hold(HoldChange::SettledLate { hold: wish.hold, slot, used })))
    }

    /// What is said of an end, once it is applied.
    pub fn ended(&self, number: HoldNumber, freed: Credits, closed: bool) -> Result<Ended, Unsound> {
        let over = self.holds.over.get(&number).cloned().ok_or_else(|| unknown(number))?;
        Ok(Ended { over, freed, closed })
    }

    /// Credits that were won for a hold on this line, and are not needed for it.
    pub fn decide_unneeded(&self, slot: Slot, amount: Credits) -> Option<Change> {
        let line = self.line(slot).filter(|line| !amount.is_zero() && amount <= line.unspent())?;
        Some(Change::Hold(HoldChange::Unneeded { slot, watermark: line.watermark.saturating_sub(amount) }))
    }

    /// A line that waits for nothing but its holds gives the rest back; and again what a hold of it leaves.
    pub fn decide_line_ends(&self, slot: Slot) -> Option<Change> {
        let line = self.line(slot).filter(|line| !line.is_ending || !line.rest().is_empty())?;
        let watermark = line.watermark.saturating_sub(line.unspent());
        Some(Change::Hold(HoldChange::LineEnds { slot, watermark, parts: line.rest() }))
    }
}

/// How they are applied: the book checks the line after each.
impl Book {
    pub(crate) fn apply_hold(&mut self, change: &HoldChange, position: u64) -> Result<(), Unsound> {
        match change {
            HoldChange::Opened { number: 0, hold, .. } => {
                self.line_mut(hold.slot)?.hold(&hold.parts)?;
                self.insert_hold(HoldNumber(position), hold)
            }
            // In a snapshot the line counts it already.
            HoldChange::Opened { number, hold, .. } => self.insert_hold(HoldNumber(*number), hold),
            HoldChange::Extended { hold, slot, parts, confirmed, expires_at, shadow } => {
                let known = self.holds.open.get_mut(hold).filter(|known| known.slot == *slot);
                let known = known.ok_or_else(|| unknown(*hold))?;
                let before = first(&known.parts, known.confirmed);
                known.parts = merged(&known.parts, parts);
                (known.confirmed, known.expires_at, known.shadow) = (*confirmed, *expires_at, *shadow);
                let after = first(&known.parts, *confirmed);
                let line = self.line_mut(*slot)?;
                line.hold(parts)?;
                line.confirm(&before, &after)
            }
            HoldChange::Ended { hold, slot, end, watermark, used } => {
                self.apply_end(*hold, *slot, *end, *watermark, used)
            }
            HoldChange::SettledLate { hold, slot, used } => {
                let line = self.line_mut(*slot)?;
                line.use_held(used)?;
                let (more, charged_on) = (line.sources(&used.parts), line.opened.number);
                let shadow = line.shadowed(&used.units);
                let over = self.holds.over.get_mut(hold).ok_or_else(|| unknown(*hold))?;
                (over.end, over.charged_on) = (EndOfHold::SettledLate, charged_on);
                over.facts.shadow = over.facts.shadow.or(shadow);
                over.charged = add(over.charged, total(used.parts.iter().map(|(_, part)| *part))?)?;
                over.sources = joined(&over.sources, &more);
                Ok(())
            }
            HoldChange::Unneeded { slot, watermark } => {
                let line = self.line_mut(*slot)?;
                line.freed = line.freed.saturating_add(line.watermark.saturating_sub(*watermark));
                line.watermark = *watermark;
                Ok(())
            }
            HoldChange::LineEnds { slot, watermark, parts } => self.line_mut(*slot)?.end(*watermark, parts),
        }
    }

    fn insert_hold(&mut self, number: HoldNumber, hold: &Hold) -> Result<(), Unsound> {
        let line = self.line_mut(hold.slot)?;
        line.holds += 1;
        let user = (line.opened.workspace.clone(), line.opened.user.clone());
        self.holds.insert(number, hold.clone(), user)
    }

    fn apply_end(
        &mut self,
        number: HoldNumber,
        slot: Slot,
        end: EndOfHold,
        watermark: Credits,
        used: &Use,
    ) -> Result<(), Unsound> {
        let known = self.holds.get(number).filter(|hold| hold.slot == slot).ok_or_else(|| unknown(number))?;
        let mut facts = self.facts(number, known)?;
        let hold = self.holds.remove(number, &(facts.workspace.clone(), facts.user.clone()))?;
        let charged = total(used.parts.iter().map(|(_, part)| *part))?;
        let line = self.line_mut(slot)?;
        line.holds = line.holds.saturating_sub(1);
        line.confirm(&first(&hold.parts, hold.confirmed), &[])?;
        line.free(&hold.parts)?;
        line.use_held(used)?;
        line.watermark = watermark;
        line.freed = line.freed.saturating_add(facts.held.saturating_sub(charged));
        let (sources, charged_on) = (line.sources(&used.parts), line.opened.number);
        facts.shadow = line.shadowed(&used.units);
        self.holds.remember(HoldOver { facts, end, charged, charged_on, sources });
        Ok(())
    }

    /// What lines count as held is what their holds hold. Once, when a segment is read.
    pub fn check_holds(&self) -> Result<(), Unsound> {
        let mut held: BTreeMap<(Slot, u8), Credits> = BTreeMap::new();
        for (_, hold) in self.holds.open() {
            for (at, part) in &hold.parts {
                let sum = held.entry((hold.slot, *at)).or_default();
                *sum = add(*sum, *part)?;
            }
        }
        for (slot, line) in self.lines() {
            for (at, backing) in (0..=u8::MAX).zip(&line.tally.backings) {
                let by_holds = held.get(&(slot, at)).copied().unwrap_or_default();
                if backing.held != by_holds {
                    return Err(Unsound(format!("{slot:?} holds {}, its holds {by_holds}", backing.held)));
                }
            }
        }
        Ok(())
    }
}

fn joined(sources: &[(Source, Credits)], more: &[(Source, Credits)]) -> Vec<(Source, Credits)> {
    let mut all: BTreeMap<Source, Credits> = BTreeMap::new();
    for (source, part) in sources.iter().chain(more) {
        let sum = all.entry(*source).or_default();
        *sum = sum.saturating_add(*part);
    }
    all.into_iter().collect()
}
