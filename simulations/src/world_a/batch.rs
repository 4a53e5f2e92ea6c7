//! What a pool on one node says in its batches, as the product's `actors/batch.rs`. Not here: gathering it (`pool`).

use super::handle::Handle;
use super::messages::{AllocationMessage, DrawAnswer, Sent};
use super::node::NotSubmitted;
use futures::channel::oneshot;
use journal::LineNumbers;
use ledger::{LineMessage, Used, Wish};
use std::collections::VecDeque;
use std::rc::Rc;
use types::Credits;

const BATCH_LINES_MAX: usize = 1_000;
const BATCH_BYTES_MAX: usize = 1_000_000;

/// A draw of a child.
pub struct Asked {
    pub message: LineMessage,
    pub sent: Sent,
    pub urgent: bool,
    pub from: Rc<Handle>,
}

pub enum Outgoing {
    Draw(Asked),
    Report { message: LineMessage, confirms: Vec<oneshot::Sender<bool>> },
    Close(LineMessage),
}

impl Outgoing {
    pub fn message(&self) -> &LineMessage {
        match self {
            Self::Draw(asked) => &asked.message,
            Self::Report { message, .. } | Self::Close(message) => message,
        }
    }

    pub fn waits_for_round(&self) -> bool {
        matches!(self, Self::Draw(asked) if asked.sent.waits)
    }

    pub fn is_urgent(&self) -> bool {
        match self {
            Self::Draw(asked) => asked.urgent,
            Self::Report { confirms, .. } => !confirms.is_empty(),
            Self::Close(_) => false,
        }
    }

    pub fn fail(self, why: NotSubmitted) {
        match self {
            Self::Draw(Asked { message, sent, from, .. }) => {
                let answer = match why {
                    NotSubmitted::Unreachable => DrawAnswer::Unreachable,
                    NotSubmitted::UnknownWorkspace => DrawAnswer::UnknownWorkspace,
                };
                let number = message.number;
                from.tell(AllocationMessage::Answered { number, sent, answer });
            }
            Self::Report { confirms, .. } => {
                for confirm in confirms {
                    let _gone = confirm.send(false);
                }
            }
            Self::Close(_) => {}
        }
    }
}

/// Used and unattributed, calls, returned, held, confirmed.
pub type Weight = (Credits, u64, [Credits; 3]);

pub fn weight(message: &LineMessage) -> Weight {
    let sum = |parts: &mut dyn Iterator<Item = Credits>| parts.fold(Credits::ZERO, Credits::saturating_add);
    let spent = &mut message.used.by_backing.iter().map(|(_, used, lost)| used.saturating_add(*lost));
    let calls = message.used.by_meter.iter().map(|(_, metered)| metered.calls).sum();
    let returned = sum(&mut message.returned.iter().map(|(_, returned)| *returned));
    (sum(spent), calls, [returned, message.held, message.confirmed])
}

/// What there is to say when a line was told to close: with open holds it only ends.
pub fn last_message(numbers: &LineNumbers) -> LineMessage {
    line_message(numbers, if numbers.closed { Wish::Close } else { Wish::Report })
}

pub fn line_message(numbers: &LineNumbers, wish: Wish) -> LineMessage {
    LineMessage {
        number: numbers.line.number,
        user: numbers.user.clone(),
        cycle: numbers.cycle,
        scope: numbers.scope.clone(),
        returned: numbers.backings.iter().map(|b| (b.backing, b.returned)).collect(),
        used: Used {
            by_backing: numbers.backings.iter().map(|b| (b.backing, b.used, b.unattributed)).collect(),
            by_meter: numbers.meters.clone(),
        },
        held: numbers.held,
        confirmed: numbers.confirmed,
        wish,
    }
}

/// How many go into one batch.
pub fn fitting(queue: &VecDeque<Outgoing>) -> usize {
    LineMessage::fitting(queue.iter().map(Outgoing::message), BATCH_LINES_MAX, BATCH_BYTES_MAX)
}
