//! How fast a user spends, as an integer that forgets. Not here: clocks; time is an argument.

use types::Credits;

/// Micro-credits per second, smoothed over a few readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    micros_per_s: u64,
    since_ms: u64,
    spent: u64,
    /// Readings closer together than this are added up first.
    window_ms: u64,
}

impl Rate {
    pub fn new(now_ms: u64) -> Self {
        Self { micros_per_s: 0, since_ms: now_ms, spent: 0, window_ms: 100 }
    }

    /// Notes that `spent` more was spent up to `now_ms`.
    pub fn note(&mut self, spent: Credits, now_ms: u64) {
        self.spent = self.spent.saturating_add(spent.micros());
        let elapsed = now_ms.saturating_sub(self.since_ms);
        if elapsed < self.window_ms {
            return;
        }
        let reading = per_second(self.spent, elapsed);
        // A rise is believed at once, a fall by halves per window: too large a lease can be recalled, one that is
        // too small makes a consume wait.
        self.micros_per_s = if reading >= self.micros_per_s {
            reading
        } else {
            let windows = elapsed.checked_div(self.window_ms).unwrap_or(1).min(63);
            reading.max(self.micros_per_s.checked_shr(u32::try_from(windows).unwrap_or(63)).unwrap_or(0))
        };
        (self.since_ms, self.spent) = (now_ms, 0);
    }

    /// What is spent in `ms` at this rate, counting what the open window already saw.
    pub fn over(&self, ms: u64) -> Credits {
        let smoothed = u128::from(self.micros_per_s).saturating_mul(u128::from(ms)) / 1_000;
        let micros = u64::try_from(smoothed).unwrap_or(u64::MAX).max(self.spent);
        Credits::from_micros(micros).unwrap_or(Credits::MAX)
    }

    /// The same if the open window goes on as it began. Too much for who spends once and rests; right for who has run
    /// dry within a window.
    pub fn over_at_this_pace(&self, ms: u64) -> Credits {
        let paced = u128::from(self.spent).saturating_mul(u128::from(ms.max(self.window_ms)));
        let micros =
            u64::try_from(paced.checked_div(u128::from(self.window_ms)).unwrap_or(0)).unwrap_or(u64::MAX);
        self.over(ms).max(Credits::from_micros(micros).unwrap_or(Credits::MAX))
    }
}

fn per_second(micros: u64, elapsed_ms: u64) -> u64 {
    let scaled = u128::from(micros).saturating_mul(1_000);
    let rate = scaled.checked_div(u128::from(elapsed_ms)).unwrap_or(0);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(n: u64) -> Credits {
        Credits::whole(n).unwrap()
    }

    #[test]
    fn a_rise_is_believed_at_once_and_a_fall_by_halves() {
        let mut rate = Rate::new(0);
        rate.note(whole(10), 100);
        assert_eq!(rate.over(1_000), whole(100));
        rate.note(Credits::ZERO, 200);
        assert_eq!(rate.over(1_000), whole(50));
        rate.note(Credits::ZERO, 10_000);
        assert_eq!(rate.over(1_000), Credits::ZERO);
    }

    #[test]
    fn spending_within_one_window_counts_already() {
        let mut rate = Rate::new(0);
        rate.note(whole(3), 10);
        assert_eq!(rate.over(1_000), whole(3));
    }

    #[test]
    fn at_this_pace_the_open_window_is_taken_for_a_whole_one() {
        let mut rate = Rate::new(0);
        assert_eq!(rate.over_at_this_pace(1_000), Credits::ZERO);
        rate.note(whole(3), 10);
        assert_eq!((rate.over_at_this_pace(1_000), rate.over_at_this_pace(50)), (whole(30), whole(3)));
        rate.note(Credits::ZERO, 100);
        assert_eq!((rate.over(1_000), rate.over_at_this_pace(1_000)), (whole(30), whole(30)));
        rate.note(Credits::MAX, 110);
        assert_eq!(rate.over_at_this_pace(u64::MAX), Credits::MAX);
    }
}
