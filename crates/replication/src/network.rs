//! The sending side: openraft's requests to one other node, as bytes over [`Peers`]. Not here: the receiving side.
//!
//! openraft puts no bound on most requests; here each has one.

use crate::peers::{PeerFault, Peers};
use crate::raft::{Snapshot, Types, Vote};
use crate::shapes;
use crate::snapshot::SnapshotFile;
use bytes::Bytes;
use openraft::OptionalSend;
use openraft::error::{RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::network::{RPCOption, RPCTypes, RaftNetworkFactory, v2::RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderError,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use types::NodeId;
use wire::envelope::{decode, encode};
use wire::raft::{self as shape, Answer, Appended, Call, Chunk, ChunkTaken, Transferred};

/// How often the receiver may want another piece of one snapshot than the next before the sending is given up.
const SNAPSHOT_RESTARTS_MAX: u32 = 3;
/// How often one piece is sent before the sending is given up for now; it goes on later where it ended.
const PIECE_ATTEMPTS_MAX: u32 = 3;

/// One group's way to the other nodes.
#[derive(Clone)]
pub(crate) struct Network {
    pub me: NodeId,
    pub group: u16,
    pub peers: Arc<dyn Peers>,
    pub timeout: Duration,
    /// For a piece of a snapshot: the last one is answered when all is checked and installed.
    pub piece_timeout: Duration,
    pub chunk_bytes: usize,
}

pub(crate) struct Link {
    network: Network,
    to: NodeId,
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Link;

    async fn new_client(&mut self, target: u64, _: &openraft::EmptyNode) -> Link {
        Link { network: self.clone(), to: shapes::node(target) }
    }
}

impl Link {
    async fn ask(&self, kind: RPCTypes, call: Call) -> Result<Answer, RPCError<Types>> {
        let Network { me, group, peers, timeout, piece_timeout, .. } = &self.network;
        let timeout = if matches!(call, Call::Chunk(_)) { piece_timeout } else { timeout };
        let body = encode(&shape::Request { group: *group, call }).map_err(|error| unreachable(&error))?;
        let asked = peers.call(self.to, Bytes::from(body), *timeout);
        let timed_out =
            || Timeout { action: kind, id: me.0.into(), target: self.to.0.into(), timeout: *timeout };
        match tokio::time::timeout(*timeout, asked).await {
            Ok(Ok(body)) => decode(&body).map_err(|error| unreachable(&error)),
            Ok(Err(PeerFault::Timeout { .. })) | Err(_) => Err(RPCError::Timeout(timed_out())),
            Ok(Err(fault)) => Err(unreachable(&fault)),
        }
    }

    /// Any answer that does not fit the question: the group is unknown or stopped over there.
    fn odd(&self, answer: &Answer) -> RPCError<Types> {
        let why = match answer {
            Answer::UnknownGroup => "it does not host the group".to_owned(),
            Answer::Stopped(why) => format!("the group has stopped there: {why}"),
            Answer::Append(_) | Answer::Vote { .. } | Answer::Chunk(_) | Answer::Transfer(_) => {
                "it answered something else than was asked".to_owned()
            }
        };
        RPCError::Unreachable(Unreachable::from_string(format!("{}: {why}", self.to)))
    }

    async fn ask_vote(&self, call: Call) -> Result<VoteResponse<Types>, RPCError<Types>> {
        match self.ask(RPCTypes::Vote, call).await? {
            Answer::Vote { vote, granted, last } => {
                Ok(VoteResponse::new(shapes::vote(vote), last.map(shapes::log_id), granted))
            }
            odd => Err(self.odd(&odd)),
        }
    }

    async fn send_piece(&self, chunk: Chunk) -> Result<Answer, RPCError<Types>> {
        let mut attempts = 1;
        loop {
            match self.ask(RPCTypes::InstallSnapshot, Call::Chunk(chunk.clone())).await {
                Err(_) if attempts < PIECE_ATTEMPTS_MAX => attempts += 1,
                asked => return asked,
            }
        }
    }

    async fn send_snapshot(
        &self,
        vote: Vote,
        snapshot: &SnapshotFile,
    ) -> Result<Vote, StreamingError<Types>> {
        // An empty piece first: the receiver says how much it has already.
        let (mut offset, mut count, mut restarts) = (snapshot.bytes, 0, 0);
        loop {
            let bytes = read_piece(snapshot, offset, count)?;
            let chunk = Chunk {
                vote: shapes::vote_shape(&vote),
                digest: snapshot.digest,
                total_bytes: snapshot.bytes,
                offset,
                bytes: bytes.into(),
            };
            match self.send_piece(chunk).await.map_err(streaming)? {
                Answer::Chunk(ChunkTaken::Done(vote)) => return Ok(shapes::vote(vote)),
                Answer::Chunk(ChunkTaken::Next(next)) if next < snapshot.bytes => {
                    let expected = offset + count as u64;
                    if next != expected && count > 0 {
                        restarts += 1;
                        if restarts > SNAPSHOT_RESTARTS_MAX {
                            let why = format!("{} wants pieces of the snapshot again and again", self.to);
                            return Err(StreamingError::Unreachable(Unreachable::from_string(why)));
                        }
                    }
                    offset = next;
                    let rest = usize::try_from(snapshot.bytes - next).unwrap_or(usize::MAX);
                    count = rest.min(self.network.chunk_bytes);
                }
                odd => return Err(streaming(self.odd(&odd))),
            }
        }
    }
}

impl RaftNetworkV2<Types> for Link {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let call = Call::Append {
            vote: shapes::vote_shape(&request.vote),
            previous: request.prev_log_id.as_ref().map(shapes::log_id_shape),
            entries: request.entries.iter().map(shapes::entry_shape).collect(),
            committed: request.leader_commit.as_ref().map(shapes::log_id_shape),
        };
        match self.ask(RPCTypes::AppendEntries, call).await? {
            Answer::Append(appended) => Ok(match appended {
                Appended::Success => AppendEntriesResponse::Success,
                Appended::PartialSuccess(upto) => {
                    AppendEntriesResponse::PartialSuccess(upto.map(shapes::log_id))
                }
                Appended::Conflict => AppendEntriesResponse::Conflict,
                Appended::HigherVote(vote) => AppendEntriesResponse::HigherVote(shapes::vote(vote)),
            }),
            odd => Err(self.odd(&odd)),
        }
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        _: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let VoteRequest { vote, last_log_id, leadership_transfer } = request;
        let last = last_log_id.as_ref().map(shapes::log_id_shape);
        self.ask_vote(Call::Vote { vote: shapes::vote_shape(&vote), last, transfer: leadership_transfer })
            .await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        _: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let last = request.last_log_id.as_ref().map(shapes::log_id_shape);
        self.ask_vote(Call::PreVote { vote: shapes::vote_shape(&request.vote), last }).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        tokio::select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = self.send_snapshot(vote, &snapshot.snapshot) => sent.map(SnapshotResponse::new),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        _: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let call = Call::Transfer {
            vote: shapes::vote_shape(request.from_leader()),
            to: shapes::node(*request.to_node_id()).0,
            last: request.last_log_id().map(shapes::log_id_shape),
        };
        match self.ask(RPCTypes::TransferLeader, call).await? {
            Answer::Transfer(Transferred::Accepted) => Ok(Ok(())),
            Answer::Transfer(Transferred::VoteChanged { expected, actual }) => {
                let (expected, actual) = (shapes::vote(expected), shapes::vote(actual));
                Ok(Err(TransferLeaderError::VoteChanged { expected, actual }))
            }
            Answer::Transfer(Transferred::LogNotFlushed { expected, actual }) => {
                let (expected, actual) = (expected.map(shapes::log_id), actual.map(shapes::log_id));
                Ok(Err(TransferLeaderError::LogNotFlushed { expected, actual }))
            }
            odd => Err(self.odd(&odd)),
        }
    }
}

/// Reads from the page cache, most often; a piece is small.
fn read_piece(snapshot: &SnapshotFile, offset: u64, count: usize) -> Result<Vec<u8>, StreamingError<Types>> {
    let mut bytes = vec![0; count];
    let read = snapshot.file.read_at(offset, &mut bytes);
    read.map_err(|error| StreamingError::Unreachable(Unreachable::new(&error)))?;
    Ok(bytes)
}

fn unreachable<E: std::error::Error + 'static>(error: &E) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::new(error))
}

fn streaming(error: RPCError<Types>) -> StreamingError<Types> {
    match error {
        RPCError::Timeout(timeout) => StreamingError::Timeout(timeout),
        RPCError::Unreachable(unreachable) => StreamingError::Unreachable(unreachable),
        RPCError::Network(network) => StreamingError::Network(network),
        RPCError::RemoteError(never) => match never.source {},
    }
}
