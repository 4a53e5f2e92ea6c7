//! Carries faults out: each begins at its time and ends at its own, whatever else is on. Not here: which faults a run has
//! (`swarm`).

use super::World;
use super::film::Step;
use super::node::Node;
use super::time::WORLD;
use super::words::Index;
use crate::clock::MachineClock;
use crate::fault::{Fault, Kind, Unsynced, What, newest_segment};
use std::rc::Rc;

/// What makes sense without sockets and actors.
pub const SUPPORTED: [Kind; 26] = [
    Kind::Drop,
    Kind::Delay,
    Kind::Duplicate,
    Kind::Reorder,
    Kind::OneWay,
    Kind::Partition,
    Kind::Ring,
    Kind::Flapping,
    Kind::Crash,
    Kind::PowerLoss,
    Kind::Pause,
    Kind::CrashLoop,
    Kind::ColdStart,
    Kind::Drain,
    Kind::LeaderCrash,
    Kind::SlowSync,
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

const DRAIN_MS: u64 = 3_000;
/// How long a power failure waits for a bad moment.
const WAIT_MS: u64 = 10_000;

/// All faults of the run's configuration.
pub fn schedule(world: &Rc<World>) {
    for (number, fault) in (0..).zip(world.config.faults.clone()) {
        if !SUPPORTED.contains(&fault.what.kind()) {
            continue;
        }
        if let What::DiskRolledBack { node } = fault.what {
            let then = world.clone();
            let image_ms = fault.at_ms.saturating_sub(fault.for_ms.max(2_000));
            world.time.call_in(image_ms * 1_000, move || then.keep_image(node));
        }
        let then = world.clone();
        world.time.call_in(fault.at_ms * 1_000, move || match fault.what {
            What::PowerLoss { node, .. } if then.config.lies_in_wait && fault.at_ms.is_multiple_of(2) => {
                then.lie_in_wait(node, number, fault);
            }
            _ => then.begin(number, fault),
        });
    }
}

impl World {
    fn keep_image(&self, index: Index) {
        let node = &self.nodes[index];
        let sequence = node.running().map(|running| running.journal.sequence());
        if let Some(sequence) = sequence {
            *node.image.borrow_mut() = Some((node.disk.borrow().image(), sequence));
        }
    }

    /// The power fails when the node says something that others count on, every other time only while its disk holds back
    /// what was written; some seconds later at the latest.
    fn lie_in_wait(self: &Rc<Self>, node: Index, number: u64, fault: Fault) {
        let rest_ms = self.config.run_ms.saturating_sub(fault.at_ms + fault.for_ms);
        let (within_ms, then) = (rest_ms.min(WAIT_MS), self.clone());
        self.nodes[node].in_wait.borrow_mut().push((number, fault));
        self.time.call_in(within_ms * 1_000, move || {
            let mut waiting = then.nodes[node].in_wait.borrow_mut();
            let still_there = waiting.iter().position(|(other, _)| *other == number);
            let fault = still_there.map(|at| waiting.remove(at).1);
            drop(waiting);
            if let Some(fault) = fault {
                then.begin(number, fault);
            }
        });
    }

    /// The node has just said something that the ledger will count on.
    pub(super) fn it_spoke(self: &Rc<Self>, node: Index, draws: bool) {
        let node = &self.nodes[node];
        if node.in_wait.borrow().is_empty() {
            return;
        }
        let has_unsynced = node.disk.borrow().has_unsynced();
        // Half of them at any word, a quarter while something is not synced, a quarter if it says what is used meanwhile.
        let is_now = |(_, fault): &mut (u64, Fault)| match fault.at_ms % 8 {
            0 | 4 => true,
            2 => has_unsynced,
            _ => has_unsynced && draws,
        };
        for (number, fault) in node.in_wait.borrow_mut().extract_if(.., is_now) {
            let then = self.clone();
            self.time.call_in(0, move || then.begin(number, fault));
        }
    }

    fn begin(self: &Rc<Self>, number: u64, fault: Fault) {
        let Fault { for_ms, what, .. } = fault.clone();
        let kind = what.kind();
        self.film(Step::FaultBegins, 0, kind as u64, number);
        self.tell(|| self.fault_scene(&fault, true));
        let does_something = self.does_something(&what);
        self.faults_active.set(self.faults_active.get() + 1);
        if let What::Skew { node, .. }
        | What::Strobe { node, .. }
        | What::ClockRate { node, .. }
        | What::ClockFrozen { node }
        | What::BackwardsOverRestart { node, .. } = what
        {
            self.clocks.borrow_mut().is_wrong(node, self.time.now_ms(), for_ms);
        }
        let rolled_back = |world: &World| world.nodes.iter().filter(|node| node.rolled_back.get()).count();
        let before = rolled_back(self);
        let end = self.turn_on(what, for_ms);
        if does_something && (kind != Kind::DiskRolledBack || rolled_back(self) > before) {
            *self.counts.borrow_mut().faults.entry(kind.name()).or_default() += 1;
        }
        let world = self.clone();
        self.time.call_in(for_ms * 1_000, move || {
            end();
            world.film(Step::FaultEnds, 0, kind as u64, number);
            world.tell(|| world.fault_scene(&fault, false));
            world.faults_active.set(world.faults_active.get() - 1);
        });
    }

    /// Whether there is anything to it as things are: who is down does not die.
    fn does_something(&self, what: &What) -> bool {
        let is_up = |node: &Index| self.nodes[*node].is_up();
        match what {
            // Of three each is everybody's neighbour.
            What::Ring => self.config.nodes > 3,
            What::LeaderCrash => self.led.get().1.as_ref().is_some_and(is_up),
            What::ColdStart => self.nodes.iter().any(Node::is_up),
            What::Crash { node }
            | What::Pause { node }
            | What::CrashLoop { node, .. }
            | What::Drain { node }
            | What::BackwardsOverRestart { node, .. } => is_up(node),
            What::PowerLoss { node, .. }
            | What::SlowSync { node, .. }
            | What::SyncError { node, .. }
            | What::DiskFull { node }
            | What::BitRot { node }
            | What::DiskLost { node }
            | What::DiskRolledBack { node } => !self.nodes[*node].gone.get(),
            What::Partition { nodes } => nodes.len() < self.config.nodes,
            _ => true,
        }
    }

    /// Begins a fault; what is answered ends it.
    fn turn_on(self: &Rc<Self>, what: What, for_ms: u64) -> Box<dyn FnOnce()> {
        let world = self.clone();
        let nodes = self.config.nodes;
        match what {
            What::Drop { from, to, per_mille } => {
                self.net.borrow_mut().drop_some(from, to, per_mille, true);
                Box::new(move || world.net.borrow_mut().drop_some(from, to, per_mille, false))
            }
            What::Delay { from, to, ms } => {
                self.net.borrow_mut().delay(from, to, ms, true);
                Box::new(move || world.net.borrow_mut().delay(from, to, ms, false))
            }
            What::Duplicate { from, to, per_mille } => {
                self.net.borrow_mut().duplicate(from, to, per_mille, true);
                Box::new(move || world.net.borrow_mut().duplicate(from, to, per_mille, false))
            }
            What::Reorder { from, to, ms } => {
                self.net.borrow_mut().reorder(from, to, ms, true);
                Box::new(move || world.net.borrow_mut().reorder(from, to, ms, false))
            }
            What::OneWay { from, to } => self.cut(vec![(from, to)]),
            What::Partition { nodes: inside } => {
                let outside: Vec<Index> = (0..nodes).filter(|node| !inside.contains(node)).collect();
                let pairs = inside.iter().flat_map(|a| outside.iter().flat_map(|b| [(*a, *b), (*b, *a)]));
                let heal = self.cut(pairs.collect());
                self.oracle.borrow_mut().partitions_under_way += 1;
                Box::new(move || {
                    world.oracle.borrow_mut().partitions_under_way -= 1;
                    heal();
                })
            }
            What::Ring => {
                let is_next = |a: Index, b: Index| (a + 1) % nodes == b || (b + 1) % nodes == a;
                let pairs = (0..nodes).flat_map(|a| (0..nodes).map(move |b| (a, b)));
                self.cut(pairs.filter(|(a, b)| a != b && !is_next(*a, *b)).collect())
            }
            What::Flapping { from, to, every_ms } => {
                self.net.borrow_mut().flap(from, to, every_ms, true);
                Box::new(move || world.net.borrow_mut().flap(from, to, every_ms, false))
            }
            What::Crash { node } => self.down(vec![node], |_, _| {}),
            What::PowerLoss { node, unsynced } => self.down(vec![node], move |world, node| {
                world.lose_power(node, unsynced);
            }),
            What::ColdStart => self.down((0..nodes).collect(), |_, _| {}),
            What::LeaderCrash => {
                let leader = self.led.get().1;
                self.down(leader.into_iter().collect(), |_, _| {})
            }
            What::BackwardsOverRestart { node, ms } => {
                self.down(vec![node], move |world, node| world.nodes[node].clock.jump_ms(-ms))
            }
            What::Pause { node } => {
                let pauses = &self.nodes[node].pauses;
                pauses.set(pauses.get() + 1);
                if self.nodes[node].is_up() {
                    self.time.pause(node + 1);
                }
                Box::new(move || {
                    let pauses = &world.nodes[node].pauses;
                    pauses.set(pauses.get().saturating_sub(1));
                    if pauses.get() == 0 {
                        world.time.go_on(node + 1);
                    }
                })
            }
            What::CrashLoop { node, every_ms } => {
                // Each start reads the journal: half a second apart they show the same and cost less.
                let every_ms = every_ms.max(500);
                for turn in 0..=for_ms / every_ms {
                    let world = self.clone();
                    self.time.call_in(turn * every_ms * 1_000, move || {
                        world.kill(node);
                        world.start_in(node, 1);
                    });
                }
                Box::new(|| {})
            }
            What::Drain { node } => self.drain(node, for_ms),
            What::SlowSync { node, ms } => {
                self.nodes[node].slow_sync_ms.borrow_mut().turn(ms, true);
                Box::new(move || world.nodes[node].slow_sync_ms.borrow_mut().turn(ms, false))
            }
            What::SyncError { node, count } => {
                self.nodes[node].disk.borrow().fail_syncs(count);
                Box::new(move || world.nodes[node].disk.borrow().fail_syncs(0))
            }
            What::DiskFull { node } => {
                let full = &self.nodes[node].disk_full;
                full.set(full.get() + 1);
                let disk = self.nodes[node].disk.borrow();
                disk.set_capacity_bytes(Some(disk.used_bytes()));
                Box::new(move || {
                    let full = &world.nodes[node].disk_full;
                    full.set(full.get().saturating_sub(1));
                    if full.get() == 0 {
                        world.nodes[node].disk.borrow().set_capacity_bytes(None);
                    }
                })
            }
            What::BitRot { node } => self.down(vec![node], |world, node| world.rot(node)),
            What::DiskLost { node } => {
                self.kill(node);
                self.nodes[node].gone.set(true);
                Box::new(move || world.give_up(node))
            }
            What::DiskRolledBack { node } => self.down(vec![node], |world, node| world.roll_back(node)),
            What::Skew { node, ms } => self.wrong_clock(node, |clock| clock.jump_ms(ms)),
            What::Strobe { node, ms, every_ms } => {
                let turns = for_ms / every_ms.max(1);
                for turn in 0..turns {
                    let world = self.clone();
                    self.time.call_in(turn * every_ms.max(1) * 1_000, move || {
                        world.nodes[node].clock.jump_ms(if turn % 2 == 0 { ms } else { -ms });
                    });
                }
                self.wrong_clock(node, |_| {})
            }
            What::ClockRate { node, per_mille } => self.wrong_clock(node, |clock| clock.set_rate(per_mille)),
            What::ClockFrozen { node } => self.wrong_clock(node, |clock| clock.set_rate(0)),
            What::Reset { .. } | What::WrongNode { .. } | What::ActorPanic { .. } => Box::new(|| {}),
        }
    }

    /// The wall goes wrong, and is right again when nothing is wrong with it any more.
    fn wrong_clock(
        self: &Rc<Self>,
        node: Index,
        goes_wrong: impl FnOnce(&MachineClock),
    ) -> Box<dyn FnOnce()> {
        let faults = &self.nodes[node].clock_faults;
        faults.set(faults.get() + 1);
        goes_wrong(&self.nodes[node].clock);
        let world = self.clone();
        Box::new(move || {
            let faults = &world.nodes[node].clock_faults;
            faults.set(faults.get().saturating_sub(1));
            if faults.get() == 0 {
                world.nodes[node].clock.set_right();
            }
        })
    }

    fn cut(self: &Rc<Self>, pairs: Vec<(Index, Index)>) -> Box<dyn FnOnce()> {
        for (from, to) in &pairs {
            self.net.borrow_mut().cut(*from, *to, true, self.time.now_ms());
        }
        let world = self.clone();
        Box::new(move || {
            for (from, to) in pairs {
                world.net.borrow_mut().cut(from, to, false, world.time.now_ms());
            }
        })
    }

    /// The processes die and something happens to their machines; they start when nothing keeps them down any more.
    fn down(self: &Rc<Self>, down: Vec<Index>, then: impl Fn(&World, Index)) -> Box<dyn FnOnce()> {
        for node in &down {
            self.nodes[*node].downs.set(self.nodes[*node].downs.get() + 1);
            self.kill(*node);
        }
        for node in &down {
            then(self, *node);
        }
        let world = self.clone();
        Box::new(move || {
            for node in down {
                world.nodes[node].downs.set(world.nodes[node].downs.get() - 1);
                world.start(node);
            }
        })
    }

    fn lose_power(&self, index: Index, unsynced: Unsynced) {
        let node = &self.nodes[index];
        let unsynced = match unsynced {
            Unsynced::Lost => platform::Unsynced::Lost,
            Unsynced::Torn(bytes) => platform::Unsynced::FirstBytes(bytes),
            Unsynced::Scattered(seed) => platform::Unsynced::Scattered(seed),
        };
        node.disk.borrow().power_loss(unsynced);
        node.clock.reboot();
        node.power_lost_ms.set(Some(self.time.now_ms()));
    }

    /// One bit of the newest segment, where what stands behind it was synced: in its first half.
    fn rot(&self, index: Index) {
        let node = &self.nodes[index];
        let disk = node.disk.borrow();
        let Some(path) = newest_segment(disk.files()) else { return };
        let content = disk.content(&path).unwrap_or_default();
        let used = content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        disk.flip_bit(&path, used / 3, 3);
        node.power_lost_ms.set(Some(self.time.now_ms()));
    }

    /// The disk comes back as it was, if the ledger has heard of more since: what it has not heard of nobody can know.
    fn roll_back(&self, index: Index) {
        let node = &self.nodes[index];
        let Some((image, sequence)) = node.image.borrow_mut().take() else { return };
        let known =
            self.oracle.borrow().state.holders.get(&node.holder).map_or(0, |known| known.journal_sequence);
        if known > sequence {
            *node.disk.borrow_mut() = image;
            node.clock.reboot();
            node.rolled_back.set(true);
        }
    }

    fn drain(self: &Rc<Self>, index: Index, for_ms: u64) -> Box<dyn FnOnce()> {
        let node = &self.nodes[index];
        node.downs.set(node.downs.get() + 1);
        let world = self.clone();
        if let Some(running) = node.running() {
            let then = world.clone();
            self.time.spawn(WORLD, async move {
                let life = then.nodes[index].lives.get();
                then.on_node(index, move |_| async move { running.drain(DRAIN_MS.min(for_ms)).await }).await;
                if then.nodes[index].lives.get() == life {
                    then.kill(index);
                }
            });
        }
        Box::new(move || {
            world.kill(index);
            world.nodes[index].downs.set(world.nodes[index].downs.get() - 1);
            world.start(index);
        })
    }

    /// What must hold once faults have ended holds with clocks that stand still too: in some seeds they all do.
    fn clocks_stay_frozen(&self) -> bool {
        self.config.listed.is_none() && self.seed % 8 == 5
    }

    /// Every fault ends; whoever can run does.
    pub fn heal(self: &Rc<Self>) {
        self.net.borrow_mut().heal();
        for node in &self.nodes {
            if self.clocks_stay_frozen() {
                node.clock.set_rate(0);
            } else {
                node.clock.set_right();
            }
            node.clock_faults.set(0);
            node.slow_sync_ms.take();
            node.pauses.set(0);
            node.disk_full.set(0);
            let disk = node.disk.borrow();
            disk.set_capacity_bytes(None);
            disk.fail_syncs(0);
            drop(disk);
            if self.time.is_paused(node.index + 1) {
                self.time.go_on(node.index + 1);
            }
            node.downs.set(0);
            self.start(node.index);
        }
    }
}
