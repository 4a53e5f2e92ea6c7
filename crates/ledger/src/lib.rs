//! The ledger: the replicated state machine of pools. A command goes in; an outcome or a rejection comes out.
//!
//! Everything here is a pure function of the commands and the times written in their log entries: no clock, no
//! randomness, no hash order, no float, no I/O. Two replicas that applied the same entries are equal.
//!
//! How a command is treated, always in this order (`state.rs`):
//!
//! 1. *replay*: was it answered before under its key or id? Then the same answer, nothing else.
//! 2. *decide*: a `decide_…(&self)` reads and either names a [`Rejection`] or returns what is to be written.
//! 3. *commit*: a `commit_…(&mut self)` writes it and cannot refuse.
//! 4. *assert*: each book that was touched is conserved (S1) and nothing is below zero (S2), in release builds too.
//!
//! The words are those of the lease protocol: a **line** is what one holder has of one user's credits, in numbers
//! that only grow; its **backings** say out of which grant and earmark each credit came.
//!
//! Not here: who may ask (edge), when to draw and how much (`leasing`), how entries are agreed on (`replication`),
//! how they look as bytes (`wire`).

#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic, clippy::wildcard_enum_match_arm)]

mod admin;
mod allocation;
mod chain;
mod command;
mod commit;
mod cycle;
mod draw;
mod grant;
mod import;
mod intent;
mod invariants;
mod line;
mod meta;
mod meters;
mod outcome;
mod overage;
mod plan;
mod pooling;
mod price;
mod query;
mod refund;
mod reserve;
mod rollover;
mod schedule;
mod scope;
mod service;
mod state;
mod team;
mod term;
mod view;
mod window;
mod workspace;

pub mod limits;

pub use allocation::{Allocation, AllocationNo, Earmarks, Overflow, Owner};
pub use command::{
    AdminCommand, Change, Command, CycleEnds, ForgetMode, GrantKind, HolderBatch, KeyedBy, LineMessage,
    Membership, NewGrant, Role, Used, Wish, WorkspaceSettings,
};
pub use cycle::Spent;
pub use grant::{Grant, GrantBooks, GrantState};
pub use import::{Import, ImportAnswer, ImportRecord, ImportRefusal, ImportResult, ImportedFrom, NewImport};
pub use intent::{Intent, IntentNo, Pledge, Recipient};
pub use invariants::{Conservation, GrantTerms, Violation};
pub use line::{BackingNumbers, Line};
pub use meta::{DatedCard, Meta, PriceAnswer, PriceChange, PriceCommand, PriceKey, PriceRejection};
pub use outcome::{
    AllocationAnswer, Denial, DenialReason, Event, GrantAnswer, LineAnswer, LineRejection, LineResult,
    Outcome, Pending, PlanAnswer, ReallocationAnswer, Rejection, Retry,
};
pub use overage::{
    CycleOverage, Overage, OverageAccount, OverageAnswer, OveragePayer, OverageRule, is_of_overage,
};
pub use plan::{Due, MidCycle, Next, Plan, PlanChange, Subscription, When, is_of_plan};
pub use pooling::{Pooling, PoolingAnswer};
pub use price::{Cost, Prices};
pub use query::{
    Answer, GroupBy, Interval, Page, Query, UnknownThing, UsageGroup, UsageKey, UsageQuery, UsageReport,
};
pub use refund::{ChargeBooks, ChargePart, NewRefund, RefundAnswer, RefundPlace, Refunded, RefundedTo};
pub use rollover::{Keep, Rolled, Rollover, Term};
pub use schedule::Schedule;
pub use scope::OfScope;
pub use service::{ByServices, MemberKind, Service, ServiceChange, ServiceRejection, Shares, WhichMembers};
pub use state::{Applied, HolderRecord, HolderStatus, State};
pub use team::{Team, TeamChange, TeamRejection, TeamView};
pub use term::PlanTerm;
pub use view::{MemberView, UsageRow, WorkspaceView};
pub use window::{Counted, LimitHit, LimitView, Limits, LimitsAnswer, Recent, Subject};
pub use workspace::{KeyRecord, Member, User, Workspace};
