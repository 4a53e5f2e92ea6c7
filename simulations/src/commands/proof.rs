//! `tranche-sim proof` and `soak`: the part of every tier that continuous integration runs, and what runs on for hours.
//! Not here: what a tier is.

use super::{Verdict, model, runs};
use simulations::batch::{self, Scope, Summary, World};

/// Seeds of the worlds in continuous integration, and how long things go wrong in each (minutes).
const SEEDS_A: (u64, u64) = (500, 10);
const SEEDS_B: (u64, u64) = (64, 1);
/// In a soak a run of world B is so many minutes long.
const SOAK_MINUTES_B: u64 = 5;
/// Seeds of a soak begin here, past those that everybody runs.
const SOAK_FROM: u64 = 1_000_000;

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
    /// Hours of wall time.
    #[arg(long, default_value_t = 1.0)]
    hours: f32,
    /// Leave out one world.
    #[arg(long)]
    world: Option<World>,
    /// The first seed.
    #[arg(long, default_value_t = SOAK_FROM)]
    from: u64,
}

impl Soak {
    /// Seeds nobody has run yet, a quarter of the time in world A, until the time is over or something broke.
    pub fn run(&self) -> Verdict {
        let clock = platform::SystemClock::new();
        let passed = || platform::Clock::monotonic(&clock).as_secs_f32() / 3_600.0;
        let (mut next_a, mut next_b) = (self.from, self.from);
        let (mut all_a, mut all_b) = (Summary::default(), Summary::default());
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
        }
        for summary in [&all_a, &all_b].into_iter().filter(|summary| summary.seeds > 0) {
            print!("\n{summary}");
        }
        Ok([&all_a, &all_b].iter().all(|summary| summary.broken.is_empty()))
    }
}
