//! A node, joined from its rooms; the only place where they are. `dev`, `serve` and simulations start nodes here.
//!
//! The order of a start is its safety: the data directory is locked and identified first; it is introduced to the other
//! nodes before any Raft group begins in it (`introduce`); the journal is read before anything is spent.

use crate::defaults;
use crate::introduce::{introduce, known_disk, mark_refused, was_refused, welcome};
use crate::metrics::registry;
use crate::settings::Settings;
use crate::time::keep_time;
use actors::{Desk, HolderFault, Shards};
use api::App;
use journal::{Identity, Journal, JournalFault};
use ledger::Rejection;
use placement::Map;
use platform::{AgreedClock, Clock, CoarseClock, Directory, Disk, Entropy, Net};
use quota::{Quota, RegisterFault};
use replication::{Group, GroupId, GroupSpec, Replica, ReplicationFault};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use transport::{Link, Mux, Services, Versions};
use types::planted::{Mistake, is_planted};
use types::{DiskId, HolderId, NodeId};

/// The outside world a node runs in.
#[derive(Clone, Debug)]
pub struct World {
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub disk: Arc<dyn Disk>,
    pub net: Arc<dyn Net>,
    /// Only where the clock may be put ahead.
    pub test_clock: Option<Arc<dyn api::TestClock>>,
}

#[derive(Debug, thiserror::Error)]
pub enum NodeFault {
    #[error("the data directory {path}: {source}")]
    Data { path: String, source: std::io::Error },
    #[error(transparent)]
    Journal(#[from] JournalFault),
    #[error(transparent)]
    Replication(#[from] ReplicationFault),
    #[error(transparent)]
    Transport(#[from] transport::StartError),
    #[error("the API cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("no placement fits these nodes: {0}")]
    Placement(String),
    #[error(
        "this data directory is empty, but {by} knows {node} with disk {known}: node ids are never reused; put the \
         old directory back, or, if it is lost, run `tranche node forget {node}` and leave this node stopped"
    )]
    KnownWithOtherDisk { node: NodeId, known: DiskId, by: NodeId },
    #[error(
        "the Raft log of {node} is gone from its data directory, and {by} knows this disk: a node that votes again without \
         its log breaks promises it has made; put the whole data directory back, or, if it is lost, run `tranche node \
         forget {node}` and leave this node stopped"
    )]
    LogIsGone { node: NodeId, by: NodeId },
    #[error(
        "the disk of {node} is older than what the cluster has seen of it: its journal ended at record {found}, and {by} \
         knows of record {known}; put the newer data directory back, or, if it is lost, run `tranche node forget {node}` \
         and leave this node stopped"
    )]
    RolledBack { node: NodeId, found: u64, known: u64, by: NodeId },
    #[error(
        "the cluster has refused this data directory before, because it is older than what was seen of {node}; put the \
         newer one in its place, whole, or, if it is lost, run `tranche node forget {node}` and leave this node stopped"
    )]
    RefusedBefore { node: NodeId },
    #[error("the actors did not start: {0}")]
    Actors(String),
}

/// A node whose peers can reach it, before it has opened anything. Its address may be needed by the others first.
#[derive(Debug)]
pub struct Linked {
    settings: Settings,
    world: World,
    identity: Identity,
    directories: Directories,
    mux: Arc<Mux>,
    services: Arc<Services>,
    /// What answers for this node, once it does.
    quota: Arc<OnceLock<Quota>>,
    /// Nothing of the cluster's state was ever kept here.
    is_new: bool,
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    quota: Quota,
    mux: Arc<Mux>,
    shards: Arc<Shards>,
    front: Front,
    background: Vec<JoinHandle<()>>,
    root: Arc<dyn Directory>,
    /// Keeps every other process out.
    _identity: Identity,
}

#[derive(Debug)]
struct Directories {
    root: Arc<dyn Directory>,
    journal: Arc<dyn Directory>,
    raft: Arc<dyn Directory>,
}

impl Directories {
    fn open(world: &World, data: &Path) -> Result<Self, NodeFault> {
        let open = |path: &Path| {
            let fault = |source| NodeFault::Data { path: path.display().to_string(), source };
            world.disk.directory(path).map_err(fault)
        };
        let root = open(data)?;
        Ok(Self { root, journal: open(&data.join("journal"))?, raft: open(&data.join("raft"))? })
    }
}

impl Linked {
    /// Locks and identifies the data directory, and listens for peers.
    pub async fn open(settings: Settings, world: World) -> Result<Self, NodeFault> {
        let directories = Directories::open(&world, &settings.data)?;
        let root = directories.root.as_ref();
        let identity = Identity::open_or_create(root, &settings.cluster, world.entropy.as_ref())?;
        let fault = |source| NodeFault::Data { path: settings.data.display().to_string(), source };
        if was_refused(root).map_err(fault)? {
            return Err(NodeFault::RefusedBefore { node: settings.node });
        }
        let is_new = identity.is_new || !Replica::has_log(directories.raft.as_ref()).map_err(fault)?;
        let me = transport::Identity {
            cluster_id: cluster_id(&settings.cluster),
            node: settings.node,
            versions: VERSIONS,
        };
        let options = defaults::transport(settings.peer_listen);
        let quota: Arc<OnceLock<Quota>> = Arc::default();
        let asked = quota.clone();
        let own_clock = world.clock.clone();
        let services = Arc::new(Services::new(own_clock, move |node| known_disk(is_new, asked.get(), node)));
        let (net, entropy) = (world.net.clone(), world.entropy.clone());
        let mux = Arc::new(Mux::start(options, me, Vec::new(), services.clone(), net, entropy).await?);
        Ok(Self { settings, world, identity, directories, mux, services, quota, is_new })
    }

    pub fn node(&self) -> NodeId {
        self.settings.node
    }

    pub fn peer_address(&self) -> SocketAddr {
        self.mux.local_addr()
    }

    /// Where the other nodes are.
    pub fn add_peers(&self, peers: impl IntoIterator<Item = (NodeId, SocketAddr)>) -> Result<(), NodeFault> {
        for (node, address) in peers.into_iter().filter(|(node, _)| *node != self.settings.node) {
            self.mux.add_peer(node, address)?;
        }
        Ok(())
    }

    /// Opens everything and serves. Returns once the API listens; `ready` says when the node decides.
    pub async fn start(self) -> Result<Node, NodeFault> {
        let Self { settings, world, identity, directories, mux, services, quota: served, is_new } = self;
        let Directories { root, journal, raft } = directories;
        let link = Arc::new(Link::new(&mux));
        let agreed = Arc::new(AgreedClock::new(world.clock.clone(), settings.others().len()));
        let front = Front::open(&settings, &world, &served, &mux, &agreed).await?;
        if is_new {
            introduce(&link, &settings, identity.disk).await?;
        } else {
            let found = Journal::find_registration(journal.as_ref(), identity.disk)?;
            welcome(&link, &settings, identity.disk, found).await?;
        }
        let mut background = vec![tokio::spawn(keep_time(link.clone(), agreed.clone(), settings.others()))];
        let clock = Arc::new(CoarseClock::new(agreed.clone()));
        let shards = open_shards(&settings, &world, raft, &link, agreed, &clock).await?;
        services.set_shards(shards.clone());

        let opened = Journal::open(defaults::journal(), journal, identity.disk, world.clock.clone());
        let (journal, keys, recovered) = opened.await?;
        if !recovered.exact {
            let lines = recovered.rounded.len();
            tracing::warn!(lines, "the journal was not provably whole; watermarks were charged");
        }
        let id = HolderId { node: settings.node, disk: identity.disk };
        let options = defaults::actors(settings.node, settings.lease);
        let started =
            actors::start(id, options, journal, keys, clock.clone(), shards.clone(), recovered).await;
        let holder = started.map_err(|why| NodeFault::Actors(why.to_string()))?;
        shards.desk().set_holder(holder.clone());
        services.set_holder(holder.clone());
        let Settings { membership, listed, .. } = settings;
        let quota = Quota::new(defaults::quota(), holder, membership, listed, link, clock.clone());
        services.set_quota(quota.clone());
        let (desk, sweep_every) = (shards.desk().clone(), Duration::from_millis(defaults::TICK_MS));
        background.extend([
            tokio::spawn(clock.keep_ticking(defaults::CLOCK_TICK_MS)),
            tokio::spawn(desk.clone().keep_sweeping(shards.clone(), sweep_every)),
            tokio::spawn(desk.keep_time(shards.clone(), sweep_every)),
            tokio::spawn(keep_registering(quota.clone())),
        ]);
        let _first = served.set(quota.clone());
        Ok(Node { quota, mux, shards, front, background, root, _identity: identity })
    }
}

/// The API of a node: it answers from the first moment, if only that the node is still starting.
#[derive(Debug)]
struct Front {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Front {
    async fn open(
        settings: &Settings,
        world: &World,
        served: &Arc<OnceLock<Quota>>,
        mux: &Arc<Mux>,
        agreed: &Arc<AgreedClock>,
    ) -> Result<Self, NodeFault> {
        let wanted = settings.api_listen;
        let fault = |source| NodeFault::Listen { address: wanted, source };
        let listener = world.net.listen(wanted).await.map_err(fault)?;
        let address = listener.address().map_err(fault)?;
        let app = Arc::new(App {
            quota: served.clone(),
            operator_key: settings.operator_key.clone(),
            deadlines: defaults::api_deadlines(),
            metrics: api::Metrics::new(registry(served.clone(), mux.clone(), agreed.clone())),
            test_clock: world.test_clock.clone(),
        });
        let (stop, mut stopped) = watch::channel(false);
        let until = async move {
            let _gone = stopped.wait_for(|stop| *stop).await;
        };
        let serving = tokio::spawn(api::serve(listener, defaults::api_connections(), app, until));
        Ok(Self { address, stop, serving })
    }
}

async fn open_shards(
    settings: &Settings,
    world: &World,
    raft: Arc<dyn Directory>,
    link: &Arc<Link>,
    agreed: Arc<AgreedClock>,
    clock: &Arc<CoarseClock>,
) -> Result<Arc<Shards>, NodeFault> {
    let node = settings.node;
    let map = placement::propose(&settings.membership, defaults::SHAPE)
        .map_err(|why| NodeFault::Placement(why.to_string()))?;
    let (groups, meta) = groups(&map, settings);
    let options = defaults::replication(node, groups, settings.raft);
    let replica = Replica::open(options, raft, link.clone(), agreed, world.entropy.as_ref()).await?;
    let options = defaults::actors(node, settings.lease);
    let desk = Arc::new(Desk::new(&options, clock.clone()));
    let shards = Shards::new(node, map, meta, Arc::new(replica), desk, link.clone(), options.attempt_ms);
    Ok(Arc::new(shards))
}

impl Node {
    pub fn id(&self) -> NodeId {
        self.quota.node()
    }

    pub fn quota(&self) -> &Quota {
        &self.quota
    }

    pub fn api_address(&self) -> SocketAddr {
        self.front.address
    }

    /// Returns when the node decides: its groups know leaders, and it is registered.
    pub async fn ready(&self) {
        while self.quota.ready().is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Returns when this node may not go on, with the reason: it is fenced, its journal has stopped, or a Raft group
    /// has, as all do when their log cannot be written. A new start reads what is on the disk.
    pub async fn faulted(&self) -> String {
        let groups = self.shards.replica().groups().map(|group| Box::pin(stopped(group)));
        let stopped = futures::future::select_all(groups);
        let journal = self.quota.holder().journal();
        tokio::select! {
            why = self.refused() => why,
            why = journal.stopped() => format!("the journal has stopped: {why}"),
            (why, ..) = stopped => why,
        }
    }

    async fn refused(&self) -> String {
        let mut fault = self.quota.holder().fault();
        let fault = match fault.wait_for(Option::is_some).await {
            Ok(fault) => fault.clone(),
            Err(_) => return std::future::pending().await,
        };
        if let Some(HolderFault(Rejection::RolledBack { .. })) = &fault {
            mark_refused(self.root.as_ref());
        }
        fault.map(|fault| fault.to_string()).unwrap_or_default()
    }

    /// Takes no more requests, finishes those in hand, gives every lease back while the other nodes still live, and then
    /// the lead of its groups, so that nobody has to notice that it is gone.
    pub async fn drain(&mut self) {
        let _already = self.front.stop.send(true);
        let _ended = (&mut self.front.serving).await;
        if !self.quota.holder().drain(Duration::from_millis(defaults::DRAIN_MS)).await {
            tracing::warn!("some leases were not given back in time; they are taken up at the next start");
        }
        if !self.shards.replica().hand_over(Duration::from_millis(defaults::HAND_OVER_MS)).await {
            tracing::warn!(
                "nobody took the lead of some groups in time; the others elect a leader once this node is gone"
            );
        }
    }

    /// Ends the node. What was answered is on its disk.
    pub async fn stop(self) {
        let Self { quota, mux, shards, front, background, .. } = self;
        let _already = front.stop.send(true);
        for task in &background {
            task.abort();
        }
        if let Err(why) = quota.holder().journal().sync().await {
            tracing::warn!(%why, "the journal did not sync at the end");
        }
        shards.replica().shutdown().await;
        mux.shutdown().await;
    }
}

async fn stopped(group: &Group) -> String {
    if is_planted(Mistake::LogFailureIgnored) {
        return std::future::pending().await;
    }
    let mut leadership = group.watch_leadership();
    match leadership.wait_for(|now| now.stopped.is_some()).await {
        Ok(now) => now.stopped.clone().unwrap_or_default(),
        Err(_) => std::future::pending().await,
    }
}

/// Every group of the cluster, and who has a replica of the meta group: all nodes, the first three of them decide.
fn groups(map: &Map, settings: &Settings) -> (Vec<GroupSpec>, Vec<NodeId>) {
    let all: Vec<NodeId> = settings.membership.nodes().iter().map(|node| node.id).collect();
    let voters: Vec<NodeId> = all.iter().copied().take(3).collect();
    let learners: Vec<NodeId> = all.iter().copied().skip(3).collect();
    let mut groups = vec![GroupSpec { id: GroupId::Meta, voters: voters.clone(), learners }];
    for shard in map.shards() {
        let voters = map.replicas(shard).to_vec();
        groups.push(GroupSpec { id: GroupId::Shard(shard), voters, learners: Vec::new() });
    }
    (groups, voters)
}

/// Clusters are told apart by name; the connection's hello carries this number of it.
fn cluster_id(name: &str) -> u64 {
    let digest = blake3::hash(name.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&digest.as_bytes()[..8]);
    u64::from_be_bytes(first)
}

/// The protocol this program speaks with other nodes.
const VERSIONS: Versions = Versions { min: 1, max: 1 };

/// Makes the holder known to the cluster; a refusal shows in `Quota::ready` and ends the process.
async fn keep_registering(quota: Quota) {
    loop {
        match quota.register().await {
            Ok(()) => return,
            Err(RegisterFault::NotYet) => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(RegisterFault::Refused(rejection)) => {
                quota.holder().refuse(rejection);
                return;
            }
        }
    }
}

impl World {
    /// The real one.
    pub fn real() -> Self {
        Self {
            clock: Arc::new(platform::SystemClock::new()),
            entropy: Arc::new(platform::SystemEntropy),
            disk: Arc::new(platform::RealDisk),
            net: Arc::new(platform::TcpNet),
            test_clock: None,
        }
    }
}
