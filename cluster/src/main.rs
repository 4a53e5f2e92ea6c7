//! The binary `tranche`: start nodes, or talk to them. Not here: what either does.

use clap::{Parser, Subcommand};
use cluster::{Dev, Serve, dev, serve};
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// The credit ledger on the request path of AI platforms.
#[derive(Debug, Parser)]
#[command(name = "tranche", version, max_term_width = 100)]
struct Tranche {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "made once, from the command line")]
enum Command {
    /// A cluster in one process (three nodes), to try things on; data is kept in ./tranche-data
    Dev(Dev),
    /// One node of a real cluster
    Serve(Serve),
    #[command(flatten)]
    Remote(cli::Command),
}

/// What starts nodes in this process.
enum Start {
    Dev(Dev),
    Serve(Serve),
}

fn main() -> ExitCode {
    let command = match Tranche::parse().command {
        Command::Remote(command) => return cli::run(command),
        Command::Dev(arguments) => Start::Dev(arguments),
        Command::Serve(arguments) => Start::Serve(arguments),
    };
    // Logs go to stderr; RUST_LOG chooses. openraft reports each lost connection at its own levels: quiet by default.
    // In `dev` all nodes are here, so that peers that come and go are no news.
    let usual = match command {
        Start::Dev(_) => "warn,openraft=error",
        Start::Serve(_) => "info,openraft=error",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    logs.with_ansi(std::io::stderr().is_terminal()).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(why) => return failed(&format!("the runtime did not start: {why}")),
    };
    let ended = runtime.block_on(async {
        match command {
            Start::Dev(arguments) => dev(arguments).await.map_err(|why| why.to_string()),
            Start::Serve(arguments) => serve(arguments).await.map_err(|why| why.to_string()),
        }
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => failed(&why),
    }
}

fn failed(why: &str) -> ExitCode {
    eprintln!("tranche: {why}");
    ExitCode::FAILURE
}
