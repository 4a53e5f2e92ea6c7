//! `tranche-sim run`: an engineer's own topology, lease policy, traffic and fault plan over many seeds, and a report.
//! Not here: one run (`plan`), the seeds (`campaign`), the pictures (`report`).

use super::{Verdict, say};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use simulations::campaign::{Campaign, Progress, SEEDS_MAX, Stopped, VARIANTS_MAX, Variant};
use simulations::outcome::Outcome;
use simulations::plan::WhatIf;
use simulations::report;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use types::planted::Mistake;

/// Runs your own topology, lease policy, traffic and faults over many seeds, and writes a report.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// Zones, nodes and how far they are from each other; see `cluster/topologies`.
    #[arg(long, value_name = "FILE")]
    topology: PathBuf,
    /// How leases are sized: what `[lease]` in a node's settings says; given again, policies are compared.
    #[arg(long, value_name = "FILE")]
    policy: Vec<PathBuf>,
    /// Recorded traffic (.csv), or a description of pools and load (.toml); see `simulations/plans`.
    #[arg(long, value_name = "FILE")]
    trace: PathBuf,
    /// What goes wrong; nothing does by default.
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// How many runs, each with dice of its own.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=SEEDS_MAX))]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(..=u64::MAX / 2))]
    from: u64,
    /// Compare with this, over the same seeds.
    #[arg(long, value_enum)]
    what_if: Vec<WhatIf>,
    /// Where results and report are written, and where a stopped run goes on from.
    #[arg(long, value_name = "DIRECTORY", default_value = "tranche-sim-run")]
    out: PathBuf,
    /// Not passed where more than so many per cent of the requests were refused though credits existed.
    #[arg(long, value_name = "PER CENT", value_parser = percent)]
    falsely_max: Option<f64>,
    /// Make a mistake on purpose, to see that it is found.
    #[arg(long, value_name = "MISTAKE", value_parser = super::runs::mistakes())]
    plant: Option<Mistake>,
}

impl Run {
    pub fn run(&self) -> Verdict {
        let variants = self.variants()?;
        let plant = self.plant.map(|mistake| mistake.to_string());
        let told = |why: Stopped| why.to_string();
        let campaign = Campaign::new(self.from, self.seeds, variants, plant).map_err(told)?;
        let stop = Arc::new(AtomicBool::new(false));
        stop_when_asked(stop.clone());
        let bar = Bar::new(campaign.runs());
        let took = campaign.run(&self.out, &bar, &stop).map_err(told)?;
        bar.finish();
        let report = report::Report {
            falsely_max: self.falsely_max,
            ..report::build(&campaign, &self.out, took).map_err(told)?
        };
        self.write("report.json", |file| {
            serde_json::to_writer_pretty(file, &report).map_err(io::Error::from)
        })?;
        let page = self.write("report.html", |file| file.write_all(report::html(&report).as_bytes()))?;
        say(&format!("{}\n{}\n", report::text(&report), page.display()))?;
        Ok(report.verdict() == report::Judged::Good)
    }

    /// Piece by piece: the numbers of a million seeds are no text to hold in memory.
    fn write(
        &self,
        name: &str,
        content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<PathBuf, String> {
        let path = self.out.join(name);
        let write = || {
            let mut file = BufWriter::new(File::create(&path)?);
            content(&mut file)?;
            file.flush()
        };
        write().map_err(|why: io::Error| format!("{}: {why}", path.display()))?;
        Ok(path)
    }

    /// The first policy is what is asked about; the others, and what else could be, are compared with it.
    fn variants(&self) -> Result<Vec<Variant>, String> {
        let absolute =
            |path: &Path| std::fs::canonicalize(path).map_err(|why| format!("{}: {why}", path.display()));
        let faults = self.faults.as_deref().map(absolute).transpose()?;
        let named = |path: &Path| {
            path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
        };
        let first = Variant {
            name: self.policy.first().map_or_else(|| "standard lease".to_owned(), |path| named(path)),
            topology: absolute(&self.topology)?,
            policy: self.policy.first().map(|path| absolute(path)).transpose()?,
            trace: absolute(&self.trace)?,
            faults,
            what_if: None,
            digest: String::new(),
        };
        let mut variants = vec![first.clone()];
        for policy in self.policy.iter().skip(1) {
            variants.push(Variant { name: named(policy), policy: Some(absolute(policy)?), ..first.clone() });
        }
        for what_if in &self.what_if {
            let value = what_if.to_possible_value().map(|value| value.get_name().to_owned());
            variants.push(Variant { name: what_if.name().to_owned(), what_if: value, ..first.clone() });
        }
        if variants.len() > VARIANTS_MAX {
            return Err(format!("{} variants; at most {VARIANTS_MAX} are compared at once", variants.len()));
        }
        Ok(variants)
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let parsed: Option<f64> = text.parse().ok();
    parsed.filter(|share| (0.0..=100.0).contains(share)).ok_or_else(|| format!("{text:?}: 0 to 100"))
}

/// After Ctrl-C and SIGTERM nothing more begins; what runs ends, at a terminal because it hears Ctrl-C too.
fn stop_when_asked(stop: Arc<AtomicBool>) {
    let wait = move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        let stopped = runtime.block_on(async {
            let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
            tokio::select! {
                asked = tokio::signal::ctrl_c() => asked,
                _term = term.recv() => Ok(()),
            }
        });
        if stopped.is_ok() {
            stop.store(true, Ordering::Relaxed);
        }
    };
    std::thread::spawn(wait);
}

/// The first runs say little about the others.
const RUNS_THAT_TELL: u64 = 4;

/// How long `open` runs take, if `done` took so long; nothing while that says little.
fn left(took: Duration, done: u64, open: u64) -> Option<Duration> {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let times = (done >= RUNS_THAT_TELL).then(|| open as f64 / done as f64)?;
    Duration::try_from_secs_f64(took.as_secs_f64() * times).ok()
}

/// What a person sees meanwhile: a bar at a terminal, a line now and then elsewhere.
struct Bar {
    bar: ProgressBar,
    /// Of this session: what was done before says nothing about how fast it goes now.
    session: Arc<AtomicU64>,
    /// Over all sessions.
    done: AtomicU64,
    broken: AtomicU64,
    asked: AtomicU64,
    falsely: AtomicU64,
    all: u64,
}

impl Bar {
    fn new(all: u64) -> Self {
        let bar = ProgressBar::new(all);
        let style = ProgressStyle::with_template("{bar:30} {pos} of {len} runs, {left} left; {msg}");
        let session = Arc::new(AtomicU64::new(0));
        let done = session.clone();
        let left = move |state: &ProgressState, w: &mut dyn std::fmt::Write| {
            let open = state.len().unwrap_or(0).saturating_sub(state.pos());
            let _gone = match left(state.elapsed(), done.load(Ordering::Relaxed), open) {
                None => write!(w, "?"),
                Some(left) => write!(w, "{}", indicatif::HumanDuration(left)),
            };
        };
        if let Ok(style) = style {
            bar.set_style(style.with_key("left", left));
        }
        bar.enable_steady_tick(Duration::from_secs(1));
        let [done, broken, asked, falsely] = [const { AtomicU64::new(0) }; 4];
        Self { bar, session, done, broken, asked, falsely, all }
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Answers how many are done.
    fn count(&self, outcome: &Outcome) -> u64 {
        self.broken.fetch_add(u64::from(outcome.broken.is_some()), Ordering::Relaxed);
        self.asked.fetch_add(outcome.served.asked, Ordering::Relaxed);
        self.falsely.fetch_add(outcome.served.falsely.values().sum(), Ordering::Relaxed);
        self.done.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// What was seen so far.
    fn state(&self) -> String {
        let (asked, falsely) = (self.asked.load(Ordering::Relaxed), self.falsely.load(Ordering::Relaxed));
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let share = falsely as f64 * 100.0 / asked.max(1) as f64;
        match self.broken.load(Ordering::Relaxed) {
            0 => format!("nothing broken, {share:.3} % refused falsely"),
            broken => format!("{broken} BROKEN, {share:.3} % refused falsely"),
        }
    }
}

impl Progress for Bar {
    fn known(&self, outcome: &Outcome) {
        self.count(outcome);
    }

    fn begins(&self) {
        let known = self.done.load(Ordering::Relaxed);
        self.bar.set_position(known);
        self.bar.reset_elapsed();
        if known > 0 {
            self.bar.set_message(self.state());
        }
    }

    fn done(&self, outcome: &Outcome) {
        let done = self.count(outcome);
        self.session.fetch_add(1, Ordering::Relaxed);
        // Two threads may come here in either order: a position that is set could go backwards.
        self.bar.inc(1);
        self.bar.set_message(self.state());
        let tenth = (self.all / 10).max(1);
        if self.bar.is_hidden() && done.is_multiple_of(tenth) {
            eprintln!("{done} of {} runs: {}", self.all, self.state());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_it_takes_is_known_from_this_session_alone() {
        let left =
            |seconds, done, open| left(Duration::from_secs(seconds), done, open).map(|left| left.as_secs());
        assert_eq!((left(0, 0, 396), left(30, 3, 393)), (None, None));
        assert_eq!((left(40, 4, 392), left(40, 4, 0)), (Some(3_920), Some(0)));
        assert_eq!(left(u64::MAX, 4, u64::MAX), None, "longer than anybody counts");
    }

    #[test]
    fn a_bar_begins_with_what_is_known() {
        let broken = simulations::outcome::BrokenAt { at_ms: 1, sentence: "S3".into(), what: String::new() };
        let mut outcome = Outcome { broken: Some(broken), ..Outcome::default() };
        outcome.served.asked = 100;
        let bar = Bar::new(10);
        (0..3).for_each(|_| bar.known(&outcome));
        bar.begins();
        assert_eq!((bar.bar.position(), bar.session.load(Ordering::Relaxed)), (3, 0));
        assert_eq!(bar.state(), "3 BROKEN, 0.000 % refused falsely");
        bar.done(&Outcome::default());
        assert_eq!((bar.bar.position(), bar.session.load(Ordering::Relaxed)), (4, 1));
        assert_eq!(bar.state(), "3 BROKEN, 0.000 % refused falsely");
    }
}
