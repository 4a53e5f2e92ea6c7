//! What a user's task on a node is told, as the product's `actors/messages.rs`. Not here: what it does (`allocation`).

use super::words::BatchAnswer;
use futures::channel::oneshot;
use leasing::RecallLine;
use ledger::{Denial, LineMessage, LineResult};
use types::{Credits, Durability, LineNumber};

/// Why a consume that waited gets none.
#[derive(Clone, Debug)]
pub enum Denied {
    Ledger { denial: Denial, cut_off: bool },
    Unreachable,
    UnknownWorkspace,
    Overloaded,
    Storage,
    Gone,
}

#[derive(Debug)]
pub enum AllocationMessage {
    Want {
        amount: Credits,
        reply: oneshot::Sender<Result<(), Denied>>,
    },
    Low,
    /// A hold has ended, or won what it did not need: the watermark fell.
    Freed,
    Answered {
        number: LineNumber,
        sent: Sent,
        answer: DrawAnswer,
    },
    Recall {
        recall: RecallLine,
        reply: oneshot::Sender<LineMessage>,
    },
    Frozen {
        number: LineNumber,
    },
    /// Other features are limited now.
    Retire,
    Tick,
    Drain,
}

/// How the line stood when a draw was sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub returned: Credits,
    pub target: Credits,
    /// It asks for what is needed alone, and waits for a recall round if there is too little.
    pub waits: bool,
}

#[derive(Clone, Debug)]
pub enum DrawAnswer {
    Line { result: LineResult, elsewhere: Credits, durability: Durability, cut_off: bool },
    UnknownWorkspace,
    Unreachable,
}

impl DrawAnswer {
    pub fn of(answer: &BatchAnswer, at: usize) -> Self {
        Self::Line {
            result: answer.lines[at].result.clone(),
            elsewhere: answer.elsewhere[at],
            durability: answer.durability,
            cut_off: answer.cut_off,
        }
    }
}
