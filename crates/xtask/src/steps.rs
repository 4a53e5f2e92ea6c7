//! The steps of `test` and `lint`, in their order. Not here: how a step's output is read or reported.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::cargo::Cargo;
use crate::debian::{self, Program};
use crate::report::Report;
use crate::suites;

const FORMAT: &str = "fmt --all --check";
const LINTS: &str = "clippy --workspace --all-targets --locked -- -D warnings";
/// With the features that users get; the tests ask for more, of our own rooms and of others.
const PRODUCT: &str = "check --locked --package cluster --bin tranche";
const TESTS: &str = "test --workspace --locked --no-fail-fast";
const TESTS_BUT_BLACK_BOX: &str = "test --workspace --exclude tests --locked --no-fail-fast";
/// With `--workspace`, so that the parts are built with the same features as above and not a second time.
const HOUSE: &str = "test --workspace --test house --locked";
const SOAK: &str = "run --locked --profile sim --package simulations --bin tranche-sim -- soak";
/// World C at its full length: real processes, for about eight minutes.
const SOAK_C: &str = "test --workspace --test chaos --locked -- --nocapture";
/// A soak of so many hours, or a longer one, begins with it.
const SOAK_C_FROM_HOURS: f32 = 0.5;
const LOOM: &str = "test --package escrow --release --test loom --locked";
const LOOM_FLAGS: &str = "--cfg loom --cfg tokio_unstable";
/// Models under loom, and under shuttle.
const MODELS_MIN: u64 = 6;
const TESTS_MIN: u64 = 500;
/// A feature, not a flag, and of this one build alone: what others build stays as it is, in the same target directory.
const SHUTTLE: &str = "test --package escrow --features shuttle --release --test shuttle --locked";
/// Of Debian's `faketime`; the black-box tests look for the library beside it, and say so if it is missing.
const CLOCKS: [Program; 1] =
    [Program { name: "faketime", package: "faketime", why: "makes clocks wrong in tests/chaos.rs" }];

/// Everything; true when nothing failed. A step that fails does not keep the next one from running.
///
/// # Errors
/// cargo can't read the workspace.
pub(crate) fn test(cargo: &Cargo, quick: bool) -> Result<bool, String> {
    if !quick {
        // Whoever may not install it is told by the one test that needs it; all others run.
        debian::install(&CLOCKS).unwrap_or_else(|why| println!("{why}"));
    }
    let mut report = Report::default();
    check(cargo, &mut report);
    if quick {
        suites(&mut report, "tests", TESTS_MIN, || cargo.command(TESTS_BUT_BLACK_BOX));
        suites(&mut report, "house", 1, || cargo.command(HOUSE));
        println!("\nleft out by --quick: black-box tests, simulations, loom, shuttle");
    } else {
        plain(&mut report, "product", cargo.command(PRODUCT));
        let simulator = built(cargo, "tranche-sim")?;
        let binary = built(cargo, "tranche")?;
        suites(&mut report, "tests", TESTS_MIN, || {
            let mut command = cargo.command(TESTS);
            command.env("TRANCHE_BIN", &binary).env("TRANCHE_SIM_BIN", &simulator);
            command
        });
        simulations(&simulator, &mut report);
        suites(&mut report, "loom", MODELS_MIN, || {
            let mut command = cargo.command(LOOM);
            command.env("RUSTFLAGS", LOOM_FLAGS).env("CARGO_TARGET_DIR", cargo.root().join("target-loom"));
            command
        });
        suites(&mut report, "shuttle", MODELS_MIN, || cargo.command(SHUTTLE));
    }
    Ok(report.print())
}

/// A binary as the tests build it, since a test beside it runs it: asked for alone it would be built with fewer features, and
/// everything below it a second time. Of what simulations alone plant in the product nothing is chosen in it.
fn built(cargo: &Cargo, name: &str) -> Result<PathBuf, String> {
    Ok(cargo.target()?.join("debug").join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
}

/// A part of every tier of the proof.
fn simulations(simulator: &Path, report: &mut Report) {
    let mut simulator = Command::new(simulator);
    simulator.arg("proof");
    plain(report, "simulations", simulator);
}

/// Real processes under fire, where there is time for it; then seeds that nobody has run yet, for the rest of the time.
///
/// # Errors
/// cargo did not start.
pub(crate) fn soak(cargo: &Cargo, hours: f32) -> Result<bool, String> {
    let started = now();
    let mut report = Report::default();
    if hours >= SOAK_C_FROM_HOURS {
        debian::install(&CLOCKS).unwrap_or_else(|why| println!("{why}"));
        let mut real = cargo.command(SOAK_C);
        real.env("TRANCHE_CHAOS", "full");
        plain(&mut report, "world C", real);
    }
    let left = hours - started.elapsed().as_secs_f32() / 3_600.0;
    let mut command = cargo.command(SOAK);
    command.args(["--hours", &left.max(0.01).to_string()]);
    plain(&mut report, "soak", command);
    Ok(report.print())
}

/// Format and lints; supply chain too where cargo-deny is installed.
///
/// # Errors
/// cargo-deny is there and can't be started.
pub(crate) fn lint(cargo: &Cargo) -> Result<bool, String> {
    let mut report = Report::default();
    check(cargo, &mut report);
    let deny =
        cargo.command("deny --version").output().map_err(|why| format!("cargo did not start: {why}"))?;
    if deny.status.success() {
        plain(&mut report, "supply chain", cargo.command("deny --locked check"));
    } else {
        println!(
            "\ncargo-deny is not installed, so deny.toml was not checked: cargo install cargo-deny --locked"
        );
    }
    Ok(report.print())
}

fn check(cargo: &Cargo, report: &mut Report) {
    plain(report, "format", cargo.command(FORMAT));
    plain(report, "lints", cargo.command(LINTS));
}

fn plain(report: &mut Report, name: &'static str, mut command: Command) -> bool {
    announce(name, &command);
    let started = now();
    let status = command.status().map_err(|why| format!("cargo did not start: {why}"));
    let done = status.and_then(suites::ended);
    let good = done.is_ok();
    report.step(name, Vec::new(), done, started.elapsed());
    good
}

/// `least`: tests that pass, or nothing was shown, as where a flag did not arrive and what it is to build is left out.
fn suites(report: &mut Report, name: &'static str, least: u64, command: impl Fn() -> Command) {
    announce(name, &command());
    let started = now();
    let (suites, done) = match suites::build(command()) {
        Ok(names) if names.is_empty() => (Vec::new(), Err("cargo built no test".to_owned())),
        Ok(names) => suites::run(command(), names),
        Err(why) => (Vec::new(), Err(format!("not run, because it was not built ({why})"))),
    };
    let passed: u64 = suites.iter().map(|suite| suite.passed).sum();
    let done = done.and_then(|()| {
        let enough = passed >= least;
        if enough { Ok(()) } else { Err(format!("{passed} tests passed, at least {least} are asked")) }
    });
    report.step(name, suites, done, started.elapsed());
}

fn announce(name: &str, command: &Command) {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    println!("\n── {name}: {}", words.join(" "));
}

#[expect(clippy::disallowed_methods, reason = "a tool that measures itself; nothing is decided by it")]
fn now() -> Instant {
    Instant::now()
}
