//! The journal as its users have it: a bounded queue to the writer. Not here: anything that happens behind the queue.

use crate::find::{Looked, Wanted, find};
use crate::holds::words::{Ended, Ending, ExtendHold, Held, HoldView, OpenHold, SettleLate};
use crate::ops::{HoldOp, Op, Reply};
use crate::refused::Refused;
use crate::registrations::Registrations;
use crate::words::{Charge, Charged, HandleNo, LineKey, LineNumbers, LineView, OpenLine};
use crate::writer::{Shared, off_task};
use platform::Directory;
use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use types::{Backing, Credits, Day, DiskId, HoldNumber, LineNumber, UserId, WorkspaceId};

/// Cheap to clone. Operations take effect in the order in which they were enqueued; when the last clone is dropped the
/// writer syncs and ends.
///
/// Everything but [`Journal::reserve`] waits for a place in the queue. Any operation may be refused
/// [`Refused::Stopped`], and [`Refused::NoLine`] where its line is not there.
#[derive(Clone, Debug)]
pub struct Journal {
    pub(crate) queue: mpsc::Sender<Op>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) registrations: Arc<Registrations>,
    pub(crate) files: Arc<Files>,
}

/// Where the segments are. One search at a time reads them.
#[derive(Debug)]
pub(crate) struct Files {
    directory: Arc<dyn Directory>,
    disk: DiskId,
    one: Arc<tokio::sync::Mutex<()>>,
}

impl Files {
    pub fn new(directory: Arc<dyn Directory>, disk: DiskId) -> Self {
        Self { directory, disk, one: Arc::default() }
    }
}

/// A search begins anew where a segment went meanwhile, so often.
const FIND_TRIES: u32 = 4;

/// A place in the queue for one charge. Dropped, the place is free again.
#[derive(Debug)]
pub struct Permit<'a> {
    place: mpsc::Permit<'a, Op>,
    shared: &'a Shared,
}

/// The answer to a charge; the charge is on its way whether it is awaited or not.
#[derive(Debug)]
#[must_use = "a charge is made only when it is answered"]
pub struct Charging<'a> {
    answer: oneshot::Receiver<Result<Charged, Refused>>,
    shared: &'a Shared,
}

/// The answer to what was asked of a hold.
#[derive(Debug)]
#[must_use = "a hold is made only when it is answered"]
pub struct Holding<'a, T> {
    answer: oneshot::Receiver<Result<T, Refused>>,
    shared: &'a Shared,
}

impl<T> Future for Holding<'_, T> {
    type Output = Result<T, Refused>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answered = Pin::new(&mut self.answer).poll(context);
        answered.map(|answer| answer.unwrap_or_else(|_| Err(stopped(self.shared))))
    }
}

fn stopped(shared: &Shared) -> Refused {
    let why = shared.stopped.get().cloned().unwrap_or_else(|| "its writer has ended".into());
    Refused::Stopped { why }
}

impl<'a> Permit<'a> {
    /// Books a spend that was won on the escrow's word. Cannot fail to be enqueued.
    ///
    /// An error means that nothing was charged, except `Stopped`, after which only a restart shows whether it was. Do
    /// not put the amount back on the word: it comes back when the line is closed, and a close does not wait for it.
    pub fn charge(self, charge: Charge) -> Charging<'a> {
        let (reply, answer) = oneshot::channel();
        self.place.send(Op::Charge(Box::new(charge), reply));
        Charging { answer, shared: self.shared }
    }

    /// Sets a spend aside. Answered when that is durable; the hold is made whether it is awaited or not, and ends by itself.
    /// An error means as little as one of [`Permit::charge`].
    pub fn hold(self, hold: OpenHold) -> Holding<'a, Held> {
        self.send(|reply| HoldOp::Open(Box::new(hold), reply))
    }

    /// Lets a hold have more. Answered when it is durable; errors as those of [`Permit::charge`].
    pub fn extend(self, more: ExtendHold) -> Holding<'a, HoldView> {
        self.send(|reply| HoldOp::Extend(Box::new(more), reply))
    }

    /// Settles a hold that has expired; errors as those of [`Permit::charge`].
    pub fn settle_late(self, settle: SettleLate) -> Holding<'a, Ended> {
        self.send(|reply| HoldOp::SettleLate(Box::new(settle), reply))
    }

    fn send<T>(self, op: impl FnOnce(Reply<T>) -> HoldOp) -> Holding<'a, T> {
        let (reply, answer) = oneshot::channel();
        self.place.send(Op::Hold(op(reply)));
        Holding { answer, shared: self.shared }
    }

    /// Hands in credits that a spend picked up and could put back nowhere, because its epoch was sealed meanwhile. They
    /// were not spent: they come back when the line is closed, and a close does not wait for them.
    pub fn stray(self, handle: HandleNo, epoch: u16, amount: Credits) {
        self.place.send(Op::Stray { handle, epoch, amount });
    }
}

impl Future for Charging<'_> {
    type Output = Result<Charged, Refused>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answered = Pin::new(&mut self.answer).poll(context);
        answered.map(|answer| answer.unwrap_or_else(|_| Err(stopped(self.shared))))
    }
}

impl Journal {
    /// Whether charges are taken at all: `StorageFull` while its disk is full, `Stopped`. Asking has a full disk looked
    /// at again.
    pub fn takes_charges(&self) -> Result<(), Refused> {
        if self.shared.stopped.get().is_some() {
            return Err(stopped(&self.shared));
        }
        if self.shared.full.load(Ordering::Acquire) {
            let _somebody_else_looks = self.queue.try_send(Op::LookForRoom);
            return Err(Refused::StorageFull { why: "its disk is full".into() });
        }
        Ok(())
    }

    /// Returns when the journal has stopped for good, with the reason. Only a new start helps.
    pub async fn stopped(&self) -> String {
        loop {
            let rung = self.shared.stop.notified();
            if let Some(why) = self.shared.stopped.get() {
                return why.clone();
            }
            rung.await;
        }
    }

    /// Takes a place in the queue before anything is spent: `Overloaded` where it is full, else as `takes_charges`.
    pub fn reserve(&self) -> Result<Permit<'_>, Refused> {
        self.takes_charges()?;
        match self.queue.try_reserve() {
            Ok(place) => Ok(Permit { place, shared: &self.shared }),
            Err(TrySendError::Full(_)) => Err(Refused::Overloaded),
            Err(TrySendError::Closed(_)) => Err(stopped(&self.shared)),
        }
    }

    /// A new line with the workspace's next number. Answered when it is durable, so that its number is never used twice.
    pub async fn open_line(&self, wish: OpenLine) -> Result<LineNumber, Refused> {
        self.ask(|reply| Op::Open(wish, reply)).await
    }

    /// From now on charges of this handle and epoch go to this line, until it is closed. Not remembered over a restart.
    pub async fn attach(&self, line: LineKey, handle: HandleNo, epoch: u16) -> Result<LineView, Refused> {
        self.ask(|reply| Op::Attach(line, handle, epoch, reply)).await
    }

    /// What the ledger says is drawn, by backing; merged by the larger number (R2).
    pub async fn install(&self, line: LineKey, drawn: Vec<(Backing, Credits)>) -> Result<LineView, Refused> {
        self.ask(|reply| Op::Install(line, drawn, reply)).await
    }

    /// Lets the line spend up to `to` in all. Answered when that is durable (R3), with by how much it rose: so much may
    /// now be put on the escrow's word. `BeyondDrawn` past drawn − returned.
    pub async fn raise_watermark(&self, line: LineKey, to: Credits) -> Result<Credits, Refused> {
        self.ask(|reply| Op::Raise(line, to, reply)).await
    }

    /// Returns `from_balance`, which was taken off the escrow's word, and `above_watermark`, which was never on it.
    /// Answered when it is durable (R5), with the numbers a Return may say. More than there is stops the journal.
    pub async fn give_back(
        &self,
        line: LineKey,
        from_balance: Credits,
        above_watermark: Credits,
    ) -> Result<LineNumbers, Refused> {
        self.ask(|reply| Op::GiveBack { line, from_balance, above_watermark, reply }).await
    }

    /// What is durable of these lines (R6), of those that are not forgotten; `fresh` first syncs what is not.
    pub async fn numbers(&self, lines: Vec<LineKey>, fresh: bool) -> Result<Vec<LineNumbers>, Refused> {
        self.ask(|reply| Op::Numbers { lines, fresh, reply }).await
    }

    /// Ends a line whose word is sealed: waits until charges and holds of `spent_total` have arrived (all that was ever
    /// spent on the line, as `LineView::arrived` counts it), then returns the rest. Answered when it is durable, with the
    /// final numbers; again for a line that is closed. With open holds the line is *ending* instead: all but what they
    /// hold is returned, and it closes with the last of them; the numbers say that it is not closed.
    pub async fn close(&self, line: LineKey, spent_total: Credits) -> Result<LineNumbers, Refused> {
        self.ask(|reply| Op::Close(line, spent_total, reply)).await
    }

    /// Drops a closed line that the ledger has folded. `LineOpen` where it is not closed.
    pub async fn forget(&self, line: LineKey) -> Result<(), Refused> {
        self.ask(|reply| Op::Forget(line, reply)).await
    }

    /// What the line stands at: its watermark falls when a hold ends.
    pub async fn line(&self, line: LineKey) -> Result<LineView, Refused> {
        self.ask(|reply| Op::View(line, reply)).await
    }

    /// Open holds, as of a moment ago.
    pub fn open_holds(&self) -> usize {
        self.shared.open_holds.load(Ordering::Acquire)
    }

    /// Whether this user may open one more; refused as the opening would be.
    pub async fn room_for_hold(&self, workspace: WorkspaceId, user: UserId) -> Result<(), Refused> {
        self.ask(|reply| Op::Hold(HoldOp::Room(workspace, user, reply))).await
    }

    /// An open hold. `HoldOver` with how it ended, `NoHold` where it is not known.
    pub async fn hold(&self, hold: HoldNumber) -> Result<HoldView, Refused> {
        self.ask(|reply| Op::Hold(HoldOp::Look(hold, reply))).await
    }

    /// Ends a hold; answered when that is durable. `HoldOver` where it had ended, which is durable then.
    pub async fn end_hold(&self, hold: HoldNumber, ending: Ending) -> Result<Ended, Refused> {
        self.ask(|reply| Op::Hold(HoldOp::End(hold, ending, reply))).await
    }

    /// Ends all holds whose time is up, by the time since boot, but those of some workspaces.
    pub async fn expire_holds(&self, day: Day, but: BTreeSet<WorkspaceId>) -> Result<Vec<Ended>, Refused> {
        self.ask(|reply| Op::Hold(HoldOp::Expire(day, but, reply))).await
    }

    /// All lines that are not forgotten.
    pub async fn lines(&self) -> Result<Vec<LineView>, Refused> {
        self.ask(Op::Lines).await
    }

    /// Looks a charge up in the segments that are still on the disk. An error is the disk's, or says that the journal has
    /// stopped.
    pub async fn find(&self, wanted: Wanted) -> io::Result<Looked> {
        // Who hangs up does not let the next one in before the disk has answered.
        let mut one = self.files.one.clone().lock_owned().await;
        let mut tries = 0;
        loop {
            tries += 1;
            let newest = self.ask(Op::Newest).await.map_err(|why| io::Error::other(why.to_string()))?;
            let (files, wanted) = (self.files.clone(), wanted.clone());
            let search = move || {
                let looked = find(files.directory.as_ref(), files.disk, newest, &wanted);
                Ok((looked, one))
            };
            let (looked, still) = off_task(self.files.directory.is_inline(), search).await?;
            match looked {
                Err(error) if error.kind() == io::ErrorKind::NotFound && tries < FIND_TRIES => one = still,
                looked => return looked,
            }
        }
    }

    /// Answered when everything enqueued before is durable.
    pub async fn sync(&self) -> Result<(), Refused> {
        self.ask(Op::Sync).await
    }

    /// Records ever written that are durable. Never goes back, unless the disk was rolled back.
    pub fn sequence(&self) -> u64 {
        self.shared.synced_sequence.load(Ordering::Acquire)
    }

    /// The sequence that a registration with that group of the cluster says: where the journal ended when the first start
    /// found it that the group has not registered. A rolled-back disk shows in it, however many records starts have added.
    /// The same as long as this process runs: after its reports the group knows more.
    pub fn registration(&self, group: &str) -> u64 {
        self.registrations.of(group)
    }

    /// That group has registered this start. Until this is answered the group may not be told any sequence.
    pub async fn registered(&self, group: &str) -> io::Result<()> {
        self.registrations.done(group).await
    }

    async fn ask<T>(&self, op: impl FnOnce(Reply<T>) -> Op) -> Result<T, Refused> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(op(reply)).await.map_err(|_| stopped(&self.shared))?;
        answer.await.unwrap_or_else(|_| Err(stopped(&self.shared)))
    }
}
