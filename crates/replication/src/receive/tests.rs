//! Tests of a snapshot's install that takes longer than anybody waits for it.

use crate::histories::{history, steps};
use crate::raft::StoredMembership;
use crate::snapshot::{Replicated, SnapshotStore, state_digest, write};
use crate::{BoxFuture, GroupId, GroupSpec, Options, PeerFault, Peers, Replica, shapes};
use bytes::Bytes;
use platform::{Directory, DirectoryLock, Disk, DiskFile, ManualClock, MemDisk, SeededEntropy};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use types::{NodeId, ShardId, Timestamp};
use wire::envelope::{decode, encode};
use wire::raft::{Answer, Call, Chunk, ChunkTaken, LogId, Membership, Request, Vote};

const ME: NodeId = NodeId(3);
const LEADER: NodeId = NodeId(1);
const S0: GroupId = GroupId::Shard(ShardId(0));
const GROUP: u16 = 1;
const GUARD: Duration = Duration::from_secs(20);
/// Long enough for what does not wait.
const A_WHILE: Duration = Duration::from_millis(200);
const VOTE: Vote = Vote { term: 5, node: 1, committed: true };

/// A directory on which work takes its time, on another thread; it tells when a received snapshot is read, and when one is
/// to get its name.
#[derive(Debug)]
struct Gated {
    inner: Arc<dyn Directory>,
    told: mpsc::UnboundedSender<&'static str>,
    /// A received snapshot gets its name only while this is not held.
    gate: Arc<Mutex<()>>,
}

impl Directory for Gated {
    fn is_inline(&self) -> bool {
        false
    }

    fn lock(&self) -> io::Result<Box<dyn DirectoryLock>> {
        self.inner.lock()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.inner.create(name)?;
        if !name.contains("incoming") {
            return Ok(file);
        }
        Ok(Arc::new(Received { inner: file, told: self.told.clone() }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.inner.open(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        if to != "snapshot-1" {
            return self.inner.rename(from, to);
        }
        self.told.send("named").unwrap();
        let _open = self.gate.lock().unwrap();
        self.inner.rename(from, to)
    }

    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }
}

#[derive(Debug)]
struct Received {
    inner: Arc<dyn DiskFile>,
    told: mpsc::UnboundedSender<&'static str>,
}

impl DiskFile for Received {
    fn len(&self) -> io::Result<u64> {
        self.told.send("read").unwrap();
        self.inner.len()
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.inner.read_at(offset, bytes)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.inner.write_at(offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        self.inner.reserve(bytes)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.inner.truncate(bytes)
    }
}

/// The other nodes do not answer.
#[derive(Debug)]
struct Silent;

impl Peers for Silent {
    fn call(&self, node: NodeId, _: Bytes, _: Duration) -> BoxFuture<'_, Result<Bytes, PeerFault>> {
        Box::pin(async move { Err(PeerFault::Unreachable { node, why: "silent".into() }) })
    }
}

/// A snapshot as the leader has it.
struct Sent {
    bytes: Vec<u8>,
    digest: [u8; 32],
    state: [u8; 32],
}

impl Sent {
    /// The state after so many entries.
    fn after(entries: u64) -> Self {
        let steps = steps(150).new_tree(&mut TestRunner::deterministic()).unwrap().current();
        let mut state = ledger::State::new();
        for (at, command) in history(&steps).into_iter().take(usize::try_from(entries).unwrap()) {
            state.apply(at, &command);
        }
        let last = shapes::log_id(LogId { term: 4, node: 1, index: entries });
        let nodes = Membership { configs: vec![vec![1, 2, 3]], nodes: vec![1, 2, 3] };
        let membership = StoredMembership::new(Some(last), shapes::membership(nodes).unwrap());
        let state_is = state_digest(&state).unwrap();
        let file = MemDisk::new().directory(Path::new("/d")).unwrap().create("s").unwrap();
        let replicated = Replicated { state, last: Some(last), membership };
        let (digest, length) = write(GROUP, &replicated, &*file).unwrap();
        let mut bytes = vec![0; usize::try_from(length).unwrap()];
        file.read_at(0, &mut bytes).unwrap();
        Self { bytes, digest, state: state_is }
    }

    fn piece(&self, from: usize, to: usize) -> Bytes {
        let call = Call::Chunk(Chunk {
            vote: VOTE,
            digest: self.digest,
            total_bytes: self.bytes.len() as u64,
            offset: from as u64,
            bytes: self.bytes[from..to].to_vec().into(),
        });
        Bytes::from(encode(&Request { group: GROUP, call }).unwrap())
    }

    fn whole(&self) -> Bytes {
        self.piece(0, self.bytes.len())
    }
}

async fn open(directory: Arc<dyn Directory>) -> Arc<Replica> {
    let voters = vec![LEADER, NodeId(2), ME];
    let options = Options {
        node: ME,
        groups: vec![GroupSpec { id: S0, voters, learners: Vec::new() }],
        heartbeat_ms: 50,
        election_min_ms: 160,
        election_max_ms: 300,
        rpc_timeout_ms: 500,
        snapshot_timeout_ms: 500,
        command_bytes_max: 1 << 20,
        entry_commands_max: 64,
        entry_bytes_max: 1 << 20,
        waiting_commands_max: 1_024,
        snapshot_every_entries: 1_000,
        snapshot_every_bytes: 1 << 20,
        log_keep_entries: 10,
        chunk_bytes: 1 << 16,
        snapshot_bytes_max: 1 << 24,
        tail_bytes: 1 << 20,
        database_cache_bytes: 1 << 20,
    };
    let (clock, entropy) = (ManualClock::at(Timestamp::from_millis(1_000)), SeededEntropy::new(3));
    let opened = Replica::open(options, directory, Arc::new(Silent), Arc::new(clock), &entropy);
    Arc::new(tokio::time::timeout(GUARD, opened).await.unwrap().unwrap())
}

fn ask(replica: &Arc<Replica>, body: Bytes) -> JoinHandle<Answer> {
    let replica = replica.clone();
    tokio::spawn(async move { decode(&replica.handle(LEADER, body).await.unwrap()).unwrap() })
}

async fn answer(asked: JoinHandle<Answer>) -> Answer {
    tokio::time::timeout(GUARD, asked).await.unwrap().unwrap()
}

fn done() -> Answer {
    Answer::Chunk(ChunkTaken::Done(VOTE))
}

/// A replica in the middle of an install that nobody waits for any more.
struct Installing {
    inner: Arc<dyn Directory>,
    replica: Arc<Replica>,
    sent: Sent,
    tells: mpsc::UnboundedReceiver<&'static str>,
    open_gate: std::sync::mpsc::Sender<()>,
    gate_keeper: std::thread::JoinHandle<()>,
}

impl Installing {
    async fn begin() -> Self {
        let inner = MemDisk::new().directory(Path::new("/raft")).unwrap();
        let gate = Arc::new(Mutex::new(()));
        let (open_gate, opens) = std::sync::mpsc::channel();
        let (holds, held) = std::sync::mpsc::channel();
        let kept = gate.clone();
        let gate_keeper = std::thread::spawn(move || {
            let _closed = kept.lock().unwrap();
            holds.send(()).unwrap();
            opens.recv().unwrap();
        });
        held.recv().unwrap();
        let (told, mut tells) = mpsc::unbounded_channel();
        let replica = open(Arc::new(Gated { inner: inner.clone(), told, gate })).await;
        let sent = Sent::after(20);
        let gone = ask(&replica, sent.whole());
        for expected in ["read", "named"] {
            assert_eq!(tokio::time::timeout(GUARD, tells.recv()).await, Ok(Some(expected)));
        }
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        Self { inner, replica, sent, tells, open_gate, gate_keeper }
    }

    /// Lets the install come to its end; answers what the disk holds then, and what was told meanwhile.
    async fn end(mut self) -> (Arc<dyn Directory>, Vec<&'static str>) {
        self.replica.group(S0).unwrap().applied(20, GUARD).await.unwrap();
        assert_eq!(self.replica.group(S0).unwrap().state_hash().digest, self.sent.state);
        tokio::time::timeout(GUARD, self.replica.shutdown()).await.unwrap();
        let mut told = Vec::new();
        while let Ok(tell) = self.tells.try_recv() {
            told.push(tell);
        }
        (self.inner, told)
    }

    fn open_gate(&self) {
        self.open_gate.send(()).unwrap();
        while !self.gate_keeper.is_finished() {
            std::thread::yield_now();
        }
    }
}

fn assert_nothing_is_left(directory: &dyn Directory) {
    let names = directory.list().unwrap();
    assert!(names.iter().all(|name| !name.contains("incoming")), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_snapshot_does_not_take_the_name_of_one_that_is_being_installed() {
    let installing = Installing::begin().await;
    let later = Sent::after(40);
    let half = later.bytes.len() / 2;
    let mut begun = ask(&installing.replica, later.piece(0, half));
    let early = tokio::time::timeout(A_WHILE, &mut begun).await;
    installing.open_gate();
    let begun = match early {
        Ok(answer) => answer.unwrap(),
        Err(_) => answer(begun).await,
    };
    assert_eq!(begun, Answer::Chunk(ChunkTaken::Next(half as u64)));
    let state = installing.sent.state;
    let (directory, _) = installing.end().await;

    let replica = open(directory.clone()).await;
    assert_eq!(replica.group(S0).unwrap().state_hash().digest, state);
    assert_nothing_is_left(&*directory);
    assert_eq!(answer(ask(&replica, later.whole())).await, done());
    assert_eq!(replica.group(S0).unwrap().state_hash().digest, later.state);
    assert_eq!(answer(ask(&replica, later.whole())).await, done(), "its answer was lost");
    assert_eq!(answer(ask(&replica, Sent::after(30).whole())).await, done(), "it is not wanted");
    assert_eq!(replica.group(S0).unwrap().state_hash().digest, later.state);
    assert_nothing_is_left(&*directory);
    tokio::time::timeout(GUARD, replica.shutdown()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_the_last_piece_again_waits_for_the_install_that_runs() {
    let installing = Installing::begin().await;
    let end = installing.sent.bytes.len();
    let gone = ask(&installing.replica, installing.sent.piece(end, end));
    tokio::time::timeout(A_WHILE, gone).await.unwrap_err();
    let waits = ask(&installing.replica, installing.sent.piece(end, end));
    assert!(!waits.is_finished(), "it is not on the disk yet");
    installing.open_gate();
    assert_eq!(answer(waits).await, done());
    let (_, told) = installing.end().await;
    assert!(told.is_empty(), "{told:?}: it began anew");
}

#[test]
fn each_received_snapshot_has_a_file_of_its_own() {
    let directory = MemDisk::new().directory(Path::new("/raft")).unwrap();
    let (store, _) = SnapshotStore::open(GROUP, directory.clone()).unwrap();
    let sent = Sent::after(20);
    let file = store.make_incoming(&sent.digest).unwrap();
    file.write_at(0, &sent.bytes).unwrap();
    let read = store.read_incoming(file).unwrap();
    let partial = store.make_incoming(&[7; 32]).unwrap();
    partial.write_at(0, &sent.bytes[..9]).unwrap();
    store.install(read).unwrap();
    let (_, found) = SnapshotStore::open(GROUP, directory.clone()).unwrap();
    assert_eq!(state_digest(&found.state).unwrap(), sent.state);
    assert_eq!(directory.list().unwrap(), ["snapshot-1"]);
}
