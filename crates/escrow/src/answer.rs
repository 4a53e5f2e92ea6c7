//! What an escrow answers: to those who spend, and to the owner. No decisions are made here.

use std::error::Error;
use std::fmt;

use crate::word::{BALANCE_MAX, Epoch, Word};

/// A spend that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// The epoch it was spent in: find the line it belongs to by this, *after* the spend.
    pub epoch: Epoch,
    /// Micro-credits left in the word spent from; of a striped allocation this is one stripe.
    pub left: u64,
}

/// Why nothing was spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSpend {
    /// Open, but only `left` micro-credits were seen. Ask the owner for more, then try again.
    Short { epoch: Epoch, left: u64 },
    /// `epoch` (odd) is sealed: a recall, a change or a rollover is under way. Ask the owner.
    Sealed { epoch: Epoch },
    /// Nothing was spent, and `amount` micro-credits that this spend had picked up from the stripes of
    /// `epoch` could not be put back, because `epoch` was sealed meanwhile. They are in no word any
    /// more. **The caller must hand them to the owner**, who counts them as taken by that seal. Only
    /// [`crate::Striped`] answers this; `amount` is never 0.
    Stray { epoch: Epoch, amount: u64 },
}

/// Why the owner's step was not made. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The escrow is sealed. Open it first, or drop what came late.
    Sealed { now: Epoch },
    /// The escrow is open already.
    Open { now: Epoch },
    /// Another epoch than the one that was meant. What belongs to the old one must not land here.
    WrongEpoch { now: Epoch },
    /// The balance would pass [`BALANCE_MAX`]; it is `left` micro-credits now.
    TooMuch { left: u64 },
}

/// What an escrow looked like at one moment; of a striped one, roughly at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub epoch: Epoch,
    /// Micro-credits; 0 when sealed.
    pub balance: u64,
    pub sealed: bool,
}

impl From<Word> for Snapshot {
    fn from(word: Word) -> Snapshot {
        Snapshot { epoch: word.epoch(), balance: word.balance(), sealed: word.epoch().is_sealed() }
    }
}

impl fmt::Display for NoSpend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoSpend::Short { epoch, left } => {
                write!(f, "only {left} micro-credits are here in epoch {epoch}: draw more, then try again")
            }
            NoSpend::Sealed { epoch } => {
                write!(f, "sealed in epoch {epoch}: credits are being recalled, ask the allocation's owner")
            }
            NoSpend::Stray { epoch, amount } => {
                let rule = "the owner must count them as taken by the seal";
                write!(
                    f,
                    "epoch {epoch} was sealed while gathering, {amount} micro-credits are stray: {rule}"
                )
            }
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Sealed { now } => write!(f, "sealed in epoch {now}: open it before moving credits"),
            Refused::Open { now } => write!(f, "already open in epoch {now}"),
            Refused::WrongEpoch { now } => {
                write!(f, "meant for another epoch than {now}: too late, count it where it came from")
            }
            Refused::TooMuch { left } => {
                write!(f, "{left} micro-credits are here and at most {BALANCE_MAX} fit: draw less")
            }
        }
    }
}

impl Error for NoSpend {}
impl Error for Refused {}
