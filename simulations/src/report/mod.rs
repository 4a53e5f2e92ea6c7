//! What a campaign showed, for people and for machines: one [`Report`], which is its JSON form, and from it a short text
//! for the terminal and a self-contained page. Not here: running anything (`campaign`).

mod beside;
mod build;
mod chart;
mod compare;
mod course;
mod figures;
mod html;
mod scale;
mod text;
mod words;

pub use build::build;
pub use html::{Part, html, part};
pub use text::text;

use crate::baseline::Baseline;
use crate::outcome::Outcome;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All that is known after a campaign.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The files it was run over: what they are (topology, trace, faults) and their first comment line.
    pub inputs: Vec<Input>,
    pub seeds: u64,
    pub minutes: u64,
    pub wall_s: f64,
    pub simulated_hours: f64,
    /// What was compared over the same seeds; the first is the one asked about, the others are compared with it.
    pub variants: Vec<VariantReport>,
    /// What other ways of counting would have done with the same requests, over the first seeds; empty where users have
    /// rights of their own.
    #[serde(default)]
    pub baselines: Vec<Baseline>,
    #[serde(default)]
    pub baseline_seeds: u64,
    /// A mistake that was made on purpose: then this says nothing about the product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plant: Option<String>,
    /// Not passed where more of the first variant's requests were refused falsely, in per cent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub falsely_max: Option<f64>,
}

/// What a report comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    Good,
    Bad,
    /// Nothing was asked, or nothing charged: nothing is proven.
    Idle,
}

impl Report {
    #[must_use]
    pub fn verdict(&self) -> Judged {
        html::judged(self).0
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// `topology`, `policy`, `trace`, `faults`.
    pub role: String,
    pub file: String,
    /// What the file says of itself in its first comment.
    pub about: String,
}

/// One topology with one lease policy, over all seeds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VariantReport {
    pub name: String,
    pub nodes: usize,
    pub seeds: u64,
    /// Seeds in which a sentence broke, with what broke: a pool overdrawn is one of them. Empty is what one wants.
    pub broken: BTreeMap<u64, String>,
    pub overdrawn: u64,
    /// Seeds whose run stopped so that nobody can say whether a pool was overdrawn in it.
    #[serde(default)]
    pub unknown: u64,
    /// Over all seeds together.
    pub asked: u64,
    pub charged: u64,
    pub local: u64,
    pub refused: BTreeMap<String, u64>,
    pub falsely: BTreeMap<String, u64>,
    pub faults: BTreeMap<String, u64>,
    /// Credits charged and told to nobody, over all seeds: with lines rounded up after a power failure, or written off.
    #[serde(default)]
    pub lost: f64,
    /// By seed, in the order of seeds: for distributions and for pairs.
    pub by_seed: Vec<SeedFigures>,
    /// Milliseconds.
    pub recalls: Spread,
    pub failovers: Spread,
    pub reallocations: Spread,
    /// Ledger commands for a thousand charges; a real shard gathers several into one Raft entry.
    pub commands_per_thousand: f64,
    /// Until 95 % of the credits were spent: charged without asking anybody, in per cent of what was charged.
    #[serde(default)]
    pub local_until_95_percent: f64,
    /// What had been spent of a pool when somebody was first refused falsely, in per cent of what was granted: the least
    /// over seeds. Nothing: nobody was.
    #[serde(default)]
    pub first_false_refusal_percent: Option<f64>,
    /// What lay unspent on leases when somebody was first refused for want of credits, in per cent of what was granted: the
    /// most over seeds.
    #[serde(default)]
    pub stranded_percent: f64,
    /// The runs to look at.
    pub median: Option<Shown>,
    pub worst: Option<Shown>,
}

/// Figures of one seed: shares in per cent of what was asked, amounts in credits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SeedFigures {
    pub seed: u64,
    pub refused_percent: f64,
    pub falsely_percent: f64,
    pub local_percent: f64,
    pub stranded: f64,
    pub is_broken: bool,
}

/// How long something took, over all times it happened: in milliseconds, 0 where it never happened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub count: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub max: u64,
    /// (up to so many ms, so many times), by doubling.
    pub histogram: Vec<(u64, u64)>,
}

/// One run in full.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    pub seed: u64,
    /// Why it is shown, in a few words.
    pub why: String,
    /// The command that replays it.
    pub replay: String,
    pub outcome: Outcome,
}
