//! The supervisor: parent of the pool actors of one node. Starts them when a workspace becomes active, ticks them,
//! lets them go when they are idle, renews sessions.

use crate::handle::Handle;
use crate::holder::{Holder, HolderInner};
use crate::options::Options;
use crate::pool::{PoolActor, PoolArguments, PoolMessage};
use crate::shards::Shards;
use journal::{Journal, KeyTable, LineView, Recovered};
use platform::CoarseClock;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use types::{HolderId, ShardId, WorkspaceId};

#[derive(Debug)]
pub(crate) enum SupervisorMessage {
    /// Answered whether the handle has an actor now.
    Spawn {
        handle: Arc<Handle>,
        reply: oneshot::Sender<bool>,
    },
    ToPool {
        workspace: WorkspaceId,
        message: PoolMessage,
    },
    /// The pool has nothing left to do, after `handled` messages from here.
    Idle {
        workspace: WorkspaceId,
        pool: ActorRef<PoolMessage>,
        handled: u64,
    },
    Tick,
    Drain {
        reply: oneshot::Sender<()>,
    },
}

pub(crate) struct Supervisor;

pub(crate) struct State {
    holder: Arc<HolderInner>,
    pools: BTreeMap<WorkspaceId, PoolEntry>,
    recovered: BTreeMap<WorkspaceId, Vec<LineView>>,
}

struct PoolEntry {
    actor: ActorRef<PoolMessage>,
    /// Messages sent to it from here, ticks left out.
    sent: u64,
}

impl PoolEntry {
    fn send(&mut self, message: PoolMessage) {
        self.sent += 1;
        let _stopping = self.actor.cast(message);
    }
}

/// Starts the holder's actors; lines that the journal recovered are taken up at once.
pub async fn start(
    id: HolderId,
    options: Options,
    journal: Journal,
    keys: Arc<KeyTable>,
    clock: Arc<CoarseClock>,
    shards: Arc<Shards>,
    recovered: Recovered,
) -> Result<Holder, ractor::SpawnErr> {
    let tick = Duration::from_millis(options.tick_ms);
    let holder = Arc::new(HolderInner::new(id, options, journal, keys, clock, shards));
    let mut by_workspace: BTreeMap<WorkspaceId, Vec<LineView>> = BTreeMap::new();
    for view in recovered.lines {
        by_workspace.entry(view.line.workspace.clone()).or_default().push(view);
    }
    let (supervisor, _task) = Actor::spawn(None, Supervisor, (holder.clone(), by_workspace)).await?;
    let _first = holder.supervisor.set(supervisor.clone());
    supervisor.send_interval(tick, || SupervisorMessage::Tick);
    Ok(Holder(holder))
}

impl Actor for Supervisor {
    type Msg = SupervisorMessage;
    type State = State;
    type Arguments = (Arc<HolderInner>, BTreeMap<WorkspaceId, Vec<LineView>>);

    async fn pre_start(
        &self,
        _myself: ActorRef<SupervisorMessage>,
        (holder, recovered): Self::Arguments,
    ) -> Result<State, ActorProcessingErr> {
        Ok(State { holder, pools: BTreeMap::new(), recovered })
    }

    async fn handle(
        &self,
        myself: ActorRef<SupervisorMessage>,
        message: SupervisorMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SupervisorMessage::Spawn { handle, reply } => {
                let workspace = handle.workspace.clone();
                state.pool(&workspace, &myself).await?.send(PoolMessage::Spawn { handle, reply });
            }
            SupervisorMessage::ToPool { workspace, message } => {
                state.pool(&workspace, &myself).await?.send(message);
            }
            SupervisorMessage::Idle { workspace, pool, handled } => {
                // Not if something was sent meanwhile that it has not seen yet: it would be lost.
                let is_quiet =
                    |known: &PoolEntry| known.actor.get_id() == pool.get_id() && known.sent == handled;
                if state.pools.get(&workspace).is_some_and(is_quiet) {
                    state.pools.remove(&workspace);
                    pool.stop(None);
                }
            }
            SupervisorMessage::Tick => state.tick(&myself).await?,
            SupervisorMessage::Drain { reply } => state.drain(reply, &myself).await?,
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<SupervisorMessage>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(cell, why) => {
                tracing::error!(%why, "a pool actor failed; its lines are taken up again from the journal");
                state.succeed(cell.get_id()).await;
            }
            // Those that were let go are not in the map any more.
            SupervisionEvent::ActorTerminated(cell, _, _) => state.succeed(cell.get_id()).await,
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

/// A renewal on its way, until it is dropped.
struct Renewal {
    holder: Arc<HolderInner>,
    shard: ShardId,
}

impl Renewal {
    fn begin(holder: &Arc<HolderInner>, shard: ShardId) -> Option<Self> {
        holder.sessions.begin_renewal(shard).then(|| Self { holder: holder.clone(), shard })
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.holder.sessions.end_renewal(self.shard);
    }
}

impl State {
    async fn pool(
        &mut self,
        workspace: &WorkspaceId,
        myself: &ActorRef<SupervisorMessage>,
    ) -> Result<&mut PoolEntry, ActorProcessingErr> {
        if !self.pools.contains_key(workspace) {
            let actor = self.start_pool(workspace, myself).await?;
            self.pools.insert(workspace.clone(), PoolEntry { actor, sent: 0 });
        }
        Ok(self.pools.get_mut(workspace).expect("it is there or was put there"))
    }

    async fn start_pool(
        &mut self,
        workspace: &WorkspaceId,
        myself: &ActorRef<SupervisorMessage>,
    ) -> Result<ActorRef<PoolMessage>, ActorProcessingErr> {
        let shard = self.holder.shards.map().shard_of(workspace);
        let recovered = self.recovered.remove(workspace).unwrap_or_default();
        let arguments =
            PoolArguments { holder: self.holder.clone(), workspace: workspace.clone(), shard, recovered };
        let (pool, _task) = Actor::spawn_linked(None, PoolActor, arguments, myself.get_cell()).await?;
        Ok(pool)
    }

    async fn tick(&mut self, myself: &ActorRef<SupervisorMessage>) -> Result<(), ActorProcessingErr> {
        let waiting: Vec<WorkspaceId> = self.recovered.keys().cloned().collect();
        for workspace in waiting {
            self.pool(&workspace, myself).await?;
        }
        self.holder.keys.expire(self.holder.clock.surely());
        self.expire_holds();
        let now_ms = self.holder.clock.boottime_ms();
        let mut due: BTreeSet<ShardId> = BTreeSet::new();
        for (workspace, pool) in &self.pools {
            let _stopping = pool.actor.cast(PoolMessage::Tick);
            let shard = self.holder.shards.map().shard_of(workspace);
            if self.holder.sessions.is_due(shard, now_ms) {
                due.insert(shard);
            }
        }
        for shard in due {
            let Some(renewal) = Renewal::begin(&self.holder, shard) else { continue };
            tokio::spawn(async move {
                if renewal.holder.renew(shard).await.is_err() {
                    tracing::warn!(%shard, "the session was not renewed");
                }
            });
        }
        Ok(())
    }

    /// Holds whose time is up end with the tick; the journal knows which, and looks at no others.
    fn expire_holds(&self) {
        if self.holder.journal.open_holds() == 0 {
            return;
        }
        // Until the ledger has looked at this disk it may be an older copy, and have ended what ended otherwise.
        let is_known = |workspace: &&WorkspaceId| {
            self.holder.sessions.is_registered(self.holder.shards.map().shard_of(workspace))
        };
        let unknown = self.pools.keys().chain(self.recovered.keys()).filter(|id| !is_known(id));
        let unknown: BTreeSet<WorkspaceId> = unknown.cloned().collect();
        let holder = self.holder.clone();
        tokio::spawn(async move {
            match holder.journal.expire_holds(holder.clock.now().day(), unknown).await {
                Ok(ended) => ended.iter().for_each(|ended| holder.hold_ended(ended)),
                Err(why) => tracing::warn!(%why, "no hold expires for now"),
            }
        });
    }

    /// A pool actor is gone that was not let go.
    async fn succeed(&mut self, gone: ractor::ActorId) {
        let known = self.pools.iter().find(|(_, pool)| pool.actor.get_id() == gone);
        if let Some(workspace) = known.map(|(workspace, _)| workspace.clone()) {
            self.pools.remove(&workspace);
            self.take_up(&workspace).await;
        }
    }

    /// Its children went with the pool actor, their lines go on with their successors.
    async fn take_up(&mut self, workspace: &WorkspaceId) {
        match self.holder.journal.lines().await {
            Ok(lines) => {
                let of_pool = lines.into_iter().filter(|view| view.line.workspace == *workspace);
                self.recovered.insert(workspace.clone(), of_pool.collect());
            }
            Err(why) => tracing::error!(%why, "the journal has stopped"),
        }
    }

    async fn drain(
        &mut self,
        reply: oneshot::Sender<()>,
        myself: &ActorRef<SupervisorMessage>,
    ) -> Result<(), ActorProcessingErr> {
        let waiting: Vec<WorkspaceId> = self.recovered.keys().cloned().collect();
        for workspace in waiting {
            self.pool(&workspace, myself).await?;
        }
        let mut drained = Vec::new();
        for pool in self.pools.values_mut() {
            let (reply, done) = oneshot::channel();
            pool.send(PoolMessage::Drain { reply });
            drained.push(done);
        }
        tokio::spawn(async move {
            // A pool that failed meanwhile has given nothing back: then nobody says that all is.
            if futures::future::try_join_all(drained).await.is_ok() {
                let _gone = reply.send(());
            }
        });
        Ok(())
    }
}
