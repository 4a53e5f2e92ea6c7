//! The product's Rust API as plain data, one file per verb. Knows no HTTP.
//!
//! A *refusal* is what the client gets; it says why, and what would help. A ledger's rejection and a holder's trouble
//! both become one here, and nowhere else.

mod administer;
mod answers;
mod consume;
mod counts;
mod cycles;
mod hold;
mod import;
mod inspect;
mod ports;
mod prices;
mod refund;
mod refusal;
mod requests;
mod route;
mod service;
mod shadow;

pub use administer::RegisterFault;
pub use answers::{
    CardState, CardView, Charge, ClusterView, EndOfHold, GroupView, HoldAnswer, HoldEnd, HoldOpened,
    HoldState, HolderView, NodeView, PeerStatus, Quote, QuotePart, Remaining, ReplicaView, Summary,
};
pub use consume::CHARGE_MICROS_MAX;
pub use counts::Counts;
pub use hold::{HOLD_TTL_MS_MAX, HOLD_TTL_MS_MIN};
pub use import::ImportItem;
pub use ports::{BoxFuture, PeerFault, Peers};
pub use refund::{ChargeFacts, ChargeView, FindCharge};
pub use refusal::Refusal;
pub use requests::{Consume, ExtendHold, HoldCommand, OpenHold, PriceBy, SettleHold, Shortfall, UsedBy};
pub use service::{ListedNode, Options, Quota};

pub use cycles::term_ends_at;
pub use ledger::{
    AdminCommand, AllocationAnswer, Change, ChargeBooks, ChargePart, Conservation, CycleOverage, Due,
    ForgetMode, Grant, GrantAnswer, GrantKind, GrantState, GroupBy, Import, ImportAnswer, ImportRefusal,
    ImportResult, ImportedFrom, Interval, Keep, KeyedBy, LimitHit, LimitView, LimitsAnswer, MemberKind,
    MemberView, Membership, MidCycle, NewGrant, NewImport, NewRefund, Next, Outcome, OverageAnswer,
    OverageRule, Overflow, Page, Pending, Plan, PlanAnswer, PlanChange, PlanTerm, Pooling, PoolingAnswer,
    PriceAnswer, PriceChange, PriceCommand, Prices, ReallocationAnswer, RefundAnswer, RefundPlace,
    RefundedTo, Role, Rolled, Rollover, Service, ServiceChange, Shares, Subject, TeamChange, TeamView, Term,
    UsageGroup, UsageKey, UsageQuery, UsageReport, When, WhichMembers, WorkspaceSettings, WorkspaceView,
};
pub use pricing::{Minimum, Price, PriceList, RateCard, Tier};
