//! The state machine of one group: committed entries go into the ledger's state. Not here: which entries are committed.
//!
//! It lives in memory; what is on disk is the last snapshot and the log behind it.

use crate::blocking::off_the_tasks;
use crate::codec::decode_command;
use crate::raft::{Answers, Entry, LogId, Proposals, Snapshot, SnapshotMeta, StoredMembership, Types};
use crate::snapshot::{Replicated, SnapshotFile, SnapshotStore};
use futures::{Stream, TryStreamExt};
use ledger::{Command, State};
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use tokio::sync::Notify;
use types::Timestamp;
use wire::blob::Blob;
use wire::envelope::{decode, encode};
use wire::ledger::Batch;

/// Clones are the same machine.
#[derive(Clone)]
pub(crate) struct Machine(Arc<Inner>);

struct Inner {
    replicated: RwLock<Replicated>,
    snapshots: SnapshotStore,
    /// Bytes of entries applied since the last snapshot was begun; past the bound `too_long` is told.
    bytes_since_snapshot: AtomicU64,
    snapshot_every_bytes: u64,
    too_long: Notify,
}

impl Machine {
    pub(crate) fn new(snapshots: SnapshotStore, replicated: Replicated, snapshot_every_bytes: u64) -> Self {
        Self(Arc::new(Inner {
            replicated: RwLock::new(replicated),
            snapshots,
            bytes_since_snapshot: AtomicU64::new(0),
            snapshot_every_bytes,
            too_long: Notify::new(),
        }))
    }

    /// Reads the state with the index up to which it was applied. Nothing is applied meanwhile: be quick.
    pub(crate) fn look<T>(&self, see: impl FnOnce(u64, &State) -> T) -> T {
        // A reader that panicked has changed nothing.
        let replicated = self.0.replicated.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        see(replicated.last.map_or(0, |id| id.index), &replicated.state)
    }

    pub(crate) fn snapshots(&self) -> &SnapshotStore {
        &self.0.snapshots
    }

    /// Returns when the entries since the last snapshot have too many bytes.
    pub(crate) async fn too_long(&self) {
        self.0.too_long.notified().await;
    }

    fn clone_replicated(&self) -> Replicated {
        self.0.replicated.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn replace(&self, replicated: Replicated) {
        *self.0.replicated.write().unwrap_or_else(std::sync::PoisonError::into_inner) = replicated;
    }

    fn apply_entry(&self, entry: Entry) -> io::Result<Answers> {
        let mut replicated = self.0.replicated.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let answers = match entry.payload {
            EntryPayload::Blank => Answers { at: replicated.state.now, applied: Vec::new() },
            EntryPayload::Membership(membership) => {
                replicated.membership = StoredMembership::new(Some(entry.log_id), membership);
                Answers { at: replicated.state.now, applied: Vec::new() }
            }
            EntryPayload::Normal(Proposals(bytes)) => {
                self.count(bytes.0.len());
                apply_batch(&mut replicated.state, &bytes)?
            }
        };
        replicated.last = Some(entry.log_id);
        Ok(answers)
    }

    fn count(&self, bytes: usize) {
        let sum = self.0.bytes_since_snapshot.fetch_add(bytes as u64, Ordering::Relaxed);
        if sum + bytes as u64 >= self.0.snapshot_every_bytes {
            self.0.bytes_since_snapshot.store(0, Ordering::Relaxed);
            self.0.too_long.notify_one();
        }
    }
}

/// Commands as the bytes of one entry.
pub(crate) fn encode_batch(at: Timestamp, commands: Vec<Blob>) -> io::Result<Proposals> {
    let batch = Batch { at: at.millis(), commands };
    Ok(Proposals(encode(&batch).map_err(io::Error::other)?.into()))
}

fn apply_batch(state: &mut State, bytes: &Blob) -> io::Result<Answers> {
    let Batch { at, commands } = decode(&bytes.0).map_err(io::Error::other)?;
    let commands = commands.iter().map(|command| decode_command(&command.0));
    let commands = commands.collect::<Result<Vec<Command>, _>>().map_err(io::Error::other)?;
    let at = Timestamp::from_millis(at);
    // The ledger asserts its invariants. A broken one stops this group and no other.
    let applied =
        catch_unwind(AssertUnwindSafe(|| commands.iter().map(|command| state.apply(at, command)).collect()));
    let applied =
        applied.map_err(|panic| io::Error::other(format!("the ledger stopped: {}", words(&*panic))))?;
    Ok(Answers { at: state.now, applied })
}

fn words(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let replicated = self.0.replicated.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok((replicated.last, replicated.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            let answers = self.apply_entry(entry)?;
            if let Some(responder) = responder {
                responder.send(answers);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        self.0.bytes_since_snapshot.store(0, Ordering::Relaxed);
        Builder { replicated: Arc::new(self.clone_replicated()), snapshots: self.0.snapshots.clone() }
    }

    async fn install_snapshot(&mut self, _: &SnapshotMeta, snapshot: SnapshotFile) -> io::Result<()> {
        let snapshots = self.0.snapshots.clone();
        let installed = off_the_tasks(snapshots.is_inline(), move || snapshots.install(snapshot)).await?;
        self.replace(Arc::unwrap_or_clone(installed));
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let current = self.0.snapshots.current();
        Ok(current.map(|snapshot| Snapshot { meta: snapshot.meta.clone(), snapshot }))
    }
}

/// Makes one snapshot of the state as it was when the builder was.
pub(crate) struct Builder {
    replicated: Arc<Replicated>,
    snapshots: SnapshotStore,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let (replicated, snapshots) = (self.replicated.clone(), self.snapshots.clone());
        let saved = off_the_tasks(snapshots.is_inline(), move || snapshots.save(&replicated)).await?;
        Ok(Snapshot { meta: saved.meta.clone(), snapshot: saved })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::encode_command;
    use platform::{Disk, MemDisk};
    use std::path::Path;
    use wire::raft as shape;

    fn machine() -> Machine {
        let directory = MemDisk::new().directory(Path::new("/d")).unwrap();
        let (snapshots, replicated) = SnapshotStore::open(1, directory).unwrap();
        Machine::new(snapshots, replicated, u64::MAX)
    }

    fn entry(index: u64, at: i64, commands: Vec<Blob>) -> Entry {
        let proposals = encode_batch(Timestamp::from_millis(at), commands).unwrap();
        let log_id = crate::shapes::log_id(shape::LogId { term: 1, node: 1, index });
        Entry { log_id, payload: EntryPayload::Normal(proposals) }
    }

    fn tick() -> Blob {
        let command = Command::Tick { workspace: "w".parse().unwrap() };
        encode_command(&command).unwrap().into()
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_not_half_applied() {
        let machine = machine();
        let answers = machine.apply_entry(entry(1, 5, vec![tick(), tick()])).unwrap();
        assert_eq!((answers.applied.len(), answers.at.millis()), (2, 5));
        let unreadable = vec![tick(), vec![41, 99, 0].into()];
        let error = machine.apply_entry(entry(2, 7, unreadable)).unwrap_err();
        assert!(error.to_string().contains("run a newer one"), "{error}");
        machine.look(|index, state| assert_eq!((index, state.now.millis()), (1, 5)));
    }

    #[test]
    fn the_time_of_an_earlier_entry_stands() {
        let machine = machine();
        machine.apply_entry(entry(1, 9, vec![tick()])).unwrap();
        assert_eq!(machine.apply_entry(entry(2, 3, vec![tick()])).unwrap().at.millis(), 9);
    }
}
