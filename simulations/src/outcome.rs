//! What a run leaves behind: numbers for people and for batches. Not here: how they come about.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub seed: u64,
    pub minutes: u64,
    /// Of the whole film.
    pub trace: String,
    pub frames: u64,
    pub simulated_ms: u64,
    pub nodes: usize,
    /// Requests of clients and changes of administrators.
    pub operations: u64,
    pub told: u64,
    /// Decided without asking anybody.
    pub told_local: u64,
    pub refusals: BTreeMap<String, u64>,
    pub no_answer: u64,
    pub changes: u64,
    pub changes_refused: u64,
    /// Begun, by kind.
    pub faults: BTreeMap<String, u64>,
    pub crossings: BTreeMap<String, u64>,
    pub broken: Option<BrokenAt>,
    pub entries: u64,
    pub draws: u64,
    pub elections: u64,
    pub messages: u64,
    pub lost: u64,
    pub doubled: u64,
    pub polls: u64,
    pub rounds_ms: Vec<u64>,
    /// From a reallocation that left something pending to when nothing of it was.
    pub reallocations_ms: Vec<u64>,
    pub failovers_ms: Vec<u64>,
    pub stranded_at_first_refusal: Option<Stranded>,
    /// What the clients of the load saw, while it lasted.
    #[serde(default)]
    pub served: Served,
    /// As they were planned, by time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fault_spans: Vec<FaultSpan>,
    pub timeline: Vec<Sample>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub film: Vec<crate::scene::Shot>,
}

/// What became of the requests of a load, and how well: amounts in micro-credits. What a single counter without leases
/// and faults would have charged at that moment, and was refused or not answered, stands by reason in `falsely`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    pub asked: u64,
    pub charged: u64,
    /// Charged without asking anybody.
    pub local: u64,
    /// Refused in the end, by reason; `no-answer` is one, and `under-way`: not answered when the load ended. All that were
    /// not charged.
    pub refused: BTreeMap<String, u64>,
    /// Those of them that a single counter would have charged.
    pub falsely: BTreeMap<String, u64>,
    pub granted: u64,
    pub spent: u64,
    /// Out on lines of nodes that were down or cut off from the leader, as the ledger knew it: at worst, and when the load
    /// ended.
    pub stranded: u64,
    pub stranded_at_end: u64,
    /// Charged and told to nobody: with lines that were rounded up after a power failure, or written off.
    #[serde(default)]
    pub lost: u64,
    /// Of a pool, when somebody was first refused falsely: what had been spent by then.
    pub first_false_refusal: Option<FirstRefusal>,
    /// Until 95 % of what was granted was spent: charged, and charged without asking anybody.
    pub charged_until_95: u64,
    pub local_until_95: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstRefusal {
    pub at_ms: u64,
    pub spent: u64,
    pub granted: u64,
}

/// A fault for charts: its kind, when it is on, and where (`n2`, `n1 → n3`, or nothing: everywhere).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultSpan {
    pub kind: String,
    pub at_ms: u64,
    pub for_ms: u64,
    pub place: String,
}

/// All pools together at one moment, in micro-credits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    pub at_ms: u64,
    pub available: u64,
    pub out: u64,
    pub used: u64,
    pub told: u64,
    /// So far, by reason.
    pub refusals: BTreeMap<String, u64>,
    pub faults_active: u32,
    pub nodes_up: usize,
    pub led: bool,
    /// Requests of clients so far; and those refused so far that a single counter would have charged.
    #[serde(default)]
    pub asked: u64,
    #[serde(default)]
    pub falsely: u64,
    /// Requests that ended without a charge so far; `refusals` counts every try.
    #[serde(default)]
    pub refused: u64,
    /// Out on lines of nodes that are down or cut off from the leader.
    #[serde(default)]
    pub out_of_reach: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokenAt {
    pub at_ms: u64,
    pub sentence: String,
    pub what: String,
}

/// What was left of a pool; `out`: on lines, unspent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stranded {
    pub at_ms: u64,
    pub available: u64,
    pub out: u64,
    pub granted: u64,
}

/// Of nothing 0.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub fn percent(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { part as f64 * 100.0 / all as f64 }
}
