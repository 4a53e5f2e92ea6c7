//! One node: its disk and clock, which outlive its process, and what runs while the process does: journal, handles,
//! pools, session, the way to the leader. As the product's `actors/holder.rs`, `sessions.rs`, `supervisor.rs`.
//! Not here: its replica of the ledger (`shard`), starting and killing it (`start`).

use super::World;
use super::desk::Desk;
use super::film::Step as Film;
use super::handle::Handle;
use super::network::Worst;
use super::pool::{Pool, PoolMessage};
use super::shard::Replica;
use super::time::Time;
use super::words::{
    Answer, BatchAnswer, Index, LeaderAnswer, LeaderRefusal, LeaderRequest, PeerFault, Recall, RecallAnswer,
    Request,
};
use crate::clock::MachineClock;
use crate::crossings::Crossing;
use crate::fault::Fault;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use futures::channel::oneshot;
use journal::{HandleNo, Journal, KeyTable, LineView};
use leasing::{LeasePolicy, RecallLine};
use ledger::{Command, HolderBatch, LineMessage, LineResult, Rejection};
use platform::{Clock, MemDisk};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use types::planted::{Mistake, is_planted};
use types::{
    Credits, CycleNumber, DiskId, Feature, HolderId, Limited, LineId, LineNumber, Scope, UserId, WorkspaceId,
};

pub const ASK_MS: u64 = 4_000;
pub const ATTEMPT_MS: u64 = 2_000;
const PAUSE_MS: u64 = 20;
const LEADERLESS_PAUSE_MAX_MS: u64 = 160;
const PAUSE_MAX_MS: u64 = 500;
/// The only shard.
const GROUP: &str = "0";
const RENEW_EVERY_MS: u64 = 2_000;
/// A forgotten holder renews its session, and so learns it, within this; answers may get lost: so many are no loop.
const LEARNS_WITHIN_MS: u64 = 6_000;
const REJECTED_MAX: u32 = 20;
/// Of so many batches one is compared with the disk.
const LOOKED_AT_EVERY: u64 = 512;

/// What is there whether the process runs or not.
pub struct Node {
    pub index: Index,
    pub holder: HolderId,
    pub clock: Arc<MachineClock>,
    pub disk: RefCell<MemDisk>,
    /// For the fault that rolls the disk back.
    pub image: RefCell<Option<(MemDisk, u64)>>,
    pub slow_sync_ms: RefCell<Worst>,
    /// Faults of these kinds that are on.
    pub pauses: Cell<u32>,
    pub disk_full: Cell<u32>,
    pub clock_faults: Cell<u32>,
    pub replica: Option<RefCell<Replica>>,
    pub running: RefCell<Option<Rc<Running>>>,
    /// Faults that keep it down; it is started when none is left.
    pub downs: Cell<u32>,
    /// Its disk is gone, or the cluster refuses it: never started again.
    pub gone: Cell<bool>,
    pub forgotten: Cell<bool>,
    pub lives: Cell<u64>,
    /// Power failures that wait for a bad moment, by number.
    pub in_wait: RefCell<Vec<(u64, Fault)>>,
    /// When the power last failed, or bits turned round: keys of before may be gone.
    pub power_lost_ms: Cell<Option<u64>>,
    pub rolled_back: Cell<bool>,
    pub asks: RefCell<BTreeMap<u64, oneshot::Sender<Answer>>>,
}

impl Node {
    pub fn disk_id(index: Index) -> DiskId {
        DiskId(index as u64 + 1_001)
    }

    pub fn is_up(&self) -> bool {
        self.running.borrow().is_some()
    }

    pub fn running(&self) -> Option<Rc<Running>> {
        self.running.borrow().clone()
    }
}

/// One life of a process.
pub struct Running {
    world: Weak<World>,
    pub time: Time,
    pub node: Index,
    pub holder: HolderId,
    pub clock: Arc<MachineClock>,
    pub policy: LeasePolicy,
    pub journal: Journal,
    pub keys: Arc<KeyTable>,
    pub desk: Desk,
    session_ttl_ms: u64,
    session_until_ms: Cell<u64>,
    /// A renewal that nobody waits for is on its way.
    renewing: Cell<bool>,
    registered: Cell<bool>,
    reported: Cell<u64>,
    hint: Cell<Option<Index>>,
    /// As far as it was told.
    cycles: RefCell<BTreeMap<WorkspaceId, CycleNumber>>,
    pub(super) handles: RefCell<BTreeMap<(WorkspaceId, UserId, Scope), Rc<Handle>>>,
    pub(super) limited: RefCell<BTreeMap<WorkspaceId, Limited>>,
    pools: RefCell<BTreeMap<WorkspaceId, UnboundedSender<PoolMessage>>>,
    recovered: RefCell<BTreeMap<WorkspaceId, Vec<LineView>>>,
    next_handle: Cell<u32>,
    /// Requests of users who are not active here: how many since when.
    pub strays: RefCell<BTreeMap<(WorkspaceId, UserId), (u32, u64)>>,
    /// Lines of which something is durably given back, on a recall that is not answered yet.
    pub unsaid: RefCell<BTreeSet<(WorkspaceId, LineNumber)>>,
    batches: Cell<u64>,
    /// Since when, when last, and how often, all that it says is rejected, because it was forgotten.
    rejected: Cell<Option<(u64, u64, u32)>>,
}

/// Why a batch was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSubmitted {
    Unreachable,
    UnknownWorkspace,
}

/// Why nobody did it.
#[derive(Clone, Debug)]
pub enum Unavailable {
    NoLeader,
    Unknown,
    Rejected(Rejection),
}

impl Running {
    pub fn new(
        world: &Rc<World>,
        node: &Node,
        journal: Journal,
        keys: Arc<KeyTable>,
        lines: Vec<LineView>,
    ) -> Self {
        let mut recovered: BTreeMap<WorkspaceId, Vec<LineView>> = BTreeMap::new();
        for view in lines {
            recovered.entry(view.line.workspace.clone()).or_default().push(view);
        }
        Self {
            world: Rc::downgrade(world),
            time: world.time.clone(),
            node: node.index,
            holder: node.holder,
            clock: node.clock.clone(),
            policy: world.config.lease,
            journal,
            keys,
            desk: Desk::default(),
            session_ttl_ms: world.config.session_ttl_ms,
            session_until_ms: Cell::new(0),
            renewing: Cell::new(false),
            registered: Cell::new(false),
            reported: Cell::new(0),
            hint: Cell::new(None),
            cycles: RefCell::default(),
            handles: RefCell::default(),
            limited: RefCell::default(),
            pools: RefCell::default(),
            recovered: RefCell::new(recovered),
            next_handle: Cell::new(1),
            strays: RefCell::default(),
            unsaid: RefCell::default(),
            batches: Cell::new(0),
            rejected: Cell::new(None),
        }
    }

    pub fn world(&self) -> Rc<World> {
        self.world.upgrade().expect("the world outlives its nodes")
    }

    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.time.spawn(self.node + 1, task);
    }

    pub fn film(&self, step: Film, a: u64, b: u64) {
        self.world().film(step, self.node, a, b);
    }

    pub fn saw(&self, crossing: Crossing) {
        self.world().saw(crossing);
    }

    pub fn broken(&self, sentence: &'static str, what: &str) {
        self.world().broken(sentence, format!("node {}: {what}", self.node));
    }

    /// A sync that the disk takes long for is over for the others when it is over for the disk.
    pub async fn disk_is_slow(&self) {
        let world = self.world();
        let us = world.config.sync_us + world.nodes[self.node].slow_sync_ms.borrow().size() * 1_000;
        drop(world);
        if us > 0 {
            self.time.sleep_us(us).await;
        }
    }

    // ---- handles and pools

    pub fn make_handle(&self, workspace: &WorkspaceId, user: &UserId, scope: &Scope) -> Rc<Handle> {
        let mut handles = self.handles.borrow_mut();
        let handle = handles.entry((workspace.clone(), user.clone(), scope.clone())).or_insert_with(|| {
            let no = self.next_handle.get();
            self.next_handle.set(no + 1);
            Rc::new(Handle::new(HandleNo(no), workspace.clone(), user.clone(), scope.clone()))
        });
        handle.clone()
    }

    pub fn is_current(&self, handle: &Rc<Handle>) -> bool {
        let known = self.find_in(&handle.workspace, &handle.user, &handle.scope);
        known.is_some_and(|known| Rc::ptr_eq(&known, handle))
    }

    pub fn drop_handle(&self, handle: &Rc<Handle>) {
        handle.set_actor(None);
        if self.is_current(handle) {
            let key = (handle.workspace.clone(), handle.user.clone(), handle.scope.clone());
            self.handles.borrow_mut().remove(&key);
        }
    }

    pub fn handles_of(&self, workspace: &WorkspaceId) -> Vec<Rc<Handle>> {
        let handles = self.handles.borrow();
        handles.iter().filter(|((of, ..), _)| of == workspace).map(|(_, handle)| handle.clone()).collect()
    }

    pub fn pool(self: &Rc<Self>, workspace: &WorkspaceId) -> UnboundedSender<PoolMessage> {
        if let Some(pool) = self.pools.borrow().get(workspace) {
            return pool.clone();
        }
        let recovered = self.recovered.borrow_mut().remove(workspace).unwrap_or_default();
        let (sender, mailbox) = unbounded();
        let pool = Pool::new(self.clone(), workspace.clone(), sender.clone(), recovered);
        self.spawn(pool.run(mailbox));
        self.pools.borrow_mut().insert(workspace.clone(), sender.clone());
        sender
    }

    /// The user's handle with a task behind it. `None`: the node has no room, or its disk is bad.
    pub async fn activate(
        self: &Rc<Self>,
        workspace: &WorkspaceId,
        user: &UserId,
        feature: &Feature,
    ) -> Option<Rc<Handle>> {
        for _attempt in 0..8 {
            let found = self.find(workspace, user, feature);
            let make = || self.make_handle(workspace, user, &self.scope_of(workspace, feature));
            let handle = found.unwrap_or_else(make);
            if handle.has_actor() {
                return Some(handle);
            }
            let (reply, done) = oneshot::channel();
            let message = PoolMessage::Spawn { handle: handle.clone(), reply };
            self.pool(workspace).unbounded_send(message).ok()?;
            if done.await.is_ok_and(|spawned| spawned) {
                return Some(handle);
            }
        }
        None
    }

    /// Once a second: pools report, keys expire, the session is renewed. `false` once the journal has stopped.
    pub fn tick(self: &Rc<Self>) -> bool {
        let waiting: Vec<WorkspaceId> = self.recovered.borrow().keys().cloned().collect();
        for workspace in waiting {
            self.pool(&workspace);
        }
        self.keys.expire(self.world().surely(self.node));
        self.expire_holds();
        for pool in self.pools.borrow().values() {
            let _gone = pool.unbounded_send(PoolMessage::Tick);
        }
        let left = self.session_until_ms.get().saturating_sub(self.clock.boottime_ms());
        let is_due = left < self.session_ttl_ms.saturating_sub(RENEW_EVERY_MS);
        if is_due && !self.pools.borrow().is_empty() && !self.renewing.replace(true) {
            let running = self.clone();
            self.spawn(async move {
                running.renew().await;
                running.renewing.set(false);
            });
        }
        !matches!(self.journal.takes_charges(), Err(journal::Refused::Stopped { .. }))
    }

    /// Gives all leases back, and waits until the ledger has folded them or the time is over.
    pub async fn drain(self: &Rc<Self>, within_ms: u64) -> bool {
        let waiting: Vec<WorkspaceId> = self.recovered.borrow().keys().cloned().collect();
        for workspace in waiting {
            self.pool(&workspace);
        }
        let mut drained = Vec::new();
        for pool in self.pools.borrow().values() {
            let (reply, done) = oneshot::channel();
            let _gone = pool.unbounded_send(PoolMessage::Drain { reply });
            drained.push(done);
        }
        self.time.within(within_ms, futures::future::join_all(drained)).await.is_some()
    }

    // ---- the way to the leader

    /// Whether the ledger has looked at this disk since the process began.
    pub fn knows_cluster(&self) -> bool {
        self.registered.get()
    }

    pub fn may_spend(&self) -> bool {
        self.clock.boottime_ms() < self.session_until_ms.get()
    }

    fn renewed(&self, sent_ms: u64) {
        let until = sent_ms + self.session_ttl_ms;
        self.session_until_ms.set(self.session_until_ms.get().max(until));
    }

    /// Asks the shard's leader, following where it moves to. Repeats only what may be repeated.
    pub async fn ask_leader(
        &self,
        request: LeaderRequest,
        may_repeat: bool,
    ) -> Result<LeaderAnswer, Unavailable> {
        let world = self.world();
        let end_ms = self.time.now_ms() + ASK_MS;
        let mut unknown = false;
        let here = world.nodes[self.node].replica.as_ref().and_then(|replica| replica.borrow().leader);
        let mut candidate = here.or(self.hint.get()).unwrap_or(0);
        let (mut turn, mut pause_ms, mut leaderless_ms) = (0, PAUSE_MS, PAUSE_MS);
        let mut asked_in_one_breath = BTreeSet::new();
        loop {
            let left = end_ms.saturating_sub(self.time.now_ms());
            if left == 0 {
                return Err(if unknown { Unavailable::Unknown } else { Unavailable::NoLeader });
            }
            let within_ms = left.min(ATTEMPT_MS);
            asked_in_one_breath.insert(candidate);
            let asked = if candidate == self.node {
                let me = world.nodes[self.node].running().expect("this process runs");
                Ok(Answer::Leader(super::desk::answer(&world, &me, request.clone(), within_ms).await))
            } else {
                let request = Request::Leader { request: request.clone(), within_ms };
                world.call(self.node, candidate, request, within_ms).await
            };
            let is_unknown = matches!(asked, Ok(Answer::Leader(Err(LeaderRefusal::Unknown))));
            if is_unknown {
                pause_ms = (pause_ms * 2).min(PAUSE_MAX_MS);
            }
            match asked {
                Ok(Answer::Leader(Ok(answer))) => {
                    self.hint.set(Some(candidate));
                    return Ok(answer);
                }
                Ok(Answer::Leader(Err(LeaderRefusal::NotLeader { leader: Some(leader) })))
                    if !asked_in_one_breath.contains(&leader) =>
                {
                    candidate = leader;
                    continue;
                }
                Ok(Answer::Leader(Err(LeaderRefusal::Rejected(rejection)))) => {
                    return Err(Unavailable::Rejected(rejection));
                }
                Ok(Answer::Leader(Err(LeaderRefusal::Unknown))) | Err(PeerFault::Unknown) => {
                    if !may_repeat {
                        return Err(Unavailable::Unknown);
                    }
                    unknown = true;
                }
                Ok(_) | Err(PeerFault::Unreachable) => {}
            }
            candidate = world.config.replica_at(turn);
            turn += 1;
            asked_in_one_breath.clear();
            let breath_ms = if is_unknown { pause_ms } else { leaderless_ms };
            if turn.is_multiple_of(world.config.replicas) {
                leaderless_ms = (leaderless_ms * 2).min(LEADERLESS_PAUSE_MAX_MS);
            }
            self.time.sleep(breath_ms.min(left)).await;
        }
    }

    pub async fn submit(&self, batch: HolderBatch) -> Result<BatchAnswer, NotSubmitted> {
        self.register().await?;
        self.reported.set(self.reported.get().max(batch.journal_sequence));
        self.judge_batch(&batch);
        let sent_ms = self.clock.boottime_ms();
        match self.ask_leader(LeaderRequest::Batch(batch), true).await {
            Ok(LeaderAnswer::Batch(answer)) => {
                let nothing_taken =
                    answer.lines.iter().all(|line| matches!(line.result, LineResult::Rejected(_)));
                self.judge_rejections(nothing_taken);
                if is_planted(Mistake::SessionByBatch) {
                    self.renewed(sent_ms);
                }
                Ok(answer)
            }
            Err(Unavailable::Rejected(Rejection::UnknownWorkspace)) => Err(NotSubmitted::UnknownWorkspace),
            Err(Unavailable::Rejected(rejection)) => {
                self.faulted(&rejection);
                Err(NotSubmitted::Unreachable)
            }
            Ok(_) | Err(_) => Err(NotSubmitted::Unreachable),
        }
    }

    /// Before it spends, a holder makes itself known, with its journal's sequence when this process began.
    pub async fn register(&self) -> Result<(), NotSubmitted> {
        if self.registered.get() {
            return Ok(());
        }
        let world = self.world();
        let journal_sequence = self.journal.registration(GROUP);
        let command = Command::Register { holder: self.holder, journal_sequence };
        let asked = self.ask_leader(LeaderRequest::Command(Box::new(command)), true).await;
        let Ok(LeaderAnswer::Applied { applied, .. }) = asked else { return Err(NotSubmitted::Unreachable) };
        match applied.result {
            Ok(_) => {
                if world.nodes[self.node].rolled_back.get() {
                    self.broken("R10 a rolled-back disk is refused", &format!("{} may spend", self.holder));
                }
                self.note_registered().await
            }
            Err(Rejection::RolledBack { known }) if known <= self.reported.get() => {
                self.note_registered().await
            }
            Err(rejection) => {
                self.faulted(&rejection);
                Err(NotSubmitted::Unreachable)
            }
        }
    }

    async fn note_registered(&self) -> Result<(), NotSubmitted> {
        self.journal.registered(GROUP).await.map_err(|_| NotSubmitted::Unreachable)?;
        self.registered.set(true);
        Ok(())
    }

    /// Whether what a batch says is on the disk; looked at now and then, because a journal is read for it.
    fn judge_batch(&self, batch: &HolderBatch) {
        self.batches.set(self.batches.get() + 1);
        if !self.batches.get().is_multiple_of(LOOKED_AT_EVERY) {
            return;
        }
        let world = self.world();
        let on_disk = world.if_the_power_failed(self.node);
        for message in &batch.lines {
            let is_it = |view: &&LineView| {
                view.line.workspace == batch.workspace && view.line.number == message.number
            };
            let Some(view) = on_disk.iter().find(is_it) else { continue };
            let said = Credits::checked_sum(message.used.by_backing.iter().map(|(_, used, _)| *used));
            let (line, said) = (batch.line_id(message), said.expect("parts of one pool"));
            let verdict = testkit::told::no_report_is_ahead_of_the_disk(line, said, view.used);
            world.oracle.borrow_mut().judge(verdict, self.time.now_ms());
        }
    }

    /// A forgotten holder draws only until the renewal that is due tells it so.
    fn judge_rejections(&self, nothing_taken: bool) {
        let world = self.world();
        let is_fenced = world.oracle.borrow().is_fenced(self.holder);
        if !nothing_taken || !is_fenced {
            return self.rejected.set(None);
        }
        let now_ms = self.time.now_ms();
        // What it is not answered for so long that a renewal is due meanwhile, it could not learn.
        let is_answered = |(_, last_ms, _): &(u64, u64, u32)| now_ms - last_ms <= RENEW_EVERY_MS;
        let (since_ms, _, times) = self.rejected.get().filter(is_answered).unwrap_or((now_ms, now_ms, 0));
        self.rejected.set(Some((since_ms, now_ms, times + 1)));
        let for_ms = now_ms - since_ms;
        if for_ms > LEARNS_WITHIN_MS && times > REJECTED_MAX {
            let what = format!("{times} of its batches were rejected as a whole in {for_ms} ms");
            self.broken("a forgotten holder that is answered learns that it is", &what);
        }
    }

    /// Only this renews a session: the leader refuses it as long as this holder has lines that were taken away.
    pub async fn renew(&self) -> bool {
        if self.register().await.is_err() {
            return false;
        }
        let sent_ms = self.clock.boottime_ms();
        match self.ask_leader(LeaderRequest::Renew { holder: self.holder }, true).await {
            Ok(_) => {
                self.renewed(sent_ms);
                true
            }
            Err(Unavailable::Rejected(rejection)) => {
                self.faulted(&rejection);
                false
            }
            Err(_) => false,
        }
    }

    /// The cluster refuses this holder: the process stops and is not started again.
    fn faulted(&self, rejection: &Rejection) {
        match rejection {
            Rejection::Fenced => self.saw(Crossing::FencedHolderIsRefused),
            Rejection::RolledBack { .. } => self.saw(Crossing::RolledBackDiskIsRefused),
            Rejection::OtherDisk { .. } => {}
            _ => return,
        }
        self.film(Film::HolderRefused, 0, 0);
        let world = self.world();
        world.nodes[self.node].gone.set(true);
        let node = self.node;
        let then = world.clone();
        world.time.call_in(0, move || {
            then.kill(node);
            then.give_up(node);
        });
    }

    /// The cycle a new line is opened in.
    pub fn cycle_of(&self, workspace: &WorkspaceId) -> CycleNumber {
        self.cycles.borrow().get(workspace).copied().unwrap_or(CycleNumber::FIRST)
    }

    pub fn set_cycle(&self, workspace: &WorkspaceId, cycle: CycleNumber) {
        self.cycles.borrow_mut().insert(workspace.clone(), cycle);
    }

    /// Answered when what was spent on this line up to now is committed.
    pub async fn confirm(self: &Rc<Self>, workspace: &WorkspaceId, line: LineNumber) -> bool {
        let (reply, answer) = oneshot::channel();
        let sent = self.pool(workspace).unbounded_send(PoolMessage::Confirm { line, reply });
        sent.is_ok() && answer.await.unwrap_or(false)
    }

    /// A leader asks for credits back.
    pub async fn recall(self: &Rc<Self>, recall: Recall) -> RecallAnswer {
        let mine = |line: &leasing::RecallLine| line.line.holder == self.holder;
        let Recall { workspace, lines } = recall;
        if !self.registered.get() && !is_planted(Mistake::UnregisteredAnswers) {
            // Its disk may be an old one: what it says is not to be booked before the ledger has looked at it.
            let journal_sequence = self.journal.sequence();
            return RecallAnswer { holder: self.holder, journal_sequence, lines: Vec::new() };
        }
        let recall = Recall { workspace: workspace.clone(), lines: lines.into_iter().filter(mine).collect() };
        let asked: Vec<LineNumber> = recall.lines.iter().map(RecallLine::number).collect();
        let (reply, answer) = oneshot::channel();
        let sent = self.pool(&workspace).unbounded_send(PoolMessage::Recall { recall, reply }).is_ok();
        let lines = if sent { answer.await.unwrap_or_default() } else { Vec::new() };
        for number in &asked {
            self.unsaid.borrow_mut().remove(&(workspace.clone(), *number));
        }
        let answered = lines.iter().map(|line| LineId { holder: self.holder, number: line.number });
        self.world().oracle.borrow_mut().recalled(&workspace, &answered.collect());
        if self.world().nodes[self.node].rolled_back.get() && !lines.is_empty() {
            self.broken("R10 a rolled-back disk is not asked for its lines", "it answers a recall");
        }
        let journal_sequence = self.journal.sequence();
        self.is_answered(&workspace, asked, &lines).await;
        self.reported.set(self.reported.get().max(journal_sequence));
        RecallAnswer { holder: self.holder, journal_sequence, lines }
    }

    /// A recall is answered for each line that the journal still has; one that is full or has stopped may owe answers.
    async fn is_answered(&self, workspace: &WorkspaceId, mut asked: Vec<LineNumber>, lines: &[LineMessage]) {
        asked.retain(|number| lines.iter().all(|line| line.number != *number));
        if asked.is_empty() || self.journal.takes_charges().is_err() {
            return;
        }
        let Ok(known) = self.journal.lines().await else { return };
        let is_there = |number: &LineNumber| {
            let is_it = |view: &LineView| view.line.workspace == *workspace && view.line.number == *number;
            known.iter().any(is_it)
        };
        if let Some(number) = asked.iter().find(|number| is_there(number)) {
            self.broken("a recall is answered for each line", &format!("not for {number:?} of {workspace}"));
        }
    }
}
