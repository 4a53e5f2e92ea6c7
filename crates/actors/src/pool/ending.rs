//! Lines that wait for their holds: nothing is spent of them any more, all but what is held is given back, and with the last
//! hold they close. They report like others, and a recall is answered for them. Not here: holds themselves (`journal`).

use super::{Pool, PoolMessage};
use crate::batch::{Outgoing, last_message};
use journal::{LineKey, Refused};
use ledger::{LineMessage, Wish};
use ractor::ActorRef;
use types::{Backing, Credits, LineNumber};

impl Pool {
    /// What a line says when its word is sealed for good: that it is closed, or that it waits.
    pub(super) fn line_ends(&mut self, message: LineMessage) -> Option<Outgoing> {
        if matches!(message.wish, Wish::Close) {
            self.lines.remove(&message.number);
            self.reported.remove(&message.number);
            self.ending.remove(&message.number);
            let is_news = self.closing.insert(message.number, message.clone()).is_none();
            return is_news.then_some(Outgoing::Close(message));
        }
        if self.closing.contains_key(&message.number) {
            return None;
        }
        self.lines.insert(message.number);
        self.ending.insert(message.number);
        Some(Outgoing::Report { message, confirms: Vec::new() })
    }

    /// Sees those to the ledger that have closed since.
    pub(super) async fn close_ended(&mut self, myself: &ActorRef<PoolMessage>) {
        let ending: Vec<LineNumber> = self.ending.iter().copied().collect();
        let mut said = self.said_of_ending(&ending).await;
        // Its last hold has ended, and its close was not written: the process was killed between the two, or the disk was full.
        for message in
            said.iter_mut().filter(|message| message.held.is_zero() && message.wish == Wish::Report)
        {
            let line = LineKey { workspace: self.workspace.clone(), number: message.number };
            match self.holder.journal.close(line, Credits::ZERO).await {
                Ok(numbers) => *message = last_message(&numbers),
                Err(why) => {
                    tracing::warn!(workspace = %self.workspace, %why, "a line is not closed yet");
                }
            }
        }
        for message in said.into_iter().filter(|message| matches!(message.wish, Wish::Close)) {
            if let Some(close) = self.line_ends(message) {
                self.gather(close, myself);
            }
        }
    }

    /// What was drawn for a line before it ended, and is known of only now: the journal gives it back at once.
    pub(super) async fn install_ending(&self, number: LineNumber, drawn: Vec<(Backing, Credits)>) {
        let line = LineKey { workspace: self.workspace.clone(), number };
        match self.holder.journal.install(line, drawn).await {
            Ok(_) | Err(Refused::LineClosed(_)) => {}
            Err(why) => {
                tracing::warn!(workspace = %self.workspace, %why, "a line that ends keeps a draw for now");
            }
        }
    }

    /// The durable numbers of these lines.
    pub(super) async fn said_of_ending(&self, lines: &[LineNumber]) -> Vec<LineMessage> {
        if lines.is_empty() {
            return Vec::new();
        }
        let key = |number: &LineNumber| LineKey { workspace: self.workspace.clone(), number: *number };
        match self.holder.journal.numbers(lines.iter().map(key).collect(), true).await {
            Ok(numbers) => numbers.iter().map(last_message).collect(),
            Err(why) => {
                tracing::warn!(workspace = %self.workspace, %why, "nothing is said of lines that end for now");
                Vec::new()
            }
        }
    }

    /// Of lines that those who had them say nothing of any more: they close by now, or wait for their holds.
    pub(super) async fn said_last(&self, lines: &[LineNumber]) -> Vec<LineMessage> {
        let ending: Vec<LineNumber> =
            lines.iter().filter(|line| self.ending.contains(line)).copied().collect();
        let mut said = self.said_of_ending(&ending).await;
        said.extend(lines.iter().filter_map(|line| self.closing.get(line)).cloned());
        said
    }
}
