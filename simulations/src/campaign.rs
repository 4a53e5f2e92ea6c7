//! Many seeds of an engineer's own plan, a process each over all cores, for one or more variants of it. What is done is
//! written down at once, so that a campaign can be stopped and resumed. Not here: one run (`plan`), its figures (`report`).

mod results;

pub use results::Done;

use crate::cores;
use crate::outcome::{NO_OUTCOME, Outcome};
use crate::plan::text::{BadPlan, Text};
use crate::plan::{Files, Plan, WhatIf};
use results::Runs;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

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
    /// How long it has been running so far, over all sessions.
    #[serde(default)]
    pub wall_ms: u64,
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
    /// Another program than this one ran it.
    OtherProgram(PathBuf),
    /// This program's file was replaced while it ran.
    Replaced(PathBuf),
    /// Another process runs it.
    InUse(PathBuf),
    /// By the person who began it.
    Interrupted {
        done: u64,
        all: u64,
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
            Self::OtherProgram(path) => write!(
                f,
                "{}: another build of this program ran it, so a run may be another one now than the report shows; run it \
                 anew with --out elsewhere, replay with the build that ran it, or say --other-program",
                path.display()
            ),
            Self::Replaced(path) => write!(
                f,
                "{}: this program was built anew while it ran; what is done is kept, but only the build that did it goes \
                 on from there",
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

/// The exit status of a program that was not understood, or found its files changed.
const MISUSED: i32 = 2;
const KILLED: i32 = 9;
/// SIGINT and SIGTERM.
const STOPS: [i32; 2] = [2, 15];
const DESCRIPTION: &str = "run.json";
/// The description while it is written.
const NEW: &str = "run.json.new";
const LOCK: &str = "lock";
/// How often a session writes down how long it has been running.
const KEEP_MS: u64 = 5_000;
const THIS_PROGRAM: &str = "this program";

/// Who watches a campaign: told of every run that is known from before, that it begins, and of each run as it ends.
pub trait Progress: Sync {
    fn known(&self, outcome: &Outcome);
    fn begins(&self);
    fn done(&self, outcome: &Outcome);
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
        let program = this_program()?;
        let mut variants = variants;
        for variant in &mut variants {
            variant.digest = digest(&variant.plan()?);
        }
        Ok(Self { from, seeds, variants, plant, program, wall_ms: 0 })
    }

    /// Whether this program ran it: another one may draw and decide otherwise.
    ///
    /// # Errors
    /// It did not.
    pub fn same_program(&self, directory: &Path) -> Result<(), Stopped> {
        if self.program == this_program()? {
            Ok(())
        } else {
            Err(Stopped::OtherProgram(directory.to_owned()))
        }
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

    /// So many in all.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.seeds.saturating_mul(self.variants.len() as u64)
    }

    /// Runs what the directory does not have yet. More seeds than last time go on where it ended. Answers how long the
    /// campaign has been running, earlier sessions included.
    ///
    /// # Errors
    /// The directory has another campaign, or cannot be written; or somebody stopped it.
    pub fn run(
        &self,
        directory: &Path,
        progress: &impl Progress,
        stop: &AtomicBool,
    ) -> Result<Duration, Stopped> {
        std::fs::create_dir_all(directory).map_err(at(directory))?;
        let lock = directory.join(LOCK);
        let lock = File::create(&lock).map_err(at(&lock))?;
        if lock.try_lock().is_err() {
            return Err(Stopped::InUse(directory.to_owned()));
        }
        let mut before_ms = 0;
        if directory.join(DESCRIPTION).exists() {
            let known = Self::open(directory)?;
            let same = (known.from, &known.variants, &known.plant, &known.program);
            if same != (self.from, &self.variants, &self.plant, &self.program) {
                return Err(Stopped::Other(directory.to_owned()));
            }
            before_ms = known.wall_ms;
        }
        let wall = Wall::new(self, directory, before_ms);
        wall.keep()?;
        let path = results::path(directory);
        results::mend(&path).map_err(at(&path))?;
        let mut known = Runs::none_of(self);
        for done in self.results(directory)? {
            progress.known(&done.outcome);
            known.insert(done.seed, done.variant);
        }
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(at(&path))?;
        progress.begins();
        let ran = self.run_all(directory, &known, &Mutex::new(file), &wall, progress, stop);
        wall.keep()?;
        let (done, all) = (known.count + ran?, self.runs());
        if stop.load(Ordering::Relaxed) && done < all {
            return Err(Stopped::Interrupted { done, all });
        }
        Ok(Duration::from_millis(wall.all_ms()))
    }

    /// Answers how many ended.
    fn run_all(
        &self,
        directory: &Path,
        known: &Runs,
        results: &Mutex<File>,
        wall: &Wall<'_>,
        progress: &impl Progress,
        stop: &AtomicBool,
    ) -> Result<u64, Stopped> {
        let program = std::env::current_exe().map_err(at(Path::new(THIS_PROGRAM)))?;
        let build = build_of(&program);
        let io = || at(&results::path(directory));
        let ended = AtomicU64::new(0);
        let variants = self.variants.len() as u64;
        cores::each::<Stopped>(0..self.runs(), |run| {
            if stop.load(Ordering::Relaxed) {
                return Ok(ControlFlow::Break(()));
            }
            let (seed, variant) = (self.from + run / variants, (run % variants) as usize);
            if known.has(seed, variant) {
                return Ok(ControlFlow::Continue(()));
            }
            if build_of(&program) != build {
                return Err(Stopped::Replaced(program.clone()));
            }
            let outcome = match run_one(&program, directory, variant, seed) {
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {
                    stop.store(true, Ordering::Relaxed);
                    return Ok(ControlFlow::Break(()));
                }
                ran => ran.map_err(io())?,
            };
            let done = Done { variant, seed, outcome };
            results::append(results, &done).map_err(io())?;
            ended.fetch_add(1, Ordering::Relaxed);
            progress.done(&done.outcome);
            wall.keep_now_and_then()?;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(ended.into_inner())
    }
}

/// A digest of this program.
fn this_program() -> Result<String, Stopped> {
    let hash = || {
        let mut file = File::open(std::env::current_exe()?)?;
        let mut hasher = blake3::Hasher::new();
        io::copy(&mut file, &mut hasher)?;
        io::Result::Ok(hasher.finalize().to_hex().to_string())
    };
    hash().map_err(at(Path::new(THIS_PROGRAM)))
}

/// What tells a file from one that took its place; quicker than its digest.
fn build_of(program: &Path) -> Option<(u64, u64, SystemTime)> {
    let about = std::fs::metadata(program).ok()?;
    Some((about.ino(), about.len(), about.modified().ok()?))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Stopped + use<> {
    let path = path.to_owned();
    move |why| Stopped::Io(path, why)
}

/// How long a campaign has been running, over all its sessions. The description keeps it, so that a session that was
/// killed is nearly counted, too.
struct Wall<'a> {
    campaign: &'a Campaign,
    directory: &'a Path,
    before_ms: u64,
    clock: platform::SystemClock,
    kept_ms: Mutex<u64>,
}

impl<'a> Wall<'a> {
    fn new(campaign: &'a Campaign, directory: &'a Path, before_ms: u64) -> Self {
        let clock = platform::SystemClock::new();
        Self { campaign, directory, before_ms, clock, kept_ms: Mutex::new(before_ms) }
    }

    fn all_ms(&self) -> u64 {
        let session = platform::Clock::monotonic(&self.clock).as_millis();
        self.before_ms.saturating_add(u64::try_from(session).unwrap_or(u64::MAX))
    }

    fn keep_now_and_then(&self) -> Result<(), Stopped> {
        // Who does not get in knows that somebody keeps it.
        let Ok(mut kept_ms) = self.kept_ms.try_lock() else { return Ok(()) };
        if self.all_ms() < *kept_ms + KEEP_MS {
            return Ok(());
        }
        *kept_ms = self.all_ms();
        self.keep()
    }

    /// Writes the description anew, whole or not at all.
    fn keep(&self) -> Result<(), Stopped> {
        let (path, new) = (self.directory.join(DESCRIPTION), self.directory.join(NEW));
        let campaign = Campaign { wall_ms: self.all_ms(), ..self.campaign.clone() };
        let text = serde_json::to_string_pretty(&campaign).map_err(io::Error::other).map_err(at(&path))?;
        std::fs::write(&new, text + "\n").map_err(at(&new))?;
        std::fs::rename(&new, &path).map_err(at(&path))
    }
}

fn digest(plan: &Plan) -> String {
    blake3::hash(format!("{plan:?}").as_bytes()).to_hex().to_string()
}

/// A run that ended without an outcome has shown something, too.
fn crashed(seed: u64, why: &str) -> Outcome {
    let broken = crate::outcome::BrokenAt { at_ms: 0, sentence: NO_OUTCOME.to_owned(), what: why.to_owned() };
    Outcome { seed, broken: Some(broken), ..Outcome::default() }
}

fn run_one(program: &Path, directory: &Path, variant: usize, seed: u64) -> io::Result<Outcome> {
    let mut command = Command::new(program);
    // That it is the same program is known: it takes a while to find out.
    command.arg("replay").arg("--run").arg(directory).args(["--json", "--other-program"]);
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
