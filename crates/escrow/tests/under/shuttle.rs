//! The races under shuttle: many schedules of larger sizes, drawn at random and by few preemptions at bad moments
//! (PCT). Loads see the last store here: what only the order of memory allows, loom alone finds. Not here: the races
//! themselves (`races`).
//!
//! The seeds are fixed, so that a run means the same tomorrow; `SHUTTLE_RANDOM_SEED` draws others.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner};

pub use shuttle::sync::Arc;
pub use shuttle::sync::atomic::{AtomicBool, AtomicU64, Ordering};
pub use shuttle::thread;

/// Threads beyond the fewest that make a race.
pub const MORE: usize = 3;
/// How often each thread does what it does.
pub const TURNS: u64 = 3;

/// Schedules of each of the two kinds.
const SCHEDULES: usize = 30_000;
const PREEMPTIONS: usize = 3;
const SEED: u64 = 0x7eac_0001;

/// Runs the race under so many schedules. How many loom finds at least says nothing here.
pub fn explore(name: &str, _at_least: usize, race: impl Fn() + Send + Sync + 'static) {
    let schedules = std::sync::Arc::new(AtomicUsize::new(0));
    let race = std::sync::Arc::new(race);
    let run = |scheduler: Box<dyn Scheduler + Send>| {
        let (count, race) = (schedules.clone(), race.clone());
        let mut config = Config::new();
        // That it takes every order for the strongest is said above.
        config.silence_warnings = true;
        Runner::new(scheduler, config).run(move || {
            count.fetch_add(1, Relaxed);
            race();
        });
    };
    run(Box::new(RandomScheduler::new_from_seed(SEED, SCHEDULES)));
    run(Box::new(PctScheduler::new_from_seed(SEED, PREEMPTIONS, SCHEDULES)));
    let schedules = schedules.load(Relaxed);
    // Not `println`, which is kept back of tests that pass, together with what racy twins say when they are caught.
    writeln!(std::io::stdout(), "shuttle {name}: {schedules} schedules").unwrap();
    assert!(schedules >= 2 * SCHEDULES, "{name}: only {schedules} schedules");
}
