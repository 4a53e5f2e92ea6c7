//! One Raft group on this node: propose, read, watch. Not here: how entries travel or rest.

use crate::fault::{ProposeError, ReadError};
use crate::gather::Waiting;
use crate::machine::Machine;
use crate::raft::{Raft, Types};
use crate::receive::Receiver;
use crate::snapshot::state_digest;
use crate::{GroupId, codec, shapes};
use ledger::{Applied, Command, State};
use openraft::async_runtime::WatchReceiver;
use openraft::error::{Fatal, LinearizableReadError, RaftError};
use openraft::metrics::WaitError;
use openraft::raft::ReadPolicy;
use openraft::{LinearizerOption, ServerState};
use std::fmt;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use types::{NodeId, Timestamp};

/// A handle on one group of this node. Clones are the same group.
#[derive(Clone)]
pub struct Group {
    pub(crate) id: GroupId,
    pub(crate) node: NodeId,
    pub(crate) raft: Raft,
    pub(crate) machine: Machine,
    pub(crate) proposals: mpsc::Sender<Waiting>,
    pub(crate) leadership: watch::Receiver<Leadership>,
    pub(crate) receiver: std::sync::Arc<Receiver>,
    pub(crate) command_bytes_max: usize,
    pub(crate) waiting_commands_max: usize,
}

/// A command that is in the log for ever, with the ledger's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Of the entry; other commands may have ridden in it.
    pub index: u64,
    /// The ledger's time after it.
    pub at: Timestamp,
    pub applied: Applied,
}

/// What a linearizable read saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading<T> {
    /// All entries up to this one were applied.
    pub index: u64,
    pub value: T,
}

/// Who leads, as far as this node knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leadership {
    pub term: u64,
    pub leader: Option<NodeId>,
    /// Why the group has stopped on this node, if it has.
    pub stopped: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Leader,
    Candidate,
    Follower,
    Learner,
    Stopped,
}

/// Where a group stands, for dashboards and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub role: Role,
    pub term: u64,
    pub leader: Option<NodeId>,
    pub last_log_index: Option<u64>,
    pub applied_index: Option<u64>,
    pub snapshot_index: Option<u64>,
    pub purged_index: Option<u64>,
    /// Every other replica, where this node leads; else empty.
    pub followers: Vec<Follower>,
    pub stopped: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follower {
    pub node: NodeId,
    /// The last entry known to be on its disk.
    pub matched_index: Option<u64>,
    /// Entries it lacks.
    pub lag: u64,
}

/// The digest of the state after an entry: equal on all replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateHash {
    pub index: u64,
    pub digest: [u8; 32],
}

impl Group {
    pub fn id(&self) -> GroupId {
        self.id
    }

    /// Commits a command and answers what the ledger said to it. Only the leader can.
    ///
    /// `deadline` is from now on. [`ProposeError::Unknown`] means that it may be committed, now or later: ask again
    /// unchanged. The other errors say that nothing was and nothing will be.
    pub async fn propose(&self, command: Command, deadline: Duration) -> Result<Committed, ProposeError> {
        let command = codec::encode_command(&command).map_err(|error| match error {
            wire::envelope::BadBytes::TooLarge { bytes, .. } => self.too_large(bytes),
            other => ProposeError::Stopped { why: other.to_string() },
        })?;
        if command.len() > self.command_bytes_max {
            return Err(self.too_large(command.len()));
        }
        {
            let leadership = self.leadership.borrow();
            if let Some(why) = &leadership.stopped {
                return Err(ProposeError::Stopped { why: why.clone() });
            }
            if leadership.leader != Some(self.node) {
                return Err(ProposeError::NotLeader { leader: leadership.leader });
            }
        }
        let (answer, answered) = oneshot::channel();
        match self.proposals.try_send(Waiting { command: command.into(), answer }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                return Err(ProposeError::Overloaded { max: self.waiting_commands_max });
            }
            Err(mpsc::error::TrySendError::Closed(_)) => {
                return Err(ProposeError::Stopped { why: "the node is shutting down".to_owned() });
            }
        }
        match tokio::time::timeout(deadline, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(ProposeError::Unknown),
        }
    }

    fn too_large(&self, bytes: usize) -> ProposeError {
        ProposeError::TooLarge { bytes, max: self.command_bytes_max }
    }

    /// Reads the state as no older than the moment of the call. Only the leader can; it asks a quorum first (no lease,
    /// no clock). Nothing is applied while `see` looks: be quick.
    pub async fn read<T>(
        &self,
        deadline: Duration,
        see: impl FnOnce(&State) -> T,
    ) -> Result<Reading<T>, ReadError> {
        let confirm = async {
            let option = LinearizerOption::from(ReadPolicy::ReadIndex).with_wait_timeout(deadline);
            let linearizer = self.raft.get_read_linearizer(option).await;
            let linearizer = linearizer.map_err(|error| self.read_error(error))?;
            linearizer.await_ready(&self.raft).await.map_err(|error| self.stopped_by(&error))
        };
        tokio::time::timeout(deadline, confirm).await.unwrap_or(Err(ReadError::NoQuorum))?;
        Ok(self.machine.look(|index, state| Reading { index, value: see(state) }))
    }

    /// Reads the state as this node has it, however old that is. Of a group that stopped: as it was then.
    pub fn peek<T>(&self, see: impl FnOnce(&State) -> T) -> T {
        self.machine.look(|_, state| see(state))
    }

    /// The leader this node believes in.
    pub fn leader(&self) -> Option<NodeId> {
        self.leadership.borrow().leader
    }

    /// Whether this node believes that it leads. It may have been replaced; proposals and reads find out.
    pub fn is_leader(&self) -> bool {
        self.leader() == Some(self.node)
    }

    /// The term this node knows of.
    pub fn term(&self) -> u64 {
        self.leadership.borrow().term
    }

    /// Changes of leadership, as they come.
    pub fn watch_leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    /// Returns when a leader is known, or the reason why the group has stopped.
    pub async fn ready(&self) -> Result<NodeId, String> {
        let mut leadership = self.leadership.clone();
        let known = |now: &Leadership| now.leader.is_some() || now.stopped.is_some();
        let now = match leadership.wait_for(known).await {
            Ok(now) => now.clone(),
            Err(_) => return Err("the node is shutting down".to_owned()),
        };
        match now {
            Leadership { stopped: Some(why), .. } => Err(why),
            Leadership { leader: Some(leader), .. } => Ok(leader),
            Leadership { leader: None, stopped: None, .. } => Err("the group has no leader".to_owned()),
        }
    }

    /// Returns once this node has applied the entry at `index`; an error where it has not within `deadline`.
    pub async fn applied(&self, index: u64, deadline: Duration) -> Result<(), ReadError> {
        let wait = self.raft.wait(Some(deadline));
        match wait.applied_index_at_least(Some(index), "an entry somebody waits for").await {
            Ok(_) => Ok(()),
            Err(WaitError::Timeout(..)) => Err(ReadError::NoQuorum),
            Err(WaitError::ShuttingDown) => Err(self.stopped_by(&Fatal::Stopped)),
        }
    }

    /// Asks the leader, which this node must be, to hand over to another voter. Watch the leadership for the outcome.
    pub async fn transfer_leadership(&self, to: NodeId) -> Result<(), ReadError> {
        if !self.is_leader() {
            return Err(ReadError::NotLeader { leader: self.leader() });
        }
        self.raft.trigger().transfer_leader(to.0.into()).await.map_err(|error| self.stopped_by(&error))
    }

    /// Hands the lead to the voter that lacks least, if this node has it; returns once another node leads. Proposals
    /// that come meanwhile are refused as by a node that does not lead. Where the other one cannot take it, as if it died
    /// right then, whoever can be elected leads: bound the wait.
    pub async fn hand_over(&self) {
        let to = self.successor().filter(|_| self.is_leader());
        let Some(to) = to else { return };
        if let Err(why) = self.transfer_leadership(to).await {
            tracing::warn!(group = %self.id, %to, %why, "the lead was not handed over");
            return;
        }
        let mut leadership = self.leadership.clone();
        let is_over =
            |now: &Leadership| now.stopped.is_some() || now.leader.is_some_and(|leader| leader != self.node);
        let _shut_down = leadership.wait_for(is_over).await;
    }

    /// Of the other voters the one that lacks least, of these the one heard of last.
    fn successor(&self) -> Option<NodeId> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let voters = metrics.membership_config.voter_ids().filter(|id| *id != u64::from(self.node.0));
        let matched = |id: &u64| metrics.replication.as_ref().and_then(|all| all.get(id)?.as_ref());
        let heard = |id: &u64| metrics.heartbeat.as_ref().and_then(|all| all.get(id)?.as_deref().copied());
        voters.max_by_key(|id| (matched(id).map(|log| log.index), heard(id))).map(shapes::node)
    }

    /// Makes a snapshot now, in the background.
    pub async fn make_snapshot(&self) -> Result<(), ReadError> {
        self.raft.trigger().snapshot().await.map_err(|error| self.stopped_by(&error))
    }

    /// The digest of the whole state; reads all of it, for tests and audits.
    pub fn state_hash(&self) -> StateHash {
        self.machine.look(|index, state| {
            let digest =
                state_digest(state).expect("a state that was decoded has a size that can be encoded");
            StateHash { index, digest }
        })
    }

    pub fn status(&self) -> Status {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let stopped = metrics.running_state.as_ref().err().map(ToString::to_string);
        let index = |id: &Option<crate::raft::LogId>| id.as_ref().map(|id| id.index);
        let last = metrics.last_log_index;
        let others = metrics.replication.iter().flatten().filter(|(id, _)| **id != u64::from(self.node.0));
        let follower = |(id, matched): (&u64, &Option<crate::raft::LogId>)| Follower {
            node: shapes::node(*id),
            matched_index: index(matched),
            lag: last.map_or(0, |last| last + 1).saturating_sub(index(matched).map_or(0, |m| m + 1)),
        };
        Status {
            role: if stopped.is_some() { Role::Stopped } else { role(metrics.state) },
            term: metrics.current_term,
            leader: metrics.current_leader.map(shapes::node),
            last_log_index: last,
            applied_index: index(&metrics.last_applied),
            snapshot_index: index(&metrics.snapshot),
            purged_index: index(&metrics.purged),
            followers: others.map(follower).collect(),
            stopped,
        }
    }

    fn read_error(&self, error: RaftError<Types, LinearizableReadError<Types>>) -> ReadError {
        match error {
            RaftError::APIError(LinearizableReadError::ForwardToLeader(forward)) => {
                ReadError::NotLeader { leader: forward.leader_id.map(shapes::node) }
            }
            RaftError::APIError(LinearizableReadError::QuorumNotEnough(_)) => ReadError::NoQuorum,
            RaftError::Fatal(fatal) => self.stopped_by(&fatal),
        }
    }

    fn stopped_by(&self, fatal: &Fatal<Types>) -> ReadError {
        let why = self.leadership.borrow().stopped.clone();
        ReadError::Stopped { why: why.unwrap_or_else(|| fatal.to_string()) }
    }
}

fn role(state: ServerState) -> Role {
    match state {
        ServerState::Leader => Role::Leader,
        ServerState::Candidate => Role::Candidate,
        ServerState::Follower => Role::Follower,
        ServerState::Learner => Role::Learner,
        ServerState::Shutdown => Role::Stopped,
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group {} on {}", self.id, self.node)
    }
}
