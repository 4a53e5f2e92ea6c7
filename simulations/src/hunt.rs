//! Hunts for planted mistakes: each must be found, within so many seeds; the seeds that found one are replayed ever after.
//! Not here: what a mistake is (`types::planted`), and the protocol's own mistakes (`model::mistakes`).

use crate::batch::{Scope, World, run_one};
use crate::cores;
use std::fmt;
use std::io;
use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use types::planted::Mistake;

/// A seed of a world that finds a mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    pub mistake: Mistake,
    pub world: World,
    pub seed: u64,
}

/// Within so many seeds of a world each mistake is found.
pub const SEEDS_MAX: u64 = 200;

/// How long things go wrong in a run that hunts.
pub const fn minutes(world: World) -> u64 {
    match world {
        World::A => 10,
        World::B => 1,
    }
}

/// How a mistake was found.
#[derive(Clone, Debug)]
pub struct Kill {
    pub mistake: Mistake,
    pub world: World,
    pub seed: u64,
    /// So many seeds of the world were run, in the order of their numbers; `None`: this one alone, because it was known.
    pub seeds: Option<u64>,
    pub took: Duration,
    pub sentence: String,
}

/// One row of the kill table; `None`: the mistake is alive.
#[derive(Clone, Debug)]
pub struct Row {
    pub mistake: Mistake,
    pub kill: Option<Kill>,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, rule) = (self.mistake.name(), self.mistake.rule());
        match &self.kill {
            None => write!(f, "{name:<26} {rule:<4} ALIVE"),
            Some(kill) => {
                let after = kill.seeds.map_or_else(String::new, |seeds| format!("  after {seeds:>3} seeds"));
                let (world, seed, seconds) = (kill.world.name(), kill.seed, kill.took.as_secs_f32());
                write!(
                    f,
                    "{name:<26} {rule:<4} {world}  seed {seed:>4}{after}  {seconds:>6.1} s  {}",
                    kill.sentence
                )
            }
        }
    }
}

/// Searches world A, then world B, these seeds, for one that finds the mistake.
///
/// # Errors
/// A run could not be started.
pub fn search(mistake: Mistake, worlds: &[World], seeds: Range<u64>) -> io::Result<Row> {
    let program = std::env::current_exe()?;
    let clock = platform::SystemClock::new();
    for world in worlds {
        let found = first(&program, *world, mistake, seeds.clone())?;
        if let Some((seed, sentence)) = found {
            let took = platform::Clock::monotonic(&clock);
            let run = Some(seed - seeds.start + 1);
            let kill = Kill { mistake, world: *world, seed, seeds: run, took, sentence };
            return Ok(Row { mistake, kill: Some(kill) });
        }
    }
    Ok(Row { mistake, kill: None })
}

/// The first seed that finds it, all cores at work.
fn first(
    program: &Path,
    world: World,
    mistake: Mistake,
    seeds: Range<u64>,
) -> io::Result<Option<(u64, String)>> {
    let scope = Scope { world, minutes: minutes(world) };
    let least = Mutex::new(None::<(u64, String)>);
    cores::each(seeds, |seed| {
        let outcome = run_one(program, scope, seed, Some(mistake.name()))?;
        let Some(broken) = outcome.broken else { return io::Result::Ok(ControlFlow::Continue(())) };
        let mut least = least.lock().unwrap_or_else(PoisonError::into_inner);
        if least.as_ref().is_none_or(|(before, _)| seed < *before) {
            *least = Some((seed, broken.sentence));
        }
        Ok(ControlFlow::Break(()))
    })?;
    Ok(least.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Runs the seeds that are known to find each mistake, with it and without it: with it something breaks, without it
/// nothing does.
///
/// # Errors
/// A run could not be started.
pub fn replay(known: &[Known]) -> io::Result<Vec<Row>> {
    let program = std::env::current_exe()?;
    let rows = Mutex::new(Vec::new());
    cores::each(0..known.len() as u64, |at| {
        let row = again(&program, known[at as usize])?;
        rows.lock().unwrap_or_else(PoisonError::into_inner).push(row);
        io::Result::Ok(ControlFlow::Continue(()))
    })?;
    let mut rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    rows.sort_by_key(|row| row.mistake);
    Ok(rows)
}

fn again(program: &Path, known: Known) -> io::Result<Row> {
    let Known { mistake, world, seed } = known;
    let scope = Scope { world, minutes: minutes(world) };
    let clock = platform::SystemClock::new();
    let with = run_one(program, scope, seed, Some(mistake.name()))?;
    let took = platform::Clock::monotonic(&clock);
    let without = run_one(program, scope, seed, None)?;
    let sentence = with.broken.filter(|_| without.broken.is_none()).map(|broken| broken.sentence);
    let kill = sentence.map(|sentence| Kill { mistake, world, seed, seeds: None, took, sentence });
    Ok(Row { mistake, kill })
}

/// Mistakes without a known seed.
#[must_use]
pub fn unknown(known: &[Known]) -> Vec<Mistake> {
    let found = |mistake: &&Mistake| known.iter().any(|known| known.mistake == **mistake);
    Mistake::ALL.iter().filter(|mistake| !found(mistake)).copied().collect()
}
