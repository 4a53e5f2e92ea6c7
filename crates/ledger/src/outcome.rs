//! What the ledger answers: outcomes, rejections that say whether a retry can end differently, and events.

use crate::import::ImportAnswer;
use crate::meta::{PriceAnswer, PriceRejection};
use crate::overage::OverageAnswer;
use crate::plan::{Due, Next, Plan};
use crate::pooling::PoolingAnswer;
use crate::refund::RefundAnswer;
use crate::service::ServiceRejection;
use crate::team::{TeamRejection, TeamView};
use crate::view::{MemberView, WorkspaceView};
use crate::window::{LimitHit, LimitsAnswer};
use crate::{Grant, Overflow};
use types::{
    Backing, Credits, CycleNumber, CycleRule, DiskId, HolderId, LineId, LineNumber, Money, NodeId, PlanId,
    ReallocationId, Revision, Timestamp, UserId, WouldRefuse,
};

/// The answer to a command that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Workspace(Box<WorkspaceView>),
    Grant(Box<GrantAnswer>),
    Member(Box<MemberView>),
    Allocation(AllocationAnswer),
    Reallocation(ReallocationAnswer),
    Limits(Box<LimitsAnswer>),
    Lines(Vec<LineAnswer>),
    Registered,
    Forgotten {
        lines: u64,
        written_off: Credits,
        exposure: Credits,
    },
    Prices(PriceAnswer),
    Ticked,
    Plan(Box<PlanAnswer>),
    Pooling(Box<PoolingAnswer>),
    Overage(Box<OverageAnswer>),
    Team(Box<TeamView>),
    Refund(Box<RefundAnswer>),
    /// In the order of the items.
    Imported(Vec<ImportAnswer>),
}

/// What a workspace has subscribed to, and what came of it in this cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanAnswer {
    pub plan: Option<Plan>,
    pub next: Option<Next>,
    /// When what is next begins; `None`: that is not known.
    pub cycle_ends_at: Option<Timestamp>,
    /// Members with AI access.
    pub seats: u64,
    /// The most of them that there were in this cycle: so many are paid for.
    pub seats_paid: u64,
    pub allowance: Due,
    pub for_seats: Due,
    /// What this cycle costs in money.
    pub cost: Option<Money>,
    /// How many cycles of its term come after this one; `None`: it has no term.
    pub term: Option<u32>,
    /// By which those cycles end.
    pub cycle_rule: Option<CycleRule>,
    pub revision: Revision,
    pub at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantAnswer {
    pub grant: Grant,
    /// Of a voided grant: what is still out and will be voided as it comes back.
    pub pending: Vec<Pending>,
    pub at: Timestamp,
}

/// Credits that a change could not move yet, because they are out on a holder's lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    pub node: NodeId,
    pub amount: Credits,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllocationAnswer {
    pub user: UserId,
    /// The amount of this cycle once what is pending has moved; `None`: the user has no allocation.
    pub amount: Option<Credits>,
    /// The amount of every next cycle.
    pub standing: Credits,
    pub overflow: Overflow,
    /// It is what is left of a seat's share.
    pub of_seat: bool,
    pub used: Credits,
    /// Missing from it, because the pool had too little.
    pub short: Credits,
    pub pending: Vec<Pending>,
    pub revision: Revision,
    pub at: Timestamp,
}

/// `asked = moved + pending + lapsed`, at every moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReallocationAnswer {
    pub id: ReallocationId,
    pub from: UserId,
    pub to: UserId,
    pub asked: Credits,
    pub moved: Credits,
    pub lapsed: Credits,
    pub pending: Vec<Pending>,
    pub at: Timestamp,
}

/// The ledger's answer to one line message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineAnswer {
    pub number: LineNumber,
    pub result: LineResult,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineResult {
    /// The line as the ledger has it now. Every answer carries D.
    Line {
        drawn: Vec<(Backing, Credits)>,
        frozen: bool,
        denied: Option<Denial>,
    },
    /// The line was folded and is forgotten.
    Closed,
    Rejected(LineRejection),
}

/// Why a draw got less than its floor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    pub reason: DenialReason,
    /// What this user could still draw here and now, less than he asked for.
    pub available: Credits,
    /// What is out on other lines that could serve this user if it came back.
    pub elsewhere: Credits,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DenialReason {
    /// The pool has too little that this user may draw.
    Exhausted,
    /// His allocation has too little, and so have the reserves he may draw on: it does not overflow into what is shared, or
    /// nothing is.
    AllocationExhausted,
    /// One of his limits would be passed, or of one of his teams, or of the feature or model that the line is for.
    LimitReached(LimitHit),
    /// His AI access is off.
    AccessDisabled,
    /// This plan does not have the feature that the line is for.
    FeatureNotInPlan(PlanId),
    /// He is no member, and membership is listed; or the workspace knows as many users as it may.
    UnknownUser,
    /// The line is frozen: close it and open another.
    Frozen,
    /// Other features or models have limits now than the holder knew: what is spent on which line is to be decided anew.
    ScopesChanged,
    /// What is included is used, and so is the overage he or his workspace may have in this cycle.
    OverageCapReached,
}

impl DenialReason {
    /// What it refuses where enforcement is on; `None`: it says nothing of credits or of who may spend, and may pass.
    pub const fn would_refuse(&self) -> Option<WouldRefuse> {
        Some(match self {
            Self::Exhausted => WouldRefuse::Exhausted,
            Self::AllocationExhausted => WouldRefuse::AllocationExhausted,
            Self::LimitReached(_) => WouldRefuse::LimitReached,
            Self::OverageCapReached => WouldRefuse::OverageCapReached,
            Self::AccessDisabled => WouldRefuse::AccessDisabled,
            Self::FeatureNotInPlan(_) => WouldRefuse::FeatureNotInPlan,
            Self::UnknownUser => WouldRefuse::UnknownUser,
            Self::Frozen | Self::ScopesChanged => return None,
        })
    }

    /// Whether the line that asked draws no more at all.
    pub const fn ends_the_line(&self) -> bool {
        matches!(self, Self::Frozen | Self::ScopesChanged)
    }
}

/// Why a line message has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineRejection {
    #[error("this line number was passed over by a closed one; take one above {highest:?}")]
    StaleLine { highest: LineNumber },
    #[error("the line belongs to another user or cycle than the message says")]
    OtherLine,
    #[error("the numbers are beyond what was drawn on this line")]
    BeyondDrawn,
    #[error("usage by meter does not sum to usage by backing")]
    MetersDisagree,
    #[error("the cycle is {} now; lines of other cycles draw no more", now.0)]
    OtherCycle { now: CycleNumber },
    #[error("this line was written off; only its final close is still taken")]
    WrittenOff,
    #[error("this holder has too many open lines for this user; close one first")]
    TooManyLines,
}

/// Why a command has no effect. The same on every replica.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("there is no such workspace; make it first")]
    UnknownWorkspace,
    #[error("{0} is no member of this workspace, and its membership is listed; add the member first")]
    UnknownUser(UserId),
    #[error("there is no such grant in this workspace")]
    UnknownGrant,
    #[error("this {what} id is taken by another one with other content; ids are permanent")]
    IdConflict { what: &'static str },
    #[error("this idempotency key was used for another command within the last 24 hours")]
    KeyConflict,
    #[error(
        "this workspace has used {max} idempotency keys within 24 hours; try again later or without a key"
    )]
    KeyWindowFull { max: usize },
    #[error("the cycles of the workspace changed meanwhile, or ended; look them up again")]
    CyclesChanged,
    #[error("a rollover keeps 0 to 100 percent, for one cycle or more")]
    BadRollover,
    #[error(
        "ids that begin with `plan:`, `seats:` or `overage:` are those of grants that nobody makes; take another one"
    )]
    ReservedId,
    #[error("overage is drawn, not granted, and cannot be voided; lower its cap, or grant a correction")]
    OverageIsNoGrant,
    #[error(
        "the prices of a plan are in one currency, and so is a cycle; a plan in another currency comes with the next cycle"
    )]
    OtherCurrency,
    #[error("the workspace has no plan")]
    NoPlan,
    #[error("only {left} credits of this charge can still be refunded")]
    BeyondCharge { left: Credits },
    #[error("charges can be refunded to the end of the cycle after theirs, and that is over")]
    ChargeTooOld,
    #[error("the books have no such charge: it was not reported, or its line was written off")]
    NotCharged,
    #[error(transparent)]
    Prices(PriceRejection),
    #[error(transparent)]
    Team(TeamRejection),
    #[error(transparent)]
    Service(ServiceRejection),
    #[error("the resource changed meanwhile; read it again and repeat the change")]
    Stale { now: Revision },
    #[error("only {available} credits of what is shared can back this to the end of the cycle")]
    InsufficientShared {
        available: Credits,
        /// Shared credits out on leases, which a recall could bring back.
        elsewhere: Credits,
    },
    #[error("{user}'s allocation has only {available} unused credits")]
    InsufficientAllocation { user: UserId, available: Credits },
    #[error("{0} has no allocation")]
    NoAllocation(UserId),
    #[error(
        "the grant backs allocations of {earmarked} credits, of which {missing} have nothing else to stand on; lower them first"
    )]
    GrantBacksAllocations { earmarked: Credits, missing: Credits },
    #[error("the grants of one workspace may not pass 999999999999.999999 credits in sum")]
    TooMuch,
    #[error("a workspace has at most {max} {what}")]
    TooMany { what: &'static str, max: usize },
    #[error("the grant would never be valid: it must expire after it starts, and in the future")]
    NeverValid,
    #[error("from and to are the same user")]
    SameUser,
    #[error("this holder has not registered with this shard")]
    Unregistered,
    #[error(
        "this holder was declared lost and is fenced for ever; its node id does not come back in this version: leave the node stopped"
    )]
    Fenced,
    #[error(
        "the journal of this node is older than what it reported before (sequence {known} known): its disk was rolled back; put the newest data directory back, or, if it is lost, forget the node"
    )]
    RolledBack { known: u64 },
    #[error(
        "node {node} is known with disk {known}: its data directory was replaced; put the old one back, or, if it is lost, forget the node"
    )]
    OtherDisk { node: NodeId, known: DiskId },
}

/// Whether asking again can end differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Never with this command.
    Never,
    /// After somebody changed something: credits, members, the resource.
    AfterChange,
    /// Later by itself.
    Later,
}

impl Rejection {
    pub const fn retry(&self) -> Retry {
        match self {
            Self::IdConflict { .. }
            | Self::KeyConflict
            | Self::NeverValid
            | Self::BadRollover
            | Self::ReservedId
            | Self::OverageIsNoGrant
            | Self::SameUser
            | Self::ChargeTooOld
            | Self::BeyondCharge { .. }
            | Self::Fenced
            | Self::RolledBack { .. } => Retry::Never,
            Self::UnknownWorkspace
            | Self::UnknownUser(_)
            | Self::UnknownGrant
            | Self::Stale { .. }
            | Self::CyclesChanged
            | Self::InsufficientShared { .. }
            | Self::InsufficientAllocation { .. }
            | Self::NoAllocation(_)
            | Self::NoPlan
            | Self::OtherCurrency
            | Self::NotCharged
            | Self::GrantBacksAllocations { .. }
            | Self::TooMuch
            | Self::TooMany { .. }
            | Self::OtherDisk { .. }
            | Self::Unregistered => Retry::AfterChange,
            Self::KeyWindowFull { .. } => Retry::Later,
            Self::Prices(why) => why.retry(),
            Self::Team(why) => why.retry(),
            Self::Service(why) => why.retry(),
        }
    }
}

/// What the leader must see to after a commit. Lost events are found again in the state (frozen lines).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Take this line back whole: its chain changed.
    Recall {
        line: LineId,
        user: UserId,
    },
    HolderFenced {
        holder: HolderId,
    },
}
