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
    /// From a move between two allocations that left something pending to when nothing of it was.
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

/// The sentence of a run that panicked: the product asserts its own sentences, too. Which one, if any, its words say.
pub const PRODUCT_STOPS: &str = "the product stops";
/// The sentence of a run that left nothing behind.
pub const NO_OUTCOME: &str = "a run has an outcome";

/// What a broken sentence says about the one question that comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// More was spent than there was; or what keeps that from happening (S1 to S5) did not hold.
    Overdrawn,
    /// Nobody can say: the run stopped, and not over one of those.
    Unknown,
    /// Another promise was broken, and until then no pool was overdrawn.
    Other,
}

/// A sentence of S1 that is not about how much there is.
const NO_OVERDRAFT: &str = "S1 a forget does what was asked";
/// And one of them that has no number.
const OVERDRAFT: &str = "what was told is gone";

impl BrokenAt {
    #[must_use]
    pub fn breach(&self) -> Breach {
        let stopped = [PRODUCT_STOPS, NO_OUTCOME].contains(&self.sentence.as_str());
        match stopped {
            true if names_s1_to_s5(&self.what) => Breach::Overdrawn,
            true => Breach::Unknown,
            false if self.sentence.starts_with(NO_OVERDRAFT) => Breach::Other,
            false if self.sentence.starts_with(OVERDRAFT) => Breach::Overdrawn,
            false if names_s1_to_s5(&self.sentence) => Breach::Overdrawn,
            false => Breach::Other,
        }
    }
}

/// Whether `S1` to `S5` stands in it as a word: `S12` is another sentence.
fn names_s1_to_s5(text: &str) -> bool {
    let mut words = text.split(|letter: char| !letter.is_ascii_alphanumeric());
    words.any(|word| matches!(word, "S1" | "S2" | "S3" | "S4" | "S5"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overdraft_is_one_whoever_caught_it() {
        let breach = |sentence: &str, what: &str| {
            BrokenAt { at_ms: 1, sentence: sentence.into(), what: what.into() }.breach()
        };
        for sentence in [
            "S3 nobody was told more than was granted",
            "S1 each grant is conserved",
            "S5 what was told is within the watermark on disk",
            "what was told is gone from the pool",
        ] {
            assert_eq!(breach(sentence, ""), Breach::Overdrawn, "{sentence}");
        }
        for sentence in [
            "S1 a forget does what was asked",
            "S12 ledger operations are linearizable",
            "a close is never rejected",
        ] {
            assert_eq!(breach(sentence, "S3 stands in what it was about"), Breach::Other, "{sentence}");
        }
        // The product's own assertions, as world A and the campaign hand them on.
        assert_eq!(breach(PRODUCT_STOPS, "S1/S2 broken on grant g0: Books { .. }"), Breach::Overdrawn);
        assert_eq!(breach(PRODUCT_STOPS, "S2: a line settles no more than was drawn"), Breach::Overdrawn);
        assert_eq!(breach(NO_OUTCOME, "signal: 6: panicked at ..: S1 broken in acme"), Breach::Overdrawn);
        assert_eq!(breach(PRODUCT_STOPS, "book underflow: 0.1 - 0.2"), Breach::Unknown);
        assert_eq!(breach(PRODUCT_STOPS, "S12 is another one, and S6: grant g ends"), Breach::Unknown);
        assert_eq!(breach(NO_OUTCOME, "signal: 9"), Breach::Unknown);
    }
}
