//! Holds in shadow mode: one that would have been refused, or a part of it. It takes no more than it has, and is counted once,
//! when it ends. Not here: what is counted in which units (`types`).

use super::words::{EndOfHold, ExtendHold};
use super::{Hold, HoldChange};
use crate::change::Change;
use crate::refused::Refused;
use types::{Credits, Shadowed, Timestamp, Unit, WouldRefuse};

impl Hold {
    /// It takes nothing more: with enforcement on it would have gone no further. Nothing is confirmed that is not set aside.
    pub(super) fn extended_in_shadow(
        &self,
        wish: &ExtendHold,
        code: WouldRefuse,
        expires_at: Timestamp,
    ) -> Result<Change, Refused> {
        let held = self.held();
        let lacked = self.shadow.map_or(Credits::ZERO, |shadow| shadow.would_have_cost);
        let lacks = lacked.max(wish.to.saturating_sub(held));
        if wish.confirmed > held.saturating_add(lacks) {
            return Err(Refused::BeyondHold { held });
        }
        Ok(Change::Hold(HoldChange::Extended {
            hold: wish.hold,
            slot: self.slot,
            parts: Vec::new(),
            confirmed: self.confirmed.max(wish.confirmed.min(held)),
            expires_at,
            shadow: Some(Shadowed { code, would_have_cost: lacks }),
        }))
    }

    /// What it is counted in where no settle says what it has cost. Who releases it has not gone on; who says nothing may have.
    pub(super) fn counted_at(&self, end: EndOfHold) -> Vec<(Unit, u64)> {
        let Some(shadow) = self.shadow else { return Vec::new() };
        let would_have_cost = match end {
            EndOfHold::Released => Credits::ZERO,
            EndOfHold::Settled | EndOfHold::Expired | EndOfHold::SettledLate => shadow.would_have_cost,
        };
        Shadowed { would_have_cost, ..shadow }.units()
    }
}
