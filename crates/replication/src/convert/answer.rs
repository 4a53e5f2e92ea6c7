//! What the ledger answers. Not here: what it keeps.

use super::{Misshapen, Shaped, shaped};

shaped! {
    struct ledger::Applied { result, events }
    struct ledger::GrantAnswer { grant, pending, at }
    struct ledger::Pending { node, amount }
    struct ledger::AllocationAnswer {
        user, amount, standing, overflow, of_seat, used, short, pending, revision, at,
    }
    struct ledger::ReallocationAnswer { id, from, to, asked, moved, lapsed, pending, at }
    struct ledger::PriceAnswer { version, effective_at }
    struct ledger::PlanAnswer {
        plan, next, cycle_ends_at, seats, seats_paid, allowance, for_seats, cost, term, cycle_rule, revision, at,
    }
    struct ledger::PoolingAnswer {
        mode, seats, share, parts, set_aside, short, by_hand, shared, pending, revision, at,
    }
    struct ledger::OverageAnswer { user, rule, of_plan, drawn, cycles, revision, at }
    struct ledger::CycleOverage { cycle, charged, refunded, out, paid, billed, uncovered, price }
    struct ledger::RefundAnswer { id, charge, user, cycle, charged, asked, amount, refunded, to, at }
    struct ledger::RefundedTo { from, grant, amount, place }
    struct ledger::ImportAnswer { id, result, import }
    struct ledger::Import { user, cycle, charged, from, uncovered, happened_at, at }
    struct ledger::ImportedFrom { from, grant, amount }
    struct ledger::TeamView {
        team, parent, members, reserve, standing, used, leased, remaining, short, pending, revision, at,
    }
    struct ledger::LineAnswer { number, result }
    struct ledger::Denial { reason, available, elsewhere }
    struct ledger::WorkspaceView {
        id, name, membership, durability, enforcement, pooling, cycle, cycle_starts_at, cycle_ends_at, timezone, cycle_rule, granted, used, refunded, held,
        available, leased, leased_by_node, allocated, short, reserved, shared, unattributed, written_off, exposure, pending,
        revision, at, uncovered,
    }
    struct ledger::MemberView {
        user, listed, ai_access, team, role, service, allocation, overflow, short, pending, reserve, limit, used, refunded,
        leased, remaining, revision,
    }
}

shaped! {
    enum ledger::Outcome {
        Workspace(view), Grant(answer), Member(view), Allocation(answer), Reallocation(answer),
        Limits(answer), Lines(answers), Registered,
        Forgotten { lines, written_off, exposure }, Prices(answer), Ticked, Plan(answer),
        Pooling(answer),
        Overage(answer), Team(view), Refund(answer), Imported(answers),
    }
    enum ledger::ImportResult { Charged, Repeated, Conflict, Refused(why) }
    enum ledger::ImportRefusal {
        TooOld, InFuture, UnknownUser(user), Unpriced, TooManyUsers, TooManyImports, TooMuch,
    }
    enum ledger::RefundPlace { Allocation, Shared, Overage, Expired, Voided }
    enum ledger::LineResult { Line { drawn, frozen, denied }, Closed, Rejected(why) }
    enum ledger::DenialReason {
        Exhausted, AllocationExhausted, LimitReached(limit), AccessDisabled, FeatureNotInPlan(plan),
        UnknownUser, Frozen,
        ScopesChanged, OverageCapReached,
    }
    enum ledger::LineRejection {
        StaleLine { highest }, OtherLine, BeyondDrawn, MetersDisagree, OtherCycle { now }, WrittenOff,
        TooManyLines,
    }
    enum ledger::Rejection {
        UnknownWorkspace, UnknownUser(user), UnknownGrant, IdConflict { what }, KeyConflict,
        KeyWindowFull { max }, Stale { now }, InsufficientShared { available, elsewhere },
        InsufficientAllocation { user, available }, NoAllocation(user),
        GrantBacksAllocations { earmarked, missing }, TooMuch, TooMany { what, max }, NeverValid, SameUser,
        Unregistered, Fenced, RolledBack { known }, OtherDisk { node, known }, CyclesChanged, BadRollover, OtherCurrency,
        ReservedId, NoPlan, OverageIsNoGrant, Prices(why), Team(why), Service(why),
        BeyondCharge { left }, ChargeTooOld, NotCharged,
    }
    enum ledger::ServiceRejection {
        NoOwner, UnknownOwner(user), UnknownShare(user), SharesItself(user), InUse { services }, NoService,
    }
    enum ledger::TeamRejection {
        Unknown(team), NoReserve(team), TooDeep, Circle(team), InUse { members, teams, reserves },
    }
    enum ledger::PriceRejection {
        NoCard(why), InThePast, TooManyCards, TooManyOwn, TooManyInAll, UnknownVersion, InForce, NoOwnPrices,
    }
    enum ledger::Event { Recall { line, user }, HolderFenced { holder } }
}

/// Every word a [`ledger::Rejection`] names a kind of thing by.
const THINGS: [&str; 15] = [
    "allocations in a workspace's life",
    "features of a plan",
    "features with limits",
    "imports at once",
    "models with limits",
    "users",
    "seats whose credits are not pooled",
    "services",
    "teams",
    "grant",
    "grants",
    "reallocation",
    "reallocations in this cycle and the one before",
    "refund",
    "refunds of charges of this cycle and the one before",
];

impl Shaped for &'static str {
    type Shape = String;

    fn shape(&self) -> String {
        (*self).to_owned()
    }

    fn from_shape(shape: String) -> Result<Self, Misshapen> {
        // A word of a newer program is no reason to refuse its answer.
        Ok(THINGS.into_iter().find(|word| *word == shape).unwrap_or("things"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::Rejection;

    #[test]
    fn a_rejection_keeps_its_words() {
        for what in THINGS {
            let rejection = Rejection::TooMany { what, max: 7 };
            assert_eq!(Rejection::from_shape(rejection.shape()), Ok(rejection));
        }
        let newer = wire::ledger::Rejection::IdConflict { what: "moon".into() };
        assert_eq!(Rejection::from_shape(newer), Ok(Rejection::IdConflict { what: "things" }));
    }
}
