//! `tranche-sim seed`, `batch`, `shrink`, `hunt`, `kills`: runs that seeds draw whole. Not here: what runs.

use super::Verdict;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use simulations::batch::{self, Scope, World};
use simulations::case::Case;
use simulations::command::{quoted_path, this_program};
use simulations::fault::Fault;
use simulations::outcome::Outcome;
use simulations::{hunt, known, scene, world_a, world_b};
use std::path::{Path, PathBuf};
use std::time::Duration;
use types::planted::Mistake;

/// Mistakes by name; help lists them.
pub fn mistakes() -> impl TypedValueParser<Value = Mistake> {
    let all = Mistake::ALL.iter().map(|mistake| PossibleValue::new(mistake.name()).help(mistake.what()));
    PossibleValuesParser::new(all).try_map(|name| name.parse::<Mistake>())
}

/// Which run is meant.
#[derive(Debug, clap::Args)]
struct Which {
    #[arg(long)]
    world: World,
    #[arg(long)]
    seed: u64,
    /// How long things go wrong, in simulated minutes.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    minutes: u64,
    /// Make a mistake on purpose.
    #[arg(long, value_name = "MISTAKE", value_parser = mistakes())]
    plant: Option<Mistake>,
}

impl Which {
    fn case(&self) -> Case {
        let scope = Scope { world: self.world, minutes: self.minutes };
        Case::new(scope, self.seed, self.plant.map(|mistake| mistake.to_string()))
    }
}

#[derive(Debug, clap::Args)]
pub struct Seed {
    #[command(flatten)]
    which: Which,
    /// Write every event to this file, one a line.
    #[arg(long, value_name = "FILE")]
    film: Option<PathBuf>,
    /// Without the timeline.
    #[arg(long)]
    brief: bool,
}

impl Seed {
    pub fn run(&self) -> Verdict {
        ends_in_time();
        let mut outcome = run(&self.which.case(), self.film.is_some())?;
        write_film(self.film.as_deref(), &mut outcome)?;
        print(outcome, self.brief)
    }
}

/// A run that goes round in circles is aborted, which is what whoever waits for it takes for broken.
fn ends_in_time() {
    std::thread::spawn(|| {
        std::thread::sleep(RUN_WITHIN);
        eprintln!("a run ends: it had {} s", RUN_WITHIN.as_secs());
        std::process::abort();
    });
}

/// Hundreds of times what a run takes, on a machine that does much else.
const RUN_WITHIN: Duration = Duration::from_secs(600);

/// Runs a case in this process; `keep_film`: with every step of it.
pub fn run(case: &Case, keep_film: bool) -> Result<Outcome, String> {
    let mistake = case.plant.as_deref().map(str::parse).transpose();
    plant(mistake.map_err(|why: types::planted::NoSuchMistake| why.to_string())?)?;
    match case.world()? {
        World::A => {
            let drawn = world_a::Config::draw(case.seed, case.minutes);
            let config = world_a::Config {
                keep_film,
                faults: Case::keep(case.faults.as_ref(), drawn.faults),
                changes: Case::keep(case.changes.as_ref(), drawn.changes),
                ..drawn
            };
            Ok(world_a::run(&config, case.seed))
        }
        World::B => {
            seeded_libc::seed(case.seed);
            world_b::trace::begin(keep_film);
            let mut drawn = world_b::Case::draw(case.seed, nodes(case.seed), case.minutes * 60_000);
            drawn.faults = Case::keep(case.faults.as_ref(), drawn.faults);
            drawn.load.changes = Case::keep(case.changes.as_ref(), drawn.load.changes);
            let outcome = world_b::run(&drawn);
            Ok(Outcome { film: world_b::trace::film(), ..outcome })
        }
    }
}

/// Writes the film to its file, if there is one.
pub fn write_film(file: Option<&Path>, outcome: &mut Outcome) -> Result<(), String> {
    let film = std::mem::take(&mut outcome.film);
    let Some(file) = file else { return Ok(()) };
    scene::write(file, &film).map_err(|why| format!("{}: {why}", file.display()))
}

/// One line of JSON.
pub fn print(mut outcome: Outcome, brief: bool) -> Verdict {
    if brief {
        outcome.timeline.clear();
    }
    let line = serde_json::to_string(&outcome).map_err(|why| format!("no outcome: {why}"))?;
    super::say(&format!("{line}\n"))?;
    Ok(outcome.broken.is_none())
}

/// The faults and, in words, the changes that a seed draws.
fn drawn(case: &Case) -> Result<(Vec<Fault>, Vec<String>), String> {
    Ok(match case.world()? {
        World::A => {
            let drawn = world_a::Config::draw(case.seed, case.minutes);
            (drawn.faults, drawn.changes.iter().map(|change| format!("{change:?}")).collect())
        }
        World::B => {
            let drawn = world_b::Case::draw(case.seed, nodes(case.seed), case.minutes * 60_000);
            (drawn.faults, drawn.load.changes.iter().map(|change| format!("{change:?}")).collect())
        }
    })
}

/// Leaves out of a failing run what does not matter, and writes down what is left.
#[derive(Debug, clap::Args)]
pub struct Shrink {
    #[command(flatten)]
    which: Which,
    /// Where it is written.
    #[arg(long, value_name = "FILE", default_value = "case.json")]
    to: PathBuf,
}

impl Shrink {
    pub fn run(&self) -> Verdict {
        let case = self.which.case();
        let (faults, changes) = drawn(&case)?;
        let small = case.shrink(&faults, &changes).map_err(|why| why.to_string())?;
        let Some(small) = small else {
            println!("nothing breaks in seed {} of world {}", case.seed, case.world);
            return Ok(false);
        };
        let text = serde_json::to_string_pretty(&small).map_err(|why| why.to_string())?;
        std::fs::write(&self.to, &text).map_err(|why| format!("{}: {why}", self.to.display()))?;
        let count = |kept: &Option<Vec<usize>>| kept.as_ref().map_or(0, Vec::len);
        println!(
            "{} of {} faults and {} of {} changes are left; {}",
            count(&small.faults),
            faults.len(),
            count(&small.changes),
            changes.len(),
            small.broken
        );
        println!("  {} replay --file {}", this_program(), quoted_path(&self.to));
        Ok(true)
    }
}

/// Nodes of a drawn world B: of eight runs one has five.
fn nodes(seed: u64) -> usize {
    if seed % 8 == 3 { 5 } else { 3 }
}

/// Mistakes are in builds with debug assertions only.
pub fn plant(mistake: Option<Mistake>) -> Result<(), String> {
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
        let scope = Scope { world: self.world, minutes: self.minutes };
        let summary = batch::run(scope, self.seeds.0, self.seeds.1).map_err(|why| why.to_string())?;
        print!("{summary}");
        Ok(summary.complaints().is_empty())
    }
}

#[derive(Debug, clap::Args)]
pub struct Hunt {
    /// One mistake; all of them by default.
    #[arg(long, value_name = "NAME", value_parser = mistakes())]
    mistake: Option<Mistake>,
    /// One world; by default A first, and what it does not find in B.
    #[arg(long)]
    world: Option<World>,
    /// Give up after so many seeds of a world.
    #[arg(long, default_value_t = hunt::SEEDS_MAX)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
}

impl Hunt {
    pub fn run(&self) -> Verdict {
        let worlds = self.world.map_or(vec![World::A, World::B], |world| vec![world]);
        let all: Vec<Mistake> = self.mistake.map_or(Mistake::ALL.to_vec(), |mistake| vec![mistake]);
        let mut complete = true;
        for mistake in all {
            let row = hunt::search(mistake, &worlds, self.from..self.from.saturating_add(self.seeds))
                .map_err(|why| why.to_string())?;
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
    let late = known::SEEDS.iter().filter(|known| known.seed >= hunt::SEEDS_MAX);
    let late = late.inspect(|known| {
        println!("{}: seed {} is none of the first {}", known.mistake, known.seed, hunt::SEEDS_MAX);
    });
    let late = late.count();
    println!(
        "{} mistakes planted, {} found by the seed that is known for each, which is one of the first {}; {alive} alive",
        Mistake::ALL.len(),
        rows.len() - alive,
        hunt::SEEDS_MAX
    );
    Ok(alive == 0 && unknown.is_empty() && late == 0)
}
