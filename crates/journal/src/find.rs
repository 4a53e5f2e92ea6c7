//! Looking a charge up in the segments that are still on the disk, the newest first. Reads files and nothing else: neither the
//! book nor the writer waits for it.
//!
//! A segment's snapshot says whether what is wanted was charged in it, later or before, so that no more than one segment is
//! read to its end; of a hold that expired, those after it too, as it may have been settled late. Not here: how long segments
//! stay (`past`, `rotate`).

use crate::book::Book;
use crate::change::{Change, MeterRef, Part, Slot, UnitRef};
use crate::holds::HoldChange;
use crate::holds::change::Use;
use crate::holds::words::EndOfHold;
use crate::line::Line;
use crate::past::past_sequence;
use crate::segment::{Reading, Seen, file_name, first_sequence};
use crate::words::LineKey;
use platform::Directory;
use std::io;
use std::ops::ControlFlow;
use types::{
    Backing, Credits, CycleNumber, DiskId, HoldNumber, LineNumber, Meter, Unit, UserId, WorkspaceId,
};

/// What is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    Charge { line: LineKey, sequence: u64 },
    Hold { workspace: WorkspaceId, hold: HoldNumber },
}

/// What was found of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    Found(Box<FoundCharge>),
    /// A hold that is open: nothing is charged yet.
    Open,
    /// A power failure took its record, or it never was.
    Lost,
    /// It never was.
    Unknown,
    /// It is older than all that is kept here, or never was.
    Gone,
}

/// A charge as its record has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundCharge {
    pub user: UserId,
    pub meter: Meter,
    pub units: Vec<(Unit, u64)>,
    /// In spending order; a hold that was settled late has those of two lines. No zero.
    pub parts: Vec<FoundPart>,
    /// Of the line that was charged first.
    pub cycle: CycleNumber,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundPart {
    pub line: LineNumber,
    pub cycle: CycleNumber,
    pub backing: Backing,
    pub amount: Credits,
}

/// Where a search begins: the segment that is written, and how far that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Newest {
    pub first_sequence: u64,
    pub bytes: u64,
}

/// What one segment says.
#[derive(Debug)]
enum Verdict {
    Is(Looked),
    /// It is in an older one.
    Older,
}

/// `NotFound` where a segment went meanwhile: begin anew.
pub(crate) fn find(
    directory: &dyn Directory,
    disk: DiskId,
    newest: Newest,
    wanted: &Wanted,
) -> io::Result<Looked> {
    let names = directory.list()?;
    let known = |name: &String| first_sequence(name).or_else(|| past_sequence(name));
    let mut older: Vec<(u64, &String)> = names.iter().filter_map(|name| Some((known(name)?, name))).collect();
    older.retain(|(sequence, _)| *sequence < newest.first_sequence);
    older.sort_unstable();
    let mut late = None;
    let first = (file_name(newest.first_sequence), Some(newest.bytes));
    let rest = older.into_iter().rev().map(|(_, name)| (name.clone(), None));
    for (name, end) in std::iter::once(first).chain(rest) {
        let bytes = load(directory, &name, end)?;
        let reading = Reading { file: &name, disk, sealed_bytes: end };
        let mut search = Search { wanted, late: late.take(), ended: None, had_expired: false, verdict: None };
        let folded = reading.fold_seeing(&bytes, &mut |seen| search.see(&seen));
        let folded = folded.map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why.to_string()))?;
        match search.verdict(&folded.book) {
            Verdict::Is(looked) => return Ok(looked),
            Verdict::Older => late = search.late,
        }
    }
    Ok(Looked::Gone)
}

fn load(directory: &dyn Directory, name: &str, end: Option<u64>) -> io::Result<Vec<u8>> {
    let file = directory.open(name)?;
    let length = end.map_or_else(|| file.len(), Ok)?;
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

struct Search<'a> {
    wanted: &'a Wanted,
    /// What a hold was charged after it had expired.
    late: Option<FoundCharge>,
    ended: Option<End>,
    /// The hold had, when the segment began; at its end it may be forgotten.
    had_expired: bool,
    verdict: Option<Verdict>,
}

impl Search<'_> {
    fn see(&mut self, seen: &Seen<'_>) -> ControlFlow<()> {
        let verdict = match (self.wanted, seen) {
            (Wanted::Charge { line, sequence }, Seen::Snapshot { book, .. }) => {
                before_charge(book, line, *sequence)
            }
            (Wanted::Charge { line, sequence }, Seen::Change { book, change }) => {
                charge_in(book, change, line, *sequence)
            }
            (Wanted::Hold { workspace, hold }, Seen::Snapshot { book, first_sequence }) => {
                self.had_expired = has_expired(book, *hold);
                before_hold(book, workspace, *hold, *first_sequence)
            }
            (Wanted::Hold { hold, .. }, Seen::Change { book, change }) => {
                self.see_hold(book, change, *hold);
                None
            }
        };
        self.verdict = verdict;
        if self.verdict.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// A hold's end is one record, and a late settlement another one.
    fn see_hold(&mut self, book: &Book, change: &Change, wanted: HoldNumber) {
        match change {
            Change::Hold(HoldChange::Ended { hold, slot, used, .. }) if *hold == wanted => {
                self.ended = Some(found_of_use(book, *slot, used).map_or(End::Free, End::Charged));
            }
            Change::Hold(HoldChange::SettledLate { hold, slot, used }) if *hold == wanted => {
                self.late = found_of_use(book, *slot, used);
            }
            _ => {}
        }
    }

    /// `book`: as the segment leaves it.
    fn verdict(&mut self, book: &Book) -> Verdict {
        if let Some(verdict) = self.verdict.take() {
            return verdict;
        }
        match self.wanted {
            Wanted::Charge { line, .. } => {
                let lost = book.find(line).ok().and_then(|slot| book.line(slot)).is_some_and(has_lost);
                Verdict::Is(if lost { Looked::Lost } else { Looked::Unknown })
            }
            Wanted::Hold { hold, .. } => self.verdict_of_hold(book, *hold),
        }
    }

    fn verdict_of_hold(&mut self, book: &Book, hold: HoldNumber) -> Verdict {
        match (self.ended.take(), self.late.take()) {
            (Some(End::Charged(mut ended)), late) => {
                if let Some(mut late) = late {
                    // In front: what could be refunded before it was settled is still what goes back first.
                    late.parts.append(&mut ended.parts);
                    (ended.parts, ended.units) = (late.parts, late.units);
                }
                Verdict::Is(Looked::Found(Box::new(ended)))
            }
            (Some(End::Free), Some(late)) => Verdict::Is(Looked::Found(Box::new(late))),
            (None, _) if book.holds.get(hold).is_some() => Verdict::Is(Looked::Open),
            // It had expired before this segment began.
            (None, late) if self.had_expired => {
                self.late = late;
                Verdict::Older
            }
            (Some(End::Free) | None, _) => Verdict::Is(Looked::Unknown),
        }
    }
}

/// How a hold ended.
enum End {
    Charged(FoundCharge),
    /// Nothing was charged.
    Free,
}

fn has_lost(line: &Line) -> bool {
    !line.unattributed().is_zero()
}

fn before_charge(book: &Book, key: &LineKey, sequence: u64) -> Option<Verdict> {
    let Some(line) = book.find(key).ok().and_then(|slot| book.line(slot)) else {
        // Opened before and forgotten, or not opened yet.
        let highest = book.counters().find(|(workspace, _)| **workspace == key.workspace);
        return highest.filter(|(_, highest)| *highest >= key.number.0).map(|_| Verdict::Older);
    };
    if sequence <= line.tally.sequence {
        return Some(Verdict::Older);
    }
    let looked = if has_lost(line) { Looked::Lost } else { Looked::Unknown };
    line.tally.closed.then_some(Verdict::Is(looked))
}

fn charge_in(book: &Book, change: &Change, key: &LineKey, sequence: u64) -> Option<Verdict> {
    let is_it = |slot: &Slot| book.line(*slot).filter(|line| is_called(line, key));
    match change {
        Change::Charged(charge) => {
            let line = is_it(&charge.slot).filter(|line| line.tally.sequence + 1 == sequence)?;
            let found = found(line, &charge.parts, &charge.meter, &charge.units)?;
            Some(Verdict::Is(Looked::Found(Box::new(found))))
        }
        Change::Forgotten { slot } => {
            let lost = is_it(slot).map(has_lost)?;
            Some(Verdict::Is(if lost { Looked::Lost } else { Looked::Unknown }))
        }
        _ => None,
    }
}

fn is_called(line: &Line, key: &LineKey) -> bool {
    line.opened.number == key.number && line.opened.workspace == key.workspace
}

fn has_expired(book: &Book, hold: HoldNumber) -> bool {
    book.holds.over().any(|over| over.facts.number == hold && over.end == EndOfHold::Expired)
}

fn before_hold(book: &Book, workspace: &WorkspaceId, hold: HoldNumber, first: u64) -> Option<Verdict> {
    if let Some(open) = book.holds.get(hold) {
        let is_here = book.line(open.slot).is_some_and(|line| line.opened.workspace == *workspace);
        return (!is_here).then_some(Verdict::Is(Looked::Unknown));
    }
    if hold.0 >= first {
        return None;
    }
    match book.holds.over().find(|over| over.facts.number == hold) {
        Some(over) if over.facts.workspace != *workspace => Some(Verdict::Is(Looked::Unknown)),
        Some(over) if over.end == EndOfHold::Expired => None,
        Some(_) | None => Some(Verdict::Older),
    }
}

fn found_of_use(book: &Book, slot: Slot, used: &Use) -> Option<FoundCharge> {
    found(book.line(slot)?, &used.parts, used.meter.as_ref()?, &used.units)
}

fn found(line: &Line, parts: &[Part], meter: &MeterRef, units: &[(UnitRef, u64)]) -> Option<FoundCharge> {
    let (number, cycle) = (line.opened.number, line.opened.cycle);
    let part = |(at, amount): &Part| {
        let backing = line.tally.backings.get(usize::from(*at))?.numbers.backing;
        Some(FoundPart { line: number, cycle, backing, amount: *amount })
    };
    let unit = |(unit, count): &(UnitRef, u64)| match unit {
        UnitRef::Known(at) => Some((line.tally.units.get(usize::from(*at))?.clone(), *count)),
        UnitRef::New(unit) => Some((unit.clone(), *count)),
    };
    let meter = match meter {
        MeterRef::Known(at) => line.tally.meters.get(usize::from(*at))?.meter.clone(),
        MeterRef::New(meter) => meter.clone(),
    };
    Some(FoundCharge {
        user: line.opened.user.clone(),
        meter,
        units: units.iter().map(unit).collect::<Option<_>>()?,
        parts: parts.iter().map(part).collect::<Option<_>>()?,
        cycle,
    })
}
