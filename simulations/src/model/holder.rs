//! The holder's half of the protocol: memory, page cache and disk of a node, and what survives what.
//! The order is always the same: spend only what a more durable layer already counts as gone.
//! Not here: what happens to a hold (`hold`), and when a holder may spend at all (`session`).

use super::Protocol;
use super::hold::{Hold, Stage};
use super::mistakes::Mistake;
use super::scope::Scope;
use super::words::{Backing, ByBacking, DISKS, Holder, LINES, LineId, Message, Numbers, Recall, Wish};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    pub holder: Holder,
    /// The kernel's boot id: a new one after each power loss, the same after a killed process.
    pub boot: u8,
    pub process: Process,
    /// What the kernel has; survives a kill.
    pub page_cache: Journal,
    /// What was synced; survives a power loss.
    pub disk: Journal,
    /// When the kernel started, by the wall clock.
    pub booted_at: u8,
    /// The session ends when this much time has passed since the boot. Kept nowhere but here.
    pub session: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Process {
    Down,
    /// Only a mistake stops here: the boot id is written, the rounded numbers are not yet.
    HalfRounded,
    Up(Memory),
}

/// What a running process knows of its open line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Memory {
    pub drawn: ByBacking,
    pub returned: ByBacking,
    pub used: ByBacking,
    pub unattributed: ByBacking,
    pub watermark: ByBacking,
    pub hold: Hold,
    /// Recalled for good.
    pub frozen: bool,
    pub scope: Scope,
    /// The list of what is limited that this process has heard of.
    pub knows: u8,
}

/// The journal as of its last record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Journal {
    pub boot: u8,
    /// The highest line number ever taken: it never falls.
    pub n: u8,
    pub open: bool,
    pub returned: ByBacking,
    pub used: ByBacking,
    pub unattributed: ByBacking,
    pub watermark: ByBacking,
    pub hold: Hold,
    /// With the Return that says so: a leader that heard it renews the session and does not say it again.
    pub frozen: bool,
    pub scope: Scope,
}

impl Memory {
    /// What no client may be given any more.
    pub fn spent(&self) -> ByBacking {
        self.used.plus(self.unattributed)
    }

    /// Spent or set aside: neither may be given to another client, nor back to the ledger.
    pub fn spoken_for(&self) -> ByBacking {
        self.spent().plus(self.hold.set_aside())
    }

    /// What may still be set aside, or brought below the watermark.
    pub fn free(&self) -> ByBacking {
        match self.frozen {
            true => ByBacking::default(),
            false => self.drawn.minus(self.returned).minus(self.spoken_for()),
        }
    }

    /// The next credit below the watermark that is not spoken for.
    pub fn next(&self) -> Option<Backing> {
        if self.frozen {
            return None;
        }
        let spoken_for = self.spoken_for();
        Backing::ALL.into_iter().find(|backing| spoken_for[*backing] < self.watermark[*backing])
    }
}

impl Journal {
    fn with(self, memory: &Memory) -> Journal {
        let Memory { drawn: _, knows: _, frozen, returned, used, unattributed, watermark, hold, scope } =
            *memory;
        Journal { returned, used, unattributed, watermark, hold, frozen, scope, ..self }
    }
}

impl Node {
    pub fn new(holder: Holder, boot: u8) -> Node {
        let journal = Journal { boot, ..Journal::default() };
        let process = Process::Up(Memory::default());
        Node { holder, boot, process, page_cache: journal, disk: journal, booted_at: 0, session: 0 }
    }

    pub fn line(&self) -> LineId {
        LineId { holder: self.holder, n: self.page_cache.n }
    }

    pub fn memory(&self) -> Option<&Memory> {
        match &self.process {
            Process::Up(memory) => Some(memory),
            Process::Down | Process::HalfRounded => None,
        }
    }

    /// The memory of a process that has an open line.
    pub fn serving(&self) -> Option<Memory> {
        self.memory().copied().filter(|_| self.page_cache.open)
    }

    pub fn append(&mut self, memory: Memory) {
        self.process = Process::Up(memory);
        self.page_cache = self.page_cache.with(&memory);
    }

    /// Group commit: everything the kernel has reaches the disk.
    pub fn sync(&mut self) {
        self.disk = self.page_cache;
    }

    /// R6: a message says what is synced, never what is merely true.
    fn numbers(&self, protocol: &Protocol, wish: Wish) -> Option<Message> {
        let memory = self.memory()?;
        let ahead = protocol.has(Mistake::ReportAheadOfDisk);
        let hasty = protocol.has(Mistake::ReturnBeforeSync);
        Some(Message::Numbers(Numbers {
            line: self.line(),
            returned: if hasty { memory.returned } else { self.disk.returned },
            used: if ahead { memory.used } else { self.disk.used },
            unattributed: self.disk.unattributed,
            scope: if ahead { memory.scope } else { self.disk.scope },
            sealed: protocol.world.session > 0 && memory.frozen,
            wish,
        }))
    }

    /// Asks for credits; without an open line the next number is taken, durably, first. `taken` is the
    /// highest number the holder ever took.
    pub fn ask(&mut self, protocol: &Protocol, taken: u8, only: bool) -> Option<Message> {
        let Memory { hold, knows, .. } = *self.memory()?;
        if !self.page_cache.open {
            let next = if protocol.has(Mistake::LineNumberReused) { 1 } else { taken + 1 };
            if next as usize > LINES {
                return None;
            }
            let scope = self.next_scope(only)?;
            self.page_cache = Journal { n: next, open: true, ..self.page_cache };
            self.append(Memory { hold, knows, scope, ..Memory::default() });
            self.sync();
        }
        let known = self.memory()?.drawn.sum();
        let target = match protocol.has(Mistake::RelativeDraws) {
            true => protocol.world.draw,
            false => known.saturating_add(protocol.world.draw),
        };
        let floor = if protocol.world.least == 0 { 0 } else { known.saturating_add(protocol.world.least) };
        self.numbers(protocol, Wish::Draw { target, floor })
    }

    /// Only a mistake needs it: what a copy of this disk says of a line, as if its holder had closed it.
    pub fn copy_of_journal(&self, line: LineId) -> Option<Numbers> {
        let Journal { returned, used, unattributed, scope, .. } = self.disk;
        let (sealed, wish) = (false, Wish::Close);
        (self.line() == line).then_some(Numbers { line, returned, used, unattributed, scope, sealed, wish })
    }

    pub fn report(&self, protocol: &Protocol) -> Option<Message> {
        self.serving()?;
        self.numbers(protocol, Wish::Report)
    }

    /// R3: the watermark is on the disk before anything is spent up to it, and runs at most one chunk ahead.
    pub fn advance_watermark(&mut self, protocol: &Protocol) -> Option<()> {
        let mut memory = self.serving().filter(|memory| !memory.frozen)?;
        let ahead = memory.watermark.sum().saturating_sub(memory.spoken_for().sum());
        let mut room = match protocol.has(Mistake::WatermarkFarAhead) {
            true => memory.drawn.sum(),
            false => protocol.world.chunk.saturating_sub(ahead),
        };
        let before = memory.watermark;
        for backing in Backing::ALL {
            let free =
                memory.drawn[backing].saturating_sub(memory.returned[backing] + memory.watermark[backing]);
            let step = room.min(free);
            memory.watermark[backing] += step;
            room -= step;
        }
        if memory.watermark == before {
            return None;
        }
        if protocol.has(Mistake::NoWatermark) {
            self.process = Process::Up(memory);
        } else {
            self.append(memory);
            self.sync();
        }
        Some(())
    }

    /// One credit, within the watermark. The record is with the kernel before the client has its answer.
    pub fn spend(&mut self, protocol: &Protocol, on_feature: bool) -> Option<Backing> {
        let mut memory = self.serving().filter(|memory| self.is_found(protocol, memory, on_feature))?;
        let backing = memory.next()?;
        memory.used[backing] += 1;
        memory.scope.used += u8::from(on_feature);
        self.process = Process::Up(memory);
        if !protocol.has(Mistake::AnswerBeforeJournal) {
            (self.page_cache.used, self.page_cache.scope) = (memory.used, memory.scope);
        }
        Some(backing)
    }

    /// R5: all that is idle is given back. R is raised and the watermark falls to used + held in one
    /// record, and that record is synced before anybody hears of it.
    pub fn give_back(&mut self, protocol: &Protocol) -> Option<Message> {
        let memory = self.renounce(protocol, self.serving()?);
        let idle = memory.returned != self.serving()?.returned;
        self.append(memory);
        if !protocol.has(Mistake::ReturnBeforeSync) {
            self.sync();
        }
        if idle { self.numbers(protocol, Wish::Report) } else { None }
    }

    /// The line is over. Durable before it is sent; whatever D may still be under way is not claimed. A
    /// line with an open hold waits for its end.
    pub fn close(&mut self, protocol: &Protocol) -> Option<Message> {
        let waits = self.serving()?.hold.stage == Stage::Open && !protocol.has(Mistake::ClosedOverAHold);
        if waits {
            return None;
        }
        let memory = self.renounce(protocol, self.serving()?);
        self.append(memory);
        self.page_cache.open = false;
        self.sync();
        self.numbers(protocol, Wish::Close)
    }

    fn renounce(&self, protocol: &Protocol, mut memory: Memory) -> Memory {
        let hold_forgotten = protocol.has(Mistake::HoldGivenBack) || protocol.has(Mistake::ClosedOverAHold);
        let kept = if hold_forgotten { memory.spent() } else { memory.spoken_for() };
        memory.returned = memory.returned.max(memory.drawn.minus(kept));
        if !protocol.has(Mistake::WatermarkKeptOnReturn) {
            memory.watermark = kept;
        }
        memory
    }

    /// R2: D is installed by max. A recall carries D too, so that a restarted holder knows what to give back.
    /// Answers with a Return, where there is something to give back.
    pub fn hear(&mut self, protocol: &Protocol, drawn: ByBacking, recall: Recall) -> Option<Message> {
        let mut memory = self.serving()?;
        let deaf = recall != Recall::No && protocol.has(Mistake::RecallWithoutDrawn);
        memory.drawn = match protocol.has(Mistake::InstallByAdd) {
            _ if deaf => memory.drawn,
            true => memory.drawn.plus(drawn),
            false => memory.drawn.max(drawn),
        };
        memory.frozen |= recall == Recall::ForGood && !protocol.has(Mistake::RecallForgotten);
        self.process = Process::Up(memory);
        if recall == Recall::No {
            return None;
        }
        let returned = self.give_back(protocol);
        // Nobody waits for what cannot come: that nothing is idle is an answer too.
        let sealed = memory.frozen && protocol.world.session > 0;
        if returned.is_none() && sealed { self.numbers(protocol, Wish::Report) } else { returned }
    }

    /// The draw that should have opened this line was overtaken by one with a higher n. Nothing was ever
    /// drawn on it, so it is dropped, and the next Ask takes the next n.
    pub fn hear_stale(&mut self) {
        if self.serving().is_some_and(|memory| memory.drawn.sum() == 0) {
            self.page_cache.open = false;
            self.sync();
        }
    }

    /// The process dies, the kernel lives.
    pub fn kill(&mut self) {
        self.process = Process::Down;
        self.session = 0;
    }

    /// The kernel dies too: only what was synced is left, and the clock that counts from the boot is at zero.
    pub fn lose_power(&mut self, protocol: &Protocol, now: u8) {
        self.process = Process::Down;
        self.page_cache = self.disk;
        self.boot += 1;
        self.booted_at = now;
        if !protocol.has(Mistake::SessionSurvivesReboot) {
            self.session = 0;
        }
    }

    /// R10: an empty disk is a new holder.
    pub fn lose_disk(&mut self, protocol: &Protocol) -> Option<()> {
        let kept = protocol.has(Mistake::DiskLossKeepsIdentity);
        let disk = if kept { self.holder.disk } else { self.holder.disk + 1 };
        let empty = Node::new(Holder { disk, ..self.holder }, self.boot);
        *self = Node { process: Process::Down, booted_at: self.booted_at, ..empty };
        ((disk as usize) < DISKS).then_some(())
    }

    /// R4: exact if the kernel never stopped, for then every consume that was answered is in the
    /// journal. Otherwise everything up to the watermark counts as spent, but for what is held.
    pub fn restart(&mut self, protocol: &Protocol) {
        if self.page_cache.boot == self.boot {
            self.process = Process::Up(self.remembered(protocol));
        } else if protocol.has(Mistake::BootIdBeforeRounding) {
            self.page_cache.boot = self.boot;
            self.sync();
            self.process = Process::HalfRounded;
        } else {
            self.round(protocol);
        }
    }

    /// Boot id and rounded numbers are one record. What is held is not rounded: its hold is on the disk.
    pub fn round(&mut self, protocol: &Protocol) {
        let mut memory = self.remembered(protocol);
        let held = match protocol.has(Mistake::HoldRoundedToo) {
            true => ByBacking::default(),
            false => memory.hold.set_aside(),
        };
        if !protocol.has(Mistake::ResumeFromRecords) {
            memory.unattributed = memory.watermark.minus(memory.used).minus(held);
        }
        if protocol.has(Mistake::RoundingCountedTwice) {
            memory.used = memory.watermark;
        }
        self.page_cache.boot = self.boot;
        self.append(memory);
        self.sync();
    }

    /// D is not kept on disk: at least the watermark and what was returned were drawn, and the next
    /// answer says the rest.
    fn remembered(&self, protocol: &Protocol) -> Memory {
        let Journal { returned, used, unattributed, watermark, hold, frozen, scope, .. } = self.page_cache;
        Memory {
            drawn: watermark.plus(returned),
            returned,
            used,
            unattributed,
            watermark,
            hold,
            scope,
            knows: 0,
            frozen: frozen && !protocol.has(Mistake::SealNotKept),
        }
    }
}
