//! Scales and their ticks: straight, by doubling, and over time; every tick is a round number. Not here: drawing (`chart`).

/// Values from `low` to `high` on pixels from `from` to `to`; on a logarithm where `is_log`.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    is_log: bool,
}

impl Scale {
    pub fn straight((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        Self { low, high, from, to, is_log: false }
    }

    /// Both ends above 0.
    pub fn log((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        let low = low.max(1e-9);
        let high = if high > low { high } else { low * 2.0 };
        Self { low, high, from, to, is_log: true }
    }

    /// Where a value lies; what is outside lies at the end.
    pub fn at(&self, value: f64) -> f64 {
        let value = if value.is_finite() { value.clamp(self.low, self.high) } else { self.low };
        let part = if self.is_log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + part * (self.to - self.from)
    }
}

/// The step of about so many ticks over this range: 1, 2 or 5 times a power of ten.
pub fn step(range: f64, about: usize) -> f64 {
    if !range.is_finite() || range <= 0.0 {
        return 1.0;
    }
    let rough = range / about.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let times = rough / power;
    power
        * match times {
            _ if times <= 1.0 => 1.0,
            _ if times <= 2.0 => 2.0,
            _ if times <= 5.0 => 5.0,
            _ => 10.0,
        }
}

/// Round ticks from `low` to `high`, about so many.
pub fn ticks(low: f64, high: f64, about: usize) -> Vec<f64> {
    let step = step(high - low, about);
    let (first, last) = ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor());
    let many = (last - first).clamp(0.0, 100.0) as u64;
    (0..=many).map(|turn| rounded((first + turn as f64) * step, step)).collect()
}

/// Ticks of whole things.
pub fn whole_ticks(high: f64, about: usize) -> Vec<f64> {
    ticks(0.0, high.max(1.0), about).into_iter().filter(|tick| tick.fract() == 0.0).collect()
}

/// Without the dust of multiplying by tenths.
fn rounded(value: f64, step: f64) -> f64 {
    if step >= 1.0 {
        return value.round();
    }
    let digits = 10f64.powf((-step.log10()).ceil() + 1.0);
    (value * digits).round() / digits
}

const TIMES_MS: [u64; 21] = [
    1, 10, 100, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000,
    1_800_000, 3_600_000, 7_200_000, 21_600_000, 43_200_000, 86_400_000,
];

/// Ticks of a clock up to `until_ms`, at most so many, in the steps that clocks have.
pub fn time_ticks(until_ms: u64, most: u64) -> Vec<u64> {
    let fits = |step: &&u64| until_ms / **step <= most.max(1);
    let step = TIMES_MS.iter().find(fits).copied().unwrap_or_else(|| {
        let days = until_ms / 86_400_000 / most.max(1) + 1;
        days.saturating_mul(86_400_000)
    });
    (0..=until_ms / step).map(|turn| turn * step).collect()
}

/// Ticks of durations on a logarithm: decades of ms and s, halves and minutes between them where few would be left.
pub fn duration_ticks(low: f64, high: f64) -> Vec<u64> {
    const COARSE: [u64; 8] = [1, 10, 100, 1_000, 10_000, 60_000, 600_000, 3_600_000];
    const FINE: [u64; 20] = [
        1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 60_000, 120_000, 300_000,
        600_000, 1_800_000, 3_600_000,
    ];
    let within = |list: &[u64]| -> Vec<u64> {
        list.iter().copied().filter(|tick| (low..=high).contains(&(*tick as f64))).collect()
    };
    let coarse = within(&COARSE);
    if coarse.len() >= 3 { coarse } else { within(&FINE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(0.0, 97.0, 5), [0.0, 20.0, 40.0, 60.0, 80.0]);
        assert_eq!(ticks(0.0, 0.7, 4), [0.0, 0.2, 0.4, 0.6]);
        assert_eq!(ticks(93.2, 100.0, 4), [94.0, 96.0, 98.0, 100.0]);
        assert_eq!(ticks(0.0, 0.0, 4), [0.0]);
        assert_eq!(whole_ticks(2.0, 4), [0.0, 1.0, 2.0]);
        assert_eq!(ticks(0.0, 18_446_744_073_709.0, 4).last(), Some(&15_000_000_000_000.0));
        for high in [0.003, 0.07, 1.0, 3.3, 47.0, 1_234.0, 9.9e12] {
            let ticks = ticks(0.0, high, 5);
            assert!((3..=7).contains(&ticks.len()), "{high}: {ticks:?}");
        }
    }

    #[test]
    fn time_has_the_steps_of_clocks() {
        assert_eq!(time_ticks(320_000, 6), [0, 60_000, 120_000, 180_000, 240_000, 300_000]);
        assert_eq!(time_ticks(40_000, 5), [0, 10_000, 20_000, 30_000, 40_000]);
        assert_eq!(time_ticks(0, 5), [0]);
        assert!(time_ticks(u64::MAX, 8).len() <= 9);
        assert_eq!(duration_ticks(1.0, 4_000.0), [1, 10, 100, 1_000]);
        assert_eq!(duration_ticks(30.0, 130.0), [50, 100]);
    }

    #[test]
    fn a_scale_holds_whatever_it_is_given() {
        let straight = Scale::straight((0.0, 10.0), (100.0, 0.0));
        assert_eq!((straight.at(5.0), straight.at(99.0), straight.at(f64::NAN)), (50.0, 0.0, 100.0));
        let log = Scale::log((1.0, 100.0), (0.0, 10.0));
        assert!((log.at(10.0) - 5.0).abs() < 1e-9);
        assert_eq!((log.at(0.0), Scale::straight((3.0, 3.0), (0.0, 1.0)).at(3.0)), (0.0, 0.0));
    }
}
