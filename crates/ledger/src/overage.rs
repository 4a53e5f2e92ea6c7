//! Overage: credits beyond what is included, made when they are drawn, up to a cap, and billed by somebody else when their
//! cycle is over.
//!
//! Each cycle that has any has a grant of it, `overage:<cycle>`, with nothing available on it at any time: what is drawn is
//! made with the draw, and what comes back is as if it had never been made. It is drawn where what is included does not
//! suffice for somebody who waits, and nothing that would do lies idle elsewhere or could be had by a recall. Where a holder
//! out of reach gives included credits back later, they pay for overage of their cycle first, also when that is over: what was
//! set aside for a user for his, what is shared for that of all who may share. So only that is billed which is beyond
//! what was included. Overage that comes back frees what paid for it.
//!
//! The model has the same rules for what is shared (`simulations/src/model/overage.rs`); allocations, voids and what is credited
//! back are not in its worlds with overage. Not here: the draw itself (`draw`), who asks the holders (the leader's desk), prices in
//! money.

use crate::allocation::{AllocationNo, Owner};
use crate::command::{GrantKind, NewGrant};
use crate::grant::{Grant, GrantState, ReturnedTo};
use crate::limits;
use crate::outcome::{Denial, DenialReason, Rejection};
use crate::rollover::{Rollover, Term};
use crate::workspace::Workspace;
use std::collections::{BTreeMap, BTreeSet};
use types::planted::{Mistake, is_planted};
use types::{
    Backing, Credits, CycleNumber, GrantId, GrantNo, LineId, Money, Revision, Source, Timestamp, UserId,
};

/// Whether more may be used than is included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverageRule {
    Off,
    On,
    /// So much in each cycle.
    UpTo(Credits),
}

impl OverageRule {
    fn is_exceeded_by(self, drawn: Credits) -> bool {
        match self {
            Self::Off => true,
            Self::On => false,
            Self::UpTo(cap) => drawn > cap,
        }
    }
}

fn has_overage_out(line: &crate::Line) -> bool {
    !line.outstanding_from(Source::Overage).is_zero()
}

/// Overage of one cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overage {
    pub grant: GrantNo,
    /// Of those who had any, as long as lines of the cycle may give something back.
    pub accounts: BTreeMap<UserId, OverageAccount>,
    /// What paid for accounts that were closed.
    pub closed: Vec<(GrantNo, Credits)>,
}

/// One user's part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverageAccount {
    /// Out or charged.
    pub made: Credits,
    /// Whether he could draw on what is shared as well, when he drew it last.
    pub shares: bool,
    /// On whose chain he drew then, where that is not his own.
    pub chain_of: Option<UserId>,
    /// The reserves that he could draw on then.
    pub reserves: Vec<AllocationNo>,
    /// Included credits that came back and pay for it, those last that came last.
    pub paid_by: Vec<OveragePayer>,
}

/// Included credits that came back, from a user's own allocation, a reserve, or what is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OveragePayer {
    pub grant: GrantNo,
    pub allocation: Option<AllocationNo>,
    pub amount: Credits,
}

/// What a rule is asked of, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverageAnswer {
    /// `None`: of the workspace.
    pub user: Option<UserId>,
    /// `None`: none was set. A workspace without one is off; a user without one may what his workspace may, unless his
    /// allocation keeps him to itself.
    pub rule: Option<OverageRule>,
    /// Of the workspace alone: what its plan says, which holds where it has no rule.
    pub of_plan: Option<OverageRule>,
    /// Of the user alone: drawn in this cycle, what is out included, whoever paid for it since.
    pub drawn: Credits,
    /// Of the workspace alone: the last cycles that had any, or had usage that nothing covered, the latest first.
    pub cycles: Vec<CycleOverage>,
    pub revision: Revision,
    pub at: Timestamp,
}

/// Of one cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CycleOverage {
    pub cycle: CycleNumber,
    /// Used, unattributed and written off.
    pub charged: Credits,
    /// Of what was used.
    pub refunded: Credits,
    pub out: Credits,
    /// By included credits that came back.
    pub paid: Credits,
    /// What is charged, not refunded, and nobody has paid for: for a bill, final when the cycle is over and nothing is out.
    pub billed: Credits,
    /// Usage of the cycle that was told of later and that nothing paid for: for the bill as well, and not counted above.
    pub uncovered: Credits,
    /// Of each credit, as the plan had it when the cycle's first overage was drawn.
    pub price: Option<Money>,
}

const PREFIX: &str = "overage:";

/// Whether a grant of that id is made of overage: nobody makes one.
pub fn is_of_overage(id: &GrantId) -> bool {
    id.as_str().starts_with(PREFIX)
}

impl OverageAccount {
    fn paid(&self) -> Credits {
        sum(self.paid_by.iter().map(|payer| payer.amount))
    }

    fn unpaid(&self) -> Credits {
        self.made.checked_sub(self.paid()).expect("no more is paid for than was made")
    }

    fn pay(&mut self, grant: GrantNo, allocation: Option<AllocationNo>, amount: Credits) {
        let same = |payer: &&mut OveragePayer| (payer.grant, payer.allocation) == (grant, allocation);
        match self.paid_by.iter_mut().find(same) {
            Some(payer) => payer.amount.grow(amount),
            None => self.paid_by.push(OveragePayer { grant, allocation, amount }),
        }
    }

    /// So much was never made: what nobody has paid for first. Answers what paid for the rest.
    fn unmake(&mut self, amount: Credits) -> Vec<OveragePayer> {
        let mut free = amount.saturating_sub(self.unpaid());
        let mut freed = Vec::new();
        while !free.is_zero() {
            let payer = self.paid_by.last_mut().expect("so much is paid for");
            let taken = free.min(payer.amount);
            payer.amount.shrink(taken);
            free.shrink(taken);
            freed.push(OveragePayer { amount: taken, ..*payer });
            self.paid_by.retain(|payer| !payer.amount.is_zero());
        }
        self.made.shrink(amount);
        freed
    }
}

impl Overage {
    pub fn paid(&self) -> Credits {
        let closed = self.closed.iter().map(|(_, part)| *part);
        sum(self.accounts.values().map(OverageAccount::paid).chain(closed))
    }

    fn paying(&self) -> impl Iterator<Item = (GrantNo, Credits)> + '_ {
        let open = self.accounts.values().flat_map(|account| &account.paid_by);
        open.map(|payer| (payer.grant, payer.amount)).chain(self.closed.iter().copied())
    }
}

fn sum(parts: impl Iterator<Item = Credits>) -> Credits {
    Credits::checked_sum(parts).expect("parts of one pool")
}

impl Workspace {
    pub fn overage_rule(&self) -> OverageRule {
        let own = self.overage_rule.map(|(rule, _)| rule);
        own.or(self.overage_rule_of_plan()).unwrap_or(OverageRule::Off)
    }

    /// Where the workspace has none of its own.
    pub fn overage_rule_of_plan(&self) -> Option<OverageRule> {
        self.subscription.as_deref()?.plan.as_ref()?.overage
    }

    /// How much of a cycle's overage nobody has paid for: what the bill would say if all of it was used.
    pub fn unpaid_overage(&self, cycle: CycleNumber) -> Credits {
        let Some(overage) = self.overages.get(&cycle) else { return Credits::ZERO };
        let made = self.grant(overage.grant).books.amount;
        made.checked_sub(overage.paid()).expect("no more is paid for than was made")
    }

    /// How much more the user may draw beyond what is included; `None` where he may not at all.
    pub fn overage_room(&self, user: &UserId) -> Option<Credits> {
        Some(self.overage_room_of_pool()?.min(self.overage_room_of_user(user)?))
    }

    fn overage_room_of_pool(&self) -> Option<Credits> {
        let counted = self.unpaid_overage(self.cycle);
        let counted = match self.overages.get(&self.cycle).filter(|_| is_planted(Mistake::CapIgnoresLeases)) {
            Some(overage) => counted.saturating_sub(self.grant(overage.grant).books.out),
            None => counted,
        };
        let most = Credits::MAX.saturating_sub(self.given_in_all());
        match self.overage_rule() {
            OverageRule::Off => None,
            OverageRule::On => Some(most),
            OverageRule::UpTo(cap) => Some(cap.saturating_sub(counted).min(most)),
        }
    }

    fn overage_room_of_user(&self, user: &UserId) -> Option<Credits> {
        let whose = self.chain_of(user);
        let own = self.user(user).filter(|_| whose != user).and_then(|user| user.overage_rule);
        let own = own.map_or(Some(Credits::MAX), |(rule, _)| self.room_by(rule, user))?;
        Some(own.min(self.overage_room_of_chain(whose)?))
    }

    fn room_by(&self, rule: OverageRule, user: &UserId) -> Option<Credits> {
        match rule {
            OverageRule::Off => None,
            OverageRule::On => Some(Credits::MAX),
            OverageRule::UpTo(cap) => Some(cap.saturating_sub(self.overage_counted(user))),
        }
    }

    fn overage_room_of_chain(&self, user: &UserId) -> Option<Credits> {
        match self.user(user).and_then(|user| user.overage_rule) {
            Some((rule, _)) => self.room_by(rule, user),
            // An allocation that keeps its user to itself is his stop, unless he is named.
            None => (!self.keeps_to_himself(user)).then_some(Credits::MAX),
        }
    }

    /// Drawn by him and on his chain in this cycle beyond what is included, what is out counted in, whoever paid for it since.
    pub fn overage_of(&self, user: &UserId) -> Credits {
        self.overage_by(user, |_, account| account.chain_of.as_ref() == Some(user))
    }

    /// The same, and all of those who draw on his chain now: it is his as soon as they draw more.
    fn overage_counted(&self, user: &UserId) -> Credits {
        self.overage_by(user, |name, account| {
            account.chain_of.as_ref() == Some(user) || self.chain_of(name) == user
        })
    }

    fn overage_by(&self, user: &UserId, is_his: impl Fn(&UserId, &OverageAccount) -> bool) -> Credits {
        let Some(overage) = self.overages.get(&self.cycle) else { return Credits::ZERO };
        let own = overage.accounts.get(user).map_or(Credits::ZERO, |account| account.made);
        let others = self.services.iter().filter(|name| *name != user);
        let others = others.filter_map(|name| Some((name, overage.accounts.get(name)?)));
        let his = others.filter(|(name, account)| is_his(name, account));
        his.fold(own, |sum, (_, account)| sum.saturating_add(account.made))
    }

    pub(crate) fn keeps_to_himself(&self, user: &UserId) -> bool {
        self.chain_user(user).is_some_and(crate::User::keeps_to_himself)
    }

    /// What a draw gets beyond what is included, which does not suffice for it. `want`, `need`: what it wants, and what is
    /// waited for, beyond that.
    pub(crate) fn beyond(&self, user: &UserId, want: Credits, need: Credits) -> Option<(Backing, Credits)> {
        let room = self.overage_room(user)?;
        let amount = want.min(self.fair_share(room).max(need)).min(room);
        (!amount.is_zero()).then_some((self.overage_backing(), amount))
    }

    pub(crate) fn overage_backing(&self) -> Backing {
        let next = || GrantNo(u32::try_from(self.grants.len()).expect("one a cycle beside GRANTS_MAX"));
        let known = self.overages.get(&self.cycle).map(|overage| overage.grant);
        Backing { source: Source::Overage, grant: known.unwrap_or_else(next) }
    }

    /// A draw falls short although its user may have overage: a cap is what stops him. Overage that is out would help: where it
    /// is his own cap, on other lines of his, else anybody's.
    pub(crate) fn denied_by_cap(&self, id: LineId, user: &UserId, denial: Denial) -> Denial {
        let (Some(pool), Some(own)) = (self.overage_room_of_pool(), self.overage_room_of_user(user)) else {
            return denial;
        };
        let out = |line: &crate::Line| line.outstanding_from(Source::Overage);
        let here = self.lines.get(&id).map_or(Credits::ZERO, out);
        let out = if own <= pool {
            let whose = self.chain_of(user);
            sum(self.lines_of(whose, |line| line.cycle == self.cycle).iter().map(|id| out(&self.lines[id])))
        } else {
            self.overage_out()
        };
        let elsewhere = denial.elsewhere.saturating_add(out.saturating_sub(here));
        Denial { reason: DenialReason::OverageCapReached, elsewhere, ..denial }
    }

    fn overage_out(&self) -> Credits {
        self.overages.get(&self.cycle).map_or(Credits::ZERO, |overage| self.grant(overage.grant).books.out)
    }

    /// Included credits that are there again where overage that lies idle comes back: so much of it is paid for.
    pub(crate) fn paid_for_what_is_out(&self) -> Credits {
        let paid = self.overages.get(&self.cycle).map_or(Credits::ZERO, Overage::paid);
        paid.min(self.overage_out())
    }

    /// Makes what is drawn with this draw.
    pub(crate) fn make_overage(&mut self, backing: Backing, user: &UserId, amount: Credits, at: Timestamp) {
        if !self.overages.contains_key(&self.cycle) {
            let revision = self.next_revision();
            let new = NewGrant {
                id: grant_id(self.cycle),
                kind: GrantKind::Overage,
                amount: Credits::ZERO,
                priority: limits::PRIORITY_MAX,
                paid: true,
                // With its cycle, so that it ends with it whenever that becomes known.
                starts_at: Some(self.cycle_starts_at),
                expires_at: None,
                term: Term::Cycle(Rollover::NONE),
                price: self.plan().and_then(|plan| plan.prices.overage),
            };
            self.begun_to = self.begun_to.max(at);
            self.add_grant(Grant::new(backing.grant, new, at, revision));
            let (accounts, closed) = Default::default();
            self.overages.insert(self.cycle, Overage { grant: backing.grant, accounts, closed });
        }
        self.on_grant(backing.grant, |grant| grant.make_more(amount));
        let (shares, chain_of) = (self.may_share(user), self.other_chain_of(user));
        let reserves: Vec<AllocationNo> = self.reserves_for(user).map(|(_, reserve)| reserve.no).collect();
        let overage = self.overages.get_mut(&self.cycle).expect("made above");
        let none = || {
            let (reserves, paid_by) = Default::default();
            OverageAccount { made: Credits::ZERO, shares, chain_of: None, reserves, paid_by }
        };
        let account = overage.accounts.entry(user.clone()).or_insert_with(none);
        (account.shares, account.reserves, account.chain_of) = (shares, reserves, chain_of);
        account.made.grow(amount);
    }

    /// Credits that were drawn in that cycle have come back: answers how many of them pay for its overage. `whose`: what is set
    /// aside pays for that of its user, or of those who may draw on the reserve, and is used of it; what is shared for that of all who
    /// may share. Of a grant that was voided, or
    /// whose time is over, nothing does.
    pub(crate) fn pay_overage(
        &mut self,
        cycle: CycleNumber,
        grant: GrantNo,
        whose: Option<(&Owner, AllocationNo)>,
        amount: Credits,
        at: Timestamp,
    ) -> Credits {
        let known = self.grant(grant);
        let is_over = known.state == GrantState::Voided || known.is_over(at);
        let Some(overage) = self.overages.get_mut(&cycle).filter(|_| !is_over) else { return Credits::ZERO };
        let mut left = amount;
        let of = |(user, account): &(&UserId, &mut OverageAccount)| {
            let may_have_it = match whose {
                None => account.shares,
                Some((Owner::User(whose), _)) => account.chain_of.as_ref().unwrap_or(user) == whose,
                Some((Owner::Team(_), no)) => account.reserves.contains(&no),
            };
            may_have_it && !is_planted(Mistake::OverageStays)
        };
        for (_, account) in overage.accounts.iter_mut().filter(of) {
            if left.is_zero() {
                break;
            }
            let part = account.unpaid().min(left);
            if !part.is_zero() {
                account.pay(grant, whose.map(|(_, no)| no), part);
                left.shrink(part);
            }
        }
        let pays = amount.saturating_sub(left);
        let his = whose.and_then(|(owner, no)| self.current_allocation(owner, no));
        let is_his = his.map(|allocation| allocation.used.grow(pays)).is_some();
        if let Some((Owner::User(user), _)) = whose.filter(|_| is_his) {
            self.user_mut(user).of_share.grow(pays);
        }
        pays
    }

    /// So much of the user's overage was never made. What had paid for it pays for others', or is free again.
    /// `strike` takes it off the books of the grant that is made of overage.
    pub(crate) fn strike_overage(
        &mut self,
        cycle: CycleNumber,
        user: &UserId,
        amount: Credits,
        at: Timestamp,
        strike: impl FnOnce(&mut Grant, Credits),
    ) {
        if amount.is_zero() {
            // Who gave all of his back has no account any more.
            return;
        }
        let overage = self.overages.get_mut(&cycle).expect("overage of that cycle was drawn");
        let no = overage.grant;
        let account = overage.accounts.get_mut(user).expect("he drew it");
        let freed = account.unmake(amount);
        if account.made.is_zero() {
            overage.accounts.remove(user);
        }
        self.on_grant(no, |grant| strike(grant, amount));
        for payer in freed {
            self.free_of_overage(cycle, payer, user, at);
        }
    }

    /// Whose number that is. Who shares otherwise now than when it was paid is found by looking at everybody's.
    fn owner_of_payer(&self, user: &UserId, no: AllocationNo) -> Option<Owner> {
        let by_chain = self.owner_of(user, no).or_else(|| self.owner_of(self.chain_of(user), no));
        let others = self.users.iter().filter(|_| !self.services.is_empty());
        let has_it =
            |(_, user): &(&UserId, &crate::User)| user.allocation.as_ref().is_some_and(|a| a.no == no);
        by_chain.or_else(|| others.into_iter().find(has_it).map(|(name, _)| Owner::User(name.clone())))
    }

    fn free_of_overage(&mut self, cycle: CycleNumber, payer: OveragePayer, user: &UserId, at: Timestamp) {
        let OveragePayer { grant, allocation, amount } = payer;
        let his = allocation.and_then(|no| Some((self.owner_of_payer(user, no)?, no)));
        let Some((owner, allocation)) = his else {
            let pays = self.pay_overage(cycle, grant, None, amount, at);
            self.on_grant(grant, |grant| grant.is_free_of_overage(amount.saturating_sub(pays), cycle));
            return;
        };
        if let Some(known) = self.current_allocation(&owner, allocation) {
            known.used.shrink(amount);
            if let Owner::User(whose) = &owner {
                let entry = self.user_mut(whose);
                entry.of_share = entry.of_share.saturating_sub(amount);
            }
        }
        // A reserve's pay for others who may draw on it first.
        let pays = self.pay_overage(cycle, grant, Some((&owner, allocation)), amount, at);
        let free = amount.saturating_sub(pays);
        if self.on_grant(grant, |grant| grant.is_free_of_overage(free, cycle)) == ReturnedTo::Available {
            self.set_aside(&owner, allocation, grant, free);
        }
    }

    /// A cycle has begun: lines of those before that are still open may give something back, and charges of the last one may be
    /// refunded; where there is neither, nothing changes any more.
    pub(crate) fn close_overage_accounts(&mut self) {
        let Self { overages, lines, cycle, .. } = self;
        for (ended, overage) in
            overages.range_mut(..*cycle).filter(|(_, overage)| !overage.accounts.is_empty())
        {
            // What was charged in the cycle before this one may be refunded.
            if ended.next() >= *cycle {
                continue;
            }
            if lines.values().any(|line| line.cycle == *ended && !line.written_off) {
                continue;
            }
            let mut paid: BTreeMap<GrantNo, Credits> = BTreeMap::new();
            overage.paying().for_each(|(grant, part)| paid.entry(grant).or_insert(Credits::ZERO).grow(part));
            overage.closed = paid.into_iter().collect();
            overage.accounts.clear();
        }
    }

    pub(crate) fn decide_overage(
        &self,
        user: Option<&UserId>,
        rule: Option<OverageRule>,
    ) -> Result<Vec<LineId>, Rejection> {
        if let Some(user) = user
            && !self.is_member(user)
            && rule.is_some()
        {
            return Err(Rejection::UnknownUser(user.clone()));
        }
        Ok(match user {
            None => self.lines_beyond_rule(rule.or(self.overage_rule_of_plan()).unwrap_or(OverageRule::Off)),
            Some(user) => {
                let drawn = self.overage_of(user);
                let none = if self.keeps_to_himself(user) { OverageRule::Off } else { OverageRule::On };
                let exceeds = rule.unwrap_or(none).is_exceeded_by(drawn);
                if exceeds { self.lines_of(user, has_overage_out) } else { Vec::new() }
            }
        })
    }

    /// What is out beyond what may be from now on is asked for.
    pub(crate) fn lines_beyond_rule(&self, rule: OverageRule) -> Vec<LineId> {
        let exceeds = rule.is_exceeded_by(self.unpaid_overage(self.cycle));
        let beyond = self.lines.iter().filter(|(_, line)| exceeds && has_overage_out(line));
        beyond.map(|(id, _)| *id).collect()
    }

    pub(crate) fn commit_overage(&mut self, user: Option<&UserId>, rule: Option<OverageRule>) {
        let revision = self.next_revision();
        let rule = rule.map(|rule| (rule, revision));
        match user {
            None => self.overage_rule = rule,
            Some(user) if rule.is_none() && self.user(user).is_none() => {}
            Some(user) => {
                self.user_mut(user).overage_rule = rule;
                self.drop_nobody(user);
            }
        }
    }

    pub fn overage_answer(&self, user: Option<&UserId>, at: Timestamp) -> OverageAnswer {
        let entry = user.map(|user| self.user(user));
        let rule = entry.map_or(self.overage_rule, |entry| entry?.overage_rule);
        let cycles: BTreeSet<CycleNumber> =
            self.overages.keys().chain(self.uncovered.keys()).copied().collect();
        let latest = cycles.into_iter().rev().filter(|_| user.is_none());
        OverageAnswer {
            user: user.cloned(),
            rule: rule.map(|(rule, _)| rule),
            of_plan: self.overage_rule_of_plan().filter(|_| user.is_none()),
            drawn: user.map_or(Credits::ZERO, |user| self.overage_of(user)),
            cycles: latest
                .take(limits::OVERAGE_CYCLES_SHOWN)
                .map(|cycle| self.cycle_overage(cycle))
                .collect(),
            revision: rule.map_or(Revision(0), |(_, revision)| revision),
            at,
        }
    }

    fn cycle_overage(&self, cycle: CycleNumber) -> CycleOverage {
        let uncovered = self.uncovered.get(&cycle).copied().unwrap_or(Credits::ZERO);
        let Some(overage) = self.overages.get(&cycle) else {
            let (charged, refunded, out, paid, billed) = Default::default();
            let price = None;
            return CycleOverage { cycle, charged, refunded, out, paid, billed, uncovered, price };
        };
        let books = &self.grant(overage.grant).books;
        // Written off and credited back: that the pool lost, and nobody is billed for.
        let charged = Credits::checked_sum([books.used, books.unattributed, books.written_off]);
        let charged = charged.expect("parts of one pool").saturating_sub(books.exposure);
        let paid = overage.paid();
        let (refunded, out) = (books.refunded, books.out);
        let billed = charged.saturating_sub(refunded).saturating_sub(paid);
        let price = self.grant(overage.grant).price;
        CycleOverage { cycle, charged, refunded, out, paid, billed, uncovered, price }
    }

    /// For `violations`.
    pub(crate) fn overage_is_made_by_draws(&self) -> Option<String> {
        let mut paying = vec![Credits::ZERO; self.grants.len()];
        for (cycle, overage) in &self.overages {
            let books = &self.grant(overage.grant).books;
            let made = sum(overage.accounts.values().map(|account| account.made));
            let is_closed = overage.accounts.is_empty();
            let accounts_are_right = is_closed && books.out.is_zero() || made == books.amount;
            let is_right =
                books.available.is_zero() && books.expired.is_zero() && overage.paid() <= books.amount;
            let no_more_paid_than_made = overage.accounts.values().all(|a| a.paid() <= a.made);
            if !is_right || !accounts_are_right || !no_more_paid_than_made {
                return Some(format!("{cycle:?}: {overage:?} of {books:?}"));
            }
            overage.paying().for_each(|(grant, part)| paying[grant.0 as usize].grow(part));
        }
        let broken =
            self.grants.iter().find(|grant| grant.books.for_overage != paying[grant.no.0 as usize])?;
        Some(format!("{} pays {}", broken.id, paying[broken.no.0 as usize]))
    }
}

fn grant_id(cycle: CycleNumber) -> GrantId {
    GrantId::parse(&format!("{PREFIX}{}", cycle.0)).expect("a valid id")
}
