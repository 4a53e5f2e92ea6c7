//! Gathers proposals: those that come while an entry is being committed ride in the next one together. No timer.
//!
//! Not here: what becomes of an entry.

use crate::machine::{Machine, encode_batch};
use crate::raft::{Answers, Raft, Types};
use crate::shapes;
use crate::{Committed, ProposeError};
use openraft::error::{ClientWriteError, RaftError};
use openraft::raft::ClientWriteResponse;
use platform::Clock;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use types::Timestamp;
use wire::blob::Blob;

/// A command that waits for its entry, and where its answer goes.
pub(crate) struct Waiting {
    pub command: Blob,
    pub answer: oneshot::Sender<Result<Committed, ProposeError>>,
}

pub(crate) struct Gatherer {
    pub raft: Raft,
    pub machine: Machine,
    pub clock: Arc<dyn Clock>,
    pub entry_commands_max: usize,
    pub entry_bytes_max: usize,
    /// How long an entry may take before its proposers are told that its fate is unknown. It may still be committed.
    pub patience: Duration,
}

impl Gatherer {
    /// Runs until nobody can propose any more.
    pub(crate) async fn run(self, mut queue: mpsc::Receiver<Waiting>) {
        let mut left_over = None;
        let mut last_at = Timestamp::from_millis(i64::MIN);
        loop {
            let first = match left_over.take() {
                Some(waiting) => waiting,
                None => match queue.recv().await {
                    Some(waiting) => waiting,
                    None => return,
                },
            };
            let batch = self.gather(first, &mut queue, &mut left_over);
            if batch.is_empty() {
                continue;
            }
            last_at = last_at.max(self.clock.now()).max(self.machine.look(|_, state| state.now));
            self.propose(last_at, batch).await;
        }
    }

    /// As many as fit; what does not fit any more is left over for the next entry.
    fn gather(
        &self,
        first: Waiting,
        queue: &mut mpsc::Receiver<Waiting>,
        left_over: &mut Option<Waiting>,
    ) -> Vec<Waiting> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        let mut next = Some(first);
        while let Some(waiting) = next {
            // Who has given up waiting must not have his command carried out later than need be.
            if !waiting.answer.is_closed() {
                bytes += waiting.command.0.len();
                if bytes > self.entry_bytes_max && !batch.is_empty() {
                    *left_over = Some(waiting);
                    break;
                }
                batch.push(waiting);
            }
            if batch.len() == self.entry_commands_max {
                break;
            }
            next = queue.try_recv().ok();
        }
        batch
    }

    async fn propose(&self, at: Timestamp, batch: Vec<Waiting>) {
        let (commands, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.command, waiting.answer)).unzip();
        let proposals = match encode_batch(at, commands) {
            Ok(proposals) => proposals,
            Err(error) => return refuse(answers, &ProposeError::Stopped { why: error.to_string() }),
        };
        match tokio::time::timeout(self.patience, self.raft.client_write(proposals)).await {
            Ok(Ok(ClientWriteResponse { log_id, data: Answers { at, applied }, .. })) => {
                for (answer, applied) in answers.into_iter().zip(applied) {
                    // Whoever asked may have left.
                    let _ = answer.send(Ok(Committed { index: log_id.index, at, applied }));
                }
            }
            Ok(Err(error)) => refuse(answers, &propose_error(error)),
            Err(_) => refuse(answers, &ProposeError::Unknown),
        }
    }
}

fn refuse(answers: Vec<oneshot::Sender<Result<Committed, ProposeError>>>, error: &ProposeError) {
    for answer in answers {
        let _ = answer.send(Err(error.clone()));
    }
}

fn propose_error(error: RaftError<Types, ClientWriteError<Types>>) -> ProposeError {
    match error {
        // Said before anything is appended.
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
            ProposeError::NotLeader { leader: forward.leader_id.map(shapes::node) }
        }
        // Appended here and replaced later: another node may have committed it all the same.
        RaftError::APIError(
            ClientWriteError::LogEntryDiscarded(_)
            | ClientWriteError::ChangeMembershipError(_)
            | ClientWriteError::PreconditionFailed(_),
        ) => ProposeError::Unknown,
        RaftError::Fatal(_) => ProposeError::Unknown,
    }
}
