//! One machine: a disk and clocks that outlive the node that runs on it, and the node's life as `tranche serve` has it.
//! Not here: who kills it (`faults`).

use crate::chance::stream;
use crate::clock::{MachineClock, TrueTime};
use crate::swarm::log_uniform;
use crate::world_b::BEGINNING;
use crate::world_b::net::{Detours, Resets, SimulatedNet};
use api::OperatorKey;
use cluster::{Linked, RaftSettings, Settings, World};
use leasing::LeasePolicy;
use placement::{Membership, MembershipEpoch, Node as PlacedNode};
use platform::{MemDisk, SeededEntropy};
use quota::{ListedNode, Quota};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::Notify;
use types::{NodeId, UserId, WorkspaceId};

pub const API_PORT: u16 = 7070;
pub const PEER_PORT: u16 = 7080;
pub const CLUSTER: &str = "simulated";
pub const OPERATOR_KEY: &str = "an-operator-key-of-a-simulation";

/// Where everybody is; the same for all machines of a run.
#[derive(Clone, Debug)]
pub struct Addresses(pub Vec<IpAddr>);

/// What all machines of a run share.
#[derive(Clone, Debug)]
pub struct Net {
    pub addresses: Addresses,
    pub resets: Resets,
    pub detours: Detours,
}

#[derive(Debug)]
pub struct Machine {
    pub index: usize,
    pub clock: Arc<MachineClock>,
    seed: u64,
    raft: RaftSettings,
    addresses: Addresses,
    resets: Resets,
    detours: Detours,
    inner: Mutex<Inner>,
    /// Rung to have the node give its leases back and end.
    pub drain: Notify,
}

#[derive(Debug)]
struct Inner {
    disk: MemDisk,
    /// Counts starts: each life has chance of its own.
    lives: u64,
    running: Option<Quota>,
    /// Why the last life ended by itself.
    ended: Option<Ended>,
    /// The same, until somebody has taken note.
    news: Option<Ended>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    Drained,
    /// The node refused to start, or may not go on.
    Refused(String),
}

impl Machine {
    #[must_use]
    pub fn new(index: usize, seed: u64, truth: &TrueTime, net: &Net) -> Self {
        let Net { addresses, resets, detours } = net.clone();
        let mut chance = stream(seed, "raft");
        let snapshot_every_entries = log_uniform(&mut chance, 10, 10_000);
        let log_keep_entries = log_uniform(&mut chance, 1, 1_000);
        Self {
            index,
            clock: Arc::new(MachineClock::new(truth.clone(), BEGINNING, 0, index)),
            seed,
            raft: RaftSettings { snapshot_every_entries, log_keep_entries },
            addresses,
            resets,
            detours,
            inner: Mutex::new(Inner {
                disk: MemDisk::new(),
                lives: 0,
                running: None,
                ended: None,
                news: None,
            }),
            drain: Notify::new(),
        }
    }

    #[must_use]
    pub fn id(&self) -> NodeId {
        id(self.index)
    }

    #[must_use]
    pub fn ip(&self) -> IpAddr {
        self.addresses.0[self.index]
    }

    /// Which of so many decides the keyed consumes of a user.
    #[must_use]
    pub fn home(nodes: usize, workspace: &WorkspaceId, user: &UserId) -> usize {
        usize::from(membership(nodes).home(workspace, user).0) - 1
    }

    /// The name turmoil knows it by.
    #[must_use]
    pub fn name(index: usize) -> String {
        format!("n{}", index + 1)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics holding it")
    }

    #[must_use]
    pub fn disk(&self) -> MemDisk {
        self.inner().disk.clone()
    }

    pub fn set_disk(&self, disk: MemDisk) {
        self.inner().disk = disk;
    }

    /// The node's doors, while it runs.
    #[must_use]
    pub fn running(&self) -> Option<Quota> {
        self.inner().running.clone()
    }

    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        self.inner().ended.clone()
    }

    /// An end nobody has asked for yet.
    pub fn take_news(&self) -> Option<Ended> {
        self.inner().news.take()
    }

    /// The process is gone.
    pub fn killed(&self) {
        let mut inner = self.inner();
        inner.running = None;
        inner.ended = None;
    }

    fn settings(&self) -> Settings {
        let all = || (0..self.addresses.0.len()).zip(&self.addresses.0);
        let listed = all().map(|(index, ip)| ListedNode {
            id: id(index),
            api: SocketAddr::new(*ip, API_PORT).to_string(),
            peer: SocketAddr::new(*ip, PEER_PORT).to_string(),
        });
        let everywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Settings {
            node: self.id(),
            data: PathBuf::from("/data"),
            api_listen: SocketAddr::new(everywhere, API_PORT),
            operator_key: OperatorKey::parse(OPERATOR_KEY).expect("a valid key"),
            peer_listen: SocketAddr::new(everywhere, PEER_PORT),
            cluster: CLUSTER.into(),
            membership: membership(self.addresses.0.len()),
            listed: listed.collect(),
            raft: self.raft,
            lease: LeasePolicy::STANDARD,
        }
    }

    /// One life of the node, from start to its end. A node that refuses stays away, as one that nobody restarts.
    pub async fn live(self: Arc<Self>) {
        let (disk, life) = {
            let mut inner = self.inner();
            inner.lives += 1;
            (inner.disk.clone(), inner.lives)
        };
        let entropy = self.seed ^ ((self.index as u64 + 1) << 32) ^ life;
        let world = World {
            clock: self.clock.clone(),
            entropy: Arc::new(SeededEntropy::new(entropy)),
            disk: Arc::new(disk),
            net: Arc::new(SimulatedNet {
                own: self.ip(),
                resets: self.resets.clone(),
                detours: self.detours.clone(),
            }),
            test_clock: None,
        };
        let ended = self.serve(world).await;
        tracing::info!(node = self.index + 1, ?ended, "a node has ended");
        let mut inner = self.inner();
        inner.running = None;
        inner.news = Some(ended.clone());
        inner.ended = Some(ended);
    }

    async fn serve(&self, world: World) -> Ended {
        let settings = self.settings();
        let peers: Vec<_> = settings
            .listed
            .iter()
            .zip(&self.addresses.0)
            .map(|(listed, ip)| (listed.id, SocketAddr::new(*ip, PEER_PORT)))
            .collect();
        let refused = |why: cluster::NodeFault| Ended::Refused(why.to_string());
        let started = async {
            let linked = Linked::open(settings, world).await.map_err(refused)?;
            linked.add_peers(peers).map_err(refused)?;
            Box::pin(linked.start()).await.map_err(refused)
        };
        let mut node = match started.await {
            Ok(node) => node,
            Err(ended) => return ended,
        };
        self.inner().running = Some(node.quota().clone());
        let why = tokio::select! {
            why = node.faulted() => Some(why),
            () = self.drain.notified() => None,
        };
        if why.is_none() {
            node.drain().await;
        }
        self.inner().running = None;
        node.stop().await;
        why.map_or(Ended::Drained, Ended::Refused)
    }
}

fn membership(nodes: usize) -> Membership {
    let placed = (0..nodes).map(|index| PlacedNode { id: id(index), zone: String::new(), weight: 1 });
    Membership::new(MembershipEpoch(1), placed.collect()).expect("nodes are told apart")
}

fn id(index: usize) -> NodeId {
    NodeId(u16::try_from(index + 1).expect("a handful of nodes"))
}
