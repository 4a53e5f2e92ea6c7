//! The ractor shells around the pure rooms: on each node a pool actor per active workspace, parent of an allocation
//! actor per active user; and the desk, which answers for the pools whose shard this node leads.
//!
//! Reading order: `leader` and `ports` (what is asked of whom), `handle` and `directory` (what request tasks touch),
//! `allocation` with its `waiters` and `pool` (the holder's actors; what they say is in `messages` and `batch`), `shards`
//! (finding a leader), `desk` with its `rounds` and `watch` (being one).
//!
//! Actors are doormen: they receive, ask `leasing`, and perform its steps. No arithmetic is decided here.
//! Not here: prices, keys, HTTP (`quota`, `api`); sockets (`transport`).

mod allocation;
mod batch;
mod desk;
mod directory;
mod dues;
mod handle;
#[cfg(test)]
mod held;
mod holder;
mod leader;
mod messages;
#[cfg(test)]
mod one_node;
mod options;
mod pool;
mod ports;
#[cfg(test)]
mod rebuilt;
#[cfg(test)]
mod recalled;
mod rounds;
mod sealed;
mod sessions;
mod shards;
mod supervisor;
#[cfg(test)]
mod swept;
mod waiters;
mod watch;

pub use desk::Desk;
pub use directory::Directory;
pub use handle::Handle;
pub use holder::{Holder, HolderFault};
pub use leader::{BatchAnswer, LeaderAnswer, LeaderRefusal, LeaderRequest, Recall, RecallAnswer};
pub use messages::Denied;
pub use options::Options;
pub use ports::{BoxFuture, PeerFault, Peers};
pub use shards::{Shards, Unavailable};
pub use supervisor::start;
