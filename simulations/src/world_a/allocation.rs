//! The task that refills one user's word on one node, gives back what is recalled, and closes idle lines: the product's
//! `actors/allocation.rs` on virtual time, step by step. Not here: gathering draws (`pool`), spending (`consume`).

use super::batch::{Asked, last_message, line_message};
use super::film::Step as Film;
use super::handle::{Handle, micros};
use super::messages::{AllocationMessage, Denied, DrawAnswer, Sent};
use super::node::Running;
use super::pool::PoolMessage;
use crate::crossings::Crossing;
use escrow::Epoch;
use futures::StreamExt;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender};
use futures::channel::oneshot;
use journal::{LineKey, LineView, OpenLine, Refused};
use leasing::{Facts, Lease, Rate, RecallLine, Step, Waiting};
use ledger::{Denial, DenialReason, LineMessage, LineRejection, LineResult, Wish};
use platform::Clock;
use std::rc::Rc;
use types::planted::{Mistake, is_planted};
use types::{Credits, LineNumber};

pub struct Allocation {
    running: Rc<Running>,
    handle: Rc<Handle>,
    pool: UnboundedSender<PoolMessage>,
    epoch: Epoch,
    line: Option<OpenedLine>,
    closed: Option<LineMessage>,
    waiting: Vec<Waiter>,
    rate: Rate,
    largest: Credits,
    dry: bool,
    last_spent_ms: u64,
}

struct OpenedLine {
    number: LineNumber,
    lease: Lease,
    drawing: bool,
    hurried: bool,
    short: bool,
    known: bool,
    noted: Credits,
}

impl OpenedLine {
    fn new(number: LineNumber, lease: Lease, known: bool, noted: Credits) -> Self {
        Self { number, lease, drawing: false, hurried: false, short: false, known, noted }
    }
}

struct Waiter {
    amount: Credits,
    reply: oneshot::Sender<Result<(), Denied>>,
}

impl Allocation {
    pub async fn start(
        running: Rc<Running>,
        handle: Rc<Handle>,
        pool: UnboundedSender<PoolMessage>,
        recovered: Option<LineView>,
    ) -> Result<Self, Refused> {
        let now_ms = running.clock.boottime_ms();
        let word = handle.observe();
        let mut state = Self {
            epoch: if word.sealed { word.epoch.next() } else { word.epoch },
            line: None,
            closed: None,
            waiting: Vec::new(),
            rate: Rate::new(now_ms),
            largest: Credits::ZERO,
            dry: false,
            last_spent_ms: now_ms,
            running,
            handle,
            pool,
        };
        if let Some(view) = recovered {
            state.attach(&view).await?;
        }
        Ok(state)
    }

    /// Runs until nobody has spent for a while, and all is closed.
    pub async fn run(mut self, mut mailbox: UnboundedReceiver<AllocationMessage>) {
        while let Some(message) = mailbox.next().await {
            match message {
                AllocationMessage::Want { amount, reply } => {
                    self.waiting.retain(|waiter| !waiter.reply.is_canceled());
                    self.largest = self.largest.max(amount);
                    self.waiting.push(Waiter { amount, reply });
                }
                AllocationMessage::Low => {}
                AllocationMessage::Freed => self.look_again().await,
                AllocationMessage::Answered { number, sent, answer } => {
                    self.answered(number, sent, answer).await;
                }
                AllocationMessage::Recall { recall, reply } => self.recall(recall, reply).await,
                AllocationMessage::Frozen { number } => {
                    let is_mine = self.line.as_ref().is_some_and(|line| line.number == number);
                    if is_mine && !is_planted(Mistake::SessionByBatch) {
                        self.close().await;
                    }
                }
                AllocationMessage::Retire => {
                    if is_planted(Mistake::RetiredIsForgotten) {
                        self.running.drop_handle(&self.handle);
                    }
                    self.close().await;
                    self.running.drop_handle(&self.handle);
                    mailbox.close();
                    return self.deny_all(&Denied::Gone);
                }
                AllocationMessage::Tick => {
                    if self.tick().await {
                        mailbox.close();
                        return self.running.drop_handle(&self.handle);
                    }
                }
                AllocationMessage::Drain => {
                    self.close().await;
                    continue;
                }
            }
            self.drive().await;
        }
    }

    async fn attach(&mut self, view: &LineView) -> Result<(), Refused> {
        let key = view.line.clone();
        let view = self.running.journal.attach(key, self.handle.no, self.epoch.number()).await?;
        let lease = Lease { drawn: view.drawn, returned: view.returned, watermark: view.watermark };
        self.open_word(view.arrived);
        let put = self.handle.put().saturating_sub(view.freed);
        let missing = view.watermark.saturating_sub(view.unattributed).saturating_sub(put);
        if !missing.is_zero() && self.handle.deposit(self.epoch, missing).is_err() {
            return Err(stopped("the word does not take what the disk allows"));
        }
        let (number, noted) = (view.line.number, self.handle.spent());
        self.line = Some(OpenedLine::new(number, lease, true, noted));
        Ok(())
    }

    fn open_word(&mut self, used: Credits) {
        let word = self.handle.observe();
        if word.sealed {
            self.handle.open(word.epoch, used).expect("a sealed word opens");
        }
    }

    fn line_is_known(&mut self) {
        if let Some(line) = self.line.as_mut().filter(|line| !line.known) {
            line.known = true;
            self.open_word(Credits::ZERO);
        }
    }

    /// When a hold ends the watermark falls: the journal knows how far.
    async fn look_again(&mut self) {
        let Some(key) = self.key() else { return };
        if let (Ok(view), Some(line)) = (self.running.journal.line(key).await, &mut self.line) {
            line.lease.watermark = view.watermark;
        }
    }

    async fn has_holds(&self) -> bool {
        let Some(key) = self.key().filter(|_| self.running.journal.open_holds() > 0) else { return false };
        self.running.journal.line(key).await.is_ok_and(|view| view.holds > 0)
    }

    fn balance(&self) -> Credits {
        micros(self.handle.observe().balance)
    }

    async fn drive(&mut self) {
        loop {
            self.note_rate();
            self.wake_served();
            if self.line.is_none() {
                if self.waiting.is_empty() {
                    return self.set_marks();
                }
                if let Err(why) = self.open_line().await {
                    return self.deny_all(&denied(&why));
                }
            }
            match self.step() {
                Step::Rest => {
                    self.set_marks();
                    if self.waiting.is_empty() || self.step() == Step::Rest {
                        return self.hurry();
                    }
                }
                Step::Raise { to } => {
                    if let Err(why) = self.raise(to).await {
                        return self.deny_all(&denied(&why));
                    }
                }
                Step::Draw { target, floor, need } => {
                    if let Err(why) = self.send_draw(target, floor, need).await {
                        return self.deny_all(&denied(&why));
                    }
                }
            }
        }
    }

    fn hurry(&mut self) {
        let waits = !self.waiting.is_empty();
        if let Some(line) = self.line.as_mut().filter(|line| waits && line.drawing && !line.hurried) {
            line.hurried = self.pool.unbounded_send(PoolMessage::Hurry).is_ok();
        }
    }

    fn step(&self) -> Step {
        let Some(line) = &self.line else { return Step::Rest };
        let smallest = self.waiting.iter().map(|waiter| waiter.amount).min();
        let sum = self.waiting.iter().fold(Credits::ZERO, |sum, waiter| sum.saturating_add(waiter.amount));
        let facts = Facts {
            balance: self.balance(),
            waiting: smallest.map(|smallest| Waiting { smallest, sum }),
            rate: self.rate,
            largest: self.largest,
            drawing: line.drawing,
            dry: self.dry,
        };
        let step = line.lease.next(&facts, &self.running.policy);
        let opens = !line.known && !line.drawing && !self.waiting.is_empty() && step == Step::Rest;
        if opens {
            return Step::Draw { target: Credits::ZERO, floor: Credits::ZERO, need: Credits::ZERO };
        }
        step
    }

    async fn open_line(&mut self) -> Result<(), Refused> {
        let wish = OpenLine {
            handle: self.handle.no,
            epoch: self.epoch.number(),
            workspace: self.handle.workspace.clone(),
            user: self.handle.user.clone(),
            cycle: self.running.cycle_of(&self.handle.workspace),
            scope: self.handle.scope.clone(),
        };
        let number = self.running.journal.open_line(wish).await?;
        self.running.disk_is_slow().await;
        self.line = Some(OpenedLine::new(number, Lease::NOTHING, false, Credits::ZERO));
        Ok(())
    }

    /// R3: first the disk, then the word.
    async fn raise(&mut self, to: Credits) -> Result<(), Refused> {
        let key = self.key();
        let (Some(line), Some(key)) = (&mut self.line, key) else { return Ok(()) };
        let rose = self.running.journal.raise_watermark(key, to).await?;
        self.running.disk_is_slow().await;
        // Not so much more than was known: the end of a hold may have lowered it meanwhile.
        line.lease.watermark = if rose.is_zero() { line.lease.watermark } else { to };
        if self.handle.deposit(self.epoch, rose).is_err() {
            return Err(stopped("the word does not take what the disk allows"));
        }
        Ok(())
    }

    async fn send_draw(&mut self, target: Credits, floor: Credits, need: Credits) -> Result<(), Refused> {
        let Some(key) = self.key() else { return Ok(()) };
        let numbers = self.running.journal.numbers(vec![key], false).await?;
        let (Some(numbers), Some(line)) = (numbers.into_iter().next(), &mut self.line) else { return Ok(()) };
        (line.drawing, line.hurried) = (true, !self.waiting.is_empty());
        let urgent = !self.waiting.is_empty();
        let waits = std::mem::take(&mut line.short) && urgent;
        let target = if waits { need.max(floor) } else { target };
        let sent = Sent { returned: line.lease.returned, target, waits };
        let message = line_message(&numbers, Wish::Draw { target, floor, need });
        let asked = Asked { message, sent, urgent, from: self.handle.clone() };
        self.running.film(Film::DrawSent, line.number.0, target.micros());
        self.tell(|line| format!("draws on {line} up to {target}"));
        if self.pool.unbounded_send(PoolMessage::Ask(Box::new(asked))).is_err() {
            return Err(stopped("the pool is gone"));
        }
        Ok(())
    }

    /// Tells the film how this line stands.
    fn tell(&self, words: impl FnOnce(&str) -> String) {
        let Some(line) = &self.line else { return };
        let whose = (&self.handle.workspace, &self.handle.user, line.number);
        let world = self.running.world();
        let stands = (self.balance(), line.lease.above());
        world.tell(|| world.lease_scene(self.running.node, whose, stands, words, false));
    }

    async fn answered(&mut self, number: LineNumber, sent: Sent, answer: DrawAnswer) {
        let Some(line) = self.line.as_mut().filter(|line| line.number == number) else { return };
        line.drawing = false;
        match answer {
            DrawAnswer::Unreachable => {
                self.dry = true;
                let have = self.have();
                match &self.line {
                    Some(line) if line.known => self.deny_above(have, &Denied::Unreachable),
                    _ => self.deny_all(&Denied::Unreachable),
                }
            }
            DrawAnswer::UnknownWorkspace => self.deny_all(&Denied::UnknownWorkspace),
            DrawAnswer::Line { result, elsewhere, durability, cut_off } => match result {
                LineResult::Line { drawn, frozen, denied } => {
                    self.handle.set_ledger_word(elsewhere, durability);
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
                        let same = line.lease.returned == sent.returned;
                        line.short =
                            if same { !sent.waits && !denial.elsewhere.is_zero() } else { sent.waits };
                        if same && !line.short {
                            self.deny_denied(&denial, cut_off);
                        }
                    }
                }
                LineResult::Rejected(rejection) => {
                    self.running.film(Film::LineRejected, number.0, 0);
                    match rejection {
                        LineRejection::TooManyLines => self.deny_all(&Denied::Overloaded),
                        LineRejection::WrittenOff => self.running.saw(Crossing::WrittenOffHolderWakes),
                        LineRejection::BeyondDrawn
                        | LineRejection::MetersDisagree
                        | LineRejection::OtherLine => {
                            self.running.broken(
                                "a holder's numbers are never beyond what the ledger knows",
                                &format!("line {number:?}: {rejection}"),
                            );
                        }
                        LineRejection::OtherCycle { now } => {
                            self.running.set_cycle(&self.handle.workspace, now);
                        }
                        LineRejection::StaleLine { .. } => {}
                    }
                    self.close().await;
                }
                LineResult::Closed => {
                    self.close().await;
                }
            },
        }
    }

    async fn install(&mut self, drawn: Vec<(types::Backing, Credits)>) {
        let (Some(key), false) = (self.key(), drawn.is_empty()) else { return };
        match self.running.journal.install(key, drawn).await {
            Ok(view) => {
                if let Some(line) = &mut self.line {
                    line.lease.drawn = view.drawn;
                }
            }
            Err(why) => self.deny_all(&denied(&why)),
        }
    }

    async fn recall(&mut self, recall: RecallLine, reply: oneshot::Sender<LineMessage>) {
        if self.line.as_ref().is_none_or(|line| line.number != recall.number()) {
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
        self.line_is_known();
        self.look_again().await;
        let Some(key) = self.key() else { return };
        let Some(line) = &self.line else { return };
        let keep = recall.keep.max(self.spoken_for());
        let give = line.lease.give_back(self.balance(), keep);
        let taken = self.handle.withdraw(self.epoch, give.keep_on_word).unwrap_or(Credits::ZERO);
        let nothing = taken.is_zero() && give.above.is_zero();
        let numbers = if nothing {
            let numbers = self.running.journal.numbers(vec![key], true).await;
            numbers.map(|mut numbers| numbers.pop())
        } else {
            // R5: durable before it is told.
            let given = self.running.journal.give_back(key, taken, give.above).await.map(Some);
            self.running.unsaid.borrow_mut().insert((self.handle.workspace.clone(), line.number));
            given
        };
        self.running.disk_is_slow().await;
        let (Ok(Some(numbers)), Some(line)) = (numbers, &mut self.line) else { return };
        line.lease.returned = numbers.returned();
        line.lease.watermark = line.lease.watermark.saturating_sub(taken);
        self.dry = true;
        self.running.film(Film::GaveBack, line.number.0, taken.micros() + give.above.micros());
        let given = taken.saturating_add(give.above);
        self.tell(|line| format!("gives {given} of {line} back"));
        let _gone = reply.send(line_message(&numbers, Wish::Report));
    }

    /// Seals the word and ends the line. The pool sees the close to the ledger.
    async fn close(&mut self) -> Option<LineMessage> {
        let key = self.key()?;
        let spent = self.handle.seal(self.epoch).unwrap_or(Credits::ZERO);
        self.line = None;
        self.epoch = self.handle.observe().epoch.next();
        let closed = self.running.journal.close(key.clone(), spent).await;
        self.running.disk_is_slow().await;
        match closed {
            Ok(numbers) => {
                let message = last_message(&numbers);
                self.running.film(Film::LineClosed, key.number.0, spent.micros());
                let whose = (&key.workspace, &self.handle.user, key.number);
                let words = |line: &str| format!("closes {line}, {spent} spent on it");
                let world = self.running.world();
                let nothing = (Credits::ZERO, Credits::ZERO);
                world.tell(|| world.lease_scene(self.running.node, whose, nothing, words, true));
                let _stopping = self.pool.unbounded_send(PoolMessage::Closing(Box::new(message.clone())));
                self.closed = Some(message.clone());
                Some(message)
            }
            Err(why) => {
                let _stopping = self.pool.unbounded_send(PoolMessage::Unclosed { line: key, spent });
                self.deny_all(&denied(&why));
                None
            }
        }
    }

    async fn tick(&mut self) -> bool {
        self.note_rate();
        self.dry = false;
        self.waiting.retain(|waiter| !waiter.reply.is_canceled());
        let now_ms = self.running.clock.boottime_ms();
        let idle = now_ms.saturating_sub(self.last_spent_ms) >= self.running.policy.idle_ms;
        let may_end = self.waiting.is_empty() && idle;
        if may_end && self.line.as_ref().is_none_or(|line| !line.drawing) && !self.has_holds().await {
            self.close().await;
        }
        idle && self.line.is_none() && self.waiting.is_empty()
    }

    fn note_rate(&mut self) {
        let now_ms = self.running.clock.boottime_ms();
        let spent = self.handle.spent();
        let Some(line) = self.line.as_mut().filter(|line| line.known) else { return };
        let since = spent.saturating_sub(line.noted);
        if !since.is_zero() {
            self.last_spent_ms = now_ms;
        }
        line.noted = spent;
        self.rate.note(since, now_ms);
    }

    fn wake_served(&mut self) {
        if self.line.as_ref().is_none_or(|line| !line.known) {
            return;
        }
        let mut left = self.balance();
        let mut still = Vec::new();
        for waiter in self.waiting.drain(..) {
            match left.checked_sub(waiter.amount) {
                Some(rest) => {
                    left = rest;
                    let _gone = waiter.reply.send(Ok(()));
                    self.last_spent_ms = self.running.clock.boottime_ms();
                }
                None => still.push(waiter),
            }
        }
        self.waiting = still;
    }

    /// What serves those who wait, first come first, as far as the line has it.
    fn spoken_for(&self) -> Credits {
        let have = self.have();
        let waiting = self.waiting.iter().filter(|waiter| !waiter.reply.is_canceled());
        let left = waiting.fold(have, |left, waiter| left.checked_sub(waiter.amount).unwrap_or(left));
        have.saturating_sub(left)
    }

    fn have(&self) -> Credits {
        let above = self.line.as_ref().map_or(Credits::ZERO, |line| line.lease.above());
        self.balance().saturating_add(above)
    }

    fn deny_denied(&mut self, denial: &Denial, cut_off: bool) {
        let available = denial.available.saturating_add(self.have());
        let denied = Denied::Ledger { denial: Denial { available, ..denial.clone() }, cut_off };
        match denial.reason {
            DenialReason::AccessDisabled | DenialReason::FeatureNotInPlan(_) | DenialReason::UnknownUser => {
                self.deny_all(&denied);
            }
            DenialReason::Exhausted
            | DenialReason::AllocationExhausted
            | DenialReason::LimitReached(_)
            | DenialReason::OverageCapReached
            | DenialReason::Frozen
            | DenialReason::ScopesChanged => self.deny_above(available, &denied),
        }
    }

    fn deny_above(&mut self, most: Credits, why: &Denied) {
        let (may, short): (Vec<_>, Vec<_>) = self.waiting.drain(..).partition(|waiter| waiter.amount <= most);
        self.waiting = may;
        for waiter in short {
            let _gone = waiter.reply.send(Err(why.clone()));
        }
    }

    fn deny_all(&mut self, why: &Denied) {
        for waiter in self.waiting.drain(..) {
            let _gone = waiter.reply.send(Err(why.clone()));
        }
    }

    fn set_marks(&self) {
        let above = self.line.as_ref().map_or(Credits::ZERO, |line| line.lease.above());
        let low = if !self.waiting.is_empty() {
            Credits::MAX
        } else if self.line.is_none() || (self.dry && above.is_zero()) {
            Credits::ZERO
        } else {
            Lease::NOTHING.low_water(&self.rate, &self.running.policy)
        };
        self.handle.set_marks(low, above);
    }

    fn key(&self) -> Option<LineKey> {
        let number = self.line.as_ref()?.number;
        Some(LineKey { workspace: self.handle.workspace.clone(), number })
    }
}

fn stopped(why: &str) -> Refused {
    Refused::Stopped { why: why.into() }
}

fn denied(why: &Refused) -> Denied {
    match why {
        Refused::Overloaded => Denied::Overloaded,
        _ => Denied::Storage,
    }
}
