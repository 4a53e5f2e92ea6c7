//! A funded amount set aside for one user, or as a *reserve* for one team. The amount is not stored: it is what the books
//! say it is.
//!
//! Not here: the decisions that change it (`admin`), the draws on it (`draw`).

use types::{Credits, GrantNo, Revision, TeamId, UserId};

/// One life of an allocation or reserve; both are numbered by one count. A user who loses his allocation and gets one anew
/// has another number, so that late returns of the old one cannot reach the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AllocationNo(pub u32);

/// Whose allocation it is. A team's is its reserve.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    User(UserId),
    Team(TeamId),
}

/// Where a user may go on when his allocation is spent: to his teams' reserves and to what is shared, or nowhere. From a
/// reserve everybody may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    None,
    Shared,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    pub no: AllocationNo,
    /// What every next cycle begins with.
    pub standing: Credits,
    pub overflow: Overflow,
    /// What is left of a seat's share, and nobody's hand has set it.
    pub of_seat: bool,
    /// Used, unattributed or written off out of it in this cycle.
    pub used: Credits,
    /// Out of it on lines.
    pub out: Credits,
    /// The part of `out` that is promised to an intent.
    pub pledged: Credits,
    /// Set aside and not drawn.
    pub earmarks: Earmarks,
    /// Missing, because the pool had too little when the cycle began or came to end later; what comes back of the ended cycle
    /// and grants that are made make up for it.
    pub short: Credits,
    pub revision: Revision,
}

impl AllocationNo {
    pub(crate) fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("2^32 allocations in one workspace do not happen"))
    }
}

impl Allocation {
    pub(crate) fn new(no: AllocationNo, overflow: Overflow) -> Self {
        Self {
            no,
            standing: Credits::ZERO,
            overflow,
            of_seat: false,
            used: Credits::ZERO,
            out: Credits::ZERO,
            pledged: Credits::ZERO,
            earmarks: Earmarks::default(),
            short: Credits::ZERO,
            revision: Revision(0),
        }
    }

    /// This cycle's amount: what is set aside, what is out and not promised away, what was used.
    pub fn amount(&self) -> Credits {
        let sum = Credits::checked_sum([self.used, self.out, self.earmarks.total()]);
        sum.expect("parts of one pool sum within its bound").saturating_sub(self.pledged)
    }

    /// What could still be moved away: set aside, or out and not promised.
    pub fn unused(&self) -> Credits {
        self.earmarks.total().saturating_add(self.out.saturating_sub(self.pledged))
    }
}

/// Set-aside credits by the grant that funds them (R12); no entry is zero; sorted by grant number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Earmarks(Vec<(GrantNo, Credits)>);

impl Earmarks {
    pub fn of(grant: GrantNo, amount: Credits) -> Self {
        let mut earmarks = Self::default();
        earmarks.add(grant, amount);
        earmarks
    }

    /// From what [`Earmarks::iter`] gave; `None` where that is not sorted or has a zero.
    pub fn from_sorted(parts: Vec<(GrantNo, Credits)>) -> Option<Self> {
        let sorted = parts.is_sorted_by(|(a, _), (b, _)| a < b);
        (sorted && parts.iter().all(|(_, amount)| !amount.is_zero())).then_some(Self(parts))
    }

    pub fn iter(&self) -> impl Iterator<Item = (GrantNo, Credits)> + '_ {
        self.0.iter().copied()
    }

    pub fn on(&self, grant: GrantNo) -> Credits {
        self.0.iter().find(|(no, _)| *no == grant).map_or(Credits::ZERO, |(_, amount)| *amount)
    }

    pub fn total(&self) -> Credits {
        Credits::checked_sum(self.0.iter().map(|(_, amount)| *amount))
            .expect("parts of one pool sum within its bound")
    }

    pub(crate) fn add(&mut self, grant: GrantNo, amount: Credits) {
        if amount.is_zero() {
            return;
        }
        match self.0.binary_search_by_key(&grant, |(no, _)| *no) {
            Ok(i) => self.0[i].1.grow(amount),
            Err(i) => self.0.insert(i, (grant, amount)),
        }
    }

    pub(crate) fn remove(&mut self, grant: GrantNo, amount: Credits) {
        if amount.is_zero() {
            return;
        }
        let i =
            self.0.binary_search_by_key(&grant, |(no, _)| *no).expect("an earmark is removed where it is");
        self.0[i].1.shrink(amount);
        if self.0[i].1.is_zero() {
            self.0.remove(i);
        }
    }
}
