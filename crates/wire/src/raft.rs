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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::{decode, encode};
    use std::fmt::Debug;

    const ID: LogId = LogId { term: 300, node: 2, index: 70_000 };
    const VOTE: Vote = Vote { term: 300, node: 2, committed: true };

    fn check<T: Frozen + PartialEq + Debug>(value: T, golden: &str) {
        let bytes = encode(&value).unwrap();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, golden, "{value:?}");
        assert_eq!(decode::<T>(&bytes), Ok(value));
    }

    fn membership() -> Membership {
        Membership { configs: vec![vec![1, 2, 3]], nodes: vec![1, 2, 3, 4] }
    }

    fn entry(payload: Payload) -> Entry {
        Entry { log_id: ID, payload }
    }

    #[test]
    fn what_is_on_disk_is_golden() {
        check(entry(Payload::Blank), "3c01fb2c0102fc7011010000");
        check(entry(Payload::Commands(vec![40, 1, 7].into())), "3c01fb2c0102fc701101000103280107");
        check(entry(Payload::Membership(membership())), "3c01fb2c0102fc701101000201030102030401020304");
        check(VOTE, "3d01fb2c010201");
        check(Pointer(Some(ID)), "3e0101fb2c0102fc70110100");
        check(Pointer(None), "3e0100");
        let groups = vec![PlannedGroup { group: 1, voters: vec![1, 2, 3], learners: vec![4] }];
        check(Plan { node: 1, groups }, "3f01010101030102030104");
        let membership = StoredMembership { log_id: Some(ID), membership: membership() };
        check(
            SnapshotHead { group: 1, last_log_id: Some(ID), membership },
            "40010101fb2c0102fc7011010001fb2c0102fc7011010001030102030401020304",
        );
    }

    #[test]
    fn what_travels_is_golden() {
        let request = |call| Request { group: 1, call };
        let entries = vec![entry(Payload::Blank)];
        check(
            request(Call::Append { vote: VOTE, previous: None, entries, committed: Some(ID) }),
            "41010100fb2c0102010001fb2c0102fc701101000001fb2c0102fc70110100",
        );
        check(
            request(Call::Vote { vote: VOTE, last: Some(ID), transfer: true }),
            "41010101fb2c01020101fb2c0102fc7011010001",
        );
        check(request(Call::PreVote { vote: VOTE, last: None }), "41010102fb2c01020100");
        let bytes = vec![1, 2].into();
        let chunk = Chunk { vote: VOTE, digest: [9; 32], total_bytes: 500, offset: 300, bytes };
        check(
            request(Call::Chunk(chunk)),
            "41010103fb2c0102010909090909090909090909090909090909090909090909090909090909090909fbf401fb2c01020102",
        );
        check(
            request(Call::Transfer { vote: VOTE, to: 3, last: Some(ID) }),
            "41010104fb2c0102010301fb2c0102fc70110100",
        );

        check(Answer::Append(Appended::Success), "42010000");
        check(Answer::Append(Appended::PartialSuccess(Some(ID))), "4201000101fb2c0102fc70110100");
        check(Answer::Append(Appended::Conflict), "42010002");
        check(Answer::Append(Appended::HigherVote(VOTE)), "42010003fb2c010201");
        check(Answer::Vote { vote: VOTE, granted: true, last: None }, "420101fb2c0102010100");
        check(Answer::Chunk(ChunkTaken::Next(300)), "42010200fb2c01");
        check(Answer::Chunk(ChunkTaken::Done(VOTE)), "42010201fb2c010201");
        check(Answer::Transfer(Transferred::Accepted), "42010300");
        check(
            Answer::Transfer(Transferred::VoteChanged { expected: VOTE, actual: VOTE }),
            "42010301fb2c010201fb2c010201",
        );
        check(
            Answer::Transfer(Transferred::LogNotFlushed { expected: Some(ID), actual: None }),
            "4201030201fb2c0102fc7011010000",
        );
        check(Answer::UnknownGroup, "420104");
        check(Answer::Stopped("disk".into()), "420105046469736b");
    }
}
