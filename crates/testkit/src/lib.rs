//! What tests share: a naive reference model, simulated holders, a workload, ghost records and checkers.
//!
//! Everything is a function of a seed. Not here: networks with time, disks, real nodes (`simulations`); product code
//! imports nothing of this room.
//!
//! - [`naive`]: a pool without leases, as plain numbers; what the ledger must amount to.
//! - [`holder`]: the other half of the lease protocol, with true local numbers.
//! - [`workload`]: steps of a history drawn from a seed, and how a failing history is made small.
//! - [`ghost`]: what clients were told and what was answered, for the checkers.
//! - [`checkers`]: the invariants as functions named as sentences.
//! - [`told`]: what clients of whole nodes were told, line by line, and the sentences over it.
//! - [`imports`]: what was charged of usage that is told of later.
//! - [`refunds`]: what refunds were answered, and the sentences over it.
//! - [`order`]: whether answers are ordered as real time was.
//! - [`timed`]: when clients asked and were answered, and what a black box shows by that alone.
//! - [`reference`]: a run with leases against the naive pool, when nothing is out any more.
//! - [`history`]: runs steps against one ledger through a bad network and checks all of the above.

pub mod checkers;
mod cycles;
pub mod ghost;
pub mod history;
pub mod holder;
pub mod holds;
pub mod imports;
pub mod naive;
pub mod order;
pub mod reference;
pub mod refunds;
pub mod scopes;
pub mod timed;
pub mod told;
pub mod windows;
pub mod workload;
