//! Transfer intents: credits promised to somebody else while they are still out on lines.
//!
//! An intent names lines and at most how much of each. Those lines are frozen. What comes back pays the intent;
//! what was spent meanwhile lapses. `asked = moved + pending + lapsed`, always.
//!
//! Not here: who may promise what (`admin`), when returns arrive (`draw`).

use crate::{AllocationNo, Owner, ReallocationAnswer, Workspace};
use types::{Backing, Credits, CycleNumber, GrantNo, LineId, ReallocationId, Source, UserId};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IntentNo(pub u64);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// In which it was asked for.
    pub cycle: CycleNumber,
    /// Set where the intent is a reallocation's; a cut's has none.
    pub reallocation: Option<ReallocationId>,
    pub from: Owner,
    pub from_allocation: AllocationNo,
    pub to: Recipient,
    pub asked: Credits,
    pub moved: Credits,
    pub lapsed: Credits,
    /// Lines that still owe something, each once.
    pub lines: Vec<LineId>,
    /// What a reallocation was answered at first; a repeat gets the same.
    pub first_answer: Option<ReallocationAnswer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    Shared,
    Allocation(UserId, AllocationNo),
}

/// A line's part of an intent: at most this much of what comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pledge {
    pub intent: IntentNo,
    /// The donor's allocation or reserve, as the line has it.
    pub source: Source,
    pub amount: Credits,
}

impl IntentNo {
    pub(crate) fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("2^64 intents do not happen"))
    }
}

impl Intent {
    pub fn pending(&self) -> Credits {
        self.asked.saturating_sub(self.moved).saturating_sub(self.lapsed)
    }
}

impl Workspace {
    /// Pays `amount` that was set aside, just returned on `line`, to the intents it is pledged to. Answers what is left for
    /// the donor himself.
    pub(crate) fn pay_pledges(&mut self, line: LineId, backing: Backing, amount: Credits) -> Credits {
        let mut left = amount;
        while !left.is_zero() {
            let Some(entry) = self.lines.get_mut(&line) else { break };
            let of_source = |pledge: &Pledge| pledge.source == backing.source;
            let Some(i) = entry.pledges.iter().position(of_source) else { break };
            let Pledge { intent, amount: owed, .. } = entry.pledges[i];
            let paid = owed.min(left);
            entry.owe_less(i, paid);
            left.shrink(paid);
            let recipient = self.intents.get(&intent).map(|intent| intent.to.clone());
            self.settle_pledge(intent, line, paid, Settled::Paid);
            if let Some(Recipient::Allocation(user, allocation)) = recipient {
                // They keep their grant and change their earmark. Where the allocation is gone they are shared.
                self.set_aside(&Owner::User(user), allocation, backing.grant, paid);
            }
        }
        left
    }

    /// Lapses whatever is pledged on `line` beyond what is still out there of what it was pledged from; newest first.
    pub(crate) fn lapse_pledges(&mut self, line: LineId) {
        while let Some(entry) = self.lines.get_mut(&line) {
            let Some((i, lapsed)) = entry.owed_beyond_what_is_out() else { return };
            let intent = entry.pledges[i].intent;
            entry.owe_less(i, lapsed);
            self.settle_pledge(intent, line, lapsed, Settled::Lapsed);
        }
    }

    fn settle_pledge(&mut self, no: IntentNo, line: LineId, amount: Credits, how: Settled) {
        let still_owes = self.lines.get(&line).is_some_and(|l| l.pledges.iter().any(|p| p.intent == no));
        let intent = self.intents.get_mut(&no).expect("a pledge belongs to an intent");
        match how {
            Settled::Paid => intent.moved.grow(amount),
            Settled::Lapsed => intent.lapsed.grow(amount),
        }
        if !still_owes {
            intent.lines.retain(|id| *id != line);
        }
        let (from, from_allocation) = (intent.from.clone(), intent.from_allocation);
        let done = intent.lines.is_empty();
        // A cut leaves no trace once it is done; a reallocation is remembered under its id.
        if done && intent.reallocation.is_none() {
            self.intents.remove(&no);
        }
        if let Some(donor) = self.current_allocation(&from, from_allocation) {
            donor.pledged.shrink(amount);
        }
    }

    /// Credits come to an allocation, if it is still there: set aside where their grant lasts to the end of the cycle, which
    /// may have come to end later meanwhile; else they are missing, and made up for by what lasts.
    pub(crate) fn set_aside(
        &mut self,
        owner: &Owner,
        allocation: AllocationNo,
        grant: GrantNo,
        amount: Credits,
    ) {
        let lasts = self.grant(grant).lasts_to(self.cycle_ends_at());
        let Some(entry) = self.current_allocation(owner, allocation).filter(|_| !amount.is_zero()) else {
            return;
        };
        if lasts {
            entry.earmarks.add(grant, amount);
            self.on_grant(grant, |g| g.earmark(amount));
        } else {
            let short = entry.short.saturating_add(amount);
            self.set_short(owner, short);
        }
    }
}

impl crate::Line {
    /// The newest pledge that more is owed by than is out, and by how much.
    fn owed_beyond_what_is_out(&self) -> Option<(usize, Credits)> {
        let excess = |source| {
            let out = if self.written_off { Credits::ZERO } else { self.outstanding_from(source) };
            self.pledged_from(source).saturating_sub(out)
        };
        let pledges = self.pledges.iter().enumerate().rev();
        let mut beyond = pledges.map(|(i, pledge)| (i, pledge.amount.min(excess(pledge.source))));
        beyond.find(|(_, amount)| !amount.is_zero())
    }

    fn owe_less(&mut self, i: usize, amount: Credits) {
        self.pledges[i].amount.shrink(amount);
        if self.pledges[i].amount.is_zero() {
            self.pledges.remove(i);
        }
    }
}

#[derive(Clone, Copy)]
enum Settled {
    Paid,
    Lapsed,
}
