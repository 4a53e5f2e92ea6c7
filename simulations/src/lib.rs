//! The room in which the protocol is attacked: models and simulated worlds. Not here: the product itself,
//! which this room only ever looks at from outside, and tests of single crates, which live beside them.
//!
//! - [`model`]: the protocol alone, every order of every event in small worlds;
//! - [`world_a`]: the product's pure rooms and its journal on a simulated network, virtual time and bad disks;
//! - [`world_b`]: whole nodes, as `tranche serve` assembles them, on a simulated network, disks and clocks;
//! - [`chance`], [`clock`], [`fault`], [`swarm`]: what goes wrong in a run of a seed;
//! - [`outcome`], [`crossings`]: what a run shows;
//! - [`batch`], [`hunt`], [`known`]: many seeds, a process each, and what they must have seen together; planted mistakes, and
//!   the seeds known to find them;
//! - [`plan`], [`campaign`], [`report`]: an engineer's own topology, policy, traffic and faults, over many seeds;
//!   [`baseline`]: the same traffic with one counter, and with leases of a fixed size;
//! - [`scene`], [`stepper`]: what a film shows of each step, and how one goes through it;
//! - [`case`]: one run written down, and how a failing one is made small.
//! - [`command`]: commands that are printed to be pasted.

pub mod baseline;
pub mod batch;
pub mod campaign;
pub mod case;
pub mod chance;
pub mod clock;
pub mod command;
mod cores;
pub mod crossings;
pub mod fault;
pub mod hunt;
pub mod known;
pub mod model;
pub mod outcome;
pub mod plan;
pub mod report;
pub mod scene;
pub mod stepper;
pub mod swarm;
pub mod world_a;
pub mod world_b;
