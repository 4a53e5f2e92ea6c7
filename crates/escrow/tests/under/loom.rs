//! The races under loom: every interleaving of the smallest size, and every value a load may see, up to three
//! preemptions. Not here: the races themselves (`races`).

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

pub use loom::sync::Arc;
pub use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
pub use loom::thread;

/// Threads beyond the fewest that make a race.
pub const MORE: usize = 0;
/// How often each thread does what it does.
pub const TURNS: u64 = 1;

/// Explores the race; fewer executions than `at_least` mean that it has stopped testing anything.
pub fn explore(name: &str, at_least: usize, race: impl Fn() + Send + Sync + 'static) {
    let executions = std::sync::Arc::new(AtomicUsize::new(0));
    let count = executions.clone();
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        count.fetch_add(1, Relaxed);
        race();
    });
    let executions = executions.load(Relaxed);
    // Not `println`, which is kept back of tests that pass, together with what racy twins say when they are caught.
    writeln!(std::io::stdout(), "loom {name}: {executions} executions").unwrap();
    assert!(executions >= at_least, "{name}: only {executions} executions");
}
