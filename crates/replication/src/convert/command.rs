//! What is asked of the ledger. Not here: what it answers.

use super::{Misshapen, Shaped, shaped};
use types::Money;
use wire::ledger as shape;

shaped! {
    enum ledger::Command {
        Admin(admin), Holder(batch), Register { holder, journal_sequence }, Forget { holder, mode },
        Prices(command), Tick { workspace }, SetCycleEnds { workspace, cycle, ends },
        SetClock { workspace, clock },
    }
    enum ledger::PriceChange { PutCard { list, effective_at }, RemoveCard { version }, SetOwn { workspace, list } }
    enum ledger::ForgetMode { Charge, Credit }
    enum ledger::Change {
        PutWorkspace(settings), MakeGrant(grant), VoidGrant { grant },
        PutMember { user, ai_access, team, role, service }, SetAllocation { user, amount, overflow },
        AdjustAllocation { user, delta }, RemoveAllocation { user }, Reallocate { id, from, to, amount },
        SetLimit { of, window, amount }, Plan(change), SetPooling(mode), SetOverage { user, rule }, LiftLimits { of },
        Team { team, change }, Refund(refund), ImportUsage(items),
    }
    enum ledger::MemberKind { User, Service }
    enum ledger::Shares { Nothing, WithOwner, With(service) }
    enum ledger::TeamChange {
        Put { parent }, Remove, SetReserve { amount }, AdjustReserve { delta }, RemoveReserve,
    }
    enum types::AnyCharge { Consume(charge), Hold(hold) }
    enum ledger::PlanChange { Set { plan, when }, Cancel }
    enum ledger::OverageRule { Off, On, UpTo(cap) }
    enum ledger::Pooling { Pooled, PerSeat, OwnFirst }
    enum ledger::When { Now, NextCycle }
    enum ledger::MidCycle { Whole, Prorated }
    enum ledger::PlanTerm { Cycle, Year }
    enum ledger::Term { Lasting, Cycle(rollover) }
    enum ledger::Keep { None, All, UpTo(most), Percent(percent) }
    enum types::Every { Month, Year }
    enum ledger::Overflow { None, Shared }
    enum ledger::Membership { Open, Listed }
    enum ledger::Role { Owner, Admin, Member }
    enum ledger::GrantKind { Plan, Seat, Pack, Trial, Promotion, Correction, Overage }
    enum ledger::Wish { Report, Draw { target, floor, need }, Close }
    enum types::CreditsDelta { Lower(by), Raise(by) }
    enum types::Durability { Local, Disk, Quorum }
    enum types::Enforcement { On, Shadow }
    enum types::Source { Allocation, Reserve(level), Shared, Overage }
}

shaped! {
    struct ledger::ServiceChange { kind, owner, shares }
    struct ledger::Service { owner, shares }
    struct ledger::AdminCommand { workspace, keyed, if_match, change }
    struct ledger::KeyedBy { key, command_hash }
    struct ledger::WorkspaceSettings { name, membership, durability, enforcement, timezone, cycle, ends, began, clock }
    struct ledger::CycleEnds { rule, ends }
    struct types::CycleDays { every, anchor }
    struct types::CycleRule { every, anchor, zone }
    struct ledger::Rollover { keep, cycles }
    struct ledger::Plan {
        id, name, allowance, per_seat, paid, rollover, mid_cycle, overage, features, prices, term,
    }
    struct ledger::Prices { cycle, seat, overage }
    struct ledger::NewRefund { id, holder, charge, user, parts, amount }
    struct ledger::ChargePart { line, cycle, backing, amount }
    struct ledger::NewImport { id, user, feature, model, units, charge, happened_at, body }
    struct ledger::NewGrant { id, kind, amount, priority, paid, starts_at, expires_at, term, price }
    struct ledger::HolderBatch { holder, journal_sequence, workspace, lines, recalled }
    struct ledger::LineMessage { number, user, cycle, scope, returned, used, held, confirmed, wish }
    struct types::Scope { list, feature, model }
    struct ledger::Used { by_backing, by_meter }
    struct types::Backing { source, grant }
    struct types::Meter { feature, model, day }
    struct types::Metered { credits, calls, units, by_grant }
    struct ledger::PriceCommand { keyed, if_match, change }
    struct pricing::PriceList { prices, minimums }
    struct pricing::Price { feature, model, unit, per, credits, tiers }
    struct pricing::Tier { above, credits }
    struct pricing::Minimum { feature, model, credits }
}

impl Shaped for Money {
    type Shape = shape::Money;

    fn shape(&self) -> Self::Shape {
        shape::Money { micros: self.micros(), currency: self.currency().as_str().to_owned() }
    }

    fn from_shape(shape::Money { micros, currency }: Self::Shape) -> Result<Self, Misshapen> {
        let bad = |why: &dyn std::fmt::Display| Misshapen(format!("{micros} {currency}: {why}"));
        let known = currency.parse().map_err(|why| bad(&why))?;
        Self::from_micros(micros, known).ok_or_else(|| bad(&"more than there is"))
    }
}
