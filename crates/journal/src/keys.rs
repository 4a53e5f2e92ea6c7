//! Which keys were used within the window, and what they were answered; shared by all request tasks. Not here: how keys
//! reach the disk: a key and its debit are one record, see `writer`.
//!
//! A key is begun before the spend, stored when its record is written, and shown when its charge is answered. Nothing
//! is ever evicted before its time: a full window takes no new key. Refusals leave no trace.
//!
//! When a key is forgotten, no clock of this machine alone decides: it may be wrong, and a key that is forgotten too early
//! charges twice. A key is forgotten a window of the time since boot after it was used; one that was found at the start, at
//! the latest so long after it. Sooner only by its date, which is what it was at the latest when the key was used, and by
//! what it is at the earliest now: both from most nodes' clocks, or unknown. Nothing is forgotten by a start or a new
//! segment, so that what is on the disk counts for the bound on all keys.

use crate::change::{Answered, KeptKey};
use crate::holds::words::Held;
use crate::words::Charged;
use platform::{Clock, Surely};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use types::planted::{Mistake, is_planted};
use types::{IdempotencyKey, Timestamp, UserId, WorkspaceId};

const SHARDS: usize = 64;

/// A key within its scope.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyName {
    pub workspace: WorkspaceId,
    pub user: UserId,
    pub key: IdempotencyKey,
}

/// What one key takes in memory, estimated: its text and 512 bytes.
pub fn cost_bytes(workspace: &WorkspaceId, user: &UserId, key: &IdempotencyKey) -> u64 {
    (512 + workspace.as_str().len() + user.as_str().len() + key.as_str().len()) as u64
}

impl KeyName {
    fn cost_bytes(&self) -> u64 {
        cost_bytes(&self.workspace, &self.user, &self.key)
    }

    /// What the key takes on disk when it is carried into another segment, estimated from above.
    pub fn kept_bytes(&self) -> u64 {
        self.cost_bytes()
    }
}

/// What a key means for a command.
#[derive(Debug)]
pub enum Begun {
    /// Go on, and put the guard into the charge.
    Fresh(KeyGuard),
    /// This very command was answered so.
    Replay(Arc<Charged>),
    /// The same of a command that opened a hold.
    ReplayHold(Arc<Held>),
    /// The key was used for another command.
    Conflict,
    /// The first one has not been answered yet.
    InFlight,
    /// No new key fits until older ones expire.
    Full,
}

/// The right to use a key. Dropped without a charge it leaves the key unused.
#[derive(Debug)]
pub struct KeyGuard {
    table: Arc<KeyTable>,
    name: Arc<KeyName>,
    command_hash: [u8; 32],
    stored: bool,
}

#[derive(Debug)]
struct Entry {
    command_hash: [u8; 32],
    answer: Option<Answer>,
}

#[derive(Debug)]
struct Answer {
    answered: Answered,
    position: u64,
    at: Timestamp,
    /// The charge was answered, so the key may be too.
    shown: bool,
}

/// See the head of this file.
#[derive(Debug)]
pub struct KeyTable {
    window_ms: u32,
    bytes_max: u64,
    bytes: AtomicU64,
    shards: Vec<Mutex<HashMap<Arc<KeyName>, Entry>>>,
    index: Mutex<Index>,
    /// What it was at the latest, as [`KeyTable::expire`] was told last, ahead of the time since boot.
    latest_ahead_ms: AtomicI64,
    clock: Arc<dyn Clock>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    No,
    AtTheStart,
}

/// Before [`KeyTable::expire`] is told the time.
const NOBODY_SAID: i64 = i64::MIN;
/// Of a key that was used before the time was known: later than every time.
const UNDATED: Timestamp = Timestamp::from_millis(i64::MAX);

/// Stored keys by the record that holds them, and by when they expire.
#[derive(Debug, Default)]
struct Index {
    by_position: BTreeMap<u64, Stored>,
    by_boottime: BTreeSet<(u64, u64)>,
    by_date: BTreeSet<(Timestamp, u64)>,
}

#[derive(Clone, Debug)]
struct Stored {
    /// Of the time since boot.
    until_ms: u64,
    /// When its window is over by its date, where it was found at the start.
    over_at: Option<Timestamp>,
    name: Arc<KeyName>,
}

impl Index {
    fn insert(&mut self, position: u64, stored: Stored) {
        self.by_boottime.insert((stored.until_ms, position));
        self.by_date.extend(stored.over_at.map(|over_at| (over_at, position)));
        self.by_position.insert(position, stored);
    }

    fn remove(&mut self, position: u64) -> Option<Stored> {
        let stored = self.by_position.remove(&position)?;
        self.by_boottime.remove(&(stored.until_ms, position));
        stored.over_at.map(|over_at| self.by_date.remove(&(over_at, position)));
        Some(stored)
    }

    /// One whose time has come.
    fn over(&self, boottime_ms: u64, now: Option<Timestamp>) -> Option<u64> {
        let first = self.by_boottime.first().filter(|(until_ms, _)| *until_ms <= boottime_ms);
        let dated = || self.by_date.first().filter(|(over_at, _)| now.is_some_and(|now| *over_at <= now));
        first.map(|(_, position)| *position).or_else(|| dated().map(|(_, position)| *position))
    }
}

impl KeyTable {
    /// Of `clock` the time since boot is asked, nothing else.
    pub(crate) fn new(window_ms: u32, bytes_max: u64, clock: Arc<dyn Clock>) -> Arc<Self> {
        let shards = (0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect();
        let (bytes, latest_ahead_ms) = (AtomicU64::new(0), AtomicI64::new(NOBODY_SAID));
        Arc::new(Self {
            window_ms,
            bytes_max,
            bytes,
            shards,
            index: Mutex::default(),
            latest_ahead_ms,
            clock,
        })
    }

    /// Asks for a key before anything is spent.
    pub fn begin(
        self: &Arc<Self>,
        workspace: &WorkspaceId,
        user: &UserId,
        key: &IdempotencyKey,
        command_hash: [u8; 32],
    ) -> Begun {
        let name = KeyName { workspace: workspace.clone(), user: user.clone(), key: key.clone() };
        let mut shard = self.shard(&name);
        if let Some(entry) = shard.get(&name) {
            return match &entry.answer {
                _ if entry.command_hash != command_hash => Begun::Conflict,
                Some(Answer { answered: Answered::Charged(charged), shown: true, .. }) => {
                    Begun::Replay(charged.clone())
                }
                Some(Answer { answered: Answered::Held(held), shown: true, .. }) => {
                    Begun::ReplayHold(held.clone())
                }
                _ => Begun::InFlight,
            };
        }
        let cost = name.cost_bytes();
        let fits = |bytes: u64| bytes.checked_add(cost).filter(|sum| *sum <= self.bytes_max);
        if self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_err() {
            return Begun::Full;
        }
        let name = Arc::new(name);
        shard.insert(name.clone(), Entry { command_hash, answer: None });
        Begun::Fresh(KeyGuard { table: self.clone(), name, command_hash, stored: false })
    }

    /// Forgets the keys whose window is over; `now` is what time it surely is, if that can be said.
    pub fn expire(&self, now: Option<Surely>) {
        let boottime_ms = self.clock.boottime_ms();
        if let Some(Surely { to, .. }) = now {
            let ahead_ms = to.millis().saturating_sub(signed(boottime_ms));
            self.latest_ahead_ms.store(ahead_ms, Ordering::Relaxed);
        }
        let mut expired = Vec::new();
        let mut index = self.index();
        while let Some(position) = index.over(boottime_ms, now.map(|now| now.from)) {
            expired.extend(index.remove(position));
        }
        drop(index);
        for stored in expired {
            self.remove(&stored.name);
        }
    }

    /// Bytes taken by all keys, those in flight included.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn remove(&self, name: &KeyName) {
        if self.shard(name).remove(name).is_some() {
            self.bytes.fetch_sub(name.cost_bytes(), Ordering::Relaxed);
        }
    }

    fn shard(&self, name: &KeyName) -> MutexGuard<'_, HashMap<Arc<KeyName>, Entry>> {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let at = (hasher.finish() % SHARDS as u64) as usize;
        self.shards[at].lock().expect("nothing panics while a shard is held")
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().expect("nothing panics while the index is held")
    }

    // The writer's side.

    /// When a key is used, at the latest: an earlier date, by a clock that is slow, would cut its window short. Before the
    /// time is known it has none.
    pub(crate) fn dated(&self, at: Timestamp) -> Timestamp {
        match self.latest_ahead_ms.load(Ordering::Relaxed) {
            _ if is_planted(Mistake::OwnWallEndsKeys) => at,
            NOBODY_SAID => UNDATED,
            ahead_ms => at.max(Timestamp::from_millis(signed(self.clock.boottime_ms())).plus_ms(ahead_ms)),
        }
    }

    /// The charge is in the book; the key stays in flight until it is shown.
    pub(crate) fn store(
        &self,
        mut guard: KeyGuard,
        answered: Answered,
        position: u64,
        at: Timestamp,
    ) -> Arc<KeyName> {
        let name = guard.name.clone();
        guard.stored = true;
        let answer = Answer { answered, position, at, shown: false };
        self.enter(name.clone(), guard.command_hash, answer, Found::No);
        name
    }

    fn enter(&self, name: Arc<KeyName>, command_hash: [u8; 32], answer: Answer, found: Found) {
        let (position, at) = (answer.position, answer.at);
        let answer = Some(answer);
        self.shard(&name).insert(name.clone(), Entry { command_hash, answer });
        let until_ms = self.clock.boottime_ms() + u64::from(self.window_ms);
        let by_date = found == Found::AtTheStart || is_planted(Mistake::OwnWallEndsKeys);
        let over_at = by_date.then(|| at.plus_ms(i64::from(self.window_ms)));
        self.index().insert(position, Stored { until_ms, over_at, name });
    }

    /// The charge is answered.
    pub(crate) fn show(&self, name: &KeyName) {
        if let Some(answer) = self.shard(name).get_mut(name).and_then(|entry| entry.answer.as_mut()) {
            answer.shown = true;
        }
    }

    /// A key found in the journal; the later record of a key counts.
    pub(crate) fn restore(&self, kept: KeptKey) {
        let name = Arc::new(KeyName {
            workspace: kept.workspace.clone(),
            user: kept.user.clone(),
            key: kept.key.clone(),
        });
        let before = self
            .shard(&name)
            .get(&name)
            .and_then(|entry| entry.answer.as_ref().map(|answer| answer.position));
        if let Some(position) = before {
            self.index().remove(position);
            self.remove(&name);
        }
        self.bytes.fetch_add(name.cost_bytes(), Ordering::Relaxed);
        let KeptKey { command_hash, at, position, answer: answered, .. } = kept;
        self.enter(name, command_hash, Answer { answered, position, at, shown: true }, Found::AtTheStart);
    }

    /// The stored keys whose records stand at these positions.
    pub(crate) fn stored_at(&self, positions: Range<u64>) -> Vec<Arc<KeyName>> {
        self.index().by_position.range(positions).map(|(_, stored)| stored.name.clone()).collect()
    }

    /// Whether the keys at these positions take more than so many bytes; walks no further than it must.
    pub(crate) fn more_than(&self, bytes_max: u64, positions: Range<u64>) -> bool {
        let mut bytes = 0;
        let index = self.index();
        let mut names = index.by_position.range(positions);
        names.any(|(_, stored)| {
            bytes += stored.name.kept_bytes();
            bytes > bytes_max
        })
    }

    /// A stored key as it is carried into another segment.
    pub(crate) fn kept(&self, name: &KeyName) -> Option<KeptKey> {
        let shard = self.shard(name);
        let entry = shard.get(name)?;
        let answer = entry.answer.as_ref()?;
        Some(KeptKey {
            workspace: name.workspace.clone(),
            user: name.user.clone(),
            key: name.key.clone(),
            command_hash: entry.command_hash,
            at: answer.at,
            position: answer.position,
            answer: answer.answered.clone(),
        })
    }

    /// The key now stands at another record.
    pub(crate) fn moved(&self, name: &KeyName, from: u64, to: u64) {
        let mut index = self.index();
        let Some(stored) = index.remove(from) else { return };
        index.insert(to, stored);
        drop(index);
        if let Some(answer) = self.shard(name).get_mut(name).and_then(|entry| entry.answer.as_mut()) {
            answer.position = to;
            if let Answered::Charged(charged) = &mut answer.answered {
                Arc::make_mut(charged).position = to;
            }
        }
    }
}

impl KeyGuard {
    pub(crate) fn workspace(&self) -> &WorkspaceId {
        &self.name.workspace
    }

    pub(crate) fn user(&self) -> &UserId {
        &self.name.user
    }

    pub(crate) fn key(&self) -> &IdempotencyKey {
        &self.name.key
    }

    pub(crate) fn command_hash(&self) -> [u8; 32] {
        self.command_hash
    }
}

impl Drop for KeyGuard {
    fn drop(&mut self) {
        if !self.stored {
            self.table.remove(&self.name);
        }
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
