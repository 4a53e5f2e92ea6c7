//! A state as frames and back. Not here: names of files, syncing.

use crate::codec::from_bytes;
use crate::convert::Shaped;
use crate::raft::{LogId, SnapshotMeta, StoredMembership};
use crate::shapes;
use ledger::{State, Workspace};
use platform::DiskFile;
use std::io;
use wire::envelope::{Frozen, decode, encode};
use wire::{ledger as ledger_shape, raft as raft_shape};

pub(crate) const DIGEST_BYTES: usize = 32;
const LENGTH_BYTES: usize = 4;

/// All that a group's state machine replicates. A clone shares its workspaces until they change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Replicated {
    pub state: State,
    pub last: Option<LogId>,
    pub membership: StoredMembership,
}

impl Replicated {
    pub(crate) fn new() -> Self {
        Self { state: State::new(), last: None, membership: StoredMembership::default() }
    }

    pub(crate) fn meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.last, last_membership: self.membership.clone() }
    }
}

/// The digest of a state: equal states have equal ones, on every node.
pub(crate) fn state_digest(state: &State) -> io::Result<[u8; DIGEST_BYTES]> {
    let mut hasher = blake3::Hasher::new();
    state_frames(state, &mut |bytes| {
        hasher.update(bytes);
        Ok(())
    })?;
    Ok(*hasher.finalize().as_bytes())
}

/// Writes a whole snapshot from the file's start on; answers its digest and its length. Does not sync.
pub(crate) fn write(
    group: u16,
    replicated: &Replicated,
    file: &dyn DiskFile,
) -> io::Result<([u8; DIGEST_BYTES], u64)> {
    let (mut hasher, mut offset) = (blake3::Hasher::new(), 0);
    let mut put = |bytes: &[u8]| {
        hasher.update(bytes);
        file.write_at(offset, bytes)?;
        offset += bytes.len() as u64;
        Ok(())
    };
    let head = raft_shape::SnapshotHead {
        group,
        last_log_id: replicated.last.as_ref().map(shapes::log_id_shape),
        membership: shapes::stored_membership_shape(&replicated.membership),
    };
    frame(&head, &mut put)?;
    state_frames(&replicated.state, &mut put)?;
    let digest = *hasher.finalize().as_bytes();
    file.write_at(offset, &digest)?;
    Ok((digest, offset + DIGEST_BYTES as u64))
}

/// Reads a whole snapshot and checks it. An error of kind `InvalidData` says what is wrong with the bytes.
pub(crate) fn read(group: u16, file: &dyn DiskFile) -> io::Result<(Replicated, [u8; DIGEST_BYTES], u64)> {
    let total = file.len()?;
    let end = total.checked_sub(DIGEST_BYTES as u64).ok_or_else(|| damaged("it is too short"))?;
    let mut frames = Frames { file, offset: 0, end, hasher: blake3::Hasher::new() };
    let head: raft_shape::SnapshotHead = decode(&frames.next()?).map_err(damaged)?;
    if head.group != group {
        return Err(damaged(format!("it is of group {}", head.group)));
    }
    let state_head: ledger_shape::StateHead = decode(&frames.next()?).map_err(damaged)?;
    let mut state = State::new();
    state.now = Shaped::from_shape(state_head.now).map_err(damaged)?;
    state.meta = Shaped::from_shape(state_head.meta).map_err(damaged)?;
    state.holders = Shaped::from_shape(state_head.holders).map_err(damaged)?;
    for _ in 0..state_head.workspaces {
        let workspace: Workspace = from_bytes(&frames.next()?).map_err(damaged)?;
        state.put(workspace);
    }
    let mut digest = [0; DIGEST_BYTES];
    file.read_at(end, &mut digest)?;
    if frames.offset != end || *frames.hasher.finalize().as_bytes() != digest {
        return Err(damaged("its digest is not that of its content"));
    }
    let last = head.last_log_id.map(shapes::log_id);
    let membership = shapes::stored_membership(head.membership).map_err(damaged)?;
    Ok((Replicated { state, last, membership }, digest, total))
}

fn state_frames(state: &State, put: &mut impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let State { now, meta, holders, workspaces, schedule: _ } = state;
    let head = ledger_shape::StateHead {
        now: now.shape(),
        meta: meta.shape(),
        holders: holders.shape(),
        workspaces: workspaces.len().shape(),
    };
    frame(&head, put)?;
    for workspace in workspaces.values() {
        frame(&workspace.as_ref().shape(), put)?;
    }
    Ok(())
}

fn frame<T: Frozen>(value: &T, put: &mut impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let bytes = encode(value).map_err(io::Error::other)?;
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    put(&length.to_le_bytes())?;
    put(&bytes)
}

struct Frames<'a> {
    file: &'a dyn DiskFile,
    offset: u64,
    /// Where the digest begins.
    end: u64,
    hasher: blake3::Hasher,
}

impl Frames<'_> {
    fn next(&mut self) -> io::Result<Vec<u8>> {
        let length =
            u32::from_le_bytes(self.take(LENGTH_BYTES)?.try_into().map_err(|_| damaged("no length"))?);
        self.take(usize::try_from(length).map_err(damaged)?)
    }

    fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        if count as u64 > self.end - self.offset {
            return Err(damaged("it ends within a frame"));
        }
        let mut bytes = vec![0; count];
        self.file.read_at(self.offset, &mut bytes)?;
        self.hasher.update(&bytes);
        self.offset += count as u64;
        Ok(bytes)
    }
}

fn damaged(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
