//! What is said to an allocation actor, and what it says to those who wait. Not here: what it does (`allocation`).

use journal::Refused;
use leasing::RecallLine;
use ledger::{Denial, LineMessage, LineResult};
use tokio::sync::oneshot;
use types::{Credits, Durability, Enforcement, LineNumber};

/// Why a consume that waited for credits gets none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The ledger's word. `cut_off`: credits are out on holders that could not be asked.
    Ledger { denial: Denial, cut_off: bool, enforcement: Enforcement },
    /// No leader could be asked; this node holds `have`.
    Unreachable { have: Credits },
    /// There is no such workspace.
    UnknownWorkspace,
    /// Too many wait already.
    Overloaded,
    /// This node's disk does not take more.
    Storage(String),
    /// The actor was just passivated or rebuilt: look the handle up again.
    Gone,
}

impl Denied {
    pub(crate) fn of(why: &Refused) -> Self {
        match why {
            Refused::Overloaded => Self::Overloaded,
            other => Self::Storage(other.to_string()),
        }
    }
}

#[derive(Debug)]
pub(crate) enum AllocationMessage {
    /// A consume is short of credits.
    Want {
        amount: Credits,
        reply: oneshot::Sender<Result<(), Denied>>,
    },
    /// The word crossed low water.
    Low,
    /// A hold has ended: what it did not need is above the watermark.
    Freed,
    /// The pool's answer to a draw.
    Answered {
        number: LineNumber,
        sent: Sent,
        answer: DrawAnswer,
    },
    /// The leader wants back what is not needed.
    Recall {
        recall: RecallLine,
        reply: oneshot::Sender<LineMessage>,
    },
    /// The ledger has taken the line away.
    Frozen {
        number: LineNumber,
    },
    /// Other features or models are limited now: give everything back and end.
    Retire,
    Tick,
    /// The node drains: give everything back.
    Drain {
        reply: oneshot::Sender<()>,
    },
    #[cfg(test)]
    Panic,
}

/// How the line stood when a draw was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub returned: Credits,
    pub target: Credits,
    /// It asks for what is needed alone, and waits for a recall round if there is too little.
    pub waits: bool,
}

#[derive(Debug)]
pub(crate) enum DrawAnswer {
    Line { result: LineResult, word: LedgerWord },
    UnknownWorkspace,
    Unreachable,
}

/// What came with the answer beside the line itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LedgerWord {
    pub elsewhere: Credits,
    pub durability: Durability,
    pub enforcement: Enforcement,
    pub cut_off: bool,
}
