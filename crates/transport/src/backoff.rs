//! How long to wait before dialling again: doubling, capped, with jitter. Pure: randomness is an argument.

use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Backoff {
    min_ms: u64,
    max_ms: u64,
    next_ms: u64,
}

impl Backoff {
    pub(crate) fn new(min_ms: u64, max_ms: u64) -> Self {
        Self { min_ms, max_ms, next_ms: min_ms }
    }

    /// The next pause, from half of it (rounded up) to the whole, so that nodes that failed together do not dial
    /// together.
    pub(crate) fn pause(&mut self, random: u64) -> Duration {
        let whole = self.next_ms;
        self.next_ms = whole.saturating_mul(2).min(self.max_ms);
        Duration::from_millis(whole - random % (whole / 2 + 1))
    }

    /// After a success that lasted.
    pub(crate) fn reset(&mut self) {
        self.next_ms = self.min_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_the_cap_and_begin_anew() {
        let mut backoff = Backoff::new(100, 350);
        let ms = |backoff: &mut Backoff, random| backoff.pause(random).as_millis();
        assert_eq!([0; 4].map(|random| ms(&mut backoff, random)), [100, 200, 350, 350]);
        backoff.reset();
        assert_eq!(ms(&mut backoff, 0), 100);
    }

    #[test]
    fn jitter_takes_at_most_half_and_never_all() {
        for whole in [1, 2, 3, 100] {
            let pauses: Vec<_> =
                (0..500).map(|random| Backoff::new(whole, whole).pause(random).as_millis() as u64).collect();
            assert_eq!(pauses.iter().max(), Some(&whole));
            assert_eq!(pauses.iter().min(), Some(&whole.div_ceil(2)));
        }
    }
}
