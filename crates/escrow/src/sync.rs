//! What threads share, from std or from one of the two checkers, and the number of the calling thread. No logic.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(all(feature = "shuttle", not(loom)))]
pub(crate) use shuttle::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(any(loom, feature = "shuttle")))]
pub(crate) use std::sync::OnceLock;
#[cfg(not(any(loom, feature = "shuttle")))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(any(loom, feature = "shuttle"))]
pub(crate) use checked::OnceLock;

/// std's, as far as it is used here, with the one load and the one store by which threads meet in it under the
/// checker's eyes.
#[cfg(any(loom, feature = "shuttle"))]
mod checked {
    use super::{AtomicU64, Ordering};

    #[derive(Debug)]
    pub(crate) struct OnceLock<T> {
        is_set: AtomicU64,
        value: std::sync::OnceLock<T>,
    }

    impl<T> OnceLock<T> {
        pub(crate) fn new() -> Self {
            Self { is_set: AtomicU64::new(0), value: std::sync::OnceLock::new() }
        }

        pub(crate) fn get(&self) -> Option<&T> {
            if self.is_set.load(Ordering::Acquire) == 0 { None } else { self.value.get() }
        }

        pub(crate) fn set(&self, value: T) -> Result<(), T> {
            self.value.set(value)?;
            self.is_set.store(1, Ordering::Release);
            Ok(())
        }
    }
}

/// A small number of the calling thread: threads are numbered in the order of their first spend, so
/// that the few that do spend fall on different stripes.
#[cfg(not(any(loom, feature = "shuttle")))]
#[inline]
pub(crate) fn thread_number() -> usize {
    use std::cell::Cell;
    use std::sync::atomic::AtomicUsize;

    const UNNUMBERED: usize = usize::MAX;
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(UNNUMBERED) };
    }

    NUMBER.with(|number| {
        if number.get() == UNNUMBERED {
            number.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        number.get()
    })
}

/// Models say themselves which stripe a thread spends from: a global count would make runs differ.
#[cfg(any(loom, feature = "shuttle"))]
pub(crate) fn thread_number() -> usize {
    0
}
