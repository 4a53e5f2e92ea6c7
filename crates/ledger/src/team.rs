//! Teams: a forest of names over the members, each with a reserve or without. A member's *chain* is his allocation, then the
//! reserves of his team and of the teams it is nested in, innermost first, then what is shared, then overage.
//!
//! A team's id may have been a label of members before it was made: with the first team of a workspace labels that no team has
//! are taken no more. Not here: what a reserve is (`reserve`), the draw over the chain (`draw`), what limits count (`window`).

use crate::admin::{Decided, Shift};
use crate::allocation::{Allocation, AllocationNo, Overflow, Owner};
use crate::limits;
use crate::line::Line;
use crate::outcome::{Event, Outcome, Pending, Rejection, Retry};
use crate::query::Page;
use crate::window::{Limits, Recent};
use crate::workspace::{User, Workspace};
use std::collections::BTreeMap;
use std::ops::Bound;
use types::planted::{Mistake, is_planted};
use types::{Credits, CreditsDelta, LineId, Revision, TeamId, Timestamp, UserId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Team {
    /// The team it is nested in.
    pub parent: Option<TeamId>,
    /// Set aside for its members, and for those of teams nested in it. Always overflows.
    pub reserve: Option<Allocation>,
    pub limits: Option<Box<Limits>>,
    pub recent: Recent,
    /// What became known in this cycle to be charged on lines of the team and of those nested in it.
    pub used: Credits,
    /// Out on those lines.
    pub out: Credits,
    pub revision: Revision,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TeamChange {
    /// Makes it, or moves it with all that is nested in it.
    Put {
        parent: Option<TeamId>,
    },
    /// Only where nothing and nobody is in it.
    Remove,
    /// For this cycle and every next.
    SetReserve {
        amount: Credits,
    },
    /// For this cycle only.
    AdjustReserve {
        delta: CreditsDelta,
    },
    RemoveReserve,
}

/// A change of a team that was decided.
#[derive(Debug)]
pub(crate) enum DecidedTeam {
    Put { parent: Option<TeamId>, freeze: Vec<LineId> },
    Remove,
    Reserve { standing: Option<Credits>, shift: Shift, short: Credits },
    RemoveReserve { shift: Shift },
}

/// A team and what is set aside for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeamView {
    pub team: TeamId,
    pub parent: Option<TeamId>,
    /// Members of this team itself.
    pub members: u64,
    /// This cycle's amount, once what is pending has moved; `None`: it has no reserve.
    pub reserve: Option<Credits>,
    /// The amount of every next cycle.
    pub standing: Credits,
    pub used: Credits,
    /// Out of it on lines.
    pub leased: Credits,
    /// Set aside, or out and not promised away.
    pub remaining: Credits,
    /// Missing from it, because the pool had too little.
    pub short: Credits,
    pub pending: Vec<Pending>,
    pub revision: Revision,
    pub at: Timestamp,
}

/// Why a change of a team has no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TeamRejection {
    #[error("there is no team {0} in this workspace; make it first")]
    Unknown(TeamId),
    #[error("{0} has no reserve; set one first")]
    NoReserve(TeamId),
    #[error("teams may be nested {max} deep; put it under another team", max = limits::TEAM_DEPTH_MAX)]
    TooDeep,
    #[error("{0} is that team itself or nested in it; put it under another one")]
    Circle(TeamId),
    #[error(
        "the team has {members} members, {teams} teams in it and {reserves} reserve; move the members and teams to other ones and \
         remove the reserve first"
    )]
    InUse { members: u64, teams: u64, reserves: u64 },
}

impl TeamRejection {
    pub const fn retry(&self) -> Retry {
        Retry::AfterChange
    }
}

impl From<TeamRejection> for Rejection {
    fn from(why: TeamRejection) -> Self {
        Self::Team(why)
    }
}

impl Workspace {
    /// The team and all it is nested in, innermost first.
    pub(crate) fn teams_from(&self, innermost: Option<&TeamId>) -> impl Iterator<Item = (&TeamId, &Team)> {
        let known = |team: &TeamId| self.teams.get_key_value(team);
        let outer = move |(_, team): &(&TeamId, &Team)| team.parent.as_ref().and_then(known);
        std::iter::successors(innermost.and_then(known), outer).take(limits::TEAM_DEPTH_MAX)
    }

    pub fn team_of(&self, user: &UserId) -> Option<&TeamId> {
        self.user(user)?.team()
    }

    /// The teams that a user is in, innermost first.
    pub fn teams_of(&self, user: &UserId) -> impl Iterator<Item = (&TeamId, &Team)> {
        self.teams_around(self.user(user))
    }

    /// The same of one of whom this is known.
    pub(crate) fn teams_around<'a>(
        &'a self,
        user: Option<&'a User>,
    ) -> impl Iterator<Item = (&'a TeamId, &'a Team)> {
        let team = user.and_then(User::team);
        let first = || self.teams.keys().next().filter(|_| is_planted(Mistake::ReserveForAll));
        self.teams_from(team.or_else(first))
    }

    pub(crate) fn is_in(&self, inner: Option<&TeamId>, team: &TeamId) -> bool {
        self.teams_from(inner).any(|(other, _)| other == team)
    }

    pub(crate) fn known_team(&self, team: &TeamId) -> Result<&Team, TeamRejection> {
        self.teams.get(team).ok_or_else(|| TeamRejection::Unknown(team.clone()))
    }

    /// Whether a member may be in it: as long as no team was made any name is a label.
    pub(crate) fn may_be_in(&self, team: &TeamId) -> Result<(), Rejection> {
        if self.teams.is_empty() { Ok(()) } else { Ok(self.known_team(team).map(|_| ())?) }
    }

    pub(crate) fn team_revision(&self, team: &TeamId) -> Revision {
        self.teams.get(team).map_or(Revision(0), |team| team.revision)
    }

    pub(crate) fn decide_team(
        &self,
        team: &TeamId,
        change: &TeamChange,
        at: Timestamp,
    ) -> Result<Decided, Rejection> {
        let owner = Owner::Team(team.clone());
        let reserve = || {
            let known = self.known_team(team)?.reserve.as_ref();
            known.ok_or_else(|| TeamRejection::NoReserve(team.clone()))
        };
        let change = match change {
            TeamChange::Put { parent } => self.decide_put_team(team, parent.as_ref(), at)?,
            TeamChange::Remove => self.decide_remove_team(team)?,
            TeamChange::SetReserve { amount } => {
                self.known_team(team)?;
                let shift = self.shift_to(&owner, *amount, at)?;
                DecidedTeam::Reserve { standing: Some(*amount), shift, short: Credits::ZERO }
            }
            TeamChange::AdjustReserve { delta } => {
                let (amount, short) = reserve()?.adjusted(*delta)?;
                let shift = self.shift_to(&owner, amount, at)?;
                DecidedTeam::Reserve { standing: None, shift, short }
            }
            TeamChange::RemoveReserve => {
                let (release, pledge) = self.give_up(&owner, reserve()?.unused());
                DecidedTeam::RemoveReserve { shift: Shift { release, pledge, ..Shift::default() } }
            }
        };
        Ok(Decided::Team { team: team.clone(), change })
    }

    fn decide_put_team(
        &self,
        team: &TeamId,
        parent: Option<&TeamId>,
        at: Timestamp,
    ) -> Result<DecidedTeam, Rejection> {
        let known = self.teams.get(team);
        if known.is_none() && self.teams.len() >= limits::TEAMS_MAX {
            return Err(Rejection::TooMany { what: "teams", max: limits::TEAMS_MAX });
        }
        if let Some(parent) = parent {
            self.known_team(parent)?;
            if self.is_in(Some(parent), team) {
                return Err(TeamRejection::Circle(parent.clone()).into());
            }
        }
        let below = self.depths_below(team).into_values().max().unwrap_or(0);
        let above = self.teams_from(parent).count();
        if above.saturating_add(1).saturating_add(below) > limits::TEAM_DEPTH_MAX {
            return Err(TeamRejection::TooDeep.into());
        }
        let was = known.and_then(|team| team.parent.as_ref());
        let freeze = match known {
            Some(_) if was != parent && self.is_above_a_limit_under(team, parent, at) => {
                let lines = self.lines.iter().filter(|(_, line)| self.is_in(line.team.as_ref(), team));
                lines.map(|(id, _)| *id).collect()
            }
            Some(_) if was != parent => self.lines_beyond(team, was),
            Some(_) | None => Vec::new(),
        };
        Ok(DecidedTeam::Put { parent: parent.cloned(), freeze })
    }

    /// Whether what is out in the team would be above a limit of those it is to be nested in.
    fn is_above_a_limit_under(&self, team: &TeamId, parent: Option<&TeamId>, at: Timestamp) -> bool {
        let is_new = |outer: &TeamId| !self.is_in(Some(team), outer);
        let brings = self.teams.get(team).map_or(Credits::ZERO, |team| team.out);
        self.teams_from(parent).filter(|(name, _)| is_new(name)).any(|(_, outer)| {
            let limits = outer.limits.iter().flat_map(|limits| &limits.by_window);
            let with_it = |window| self.counted_in(outer, window, at).saturating_add(brings);
            limits.into_iter().any(|(window, amount)| with_it(*window) > *amount)
        })
    }

    /// What is out goes along with it.
    fn put_team(&mut self, team: &TeamId, parent: Option<TeamId>, revision: Revision) {
        let known = self.teams.get(team).map(|known| (known.parent.clone(), known.out));
        let (was, out) = known.unwrap_or_else(|| {
            // Lines of those whose label it was.
            let its = self.lines.values().filter(|line| line.team.as_ref() == Some(team));
            let out = its.map(Line::outstanding).fold(Credits::ZERO, Credits::saturating_add);
            let made = Team {
                parent: None,
                reserve: None,
                limits: None,
                recent: Recent::default(),
                used: Credits::ZERO,
                out,
                revision,
            };
            self.teams.insert(team.clone(), made);
            (None, out)
        });
        self.in_teams_from(was, |outer| outer.out.shrink(out));
        self.in_teams_from(parent.clone(), |outer| outer.out.grow(out));
        self.teams.get_mut(team).expect("made above").parent = parent;
    }

    /// Does it to the team and to all it is nested in.
    pub(crate) fn in_teams_from(&mut self, innermost: Option<TeamId>, mut change: impl FnMut(&mut Team)) {
        let mut next = innermost;
        for _ in 0..limits::TEAM_DEPTH_MAX {
            let Some(team) = next.and_then(|team| self.teams.get_mut(&team)) else { return };
            change(team);
            next = team.parent.clone();
        }
    }

    /// How far below `team` each team is that is nested in it.
    fn depths_below(&self, team: &TeamId) -> BTreeMap<&TeamId, usize> {
        let depth = |inner: &TeamId| self.teams_from(Some(inner)).position(|(other, _)| other == team);
        let below = self.teams.keys().filter_map(|inner| Some((inner, depth(inner)?)));
        below.filter(|(_, depth)| *depth > 0).collect()
    }

    /// Lines of the members in `team` with something out of the reserves of `outer` and beyond: their chain is another one
    /// once the team is moved.
    fn lines_beyond(&self, team: &TeamId, outer: Option<&TeamId>) -> Vec<LineId> {
        let reserves: Vec<AllocationNo> =
            self.teams_from(outer).filter_map(|(_, outer)| Some(outer.reserve.as_ref()?.no)).collect();
        if reserves.is_empty() {
            return Vec::new();
        }
        let changes = |line: &crate::Line| {
            let has_out = |no: &AllocationNo| !line.out_of(*no).0.is_zero();
            reserves.iter().any(has_out) && self.is_in(self.team_of(line.draws_on()), team)
        };
        self.lines.iter().filter(|(_, line)| changes(line)).map(|(id, _)| *id).collect()
    }

    fn decide_remove_team(&self, team: &TeamId) -> Result<DecidedTeam, Rejection> {
        let known = self.known_team(team)?;
        let members = self.users.values().filter(|user| user.is_in(team)).count() as u64;
        let teams = self.teams.values().filter(|other| other.parent.as_ref() == Some(team)).count() as u64;
        let reserves = u64::from(known.reserve.is_some());
        if [members, teams, reserves] == [0, 0, 0] {
            Ok(DecidedTeam::Remove)
        } else {
            Err(TeamRejection::InUse { members, teams, reserves }.into())
        }
    }

    pub(crate) fn commit_team(
        &mut self,
        team: &TeamId,
        change: DecidedTeam,
        at: Timestamp,
        events: &mut Vec<Event>,
    ) -> Outcome {
        let owner = Owner::Team(team.clone());
        let revision = self.next_revision();
        match change {
            DecidedTeam::Put { parent, freeze } => {
                self.put_team(team, parent, revision);
                self.recall(&freeze, events);
            }
            DecidedTeam::Remove => {
                let view = self.team_view(team, 0, at).expect("decided on a known team");
                let outer = self.teams.remove(team).and_then(|team| team.parent);
                // Of members who have left: it counts around the team, as it did.
                for line in self.lines.values_mut().filter(|line| line.team.as_ref() == Some(team)) {
                    line.team.clone_from(&outer);
                }
                return Outcome::Team(Box::new(TeamView { revision, ..view }));
            }
            DecidedTeam::Reserve { standing, shift, short } => {
                self.commit_allocation(&owner, standing, Overflow::Shared, shift, short, events);
            }
            DecidedTeam::RemoveReserve { shift } => self.commit_removal(&owner, shift, events),
        }
        self.teams.get_mut(team).expect("decided on a known team").revision = revision;
        let members = self.users.values().filter(|user| user.is_in(team)).count() as u64;
        Outcome::Team(Box::new(self.team_view(team, members, at).expect("known")))
    }

    fn team_view(&self, team: &TeamId, members: u64, at: Timestamp) -> Option<TeamView> {
        let Team { parent, reserve, revision, .. } = self.teams.get(team)?;
        let of = |amount: fn(&Allocation) -> Credits| reserve.as_ref().map_or(Credits::ZERO, amount);
        Some(TeamView {
            team: team.clone(),
            parent: parent.clone(),
            members,
            reserve: reserve.as_ref().map(Allocation::amount),
            standing: of(|reserve| reserve.standing),
            used: of(|reserve| reserve.used),
            leased: of(|reserve| reserve.out),
            remaining: of(Allocation::unused),
            short: of(|reserve| reserve.short),
            pending: self.pending_from_team(team),
            revision: *revision,
            at,
        })
    }

    /// Promised away out of its reserve, also of one that is no more, by node.
    fn pending_from_team(&self, team: &TeamId) -> Vec<Pending> {
        let is_its = |no: &crate::IntentNo| {
            let from = self.intents.get(no).map(|intent| &intent.from);
            matches!(from, Some(Owner::Team(from)) if from == team)
        };
        self.pending_by_node(self.lines.iter().map(|(id, line)| {
            let owed = line.pledges.iter().filter(|pledge| is_its(&pledge.intent)).map(|p| p.amount);
            (*id, Credits::checked_sum(owed).expect("parts of one pool"))
        }))
    }

    /// By id; of one where `page` is none.
    pub(crate) fn team_views(&self, one: Option<&TeamId>, page: &Page, at: Timestamp) -> Vec<TeamView> {
        let mut members: BTreeMap<&TeamId, u64> = BTreeMap::new();
        for team in self.users.values().filter_map(|user| user.member.as_ref()?.team.as_ref()) {
            let count = members.entry(team).or_insert(0);
            *count = count.saturating_add(1);
        }
        let view = |team: &TeamId| self.team_view(team, members.get(team).copied().unwrap_or(0), at);
        if let Some(team) = one {
            return view(team).into_iter().collect();
        }
        let after = page.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let teams = self.teams.range::<str, _>((after, Bound::Unbounded)).take(page.limit);
        teams.filter_map(|(team, _)| view(team)).collect()
    }

    /// For `violations`: recounted.
    pub(crate) fn what_is_out_in_teams_is_what_lines_have_out(&self) -> Option<String> {
        let mut out: BTreeMap<&TeamId, Credits> = BTreeMap::new();
        for line in self.lines.values() {
            for (team, _) in self.teams_from(line.team.as_ref()) {
                out.entry(team).or_insert(Credits::ZERO).grow(line.outstanding());
            }
        }
        let of_lines = |name: &TeamId| out.get(name).copied().unwrap_or(Credits::ZERO);
        let (name, team) = self.teams.iter().find(|(name, team)| of_lines(name) != team.out)?;
        Some(format!("{name}: out {}, lines say {}", team.out, of_lines(name)))
    }

    /// For `violations`.
    pub(crate) fn teams_are_a_forest(&self) -> Option<String> {
        let is_wrong = |(name, team): &(&TeamId, &Team)| {
            let outer: Vec<&TeamId> = self.teams_from(Some(name)).map(|(other, _)| other).collect();
            let ends =
                outer.last().and_then(|last| self.teams.get(*last)).is_some_and(|t| t.parent.is_none());
            !ends || team.parent.as_ref().is_some_and(|parent| !self.teams.contains_key(parent))
        };
        self.teams.iter().find(is_wrong).map(|(name, team)| format!("{name}: {team:?}"))
    }
}

impl crate::User {
    fn is_in(&self, team: &TeamId) -> bool {
        self.member.as_ref().is_some_and(|member| member.team.as_ref() == Some(team))
    }
}
