//! The rules of the protocol, broken one at a time. Each mistake says (in `planted`) which rule it breaks, what somebody
//! would be thinking who made it, in which world it is planted, and which sentence must break. Not here: what
//! a mistake does; that is beside the rule it breaks, wherever `Protocol::has` is asked.
//!
//! Where a mistake breaks several sentences, the one that hurts is demanded, not the one that breaks first.

pub use super::planted::ALL;
use super::worlds::World;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mistake {
    RelativeDraws,
    InstallByAdd,
    NoWatermark,
    WatermarkFarAhead,
    ResumeFromRecords,
    BootIdBeforeRounding,
    AnswerBeforeJournal,
    RoundingCountedTwice,
    ReturnBeforeSync,
    WatermarkKeptOnReturn,
    DeltaReports,
    ReportAheadOfDisk,
    LateReturnCredits,
    EvidenceBesideWriteOff,
    JournalCopyIsProof,
    SilenceTakenForReturn,
    SessionEndCredits,
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
    LapsesAtTheFirstReturn,
    CarriedExpires,
    CarriedNotBooked,
    EarmarkOutlivesItsCycle,
    OverageForTheWholeDraw,
    CapOnWhatIsUsed,
    OverageStays,
    ResourcedAndAvailable,
    UnmintedStaysPaid,
    BillIsFinalAtRollover,
    LimitOnWhatIsUsed,
    WindowBeginsAtZero,
    CountedWhereItWasDrawn,
    StruckButNotFrozen,
    StruckOverAHold,
    OldListsForgotten,
    OpenedUnderAnOldList,
    LineFoundByUserAlone,
    HoldNotSynced,
    HoldEndNotSynced,
    HoldEndKeepsWatermark,
    HoldRoundedToo,
    HoldGivenBack,
    ClosedOverAHold,
    ExpiryReturnsConfirmed,
    LateSettleChargesAll,
    SettledTwice,
    HoldCountedAnew,
    RecallForgotten,
    SealNotKept,
    AlwaysRefreshed,
    SessionIgnored,
    SessionFromItsAnswer,
    SessionSurvivesReboot,
    RenewalOfAnEarlierBoot,
    SessionsForgottenByLeader,
    RenewedWithoutRecall,
    DeposedLeaderRenews,
    FencedHolderRenews,
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

pub(super) const fn planted(
    mistake: Mistake,
    name: &'static str,
    rule: &'static str,
    thought: &'static str,
    breaks: &'static str,
    world: World,
) -> Planted {
    Planted { mistake, name, rule, thought, breaks, world }
}

/// The mistake of that name, if there is one.
pub fn named(name: &str) -> Option<&'static Planted> {
    ALL.iter().find(|planted| planted.name == name)
}
