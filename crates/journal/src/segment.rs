//! One segment file: its name, what its bytes fold to, and the snapshot that opens it. Not here: when a new one begins.
//!
//! A segment is written under another name, synced whole, and only then renamed: a file with a segment's name has a
//! durable head. It is reserved to its full length, so it ends in zeros. Reading goes from the front, and stops at the
//! first place where no whole record stands. In an older segment this must be where the newest head says it ends. In the
//! newest one it is either where writing was cut off (a torn tail: never synced, nothing in it was promised) or damage to
//! something that was durable. Sectors reach a disk in any order, so whole records behind the place prove nothing; a
//! *mark* behind it does, one that says a sync had ended well beyond the place. Marks are written after every sync, at
//! once, so all that can hide is damage to what was synced last before the machine went down within seconds.

use crate::book::{Answering, Book};
use crate::change::{Answered, BadRecord, Change, KeptKey, line_in, line_out};
use crate::holds::HoldChange;
use crate::holds::change::{over_in, over_out};
use crate::refused::JournalFault;
use platform::BootId;
use std::ops::ControlFlow;
use std::sync::Arc;
use types::{DiskId, HoldNumber, WorkspaceId};
use wire::journal::{Framed, Head, MARK_BYTES, Previous, Record, append, marks, read};

/// A segment before it has its name.
pub(crate) const UNFINISHED: &str = "next.tmp";
/// Left behind by a journal that stopped, so that its page cache is not trusted.
pub(crate) const STOPPED: &str = "stopped";

pub(crate) fn file_name(first_sequence: u64) -> String {
    format!("journal-{first_sequence:016x}.seg")
}

/// The first sequence in a segment of that name.
pub(crate) fn first_sequence(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("journal-")?.strip_suffix(".seg")?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    (file_name(number) == name).then_some(number)
}

/// What a segment holds.
#[derive(Debug)]
pub(crate) struct Folded {
    pub boot: BootId,
    pub previous: Vec<Previous>,
    pub book: Book,
    /// With their positions, in order.
    pub keys: Vec<KeptKey>,
    /// The head's.
    pub first_sequence: u64,
    /// The last record's.
    pub sequence: u64,
    /// Where the last record ends.
    pub bytes: u64,
    /// Nothing but zeros stands behind.
    pub whole: bool,
}

/// What a reader of a segment is shown.
pub(crate) enum Seen<'a> {
    /// All that lived when it began.
    Snapshot { book: &'a Book, first_sequence: u64 },
    /// What is about to change.
    Change { book: &'a Book, change: &'a Change },
}

/// Which file is read, and as what.
pub(crate) struct Reading<'a> {
    pub file: &'a str,
    pub disk: DiskId,
    /// Where an older segment ends; `None` for the newest.
    pub sealed_bytes: Option<u64>,
}

impl Reading<'_> {
    fn damaged(&self, offset: usize, why: &dyn std::fmt::Display) -> JournalFault {
        JournalFault::Damaged { file: self.file.to_owned(), offset: offset as u64, why: why.to_string() }
    }

    pub fn fold(&self, all: &[u8]) -> Result<Folded, JournalFault> {
        self.fold_seeing(all, &mut |_| ControlFlow::Continue(()))
    }

    /// Shows what stands in it to `see`, which may say that it has seen enough: then nothing is said of what follows.
    pub fn fold_seeing(
        &self,
        all: &[u8],
        see: &mut dyn FnMut(Seen<'_>) -> ControlFlow<()>,
    ) -> Result<Folded, JournalFault> {
        let bytes = match self.sealed_bytes.map(usize::try_from) {
            None => all,
            Some(end) => end
                .ok()
                .and_then(|end| all.get(..end))
                .ok_or_else(|| self.damaged(all.len(), &"it is shorter than it was"))?,
        };
        let (mut folded, mut at) = self.open(bytes)?;
        let mut snapshot = Some(0);
        let broken = loop {
            match read(&bytes[at..]) {
                Framed::Record { record, bytes } => {
                    folded.sequence += 1;
                    let folding = fold_one(&mut folded, &mut snapshot, record, see);
                    if folding.map_err(|why| self.damaged(at, &why))?.is_break() {
                        return Ok(folded);
                    }
                    at += bytes;
                }
                Framed::Mark(_) => at += MARK_BYTES,
                Framed::End => break None,
                Framed::Broken => break Some("no record, no end"),
                Framed::Unreadable(why) => return Err(self.damaged(at, &why)),
            }
        };
        if snapshot.is_some() {
            return Err(self.damaged(at, &broken.unwrap_or("it ends within its snapshot")));
        }
        if self.sealed_bytes.is_some() && at != bytes.len() {
            return Err(self.damaged(at, &"it ends before its end"));
        }
        let rest = &bytes[at..];
        let written = without_zeros(rest);
        // The last bytes of a mark may be zeros.
        if marks(&rest[..rest.len().min(written + MARK_BYTES)]).any(|mark| mark.synced_bytes() > at as u64) {
            return Err(self.damaged(at, &"what stood here had been synced"));
        }
        folded.bytes = at as u64;
        folded.whole = written == 0;
        Ok(folded)
    }

    fn open(&self, bytes: &[u8]) -> Result<(Folded, usize), JournalFault> {
        let (head, at) = match read(bytes) {
            Framed::Record { record: Record::Head(head), bytes } => (head, bytes),
            Framed::Unreadable(why) => return Err(self.damaged(0, &why)),
            Framed::Record { .. } | Framed::Mark(_) | Framed::End | Framed::Broken => {
                return Err(self.damaged(0, &"there is no head"));
            }
        };
        if head.disk != self.disk.0 {
            let (file, expected, found) = (self.file.to_owned(), self.disk, DiskId(head.disk));
            return Err(JournalFault::OtherDisk { file, expected, found });
        }
        let folded = Folded {
            boot: BootId(head.boot),
            previous: head.previous,
            book: Book::starting_at(head.next_line),
            keys: Vec::new(),
            first_sequence: head.sequence,
            sequence: head.sequence,
            bytes: 0,
            whole: false,
        };
        Ok((folded, at))
    }
}

/// Its length without the zeros at its end, of which a file that grows ahead has many.
fn without_zeros(bytes: &[u8]) -> usize {
    const AT_ONCE: usize = 4_096;
    let is_zero = |block: &&[u8]| block.iter().fold(0, |all, byte| all | byte) == 0;
    let zeros: usize = bytes.rchunks(AT_ONCE).take_while(is_zero).map(<[u8]>::len).sum();
    let last = &bytes[..bytes.len() - zeros];
    last.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1)
}

/// `snapshot` counts the records of the snapshot until it has ended.
fn fold_one(
    folded: &mut Folded,
    snapshot: &mut Option<u64>,
    record: Record,
    see: &mut dyn FnMut(Seen<'_>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, String> {
    let text = |why: BadRecord| why.to_string();
    let position = folded.sequence;
    match (record, snapshot.as_mut()) {
        (Record::HeadEnd { records }, Some(counted)) if records == *counted => {
            folded.book.check_holds().map_err(|why| why.to_string())?;
            *snapshot = None;
            return Ok(see(Seen::Snapshot { book: &folded.book, first_sequence: folded.first_sequence }));
        }
        (Record::Counter { workspace, highest }, Some(_)) => {
            let workspace = WorkspaceId::parse(&workspace).map_err(|why| why.to_string())?;
            folded.book.restore_counter(workspace, highest);
        }
        (Record::Line(line), Some(_)) => {
            let (slot, line) = line_in(&line).map_err(text)?;
            folded.book.restore_line(slot, line).map_err(|why| why.to_string())?;
        }
        (Record::Kept(kept), Some(_)) => {
            let kept = KeptKey::parse(&kept).map_err(text)?;
            folded.keys.push(kept.at(position));
        }
        (Record::KeptHold(kept), Some(_)) => {
            let kept = KeptKey::parse_hold(&kept).map_err(text)?;
            folded.keys.push(kept.at(position));
        }
        (Record::HoldOver(over), Some(_)) => {
            folded.book.holds.remember(over_in(&over).map_err(text)?);
        }
        (record, _) => {
            let change = Change::parse(&record).map_err(text)?;
            if snapshot.is_none() && see(Seen::Change { book: &folded.book, change: &change }).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            folded.book.apply(&change, position).map_err(|why| why.to_string())?;
            let kept = match &change {
                Change::Charged(charge) => folded.book.kept_key(charge, position),
                Change::Hold(change) => folded.book.kept_key_of_hold(change, position),
                _ => Ok(None),
            };
            folded.keys.extend(kept.map_err(|why| why.to_string())?);
        }
    }
    if let Some(counted) = snapshot {
        *counted += 1;
    }
    Ok(ControlFlow::Continue(()))
}

impl Book {
    /// The key of a charge with its answer, once the charge is applied; `None` where it had no key.
    fn kept_key(
        &self,
        charge: &crate::change::ChargeChange,
        position: u64,
    ) -> Result<Option<KeptKey>, crate::refused::Unsound> {
        let Some(keyed) = &charge.key else { return Ok(None) };
        let about = Answering {
            durability: keyed.durability,
            remaining_at_least: keyed.remaining_at_least,
            remaining_at_most: keyed.remaining_at_most,
        };
        let charged = self.charged(charge, &about, position)?;
        Ok(self.line(charge.slot).map(|line| KeptKey {
            workspace: line.opened.workspace.clone(),
            user: line.opened.user.clone(),
            key: keyed.key.clone(),
            command_hash: keyed.command_hash,
            at: keyed.at,
            position,
            answer: Answered::Charged(Arc::new(charged)),
        }))
    }

    /// The same for a hold.
    fn kept_key_of_hold(
        &self,
        change: &HoldChange,
        position: u64,
    ) -> Result<Option<KeptKey>, crate::refused::Unsound> {
        let HoldChange::Opened { hold, key: Some(key), .. } = change else { return Ok(None) };
        let held = self.held(HoldNumber(position))?;
        Ok(self.line(hold.slot).map(|line| KeptKey {
            workspace: line.opened.workspace.clone(),
            user: line.opened.user.clone(),
            key: key.key.clone(),
            command_hash: key.command_hash,
            at: key.at,
            position,
            answer: Answered::Held(Arc::new(held)),
        }))
    }
}

/// The bytes that open a segment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub bytes: Vec<u8>,
    /// The first of the kept keys'; the others follow one by one.
    pub kept_at: u64,
    /// The last record's.
    pub sequence: u64,
}

/// All that lives, in the order head, counters, lines, holds, kept keys, what is rounded up.
pub(crate) fn snapshot(
    head: Head,
    book: &Book,
    kept: &[KeptKey],
    rounded: &[Change],
) -> Result<Snapshot, String> {
    let (mut bytes, first) = (Vec::new(), head.sequence);
    let mut sequence = first;
    let mut put = |record: &Record| -> Result<(), String> {
        sequence += 1;
        append(&mut bytes, record).map_err(|why| why.to_string())
    };
    put(&Record::Head(head))?;
    let mut records = 0;
    for (workspace, highest) in book.counters() {
        put(&Record::Counter { workspace: workspace.to_string(), highest })?;
        records += 1;
    }
    for (slot, line) in book.lines() {
        put(&line_out(slot, line))?;
        records += 1;
    }
    let open = book.holds.open();
    let open = open.map(|(number, hold)| Record::Held(Box::new(hold.shape(number.0, None))));
    let over = book.holds.over().map(over_out);
    let nothing = |slot, watermark| HoldChange::LineEnds { slot, watermark, parts: Vec::new() };
    let ending = book.lines().filter(|(_, line)| line.is_ending && !line.tally.closed);
    let ending = ending.map(|(slot, line)| nothing(slot, line.watermark).shape());
    for record in open.chain(over).chain(ending) {
        put(&record)?;
        records += 1;
    }
    let kept_at = first + 1 + records;
    for record in kept.iter().map(KeptKey::shape).chain(rounded.iter().map(Change::shape)) {
        put(&record)?;
        records += 1;
    }
    put(&Record::HeadEnd { records })?;
    Ok(Snapshot { bytes, kept_at, sequence: sequence - 1 })
}
