//! From what the runs of a campaign left behind to the figures of a report. Not here: how they are shown.

use super::figures::time;
use super::{Input, Report, SeedFigures, Shown, Spread, VariantReport};
use crate::campaign::{self, Campaign, Stopped};
use crate::command::{quoted_path, this_program};
use crate::outcome::{Breach, Outcome, percent};
use crate::plan::text::Text;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

const MICROS: f64 = 1e6;
/// What other ways of counting do is nearly the same in every seed.
const BASELINE_SEEDS_MAX: u64 = 20;

/// Reads the results of a directory.
///
/// # Errors
/// They cannot be read.
pub fn build(campaign: &Campaign, directory: &Path, took: Duration) -> Result<Report, Stopped> {
    let mut gathered: Vec<Gathered> = campaign.variants.iter().map(|_| Gathered::default()).collect();
    let mut simulated_ms = 0;
    for done in campaign.results(directory)? {
        if let Some(variant) = gathered.get_mut(done.variant) {
            simulated_ms += done.outcome.simulated_ms;
            variant.add(done.seed, &done.outcome);
        }
    }
    let baseline_seeds = campaign.seeds.min(BASELINE_SEEDS_MAX);
    let first = campaign.variants.first().map(campaign::Variant::plan).transpose()?;
    let of_first = |plan| crate::baseline::of(&plan, campaign.from..campaign.from + baseline_seeds);
    let baselines = first.map(of_first).unwrap_or_default();
    let expected = campaign.runs();
    let found: u64 = gathered.iter().map(|variant| variant.by_seed.len() as u64).sum();
    if found < expected {
        let why = format!("{found} of {expected} results can be read; run the same command again");
        return Err(Stopped::NotACampaign(directory.to_owned(), why));
    }
    let minutes = gathered.iter().map(|variant| variant.minutes).max().unwrap_or(0);
    let named = campaign.variants.iter().map(|variant| variant.name.clone());
    let mut variants: Vec<VariantReport> =
        gathered.into_iter().zip(named).map(|(gathered, name)| gathered.finish(name)).collect();
    for done in campaign.results(directory)? {
        let Some(variant) = variants.get_mut(done.variant) else { continue };
        for shown in [&mut variant.median, &mut variant.worst].into_iter().flatten() {
            if shown.seed == done.seed {
                shown.outcome = done.outcome.clone();
                shown.replay = replay(directory, done.variant, done.seed);
            }
        }
    }
    Ok(Report {
        inputs: inputs(campaign),
        seeds: campaign.seeds,
        minutes,
        wall_s: took.as_secs_f64(),
        simulated_hours: in_hours(simulated_ms),
        variants,
        baselines,
        baseline_seeds,
        plant: campaign.plant.clone(),
        falsely_max: None,
    })
}

fn replay(directory: &Path, variant: usize, seed: u64) -> String {
    let variant = if variant == 0 { String::new() } else { format!(" --variant {}", variant + 1) };
    format!("{} replay --run {} --seed {seed}{variant}", this_program(), quoted_path(directory))
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn in_hours(ms: u64) -> f64 {
    ms as f64 / 3_600_000.0
}

/// Each file once.
fn inputs(campaign: &Campaign) -> Vec<Input> {
    let mut inputs: Vec<Input> = Vec::new();
    type Of = fn(&campaign::Variant) -> Option<&PathBuf>;
    let roles: [(&str, Of); 4] = [
        ("topology", |variant| Some(&variant.topology)),
        ("policy", |variant| variant.policy.as_ref()),
        ("trace", |variant| Some(&variant.trace)),
        ("faults", |variant| variant.faults.as_ref()),
    ];
    for (role, of) in roles {
        for path in campaign.variants.iter().filter_map(of) {
            let file = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            if inputs.iter().any(|input| input.role == role && input.file == file) {
                continue;
            }
            let about = Text::read(path).map(|text| text.about()).unwrap_or_default();
            inputs.push(Input { role: role.to_owned(), file, about });
        }
    }
    inputs
}

#[derive(Default)]
struct Gathered {
    nodes: usize,
    minutes: u64,
    broken: BTreeMap<u64, String>,
    overdrawn: u64,
    unknown: u64,
    served: crate::outcome::Served,
    faults: BTreeMap<String, u64>,
    by_seed: BTreeMap<u64, SeedFigures>,
    rounds: Durations,
    failovers: Durations,
    reallocations: Durations,
    entries: u64,
    first_false_refusal_percent: Option<f64>,
    stranded_percent: f64,
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn in_credits(micros: u64) -> f64 {
    micros as f64 / MICROS
}

fn add_to(sums: &mut BTreeMap<String, u64>, counts: &BTreeMap<String, u64>) {
    for (name, count) in counts {
        *sums.entry(name.clone()).or_default() += count;
    }
}

impl Gathered {
    fn add(&mut self, seed: u64, outcome: &Outcome) {
        let served = &outcome.served;
        self.nodes = self.nodes.max(outcome.nodes);
        self.minutes = self.minutes.max(outcome.minutes);
        if let Some(broken) = &outcome.broken {
            let at = time(broken.at_ms).replace('\u{a0}', " ");
            let text = format!("{} at {at}: {}", broken.sentence, broken.what);
            self.broken.insert(seed, text);
            let breach = broken.breach();
            self.overdrawn += u64::from(breach == Breach::Overdrawn);
            self.unknown += u64::from(breach == Breach::Unknown);
        }
        let sum = &mut self.served;
        sum.asked += served.asked;
        sum.charged += served.charged;
        sum.local += served.local;
        sum.lost += served.lost;
        sum.charged_until_95 += served.charged_until_95;
        sum.local_until_95 += served.local_until_95;
        if let Some(first) = &served.first_false_refusal {
            let spent = percent(first.spent, first.granted);
            let least = self.first_false_refusal_percent.get_or_insert(spent);
            *least = least.min(spent);
        }
        if let Some(left) = &outcome.stranded_at_first_refusal {
            self.stranded_percent = self.stranded_percent.max(percent(left.out, left.granted));
        }
        add_to(&mut sum.refused, &served.refused);
        add_to(&mut sum.falsely, &served.falsely);
        add_to(&mut self.faults, &outcome.faults);
        self.entries += outcome.entries;
        self.by_seed.insert(seed, figures(outcome));
        self.rounds.add(&outcome.rounds_ms);
        self.failovers.add(&outcome.failovers_ms);
        self.reallocations.add(&outcome.reallocations_ms);
    }

    fn finish(self, name: String) -> VariantReport {
        let by_seed: Vec<SeedFigures> = self.by_seed.into_values().collect();
        let (median, worst) = shown(&by_seed);
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let commands_per_thousand = self.entries as f64 * 1_000.0 / (self.served.charged.max(1)) as f64;
        VariantReport {
            name,
            nodes: self.nodes,
            seeds: by_seed.len() as u64,
            broken: self.broken,
            overdrawn: self.overdrawn,
            unknown: self.unknown,
            asked: self.served.asked,
            charged: self.served.charged,
            local: self.served.local,
            refused: self.served.refused,
            falsely: self.served.falsely,
            faults: self.faults,
            lost: in_credits(self.served.lost),
            by_seed,
            recalls: self.rounds.spread(),
            failovers: self.failovers.spread(),
            reallocations: self.reallocations.spread(),
            commands_per_thousand,
            local_until_95_percent: percent(self.served.local_until_95, self.served.charged_until_95),
            first_false_refusal_percent: self.first_false_refusal_percent,
            stranded_percent: self.stranded_percent,
            median,
            worst,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn figures(outcome: &Outcome) -> SeedFigures {
    let served = &outcome.served;
    SeedFigures {
        seed: outcome.seed,
        refused_percent: percent(served.refused.values().sum(), served.asked),
        falsely_percent: percent(served.falsely.values().sum(), served.asked),
        local_percent: percent(served.local, served.asked),
        stranded: served.stranded as f64 / MICROS,
        is_broken: outcome.broken.is_some(),
    }
}

/// The seed in the middle, and the worst: one that broke before all others.
fn shown(by_seed: &[SeedFigures]) -> (Option<Shown>, Option<Shown>) {
    let mut sorted: Vec<&SeedFigures> = by_seed.iter().collect();
    sorted.sort_by(|a, b| {
        let key = |seed: &SeedFigures| (seed.is_broken, seed.falsely_percent, seed.stranded);
        let ((a_broken, a_falsely, a_stranded), (b_broken, b_falsely, b_stranded)) = (key(a), key(b));
        a_broken
            .cmp(&b_broken)
            .then(a_falsely.total_cmp(&b_falsely))
            .then(a_stranded.total_cmp(&b_stranded))
            .then(a.seed.cmp(&b.seed))
    });
    let show =
        |seed: &&SeedFigures, why: &str| Shown { seed: seed.seed, why: why.to_owned(), ..Shown::default() };
    let median =
        sorted.get(sorted.len().saturating_sub(1) / 2).map(|seed| show(seed, "in the middle of all seeds"));
    let worst = sorted.last().map(|seed| {
        let why = match seed {
            seed if seed.is_broken => "a sentence broke",
            seed if seed.falsely_percent > 0.0 => "most refused though credits existed",
            seed if seed.stranded > 0.0 => "most stranded",
            _ => "none is worse than the others",
        };
        show(seed, why)
    });
    (median, worst)
}

/// How often something took so many milliseconds. What took longer than a minute is kept by the second, as it is shown: so
/// many runs need no more room than few.
#[derive(Debug, Default)]
struct Durations(BTreeMap<u64, u64>);

const BY_MS_UP_TO: u64 = 60_000;

impl Durations {
    fn add(&mut self, all: &[u64]) {
        for ms in all {
            let kept = if *ms <= BY_MS_UP_TO { *ms } else { ms / 1_000 * 1_000 };
            *self.0.entry(kept).or_default() += 1;
        }
    }

    fn spread(&self) -> Spread {
        let count: u64 = self.0.values().sum();
        let part = |per_mille: u64| {
            let rank = (u128::from(count) * u128::from(per_mille)).div_ceil(1_000).max(1);
            let mut up_to = 0_u128;
            let reached = self.0.iter().find(|(_, times)| {
                up_to += u128::from(**times);
                up_to >= rank
            });
            reached.map_or(0, |(ms, _)| *ms)
        };
        let mut histogram: Vec<(u64, u64)> = Vec::new();
        for (ms, times) in &self.0 {
            let up_to = ms.max(&1).next_power_of_two();
            match histogram.last_mut() {
                Some((bound, count)) if *bound == up_to => *count += times,
                _ => histogram.push((up_to, *times)),
            }
        }
        Spread { count, p50: part(500), p90: part(900), p99: part(990), max: part(1_000), histogram }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_its_parts_and_its_histogram() {
        let of = |all: &[u64]| {
            let mut durations = Durations::default();
            all.iter().rev().for_each(|ms| durations.add(&[*ms]));
            durations.spread()
        };
        let spread = of(&(1..=100).collect::<Vec<_>>());
        assert_eq!((spread.count, spread.p50, spread.p90, spread.p99, spread.max), (100, 50, 90, 99, 100));
        assert_eq!(spread.histogram[..3], [(1, 1), (2, 1), (4, 2)]);
        assert_eq!(spread.histogram.iter().map(|(_, count)| count).sum::<u64>(), 100);
        assert_eq!(of(&[]), Spread::default());
        assert_eq!((of(&[7]).p50, of(&[7, 9]).p50, of(&[7, 7, 9]).max), (7, 7, 9));
    }

    #[test]
    fn many_durations_need_no_more_room_than_few() {
        let mut durations = Durations::default();
        // A run of a day, and another one: a time for each of its seconds and a bit.
        let day: Vec<u64> =
            (0..86_400).flat_map(|second| [second * 1_000, second * 1_000 + second % 997]).collect();
        durations.add(&day);
        let room = durations.0.len();
        durations.add(&day);
        assert!(durations.0.len() == room && room <= 60_000 + 86_400, "{room}");
        assert_eq!((durations.spread().count, durations.spread().max), (4 * 86_400, 86_399_000));
        let mut durations = Durations::default();
        durations.add(&[60_000, 60_001, 125_999]);
        assert_eq!(durations.0.keys().copied().collect::<Vec<_>>(), [60_000, 125_000]);
    }

    #[test]
    fn the_worst_seed_is_one_that_broke_and_else_the_one_that_refused_most() {
        let seed = |seed: u64, falsely_percent: f64, is_broken: bool| SeedFigures {
            seed,
            falsely_percent,
            is_broken,
            ..SeedFigures::default()
        };
        let mut seeds = vec![seed(1, 0.5, false), seed(2, 0.0, false), seed(3, 4.0, false)];
        let (median, worst) = shown(&seeds);
        assert_eq!((median.unwrap().seed, worst.unwrap().seed), (1, 3));
        seeds.push(seed(4, 0.0, true));
        assert_eq!(shown(&seeds).1.unwrap().seed, 4);
        assert_eq!(shown(&[]), (None, None));
    }
}
