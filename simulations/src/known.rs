//! Seeds that are known to find planted mistakes, as `tranche-sim hunt` found them; and those that found other bugs;
//! `tranche-sim kills` replays them all. Not here: what they find. A change of a world's load moves them: hunt anew, and
//! write down what is found.

use crate::batch::World::{A, B};
use crate::hunt::{Known, Mended};
use types::planted::Mistake;

pub const SEEDS: &[Known] = &[
    Known { mistake: Mistake::RelativeDraw, world: A, seed: 0 },
    Known { mistake: Mistake::InstallAdds, world: A, seed: 0 },
    Known { mistake: Mistake::DepositTwice, world: B, seed: 0 },
    Known { mistake: Mistake::WatermarkUnsynced, world: A, seed: 5 },
    Known { mistake: Mistake::NothingRounded, world: A, seed: 0 },
    Known { mistake: Mistake::BootIdIgnored, world: A, seed: 11 },
    Known { mistake: Mistake::RoundedLineGoesOn, world: A, seed: 0 },
    Known { mistake: Mistake::ReturnUnsynced, world: A, seed: 71 },
    Known { mistake: Mistake::ReturnKeepsWatermark, world: A, seed: 0 },
    Known { mistake: Mistake::CloseUnsynced, world: A, seed: 100 },
    Known { mistake: Mistake::ReportAheadOfDisk, world: A, seed: 16 },
    Known { mistake: Mistake::DeltaReports, world: A, seed: 0 },
    Known { mistake: Mistake::ClosedOpensAgain, world: A, seed: 111 },
    Known { mistake: Mistake::SilenceReturns, world: A, seed: 0 },
    Known { mistake: Mistake::SessionByBatch, world: A, seed: 109 },
    Known { mistake: Mistake::RecallAtDeadline, world: A, seed: 0 },
    Known { mistake: Mistake::FencedDraws, world: A, seed: 170 },
    Known { mistake: Mistake::RolledBackAccepted, world: A, seed: 3 },
    Known { mistake: Mistake::StartHidesAge, world: A, seed: 3 },
    Known { mistake: Mistake::UnregisteredAnswers, world: A, seed: 16 },
    Known { mistake: Mistake::EmptyDiskAccepted, world: B, seed: 1 },
    Known { mistake: Mistake::AllocationOnAnything, world: A, seed: 0 },
    Known { mistake: Mistake::LimitIgnoresLeases, world: A, seed: 0 },
    Known { mistake: Mistake::FrozenDraws, world: A, seed: 5 },
    Known { mistake: Mistake::ExposureForgotten, world: A, seed: 7 },
    Known { mistake: Mistake::ReturnLosesEarmark, world: A, seed: 31 },
    Known { mistake: Mistake::RollsTwice, world: A, seed: 0 },
    Known { mistake: Mistake::BoundaryEarly, world: A, seed: 0 },
    Known { mistake: Mistake::EndedLinesDraw, world: A, seed: 0 },
    Known { mistake: Mistake::LateChargeHere, world: A, seed: 0 },
    Known { mistake: Mistake::ReturnsAreKept, world: A, seed: 0 },
    Known { mistake: Mistake::SeatPaidAgain, world: A, seed: 20 },
    Known { mistake: Mistake::KeptIsForgotten, world: A, seed: 6 },
    Known { mistake: Mistake::OverageStays, world: A, seed: 10 },
    Known { mistake: Mistake::CapIgnoresLeases, world: A, seed: 41 },
    Known { mistake: Mistake::KeyNotKept, world: A, seed: 0 },
    Known { mistake: Mistake::KeyNotJournalled, world: A, seed: 3 },
    Known { mistake: Mistake::OwnWallEndsKeys, world: B, seed: 7 },
    Known { mistake: Mistake::KeyAnywhere, world: B, seed: 4 },
    Known { mistake: Mistake::AdminKeyNotKept, world: A, seed: 1 },
    Known { mistake: Mistake::UnknownIsLocal, world: A, seed: 3 },
    Known { mistake: Mistake::SnapshotWithoutLines, world: B, seed: 1 },
    Known { mistake: Mistake::LineNumbersStartAnew, world: A, seed: 0 },
    Known { mistake: Mistake::OwnWallBetween, world: A, seed: 121 },
    Known { mistake: Mistake::HoldUnsynced, world: A, seed: 5 },
    Known { mistake: Mistake::OlderDiskEndsHolds, world: A, seed: 30 },
    Known { mistake: Mistake::HoldIsNotCountedDown, world: A, seed: 0 },
    Known { mistake: Mistake::ExpiryChargesAll, world: A, seed: 0 },
    Known { mistake: Mistake::WindowEndsLate, world: A, seed: 0 },
    Known { mistake: Mistake::ReserveForAll, world: A, seed: 0 },
    Known { mistake: Mistake::MovedMembersDraw, world: A, seed: 17 },
    Known { mistake: Mistake::RefundTwice, world: A, seed: 0 },
    Known { mistake: Mistake::RefundFromTheFront, world: A, seed: 10 },
    Known { mistake: Mistake::FencedNeverLearns, world: A, seed: 16 },
    Known { mistake: Mistake::RecallIgnored, world: B, seed: 0 },
    Known { mistake: Mistake::RecallMeetsClose, world: A, seed: 11 },
    Known { mistake: Mistake::NobodyWoken, world: B, seed: 0 },
    Known { mistake: Mistake::LogFailureIgnored, world: B, seed: 2 },
    Known { mistake: Mistake::ClosedUnsaid, world: B, seed: 36 },
    Known { mistake: Mistake::FrozenNeverRecalled, world: B, seed: 6 },
];

/// Seeds that broke because of a bug that no mistake is planted for; they hold now.
pub const MENDED: &[Mended] = &[
    Mended {
        bug: "what many far holders give back is booked one after the other, and the round takes too long",
        world: A,
        seed: 2_001_767,
    },
    Mended {
        bug: "a recall passes over a line whose actor ended it a moment ago and is not known any more",
        world: A,
        seed: 6_003_407,
    },
];
