//! The bytes of every shape, every variant of them at least once, as they are for ever: `golden.txt` has a name and
//! the bytes in a line. A line is added with a new shape and, from the first release on, never changed.

mod books;
mod rejections;

use super::*;
use crate::envelope::{Frozen, decode, encode};
use rejections::rejections;
use std::fmt::Debug;

pub(super) fn check<T: Frozen + PartialEq + Debug>(name: &str, value: T) {
    let bytes = encode(&value).unwrap();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let line = format!("{name} {hex}");
    assert!(include_str!("golden.txt").lines().any(|golden| golden == line), "not golden: {line}");
    assert_eq!(decode::<T>(&bytes), Ok(value));
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

pub(super) fn admin(change: Change) -> Command {
    let keyed = Some(KeyedBy { key: "k".into(), command_hash: [9; 32] });
    Command::Admin(AdminCommand { workspace: "w".into(), keyed, if_match: Some(3), change })
}

fn scope() -> Scope {
    Scope { list: 300, feature: some("chat"), model: None }
}

fn holder() -> HolderId {
    HolderId { node: 300, disk: 1 << 40 }
}

fn line_id() -> LineId {
    LineId { holder: holder(), number: 7 }
}

fn backing(source: Source) -> Backing {
    Backing { source, grant: 2 }
}

fn meter() -> Meter {
    Meter { feature: "chat".into(), model: some("m-1"), day: 20_000 }
}

fn metered() -> Metered {
    let (units, by_grant) = (vec![("u".into(), 70_000)], vec![(3, 1_500_000)]);
    Metered { credits: 1_500_000, calls: 2, units, by_grant }
}

fn rule(every: Every) -> CycleRule {
    CycleRule { every, anchor: (2026, 1, 31), zone: "Europe/Berlin".into() }
}

fn money() -> Money {
    Money { micros: 300, currency: "EUR".into() }
}

fn plan(mid_cycle: MidCycle) -> Plan {
    let rollover = Rollover { keep: Keep::None, cycles: None };
    let overage = Some(OverageRule::UpTo(300));
    Plan {
        id: "p".into(),
        name: some("Pro"),
        allowance: 1,
        per_seat: 2,
        paid: true,
        rollover,
        mid_cycle,
        overage,
        features: Some(vec!["chat".into()]),
        prices: Prices { cycle: Some(money()), seat: None, overage: Some(money()) },
        term: PlanTerm::Year,
    }
}

fn plan_answer() -> PlanAnswer {
    PlanAnswer {
        plan: None,
        next: Some(Next::Ends),
        cycle_ends_at: Some(1),
        seats: 2,
        seats_paid: 3,
        allowance: Due { owed: 4, given: 5, most: 1 },
        for_seats: Due { owed: 6, given: 7, most: 2 },
        cost: Some(money()),
        term: Some(9),
        cycle_rule: Some(rule(Every::Month)),
        revision: 8,
        at: 9,
    }
}

fn service() -> Service {
    Service { owner: "o".into(), shares: Shares::With("s".into()) }
}

fn price() -> Price {
    let tiers = vec![Tier { above: 300, credits: 4 }];
    Price { feature: "chat".into(), model: some("*"), unit: "u".into(), per: 1_000, credits: 5, tiers }
}

fn price_list() -> PriceList {
    let minimum = Minimum { feature: "chat".into(), model: None, credits: 7 };
    PriceList { prices: vec![price()], minimums: vec![minimum] }
}

fn price_change(change: PriceChange) -> Command {
    let keyed = Some(KeyedBy { key: "k".into(), command_hash: [9; 32] });
    Command::Prices(PriceCommand { keyed, if_match: Some(3), change })
}

fn commands() -> Vec<(&'static str, Command)> {
    let settings = |membership, durability| {
        let (timezone, cycle, ends) = Default::default();
        Change::PutWorkspace(WorkspaceSettings {
            name: some("n"),
            membership,
            durability,
            enforcement: None,
            timezone,
            cycle,
            ends,
            began: None,
            clock: None,
        })
    };
    let cycles = |every: Every| {
        let ends = Some(CycleEnds { rule: rule(every.clone()), ends: vec![1, 300] });
        let (timezone, cycle) = (some("UTC"), Some(CycleDays { every, anchor: (2026, 1, 31) }));
        let (name, membership, durability) = Default::default();
        let enforcement = Some(Enforcement::Shadow);
        let began = Some(-3);
        let clock = Some(window::golden::clock());
        Change::PutWorkspace(WorkspaceSettings {
            name,
            membership,
            durability,
            enforcement,
            timezone,
            cycle,
            ends,
            began,
            clock,
        })
    };
    let grant_for = |kind, term| {
        Change::MakeGrant(NewGrant {
            id: "g".into(),
            kind,
            amount: 12_500_000,
            priority: 50,
            paid: true,
            starts_at: None,
            expires_at: Some(-1),
            term,
            price: Some(money()),
        })
    };
    let grant = |kind| grant_for(kind, Term::Lasting);
    let rolling = |keep, cycles| grant_for(GrantKind::Plan, Term::Cycle(Rollover { keep, cycles }));
    let member = |role| Change::PutMember {
        user: "a".into(),
        ai_access: Some(false),
        team: Some(some("t")),
        role: Some(role),
        service: ServiceChange { kind: None, owner: None, shares: None },
    };
    let service = |kind, shares| Change::PutMember {
        user: "a".into(),
        ai_access: None,
        team: None,
        role: None,
        service: ServiceChange { kind: Some(kind), owner: some("o"), shares: Some(shares) },
    };
    let allocation =
        |overflow| Change::SetAllocation { user: "a".into(), amount: 1, overflow: Some(overflow) };
    let team = |change| admin(Change::Team { team: "t".into(), change });
    let adjust = |delta| Change::AdjustAllocation { user: "a".into(), delta };
    let sources = [Source::Allocation, Source::Reserve(1), Source::Shared, Source::Overage];
    let line = |wish| LineMessage {
        number: 7,
        user: "a".into(),
        cycle: 1,
        scope: scope(),
        returned: sources.clone().map(|source| (backing(source), 1)).to_vec(),
        used: Used {
            by_backing: vec![(backing(Source::Shared), 3, 4)],
            by_meter: vec![(meter(), metered())],
        },
        held: 5,
        confirmed: 6,
        wish,
    };
    let wishes = [Wish::Report, Wish::Draw { target: 8, floor: 9, need: 10 }, Wish::Close];
    let batch = HolderBatch {
        holder: holder(),
        journal_sequence: 11,
        workspace: "w".into(),
        lines: wishes.map(line).to_vec(),
        recalled: true,
    };
    vec![
        ("put-workspace-open", admin(settings(Some(Membership::Open), Some(Durability::Local)))),
        ("put-workspace-listed", admin(settings(Some(Membership::Listed), Some(Durability::Disk)))),
        ("put-workspace-quorum", admin(settings(None, Some(Durability::Quorum)))),
        ("make-plan", admin(grant(GrantKind::Plan))),
        ("make-seat", admin(grant(GrantKind::Seat))),
        ("make-pack", admin(grant(GrantKind::Pack))),
        ("make-trial", admin(grant(GrantKind::Trial))),
        ("make-promotion", admin(grant(GrantKind::Promotion))),
        ("make-correction", admin(grant(GrantKind::Correction))),
        ("make-keep-none", admin(rolling(Keep::None, None))),
        ("make-keep-all", admin(rolling(Keep::All, Some(1)))),
        ("make-keep-up-to", admin(rolling(Keep::UpTo(300), Some(2)))),
        ("make-keep-percent", admin(rolling(Keep::Percent(50), None))),
        ("cycles-month", admin(cycles(Every::Month))),
        ("cycles-year", admin(cycles(Every::Year))),
        ("void", admin(Change::VoidGrant { grant: "g".into() })),
        ("owner", admin(member(Role::Owner))),
        ("admin", admin(member(Role::Admin))),
        ("member", admin(member(Role::Member))),
        ("service", admin(service(MemberKind::Service, Shares::With("s".into())))),
        ("service-with-owner", admin(service(MemberKind::Service, Shares::WithOwner))),
        ("service-no-more", admin(service(MemberKind::User, Shares::Nothing))),
        ("allocation-none", admin(allocation(Overflow::None))),
        ("allocation-shared", admin(allocation(Overflow::Shared))),
        ("lower", admin(adjust(CreditsDelta::Lower(1)))),
        ("raise", admin(adjust(CreditsDelta::Raise(2)))),
        ("remove-allocation", admin(Change::RemoveAllocation { user: "a".into() })),
        (
            "reallocate",
            admin(Change::Reallocate { id: "r".into(), from: "a".into(), to: "b".into(), amount: 1 }),
        ),
        (
            "limit",
            admin(Change::SetLimit { of: Subject::User("a".into()), window: Window::Day, amount: Some(1) }),
        ),
        ("plan-set", admin(Change::Plan(PlanChange::Set { plan: plan(MidCycle::Whole), when: When::Now }))),
        (
            "plan-next",
            admin(Change::Plan(PlanChange::Set { plan: plan(MidCycle::Prorated), when: When::NextCycle })),
        ),
        ("pooling-pooled", admin(Change::SetPooling(Pooling::Pooled))),
        ("pooling-per-seat", admin(Change::SetPooling(Pooling::PerSeat))),
        ("pooling-own-first", admin(Change::SetPooling(Pooling::OwnFirst))),
        ("overage-off", admin(Change::SetOverage { user: None, rule: Some(OverageRule::Off) })),
        ("overage-on", admin(Change::SetOverage { user: None, rule: Some(OverageRule::On) })),
        ("overage-cap", admin(Change::SetOverage { user: some("a"), rule: Some(OverageRule::UpTo(300)) })),
        ("overage-none", admin(Change::SetOverage { user: some("a"), rule: None })),
        ("team-top", team(TeamChange::Put { parent: None })),
        ("team-nested", team(TeamChange::Put { parent: some("e") })),
        ("team-remove", team(TeamChange::Remove)),
        ("reserve-set", team(TeamChange::SetReserve { amount: 300 })),
        ("reserve-adjust", team(TeamChange::AdjustReserve { delta: CreditsDelta::Lower(1) })),
        ("reserve-remove", team(TeamChange::RemoveReserve)),
        ("refund-all", admin(refund(AnyCharge::Consume(charge_id()), None))),
        ("refund-of-hold", admin(refund(AnyCharge::Hold(HoldId { node: 300, number: 1 << 40 }), Some(1)))),
        ("import-usage", admin(Change::ImportUsage(vec![new_import(Some(300)), new_import(None)]))),
        ("plan-cancel", admin(Change::Plan(PlanChange::Cancel))),
        ("holder", Command::Holder(batch)),
        ("register", Command::Register { holder: holder(), journal_sequence: 1 }),
        ("forget-charge", Command::Forget { holder: holder(), mode: ForgetMode::Charge }),
        ("forget-credit", Command::Forget { holder: holder(), mode: ForgetMode::Credit }),
        ("put-card", price_change(PriceChange::PutCard { list: price_list(), effective_at: Some(300) })),
        ("remove-card", price_change(PriceChange::RemoveCard { version: 2 })),
        ("set-own", price_change(PriceChange::SetOwn { workspace: "w".into(), list: price_list() })),
        ("tick", Command::Tick { workspace: "w".into() }),
        (
            "cycle-ends",
            Command::SetCycleEnds {
                workspace: "w".into(),
                cycle: 3,
                ends: CycleEnds { rule: rule(Every::Year), ends: vec![7] },
            },
        ),
    ]
}

fn pending() -> Vec<Pending> {
    vec![Pending { node: 1, amount: 2 }]
}

fn reallocation() -> ReallocationAnswer {
    ReallocationAnswer {
        id: "r".into(),
        from: "a".into(),
        to: "b".into(),
        asked: 6,
        moved: 1,
        lapsed: 3,
        pending: pending(),
        at: 9,
    }
}

fn grant(no: u32, state: GrantState) -> Grant {
    let books = GrantBooks {
        amount: 1,
        available: 2,
        earmarked: 3,
        out: 4,
        used: 5,
        unattributed: 6,
        written_off: 7,
        expired: 8,
        voided: 9,
        refunded: 10,
        exposure: 11,
        for_overage: 12,
    };
    Grant {
        no,
        id: "g".into(),
        kind: GrantKind::Pack,
        priority: 1,
        paid: false,
        created_at: 2,
        starts_at: 3,
        expires_at: Some(4),
        term: Term::Cycle(Rollover { keep: Keep::All, cycles: Some(1) }),
        price: None,
        rolled: Some(Rolled { cycle: 1, last: Some(2), left: 3, kept: 4 }),
        state,
        made: 5,
        revision: 6,
        books,
    }
}

fn charge_id() -> ChargeId {
    ChargeId { node: 300, line: 1 << 40, sequence: 7 }
}

fn refund(charge: AnyCharge, amount: Option<u64>) -> Change {
    let parts = vec![ChargePart { line: 7, cycle: 3, backing: backing(Source::Shared), amount: 300 }];
    let id = amount.map(|_| "r".to_owned());
    Change::Refund(Box::new(NewRefund { id, holder: holder(), charge, user: "a".into(), parts, amount }))
}

pub fn refund_answer() -> RefundAnswer {
    use RefundPlace as Place;
    let places = [Place::Allocation, Place::Shared, Place::Overage, Place::Expired, Place::Voided];
    let to = |place| RefundedTo { from: Source::Shared, grant: "g".into(), amount: 1, place };
    RefundAnswer {
        id: "r".into(),
        charge: AnyCharge::Consume(charge_id()),
        user: "a".into(),
        cycle: 1,
        charged: 2,
        asked: Some(3),
        amount: 4,
        refunded: 5,
        to: places.map(to).to_vec(),
        at: 6,
    }
}

fn new_import(charge: Option<u64>) -> NewImport {
    NewImport {
        id: "i".into(),
        user: "a".into(),
        feature: "chat".into(),
        model: some("m-1"),
        units: vec![("u".into(), 70_000)],
        charge,
        happened_at: -1,
        body: [9; 32],
    }
}

pub fn import() -> Import {
    let from = vec![ImportedFrom { from: Source::Shared, grant: "g".into(), amount: 1 }];
    Import { user: "a".into(), cycle: 3, charged: 300, from, uncovered: 2, happened_at: -1, at: 4 }
}

fn import_answers() -> Vec<ImportAnswer> {
    use ImportRefusal as No;
    let user = || No::UnknownUser("a".into());
    let refused =
        [No::TooOld, No::InFuture, user(), No::Unpriced, No::TooManyUsers, No::TooManyImports, No::TooMuch];
    let results = [ImportResult::Charged, ImportResult::Repeated, ImportResult::Conflict];
    let results = results.into_iter().chain(refused.map(ImportResult::Refused));
    let answer = |result: ImportResult| {
        let import = (result == ImportResult::Charged).then(|| Box::new(import()));
        ImportAnswer { id: "i".into(), result, import }
    };
    results.map(answer).collect()
}

pub fn overage_answer() -> OverageAnswer {
    let cycle = CycleOverage {
        cycle: 3,
        charged: 1,
        refunded: 7,
        out: 2,
        paid: 3,
        billed: 4,
        uncovered: 5,
        price: Some(money()),
    };
    let (user, rule, cycles) = (some("a"), Some(OverageRule::UpTo(5)), vec![cycle]);
    let of_plan = Some(OverageRule::On);
    OverageAnswer { user, rule, of_plan, drawn: 6, cycles, revision: 7, at: 8 }
}

pub fn pooling_answer() -> PoolingAnswer {
    PoolingAnswer {
        mode: Pooling::OwnFirst,
        seats: 1,
        share: 2,
        parts: 3,
        set_aside: 4,
        short: 5,
        by_hand: 6,
        shared: 7,
        pending: pending(),
        revision: 8,
        at: 9,
    }
}

pub fn team_view() -> TeamView {
    TeamView {
        team: "t".into(),
        parent: some("e"),
        members: 1,
        reserve: Some(2),
        standing: 3,
        used: 4,
        leased: 5,
        remaining: 6,
        short: 7,
        pending: pending(),
        revision: 8,
        at: 9,
    }
}

fn outcomes() -> Vec<(&'static str, Outcome)> {
    let view = WorkspaceView {
        id: "w".into(),
        name: "n".into(),
        membership: Membership::Open,
        durability: Durability::Local,
        enforcement: Enforcement::Shadow,
        pooling: Pooling::PerSeat,
        cycle: 1,
        cycle_starts_at: 2,
        cycle_ends_at: Some(3),
        timezone: "Europe/Berlin".into(),
        cycle_rule: Some(rule(Every::Month)),
        granted: 4,
        used: 5,
        refunded: 19,
        held: 6,
        available: 7,
        leased: 8,
        leased_by_node: vec![(1, 8)],
        allocated: 9,
        short: 18,
        reserved: 10,
        shared: 11,
        unattributed: 12,
        written_off: 13,
        exposure: 14,
        pending: 15,
        revision: 16,
        at: 17,
        uncovered: 20,
    };
    let member = MemberView {
        user: "a".into(),
        listed: true,
        ai_access: false,
        team: some("t"),
        role: Role::Member,
        service: Some(service()),
        allocation: Some(1),
        overflow: Some(Overflow::Shared),
        short: 8,
        pending: 2,
        reserve: 9,
        limit: Some(3),
        used: 4,
        refunded: 9,
        leased: 5,
        remaining: 6,
        revision: 7,
    };
    let allocation = AllocationAnswer {
        user: "a".into(),
        amount: Some(1),
        standing: 2,
        overflow: Overflow::None,
        of_seat: true,
        used: 3,
        short: 6,
        pending: pending(),
        revision: 4,
        at: 5,
    };
    let denial = |reason| LineResult::Line {
        drawn: vec![(backing(Source::Shared), 1)],
        frozen: true,
        denied: Some(Denial { reason, available: 2, elsewhere: 3 }),
    };
    let rejected = LineResult::Rejected;
    let lines = [
        denial(DenialReason::Exhausted),
        denial(DenialReason::AllocationExhausted),
        denial(DenialReason::LimitReached(window::golden::hit())),
        denial(DenialReason::AccessDisabled),
        denial(DenialReason::FeatureNotInPlan("p".into())),
        denial(DenialReason::UnknownUser),
        denial(DenialReason::Frozen),
        denial(DenialReason::ScopesChanged),
        denial(DenialReason::OverageCapReached),
        LineResult::Closed,
        rejected(LineRejection::StaleLine { highest: 1 }),
        rejected(LineRejection::OtherLine),
        rejected(LineRejection::BeyondDrawn),
        rejected(LineRejection::MetersDisagree),
        rejected(LineRejection::OtherCycle { now: 2 }),
        rejected(LineRejection::WrittenOff),
        rejected(LineRejection::TooManyLines),
    ];
    let answer = GrantAnswer { grant: grant(0, GrantState::Live), pending: pending(), at: 1 };
    vec![
        ("workspace", Outcome::Workspace(Box::new(view))),
        ("grant", Outcome::Grant(Box::new(answer))),
        ("member-view", Outcome::Member(Box::new(member))),
        ("allocation", Outcome::Allocation(allocation)),
        ("reallocation", Outcome::Reallocation(reallocation())),
        ("lines", Outcome::Lines(lines.map(|result| LineAnswer { number: 1, result }).to_vec())),
        ("registered", Outcome::Registered),
        ("forgotten", Outcome::Forgotten { lines: 1, written_off: 2, exposure: 3 }),
        ("prices", Outcome::Prices(PriceAnswer { version: 1, effective_at: 2 })),
        ("ticked", Outcome::Ticked),
        ("plan", Outcome::Plan(Box::new(plan_answer()))),
        ("pooling", Outcome::Pooling(Box::new(pooling_answer()))),
        ("overage", Outcome::Overage(Box::new(overage_answer()))),
        ("team", Outcome::Team(Box::new(team_view()))),
        ("refund", Outcome::Refund(Box::new(refund_answer()))),
        ("imported", Outcome::Imported(import_answers())),
    ]
}

#[test]
fn commands_are_golden() {
    for (name, command) in commands() {
        check(name, command);
    }
    let commands = vec![vec![41, 1].into(), vec![].into()];
    check("batch", Batch { at: 1_000, commands });
}

#[test]
fn answers_are_golden() {
    let events = || {
        vec![Event::Recall { line: line_id(), user: "a".into() }, Event::HolderFenced { holder: holder() }]
    };
    for (name, outcome) in outcomes() {
        check(name, Applied { result: Ok(outcome), events: events() });
    }
    for (name, rejection) in rejections() {
        check(name, Applied { result: Err(rejection), events: vec![] });
    }
}
