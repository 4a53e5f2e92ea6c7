//! Refunds: entries of their own that give back what was charged. A charge is never edited.
//!
//! What a charge drew from which backing says its holder, who has the record; the ledger keeps what was refunded of each
//! charge so far, to the end of the cycle after the charge's, and refuses after that. A refund goes back to the very grants that
//! the charge burned, the last one first: to the user's own allocation where it came out of it and this is still the same
//! one, else to what is shared; where the grant's time is over it expires at once, unless the grant's rule keeps what is left.
//! Included credits that come back pay for overage of their cycle first, as those of leases do; overage that is refunded
//! was never made, and is off the bill. Of every grant no more is refunded than was used.
//!
//! Not here: looking a charge up, and seeing to it that it was reported (`journal`, `quota`).

use crate::allocation::{AllocationNo, Owner};
use crate::grant::ReturnedTo;
use crate::limits;
use crate::outcome::{Outcome, Rejection};
use crate::workspace::Workspace;
use std::collections::BTreeMap;
use types::planted::{Mistake, is_planted};
use types::{
    AnyCharge, Backing, Credits, CycleNumber, GrantId, GrantNo, HolderId, LineId, LineNumber, RefundId,
    Source, Timestamp, UserId,
};

/// A charge as its holder has it, and how much of it is to be refunded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRefund {
    /// `None`: the ledger names it by its charge.
    pub id: Option<RefundId>,
    pub holder: HolderId,
    pub charge: AnyCharge,
    pub user: UserId,
    /// What it drew, in the order in which it burned. No zero.
    pub parts: Vec<ChargePart>,
    /// `None`: all that was not refunded yet.
    pub amount: Option<Credits>,
}

/// What a charge drew from one backing of a line. A hold that was settled late has two lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChargePart {
    pub line: LineNumber,
    pub cycle: CycleNumber,
    pub backing: Backing,
    pub amount: Credits,
}

/// A refund, as it was answered and is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundAnswer {
    pub id: RefundId,
    pub charge: AnyCharge,
    pub user: UserId,
    /// The charge's: the earliest, where it has two.
    pub cycle: CycleNumber,
    pub charged: Credits,
    /// As it was asked for.
    pub asked: Option<Credits>,
    pub amount: Credits,
    /// Of the charge, by this and by earlier ones.
    pub refunded: Credits,
    /// In the order in which it was given back: what burned last first.
    pub to: Vec<RefundedTo>,
    pub at: Timestamp,
}

/// A part of a refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundedTo {
    /// Which link of the chain had paid.
    pub from: Source,
    pub grant: GrantId,
    pub amount: Credits,
    pub place: RefundPlace,
}

/// Where refunded credits are now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundPlace {
    /// Set aside for the user again.
    Allocation,
    Shared,
    /// Off the overage of the charge's cycle, or paying for it.
    Overage,
    /// The grant's time is over.
    Expired,
    Voided,
}

/// What the ledger knows of a charge that is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeBooks {
    pub refunded: Credits,
    /// Those that were asked for and that there are.
    pub grants: Vec<(GrantNo, GrantId)>,
    pub at: Timestamp,
}

/// What was refunded of one charge. Follows from the refunds and is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refunded {
    pub amount: Credits,
    pub times: u32,
}

/// A decided refund.
#[derive(Debug)]
pub(crate) struct Refunding {
    new: NewRefund,
    id: RefundId,
    cycle: CycleNumber,
    charged: Credits,
    amount: Credits,
    /// Of which parts how much, the last first.
    takes: Vec<ChargePart>,
}

fn sum(parts: &[ChargePart], of: impl Fn(&ChargePart) -> bool) -> Credits {
    let parts = parts.iter().filter(|part| of(part)).map(|part| part.amount);
    Credits::checked_sum(parts).unwrap_or(Credits::MAX)
}

impl Workspace {
    /// Of one charge, so far.
    pub fn refunded_of(&self, charge: AnyCharge) -> Credits {
        self.refunded.get(&charge).map_or(Credits::ZERO, |refunded| refunded.amount)
    }

    pub(crate) fn charge_books(&self, charge: AnyCharge, grants: &[GrantNo], at: Timestamp) -> ChargeBooks {
        let named = grants.iter().filter_map(|no| Some((*no, self.grants.get(no.0 as usize)?.id.clone())));
        ChargeBooks { refunded: self.refunded_of(charge), grants: named.collect(), at }
    }

    /// Counted again.
    pub fn refunded_by_charge(&self) -> BTreeMap<AnyCharge, Refunded> {
        let mut refunded = BTreeMap::new();
        let none = Refunded { amount: Credits::ZERO, times: 0 };
        for refund in self.refunds.values() {
            let entry = refunded.entry(refund.charge).or_insert(none);
            entry.amount = entry.amount.saturating_add(refund.amount);
            entry.times = entry.times.saturating_add(1);
        }
        refunded
    }

    /// What a refund of this id was answered at first; `None` where there is none.
    pub(crate) fn refunded_before(&self, new: &NewRefund) -> Option<Option<Outcome>> {
        let known = self.refunds.get(new.id.as_ref()?)?;
        let same = (known.charge, known.asked) == (new.charge, new.amount);
        Some(same.then(|| Outcome::Refund(Box::new(known.clone()))))
    }

    pub(crate) fn decide_refund(&self, new: &NewRefund) -> Result<Refunding, Rejection> {
        let charged = sum(&new.parts, |_| true);
        let cycle = new.parts.iter().map(|part| part.cycle).min().unwrap_or(self.cycle);
        if cycle.next() < self.cycle {
            return Err(Rejection::ChargeTooOld);
        }
        let is_forgotten = is_planted(Mistake::RefundTwice);
        let done = if is_forgotten { Credits::ZERO } else { self.refunded_of(new.charge) };
        let left = charged.saturating_sub(done);
        let amount = new.amount.unwrap_or(left);
        if amount.is_zero() || amount > left {
            return Err(Rejection::BeyondCharge { left });
        }
        if self.refunds.len() >= limits::REFUNDS_MAX {
            let what = "refunds of charges of this cycle and the one before";
            return Err(Rejection::TooMany { what, max: limits::REFUNDS_MAX });
        }
        if self.given_in_all().checked_add(amount).is_none() {
            return Err(Rejection::TooMuch);
        }
        let takes = if is_planted(Mistake::RefundFromTheFront) {
            let reversed: Vec<ChargePart> = new.parts.iter().rev().copied().collect();
            tail(&reversed, done, amount)
        } else {
            tail(&new.parts, done, amount)
        };
        if !self.was_charged(new, &takes) {
            return Err(Rejection::NotCharged);
        }
        let id = new.id.clone().unwrap_or_else(|| self.next_refund_of(new.charge));
        Ok(Refunding { new: new.clone(), id, cycle, charged, amount, takes })
    }

    /// By its charge, and how many of it there were.
    fn next_refund_of(&self, charge: AnyCharge) -> RefundId {
        let times = self.refunded.get(&charge).map_or(0, |refunded| refunded.times);
        let name = |n: u32| RefundId::parse(&format!("{charge}:{n}")).expect("short, and of digits and dots");
        // Somebody may have taken the name.
        let mut names = (times.saturating_add(1)..=u32::MAX).map(name);
        names.find(|id| !self.refunds.contains_key(id)).expect("there are fewer refunds than names")
    }

    /// S2: whether the books have so much charged and not refunded, on the lines it names, of each grant, for the user, out of his
    /// allocation and as his overage.
    fn was_charged(&self, new: &NewRefund, takes: &[ChargePart]) -> bool {
        let Some(user) = self.user(&new.user) else { return false };
        let on_line = |part: &ChargePart| {
            let id = LineId { holder: new.holder, number: part.line };
            match self.lines.get(&id) {
                Some(line) => {
                    let used = line.backing(part.backing).map_or(Credits::ZERO, |numbers| numbers.used);
                    line.user == new.user && line.cycle == part.cycle && part.amount <= used
                }
                // Folded: what was charged on it is in the sums below.
                None => self.highest_line.get(&id.holder).is_some_and(|highest| id.number <= *highest),
            }
        };
        let of_grant = |part: &ChargePart| {
            let no = part.backing.grant;
            let Some(grant) = self.grants.get(no.0 as usize) else { return false };
            let unrefunded = grant.books.used.saturating_sub(grant.books.refunded);
            sum(takes, |other| other.backing.grant == no) <= unrefunded
        };
        let own = sum(takes, |part| self.own_allocation(new, part).is_some());
        // What an allocation paid for overage counts as used of it, and was charged elsewhere.
        let whose = self.user(self.chain_of(&new.user)).and_then(|user| user.allocation.as_ref());
        let allocation = whose.map_or(Credits::ZERO, |allocation| {
            allocation.used.saturating_sub(self.paid_out_of(&new.user, allocation.no))
        });
        let overage = |cycle| {
            let made = self.overages.get(&cycle).and_then(|overage| overage.accounts.get(&new.user));
            let out = user.lines.iter().map(|id| &self.lines[id]).filter(|line| line.cycle == cycle);
            let out = out
                .fold(Credits::ZERO, |sum, line| sum.saturating_add(line.outstanding_from(Source::Overage)));
            made.map_or(Credits::ZERO, |account| account.made.saturating_sub(out))
        };
        let of_overage = |part: &ChargePart| {
            part.backing.source != Source::Overage
                || sum(takes, |other| other.backing.source == Source::Overage && other.cycle == part.cycle)
                    <= overage(part.cycle)
        };
        let now = sum(takes, |part| part.cycle == self.cycle);
        let before = sum(takes, |part| part.cycle < self.cycle);
        let of_kind = |part: &ChargePart| {
            let of_cycle = self.overages.get(&part.cycle).map(|overage| overage.grant);
            match part.backing.source {
                Source::Overage => of_cycle == Some(part.backing.grant),
                Source::Allocation | Source::Reserve(_) | Source::Shared => {
                    self.overages.values().all(|overage| overage.grant != part.backing.grant)
                }
            }
        };
        let is_known =
            |part: &ChargePart| on_line(part) && of_kind(part) && of_grant(part) && of_overage(part);
        takes.iter().all(|part| part.cycle <= self.cycle && is_known(part))
            && own <= allocation
            && now <= user.used.saturating_sub(user.refunded)
            && before <= user.past.saturating_sub(user.past_refunded)
    }

    /// What this allocation of the user's paid for his overage of this cycle.
    fn paid_out_of(&self, user: &UserId, no: AllocationNo) -> Credits {
        let overage = self.overages.get(&self.cycle);
        let may_be = |name: &UserId| name == user || !self.services.is_empty();
        let accounts = overage.into_iter().flat_map(|overage| &overage.accounts);
        let payers = accounts.filter(|(name, _)| may_be(name)).flat_map(|(_, account)| &account.paid_by);
        let paid = payers.filter(|payer| payer.allocation == Some(no)).map(|payer| payer.amount);
        Credits::checked_sum(paid).unwrap_or(Credits::MAX)
    }

    /// The allocation that this was drawn from, where the user still has it.
    fn own_allocation(&self, new: &NewRefund, part: &ChargePart) -> Option<AllocationNo> {
        if part.backing.source != Source::Allocation || part.cycle != self.cycle {
            return None;
        }
        let whose = self.chain_of(&new.user);
        let no = self.user(whose)?.allocation.as_ref()?.no;
        let id = LineId { holder: new.holder, number: part.line };
        // A line that was there when he lost one, or shared otherwise, may have drawn on another, and on this one since.
        let lost = |user: &UserId| self.lost_allocations.get(user).and_then(|lines| lines.get(&id.holder));
        let is_later = [&new.user, whose].into_iter().filter_map(lost).all(|last| id.number > *last);
        let is_his = is_later && self.lines.get(&id).is_none_or(|line| line.allocation == Some(no));
        is_his.then_some(no)
    }

    /// A user loses his allocation in the middle of a cycle: what was charged on lines that are known by now is none of the
    /// next one's.
    pub(crate) fn note_lost_allocation(&mut self, user: &UserId) {
        let last = self.last_lines();
        self.lost_allocations.insert(user.clone(), last);
    }

    /// The last line that is known of each holder.
    pub(crate) fn last_lines(&self) -> BTreeMap<HolderId, LineNumber> {
        let mut last = self.highest_line.clone();
        for id in self.lines.keys() {
            let known = last.entry(id.holder).or_insert(id.number);
            *known = (*known).max(id.number);
        }
        last
    }

    pub(crate) fn commit_refund(&mut self, plan: Refunding, at: Timestamp) -> Outcome {
        let Refunding { new, id, cycle, charged, amount, takes } = plan;
        let mut to = Vec::new();
        for part in &takes {
            let before = self.totals.refunded;
            self.refund_part(&new, part, at, &mut to);
            assert_eq!(
                self.totals.refunded.checked_sub(before),
                Some(part.amount),
                "S1: a refund is booked once"
            );
            let is_past = part.cycle < self.cycle;
            let user = self.users.get_mut(&new.user).expect("decided on a user");
            if is_past {
                user.past_refunded.grow(part.amount);
                self.refunded_before.grow(part.amount);
            } else {
                user.refunded.grow(part.amount);
                let id = LineId { holder: new.holder, number: part.line };
                self.refund_for_service(&new.user, id, part.amount);
            }
        }
        // Of a service whose it was then as well: his share is another one now.
        for part in &takes {
            if let Some(whose) = self.chain_then(&new.user, LineId { holder: new.holder, number: part.line })
            {
                self.part_gets_back(&whose, at);
            }
        }
        self.part_gets_back(&new.user, at);
        let entry = self.refunded.entry(new.charge).or_insert(Refunded { amount: Credits::ZERO, times: 0 });
        entry.amount.grow(amount);
        entry.times = entry.times.saturating_add(1);
        let refunded = entry.amount;
        assert!(refunded <= charged, "S2: no more is refunded than was charged");
        let NewRefund { charge, user, amount: asked, .. } = new;
        let answer =
            RefundAnswer { id: id.clone(), charge, user, cycle, charged, asked, amount, refunded, to, at };
        self.refunds.insert(id, answer.clone());
        Outcome::Refund(Box::new(answer))
    }

    fn refund_part(&mut self, new: &NewRefund, part: &ChargePart, at: Timestamp, to: &mut Vec<RefundedTo>) {
        let ChargePart { cycle, backing, amount, .. } = *part;
        let no = backing.grant;
        let books = self.grant(no).books;
        let id = LineId { holder: new.holder, number: part.line };
        if cycle == self.cycle
            && matches!(backing.source, Source::Allocation | Source::Shared)
            && let Some(whose) = self.chain_then(&new.user, id)
        {
            let user = self.user_mut(&whose);
            user.of_share = user.of_share.saturating_sub(amount);
        }
        let mut places = Vec::new();
        match (backing.source, self.own_allocation(new, part)) {
            (Source::Overage, _) => {
                self.strike_overage(cycle, &new.user, amount, at, crate::Grant::unmake_refunded);
                places.push((RefundPlace::Overage, amount));
            }
            (Source::Allocation, Some(allocation)) => {
                let owner = Owner::User(self.chain_of(&new.user).clone());
                let known = self.current_allocation(&owner, allocation).expect("decided on his own");
                known.used.shrink(amount);
                if self.on_grant(no, |grant| grant.refund(amount, cycle)) == ReturnedTo::Available {
                    let his = Some((&owner, allocation));
                    let pays = self.pay_overage(cycle, no, his, amount, at);
                    self.on_grant(no, |grant| grant.pay_overage_of_available(pays));
                    let rest = amount.saturating_sub(pays);
                    self.set_aside(&owner, allocation, no, rest);
                    let his = self.grant(no).books.earmarked.saturating_sub(books.earmarked);
                    places.extend([(RefundPlace::Overage, pays), (RefundPlace::Allocation, his)]);
                    places.push((RefundPlace::Shared, rest.saturating_sub(his)));
                }
            }
            (Source::Allocation | Source::Reserve(_) | Source::Shared, _) => {
                let pays = self.pay_overage(cycle, no, None, amount, at);
                let rest = amount.saturating_sub(pays);
                self.on_grant(no, |grant| {
                    grant.pay_overage_refunded(pays);
                    grant.refund(rest, cycle);
                });
                let there = self.grant(no).books.available.saturating_sub(books.available);
                places.extend([(RefundPlace::Overage, pays), (RefundPlace::Shared, there)]);
            }
        }
        let now = &self.grant(no).books;
        places.push((RefundPlace::Expired, now.expired.saturating_sub(books.expired)));
        places.push((RefundPlace::Voided, now.voided.saturating_sub(books.voided)));
        let (from, grant) = (backing.source, &self.grant(no).id);
        let told = places.into_iter().filter(|(_, amount)| !amount.is_zero());
        to.extend(told.map(|(place, amount)| RefundedTo { from, grant: grant.clone(), amount, place }));
    }

    /// A cycle has begun: refunds of charges of the one before the last are forgotten, and those charges are refused.
    pub(crate) fn forget_refunds(&mut self) {
        let now = self.cycle;
        self.refunds.retain(|_, refund| refund.cycle.next() >= now);
        self.refunded = self.refunded_by_charge();
        self.refunded_before = self.totals.refunded;
        for user in self.users.values_mut() {
            let refunded = std::mem::take(&mut user.refunded);
            user.past_refunded.grow(refunded);
        }
        self.lost_allocations.clear();
    }

    /// For `violations`.
    pub(crate) fn no_more_is_refunded_than_was_charged(&self) -> Option<String> {
        if let Some(grant) = self.grants.iter().find(|grant| grant.books.refunded > grant.books.used) {
            return Some(format!("{}: {:?}", grant.id, grant.books));
        }
        if let Some(refund) = self.refunds.values().find(|r| r.refunded > r.charged || r.amount > r.refunded)
        {
            return Some(format!("{refund:?}"));
        }
        let over = |user: &crate::User| user.refunded > user.used || user.past_refunded > user.past;
        if let Some((name, user)) = self.users.iter().find(|(_, user)| over(user)) {
            return Some(format!("{name}: {user:?}"));
        }
        let known = self.refunded_by_charge();
        (known != self.refunded).then(|| format!("{:?} of charges, refunds say {known:?}", self.refunded))
    }

    /// For `violations`: what users were refunded is what grants got back.
    pub(crate) fn refunds_are_of_users_and_of_grants(&self) -> Option<String> {
        let users = self.users.values().map(|user| user.refunded.saturating_add(user.past_refunded));
        let users = Credits::checked_sum(users);
        let now = Credits::checked_sum(self.users.values().map(|user| user.refunded));
        let of_cycle = self.totals.refunded.saturating_sub(self.refunded_before);
        let same = users == Some(self.totals.refunded) && now == Some(of_cycle);
        (!same)
            .then(|| format!("{} of grants, {users:?} of users, {now:?} of this cycle", self.totals.refunded))
    }
}

/// `amount` of the parts, from the last back, behind what was taken before.
fn tail(parts: &[ChargePart], done: Credits, amount: Credits) -> Vec<ChargePart> {
    let (mut skip, mut left, mut takes) = (done, amount, Vec::new());
    for part in parts.iter().rev() {
        let free = part.amount.saturating_sub(skip);
        skip = skip.saturating_sub(part.amount);
        let taken = free.min(left);
        if !taken.is_zero() {
            left = left.saturating_sub(taken);
            takes.push(ChargePart { amount: taken, ..*part });
        }
    }
    takes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credits(micros: u64) -> Credits {
        Credits::from_micros(micros).unwrap()
    }

    #[test]
    fn whatever_the_steps_the_last_part_goes_back_first() {
        let part = |grant, micros| ChargePart {
            line: LineNumber(1),
            cycle: CycleNumber(1),
            backing: Backing { source: Source::Shared, grant: GrantNo(grant) },
            amount: credits(micros),
        };
        let parts = [part(0, 3), part(1, 2), part(2, 5)];
        assert_eq!(tail(&parts, credits(0), credits(10)), [part(2, 5), part(1, 2), part(0, 3)]);
        for step in 1..=10 {
            let (mut done, mut back) = (0, [0_u64; 3]);
            while done < 10 {
                let amount = step.min(10 - done);
                for taken in tail(&parts, credits(done), credits(amount)) {
                    back[taken.backing.grant.0 as usize] += taken.amount.micros();
                }
                done += amount;
                assert_eq!(back.iter().sum::<u64>(), done);
                assert_eq!(back[2], done.min(5), "the last one first, in steps of {step}");
                assert_eq!(back[0], done.saturating_sub(7), "the first one last, in steps of {step}");
            }
        }
        assert_eq!(tail(&parts, credits(10), credits(1)), [], "there is no more");
    }
}
