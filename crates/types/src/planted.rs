//! Mistakes planted into the product, one at a time, to try the machines that should find them; and points at which an
//! actor can be made to panic. Not here: where each stands; look for `is_planted` and `panic_point`.
//!
//! They exist with the feature `planted` in builds with debug assertions, which only the simulations ask for. In every
//! other build, each release among them, [`is_planted`] is `false` and [`panic_point`] nothing before the optimiser begins.

use std::fmt;
use std::str::FromStr;

macro_rules! mistakes {
    ($($mistake:ident = $name:literal $rule:literal: $what:literal,)*) => {
        /// A thought somebody could have had.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Mistake {
            $(#[doc = $what] $mistake),*
        }

        impl Mistake {
            pub const ALL: &'static [Self] = &[$(Self::$mistake),*];

            pub const fn name(self) -> &'static str {
                match self { $(Self::$mistake => $name),* }
            }

            /// The rule or sentence it breaks.
            pub const fn rule(self) -> &'static str {
                match self { $(Self::$mistake => $rule),* }
            }

            pub const fn what(self) -> &'static str {
                match self { $(Self::$mistake => $what),* }
            }
        }
    };
}

mistakes! {
    RelativeDraw = "relative-draw" "R1": "a draw asks for so much more, so that a repeated one draws twice",
    InstallAdds = "install-adds" "R2": "what was drawn is added to what is known, not merged",
    DepositTwice = "deposit-twice" "R3": "what the watermark rose by is put on the word twice",
    WatermarkUnsynced = "watermark-unsynced" "R3": "the word is raised before the watermark is on the disk",
    NothingRounded = "nothing-rounded" "R4": "after a power failure what the journal shows as used is all that was used",
    BootIdIgnored = "boot-id-ignored" "R4": "a journal is taken for whole after the kernel was started anew",
    RoundedLineGoesOn = "rounded-line-goes-on" "S10": "a rounded line is spent from again, with numbers of charges that were told already",
    ReturnUnsynced = "return-unsynced" "R5": "a return is told before it is on the disk",
    ReturnKeepsWatermark = "return-keeps-watermark" "R5": "the watermark stays where it was when credits are given back",
    CloseUnsynced = "close-unsynced" "R5": "a line's last numbers are told before they are on the disk",
    ReportAheadOfDisk = "report-ahead-of-disk" "R6": "a report says what is used by memory, not by the disk",
    DeltaReports = "delta-reports" "R6": "what a report says is added to what is booked",
    ClosedOpensAgain = "closed-opens-again" "R7": "a late draw on a closed line opens it anew",
    SilenceReturns = "silence-returns" "R8": "what a holder has is available again when it was silent for a while",
    SessionByBatch = "session-by-batch" "R8": "any batch renews a session, also of a holder that keeps what was taken away",
    RecallAtDeadline = "recall-at-deadline" "R9": "credits are moved when the recall is sent, not when they came back",
    FencedDraws = "fenced-draws" "R10": "a holder that was forgotten may go on drawing",
    RolledBackAccepted = "rolled-back-accepted" "R10": "a journal that is older than known is welcome",
    StartHidesAge = "start-hides-age" "R10": "what a start wrote that was registered nowhere counts as known to the cluster",
    UnregisteredAnswers = "unregistered-answers" "R10": "a holder answers recalls before the ledger has looked at its disk",
    EmptyDiskAccepted = "empty-disk-accepted" "R10": "an empty directory starts under a known node's id",
    AllocationOnAnything = "allocation-on-anything" "R12": "an allocation is funded by grants that end before the cycle",
    LimitIgnoresLeases = "limit-ignores-leases" "S6": "a limit counts what is used, not what is out",
    FrozenDraws = "frozen-draws" "S6": "a line that was taken away may still draw",
    ExposureForgotten = "exposure-forgotten" "S1": "credits given back for a lost holder are booked nowhere",
    ReturnLosesEarmark = "return-loses-earmark" "S1": "what an allocation's line gives back is shared",
    RollsTwice = "rolls-twice" "S18": "a boundary ends two cycles",
    BoundaryEarly = "boundary-early" "S18": "a cycle ends some seconds early",
    EndedLinesDraw = "ended-lines-draw" "S9": "lines of a cycle that has ended draw on",
    LateChargeHere = "late-charge-here" "S9": "what was charged in a cycle that has ended counts in the one it became known in",
    ReturnsAreKept = "returns-are-kept" "S9": "what comes back of an ended cycle is kept whole, whatever its grant's rule says",
    SeatPaidAgain = "seat-paid-again" "S1": "a seat that is freed and taken again is paid for again in the same cycle",
    OverageStays = "overage-stays" "S9": "included credits that come back pay for no overage",
    CapIgnoresLeases = "cap-ignores-leases" "S6": "a cap on overage counts what was charged, not what is out on leases",
    WindowEndsLate = "window-ends-late" "S6": "what was charged in the hour, day or week before counts in this one too",
    TeamLimitCountsItselfOnly = "team-limit-counts-itself-only" "S6": "a team's limit is not looked at for members of teams nested in it",
    ScopeForgotten = "scope-forgotten" "S6": "what is out on lines of before a feature or model had limits is not counted under them",
    AnyFeature = "any-feature" "S6": "what the plan does not have is drawn for as if it had it",
    ServicePaysItself = "service-pays-itself" "S6": "a service that shares draws on its own chain",
    ReserveForAll = "reserve-for-all" "S6": "who is in no team draws on the first one's reserve",
    MovedMembersDraw = "moved-members-draw" "S6": "who leaves a team keeps what he drew from its reserve",
    RefundTwice = "refund-twice" "S2": "what was refunded of a charge before is not looked at",
    RefundFromTheFront = "refund-from-the-front" "S8": "a refund goes back to the grants that burned first",
    KeptIsForgotten = "kept-is-forgotten" "S1": "what a smaller plan could not take back is forgotten, and a larger one gives it again",
    ImportTwice = "import-twice" "S7": "usage that happened elsewhere is not remembered by its id, and charged again when it is told of again",
    KeyNotKept = "key-not-kept" "S7": "a charge's key is not remembered",
    KeyNotJournalled = "key-not-journalled" "S7": "a charge's key is in memory only",
    OwnWallEndsKeys = "own-wall-ends-keys" "S7": "keys expire by this machine's own clock",
    KeyAnywhere = "key-anywhere" "S7": "a keyed consume is decided where it lands",
    AdminKeyNotKept = "admin-key-not-kept" "S7": "an administrator's retry is a new command",
    UnknownIsLocal = "unknown-is-local" "S11": "until the ledger has said how durable a workspace is, its consumes are local",
    SnapshotWithoutLines = "snapshot-without-lines" "S13": "lines are not in snapshots",
    LineNumbersStartAnew = "line-numbers-start-anew" "S10": "after a restart a pool's lines are numbered from 1",
    OwnWallBetween = "own-wall-between" "S18": "between two comparisons entries are dated by the node's own wall",
    HoldUnsynced = "hold-unsynced" "S11": "a hold is answered before it is on the disk",
    OlderDiskEndsHolds = "older-disk-ends-holds" "R10": "a holder answers for holds before the ledger has looked at its disk",
    HoldIsNotCountedDown = "hold-is-not-counted-down" "L": "a hold that was open when its node died never expires",
    ExpiryChargesAll = "expiry-charges-all" "S17": "a hold that expires is charged all that was held",
    FencedNeverLearns = "fenced-never-learns" "L": "a forgotten holder's session is renewed, so that it never learns that it is",
    RecallIgnored = "recall-ignored" "L": "a recall is answered and nothing is given back",
    RecallMeetsClose = "recall-meets-close" "L": "a recall that meets the end of an idle allocation actor is not answered",
    NobodyWoken = "nobody-woken" "L": "who waits for credits is not woken when they come",
    LogFailureIgnored = "log-failure-ignored" "L": "a node whose log cannot be written stays up and does nothing",
    RetiredIsForgotten = "retired-is-forgotten" "L": "a handle of an older list of limits is forgotten before its line is closed",
    ClosedUnsaid = "closed-unsaid" "L": "a line that an actor closed and did not live to say so is forgotten",
    FrozenNeverRecalled = "frozen-never-recalled" "L": "nobody recalls lines that were taken away",
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("no mistake is called {0:?}")]
pub struct NoSuchMistake(String);

impl FromStr for Mistake {
    type Err = NoSuchMistake;

    fn from_str(name: &str) -> Result<Self, NoSuchMistake> {
        let found = Self::ALL.iter().find(|mistake| mistake.name() == name);
        found.copied().ok_or_else(|| NoSuchMistake(name.to_owned()))
    }
}

#[cfg(all(feature = "planted", debug_assertions))]
mod chosen {
    use super::{AS_ASKED, Actor, Mistake};
    use crate::NodeId;
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU8, Ordering};
    use std::sync::{Mutex, MutexGuard, PoisonError};

    const NONE: u8 = u8::MAX;
    static CHOSEN: AtomicU8 = AtomicU8::new(NONE);

    /// From now on this process makes the mistake; one at a time.
    pub fn plant(mistake: Option<Mistake>) {
        CHOSEN.store(mistake.map_or(NONE, |mistake| mistake as u8), Ordering::SeqCst);
    }

    #[inline]
    pub fn is_planted(mistake: Mistake) -> bool {
        CHOSEN.load(Ordering::Relaxed) == mistake as u8
    }

    /// Points still to be passed.
    static PANICS: Mutex<BTreeMap<(NodeId, Actor), u32>> = Mutex::new(BTreeMap::new());

    fn panics() -> MutexGuard<'static, BTreeMap<(NodeId, Actor), u32>> {
        PANICS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An actor of this node is to panic, at the point that is reached after so many others. Answers `false` where one
    /// is to panic already.
    pub fn panic_after(node: NodeId, actor: Actor, points: u32) -> bool {
        let mut panics = panics();
        let is_first = !panics.contains_key(&(node, actor));
        panics.entry((node, actor)).or_insert(points);
        is_first
    }

    /// None is to panic any more; answers whether one still was.
    pub fn no_panic(node: NodeId, actor: Actor) -> bool {
        panics().remove(&(node, actor)).is_some()
    }

    /// Somewhere in an actor of this node.
    pub fn panic_point(node: NodeId, actor: Actor) {
        let mut panics = panics();
        let Some(left) = panics.get_mut(&(node, actor)) else { return };
        match left.checked_sub(1) {
            Some(fewer) => *left = fewer,
            None => {
                panics.remove(&(node, actor));
                drop(panics);
                panic!("{AS_ASKED}");
            }
        }
    }
}

#[cfg(all(feature = "planted", debug_assertions))]
pub use chosen::{is_planted, no_panic, panic_after, panic_point, plant};

/// Whom a panic is asked of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Actor {
    Allocation,
    Pool,
    /// An allocation actor that has closed its line and not said so: seldom met among all its points.
    Closing,
}

/// What an actor says that panics because it was asked to.
pub const AS_ASKED: &str = "an actor panics as it was asked to";

/// Whether this process makes the mistake: never, in this build.
#[cfg(not(all(feature = "planted", debug_assertions)))]
#[inline(always)]
pub const fn is_planted(_: Mistake) -> bool {
    false
}

/// Somewhere in an actor of this node. Nothing, in this build.
#[cfg(not(all(feature = "planted", debug_assertions)))]
#[inline(always)]
pub const fn panic_point(_: crate::NodeId, _: Actor) {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn mistakes_are_told_apart_by_name() {
        let names: BTreeSet<_> = Mistake::ALL.iter().map(|mistake| mistake.name()).collect();
        assert_eq!(names.len(), Mistake::ALL.len());
        assert!(Mistake::ALL.iter().all(|mistake| mistake.name().parse::<Mistake>().unwrap() == *mistake));
        assert!("none".parse::<Mistake>().is_err());
    }

    #[test]
    fn nothing_is_planted_unasked() {
        assert!(Mistake::ALL.iter().all(|mistake| !is_planted(*mistake)));
    }

    #[cfg(all(feature = "planted", debug_assertions))]
    #[test]
    fn one_actor_panics_at_the_point_it_was_asked_to() {
        let (node, actor) = (crate::NodeId(60_001), Actor::Pool);
        assert!(panic_after(node, actor, 2) && !panic_after(node, actor, 0));
        (0..2).for_each(|_| panic_point(node, actor));
        panic_point(crate::NodeId(60_002), actor);
        panic_point(node, Actor::Allocation);
        std::panic::catch_unwind(|| panic_point(node, actor)).unwrap_err();
        panic_point(node, actor);
        assert!(panic_after(node, actor, 0));
        assert!(no_panic(node, actor) && !no_panic(node, actor));
        panic_point(node, actor);
    }
}
