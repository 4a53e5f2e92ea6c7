//! Overage of the naive pool: what was spent beyond what there was, by cycle, and the rules that allow it.

use super::refunds::Account;
use super::{Allowed, Grant, Pool, allow};
use ledger::{GrantKind, NewGrant, OverageRule, Rollover, Term, Workspace, is_of_overage, limits};
use types::{Credits, GrantId, UserId};

impl Pool {
    pub(super) fn set_overage(&mut self, user: Option<&UserId>, rule: Option<OverageRule>) -> Allowed {
        match user {
            None => self.overage_rule = rule,
            Some(user) => {
                allow(rule.is_none() || self.may_be_named(user))?;
                self.user(user).overage_rule = rule;
            }
        }
        Ok(())
    }

    /// Whether the user may spend so much beyond what there is.
    pub(super) fn may_exceed(&self, user: &UserId, amount: u64) -> bool {
        let accounts = self.accounts.get(&self.cycle).into_iter().flat_map(|all| all.values());
        let paid: u64 = accounts.flat_map(|account| &account.paid).map(|(_, _, part)| part).sum();
        let spent = self.grants.get(&id_of(self.cycle)).map_or(0, Grant::spent) - paid;
        let within = |rule: OverageRule, spent: u64| match rule {
            OverageRule::Off => false,
            OverageRule::On => true,
            OverageRule::UpTo(cap) => spent + amount <= cap.micros(),
        };
        let known = self.users.get(user).cloned().unwrap_or_default();
        let whose = self.spends_by(user);
        let by_himself = whose == *user || known.overage_rule.is_none_or(|rule| within(rule, known.overage));
        let chain = self.users.get(&whose).cloned().unwrap_or_default();
        let by_chain = match chain.overage_rule {
            Some(rule) => within(rule, chain.overage + self.overage_by_services(&whose)),
            None => chain.allocation.is_none_or(|allocation| allocation.overflows),
        };
        let own = by_himself && by_chain;
        let rule = self.overage_rule.or(self.overage_of_plan());
        own && within(rule.unwrap_or(OverageRule::Off), spent)
    }

    pub(super) fn overage_id(&self) -> GrantId {
        id_of(self.cycle)
    }

    /// Overage is there as far as it is spent.
    pub(super) fn make_overage(&mut self, user: &UserId, id: &GrantId, amount: u64, cycle: u32) {
        let (shares, spends_by) = (self.may_share(user), self.spends_by(user));
        let none = || Account { made: 0, shares, spends_by: user.clone(), paid: Vec::new() };
        let account = self.accounts.entry(cycle).or_default().entry(user.clone()).or_insert_with(none);
        account.made += amount;
        (account.shares, account.spends_by) = (shares, spends_by);
        let began = self.cycle_starts_at;
        let grant = self.grants.entry(id.clone()).or_insert_with(|| Grant {
            made: NewGrant {
                id: id.clone(),
                kind: GrantKind::Overage,
                amount: Credits::ZERO,
                priority: limits::PRIORITY_MAX,
                paid: true,
                starts_at: Some(began),
                expires_at: None,
                term: Term::Cycle(Rollover::NONE),
                price: None,
            },
            created_at: began,
            spent: Default::default(),
            rolled: None,
            exposure: 0,
            ended: None,
        });
        grant.made.amount = Credits::from_micros(grant.made.amount.micros() + amount).expect("small");
    }

    /// When nothing is out any more: what was credited back, and what came back too late and pays for overage, is not to be
    /// known here. `ledger` says it, and its books are to agree with all the rest.
    pub fn at_rest_as(&mut self, ledger: &Workspace) {
        for theirs in &ledger.grants {
            let exposure = theirs.books.exposure.micros();
            if let Some(grant) = self.grants.get_mut(&theirs.id) {
                grant.exposure = exposure;
                if is_of_overage(&theirs.id) {
                    let amount = grant.spent().saturating_sub(exposure);
                    grant.made.amount = Credits::from_micros(amount).expect("small");
                }
            }
        }
        for (cycle, overage) in &ledger.overages {
            let open = overage.accounts.values().flat_map(|account| &account.paid_by);
            let paying = open.map(|payer| (payer.grant, payer.amount)).chain(overage.closed.iter().copied());
            for (grant, part) in paying {
                if let Some(grant) = self.grants.get_mut(&ledger.grant(grant).id) {
                    *grant.spent.entry(cycle.0).or_default() += part.micros();
                }
            }
        }
    }
}

fn id_of(cycle: u32) -> GrantId {
    GrantId::parse(&format!("overage:{cycle}")).expect("a valid id")
}

/// Available, gone and not refunded, expired, voided: of the ledger's grant as this pool has them.
pub fn places_of(theirs: &ledger::Grant) -> [u64; 4] {
    let books = &theirs.books;
    let gone = [books.used, books.unattributed, books.written_off, books.for_overage];
    let gone = gone.iter().map(|part| part.micros()).sum::<u64>() - books.refunded.micros();
    [books.available.micros(), gone, books.expired.micros(), books.voided.micros()]
}
