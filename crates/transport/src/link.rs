//! The ports of the rooms below, over one [`Mux`]: how replicas, actors and the product's verbs reach other nodes. Not
//! here: what is done over there (`services`).
//!
//! What an error says must be exact: *surely not done* only where the request was not sent, or the peer did not begin.
//! Whoever is told so may do it elsewhere; told wrongly, he would charge twice.

use std::sync::{Arc, Weak};
use std::time::Duration;

use actors::{LeaderAnswer, LeaderRefusal, LeaderRequest, Recall, RecallAnswer};
use bytes::Bytes;
use placement::MembershipEpoch;
use platform::BoxFuture;
use quota::{
    Charge, ChargeFacts, Consume, FindCharge, HoldAnswer, HoldCommand, HoldOpened, OpenHold, PeerFault,
    PeerStatus, Refusal,
};
use replication::GroupId;
use types::{DiskId, NodeId, Timestamp};
use wire::envelope::Frozen;
use wire::rpc::kind;

use crate::travels::{
    Ask, AskTime, Forward, ForwardHold, Forwarded, ForwardedHold, FoundCharge, Heard, HoldAnswered,
    Introduce, Known, Led, Time, Travels, from_bytes, to_bytes,
};
use crate::{CallError, Mux, PeerState, RequestKind};

/// A node's way to the others. It does not keep the mux alive: once that is dropped or shut down, nobody is reachable.
/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Link {
    me: NodeId,
    mux: Weak<Mux>,
}

impl Link {
    pub fn new(mux: &Arc<Mux>) -> Self {
        Self { me: mux.node(), mux: Arc::downgrade(mux) }
    }

    /// Tells `to` that this node starts with this disk, and answers which disk `to` knows this node by. `None`: it does
    /// not know it. Ask before anything is opened: a node that is known with another disk must not start.
    pub async fn introduce(
        &self,
        to: NodeId,
        disk: DiskId,
        deadline: Duration,
    ) -> Result<Option<DiskId>, PeerFault> {
        let introduce = Introduce { node: self.me, disk };
        let Known(known) = self.ask(to, kind::INTRODUCE, &introduce, deadline).await?;
        Ok(known)
    }

    /// How far `to` has seen the journal on this node's disk get. Ask before anything is opened: a disk that is older than
    /// that must not take part. A program that does not know the question refuses it.
    pub async fn heard(&self, to: NodeId, disk: DiskId, deadline: Duration) -> Result<Heard, PeerFault> {
        self.ask(to, kind::ASK_HEARD, &Introduce { node: self.me, disk }, deadline).await
    }

    /// What the clock of `of` says.
    pub async fn time(&self, of: NodeId, deadline: Duration) -> Result<Timestamp, PeerFault> {
        let Time(time) = self.ask(of, kind::ASK_TIME, &AskTime, deadline).await?;
        Ok(time)
    }

    async fn call(&self, to: NodeId, kind: u8, body: Bytes, deadline: Duration) -> Result<Bytes, CallError> {
        let Some(mux) = self.mux.upgrade() else {
            return Err(CallError::Unreachable { peer: to, why: "this node has ended".into() });
        };
        mux.call(to, RequestKind(kind), body, deadline).await
    }

    async fn ask<Q, A>(&self, to: NodeId, kind: u8, question: &Q, deadline: Duration) -> Result<A, PeerFault>
    where
        Q: Travels<Shape: Frozen>,
        A: Travels<Shape: Frozen>,
    {
        let body = to_bytes(question).map_err(|bad| {
            tracing::warn!(%to, kind, %bad, "a request was not sent");
            PeerFault::Unreachable(to)
        })?;
        let answer = self.call(to, kind, body, deadline).await.map_err(|error| {
            tracing::debug!(%to, kind, %error, "a request has no answer");
            if error.is_unknown_outcome() { PeerFault::Unknown(to) } else { PeerFault::Unreachable(to) }
        })?;
        from_bytes(&answer).map_err(|bad| {
            // It answered, so it has acted.
            tracing::warn!(%to, kind, %bad, "an answer is not readable");
            PeerFault::Unknown(to)
        })
    }
}

impl replication::Peers for Link {
    fn call(
        &self,
        to: NodeId,
        body: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Bytes, replication::PeerFault>> {
        Box::pin(async move {
            let answered = self.call(to, kind::REPLICATE, body, deadline).await;
            answered.map_err(|error| replica_fault(to, error))
        })
    }
}

impl actors::Peers for Link {
    fn ask_leader(
        &self,
        to: NodeId,
        group: GroupId,
        request: LeaderRequest,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Result<LeaderAnswer, LeaderRefusal>, PeerFault>> {
        Box::pin(async move {
            let Led(answer) = self.ask(to, kind::ASK_LEADER, &Ask { group, request }, deadline).await?;
            Ok(answer)
        })
    }

    fn recall(
        &self,
        to: NodeId,
        recall: Recall,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<RecallAnswer, PeerFault>> {
        Box::pin(async move { self.ask(to, kind::RECALL, &recall, deadline).await })
    }
}

impl quota::Peers for Link {
    fn consume(
        &self,
        to: NodeId,
        epoch: MembershipEpoch,
        consume: Consume,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Result<Charge, Refusal>, PeerFault>> {
        Box::pin(async move {
            let Forwarded(answer) =
                self.ask(to, kind::CONSUME, &Forward { epoch, consume }, deadline).await?;
            Ok(answer)
        })
    }

    fn open_hold(
        &self,
        to: NodeId,
        epoch: MembershipEpoch,
        open: OpenHold,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Result<HoldOpened, Refusal>, PeerFault>> {
        Box::pin(async move {
            let ForwardedHold(answer) =
                self.ask(to, kind::OPEN_HOLD, &ForwardHold { epoch, open }, deadline).await?;
            Ok(answer)
        })
    }

    fn hold(
        &self,
        to: NodeId,
        command: HoldCommand,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Result<HoldAnswer, Refusal>, PeerFault>> {
        Box::pin(async move {
            let HoldAnswered(answer) = self.ask(to, kind::HOLD, &command, deadline).await?;
            Ok(answer)
        })
    }

    fn find_charge(
        &self,
        to: NodeId,
        find: FindCharge,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Result<ChargeFacts, Refusal>, PeerFault>> {
        Box::pin(async move {
            let FoundCharge(answer) = self.ask(to, kind::FIND_CHARGE, &find, deadline).await?;
            Ok(answer)
        })
    }

    fn status(&self, node: NodeId) -> PeerStatus {
        if node == self.me {
            return PeerStatus::This;
        }
        match self.mux.upgrade().and_then(|mux| mux.peer(node)).map(|peer| peer.state) {
            Some(PeerState::Connected { .. }) => PeerStatus::Connected,
            Some(PeerState::Refused { why, .. }) => PeerStatus::Refused(why.to_string()),
            Some(PeerState::Down { .. }) | None => PeerStatus::Down,
        }
    }
}

/// A replica asks again in any case; the difference is for how long it leaves the other one alone.
fn replica_fault(node: NodeId, error: CallError) -> replication::PeerFault {
    match error {
        CallError::Deadline => replication::PeerFault::Timeout { node },
        CallError::Refused { text } => replication::PeerFault::Refused { node, why: text },
        CallError::Unreachable { why, .. } => replication::PeerFault::Unreachable { node, why },
        other @ (CallError::Overloaded(_)
        | CallError::TooLarge { .. }
        | CallError::AnswerTooLarge { .. }
        | CallError::Closed { .. }) => replication::PeerFault::Unreachable { node, why: other.to_string() },
    }
}

#[cfg(test)]
mod tests;
