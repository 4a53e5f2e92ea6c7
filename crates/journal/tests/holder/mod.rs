//! A holder around a journal on a simulated disk, which tests kill and start again. Not here: what must be true then.
#![allow(dead_code, reason = "each test file uses its part")]

use journal::{
    Begun, Charge, Charged, EndOfHold, Ended, Ending, ExtendHold, HandleNo, Held, HoldView, Journal,
    JournalFault, KeyTable, LineKey, OpenHold, OpenLine, Options, Recovered, Refused, Settle, SettleLate,
    Spend,
};
use platform::{Clock, Directory, Disk, ManualClock, MemDisk, Unsynced};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::Runtime;
use types::{
    Backing, Credits, CycleNumber, DiskId, Durability, Feature, GrantNo, HoldNumber, IdempotencyKey,
    LineNumber, Meter, PriceVersion, Source, Timestamp, Unit, UserId, WorkspaceId,
};

pub const DATA: &str = "/data";
pub const DISK_ID: DiskId = DiskId(7);
pub const KEY_WINDOW_MS: u32 = 1_000_000;

pub fn options() -> Options {
    Options {
        segment_bytes: 96 * 1024,
        tail_bytes: 4 * 1024,
        queue_max: 64,
        batch_max: 16,
        waiting_max: 64,
        lines_max: 1_000,
        holds_max: 16_384,
        holds_per_user_max: 1_000,
        key_window_ms: KEY_WINDOW_MS,
        keys_bytes_max: 1 << 20,
        past_bytes_max: 0,
    }
}

pub fn credits(micros: u64) -> Credits {
    Credits::from_micros(micros).unwrap()
}

pub fn workspace(name: &str) -> WorkspaceId {
    WorkspaceId::parse(name).unwrap()
}

pub fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

pub fn backing(source: Source, grant: u32) -> Backing {
    Backing { source, grant: GrantNo(grant) }
}

pub fn shared() -> Backing {
    backing(Source::Shared, 1)
}

pub fn meter(feature: &str, at: Timestamp) -> Meter {
    Meter { feature: Feature::parse(feature).unwrap(), model: None, day: at.day() }
}

pub fn line(name: &str, number: u64) -> LineKey {
    LineKey { workspace: workspace(name), number: LineNumber(number) }
}

/// The machine: its disk and clock survive the process.
pub struct Machine {
    pub disk: MemDisk,
    pub clock: Arc<ManualClock>,
    pub options: Options,
}

/// The process.
pub struct Holder {
    pub journal: Journal,
    pub keys: Arc<KeyTable>,
    pub recovered: Recovered,
    runtime: Runtime,
}

impl Machine {
    pub fn new(options: Options) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_000)));
        Self { disk: MemDisk::new(), clock, options }
    }

    pub fn start(&self) -> Holder {
        self.try_start().unwrap()
    }

    pub fn try_start(&self) -> Result<Holder, JournalFault> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let opening = Journal::open(self.options.clone(), self.directory(), DISK_ID, self.clock.clone());
        let (journal, keys, recovered) = runtime.block_on(opening)?;
        Ok(Holder { journal, keys, recovered, runtime })
    }

    pub fn directory(&self) -> Arc<dyn Directory> {
        self.disk.directory(Path::new(DATA)).unwrap()
    }

    pub fn kill(&self, holder: Holder) {
        self.disk.kill();
        drop(holder);
    }

    pub fn power_loss(&self, holder: Holder, unsynced: Unsynced) {
        self.disk.power_loss(unsynced);
        self.clock.reboot();
        drop(holder);
    }

    /// The segments that are there, the newest last.
    pub fn segments(&self) -> Vec<PathBuf> {
        let is_segment = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "seg");
        self.disk.files().into_iter().filter(is_segment).collect()
    }
}

impl Holder {
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// A group of the cluster registers this start.
    pub fn registered(&self, group: &str) {
        self.run(self.journal.registered(group)).unwrap();
    }

    /// Opens a line, draws on it, and lets all of it be spent.
    pub fn line_with(&self, handle: u32, name: &str, drawn: &[(Backing, Credits)]) -> LineKey {
        let wish = open_wish(handle, name);
        self.run(async {
            let number = self.journal.open_line(wish).await.unwrap();
            let line = LineKey { workspace: workspace(name), number };
            let view = self.journal.install(line.clone(), drawn.to_vec()).await.unwrap();
            self.journal.raise_watermark(line.clone(), view.drawn).await.unwrap();
            line
        })
    }

    pub fn charge(&self, charge: Charge) -> Result<Charged, Refused> {
        let permit = self.journal.reserve()?;
        self.run(permit.charge(charge))
    }

    pub fn begin(&self, name: &str, key: &str, hash: u8) -> Begun {
        let key = IdempotencyKey::parse(key).unwrap();
        self.keys.begin(&workspace(name), &user("ann"), &key, [hash; 32])
    }
}

pub fn open_wish(handle: u32, name: &str) -> OpenLine {
    OpenLine {
        handle: HandleNo(handle),
        epoch: 1,
        workspace: workspace(name),
        user: user("ann"),
        cycle: CycleNumber(3),
        scope: types::Scope::ANYTHING,
    }
}

/// One call of `chat` on the line of this handle's first epoch.
pub fn chat(handle: u32, amount: u64, durability: Durability) -> Charge {
    let at = Timestamp::from_millis(1_700_000_000_000);
    Charge {
        handle: HandleNo(handle),
        epoch: 1,
        amount: credits(amount),
        meter: meter("chat", at),
        units: vec![(Unit::parse("call").unwrap(), 1)],
        at,
        key: None,
        durability,
        remaining_at_least: credits(1),
        remaining_at_most: credits(2),
    }
}

// Holds.

pub const TTL_MS: u32 = 60_000;

pub fn spend_of(handle: u32, amount: u64) -> Spend {
    Spend { handle: HandleNo(handle), epoch: 1, amount: credits(amount) }
}

impl Machine {
    pub fn wish(&self, handle: u32, amount: u64) -> OpenHold {
        OpenHold {
            spend: spend_of(handle, amount),
            feature: Feature::parse("chat").unwrap(),
            model: None,
            prices: PriceVersion { card: 7, own: Some(9) },
            durability: Durability::Local,
            ttl_ms: TTL_MS,
            at: self.clock.now(),
            key: None,
            shadow: None,
        }
    }

    pub fn more(&self, hold: HoldNumber, spend: Option<Spend>, to: u64, confirmed: u64) -> ExtendHold {
        let (to, confirmed) = (credits(to), credits(confirmed));
        ExtendHold { hold, spend, to, confirmed, refresh: true, at: self.clock.now(), shadow: None }
    }

    pub fn settle(&self, amount: u64) -> Ending {
        let (units, day) = (Vec::new(), self.clock.now().day());
        Ending::Settle(Settle { amount: credits(amount), cap: false, shadow: None, units, day })
    }

    pub fn release(&self) -> Ending {
        Ending::Release { day: self.clock.now().day() }
    }
}

impl Holder {
    pub fn hold(&self, wish: OpenHold) -> Result<Held, Refused> {
        let permit = self.journal.reserve()?;
        self.run(permit.hold(wish))
    }

    pub fn extend(&self, more: ExtendHold) -> Result<HoldView, Refused> {
        let permit = self.journal.reserve()?;
        self.run(permit.extend(more))
    }

    pub fn end(&self, hold: HoldNumber, ending: Ending) -> Result<Ended, Refused> {
        self.run(self.journal.end_hold(hold, ending))
    }

    pub fn settle_late(&self, settle: SettleLate) -> Result<Ended, Refused> {
        let permit = self.journal.reserve()?;
        self.run(permit.settle_late(settle))
    }

    pub fn look(&self, hold: HoldNumber) -> Result<HoldView, Refused> {
        self.run(self.journal.hold(hold))
    }

    pub fn expire(&self, machine: &Machine) -> Vec<Ended> {
        self.run(self.journal.expire_holds(machine.clock.now().day(), BTreeSet::new())).unwrap()
    }
}

pub fn told(ended: &Ended) -> (EndOfHold, u64, u64) {
    (ended.over.end, ended.over.charged.micros(), ended.freed.micros())
}
