//! The product's Rust API as plain data, one file per verb. Knows no HTTP.
//!
//! A *refusal* is what the client gets; it says why, and what would help. A ledger's rejection and a holder's trouble
//! both become one here, and nowhere else.

mod answers;
mod refusal;
mod requests;

pub use answers::{
    Charge, ClusterView, GroupView, HolderView, NodeView, PeerStatus, Quote, QuotePart, RateCardView,
    Remaining, ReplicaView, Summary,
};
pub use refusal::Refusal;
pub use requests::{Consume, PriceBy};

pub use ledger::{
    AdminCommand, AllocationAnswer, Change, Conservation, ForgetMode, Grant, GrantAnswer, GrantKind,
    GrantState, GroupBy, Interval, KeyedBy, MemberView, Membership, NewGrant, Outcome, Overflow, Page,
    Pending, ReallocationAnswer, Role, UsageGroup, UsageQuery, UsageReport, WorkspaceSettings, WorkspaceView,
};
pub use pricing::Price;

mod service;
pub use service::Quota;
