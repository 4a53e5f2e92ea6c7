//! `tranche-sim seed`, `batch`, `hunt`, `kills`. Not here: what runs.

use super::Verdict;
use simulations::batch::{self, Plan, World};
use simulations::{hunt, known, world_a, world_b};
use std::path::PathBuf;
use types::planted::Mistake;

#[derive(Debug, clap::Args)]
pub struct Seed {
    #[arg(long)]
    world: World,
    #[arg(long)]
    seed: u64,
    /// How long things go wrong, in simulated minutes.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    minutes: u64,
    /// Make a mistake on purpose; `tranche-sim hunt --help` lists them.
    #[arg(long, value_name = "MISTAKE")]
    plant: Option<Mistake>,
    /// Write the whole trace: world A into the outcome, world B to this file.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "film.txt")]
    film: Option<PathBuf>,
    /// Without the timeline.
    #[arg(long)]
    brief: bool,
}

impl Seed {
    pub fn run(&self) -> Verdict {
        plant(self.plant)?;
        let mut outcome = match self.world {
            World::A => {
                let keep_film = self.film.is_some();
                let config = world_a::Config { keep_film, ..world_a::Config::draw(self.seed, self.minutes) };
                world_a::run(&config, self.seed)
            }
            World::B => {
                seeded_libc::seed(self.seed);
                let begun = world_b::trace::begin(self.film.as_deref());
                begun.map_err(|why| format!("the film cannot be written: {why}"))?;
                world_b::run(&world_b::Case::draw(self.seed, NODES, self.minutes * 60_000))
            }
        };
        if self.brief {
            outcome.timeline.clear();
        }
        let line = serde_json::to_string(&outcome).map_err(|why| format!("no outcome: {why}"))?;
        println!("{line}");
        Ok(outcome.broken.is_none())
    }
}

/// Nodes of a drawn world B.
const NODES: usize = 3;

/// Mistakes are in builds with debug assertions only.
fn plant(mistake: Option<Mistake>) -> Result<(), String> {
    #[cfg(debug_assertions)]
    types::planted::plant(mistake);
    #[cfg(not(debug_assertions))]
    if let Some(mistake) = mistake {
        return Err(format!("{mistake} is not in this build: build with debug assertions"));
    }
    Ok(())
}

#[derive(Debug, clap::Args)]
pub struct Batch {
    #[arg(long)]
    world: World,
    /// From the first to before the last: `0..500`.
    #[arg(long, value_name = "FROM..TO", value_parser = range)]
    seeds: (u64, u64),
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    minutes: u64,
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let wrong = || format!("{text:?} is no range of seeds such as 0..500");
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let (from, to) = (from.parse().map_err(|_| wrong())?, to.parse().map_err(|_| wrong())?);
    if from < to { Ok((from, to)) } else { Err(wrong()) }
}

impl Batch {
    pub fn run(&self) -> Verdict {
        let plan = Plan { world: self.world, minutes: self.minutes };
        let summary = batch::run(plan, self.seeds.0, self.seeds.1).map_err(|why| why.to_string())?;
        print!("{summary}");
        Ok(summary.complaints().is_empty())
    }
}

#[derive(Debug, clap::Args)]
pub struct Hunt {
    /// One mistake; all of them by default.
    #[arg(long, value_name = "NAME")]
    mistake: Option<Mistake>,
    /// One world; by default A first, and what it does not find in B.
    #[arg(long)]
    world: Option<World>,
    /// Give up after so many seeds of a world.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
}

impl Hunt {
    pub fn run(&self) -> Verdict {
        let worlds = self.world.map_or(vec![World::A, World::B], |world| vec![world]);
        let all: Vec<Mistake> = self.mistake.map_or(Mistake::ALL.to_vec(), |mistake| vec![mistake]);
        let mut complete = true;
        for mistake in all {
            let row = hunt::search(mistake, &worlds, self.seeds).map_err(|why| why.to_string())?;
            complete &= row.kill.is_some();
            println!("{row}");
        }
        Ok(complete)
    }
}

pub fn kills() -> Verdict {
    let rows = hunt::replay(known::SEEDS).map_err(|why| why.to_string())?;
    rows.iter().for_each(|row| println!("{row}"));
    let unknown = hunt::unknown(known::SEEDS);
    unknown.iter().for_each(|mistake| println!("{mistake}: no seed is known that finds it"));
    let alive = rows.iter().filter(|row| row.kill.is_none()).count();
    println!("{} mistakes planted, {} found, {alive} alive", Mistake::ALL.len(), rows.len() - alive);
    Ok(alive == 0 && unknown.is_empty())
}
