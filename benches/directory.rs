//! P2: find one of a million allocations by workspace and user, and spend from it. Not here: the spend alone (`words`).

use actors::{Directory, Handle};
use benches::claim::{Claim, Target, times};
use benches::rounds::{Rounds, ns_per, pin_this_thread};
use benches::{NotMeasured, Size};
use dashmap::DashMap;
use hashbrown::DefaultHashBuilder;
use journal::HandleNo;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use types::{Credits, Scope, UserId, WorkspaceId};

const USERS_PER_WORKSPACE: u64 = 100;
const BALANCE: u64 = 1 << 40;

type Map<S> = DashMap<(String, String), AtomicU64, S>;

pub fn measure(size: Size, _target: &Path) -> Result<Vec<Claim>, NotMeasured> {
    pin_this_thread(0);
    let count = size.of(1_000_000);
    let mut random = SmallRng::seed_from_u64(2);
    let directory = Directory::new(usize::try_from(count).unwrap_or(usize::MAX));
    // As it comes, and with the hash that the directory uses.
    let (map, fast) = (Map::<RandomState>::default(), Map::<DefaultHashBuilder>::default());
    for (at, (workspace, user)) in (1..).zip(shuffled(count, &mut random)) {
        let (id, who) = ids(&workspace, &user);
        let balance = Credits::from_micros(BALANCE).expect("an amount");
        let made = directory.find_or_make(&id, &who, &Scope::ANYTHING, || {
            Handle::filled(HandleNo(at), id.clone(), who.clone(), balance)
        });
        made.ok_or_else(|| NotMeasured::wrong("the directory is too small"))?;
        fast.insert((workspace.clone(), user.clone()), AtomicU64::new(BALANCE));
        map.insert((workspace, user), AtomicU64::new(BALANCE));
    }
    // What is asked for comes from the network, so it is near: the names of a pass lie in the order of the pass.
    let names = shuffled(count, &mut random);
    let wanted: Vec<(WorkspaceId, UserId)> = names.iter().map(|(w, u)| ids(w, u)).collect();
    let one = Credits::from_micros(1).expect("an amount");
    let rounds = Rounds::run(
        size.rounds(9),
        &mut [
            &mut || {
                ns_per(count, || {
                    for (workspace, user) in &wanted {
                        let handle = directory.find(workspace, user).expect("it was put there");
                        black_box(handle.try_spend(one).expect("it has enough"));
                    }
                })
            },
            &mut || ns_per(count, || names.iter().for_each(|key| assert!(spend(&map, key), "it has enough"))),
            &mut || {
                ns_per(count, || names.iter().for_each(|key| assert!(spend(&fast, key), "it has enough")))
            },
            &mut || {
                ns_per(count, || {
                    for (workspace, user) in &wanted {
                        black_box(directory.find(workspace, user));
                    }
                })
            },
        ],
    );
    let ratio = rounds.ratio(0, 1);
    Ok(vec![Claim {
        id: "P2",
        what: "find and spend by (workspace, user) among 1 M allocations",
        against: "`DashMap<(String, String), AtomicU64>` + CAS",
        target: "≤ 0.6×",
        bound: Target::AtMost(0.6),
        value: ratio,
        measured: times(ratio),
        if_missed: format!("finding takes {:.0} ns of it", rounds.median(3)),
        how: format!(
            "one thread, {count} allocations in workspaces of {USERS_PER_WORKSPACE}, uniform order: `Directory::find` + `Handle::try_spend` \
             {:.0} ns (finding alone {:.0} ns), DashMap as it comes {:.0} ns; with the directory's hash {:.0} ns, of which ours is {}",
            rounds.median(0),
            rounds.median(3),
            rounds.median(1),
            rounds.median(2),
            times(rounds.ratio(0, 2))
        ),
        numbers: vec![
            ("ours_ns", rounds.median(0)),
            ("dashmap_ns", rounds.median(1)),
            ("dashmap_fast_hash_ns", rounds.median(2)),
            ("find_ns", rounds.median(3)),
        ],
    }])
}

/// Names of all allocations in a random order.
fn shuffled(count: u64, random: &mut SmallRng) -> Vec<(String, String)> {
    let mut numbers: Vec<u64> = (0..count).collect();
    numbers.shuffle(random);
    let name = |n: u64| {
        (format!("workspace-{:05}", n / USERS_PER_WORKSPACE), format!("user-{:03}", n % USERS_PER_WORKSPACE))
    };
    numbers.into_iter().map(name).collect()
}

fn ids(workspace: &str, user: &str) -> (WorkspaceId, UserId) {
    (WorkspaceId::parse(workspace).expect("an id"), UserId::parse(user).expect("an id"))
}

fn spend<S: BuildHasher + Clone>(map: &Map<S>, key: &(String, String)) -> bool {
    let Some(balance) = map.get(key) else { return false };
    balance.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |now| now.checked_sub(1)).is_ok()
}
