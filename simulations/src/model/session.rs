//! Sessions: how long a holder may spend without having heard from the leader.
//!
//! A session moves no credit. All it does is let an administrator be told *until when* a holder that cannot be
//! reached may still spend what was taken away. That bound stands on four things: it is counted from when the
//! renewal was sent; it does not outlive the boot it was counted in; the answer that renews it brings the
//! recall of a line that was frozen meanwhile, unless its holder has said that it knows, which it does not
//! forget; and only a leader gives it whom a quorum has confirmed since the renewal arrived.
//!
//! Not here: clocks that run at different speeds; renewal by any other answer than this one.

use super::Protocol;
use super::holder::Node;
use super::ledger::Ledger;
use super::mistakes::Mistake;
use super::words::{Holder, LineId, Message, NODES, Numbers};

/// What the leader knows beside the replicated ledger. It is not logged, and lost with the leader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Leader {
    /// When each node's last renewal arrived.
    pub heard: [u8; NODES],
    /// The last line of each node that was recalled for good and whose holder has said that it knows.
    pub sealed: [Option<LineId>; NODES],
}

impl Leader {
    /// A new leader takes every session as renewed just now: whatever was renewed before ends earlier.
    pub fn elected(protocol: &Protocol, now: u8) -> Leader {
        let heard = if protocol.has(Mistake::SessionsForgottenByLeader) { 0 } else { now };
        Leader { heard: [heard; NODES], sealed: [None; NODES] }
    }

    /// What of a sealed line is still out is held, and comes back when its hold ends.
    pub fn hear(&mut self, numbers: &Numbers) {
        if numbers.sealed {
            self.sealed[numbers.line.holder.node as usize] = Some(numbers.line);
        }
    }

    /// Until when at the latest this node may spend, should it never be heard again.
    pub fn until(&self, protocol: &Protocol, node: usize) -> u8 {
        self.heard[node] + protocol.world.session
    }

    /// A fenced holder is not answered. Any other hears, in the same message, which line it must give back.
    pub fn renew(
        &mut self,
        protocol: &Protocol,
        ledger: &Ledger,
        renewal: (Holder, u8, u8),
        now: u8,
    ) -> Option<Message> {
        let (holder, boot, sent) = renewal;
        if ledger.fenced[holder.index()] && !protocol.has(Mistake::FencedHolderRenews) {
            return None;
        }
        self.heard[holder.node as usize] = now;
        let mut lines = ledger.lines.iter().rev().filter(|line| line.id.holder == holder);
        let frozen = lines.find(|line| line.frozen_at.is_some() && !line.lost);
        let sealed = self.sealed[holder.node as usize];
        let frozen = frozen.filter(|line| sealed != Some(line.id));
        let recall = frozen.filter(|_| !protocol.has(Mistake::RenewedWithoutRecall));
        Some(Message::Renewed { holder, boot, sent, recall: recall.map(|line| (line.id, line.drawn)) })
    }
}

impl Node {
    /// Counts from the boot, also while the machine sleeps (CLOCK_BOOTTIME).
    fn boottime(&self, now: u8) -> u8 {
        now - self.booted_at
    }

    pub fn has_session(&self, protocol: &Protocol, now: u8) -> bool {
        let ignored = protocol.world.session == 0 || protocol.has(Mistake::SessionIgnored);
        ignored || self.boottime(now) < self.session
    }

    pub fn ask_to_renew(&self, now: u8) -> Option<Message> {
        self.memory()?;
        Some(Message::Renew { holder: self.holder, boot: self.boot, sent: self.boottime(now) })
    }

    /// Whether the answer is to what this boot has sent.
    pub fn hear_renewed(&mut self, protocol: &Protocol, boot: u8, sent: u8, now: u8) -> Option<()> {
        let mine = boot == self.boot || protocol.has(Mistake::RenewalOfAnEarlierBoot);
        (mine && self.memory().is_some()).then_some(())?;
        let from = match protocol.has(Mistake::SessionFromItsAnswer) {
            true => self.boottime(now),
            false => sent,
        };
        self.session = self.session.max(from + protocol.world.session);
        Some(())
    }
}
