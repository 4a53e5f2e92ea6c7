//! The task that gathers one workspace's draws, reports and closes on one node into batches: the product's
//! `actors/pool.rs` on virtual time. Not here: one user's line (`allocation`), finding the leader (`node`).

use super::allocation::Allocation;
use super::batch::{Asked, Outgoing, Weight, fitting, last_message, line_message, weight};
use super::film::Step as Film;
use super::handle::Handle;
use super::messages::{AllocationMessage, DrawAnswer};
use super::node::{NotSubmitted, Running};
use super::words::{BatchAnswer, Recall};
use crate::crossings::Crossing;
use futures::StreamExt;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::channel::oneshot;
use journal::{LineKey, LineView};
use ledger::{HolderBatch, LineAnswer, LineMessage, LineRejection, LineResult, Wish};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use types::planted::{Mistake, is_planted};
use types::{Credits, Limited, LineNumber, Scope, UserId, WorkspaceId};

const GATHER_MS: u64 = 100;
const BATCHES_MAX: usize = 4;
const WAITING_BATCHES_MAX: usize = 4;

pub enum PoolMessage {
    /// Gives the handle a task, if it has none.
    Spawn {
        handle: Rc<Handle>,
        reply: oneshot::Sender<bool>,
    },
    Ask(Box<Asked>),
    Closing(Box<LineMessage>),
    /// A line that waited for its holds may have closed.
    HoldEnded,
    Unclosed {
        line: LineKey,
        spent: Credits,
    },
    Flush,
    FlushShort,
    Window,
    Hurry,
    Done(Box<Done>),
    Tick,
    Recall {
        recall: Recall,
        reply: oneshot::Sender<Vec<LineMessage>>,
    },
    Final {
        lines: Vec<LineNumber>,
        reply: oneshot::Sender<Vec<LineMessage>>,
    },
    Confirm {
        line: LineNumber,
        reply: oneshot::Sender<bool>,
    },
    Drain {
        reply: oneshot::Sender<()>,
    },
}

/// A batch that came back.
pub struct Done {
    sent: Vec<Outgoing>,
    waits: bool,
    result: Result<BatchAnswer, NotSubmitted>,
}

pub struct Pool {
    pub(super) running: Rc<Running>,
    pub(super) workspace: WorkspaceId,
    me: UnboundedSender<PoolMessage>,
    recovered: BTreeMap<(UserId, Scope), LineView>,
    ended: Vec<LineKey>,
    unclosed: BTreeMap<LineKey, Credits>,
    gathered: VecDeque<Outgoing>,
    flushing: bool,
    urgent: bool,
    windowed: bool,
    in_flight: usize,
    short: VecDeque<Outgoing>,
    flushing_short: bool,
    short_in_flight: usize,
    pub(super) lines: BTreeSet<LineNumber>,
    pub(super) reported: BTreeMap<LineNumber, Weight>,
    pub(super) closing: BTreeMap<LineNumber, LineMessage>,
    /// Lines that wait for their holds alone.
    pub(super) ending: BTreeSet<LineNumber>,
    drained: Vec<oneshot::Sender<()>>,
}

impl Pool {
    pub fn new(
        running: Rc<Running>,
        workspace: WorkspaceId,
        me: UnboundedSender<PoolMessage>,
        recovered: Vec<LineView>,
    ) -> Self {
        let (ended, open): (Vec<_>, Vec<_>) = recovered.into_iter().partition(|view| view.closed);
        let mut pool = Self {
            running,
            workspace,
            me,
            recovered: BTreeMap::new(),
            ended: ended.into_iter().map(|view| view.line).collect(),
            unclosed: BTreeMap::new(),
            gathered: VecDeque::new(),
            flushing: false,
            urgent: false,
            windowed: false,
            in_flight: 0,
            short: VecDeque::new(),
            flushing_short: false,
            short_in_flight: 0,
            lines: BTreeSet::new(),
            reported: BTreeMap::new(),
            closing: BTreeMap::new(),
            ending: BTreeSet::new(),
            drained: Vec::new(),
        };
        pool.recover(open);
        pool
    }

    pub async fn run(mut self, mut mailbox: UnboundedReceiver<PoolMessage>) {
        while let Some(message) = mailbox.next().await {
            match message {
                PoolMessage::Spawn { handle, reply } => {
                    let _gone = reply.send(self.spawn_child(&handle).await);
                }
                PoolMessage::Ask(asked) => {
                    if !self.closing.contains_key(&asked.message.number) {
                        self.lines.insert(asked.message.number);
                    }
                    self.gather(Outgoing::Draw(*asked));
                }
                PoolMessage::Closing(message) => {
                    if let Some(outgoing) = self.line_ends(*message) {
                        self.gather(outgoing);
                    }
                }
                PoolMessage::HoldEnded => self.close_ended().await,
                PoolMessage::Unclosed { line, spent } => {
                    self.lines.remove(&line.number);
                    self.reported.remove(&line.number);
                    self.unclosed.insert(line, spent);
                }
                PoolMessage::Flush => self.flush(),
                PoolMessage::FlushShort => self.flush_short(),
                PoolMessage::Window => {
                    self.windowed = false;
                    self.ask_for_flush();
                }
                PoolMessage::Hurry => {
                    self.urgent = true;
                    self.ask_for_flush();
                }
                PoolMessage::Done(done) => self.done(*done).await,
                PoolMessage::Tick => self.tick().await,
                PoolMessage::Recall { recall, reply } => self.recall(recall, reply).await,
                PoolMessage::Final { lines, reply } => {
                    let _gone = reply.send(self.said_last(&lines).await);
                }
                PoolMessage::Confirm { line, reply } => self.confirm(line, reply).await,
                PoolMessage::Drain { reply } => self.drain(reply).await,
            }
            self.answer_drained();
        }
    }

    async fn spawn_child(&mut self, handle: &Rc<Handle>) -> bool {
        if handle.has_actor() {
            return true;
        }
        if !self.running.is_current(handle) {
            return false;
        }
        let key = (handle.user.clone(), handle.scope.clone());
        let is_old = |limited: &Limited| limited.list() != handle.scope.list;
        if !self.recovered.contains_key(&key)
            && self.running.limited(&self.workspace).is_some_and(|now| is_old(&now))
        {
            self.running.drop_handle(handle);
            return false;
        }
        let recovered = self.recovered.remove(&key);
        self.lines.extend(recovered.iter().map(|view| view.line.number));
        let started =
            Allocation::start(self.running.clone(), handle.clone(), self.me.clone(), recovered).await;
        let Ok(allocation) = started else { return false };
        let (sender, mailbox) = unbounded();
        handle.set_actor(Some(sender));
        self.running.spawn(allocation.run(mailbox));
        true
    }

    fn recover(&mut self, open: impl IntoIterator<Item = LineView>) {
        for view in open {
            if view.is_ending {
                self.lines.insert(view.line.number);
                self.ending.insert(view.line.number);
                continue;
            }
            let key = (view.user.clone(), view.scope.clone());
            let is_older = self.recovered.get(&key).is_some_and(|known| known.line.number > view.line.number);
            let older = if is_older { Some(view) } else { self.recovered.insert(key, view) };
            self.unclosed.extend(older.map(|view| (view.line, view.arrived)));
        }
    }

    pub(super) fn gather(&mut self, outgoing: Outgoing) {
        if outgoing.waits_for_round() {
            self.short.push_back(outgoing);
            return self.ask_for_flush_short();
        }
        self.urgent |= outgoing.is_urgent();
        self.gathered.push_back(outgoing);
        self.go_on();
    }

    fn go_on(&mut self) {
        if self.urgent {
            self.ask_for_flush();
        } else if !self.windowed && !self.gathered.is_empty() {
            self.windowed = true;
            let (running, me) = (self.running.clone(), self.me.clone());
            self.running.spawn(async move {
                running.time.sleep(GATHER_MS).await;
                let _gone = me.unbounded_send(PoolMessage::Window);
            });
        }
    }

    fn ask_for_flush(&mut self) {
        if self.in_flight < BATCHES_MAX && !self.gathered.is_empty() && !self.flushing {
            self.flushing = self.me.unbounded_send(PoolMessage::Flush).is_ok();
        }
    }

    fn ask_for_flush_short(&mut self) {
        let may = self.short_in_flight < WAITING_BATCHES_MAX && !self.short.is_empty();
        if may && !self.flushing_short {
            self.flushing_short = self.me.unbounded_send(PoolMessage::FlushShort).is_ok();
        }
    }

    fn flush(&mut self) {
        self.flushing = false;
        if self.in_flight >= BATCHES_MAX || self.gathered.is_empty() {
            return;
        }
        let count = fitting(&self.gathered);
        let sent: Vec<Outgoing> = self.gathered.drain(..count).collect();
        self.urgent = self.gathered.iter().any(Outgoing::is_urgent);
        self.in_flight += 1;
        self.send(sent, false);
        self.go_on();
    }

    fn flush_short(&mut self) {
        self.flushing_short = false;
        if self.short_in_flight >= WAITING_BATCHES_MAX || self.short.is_empty() {
            return;
        }
        let count = fitting(&self.short);
        let sent: Vec<Outgoing> = self.short.drain(..count).collect();
        self.short_in_flight += 1;
        self.send(sent, true);
        self.ask_for_flush_short();
    }

    fn send(&self, sent: Vec<Outgoing>, waits: bool) {
        let batch = HolderBatch {
            holder: self.running.holder,
            journal_sequence: self.running.journal.sequence(),
            workspace: self.workspace.clone(),
            lines: sent.iter().map(|outgoing| outgoing.message().clone()).collect(),
            recalled: false,
        };
        let (running, me) = (self.running.clone(), self.me.clone());
        self.running.spawn(async move {
            let result = running.submit(batch).await;
            let _gone = me.unbounded_send(PoolMessage::Done(Box::new(Done { sent, waits, result })));
        });
    }

    async fn done(&mut self, done: Done) {
        let Done { sent, waits, result } = done;
        let in_flight = if waits { &mut self.short_in_flight } else { &mut self.in_flight };
        *in_flight -= 1;
        match result {
            Ok(mut answer) => {
                answer.limited.take().into_iter().for_each(|limited| self.hear_limited(limited));
                for (at, outgoing) in sent.into_iter().enumerate() {
                    if at < answer.lines.len() {
                        self.settle(outgoing, &answer, at).await;
                    }
                }
            }
            Err(why) => {
                for outgoing in sent {
                    if let Outgoing::Close(message) = &outgoing
                        && why == NotSubmitted::UnknownWorkspace
                    {
                        self.closed(message, &LineResult::Closed).await;
                    }
                    outgoing.fail(why);
                }
            }
        }
        self.go_on();
        self.ask_for_flush_short();
    }

    /// Handles of other lists end, and whoever waits there asks the one he is to ask.
    fn hear_limited(&self, limited: Limited) {
        self.running.hear_limited(&self.workspace, limited);
        let Some(limited) = self.running.limited(&self.workspace) else { return };
        let handles = self.running.handles_of(&self.workspace);
        for handle in handles.into_iter().filter(|handle| handle.scope.list != limited.list()) {
            self.running.saw(Crossing::HandleOfAnotherList);
            handle.tell(AllocationMessage::Retire);
        }
    }

    async fn settle(&mut self, outgoing: Outgoing, answer: &BatchAnswer, at: usize) {
        let LineAnswer { number, result } = answer.lines[at].clone();
        match outgoing {
            Outgoing::Draw(Asked { message, sent, from, .. }) => {
                self.note_reported(&message);
                let answer = DrawAnswer::of(answer, at);
                from.tell(AllocationMessage::Answered { number, sent, answer });
            }
            Outgoing::Report { message, confirms } => {
                let taken = match result {
                    LineResult::Line { frozen, .. } => {
                        self.tell_child(&message, frozen, answer, at);
                        true
                    }
                    LineResult::Closed => true,
                    LineResult::Rejected(LineRejection::StaleLine { .. }) => true,
                    LineResult::Rejected(_) => false,
                };
                if taken {
                    self.note_reported(&message);
                }
                for confirm in confirms {
                    let _gone = confirm.send(taken);
                }
            }
            Outgoing::Close(message) => self.closed(&message, &result).await,
        }
    }

    /// A line that was taken away is closed, even if no recall came through.
    fn tell_child(&self, message: &LineMessage, frozen: bool, answer: &BatchAnswer, at: usize) {
        let found = self.running.find_in(&self.workspace, &message.user, &message.scope);
        let Some(handle) = found else { return };
        handle.set_ledger_word(answer.elsewhere[at], answer.durability);
        if frozen {
            handle.tell(AllocationMessage::Frozen { number: message.number });
        }
    }

    async fn closed(&mut self, message: &LineMessage, result: &LineResult) {
        let folded = match result {
            LineResult::Closed => true,
            LineResult::Rejected(LineRejection::StaleLine { .. }) => {
                self.running.saw(Crossing::CloseWasTakenAlready);
                true
            }
            LineResult::Rejected(why) => {
                self.running
                    .broken("a close is never rejected", &format!("line {:?}: {why}", message.number));
                false
            }
            LineResult::Line { .. } => false,
        };
        if folded {
            let key = LineKey { workspace: self.workspace.clone(), number: message.number };
            let _stays_for_now = self.running.journal.forget(key).await;
            self.closing.remove(&message.number);
        }
    }

    fn note_reported(&mut self, message: &LineMessage) {
        if self.lines.contains(&message.number) {
            self.reported.insert(message.number, weight(message));
        }
    }

    async fn tick(&mut self) {
        for handle in self.running.handles_of(&self.workspace) {
            handle.tell(AllocationMessage::Tick);
        }
        self.take_up_recovered().await;
        self.close_ended().await;
        let gathered: BTreeSet<LineNumber> =
            self.gathered.iter().map(|outgoing| outgoing.message().number).collect();
        let closes = self.closing.values().filter(|close| !gathered.contains(&close.number)).cloned();
        self.gathered.extend(closes.map(Outgoing::Close));
        let _not_this_time = self.report(&gathered).await;
        self.ask_for_flush();
    }

    async fn take_up_recovered(&mut self) {
        self.resume_closes().await;
        for (key, view) in std::mem::take(&mut self.recovered) {
            let handle = self.running.make_handle(&self.workspace, &key.0, &key.1);
            self.recovered.insert(key.clone(), view);
            if self.spawn_child(&handle).await
                && let Some(left) = self.recovered.remove(&key)
            {
                // The user has a task already, with a line of its own.
                self.unclosed.insert(left.line, left.arrived);
            }
        }
    }

    async fn resume_closes(&mut self) {
        for (line, spent) in std::mem::take(&mut self.unclosed) {
            match self.running.journal.close(line.clone(), spent).await {
                Ok(numbers) => drop(self.line_ends(last_message(&numbers))),
                Err(journal::Refused::NoLine) => {}
                Err(_) => {
                    self.unclosed.insert(line, spent);
                }
            }
        }
        let ended = std::mem::take(&mut self.ended);
        if ended.is_empty() {
            return;
        }
        if let Ok(numbers) = self.running.journal.numbers(ended, true).await {
            for numbers in numbers {
                self.closing.insert(numbers.line.number, line_message(&numbers, Wish::Close));
            }
        }
    }

    async fn report(&mut self, gathered: &BTreeSet<LineNumber>) -> Result<(), journal::Refused> {
        let key = |number: &LineNumber| LineKey { workspace: self.workspace.clone(), number: *number };
        let keys: Vec<LineKey> = self.lines.difference(gathered).map(key).collect();
        if keys.is_empty() {
            return Ok(());
        }
        for numbers in self.running.journal.numbers(keys, true).await? {
            let message = line_message(&numbers, Wish::Report);
            if self.reported.get(&message.number) != Some(&weight(&message))
                && weight(&message) != Weight::default()
            {
                self.gathered.push_back(Outgoing::Report { message, confirms: Vec::new() });
            }
        }
        Ok(())
    }

    async fn confirm(&mut self, line: LineNumber, reply: oneshot::Sender<bool>) {
        let key = LineKey { workspace: self.workspace.clone(), number: line };
        match self.running.journal.numbers(vec![key], true).await {
            Ok(mut numbers) if !numbers.is_empty() => {
                let numbers = numbers.remove(0);
                let wish = if numbers.closed { Wish::Close } else { Wish::Report };
                let message = line_message(&numbers, wish);
                self.gather(Outgoing::Report { message, confirms: vec![reply] });
            }
            Ok(_) | Err(journal::Refused::NoLine) => {
                let _gone = reply.send(true);
            }
            Err(_) => {
                let _gone = reply.send(false);
            }
        }
    }

    async fn recall(&mut self, recall: Recall, reply: oneshot::Sender<Vec<LineMessage>>) {
        self.take_up_recovered().await;
        let (mut answers, mut ending, mut asked) = (Vec::new(), Vec::new(), Vec::new());
        for line in recall.lines {
            let number = line.number();
            if let Some(closing) = self.closing.get(&number) {
                answers.push(closing.clone());
                continue;
            }
            if self.ending.contains(&number) {
                self.install_ending(number, line.drawn).await;
                ending.push(number);
                continue;
            }
            let (reply, answer) = oneshot::channel();
            if let Some(handle) = self.running.find_in(&self.workspace, &line.user, &line.scope) {
                handle.tell(AllocationMessage::Recall { recall: line, reply });
            }
            asked.push((number, answer));
        }
        answers.extend(self.said_of_ending(&ending).await);
        self.running.film(Film::RecallTaken, asked.len() as u64, answers.len() as u64);
        let pool = self.me.clone();
        self.running.spawn(async move {
            let mut unanswered = Vec::new();
            for (number, answer) in asked {
                match answer.await {
                    Ok(answer) => answers.push(answer),
                    Err(_) => unanswered.push(number),
                }
            }
            if !unanswered.is_empty() && !is_planted(Mistake::RecallMeetsClose) {
                let (reply, last) = oneshot::channel();
                let is_told = pool.unbounded_send(PoolMessage::Final { lines: unanswered, reply }).is_ok();
                if is_told {
                    answers.extend(last.await.unwrap_or_default());
                }
            }
            let _gone = reply.send(answers);
        });
    }

    async fn drain(&mut self, reply: oneshot::Sender<()>) {
        self.take_up_recovered().await;
        self.drained.push(reply);
        for handle in self.running.handles_of(&self.workspace) {
            handle.tell(AllocationMessage::Drain);
        }
    }

    fn answer_drained(&mut self) {
        let nothing_open = self.lines.is_empty() && self.closing.is_empty() && self.unclosed.is_empty();
        let nothing_to_take_up = self.recovered.is_empty() && self.ended.is_empty();
        if nothing_open && nothing_to_take_up && self.in_flight == 0 && self.short_in_flight == 0 {
            for reply in self.drained.drain(..) {
                let _gone = reply.send(());
            }
        }
    }
}
