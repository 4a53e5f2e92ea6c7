//! One node's clocks: true time, made wrong. Not here: when they go wrong (`faults`).

use platform::{BootId, Clock};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use types::Timestamp;

/// When all runs begin.
pub const START: Timestamp = Timestamp::from_millis(20_000 * 86_400_000 + 43_200_000);

#[derive(Debug)]
pub struct NodeClock {
    /// Microseconds since the run began.
    hand: Arc<AtomicU64>,
    wrong: Mutex<Wrong>,
}

#[derive(Debug, Clone, Copy)]
struct Wrong {
    offset_ms: i64,
    /// The wall moves by so many thousandths since then.
    per_mille: u32,
    since_ms: u64,
    booted_ms: u64,
    boot: u128,
}

impl NodeClock {
    pub fn new(hand: Arc<AtomicU64>, node: usize) -> Self {
        let boot = (node as u128 + 1) << 64;
        let wrong = Wrong { offset_ms: 0, per_mille: 1_000, since_ms: 0, booted_ms: 0, boot };
        Self { hand, wrong: Mutex::new(wrong) }
    }

    fn true_ms(&self) -> u64 {
        self.hand.load(Ordering::Relaxed) / 1_000
    }

    fn wrong(&self) -> MutexGuard<'_, Wrong> {
        self.wrong.lock().expect("one thread")
    }

    /// Sets the wall off by so much more.
    pub fn shift(&self, ms: i64) {
        self.wrong().offset_ms += ms;
    }

    /// From now on the wall moves at this rate; 0: it stands still.
    pub fn set_rate(&self, per_mille: u32) {
        let now = self.off_ms();
        let mut wrong = self.wrong();
        (wrong.offset_ms, wrong.since_ms, wrong.per_mille) = (now, self.true_ms(), per_mille);
    }

    /// How far the wall is ahead of true time.
    pub fn off_ms(&self) -> i64 {
        let wrong = *self.wrong();
        let passed = i64::try_from(self.true_ms().saturating_sub(wrong.since_ms)).unwrap_or(0);
        wrong.offset_ms + passed * (i64::from(wrong.per_mille) - 1_000) / 1_000
    }

    /// Right again, as after an adjustment.
    pub fn set_right(&self) {
        let mut wrong = self.wrong();
        (wrong.offset_ms, wrong.per_mille) = (0, 1_000);
    }

    /// The machine starts again.
    pub fn reboot(&self) {
        let booted_ms = self.true_ms();
        let mut wrong = self.wrong();
        wrong.booted_ms = booted_ms;
        wrong.boot += 1;
    }
}

impl Clock for NodeClock {
    fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.true_ms()).unwrap_or(i64::MAX);
        START.plus_ms(passed).plus_ms(self.off_ms())
    }

    fn boottime_ms(&self) -> u64 {
        // A machine has run for a while before anything is started on it.
        self.true_ms().saturating_sub(self.wrong().booted_ms) + 1_000
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.true_ms())
    }

    fn kernel_boot_id(&self) -> io::Result<BootId> {
        Ok(BootId(self.wrong().boot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_can_be_off_slow_and_frozen_and_right_again() {
        let hand = Arc::new(AtomicU64::new(0));
        let clock = NodeClock::new(hand.clone(), 0);
        let pass = |ms: u64| hand.fetch_add(ms * 1_000, Ordering::Relaxed);
        clock.shift(-500);
        pass(1_000);
        assert_eq!(clock.off_ms(), -500);
        clock.set_rate(500);
        pass(1_000);
        assert_eq!(clock.off_ms(), -1_000);
        clock.set_rate(0);
        let then = clock.now();
        pass(1_000);
        assert_eq!((clock.now(), clock.off_ms()), (then, -2_000));
        clock.set_right();
        assert_eq!(clock.now(), START.plus_ms(3_000));
        clock.reboot();
        pass(5);
        assert_eq!((clock.boottime_ms(), clock.kernel_boot_id().unwrap().0 & 1), (1_005, 1));
    }
}
