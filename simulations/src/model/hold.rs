//! Holds: credits that a holder sets aside for one client, until that client says how many it has used.
//!
//! What is held is counted like what is spent: below the watermark, and never given back. Each record about
//! a hold is synced before anybody hears of it, and before what it frees is spent; that it *ended*, too, for
//! else a power loss would open the hold again and let it give back what its client had settled.
//!
//! Not here: several holds of one node (the model has one), a hold's second leg in a new cycle (it is a hold
//! of its own, on the new line), a settle above what is held (rejected, capped, or an ordinary charge).

use super::Protocol;
use super::holder::{Memory, Node};
use super::mistakes::Mistake;
use super::words::ByBacking;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hold {
    pub stage: Stage,
    pub held: ByBacking,
    /// The part of `held` that its client has used for certain: no end of the hold gives it back.
    pub confirmed: ByBacking,
    /// When it expires, by the wall clock: a reboot does not prolong it.
    pub until: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Stage {
    #[default]
    Never,
    Open,
    /// Its time was up. It may still be settled, late.
    Expired,
    /// Settled or released.
    Over,
}

impl Hold {
    pub fn set_aside(&self) -> ByBacking {
        if self.stage == Stage::Open { self.held } else { ByBacking::default() }
    }

    /// What is charged if its client has used so many: first what is confirmed.
    fn charge(&self, amount: u8) -> ByBacking {
        let rest = amount.saturating_sub(self.confirmed.sum());
        self.confirmed.plus(self.held.minus(self.confirmed).first(rest))
    }

    fn is_in_time(&self, protocol: &Protocol, now: u8) -> bool {
        protocol.world.hold_lasts == 0 || now < self.until
    }
}

impl Node {
    /// Sets credits aside, all that are asked for or none. The watermark rises over them in the same record.
    pub fn open_hold(&mut self, protocol: &Protocol, now: u8) -> Option<()> {
        let mut memory = self.serving().filter(|memory| memory.hold.stage == Stage::Never)?;
        let held = memory.free().first(protocol.world.hold);
        let until = now + protocol.world.hold_lasts;
        memory.hold = Hold { stage: Stage::Open, held, confirmed: ByBacking::default(), until };
        (held.sum() == protocol.world.hold).then_some(())?;
        self.set_aside(protocol, memory);
        Some(())
    }

    /// One half of an extension: a credit more is held. Whoever may hold more may hold it longer.
    pub fn hold_more(&mut self, protocol: &Protocol, now: u8) -> Option<()> {
        let mut memory = self.holding(protocol, now)?;
        let more = memory.free().first(1);
        memory.hold.held = memory.hold.held.plus(more);
        memory.hold.until = now + protocol.world.hold_lasts;
        (more.sum() == 1).then_some(())?;
        self.set_aside(protocol, memory);
        Some(())
    }

    /// The other half: one credit more is confirmed. Says which. The hold lasts longer for it only where more could be
    /// held: what was taken away, or is out of reach, comes to an end.
    pub fn confirm(&mut self, protocol: &Protocol, now: u8) -> Option<ByBacking> {
        let mut memory = self.holding(protocol, now)?;
        let in_hand = self.has_session(protocol, now) && !memory.frozen;
        if in_hand || protocol.has(Mistake::AlwaysRefreshed) {
            memory.hold.until = now + protocol.world.hold_lasts;
        }
        let confirmed = memory.hold.confirmed;
        memory.hold.confirmed = memory.hold.charge(confirmed.sum() + 1);
        (memory.hold.confirmed != confirmed).then_some(())?;
        self.append(memory);
        self.sync();
        Some(memory.hold.confirmed.minus(confirmed))
    }

    /// The client has used so many, at most what is held; the rest is free again. Says what was charged
    /// that was not confirmed before. Of an expired hold only an ordinary charge is left (`settle_late`).
    pub fn settle(&mut self, protocol: &Protocol, now: u8, amount: u8) -> Option<ByBacking> {
        let memory = self.holding(protocol, now)?;
        (amount >= memory.hold.confirmed.sum()).then_some(())?;
        let charge = memory.hold.charge(amount);
        self.end_hold(protocol, memory, charge, Stage::Over);
        Some(charge.minus(memory.hold.confirmed))
    }

    /// The client has used nothing but what it confirmed.
    pub fn release(&mut self, protocol: &Protocol, now: u8) -> Option<()> {
        let memory = self.holding(protocol, now)?;
        self.end_hold(protocol, memory, memory.hold.confirmed, Stage::Over);
        Some(())
    }

    /// The client has fallen silent: what it confirmed is charged, the rest is free again.
    pub fn expire_hold(&mut self, protocol: &Protocol, now: u8) -> Option<()> {
        let memory = *self.memory()?;
        let timed = protocol.world.hold_lasts > 0;
        (memory.hold.stage == Stage::Open && (!timed || now >= memory.hold.until)).then_some(())?;
        let charge = match protocol.has(Mistake::ExpiryReturnsConfirmed) {
            true => ByBacking::default(),
            false => memory.hold.confirmed,
        };
        self.end_hold(protocol, memory, charge, Stage::Expired);
        Some(())
    }

    /// What was held may be gone by now, so this is an ordinary charge of what the expiry did not charge, up
    /// to what was held, if the line has so much below its watermark. That the hold is over now is synced.
    pub fn settle_late(&mut self, protocol: &Protocol, amount: u8) -> Option<ByBacking> {
        let before = self.serving()?;
        let late = match before.hold.stage {
            Stage::Expired => true,
            Stage::Over => protocol.has(Mistake::SettledTwice),
            Stage::Never | Stage::Open => false,
        };
        let charged = match before.hold.stage {
            Stage::Expired if !protocol.has(Mistake::LateSettleChargesAll) => before.hold.confirmed.sum(),
            _ => 0,
        };
        (late && amount >= charged).then_some(())?;
        let mut memory = before;
        for _ in charged..amount {
            let backing = memory.next()?;
            memory.used[backing] += 1;
        }
        memory.hold.stage = Stage::Over;
        self.append(memory);
        self.sync();
        Some(memory.used.minus(before.used))
    }

    /// Only a mistake does this, after a restart.
    pub fn count_hold_anew(&mut self, protocol: &Protocol, now: u8) {
        if let Some(mut memory) = self.memory().copied() {
            memory.hold.until = now + protocol.world.hold_lasts;
            self.append(memory);
        }
    }

    fn holding(&self, protocol: &Protocol, now: u8) -> Option<Memory> {
        let holds = |hold: &Hold| hold.stage == Stage::Open && hold.is_in_time(protocol, now);
        self.memory().copied().filter(|memory| holds(&memory.hold))
    }

    fn set_aside(&mut self, protocol: &Protocol, mut memory: Memory) {
        memory.watermark = memory.watermark.max(memory.spoken_for());
        self.append(memory);
        let before = self.disk.hold;
        self.sync();
        if protocol.has(Mistake::HoldNotSynced) {
            self.disk.hold = before;
        }
    }

    /// The watermark falls in the same record, or it would be further ahead than a chunk.
    fn end_hold(&mut self, protocol: &Protocol, mut memory: Memory, charge: ByBacking, stage: Stage) {
        memory.used = memory.used.plus(charge);
        memory.hold.stage = stage;
        if !protocol.has(Mistake::HoldEndKeepsWatermark) {
            memory.watermark = memory.spoken_for();
        }
        self.append(memory);
        if !protocol.has(Mistake::HoldEndNotSynced) {
            self.sync();
        }
    }
}
