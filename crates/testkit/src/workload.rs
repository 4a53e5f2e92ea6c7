//! Steps of a history, drawn from a seed. A step is resolved against the world as it is found, so that any subset of a
//! history is a history too: a failing one is made small by leaving steps out.
//!
//! Not here: what a step does (`history`).

use crate::holder::feature_at;
use crate::naive::plan;
use ledger::{
    Change, ForgetMode, GrantKind, Keep, MemberKind, Membership, MidCycle, NewGrant, OverageRule, Overflow,
    Plan, PlanChange, PlanTerm, Pooling, Prices, Rollover, ServiceChange, Shares, Subject, TeamChange, Term,
    When, WorkspaceSettings, limits,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeSet;
use types::{
    CivilDate, Credits, CreditsDelta, CycleDays, Enforcement, Every, Feature, GrantId, Model, Money,
    ReallocationId, TeamId, Timestamp, UserId, Window,
};

pub const NODES: usize = 3;
const USERS: [&str; 4] = ["ann", "bob", "cid", "dee"];
const TEAMS: [&str; 4] = ["corp", "eng", "design", "icons"];
const AMOUNT_MAX: u64 = 60;
/// Grants of one history, by id; some are asked for twice.
const GRANTS: u64 = 12;
const REALLOCATIONS: u64 = 30;

/// How holders keep up with the administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Every consume is drawn, spent and closed before anything else happens: the naive model predicts everything.
    Prompt,
    /// Leases stay out while everything changes, over a network that loses, repeats and reorders.
    Racy,
}

/// Numbers that pick something are taken modulo what there is.
#[derive(Clone, Debug)]
pub enum Step {
    Admin(Change),
    /// A client asks at a node.
    Spend {
        node: usize,
        user: UserId,
        price: u64,
    },
    Draw {
        node: usize,
        user: UserId,
        more: u64,
        floor: u64,
    },
    Report {
        node: usize,
        pick: usize,
    },
    RepeatReport {
        node: usize,
        pick: usize,
    },
    GiveBack {
        node: usize,
        pick: usize,
        keep: u64,
    },
    Close {
        node: usize,
        pick: usize,
    },
    /// A line's report as if of the next cycle.
    OtherCycle {
        node: usize,
        pick: usize,
    },
    Deliver {
        pick: usize,
    },
    DeliverTwice {
        pick: usize,
    },
    Lose {
        pick: usize,
    },
    /// The node loses its power; its disk stays.
    Crash {
        node: usize,
    },
    /// The node is declared lost, and replaced; the old holder may go on for a while.
    Forget {
        node: usize,
        mode: ForgetMode,
    },
    /// A holder that was declared lost spends, returns or closes.
    LostSpends {
        pick: usize,
        user: UserId,
        price: u64,
    },
    LostCloses {
        pick: usize,
        line: usize,
    },
    /// Of a charge that was reported; `None`: all that is left. Some have names, of which there are few.
    Refund {
        pick: usize,
        amount: Option<u64>,
        name: Option<u8>,
    },
    /// Usage that happened elsewhere.
    Import {
        items: Vec<Told>,
    },
    /// The same as before, as it was said then.
    ImportAgain {
        pick: usize,
    },
    Wait {
        ms: i64,
    },
    /// To the instant at which grants begin and end.
    WaitForMidnight,
}

/// Usage as it is told of later.
#[derive(Clone, Debug)]
pub struct Told {
    pub user: UserId,
    /// `None`: nobody knows a price for it.
    pub amount: Option<u64>,
    /// Less than nothing: it is yet to happen.
    pub ago_ms: i64,
    pub name: u16,
}

pub fn user(i: usize) -> UserId {
    UserId::parse(USERS[i % USERS.len()]).expect("a valid id")
}

fn credits(micros: u64) -> Credits {
    Credits::from_micros(micros).expect("a small number")
}

/// The steps of one seed: the first ones make grants, so that there is something to spend.
pub fn steps(seed: u64, pace: Pace, count: usize, start: Timestamp) -> Vec<Step> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut steps = Vec::with_capacity(count);
    if rng.random() {
        steps.push(Step::Admin(Change::SetOverage { user: None, rule: overage_rule(&mut rng) }));
    }
    for _ in 0..3 {
        steps.push(Step::Admin(Change::MakeGrant(new_grant(&mut rng, start))));
    }
    if rng.random() {
        steps.extend(teams_at_first(&mut rng));
    }
    if rng.random() {
        steps.extend(seats_at_first(&mut rng));
    }
    if rng.random_bool(0.25) {
        steps.extend(services_at_first(&mut rng));
    }
    while steps.len() < count {
        steps.push(match pace {
            Pace::Prompt => prompt_step(&mut rng, start),
            Pace::Racy => racy_step(&mut rng, start),
        });
    }
    if seed % 4 == 1 {
        switch_enforcement(&mut steps, seed);
    }
    steps
}

/// Begins in shadow mode; every now and then enforcement is switched on, or off again.
fn switch_enforcement(steps: &mut Vec<Step>, seed: u64) {
    let mut rng = SmallRng::seed_from_u64(seed ^ 0x5AD0_3E5A);
    let (mut at, mut enforcement) = (0, Enforcement::Shadow);
    while at < steps.len() {
        let settings = WorkspaceSettings { enforcement: Some(enforcement), ..WorkspaceSettings::unchanged() };
        steps.insert(at, Step::Admin(Change::PutWorkspace(settings)));
        (at, enforcement) = match enforcement {
            Enforcement::Shadow => (at + rng.random_range(1..200), Enforcement::On),
            Enforcement::On => (at + rng.random_range(1..40), Enforcement::Shadow),
        };
    }
}

fn prompt_step(rng: &mut SmallRng, start: Timestamp) -> Step {
    match rng.random_range(0..12) {
        11 => import(rng),
        10 => refund(rng),
        0..=4 => spend(rng),
        5..=8 => Step::Admin(change(rng, start)),
        _ => wait(rng),
    }
}

fn racy_step(rng: &mut SmallRng, start: Timestamp) -> Step {
    // Mostly in order: what was sent first arrives first.
    let pick = if rng.random_bool(0.7) { 0 } else { rng.random_range(0..1_000) };
    let node = rng.random_range(0..NODES);
    match rng.random_range(0..128) {
        124..=127 => import(rng),
        120..=123 => refund(rng),
        0..=17 => spend(rng),
        18..=31 => {
            let more = rng.random_range(1..50);
            let floor = if rng.random() { more } else { rng.random_range(0..12) };
            Step::Draw { node, user: any_user(rng), more, floor }
        }
        32..=36 => Step::Report { node, pick: rng.random_range(0..1_000) },
        37..=38 => Step::RepeatReport { node, pick: rng.random_range(0..1_000) },
        39..=42 => Step::GiveBack { node, pick: rng.random_range(0..1_000), keep: rng.random_range(0..8) },
        43..=45 => Step::Close { node, pick: rng.random_range(0..1_000) },
        46 => Step::OtherCycle { node, pick: rng.random_range(0..1_000) },
        47..=94 => Step::Deliver { pick },
        95..=98 => Step::DeliverTwice { pick },
        99..=100 => Step::Lose { pick },
        101 => Step::Crash { node },
        102 if rng.random_bool(0.3) => Step::Forget { node, mode: forget_mode(rng) },
        102..=103 => Step::LostSpends { pick, user: any_user(rng), price: rng.random_range(1..9) },
        104 => Step::LostCloses { pick, line: rng.random_range(0..1_000) },
        105..=118 => Step::Admin(change(rng, start)),
        _ => wait(rng),
    }
}

fn forget_mode(rng: &mut SmallRng) -> ForgetMode {
    if rng.random_bool(0.6) { ForgetMode::Charge } else { ForgetMode::Credit }
}

fn any_user(rng: &mut SmallRng) -> UserId {
    user(rng.random_range(0..USERS.len()))
}

fn spend(rng: &mut SmallRng) -> Step {
    Step::Spend { node: rng.random_range(0..NODES), user: any_user(rng), price: rng.random_range(1..12) }
}

/// Mostly of what was charged last.
fn refund(rng: &mut SmallRng) -> Step {
    let pick = if rng.random() { rng.random_range(0..4) } else { rng.random_range(0..1_000) };
    let amount = rng.random_bool(0.8).then(|| rng.random_range(1..8));
    Step::Refund { pick, amount, name: rng.random_bool(0.4).then(|| rng.random_range(0..4)) }
}

/// Mostly of the last days; some of it under a name that was used before.
fn import(rng: &mut SmallRng) -> Step {
    if rng.random_bool(0.25) {
        let pick = if rng.random() { rng.random_range(0..3) } else { rng.random_range(0..1_000) };
        return Step::ImportAgain { pick };
    }
    const DAY_MS: i64 = 86_400_000;
    let told = |rng: &mut SmallRng| Told {
        user: any_user(rng),
        amount: rng.random_bool(0.95).then(|| rng.random_range(0..30)),
        ago_ms: match rng.random_range(0..20) {
            0 => -rng.random_range(1..DAY_MS),
            1 => rng.random_range(0..50 * DAY_MS),
            2..=8 => rng.random_range(0..7_200_000),
            _ => rng.random_range(0..6 * DAY_MS),
        },
        name: rng.random_range(0..400),
    };
    Step::Import { items: (0..rng.random_range(1..4)).map(|_| told(rng)).collect() }
}

fn wait(rng: &mut SmallRng) -> Step {
    if rng.random() { Step::WaitForMidnight } else { Step::Wait { ms: rng.random_range(1..2 * 86_400_000) } }
}

fn change(rng: &mut SmallRng, start: Timestamp) -> Change {
    let amount = |rng: &mut SmallRng| credits(rng.random_range(0..AMOUNT_MAX));
    match rng.random_range(0..43) {
        41..=42 => {
            let (user, service) = (any_user(rng), service_change(rng));
            Change::PutMember { user, ai_access: None, team: None, role: None, service }
        }
        38..=39 => Change::SetPooling(pooling(rng)),
        40 => Change::PutMember {
            user: any_user(rng),
            ai_access: Some(rng.random_bool(0.5)),
            team: None,
            role: None,
            service: ledger::ServiceChange::NONE,
        },
        30..=31 => {
            let team = Some(rng.random_bool(0.8).then(|| team(rng)));
            Change::PutMember {
                user: any_user(rng),
                ai_access: None,
                team,
                role: None,
                service: ledger::ServiceChange::NONE,
            }
        }
        32..=37 => Change::Team { team: team(rng), change: team_change(rng) },
        28..=29 => {
            Change::SetOverage { user: rng.random_bool(0.3).then(|| any_user(rng)), rule: overage_rule(rng) }
        }
        26..=27 => Change::Plan(plan_change(rng)),
        0..=3 => Change::MakeGrant(new_grant(rng, start)),
        4..=5 => Change::VoidGrant { grant: grant_id(rng) },
        6..=7 => Change::PutMember {
            user: any_user(rng),
            ai_access: Some(rng.random_bool(0.9)),
            team: None,
            role: None,
            service: ledger::ServiceChange::NONE,
        },
        8..=13 => Change::SetAllocation { user: any_user(rng), amount: amount(rng), overflow: overflow(rng) },
        14..=16 => {
            let by = amount(rng);
            let delta = if rng.random() { CreditsDelta::Raise(by) } else { CreditsDelta::Lower(by) };
            Change::AdjustAllocation { user: any_user(rng), delta }
        }
        17..=18 => Change::RemoveAllocation { user: any_user(rng) },
        19..=21 => Change::Reallocate {
            id: reallocation_id(rng),
            from: any_user(rng),
            to: any_user(rng),
            amount: credits(rng.random_range(1..25)),
        },
        22..=23 => {
            let limit = rng.random_bool(0.6).then(|| credits(rng.random_range(0..3 * AMOUNT_MAX)));
            let window = Window::ALL[rng.random_range(0..4)];
            let of = match rng.random_range(0..20) {
                0..=5 => Subject::Team(team(rng)),
                6..=11 => Subject::User(any_user(rng)),
                12..=17 => Subject::Feature(feature(rng)),
                _ => Subject::Model(Model::parse("m-1").expect("a valid id")),
            };
            if rng.random_bool(0.05) {
                return Change::LiftLimits { of };
            }
            Change::SetLimit { of, window, amount: limit }
        }
        24 if rng.random_bool(0.3) => {
            let anchor = CivilDate::new(2026, 1, rng.random_range(3..12)).expect("a date");
            let cycle = Some(CycleDays { every: Every::Month, anchor });
            Change::PutWorkspace(WorkspaceSettings { cycle, ..WorkspaceSettings::unchanged() })
        }
        24 => {
            let membership = if rng.random_bool(0.15) { Membership::Listed } else { Membership::Open };
            let membership = Some(membership);
            Change::PutWorkspace(WorkspaceSettings { membership, ..WorkspaceSettings::unchanged() })
        }
        // One grant of a history is large, so that there is something to spend at the end as well.
        _ => Change::MakeGrant(NewGrant { amount: credits(20 * AMOUNT_MAX), ..new_grant(rng, start) }),
    }
}

/// Mostly the last two of all are services, of the first two.
fn service_change(rng: &mut SmallRng) -> ServiceChange {
    let shares = |rng: &mut SmallRng| match rng.random_range(0..6) {
        0 => Shares::Nothing,
        1..=3 => Shares::WithOwner,
        _ => Shares::With(any_user(rng)),
    };
    let kind = [MemberKind::User, MemberKind::Service, MemberKind::Service][rng.random_range(0..3)];
    let is_user = kind == MemberKind::User;
    ServiceChange {
        kind: rng.random_bool(0.7).then_some(kind),
        owner: (!is_user && rng.random_bool(0.8)).then(|| user(rng.random_range(0..2))),
        shares: (!is_user && rng.random_bool(0.8)).then(|| shares(rng)),
    }
}

/// Users, and services that spend what is theirs.
fn services_at_first(rng: &mut SmallRng) -> Vec<Step> {
    let put = |i: usize, service| {
        let (ai_access, team, role) = (None, None, None);
        Step::Admin(Change::PutMember { user: user(i), ai_access, team, role, service })
    };
    let service = |owner: usize, shares| ServiceChange {
        kind: Some(MemberKind::Service),
        owner: Some(user(owner)),
        shares: Some(shares),
    };
    let with = if rng.random() { Shares::WithOwner } else { Shares::With(user(2)) };
    vec![
        put(0, ServiceChange::NONE),
        put(1, ServiceChange::NONE),
        put(2, service(0, if rng.random() { Shares::WithOwner } else { Shares::Nothing })),
        put(3, service(rng.random_range(0..2), with)),
    ]
}

fn feature(rng: &mut SmallRng) -> Feature {
    let feature = ["chat", "image", "search", "told-later"][rng.random_range(0..4)];
    Feature::parse(feature).expect("a valid id")
}

fn team(rng: &mut SmallRng) -> TeamId {
    TeamId::parse(TEAMS[rng.random_range(0..TEAMS.len())]).expect("a valid id")
}

fn team_change(rng: &mut SmallRng) -> TeamChange {
    let amount = credits(rng.random_range(0..AMOUNT_MAX));
    match rng.random_range(0..12) {
        0..=3 => TeamChange::Put { parent: rng.random_bool(0.7).then(|| team(rng)) },
        4 => TeamChange::Remove,
        5..=8 => TeamChange::SetReserve { amount },
        9 => TeamChange::AdjustReserve { delta: CreditsDelta::Raise(amount) },
        10 => TeamChange::AdjustReserve { delta: CreditsDelta::Lower(amount) },
        _ => TeamChange::RemoveReserve,
    }
}

/// A team with a reserve in another one, and somebody in it.
fn teams_at_first(rng: &mut SmallRng) -> Vec<Step> {
    let id = |i: usize| TeamId::parse(TEAMS[i]).expect("a valid id");
    let mut steps = Vec::new();
    let mut change = |team, change| steps.push(Step::Admin(Change::Team { team, change }));
    change(id(0), TeamChange::Put { parent: None });
    change(id(1), TeamChange::Put { parent: Some(id(0)) });
    for i in [0, 1] {
        change(id(i), TeamChange::SetReserve { amount: credits(rng.random_range(0..AMOUNT_MAX)) });
    }
    for i in 0..USERS.len() {
        let team = Some(rng.random_bool(0.7).then(|| id(rng.random_range(0..2))));
        steps.push(Step::Admin(Change::PutMember {
            user: user(i),
            ai_access: None,
            team,
            role: None,
            service: ledger::ServiceChange::NONE,
        }));
    }
    steps
}

fn pooling(rng: &mut SmallRng) -> Pooling {
    [Pooling::Pooled, Pooling::PerSeat, Pooling::PerSeat, Pooling::OwnFirst][rng.random_range(0..4)]
}

/// Members with credits of their own.
fn seats_at_first(rng: &mut SmallRng) -> Vec<Step> {
    let per_seat = credits(rng.random_range(5..AMOUNT_MAX));
    let plan = Plan { per_seat, ..plan("team") };
    let mut changes = vec![Change::Plan(PlanChange::Set { plan, when: When::Now })];
    for i in 0..USERS.len() {
        let ai_access = Some(rng.random_bool(0.8));
        changes.push(Change::PutMember {
            user: user(i),
            ai_access,
            team: None,
            role: None,
            service: ledger::ServiceChange::NONE,
        });
    }
    changes.push(Change::SetPooling(pooling(rng)));
    changes.into_iter().map(Step::Admin).collect()
}

fn overage_rule(rng: &mut SmallRng) -> Option<OverageRule> {
    match rng.random_range(0..5) {
        0 => None,
        1 => Some(OverageRule::Off),
        2 => Some(OverageRule::On),
        _ => Some(OverageRule::UpTo(credits(rng.random_range(0..AMOUNT_MAX)))),
    }
}

fn plan_change(rng: &mut SmallRng) -> PlanChange {
    if rng.random_bool(0.1) {
        return PlanChange::Cancel;
    }
    let keep = [Keep::None, Keep::None, Keep::All, Keep::Percent(30)][rng.random_range(0..4)];
    let plan = Plan {
        allowance: credits(rng.random_range(0..4 * AMOUNT_MAX)),
        per_seat: credits(rng.random_range(0..AMOUNT_MAX / 2)),
        paid: rng.random_bool(0.9),
        rollover: Rollover { keep, cycles: (keep != Keep::None).then_some(2) },
        mid_cycle: if rng.random() { MidCycle::Whole } else { MidCycle::Prorated },
        overage: if rng.random_bool(0.3) { overage_rule(rng) } else { None },
        features: rng.random_bool(0.2).then(|| features(rng)),
        term: if rng.random_bool(0.2) { PlanTerm::Year } else { PlanTerm::Cycle },
        prices: if rng.random_bool(0.3) { prices(rng) } else { Prices::NONE },
        ..plan(["basic", "pro"][rng.random_range(0..2)])
    };
    PlanChange::Set { plan, when: if rng.random_bool(0.7) { When::Now } else { When::NextCycle } }
}

/// Mostly in one currency.
fn prices(rng: &mut SmallRng) -> Prices {
    let currency = if rng.random_bool(0.9) { "EUR" } else { "USD" };
    let price = |rng: &mut SmallRng| {
        let micros = rng.random_range(0..4 * AMOUNT_MAX);
        rng.random_bool(0.7).then(|| Money::up_to_most(micros, currency.parse().expect("letters")))
    };
    Prices { cycle: price(rng), seat: price(rng), overage: price(rng) }
}

/// Some of those that are spent on.
fn features(rng: &mut SmallRng) -> BTreeSet<Feature> {
    (0..3).filter(|_| rng.random_bool(0.7)).map(feature_at).collect()
}

fn overflow(rng: &mut SmallRng) -> Option<Overflow> {
    [None, Some(Overflow::None), Some(Overflow::Shared)][rng.random_range(0..3)]
}

fn grant_id(rng: &mut SmallRng) -> GrantId {
    GrantId::parse(&format!("g{}", rng.random_range(0..GRANTS))).expect("a valid id")
}

fn reallocation_id(rng: &mut SmallRng) -> ReallocationId {
    ReallocationId::parse(&format!("r{}", rng.random_range(0..REALLOCATIONS))).expect("a valid id")
}

/// Half of them last for ever; the others begin and end within the days a history takes.
fn new_grant(rng: &mut SmallRng, start: Timestamp) -> NewGrant {
    let day = |rng: &mut SmallRng, from: i64, to: i64| start.plus_ms(86_400_000 * rng.random_range(from..to));
    let kind = if rng.random() { GrantKind::Pack } else { GrantKind::Promotion };
    NewGrant {
        id: grant_id(rng),
        kind,
        amount: credits(rng.random_range(1..4 * AMOUNT_MAX)),
        priority: limits::PRIORITY_DEFAULT + rng.random_range(0..3),
        paid: rng.random(),
        starts_at: rng.random_bool(0.2).then(|| day(rng, 0, 10)),
        expires_at: rng.random_bool(0.5).then(|| day(rng, 1, 40)),
        term: if rng.random_bool(0.4) { Term::Cycle(rollover(rng)) } else { Term::Lasting },
        price: None,
    }
}

fn rollover(rng: &mut SmallRng) -> Rollover {
    let keep = match rng.random_range(0..4) {
        0 => Keep::None,
        1 => Keep::All,
        2 => Keep::UpTo(credits(rng.random_range(0..AMOUNT_MAX))),
        _ => Keep::Percent(rng.random_range(0..=100)),
    };
    Rollover { keep, cycles: rng.random_bool(0.6).then(|| rng.random_range(1..4)) }
}

/// The shortest history found that still fails, by leaving out ever smaller parts.
pub fn minimised(steps: Vec<Step>, fails: impl Fn(&[Step]) -> bool) -> Vec<Step> {
    let mut steps = steps;
    let mut part = steps.len().div_ceil(2);
    while part > 0 {
        let (mut at, mut shrunk) = (0, false);
        while at < steps.len() {
            let mut without = steps.clone();
            without.drain(at..(at + part).min(steps.len()));
            if fails(&without) {
                (steps, shrunk) = (without, true);
            } else {
                at += part;
            }
        }
        if !shrunk || part > 1 {
            part /= 2;
        }
    }
    steps
}
