//! Each operation, from the queue to its answer. Not here: the arithmetic, which is the book's.

use crate::book::Answering;
use crate::change::{Answered, Change, Slot};
use crate::find::Newest;
use crate::line::Line;
use crate::ops::{Answer, Op, Reply};
use crate::refused::Refused;
use crate::words::{Charge, Charged, HandleNo, LineKey, LineNumbers, LineView, OpenLine};
use crate::writer::{Room, Writer};
use std::sync::Arc;
use types::planted::{Mistake, is_planted};
use types::{Backing, Credits, Durability, LineNumber};

impl Writer {
    pub async fn perform(&mut self, op: Op) {
        match op {
            Op::Charge(charge, reply) => self.charge(charge, reply).await,
            Op::Stray { handle, epoch, amount } => {
                if let Some(slot) = self.book.attached(handle, epoch) {
                    self.book.abandon(slot, amount);
                    self.close_if_arrived(slot).await;
                }
            }
            Op::Open(wish, reply) => match self.open_line(&wish).await {
                Ok(number) => self.after_sync(Answer::Opened(number, reply)),
                Err(why) => refuse(reply, why),
            },
            Op::Attach(line, handle, epoch, reply) => match self.attach(&line, handle, epoch) {
                Ok(view) => self.after_sync(Answer::View(Box::new(view), reply)),
                Err(why) => refuse(reply, why),
            },
            Op::Install(line, drawn, reply) => {
                let installed = self.install(&line, &drawn).await;
                self.answer_view(installed, reply);
            }
            Op::Raise(line, to, reply) => match self.raise(&line, to).await {
                Ok(by) if is_planted(Mistake::WatermarkUnsynced) => {
                    self.answers.push(Answer::Raised(by, reply));
                }
                Ok(by) => self.after_sync(Answer::Raised(by, reply)),
                Err(why) => refuse(reply, why),
            },
            Op::GiveBack { line, from_balance, above_watermark, reply } => {
                match self.give_back(&line, from_balance, above_watermark).await {
                    Ok(slot) if is_planted(Mistake::ReturnUnsynced) => self.answer_unsynced(slot, reply),
                    Ok(slot) => self.after_sync(Answer::Numbers(slot, reply)),
                    Err(why) => refuse(reply, why),
                }
            }
            Op::Numbers { lines, fresh, reply } => {
                let answer = Answer::ManyNumbers(lines, reply);
                if fresh && self.has_unsynced(&answer) {
                    self.after_sync(answer);
                } else {
                    self.answers.push(answer);
                }
            }
            Op::Close(line, spent_total, reply) => self.close(&line, spent_total, reply).await,
            Op::Forget(line, reply) => match self.forget(&line).await {
                Ok(()) => self.answers.push(Answer::Done(reply)),
                Err(why) => refuse(reply, why),
            },
            Op::Lines(reply) => {
                let lines = self.book.lines().map(|(_, line)| line.view()).collect();
                let _gone = reply.send(Ok(lines));
            }
            Op::Newest(reply) => {
                let bytes = self.segment.at + self.batch.len() as u64;
                let newest = Newest { first_sequence: self.segment.first_sequence, bytes };
                self.answers.push(Answer::Newest(newest, reply));
            }
            Op::Sync(reply) => self.after_sync(Answer::Done(reply)),
            Op::View(line, reply) => {
                let line = self.book.find(&line);
                self.answer_view(line, reply);
            }
            Op::Hold(op) => self.perform_hold(op).await,
            // The look was at the begin of the batch.
            Op::LookForRoom => {}
        }
    }

    /// R3: whoever takes a line up puts its watermark on a word, so it is answered once that is durable. A close that still
    /// waits is given up: who asked for it is gone, and the word is opened anew.
    fn attach(&mut self, line: &LineKey, handle: HandleNo, epoch: u16) -> Result<LineView, Refused> {
        let slot = self.book.attach(line, handle, epoch)?;
        self.closing.remove(&slot);
        self.book.line(slot).map(Line::view).ok_or(Refused::NoLine)
    }

    /// Waits for a sync, unless all there is is durable.
    pub fn after_sync(&mut self, answer: Answer) {
        if self.sequence > self.synced_sequence {
            self.waiting.push_back((self.sequence, answer));
        } else {
            self.answers.push(answer);
        }
    }

    /// For planted mistakes: what is in memory, as if it were durable.
    fn answer_unsynced(&mut self, slot: Slot, reply: Reply<LineNumbers>) {
        let captured = self.book.capture();
        self.book.synced(captured);
        self.answers.push(Answer::Numbers(slot, reply));
    }

    fn has_unsynced(&self, answer: &Answer) -> bool {
        let Answer::ManyNumbers(lines, _) = answer else { return true };
        let slots = lines.iter().filter_map(|key| self.book.find(key).ok());
        slots.filter_map(|slot| self.book.line(slot)).any(|line| line.changed_at > self.synced_sequence)
    }

    fn answer_view(&mut self, line: Result<Slot, Refused>, reply: Reply<LineView>) {
        match line.and_then(|slot| self.book.line(slot).ok_or(Refused::NoLine)) {
            Ok(line) => self.answers.push(Answer::View(Box::new(line.view()), reply)),
            Err(why) => refuse(reply, why),
        }
    }

    async fn open_line(&mut self, wish: &OpenLine) -> Result<LineNumber, Refused> {
        let change = self.book.decide_open(wish, self.options.lines_max)?;
        self.record(&change, Room::Charges).await?;
        let line = self.book.line(change.slot()).ok_or(Refused::NoLine)?.key();
        self.book.attach(&line, wish.handle, wish.epoch)?;
        Ok(line.number)
    }

    async fn install(&mut self, line: &LineKey, drawn: &[(Backing, Credits)]) -> Result<Slot, Refused> {
        if let Some(change) = self.book.decide_install(line, drawn)? {
            self.record(&change, Room::Charges).await?;
        }
        let slot = self.book.find(line)?;
        // One that waits for its holds gives back what comes too late for it.
        self.close_if_arrived(slot).await;
        Ok(slot)
    }

    /// By how much the watermark rises.
    async fn raise(&mut self, line: &LineKey, to: Credits) -> Result<Credits, Refused> {
        let Some(change) = self.book.decide_raise(line, to)? else { return Ok(Credits::ZERO) };
        let before = self.book.line(change.slot()).ok_or(Refused::NoLine)?.watermark;
        self.record(&change, Room::Charges).await?;
        Ok(to.saturating_sub(before))
    }

    async fn charge(&mut self, mut charge: Box<Charge>, reply: Reply<Charged>) {
        let Some(slot) = self.book.attached(charge.handle, charge.epoch) else {
            return refuse(reply, Refused::NoLine);
        };
        charge.at = self.keys.dated(charge.at);
        match self.book_charge(slot, &charge).await {
            Ok(charged) => {
                let key = charge.key.take().filter(|_| !is_planted(Mistake::KeyNotKept));
                let answered = || Answered::Charged(Arc::new(charged.clone()));
                let key = key.map(|key| self.keys.store(key, answered(), charged.position, charge.at));
                let answer = Answer::Charged(Box::new(charged), key, reply);
                match charge.durability {
                    Durability::Local => self.answers.push(answer),
                    Durability::Disk | Durability::Quorum => self.after_sync(answer),
                }
            }
            Err(why) => {
                self.book.abandon(slot, charge.amount);
                refuse(reply, why);
            }
        }
        self.close_if_arrived(slot).await;
    }

    async fn book_charge(&mut self, slot: Slot, charge: &Charge) -> Result<Charged, Refused> {
        let change = match self.book.decide_charge(slot, charge) {
            Ok(decided) => Change::Charged(decided?),
            Err(unsound) => return Err(self.stop_unsound(&unsound)),
        };
        let position = self.record(&change, Room::Charges).await?;
        let about = Answering {
            durability: charge.durability,
            remaining_at_least: charge.remaining_at_least,
            remaining_at_most: charge.remaining_at_most,
        };
        let Change::Charged(change) = change else { return Err(Refused::NoLine) };
        self.book.charged(&change, &about, position).map_err(|unsound| self.stop_unsound(&unsound))
    }

    async fn give_back(
        &mut self,
        line: &LineKey,
        from_balance: Credits,
        above_watermark: Credits,
    ) -> Result<Slot, Refused> {
        let change = match self.book.decide_give_back(line, from_balance, above_watermark)? {
            Ok(change) => change,
            Err(unsound) => return Err(self.stop_unsound(&unsound)),
        };
        self.record(&change, Room::Returns).await?;
        Ok(change.slot())
    }

    async fn close(&mut self, line: &LineKey, spent_total: Credits, reply: Reply<LineNumbers>) {
        match self.book.begin_close(line, spent_total) {
            Err(why) => refuse(reply, why),
            Ok((slot, false)) => self.after_sync(Answer::Numbers(slot, reply)),
            Ok((slot, true)) => {
                self.closing.entry(slot).or_default().push(reply);
                self.close_if_arrived(slot).await;
            }
        }
    }

    pub async fn close_if_arrived(&mut self, slot: Slot) {
        let Some(change) = self.book.decide_close(slot) else { return };
        let closed = self.record(&change, Room::Returns).await;
        for reply in self.closing.remove(&slot).unwrap_or_default() {
            match &closed {
                Ok(_) if is_planted(Mistake::CloseUnsynced) => self.answer_unsynced(slot, reply),
                Ok(_) => self.after_sync(Answer::Numbers(slot, reply)),
                Err(why) => refuse(reply, why.clone()),
            }
        }
    }

    async fn forget(&mut self, line: &LineKey) -> Result<(), Refused> {
        let change = self.book.decide_forget(line)?;
        self.record(&change, Room::Returns).await?;
        Ok(())
    }
}

pub(crate) fn refuse<T>(reply: Reply<T>, why: Refused) {
    let _gone = reply.send(Err(why));
}
