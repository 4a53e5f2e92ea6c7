//! What a user draws on, in the order in which it burns, and what of it a line takes. Not here: how much is wanted (`draw`).

use crate::grant::Grant;
use crate::line::Line;
use crate::workspace::Workspace;
use types::{BACKINGS_PER_LINE_MAX, Backing, Credits, Source, Timestamp};

/// What a draw may take: by backing, in the order in which it burns.
pub(crate) type Takes = Vec<(Backing, Credits)>;

impl Workspace {
    /// Everything a user may draw now, in the order in which it burns: own allocation, his teams' reserves from the innermost
    /// on, then what is shared.
    pub(crate) fn chain(&self, user: &types::UserId, at: Timestamp) -> Takes {
        let whose = self.chain_user(user);
        let drawable: Vec<&Grant> = self.grants_in_burn_order().filter(|g| g.is_drawable(at)).collect();
        let mut chain = Vec::with_capacity(drawable.len());
        let mut from = |source, grant, amount: Credits| {
            if !amount.is_zero() {
                chain.push((Backing { source, grant }, amount));
            }
        };
        let own = whose.and_then(|u| u.allocation.as_ref()).map(|own| (Source::Allocation, own));
        for (source, set_aside) in own.into_iter().chain(self.reserves_of(whose)) {
            drawable.iter().for_each(|g| from(source, g.no, set_aside.earmarks.on(g.no)));
        }
        if self.chain_may_share(whose) {
            drawable.iter().for_each(|g| from(Source::Shared, g.no, g.shared()));
        }
        chain
    }
}

/// So much of the chain as there is room for on the line, and what there is within that room.
pub(crate) fn takes_of(chain: Takes, line: Option<&Line>, mut left: Credits) -> (Takes, Credits) {
    let mut takes = Vec::new();
    let mut places = BACKINGS_PER_LINE_MAX.saturating_sub(line.map_or(0, |l| l.backings.len()));
    let mut within_places = Credits::ZERO;
    for (backing, part) in chain {
        if !line.is_some_and(|l| l.backings.iter().any(|n| n.backing == backing)) {
            // What burns later is not taken before what burns first.
            let Some(rest) = places.checked_sub(1) else { break };
            places = rest;
        }
        within_places = within_places.saturating_add(part);
        let taken = part.min(left);
        if !taken.is_zero() {
            takes.push((backing, taken));
            left.shrink(taken);
        }
    }
    (takes, within_places)
}
