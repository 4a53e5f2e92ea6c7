//! Raft groups of one node: log, state machine, snapshots, proposals, linearizable reads. Nobody else imports openraft.
//!
//! A node hosts one **group** for each part of the cluster's state it replicates: `Meta` (rate card) and shards (pools).
//! Each group is a [`ledger::State`] behind a Raft log.
//!
//! - [`Replica::open`] opens all groups of a node in one directory; [`Replica::handle`] takes what other nodes send;
//!   [`Peers`] is how it reaches them.
//! - [`Group::propose`] puts a command into the log. Commands that come while an entry is being committed ride in the
//!   next one together. [`Group::read`] is linearizable, [`Group::peek`] is not.
//! - One thread writes the logs of all groups, so that they share their syncs (`log`). Snapshots are files (`snapshot`).
//!
//! What a node has answered for is on its disk: votes and entries are synced before anybody hears of them. A group
//! whose disk or state machine fails stops and says why; the others go on.
//!
//! Not here: what commands mean (`ledger`), who may ask, which group a workspace belongs to (`placement`), sockets
//! (`transport`).

mod blocking;
mod codec;
mod convert;
mod fault;
mod gather;
mod group;
#[cfg(test)]
mod histories;
mod log;
mod machine;
mod network;
mod options;
mod peers;
mod plan;
mod raft;
mod receive;
mod replica;
mod shapes;
mod snapshot;

pub use codec::{decode_applied, decode_command, encode_applied, encode_command};
pub use convert::{Misshapen, Shaped};
pub use fault::{HandleFault, ProposeError, ReadError, ReplicationFault};
pub use group::{Committed, Follower, Group, Leadership, Reading, Role, StateHash, Status};
pub use log::LogCounts;
pub use options::{GroupId, GroupSpec, Options};
pub use peers::{BoxFuture, PeerFault, Peers};
pub use replica::Replica;
