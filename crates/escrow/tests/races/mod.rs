//! Races: a few threads on an escrow, and what must hold whoever comes first. Each is written once, for loom and for
//! shuttle, and run on twins with a planted mistake too, which must fail. Not here: how they are explored (`under`),
//! long runs on real threads (`stress`).

mod bell;
mod one;
mod places;
mod striped;
mod twin;
mod twin_words;
mod words;

use std::sync::Arc as StdArc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::under::{TURNS, thread};

/// How often something was seen over all executions; kept outside what is explored.
#[derive(Clone)]
struct Seen(StdArc<AtomicUsize>);

impl Seen {
    fn never() -> Seen {
        Seen(StdArc::new(AtomicUsize::new(0)))
    }
    fn note(&self, happened: bool) {
        self.0.fetch_add(usize::from(happened), Relaxed);
    }
    fn must_have(&self, what: &str) {
        assert!(self.0.load(Relaxed) > 0, "never seen in any execution: {what}");
    }
}

/// A thread that does its part so often as threads do; what that came to.
fn turns(mut part: impl FnMut() -> u64 + Send + 'static) -> thread::JoinHandle<u64> {
    thread::spawn(move || (0..TURNS).map(|_| part()).sum())
}

fn sum(threads: impl IntoIterator<Item = thread::JoinHandle<u64>>) -> u64 {
    threads.into_iter().map(|thread| thread.join().unwrap()).sum()
}
