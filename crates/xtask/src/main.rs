//! Automation: `cargo xtask test`, `soak`, `bench`, `lint`. Not here: anything that runs in production, and no room of
//! the product is imported, so that this builds when nothing else does.

mod bench;
mod cargo;
mod debian;
mod report;
mod steps;
mod suites;
mod tally;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The automation of Tranche's workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Format, lints, the product alone, every test of the workspace, simulations, loom, shuttle; prints what ran
    Test {
        /// Leave out simulations, loom, shuttle and the black-box tests (the house rules stay)
        #[arg(long)]
        quick: bool,
    },
    /// Real processes under fire at full length (from half an hour on), then simulated seeds that nobody has run yet, on
    /// all cores, until the time is over or a sentence broke
    Soak {
        /// Hours of wall time
        #[arg(long, default_value_t = 1.0)]
        hours: f32,
    },
    /// Format and lints only; cargo-deny too, where it is installed
    Lint,
    /// Measured claims: installs redis-server and wrk from Debian, then runs the package `benches`
    Bench {
        /// Handed on to the package `benches` as they are
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = cargo::Cargo::here().and_then(|cargo| match arguments.command {
        Command::Test { quick } => steps::test(&cargo, quick),
        Command::Soak { hours } => steps::soak(&cargo, hours),
        Command::Lint => steps::lint(&cargo),
        Command::Bench { arguments } => bench::run(&cargo, &arguments),
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}
