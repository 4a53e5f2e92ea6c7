//! The wall as most nodes of a cluster see it: one node whose clock is wrong must not date the cluster's entries, or a
//! grant would expire early. Not here: asking the others (`cluster`); safety, which stands on no clock.

use crate::clock::{BootId, Clock, Surely};
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use types::planted::{Mistake, is_planted};
use types::{NodeId, Timestamp};

/// The median of this node's clock and those of the nodes it has heard lately. Of an even number the earlier one in the
/// middle is taken: what is due may come late, not early. Between two answers it goes on with the time since boot, so
/// that a wall that jumps meanwhile takes nothing with it.
#[derive(Debug)]
pub struct AgreedClock {
    own: Arc<dyn Clock>,
    /// How many other nodes there are.
    others: usize,
    told: Mutex<Told>,
    /// How far the median was ahead of the time since boot; [`ALONE`] until somebody is heard.
    ahead_of_boot_ms: AtomicI64,
}

#[derive(Debug, Default)]
struct Told {
    heard: BTreeMap<NodeId, Heard>,
    /// How far ahead of the time since boot it is at the earliest and at the latest; `None` until most nodes are heard.
    between_ahead_ms: Option<(i64, i64)>,
}

#[derive(Debug)]
struct Heard {
    ahead_of_boot_ms: i64,
    at_ms: u64,
}

/// For how long a node that is not heard again still counts.
pub const REMEMBERED_MS: u64 = 60_000;

const ALONE: i64 = i64::MIN;

impl AgreedClock {
    /// Until others are heard, this node's own; there are so many.
    pub fn new(own: Arc<dyn Clock>, others: usize) -> Self {
        Self { own, others, told: Mutex::default(), ahead_of_boot_ms: AtomicI64::new(ALONE) }
    }

    /// `node` has just answered that its clock says `wall`, to a question that took `round_trip` there and back.
    pub fn note(&self, node: NodeId, wall: Timestamp, round_trip: Duration) {
        let half_ms = i64::try_from(round_trip.as_millis() / 2).unwrap_or(i64::MAX);
        let (now_ms, own) = (self.own.boottime_ms(), self.own.now());
        let ahead = |wall: Timestamp| wall.millis().saturating_sub(signed(now_ms));
        let mut told = self.told.lock().expect("nobody panics holding it");
        let Told { heard, between_ahead_ms } = &mut *told;
        heard.insert(node, Heard { ahead_of_boot_ms: ahead(wall.plus_ms(half_ms)), at_ms: now_ms });
        heard.retain(|_, heard| now_ms.saturating_sub(heard.at_ms) < REMEMBERED_MS);
        let others = heard.values().map(|heard| heard.ahead_of_boot_ms);
        let mut all: Vec<i64> = others.chain([ahead(own)]).collect();
        all.sort_unstable();
        let median = all[(all.len() - 1) / 2];
        let by_mistake = is_planted(Mistake::OwnWallBetween);
        let kept = if by_mistake { median.saturating_sub(ahead(own)) } else { median };
        self.ahead_of_boot_ms.store(kept, Ordering::Relaxed);
        // Of all nodes' clocks half may be wrong, and they may be among these, all fast or all slow: then the last before
        // them is right, or the first after them.
        let wrong_at_most = self.others.div_ceil(2);
        if let Some(from) = all.len().checked_sub(wrong_at_most + 1) {
            *between_ahead_ms = Some((all[from], all[wrong_at_most]));
        }
    }

    fn since_boot(&self, ahead_ms: i64) -> Timestamp {
        Timestamp::from_millis(signed(self.own.boottime_ms())).plus_ms(ahead_ms)
    }

    /// How far this node's clock is behind what the nodes agree on, ms; negative where it is fast.
    pub fn correction_ms(&self) -> i64 {
        self.now().millis().saturating_sub(self.own.now().millis())
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

impl Clock for AgreedClock {
    fn now(&self) -> Timestamp {
        match self.ahead_of_boot_ms.load(Ordering::Relaxed) {
            ALONE => self.own.now(),
            correction_ms if is_planted(Mistake::OwnWallBetween) => self.own.now().plus_ms(correction_ms),
            ahead_ms => self.since_boot(ahead_ms),
        }
    }

    /// What most of all nodes, this one among them, were heard to be past, and what most of them were not, and the time
    /// since boot since then: also when this node is cut off later. `None` before that: a node that starts alone, with a
    /// clock that is wrong, knows nothing.
    fn surely(&self) -> Option<Surely> {
        if self.others == 0 || is_planted(Mistake::OwnWallEndsKeys) {
            return Some(Surely::exactly(self.own.now()));
        }
        let (from_ms, to_ms) = self.told.lock().expect("nobody panics holding it").between_ahead_ms?;
        Some(Surely { from: self.since_boot(from_ms), to: self.since_boot(to_ms) })
    }

    fn boottime_ms(&self) -> u64 {
        self.own.boottime_ms()
    }

    fn monotonic(&self) -> Duration {
        self.own.monotonic()
    }

    fn kernel_boot_id(&self) -> io::Result<BootId> {
        self.own.kernel_boot_id()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const TRUE_TIME: Timestamp = Timestamp::from_millis(1_000_000_000);
    const HOUR_MS: i64 = 3_600_000;
    const AT_ONCE: Duration = Duration::ZERO;

    fn clock(off_by_ms: i64) -> (Arc<ManualClock>, AgreedClock) {
        clock_among(2, off_by_ms)
    }

    fn clock_among(others: usize, off_by_ms: i64) -> (Arc<ManualClock>, AgreedClock) {
        let own = Arc::new(ManualClock::at(TRUE_TIME.plus_ms(off_by_ms)));
        (own.clone(), AgreedClock::new(own, others))
    }

    #[test]
    fn alone_it_is_the_own_clock() {
        let (own, agreed) = clock(7);
        assert_eq!(agreed.now(), TRUE_TIME.plus_ms(7));
        own.advance_ms(1_000);
        assert_eq!((agreed.now(), agreed.boottime_ms()), (TRUE_TIME.plus_ms(1_007), 1_000));
    }

    #[test]
    fn a_wall_that_jumps_between_two_answers_takes_nothing_with_it() {
        let (own, agreed) = clock(0);
        for node in [2, 3] {
            agreed.note(NodeId(node), TRUE_TIME, AT_ONCE);
        }
        own.set_wall(TRUE_TIME.plus_ms(HOUR_MS));
        assert_eq!((agreed.now(), agreed.correction_ms()), (TRUE_TIME, -HOUR_MS));
        own.advance_ms(500);
        agreed.note(NodeId(2), TRUE_TIME.plus_ms(500), AT_ONCE);
        assert_eq!(
            agreed.now(),
            TRUE_TIME.plus_ms(500),
            "what the other one said before the jump still counts"
        );
    }

    #[test]
    fn of_three_clocks_a_wrong_one_counts_for_nothing() {
        for off_by_ms in [-HOUR_MS, HOUR_MS] {
            let (own, wrong) = clock(off_by_ms);
            wrong.note(NodeId(2), TRUE_TIME, AT_ONCE);
            wrong.note(NodeId(3), TRUE_TIME, AT_ONCE);
            assert_eq!((wrong.now(), wrong.correction_ms()), (TRUE_TIME, -off_by_ms));
            own.advance_ms(500);
            assert_eq!(wrong.now(), TRUE_TIME.plus_ms(500));

            let (_own, right) = clock(0);
            right.note(NodeId(2), TRUE_TIME, AT_ONCE);
            right.note(NodeId(3), TRUE_TIME.plus_ms(off_by_ms), AT_ONCE);
            assert_eq!((right.now(), right.correction_ms()), (TRUE_TIME, 0));
        }
    }

    #[test]
    fn of_two_clocks_the_earlier_one_is_taken() {
        for off_by_ms in [-HOUR_MS, HOUR_MS] {
            let (_own, clock) = clock(off_by_ms);
            clock.note(NodeId(2), TRUE_TIME, AT_ONCE);
            assert_eq!(clock.now(), TRUE_TIME.plus_ms(off_by_ms.min(0)));
        }
    }

    #[test]
    fn half_the_way_there_and_back_has_passed_since_the_other_looked() {
        let (own, agreed) = clock(0);
        own.advance_ms(80);
        for other in [2, 3] {
            agreed.note(NodeId(other), TRUE_TIME.plus_ms(40), Duration::from_millis(80));
        }
        assert_eq!((agreed.now(), agreed.correction_ms()), (TRUE_TIME.plus_ms(80), 0));
    }

    #[test]
    fn who_is_not_heard_any_more_counts_no_more() {
        let (own, agreed) = clock(0);
        agreed.note(NodeId(2), TRUE_TIME.plus_ms(HOUR_MS), AT_ONCE);
        agreed.note(NodeId(3), TRUE_TIME.plus_ms(HOUR_MS), AT_ONCE);
        assert_eq!(agreed.correction_ms(), HOUR_MS);
        own.advance_ms(u32::try_from(REMEMBERED_MS).unwrap() - 1);
        agreed.note(NodeId(2), agreed.now(), AT_ONCE);
        assert_eq!(agreed.correction_ms(), HOUR_MS);
        own.advance_ms(1);
        agreed.note(NodeId(2), agreed.now(), AT_ONCE);
        assert_eq!(agreed.correction_ms(), 0, "two are left, and they differ");
    }

    #[test]
    fn what_has_surely_passed_is_known_once_most_nodes_are_heard() {
        let (own, single) = clock_among(0, HOUR_MS);
        own.advance_ms(5);
        let own_time = Surely::exactly(TRUE_TIME.plus_ms(HOUR_MS + 5));
        assert_eq!(single.surely(), Some(own_time), "there is nobody to ask");
        for (others, most) in [(1, 1), (2, 1), (3, 2), (4, 2)] {
            let (own, clock) = clock_among(others, HOUR_MS);
            for node in 1..most {
                clock.note(NodeId(node), TRUE_TIME, AT_ONCE);
            }
            assert_eq!(clock.surely(), None, "{others} others");
            clock.note(NodeId(most), TRUE_TIME, AT_ONCE);
            assert_eq!(clock.surely().map(|time| time.from), Some(TRUE_TIME), "{others} others");
            own.advance_ms(2 * u32::try_from(REMEMBERED_MS).unwrap());
            own.set_wall(TRUE_TIME.plus_ms(99 * HOUR_MS));
            let passed = TRUE_TIME.plus_ms(2 * i64::try_from(REMEMBERED_MS).unwrap());
            let from = clock.surely().map(|time| time.from);
            assert_eq!(from, Some(passed), "cut off, it goes on with the time since boot");
        }
    }

    #[test]
    fn half_of_all_clocks_may_be_fast_or_slow_and_it_is_between_the_two_times() {
        for others in 1..=6_usize {
            for (heard, wrong) in
                (0..=others).flat_map(|heard| (0..=others.div_ceil(2)).map(move |n| (heard, n)))
            {
                // The wrong ones are all heard; this node is one of them, or the last to be.
                for (own_is_wrong, off_ms) in
                    [(true, HOUR_MS), (false, HOUR_MS), (true, -HOUR_MS), (false, -HOUR_MS)]
                {
                    let off = |is_wrong| if is_wrong { off_ms } else { 0 };
                    let (_own, clock) = clock_among(others, off(own_is_wrong && wrong > 0));
                    for node in 1..=heard {
                        let is_wrong = node + usize::from(own_is_wrong) <= wrong;
                        let wall = TRUE_TIME.plus_ms(off(is_wrong));
                        clock.note(NodeId(u16::try_from(node).unwrap()), wall, AT_ONCE);
                    }
                    let surely = clock.surely();
                    let what = format!("{wrong} by {off_ms} of {heard}, {others}");
                    assert_eq!(surely.is_some(), 2 * (heard + 1) > others + 1, "{what}");
                    let Some(Surely { from, to }) = surely else { continue };
                    assert!(from <= TRUE_TIME && TRUE_TIME <= to, "{what}");
                    let right = if off_ms > 0 { from } else { to };
                    assert_eq!(right, TRUE_TIME, "{what}");
                    let all_heard = heard == others && others.is_multiple_of(2);
                    assert!(
                        !all_heard || from == to,
                        "{what}: with an odd number of clocks it is the median"
                    );
                }
            }
        }
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        let (_own, agreed) = clock(0);
        agreed.note(NodeId(2), Timestamp::from_millis(i64::MAX), Duration::MAX);
        agreed.note(NodeId(3), Timestamp::from_millis(i64::MIN), AT_ONCE);
        assert_eq!(agreed.now(), TRUE_TIME);
    }
}
