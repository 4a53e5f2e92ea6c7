//! One node with real rooms, a disk in memory and nobody else, for the tests of actors. Not here: what they show.

use crate::leader::{LeaderAnswer, LeaderRefusal, LeaderRequest, Recall, RecallAnswer};
use crate::{BoxFuture, Desk, Handle, Holder, Options, PeerFault, Peers, Shards, start};
use escrow::Spent;
use journal::{Charge, Journal};
use leasing::{LeasePolicy, RecallLine};
use ledger::{
    AdminCommand, Answer, Change, Command, GrantKind, NewGrant, Query, WorkspaceSettings, WorkspaceView,
};
use placement::{Membership, MembershipEpoch, Node, Shape};
use platform::{Clock, CoarseClock, Disk, MemDisk, SeededEntropy, SystemClock};
use replication::{GroupId, GroupSpec, Replica};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use types::{
    Credits, DiskId, Durability, Feature, GrantId, HolderId, LineId, LineNumber, Meter, NodeId, ShardId,
    UserId, WorkspaceId,
};

pub(crate) const ME: NodeId = NodeId(1);
pub(crate) const SHARD: GroupId = GroupId::Shard(ShardId(0));
pub(crate) const GUARD: Duration = Duration::from_secs(20);

/// Nobody else is there.
#[derive(Debug)]
pub(crate) struct Alone;

impl Peers for Alone {
    fn ask_leader(
        &self,
        to: NodeId,
        _: GroupId,
        _: LeaderRequest,
        _: Duration,
    ) -> BoxFuture<'_, Result<Result<LeaderAnswer, LeaderRefusal>, PeerFault>> {
        Box::pin(async move { Err(PeerFault::Unreachable(to)) })
    }

    fn recall(&self, to: NodeId, _: Recall, _: Duration) -> BoxFuture<'_, Result<RecallAnswer, PeerFault>> {
        Box::pin(async move { Err(PeerFault::Unreachable(to)) })
    }
}

impl replication::Peers for Alone {
    fn call(
        &self,
        node: NodeId,
        _: bytes::Bytes,
        _: Duration,
    ) -> BoxFuture<'_, Result<bytes::Bytes, replication::PeerFault>> {
        Box::pin(async move { Err(replication::PeerFault::Unreachable { node, why: "alone".into() }) })
    }
}

pub(crate) async fn node(options: Options) -> (Holder, Arc<Shards>) {
    node_on(MemDisk::new(), options).await
}

pub(crate) async fn node_on(disk: MemDisk, options: Options) -> (Holder, Arc<Shards>) {
    node_by(Arc::new(SystemClock::new()), disk, options).await
}

pub(crate) async fn node_by(exact: Arc<dyn Clock>, disk: MemDisk, options: Options) -> (Holder, Arc<Shards>) {
    let me = options.node;
    let entropy = SeededEntropy::new(7);
    let directory = |name: &str| disk.directory(Path::new(name)).unwrap();
    let clock = Arc::new(CoarseClock::new(exact.clone()));
    tokio::spawn(clock.clone().keep_ticking(5));
    let group = |id| GroupSpec { id, voters: vec![me], learners: Vec::new() };
    let groups = replication_options(me, vec![group(GroupId::Meta), group(SHARD)]);
    let replica =
        Replica::open(groups, directory("raft"), Arc::new(Alone), exact.clone(), &entropy).await.unwrap();
    let membership =
        Membership::new(MembershipEpoch(1), vec![Node { id: me, zone: String::new(), weight: 1 }]).unwrap();
    let map = placement::propose(&membership, Shape { shards: 1, replicas: 1 }).unwrap();
    let desk = Arc::new(Desk::new(&options, clock.clone()));
    let shards =
        Shards::new(me, map, vec![me], Arc::new(replica), desk.clone(), Arc::new(Alone), options.attempt_ms);
    let shards = Arc::new(shards);
    tokio::time::timeout(GUARD, shards.replica().group(SHARD).unwrap().ready()).await.unwrap().unwrap();
    let opened = Journal::open(journal_options(), directory("journal"), DiskId(9), exact).await.unwrap();
    let (journal, keys, recovered) = opened;
    let id = HolderId { node: me, disk: DiskId(9) };
    let holder = start(id, options, journal, keys, clock, shards.clone(), recovered).await.unwrap();
    desk.set_holder(holder.clone());
    (holder, shards)
}

pub(crate) fn workspace() -> WorkspaceId {
    WorkspaceId::parse("w").unwrap()
}

pub(crate) async fn change(shards: &Shards, change: Change) {
    let command = AdminCommand { workspace: workspace(), keyed: None, if_match: None, change };
    let request = LeaderRequest::Command(Box::new(Command::Admin(command)));
    let answer = shards.ask(SHARD, request, GUARD).await.unwrap();
    assert!(matches!(answer, LeaderAnswer::Applied { applied, .. } if applied.result.is_ok()));
}

/// A workspace with 10,000 credits.
pub(crate) async fn funded(shards: &Shards) -> Credits {
    let settings = WorkspaceSettings::unchanged();
    change(shards, Change::PutWorkspace(settings)).await;
    let granted = Credits::whole(10_000).unwrap();
    change(shards, Change::MakeGrant(grant(granted))).await;
    granted
}

pub(crate) async fn summary(shards: &Shards) -> WorkspaceView {
    let request = LeaderRequest::Read { query: Query::Workspace { id: workspace() }, fresh: true };
    match shards.ask(SHARD, request, GUARD).await.unwrap() {
        LeaderAnswer::Read { answer: Answer::Workspace(view), .. } => *view,
        other => panic!("{other:?}"),
    }
}

/// Spends one credit, as a request does.
pub(crate) async fn spend(holder: &Holder, user: &UserId) {
    loop {
        let handle = match holder.find(&workspace(), user) {
            Some(handle) => handle,
            None => holder.activate(&workspace(), user).await.unwrap(),
        };
        if holder.may_spend(&handle) && charged(holder, &handle).await {
            return;
        }
        if !holder.may_spend(&handle) {
            assert!(holder.renew(&handle).await);
        }
        if handle.want(one()).await.is_err() {
            holder.activate(&workspace(), user).await.unwrap();
        }
    }
}

pub(crate) fn one() -> Credits {
    Credits::whole(1).unwrap()
}

pub(crate) async fn charged(holder: &Holder, handle: &Handle) -> bool {
    let permit = holder.journal().reserve().unwrap();
    let Ok(spent) = handle.try_spend(one()) else { return false };
    permit.charge(charge(handle, spent)).await.is_ok()
}

pub(crate) fn charge(handle: &Handle, spent: Spent) -> Charge {
    let at = SystemClock::new().now();
    Charge {
        handle: handle.no,
        epoch: spent.epoch.number(),
        amount: one(),
        meter: Meter { feature: Feature::parse("chat").unwrap(), model: None, day: at.day() },
        units: Vec::new(),
        at,
        key: None,
        durability: Durability::Local,
        remaining_at_least: Credits::ZERO,
        remaining_at_most: Credits::ZERO,
    }
}

/// A leader's question for all that the line can spare.
pub(crate) fn recall_of(user: &UserId, number: LineNumber) -> Recall {
    let line = LineId { holder: HolderId { node: ME, disk: DiskId(9) }, number };
    let (user, scope) = (user.clone(), types::Scope::ANYTHING);
    let asked = RecallLine { line, user, scope, drawn: Vec::new(), frozen: false, keep: Credits::ZERO };
    Recall { workspace: workspace(), lines: vec![asked] }
}

/// A node on which ann has spent a credit, and her line.
pub(crate) async fn with_a_line(options: Options) -> (Holder, Arc<Shards>, UserId, LineNumber) {
    let (holder, shards) = node(options).await;
    funded(&shards).await;
    let ann = UserId::parse("ann").unwrap();
    tokio::time::timeout(GUARD, spend(&holder, &ann)).await.expect("ann is served");
    let number = holder.journal().lines().await.unwrap().remove(0).line.number;
    (holder, shards, ann, number)
}

pub(crate) async fn entries(shards: &Shards) -> u64 {
    let request = LeaderRequest::Read { query: Query::Workspace { id: workspace() }, fresh: true };
    match shards.ask(SHARD, request, GUARD).await.unwrap() {
        LeaderAnswer::Read { index, .. } => index,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn grant(amount: Credits) -> NewGrant {
    NewGrant {
        id: GrantId::parse("g").unwrap(),
        kind: GrantKind::Pack,
        amount,
        priority: 50,
        paid: true,
        starts_at: None,
        expires_at: None,
        term: ledger::Term::Lasting,
        price: None,
    }
}

pub(crate) fn actor_options() -> Options {
    Options {
        node: ME,
        lease: LeasePolicy::STANDARD,
        session_ttl_ms: 60_000,
        tick_ms: 50,
        wait_ms: 2_000,
        attempt_ms: 1_000,
        ask_ms: 2_000,
        handles_max: 100,
        activating_max: 100,
        waiting_max: 100,
        gather_ms: 10,
        batches_max: 4,
        waiting_batches_max: 4,
        batch_lines_max: 100,
        batch_bytes_max: 1_000_000,
        hot_spends_per_s: 20_000,
    }
}

pub(crate) fn journal_options() -> journal::Options {
    journal::Options {
        segment_bytes: 1 << 20,
        tail_bytes: 1 << 16,
        queue_max: 1_024,
        batch_max: 64,
        waiting_max: 1_024,
        lines_max: 1_000,
        holds_max: 16_384,
        holds_per_user_max: 1_000,
        key_window_ms: 1_000,
        keys_bytes_max: 1 << 20,
        past_bytes_max: 1 << 20,
    }
}

pub(crate) fn replication_options(node: NodeId, groups: Vec<GroupSpec>) -> replication::Options {
    replication::Options {
        node,
        groups,
        heartbeat_ms: 50,
        election_min_ms: 160,
        election_max_ms: 300,
        rpc_timeout_ms: 500,
        snapshot_timeout_ms: 500,
        command_bytes_max: 1 << 20,
        entry_commands_max: 64,
        entry_bytes_max: 1 << 20,
        waiting_commands_max: 1_024,
        snapshot_every_entries: 1_000,
        snapshot_every_bytes: 1 << 20,
        log_keep_entries: 10,
        chunk_bytes: 1 << 16,
        snapshot_bytes_max: 1 << 24,
        tail_bytes: 1 << 20,
        database_cache_bytes: 1 << 20,
    }
}
