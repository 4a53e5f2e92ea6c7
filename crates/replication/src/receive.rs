//! The receiving side: what other nodes send to one group. Not here: which group, and the sending side (`network`).

#[cfg(test)]
mod tests;

use crate::blocking::off_the_tasks;
use crate::raft::{Raft, Snapshot, Types, Vote};
use crate::shapes;
use crate::snapshot::{SnapshotFile, SnapshotStore};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use openraft::async_runtime::WatchReceiver;
use openraft::error::Fatal;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderError, TransferLeaderRequest, VoteRequest,
    VoteResponse,
};
use platform::DiskFile;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use wire::raft::{self as shape, Answer, Appended, Call, Chunk, ChunkTaken, Transferred};

/// One group's ear.
pub(crate) struct Receiver {
    raft: Raft,
    snapshots: SnapshotStore,
    snapshot_bytes_max: u64,
    incoming: Mutex<Option<Incoming>>,
}

/// A snapshot of which the first bytes have come.
struct Incoming {
    digest: [u8; 32],
    total_bytes: u64,
    offset: u64,
    file: Arc<dyn DiskFile>,
    /// Once all came. The last piece may be sent again when its answer was lost or late: it waits for the same end.
    install: Option<Install>,
}

/// A snapshot on its way into the state machine, for whoever waits for it; it goes on when nobody does. Only one is at a
/// time, and its file is touched by nobody else.
type Install = Shared<BoxFuture<'static, Installed>>;

/// How an install ended.
#[derive(Clone, Debug)]
enum Installed {
    /// It is on the disk and in force, or was not wanted; this node's vote.
    Done(shape::Vote),
    /// The leader that sent it leads no more: this is this node's vote.
    NotTaken(shape::Vote),
    /// It is not what was sent.
    Damaged,
    Unreadable(String),
    /// The group has stopped: who knows how far it came.
    Stopped(String),
}

/// What a piece leads to.
enum Next {
    /// The following piece.
    Piece(u64),
    /// The end of this snapshot's install.
    End(Install),
    /// The end of another one's, and then this piece again.
    Other(Install),
}

/// Why a request has no answer of its own.
enum Trouble {
    Stopped(Fatal<Types>),
    Disk(io::Error),
    Odd(String),
    Install(String),
}

impl Receiver {
    pub(crate) fn new(raft: Raft, snapshots: SnapshotStore, snapshot_bytes_max: u64) -> Self {
        Self { raft, snapshots, snapshot_bytes_max, incoming: Mutex::new(None) }
    }

    /// The node in whose name a call is made.
    pub(crate) fn named(call: &Call) -> u16 {
        match call {
            Call::Append { vote, .. }
            | Call::Vote { vote, .. }
            | Call::PreVote { vote, .. }
            | Call::Chunk(Chunk { vote, .. })
            | Call::Transfer { vote, .. } => vote.node,
        }
    }

    pub(crate) async fn answer(&self, call: Call) -> Answer {
        let answered = match call {
            Call::Append { vote, previous, entries, committed } => {
                self.append(vote, previous, entries, committed).await.map(Answer::Append)
            }
            Call::Vote { vote, last, transfer } => {
                let mut request = vote_request(vote, last);
                request.leadership_transfer = transfer;
                self.raft
                    .vote(request)
                    .await
                    .map(|response| vote_answer(&response))
                    .map_err(|error| fatal(error).into())
            }
            Call::PreVote { vote, last } => {
                let answered = self.raft.pre_vote(vote_request(vote, last)).await;
                answered.map(|response| vote_answer(&response)).map_err(|error| fatal(error).into())
            }
            Call::Chunk(chunk) => self.chunk(chunk).await.map(Answer::Chunk),
            Call::Transfer { vote, to, last } => {
                self.transfer(vote, to, last).await.map(Answer::Transfer).map_err(Trouble::from)
            }
        };
        answered.unwrap_or_else(|trouble| Answer::Stopped(trouble.to_string()))
    }

    async fn append(
        &self,
        vote: shape::Vote,
        previous: Option<shape::LogId>,
        entries: Vec<shape::Entry>,
        committed: Option<shape::LogId>,
    ) -> Result<Appended, Trouble> {
        let entries =
            entries.into_iter().map(shapes::entry).collect::<Result<_, _>>().map_err(Trouble::Odd)?;
        let request = AppendEntriesRequest {
            vote: shapes::vote(vote),
            prev_log_id: previous.map(shapes::log_id),
            entries,
            leader_commit: committed.map(shapes::log_id),
        };
        Ok(match self.raft.append_entries(request).await.map_err(fatal)? {
            AppendEntriesResponse::Success => Appended::Success,
            AppendEntriesResponse::PartialSuccess(upto) => {
                Appended::PartialSuccess(upto.as_ref().map(shapes::log_id_shape))
            }
            AppendEntriesResponse::Conflict => Appended::Conflict,
            AppendEntriesResponse::HigherVote(vote) => Appended::HigherVote(shapes::vote_shape(&vote)),
        })
    }

    async fn transfer(
        &self,
        vote: shape::Vote,
        to: u16,
        last: Option<shape::LogId>,
    ) -> Result<Transferred, Fatal<Types>> {
        let request = TransferLeaderRequest::new(shapes::vote(vote), to.into(), last.map(shapes::log_id));
        Ok(match self.raft.handle_transfer_leader(request).await? {
            Ok(()) => Transferred::Accepted,
            Err(TransferLeaderError::VoteChanged { expected, actual }) => Transferred::VoteChanged {
                expected: shapes::vote_shape(&expected),
                actual: shapes::vote_shape(&actual),
            },
            Err(TransferLeaderError::LogNotFlushed { expected, actual }) => Transferred::LogNotFlushed {
                expected: expected.as_ref().map(shapes::log_id_shape),
                actual: actual.as_ref().map(shapes::log_id_shape),
            },
        })
    }

    /// Takes one piece. What is asked for next is always what is missing, so pieces may be lost, come twice, or begin
    /// anew with another snapshot.
    async fn chunk(&self, chunk: Chunk) -> Result<ChunkTaken, Trouble> {
        let vote = shapes::vote(chunk.vote);
        let mine: Vote = self.raft.metrics().borrow_watched().vote;
        if mine > vote {
            return Ok(ChunkTaken::Done(shapes::vote_shape(&mine)));
        }
        if chunk.total_bytes > self.snapshot_bytes_max {
            let (bytes, max) = (chunk.total_bytes, self.snapshot_bytes_max);
            return Err(Trouble::Odd(format!("a snapshot of {bytes} bytes is more than {max}")));
        }
        loop {
            match self.take(vote, &chunk)? {
                Next::Piece(offset) => return Ok(ChunkTaken::Next(offset)),
                Next::End(install) => {
                    let ended = install.clone().await;
                    return self.ended(vote, &install, ended);
                }
                Next::Other(install) => drop(install.await),
            }
        }
    }

    fn incoming(&self) -> MutexGuard<'_, Option<Incoming>> {
        self.incoming.lock().expect("nothing panics while a piece is taken")
    }

    fn take(&self, vote: Vote, chunk: &Chunk) -> Result<Next, Trouble> {
        let Chunk { digest, total_bytes, offset, bytes, .. } = chunk;
        let mut held = self.incoming();
        let same = |incoming: &Incoming| incoming.digest == *digest && incoming.total_bytes == *total_bytes;
        if let Some(other) = held.take_if(|known| !same(known)) {
            match other.install.clone().map(|install| (install.peek().cloned(), install)) {
                Some((None, install)) => {
                    *held = Some(other);
                    return Ok(Next::Other(install));
                }
                Some((Some(Installed::Stopped(why)), _)) => {
                    *held = Some(other);
                    return Err(Trouble::Install(why));
                }
                None | Some((Some(_), _)) => self.snapshots.drop_incoming(&other.digest),
            }
        }
        let incoming = match &mut *held {
            Some(incoming) => incoming,
            none => {
                let file = self.snapshots.make_incoming(digest).map_err(Trouble::Disk)?;
                let (digest, total_bytes) = (*digest, *total_bytes);
                none.insert(Incoming { digest, total_bytes, offset: 0, file, install: None })
            }
        };
        if let Some(install) = &incoming.install {
            return Ok(Next::End(install.clone()));
        }
        if incoming.offset == *offset && !bytes.0.is_empty() {
            incoming.file.write_at(*offset, &bytes.0).map_err(Trouble::Disk)?;
            incoming.offset += bytes.0.len() as u64;
        }
        if incoming.offset < *total_bytes {
            return Ok(Next::Piece(incoming.offset));
        }
        let (raft, snapshots, file) = (self.raft.clone(), self.snapshots.clone(), incoming.file.clone());
        // A task of its own: who asks is gone when its time is over, and what has begun goes on.
        let task = tokio::spawn(install(raft, snapshots, vote, *digest, file));
        let ended = task.map(|ended| ended.unwrap_or_else(|died| Installed::Stopped(died.to_string())));
        Ok(Next::End(incoming.install.insert(ended.boxed().shared()).clone()))
    }

    /// What is answered to `vote`, whosever piece the install began with. What did not end well begins anew.
    fn ended(&self, vote: Vote, install: &Install, ended: Installed) -> Result<ChunkTaken, Trouble> {
        let answer = match ended {
            Installed::Done(mine) => return Ok(ChunkTaken::Done(mine)),
            // The state machine may have its file still.
            Installed::Stopped(why) => return Err(Trouble::Install(why)),
            // It was another leader's; this one has not been asked for it.
            Installed::NotTaken(mine) if shapes::vote(mine) <= vote => Ok(ChunkTaken::Next(0)),
            Installed::NotTaken(mine) => Ok(ChunkTaken::Done(mine)),
            Installed::Damaged => Ok(ChunkTaken::Next(0)),
            Installed::Unreadable(why) => Err(Trouble::Install(why)),
        };
        let is_it = |known: &mut Incoming| known.install.as_ref().is_some_and(|it| it.ptr_eq(install));
        if let Some(gone) = self.incoming().take_if(is_it) {
            self.snapshots.drop_incoming(&gone.digest);
        }
        answer
    }
}

/// Reads and checks what was received whole, and gives it to the state machine.
async fn install(
    raft: Raft,
    snapshots: SnapshotStore,
    vote: Vote,
    digest: [u8; 32],
    file: Arc<dyn DiskFile>,
) -> Installed {
    let reading = snapshots.clone();
    let read = off_the_tasks(snapshots.is_inline(), move || reading.read_incoming(file)).await;
    let snapshot: SnapshotFile = match read {
        Ok(snapshot) if snapshot.digest == digest => snapshot,
        Ok(_) => return Installed::Damaged,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            tracing::warn!(%error, "a received snapshot is damaged; it is asked for again");
            return Installed::Damaged;
        }
        Err(error) => return Installed::Unreadable(error.to_string()),
    };
    let snapshot = Snapshot { meta: snapshot.meta.clone(), snapshot };
    match raft.install_full_snapshot(vote, snapshot).await {
        Ok(taken) if taken.vote <= vote => {
            tracing::info!("a snapshot of the leader is installed");
            // One that was not wanted is still there.
            snapshots.drop_incoming(&digest);
            Installed::Done(shapes::vote_shape(&taken.vote))
        }
        Ok(taken) => Installed::NotTaken(shapes::vote_shape(&taken.vote)),
        Err(stopped) => Installed::Stopped(stopped.to_string()),
    }
}

fn vote_request(vote: shape::Vote, last: Option<shape::LogId>) -> VoteRequest<Types> {
    VoteRequest::new(shapes::vote(vote), last.map(shapes::log_id))
}

fn vote_answer(response: &VoteResponse<Types>) -> Answer {
    let VoteResponse { vote, vote_granted, last_log_id } = response;
    let last = last_log_id.as_ref().map(shapes::log_id_shape);
    Answer::Vote { vote: shapes::vote_shape(vote), granted: *vote_granted, last }
}

fn fatal(error: openraft::error::RaftError<Types>) -> Fatal<Types> {
    error.unwrap_fatal()
}

impl From<Fatal<Types>> for Trouble {
    fn from(fatal: Fatal<Types>) -> Self {
        Self::Stopped(fatal)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped(why) => why.fmt(f),
            Self::Disk(error) => error.fmt(f),
            Self::Odd(what) | Self::Install(what) => what.fmt(f),
        }
    }
}
