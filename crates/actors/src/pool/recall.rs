//! A leader asks for credits back. Not here: what a line gives (`allocation`).

use super::{Pool, PoolMessage};
use crate::leader::Recall;
use crate::messages::AllocationMessage;
use ledger::LineMessage;
use ractor::ActorRef;
use tokio::sync::oneshot;
use types::planted::{Mistake, is_planted};

impl Pool {
    /// Asks the children; what is closing already is answered with its final numbers.
    pub(super) async fn recall(
        &mut self,
        recall: Recall,
        reply: oneshot::Sender<Vec<LineMessage>>,
        myself: &ActorRef<PoolMessage>,
    ) {
        self.take_up_recovered(myself).await;
        let mut answers = Vec::new();
        let mut ending = Vec::new();
        let mut asked = Vec::new();
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
            let handle = self.holder.directory.find_in(&self.workspace, &line.user, &line.scope);
            let (reply, answer) = oneshot::channel();
            // One that ended a moment ago takes it no more, or is not known any more: its close is in the mailbox.
            if let Some(child) = handle.and_then(|handle| self.children.get(&handle.no)) {
                let _ended = child.actor.cast(AllocationMessage::Recall { recall: line, reply });
            }
            asked.push((number, answer));
        }
        answers.extend(self.said_of_ending(&ending).await);
        let pool = myself.clone();
        tokio::spawn(async move {
            let mut unanswered = Vec::new();
            for (number, answer) in asked {
                match answer.await {
                    Ok(answer) => answers.push(answer),
                    Err(_) => unanswered.push(number),
                }
            }
            if !unanswered.is_empty() && !is_planted(Mistake::RecallMeetsClose) {
                // A child that was closing the line when it was asked, and ended, has told its pool first.
                let (reply, last) = oneshot::channel();
                // A pool that has stopped leaves the message, and its end of the answer, in the error.
                let is_told = pool.cast(PoolMessage::Final { lines: unanswered, reply }).is_ok();
                if is_told {
                    answers.extend(last.await.unwrap_or_default());
                }
            }
            let _gone = reply.send(answers);
        });
    }
}
