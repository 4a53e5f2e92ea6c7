//! Reading time: the wall, the time since boot, a monotonic instant, and which boot of the kernel this is. Not here:
//! sleeping and deadlines, which are tokio's.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use types::Timestamp;

/// One boot of the kernel. As long as it is the same, what was handed to the page cache is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootId(pub u128);

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Where time comes from.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Wall time; may jump either way.
    fn now(&self) -> Timestamp;

    /// Milliseconds since the machine was started, counting those it slept (CLOCK_BOOTTIME). Never goes back.
    fn boottime_ms(&self) -> u64;

    /// Time since some fixed instant of this process; for measuring. Never goes back.
    fn monotonic(&self) -> Duration;

    /// Which boot of the kernel this is. An error where the system does not say.
    fn kernel_boot_id(&self) -> io::Result<BootId>;

    /// Between which times it is, for what is forgotten by time; `None` while that cannot be said. One machine has nobody
    /// to ask.
    fn surely(&self) -> Option<Surely> {
        Some(Surely::exactly(self.now()))
    }
}

/// It is no earlier than `from` and no later than `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surely {
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Surely {
    pub const fn exactly(now: Timestamp) -> Self {
        Self { from: now, to: now }
    }
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    started: std::time::Instant,
}

impl SystemClock {
    #[allow(clippy::new_without_default, reason = "starting a clock is an act, not a default")]
    #[allow(clippy::disallowed_methods, reason = "this is the one place where the clock is read")]
    pub fn new() -> Self {
        Self { started: std::time::Instant::now() }
    }
}

const BOOT_ID_FILE: &str = "/proc/sys/kernel/random/boot_id";

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the one place where the clock is read")]
    fn now(&self) -> Timestamp {
        let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        // A wall clock before 1970 is a clock that was never set; nothing here depends on it being right.
        let ms = since_1970.map_or(0, |passed| passed.as_millis());
        Timestamp::from_millis(i64::try_from(ms).unwrap_or(i64::MAX))
    }

    fn boottime_ms(&self) -> u64 {
        let passed = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let (seconds, nanos) = (passed.tv_sec.unsigned_abs(), passed.tv_nsec.unsigned_abs());
        seconds * 1_000 + nanos / 1_000_000
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    fn kernel_boot_id(&self) -> io::Result<BootId> {
        parse_boot_id(&std::fs::read_to_string(BOOT_ID_FILE)?)
    }
}

fn parse_boot_id(text: &str) -> io::Result<BootId> {
    let digits: String = text.trim().chars().filter(|c| *c != '-').collect();
    let bad =
        || io::Error::new(io::ErrorKind::InvalidData, format!("{BOOT_ID_FILE} has {text:?}, not a UUID"));
    if digits.len() != 32 {
        return Err(bad());
    }
    u128::from_str_radix(&digits, 16).map(BootId).map_err(|_| bad())
}

/// A clock that is read with one load: a task copies the exact one into it every few milliseconds.
///
/// It lags by at most the ticking interval plus however late the task is scheduled.
#[derive(Debug)]
pub struct CoarseClock {
    exact: Arc<dyn Clock>,
    wall_ms: AtomicI64,
    boottime_ms: AtomicU64,
}

impl CoarseClock {
    /// Reads the exact clock once. Nothing ticks it until [`CoarseClock::keep_ticking`] runs.
    pub fn new(exact: Arc<dyn Clock>) -> Self {
        let (wall_ms, boottime_ms) = (exact.now().millis(), exact.boottime_ms());
        Self { exact, wall_ms: AtomicI64::new(wall_ms), boottime_ms: AtomicU64::new(boottime_ms) }
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.wall_ms.load(Ordering::Relaxed))
    }

    pub fn boottime_ms(&self) -> u64 {
        self.boottime_ms.load(Ordering::Relaxed)
    }

    /// The exact clock's.
    pub fn surely(&self) -> Option<Surely> {
        self.exact.surely()
    }

    /// Copies the exact clock once.
    pub fn tick(&self) {
        self.wall_ms.store(self.exact.now().millis(), Ordering::Relaxed);
        self.boottime_ms.fetch_max(self.exact.boottime_ms(), Ordering::Relaxed);
    }

    /// Ticks every `every_ms` (1 to 5 is usual) for as long as the future is polled: spawn it.
    pub async fn keep_ticking(self: Arc<Self>, every_ms: u64) {
        let mut interval = tokio::time::interval(Duration::from_millis(every_ms.max(1)));
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            interval.tick().await;
            self.tick();
        }
    }
}

/// A clock set by hand. Clones of the `Arc` around it see the same time.
#[derive(Debug)]
pub struct ManualClock(Mutex<Hands>);

#[derive(Debug, Clone, Copy)]
struct Hands {
    wall: Timestamp,
    since_boot_ms: u64,
    monotonic_ms: u64,
    boot: BootId,
}

impl ManualClock {
    /// The first boot, just now.
    pub fn at(wall: Timestamp) -> Self {
        Self(Mutex::new(Hands { wall, since_boot_ms: 0, monotonic_ms: 0, boot: BootId(1) }))
    }

    /// Lets time pass on all clocks.
    pub fn advance_ms(&self, ms: u32) {
        let mut hands = self.hands();
        hands.wall = hands.wall.plus_ms(i64::from(ms));
        hands.since_boot_ms += u64::from(ms);
        hands.monotonic_ms += u64::from(ms);
    }

    /// Sets the wall alone, forwards or backwards.
    pub fn set_wall(&self, wall: Timestamp) {
        self.hands().wall = wall;
    }

    /// The machine starts again: a new boot id, and the time since boot is zero.
    pub fn reboot(&self) {
        let mut hands = self.hands();
        hands.boot = BootId(hands.boot.0 + 1);
        hands.since_boot_ms = 0;
    }

    fn hands(&self) -> std::sync::MutexGuard<'_, Hands> {
        self.0.lock().expect("nothing panics while the hands are held")
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.hands().wall
    }

    fn boottime_ms(&self) -> u64 {
        self.hands().since_boot_ms
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.hands().monotonic_ms)
    }

    fn kernel_boot_id(&self) -> io::Result<BootId> {
        Ok(self.hands().boot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_all_four_clocks() {
        let clock = SystemClock::new();
        assert!(clock.now() > Timestamp::from_millis(1_700_000_000_000));
        assert!(clock.boottime_ms() > 0);
        let before = clock.monotonic();
        assert!(clock.monotonic() >= before);
        assert_eq!(clock.kernel_boot_id().unwrap(), clock.kernel_boot_id().unwrap());
    }

    #[test]
    fn a_boot_id_is_a_uuid() {
        let id = parse_boot_id("00000000-0000-0000-0000-0000000000ff\n").unwrap();
        assert_eq!(id, BootId(255));
        assert_eq!(id.to_string(), "000000000000000000000000000000ff");
        for bad in ["", "ff", "zz000000-0000-0000-0000-0000000000ff"] {
            assert!(parse_boot_id(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hands_move_only_by_hand() {
        let clock = ManualClock::at(Timestamp::from_millis(1_000));
        clock.advance_ms(5);
        assert_eq!((clock.now(), clock.boottime_ms()), (Timestamp::from_millis(1_005), 5));
        clock.set_wall(Timestamp::from_millis(3));
        clock.reboot();
        assert_eq!((clock.now(), clock.boottime_ms()), (Timestamp::from_millis(3), 0));
        assert_eq!(clock.monotonic(), Duration::from_millis(5));
        assert_eq!(clock.kernel_boot_id().unwrap(), BootId(2));
    }

    #[tokio::test(start_paused = true)]
    async fn the_coarse_clock_follows_when_it_is_ticked() {
        let exact = Arc::new(ManualClock::at(Timestamp::from_millis(10)));
        let coarse = Arc::new(CoarseClock::new(exact.clone()));
        exact.advance_ms(7);
        assert_eq!((coarse.now().millis(), coarse.boottime_ms()), (10, 0), "nobody ticked");
        let ticking = tokio::spawn(coarse.clone().keep_ticking(2));
        tokio::time::advance(Duration::from_millis(2)).await;
        tokio::task::yield_now().await;
        assert_eq!((coarse.now().millis(), coarse.boottime_ms()), (17, 7));
        ticking.abort();
    }
}
