//! Overage, judged from one step: within its caps, and paid for by what comes back.

use super::{Verdict, holds};
use ledger::{Command, GrantState, HolderBatch, Line, Overage, OverageAccount, OverageRule, Wish, Workspace};
use std::collections::{BTreeMap, BTreeSet};
use types::{Backing, Credits, CycleNumber, Source, UserId};

pub fn all_of_a_step(before: &Workspace, command: &Command, after: &Workspace) -> Verdict {
    draws_keep_within_caps(before, after)?;
    what_comes_back_pays_for_overage(before, command, after)
}

/// S6: what nobody has paid for grows by draws alone, up to the cap; so does what one user drew.
pub fn draws_keep_within_caps(before: &Workspace, after: &Workspace) -> Verdict {
    if before.cycle != after.cycle || !after.overages.contains_key(&after.cycle) {
        return Ok(());
    }
    let sentence = "S6 overage keeps within its caps";
    let keeps = |rule: OverageRule, was: Credits, is: Credits| match rule {
        OverageRule::Off => is <= was,
        OverageRule::On => true,
        OverageRule::UpTo(cap) => is <= was.max(cap),
    };
    let [was, is] = [before, after].map(|pool| pool.unpaid_overage(after.cycle));
    holds(keeps(after.overage_rule(), was, is), sentence, || {
        format!("{is} are unpaid, {was} were, {:?}", after.overage_rule())
    })?;
    for (name, user) in &after.users {
        let Some((rule, _)) = user.overage_rule else { continue };
        let (was, is) = (before.overage_of(name), after.overage_of(name));
        holds(keeps(rule, was, is), sentence, || format!("{name} drew {is}, had drawn {was}, {rule:?}"))?;
    }
    Ok(())
}

/// What one batch gives back of one cycle.
#[derive(Default)]
struct Back {
    shared: u64,
    /// Overage, by who drew it.
    beyond: BTreeMap<UserId, u64>,
    /// The order of its messages counts, or allocations do: nothing simple can be said.
    is_mixed: bool,
}

/// S9: shared credits that come back pay for what is unpaid of those who may share; of overage that comes back first goes what
/// nobody has paid for. Of batches in which more of it is drawn, or both come back, nothing is said: the order counts there.
pub fn what_comes_back_pays_for_overage(before: &Workspace, command: &Command, after: &Workspace) -> Verdict {
    let Command::Holder(batch) = command else { return Ok(()) };
    for (cycle, is) in &after.overages {
        let Some(was) = before.overages.get(cycle).filter(|was| !was.accounts.is_empty()) else { continue };
        let back = given_back(before, batch, after, *cycle);
        let made = |pool: &Workspace| pool.grant(is.grant).books.amount.micros();
        let came: u64 = back.beyond.values().sum();
        if back.is_mixed || made(before) != made(after) + came || is.accounts.is_empty() && came == 0 {
            continue;
        }
        let sentence = "S9 what comes back pays for overage";
        let tell = || format!("{cycle:?}: {was:?} became {is:?}: {batch:?}");
        let unpaid = |account: &OverageAccount| {
            let paid = account.paid_by.iter().map(|payer| payer.amount.micros()).sum::<u64>();
            account.made.micros() - paid
        };
        let of_sharers = |overage: &Overage| -> u64 {
            overage.accounts.values().filter(|account| account.shares).map(unpaid).sum()
        };
        if back.beyond.is_empty() {
            holds(of_sharers(is) == of_sharers(was).saturating_sub(back.shared), sentence, tell)?;
        } else if back.shared == 0 && back.beyond.len() == 1 && was.accounts.len() == 1 {
            let of_all = |overage: &Overage| overage.accounts.values().map(unpaid).sum::<u64>();
            holds(of_all(is) == of_all(was).saturating_sub(came), sentence, tell)?;
        }
    }
    Ok(())
}

fn given_back(before: &Workspace, batch: &HolderBatch, after: &Workspace, cycle: CycleNumber) -> Back {
    let mut back = Back::default();
    let mut seen = BTreeSet::new();
    for message in &batch.lines {
        let id = batch.line_id(message);
        back.is_mixed |= !seen.insert(id);
        let Some(was) = before.lines.get(&id).filter(|line| line.cycle == cycle && !line.written_off) else {
            continue;
        };
        for n in &was.backings {
            // What is closed has charged what it says, and given back all the rest.
            let charged = || {
                let told = message.used.by_backing.iter().find(|(backing, ..)| *backing == n.backing);
                told.map_or(0, |(_, used, lost)| used.micros() + lost.micros())
            };
            let returned = |line: &Line| of(line, n.backing).map_or(0, |n| n.returned.micros());
            let now = match after.lines.get(&id) {
                Some(line) => returned(line),
                None if message.wish == Wish::Close => n.drawn.micros() - charged(),
                None => n.returned.micros(),
            };
            let more = now.saturating_sub(n.returned.micros());
            // What was voided, or is over, pays for nothing.
            let grant = after.grant(n.backing.grant);
            let is_over = grant.state == GrantState::Voided || grant.expires_at.is_some();
            match n.backing.source {
                Source::Shared if is_over => back.is_mixed |= more > 0,
                Source::Shared => back.shared += more,
                Source::Overage if more > 0 => *back.beyond.entry(was.user.clone()).or_default() += more,
                Source::Overage => {}
                Source::Allocation | Source::Reserve(_) => back.is_mixed |= more > 0,
            }
        }
    }
    back
}

fn of(line: &Line, backing: Backing) -> Option<&ledger::BackingNumbers> {
    line.backings.iter().find(|numbers| numbers.backing == backing)
}
