//! The holder: what request tasks of this node spend from. Handles, sessions, the journal, and the way to leaders.
//!
//! Not here: prices and keys (`quota`), the actors themselves (`pool`, `allocation`).

use crate::directory::Directory;
use crate::handle::Handle;
use crate::leader::{BatchAnswer, LeaderAnswer, LeaderRefusal, LeaderRequest, Recall, RecallAnswer};
use crate::messages::AllocationMessage;
use crate::options::Options;
use crate::pool::PoolMessage;
use crate::sessions::Sessions;
use crate::shards::{Shards, Unavailable};
use crate::supervisor::SupervisorMessage;
use journal::{Ended, Ending, HandleNo, HoldFacts, Journal, KeyTable};
use ledger::{Command, HolderBatch, LineMessage, Rejection};
use platform::CoarseClock;
use ractor::ActorRef;
use replication::GroupId;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot, watch};
use types::planted::{Actor, Mistake, is_planted, panic_point};
use types::{
    CycleNumber, Feature, HoldNumber, HolderId, Limited, Model, Scope, ShardId, UserId, WorkspaceId,
};

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Holder(pub(crate) Arc<HolderInner>);

#[derive(Debug)]
pub(crate) struct HolderInner {
    pub id: HolderId,
    pub options: Options,
    pub journal: Journal,
    pub keys: Arc<KeyTable>,
    pub clock: Arc<CoarseClock>,
    pub shards: Arc<Shards>,
    pub directory: Directory,
    pub sessions: Sessions,
    /// The highest sequence this process has told the meta group; what it told shards is in `sessions`.
    told_meta: AtomicU64,
    pub supervisor: OnceLock<ActorRef<SupervisorMessage>>,
    /// Workspaces whose cycle is not the first, as the ledger last said.
    cycles: Mutex<HashMap<WorkspaceId, CycleNumber>>,
    /// What is limited, of workspaces that were heard of.
    limited: RwLock<HashMap<WorkspaceId, Arc<Limited>>>,
    next_handle: AtomicU32,
    /// Users being made active at once: what the supervisor's mailbox holds at most of them.
    activating: Semaphore,
    fault: watch::Sender<Option<HolderFault>>,
}

/// This node may not hold leases any more. The process must stop and say why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this node may not hold leases: {0}")]
pub struct HolderFault(pub Rejection);

/// Why a batch was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotSubmitted {
    Unreachable,
    UnknownWorkspace,
}

impl HolderInner {
    pub fn new(
        id: HolderId,
        options: Options,
        journal: Journal,
        keys: Arc<KeyTable>,
        clock: Arc<CoarseClock>,
        shards: Arc<Shards>,
    ) -> Self {
        Self {
            activating: Semaphore::new(options.activating_max),
            directory: Directory::new(options.handles_max),
            sessions: Sessions::new(shards.map().shards().count(), options.session_ttl_ms),
            id,
            options,
            journal,
            keys,
            clock,
            shards,
            supervisor: OnceLock::new(),
            cycles: Mutex::default(),
            limited: RwLock::default(),
            next_handle: AtomicU32::new(1),
            told_meta: AtomicU64::new(0),
            fault: watch::Sender::new(None),
        }
    }

    /// A point at which simulations make an actor panic.
    pub fn panic_point(&self, actor: Actor) {
        panic_point(self.id.node, actor);
    }

    pub fn make_handle(&self, workspace: &WorkspaceId, user: &UserId, scope: &Scope) -> Option<Arc<Handle>> {
        let shard = self.shards.map().shard_of(workspace);
        let make = || {
            let no = HandleNo(self.next_handle.fetch_add(1, Ordering::Relaxed));
            Handle::new(no, workspace.clone(), user.clone(), scope, shard, self.options.waiting_max)
        };
        self.directory.find_or_make(workspace, user, scope, make)
    }

    /// What is limited in a workspace, as far as this node knows; `None`: it has heard of nothing.
    pub fn limited(&self, workspace: &WorkspaceId) -> Option<Arc<Limited>> {
        self.limited.read().expect("nobody panics holding it").get(workspace).cloned()
    }

    /// A leader says what is limited. What was heard last may be older.
    pub fn hear_limited(&self, workspace: &WorkspaceId, limited: Limited) {
        let mut known = self.limited.write().expect("nobody panics holding it");
        if known.get(workspace).is_none_or(|known| known.revision < limited.revision) {
            known.insert(workspace.clone(), Arc::new(limited));
        }
    }

    /// What such a consume is spent from.
    pub fn scope_of(&self, workspace: &WorkspaceId, feature: &Feature, model: Option<&Model>) -> Scope {
        self.limited(workspace).map_or(Scope::ANYTHING, |limited| limited.scope_of(feature, model))
    }

    /// The handle that such a consume is spent from. One that was there before anything was limited goes first as long as it is
    /// there: its lines are for anything, and count so.
    pub fn find(
        &self,
        workspace: &WorkspaceId,
        user: &UserId,
        feature: &Feature,
        model: Option<&Model>,
    ) -> Option<Arc<Handle>> {
        if let Some(handle) = self.directory.find(workspace, user) {
            return Some(handle);
        }
        let limited = self.limited(workspace)?;
        self.directory.find_in(workspace, user, &limited.scope_of(feature, model))
    }

    pub fn cycle_of(&self, workspace: &WorkspaceId) -> CycleNumber {
        let cycles = self.cycles.lock().expect("nobody panics holding it");
        cycles.get(workspace).copied().unwrap_or(CycleNumber::FIRST)
    }

    pub fn set_cycle(&self, workspace: &WorkspaceId, cycle: CycleNumber) {
        self.cycles.lock().expect("nobody panics holding it").insert(workspace.clone(), cycle);
    }

    pub fn pool_is_idle(&self, workspace: &WorkspaceId, pool: &ActorRef<PoolMessage>, handled: u64) {
        if let Some(supervisor) = self.supervisor.get() {
            let (workspace, pool) = (workspace.clone(), pool.clone());
            let _stopping = supervisor.cast(SupervisorMessage::Idle { workspace, pool, handled });
        }
    }

    /// Sends a batch to the leader of its shard. Absolute numbers: asked again unchanged until there is an answer.
    pub async fn submit(&self, shard: ShardId, batch: HolderBatch) -> Result<BatchAnswer, NotSubmitted> {
        self.register(shard).await?;
        self.sessions.reports(shard, batch.journal_sequence);
        let sent_ms = self.clock.boottime_ms();
        match self.ask(shard, LeaderRequest::Batch(batch)).await {
            Ok(LeaderAnswer::Batch(answer)) => {
                if is_planted(Mistake::SessionByBatch) {
                    self.sessions.renew(shard, sent_ms);
                }
                Ok(answer)
            }
            Ok(LeaderAnswer::Applied { .. } | LeaderAnswer::Renewed | LeaderAnswer::Read { .. }) => {
                Err(NotSubmitted::Unreachable)
            }
            Err(Unavailable::Refused(LeaderRefusal::Rejected(Rejection::UnknownWorkspace))) => {
                Err(NotSubmitted::UnknownWorkspace)
            }
            Err(Unavailable::Refused(LeaderRefusal::Rejected(rejection))) => {
                self.faulted(rejection);
                Err(NotSubmitted::Unreachable)
            }
            Err(_) => Err(NotSubmitted::Unreachable),
        }
    }

    async fn ask(&self, shard: ShardId, request: LeaderRequest) -> Result<LeaderAnswer, Unavailable> {
        let deadline = Duration::from_millis(self.options.ask_ms);
        self.shards.ask(GroupId::Shard(shard), request, deadline).await
    }

    /// Before it spends, a holder makes itself known to the shard, with its journal's sequence.
    pub async fn register(&self, shard: ShardId) -> Result<(), NotSubmitted> {
        if self.sessions.is_registered(shard) {
            return Ok(());
        }
        let group = GroupId::Shard(shard).to_string();
        if self.sessions.is_accepted(shard) {
            return self.note_registered(shard, &group).await;
        }
        let command =
            Command::Register { holder: self.id, journal_sequence: self.journal.registration(&group) };
        match self.ask(shard, LeaderRequest::Command(Box::new(command))).await {
            Ok(LeaderAnswer::Applied { applied, .. }) => match applied.result {
                Ok(_) => self.note_registered(shard, &group).await,
                // An older registration of this very process, overtaken by what it reported since.
                Err(Rejection::RolledBack { known }) if self.sessions.has_reported(shard, known) => {
                    self.note_registered(shard, &group).await
                }
                Err(rejection) => {
                    self.faulted(rejection);
                    Err(NotSubmitted::Unreachable)
                }
            },
            Ok(_) | Err(_) => Err(NotSubmitted::Unreachable),
        }
    }

    /// The ledger has accepted this process; on the disk that must stand before anything is reported to it.
    async fn note_registered(&self, shard: ShardId, group: &str) -> Result<(), NotSubmitted> {
        self.sessions.accepted(shard);
        match self.journal.registered(group).await {
            Ok(()) => {
                self.sessions.registered(shard);
                Ok(())
            }
            Err(error) => {
                tracing::warn!(%shard, %error, "the disk did not take that this journal is registered");
                Err(NotSubmitted::Unreachable)
            }
        }
    }

    /// Only this renews a session: the leader refuses it as long as this holder has lines that were taken away.
    pub async fn renew(&self, shard: ShardId) -> Result<(), NotSubmitted> {
        self.register(shard).await?;
        let sent_ms = self.clock.boottime_ms();
        match self.ask(shard, LeaderRequest::Renew { holder: self.id }).await {
            Ok(_) => {
                self.sessions.renew(shard, sent_ms);
                Ok(())
            }
            Err(Unavailable::Refused(LeaderRefusal::Rejected(rejection))) => {
                self.faulted(rejection);
                Err(NotSubmitted::Unreachable)
            }
            Err(_) => Err(NotSubmitted::Unreachable),
        }
    }

    /// Tells those whom the end of a hold concerns: who raises what it freed, and who closes the line that waited for it.
    pub fn hold_ended(&self, ended: &Ended) {
        let facts = &ended.over.facts;
        if ended.closed {
            let (workspace, message) = (facts.workspace.clone(), PoolMessage::HoldEnded);
            if let Some(supervisor) = self.supervisor.get() {
                let _stopping = supervisor.cast(SupervisorMessage::ToPool { workspace, message });
            }
        } else if !ended.freed.is_zero()
            && let Some(handle) =
                self.find(&facts.workspace, &facts.user, &facts.feature, facts.model.as_ref())
        {
            handle.tell(AllocationMessage::Freed);
        }
    }

    /// It may have ended just now, because its time was up when somebody asked for it.
    fn hold_is_over(&self, facts: &HoldFacts) {
        if let Some(supervisor) = self.supervisor.get() {
            let (workspace, message) = (facts.workspace.clone(), PoolMessage::HoldEnded);
            let _stopping = supervisor.cast(SupervisorMessage::ToPool { workspace, message });
        }
        let HoldFacts { workspace, user, feature, model, .. } = facts;
        if let Some(handle) = self.find(workspace, user, feature, model.as_ref()) {
            handle.tell(AllocationMessage::Freed);
        }
    }

    fn faulted(&self, rejection: Rejection) {
        match rejection {
            Rejection::Fenced | Rejection::RolledBack { .. } | Rejection::OtherDisk { .. } => {
                tracing::error!(%rejection, "this holder is refused");
                self.fault.send_replace(Some(HolderFault(rejection)));
            }
            other => tracing::warn!(%other, "a batch was rejected"),
        }
    }
}

/// Bytes of an answer to a recall; a frame takes more.
const RECALL_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How often a user is made active before the node counts as overloaded.
const ACTIVATIONS_MAX: usize = 8;

impl Holder {
    pub fn id(&self) -> HolderId {
        self.0.id
    }

    /// This process is about to tell the meta group that its journal got so far. Only of what is synced.
    pub fn tells_meta(&self, sequence: u64) {
        self.0.told_meta.fetch_max(sequence, Ordering::AcqRel);
    }

    /// Whether the meta group may know so much from this very process.
    pub fn has_told_meta(&self, sequence: u64) -> bool {
        sequence <= self.0.told_meta.load(Ordering::Acquire)
    }

    pub fn journal(&self) -> &Journal {
        &self.0.journal
    }

    pub fn keys(&self) -> &Arc<KeyTable> {
        &self.0.keys
    }

    pub fn options(&self) -> &Options {
        &self.0.options
    }

    pub fn shards(&self) -> &Arc<Shards> {
        &self.0.shards
    }

    /// What is limited in a workspace, and what its plan has, as far as this node knows.
    pub fn limited(&self, workspace: &WorkspaceId) -> Option<Arc<Limited>> {
        self.0.limited(workspace)
    }

    /// The user's handle for what is not limited, if he is active on this node.
    pub fn find(&self, workspace: &WorkspaceId, user: &UserId) -> Option<Arc<Handle>> {
        self.0.directory.find(workspace, user)
    }

    /// The user's handle for such consumes.
    pub fn find_for(
        &self,
        workspace: &WorkspaceId,
        user: &UserId,
        feature: &Feature,
        model: Option<&Model>,
    ) -> Option<Arc<Handle>> {
        self.0.find(workspace, user, feature, model)
    }

    /// Users active on this node.
    pub fn active_users(&self) -> usize {
        self.0.directory.len()
    }

    /// Makes the user active on this node for what is not limited. `None`: too many are.
    pub async fn activate(&self, workspace: &WorkspaceId, user: &UserId) -> Option<Arc<Handle>> {
        self.activate_in(workspace, user, || Scope::ANYTHING).await
    }

    /// The same for such consumes.
    pub async fn activate_for(
        &self,
        workspace: &WorkspaceId,
        user: &UserId,
        feature: &Feature,
        model: Option<&Model>,
    ) -> Option<Arc<Handle>> {
        self.activate_in(workspace, user, || self.0.scope_of(workspace, feature, model)).await
    }

    async fn activate_in(
        &self,
        workspace: &WorkspaceId,
        user: &UserId,
        scope: impl Fn() -> Scope,
    ) -> Option<Arc<Handle>> {
        // A handle that is found may be dropped a moment later, with its actor: the next one is made then.
        for _attempt in 0..ACTIVATIONS_MAX {
            let handle = self.0.make_handle(workspace, user, &scope())?;
            if handle.has_actor() {
                return Some(handle);
            }
            let _place = self.0.activating.try_acquire().ok()?;
            let (reply, done) = oneshot::channel();
            let message = SupervisorMessage::Spawn { handle: handle.clone(), reply };
            self.0.supervisor.get()?.cast(message).ok()?;
            if done.await.is_ok_and(|spawned| spawned) {
                return Some(handle);
            }
        }
        None
    }

    pub fn may_spend(&self, handle: &Handle) -> bool {
        self.0.sessions.is_live(handle.shard, self.0.clock.boottime_ms())
    }

    /// Whether the ledger has looked at this node's disk since the process began. Where it has not, it is asked to.
    pub async fn is_known(&self, workspace: &WorkspaceId) -> bool {
        self.0.register(self.0.shards.map().shard_of(workspace)).await.is_ok()
    }

    /// Whether this node has a session with the workspace's leader.
    pub fn has_session(&self, workspace: &WorkspaceId) -> bool {
        let shard = self.0.shards.map().shard_of(workspace);
        self.0.sessions.is_live(shard, self.0.clock.boottime_ms())
    }

    /// Renews a session that has run out, before a consume is refused for it.
    pub async fn renew(&self, handle: &Handle) -> bool {
        self.0.renew(handle.shard).await.is_ok()
    }

    /// Answered when what was spent on this line up to now is committed by a quorum; `false` where that is unknown.
    pub async fn confirm(&self, workspace: &WorkspaceId, line: types::LineNumber) -> bool {
        let Some(supervisor) = self.0.supervisor.get() else { return false };
        let (reply, answer) = oneshot::channel();
        let message = PoolMessage::Confirm { line, reply };
        if supervisor.cast(SupervisorMessage::ToPool { workspace: workspace.clone(), message }).is_err() {
            return false;
        }
        answer.await.unwrap_or(false)
    }

    /// Ends a hold, also if who asked for it goes away meanwhile.
    pub async fn end_hold(&self, hold: HoldNumber, ending: Ending) -> Result<Ended, journal::Refused> {
        let holder = self.0.clone();
        let ends = tokio::spawn(async move {
            match holder.journal.end_hold(hold, ending).await {
                Ok(ended) => {
                    holder.hold_ended(&ended);
                    Ok(ended)
                }
                Err(why) => {
                    if let journal::Refused::HoldOver(over) = &why {
                        holder.hold_is_over(&over.facts);
                    }
                    Err(why)
                }
            }
        });
        let why = || "the task that was to end a hold has failed".to_owned();
        ends.await.unwrap_or_else(|_| Err(journal::Refused::Stopped { why: why() }))
    }

    /// A hold turned out to be over: whom its end concerns looks again.
    pub fn hold_is_over(&self, facts: &HoldFacts) {
        self.0.hold_is_over(facts);
    }

    /// A leader asks for credits back. Answered with durable numbers.
    pub async fn recall(&self, recall: Recall) -> RecallAnswer {
        let holder = self.0.id;
        let shard = self.0.shards.map().shard_of(&recall.workspace);
        if !self.0.sessions.is_registered(shard) && !is_planted(Mistake::UnregisteredAnswers) {
            // Its disk may be an old one: what it says is not to be booked before the ledger has looked at it.
            let journal_sequence = self.0.journal.sequence();
            return RecallAnswer { holder, journal_sequence, lines: Vec::new() };
        }
        let mine = |line: &leasing::RecallLine| line.line.holder == holder;
        let recall =
            Recall { workspace: recall.workspace, lines: recall.lines.into_iter().filter(mine).collect() };
        let (reply, answer) = oneshot::channel();
        let workspace = recall.workspace.clone();
        let message = PoolMessage::Recall { recall, reply };
        let sent = self.0.supervisor.get().is_some_and(|supervisor| {
            supervisor.cast(SupervisorMessage::ToPool { workspace, message }).is_ok()
        });
        let mut lines = if sent { answer.await.unwrap_or_default() } else { Vec::new() };
        // What does not travel at once was not answered, and is asked for again.
        lines.truncate(LineMessage::fitting(lines.iter(), usize::MAX, RECALL_BYTES_MAX));
        let journal_sequence = self.0.journal.sequence();
        self.0.sessions.reports(shard, journal_sequence);
        RecallAnswer { holder, journal_sequence, lines }
    }

    /// Closes every line and waits until the ledger has folded them, or the deadline.
    pub async fn drain(&self, deadline: Duration) -> bool {
        let Some(supervisor) = self.0.supervisor.get() else { return true };
        let (reply, done) = oneshot::channel();
        if supervisor.cast(SupervisorMessage::Drain { reply }).is_err() {
            return true;
        }
        matches!(tokio::time::timeout(deadline, done).await, Ok(Ok(())))
    }

    /// The cluster refuses this holder: nothing is spent here any more.
    pub fn refuse(&self, rejection: Rejection) {
        self.0.faulted(rejection);
    }

    /// Set once this node may not hold leases any more.
    pub fn fault(&self) -> watch::Receiver<Option<HolderFault>> {
        self.0.fault.subscribe()
    }
}
