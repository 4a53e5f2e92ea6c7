//! Which consumes were not decided from what lay ready where they came in. Not here: how many were asked (`api`).
//!
//! Only these are counted: a consume that is decided on the word touches no line that others write.

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub struct Counts {
    waited: AtomicU64,
    forwarded: AtomicU64,
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

    pub(crate) fn note_waited(&self) {
        self.waited.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_forwarded(&self) {
        self.forwarded.fetch_add(1, Ordering::Relaxed);
    }
}
