//! What is judged of services: they draw on the chain that they share, and on no other. Recounted from members and lines alone.

use super::{Verdict, holds};
use ledger::{Shares, Workspace};
use types::UserId;

/// Whose allocation, reserves and limits somebody spends by.
pub(super) fn chain_of<'a>(pool: &'a Workspace, user: &'a UserId) -> &'a UserId {
    let member = pool.users.get(user).and_then(|user| user.member.as_ref());
    match member.and_then(|member| member.service.as_ref()).map(|service| (&service.shares, &service.owner)) {
        Some((Shares::WithOwner, owner)) => owner,
        Some((Shares::With(service), _)) => service,
        Some((Shares::Nothing, _)) | None => user,
    }
}

/// A line that draws does so on the chain that is shared with its user, and the books of whose chain that is know of it.
pub fn lines_draw_on_the_chain_that_is_shared(pool: &Workspace) -> Verdict {
    for (id, line) in pool.lines.iter().filter(|(_, line)| !line.frozen && !line.written_off) {
        let whose = chain_of(pool, &line.user);
        let is_known = whose == &line.user || {
            let services = pool.users.get(whose).and_then(|user| user.by_services.as_ref());
            services.is_some_and(|services| services.lines.contains(id))
        };
        let sentence = "S6 a service draws on the chain that is shared with it";
        let draws_on = line.chain_of.as_ref().unwrap_or(&line.user);
        holds(draws_on == whose && is_known, sentence, || {
            format!("{id:?} on {draws_on} of {whose}: {line:?}")
        })?;
    }
    Ok(())
}

/// The rare crossings from one state of a pool to the next.
pub fn crossings_of_services(was: &Workspace, now: &Workspace) -> [(&'static str, bool); 4] {
    let charged = |pool: &Workspace| -> u64 {
        let services = pool.users.values().filter_map(|user| user.by_services.as_ref());
        services.map(|services| services.charged.micros()).sum()
    };
    let of_allocations = |pool: &Workspace| {
        pool.lines.values().filter(|line| line.chain_of.is_some() && line.allocation.is_some()).count()
    };
    let overage = |pool: &Workspace| -> u64 {
        let accounts = pool.overages.values().flat_map(|overage| overage.accounts.values());
        accounts.filter(|account| account.chain_of.is_some()).map(|account| account.made.micros()).sum()
    };
    let moved = was.users.iter().any(|(name, _)| chain_of(was, name) != chain_of(now, name));
    [
        ("a service spent what is shared with it", charged(now) > charged(was)),
        ("a service drew on another's allocation", of_allocations(now) > of_allocations(was)),
        ("a service had overage of another's", overage(now) > overage(was)),
        ("a service shared otherwise with credits out", moved && now.frozen_out > was.frozen_out),
    ]
}
