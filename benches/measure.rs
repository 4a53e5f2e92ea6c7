//! `benches`: measures what is claimed, prints a table, writes `target/bench.json` and the README's section. Not here:
//! the measurements; each is a file of its own, and what they stand on is the harness.

mod apply;
mod crowd;
mod directory;
mod empty_route;
mod front;
mod idle;
mod memory;
mod replica;
mod rollover;
mod words;

use benches::claim::Claim;
use benches::report::Report;
use benches::{NotMeasured, Size, machine};
use clap::{Parser, Subcommand};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Measured claims, side by side with peers.
#[derive(Debug, Parser)]
#[command(name = "benches")]
struct Arguments {
    /// A hundredth of everything, to see that it works; the README stays as it is
    #[arg(long)]
    quick: bool,
    /// Only these, by name: words directory apply front cluster rollover memory; the README stays as it is
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    #[command(subcommand)]
    part: Option<Part>,
}

/// Parts that run in a process of their own.
#[derive(Debug, Subcommand)]
enum Part {
    /// Serves an empty route that answers the given body
    #[command(hide = true)]
    EmptyRoute { address: SocketAddr, body: String },
    /// Fills a ledger's state and prints by how many bytes this process grew
    #[command(hide = true)]
    Memory { what: memory::What, count: u64 },
}

/// Where builds go: the folder above the one of this program's profile.
fn target() -> Result<PathBuf, NotMeasured> {
    let me = std::env::current_exe().map_err(NotMeasured::io("this program's own path"))?;
    let target = me.parent().and_then(Path::parent);
    target.map(Path::to_owned).ok_or_else(|| NotMeasured::wrong("this program lies in no target folder"))
}

type Measurement = fn(Size, &Path) -> Result<Vec<Claim>, NotMeasured>;

const MEASUREMENTS: [(&str, Measurement); 7] = [
    ("words", words::measure),
    ("directory", directory::measure),
    ("apply", apply::measure),
    ("front", front::measure),
    ("cluster", crowd::measure),
    ("rollover", rollover::measure),
    ("memory", memory::measure),
];

fn main() -> ExitCode {
    let Arguments { quick, only, part } = Arguments::parse();
    let done = match part {
        Some(Part::EmptyRoute { address, body }) => empty_route::serve(address, body),
        Some(Part::Memory { what, count }) => {
            println!("{}", memory::fill(what, count));
            Ok(true)
        }
        None => measure(if quick { Size::Quick } else { Size::Full }, &only),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("benches: {why}");
            ExitCode::FAILURE
        }
    }
}

/// True when everything could be measured; a missed target is a result like any other.
fn measure(size: Size, only: &[String]) -> Result<bool, NotMeasured> {
    let unknown = only.iter().find(|name| MEASUREMENTS.iter().all(|(known, _)| known != name));
    if let Some(unknown) = unknown {
        return Err(NotMeasured::wrong(format!("there is no measurement `{unknown}`")));
    }
    let target = target()?;
    let mut report = Report { machine: machine::line(), claims: Vec::new(), not_measured: Vec::new() };
    for (name, measurement) in MEASUREMENTS {
        if !only.is_empty() && !only.iter().any(|wanted| wanted == name) {
            continue;
        }
        println!("measuring: {name}");
        // On a thread of its own: to which core one pins itself is nothing to the next.
        let measured = std::thread::scope(|scope| scope.spawn(|| measurement(size, &target)).join());
        match measured.unwrap_or_else(|_| Err(NotMeasured::wrong("it panicked"))) {
            Ok(claims) => report.claims.extend(claims),
            Err(why) => report.not_measured.push((name, why.to_string())),
        }
    }
    println!("{}", report.text());
    let path = target.join("bench.json");
    let json = format!("{:#}\n", report.json());
    std::fs::write(&path, json).map_err(NotMeasured::io(path.display().to_string()))?;
    let whole = size == Size::Full && only.is_empty() && report.not_measured.is_empty();
    if whole {
        report.write_readme(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md"))?;
    } else {
        println!("the README stays as it is: not everything was measured in full");
    }
    Ok(report.not_measured.is_empty())
}
