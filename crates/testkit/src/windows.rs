//! What was charged when, so that windows can be counted again: each instant has a label, and a window is all instants with
//! one label, by an odd clock or by that of UTC. Not here: what a limit does with it (`naive`, `checkers`).

use crate::checkers::{Broken, Verdict};
use crate::history::START;
use crate::imports::items_of;
use ledger::{Applied, Command, HolderBatch, Line, Subject, Workspace};
use std::collections::{BTreeMap, BTreeSet};
use types::{Credits, LineId, TeamId, Timestamp, UserId, Window, WorkspaceId, ZoneClock, ZoneName};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Clocks of histories are so far ahead at first, and an hour more between these.
const AHEAD_MS: i64 = 5 * HOUR_MS + HOUR_MS / 2;
const PUT_MS: [i64; 2] = [3 * DAY_MS - 4 * HOUR_MS, 12 * DAY_MS - 3 * HOUR_MS];

/// A zone's clock that is put forward and back, and not by whole hours ahead.
pub fn odd_clock(workspace: &WorkspaceId) -> Command {
    let seconds = |ms: i64| i32::try_from(ms / 1_000).expect("a few hours");
    let changes = PUT_MS.map(|ms| START.plus_ms(ms));
    let changes = vec![(changes[0], seconds(AHEAD_MS + HOUR_MS)), (changes[1], seconds(AHEAD_MS))];
    let clock = ZoneClock::new(ZoneName::utc(), seconds(AHEAD_MS), changes).expect("clocks are put twice");
    Command::SetClock { workspace: workspace.clone(), clock }
}

/// Which clock begins days and weeks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    #[default]
    Odd,
    Utc,
}

/// Equal for all instants of one window, of those that are not cycles.
pub fn label(window: Window, at: Timestamp, clock: Clock) -> i64 {
    let since = at.millis() - START.millis();
    let is_later = (PUT_MS[0]..PUT_MS[1]).contains(&since);
    let ahead = match clock {
        Clock::Odd => AHEAD_MS + if is_later { HOUR_MS } else { 0 },
        Clock::Utc => 0,
    };
    let shown = at.millis() + ahead;
    let day = shown.div_euclid(DAY_MS);
    match window {
        Window::Hour => at.millis().div_euclid(HOUR_MS),
        Window::Day => day,
        // From the 5th of January 1970 on.
        Window::Week => (day - 4).div_euclid(7),
        Window::Cycle => 0,
    }
}

/// What became known to be charged to each user and in each team, by window.
#[derive(Clone, Debug, Default)]
pub struct Charges {
    /// By team, in this cycle.
    in_cycle: BTreeMap<TeamId, u64>,
    /// By window and its label.
    by_subject: BTreeMap<Subject, [BTreeMap<i64, u64>; WINDOWS.len()]>,
    /// By user, in all.
    known: BTreeMap<UserId, u64>,
    clock: Clock,
}

const WINDOWS: [Window; 3] = [Window::Hour, Window::Day, Window::Week];
/// A clock that is put back comes to a label again, not to older ones.
const LABELS_KEPT: usize = 4;

impl Charges {
    pub fn by(clock: Clock) -> Self {
        Self { clock, ..Self::default() }
    }

    /// Of one subject, in the window that `at` lies in.
    pub fn in_window(&self, of: &Subject, window: Window, at: Timestamp) -> u64 {
        let Some(place) = WINDOWS.iter().position(|known| *known == window) else { return 0 };
        let label = label(window, at, self.clock);
        let sums = self.by_subject.get(of).map(|sums| &sums[place]);
        sums.and_then(|sums| sums.get(&label)).copied().unwrap_or_default()
    }

    pub fn forget(&mut self, of: &Subject) {
        self.by_subject.remove(of);
    }

    pub fn note(&mut self, of: &Subject, amount: u64, at: Timestamp) {
        let all = self.by_subject.entry(of.clone()).or_default();
        for (window, sums) in WINDOWS.into_iter().zip(all) {
            *sums.entry(label(window, at, self.clock)).or_default() += amount;
            if sums.len() > LABELS_KEPT {
                sums.pop_first();
            }
        }
    }

    /// S6: what the ledger counts in a window is what became known in it. Of users whose charges may have grown.
    /// `told`: usage that happened elsewhere, which counts where it happened.
    pub fn saw<'a>(
        &mut self,
        after: &Workspace,
        users: impl Iterator<Item = &'a UserId>,
        at: Timestamp,
        told: &[(UserId, u64, Timestamp)],
    ) -> Verdict {
        for (user, amount, happened_at) in told {
            let whose = after.chain_of(user);
            for name in std::iter::once(user).chain(Some(whose).filter(|whose| *whose != user)) {
                self.note(&Subject::User(name.clone()), *amount, *happened_at);
                *self.known.entry(name.clone()).or_default() += amount;
            }
        }
        for name in users {
            let Some(user) = after.user(name) else { continue };
            let by_services = user.by_services.as_ref().map_or(0, |services| services.charged.micros());
            let charged = user.charged().micros() + by_services;
            let known = self.known.insert(name.clone(), charged).unwrap_or_default();
            if charged > known {
                self.note(&Subject::User(name.clone()), charged - known, at);
            }
            for window in WINDOWS {
                let counted = self.in_window(&Subject::User(name.clone()), window, at);
                let said = after.used_in(user, window, at);
                if said != Credits::from_micros(counted).expect("a small number") {
                    let sentence = "S6 a window counts what became known in it";
                    let what =
                        format!("{name}, {window}: the ledger says {said}, it was {counted} micro-credits");
                    return Err(Broken { sentence, what });
                }
            }
        }
        Ok(())
    }
}

impl Charges {
    /// S6: what the ledger counts of a team is what became known to be charged on its lines: of those that were opened by who
    /// was in it, or in one nested in it.
    pub fn saw_teams(
        &mut self,
        before: &Workspace,
        command: &Command,
        applied: &Applied,
        after: &Workspace,
        at: Timestamp,
    ) -> Verdict {
        if before.cycle != after.cycle {
            self.in_cycle.clear();
        }
        for name in before.teams.keys().filter(|name| !after.teams.contains_key(*name)) {
            self.in_cycle.remove(name);
            self.forget(&Subject::Team(name.clone()));
        }
        for (_, line, amount) in charged_on_lines(before, command, after) {
            self.note_teams(after, line.team.as_ref(), amount, amount, at);
        }
        for (item, import) in items_of(command, applied) {
            let in_cycle = if import.cycle == after.cycle { import.charged.micros() } else { 0 };
            let team = after.team_of(after.chain_of(&item.user));
            self.note_teams(after, team, import.charged.micros(), in_cycle, import.happened_at);
        }
        for (name, team) in &after.teams {
            for window in Window::ALL {
                let counted = match window {
                    Window::Cycle => self.in_cycle.get(name).copied().unwrap_or_default(),
                    _ => self.in_window(&Subject::Team(name.clone()), window, at),
                };
                let said = after.used_in(team, window, at).micros();
                if said != counted {
                    let sentence = "S6 a team's window counts what became known on its lines";
                    let what =
                        format!("{name}, {window}: the ledger says {said}, it was {counted} micro-credits");
                    return Err(Broken { sentence, what });
                }
            }
        }
        Ok(())
    }

    fn note_teams(
        &mut self,
        after: &Workspace,
        team: Option<&TeamId>,
        amount: u64,
        in_cycle: u64,
        at: Timestamp,
    ) {
        let mut next = team;
        while let Some((name, team)) = next.and_then(|name| after.teams.get_key_value(name)) {
            *self.in_cycle.entry(name.clone()).or_default() += in_cycle;
            self.note(&Subject::Team(name.clone()), amount, at);
            next = team.parent.as_ref();
        }
    }
}

/// What an entry charged on each line.
pub(crate) fn charged_on_lines<'a>(
    before: &'a Workspace,
    command: &Command,
    after: &'a Workspace,
) -> Vec<(LineId, &'a Line, u64)> {
    let spent = |line: &Line| -> u64 {
        line.backings.iter().map(|n| n.used.micros() + n.unattributed.micros() + n.written_off.micros()).sum()
    };
    let grown = |id: &LineId| {
        let (was, is) = (before.lines.get(id), after.lines.get(id));
        let line = is.or(was)?;
        let spent_now = match (is, command) {
            (Some(line), _) => spent(line),
            // What a lost holder tells is charged already.
            (None, _) if line.written_off => spent(line),
            (None, Command::Holder(batch)) => spent_at_its_close(line, *id, batch),
            (None, _) => spent(line),
        };
        Some((*id, line, spent_now - was.map_or(0, spent)))
    };
    let ids: BTreeSet<LineId> = before.lines.keys().chain(after.lines.keys()).copied().collect();
    ids.iter().filter_map(grown).collect()
}

fn spent_at_its_close(line: &Line, id: LineId, batch: &HolderBatch) -> u64 {
    let messages = || batch.lines.iter().filter(|message| batch.line_id(message) == id);
    let parts = line.backings.iter().map(|n| {
        let told = messages().flat_map(|message| &message.used.by_backing);
        let told = told.filter(|(backing, ..)| *backing == n.backing);
        let last = told.fold((n.used, n.unattributed), |(u, z), (_, used, una)| (u.max(*used), z.max(*una)));
        last.0.micros() + last.1.micros()
    });
    parts.sum()
}
