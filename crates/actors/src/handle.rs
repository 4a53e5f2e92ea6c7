//! A handle: this node's entry for one user of one workspace and one scope, shared by request tasks and its allocation actor.
//! It is of one list of what is limited, as all of its lines are: who found it under that list spends from them what they
//! are for, whatever became of the list meanwhile.
//!
//! A spend touches one word of it. Not here: who refills the word (`allocation`), who books the spend (`journal`).

use crate::messages::{AllocationMessage, Denied};
use escrow::{Epoch, NoSpend, Places, Refused, Snapshot, Spent, Stripes, Words};
use journal::HandleNo;
use ractor::{ActorRef, ActorStatus};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use tokio::sync::oneshot;
use types::planted::{Mistake, is_planted};
use types::{Credits, Durability, Scope, ShardId, UserId, WorkspaceId};

/// The fields stand in the order in which a consume touches them: among a million users each further cache line that
/// finding a handle and spending from it touch is a wait for memory.
#[derive(Debug)]
#[repr(C)]
pub struct Handle {
    pub user: UserId,
    pub workspace: WorkspaceId,
    /// `None`: anything, of the list without a name on it.
    scope: Option<Box<Scope>>,
    /// The word, or several of them; what is drawn, but above the watermark; below which balance a spend wakes the
    /// actor.
    words: Words,
    pub no: HandleNo,
    pub shard: ShardId,
    /// The workspace's durability, by the ledger's last word.
    durability: AtomicU8,
    /// What the user could spend beyond what this node holds, by the ledger's last word.
    elsewhere: AtomicU64,
    /// What was ever put on the word for its line, less what was taken off again. With the balance it tells what was
    /// spent, exactly, also after its actor failed; only the owner writes it.
    put: AtomicU64,
    /// Consumes that wait for credits, counted before they enter the mailbox.
    waiting: Places,
    waiting_max: u64,
    actor: Mutex<Option<ActorRef<AllocationMessage>>>,
}

impl Handle {
    pub(crate) fn new(
        no: HandleNo,
        workspace: WorkspaceId,
        user: UserId,
        scope: &Scope,
        shard: ShardId,
        waiting_max: usize,
    ) -> Self {
        Self {
            no,
            workspace,
            user,
            scope: (!scope.is_anything()).then(|| Box::new(scope.clone())),
            shard,
            words: Words::one(Epoch::START),
            put: AtomicU64::new(0),
            elsewhere: AtomicU64::new(0),
            waiting: Places::free(),
            waiting_max: waiting_max as u64,
            durability: AtomicU8::new(UNKNOWN),
            actor: Mutex::new(None),
        }
    }

    /// One that nobody refills, with `amount` on its word: what measurements spend from. Panics past
    /// [`escrow::BALANCE_MAX`].
    pub fn filled(no: HandleNo, workspace: WorkspaceId, user: UserId, amount: Credits) -> Self {
        let handle = Self::new(no, workspace, user, &Scope::ANYTHING, ShardId(0), 1);
        let opened = handle
            .open(Epoch::START, Credits::ZERO, false)
            .and_then(|epoch| handle.raise(epoch, amount, Credits::ZERO));
        opened.expect("a new word is sealed and empty, and takes what a word can hold");
        handle
    }

    pub(crate) fn is_of(&self, workspace: &WorkspaceId, user: &UserId) -> bool {
        self.user == *user && self.scope.is_none() && self.workspace == *workspace
    }

    pub(crate) fn is_in(&self, workspace: &WorkspaceId, user: &UserId, scope: &Scope) -> bool {
        self.user == *user && self.workspace == *workspace && self.scope() == scope
    }

    /// What its lines are for.
    pub fn scope(&self) -> &Scope {
        self.scope.as_deref().unwrap_or(&Scope::ANYTHING)
    }

    /// Spends on the word, all or nothing. Whoever may not call this without a journal permit and a live session.
    pub fn try_spend(&self, amount: Credits) -> Result<Spent, NoSpend> {
        let spent = self.words.try_spend(amount.micros())?;
        if self.words.rings(spent) {
            self.tell(AllocationMessage::Low);
        }
        Ok(spent)
    }

    /// What this node holds for the user, and that with what the ledger last said is elsewhere: (at least, at most).
    pub fn remaining(&self, left: u64) -> (Credits, Credits) {
        let at_least = self.words.with_above(left);
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

    /// What was won here for a hold and was not needed is free again, above the watermark: the actor looks how far it fell.
    pub fn hold_freed(&self) {
        self.tell(AllocationMessage::Freed);
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
        self.words.observe()
    }

    /// Puts on the word what was above it; `rest` still is.
    pub(crate) fn raise(&self, epoch: Epoch, amount: Credits, rest: Credits) -> Result<(), Refused> {
        self.words.raise(epoch, amount.micros(), rest.micros())?;
        self.put.fetch_add(amount.micros(), Ordering::AcqRel);
        Ok(())
    }

    pub(crate) fn withdraw(&self, epoch: Epoch, keep: Credits) -> Result<Credits, Refused> {
        let taken = self.words.withdraw(epoch, keep.micros())?;
        self.put.fetch_sub(taken, Ordering::AcqRel);
        Ok(micros(taken))
    }

    /// Seals the word: from now on nothing is spent in this epoch. Answers all that was ever spent on the line.
    pub(crate) fn seal(&self, epoch: Epoch) -> Result<Credits, Refused> {
        let taken = self.words.seal(epoch)?;
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
        if hot {
            self.words.spread(Stripes::for_threads(available_threads()), sealed)?;
        }
        self.words.open(sealed)
    }

    pub(crate) fn is_striped(&self) -> bool {
        self.words.is_striped()
    }

    /// The actor rests until it is told: from here on a spend that leaves less than `low_water` wakes it. Answers the
    /// balance now; every spend that is not in it sees this mark.
    pub(crate) fn rest(&self, low_water: Credits, above: Credits) -> Credits {
        self.words.set_above(above.micros());
        micros(self.words.rest(low_water.micros()).balance)
    }

    /// What the workspace declares for consumes that declare nothing. The strictest until the ledger has said it: a line
    /// that was recovered can be spent from before.
    pub fn durability(&self) -> Durability {
        match self.durability.load(Ordering::Relaxed) {
            0 => Durability::Local,
            1 => Durability::Disk,
            UNKNOWN if is_planted(Mistake::UnknownIsLocal) => Durability::Local,
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
struct Waiting<'a>(&'a Places);

impl<'a> Waiting<'a> {
    fn enter(handle: &'a Handle) -> Option<Self> {
        handle.waiting.take(handle.waiting_max).then(|| Self(&handle.waiting))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// The ledger has not said yet how durable a workspace wants its consumes.
const UNKNOWN: u8 = u8::MAX;

fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn micros(micros: u64) -> Credits {
    Credits::from_micros(micros).unwrap_or(Credits::MAX)
}
