//! The sums of a workspace's summary. Not here: where its parts come from.

use super::{credits, same};
use crate::checkers::Verdict;
use ledger::Workspace;
use types::{Credits, Timestamp};

/// The surface's sums: granted + refunded = used + held + available + leased; allocations and what is shared fit the pool.
pub(super) fn view_sums_are_right(pool: &Workspace, at: Timestamp) -> Verdict {
    let view = pool.view(at);
    let sum = [view.used, view.held, view.available, view.leased].iter().map(|part| part.micros()).sum();
    let sentence = "granted + refunded = used + held + available + leased";
    let granted = view.granted.checked_add(view.refunded);
    same(sentence, &format!("{view:?}"), granted, Some(credits(sum)))?;
    let by_node = Credits::checked_sum(view.leased_by_node.values().copied());
    same("what is out is out at nodes", &format!("{view:?}"), by_node, view.leased.checked_add(view.held))
}
