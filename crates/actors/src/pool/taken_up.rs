//! Lines that are there already when an actor begins: of before a restart, of an actor that failed. Their users get actors
//! again, and what was ended is seen to the ledger. Not here: finding out that an actor failed (`pool`, `supervisor`).

use super::{Child, Pool, PoolMessage};
use crate::allocation::{AllocationActor, Arguments};
use crate::batch::{last_message, line_message};
use crate::handle::Handle;
use crate::messages::AllocationMessage;
use journal::LineView;
use ledger::Wish;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::sync::Arc;
use tokio::sync::oneshot;
use types::Limited;
use types::planted::{Mistake, is_planted};

impl Pool {
    pub(super) async fn spawn_child(
        &mut self,
        myself: &ActorRef<PoolMessage>,
        handle: Arc<Handle>,
    ) -> Result<bool, ActorProcessingErr> {
        if handle.has_actor() {
            return Ok(true);
        }
        let key = (handle.user.clone(), handle.scope().clone());
        // Of a list that does not hold any more, by what this node knows: who asked for it asks for another one.
        let is_old = |limited: &Limited| limited.list() != handle.scope().list;
        if !self.recovered.contains_key(&key)
            && self.holder.limited(&self.workspace).is_some_and(|now| is_old(&now))
        {
            self.holder.directory.drop_handle(&handle);
            return Ok(false);
        }
        // Dropped with its last actor: two handles of one user and scope would be two words and two lines.
        let known = self.holder.directory.find_in(&self.workspace, &handle.user, handle.scope());
        if !known.is_some_and(|known| Arc::ptr_eq(&known, &handle)) {
            return Ok(false);
        }
        // One that failed, and nobody has said so yet.
        if self.children.remove(&handle.no).is_some() {
            self.take_up_lines_of(&handle).await?;
        }
        let recovered = self.recovered.remove(&key);
        let taken_up = recovered.as_ref().map(|view| view.line.number);
        self.lines.extend(taken_up);
        let arguments = Arguments {
            holder: self.holder.clone(),
            handle: handle.clone(),
            pool: myself.clone(),
            recovered,
        };
        let spawned = Actor::spawn_linked(None, AllocationActor, arguments, myself.get_cell()).await;
        let actor = match (spawned, taken_up) {
            (Ok((actor, _task)), _) => actor,
            (Err(why), None) => return Err(why.into()),
            (Err(why), Some(line)) => {
                // The journal may have closed it since it was listed, for an actor that does not live to say so.
                tracing::info!(workspace = %self.workspace, line = line.0, %why, "a line is looked for again");
                self.lines.remove(&line);
                self.take_up_lines_of(&handle).await?;
                return Ok(false);
            }
        };
        handle.set_actor(Some(actor.clone()));
        self.children.insert(handle.no, Child { handle, actor });
        Ok(true)
    }

    /// Of each user and scope the newest open line goes on; an older one is closed. There is none but after a failure.
    pub(super) fn recover(&mut self, open: impl IntoIterator<Item = LineView>) {
        for view in open {
            if view.is_ending {
                self.lines.insert(view.line.number);
                self.ending.insert(view.line.number);
                continue;
            }
            let key = (view.user.clone(), view.scope.clone());
            if self.recovered.get(&key).is_some_and(|known| known.line == view.line) {
                continue;
            }
            let is_older = self.recovered.get(&key).is_some_and(|known| known.line.number > view.line.number);
            let older = if is_older { Some(view) } else { self.recovered.insert(key, view) };
            self.unclosed.extend(older.map(|view| (view.line, view.arrived)));
        }
    }

    /// A child panicked: what it knew is in the journal and on the word.
    pub(super) async fn rebuild(
        &mut self,
        id: ractor::ActorId,
        myself: &ActorRef<PoolMessage>,
    ) -> Result<(), ActorProcessingErr> {
        let found = self.children.iter().find(|(_, child)| child.actor.get_id() == id).map(|(no, _)| *no);
        let Some(child) = found.and_then(|no| self.children.remove(&no)) else { return Ok(()) };
        child.handle.set_actor(None);
        self.take_up_lines_of(&child.handle).await?;
        self.spawn_child(myself, child.handle).await.map(|_| ())
    }

    async fn take_up_lines_of(&mut self, handle: &Handle) -> Result<(), ActorProcessingErr> {
        let lines = self.holder.journal.lines().await?;
        let of_child = |view: &LineView| {
            view.line.workspace == self.workspace && view.user == handle.user && view.scope == *handle.scope()
        };
        let (ended, open): (Vec<_>, Vec<_>) =
            lines.into_iter().filter(of_child).partition(|view| view.closed);
        // It may have closed a line and not lived to say so.
        for line in ended.into_iter().map(|view| view.line) {
            let was_said = self.closing.contains_key(&line.number) || self.ended.contains(&line);
            if !was_said && !is_planted(Mistake::ClosedUnsaid) {
                self.lines.remove(&line.number);
                self.reported.remove(&line.number);
                self.ended.push(line);
            }
        }
        self.recover(open);
        Ok(())
    }

    /// Lines of before a restart get their actors back, so that they report, can be recalled, and close when idle.
    pub(super) async fn take_up_recovered(&mut self, myself: &ActorRef<PoolMessage>) {
        self.resume_closes().await;
        for (key, view) in std::mem::take(&mut self.recovered) {
            let made = self.holder.make_handle(&self.workspace, &key.0, &key.1);
            self.recovered.insert(key.clone(), view);
            let Some(handle) = made else { continue };
            if let Err(why) = self.spawn_child(myself, handle.clone()).await {
                tracing::error!(workspace = %self.workspace, %why, "a recovered line has no actor");
            }
            // Where the actor of a pool that failed has not gone yet, the line waits for the next time. Who drains waits
            // too, and may have told all others before.
            if !self.drained.is_empty() && !self.recovered.contains_key(&key) {
                let (reply, _answer) = oneshot::channel();
                handle.tell(AllocationMessage::Drain { reply });
            }
        }
        if !self.ended.is_empty() {
            // One that was closed since it was listed.
            self.resume_closes().await;
        }
    }

    async fn resume_closes(&mut self) {
        for (line, spent) in std::mem::take(&mut self.unclosed) {
            match self.holder.journal.close(line.clone(), spent).await {
                // What is said of it goes with the next tick.
                Ok(numbers) => drop(self.line_ends(last_message(&numbers))),
                Err(journal::Refused::NoLine) => {}
                Err(why) => {
                    tracing::warn!(workspace = %self.workspace, line = line.number.0, %why, "a line stays open for now");
                    self.unclosed.insert(line, spent);
                }
            }
        }
        let ended = std::mem::take(&mut self.ended);
        if ended.is_empty() {
            return;
        }
        match self.holder.journal.numbers(ended.clone(), true).await {
            Ok(numbers) => {
                for numbers in numbers {
                    self.closing.insert(numbers.line.number, line_message(&numbers, Wish::Close));
                }
            }
            Err(why) => {
                tracing::warn!(workspace = %self.workspace, %why, "closed lines are not said for now");
                self.ended = ended;
            }
        }
    }
}
