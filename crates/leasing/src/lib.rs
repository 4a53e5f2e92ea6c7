//! The decisions of the actors: when to draw and how much, how far the watermark runs ahead, what to give back,
//! whom to recall. Pure: facts in, a step out.
//!
//! Not here: mailboxes, timers, the network (`actors`), and the books themselves (`ledger`, `journal`).

#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic, clippy::wildcard_enum_match_arm)]

mod lease;
mod policy;
mod rate;
mod recall;

pub use lease::{Facts, GiveBack, Lease, Step, Waiting};
pub use policy::LeasePolicy;
pub use rate::Rate;
pub use recall::{RecallLine, Short, Wave, choose, frozen_lines, leased_lines, shared_lines};
