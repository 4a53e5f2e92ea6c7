//! A node's entry for one user: the product's escrow word, and the way to the task that refills it; as the product's
//! `actors/handle.rs`, without stripes. Not here: refilling (`allocation`).

use super::messages::AllocationMessage;
use escrow::{Epoch, Escrow, NoSpend, Refused, Snapshot, Spent};
use futures::channel::mpsc::UnboundedSender;
use journal::HandleNo;
use std::cell::{Cell, RefCell};
use types::planted::{Mistake, is_planted};
use types::{Credits, Durability, Scope, UserId, WorkspaceId};

pub struct Handle {
    pub no: HandleNo,
    pub workspace: WorkspaceId,
    pub user: UserId,
    pub scope: Scope,
    word: Escrow,
    low_water: Cell<u64>,
    woken: Cell<bool>,
    above: Cell<u64>,
    elsewhere: Cell<u64>,
    put: Cell<u64>,
    /// `None` until the ledger has said it.
    durability: Cell<Option<Durability>>,
    actor: RefCell<Option<UnboundedSender<AllocationMessage>>>,
}

pub fn micros(micros: u64) -> Credits {
    Credits::from_micros(micros).unwrap_or(Credits::MAX)
}

impl Handle {
    pub fn new(no: HandleNo, workspace: WorkspaceId, user: UserId, scope: Scope) -> Self {
        Self {
            no,
            workspace,
            user,
            scope,
            word: Escrow::new(Epoch::START),
            low_water: Cell::new(0),
            woken: Cell::new(false),
            above: Cell::new(0),
            elsewhere: Cell::new(0),
            put: Cell::new(0),
            durability: Cell::new(None),
            actor: RefCell::new(None),
        }
    }

    pub fn try_spend(&self, amount: Credits) -> Result<Spent, NoSpend> {
        let spent = self.word.try_spend(amount.micros())?;
        if spent.left < self.low_water.get() && !self.woken.replace(true) {
            self.tell(AllocationMessage::Low);
        }
        Ok(spent)
    }

    /// (at least, at most).
    pub fn remaining(&self, left: u64) -> (Credits, Credits) {
        let at_least = left.saturating_add(self.above.get());
        (micros(at_least), micros(at_least.saturating_add(self.elsewhere.get())))
    }

    pub fn tell(&self, message: AllocationMessage) -> bool {
        self.actor.borrow().as_ref().is_some_and(|actor| actor.unbounded_send(message).is_ok())
    }

    pub fn set_actor(&self, actor: Option<UnboundedSender<AllocationMessage>>) {
        *self.actor.borrow_mut() = actor;
    }

    pub fn has_actor(&self) -> bool {
        self.actor.borrow().as_ref().is_some_and(|actor| !actor.is_closed())
    }

    pub fn observe(&self) -> Snapshot {
        self.word.observe()
    }

    pub fn deposit(&self, epoch: Epoch, amount: Credits) -> Result<(), Refused> {
        self.word.deposit(epoch, amount.micros())?;
        self.put.set(self.put.get() + amount.micros());
        Ok(())
    }

    pub fn withdraw(&self, epoch: Epoch, keep: Credits) -> Result<Credits, Refused> {
        let taken = self.word.withdraw(epoch, keep.micros())?;
        self.put.set(self.put.get() - taken);
        Ok(micros(taken))
    }

    /// Answers all that was ever spent on the line.
    pub fn seal(&self, epoch: Epoch) -> Result<Credits, Refused> {
        let taken = self.word.seal(epoch)?;
        self.put.set(self.put.get() - taken);
        Ok(micros(self.put.get()))
    }

    pub fn put(&self) -> Credits {
        micros(self.put.get())
    }

    pub fn spent(&self) -> Credits {
        micros(self.put.get().saturating_sub(self.observe().balance))
    }

    pub fn open(&self, sealed: Epoch, used: Credits) -> Result<Epoch, Refused> {
        self.put.set(used.micros());
        self.word.open(sealed)
    }

    pub fn set_marks(&self, low_water: Credits, above: Credits) {
        self.low_water.set(low_water.micros());
        self.above.set(above.micros());
        self.woken.set(false);
    }

    pub fn set_ledger_word(&self, elsewhere: Credits, durability: Durability) {
        self.elsewhere.set(elsewhere.micros());
        self.durability.set(Some(durability));
    }

    /// The strictest until the ledger has said it.
    pub fn durability(&self) -> Durability {
        let unknown =
            if is_planted(Mistake::UnknownIsLocal) { Durability::Local } else { Durability::Quorum };
        self.durability.get().unwrap_or(unknown)
    }
}
