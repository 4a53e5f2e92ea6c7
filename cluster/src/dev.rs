//! `tranche dev`: a whole cluster in one process, to try things on. Data is kept; started again, everything is there.

use crate::node::{Linked, Node, NodeFault, World};
use crate::serve::Signal;
use crate::settings::{BadSettings, RaftSettings, Settings};
use crate::test_clock::{KeptTestClock, kept_ahead_ms};
use api::OperatorKey;
use leasing::LeasePolicy;
use placement::{Membership, MembershipEpoch, Node as PlacedNode};
use platform::Entropy;
use quota::{
    AdminCommand, Change, GrantKind, ListedNode, NewGrant, PriceChange, PriceCommand, Refusal, Term,
    WorkspaceSettings,
};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use types::{Credits, GrantId, NodeId, Revision, WorkspaceId};

#[derive(Debug, clap::Args)]
pub struct Dev {
    /// How many nodes; the same as when the data was made.
    #[arg(long, default_value_t = 3, value_parser = node_count)]
    nodes: u16,
    /// Where the data is kept.
    #[arg(long, default_value = "tranche-data", value_name = "DIR")]
    data: PathBuf,
    /// The API of node i listens on 127.0.0.1, this port + i.
    #[arg(long, default_value_t = 7070)]
    port: u16,
    /// Keeps nothing: data in a fresh temporary directory, removed at the end.
    #[arg(long, conflicts_with = "data")]
    ephemeral: bool,
    /// All nodes' clock can be put ahead, for a program's own tests: POST /v1/test/clock {"advance":"10d"}
    #[arg(long)]
    test_clock: bool,
}

fn node_count(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(count @ (1 | 3 | 5)) => Ok(count),
        _ => Err("a cluster has 1, 3 or 5 nodes".into()),
    }
}

#[derive(Debug, thiserror::Error)]
pub enum DevFault {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "{path} was made for {made} nodes; start it with --nodes {made}, or give another directory with --data"
    )]
    OtherNodeCount { path: PathBuf, made: String },
    #[error(
        "{path} has lived ahead of the machine's clock; start it with --test-clock, or give another directory with --data"
    )]
    Ahead { path: PathBuf },
    #[error("port {port} + {nodes} is past 65535; give a lower --port")]
    Port { port: u16, nodes: u16 },
    #[error("node n{node}: {source}")]
    Node { node: u16, source: NodeFault },
    #[error("the example workspace was not made: {0}")]
    Example(Refusal),
    #[error("a node may not go on: {0}")]
    Faulted(String),
    #[error(transparent)]
    Settings(#[from] BadSettings),
    #[error("signals cannot be handled: {0}")]
    Signals(io::Error),
}

const EXAMPLE: &str = "example";
const EXAMPLE_CREDITS: u64 = 100_000;

/// Runs until Ctrl-C; then drains.
pub async fn dev(arguments: Dev) -> Result<(), DevFault> {
    let ephemeral = arguments.ephemeral.then(Ephemeral::new).transpose()?;
    let data = ephemeral.as_ref().map_or(arguments.data.clone(), |e| e.0.clone());
    let home = Home::open(&data, arguments.nodes)?;
    let mut signal = Signal::new().map_err(DevFault::Signals)?;
    let started = tokio::select! {
        nodes = Box::pin(start(&home, &arguments)) => nodes?,
        () = signal.next() => return Ok(()),
    };
    announce(&home, &started);
    let why = tokio::select! {
        () = signal.next() => None,
        why = faulted(&started) => Some(why),
    };
    println!("draining");
    let mut nodes = started;
    let drained = futures::future::join_all(nodes.iter_mut().map(Node::drain));
    tokio::select! {
        _ = drained => {}
        () = signal.next() => {}
    }
    futures::future::join_all(nodes.into_iter().map(Node::stop)).await;
    println!("stopped");
    why.map_or(Ok(()), |why| Err(DevFault::Faulted(why)))
}

async fn faulted(nodes: &[Node]) -> String {
    let each = nodes.iter().map(|node| Box::pin(node.faulted()));
    futures::future::select_all(each).await.0
}

async fn start(home: &Home, arguments: &Dev) -> Result<Vec<Node>, DevFault> {
    let Dev { port, nodes, .. } = *arguments;
    let _last = port.checked_add(nodes).ok_or(DevFault::Port { port, nodes })?;
    let mut linked = Vec::new();
    let world = home.world(arguments.test_clock)?;
    for i in 1..=arguments.nodes {
        let settings = home.settings(i, arguments)?;
        let opened = Linked::open(settings, world.clone()).await;
        linked.push(opened.map_err(|source| DevFault::Node { node: i, source })?);
    }
    let addresses: Vec<(NodeId, SocketAddr)> = linked.iter().map(|l| (l.node(), l.peer_address())).collect();
    // The lower id dials: the higher ones know it first.
    for one in linked.iter().rev() {
        let added = one.add_peers(addresses.iter().copied());
        added.map_err(|source| DevFault::Node { node: one.node().0, source })?;
    }
    let each = linked.into_iter().map(|one| async move {
        let node = one.node().0;
        Box::pin(one.start()).await.map_err(|source| DevFault::Node { node, source })
    });
    let nodes = futures::future::try_join_all(each).await?;
    for node in &nodes {
        node.ready().await;
    }
    if let Some(first) = nodes.first() {
        make_example(first).await.map_err(DevFault::Example)?;
    }
    Ok(nodes)
}

/// The rate card and the example workspace, each only where there is none.
async fn make_example(node: &Node) -> Result<(), Refusal> {
    let quota = node.quota();
    let change = PriceChange::PutCard { list: pricing::RateCard::dev().list().clone(), effective_at: None };
    match quota.change_prices(PriceCommand { keyed: None, if_match: Some(Revision(0)), change }).await {
        Ok(_) | Err(Refusal::Stale { .. }) => {}
        Err(other) => return Err(other),
    }
    let id = WorkspaceId::parse(EXAMPLE).expect("a valid id");
    match quota.workspace(&id, false).await {
        Ok(_) => return Ok(()),
        Err(Refusal::UnknownWorkspace) => {}
        Err(other) => return Err(other),
    }
    let settings = WorkspaceSettings { name: Some("Example".into()), ..WorkspaceSettings::unchanged() };
    let grant = NewGrant {
        id: GrantId::parse("welcome").expect("a valid id"),
        kind: GrantKind::Trial,
        amount: Credits::whole(EXAMPLE_CREDITS).expect("within the bound"),
        priority: 50,
        paid: false,
        starts_at: None,
        expires_at: None,
        term: Term::Lasting,
        price: None,
    };
    for change in [Change::PutWorkspace(settings), Change::MakeGrant(grant)] {
        quota.administer(AdminCommand { workspace: id.clone(), keyed: None, if_match: None, change }).await?;
    }
    Ok(())
}

fn announce(home: &Home, nodes: &[Node]) {
    let Some(first) = nodes.first() else { return };
    let (url, key) = (format!("http://{}", first.api_address()), &home.operator_key);
    let mut text = format!("Tranche runs with {} node(s), data in {}\n\n", nodes.len(), home.path.display());
    for node in nodes {
        text += &format!("  {:<4} http://{}\n", node.id().to_string(), node.api_address());
    }
    text += &format!("\n  operator key  {key}\n  docs          {url}/docs\n\nTry:\n\n");
    text += &format!(
        "  curl -s {url}/v1/workspaces/{EXAMPLE}/consume -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \
         -d '{{\"user\":\"ann\",\"feature\":\"chat\",\"model\":\"m-1\",\"usage\":{{\"input_tokens\":1200,\"output_tokens\":300}}}}'\n"
    );
    text += &format!(
        "  curl -s {url}/v1/workspaces/{EXAMPLE} -H 'Authorization: Bearer {key}'\n\nCtrl-C drains and stops.\n"
    );
    let mut out = io::stdout().lock();
    // A closed terminal is no reason to stop serving.
    let _closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// The directory of a dev cluster: its name, its key, one directory for each node.
struct Home {
    path: PathBuf,
    cluster: String,
    operator_key: String,
}

impl Home {
    fn open(path: &Path, nodes: u16) -> Result<Self, DevFault> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| DevFault::Io { path, source }
        };
        std::fs::create_dir_all(path).map_err(io(path))?;
        let made = keep(&path.join("nodes"), || nodes.to_string())?;
        if made != nodes.to_string() {
            return Err(DevFault::OtherNodeCount { path: path.to_owned(), made });
        }
        let cluster = keep(&path.join("cluster"), || format!("dev-{}", random_hex(8)))?;
        let operator_key = keep(&path.join("operator.key"), || format!("tk_{}", random_hex(32)))?;
        Ok(Self { path: path.to_owned(), cluster, operator_key })
    }

    /// With a clock that can be put ahead, or the machine's.
    fn world(&self, test_clock: bool) -> Result<World, DevFault> {
        let fault = |source| DevFault::Io { path: self.path.clone(), source };
        if test_clock {
            let kept = Arc::new(KeptTestClock::open(&self.path).map_err(fault)?);
            return Ok(World { clock: kept.clock(), test_clock: Some(kept), ..World::real() });
        }
        match kept_ahead_ms(&self.path).map_err(fault)? {
            Some(ahead_ms) if ahead_ms > 0 => Err(DevFault::Ahead { path: self.path.clone() }),
            Some(_) | None => Ok(World::real()),
        }
    }

    fn settings(&self, i: u16, arguments: &Dev) -> Result<Settings, DevFault> {
        let api = |i: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port + i));
        let bad_key = |why| BadSettings::BadKey { path: self.path.join("operator.key"), why };
        let operator_key = OperatorKey::parse(&self.operator_key).map_err(bad_key)?;
        let all = 1..=arguments.nodes;
        let placed =
            all.clone().map(|i| PlacedNode { id: NodeId(i), zone: String::new(), weight: 1 }).collect();
        let membership = Membership::new(MembershipEpoch(1), placed).expect("one to five different nodes");
        let listed =
            |i: u16| ListedNode { id: NodeId(i), api: api(i).to_string(), peer: "in this process".into() };
        Ok(Settings {
            node: NodeId(i),
            data: self.path.join(format!("n{i}")),
            api_listen: api(i),
            operator_key,
            peer_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            cluster: self.cluster.clone(),
            membership,
            listed: all.map(listed).collect(),
            raft: RaftSettings::default(),
            lease: LeasePolicy::STANDARD,
        })
    }
}

/// What a small file says, or what is written to it now; readable by its owner alone.
fn keep(path: &Path, make: impl FnOnce() -> String) -> Result<String, DevFault> {
    let fault = |source| DevFault::Io { path: path.to_owned(), source };
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            use std::os::unix::fs::OpenOptionsExt;
            let text = make();
            let mut options = std::fs::OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(path).map_err(fault)?;
            writeln!(file, "{text}").and_then(|()| file.sync_all()).map_err(fault)?;
            Ok(text)
        }
        Err(error) => Err(fault(error)),
    }
}

fn random_hex(bytes: usize) -> String {
    let mut random = vec![0; bytes];
    platform::SystemEntropy.fill(&mut random);
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A directory that goes when this is dropped.
struct Ephemeral(PathBuf);

impl Ephemeral {
    fn new() -> Result<Self, DevFault> {
        let path = std::env::temp_dir().join(format!("tranche-{}", random_hex(8)));
        std::fs::create_dir(&path).map_err(|source| DevFault::Io { path: path.clone(), source })?;
        Ok(Self(path))
    }
}

impl Drop for Ephemeral {
    fn drop(&mut self) {
        if let Err(why) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} was not removed: {why}", self.0.display());
        }
    }
}
