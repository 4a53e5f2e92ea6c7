//! Three nodes in one process, each with all its rooms, on disks in memory and real sockets.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actors::{Desk, Shards};
use journal::Journal;
use leasing::LeasePolicy;
use placement::{Membership, MembershipEpoch, Shape};
use platform::{Clock, CoarseClock, Disk, MemDisk, SeededEntropy, SystemClock, TcpNet};
use quota::Quota;
use replication::{Group, GroupId, GroupSpec, Replica};
use tokio::task::JoinHandle;
use transport::{Identity, Link, Mux, Services, Versions};
use types::{DiskId, HolderId, NodeId, ShardId, UserId, WorkspaceId};

pub const SHARD: GroupId = GroupId::Shard(ShardId(0));
/// A guard, never a way to wait.
const LONG: Duration = Duration::from_secs(60);
const IDS: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

pub async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, work).await.expect("it takes far too long")
}

pub struct Node {
    pub id: NodeId,
    pub quota: Quota,
    pub link: Arc<Link>,
    mux: Arc<Mux>,
    background: Vec<JoinHandle<()>>,
}

pub struct Cluster {
    pub nodes: Vec<Node>,
    membership: Membership,
}

/// A node that can be reached, with nothing opened.
struct Linked {
    id: NodeId,
    mux: Arc<Mux>,
    services: Arc<Services>,
    quota: Arc<OnceLock<Quota>>,
}

impl Linked {
    async fn open(id: NodeId) -> Self {
        let quota: Arc<OnceLock<Quota>> = Arc::default();
        let knows = quota.clone();
        let services = Services::new(Arc::new(SystemClock::new()), move |node| {
            let quota = knows.get().ok_or("it is starting")?;
            Ok(quota.known_disk(node))
        });
        let services = Arc::new(services);
        let me = Identity { cluster_id: 7, node: id, versions: Versions { min: 1, max: 1 } };
        let (net, entropy) = (Arc::new(TcpNet), Arc::new(SeededEntropy::new(id.0.into())));
        let mux = Mux::start(links(), me, Vec::new(), services.clone(), net, entropy).await.unwrap();
        Self { id, mux: Arc::new(mux), services, quota }
    }

    async fn start(self, membership: &Membership) -> Node {
        let Self { id, mux, services, quota: served } = self;
        let link = Arc::new(Link::new(&mux));
        let exact: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let clock = Arc::new(CoarseClock::new(exact.clone()));
        let disk = MemDisk::new();
        let directory = |path: &str| disk.directory(Path::new(path)).unwrap();
        let map = placement::propose(membership, Shape { shards: 1, replicas: 3 }).unwrap();

        let entropy = SeededEntropy::new(id.0.into());
        let opened =
            Replica::open(replication(id), directory("/raft"), link.clone(), exact.clone(), &entropy);
        let replica = Arc::new(opened.await.unwrap());
        let options = actors(id);
        let desk = Arc::new(Desk::new(&options, clock.clone()));
        let attempt_ms = options.attempt_ms;
        let shards = Shards::new(id, map, IDS.to_vec(), replica, desk.clone(), link.clone(), attempt_ms);
        let shards = Arc::new(shards);
        services.set_shards(shards.clone());

        let disk = DiskId(id.0.into());
        let opened = Journal::open(journal(), directory("/journal"), disk, exact).await;
        let (journal, keys, recovered) = opened.unwrap();
        let holder = HolderId { node: id, disk };
        let started =
            actors::start(holder, options, journal, keys, clock.clone(), shards.clone(), recovered).await;
        let holder = started.unwrap();
        desk.set_holder(holder.clone());
        services.set_holder(holder.clone());

        let quota = Quota::new(quota(), holder, membership.clone(), Vec::new(), link.clone(), clock.clone());
        services.set_quota(quota.clone());
        let _first = served.set(quota.clone());
        let background = vec![
            tokio::spawn(clock.keep_ticking(5)),
            tokio::spawn(desk.keep_sweeping(shards, Duration::from_millis(100))),
        ];
        Node { id, quota, link, mux, background }
    }
}

impl Node {
    pub fn group(&self) -> &Group {
        self.quota.holder().shards().replica().group(SHARD).expect("every node has it")
    }

    async fn stop(&self) {
        for task in &self.background {
            task.abort();
        }
        self.quota.holder().shards().replica().shutdown().await;
        self.mux.shutdown().await;
    }
}

impl Cluster {
    /// Returns when every node knows leaders and all of them are registered, everywhere.
    pub async fn start() -> Self {
        let member = |id| placement::Node { id, zone: String::new(), weight: 1 };
        let membership = Membership::new(MembershipEpoch(1), IDS.map(member).to_vec()).unwrap();
        let mut linked = Vec::new();
        for id in IDS {
            linked.push(Linked::open(id).await);
        }
        let addresses: Vec<(NodeId, SocketAddr)> =
            linked.iter().map(|node| (node.id, node.mux.local_addr())).collect();
        for node in &linked {
            for (peer, address) in addresses.iter().filter(|(peer, _)| *peer != node.id) {
                node.mux.add_peer(*peer, *address).unwrap();
            }
        }
        let mut nodes = Vec::new();
        for node in linked {
            nodes.push(node.start(&membership).await);
        }
        let cluster = Self { nodes, membership };
        within(cluster.settled()).await;
        cluster
    }

    async fn settled(&self) {
        for node in &self.nodes {
            while node.quota.register().await.is_err() {
                tokio::task::yield_now().await;
            }
        }
        let all_known = |node: &Node| IDS.iter().all(|id| node.quota.known_disk(*id).is_some());
        for node in &self.nodes {
            while node.quota.ready().is_err() || !all_known(node) {
                tokio::task::yield_now().await;
            }
        }
    }

    pub fn node(&self, id: NodeId) -> &Node {
        self.nodes.iter().find(|node| node.id == id).expect("it runs")
    }

    /// Who leads the shard.
    pub async fn leader(&self) -> NodeId {
        let mut leadership = self.nodes[0].group().watch_leadership();
        let known = within(leadership.wait_for(|now| now.leader.is_some())).await;
        known.unwrap().leader.unwrap()
    }

    /// Users whose home is that node.
    pub fn users_at(&self, home: NodeId) -> impl Iterator<Item = UserId> {
        let workspace: WorkspaceId = "w".parse().unwrap();
        let users = (0..).map(|i| format!("user-{i}").parse().unwrap());
        users.filter(move |user| self.membership.home(&workspace, user) == home)
    }

    /// One of them is no more.
    pub async fn kill(&mut self, id: NodeId) {
        within(self.node(id).stop()).await;
        self.nodes.retain(|node| node.id != id);
    }

    pub async fn stop(self) {
        within(futures::future::join_all(self.nodes.iter().map(Node::stop))).await;
    }
}

fn links() -> transport::Options {
    transport::Options {
        listen: "127.0.0.1:0".parse().unwrap(),
        body_bytes_max: wire::frame::BODY_BYTES_MAX,
        calls_in_flight_max: 1_000,
        handled_at_once_max: 1_000,
        write_queue_frames_max: 1_000,
        handshakes_pending_max: 16,
        handshake_ms: 10_000,
        connect_wait_ms: 200,
        deadline_max_ms: 60_000,
        alive_every_ms: 1_000,
        silence_ms: 15_000,
        backoff_min_ms: 1,
        backoff_max_ms: 20,
        drain_ms: 100,
    }
}

fn replication(node: NodeId) -> replication::Options {
    let group = |id| GroupSpec { id, voters: IDS.to_vec(), learners: Vec::new() };
    replication::Options {
        node,
        groups: vec![group(GroupId::Meta), group(SHARD)],
        heartbeat_ms: 100,
        election_min_ms: 600,
        election_max_ms: 1_200,
        rpc_timeout_ms: 1_000,
        command_bytes_max: 64 * 1024,
        entry_commands_max: 64,
        entry_bytes_max: 128 * 1024,
        waiting_commands_max: 1_000,
        snapshot_every_entries: 1_000,
        snapshot_every_bytes: 1024 * 1024,
        log_keep_entries: 10,
        chunk_bytes: 1024,
        snapshot_timeout_ms: 10_000,
        snapshot_bytes_max: 16 * 1024 * 1024,
        tail_bytes: 16 * 1024,
        database_cache_bytes: 1024 * 1024,
    }
}

fn actors(node: NodeId) -> actors::Options {
    actors::Options {
        node,
        lease: LeasePolicy { round_ms: 2_000, ..LeasePolicy::STANDARD },
        session_ttl_ms: 60_000,
        tick_ms: 100,
        wait_ms: 10_000,
        attempt_ms: 5_000,
        ask_ms: 10_000,
        handles_max: 1_000,
        activating_max: 1_000,
        waiting_max: 1_000,
        gather_ms: 10,
        batches_max: 4,
        waiting_batches_max: 4,
        batch_lines_max: 100,
        batch_bytes_max: 1_000_000,
        hot_spends_per_s: 20_000,
    }
}

fn journal() -> journal::Options {
    journal::Options {
        segment_bytes: 1024 * 1024,
        tail_bytes: 64 * 1024,
        queue_max: 1_000,
        batch_max: 100,
        waiting_max: 1_000,
        lines_max: 1_000,
        holds_max: 16_384,
        holds_per_user_max: 1_000,
        key_window_ms: 24 * 60 * 60 * 1_000,
        keys_bytes_max: 1024 * 1024,
        past_bytes_max: 1 << 20,
    }
}

fn quota() -> quota::Options {
    quota::Options {
        forward_ms: 20_000,
        confirm_ms: 5_000,
        admin_ms: 20_000,
        regular_from: 3,
        generation_ms: 2_000,
    }
}
