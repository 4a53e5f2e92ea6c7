//! The ledger's commands, answers and state as frozen shapes, with the names the ledger uses. Not here: what they
//! mean, and the conversions from and to the ledger's own types; those are `replication`'s.
//!
//! Amounts are micro-credits, instants are milliseconds since 1970, days are counted from 1970-01-01. Fields and
//! variants are told apart by their position: new ones are a new version, or go to the end of an enum.

use crate::blob::Blob;
use crate::envelope::Frozen;
use serde::{Deserialize, Serialize};

/// Shapes all derive the same.
macro_rules! shapes {
    ($($shape:item)*) => {$(
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        $shape
    )*};
}

mod answer;
#[cfg(test)]
mod golden;
mod state;
mod window;

pub use answer::*;
pub use state::*;
pub use window::*;

shapes! {
    /// One log entry's worth of commands, applied in order at one time.
    pub struct Batch {
        pub at: i64,
        /// Each an encoded [`Command`].
        pub commands: Vec<Blob>,
    }

    pub enum Command {
        Admin(AdminCommand),
        Holder(HolderBatch),
        Register { holder: HolderId, journal_sequence: u64 },
        Forget { holder: HolderId, mode: ForgetMode },
        Prices(PriceCommand),
        Tick { workspace: String },
        SetCycleEnds { workspace: String, cycle: u32, ends: CycleEnds },
        SetClock { workspace: String, clock: ZoneClock },
    }

    pub enum ForgetMode { Charge, Credit }

    pub struct AdminCommand {
        pub workspace: String,
        pub keyed: Option<KeyedBy>,
        pub if_match: Option<u64>,
        pub change: Change,
    }

    pub struct KeyedBy {
        pub key: String,
        pub command_hash: [u8; 32],
    }

    pub enum Change {
        PutWorkspace(WorkspaceSettings),
        MakeGrant(NewGrant),
        VoidGrant { grant: String },
        PutMember {
            user: String,
            ai_access: Option<bool>,
            team: Option<Option<String>>,
            role: Option<Role>,
            service: ServiceChange,
        },
        SetAllocation { user: String, amount: u64, overflow: Option<Overflow> },
        AdjustAllocation { user: String, delta: CreditsDelta },
        RemoveAllocation { user: String },
        Reallocate { id: String, from: String, to: String, amount: u64 },
        SetLimit { of: Subject, window: Window, amount: Option<u64> },
        Plan(PlanChange),
        SetPooling(Pooling),
        SetOverage { user: Option<String>, rule: Option<OverageRule> },
        LiftLimits { of: Subject },
        Team { team: String, change: TeamChange },
        Refund(Box<NewRefund>),
        ImportUsage(Vec<NewImport>),
    }

    pub struct ServiceChange {
        pub kind: Option<MemberKind>,
        pub owner: Option<String>,
        pub shares: Option<Shares>,
    }

    pub enum MemberKind { User, Service }

    pub enum Shares { Nothing, WithOwner, With(String) }

    pub struct Service {
        pub owner: String,
        pub shares: Shares,
    }

    pub enum TeamChange {
        Put { parent: Option<String> },
        Remove,
        SetReserve { amount: u64 },
        AdjustReserve { delta: CreditsDelta },
        RemoveReserve,
    }

    pub struct NewImport {
        pub id: String,
        pub user: String,
        pub feature: String,
        pub model: Option<String>,
        pub units: Vec<(String, u64)>,
        pub charge: Option<u64>,
        pub happened_at: i64,
        pub body: [u8; 32],
    }

    pub struct NewRefund {
        pub id: Option<String>,
        pub holder: HolderId,
        pub charge: AnyCharge,
        pub user: String,
        pub parts: Vec<ChargePart>,
        pub amount: Option<u64>,
    }

    pub enum AnyCharge { Consume(ChargeId), Hold(HoldId) }

    pub struct ChargeId {
        pub node: u16,
        pub line: u64,
        pub sequence: u64,
    }

    pub struct HoldId {
        pub node: u16,
        pub number: u64,
    }

    pub struct ChargePart {
        pub line: u64,
        pub cycle: u32,
        pub backing: Backing,
        pub amount: u64,
    }

    pub enum OverageRule { Off, On, UpTo(u64) }

    #[expect(clippy::large_enum_variant, reason = "one of them is made with each change of a plan, and no more")]
    pub enum PlanChange {
        Set { plan: Plan, when: When },
        Cancel,
    }

    pub enum When { Now, NextCycle }

    pub struct Plan {
        pub id: String,
        pub name: Option<String>,
        pub allowance: u64,
        pub per_seat: u64,
        pub paid: bool,
        pub rollover: Rollover,
        pub mid_cycle: MidCycle,
        pub overage: Option<OverageRule>,
        pub features: Option<Vec<String>>,
        pub prices: Prices,
        pub term: PlanTerm,
    }

    pub enum PlanTerm { Cycle, Year }

    pub struct Prices {
        pub cycle: Option<Money>,
        pub seat: Option<Money>,
        pub overage: Option<Money>,
    }

    pub struct Money {
        pub micros: u64,
        pub currency: String,
    }

    pub enum MidCycle { Whole, Prorated }

    pub enum Pooling { Pooled, PerSeat, OwnFirst }

    pub enum Overflow { None, Shared }

    pub enum CreditsDelta { Lower(u64), Raise(u64) }

    pub struct WorkspaceSettings {
        pub name: Option<String>,
        pub membership: Option<Membership>,
        pub durability: Option<Durability>,
        pub enforcement: Option<Enforcement>,
        pub timezone: Option<String>,
        pub cycle: Option<CycleDays>,
        pub ends: Option<CycleEnds>,
        pub began: Option<i64>,
        pub clock: Option<ZoneClock>,
    }

    pub struct CycleEnds {
        pub rule: CycleRule,
        pub ends: Vec<i64>,
    }

    pub struct CycleDays {
        pub every: Every,
        /// Year, month, day.
        pub anchor: (u16, u8, u8),
    }

    pub struct CycleRule {
        pub every: Every,
        pub anchor: (u16, u8, u8),
        pub zone: String,
    }

    pub enum Every { Month, Year }

    pub enum Membership { Open, Listed }

    pub enum Durability { Local, Disk, Quorum }

    pub enum Enforcement { On, Shadow }

    pub enum Role { Owner, Admin, Member }

    pub enum GrantKind { Plan, Seat, Pack, Trial, Promotion, Correction, Overage }

    pub struct NewGrant {
        pub id: String,
        pub kind: GrantKind,
        pub amount: u64,
        pub priority: u8,
        pub paid: bool,
        pub starts_at: Option<i64>,
        pub expires_at: Option<i64>,
        pub term: Term,
        pub price: Option<Money>,
    }

    pub enum Term { Lasting, Cycle(Rollover) }

    pub struct Rollover {
        pub keep: Keep,
        pub cycles: Option<u32>,
    }

    pub enum Keep { None, All, UpTo(u64), Percent(u8) }

    pub struct HolderId {
        pub node: u16,
        pub disk: u64,
    }

    pub struct HolderBatch {
        pub holder: HolderId,
        pub journal_sequence: u64,
        pub workspace: String,
        pub lines: Vec<LineMessage>,
        pub recalled: bool,
    }

    pub struct LineMessage {
        pub number: u64,
        pub user: String,
        pub cycle: u32,
        pub scope: Scope,
        pub returned: Vec<(Backing, u64)>,
        pub used: Used,
        pub held: u64,
        pub confirmed: u64,
        pub wish: Wish,
    }

    pub struct Scope {
        pub list: u64,
        pub feature: Option<String>,
        pub model: Option<String>,
    }

    pub enum Source { Allocation, Reserve(u8), Shared, Overage }

    pub struct Backing {
        pub source: Source,
        pub grant: u32,
    }

    pub struct Used {
        pub by_backing: Vec<(Backing, u64, u64)>,
        pub by_meter: Vec<(Meter, Metered)>,
    }

    pub struct Meter {
        pub feature: String,
        pub model: Option<String>,
        pub day: i32,
    }

    pub struct Metered {
        pub credits: u64,
        pub calls: u64,
        pub units: Vec<(String, u64)>,
        pub by_grant: Vec<(u32, u64)>,
    }

    pub enum Wish {
        Report,
        Draw { target: u64, floor: u64, need: u64 },
        Close,
    }

    pub struct PriceCommand {
        pub keyed: Option<KeyedBy>,
        pub if_match: Option<u64>,
        pub change: PriceChange,
    }

    pub enum PriceChange {
        PutCard { list: PriceList, effective_at: Option<i64> },
        RemoveCard { version: u64 },
        SetOwn { workspace: String, list: PriceList },
    }

    pub struct PriceList {
        pub prices: Vec<Price>,
        pub minimums: Vec<Minimum>,
    }

    /// Feature and model are ids, or `*` for any.
    pub struct Price {
        pub feature: String,
        pub model: Option<String>,
        pub unit: String,
        pub per: u64,
        pub credits: u64,
        pub tiers: Vec<Tier>,
    }

    pub struct Tier {
        pub above: u64,
        pub credits: u64,
    }

    pub struct Minimum {
        pub feature: String,
        pub model: Option<String>,
        pub credits: u64,
    }
}

impl Frozen for Batch {
    const TYPE_ID: u8 = 40;
    const VERSION: u8 = 1;
    const BYTES_MAX: usize = 4 * 1024 * 1024;
}

impl Frozen for Command {
    const TYPE_ID: u8 = 41;
    const VERSION: u8 = 9;
    /// A rate card with 4,096 prices and long names has some 1.6 MB.
    const BYTES_MAX: usize = 2 * 1024 * 1024;
}
