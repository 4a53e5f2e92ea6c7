//! A handle: this node's entry for one user of one workspace, shared by request tasks and its allocation actor.
//!
//! A spend touches one word of it. Not here: who refills the word (`allocation`), who books the spend (`journal`).

use crate::messages::{AllocationMessage, Denied};
use escrow::{Epoch, Escrow, NoSpend, Refused, Snapshot, Spent, Striped, Stripes};
use journal::HandleNo;
use ractor::{ActorRef, ActorStatus};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use tokio::sync::oneshot;
use types::{Credits, Durability, ShardId, UserId, WorkspaceId};

/// The fields stand in the order in which a consume touches them: among a million users each further cache line that
/// finding a handle and spending from it touch is a wait for memory.
#[derive(Debug)]
#[repr(C)]
pub struct Handle {
    pub user: UserId,
    pub workspace: WorkspaceId,
    /// The word. Sealed for good once the allocation is hot and `striped` is there.
    one: Escrow,
    /// A spend that leaves less than this wakes the actor.
    low_water: AtomicU64,
    striped: OnceLock<Striped>,
    pub no: HandleNo,
    pub shard: ShardId,
    /// The workspace's durability, by the ledger's last word.
    durability: AtomicU8,
    woken: AtomicBool,
    /// Drawn, but above the watermark.
    above: AtomicU64,
    /// What the user could spend beyond what this node holds, by the ledger's last word.
    elsewhere: AtomicU64,
    /// What was ever put on the word for its line, less what was taken off again. With the balance it tells what was
    /// spent, exactly, also after its actor failed; only the owner writes it.
    put: AtomicU64,
    /// Consumes that wait for credits, counted before they enter the mailbox.
    waiting: AtomicUsize,
    waiting_max: usize,
    actor: Mutex<Option<ActorRef<AllocationMessage>>>,
}

impl Handle {
    pub(crate) fn new(
        no: HandleNo,
        workspace: WorkspaceId,
        user: UserId,
        shard: ShardId,
        waiting_max: usize,
    ) -> Self {
        Self {
            no,
            workspace,
            user,
            shard,
            one: Escrow::new(Epoch::START),
            striped: OnceLock::new(),
            put: AtomicU64::new(0),
            low_water: AtomicU64::new(0),
            woken: AtomicBool::new(false),
            above: AtomicU64::new(0),
            elsewhere: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            waiting_max,
            durability: AtomicU8::new(0),
            actor: Mutex::new(None),
        }
    }

    /// One that nobody refills, with `amount` on its word: what measurements spend from. Panics past
    /// [`escrow::BALANCE_MAX`].
    pub fn filled(no: HandleNo, workspace: WorkspaceId, user: UserId, amount: Credits) -> Self {
        let handle = Self::new(no, workspace, user, ShardId(0), 1);
        let opened =
            handle.open(Epoch::START, Credits::ZERO, false).and_then(|epoch| handle.deposit(epoch, amount));
        opened.expect("a new word is sealed and empty, and takes what a word can hold");
        handle
    }

    pub(crate) fn is_of(&self, workspace: &WorkspaceId, user: &UserId) -> bool {
        self.user == *user && self.workspace == *workspace
    }

    /// Spends on the word, all or nothing. Whoever may not call this without a journal permit and a live session.
    pub fn try_spend(&self, amount: Credits) -> Result<Spent, NoSpend> {
        let spent = match self.striped.get() {
            Some(words) => words.try_spend(amount.micros()),
            None => self.one.try_spend(amount.micros()),
        }?;
        if spent.left < self.low_water.load(Ordering::Relaxed) {
            self.wake();
        }
        Ok(spent)
    }

    fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.tell(AllocationMessage::Low);
        }
    }

    /// What this node holds for the user, and that with what the ledger last said is elsewhere: (at least, at most).
    pub fn remaining(&self, left: u64) -> (Credits, Credits) {
        let at_least = left.saturating_add(self.above.load(Ordering::Relaxed));
        let at_most = at_least.saturating_add(self.elsewhere.load(Ordering::Relaxed));
        (micros(at_least), micros(at_most))
    }

    /// What this node holds for the user.
    pub fn have(&self) -> Credits {
        self.remaining(self.observe().balance).0
    }

    /// Waits until the word might have `amount`. `Ok`: try again.
    pub async fn want(&self, amount: Credits) -> Result<(), Denied> {
        let Some(_place) = Waiting::enter(self) else { return Err(Denied::Overloaded) };
        let (reply, answer) = oneshot::channel();
        if !self.tell(AllocationMessage::Want { amount, reply }) {
            return Err(Denied::Gone);
        }
        answer.await.unwrap_or(Err(Denied::Gone))
    }

    pub(crate) fn tell(&self, message: AllocationMessage) -> bool {
        let actor = self.actor.lock().expect("nobody panics holding it").clone();
        actor.is_some_and(|actor| actor.cast(message).is_ok())
    }

    pub(crate) fn set_actor(&self, actor: Option<ActorRef<AllocationMessage>>) {
        *self.actor.lock().expect("nobody panics holding it") = actor;
    }

    pub(crate) fn has_actor(&self) -> bool {
        let actor = self.actor.lock().expect("nobody panics holding it").clone();
        actor.is_some_and(|actor| actor.get_status() < ActorStatus::Stopping)
    }

    // ---- what only the owner does -------------------------------------------------------------------------------

    pub(crate) fn observe(&self) -> Snapshot {
        match self.striped.get() {
            Some(words) => words.observe(),
            None => self.one.observe(),
        }
    }

    pub(crate) fn deposit(&self, epoch: Epoch, amount: Credits) -> Result<(), Refused> {
        match self.striped.get() {
            Some(words) => words.deposit(epoch, amount.micros()),
            None => self.one.deposit(epoch, amount.micros()),
        }?;
        self.put.fetch_add(amount.micros(), Ordering::AcqRel);
        Ok(())
    }

    pub(crate) fn withdraw(&self, epoch: Epoch, keep: Credits) -> Result<Credits, Refused> {
        let taken = match self.striped.get() {
            Some(words) => words.withdraw(epoch, keep.micros()),
            None => self.one.withdraw(epoch, keep.micros()),
        }?;
        self.put.fetch_sub(taken, Ordering::AcqRel);
        Ok(micros(taken))
    }

    /// Seals the word: from now on nothing is spent in this epoch. Answers all that was ever spent on the line.
    pub(crate) fn seal(&self, epoch: Epoch) -> Result<Credits, Refused> {
        let taken = match self.striped.get() {
            Some(words) => words.seal(epoch),
            None => self.one.seal(epoch),
        }?;
        self.put.fetch_sub(taken, Ordering::AcqRel);
        Ok(micros(self.put.load(Ordering::Acquire)))
    }

    #[cfg(test)]
    pub(crate) fn actor(&self) -> Option<ActorRef<AllocationMessage>> {
        self.actor.lock().expect("nobody panics holding it").clone()
    }

    /// What was ever put on the word for its line, less what was taken off again.
    pub(crate) fn put(&self) -> Credits {
        micros(self.put.load(Ordering::Acquire))
    }

    /// All that was ever spent on the line, as far as the word shows just now.
    pub(crate) fn spent(&self) -> Credits {
        micros(self.put.load(Ordering::Acquire).saturating_sub(self.observe().balance))
    }

    /// Opens the epoch after `sealed` for a line of which `used` was spent before; from here on striped where the
    /// allocation is hot.
    pub(crate) fn open(&self, sealed: Epoch, used: Credits, hot: bool) -> Result<Epoch, Refused> {
        self.put.store(used.micros(), Ordering::Release);
        if hot && self.striped.get().is_none() {
            // Made sealed, in the epoch the single word stays sealed in: who still has that one looks again.
            let _already = self.striped.set(Striped::new(Stripes::for_threads(available_threads()), sealed));
        }
        match self.striped.get() {
            Some(words) => words.open(sealed),
            None => self.one.open(sealed),
        }
    }

    pub(crate) fn is_striped(&self) -> bool {
        self.striped.get().is_some()
    }

    pub(crate) fn set_marks(&self, low_water: Credits, above: Credits) {
        let stripes = self.striped.get().map_or(1, Striped::stripes) as u64;
        self.low_water.store(low_water.micros() / stripes, Ordering::Relaxed);
        self.above.store(above.micros(), Ordering::Relaxed);
        self.woken.store(false, Ordering::Release);
    }

    /// What the workspace declares for consumes that declare nothing.
    pub fn durability(&self) -> Durability {
        match self.durability.load(Ordering::Relaxed) {
            0 => Durability::Local,
            1 => Durability::Disk,
            _ => Durability::Quorum,
        }
    }

    /// Takes over the ledger's last word on the user and his workspace.
    pub(crate) fn set_ledger_word(&self, elsewhere: Credits, durability: Durability) {
        let number = match durability {
            Durability::Local => 0,
            Durability::Disk => 1,
            Durability::Quorum => 2,
        };
        self.durability.store(number, Ordering::Relaxed);
        self.elsewhere.store(elsewhere.micros(), Ordering::Relaxed);
    }
}

/// A place in front of the actor's mailbox, which itself has no bound.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(handle: &'a Handle) -> Option<Self> {
        let place = Self(&handle.waiting);
        let before = handle.waiting.fetch_add(1, Ordering::AcqRel);
        (before < handle.waiting_max).then_some(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn micros(micros: u64) -> Credits {
    Credits::from_micros(micros).unwrap_or(Credits::MAX)
}
