//! What a run is made of besides its seed; and the swarm: each seed draws its own sizes, so that no two runs are alike.
//! Not here: which faults (`swarm`), which changes (`admins`).

use super::admins::AdminStep;
use super::changes::{self, Storm};
use super::faults::SUPPORTED;
use super::given_up::GivenUp;
use super::words::{Index, id_of};
use crate::chance::stream;
use crate::fault::{Fault, Unsynced, What};
use crate::swarm::{Swarm, log_uniform};
use leasing::LeasePolicy;
use rand::Rng;
use std::sync::Arc;
use types::{Credits, NodeId};

/// How long a message takes, one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    pub least_us: u64,
    pub most_us: u64,
}

/// How long messages take between zones, and which node is in which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distances {
    /// By node.
    pub zone_of: Vec<usize>,
    /// By zone and zone.
    pub between: Vec<Vec<Latency>>,
}

impl Distances {
    /// All nodes in one zone.
    pub fn even(nodes: usize, latency: Latency) -> Self {
        Self { zone_of: vec![0; nodes], between: vec![vec![latency]] }
    }

    pub fn from_to(&self, from: Index, to: Index) -> Latency {
        self.between[self.zone_of[from]][self.zone_of[to]]
    }

    pub fn most_us(&self) -> u64 {
        self.between.iter().flatten().map(|latency| latency.most_us).max().unwrap_or(0)
    }
}

/// One request of a load that is listed: who spends what, where and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    pub at_us: u64,
    pub workspace: usize,
    pub user: usize,
    pub node: Index,
    pub price: Credits,
    pub keyed: bool,
}

/// Requests one by one, of clients who try each so often at most: first where they usually go, then at the next node.
/// What was not answered and had no key is not tried again, because it may have been charged.
#[derive(Clone, Debug)]
pub struct Listed {
    pub arrivals: Arc<Vec<Arrival>>,
    pub tries: u32,
}

#[derive(Clone, Debug)]
pub struct Config {
    /// Holders; the first of them have the replicas.
    pub nodes: usize,
    pub replicas: usize,
    /// Which numbers real nodes in their places have: that decides where users are at home.
    pub ids: Vec<NodeId>,
    /// Faults and load take this long; then all heals, and the run must come to rest.
    pub run_ms: u64,
    pub distances: Distances,
    /// How long every sync takes.
    pub sync_us: u64,
    pub lease: LeasePolicy,
    pub session_ttl_ms: u64,
    /// Crowds whose requests are drawn while the run goes on.
    pub workspaces: Vec<WorkspaceConfig>,
    /// Requests that were drawn before.
    pub listed: Option<Listed>,
    pub faults: Vec<Fault>,
    pub changes: Vec<AdminStep>,
    /// What must be there before anything else: each stage is done before the next begins.
    pub setup: Vec<Vec<AdminStep>>,
    /// What nodes are called, where not n1 and so on.
    pub names: Vec<String>,
    pub keep_film: bool,
    /// Some power failures wait for a bad moment; not where a plan says when they come.
    pub lies_in_wait: bool,
    pub rushes: Vec<Rush>,
}

/// For a while a user spends much oftener than others.
#[derive(Clone, Copy, Debug)]
pub struct Rush {
    pub at_ms: u64,
    pub for_ms: u64,
    pub workspace: usize,
    pub user: usize,
    /// There; `None`: where he usually does, and elsewhere.
    pub node: Option<Index>,
}

#[derive(Clone, Debug)]
pub struct WorkspaceConfig {
    pub users: usize,
    /// Mean time between requests while it is busy.
    pub every_ms: u64,
    /// The first grant.
    pub granted: Credits,
    /// Prices in micro-credits lie between these.
    pub prices: (u64, u64),
    /// Of a thousand requests.
    pub keyed_per_mille: u32,
    /// Of a thousand requests go to the user's usual node.
    pub usual_per_mille: u32,
    /// Of a thousand arrivals come as many at once.
    pub burst_per_mille: u32,
}

const CREDIT: u64 = 1_000_000;
/// Between three requests in two seconds and one in five: many quiet runs meet more faults than few busy ones.
const QUIET_MS: (u64, u64) = (640, 5_000);
/// One run of so many is busy: between 25 requests a second and three in two.
const BUSY_EVERY: u64 = 32;
const BUSY_MS: (u64, u64) = (40, 640);

impl Config {
    pub fn replica_at(&self, turn: usize) -> Index {
        turn % self.replicas
    }

    /// The run of a seed.
    pub fn draw(seed: u64, minutes: u64) -> Self {
        let run_ms = minutes * 60_000;
        let mut chance = stream(seed, "config");
        let nodes = match chance.random_range(0..100) {
            0..70 => chance.random_range(3..=6),
            70..97 => chance.random_range(5..=12),
            _ => chance.random_range(13..=64),
        };
        let replicas = if nodes >= 5 && chance.random_bool(0.15) { 5 } else { 3 };
        let far = log_uniform(&mut chance, 300, 40_000);
        let latency = Latency { least_us: chance.random_range(100..=far), most_us: far };
        let lease = lease_policy(&mut chance);
        let session_ttl_ms =
            if chance.random_bool(0.4) { chance.random_range(5_000..=20_000) } else { 60_000 };
        let count = [1, 1, 1, 2, 2, 3][chance.random_range(0..6)];
        let pace_ms = if seed % BUSY_EVERY == BUSY_EVERY / 2 { BUSY_MS } else { QUIET_MS };
        let workspaces = (0..count).map(|_| workspace(&mut chance, count as u64, run_ms, pace_ms)).collect();
        let every_ms = (chance.random_range(3_000..=10_000), chance.random_range(12_000..=60_000));
        let swarm = Swarm { nodes, until_ms: run_ms, kinds: SUPPORTED.to_vec(), every_ms };
        let sync_us = if chance.random_bool(0.3) { 0 } else { log_uniform(&mut chance, 50, 30_000) };
        let mut config = Self {
            nodes,
            replicas,
            ids: (0..nodes).map(id_of).collect(),
            run_ms,
            distances: Distances::even(nodes, latency),
            sync_us,
            lease,
            session_ttl_ms,
            workspaces,
            listed: None,
            faults: if chance.random_bool(0.05) { Vec::new() } else { swarm.draw(seed) },
            changes: Vec::new(),
            setup: Vec::new(),
            names: Vec::new(),
            keep_film: false,
            lies_in_wait: true,
            rushes: Vec::new(),
        };
        let storms = Storm::draw(&config, seed);
        let stormy: Vec<Fault> = storms.iter().flat_map(|storm| storm.faults(&config)).collect();
        config.rushes.extend(storms.iter().map(Storm::rush));
        config.faults.extend(stormy);
        config.faults.extend(older_disk(&config, seed));
        let late = config.faults.iter().flat_map(|fault| late_to_register(fault, &config));
        config.faults.extend(late.collect::<Vec<_>>());
        let dark = config.faults.iter().filter_map(|fault| goes_dark(fault, config.run_ms));
        let (dark, rushes): (Vec<_>, Vec<_>) = dark.unzip();
        config.faults.extend(dark);
        config.rushes.extend(rushes);
        let given_up = GivenUp::draw(&config, seed);
        config.faults.extend(given_up.as_ref().and_then(GivenUp::stands_still));
        config.rushes.extend(given_up.as_ref().and_then(GivenUp::rush));
        config.faults.sort_by_key(|fault| fault.at_ms);
        config.changes = changes::draw(&config, seed, &storms, given_up.as_ref());
        config
    }
}

/// What a node says takes so long for a while after its disk was rolled back: leaders ask for its lines before it has
/// registered. Every other time it dies meanwhile as often as it starts: its starts write records, and nobody hears of them.
fn late_to_register(fault: &Fault, config: &Config) -> Vec<Fault> {
    const LATE_MS: u64 = 1_500;
    const STARTS_MS: u64 = 3_000;
    let What::DiskRolledBack { node } = fault.what else { return Vec::new() };
    let others = (0..config.replicas).filter(|replica| *replica != node);
    let late = others.map(|to| Fault {
        at_ms: fault.at_ms,
        for_ms: fault.for_ms + STARTS_MS,
        what: What::Delay { from: node, to, ms: LATE_MS },
    });
    let dying = Fault {
        at_ms: fault.at_ms + fault.for_ms,
        for_ms: STARTS_MS,
        what: What::CrashLoop { node, every_ms: LATE_MS },
    };
    late.chain(fault.at_ms.is_multiple_of(2).then_some(dying)).collect()
}

/// Of the runs in which no disk was lost, some have one that comes back older than it was: what must not be believed then
/// is rarely asked for.
fn older_disk(config: &Config, seed: u64) -> Option<Fault> {
    let is_lost = |fault: &Fault| {
        matches!(fault.what, What::DiskLost { .. } | What::BitRot { .. } | What::DiskRolledBack { .. })
    };
    let mut chance = stream(seed, "disk of before");
    let comes = !config.faults.is_empty() && !config.faults.iter().any(is_lost) && chance.random_bool(0.3);
    let last_ms = config.run_ms.checked_sub(30_000).filter(|last_ms| comes && *last_ms > 0)?;
    let what = What::DiskRolledBack { node: chance.random_range(0..config.nodes) };
    Some(Fault { at_ms: chance.random_range(0..last_ms), for_ms: log_uniform(&mut chance, 500, 8_000), what })
}

/// Every other disk that is slow for a while loses its power meanwhile, when something was said that it does not hold yet:
/// somebody spends there.
fn goes_dark(fault: &Fault, run_ms: u64) -> Option<(Fault, Rush)> {
    const DARK_MS: u64 = 1_000;
    const RUSH_MS: u64 = 5_000;
    let What::SlowSync { node, .. } = fault.what else { return None };
    let for_ms = DARK_MS.min(run_ms.saturating_sub(fault.at_ms));
    let what = What::PowerLoss { node, unsynced: Unsynced::Lost };
    // Of those that lie in wait for what is used.
    let dark = Fault { at_ms: fault.at_ms / 8 * 8 + 6, for_ms, what };
    let rush = Rush { at_ms: fault.at_ms, for_ms: RUSH_MS, workspace: 0, user: 0, node: Some(node) };
    (fault.at_ms.is_multiple_of(2) && for_ms > 0).then_some((dark, rush))
}

fn lease_policy(chance: &mut crate::chance::Stream) -> LeasePolicy {
    let standard = LeasePolicy::STANDARD;
    if chance.random_bool(0.4) {
        return standard;
    }
    let credits = |micros: u64| Credits::from_micros(micros).expect("a small number");
    let chunk = log_uniform(chance, CREDIT / 10, 50 * CREDIT);
    LeasePolicy {
        horizon_ms: log_uniform(chance, 200, 8_000),
        lease_min: credits(log_uniform(chance, CREDIT / 10, 100 * CREDIT)),
        chunk_min: credits(chunk),
        chunk_max: credits(chunk * 100),
        idle_ms: log_uniform(chance, 1_500, 20_000),
        ..standard
    }
}

fn workspace(
    chance: &mut crate::chance::Stream,
    count: u64,
    run_ms: u64,
    pace_ms: (u64, u64),
) -> WorkspaceConfig {
    let most = log_uniform(chance, CREDIT / 100, 20 * CREDIT);
    let prices = (chance.random_range(0..=most), most);
    // Over all pools; and pools that last between a tenth and ten times the run.
    let every_ms = log_uniform(chance, pace_ms.0, pace_ms.1) * count;
    let mean_price = (prices.0 + prices.1) / 2;
    let spent_in_all = mean_price.saturating_mul(run_ms / every_ms).max(CREDIT);
    let granted = log_uniform(chance, spent_in_all / 10, spent_in_all * 10);
    WorkspaceConfig {
        users: usize::try_from(log_uniform(chance, 2, 40)).unwrap_or(2),
        every_ms,
        granted: Credits::from_micros(granted).expect("below a million credits"),
        prices,
        keyed_per_mille: [0, 100, 300, 700][chance.random_range(0..4)],
        usual_per_mille: [300, 700, 950, 1_000][chance.random_range(0..4)],
        burst_per_mille: [0, 20, 60][chance.random_range(0..3)],
    }
}
