//! Node to node: one framed connection per pair, deadlines, bounds. Requests and answers of both sides share the
//! connection; the node with the lower id dials it.
//!
//! Not here: what a request means, how a body is made (`wire`), and yet, encryption: everything stays on loopback.
//!
//! In reading order: a [`Link`] is how the rooms of this node ask those of others, through the ports they declare;
//! [`Services`] is how it answers; what they ask and answer `travels` as frozen shapes. Both stand on a [`Mux`]; its
//! `peer`s are dialled or heard by the `listener`, begin with a `handshake` and end in a `connection`, which has a
//! `reader` and a `writer`.
//!
//! A node makes its [`Services`], starts the [`Mux`] with them, makes the [`Link`], opens the rooms with it, and gives
//! the services each room as soon as it is there.

mod backoff;
mod connection;
mod counters;
mod error;
mod handshake;
mod link;
mod listener;
mod mux;
mod options;
mod peer;
mod reader;
mod services;
mod travels;
mod writer;

pub use counters::{Counter, Counters};
pub use error::{CallError, HandlerError, Overload, StartError};
pub use link::Link;
pub use mux::{Handler, Mux, PeerStatus, RequestKind};
pub use options::{Identity, Options};
pub use peer::PeerState;
pub use services::Services;
pub use travels::Heard;
pub use wire::hello::{Refusal, Versions};
