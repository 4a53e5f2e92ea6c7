//! Many seeds of an engineer's own plan, a process each over all cores, for one or more variants of it. What is done is
//! written down at once, so that a campaign can be stopped and resumed. Not here: one run (`plan`), its figures (`report`).

use crate::cores;
use crate::outcome::{NO_OUTCOME, Outcome};
use crate::plan::text::{BadPlan, Text};
use crate::plan::{Files, Plan, WhatIf};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

pub const SEEDS_MAX: u64 = 1_000_000;
pub const VARIANTS_MAX: usize = 8;

/// What a campaign runs, as its directory keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Campaign {
    pub from: u64,
    pub seeds: u64,
    pub variants: Vec<Variant>,
    /// A mistake made on purpose, to see that it is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plant: Option<String>,
    /// Of this program: what is resumed must have been run by the same.
    pub program: String,
}

/// Paths are as the process that began the campaign was given them, made absolute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    pub name: String,
    pub topology: PathBuf,
    pub policy: Option<PathBuf>,
    pub trace: PathBuf,
    pub faults: Option<PathBuf>,
    pub what_if: Option<String>,
    /// Of the plan as it was understood.
    #[serde(default)]
    pub digest: String,
}

impl Variant {
    fn files(&self) -> Result<Files, BadPlan> {
        let read = |path: &PathBuf| Text::read(path);
        Ok(Files {
            topology: Text::read(&self.topology)?,
            policy: self.policy.as_ref().map(read).transpose()?,
            load: Text::read(&self.trace)?,
            faults: self.faults.as_ref().map(read).transpose()?,
        })
    }

    /// The plan, if its files are what they were when the campaign began.
    ///
    /// # Errors
    /// A file is not understood, or was changed.
    pub fn same_plan(&self) -> Result<Plan, Stopped> {
        let plan = self.plan()?;
        if digest(&plan) == self.digest { Ok(plan) } else { Err(Stopped::Changed(self.topology.clone())) }
    }

    /// # Errors
    /// A file is not understood.
    pub fn plan(&self) -> Result<Plan, BadPlan> {
        let what_if =
            self.what_if.as_deref().and_then(|name| <WhatIf as clap::ValueEnum>::from_str(name, true).ok());
        Plan::read(&self.files()?, what_if)
    }
}

/// Why a campaign does not begin or go on.
#[derive(Debug)]
pub enum Stopped {
    BadPlan(BadPlan),
    Io(PathBuf, io::Error),
    /// The directory has another campaign.
    Other(PathBuf),
    /// What was run is not what its files say now.
    Changed(PathBuf),
    NotACampaign(PathBuf, String),
    /// Another process runs it.
    InUse(PathBuf),
    /// By the person who began it.
    Interrupted {
        done: usize,
        all: usize,
    },
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BadPlan(why) => write!(f, "{why}"),
            Self::Io(path, why) => write!(f, "{}: {why}", path.display()),
            Self::Other(path) => write!(
                f,
                "{}: results of other files or seeds are there; name another directory with --out, or remove it",
                path.display()
            ),
            Self::Changed(path) => write!(
                f,
                "{}, or a file beside it, was changed since this campaign began; put it back, or run it anew",
                path.display()
            ),
            Self::InUse(path) => write!(f, "{}: another process is running this campaign", path.display()),
            Self::NotACampaign(path, why) => write!(f, "{}: {why}", path.display()),
            Self::Interrupted { done, all } => {
                write!(f, "stopped after {done} of {all} runs; the same command goes on from there")
            }
        }
    }
}

impl From<BadPlan> for Stopped {
    fn from(why: BadPlan) -> Self {
        Self::BadPlan(why)
    }
}

/// One line of the results.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Done {
    pub variant: usize,
    pub seed: u64,
    pub outcome: Outcome,
}

/// The exit status of a program that was not understood, or found its files changed.
const MISUSED: i32 = 2;
const KILLED: i32 = 9;
/// SIGINT and SIGTERM.
const STOPS: [i32; 2] = [2, 15];
const DESCRIPTION: &str = "run.json";
const RESULTS: &str = "outcomes.jsonl";
const LOCK: &str = "lock";

/// Who watches a campaign: told how many runs are done before the first one, and after each.
pub trait Progress: Sync {
    fn begins(&self, done: usize);
    fn done(&self, done: usize, outcome: &Outcome);
}

impl Campaign {
    /// Reads every plan, so that what is wrong is told before anything runs.
    ///
    /// # Errors
    /// A plan is not understood.
    pub fn new(
        from: u64,
        seeds: u64,
        variants: Vec<Variant>,
        plant: Option<String>,
    ) -> Result<Self, Stopped> {
        let program = std::env::current_exe().and_then(std::fs::read);
        let program = program.map_err(|why| Stopped::Io(PathBuf::from("this program"), why))?;
        let program = blake3::hash(&program).to_hex().to_string();
        let mut variants = variants;
        for variant in &mut variants {
            variant.digest = digest(&variant.plan()?);
        }
        Ok(Self { from, seeds, variants, plant, program })
    }

    /// The campaign of a directory.
    ///
    /// # Errors
    /// There is none.
    pub fn open(directory: &Path) -> Result<Self, Stopped> {
        let path = directory.join(DESCRIPTION);
        let text = std::fs::read_to_string(&path).map_err(|why| Stopped::Io(path.clone(), why))?;
        serde_json::from_str(&text).map_err(|why| Stopped::NotACampaign(path, why.to_string()))
    }

    /// Runs what the directory does not have yet. More seeds than last time go on where it ended.
    ///
    /// # Errors
    /// The directory has another campaign, or cannot be written; or somebody stopped it.
    pub fn run(&self, directory: &Path, progress: &impl Progress, stop: &AtomicBool) -> Result<(), Stopped> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |why: io::Error| Stopped::Io(path, why)
        };
        std::fs::create_dir_all(directory).map_err(io(directory))?;
        let lock = directory.join(LOCK);
        let lock = File::create(&lock).map_err(io(&lock))?;
        if lock.try_lock().is_err() {
            return Err(Stopped::InUse(directory.to_owned()));
        }
        let description = directory.join(DESCRIPTION);
        if description.exists() {
            let known = Self::open(directory)?;
            let same = (known.from, &known.variants, &known.plant, &known.program);
            if same != (self.from, &self.variants, &self.plant, &self.program) {
                return Err(Stopped::Other(directory.to_owned()));
            }
        }
        let text =
            serde_json::to_string_pretty(self).map_err(|why| io(&description)(io::Error::other(why)))?;
        std::fs::write(&description, text + "\n").map_err(io(&description))?;
        let path = directory.join(RESULTS);
        mend(&path).map_err(io(&path))?;
        let known: BTreeSet<(u64, usize)> =
            results(directory)?.map(|done| (done.seed, done.variant)).collect();
        let wanted = (self.from..self.from + self.seeds)
            .flat_map(|seed| (0..self.variants.len()).map(move |variant| (seed, variant)));
        let wanted: Vec<(u64, usize)> = wanted.collect();
        let open: Vec<(u64, usize)> = wanted.iter().copied().filter(|run| !known.contains(run)).collect();
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(io(&path))?;
        let done = wanted.len() - open.len();
        progress.begins(done);
        self.run_all(directory, &open, &Mutex::new(file), done, progress, stop).map_err(io(&path))?;
        let is_wanted = |done: &Done| (self.from..self.from + self.seeds).contains(&done.seed);
        let now = results(directory)?.filter(is_wanted).count();
        if stop.load(Ordering::Relaxed) && now < wanted.len() {
            return Err(Stopped::Interrupted { done: now, all: wanted.len() });
        }
        Ok(())
    }

    fn run_all(
        &self,
        directory: &Path,
        open: &[(u64, usize)],
        results: &Mutex<File>,
        before: usize,
        progress: &impl Progress,
        stop: &AtomicBool,
    ) -> io::Result<()> {
        let program = std::env::current_exe()?;
        let count = AtomicUsize::new(before);
        cores::each(0..open.len() as u64, |at| {
            if stop.load(Ordering::Relaxed) {
                return Ok(ControlFlow::Break(()));
            }
            let (seed, variant) = open[at as usize];
            let outcome = match run_one(&program, directory, variant, seed) {
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {
                    stop.store(true, Ordering::Relaxed);
                    return Ok(ControlFlow::Break(()));
                }
                ran => ran?,
            };
            append(results, &Done { variant, seed, outcome: outcome.clone() })?;
            progress.done(count.fetch_add(1, Ordering::Relaxed) + 1, &outcome);
            Ok(ControlFlow::Continue(()))
        })
    }
}

fn digest(plan: &Plan) -> String {
    blake3::hash(format!("{plan:?}").as_bytes()).to_hex().to_string()
}

fn append(results: &Mutex<File>, done: &Done) -> io::Result<()> {
    let mut line = serde_json::to_string(done).map_err(io::Error::other)?;
    line.push('\n');
    results.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes())
}

/// A run that ended without an outcome has shown something, too.
fn crashed(seed: u64, why: &str) -> Outcome {
    let broken = crate::outcome::BrokenAt { at_ms: 0, sentence: NO_OUTCOME.to_owned(), what: why.to_owned() };
    Outcome { seed, broken: Some(broken), ..Outcome::default() }
}

fn run_one(program: &Path, directory: &Path, variant: usize, seed: u64) -> io::Result<Outcome> {
    let mut command = Command::new(program);
    command.arg("replay").arg("--run").arg(directory).arg("--json");
    command.args(["--variant", &(variant + 1).to_string(), "--seed", &seed.to_string()]);
    let output = command.stdin(Stdio::null()).stderr(Stdio::piped()).output()?;
    let words = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.code() == Some(MISUSED) {
        return Err(io::Error::other(format!("seed {seed} did not begin: {}", words())));
    }
    // Who stops the campaign at a terminal stops its runs too.
    if output.status.signal().is_some_and(|signal| STOPS.contains(&signal)) {
        return Err(io::Error::from(io::ErrorKind::Interrupted));
    }
    if let Some(signal) = output.status.signal().filter(|signal| *signal == KILLED) {
        let why = format!("seed {seed} was killed by signal {signal}; was there too little memory?");
        return Err(io::Error::other(why));
    }
    let outcome = serde_json::from_slice(&output.stdout);
    Ok(outcome.unwrap_or_else(|_| crashed(seed, &format!("{}: {}", output.status, words()))))
}

/// Cuts off a last line that was not written to its end.
fn mend(path: &Path) -> io::Result<()> {
    let Ok(content) = std::fs::read(path) else { return Ok(()) };
    let whole = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    if whole < content.len() {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(whole as u64)?;
    }
    Ok(())
}

/// What a directory has, one by one.
///
/// # Errors
/// It cannot be read.
pub fn results(directory: &Path) -> Result<impl Iterator<Item = Done>, Stopped> {
    let path = directory.join(RESULTS);
    let file = match File::open(&path) {
        Ok(file) => Some(BufReader::new(file)),
        Err(why) if why.kind() == io::ErrorKind::NotFound => None,
        Err(why) => return Err(Stopped::Io(path, why)),
    };
    let mut seen = BTreeSet::new();
    let lines = file.into_iter().flat_map(|file| file.split(b'\n')).map_while(Result::ok);
    let readable = lines.filter_map(|line| serde_json::from_slice::<Done>(&line).ok());
    // What was run twice is one result: runs of one seed are equal.
    Ok(readable.filter(move |done| seen.insert((done.variant, done.seed))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_is_run_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(RESULTS);
        let whole =
            serde_json::to_string(&Done { variant: 0, seed: 3, outcome: Outcome::default() }).unwrap();
        std::fs::write(&path, format!("{whole}\n{}", &whole[..20])).unwrap();
        mend(&path).unwrap();
        let known: Vec<u64> = results(directory.path()).unwrap().map(|done| done.seed).collect();
        assert_eq!(known, [3]);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{whole}\n"));
        mend(&directory.path().join("nothing")).unwrap();
    }
}
