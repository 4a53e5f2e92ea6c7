//! Many seeds, a process each over all cores, and what they must have shown together: no broken sentence, every crossing
//! seen, floors of operations and faults reached. Not here: one run (`world_a`, `world_b`).

use crate::command::this_program;
use crate::cores;
use crate::crossings::Crossing;
use crate::outcome::{BrokenAt, Outcome};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Which world a run is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum World {
    #[default]
    A,
    B,
}

impl World {
    pub const fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }

    /// What a batch must have seen.
    pub fn crossings(self) -> impl Iterator<Item = Crossing> {
        Crossing::of_world(self.name())
    }

    /// Operations and faults per minute of wall time: a batch that did nothing must not pass.
    const fn floors(self) -> (u64, u64) {
        match self {
            Self::A => (10_000, 100),
            Self::B => (1_000, 20),
        }
    }

    /// Charges that clients were told of, per simulated hour: hours in which nobody spends show nothing.
    const fn told_an_hour_min(self) -> u64 {
        match self {
            Self::A => 500,
            Self::B => 1_000,
        }
    }

    /// Fewer simulated minutes than this cannot be expected to have seen every crossing.
    const fn crossings_from_minutes(self) -> u64 {
        match self {
            Self::A => 2_000,
            Self::B => 60,
        }
    }
}

const SIGABRT: i32 = 6;
/// Of so many seeds one is run twice, and must be the same run.
const TWICE_EVERY: u64 = 32;
const FAULT_KINDS_MIN: usize = 8;

/// What is run: a world, and how long things go wrong in it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scope {
    pub world: World,
    pub minutes: u64,
}

/// What a batch has shown.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    pub scope: Scope,
    pub seeds: u64,
    pub took: Duration,
    pub simulated_ms: u64,
    pub operations: u64,
    pub told: u64,
    pub told_local: u64,
    pub entries: u64,
    pub faults: BTreeMap<String, u64>,
    pub refusals: BTreeMap<String, u64>,
    pub crossings: BTreeMap<String, u64>,
    pub broken: BTreeMap<u64, String>,
    pub failovers_ms: Vec<u64>,
    pub rounds_ms: Vec<u64>,
    pub reallocations_ms: Vec<u64>,
}

/// Runs the seeds from `from` to before `to`.
pub fn run(scope: Scope, from: u64, to: u64) -> io::Result<Summary> {
    let program = std::env::current_exe()?;
    let summary = Mutex::new(Summary { scope, ..Summary::default() });
    let clock = platform::SystemClock::new();
    cores::each(from..to, |seed| {
        let mut outcome = run_one(&program, scope, seed, None);
        if seed.is_multiple_of(TWICE_EVERY)
            && let Ok(first) = &mut outcome
        {
            first.broken = first.broken.take().or(other_than(first, &run_one(&program, scope, seed, None)?));
        }
        let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
        summary.add(seed, outcome);
        let (done, all) = (summary.seeds, to - from);
        if done * 10 / all != (done - 1) * 10 / all {
            eprintln!("world {}: {done} of {all} seeds, {} broken", scope.world.name(), summary.broken.len());
        }
        io::Result::Ok(ControlFlow::Continue(()))
    })?;
    let mut summary = summary.into_inner().unwrap_or_else(PoisonError::into_inner);
    summary.took = platform::Clock::monotonic(&clock);
    Ok(summary)
}

/// One seed in a process of its own, perhaps with a planted mistake.
pub(crate) fn run_one(
    program: &std::path::Path,
    scope: Scope,
    seed: u64,
    mistake: Option<&str>,
) -> io::Result<Outcome> {
    let mut command = Command::new(program);
    let number = seed;
    let (seed, minutes) = (seed.to_string(), scope.minutes.to_string());
    command.args(["seed", "--world", scope.world.name(), "--seed", &seed, "--minutes", &minutes, "--brief"]);
    command.args(mistake.iter().flat_map(|name| ["--plant", name]));
    let output = command.stdin(Stdio::null()).stderr(Stdio::piped()).output()?;
    if let Some(aborted) = aborted(&output, number, scope.minutes) {
        return Ok(aborted);
    }
    serde_json::from_slice(&output.stdout).map_err(|why| {
        let words = String::from_utf8_lossy(&output.stderr);
        io::Error::other(format!("it ended without an outcome ({why}): {}", words.trim()))
    })
}

/// Two runs of one seed, in two processes, are the same to the last step.
fn other_than(first: &Outcome, second: &Outcome) -> Option<BrokenAt> {
    let told = |outcome: &Outcome| (outcome.trace.clone(), outcome.operations, outcome.simulated_ms);
    let (first, second) = (told(first), told(second));
    (first != second).then(|| BrokenAt {
        at_ms: 0,
        sentence: "a seed is one run".to_owned(),
        what: format!("trace, operations and time of two runs: {first:?}, {second:?}"),
    })
}

/// What a run has shown that ended without an outcome: a panic while another one unwinds aborts, the product stops, and
/// the judge with it.
pub(crate) fn aborted(output: &Output, seed: u64, minutes: u64) -> Option<Outcome> {
    // Who kills it from outside has shown nothing.
    if output.status.signal() != Some(SIGABRT) {
        return None;
    }
    let (sentence, what) = ("a run ends with an outcome", String::from_utf8_lossy(&output.stderr));
    let (sentence, what) = (sentence.to_owned(), what.trim().to_owned());
    let broken = Some(BrokenAt { at_ms: 0, sentence, what });
    Some(Outcome { seed, minutes, broken, ..Outcome::default() })
}

impl Summary {
    fn add(&mut self, seed: u64, outcome: io::Result<Outcome>) {
        self.seeds += 1;
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(why) => {
                self.broken.insert(seed, why.to_string());
                return;
            }
        };
        if let Some(broken) = &outcome.broken {
            let text = format!("{} at {} ms: {}", broken.sentence, broken.at_ms, broken.what);
            self.broken.insert(seed, text);
        }
        self.simulated_ms += outcome.simulated_ms;
        self.operations += outcome.operations;
        self.told += outcome.told;
        self.told_local += outcome.told_local;
        self.entries += outcome.entries;
        let sums = [
            (&mut self.faults, outcome.faults),
            (&mut self.refusals, outcome.refusals),
            (&mut self.crossings, outcome.crossings),
        ];
        for (sum, counts) in sums {
            for (name, count) in counts {
                *sum.entry(name).or_default() += count;
            }
        }
        self.failovers_ms.extend(outcome.failovers_ms);
        self.rounds_ms.extend(outcome.rounds_ms);
        self.reallocations_ms.extend(outcome.reallocations_ms);
    }

    /// Takes another batch of the same scope in.
    pub fn merge(&mut self, other: Self) {
        self.scope = other.scope;
        self.seeds += other.seeds;
        self.took += other.took;
        self.simulated_ms += other.simulated_ms;
        self.operations += other.operations;
        self.told += other.told;
        self.told_local += other.told_local;
        self.entries += other.entries;
        let sums = [
            (&mut self.faults, other.faults),
            (&mut self.refusals, other.refusals),
            (&mut self.crossings, other.crossings),
        ];
        for (sum, counts) in sums {
            for (name, count) in counts {
                *sum.entry(name).or_default() += count;
            }
        }
        self.broken.extend(other.broken);
        self.failovers_ms.extend(other.failovers_ms);
        self.rounds_ms.extend(other.rounds_ms);
        self.reallocations_ms.extend(other.reallocations_ms);
    }

    fn told_an_hour(&self) -> u64 {
        self.told.saturating_mul(3_600_000) / self.simulated_ms.max(1)
    }

    /// In a few words.
    #[must_use]
    pub fn line(&self) -> String {
        let (world, hours) = (self.scope.world.name(), self.simulated_ms / 3_600_000);
        let broken = self.broken.len();
        format!("world {world}: {} seeds, {hours} simulated hours, {broken} broken", self.seeds)
    }

    pub fn unseen(&self) -> Vec<&'static str> {
        let seen: BTreeSet<&str> = self.crossings.keys().map(String::as_str).collect();
        self.scope
            .world
            .crossings()
            .map(|crossing| crossing.text())
            .filter(|text| !seen.contains(text))
            .collect()
    }

    /// Why the batch does not pass; none where it does.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        if !self.broken.is_empty() {
            complaints.push(format!("{} seeds broke a sentence", self.broken.len()));
        }
        if self.seeds * self.scope.minutes >= self.scope.world.crossings_from_minutes() {
            complaints.extend(self.unseen().into_iter().map(|text| format!("never seen: {text}")));
        }
        let seconds = self.took.as_secs().max(1);
        let faults: u64 = self.faults.values().sum();
        let (operations_min, faults_min) = self.scope.world.floors();
        for (what, count, least) in
            [("operations", self.operations, operations_min), ("faults", faults, faults_min)]
        {
            if count * 60 / seconds < least {
                complaints
                    .push(format!("{} {what} a minute, at least {least} are asked", count * 60 / seconds));
            }
        }
        let least = self.scope.world.told_an_hour_min();
        // One seed has its own load.
        if self.seeds >= 20 && self.told_an_hour() < least {
            complaints.push(format!(
                "{} charges told a simulated hour, at least {least} are asked",
                self.told_an_hour()
            ));
        }
        // One seed has its own few kinds.
        if self.seeds >= 20 && self.faults.len() < FAULT_KINDS_MIN {
            complaints
                .push(format!("{} kinds of faults, at least {FAULT_KINDS_MIN} are asked", self.faults.len()));
        }
        complaints
    }
}

fn part(sorted: &[u64], per_cent: usize) -> u64 {
    sorted.get(sorted.len().saturating_sub(1) * per_cent / 100).copied().unwrap_or(0)
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wall_ms = self.took.as_millis().max(1);
        // In tenths of an hour.
        let hours = self.simulated_ms / 360_000;
        let a_minute = u128::from(self.simulated_ms) / 6 / wall_ms;
        writeln!(
            f,
            "world {}: {} seeds, {}.{} simulated hours in {}.{} s of wall time: {}.{} simulated hours a minute",
            self.scope.world.name(),
            self.seeds,
            hours / 10,
            hours % 10,
            wall_ms / 1_000,
            wall_ms / 100 % 10,
            a_minute / 10,
            a_minute % 10,
        )?;
        let faults: u64 = self.faults.values().sum();
        let (operations, told, kinds) = (self.operations, self.told, self.faults.len());
        let an_hour = self.told_an_hour();
        write!(
            f,
            "{operations} operations, {told} charges told ({an_hour} a simulated hour), {faults} faults of {kinds} kinds"
        )?;
        match self.scope.world {
            World::A => writeln!(
                f,
                "; {} charges decided without asking anybody, {} entries",
                self.told_local, self.entries
            )?,
            World::B => writeln!(f)?,
        }
        let counted = |counts: &BTreeMap<String, u64>| {
            counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
        };
        writeln!(f, "faults: {}", counted(&self.faults))?;
        writeln!(f, "refusals: {}", counted(&self.refusals))?;
        let durations = [
            ("without a leader", &self.failovers_ms),
            ("recall rounds", &self.rounds_ms),
            ("reallocations", &self.reallocations_ms),
        ];
        // Only world A measures them.
        for (name, durations) in durations.into_iter().filter(|_| self.scope.world == World::A) {
            let mut sorted = durations.clone();
            sorted.sort_unstable();
            let (half, most, all) = (part(&sorted, 50), part(&sorted, 99), part(&sorted, 100));
            writeln!(
                f,
                "{name}: {} times, half within {half} ms, 99 % within {most} ms, all within {all} ms",
                sorted.len()
            )?;
        }
        writeln!(f, "crossings:")?;
        for crossing in self.scope.world.crossings() {
            match self.crossings.get(crossing.text()) {
                Some(count) => writeln!(f, "  {count:>9}  {}", crossing.text())?,
                None => writeln!(f, "      NEVER  {}", crossing.text())?,
            }
        }
        for (seed, text) in &self.broken {
            writeln!(f, "BROKEN in seed {seed}: {text}")?;
            let Scope { world, minutes } = self.scope;
            let world = world.name();
            let program = this_program();
            writeln!(
                f,
                "  {program} shrink --world {world} --seed {seed} --minutes {minutes} --to {world}-{seed}.json"
            )?;
        }
        for complaint in self.complaints() {
            writeln!(f, "NOT PASSED: {complaint}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_runs_of_a_seed_are_told_apart() {
        let run = |trace: &str| Outcome { trace: trace.to_owned(), ..Outcome::default() };
        assert_eq!(other_than(&run("a"), &run("a")), None);
        assert!(
            other_than(&run("a"), &run("b")).is_some_and(|broken| broken.sentence == "a seed is one run")
        );
    }
}
