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
    pub timeline: Vec<Sample>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub film: Vec<serde_json::Value>,
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
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokenAt {
    pub at_ms: u64,
    pub sentence: String,
    pub what: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stranded {
    pub at_ms: u64,
    pub available: u64,
    pub out: u64,
    pub granted: u64,
}
