//! The one task that owns the book and the newest segment: takes operations in order, writes them, syncs for those who
//! wait. Not here: what each operation decides (`perform`), and how a segment follows another (`rotate`).
//!
//! Each operation is decided, encoded, applied, and its record put behind the others of the batch; one write hands the
//! batch to the kernel, then those who asked for no more are answered. The others wait for one sync that began after
//! their write; who comes during a sync shares the next. No timer.
//!
//! The book may run ahead of the file by one batch. If the write fails, the next segment opens with a snapshot of the
//! book, so that nothing is lost; if that fails too, the journal stops, and its book is never read again.

use crate::book::{Book, Capture};
use crate::change::{Change, Slot};
use crate::keys::KeyTable;
use crate::ops::{Answer, Op, Reply};
use crate::refused::{Refused, Unsound};
use crate::segment::STOPPED;
use crate::words::{LineNumbers, Options};
use platform::{BootId, Clock, Directory, DiskFile};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use types::DiskId;
use wire::journal::{MARK_BYTES, Mark, append};

/// What callers see of the writer without asking it.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub stopped: OnceLock<String>,
    /// Rung when `stopped` is set.
    pub stop: tokio::sync::Notify,
    /// No new segment could be made; the text says why.
    pub full: AtomicBool,
    pub synced_sequence: AtomicU64,
    pub open_holds: AtomicUsize,
}

/// Which part of a segment a record may use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// All but the tail.
    Charges,
    /// The tail too: giving back must work on a full disk.
    Returns,
}

/// The segment that is written.
#[derive(Debug)]
pub(crate) struct Segment {
    pub file: Arc<dyn DiskFile>,
    pub first_sequence: u64,
    /// Where the next write goes.
    pub at: u64,
    pub capacity_bytes: u64,
    pub tail_bytes: u64,
}

impl Segment {
    fn limit(&self, room: Room) -> u64 {
        match room {
            Room::Returns => self.capacity_bytes,
            Room::Charges => self.capacity_bytes - self.tail_bytes,
        }
    }

    /// The last eighth before the tail is for charges that were let in before it was known that there is no more.
    fn is_due(&self) -> bool {
        self.at >= (self.capacity_bytes - self.tail_bytes) / 8 * 7
    }
}

/// A segment that is kept for its keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Older {
    pub first_sequence: u64,
    pub end_sequence: u64,
    pub bytes: u64,
}

/// How far a sync reaches.
#[derive(Debug)]
pub(crate) struct SyncPoint {
    sequence: u64,
    bytes: u64,
    captured: Capture,
}

#[derive(Debug)]
struct Syncing {
    task: JoinHandle<io::Result<()>>,
    point: SyncPoint,
}

#[derive(Debug)]
pub(crate) struct Writer {
    pub options: Options,
    pub directory: Arc<dyn Directory>,
    pub clock: Arc<dyn Clock>,
    pub disk: DiskId,
    pub boot: BootId,
    pub shared: Arc<Shared>,
    pub keys: Arc<KeyTable>,
    pub book: Book,
    /// The last record's.
    pub sequence: u64,
    pub segment: Segment,
    pub older: Vec<Older>,
    pub synced_sequence: u64,
    pub synced_bytes: u64,
    /// Records that are applied and not yet written.
    pub batch: Vec<u8>,
    /// Answers that go out with the write, and those that wait for a sync, by their sequence.
    pub answers: Vec<Answer>,
    pub waiting: VecDeque<(u64, Answer)>,
    /// Who waits for charges to arrive.
    pub closing: BTreeMap<Slot, Vec<Reply<LineNumbers>>>,
    /// Why this batch found no room; it tries once.
    pub no_room: Option<String>,
    syncing: Option<Syncing>,
}

/// File work, off the task where it may block.
pub(crate) async fn off_task<T: Send + 'static>(
    inline: bool,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    if inline {
        return work();
    }
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|gone| Err(io::Error::other(gone)))
}

async fn end_of(syncing: &mut Option<Syncing>) -> io::Result<()> {
    match syncing {
        None => std::future::pending().await,
        Some(running) => (&mut running.task).await.unwrap_or_else(|gone| Err(io::Error::other(gone))),
    }
}

impl Writer {
    pub fn new(parts: WriterParts, segment: Segment) -> Self {
        let WriterParts { options, directory, clock, disk, boot, shared, keys, book, sequence, older } =
            parts;
        Self {
            options,
            directory,
            clock,
            disk,
            boot,
            shared,
            keys,
            book,
            sequence,
            synced_bytes: segment.at,
            segment,
            older,
            synced_sequence: sequence,
            batch: Vec::new(),
            answers: Vec::new(),
            waiting: VecDeque::new(),
            closing: BTreeMap::new(),
            no_room: None,
            syncing: None,
        }
    }

    /// Runs until every `Journal` is dropped; then syncs what is written.
    pub async fn run(mut self, mut intake: mpsc::Receiver<Op>) {
        let mut ops = Vec::with_capacity(self.options.batch_max);
        loop {
            let room = self.waiting.len() < self.options.waiting_max;
            tokio::select! {
                biased;
                outcome = end_of(&mut self.syncing) => {
                    self.sync_ended(outcome).await;
                    self.sync_for_waiting().await;
                }
                taken = intake.recv_many(&mut ops, self.options.batch_max), if room => {
                    if taken == 0 {
                        break;
                    }
                    self.take(&mut ops).await;
                }
            }
        }
        if !self.is_stopped() {
            self.sync_all().await;
        }
    }

    async fn take(&mut self, ops: &mut Vec<Op>) {
        self.no_room = None;
        if self.segment.is_due() && !self.is_stopped() {
            // Refused or not: there is the rest of this segment.
            let _full = self.roll().await;
        }
        for op in ops.drain(..) {
            match self.why_stopped() {
                Some(why) => op.refuse(why),
                None => self.perform(op).await,
            }
        }
        self.write().await;
        self.sync_for_waiting().await;
    }

    /// Encodes and applies a change. `Err` means that it has no effect.
    pub async fn record(&mut self, change: &Change, room: Room) -> Result<u64, Refused> {
        if !self.encode(change, room)? {
            self.roll().await?;
            if !self.encode(change, room)? {
                return Err(Refused::StorageFull {
                    why: "a record does not fit into an empty segment".into(),
                });
            }
        }
        self.sequence += 1;
        match self.book.apply(change, self.sequence) {
            Ok(()) => Ok(self.sequence),
            Err(unsound) => Err(self.stop_unsound(&unsound)),
        }
    }

    /// `false` where the segment has no room for it.
    fn encode(&mut self, change: &Change, room: Room) -> Result<bool, Refused> {
        let start = self.batch.len();
        if let Err(why) = append(&mut self.batch, &change.shape()) {
            return Err(self.stop_unsound(&Unsound(why.to_string())));
        }
        let fits = self.segment.at + self.batch.len() as u64 <= self.segment.limit(room);
        if !fits {
            self.batch.truncate(start);
        }
        Ok(fits)
    }

    /// Hands the batch to the kernel and gives the answers that waited for it.
    pub async fn write(&mut self) {
        if !self.batch.is_empty() && !self.is_stopped() {
            match self.segment.file.write_at(self.segment.at, &self.batch) {
                Ok(()) => self.segment.at += self.batch.len() as u64,
                Err(error) => self.rescue(format!("a write failed: {error}")).await,
            }
            self.batch.clear();
        }
        let why = self.why_stopped();
        for answer in self.answers.drain(..) {
            match &why {
                None => answer.give(&self.book, &self.keys),
                Some(why) => answer.refuse(why.clone()),
            }
        }
    }

    // Syncing.

    fn sync_point(&mut self) -> SyncPoint {
        SyncPoint { sequence: self.sequence, bytes: self.segment.at, captured: self.book.capture() }
    }

    async fn sync_for_waiting(&mut self) {
        while self.syncing.is_none() && !self.waiting.is_empty() && !self.is_stopped() {
            let (point, file) = (self.sync_point(), self.segment.file.clone());
            if self.directory.is_inline() {
                let outcome = file.sync();
                self.synced(point, outcome).await;
            } else {
                self.syncing =
                    Some(Syncing { task: tokio::task::spawn_blocking(move || file.sync()), point });
            }
        }
    }

    async fn sync_ended(&mut self, outcome: io::Result<()>) {
        if let Some(ended) = self.syncing.take() {
            self.synced(ended.point, outcome).await;
        }
    }

    /// Makes durable whatever is written.
    pub async fn sync_all(&mut self) {
        if self.syncing.is_some() {
            let outcome = end_of(&mut self.syncing).await;
            self.sync_ended(outcome).await;
        }
        if self.synced_sequence < self.sequence && !self.is_stopped() {
            let (point, file) = (self.sync_point(), self.segment.file.clone());
            let outcome = off_task(self.directory.is_inline(), move || file.sync()).await;
            self.synced(point, outcome).await;
        }
    }

    async fn synced(&mut self, point: SyncPoint, outcome: io::Result<()>) {
        if let Err(error) = outcome {
            return self.rescue(format!("a sync failed: {error}")).await;
        }
        self.synced_bytes = point.bytes;
        self.book.synced(point.captured);
        self.durable_up_to(point.sequence);
        if self.segment.at + MARK_BYTES as u64 <= self.segment.capacity_bytes
            && append(&mut self.batch, &Mark::new(point.bytes)).is_ok()
        {
            self.write().await;
        }
    }

    /// Answers those who waited for it.
    pub fn durable_up_to(&mut self, sequence: u64) {
        self.synced_sequence = sequence;
        self.shared.synced_sequence.store(sequence, Ordering::Release);
        while self.waiting.front().is_some_and(|(position, _)| *position <= sequence) {
            if let Some((_, answer)) = self.waiting.pop_front() {
                answer.give(&self.book, &self.keys);
            }
        }
    }

    /// A sync of a segment that is given up ends for nobody.
    pub fn forget_running_sync(&mut self) {
        self.syncing = None;
    }

    // Stopping.

    pub fn is_stopped(&self) -> bool {
        self.shared.stopped.get().is_some()
    }

    pub fn why_stopped(&self) -> Option<Refused> {
        self.shared.stopped.get().map(|why| Refused::Stopped { why: why.clone() })
    }

    pub fn stop_unsound(&mut self, unsound: &Unsound) -> Refused {
        self.stop(unsound.to_string())
    }

    /// Everybody is refused from now on. A file says so to the next start, in case the page cache lies.
    pub fn stop(&mut self, why: String) -> Refused {
        tracing::error!(why, "the journal has stopped");
        let refused = Refused::Stopped { why: why.clone() };
        let _already = self.shared.stopped.set(why);
        self.shared.stop.notify_waiters();
        let _unwritable = self.directory.create(STOPPED).and_then(|file| file.sync());
        let waiting = std::mem::take(&mut self.waiting).into_iter().map(|(_, answer)| answer);
        for answer in waiting.chain(std::mem::take(&mut self.answers)) {
            answer.refuse(refused.clone());
        }
        for reply in std::mem::take(&mut self.closing).into_values().flatten() {
            let _gone = reply.send(Err(refused.clone()));
        }
        refused
    }
}

/// What a writer is made of, besides its first segment.
#[derive(Debug)]
pub(crate) struct WriterParts {
    pub options: Options,
    pub directory: Arc<dyn Directory>,
    pub clock: Arc<dyn Clock>,
    pub disk: DiskId,
    pub boot: BootId,
    pub shared: Arc<Shared>,
    pub keys: Arc<KeyTable>,
    pub book: Book,
    pub sequence: u64,
    pub older: Vec<Older>,
}
