//! Limits without leases: what was charged in a window, and the price, are not above them, the user's own, those of his teams, and
//! those of the feature and the model.

use super::{Allowed, NotAllowed, Pool, allow};
use crate::holder::{feature_at, model_at};
use ledger::Subject;
use std::collections::BTreeMap;
use types::{Credits, Timestamp, UserId, Window};

/// A feature or a model.
#[derive(Clone, Debug, Default)]
pub struct Scoped {
    pub limits: BTreeMap<Window, u64>,
    /// Charged in this cycle.
    pub used: u64,
}

/// What is asked for at a price.
pub fn scopes_at(price: u64) -> Vec<Subject> {
    let feature = Subject::Feature(feature_at(price));
    std::iter::once(feature).chain(model_at(price).map(Subject::Model)).collect()
}

impl Pool {
    /// `window`: of this one, or of all.
    pub(super) fn set_limit(
        &mut self,
        of: &Subject,
        window: Option<Window>,
        amount: Option<Credits>,
    ) -> Allowed {
        let limits = match of {
            Subject::User(user) => {
                allow(self.may_be_named(user))?;
                &mut self.user(user).limits
            }
            Subject::Team(team) => &mut self.teams.get_mut(team).ok_or(NotAllowed)?.limits,
            Subject::Feature(_) | Subject::Model(_) => &mut self.scopes.entry(of.clone()).or_default().limits,
        };
        limits.retain(|known, _| window.is_some_and(|window| *known != window));
        if let (Some(window), Some(amount)) = (window, amount) {
            limits.insert(window, amount.micros());
        }
        Ok(())
    }

    pub(super) fn passes_a_limit(&self, name: &UserId, price: u64, now: Timestamp) -> bool {
        let passes = |of: Subject, limits: &BTreeMap<Window, u64>, in_cycle: u64| {
            limits.iter().any(|(window, limit)| {
                let used = match window {
                    Window::Cycle => in_cycle,
                    Window::Hour | Window::Day | Window::Week => self.charges.in_window(&of, *window, now),
                };
                used + price > *limit
            })
        };
        let whose = self.spends_by(name);
        let his = [name, &whose].into_iter().any(|name| {
            let Some(user) = self.users.get(name) else { return false };
            let in_cycle = user.used - user.refunded + user.by_services;
            passes(Subject::User(name.clone()), &user.limits, in_cycle)
        });
        let teams = self.outwards(self.users.get(&whose).and_then(|whose| whose.team.as_ref()));
        let of_what = scopes_at(price).into_iter().any(|of| {
            let Some(Scoped { limits, used }) = self.scopes.get(&of) else { return false };
            passes(of, limits, *used)
        });
        his || of_what
            || teams.into_iter().any(|name| {
                let team = &self.teams[&name];
                passes(Subject::Team(name), &team.limits, team.used)
            })
    }

    /// So much was charged to him when whose chain he spends on was in the teams that it is in now.
    pub(super) fn counts(
        &mut self,
        user: &UserId,
        scopes: Vec<Subject>,
        (amount, in_cycle): (u64, u64),
        happened_at: Timestamp,
    ) {
        for of in scopes {
            self.scopes.entry(of.clone()).or_default().used += in_cycle;
            self.charges.note(&of, amount, happened_at);
        }
        let whose = self.spends_by(user);
        for name in std::iter::once(user).chain(Some(&whose).filter(|whose| *whose != user)) {
            self.charges.note(&Subject::User(name.clone()), amount, happened_at);
        }
        let team = self.users.get(&whose).and_then(|whose| whose.team.clone());
        for name in self.outwards(team.as_ref()) {
            self.teams.get_mut(&name).expect("found outwards").used += in_cycle;
            self.charges.note(&Subject::Team(name), amount, happened_at);
        }
    }
}
