//! Draws a run's faults from its seed. Each seed switches a random subset of kinds on and has its own pace and sizes:
//! what all seeds do alike, none finds. Not here: carrying faults out.

use crate::chance::{Stream, stream};
use crate::fault::{Fault, Kind, NodeIndex, Unsynced, What};
use rand::Rng;
use rand::seq::IndexedRandom;
use types::planted::Actor;

/// What a world can do and a plan allows.
#[derive(Clone, Debug)]
pub struct Swarm {
    pub nodes: usize,
    /// Faults begin and end within this time; what comes after is for the cluster to recover.
    pub until_ms: u64,
    pub kinds: Vec<Kind>,
    /// The mean time between faults lies between these, by seed; or all times between them, as [`Self::draw_within`] has it.
    pub every_ms: (u64, u64),
}

/// A fault ends after this at the latest: longer than every timeout of the product.
const LONGEST_MS: u64 = 20_000;
/// Nothing ever comes back from a disk that is gone, so a run loses only a minority.
const DISKS_LOST_MAX: usize = 1;

const fn is_last(kind: Kind) -> bool {
    matches!(kind, Kind::DiskLost | Kind::BitRot | Kind::DiskRolledBack)
}

impl Swarm {
    /// The faults of this seed, by time.
    #[must_use]
    pub fn draw(&self, seed: u64) -> Vec<Fault> {
        let mut chance = stream(seed, "faults");
        let on = self.subset(&mut chance);
        let mut faults = Vec::new();
        let mut lost = 0;
        if on.is_empty() || self.nodes == 0 {
            return faults;
        }
        let mean_ms = log_uniform(&mut chance, self.every_ms.0, self.every_ms.1);
        let mut at_ms = chance.random_range(0..=mean_ms);
        while at_ms < self.until_ms {
            let kind = *on.choose(&mut chance).expect("some kinds are on");
            let for_ms = self.lasts(at_ms, &mut chance);
            let what = self.what(kind, &mut chance);
            if !is_last(kind) || lost < DISKS_LOST_MAX {
                lost += usize::from(is_last(kind));
                faults.push(Fault { at_ms, for_ms, what });
            }
            at_ms += log_uniform(&mut chance, 1.max(mean_ms / 10), mean_ms * 2);
        }
        faults
    }

    /// The faults of this seed for a plan that says how far apart they are: the first one, and each after the one before,
    /// comes within `every_ms`.
    #[must_use]
    pub fn draw_within(&self, seed: u64) -> Vec<Fault> {
        let mut chance = stream(seed, "faults");
        let mut on = self.subset(&mut chance);
        let (mut faults, mut lost) = (Vec::new(), 0);
        let (least, most) = (self.every_ms.0.max(1), self.every_ms.1.max(1));
        let mut at_ms = chance.random_range(least..=most);
        while at_ms < self.until_ms && self.nodes > 0 {
            let Some(kind) = on.choose(&mut chance).copied() else { break };
            let for_ms = self.lasts(at_ms, &mut chance);
            faults.push(Fault { at_ms, for_ms, what: self.what(kind, &mut chance) });
            lost += usize::from(is_last(kind));
            if lost >= DISKS_LOST_MAX {
                // Others come instead, so that none is missing.
                on.retain(|kind| !is_last(*kind));
            }
            at_ms += chance.random_range(least..=most);
        }
        faults
    }

    fn lasts(&self, at_ms: u64, chance: &mut Stream) -> u64 {
        let longest = LONGEST_MS.min(self.until_ms - at_ms).max(1);
        log_uniform(chance, 20.min(longest), longest)
    }

    fn subset(&self, chance: &mut Stream) -> Vec<Kind> {
        let share = chance.random_range(1..=9);
        let mut on: Vec<Kind> = Vec::new();
        for kind in &self.kinds {
            if chance.random_range(0..10) < share {
                on.push(*kind);
            }
        }
        if on.is_empty() { self.kinds.choose(chance).copied().into_iter().collect() } else { on }
    }

    fn node(&self, chance: &mut Stream) -> NodeIndex {
        chance.random_range(0..self.nodes)
    }

    fn link(&self, chance: &mut Stream) -> (NodeIndex, NodeIndex) {
        let from = self.node(chance);
        let step = if self.nodes > 1 { chance.random_range(1..self.nodes) } else { 0 };
        (from, (from + step) % self.nodes)
    }

    fn what(&self, kind: Kind, chance: &mut Stream) -> What {
        let ((from, to), node) = (self.link(chance), self.node(chance));
        let ms = log_uniform(chance, 5, 2_000);
        let every_ms = log_uniform(chance, 50, 2_000);
        let per_mille = u32::try_from(log_uniform(chance, 10, 900)).unwrap_or(900);
        // Hours off at the worst, as a clock that was never set.
        let off = i64::try_from(log_uniform(chance, 10, 7_200_000)).unwrap_or(0);
        let off = if chance.random_bool(0.5) { off } else { -off };
        match kind {
            Kind::Drop => What::Drop { from, to, per_mille },
            Kind::Delay => What::Delay { from, to, ms },
            Kind::Duplicate => What::Duplicate { from, to, per_mille },
            Kind::Reorder => What::Reorder { from, to, ms },
            Kind::OneWay => What::OneWay { from, to },
            Kind::Partition => {
                let count = chance.random_range(1..=self.nodes.div_ceil(2));
                let first = node;
                What::Partition { nodes: (0..count).map(|step| (first + step) % self.nodes).collect() }
            }
            Kind::Ring => What::Ring,
            Kind::Flapping => What::Flapping { from, to, every_ms },
            Kind::Reset => What::Reset { from, to },
            Kind::WrongNode => What::WrongNode { from, to },
            Kind::Crash => What::Crash { node },
            Kind::PowerLoss => What::PowerLoss { node, unsynced: unsynced(chance) },
            Kind::Pause => What::Pause { node },
            Kind::CrashLoop => What::CrashLoop { node, every_ms },
            Kind::ColdStart => What::ColdStart,
            Kind::ActorPanic => What::ActorPanic {
                node,
                actor: [Actor::Pool, Actor::Closing, Actor::Allocation][chance.random_range(0..3)],
                points: chance.random_range(0..10),
            },
            Kind::Drain => What::Drain { node },
            Kind::LeaderCrash => What::LeaderCrash,
            Kind::SlowSync => What::SlowSync { node, ms },
            Kind::SyncError => What::SyncError { node, count: chance.random_range(1..=3) },
            Kind::DiskFull => What::DiskFull { node },
            Kind::BitRot => What::BitRot { node },
            Kind::DiskLost => What::DiskLost { node },
            Kind::DiskRolledBack => What::DiskRolledBack { node },
            Kind::Skew => What::Skew { node, ms: off },
            Kind::Strobe => What::Strobe { node, ms: off, every_ms },
            Kind::ClockRate => What::ClockRate { node, per_mille: chance.random_range(500..=2_000) },
            Kind::ClockFrozen => What::ClockFrozen { node },
            Kind::BackwardsOverRestart => What::BackwardsOverRestart { node, ms: off.abs() },
        }
    }
}

fn unsynced(chance: &mut Stream) -> Unsynced {
    match chance.random_range(0..3) {
        0 => Unsynced::Lost,
        1 => Unsynced::Torn(chance.random_range(0..4_096)),
        _ => Unsynced::Scattered(chance.random()),
    }
}

/// Small ones as often as large ones, by order of magnitude.
pub fn log_uniform(chance: &mut Stream, least: u64, most: u64) -> u64 {
    let (least, most) = (least.max(1), most.max(least.max(1)));
    let (low, high) = (least.ilog2(), most.ilog2());
    let magnitude = chance.random_range(low..=high);
    let from = (1_u64 << magnitude).max(least);
    let to = (2_u64 << magnitude).saturating_sub(1).min(most);
    chance.random_range(from..=to.max(from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn swarm() -> Swarm {
        Swarm { nodes: 5, until_ms: 600_000, kinds: Kind::ALL.to_vec(), every_ms: (1_000, 30_000) }
    }

    #[test]
    fn seeds_differ_in_what_they_do_and_all_kinds_come() {
        let runs: Vec<Vec<Fault>> = (0..200).map(|seed| swarm().draw(seed)).collect();
        let kinds: Vec<BTreeSet<Kind>> =
            runs.iter().map(|run| run.iter().map(|fault| fault.what.kind()).collect()).collect();
        let all: BTreeSet<Kind> = kinds.iter().flatten().copied().collect();
        assert_eq!(all.len(), Kind::ALL.len());
        assert!(kinds.iter().any(|kinds| kinds.len() < 6) && kinds.iter().any(|kinds| kinds.len() > 15));
        assert_eq!(runs[17], swarm().draw(17));
    }

    #[test]
    fn faults_come_in_order_and_end_in_time() {
        for seed in 0..100 {
            let run = swarm().draw(seed);
            assert!(run.windows(2).all(|pair| pair[0].at_ms <= pair[1].at_ms));
            assert!(run.iter().all(|fault| fault.at_ms + fault.for_ms <= 600_000 && fault.for_ms > 0));
            let lost = |kind| matches!(kind, Kind::DiskLost | Kind::BitRot | Kind::DiskRolledBack);
            assert!(run.iter().filter(|fault| lost(fault.what.kind())).count() <= DISKS_LOST_MAX);
        }
    }

    /// Seeds that are known to find something find it by these very faults.
    #[test]
    fn what_batches_draw_is_fixed() {
        let mut hasher = blake3::Hasher::new();
        let swarm = Swarm { kinds: crate::world_a::SUPPORTED.to_vec(), ..swarm() };
        for seed in 0..20 {
            hasher.update(format!("{:?}", swarm.draw(seed)).as_bytes());
        }
        assert_eq!(&hasher.finalize().to_hex()[..16], "929da6e4637cb0da");
    }

    #[test]
    fn a_plan_has_the_times_it_asks_for() {
        let plan = Swarm { every_ms: (10_000, 30_000), until_ms: 3_600_000, ..swarm() };
        let mut gaps = BTreeSet::new();
        for seed in 0..40 {
            let run = plan.draw_within(seed);
            assert_eq!(run, plan.draw_within(seed));
            let at = std::iter::once(0).chain(run.iter().map(|fault| fault.at_ms)).collect::<Vec<u64>>();
            gaps.extend(at.windows(2).map(|pair| pair[1] - pair[0]));
            assert!(at.last().is_some_and(|last| *last > 3_600_000 - 30_000), "to the end");
            assert!(run.iter().all(|fault| fault.at_ms + fault.for_ms <= 3_600_000 && fault.for_ms > 0));
            assert!(run.iter().filter(|fault| is_last(fault.what.kind())).count() <= DISKS_LOST_MAX);
        }
        let (least, most) = (gaps.first().copied().unwrap(), gaps.last().copied().unwrap());
        assert!((10_000..10_100).contains(&least) && (29_900..=30_000).contains(&most), "{least} {most}");
        let exactly = Swarm { every_ms: (5_000, 5_000), until_ms: 20_000, ..swarm() };
        assert_eq!(
            exactly.draw_within(1).iter().map(|fault| fault.at_ms).collect::<Vec<_>>(),
            [5_000, 10_000, 15_000]
        );
        let last = Swarm { kinds: vec![Kind::BitRot], ..plan.clone() };
        assert_eq!(last.draw_within(1).len(), 1);
        assert!(Swarm { kinds: Vec::new(), ..plan }.draw_within(1).is_empty());
    }

    #[test]
    fn sizes_reach_both_ends() {
        let mut chance = stream(3, "sizes");
        let drawn: Vec<u64> = (0..5_000).map(|_| log_uniform(&mut chance, 5, 2_000)).collect();
        assert!(drawn.iter().all(|size| (5..=2_000).contains(size)));
        assert!(drawn.iter().any(|size| *size < 8) && drawn.iter().any(|size| *size > 1_800));
        assert_eq!(log_uniform(&mut chance, 1, 1), 1);
    }
}
