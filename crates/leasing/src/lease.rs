//! One line at its holder: how far it may be spent, and what to do next. Not here: whose turn it is (`actors`).
//!
//! ```text
//!   drawn − returned  =  used + balance on the word  +  above the watermark
//!                        └──── watermark ────┘          drawn, but not yet promised to the disk
//! ```

use crate::{LeasePolicy, Rate};
use types::Credits;

/// ΣD, ΣR and the watermark of a line, as the journal has them. R3, R5: nothing is on the word that the disk does
/// not already count as gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub drawn: Credits,
    pub returned: Credits,
    pub watermark: Credits,
}

/// Consumes that wait because the word is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub smallest: Credits,
    pub sum: Credits,
}

/// What the decision rests on, at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// On the word.
    pub balance: Credits,
    pub waiting: Option<Waiting>,
    pub rate: Rate,
    /// The largest price seen lately; the smallest lease covers two of it.
    pub largest: Credits,
    /// A draw is on its way.
    pub drawing: bool,
    /// The last draw ahead of need got less than it asked for; only need draws for a while.
    pub dry: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing to do until something happens.
    Rest,
    /// Promise more to the disk, then put it on the word.
    Raise { to: Credits },
    /// Ask the ledger. Absolute: repeating it is the same draw (R1). `need` serves all who wait, `floor` the smallest.
    Draw { target: Credits, floor: Credits, need: Credits },
}

/// What a recall takes from a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GiveBack {
    /// How much may stay on the word.
    pub keep_on_word: Credits,
    /// How much goes back from above the watermark.
    pub above: Credits,
}

impl Lease {
    pub const NOTHING: Self =
        Self { drawn: Credits::ZERO, returned: Credits::ZERO, watermark: Credits::ZERO };

    /// Drawn, not returned, and not yet promised to the disk.
    pub fn above(&self) -> Credits {
        self.drawn.saturating_sub(self.returned).saturating_sub(self.watermark)
    }

    pub fn next(&self, facts: &Facts, policy: &LeasePolicy) -> Step {
        let need = facts.waiting.map_or(Credits::ZERO, |waiting| waiting.smallest);
        let above = self.above();
        let chunk = expected(facts, policy.chunk_ms).clamp(policy.chunk_min, policy.chunk_max).max(need);
        let is_low = facts.balance < need || facts.balance < half(chunk);
        if is_low && !above.is_zero() {
            let up = chunk.saturating_sub(facts.balance).min(above);
            return Step::Raise { to: self.watermark.saturating_add(up) };
        }
        if facts.drawing {
            return Step::Rest;
        }
        let have = facts.balance.saturating_add(above);
        let lease = self.lease_size(facts, policy);
        if need > have {
            let wanted = facts.waiting.map_or(need, |waiting| waiting.sum.max(need));
            let floor = self.drawn.saturating_add(need.saturating_sub(have));
            let need = self.drawn.saturating_add(wanted.saturating_sub(have));
            return Step::Draw { target: need.saturating_add(lease), floor, need };
        }
        let is_spent_from = !facts.rate.over(policy.horizon_ms).is_zero();
        if is_spent_from && !facts.dry && have < half(lease) {
            let target = self.drawn.saturating_add(lease.saturating_sub(have));
            return Step::Draw { target, floor: self.drawn, need: self.drawn };
        }
        Step::Rest
    }

    fn lease_size(&self, facts: &Facts, policy: &LeasePolicy) -> Credits {
        let two_requests = facts.largest.saturating_add(facts.largest);
        let least = policy.lease_min.max(two_requests).min(policy.lease_max.max(two_requests));
        expected(facts, policy.horizon_ms).min(policy.lease_max).max(least)
    }

    /// Below which balance a spend should wake the actor, so that nobody has to wait for the next chunk.
    pub fn low_water(&self, rate: &Rate, policy: &LeasePolicy) -> Credits {
        half(rate.over(policy.chunk_ms).clamp(policy.chunk_min, policy.chunk_max))
    }

    /// What to give back so that at most `keep` stays: first what no disk was promised, then from the word.
    pub fn give_back(&self, balance: Credits, keep: Credits) -> GiveBack {
        let above = self.above();
        let give = balance.saturating_add(above).saturating_sub(keep);
        let from_above = give.min(above);
        let from_word = give.saturating_sub(from_above);
        GiveBack { keep_on_word: balance.saturating_sub(from_word), above: from_above }
    }
}

/// What will be spent in `ms`. Somebody who waits shows that the last guess was too low: then the open window counts
/// as it goes.
fn expected(facts: &Facts, ms: u64) -> Credits {
    if facts.waiting.is_some() { facts.rate.over_at_this_pace(ms) } else { facts.rate.over(ms) }
}

fn half(credits: Credits) -> Credits {
    Credits::from_micros(credits.micros().div_ceil(2)).unwrap_or(Credits::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: LeasePolicy = LeasePolicy::STANDARD;

    fn whole(n: u64) -> Credits {
        Credits::whole(n).unwrap()
    }

    fn lease(drawn: u64, returned: u64, watermark: u64) -> Lease {
        Lease { drawn: whole(drawn), returned: whole(returned), watermark: whole(watermark) }
    }

    fn facts(balance: u64, waiting: Option<u64>) -> Facts {
        let waiting = waiting.map(|n| Waiting { smallest: whole(n), sum: whole(n) });
        let rate = Rate::new(0);
        Facts { balance: whole(balance), waiting, rate, largest: whole(1), drawing: false, dry: false }
    }

    #[test]
    fn who_waits_draws_at_least_what_is_missing_and_asks_for_a_lease() {
        let step = lease(10, 0, 10).next(&facts(2, Some(5)), &POLICY);
        assert_eq!(step, Step::Draw { target: whole(10 + 3 + 20), floor: whole(13), need: whole(13) });
        let waiting = Some(Waiting { smallest: whole(5), sum: whole(30) });
        let step = lease(10, 0, 10).next(&Facts { waiting, ..facts(2, None) }, &POLICY);
        assert_eq!(step, Step::Draw { target: whole(10 + 28 + 20), floor: whole(13), need: whole(38) });
    }

    #[test]
    fn what_is_drawn_is_promised_to_the_disk_before_more_is_drawn() {
        let step = lease(100, 0, 10).next(&facts(0, Some(5)), &POLICY);
        assert_eq!(step, Step::Raise { to: whole(20) });
        let step = lease(12, 0, 10).next(&facts(0, Some(5)), &POLICY);
        assert_eq!(step, Step::Raise { to: whole(12) }, "never beyond what was drawn");
    }

    #[test]
    fn an_idle_line_draws_nothing_ahead() {
        assert_eq!(lease(10, 0, 10).next(&facts(0, None), &POLICY), Step::Rest);
    }

    #[test]
    fn a_busy_line_draws_ahead_of_need_until_the_pool_is_dry() {
        let mut busy = facts(200, None);
        busy.rate.note(whole(1_000), 1_000);
        let step = lease(600, 0, 600).next(&busy, &POLICY);
        assert_eq!(
            step,
            Step::Draw { target: whole(600 + 2_000 - 200), floor: whole(600), need: whole(600) }
        );
        busy.dry = true;
        assert_eq!(lease(600, 0, 600).next(&busy, &POLICY), Step::Rest);
    }

    #[test]
    fn who_runs_dry_within_a_window_asks_for_what_that_pace_takes() {
        let mut hot = facts(0, Some(1));
        hot.rate.note(whole(20), 7);
        let step = lease(20, 0, 20).next(&hot, &POLICY);
        assert_eq!(step, Step::Draw { target: whole(20 + 1 + 400), floor: whole(21), need: whole(21) });
        assert_eq!(lease(420, 0, 20).next(&hot, &POLICY), Step::Raise { to: whole(20 + 100) });
        let mut cool = Facts { waiting: None, ..hot };
        cool.balance = whole(19);
        assert_eq!(
            lease(39, 0, 39).next(&cool, &POLICY),
            Step::Rest,
            "nobody waits: the smallest lease will do"
        );
    }

    #[test]
    fn one_draw_at_a_time() {
        let mut waiting = facts(0, Some(5));
        waiting.drawing = true;
        assert_eq!(lease(0, 0, 0).next(&waiting, &POLICY), Step::Rest);
    }

    #[test]
    fn a_recall_takes_first_what_no_disk_was_promised() {
        let line = lease(100, 10, 60);
        assert_eq!(line.above(), whole(30));
        assert_eq!(
            line.give_back(whole(20), whole(25)),
            GiveBack { keep_on_word: whole(20), above: whole(25) }
        );
        assert_eq!(
            line.give_back(whole(20), whole(15)),
            GiveBack { keep_on_word: whole(15), above: whole(30) }
        );
        assert_eq!(
            line.give_back(whole(20), whole(0)),
            GiveBack { keep_on_word: whole(0), above: whole(30) }
        );
        assert_eq!(
            line.give_back(whole(20), whole(99)),
            GiveBack { keep_on_word: whole(20), above: whole(0) }
        );
    }
}
