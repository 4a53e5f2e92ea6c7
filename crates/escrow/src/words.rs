//! The balance of an allocation, on one word or on several: chosen when it is made. No steps of its own.

use crate::answer::{NoSpend, Refused, Snapshot, Spent};
use crate::single::Escrow;
use crate::striped::{Striped, Stripes};
use crate::word::Epoch;

/// One word while an allocation is idle or used by one thread, several once it is hot. 16 bytes.
///
/// To change over, the owner seals the old one, makes the new one *in the epoch the old one is sealed
/// in*, opens and fills it, and lets tasks find it instead: whoever still has the old one finds it
/// sealed and looks again, and epochs go on counting.
#[derive(Debug)]
pub enum Words {
    One(Escrow),
    Striped(Striped),
}

impl Words {
    pub fn one(epoch: Epoch) -> Words {
        Words::One(Escrow::new(epoch))
    }

    pub fn striped(stripes: Stripes, epoch: Epoch) -> Words {
        Words::Striped(Striped::new(stripes, epoch))
    }

    /// How many words: what low water is divided by before it is compared with [`Spent::left`].
    pub fn stripes(&self) -> usize {
        match self {
            Words::One(_) => 1,
            Words::Striped(words) => words.stripes(),
        }
    }

    /// See [`Escrow::try_spend`] and [`Striped::try_spend`].
    #[inline]
    pub fn try_spend(&self, amount: u64) -> Result<Spent, NoSpend> {
        match self {
            Words::One(word) => word.try_spend(amount),
            Words::Striped(words) => words.try_spend(amount),
        }
    }

    /// See [`Escrow::deposit`] and [`Striped::deposit`].
    pub fn deposit(&self, epoch: Epoch, amount: u64) -> Result<u64, Refused> {
        match self {
            Words::One(word) => word.deposit(epoch, amount),
            Words::Striped(words) => words.deposit(epoch, amount),
        }
    }

    /// See [`Escrow::withdraw`] and [`Striped::withdraw`].
    pub fn withdraw(&self, epoch: Epoch, keep: u64) -> Result<u64, Refused> {
        match self {
            Words::One(word) => word.withdraw(epoch, keep),
            Words::Striped(words) => words.withdraw(epoch, keep),
        }
    }

    /// See [`Escrow::seal`] and [`Striped::seal`].
    pub fn seal(&self, epoch: Epoch) -> Result<u64, Refused> {
        match self {
            Words::One(word) => word.seal(epoch),
            Words::Striped(words) => words.seal(epoch),
        }
    }

    /// See [`Escrow::open`] and [`Striped::open`].
    pub fn open(&self, sealed: Epoch) -> Result<Epoch, Refused> {
        match self {
            Words::One(word) => word.open(sealed),
            Words::Striped(words) => words.open(sealed),
        }
    }

    /// See [`Escrow::observe`] and [`Striped::observe`].
    pub fn observe(&self) -> Snapshot {
        match self {
            Words::One(word) => word.observe(),
            Words::Striped(words) => words.observe(),
        }
    }
}
