//! The bell: below which balance a spend tells the owner, and that it does so once. Not here: the balance, and in
//! which order the owner sets the bell and looks ([`crate::Words::rest`]).

use std::fmt;

use crate::sync::{AtomicU64, Ordering};

/// Low water, or 0 for silent; one word, so that "somebody has rung" needs no flag beside it.
///
/// Nothing is handed on by these steps themselves, so they are `Relaxed`: the credits' word carries the order, since
/// a spender looks here after its swap, and the owner comes here before his.
pub struct Bell(AtomicU64);

impl Bell {
    /// Until it is set nobody rings.
    pub fn silent() -> Bell {
        Bell(AtomicU64::new(0))
    }

    /// Whether a spend that left so much must tell the owner. Of all spends between two settings one is told so.
    #[inline]
    pub fn rings(&self, left: u64) -> bool {
        left < self.0.load(Ordering::Relaxed) && self.0.swap(0, Ordering::Relaxed) > 0
    }

    /// From now on a spend that leaves less than `low_water` rings, until one has.
    pub fn set(&self, low_water: u64) {
        self.0.store(low_water, Ordering::Relaxed);
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bell").field(&self.0.load(Ordering::Relaxed)).finish()
    }
}
