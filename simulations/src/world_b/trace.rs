//! The trace of a run: every event of the product and of this room, hashed, and kept where wished; and every byte between
//! nodes, hashed. Not here: what is an event; it is whatever `tracing` hears.

use crate::scene::{Scene, Shot};
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use types::planted::AS_ASKED;

static TRACE: Mutex<Option<Trace>> = Mutex::new(None);

struct Trace {
    hasher: blake3::Hasher,
    kept: Option<Vec<Shot>>,
}

/// Begins to listen; the first call in a process counts.
pub fn begin(keep: bool) {
    let trace = Trace { hasher: blake3::Hasher::new(), kept: keep.then(Vec::new) };
    *TRACE.lock().expect("nothing panics holding it") = Some(trace);
    // A second one in a process would listen twice.
    let _first = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Recorder));
}

/// Every event as a step of a film, where they were kept.
#[must_use]
pub fn film() -> Vec<Shot> {
    let mut trace = TRACE.lock().expect("nothing panics holding it");
    trace.as_mut().and_then(|trace| trace.kept.take()).unwrap_or_default()
}

/// What was heard so far.
#[must_use]
pub fn digest() -> String {
    let mut trace = TRACE.lock().expect("nothing panics holding it");
    trace.as_mut().map_or(String::new(), |trace| trace.hasher.finalize().to_hex()[..16].to_owned())
}

/// What shows nowhere else than in what the product says, and how often it was said so far.
#[derive(Debug)]
pub struct Heard {
    /// All of these stand in one event.
    words: &'static [&'static str],
    count: AtomicU64,
}

impl Heard {
    const fn of(words: &'static [&'static str]) -> Self {
        Self { words, count: AtomicU64::new(0) }
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    fn hear(&self, line: &str) {
        if self.words.iter().all(|words| line.contains(words)) {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Nodes have exchanged this.
pub fn carried(bytes: &[u8]) {
    if let Some(trace) = TRACE.lock().expect("nothing panics holding it").as_mut() {
        trace.hasher.update(&(bytes.len() as u64).to_le_bytes());
        trace.hasher.update(bytes);
    }
}

/// A replica has installed a snapshot.
pub static SNAPSHOTS: Heard = Heard::of(&["a snapshot of the leader is installed"]);
/// An actor that panicked because it was asked to is followed by another one.
pub static REBUILT: Heard = Heard::of(&["an allocation actor failed; rebuilding it", AS_ASKED]);
pub static TAKEN_UP: Heard = Heard::of(&["a pool actor failed; its lines are taken up again", AS_ASKED]);

struct Recorder;

/// openraft's events carry instants of the machine; what it does shows in what it sends
/// and in what the judge finds applied.
const OURS: [&str; 15] = [
    "film",
    "actors",
    "api",
    "cluster",
    "escrow",
    "journal",
    "ledger",
    "leasing",
    "placement",
    "platform",
    "pricing",
    "quota",
    "replication",
    "transport",
    "simulations",
];

impl<S: tracing::Subscriber> Layer<S> for Recorder {
    fn enabled(&self, about: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        let room = about.target().split("::").next().unwrap_or_default();
        about.is_event() && OURS.contains(&room)
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let now = turmoil::sim_elapsed().map_or(0, |passed| passed.as_millis());
        let mut line = format!("{now:>8} {} {}", event.metadata().level(), event.metadata().target());
        event.record(&mut Words(&mut line));
        line.push('\n');
        [&SNAPSHOTS, &REBUILT, &TAKEN_UP].into_iter().for_each(|heard| heard.hear(&line));
        if let Some(trace) = TRACE.lock().expect("nothing panics holding it").as_mut() {
            trace.hasher.update(line.as_bytes());
            if let Some(kept) = &mut trace.kept {
                let at_us = u64::try_from(now).unwrap_or(u64::MAX).saturating_mul(1_000);
                let step = event.metadata().target().to_owned();
                let words = line.get(9..).unwrap_or_default().trim_end().to_owned();
                kept.push(Shot {
                    at_us,
                    step,
                    node: String::new(),
                    scene: Scene { words, ..Scene::default() },
                });
            }
        }
    }
}

struct Words<'a>(&'a mut String);

impl Visit for Words<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _always = write!(self.0, " {}={value:?}", field.name());
    }
}
