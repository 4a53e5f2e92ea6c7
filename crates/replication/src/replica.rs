//! All groups of one node: opening, receiving, closing. Not here: what a group does.

use crate::gather::Gatherer;
use crate::group::{Group, Leadership};
use crate::log::{self, GroupLog, LogDatabase, LogWriter};
use crate::machine::Machine;
use crate::network::Network;
use crate::raft::{Membership, Raft, Runtime};
use crate::receive::Receiver;
use crate::snapshot::SnapshotStore;
use crate::{GroupId, GroupSpec, HandleFault, LogCounts, Options, Peers, ReplicationFault, plan, shapes};
use bytes::Bytes;
use openraft::async_runtime::WatchReceiver;
use openraft::{Config, SnapshotPolicy};
use platform::{Clock, Directory, DirectoryLock, Entropy};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use types::NodeId;
use wire::envelope::{decode, encode};
use wire::raft::{Answer, Request};

/// The groups this node replicates.
pub struct Replica {
    node: NodeId,
    groups: BTreeMap<GroupId, Group>,
    database: Arc<LogDatabase>,
    writer: LogWriter,
    lock: Mutex<Option<Box<dyn DirectoryLock>>>,
}

impl Replica {
    /// Whether a replica's log is in this directory. Without it a replica begins anew, whatever else is there.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn has_log(directory: &dyn Directory) -> std::io::Result<bool> {
        log::exists(directory)
    }

    /// Opens all groups of `options.node` in `directory`, which is this replica's alone, or makes them there.
    ///
    /// An empty directory begins all groups anew: for a node that was part of the cluster before that would break
    /// promises it has made. Whoever opens it makes sure that it is a new node.
    ///
    /// The time of entries is `clock`'s, never going back; whoever distrusts a clock passes one that is bounded.
    pub async fn open(
        options: Options,
        directory: Arc<dyn Directory>,
        peers: Arc<dyn Peers>,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
    ) -> Result<Self, ReplicationFault> {
        options.check().map_err(ReplicationFault::BadOptions)?;
        let lock = directory.lock()?;
        let database = LogDatabase::open(&directory, options.database_cache_bytes);
        let database = Arc::new(database.map_err(|error| ReplicationFault::Database(error.to_string()))?);
        plan::check(&database, &options)?;
        let writer = LogWriter::start(database.clone(), directory.is_inline())?;
        let mut replica = Self {
            node: options.node,
            groups: BTreeMap::new(),
            database: database.clone(),
            writer: writer.clone(),
            lock: Mutex::new(Some(lock)),
        };
        let opening = Opening { options: &options, directory, peers, clock, database, writer };
        for spec in options.groups.iter().filter(|spec| spec.hosts(options.node)) {
            // What openraft spawns inherits the seed.
            match Runtime::scope(entropy.next_u64(), opening.group(spec)).await {
                Ok(group) => replica.groups.insert(spec.id, group),
                Err(fault) => {
                    replica.shutdown().await;
                    return Err(fault);
                }
            };
        }
        Ok(replica)
    }

    pub fn node(&self) -> NodeId {
        self.node
    }

    /// `None`: this node does not host the group.
    pub fn group(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(&id)
    }

    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// Takes a request that another node's replica sent through its [`Peers`], and answers the bytes to send back.
    /// `from` must be who the connection says it is.
    pub async fn handle(&self, from: NodeId, body: Bytes) -> Result<Bytes, HandleFault> {
        let request: Request = decode(&body).map_err(|error| HandleFault::BadBytes(error.to_string()))?;
        drop(body);
        let named = NodeId(Receiver::named(&request.call));
        if named != from {
            return Err(HandleFault::OtherNode { from, named });
        }
        let answer = match self.groups.get(&GroupId::from_number(request.group)) {
            Some(group) => group.receiver.answer(request.call).await,
            None => Answer::UnknownGroup,
        };
        let bytes = encode(&answer).map_err(|error| HandleFault::Answer(error.to_string()))?;
        Ok(Bytes::from(bytes))
    }

    /// What the log's writer has done since it was opened.
    pub fn log_counts(&self) -> LogCounts {
        self.writer.counters().read()
    }

    /// Hands over all that this node leads, and waits for so long at most until others do.
    pub async fn hand_over(&self, within: Duration) -> bool {
        let leads = self.groups.values().map(|group| Box::pin(group.hand_over()));
        tokio::time::timeout(within, futures::future::join_all(leads)).await.is_ok()
    }

    /// Stops all groups, writes what waits to be written, and lets go of the directory. A replica that is dropped
    /// without it goes on in the background.
    pub async fn shutdown(&self) {
        for group in self.groups.values() {
            if let Err(error) = group.raft.shutdown().await {
                tracing::warn!(group = %group.id, %error, "a group did not end in peace");
            }
        }
        self.writer.close().await;
        self.database.close();
        let lock = self.lock.lock().expect("nothing panics while the lock is held").take();
        drop(lock);
    }
}

/// What all groups are opened with.
struct Opening<'a> {
    options: &'a Options,
    directory: Arc<dyn Directory>,
    peers: Arc<dyn Peers>,
    clock: Arc<dyn Clock>,
    database: Arc<LogDatabase>,
    writer: LogWriter,
}

impl Opening<'_> {
    async fn group(&self, spec: &GroupSpec) -> Result<Group, ReplicationFault> {
        let options = self.options;
        let group = spec.id;
        let number = group.number().expect("options were checked");
        let damaged =
            |what| move |why: std::io::Error| ReplicationFault::Damaged { group, what, why: why.to_string() };
        let start = |why: String| ReplicationFault::Start { group, why };

        let log = GroupLog::open(number, self.database.clone(), self.writer.clone(), options.tail_bytes);
        let log = log.map_err(damaged("log"))?;
        let (snapshots, replicated) =
            SnapshotStore::open(number, self.directory.clone()).map_err(damaged("snapshot"))?;
        if log.is_empty() && replicated.last.is_none() {
            log.found(membership(spec)).await?;
        }
        let machine = Machine::new(snapshots, replicated, options.snapshot_every_bytes);
        let network = Network {
            me: options.node,
            group: number,
            peers: self.peers.clone(),
            timeout: Duration::from_millis(options.rpc_timeout_ms),
            piece_timeout: Duration::from_millis(options.snapshot_timeout_ms),
            chunk_bytes: options.chunk_bytes,
        };
        let config =
            config(options).validate().map_err(|error| ReplicationFault::BadOptions(error.to_string()))?;
        let node = options.node;
        let raft = Raft::new(node.0.into(), Arc::new(config), network, log, machine.clone()).await;
        let raft = raft.map_err(|fatal| start(fatal.to_string()))?;
        let leadership = watch_leadership(&raft, machine.clone());
        if spec.voters.first() == Some(&node) {
            let often = Duration::from_millis(2 * options.heartbeat_ms);
            tokio::spawn(stand_until_led(raft.clone(), leadership.clone(), often));
        }
        let (proposals, queue) = mpsc::channel(options.waiting_commands_max);
        let gatherer = Gatherer {
            raft: raft.clone(),
            machine: machine.clone(),
            clock: self.clock.clone(),
            entry_commands_max: options.entry_commands_max,
            entry_bytes_max: options.entry_bytes_max,
            patience: Duration::from_millis(options.election_max_ms),
        };
        tokio::spawn(gatherer.run(queue));
        Ok(Group {
            id: group,
            node,
            receiver: Arc::new(Receiver::new(
                raft.clone(),
                machine.snapshots().clone(),
                options.snapshot_bytes_max,
            )),
            raft,
            machine,
            proposals,
            leadership,
            command_bytes_max: options.command_bytes_max,
            waiting_commands_max: options.waiting_commands_max,
        })
    }
}

fn membership(spec: &GroupSpec) -> Membership {
    let voters: BTreeSet<u64> = spec.voters.iter().map(|node| node.0.into()).collect();
    let nodes = spec.voters.iter().chain(&spec.learners);
    let nodes: BTreeMap<u64, _> = nodes.map(|node| (node.0.into(), openraft::EmptyNode {})).collect();
    Membership::new(vec![voters], nodes).expect("options were checked")
}

fn config(options: &Options) -> Config {
    Config {
        heartbeat_interval: options.heartbeat_ms,
        election_timeout_min: options.election_min_ms,
        election_timeout_max: options.election_max_ms,
        install_snapshot_timeout: options.snapshot_timeout_ms,
        max_payload_entries: 1_024,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(options.snapshot_every_entries),
        replication_lag_threshold: options.snapshot_every_entries + options.log_keep_entries,
        max_in_snapshot_log_to_keep: options.log_keep_entries,
        // Purges are writes; a few at a time ride on others.
        purge_batch_size: (options.log_keep_entries / 4).max(1),
        backoff: "50ms 100ms 200ms ...1s".to_owned(),
        enable_pre_vote: Some(true),
        // A restarted leader stands for election like anybody else: its state machine may be behind.
        enable_leader_restore: Some(false),
        // A leader that hears nobody stops saying that it lives, so that those who hear it can elect another one.
        quorum_loss_probe_interval: Some(2 * options.election_max_ms),
        ..Config::default()
    }
}

/// The first voter stands for election until there is a leader, so that a cluster that starts need not wait for its
/// timers. It asks the others first: where they have a leader, or are not there, nothing happens.
async fn stand_until_led(raft: Raft, mut leadership: watch::Receiver<Leadership>, often: Duration) {
    let settled = |now: &Leadership| now.leader.is_some() || now.stopped.is_some();
    while raft.trigger().elect(true).await.is_ok() {
        if tokio::time::timeout(often, leadership.wait_for(settled)).await.is_ok() {
            return;
        }
    }
}

/// Follows openraft's metrics and keeps what matters of them; also makes a snapshot where the log got too long.
fn watch_leadership(raft: &Raft, machine: Machine) -> watch::Receiver<Leadership> {
    let read = |raft: &Raft| {
        let metrics = raft.metrics();
        let metrics = metrics.borrow_watched();
        let stopped = metrics.running_state.as_ref().err().map(ToString::to_string);
        // A leader that stopped leads no more.
        let leader = metrics.current_leader.filter(|_| stopped.is_none()).map(shapes::node);
        Leadership { term: metrics.current_term, leader, stopped }
    };
    let (tell, told) = watch::channel(read(raft));
    let raft = raft.clone();
    let follow = async move {
        let mut changes = raft.metrics();
        loop {
            tokio::select! {
                changed = changes.changed() => {
                    let mut now = read(&raft);
                    if changed.is_err() && now.stopped.is_none() {
                        // It panicked: it could not even say so.
                        (now.leader, now.stopped) = (None, Some("its Raft core ended by itself".to_owned()));
                    }
                    let ended = now.stopped.is_some();
                    tell.send_if_modified(|known| {
                        let differs = *known != now;
                        if differs { *known = now; }
                        differs
                    });
                    if ended { return; }
                }
                () = machine.too_long() => {
                    // Where the group has stopped there is nothing to shorten.
                    let _ = raft.trigger().snapshot().await;
                }
                () = tell.closed() => return,
            }
        }
    };
    tokio::spawn(follow);
    told
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "replica {} of {} groups", self.node, self.groups.len())
    }
}
