//! `tranche-sim`: the commands of this room. It parses its arguments and prints; it decides nothing.

mod commands;

use clap::{Parser, Subcommand};
use commands::{model, picture, proof, replay, run, runs};
use std::process::ExitCode;

/// A fifth of what a run costs is memory that comes and goes.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Attacks Tranche: its protocol as a model, its rooms and whole nodes in simulated worlds.
#[derive(Debug, Parser)]
#[command(name = "tranche-sim", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Searches the protocol's model: every order of every event in small worlds, and every mistake planted in it.
    Model(model::Model),
    /// Runs one seed in this process and prints what it showed, one line of JSON.
    Seed(runs::Seed),
    /// Runs many seeds, a process each, on all cores.
    Batch(runs::Batch),
    /// Makes a failing run small, and writes it down.
    Shrink(runs::Shrink),
    /// Runs your own topology, lease policy, traffic and faults over many seeds, and writes a report.
    Run(run::Run),
    /// Runs again, and goes through it step by step: a seed of a campaign, or what `shrink` wrote down.
    Replay(replay::Replay),
    /// Writes one part of a report as a page of its own.
    Picture(picture::Picture),
    /// Searches seeds that find the mistakes planted in the product, and prints the kill table.
    Hunt(runs::Hunt),
    /// Replays the seeds that are known to find planted mistakes.
    Kills,
    /// A part of every tier, as continuous integration runs it.
    Proof,
    /// Runs seeds nobody has run yet, for hours.
    Soak(proof::Soak),
}

fn main() -> ExitCode {
    let clean = match Arguments::parse().command {
        Command::Model(model) => model.run(),
        Command::Seed(seed) => seed.run(),
        Command::Batch(batch) => batch.run(),
        Command::Shrink(shrink) => shrink.run(),
        Command::Run(run) => run.run(),
        Command::Replay(replay) => replay.run(),
        Command::Picture(picture) => picture.run(),
        Command::Hunt(hunt) => hunt.run(),
        Command::Kills => runs::kills(),
        Command::Proof => proof::proof(),
        Command::Soak(soak) => soak.run(),
    };
    match clean {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("tranche-sim: {why}");
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simulations::batch::{Scope, Summary, World};
    use std::collections::BTreeMap;

    #[test]
    fn the_command_that_a_failing_batch_prints_is_one() {
        for world in [World::A, World::B] {
            let broken = BTreeMap::from([(7, "S1: nothing adds up".to_owned())]);
            let summary =
                Summary { scope: Scope { world, minutes: 5 }, seeds: 1, broken, ..Summary::default() };
            let printed = summary.to_string();
            let command = printed
                .lines()
                .find(|line| line.starts_with("  ") && line.contains(" shrink "))
                .expect("a command");
            let words = simulations::command::words(command.trim());
            assert!(std::path::Path::new(words[0].trim_matches('\'')).exists(), "{command} can be pasted");
            let parsed = Arguments::try_parse_from(words).expect("it parses");
            assert!(matches!(parsed.command, Command::Shrink(_)), "{command}");
        }
    }

    #[test]
    fn a_soak_takes_some_hours_and_not_for_ever() {
        let soak = |hours| Arguments::try_parse_from(["tranche-sim", "soak", &format!("--hours={hours}")]);
        for hours in ["0.0001", "1", "10000"] {
            soak(hours).expect(hours);
        }
        for hours in ["0", "-1", "10000.1", "NaN", "inf", "two"] {
            let why = soak(hours).expect_err(hours).to_string();
            assert!(why.contains("more than 0, at most 10000") || why.contains("no number"), "{why}");
        }
    }
}
