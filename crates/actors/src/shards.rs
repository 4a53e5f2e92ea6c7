//! Finding a shard's leader and asking it, wherever it is; and answering as one where it is here.
//!
//! Absolute requests (batches, renewals, reads) are asked again unchanged until the deadline; a command that may not
//! be repeated is not. Not here: what the leader does with it (`desk`).

use crate::desk::Desk;
use crate::leader::{LeaderAnswer, LeaderRefusal, LeaderRequest, Recall, RecallAnswer};
use crate::ports::{PeerFault, Peers};
use ledger::State;
use placement::Map;
use replication::{GroupId, Replica};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;
use types::{HolderId, NodeId};

#[derive(Debug)]
pub struct Shards {
    me: NodeId,
    map: Map,
    /// Who has a replica of the meta group.
    meta: Vec<NodeId>,
    replica: Arc<Replica>,
    desk: Arc<Desk>,
    peers: Arc<dyn Peers>,
    attempt: Duration,
    /// Who led last, as far as this node heard.
    hints: Mutex<HashMap<GroupId, NodeId>>,
}

/// Why nobody did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// Surely not done: no leader was found in time.
    NoLeader,
    /// Done or not.
    Unknown,
    Refused(LeaderRefusal),
}

/// Between two attempts while there is no leader; after each turn over all replicas it is twice as long.
const PAUSE: Duration = Duration::from_millis(20);

/// The longest of these: less than an election takes.
const LEADERLESS_PAUSE_MAX: Duration = Duration::from_millis(160);

/// The longest, where a leader did not know what becomes of the request, or wants something given back first: each time
/// it says so the next pause is twice as long.
const PAUSE_MAX: Duration = Duration::from_millis(500);

impl Shards {
    pub fn new(
        me: NodeId,
        map: Map,
        meta: Vec<NodeId>,
        replica: Arc<Replica>,
        desk: Arc<Desk>,
        peers: Arc<dyn Peers>,
        attempt_ms: u64,
    ) -> Self {
        let attempt = Duration::from_millis(attempt_ms);
        Self { me, map, meta, replica, desk, peers, attempt, hints: Mutex::default() }
    }

    pub fn me(&self) -> NodeId {
        self.me
    }

    pub fn map(&self) -> &Map {
        &self.map
    }

    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    pub fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    pub fn replicas(&self, group: GroupId) -> &[NodeId] {
        match group {
            GroupId::Meta => &self.meta,
            GroupId::Shard(shard) => self.map.replicas(shard),
        }
    }

    /// The highest journal sequence that the groups on this node know of `holder`, from what they have applied.
    pub fn known_sequence(&self, holder: HolderId) -> Option<u64> {
        let known = |state: &State| state.holders.get(&holder).map(|record| record.journal_sequence);
        self.replica.groups().filter_map(|group| group.peek(known)).max()
    }

    /// Asks the group's leader, following where it moves to, until `within` is over.
    pub async fn ask(
        &self,
        group: GroupId,
        request: LeaderRequest,
        within: Duration,
    ) -> Result<LeaderAnswer, Unavailable> {
        // Boxed: every verb of the product stands on this future.
        Box::pin(self.ask_until(group, request, Instant::now() + within)).await
    }

    async fn ask_until(
        &self,
        group: GroupId,
        request: LeaderRequest,
        end: Instant,
    ) -> Result<LeaderAnswer, Unavailable> {
        let may_repeat = request.may_repeat();
        let mut unknown = false;
        let mut candidate = self.first_candidate(group);
        let (mut turn, mut pause, mut leaderless) = (0, PAUSE, PAUSE);
        // While one hands over to the other each names the other: nobody is asked twice without a breath.
        let mut asked_in_one_breath = BTreeSet::new();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(if unknown { Unavailable::Unknown } else { Unavailable::NoLeader });
            }
            asked_in_one_breath.insert(candidate);
            let asked = self.ask_node(candidate, group, request.clone(), left.min(self.attempt)).await;
            let is_unknown = matches!(asked, Ok(Err(LeaderRefusal::Unknown)));
            if is_unknown {
                pause = after_unknown(pause);
            }
            match asked {
                Ok(Ok(answer)) => {
                    self.hint(group, candidate);
                    return Ok(answer);
                }
                Ok(Err(LeaderRefusal::NotLeader { leader: Some(leader) }))
                    if !asked_in_one_breath.contains(&leader) =>
                {
                    candidate = leader;
                    continue;
                }
                Ok(Err(LeaderRefusal::NotLeader { .. } | LeaderRefusal::Stopped(_)))
                | Err(PeerFault::Unreachable(_)) => {}
                Ok(Err(LeaderRefusal::Unknown)) | Err(PeerFault::Unknown(_)) if may_repeat => unknown = true,
                Ok(Err(LeaderRefusal::Unknown)) | Err(PeerFault::Unknown(_)) => {
                    return Err(Unavailable::Unknown);
                }
                Ok(Err(refusal @ (LeaderRefusal::Overloaded | LeaderRefusal::Rejected(_)))) => {
                    return Err(Unavailable::Refused(refusal));
                }
            }
            // Nobody led there: the next replica, after a breath.
            let replicas = self.replicas(group);
            candidate = replicas.get(turn % replicas.len().max(1)).copied().unwrap_or(self.me);
            turn += 1;
            asked_in_one_breath.clear();
            let breath = if is_unknown { pause } else { leaderless };
            if turn.is_multiple_of(replicas.len().max(1)) {
                leaderless = (leaderless * 2).min(LEADERLESS_PAUSE_MAX);
            }
            tokio::time::sleep(breath.min(left)).await;
        }
    }

    fn first_candidate(&self, group: GroupId) -> NodeId {
        let here = self.replica.group(group).and_then(|group| group.leader());
        let hint = || self.hints.lock().expect("nobody panics holding it").get(&group).copied();
        here.or_else(hint).or_else(|| self.replicas(group).first().copied()).unwrap_or(self.me)
    }

    fn hint(&self, group: GroupId, leader: NodeId) {
        self.hints.lock().expect("nobody panics holding it").insert(group, leader);
    }

    async fn ask_node(
        &self,
        node: NodeId,
        group: GroupId,
        request: LeaderRequest,
        deadline: Duration,
    ) -> Result<Result<LeaderAnswer, LeaderRefusal>, PeerFault> {
        if node == self.me {
            Ok(self.lead(group, request, deadline).await)
        } else {
            self.peers.ask_leader(node, group, request, deadline).await
        }
    }

    /// Does it as the group's leader, or says that this node is not.
    pub async fn lead(
        &self,
        group: GroupId,
        request: LeaderRequest,
        deadline: Duration,
    ) -> Result<LeaderAnswer, LeaderRefusal> {
        let Some(hosted) = self.replica.group(group) else {
            return Err(LeaderRefusal::NotLeader { leader: None });
        };
        self.desk.answer(hosted, self, request, deadline).await
    }

    /// Asks a holder for credits back.
    pub(crate) async fn recall(
        &self,
        node: NodeId,
        recall: Recall,
        deadline: Duration,
    ) -> Option<RecallAnswer> {
        if node == self.me {
            return tokio::time::timeout(deadline, self.desk.recall_here(recall)).await.ok().flatten();
        }
        match self.peers.recall(node, recall, deadline).await {
            Ok(answer) => Some(answer),
            Err(why) => {
                tracing::debug!(%why, "a holder did not answer a recall");
                None
            }
        }
    }
}

fn after_unknown(pause: Duration) -> Duration {
    (pause * 2).min(PAUSE_MAX)
}

impl LeaderRequest {
    /// Whether doing it twice is doing it once.
    fn may_repeat(&self) -> bool {
        match self {
            Self::Batch(_) | Self::Renew { .. } | Self::Read { .. } => true,
            Self::Command(command) => match command.as_ref() {
                ledger::Command::Admin(admin) => admin.keyed.is_some(),
                ledger::Command::Holder(_)
                | ledger::Command::Register { .. }
                | ledger::Command::Forget { .. }
                | ledger::Command::Tick { .. }
                | ledger::Command::SetCycleEnds { .. }
                | ledger::Command::SetClock { .. } => true,
                ledger::Command::Prices(prices) => prices.keyed.is_some(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BoxFuture;
    use crate::one_node::{Alone, actor_options, replication_options};
    use placement::{Membership, MembershipEpoch, Shape};
    use platform::{Clock, CoarseClock, Disk, MemDisk, SeededEntropy, SystemClock};
    use replication::GroupSpec;
    use std::path::Path;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn who_is_told_that_nothing_is_known_asks_a_few_times_and_not_each_moment() {
        let (mut pause, mut asked, mut waited) = (PAUSE, 0, Duration::ZERO);
        while waited < Duration::from_secs(4) {
            pause = after_unknown(pause);
            (asked, waited) = (asked + 1, waited + pause);
        }
        assert_eq!(asked, 11);
    }

    const ME: NodeId = NodeId(1);
    const ASKED_FOR: Duration = Duration::from_millis(400);

    /// The lead is being handed over: the old leader names the new one, who does not lead yet and names the old one.
    #[derive(Debug, Default)]
    struct NameEachOther(AtomicU64);

    impl Peers for NameEachOther {
        fn ask_leader(
            &self,
            to: NodeId,
            _: GroupId,
            _: LeaderRequest,
            _: Duration,
        ) -> BoxFuture<'_, Result<Result<LeaderAnswer, LeaderRefusal>, PeerFault>> {
            let leader = Some(if to == NodeId(2) { NodeId(3) } else { NodeId(2) });
            let asked = self.0.fetch_add(1, Ordering::Relaxed);
            assert!(asked < 1_000, "they are asked without a breath");
            Box::pin(async move { Ok(Err(LeaderRefusal::NotLeader { leader })) })
        }

        fn recall(
            &self,
            to: NodeId,
            _: Recall,
            _: Duration,
        ) -> BoxFuture<'_, Result<RecallAnswer, PeerFault>> {
            Box::pin(async move { Err(PeerFault::Unreachable(to)) })
        }
    }

    #[tokio::test]
    async fn two_who_name_each_other_are_asked_once_in_a_breath() {
        let alone = GroupSpec { id: GroupId::Meta, voters: vec![ME], learners: Vec::new() };
        let directory = MemDisk::new().directory(Path::new("raft")).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let (options, entropy) = (replication_options(ME, vec![alone]), SeededEntropy::new(1));
        let replica = Replica::open(options, directory, Arc::new(Alone), clock.clone(), &entropy);
        let named = |id| placement::Node { id: NodeId(id), zone: String::new(), weight: 1 };
        let membership = Membership::new(MembershipEpoch(1), (1..=3).map(named).collect()).unwrap();
        let map = placement::propose(&membership, Shape { shards: 1, replicas: 3 }).unwrap();
        let options = actor_options();
        let desk = Arc::new(Desk::new(&options, Arc::new(CoarseClock::new(clock))));
        let (replica, peers) = (Arc::new(replica.await.unwrap()), Arc::new(NameEachOther::default()));
        let shards = Shards::new(ME, map, vec![ME], replica, desk, peers.clone(), options.attempt_ms);
        let renew = LeaderRequest::Renew { holder: HolderId { node: ME, disk: types::DiskId(1) } };
        let answer = shards.ask(GroupId::Shard(types::ShardId(0)), renew, ASKED_FOR).await;
        assert!(matches!(answer, Err(Unavailable::NoLeader)), "{answer:?}");
        let breaths = u64::try_from(ASKED_FOR.as_millis() / PAUSE.as_millis()).unwrap() + 1;
        assert!(peers.0.load(Ordering::Relaxed) <= 2 * breaths);
    }
}
