//! The trace of a run: every event of the product and of this room, hashed, and written to a file where wished. Not here:
//! what is an event; it is whatever `tracing` hears.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

static TRACE: Mutex<Option<Trace>> = Mutex::new(None);

struct Trace {
    hasher: blake3::Hasher,
    file: Option<BufWriter<File>>,
}

/// Begins to listen; the first call in a process counts.
///
/// # Errors
/// The file cannot be written.
pub fn begin(file: Option<&Path>) -> std::io::Result<()> {
    let file = file.map(File::create).transpose()?.map(BufWriter::new);
    *TRACE.lock().expect("nothing panics holding it") = Some(Trace { hasher: blake3::Hasher::new(), file });
    // A second one in a process would listen twice.
    let _first = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Recorder));
    Ok(())
}

/// What was heard so far.
#[must_use]
pub fn digest() -> String {
    let mut trace = TRACE.lock().expect("nothing panics holding it");
    trace.as_mut().map_or(String::new(), |trace| {
        if let Some(file) = &mut trace.file {
            // The run is over; a full disk costs the film, not the verdict.
            let _unwritten = file.flush();
        }
        trace.hasher.finalize().to_hex()[..16].to_owned()
    })
}

/// How often a replica has installed a snapshot so far: it shows nowhere else.
#[must_use]
pub fn snapshots_installed() -> u64 {
    SNAPSHOTS.load(Ordering::Relaxed)
}

static SNAPSHOTS: AtomicU64 = AtomicU64::new(0);
const INSTALLED: &str = "a snapshot of the leader is installed";

struct Recorder;

/// openraft's events carry instants of the machine; what it does shows in what the judge finds applied.
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
        if line.contains(INSTALLED) {
            SNAPSHOTS.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(trace) = TRACE.lock().expect("nothing panics holding it").as_mut() {
            trace.hasher.update(line.as_bytes());
            if let Some(file) = &mut trace.file {
                let _unwritten = file.write_all(line.as_bytes());
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
