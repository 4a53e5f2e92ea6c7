//! Raft on disk and between nodes, as frozen shapes. Not here: what Raft does with them, and the state machine's own
//! bytes, which travel and rest here as blobs.

use crate::blob::Blob;
use crate::envelope::Frozen;
use serde::{Deserialize, Serialize};

macro_rules! shapes {
    ($($shape:item)*) => {$(
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        $shape
    )*};
}

shapes! {
    #[derive(Copy)]
    pub struct LogId {
        pub term: u64,
        pub node: u16,
        pub index: u64,
    }

    #[derive(Copy)]
    pub struct Vote {
        pub term: u64,
        pub node: u16,
        pub committed: bool,
    }

    /// Voters by configuration (two while one replaces the other), and all nodes, learners included.
    pub struct Membership {
        pub configs: Vec<Vec<u16>>,
        pub nodes: Vec<u16>,
    }

    pub struct StoredMembership {
        pub log_id: Option<LogId>,
        pub membership: Membership,
    }

    pub struct Entry {
        pub log_id: LogId,
        pub payload: Payload,
    }

    pub enum Payload {
        Blank,
        Commands(Blob),
        Membership(Membership),
    }

    /// A place in the log that is kept on disk: what is committed, what was purged.
    pub struct Pointer(pub Option<LogId>);

    /// What a data directory was made for.
    pub struct Plan {
        pub node: u16,
        pub groups: Vec<PlannedGroup>,
    }

    pub struct PlannedGroup {
        pub group: u16,
        pub voters: Vec<u16>,
        pub learners: Vec<u16>,
    }

    /// Opens a snapshot file.
    pub struct SnapshotHead {
        pub group: u16,
        pub last_log_id: Option<LogId>,
        pub membership: StoredMembership,
    }

    pub struct Request {
        pub group: u16,
        pub call: Call,
    }

    pub enum Call {
        Append { vote: Vote, previous: Option<LogId>, entries: Vec<Entry>, committed: Option<LogId> },
        Vote { vote: Vote, last: Option<LogId>, transfer: bool },
        PreVote { vote: Vote, last: Option<LogId> },
        Chunk(Chunk),
        Transfer { vote: Vote, to: u16, last: Option<LogId> },
    }

    /// A piece of the snapshot file with this digest; an empty one asks where to go on.
    pub struct Chunk {
        pub vote: Vote,
        pub digest: [u8; 32],
        pub total_bytes: u64,
        pub offset: u64,
        pub bytes: Blob,
    }

    pub enum Answer {
        Append(Appended),
        Vote { vote: Vote, granted: bool, last: Option<LogId> },
        Chunk(ChunkTaken),
        Transfer(Transferred),
        /// The receiver does not host the group.
        UnknownGroup,
        /// The group has stopped there, with the reason.
        Stopped(String),
    }

    pub enum Appended {
        Success,
        PartialSuccess(Option<LogId>),
        Conflict,
        HigherVote(Vote),
    }

    pub enum ChunkTaken {
        /// The receiver has all bytes before this offset and wants what follows.
        Next(u64),
        /// All bytes came and are installed, or were not wanted; the receiver's vote.
        Done(Vote),
    }

    pub enum Transferred {
        Accepted,
        VoteChanged { expected: Vote, actual: Vote },
        LogNotFlushed { expected: Option<LogId>, actual: Option<LogId> },
    }
}

macro_rules! frozen {
    ($($shape:ident $type_id:literal at most $bytes:expr;)*) => {$(
        impl Frozen for $shape {
            const TYPE_ID: u8 = $type_id;
            const VERSION: u8 = 1;
            const BYTES_MAX: usize = $bytes;
        }
    )*};
}

frozen! {
    Entry 60 at most 5 * 1024 * 1024;
    Vote 61 at most 64;
    Pointer 62 at most 64;
    Plan 63 at most 1024 * 1024;
    SnapshotHead 64 at most 64 * 1024;
    Request 65 at most 7 * 1024 * 1024;
    Answer 66 at most 64 * 1024;
}
