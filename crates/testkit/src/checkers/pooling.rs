//! What is judged of pooling: nobody draws on what is not his, a switch moves no credit, and a preview is what happens.

use super::{Verdict, holds};
use ledger::{
    AdminCommand, Answer, Applied, Change, Command, Grant, GrantBooks, Outcome, Pooling, Query, State,
    Workspace,
};
use std::sync::Arc;
use types::{Credits, Source, Timestamp};

/// Where each seat has its own, nothing is drawn of what is shared.
pub fn nobody_draws_on_what_is_not_his(before: &Workspace, after: &Workspace) -> Verdict {
    if after.pooling != Pooling::PerSeat {
        return Ok(());
    }
    for (id, line) in &after.lines {
        for n in line.backings.iter().filter(|n| n.backing.source == Source::Shared) {
            let was = before.lines.get(id).and_then(|line| line.backing(n.backing));
            let drawn = was.map_or(Credits::ZERO, |was| was.drawn);
            let sentence = "nobody draws on what is shared where each seat has its own";
            holds(n.drawn == drawn, sentence, || {
                format!("{id:?} of {}: {n:?}, drawn before {drawn}", line.user)
            })?;
            // What was drawn before is asked for.
            let is_asked_for = line.frozen || line.written_off || n.outstanding().is_zero();
            holds(is_asked_for, sentence, || format!("{id:?} of {}: {n:?}", line.user))?;
        }
    }
    Ok(())
}

/// A switch changes nothing of a grant but what is set aside of it; and a preview of it is what happens.
pub fn a_switch_moves_nothing_and_is_what_was_previewed(
    before: &State,
    at: Timestamp,
    command: &Command,
    applied: &Applied,
    after: &Workspace,
) -> Verdict {
    let Command::Admin(AdminCommand { workspace, keyed, change: Change::SetPooling(mode), .. }) = command
    else {
        return Ok(());
    };
    // What was answered before under its key is answered again, and does not happen again.
    let known = before.workspace(workspace).map(|workspace| &workspace.keys);
    if keyed.as_ref().is_some_and(|keyed| known.is_some_and(|known| known.contains_key(&keyed.key))) {
        return Ok(());
    }
    let query = Query::Pooling { id: workspace.clone(), after: Some(*mode) };
    let previewed = before.answer(&query, at);
    let happened = match &applied.result {
        Ok(Outcome::Pooling(answer)) => Answer::Pooling(answer.clone()),
        Err(why) => Answer::Refused(Box::new(why.clone())),
        Ok(_) => Answer::Grants(Vec::new()),
    };
    holds(previewed == happened, "a preview of a switch is what happens", || {
        format!("{mode:?}: {previewed:?} became {happened:?}")
    })?;
    // Time goes on with every entry.
    let mut known = before.clone();
    known.apply(at, &Command::Tick { workspace: workspace.clone() });
    let books = |pool: &Workspace| -> Vec<GrantBooks> {
        let without = |grant: &Grant| GrantBooks { earmarked: Credits::ZERO, ..grant.books };
        pool.grants.iter().map(without).collect()
    };
    let was = known.workspaces.get(workspace).map(Arc::as_ref).map(books);
    let is = books(after);
    holds(was.as_ref() == Some(&is), "a switch moves no credit", || format!("{was:?} became {is:?}"))
}

/// The rare crossings from one state of a pool to the next.
pub fn crossings_of_pooling(was: &Workspace, now: &Workspace) -> [(&'static str, bool); 6] {
    let parts = |pool: &Workspace| -> Vec<ledger::Allocation> {
        let allocations = pool.users.values().filter_map(|user| user.allocation.as_ref());
        allocations.filter(|allocation| allocation.of_seat).cloned().collect()
    };
    let (old, new) = (parts(was), parts(now));
    let short = |parts: &[ledger::Allocation]| parts.iter().map(|part| part.short.micros()).sum::<u64>();
    let out = |parts: &[ledger::Allocation]| parts.iter().map(|part| part.out.micros()).sum::<u64>();
    let switched = was.pooling != now.pooling;
    let is_free = |user: &ledger::User| user.share.is_some() && !user.has_seat();
    let free = |pool: &Workspace| pool.users.values().filter(|user| is_free(user)).count();
    let shared_is_called_back =
        switched && now.pooling == Pooling::PerSeat && now.frozen_out > was.frozen_out;
    [
        ("pooling was switched", switched),
        ("a switch called shared credits back", shared_is_called_back),
        ("a seat's part was drawn on", out(&new) > out(&old)),
        ("a seat's part was short", short(&new) > short(&old)),
        ("a seat was left free", was.cycle == now.cycle && free(now) > free(was)),
        ("a free seat was taken", was.cycle == now.cycle && !switched && free(now) < free(was)),
    ]
}
