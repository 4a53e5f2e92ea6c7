//! `tranche-sim proof` and `soak`: the part of every tier that continuous integration runs, and what runs on for hours.
//! Not here: what a tier is.

use super::{Verdict, model, runs};
use simulations::batch::{self, Scope, Summary, World};
use simulations::hunt;
use types::planted::Mistake;

/// Seeds of the worlds in continuous integration, and how long things go wrong in each (minutes).
const SEEDS_A: (u64, u64) = (500, 10);
const SEEDS_B: (u64, u64) = (64, 1);
/// In a soak a run of world B is so many minutes long.
const SOAK_MINUTES_B: u64 = 5;
/// Seeds of a soak begin past those that everybody runs.
const SOAK_FROM: u64 = 1_000_000;
/// A soak is at most so many hours long.
const SOAK_HOURS_MAX: f32 = 10_000.0;
/// Seeds of a world within which a soak must find a planted mistake.
const HUNT_SEEDS: u64 = 200;

/// Every tier, one after the other, also where one before has failed.
pub fn proof() -> Verdict {
    println!("── the protocol's model");
    let mut clean = model::Model::everything();
    for (world, (seeds, minutes)) in [(World::A, SEEDS_A), (World::B, SEEDS_B)] {
        println!("\n── world {}", world.name());
        clean &= printed(Scope { world, minutes }, 0, seeds)?;
    }
    println!("\n── mistakes planted in the product, and what finds them");
    Ok(runs::kills()? && clean)
}

fn printed(scope: Scope, from: u64, to: u64) -> Verdict {
    let summary = batch::run(scope, from, to).map_err(|why| why.to_string())?;
    print!("{summary}");
    Ok(summary.complaints().is_empty())
}

#[derive(Debug, clap::Args)]
pub struct Soak {
    /// Hours of wall time, more than 0.
    #[arg(long, default_value_t = 1.0, value_parser = hours)]
    hours: f32,
    /// Only this world.
    #[arg(long)]
    world: Option<World>,
    /// The first seed; by default drawn from the clock, so that every soak runs others.
    #[arg(long)]
    from: Option<u64>,
}

fn hours(text: &str) -> Result<f32, String> {
    let hours: f32 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    let is_some = hours > 0.0 && hours <= SOAK_HOURS_MAX;
    if is_some { Ok(hours) } else { Err(format!("more than 0, at most {SOAK_HOURS_MAX}")) }
}

/// A thousand seeds for every second since 1970: a soak takes longer for them.
fn from_the_clock() -> u64 {
    let now = platform::Clock::now(&platform::SystemClock::new());
    SOAK_FROM + now.millis().unsigned_abs()
}

impl Soak {
    /// Seeds nobody has run yet, a quarter of the time in world A, and a hunt for one planted mistake a turn, until the
    /// time is over or something broke.
    pub fn run(&self) -> Verdict {
        let clock = platform::SystemClock::new();
        let passed = || platform::Clock::monotonic(&clock).as_secs_f32() / 3_600.0;
        let from = self.from.unwrap_or_else(from_the_clock);
        println!("seeds from {from} on");
        let (mut next_a, mut next_b) = (from, from);
        let (mut all_a, mut all_b) = (Summary::default(), Summary::default());
        let (mut mistakes, mut alive) = (Mistake::ALL.iter().cycle().skip(skipped(from)), Vec::new());
        while passed() < self.hours {
            if self.world != Some(World::B) {
                let scope = Scope { world: World::A, minutes: 10 };
                let summary = batch::run(scope, next_a, next_a + 400).map_err(|why| why.to_string())?;
                next_a += 400;
                all_a.merge(summary);
            }
            if self.world != Some(World::A) {
                let scope = Scope { world: World::B, minutes: SOAK_MINUTES_B };
                let summary = batch::run(scope, next_b, next_b + 16).map_err(|why| why.to_string())?;
                next_b += 16;
                all_b.merge(summary);
            }
            println!("after {:.2} h: {}; {}", passed(), all_a.line(), all_b.line());
            if !(all_a.broken.is_empty() && all_b.broken.is_empty()) {
                break;
            }
            if let (Some(mistake), None) = (mistakes.next(), self.world) {
                let row = hunt::search(*mistake, &[World::A, World::B], from..from + HUNT_SEEDS);
                let row = row.map_err(|why| why.to_string())?;
                println!("{row}");
                alive.extend(row.kill.is_none().then_some(*mistake));
            }
        }
        let mut clean = alive.is_empty();
        for summary in [&all_a, &all_b].into_iter().filter(|summary| summary.seeds > 0) {
            print!("\n{summary}");
            clean &= summary.complaints().is_empty();
        }
        for mistake in alive {
            println!(
                "NOT PASSED: {mistake} was planted, and {HUNT_SEEDS} seeds from {from} on did not find it"
            );
        }
        Ok(clean)
    }
}

/// With which mistake a soak begins.
const fn skipped(from: u64) -> usize {
    (from % Mistake::ALL.len() as u64) as usize
}
