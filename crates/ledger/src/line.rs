//! A line as the ledger knows it: numbers by backing that only grow. Merging by max is all there is to a message.
//!
//! Not here: what a merge means for grants, allocations and intents (`draw`, `intent`).

use crate::{AllocationNo, LineRejection, Pledge, Used};
use types::planted::{Mistake, is_planted};
use types::{Backing, Credits, CycleNumber, Metered, Scope, Source, TeamId, Timestamp, UserId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub user: UserId,
    pub cycle: CycleNumber,
    pub team: Option<TeamId>,
    /// What may be spent from it.
    pub scope: Scope,
    /// On whose chain it draws, where that is not its user's: he shares it, and this line keeps it.
    pub chain_of: Option<UserId>,
    /// In the order in which the holder spends them.
    pub backings: Vec<BackingNumbers>,
    /// Usage by meter (interned), sorted by meter.
    pub meters: Vec<(u32, Metered)>,
    pub held: Credits,
    pub confirmed: Credits,
    /// The allocation that this line drew on, if it did.
    pub allocation: Option<AllocationNo>,
    /// The reserves that it drew on, by how far out their team is.
    pub reserves: Vec<(u8, AllocationNo)>,
    /// Draws no more; recalled whole.
    pub frozen: bool,
    /// The holder was declared lost; only evidence is still taken.
    pub written_off: bool,
    /// Intents that returns of an allocation's or reserve's credits on this line pay, in this order.
    pub pledges: Vec<Pledge>,
    pub heard_at: Timestamp,
}

/// One backing's numbers. S2: `used + unattributed + returned + written_off ≤ drawn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackingNumbers {
    pub backing: Backing,
    pub drawn: Credits,
    pub used: Credits,
    pub returned: Credits,
    pub unattributed: Credits,
    pub written_off: Credits,
}

/// How far one backing moved by one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Growth {
    pub backing: Backing,
    pub used: Credits,
    pub unattributed: Credits,
    pub returned: Credits,
}

impl BackingNumbers {
    pub(crate) fn new(backing: Backing) -> Self {
        let zero = Credits::ZERO;
        Self { backing, drawn: zero, used: zero, returned: zero, unattributed: zero, written_off: zero }
    }

    fn settled(&self) -> Option<Credits> {
        Credits::checked_sum([self.used, self.returned, self.unattributed, self.written_off])
    }

    /// o = D − U − R − Z − W.
    pub fn outstanding(&self) -> Credits {
        let settled = self.settled().expect("parts of a line sum within a pool");
        self.drawn.checked_sub(settled).expect("S2: a line settles no more than was drawn")
    }

    pub fn is_within_drawn(&self) -> bool {
        self.settled().is_some_and(|settled| settled <= self.drawn)
    }
}

impl Line {
    pub(crate) fn new(
        user: UserId,
        chain_of: Option<UserId>,
        cycle: CycleNumber,
        team: Option<TeamId>,
        scope: Scope,
        at: Timestamp,
    ) -> Self {
        Self {
            user,
            cycle,
            team,
            scope,
            chain_of,
            backings: Vec::with_capacity(1),
            meters: Vec::new(),
            held: Credits::ZERO,
            confirmed: Credits::ZERO,
            allocation: None,
            reserves: Vec::new(),
            frozen: false,
            written_off: false,
            pledges: Vec::new(),
            heard_at: at,
        }
    }

    pub fn drawn(&self) -> Credits {
        self.sum(|numbers| numbers.drawn)
    }

    pub fn returned(&self) -> Credits {
        self.sum(|numbers| numbers.returned)
    }

    pub fn outstanding(&self) -> Credits {
        self.sum(BackingNumbers::outstanding)
    }

    pub fn outstanding_from(&self, source: Source) -> Credits {
        let of_source =
            |n: &BackingNumbers| if n.backing.source == source { n.outstanding() } else { Credits::ZERO };
        self.sum(of_source)
    }

    pub fn pledged(&self) -> Credits {
        Credits::checked_sum(self.pledges.iter().map(|p| p.amount)).expect("pledges are parts of what is out")
    }

    pub fn pledged_from(&self, source: Source) -> Credits {
        let of_source = self.pledges.iter().filter(|pledge| pledge.source == source);
        Credits::checked_sum(of_source.map(|p| p.amount)).expect("pledges are parts of what is out")
    }

    /// The allocation or reserve that this line drew on, by the source of its backings.
    pub fn behind(&self, source: Source) -> Option<AllocationNo> {
        match source {
            Source::Allocation => self.allocation,
            Source::Reserve(level) => {
                self.reserves.iter().find(|(known, _)| *known == level).map(|(_, no)| *no)
            }
            Source::Shared | Source::Overage => None,
        }
    }

    pub(crate) fn set_behind(&mut self, source: Source, no: AllocationNo) {
        match source {
            Source::Allocation => self.allocation = Some(no),
            Source::Reserve(level) => {
                self.reserves.retain(|(known, other)| *known != level && *other != no);
                self.reserves.push((level, no));
            }
            Source::Shared | Source::Overage => {}
        }
    }

    /// Under which source it drew on this allocation or reserve.
    pub fn source_of(&self, no: AllocationNo) -> Option<Source> {
        if self.allocation == Some(no) {
            return Some(Source::Allocation);
        }
        self.reserves.iter().find(|(_, known)| *known == no).map(|(level, _)| Source::Reserve(*level))
    }

    /// Out of this allocation or reserve, and how much of that is promised away.
    pub fn out_of(&self, no: AllocationNo) -> (Credits, Credits) {
        let of = |source| (self.outstanding_from(source), self.pledged_from(source));
        self.source_of(no).map_or((Credits::ZERO, Credits::ZERO), of)
    }

    fn sum(&self, of: impl Fn(&BackingNumbers) -> Credits) -> Credits {
        Credits::checked_sum(self.backings.iter().map(of)).expect("parts of a line sum within a pool")
    }

    pub fn backing(&self, backing: Backing) -> Option<&BackingNumbers> {
        self.backings.iter().find(|numbers| numbers.backing == backing)
    }

    pub(crate) fn backing_mut(&mut self, backing: Backing) -> &mut BackingNumbers {
        // Spending order: by source; inside one source in the order of arrival.
        let at = match self.backings.iter().position(|numbers| numbers.backing == backing) {
            Some(i) => i,
            None => {
                let i = self.backings.partition_point(|numbers| numbers.backing.source <= backing.source);
                self.backings.insert(i, BackingNumbers::new(backing));
                i
            }
        };
        &mut self.backings[at]
    }

    /// What a message's cumulative numbers would add, merged by max. Writes nothing.
    pub(crate) fn growth(
        &self,
        returned: &[(Backing, Credits)],
        used: &Used,
    ) -> Result<Vec<Growth>, LineRejection> {
        let mut grown = self.backings.clone();
        let find = |grown: &mut Vec<BackingNumbers>, backing: Backing| {
            grown.iter().position(|numbers| numbers.backing == backing).ok_or(LineRejection::BeyondDrawn)
        };
        for (backing, amount) in returned {
            let i = find(&mut grown, *backing)?;
            grown[i].returned = grown[i].returned.max(*amount);
        }
        for (backing, u, z) in &used.by_backing {
            let i = find(&mut grown, *backing)?;
            grown[i].used = if is_planted(Mistake::DeltaReports) {
                grown[i].used.saturating_add(*u)
            } else {
                grown[i].used.max(*u)
            };
            grown[i].unattributed = grown[i].unattributed.max(*z);
        }
        if !grown.iter().all(BackingNumbers::is_within_drawn) {
            return Err(LineRejection::BeyondDrawn);
        }
        Ok(self.backings.iter().zip(&grown).map(|(old, new)| Growth::between(old, new)).collect())
    }

    /// Writes what [`Line::growth`] found.
    pub(crate) fn grow(&mut self, growth: &[Growth]) {
        for step in growth {
            let numbers = self.backing_mut(step.backing);
            numbers.used.grow(step.used);
            numbers.unattributed.grow(step.unattributed);
            numbers.returned.grow(step.returned);
            assert!(numbers.is_within_drawn(), "S2 broken on a line: {numbers:?}");
        }
    }
}

impl Growth {
    fn between(old: &BackingNumbers, new: &BackingNumbers) -> Self {
        Self {
            backing: old.backing,
            used: new.used.saturating_sub(old.used),
            unattributed: new.unattributed.saturating_sub(old.unattributed),
            returned: new.returned.saturating_sub(old.returned),
        }
    }

    pub(crate) fn is_nothing(&self) -> bool {
        self.used.is_zero() && self.unattributed.is_zero() && self.returned.is_zero()
    }
}
