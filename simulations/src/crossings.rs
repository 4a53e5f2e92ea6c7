//! Rare crossings that a batch of runs must have seen, or it has shown nothing. Not here: the moments at which they are
//! seen; each stands where it happens.

use std::collections::BTreeMap;

macro_rules! crossings {
    ($($name:ident $worlds:literal $text:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Crossing { $($name,)* }

        impl Crossing {
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// As reports write it.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The worlds whose batches must have seen it.
            const fn worlds(self) -> &'static str {
                match self { $(Self::$name => $worlds,)* }
            }
        }
    };
}

crossings! {
    CrashDuringRecall "a" "a holder dies after a return that is durable, before it has answered the recall",
    ReturnDurableAnswerLost "a" "a return is durable, and its leader never hears the answer",
    WrittenOffHolderWakes "a" "a holder that was written off wakes and speaks",
    FencedHolderIsRefused "a" "a fenced holder is refused",
    EvidenceIsTaken "a" "a fenced holder's last word is taken as evidence",
    ExposureIsBooked "ab" "a lost holder's credits are given back as an exposure",
    LimitCutBelowOut "ab" "a limit is cut below what is used and out",
    ReallocationUnderFire "a" "a reallocation is settled after spends, a recall, a crash and another leader",
    ReallocationLeavesPending "ab" "a reallocation leaves a pending part",
    PendingPartLapses "ab" "a pending part lapses, because it was spent meanwhile",
    PendingPartArrives "ab" "a pending part arrives",
    SpentOnFrozenLine "a" "a line is spent from after it was frozen",
    KeyRetriedElsewhereWhileHomeIsDown "ab" "a key is retried on another node while its home is down",
    KeyReplayedAfterRestart "a" "a key is answered again after its node has started anew",
    KeyIsAskedForAgain "b" "a key that was answered is asked for again, on any node",
    KeyForgottenWithItsDisk "a" "a key is charged anew, because what remembered it was lost",
    TwoHoldersOfOneUser "ab" "two holders have lines of one user",
    RefusedAfterRound "a" "a draw is refused after a recall round",
    ServedByRound "a" "a draw is served by what a recall round brought",
    RaiseIsServedByRecall "a" "a raise of an allocation is served by a recall",
    LeaderChangesDuringRound "a" "the leader changes in the middle of a recall round",
    NewLeaderFindsFrozenLines "a" "a new leader finds frozen lines",
    ProposalIsUnknown "a" "a proposal is unknown to its leader",
    UnknownProposalCommits "a" "a change that was unknown to its administrator was done",
    PowerLossRoundsUp "ab" "a power failure rounds a line up",
    PowerLossIsExact "a" "a journal is exact after its process died",
    DamagedDiskIsFound "ab" "a damaged journal is not opened",
    RolledBackDiskIsRefused "ab" "a rolled-back disk is refused",
    JournalStops "ab" "a journal stops, and its node is started again",
    StorageIsFull "a" "a consume is refused because the disk is full",
    CloseWasTakenAlready "a" "a close is asked again that was taken already",
    SessionIsOver "a" "a holder's session is over",
    HoldIsExtended "a" "a hold is extended",
    HoldExpires "a" "a hold expires",
    HoldIsSettledLate "a" "a hold that has expired is settled late",
    HoldIsOpenAfterRestart "a" "a hold is open when its holder has started anew",
    LineClosesWithItsHold "a" "a line that was taken away closes with its last hold",
    Refunded "a" "a charge is refunded",
    RefundAskedAgain "a" "a refund is asked for again, and answered as it was",
    GrantEndsWhileOut "ab" "a grant expires or is voided while credits of it are out",
    CycleEnds "a" "a cycle ends",
    CycleEndsWhileOut "a" "a cycle ends while credits are out",
    CycleEndsWhilePartitioned "a" "a cycle ends while nodes are cut off from each other",
    CycleEndsWhilePending "a" "a cycle ends before what was promised has come back",
    ReturnIsCarried "a" "what a line of an ended cycle gives back goes by its grant's rule",
    LateReport "a" "a line of an ended cycle tells late what was charged on it",
    PlanGives "a" "a plan gives what it owes a new cycle",
    PlanFindsItInUse "a" "a smaller plan finds what it gave in use",
    PaidSeatIsTaken "a" "a seat that is paid for is taken by another",
    PoolingIsSwitched "a" "whose credits those for seats are is switched",
    SwitchCallsBack "a" "a switch calls back what is out",
    HandleOfAnotherList "a" "a node hears that other features are limited while it has lines of before",
    OverageIsDrawn "a" "credits are drawn beyond what is included",
    OverageIsPaidFor "a" "included credits that come back pay for overage",
    PayerIsFree "a" "overage comes back, and what had paid for it is free again",
    AccessOffWhileOut "ab" "access is switched off while credits are out",
    UnattributedReachesTheLedger "ab" "what a power failure took the detail of is charged as unattributed",
    AllHoldersDown "ab" "all nodes are down at once",
    EmptyDiskIsRefused "b" "an empty directory under a known node's id is refused",
    SnapshotIsInstalled "b" "a replica that lags is sent a snapshot",
    LogStops "b" "a Raft log cannot be written, and its node is started again",
    ActorIsRebuilt "b" "an actor panics, and another takes its lines up",
    FrameIsCutOff "b" "a connection breaks in the middle of a frame",
    WrongNodeIsRefused "b" "another node answers than the one that was called, and is not taken for it",
    JunkIsRefused "b" "what cannot be read is refused",
    JunkIsRefusedByPeers "b" "what is no hello, or none for this node, is refused at the peers' door",
    LeaderChanges "b" "another node leads a pool's shard",
}

impl Crossing {
    /// What a batch of this world must have seen.
    pub fn of_world(world: &str) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |crossing| crossing.worlds().contains(world))
    }
}

#[derive(Clone, Debug, Default)]
pub struct Seen(BTreeMap<Crossing, u64>);

impl Seen {
    pub fn saw(&mut self, crossing: Crossing) {
        *self.0.entry(crossing).or_default() += 1;
    }

    /// So many times, perhaps never.
    pub fn saw_often(&mut self, crossing: Crossing, times: u64) {
        if times > 0 {
            *self.0.entry(crossing).or_default() += times;
        }
    }

    /// Of what goes on for a while: counted once a run.
    pub fn saw_once(&mut self, crossing: Crossing) {
        self.0.entry(crossing).or_insert(1);
    }

    pub fn by_text(&self) -> BTreeMap<String, u64> {
        self.0.iter().map(|(crossing, count)| (crossing.text().to_owned(), *count)).collect()
    }
}
