//! The pool actor: on each node the parent of a workspace's allocation actors. It gathers their draws, reports and
//! returns into batches and sees closed lines to the ledger; what was there before it is taken up by `taken_up`.
//!
//! What somebody waits for is sent at once, and what is gathered rides along; draws ahead of need, reports and closes
//! gather for a window. Draws that wait for a recall round go apart, so that no other answer waits with them.
//! Not here: sizes (`leasing`), what a batch says (`batch`), finding the leader (`shards`).

mod ending;
mod recall;
mod taken_up;

use crate::batch::{Outgoing, Weight, line_message, other_cycle, weight};
use crate::handle::Handle;
use crate::holder::{HolderInner, NotSubmitted};
use crate::leader::{BatchAnswer, Recall};
use crate::messages::{AllocationMessage, DrawAnswer, LedgerWord, Sent};
use journal::{HandleNo, LineKey, LineView};
use ledger::{HolderBatch, LineAnswer, LineMessage, LineRejection, LineResult, Wish};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use types::planted;
use types::{Credits, Limited, LineNumber, Scope, ShardId, UserId, WorkspaceId};

#[derive(Debug)]
pub(crate) enum PoolMessage {
    /// Gives the handle an actor, if it has none. `false`: it is not the user's handle any more.
    Spawn {
        handle: Arc<Handle>,
        reply: oneshot::Sender<bool>,
    },
    Ask(Box<Asked>),
    /// The last word of a line; with open holds only the last but one.
    Closing(Box<LineMessage>),
    /// The last hold of a line that waited for it has ended.
    HoldEnded,
    /// The journal did not take a close. So much was spent on the line.
    Unclosed {
        line: LineKey,
        spent: Credits,
    },
    Flush,
    /// The same for draws that wait for a recall round.
    FlushShort,
    /// The window in which draws ahead of need gather is over.
    Window,
    /// Somebody waits for a draw that was ahead of need.
    Hurry,
    Done(Box<Done>),
    Tick,
    Recall {
        recall: Recall,
        reply: oneshot::Sender<Vec<LineMessage>>,
    },
    /// Answered with the final numbers of those lines that are closing.
    Final {
        lines: Vec<LineNumber>,
        reply: oneshot::Sender<Vec<LineMessage>>,
    },
    /// Answered `true` when a report of this line, as it is now, is committed.
    Confirm {
        line: LineNumber,
        reply: oneshot::Sender<bool>,
    },
    Drain {
        reply: oneshot::Sender<()>,
    },
    #[cfg(test)]
    Panic,
}

/// A draw of a child.
#[derive(Debug)]
pub(crate) struct Asked {
    pub message: LineMessage,
    pub sent: Sent,
    /// Somebody waits for it.
    pub urgent: bool,
    pub from: ActorRef<AllocationMessage>,
}

/// A batch that came back.
#[derive(Debug)]
pub(crate) struct Done {
    sent: Vec<Outgoing>,
    /// Of draws that wait for a recall round.
    waits: bool,
    result: Result<BatchAnswer, NotSubmitted>,
}

pub(crate) struct PoolActor;

pub(crate) struct PoolArguments {
    pub holder: Arc<HolderInner>,
    pub workspace: WorkspaceId,
    pub shard: ShardId,
    /// Lines of this workspace that the journal had when the node started.
    pub recovered: Vec<LineView>,
}

pub(crate) struct Pool {
    holder: Arc<HolderInner>,
    workspace: WorkspaceId,
    shard: ShardId,
    children: BTreeMap<HandleNo, Child>,
    recovered: BTreeMap<(UserId, Scope), LineView>,
    /// Closed lines, of before a restart or of an actor that failed, whose final numbers are still to be read.
    ended: Vec<LineKey>,
    /// Lines whose words are sealed or gone, still to be closed in the journal, with what was spent on them.
    unclosed: BTreeMap<LineKey, Credits>,
    /// Messages of the supervisor, ticks left out.
    handled: u64,
    gathered: VecDeque<Outgoing>,
    flushing: bool,
    /// Somebody waits for something that is gathered.
    urgent: bool,
    /// A message comes at the end of the window.
    windowed: bool,
    in_flight: usize,
    /// Draws that wait for a recall round: they were denied at first, though credits are out elsewhere.
    short: VecDeque<Outgoing>,
    flushing_short: bool,
    short_in_flight: usize,
    /// Open lines of this pool on this node.
    lines: BTreeSet<LineNumber>,
    /// What was last reported of each.
    reported: BTreeMap<LineNumber, Weight>,
    /// Those of them that wait for their holds alone.
    ending: BTreeSet<LineNumber>,
    /// Ended at the holder, not yet folded by the ledger.
    closing: BTreeMap<LineNumber, LineMessage>,
    drained: Vec<oneshot::Sender<()>>,
}

struct Child {
    handle: Arc<Handle>,
    actor: ActorRef<AllocationMessage>,
}

impl Actor for PoolActor {
    type Msg = PoolMessage;
    type State = Pool;
    type Arguments = PoolArguments;

    async fn pre_start(
        &self,
        _myself: ActorRef<PoolMessage>,
        arguments: PoolArguments,
    ) -> Result<Pool, ActorProcessingErr> {
        let PoolArguments { holder, workspace, shard, recovered } = arguments;
        let (ended, open): (Vec<_>, Vec<_>) = recovered.into_iter().partition(|view| view.closed);
        let mut pool = Pool {
            holder,
            workspace,
            shard,
            children: BTreeMap::new(),
            recovered: BTreeMap::new(),
            ended: ended.into_iter().map(|view| view.line).collect(),
            unclosed: BTreeMap::new(),
            handled: 0,
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
            ending: BTreeSet::new(),
            closing: BTreeMap::new(),
            drained: Vec::new(),
        };
        pool.recover(open);
        Ok(pool)
    }

    async fn handle(
        &self,
        myself: ActorRef<PoolMessage>,
        message: PoolMessage,
        pool: &mut Pool,
    ) -> Result<(), ActorProcessingErr> {
        pool.holder.panic_point(planted::Actor::Pool);
        pool.handled += u64::from(message.is_of_supervisor());
        match message {
            PoolMessage::Spawn { handle, reply } => {
                let _gone = reply.send(pool.spawn_child(&myself, handle).await?);
            }
            PoolMessage::Ask(asked) => {
                // Who asked may have failed since, and its line be ended.
                let number = asked.message.number;
                let is_ended = |line: &LineKey| line.number == number;
                if !pool.closing.contains_key(&number) && !pool.ended.iter().any(is_ended) {
                    pool.lines.insert(number);
                }
                pool.gather(Outgoing::Draw(*asked), &myself);
            }
            PoolMessage::Closing(message) => {
                if let Some(outgoing) = pool.line_ends(*message) {
                    pool.gather(outgoing, &myself);
                }
            }
            PoolMessage::HoldEnded => pool.close_ended(&myself).await,
            PoolMessage::Unclosed { line, spent } => {
                pool.lines.remove(&line.number);
                pool.reported.remove(&line.number);
                pool.unclosed.insert(line, spent);
            }
            PoolMessage::Flush => pool.flush(&myself),
            PoolMessage::FlushShort => pool.flush_short(&myself),
            PoolMessage::Window => {
                pool.windowed = false;
                pool.ask_for_flush(&myself);
            }
            PoolMessage::Hurry => {
                pool.urgent = true;
                pool.ask_for_flush(&myself);
            }
            PoolMessage::Done(done) => pool.done(*done, &myself).await,
            PoolMessage::Tick => pool.tick(&myself).await,
            PoolMessage::Recall { recall, reply } => pool.recall(recall, reply, &myself).await,
            PoolMessage::Final { lines, reply } => {
                let _gone = reply.send(pool.said_last(&lines).await);
            }
            PoolMessage::Confirm { line, reply } => pool.confirm(line, reply, &myself).await,
            PoolMessage::Drain { reply } => pool.drain(reply, &myself).await,
            #[cfg(test)]
            PoolMessage::Panic => panic!("asked to"),
        }
        pool.answer_drained();
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<PoolMessage>,
        event: SupervisionEvent,
        pool: &mut Pool,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(cell, why) => {
                tracing::error!(workspace = %pool.workspace, %why, "an allocation actor failed; rebuilding it");
                pool.rebuild(cell.get_id(), &myself).await?;
            }
            SupervisionEvent::ActorTerminated(cell, _, _) => pool.forget_child(cell.get_id()),
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

impl Pool {
    fn forget_child(&mut self, id: ractor::ActorId) {
        let found = self.children.iter().find(|(_, child)| child.actor.get_id() == id).map(|(no, _)| *no);
        if let Some(child) = found.and_then(|no| self.children.remove(&no)) {
            child.handle.set_actor(None);
            self.holder.directory.drop_handle(&child.handle);
        }
    }

    fn gather(&mut self, outgoing: Outgoing, myself: &ActorRef<PoolMessage>) {
        if outgoing.waits_for_round() {
            self.short.push_back(outgoing);
            return self.ask_for_flush_short(myself);
        }
        self.urgent |= outgoing.is_urgent();
        self.gathered.push_back(outgoing);
        self.go_on(myself);
    }

    /// What nobody waits for yet waits for more of its kind.
    fn go_on(&mut self, myself: &ActorRef<PoolMessage>) {
        if self.urgent {
            self.ask_for_flush(myself);
        } else if !self.windowed && !self.gathered.is_empty() {
            self.windowed = true;
            let window = Duration::from_millis(self.holder.options.gather_ms);
            let _timer = myself.send_after(window, || PoolMessage::Window);
        }
    }

    /// A flush goes to the end of the mailbox, behind everything that waits there already.
    fn ask_for_flush(&mut self, myself: &ActorRef<PoolMessage>) {
        let may = self.in_flight < self.holder.options.batches_max && !self.gathered.is_empty();
        if may && !self.flushing {
            self.flushing = myself.cast(PoolMessage::Flush).is_ok();
        }
    }

    fn ask_for_flush_short(&mut self, myself: &ActorRef<PoolMessage>) {
        let may = self.short_in_flight < self.holder.options.waiting_batches_max && !self.short.is_empty();
        if may && !self.flushing_short {
            self.flushing_short = myself.cast(PoolMessage::FlushShort).is_ok();
        }
    }

    fn flush(&mut self, myself: &ActorRef<PoolMessage>) {
        self.flushing = false;
        if self.in_flight >= self.holder.options.batches_max || self.gathered.is_empty() {
            return;
        }
        let sent = self.fitting(&self.gathered);
        let sent: Vec<Outgoing> = self.gathered.drain(..sent).collect();
        self.urgent = self.gathered.iter().any(Outgoing::is_urgent);
        self.in_flight += 1;
        self.send(sent, false, myself);
        self.go_on(myself);
    }

    fn flush_short(&mut self, myself: &ActorRef<PoolMessage>) {
        self.flushing_short = false;
        if self.short_in_flight >= self.holder.options.waiting_batches_max || self.short.is_empty() {
            return;
        }
        let sent = self.fitting(&self.short);
        let sent: Vec<Outgoing> = self.short.drain(..sent).collect();
        self.short_in_flight += 1;
        self.send(sent, true, myself);
        self.ask_for_flush_short(myself);
    }

    /// How many go into one batch.
    fn fitting(&self, queue: &VecDeque<Outgoing>) -> usize {
        let (lines_max, bytes_max) =
            (self.holder.options.batch_lines_max, self.holder.options.batch_bytes_max);
        LineMessage::fitting(queue.iter().map(Outgoing::message), lines_max, bytes_max)
    }

    fn send(&self, sent: Vec<Outgoing>, waits: bool, myself: &ActorRef<PoolMessage>) {
        let batch = HolderBatch {
            holder: self.holder.id,
            journal_sequence: self.holder.journal.sequence(),
            workspace: self.workspace.clone(),
            lines: sent.iter().map(|outgoing| outgoing.message().clone()).collect(),
            recalled: false,
        };
        let (holder, shard, myself_then) = (self.holder.clone(), self.shard, myself.clone());
        tokio::spawn(async move {
            let result = holder.submit(shard, batch).await;
            let _stopped = myself_then.cast(PoolMessage::Done(Box::new(Done { sent, waits, result })));
        });
    }

    async fn done(&mut self, done: Done, myself: &ActorRef<PoolMessage>) {
        let Done { sent, waits, result } = done;
        let in_flight = if waits { &mut self.short_in_flight } else { &mut self.in_flight };
        *in_flight -= 1;
        match result {
            Ok(BatchAnswer { lines, elsewhere, durability, enforcement, cut_off, limited }) => {
                limited.into_iter().for_each(|limited| self.hear_limited(limited));
                let answers = lines.into_iter().zip(elsewhere);
                for (outgoing, (answer, elsewhere)) in sent.into_iter().zip(answers) {
                    let word = LedgerWord { elsewhere, durability, enforcement, cut_off };
                    self.settle(outgoing, answer, word).await;
                }
            }
            Err(why) => {
                for outgoing in sent {
                    if let Outgoing::Close(message) = &outgoing
                        && why == NotSubmitted::UnknownWorkspace
                    {
                        // Nothing can have been drawn where there is no pool.
                        self.closed(message, &LineResult::Closed).await;
                    }
                    outgoing.fail(why);
                }
            }
        }
        self.go_on(myself);
        self.ask_for_flush_short(myself);
    }

    /// What is limited has changed: children of other lists end, and whoever waits there asks the one he is to ask.
    fn hear_limited(&self, limited: Limited) {
        self.holder.hear_limited(&self.workspace, limited);
        let Some(limited) = self.holder.limited(&self.workspace) else { return };
        for child in self.children.values().filter(|child| child.handle.scope().list != limited.list()) {
            let _stopped = child.actor.cast(AllocationMessage::Retire);
        }
    }

    async fn settle(&mut self, outgoing: Outgoing, answer: LineAnswer, word: LedgerWord) {
        let LineAnswer { number, result } = answer;
        match outgoing {
            Outgoing::Draw(Asked { message, sent, from, .. }) => {
                if let Some(now) = other_cycle(&result) {
                    self.holder.set_cycle(&self.workspace, now);
                }
                self.note_reported(&message);
                let answer = DrawAnswer::Line { result, word };
                let _stopped = from.cast(AllocationMessage::Answered { number, sent, answer });
            }
            Outgoing::Report { message, confirms } => {
                let taken = match result {
                    LineResult::Line { frozen, .. } => {
                        self.tell_child(&message, frozen, word);
                        true
                    }
                    LineResult::Closed => true,
                    // Folded before: an answer got lost.
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

    /// What a report was answered. A line that was taken away is closed, even if no recall came through.
    fn tell_child(&self, message: &LineMessage, frozen: bool, word: LedgerWord) {
        let found = self.holder.directory.find_in(&self.workspace, &message.user, &message.scope);
        let Some(handle) = found else { return };
        handle.set_ledger_word(word.elsewhere, word.durability);
        if frozen {
            handle.tell(AllocationMessage::Frozen { number: message.number });
        }
    }

    async fn closed(&mut self, message: &LineMessage, result: &LineResult) {
        // A stale line was folded before: an answer got lost.
        let folded = match result {
            LineResult::Closed => true,
            LineResult::Rejected(LineRejection::StaleLine { .. }) => true,
            LineResult::Rejected(why) => {
                tracing::error!(workspace = %self.workspace, line = message.number.0, %why, "a close was rejected");
                false
            }
            LineResult::Line { .. } => false,
        };
        if folded {
            let key = LineKey { workspace: self.workspace.clone(), number: message.number };
            if let Err(why) = self.holder.journal.forget(key).await {
                tracing::warn!(%why, "a folded line stays in the journal for now");
            }
            self.closing.remove(&message.number);
        }
    }

    fn note_reported(&mut self, message: &LineMessage) {
        if self.lines.contains(&message.number) {
            self.reported.insert(message.number, weight(message));
        }
    }

    /// Once a second: report what was spent since, ask again for closes, let idle children go.
    async fn tick(&mut self, myself: &ActorRef<PoolMessage>) {
        for child in self.children.values() {
            let _stopped = child.actor.cast(AllocationMessage::Tick);
        }
        self.take_up_recovered(myself).await;
        self.close_ended(myself).await;
        // Also in a pool that is never at rest; but nothing twice in the same queue.
        let gathered: BTreeSet<LineNumber> =
            self.gathered.iter().map(|outgoing| outgoing.message().number).collect();
        let closes = self.closing.values().filter(|close| !gathered.contains(&close.number)).cloned();
        self.gathered.extend(closes.map(Outgoing::Close));
        if let Err(why) = self.report(&gathered).await {
            tracing::warn!(workspace = %self.workspace, %why, "no report this time");
        }
        self.ask_for_flush(myself);
        let nothing_left = self.recovered.is_empty() && self.ended.is_empty() && self.unclosed.is_empty();
        let no_lines = self.children.is_empty() && self.lines.is_empty() && self.closing.is_empty();
        let nothing_short = self.short_in_flight == 0 && self.short.is_empty();
        if nothing_left && no_lines && nothing_short && self.in_flight == 0 && self.gathered.is_empty() {
            self.holder.pool_is_idle(&self.workspace, myself, self.handled);
        }
    }

    async fn report(&mut self, gathered: &BTreeSet<LineNumber>) -> Result<(), journal::Refused> {
        let key = |number: &LineNumber| LineKey { workspace: self.workspace.clone(), number: *number };
        let keys: Vec<LineKey> = self.lines.difference(gathered).map(key).collect();
        if keys.is_empty() {
            return Ok(());
        }
        for numbers in self.holder.journal.numbers(keys, true).await? {
            let message = line_message(&numbers, Wish::Report);
            if self.reported.get(&message.number) != Some(&weight(&message))
                && weight(&message) != Weight::default()
            {
                self.gathered.push_back(Outgoing::Report { message, confirms: Vec::new() });
            }
        }
        Ok(())
    }

    async fn confirm(
        &mut self,
        line: LineNumber,
        reply: oneshot::Sender<bool>,
        myself: &ActorRef<PoolMessage>,
    ) {
        let key = LineKey { workspace: self.workspace.clone(), number: line };
        match self.holder.journal.numbers(vec![key], true).await {
            Ok(mut numbers) if !numbers.is_empty() => {
                let numbers = numbers.remove(0);
                let wish = if numbers.closed { Wish::Close } else { Wish::Report };
                let message = line_message(&numbers, wish);
                let waits = self.gathered.iter_mut().find_map(|outgoing| outgoing.report_of(line));
                match waits {
                    // One report of a line waits at most, however many wait for it.
                    Some((waiting, confirms)) => {
                        confirms.retain(|confirm| !confirm.is_closed());
                        confirms.push(reply);
                        *waiting = message;
                        self.urgent = true;
                        self.go_on(myself);
                    }
                    None => self.gather(Outgoing::Report { message, confirms: vec![reply] }, myself),
                }
            }
            // A line is forgotten only once the ledger has folded it.
            Ok(_) | Err(journal::Refused::NoLine) => {
                let _gone = reply.send(true);
            }
            Err(_) => {
                let _gone = reply.send(false);
            }
        }
    }

    async fn drain(&mut self, reply: oneshot::Sender<()>, myself: &ActorRef<PoolMessage>) {
        self.take_up_recovered(myself).await;
        self.drained.push(reply);
        for child in self.children.values() {
            let (reply, _answer) = oneshot::channel();
            let _stopped = child.actor.cast(AllocationMessage::Drain { reply });
        }
    }

    fn answer_drained(&mut self) {
        let nothing_open = self.lines.is_empty() && self.closing.is_empty() && self.unclosed.is_empty();
        // Lines that have no actor yet, or were closed and not said: the ledger still waits for them.
        let nothing_to_take_up = self.recovered.is_empty() && self.ended.is_empty();
        if nothing_open && nothing_to_take_up && self.in_flight == 0 && self.short_in_flight == 0 {
            for reply in self.drained.drain(..) {
                let _gone = reply.send(());
            }
        }
    }
}

impl PoolMessage {
    fn is_of_supervisor(&self) -> bool {
        match self {
            Self::Spawn { .. }
            | Self::Recall { .. }
            | Self::Confirm { .. }
            | Self::HoldEnded
            | Self::Drain { .. } => true,
            Self::Ask(_)
            | Self::Closing(_)
            | Self::Unclosed { .. }
            | Self::Flush
            | Self::FlushShort
            | Self::Window
            | Self::Hurry
            | Self::Done(_)
            | Self::Final { .. }
            | Self::Tick => false,
            #[cfg(test)]
            Self::Panic => true,
        }
    }
}
