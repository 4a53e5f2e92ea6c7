//! Grants and their books. Every movement of a credit is one method here and asserts S1 and S2 of its grant.
//!
//! Not here: which grant is drawn on (`draw`), who may ask (`admin`).

use crate::rollover::{Keep, Rolled, Term};
use crate::{GrantAnswer, GrantKind, NewGrant};
use types::planted::{Mistake, is_planted};
use types::{Credits, CycleNumber, GrantId, GrantNo, Money, Revision, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub no: GrantNo,
    pub id: GrantId,
    pub kind: GrantKind,
    pub priority: u8,
    pub paid: bool,
    pub created_at: Timestamp,
    pub starts_at: Timestamp,
    /// Valid before this instant; `None`: for ever.
    pub expires_at: Option<Timestamp>,
    pub term: Term,
    /// What was asked for it in money; of overage, for each credit.
    pub price: Option<Money>,
    /// Set once its own cycle has ended and something of it is or may be kept.
    pub rolled: Option<Rolled>,
    pub state: GrantState,
    /// Revision when it was made, and now.
    pub made: Revision,
    pub revision: Revision,
    pub books: GrantBooks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantState {
    Live,
    /// Its window is over; what still comes back expires at once.
    Expired,
    /// Voided by an administrator; what still comes back is voided at once.
    Voided,
}

/// Where the credits of one grant are. S1: `amount + refunded + exposure` = the sum of all the others but
/// `earmarked`, which is a part of `available`. S2: no more is refunded than was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GrantBooks {
    pub amount: Credits,
    pub available: Credits,
    /// The part of `available` that is set aside for allocations (and reserves).
    pub earmarked: Credits,
    /// Out on lines, neither used nor returned as far as the ledger knows.
    pub out: Credits,
    pub used: Credits,
    pub unattributed: Credits,
    pub written_off: Credits,
    pub expired: Credits,
    pub voided: Credits,
    /// Given back out of what was used (ΣF).
    pub refunded: Credits,
    /// Credited back although a lost holder may have spent it.
    pub exposure: Credits,
    /// Came back and pays for overage that was drawn meanwhile.
    pub for_overage: Credits,
}

/// Where a returned credit went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnedTo {
    Available,
    /// Out of a cycle that has ended: as far as the grant's rule keeps it, to where the grant is now.
    Carried,
    Expired,
    Voided,
}

impl GrantBooks {
    fn of(amount: Credits) -> Self {
        Self { amount, available: amount, ..Self::default() }
    }

    /// S1 and S2 of one grant, as a pair of sums that must be equal, where they exist at all.
    pub fn sides(&self) -> (Option<Credits>, Option<Credits>) {
        let given = [self.amount, self.refunded, self.exposure];
        let places = [
            self.available,
            self.out,
            self.used,
            self.unattributed,
            self.written_off,
            self.expired,
            self.voided,
            self.for_overage,
        ];
        (Credits::checked_sum(given), Credits::checked_sum(places))
    }

    pub fn is_conserved(&self) -> bool {
        let (given, places) = self.sides();
        given.is_some() && given == places && self.earmarked <= self.available && self.refunded <= self.used
    }
}

impl Grant {
    pub(crate) fn new(no: GrantNo, new: NewGrant, at: Timestamp, revision: Revision) -> Self {
        let NewGrant { id, kind, amount, priority, paid, starts_at, expires_at, term, price } = new;
        Self {
            no,
            id,
            kind,
            priority,
            paid,
            created_at: at,
            starts_at: starts_at.unwrap_or(at),
            expires_at,
            term,
            price,
            rolled: None,
            state: GrantState::Live,
            made: revision,
            revision,
            books: GrantBooks::of(amount),
        }
    }

    /// Whether making it again would mean the same. A start left open was the instant of its entry.
    pub fn was_made_as(&self, new: &NewGrant) -> bool {
        let NewGrant { id, kind, amount, priority, paid, starts_at, expires_at, term, price } = new;
        self.id == *id
            && self.kind == *kind
            && self.books.amount == *amount
            && self.priority == *priority
            && self.paid == *paid
            && self.starts_at == starts_at.unwrap_or(self.created_at)
            && self.expires_at == *expires_at
            && self.term == *term
            && self.price == *price
    }

    /// The answer its maker got.
    pub fn answer_when_made(&self) -> GrantAnswer {
        let books = GrantBooks::of(self.books.amount);
        let grant =
            Self { state: GrantState::Live, revision: self.made, rolled: None, books, ..self.clone() };
        GrantAnswer { grant, pending: Vec::new(), at: self.created_at }
    }

    /// May be drawn on at `now`.
    pub fn is_drawable(&self, now: Timestamp) -> bool {
        self.state == GrantState::Live && self.starts_at <= now && !self.is_over(now)
    }

    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// R12: may stand behind an allocation: drawable now, and lasting to the cycle's end.
    pub fn may_back(&self, cycle_ends_at: Option<Timestamp>, now: Timestamp) -> bool {
        let lasts = self.lasts_to(cycle_ends_at) || is_planted(Mistake::AllocationOnAnything);
        self.is_drawable(now) && lasts
    }

    /// `None`: no end is set, and only a grant that lasts for ever will do.
    pub fn lasts_to(&self, cycle_ends_at: Option<Timestamp>) -> bool {
        match (self.expires_at, cycle_ends_at) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(expires), Some(ends)) => expires >= ends,
        }
    }

    /// Available and not set aside for anybody.
    pub fn shared(&self) -> Credits {
        self.books.available.saturating_sub(self.books.earmarked)
    }

    /// Burn order: priority, then soonest end (none last), then unpaid before paid, then created, then id. `ends`: when
    /// this cycle ends and the ones after it, as far as that is known.
    pub fn burn_key(
        &self,
        cycle: CycleNumber,
        ends: &[Timestamp],
    ) -> (u8, Timestamp, bool, Timestamp, &GrantId) {
        const NEVER: Timestamp = Timestamp::from_millis(i64::MAX);
        let with_cycles = self.last_cycle(cycle).map_or(NEVER, |last| {
            let later = last.0.saturating_sub(cycle.0) as usize;
            ends.get(later).or(ends.last()).copied().unwrap_or(NEVER)
        });
        let end = self.expires_at.unwrap_or(NEVER).min(with_cycles);
        (self.priority, end, self.paid, self.created_at, &self.id)
    }

    /// The cycle with which it ends, or with which its rule takes what is left, if there is one; `now` is this cycle.
    fn last_cycle(&self, now: CycleNumber) -> Option<CycleNumber> {
        match (self.term, self.rolled) {
            (Term::Lasting, _) => None,
            (Term::Cycle(_), None) => Some(now),
            (Term::Cycle(_), Some(rolled)) => rolled.last,
        }
    }

    pub(crate) fn earmark(&mut self, amount: Credits) {
        self.books.earmarked.grow(amount);
        self.assert_conserved();
    }

    pub(crate) fn release(&mut self, amount: Credits) {
        self.books.earmarked.shrink(amount);
        self.assert_conserved();
    }

    pub(crate) fn draw(&mut self, amount: Credits, earmarked: bool) {
        if earmarked {
            self.books.earmarked.shrink(amount);
        }
        self.books.available.shrink(amount);
        self.books.out.grow(amount);
        self.assert_conserved();
    }

    pub(crate) fn book_used(&mut self, used: Credits, unattributed: Credits) {
        self.books.out.shrink(used);
        self.books.out.shrink(unattributed);
        self.books.used.grow(used);
        self.books.unattributed.grow(unattributed);
        self.assert_conserved();
    }

    /// A returned credit goes back to its very grant; where that is no more, it ends there. `drawn_in`: the line's cycle.
    pub(crate) fn take_back(&mut self, amount: Credits, drawn_in: CycleNumber) -> ReturnedTo {
        self.books.out.shrink(amount);
        self.place(amount, drawn_in)
    }

    /// Where credits go that were drawn once and are there again. Of what was left by a cycle that has ended first the rule
    /// takes its part, so that the books do not depend on when it comes back.
    fn place(&mut self, amount: Credits, drawn_in: CycleNumber) -> ReturnedTo {
        let carried = self.rolled.filter(|rolled| rolled.was_left_by(drawn_in));
        let kept = match (self.term, carried) {
            (Term::Cycle(rule), Some(rolled)) if !is_planted(Mistake::ReturnsAreKept) => {
                let (rolled, kept) = rolled.with_more_left(rule.keep, amount);
                self.rolled = Some(rolled);
                kept
            }
            (Term::Cycle(_) | Term::Lasting, _) => amount,
        };
        self.books.expired.grow(amount.saturating_sub(kept));
        let (place, to) = match self.state {
            GrantState::Live => (&mut self.books.available, ReturnedTo::Available),
            GrantState::Expired => (&mut self.books.expired, ReturnedTo::Expired),
            GrantState::Voided => (&mut self.books.voided, ReturnedTo::Voided),
        };
        place.grow(kept);
        self.assert_conserved();
        if carried.is_some() { ReturnedTo::Carried } else { to }
    }

    /// How much of it could still be charged for that cycle as if it had been told of in time: what has run out, or what is
    /// shared, and what the rule took of it, but no more of what it kept than is still there.
    pub(crate) fn late_room(&self, cycle: CycleNumber) -> Credits {
        let taken = self.rolled.map_or(Credits::ZERO, |rolled| rolled.left.saturating_sub(rolled.kept));
        let there = match self.state {
            GrantState::Live => self.shared(),
            GrantState::Expired => self.books.expired.saturating_sub(taken),
            GrantState::Voided => Credits::ZERO,
        };
        match (self.term, self.rolled.filter(|rolled| rolled.was_left_by(cycle))) {
            (Term::Cycle(rule), Some(rolled)) => {
                let least = rule.keep.least_left(rolled.kept.saturating_sub(there));
                rolled.left.saturating_sub(least)
            }
            (Term::Cycle(_) | Term::Lasting, _) => there,
        }
    }

    /// Charges what was used in that cycle and became known later. What was left then was less by it, and what was kept.
    pub(crate) fn charge_late(&mut self, amount: Credits, cycle: CycleNumber) {
        let left = self.rolled.filter(|rolled| rolled.was_left_by(cycle));
        let from_there = match (self.term, left) {
            (Term::Cycle(rule), Some(rolled)) => {
                let (rolled, less) = rolled.with_less_left(rule.keep, amount);
                self.rolled = Some(rolled);
                less
            }
            (Term::Cycle(_) | Term::Lasting, _) => amount,
        };
        self.books.expired.shrink(amount.saturating_sub(from_there));
        let place = match self.state {
            GrantState::Live => &mut self.books.available,
            GrantState::Expired => &mut self.books.expired,
            GrantState::Voided => &mut self.books.voided,
        };
        place.shrink(from_there);
        self.books.used.grow(amount);
        self.assert_conserved();
    }

    /// Its cycle is over. Earmarks must be gone before.
    pub(crate) fn roll(&mut self, ended: CycleNumber, revision: Revision) {
        assert!(self.books.earmarked.is_zero(), "S6: grant {} rolls over under an allocation", self.id);
        let Term::Cycle(rule) = self.term else { return };
        let ends_now = match self.rolled {
            None => rule.keep == Keep::None,
            Some(rolled) => rolled.last == Some(ended),
        };
        if ends_now {
            self.end(GrantState::Expired, revision);
        } else if self.rolled.is_none() {
            let rolled = Rolled::at_end_of(ended, rule, self.books.available);
            self.rolled = Some(rolled);
            self.books.expired.grow(rolled.left.saturating_sub(rolled.kept));
            self.books.available = rolled.kept;
            self.revision = revision;
            self.assert_conserved();
        }
    }

    /// So much more was given.
    pub(crate) fn raise(&mut self, amount: Credits, revision: Revision) {
        self.books.amount.grow(amount);
        self.books.available.grow(amount);
        self.revision = revision;
        self.assert_conserved();
    }

    /// So much of what is shared was never given.
    pub(crate) fn lower(&mut self, amount: Credits, revision: Revision) {
        self.books.amount.shrink(amount);
        self.books.available.shrink(amount);
        self.revision = revision;
        self.assert_conserved();
    }

    /// Overage is made with the draw that follows.
    pub(crate) fn make_more(&mut self, amount: Credits) {
        self.books.amount.grow(amount);
        self.books.available.grow(amount);
    }

    /// What comes back of overage was never made.
    pub(crate) fn unmake(&mut self, amount: Credits) {
        self.books.out.shrink(amount);
        self.books.amount.shrink(amount);
        self.assert_conserved();
    }

    /// What comes back pays for overage.
    pub(crate) fn pay_overage(&mut self, amount: Credits) {
        self.books.out.shrink(amount);
        self.books.for_overage.grow(amount);
        self.assert_conserved();
    }

    /// What came back and is there for nobody yet pays for overage.
    pub(crate) fn pay_overage_of_available(&mut self, amount: Credits) {
        self.books.available.shrink(amount);
        self.books.for_overage.grow(amount);
        self.assert_conserved();
    }

    /// What it paid for came back too. `cycle`: of that overage, and of the lines that this was drawn on.
    pub(crate) fn is_free_of_overage(&mut self, amount: Credits, cycle: CycleNumber) -> ReturnedTo {
        self.books.for_overage.shrink(amount);
        self.place(amount, cycle)
    }

    /// Credited back and paying for overage at once.
    pub(crate) fn pay_overage_exposed(&mut self, amount: Credits) {
        self.books.exposure.grow(amount);
        self.books.for_overage.grow(amount);
        self.assert_conserved();
    }

    /// Overage that was written off is not billed: it was never made, and may have been spent.
    pub(crate) fn unmake_exposed(&mut self, amount: Credits) {
        self.books.amount.shrink(amount);
        self.books.exposure.grow(amount);
        self.assert_conserved();
    }

    pub(crate) fn write_off(&mut self, amount: Credits) {
        self.books.out.shrink(amount);
        self.books.written_off.grow(amount);
        self.assert_conserved();
    }

    /// Credits what was written off back, at the price of an exposure. `drawn_in`: the line's cycle.
    pub(crate) fn expose(&mut self, amount: Credits, drawn_in: CycleNumber) {
        self.books.exposure.grow(amount);
        self.place(amount, drawn_in);
    }

    /// R7: late evidence re-labels what was written off; it never makes credits available.
    pub(crate) fn relabel(&mut self, used: Credits, unattributed: Credits) {
        self.books.written_off.shrink(used);
        self.books.written_off.shrink(unattributed);
        self.books.used.grow(used);
        self.books.unattributed.grow(unattributed);
        self.assert_conserved();
    }

    /// Gives back what was used. `charged_in`: the line's cycle.
    pub(crate) fn refund(&mut self, amount: Credits, charged_in: CycleNumber) -> ReturnedTo {
        self.books.refunded.grow(amount);
        self.place(amount, charged_in)
    }

    /// Given back and paying for overage at once.
    pub(crate) fn pay_overage_refunded(&mut self, amount: Credits) {
        self.books.refunded.grow(amount);
        self.books.for_overage.grow(amount);
        self.assert_conserved();
    }

    /// Overage that is given back is not billed: it was never made, and was used.
    pub(crate) fn unmake_refunded(&mut self, amount: Credits) {
        self.books.amount.shrink(amount);
        self.books.refunded.grow(amount);
        self.assert_conserved();
    }

    /// Ends the grant: all that is available goes to `expired` or `voided`. Earmarks must be gone before.
    pub(crate) fn end(&mut self, state: GrantState, revision: Revision) {
        assert!(self.books.earmarked.is_zero(), "S6: grant {} ends under an allocation", self.id);
        let left = std::mem::take(&mut self.books.available);
        match state {
            GrantState::Live => self.books.available = left,
            GrantState::Expired => self.books.expired.grow(left),
            GrantState::Voided => self.books.voided.grow(left),
        }
        self.state = state;
        self.revision = revision;
        self.assert_conserved();
    }

    fn assert_conserved(&self) {
        assert!(self.books.is_conserved(), "S1/S2 broken on grant {}: {:?}", self.id, self.books);
    }
}
