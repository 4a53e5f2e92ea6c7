//! Random histories with crashes at random points, against a model that only remembers what it was told. Not here: what
//! each operation means (`scripts`), and the model (`world`).

mod holder;
mod world;

use platform::Unsynced;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use world::{Crash, KEYS, Seen, Step, USERS, World, slot_of};

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let user = || 0..USERS;
    let amounts = prop::collection::vec(0..15_u64, 1..6);
    let unsynced = prop_oneof![
        Just(Unsynced::Lost),
        (0..400_usize).prop_map(Unsynced::FirstBytes),
        any::<u64>().prop_map(Unsynced::Scattered),
    ];
    let step = prop_oneof![
        9 => (user(), 1..4_u32, 1..100_u64).prop_map(|(user, grant, more)| Step::Draw { user, grant, more }),
        9 => user().prop_map(|user| Step::Raise { user }),
        18 => (user(), amounts, any::<bool>(), prop::option::of(0..KEYS))
            .prop_map(|(user, amounts, disk, key)| Step::Charge { user, amounts, disk, key }),
        3 => (user(), 0..40_u64, 0..40_u64)
            .prop_map(|(user, balance, above)| Step::GiveBack { user, balance, above }),
        2 => (user(), any::<bool>()).prop_map(|(user, fresh)| Step::Report { user, fresh }),
        1 => user().prop_map(|user| Step::Close { user }),
        1 => user().prop_map(|user| Step::Forget { user }),
        1 => Just(Step::Kill),
        1 => (0..25_u64).prop_map(Step::KillAfter),
        2 => unsynced.prop_map(Step::PowerLoss),
        1 => (1..3_u64).prop_map(Step::FailSyncs),
        1 => (1..3_u64).prop_map(Step::FailWrites),
        3 => (user(), 300..900_u64).prop_map(|(user, calls)| Step::Burst { user, calls }),
        1 => Just(Step::FillDisk),
        1 => Just(Step::FreeDisk),
    ];
    prop::collection::vec(step, 1..120)
}

const CASES: u32 = 3_000;

#[test]
fn nothing_that_was_promised_is_lost_and_nothing_is_spent_twice() {
    let seen = std::cell::Cell::new(Seen::default());
    let config = ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..ProptestConfig::default()
    };
    let run = TestRunner::new(config).run(&(steps(), any::<bool>()), |(steps, last)| {
        let mut world = World::new();
        world.seen = seen.get();
        for step in &steps {
            world.run(step);
        }
        world.crash(if last { Crash::Kill } else { Crash::Power }, Unsynced::Lost);
        for key in 0..KEYS {
            for user in 0..USERS {
                let used = world.keys.contains_key(&slot_of(user, key));
                prop_assert!(world.begin(user, key).is_none() || !used);
            }
        }
        prop_assert!(world.machine.segments().len() <= 3);
        seen.set(world.seen);
        Ok(())
    });
    if let Err(failure) = run {
        panic!("{failure}");
    }
    let Seen { acknowledged, returned, closed, replayed, in_doubt, stopped, exact, rounded, rolled, full } =
        seen.get();
    for (what, count, least_per_100) in [
        ("acknowledged", acknowledged, 300),
        ("returned", returned, 100),
        ("closed", closed, 30),
        ("replayed", replayed, 60),
        ("in doubt", in_doubt, 10),
        ("stopped", stopped, 30),
        ("exact starts", exact, 80),
        ("lines rounded up", rounded, 80),
        ("segments rolled", rolled, 20),
        ("full", full, 5),
    ] {
        assert!(count >= least_per_100 * u64::from(CASES) / 100, "{what}: only {count} in {:?}", seen.get());
    }
}
