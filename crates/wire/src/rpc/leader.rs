//! What is asked of a shard's leader, and what a leader asks of holders. Not here: what can be read (`query`).

use super::{KIB, MIB, Query, ReadAnswer};
use crate::envelope::Frozen;
use crate::ledger::{
    Applied, Backing, Command, Durability, Enforcement, HolderBatch, HolderId, Limited, LineAnswer, LineId,
    LineMessage, Rejection, Scope,
};
use serde::{Deserialize, Serialize};

shapes! {
    pub struct Ask {
        pub group: Group,
        pub request: LeaderRequest,
    }

    pub enum Group { Meta, Shard(u16) }

    pub enum LeaderRequest {
        Batch(HolderBatch),
        Command(Box<Command>),
        Renew { holder: HolderId },
        Read { query: Query, fresh: bool },
    }

    pub struct Led(pub Result<LeaderAnswer, LeaderRefusal>);

    pub enum LeaderAnswer {
        Batch(BatchAnswer),
        Applied { index: u64, applied: Applied },
        Renewed,
        Read { index: u64, answer: ReadAnswer, silent: Vec<u16> },
    }

    pub struct BatchAnswer {
        pub lines: Vec<LineAnswer>,
        pub elsewhere: Vec<u64>,
        pub durability: Durability,
        pub enforcement: Enforcement,
        pub cut_off: bool,
        pub limited: Option<Limited>,
    }

    pub enum LeaderRefusal {
        NotLeader { leader: Option<u16> },
        Overloaded,
        Unknown,
        Stopped(String),
        Rejected(Rejection),
    }

    pub struct Recall {
        pub workspace: String,
        pub lines: Vec<RecallLine>,
    }

    pub struct RecallLine {
        pub line: LineId,
        pub user: String,
        pub scope: Scope,
        pub drawn: Vec<(Backing, u64)>,
        pub frozen: bool,
        pub keep: u64,
    }

    pub struct RecallAnswer {
        pub holder: HolderId,
        pub journal_sequence: u64,
        pub lines: Vec<LineMessage>,
    }
}

frozen! {
    // The largest command, and a little around it.
    Ask 80 version 9 at most 2 * MIB + KIB;
    // The largest answer the ledger gives to a command has 4 MiB; a page or a report may be larger.
    Led 81 version 9 at most 7 * MIB;
    Recall 82 version 2 at most 7 * MIB;
    RecallAnswer 83 version 3 at most 7 * MIB;
}
