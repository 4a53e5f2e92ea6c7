//! What time alone does to the pools this node leads: grants and cycles end though nobody asks for anything, and the ends
//! of cycles to come, and what the zone's clocks will show, are looked up before they are needed.
//!
//! Not here: what then happens (`ledger::cycle`), the calendar's rule (`calendar`), the recalls that follow (`desk`).

use crate::desk::{Desk, PATIENCE};
use crate::shards::Shards;
use calendar::{Calendar, UnknownZone};
use ledger::{Command, CycleEnds, Workspace, limits};
use replication::Group;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use types::{CycleNumber, Timestamp, WorkspaceId, ZoneName};

/// Pools of one group that are settled in one turn, the longest due first. What is due everywhere at once is spread over
/// many turns: a pool that somebody asks does not wait for its own, his entry settles it.
const SETTLED_AT_ONCE: usize = 256;
/// No cycle is as short as this, and no zone's clocks are put by as much.
const SAME_DAY_MS: i64 = 2 * 24 * 60 * 60 * 1_000;
/// Pools of one group whose ends are looked up in one turn.
const LOOKED_UP_AT_ONCE: usize = 64;

impl Desk {
    /// Sees to what is due in the groups this node leads, a turn at a time. Ends when it is dropped.
    pub async fn keep_time(self: Arc<Self>, shards: Arc<Shards>, every: Duration) {
        let mut unknown = BTreeSet::new();
        loop {
            tokio::time::sleep(every).await;
            let led = shards.replica().groups().filter(|group| group.is_leader());
            let seen = futures::future::join_all(led.map(|group| self.see_to_dues(group))).await;
            for (zone, workspace) in seen.into_iter().flatten() {
                // Another node's program knew the zone. Said once for each.
                if unknown.insert(zone.clone()) {
                    tracing::warn!(
                        %zone, %workspace,
                        "this program does not know the zone: its workspaces' cycles go on without an end while it leads"
                    );
                }
            }
        }
    }

    /// Answers zones that are not known here, each with a workspace in it.
    async fn see_to_dues(&self, group: &Group) -> BTreeMap<ZoneName, WorkspaceId> {
        let now = self.now();
        let mut unknown = BTreeMap::new();
        let commands = group.peek(|state| {
            let due = state.schedule.due(now, SETTLED_AT_ONCE);
            let ending = state.schedule.short_of_ends().filter_map(|id| state.workspace(id));
            // Those whose zone is not known stand in nobody's way.
            let looked_up = ending.filter_map(|workspace| {
                look_up(workspace, now).unwrap_or_else(|UnknownZone(zone)| {
                    unknown.insert(zone, workspace.id.clone());
                    None
                })
            });
            let ticks = due.into_iter().map(|workspace| Command::Tick { workspace });
            ticks.chain(looked_up.take(LOOKED_UP_AT_ONCE)).collect::<Vec<_>>()
        });
        // What is not taken now is found due again at the next turn.
        let proposed = commands.into_iter().map(|command| self.propose(group, command, PATIENCE));
        futures::future::join_all(proposed).await;
        unknown
    }
}

/// Its zone's clocks first: by them days begin.
fn look_up(workspace: &Workspace, now: Timestamp) -> Result<Option<Command>, UnknownZone> {
    if workspace.wants_clock() {
        let clock = calendar::clock(&workspace.timezone, now)?;
        return Ok(Some(Command::SetClock { workspace: workspace.id.clone(), clock }));
    }
    look_up_ends(workspace)
}

/// The end of this cycle stays as it was told; those after it are the calendar's. `None` where it knows no more.
fn look_up_ends(workspace: &Workspace) -> Result<Option<Command>, UnknownZone> {
    let Some(rule) = workspace.cycle_rule.clone() else { return Ok(None) };
    let calendar = Calendar::new(&rule)?;
    let known = workspace.cycle_ends_at();
    // Where the zone's clocks have changed since an end was told, the same day may begin a little later now. What a first
    // cycle begins with is no such day.
    let was_told = known.is_some() || workspace.cycle != CycleNumber::FIRST;
    let after = known.unwrap_or(workspace.cycle_starts_at).plus_ms(if was_told { SAME_DAY_MS } else { 0 });
    let later = calendar.starts_after(after).map(|start| start.at);
    let ends: Vec<Timestamp> = known.into_iter().chain(later).take(limits::CYCLE_ENDS_MAX).collect();
    let is_news = ends != workspace.cycle_ends;
    let ends = CycleEnds { rule, ends };
    let found = Command::SetCycleEnds { workspace: workspace.id.clone(), cycle: workspace.cycle, ends };
    Ok(is_news.then_some(found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::{AdminCommand, Change, State, WorkspaceSettings};
    use types::{CycleDays, CycleRule, Every};

    fn at(text: &str) -> Timestamp {
        let days = types::Day(text.parse().unwrap());
        days.starts_at()
    }

    /// A workspace whose months begin on the 31st, made on day 20,456 (2026-01-03), knowing these ends.
    fn state(ends: &[&str]) -> (State, WorkspaceId) {
        let id = WorkspaceId::parse("w").unwrap();
        let cycle = CycleDays { every: Every::Month, anchor: types::CivilDate::new(2026, 1, 31).unwrap() };
        let rule = CycleRule::of(cycle, ZoneName::utc());
        let ends = Some(CycleEnds { rule, ends: ends.iter().map(|day| at(day)).collect() });
        let change = Change::PutWorkspace(WorkspaceSettings {
            cycle: Some(cycle),
            ends,
            ..WorkspaceSettings::unchanged()
        });
        let admin = AdminCommand { workspace: id.clone(), keyed: None, if_match: None, change };
        let mut state = State::new();
        state.apply(at("20456"), &Command::Admin(admin)).result.unwrap();
        (state, id)
    }

    fn looked_up(state: &State, id: &WorkspaceId) -> Option<Command> {
        look_up(state.workspace(id).unwrap(), state.now).unwrap()
    }

    fn ends_of(command: Option<Command>) -> Vec<i32> {
        let Some(Command::SetCycleEnds { ends, .. }) = command else { return Vec::new() };
        ends.ends.into_iter().map(|end| end.day().0).collect()
    }

    #[test]
    fn what_was_told_stays_and_what_follows_is_the_calendars() {
        // The 31st of January, the 28th of February, the 31st of March, the 30th of April.
        let (state, id) = state(&["20484"]);
        let found = looked_up(&state, &id);
        assert_eq!(ends_of(found.clone()), [20_484, 20_512, 20_543, 20_573]);
        let mut after = state;
        assert_eq!(after.schedule.short_of_ends().collect::<Vec<_>>(), [&id]);
        after.apply(at("20456"), &found.unwrap()).result.unwrap();
        assert_eq!(after.schedule.short_of_ends().count(), 0);
        assert_eq!(looked_up(&after, &id), None, "nothing new");
        // An end that is not the calendar's stays too.
        let (state, id) = self::state(&["20490"]);
        assert_eq!(ends_of(looked_up(&state, &id)), [20_490, 20_512, 20_543, 20_573]);
    }

    #[test]
    fn an_end_told_before_the_zones_clocks_were_put_differently_is_no_day_of_its_own() {
        let (mut state, id) = state(&["20484"]);
        let told = state.workspace(&id).unwrap();
        let rule = told.cycle_rule.clone().unwrap();
        // Told an hour before the calendar's now: the 28th of February.
        let hour_early = at("20512").plus_ms(-3_600_000);
        let ends = CycleEnds { rule, ends: vec![at("20484"), hour_early] };
        let command = Command::SetCycleEnds { workspace: id.clone(), cycle: told.cycle, ends };
        state.apply(at("20456"), &command).result.unwrap();
        state.apply(at("20484"), &Command::Tick { workspace: id.clone() }).result.unwrap();
        let found = looked_up(&state, &id);
        assert_eq!(ends_of(found.clone()), [20_511, 20_543, 20_573, 20_604]);
        // Also where it was the last one that was known.
        state.apply(hour_early, &Command::Tick { workspace: id.clone() }).result.unwrap();
        assert_eq!(state.workspace(&id).unwrap().cycle_ends_at(), None);
        assert_eq!(ends_of(looked_up(&state, &id)), [20_543, 20_573, 20_604, 20_634]);
    }

    #[test]
    fn a_zones_clocks_are_looked_up_when_it_is_set_and_before_they_run_out() {
        let (mut state, id) = state(&["20484"]);
        let ends = looked_up(&state, &id).unwrap();
        state.apply(at("20456"), &ends).result.unwrap();
        let zone = ZoneName::parse("Europe/Berlin").unwrap();
        let settings = WorkspaceSettings { timezone: Some(zone), ..WorkspaceSettings::unchanged() };
        let rule = settings.rule_after(&ZoneName::utc(), state.workspace(&id).unwrap().cycle_rule.as_ref());
        let ends = Some(CycleEnds { rule: rule.unwrap(), ends: vec![at("20484"), at("20512")] });
        let change = Change::PutWorkspace(WorkspaceSettings { ends, ..settings });
        let admin = AdminCommand { workspace: id.clone(), keyed: None, if_match: None, change };
        state.apply(at("20456"), &Command::Admin(admin)).result.unwrap();
        assert_eq!(state.schedule.short_of_ends().collect::<Vec<_>>(), [&id]);
        let clock = looked_up(&state, &id).unwrap();
        assert!(
            matches!(&clock, Command::SetClock { clock, .. } if clock.changes().len() == 24),
            "{clock:?}"
        );
        state.apply(at("20456"), &clock).result.unwrap();
        let hours = |state: &State, day: &str| {
            let (from, _) = state.workspace(&id).unwrap().window_at(types::Window::Day, at(day));
            at(day).since_ms(from) / 3_600_000
        };
        assert_eq!((hours(&state, "20456"), hours(&state, "20600")), (1, 2), "in winter, in summer");
        // Ten years on it is due by itself.
        let wanted = state.workspace(&id).unwrap().clock.wanted_at().unwrap();
        assert!(!state.workspace(&id).unwrap().wants_clock());
        while state.now < wanted {
            let due = state.schedule.due(wanted, 1);
            assert_eq!(due, std::slice::from_ref(&id));
            state.apply(wanted, &Command::Tick { workspace: id.clone() }).result.unwrap();
        }
        assert!(state.workspace(&id).unwrap().wants_clock());
        let again = looked_up(&state, &id).unwrap();
        state.apply(wanted, &again).result.unwrap();
        assert!(state.workspace(&id).unwrap().clock.wanted_at().unwrap() > wanted);
    }

    #[test]
    fn where_no_end_is_known_every_one_that_was_missed_is_found() {
        let (mut state, id) = state(&["20484"]);
        state.apply(at("20600"), &Command::Tick { workspace: id.clone() }).result.unwrap();
        let workspace = state.workspace(&id).unwrap();
        assert_eq!((workspace.cycle.0, workspace.cycle_ends_at()), (2, None));
        let found = looked_up(&state, &id);
        assert_eq!(ends_of(found.clone()), [20_512, 20_543, 20_573, 20_604]);
        state.apply(at("20600"), &found.unwrap()).result.unwrap();
        assert_eq!(state.schedule.due(at("20600"), 9), std::slice::from_ref(&id));
        state.apply(at("20600"), &Command::Tick { workspace: id.clone() }).result.unwrap();
        assert_eq!(state.workspace(&id).unwrap().cycle.0, 5);
        assert!(state.schedule.due(at("20603"), 9).is_empty());
        assert_eq!(state.schedule.due(at("20604"), 9), [id]);
    }
}
