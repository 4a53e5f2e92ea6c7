//! What this node does for others: each request is read, given to the room it is for, and its answer written. Not here:
//! how requests arrive (`mux`), and the asking side (`link`).
//!
//! A refusal here says *surely not done*: it is given only before a room was asked. From then on there is an answer, or
//! one that nobody can read, and the asking side takes the outcome as unknown.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actors::{Holder, LeaderRefusal, LeaderRequest, Recall, Shards};
use bytes::Bytes;
use futures::future::BoxFuture;
use ledger::Command;
use platform::Clock;
use quota::Quota;
use types::{DiskId, HolderId, NodeId};
use wire::envelope::Frozen;
use wire::rpc::kind;

use crate::travels::{
    Ask, AskTime, Forward, ForwardHold, Forwarded, ForwardedHold, FoundCharge, Heard, HoldAnswered,
    Introduce, Known, Led, Time, Travels, from_bytes, to_bytes,
};
use crate::{Handler, HandlerError, RequestKind};

/// The disk this node knows another one by, or why it cannot say yet.
type KnownDisk = dyn Fn(NodeId) -> Result<Option<DiskId>, String> + Send + Sync;

/// Answers other nodes. The rooms are set as they come to be; what is asked of one that is not there yet is refused.
pub struct Services {
    clock: Arc<dyn Clock>,
    known_disk: Box<KnownDisk>,
    shards: OnceLock<Arc<Shards>>,
    holder: OnceLock<Holder>,
    quota: OnceLock<Quota>,
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { clock: _, known_disk: _, shards, holder, quota } = self;
        f.debug_struct("Services")
            .field("shards", &shards.get().is_some())
            .field("holder", &holder.get().is_some())
            .field("quota", &quota.get().is_some())
            .finish()
    }
}

impl Services {
    /// `clock`: this node's own, uncorrected. `known_disk`: the disk this node knows another one by, or why it cannot say
    /// yet; it must not wait for anything.
    pub fn new(
        clock: Arc<dyn Clock>,
        known_disk: impl Fn(NodeId) -> Result<Option<DiskId>, String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            clock,
            known_disk: Box::new(known_disk),
            shards: OnceLock::new(),
            holder: OnceLock::new(),
            quota: OnceLock::new(),
        }
    }

    /// From now on its replica hears the others, and it answers as a leader. Soon after the replica is opened: until
    /// then its groups are deaf. The first one stays.
    pub fn set_shards(&self, shards: Arc<Shards>) {
        let _first = self.shards.set(shards);
    }

    /// From now on leaders can recall. The first one stays.
    pub fn set_holder(&self, holder: Holder) {
        let _first = self.holder.set(holder);
    }

    /// From now on consumes are decided for others. The first one stays.
    pub fn set_quota(&self, quota: Quota) {
        let _first = self.quota.set(quota);
    }

    async fn replicate(&self, from: NodeId, body: Bytes) -> Result<Bytes, HandlerError> {
        let replica = ready(&self.shards)?.replica();
        replica.handle(from, body).await.map_err(|fault| refused(&fault))
    }

    async fn lead(&self, from: NodeId, body: &[u8], within: Duration) -> Result<Bytes, HandlerError> {
        let shards = ready(&self.shards)?;
        let Ask { group, request } = read(body)?;
        if let Some(holder) = speaks_for(&request).filter(|holder| holder.node != from) {
            return Err(HandlerError { text: format!("{from} speaks for the holder on {}", holder.node) });
        }
        let is_read = matches!(request, LeaderRequest::Read { .. });
        let answer = shards.lead(group, request, before(within)).await;
        Ok(to_bytes(&Led(answer)).unwrap_or_else(|bad| {
            tracing::warn!(%group, %bad, "the answer of a leader cannot travel");
            // What was only read may be refused; asked again it would be as large.
            let refusal = if is_read { LeaderRefusal::Overloaded } else { LeaderRefusal::Unknown };
            written(&Led(Err(refusal)))
        }))
    }

    async fn recall(&self, body: &[u8]) -> Result<Bytes, HandlerError> {
        let holder = ready(&self.holder)?;
        let recall: Recall = read(body)?;
        Ok(written(&holder.recall(recall).await))
    }

    async fn consume(&self, body: &[u8]) -> Result<Bytes, HandlerError> {
        let quota = ready(&self.quota)?;
        let Forward { epoch, consume } = read(body)?;
        Ok(written(&Forwarded(quota.consume_forwarded(epoch, consume).await)))
    }

    async fn open_hold(&self, body: &[u8]) -> Result<Bytes, HandlerError> {
        let quota = ready(&self.quota)?;
        let ForwardHold { epoch, open } = read(body)?;
        Ok(written(&ForwardedHold(quota.open_hold_forwarded(epoch, open).await)))
    }

    async fn hold(&self, body: &[u8]) -> Result<Bytes, HandlerError> {
        let quota = ready(&self.quota)?;
        Ok(written(&HoldAnswered(quota.hold_forwarded(read(body)?).await)))
    }

    async fn find_charge(&self, body: &[u8]) -> Result<Bytes, HandlerError> {
        let quota = ready(&self.quota)?;
        Ok(written(&FoundCharge(quota.find_charge_here(read(body)?).await)))
    }

    fn introduce(&self, from: NodeId, body: &[u8]) -> Result<Bytes, HandlerError> {
        let Introduce { node, disk } = introduced(from, body)?;
        let known = (self.known_disk)(node).map_err(|text| HandlerError { text })?;
        if let Some(known) = known.filter(|known| *known != disk) {
            tracing::warn!(%node, %known, %disk, "a node starts with another disk than it is known with");
        }
        Ok(written(&Known(known)))
    }

    /// What the groups know is said as soon as they are open; that it is all, only by a node that is ready.
    fn heard(&self, from: NodeId, body: &[u8]) -> Result<Bytes, HandlerError> {
        let Introduce { node, disk } = introduced(from, body)?;
        let Some(shards) = self.shards.get() else { return Ok(written(&Heard::Starting)) };
        // First, so that what is learnt in between is not missing from what counts as all.
        let is_current = self.quota.get().is_some_and(|quota| quota.ready().is_ok());
        let sequence = shards.known_sequence(HolderId { node, disk }).unwrap_or(0);
        Ok(written(&Heard::UpTo { sequence, is_current }))
    }
}

impl Handler for Services {
    fn handle(
        &self,
        from: NodeId,
        kind: RequestKind,
        body: Bytes,
        within: Duration,
    ) -> BoxFuture<'_, Result<Bytes, HandlerError>> {
        Box::pin(async move {
            match kind.0 {
                kind::REPLICATE => self.replicate(from, body).await,
                kind::ASK_LEADER => self.lead(from, &body, within).await,
                kind::RECALL => self.recall(&body).await,
                kind::CONSUME => self.consume(&body).await,
                kind::OPEN_HOLD => self.open_hold(&body).await,
                kind::HOLD => self.hold(&body).await,
                kind::FIND_CHARGE => self.find_charge(&body).await,
                kind::INTRODUCE => self.introduce(from, &body),
                kind::ASK_HEARD => self.heard(from, &body),
                kind::ASK_TIME => {
                    let AskTime = read(&body)?;
                    Ok(written(&Time(self.clock.now())))
                }
                other => Err(HandlerError { text: format!("this program knows no request of kind {other}") }),
            }
        })
    }
}

/// Nobody is introduced by another.
fn introduced(from: NodeId, body: &[u8]) -> Result<Introduce, HandlerError> {
    let introduce: Introduce = read(body)?;
    if introduce.node == from {
        return Ok(introduce);
    }
    Err(HandlerError { text: format!("{from} introduces itself as {}", introduce.node) })
}

/// Whose lines or session a request is about; only the holder itself may ask such a thing.
fn speaks_for(request: &LeaderRequest) -> Option<HolderId> {
    match request {
        LeaderRequest::Batch(batch) => Some(batch.holder),
        LeaderRequest::Renew { holder } => Some(*holder),
        LeaderRequest::Command(command) => match command.as_ref() {
            Command::Holder(batch) => Some(batch.holder),
            Command::Register { holder, .. } => Some(*holder),
            Command::Admin(_)
            | Command::Forget { .. }
            | Command::Prices(_)
            | Command::Tick { .. }
            | Command::SetCycleEnds { .. }
            | Command::SetClock { .. } => None,
        },
        LeaderRequest::Read { .. } => None,
    }
}

/// A little before the deadline: an answer at the deadline comes too late.
fn before(deadline: Duration) -> Duration {
    deadline - deadline / 8
}

fn ready<T>(part: &OnceLock<T>) -> Result<&T, HandlerError> {
    part.get().ok_or_else(|| HandlerError { text: "this node is still starting".into() })
}

fn read<T: Travels<Shape: Frozen>>(body: &[u8]) -> Result<T, HandlerError> {
    from_bytes(body).map_err(|bad| refused(&bad))
}

/// The bytes of an answer. One that cannot travel becomes an empty one, which nobody can read: it was done, so it must
/// not look refused.
fn written<T: Travels<Shape: Frozen>>(answer: &T) -> Bytes {
    to_bytes(answer).unwrap_or_else(|bad| {
        tracing::warn!(%bad, "an answer cannot travel");
        Bytes::new()
    })
}

fn refused(why: &impl fmt::Display) -> HandlerError {
    HandlerError { text: why.to_string() }
}
