//! An escrow of one atomic word. Which steps there are stands in `word`; here is how one is made.

use std::fmt;

use crate::answer::{NoSpend, Refused, Snapshot, Spent};
use crate::sync::{AtomicU64, Ordering};
use crate::word::{Epoch, Unsettled, Word};

/// The spendable balance of one allocation: spend, deposit, withdraw, seal, open.
///
/// Any number of tasks may call anything at any time. By custom many spend, and one *owner* deposits,
/// withdraws, seals and opens; the epochs make it safe even if two believe to be the owner.
///
/// Eight bytes, and not padded, so that idle allocations stay small: who keeps it beside other hot data
/// pads it there.
pub struct Escrow(AtomicU64);

impl Escrow {
    /// Empty, in `epoch`: usually [`Epoch::START`], or the sealed epoch of the escrow it replaces, so
    /// that no epoch of the old one means anything here.
    pub fn new(epoch: Epoch) -> Escrow {
        Escrow(AtomicU64::new(Word::empty(epoch).bits()))
    }

    /// Spends all of `amount` or nothing. An amount of 0 succeeds while open. Never answers `Stray`.
    #[inline]
    pub fn try_spend(&self, amount: u64) -> Result<Spent, NoSpend> {
        let (_, after) = self.step(|word| word.spend(amount))?;
        Ok(Spent { epoch: after.epoch(), left: after.balance() })
    }

    /// Adds `amount` to the very epoch that is meant; returns the balance after it. All or nothing:
    /// refused when sealed, in another epoch, or beyond [`crate::BALANCE_MAX`].
    pub fn deposit(&self, epoch: Epoch, amount: u64) -> Result<u64, Refused> {
        let (_, after) = self.step(|word| word.deposit(epoch, amount))?;
        Ok(after.balance())
    }

    /// Takes everything above `keep` and returns how much that was (0 if there was no more than `keep`).
    /// The epoch goes on.
    pub fn withdraw(&self, epoch: Epoch, keep: u64) -> Result<u64, Refused> {
        let (before, after) = self.step(|word| word.withdraw(epoch, keep))?;
        Ok(before.balance().saturating_sub(after.balance()))
    }

    /// Takes the whole balance and closes the epoch, in one step; returns what was taken. From here on
    /// no spend and no deposit of `epoch` succeeds.
    pub fn seal(&self, epoch: Epoch) -> Result<u64, Refused> {
        let (before, _) = self.step(|word| word.seal(epoch))?;
        Ok(before.balance())
    }

    /// Opens the next epoch, empty, if `sealed` is the epoch the escrow is sealed in; returns the new one.
    pub fn open(&self, sealed: Epoch) -> Result<Epoch, Refused> {
        let (_, after) = self.step(|word| word.open(sealed))?;
        Ok(after.epoch())
    }

    /// Epoch and balance of one moment.
    pub fn observe(&self) -> Snapshot {
        self.look().into()
    }

    /// A look that takes its turn among the steps: a swap that changes nothing. What the caller wrote before it is
    /// seen by whoever makes the next step; what somebody wrote before an earlier one is seen here.
    pub fn look_in_turn(&self) -> Snapshot {
        Word::from_bits(self.0.fetch_add(0, Ordering::AcqRel)).into()
    }

    pub(crate) fn look(&self) -> Word {
        Word::from_bits(self.0.load(Ordering::Acquire))
    }

    /// A stripe's part: see [`Word::take`]. Returns how much that was.
    pub(crate) fn take(&self, epoch: Epoch, at_most: u64) -> u64 {
        self.taken(|word| word.take(epoch, at_most))
    }

    /// A stripe's part: see [`Word::lend`]. Returns how much that was.
    pub(crate) fn lend(&self, epoch: Epoch, missing: u64) -> u64 {
        self.taken(|word| word.lend(epoch, missing))
    }

    /// A stripe's part: see [`Word::settle`]. Returns what is left here.
    pub(crate) fn settle(&self, epoch: Epoch, hand: u64, amount: u64) -> Result<u64, Unsettled> {
        let (_, after) = self.step(|word| word.settle(epoch, hand, amount))?;
        Ok(after.balance())
    }

    /// A stripe's part: see [`Word::settle_or_keep`]. Returns what is left here and whether it spent.
    pub(crate) fn settle_or_keep(
        &self,
        epoch: Epoch,
        hand: u64,
        amount: u64,
    ) -> Result<(u64, bool), Unsettled> {
        let (before, after) = self.step(|word| word.settle_or_keep(epoch, hand, amount))?;
        let kept = before.balance().saturating_add(hand);
        Ok((after.balance(), after.balance() != kept))
    }

    fn taken(&self, next: impl Fn(Word) -> Option<Word>) -> u64 {
        match self.step(|word| next(word).ok_or(())) {
            Ok((before, after)) => before.balance().saturating_sub(after.balance()),
            Err(()) => 0,
        }
    }

    /// The one place where a word changes. `next` may be asked several times; only its last answer
    /// counts. Somebody else has succeeded whenever the swap fails, so all together always advance.
    #[inline]
    fn step<E>(&self, next: impl Fn(Word) -> Result<Word, E>) -> Result<(Word, Word), E> {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            let before = Word::from_bits(seen);
            let after = next(before)?;
            match self.0.compare_exchange_weak(seen, after.bits(), Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Ok((before, after)),
                Err(now) => seen = now,
            }
        }
    }
}

impl fmt::Debug for Escrow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.observe().fmt(f)
    }
}
