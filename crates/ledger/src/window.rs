//! Limits: ceilings on what one user may use in an hour, a day, a week, a cycle. They fund nothing.
//!
//! **What counts** in a window is what became known in it to have been charged (used, unattributed, written off), whenever
//! the line was drawn, and all that is out on the user's lines: that may still be spent in it. So what was leased in the
//! window before counts in this one until it comes back; a refusal asks for it first. Nothing is counted twice, and
//! what is out at a window's end is not lost to the next.
//!
//! **Usage that is told of later** (`import`) counts in the windows that it happened in and that still run, whatever they were told
//! since; usage of a window or cycle that is over counts nowhere.
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
use crate::outcome::{Outcome, Rejection};
use crate::workspace::{User, Workspace};
use std::collections::BTreeMap;
use types::planted::{Mistake, is_planted};
use types::{Credits, Revision, Timestamp, UserId, Window, ZoneClock, hour_of};

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

/// The limit that stands in a draw's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitHit {
    pub window: Window,
    pub amount: Credits,
    /// When that was found.
    pub at: Timestamp,
    /// When the window ends. `None`: nobody knows of an end of this cycle, or no window is enough for what is asked.
    pub resets_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsAnswer {
    pub user: UserId,
    /// Shortest windows first.
    pub limits: Vec<LimitView>,
    /// Out on the user's lines: counts in each window.
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

    fn limits(&self) -> impl Iterator<Item = (Window, Credits)> + '_ {
        self.limits
            .iter()
            .flat_map(|limits| limits.by_window.iter().map(|(window, amount)| (*window, *amount)))
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

    /// Known to have been charged in the window that `at` lies in. What was refunded gives room in the cycle alone.
    pub fn used_in(&self, user: &User, window: Window, at: Timestamp) -> Credits {
        let counted = match window {
            Window::Hour => user.recent.hour,
            Window::Day => user.recent.day,
            Window::Week => user.recent.week,
            Window::Cycle => {
                let own = user.used.saturating_add(user.late).saturating_sub(user.refunded);
                return own.saturating_add(user.of_services(|services| services.used));
            }
        };
        let (from, _) = self.window_at(window, at);
        let from = if is_planted(Mistake::WindowEndsLate) {
            self.window_at(window, from.plus_ms(-1)).0
        } else {
            from
        };
        if user.recent.at < from { Credits::ZERO } else { counted }
    }

    /// What a limit counts.
    pub fn counted_in(&self, user: &User, window: Window, at: Timestamp) -> Credits {
        self.used_in(user, window, at).saturating_add(user.out_of_all())
    }

    /// So much has just become known to be charged to a user.
    pub(crate) fn count(&mut self, user: &UserId, amount: Credits, at: Timestamp) {
        let Some(entry) = self.user(user).filter(|_| !amount.is_zero()) else { return };
        let used = |window| self.used_in(entry, window, at).saturating_add(amount);
        let recent =
            Recent { at, hour: used(Window::Hour), day: used(Window::Day), week: used(Window::Week) };
        self.user_mut(user).recent = recent;
    }

    /// So much has happened then and becomes known now: it counts in the windows it happened in, where they still run.
    pub(crate) fn count_import(
        &mut self,
        user: &UserId,
        amount: Credits,
        happened_at: Timestamp,
        at: Timestamp,
    ) {
        let Some(entry) = self.user(user).filter(|_| !amount.is_zero()) else { return };
        let used = |window| {
            let (from, _) = self.window_at(window, at);
            let counts = if happened_at < from { Credits::ZERO } else { amount };
            self.used_in(entry, window, at).saturating_add(counts)
        };
        let recent =
            Recent { at, hour: used(Window::Hour), day: used(Window::Day), week: used(Window::Week) };
        self.user_mut(user).recent = recent;
    }

    /// What may be drawn under each of a user's limits.
    fn rooms<'a>(
        &'a self,
        user: &'a User,
        at: Timestamp,
    ) -> impl Iterator<Item = (Window, Credits, Credits)> + 'a {
        let ignored = if is_planted(Mistake::LimitIgnoresLeases) { user.out_of_all() } else { Credits::ZERO };
        user.limits().map(move |(window, amount)| {
            let counted = self.counted_in(user, window, at).saturating_sub(ignored);
            (window, amount, amount.saturating_sub(counted))
        })
    }

    /// The same of his own limits, and of those of whose chain he draws on.
    fn all_rooms<'a>(
        &'a self,
        user: &'a UserId,
        at: Timestamp,
    ) -> impl Iterator<Item = (Window, Credits, Credits)> + 'a {
        let whose = self.chain_of(user);
        let names = std::iter::once(user).chain(std::iter::once(whose).filter(move |whose| *whose != user));
        names.filter_map(|name| self.user(name)).flat_map(move |known| self.rooms(known, at))
    }

    /// What may be drawn under all of them.
    pub(crate) fn room_under_limits(&self, user: &UserId, at: Timestamp) -> Credits {
        self.all_rooms(user, at).map(|(_, _, room)| room).min().unwrap_or(Credits::MAX)
    }

    /// What the user may spend under all of them, what is out for him included.
    pub(crate) fn left_under_limits(&self, user: &User, at: Timestamp) -> Credits {
        let left =
            |(window, amount): (Window, Credits)| amount.saturating_sub(self.used_in(user, window, at));
        user.limits().map(left).min().unwrap_or(Credits::MAX)
    }

    /// The limit that leaves less than is needed; of several the one that ends last.
    pub(crate) fn limit_hit(&self, user: &UserId, needed: Credits, at: Timestamp) -> Option<LimitHit> {
        let hit = |(window, amount, _)| {
            let (_, ends_at) = self.window_at(window, at);
            LimitHit { window, amount, at, resets_at: ends_at.filter(|_| needed <= amount) }
        };
        let short = self.all_rooms(user, at).filter(|(_, _, room)| *room < needed).map(hit);
        short.max_by_key(|hit| (hit.resets_at.is_none(), hit.resets_at, hit.window))
    }

    /// `window`: of this one alone, or of all. What is above it is recalled.
    pub(crate) fn decide_limit(
        &self,
        user: &UserId,
        window: Option<Window>,
        amount: Option<Credits>,
        at: Timestamp,
    ) -> Decision {
        if !self.is_member(user) {
            return Err(Rejection::UnknownUser(user.clone()));
        }
        let known = self.user(user);
        let mut by_window =
            known.and_then(|u| u.limits.as_ref()).map_or_else(BTreeMap::new, |l| l.by_window.clone());
        for window in Window::ALL.into_iter().filter(|each| window.is_none_or(|one| one == *each)) {
            match amount {
                Some(amount) => by_window.insert(window, amount),
                None => by_window.remove(&window),
            };
        }
        let is_above = |(window, limit): (&Window, &Credits)| {
            known.is_some_and(|user| self.counted_in(user, *window, at) > *limit)
        };
        let is_over = by_window.iter().any(is_above);
        let freeze = self.lines_of(user, |_| is_over);
        Ok(Decided::Limits { user: user.clone(), by_window, freeze })
    }

    pub(crate) fn commit_limits(
        &mut self,
        user: &UserId,
        by_window: BTreeMap<Window, Credits>,
        at: Timestamp,
    ) -> Outcome {
        let revision = self.next_revision();
        let has_any = !by_window.is_empty();
        self.user_mut(user).limits = has_any.then(|| Box::new(Limits { by_window, revision }));
        let answer = LimitsAnswer { revision, ..self.limits_answer(user, at) };
        self.drop_nobody(user);
        Outcome::Limits(Box::new(answer))
    }

    pub fn limits_answer(&self, user: &UserId, at: Timestamp) -> LimitsAnswer {
        let known = self.user(user);
        let view = |(window, amount, remaining): (Window, Credits, Credits)| {
            let used = known.map_or(Credits::ZERO, |user| self.used_in(user, window, at));
            let (starts_at, resets_at) = self.window_at(window, at);
            LimitView { window, amount, used, remaining, starts_at, resets_at }
        };
        LimitsAnswer {
            user: user.clone(),
            limits: known.map_or_else(Vec::new, |user| self.rooms(user, at).map(view).collect()),
            out: known.map_or(Credits::ZERO, User::out_of_all),
            revision: known
                .and_then(|user| user.limits.as_ref())
                .map_or(Revision(0), |limits| limits.revision),
            at,
        }
    }

    /// Recounted as far as it can be: no window has more than was ever charged, and what is a limit has an amount.
    pub(crate) fn windows_count_what_was_charged(&self) -> Option<String> {
        let is_wrong = |user: &User| {
            let Recent { at: _, hour, day, week } = user.recent;
            let most = hour.max(day).max(week);
            most > user.charged().saturating_add(user.of_services(|services| services.charged))
                || user.limits.as_ref().is_some_and(|l| l.by_window.is_empty())
        };
        let (name, user) = self.users.iter().find(|(_, user)| is_wrong(user))?;
        Some(format!("{name}: {:?}, {:?}, charged {}", user.recent, user.limits, user.charged()))
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
