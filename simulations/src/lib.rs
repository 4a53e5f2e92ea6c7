//! The room in which the protocol is attacked: models and simulated worlds. Not here: the product itself,
//! which this room only ever looks at from outside, and tests of single crates, which live beside them.
//!
//! - [`model`]: the protocol alone, every order of every event in small worlds;
//! - [`chance`], [`fault`], [`swarm`]: what goes wrong in a run of a seed.

pub mod chance;
pub mod fault;
pub mod model;
pub mod swarm;
pub mod world_b;
