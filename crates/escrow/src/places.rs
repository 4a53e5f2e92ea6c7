//! Places: how many may be inside at once. Not here: what they are inside of, and who waits for a place (nobody).

use crate::sync::{AtomicU64, Ordering};

/// A count with a bound. Who finds no place is refused; then all were taken at that moment.
///
/// Taken in one swap, and not counted first and asked later: those who are being refused would stand in the way of
/// those for whom there is a place.
#[derive(Debug)]
pub struct Places(AtomicU64);

impl Places {
    /// None is taken yet.
    pub fn free() -> Places {
        Places(AtomicU64::new(0))
    }

    /// Takes one of `all`, if one is free. Who got it leaves it.
    pub fn take(&self, all: u64) -> bool {
        let one_more = |taken: u64| (taken < all).then(|| taken.saturating_add(1));
        self.0.fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_more).is_ok()
    }

    /// Leaves a place that was taken.
    pub fn leave(&self) {
        let before = self.0.fetch_sub(1, Ordering::AcqRel);
        debug_assert!(before > 0, "left by who never came");
    }

    /// How many are taken just now.
    pub fn taken(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}
