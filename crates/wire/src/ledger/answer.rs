//! What the ledger answers, as it travels to another node and is kept under idempotency keys.

use super::{
    AnyCharge, Backing, CycleRule, Due, Durability, Enforcement, Grant, HolderId, LimitHit, LimitsAnswer,
    Membership, Money, Next, OverageRule, Overflow, Plan, Pooling, Role, Service, Source,
};
use crate::envelope::Frozen;
use serde::{Deserialize, Serialize};

shapes! {
    pub struct Applied {
        pub result: Result<Outcome, Rejection>,
        pub events: Vec<Event>,
    }

    pub enum Outcome {
        Workspace(Box<WorkspaceView>),
        Grant(Box<GrantAnswer>),
        Member(Box<MemberView>),
        Allocation(AllocationAnswer),
        Reallocation(ReallocationAnswer),
        Limits(Box<LimitsAnswer>),
        Lines(Vec<LineAnswer>),
        Registered,
        Forgotten { lines: u64, written_off: u64, exposure: u64 },
        Prices(PriceAnswer),
        Ticked,
        Plan(Box<PlanAnswer>),
        Pooling(Box<PoolingAnswer>),
        Overage(Box<OverageAnswer>),
        Team(Box<TeamView>),
        Refund(Box<RefundAnswer>),
        Imported(Vec<ImportAnswer>),
    }

    pub struct ImportAnswer {
        pub id: String,
        pub result: ImportResult,
        pub import: Option<Box<Import>>,
    }

    pub enum ImportResult { Charged, Repeated, Conflict, Refused(ImportRefusal) }

    pub enum ImportRefusal {
        TooOld,
        InFuture,
        UnknownUser(String),
        Unpriced,
        TooManyUsers,
        TooManyImports,
        TooMuch,
    }

    pub struct Import {
        pub user: String,
        pub cycle: u32,
        pub charged: u64,
        pub from: Vec<ImportedFrom>,
        pub uncovered: u64,
        pub happened_at: i64,
        pub at: i64,
    }

    pub struct ImportedFrom {
        pub from: Source,
        pub grant: String,
        pub amount: u64,
    }

    pub struct TeamView {
        pub team: String,
        pub parent: Option<String>,
        pub members: u64,
        pub reserve: Option<u64>,
        pub standing: u64,
        pub used: u64,
        pub leased: u64,
        pub remaining: u64,
        pub short: u64,
        pub pending: Vec<Pending>,
        pub revision: u64,
        pub at: i64,
    }

    pub struct RefundAnswer {
        pub id: String,
        pub charge: AnyCharge,
        pub user: String,
        pub cycle: u32,
        pub charged: u64,
        pub asked: Option<u64>,
        pub amount: u64,
        pub refunded: u64,
        pub to: Vec<RefundedTo>,
        pub at: i64,
    }

    pub struct RefundedTo {
        pub from: Source,
        pub grant: String,
        pub amount: u64,
        pub place: RefundPlace,
    }

    pub enum RefundPlace { Allocation, Shared, Overage, Expired, Voided }

    pub struct OverageAnswer {
        pub user: Option<String>,
        pub rule: Option<OverageRule>,
        pub of_plan: Option<OverageRule>,
        pub drawn: u64,
        pub cycles: Vec<CycleOverage>,
        pub revision: u64,
        pub at: i64,
    }

    pub struct CycleOverage {
        pub cycle: u32,
        pub charged: u64,
        pub refunded: u64,
        pub out: u64,
        pub paid: u64,
        pub billed: u64,
        pub uncovered: u64,
        pub price: Option<Money>,
    }

    pub struct PriceAnswer {
        pub version: u64,
        pub effective_at: i64,
    }

    pub struct PlanAnswer {
        pub plan: Option<Plan>,
        pub next: Option<Next>,
        pub cycle_ends_at: Option<i64>,
        pub seats: u64,
        pub seats_paid: u64,
        pub allowance: Due,
        pub for_seats: Due,
        pub cost: Option<Money>,
        pub term: Option<u32>,
        pub cycle_rule: Option<CycleRule>,
        pub revision: u64,
        pub at: i64,
    }

    pub struct PoolingAnswer {
        pub mode: Pooling,
        pub seats: u64,
        pub share: u64,
        pub parts: u64,
        pub set_aside: u64,
        pub short: u64,
        pub by_hand: u64,
        pub shared: u64,
        pub pending: Vec<Pending>,
        pub revision: u64,
        pub at: i64,
    }

    pub struct GrantAnswer {
        pub grant: Grant,
        pub pending: Vec<Pending>,
        pub at: i64,
    }

    pub struct Pending {
        pub node: u16,
        pub amount: u64,
    }

    pub struct AllocationAnswer {
        pub user: String,
        pub amount: Option<u64>,
        pub standing: u64,
        pub overflow: Overflow,
        pub of_seat: bool,
        pub used: u64,
        pub short: u64,
        pub pending: Vec<Pending>,
        pub revision: u64,
        pub at: i64,
    }

    pub struct ReallocationAnswer {
        pub id: String,
        pub from: String,
        pub to: String,
        pub asked: u64,
        pub moved: u64,
        pub lapsed: u64,
        pub pending: Vec<Pending>,
        pub at: i64,
    }

    pub struct LineAnswer {
        pub number: u64,
        pub result: LineResult,
    }

    pub enum LineResult {
        Line { drawn: Vec<(Backing, u64)>, frozen: bool, denied: Option<Denial> },
        Closed,
        Rejected(LineRejection),
    }

    pub struct Denial {
        pub reason: DenialReason,
        pub available: u64,
        pub elsewhere: u64,
    }

    pub enum DenialReason {
        Exhausted,
        AllocationExhausted,
        LimitReached(LimitHit),
        AccessDisabled,
        FeatureNotInPlan(String),
        UnknownUser,
        Frozen,
        ScopesChanged,
        OverageCapReached,
    }

    pub enum LineRejection {
        StaleLine { highest: u64 },
        OtherLine,
        BeyondDrawn,
        MetersDisagree,
        OtherCycle { now: u32 },
        WrittenOff,
        TooManyLines,
    }

    pub enum Rejection {
        UnknownWorkspace,
        UnknownUser(String),
        UnknownGrant,
        IdConflict { what: String },
        KeyConflict,
        KeyWindowFull { max: u64 },
        Stale { now: u64 },
        InsufficientShared { available: u64, elsewhere: u64 },
        InsufficientAllocation { user: String, available: u64 },
        NoAllocation(String),
        GrantBacksAllocations { earmarked: u64, missing: u64 },
        TooMuch,
        TooMany { what: String, max: u64 },
        NeverValid,
        SameUser,
        Unregistered,
        Fenced,
        RolledBack { known: u64 },
        OtherDisk { node: u16, known: u64 },
        CyclesChanged,
        BadRollover,
        OtherCurrency,
        ReservedId,
        NoPlan,
        OverageIsNoGrant,
        Prices(PriceRejection),
        Team(TeamRejection),
        Service(ServiceRejection),
        BeyondCharge { left: u64 },
        ChargeTooOld,
        NotCharged,
    }

    pub enum ServiceRejection {
        NoOwner,
        UnknownOwner(String),
        UnknownShare(String),
        SharesItself(String),
        InUse { services: u64 },
        NoService,
    }

    pub enum TeamRejection {
        Unknown(String),
        NoReserve(String),
        TooDeep,
        Circle(String),
        InUse { members: u64, teams: u64, reserves: u64 },
    }

    pub enum PriceRejection {
        NoCard(String),
        InThePast,
        TooManyCards,
        TooManyOwn,
        TooManyInAll,
        UnknownVersion,
        InForce,
        NoOwnPrices,
    }

    pub enum Event {
        Recall { line: LineId, user: String },
        HolderFenced { holder: HolderId },
    }

    pub struct LineId {
        pub holder: HolderId,
        pub number: u64,
    }

    pub struct WorkspaceView {
        pub id: String,
        pub name: String,
        pub membership: Membership,
        pub durability: Durability,
        pub enforcement: Enforcement,
        pub pooling: Pooling,
        pub cycle: u32,
        pub cycle_starts_at: i64,
        pub cycle_ends_at: Option<i64>,
        pub timezone: String,
        pub cycle_rule: Option<CycleRule>,
        pub granted: u64,
        pub used: u64,
        pub refunded: u64,
        pub held: u64,
        pub available: u64,
        pub leased: u64,
        pub leased_by_node: Vec<(u16, u64)>,
        pub allocated: u64,
        pub short: u64,
        pub reserved: u64,
        pub shared: u64,
        pub unattributed: u64,
        pub written_off: u64,
        pub exposure: u64,
        pub pending: u64,
        pub revision: u64,
        pub at: i64,
        pub uncovered: u64,
    }

    pub struct MemberView {
        pub user: String,
        pub listed: bool,
        pub ai_access: bool,
        pub team: Option<String>,
        pub role: Role,
        pub service: Option<Service>,
        pub allocation: Option<u64>,
        pub overflow: Option<Overflow>,
        pub short: u64,
        pub pending: u64,
        pub reserve: u64,
        pub limit: Option<u64>,
        pub used: u64,
        pub refunded: u64,
        pub leased: u64,
        pub remaining: u64,
        pub revision: u64,
    }
}

impl Frozen for Applied {
    const TYPE_ID: u8 = 42;
    const VERSION: u8 = 9;
    const BYTES_MAX: usize = 4 * 1024 * 1024;
}
