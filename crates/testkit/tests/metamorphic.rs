//! What must not matter: how a history is told. The same history told otherwise leaves the same books: a consume asked for
//! in two parts, two users' consumes in the other order, users by other names. Nothing here knows what the books should
//! be (`histories` does), only that they are the same. `SEEDS=1000` searches longer.
//!
//! Refunds are left out: they pick charges by their place, and a history told otherwise has other places.

use ledger::{Change, OverageRule, PlanChange, Shares, Subject, TeamChange, WorkspaceSettings};
use std::collections::BTreeMap;
use testkit::history::{self, History, START};
use testkit::workload::{self, Pace, Step};
use types::{Enforcement, UserId};

const STEPS: usize = 300;
const SEEDS: u64 = 60;

fn seeds() -> std::ops::Range<u64> {
    let more = std::env::var("SEEDS").ok().map(|text| text.parse().expect("SEEDS is a number"));
    0..more.unwrap_or(SEEDS)
}

fn steps(seed: u64) -> Vec<Step> {
    let mut steps = workload::steps(seed, Pace::Prompt, STEPS, START);
    steps.retain(|step| !matches!(step, Step::Refund { .. }));
    steps
}

fn run(seed: u64, steps: &[Step]) -> History {
    run_with(seed, steps, [None, Some(20), Some(5)][usize::try_from(seed % 3).expect("below three")])
}

/// With cycles of so many days.
fn run_with(seed: u64, steps: &[Step], days: Option<i64>) -> History {
    let history = history::run(steps, Pace::Prompt, days);
    history.unwrap_or_else(|broken| panic!("SEED={seed}: {}: {}", broken.sentence, broken.what))
}

/// What is in the books, by grant, by user and by team; not which user's consume took which of the shared credits.
fn books(history: &History, name: impl Fn(&UserId) -> String) -> BTreeMap<String, String> {
    let pool = history.pool();
    let set_aside = |allocation: &Option<ledger::Allocation>| {
        let of = |a: &ledger::Allocation| {
            format!(
                "{} {:?} used {} left {} short {}",
                a.standing,
                a.overflow,
                a.used,
                a.earmarks.total(),
                a.short
            )
        };
        allocation.as_ref().map(of)
    };
    let mut books = BTreeMap::from([("pool".to_owned(), format!("{:?}", pool.totals))]);
    books.extend(
        pool.grants.iter().map(|g| (format!("grant {}", g.id), format!("{:?} {:?}", g.state, g.books))),
    );
    books.extend(pool.users.iter().map(|(id, user)| {
        let counts = format!("{:?} used {} late {} past {}", user.recent, user.used, user.late, user.past);
        let own =
            format!("share {:?} of it {} own {:?}", user.share, user.of_share, set_aside(&user.allocation));
        (format!("user {}", name(id)), format!("{counts} {own}"))
    }));
    books.extend(
        pool.teams.iter().map(|(id, team)| (format!("team {id}"), format!("{:?}", set_aside(&team.reserve)))),
    );
    books
}

#[track_caller]
fn same(seed: u64, told: &BTreeMap<String, String>, otherwise: &BTreeMap<String, String>) {
    let differs = |of: &&String| told.get(*of) != otherwise.get(*of);
    let names = told.keys().chain(otherwise.keys()).filter(differs);
    let films: Vec<_> =
        names.map(|of| format!("{of}\n  {:?}\n  {:?}\n", told.get(of), otherwise.get(of))).collect();
    assert!(films.is_empty(), "SEED={seed}:\n{}", films.concat());
}

fn as_it_is(user: &UserId) -> String {
    user.to_string()
}

fn is_limit_of_what_is_asked(step: &Step) -> bool {
    use Subject::{Feature, Model};
    matches!(
        step,
        Step::Admin(
            Change::SetLimit { of: Feature(_) | Model(_), .. }
                | Change::LiftLimits { of: Feature(_) | Model(_) }
        )
    )
}

fn with_all_features(step: &mut Step) {
    if let Step::Admin(Change::Plan(PlanChange::Set { plan, .. })) = step {
        plan.features = None;
    }
}

#[test]
fn a_consume_in_two_parts_is_the_same_as_one() {
    let mut split = 0;
    for seed in seeds() {
        let mut steps = steps(seed);
        // In two parts it is of other features.
        steps.retain(|step| !is_limit_of_what_is_asked(step));
        steps.iter_mut().for_each(with_all_features);
        let whole = run(seed, &steps);
        let mut allowed = whole.allowed.iter();
        let mut in_parts = Vec::with_capacity(steps.len());
        for step in &steps {
            match step {
                Step::Spend { node, user, price }
                    if *allowed.next().expect("one of each consume") && *price > 1 =>
                {
                    let part = |price| Step::Spend { node: *node, user: user.clone(), price };
                    in_parts.extend([part(price / 3 + 1), part(price - price / 3 - 1)]);
                    split += 1;
                }
                _ => in_parts.push(step.clone()),
            }
        }
        same(seed, &books(&whole, as_it_is), &books(&run(seed, &in_parts), as_it_is));
    }
    assert!(split >= 1_000, "only {split} were split");
}

fn without_first_comers(step: &mut Step) {
    match step {
        Step::Admin(Change::SetOverage { rule, .. }) => *rule = Some(OverageRule::Off),
        Step::Admin(Change::Plan(PlanChange::Set { plan, .. })) => plan.overage = None,
        Step::Admin(Change::Team { change, .. }) => {
            if let TeamChange::SetReserve { .. } | TeamChange::AdjustReserve { .. } = change {
                *change = TeamChange::RemoveReserve;
            }
        }
        _ => {}
    }
}

#[test]
fn the_order_of_two_users_consumes_does_not_matter_where_both_are_allowed() {
    let mut swapped = 0;
    for seed in seeds() {
        // Whose the last credits of a reserve are, and whose the first of overage, goes by the order, as it should.
        let mut steps = steps(seed);
        steps.iter_mut().for_each(without_first_comers);
        let told = run(seed, &steps);
        let mut allowed = told.allowed.iter();
        let is_allowed: Vec<bool> = steps
            .iter()
            .map(|step| matches!(step, Step::Spend { .. }) && *allowed.next().expect("one of each consume"))
            .collect();
        let (mut otherwise, mut at) = (steps.clone(), 1);
        while at < steps.len() {
            let other_users = match (&steps[at - 1], &steps[at]) {
                (Step::Spend { user: one, .. }, Step::Spend { user: other, .. }) => one != other,
                _ => false,
            };
            let swaps = other_users && is_allowed[at - 1] && is_allowed[at];
            if swaps {
                otherwise.swap(at - 1, at);
                swapped += 1;
            }
            at += 1 + usize::from(swaps);
        }
        same(seed, &books(&told, as_it_is), &books(&run(seed, &otherwise), as_it_is));
    }
    assert!(swapped >= 500, "only {swapped} were swapped");
}

fn is_enforcement(step: &Step) -> bool {
    matches!(step, Step::Admin(Change::PutWorkspace(settings)) if settings.enforcement.is_some())
}

/// In shadow mode nothing is refused, and the books are those of the same consumes with enforcement on.
#[test]
fn shadow_mode_leaves_the_books_as_enforcement_does() {
    let mut refused = 0;
    for seed in seeds() {
        let mut steps = steps(seed);
        steps.retain(|step| !is_enforcement(step));
        let enforced = run(seed, &steps);
        let shadow =
            WorkspaceSettings { enforcement: Some(Enforcement::Shadow), ..WorkspaceSettings::unchanged() };
        steps.insert(0, Step::Admin(Change::PutWorkspace(shadow)));
        let shadow = run(seed, &steps);
        assert_eq!(enforced.allowed, shadow.allowed, "SEED={seed}");
        let (enforced, mut counted) = (books(&enforced, as_it_is), books(&shadow, as_it_is));
        // Who was only counted is known in shadow mode alone, and has used nothing.
        let nobody = |of: &String, user: &String| {
            of.starts_with("user ") && !enforced.contains_key(of) && user.contains("used 0 late 0 past 0")
        };
        counted.retain(|of, user| !nobody(of, user));
        same(seed, &enforced, &counted);
        refused += shadow.allowed.iter().filter(|allowed| !**allowed).count();
    }
    assert!(refused >= 500, "only {refused} would have been refused");
}

/// Another name for each.
type Renamed = fn(&UserId) -> UserId;

/// They sort as before.
fn alike(user: &UserId) -> UserId {
    UserId::parse(&format!("renamed-{user}")).expect("a valid id")
}

/// They sort the other way round.
fn mirrored(user: &UserId) -> UserId {
    let name: &str = user.as_str();
    let first = name.bytes().next().expect("no empty id");
    let mirrored = char::from(b'a' + b'z' - first);
    UserId::parse(&format!("{mirrored}{name}@example.org")).expect("a valid id")
}

fn rename_change(change: &mut Change, renamed: Renamed) {
    match change {
        Change::PutMember { user, service, .. } => {
            *user = renamed(user);
            service.owner = service.owner.as_ref().map(renamed);
            if let Some(Shares::With(other)) = &mut service.shares {
                *other = renamed(other);
            }
        }
        Change::SetAllocation { user, .. }
        | Change::AdjustAllocation { user, .. }
        | Change::RemoveAllocation { user }
        | Change::SetLimit { of: Subject::User(user), .. }
        | Change::LiftLimits { of: Subject::User(user) }
        | Change::SetOverage { user: Some(user), .. } => *user = renamed(user),
        Change::Reallocate { from, to, .. } => (*from, *to) = (renamed(from), renamed(to)),
        _ => {}
    }
}

fn rename(step: &mut Step, renamed: Renamed) {
    match step {
        Step::Admin(change) => rename_change(change, renamed),
        Step::Spend { user, .. } => *user = renamed(user),
        Step::Import { items } => items.iter_mut().for_each(|item| item.user = renamed(&item.user)),
        _ => {}
    }
}

/// How many consumes were allowed.
fn leaves_the_same_books(seed: u64, steps: &[Step], renamed: Renamed, days: Option<i64>) -> usize {
    let mut otherwise = steps.to_vec();
    otherwise.iter_mut().for_each(|step| rename(step, renamed));
    let (told, otherwise) = (run_with(seed, steps, days), run_with(seed, &otherwise, days));
    assert_eq!(told.allowed, otherwise.allowed, "SEED={seed}");
    same(seed, &books(&told, |user| renamed(user).to_string()), &books(&otherwise, as_it_is));
    told.allowed.iter().filter(|allowed| **allowed).count()
}

#[test]
fn names_do_not_matter() {
    let of = |seed| leaves_the_same_books(seed, &steps(seed), alike, Some(5));
    let allowed: usize = seeds().map(of).sum();
    assert!(allowed >= 1_000, "only {allowed} were allowed");
}

#[test]
fn how_names_sort_does_not_matter_within_a_cycle() {
    let of = |seed| {
        let mut steps = steps(seed);
        // Seats get their credits by name, one after the other, and so do allocations with a new cycle: whose are of
        // which grant goes by that.
        steps.retain(|step| !matches!(step, Step::Admin(Change::SetPooling(_) | Change::Plan(_))));
        leaves_the_same_books(seed, &steps, mirrored, None)
    };
    let allowed: usize = seeds().map(of).sum();
    assert!(allowed >= 1_000, "only {allowed} were allowed");
}
