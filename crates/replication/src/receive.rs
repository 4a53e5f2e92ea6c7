//! The receiving side: what other nodes send to one group. Not here: which group, and the sending side (`network`).

use crate::blocking::off_the_tasks;
use crate::raft::{Raft, Snapshot, Types, Vote};
use crate::shapes;
use crate::snapshot::{SnapshotFile, SnapshotStore};
use openraft::async_runtime::WatchReceiver;
use openraft::error::Fatal;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderError, TransferLeaderRequest, VoteRequest,
    VoteResponse,
};
use platform::DiskFile;
use std::fmt;
use std::io;
use std::sync::Arc;
use tokio::sync::Mutex;
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
    /// The last piece may be sent again when its answer was lost or late.
    installed: bool,
}

/// Why a request has no answer of its own.
enum Trouble {
    Stopped(Fatal<Types>),
    Disk(io::Error),
    Odd(String),
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
        let Chunk { vote, digest, total_bytes, offset, bytes } = chunk;
        let vote = shapes::vote(vote);
        let mine: Vote = self.raft.metrics().borrow_watched().vote;
        if mine > vote {
            return Ok(ChunkTaken::Done(shapes::vote_shape(&mine)));
        }
        if total_bytes > self.snapshot_bytes_max {
            let max = self.snapshot_bytes_max;
            return Err(Trouble::Odd(format!("a snapshot of {total_bytes} bytes is more than {max}")));
        }
        let mut held = self.incoming.lock().await;
        let same = |incoming: &Incoming| incoming.digest == digest && incoming.total_bytes == total_bytes;
        if !held.as_ref().is_some_and(same) {
            let file = self.snapshots.make_incoming().map_err(Trouble::Disk)?;
            *held = Some(Incoming { digest, total_bytes, offset: 0, file, installed: false });
        }
        let incoming = held.as_mut().expect("made where it was missing");
        if incoming.installed {
            return Ok(ChunkTaken::Done(shapes::vote_shape(&mine)));
        }
        if incoming.offset == offset && !bytes.0.is_empty() {
            incoming.file.write_at(offset, &bytes.0).map_err(Trouble::Disk)?;
            incoming.offset += bytes.0.len() as u64;
        }
        if incoming.offset < total_bytes {
            return Ok(ChunkTaken::Next(incoming.offset));
        }
        let taken = self.install(vote, digest, incoming.file.clone()).await?;
        match taken {
            ChunkTaken::Done(mine) if shapes::vote(mine) <= vote => incoming.installed = true,
            ChunkTaken::Done(_) | ChunkTaken::Next(_) => *held = None,
        }
        Ok(taken)
    }

    async fn install(
        &self,
        vote: Vote,
        digest: [u8; 32],
        file: Arc<dyn DiskFile>,
    ) -> Result<ChunkTaken, Trouble> {
        let snapshots = self.snapshots.clone();
        let read = off_the_tasks(snapshots.is_inline(), move || snapshots.read_incoming(file)).await;
        let snapshot: SnapshotFile = match read {
            Ok(snapshot) if snapshot.digest == digest => snapshot,
            Ok(_) => return Ok(ChunkTaken::Next(0)),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::warn!(%error, "a received snapshot is damaged; it is asked for again");
                return Ok(ChunkTaken::Next(0));
            }
            Err(error) => return Err(Trouble::Disk(error)),
        };
        let snapshot = Snapshot { meta: snapshot.meta.clone(), snapshot };
        let installed = self.raft.install_full_snapshot(vote, snapshot).await?;
        tracing::info!("a snapshot of the leader is installed");
        Ok(ChunkTaken::Done(shapes::vote_shape(&installed.vote)))
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
            Self::Odd(what) => what.fmt(f),
        }
    }
}
