//! The JSON shapes of the HTTP surface, shared by `api` and `client`. Frozen: fields are added, never changed.
//!
//! Two kinds of value stand in them. A [`Given`] stands in a request: it keeps a bad value together with why it is
//! bad, so that a body of the right shape with a wrong value can be told from a body of the wrong shape. A [`Text`]
//! stands in an answer: always good, always a JSON string. Amounts never pass through a float in either.
//!
//! Not here: what a request means, which status an answer has, who may ask.

mod administration;
mod choice;
mod consume;
mod cycle;
mod hold;
mod import;
mod inspection;
mod limit;
mod number;
mod object;
mod overage;
mod plan;
mod pooling;
mod prices;
mod problem;
mod refund;
mod shadow;
mod team;
mod time;
mod usage;
mod word;

pub use administration::{
    Adjust, Allocation, Forget, Forgotten, Grant, Grants, Member, Members, PendingFrom, PutAllocation,
    PutGrant, PutMember, PutWorkspace, Reallocate, Reallocation, Settings,
};
pub use choice::{
    BadChoice, CardState, Durability, Enforcement, Every, ForgetMode, GrantKind, GrantState, GroupBy,
    HoldEnd, Interval, Keep, MemberKind, Membership, MidCycle, OverageMode, Overflow, PlanTerm, Pooling,
    RefundPlace, Role, Shortfall, SourceKind, When, Window,
};
pub use consume::{
    AskQuote, Batch, BatchAnswer, BatchItem, BatchResult, Charge, Charged, Consume, Paid, Quote, Remaining,
};
pub use cycle::{Cycle, PutCycle, PutRollover, Rollover};
pub use hold::{EndedHold, ExtendHold, HeldCredits, Hold, OpenHold, ReleaseHold, SettleHold};
pub use import::{ImportAnswer, ImportItem, ImportUsage, Imported, ImportedUsage, RefusedImport};
pub use inspection::{
    Advance, AsOf, Clock, Cluster, Conservation, GrantTerms, Group, Holder, Node, Pool, QuotePart, Replica,
    UsageGroup, UsageReport, Violation, Workspace,
};
pub use limit::{Limit, LimitOf, Limits, PutLimit, ReachedLimit};
pub use number::{BadAmount, BadCount};
pub use object::{Malformed, read, write};
pub use overage::{CycleOverage, Overage, OverageRule, PutOverage, UserOverage};
pub use plan::{Money, NextPlan, Plan, PlanCredits, PlanTerms, PutMoney, PutPlan, Seats};
pub use pooling::{PendingOn, PoolingState, PutPooling};
pub use prices::{
    Minimum, Price, PricesSet, PutMinimum, PutPrice, PutPrices, PutRateCard, PutTier, RateCard,
    RateCardVersion, RateCards, Tier, WorkspacePrices,
};
pub use problem::Problem;
pub use refund::{ChargePaid, ChargeRecord, PutRefund, Refund, RefundPart};
pub use shadow::{ShadowGroup, ShadowReport, Shadowed};
pub use team::{PutReserve, PutTeam, Team, Teams};
pub use time::{BadDay, BadInstant, BadSpan, Span};
pub use usage::{GivenUsage, USAGE_UNITS_MAX, UnitCounts};
pub use word::{Form, Given, Shown, Text, Word};

use types::{
    AnyCharge, ChargeId, CivilDate, Credits, CreditsDelta, Day, Feature, GrantId, HoldId, IdempotencyKey,
    ImportId, Model, NodeId, OneOrAny, PlanId, PriceVersion, ReallocationId, RefundId, TeamId, Timestamp,
    Unit, UserId, WorkspaceId, ZoneName,
};

pub type GivenAmount = Given<Credits>;
pub type GivenDelta = Given<CreditsDelta>;
pub type GivenCount = Given<u64>;
pub type GivenInstant = Given<Timestamp>;
pub type GivenUser = Given<UserId>;
pub type GivenTeam = Given<TeamId>;
pub type GivenGrantId = Given<GrantId>;
pub type GivenReallocationId = Given<ReallocationId>;
pub type GivenCharge = Given<AnyCharge>;
pub type GivenRefundId = Given<RefundId>;
pub type GivenImportId = Given<ImportId>;
pub type GivenFeature = Given<Feature>;
pub type GivenModel = Given<Model>;
pub type GivenFeatureOrAny = Given<OneOrAny<Feature>>;
pub type GivenModelOrAny = Given<OneOrAny<Model>>;
pub type GivenUnit = Given<Unit>;
pub type GivenPriceVersion = Given<PriceVersion>;
pub type GivenKey = Given<IdempotencyKey>;
pub type GivenDurability = Given<Durability>;
pub type GivenEnforcement = Given<Enforcement>;
pub type GivenMembership = Given<Membership>;
pub type GivenGrantKind = Given<GrantKind>;
pub type GivenRole = Given<Role>;
pub type GivenMemberKind = Given<MemberKind>;
pub type GivenOverflow = Given<Overflow>;
pub type GivenWindow = Given<Window>;
pub type GivenForgetMode = Given<ForgetMode>;
pub type GivenZone = Given<ZoneName>;
pub type GivenCivilDate = Given<CivilDate>;
pub type GivenEvery = Given<Every>;
pub type GivenKeep = Given<Keep>;
pub type GivenPlan = Given<PlanId>;
pub type GivenMidCycle = Given<MidCycle>;
pub type GivenPlanTerm = Given<PlanTerm>;
pub type GivenWhen = Given<When>;
pub type GivenPooling = Given<Pooling>;
pub type GivenOverageMode = Given<OverageMode>;
pub type GivenSpan = Given<Span>;
pub type GivenShortfall = Given<Shortfall>;

pub type Amount = Text<Credits>;
pub type Instant = Text<Timestamp>;
pub type Date = Text<Day>;
pub type WorkspaceText = Text<WorkspaceId>;
pub type UserText = Text<UserId>;
pub type TeamText = Text<TeamId>;
pub type GrantText = Text<GrantId>;
pub type ReallocationText = Text<ReallocationId>;
pub type AnyChargeText = Text<AnyCharge>;
pub type RefundText = Text<RefundId>;
pub type ImportText = Text<ImportId>;
pub type RefundPlaceText = Text<RefundPlace>;
pub type FeatureText = Text<Feature>;
pub type ModelText = Text<Model>;
pub type FeatureOrAnyText = Text<OneOrAny<Feature>>;
pub type ModelOrAnyText = Text<OneOrAny<Model>>;
pub type UnitText = Text<Unit>;
pub type PriceVersionText = Text<PriceVersion>;
pub type CardStateText = Text<CardState>;
pub type NodeText = Text<NodeId>;
pub type ChargeText = Text<ChargeId>;
pub type HoldText = Text<HoldId>;
pub type HoldEndText = Text<HoldEnd>;
pub type DurabilityText = Text<Durability>;
pub type EnforcementText = Text<Enforcement>;
pub type MembershipText = Text<Membership>;
pub type GrantKindText = Text<GrantKind>;
pub type GrantStateText = Text<GrantState>;
pub type RoleText = Text<Role>;
pub type MemberKindText = Text<MemberKind>;
pub type OverflowText = Text<Overflow>;
pub type WindowText = Text<Window>;
pub type SourceText = Text<SourceKind>;
pub type ZoneText = Text<ZoneName>;
pub type CivilDateText = Text<CivilDate>;
pub type EveryText = Text<Every>;
pub type KeepText = Text<Keep>;
pub type PoolingText = Text<Pooling>;
pub type OverageModeText = Text<OverageMode>;
pub type PlanText = Text<PlanId>;
pub type PlanTermText = Text<PlanTerm>;
pub type MidCycleText = Text<MidCycle>;
