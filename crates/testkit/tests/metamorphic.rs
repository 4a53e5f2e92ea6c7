//! What must not matter: how a history is told. The same history told otherwise leaves the same books: a consume asked for
//! in two parts, two users' consumes in the other order, users by other names. Nothing here knows what the books should
//! be (`histories` does), only that they are the same. `SEED=7` tells one
//! again, `SEEDS=1000` searches longer.
//!
//! Refunds are left out: they pick charges by their place, and a history told otherwise has other places.

use ledger::{Change, OverageRule, PlanChange, Shares, Subject, TeamChange, WorkspaceSettings};
use std::collections::{BTreeMap, BTreeSet};
use testkit::history::{self, History, START};
use testkit::workload::{self, Pace, Step};
use types::{Enforcement, UserId};

const STEPS: usize = 300;
const SEEDS: u64 = 60;

fn seeds() -> std::ops::Range<u64> {
    let number =
        |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("SEED, SEEDS are numbers"));
    number("SEED").map_or(0..number("SEEDS").unwrap_or(SEEDS), |seed| seed..seed + 1)
}

type Books = BTreeMap<String, String>;

/// One history told in two ways.
struct Told {
    /// How often the two differ.
    times: usize,
    books: Books,
    otherwise: Books,
}

impl Told {
    fn differ(&self) -> bool {
        self.books != self.otherwise
    }
}

/// Fails with the shortest history of the first seed whose books differ, and where there are fewer differences than `least`
/// in how they were told.
fn leave_the_same_books(least: usize, of: impl Fn(u64) -> Vec<Step>, tell: impl Fn(u64, &[Step]) -> Told) {
    let mut times = 0;
    for seed in seeds() {
        let steps = of(seed);
        let told = tell(seed, &steps);
        times += told.times;
        if told.differ() {
            let steps = workload::minimised(steps, |steps| tell(seed, steps).differ());
            let film: Vec<_> = steps.iter().map(|step| format!("  {step:?}\n")).collect();
            panic!("SEED={seed}:\n{}{}", differences(&tell(seed, &steps)), film.concat());
        }
    }
    let is_one = std::env::var("SEED").is_ok();
    assert!(is_one || times >= least, "told otherwise only {times} times");
}

fn differences(Told { books, otherwise, .. }: &Told) -> String {
    let names: BTreeSet<_> = books.keys().chain(otherwise.keys()).collect();
    let differs = |of: &&&String| books.get(**of) != otherwise.get(**of);
    let lines = |of: &String| format!("{of}\n  {:?}\n  {:?}\n", books.get(of), otherwise.get(of));
    names.iter().filter(differs).map(|of| lines(of)).collect()
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
fn books(history: &History, name: impl Fn(&UserId) -> String) -> Books {
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
    let of = |seed| {
        let mut steps = steps(seed);
        // In two parts it is of other features.
        steps.retain(|step| !is_limit_of_what_is_asked(step));
        steps.iter_mut().for_each(with_all_features);
        steps
    };
    leave_the_same_books(1_000, of, |seed, steps| {
        let whole = run(seed, steps);
        let mut allowed = whole.allowed.iter();
        let mut in_parts = Vec::with_capacity(steps.len());
        let mut times = 0;
        for step in steps {
            match step {
                Step::Spend { node, user, price }
                    if *allowed.next().expect("one of each consume") && *price > 1 =>
                {
                    let part = |price| Step::Spend { node: *node, user: user.clone(), price };
                    in_parts.extend([part(price / 3 + 1), part(price - price / 3 - 1)]);
                    times += 1;
                }
                _ => in_parts.push(step.clone()),
            }
        }
        Told { times, books: books(&whole, as_it_is), otherwise: books(&run(seed, &in_parts), as_it_is) }
    });
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
    let of = |seed| {
        // Whose the last credits of a reserve are, and whose the first of overage, goes by the order, as it should.
        let mut steps = steps(seed);
        steps.iter_mut().for_each(without_first_comers);
        steps
    };
    leave_the_same_books(500, of, |seed, steps| {
        let told = run(seed, steps);
        let mut allowed = told.allowed.iter();
        let is_allowed: Vec<bool> = steps
            .iter()
            .map(|step| matches!(step, Step::Spend { .. }) && *allowed.next().expect("one of each consume"))
            .collect();
        let (mut otherwise, mut at, mut times) = (steps.to_vec(), 1, 0);
        while at < steps.len() {
            let other_users = match (&steps[at - 1], &steps[at]) {
                (Step::Spend { user: one, .. }, Step::Spend { user: other, .. }) => one != other,
                _ => false,
            };
            let swaps = other_users && is_allowed[at - 1] && is_allowed[at];
            if swaps {
                otherwise.swap(at - 1, at);
                times += 1;
            }
            at += 1 + usize::from(swaps);
        }
        Told { times, books: books(&told, as_it_is), otherwise: books(&run(seed, &otherwise), as_it_is) }
    });
}

fn is_enforcement(step: &Step) -> bool {
    matches!(step, Step::Admin(Change::PutWorkspace(settings)) if settings.enforcement.is_some())
}

/// Which consumes were allowed, too.
fn with_allowed(mut books: Books, history: &History) -> Books {
    books.insert("allowed".to_owned(), format!("{:?}", history.allowed));
    books
}

/// In shadow mode nothing is refused, and the books are those of the same consumes with enforcement on.
#[test]
fn shadow_mode_leaves_the_books_as_enforcement_does() {
    let of = |seed| {
        let mut steps = steps(seed);
        steps.retain(|step| !is_enforcement(step));
        steps
    };
    leave_the_same_books(500, of, |seed, steps| {
        let enforced = run(seed, steps);
        let shadow =
            WorkspaceSettings { enforcement: Some(Enforcement::Shadow), ..WorkspaceSettings::unchanged() };
        let in_shadow: Vec<_> =
            std::iter::once(Step::Admin(Change::PutWorkspace(shadow))).chain(steps.iter().cloned()).collect();
        let shadow = run(seed, &in_shadow);
        let told = with_allowed(books(&enforced, as_it_is), &enforced);
        let mut otherwise = with_allowed(books(&shadow, as_it_is), &shadow);
        // Who was only counted is known in shadow mode alone, and has used nothing.
        let nobody = |of: &String, user: &String| {
            of.starts_with("user ") && !told.contains_key(of) && user.contains("used 0 late 0 past 0")
        };
        otherwise.retain(|of, user| !nobody(of, user));
        let times = shadow.allowed.iter().filter(|allowed| !**allowed).count();
        Told { times, books: told, otherwise }
    });
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

/// As often as a consume is allowed.
fn tell_renamed(seed: u64, steps: &[Step], renamed: Renamed, days: Option<i64>) -> Told {
    let mut other = steps.to_vec();
    other.iter_mut().for_each(|step| rename(step, renamed));
    let (told, other) = (run_with(seed, steps, days), run_with(seed, &other, days));
    let of = |history, name: &dyn Fn(&UserId) -> String| with_allowed(books(history, name), history);
    let times = told.allowed.iter().filter(|allowed| **allowed).count();
    Told { times, books: of(&told, &|user| renamed(user).to_string()), otherwise: of(&other, &as_it_is) }
}

#[test]
fn names_do_not_matter() {
    leave_the_same_books(1_000, steps, |seed, steps| tell_renamed(seed, steps, alike, Some(5)));
}

fn is_shared_out(step: &Step) -> bool {
    matches!(step, Step::Admin(Change::SetPooling(_) | Change::Plan(_) | Change::VoidGrant { .. }))
}

#[test]
fn how_names_sort_does_not_matter_within_a_cycle() {
    let of = |seed| {
        let mut steps = steps(seed);
        // Seats get their credits by name, one after the other, and so do allocations what they stand on once a grant is
        // voided: whose are of which grant goes by that.
        steps.retain(|step| !is_shared_out(step));
        steps
    };
    leave_the_same_books(1_000, of, |seed, steps| tell_renamed(seed, steps, mirrored, None));
}
