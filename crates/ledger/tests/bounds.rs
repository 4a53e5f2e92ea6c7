//! Every bound of `limits` that a script cannot reach in reasonable time: at it, and one past it.
//!
//! Keys, lines per holder and metered names are scripts.

use ledger::{
    AdminCommand, Change, Command, CycleEnds, GrantKind, HolderBatch, ImportRefusal, ImportResult,
    LineMessage, MemberKind, MidCycle, NewGrant, NewImport, Outcome, Plan, PlanChange, PlanTerm, Prices,
    Rejection, Rollover, ServiceChange, Shares, State, Subject, Used, When, Wish, WorkspaceSettings, limits,
};
use std::sync::Arc;
use types::{
    BACKINGS_PER_LINE_MAX, Backing, CivilDate, Credits, CycleDays, CycleNumber, CycleRule, DiskId, Every,
    Feature, GrantId, GrantNo, HolderId, LineNumber, METERS_PER_LINE_MAX, Meter, Metered, Model, NodeId,
    RESERVED_UNITS, Scope, Source, Timestamp, UNITS_PER_METER_MAX, Unit, UserId, Window, WorkspaceId,
    ZoneName,
};

const AT: Timestamp = Timestamp::from_millis(1_000);
const HOLDER: HolderId = HolderId { node: NodeId(1), disk: DiskId(1) };

fn workspace() -> WorkspaceId {
    WorkspaceId::parse("w").unwrap()
}

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn credits(micros: u64) -> Credits {
    Credits::from_micros(micros).unwrap()
}

fn admin(state: &mut State, change: Change) -> Result<Outcome, Rejection> {
    let command = AdminCommand { workspace: workspace(), keyed: None, if_match: None, change };
    state.apply(AT, &Command::Admin(command)).result
}

fn grant(state: &mut State, i: usize) -> Result<Outcome, Rejection> {
    admin(state, Change::MakeGrant(new_grant(i)))
}

fn new_grant(i: usize) -> NewGrant {
    let id = GrantId::parse(&format!("g{i}")).unwrap();
    let (starts_at, expires_at) = (None, None);
    NewGrant {
        id,
        kind: GrantKind::Pack,
        amount: credits(1_000),
        priority: 50,
        paid: true,
        starts_at,
        expires_at,
        price: None,
        term: ledger::Term::Lasting,
    }
}

fn state() -> State {
    let mut state = State::new();
    let settings = WorkspaceSettings::unchanged();
    admin(&mut state, Change::PutWorkspace(settings)).unwrap();
    state.apply(AT, &Command::Register { holder: HOLDER, journal_sequence: 0 }).result.unwrap();
    state
}

fn line(state: &mut State, number: u64, name: &str, used: Used, wish: Wish) -> String {
    let (number, user, cycle, scope) = (LineNumber(number), user(name), CycleNumber::FIRST, Scope::ANYTHING);
    let (returned, held, confirmed) = (Vec::new(), Credits::ZERO, Credits::ZERO);
    let lines = vec![LineMessage { number, user, cycle, scope, returned, used, held, confirmed, wish }];
    let batch =
        HolderBatch { holder: HOLDER, journal_sequence: 0, workspace: workspace(), lines, recalled: false };
    format!("{:?}", state.apply(AT, &Command::Holder(batch)).result)
}

#[test]
fn grants_of_a_workspace() {
    let mut state = state();
    for i in 0..limits::GRANTS_MAX {
        grant(&mut state, i).unwrap();
    }
    let past = grant(&mut state, limits::GRANTS_MAX);
    assert_eq!(past, Err(Rejection::TooMany { what: "grants", max: limits::GRANTS_MAX }));
    assert!(grant(&mut state, 7).is_ok(), "one that was made is answered as at first");
}

#[test]
fn grants_of_plans_within_a_cycle_and_with_one() {
    let mut state = state();
    let (later, ends_at) = (AT.plus_ms(1), AT.plus_ms(86_400_000));
    let days = CycleDays { every: Every::Month, anchor: CivilDate::new(2026, 1, 31).unwrap() };
    let ends = Some(CycleEnds { rule: CycleRule::of(days, ZoneName::utc()), ends: vec![ends_at] });
    let settings = WorkspaceSettings { cycle: Some(days), ends, ..WorkspaceSettings::unchanged() };
    admin(&mut state, Change::PutWorkspace(settings)).unwrap();
    for i in 1..limits::GRANTS_MAX {
        grant(&mut state, i).unwrap();
    }
    let mut put = |allowance, paid| {
        let (per_seat, rollover, mid_cycle) = (Credits::ZERO, Rollover::NONE, MidCycle::Whole);
        let allowance = credits(allowance);
        let id = "p".parse().unwrap();
        let (overage, features, name) = (None, None, None);
        let (prices, term) = (Prices::NONE, PlanTerm::Cycle);
        let plan = Plan {
            id,
            name,
            allowance,
            per_seat,
            paid,
            rollover,
            mid_cycle,
            overage,
            features,
            prices,
            term,
        };
        let change = Change::Plan(PlanChange::Set { plan, when: When::Now });
        let command = AdminCommand { workspace: workspace(), keyed: None, if_match: None, change };
        match state.apply(later, &Command::Admin(command)).result {
            Ok(Outcome::Plan(answer)) => [answer.allowance.owed.micros(), answer.allowance.given.micros()],
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(put(10, true), [10, 10], "the last grant there may be");
    assert_eq!(put(15, true), [15, 15], "it is raised");
    assert_eq!(put(20, false), [20, 15], "other terms would need one more");
    state.apply(ends_at, &Command::Tick { workspace: workspace() }).result.unwrap();
    let pool = state.workspace(&workspace()).unwrap();
    assert_eq!(pool.grants.len(), limits::GRANTS_MAX + 1);
    assert_eq!(
        pool.subscription.as_ref().unwrap().allowance.given,
        credits(20),
        "a cycle's own come all the same"
    );
    assert_eq!(state.violations(), []);
}

#[test]
fn features_of_a_plan() {
    let mut state = state();
    let mut put = |count: usize| {
        let features = (0..count).map(|i| Feature::parse(&format!("f{i}")).unwrap()).collect();
        let (allowance, per_seat) = (Credits::ZERO, Credits::ZERO);
        let (rollover, mid_cycle) = (Rollover::NONE, MidCycle::Whole);
        let (id, features) = ("p".parse().unwrap(), Some(features));
        let (overage, paid, name) = (None, true, None);
        let (prices, term) = (Prices::NONE, PlanTerm::Cycle);
        let plan = Plan {
            id,
            name,
            allowance,
            per_seat,
            paid,
            rollover,
            mid_cycle,
            overage,
            features,
            prices,
            term,
        };
        admin(&mut state, Change::Plan(PlanChange::Set { plan, when: When::NextCycle })).map(|_| ())
    };
    assert_eq!(put(limits::PLAN_FEATURES_MAX), Ok(()));
    let (what, max) = ("features of a plan", limits::PLAN_FEATURES_MAX);
    assert_eq!(put(max + 1), Err(Rejection::TooMany { what, max }));
}

#[test]
fn features_and_models_with_limits() {
    type Of = fn(usize) -> Subject;
    let mut state = state();
    let of_feature: Of = |i| Subject::Feature(Feature::parse(&format!("f{i}")).unwrap());
    let of_model: Of = |i| Subject::Model(Model::parse(&format!("m{i}")).unwrap());
    let all: [(Of, &str, usize); 2] = [
        (of_feature, "features with limits", limits::LIMITED_FEATURES_MAX),
        (of_model, "models with limits", limits::LIMITED_MODELS_MAX),
    ];
    for (of, what, max) in all {
        let mut set = |i: usize, window, amount: Option<u64>| {
            let amount = amount.map(credits);
            admin(&mut state, Change::SetLimit { of: of(i), window, amount })
        };
        for i in 0..max {
            set(i, Window::Day, Some(1)).unwrap();
        }
        assert_eq!(set(max, Window::Day, Some(1)), Err(Rejection::TooMany { what, max }));
        assert!(set(7, Window::Hour, Some(1)).is_ok(), "one that has limits may have another one");
        assert!(set(max, Window::Day, None).is_ok(), "it had none");
        set(8, Window::Day, None).unwrap();
        assert!(set(max, Window::Day, Some(1)).is_ok(), "its place is free");
    }
    assert_eq!(state.violations(), []);
}

#[test]
fn reallocations_of_a_cycle() {
    let mut state = state();
    grant(&mut state, 1).unwrap();
    admin(&mut state, Change::SetAllocation { user: user("ann"), amount: credits(5), overflow: None })
        .unwrap();
    let mut move_one = |i: usize| {
        let id = types::ReallocationId::parse(&format!("r{i}")).unwrap();
        let (from, to) = if i.is_multiple_of(2) { ("ann", "bob") } else { ("bob", "ann") };
        let change = Change::Reallocate { id, from: user(from), to: user(to), amount: credits(1) };
        admin(&mut state, change)
    };
    for i in 0..limits::REALLOCATIONS_MAX {
        move_one(i).unwrap();
    }
    let max = limits::REALLOCATIONS_MAX;
    assert_eq!(
        move_one(max),
        Err(Rejection::TooMany { what: "reallocations in this cycle and the one before", max })
    );
    assert!(move_one(7).is_ok(), "one that was made is answered as at first");
}

fn import(id: &str, micros: u64) -> NewImport {
    NewImport {
        id: types::ImportId::parse(id).unwrap(),
        user: user("ann"),
        feature: Feature::parse("chat").unwrap(),
        model: None,
        units: Vec::new(),
        charge: Some(credits(micros)),
        happened_at: AT,
        body: [0; 32],
    }
}

fn imports(state: &mut State, at: Timestamp, ids: std::ops::Range<usize>) -> Vec<ImportResult> {
    let change = Change::ImportUsage(ids.map(|i| import(&format!("i{i}"), 1)).collect());
    let command = AdminCommand { workspace: workspace(), keyed: None, if_match: None, change };
    match state.apply(at, &Command::Admin(command)).result.unwrap() {
        Outcome::Imported(answers) => answers.into_iter().map(|answer| answer.result).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn imports_at_once() {
    let mut state = state();
    let max = limits::IMPORT_ITEMS_MAX;
    let taken = imports(&mut state, AT, 0..max);
    assert!(taken.len() == max && taken.iter().all(|result| *result == ImportResult::Charged));
    let past = Change::ImportUsage((0..=max).map(|_| import("i", 1)).collect());
    assert_eq!(admin(&mut state, past), Err(Rejection::TooMany { what: "imports at once", max }));
}

#[test]
fn imports_that_are_remembered() {
    let mut state = state();
    let (step, max) = (limits::IMPORT_ITEMS_MAX, limits::IMPORTS_MAX);
    let too_many = [ImportResult::Refused(ImportRefusal::TooManyImports)];
    for from in (0..max).step_by(step) {
        let taken = imports(&mut state, AT, from..(from + step).min(max));
        assert!(taken.iter().all(|result| *result == ImportResult::Charged), "from {from}");
    }
    assert_eq!(imports(&mut state, AT, max..max + 1), too_many);
    assert_eq!(imports(&mut state, AT, 7..8), [ImportResult::Repeated]);
    // The last instant at which all of them can be told of, and the first one at which they cannot.
    let last = AT.plus_ms(limits::IMPORT_GRACE_MS);
    assert_eq!(imports(&mut state, last, max..max + 1), too_many);
    let past = last.plus_ms(1);
    let too_old = [ImportResult::Refused(ImportRefusal::TooOld)];
    assert_eq!(imports(&mut state, past, 7..8), too_old);
    assert!(state.workspace(&workspace()).unwrap().imports.is_empty());
    assert_eq!(state.violations(), []);
}

#[test]
fn what_one_import_is() {
    let mut state = state();
    let mut told =
        |id: &str, micros: u64| match admin(&mut state, Change::ImportUsage(vec![import(id, micros)]))
            .unwrap()
        {
            Outcome::Imported(answers) => answers[0].result.clone(),
            other => panic!("{other:?}"),
        };
    let max = limits::IMPORT_MICROS_MAX;
    assert_eq!(told("past", max + 1), ImportResult::Refused(ImportRefusal::TooMuch));
    assert_eq!(told("most", max), ImportResult::Charged);
    assert_eq!(state.violations(), []);
}

#[test]
fn grants_that_an_import_names() {
    let mut state = state();
    let shown = limits::IMPORT_PARTS_SHOWN;
    for i in 0..shown + 2 {
        let change = Change::MakeGrant(NewGrant { amount: credits(1), ..new_grant(i) });
        admin(&mut state, change).unwrap();
    }
    let mut named = |id: &str, micros: usize| match admin(
        &mut state,
        Change::ImportUsage(vec![import(id, micros as u64)]),
    )
    .unwrap()
    {
        Outcome::Imported(answers) => {
            let import = answers[0].import.clone().unwrap();
            (import.from.len(), import.uncovered)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(named("all", shown + 1), (shown, Credits::ZERO), "all of them pay, the first ones are named");
    assert_eq!(named("rest", 2), (1, credits(1)));
}

#[test]
fn users_of_a_workspace() {
    let mut state = state();
    grant(&mut state, 1).unwrap();
    let known = Arc::make_mut(state.workspaces.get_mut(&workspace()).unwrap());
    for i in 1..limits::USERS_MAX {
        known.users.insert(user(&format!("u{i}")), ledger::User::default());
    }
    let draw = Wish::Draw { target: credits(1), floor: credits(1), need: credits(1) };
    let drawn = line(&mut state, 1, "last", Used::default(), draw);
    assert!(drawn.contains("denied: None"), "{drawn}");
    let max = limits::USERS_MAX;
    let limit = |name| Change::SetLimit {
        of: ledger::Subject::User(user(name)),
        window: types::Window::Cycle,
        amount: Some(credits(1)),
    };
    assert_eq!(admin(&mut state, limit("past")), Err(Rejection::TooMany { what: "users", max }));
    assert!(admin(&mut state, limit("last")).is_ok());
    let mut told = |name| {
        let item = NewImport { user: user(name), ..import(name, 1) };
        match admin(&mut state, Change::ImportUsage(vec![item])).unwrap() {
            Outcome::Imported(answers) => answers[0].result.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(told("last"), ImportResult::Charged);
    assert_eq!(told("past"), ImportResult::Refused(ImportRefusal::TooManyUsers));
    let drawn = line(&mut state, 2, "past", Used::default(), draw);
    assert!(drawn.contains("UnknownUser"), "{drawn}");
    let drawn = line(&mut state, 3, "u7", Used::default(), draw);
    assert!(drawn.contains("denied: None"), "{drawn}");
}

#[test]
fn services_of_a_workspace() {
    let mut state = state();
    let member = |name: &str, service| Change::PutMember {
        user: user(name),
        ai_access: None,
        team: None,
        role: None,
        service,
    };
    let owned = || ServiceChange {
        kind: Some(MemberKind::Service),
        owner: Some(user("ann")),
        shares: Some(Shares::Nothing),
    };
    admin(&mut state, member("ann", ServiceChange::NONE)).unwrap();
    for i in 0..limits::SERVICES_MAX {
        admin(&mut state, member(&format!("s{i}"), owned())).unwrap();
    }
    let one_too_many = admin(&mut state, member("bot", owned()));
    assert_eq!(one_too_many, Err(Rejection::TooMany { what: "services", max: limits::SERVICES_MAX }));
    // Users may still come, and one that is a service may be a user, and gives up its place.
    admin(&mut state, member("bot", ServiceChange::NONE)).unwrap();
    let no_more = ServiceChange { kind: Some(MemberKind::User), ..ServiceChange::NONE };
    admin(&mut state, member("s7", no_more)).unwrap();
    admin(&mut state, member("bot", owned())).unwrap();
}

#[test]
fn meters_and_units_of_a_message() {
    let mut state = state();
    grant(&mut state, 1).unwrap();
    let draw = Wish::Draw { target: credits(500), floor: credits(500), need: credits(500) };
    line(&mut state, 1, "ann", Used::default(), draw);
    let backing = Backing { source: Source::Shared, grant: GrantNo(0) };
    let mut report = |meters: usize, units: usize| {
        let meter = |i: usize| {
            let feature = Feature::parse(&format!("f{i}")).unwrap();
            let mut units: Vec<_> = (0..units).map(|i| (Unit::parse(&format!("u{i}")).unwrap(), 1)).collect();
            units.sort();
            let by_grant = [(GrantNo(0), credits(1))].into_iter().collect();
            let metered = Metered { credits: credits(1), calls: 1, units, by_grant };
            (Meter { feature, model: None, day: AT.day() }, metered)
        };
        let by_backing = vec![(backing, credits(meters as u64), Credits::ZERO)];
        let used = Used { by_backing, by_meter: (0..meters).map(meter).collect() };
        line(&mut state, 1, "ann", used, Wish::Report).contains("MetersDisagree")
    };
    let (meters, units) = (METERS_PER_LINE_MAX, UNITS_PER_METER_MAX + RESERVED_UNITS);
    assert!(report(meters + 1, 1));
    assert!(report(1, units + 1));
    assert!(!report(meters, units));
}

#[test]
fn backings_of_a_line() {
    let mut state = state();
    // 1,000 micro-credits each.
    (0..2 * BACKINGS_PER_LINE_MAX).for_each(|i| drop(grant(&mut state, i).unwrap()));
    let most = 1_000 * BACKINGS_PER_LINE_MAX as u64;
    let mut draw = |number: u64, target: u64, floor: u64| {
        let wish = Wish::Draw { target: credits(target), floor: credits(floor), need: credits(target) };
        let drawn = line(&mut state, number, "ann", Used::default(), wish);
        let denied = ["Frozen", "Exhausted", "denied: None"].into_iter().find(|word| drawn.contains(word));
        (drawn.matches("Backing {").count(), denied.unwrap().to_owned())
    };
    // One past the bound on a new line: no line can pay that. At the bound, or with less than is asked for: yes.
    assert_eq!(draw(1, most + 1, most + 1), (0, "Exhausted".into()));
    assert_eq!(draw(1, most + 1, most), (BACKINGS_PER_LINE_MAX, "denied: None".into()));
    // There is more behind other grants: on another line.
    assert_eq!(draw(1, most + 1, most + 1), (BACKINGS_PER_LINE_MAX, "Frozen".into()));
    assert_eq!(draw(2, most, most), (BACKINGS_PER_LINE_MAX, "denied: None".into()));
    assert_eq!(draw(2, most + 1, most + 1), (BACKINGS_PER_LINE_MAX, "Exhausted".into()));
}

/// What is out of the grants that a line could be paid by is named, so that it is fetched before anybody is refused.
#[test]
fn backings_that_are_out_elsewhere() {
    let mut state = state();
    (0..=BACKINGS_PER_LINE_MAX).for_each(|i| drop(grant(&mut state, i).unwrap()));
    let most = 1_000 * BACKINGS_PER_LINE_MAX as u64;
    let wish =
        |amount: u64| Wish::Draw { target: credits(amount), floor: credits(amount), need: credits(amount) };
    line(&mut state, 1, "bob", Used::default(), wish(5));
    let denied = line(&mut state, 2, "ann", Used::default(), wish(most));
    assert!(denied.contains("Exhausted") && denied.contains("elsewhere: Credits(5)"), "{denied}");
}
