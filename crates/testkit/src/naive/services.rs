//! Services of the naive pool: who is one, and on whose chain he spends. Not here: what a chain has.

use super::refunds::Spending;
use super::{Allowed, NotAllowed, Pool, allow, of};
use ledger::{MemberKind, ServiceChange, Shares};
use types::UserId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    owner: UserId,
    /// Whose chain he spends on, unless it is his own.
    with: Option<UserId>,
}

impl Pool {
    /// Whose allocation, reserves and limits a user spends by.
    pub(super) fn spends_by(&self, user: &UserId) -> UserId {
        let service = self.users.get(user).and_then(|user| user.service.as_ref());
        service.and_then(|service| service.with.clone()).unwrap_or_else(|| user.clone())
    }

    fn services(&self) -> impl Iterator<Item = (&UserId, &Service)> {
        self.users.iter().filter_map(|(name, user)| Some((name, user.service.as_ref()?)))
    }

    pub(super) fn serve(&mut self, name: &UserId, change: &ServiceChange) -> Allowed {
        let was = self.users.get(name).and_then(|user| user.service.clone());
        let shared_with = self.services().any(|(_, service)| service.with.as_ref() == Some(name));
        let owns = self.services().any(|(_, service)| service.owner == *name);
        let is_one = change.kind.map_or(was.is_some(), |kind| kind == MemberKind::Service);
        let now = if is_one {
            let owner =
                change.owner.clone().or(was.as_ref().map(|was| was.owner.clone())).ok_or(NotAllowed)?;
            let known = self.users.get(&owner);
            allow(known.is_some_and(|owner| owner.is_member && owner.service.is_none()))?;
            allow(owner != *name && (was.is_some() || !owns))?;
            let shares = change.shares.clone().unwrap_or_else(|| match was.as_ref() {
                Some(Service { with: Some(with), owner }) if with == owner => Shares::WithOwner,
                Some(Service { with: Some(with), .. }) => Shares::With(with.clone()),
                Some(Service { with: None, .. }) | None => Shares::Nothing,
            });
            let with = match shares {
                Shares::Nothing => None,
                Shares::WithOwner => Some(owner.clone()),
                Shares::With(other) => {
                    let service = self.users.get(&other).and_then(|other| other.service.as_ref());
                    let is_free = service.is_some_and(|service| service.with.is_none()) && other != *name;
                    allow(other == owner || is_free)?;
                    Some(other)
                }
            };
            allow(with.is_none() || !shared_with)?;
            Some(Service { owner, with })
        } else {
            allow(change.owner.is_none() && change.shares.is_none() && (was.is_none() || !shared_with))?;
            None
        };
        let before = self.spends_by(name);
        self.user(name).service = now;
        if self.spends_by(name) != before {
            self.user(name).chains += 1;
        }
        Ok(())
    }

    pub fn allocation_of(&self, user: &UserId) -> Spending {
        let chains = self.users.get(user).map_or(0, |user| user.chains);
        (self.number_of(&self.spends_by(user)), chains)
    }

    pub(super) fn number_of(&self, user: &UserId) -> Option<u64> {
        self.allocation(&of(user)).map(|allocation| allocation.no)
    }

    /// So much was charged to him in this cycle: it counts where he spends as well.
    pub(super) fn counts_on_his_chain(&mut self, user: &UserId, amount: u64) {
        self.user(user).used += amount;
        let whose = self.spends_by(user);
        if whose != *user {
            self.user(&whose).by_services += amount;
        }
    }

    /// What services had beyond what there was, that count to him.
    pub(super) fn overage_by_services(&self, user: &UserId) -> u64 {
        let accounts = self.accounts.get(&self.cycle).into_iter().flatten();
        let is_his = |name: &UserId, spends_by: &UserId| {
            let is_one = self.users.get(name).is_some_and(|known| known.service.is_some());
            is_one && name != user && (spends_by == user || self.spends_by(name) == *user)
        };
        accounts.filter(|(name, account)| is_his(name, &account.spends_by)).map(|(_, a)| a.made).sum()
    }
}
