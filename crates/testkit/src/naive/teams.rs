//! Teams of the naive pool: who is in which, and whose reserves a member may spend. Not here: what a reserve is (`set_aside`).

use super::{Allocation, Allowed, NotAllowed, Pool, allow};
use ledger::{Owner, Subject, TeamChange, Workspace, limits};
use std::collections::BTreeMap;
use types::{Credits, Source, TeamId, Timestamp, UserId, Window};

#[derive(Clone, Debug, Default)]
pub struct Team {
    pub parent: Option<TeamId>,
    pub reserve: Option<Allocation>,
    pub limits: BTreeMap<Window, u64>,
    /// Charged in this cycle to who was in it then.
    pub used: u64,
}

impl Pool {
    /// From this one outwards.
    pub(super) fn outwards(&self, team: Option<&TeamId>) -> Vec<TeamId> {
        let mut found = Vec::new();
        let mut next = team.cloned();
        while let Some((id, team)) = next.and_then(|id| Some((id.clone(), self.teams.get(&id)?))) {
            next = team.parent.clone();
            found.push(id);
        }
        found
    }

    /// Where a member may spend beyond his own, innermost first.
    pub(super) fn reserves_for(&self, user: &UserId) -> Vec<(Source, Owner)> {
        let team = self.users.get(user).and_then(|user| user.team.as_ref());
        let levels = (0_u8..).zip(self.outwards(team));
        levels.map(|(level, team)| (Source::Reserve(level), Owner::Team(team))).collect()
    }

    pub(super) fn join(&mut self, user: &UserId, team: Option<&Option<TeamId>>) -> Allowed {
        let Some(team) = team else { return Ok(()) };
        let was = self.users.get(user).and_then(|user| user.team.clone());
        let is_known = |team: &TeamId| self.teams.is_empty() || self.teams.contains_key(team);
        allow(*team == was || team.as_ref().is_none_or(is_known))?;
        self.user(user).team.clone_from(team);
        Ok(())
    }

    pub(super) fn change_team(&mut self, team: &TeamId, change: &TeamChange, now: Timestamp) -> Allowed {
        let owner = Owner::Team(team.clone());
        match change {
            TeamChange::Put { parent } => {
                allow(parent.as_ref().is_none_or(|parent| self.teams.contains_key(parent)))?;
                self.teams.entry(team.clone()).or_default().parent.clone_from(parent);
                // Whoever is nested in himself never comes to an end.
                let chains: Vec<usize> = self
                    .teams
                    .keys()
                    .map(|team| self.depth_of(team))
                    .collect::<Option<_>>()
                    .ok_or(NotAllowed)?;
                allow(chains.iter().all(|depth| *depth <= limits::TEAM_DEPTH_MAX))
            }
            TeamChange::Remove => {
                let removed = self.teams.remove(team).ok_or(NotAllowed)?;
                self.charges.forget(&Subject::Team(team.clone()));
                let has_children = self.teams.values().any(|other| other.parent.as_ref() == Some(team));
                let has_members = self.users.values().any(|user| user.team.as_ref() == Some(team));
                allow(removed.reserve.is_none() && !has_children && !has_members)
            }
            TeamChange::SetReserve { amount } => {
                allow(self.teams.contains_key(team))?;
                self.set(&owner, amount.micros(), Some(amount.micros()), 0, Some(true), now)
            }
            TeamChange::AdjustReserve { delta } => {
                let (amount, short) = self.allocation(&owner).ok_or(NotAllowed)?.adjusted(delta);
                self.set(&owner, amount, None, short, None, now)
            }
            TeamChange::RemoveReserve => {
                let team = self.teams.get_mut(team).ok_or(NotAllowed)?;
                allow(team.reserve.take().is_some())
            }
        }
    }

    fn depth_of(&self, team: &TeamId) -> Option<usize> {
        let mut next = Some(team);
        let depths = 1..=self.teams.len();
        depths.into_iter().find(|_| {
            next = next.and_then(|team| self.teams[team].parent.as_ref());
            next.is_none()
        })
    }

    /// Where the ledger has other teams or reserves than this pool.
    pub fn other_teams(&self, ledger: &Workspace) -> Option<String> {
        let micros = |a: &ledger::Allocation| [a.amount(), a.used, a.unused(), a.short].map(Credits::micros);
        let theirs =
            ledger.teams.iter().map(|(name, team)| (name, &team.parent, team.reserve.as_ref().map(micros)));
        let naive = |a: &Allocation| [a.amount(), a.used, a.unused(), a.short];
        let ours =
            self.teams.iter().map(|(name, team)| (name, &team.parent, team.reserve.as_ref().map(naive)));
        let (theirs, ours): (Vec<_>, Vec<_>) = (theirs.collect(), ours.collect());
        (theirs != ours).then(|| format!("the ledger says {theirs:?}, expected {ours:?}"))
    }
}
