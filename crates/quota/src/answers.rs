//! What is answered, as plain data.

use ledger::WorkspaceView;
use pricing::PriceList;
use types::{
    ChargeId, Credits, CycleNumber, Durability, HoldId, HolderId, NodeId, PriceVersion, Shadowed, Source,
    Timestamp, Unit,
};

/// The record of a consume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    pub id: ChargeId,
    pub charged: Credits,
    /// Which links of the chain paid, in spending order; empty where the price was 0.
    pub sources: Vec<(Source, Credits)>,
    pub remaining: Remaining,
    pub durability: Durability,
    pub cycle: CycleNumber,
    /// By which prices it was priced. `None`: by none, as its amount was given; or it has a key, under which this is not
    /// kept, and an answer again is the same.
    pub price_version: Option<PriceVersion>,
    /// It would have been refused, was enforcement on: nothing is charged.
    pub shadow: Option<Shadowed>,
}

/// What the user has left over the whole chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// Held by the deciding node.
    pub at_least: Credits,
    /// That and the ledger's last word on what else he could draw.
    pub at_most: Credits,
}

/// The price of an action, without effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    pub charge: Credits,
    /// The minimum charge, where the usage alone would cost less.
    pub minimum: Option<Credits>,
    pub parts: Vec<QuotePart>,
    /// `None`: the amount was given.
    pub price_version: Option<PriceVersion>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotePart {
    pub unit: Unit,
    pub units: u64,
    /// `credits` for every `per` units.
    pub per: u64,
    pub credits: Credits,
}

/// A workspace's summary. `view` is the ledger's; the rest is what the leader knows of holders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    pub view: WorkspaceView,
    /// The part of what is leased that is out on nodes not heard of within a session.
    pub unreachable: Credits,
    /// Log index of the shard at which the ledger was read.
    pub index: u64,
}

/// A rate card, or a workspace's own prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardView {
    pub version: u64,
    /// `None`: nothing was ever put.
    pub effective_at: Option<Timestamp>,
    pub state: CardState,
    pub list: PriceList,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardState {
    Scheduled,
    InForce,
    /// Kept for what was opened under it.
    Replaced,
}

/// The cluster as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterView {
    pub node: NodeId,
    pub now: Timestamp,
    pub nodes: Vec<NodeView>,
    pub groups: Vec<GroupView>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    pub id: NodeId,
    pub api: String,
    pub peer: String,
    pub status: PeerStatus,
    pub holder: Option<HolderView>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerStatus {
    This,
    Connected,
    Down,
    /// It answers, but is not the node it should be.
    Refused(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HolderView {
    pub holder: HolderId,
    /// Lines open and credits out on them, of workspaces in shards this node hosts.
    pub lines: u64,
    pub leased: Credits,
}

/// One Raft group as this node sees it; groups it does not host have no replicas here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupView {
    /// `meta`, `s0`, `s1` …
    pub group: String,
    pub voters: Vec<NodeId>,
    pub leader: Option<NodeId>,
    pub term: u64,
    pub applied: u64,
    pub workspaces: u64,
    /// Known only where this node leads.
    pub replicas: Vec<ReplicaView>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaView {
    pub node: NodeId,
    /// Entries it lacks.
    pub lag: u64,
}

/// A hold that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldOpened {
    pub hold: HoldId,
    pub held: Credits,
    pub expires_at: Timestamp,
    pub cycle: CycleNumber,
    /// It would have been refused: nothing is held.
    pub shadow: Option<Shadowed>,
}

/// A hold that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldState {
    pub hold: HoldId,
    pub held: Credits,
    pub confirmed: Credits,
    pub expires_at: Timestamp,
    /// It would have been refused, then or before: what the hold lacks.
    pub shadow: Option<Shadowed>,
}

/// A hold that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldEnd {
    pub hold: HoldId,
    pub end: EndOfHold,
    pub charged: Credits,
    /// What it did not need.
    pub freed: Credits,
    /// Which links of the chain paid, in spending order.
    pub sources: Vec<(Source, Credits)>,
    pub durability: Durability,
    /// The one it was opened in; `None` where nobody knows it.
    pub cycle: Option<CycleNumber>,
    /// It would have been refused, or a part of it: what the call would have cost beyond what is charged.
    pub shadow: Option<Shadowed>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndOfHold {
    Settled,
    Released,
    Expired,
    /// After it had expired.
    SettledLate,
    /// Whatever it had is free.
    Unknown,
}

/// The answer to a [`crate::HoldCommand`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldAnswer {
    Extended(HoldState),
    Ended(HoldEnd),
}
