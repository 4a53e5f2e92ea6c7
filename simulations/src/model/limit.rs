//! A limit: at most so much may be spent in a window, however much there is. It moves no credit, so a clock may cost it. Not
//! here: limits of features (`scope`).

use super::Protocol;
use super::ledger::{Ledger, Line};
use super::mistakes::Mistake;
use super::session::Leader;

/// What counts in the window that is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Window {
    /// Became known to be charged in it, whenever it was spent.
    pub used: u8,
    /// Only a mistake needs it: what was out when the window began.
    pub out_before: u8,
}

impl Ledger {
    /// Whether one credit more may be drawn: what is out may be spent in this window, on whichever line it is.
    pub fn is_within_limit(&self, protocol: &Protocol, drawing: &Line, more: u8) -> bool {
        let Some(limit) = protocol.world.limit else { return true };
        let Window { used, out_before } = self.window;
        let out = self.counted_out() + if drawing.struck { 0 } else { drawing.outstanding().sum() } + more;
        let counted = match () {
            () if protocol.has(Mistake::LimitOnWhatIsUsed) => used,
            () if protocol.has(Mistake::WindowBeginsAtZero) => used + out.saturating_sub(out_before),
            () => used + out,
        };
        counted < limit
    }

    fn counted_out(&self) -> u8 {
        let counted = self.lines.iter().filter(|line| !line.struck);
        counted.map(|line| line.outstanding().sum()).sum()
    }

    /// The next window begins. Who can spend no more before he is heard again, and then hears that his lines are frozen,
    /// does not count in it.
    pub fn turn_window(&mut self, protocol: &Protocol, leader: &Leader, now: u8) {
        self.window = Window { used: 0, out_before: self.counted_out() };
        let grace = if protocol.has(Mistake::StruckOverAHold) { 0 } else { protocol.world.hold_lasts };
        for line in self.lines.iter_mut().filter(|_| protocol.world.session > 0) {
            if leader.until(protocol, line.id.holder.node as usize) + grace <= now {
                line.struck = true;
                if !protocol.has(Mistake::StruckButNotFrozen) {
                    line.freeze();
                }
            }
        }
    }

    /// So much has become known to be charged on a line.
    pub fn count_in_window(&mut self, protocol: &Protocol, line: &Line, amount: u8) {
        let earlier = self.window.out_before > 0 && protocol.has(Mistake::CountedWhereItWasDrawn);
        if earlier {
            self.window.out_before = self.window.out_before.saturating_sub(amount);
        } else if !line.struck {
            self.window.used = self.window.used.saturating_add(amount);
        }
    }
}
