//! The port through which this room reaches other nodes; `transport` implements it.

use crate::{
    Charge, ChargeFacts, Consume, FindCharge, HoldAnswer, HoldCommand, HoldOpened, OpenHold, PeerStatus,
    Refusal,
};
pub use actors::{BoxFuture, PeerFault};
use placement::MembershipEpoch;
use std::fmt;
use std::time::Duration;
use types::NodeId;

pub trait Peers: Send + Sync + fmt::Debug {
    /// Has `to` decide a consume. `epoch`: of the membership by which it was chosen.
    fn consume(
        &self,
        to: NodeId,
        epoch: MembershipEpoch,
        consume: Consume,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Result<Charge, Refusal>, PeerFault>>;

    /// Has `to` open a hold. `epoch`: of the membership by which it was chosen.
    fn open_hold(
        &self,
        to: NodeId,
        epoch: MembershipEpoch,
        open: OpenHold,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Result<HoldOpened, Refusal>, PeerFault>>;

    /// Asks `to` of a hold that it has.
    fn hold(
        &self,
        to: NodeId,
        command: HoldCommand,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Result<HoldAnswer, Refusal>, PeerFault>>;

    /// Has `to` look up a charge that it made.
    fn find_charge(
        &self,
        to: NodeId,
        find: FindCharge,
        deadline: Duration,
    ) -> BoxFuture<'_, Result<Result<ChargeFacts, Refusal>, PeerFault>>;

    /// How this node sees another one.
    fn status(&self, node: NodeId) -> PeerStatus;
}
