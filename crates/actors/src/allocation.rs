//! The allocation actor: refills one user's word on this node, gives back what is recalled, closes idle lines.
//!
//! It receives, asks `leasing`, performs the step. A draw is sent and answered later, so that a recall never waits
//! behind a draw. Not here: gathering draws of many users (`pool`), spending (`handle`).

use crate::handle::Handle;
use crate::holder::HolderInner;
use crate::messages::{AllocationMessage, Denied, DrawAnswer, Sent};
use crate::pool::{Asked, PoolMessage};
use crate::waiters::Waiters;
use escrow::Epoch;
use journal::{HandleNo, LineKey, LineView, OpenLine, Refused};
use leasing::{Facts, Lease, Rate, RecallLine, Step};
use ledger::{Denial, DenialReason, LineMessage, LineRejection, LineResult, Wish};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::sync::Arc;
use tokio::sync::oneshot;
use types::planted::{self, Mistake, is_planted};
use types::{Credits, LineNumber};

pub(crate) struct AllocationActor;

pub(crate) struct Arguments {
    pub holder: Arc<HolderInner>,
    pub handle: Arc<Handle>,
    pub pool: ActorRef<PoolMessage>,
    /// The line the journal already has for this user, after a restart or a panic.
    pub recovered: Option<LineView>,
}

/// The actor's state.
pub(crate) struct Allocation {
    holder: Arc<HolderInner>,
    handle: Arc<Handle>,
    pool: ActorRef<PoolMessage>,
    /// The epoch of the line: the word is open in it from when the ledger knows the line.
    epoch: Epoch,
    line: Option<OpenedLine>,
    /// The final numbers of the line before.
    closed: Option<LineMessage>,
    waiting: Waiters,
    rate: Rate,
    largest: Credits,
    dry: bool,
    last_spent_ms: u64,
}

struct OpenedLine {
    number: LineNumber,
    lease: Lease,
    drawing: bool,
    /// Somebody waited for that draw when it was sent, or the pool was told since.
    hurried: bool,
    /// The last draw was denied though credits are out elsewhere: the next one asks for what is needed alone, and waits.
    short: bool,
    /// The ledger knows it: even a price of 0 needs that.
    known: bool,
    /// `Handle::spent` when the rate was last noted.
    noted: Credits,
}

impl Actor for AllocationActor {
    type Msg = AllocationMessage;
    type State = Allocation;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        _myself: ActorRef<AllocationMessage>,
        arguments: Arguments,
    ) -> Result<Allocation, ActorProcessingErr> {
        Allocation::start(arguments).await.map_err(Into::into)
    }

    async fn handle(
        &self,
        myself: ActorRef<AllocationMessage>,
        message: AllocationMessage,
        state: &mut Allocation,
    ) -> Result<(), ActorProcessingErr> {
        state.holder.panic_point(planted::Actor::Allocation);
        match message {
            AllocationMessage::Want { amount, reply } => state.want(amount, reply),
            AllocationMessage::Low => {}
            AllocationMessage::Freed => state.look_again().await,
            AllocationMessage::Answered { number, sent, answer } => {
                state.answered(number, sent, answer).await;
            }
            AllocationMessage::Recall { recall, reply } => state.recall(recall, reply).await,
            AllocationMessage::Frozen { number } => {
                let is_mine = state.line.as_ref().is_some_and(|line| line.number == number);
                if is_mine && !is_planted(Mistake::SessionByBatch) {
                    state.close().await;
                }
            }
            AllocationMessage::Retire => {
                state.retire().await;
                myself.stop(None);
                return Ok(());
            }
            AllocationMessage::Tick => {
                if state.tick().await {
                    myself.stop(None);
                    return Ok(());
                }
            }
            AllocationMessage::Drain { reply } => {
                state.close().await;
                let _gone = reply.send(());
                return Ok(());
            }
            #[cfg(test)]
            AllocationMessage::Panic => panic!("asked to"),
        }
        state.drive(&myself).await;
        Ok(())
    }
}

impl Allocation {
    async fn start(arguments: Arguments) -> Result<Self, Refused> {
        let Arguments { holder, handle, pool, recovered } = arguments;
        let now_ms = holder.clock.boottime_ms();
        let word = handle.observe();
        let mut state = Self {
            epoch: if word.sealed { word.epoch.next() } else { word.epoch },
            line: None,
            closed: None,
            waiting: Waiters::default(),
            rate: Rate::new(now_ms),
            largest: Credits::ZERO,
            dry: false,
            last_spent_ms: now_ms,
            holder,
            handle,
            pool,
        };
        if let Some(view) = recovered {
            state.attach(view).await?;
        }
        Ok(state)
    }

    /// Takes up a line the journal has. What its watermark allows and the word does not have yet goes on the word.
    async fn attach(&mut self, view: LineView) -> Result<(), Refused> {
        let key = view.line.clone();
        let view = self.holder.journal.attach(key, self.handle.no, self.epoch.number()).await?;
        let lease = Lease { drawn: view.drawn, returned: view.returned, watermark: view.watermark };
        let word = self.handle.observe();
        // An actor that panicked may have sealed the word for this very line: then the word knows what was spent, and
        // the journal may not have all of it yet.
        let is_of_this_word = |(handle, epoch): &(HandleNo, u16)| {
            *handle == self.handle.no && Epoch::new(*epoch).sealed() == word.epoch
        };
        let was_its_word = view.attached.iter().any(is_of_this_word);
        // Nothing is spent of a line that the ledger may not know, also not at a price of 0.
        let known = !view.drawn.is_zero();
        if known {
            self.open_word(if was_its_word { self.handle.put() } else { view.arrived });
        }
        // All that was ever put on the word, whatever of it is spent: after a restart that is what was used and held;
        // after a panic there may be charges on their way to the journal. What holds freed is above the watermark.
        let put = self.handle.put().saturating_sub(view.freed);
        let missing = view.watermark.saturating_sub(view.unattributed).saturating_sub(put);
        if !missing.is_zero() && self.handle.raise(self.epoch, missing, lease.above()).is_err() {
            return Err(stopped("the word does not take what the disk allows"));
        }
        let noted = self.handle.spent();
        self.line = Some(OpenedLine {
            number: view.line.number,
            lease,
            drawing: false,
            hurried: false,
            short: false,
            known,
            noted,
        });
        Ok(())
    }

    /// Opens the word for a line of which `used` was spent, if it is not open.
    fn open_word(&mut self, used: Credits) {
        let word = self.handle.observe();
        if word.sealed
            && let Err(why) = self.handle.open(word.epoch, used, self.is_hot())
        {
            tracing::error!(%why, "a sealed word did not open");
        }
    }

    /// The ledger has the line: from here on it may be spent from, also at a price of 0.
    fn line_is_known(&mut self) {
        if let Some(line) = self.line.as_mut().filter(|line| !line.known) {
            line.known = true;
            self.open_word(Credits::ZERO);
        }
    }

    /// When a hold ends the watermark falls: the journal knows how far, whoever was told of it.
    async fn look_again(&mut self) {
        let Some(key) = self.key() else { return };
        if let (Ok(view), Some(line)) = (self.holder.journal.line(key).await, &mut self.line) {
            line.lease.watermark = view.watermark;
        }
    }

    async fn has_holds(&self) -> bool {
        let Some(key) = self.key().filter(|_| self.holder.journal.open_holds() > 0) else { return false };
        self.holder.journal.line(key).await.is_ok_and(|view| view.holds > 0)
    }

    fn want(&mut self, amount: Credits, reply: oneshot::Sender<Result<(), Denied>>) {
        self.largest = self.largest.max(amount);
        self.waiting.push(amount, reply);
    }

    fn balance(&self) -> Credits {
        micros(self.handle.observe().balance)
    }

    /// Does what there is to do until there is nothing.
    async fn drive(&mut self, myself: &ActorRef<AllocationMessage>) {
        loop {
            self.holder.panic_point(planted::Actor::Allocation);
            self.note_rate();
            self.wake_served();
            if self.line.is_none() {
                if self.waiting.is_empty() {
                    self.rest();
                    return;
                }
                if let Err(why) = self.open_line().await {
                    return self.waiting.deny_all(&Denied::of(&why));
                }
            }
            match self.step(self.balance()) {
                Step::Rest => {
                    // What others spent before the mark stood has woken nobody: it is in the balance.
                    let balance = self.rest();
                    if self.step(balance) == Step::Rest {
                        return self.hurry();
                    }
                }
                Step::Raise { to } => {
                    if let Err(why) = self.raise(to).await {
                        return self.waiting.deny_all(&Denied::of(&why));
                    }
                }
                Step::Draw { target, floor, need } => {
                    if let Err(why) = self.send_draw(target, floor, need, myself).await {
                        return self.waiting.deny_all(&Denied::of(&why));
                    }
                }
            }
        }
    }

    /// A draw ahead of need that somebody waits for now does not wait for others any more.
    fn hurry(&mut self) {
        let waits = !self.waiting.is_empty();
        if let Some(line) = self.line.as_mut().filter(|line| waits && line.drawing && !line.hurried) {
            line.hurried = self.pool.cast(PoolMessage::Hurry).is_ok();
        }
    }

    fn step(&self, balance: Credits) -> Step {
        let Some(line) = &self.line else { return Step::Rest };
        let facts = Facts {
            balance,
            waiting: self.waiting.facts(),
            rate: self.rate,
            largest: self.largest,
            drawing: line.drawing,
            dry: self.dry,
        };
        if !line.known && !line.drawing && !self.waiting.is_empty() {
            // A line the ledger has never seen: even a price of zero has to be allowed there once.
            let step = line.lease.next(&facts, &self.holder.options.lease);
            return if step == Step::Rest {
                Step::Draw { target: Credits::ZERO, floor: Credits::ZERO, need: Credits::ZERO }
            } else {
                step
            };
        }
        line.lease.next(&facts, &self.holder.options.lease)
    }

    async fn open_line(&mut self) -> Result<(), Refused> {
        let wish = OpenLine {
            handle: self.handle.no,
            epoch: self.epoch.number(),
            workspace: self.handle.workspace.clone(),
            user: self.handle.user.clone(),
            cycle: self.holder.cycle_of(&self.handle.workspace),
            scope: self.handle.scope().clone(),
        };
        let number = self.holder.journal.open_line(wish).await?;
        self.holder.panic_point(planted::Actor::Allocation);
        let lease = Lease::NOTHING;
        self.line = Some(OpenedLine {
            number,
            lease,
            drawing: false,
            hurried: false,
            short: false,
            known: false,
            noted: Credits::ZERO,
        });
        Ok(())
    }

    /// R3: first the disk, then the word.
    async fn raise(&mut self, to: Credits) -> Result<(), Refused> {
        let key = self.key();
        let (Some(line), Some(key)) = (&mut self.line, key) else { return Ok(()) };
        let rose = self.holder.journal.raise_watermark(key, to).await?;
        self.holder.panic_point(planted::Actor::Allocation);
        // Not so much more than was known: the end of a hold may have lowered it meanwhile.
        line.lease.watermark = if rose.is_zero() { line.lease.watermark } else { to };
        if is_planted(Mistake::DepositTwice) {
            let _twice = self.handle.raise(self.epoch, rose, line.lease.above());
        }
        if self.handle.raise(self.epoch, rose, line.lease.above()).is_err() {
            return Err(stopped("the word does not take what the disk allows"));
        }
        Ok(())
    }

    async fn send_draw(
        &mut self,
        target: Credits,
        floor: Credits,
        need: Credits,
        myself: &ActorRef<AllocationMessage>,
    ) -> Result<(), Refused> {
        let Some(key) = self.key() else { return Ok(()) };
        let numbers = self.holder.journal.numbers(vec![key], false).await?;
        let numbers = numbers.into_iter().next().ok_or(Refused::NoLine)?;
        let Some(line) = &mut self.line else { return Ok(()) };
        (line.drawing, line.hurried) = (true, !self.waiting.is_empty());
        let urgent = !self.waiting.is_empty();
        let waits = std::mem::take(&mut line.short) && urgent;
        let target = if waits { need.max(floor) } else { target };
        let sent = Sent { returned: line.lease.returned, target, waits };
        let message = crate::batch::line_message(&numbers, Wish::Draw { target, floor, need });
        let asked = Asked { message, sent, urgent, from: myself.clone() };
        if self.pool.cast(PoolMessage::Ask(Box::new(asked))).is_err() {
            return Err(stopped("the pool actor is gone"));
        }
        Ok(())
    }

    async fn answered(&mut self, number: LineNumber, sent: Sent, answer: DrawAnswer) {
        let Some(line) = self.line.as_mut().filter(|line| line.number == number) else { return };
        line.drawing = false;
        match answer {
            DrawAnswer::Unreachable => {
                self.dry = true;
                let have = self.have();
                match &self.line {
                    Some(line) if line.known => self.waiting.deny_above(have, &Denied::Unreachable { have }),
                    _ => self.waiting.deny_all(&Denied::Unreachable { have }),
                }
            }
            DrawAnswer::UnknownWorkspace => self.waiting.deny_all(&Denied::UnknownWorkspace),
            DrawAnswer::Line { result: LineResult::Line { drawn, frozen, denied }, word } => {
                self.handle.set_ledger_word(word.elsewhere, word.durability);
                if !drawn.is_empty() || denied.is_none() {
                    self.line_is_known();
                }
                self.install(drawn).await;
                let short = self.line.as_ref().is_some_and(|line| line.lease.drawn < sent.target);
                self.dry |= short;
                if frozen || denied.as_ref().is_some_and(|denial| denial.reason.ends_the_line()) {
                    self.close().await;
                } else if let Some(denial) = denied {
                    let Some(line) = &mut self.line else { return };
                    // What was recalled meanwhile moved the goal: the next step asks anew.
                    let same = line.lease.returned == sent.returned;
                    line.short = if same { !sent.waits && !denial.elsewhere.is_zero() } else { sent.waits };
                    if same && !line.short {
                        self.deny_denied(&denial, word.cut_off);
                    }
                }
            }
            DrawAnswer::Line { result: LineResult::Rejected(rejection), .. } => {
                self.rejected(rejection).await;
            }
            // The ledger has folded it: whatever it had is settled.
            DrawAnswer::Line { result: LineResult::Closed, .. } => {
                self.close().await;
            }
        }
    }

    async fn rejected(&mut self, rejection: LineRejection) {
        match rejection {
            LineRejection::OtherCycle { now } => self.holder.set_cycle(&self.handle.workspace, now),
            LineRejection::TooManyLines => {
                // Until older lines of this user are folded another one fares no better.
                self.waiting.deny_all(&Denied::Overloaded);
            }
            LineRejection::StaleLine { .. }
            | LineRejection::OtherLine
            | LineRejection::BeyondDrawn
            | LineRejection::MetersDisagree
            | LineRejection::WrittenOff => {
                tracing::warn!(workspace = %self.handle.workspace, user = %self.handle.user, %rejection, "line rejected");
            }
        }
        self.close().await;
    }

    /// R2: by max, per backing. The journal keeps the maximum.
    async fn install(&mut self, drawn: Vec<(types::Backing, Credits)>) {
        let (Some(key), false) = (self.key(), drawn.is_empty()) else { return };
        match self.holder.journal.install(key, drawn).await {
            Ok(view) => {
                self.holder.panic_point(planted::Actor::Allocation);
                if let Some(line) = &mut self.line {
                    line.lease.drawn = view.drawn;
                }
            }
            Err(why) => self.waiting.deny_all(&Denied::of(&why)),
        }
    }

    async fn recall(&mut self, recall: RecallLine, reply: oneshot::Sender<LineMessage>) {
        if self.line.as_ref().is_none_or(|line| line.number != recall.number()) {
            // Just closed: the close is on its way, and so is this.
            if let Some(closed) = self.closed.clone().filter(|closed| closed.number == recall.number()) {
                let _gone = reply.send(closed);
            }
            return;
        }
        self.install(recall.drawn).await;
        if recall.frozen {
            if let Some(message) = self.close().await {
                let _gone = reply.send(message);
            }
            return;
        }
        // What the ledger recalls it has, though its answer to the first draw may still be on its way.
        self.line_is_known();
        self.look_again().await;
        let Some(key) = self.key() else { return };
        let Some(line) = &self.line else { return };
        let keep = if is_planted(Mistake::RecallIgnored) { Credits::MAX } else { recall.keep };
        // What was granted to somebody who waits here is not taken from him: he and who is short elsewhere would take it
        // from each other by turns.
        let keep = keep.max(self.waiting.served_by(self.have()));
        let give = line.lease.give_back(self.balance(), keep);
        let taken = self.handle.withdraw(self.epoch, give.keep_on_word).unwrap_or(Credits::ZERO);
        self.holder.panic_point(planted::Actor::Allocation);
        let numbers = if taken.is_zero() && give.above.is_zero() {
            let numbers = self.holder.journal.numbers(vec![key], true).await;
            numbers.map(|mut numbers| numbers.pop())
        } else {
            // R5: durable before it is told.
            self.holder.journal.give_back(key, taken, give.above).await.map(Some)
        };
        let (Ok(Some(numbers)), Some(line)) = (numbers, &mut self.line) else { return };
        self.holder.panic_point(planted::Actor::Allocation);
        line.lease.returned = numbers.returned();
        line.lease.watermark = line.lease.watermark.saturating_sub(taken);
        self.dry = true;
        let _gone = reply.send(crate::batch::line_message(&numbers, Wish::Report));
    }

    /// Seals the word and ends the line. The pool sees the close to the ledger; with open holds that it ends, and later the
    /// close.
    async fn close(&mut self) -> Option<LineMessage> {
        let key = self.key()?;
        // A word that was never opened for the line is sealed already: nothing was spent.
        let spent = self.handle.seal(self.epoch).unwrap_or(Credits::ZERO);
        self.holder.panic_point(planted::Actor::Allocation);
        self.line = None;
        self.epoch = self.handle.observe().epoch.next();
        match self.holder.journal.close(key.clone(), spent).await {
            Ok(numbers) => {
                self.holder.panic_point(planted::Actor::Closing);
                let message = crate::batch::last_message(&numbers);
                let _stopping = self.pool.cast(PoolMessage::Closing(Box::new(message.clone())));
                self.closed = Some(message.clone());
                Some(message)
            }
            Err(why) => {
                let _stopping = self.pool.cast(PoolMessage::Unclosed { line: key, spent });
                self.waiting.deny_all(&Denied::of(&why));
                None
            }
        }
    }

    /// Its list is not the one of now: who waits finds the handle that is, and nobody finds this one any more. A recall does
    /// until the pool knows of the close: it is answered with it.
    async fn retire(&mut self) {
        self.close().await;
        self.holder.directory.drop_handle(&self.handle);
        self.waiting.deny_all(&Denied::Gone);
    }

    /// Whether the actor may stop: nothing waits, nothing is open, nobody spent for a while.
    async fn tick(&mut self) -> bool {
        self.note_rate();
        self.dry = false;
        self.waiting.drop_gone();
        let now_ms = self.holder.clock.boottime_ms();
        let idle = now_ms.saturating_sub(self.last_spent_ms) >= self.holder.options.lease.idle_ms;
        let turns_hot = self.is_hot() && !self.handle.is_striped();
        if self.waiting.is_empty()
            && (idle || turns_hot)
            && self.line.as_ref().is_none_or(|line| !line.drawing)
            && !self.has_holds().await
        {
            self.close().await;
        }
        idle && self.line.is_none() && self.waiting.is_empty()
    }

    /// A lower bound of spends per second: what is spent, in units of the largest price seen.
    fn is_hot(&self) -> bool {
        let per_s = self.rate.over(1_000).micros().checked_div(self.largest.micros().max(1)).unwrap_or(0);
        per_s >= self.holder.options.hot_spends_per_s
    }

    fn note_rate(&mut self) {
        let now_ms = self.holder.clock.boottime_ms();
        let spent = self.handle.spent();
        let Some(line) = self.line.as_mut().filter(|line| line.known) else { return };
        let since = spent.saturating_sub(line.noted);
        if !since.is_zero() {
            self.last_spent_ms = now_ms;
        }
        line.noted = spent;
        self.rate.note(since, now_ms);
    }

    /// Lets those try again whom the word can serve, first come first, as far as it goes.
    fn wake_served(&mut self) {
        if self.line.as_ref().is_none_or(|line| !line.known) {
            return;
        }
        if !is_planted(Mistake::NobodyWoken) && self.waiting.wake(self.balance()) {
            self.last_spent_ms = self.holder.clock.boottime_ms();
        }
    }

    fn have(&self) -> Credits {
        let above = self.line.as_ref().map_or(Credits::ZERO, |line| line.lease.above());
        self.balance().saturating_add(above)
    }

    fn deny_denied(&mut self, denial: &Denial, cut_off: bool) {
        // What this node has left counts too.
        let available = denial.available.saturating_add(self.have());
        let denied = Denied::Ledger { denial: Denial { available, ..denial.clone() }, cut_off };
        match denial.reason {
            DenialReason::AccessDisabled | DenialReason::FeatureNotInPlan(_) | DenialReason::UnknownUser => {
                self.waiting.deny_all(&denied);
            }
            DenialReason::Exhausted
            | DenialReason::AllocationExhausted
            | DenialReason::LimitReached(_)
            | DenialReason::OverageCapReached
            | DenialReason::Frozen
            | DenialReason::ScopesChanged => self.waiting.deny_above(available, &denied),
        }
    }

    /// Until somebody tells it. Answers the balance as [`Handle::rest`] does.
    fn rest(&self) -> Credits {
        let above = self.line.as_ref().map_or(Credits::ZERO, |line| line.lease.above());
        let low = if !self.waiting.is_empty() {
            // Who waits was passed over for others who are to spend now: each spend is a reason to look again.
            Credits::MAX
        } else if self.line.is_none() || (self.dry && above.is_zero()) {
            // Without anything to raise or draw a low word has nobody to wake.
            Credits::ZERO
        } else {
            Lease::NOTHING.low_water(&self.rate, &self.holder.options.lease)
        };
        self.handle.rest(low, above)
    }

    fn key(&self) -> Option<LineKey> {
        let number = self.line.as_ref()?.number;
        Some(LineKey { workspace: self.handle.workspace.clone(), number })
    }
}

fn micros(micros: u64) -> Credits {
    Credits::from_micros(micros).unwrap_or(Credits::MAX)
}

fn stopped(why: &str) -> Refused {
    Refused::Stopped { why: why.into() }
}
