//! What a pool has to say to the ledger about its lines, one message each. Not here: gathering them (`pool`).

use crate::holder::NotSubmitted;
use crate::messages::{AllocationMessage, DrawAnswer};
use crate::pool::Asked;
use journal::LineNumbers;
use ledger::{LineMessage, LineRejection, LineResult, Used, Wish};
use tokio::sync::oneshot;
use types::{Credits, LineNumber};

#[derive(Debug)]
pub(crate) enum Outgoing {
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

    /// The report of this line, and who waits for its answer.
    pub fn report_of(
        &mut self,
        line: LineNumber,
    ) -> Option<(&mut LineMessage, &mut Vec<oneshot::Sender<bool>>)> {
        match self {
            Self::Report { message, confirms } if message.number == line => Some((message, confirms)),
            Self::Report { .. } | Self::Draw(_) | Self::Close(_) => None,
        }
    }

    /// Its answer may take a recall round.
    pub fn waits_for_round(&self) -> bool {
        matches!(self, Self::Draw(asked) if asked.sent.waits)
    }

    /// Somebody waits for the answer.
    pub fn is_urgent(&self) -> bool {
        match self {
            Self::Draw(asked) => asked.urgent,
            Self::Report { confirms, .. } => !confirms.is_empty(),
            Self::Close(_) => false,
        }
    }

    /// The leader could not be asked. Closes stay in `closing` and are asked again.
    pub fn fail(self, why: NotSubmitted) {
        match self {
            Self::Draw(Asked { message, sent, from, .. }) => {
                let answer = match why {
                    NotSubmitted::Unreachable => DrawAnswer::Unreachable,
                    NotSubmitted::UnknownWorkspace => DrawAnswer::UnknownWorkspace,
                };
                let number = message.number;
                let _stopped = from.cast(AllocationMessage::Answered { number, sent, answer });
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

pub(crate) fn other_cycle(result: &LineResult) -> Option<types::CycleNumber> {
    match result {
        LineResult::Rejected(LineRejection::OtherCycle { now }) => Some(*now),
        LineResult::Rejected(_) | LineResult::Line { .. } | LineResult::Closed => None,
    }
}

/// What a report adds over an earlier one shows here.
pub(crate) fn weight(message: &LineMessage) -> Weight {
    let sum = |parts: &mut dyn Iterator<Item = Credits>| parts.fold(Credits::ZERO, Credits::saturating_add);
    let spent = &mut message.used.by_backing.iter().map(|(_, used, lost)| used.saturating_add(*lost));
    let calls = message.used.by_meter.iter().map(|(_, metered)| metered.calls).sum();
    Weight {
        spent: sum(spent),
        calls,
        returned: sum(&mut message.returned.iter().map(|(_, returned)| *returned)),
        held: message.held,
        confirmed: message.confirmed,
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    /// Used and unattributed.
    spent: Credits,
    calls: u64,
    returned: Credits,
    held: Credits,
    confirmed: Credits,
}

/// What there is to say when a line was told to close: with open holds it only ends.
pub(crate) fn last_message(numbers: &LineNumbers) -> LineMessage {
    line_message(numbers, if numbers.closed { Wish::Close } else { Wish::Report })
}

/// A line's durable numbers as a message to the ledger.
pub(crate) fn line_message(numbers: &LineNumbers, wish: Wish) -> LineMessage {
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
