//! Several replicas in one process, on disks in memory, with wires between them that can be cut.

#![allow(dead_code, reason = "each test file uses its part")]

use bytes::Bytes;
use ledger::{AdminCommand, Change, Command, GrantKind, KeyedBy, NewGrant, WorkspaceSettings};
use platform::{BoxFuture, Disk, ManualClock, MemDisk, RealDisk, SeededEntropy};
use replication::{
    Committed, Group, GroupId, GroupSpec, Options, PeerFault, Peers, ProposeError, Replica, ReplicationFault,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use types::{Credits, DiskId, HolderId, NodeId, ShardId, Timestamp};

/// Long enough to be reached only where something hangs.
pub const GUARD: Duration = Duration::from_secs(30);

pub const N1: NodeId = NodeId(1);
pub const N2: NodeId = NodeId(2);
pub const N3: NodeId = NodeId(3);
pub const N4: NodeId = NodeId(4);
pub const META: GroupId = GroupId::Meta;
pub const S0: GroupId = GroupId::Shard(ShardId(0));

/// Short times and small bounds; a test changes what it is about.
pub fn options(node: NodeId, groups: &[GroupSpec]) -> Options {
    Options {
        node,
        groups: groups.to_vec(),
        heartbeat_ms: 30,
        election_min_ms: 150,
        election_max_ms: 300,
        rpc_timeout_ms: 200,
        snapshot_timeout_ms: 2_000,
        command_bytes_max: 64 * 1024,
        entry_commands_max: 64,
        entry_bytes_max: 128 * 1024,
        waiting_commands_max: 1_000,
        snapshot_every_entries: 1_000,
        snapshot_every_bytes: 1024 * 1024,
        log_keep_entries: 10,
        chunk_bytes: 1024,
        snapshot_bytes_max: 16 * 1024 * 1024,
        tail_bytes: 16 * 1024,
        database_cache_bytes: 1024 * 1024,
    }
}

/// Three voters, and whoever else follows.
pub fn group(id: GroupId, learners: &[NodeId]) -> GroupSpec {
    GroupSpec { id, voters: vec![N1, N2, N3], learners: learners.to_vec() }
}

pub struct Nodes {
    pub wires: Arc<Wires>,
    pub disks: BTreeMap<NodeId, MemDisk>,
    pub clock: Arc<ManualClock>,
    pub options: BTreeMap<NodeId, Options>,
}

#[derive(Debug, Default)]
pub struct Wires {
    replicas: Mutex<BTreeMap<NodeId, Arc<Replica>>>,
    /// Nodes that reach nobody and are reached by nobody.
    cut: Mutex<BTreeSet<NodeId>>,
    /// Each so-many-th request is lost; 0: none.
    pub lose_each: AtomicU64,
    pub requests: AtomicU64,
    pub largest_request: AtomicU64,
}

impl Wires {
    pub fn cut(&self, node: NodeId) {
        self.cut.lock().unwrap().insert(node);
    }

    pub fn heal(&self) {
        self.cut.lock().unwrap().clear();
    }

    fn is_cut(&self, a: NodeId, b: NodeId) -> bool {
        let cut = self.cut.lock().unwrap();
        cut.contains(&a) || cut.contains(&b)
    }

    fn replica(&self, node: NodeId) -> Option<Arc<Replica>> {
        self.replicas.lock().unwrap().get(&node).cloned()
    }
}

#[derive(Debug)]
struct Port {
    me: NodeId,
    wires: Arc<Wires>,
}

impl Peers for Port {
    fn call(&self, to: NodeId, body: Bytes, _: Duration) -> BoxFuture<'_, Result<Bytes, PeerFault>> {
        Box::pin(async move {
            let unreachable = || PeerFault::Unreachable { node: to, why: "the wire is cut".to_owned() };
            let count = self.wires.requests.fetch_add(1, Ordering::Relaxed);
            let lose_each = self.wires.lose_each.load(Ordering::Relaxed);
            if self.wires.is_cut(self.me, to) || (lose_each > 0 && count.is_multiple_of(lose_each)) {
                return Err(unreachable());
            }
            self.wires.largest_request.fetch_max(body.len() as u64, Ordering::Relaxed);
            let replica = self.wires.replica(to).ok_or_else(unreachable)?;
            let answer = replica.handle(self.me, body).await;
            if self.wires.is_cut(self.me, to) {
                return Err(unreachable());
            }
            answer.map_err(|fault| PeerFault::Refused { node: to, why: fault.to_string() })
        })
    }
}

impl Nodes {
    /// Opens all nodes that the groups name, one after the other.
    pub async fn start(groups: &[GroupSpec]) -> Self {
        Self::start_with(groups, |_| {}).await
    }

    pub async fn start_with(groups: &[GroupSpec], change: impl Fn(&mut Options)) -> Self {
        let mut nodes = Self::prepare(groups, change);
        for node in nodes.names() {
            nodes.open(node).await.unwrap();
        }
        nodes
    }

    /// The nodes, none of them opened.
    pub fn prepare(groups: &[GroupSpec], change: impl Fn(&mut Options)) -> Self {
        let all: BTreeSet<NodeId> =
            groups.iter().flat_map(|spec| spec.voters.iter().chain(&spec.learners)).copied().collect();
        let with = |node| {
            let mut options = options(node, groups);
            change(&mut options);
            (node, options)
        };
        Self {
            wires: Arc::default(),
            disks: all.iter().map(|node| (*node, MemDisk::new())).collect(),
            clock: Arc::new(ManualClock::at(Timestamp::from_millis(1_000_000))),
            options: all.into_iter().map(with).collect(),
        }
    }

    pub fn names(&self) -> Vec<NodeId> {
        self.options.keys().copied().collect()
    }

    pub async fn open(&mut self, node: NodeId) -> Result<(), ReplicationFault> {
        let directory = self.disks[&node].directory(Path::new("/raft")).unwrap();
        self.open_in(node, directory).await
    }

    pub async fn open_on_real_disk(&mut self, node: NodeId, path: PathBuf) -> Result<(), ReplicationFault> {
        let directory = RealDisk.directory(&path).unwrap();
        self.open_in(node, directory).await
    }

    async fn open_in(
        &mut self,
        node: NodeId,
        directory: Arc<dyn platform::Directory>,
    ) -> Result<(), ReplicationFault> {
        let port = Arc::new(Port { me: node, wires: self.wires.clone() });
        let entropy = SeededEntropy::new(u64::from(node.0));
        let options = self.options[&node].clone();
        let opened = Replica::open(options, directory, port, self.clock.clone(), &entropy);
        let replica = guard(opened).await?;
        self.wires.replicas.lock().unwrap().insert(node, Arc::new(replica));
        Ok(())
    }

    pub fn replica(&self, node: NodeId) -> Arc<Replica> {
        self.wires.replica(node).expect("the node is open")
    }

    pub fn group(&self, node: NodeId, id: GroupId) -> Group {
        self.replica(node).group(id).expect("the node hosts the group").clone()
    }

    /// Ends a node in peace.
    pub async fn close(&mut self, node: NodeId) {
        let replica = self.wires.replicas.lock().unwrap().remove(&node).expect("the node is open");
        guard(replica.shutdown()).await;
    }

    /// The process of a node dies.
    pub async fn kill(&mut self, node: NodeId) {
        self.disks[&node].kill();
        self.close(node).await;
    }

    /// Waits until one of `among` leads the group and all of them know it.
    pub async fn leader_among(&self, id: GroupId, among: &[NodeId]) -> NodeId {
        let agree = async {
            loop {
                let mut leaders = BTreeSet::new();
                for node in among {
                    let mut watch = self.group(*node, id).watch_leadership();
                    let known =
                        |now: &replication::Leadership| now.leader.is_some_and(|l| among.contains(&l));
                    leaders.insert(watch.wait_for(known).await.expect("the node is open").leader.unwrap());
                }
                if let (1, Some(leader)) = (leaders.len(), leaders.first()) {
                    return *leader;
                }
                tokio::task::yield_now().await;
            }
        };
        guard(agree).await
    }

    pub async fn leader(&self, id: GroupId) -> NodeId {
        self.leader_among(id, &self.voters()).await
    }

    fn voters(&self) -> Vec<NodeId> {
        self.options.values().next().unwrap().groups[0].voters.clone()
    }

    /// Proposes to whoever leads, again and unchanged as long as it takes.
    pub async fn commit_among(&self, id: GroupId, among: &[NodeId], command: &Command) -> Committed {
        let insist = async {
            loop {
                let leader = self.leader_among(id, among).await;
                match self.group(leader, id).propose(command.clone(), Duration::from_secs(2)).await {
                    Ok(committed) => return committed,
                    Err(ProposeError::NotLeader { .. } | ProposeError::Unknown) => {}
                    Err(other) => panic!("{other}"),
                }
                tokio::task::yield_now().await;
            }
        };
        guard(insist).await
    }

    pub async fn commit(&self, id: GroupId, command: &Command) -> Committed {
        self.commit_among(id, &self.voters(), command).await
    }

    /// Waits until the node has applied the entry at `index`.
    pub async fn applied(&self, node: NodeId, id: GroupId, index: u64) {
        self.group(node, id).applied(index, GUARD).await.unwrap();
    }

    pub async fn close_all(&mut self) {
        let open: Vec<NodeId> = self.wires.replicas.lock().unwrap().keys().copied().collect();
        for node in open {
            self.close(node).await;
        }
    }
}

pub async fn guard<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(GUARD, work).await.expect("it hangs")
}

pub fn register(number: u16) -> Command {
    let holder = HolderId { node: NodeId(number), disk: DiskId(number.into()) };
    Command::Register { holder, journal_sequence: 1 }
}

pub fn put_workspace(name: &str) -> Command {
    let settings = WorkspaceSettings { name: Some(name.to_owned()), ..WorkspaceSettings::unchanged() };
    Command::Admin(AdminCommand {
        workspace: "w".parse().unwrap(),
        keyed: None,
        if_match: None,
        change: Change::PutWorkspace(settings),
    })
}

/// A grant under an idempotency key: asked again, it is the same grant.
pub fn make_grant(id: &str) -> Command {
    let grant = NewGrant {
        id: id.parse().unwrap(),
        kind: GrantKind::Plan,
        amount: Credits::whole(5).unwrap(),
        priority: 50,
        paid: true,
        starts_at: None,
        expires_at: None,
        term: ledger::Term::Lasting,
        price: None,
    };
    Command::Admin(AdminCommand {
        workspace: "w".parse().unwrap(),
        keyed: Some(KeyedBy { key: id.parse().unwrap(), command_hash: [7; 32] }),
        if_match: None,
        change: Change::MakeGrant(grant),
    })
}

pub fn grants(state: &ledger::State) -> usize {
    state.workspace(&"w".parse().unwrap()).map_or(0, |workspace| workspace.grants.len())
}
