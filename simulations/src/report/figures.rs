//! Figures as people read them: counts, credits, shares, times; quantiles; what is compared by seed, and in how many
//! seeds one variant fares better than another. Not here: drawing (`chart`), and how figures come about (`outcome`).

use super::{Report, SeedFigures, VariantReport};
use std::collections::BTreeMap;

const MICROS: f64 = 1_000_000.0;

/// Micro-credits as credits.
pub fn credits_of(micros: u64) -> f64 {
    micros as f64 / MICROS
}

/// A whole number with commas between thousands.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three significant digits below a thousand, whole numbers above; never 0 for what is not 0.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let (sign, size) = if value < 0.0 { ("−", -value) } else { ("", value) };
    if size >= 999.5 {
        return format!("{sign}{}", count(size.round() as u64));
    }
    if size == 0.0 {
        return "0".to_owned();
    }
    let decimals = (2 - size.log10().floor() as i32).clamp(0, 6);
    let text = format!("{size:.*}", decimals as usize);
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "0" { format!("{sign}under 0.000001") } else { format!("{sign}{text}") }
}

/// As short as an axis wants it: `1.5k`, `20M`.
pub fn short(value: f64) -> String {
    let size = value.abs();
    let (unit, name) = match size {
        _ if size >= 1e15 => (1e15, "P"),
        _ if size >= 1e12 => (1e12, "T"),
        _ if size >= 1e9 => (1e9, "G"),
        _ if size >= 1e6 => (1e6, "M"),
        _ if size >= 1e4 => (1e3, "k"),
        _ => return number(value),
    };
    format!("{}{name}", number(value / unit))
}

/// Two digits that count, and none hidden at either end: only nothing is 0 %, and only all is 100 %.
pub fn percent(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let size = value.abs();
    let decimals: usize = match size {
        _ if size == 0.0 || size == 100.0 => 0,
        _ if (90.0..100.0).contains(&size) => ((1.0 - (100.0 - size).log10().floor()) as usize).min(4),
        _ if size >= 10.0 => 1,
        _ => ((1.0 - size.log10().floor()) as usize).min(4),
    };
    let text = format!("{size:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    let sign = if value < 0.0 { "−" } else { "" };
    match text {
        "0" if size > 0.0 => format!("{sign}under 0.0001\u{a0}%"),
        "100" if size < 100.0 => format!("{sign}over 99.9999\u{a0}%"),
        _ => format!("{sign}{text}\u{a0}%"),
    }
}

/// A share in per cent; of nothing there is none.
pub fn share(part: u64, of: u64) -> f64 {
    if of == 0 { f64::NAN } else { part as f64 * 100.0 / of as f64 }
}

/// `850 ms`, `12.3 s`, `2 min 5 s`, `3 h 4 min`.
pub fn time(ms: u64) -> String {
    let two = |big: u64, big_name: &str, small: u64, small_name: &str| {
        let rest = if small == 0 { String::new() } else { format!(" {small}\u{a0}{small_name}") };
        format!("{}\u{a0}{big_name}{rest}", count(big))
    };
    match ms {
        0..1_000 => format!("{ms}\u{a0}ms"),
        1_000..10_000 => format!("{}\u{a0}s", number((ms as f64 / 10.0).round() / 100.0)),
        10_000..60_000 => format!("{}\u{a0}s", number((ms as f64 / 100.0).round() / 10.0)),
        60_000..3_600_000 => two(ms / 60_000, "min", ms % 60_000 / 1_000, "s"),
        _ => two(ms / 3_600_000, "h", ms % 3_600_000 / 60_000, "min"),
    }
}

/// `1 seed`, `2 seeds`.
pub fn of_them(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// The value that so large a part of the sorted values does not exceed.
pub fn quantile(sorted: &[f64], part: f64) -> f64 {
    if sorted.is_empty() {
        return f64::NAN;
    }
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// All runs of a report together.
#[derive(Debug, Default)]
pub struct Totals {
    pub runs: u64,
    pub asked: u64,
    pub faults: u64,
    pub kinds: usize,
    pub overdrawn: u64,
    /// Stopped, and whether a pool was overdrawn is not known.
    pub unknown: u64,
    pub broken: u64,
}

impl Totals {
    pub fn of(report: &Report) -> Self {
        let mut kinds = std::collections::BTreeSet::new();
        let mut totals = Self::default();
        for variant in &report.variants {
            totals.runs = totals.runs.saturating_add(variant.seeds);
            totals.asked = totals.asked.saturating_add(variant.asked);
            totals.overdrawn = totals.overdrawn.saturating_add(variant.overdrawn);
            totals.unknown = totals.unknown.saturating_add(variant.unknown);
            totals.broken = totals.broken.saturating_add(variant.broken.len() as u64);
            totals.faults = totals.faults.saturating_add(sum(&variant.faults));
            kinds.extend(variant.faults.iter().filter(|(_, count)| **count > 0).map(|(kind, _)| kind));
        }
        totals.kinds = kinds.len();
        totals
    }
}

pub fn sum(by_name: &BTreeMap<String, u64>) -> u64 {
    by_name.values().fold(0, |all, one| all.saturating_add(*one))
}

/// What is known of each seed, and compared between variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    Falsely,
    Refused,
    Local,
    Stranded,
}

impl Figure {
    pub const ALL: [Self; 4] = [Self::Falsely, Self::Refused, Self::Local, Self::Stranded];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Falsely => "Falsely refused",
            Self::Refused => "Refused",
            Self::Local => "Charged locally",
            Self::Stranded => "Stranded",
        }
    }

    pub const fn about(self) -> &'static str {
        match self {
            Self::Falsely => "of all requests, though credits existed",
            Self::Refused => "of all requests, rightly or not",
            Self::Local => "of all requests, without asking another node",
            Self::Stranded => "credits on nodes that were away, at worst",
        }
    }

    pub fn of(self, seed: &SeedFigures) -> f64 {
        match self {
            Self::Falsely => seed.falsely_percent,
            Self::Refused => seed.refused_percent,
            Self::Local => seed.local_percent,
            Self::Stranded => seed.stranded,
        }
    }

    pub const fn is_more_better(self) -> bool {
        matches!(self, Self::Local)
    }

    pub fn text(self, value: f64) -> String {
        if self == Self::Stranded { number(value) } else { percent(value) }
    }

    /// Shares as an axis wants them.
    pub fn tick(self, value: f64) -> String {
        if self == Self::Stranded { short(value) } else { format!("{}%", short(value)) }
    }

    /// A difference between two values, with its sign.
    pub fn difference(self, value: f64) -> String {
        let sign = if value > 0.0 { "+" } else { "" };
        match self {
            _ if !value.is_finite() => "–".to_owned(),
            _ if value == 0.0 => "±0".to_owned(),
            Self::Stranded => format!("{sign}{}", number(value)),
            Self::Falsely | Self::Refused | Self::Local => {
                format!("{sign}{}", percent(value).replace('%', "pt"))
            }
        }
    }

    /// Of all seeds together; of amounts the mean.
    pub fn overall(self, variant: &VariantReport) -> f64 {
        match self {
            Self::Falsely => share(sum(&variant.falsely), variant.asked),
            Self::Refused => share(sum(&variant.refused), variant.asked),
            Self::Local => share(variant.local, variant.asked),
            Self::Stranded => {
                let all = self.sorted(variant);
                if all.is_empty() { f64::NAN } else { all.iter().sum::<f64>() / all.len() as f64 }
            }
        }
    }

    /// By seed, smallest first.
    pub fn sorted(self, variant: &VariantReport) -> Vec<f64> {
        let values = variant.by_seed.iter().map(|seed| self.of(seed)).filter(|value| value.is_finite());
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        values
    }

    /// By seed, best first.
    pub fn best_first(self, variant: &VariantReport) -> Vec<f64> {
        let mut values = self.sorted(variant);
        if self.is_more_better() {
            values.reverse();
        }
        values
    }

    /// The other variant beside the first, seed by seed.
    pub fn pairs(self, first: &VariantReport, other: &VariantReport) -> Pairs {
        let of_first: BTreeMap<u64, f64> =
            first.by_seed.iter().map(|seed| (seed.seed, self.of(seed))).collect();
        let mut pairs = Pairs::default();
        for seed in &other.by_seed {
            let Some(before) = of_first.get(&seed.seed) else { continue };
            let more = self.of(seed) - before;
            let gain = if self.is_more_better() { more } else { -more };
            match gain {
                _ if gain > 1e-9 => pairs.better += 1,
                _ if gain < -1e-9 => pairs.worse += 1,
                _ => pairs.equal += 1,
            }
        }
        pairs
    }
}

/// In how many seeds one variant fared better or worse than another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    pub better: u64,
    pub worse: u64,
    pub equal: u64,
}

impl Pairs {
    pub const fn all(self) -> u64 {
        self.better + self.worse + self.equal
    }

    /// Whether a coin thrown for each seed that differs would often show as much.
    pub fn may_be_chance(self) -> bool {
        let (apart, differ) = (self.better.abs_diff(self.worse) as f64, (self.better + self.worse) as f64);
        apart < 2.0 * differ.sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_what_counts() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(number(1_234_567.4), "1,234,567");
        assert_eq!(number(12.345), "12.3");
        assert_eq!(number(120.0), "120");
        assert_eq!(number(999.7), "1,000");
        assert_eq!(number(0.001_234), "0.00123");
        assert_eq!(number(-2.5), "−2.5");
        assert_eq!(number(1e-9), "under 0.000001");
        assert_eq!(number(f64::NAN), "–");
        assert_eq!(short(18_446_744_073_709.0), "18.4T");
        assert_eq!(short(9_000.0), "9,000");
    }

    #[test]
    fn only_nothing_is_0_and_only_all_is_100_percent() {
        let shown = |value| percent(value).replace('\u{a0}', " ");
        assert_eq!(shown(0.0), "0 %");
        assert_eq!(shown(0.004_2), "0.0042 %");
        assert_eq!(shown(0.000_001), "under 0.0001 %");
        assert_eq!(shown(4.16), "4.2 %");
        assert_eq!(shown(42.0), "42 %");
        assert_eq!(shown(99.97), "99.97 %");
        assert_eq!(shown(99.999_999), "over 99.9999 %");
        assert_eq!(shown(100.0), "100 %");
        assert_eq!(shown(share(1, 0)), "–");
    }

    #[test]
    fn times_take_the_unit_that_fits() {
        let shown = |ms| time(ms).replace('\u{a0}', " ");
        assert_eq!(shown(0), "0 ms");
        assert_eq!(shown(999), "999 ms");
        assert_eq!(shown(1_240), "1.24 s");
        assert_eq!(shown(12_340), "12.3 s");
        assert_eq!(shown(125_000), "2 min 5 s");
        assert_eq!(shown(120_000), "2 min");
        assert_eq!(shown(11_040_000), "3 h 4 min");
    }

    #[test]
    fn a_quantile_is_a_value_that_was_seen() {
        assert!(quantile(&[], 0.5).is_nan());
        assert_eq!(quantile(&[7.0], 0.95), 7.0);
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(
            (quantile(&values, 0.5), quantile(&values, 0.95), quantile(&values, 1.0)),
            (50.0, 95.0, 100.0)
        );
    }

    #[test]
    fn pairs_are_made_by_seed() {
        let of = |values: &[(u64, f64)]| VariantReport {
            by_seed: values
                .iter()
                .map(|(seed, local_percent)| SeedFigures {
                    seed: *seed,
                    local_percent: *local_percent,
                    falsely_percent: *local_percent,
                    ..SeedFigures::default()
                })
                .collect(),
            ..VariantReport::default()
        };
        let (first, other) = (of(&[(1, 5.0), (2, 5.0), (3, 5.0)]), of(&[(3, 9.0), (2, 5.0), (7, 1.0)]));
        assert_eq!(Figure::Local.pairs(&first, &other), Pairs { better: 1, worse: 0, equal: 1 });
        assert_eq!(Figure::Falsely.pairs(&first, &other), Pairs { better: 0, worse: 1, equal: 1 });
        assert!(Pairs { better: 55, worse: 45, equal: 0 }.may_be_chance());
        assert!(!Pairs { better: 80, worse: 20, equal: 0 }.may_be_chance());
    }
}
