//! What waits in the writer's queue, and the answers it owes. Not here: what an operation does.

use crate::book::Book;
use crate::change::Slot;
use crate::find::Newest;
use crate::holds::words::{Ended, Ending, ExtendHold, Held, HoldView, OpenHold, SettleLate};
use crate::keys::{KeyName, KeyTable};
use crate::refused::Refused;
use crate::words::{Charge, Charged, HandleNo, LineKey, LineNumbers, LineView, OpenLine};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::oneshot;
use types::{Backing, Credits, Day, HoldNumber, LineNumber, UserId, WorkspaceId};

pub(crate) type Reply<T> = oneshot::Sender<Result<T, Refused>>;

#[derive(Debug)]
pub(crate) enum Op {
    Open(OpenLine, Reply<LineNumber>),
    Attach(LineKey, HandleNo, u16, Reply<LineView>),
    Install(LineKey, Vec<(Backing, Credits)>, Reply<LineView>),
    Raise(LineKey, Credits, Reply<Credits>),
    Charge(Box<Charge>, Reply<Charged>),
    Stray {
        handle: HandleNo,
        epoch: u16,
        amount: Credits,
    },
    GiveBack {
        line: LineKey,
        from_balance: Credits,
        above_watermark: Credits,
        reply: Reply<LineNumbers>,
    },
    Numbers {
        lines: Vec<LineKey>,
        fresh: bool,
        reply: Reply<Vec<LineNumbers>>,
    },
    Close(LineKey, Credits, Reply<LineNumbers>),
    Forget(LineKey, Reply<()>),
    Lines(Reply<Vec<LineView>>),
    View(LineKey, Reply<LineView>),
    Hold(HoldOp),
    Sync(Reply<()>),
    /// How far the segment is written.
    Newest(Reply<Newest>),
    /// Nobody asks; a full journal looks whether there is room again.
    LookForRoom,
}

/// The operations on holds.
#[derive(Debug)]
pub(crate) enum HoldOp {
    /// Whether one more may be opened by this user.
    Room(WorkspaceId, UserId, Reply<()>),
    Open(Box<OpenHold>, Reply<Held>),
    Look(HoldNumber, Reply<HoldView>),
    Extend(Box<ExtendHold>, Reply<HoldView>),
    End(HoldNumber, Ending, Reply<Ended>),
    SettleLate(Box<SettleLate>, Reply<Ended>),
    /// All whose time is up, but those of some workspaces.
    Expire(Day, BTreeSet<WorkspaceId>, Reply<Vec<Ended>>),
}

impl HoldOp {
    fn refuse(self, why: Refused) {
        match self {
            Self::Room(_, _, reply) => send(reply, Err(why)),
            Self::Open(_, reply) => send(reply, Err(why)),
            Self::Look(_, reply) | Self::Extend(_, reply) => send(reply, Err(why)),
            Self::End(_, _, reply) | Self::SettleLate(_, reply) => send(reply, Err(why)),
            Self::Expire(_, _, reply) => send(reply, Err(why)),
        }
    }
}

/// An operation that is done and waits to be answered: for its write, or for a sync.
#[derive(Debug)]
pub(crate) enum Answer {
    Opened(LineNumber, Reply<LineNumber>),
    View(Box<LineView>, Reply<LineView>),
    Raised(Credits, Reply<Credits>),
    Charged(Box<Charged>, Option<Arc<KeyName>>, Reply<Charged>),
    Numbers(Slot, Reply<LineNumbers>),
    ManyNumbers(Vec<LineKey>, Reply<Vec<LineNumbers>>),
    Held(Box<Held>, Option<Arc<KeyName>>, Reply<Held>),
    /// Or how it has ended.
    HoldView(Box<Result<HoldView, Refused>>, Reply<HoldView>),
    Ended(Box<Result<Ended, Refused>>, Reply<Ended>),
    ManyEnded(Vec<Ended>, Reply<Vec<Ended>>),
    Newest(Newest, Reply<Newest>),
    Done(Reply<()>),
}

/// A caller that went away wants no answer.
fn send<T>(reply: Reply<T>, answer: Result<T, Refused>) {
    let _gone = reply.send(answer);
}

impl Answer {
    pub fn give(self, book: &Book, keys: &KeyTable) {
        match self {
            Self::Opened(number, reply) => send(reply, Ok(number)),
            Self::View(view, reply) => send(reply, Ok(*view)),
            Self::Raised(by, reply) => send(reply, Ok(by)),
            Self::Charged(charged, key, reply) => {
                if let Some(key) = key {
                    keys.show(&key);
                }
                send(reply, Ok(*charged));
            }
            Self::Held(held, key, reply) => {
                if let Some(key) = key {
                    keys.show(&key);
                }
                send(reply, Ok(*held));
            }
            Self::HoldView(view, reply) => send(reply, *view),
            Self::Ended(ended, reply) => send(reply, *ended),
            Self::ManyEnded(ended, reply) => send(reply, Ok(ended)),
            Self::Numbers(slot, reply) => {
                send(reply, book.line(slot).map(|line| line.numbers()).ok_or(Refused::NoLine));
            }
            Self::ManyNumbers(lines, reply) => send(reply, Ok(numbers(book, &lines))),
            Self::Newest(newest, reply) => send(reply, Ok(newest)),
            Self::Done(reply) => send(reply, Ok(())),
        }
    }

    pub fn refuse(self, why: Refused) {
        match self {
            Self::Opened(_, reply) => send(reply, Err(why)),
            Self::View(_, reply) => send(reply, Err(why)),
            Self::Raised(_, reply) => send(reply, Err(why)),
            Self::Charged(_, _, reply) => send(reply, Err(why)),
            Self::Held(_, _, reply) => send(reply, Err(why)),
            Self::HoldView(_, reply) => send(reply, Err(why)),
            Self::Ended(_, reply) => send(reply, Err(why)),
            Self::ManyEnded(_, reply) => send(reply, Err(why)),
            Self::Numbers(_, reply) => send(reply, Err(why)),
            Self::ManyNumbers(_, reply) => send(reply, Err(why)),
            Self::Newest(_, reply) => send(reply, Err(why)),
            Self::Done(reply) => send(reply, Err(why)),
        }
    }
}

/// What is on disk of those of these lines that are not forgotten.
fn numbers(book: &Book, lines: &[LineKey]) -> Vec<LineNumbers> {
    let one = |key| Some(book.line(book.find(key).ok()?)?.numbers());
    lines.iter().filter_map(one).collect()
}

impl Op {
    pub fn refuse(self, why: Refused) {
        match self {
            Self::Open(_, reply) => send(reply, Err(why)),
            Self::Attach(_, _, _, reply) | Self::Install(_, _, reply) => send(reply, Err(why)),
            Self::Raise(_, _, reply) => send(reply, Err(why)),
            Self::Charge(_, reply) => send(reply, Err(why)),
            Self::GiveBack { reply, .. } | Self::Close(_, _, reply) => send(reply, Err(why)),
            Self::Numbers { reply, .. } => send(reply, Err(why)),
            Self::Forget(_, reply) | Self::Sync(reply) => send(reply, Err(why)),
            Self::Newest(reply) => send(reply, Err(why)),
            Self::Lines(reply) => send(reply, Err(why)),
            Self::View(_, reply) => send(reply, Err(why)),
            Self::Hold(op) => op.refuse(why),
            Self::Stray { .. } | Self::LookForRoom => {}
        }
    }
}
