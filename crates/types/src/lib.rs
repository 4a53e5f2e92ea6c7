//! The words every room shares: ids, credits, instants, cycles, lines. Small for ever; no serialisation, no I/O.
//!
//! A thing lives here only if two rooms that may not import each other must speak of it.

mod credits;
mod cycle;
mod id;
mod line;
mod meter;
mod money;
pub mod planted;
mod price;
mod scope;
mod shadow;
mod time;
mod window;

pub use credits::{BadCredits, Credits, CreditsDelta, MICROS_PER_CREDIT};
pub use cycle::{BadCycle, CivilDate, CycleDays, CycleRule, Every, ZONE_BYTES_MAX, ZoneName, days_in_month};
pub use id::{
    BadId, DiskId, Feature, GrantId, HolderId, ID_BYTES_MAX, IdempotencyKey, ImportId, Model, NodeId, PlanId,
    ReallocationId, RefundId, ShardId, TeamId, Unit, UserId, WorkspaceId,
};
pub use line::{
    AnyCharge, BACKINGS_PER_LINE_MAX, Backing, ChargeId, CycleNumber, Durability, GrantNo, HoldId,
    HoldNumber, LineId, LineNumber, METERS_PER_LINE_MAX, NAMED_METERS_PER_LINE_MAX, Revision, Source,
    UNITS_PER_METER_MAX,
};
pub use meter::{ByGrant, Meter, Metered};
pub use money::{BadCurrency, BadMoney, Currency, Money};
pub use price::{BadPriceVersion, OneOrAny, PriceVersion};
pub use scope::{Limited, Scope};
pub use shadow::{Enforcement, RESERVED_UNITS, ShadowCounts, Shadowed, WouldRefuse};
pub use time::{Day, Timestamp};
pub use window::{BadClock, BadWindow, CLOCK_CHANGES_MAX, Span, Window, ZoneClock, hour_of};
