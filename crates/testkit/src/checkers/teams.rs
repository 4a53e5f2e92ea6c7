//! What is judged of reserves: who draws on them, and that nobody is refused what lies idle for him. Recounted from members,
//! teams and lines alone.

use super::services::chain_of;
use super::{Verdict, holds};
use ledger::{
    Allocation, Applied, Command, DenialReason, GrantState, LineResult, Outcome, Overflow, Owner, Pooling,
    Workspace,
};
use std::collections::BTreeSet;
use types::{Credits, LineId, Source, Timestamp, UserId, Window};

/// The reserves that a user may draw on, by how far out their team is.
fn reserves_of<'a>(pool: &'a Workspace, user: &UserId) -> Vec<(u8, &'a Allocation)> {
    let known = pool.users.get(chain_of(pool, user));
    let keeps_to_himself =
        known.and_then(|user| user.allocation.as_ref()).is_some_and(|a| a.overflow == Overflow::None);
    let mut team = known.and_then(|user| user.member.as_ref()?.team.as_ref());
    let (mut found, mut level) = (Vec::new(), 0);
    while let Some(known) = team.and_then(|team| pool.teams.get(team)).filter(|_| !keeps_to_himself) {
        found.extend(known.reserve.as_ref().map(|reserve| (level, reserve)));
        (team, level) = (known.parent.as_ref(), level + 1);
    }
    found
}

/// What was drawn out of a reserve with this step its user may draw, as a member of that team or of one nested in it.
pub fn members_alone_draw_on_a_reserve(before: &Workspace, after: &Workspace) -> Verdict {
    for (id, line) in &after.lines {
        for n in &line.backings {
            let Source::Reserve(level) = n.backing.source else { continue };
            let was = before.lines.get(id).and_then(|line| line.backing(n.backing));
            if was.is_some_and(|was| was.drawn == n.drawn) {
                continue;
            }
            let drawn_on = line.behind(n.backing.source);
            let may =
                reserves_of(before, &line.user).iter().any(|(l, r)| (*l, Some(r.no)) == (level, drawn_on));
            // Its cycle ended with this entry: they have new numbers now.
            let may = may || before.cycle != after.cycle && !reserves_of(after, &line.user).is_empty();
            let sentence = "S6 members alone draw on a reserve";
            holds(may, sentence, || format!("{id:?} of {}: {n:?}, {drawn_on:?}", line.user))?;
        }
    }
    Ok(())
}

/// What is out of a reserve is out on lines of those who may draw on it; where one no longer may, it is called back.
pub fn open_lines_have_what_is_for_their_users(pool: &Workspace) -> Verdict {
    for (id, line) in pool.lines.iter().filter(|(_, line)| !line.frozen && !line.written_off) {
        for n in line.backings.iter().filter(|n| !n.outstanding().is_zero()) {
            let Source::Reserve(level) = n.backing.source else { continue };
            let drawn_on = line.behind(n.backing.source);
            let may =
                reserves_of(pool, &line.user).iter().any(|(l, r)| (*l, Some(r.no)) == (level, drawn_on));
            let sentence = "S6 what is out of a reserve is out for its members";
            holds(may, sentence, || format!("{id:?} of {}: {n:?}, {drawn_on:?}", line.user))?;
        }
    }
    Ok(())
}

/// Nobody is refused without a word of what lies idle elsewhere for him: of his own, of his reserves, of what is shared.
pub fn all_of_an_answer(command: &Command, applied: &Applied, after: &Workspace) -> Verdict {
    let (Command::Holder(batch), Ok(Outcome::Lines(answers))) = (command, &applied.result) else {
        return Ok(());
    };
    let ([message], [answer]) = (&batch.lines[..], &answers[..]) else { return Ok(()) };
    let LineResult::Line { denied: Some(denial), .. } = &answer.result else { return Ok(()) };
    let id = batch.line_id(message);
    // Who has not heard yet that something of his came back asks anew.
    let is_behind = after.lines.get(&id).is_some_and(|line| line.returned() > message.returned());
    let is_short = matches!(denial.reason, DenialReason::Exhausted | DenialReason::AllocationExhausted);
    if is_behind || !is_short {
        return Ok(());
    }
    let idle = idle_elsewhere(after, id, &message.user);
    holds(denial.elsewhere.micros() >= idle, "nobody is refused what lies idle for him", || {
        format!("{}: {denial:?}, idle elsewhere {idle}", message.user)
    })
}

fn idle_elsewhere(pool: &Workspace, id: LineId, user: &UserId) -> u64 {
    let own = pool.users.get(chain_of(pool, user)).and_then(|user| user.allocation.as_ref());
    let shares = own.is_none_or(|own| own.overflow == Overflow::Shared) && pool.pooling != Pooling::PerSeat;
    let reserves = reserves_of(pool, user);
    let numbers: BTreeSet<_> =
        own.into_iter().chain(reserves.iter().map(|(_, r)| *r)).map(|a| a.no).collect();
    let mut idle = 0;
    for (_, line) in pool.lines.iter().filter(|(other, line)| **other != id && !line.written_off) {
        for n in &line.backings {
            let is_his = line.behind(n.backing.source).is_some_and(|no| numbers.contains(&no));
            let is_live = pool.grant(n.backing.grant).state == GrantState::Live;
            if is_his || n.backing.source == Source::Shared && shares && is_live {
                idle += n.outstanding().micros();
            }
        }
        let promised =
            line.pledges.iter().filter(|p| line.behind(p.source).is_some_and(|no| numbers.contains(&no)));
        idle -= promised.map(|pledge| pledge.amount.micros()).sum::<u64>();
    }
    idle
}

/// The rare crossings of teams from one state of a pool to the next.
pub fn crossings_of_teams(was: &Workspace, now: &Workspace) -> [(&'static str, bool); 6] {
    let sum = |pool: &Workspace, of: fn(&Allocation) -> Credits| -> u64 {
        pool.teams.values().filter_map(|team| team.reserve.as_ref()).map(|reserve| of(reserve).micros()).sum()
    };
    let paid = |pool: &Workspace| -> u64 {
        let accounts = pool.overages.values().flat_map(|overage| overage.accounts.values());
        let payers = accounts.flat_map(|account| &account.paid_by);
        let of_reserves =
            payers.filter(|payer| payer.allocation.is_some_and(|no| pool.reserves.contains_key(&no)));
        of_reserves.map(|payer| payer.amount.micros()).sum()
    };
    let owes = |pool: &Workspace| {
        let of_teams = pool.intents.values().filter(|intent| matches!(intent.from, Owner::Team(_)));
        of_teams.map(|intent| intent.pending().micros()).sum::<u64>()
    };
    let moved =
        |(name, is): (_, &ledger::Team)| was.teams.get(name).is_some_and(|was| was.parent != is.parent);
    let moved = now.teams.iter().any(moved);
    let lines_of_two_reserves = |pool: &Workspace| pool.lines.values().any(|line| line.reserves.len() > 1);
    let short = |pool: &Workspace| sum(pool, |reserve| reserve.short);
    [
        ("a reserve was drawn on", sum(now, |r| r.out) > sum(was, |r| r.out)),
        ("a line drew on two reserves", lines_of_two_reserves(now) && !lines_of_two_reserves(was)),
        ("a cut of a reserve left a pending part", owes(now) > owes(was)),
        ("a reserve was short", short(now) > short(was)),
        ("a reserve paid for overage", paid(now) > paid(was)),
        ("a team was moved with credits out", moved && now.frozen_out > was.frozen_out),
    ]
}

/// S6 of teams: outstanding + used ≤ limit in each window where more was drawn by whoever is in it; an excess never grows, but by a
/// team that moves in with what it has out.
pub(super) fn draws_keep_within_limits(before: &Workspace, after: &Workspace, at: Timestamp) -> Verdict {
    let places = |workspace: &Workspace| -> Vec<_> {
        workspace.teams.iter().map(|(name, team)| (name.clone(), team.parent.clone())).collect()
    };
    if places(before) != places(after) {
        return Ok(());
    }
    for (name, team) in &after.teams {
        let was = &before.teams[name];
        for window in Window::ALL {
            let Some(limit) = team.limit(window).filter(|limit| was.limit(window) == Some(*limit)) else {
                continue;
            };
            let now = after.counted_in(team, window, at);
            let was = before.counted_in(was, window, at);
            holds(now <= limit || now <= was, "S6 draws keep within limits of teams", || {
                format!("{name}: {now} was {was}, limit {limit} per {window}")
            })?;
        }
    }
    Ok(())
}
