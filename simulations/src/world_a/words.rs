//! What nodes and clients say to each other, as plain data. The leader's words are those of the product's actors.
//! Not here: carrying them (`network`).

use super::shard::RaftMessage;
use leasing::RecallLine;
use ledger::{Applied, ChargePart, Command, DenialReason, HolderBatch, LineAnswer, LineMessage, Rejection};
use testkit::holds::HoldName;
use types::{
    ChargeId, Credits, Durability, HolderId, IdempotencyKey, LineNumber, NodeId, Timestamp, UserId,
    WorkspaceId,
};

/// A node by its place, from 0; its id is one more.
pub type Index = usize;

pub fn id_of(node: Index) -> NodeId {
    NodeId(u16::try_from(node + 1).expect("a few nodes"))
}

pub fn index_of(node: NodeId) -> Index {
    usize::from(node.0) - 1
}

#[derive(Clone, Debug)]
pub enum Message {
    Raft(RaftMessage),
    Ask { id: u64, request: Request },
    Answer { id: u64, answer: Answer },
}

impl Message {
    /// What a holder says of its lines: the ledger counts on it.
    pub fn is_counted_on(&self) -> bool {
        matches!(
            self,
            Self::Ask { request: Request::Leader { request: LeaderRequest::Batch(_), .. }, .. }
                | Self::Answer { answer: Answer::Recall(_), .. }
        )
    }

    /// A draw of a line that was spent from: it says what is used without a sync before.
    pub fn draws_on_what_is_used(&self) -> bool {
        let Self::Ask { request: Request::Leader { request: LeaderRequest::Batch(batch), .. }, .. } = self
        else {
            return false;
        };
        let is_draw = |line: &ledger::LineMessage| matches!(line.wish, ledger::Wish::Draw { .. });
        batch.lines.iter().any(|line| is_draw(line) && !line.used.by_meter.is_empty())
    }
}

#[derive(Clone, Debug)]
pub enum Request {
    Leader { request: LeaderRequest, within_ms: u64 },
    Recall(Recall),
    Consume(Consume),
    OpenHold(OpenHold),
    Hold(HoldAsked),
    FindCharge(FindCharge),
    Clock,
}

#[derive(Clone, Debug)]
pub enum Answer {
    Leader(Result<LeaderAnswer, LeaderRefusal>),
    Recall(RecallAnswer),
    Consume(Result<Charge, Refusal>),
    OpenHold(Result<HoldName, Refusal>),
    Hold(Result<HoldSays, Refusal>),
    FoundCharge(Result<Found, Refusal>),
    Clock(Timestamp),
}

#[derive(Clone, Debug)]
pub enum LeaderRequest {
    Batch(HolderBatch),
    Command(Box<Command>),
    Renew { holder: HolderId },
    Read { workspace: WorkspaceId },
}

#[derive(Clone, Debug)]
pub enum LeaderAnswer {
    Batch(BatchAnswer),
    Applied { index: u64, applied: Applied },
    Renewed,
    Read { index: u64, used: Credits },
}

#[derive(Clone, Debug)]
pub struct BatchAnswer {
    pub lines: Vec<LineAnswer>,
    pub elsewhere: Vec<Credits>,
    pub durability: Durability,
    pub cut_off: bool,
    pub limited: Option<types::Limited>,
}

#[derive(Clone, Debug)]
pub enum LeaderRefusal {
    NotLeader { leader: Option<Index> },
    Unknown,
    Rejected(Rejection),
}

#[derive(Clone, Debug)]
pub struct Recall {
    pub workspace: WorkspaceId,
    pub lines: Vec<RecallLine>,
}

#[derive(Clone, Debug)]
pub struct RecallAnswer {
    pub holder: HolderId,
    pub journal_sequence: u64,
    pub lines: Vec<LineMessage>,
}

/// Why another node gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerFault {
    /// Surely not done.
    Unreachable,
    /// Done or not.
    Unknown,
}

#[derive(Clone, Debug)]
pub struct Consume {
    pub workspace: WorkspaceId,
    pub user: UserId,
    pub price: Credits,
    pub feature: u8,
    pub key: Option<IdempotencyKey>,
    pub durability: Option<Durability>,
}

/// A hold for what the consume would cost at most.
#[derive(Clone, Debug)]
pub struct OpenHold {
    pub consume: Consume,
    pub ttl_ms: u32,
}

/// What is asked of a hold, by its name.
#[derive(Clone, Debug)]
pub struct HoldAsked {
    pub workspace: WorkspaceId,
    pub hold: HoldName,
    pub what: HoldWish,
}

#[derive(Clone, Copy, Debug)]
pub enum HoldWish {
    Extend { to: Credits, confirmed: Credits },
    Settle { amount: Credits, cap: bool },
    Release,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldSays {
    Held { held: Credits, confirmed: Credits },
    Over { charged: Credits },
}

/// Looks a charge up at its node.
#[derive(Clone, Debug)]
pub struct FindCharge {
    pub workspace: WorkspaceId,
    pub charge: ChargeId,
}

/// A charge as its node has it.
#[derive(Clone, Debug)]
pub struct Found {
    pub holder: HolderId,
    pub user: UserId,
    /// In the order in which they burned.
    pub parts: Vec<ChargePart>,
}

/// What a client is told of a consume that was charged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    pub holder: HolderId,
    pub line: LineNumber,
    pub sequence: u64,
    pub amount: Credits,
    pub durability: Durability,
    /// Nobody else was asked for it.
    pub local: bool,
    /// It is the answer to an earlier one under the same key.
    pub replayed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    Denied(DenialReason),
    CreditsUnreachable,
    UnknownWorkspace,
    KeyConflict,
    KeyInFlight,
    KeyWindowFull,
    Overloaded,
    HomeUnreachable,
    OutcomeUnknown,
    StorageUnavailable,
    HolderUnreachable,
    NoCharge,
    NoHold,
    HoldOver,
    HoldEnding,
    HoldExceeded,
}

impl Refusal {
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Denied(DenialReason::Exhausted) => "exhausted",
            Self::Denied(DenialReason::AllocationExhausted) => "allocation-exhausted",
            Self::Denied(DenialReason::LimitReached(_)) => "limit-reached",
            Self::Denied(DenialReason::OverageCapReached) => "overage-cap-reached",
            Self::Denied(DenialReason::AccessDisabled) => "access-disabled",
            Self::Denied(DenialReason::FeatureNotInPlan(_)) => "feature-not-in-plan",
            Self::Denied(DenialReason::UnknownUser) => "unknown-user",
            Self::Denied(DenialReason::Frozen) => "frozen",
            Self::Denied(DenialReason::ScopesChanged) => "scopes-changed",
            Self::CreditsUnreachable => "credits-unreachable",
            Self::UnknownWorkspace => "unknown-workspace",
            Self::KeyConflict => "key-conflict",
            Self::KeyInFlight => "key-in-flight",
            Self::KeyWindowFull => "key-window-full",
            Self::Overloaded => "overloaded",
            Self::HomeUnreachable => "home-unreachable",
            Self::OutcomeUnknown => "outcome-unknown",
            Self::StorageUnavailable => "storage-unavailable",
            Self::HolderUnreachable => "holder-unreachable",
            Self::NoCharge => "no-charge",
            Self::NoHold => "no-hold",
            Self::HoldOver => "hold-over",
            Self::HoldEnding => "hold-ending",
            Self::HoldExceeded => "hold-exceeded",
        }
    }

    /// Whether the same key may be tried again at once and may fare better.
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::CreditsUnreachable
            | Self::KeyInFlight
            | Self::Overloaded
            | Self::HomeUnreachable
            | Self::OutcomeUnknown
            | Self::HolderUnreachable
            | Self::StorageUnavailable => true,
            Self::Denied(_)
            | Self::UnknownWorkspace
            | Self::KeyConflict
            | Self::KeyWindowFull
            | Self::NoCharge
            | Self::NoHold
            | Self::HoldOver
            | Self::HoldEnding
            | Self::HoldExceeded => false,
        }
    }
}
