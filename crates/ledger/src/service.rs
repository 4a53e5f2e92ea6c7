//! Service identities: automations, agents and API keys. A service is a member with an owner, who is a user, and takes no seat.
//!
//! A service draws on its own chain, or *shares*: then it draws on its owner's, or on that of another service which does not
//! share itself. Its lines, its usage and its charges stay its own; what they are drawn from, and what limits and caps count,
//! is the other's as well. A line keeps whose chain it draws on for its life: who shares otherwise takes new lines.
//!
//! Not here: the draw over a chain (`draw`), what a seat is worth (`pooling`), what a member is (`workspace`).

use crate::limits;
use crate::line::Line;
use crate::outcome::{Rejection, Retry};
use crate::query::Page;
use crate::workspace::{Member, Workspace};
use std::collections::BTreeSet;
use std::ops::Bound;
use types::planted::{Mistake, is_planted};
use types::{Credits, LineId, Timestamp, UserId};

/// What makes a member a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// A member who is a user.
    pub owner: UserId,
    pub shares: Shares,
}

/// Whose chain a service draws on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shares {
    /// Its own.
    Nothing,
    /// Its owner's, whoever that is.
    WithOwner,
    /// Another service's.
    With(UserId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberKind {
    User,
    Service,
}

/// What is `None` stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceChange {
    pub kind: Option<MemberKind>,
    pub owner: Option<UserId>,
    pub shares: Option<Shares>,
}

impl ServiceChange {
    pub const NONE: Self = Self { kind: None, owner: None, shares: None };
}

/// What services that draw on somebody's chain have of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByServices {
    pub lines: Vec<LineId>,
    /// Out on those lines.
    pub out: Credits,
    /// Charged as it became known in this cycle, refunds of charges of this cycle off: his limits count it.
    pub used: Credits,
    /// Charged in all cycles.
    pub charged: Credits,
}

/// Which members are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WhichMembers {
    pub kind: Option<MemberKind>,
    pub owner: Option<UserId>,
}

/// Why a member cannot be such a service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServiceRejection {
    #[error("a service has an owner; name a member who is a user")]
    NoOwner,
    #[error("{0} is no member, or a service; an owner is a member who is a user")]
    UnknownOwner(UserId),
    #[error("{0} is no other service; a service shares with its owner or with another service")]
    UnknownShare(UserId),
    #[error("{0} shares itself; share with whom it shares")]
    SharesItself(UserId),
    #[error("{services} services have this member as their owner or share with it; give them others first")]
    InUse { services: u64 },
    #[error("only a service has an owner and shares; say that its kind is service")]
    NoService,
}

impl ServiceRejection {
    pub const fn retry(&self) -> Retry {
        Retry::AfterChange
    }
}

impl From<ServiceRejection> for Rejection {
    fn from(why: ServiceRejection) -> Self {
        Self::Service(why)
    }
}

impl Line {
    /// On whose chain it draws.
    pub fn draws_on(&self) -> &UserId {
        self.chain_of.as_ref().unwrap_or(&self.user)
    }
}

impl crate::User {
    pub fn service(&self) -> Option<&Service> {
        self.member.as_ref()?.service.as_deref()
    }

    pub fn kind(&self) -> MemberKind {
        if self.service().is_some() { MemberKind::Service } else { MemberKind::User }
    }

    pub(crate) fn by_services_mut(&mut self) -> &mut ByServices {
        self.by_services.get_or_insert_default()
    }

    pub(crate) fn of_services(&self, what: impl Fn(&ByServices) -> Credits) -> Credits {
        self.by_services.as_deref().map_or(Credits::ZERO, what)
    }

    /// Out for him, and for services that draw on his chain.
    pub fn out_of_all(&self) -> Credits {
        self.out.saturating_add(self.of_services(|services| services.out))
    }

    /// His own lines, then those of services that draw on his chain.
    pub fn all_lines(&self) -> impl Iterator<Item = &LineId> {
        self.lines.iter().chain(self.by_services.iter().flat_map(|services| &services.lines))
    }

    /// Whoever is known in no other way is not kept for this.
    pub(crate) fn drop_no_services(&mut self) {
        if self.by_services.as_deref() == Some(&ByServices::default()) {
            self.by_services = None;
        }
    }
}

impl Service {
    fn draws_on(&self) -> Option<&UserId> {
        match &self.shares {
            Shares::Nothing => None,
            Shares::WithOwner => Some(&self.owner),
            Shares::With(service) => Some(service),
        }
    }
}

impl Workspace {
    /// On whose chain a user draws now.
    pub fn chain_of<'a>(&'a self, user: &'a UserId) -> &'a UserId {
        let shares = self.user(user).and_then(|known| known.service()).and_then(Service::draws_on);
        shares.filter(|_| !is_planted(Mistake::ServicePaysItself)).unwrap_or(user)
    }

    /// What is known of him on whose chain a user draws.
    pub(crate) fn chain_user(&self, user: &UserId) -> Option<&crate::User> {
        self.chain_user_of(self.user(user)?)
    }

    fn chain_user_of<'a>(&'a self, known: &'a crate::User) -> Option<&'a crate::User> {
        match known.service().and_then(Service::draws_on) {
            Some(whose) if !is_planted(Mistake::ServicePaysItself) => self.user(whose),
            _ => Some(known),
        }
    }

    /// The same, where it is not his own.
    pub(crate) fn other_chain_of(&self, user: &UserId) -> Option<UserId> {
        let whose = self.chain_of(user);
        (whose != user).then(|| whose.clone())
    }

    /// Whether he may spend, and whose chain he draws on.
    pub(crate) fn may_spend(&self, user: &UserId) -> bool {
        let Some(known) = self.user(user) else { return true };
        known.has_access() && self.chain_user_of(known).is_none_or(crate::User::has_access)
    }

    /// Who answers for what a user spends: of a service its owner.
    pub fn owner_of_user<'a>(&'a self, user: &'a UserId) -> &'a UserId {
        self.user(user).and_then(|known| known.service()).map_or(user, |service| &service.owner)
    }

    fn services_that(&self, what: impl Fn(&Service) -> bool) -> u64 {
        let known = self.services.iter().filter_map(|name| self.user(name)?.service());
        known.filter(|service| what(service)).count() as u64
    }

    fn nobody_shares_with(&self, user: &UserId) -> Result<(), ServiceRejection> {
        let services = self.services_that(|service| service.draws_on() == Some(user));
        if services == 0 { Ok(()) } else { Err(ServiceRejection::InUse { services }) }
    }

    /// What the member is from now on.
    pub(crate) fn decide_service(
        &self,
        user: &UserId,
        was: Option<&Service>,
        change: &ServiceChange,
    ) -> Result<Option<Service>, Rejection> {
        let kind = if was.is_some() { MemberKind::Service } else { MemberKind::User };
        if change.kind.unwrap_or(kind) == MemberKind::User {
            if change.owner.is_some() || change.shares.is_some() {
                return Err(ServiceRejection::NoService.into());
            }
            if was.is_some() {
                self.nobody_shares_with(user)?;
            }
            return Ok(None);
        }
        let owner = change.owner.as_ref().or(was.map(|was| &was.owner)).ok_or(ServiceRejection::NoOwner)?;
        let known = self.user(owner).is_some_and(|known| known.member.is_some() && known.service().is_none());
        if !known || owner == user {
            return Err(ServiceRejection::UnknownOwner(owner.clone()).into());
        }
        if was.is_none() {
            let services = self.services_that(|service| service.owner == *user);
            if services > 0 {
                return Err(ServiceRejection::InUse { services }.into());
            }
            if self.services.len() >= limits::SERVICES_MAX {
                return Err(Rejection::TooMany { what: "services", max: limits::SERVICES_MAX });
            }
        }
        let shares = change.shares.as_ref().or(was.map(|was| &was.shares)).unwrap_or(&Shares::Nothing);
        let shares = match shares {
            Shares::With(other) if other == owner => Shares::WithOwner,
            Shares::With(other) => {
                let service = self.user(other).and_then(|known| known.service()).filter(|_| other != user);
                let service = service.ok_or_else(|| ServiceRejection::UnknownShare(other.clone()))?;
                if service.shares != Shares::Nothing {
                    return Err(ServiceRejection::SharesItself(other.clone()).into());
                }
                Shares::With(other.clone())
            }
            Shares::Nothing | Shares::WithOwner => shares.clone(),
        };
        if shares != Shares::Nothing {
            self.nobody_shares_with(user)?;
        }
        Ok(Some(Service { owner: owner.clone(), shares }))
    }

    /// What was charged until now is of another allocation than what comes.
    pub(crate) fn note_other_chain(&mut self, user: &UserId, member: &Member) {
        let has_spent = |known: &crate::User| !known.lines.is_empty() || !known.used.is_zero();
        let now = member.service.as_deref().and_then(Service::draws_on).unwrap_or(user);
        if self.chain_of(user) != now && self.user(user).is_some_and(has_spent) {
            self.note_lost_allocation(user);
        }
    }

    /// Whether lines of this member may not go on: their chain is another one, or nobody's.
    pub(crate) fn changes_chain(&self, user: &UserId, member: &Member) -> bool {
        let was = self.user(user).and_then(|known| known.service());
        let now = member.service.as_deref();
        let chain = |service: Option<&Service>| service.and_then(Service::draws_on).cloned();
        was.is_some() != now.is_some() || chain(was) != chain(now)
    }

    /// Members that became services or are no more.
    pub(crate) fn note_service(&mut self, user: &UserId) {
        if self.user(user).is_some_and(|known| known.service().is_some()) {
            self.services.insert(user.clone());
        } else {
            self.services.remove(user);
        }
    }

    /// So much of a line's credits was drawn on another's chain and has become known to be charged.
    pub(crate) fn charge_for_service(&mut self, whose: &UserId, amount: Credits, at: Timestamp) {
        let services = self.user_mut(whose).by_services_mut();
        services.used.grow(amount);
        services.charged.grow(amount);
        self.count(whose, None, amount, at);
    }

    /// On whose chain a part of a charge was drawn; of a service that shares otherwise since nobody knows.
    pub(crate) fn chain_then(&self, user: &UserId, id: LineId) -> Option<UserId> {
        if let Some(line) = self.lines.get(&id) {
            return Some(line.draws_on().clone());
        }
        let lost = self.lost_allocations.get(user).and_then(|lines| lines.get(&id.holder));
        let is_before = self.services.contains(user) && lost.is_some_and(|last| id.number <= *last);
        (!is_before).then(|| self.chain_of(user).clone())
    }

    /// What was refunded gives room under the limits of the cycle: his own, and those of whose chain he drew on.
    pub(crate) fn refund_for_service(&mut self, user: &UserId, id: LineId, amount: Credits) {
        if let Some(whose) = self.chain_then(user, id).filter(|whose| whose != user) {
            let services = self.user_mut(&whose).by_services_mut();
            services.used = services.used.saturating_sub(amount);
        }
    }

    /// A line that is folded is nobody's any more.
    pub(crate) fn forget_line_of_service(&mut self, id: LineId, whose: &UserId) {
        let Some(entry) = self.users.get_mut(whose) else { return };
        entry.by_services_mut().lines.retain(|other| *other != id);
        entry.drop_no_services();
        self.drop_nobody(whose);
    }

    /// Of users and services those that are asked for, by name, at most as many as a page has.
    pub(crate) fn members_which(&self, which: &WhichMembers, page: &Page) -> Vec<&UserId> {
        let range = || (page.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let users = self.users.range::<str, _>(range()).map(|(name, _)| name);
        let services = self.services.range::<str, _>(range());
        let is_of = |name: &&UserId| {
            let Some(owner) = &which.owner else { return true };
            self.user(name).and_then(|known| known.service()).is_some_and(|service| service.owner == *owner)
        };
        match (which.kind, &which.owner) {
            // Users have no owner.
            (Some(MemberKind::User), Some(_)) => Vec::new(),
            (Some(MemberKind::User), None) => {
                users.filter(|name| !self.services.contains(*name)).take(page.limit).collect()
            }
            (Some(MemberKind::Service), _) | (None, Some(_)) => {
                services.filter(is_of).take(page.limit).collect()
            }
            (None, None) => users.take(page.limit).collect(),
        }
    }

    /// Counted again.
    pub fn counted_services(&self) -> BTreeSet<UserId> {
        let services = self.users.iter().filter(|(_, user)| user.service().is_some());
        services.map(|(name, _)| name.clone()).collect()
    }

    /// For `violations`.
    pub(crate) fn services_have_owners_and_share_once(&self) -> Option<String> {
        for name in &self.services {
            let service = self.user(name).and_then(|known| known.service());
            let Some(service) = service else { return Some(format!("{name} is no service")) };
            let owner = self.user(&service.owner);
            let is_user = owner.is_some_and(|owner| owner.member.is_some() && owner.service().is_none());
            let chain = self.chain_of(name);
            if !is_user || self.chain_of(chain) != chain {
                return Some(format!("{name}: {service:?} draws on {chain}"));
            }
        }
        let counted = self.counted_services();
        (counted != self.services).then(|| format!("{:?}, members say {counted:?}", self.services))
    }

    /// For `violations`.
    pub(crate) fn chains_know_their_services_lines(&self) -> Option<String> {
        for (name, user) in &self.users {
            let Some(known) = user.by_services.as_deref() else { continue };
            let lines = known.lines.iter().map(|id| &self.lines[id]);
            let out = Credits::checked_sum(lines.clone().map(Line::outstanding));
            let is_his = |line: &Line| line.chain_of.as_ref() == Some(name);
            if out != Some(known.out) || !lines.clone().all(is_his) {
                return Some(format!("{name}: {known:?}, lines say out {out:?}"));
            }
        }
        let known: usize =
            self.users.values().filter_map(|user| Some(user.by_services.as_deref()?.lines.len())).sum();
        let lines = self.lines.values().filter(|line| line.chain_of.is_some()).count();
        let draws_on_another =
            |line: &&Line| !line.frozen && !line.written_off && line.draws_on() != self.chain_of(&line.user);
        let wrong = self.lines.values().find(draws_on_another);
        (known != lines || wrong.is_some())
            .then(|| format!("{lines} lines of services, {known} known, {wrong:?}"))
    }
}
