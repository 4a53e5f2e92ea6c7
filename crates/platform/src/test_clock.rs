//! The machine's clocks, put ahead by hand: for programs whose own tests live through a month in a second. Not here: who
//! may do so (`tranche dev --test-clock` alone).

use crate::clock::{BootId, Clock, SystemClock};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use types::Timestamp;

/// As if the machine had slept for as long as it is put ahead: the wall and the time since boot go together, so that all who
/// share it agree at once. It never goes back.
#[derive(Debug)]
pub struct TestClock {
    machine: SystemClock,
    ahead_ms: AtomicU64,
}

impl TestClock {
    pub fn ahead_by(ahead_ms: u64) -> Self {
        Self { machine: SystemClock::new(), ahead_ms: AtomicU64::new(ahead_ms) }
    }

    pub fn ahead_ms(&self) -> u64 {
        self.ahead_ms.load(Ordering::Relaxed)
    }

    /// Nothing where it is ahead by more already.
    pub fn put_ahead(&self, ahead_ms: u64) {
        self.ahead_ms.fetch_max(ahead_ms, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.machine.now().plus_ms(i64::try_from(self.ahead_ms()).unwrap_or(i64::MAX))
    }

    fn boottime_ms(&self) -> u64 {
        self.machine.boottime_ms().saturating_add(self.ahead_ms())
    }

    fn monotonic(&self) -> Duration {
        self.machine.monotonic()
    }

    fn kernel_boot_id(&self) -> io::Result<BootId> {
        self.machine.kernel_boot_id()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_and_boot_go_ahead_together_and_never_back() {
        let (machine, clock) = (SystemClock::new(), TestClock::ahead_by(1_000));
        let day = 86_400_000;
        clock.put_ahead(day);
        clock.put_ahead(5);
        assert_eq!(clock.ahead_ms(), day);
        let wall = clock.now().since_ms(machine.now());
        let boot = clock.boottime_ms() - machine.boottime_ms();
        assert!((86_399_000..86_401_000).contains(&wall) && (86_399_000..86_401_000).contains(&boot));
        assert!(clock.monotonic() < Duration::from_secs(60));
    }
}
