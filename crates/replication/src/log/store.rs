//! One group's log as openraft wants it. The end of the log is in memory: what is not yet on disk, and as much of the
//! rest as the bound allows; older entries are read from the database.
//!
//! Not here: when the disk is written.

use super::database::{Fact, LogDatabase, Write};
use super::writer::LogWriter;
use crate::raft::{Entry, LogId, Membership, Types, Vote};
use crate::shapes;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use openraft::{EntryPayload, OptionalSend};
use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::oneshot;
use wire::envelope::{Frozen, decode, encode};
use wire::raft as shape;

/// The most bytes of entries that go into one request to another node.
const REQUEST_ENTRIES_BYTES: usize = 4 * 1024 * 1024;

/// Clones are the same log.
#[derive(Clone)]
pub(crate) struct GroupLog(Arc<Inner>);

struct Inner {
    group: u16,
    database: Arc<LogDatabase>,
    writer: LogWriter,
    tail_bytes_max: usize,
    tail: Mutex<Tail>,
}

/// What is known without asking the disk.
struct Tail {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    last: Option<LogId>,
    /// The end of the log, without gaps, with the bytes of each entry.
    entries: VecDeque<(Entry, usize)>,
    bytes: usize,
    /// Entries before this index are on disk.
    durable_before: u64,
}

impl GroupLog {
    pub(crate) fn open(
        group: u16,
        database: Arc<LogDatabase>,
        writer: LogWriter,
        tail_bytes_max: usize,
    ) -> io::Result<Self> {
        let pointer = |fact| -> io::Result<Option<LogId>> {
            let stored: Option<shape::Pointer> = read_fact(&database, group, fact)?;
            Ok(stored.and_then(|pointer| pointer.0).map(shapes::log_id))
        };
        let purged = pointer(Fact::Purged)?;
        let stored = database.last_entry(group).map_err(io::Error::other)?;
        let stored = stored.map(|bytes| decode_entry(&bytes)).transpose()?;
        let last = stored.map(|entry| entry.log_id).or(purged);
        let tail = Tail {
            vote: read_fact(&database, group, Fact::Vote)?.map(shapes::vote),
            committed: pointer(Fact::Committed)?,
            purged,
            last,
            entries: VecDeque::new(),
            bytes: 0,
            durable_before: next_index(last),
        };
        Ok(Self(Arc::new(Inner { group, database, writer, tail_bytes_max, tail: Mutex::new(tail) })))
    }

    /// Puts the first entry into an empty log: the same on every node, so that no node depends on another one to
    /// begin. It is what openraft's `initialize` does, but for the log id, which there names the node.
    pub(crate) async fn found(&self, membership: Membership) -> io::Result<()> {
        let log_id = shapes::log_id(shape::LogId { term: 0, node: 0, index: 0 });
        let (done, flushed) = signal();
        self.enqueue([Entry { log_id, payload: EntryPayload::Membership(membership) }], done)?;
        flushed.wait().await
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tail().last.is_none()
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.0.tail.lock().expect("nothing panics while the tail is held")
    }

    fn enqueue(&self, entries: impl IntoIterator<Item = Entry>, done: super::writer::Done) -> io::Result<()> {
        let mut encoded = Vec::new();
        let mut tail = self.tail();
        for entry in entries {
            let bytes = encode(&shapes::entry_shape(&entry)).map_err(io::Error::other)?;
            let index = entry.log_id.index;
            tail.last = Some(entry.log_id);
            tail.bytes += bytes.len();
            tail.entries.push_back((entry, bytes.len()));
            encoded.push((index, bytes));
        }
        let end = next_index(tail.last);
        let log = self.clone();
        let done = move |result: io::Result<()>| {
            if result.is_ok() {
                log.flushed(end);
            }
            done(result);
        };
        // Under the lock, so that the queue has the order of the log.
        self.0.writer.write(self.0.group, Write::Append(encoded), Box::new(done));
        drop(tail);
        Ok(())
    }

    /// All before `end` is on disk; what memory is past its bound may go.
    fn flushed(&self, end: u64) {
        let mut tail = self.tail();
        tail.durable_before = tail.durable_before.max(end);
        while tail.bytes > self.0.tail_bytes_max
            && let Some((front, bytes)) = tail.entries.front()
            && front.log_id.index < tail.durable_before
        {
            let bytes = *bytes;
            tail.entries.pop_front();
            tail.bytes -= bytes;
        }
    }

    fn read(&self, range: Range<u64>, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let (start, end, cached_from, cached) = {
            let tail = self.tail();
            let start = range.start.max(next_index(tail.purged));
            let end = range.end.min(next_index(tail.last));
            let cached_from = tail.entries.front().map_or(end, |(entry, _)| entry.log_id.index);
            (start, end, cached_from, tail.cached(start, end, bytes_max))
        };
        if start >= end || start >= cached_from {
            return Ok(cached);
        }
        let stored = self.0.database.entries(self.0.group, start..end.min(cached_from), bytes_max);
        let stored = stored.map_err(io::Error::other)?;
        let mut entries = stored.iter().map(|bytes| decode_entry(bytes)).collect::<io::Result<Vec<_>>>()?;
        let reached = entries.last().map_or(cached_from, |entry| entry.log_id.index + 1);
        // A bounded read ends where memory begins; the next one goes on from there.
        if reached == cached_from && (bytes_max == usize::MAX || entries.is_empty()) {
            entries.extend(cached);
        }
        Ok(entries)
    }

    async fn write(&self, write: Write) -> io::Result<()> {
        let (done, flushed) = signal();
        self.0.writer.write(self.0.group, write, done);
        flushed.wait().await
    }
}

impl Tail {
    fn cached(&self, start: u64, end: u64, bytes_max: usize) -> Vec<Entry> {
        let Some((front, _)) = self.entries.front() else { return Vec::new() };
        let skip = usize::try_from(start.saturating_sub(front.log_id.index)).unwrap_or(usize::MAX);
        let (mut found, mut sum) = (Vec::new(), 0);
        for (entry, bytes) in self.entries.iter().skip(skip).take_while(|(e, _)| e.log_id.index < end) {
            sum += bytes;
            if sum > bytes_max && !found.is_empty() {
                break;
            }
            found.push(entry.clone());
        }
        found
    }

    fn forget_from(&mut self, index: u64) {
        while let Some((_, bytes)) = self.entries.pop_back_if(|(entry, _)| entry.log_id.index >= index) {
            self.bytes -= bytes;
        }
    }

    fn forget_upto(&mut self, index: u64) {
        while let Some((_, bytes)) = self.entries.pop_front_if(|(entry, _)| entry.log_id.index <= index) {
            self.bytes -= bytes;
        }
    }
}

impl RaftLogReader<Types> for GroupLog {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        self.read(start..end, usize::MAX)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start..end, REQUEST_ENTRIES_BYTES)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.tail().vote)
    }
}

impl RaftLogStorage<Types> for GroupLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let tail = self.tail();
        Ok(LogState { last_purged_log_id: tail.purged, last_log_id: tail.last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let bytes = encode(&shapes::vote_shape(vote)).map_err(io::Error::other)?;
        self.write(Write::Fact(Fact::Vote, bytes)).await?;
        self.tail().vote = Some(*vote);
        Ok(())
    }

    /// Not synced by itself: it rides with the next write, behind the entries it speaks of. What is lost of it is
    /// learned again from the leader.
    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let pointer = shape::Pointer(committed.as_ref().map(shapes::log_id_shape));
        let bytes = encode(&pointer).map_err(io::Error::other)?;
        let mut tail = self.tail();
        tail.committed = committed;
        self.0.writer.write_some_time(self.0.group, Write::Fact(Fact::Committed, bytes));
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.tail().committed)
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.enqueue(entries, Box::new(move |result| flushed.io_completed(result)))
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let from = next_index(last);
        {
            let mut tail = self.tail();
            tail.forget_from(from);
            tail.last = tail.last.min(last);
        }
        self.write(Write::Truncate(from)).await?;
        // Only now: an append from before may have been told of its flush meanwhile.
        let mut tail = self.tail();
        tail.durable_before = tail.durable_before.min(from);
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        let pointer = shape::Pointer(Some(shapes::log_id_shape(&upto)));
        let bytes = encode(&pointer).map_err(io::Error::other)?;
        {
            let mut tail = self.tail();
            tail.forget_upto(upto.index);
            tail.purged = Some(upto);
            tail.last = tail.last.max(Some(upto));
            tail.durable_before = tail.durable_before.max(upto.index + 1);
        }
        self.write(Write::Purge(upto.index, bytes)).await
    }
}

struct Flushed(oneshot::Receiver<io::Result<()>>);

impl Flushed {
    async fn wait(self) -> io::Result<()> {
        self.0.await.unwrap_or_else(|_| Err(io::Error::other("the log's writer has ended")))
    }
}

fn signal() -> (super::writer::Done, Flushed) {
    let (tell, told) = oneshot::channel();
    // Nobody may be waiting any more; that is no concern of the disk's.
    (Box::new(move |result| drop(tell.send(result))), Flushed(told))
}

fn next_index(last: Option<LogId>) -> u64 {
    last.map_or(0, |id| id.index + 1)
}

fn read_fact<T: Frozen>(database: &LogDatabase, group: u16, fact: Fact) -> io::Result<Option<T>> {
    let bytes = database.fact(group, fact).map_err(io::Error::other)?;
    bytes.map(|bytes| decode(&bytes)).transpose().map_err(io::Error::other)
}

fn decode_entry(bytes: &[u8]) -> io::Result<Entry> {
    let shape: shape::Entry = decode(bytes).map_err(io::Error::other)?;
    shapes::entry(shape).map_err(io::Error::other)
}
