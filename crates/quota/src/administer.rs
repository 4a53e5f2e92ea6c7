//! Administrators' writes: to the leader of the workspace's shard, and its answer back.
//!
//! Not here: what a change means (`ledger`), recalls after it (`actors::Desk`).

use crate::{AdminCommand, Change, ForgetMode, Outcome, PeerStatus, Quota, Refusal};
use actors::{LeaderAnswer, LeaderRefusal, LeaderRequest, Unavailable};
use ledger::{Command, HolderStatus, Rejection};
use replication::GroupId;
use std::time::Duration;
use types::{Credits, DiskId, HolderId, NodeId};

impl Quota {
    /// Every administrator's write. `Outcome` is the variant that belongs to the `Change`.
    pub async fn administer(&self, command: AdminCommand) -> Result<Outcome, Refusal> {
        if let Change::PutWorkspace(settings) = &command.change
            && (settings.timezone.is_some() || settings.cycle.is_some())
        {
            return Box::pin(self.administer_cycles(command)).await;
        }
        let group = self.group_of(&command.workspace);
        self.command(group, LeaderRequest::Command(Box::new(Command::Admin(command)))).await
    }

    /// Declares a node's holder lost for good: fenced for ever, what it holds written off. In every shard. `Conflict`
    /// where the node answers: what it holds is not lost.
    pub async fn forget(&self, node: NodeId, mode: ForgetMode) -> Result<Outcome, Refusal> {
        if matches!(self.peers().status(node), PeerStatus::This | PeerStatus::Connected) {
            return Err(Refusal::Conflict(format!(
                "{node} answers, and what it holds is not lost; stop its process first, and forget it only if its disk \
                 does not come back"
            )));
        }
        let holder = self.holder_of(node).ok_or(Refusal::NotFound("holder"))?;
        let (mut all_lines, mut all_off, mut all_exposed) = (0, Credits::ZERO, Credits::ZERO);
        let shards = self.shards().map().shards().map(GroupId::Shard);
        for group in shards.chain([GroupId::Meta]) {
            let command = Box::new(Command::Forget { holder, mode });
            if let Outcome::Forgotten { lines, written_off, exposure } =
                self.command(group, LeaderRequest::Command(command)).await?
            {
                all_lines += lines;
                all_off = all_off.saturating_add(written_off);
                all_exposed = all_exposed.saturating_add(exposure);
            }
        }
        Ok(Outcome::Forgotten { lines: all_lines, written_off: all_off, exposure: all_exposed })
    }

    /// The node's holder that is not fenced, as the meta group knows it.
    pub(crate) fn holder_of(&self, node: NodeId) -> Option<HolderId> {
        let meta = self.shards().replica().group(GroupId::Meta)?;
        meta.peek(|state| {
            let active = state.holders.iter().filter(|(_, record)| record.status == HolderStatus::Active);
            active.map(|(id, _)| *id).find(|id| id.node == node)
        })
    }

    /// It was declared lost, as far as this node's copy of the meta group knows.
    pub(crate) fn is_forgotten(&self, node: NodeId) -> bool {
        let Some(meta) = self.shards().replica().group(GroupId::Meta) else { return false };
        meta.peek(|state| {
            let mut of_node = state.holders.iter().filter(|(id, _)| id.node == node).peekable();
            of_node.peek().is_some() && of_node.all(|(_, record)| record.status == HolderStatus::Fenced)
        })
    }

    /// The disk of the node's holder, fenced or not, as the meta group knows it.
    pub fn known_disk(&self, node: NodeId) -> Option<DiskId> {
        let meta = self.shards().replica().group(GroupId::Meta)?;
        meta.peek(|state| state.holders.keys().find(|id| id.node == node).map(|id| id.disk))
    }

    pub(crate) async fn command(&self, group: GroupId, request: LeaderRequest) -> Result<Outcome, Refusal> {
        match self.ask(group, request).await? {
            LeaderAnswer::Applied { applied, .. } => applied.result.map_err(Refusal::from_rejection),
            LeaderAnswer::Batch(_) | LeaderAnswer::Renewed | LeaderAnswer::Read { .. } => {
                Err(Refusal::OutcomeUnknown)
            }
        }
    }

    pub(crate) async fn ask(&self, group: GroupId, request: LeaderRequest) -> Result<LeaderAnswer, Refusal> {
        let within = Duration::from_millis(self.options().admin_ms);
        self.shards().ask(group, request, within).await.map_err(|why| match why {
            Unavailable::NoLeader => Refusal::NoLeader,
            Unavailable::Unknown => Refusal::OutcomeUnknown,
            Unavailable::Refused(LeaderRefusal::Overloaded) => Refusal::Overloaded,
            Unavailable::Refused(LeaderRefusal::Rejected(rejection)) => Refusal::from_rejection(rejection),
            Unavailable::Refused(LeaderRefusal::Stopped(why)) => Refusal::StorageUnavailable(why),
            Unavailable::Refused(LeaderRefusal::NotLeader { .. } | LeaderRefusal::Unknown) => {
                Refusal::OutcomeUnknown
            }
        })
    }

    /// Registers this node's holder with the whole cluster, before it serves: first with what this start found, so that a
    /// data directory that was replaced or rolled back is refused, then with what it has written since, so that a copy
    /// from before this start is refused at the next one, whatever this one does.
    pub async fn register(&self) -> Result<(), RegisterFault> {
        let (journal, meta) = (self.holder().journal(), GroupId::Meta.to_string());
        self.register_with(journal.registration(&meta)).await?;
        if let Err(error) = journal.registered(&meta).await {
            tracing::warn!(%error, "the disk did not take that this journal is registered");
            return Err(RegisterFault::NotYet);
        }
        let now = journal.sequence();
        self.holder().tells_meta(now);
        self.register_with(now).await
    }

    async fn register_with(&self, journal_sequence: u64) -> Result<(), RegisterFault> {
        let holder = self.holder().id();
        let command = Box::new(Command::Register { holder, journal_sequence });
        match self.ask(GroupId::Meta, LeaderRequest::Command(command)).await {
            Ok(LeaderAnswer::Applied { applied, .. }) => match applied.result {
                Ok(_) => Ok(()),
                // Asked again by this very process, which has said more since.
                Err(Rejection::RolledBack { known }) if self.holder().has_told_meta(known) => Ok(()),
                Err(rejection) => Err(RegisterFault::Refused(rejection)),
            },
            Ok(_) | Err(_) => Err(RegisterFault::NotYet),
        }
    }
}

/// Why this node may not serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterFault {
    #[error("the meta group has no leader yet")]
    NotYet,
    #[error("{0}")]
    Refused(Rejection),
}
