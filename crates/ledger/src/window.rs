//! Limits: ceilings on what a user, all members of a team, or whoever uses a feature or a model may use in an hour, a day, a
//! week, a cycle. They fund nothing.
//!
//! **What counts** in a window is what became known in it to have been charged (used, unattributed, written off), whenever
//! the line was drawn, and all that is out on the subject's lines: that may still be spent in it. So what was leased in the
//! window before counts in this one until it comes back; a refusal asks for it first. Nothing is counted twice, and
//! what is out at a window's end is not lost to the next.
//!
//! **A team's** limits count its members and those of the teams nested in it. A line is of the team of whose chain it draws on, as it
//! was when it was opened, and of those around it: it draws only while that is so, and counts there to its end. Who moves leaves what is
//! out, and what is spent of it, with the team under whose limit it was drawn. A team that moves takes along what is out, not what
//! was used.
//!
//! **A feature's or a model's** limits count what `scope` says.
//!
//! **Usage that is told of later** (`import`) counts in the windows that it happened in and that still run, whatever they were told
//! since, and for the teams of whose chain it is when it is told; usage of a window or cycle that is over counts nowhere.
//!
//! **Windows** are fixed. Hours are those of UTC. Days and weeks begin at midnight by the clocks of the workspace's zone,
//! weeks on Mondays: what clocks will show was looked up outside and stands in the state. Cycles are the workspace's.
//! Nothing happens when a window ends: a draw counts in the windows that its own entry's time lies in.
//!
//! **The tightest wins.** A refusal names, of the limits that leave too little, the one that ends last: before that no
//! waiting helps. One that is smaller than what is asked never ends, for this.
//!
//! Not here: how draws go by it (`draw`), who looks clocks up (`actors`), what the calendar's days are (`calendar`).

use crate::admin::{Decided, Decision};
use crate::command::LineMessage;
use crate::limits;
use crate::line::Line;
use crate::outcome::{Outcome, Rejection};
use crate::team::Team;
use crate::workspace::{User, Workspace};
use std::collections::BTreeMap;
use std::fmt;
use types::planted::{Mistake, is_planted};
use types::{
    Credits, Feature, LineId, Meter, Model, Revision, Scope, TeamId, Timestamp, UserId, Window, ZoneClock,
    hour_of,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// At least one.
    pub by_window: BTreeMap<Window, Credits>,
    pub revision: Revision,
}

/// What became known to be charged in the windows that `at` lies in; in later ones it is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recent {
    /// When something was counted last.
    pub at: Timestamp,
    pub hour: Credits,
    pub day: Credits,
    pub week: Credits,
}

/// Whose limits they are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    User(UserId),
    Team(TeamId),
    Feature(Feature),
    Model(Model),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "{user}"),
            Self::Team(team) => write!(f, "team {team}"),
            Self::Feature(feature) => write!(f, "feature {feature}"),
            Self::Model(model) => write!(f, "model {model}"),
        }
    }
}

/// What limits count, of whomever they are.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a> {
    pub(crate) limits: Option<&'a Limits>,
    pub(crate) recent: Recent,
    /// Became known in this cycle to have been charged, refunds of it off.
    pub(crate) in_cycle: Credits,
    pub(crate) out: Credits,
}

/// The limit that stands in a draw's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitHit {
    pub of: Subject,
    pub window: Window,
    pub amount: Credits,
    /// When that was found.
    pub at: Timestamp,
    /// When the window ends. `None`: nobody knows of an end of this cycle, or no window is enough for what is asked.
    pub resets_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsAnswer {
    pub of: Subject,
    /// Shortest windows first.
    pub limits: Vec<LimitView>,
    /// Out on the subject's lines: counts in each window.
    pub out: Credits,
    pub revision: Revision,
    pub at: Timestamp,
}

/// `amount ≥ used + out + remaining`, unless it was lowered below what was used and out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitView {
    pub window: Window,
    pub amount: Credits,
    /// Known in this window to have been charged.
    pub used: Credits,
    /// What could still be drawn.
    pub remaining: Credits,
    pub starts_at: Timestamp,
    pub resets_at: Option<Timestamp>,
}

impl User {
    pub fn limit(&self, window: Window) -> Option<Credits> {
        self.limits.as_ref()?.by_window.get(&window).copied()
    }
}

impl Team {
    pub fn limit(&self, window: Window) -> Option<Credits> {
        self.limits.as_ref()?.by_window.get(&window).copied()
    }
}

impl<'a> From<&'a User> for Counted<'a> {
    fn from(user: &'a User) -> Self {
        // What was refunded gives room in the cycle alone.
        let own = user.used.saturating_add(user.late).saturating_sub(user.refunded);
        let in_cycle = own.saturating_add(user.of_services(|services| services.used));
        Self { limits: user.limits.as_deref(), recent: user.recent, in_cycle, out: user.out_of_all() }
    }
}

impl<'a> From<&'a Team> for Counted<'a> {
    fn from(team: &'a Team) -> Self {
        Self { limits: team.limits.as_deref(), recent: team.recent, in_cycle: team.used, out: team.out }
    }
}

impl<'a> Counted<'a> {
    fn limits(self) -> impl Iterator<Item = (Window, Credits)> + 'a {
        let limits = self.limits.into_iter().flat_map(|limits| &limits.by_window);
        limits.map(|(window, amount)| (*window, *amount))
    }
}

impl Workspace {
    /// When the window begins that `at` lies in, and when it ends.
    pub fn window_at(&self, window: Window, at: Timestamp) -> (Timestamp, Option<Timestamp>) {
        let span = match window {
            Window::Hour => hour_of(at),
            Window::Day => self.clock.day_of(at),
            Window::Week => self.clock.week_of(at),
            Window::Cycle => return (self.cycle_starts_at, self.cycle_ends_at()),
        };
        (span.from, Some(span.to))
    }

    /// Known to have been charged in the window that `at` lies in.
    pub fn used_in<'a>(&self, of: impl Into<Counted<'a>>, window: Window, at: Timestamp) -> Credits {
        let Counted { recent, in_cycle, .. } = of.into();
        let counted = match window {
            Window::Hour => recent.hour,
            Window::Day => recent.day,
            Window::Week => recent.week,
            Window::Cycle => return in_cycle,
        };
        let (from, _) = self.window_at(window, at);
        let from = if is_planted(Mistake::WindowEndsLate) {
            self.window_at(window, from.plus_ms(-1)).0
        } else {
            from
        };
        if recent.at < from { Credits::ZERO } else { counted }
    }

    /// What a limit counts.
    pub fn counted_in<'a>(&self, of: impl Into<Counted<'a>>, window: Window, at: Timestamp) -> Credits {
        let of = of.into();
        self.used_in(of, window, at).saturating_add(of.out)
    }

    /// So much has just become known to be charged to a user, and to the team that the line is of.
    pub(crate) fn count(&mut self, user: &UserId, team: Option<&TeamId>, amount: Credits, at: Timestamp) {
        self.count_added(user, team, Added::of(amount, at), at);
    }

    /// So much has happened then and becomes known now: it counts in the windows it happened in, where they still run, and in
    /// the teams of whose chain it is now.
    pub(crate) fn count_import(&mut self, user: &UserId, meter: &Meter, added: Added, at: Timestamp) {
        self.count_import_of(meter, added, at);
        let whose = self.chain_of(user).clone();
        let team = self.team_of(&whose).cloned();
        self.count_added(user, team.as_ref(), added, at);
        if whose != *user {
            self.count_added(&whose, None, added, at);
        }
    }

    fn count_added(&mut self, user: &UserId, team: Option<&TeamId>, added: Added, at: Timestamp) {
        let Some(entry) = self.user(user).filter(|_| !added.amount.is_zero()) else { return };
        let recent = self.recent_with(entry, added, at);
        self.user_mut(user).recent = recent;
        let teams: Vec<(TeamId, Recent)> = self
            .teams_from(team)
            .map(|(name, team)| (name.clone(), self.recent_with(team, added, at)))
            .collect();
        for (name, recent) in teams {
            let team = self.teams.get_mut(&name).expect("found above");
            team.recent = recent;
            team.used = team.used.saturating_add(added.in_cycle);
        }
    }

    pub(crate) fn recent_with<'a>(&self, of: impl Into<Counted<'a>>, added: Added, at: Timestamp) -> Recent {
        let of = of.into();
        let used = |window| {
            let (from, _) = self.window_at(window, at);
            let counts = if added.happened_at < from { Credits::ZERO } else { added.amount };
            self.used_in(of, window, at).saturating_add(counts)
        };
        Recent { at, hour: used(Window::Hour), day: used(Window::Day), week: used(Window::Week) }
    }

    fn subject(&self, of: &Subject) -> Option<Counted<'_>> {
        match of {
            Subject::User(user) => self.user(user).map(Counted::from),
            Subject::Team(team) => self.teams.get(team).map(Counted::from),
            Subject::Feature(_) | Subject::Model(_) => self.of_scope(of).map(Counted::from),
        }
    }

    /// All that have limits which stand above a line, of what it is spent on, and above its user: he, whose chain he draws on, the
    /// teams.
    fn limited_on<'a>(
        &'a self,
        id: LineId,
        message: &'a LineMessage,
    ) -> impl Iterator<Item = (Subject, Counted<'a>)> {
        let user = &message.user;
        let of_user = self.limited(user, self.team_of_line(id, user));
        of_user.chain(self.limited_scope(&message.scope))
    }

    /// The same above this user on a line of this team.
    fn limited<'a>(
        &'a self,
        user: &'a UserId,
        team: Option<&'a TeamId>,
    ) -> impl Iterator<Item = (Subject, Counted<'a>)> {
        let whose = self.chain_of(user);
        let names = std::iter::once(user).chain(Some(whose).filter(|whose| *whose != user));
        let own =
            names.filter_map(|name| Some((name, self.user(name).filter(|user| user.limits.is_some())?)));
        let own = own.map(|(name, known)| (Subject::User(name.clone()), Counted::from(known)));
        let levels = if is_planted(Mistake::TeamLimitCountsItselfOnly) { 1 } else { limits::TEAM_DEPTH_MAX };
        let teams = self.teams_from(team).take(levels).filter(|(_, team)| team.limits.is_some());
        own.chain(teams.map(|(name, team)| (Subject::Team(name.clone()), Counted::from(team))))
    }

    /// The team that a line is of, or will be.
    fn team_of_line<'a>(&'a self, id: LineId, user: &'a UserId) -> Option<&'a TeamId> {
        self.lines.get(&id).map_or_else(|| self.team_of(self.chain_of(user)), |line| line.team.as_ref())
    }

    /// What may be drawn under each limit.
    pub(crate) fn rooms<'a>(
        &'a self,
        of: Counted<'a>,
        at: Timestamp,
    ) -> impl Iterator<Item = (Window, Credits, Credits)> + 'a {
        let ignored = if is_planted(Mistake::LimitIgnoresLeases) { of.out } else { Credits::ZERO };
        of.limits().map(move |(window, amount)| {
            let counted = self.counted_in(of, window, at).saturating_sub(ignored);
            (window, amount, amount.saturating_sub(counted))
        })
    }

    /// What may be drawn on a line under all limits.
    pub(crate) fn room_under_limits(&self, id: LineId, message: &LineMessage, at: Timestamp) -> Credits {
        let limited = self.limited_on(id, message);
        limited.flat_map(|(_, of)| self.rooms(of, at)).map(|(_, _, room)| room).min().unwrap_or(Credits::MAX)
    }

    /// What the user may spend under all of them, what is out for him included.
    pub(crate) fn left_under_limits(&self, user: &UserId, at: Timestamp) -> Credits {
        let his = self.user(user).map_or(Credits::ZERO, User::out_of_all);
        let limited = self.limited(user, self.chain_user(user).and_then(User::team));
        let left = limited.flat_map(|(_, of)| {
            // What others have out under the same limits.
            let others = of.out.saturating_sub(his);
            of.limits().map(move |(window, amount)| {
                amount.saturating_sub(self.used_in(of, window, at)).saturating_sub(others)
            })
        });
        left.min().unwrap_or(Credits::MAX)
    }

    /// Whose limits leave less than is needed on a line.
    pub fn limits_short_of(
        &self,
        id: LineId,
        user: &UserId,
        scope: &Scope,
        needed: Credits,
        at: Timestamp,
    ) -> Vec<Subject> {
        let limited = self.limited(user, self.team_of_line(id, user)).chain(self.limited_scope(scope));
        let short = limited.filter(|(_, of)| self.rooms(*of, at).any(|(_, _, room)| room < needed));
        short.map(|(of, _)| of).collect()
    }

    /// The limit that leaves less than is needed; of several the one that ends last. And what is out elsewhere under the one of
    /// them that has the least there: unless all of them get room, none helps.
    pub(crate) fn limit_hit(
        &self,
        id: LineId,
        message: &LineMessage,
        needed: Credits,
        at: Timestamp,
    ) -> Option<(LimitHit, Credits)> {
        let here = self.lines.get(&id).map_or(Credits::ZERO, Line::outstanding);
        let hits = self.limited_on(id, message).flat_map(|(subject, of)| {
            let short = self.rooms(of, at).filter(|(_, _, room)| *room < needed);
            short.map(move |(window, amount, _)| {
                let (_, ends_at) = self.window_at(window, at);
                let resets_at = ends_at.filter(|_| needed <= amount);
                let hit = LimitHit { of: subject.clone(), window, amount, at, resets_at };
                (hit, of.out.saturating_sub(here))
            })
        });
        let hits: Vec<(LimitHit, Credits)> = hits.collect();
        let elsewhere = hits.iter().map(|(_, elsewhere)| *elsewhere).min()?;
        let last = hits.into_iter().map(|(hit, _)| hit);
        let last = last.max_by_key(|hit| (hit.resets_at.is_none(), hit.resets_at, hit.window))?;
        Some((last, elsewhere))
    }

    /// `window`: of this one alone, or of all. What is above it is recalled.
    pub(crate) fn decide_limit(
        &self,
        of: &Subject,
        window: Option<Window>,
        amount: Option<Credits>,
        at: Timestamp,
    ) -> Decision {
        match of {
            Subject::User(user) if !self.is_member(user) => {
                return Err(Rejection::UnknownUser(user.clone()));
            }
            Subject::Team(team) => self.known_team(team).map(|_| ())?,
            Subject::Feature(_) | Subject::Model(_) if amount.is_some() => self.may_stand_on_list(of)?,
            Subject::User(_) | Subject::Feature(_) | Subject::Model(_) => {}
        }
        let known = self.subject(of);
        let mut by_window =
            known.and_then(|of| of.limits).map_or_else(BTreeMap::new, |limits| limits.by_window.clone());
        for window in Window::ALL.into_iter().filter(|each| window.is_none_or(|one| one == *each)) {
            match amount {
                Some(amount) => by_window.insert(window, amount),
                None => by_window.remove(&window),
            };
        }
        let is_above = |(window, limit): (&Window, &Credits)| {
            known.is_some_and(|of| self.counted_in(of, *window, at) > *limit)
        };
        let is_over = by_window.iter().any(is_above);
        let freeze = match self.lines_of_other_lists(of, !by_window.is_empty()) {
            Some(lines) => lines,
            None if is_over => self.lines_counted_by(of),
            None => Vec::new(),
        };
        Ok(Decided::Limits { of: of.clone(), by_window, freeze })
    }

    fn lines_counted_by(&self, of: &Subject) -> Vec<LineId> {
        match of {
            Subject::User(user) => self.lines_of(user, |_| true),
            Subject::Team(_) | Subject::Feature(_) | Subject::Model(_) => {
                let lines = self.lines.iter().filter(|(_, line)| self.is_counted_by(line, of));
                lines.map(|(id, _)| *id).collect()
            }
        }
    }

    /// Whether what is out on a line counts under that subject's limits.
    pub fn is_counted_by(&self, line: &Line, of: &Subject) -> bool {
        match of {
            Subject::User(user) => line.user == *user || line.draws_on() == user,
            Subject::Team(team) => self.is_in(line.team.as_ref(), team),
            Subject::Feature(_) | Subject::Model(_) => self.scope_counts(line, of),
        }
    }

    pub(crate) fn commit_limits(
        &mut self,
        of: &Subject,
        by_window: BTreeMap<Window, Credits>,
        at: Timestamp,
    ) -> Outcome {
        let revision = self.next_revision();
        let has_any = !by_window.is_empty();
        let limits = has_any.then(|| Box::new(Limits { by_window, revision }));
        match of {
            Subject::User(user) => self.user_mut(user).limits = limits,
            Subject::Team(team) => self.teams.get_mut(team).expect("decided on a known team").limits = limits,
            Subject::Feature(_) | Subject::Model(_) => self.put_limits_of_scope(of, limits, revision),
        }
        let answer = LimitsAnswer { revision, ..self.limits_answer(of, at) };
        if let Subject::User(user) = of {
            self.drop_nobody(user);
        }
        Outcome::Limits(Box::new(answer))
    }

    pub(crate) fn limits_revision(&self, of: &Subject) -> Revision {
        self.subject(of).and_then(|of| of.limits).map_or(Revision(0), |limits| limits.revision)
    }

    pub fn limits_answer(&self, of: &Subject, at: Timestamp) -> LimitsAnswer {
        let known = self.subject(of);
        let view = |of: Counted<'_>, (window, amount, remaining): (Window, Credits, Credits)| {
            let used = self.used_in(of, window, at);
            let (starts_at, resets_at) = self.window_at(window, at);
            LimitView { window, amount, used, remaining, starts_at, resets_at }
        };
        LimitsAnswer {
            of: of.clone(),
            limits: known.into_iter().flat_map(|of| self.rooms(of, at).map(move |r| view(of, r))).collect(),
            out: known.map_or(Credits::ZERO, |of| of.out),
            revision: self.limits_revision(of),
            at,
        }
    }

    /// Recounted as far as it can be: no window has more than was ever charged, and what is a limit has an amount.
    pub(crate) fn windows_count_what_was_charged(&self) -> Option<String> {
        let is_empty = |of: Counted<'_>| of.limits.is_some_and(|limits| limits.by_window.is_empty());
        let is_wrong = |user: &User| {
            let Recent { at: _, hour, day, week } = user.recent;
            let most = hour.max(day).max(week);
            let charged = user.charged().saturating_add(user.of_services(|services| services.charged));
            most > charged || is_empty(user.into())
        };
        let mut of_scopes = self.by_feature.values().chain(self.by_model.values());
        if of_scopes.any(|of| is_empty(of.into())) {
            return Some(format!("{:?}, {:?}", self.by_feature, self.by_model));
        }
        let team = self.teams.iter().find(|(_, team)| is_empty((*team).into()));
        let user = self.users.iter().find(|(_, user)| is_wrong(user));
        let user =
            user.map(|(name, u)| format!("{name}: {:?}, {:?}, charged {}", u.recent, u.limits, u.charged()));
        user.or_else(|| team.map(|(name, team)| format!("{name}: {:?}", team.limits)))
    }

    /// What the zone's clocks show was looked up for another zone than the workspace's, or not far enough ahead.
    pub fn wants_clock(&self) -> bool {
        self.clock.zone != self.timezone || self.clock.wanted_at().is_some_and(|at| at <= self.begun_to)
    }

    pub(crate) fn set_clock(&mut self, clock: &ZoneClock) -> Result<Outcome, Rejection> {
        if clock.zone != self.timezone {
            return Err(Rejection::CyclesChanged);
        }
        self.clock = clock.clone();
        self.look_ahead();
        Ok(Outcome::Ticked)
    }
}

/// What became known to be charged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Added {
    pub amount: Credits,
    pub in_cycle: Credits,
    pub happened_at: Timestamp,
}

impl Added {
    /// It happened as it became known.
    pub(crate) fn of(amount: Credits, at: Timestamp) -> Self {
        Self { amount, in_cycle: amount, happened_at: at }
    }
}
