//! The invariants as functions named as sentences, judged from outside: over the ledger's state, what it was before,
//! and the ghost records.
//!
//! They recount from other numbers than the ledger's own `violations()`. Not here: S5 and S7 (a holder's disk and
//! keys), S11 and on (real nodes).

mod overage;
mod pooling;
mod services;
mod teams;

pub use pooling::{a_switch_moves_nothing_and_is_what_was_previewed, crossings_of_pooling};
pub use services::crossings_of_services;
pub use teams::{all_of_an_answer, crossings_of_teams};

use crate::ghost::Ghost;
use crate::scopes;
use ledger::{
    AdminCommand, Answer, Applied, Change, Command, ForgetMode, Grant, GrantState, HolderBatch, HolderStatus,
    Line, Outcome, Owner, Query, Spent, State, Term, Wish, Workspace, is_of_overage, is_of_plan,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use types::{Credits, GrantNo, LineId, Timestamp, UserId, Window};

/// A sentence that turned out to be untrue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    pub sentence: &'static str,
    pub what: String,
}

pub type Verdict = Result<(), Broken>;

fn holds(condition: bool, sentence: &'static str, what: impl FnOnce() -> String) -> Verdict {
    if condition { Ok(()) } else { Err(Broken { sentence, what: what() }) }
}

/// All that can be judged from one state.
pub fn all_of_a_state(workspace: &Workspace, state: &State, ghost: &Ghost) -> Verdict {
    each_grant_is_conserved(workspace, ghost)?;
    no_line_settles_more_than_was_drawn(workspace)?;
    nobody_was_told_more_than_was_granted(workspace, ghost)?;
    what_was_told_is_gone_from_the_pool(workspace, ghost)?;
    nothing_is_told_on_a_line_beyond_what_it_has(workspace, ghost)?;
    allocations_stand_on_grants_that_last(workspace, state.now)?;
    services::lines_draw_on_the_chain_that_is_shared(workspace)?;
    teams::open_lines_have_what_is_for_their_users(workspace)?;
    scopes::what_may_be_spent_on_what_is_limited_counts(workspace)?;
    scopes::what_the_plan_does_not_have_is_not_spent_on(workspace)?;
    usage_by_meter_sums_to_used(workspace)?;
    nothing_that_was_closed_opens_again(workspace, ghost)?;
    fenced_holders_have_nothing(workspace, ghost)?;
    no_holder_comes_back(state, ghost)
}

/// All that can be judged from one step.
pub fn all_of_a_step(before: &Workspace, command: &Command, after: &Workspace, at: Timestamp) -> Verdict {
    // What has happened is not refused by a limit.
    if !is_import(command) {
        draws_keep_within_limits(before, after, at)?;
        scopes::draws_keep_within_limits(before, after, at)?;
    }
    draws_reach_no_further_than_their_target(before, command, after)?;
    holders_change_no_allocation(before, command, after)?;
    boundaries_fire_once_and_in_order(before, after)?;
    other_cycles_change_nothing(before, command, after)?;
    teams::members_alone_draw_on_a_reserve(before, after)?;
    pooling::nobody_draws_on_what_is_not_his(before, after)?;
    overage::all_of_a_step(before, command, after)
}

fn is_import(command: &Command) -> bool {
    matches!(command, Command::Admin(AdminCommand { change: Change::ImportUsage(_), .. }))
}

/// S18: each cycle begins where the one before it was to end, and none is left out.
pub fn boundaries_fire_once_and_in_order(before: &Workspace, after: &Workspace) -> Verdict {
    let sentence = "S18 boundaries fire once and in order";
    let tell = || format!("{:?} {:?} became {:?}", before.cycle, before.cycle_ends, after.cycle);
    let passed = after.cycle.0.checked_sub(before.cycle.0).map(|passed| passed as usize);
    let begins = match passed {
        Some(0) => Some(before.cycle_starts_at),
        Some(passed) => before.cycle_ends.get(passed - 1).copied(),
        None => None,
    };
    let goes_on = after.cycle == before.cycle || after.cycle_starts_at > before.cycle_starts_at;
    holds(begins == Some(after.cycle_starts_at) && goes_on, sentence, tell)
}

/// S1: what a grant was given is, to the last micro-credit, somewhere; what is out is on lines.
pub fn each_grant_is_conserved(workspace: &Workspace, ghost: &Ghost) -> Verdict {
    for grant in &workspace.grants {
        let books = &grant.books;
        let on_lines: u64 = workspace
            .lines
            .values()
            .flat_map(|line| &line.backings)
            .filter(|n| n.backing.grant == grant.no)
            .map(|n| n.drawn.micros() - n.used.micros() - n.returned.micros())
            .sum();
        let unattributed_on_lines = of_lines(workspace, |n| {
            if n.backing.grant == grant.no { n.unattributed.micros() + n.written_off.micros() } else { 0 }
        });
        let settled = [
            books.available,
            books.used,
            books.unattributed,
            books.written_off,
            books.expired,
            books.voided,
            books.for_overage,
        ];
        let places: u64 = settled.iter().map(|part| part.micros()).sum();
        let made = ghost.granted.get(&grant.id).copied();
        let given = made.filter(|_| !is_given_by_itself(grant)).unwrap_or_else(|| came_by_itself(grant))
            + books.exposure.micros()
            + books.refunded.micros();
        holds(places + on_lines == given + unattributed_on_lines, "S1 each grant is conserved", || {
            format!("{}: {books:?}, on lines {on_lines}, given {given}", grant.id)
        })?;
    }
    let made = workspace.grants.iter().filter(|grant| !is_given_by_itself(grant)).count();
    holds(made == ghost.granted.len(), "S1 each grant is conserved", || {
        format!("{made} grants, {} were made", ghost.granted.len())
    })
}

/// A preview of a change of plan equals what then happens.
pub fn a_preview_of_a_plan_is_what_happens(
    before: &State,
    at: Timestamp,
    command: &Command,
    applied: &Applied,
) -> Verdict {
    let Command::Admin(AdminCommand { workspace, keyed, change: Change::Plan(change), .. }) = command else {
        return Ok(());
    };
    let Ok(Outcome::Plan(happened)) = &applied.result else { return Ok(()) };
    // What was answered before under its key is answered again, and does not happen again.
    let known = before.workspace(workspace).map(|workspace| &workspace.keys);
    if keyed.as_ref().is_some_and(|keyed| known.is_some_and(|known| known.contains_key(&keyed.key))) {
        return Ok(());
    }
    let query = Query::PlanAfter { id: workspace.clone(), change: change.clone() };
    let previewed = before.answer(&query, at);
    holds(previewed == Answer::Plan(happened.clone()), "a preview of a plan is what happens", || {
        format!("{change:?}: {previewed:?} became {happened:?}")
    })
}

fn is_given_by_itself(grant: &Grant) -> bool {
    is_of_plan(&grant.id) || is_of_overage(&grant.id)
}

/// What the workspace's plan gave or draws made, and nobody else: how much that is to be is `naive`'s to say.
fn came_by_itself(grant: &Grant) -> u64 {
    if is_given_by_itself(grant) { grant.books.amount.micros() } else { 0 }
}

fn of_lines(workspace: &Workspace, of: impl Fn(&ledger::BackingNumbers) -> u64) -> u64 {
    workspace.lines.values().flat_map(|line| &line.backings).map(of).sum()
}

/// S2.
pub fn no_line_settles_more_than_was_drawn(workspace: &Workspace) -> Verdict {
    for (id, line) in &workspace.lines {
        for n in &line.backings {
            let settled: u64 =
                [n.used, n.returned, n.unattributed, n.written_off].iter().map(|part| part.micros()).sum();
            let sentence = "S2 no line settles more than was drawn";
            holds(settled <= n.drawn.micros(), sentence, || format!("{id:?}: {n:?}"))?;
        }
    }
    Ok(())
}

/// S3, by grant: never overdrawn.
pub fn nobody_was_told_more_than_was_granted(workspace: &Workspace, ghost: &Ghost) -> Verdict {
    for grant in &workspace.grants {
        let told = ghost.told_by_grant.get(&grant.no).copied().unwrap_or_default();
        let granted = [grant.books.amount, grant.books.exposure, grant.books.refunded];
        let granted: u64 = granted.iter().map(|part| part.micros()).sum();
        let sentence = "S3 nobody was told more than was granted";
        holds(told <= granted, sentence, || format!("{}: told {told} of {granted}", grant.id))?;
    }
    Ok(())
}

/// The rule behind all rules: spend only what a more durable layer already counts as gone.
pub fn what_was_told_is_gone_from_the_pool(workspace: &Workspace, ghost: &Ghost) -> Verdict {
    for grant in &workspace.grants {
        let told = ghost.told_by_grant.get(&grant.no).copied().unwrap_or_default();
        let books = &grant.books;
        let gone = [books.out, books.used, books.unattributed, books.written_off];
        let gone: u64 = gone.iter().map(|part| part.micros()).sum();
        let sentence = "what was told is gone from the pool";
        holds(told <= gone, sentence, || format!("{}: told {told}, gone {gone}, {books:?}", grant.id))?;
    }
    Ok(())
}

/// S4: acknowledged on a line ≤ D − R, by backing.
pub fn nothing_is_told_on_a_line_beyond_what_it_has(workspace: &Workspace, ghost: &Ghost) -> Verdict {
    for (id, line) in &workspace.lines {
        for n in &line.backings {
            let told = ghost.told.get(&(*id, n.backing)).copied().unwrap_or_default();
            let has = n.drawn.micros() - n.returned.micros();
            let sentence = "S4 nothing is told on a line beyond what it has";
            holds(told <= has, sentence, || format!("{id:?}: told {told}, {n:?}"))?;
        }
    }
    Ok(())
}

/// S6, R12: what is set aside is set aside on live grants that last to the end of the cycle.
pub fn allocations_stand_on_grants_that_last(workspace: &Workspace, now: Timestamp) -> Verdict {
    let sentence = "S6 allocations stand on grants that last";
    let mut set_aside = BTreeMap::new();
    for (name, allocation) in workspace.allocations() {
        for (no, amount) in allocation.earmarks.iter() {
            let grant = workspace.grant(no);
            let cycle_end = workspace.cycle_ends_at().unwrap_or(Timestamp::from_millis(i64::MAX));
            let lasts = grant.expires_at.is_none_or(|end| end >= cycle_end);
            let stands = grant.state == GrantState::Live && grant.starts_at <= now && lasts;
            holds(stands, sentence, || format!("{name:?}: {amount} on {grant:?}"))?;
            *set_aside.entry(no).or_insert(0) += amount.micros();
        }
    }
    for (no, amount) in set_aside {
        let books = &workspace.grant(no).books;
        holds(amount <= books.available.micros(), sentence, || format!("{amount} on {books:?}"))?;
    }
    Ok(())
}

/// S6 at every draw: outstanding + used ≤ limit in each window where more was drawn; an excess never grows.
pub fn draws_keep_within_limits(before: &Workspace, after: &Workspace, at: Timestamp) -> Verdict {
    for (name, user) in &after.users {
        for window in Window::ALL {
            let Some(limit) = user.limit(window) else { continue };
            let was = before.user(name);
            let same_limit = was.is_some_and(|was| was.limit(window) == Some(limit));
            let was = was.map_or(0, |was| before.counted_in(was, window, at).micros());
            let now = after.counted_in(user, window, at).micros();
            let kept = now <= limit.micros() || (now <= was || !same_limit);
            let sentence = "S6 draws keep within limits";
            holds(kept, sentence, || format!("{name}: {now} was {was}, limit {limit} per {window}"))?;
        }
    }
    teams::draws_keep_within_limits(before, after, at)
}

/// R1: a draw names what D should become; it becomes no more than that, however often it is asked.
pub fn draws_reach_no_further_than_their_target(
    before: &Workspace,
    command: &Command,
    after: &Workspace,
) -> Verdict {
    let Command::Holder(batch) = command else { return Ok(()) };
    for message in &batch.lines {
        let id = batch.line_id(message);
        let (Wish::Draw { target, .. }, Some(line)) = (message.wish, after.lines.get(&id)) else { continue };
        let was = before.lines.get(&id).map_or(Credits::ZERO, Line::drawn);
        let sentence = "R1 draws reach no further than their target";
        holds(line.drawn() <= target.max(was), sentence, || format!("{message:?}: {line:?}"))?;
    }
    Ok(())
}

/// S8: usage by user and meter sums to what is used; users' sums are the pool's.
pub fn usage_by_meter_sums_to_used(workspace: &Workspace) -> Verdict {
    let sentence = "S8 usage by meter sums to used";
    let mut metered: BTreeMap<&UserId, u64> = BTreeMap::new();
    for (user, _, part) in workspace.usage_parts() {
        *metered.entry(user).or_default() += part.credits.micros();
    }
    let sum: u64 = metered.values().sum();
    let uncovered = workspace.uncovered.values().map(|amount| amount.micros()).sum::<u64>();
    let used = workspace.totals.used.micros() + uncovered;
    holds(sum == used, sentence, || format!("metered {sum}, used and uncovered {used}"))?;
    let mut by_grant: BTreeMap<GrantNo, u64> = BTreeMap::new();
    for (grant, part) in workspace.usage_parts().flat_map(|(_, _, part)| part.by_grant.iter()) {
        *by_grant.entry(grant).or_default() += part.micros();
    }
    for grant in &workspace.grants {
        let (metered, used) = (by_grant.get(&grant.no).copied().unwrap_or(0), grant.books.used.micros());
        holds(metered == used, sentence, || format!("{}: metered {metered}, used {used}", grant.id))?;
    }
    for (name, amount) in &metered {
        let used = workspace.user(name).map_or(0, |user| user.charged().micros());
        holds(*amount <= used, sentence, || format!("{name}: metered {amount}, used {used}"))?;
    }
    let sum = |spent: Spent| -> u64 {
        [spent.used, spent.unattributed, spent.written_off].iter().map(|part| part.micros()).sum()
    };
    let (ever, before) = (sum(workspace.spent()), sum(workspace.spent_before));
    let now: u64 = workspace.users.values().map(|user| user.used.micros()).sum();
    let past: u64 = workspace.users.values().map(|user| user.past.micros()).sum();
    // What nothing covered is no grant's, and users used it all the same.
    let beyond = workspace.uncovered.get(&workspace.cycle).map_or(0, |amount| amount.micros());
    let beyond_before = uncovered - beyond;
    let what = || {
        format!(
            "users {now} and {past} in earlier cycles, pool {ever}, {before} of it, uncovered {beyond} and {beyond_before}"
        )
    };
    holds((now, past) == (ever - before + beyond, before + beyond_before), sentence, what)
}

/// S9: lines of other cycles draw no more, and what they charge and give back reaches no allocation and no use of this one.
pub fn other_cycles_change_nothing(before: &Workspace, command: &Command, after: &Workspace) -> Verdict {
    let sentence = "S9 other cycles change nothing";
    for (id, line) in after.lines.iter().filter(|(_, line)| line.cycle != after.cycle) {
        let was = before.lines.get(id).map(Line::drawn);
        holds(was == Some(line.drawn()), sentence, || format!("{id:?}: {was:?} drawn, now {line:?}"))?;
    }
    let Command::Holder(batch) = command else { return Ok(()) };
    let is_of_this = |cycle| cycle == after.cycle || cycle == before.cycle && before.cycle != after.cycle;
    if batch.lines.iter().any(|message| is_of_this(message.cycle)) {
        return Ok(());
    }
    let here = |user: &ledger::User| {
        let allocation = user.allocation.as_ref();
        (user.used, allocation.map(|a| (a.no, a.used, a.out, a.amount().saturating_add(a.short))))
    };
    let same = after.users.iter().all(|(name, user)| {
        before
            .user(name)
            .map_or_else(|| here(user) == here(&ledger::User::default()), |was| here(was) == here(user))
    });
    // Time goes on with every entry: grants may end, and their lines are recalled.
    let ended = before.grants.iter().zip(&after.grants).any(|(was, is)| was.state != is.state);
    let of_teams = |pool: &Workspace| -> Vec<_> {
        let reserves = pool.teams.values().filter_map(|team| team.reserve.as_ref());
        reserves.map(|a| (a.no, a.used, a.out, a.amount().saturating_add(a.short))).collect()
    };
    let same = same && of_teams(before) == of_teams(after);
    holds(same || ended || before.cycle != after.cycle, sentence, || format!("{batch:?}"))
}

/// S10 of lines.
pub fn nothing_that_was_closed_opens_again(workspace: &Workspace, ghost: &Ghost) -> Verdict {
    let sentence = "S10 nothing that was closed opens again";
    for id in &ghost.closed {
        holds(!workspace.lines.contains_key(id), sentence, || format!("{id:?}"))?;
        let highest = workspace.highest_line.get(&id.holder);
        holds(highest.is_some_and(|highest| id.number <= *highest), sentence, || {
            format!("{id:?}: {highest:?}")
        })?;
    }
    Ok(())
}

/// S6: what holders draw, use and give back moves within an allocation. Its amount is the administrator's, but for what
/// a reallocation pays and for grants that end.
pub fn holders_change_no_allocation(before: &Workspace, command: &Command, after: &Workspace) -> Verdict {
    let is_quiet = before.intents.is_empty() && after.intents.is_empty();
    let lives = |workspace: &Workspace| workspace.grants.iter().map(|grant| grant.state).collect::<Vec<_>>();
    if !matches!(command, Command::Holder(_)) || !is_quiet || lives(before) != lives(after) {
        return Ok(());
    }
    let sentence = "S6 holders change no allocation";
    for (owner, is) in after.allocations() {
        let Some(was) = before.allocation_of(&owner) else { continue };
        // Credits of a grant that has ended come back to nobody.
        let ended = after.grants.iter().any(|grant| grant.state != GrantState::Live);
        // What comes back of an ended cycle makes up for what was missing.
        let promised = |a: &ledger::Allocation| a.amount().saturating_add(a.short);
        let same = was.no != is.no || promised(was) == promised(is) || ended && promised(is) < promised(was);
        // A seat's part is what is left of its share: what comes back of what is shared is his again, and no more than that.
        let share = match &owner {
            Owner::User(user) if is.of_seat => after.user(user).and_then(|user| user.share),
            Owner::User(_) | Owner::Team(_) => None,
        };
        let same = same || share.is_some_and(|share| promised(is) <= share.max(promised(was)));
        holds(same, sentence, || format!("{owner:?}: {} became {}", was.amount(), is.amount()))?;
    }
    Ok(())
}

/// S18: no grant and no cycle ends before its time. `now`: what no clock that entries may be dated by has passed.
pub fn nothing_ends_early(workspace: &Workspace, now: Timestamp) -> Verdict {
    holds(workspace.cycle_starts_at <= now, "S18 no cycle begins early", || {
        format!("{:?} began at {:?}, it is {now:?}", workspace.cycle, workspace.cycle_starts_at)
    })?;
    for grant in workspace.grants.iter().filter(|grant| grant.state == GrantState::Expired) {
        // One that ends with its cycle ends with it, whatever window it was given.
        let end = grant.expires_at.filter(|_| grant.term == Term::Lasting).unwrap_or(now);
        holds(end <= now, "S18 no grant ends early", || {
            format!("{} ended at {now:?}, not at {end:?}", grant.id)
        })?;
    }
    Ok(())
}

/// R10: all that a fenced holder has is written off.
pub fn fenced_holders_have_nothing(workspace: &Workspace, ghost: &Ghost) -> Verdict {
    let open = |(id, line): &(&LineId, &Line)| ghost.fenced.contains(&id.holder) && !line.written_off;
    let open = workspace.lines.iter().find(open);
    holds(open.is_none(), "R10 fenced holders have nothing", || format!("{open:?}"))
}

/// S1 of a forgotten holder: what is charged for it, and asked to be credited back, is booked as exposure, all of it.
pub fn a_forget_does_what_was_asked(command: &Command, applied: &Applied) -> Verdict {
    let (Command::Forget { mode, .. }, Ok(Outcome::Forgotten { written_off, exposure, .. })) =
        (command, &applied.result)
    else {
        return Ok(());
    };
    let asked = match mode {
        ForgetMode::Charge => Credits::ZERO,
        ForgetMode::Credit => *written_off,
    };
    holds(*exposure == asked, "S1 a forget does what was asked", || format!("{command:?}: {applied:?}"))
}

/// S10 of holders: fenced for ever, one disk per node, no journal older than known.
pub fn no_holder_comes_back(state: &State, ghost: &Ghost) -> Verdict {
    let sentence = "S10 no holder comes back";
    let mut nodes = BTreeSet::new();
    for (id, record) in &state.holders {
        let is_fenced = record.status == HolderStatus::Fenced;
        holds(is_fenced == ghost.fenced.contains(id), sentence, || format!("{id}: {record:?}"))?;
        holds(is_fenced || nodes.insert(id.node), sentence, || format!("two disks of {}", id.node))?;
        let known = ghost.sequences.get(id).copied().unwrap_or_default();
        holds(record.journal_sequence >= known, sentence, || format!("{id}: {record:?}, known {known}"))?;
    }
    Ok(())
}

/// S13: equal logs make equal states.
pub fn equal_logs_make_equal_states(
    mut fresh: State,
    log: &[(Timestamp, Command)],
    state: &State,
) -> Verdict {
    for (at, command) in log {
        fresh.apply(*at, command);
    }
    holds(fresh == *state, "S13 equal logs make equal states", || format!("after {} commands", log.len()))
}

/// A batch that `would_change` nothing leaves all but the hearing of it as a tick would: who was heard, what is held,
/// and calls that cost nothing.
pub fn a_batch_without_change_changes_nothing(
    before: &State,
    batch: &HolderBatch,
    at: Timestamp,
    after: &State,
) -> Verdict {
    let mut expected = before.clone();
    expected.apply(at, &Command::Tick { workspace: batch.workspace.clone() });
    expected.holders.clone_from(&after.holders);
    if let (Some(known), Some(now)) =
        (expected.workspaces.get_mut(&batch.workspace), after.workspace(&batch.workspace))
    {
        let known = Arc::make_mut(known);
        for (id, line) in &mut known.lines {
            if let Some(now) = now.lines.get(id) {
                (line.heard_at, line.held, line.confirmed) = (now.heard_at, now.held, now.confirmed);
                line.meters.clone_from(&now.meters);
            }
        }
        known.meters.clone_from(&now.meters);
        known.meter_numbers.clone_from(&now.meter_numbers);
        known.metered_names.clone_from(&now.metered_names);
    }
    holds(expected == *after, "a batch without change changes nothing", || format!("{batch:?}"))
}

/// When nothing is out on open lines, nothing is pending either and every reallocation is settled.
pub fn nothing_is_pending_when_nothing_is_out(workspace: &Workspace) -> Verdict {
    let sentence = "nothing is pending when nothing is out";
    let is_out = |n: &ledger::BackingNumbers| n.backing.source.is_set_aside() && !n.outstanding().is_zero();
    if workspace.lines.values().any(|line| line.backings.iter().any(is_out)) {
        return Ok(());
    }
    let owing = workspace.intents.values().find(|intent| !intent.pending().is_zero());
    holds(owing.is_none(), sentence, || format!("{owing:?}"))?;
    let pledged = Credits::checked_sum(workspace.allocations().map(|(_, a)| a.pledged));
    holds(pledged == Some(Credits::ZERO), sentence, || format!("{pledged:?}"))
}
