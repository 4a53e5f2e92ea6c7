//! Lines that wait for their holds, as the product's `actors/pool/ending.rs`. Not here: holds themselves (`holds`).

use super::batch::{Outgoing, last_message};
use super::pool::Pool;
use journal::LineKey;
use ledger::{LineMessage, Wish};
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

    pub(super) async fn close_ended(&mut self) {
        let ending: Vec<LineNumber> = self.ending.iter().copied().collect();
        let mut said = self.said_of_ending(&ending).await;
        for message in
            said.iter_mut().filter(|message| message.held.is_zero() && message.wish == Wish::Report)
        {
            let line = LineKey { workspace: self.workspace.clone(), number: message.number };
            if let Ok(numbers) = self.running.journal.close(line, Credits::ZERO).await {
                *message = last_message(&numbers);
            }
        }
        for message in said.into_iter().filter(|message| matches!(message.wish, Wish::Close)) {
            if let Some(close) = self.line_ends(message) {
                self.gather(close);
            }
        }
    }

    pub(super) async fn install_ending(&self, number: LineNumber, drawn: Vec<(Backing, Credits)>) {
        let line = LineKey { workspace: self.workspace.clone(), number };
        let _closed_or_later = self.running.journal.install(line, drawn).await;
    }

    pub(super) async fn said_of_ending(&self, lines: &[LineNumber]) -> Vec<LineMessage> {
        if lines.is_empty() {
            return Vec::new();
        }
        let key = |number: &LineNumber| LineKey { workspace: self.workspace.clone(), number: *number };
        let numbers = self.running.journal.numbers(lines.iter().map(key).collect(), true).await;
        numbers.map(|numbers| numbers.iter().map(last_message).collect()).unwrap_or_default()
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
