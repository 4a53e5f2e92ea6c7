//! Starting and killing a node's process, and what runs in it by itself. Not here: when (`faults`), what a start finds
//! on the disk (the product's `journal`).

use super::World;
use super::desk;
use super::dues;
use super::film::Step;
use super::node::{Node, Running};
use super::shard::HEARTBEAT_MS;
use super::time::WORLD;
use super::words::{Answer, Index, Request, id_of};
use crate::chance::stream;
use crate::crossings::Crossing;
use futures::FutureExt;
use journal::{Journal, JournalFault, LineView, Options, Recovered};
use ledger::{Command, ForgetMode};
use platform::{AgreedClock, BoxFuture, Disk};
use rand::Rng;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

const TICK_MS: u64 = 1_000;
const ALONE_AGAIN_MS: u64 = 1_000;

fn journal_options() -> Options {
    Options {
        segment_bytes: 48 * 1024,
        tail_bytes: 8 * 1024,
        queue_max: 4_096,
        batch_max: 64,
        waiting_max: 4_096,
        lines_max: 10_000,
        holds_max: 16_384,
        holds_per_user_max: 1_000,
        key_window_ms: 24 * 60 * 60 * 1_000,
        keys_bytes_max: 16 * 1024 * 1024,
        past_bytes_max: 0,
    }
}

impl World {
    /// Starts the node's process, if nothing keeps it down.
    pub fn start(self: &Rc<Self>, index: Index) {
        let node = &self.nodes[index];
        if node.is_up() || node.gone.get() || node.downs.get() > 0 {
            return;
        }
        let directory = node.disk.borrow().directory(Path::new("/journal")).expect("a disk in memory");
        let mut writer: Option<BoxFuture<'static, ()>> = None;
        let opening =
            Journal::open_with(journal_options(), directory, node.holder.disk, node.clock.clone(), |task| {
                writer = Some(task);
            });
        let opened = opening.now_or_never().expect("a disk in memory answers at once");
        let (journal, keys, recovered) = match opened {
            Ok(opened) => opened,
            Err(JournalFault::Damaged { .. }) => {
                self.saw(Crossing::DamagedDiskIsFound);
                self.film(Step::NotStarted, index, 1, 0);
                return self.give_up(index);
            }
            Err(_) => {
                // The disk is full or failed: whoever watches over the process starts it again.
                self.film(Step::NotStarted, index, 0, 0);
                return self.start_in(index, ALONE_AGAIN_MS);
            }
        };
        let writer = writer.expect("a journal that is open has a writer");
        self.time.spawn_boxed(index + 1, writer);
        self.judge_start(node, &recovered);
        node.lives.set(node.lives.get() + 1);
        let running = Running::new(self, node, journal, keys, recovered.lines);
        let running = Rc::new(running);
        *node.running.borrow_mut() = Some(running.clone());
        self.film(Step::Started, index, node.lives.get(), recovered.sequence);
        self.run_node(node, &running);
    }

    /// What a start would find on the disk if the power failed now.
    pub fn if_the_power_failed(&self, index: Index) -> Vec<LineView> {
        let node = &self.nodes[index];
        let directory =
            node.disk.borrow().image().directory(Path::new("/journal")).expect("a disk in memory");
        let clock = node.clock.clone();
        let opening = Journal::open_with(journal_options(), directory, node.holder.disk, clock, drop);
        let opened = opening.now_or_never().expect("a disk in memory answers at once");
        opened.map(|(_, _, recovered)| recovered.lines).unwrap_or_default()
    }

    pub fn start_in(self: &Rc<Self>, index: Index, ms: u64) {
        let world = self.clone();
        self.time.call_in(ms * 1_000, move || world.start(index));
    }

    fn judge_start(&self, node: &Node, recovered: &Recovered) {
        let now_ms = self.time.now_ms();
        let mut oracle = self.oracle.borrow_mut();
        if node.rolled_back.get() {
            // Of course it has forgotten; and it must be refused.
            return;
        }
        oracle.recovered(node.holder, &recovered.lines, recovered.exact, now_ms);
        if !recovered.rounded.is_empty() {
            oracle.saw(Crossing::PowerLossRoundsUp);
        } else if recovered.exact && node.lives.get() > 0 {
            oracle.saw(Crossing::PowerLossIsExact);
        }
    }

    fn run_node(self: &Rc<Self>, node: &Node, running: &Rc<Running>) {
        let index = node.index;
        let mut chance = stream(self.seed, &format!("life {} of {index}", node.lives.get()));
        let phase = chance.random_range(1..TICK_MS);
        self.time.spawn(index + 1, tick(self.clone(), running.clone(), phase));
        if !node.rolled_back.get() {
            self.time.spawn(index + 1, running.clone().find_holds());
        }
        let me = running.clone();
        self.time.spawn(index + 1, async move {
            while me.register().await.is_err() {
                me.time.sleep(200).await;
            }
        });
        if let Some(replica) = &node.replica {
            replica.borrow_mut().restart(self.time.now_us());
            *self.agreed[index].borrow_mut() = AgreedClock::new(node.clock.clone(), self.config.replicas - 1);
            self.time.spawn(index + 1, elections(self.clone(), index));
            self.time.spawn(index + 1, heartbeats(self.clone(), index));
            self.time.spawn(index + 1, ask_the_time(self.clone(), index));
            self.time.spawn(index + 1, desk::keep_sweeping(self.clone(), running.clone()));
            self.time.spawn(index + 1, dues::keep_time(self.clone(), running.clone()));
        }
    }

    /// The process dies where it stands. What it handed to its disk's kernel stays.
    pub fn kill(&self, index: Index) {
        let node = &self.nodes[index];
        let Some(running) = node.running.borrow_mut().take() else { return };
        self.film(Step::Killed, index, node.lives.get(), 0);
        if !running.unsaid.borrow().is_empty() {
            self.saw(Crossing::CrashDuringRecall);
        }
        self.oracle.borrow_mut().a_holder_crashed(node.holder);
        self.time.kill(index + 1);
        node.asks.borrow_mut().clear();
        node.disk.borrow().kill();
        if self.led.get().1 == Some(index) && running.desk.rounds.any_runs() {
            self.died_in_round.set(true);
        }
        drop(running);
        if self.led.get().1 == Some(index) && self.leaderless_since_ms.get().is_none() {
            self.leaderless_since_ms.set(Some(self.time.now_ms()));
        }
        if self.nodes.iter().all(|node| !node.is_up()) {
            self.saw(Crossing::AllHoldersDown);
        }
    }

    /// Nothing on this disk can be used any more: after a while the operator says so.
    pub fn give_up(self: &Rc<Self>, index: Index) {
        let node = &self.nodes[index];
        node.gone.set(true);
        if node.forgotten.get() {
            return;
        }
        let mut chance = stream(self.seed, &format!("operator of {index}"));
        let mode = if chance.random_bool(0.5) { ForgetMode::Charge } else { ForgetMode::Credit };
        let ms = chance.random_range(100..8_000);
        let world = self.clone();
        self.time.spawn(WORLD, async move {
            world.time.sleep(ms).await;
            world.forget(index, mode).await;
        });
    }

    /// Declares the node's holder lost for good.
    pub async fn forget(self: &Rc<Self>, index: Index, mode: ForgetMode) {
        self.nodes[index].forgotten.set(true);
        let command = Command::Forget { holder: self.nodes[index].holder, mode };
        let asked =
            super::admins::command_until_answered(self, (index + 1) % self.config.nodes, command, 120_000);
        let done = asked.await.is_some();
        self.film(Step::Forgotten, index, u64::from(done), 0);
    }
}

async fn tick(world: Rc<World>, me: Rc<Running>, phase_ms: u64) {
    me.time.sleep(phase_ms).await;
    loop {
        if !me.tick() {
            world.saw(Crossing::JournalStops);
            let (then, index) = (world.clone(), me.node);
            // Whoever watches over the process ends it and starts it again.
            world.time.call_in(0, move || {
                then.kill(index);
                then.start_in(index, ALONE_AGAIN_MS);
            });
            return;
        }
        me.time.sleep(TICK_MS).await;
    }
}

async fn elections(world: Rc<World>, index: Index) {
    let replica = world.nodes[index].replica.as_ref().expect("only replicas vote");
    loop {
        let deadline_us = replica.borrow().deadline_us;
        let now_us = world.time.now_us();
        if now_us < deadline_us {
            world.time.sleep_us(deadline_us - now_us).await;
            continue;
        }
        if replica.borrow().is_leader() {
            world.time.sleep(HEARTBEAT_MS).await;
            continue;
        }
        let at = world.agreed_now(index);
        replica.borrow_mut().campaign(now_us, at);
        world.after_raft(index);
    }
}

async fn heartbeats(world: Rc<World>, index: Index) {
    let replica = world.nodes[index].replica.as_ref().expect("only replicas lead");
    loop {
        world.time.sleep(HEARTBEAT_MS).await;
        if replica.borrow().is_leader() {
            replica.borrow_mut().broadcast();
            world.after_raft(index);
        }
    }
}

/// Each replica dates entries by the median of what it hears here.
async fn ask_the_time(world: Rc<World>, index: Index) {
    let mut turn = 0;
    loop {
        let others = (0..world.config.replicas).filter(|other| *other != index);
        let asks = others.map(|other| {
            let world = world.clone();
            async move {
                let asked_us = world.time.now_us();
                if let Ok(Answer::Clock(wall)) = world.call(index, other, Request::Clock, 1_000).await {
                    let round_trip = Duration::from_micros(world.time.now_us() - asked_us);
                    world.agreed[index].borrow().note(id_of(other), wall, round_trip);
                }
            }
        });
        futures::future::join_all(asks).await;
        turn += 1;
        world.time.sleep(if turn < 5 { 250 } else { 2_000 }).await;
    }
}
