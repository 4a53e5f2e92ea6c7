//! Which consumes were not decided from what lay ready where they came in. Not here: how many were asked (`api`).
//!
//! Only these are counted: a consume that is decided on the word touches no line that others write.

use std::sync::atomic::{AtomicU64, Ordering};
use types::WouldRefuse;

#[derive(Debug, Default)]
pub struct Counts {
    waited: AtomicU64,
    forwarded: AtomicU64,
    would_refuse: [AtomicU64; WouldRefuse::ALL.len()],
}

impl Counts {
    /// Consumes that waited for credits at least once, whether they got them or not.
    pub fn waited(&self) -> u64 {
        self.waited.load(Ordering::Relaxed)
    }

    /// Consumes that were passed on to the user's home.
    pub fn forwarded(&self) -> u64 {
        self.forwarded.load(Ordering::Relaxed)
    }

    /// What would have been refused in shadow mode, by why.
    pub fn would_refuse(&self) -> impl Iterator<Item = (WouldRefuse, u64)> {
        let counts = WouldRefuse::ALL.into_iter().zip(&self.would_refuse);
        counts.map(|(code, count)| (code, count.load(Ordering::Relaxed)))
    }

    pub(crate) fn note_would_refuse(&self, code: WouldRefuse) {
        let at = WouldRefuse::ALL.iter().position(|known| *known == code);
        if let Some(count) = at.and_then(|at| self.would_refuse.get(at)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn note_waited(&self) {
        self.waited.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_forwarded(&self) {
        self.forwarded.fetch_add(1, Ordering::Relaxed);
    }
}
