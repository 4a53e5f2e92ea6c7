//! Carries faults out between two steps of the simulation, and ends them. Not here: which faults (`swarm`).

use crate::crossings::{Crossing, Seen};
use crate::fault::{Fault, Kind, NodeIndex, Unsynced, What, newest_segment};
use crate::world_b::links::{Link, Links, links_of};
use crate::world_b::machine::{Ended, Machine};
use crate::world_b::net::{Detours, Resets};
use crate::world_b::rolled::Older;
use platform::MemDisk;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use turmoil::Sim;
use types::planted::{Actor, no_panic, panic_after};

/// What this world can do. Turmoil cannot stop a host's time, and its connections carry bytes, so nothing arrives
/// twice or out of order: worlds A and C do these.
///
/// No `slow-sync`: a simulated disk answers on the task that asks, and a task that blocked would stop the time of all.
pub const KINDS: [Kind; 25] = [
    Kind::Drop,
    Kind::Delay,
    Kind::OneWay,
    Kind::Partition,
    Kind::Ring,
    Kind::Flapping,
    Kind::Reset,
    Kind::WrongNode,
    Kind::Crash,
    Kind::PowerLoss,
    Kind::CrashLoop,
    Kind::ColdStart,
    Kind::ActorPanic,
    Kind::Drain,
    Kind::LeaderCrash,
    Kind::SyncError,
    Kind::DiskFull,
    Kind::BitRot,
    Kind::DiskLost,
    Kind::DiskRolledBack,
    Kind::Skew,
    Kind::Strobe,
    Kind::ClockRate,
    Kind::ClockFrozen,
    Kind::BackwardsOverRestart,
];

/// A node that starts on an older copy asks for three seconds how old it is: nothing may begin meanwhile that keeps all
/// who know from saying so. What nobody could say in time is the registration's to find, with its groups begun.
const QUIET_MS: u64 = 4_000;

/// So long after an actor has panicked another one may.
const PANICS_EVERY_MS: u64 = 300;

/// The faults of a run, and which of them are under way.
#[derive(Debug)]
pub struct Faults {
    machines: Vec<Arc<Machine>>,
    /// In order of time.
    coming: std::vec::IntoIter<Fault>,
    next: Option<Fault>,
    under_way: Vec<Running>,
    links: Links,
    resets: Resets,
    detours: Detours,
    /// Nodes that are down on purpose, and until when.
    down: BTreeMap<NodeIndex, u64>,
    /// How far walls were put back over a restart: nothing puts them right again.
    gone_back_ms: BTreeMap<NodeIndex, i64>,
    /// Nodes whose disk is gone for good.
    pub lost: BTreeSet<NodeIndex>,
    /// Older copies of disks.
    pub older: Older,
    /// Nodes whose journal may have had to round up: they lost power, or a sync failed.
    pub rounded: BTreeSet<NodeIndex>,
    pub begun: BTreeMap<Kind, u64>,
    pub seen: Seen,
}

#[derive(Debug)]
struct Running {
    what: What,
    until_ms: u64,
    /// For what goes on and off, or happens again and again.
    next_ms: u64,
    on: bool,
    /// The directions it cuts.
    links: Vec<Link>,
}

impl Faults {
    #[must_use]
    pub fn new(machines: Vec<Arc<Machine>>, resets: Resets, detours: Detours, faults: Vec<Fault>) -> Self {
        let older = Older::of(&faults);
        let mut coming = faults.into_iter();
        Self {
            machines,
            next: coming.next(),
            coming,
            under_way: Vec::new(),
            links: Links::default(),
            resets,
            detours,
            down: BTreeMap::new(),
            gone_back_ms: BTreeMap::new(),
            lost: BTreeSet::new(),
            older,
            rounded: BTreeSet::new(),
            begun: BTreeMap::new(),
            seen: Seen::default(),
        }
    }

    /// Begins and ends what is due.
    pub fn step(&mut self, sim: &mut Sim<'_>, now_ms: u64) {
        self.older.copy_disks(&self.machines, now_ms);
        while let Some(fault) = self.next.take_if(|fault| fault.at_ms <= now_ms) {
            self.next = self.coming.next();
            self.begin(sim, fault, now_ms);
        }
        // One by one: what ends with it still counts.
        while let Some(at) = self.under_way.iter().position(|running| running.until_ms <= now_ms) {
            let running = self.under_way.remove(at);
            self.end(sim, &running);
        }
        self.links.hold(sim);
        self.go_on(sim, now_ms);
        self.restart(sim, now_ms);
    }

    /// Whether no fault is under way or comes, and every node runs that is not gone.
    #[must_use]
    pub fn are_over(&self) -> bool {
        let is_there = |machine: &&Arc<Machine>| !self.lost.contains(&machine.index);
        let mut there = self.machines.iter().filter(is_there);
        self.next.is_none() && self.under_way.is_empty() && there.all(|machine| machine.running().is_some())
    }

    /// How many are under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Nodes whose disk is gone, once the operator can know it.
    #[must_use]
    pub fn known_lost(&self) -> BTreeSet<NodeIndex> {
        self.lost.iter().filter(|node| !self.older.is_to_be_refused(**node)).copied().collect()
    }

    fn saw_end(&mut self, ended: &Ended) {
        let Ended::Refused(why) = ended else { return };
        let signs = [
            ("is damaged at byte", Crossing::DamagedDiskIsFound),
            ("this data directory is empty", Crossing::EmptyDiskIsRefused),
            (crate::world_b::rolled::REFUSED, Crossing::RolledBackDiskIsRefused),
            ("the journal has stopped", Crossing::JournalStops),
            ("the log cannot be written", Crossing::LogStops),
        ];
        for (sign, crossing) in signs {
            if why.contains(sign) {
                self.seen.saw(crossing);
            }
        }
    }

    fn begin(&mut self, sim: &mut Sim<'_>, fault: Fault, now_ms: u64) {
        let Fault { for_ms, what, .. } = fault;
        let all = self.machines.len();
        let fits = |node: &NodeIndex| *node < all && !self.lost.contains(node);
        // On the network the clients are one machine more.
        let is_there = |node: &NodeIndex| *node <= all && !self.lost.contains(node);
        let nodes = nodes_of(&what);
        if !(nodes.iter().all(fits) || is_of_network(&what) && nodes.iter().all(is_there)) {
            return;
        }
        if let What::DiskRolledBack { node } = &what
            && !self.older.is_known_to_be(&self.machines, *node)
        {
            return;
        }
        let links = links_of(&what, all);
        if what == What::Ring && links.is_empty() {
            // Of three each is everybody's neighbour.
            return;
        }
        tracing::info!(target: "film", ?what, for_ms, "fault begins");
        *self.begun.entry(what.kind()).or_default() += 1;
        let mut until_ms = now_ms + for_ms;
        match &what {
            What::Crash { node } => self.kill(sim, *node, until_ms),
            What::LeaderCrash => {
                let leader = self.leader();
                self.kill(sim, leader, until_ms);
            }
            What::ColdStart => {
                self.seen.saw(Crossing::AllHoldersDown);
                (0..all).for_each(|node| self.kill(sim, node, until_ms));
            }
            What::PowerLoss { node, unsynced } => {
                self.kill(sim, *node, until_ms);
                self.lose_power(*node, *unsynced);
            }
            What::BackwardsOverRestart { node, ms } => {
                self.kill(sim, *node, until_ms);
                self.machines[*node].clock.jump_ms(-ms);
                *self.gone_back_ms.entry(*node).or_default() -= ms;
            }
            What::DiskLost { node } => {
                self.kill(sim, *node, until_ms);
                self.machines[*node].set_disk(MemDisk::new());
                self.lost.insert(*node);
            }
            What::DiskRolledBack { node } => {
                self.kill(sim, *node, until_ms);
                self.older.put_back(&self.machines[*node]);
                self.lost.insert(*node);
            }
            What::BitRot { node } => {
                self.kill(sim, *node, until_ms);
                if self.rot(*node) {
                    self.lost.insert(*node);
                }
            }
            What::Drain { node } => {
                if self.machines[*node].running().is_some() {
                    self.machines[*node].drain.notify_one();
                    // It goes at its own pace; if it has not ended by then, it is killed.
                    self.down.insert(*node, until_ms.max(now_ms + 10_000));
                }
            }
            What::SyncError { node, count } => {
                self.rounded.insert(*node);
                self.machines[*node].disk().fail_syncs(*count);
            }
            What::DiskFull { node } => {
                let disk = self.machines[*node].disk();
                disk.set_capacity_bytes(Some(disk.used_bytes()));
            }
            What::Skew { node, ms } => self.machines[*node].clock.jump_ms(*ms),
            What::ClockRate { node, per_mille } => self.machines[*node].clock.set_rate(*per_mille),
            What::ClockFrozen { node } => self.machines[*node].clock.set_rate(0),
            What::Delay { from, to, ms } => self.links.slow_down(sim, self.link(*from, *to), *ms),
            What::Drop { from, to, per_mille } => self.links.lose(sim, self.link(*from, *to), *per_mille),
            What::Reset { from, to } => self.resets.reset(self.machines[*from].ip(), self.machines[*to].ip()),
            What::WrongNode { from, to } => {
                let Some(other) = (0..all).find(|node| node != from && node != to) else { return };
                self.detours.lead_astray(self.ips(*from, *to), self.machines[other].ip());
                self.resets.reset(self.machines[*from].ip(), self.machines[*to].ip());
            }
            // One that is over before actors had something to do is none.
            What::ActorPanic { .. } => until_ms = until_ms.max(now_ms + 5_000),
            What::OneWay { .. }
            | What::Partition { .. }
            | What::Ring
            | What::Flapping { .. }
            | What::CrashLoop { .. }
            | What::Strobe { .. } => {}
            What::Duplicate { .. } | What::Reorder { .. } | What::Pause { .. } | What::SlowSync { .. } => {
                return;
            }
        }
        links.iter().for_each(|link| self.links.cut(sim, link));
        self.under_way.push(Running { what, until_ms, next_ms: now_ms, on: true, links });
    }

    fn end(&mut self, sim: &mut Sim<'_>, running: &Running) {
        tracing::info!(target: "film", what = ?running.what, "fault ends");
        if running.on {
            running.links.iter().for_each(|link| self.links.mend(sim, link));
        }
        let goes_on =
            |is_same: &dyn Fn(&What) -> bool| self.under_way.iter().any(|other| is_same(&other.what));
        match &running.what {
            What::DiskFull { node } if !goes_on(&|other| other == &running.what) => {
                self.machines[*node].disk().set_capacity_bytes(None);
            }
            What::SyncError { node, .. }
                if !goes_on(&|other| matches!(other, What::SyncError { node: of, .. } if of == node)) =>
            {
                self.machines[*node].disk().fail_syncs(0);
            }
            What::Skew { node, ms } => self.machines[*node].clock.jump_ms(-ms),
            What::Strobe { node, ms, .. } if !running.on => self.machines[*node].clock.jump_ms(-ms),
            What::ClockRate { node, .. } | What::ClockFrozen { node } => self.wall_goes_again(*node),
            What::Delay { from, to, ms } => self.links.speed_up(sim, self.link(*from, *to), *ms),
            What::Drop { from, to, per_mille } => {
                self.links.lose_no_more(sim, self.link(*from, *to), *per_mille);
            }
            What::WrongNode { from, to } => {
                self.detours.lead_right(self.ips(*from, *to));
                self.resets.reset(self.machines[*from].ip(), self.machines[*to].ip());
            }
            What::ActorPanic { node, actor, .. } => {
                // Another one that goes on asks again.
                let _none_was_left = no_panic(self.machines[*node].id(), *actor);
            }
            _ => {}
        }
    }

    /// What happens again and again.
    fn go_on(&mut self, sim: &mut Sim<'_>, now_ms: u64) {
        let mut under_way = std::mem::take(&mut self.under_way);
        for running in under_way.iter_mut().filter(|running| running.next_ms <= now_ms) {
            let every_ms = match &running.what {
                What::Flapping { every_ms, .. } => {
                    running.on = !running.on;
                    for link in &running.links {
                        if running.on { self.links.cut(sim, link) } else { self.links.mend(sim, link) }
                    }
                    *every_ms
                }
                What::Strobe { node, ms, every_ms } => {
                    let by = if running.on { *ms } else { -*ms };
                    self.machines[*node].clock.jump_ms(by);
                    running.on = !running.on;
                    *every_ms
                }
                What::CrashLoop { node, every_ms } => {
                    if !self.down.contains_key(node) && !self.lost.contains(node) {
                        self.kill(sim, *node, now_ms + every_ms / 4);
                    }
                    *every_ms
                }
                What::ActorPanic { node, actor, points } => {
                    // Each time at another point of what it does again and again.
                    let further = u32::try_from(now_ms % 13).expect("less than 13");
                    let points = if *actor == Actor::Closing { 0 } else { points + further };
                    let _one_is_to_come = panic_after(self.machines[*node].id(), *actor, points);
                    PANICS_EVERY_MS
                }
                _ => u64::MAX,
            };
            running.next_ms = now_ms.saturating_add(every_ms);
        }
        self.under_way = under_way;
    }

    /// Starts what was down long enough, and what has ended of itself.
    fn restart(&mut self, sim: &mut Sim<'_>, now_ms: u64) {
        for node in 0..self.machines.len() {
            let machine = self.machines[node].clone();
            if let Some(ended) = machine.take_news() {
                self.saw_end(&ended);
                self.older.ended(node, &ended);
            }
            if self.lost.contains(&node) {
                // It starts once more, to be refused; then nobody starts it again.
                let is_due = self.down.get(&node).is_some_and(|until| *until <= now_ms);
                if is_due && (!self.older.is_to_be_refused(node) || self.can_be_told(node, now_ms)) {
                    self.down.remove(&node);
                    machine.killed();
                    sim.bounce(Machine::name(node));
                }
                continue;
            }
            let ended = machine.ended();
            let due = match self.down.get(&node) {
                Some(until) => *until <= now_ms || ended == Some(Ended::Drained),
                // A supervisor starts again what has ended, after a second.
                None => {
                    if ended.is_some() {
                        self.down.insert(node, now_ms + 1_000);
                    }
                    false
                }
            };
            if due {
                self.down.remove(&node);
                machine.disk().kill();
                machine.killed();
                tracing::info!(target: "film", node, "node starts");
                sim.bounce(Machine::name(node));
            }
        }
    }

    /// Whether a node that starts now hears, before it has waited long enough, how old its disk is.
    fn can_be_told(&self, node: NodeIndex, now_ms: u64) -> bool {
        let is_quiet = |running: &Running| {
            !is_of_network(&running.what)
                && !matches!(running.what, What::Ring | What::WrongNode { .. } | What::CrashLoop { .. })
        };
        let comes_soon = self.next.as_ref().is_some_and(|next| next.at_ms <= now_ms + QUIET_MS);
        !comes_soon && self.under_way.iter().all(is_quiet) && self.older.knows_any(&self.machines, node)
    }

    fn kill(&mut self, sim: &mut Sim<'_>, node: NodeIndex, until_ms: u64) {
        if self.lost.contains(&node) {
            return;
        }
        tracing::info!(target: "film", node, "process dies");
        sim.crash(Machine::name(node));
        self.machines[node].disk().kill();
        self.machines[node].killed();
        let until = self.down.entry(node).or_insert(until_ms);
        *until = (*until).max(until_ms);
    }

    fn lose_power(&mut self, node: NodeIndex, unsynced: Unsynced) {
        self.rounded.insert(node);
        let machine = &self.machines[node];
        machine.disk().power_loss(match unsynced {
            Unsynced::Lost => platform::Unsynced::Lost,
            Unsynced::Torn(bytes) => platform::Unsynced::FirstBytes(bytes),
            Unsynced::Scattered(seed) => platform::Unsynced::Scattered(seed),
        });
        machine.clock.reboot();
    }

    /// Turns a bit in the middle of the holder's newest segment; whether there was one.
    fn rot(&mut self, node: NodeIndex) -> bool {
        let disk = self.machines[node].disk();
        let Some(newest) = newest_segment(disk.files()) else { return false };
        let content = disk.content(&newest).unwrap_or_default();
        let written = content.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        if written < 200 {
            return false;
        }
        disk.flip_bit(&newest, written / 2, 3);
        true
    }

    /// The leader of the first pool's shard, else of anything.
    fn leader(&self) -> NodeIndex {
        let leads = |machine: &&Arc<Machine>| {
            machine.running().is_some_and(|quota| {
                quota.holder().shards().replica().groups().any(|group| group.is_leader())
            })
        };
        self.machines.iter().find(leads).map_or(0, |machine| machine.index)
    }

    fn ips(&self, from: NodeIndex, to: NodeIndex) -> (IpAddr, IpAddr) {
        (self.machines[from].ip(), self.machines[to].ip())
    }

    fn link(&self, from: NodeIndex, to: NodeIndex) -> Link {
        Link { from, to, all: self.machines.len() }
    }

    /// A fault of the wall's speed is over: it goes as fast as another one still makes it, or it is right again, but for
    /// what others have it off by.
    fn wall_goes_again(&self, node: NodeIndex) {
        let clock = &self.machines[node].clock;
        let rate = |running: &Running| match running.what {
            What::ClockRate { node: of, per_mille } if of == node => Some(per_mille),
            What::ClockFrozen { node: of } if of == node => Some(0),
            _ => None,
        };
        if let Some(rate) = self.under_way.iter().rev().find_map(rate) {
            return clock.set_rate(rate);
        }
        let off = |running: &Running| match running.what {
            What::Skew { node: of, ms } if of == node => ms,
            What::Strobe { node: of, ms, .. } if of == node && !running.on => ms,
            _ => 0,
        };
        let gone_back_ms = self.gone_back_ms.get(&node).copied().unwrap_or(0);
        clock.set_right();
        clock.jump_ms(self.under_way.iter().map(off).sum::<i64>() + gone_back_ms);
    }
}

/// What happens between machines, not in one.
fn is_of_network(what: &What) -> bool {
    matches!(
        what,
        What::Drop { .. }
            | What::Delay { .. }
            | What::OneWay { .. }
            | What::Partition { .. }
            | What::Flapping { .. }
    )
}

fn nodes_of(what: &What) -> Vec<NodeIndex> {
    match what {
        What::Drop { from, to, .. }
        | What::Delay { from, to, .. }
        | What::Duplicate { from, to, .. }
        | What::Reorder { from, to, .. }
        | What::OneWay { from, to }
        | What::Flapping { from, to, .. }
        | What::Reset { from, to }
        | What::WrongNode { from, to } => vec![*from, *to],
        What::Partition { nodes } => nodes.clone(),
        What::Ring | What::ColdStart | What::LeaderCrash => Vec::new(),
        What::Crash { node }
        | What::PowerLoss { node, .. }
        | What::Pause { node }
        | What::CrashLoop { node, .. }
        | What::ActorPanic { node, .. }
        | What::Drain { node }
        | What::SlowSync { node, .. }
        | What::SyncError { node, .. }
        | What::DiskFull { node }
        | What::BitRot { node }
        | What::DiskLost { node }
        | What::DiskRolledBack { node }
        | What::Skew { node, .. }
        | What::Strobe { node, .. }
        | What::ClockRate { node, .. }
        | What::ClockFrozen { node }
        | What::BackwardsOverRestart { node, .. } => vec![*node],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::TrueTime;
    use crate::world_b::machine::{Addresses, Net};

    /// How far the wall of node 0 is off at each of these moments.
    fn off_at<const N: usize>(faults: Vec<Fault>, moments: [u64; N]) -> [i64; N] {
        let mut sim = turmoil::Builder::new().build();
        let truth = TrueTime::default();
        sim.host(Machine::name(0), std::future::pending::<turmoil::Result>);
        let addresses = Addresses(vec![sim.lookup(Machine::name(0))]);
        let (resets, detours) = (Resets::default(), Detours::default());
        let net = Net { addresses, resets: resets.clone(), detours: detours.clone() };
        let machine = Arc::new(Machine::new(0, 1, &truth, &net));
        let mut faults = Faults::new(vec![machine.clone()], resets, detours, faults);
        let mut now_ms = 0;
        moments.map(|moment| {
            while now_ms < moment {
                now_ms += 1;
                truth.set_ms(now_ms);
                faults.step(&mut sim, now_ms);
            }
            machine.clock.off_ms()
        })
    }

    #[test]
    fn the_end_of_a_fault_of_a_clock_ends_no_other_one() {
        let fault = |at_ms, for_ms, what| Fault { at_ms, for_ms, what };
        let faults = vec![
            fault(10, 190, What::Skew { node: 0, ms: 5_000 }),
            fault(20, 80, What::ClockFrozen { node: 0 }),
            fault(40, 80, What::ClockRate { node: 0, per_mille: 2_000 }),
            fault(130, 20, What::BackwardsOverRestart { node: 0, ms: 300 }),
            fault(160, 10, What::Strobe { node: 0, ms: 70, every_ms: 1_000 }),
        ];
        // Behind by 20 ms when the rate begins, ahead by as much when the frozen one is over and it goes on.
        let off = off_at(faults, [15, 40, 100, 110, 125, 155, 165, 180, 210]);
        assert_eq!(off, [5_000, 4_980, 5_040, 5_050, 5_000, 4_700, 4_770, 4_700, -300]);
    }
}
