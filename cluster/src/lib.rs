//! The thing that runs: nodes joined from their rooms, and the ways to start them.
//!
//! `node` is the only joint; `dev` starts a whole cluster in one process, `serve` one node of a real one. Not here:
//! anything a node does.

pub mod defaults;
mod dev;
mod introduce;
pub mod lease;
mod metrics;
mod node;
mod serve;
mod settings;
mod test_clock;
mod time;

pub use dev::{Dev, dev};
pub use lease::{BadField, LeaseSettings};
pub use node::{Linked, Node, NodeFault, World};
pub use serve::{Serve, serve};
pub use settings::{BadSettings, RaftSettings, Settings};
