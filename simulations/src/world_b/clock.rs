//! A machine's clocks in simulated time: they may be wrong, jump, run fast or stand still. Not here: when they do.

use platform::{BootId, Clock};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use types::Timestamp;

/// Where simulated time begins: 2026-01-01T00:00:00Z.
pub const BEGINNING: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// True time since the beginning (ms), as the simulation has it; every machine looks at the same.
#[derive(Clone, Debug, Default)]
pub struct TrueTime(Arc<Mutex<u64>>);

impl TrueTime {
    pub fn set_ms(&self, ms: u64) {
        *self.0.lock().expect("nothing panics holding it") = ms;
    }

    #[must_use]
    pub fn ms(&self) -> u64 {
        *self.0.lock().expect("nothing panics holding it")
    }
}

/// The clocks of one machine. The time since boot is never wrong; the wall may be.
#[derive(Debug)]
pub struct MachineClock {
    truth: TrueTime,
    hands: Mutex<Hands>,
}

#[derive(Clone, Copy, Debug)]
struct Hands {
    boot: u128,
    booted_ms: u64,
    /// From when on the wall runs at `per_mille`, and what it showed then.
    since_ms: u64,
    shown_ms: i64,
    per_mille: u32,
}

impl MachineClock {
    #[must_use]
    pub fn new(truth: TrueTime, boot: u128) -> Self {
        let now = truth.ms();
        let shown_ms = BEGINNING.millis() + i64::try_from(now).unwrap_or(i64::MAX);
        let hands = Hands { boot, booted_ms: now, since_ms: now, shown_ms, per_mille: 1_000 };
        Self { truth, hands: Mutex::new(hands) }
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.hands.lock().expect("nothing panics holding them")
    }

    /// Moves the wall by so much.
    pub fn jump_ms(&self, by: i64) {
        self.hands().shown_ms += by;
    }

    /// The wall runs at so many thousandths of its speed from now on; 0 stops it.
    pub fn set_rate(&self, per_mille: u32) {
        let now = self.truth.ms();
        let mut hands = self.hands();
        hands.shown_ms = hands.wall_ms(now);
        (hands.since_ms, hands.per_mille) = (now, per_mille);
    }

    /// The wall is right again.
    pub fn set_right(&self) {
        let now = self.truth.ms();
        let mut hands = self.hands();
        hands.shown_ms = BEGINNING.millis() + i64::try_from(now).unwrap_or(i64::MAX);
        (hands.since_ms, hands.per_mille) = (now, 1_000);
    }

    /// The machine starts anew.
    pub fn reboot(&self) {
        let now = self.truth.ms();
        let mut hands = self.hands();
        hands.boot += 1;
        hands.booted_ms = now;
    }
}

impl Hands {
    fn wall_ms(&self, now: u64) -> i64 {
        let passed = u128::from(now.saturating_sub(self.since_ms)) * u128::from(self.per_mille) / 1_000;
        self.shown_ms + i64::try_from(passed).unwrap_or(i64::MAX)
    }
}

impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.hands().wall_ms(self.truth.ms()))
    }

    fn boottime_ms(&self) -> u64 {
        self.truth.ms().saturating_sub(self.hands().booted_ms)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.truth.ms())
    }

    fn kernel_boot_id(&self) -> io::Result<BootId> {
        Ok(BootId(self.hands().boot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_may_be_wrong_and_the_time_since_boot_not() {
        let truth = TrueTime::default();
        truth.set_ms(1_000);
        let clock = MachineClock::new(truth.clone(), 7);
        let wall = |clock: &MachineClock| clock.now().since_ms(BEGINNING);
        assert_eq!(wall(&clock), 1_000);
        clock.jump_ms(-300);
        clock.set_rate(500);
        truth.set_ms(2_000);
        assert_eq!((wall(&clock), clock.boottime_ms()), (700 + 500, 1_000));
        clock.set_rate(0);
        truth.set_ms(9_000);
        assert_eq!(wall(&clock), 1_200);
        clock.set_right();
        clock.reboot();
        assert_eq!((wall(&clock), clock.boottime_ms()), (9_000, 0));
        assert_eq!(clock.kernel_boot_id().unwrap(), BootId(8));
    }
}
