//! Some nodes with links between them: started, killed, cut off, healed. Not here: one node (`node`), one link (`link`).
//!
//! Each node is told addresses of its own for the others: a link for every ordered pair. Whoever dials, a cut between
//! two nodes covers both.

use crate::api::{Api, number, text, whole};
use crate::clock::WallClock;
use crate::disk::SmallDisk;
use crate::link::{Link, Way};
use crate::load::Tally;
use crate::node::{Listed, Node};
use crate::wait::{PATIENCE, eventually, one_at_a_time, unique};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::MutexGuard;

/// Within which a whole cluster must have started.
const START_WITHIN: Duration = Duration::from_secs(60);
/// Starts with fresh ports, where somebody took one meanwhile.
const STARTS_MAX: u32 = 5;

#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    /// By the node that dials and the node it wants.
    links: BTreeMap<(u16, u16), Link>,
    pub key: String,
    directory: Directory,
    _turn: MutexGuard<'static, ()>,
}

impl Cluster {
    /// Starts `count` nodes and waits until all are ready.
    pub async fn start(count: u16) -> Self {
        Self::start_on(count, |_| None).await
    }

    /// As [`Cluster::start`], with small disks for some of the nodes.
    pub async fn start_on(count: u16, disk: impl Fn(u16) -> Option<SmallDisk>) -> Self {
        Self::start_with(count, disk, false).await
    }

    /// As [`Cluster::start`], every node with a wall clock of its own.
    pub async fn start_with_clocks(count: u16) -> Self {
        Self::start_with(count, |_| None, true).await
    }

    /// As [`Cluster::start_on`], every node with a small disk and a wall clock of its own. Its logs stay if the test
    /// fails.
    pub async fn start_to_be_harmed(count: u16, disk_mebibytes: u32) -> Self {
        let mut cluster = Self::start_with(count, |_| Some(SmallDisk::new(disk_mebibytes)), true).await;
        cluster.directory.stays_after_failure = true;
        cluster
    }

    async fn start_with(count: u16, disk: impl Fn(u16) -> Option<SmallDisk>, own_clocks: bool) -> Self {
        let mut turn = one_at_a_time().await;
        for _ in 0..STARTS_MAX {
            let mut cluster = Self::prepare(count, &disk, turn).await;
            if own_clocks {
                cluster.nodes.iter_mut().for_each(|node| node.clock = Some(WallClock::new(&node.directory)));
            }
            cluster.nodes.iter_mut().for_each(Node::start);
            if cluster.came_up().await {
                return cluster;
            }
            let Self { _turn, .. } = cluster;
            turn = _turn;
        }
        panic!("ports were taken away {STARTS_MAX} times");
    }

    async fn prepare(
        count: u16,
        disk: impl Fn(u16) -> Option<SmallDisk>,
        turn: MutexGuard<'static, ()>,
    ) -> Self {
        let directory = Directory::new();
        let key = format!("tk_of_the_tests_{}", unique());
        let name = format!("tests-{}", unique());
        let ports = free_addresses(2 * usize::from(count));
        let (apis, peers) = ports.split_at(usize::from(count));
        let mut links = BTreeMap::new();
        let mut nodes = Vec::new();
        for (from, own) in (1..=count).zip(apis.iter().zip(peers)) {
            let mut listed = Vec::new();
            for (to, (api, peer)) in (1..=count).zip(apis.iter().zip(peers)) {
                let mut seen = Listed { number: to, peer: *peer, api: *api };
                if from != to {
                    let link = Link::open(*peer).await;
                    seen.peer = link.address;
                    links.insert((from, to), link);
                }
                listed.push(seen);
            }
            let addresses = (*own.0, *own.1);
            nodes.push(Node::new(
                from,
                directory.inner.path(),
                addresses,
                (&name, &listed),
                &key,
                disk(from),
            ));
        }
        Self { nodes, links, key, directory, _turn: turn }
    }

    /// `false`: a port was taken by somebody else.
    async fn came_up(&mut self) -> bool {
        eventually("the cluster is ready", START_WITHIN, async || {
            let mut ready = true;
            for node in &mut self.nodes {
                if node.address_was_taken() {
                    return Some(false);
                }
                if let Some(status) = node.process().ended() {
                    panic!("n{} ended with {status}", node.number);
                }
                ready &= node.is_ready().await;
            }
            ready.then_some(true)
        })
        .await
    }

    pub fn numbers(&self) -> impl Iterator<Item = u16> + Clone + use<> {
        1..=u16::try_from(self.nodes.len()).expect("few")
    }

    pub fn node(&mut self, number: u16) -> &mut Node {
        &mut self.nodes[usize::from(number) - 1]
    }

    /// A new caller of one node.
    pub fn api(&self, number: u16) -> Api {
        self.nodes[usize::from(number) - 1].caller()
    }

    pub fn api_with_key(&self, number: u16, key: &str) -> Api {
        self.nodes[usize::from(number) - 1].caller_with_key(key)
    }

    pub fn directory(&self) -> PathBuf {
        self.directory.inner.path().to_owned()
    }

    /// Starts every node that does not run, and waits until all are ready.
    pub async fn all_back(&mut self) {
        for node in &mut self.nodes {
            if !node.runs() {
                node.restart().await;
            }
        }
        self.ready().await;
    }

    pub async fn ready(&self) {
        for node in &self.nodes {
            let what = format!("n{} is ready", node.number);
            eventually(&what, PATIENCE, async || node.is_ready().await.then_some(())).await;
        }
    }

    /// Both links of a pair, and whether the first node of the pair dials.
    fn between(&self, a: u16, b: u16) -> [(&Link, bool); 2] {
        let link = |from, to| self.links.get(&(from, to)).expect("two different nodes");
        [(link(a, b), true), (link(b, a), false)]
    }

    /// Spends single credits of `acme` on `node` until it decides for `user` itself: then it is a holder of them.
    pub async fn decide_at(&self, node: u16, user: &str, told: &mut Tally) {
        let mut api = self.api(node);
        eventually("the user is decided where he asks", PATIENCE, async || {
            let spent = api.consume("acme", user, "1").await;
            told.note(whole(1), &spent);
            (spent.allowed().1 == format!("n{node}")).then_some(())
        })
        .await;
    }

    /// Breaks every connection between two nodes; no new ones.
    pub fn cut(&self, a: u16, b: u16) {
        self.between(a, b).iter().for_each(|(link, _)| link.cut());
    }

    /// What happens to bytes from `a` to `b`, and to those from `b` to `a`.
    pub fn set(&self, a: u16, b: u16, a_to_b: Way, b_to_a: Way) {
        for (link, a_dials) in self.between(a, b) {
            let (there, back) = if a_dials { (a_to_b, b_to_a) } else { (b_to_a, a_to_b) };
            link.set(there, back);
        }
    }

    /// Cuts one node off from all others.
    pub fn isolate(&self, number: u16) {
        self.numbers().filter(|other| *other != number).for_each(|other| self.cut(number, other));
    }

    /// Breaks every connection between two nodes in the middle of what it carries next.
    pub fn reset(&self, a: u16, b: u16) {
        self.between(a, b).iter().for_each(|(link, _)| link.reset());
    }

    pub fn heal(&self) {
        self.links.values().for_each(Link::heal);
    }

    /// Who leads the one shard that has workspaces, and who hosts it.
    pub async fn shard(&self) -> Shard {
        eventually("the shard has a leader", PATIENCE, async || {
            for node in self.nodes.iter().filter(|node| node.runs()) {
                let sent = node.caller().send("GET", "/v1/cluster", &[], None).await;
                let Ok(answer) = sent else { continue };
                let view = answer.json();
                let groups = view["groups"].as_array().expect("a list of groups").clone();
                let used = groups.iter().find(|group| number(&group["workspaces"]) > 0);
                let Some(group) = used.filter(|group| group["leader"].is_string()) else { continue };
                let voters = group["voters"].as_array().expect("a list of nodes");
                return Some(Shard {
                    leader: node_number(&text(&group["leader"])),
                    replicas: voters.iter().map(|voter| node_number(&text(voter))).collect(),
                });
            }
            None
        })
        .await
    }
}

/// Where settings, logs and data lie; goes away with the test, but for one that failed and wants to be looked at.
#[derive(Debug)]
struct Directory {
    inner: TempDir,
    stays_after_failure: bool,
}

impl Directory {
    fn new() -> Self {
        let inner = TempDir::with_prefix("tranche-tests-").expect("a temporary directory");
        Self { inner, stays_after_failure: false }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.stays_after_failure && std::thread::panicking() {
            self.inner.disable_cleanup(true);
            eprintln!("the logs of all nodes stay in {}", self.inner.path().display());
        }
    }
}

/// Where a workspace's ledger is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    pub leader: u16,
    pub replicas: Vec<u16>,
}

/// `n3` is 3.
fn node_number(id: &str) -> u16 {
    id.strip_prefix('n').and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("no node: {id}"))
}

/// Different ports that nobody listens on right now.
fn free_addresses(count: usize) -> Vec<SocketAddr> {
    let bind = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let held: Vec<TcpListener> = (0..count).map(bind).collect();
    held.iter().map(|listener| listener.local_addr().expect("a listener has an address")).collect()
}
