//! The ledger's state as a snapshot has it: one [`StateHead`], then each [`Workspace`] for itself.
//!
//! What can be computed from the rest (burn order, indexes by name, sums over grants) is not stored.

use super::{
    Backing, CycleRule, Durability, Enforcement, GrantKind, HolderId, Import, KeyedBy, Limited, Limits,
    LineId, Membership, Meter, Metered, Money, Outcome, OverageRule, Overflow, Plan, Pooling, PriceAnswer,
    PriceList, ReallocationAnswer, Recent, RefundAnswer, Role, Scope, Service, Source, Term, ZoneClock,
};
use crate::envelope::Frozen;
use serde::{Deserialize, Serialize};

shapes! {
    pub struct StateHead {
        pub now: i64,
        pub meta: Meta,
        pub holders: Vec<(HolderId, HolderRecord)>,
        /// How many workspaces follow.
        pub workspaces: u64,
    }

    pub struct Meta {
        pub last_version: u64,
        pub cards: Vec<DatedCard>,
        pub own: Vec<(String, Vec<DatedCard>)>,
        /// Oldest first.
        pub keys: Vec<PriceKey>,
    }

    pub struct DatedCard {
        pub effective_at: i64,
        pub version: u64,
        pub list: PriceList,
    }

    pub struct PriceKey {
        pub at: i64,
        pub workspace: Option<String>,
        pub keyed: KeyedBy,
        pub answer: PriceAnswer,
    }

    pub struct HolderRecord {
        pub journal_sequence: u64,
        pub status: HolderStatus,
    }

    pub enum HolderStatus { Active, Fenced }

    pub struct Workspace {
        pub id: String,
        pub name: String,
        pub membership: Membership,
        pub durability: Durability,
        pub enforcement: Enforcement,
        pub created_at: i64,
        pub settings: u64,
        pub revision: u64,
        pub cycle: u32,
        pub cycle_starts_at: i64,
        pub calendar_starts_at: i64,
        pub timezone: String,
        pub clock: ZoneClock,
        pub cycle_rule: Option<CycleRule>,
        pub cycle_ends: Vec<i64>,
        pub spent_before: Spent,
        pub refunded_before: u64,
        pub refunds: Vec<(String, RefundAnswer)>,
        pub lost_allocations: Vec<(String, Vec<(HolderId, u64)>)>,
        pub subscription: Option<Box<Subscription>>,
        pub pooling: Pooling,
        pub pooling_set: u64,
        pub overage_rule: Option<(OverageRule, u64)>,
        pub overages: Vec<(u32, Overage)>,
        pub begun_to: i64,
        pub grants: Vec<Grant>,
        pub users: Vec<(String, User)>,
        pub teams: Vec<(String, Team)>,
        pub limited: Limited,
        pub by_feature: Vec<(String, OfScope)>,
        pub by_model: Vec<(String, OfScope)>,
        pub lines: Vec<(LineId, Line)>,
        pub highest_line: Vec<(HolderId, u64)>,
        pub intents: Vec<(u64, Intent)>,
        pub next_intent: u64,
        pub reallocations: Vec<(String, u64)>,
        pub next_allocation: u32,
        pub meters: Vec<Meter>,
        pub metered_names: Vec<(String, Option<String>)>,
        pub usage: Vec<(String, Vec<(u32, Metered)>)>,
        /// Oldest first.
        pub keys: Vec<KeyEntry>,
        pub shared_out: u64,
        pub frozen_out: u64,
        pub previous_starts_at: Option<i64>,
        pub imports: Vec<(String, ImportRecord)>,
        pub uncovered: Vec<(u32, u64)>,
    }

    pub struct ImportRecord {
        pub body: [u8; 32],
        pub import: Import,
    }

    pub struct Overage {
        pub grant: u32,
        pub accounts: Vec<(String, OverageAccount)>,
        pub closed: Vec<(u32, u64)>,
    }

    pub struct OverageAccount {
        pub made: u64,
        pub shares: bool,
        pub chain_of: Option<String>,
        pub reserves: Vec<u32>,
        pub paid_by: Vec<OveragePayer>,
    }

    pub struct OveragePayer {
        pub grant: u32,
        pub allocation: Option<u32>,
        pub amount: u64,
    }

    pub struct Subscription {
        pub plan: Option<Plan>,
        pub next: Option<Next>,
        pub seats: u64,
        pub allowance: Due,
        pub for_seats: Due,
        pub cost: Option<Cost>,
        pub term: Option<u32>,
        pub revision: u64,
    }

    #[expect(clippy::large_enum_variant, reason = "one for each workspace that has a plan")]
    pub enum Next { Plan(Plan), Ends }

    pub struct Due {
        pub owed: u64,
        pub given: u64,
        pub most: u64,
    }

    pub struct Cost {
        pub owed: Money,
        pub most: Money,
    }

    pub struct Grant {
        pub no: u32,
        pub id: String,
        pub kind: GrantKind,
        pub priority: u8,
        pub paid: bool,
        pub created_at: i64,
        pub starts_at: i64,
        pub expires_at: Option<i64>,
        pub term: Term,
        pub price: Option<Money>,
        pub rolled: Option<Rolled>,
        pub state: GrantState,
        pub made: u64,
        pub revision: u64,
        pub books: GrantBooks,
    }

    pub struct Rolled {
        pub cycle: u32,
        pub last: Option<u32>,
        pub left: u64,
        pub kept: u64,
    }

    pub struct Spent {
        pub used: u64,
        pub unattributed: u64,
        pub written_off: u64,
    }

    pub enum GrantState { Live, Expired, Voided }

    pub struct GrantBooks {
        pub amount: u64,
        pub available: u64,
        pub earmarked: u64,
        pub out: u64,
        pub used: u64,
        pub unattributed: u64,
        pub written_off: u64,
        pub expired: u64,
        pub voided: u64,
        pub refunded: u64,
        pub exposure: u64,
        pub for_overage: u64,
    }

    pub struct User {
        pub member: Option<Box<Member>>,
        pub allocation: Option<Allocation>,
        pub limits: Option<Box<Limits>>,
        pub recent: Recent,
        pub used: u64,
        pub late: u64,
        pub past: u64,
        pub refunded: u64,
        pub past_refunded: u64,
        pub share: Option<u64>,
        pub of_share: u64,
        pub out: u64,
        pub overage_rule: Option<(OverageRule, u64)>,
        pub lines: Vec<LineId>,
        pub by_services: Option<Box<ByServices>>,
    }

    pub struct ByServices {
        pub lines: Vec<LineId>,
        pub out: u64,
        pub used: u64,
        pub charged: u64,
    }

    pub struct Member {
        pub ai_access: bool,
        pub team: Option<String>,
        pub role: Role,
        pub service: Option<Box<Service>>,
        pub revision: u64,
    }

    pub struct Team {
        pub parent: Option<String>,
        pub reserve: Option<Allocation>,
        pub limits: Option<Box<Limits>>,
        pub recent: Recent,
        pub used: u64,
        pub out: u64,
        pub revision: u64,
    }

    pub struct OfScope {
        pub limits: Option<Box<Limits>>,
        pub since: u64,
        pub recent: Recent,
        pub used: u64,
        pub out: u64,
    }

    pub struct Allocation {
        pub no: u32,
        pub standing: u64,
        pub overflow: Overflow,
        pub of_seat: bool,
        pub used: u64,
        pub out: u64,
        pub pledged: u64,
        pub earmarks: Vec<(u32, u64)>,
        pub short: u64,
        pub revision: u64,
    }

    pub struct Line {
        pub user: String,
        pub cycle: u32,
        pub team: Option<String>,
        pub scope: Scope,
        pub chain_of: Option<String>,
        pub backings: Vec<BackingNumbers>,
        pub meters: Vec<(u32, Metered)>,
        pub held: u64,
        pub confirmed: u64,
        pub allocation: Option<u32>,
        pub reserves: Vec<(u8, u32)>,
        pub frozen: bool,
        pub written_off: bool,
        pub pledges: Vec<Pledge>,
        pub heard_at: i64,
    }

    pub struct BackingNumbers {
        pub backing: Backing,
        pub drawn: u64,
        pub used: u64,
        pub returned: u64,
        pub unattributed: u64,
        pub written_off: u64,
    }

    pub struct Pledge {
        pub intent: u64,
        pub source: Source,
        pub amount: u64,
    }

    pub struct Intent {
        pub cycle: u32,
        pub reallocation: Option<String>,
        pub from: Owner,
        pub from_allocation: u32,
        pub to: Recipient,
        pub asked: u64,
        pub moved: u64,
        pub lapsed: u64,
        pub lines: Vec<LineId>,
        pub first_answer: Option<ReallocationAnswer>,
    }

    pub enum Owner { User(String), Team(String) }

    pub enum Recipient {
        Shared,
        Allocation(String, u32),
    }

    pub struct KeyEntry {
        pub at: i64,
        pub key: String,
        pub command_hash: [u8; 32],
        pub outcome: Outcome,
    }
}

impl Frozen for StateHead {
    const TYPE_ID: u8 = 43;
    const VERSION: u8 = 2;
    /// Sixteen of the largest rate cards, and as many entries of workspaces' own prices, have some 53 MB.
    const BYTES_MAX: usize = 64 * 1024 * 1024;
}

impl Frozen for Workspace {
    const TYPE_ID: u8 = 44;
    const VERSION: u8 = 11;
    /// A million users with a few meters each.
    const BYTES_MAX: usize = 2 * 1024 * 1024 * 1024 - 1;
}
