//! Each operation on a hold, from the queue to its answer. Not here: the arithmetic (`holds`).
//!
//! When a hold's time is up is counted by the time since boot, from when it was opened or extended last: no wall clock can
//! prolong it. Over a restart it is counted by the wall, and lasts its time to live once more at the most.

use super::HoldChange;
use super::words::{EndOfHold, Ended, Ending, ExtendHold, Held, HoldView, OpenHold, SettleLate, Spend};
use crate::book::Book;
use crate::change::{Answered, Change};
use crate::ops::{Answer, HoldOp, Reply};
use crate::perform::refuse;
use crate::refused::Refused;
use crate::writer::{Room, Writer};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use types::planted::{Mistake, is_planted};
use types::{Credits, Day, HoldNumber, Timestamp, WorkspaceId};

impl Book {
    /// After a start: what is left of each open hold's time.
    pub fn count_holds_down(&mut self, now: Timestamp, boottime_ms: u64) {
        if is_planted(Mistake::HoldIsNotCountedDown) {
            return;
        }
        let left = |expires_at: Timestamp, ttl_ms: u32| {
            u64::try_from(expires_at.since_ms(now)).unwrap_or(0).min(u64::from(ttl_ms))
        };
        let due = self.holds.open().map(|(number, hold)| (number, left(hold.expires_at, hold.ttl_ms)));
        for (number, left_ms) in due.collect::<Vec<_>>() {
            self.holds.set_due(number, boottime_ms.saturating_add(left_ms));
        }
    }
}

impl Writer {
    pub async fn perform_hold(&mut self, op: HoldOp) {
        match op {
            HoldOp::Room(workspace, user, reply) => {
                let most = (self.options.holds_max, self.options.holds_per_user_max);
                let _gone = reply.send(self.book.room_for_hold(&workspace, &user, most));
            }
            HoldOp::Open(wish, reply) => self.open_hold(*wish, reply).await,
            HoldOp::Look(hold, reply) => match self.book.hold_view(hold) {
                Ok(_) if self.is_time_up(hold) => {
                    let looked =
                        self.expire(hold, self.today()).await.and_then(|_| self.book.hold_view(hold));
                    self.answer_hold(looked, reply);
                }
                looked => self.answer_hold(looked, reply),
            },
            HoldOp::Extend(wish, reply) => {
                let extended = self.extend_hold(&wish).await;
                if extended.is_err() {
                    self.abandon_spend(wish.spend).await;
                }
                self.answer_hold(extended, reply);
            }
            HoldOp::End(hold, ending, reply) => {
                let ended = self.end_hold(hold, &ending).await;
                self.answer_end(ended, reply);
            }
            HoldOp::SettleLate(wish, reply) => {
                let ended = self.settle_late(&wish).await;
                if ended.is_err() {
                    self.abandon_spend(Some(wish.spend)).await;
                }
                self.answer_end(ended, reply);
            }
            HoldOp::Expire(day, but, reply) => self.expire_due(day, &but, reply).await,
        }
        self.shared.open_holds.store(self.book.holds.count(), Ordering::Release);
    }

    fn answer_hold(&mut self, view: Result<HoldView, Refused>, reply: Reply<HoldView>) {
        match view {
            Ok(view) => self.after_sync(Answer::HoldView(Box::new(Ok(view)), reply)),
            // That a hold is over is an answer like another: it is durable when it is given.
            Err(why @ Refused::HoldOver(_)) => self.after_sync(Answer::HoldView(Box::new(Err(why)), reply)),
            Err(why) => refuse(reply, why),
        }
    }

    fn answer_end(&mut self, ended: Result<Ended, Refused>, reply: Reply<Ended>) {
        match ended {
            Ok(ended) => self.after_sync(Answer::Ended(Box::new(Ok(ended)), reply)),
            Err(why @ Refused::HoldOver(_)) => self.after_sync(Answer::Ended(Box::new(Err(why)), reply)),
            Err(why) => refuse(reply, why),
        }
    }

    /// It was spent on the word, and is free again above the watermark; where that cannot be written, when the line closes.
    async fn abandon_spend(&mut self, spend: Option<Spend>) {
        let Some(spend) = spend.filter(|spend| !spend.amount.is_zero()) else { return };
        let Some(slot) = self.book.attached(spend.handle, spend.epoch) else { return };
        let is_free = match self.book.decide_unneeded(slot, spend.amount) {
            Some(change) => self.record(&change, Room::Charges).await.is_ok(),
            None => false,
        };
        if !is_free {
            self.book.abandon(slot, spend.amount);
        }
        self.close_if_arrived(slot).await;
    }

    async fn open_hold(&mut self, mut wish: OpenHold, reply: Reply<Held>) {
        let keyed_at = self.keys.dated(wish.at);
        match self.book_hold(&wish, keyed_at).await {
            Ok((held, position)) => {
                let due = self.clock.boottime_ms().saturating_add(u64::from(wish.ttl_ms));
                self.book.holds.set_due(held.number, due);
                let key = wish.key.take();
                let answered = || Answered::Held(Arc::new(held.clone()));
                let key = key.map(|key| self.keys.store(key, answered(), position, keyed_at));
                let answer = Answer::Held(Box::new(held), key, reply);
                if is_planted(Mistake::HoldUnsynced) {
                    self.answers.push(answer);
                } else {
                    self.after_sync(answer);
                }
                if let Some(slot) = self.book.attached(wish.spend.handle, wish.spend.epoch) {
                    self.close_if_arrived(slot).await;
                }
            }
            Err(why) => {
                self.abandon_spend(Some(wish.spend)).await;
                refuse(reply, why);
            }
        }
    }

    async fn book_hold(&mut self, wish: &OpenHold, keyed_at: Timestamp) -> Result<(Held, u64), Refused> {
        let slot = self.book.attached(wish.spend.handle, wish.spend.epoch).ok_or(Refused::NoLine)?;
        let (most, of_user) = (self.options.holds_max, self.options.holds_per_user_max);
        let change = match self.book.decide_hold(slot, wish, keyed_at, (most, of_user)) {
            Ok(decided) => decided?,
            Err(unsound) => return Err(self.stop_unsound(&unsound)),
        };
        let position = self.record(&change, Room::Charges).await?;
        let held = self.book.held(HoldNumber(position)).map_err(|unsound| self.stop_unsound(&unsound))?;
        Ok((held, position))
    }

    async fn extend_hold(&mut self, wish: &ExtendHold) -> Result<HoldView, Refused> {
        if self.is_time_up(wish.hold) {
            self.expire(wish.hold, wish.at.day()).await?;
        }
        let change = match self.book.decide_extend(wish) {
            Ok(decided) => decided?,
            Err(unsound) => return Err(self.stop_unsound(&unsound)),
        };
        let before = self.book.hold_view(wish.hold)?;
        self.record(&change, Room::Charges).await?;
        let view = self.book.hold_view(wish.hold)?;
        if wish.refresh && !view.is_ending {
            let ttl_ms = self.book.holds.get(wish.hold).map_or(0, |hold| hold.ttl_ms);
            let due = self.clock.boottime_ms().saturating_add(u64::from(ttl_ms));
            self.book.holds.set_due(wish.hold, due);
        }
        // Somebody else has extended it meanwhile.
        let taken = view.facts.held.saturating_sub(before.facts.held);
        let spent = wish.spend.map_or(Credits::ZERO, |spend| spend.amount);
        let freed = spent.saturating_sub(taken);
        self.abandon_spend(wish.spend.map(|spend| Spend { amount: freed, ..spend })).await;
        Ok(HoldView { freed, ..view })
    }

    async fn end_hold(&mut self, hold: HoldNumber, ending: &Ending) -> Result<Ended, Refused> {
        if self.is_time_up(hold) {
            let day = match ending {
                Ending::Settle(settle) => settle.day,
                Ending::Release { day } => *day,
            };
            self.expire(hold, day).await?;
        }
        let change = match ending {
            Ending::Settle(settle) => self.book.decide_settle(hold, settle)?,
            Ending::Release { day } => self.book.decide_drop(hold, EndOfHold::Released, *day)?,
        };
        self.apply_end(hold, change).await
    }

    async fn apply_end(&mut self, hold: HoldNumber, change: Change) -> Result<Ended, Refused> {
        let slot = change.slot();
        let held = self.book.holds.get(hold).map_or(Credits::ZERO, super::Hold::held);
        self.record(&change, Room::Returns).await?;
        self.close_if_arrived(slot).await;
        let closed = self.book.line(slot).is_none_or(|line| line.tally.closed);
        let charged = match &change {
            Change::Hold(HoldChange::Ended { used, .. }) => super::sum(&used.parts),
            _ => Credits::ZERO,
        };
        let ended = self.book.ended(hold, held.saturating_sub(charged), closed);
        ended.map_err(|unsound| self.stop_unsound(&unsound))
    }

    async fn settle_late(&mut self, wish: &SettleLate) -> Result<Ended, Refused> {
        let slot = self.book.attached(wish.spend.handle, wish.spend.epoch).ok_or(Refused::NoLine)?;
        let change = match self.book.decide_settle_late(slot, wish) {
            Ok(decided) => decided?,
            Err(unsound) => return Err(self.stop_unsound(&unsound)),
        };
        self.record(&change, Room::Charges).await?;
        self.close_if_arrived(slot).await;
        let ended = self.book.ended(wish.hold, Credits::ZERO, false);
        ended.map_err(|unsound| self.stop_unsound(&unsound))
    }

    fn is_time_up(&self, hold: HoldNumber) -> bool {
        self.book.holds.is_due(hold, self.clock.boottime_ms())
    }

    fn today(&self) -> Day {
        self.clock.now().day()
    }

    async fn expire(&mut self, hold: HoldNumber, day: Day) -> Result<Ended, Refused> {
        let change = self.book.decide_drop(hold, EndOfHold::Expired, day)?;
        self.apply_end(hold, change).await
    }

    async fn expire_due(&mut self, day: Day, but: &BTreeSet<WorkspaceId>, reply: Reply<Vec<Ended>>) {
        let mut all = Vec::new();
        for hold in self.book.due_holds(self.clock.boottime_ms(), but) {
            match self.expire(hold, day).await {
                Ok(ended) => all.push(ended),
                // It stays due, and is tried again.
                Err(why) => {
                    tracing::warn!(hold = hold.0, %why, "a hold has not ended yet");
                    break;
                }
            }
        }
        self.after_sync(Answer::ManyEnded(all, reply));
    }
}
