//! The rules of the protocol, broken one at a time. Each mistake says which rule it breaks, what somebody
//! would be thinking who made it, in which world it is planted, and which sentence must break.
//!
//! Where a mistake breaks several sentences, the one that hurts is demanded, not the one that breaks first.

use super::rules;
use super::worlds::{self, World};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mistake {
    RelativeDraws,
    InstallByAdd,
    NoWatermark,
    ResumeFromRecords,
    BootIdBeforeRounding,
    AnswerBeforeJournal,
    RoundingCountedTwice,
    ReturnBeforeSync,
    WatermarkKeptOnReturn,
    DeltaReports,
    ReportAheadOfDisk,
    LateReturnCredits,
    SilenceTakenForReturn,
    RecallFreesAtDeadline,
    RecallWithoutDrawn,
    DiskLossKeepsIdentity,
    LineOutlivesItsCycle,
    ReturnIntoTheNewCycle,
    EarmarkWithoutGrants,
    BackingsByPosition,
    ForgottenLineReopened,
    EarlyCloseForgotten,
    LineNumberReused,
    IntentPaidTwice,
    IntentAlsoBackToDonor,
    IntentDoesNotFreeze,
    IntentForgottenAtClose,
}

/// Everything there is to say about a mistake.
#[derive(Clone, Copy, Debug)]
pub struct Planted {
    pub mistake: Mistake,
    pub name: &'static str,
    pub rule: &'static str,
    pub thought: &'static str,
    pub breaks: &'static str,
    pub world: World,
}

const fn planted(
    mistake: Mistake,
    name: &'static str,
    rule: &'static str,
    thought: &'static str,
    breaks: &'static str,
    world: World,
) -> Planted {
    Planted { mistake, name, rule, thought, breaks, world }
}

pub const ALL: &[Planted] = &[
    planted(
        Mistake::RelativeDraws,
        "relative-draws",
        "R1",
        "a draw says \"two more\" instead of \"let it become two\"",
        rules::ONCE,
        worlds::CRASHES,
    ),
    planted(
        Mistake::InstallByAdd,
        "install-by-add",
        "R2",
        "a holder adds what it is told to what it has",
        rules::NOT_OVERDRAWN,
        worlds::CRASHES,
    ),
    planted(
        Mistake::NoWatermark,
        "no-watermark",
        "R3",
        "the watermark is kept in memory, the disk is slow",
        rules::NOT_OVERDRAWN,
        worlds::CRASHES,
    ),
    planted(
        Mistake::ResumeFromRecords,
        "resume-from-records",
        "R4",
        "after a power loss the synced records say what was used",
        rules::NOT_OVERDRAWN,
        worlds::CRASHES,
    ),
    planted(
        Mistake::BootIdBeforeRounding,
        "boot-id-before-rounding",
        "R4",
        "the boot id is written first, the rounded numbers in the next record",
        rules::NOT_OVERDRAWN,
        worlds::CRASHES,
    ),
    planted(
        Mistake::AnswerBeforeJournal,
        "answer-before-journal",
        "R4",
        "the client is answered first, the record follows in the background",
        rules::NOT_OVERDRAWN,
        worlds::CRASHES,
    ),
    planted(
        Mistake::RoundingCountedTwice,
        "rounding-counted-twice",
        "R4",
        "what was rounded up is unattributed, and used as well",
        rules::CHARGED_FAIRLY,
        worlds::CRASHES,
    ),
    planted(
        Mistake::ReturnBeforeSync,
        "return-before-sync",
        "R5",
        "the Return goes out while its record is still on the way to the disk",
        rules::NOT_OVERDRAWN,
        worlds::CRASHES,
    ),
    planted(
        Mistake::WatermarkKeptOnReturn,
        "watermark-kept-on-return",
        "R5",
        "a Return raises R and leaves the watermark where it was",
        rules::NOT_OVERDRAWN,
        worlds::CRASHES,
    ),
    planted(
        Mistake::DeltaReports,
        "delta-reports",
        "R6",
        "the ledger adds what a report says",
        rules::CHARGED_FAIRLY,
        worlds::CRASHES,
    ),
    planted(
        Mistake::ReportAheadOfDisk,
        "report-ahead-of-disk",
        "R6",
        "a report says what memory knows",
        rules::WITHIN,
        worlds::CRASHES,
    ),
    planted(
        Mistake::LateReturnCredits,
        "late-return-credits",
        "R7",
        "a written off holder that returns credits after all is believed",
        rules::NOT_OVERDRAWN,
        worlds::EXPOSED,
    ),
    planted(
        Mistake::SilenceTakenForReturn,
        "silence-taken-for-return",
        "R8",
        "a lease that has expired is available again",
        rules::NOT_OVERDRAWN,
        worlds::CRASHES,
    ),
    planted(
        Mistake::RecallFreesAtDeadline,
        "recall-frees-at-deadline",
        "R9",
        "a recall that is not answered in time counts as answered",
        rules::NOT_OVERDRAWN,
        worlds::CRASHES,
    ),
    planted(
        Mistake::RecallWithoutDrawn,
        "recall-without-drawn",
        "R9",
        "a recall need not repeat what the holder was told before",
        rules::RECALLED,
        worlds::CRASHES,
    ),
    planted(
        Mistake::DiskLossKeepsIdentity,
        "disk-loss-keeps-identity",
        "R10",
        "the node has a name, so a new disk changes nothing",
        rules::NOT_OVERDRAWN,
        worlds::LOST_HOLDER,
    ),
    planted(
        Mistake::LineOutlivesItsCycle,
        "line-outlives-its-cycle",
        "R11",
        "an open line goes on drawing in the next cycle",
        rules::OWN_CYCLE,
        worlds::ROLLOVER,
    ),
    planted(
        Mistake::ReturnIntoTheNewCycle,
        "return-into-the-new-cycle",
        "R11",
        "what returns late is credited to the cycle that is",
        rules::NOT_OVERDRAWN,
        worlds::ROLLOVER,
    ),
    planted(
        Mistake::EarmarkWithoutGrants,
        "earmark-without-grants",
        "R12",
        "an allocation is a number; the grants are burnt in their order",
        rules::FUNDED,
        worlds::TWO_GRANTS,
    ),
    planted(
        Mistake::BackingsByPosition,
        "backings-by-position",
        "backings",
        "a Return is a plain number; the ledger counts it off from the last credit drawn",
        rules::NOT_OVERDRAWN,
        worlds::MOVED_LATE,
    ),
    planted(
        Mistake::ForgottenLineReopened,
        "forgotten-line-reopened",
        "forget",
        "what is forgotten need not be remembered: no highest n is kept",
        rules::CLOSED,
        worlds::FORGETTING,
    ),
    planted(
        Mistake::EarlyCloseForgotten,
        "early-close-forgotten",
        "forget",
        "the Close of a line that was never opened need not be remembered",
        rules::CLOSED,
        worlds::FORGETTING,
    ),
    planted(
        Mistake::LineNumberReused,
        "line-number-reused",
        "forget",
        "a closed line's number is free again",
        rules::NOT_OVERDRAWN,
        worlds::FORGETTING,
    ),
    planted(
        Mistake::IntentPaidTwice,
        "intent-paid-twice",
        "intent",
        "an intent is paid from what a message says is returned, not from what is new in it",
        rules::MOVED_ONCE,
        worlds::MOVED_LATE,
    ),
    planted(
        Mistake::IntentAlsoBackToDonor,
        "intent-also-back-to-donor",
        "intent",
        "a returned credit goes back to its earmark, and the intent is paid as well",
        rules::MOVED_ONCE,
        worlds::REALLOCATION,
    ),
    planted(
        Mistake::IntentDoesNotFreeze,
        "intent-does-not-freeze",
        "intent",
        "a line that owes to an intent may draw what is shared",
        rules::NAMED,
        worlds::REALLOCATION,
    ),
    planted(
        Mistake::IntentForgottenAtClose,
        "intent-forgotten-at-close",
        "intent",
        "a line that is folded takes with it what it still owed",
        rules::SETTLED,
        worlds::REALLOCATION,
    ),
];

/// The mistake of that name, if there is one.
pub fn named(name: &str) -> Option<&'static Planted> {
    ALL.iter().find(|planted| planted.name == name)
}
