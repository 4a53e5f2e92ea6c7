//! The one place where bytes are made. Domain types are never serialised: each thing that is stored or sent has a
//! frozen shape here, with a version, a size limit and golden bytes in its tests.
//!
//! Not here: what the bytes mean. Rooms convert their own types to and from these shapes.

pub mod blob;
pub mod envelope;
pub mod frame;
pub mod hello;
pub mod journal;
pub mod json;
pub mod ledger;
pub mod raft;
pub mod rpc;
