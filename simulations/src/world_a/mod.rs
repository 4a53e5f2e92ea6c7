//! World A: the product's ledger, leasing, escrow and journal on a simulated network, with virtual time and disks that
//! tear, lose and roll back; one thread, one seed, bit-exact. The tasks around these rooms re-play the product's actors.
//!
//! Reading order: `config` (what a run is made of), `time`, `network`, `carry`, `shard` (a toy replicated log), `node` and `start`,
//! then a consume's way: `clients`, `consume`, `handle`, `allocation`, `pool`, `desk`; `faults` and `admins` (with `changes`) attack it,
//! `oracle` judges, `rest` has everything come to rest. Not here: sockets, actors, Raft as shipped; and no thread.

mod admins;
mod allocation;
mod batch;
mod carry;
mod changes;
mod clients;
mod config;
mod consume;
mod desk;
mod dues;
mod ending;
mod faults;
mod film;
mod given_up;
mod handle;
mod holds;
mod images;
mod messages;
mod network;
mod node;
mod oracle;
mod pool;
mod refunds;
mod rest;
mod rounds;
mod scopes;
mod served;
mod services;
mod shard;
mod start;
mod streams;
mod tell;
mod time;
mod words;

pub use admins::{AdminStep, Wanted, user_id, workspace_id};
pub use config::{Arrival, Config, Distances, Latency, Listed, WorkspaceConfig};
pub use faults::SUPPORTED;

use crate::chance::stream;
use crate::clock::MachineClock;
use crate::crossings::Crossing;
use crate::outcome::{BrokenAt, Outcome, PRODUCT_STOPS, Sample, Served};
use crate::scene::Scene;
use film::{Film, Frame, Step};
use network::Network;
use node::{Node, Running};
use oracle::Oracle;
use placement::{Membership, MembershipEpoch};
use platform::{AgreedClock, MemDisk};
use shard::Replica;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use time::{Time, WORLD};
use types::{Credits, Durability, HolderId, LineId, LineNumber, NodeId, Timestamp, UserId, WorkspaceId};
use words::{Consume, Index, Refusal, id_of};

/// When all runs begin: five minutes before an hour, a day and a week end.
pub const START: Timestamp = Timestamp::from_millis(20_003 * 86_400_000 - 300_000);
/// From a machine's boot to where its node is started.
const BOOT_MS: u64 = 1_000;
/// How often everything is judged in full.
const JUDGE_MS: u64 = 2_000;
/// Of so many seeds one is judged at every step.
const THOROUGH_EVERY: u64 = 16;
/// How often a sample is taken at most, and how many of a run.
const SAMPLE_MS: u64 = 500;
const SAMPLES_MAX: u64 = 600;

struct World {
    time: Time,
    config: Config,
    seed: u64,
    net: RefCell<Network>,
    nodes: Vec<Node>,
    agreed: Vec<RefCell<AgreedClock>>,
    membership: Membership,
    oracle: RefCell<Oracle>,
    film: RefCell<Film>,
    counts: RefCell<Counts>,
    served: RefCell<Served>,
    /// Requests of a listed load that have not ended, while it lasts.
    listed: RefCell<served::Requests>,
    next_ask: Cell<u64>,
    /// Term and leader, as last seen; and since when nobody leads who once did.
    led: Cell<(u64, Option<Index>)>,
    leaderless_since_ms: Cell<Option<u64>>,
    /// The last leader died while it asked for lines.
    died_in_round: Cell<bool>,
    faults_active: Cell<u32>,
    /// Clients' requests that have not ended.
    requests: Cell<u64>,
    clocks: RefCell<crate::clock::Judged>,
}

#[derive(Default)]
struct Counts {
    operations: u64,
    refusals: BTreeMap<&'static str, u64>,
    no_answer: u64,
    changes: u64,
    changes_refused: u64,
    faults: BTreeMap<&'static str, u64>,
    elections: u64,
    rounds_ms: Vec<u64>,
    failovers_ms: Vec<u64>,
    timeline: Vec<Sample>,
}

fn membership(ids: &[NodeId]) -> Membership {
    let member = |id: &NodeId| placement::Node { id: *id, zone: String::new(), weight: 1 };
    let members = Membership::new(MembershipEpoch(1), ids.iter().map(member).collect());
    members.expect("nodes have names of their own")
}

/// Where keyed requests of a user are decided, while all is well; then where they are if that is forgotten.
fn homes(members: &Membership, ids: &[NodeId], workspace: &WorkspaceId, user: &UserId) -> Vec<Index> {
    let homes = members.homes(workspace, user).into_iter();
    homes.filter_map(|home| ids.iter().position(|id| *id == home)).collect()
}

/// The first of them.
#[must_use]
pub fn home(ids: &[NodeId], workspace: usize, user: usize) -> usize {
    homes(&membership(ids), ids, &workspace_id(workspace), &user_id(user))[0]
}

/// Runs one seed to its end, or to the first sentence that broke.
#[must_use]
pub fn run(config: &Config, seed: u64) -> Outcome {
    let world = World::new(config.clone(), seed);
    // The product asserts its sentences too: a panic of it is a sentence that broke.
    let ran = std::panic::catch_unwind(AssertUnwindSafe(|| world.run_all()));
    if let Err(panic) = ran {
        let words = panic.downcast_ref::<String>().cloned();
        let words = words.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let (at_ms, what) = (world.time.now_ms(), words.unwrap_or_default());
        return world.stopped(BrokenAt { at_ms, sentence: PRODUCT_STOPS.to_owned(), what });
    }
    let outcome = world.outcome();
    world.time.clear();
    outcome
}

impl World {
    fn new(config: Config, seed: u64) -> Rc<Self> {
        let time = Time::new(config.nodes + 1);
        let peers: Vec<Index> = (0..config.replicas).collect();
        let node = |index: Index| Node {
            index,
            holder: HolderId { node: id_of(index), disk: Node::disk_id(index) },
            clock: Arc::new(MachineClock::new(time.truth(), START, BOOT_MS, index)),
            disk: RefCell::new(MemDisk::new()),
            image: RefCell::new(None),
            slow_sync_ms: RefCell::default(),
            pauses: Cell::new(0),
            disk_full: Cell::new(0),
            clock_faults: Cell::new(0),
            replica: (index < config.replicas).then(|| {
                let chance = stream(seed, &format!("replica {index}"));
                RefCell::new(Replica::new(index, peers.clone(), chance))
            }),
            running: RefCell::new(None),
            downs: Cell::new(0),
            gone: Cell::new(false),
            forgotten: Cell::new(false),
            lives: Cell::new(0),
            in_wait: RefCell::default(),
            power_lost_ms: Cell::new(None),
            rolled_back: Cell::new(false),
            asks: RefCell::default(),
        };
        let nodes: Vec<Node> = (0..config.nodes).map(node).collect();
        let agree = |node: &Node| RefCell::new(AgreedClock::new(node.clock.clone(), config.replicas - 1));
        let agreed = nodes.iter().map(agree).collect();
        let net = Network::new(config.distances.clone(), stream(seed, "network"));
        let mut film = Film::default();
        film.kept = config.keep_film.then(Vec::new);
        Rc::new(Self {
            time,
            seed,
            net: RefCell::new(net),
            agreed,
            membership: membership(&config.ids),
            oracle: RefCell::new(Oracle::new(seed.is_multiple_of(THOROUGH_EVERY))),
            film: RefCell::new(film),
            counts: RefCell::default(),
            served: RefCell::default(),
            listed: RefCell::default(),
            next_ask: Cell::new(1),
            led: Cell::new((0, None)),
            leaderless_since_ms: Cell::new(None),
            died_in_round: Cell::new(false),
            faults_active: Cell::new(0),
            requests: Cell::new(0),
            clocks: RefCell::new(crate::clock::Judged::new(config.replicas)),
            nodes,
            config,
        })
    }

    fn run_all(self: &Rc<Self>) {
        for node in 0..self.config.nodes {
            self.start(node);
        }
        for (number, step) in (0..).zip(self.config.changes.clone()) {
            let world = self.clone();
            self.time.call_in(step.at_ms * 1_000, move || {
                let then = world.clone();
                world.count_operation();
                world.time.spawn(WORLD, admins::carry_out(then, number, step));
            });
        }
        if !self.config.setup.is_empty() {
            self.time.spawn(WORLD, admins::set_up(self.clone()));
        }
        for at in 0..self.config.workspaces.len() {
            self.time.spawn(WORLD, clients::crowd(self.clone(), at, self.seed));
            self.time.spawn(WORLD, streams::streams(self.clone(), at, self.seed));
        }
        for (number, rush) in self.config.rushes.iter().enumerate() {
            self.time.spawn(WORLD, clients::rush(self.clone(), number, *rush, self.seed));
        }
        if let Some(listed) = self.config.listed.clone() {
            self.time.spawn(WORLD, clients::listed(self.clone(), listed));
        }
        // Before the end of faults that last as long: what is due at the same time comes in the order of asking.
        let then = self.clone();
        self.time.call_in(self.config.run_ms * 1_000, move || then.load_ended());
        faults::schedule(self);
        let rest = rest::come_to_rest(self.clone());
        let done = Rc::new(Cell::new(false));
        let done_then = done.clone();
        self.time.spawn(WORLD, async move {
            rest.await;
            done_then.set(true);
        });
        let mut now_ms = 0;
        let sample_ms = (self.config.run_ms / SAMPLES_MAX).next_multiple_of(SAMPLE_MS).max(SAMPLE_MS);
        while !done.get() && self.oracle.borrow().broken.is_none() {
            now_ms += SAMPLE_MS;
            self.time.run_until(now_ms * 1_000);
            if now_ms.is_multiple_of(JUDGE_MS) || done.get() {
                self.judge_all();
            }
            if done.get() {
                let mut oracle = self.oracle.borrow_mut();
                (0..2).for_each(|turn| oracle.judge_all(turn, now_ms));
            }
            if now_ms.is_multiple_of(sample_ms) {
                self.sample();
            }
        }
        if let Some(broken) = &self.oracle.borrow().broken {
            self.film(Step::Broken, 0, broken.at_ms, 0);
        }
    }

    fn judge_all(&self) {
        let now_ms = self.time.now_ms();
        let mut clocks = self.clocks.borrow_mut();
        for node in self.nodes.iter().filter(|node| node.clock.off_ms() != 0) {
            clocks.is_wrong(node.index, now_ms, 0);
        }
        let right = clocks.most_are_right();
        drop(clocks);
        let true_now = START.plus_ms(i64::try_from(now_ms).unwrap_or(i64::MAX));
        let mut oracle = self.oracle.borrow_mut();
        oracle.judge_all(now_ms / JUDGE_MS, now_ms);
        oracle.judge_ends(true_now, right, now_ms);
        let index = oracle.index;
        drop(oracle);
        self.film(Step::Checked, 0, index, self.time.polls());
    }

    // ---- what everybody reports

    fn film(&self, step: Step, node: Index, a: u64, b: u64) {
        self.film.borrow_mut().take(Frame { at_us: self.time.now_us(), step, node, a, b });
    }

    fn saw(&self, crossing: Crossing) {
        self.oracle.borrow_mut().saw(crossing);
    }

    fn broken(&self, sentence: &'static str, what: String) {
        let broken = Err(testkit::checkers::Broken { sentence, what });
        self.oracle.borrow_mut().judge(broken, self.time.now_ms());
    }

    fn count_operation(&self) {
        self.counts.borrow_mut().operations += 1;
    }

    fn count_no_answer(&self) {
        self.counts.borrow_mut().no_answer += 1;
    }

    fn count_change(&self, done: bool) {
        let mut counts = self.counts.borrow_mut();
        counts.changes += u64::from(done);
        counts.changes_refused += u64::from(!done);
    }

    fn refused(&self, refusal: &Refusal) {
        if *refusal == Refusal::StorageUnavailable {
            self.saw(Crossing::StorageIsFull);
        }
        *self.counts.borrow_mut().refusals.entry(refusal.name()).or_default() += 1;
    }

    fn is_led(&self) -> bool {
        self.led.get().1.is_some() && self.leaderless_since_ms.get().is_none()
    }

    fn round_ended(&self, ms: u64, served: bool) {
        self.saw(if served { Crossing::ServedByRound } else { Crossing::RefusedAfterRound });
        self.film(Step::RoundEnded, 0, ms, u64::from(served));
        // What comes after the load is this room's own last look.
        if self.time.now_ms() <= self.config.run_ms {
            self.counts.borrow_mut().rounds_ms.push(ms);
        }
    }

    fn asked_to_charge(&self, workspace: &WorkspaceId, user: &UserId, amount: Credits) {
        self.oracle.borrow_mut().asked_to_charge(workspace, user, amount);
    }

    /// A holder has booked what it spent at `spent_ms`.
    fn was_spent(&self, me: &Running, consume: &Consume, line: LineNumber, spent_ms: u64) {
        let line = LineId { holder: me.holder, number: line };
        let at = (spent_ms, self.config.session_ttl_ms);
        self.oracle.borrow_mut().spent(&consume.workspace, line, consume.price, at);
    }

    /// Whether what remembered this key may be lost within its declared durability.
    fn may_have_forgotten(&self, consume: &Consume) -> bool {
        let Some(key) = &consume.key else { return false };
        let oracle = self.oracle.borrow();
        let Some((line, told_ms)) = oracle.key_told(&consume.workspace, &consume.user, key) else {
            return false;
        };
        let node = &self.nodes[words::index_of(line.holder.node)];
        let synced = matches!(consume.durability, Some(Durability::Disk | Durability::Quorum));
        // An answer may be under way while the power of who gave it fails.
        let lost = node.power_lost_ms.get().is_some_and(|ms| told_ms <= ms + clients::CLIENT_WAITS_MS);
        node.forgotten.get() || (lost && !synced)
    }

    /// The wall as most replicas see it: what entries are dated by.
    fn agreed_now(&self, node: Index) -> Timestamp {
        platform::Clock::now(&*self.agreed[node].borrow())
    }

    /// What keys are forgotten by. Who has no replica asks nobody here, and forgets none.
    fn surely(&self, node: Index) -> Option<platform::Surely> {
        platform::Clock::surely(&*self.agreed[node].borrow())
    }

    fn sample(&self) {
        let mut sample = Sample { at_ms: self.time.now_ms(), ..Sample::default() };
        let oracle = self.oracle.borrow();
        for (id, workspace) in &oracle.state.workspaces {
            let totals = &workspace.totals;
            sample.available += totals.available.micros();
            sample.out += totals.out.micros();
            sample.used += totals.used.micros() + totals.unattributed.micros() + totals.written_off.micros();
            sample.told += oracle.told_of(id).map_or(0, |told| told.total);
        }
        sample.faults_active = self.faults_active.get();
        sample.nodes_up = self.nodes.iter().filter(|node| node.is_up()).count();
        sample.led = self.is_led();
        if self.config.listed.is_some() {
            sample.out_of_reach = self.out_of_reach();
            let mut served = self.served.borrow_mut();
            served.stranded = served.stranded.max(sample.out_of_reach);
            (sample.asked, sample.falsely) = (served.asked, served.falsely.values().sum());
            sample.refused = served.refused.values().sum();
        }
        let mut counts = self.counts.borrow_mut();
        sample.refusals = counts.refusals.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        counts.timeline.push(sample);
    }

    fn outcome(&self) -> Outcome {
        let (oracle, film, net) = (self.oracle.borrow(), self.film.borrow(), self.net.borrow());
        let mut counts = self.counts.borrow_mut();
        let named = |counts: &BTreeMap<&'static str, u64>| {
            counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
        };
        Outcome {
            seed: self.seed,
            minutes: self.config.run_ms / 60_000,
            trace: film.hash(),
            frames: film.frames,
            simulated_ms: self.time.now_ms(),
            nodes: self.config.nodes,
            operations: counts.operations,
            told: oracle.told,
            told_local: oracle.told_local,
            refusals: named(&counts.refusals),
            no_answer: counts.no_answer,
            changes: counts.changes,
            changes_refused: counts.changes_refused,
            faults: named(&counts.faults),
            crossings: oracle.seen.by_text(),
            broken: oracle.broken.clone(),
            entries: oracle.index,
            draws: oracle.draws,
            elections: counts.elections,
            messages: net.sent,
            lost: net.lost,
            doubled: net.doubled,
            polls: self.time.polls(),
            rounds_ms: std::mem::take(&mut counts.rounds_ms),
            reallocations_ms: oracle.moved_ms.clone(),
            failovers_ms: std::mem::take(&mut counts.failovers_ms),
            stranded_at_first_refusal: oracle.stranded,
            served: self.served.borrow().clone(),
            fault_spans: Vec::new(),
            timeline: std::mem::take(&mut counts.timeline),
            film: self.shots(),
        }
    }

    /// The product panicked: what is known until then, as far as who panicked has let go of it.
    fn stopped(&self, broken: BrokenAt) -> Outcome {
        if let Ok(mut film) = self.film.try_borrow_mut() {
            let at_us = self.time.now_us();
            film.take(Frame { at_us, step: Step::Broken, node: 0, a: broken.at_ms, b: 0 });
            let words = format!("{}: {}", broken.sentence, broken.what);
            film.tell(Scene { words, ..Scene::default() });
        }
        // What broke before that, and was not looked at yet, came first.
        let known = self.oracle.try_borrow().ok().and_then(|oracle| oracle.broken.clone());
        let broken = Some(known.unwrap_or(broken));
        let is_free = self.oracle.try_borrow().is_ok()
            && self.film.try_borrow().is_ok()
            && self.net.try_borrow().is_ok()
            && self.counts.try_borrow_mut().is_ok()
            && self.served.try_borrow().is_ok();
        if is_free {
            return Outcome { broken, ..self.outcome() };
        }
        let minutes = self.config.run_ms / 60_000;
        Outcome { seed: self.seed, minutes, nodes: self.config.nodes, broken, ..Outcome::default() }
    }

    /// Where a user is at home, one after the other.
    fn homes(&self, workspace: &WorkspaceId, user: &UserId) -> Vec<Index> {
        homes(&self.membership, &self.config.ids, workspace, user)
    }
}
