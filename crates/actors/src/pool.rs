//! The pool actor: on each node the parent of a workspace's allocation actors. It gathers their draws, reports and
//! returns into batches, sees closed lines to the ledger, and rebuilds a child that panicked from the journal.
//!
//! What arrives while batches are on their way rides in the next one; no timer gathers. Not here: sizes (`leasing`),
//! finding the leader (`shards`).

use crate::allocation::{AllocationActor, AllocationMessage, Arguments, DrawAnswer, LedgerWord, Sent};
use crate::handle::Handle;
use crate::holder::{HolderInner, NotSubmitted};
use crate::leader::{BatchAnswer, Recall};
use journal::{HandleNo, LineKey, LineNumbers, LineView};
use ledger::{HolderBatch, LineAnswer, LineMessage, LineRejection, LineResult, Used, Wish};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use tokio::sync::oneshot;
use types::{Credits, LineNumber, ShardId, UserId, WorkspaceId};

#[derive(Debug)]
pub(crate) enum PoolMessage {
    /// Gives the handle an actor, if it has none.
    Spawn {
        handle: Arc<Handle>,
        reply: oneshot::Sender<()>,
    },
    Ask(Box<Asked>),
    Closing(Box<LineMessage>),
    Flush,
    Done(Box<Done>),
    Tick,
    Recall {
        recall: Recall,
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
    pub from: ActorRef<AllocationMessage>,
}

/// A batch that came back.
#[derive(Debug)]
pub(crate) struct Done {
    sent: Vec<Outgoing>,
    result: Result<BatchAnswer, NotSubmitted>,
}

#[derive(Debug)]
enum Outgoing {
    Draw(Asked),
    Report { message: LineMessage, confirms: Vec<oneshot::Sender<bool>> },
    Close(LineMessage),
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
    recovered: BTreeMap<UserId, LineView>,
    /// Closed lines of before a restart whose final numbers are still to be read.
    ended: Vec<LineKey>,
    gathered: VecDeque<Outgoing>,
    flushing: bool,
    in_flight: usize,
    /// Open lines of this pool on this node.
    lines: BTreeSet<LineNumber>,
    /// What was last reported of each, as (used + unattributed, calls).
    reported: BTreeMap<LineNumber, (Credits, u64)>,
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
        // A user has at most one open line here; others of his wait to be folded.
        let (ended, open): (Vec<_>, Vec<_>) = recovered.into_iter().partition(|view| view.closed);
        Ok(Pool {
            holder,
            workspace,
            shard,
            children: BTreeMap::new(),
            recovered: open.into_iter().map(|view| (view.user.clone(), view)).collect(),
            ended: ended.into_iter().map(|view| view.line).collect(),
            gathered: VecDeque::new(),
            flushing: false,
            in_flight: 0,
            lines: BTreeSet::new(),
            reported: BTreeMap::new(),
            closing: BTreeMap::new(),
            drained: Vec::new(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<PoolMessage>,
        message: PoolMessage,
        pool: &mut Pool,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            PoolMessage::Spawn { handle, reply } => {
                pool.spawn_child(&myself, handle).await?;
                let _gone = reply.send(());
            }
            PoolMessage::Ask(asked) => {
                pool.lines.insert(asked.message.number);
                pool.gather(Outgoing::Draw(*asked), &myself);
            }
            PoolMessage::Closing(message) => {
                pool.lines.remove(&message.number);
                pool.reported.remove(&message.number);
                pool.closing.insert(message.number, (*message).clone());
                pool.gather(Outgoing::Close(*message), &myself);
            }
            PoolMessage::Flush => pool.flush(&myself),
            PoolMessage::Done(done) => pool.done(*done, &myself).await,
            PoolMessage::Tick => pool.tick(&myself).await,
            PoolMessage::Recall { recall, reply } => pool.recall(recall, reply),
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
    async fn spawn_child(
        &mut self,
        myself: &ActorRef<PoolMessage>,
        handle: Arc<Handle>,
    ) -> Result<(), ActorProcessingErr> {
        if handle.has_actor() {
            return Ok(());
        }
        let recovered = self.recovered.remove(&handle.user);
        self.lines.extend(recovered.iter().map(|view| view.line.number));
        let arguments = Arguments {
            holder: self.holder.clone(),
            handle: handle.clone(),
            pool: myself.clone(),
            recovered,
        };
        let (actor, _task) = Actor::spawn_linked(None, AllocationActor, arguments, myself.get_cell()).await?;
        handle.set_actor(Some(actor.clone()));
        self.children.insert(handle.no, Child { handle, actor });
        Ok(())
    }

    /// A child panicked: what it knew is in the journal and on the word.
    async fn rebuild(
        &mut self,
        id: ractor::ActorId,
        myself: &ActorRef<PoolMessage>,
    ) -> Result<(), ActorProcessingErr> {
        let found = self.children.iter().find(|(_, child)| child.actor.get_id() == id).map(|(no, _)| *no);
        let Some(child) = found.and_then(|no| self.children.remove(&no)) else { return Ok(()) };
        child.handle.set_actor(None);
        let lines = self.holder.journal.lines().await?;
        let of_child = |view: &LineView| {
            view.line.workspace == self.workspace && view.user == child.handle.user && !view.closed
        };
        if let Some(view) = lines.into_iter().find(of_child) {
            self.recovered.insert(child.handle.user.clone(), view);
        }
        self.spawn_child(myself, child.handle).await
    }

    fn forget_child(&mut self, id: ractor::ActorId) {
        let found = self.children.iter().find(|(_, child)| child.actor.get_id() == id).map(|(no, _)| *no);
        if let Some(child) = found.and_then(|no| self.children.remove(&no)) {
            child.handle.set_actor(None);
            self.holder.directory.drop_handle(&child.handle);
        }
    }

    fn gather(&mut self, outgoing: Outgoing, myself: &ActorRef<PoolMessage>) {
        self.gathered.push_back(outgoing);
        self.ask_for_flush(myself);
    }

    /// A flush goes to the end of the mailbox, behind everything that waits there already.
    fn ask_for_flush(&mut self, myself: &ActorRef<PoolMessage>) {
        let may = self.in_flight < self.holder.options.batches_max && !self.gathered.is_empty();
        if may && !self.flushing {
            self.flushing = myself.cast(PoolMessage::Flush).is_ok();
        }
    }

    fn flush(&mut self, myself: &ActorRef<PoolMessage>) {
        self.flushing = false;
        if self.in_flight >= self.holder.options.batches_max || self.gathered.is_empty() {
            return;
        }
        let (lines_max, bytes_max) =
            (self.holder.options.batch_lines_max, self.holder.options.batch_bytes_max);
        let count = LineMessage::fitting(self.gathered.iter().map(Outgoing::message), lines_max, bytes_max);
        let sent: Vec<Outgoing> = self.gathered.drain(..count).collect();
        let batch = HolderBatch {
            holder: self.holder.id,
            journal_sequence: self.holder.journal.sequence(),
            workspace: self.workspace.clone(),
            lines: sent.iter().map(|outgoing| outgoing.message().clone()).collect(),
        };
        self.in_flight += 1;
        let (holder, shard, myself_then) = (self.holder.clone(), self.shard, myself.clone());
        tokio::spawn(async move {
            let result = holder.submit(shard, batch).await;
            let _stopped = myself_then.cast(PoolMessage::Done(Box::new(Done { sent, result })));
        });
        self.ask_for_flush(myself);
    }

    async fn done(&mut self, done: Done, myself: &ActorRef<PoolMessage>) {
        self.in_flight -= 1;
        let Done { sent, result } = done;
        match result {
            Ok(BatchAnswer { lines, remaining, durability, cut_off }) => {
                let answers = lines.into_iter().zip(remaining);
                for (outgoing, (answer, remaining)) in sent.into_iter().zip(answers) {
                    let word = LedgerWord { remaining, durability, cut_off };
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
        self.ask_for_flush(myself);
    }

    async fn settle(&mut self, outgoing: Outgoing, answer: LineAnswer, word: LedgerWord) {
        let LineAnswer { number, result } = answer;
        match outgoing {
            Outgoing::Draw(Asked { message, sent, from }) => {
                if let Some(now) = other_cycle(&result) {
                    self.holder.set_cycle(&self.workspace, now);
                }
                self.note_reported(&message);
                let answer = DrawAnswer::Line { result, word };
                let _stopped = from.cast(AllocationMessage::Answered { number, sent, answer });
            }
            Outgoing::Report { message, confirms } => {
                let taken = matches!(result, LineResult::Line { .. });
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
        if self.gathered.is_empty() && self.in_flight == 0 {
            let closes: Vec<LineMessage> = self.closing.values().cloned().collect();
            self.gathered.extend(closes.into_iter().map(Outgoing::Close));
            if let Err(why) = self.report().await {
                tracing::warn!(workspace = %self.workspace, %why, "no report this time");
            }
        }
        self.ask_for_flush(myself);
        let nothing_left = self.recovered.is_empty() && self.ended.is_empty();
        let quiet = self.children.is_empty() && self.closing.is_empty() && nothing_left;
        if quiet && self.in_flight == 0 && self.gathered.is_empty() {
            self.holder.pool_is_idle(&self.workspace, myself);
        }
    }

    /// Lines of before a restart get their actors back, so that they report, can be recalled, and close when idle.
    async fn take_up_recovered(&mut self, myself: &ActorRef<PoolMessage>) {
        self.resume_closes().await;
        for (user, view) in std::mem::take(&mut self.recovered) {
            let Some(handle) = self.holder.make_handle(&self.workspace, &user) else { continue };
            self.recovered.insert(user, view);
            if let Err(why) = self.spawn_child(myself, handle).await {
                tracing::error!(workspace = %self.workspace, %why, "a recovered line has no actor");
            }
        }
    }

    async fn resume_closes(&mut self) {
        let ended = std::mem::take(&mut self.ended);
        if ended.is_empty() {
            return;
        }
        match self.holder.journal.numbers(ended, true).await {
            Ok(numbers) => {
                for numbers in numbers {
                    self.closing.insert(numbers.line.number, line_message(&numbers, Wish::Close));
                }
            }
            Err(why) => tracing::error!(%why, "closed lines are not in the journal"),
        }
    }

    async fn report(&mut self) -> Result<(), journal::Refused> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let key = |number: &LineNumber| LineKey { workspace: self.workspace.clone(), number: *number };
        let keys: Vec<LineKey> = self.lines.iter().map(key).collect();
        for numbers in self.holder.journal.numbers(keys, true).await? {
            let message = line_message(&numbers, Wish::Report);
            if self.reported.get(&message.number) != Some(&weight(&message))
                && weight(&message) != (Credits::ZERO, 0)
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
                let outgoing =
                    Outgoing::Report { message: line_message(&numbers, wish), confirms: vec![reply] };
                self.gather(outgoing, myself);
            }
            Ok(_) | Err(_) => {
                let _gone = reply.send(false);
            }
        }
    }

    /// Asks the children; what is closing already is answered with its final numbers.
    fn recall(&mut self, recall: Recall, reply: oneshot::Sender<Vec<LineMessage>>) {
        let mut answers = Vec::new();
        let mut asked = Vec::new();
        for line in recall.lines {
            if let Some(closing) = self.closing.get(&line.number()) {
                answers.push(closing.clone());
                continue;
            }
            let child = self.children.values().find(|child| child.handle.user == line.user);
            let Some(child) = child else { continue };
            let (reply, answer) = oneshot::channel();
            if child.actor.cast(AllocationMessage::Recall { recall: line, reply }).is_ok() {
                asked.push(answer);
            }
        }
        tokio::spawn(async move {
            for answer in asked {
                answers.extend(answer.await);
            }
            let _gone = reply.send(answers);
        });
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
        if self.lines.is_empty() && self.closing.is_empty() && self.in_flight == 0 {
            for reply in self.drained.drain(..) {
                let _gone = reply.send(());
            }
        }
    }
}

impl Outgoing {
    fn message(&self) -> &LineMessage {
        match self {
            Self::Draw(asked) => &asked.message,
            Self::Report { message, .. } | Self::Close(message) => message,
        }
    }

    /// The leader could not be asked. Closes stay in `closing` and are asked again.
    fn fail(self, why: NotSubmitted) {
        match self {
            Self::Draw(Asked { message, sent, from }) => {
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

fn other_cycle(result: &LineResult) -> Option<types::CycleNumber> {
    match result {
        LineResult::Rejected(LineRejection::OtherCycle { now }) => Some(*now),
        LineResult::Rejected(_) | LineResult::Line { .. } | LineResult::Closed => None,
    }
}

/// What a report adds over an earlier one shows in this pair.
fn weight(message: &LineMessage) -> (Credits, u64) {
    let spent = message.used.by_backing.iter().map(|(_, used, lost)| used.saturating_add(*lost));
    let calls = message.used.by_meter.iter().map(|(_, metered)| metered.calls).sum();
    (spent.fold(Credits::ZERO, Credits::saturating_add), calls)
}

/// A line's durable numbers as a message to the ledger.
pub(crate) fn line_message(numbers: &LineNumbers, wish: Wish) -> LineMessage {
    LineMessage {
        number: numbers.line.number,
        user: numbers.user.clone(),
        cycle: numbers.cycle,
        team: numbers.team.clone(),
        returned: numbers.backings.iter().map(|b| (b.backing, b.returned)).collect(),
        used: Used {
            by_backing: numbers.backings.iter().map(|b| (b.backing, b.used, b.unattributed)).collect(),
            by_meter: numbers.meters.clone(),
        },
        held: Credits::ZERO,
        confirmed: Credits::ZERO,
        wish,
    }
}
