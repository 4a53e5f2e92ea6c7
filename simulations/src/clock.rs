//! Simulated time, and a machine's clocks in it: they may be wrong, jump, run fast or stand still. Not here: when they do.

use platform::{BootId, Clock};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use types::Timestamp;

/// True time since the run began; every machine looks at the same.
#[derive(Clone, Debug, Default)]
pub struct TrueTime(Arc<AtomicU64>);

impl TrueTime {
    #[must_use]
    pub fn us(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn ms(&self) -> u64 {
        self.us() / 1_000
    }

    pub fn set_us(&self, us: u64) {
        self.0.store(us, Ordering::Relaxed);
    }

    pub fn set_ms(&self, ms: u64) {
        self.set_us(ms * 1_000);
    }
}

/// The clocks of one machine. The time since boot is never wrong; the wall may be.
#[derive(Debug)]
pub struct MachineClock {
    truth: TrueTime,
    /// What a wall that is right shows when the run begins.
    beginning: Timestamp,
    /// How long a machine takes from its boot to where anything can be started on it.
    boot_takes_ms: u64,
    wrong: Mutex<Wrong>,
}

#[derive(Clone, Copy, Debug)]
struct Wrong {
    offset_ms: i64,
    /// The wall moves by so many thousandths since then.
    per_mille: u32,
    since_ms: u64,
    booted_ms: u64,
    boot: u128,
}

impl MachineClock {
    #[must_use]
    pub fn new(truth: TrueTime, beginning: Timestamp, boot_takes_ms: u64, node: usize) -> Self {
        let boot = (node as u128 + 1) << 64;
        let wrong = Wrong { offset_ms: 0, per_mille: 1_000, since_ms: 0, booted_ms: 0, boot };
        Self { truth, beginning, boot_takes_ms, wrong: Mutex::new(wrong) }
    }

    fn wrong(&self) -> MutexGuard<'_, Wrong> {
        self.wrong.lock().expect("nothing panics holding it")
    }

    /// Moves the wall by so much.
    pub fn jump_ms(&self, by: i64) {
        self.wrong().offset_ms += by;
    }

    /// The wall runs at so many thousandths of its speed from now on; 0 stops it.
    pub fn set_rate(&self, per_mille: u32) {
        let now = self.off_ms();
        let mut wrong = self.wrong();
        (wrong.offset_ms, wrong.since_ms, wrong.per_mille) = (now, self.truth.ms(), per_mille);
    }

    /// How far the wall is ahead of true time.
    pub fn off_ms(&self) -> i64 {
        let wrong = *self.wrong();
        let passed = i64::try_from(self.truth.ms().saturating_sub(wrong.since_ms)).unwrap_or(0);
        wrong.offset_ms + (passed * (i64::from(wrong.per_mille) - 1_000)).div_euclid(1_000)
    }

    /// The wall is right again.
    pub fn set_right(&self) {
        let mut wrong = self.wrong();
        (wrong.offset_ms, wrong.per_mille) = (0, 1_000);
    }

    /// The machine starts anew.
    pub fn reboot(&self) {
        let booted_ms = self.truth.ms();
        let mut wrong = self.wrong();
        wrong.booted_ms = booted_ms;
        wrong.boot += 1;
    }
}

impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.truth.ms()).unwrap_or(i64::MAX);
        self.beginning.plus_ms(passed).plus_ms(self.off_ms())
    }

    fn boottime_ms(&self) -> u64 {
        self.truth.ms().saturating_sub(self.wrong().booted_ms) + self.boot_takes_ms
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.truth.ms())
    }

    fn kernel_boot_id(&self) -> io::Result<BootId> {
        Ok(BootId(self.wrong().boot))
    }
}

/// Whether the wall that entries are dated by can be held to the truth.
#[derive(Debug)]
pub struct Judged {
    /// Until when what each replica's clock said may still count.
    wrong_until_ms: Vec<u64>,
    most_were_right: bool,
}

impl Judged {
    pub fn new(replicas: usize) -> Self {
        Self { wrong_until_ms: vec![0; replicas], most_were_right: true }
    }

    /// From now on, and for so long, the clock of this node may be off.
    pub fn is_wrong(&mut self, node: usize, now_ms: u64, for_ms: u64) {
        let Some(until_ms) = self.wrong_until_ms.get_mut(node) else { return };
        // Others remember what it said, and it is looked at only so often.
        *until_ms = (*until_ms).max(now_ms + for_ms + platform::REMEMBERED_MS + 4_000);
        let wrong = self.wrong_until_ms.iter().filter(|until_ms| **until_ms > now_ms).count();
        self.most_were_right &= wrong * 2 < self.wrong_until_ms.len();
    }

    /// They always were: the ledger's time never goes back.
    pub fn most_are_right(&self) -> bool {
        self.most_were_right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_may_be_wrong_and_the_time_since_boot_not() {
        let beginning = Timestamp::from_millis(86_400_000);
        let truth = TrueTime::default();
        let clock = MachineClock::new(truth.clone(), beginning, 1_000, 0);
        let wall = |clock: &MachineClock| clock.now().since_ms(beginning);
        truth.set_ms(1_000);
        clock.jump_ms(-300);
        assert_eq!((wall(&clock), clock.off_ms(), clock.boottime_ms()), (700, -300, 2_000));
        clock.set_rate(500);
        truth.set_ms(2_000);
        assert_eq!((wall(&clock), clock.off_ms()), (1_200, -800));
        clock.set_rate(0);
        truth.set_ms(9_000);
        assert_eq!(wall(&clock), 1_200);
        clock.set_right();
        clock.reboot();
        truth.set_us(9_005_999);
        assert_eq!((wall(&clock), clock.off_ms(), clock.boottime_ms()), (9_005, 0, 1_005));
        assert_eq!(clock.kernel_boot_id().unwrap().0 & 1, 1);
    }
}
