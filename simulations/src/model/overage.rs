//! Credits beyond what is included: minted at the draw, up to a cap in each cycle, billed at its end. Not here: when a
//! draw may want them (`ledger`), and who recalls what lies idle before that (the product's desk; no sentence needs it).

use super::Protocol;
use super::mistakes::Mistake;
use super::words::{Backing, GRANTS};
use super::worlds::{Lasts, World};

/// The grant that pays for use,
pub const INCLUDED: usize = 0;
/// and the one that is made of overage, where a world has it.
pub const BEYOND: usize = GRANTS - 1;

/// Of one cycle. All that is minted is out or charged: what comes back is as if it had never been minted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Overage {
    pub minted: u8,
    /// The part of it that included credits pay for, which came back later.
    pub resourced: u8,
}

impl World {
    /// How much of a cycle's use may be overage.
    pub fn overage_cap(&self) -> Option<u8> {
        let beyond = self.grants[BEYOND];
        (beyond.lasts == Lasts::Minted).then_some(beyond.amount)
    }
}

impl Overage {
    /// What the bill would say, were all of it spent.
    pub fn billed(self) -> u8 {
        self.minted.saturating_sub(self.resourced)
    }

    /// One credit more, unless that is beyond the cap. Only a mistake asks what is `charged`.
    pub fn mint(&mut self, protocol: &Protocol, charged: u8) -> Option<Backing> {
        let cap = protocol.world.overage_cap()?;
        let counted = if protocol.has(Mistake::CapOnWhatIsUsed) { charged } else { self.billed() };
        if counted >= cap {
            return None;
        }
        self.minted += 1;
        Some(Backing::shared(BEYOND))
    }

    /// Included credits have come back: answers how many of them pay for overage.
    pub fn resource(&mut self, protocol: &Protocol, amount: u8) -> u8 {
        if protocol.has(Mistake::OverageStays) {
            return 0;
        }
        let pays = amount.min(self.billed());
        self.resourced += pays;
        if protocol.has(Mistake::ResourcedAndAvailable) { 0 } else { pays }
    }

    /// Overage has come back: answers how many of the credits that paid for it are free again. What nobody has paid for
    /// goes first.
    pub fn unmint(&mut self, protocol: &Protocol, amount: u8) -> u8 {
        let paid_for = amount.saturating_sub(self.billed());
        self.minted -= amount;
        if protocol.has(Mistake::UnmintedStaysPaid) {
            return 0;
        }
        self.resourced -= paid_for;
        paid_for
    }
}
